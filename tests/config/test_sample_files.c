/* Names of tensor files, collisions, list files. */
#include "fixture.h"

#include "config/sample_files.h"

static void test_names(void **state)
{
    (void)state;
    static const struct {
        const char *tensor, *file;
    } rows[] = {
        {"/head/out:0", "_head_out_0.bin"},
        {"pixel_values", "pixel_values.bin"},
        {"a-b_C9", "a-b_C9.bin"},
        {"", ".bin"},
        {"..", "__.bin"},
        {"h\xC3\xA9llo", "h_llo.bin"},                /* one code point, one "_" */
        {"\xE5\xBE\xAE.\xF0\x9F\xA6\xA2", "___.bin"}, /* three and four bytes */
        {"a\xFF\xC3", "a__.bin"},                     /* no UTF-8: byte by byte */
        {"\xC3", "_.bin"},
    };
    fixture f;
    fixture_init(&f);
    for (size_t i = 0; i < CYG_COUNT(rows); i++)
        assert_string_equal(cyg_tensor_file_name(&f.arena, rows[i].tensor), rows[i].file);

    static const char *const fine[] = {"a", "b", "a/b"}, *const clash[] = {"x", "a/b", "y", "a:b"};
    cyg_string_list names;
    assert_int_equal(cyg_tensor_file_names(&f.ctx, &f.arena, fine, 3, &names), CYG_OK);
    assert_string_equal(names.items[2], "a_b.bin");
    assert_int_equal(cyg_tensor_file_names(&f.ctx, &f.arena, clash, 4, &names), CYG_E_UNSUPPORTED);
    assert_true(ctx_says(&f.ctx, "tensors \"a/b\" and \"a:b\" would share the file a_b.bin"));
    fixture_deinit(&f);
}

static cyg_status parse(fixture *f, const char *text, size_t size, cyg_string_list *out)
{
    cyg_ctx_clear(&f->ctx);
    return cyg_sample_list_parse(&f->ctx, &f->arena, "list.txt", text, size, out);
}

static void test_lists(void **state)
{
    (void)state;
    fixture f;
    cyg_string_list lines;
    fixture_init(&f);
    static const char windows[] = "0\r\n 1 \r\n\r\n\t\nsub/2\r\n3..x";
    assert_int_equal(parse(&f, windows, sizeof windows - 1, &lines), CYG_OK);
    assert_int_equal(lines.count, 4);
    assert_string_equal(lines.items[0], "0");
    assert_string_equal(lines.items[1], "1");
    assert_string_equal(lines.items[2], "sub/2");
    assert_string_equal(lines.items[3], "3..x");
    assert_int_equal(parse(&f, "", 0, &lines), CYG_OK);
    assert_int_equal(lines.count, 0);
    static const char *const wrong[] = {"..", "a/..", "../a",       "a/../b",
                                        "/a", "a\na", "0\n1\n0\r\n"};
    for (size_t i = 0; i < CYG_COUNT(wrong); i++)
        assert_int_equal(parse(&f, wrong[i], strlen(wrong[i]), &lines), CYG_E_CONFIG);
    assert_true(ctx_says(&f.ctx, "list.txt:3: \"0\" is listed twice"));
    assert_int_equal(parse(&f, "a\0b", 3, &lines), CYG_E_FORMAT);
    fixture_deinit(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_lists),
    };
    return CYG_TEST_MAIN(tests);
}
