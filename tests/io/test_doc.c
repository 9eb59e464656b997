/* Documents: what is accepted, what is refused and where the message points; damaged input. */
#include "../testing.h"

#include "io/doc.h"

static cyg_status parse(cyg_ctx *ctx, const char *text, cyg_doc_syntax syntax, cyg_doc **out_doc)
{
    cyg_ctx_init(ctx);
    return cyg_doc_parse(ctx, "c.json", text, strlen(text), syntax, out_doc);
}

static const char relaxed[] = "// Swin\n"
                              "{ \"model_type\": \"ONNX\", # comment\n"
                              "  \"quant\": {\n"
                              "    \"input_configs\": [ { \"calibration_size\": 32,\n"
                              "        \"calibration_mean\": [123.675, 116.28, 1.0e2,], }, ],\n"
                              "    /* block\n"
                              "       comment */ \"check\": true, \"none\": null },\n"
                              "  \"url\": \"http://x/*y*/#z\\n\\u00e9\\ud83d\\ude00\" }\n";

static void check_relaxed(const cyg_doc_node *root)
{
    int64_t n;
    double x;
    bool b;
    const char *s;
    assert_int_equal(root->kind, CYG_DOC_MAP);
    assert_int_equal(root->count, 3);
    assert_string_equal(root->items[0]->key, "model_type");
    const cyg_doc_node *quant = cyg_doc_get(root, "quant");
    const cyg_doc_node *config = cyg_doc_get(quant, "input_configs")->items[0];
    assert_int_equal(cyg_doc_as_int(NULL, cyg_doc_get(config, "calibration_size"), &n), CYG_OK);
    assert_int_equal(n, 32);
    const cyg_doc_node *mean = cyg_doc_get(config, "calibration_mean");
    assert_int_equal(mean->count, 3);
    assert_int_equal(cyg_doc_as_float(NULL, mean->items[0], &x), CYG_OK);
    assert_true(x == 123.675);
    assert_string_equal(mean->items[0]->text, "123.675");
    assert_int_equal(cyg_doc_as_int(NULL, mean->items[2], &n), CYG_OK);
    assert_int_equal(n, 100);
    assert_int_equal(cyg_doc_as_bool(NULL, cyg_doc_get(quant, "check"), &b), CYG_OK);
    assert_true(b);
    assert_int_equal(cyg_doc_get(quant, "none")->kind, CYG_DOC_NULL);
    assert_int_equal(cyg_doc_as_string(NULL, cyg_doc_get(root, "url"), &s), CYG_OK);
    assert_string_equal(s, "http://x/*y*/#z\n\xc3\xa9\xf0\x9f\x98\x80");
    assert_null(cyg_doc_get(root, "nothing"));
    assert_null(cyg_doc_get(mean, "nothing"));
    assert_null(cyg_doc_get(NULL, "nothing"));
}

static void test_relaxed_json(void **state)
{
    (void)state;
    cyg_ctx ctx;
    cyg_doc *doc = NULL;
    assert_int_equal(parse(&ctx, relaxed, CYG_DOC_JSON, &doc), CYG_OK);
    check_relaxed(cyg_doc_root(doc));
    const cyg_doc_node *quant = cyg_doc_get(cyg_doc_root(doc), "quant");
    assert_int_equal(quant->line, 3);
    assert_int_equal(quant->column, 12);
    assert_int_equal(quant->key_column, 3);
    const cyg_doc_node *check = cyg_doc_get(quant, "check");
    assert_int_equal(check->line, 7);
    assert_int_equal(check->column, 28);
    cyg_doc_close(doc);
    cyg_doc_close(NULL);
}

static void test_yaml(void **state)
{
    (void)state;
    static const char text[] = "# Swin\n"
                               "model_type: ONNX\n"
                               "quant:\n"
                               "  input_configs:\n"
                               "  - calibration_size: 32\n"
                               "    calibration_mean: [123.675, 116.28, 1.0e2]\n"
                               "  check: true\n"
                               "  none: ~\n"
                               "url: \"http://x/*y*/#z\\n\\u00e9\\U0001F600\"\n";
    cyg_ctx ctx;
    cyg_doc *doc = NULL;
    assert_int_equal(parse(&ctx, text, CYG_DOC_YAML, &doc), CYG_OK);
    check_relaxed(cyg_doc_root(doc));
    const cyg_doc_node *mean =
        cyg_doc_get(cyg_doc_get(cyg_doc_get(cyg_doc_root(doc), "quant"), "input_configs")->items[0],
                    "calibration_mean");
    assert_int_equal(mean->line, 6);
    assert_int_equal(mean->column, 23);
    assert_int_equal(mean->key_column, 5);
    cyg_doc_close(doc);
    assert_int_equal(parse(&ctx, "a: 0x1F\nb: 'true'\nc: yes\nd: 1_000\ne: 1.2.3\nf: +5\ng: .5\n",
                           CYG_DOC_YAML, &doc),
                     CYG_OK);
    static const cyg_doc_kind kinds[] = {CYG_DOC_INT,    CYG_DOC_STRING, CYG_DOC_STRING,
                                         CYG_DOC_STRING, CYG_DOC_STRING, CYG_DOC_INT,
                                         CYG_DOC_FLOAT};
    for (size_t i = 0; i < CYG_COUNT(kinds); i++)
        assert_int_equal(cyg_doc_root(doc)->items[i]->kind, kinds[i]);
    assert_int_equal(cyg_doc_root(doc)->items[0]->integer, 31);
    cyg_doc_close(doc);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        cyg_doc_syntax syntax;
        const char *text, *message;
    } cases[] = {
        {CYG_DOC_JSON, "", "c.json:1:1: the document is empty"},
        {CYG_DOC_JSON, " // only\n", "the document is empty"},
        {CYG_DOC_JSON, "{\"a\": [1, 2, ...]}", "c.json:1:14: expected a value, found \"...\""},
        {CYG_DOC_JSON, "{\"a\": NaN}", "c.json:1:7: NaN is no JSON value"},
        {CYG_DOC_JSON, "{\"a\": -Infinity}", "c.json:1:7: infinity"},
        {CYG_DOC_JSON, "{\"a\": 1e999}", "c.json:1:7: 1e999 is too large"},
        {CYG_DOC_JSON, "{'a': 1}", "c.json:1:2: expected a key in double quotes"},
        {CYG_DOC_JSON, "{a: 1}", "c.json:1:2: expected a key in double quotes, found 'a'"},
        {CYG_DOC_JSON, "{\"a\" 1}", "c.json:1:6: expected ':'"},
        {CYG_DOC_JSON, "{\"a\": 'x'}", "c.json:1:7: expected a value: strings take double quotes"},
        {CYG_DOC_JSON, "[1 2]", "c.json:1:4: expected ',' or ']', found '2'"},
        {CYG_DOC_JSON, "[,]", "c.json:1:2: expected a value"},
        {CYG_DOC_JSON, "[1] x", "c.json:1:5: expected nothing more, found 'x'"},
        {CYG_DOC_JSON, "[01]", "may not start with 0"},
        {CYG_DOC_JSON, "[1.]", "expected a digit"},
        {CYG_DOC_JSON, "[\"a\nb\"]", "c.json:1:2: this string does not end on its line"},
        {CYG_DOC_JSON, "[\"\\x\"]", "after a backslash"},
        {CYG_DOC_JSON, "[\"\\u0000\"]", "NUL"},
        {CYG_DOC_JSON, "[\"\\ud800x\"]", "surrogate"},
        {CYG_DOC_JSON, "[\"\xc0\x80\"]", "not UTF-8"},
        {CYG_DOC_JSON, "[1] /* x", "c.json:1:5: this comment does not end"},
        {CYG_DOC_JSON, "{\"a\": 1,\n \"b\": 2,\n \"a\": 3}",
         "c.json:3:2: duplicate key \"a\"; the first is at line 1, column 2"},
        {CYG_DOC_YAML, "a: 1\nb: 2\na: 3\n", "c.json:3:1: duplicate key \"a\""},
        {CYG_DOC_YAML, "a: &x [1]\nb: *x\n", "c.json:1:4: anchors are not allowed"},
        {CYG_DOC_YAML, "a: !!str 1\n", "tags are not allowed"},
        {CYG_DOC_YAML, "a: .nan\n", "c.json:1:4: .nan is not a usable number"},
        {CYG_DOC_YAML, "a: 1\n---\nb: 2\n", "a second document"},
        {CYG_DOC_YAML, "[a]: 1\n", "a key must be a word"},
        {CYG_DOC_YAML, "a: [1\n", "c.json:2:1: "},
        {CYG_DOC_YAML, "a: \"\\0\"\n", "NUL"},
        {CYG_DOC_YAML, "", "the document is empty"},
    };
    for (size_t i = 0; i < CYG_COUNT(cases); i++) {
        cyg_ctx ctx;
        cyg_doc *doc = NULL;
        assert_int_equal(parse(&ctx, cases[i].text, cases[i].syntax, &doc), CYG_E_FORMAT);
        assert_null(doc);
        if (!ctx_says(&ctx, cases[i].message))
            print_error("case %zu: \"%s\"\nexpected \"%s\"\n", i, cyg_ctx_message(&ctx, 0),
                        cases[i].message);
        assert_true(ctx_says(&ctx, cases[i].message));
    }
}

static void test_typed_errors(void **state)
{
    (void)state;
    cyg_ctx ctx;
    cyg_doc *doc = NULL;
    int64_t n;
    double x;
    bool b;
    const char *s;
    const cyg_doc_node *node = NULL;
    assert_int_equal(
        parse(&ctx, "{\"size\": \"big\", \"f\": 1.5, \"l\": [], \"w\": 99999999999999999999}",
              CYG_DOC_JSON, &doc),
        CYG_OK);
    const cyg_doc_node *root = cyg_doc_root(doc);
    assert_int_equal(cyg_doc_as_int(&ctx, cyg_doc_get(root, "size"), &n), CYG_E_CONFIG);
    assert_true(ctx_says(&ctx, "c.json:1:10: size: expected an integer, found the string \"big\""));
    assert_int_equal(cyg_doc_as_int(&ctx, cyg_doc_get(root, "f"), &n), CYG_E_CONFIG);
    assert_true(ctx_says(&ctx, "c.json:1:22: f: expected an integer, found 1.5"));
    assert_int_equal(cyg_doc_as_string(&ctx, cyg_doc_get(root, "l"), &s), CYG_E_CONFIG);
    assert_true(ctx_says(&ctx, "l: expected a string, found a list"));
    assert_int_equal(cyg_doc_as_bool(&ctx, cyg_doc_get(root, "f"), &b), CYG_E_CONFIG);
    assert_int_equal(cyg_doc_as_map(&ctx, cyg_doc_get(root, "f")), CYG_E_CONFIG);
    assert_int_equal(cyg_doc_as_list(&ctx, cyg_doc_get(root, "l")), CYG_OK);
    assert_int_equal(cyg_doc_as_float(&ctx, cyg_doc_get(root, "w"), &x), CYG_OK);
    assert_int_equal(cyg_doc_get(root, "w")->kind, CYG_DOC_FLOAT);
    assert_int_equal(cyg_doc_need(&ctx, root, "none", &node), CYG_E_CONFIG);
    assert_true(ctx_says(&ctx, "c.json:1:1: the key \"none\" is missing"));
    assert_int_equal(CYG_DOC_FAIL_KEY(&ctx, cyg_doc_get(root, "f"), CYG_E_CONFIG, "odd"),
                     CYG_E_CONFIG);
    assert_true(ctx_says(&ctx, "c.json:1:17: odd"));
    cyg_doc_close(doc);
}

static void test_depth_is_bounded(void **state)
{
    (void)state;
    for (int syntax = CYG_DOC_JSON; syntax <= CYG_DOC_YAML; syntax++) {
        cyg_ctx ctx;
        cyg_doc *doc = NULL;
        char text[2 * CYG_DOC_DEEPEST + 8] = "";
        memset(text, '[', CYG_DOC_DEEPEST);
        memset(text + CYG_DOC_DEEPEST, ']', CYG_DOC_DEEPEST);
        assert_int_equal(parse(&ctx, text, (cyg_doc_syntax)syntax, &doc), CYG_OK);
        cyg_doc_close(doc);
        memset(text, '[', sizeof text - 1);
        assert_int_equal(parse(&ctx, text, (cyg_doc_syntax)syntax, &doc), CYG_E_FORMAT);
        assert_true(ctx_says(&ctx, "nested deeper than 64 levels"));
    }
}

static void test_many_keys(void **state)
{
    (void)state;
    enum { KEYS = 20000 };
    char *text = malloc(KEYS * 24);
    assert_non_null(text);
    size_t n = 0;
    for (int i = 0; i < KEYS; i++)
        n += (size_t)sprintf(text + n, "%c\"k%d\": %d", i > 0 ? ',' : '{', i * 7919 % KEYS, i);
    strcpy(text + n, "}");
    cyg_ctx ctx;
    cyg_doc *doc = NULL;
    assert_int_equal(parse(&ctx, text, CYG_DOC_JSON, &doc), CYG_OK);
    for (int i = 0; i < KEYS; i++) {
        char key[16];
        sprintf(key, "k%d", i * 7919 % KEYS);
        assert_int_equal(cyg_doc_get(cyg_doc_root(doc), key)->integer, i);
    }
    cyg_doc_close(doc);
    free(text);
}

static void test_damaged(void **state)
{
    (void)state;
    for (int syntax = CYG_DOC_JSON; syntax <= CYG_DOC_YAML; syntax++) {
        cyg_doc *doc = NULL;
        const size_t size = sizeof relaxed - 1;
        for (size_t cut = 0; cut < size; cut++) {
            char *exact = malloc(cut > 0 ? cut : 1);
            assert_non_null(exact);
            memcpy(exact, relaxed, cut);
            const cyg_status status =
                cyg_doc_parse(NULL, "x", exact, cut, (cyg_doc_syntax)syntax, &doc);
            if (syntax == CYG_DOC_JSON && cut + 1 < size)
                assert_int_not_equal(status, CYG_OK);
            cyg_doc_close(doc);
            free(exact);
        }
        for (size_t i = 0; i < 8 * size; i++) {
            char copy[sizeof relaxed];
            memcpy(copy, relaxed, sizeof relaxed);
            copy[i / 8] = (char)(copy[i / 8] ^ 1 << i % 8);
            CYG_IGNORE(cyg_doc_parse(NULL, "x", copy, size, (cyg_doc_syntax)syntax, &doc));
            cyg_doc_close(doc);
        }
    }
}

static void test_open(void **state)
{
    cyg_ctx ctx;
    cyg_doc *doc = NULL;
    cyg_ctx_init(&ctx);
    write_scratch(state, "a.JSON", "\xef\xbb\xbf{}", 5);
    assert_int_equal(cyg_doc_open(&ctx, scratch_path(state, "a.JSON"), &doc), CYG_OK);
    assert_int_equal(cyg_doc_root(doc)->count, 0);
    cyg_doc_close(doc);
    write_scratch(state, "a.ini", "x", 1);
    assert_int_equal(cyg_doc_open(&ctx, scratch_path(state, "a.ini"), &doc), CYG_E_UNSUPPORTED);
    assert_int_equal(cyg_doc_open(&ctx, scratch_path(state, "b.yml"), &doc), CYG_E_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_relaxed_json),
        cmocka_unit_test(test_yaml),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_typed_errors),
        cmocka_unit_test(test_depth_is_bounded),
        cmocka_unit_test(test_many_keys),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test_setup_teardown(test_open, setup_scratch, teardown_scratch),
    };
    return CYG_TEST_MAIN(tests);
}
