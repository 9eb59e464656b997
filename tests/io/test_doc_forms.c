/* TOML and protobuf's text format: what they mean, written as JSON; what is refused, and where the
 * message points. Damaged texts are errors or documents, never anything else. */
#include "../testing.h"

#include "io/doc.h"
#include "io/json_write.h"

static void write_node(cyg_json *j, const cyg_doc_node *n)
{
    if (n->kind == CYG_DOC_MAP)
        cyg_json_begin_object(j);
    else if (n->kind == CYG_DOC_LIST)
        cyg_json_begin_array(j);
    else if (n->kind == CYG_DOC_STRING)
        cyg_json_string(j, n->text);
    else if (n->kind == CYG_DOC_INT)
        cyg_json_int(j, n->integer);
    else if (n->kind == CYG_DOC_FLOAT)
        cyg_json_double(j, n->number);
    else if (n->kind == CYG_DOC_BOOL)
        cyg_json_bool(j, n->boolean);
    else
        cyg_json_null(j);
    for (size_t i = 0; i < n->count; i++) {
        assert_true(n->items[i]->line > 0 && n->items[i]->column > 0);
        if (n->kind == CYG_DOC_MAP)
            cyg_json_key(j, n->items[i]->key);
        write_node(j, n->items[i]);
    }
    if (n->kind == CYG_DOC_MAP)
        cyg_json_end_object(j);
    else if (n->kind == CYG_DOC_LIST)
        cyg_json_end_array(j);
}

typedef struct form {
    const char *text, *json;
} form;

/* Blanks outside strings are the writer's taste. */
static void squeeze(cyg_strbuf *s)
{
    size_t n = 0;
    bool quoted = false;
    for (size_t k = 0; k < s->len; k++) {
        if (s->data[k] == '"' && (k == 0 || s->data[k - 1] != '\\'))
            quoted = !quoted;
        if (quoted || (s->data[k] != ' ' && s->data[k] != '\n'))
            s->data[n++] = s->data[k];
    }
    s->data[n] = '\0';
}

static void check_forms(cyg_doc_syntax syntax, const form *forms, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        cyg_ctx ctx;
        cyg_doc *doc = NULL;
        cyg_strbuf out = {0};
        cyg_json j;
        cyg_ctx_init(&ctx);
        if (cyg_doc_parse(&ctx, "f", forms[i].text, strlen(forms[i].text), syntax, &doc) != CYG_OK)
            fail_msg("%s\n%s", forms[i].text, cyg_ctx_message(&ctx, 0));
        cyg_json_init(&j, &out, 0);
        write_node(&j, cyg_doc_root(doc));
        squeeze(&out);
        assert_string_equal(out.data, forms[i].json);
        cyg_strbuf_deinit(&out);
        cyg_doc_close(doc);
    }
}

static void check_refused(cyg_doc_syntax syntax, const form *forms, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        cyg_ctx ctx;
        cyg_doc *doc = NULL;
        cyg_ctx_init(&ctx);
        const cyg_status st =
            cyg_doc_parse(&ctx, "f", forms[i].text, strlen(forms[i].text), syntax, &doc);
        if (st != CYG_E_FORMAT ||
            strncmp(cyg_ctx_message(&ctx, 0), forms[i].json, strlen(forms[i].json)) != 0)
            fail_msg("%s\nexpected %s\nfound    %s", forms[i].text, forms[i].json,
                     st == CYG_OK ? "accepted" : cyg_ctx_message(&ctx, 0));
    }
}

static const form toml[] = {
    {"# nothing\n", "{}"},
    {"a = 1\nb = 'x' # c\n\"c d\" = true\r\n", "{\"a\":1,\"b\":\"x\",\"c d\":true}"},
    {"a = [1, -2, +3, 1_000, 0x1f, 0o17, 0b101,]\n", "{\"a\":[1,-2,3,1000,31,15,5]}"},
    {"a = [1.5, -0.25, 5e2, 1_0.5]", "{\"a\":[1.5,-0.25,500,10.5]}"},
    {"a = [ # one\n  [1],\n  [],\n]", "{\"a\":[[1],[]]}"},
    {"a.b.c = 1\na.b.d = 2\n a . \"e\" = 3", "{\"a\":{\"b\":{\"c\":1,\"d\":2},\"e\":3}}"},
    {"[a]\nb = 1\n[c.d]\ne = 2\n[c]\nf = 3", "{\"a\":{\"b\":1},\"c\":{\"d\":{\"e\":2},\"f\":3}}"},
    {"[[a]]\nb = 1\n[[a]]\n[a.c]\nd = 2\n[[a.e]]\n",
     "{\"a\":[{\"b\":1},{\"c\":{\"d\":2},\"e\":[{}]}]}"},
    {"a = {b = 1, c.d = 'x', e = {}}", "{\"a\":{\"b\":1,\"c\":{\"d\":\"x\"},\"e\":{}}}"},
    {"a = \"tab\\t\\u00e9\\U0001F600\"", "{\"a\":\"tab\\t\xc3\xa9\xf0\x9f\x98\x80\"}"},
    {"a = \"\"\"\nx\\\n   y\"\"\"\"\nb = '''\\n'''", "{\"a\":\"xy\\\"\",\"b\":\"\\\\n\"}"},
    {"a = [0xffe_000, 0xE_0, 0b1_0, 0o7_7]\n", "{\"a\":[16769024,224,2,63]}"},
    {"3 = 4\n-x = 5", "{\"3\":4,\"-x\":5}"},
    {"[fruit]\napple.taste.sweet = true\n[fruit.apple.texture]\nsmooth = true\n",
     "{\"fruit\":{\"apple\":{\"taste\":{\"sweet\":true},\"texture\":{\"smooth\":true}}}}"},
};

static const form toml_refused[] = {
    {"a = 1\na = 2", "f:2:1: duplicate key \"a\"; the first is at line 1, column 1"},
    {"[a]\n[a]", "f:2:2: duplicate key"},
    {"[a]\nb = 1\n[a.b]", "f:3:4: duplicate key"},
    {"a.b = 1\n[a]", "f:2:2: duplicate key"},
    {"[a.b]\nc = 1\n[a]\nb.d = 2", "f:4:1: duplicate key"},
    {"a = {b = 1}\n[a.c]", "f:2:2: duplicate key"},
    {"a = [1]\n[[a]]", "f:2:3: duplicate key"},
    {"[a]\n[[a]]", "f:2:3: duplicate key"},
    {"a = {b = 1,}", "f:1:12: expected a key, found '}'"},
    {"a = {b = 1\n}", "f:1:11: expected ',' or '}'"},
    {"a 1", "f:1:3: expected '=' behind the key, found '1'"},
    {"a = ", "f:1:5: expected a value, found the end of the file"},
    {"a = yes", "f:1:5: yes is no TOML value"},
    {"a = 012", "f:1:5: 012 is no TOML value"},
    {"a = 1__0", "f:1:5: "},
    {"a = .5", "f:1:5: "},
    {"a = 0x0x1f", "f:1:5: 0x0x1f is no TOML value"},
    {"a = 0x+1f", "f:1:5: 0x+1f is no TOML value"},
    {"a = 0x_1", "f:1:5: "},
    {"a = 0x1_", "f:1:5: "},
    {"a = 1_e5", "f:1:5: "},
    {"a = 1 # \x02", "f:1:9: expected the end of the line, found byte 0x02"},
    {"# \xff", "f:1:3: expected a key, found byte 0xff"},
    {"a = 1\rb = 2", "f:1:6: expected the end of the line"},
    {"a = inf", "f:1:5: infinity"},
    {"a = 1979-05-27", "f:1:5: dates and times"},
    {"a = 1 b = 2", "f:1:7: expected the end of the line, found 'b'"},
    {"a = \"x\nb", "f:1:5: this string does not end on its line"},
    {"a = \"\"\"x", "f:1:5: this string does not end"},
    {"a = \"\\q\"", "f:1:7: expected one of b t n f r"},
    {"a = \"\\u0000\"", "f:1:6: this escape is no character"},
    {"a = \"\xff\"", "f:1:6: this is not UTF-8"},
    {"[a", "f:1:3: expected ']'"},
    {"[[a]", "f:1:5: expected ']]'"},
    {"[]", "f:1:2: expected a key"},
    {"= 1", "f:1:1: expected a key"},
};

static const form prototxt[] = {
    {"# nothing\n", "{}"},
    {"a: 1 b: \"x\" c: true d: NAME", "{\"a\":1,\"b\":\"x\",\"c\":true,\"d\":\"NAME\"}"},
    {"a: -1.5, b: 2e3; c: .5 d: 1f e: 0x1F f: -017 g: 7.",
     "{\"a\":-1.5,\"b\":2000,\"c\":0.5,\"d\":1,\"e\":31,\"f\":-15,\"g\":7}"},
    {"m { a: 1 m < b: 2 > }", "{\"m\":{\"a\":1,\"m\":{\"b\":2}}}"},
    {"m: { a: 1 } m { a: 2 }\nm { }", "{\"m\":[{\"a\":1},{\"a\":2},{}]}"},
    {"x: 1 y: 0 x: 2 x: [3, 4]", "{\"x\":[1,2,3,4],\"y\":0}"},
    {"x: [] y: [1] m: [{a: 1}, {a: 2}]", "{\"x\":[],\"y\":[1],\"m\":[{\"a\":1},{\"a\":2}]}"},
    {"a: \"x\" 'y'\n  \"z\"", "{\"a\":\"xyz\"}"},
    {"a: \"\\x41\\101\\u00e9\\n\\'\"", "{\"a\":\"AA\xc3\xa9\\n'\"}"},
    {"a: \"\\303\\251\\xc3\" '\\xA9\\x9!'", "{\"a\":\"\xc3\xa9\xc3\xa9\\t!\"}"},
    {"a: -0x8000000000000000", "{\"a\":-9223372036854775808}"},
};

static const form prototxt_refused[] = {
    {"a", "f:1:2: expected ':' or '{' behind the field's name, found the end of the file"},
    {"a 1", "f:1:3: expected ':' or '{'"},
    {"a:", "f:1:3: expected a value"},
    {"m { a: 1", "f:1:9: expected '}' for the message at line 1"},
    {"m { a: 1 >", "f:1:10: expected the name of a field, found '>'"},
    {"}", "f:1:1: expected the name of a field"},
    {"a: [1", "f:1:6: expected ',' or ']'"},
    {"a: \"x", "f:1:4: this string does not end on its line"},
    {"a: \"\\q\"", "f:1:6: expected an escape"},
    {"a: \"\\0\"", "f:1:5: this escape is no character"},
    {"a: 1x", "f:1:4: expected a number, found 1x"},
    {"a: \"\\xff\"", "f:1:4: the bytes of this string are not UTF-8"},
    {"a: 0x8000000000000000", "f:1:4: 0x8000000000000000 is no integer"},
    {"a: -inf", "f:1:4: expected a number, found -in"},
    {"a: 09", "f:1:4: 09 is no integer"},
    {"[x.y]: 1", "f:1:1: extensions"},
    {"a: 1 ...", "f:1:6: expected the name of a field, found \"...\""},
};

static void test_toml(void **state)
{
    (void)state;
    check_forms(CYG_DOC_TOML, toml, CYG_COUNT(toml));
    check_refused(CYG_DOC_TOML, toml_refused, CYG_COUNT(toml_refused));
}

static void test_prototxt(void **state)
{
    (void)state;
    check_forms(CYG_DOC_PROTOTXT, prototxt, CYG_COUNT(prototxt));
    check_refused(CYG_DOC_PROTOTXT, prototxt_refused, CYG_COUNT(prototxt_refused));
}

/* Line and column of every value, as for JSON. */
static void test_places(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "# c\nquant {\n  check: 1\n  name: \"\xc3\xa9\" size: 2 }\n",
        "# c\n[quant]\n  check = 1\n  size = 2\n"};
    for (int i = 0; i < 2; i++) {
        cyg_doc *doc = NULL;
        assert_int_equal(cyg_doc_parse(NULL, "f", texts[i], strlen(texts[i]),
                                       i == 0 ? CYG_DOC_PROTOTXT : CYG_DOC_TOML, &doc),
                         CYG_OK);
        const cyg_doc_node *quant = cyg_doc_get(cyg_doc_root(doc), "quant");
        assert_int_equal(quant->key_line, 2);
        assert_int_equal(quant->key_column, i == 0 ? 1 : 2);
        const cyg_doc_node *check = cyg_doc_get(quant, "check"), *size = cyg_doc_get(quant, "size");
        assert_int_equal(check->line, 3);
        assert_int_equal(check->column, i == 0 ? 10 : 11);
        assert_int_equal(check->key_column, 3);
        assert_int_equal(size->line, 4);
        assert_int_equal(size->column, i == 0 ? 19 : 10);
        cyg_doc_close(doc);
    }
}

static void try_text(const char *text, size_t size, cyg_doc_syntax syntax)
{
    cyg_ctx ctx;
    cyg_doc *doc = NULL;
    cyg_ctx_init(&ctx);
    const cyg_status st = cyg_doc_parse(&ctx, "f", text, size, syntax, &doc);
    assert_true(st == CYG_OK || (st == CYG_E_FORMAT && cyg_ctx_message_count(&ctx) > 0));
    cyg_doc_close(doc);
}

static void damage(const form *forms, size_t count, cyg_doc_syntax syntax)
{
    static const char bytes[] = "\0\xff\"'{}[]=:.#\n\\_-9e";
    char copy[256];
    for (size_t i = 0; i < count; i++) {
        const size_t size = strlen(forms[i].text);
        for (size_t n = 0; n < size; n++) {
            try_text(forms[i].text, n, syntax);
            for (size_t k = 0; k < sizeof bytes - 1; k++) {
                memcpy(copy, forms[i].text, size);
                copy[n] = bytes[k];
                try_text(copy, size, syntax);
            }
        }
    }
}

static void test_damage(void **state)
{
    (void)state;
    damage(toml, CYG_COUNT(toml), CYG_DOC_TOML);
    damage(prototxt, CYG_COUNT(prototxt), CYG_DOC_PROTOTXT);
}

/* Deep nesting is an error in time, and a hundred thousand keys take no time at all. */
static void test_bounds(void **state)
{
    (void)state;
    static char deep[4096];
    static const struct {
        cyg_doc_syntax syntax;
        const char *first, *more, *last;
    } cases[] = {{CYG_DOC_TOML, "a=[", "[", ""},
                 {CYG_DOC_TOML, "a={", "a={", ""},
                 {CYG_DOC_TOML, "a.", "a.", "a=1"},
                 {CYG_DOC_PROTOTXT, "a{", "a{", ""},
                 {CYG_DOC_PROTOTXT, "a<", "a<", ""}};
    for (size_t i = 0; i < CYG_COUNT(cases); i++) {
        size_t n = (size_t)snprintf(deep, 8, "%s", cases[i].first);
        while (n < sizeof deep - 16)
            n += (size_t)snprintf(deep + n, 8, "%s", cases[i].more);
        n += (size_t)snprintf(deep + n, 8, "%s", cases[i].last);
        cyg_ctx ctx;
        cyg_doc *doc = NULL;
        cyg_ctx_init(&ctx);
        assert_int_equal(cyg_doc_parse(&ctx, "f", deep, n, cases[i].syntax, &doc), CYG_E_FORMAT);
        assert_true(ctx_says(&ctx, "nested deeper than 64 levels"));
    }
    enum { KEYS = 100000 };
    char *many = malloc(16 * KEYS);
    assert_non_null(many);
    for (int f = 0; f < 2; f++) {
        size_t n = 0;
        for (int i = 0; i < KEYS; i++)
            n += (size_t)snprintf(many + n, 16, f == 0 ? "k%d: 1\n" : "k%d = 1\n", i);
        cyg_doc *doc = NULL;
        assert_int_equal(
            cyg_doc_parse(NULL, "f", many, n, f == 0 ? CYG_DOC_PROTOTXT : CYG_DOC_TOML, &doc),
            CYG_OK);
        assert_int_equal(cyg_doc_root(doc)->count, KEYS);
        cyg_doc_close(doc);
    }
    free(many);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_toml),   cmocka_unit_test(test_prototxt),
        cmocka_unit_test(test_places), cmocka_unit_test(test_damage),
        cmocka_unit_test(test_bounds),
    };
    return CYG_TEST_MAIN(tests);
}
