/* Private to lower/: the state of lowering one node, and the helpers that every rule uses. */
#ifndef CYG_LOWER_LOWERING_H
#define CYG_LOWER_LOWERING_H

#include "lower/lower.h"

typedef struct cyg_lowering {
    cyg_ctx *ctx;
    const cyg_graph *g;
    const cyg_node *node;
    cyg_arena *arena;
    cyg_data_of data_of;
    void *user;
    cyg_lowered *out;
} cyg_lowering;

typedef cyg_status (*cyg_lower_rule)(cyg_lowering *l);

/* The float rule of an operator / its integer rule; NULL when there is none. */
cyg_lower_rule cyg_lower_float_rule(cyg_op op);
cyg_lower_rule cyg_lower_move_rule(cyg_op op);
cyg_lower_rule cyg_lower_int_rule(cyg_op op);

/* Of the operators that read between elements (lower_sample.c), and of recurrent ones
 * (lower_lstm.c). */
cyg_status cyg_lower_resize(cyg_lowering *l);
cyg_status cyg_lower_grid_sample(cyg_lowering *l);
cyg_status cyg_lower_roi_align(cyg_lowering *l);
cyg_status cyg_lower_lstm(cyg_lowering *l);

/* Index of the text among `count` names, -1 when it is none of them. */
int cyg_lowering_choice(const char *text, const char *const *names, size_t count);
/* Operand i of the node, or NULL when absent. */
const cyg_value *cyg_lowering_in(const cyg_lowering *l, uint32_t i);
const cyg_value *cyg_lowering_out(const cyg_lowering *l, uint32_t i);
/* Sets kernel operator and parameters (copied into the arena). */
cyg_status cyg_lowering_op(cyg_lowering *l, int32_t op, const void *params, size_t size);
/* Declares the kernel's operands: node inputs by number (-1 = absent). All outputs are passed on.
 */
cyg_status cyg_lowering_operands(cyg_lowering *l, const int *inputs, uint32_t count);
/* The first `count` inputs, in order. */
cyg_status cyg_lowering_first(cyg_lowering *l, uint32_t count);
/* Operand `slot` becomes a derived constant; data is lent (arena). */
void cyg_lowering_constant(cyg_lowering *l, uint32_t slot, cyg_type type, int64_t count,
                           const void *data);
/* Contents of a small integer operand (s64 or s32) as int64, in the arena. *out_count 0 and data
 * NULL when the operand is absent. */
cyg_status cyg_lowering_ints(cyg_lowering *l, uint32_t input, const int64_t **out_data,
                             size_t *out_count);
cyg_status cyg_lowering_unsupported(cyg_lowering *l, const char *why);
/* axis of rank made non-negative; -1 when out of range. */
int64_t cyg_lowering_axis(int64_t axis, int rank);
/* Output is the input's bytes. */
cyg_status cyg_lowering_view(cyg_lowering *l);

/* Geometry shared by the float and the integer rules (geometry.c). */
cyg_status cyg_lower_conv_geometry(cyg_lowering *l,
                                   cyg_kp_conv *out_p); /* conv and conv2d; adds macs */
/* The same for one to three spatial axes, the last of params' three; kernel: sizes where the node
 * states none, or NULL. */
cyg_status cyg_lower_windows(cyg_lowering *l, const int64_t *kernel, cyg_kp_windows *out_p);
/* Likewise for a transposed convolution; begin: elements of the whole that y leaves out in front.
 */
cyg_status cyg_lower_conv_transpose_geometry(cyg_lowering *l,
                                             cyg_kp_windows *out_p); /* adds macs */
/* max_pool, average_pool, pool2d: attributes and window; not the global pools. */
cyg_status cyg_lower_pool_geometry(cyg_lowering *l, cyg_kp_pool *out_p);
cyg_status cyg_lower_attention_geometry(cyg_lowering *l, cyg_kp_attention *out_p); /* adds macs */
cyg_status cyg_lower_reduce_axes(cyg_lowering *l, uint32_t *out_mask);

CYG_INLINE bool cyg_is_quantised(const cyg_value *v)
{
    return v != NULL && v->quant.type != CYG_TYPE_NONE;
}
/* The element type that a value has in a program. */
CYG_INLINE cyg_type cyg_program_type(const cyg_value *v)
{
    return !v->is_const && v->quant.type != CYG_TYPE_NONE ? v->quant.type : v->type;
}

#endif
