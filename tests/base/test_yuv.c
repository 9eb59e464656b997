/* Video pixels: against Pillow's conversion, against the formulas of BT.601 and BT.709 in binary64,
 * there and back, and what is no matrix. */
#include "../testing.h"

#include <math.h>

#include "base/yuv.h"
#include "yuv_reference.h"

enum { H = 8, W = 12, PIXELS = H * W };

static const cyg_yuv layouts[] = {CYG_YUV_420SP, CYG_YVU_420SP, CYG_YUYV_422, CYG_UYVY_422};

static cyg_yuv_integers integers_of(bool limited, bool bt709, bool bgr)
{
    double m[12];
    cyg_yuv_integers out;
    cyg_yuv_matrix(limited, bt709, bgr, m);
    assert_true(cyg_yuv_round(m, &out));
    return out;
}

/* One colour everywhere, in every layout. */
static void flat(cyg_yuv layout, const uint8_t yuv[3], uint8_t *out)
{
    int64_t dims[3];
    cyg_yuv_shape(layout, H, W, dims);
    const int64_t count = dims[0] * dims[1] * dims[2];
    for (int64_t i = 0; i < count; i++) {
        const bool planar = layout == CYG_YUV_420SP || layout == CYG_YVU_420SP;
        const bool luma = planar ? i < PIXELS : i % 2 == (layout == CYG_UYVY_422);
        const bool first = planar ? i % 2 == 0 : i / 2 % 2 == 0;
        out[i] = luma ? yuv[0] : yuv[first == (layout != CYG_YVU_420SP) ? 1 : 2];
    }
}

static void test_pillow(void **state)
{
    (void)state;
    const cyg_yuv_integers rgb = integers_of(false, false, false),
                           bgr = integers_of(false, false, true);
    uint8_t yuv[PIXELS * 2], pixels[PIXELS * 3];
    size_t equal = 0;
    for (size_t i = 0; i < 64; i++)
        for (size_t l = 0; l < CYG_COUNT(layouts); l++) {
            flat(layouts[l], yuv_reference[i], yuv);
            cyg_yuv_decode(layouts[l], l % 2 == 0 ? &rgb : &bgr, yuv, H, W, pixels);
            for (size_t p = 0; p < PIXELS; p++)
                for (size_t c = 0; c < 3; c++) {
                    const int found = pixels[3 * p + (l % 2 == 0 ? c : 2 - c)],
                              wanted = yuv_reference[i][3 + c];
                    assert_true(abs(found - wanted) <= 1); /* Pillow cuts off where we round */
                    equal += found == wanted;
                }
        }
    assert_true(equal > 64 * CYG_COUNT(layouts) * PIXELS * 3 * 2 / 3);
}

/* The published coefficients, rounded to four places. */
static void test_formulas(void **state)
{
    (void)state;
    static const struct {
        bool limited, bt709;
        double y, rv, gu, gv, bu, black;
    } cases[] = {{false, false, 1.0, 1.4020, -0.3441, -0.7141, 1.7720, 0.0},
                 {false, true, 1.0, 1.5748, -0.1873, -0.4681, 1.8556, 0.0},
                 {true, false, 1.1644, 1.5960, -0.3918, -0.8130, 2.0172, 16.0},
                 {true, true, 1.1644, 1.7927, -0.2132, -0.5329, 2.1124, 16.0}};
    for (size_t i = 0; i < CYG_COUNT(cases); i++) {
        const cyg_yuv_integers m = integers_of(cases[i].limited, cases[i].bt709, false);
        for (int k = 0; k < 4096; k++) {
            const uint8_t c[3] = {(uint8_t)(k * 37), (uint8_t)(k * 101 / 3), (uint8_t)(k * 59 / 7)};
            uint8_t yuv[6] = {c[0], c[0], c[0], c[0], c[1], c[2]}, out[12];
            cyg_yuv_decode(CYG_YUV_420SP, &m, yuv, 2, 2, out);
            const double y = cases[i].y * (c[0] - cases[i].black), u = c[1] - 128.0,
                         v = c[2] - 128.0;
            const double rgb[3] = {y + cases[i].rv * v, y + cases[i].gu * u + cases[i].gv * v,
                                   y + cases[i].bu * u};
            for (int j = 0; j < 3; j++) {
                const double x = rgb[j] < 0 ? 0 : rgb[j] > 255 ? 255 : rgb[j];
                assert_true(fabs((double)out[j] - x) <= 0.53);
            }
        }
    }
}

/* A picture without fine colour comes back as it was, but for roundings. */
static void test_there_and_back(void **state)
{
    (void)state;
    uint8_t pixels[PIXELS * 3], yuv[PIXELS * 2], again[PIXELS * 3];
    for (size_t p = 0; p < PIXELS; p++)
        for (size_t c = 0; c < 3; c++)
            pixels[3 * p + c] =
                (uint8_t)(60 + 40 * c + (p * 31) % 50); /* brightness changes, colour does not */
    for (int limited = 0; limited < 2; limited++)
        for (size_t l = 0; l < CYG_COUNT(layouts); l++) {
            double m[12];
            cyg_yuv_integers whole;
            cyg_yuv_matrix(limited == 1, l % 2 == 1, l > 1, m);
            assert_true(cyg_yuv_round(m, &whole));
            assert_true(cyg_yuv_encode(layouts[l], m, pixels, H, W, yuv));
            cyg_yuv_decode(layouts[l], &whole, yuv, H, W, again);
            for (size_t i = 0; i < PIXELS * 3; i++)
                assert_true(abs(again[i] - pixels[i]) <= 3);
        }
}

static void test_matrices(void **state)
{
    (void)state;
    double m[12] = {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0};
    cyg_yuv_integers whole;
    uint8_t yuv[6] = {200, 7, 9, 255, 33, 250}, out[12];
    assert_true(cyg_yuv_round(m, &whole));
    assert_int_equal(whole.shift[0], 14);
    cyg_yuv_decode(CYG_YVU_420SP, &whole, yuv, 2, 2, out);
    static const uint8_t wanted[12] = {200, 250, 33, 7, 250, 33, 9, 250, 33, 255, 250, 33};
    assert_memory_equal(out, wanted, 12);
    m[0] = 20000; /* still whole numbers of 16 bits */
    assert_true(cyg_yuv_round(m, &whole));
    assert_int_equal(whole.w[0][0], 20000);
    assert_int_equal(whole.shift[0], 0);
    m[0] = 40000;
    assert_false(cyg_yuv_round(m, &whole));
    m[0] = NAN;
    assert_false(cyg_yuv_round(m, &whole));
    m[0] = 1;
    m[3] = -276.8;
    assert_false(cyg_yuv_round(m, &whole));
    m[3] = m[0] = 0;
    assert_false(cyg_yuv_encode(CYG_YUV_420SP, m, out, 2, 2, yuv));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pillow), cmocka_unit_test(test_formulas),
        cmocka_unit_test(test_there_and_back), cmocka_unit_test(test_matrices)};
    return CYG_TEST_MAIN(tests);
}
