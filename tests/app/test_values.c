/* Comparing tensors: what is close, equal, in line, and where it is not. */
#include "../testing.h"

#include "app/values.h"

static cyg_engine_tensor tensor(cyg_type type, size_t size, float scale, int32_t zero_point)
{
    return (cyg_engine_tensor){.name = "t",
                               .type = type,
                               .rank = 1,
                               .dims = {4},
                               .bytes = 4 * size,
                               .scale = scale,
                               .zero_point = zero_point};
}

static void test_close(void **state)
{
    (void)state;
    const cyg_engine_tensor t = tensor(CYG_TYPE_F32, 4, 0, 0);
    const float x[4] = {1, -2, 0, 100}, y[4] = {1, -2.02f, 0, 100.5f};
    const float nan[4] = {1, -2, 0.0f / (x[2] + 0.0f), 100};
    size_t at = 9;
    assert_true(cyg_values_close(&t, x, x, 0, 0, &at));
    assert_true(cyg_values_close(&t, x, y, 0.0101, 0, &at));
    assert_false(cyg_values_close(&t, x, y, 0.006, 0, &at));
    assert_int_equal(at, 1);
    assert_false(cyg_values_close(&t, x, y, 0, 0.1, &at));
    assert_int_equal(at, 3);
    assert_true(cyg_values_close(&t, x, y, 0, 0.51, &at));
    assert_false(cyg_values_close(&t, nan, nan, 1, 1, &at));
    assert_int_equal(at, 2);
    /* Codes are compared as real numbers. */
    const cyg_engine_tensor q = tensor(CYG_TYPE_U8, 1, 0.5f, 10);
    const uint8_t a[4] = {10, 12, 14, 255}, b[4] = {10, 13, 14, 255};
    assert_false(cyg_values_close(&q, a, b, 0, 0.49, &at));
    assert_int_equal(at, 1);
    assert_true(cyg_values_close(&q, a, b, 0, 0.5, &at));
}

static void test_equal(void **state)
{
    (void)state;
    const cyg_engine_tensor t = tensor(CYG_TYPE_S16, 2, 1, 0);
    const int16_t x[4] = {1, 2, 3, 4}, y[4] = {1, 2, 3, 0x104};
    size_t at = 9;
    assert_true(cyg_values_equal(&t, x, x, &at));
    assert_false(cyg_values_equal(&t, x, y, &at));
    assert_int_equal(at, 3);
}

static void test_cosine(void **state)
{
    (void)state;
    const cyg_engine_tensor t = tensor(CYG_TYPE_F32, 4, 0, 0);
    const float x[4] = {3, 0, 0, 4}, y[4] = {6, 0, 0, 8}, z[4] = {0, 1, 0, 0}, n[4] = {0};
    assert_true(cyg_values_cosine(&t, x, y) > 0.999999);
    assert_true(cyg_values_cosine(&t, x, z) == 0);
    assert_true(cyg_values_cosine(&t, n, n) == 1);
    assert_true(cyg_values_cosine(&t, n, z) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_close), cmocka_unit_test(test_equal),
                                       cmocka_unit_test(test_cosine)};
    return CYG_TEST_MAIN(tests);
}
