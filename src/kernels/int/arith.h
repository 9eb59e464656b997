/* The element-wise arithmetic of docs/numerics.md in plain C, one element at a time: what `ref`
 * bodies are written with, what SIMD code must reproduce bit for bit.
 *
 * Every line is one binary32 operation (or one cyg_fmaf) in the order of the document; nothing here
 * may be reassociated. Polynomials' coefficients are in poly.h, shared with the SIMD files. No
 * libm: rne by adding and subtracting 1.5 * 2^23 (|g| <= 2^22), floor through int. */
#ifndef CYG_KERNELS_INT_ARITH_H
#define CYG_KERNELS_INT_ARITH_H

#include <stdint.h>
#include <string.h>

#include "kernels/fmaf.h"
#include "kernels/int/poly.h"
#include "kernels/params.h"
#include "base/type.h"

#define CYG_INFINITY __builtin_inff()

CYG_INLINE float cyg_maxf(float g, float lo) /* NaN gives lo */
{
    return g > lo ? g : lo;
}

CYG_INLINE float cyg_minf(float g, float hi)
{
    return g < hi ? g : hi;
}

CYG_INLINE int32_t cyg_rne(float g)
{
    return (int32_t)((g + 12582912.0f) - 12582912.0f);
}

CYG_INLINE int32_t cyg_sat(const cyg_isat *s, float g)
{
    return cyg_rne(cyg_minf(cyg_maxf(g, s->lo), s->hi)) + s->zero;
}

/* a - b as the kernels subtract zero points: modulo 2^32. */
CYG_INLINE int32_t cyg_sub_wrap(int32_t a, int32_t b)
{
    return (int32_t)((uint32_t)a - (uint32_t)b);
}

/* Element i of a quantised or s32 buffer. */
CYG_INLINE int32_t cyg_load_q(int32_t type, const void *data, int64_t i)
{
    switch (type) {
    case CYG_TYPE_U8:
        return ((const uint8_t *)data)[i];
    case CYG_TYPE_S8:
        return ((const int8_t *)data)[i];
    case CYG_TYPE_U16:
        return ((const uint16_t *)data)[i];
    case CYG_TYPE_S16:
        return ((const int16_t *)data)[i];
    default:
        return ((const int32_t *)data)[i];
    }
}

CYG_INLINE void cyg_store_q(int32_t type, void *data, int64_t i, int32_t v)
{
    if (type == CYG_TYPE_U8 || type == CYG_TYPE_S8)
        ((uint8_t *)data)[i] = (uint8_t)v;
    else
        ((uint16_t *)data)[i] = (uint16_t)v;
}

/* The end of every integer operator: y[i] = sat(rne(g)) + z, or g itself when y is f32. */
CYG_INLINE void cyg_store_out(int32_t type, void *data, int64_t i, const cyg_isat *s, float g)
{
    if (type == CYG_TYPE_F32)
        ((float *)data)[i] = g;
    else
        cyg_store_q(type, data, i, cyg_sat(s, g));
}

/* (float)x minus a zero point; f32 inputs have none. */
CYG_INLINE float cyg_load_centred(int32_t type, const void *data, int64_t i, int32_t zero)
{
    if (type == CYG_TYPE_F32)
        return ((const float *)data)[i];
    return (float)cyg_sub_wrap(cyg_load_q(type, data, i), zero);
}

/* 2^t for -24 <= t <= 0. */
CYG_INLINE float cyg_exp2(float t)
{
    int32_t n = (int32_t)t;
    if ((float)n > t)
        n--;
    const float f = t - (float)n;
    float p = CYG_EXP2_C5;
    p = cyg_fmaf(p, f, CYG_EXP2_C4);
    p = cyg_fmaf(p, f, CYG_EXP2_C3);
    p = cyg_fmaf(p, f, CYG_EXP2_C2);
    p = cyg_fmaf(p, f, CYG_EXP2_C1);
    p = cyg_fmaf(p, f, CYG_EXP2_C0);
    uint32_t bits;
    memcpy(&bits, &p, sizeof bits);
    bits += (uint32_t)n << 23;
    memcpy(&p, &bits, sizeof p);
    return p;
}

/* e of attention and softmax: rne(q * exp2(max(d, -24))), d = t - t_max. */
CYG_INLINE int32_t cyg_exp_int(float d, float q)
{
    return cyg_rne(q * cyg_exp2(cyg_maxf(d, -24.0f)));
}

/* x * Phi(x) with Phi's polynomial in v = x^2 - 10.125 for |x| < 4.5; x or 0 outside. c:
 * CYG_GELU_*. */
CYG_INLINE float cyg_gelu_poly(float x, const float c[10])
{
    const float v = cyg_fmaf(x, x, -CYG_GELU_CENTRE);
    float p = c[9];
    for (int i = 8; i >= 0; i--)
        p = cyg_fmaf(p, v, c[i]);
    float h = x * cyg_fmaf(x, p, 0.5f);
    h = x >= CYG_GELU_LIMIT ? x : h;
    return x <= -CYG_GELU_LIMIT ? 0.0f : h;
}

/* exp(-|x| * k / log2 e), at least 2^-24. */
CYG_INLINE float cyg_exp_minus_abs(float x, float k)
{
    const float a = x < 0 ? x : -x;
    return cyg_exp2(cyg_maxf(a * k, -24.0f));
}

CYG_INLINE float cyg_sigmoid_poly(float x)
{
    const float e = cyg_exp_minus_abs(x, CYG_LOG2E);
    const float d = 1.0f / (1.0f + e);
    return x < 0 ? e * d : d;
}

CYG_INLINE float cyg_tanh_poly(float x)
{
    const float e = cyg_exp_minus_abs(x, 2 * CYG_LOG2E);
    const float h = (1.0f - e) / (1.0f + e);
    return x < 0 ? -h : h;
}

/* An activation on a real pre-activation. lo, hi: clip's limits; leaky_relu's slope is lo;
 * hardsigmoid is clamp(lo * x + hi), both 0 meaning 1/6 and 1/2. */
CYG_INLINE float cyg_act_apply(int32_t act, float lo, float hi, float x)
{
    static const float gelu_erf[10] = {CYG_GELU_ERF_COEFFICIENTS};
    static const float gelu_tanh[10] = {CYG_GELU_TANH_COEFFICIENTS};
    switch (act) {
    case CYG_ACT_RELU:
        return cyg_maxf(x, 0.0f);
    case CYG_ACT_CLIP:
        return cyg_minf(cyg_maxf(x, lo), hi);
    case CYG_ACT_GELU_ERF:
        return cyg_gelu_poly(x, gelu_erf);
    case CYG_ACT_GELU_TANH:
        return cyg_gelu_poly(x, gelu_tanh);
    case CYG_ACT_SILU:
        return x * cyg_sigmoid_poly(x);
    case CYG_ACT_SIGMOID:
        return cyg_sigmoid_poly(x);
    case CYG_ACT_TANH:
        return cyg_tanh_poly(x);
    case CYG_ACT_HARDSWISH:
        return x * cyg_minf(cyg_maxf(cyg_fmaf(x, CYG_SIXTH, 0.5f), 0.0f), 1.0f);
    case CYG_ACT_HARDSIGMOID:
        if (lo == 0.0f && hi == 0.0f) {
            lo = CYG_SIXTH;
            hi = 0.5f;
        }
        return cyg_minf(cyg_maxf(cyg_fmaf(x, lo, hi), 0.0f), 1.0f);
    case CYG_ACT_LEAKY_RELU:
        return x < 0 ? x * lo : x;
    default:
        return x;
    }
}

/* The epilogue of linear and conv: f is (float)acc, r the centred residual (has_r). */
CYG_INLINE float cyg_linear_out(const cyg_kp_ilinear *p, int32_t y_type, float f, float m,
                                int has_r, float r)
{
    float g = f * m;
    if (p->act != CYG_ACT_NONE) {
        g = cyg_act_apply(p->act, p->act_lo, p->act_hi, g);
        if (y_type != CYG_TYPE_F32)
            g = g * p->inv_scale_y;
    }
    return has_r ? cyg_fmaf(r, p->r_scale, g) : g;
}

CYG_INLINE float cyg_eltwise_out(const cyg_kp_ieltwise *p, float a, float b)
{
    if (p->is_mul)
        return (a * b) * p->a_scale;
    return cyg_fmaf(a, p->a_scale, b * p->b_scale);
}

/* Per-row scalars of layer normalisation, in binary64 (correctly rounded everywhere). s1, s2: exact
 * sums of x and x^2. */
typedef struct cyg_layernorm_row {
    float mean, rstd;
} cyg_layernorm_row;

CYG_INLINE cyg_layernorm_row cyg_layernorm_stats(int64_t channels, double eps, int64_t s1,
                                                 int64_t s2)
{
    const double c = (double)channels;
    const double v = (double)(channels * s2 - s1 * s1) / (c * c);
    const cyg_layernorm_row row = {(float)((double)s1 / c), (float)(1.0 / __builtin_sqrt(v + eps))};
    return row;
}

/* 1 / |row| of cosine attention from the exact sum of squares. */
CYG_INLINE float cyg_inverse_norm(int64_t squares)
{
    return (float)(1.0 / __builtin_sqrt((double)(squares > 1 ? squares : 1)));
}

#endif
