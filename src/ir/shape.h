/* Shape inference, the inside: what the rules of shape_*.c see and give back. Private to ir. */
#ifndef CYG_IR_SHAPE_H
#define CYG_IR_SHAPE_H

#include <stdbool.h>
#include <stdint.h>

#include "ir/graph.h"

/* Known contents of a small integer tensor of rank 0 or 1, element by element. */
enum { CYG_INTS_MAX = 64 };
typedef struct cyg_ints {
    uint8_t rank;
    uint32_t count;
    bool known[CYG_INTS_MAX];
    int64_t v[CYG_INTS_MAX]; /* not known: the symbolic dimension that it is, -1 = any */
} cyg_ints;

typedef struct cyg_shape {
    cyg_type type;
    uint8_t rank; /* or CYG_RANK_UNKNOWN */
    int64_t dims[CYG_MAX_RANK];
} cyg_shape;

typedef struct cyg_infer {
    cyg_ctx *ctx;
    cyg_graph *g;
    cyg_node_id id;
    const cyg_node *n;
    cyg_infer_data data_of; /* NULL = constants only */
    void *user;
    bool check; /* a result that contradicts the stated shape is an error (else it replaces it) */
    cyg_ints **known; /* [value], NULL = none; NULL table outside graph inference */
    cyg_arena *scratch;
} cyg_infer;

typedef cyg_status (*cyg_shape_rule)(cyg_infer *s);

#define CYG_INFER_FAIL(s, fmt, ...)                                                                \
    CYG_FAIL((s)->ctx, CYG_E_GRAPH, "node %s (%s): " fmt, (s)->n->name,                            \
             cyg_op_schema_of((s)->n->op)->onnx, __VA_ARGS__)

/* ---- operands ---- */
/* NULL when absent. */
const cyg_value *cyg_infer_in(const cyg_infer *s, uint32_t i);
/* The operand's shape; an absent one has type NONE and unknown rank. */
cyg_shape cyg_infer_shape_in(const cyg_infer *s, uint32_t i);
/* Current bytes of operand i (shape known), or NULL. */
const void *cyg_infer_bytes(const cyg_infer *s, uint32_t i);
/* False when nothing is known about the contents, not even their number. */
bool cyg_infer_ints(const cyg_infer *s, uint32_t i, cyg_ints *out);
bool cyg_ints_all_known(const cyg_ints *x);

/* ---- results ---- */
/* Merges what a rule found with what is stated. */
cyg_status cyg_infer_set(cyg_infer *s, uint32_t i, const cyg_shape *shape) CYG_MUST_USE;
/* Output 0 of the type, of unknown shape. */
cyg_status cyg_infer_set_unknown(cyg_infer *s, cyg_type type) CYG_MUST_USE;

/* ---- helpers ---- */
typedef struct cyg_shape_text {
    char s[192];
} cyg_shape_text;
/* "[1,3,N,?]" for messages. */
cyg_shape_text cyg_shape_str(const cyg_graph *g, const cyg_shape *x);
/* axis in [-rank, rank) to [0, rank). */
cyg_status cyg_infer_axis(cyg_infer *s, int64_t axis, int rank, int *out_axis) CYG_MUST_USE;
/* Two shapes, numpy rules; unknown rank if either's is. The result's type is a's. */
cyg_status cyg_infer_broadcast(cyg_infer *s, const cyg_shape *a, const cyg_shape *b,
                               cyg_shape *out) CYG_MUST_USE;
/* Both operands state one dimension: the more precise one, or an error about `what`. */
cyg_status cyg_infer_same_dim(cyg_infer *s, const char *what, int64_t a, int64_t b,
                              int64_t *out) CYG_MUST_USE;
/* Product of dims [from, to): a number, a symbol times one, or -1. */
int64_t cyg_shape_product(const cyg_shape *x, int from, int to);
/* Floating type shared by operands 0 and i; quantised and untyped operands pass. */
cyg_status cyg_infer_same_type(cyg_infer *s, uint32_t i, uint32_t j) CYG_MUST_USE;

/* ---- value following (shape_follow.c): what is known about the contents of output 0 ---- */
bool cyg_infer_follow(cyg_infer *s, cyg_ints *out);

/* ---- rules ---- */
#define CYG_SHAPE_RULES(X)                                                                         \
    X(same)                                                                                        \
    X(cast)                                                                                        \
    X(einsum)                                                                                      \
    X(eye_like)                                                                                    \
    X(cast_like)                                                                                   \
    X(broadcast)                                                                                   \
    X(compare)                                                                                     \
    X(where)                                                                                       \
    X(matmul)                                                                                      \
    X(gemm)                                                                                        \
    X(conv)                                                                                        \
    X(conv_transpose)                                                                              \
    X(group_normalization)                                                                         \
    X(resize)                                                                                      \
    X(grid_sample)                                                                                 \
    X(roi_align)                                                                                   \
    X(lstm)                                                                                        \
    X(pool)                                                                                        \
    X(global_pool)                                                                                 \
    X(normalization)                                                                               \
    X(layer_normalization)                                                                         \
    X(channel_norm)                                                                                \
    X(axis_same)                                                                                   \
    X(reduce)                                                                                      \
    X(arg_max)                                                                                     \
    X(cumsum)                                                                                      \
    X(scatter_elements)                                                                            \
    X(top_k)                                                                                       \
    X(nonzero)                                                                                     \
    X(trilu)                                                                                       \
    X(depth_to_space)                                                                              \
    X(space_to_depth)                                                                              \
    X(reshape)                                                                                     \
    X(flatten)                                                                                     \
    X(squeeze)                                                                                     \
    X(unsqueeze)                                                                                   \
    X(transpose)                                                                                   \
    X(concat)                                                                                      \
    X(split)                                                                                       \
    X(slice)                                                                                       \
    X(gather)                                                                                      \
    X(gather_elements)                                                                             \
    X(gather_nd)                                                                                   \
    X(scatter_nd)                                                                                  \
    X(pad)                                                                                         \
    X(expand)                                                                                      \
    X(tile)                                                                                        \
    X(shape)                                                                                       \
    X(size)                                                                                        \
    X(range)                                                                                       \
    X(constant_of_shape)                                                                           \
    X(quantize_linear)                                                                             \
    X(dequantize_linear)                                                                           \
    X(linear)                                                                                      \
    X(conv2d)                                                                                      \
    X(pool2d)                                                                                      \
    X(attention)                                                                                   \
    X(gather_rows)
#define CYG_DECLARE(rule) cyg_status cyg_shape_rule_##rule(cyg_infer *s) CYG_MUST_USE;
CYG_SHAPE_RULES(CYG_DECLARE)
#undef CYG_DECLARE

/* NULL for an operator without one (only `removed`). */
cyg_shape_rule cyg_shape_rule_of(cyg_op op);

#endif
