/* trace.json as a viewer reads it: parsed by our JSON reader, then looked at event by event. */
#include "../testing.h"

#include "io/doc.h"
#include "report/report.h"
#include "report/trace.h"

#define OK(ctx, call)                                                                              \
    do {                                                                                           \
        if ((call) != CYG_OK)                                                                      \
            fail_msg("%s", cyg_ctx_message(ctx, 0));                                               \
    } while (0)

static const char *text_of(const cyg_doc_node *map, const char *key)
{
    const cyg_doc_node *n = cyg_doc_get(map, key);
    return n != NULL ? n->text : "";
}

static const cyg_doc_node *event_named(const cyg_doc_node *events, const char *name)
{
    for (size_t i = 0; i < events->count; i++)
        if (strcmp(text_of(events->items[i], "name"), name) == 0)
            return events->items[i];
    fail_msg("no event \"%s\"", name);
    return NULL;
}

static void test_trace(void **state)
{
    static const char *const lanes[] = {"conv0", "sdma1"};
    static const char *const weights[] = {"in0 - params:[0:64]"}, *const place[] = {
                                                                      "out0 - ocm_base:[64:128]"};
    static const uint32_t waits[] = {0};
    const cyg_trace_task tasks[] = {
        {"fc \"1\"_0_0", "sdma1", CYG_TRACE_LD_PARAM, 100, 300, weights, place, 1, 1, NULL, 0},
        {"fc \"1\"_0_1", "conv0", CYG_TRACE_COMPUTE, 316, 1116, place, NULL, 1, 0, waits, 1}};
    const cyg_trace trace = {.process = "subgraph_npu_0",
                             .chip = "AX650",
                             .mode = "NPU1",
                             .clock_khz = 800000,
                             .cycles = 1200,
                             .lanes = lanes,
                             .lane_count = 2,
                             .task_count = 2,
                             .tasks = tasks};
    const char *path = scratch_path(state, "trace.json");
    cyg_doc *doc;
    cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    OK(&ctx, cyg_trace_write(&ctx, path, &trace));
    OK(&ctx, cyg_doc_open(&ctx, path, &doc));
    const cyg_doc_node *root = cyg_doc_root(doc), *events = cyg_doc_get(root, "traceEvents");
    assert_string_equal(text_of(root, "displayTimeUnit"), "ns");
    assert_int_equal(cyg_doc_get(cyg_doc_get(root, "otherData"), "clock_khz")->integer, 800000);
    assert_int_equal(events->count, 2 + 2 + 2); /* lanes, tasks, both ends of one arrow */
    const cyg_doc_node *ld = event_named(events, "ld:fc \"1\"_0_0"),
                       *conv = event_named(events, "fc \"1\"_0_1");
    assert_string_equal(text_of(ld, "ph"), "X");
    assert_string_equal(text_of(ld, "pid"), "subgraph_npu_0");
    assert_string_equal(text_of(ld, "tid"), "sdma1");
    assert_string_equal(text_of(ld, "cname"), "yellow");
    assert_true(cyg_doc_get(ld, "ts")->number == 0.125 && cyg_doc_get(ld, "dur")->number == 0.25);
    const cyg_doc_node *args = cyg_doc_get(ld, "args");
    assert_string_equal(text_of(args, "cname"), "ld:param");
    assert_string_equal(cyg_doc_get(args, "inputs")->items[0]->text, weights[0]);
    assert_string_equal(cyg_doc_get(args, "outputs")->items[0]->text, place[0]);
    assert_string_equal(cyg_doc_get(args, "dep_by")->items[0]->text, "fc \"1\"_0_1");
    assert_int_equal(cyg_doc_get(args, "dur")->integer, 200);
    assert_string_equal(text_of(conv, "cat"), "ld:fc \"1\"_0_0");
    assert_int_equal(cyg_doc_get(cyg_doc_get(conv, "args"), "index")->integer, 1);
    cyg_doc_close(doc);
}

static void test_profile(void **state)
{
    const cyg_profile_row row = {.name = "a \"b\", c",
                                 .kernel = "i_linear",
                                 .shape = "1x49x96",
                                 .limit = "conv",
                                 .start = 800,
                                 .end = 1600,
                                 .conv = 700,
                                 .ddr_bytes = 2000,
                                 .macs = 5,
                                 .tasks = 3};
    const char *path = scratch_path(state, "op_profile.csv");
    cyg_ctx ctx;
    cyg_map map;
    cyg_ctx_init(&ctx);
    OK(&ctx, cyg_profile_write(&ctx, path, &row, 1, 800000));
    OK(&ctx, cyg_map_open(&ctx, path, &map));
    const char *line = memchr(map.data, '\n', map.size);
    static const char want[] = "\n\"a \"\"b\"\", c\",\"i_linear\",\"1x49x96\",\"conv\","
                               "800,1600,1.000,700,0,0,0,2000,2.000,5,3\n";
    assert_non_null(line);
    assert_int_equal((const char *)map.data + map.size - line, sizeof want - 1);
    assert_memory_equal(line, want, sizeof want - 1);
    cyg_map_close(&map);
}

/* The page shows the record, escapes names, and survives nonsense in it. */
static void test_page(void **state)
{
    static const char json[] =
        "{\"cygnet\": \"x\", \"npu\": {\"chip\": \"AX650\", \"mode\": \"NPU1\", \"clock_khz\": "
        "800000,"
        "\"subgraphs\": [{\"name\": \"subgraph_npu_0\", \"cycles\": 1200, \"baseline_cycles\": "
        "2400,"
        "\"ocm_bytes\": 4096, \"ocm\": [4096, -5, 1e99], \"ddr_share\": [0.5, \"x\"],"
        "\"bounds\": {\"conv\": 600}, \"critical_path\": {\"conv\": 900, \"<b>\": 300},"
        "\"lanes\": [{\"name\": \"conv0\", \"runs\": [[0, 600, 0], [700, 1e99, 77], [\"a\"], 3]}],"
        "\"steps\": [{\"step\": 4, \"name\": \"<script>\", \"limit\": \"conv\", \"start\": 0,"
        "\"end\": 600}]}],"
        "\"cpu_steps\": [{\"step\": 9, \"name\": \"nms\", \"reason\": \"no form\"}]}}";
    const char *path = scratch_path(state, "report.json"), *page = scratch_path(state, "r.html");
    cyg_ctx ctx;
    cyg_map map;
    cyg_ctx_init(&ctx);
    OK(&ctx, cyg_write_file(&ctx, path, json, sizeof json - 1));
    OK(&ctx, cyg_report_write_html(&ctx, path, page));
    OK(&ctx, cyg_map_open(&ctx, page, &map));
    char *html = calloc(1, map.size + 1);
    assert_non_null(html);
    memcpy(html, map.data, map.size);
    static const char *const wanted[] = {"On the NPU: AX650 NPU1", "1,200",   "2,400",    "conv0",
                                         "&lt;script&gt;",         "no form", "conv 75 %"};
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
        if (strstr(html, wanted[i]) == NULL)
            fail_msg("the page lacks \"%s\"", wanted[i]);
    assert_null(strstr(html, "nan"));
    assert_null(strstr(html, "inf"));
    free(html);
    cyg_map_close(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_trace, setup_scratch, teardown_scratch),
        cmocka_unit_test_setup_teardown(test_profile, setup_scratch, teardown_scratch),
        cmocka_unit_test_setup_teardown(test_page, setup_scratch, teardown_scratch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
