/* The row functions of a level, one text for all levels: f32/lanes__c.c and x86/lanes_f32__*.c
 * define CYG_LANES(name) and include this.
 *
 * Each loop is written over independent elements (or over 16 partials), so the compiler of each
 * level vectorises it as far as that level's registers go; every operation is a single IEEE one, so
 * the bytes are the same whatever it makes of it. Row sums: element i is added to partial i mod 16,
 * then partials fold 16 -> 8 -> 4 -> 2 -> 1, p[j] + p[j + half]. */
#include "kernels/f32/math.h"
#include "kernels/microkernels.h"
#include "kernels/dispatch.h"

enum { LANES = 16 };

#define CYG_FOLD(p, OP)                                                                            \
    do {                                                                                           \
        for (int half_ = LANES / 2; half_ > 0; half_ /= 2)                                         \
            for (int j_ = 0; j_ < half_; j_++)                                                     \
                (p)[j_] = OP((p)[j_], (p)[j_ + half_]);                                            \
    } while (0)
#define CYG_OP_ADD(a, b) ((a) + (b))
#define CYG_OP_MUL(a, b) ((a) * (b))

/* dst[i] = f(src[i]) with a whole block of 16 at a time: the form that all compilers vectorise. */
#define CYG_MAP(n, dst, x, src, expr)                                                              \
    do {                                                                                           \
        for (int64_t i_ = 0; i_ < (n); i_++) {                                                     \
            const float x = (src)[i_];                                                             \
            (dst)[i_] = (expr);                                                                    \
        }                                                                                          \
    } while (0)

static void apply_act(int32_t act, float lo, float hi, int64_t n, float *y)
{
    switch (act) {
#define CYG_CASE(id)                                                                               \
    case CYG_ACT_##id:                                                                             \
        CYG_MAP(n, y, v, y, cyg_act_f32(CYG_ACT_##id, v, lo, hi));                                 \
        break;
        CYG_CASE(RELU)
        CYG_CASE(GELU_ERF)
        CYG_CASE(GELU_TANH)
        CYG_CASE(CLIP)
        CYG_CASE(SILU)
        CYG_CASE(SIGMOID)
        CYG_CASE(TANH)
        CYG_CASE(HARDSWISH)
        CYG_CASE(HARDSIGMOID)
        CYG_CASE(LEAKY_RELU)
#undef CYG_CASE
    default:
        break;
    }
}

void CYG_LANES(cyg_f32_finish)(const cyg_f32_finish *f, int64_t n, const float *bias,
                               int64_t bias_step, const float *residual, float *y)
{
    if (bias != NULL && bias_step == 0) {
        const float b = bias[0];
        CYG_MAP(n, y, v, y, v + b);
    } else if (bias != NULL) {
        for (int64_t i = 0; i < n; i++)
            y[i] = y[i] + bias[i];
    }
    apply_act(f->act, f->lo, f->hi, n, y);
    if (residual != NULL)
        for (int64_t i = 0; i < n; i++)
            y[i] = y[i] + residual[i];
    apply_act(f->post_act, f->lo, f->hi, n, y);
}

void CYG_LANES(cyg_f32_unary)(int32_t fn, float alpha, float beta, int64_t n, const float *x,
                              float *y)
{
    const float one = 1.0f;
    switch (fn) {
#define CYG_CASE(id, expr)                                                                         \
    case CYG_FN_##id:                                                                              \
        CYG_MAP(n, y, v, x, expr);                                                                 \
        break;
        CYG_CASE(ABS, cyg_absf(v))
        CYG_CASE(CEIL, cyg_ceilf(v))
        CYG_CASE(COS, cyg_sincosf(v, 1))
        CYG_CASE(ERF, cyg_erff(v))
        CYG_CASE(EXP, cyg_expf(v))
        CYG_CASE(FLOOR, cyg_floorf(v))
        CYG_CASE(HARDSWISH, cyg_hardswishf(v))
        CYG_CASE(LOG, cyg_logf(v))
        CYG_CASE(MISH, cyg_mishf(v))
        CYG_CASE(NEG, -v)
        CYG_CASE(NOT, v == 0.0f ? one : 0.0f)
        CYG_CASE(RECIPROCAL, one / v)
        CYG_CASE(RELU, cyg_act_f32(CYG_ACT_RELU, v, 0, 0))
        CYG_CASE(ROUND, cyg_rintf(v))
        CYG_CASE(SIGMOID, cyg_sigmoidf(v))
        CYG_CASE(SIGN, v > 0.0f ? one : v < 0.0f ? -one : v)
        CYG_CASE(SIN, cyg_sincosf(v, 0))
        CYG_CASE(SOFTPLUS, cyg_softplusf(v))
        CYG_CASE(SQRT, __builtin_sqrtf(v))
        CYG_CASE(TANH, cyg_tanhf(v))
        CYG_CASE(ELU, v < 0.0f ? alpha * (cyg_expf(v) - one) : v)
        CYG_CASE(GELU_ERF, cyg_geluf(v))
        CYG_CASE(GELU_TANH, cyg_gelu_tanhf(v))
        CYG_CASE(HARDSIGMOID, cyg_hardsigmoidf(v, alpha, beta))
        CYG_CASE(LEAKY_RELU, v < 0.0f ? v * alpha : v)
        CYG_CASE(SILU, cyg_siluf(v))
#undef CYG_CASE
    default:
        break;
    }
}

#define CYG_PAIR(expr)                                                                             \
    do {                                                                                           \
        if (a_step == 0) {                                                                         \
            const float va = a[0];                                                                 \
            for (int64_t i = 0; i < n; i++) {                                                      \
                const float vb = b[i * b_step];                                                    \
                y[i] = (expr);                                                                     \
            }                                                                                      \
        } else if (b_step == 0) {                                                                  \
            const float vb = b[0];                                                                 \
            for (int64_t i = 0; i < n; i++) {                                                      \
                const float va = a[i];                                                             \
                y[i] = (expr);                                                                     \
            }                                                                                      \
        } else {                                                                                   \
            for (int64_t i = 0; i < n; i++) {                                                      \
                const float va = a[i], vb = b[i];                                                  \
                y[i] = (expr);                                                                     \
            }                                                                                      \
        }                                                                                          \
    } while (0)

void CYG_LANES(cyg_f32_binary)(int32_t fn, int64_t n, const float *a, int64_t a_step,
                               const float *b, int64_t b_step, float *y)
{
    switch (fn) {
    case CYG_BFN_ADD:
        CYG_PAIR(va + vb);
        break;
    case CYG_BFN_SUB:
        CYG_PAIR(va - vb);
        break;
    case CYG_BFN_MUL:
        CYG_PAIR(va * vb);
        break;
    case CYG_BFN_DIV:
        CYG_PAIR(va / vb);
        break;
    case CYG_BFN_MAX:
        CYG_PAIR(cyg_maxf(va, vb));
        break;
    case CYG_BFN_MIN:
        CYG_PAIR(cyg_minf(va, vb));
        break;
    case CYG_BFN_PRELU:
        CYG_PAIR(va < 0.0f ? va * vb : va);
        break;
    default:
        break;
    }
}

void CYG_LANES(cyg_f32_fma)(int64_t n, const float *a, int64_t a_step, const float *b,
                            int64_t b_step, float *acc)
{
    if (b_step == 0) {
        const float w = b[0];
        if (a_step == 1)
            for (int64_t i = 0; i < n; i++)
                acc[i] = cyg_fmaf(a[i], w, acc[i]);
        else
            for (int64_t i = 0; i < n; i++)
                acc[i] = cyg_fmaf(a[i * a_step], w, acc[i]);
    } else if (a_step == 1) {
        for (int64_t i = 0; i < n; i++)
            acc[i] = cyg_fmaf(a[i], b[i], acc[i]);
    } else {
        for (int64_t i = 0; i < n; i++)
            acc[i] = cyg_fmaf(a[i * a_step], b[i], acc[i]);
    }
}

/* Partials of a row; expr sees v (element) and p (its partial). */
#define CYG_PARTIALS(part, init, n, src, expr)                                                     \
    float part[LANES];                                                                             \
    do {                                                                                           \
        for (int j_ = 0; j_ < LANES; j_++)                                                         \
            part[j_] = (init);                                                                     \
        int64_t i_ = 0;                                                                            \
        for (; i_ + LANES <= (n); i_ += LANES)                                                     \
            for (int j_ = 0; j_ < LANES; j_++) {                                                   \
                const float v = (src)[i_ + j_], p = part[j_];                                      \
                part[j_] = (expr);                                                                 \
            }                                                                                      \
        for (int j_ = 0; i_ + j_ < (n); j_++) {                                                    \
            const float v = (src)[i_ + j_], p = part[j_];                                          \
            part[j_] = (expr);                                                                     \
        }                                                                                          \
    } while (0)

static float row_sum(int64_t n, const float *x)
{
    CYG_PARTIALS(part, 0.0f, n, x, p + v);
    CYG_FOLD(part, CYG_OP_ADD);
    return part[0];
}
static float row_max(int64_t n, const float *x)
{
    CYG_PARTIALS(part, cyg_f32_from(0xff800000u), n, x, cyg_maxf(v, p));
    CYG_FOLD(part, cyg_maxf);
    return part[0];
}
static float row_min(int64_t n, const float *x)
{
    CYG_PARTIALS(part, cyg_f32_from(0x7f800000u), n, x, cyg_minf(v, p));
    CYG_FOLD(part, cyg_minf);
    return part[0];
}
static float row_prod(int64_t n, const float *x)
{
    CYG_PARTIALS(part, 1.0f, n, x, p * v);
    CYG_FOLD(part, CYG_OP_MUL);
    return part[0];
}
static float row_squares(int64_t n, const float *x)
{
    CYG_PARTIALS(part, 0.0f, n, x, cyg_fmaf(v, v, p));
    CYG_FOLD(part, CYG_OP_ADD);
    return part[0];
}
/* Sum of (x - mean)^2. */
static float row_spread(int64_t n, const float *x, float mean)
{
    CYG_PARTIALS(part, 0.0f, n, x, cyg_fmaf(v - mean, v - mean, p));
    CYG_FOLD(part, CYG_OP_ADD);
    return part[0];
}

float CYG_LANES(cyg_f32_reduce)(int32_t fn, int64_t n, const float *x)
{
    switch (fn) {
    case CYG_REDUCE_MEAN:
        return row_sum(n, x) / (float)n;
    case CYG_REDUCE_SUM:
        return row_sum(n, x);
    case CYG_REDUCE_MAX:
        return row_max(n, x);
    case CYG_REDUCE_MIN:
        return row_min(n, x);
    case CYG_REDUCE_PROD:
        return row_prod(n, x);
    default:
        return __builtin_sqrtf(row_squares(n, x));
    }
}

void CYG_LANES(cyg_f32_layernorm)(int64_t n, const float *x, const float *gamma, const float *beta,
                                  float epsilon, float *y)
{
    const float count = (float)n;
    const float mean = row_sum(n, x) / count;
    const float variance = row_spread(n, x, mean) / count;
    const float scale = 1.0f / __builtin_sqrtf(variance + epsilon);
    if (beta != NULL)
        for (int64_t i = 0; i < n; i++)
            y[i] = cyg_fmaf((x[i] - mean) * scale, gamma[i], beta[i]);
    else
        for (int64_t i = 0; i < n; i++)
            y[i] = ((x[i] - mean) * scale) * gamma[i];
}

/* exp(d), d <= 0, where it is a share of a sum of at least 1: below exp(-87), which is where
 * denormals begin, it is zero. Window attention masks with -100; every product with a denormal
 * would cost a hundred cycles, and none of them could change a sum. A NaN stays. */
CYG_INLINE float softmax_share(float d)
{
    const float least = -87.0f;
    const float e = cyg_exp_near(d < least ? least : d);
    return d < least ? 0.0f : e;
}

void CYG_LANES(cyg_f32_softmax)(int64_t n, const float *x, float c, const float *bias,
                                int32_t is_log, float *y)
{
    if (bias != NULL)
        for (int64_t i = 0; i < n; i++)
            y[i] = cyg_fmaf(x[i], c, bias[i]);
    else
        CYG_MAP(n, y, v, x, v * c);
    const float top = row_max(n, y);
    if (is_log != 0) {
        CYG_PARTIALS(part, 0.0f, n, y, p + softmax_share(v - top));
        CYG_FOLD(part, CYG_OP_ADD);
        const float shift = cyg_logf(part[0]);
        CYG_MAP(n, y, v, y, (v - top) - shift);
        return;
    }
    CYG_MAP(n, y, v, y, softmax_share(v - top));
    const float scale = 1.0f / row_sum(n, y);
    CYG_MAP(n, y, v, y, v * scale);
}
