/* docs/config.md is the tables' output, and the tables are sane: defaults lie inside their limits,
 * what is built inside what is valid, every row that has no effect says why. */
#include "fixture.h"

static void test_page(void **state)
{
    (void)state;
    cyg_strbuf out = {0};
    cyg_map map;
    cyg_config_docs(&out);
    assert_false(out.failed);
    assert_int_equal(cyg_map_open(NULL, CYG_SOURCE_ROOT "/docs/config.md", &map), CYG_OK);
    if (map.size != out.len || memcmp(map.data, out.data, out.len) != 0)
        fail_msg("docs/config.md is not what the tables say: tests/config/write_config_docs > "
                 "docs/config.md");
    cyg_map_close(&map);
    cyg_strbuf_deinit(&out);
}

static bool is_number_kind(cyg_value_kind kind)
{
    return kind == CYG_VALUE_INT || kind == CYG_VALUE_FLOAT || kind == CYG_VALUE_INTS ||
           kind == CYG_VALUE_FLOATS;
}

/* Each blank-separated word of `set` is a name of the enum. */
static void check_words(const cyg_config_enum *of, const char *field, const char *set)
{
    char copy[256];
    snprintf(copy, sizeof copy, "%s", set);
    for (char *word = strtok(copy, " "); word != NULL; word = strtok(NULL, " ")) {
        int v = -1;
        if (cyg_value_parse_enum(NULL, CYG_E_CONFIG, field, of, word, &v) != CYG_OK)
            fail_msg("%s: %s is no %s", field, word, of->name);
    }
}

static void test_tables(void **state)
{
    (void)state;
    for (size_t m = 0; m < cyg_config_message_total; m++) {
        const cyg_config_message *message = cyg_config_messages[m];
        cyg_arena arena;
        cyg_ctx ctx;
        cyg_ctx_init(&ctx);
        cyg_arena_init(&arena);
        void *config = cyg_arena_zalloc(&arena, message->size, 0);
        if (cyg_config_init(&ctx, &arena, message, config) != CYG_OK)
            fail_msg("%s: %s", message->name, cyg_ctx_message(&ctx, 0));
        for (size_t i = 0; i < message->count; i++) {
            const cyg_config_field *f = &message->fields[i];
            assert_true(f->text[0] != '\0');
            assert_null(strchr(f->text, '|'));
            assert_true(f->category != CYG_CATEGORY_W || f->why[0] != '\0');
            assert_int_equal(cyg_config_find_field(message, f->name), i);
            if (is_number_kind(f->type.kind) && f->type.valid[0] != '\0')
                assert_non_null(strstr(f->type.valid, ".."));
            if (f->type.kind == CYG_VALUE_ENUM) {
                check_words(f->type.of, f->name, f->type.valid);
                check_words(f->type.of, f->name, f->built);
            }
            /* The default is built, but for the target, which the vendor's default forces. */
            if (f->category != CYG_CATEGORY_E && strcmp(f->name, "target_hardware") != 0)
                assert_true(f->type.kind == CYG_VALUE_SUB || f->type.kind == CYG_VALUE_SUBS ||
                            cyg_value_allows(f->type, f->built, cyg_config_value_const(f, config)));
        }
        cyg_arena_deinit(&arena);
    }
}

static void test_keys(void **state)
{
    (void)state;
    const cyg_config_message *build = &cyg_config_message_build;
    assert_int_equal(cyg_config_find_field(build, "output_dir"),
                     cyg_config_find_field(build, "outputDir"));
    assert_true(cyg_config_find_field(build, "output_dir") >= 0);
    static const char *const wrong[] = {
        "OutputDir", "outputdir", "output_Dir", "output_dir_", "outputDi", "output", ""};
    for (size_t i = 0; i < CYG_COUNT(wrong); i++)
        assert_int_equal(cyg_config_find_field(build, wrong[i]), -1);
    assert_int_equal(
        cyg_config_find_field(&cyg_config_message_compiler, "checkCosineSimilarity"),
        cyg_config_find_field(&cyg_config_message_compiler, "check_cosine_simularity"));
}

static void test_floats(void **state)
{
    (void)state;
    char text[32];
    static const double values[] = {0, 1, 0.1, 123.675, 1e-6, 1.0 / 3, 1e300, -2.5};
    for (size_t i = 0; i < CYG_COUNT(values); i++) {
        cyg_value_print_float(values[i], text);
        const double back = strtod(text, NULL);
        assert_memory_equal(&back, &values[i], sizeof back);
    }
    cyg_value_print_float(0.1, text);
    assert_string_equal(text, "0.1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_page),
        cmocka_unit_test(test_tables),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_floats),
    };
    return CYG_TEST_MAIN(tests);
}
