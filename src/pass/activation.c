/* An activation that is the only reader of a linear's or conv2d's result moves into it: the product
 * applies it while the sums are in registers. Views between the two do not matter, the function is
 * element-wise. One that has a residual already applies it after the sum (post_act): integer
 * kernels do that for clamps, so relu and clip alone are taken. The pass runs before and after
 * residuals are fused. */
#include <string.h>

#include "pass/passes.h"
#include "pass/rewrite.h"

static cyg_act act_of(const cyg_rw *rw, const cyg_node *n, float *out_lo, float *out_hi)
{
    *out_lo = *out_hi = 0.0f;
    switch ((int)n->op) {
    case CYG_OP_relu:
        return CYG_ACT_RELU;
    case CYG_OP_gelu:
        return strcmp(cyg_node_string(n, CYG_ATTR_approximate, "none"), "tanh") == 0
                   ? CYG_ACT_GELU_TANH
                   : CYG_ACT_GELU_ERF;
    case CYG_OP_clip:
        return cyg_rw_scalar(rw, cyg_node_in(n, 1), out_lo) &&
                       cyg_rw_scalar(rw, cyg_node_in(n, 2), out_hi)
                   ? CYG_ACT_CLIP
                   : CYG_ACT_NONE;
    case CYG_OP_leaky_relu:
        *out_lo = cyg_node_float(n, CYG_ATTR_alpha, 0.01f);
        return CYG_ACT_LEAKY_RELU;
    case CYG_OP_sigmoid:
        return CYG_ACT_SIGMOID;
    case CYG_OP_tanh:
        return CYG_ACT_TANH;
    case CYG_OP_hardswish:
        return CYG_ACT_HARDSWISH;
    case CYG_OP_hardsigmoid:
        *out_lo = cyg_node_float(n, CYG_ATTR_alpha, 0.2f);
        *out_hi = cyg_node_float(n, CYG_ATTR_beta, 0.5f);
        return *out_lo == 0.0f && *out_hi == 0.0f ? CYG_ACT_NONE : CYG_ACT_HARDSIGMOID;
    default:
        return CYG_ACT_NONE;
    }
}

/* Whether n, which has a residual, can take act behind it: the two activations share their limits,
 * and an absent one is a zero of the first. */
static bool clamps_behind(const cyg_node *n, cyg_act act)
{
    const int64_t first = cyg_node_int(n, CYG_ATTR_act, CYG_ACT_NONE);
    const bool limits =
        first == CYG_ACT_CLIP || first == CYG_ACT_LEAKY_RELU || first == CYG_ACT_HARDSIGMOID;
    return act == CYG_ACT_RELU || (act == CYG_ACT_CLIP && !limits);
}

static cyg_status visit(cyg_rw *rw, cyg_node_id id)
{
    const cyg_node *n = cyg_nod(rw->g, id);
    cyg_value_id last, in[4];
    float lo, hi;
    const bool behind = !cyg_value_is_none(cyg_node_in(n, 3));
    const cyg_attr_key slot = behind ? CYG_ATTR_post_act : CYG_ATTR_act;
    if ((n->op != CYG_OP_linear && n->op != CYG_OP_conv2d) ||
        cyg_node_int(n, slot, CYG_ACT_NONE) != CYG_ACT_NONE)
        return CYG_OK;
    const cyg_node_id user = cyg_rw_down_views(rw, n->out[0], &last);
    const cyg_act act =
        cyg_node_is_none(user) ? CYG_ACT_NONE : act_of(rw, cyg_nod(rw->g, user), &lo, &hi);
    if (act == CYG_ACT_NONE || cyg_nod(rw->g, user)->in[0].i != last.i ||
        (behind && !clamps_behind(n, act)))
        return CYG_OK;
    const uint32_t count = n->in_count;
    for (uint32_t i = 0; i < count; i++)
        in[i] = n->in[i];
    const cyg_node_id now = cyg_rw_swallow(rw, id, user, in, count);
    if (cyg_node_is_none(now) || !cyg_node_set_int(rw->g, now, slot, (int64_t)act) ||
        (lo != 0.0f && !cyg_node_set_float(rw->g, now, CYG_ATTR_act_lo, lo)) ||
        (hi != 0.0f && !cyg_node_set_float(rw->g, now, CYG_ATTR_act_hi, hi)))
        return CYG_RW_NOMEM(rw);
    return CYG_OK;
}

cyg_status cyg_pass_activation(cyg_ctx *ctx, cyg_graph *g, bool *out_changed)
{
    return cyg_rw_each(ctx, g, visit, out_changed);
}
