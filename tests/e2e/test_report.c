/* What a build says about attention: one block before and after, in report.json and on the page. */
#include "e2e.h"

#include "base/str.h"

static e2e_result result;

static int setup(void **state)
{
    if (fixture_setup(state) != 0)
        return -1;
    e2e_cygnet(&result, (e2e_how){0}, "build --config build.json");
    return result.code;
}

static int teardown(void **state)
{
    e2e_free(&result);
    return fixture_teardown(state);
}

static const cyg_doc_node *need(const cyg_doc_node *map, const char *key)
{
    const cyg_doc_node *node = cyg_doc_get(map, key);
    if (node == NULL)
        fail_msg("report.json lacks %s", key);
    return node;
}

static void block_is_recorded(void **state)
{
    (void)state;
    cyg_ctx ctx;
    cyg_doc *doc;
    cyg_ctx_init(&ctx);
    assert_int_equal(cyg_doc_open(&ctx, e2e_path("out/report.json"), &doc), CYG_OK);
    const cyg_doc_node *block = need(cyg_doc_root(doc), "block"), *boxes = need(block, "boxes");
    const cyg_doc_node *panels = need(block, "panels");
    size_t attention = 0, softmax = 0;
    assert_int_equal(panels->count, 2);
    assert_memory_equal(panels->items[0]->text, "before: ", 8);
    assert_memory_equal(panels->items[1]->text, "after: ", 7);
    for (size_t i = 0; i < boxes->count; i++) {
        const bool after = need(boxes->items[i], "panel")->integer == 1;
        const char *title = need(boxes->items[i], "title")->text;
        attention += after && strcmp(title, "Attention") == 0;
        softmax += !after && strcmp(title, "Softmax") == 0;
    }
    assert_int_equal(attention, 1);
    assert_int_equal(softmax, 1);
    cyg_doc_close(doc);
}

static char *page(void)
{
    cyg_map map;
    cyg_strbuf text = {0};
    assert_int_equal(cyg_map_open(NULL, e2e_path("out/report.html"), &map), CYG_OK);
    cyg_strbuf_add(&text, (const char *)map.data, map.size);
    cyg_map_close(&map);
    return text.data;
}

static void page_is_the_same_again(void **state)
{
    (void)state;
    char *built = page();
    e2e_cygnet(&result, (e2e_how){0}, "report out");
    e2e_expect(&result, 0);
    char *again = page();
    assert_string_equal(built, again);
    assert_non_null(strstr(again, "What became of attention"));
    assert_true((strstr(again, "class=\"cyg-picture\"") != NULL) !=
                (strstr(again, "needs graphviz") != NULL));
    free(built);
    free(again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(block_is_recorded),
        cmocka_unit_test(page_is_the_same_again),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
