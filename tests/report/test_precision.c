/* The section on precision: what is drawn and listed, and that damaged or hostile records neither
 * break the page nor leave the picture. Text tables, too. */
#include "../testing.h"

#include <stdlib.h>

#include "report/report.h"
#include "report/text_table.h"

#define LAYER(name, alone, run, more)                                                              \
    "{\"step\": 1, \"layer\": \"" name "\", \"tensor\": \"t<" name                                 \
    ">\", \"kernel\": \"i_linear\","                                                               \
    " \"type\": \"u8\", \"alone\": {\"sqnr_db\": " alone ", \"cosine\": 0.5},"                     \
    " \"run\": {\"sqnr_db\": " run "}, \"own\": 0.25, \"saturation\": 0.125,"                      \
    " \"range\": [-1, 3], \"seen\": [-2, 2.5], \"corrections\": \"bias +3.9 dB\"" more "}"

static const char record[] =
    "{\"precision\": {\"samples\": 4, \"born\": \"<b>\", \"grows\": \"g\", \"layers\": "
    "[" LAYER("<b>", "21.5", "20.25", ", \"bins_range\": [-2, 4], \"bins\": [0, 10, 20, 0, 5, 1]") "," LAYER(
        "silent", "200", "200", "") "," LAYER("g", "60", "18",
                                              "") "], \"weights\": [{\"layer\": \"w&w\", "
                                                  "\"spread\": [0, 0.5, 1, 1.5, 6.5]}]}}";

static cyg_status render(const char *json, size_t size, cyg_strbuf *html)
{
    static cyg_ctx ctx;
    cyg_doc *doc = NULL;
    cyg_ctx_init(&ctx);
    cyg_status status = cyg_doc_parse(&ctx, "report.json", json, size, CYG_DOC_JSON, &doc);
    if (status == CYG_OK)
        status = cyg_report_render(&ctx, cyg_doc_root(doc), NULL, html);
    cyg_doc_close(doc);
    return status;
}

static size_t times(const char *text, const char *what)
{
    size_t n = 0;
    for (const char *p = strstr(text, what); p != NULL; p = strstr(p + 1, what))
        n++;
    return n;
}

static void test_shown(void **state)
{
    (void)state;
    static const char *const wanted[] = {
        "Error is born in <code>&lt;b&gt;</code> and grows most in <code>g</code>.",
        "<title>&lt;b&gt;: 21.5 dB alone</title>",
        "<title>&lt;b&gt;: 20.2 dB as run</title>",
        "error is born here",
        "holds -1..3",
        "seen -2..2.5 · 21.5 dB",
        "<title>t&lt;&lt;b&gt;&gt;</title>",
        "<title>w&amp;w: half within 0.5 to 1.5, most 6.5</title>",
        "<td class=\"n\" data-v=\"12.5\">12.50</td>",
        "bias +3.9 dB",
    };
    cyg_strbuf html = {0};
    assert_int_equal(render(record, sizeof record - 1, &html), CYG_OK);
    for (size_t i = 0; i < CYG_COUNT(wanted); i++)
        if (strstr(html.data, wanted[i]) == NULL)
            fail_msg("the page lacks %s", wanted[i]);
    assert_int_equal(times(html.data, "<svg class=\"chart\""), 3);
    assert_int_equal(times(html.data, "</svg>"), 3);
    /* No noise has no place on the scale; four bins of six hold something. */
    assert_null(strstr(html.data, "200.0 dB"));
    assert_int_equal(times(html.data, "<rect class=\"bar\""), 4);
    assert_null(strstr(html.data, "<b>:"));
    cyg_strbuf_deinit(&html);
}

/* Every coordinate lies in the picture, whatever the record says. */
static void expect_inside(const char *html, const char *attribute, double most)
{
    char key[16];
    snprintf(key, sizeof key, " %s=\"", attribute);
    for (const char *p = strstr(html, key); p != NULL; p = strstr(p + 1, key)) {
        const double value = strtod(p + strlen(key), NULL);
        if (!(value >= 0.0 && value <= most))
            fail_msg("%s is %g", attribute, value);
    }
}

static void test_hostile(void **state)
{
    (void)state;
    static const char *const records[] = {
        "{\"precision\": {\"layers\": [1, \"x\", null, [], {}]}}",
        "{\"precision\": {\"layers\": [{\"alone\": 3, \"run\": [], \"bins\": [1, 2]}]}}",
        "{\"precision\": {\"layers\": [{\"alone\": {\"sqnr_db\": -1e300}, \"run\": {\"sqnr_db\": "
        "\"x\"}, \"range\": [1e300, -1e300], \"bins_range\": [-1e308, 1e308], \"bins\": [-5, "
        "1e300, "
        "{}]}], \"weights\": [{\"spread\": [1e300, -1, 2, \"x\", 1e308]}, 7]}}",
        "{\"precision\": {\"layers\": {\"a\": 1}, \"weights\": {\"b\": 2}}}",
        "{\"precision\": []}",
        "{\"precision\": {\"layers\": []}}",
    };
    static const char *const across[] = {"x", "x1", "x2", "cx"};
    static const char *const down[] = {"y", "y1", "y2", "cy"};
    for (size_t i = 0; i < CYG_COUNT(records); i++) {
        cyg_strbuf html = {0};
        assert_int_equal(render(records[i], strlen(records[i]), &html), CYG_OK);
        assert_non_null(strstr(html.data, "</html>"));
        for (size_t k = 0; k < CYG_COUNT(across); k++) {
            expect_inside(html.data, across[k], 1000.0);
            expect_inside(html.data, down[k], 400.0);
        }
        cyg_strbuf_deinit(&html);
    }
}

static void test_text_table(void **state)
{
    (void)state;
    static const char *const heads[] = {"Name", "dB>", "note"};
    cyg_arena arena;
    cyg_strbuf out = {0};
    cyg_text_table t;
    cyg_arena_init(&arena);
    cyg_text_table_begin(&t, &arena, heads, CYG_COUNT(heads));
    for (int i = 0; i < 40; i++) { /* more than the first room holds */
        cyg_text_table_cell(&t, "%s", i == 1 ? "é²" : "longer");
        cyg_text_table_cell(&t, "%d", i * 100);
        cyg_text_table_cell(&t, "%s", "");
    }
    cyg_text_table_end(&t, "> ", " | ", &out);
    assert_false(out.failed);
    static const char begins[] = "> Name   |   dB | note\n"
                                 "> longer |    0 | \n"
                                 "> é²     |  100 | \n";
    assert_memory_equal(out.data, begins, sizeof begins - 1);
    assert_int_equal(times(out.data, "\n"), 41);
    assert_non_null(strstr(out.data, "> longer | 3900 | \n"));
    cyg_strbuf_deinit(&out);
    cyg_arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shown),
        cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_text_table),
    };
    return CYG_TEST_MAIN(tests);
}
