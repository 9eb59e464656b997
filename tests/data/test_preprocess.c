/* Descriptions (HuggingFace, timm, our own JSON) and pixels against Pillow on real photographs. */
#include "../testing.h"

#include "base/hash.h"
#include "data/preprocess.h"
#include "io/tsv.h"

static cyg_status read_hf(cyg_ctx *ctx, const char *text, int64_t side, cyg_preprocess *p)
{
    cyg_doc *doc = NULL;
    cyg_ctx_init(ctx);
    cyg_preprocess_init(p, side, side);
    assert_int_equal(cyg_doc_parse(ctx, "p.json", text, strlen(text), CYG_DOC_JSON, &doc), CYG_OK);
    const cyg_status status = cyg_preprocess_read_hf(ctx, cyg_doc_root(doc), p);
    cyg_doc_close(doc);
    return status;
}

#define NORM                                                                                       \
    "\"do_normalize\": true, \"image_mean\": [0.485, 0.456, 0.406], \"image_std\": [0.229, "       \
    "0.224, 0.225]"

static void test_swin(void **state)
{
    (void)state;
    cyg_ctx ctx;
    cyg_preprocess p;
    assert_int_equal(read_hf(&ctx,
                             "{" NORM ", \"do_resize\": true, \"feature_extractor_type\": "
                             "\"ViTFeatureExtractor\", \"resample\": 2, \"size\": 224}",
                             224, &p),
                     CYG_OK);
    assert_int_equal(p.geometry, CYG_GEOMETRY_STRETCH);
    assert_int_equal(p.resize_height, 224);
    assert_int_equal(p.filter, CYG_RESIZE_BILINEAR);
    assert_true(p.normalize);
    assert_true(p.mean[0] == 123.675f && p.std[2] == 57.375f);
    /* written out with its factor, as newer versions do */
    assert_int_equal(read_hf(&ctx,
                             "{" NORM ", \"do_rescale\": true, \"rescale_factor\": "
                             "0.00392156862745098, \"size\": {\"height\": 224, \"width\": 224}}",
                             224, &p),
                     CYG_OK);
    assert_true(p.mean[0] == 123.675f && p.std[2] == 57.375f);
    assert_int_equal(p.filter, CYG_RESIZE_BICUBIC);
}

static void test_other_processors(void **state)
{
    (void)state;
    cyg_ctx ctx;
    cyg_preprocess p;
    /* DeiT: stretched to 256, centre 224 */
    assert_int_equal(read_hf(&ctx,
                             "{" NORM
                             ", \"do_center_crop\": true, \"crop_size\": 224, \"size\": 256, "
                             "\"feature_extractor_type\": \"DeiTFeatureExtractor\"}",
                             224, &p),
                     CYG_OK);
    assert_int_equal(p.geometry, CYG_GEOMETRY_STRETCH);
    assert_int_equal(p.resize_width, 256);
    /* CLIP: the number is the shorter side */
    assert_int_equal(read_hf(&ctx,
                             "{" NORM
                             ", \"do_center_crop\": true, \"crop_size\": 224, \"size\": 256, "
                             "\"image_processor_type\": \"CLIPImageProcessor\"}",
                             224, &p),
                     CYG_OK);
    assert_int_equal(p.geometry, CYG_GEOMETRY_SHORT);
    assert_int_equal(p.resize_short, 256);
    /* ConvNeXt: crop_pct below 384, stretch from there on */
    assert_int_equal(read_hf(&ctx,
                             "{" NORM ", \"crop_pct\": 0.875, \"size\": {\"shortest_edge\": 224}, "
                             "\"image_processor_type\": \"ConvNextImageProcessor\"}",
                             224, &p),
                     CYG_OK);
    assert_int_equal(p.geometry, CYG_GEOMETRY_SHORT);
    assert_int_equal(p.resize_short, 256);
    assert_int_equal(read_hf(&ctx,
                             "{" NORM ", \"size\": 384, "
                             "\"image_processor_type\": \"ConvNextImageProcessor\"}",
                             384, &p),
                     CYG_OK);
    assert_int_equal(p.geometry, CYG_GEOMETRY_STRETCH);
    /* only rescaled; not even that */
    assert_int_equal(read_hf(&ctx, "{\"do_normalize\": false, \"size\": 8}", 8, &p), CYG_OK);
    assert_true(p.normalize && p.mean[1] == 0 && p.std[1] == 255);
    assert_int_equal(read_hf(&ctx, "{\"do_normalize\": false, \"do_rescale\": false}", 8, &p),
                     CYG_OK);
    assert_false(p.normalize);
    /* timm */
    assert_int_equal(
        read_hf(&ctx,
                "{\"architecture\": \"swin\", \"pretrained_cfg\": {\"input_size\": [3, 224, 224], "
                "\"interpolation\": \"bicubic\", \"crop_pct\": 0.9, \"mean\": [0.5, 0.5, 0.5], "
                "\"std\": [0.5, 0.5, 0.5]}}",
                224, &p),
        CYG_OK);
    assert_int_equal(p.geometry, CYG_GEOMETRY_SHORT);
    assert_int_equal(p.resize_short, 248);
    assert_true(p.mean[0] == 127.5f && p.std[0] == 127.5f);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"{" NORM ", \"size\": 256}", "pictures of 256x256 for a model input of 224x224"},
        {"{" NORM ", \"size\": 224, \"do_pad\": true}", "do_pad: padding is not supported"},
        {"{" NORM ", \"size\": 224, \"do_flip_channel_order\": true}", "not supported"},
        {"{" NORM ", \"size\": 224, \"resample\": 9}", "resample: unknown filter 9"},
        {"{" NORM ", \"size\": \"big\"}", "expected an integer"},
        {"{" NORM ", \"size\": {\"height\": 224}}", "\"width\" is missing"},
        {"{" NORM ", \"size\": -3}", "a side of -3 pixels"},
        {"{\"do_normalize\": true, \"size\": 224}", "without image_mean"},
        {"{\"image_mean\": [1, 2], \"image_std\": [1, 1, 1], \"size\": 224}", "expected 3 numbers"},
        {"{\"image_mean\": [0, 0, 0], \"image_std\": [1, 0, 1], \"size\": 224}",
         "must be positive"},
        {"{" NORM ", \"size\": {\"shortest_edge\": 200}, \"do_center_crop\": true, "
         "\"crop_size\": 224}",
         "the shorter side is resized to 200"},
        {"[]", "expected a map"},
    };
    for (size_t i = 0; i < CYG_COUNT(cases); i++) {
        cyg_ctx ctx;
        cyg_preprocess p;
        assert_int_not_equal(read_hf(&ctx, cases[i].text, 224, &p), CYG_OK);
        if (!ctx_says(&ctx, cases[i].message))
            print_error("case %zu: %s\n", i, cyg_ctx_message(&ctx, 0));
        assert_true(ctx_says(&ctx, cases[i].message));
        assert_true(ctx_says(&ctx, "p.json"));
    }
}

static void test_stored_form(void **state)
{
    (void)state;
    cyg_ctx ctx;
    cyg_preprocess p, q;
    for (int variant = 0; variant < 3; variant++) {
        cyg_preprocess_init(&p, 224, 192);
        if (variant > 0)
            cyg_preprocess_set_crop(&p);
        p.order = (cyg_channel_order)variant;
        p.normalize = variant != 2;
        p.mean[0] = 0.1f;
        p.std[2] = 57.375f;
        if (variant == 2)
            p.mean[0] = 0, p.std[2] = 1;
        p.source_type = variant == 1 ? CYG_TYPE_U8 : CYG_TYPE_F32;
        p.source_nhwc = variant == 1;
        cyg_strbuf text = {0};
        cyg_json json;
        cyg_doc *doc = NULL;
        cyg_json_init(&json, &text, 2);
        cyg_preprocess_write(&p, &json);
        cyg_ctx_init(&ctx);
        assert_int_equal(cyg_doc_parse(&ctx, "m", text.data, text.len, CYG_DOC_JSON, &doc), CYG_OK);
        assert_int_equal(cyg_preprocess_read(&ctx, cyg_doc_root(doc), &q), CYG_OK);
        cyg_strbuf again = {0};
        cyg_json_init(&json, &again, 2);
        cyg_preprocess_write(&q, &json);
        assert_string_equal(text.data, again.data);
        assert_int_equal(q.height, 224);
        assert_int_equal(q.source_nhwc, variant == 1);
        assert_true(q.mean[0] == p.mean[0] && q.std[2] == p.std[2]);
        cyg_doc_close(doc);
        cyg_strbuf_deinit(&text);
        cyg_strbuf_deinit(&again);
    }
    cyg_doc *doc = NULL;
    assert_int_equal(cyg_doc_parse(&ctx, "m", "{\"height\": 3}", 13, CYG_DOC_JSON, &doc), CYG_OK);
    assert_int_equal(cyg_preprocess_read(&ctx, cyg_doc_root(doc), &q), CYG_E_CONFIG);
    cyg_doc_close(doc);
}

static void test_orders_and_layouts(void **state)
{
    (void)state;
    uint8_t pixels[2 * 2 * 3] = {10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120}, out[12];
    const cyg_image image = {.pixels = pixels, .width = 2, .height = 2, .orientation = 1};
    float values[12];
    cyg_preprocess p;
    cyg_preprocess_init(&p, 2, 2);
    assert_int_equal(cyg_preprocess_pixels(NULL, &p, &image, out), CYG_OK);
    assert_memory_equal(out, pixels, 12);
    cyg_preprocess_normalise(&p, out, values);
    assert_true(values[0] == 10 && values[1] == 40 && values[4] == 20 && values[11] == 120);
    p.source_nhwc = true;
    cyg_preprocess_normalise(&p, out, values);
    assert_true(values[0] == 10 && values[1] == 20 && values[3] == 40);
    p.order = CYG_ORDER_BGR;
    p.normalize = true;
    p.mean[0] = 5;
    p.std[0] = 3;
    assert_int_equal(cyg_preprocess_pixels(NULL, &p, &image, out), CYG_OK);
    assert_int_equal(out[0], 30);
    assert_int_equal(out[2], 10);
    cyg_preprocess_normalise(&p, out, values);
    assert_true(values[0] == (30.0f - 5.0f) / 3.0f && values[1] == 20);
    p.order = CYG_ORDER_GRAY;
    assert_int_equal(cyg_preprocess_count(&p), 4);
    assert_int_equal(cyg_preprocess_pixels(NULL, &p, &image, out), CYG_OK);
    assert_int_equal(out[0], (10 * 19595 + 20 * 38470 + 30 * 7471 + 32768) >> 16);
    cyg_preprocess_init(&p, 1, 1); /* the centre of 2x2, margins truncated */
    p.geometry = CYG_GEOMETRY_NONE;
    assert_int_equal(cyg_preprocess_pixels(NULL, &p, &image, out), CYG_OK);
    assert_int_equal(out[0], 10);
    cyg_preprocess_init(&p, 3, 3);
    p.geometry = CYG_GEOMETRY_NONE;
    assert_int_equal(cyg_preprocess_pixels(NULL, &p, &image, out), CYG_E_FORMAT);
}

static void test_photographs_equal_pillow(void **state)
{
    (void)state;
    const char *shared = shared_folder();
    if (shared == NULL)
        skip();
    cyg_tsv *t = NULL;
    uint8_t *out = malloc(224 * 224 * 3);
    assert_non_null(out);
    assert_int_equal(cyg_tsv_open(NULL, CYG_SOURCE_ROOT "/tests/data/shared_pixels.tsv", &t),
                     CYG_OK);
    for (size_t row = 0; row < cyg_tsv_rows(t); row++) {
        char path[1024], hex[65];
        cyg_map map;
        cyg_preprocess p;
        cyg_preprocess_init(&p, 224, 224);
        if (strcmp(cyg_tsv_cell(t, row, 1), "short") == 0)
            cyg_preprocess_set_crop(&p);
        snprintf(path, sizeof path, "%s/%s", shared, cyg_tsv_cell(t, row, 0));
        assert_int_equal(cyg_map_open(NULL, path, &map), CYG_OK);
        assert_int_equal(cyg_preprocess_decode(NULL, &p, path, map.data, map.size, out, NULL),
                         CYG_OK);
        cyg_sha256_hex(out, 224 * 224 * 3, hex);
        if (strcmp(hex, cyg_tsv_cell(t, row, 2)) != 0)
            print_error("%s (%s) differs from Pillow\n", path, cyg_tsv_cell(t, row, 1));
        assert_string_equal(hex, cyg_tsv_cell(t, row, 2));
        cyg_map_close(&map);
    }
    cyg_tsv_close(t);
    free(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_swin),
        cmocka_unit_test(test_other_processors),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_stored_form),
        cmocka_unit_test(test_orders_and_layouts),
        cmocka_unit_test(test_photographs_equal_pillow),
    };
    return CYG_TEST_MAIN(tests);
}
