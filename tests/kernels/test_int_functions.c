/* The integer path's functions against libm in binary64, by dense scans: the worst errors that
 * docs/numerics.md states. The emulated fma against the machine's, bit for bit. And: each ISA level
 * selects kernels of its own. */
#include "kernel_harness.h"

#include <math.h>

#include "kernels/dispatch.h"
#include "kernels/int/arith.h"

static void exp2_is_within_bounds(void **state)
{
    (void)state;
    double worst = 0;
    for (int i = 0; i <= 24 * (1 << 20); i++) {
        const float t = -(float)i / (float)(1 << 20);
        const double want = exp2((double)t), error = fabs((double)cyg_exp2(t) - want) / want;
        worst = error > worst ? error : worst;
    }
    printf("exp2 on [-24, 0]: worst relative error %.3g = 2^%.2f\n", worst, log2(worst));
    assert_true(worst < 0x1p-22);
    assert_true(cyg_exp2(0.0f) == 1.0f && cyg_exp2(-24.0f) == 0x1p-24f);
    assert_true(cyg_exp2(-0.0f) == 1.0f);
}

static double phi(double x)
{
    return 0.5 * erfc(-x / sqrt(2.0));
}

static double exact_gelu(double x)
{
    return x * phi(x);
}

static double exact_gelu_tanh(double x)
{
    return 0.5 * x * (1 + tanh(sqrt(2 / 3.14159265358979323846) * (x + 0.044715 * x * x * x)));
}

static double exact_sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

static double exact_silu(double x)
{
    return x * exact_sigmoid(x);
}

static double exact_hardswish(double x)
{
    return x * fmin(fmax(x / 6 + 0.5, 0), 1);
}

static double exact_hardsigmoid(double x)
{
    return fmin(fmax(x / 6 + 0.5, 0), 1);
}

static void activations_are_within_bounds(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int32_t act;
        double (*exact)(double);
        double bound; /* absolute */
    } rows[] = {
        {"gelu", CYG_ACT_GELU_ERF, exact_gelu, 0x1p-15},
        {"gelu_tanh", CYG_ACT_GELU_TANH, exact_gelu_tanh, 0x1p-15},
        {"sigmoid", CYG_ACT_SIGMOID, exact_sigmoid, 0x1p-22},
        {"silu", CYG_ACT_SILU, exact_silu, 0x1p-18},
        {"tanh", CYG_ACT_TANH, tanh, 0x1p-22},
        {"hardswish", CYG_ACT_HARDSWISH, exact_hardswish, 0x1p-18},
        {"hardsigmoid", CYG_ACT_HARDSIGMOID, exact_hardsigmoid, 0x1p-22},
    };
    for (size_t f = 0; f < CYG_COUNT(rows); f++) {
        double worst = 0, where = 0;
        for (int i = -20 * 65536; i <= 20 * 65536; i++) {
            const float x = (float)i / 65536.0f;
            const double error =
                fabs((double)cyg_act_apply(rows[f].act, 0, 0, x) - rows[f].exact((double)x));
            if (error > worst) {
                worst = error;
                where = (double)x;
            }
        }
        printf("%s on [-20, 20]: worst absolute error %.3g = 2^%.2f at %g\n", rows[f].name, worst,
               log2(worst), where);
        assert_true(worst < rows[f].bound);
    }
    for (int32_t act = CYG_ACT_GELU_ERF; act <= CYG_ACT_GELU_TANH; act++) {
        assert_true(cyg_act_apply(act, 0, 0, 5.0f) == 5.0f);
        assert_true(cyg_act_apply(act, 0, 0, -5.0f) == 0.0f);
        assert_true(cyg_act_apply(act, 0, 0, 1e30f) == 1e30f);
        assert_true(cyg_act_apply(act, 0, 0, -INFINITY) == 0.0f);
    }
}

static void rounding_and_saturation(void **state)
{
    (void)state;
    static const float halves[] = {0.5f,  1.5f,   2.5f,   -0.5f,    -1.5f,
                                   -2.5f, 254.5f, 255.5f, -32766.5f};
    static const int32_t even[] = {0, 2, 2, 0, -2, -2, 254, 256, -32766};
    for (size_t i = 0; i < CYG_COUNT(halves); i++)
        assert_int_equal(cyg_rne(halves[i]), even[i]);
    for (int i = 0; i < 1000000; i++) {
        const float g = kh_float(-70000.0f, 70000.0f);
        assert_int_equal(cyg_rne(g), (int32_t)nearbyint((double)g));
    }
    const cyg_isat sat = {-10.0f, 245.0f, 10, 0};
    assert_int_equal(cyg_sat(&sat, NAN), 0);
    assert_int_equal(cyg_sat(&sat, INFINITY), 255);
    assert_int_equal(cyg_sat(&sat, -INFINITY), 0);
    assert_int_equal(cyg_sat(&sat, 245.6f), 255);
}

static float random_float(void)
{
    uint32_t bits = kh_random();
    if (kh_random() % 4 != 0) /* mostly moderate exponents, so that sums cancel */
        bits = (bits & 0x807fffffu) | (uint32_t)(127 + kh_between(-15, 15)) << 23;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static void emulated_fma_equals_the_machines(void **state)
{
    (void)state;
    for (int i = 0; i < 3000000; i++) {
        const float a = random_float(), b = random_float();
        float c = random_float();
        if (i % 3 == 0) /* near cancellation and ties */
            c = -(a * b) + (i % 2 ? 0.0f : c * 0x1p-24f);
        const float want = fmaf(a, b, c), got = cyg_fmaf_exact(a, b, c);
        if (isnan(want) && isnan(got))
            continue;
        if (memcmp(&want, &got, sizeof want) != 0)
            fail_msg("fma(%a, %a, %a): want %a, got %a", (double)a, (double)b, (double)c,
                     (double)want, (double)got);
    }
}

static void every_level_selects_kernels_of_its_own(void **state)
{
    (void)state;
    /* A kernel named for a level is what that level's table holds, whatever stands in the lists of
     * others. */
#define CYG_KERNEL(level, slot, function)                                                          \
    assert_ptr_equal(cyg_kernels_for(CYG_CPU_##level)->slot, function);
#include "kernels/kernels.def"
#if defined(__x86_64__)
    const int levels[] = {CYG_CPU_C, CYG_CPU_AVX2, CYG_CPU_AVXVNNI, CYG_CPU_AVX512VNNI};
    for (size_t i = 0; i < CYG_COUNT(levels); i++)
        for (size_t j = 0; j < i; j++)
            assert_ptr_not_equal(cyg_kernels_for(levels[i])->igemm,
                                 cyg_kernels_for(levels[j])->igemm);
    assert_ptr_not_equal(cyg_kernels_for(CYG_CPU_AVX2)->i_exp,
                         cyg_kernels_for(CYG_CPU_AVX512VNNI)->i_exp);
    assert_ptr_equal(cyg_kernels_for(CYG_CPU_AVXVNNI)->i_exp, cyg_kernels_for(CYG_CPU_AVX2)->i_exp);
#endif
    assert_null(cyg_kernels_for(-1));
    assert_null(cyg_kernels_for(CYG_CPU_COUNT));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exp2_is_within_bounds),
        cmocka_unit_test(activations_are_within_bounds),
        cmocka_unit_test(rounding_and_saturation),
        cmocka_unit_test(emulated_fma_equals_the_machines),
        cmocka_unit_test(every_level_selects_kernels_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
