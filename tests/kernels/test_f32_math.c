/* The scalar functions against double libm: dense scans with the worst errors that docs/kernels.md
 * states, special values, fma against libm's, f16 exhaustively, and that every ISA level has
 * kernels of its own. */
#include "kernel_harness.h"

#include <math.h>

#include "kernels/dispatch.h"
#include "kernels/fmaf.h"
#include "kernels/number.h"

static float from_bits(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}
static uint32_t bits_of(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

static void test_fma(void **state)
{
    (void)state;
    kh_seed(11);
    for (int i = 0; i < 3000000; i++) {
        uint32_t a = kh_random(), b = kh_random(), c = kh_random();
        if (i & 1) { /* exponents close enough that product and addend meet */
            a = (a & 0x807fffffu) | (uint32_t)kh_between(90, 160) << 23;
            b = (b & 0x807fffffu) | (uint32_t)kh_between(90, 160) << 23;
            const int64_t e =
                (int64_t)(a >> 23 & 255) + (int64_t)(b >> 23 & 255) - 127 + kh_between(-30, 30);
            c = (c & 0x807fffffu) | (uint32_t)(e < 0 ? 0 : e > 254 ? 254 : e) << 23;
        }
        if (i % 4 == 3) { /* few bits set: ties */
            a &= 0xfff00000u;
            b &= 0xffff0000u;
        }
        if (i % 16 == 5) { /* results among the denormals */
            a = (a & 0x807fffffu) | (uint32_t)kh_between(30, 60) << 23;
            b = (b & 0x807fffffu) | (uint32_t)kh_between(30, 60) << 23;
            c &= 0x80ffffffu;
        }
        const float x = from_bits(a), y = from_bits(b), z = from_bits(c);
        const float want = fmaf(x, y, z), got = cyg_fmaf_exact(x, y, z);
        if (bits_of(want) != bits_of(got) && !(isnan(want) && isnan(got)))
            fail_msg("fma(%a, %a, %a): want %a, got %a", (double)x, (double)y, (double)z,
                     (double)want, (double)got);
    }
}

typedef double reference_fn(double x);
static double r_sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}
static double r_gelu(double x)
{
    return 0.5 * x * erfc(-x * 0.70710678118654752440);
}
static double r_gelu_tanh(double x)
{
    return 0.5 * x * (1 + tanh(0.79788456080286535588 * (x + 0.044715 * x * x * x)));
}
static double r_silu(double x)
{
    return x / (1 + exp(-x));
}
static double r_softplus(double x)
{
    return x > 30 ? x + log1p(exp(-x)) : log1p(exp(x));
}
static double r_mish(double x)
{
    return x * tanh(r_softplus(x));
}

/* ulp: in units of the result's last place (normal results); absolute otherwise. */
typedef struct accuracy {
    const char *name;
    int fn;
    reference_fn *reference;
    float lo, hi;
    int ulp;
    double limit;
} accuracy;

static const accuracy accuracies[] = {
    {"exp", CYG_FN_EXP, exp, -87.3f, 88.7f, 1, 1.1},
    {"log", CYG_FN_LOG, log, 1e-30f, 1e30f, 1, 0.51},
    {"log near 1", CYG_FN_LOG, log, 0.5f, 2.0f, 1, 0.51},
    {"erf", CYG_FN_ERF, erf, -5, 5, 0, 1e-7},
    {"tanh", CYG_FN_TANH, tanh, -10, 10, 0, 1.3e-7},
    {"tanh small", CYG_FN_TANH, tanh, -0.7f, 0.7f, 1, 2.0},
    {"sigmoid", CYG_FN_SIGMOID, r_sigmoid, -30, 30, 0, 1.2e-7},
    {"sin", CYG_FN_SIN, sin, -1000, 1000, 1, 0.51},
    {"cos", CYG_FN_COS, cos, -1000, 1000, 1, 0.51},
    {"gelu", CYG_FN_GELU_ERF, r_gelu, -8, 8, 0, 5e-7},
    {"gelu_tanh", CYG_FN_GELU_TANH, r_gelu_tanh, -8, 8, 0, 6e-7},
    {"silu", CYG_FN_SILU, r_silu, -30, 30, 1, 4},
    {"softplus", CYG_FN_SOFTPLUS, r_softplus, -30, 30, 1, 0.6},
    {"mish", CYG_FN_MISH, r_mish, -20, 20, 0, 2e-6},
};

static void test_accuracy(void **state)
{
    (void)state;
    enum { STEPS = 400000, BLOCK = 4000 };
    static float x[BLOCK], y[BLOCK];
    const cyg_kernels *isa = cyg_kernels_for(CYG_CPU_C);
    for (int level = 0; level < CYG_CPU_COUNT;
         level++) /* the fastest: the levels are compared elsewhere */
        if (cyg_cpu_has((cyg_cpu_level_id)level))
            isa = cyg_kernels_for(level);
    for (size_t a = 0; a < CYG_COUNT(accuracies); a++) {
        const accuracy *t = &accuracies[a];
        double worst = 0, where = 0;
        for (int i = 0; i < STEPS; i += BLOCK) {
            for (int j = 0; j < BLOCK; j++)
                x[j] = (float)((double)t->lo + ((double)t->hi - (double)t->lo) * (i + j) / STEPS);
            if (t->hi > 1e20f) /* spread over exponents */
                for (int j = 0; j < BLOCK; j++)
                    x[j] = (float)exp(log((double)t->lo) +
                                      (log((double)t->hi) - log((double)t->lo)) * (i + j) / STEPS);
            isa->f32_unary(t->fn, 0, 0, BLOCK, x, y);
            for (int j = 0; j < BLOCK; j++) {
                const double want = t->reference((double)x[j]);
                double error = fabs((double)y[j] - want);
                if (t->ulp) {
                    const float near = fabsf((float)want);
                    error /= (double)nextafterf(near, INFINITY) - (double)near;
                }
                if (!(error <= worst)) {
                    worst = error;
                    where = (double)x[j];
                }
            }
        }
        print_message("%-12s worst %s error %.3g at %.9g\n", t->name, t->ulp ? "ulp" : "absolute",
                      worst, where);
        if (!(worst <= t->limit))
            fail_msg("%s: error %g at %g, limit %g", t->name, worst, where, t->limit);
    }
}

static float unary1(int fn, float x)
{
    float y;
    cyg_kernels_for(CYG_CPU_C)->f32_unary(fn, 1, 0, 1, &x, &y);
    return y;
}

static void test_specials(void **state)
{
    (void)state;
    assert_true(unary1(CYG_FN_EXP, INFINITY) == INFINITY && unary1(CYG_FN_EXP, -INFINITY) == 0);
    assert_true(unary1(CYG_FN_EXP, 88.8f) == INFINITY && unary1(CYG_FN_EXP, 0) == 1);
    assert_true(bits_of(unary1(CYG_FN_EXP, -103.0f)) == 1 && isnan(unary1(CYG_FN_EXP, NAN)));
    assert_true(unary1(CYG_FN_ERF, INFINITY) == 1 && unary1(CYG_FN_ERF, -INFINITY) == -1 &&
                isnan(unary1(CYG_FN_ERF, NAN)));
    assert_true(unary1(CYG_FN_TANH, INFINITY) == 1 && unary1(CYG_FN_TANH, -INFINITY) == -1);
    assert_true(bits_of(unary1(CYG_FN_TANH, -0.0f)) == 0x80000000u &&
                bits_of(unary1(CYG_FN_ERF, -0.0f)) == 0x80000000u);
    assert_true(unary1(CYG_FN_SIGMOID, INFINITY) == 1 && unary1(CYG_FN_SIGMOID, -INFINITY) == 0);
    assert_true(unary1(CYG_FN_LOG, 0) == -INFINITY && isnan(unary1(CYG_FN_LOG, -1)) &&
                unary1(CYG_FN_LOG, INFINITY) == INFINITY);
    assert_true(isnan(unary1(CYG_FN_SIN, INFINITY)) && unary1(CYG_FN_SQRT, 9) == 3 &&
                isnan(unary1(CYG_FN_RELU, NAN)));
    const float halves[] = {0.5f, 1.5f, 2.5f, -0.5f, -1.5f, 8388607.5f, 1e20f, -0.3f, 0.49999997f};
    for (size_t i = 0; i < CYG_COUNT(halves); i++) {
        assert_int_equal(bits_of(unary1(CYG_FN_ROUND, halves[i])), bits_of(rintf(halves[i])));
        assert_true(unary1(CYG_FN_FLOOR, halves[i]) == floorf(halves[i]));
        assert_int_equal(bits_of(unary1(CYG_FN_CEIL, halves[i])), bits_of(ceilf(halves[i])));
    }
}

/* Every function, every level, random bits included.
 */
static void test_unary_levels(void **state)
{
    (void)state;
    kh_seed(12);
    for (int fn = 0; fn < CYG_FN_COUNT; fn++)
        for (int round = 0; round < 3; round++) {
            const cyg_kp_unary p = {.fn = fn, .alpha = 0.3f, .beta = 0.4f};
            const int64_t n = round == 0 ? 33 : round == 1 ? 5003 : 1;
            kh_call c;
            kh_begin(&c, CYG_KOP_f_unary, &p, sizeof p);
            float *x = kh_in(&c, CYG_TYPE_F32, 0, KH_DIMS(n));
            kh_out(&c, CYG_TYPE_F32, KH_DIMS(n));
            for (int64_t i = 0; i < n; i++) {
                x[i] = kh_between(0, 1) ? from_bits(kh_random()) : kh_float(-20, 20);
                if (isnan(x[i])) /* which NaN comes out of one is not promised */
                    x[i] = INFINITY;
            }
            kh_run(&c);
            kh_end(&c);
        }
}

static void test_pow(void **state)
{
    (void)state;
    kh_seed(13);
    static const float values[] = {0,  -0.0f,    1,         -1,  2,     -2,      0.5f,     -0.5f, 3,
                                   -3, INFINITY, -INFINITY, NAN, 1e30f, -1e-30f, 16777216, 7.5f};
    for (size_t i = 0; i < CYG_COUNT(values) * CYG_COUNT(values) + 20000; i++) {
        const size_t special = CYG_COUNT(values) * CYG_COUNT(values);
        const float a = i < special ? values[i / CYG_COUNT(values)] : kh_float(0, 50);
        const float b = i < special ? values[i % CYG_COUNT(values)] : kh_float(-9, 9);
        const cyg_kp_binary p = {.fn = CYG_BFN_POW};
        float y;
        const cyg_kbuf in[2] = {{.data = (void *)(uintptr_t)&a, .type = CYG_TYPE_F32},
                                {.data = (void *)(uintptr_t)&b, .type = CYG_TYPE_F32}};
        const cyg_kbuf out = {.data = &y, .type = CYG_TYPE_F32};
        const cyg_kcall call = {.op = CYG_KOP_f_binary,
                                .in_count = 2,
                                .out_count = 1,
                                .in = in,
                                .out = &out,
                                .params = &p};
        cyg_kop_info_of(CYG_KOP_f_binary)->run(&call, 0, 1, NULL);
        const double want = pow((double)a, (double)b);
        const float exact = (float)want;
        if (!(isnan(want) && isnan(y)) && bits_of(y) != bits_of(exact) &&
            !(fabs((double)y - want) <= 6.1e-8 * fabs(want)))
            fail_msg("pow(%g, %g): want %g, got %g", (double)a, (double)b, want, (double)y);
    }
}

static void test_half(void **state)
{
    (void)state;
#if defined(__FLT16_MANT_DIG__)
    for (uint32_t h = 0; h < 65536; h++) {
        const float f = cyg_f16_to_f32((uint16_t)h);
        if (!isnan(f))
            assert_int_equal(cyg_f32_to_f16(f), h);
    }
#endif
    assert_int_equal(cyg_f32_to_f16(65504.0f), 0x7bff);
    assert_int_equal(cyg_f32_to_f16(65519.99f), 0x7bff);
    assert_int_equal(cyg_f32_to_f16(65520.0f), 0x7c00);
    assert_int_equal(cyg_f32_to_f16(0x1p-24f), 1);
    assert_int_equal(cyg_f32_to_f16(0x1p-25f), 0); /* tie to even */
    assert_int_equal(cyg_f32_to_f16(0x1.000002p-25f), 1);
    assert_int_equal(cyg_f32_to_f16(0x1.002p0f), 0x3c00);
    assert_int_equal(cyg_f32_to_f16(0x1.006p0f), 0x3c02);
    assert_int_equal(cyg_f32_to_bf16(1.00390625f), 0x3f80);
    assert_int_equal(cyg_f32_to_bf16(1.01171875f), 0x3f82);
    assert_true(cyg_f16_to_f32(0x3555) == 0x1.554p-2f && cyg_f16_to_f32(0x8001) == -0x1p-24f);
}

/* Each level on x86 must bring float kernels of its own, or a test of levels proves nothing. */
static void test_levels_differ(void **state)
{
    (void)state;
#if defined(__x86_64__)
    const cyg_kernels *c = cyg_kernels_for(CYG_CPU_C), *a = cyg_kernels_for(CYG_CPU_AVX2);
    const cyg_kernels *b = cyg_kernels_for(CYG_CPU_AVX512VNNI);
#define CYG_SLOT(slot, type)                                                                       \
    if (strncmp(#slot, "f32_", 4) == 0) {                                                          \
        assert_true(c->slot != NULL && a->slot != NULL && b->slot != NULL);                        \
        assert_true((void (*)(void))c->slot != (void (*)(void))a->slot);                           \
        assert_true((void (*)(void))a->slot != (void (*)(void))b->slot);                           \
    }
#include "kernels/kernels.def"
    for (int level = 0; level < CYG_CPU_COUNT; level++)
        if (!cyg_cpu_has((cyg_cpu_level_id)level))
            print_message("level %s: not on this machine, not run\n",
                          cyg_cpu_name((cyg_cpu_level_id)level));
#else
    skip();
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fma),           cmocka_unit_test(test_accuracy),
        cmocka_unit_test(test_specials),      cmocka_unit_test(test_unary_levels),
        cmocka_unit_test(test_pow),           cmocka_unit_test(test_half),
        cmocka_unit_test(test_levels_differ),
    };
    return CYG_TEST_MAIN(tests);
}
