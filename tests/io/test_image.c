/* Decoding against Pillow (data/pixels.tsv, made by make_images.py), and damaged pictures. */
#include "../testing.h"

#include "base/hash.h"
#include "io/image.h"
#include "io/tsv.h"

#define DATA CYG_SOURCE_ROOT "/tests/io/data/"

static void test_pixels_equal_pillow(void **state)
{
    (void)state;
    cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    cyg_tsv *table = NULL;
    assert_int_equal(cyg_tsv_open(&ctx, DATA "pixels.tsv", &table), CYG_OK);
    assert_true(cyg_tsv_rows(table) >= 18);
    for (size_t row = 0; row < cyg_tsv_rows(table); row++) {
        const char *name = cyg_tsv_cell(table, row, 0);
        char path[512], hex[65];
        snprintf(path, sizeof path, DATA "%s", name);
        cyg_map map;
        cyg_image image;
        assert_int_equal(cyg_map_open(&ctx, path, &map), CYG_OK);
        assert_int_equal(cyg_image_decode(&ctx, name, map.data, map.size, &image), CYG_OK);
        assert_int_equal(image.kind, strstr(name, ".jpg") != NULL ? CYG_IMAGE_JPEG : CYG_IMAGE_PNG);
        assert_int_equal(image.width, atoi(cyg_tsv_cell(table, row, 1)));
        assert_int_equal(image.height, atoi(cyg_tsv_cell(table, row, 2)));
        assert_int_equal(image.orientation, atoi(cyg_tsv_cell(table, row, 3)));
        cyg_sha256_hex(image.pixels, (size_t)(image.width * image.height * 3), hex);
        if (strcmp(hex, cyg_tsv_cell(table, row, 4)) != 0)
            print_error("%s differs from Pillow\n", name);
        assert_string_equal(hex, cyg_tsv_cell(table, row, 4));
        cyg_image_deinit(&image);
        cyg_map_close(&map);
    }
    cyg_tsv_close(table);
}

/* Cut at every length: an error, never a grey picture; a changed byte: an error or a picture, never
 * a crash. */
static void test_damaged(void **state)
{
    (void)state;
    static const char *const names[] = {"420.jpg",      "progressive.jpg", "cmyk.jpg", "exif6.jpg",
                                        "palette8.png", "rgba.png",        "grey2.png"};
    for (size_t n = 0; n < CYG_COUNT(names); n++) {
        char path[512];
        snprintf(path, sizeof path, DATA "%s", names[n]);
        cyg_map map;
        cyg_image image;
        assert_int_equal(cyg_map_open(NULL, path, &map), CYG_OK);
        uint8_t *copy = malloc(map.size);
        assert_non_null(copy);
        /* libspng does not ask for the checksum of the empty end chunk */
        const size_t tail = strstr(names[n], ".png") != NULL ? 4 : 0;
        for (size_t cut = 0; cut + tail < map.size; cut++) {
            uint8_t *exact =
                malloc(cut > 0 ? cut : 1); /* exact: the sanitizer sees a read past it */
            assert_non_null(exact);
            memcpy(exact, map.data, cut);
            const cyg_status status = cyg_image_decode(NULL, "cut", exact, cut, &image);
            if (status == CYG_OK)
                print_error("%s cut at %zu of %zu decodes\n", names[n], cut, map.size);
            assert_int_not_equal(status, CYG_OK);
            cyg_image_deinit(&image);
            free(exact);
        }
        for (size_t i = 0; i < map.size; i++) {
            memcpy(copy, map.data, map.size);
            copy[i] ^= (uint8_t)(1u << i % 8);
            if (cyg_image_decode(NULL, "flipped", copy, map.size, &image) == CYG_OK)
                assert_non_null(image.pixels);
            cyg_image_deinit(&image);
        }
        free(copy);
        cyg_map_close(&map);
    }
}

static void test_messages(void **state)
{
    (void)state;
    cyg_ctx ctx;
    cyg_image image;
    cyg_ctx_init(&ctx);
    assert_int_equal(cyg_image_decode(&ctx, "notes.txt", "hello", 5, &image), CYG_E_FORMAT);
    assert_true(ctx_says(&ctx, "notes.txt is neither JPEG nor PNG"));
    assert_int_equal(cyg_image_decode(&ctx, "x", NULL, 0, &image), CYG_E_FORMAT);
    cyg_map map;
    assert_int_equal(cyg_map_open(&ctx, DATA "420.jpg", &map), CYG_OK);
    assert_int_equal(cyg_image_decode(&ctx, "a.jpg", map.data, map.size / 2, &image), CYG_E_FORMAT);
    assert_true(ctx_says(&ctx, "a.jpg: damaged JPEG: Premature end"));
    cyg_map_close(&map);
}

static void test_size_limit(void **state)
{
    (void)state;
    cyg_ctx ctx;
    cyg_image image;
    cyg_map map;
    cyg_ctx_init(&ctx);
    assert_int_equal(cyg_map_open(&ctx, DATA "420.jpg", &map), CYG_OK);
    uint8_t *copy = malloc(map.size);
    assert_non_null(copy);
    memcpy(copy, map.data, map.size);
    for (size_t i = 0; i + 9 < map.size; i++)
        if (copy[i] == 0xff && copy[i + 1] == 0xc0) /* SOF0: height and width at +5 */
            memset(copy + i + 5, 0xfe, 4);
    assert_int_equal(cyg_image_decode(&ctx, "huge.jpg", copy, map.size, &image), CYG_E_UNSUPPORTED);
    assert_true(ctx_says(&ctx, "huge.jpg has 65278x65278 pixels"));
    free(copy);
    cyg_map_close(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pixels_equal_pillow),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_size_limit),
    };
    return CYG_TEST_MAIN(tests);
}
