/* Pictures: the text is the same every time, names stay names, records survive report.json. */
#include "../testing.h"

#include "report/picture.h"
#include "report/report.h"

static cyg_ctx ctx;
static cyg_arena arena;

static int setup(void **state)
{
    cyg_ctx_init(&ctx);
    cyg_arena_init(&arena);
    return setup_scratch(state);
}

static int teardown(void **state)
{
    cyg_arena_deinit(&arena);
    return teardown_scratch(state);
}

static cyg_picture picture(const char *name)
{
    cyg_picture p = {.arena = &arena, .title = name, .panels = {name, "after"}, .panel_count = 2};
    cyg_picture_box box = {.role = CYG_PICTURE_product,
                           .step = 3,
                           .title = name,
                           .lines = {name, "weight 2×2"},
                           .line_count = 2,
                           .name = name};
    cyg_picture_add_box(&p, &box);
    box.panel = 1;
    box.role = CYG_PICTURE_fold;
    cyg_picture_add_box(&p, &box);
    cyg_picture_add_edge(&p, &(cyg_picture_edge){0, 1, CYG_PICTURE_BECOMES, ""});
    cyg_picture_add_edge(&p, &(cyg_picture_edge){1, 0, CYG_PICTURE_FLOW, name});
    assert_false(p.failed);
    return p;
}

static char *dot_of(const cyg_picture *p)
{
    cyg_strbuf s = {0};
    cyg_picture_dot(p, &s);
    assert_false(s.failed);
    return s.data;
}

static void test_dot_is_the_same_every_time(void **state)
{
    (void)state;
    const cyg_picture p = picture("MatMul");
    char *a = dot_of(&p), *b = dot_of(&p);
    assert_string_equal(a, b);
    assert_non_null(strstr(a, "subgraph cluster_0"));
    assert_non_null(strstr(a, "subgraph cluster_1"));
    assert_non_null(strstr(a, "{ rank=same; n0; n1 }"));
    assert_non_null(strstr(a, "n1 -> n0 [label=<<font"));
    assert_non_null(strstr(a, "weight 2×2"));
    free(a);
    free(b);
}

/* Whatever is coloured has a dark twin; only text in the first ink is darkened as a whole. */
static void test_every_colour_has_a_dark_one(void **state)
{
    (void)state;
    cyg_picture p = picture("MatMul");
    for (int i = 0; i < CYG_PICTURE_ROLES; i++) {
        const cyg_picture_box box = {.role = (cyg_picture_role)i, .title = "x", .name = "x"};
        cyg_picture_add_box(&p, &box);
    }
    char *text = dot_of(&p);
    uint32_t seen = 0;
    for (const char *at = strstr(text, "=\"#"); at != NULL; at = strstr(at + 1, "=\"#")) {
        char rule[16];
        snprintf(rule, sizeof rule, "=\"%.7s\"]", at + 2);
        seen++;
        if (strstr(cyg_picture_style, rule) == NULL && strncmp(at + 2, "#1c1d1f", 7) != 0)
            fail_msg("no dark colour for %.7s", at + 2);
    }
    assert_true(seen > 2 * CYG_PICTURE_ROLES);
    free(text);
}

static const char *const hostile[] = {
    "</table>>]; evil [label=\"x",
    "\" onload=\"alert(1)",
    "ends in a backslash \\",
    "\\N\\G\\\" \\l",
    "<script>alert(1)</script>",
    "&amp; &#60;b&#62;",
    "broken \xff\xc3 UTF-8 \x01\x7f",
    "",
    " ",
    "}\n//\n{",
};

/* Tooltips are the only quoted strings with foreign text: an odd number of backslashes before the
 * closing quote would leave one open. */
static void check_dot(const char *text)
{
    for (const char *at = strstr(text, "tooltip=\""); at != NULL; at = strstr(at, "tooltip=\"")) {
        at += strlen("tooltip=\"");
        const char *end = at;
        while (*end != '"' && *end != '\0')
            end += *end == '\\' ? 2 : 1;
        assert_memory_equal(end, "\", label=<<table", 15);
    }
    assert_null(strstr(text, "<script"));
    assert_null(strstr(text, "evil [label=\"x"));
}

static void test_names_stay_names(void **state)
{
    (void)state;
    for (size_t i = 0; i < CYG_COUNT(hostile); i++) {
        const cyg_picture p = picture(hostile[i]);
        cyg_strbuf svg = {0};
        bool found = false;
        char *text = dot_of(&p);
        check_dot(text);
        free(text);
        if (cyg_picture_svg(&ctx, &p, i % 2 == 0, &svg, &found) != CYG_OK)
            fail_msg("%s: %s", hostile[i], cyg_ctx_message(&ctx, 0));
        if (found) {
            assert_memory_equal(svg.data, "<svg class=\"cyg-picture\"", 24);
            assert_int_equal(strstr(svg.data, "xmlns=") != NULL, i % 2 == 0);
            assert_null(strstr(svg.data, "<script"));
            assert_null(strstr(svg.data, " onload=\""));
            assert_non_null(strstr(svg.data, "</svg>"));
        }
        cyg_strbuf_deinit(&svg);
    }
}

static void test_record_survives(void **state)
{
    (void)state;
    const cyg_picture p = picture("a \"<b>\" \\ é");
    cyg_strbuf json = {0};
    cyg_json j;
    cyg_doc *doc;
    cyg_picture back;
    cyg_json_init(&j, &json, 1);
    cyg_picture_write(&p, &j);
    assert_int_equal(cyg_doc_parse(&ctx, "p.json", json.data, json.len, CYG_DOC_JSON, &doc),
                     CYG_OK);
    cyg_picture_read(cyg_doc_root(doc), &arena, &back);
    cyg_doc_close(doc);
    char *a = dot_of(&p), *b = dot_of(&back);
    assert_string_equal(a, b);
    free(a);
    free(b);
    cyg_strbuf_deinit(&json);
}

static void test_damaged_records_are_pictures(void **state)
{
    (void)state;
    static const char *const records[] = {
        "{}",
        "[1, 2]",
        "{\"panels\": 3, \"boxes\": {\"a\": 1}, \"edges\": [[0, 1], 5]}",
        "{\"panels\": [\"a\", \"b\", \"c\", {}], \"boxes\": [{\"panel\": 7, \"role\": \"?\", "
        "\"step\": -4, \"lines\": [1, [2], {}, null]}, 5], "
        "\"edges\": [{\"from\": 0, \"to\": 99}, {\"from\": -1, \"to\": 0}, {\"from\": 0, \"to\": "
        "1}]}",
    };
    for (size_t i = 0; i < CYG_COUNT(records); i++) {
        cyg_doc *doc;
        cyg_picture p;
        assert_int_equal(
            cyg_doc_parse(&ctx, "p.json", records[i], strlen(records[i]), CYG_DOC_JSON, &doc),
            CYG_OK);
        cyg_picture_read(cyg_doc_root(doc), &arena, &p);
        cyg_doc_close(doc);
        for (uint32_t e = 0; e < p.edge_count; e++)
            assert_true(p.edges[e].from < p.box_count && p.edges[e].to < p.box_count);
        for (uint32_t b = 0; b < p.box_count; b++)
            assert_true(p.boxes[b].panel == 0 || p.boxes[b].panel < p.panel_count);
        free(dot_of(&p));
    }
}

/* The page has the picture where graphviz is, and says what is missing where it is not. */
static void test_page_shows_the_picture(void **state)
{
    static const char record[] =
        "{\"inputs\": [{\"role\": \"model\", \"path\": \"m\"}], \"block\": {\"title\": \"t\", "
        "\"panels\": [\"before\"], \"boxes\": [{\"title\": \"Softmax\", \"name\": \"<script>\"}]}}";
    cyg_map map;
    cyg_strbuf page = {0};
    write_scratch(state, "report.json", record, sizeof record - 1);
    assert_int_equal(cyg_report_write_html(&ctx, scratch_path(state, "report.json"),
                                           scratch_path(state, "report.html")),
                     CYG_OK);
    assert_int_equal(cyg_map_open(&ctx, scratch_path(state, "report.html"), &map), CYG_OK);
    cyg_strbuf_add(&page, (const char *)map.data, map.size);
    cyg_map_close(&map);
    const bool drawn = strstr(page.data, "<svg class=\"cyg-picture\"") != NULL;
    assert_true(drawn != (strstr(page.data, "needs graphviz") != NULL));
    assert_null(strstr(strstr(page.data, "What became of attention"), "<script>\""));
    assert_null(strstr(page.data, "http://"));
    cyg_strbuf_deinit(&page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_dot_is_the_same_every_time, setup, teardown),
        cmocka_unit_test_setup_teardown(test_every_colour_has_a_dark_one, setup, teardown),
        cmocka_unit_test_setup_teardown(test_names_stay_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_record_survives, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damaged_records_are_pictures, setup, teardown),
        cmocka_unit_test_setup_teardown(test_page_shows_the_picture, setup, teardown),
    };
    return CYG_TEST_MAIN(tests);
}
