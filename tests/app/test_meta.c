/* META: every form of input from the same pixels, arrays against pixels, and damaged text. */
#include "../testing.h"

#include "app/meta.h"

#define PREPROCESS                                                                                 \
    "{\"height\": 2, \"width\": 2, \"channels\": \"rgb\", \"resize\": \"stretch\", "               \
    "\"resize_height\": 2, \"resize_width\": 2, \"filter\": \"bilinear\", \"normalize\": true, "   \
    "\"mean\": [10, 20, 30], \"std\": [2, 4, 8], \"source_type\": \"f32\", "                       \
    "\"source_layout\": \"nchw\"}"

/* R G B of four pixels, rows first. */
static const uint8_t pixels[12] = {10, 20, 30, 12, 24, 38, 14, 28, 46, 16, 32, 54};

static cyg_app app;

static int setup(void **state)
{
    (void)state;
    memset(&app, 0, sizeof app);
    cyg_ctx_init(&app.ctx);
    cyg_arena_init(&app.arena);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    cyg_arena_deinit(&app.arena);
    return 0;
}

static cyg_package_meta meta_of(const char *input)
{
    char text[1024];
    cyg_package_meta meta;
    snprintf(text, sizeof text, "{\"preprocess\": %s, \"input\": %s, \"labels\": [\"a\", \"b\"]}",
             PREPROCESS, input);
    assert_int_equal(cyg_meta_read(&app, text, strlen(text), &meta), CYG_OK);
    return meta;
}

static void test_bytes_in_every_order(void **state)
{
    (void)state;
    static const uint8_t rgb_nchw[12] = {10, 12, 14, 16, 20, 24, 28, 32, 30, 38, 46, 54};
    static const uint8_t bgr_nhwc[12] = {30, 20, 10, 38, 24, 12, 46, 28, 14, 54, 32, 16};
    uint8_t out[12];
    cyg_package_meta meta =
        meta_of("{\"dtype\": \"u8\", \"layout\": \"NHWC\", \"format\": \"RGB\"}");
    assert_true(meta.has_preprocess && meta.label_count == 2 && !meta.input_normalized);
    assert_string_equal(meta.labels[1], "b");
    cyg_meta_feed_pixels(&meta, pixels, out);
    assert_memory_equal(out, pixels, 12);
    meta = meta_of("{\"dtype\": \"u8\", \"layout\": \"NCHW\", \"format\": \"RGB\"}");
    cyg_meta_feed_pixels(&meta, pixels, out);
    assert_memory_equal(out, rgb_nchw, 12);
    meta = meta_of("{\"dtype\": \"u8\", \"layout\": \"NHWC\", \"format\": \"BGR\"}");
    cyg_meta_feed_pixels(&meta, pixels, out);
    assert_memory_equal(out, bgr_nhwc, 12);
}

static void test_floats_in_every_order(void **state)
{
    (void)state;
    /* (pixel - mean) / std of each channel is 0 1 2 3 by construction. */
    static const float rgb_nchw[12] = {0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3};
    static const float raw_bgr_nchw[12] = {30, 38, 46, 54, 20, 24, 28, 32, 10, 12, 14, 16};
    static const float raw_bgr_nhwc[12] = {30, 20, 10, 38, 24, 12, 46, 28, 14, 54, 32, 16};
    float out[12];
    cyg_package_meta meta = meta_of(
        "{\"dtype\": \"f32\", \"layout\": \"NCHW\", \"format\": \"RGB\", \"normalized\": true}");
    cyg_meta_feed_pixels(&meta, pixels, out);
    assert_memory_equal(out, rgb_nchw, sizeof out);
    meta = meta_of(
        "{\"dtype\": \"f32\", \"layout\": \"NCHW\", \"format\": \"BGR\", \"normalized\": false}");
    cyg_meta_feed_pixels(&meta, pixels, out);
    assert_memory_equal(out, raw_bgr_nchw, sizeof out);
    meta = meta_of(
        "{\"dtype\": \"f32\", \"layout\": \"NHWC\", \"format\": \"BGR\", \"normalized\": false}");
    cyg_meta_feed_pixels(&meta, pixels, out);
    assert_memory_equal(out, raw_bgr_nhwc, sizeof out);
}

/* The float model's input array and the picture that it was made of feed the same bytes. */
static void test_arrays_equal_pixels(void **state)
{
    (void)state;
    static const char *const inputs[] = {
        "{\"dtype\": \"u8\", \"layout\": \"NHWC\", \"format\": \"BGR\"}",
        "{\"dtype\": \"u8\", \"layout\": \"NCHW\", \"format\": \"RGB\"}",
        "{\"dtype\": \"f32\", \"layout\": \"NHWC\", \"format\": \"BGR\", \"normalized\": false}",
        "{\"dtype\": \"f32\", \"layout\": \"NCHW\", \"format\": \"BGR\", \"normalized\": true}"};
    static const float array[12] = {0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3};
    for (size_t i = 0; i < CYG_COUNT(inputs); i++) {
        const cyg_package_meta meta = meta_of(inputs[i]);
        const size_t bytes = cyg_meta_input_bytes(&meta);
        float a[12] = {0}, b[12] = {0};
        cyg_meta_feed_pixels(&meta, pixels, a);
        assert_int_equal(cyg_meta_feed_array(&app, &meta, "x.npy", array, 12, b, bytes), CYG_OK);
        assert_memory_equal(a, b, bytes);
        assert_int_equal(cyg_meta_feed_array(&app, &meta, "x.npy", array, 11, b, bytes),
                         CYG_E_FORMAT);
        assert_int_equal(cyg_meta_feed_array(&app, &meta, "x.npy", array, 12, b, bytes + 1),
                         CYG_E_FORMAT);
        cyg_ctx_clear(&app.ctx);
    }
}

/* Codes: the number nearest to value / scale + zero; video: what makes the picture again. */
static void test_codes_and_video(void **state)
{
    (void)state;
    int16_t codes[12];
    cyg_package_meta meta = meta_of("{\"dtype\": \"s16\", \"layout\": \"NHWC\", \"format\": "
                                    "\"RGB\", \"scale\": 0.5, \"zero_point\": 3}");
    assert_int_equal(cyg_meta_input_bytes(&meta), sizeof codes);
    cyg_meta_feed_pixels(&meta, pixels, codes);
    for (int i = 0; i < 12; i++)
        assert_int_equal(codes[i], 2 * pixels[i] + 3);
    meta = meta_of(
        "{\"dtype\": \"u8\", \"layout\": \"NHWC\", \"format\": \"YUYV422\", \"csc\": [1, 0, "
        "0, 0, 0, 1, 0, 0, 0, 0, 1, 0]}");
    uint8_t yuv[8];
    assert_int_equal(cyg_meta_input_bytes(&meta), sizeof yuv);
    cyg_meta_feed_pixels(&meta, pixels, yuv);
    for (int p = 0; p < 4; p++) {
        assert_int_equal(yuv[2 * p], pixels[3 * p]);
        const int c = 1 + p % 2, pair = p / 2 * 6;
        assert_true(abs(2 * yuv[2 * p + 1] - pixels[pair + c] - pixels[pair + 3 + c]) <= 1);
    }
}

static void test_damaged_text(void **state)
{
    (void)state;
    static const char text[] = "{\"preprocess\": " PREPROCESS
                               ", \"input\": {\"dtype\": \"u8\", \"layout\": \"NHWC\", \"format\": "
                               "\"BGR\", \"normalized\": false}, \"labels\": [\"a\", \"b\"]}";
    char bad[sizeof text];
    cyg_package_meta meta;
    assert_int_equal(cyg_meta_read(&app, text, sizeof text - 1, &meta), CYG_OK);
    for (size_t n = 0; n < sizeof text - 1; n++) {
        assert_int_not_equal(cyg_meta_read(&app, text, n, &meta), CYG_OK);
        cyg_ctx_clear(&app.ctx);
        memcpy(bad, text, sizeof text);
        bad[n] = (char)(bad[n] ^ 0x15);
        if (cyg_meta_read(&app, bad, sizeof text - 1, &meta) != CYG_OK)
            assert_true(cyg_ctx_message_count(&app.ctx) > 0);
        cyg_ctx_clear(&app.ctx);
    }
    static const char *const wrong[] = {
        "[]",
        "{\"input\": {\"dtype\": \"s64\"}}",
        "{\"input\": {\"dtype\": \"s8\", \"scale\": -1}}",
        "{\"input\": {\"dtype\": \"s8\", \"scale\": 1, \"zero_point\": 1e12}}",
        "{\"input\": {\"dtype\": \"u8\", \"format\": \"YUV420SP\"}}",
        "{\"input\": {\"dtype\": \"u8\", \"format\": \"YUV420SP\", \"csc\": [0]}}",
        "{\"input\": {\"dtype\": \"u8\", \"format\": \"YUV420SP\", \"csc\": [0, 0, 0, 0, 0, 0, 0, "
        "0, 0, "
        "0, 0, 0]}}",
        "{\"input\": {\"dtype\": \"u8\", \"normalized\": true}}",
        "{\"labels\": \"cat\"}",
        "{\"labels\": [1]}",
        "{\"preprocess\": 1}",
    };
    for (size_t i = 0; i < CYG_COUNT(wrong); i++)
        assert_int_not_equal(cyg_meta_read(&app, wrong[i], strlen(wrong[i]), &meta), CYG_OK);
    cyg_ctx_clear(&app.ctx);
    assert_int_equal(cyg_meta_read(&app, "{}", 2, &meta), CYG_OK);
    assert_false(meta.has_preprocess);
    assert_true(meta.labels == NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_in_every_order), cmocka_unit_test(test_floats_in_every_order),
        cmocka_unit_test(test_arrays_equal_pixels),  cmocka_unit_test(test_codes_and_video),
        cmocka_unit_test(test_damaged_text),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
