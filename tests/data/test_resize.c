/* Resizing against Pillow (resize.tsv, made by make_reference.py); the sine against libm. */
#include "../testing.h"

#include <math.h>

#include "base/hash.h"
#include "data/resize.h"
#include "data/trig.h"
#include "io/tsv.h"

/* The same picture as in make_reference.py. */
static uint8_t *picture(int64_t width, int64_t height, int64_t channels, uint32_t index)
{
    const size_t n = (size_t)(width * height * channels);
    uint8_t *p = malloc(n);
    assert_non_null(p);
    uint32_t s = index + 1;
    for (size_t i = 0; i < n; i++) {
        s = s * 1664525u + 1013904223u;
        p[i] = (uint8_t)(s >> 24);
        if (index % 4 == 3)
            p[i] = p[i] > 127 ? 255 : 0;
    }
    return p;
}

static int64_t cell(const cyg_tsv *t, size_t row, const char *name)
{
    size_t column;
    int64_t value;
    assert_int_equal(cyg_tsv_column(NULL, t, name, &column), CYG_OK);
    assert_int_equal(cyg_tsv_int(NULL, t, row, column, &value), CYG_OK);
    return value;
}

static cyg_resize_filter filter_named(const char *name)
{
    for (unsigned i = 0; i < 6; i++)
        if (strcmp(cyg_resize_filter_name((cyg_resize_filter)i), name) == 0)
            return (cyg_resize_filter)i;
    fail();
    return CYG_RESIZE_NEAREST;
}

static void test_equals_pillow(void **state)
{
    (void)state;
    cyg_tsv *t = NULL;
    assert_int_equal(cyg_tsv_open(NULL, CYG_SOURCE_ROOT "/tests/data/resize.tsv", &t), CYG_OK);
    assert_true(cyg_tsv_rows(t) > 150);
    uint32_t index = UINT32_MAX;
    int64_t last[4] = {0};
    size_t wrong = 0;
    for (size_t row = 0; row < cyg_tsv_rows(t); row++) {
        const int64_t size[4] = {cell(t, row, "in_width"), cell(t, row, "in_height"),
                                 cell(t, row, "out_width"), cell(t, row, "out_height")};
        const int64_t channels = cell(t, row, "channels");
        if (memcmp(size, last, sizeof size) != 0)
            index++;
        memcpy(last, size, sizeof size);
        uint8_t *in = picture(size[0], size[1], channels, index);
        uint8_t *out = malloc((size_t)(size[2] * size[3] * channels));
        assert_non_null(out);
        char hex[65];
        assert_int_equal(cyg_resize_u8(NULL, in, size[0], size[1], channels,
                                       filter_named(cyg_tsv_cell(t, row, 5)), size[2], size[3],
                                       out),
                         CYG_OK);
        cyg_sha256_hex(out, (size_t)(size[2] * size[3] * channels), hex);
        if (strcmp(hex, cyg_tsv_cell(t, row, 6)) != 0) {
            print_error("%ldx%ldx%ld to %ldx%ld %s differs from Pillow\n", (long)size[0],
                        (long)size[1], (long)channels, (long)size[2], (long)size[3],
                        cyg_tsv_cell(t, row, 5));
            wrong++;
        }
        free(in);
        free(out);
    }
    assert_int_equal(wrong, 0);
    cyg_tsv_close(t);
}

static void test_limits(void **state)
{
    (void)state;
    uint8_t pixel[3] = {0}, out[3];
    cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    assert_int_equal(cyg_resize_u8(&ctx, pixel, 1, 1, 3, CYG_RESIZE_BICUBIC, 0, 1, out),
                     CYG_E_UNSUPPORTED);
    assert_int_equal(cyg_resize_u8(&ctx, pixel, 1, 1, 3, CYG_RESIZE_BICUBIC, 60000, 60000, out),
                     CYG_E_UNSUPPORTED);
    assert_int_equal(cyg_resize_u8(&ctx, pixel, 1, 1, 3, CYG_RESIZE_BICUBIC, 1 << 30, 1, out),
                     CYG_E_UNSUPPORTED);
}

static void test_sine(void **state)
{
    (void)state;
    double worst = 0;
    for (int i = -300000; i <= 300000; i++) {
        const double x = i * 1e-4 / 3;
        worst = fmax(worst, fabs(cyg_sin(x) - sin(x)));
        worst = fmax(worst, fabs(cyg_cos(x) - cos(x)));
    }
    assert_true(worst < 3.4e-16);
    assert_true(cyg_sin(0) == 0 && cyg_cos(0) == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equals_pillow),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_sine),
    };
    return CYG_TEST_MAIN(tests);
}
