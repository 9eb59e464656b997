/* Integer rules: where scales become the constants of docs/numerics.md. Everything is computed in
 * binary64 from the binary32 scales in the graph and rounded once.
 *
 * Notation: s_x, z_x of the input, s_w[n] of a weight's output channel, s_y, z_y of the output.
 * Saturation bounds are stored with z_y already subtracted. An activation that is only a clamp
 * (relu, clip) and acts last is folded into these bounds: clamp-then-round equals round-then-clamp
 * on integers. */
#include "lower/scales.h"

#include <math.h>
#include <string.h>

static bool is_wide(const cyg_value *v)
{
    return v->quant.type == CYG_TYPE_S16 || v->quant.type == CYG_TYPE_U16;
}

/* ---- linear and convolution
 * -------------------------------------------------------------------------------- */

static double between(double x, double lo, double hi)
{
    x = x > lo ? x : lo;
    return x < hi ? x : hi;
}

void cyg_lower_clamp(cyg_isat *sat, const cyg_isat *type, double lo, double hi, double s_y)
{
    const double q_lo = between(rint(lo / s_y), (double)type->lo, (double)type->hi);
    const double q_hi = between(rint(hi / s_y), (double)type->lo, (double)type->hi);
    sat->lo = (float)between((double)sat->lo, q_lo, q_hi);
    sat->hi = (float)between((double)sat->hi, q_lo, q_hi);
}

static bool is_clamp(int act)
{
    return act == CYG_ACT_RELU || act == CYG_ACT_CLIP;
}

/* One clamp activation of linear or conv2d into its saturation bounds. */
static cyg_status fold_clamp(cyg_lowering *l, int act, cyg_kp_ilinear *p)
{
    const cyg_value *y = cyg_lowering_out(l, 0);
    const cyg_isat type = cyg_lower_saturation(y);
    if (act == CYG_ACT_CLIP)
        CYG_DO(
            cyg_lower_one_scale(l, y)); /* bounds in steps: those of relu are zero in any scale */
    if (act == CYG_ACT_CLIP)
        cyg_lower_clamp(&p->sat, &type, (double)p->act_lo, (double)p->act_hi,
                        cyg_lower_scale(y, 0));
    else if (act == CYG_ACT_RELU)
        cyg_lower_clamp(&p->sat, &type, 0.0, INFINITY, cyg_lower_scale(y, 0));
    return CYG_OK;
}

static cyg_status epilogue(cyg_lowering *l, int act, int post_act, float act_lo, float act_hi,
                           cyg_kp_ilinear *p)
{
    const cyg_value *y = cyg_lowering_out(l, 0), *r = cyg_lowering_in(l, 3);
    const bool to_float = !cyg_is_quantised(y);
    memset(p, 0, sizeof *p);
    p->act = act;
    p->act_lo = act_lo;
    p->act_hi = act_hi;
    p->inv_scale_y = 1.0f;
    if (!to_float) {
        p->sat = cyg_lower_saturation(y);
        if (r == NULL && is_clamp(act)) {
            CYG_DO(fold_clamp(l, act, p));
            p->act = CYG_ACT_NONE;
        }
        CYG_DO(fold_clamp(l, post_act, p));
        if (p->act != CYG_ACT_NONE) {
            CYG_DO(cyg_lower_one_scale(l, y));
            p->inv_scale_y = (float)(1.0 / cyg_lower_scale(y, 0));
        }
    } else if (post_act != CYG_ACT_NONE) {
        return cyg_lowering_unsupported(l,
                                        "an activation after the residual needs an integer output");
    }
    if (post_act != CYG_ACT_NONE && post_act != CYG_ACT_RELU && post_act != CYG_ACT_CLIP)
        return cyg_lowering_unsupported(l, "only relu and clip may follow a residual");
    if (r != NULL) {
        CYG_DO(cyg_lower_one_scale(l, r));
        p->r_zero = r->quant.zero_point;
        p->r_scale =
            to_float ? r->quant.scales[0] : (float)(cyg_lower_scale(r, 0) / cyg_lower_scale(y, 0));
        if (!to_float)
            CYG_DO(cyg_lower_one_scale(l, y));
    }
    return CYG_OK;
}

static int64_t weight_at(const cyg_value *w, int64_t i)
{
    return w->type == CYG_TYPE_S16 ? ((const int16_t *)w->data)[i] : ((const int8_t *)w->data)[i];
}

/* bias[n] = rne(b[n] / (s_x s_w[n])) - z_x sum_k w[n,k]  and  M[n] = s_x s_w[n] (/ s_y[n] when
 * nothing but the residual follows). */
static cyg_status channel_constants(cyg_lowering *l, const cyg_kp_ilinear *p, int64_t channels,
                                    int64_t taps)
{
    const cyg_value *x = cyg_lowering_in(l, 0), *w = cyg_lowering_in(l, 1),
                    *b = cyg_lowering_in(l, 2);
    const cyg_value *y = cyg_lowering_out(l, 0);
    const float *bias = b != NULL ? b->data : NULL;
    const double s_x = cyg_lower_scale(x, 0);
    float *m = CYG_NEW_ARRAY(l->arena, float, channels);
    int64_t *wide = CYG_NEW_ARRAY(l->arena, int64_t, channels);
    int32_t *narrow = CYG_NEW_ARRAY(l->arena, int32_t, channels);
    if (m == NULL || wide == NULL || narrow == NULL)
        return CYG_FAIL(l->ctx, CYG_E_NOMEM, "out of memory");
    const double reach = x->quant.type == CYG_TYPE_U16 ? 65535.0 : is_wide(x) ? 32768.0 : 255.0;
    const double limit = is_wide(x) ? 4503599627370496.0 : 2147483647.0;
    for (int64_t n = 0; n < channels; n++) {
        const double s = s_x * cyg_lower_scale(w, n);
        int64_t sum = 0, magnitude = 0;
        for (int64_t k = 0; k < taps; k++) {
            const int64_t weight = weight_at(w, n * taps + k);
            sum += weight;
            magnitude += weight < 0 ? -weight : weight;
        }
        const double folded = rint((bias != NULL ? (double)bias[n] : 0.0) / s) -
                              (double)x->quant.zero_point * (double)sum;
        if (!(reach * (double)magnitude + fabs(folded) < limit))
            return CYG_FAIL(l->ctx, CYG_E_UNSUPPORTED,
                            "node \"%s\": output channel %lld could overflow its accumulator "
                            "(weights %lld, bias %.0f)",
                            l->node->name, (long long)n, (long long)magnitude, folded);
        wide[n] = (int64_t)folded;
        narrow[n] = is_wide(x) ? 0 : (int32_t)folded;
        m[n] =
            (float)(cyg_is_quantised(y) && p->act == CYG_ACT_NONE ? s / cyg_lower_scale(y, n) : s);
    }
    if (is_wide(x))
        cyg_lowering_constant(l, 2, CYG_TYPE_S64, channels, wide);
    else
        cyg_lowering_constant(l, 2, CYG_TYPE_S32, channels, narrow);
    cyg_lowering_constant(l, 3, CYG_TYPE_F32, channels, m);
    return CYG_OK;
}

static cyg_status weights_ok(cyg_lowering *l)
{
    const cyg_value *w = cyg_lowering_in(l, 1), *b = cyg_lowering_in(l, 2);
    CYG_DO(cyg_lower_one_scale(l, cyg_lowering_in(l, 0)));
    const bool wide = w != NULL && w->type == CYG_TYPE_S16 && is_wide(cyg_lowering_in(l, 0));
    if (w == NULL || !w->is_const || !cyg_is_quantised(w) || (w->type != CYG_TYPE_S8 && !wide))
        return cyg_lowering_unsupported(l, "its weights are not quantised constants");
    if (b != NULL && (!b->is_const || b->type != CYG_TYPE_F32))
        return cyg_lowering_unsupported(l, "its bias is not a float constant");
    return CYG_OK;
}

/* x, w, bias, M, residual, w_high */
static const int linear_operands[] = {0, 1, -1, -1, 3, -1};

/* 16-bit weights as two operands of 8 bits, w = low + 256 high. */
static cyg_status split_weights(cyg_lowering *l, const cyg_value *w)
{
    const int64_t count = cyg_value_elements(w);
    int8_t *low = CYG_NEW_ARRAY(l->arena, int8_t, count),
           *high = CYG_NEW_ARRAY(l->arena, int8_t, count);
    if (low == NULL || high == NULL)
        return CYG_FAIL(l->ctx, CYG_E_NOMEM, "out of memory");
    for (int64_t i = 0; i < count; i++) {
        const int32_t v = ((const int16_t *)w->data)[i], down = ((v & 255) ^ 128) - 128;
        const int32_t up = (v - down) / 256;
        if (up > 127)
            return cyg_lowering_unsupported(l, "a 16-bit weight is above 32639");
        low[i] = (int8_t)down;
        high[i] = (int8_t)up;
    }
    const void *planes[] = {low, high};
    const uint32_t slots[] = {1, 5};
    for (int i = 0; i < 2; i++) {
        cyg_lowering_constant(l, slots[i], CYG_TYPE_S8, count, planes[i]);
        cyg_kbuf *buf = &l->out->in[slots[i]].constant;
        buf->rank = w->rank;
        memcpy(buf->dims, w->dims, sizeof buf->dims);
    }
    return CYG_OK;
}

static cyg_status rule_linear(cyg_lowering *l)
{
    CYG_DO(weights_ok(l));
    if (cyg_node_int(l->node, CYG_ATTR_w_kn, 0) != 0)
        return cyg_lowering_unsupported(l, "its integer form wants weights [N, K]");
    const cyg_value *w = cyg_lowering_in(l, 1);
    const cyg_node *n = l->node;
    cyg_kp_ilinear p;
    CYG_DO(epilogue(
        l, (int)cyg_node_int(n, CYG_ATTR_act, 0), (int)cyg_node_int(n, CYG_ATTR_post_act, 0),
        cyg_node_float(n, CYG_ATTR_act_lo, 0), cyg_node_float(n, CYG_ATTR_act_hi, 0), &p));
    CYG_DO(cyg_lowering_op(l, CYG_KOP_i_linear, &p, sizeof p));
    const bool split = w->type == CYG_TYPE_S16;
    CYG_DO(cyg_lowering_operands(l, linear_operands, split ? 6 : 5));
    if (split)
        CYG_DO(split_weights(l, w));
    l->out->macs = cyg_value_elements(cyg_lowering_out(l, 0)) * w->dims[1];
    return channel_constants(l, &p, w->dims[0], w->dims[1]);
}

static cyg_status rule_conv2d(cyg_lowering *l)
{
    CYG_DO(weights_ok(l));
    const cyg_value *x = cyg_lowering_in(l, 0), *w = cyg_lowering_in(l, 1);
    cyg_kp_iconv2d p = {.x_zero = x->quant.zero_point};
    CYG_DO(cyg_lower_conv_geometry(l, &p.geometry));
    if (p.geometry.x_nchw)
        return cyg_lowering_unsupported(l, "its integer form wants channels last");
    CYG_DO(epilogue(l, p.geometry.act, p.geometry.post_act, p.geometry.act_lo, p.geometry.act_hi,
                    &p.out));
    CYG_DO(cyg_lowering_op(l, CYG_KOP_i_conv2d, &p, sizeof p));
    const bool split = w->type == CYG_TYPE_S16;
    CYG_DO(cyg_lowering_operands(l, linear_operands, split ? 6 : 5));
    if (split)
        CYG_DO(split_weights(l, w));
    return channel_constants(l, &p.out, w->dims[0],
                             cyg_value_elements(w) / (w->dims[0] > 0 ? w->dims[0] : 1));
}

/* ---- layer normalisation
 * ------------------------------------------------------------------------------------- */

static cyg_status rule_layernorm(cyg_lowering *l)
{
    const cyg_value *x = cyg_lowering_in(l, 0), *gamma = cyg_lowering_in(l, 1),
                    *beta = cyg_lowering_in(l, 2);
    const cyg_value *y = cyg_lowering_out(l, 0);
    CYG_DO(cyg_lower_one_scale(l, x));
    if (!cyg_is_quantised(y) ||
        cyg_lowering_axis(cyg_node_int(l->node, CYG_ATTR_axis, -1), x->rank) != x->rank - 1)
        return cyg_lowering_unsupported(
            l, "the integer form is over the last axis and has an integer output");
    if (!gamma->is_const || (beta != NULL && !beta->is_const))
        return cyg_lowering_unsupported(l, "its scale and bias are not constants");
    const int64_t channels = x->dims[x->rank - 1];
    const double s_x = cyg_lower_scale(x, 0);
    const cyg_kp_ilayernorm p = {.channels = channels,
                                 .eps = (double)cyg_node_float(l->node, CYG_ATTR_epsilon, 1e-5f) /
                                        (s_x * s_x),
                                 .sat = cyg_lower_saturation(y)};
    float *g = CYG_NEW_ARRAY(l->arena, float, channels),
          *b = CYG_NEW_ARRAY(l->arena, float, channels);
    if (g == NULL || b == NULL)
        return CYG_FAIL(l->ctx, CYG_E_NOMEM, "out of memory");
    for (int64_t c = 0; c < channels; c++) {
        g[c] = (float)((double)((const float *)gamma->data)[c] / cyg_lower_scale(y, c));
        b[c] = beta != NULL
                   ? (float)((double)((const float *)beta->data)[c] / cyg_lower_scale(y, c))
                   : 0.0f;
    }
    const int operands[] = {0, -1, -1};
    CYG_DO(cyg_lowering_op(l, CYG_KOP_i_layernorm, &p, sizeof p));
    CYG_DO(cyg_lowering_operands(l, operands, 3));
    cyg_lowering_constant(l, 1, CYG_TYPE_F32, channels, g);
    cyg_lowering_constant(l, 2, CYG_TYPE_F32, channels, b);
    return CYG_OK;
}

/* ---- attention
 * ---------------------------------------------------------------------------------------------------
 */

static const double log2_e = 1.4426950408889634074;

/* The scale of head h in a fused value: constant over the head's channels, which the quantiser
 * guarantees. */
static double head_scale(const cyg_value *v, int64_t offset, int64_t head, int64_t dim)
{
    return cyg_lower_scale(v, offset + head * dim);
}

static cyg_status attention_bias(cyg_lowering *l, const cyg_value *bias)
{
    const int64_t count = cyg_value_elements(bias);
    const float *from = bias->data;
    float *to = CYG_NEW_ARRAY(l->arena, float, count);
    if (to == NULL)
        return CYG_FAIL(l->ctx, CYG_E_NOMEM, "out of memory");
    for (int64_t i = 0; i < count; i++) {
        const double t = (double)from[i] * log2_e;
        to[i] = (float)(t > -32768.0 ? t : -32768.0);
    }
    cyg_lowering_constant(l, 5, CYG_TYPE_F32, count, to);
    cyg_kbuf *buf = &l->out->in[5].constant;
    buf->rank = bias->rank;
    memcpy(buf->dims, bias->dims, sizeof buf->dims);
    return CYG_OK;
}

static cyg_status rule_attention(cyg_lowering *l)
{
    const cyg_value *q = cyg_lowering_in(l, 0), *k = cyg_lowering_in(l, 1),
                    *v = cyg_lowering_in(l, 2);
    const cyg_value *bias = cyg_lowering_in(l, 3), *per_head = cyg_lowering_in(l, 6),
                    *y = cyg_lowering_out(l, 0);
    cyg_kp_iattention p = {.e_bits = (int32_t)cyg_node_int(l->node, CYG_ATTR_e_bits, 8)};
    CYG_DO(cyg_lower_attention_geometry(l, &p.at));
    CYG_DO(cyg_lower_one_scale(l, y));
    if (!cyg_is_quantised(q) || !cyg_is_quantised(k) || !cyg_is_quantised(v))
        return cyg_lowering_unsupported(l, "q, k and v must be integers");
    if ((bias != NULL && !bias->is_const) || (per_head != NULL && !per_head->is_const))
        return cyg_lowering_unsupported(l, "its bias tables and head scales must be constants");
    if (l->node->in_count > 7 || cyg_node_attr(l->node, CYG_ATTR_kv_tokens) != NULL ||
        cyg_node_attr(l->node, CYG_ATTR_value_dim) != NULL ||
        cyg_node_attr(l->node, CYG_ATTR_zero_nan) != NULL)
        return cyg_lowering_unsupported(l, "masks made at run time, keys of another length and "
                                           "values of another width run in float");
    p.sat = cyg_lower_saturation(y);
    const int64_t heads = p.at.heads, dim = p.at.head_dim;
    float *c = CYG_NEW_ARRAY(l->arena, float, heads), *a = CYG_NEW_ARRAY(l->arena, float, heads);
    if (c == NULL || a == NULL)
        return CYG_FAIL(l->ctx, CYG_E_NOMEM, "out of memory");
    for (int64_t h = 0; h < heads; h++) {
        double s = (double)p.at.scale * log2_e;
        if (per_head != NULL)
            s *= (double)((const float *)per_head->data)[h];
        if (!p.at.cosine) /* cosine: the norms cancel the scales */
            s *= head_scale(q, p.at.q_offset, h, dim) * head_scale(k, p.at.k_offset, h, dim);
        c[h] = (float)s;
        a[h] = (float)(head_scale(v, p.at.v_offset, h, dim) / cyg_lower_scale(y, 0));
    }
    /* q, k, v, c, A, bias, mask_index, rows */
    const int operands[] = {0, 1, 2, -1, -1, -1, 4, 5};
    CYG_DO(cyg_lowering_op(l, CYG_KOP_i_attention, &p, sizeof p));
    CYG_DO(cyg_lowering_operands(l, operands, 8));
    cyg_lowering_constant(l, 3, CYG_TYPE_F32, heads, c);
    cyg_lowering_constant(l, 4, CYG_TYPE_F32, heads, a);
    return bias != NULL ? attention_bias(l, bias) : CYG_OK;
}

/* ---- element-wise and the rest
 * ---------------------------------------------------------------------------------- */

static cyg_status rule_softmax(cyg_lowering *l)
{
    const cyg_value *x = cyg_lowering_in(l, 0), *y = cyg_lowering_out(l, 0);
    CYG_DO(cyg_lower_one_scale(l, x));
    CYG_DO(cyg_lower_one_scale(l, y));
    if (cyg_lowering_axis(cyg_node_int(l->node, CYG_ATTR_axis, -1), x->rank) != x->rank - 1)
        return cyg_lowering_unsupported(l, "the integer form is over the last axis");
    const cyg_kp_isoftmax p = {.c = (float)(cyg_lower_scale(x, 0) * log2_e),
                               .inv_scale_y = (float)(1.0 / cyg_lower_scale(y, 0)),
                               .sat = cyg_lower_saturation(y)};
    CYG_DO(cyg_lowering_op(l, CYG_KOP_i_softmax, &p, sizeof p));
    return cyg_lowering_first(l, 1);
}

static cyg_status rule_eltwise(cyg_lowering *l)
{
    const cyg_value *a = cyg_lowering_in(l, 0), *b = cyg_lowering_in(l, 1),
                    *y = cyg_lowering_out(l, 0);
    CYG_DO(cyg_lower_one_scale(l, a));
    CYG_DO(cyg_lower_one_scale(l, b));
    CYG_DO(cyg_lower_one_scale(l, y));
    cyg_kp_ieltwise p = {.a_zero = a->quant.zero_point,
                         .b_zero = b->quant.zero_point,
                         .sat = cyg_lower_saturation(y)};
    const double s_a = cyg_lower_scale(a, 0), s_b = cyg_lower_scale(b, 0),
                 s_y = cyg_lower_scale(y, 0);
    if (l->node->op == CYG_OP_mul) {
        p.is_mul = 1;
        p.a_scale = (float)(s_a * s_b / s_y);
    } else {
        p.a_scale = (float)(s_a / s_y);
        p.b_scale = (float)(l->node->op == CYG_OP_sub ? -(s_b / s_y) : s_b / s_y);
    }
    CYG_DO(cyg_lowering_op(l, CYG_KOP_i_eltwise, &p, sizeof p));
    return cyg_lowering_first(l, 2);
}

static cyg_status rule_requant(cyg_lowering *l)
{
    const cyg_value *x = cyg_lowering_in(l, 0), *y = cyg_lowering_out(l, 0);
    const double s_x = cyg_is_quantised(x) ? cyg_lower_scale(x, 0) : 1.0,
                 s_y = cyg_is_quantised(y) ? cyg_lower_scale(y, 0) : 1.0;
    if ((cyg_is_quantised(x) && x->quant.count != 1) ||
        (cyg_is_quantised(y) && y->quant.count != 1))
        return cyg_lowering_unsupported(l, "an operand needs exactly one scale");
    if (cyg_is_quantised(x) && cyg_is_quantised(y) && x->quant.type == y->quant.type &&
        x->quant.zero_point == y->quant.zero_point && s_x == s_y)
        return cyg_lowering_view(l);
    cyg_kp_irequant p = {.x_zero = cyg_is_quantised(x) ? x->quant.zero_point : 0,
                         .k = (float)(s_x / s_y)};
    if (cyg_is_quantised(y))
        p.sat = cyg_lower_saturation(y);
    CYG_DO(cyg_lowering_op(l, CYG_KOP_i_requant, &p, sizeof p));
    return cyg_lowering_first(l, 1);
}

/* The result has the operand's bytes: same type, scale and zero point. */
static cyg_status keeps_quantisation(cyg_lowering *l)
{
    const cyg_value *x = cyg_lowering_in(l, 0), *y = cyg_lowering_out(l, 0);
    CYG_DO(cyg_lower_one_scale(l, x));
    CYG_DO(cyg_lower_one_scale(l, y));
    const double s_x = cyg_lower_scale(x, 0), s_y = cyg_lower_scale(y, 0);
    if (x->quant.type != y->quant.type || s_x < s_y || s_x > s_y ||
        x->quant.zero_point != y->quant.zero_point)
        return cyg_lowering_unsupported(l, "its integer form changes no scale");
    return CYG_OK;
}

static cyg_status rule_pool2d(cyg_lowering *l)
{
    const cyg_value *x = cyg_lowering_in(l, 0), *y = cyg_lowering_out(l, 0);
    cyg_kp_ipool p = {.x_zero = x->quant.zero_point};
    CYG_DO(cyg_lower_pool_geometry(l, &p.geometry));
    CYG_DO(cyg_lower_one_scale(l, x));
    CYG_DO(cyg_lower_one_scale(l, y));
    const double s_x = cyg_lower_scale(x, 0), s_y = cyg_lower_scale(y, 0);
    if (p.geometry.is_max) {
        CYG_DO(keeps_quantisation(l));
        CYG_DO(cyg_lowering_op(l, CYG_KOP_i_pool2d, &p, sizeof p));
        return cyg_lowering_first(l, 1);
    }
    p.sat = cyg_lower_saturation(y);
    const int64_t taps = p.geometry.kh * p.geometry.kw;
    if (p.geometry.kh > 32768 || p.geometry.kw > 32768 || taps > 32768)
        return cyg_lowering_unsupported(l, "the window is too large");
    float *k = CYG_NEW_ARRAY(l->arena, float, taps);
    if (k == NULL)
        return CYG_FAIL(l->ctx, CYG_E_NOMEM, "out of memory");
    for (int64_t i = 0; i < taps; i++)
        k[i] = (float)(s_x / ((double)(i + 1) * s_y));
    CYG_DO(cyg_lowering_op(l, CYG_KOP_i_pool2d, &p, sizeof p));
    CYG_DO(cyg_lowering_operands(l, (const int[]){0, -1}, 2));
    cyg_lowering_constant(l, 1, CYG_TYPE_F32, taps, k);
    return CYG_OK;
}

/* The operand seen as [outer, n, inner] around adjacent reduced axes. */
typedef struct reduced {
    int64_t outer, n, inner;
} reduced;

static cyg_status reduced_shape(cyg_lowering *l, reduced *out)
{
    const cyg_value *x = cyg_lowering_in(l, 0);
    uint32_t mask;
    CYG_DO(cyg_lower_reduce_axes(l, &mask));
    *out = (reduced){1, 1, 1};
    int stage = 0; /* 0 before, 1 inside, 2 behind the reduced axes */
    for (int i = 0; i < x->rank; i++) {
        const bool is_in = (mask >> i & 1) != 0;
        if (is_in && stage == 2 && x->dims[i] != 1)
            return cyg_lowering_unsupported(l, "the reduced axes are not adjacent");
        if (is_in)
            stage = stage == 0 ? 1 : stage;
        else if (stage == 1 && x->dims[i] != 1)
            stage = 2;
        if (is_in)
            out->n *= x->dims[i];
        else if (stage == 0)
            out->outer *= x->dims[i];
        else
            out->inner *= x->dims[i];
    }
    return out->n < 1 ? cyg_lowering_unsupported(l, "nothing to reduce") : CYG_OK;
}

static cyg_status rule_reduce(cyg_lowering *l)
{
    const cyg_value *x = cyg_lowering_in(l, 0), *y = cyg_lowering_out(l, 0);
    reduced r;
    CYG_DO(cyg_lower_one_scale(l, x));
    CYG_DO(cyg_lower_one_scale(l, y));
    CYG_DO(reduced_shape(l, &r));
    const double n = l->node->op == CYG_OP_reduce_mean ? (double)r.n : 1.0;
    const cyg_kp_ireduce p = {.outer = r.outer,
                              .n = r.n,
                              .inner = r.inner,
                              .x_zero = x->quant.zero_point,
                              .k = (float)(cyg_lower_scale(x, 0) / (n * cyg_lower_scale(y, 0))),
                              .sat = cyg_lower_saturation(y)};
    CYG_DO(cyg_lowering_op(l, CYG_KOP_i_reduce_mean, &p, sizeof p));
    return cyg_lowering_first(l, 1);
}

static cyg_status rule_reduce_extreme(cyg_lowering *l)
{
    reduced r;
    CYG_DO(keeps_quantisation(l));
    CYG_DO(reduced_shape(l, &r));
    const cyg_kp_iextreme p = {
        .outer = r.outer, .n = r.n, .inner = r.inner, .is_min = l->node->op == CYG_OP_reduce_min};
    CYG_DO(cyg_lowering_op(l, CYG_KOP_i_reduce_max, &p, sizeof p));
    return cyg_lowering_first(l, 1);
}

static cyg_status rule_resize(cyg_lowering *l)
{
    CYG_DO(keeps_quantisation(l));
    return cyg_lower_resize(l);
}

static cyg_status rule_matmul(cyg_lowering *l)
{
    const cyg_value *a = cyg_lowering_in(l, 0), *b = cyg_lowering_in(l, 1),
                    *y = cyg_lowering_out(l, 0);
    CYG_DO(cyg_lower_one_scale(l, a));
    CYG_DO(cyg_lower_one_scale(l, b));
    const bool to_float = !cyg_is_quantised(y);
    if (!to_float)
        CYG_DO(cyg_lower_one_scale(l, y));
    if (a->rank < 2 || b->rank < 2)
        return cyg_lowering_unsupported(l, "its integer form is a product of matrices");
    const cyg_kp_imatmul p = {.a_zero = a->quant.zero_point,
                              .b_zero = b->quant.zero_point,
                              .k = (float)(cyg_lower_scale(a, 0) * cyg_lower_scale(b, 0) /
                                           (to_float ? 1.0 : cyg_lower_scale(y, 0))),
                              .sat = to_float ? (cyg_isat){0} : cyg_lower_saturation(y)};
    CYG_DO(cyg_lowering_op(l, CYG_KOP_i_matmul, &p, sizeof p));
    l->out->macs = cyg_value_elements(y) * a->dims[a->rank - 1];
    return cyg_lowering_first(l, 2);
}

cyg_lower_rule cyg_lower_int_rule(cyg_op op)
{
    switch ((int)op) {
    case CYG_OP_linear:
        return rule_linear;
    case CYG_OP_conv2d:
        return rule_conv2d;
    case CYG_OP_layer_normalization:
        return rule_layernorm;
    case CYG_OP_attention:
        return rule_attention;
    case CYG_OP_softmax:
        return rule_softmax;
    case CYG_OP_add:
    case CYG_OP_sub:
    case CYG_OP_mul:
        return rule_eltwise;
    case CYG_OP_requant:
        return rule_requant;
    case CYG_OP_reduce_mean:
    case CYG_OP_reduce_sum:
        return rule_reduce;
    case CYG_OP_reduce_max:
    case CYG_OP_reduce_min:
        return rule_reduce_extreme;
    case CYG_OP_resize:
        return rule_resize;
    case CYG_OP_matmul:
        return rule_matmul;
    case CYG_OP_pool2d:
        return rule_pool2d;
    default:
        return (cyg_op_schema_of(op)->flags & CYG_OPF_UNARY) != 0 && op != CYG_OP_cast &&
                       op != CYG_OP_not && op != CYG_OP_fake_quant
                   ? cyg_lower_int_unary
                   : NULL;
    }
}
