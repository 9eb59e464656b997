/* The specification (ref bodies) against evaluations that share nothing with it: real arithmetic in
 * binary64 and libm on dequantised numbers, straightforward loops over the definition of the
 * operation. Integers may differ by one where the real value lies next to a rounding boundary, and
 * rarely. */
#include "int_calls.h"

#include <math.h>

typedef struct tally {
    int64_t count, off;
    double worst;
} tally;

/* y[i] against the real value g (in units of y's scale, zero point not added). */
static void count_int(tally *t, const kh_call *c, const cyg_isat *s, int64_t i, double g)
{
    const double want = fmin(fmax(nearbyint(g), (double)s->lo), (double)s->hi) + s->zero;
    int64_t got = 0;
    switch (c->out[0].type) {
    case CYG_TYPE_U8:
        got = ((const uint8_t *)c->out[0].data)[i];
        break;
    case CYG_TYPE_S8:
        got = ((const int8_t *)c->out[0].data)[i];
        break;
    case CYG_TYPE_U16:
        got = ((const uint16_t *)c->out[0].data)[i];
        break;
    default:
        got = ((const int16_t *)c->out[0].data)[i];
    }
    const double off = fabs((double)got - want);
    t->count++;
    t->off += off > 0;
    t->worst = off > t->worst ? off : t->worst;
}

static void expect(const char *what, const tally *t, double worst, double share)
{
    printf("%s: %lld values, %lld off, worst %g\n", what, (long long)t->count, (long long)t->off,
           t->worst);
    assert_true(t->count > 0);
    assert_true(t->worst <= worst);
    assert_true((double)t->off <= share * (double)t->count);
}

static double element(const cyg_kbuf *b, int64_t i)
{
    switch (b->type) {
    case CYG_TYPE_U8:
        return ((const uint8_t *)b->data)[i];
    case CYG_TYPE_S8:
        return ((const int8_t *)b->data)[i];
    case CYG_TYPE_U16:
        return ((const uint16_t *)b->data)[i];
    case CYG_TYPE_S16:
        return ((const int16_t *)b->data)[i];
    case CYG_TYPE_S32:
        return ((const int32_t *)b->data)[i];
    case CYG_TYPE_S64:
        return (double)((const int64_t *)b->data)[i];
    default:
        return (double)((const float *)b->data)[i];
    }
}

static double real_act(int32_t act, double lo, double hi, double x)
{
    switch (act) {
    case CYG_ACT_RELU:
        return fmax(x, 0);
    case CYG_ACT_CLIP:
        return fmin(fmax(x, lo), hi);
    case CYG_ACT_GELU_ERF:
        return 0.5 * x * (1 + erf(x / sqrt(2.0)));
    case CYG_ACT_GELU_TANH:
        return 0.5 * x * (1 + tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)));
    case CYG_ACT_SILU:
        return x / (1 + exp(-x));
    case CYG_ACT_SIGMOID:
        return 1 / (1 + exp(-x));
    case CYG_ACT_TANH:
        return tanh(x);
    case CYG_ACT_HARDSWISH:
        return x * fmin(fmax(x / 6 + 0.5, 0), 1);
    case CYG_ACT_HARDSIGMOID:
        return lo == 0 && hi == 0 ? fmin(fmax(x / 6 + 0.5, 0), 1) : fmin(fmax(lo * x + hi, 0), 1);
    case CYG_ACT_LEAKY_RELU:
        return x < 0 ? lo * x : x;
    default:
        return x;
    }
}

static void linear_is_the_real_formula(void **state)
{
    (void)state;
    tally narrow = {0}, wide = {0};
    for (int32_t act = 0; act < CYG_ACT_COUNT; act++)
        for (int round = 0; round < 12; round++) {
            const int32_t x = IC_PICK(CYG_TYPE_U8, CYG_TYPE_S8, CYG_TYPE_S16),
                          y = IC_PICK(CYG_TYPE_U8, CYG_TYPE_S8, CYG_TYPE_S16);
            const int64_t rows = 6, n = 19, k = 40, r_rows = IC_PICK(0, 2, 6);
            kh_call c;
            ic_linear(&c, x, y, act, CYG_TYPE_S16, r_rows, rows, n, k, KH_RANDOM, KH_RANDOM);
            kh_execute(&c, CYG_CPU_C, 0, 1);
            const cyg_kp_ilinear *p = c.call.params;
            for (int64_t i = 0; i < rows * n; i++) {
                double acc = element(&c.in[2], i % n);
                for (int64_t j = 0; j < k; j++)
                    acc += element(&c.in[0], i / n * k + j) * element(&c.in[1], i % n * k + j);
                double g = acc * element(&c.in[3], i % n);
                if (act != CYG_ACT_NONE)
                    g = real_act(act, (double)p->act_lo, (double)p->act_hi, g) *
                        (double)p->inv_scale_y;
                if (r_rows > 0)
                    g += (element(&c.in[4], i % (r_rows * n)) - p->r_zero) * (double)p->r_scale;
                count_int(y == CYG_TYPE_S16 ? &wide : &narrow, &c, &p->sat, i, g);
            }
            kh_end(&c);
        }
    expect("linear to 8 bits", &narrow, 1, 0.005);
    expect("linear to 16 bits", &wide, 1, 0.05);
}

static void conv2d_is_the_real_formula(void **state)
{
    (void)state;
    tally t = {0};
    const ic_conv shapes[] = {
        {CYG_TYPE_U8, CYG_TYPE_U8, CYG_ACT_NONE, 0, 2, 9, 7, 6, 8, 2, 3, 2, 2, 1, 1, 0},
        {CYG_TYPE_S8, CYG_TYPE_S8, CYG_ACT_NONE, 0, 1, 12, 12, 3, 10, 1, 4, 4, 4, 0, 1, 0},
        {CYG_TYPE_U8, CYG_TYPE_U8, CYG_ACT_NONE, 0, 1, 10, 10, 5, 5, 5, 3, 3, 1, 2, 2, 0},
        {CYG_TYPE_S16, CYG_TYPE_U8, CYG_ACT_NONE, 0, 1, 9, 9, 6, 8, 2, 3, 3, 2, 1, 1, 1},
        {CYG_TYPE_S16, CYG_TYPE_U8, CYG_ACT_NONE, 0, 1, 9, 9, 7, 7, 7, 3, 3, 1, 1, 1, 1}};
    for (size_t s = 0; s < CYG_COUNT(shapes); s++) {
        const ic_conv *d = &shapes[s];
        kh_call c;
        ic_conv2d(&c, d, KH_RANDOM);
        kh_execute(&c, CYG_CPU_C, 0, 1);
        const cyg_kp_iconv2d *p = c.call.params;
        const int64_t oh = c.out[0].dims[1], ow = c.out[0].dims[2], gc = d->c / d->group,
                      gn = d->out_c / d->group;
        for (int64_t i = 0; i < kh_elements(&c.out[0]); i++) {
            const int64_t o = i % d->out_c, x = i / d->out_c % ow, y = i / d->out_c / ow % oh,
                          b = i / d->out_c / ow / oh;
            double acc = element(&c.in[2], o);
            for (int64_t u = 0; u < d->kh; u++)
                for (int64_t v = 0; v < d->kw; v++)
                    for (int64_t q = 0; q < gc; q++) {
                        const int64_t iy = y * d->stride + u * d->dilation - d->pad,
                                      ix = x * d->stride + v * d->dilation - d->pad;
                        const int outside = iy < 0 || ix < 0 || iy >= d->h || ix >= d->w;
                        const double value =
                            outside ? p->x_zero
                                    : element(&c.in[0], ((b * d->h + iy) * d->w + ix) * d->c +
                                                            o / gn * gc + q);
                        const int64_t tap = ((o * d->kh + u) * d->kw + v) * gc + q;
                        acc += value * (element(&c.in[1], tap) +
                                        (d->wide_weights ? 256 * element(&c.in[5], tap) : 0));
                    }
            count_int(&t, &c, &p->out.sat, i, acc * element(&c.in[3], o));
        }
        kh_end(&c);
    }
    expect("conv2d", &t, 1, 0.005);
}

static void layernorm_is_the_real_formula(void **state)
{
    (void)state;
    tally t = {0};
    for (int round = 0; round < 20; round++) {
        const int64_t n = kh_between(2, 400), rows = 5;
        const int32_t x = IC_PICK(CYG_TYPE_S16, CYG_TYPE_U8, CYG_TYPE_S8);
        const cyg_kp_ilayernorm p = {.channels = n, .eps = 0.5, .sat = ic_sat(CYG_TYPE_U8)};
        kh_call c;
        kh_begin(&c, CYG_KOP_i_layernorm, &p, sizeof p);
        kh_fill_int(x, kh_in(&c, x, 0, KH_DIMS(rows, n)), rows * n, KH_RANDOM);
        kh_fill_float(kh_in(&c, CYG_TYPE_F32, 1, KH_DIMS(n)), n, 5, 60);
        kh_fill_float(kh_in(&c, CYG_TYPE_F32, 1, KH_DIMS(n)), n, -9, 9);
        kh_out(&c, CYG_TYPE_U8, KH_DIMS(rows, n));
        kh_execute(&c, CYG_CPU_C, 0, 1);
        for (int64_t r = 0; r < rows; r++) {
            double mean = 0, var = 0;
            for (int64_t i = 0; i < n; i++)
                mean += element(&c.in[0], r * n + i) / (double)n;
            for (int64_t i = 0; i < n; i++)
                var += (element(&c.in[0], r * n + i) - mean) *
                       (element(&c.in[0], r * n + i) - mean) / (double)n;
            for (int64_t i = 0; i < n; i++)
                count_int(&t, &c, &p.sat, r * n + i,
                          (element(&c.in[0], r * n + i) - mean) / sqrt(var + p.eps) *
                                  element(&c.in[1], i) +
                              element(&c.in[2], i));
        }
        kh_end(&c);
    }
    expect("layernorm", &t, 1, 0.002);
}

/* Real softmax; the 8-bit weights move a row's result by up to some units of 1/255 of v's range,
 * hence the wider bound there. */
static void attention_is_the_real_formula(void **state)
{
    (void)state;
    tally coarse = {0}, fine = {0}, wide = {0};
    for (int round = 0; round < 36; round++) {
        const ic_attention d = {.images = 2,
                                .entries = 2,
                                .heads = 2,
                                .dim = IC_PICK(32, 24, 9),
                                .tokens = IC_PICK(49, 16, 30),
                                .tables = round % 3,
                                .cosine = round % 4 == 1,
                                .e_bits = round % 2 ? 8 : 16,
                                .use_rows = round % 5 < 2,
                                .use_mask = round % 3 == 2,
                                .y_type = round < 24 ? CYG_TYPE_S8 : CYG_TYPE_S16,
                                .types = {round < 24 ? CYG_TYPE_S8 : CYG_TYPE_S16,
                                          round < 30 ? CYG_TYPE_S8 : CYG_TYPE_S16,
                                          round < 27 ? CYG_TYPE_S8 : CYG_TYPE_S16}};
        kh_call c;
        ic_attention_call(&c, &d);
        kh_execute(&c, CYG_CPU_C, 0, 1);
        const cyg_kp_iattention *p = c.call.params;
        const cyg_kp_attention *at = &p->at;
        const int64_t per_image = d.entries * d.tokens, channels = d.heads * d.dim;
        for (int64_t i = 0; i < d.images * per_image * d.heads; i++) {
            const int64_t h = i % d.heads, token = i / d.heads % d.tokens,
                          g = i / d.heads / d.tokens % d.entries, b = i / d.heads / per_image;
#define ROW(tok)                                                                                   \
    (b * per_image +                                                                               \
     (d.use_rows ? (int64_t)element(&c.in[7], g * d.tokens + (tok)) : g * d.tokens + (tok)))
            double t[64], top = -1e30, total = 0;
            for (int64_t j = 0; j < d.tokens; j++) {
                double dot = 0, qq = 0, kk = 0;
                for (int64_t e = 0; e < d.dim; e++) {
                    const double q =
                        element(&c.in[0], ROW(token) * at->q_stride + at->q_offset + h * d.dim + e);
                    const double k =
                        element(&c.in[1], ROW(j) * at->k_stride + at->k_offset + h * d.dim + e);
                    dot += q * k;
                    qq += q * q;
                    kk += k * k;
                }
                t[j] = (d.cosine ? dot / sqrt(qq * kk) : dot) * element(&c.in[3], h);
                if (d.tables > 0) {
                    const int64_t table = d.use_mask      ? (int64_t)element(&c.in[6], g)
                                          : d.tables == 1 ? 0
                                                          : g;
                    t[j] += element(&c.in[5],
                                    ((table * d.heads + h) * d.tokens + token) * d.tokens + j);
                }
                top = fmax(top, t[j]);
            }
            for (int64_t j = 0; j < d.tokens; j++)
                total += t[j] = exp2(t[j] - top);
            for (int64_t e = 0; e < d.dim; e++) {
                double o = 0;
                for (int64_t j = 0; j < d.tokens; j++)
                    o += t[j] / total *
                         element(&c.in[2], ROW(j) * at->v_stride + at->v_offset + h * d.dim + e);
                if (d.e_bits == 8 && round >= 24)
                    continue; /* 8-bit weights hide what 16-bit operands are for */
                count_int(d.e_bits == 8 ? &coarse
                          : round < 24  ? &fine
                                        : &wide,
                          &c, &p->sat, ROW(token) * channels + h * d.dim + e,
                          o * element(&c.in[4], h));
            }
        }
        kh_end(&c);
    }
    expect("attention, 16-bit weights", &fine, 1, 0.01);
    expect("attention, 8-bit weights", &coarse, 4, 0.5);
    expect("attention, 16-bit operands and weights", &wide, 1, 0.06);
}

static void softmax_and_mean_are_the_real_formulas(void **state)
{
    (void)state;
    tally t = {0};
    const cyg_kp_isoftmax p = {.c = 0.13f, .inv_scale_y = 255.0f, .sat = {0, 255, 0, 0}};
    kh_call c;
    kh_begin(&c, CYG_KOP_i_softmax, &p, sizeof p);
    kh_fill_int(CYG_TYPE_U8, kh_in(&c, CYG_TYPE_U8, 0, KH_DIMS(20, 100)), 2000, KH_RANDOM);
    kh_out(&c, CYG_TYPE_U8, KH_DIMS(20, 100));
    kh_execute(&c, CYG_CPU_C, 0, 1);
    for (int64_t i = 0; i < 2000; i++) {
        double total = 0;
        for (int64_t j = 0; j < 100; j++)
            total +=
                exp2((element(&c.in[0], i / 100 * 100 + j) - element(&c.in[0], i)) * (double)p.c);
        count_int(&t, &c, &p.sat, i, 255.0 / total);
    }
    kh_end(&c);
    expect("softmax", &t, 1, 0.002);

    tally means = {0};
    const cyg_kp_ireduce r = {
        .outer = 3, .n = 49, .inner = 70, .x_zero = 90, .k = 0.0213f, .sat = {-100, 155, 100, 0}};
    kh_begin(&c, CYG_KOP_i_reduce_mean, &r, sizeof r);
    kh_fill_int(CYG_TYPE_U8, kh_in(&c, CYG_TYPE_U8, 0, KH_DIMS(3, 49, 70)), 3 * 49 * 70, KH_RANDOM);
    kh_out(&c, CYG_TYPE_U8, KH_DIMS(3, 70));
    kh_execute(&c, CYG_CPU_C, 0, 1);
    for (int64_t i = 0; i < 210; i++) {
        double sum = 0;
        for (int64_t j = 0; j < 49; j++)
            sum += element(&c.in[0], (i / 70 * 49 + j) * 70 + i % 70) - 90;
        count_int(&means, &c, &r.sat, i, sum * (double)r.k);
    }
    kh_end(&c);
    expect("mean", &means, 1, 0.01);
}

/* Windows from their definition: positions that the padded picture does not have are no taps. */
static void pools_are_max_and_mean(void **state)
{
    (void)state;
    tally largest = {0}, means = {0};
    for (int round = 0; round < 30; round++) {
        kh_call c;
        ic_pool2d(&c, round % 2, CYG_TYPE_U8, CYG_TYPE_U8, KH_RANDOM);
        kh_execute(&c, CYG_CPU_C, 0, 1);
        const cyg_kp_ipool *p = c.call.params;
        const cyg_kp_pool *g = &p->geometry;
        const int64_t *x = c.in[0].dims, *y = c.out[0].dims;
        for (int64_t at = 0; at < y[0] * y[1] * y[2] * y[3]; at++) {
            double most = 0, sum = 0, inside = 0, padded = 0;
            for (int64_t i = 0; i < g->kh; i++)
                for (int64_t j = 0; j < g->kw; j++) {
                    const int64_t h = at / y[3] / y[2] % y[1] * g->stride_h + i * g->dilation_h,
                                  w = at / y[3] % y[2] * g->stride_w + j * g->dilation_w;
                    const int64_t row = h - g->pad_t, column = w - g->pad_l;
                    padded += h < g->pad_t + x[1] + g->pad_b && w < g->pad_l + x[2] + g->pad_r;
                    if (row < 0 || column < 0 || row >= x[1] || column >= x[2])
                        continue;
                    const double v = element(
                        &c.in[0], ((at / y[3] / y[2] / y[1] * x[1] + row) * x[2] + column) * x[3] +
                                      at % y[3]);
                    most = fmax(most, v);
                    sum += v - p->x_zero;
                    inside++;
                }
            const double count = g->count_include_pad != 0 ? padded : inside;
            const cyg_isat bytes = {0, 255, 0, 0};
            if (g->is_max != 0)
                count_int(&largest, &c, &bytes, at, most);
            else
                count_int(&means, &c, &p->sat, at, count > 0 ? sum * 0.87654 / count : 0);
        }
        kh_end(&c);
    }
    expect("max pool", &largest, 0, 0);
    expect("average pool", &means, 1, 0.01);
}

static void eltwise_and_requant_are_the_real_formulas(void **state)
{
    (void)state;
    tally t = {0}, q = {0};
    for (int mul = 0; mul < 2; mul++) {
        const cyg_kp_ieltwise p = {.is_mul = mul,
                                   .a_zero = 120,
                                   .a_scale = mul ? 2e-5f : 0.6f,
                                   .b_scale = -0.002f,
                                   .sat = {-128, 127, 128, 0}};
        kh_call c;
        kh_begin(&c, CYG_KOP_i_eltwise, &p, sizeof p);
        kh_fill_int(CYG_TYPE_U8, kh_in(&c, CYG_TYPE_U8, 0, KH_DIMS(4, 1, 50)), 200, KH_RANDOM);
        kh_fill_int(CYG_TYPE_S16, kh_in(&c, CYG_TYPE_S16, 0, KH_DIMS(7, 50)), 350, KH_RANDOM);
        kh_out(&c, CYG_TYPE_U8, KH_DIMS(4, 7, 50));
        kh_execute(&c, CYG_CPU_C, 0, 1);
        for (int64_t i = 0; i < 1400; i++) {
            const double a = element(&c.in[0], i / 350 * 50 + i % 50) - 120,
                         b = element(&c.in[1], i % 350);
            count_int(&t, &c, &p.sat, i,
                      mul ? a * b * (double)p.a_scale
                          : a * (double)p.a_scale + b * (double)p.b_scale);
        }
        kh_end(&c);
    }
    expect("eltwise", &t, 1, 0.01);
    const cyg_kp_irequant p = {.x_zero = 0, .k = 1 / 0.0173f, .sat = {-114, 141, 114, 0}};
    kh_call c;
    kh_begin(&c, CYG_KOP_i_requant, &p, sizeof p);
    kh_fill_float(kh_in(&c, CYG_TYPE_F32, 0, KH_DIMS(5000)), 5000, -3, 3);
    kh_out(&c, CYG_TYPE_U8, KH_DIMS(5000));
    kh_execute(&c, CYG_CPU_C, 0, 1);
    for (int64_t i = 0; i < 5000; i++)
        count_int(&q, &c, &p.sat, i, element(&c.in[0], i) * (double)p.k);
    kh_end(&c);
    expect("requant", &q, 1, 0.001);
}

static void matmul_is_the_real_formula(void **state)
{
    (void)state;
    tally t = {0};
    static const int32_t types[] = {CYG_TYPE_U8, CYG_TYPE_S8, CYG_TYPE_S16, CYG_TYPE_U16};
    for (int i = 0; i < 16; i++) {
        const ic_matmul d = {.a_type = types[i / 4],
                             .b_type = types[i % 4],
                             .y_type = CYG_TYPE_U8,
                             .shared = i % 3 == 0,
                             .batch = 2,
                             .heads = 2,
                             .m = 5,
                             .k = 33,
                             .n = 7};
        kh_call c;
        ic_matmul_call(&c, &d);
        kh_execute(&c, CYG_CPU_C, 0, 1);
        const cyg_kp_imatmul *p = c.call.params;
        for (int64_t at = 0; at < kh_elements(&c.out[0]); at++) {
            const int64_t n = at % d.n, m = at / d.n % d.m, h = at / d.n / d.m % d.heads,
                          b = at / d.n / d.m / d.heads;
            double acc = 0;
            for (int64_t k = 0; k < d.k; k++)
                acc +=
                    (element(&c.in[0], ((b * d.heads + h) * d.m + m) * d.k + k) - p->a_zero) *
                    (element(&c.in[1], (((d.shared ? 0 : b) * d.heads + h) * d.k + k) * d.n + n) -
                     p->b_zero);
            count_int(&t, &c, &p->sat, at, acc * (double)p->k);
        }
        kh_end(&c);
    }
    expect("matmul", &t, 1, 0.005);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(linear_is_the_real_formula),
        cmocka_unit_test(conv2d_is_the_real_formula),
        cmocka_unit_test(layernorm_is_the_real_formula),
        cmocka_unit_test(attention_is_the_real_formula),
        cmocka_unit_test(matmul_is_the_real_formula),
        cmocka_unit_test(softmax_and_mean_are_the_real_formulas),
        cmocka_unit_test(pools_are_max_and_mean),
        cmocka_unit_test(eltwise_and_requant_are_the_real_formulas),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
