/* Expanding a graph to standard operators: what the files expand*.c share. Private to onnx. */
#ifndef CYG_ONNX_EXPAND_H
#define CYG_ONNX_EXPAND_H

#include "ir/graph.h"

typedef struct cyg_expander {
    cyg_ctx *ctx;
    const cyg_graph *from;
    cyg_graph *to; /* begins with all of from's values under the same ids */
    int opset;
    cyg_value_id
        *map; /* [from's value] what stands for it in `to`, in float; none: made when asked */
    cyg_value_id *rows, *seen_as; /* expand_rows.c; NULL when shapes are kept as they are */
    bool by_rows;                 /* this node's operands and result are [rows, channels] */
    cyg_value_id *first; /* expand_first.c: stand-ins [B, C, H, W]; NULL when layouts are kept */
    bool by_first;       /* this node's operands and result are channels first */
    bool only_8_bit;     /* 16-bit values stay in float: the opset has no pairs for them */
    cyg_node_id id;      /* the node of `from` being expanded */
    const cyg_node *n;
    const char *stem; /* of made-up names: the node's name, or a quantised value's */
} cyg_expander;

#define CYG_EXPAND_FAIL(x, fmt, ...)                                                               \
    CYG_FAIL((x)->ctx, CYG_E_UNSUPPORTED, "node %s (%s) at opset %d: " fmt, (x)->n->name,          \
             cyg_op_schema_of((x)->n->op)->onnx, (x)->opset, __VA_ARGS__)

/* ---- operands ---- */
/* The operand in `from`; NULL when absent. */
const cyg_value *cyg_expand_operand(const cyg_expander *x, uint32_t i);
/* The operand's stand-in in `to`, in its shape or by rows, as the node is expanded; none when
 * absent. */
cyg_value_id cyg_expand_in(cyg_expander *x, uint32_t i);
/* Operand i, transposed by perm (rank of them); a constant is transposed before it is dequantised,
 * so that the writer can store it that way. */
cyg_value_id cyg_expand_transposed(cyg_expander *x, uint32_t i, const int64_t *perm, int rank);

/* ---- emitting: all take and return values of `to`; a none-id passes through. suffix "": the new
 * node takes the expanded one's name ---- */
cyg_value_id cyg_emit(cyg_expander *x, cyg_op op, const char *suffix, const cyg_value_id *in,
                      uint32_t count);
cyg_value_id cyg_emit1(cyg_expander *x, cyg_op op, const char *suffix, cyg_value_id a);
cyg_value_id cyg_emit2(cyg_expander *x, cyg_op op, const char *suffix, cyg_value_id a,
                       cyg_value_id b);
/* The node that made v, to set attributes of. */
cyg_node_id cyg_emitted(const cyg_expander *x, cyg_value_id v);
cyg_value_id cyg_emit_transpose(cyg_expander *x, const char *suffix, cyg_value_id a,
                                const int64_t *perm, int rank);
cyg_value_id cyg_emit_reshape(cyg_expander *x, const char *suffix, cyg_value_id a,
                              const int64_t *dims, int rank);
cyg_value_id cyg_emit_gather(cyg_expander *x, const char *suffix, cyg_value_id a,
                             cyg_value_id index, int axis);
/* Parts of a along axis, of the sizes that a constant holds. */
void cyg_emit_split(cyg_expander *x, const char *suffix, cyg_value_id a, cyg_value_id sizes,
                    int axis, cyg_value_id *out_parts, uint32_t count);
/* Element-wise with a scalar on the right. */
cyg_value_id cyg_emit_with(cyg_expander *x, cyg_op op, const char *suffix, cyg_value_id a, float b);
cyg_value_id cyg_expand_scalar(cyg_expander *x, float v);
cyg_value_id cyg_expand_ints(cyg_expander *x, const int64_t *v, int64_t count);
/* The dims as a Reshape target; false when more than one is symbolic. */
bool cyg_expand_target(const cyg_value *v, int64_t *out_dims);

/* ---- values as [rows, channels] (expand_rows.c) ---- */
/* Before a node is expanded: is it expanded by rows? Sets by_rows. */
void cyg_expand_choose_rows(cyg_expander *x);
/* A Reshape that leaves the channels alone is made when somebody asks for its shape; true: done. */
bool cyg_expand_postpone(cyg_expander *x);
/* Any stand-in that exists, for readers that give it a shape of their own. */
cyg_value_id cyg_expand_any(cyg_expander *x, uint32_t i);
/* What cyg_expand_in gives for a value that has no stand-in of the wanted form yet. */
cyg_value_id cyg_expand_shaped(cyg_expander *x, cyg_value_id v);
cyg_value_id cyg_expand_by_rows(cyg_expander *x, cyg_value_id v);
/* What Concat of rows and a mean over rows become, NULL otherwise; by_rows holds. */
typedef cyg_status (*cyg_expand_rule)(cyg_expander *x, cyg_value_id *out_result);
cyg_expand_rule cyg_expand_row_rule(cyg_op op);
/* All rows are one image's: then they need no dimension of their own, and may come by rows. */
bool cyg_expand_is_one_image(const cyg_expander *x, const cyg_value *v, int64_t rows);
/* v, made from a stand-in of operand i, as [images, rows, channels]. */
cyg_value_id cyg_expand_images(cyg_expander *x, uint32_t i, cyg_value_id v, int64_t rows,
                               int64_t channels);
/* A constant of the same bytes as operand i in one dimension. */
cyg_value_id cyg_expand_flat_index(cyg_expander *x, uint32_t i);
/* y has its result as rows; false: it must have its shape (an output of the graph). */
bool cyg_expand_keep_rows(cyg_expander *x, cyg_value_id y);
/* v's producer makes y instead (y: a value that came over from `from`). */
void cyg_expand_bind(cyg_expander *x, cyg_value_id v, cyg_value_id y);

/* ---- values channels first (expand_first.c) ---- */
/* Before a node is expanded: sets by_first. */
void cyg_expand_choose_first(cyg_expander *x);
/* A Transpose between the layouts, whose result stands already; true: done. */
bool cyg_expand_is_turn(cyg_expander *x);
/* What cyg_expand_in gives while by_first holds: pixels channels first, constants as they fit. */
cyg_value_id cyg_expand_channels_first(cyg_expander *x, uint32_t i);
/* The channels-last stand-in of a value that has the other only. */
cyg_value_id cyg_expand_channels_last(cyg_expander *x, cyg_value_id v);
/* y has its result channels first; false: it must have its own layout (an output). */
bool cyg_expand_keep_first(cyg_expander *x, cyg_value_id y);
cyg_expand_rule cyg_expand_first_rule(cyg_op op, int opset);
bool cyg_expand_may_turn(const cyg_graph *g);

/* A Pad with a value for each channel. */
bool cyg_expand_pads_channels(const cyg_expander *x);
/* Activations of fused operators and the operators that younger opsets lack. */
cyg_value_id cyg_expand_act(cyg_expander *x, int64_t act, cyg_value_id a);
cyg_value_id cyg_expand_gelu(cyg_expander *x, bool by_tanh, cyg_value_id a);
/* v of type F32, quantised as q says, and back. */
cyg_value_id cyg_expand_quantised(cyg_expander *x, cyg_value_id v, const char *stem,
                                  const cyg_quant *q);

/* ---- rules: the result, to stand for the node's output 0 ---- */
/* NULL: the node is copied as it is. */
cyg_expand_rule cyg_expand_rule_of(cyg_op op, int opset);
cyg_status cyg_expand_linear(cyg_expander *x, cyg_value_id *out_result) CYG_MUST_USE;
cyg_status cyg_expand_conv2d(cyg_expander *x, cyg_value_id *out_result) CYG_MUST_USE;
cyg_status cyg_expand_pool2d(cyg_expander *x, cyg_value_id *out_result) CYG_MUST_USE;
cyg_status cyg_expand_attention(cyg_expander *x, cyg_value_id *out_result) CYG_MUST_USE;
cyg_status cyg_expand_layer_norm(cyg_expander *x, cyg_value_id *out_result) CYG_MUST_USE;
cyg_status cyg_expand_rms_norm(cyg_expander *x, cyg_value_id *out_result) CYG_MUST_USE;
cyg_status cyg_expand_channel_norm(cyg_expander *x, cyg_value_id *out_result) CYG_MUST_USE;
cyg_status cyg_expand_group_norm(cyg_expander *x, cyg_value_id *out_result) CYG_MUST_USE;
cyg_status cyg_expand_gather_rows(cyg_expander *x, cyg_value_id *out_result) CYG_MUST_USE;

#endif
