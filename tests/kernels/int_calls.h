/* Builders of random, valid calls of the integer operators, shared by the byte test and the witness
 * test. */
#ifndef CYG_TESTS_INT_CALLS_H
#define CYG_TESTS_INT_CALLS_H

#include "kernel_harness.h"

static inline cyg_isat ic_sat(int32_t type)
{
    const int32_t zero = type == CYG_TYPE_U8    ? (int32_t)kh_between(0, 255)
                         : type == CYG_TYPE_U16 ? 30000
                                                : 0;
    const int32_t lo = type == CYG_TYPE_S8 ? -127 : type == CYG_TYPE_S16 ? -32767 : 0;
    return (cyg_isat){(float)(lo - zero), (float)((int32_t)kh_highest(type) - zero), zero, 0};
}

static inline int32_t ic_pick(const int32_t *list, int n)
{
    return list[kh_between(0, n - 1)];
}

#define IC_PICK(...)                                                                               \
    ic_pick((const int32_t[]){__VA_ARGS__}, sizeof((int32_t[]){__VA_ARGS__}) / sizeof(int32_t))

static inline int ic_is_wide(int32_t type)
{
    return type == CYG_TYPE_S16 || type == CYG_TYPE_U16;
}

/* Spread of accumulators with random data: M is chosen so that outputs fill their range. */
static inline float ic_scale(int32_t x_type, int32_t y_type, int64_t k, int32_t act)
{
    const double x = ic_is_wide(x_type) ? 20000 : 100, spread = x * 70 * __builtin_sqrt((double)k);
    if (act != CYG_ACT_NONE || y_type == CYG_TYPE_F32)
        return (float)(2.5 / spread);
    return (float)((ic_is_wide(y_type) ? 15000 : 80) / spread);
}

static inline cyg_kp_ilinear ic_out(int32_t act, int32_t y_type, int32_t r_type)
{
    cyg_kp_ilinear p = {
        .act = act, .act_lo = act == CYG_ACT_LEAKY_RELU ? 0.1f : -0.7f, .act_hi = 1.9f};
    if (act == CYG_ACT_HARDSIGMOID && kh_between(0, 1)) {
        p.act_lo = 0.2f;
        p.act_hi = 0.5f;
    } else if (act == CYG_ACT_HARDSIGMOID) {
        p.act_lo = p.act_hi = 0;
    }
    p.inv_scale_y = ic_is_wide(y_type) ? 4000.0f : 37.0f;
    p.r_scale = ic_is_wide(r_type) ? 0.003f : 0.4f;
    p.r_zero = r_type == CYG_TYPE_U8 ? 131 : 0;
    if (y_type != CYG_TYPE_F32)
        p.sat = ic_sat(y_type);
    return p;
}

static inline void ic_constants(kh_call *c, int32_t x_type, int32_t y_type, int32_t act, int64_t n,
                                int64_t k)
{
    const int wide = ic_is_wide(x_type);
    void *bias = kh_in(c, wide ? CYG_TYPE_S64 : CYG_TYPE_S32, 1, KH_DIMS(n));
    for (int64_t i = 0; i < n; i++) {
        if (wide)
            ((int64_t *)bias)[i] = kh_between(-2000000000, 2000000000);
        else
            ((int32_t *)bias)[i] = (int32_t)kh_between(-20000, 20000);
    }
    const float scale = ic_scale(x_type, y_type, k, act);
    kh_fill_float(kh_in(c, CYG_TYPE_F32, 1, KH_DIMS(n)), n, 0.3f * scale, scale);
}

/* r_rows 0: no residual. */
static inline void ic_linear(kh_call *c, int32_t x_type, int32_t y_type, int32_t act,
                             int32_t r_type, int64_t r_rows, int64_t rows, int64_t n, int64_t k,
                             kh_pattern x, kh_pattern w)
{
    const cyg_kp_ilinear p = ic_out(act, y_type, r_type);
    kh_begin(c, CYG_KOP_i_linear, &p, sizeof p);
    kh_fill_int(x_type, kh_in(c, x_type, 0, KH_DIMS(rows, k)), rows * k, x);
    kh_fill_int(CYG_TYPE_S8, kh_in(c, CYG_TYPE_S8, 1, KH_DIMS(n, k)), n * k, w);
    ic_constants(c, x_type, y_type, act, n, k);
    if (r_rows > 0)
        kh_fill_int(r_type, kh_in(c, r_type, 0, KH_DIMS(r_rows, n)), r_rows * n, KH_RANDOM);
    kh_out(c, y_type, KH_DIMS(rows, n));
}

typedef struct ic_conv {
    int32_t x_type, y_type, act, residual;
    int64_t batch, h, w, c, out_c, group, kh, kw, stride, pad, dilation;
    int wide_weights;
} ic_conv;

static inline void ic_conv2d(kh_call *c, const ic_conv *d, kh_pattern pattern)
{
    cyg_kp_iconv2d p = {.x_zero = d->x_type == CYG_TYPE_U8 ? 113 : 0};
    p.geometry = (cyg_kp_conv){.kh = d->kh,
                               .kw = d->kw,
                               .stride_h = d->stride,
                               .stride_w = d->stride,
                               .pad_t = d->pad,
                               .pad_l = d->pad,
                               .pad_b = d->pad,
                               .pad_r = d->pad,
                               .dilation_h = d->dilation,
                               .dilation_w = d->dilation,
                               .group = d->group};
    p.out = ic_out(d->act, d->y_type, CYG_TYPE_S16);
    kh_begin(c, CYG_KOP_i_conv2d, &p, sizeof p);
    const int64_t group_c = d->c / d->group, k = d->kh * d->kw * group_c;
    const int64_t out_h = (d->h + 2 * d->pad - (d->kh - 1) * d->dilation - 1) / d->stride + 1;
    const int64_t out_w = (d->w + 2 * d->pad - (d->kw - 1) * d->dilation - 1) / d->stride + 1;
    kh_fill_int(d->x_type, kh_in(c, d->x_type, 0, KH_DIMS(d->batch, d->h, d->w, d->c)),
                d->batch * d->h * d->w * d->c, pattern);
    kh_fill_int(CYG_TYPE_S8, kh_in(c, CYG_TYPE_S8, 1, KH_DIMS(d->out_c, d->kh, d->kw, group_c)),
                d->out_c * k, pattern);
    ic_constants(c, d->x_type, d->y_type, d->act, d->out_c, k);
    if (d->residual)
        kh_fill_int(CYG_TYPE_S16, kh_in(c, CYG_TYPE_S16, 0, KH_DIMS(1, out_h, out_w, d->out_c)),
                    out_h * out_w * d->out_c, KH_RANDOM);
    else if (d->wide_weights)
        kh_in(c, CYG_TYPE_NONE, 0, KH_DIMS(0));
    if (d->wide_weights)
        kh_fill_int(CYG_TYPE_S8, kh_in(c, CYG_TYPE_S8, 1, KH_DIMS(d->out_c, d->kh, d->kw, group_c)),
                    d->out_c * k, pattern);
    kh_out(c, d->y_type, KH_DIMS(d->batch, out_h, out_w, d->out_c));
}

/* A pool over windows of up to 4 x 4, strides and pads at random; is_max takes y_type from x. */
static inline void ic_pool2d(kh_call *c, int is_max, int32_t x_type, int32_t y_type,
                             kh_pattern pattern)
{
    cyg_kp_ipool p = {.x_zero = x_type == CYG_TYPE_U8 ? 99 : 0};
    cyg_kp_pool *g = &p.geometry;
    g->is_max = is_max;
    g->count_include_pad = (int32_t)kh_between(0, 1);
    g->kh = kh_between(1, 4);
    g->kw = kh_between(1, 4);
    g->stride_h = kh_between(1, 3);
    g->stride_w = kh_between(1, 3);
    g->dilation_h = kh_between(1, 2);
    g->dilation_w = kh_between(1, 2);
    g->pad_t = kh_between(0, g->kh - 1);
    g->pad_b = kh_between(0, g->kh - 1);
    g->pad_l = kh_between(0, g->kw - 1);
    g->pad_r = kh_between(0, g->kw - 1);
    if (is_max)
        y_type = x_type;
    else
        p.sat = ic_sat(y_type == CYG_TYPE_F32 ? CYG_TYPE_U8 : y_type);
    const int64_t batch = kh_between(1, 2), h = kh_between(8, 12), w = kh_between(8, 12),
                  channels = kh_between(1, 150);
    const int64_t out_h =
        (h + g->pad_t + g->pad_b - (g->kh - 1) * g->dilation_h - 1) / g->stride_h + 1;
    const int64_t out_w =
        (w + g->pad_l + g->pad_r - (g->kw - 1) * g->dilation_w - 1) / g->stride_w + 1;
    kh_begin(c, CYG_KOP_i_pool2d, &p, sizeof p);
    kh_fill_int(x_type, kh_in(c, x_type, 0, KH_DIMS(batch, h, w, channels)),
                batch * h * w * channels, pattern);
    if (!is_max) {
        float *k = kh_in(c, CYG_TYPE_F32, 1, KH_DIMS(g->kh * g->kw));
        for (int64_t i = 0; i < g->kh * g->kw; i++)
            k[i] = 0.87654f / (float)(i + 1);
    }
    kh_out(c, y_type, KH_DIMS(batch, out_h, out_w, channels));
}

typedef struct ic_attention {
    int64_t images, entries, heads, dim, tokens, tables;
    int32_t cosine, e_bits, use_rows, use_mask, y_type;
    kh_pattern pattern;
    int32_t types[3]; /* of q, k, v; NONE = S8 */
} ic_attention;

/* q, k and v are one fused buffer when all are there; rows is a random permutation. */
static inline void ic_attention_call(kh_call *c, const ic_attention *d)
{
    const int64_t channels = d->heads * d->dim, rows = d->images * d->entries * d->tokens;
    const int64_t stride = 3 * channels + 5;
    cyg_kp_iattention p = {.e_bits = d->e_bits, .sat = ic_sat(d->y_type)};
    p.at = (cyg_kp_attention){.heads = d->heads,
                              .head_dim = d->dim,
                              .tokens = d->tokens,
                              .entries = d->entries,
                              .images = d->images,
                              .q_stride = stride,
                              .k_stride = stride,
                              .v_stride = stride,
                              .q_offset = 2,
                              .k_offset = 2 + channels,
                              .v_offset = 5 + 2 * channels,
                              .tables = d->tables,
                              .cosine = d->cosine};
    kh_begin(c, CYG_KOP_i_attention, &p, sizeof p);
    float unit[3];
    for (int i = 0; i < 3; i++) {
        const int32_t type = d->types[i] == CYG_TYPE_NONE ? CYG_TYPE_S8 : d->types[i];
        kh_fill_int(type, kh_in(c, type, 0, KH_DIMS(rows, stride)), rows * stride, d->pattern);
        unit[i] = type == CYG_TYPE_S16 ? 1.0f / 256.0f : 1.0f;
    }
    float *scale = kh_in(c, CYG_TYPE_F32, 1, KH_DIMS(d->heads));
    const float spread =
        d->cosine ? 20.0f : unit[0] * unit[1] * 6.0f / (5400.0f * __builtin_sqrtf((float)d->dim));
    kh_fill_float(scale, d->heads, 0.2f * spread, spread);
    kh_fill_float(kh_in(c, CYG_TYPE_F32, 1, KH_DIMS(d->heads)), d->heads, 0.5f * unit[2],
                  3.0f * unit[2]);
    const int64_t square = d->tokens * d->tokens;
    if (d->tables > 0) {
        float *bias = kh_in(c, CYG_TYPE_F32, 1, KH_DIMS(d->tables, d->heads, d->tokens, d->tokens));
        kh_fill_float(bias, d->tables * d->heads * square, -3.0f, 3.0f);
        for (int64_t i = 0; i < d->tables * d->heads * square; i += 7)
            bias[i] = -144.27f;
    } else {
        kh_in(c, CYG_TYPE_NONE, 0, KH_DIMS(0));
    }
    int64_t *mask = kh_in(c, d->use_mask ? CYG_TYPE_S64 : CYG_TYPE_NONE, 1, KH_DIMS(d->entries));
    for (int64_t i = 0; d->use_mask && i < d->entries; i++)
        mask[i] = kh_between(0, d->tables - 1);
    const int64_t per_image = d->entries * d->tokens;
    int64_t *order =
        kh_in(c, d->use_rows ? CYG_TYPE_S64 : CYG_TYPE_NONE, 1, KH_DIMS(d->entries, d->tokens));
    for (int64_t i = 0; d->use_rows && i < per_image; i++) {
        const int64_t j = kh_between(0, i);
        order[i] = order[j];
        order[j] = i;
    }
    kh_out(c, d->y_type, KH_DIMS(rows, channels));
}

/* [batch.., m, k] x [batch.., k, n]; `shared`: b has no batch of its own. */
typedef struct ic_matmul {
    int32_t a_type, b_type, y_type, shared;
    int64_t batch, heads, m, k, n;
    kh_pattern a, b;
} ic_matmul;

static inline void ic_matmul_call(kh_call *c, const ic_matmul *d)
{
    cyg_kp_imatmul p = {.sat = ic_sat(d->y_type == CYG_TYPE_F32 ? CYG_TYPE_U8 : d->y_type)};
    p.a_zero = d->a_type == CYG_TYPE_U8 ? 131 : d->a_type == CYG_TYPE_U16 ? 30001 : 0;
    p.b_zero = d->b_type == CYG_TYPE_U8 ? 90 : d->b_type == CYG_TYPE_U16 ? 40000 : 0;
    const float a = ic_is_wide(d->a_type) ? 20000.0f : 80.0f,
                b = ic_is_wide(d->b_type) ? 20000.0f : 80.0f;
    p.k = (ic_is_wide(d->y_type) ? 15000.0f : 80.0f) / (a * b * __builtin_sqrtf((float)d->k));
    kh_begin(c, CYG_KOP_i_matmul, &p, sizeof p);
    const int64_t heads = d->heads, all = d->batch * heads;
    kh_fill_int(d->a_type, kh_in(c, d->a_type, 0, KH_DIMS(d->batch, heads, d->m, d->k)),
                all * d->m * d->k, d->a);
    if (d->shared)
        kh_fill_int(d->b_type, kh_in(c, d->b_type, 0, KH_DIMS(heads, d->k, d->n)),
                    heads * d->k * d->n, d->b);
    else
        kh_fill_int(d->b_type, kh_in(c, d->b_type, 0, KH_DIMS(d->batch, heads, d->k, d->n)),
                    all * d->k * d->n, d->b);
    kh_out(c, d->y_type, KH_DIMS(d->batch, heads, d->m, d->n));
}

#endif
