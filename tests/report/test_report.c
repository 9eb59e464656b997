/* The page: what is shown, what is escaped, what a damaged report does. */
#include "../testing.h"

#include "report/html.h"
#include "report/report.h"

static const char record[] =
    "{\"cygnet\": \"9.8.7\", \"command\": \"cygnet build <x>\", \"target\": \"CPU\",\n"
    " \"stages\": [{\"name\": \"read\", \"seconds\": 0.25, \"peak_rss_bytes\": 1000}],\n"
    " \"inputs\": [{\"role\": \"config\", \"path\": \"c.json\"},\n"
    "             {\"role\": \"model\", \"path\": \"swin.onnx\", \"sha256\": \"00ff\", \"bytes\": "
    "1234567}],\n"
    " \"golden_check\": {\"samples\": 32, \"sqnr_db\": 21.4},\n"
    " \"model\": {\"macs\": 4490000000},\n"
    " \"steps\": [{\"index\": 0, \"name\": \"first\", \"kernel\": \"i_linear\", \"shape\": [1, "
    "96],\n"
    "   \"type\": \"u8\", \"macs\": 1234567, \"weight_bytes\": 5, \"out_bytes\": 96, \"sources\": "
    "\"a,b\"}],\n"
    " \"warnings\": [\"1 < 2 & 'so'\"]}";

static cyg_status render(const char *json, size_t size, cyg_strbuf *html)
{
    static cyg_ctx ctx;
    cyg_doc *doc = NULL;
    cyg_ctx_init(&ctx);
    cyg_status status = cyg_doc_parse(&ctx, "report.json", json, size, CYG_DOC_JSON, &doc);
    if (status == CYG_OK)
        status = cyg_report_render(&ctx, cyg_doc_root(doc), NULL, html);
    if (status != CYG_OK)
        assert_true(cyg_ctx_message_count(&ctx) > 0);
    cyg_doc_close(doc);
    return status;
}

static void test_everything_is_shown(void **state)
{
    (void)state;
    static const char *const wanted[] = {
        "<title>cygnet: swin.onnx</title>",
        "9.8.7",
        "cygnet build &lt;x&gt;",
        "21.4 dB",
        "4.49 G",
        "data-v=\"1234567\"",
        "1,234,567",
        "<td class=\"c\">1×96</td>",
        "2 nodes",
        "1 &lt; 2 &amp; &#39;so&#39;",
        "00ff",
        "prefers-color-scheme:dark",
        "@media print",
    };
    cyg_strbuf html = {0};
    assert_int_equal(render(record, sizeof record - 1, &html), CYG_OK);
    for (size_t i = 0; i < CYG_COUNT(wanted); i++)
        if (strstr(html.data, wanted[i]) == NULL)
            fail_msg("the page lacks %s", wanted[i]);
    assert_null(strstr(html.data, "http://"));
    assert_null(strstr(html.data, "https://"));
    cyg_strbuf_deinit(&html);
}

static void test_empty_record_is_a_page(void **state)
{
    (void)state;
    cyg_strbuf html = {0};
    assert_int_equal(render("{}", 2, &html), CYG_OK);
    assert_non_null(strstr(html.data, "</html>"));
    assert_null(strstr(html.data, "<table"));
    cyg_strbuf_deinit(&html);
    assert_int_not_equal(render("[]", 2, &html), CYG_OK);
    cyg_strbuf_deinit(&html);
}

static void test_escapes(void **state)
{
    (void)state;
    cyg_strbuf out = {0};
    cyg_html_text(&out, "<a href=\"x\">&'\x01\x7f\xff é</a>");
    assert_string_equal(out.data, "&lt;a href=&quot;x&quot;&gt;&amp;&#39;\xEF\xBF\xBD\xEF\xBF\xBD"
                                  "\xEF\xBF\xBD é&lt;/a&gt;");
    cyg_strbuf_deinit(&out);
    cyg_html_count(&out, -1234567);
    assert_string_equal(out.data, "-1,234,567");
    cyg_strbuf_deinit(&out);
}

static void test_damaged_record(void **state)
{
    (void)state;
    char bad[sizeof record];
    for (size_t n = 0; n < sizeof record - 1; n++) {
        cyg_strbuf html = {0};
        assert_int_not_equal(render(record, n, &html), CYG_OK);
        cyg_strbuf_deinit(&html);
        memcpy(bad, record, sizeof record);
        bad[n] = (char)(bad[n] ^ 0x17);
        CYG_IGNORE(render(bad, sizeof record - 1, &html));
        cyg_strbuf_deinit(&html);
    }
}

static void test_failed_write_leaves_the_old_page(void **state)
{
    cyg_ctx ctx;
    cyg_map map;
    cyg_ctx_init(&ctx);
    write_scratch(state, "report.json", record, sizeof record - 1);
    const char *html = scratch_path(state, "report.html");
    assert_int_equal(cyg_report_write_html(&ctx, scratch_path(state, "report.json"), html), CYG_OK);
    write_scratch(state, "report.json", record, 40);
    assert_int_equal(cyg_report_write_html(&ctx, scratch_path(state, "report.json"), html),
                     CYG_E_FORMAT);
    assert_int_equal(cyg_map_open(&ctx, html, &map), CYG_OK);
    assert_true(map.size > 1000);
    cyg_map_close(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything_is_shown),
        cmocka_unit_test(test_empty_record_is_a_page),
        cmocka_unit_test(test_escapes),
        cmocka_unit_test(test_damaged_record),
        cmocka_unit_test_setup_teardown(test_failed_write_leaves_the_old_page, setup_scratch,
                                        teardown_scratch),
    };
    return CYG_TEST_MAIN(tests);
}
