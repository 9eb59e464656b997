/* Float rules: standard operators and the fused ones, in binary32. Attributes are read with their
 * ONNX defaults; import has already brought every operator to the canonical form of ir/ops.def. */
#include "lower/scales.h"

#include <string.h>

#include "base/bytes.h"

/* ---- element-wise
 * ------------------------------------------------------------------------------------------ */

int cyg_lower_unary_fn(const cyg_lowering *l, float *alpha, float *beta)
{
    const cyg_node *n = l->node;
    switch ((int)n->op) {
#define UNARY(op, fn)                                                                              \
    case CYG_OP_##op:                                                                              \
        return CYG_FN_##fn;
        UNARY(abs, ABS)
        UNARY(ceil, CEIL)
        UNARY(cos, COS)
        UNARY(erf, ERF)
        UNARY(exp, EXP)
        UNARY(floor, FLOOR)
        UNARY(hardswish, HARDSWISH)
        UNARY(log, LOG)
        UNARY(mish, MISH)
        UNARY(neg, NEG)
        UNARY(not, NOT)
        UNARY(reciprocal, RECIPROCAL)
        UNARY(relu, RELU)
        UNARY(round, ROUND)
        UNARY(sigmoid, SIGMOID)
        UNARY(sign, SIGN)
        UNARY(sin, SIN)
        UNARY(softplus, SOFTPLUS)
        UNARY(sqrt, SQRT)
        UNARY(tanh, TANH)
#undef UNARY
    case CYG_OP_elu:
        *alpha = cyg_node_float(n, CYG_ATTR_alpha, 1.0f);
        return CYG_FN_ELU;
    case CYG_OP_leaky_relu:
        *alpha = cyg_node_float(n, CYG_ATTR_alpha, 0.01f);
        return CYG_FN_LEAKY_RELU;
    case CYG_OP_hardsigmoid:
        *alpha = cyg_node_float(n, CYG_ATTR_alpha, 0.2f);
        *beta = cyg_node_float(n, CYG_ATTR_beta, 0.5f);
        return CYG_FN_HARDSIGMOID;
    case CYG_OP_gelu:
        return strcmp(cyg_node_string(n, CYG_ATTR_approximate, "none"), "tanh") == 0
                   ? CYG_FN_GELU_TANH
                   : CYG_FN_GELU_ERF;
    default:
        return -1;
    }
}

static cyg_status rule_unary(cyg_lowering *l)
{
    cyg_kp_unary p = {0};
    p.fn = cyg_lower_unary_fn(l, &p.alpha, &p.beta);
    CYG_DO(cyg_lowering_op(l, CYG_KOP_f_unary, &p, sizeof p));
    return cyg_lowering_first(l, 1);
}

/* NaN is what differs from itself. */
static cyg_status rule_is_nan(cyg_lowering *l)
{
    const cyg_kp_binary p = {.fn = CYG_BFN_NOT_EQUAL};
    const int itself[] = {0, 0};
    CYG_DO(cyg_lowering_op(l, CYG_KOP_f_binary, &p, sizeof p));
    return cyg_lowering_operands(l, itself, 2);
}

static cyg_status rule_binary(cyg_lowering *l)
{
    cyg_kp_binary p = {0};
    switch ((int)l->node->op) {
#define BINARY(op, name)                                                                           \
    case CYG_OP_##op:                                                                              \
        p.fn = CYG_BFN_##name;                                                                     \
        break;
        BINARY(add, ADD)
        BINARY(sum, ADD)
        BINARY(sub, SUB)
        BINARY(mul, MUL)
        BINARY(div, DIV)
        BINARY(pow, POW)
        BINARY(equal, EQUAL)
        BINARY(greater, GREATER)
        BINARY(greater_or_equal, GREATER_OR_EQUAL)
        BINARY(less, LESS)
        BINARY(less_or_equal, LESS_OR_EQUAL)
        BINARY(and, AND)
        BINARY(or, OR)
        BINARY(xor, XOR)
        BINARY(max, MAX)
        BINARY(min, MIN)
        BINARY(prelu, PRELU)
#undef BINARY
    case CYG_OP_mod:
        p.fn = cyg_node_int(l->node, CYG_ATTR_fmod, 0) != 0 ? CYG_BFN_FMOD : CYG_BFN_MOD;
        break;
    default:
        return cyg_lowering_unsupported(l, "is not element-wise");
    }
    if (l->node->in_count == 1)
        return cyg_lowering_view(l);
    if (l->node->in_count != 2)
        return cyg_lowering_unsupported(l, "more than two operands: import splits these");
    CYG_DO(cyg_lowering_op(l, CYG_KOP_f_binary, &p, sizeof p));
    return cyg_lowering_first(l, 2);
}

static cyg_status plain(cyg_lowering *l, int32_t op, uint32_t operands)
{
    const cyg_kp_none p = {0};
    CYG_DO(cyg_lowering_op(l, op, &p, sizeof p));
    return cyg_lowering_first(l, operands);
}

static cyg_status rule_where(cyg_lowering *l)
{
    return plain(l, CYG_KOP_f_where, 3);
}

static cyg_status rule_clip(cyg_lowering *l)
{
    return plain(l, CYG_KOP_f_clip, 3);
}

static cyg_status rule_cast(cyg_lowering *l)
{
    return plain(l, CYG_KOP_f_cast, 1);
}

static cyg_status rule_range(cyg_lowering *l)
{
    return plain(l, CYG_KOP_range, 3);
}

/* ---- products
 * ------------------------------------------------------------------------------------------------
 */

static cyg_status rule_matmul(cyg_lowering *l)
{
    const cyg_value *a = cyg_lowering_in(l, 0), *y = cyg_lowering_out(l, 0);
    if (a->rank > 0)
        l->out->macs = cyg_value_elements(y) * a->dims[a->rank - 1];
    return plain(l, CYG_KOP_f_matmul, 2);
}

static cyg_status rule_gemm(cyg_lowering *l)
{
    cyg_kp_gemm p = {.alpha = cyg_node_float(l->node, CYG_ATTR_alpha, 1.0f),
                     .beta = cyg_node_float(l->node, CYG_ATTR_beta, 1.0f),
                     .trans_a = cyg_node_int(l->node, CYG_ATTR_transA, 0) != 0,
                     .trans_b = cyg_node_int(l->node, CYG_ATTR_transB, 0) != 0};
    const cyg_value *a = cyg_lowering_in(l, 0);
    l->out->macs = cyg_value_elements(cyg_lowering_out(l, 0)) * a->dims[p.trans_a ? 0 : 1];
    CYG_DO(cyg_lowering_op(l, CYG_KOP_f_gemm, &p, sizeof p));
    return cyg_lowering_first(l, 3);
}

/* Weights [K, N] as the kernel wants them. */
static cyg_status turned_weights(cyg_lowering *l)
{
    const cyg_value *w = cyg_lowering_in(l, 1);
    if (!w->is_const || w->type != CYG_TYPE_F32)
        return cyg_lowering_unsupported(l, "weights [K, N] must be constants of f32");
    const int64_t k = w->dims[0], n = w->dims[1];
    float *to = CYG_NEW_ARRAY(l->arena, float, k *n + 1);
    if (to == NULL)
        return CYG_FAIL(l->ctx, CYG_E_NOMEM, "out of memory");
    cyg_transpose_f32(k, n, w->data, n, to);
    cyg_lowering_constant(l, 1, CYG_TYPE_F32, n, to);
    l->out->in[1].constant.rank = 2;
    l->out->in[1].constant.dims[1] = k;
    return CYG_OK;
}

static cyg_status rule_linear(cyg_lowering *l)
{
    const cyg_kp_linear p = {.act = (int32_t)cyg_node_int(l->node, CYG_ATTR_act, 0),
                             .post_act = (int32_t)cyg_node_int(l->node, CYG_ATTR_post_act, 0),
                             .act_lo = cyg_node_float(l->node, CYG_ATTR_act_lo, 0),
                             .act_hi = cyg_node_float(l->node, CYG_ATTR_act_hi, 0)};
    const bool kn = cyg_node_int(l->node, CYG_ATTR_w_kn, 0) != 0;
    l->out->macs =
        cyg_value_elements(cyg_lowering_out(l, 0)) * cyg_lowering_in(l, 1)->dims[kn ? 0 : 1];
    CYG_DO(cyg_lowering_op(l, CYG_KOP_f_linear, &p, sizeof p));
    CYG_DO(cyg_lowering_first(l, 4));
    return kn ? turned_weights(l) : CYG_OK;
}

static cyg_status rule_conv3d(cyg_lowering *l)
{
    const cyg_value *w = cyg_lowering_in(l, 1);
    cyg_kp_windows p;
    CYG_DO(cyg_lower_windows(l, w->dims + 2, &p));
    l->out->macs = cyg_value_elements(cyg_lowering_out(l, 0)) *
                   (cyg_value_elements(w) / (w->dims[0] > 0 ? w->dims[0] : 1));
    CYG_DO(cyg_lowering_op(l, CYG_KOP_f_conv3d, &p, sizeof p));
    return cyg_lowering_first(l, 3);
}

static cyg_status rule_conv(cyg_lowering *l)
{
    cyg_kp_conv p;
    if (l->node->op == CYG_OP_conv && cyg_lowering_in(l, 0)->rank == 5)
        return rule_conv3d(l);
    CYG_DO(cyg_lower_conv_geometry(l, &p));
    const bool fused = l->node->op == CYG_OP_conv2d;
    CYG_DO(cyg_lowering_op(l, fused ? CYG_KOP_f_conv2d : CYG_KOP_f_conv, &p, sizeof p));
    return cyg_lowering_first(l, fused ? 4 : 3);
}

static cyg_status global_pool(cyg_lowering *l, cyg_kp_pool *p)
{
    const cyg_value *x = cyg_lowering_in(l, 0);
    if (x->rank < 3)
        return cyg_lowering_unsupported(l, "a global pool needs a spatial axis");
    p->kh = x->rank == 3 ? 1 : x->dims[2];
    p->kw = 1;
    for (int i = x->rank == 3 ? 2 : 3; i < x->rank; i++)
        p->kw *= x->dims[i];
    p->stride_h = p->stride_w = p->dilation_h = p->dilation_w = 1;
    return CYG_OK;
}

static cyg_status rule_conv_transpose(cyg_lowering *l)
{
    cyg_kp_windows p;
    CYG_DO(cyg_lower_conv_transpose_geometry(l, &p));
    CYG_DO(cyg_lowering_op(l, CYG_KOP_f_conv_transpose, &p, sizeof p));
    return cyg_lowering_first(l, 3);
}

static cyg_status rule_pool2d(cyg_lowering *l)
{
    cyg_kp_pool p;
    CYG_DO(cyg_lower_pool_geometry(l, &p));
    CYG_DO(cyg_lowering_op(l, CYG_KOP_f_pool2d, &p, sizeof p));
    return cyg_lowering_first(l, 1);
}

static cyg_status rule_pool(cyg_lowering *l)
{
    const cyg_op op = l->node->op;
    cyg_kp_pool p = {0};
    if (op == CYG_OP_global_average_pool || op == CYG_OP_global_max_pool) {
        CYG_DO(global_pool(l, &p));
    } else {
        CYG_DO(cyg_lower_pool_geometry(l, &p));
    }
    p.is_max = p.is_max || op == CYG_OP_global_max_pool;
    CYG_DO(cyg_lowering_op(l, CYG_KOP_f_pool, &p, sizeof p));
    return cyg_lowering_first(l, 1);
}

/* ---- normalisation, softmax, reductions
 * ------------------------------------------------------------------------ */

static cyg_status rule_layernorm(cyg_lowering *l)
{
    const cyg_value *x = cyg_lowering_in(l, 0);
    const int64_t axis = cyg_lowering_axis(cyg_node_int(l->node, CYG_ATTR_axis, -1), x->rank);
    cyg_kp_layernorm p = {.channels = 1,
                          .inner = 1,
                          .rms = l->node->op == CYG_OP_rms_normalization,
                          .epsilon = cyg_node_float(l->node, CYG_ATTR_epsilon, 1e-5f)};
    if (axis < 0)
        return cyg_lowering_unsupported(l, "axis out of range");
    for (int64_t i = axis; i < x->rank; i++)
        p.channels *= x->dims[i];
    CYG_DO(cyg_lowering_op(l, CYG_KOP_f_layernorm, &p, sizeof p));
    return cyg_lowering_first(l, 3);
}

static cyg_status rule_channel_norm(cyg_lowering *l)
{
    const cyg_value *x = cyg_lowering_in(l, 0);
    cyg_kp_layernorm p = {.channels = x->dims[1],
                          .inner = 1,
                          .epsilon = cyg_node_float(l->node, CYG_ATTR_epsilon, 1e-5f)};
    for (int i = 2; i < x->rank; i++)
        p.inner *= x->dims[i];
    CYG_DO(cyg_lowering_op(l, CYG_KOP_f_layernorm, &p, sizeof p));
    return cyg_lowering_first(l, 3);
}

static cyg_status rule_batchnorm(cyg_lowering *l)
{
    const cyg_kp_batchnorm p = {.epsilon = cyg_node_float(l->node, CYG_ATTR_epsilon, 1e-5f)};
    CYG_DO(cyg_lowering_op(l, CYG_KOP_f_batchnorm, &p, sizeof p));
    return cyg_lowering_first(l, 5);
}

/* InstanceNormalization is one group a channel. */
static cyg_status rule_group_norm(cyg_lowering *l)
{
    const bool instance = l->node->op == CYG_OP_instance_normalization;
    const cyg_kp_group_norm p = {.groups = instance ? cyg_lowering_in(l, 0)->dims[1]
                                                    : cyg_node_int(l->node, CYG_ATTR_num_groups, 1),
                                 .epsilon = cyg_node_float(l->node, CYG_ATTR_epsilon, 1e-5f)};
    CYG_DO(cyg_lowering_op(l, CYG_KOP_f_group_norm, &p, sizeof p));
    return cyg_lowering_first(l, 3);
}

static cyg_status rule_lp_norm(cyg_lowering *l)
{
    const int64_t axis =
        cyg_lowering_axis(cyg_node_int(l->node, CYG_ATTR_axis, -1), cyg_lowering_in(l, 0)->rank);
    const cyg_kp_lp_norm p = {.axis = (int32_t)axis,
                              .p = (int32_t)cyg_node_int(l->node, CYG_ATTR_p, 2)};
    if (axis < 0)
        return cyg_lowering_unsupported(l, "axis out of range");
    CYG_DO(cyg_lowering_op(l, CYG_KOP_f_lp_norm, &p, sizeof p));
    return cyg_lowering_first(l, 1);
}

static cyg_status rule_softmax(cyg_lowering *l)
{
    const int64_t axis =
        cyg_lowering_axis(cyg_node_int(l->node, CYG_ATTR_axis, -1), cyg_lowering_in(l, 0)->rank);
    const cyg_kp_softmax p = {.axis = (int32_t)axis, .is_log = l->node->op == CYG_OP_log_softmax};
    if (axis < 0)
        return cyg_lowering_unsupported(l, "axis out of range");
    CYG_DO(cyg_lowering_op(l, CYG_KOP_f_softmax, &p, sizeof p));
    return cyg_lowering_first(l, 1);
}

static cyg_status rule_reduce(cyg_lowering *l)
{
    cyg_kp_reduce p = {0};
    switch ((int)l->node->op) {
    case CYG_OP_reduce_mean:
        p.fn = CYG_REDUCE_MEAN;
        break;
    case CYG_OP_reduce_sum:
        p.fn = CYG_REDUCE_SUM;
        break;
    case CYG_OP_reduce_max:
        p.fn = CYG_REDUCE_MAX;
        break;
    case CYG_OP_reduce_min:
        p.fn = CYG_REDUCE_MIN;
        break;
    case CYG_OP_reduce_prod:
        p.fn = CYG_REDUCE_PROD;
        break;
    default:
        p.fn = CYG_REDUCE_L2;
        break;
    }
    CYG_DO(cyg_lower_reduce_axes(l, &p.axes_mask));
    if (p.axes_mask == 0)
        return p.fn == CYG_REDUCE_L2 ? cyg_lowering_unsupported(l, "without axes")
                                     : cyg_lowering_view(l);
    CYG_DO(cyg_lowering_op(l, CYG_KOP_f_reduce, &p, sizeof p));
    return cyg_lowering_first(l, 1);
}

static cyg_status rule_argmax(cyg_lowering *l)
{
    const int64_t axis =
        cyg_lowering_axis(cyg_node_int(l->node, CYG_ATTR_axis, 0), cyg_lowering_in(l, 0)->rank);
    const bool last = cyg_node_int(l->node, CYG_ATTR_select_last_index, 0) != 0;
    const cyg_kp_reduce p = {.fn = (l->node->op == CYG_OP_arg_min ? 2 : 0) | (last ? 1 : 0),
                             .axes_mask = axis < 0 ? 0 : 1u << axis};
    if (axis < 0)
        return cyg_lowering_unsupported(l, "axis out of range");
    CYG_DO(cyg_lowering_op(l, CYG_KOP_f_argmax, &p, sizeof p));
    return cyg_lowering_first(l, 1);
}

static cyg_status rule_top_k(cyg_lowering *l)
{
    const int64_t axis =
        cyg_lowering_axis(cyg_node_int(l->node, CYG_ATTR_axis, -1), cyg_lowering_in(l, 0)->rank);
    const cyg_kp_top_k p = {.axis = (int32_t)axis,
                            .largest = cyg_node_int(l->node, CYG_ATTR_largest, 1) != 0};
    if (axis < 0)
        return cyg_lowering_unsupported(l, "axis out of range");
    CYG_DO(cyg_lowering_op(l, CYG_KOP_top_k, &p, sizeof p));
    return cyg_lowering_first(l, 1);
}

static cyg_status rule_cumsum(cyg_lowering *l)
{
    const int64_t *axis;
    size_t count;
    CYG_DO(cyg_lowering_ints(l, 1, &axis, &count));
    const int64_t at = count == 1 ? cyg_lowering_axis(axis[0], cyg_lowering_in(l, 0)->rank) : -1;
    const cyg_kp_cumsum p = {.axis = (int32_t)at,
                             .exclusive = cyg_node_int(l->node, CYG_ATTR_exclusive, 0) != 0,
                             .reverse = cyg_node_int(l->node, CYG_ATTR_reverse, 0) != 0};
    if (at < 0)
        return cyg_lowering_unsupported(l, "axis out of range");
    CYG_DO(cyg_lowering_op(l, CYG_KOP_f_cumsum, &p, sizeof p));
    return cyg_lowering_first(l, 1);
}

static cyg_status rule_nonzero(cyg_lowering *l)
{
    return plain(l, CYG_KOP_nonzero, 1);
}

/* ---- attention, quantised exchange
 * ------------------------------------------------------------------------------- */

static cyg_status rule_attention(cyg_lowering *l)
{
    const cyg_node *n = l->node;
    cyg_kp_fattention p = {.own_rows = cyg_node_attr(n, CYG_ATTR_kv_tokens) != NULL,
                           .hide_when = cyg_node_int(n, CYG_ATTR_hide_when, 1) != 0,
                           .hide_fill = cyg_node_float(n, CYG_ATTR_hide_fill, 0.0f),
                           .zero_nan = cyg_node_int(n, CYG_ATTR_zero_nan, 0) != 0};
    CYG_DO(cyg_lower_attention_geometry(l, &p.at));
    p.keys = cyg_node_int(n, CYG_ATTR_kv_tokens, p.at.tokens);
    p.value_dim = cyg_node_int(n, CYG_ATTR_value_dim, p.at.head_dim);
    CYG_DO(cyg_lowering_op(l, CYG_KOP_f_attention, &p, sizeof p));
    return cyg_lowering_first(l, 9);
}

static cyg_status rule_qdq(cyg_lowering *l)
{
    const cyg_value *x = cyg_lowering_in(l, 0), *s = cyg_lowering_in(l, 1);
    const int64_t axis = cyg_lowering_axis(cyg_node_int(l->node, CYG_ATTR_axis, 1), x->rank);
    const bool per_tensor = cyg_value_elements(s) == 1;
    if (!per_tensor && axis < 0)
        return cyg_lowering_unsupported(l, "axis out of range");
    const int64_t block = per_tensor ? 0 : cyg_node_int(l->node, CYG_ATTR_block_size, 0);
    if (block < 0)
        return cyg_lowering_unsupported(l, "block_size is negative");
    const cyg_kp_quantize p = {.axis = per_tensor ? -1 : (int32_t)axis, .block = block};
    CYG_DO(cyg_lowering_op(
        l, l->node->op == CYG_OP_quantize_linear ? CYG_KOP_quantize : CYG_KOP_dequantize, &p,
        sizeof p));
    return cyg_lowering_first(l, 3);
}

static cyg_status rule_fake_quant(cyg_lowering *l)
{
    int32_t lo, hi;
    const cyg_type type = cyg_type_from_onnx((int)cyg_node_int(l->node, CYG_ATTR_to, 0));
    const int32_t zero = (int32_t)cyg_node_int(l->node, CYG_ATTR_zero_point, 0);
    if (!cyg_type_limits(type, &lo, &hi) || zero < lo || zero > hi)
        return cyg_lowering_unsupported(l, "to is no type of 8 or 16 bits that has zero_point");
    if (!(cyg_node_float(l->node, CYG_ATTR_scale, 1.0f) > 0.0f)) /* its scale is open yet */
        return cyg_lowering_view(l);
    const cyg_kp_fake_quant p = {.scale = cyg_node_float(l->node, CYG_ATTR_scale, 1.0f),
                                 .lo = (float)(lo - zero),
                                 .hi = (float)(hi - zero)};
    CYG_DO(cyg_lowering_op(l, CYG_KOP_f_fake_quant, &p, sizeof p));
    return cyg_lowering_first(l, 1);
}

cyg_lower_rule cyg_lower_float_rule(cyg_op op)
{
    switch ((int)op) {
    case CYG_OP_clip:
        return rule_clip;
    case CYG_OP_cast:
    case CYG_OP_cast_like:
        return rule_cast;
    case CYG_OP_where:
        return rule_where;
    case CYG_OP_range:
        return rule_range;
    case CYG_OP_matmul:
        return rule_matmul;
    case CYG_OP_gemm:
        return rule_gemm;
    case CYG_OP_linear:
        return rule_linear;
    case CYG_OP_conv:
    case CYG_OP_conv2d:
        return rule_conv;
    case CYG_OP_pool2d:
        return rule_pool2d;
    case CYG_OP_max_pool:
    case CYG_OP_average_pool:
    case CYG_OP_global_average_pool:
    case CYG_OP_global_max_pool:
        return rule_pool;
    case CYG_OP_conv_transpose:
        return rule_conv_transpose;
    case CYG_OP_resize:
        return cyg_lower_resize;
    case CYG_OP_grid_sample:
        return cyg_lower_grid_sample;
    case CYG_OP_roi_align:
        return cyg_lower_roi_align;
    case CYG_OP_lstm:
        return cyg_lower_lstm;
    case CYG_OP_instance_normalization:
    case CYG_OP_group_normalization:
        return rule_group_norm;
    case CYG_OP_lp_normalization:
        return rule_lp_norm;
    case CYG_OP_is_nan:
        return rule_is_nan;
    case CYG_OP_channel_norm:
        return rule_channel_norm;
    case CYG_OP_rms_normalization:
    case CYG_OP_layer_normalization:
        return rule_layernorm;
    case CYG_OP_batch_normalization:
        return rule_batchnorm;
    case CYG_OP_softmax:
    case CYG_OP_log_softmax:
        return rule_softmax;
    case CYG_OP_reduce_mean:
    case CYG_OP_reduce_sum:
    case CYG_OP_reduce_max:
    case CYG_OP_reduce_min:
    case CYG_OP_reduce_prod:
    case CYG_OP_reduce_l2:
        return rule_reduce;
    case CYG_OP_arg_max:
    case CYG_OP_arg_min:
        return rule_argmax;
    case CYG_OP_top_k:
        return rule_top_k;
    case CYG_OP_cumsum:
        return rule_cumsum;
    case CYG_OP_nonzero:
        return rule_nonzero;
    case CYG_OP_attention:
        return rule_attention;
    case CYG_OP_fake_quant:
        return rule_fake_quant;
    case CYG_OP_quantize_linear:
    case CYG_OP_dequantize_linear:
        return rule_qdq;
    case CYG_OP_requant:
        return cyg_lowering_view;
    default:
        break;
    }
    const unsigned flags = cyg_op_schema_of(op)->flags;
    if (flags & CYG_OPF_BINARY)
        return rule_binary;
    if (flags & CYG_OPF_UNARY)
        return rule_unary;
    return NULL;
}
