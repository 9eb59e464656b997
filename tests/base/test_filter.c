/* Programs as filters: everything through, nothing hangs, what goes wrong is said. */
#include "../testing.h"

#include "base/filter.h"

static cyg_ctx ctx;

static cyg_status run(const char *const *argv, size_t size, double seconds, cyg_strbuf *out,
                      bool *found)
{
    char *input = malloc(size + 1);
    assert_non_null(input);
    for (size_t i = 0; i < size; i++)
        input[i] = (char)('a' + i % 23);
    cyg_ctx_init(&ctx);
    const cyg_status status = cyg_filter_run(&ctx, argv, input, size, seconds, out, found);
    free(input);
    return status;
}

static void test_all_of_it_comes_back(void **state)
{
    (void)state;
    static const char *const cat[] = {"cat", NULL};
    static const size_t sizes[] = {0, 1, 65536, 3 << 20}; /* the last is more than pipes hold */
    for (size_t s = 0; s < CYG_COUNT(sizes); s++) {
        cyg_strbuf out = {0};
        bool found = false;
        assert_int_equal(run(cat, sizes[s], 60, &out, &found), CYG_OK);
        assert_true(found);
        assert_int_equal(out.len, sizes[s]);
        for (size_t i = 0; i < out.len; i++)
            assert_int_equal(out.data[i], 'a' + (int)(i % 23));
        cyg_strbuf_deinit(&out);
    }
}

static void test_no_shell_reads_the_words(void **state)
{
    (void)state;
    static const char *const words[] = {"printf", "%s", "$(echo x);`id`", NULL};
    cyg_strbuf out = {0};
    bool found;
    assert_int_equal(run(words, 0, 60, &out, &found), CYG_OK);
    assert_string_equal(out.data, "$(echo x);`id`");
    cyg_strbuf_deinit(&out);
}

static void test_missing_program_is_no_failure(void **state)
{
    (void)state;
    static const char *const none[] = {"cygnet-has-no-such-program", NULL};
    cyg_strbuf out = {0};
    bool found = true;
    assert_int_equal(run(none, 5, 60, &out, &found), CYG_OK);
    assert_false(found);
    cyg_strbuf_deinit(&out);
}

static void test_failures_are_said(void **state)
{
    (void)state;
    static const char *const fails[] = {"false", NULL}, *const deaf[] = {"true", NULL},
                             *const sleeps[] = {"sleep", "1000", NULL};
    cyg_strbuf out = {0};
    bool found;
    assert_int_equal(run(fails, 0, 60, &out, &found), CYG_E_IO);
    assert_non_null(strstr(cyg_ctx_message(&ctx, 0), "status 1"));
    /* A program that reads nothing of much input is judged by how it ends. */
    assert_int_equal(run(deaf, 3 << 20, 60, &out, &found), CYG_OK);
    assert_int_equal(run(sleeps, 10, 0, &out, &found), CYG_E_IO);
    assert_non_null(strstr(cyg_ctx_message(&ctx, 0), "too long"));
    cyg_strbuf_deinit(&out);
}

static void test_cancel_ends_it(void **state)
{
    (void)state;
    static const char *const sleeps[] = {"sleep", "1000", NULL};
    static const int yes = 1;
    cyg_strbuf out = {0};
    bool found;
    cyg_ctx_init(&ctx);
    ctx.cancelled = &yes;
    assert_int_equal(cyg_filter_run(&ctx, sleeps, "", 0, 1000, &out, &found), CYG_E_CANCELLED);
    cyg_strbuf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_of_it_comes_back),
        cmocka_unit_test(test_no_shell_reads_the_words),
        cmocka_unit_test(test_missing_program_is_no_failure),
        cmocka_unit_test(test_failures_are_said),
        cmocka_unit_test(test_cancel_ends_it),
    };
    return CYG_TEST_MAIN(tests);
}
