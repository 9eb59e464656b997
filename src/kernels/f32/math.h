/* Scalar float functions, written so that every compiler and processor gives the same bits: each
 * line is one IEEE operation in binary32 (or, where a double is named, binary64), fma only where
 * cyg_fmaf stands, no libm. Inner loops over them vectorise because they have no branches, only
 * selects. Worst errors: docs/kernels.md, found by tests/kernels/test_f32_math.
 *
 * A NaN in gives a NaN out (which one is not part of the contract), except where max, min and clip
 * choose their limit. */
#ifndef CYG_KERNELS_F32_MATH_H
#define CYG_KERNELS_F32_MATH_H

#include <stdint.h>
#include <string.h>

#include "base/attr.h"
#include "base/type.h"
#include "kernels/fmaf.h"
#include "kernels/params.h"

CYG_INLINE uint32_t cyg_f32_bits(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}
CYG_INLINE float cyg_f32_from(uint32_t u)
{
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}
CYG_INLINE uint64_t cyg_f64_bits(double x)
{
    uint64_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}
CYG_INLINE double cyg_f64_from(uint64_t u)
{
    double x;
    memcpy(&x, &u, sizeof x);
    return x;
}

/* Compare and select: a NaN in x gives the limit, -0 and +0 count as equal (the second stays). */
CYG_INLINE float cyg_maxf(float x, float limit)
{
    return x > limit ? x : limit;
}
CYG_INLINE float cyg_minf(float x, float limit)
{
    return x < limit ? x : limit;
}
/* Clip that keeps a NaN. */
CYG_INLINE float cyg_clipf(float x, float lo, float hi)
{
    const float a = x < lo ? lo : x;
    return a > hi ? hi : a;
}
CYG_INLINE float cyg_absf(float x)
{
    return cyg_f32_from(cyg_f32_bits(x) & 0x7fffffffu);
}
CYG_INLINE float cyg_copysignf(float x, float sign)
{
    return cyg_f32_from((cyg_f32_bits(x) & 0x7fffffffu) | (cyg_f32_bits(sign) & 0x80000000u));
}
/* Round to nearest even for any float (2^23 and above are integers already). */
CYG_INLINE float cyg_rintf(float x)
{
    const float t = cyg_absf(x);
    const float r = (t + 8388608.0f) - 8388608.0f;
    return cyg_copysignf(t < 8388608.0f ? r : t, x);
}
CYG_INLINE float cyg_floorf(float x)
{
    const float r = cyg_rintf(x);
    return r > x ? r - 1.0f : r;
}
CYG_INLINE float cyg_ceilf(float x)
{
    const float r = cyg_rintf(x);
    return cyg_copysignf(r < x ? r + 1.0f : r, x);
}

/* 2^n for -126 <= n <= 127. */
CYG_INLINE float cyg_pow2i(int32_t n)
{
    return cyg_f32_from((uint32_t)(n + 127) << 23);
}

/* exp(x) = 2^n (1 + r + r^2 P(r)), n = rne(x log2 e), |r| <= ln 2 / 2, P of degree 5: what stands
 * in brackets, and n. */
CYG_INLINE float cyg_exp_fraction(float x, int32_t *out_n)
{
    const float z = cyg_fmaf(x, 0x1.715476p+0f, 12582912.0f);
    const float n = z - 12582912.0f;
    float r = cyg_fmaf(n, -0x1.62e430p-1f, x);
    r = cyg_fmaf(n, 0x1.05c610p-29f, r);
    float p = 0x1.a124f2p-13f;
    p = cyg_fmaf(p, r, 0x1.6d4324p-10f);
    p = cyg_fmaf(p, r, 0x1.1110e0p-7f);
    p = cyg_fmaf(p, r, 0x1.5554eap-5f);
    p = cyg_fmaf(p, r, 0x1.555556p-3f);
    p = cyg_fmaf(p, r, 0.5f);
    *out_n = (int32_t)(cyg_f32_bits(z) - 0x4b400000u);
    return cyg_fmaf(p, r * r, r) + 1.0f;
}
/* Scaled in two steps, so that denormal results are rounded once and overflow gives infinity. */
CYG_INLINE float cyg_expf(float x)
{
    int32_t n;
    const float p = cyg_exp_fraction(cyg_minf(cyg_maxf(x, -104.0f), 89.0f), &n);
    const int32_t half = n >> 1;
    const float y = p * cyg_pow2i(half) * cyg_pow2i(n - half);
    return x != x ? x : y;
}
/* The same where -87 <= x <= 88: what could matter only outside is left out. A NaN stays. */
CYG_INLINE float cyg_exp_near(float x)
{
    int32_t n;
    const float p = cyg_exp_fraction(x, &n);
    return p * cyg_pow2i(n);
}

/* erf: x + x P(x^2) up to 0.875; above, 1 - exp(R(|x|)) with R a fit of log(erfc). */
CYG_INLINE float cyg_erff(float x)
{
    const float a = cyg_absf(x), t = cyg_minf(a, 4.0f), s = t * t;
    float p = 0x1.6c8020p-14f;
    p = cyg_fmaf(p, s, -0x1.aeae1ap-11f);
    p = cyg_fmaf(p, s, 0x1.553fc8p-8f);
    p = cyg_fmaf(p, s, -0x1.b81a2ap-6f);
    p = cyg_fmaf(p, s, 0x1.ce2e8ap-4f);
    p = cyg_fmaf(p, s, -0x1.812744p-2f);
    p = cyg_fmaf(p, s, 0x1.06eba8p-3f);
    const float low = cyg_fmaf(p, t, t);
    float r = 0x1.b88886p-20f;
    r = cyg_fmaf(r, t, -0x1.82e04ap-15f);
    r = cyg_fmaf(r, t, 0x1.391452p-11f);
    r = cyg_fmaf(r, t, -0x1.37f858p-8f);
    r = cyg_fmaf(r, t, 0x1.b0dd94p-6f);
    r = cyg_fmaf(r, t, -0x1.c2dab2p-4f);
    r = cyg_fmaf(r, t, -0x1.4380dap-1f);
    r = cyg_fmaf(r, t, -0x1.215606p+0f);
    r = cyg_fmaf(r, t, 0x1.4a768cp-12f);
    const float high = 1.0f - cyg_exp_near(r); /* -19 < r < 1 */
    const float y = t < 0.875f ? low : high;
    return x != x ? x : cyg_copysignf(y, x);
}

/* tanh: x + x^3 P(x^2) below 0.625; above, 1 - 2 / (exp(2|x|) + 1). */
CYG_INLINE float cyg_tanhf(float x)
{
    const float a = cyg_absf(x), s = a * a;
    float p = -0x1.8f8de4p-8f;
    p = cyg_fmaf(p, s, 0x1.58048ep-6f);
    p = cyg_fmaf(p, s, -0x1.b9258ap-5f);
    p = cyg_fmaf(p, s, 0x1.110e1cp-3f);
    p = cyg_fmaf(p, s, -0x1.555552p-2f);
    const float low = cyg_fmaf(p, s * a, a);
    const float high = 1.0f - 2.0f / (cyg_expf(a + a) + 1.0f);
    return x != x ? x : cyg_copysignf(a < 0.625f ? low : high, x);
}

CYG_INLINE float cyg_sigmoidf(float x)
{
    return 1.0f / (1.0f + cyg_expf(-x));
}
CYG_INLINE float cyg_siluf(float x)
{
    return x / (1.0f + cyg_expf(-x));
}
CYG_INLINE float cyg_geluf(float x)
{
    return (0.5f * x) * (1.0f + cyg_erff(x * 0x1.6a09e6p-1f));
}
CYG_INLINE float cyg_gelu_tanhf(float x)
{
    const float u = cyg_fmaf((x * x) * x, 0.044715f, x);
    return (0.5f * x) * (1.0f + cyg_tanhf(u * 0x1.988454p-1f));
}
CYG_INLINE float cyg_hardsigmoidf(float x, float alpha, float beta)
{
    return cyg_clipf(alpha * x + beta, 0.0f, 1.0f);
}
CYG_INLINE float cyg_hardswishf(float x)
{
    return x * cyg_hardsigmoidf(x, 0x1.555556p-3f, 0.5f);
}

/* ---- through binary64: products and sums only, no fma ---- */

/* log x = e ln 2 + 2 atanh(s), s = (m - 1) / (m + 1), m in [sqrt(1/2), sqrt(2)); the series to s^17
 * errs by 1e-14. x finite and positive (floats are normal numbers in binary64). */
CYG_INLINE double cyg_log_core(double x)
{
    const uint64_t bits =
        cyg_f64_bits(x) + 0x95f6199000000ull; /* 0x3ff0... - bits(sqrt(1/2)) in the fraction */
    const int64_t e = (int64_t)(bits >> 52) - 1023;
    const double m = cyg_f64_from(cyg_f64_bits(x) - ((uint64_t)e << 52));
    const double s = (m - 1.0) / (m + 1.0), q = s * s;
    double p = 2.0 / 17.0;
    p = p * q + 2.0 / 15.0;
    p = p * q + 2.0 / 13.0;
    p = p * q + 2.0 / 11.0;
    p = p * q + 2.0 / 9.0;
    p = p * q + 2.0 / 7.0;
    p = p * q + 2.0 / 5.0;
    p = p * q + 2.0 / 3.0;
    p = p * q;
    return (double)(int32_t)e * 0x1.62e42fefa39efp-1 + (s * p + (s + s));
}
CYG_INLINE float cyg_logf(float x)
{
    const float inf = cyg_f32_from(0x7f800000u);
    if (x > 0.0f && x < inf)
        return (float)cyg_log_core((double)x);
    if (x == 0.0f)
        return -inf;
    return x > 0.0f ? x : cyg_f32_from(0x7fc00000u);
}

/* exp in binary64, |x| <= 700; Taylor to r^12 on |r| <= ln 2 / 2. */
CYG_INLINE double cyg_exp_core(double x)
{
    const double z = x * 0x1.71547652b82fep+0 + 6755399441055744.0;
    const double n = z - 6755399441055744.0;
    const double r = (x - n * 0x1.62e42feep-1) - n * 0x1.a39ef35793c76p-33;
    double p = 1.0 / 479001600.0;
    p = p * r + 1.0 / 39916800.0;
    p = p * r + 1.0 / 3628800.0;
    p = p * r + 1.0 / 362880.0;
    p = p * r + 1.0 / 40320.0;
    p = p * r + 1.0 / 5040.0;
    p = p * r + 1.0 / 720.0;
    p = p * r + 1.0 / 120.0;
    p = p * r + 1.0 / 24.0;
    p = p * r + 1.0 / 6.0;
    p = p * r + 0.5;
    p = p * r + 1.0;
    p = p * r + 1.0;
    const int64_t i = (int64_t)(cyg_f64_bits(z) - 0x4338000000000000ull);
    return p * cyg_f64_from((uint64_t)(i + 1023) << 52);
}

/* softplus = log(1 + exp x). */
CYG_INLINE float cyg_softplusf(float x)
{
    if (x != x || x > 40.0f)
        return x;
    if (x < -87.0f)
        return cyg_expf(x);
    const double e = cyg_exp_core((double)x);
    if (e < 1e-6)
        return (float)(e - 0.5 * e * e);
    return (float)cyg_log_core(1.0 + e);
}
CYG_INLINE float cyg_mishf(float x)
{
    return x * cyg_tanhf(cyg_softplusf(x));
}

/* sin and cos: reduction by pi/2 in binary64, series to r^15 and r^14. Accurate for |x| <= 10^6;
 * for more than 2^30 the angle counts as 0; infinities give NaN. quarter is 0 for sin, 1 for cos.
 */
CYG_INLINE float cyg_sincosf(float x, int64_t quarter)
{
    if (!(cyg_absf(x) < cyg_f32_from(0x7f800000u)))
        return cyg_f32_from(0x7fc00000u);
    const double v = cyg_absf(x) <= 1073741824.0f ? (double)x : 0.0;
    const double z = v * 0x1.45f306dc9c883p-1 + 6755399441055744.0;
    const double n = z - 6755399441055744.0;
    const double r = ((v - n * 0x1.921fb544p+0) - n * 0x1.0b4611a4p-34) - n * 0x1.13198a2e03707p-65;
    const int64_t turn = (int64_t)(cyg_f64_bits(z) - 0x4338000000000000ull) + quarter;
    const double q = r * r;
    double s = -1.0 / 1307674368000.0;
    s = s * q + 1.0 / 6227020800.0;
    s = s * q - 1.0 / 39916800.0;
    s = s * q + 1.0 / 362880.0;
    s = s * q - 1.0 / 5040.0;
    s = s * q + 1.0 / 120.0;
    s = s * q - 1.0 / 6.0;
    s = s * q * r + r;
    double c = -1.0 / 87178291200.0;
    c = c * q + 1.0 / 479001600.0;
    c = c * q - 1.0 / 3628800.0;
    c = c * q + 1.0 / 40320.0;
    c = c * q - 1.0 / 720.0;
    c = c * q + 1.0 / 24.0;
    c = c * q - 0.5;
    c = c * q + 1.0;
    const double y = (turn & 1) != 0 ? c : s;
    return (float)((turn & 2) != 0 ? -y : y);
}

/* pow, C's rules for the special cases. */
CYG_INLINE float cyg_powf(float x, float y)
{
    const float inf = cyg_f32_from(0x7f800000u);
    if (y == 0.0f || x == 1.0f)
        return 1.0f;
    if (x != x || y != y)
        return cyg_f32_from(0x7fc00000u);
    if (y == 2.0f)
        return x * x;
    const float a = cyg_absf(x), ay = cyg_absf(y);
    const int whole = ay >= 8388608.0f || cyg_rintf(ay) == ay;
    const int odd = whole && ay < 16777216.0f && (((int32_t)ay) & 1) != 0;
    float r;
    if (a == 0.0f || a == inf)
        r = (a == 0.0f) == (y > 0.0f) ? 0.0f : inf;
    else if (ay == inf)
        r = a == 1.0f ? 1.0f : ((a > 1.0f) == (y > 0.0f) ? inf : 0.0f);
    else {
        const double t = (double)y * cyg_log_core((double)a);
        r = t > 700.0 ? inf : t < -700.0 ? 0.0f : (float)cyg_exp_core(t);
    }
    if (cyg_f32_bits(x) >> 31 == 0)
        return r;
    if (!whole && a != 0.0f && a != inf)
        return cyg_f32_from(0x7fc00000u);
    return odd ? -r : r;
}

/* The activation that linear and conv carry. hardsigmoid: lo and hi are alpha and beta (both 0: 1/6
 * and 1/2). */
CYG_INLINE float cyg_act_f32(int32_t act, float x, float lo, float hi)
{
    switch (act) {
    case CYG_ACT_RELU:
        return x < 0.0f ? 0.0f : x;
    case CYG_ACT_GELU_ERF:
        return cyg_geluf(x);
    case CYG_ACT_GELU_TANH:
        return cyg_gelu_tanhf(x);
    case CYG_ACT_CLIP:
        return cyg_clipf(x, lo, hi);
    case CYG_ACT_SILU:
        return cyg_siluf(x);
    case CYG_ACT_SIGMOID:
        return cyg_sigmoidf(x);
    case CYG_ACT_TANH:
        return cyg_tanhf(x);
    case CYG_ACT_HARDSWISH:
        return cyg_hardswishf(x);
    case CYG_ACT_HARDSIGMOID:
        return lo == 0.0f && hi == 0.0f ? cyg_hardsigmoidf(x, 0x1.555556p-3f, 0.5f)
                                        : cyg_hardsigmoidf(x, lo, hi);
    case CYG_ACT_LEAKY_RELU:
        return x < 0.0f ? x * lo : x;
    default:
        return x;
    }
}

#endif
