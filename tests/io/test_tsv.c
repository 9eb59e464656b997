/* Tables: columns by name, places in messages, damaged text. */
#include "../testing.h"

#include "io/tsv.h"

static void test_read(void **state)
{
    (void)state;
    static const char text[] = "\xef\xbb\xbf"
                               "file\tclass_index\tname\r\n"
                               "a b.jpg\t3\tchow, chow chow\r\n"
                               "\r\n"
                               "c.jpg\t-1\t\textra";
    cyg_tsv *t = NULL;
    cyg_ctx ctx;
    size_t file, index;
    int64_t value;
    cyg_ctx_init(&ctx);
    assert_int_equal(cyg_tsv_parse(&ctx, "l.tsv", text, sizeof text - 1, &t), CYG_OK);
    assert_int_equal(cyg_tsv_rows(t), 2);
    assert_int_equal(cyg_tsv_column(&ctx, t, "class_index", &index), CYG_OK);
    assert_int_equal(cyg_tsv_column(&ctx, t, "file", &file), CYG_OK);
    assert_string_equal(cyg_tsv_cell(t, 0, file), "a b.jpg");
    assert_string_equal(cyg_tsv_cell(t, 0, 2), "chow, chow chow");
    assert_string_equal(cyg_tsv_cell(t, 1, 2), "");
    assert_int_equal(cyg_tsv_int(&ctx, t, 1, index, &value), CYG_OK);
    assert_int_equal(value, -1);
    assert_int_equal(cyg_tsv_line(t, 1), 4);
    assert_int_equal(cyg_tsv_int(&ctx, t, 1, file, &value), CYG_E_FORMAT);
    assert_true(ctx_says(&ctx, "l.tsv:4: file: expected a whole number, found \"c.jpg\""));
    assert_int_equal(cyg_tsv_column(&ctx, t, "label", &index), CYG_E_FORMAT);
    assert_true(
        ctx_says(&ctx, "l.tsv:1: no column \"label\"; there are \"file\", \"class_index\""));
    cyg_tsv_close(t);
    cyg_tsv_close(NULL);
}

static void test_refused(void **state)
{
    (void)state;
    cyg_tsv *t = NULL;
    cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    assert_int_equal(cyg_tsv_parse(&ctx, "l.tsv", "a\tb\n1\n", 6, &t), CYG_E_FORMAT);
    assert_true(ctx_says(&ctx, "l.tsv:2: 1 cells, the header has 2"));
    assert_int_equal(cyg_tsv_parse(&ctx, "l.tsv", "", 0, &t), CYG_E_FORMAT);
    assert_int_equal(cyg_tsv_parse(&ctx, "l.tsv", "\n\n", 2, &t), CYG_E_FORMAT);
    assert_int_equal(cyg_tsv_parse(&ctx, "l.tsv", "a\0b", 3, &t), CYG_E_FORMAT);
    char tabs[200];
    memset(tabs, '\t', sizeof tabs);
    assert_int_equal(cyg_tsv_parse(&ctx, "l.tsv", tabs, sizeof tabs, &t), CYG_E_FORMAT);
}

static void test_damaged(void **state)
{
    (void)state;
    static const char text[] = "file\tclass_index\na.jpg\t1\nb.jpg\t2\n";
    for (size_t i = 0; i < 8 * (sizeof text - 1); i++) {
        char copy[sizeof text];
        cyg_tsv *t = NULL;
        memcpy(copy, text, sizeof text);
        copy[i / 8] = (char)(copy[i / 8] ^ 1 << i % 8);
        if (cyg_tsv_parse(NULL, "x", copy, i % (sizeof text - 1), &t) == CYG_OK)
            for (size_t row = 0; row < cyg_tsv_rows(t); row++)
                assert_non_null(cyg_tsv_cell(t, row, 0));
        cyg_tsv_close(t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_damaged),
    };
    return CYG_TEST_MAIN(tests);
}
