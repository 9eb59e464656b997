/* The kernels that look at tensors (f32/look.inc.h), which no operator calls: every level byte for
 * byte like plain C, at the end of readable memory, and plain C against the definition. */
#include "kernel_harness.h"

#include <float.h>

#include "kernels/dispatch.h"

enum { ROWS = 7, MOST = 130, STRIDE = 131 };
static const int64_t widths[] = {0, 1, 3, 15, 16, 17, 31, 33, 64, 96, 129, 130};

typedef struct figures {
    float lo[MOST], hi[MOST], worst[MOST];
    double square[MOST], noise[MOST], cross[MOST];
    int32_t bits[MOST];
    int64_t outside;
    double error;
} figures;

static void start(figures *f)
{
    memset(f, 0, sizeof *f);
    for (int i = 0; i < MOST; i++) {
        f->lo[i] = FLT_MAX;
        f->hi[i] = -FLT_MAX;
    }
}

/* Rows so that the last element is the last before an unreadable page. */
static kh_memory rows_of(size_t size, int64_t n)
{
    return kh_alloc(((ROWS - 1) * STRIDE + (size_t)n) * size, 1);
}

static float clip(float t, float lo, float hi)
{
    return t < lo ? lo : t > hi ? hi : t;
}

static void test_extremes_and_sums(void **state)
{
    (void)state;
    kh_seed(31);
    for (size_t w = 0; w < CYG_COUNT(widths); w++) {
        const int64_t n = widths[w];
        kh_memory mem = rows_of(sizeof(float), n);
        float *x = (float *)(void *)mem.data, least[MOST], most[MOST];
        static figures want, got;
        kh_fill_float(x, (ROWS - 1) * STRIDE + n, -3, 5);
        if (n > 2)
            x[2 * STRIDE + 2] = -NAN;
        for (int i = 0; i < MOST; i++) {
            least[i] = -1.0f - (float)i / 100;
            most[i] = 2.0f;
        }
        start(&want);
        for (int64_t r = 0; r < ROWS; r++)
            for (int64_t i = 0; i < n; i++) {
                const float v = x[r * STRIDE + i];
                int32_t bits;
                memcpy(&bits, &v, sizeof bits);
                bits &= 0x7fffffff;
                want.lo[i] = v < want.lo[i] ? v : want.lo[i];
                want.hi[i] = v > want.hi[i] ? v : want.hi[i];
                want.bits[i] = bits > want.bits[i] ? bits : want.bits[i];
                want.outside += v < least[i] || v > most[i];
            }
        for (int level = 0; level < CYG_CPU_COUNT; level++) {
            if (!cyg_cpu_has((cyg_cpu_level_id)level))
                continue;
            const cyg_kernels *k = cyg_kernels_for(level);
            start(&got);
            k->f32_extremes(ROWS, n, x, STRIDE, got.lo, got.hi, got.bits);
            assert_memory_equal(got.lo, want.lo, sizeof want.lo);
            assert_memory_equal(got.hi, want.hi, sizeof want.hi);
            assert_memory_equal(got.bits, want.bits, sizeof want.bits);
            if (n > 2)
                x[2 * STRIDE + 2] = 0.0f; /* sums are of finite numbers */
            start(&got);
            static figures plain;
            start(&plain);
            got.outside = k->f32_look(ROWS, n, x, STRIDE, least, most, got.lo, got.hi, got.square);
            plain.outside = cyg_kernels_for(CYG_CPU_C)->f32_look(ROWS, n, x, STRIDE, least, most,
                                                                 plain.lo, plain.hi, plain.square);
            assert_memory_equal(&got, &plain, sizeof got);
            assert_int_equal(got.outside, want.outside);
            for (int64_t i = 0; i < n; i++) {
                double sum = 0;
                for (int64_t r = 0; r < ROWS; r++)
                    sum += (double)x[r * STRIDE + i] * (double)x[r * STRIDE + i];
                assert_true(fabs(sum - got.square[i]) <= 1e-12 * sum);
            }
            if (n > 2)
                x[2 * STRIDE + 2] = -NAN;
        }
        kh_free(&mem);
    }
}

static void test_codes(void **state)
{
    static const cyg_f32_codes codes[] = {{CYG_TYPE_U8, 128, 0, 255},
                                          {CYG_TYPE_S8, 0, -127, 127},
                                          {CYG_TYPE_U16, 1000, 0, 65535},
                                          {CYG_TYPE_S16, -7, -32768, 32767},
                                          {CYG_TYPE_F32, 0, 0, 0}};
    static const size_t sizes[] = {1, 1, 2, 2, 4};
    (void)state;
    kh_seed(32);
    for (size_t c = 0; c < CYG_COUNT(codes); c++)
        for (size_t w = 0; w < CYG_COUNT(widths); w++) {
            const int64_t n = widths[w], count = (ROWS - 1) * STRIDE + n;
            const size_t size = sizes[c];
            kh_memory mx = rows_of(sizeof(float), n), my = rows_of(size, n);
            float *x = (float *)(void *)mx.data, scale[STRIDE];
            static figures want, got;
            kh_fill_float(x, count, -3, 5);
            for (int i = 0; i < STRIDE; i++)
                scale[i] = 0.01f + (float)(i % 5) / 300;
            for (int level = 0; level < CYG_CPU_COUNT; level++) {
                if (!cyg_cpu_has((cyg_cpu_level_id)level))
                    continue;
                const cyg_kernels *k = cyg_kernels_for(level);
                memset(my.data, 0xee, my.size);
                for (int64_t r = 0; r < ROWS; r++)
                    k->f32_encode(&codes[c], n, x + r * STRIDE, scale,
                                  my.data + (size_t)(r * STRIDE) * size);
                start(&got);
                k->f32_compare(&codes[c], ROWS, n, x, my.data, STRIDE, scale, got.noise, got.cross,
                               got.worst);
                if (level == CYG_CPU_C)
                    want = got;
                assert_memory_equal(&got, &want, sizeof got);
                for (int64_t i = 0; i < n; i++) { /* within half a step, or at an end */
                    const float lo = scale[i] * (float)(codes[c].least - codes[c].zero),
                                hi = scale[i] * (float)(codes[c].most - codes[c].zero);
                    float most = 0;
                    for (int64_t r = 0; r < ROWS; r++)
                        most =
                            fmaxf(most, fabsf(x[r * STRIDE + i] - clip(x[r * STRIDE + i], lo, hi)));
                    if (codes[c].type == CYG_TYPE_F32)
                        assert_true(got.worst[i] <= 0.0f && got.noise[i] <= 0.0);
                    else
                        assert_true(got.worst[i] >= most - 1e-5f &&
                                    got.worst[i] <= most + 0.501f * scale[i]);
                }
            }
            kh_free(&mx);
            kh_free(&my);
        }
}

static void test_grid(void **state)
{
    const cyg_f32_grid g = {.scale = 0.02f, .inverse = 50.0f, .lo = -100, .hi = 155};
    (void)state;
    kh_seed(33);
    for (size_t w = 0; w < CYG_COUNT(widths); w++) {
        const int64_t n = widths[w];
        kh_memory mx = kh_alloc((size_t)n * 4 + 4, 4);
        float *x = (float *)(void *)mx.data + 1, weight[MOST], want[MOST], y[MOST];
        double sum = 0, error = 0;
        kh_fill_float(x, n, -3, 5);
        kh_fill_float(weight, MOST, 0, 1);
        for (int64_t i = 0; i < n; i++) {
            want[i] = 0.02f * rintf(clip(x[i] * 50.0f, -100, 155));
            sum += (double)weight[i] * pow((double)(x[i] - want[i]), 2);
        }
        for (int level = 0; level < CYG_CPU_COUNT; level++) {
            if (!cyg_cpu_has((cyg_cpu_level_id)level))
                continue;
            const cyg_kernels *k = cyg_kernels_for(level);
            k->f32_round(&g, n, x, y);
            assert_memory_equal(y, want, (size_t)n * sizeof *y);
            const double now = k->f32_round_error(&g, n, x, weight);
            if (level == CYG_CPU_C)
                error = now;
            assert_memory_equal(&now, &error, sizeof now);
            assert_true(fabs(now - sum) <= 1e-5 * sum);
        }
        kh_free(&mx);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_extremes_and_sums),
        cmocka_unit_test(test_codes),
        cmocka_unit_test(test_grid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
