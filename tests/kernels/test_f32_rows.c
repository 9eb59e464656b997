/* Row operators and element-wise ones: all levels and splits byte for byte (kh_run), and each
 * result against a plain double computation. */
#include "kernel_harness.h"

#include <math.h>

static void test_layernorm(void **state)
{
    (void)state;
    kh_seed(21);
    static const int64_t sizes[] = {1, 2, 15, 16, 17, 31, 33, 48, 96, 97, 384, 1000};
    for (size_t s = 0; s < CYG_COUNT(sizes); s++)
        for (int beta = 0; beta < 2; beta++) {
            const int64_t n = sizes[s], rows = 5;
            const cyg_kp_layernorm p = {.channels = n, .inner = 1, .epsilon = 1e-5f};
            kh_call c;
            kh_begin(&c, CYG_KOP_f_layernorm, &p, sizeof p);
            float *x = kh_in(&c, CYG_TYPE_F32, 0, KH_DIMS(rows, n)),
                  *g = kh_in(&c, CYG_TYPE_F32, 1, KH_DIMS(n));
            float *b = kh_in(&c, beta ? CYG_TYPE_F32 : CYG_TYPE_NONE, 1, KH_DIMS(n));
            kh_out(&c, CYG_TYPE_F32, KH_DIMS(rows, n));
            kh_fill_float(x, rows * n, 2, 9); /* an offset: one pass would cancel */
            kh_fill_float(g, n, -1, 1);
            if (beta)
                kh_fill_float(b, n, -1, 1);
            kh_run(&c);
            double *want = malloc((size_t)(rows * n) * sizeof *want);
            for (int64_t r = 0; r < rows; r++) {
                double mean = 0, variance = 0;
                for (int64_t i = 0; i < n; i++)
                    mean += (double)x[r * n + i] / (double)n;
                for (int64_t i = 0; i < n; i++)
                    variance +=
                        ((double)x[r * n + i] - mean) * ((double)x[r * n + i] - mean) / (double)n;
                for (int64_t i = 0; i < n; i++)
                    want[r * n + i] =
                        ((double)x[r * n + i] - mean) / sqrt(variance + 1e-5) * (double)g[i] +
                        (beta ? (double)b[i] : 0);
            }
            kh_expect_near(&c, want, rows * n, 1e-6, n == 1 ? 1e-3 : 2e-6, "layernorm");
            free(want);
            kh_end(&c);
        }
}

/* RMS norm, and both norms along an axis with elements behind it. */
static void test_rms_and_axes(void **state)
{
    (void)state;
    kh_seed(22);
    for (int i = 0; i < 24; i++) {
        const int64_t n = kh_between(1, 70), inner = i & 2 ? kh_between(2, 9) : 1, outer = 3;
        const int rms = i & 1, beta = !rms && (i & 4);
        const cyg_kp_layernorm p = {.channels = n, .inner = inner, .epsilon = 1e-3f, .rms = rms};
        kh_call c;
        kh_begin(&c, CYG_KOP_f_layernorm, &p, sizeof p);
        float *x = kh_in(&c, CYG_TYPE_F32, 0, KH_DIMS(outer, n, inner)),
              *g = kh_in(&c, CYG_TYPE_F32, 1, KH_DIMS(n)),
              *b = kh_in(&c, beta ? CYG_TYPE_F32 : CYG_TYPE_NONE, 1, KH_DIMS(n));
        kh_out(&c, CYG_TYPE_F32, KH_DIMS(outer, n, inner));
        kh_fill_float(x, outer * n * inner, -2, 3);
        kh_fill_float(g, n, -1, 1);
        if (beta)
            kh_fill_float(b, n, -1, 1);
        kh_run(&c);
        double *want = malloc((size_t)(outer * n * inner) * sizeof *want);
        for (int64_t r = 0; r < outer * inner; r++) {
            const int64_t at = r / inner * n * inner + r % inner;
            double mean = 0, square = 0;
            for (int64_t k = 0; k < n && !rms; k++)
                mean += (double)x[at + k * inner] / (double)n;
            for (int64_t k = 0; k < n; k++)
                square += ((double)x[at + k * inner] - mean) * ((double)x[at + k * inner] - mean);
            for (int64_t k = 0; k < n; k++)
                want[at + k * inner] = ((double)x[at + k * inner] - mean) /
                                           sqrt(square / (double)n + (double)p.epsilon) *
                                           (double)g[k] +
                                       (beta ? (double)b[k] : 0);
        }
        kh_expect_near(&c, want, outer * n * inner, 2e-6, 2e-5, "norm");
        free(want);
        kh_end(&c);
    }
}

static void test_softmax(void **state)
{
    (void)state;
    kh_seed(22);
    for (int i = 0; i < 40; i++) {
        const int64_t d[3] = {kh_between(1, 4), kh_between(1, 50), kh_between(1, 50)};
        const cyg_kp_softmax p = {.axis = i % 3, .is_log = i / 3 % 2};
        const float range = i % 4 == 0 ? 200 : 4;
        kh_call c;
        kh_begin(&c, CYG_KOP_f_softmax, &p, sizeof p);
        float *x = kh_in(&c, CYG_TYPE_F32, 0, 3, d);
        kh_out(&c, CYG_TYPE_F32, 3, d);
        kh_fill_float(x, d[0] * d[1] * d[2], -range, range);
        if (i == 7) /* masked with -inf */
            x[0] = -INFINITY;
        kh_run(&c);
        const int64_t n = d[p.axis], inner = p.axis == 0 ? d[1] * d[2] : p.axis == 1 ? d[2] : 1;
        double *want = malloc((size_t)(d[0] * d[1] * d[2]) * sizeof *want);
        for (int64_t at = 0; at < d[0] * d[1] * d[2]; at++) {
            const int64_t first = at / (inner * n) * inner * n + at % inner;
            double top = -1e300, sum = 0;
            for (int64_t j = 0; j < n; j++)
                top = fmax(top, (double)x[first + j * inner]);
            for (int64_t j = 0; j < n; j++)
                sum += exp((double)x[first + j * inner] - top);
            want[at] = p.is_log ? (double)x[at] - top - log(sum) : exp((double)x[at] - top) / sum;
        }
        if (!(p.is_log && i == 7))
            kh_expect_near(&c, want, d[0] * d[1] * d[2], 3e-6, 1e-6, "softmax");
        free(want);
        kh_end(&c);
    }
}

/* A share of less than exp(-87) is zero and not a denormal; a NaN spoils its row only. */
static void test_softmax_without_denormals(void **state)
{
    static const float row[] = {3.0f,   3.0f - 86.9f, 3.0f - 87.1f, 3.0f - 95.0f,
                                -97.0f, -1000.0f,     -INFINITY,    2.0f};
    (void)state;
    const cyg_kp_softmax p = {.axis = 1};
    const int64_t n = (int64_t)CYG_COUNT(row);
    kh_call c;
    kh_begin(&c, CYG_KOP_f_softmax, &p, sizeof p);
    float *x = kh_in(&c, CYG_TYPE_F32, 0, KH_DIMS(2, n));
    const float *y = kh_out(&c, CYG_TYPE_F32, KH_DIMS(2, n));
    for (int64_t i = 0; i < n; i++)
        x[i] = x[n + i] = row[i];
    x[n] = NAN;
    kh_run(&c);
    const double sum = 1.0 + exp(-1.0);
    assert_float_equal(y[0], (float)(1.0 / sum), 1e-6f);
    assert_float_equal(y[1] * 1e38f, (float)(exp(-86.9) / sum * 1e38), 1e-5f);
    for (int64_t i = 2; i < 7; i++)
        assert_true(y[i] >= 0.0f && y[i] <= 0.0f);
    assert_float_equal(y[7], (float)(exp(-1.0) / sum), 1e-6f);
    for (int64_t i = 0; i < n; i++)
        assert_true(isnan(y[n + i]));
    kh_end(&c);
}

static double reduce_step(int fn, double acc, double v)
{
    switch (fn) {
    case CYG_REDUCE_MAX:
        return fmax(acc, v);
    case CYG_REDUCE_MIN:
        return fmin(acc, v);
    case CYG_REDUCE_PROD:
        return acc * v;
    case CYG_REDUCE_L2:
        return acc + v * v;
    default:
        return acc + v;
    }
}

static void test_reduce(void **state)
{
    (void)state;
    kh_seed(23);
    for (uint32_t mask = 0; mask < 16; mask++)
        for (int fn = 0; fn <= CYG_REDUCE_L2; fn++) {
            const int64_t d[4] = {kh_between(1, 5), kh_between(1, 9), kh_between(1, 20),
                                  kh_between(1, 40)};
            int64_t kept[4], outputs = 1;
            for (int i = 0; i < 4; i++) {
                kept[i] = mask >> i & 1 ? 1 : d[i];
                outputs *= kept[i];
            }
            const int64_t total = d[0] * d[1] * d[2] * d[3];
            const cyg_kp_reduce p = {.fn = fn, .axes_mask = mask};
            kh_call c;
            kh_begin(&c, CYG_KOP_f_reduce, &p, sizeof p);
            float *x = kh_in(&c, CYG_TYPE_F32, 0, 4, d);
            kh_out(&c, CYG_TYPE_F32, 4, kept);
            kh_fill_float(x, total, fn == CYG_REDUCE_PROD ? 0.97f : -2,
                          fn == CYG_REDUCE_PROD ? 1.03f : 3);
            kh_run(&c);
            double *want = malloc((size_t)outputs * sizeof *want);
            for (int64_t i = 0; i < outputs; i++)
                want[i] = fn == CYG_REDUCE_MAX    ? -1e300
                          : fn == CYG_REDUCE_MIN  ? 1e300
                          : fn == CYG_REDUCE_PROD ? 1
                                                  : 0;
            for (int64_t at = 0; at < total; at++) {
                int64_t rest = at, to = 0, step = 1;
                for (int i = 3; i >= 0; i--) {
                    to += (mask >> i & 1 ? 0 : rest % d[i]) * step;
                    rest /= d[i];
                    step *= kept[i];
                }
                want[to] = reduce_step(fn, want[to], (double)x[at]);
            }
            for (int64_t i = 0; i < outputs; i++)
                want[i] = fn == CYG_REDUCE_MEAN ? want[i] * (double)outputs / (double)total
                          : fn == CYG_REDUCE_L2 ? sqrt(want[i])
                                                : want[i];
            kh_expect_near(&c, want, outputs, 1e-4, 1e-3, "reduce");
            free(want);
            kh_end(&c);
        }
}

/* The documented tree, spelled out. */
static void test_sum_order(void **state)
{
    (void)state;
    kh_seed(24);
    const cyg_kp_reduce p = {.fn = CYG_REDUCE_SUM, .axes_mask = 1};
    kh_call c;
    kh_begin(&c, CYG_KOP_f_reduce, &p, sizeof p);
    float *x = kh_in(&c, CYG_TYPE_F32, 0, KH_DIMS(1003)), part[16] = {0};
    kh_out(&c, CYG_TYPE_F32, 0, NULL);
    kh_fill_float(x, 1003, -1, 1);
    kh_run(&c);
    for (int i = 0; i < 1003; i++)
        part[i % 16] += x[i];
    for (int half = 8; half > 0; half /= 2)
        for (int j = 0; j < half; j++)
            part[j] += part[j + half];
    assert_memory_equal(part, c.out[0].data, 4);
    kh_end(&c);
}

static void test_argmax(void **state)
{
    (void)state;
    kh_seed(25);
    for (int i = 0; i < 20; i++) {
        const int64_t d[3] = {3, kh_between(1, 12), 5};
        const cyg_kp_reduce p = {.fn = i & 1, .axes_mask = 2};
        kh_call c;
        kh_begin(&c, CYG_KOP_f_argmax, &p, sizeof p);
        float *x = kh_in(&c, CYG_TYPE_F32, 0, 3, d);
        kh_out(&c, CYG_TYPE_S64, KH_DIMS(3, 1, 5));
        for (int64_t j = 0; j < 15 * d[1]; j++)
            x[j] = (float)kh_between(0, 3); /* ties */
        kh_run(&c);
        for (int64_t o = 0; o < 15; o++) {
            int64_t best = 0;
            for (int64_t j = 1; j < d[1]; j++) {
                const float v = x[(o / 5 * d[1] + j) * 5 + o % 5],
                            b = x[(o / 5 * d[1] + best) * 5 + o % 5];
                if (v > b || (p.fn && v == b))
                    best = j;
            }
            assert_int_equal(((int64_t *)c.out[0].data)[o], best);
        }
        kh_end(&c);
    }
}

static void test_pool(void **state)
{
    (void)state;
    kh_seed(26);
    for (int i = 0; i < 40; i++) {
        cyg_kp_pool p = {.kh = kh_between(1, 3),
                         .kw = kh_between(1, 3),
                         .stride_h = kh_between(1, 3),
                         .stride_w = kh_between(1, 2),
                         .dilation_h = kh_between(1, 2),
                         .dilation_w = 1,
                         .is_max = i & 1,
                         .count_include_pad = i >> 1 & 1};
        p.pad_t = p.pad_b = p.kh / 2;
        p.pad_l = kh_between(0, p.kw - 1);
        p.pad_r = kh_between(0, p.kw - 1);
        const int64_t h = kh_between(5, 12), w = kh_between(4, 12), ceil_mode = kh_between(0, 1);
        const int64_t oh =
            (h + p.pad_t + p.pad_b - p.dilation_h * (p.kh - 1) - 1 + ceil_mode * (p.stride_h - 1)) /
                p.stride_h +
            1;
        const int64_t ow =
            (w + p.pad_l + p.pad_r - p.kw + ceil_mode * (p.stride_w - 1)) / p.stride_w + 1;
        const bool last = kh_between(0, 1) != 0; /* channels last: f_pool2d */
        kh_call c;
        kh_begin(&c, last ? CYG_KOP_f_pool2d : CYG_KOP_f_pool, &p, sizeof p);
        float *x = last ? kh_in(&c, CYG_TYPE_F32, 0, KH_DIMS(2, h, w, 3))
                        : kh_in(&c, CYG_TYPE_F32, 0, KH_DIMS(2, 3, h, w));
        if (last)
            kh_out(&c, CYG_TYPE_F32, KH_DIMS(2, oh, ow, 3));
        else
            kh_out(&c, CYG_TYPE_F32, KH_DIMS(2, 3, oh, ow));
        kh_fill_float(x, 6 * h * w, -1, 1);
        kh_run(&c);
        double *want = malloc((size_t)(6 * oh * ow) * sizeof *want);
        for (int64_t at = 0; at < 6 * oh * ow; at++) {
            const int64_t image = at / (3 * oh * ow), rest = at % (3 * oh * ow),
                          channel = last ? rest % 3 : rest / (oh * ow),
                          pixel = last ? rest / 3 : rest % (oh * ow);
            double acc = p.is_max ? -INFINITY : 0;
            int64_t inside = 0, padded = 0;
            for (int64_t t = 0; t < p.kh * p.kw; t++) {
                const int64_t ih = pixel / ow * p.stride_h + t / p.kw * p.dilation_h - p.pad_t;
                const int64_t iw = pixel % ow * p.stride_w + t % p.kw - p.pad_l;
                padded += ih < h + p.pad_b && iw < w + p.pad_r;
                if (ih < 0 || ih >= h || iw < 0 || iw >= w)
                    continue;
                const double v = (double)x[last ? ((image * h + ih) * w + iw) * 3 + channel
                                                : ((image * 3 + channel) * h + ih) * w + iw];
                acc = p.is_max ? fmax(acc, v) : acc + v;
                inside++;
            }
            const int64_t count = p.count_include_pad ? padded : inside;
            want[at] = p.is_max ? acc : count > 0 ? acc / (double)count : 0;
        }
        kh_expect_near(&c, want, 6 * oh * ow, 1e-6, 1e-6, "pool");
        free(want);
        kh_end(&c);
    }
}

static void test_batchnorm(void **state)
{
    (void)state;
    kh_seed(27);
    const cyg_kp_batchnorm p = {.epsilon = 1e-5f};
    kh_call c;
    kh_begin(&c, CYG_KOP_f_batchnorm, &p, sizeof p);
    float *x = kh_in(&c, CYG_TYPE_F32, 0, KH_DIMS(2, 7, 5, 9)), *v[4];
    kh_fill_float(x, 630, -3, 3);
    for (int i = 0; i < 4; i++) {
        v[i] = kh_in(&c, CYG_TYPE_F32, 1, KH_DIMS(7));
        kh_fill_float(v[i], 7, 0.1f, 2);
    }
    kh_out(&c, CYG_TYPE_F32, KH_DIMS(2, 7, 5, 9));
    kh_run(&c);
    double want[630];
    for (int i = 0; i < 630; i++) {
        const int ch = i / 45 % 7;
        want[i] =
            ((double)x[i] - (double)v[2][ch]) / sqrt((double)v[3][ch] + 1e-5) * (double)v[0][ch] +
            (double)v[1][ch];
    }
    kh_expect_near(&c, want, 630, 1e-5, 1e-5, "batchnorm");
    kh_end(&c);
}

/* ---- element-wise ---- */

static void shape_of_operand(const int64_t y[4], int64_t out[4])
{
    for (int i = 0; i < 4; i++)
        out[i] = kh_between(0, 2) == 0 ? 1 : y[i];
}
static int64_t at_operand(const int64_t y[4], const int64_t d[4], int64_t at)
{
    int64_t to = 0, step = 1;
    for (int i = 3; i >= 0; i--) {
        to += (d[i] == 1 ? 0 : at % y[i]) * step;
        at /= y[i];
        step *= d[i];
    }
    return to;
}

static double binary_value(int fn, double a, double b)
{
    switch (fn) {
    case CYG_BFN_ADD:
        return a + b;
    case CYG_BFN_SUB:
        return a - b;
    case CYG_BFN_MUL:
        return a * b;
    case CYG_BFN_DIV:
        return a / b;
    case CYG_BFN_POW:
        return pow(a, b);
    case CYG_BFN_MOD:
        return a - b * floor(a / b);
    case CYG_BFN_FMOD:
        return fmod(a, b);
    case CYG_BFN_EQUAL:
        return a == b;
    case CYG_BFN_NOT_EQUAL:
        return a != b;
    case CYG_BFN_GREATER:
        return a > b;
    case CYG_BFN_GREATER_OR_EQUAL:
        return a >= b;
    case CYG_BFN_LESS:
        return a < b;
    case CYG_BFN_LESS_OR_EQUAL:
        return a <= b;
    case CYG_BFN_AND:
        return a != 0 && b != 0;
    case CYG_BFN_OR:
        return a != 0 || b != 0;
    case CYG_BFN_XOR:
        return (a != 0) != (b != 0);
    case CYG_BFN_MAX:
        return fmax(a, b);
    case CYG_BFN_MIN:
        return fmin(a, b);
    default:
        return a < 0 ? a * b : a;
    }
}

static void one_binary(int fn, int32_t type)
{
    const int logic = fn >= CYG_BFN_AND && fn <= CYG_BFN_XOR,
              compare =
                  (fn >= CYG_BFN_EQUAL && fn <= CYG_BFN_LESS_OR_EQUAL) || fn == CYG_BFN_NOT_EQUAL;
    int64_t y[4] = {kh_between(1, 4), kh_between(1, 4), kh_between(1, 9), kh_between(1, 70)}, a[4],
            b[4];
    shape_of_operand(y, a);
    shape_of_operand(y, b);
    if (type == CYG_TYPE_F32 && logic)
        return;
    const cyg_kp_binary p = {.fn = fn};
    const int32_t y_type = compare ? CYG_TYPE_BOOL : type;
    kh_call c;
    kh_begin(&c, CYG_KOP_f_binary, &p, sizeof p);
    void *x[2] = {kh_in(&c, type, 0, 4, a), kh_in(&c, type, 0, 4, b)};
    for (int k = 0; k < 2; k++)
        for (int64_t i = 0; i < kh_elements(&c.in[k]); i++) {
            const int64_t v =
                type == CYG_TYPE_BOOL
                    ? kh_between(0, 1)
                    : kh_between(type == CYG_TYPE_U8 || fn == CYG_BFN_POW ? 1 : -9, 9);
            const int64_t used = k == 1 && v == 0 ? 3 : v;
            if (type == CYG_TYPE_F32)
                ((float *)x[k])[i] = (float)used;
            else
                memcpy((char *)x[k] + i * kh_type_bytes(type), &used, (size_t)kh_type_bytes(type));
        }
    for (int k = 0; type == CYG_TYPE_BOOL && k < 2; k++)
        for (int64_t i = 0; i < kh_elements(&c.in[k]); i++)
            ((uint8_t *)x[k])[i] &= 1;
    kh_out(&c, y_type, 4, y);
    kh_run(&c);
    for (int64_t at = 0; at < kh_elements(&c.out[0]); at++) {
        double v[2], got;
        for (int k = 0; k < 2; k++) {
            const int64_t i = at_operand(y, k == 0 ? a : b, at);
            v[k] = type == CYG_TYPE_F32   ? (double)((float *)x[k])[i]
                   : type == CYG_TYPE_S64 ? (double)((int64_t *)x[k])[i]
                   : type == CYG_TYPE_S32 ? (double)((int32_t *)x[k])[i]
                                          : (double)((uint8_t *)x[k])[i];
        }
        double want = binary_value(fn, v[0], v[1]);
        got = y_type == CYG_TYPE_F32   ? (double)((float *)c.out[0].data)[at]
              : y_type == CYG_TYPE_S64 ? (double)((int64_t *)c.out[0].data)[at]
              : y_type == CYG_TYPE_S32 ? (double)((int32_t *)c.out[0].data)[at]
                                       : (double)((uint8_t *)c.out[0].data)[at];
        if (type != CYG_TYPE_F32)
            want = trunc(want);
        if (y_type == CYG_TYPE_U8)
            want = (double)(uint8_t)(int64_t)fmod(want, 4503599627370496.0);
        if (y_type == CYG_TYPE_S32 && fabs(want) > 2147483647)
            continue;
        if (!(fabs(got - want) <= 1e-6 * fabs(want)))
            fail_msg("binary %d type %d: (%g, %g) want %g, got %g", fn, type, v[0], v[1], want,
                     got);
    }
    kh_end(&c);
}

static void test_binary(void **state)
{
    (void)state;
    kh_seed(29);
    static const int32_t types[] = {CYG_TYPE_F32, CYG_TYPE_S64, CYG_TYPE_S32, CYG_TYPE_U8};
    for (int fn = 0; fn < CYG_BFN_COUNT; fn++)
        for (size_t t = 0; t < CYG_COUNT(types); t++)
            for (int i = 0; i < 12; i++)
                one_binary(fn, types[t]);
    for (int fn = CYG_BFN_EQUAL; fn <= CYG_BFN_XOR; fn++)
        one_binary(fn, CYG_TYPE_BOOL);
    one_binary(CYG_BFN_NOT_EQUAL, CYG_TYPE_BOOL);
}

static void test_where_clip_cast(void **state)
{
    (void)state;
    kh_seed(30);
    const cyg_kp_none none = {0};
    const cyg_kp_clip clip = {0};
    kh_call c;
    kh_begin(&c, CYG_KOP_f_where, &none, sizeof none);
    uint8_t *cond = kh_in(&c, CYG_TYPE_BOOL, 0, KH_DIMS(5, 1));
    int64_t *a = kh_in(&c, CYG_TYPE_S64, 0, KH_DIMS(1, 7)),
            *b = kh_in(&c, CYG_TYPE_S64, 0, KH_DIMS(1));
    int64_t *y = kh_out(&c, CYG_TYPE_S64, KH_DIMS(5, 7));
    for (int i = 0; i < 5; i++)
        cond[i] = i % 2 != 0;
    for (int i = 0; i < 7; i++)
        a[i] = i;
    b[0] = -5;
    kh_run(&c);
    for (int i = 0; i < 35; i++)
        assert_int_equal(y[i], i / 7 % 2 != 0 ? i % 7 : -5);
    kh_end(&c);

    kh_begin(&c, CYG_KOP_f_clip, &clip, sizeof clip);
    float *x = kh_in(&c, CYG_TYPE_F32, 0, KH_DIMS(9)), *lo = kh_in(&c, CYG_TYPE_F32, 1, 0, NULL);
    kh_in(&c, CYG_TYPE_NONE, 0, 0, NULL);
    float *z = kh_out(&c, CYG_TYPE_F32, KH_DIMS(9));
    for (int i = 0; i < 9; i++)
        x[i] = (float)(i - 4);
    lo[0] = -1;
    kh_run(&c);
    for (int i = 0; i < 9; i++)
        assert_true(z[i] == (float)(i < 3 ? -1 : i - 4));
    kh_end(&c);

    static const float hostile[] = {NAN, INFINITY, -INFINITY, 3e38f, -3e38f, 255.9f, -0.9f, 128.5f};
    static const int64_t want_u8[] = {0, 255, 0, 255, 0, 255, 0, 128};
    static const int64_t want_s32[] = {0, INT32_MAX, INT32_MIN, INT32_MAX, INT32_MIN, 255, 0, 128};
    static const int64_t want_s64[] = {0, INT64_MAX, INT64_MIN, INT64_MAX, INT64_MIN, 255, 0, 128};
    static const int32_t to[] = {CYG_TYPE_U8, CYG_TYPE_S32, CYG_TYPE_S64};
    for (int t = 0; t < 3; t++) {
        kh_begin(&c, CYG_KOP_f_cast, &none, sizeof none);
        memcpy(kh_in(&c, CYG_TYPE_F32, 0, KH_DIMS(8)), hostile, sizeof hostile);
        void *out = kh_out(&c, to[t], KH_DIMS(8));
        kh_run(&c);
        for (int i = 0; i < 8; i++) {
            if (t == 0)
                assert_int_equal(((uint8_t *)out)[i], want_u8[i]);
            else if (t == 1)
                assert_int_equal(((int32_t *)out)[i], want_s32[i]);
            else
                assert_true(((int64_t *)out)[i] == want_s64[i]);
        }
        kh_end(&c);
    }
    for (int from = CYG_TYPE_F32; from < CYG_TYPE_COUNT;
         from++) /* every pair runs, sanitizers watch */
        for (int into = CYG_TYPE_F32; into < CYG_TYPE_COUNT; into++) {
            kh_begin(&c, CYG_KOP_f_cast, &none, sizeof none);
            uint8_t *bytes = kh_in(&c, from, 0, KH_DIMS(64));
            for (int64_t i = 0; i < 64 * kh_type_bytes(from); i++)
                bytes[i] = (uint8_t)kh_random();
            kh_out(&c, into, KH_DIMS(64));
            kh_run(&c);
            kh_end(&c);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layernorm),       cmocka_unit_test(test_rms_and_axes),
        cmocka_unit_test(test_softmax),         cmocka_unit_test(test_softmax_without_denormals),
        cmocka_unit_test(test_reduce),          cmocka_unit_test(test_sum_order),
        cmocka_unit_test(test_argmax),          cmocka_unit_test(test_pool),
        cmocka_unit_test(test_batchnorm),       cmocka_unit_test(test_binary),
        cmocka_unit_test(test_where_clip_cast),
    };
    return CYG_TEST_MAIN(tests);
}
