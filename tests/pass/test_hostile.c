/* Graphs that nobody meant: the golden cases with numbers and names changed at random. Whatever the
 * parser and shape inference let through must come out of the optimiser as a valid graph or an
 * error, and never crash (run under the sanitizers). */
#include "../testing.h"

#include "ir/graph.h"
#include "pass/pass.h"

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* Replaces a few digits and operand letters. */
static void mutate(char *text, size_t len, uint32_t *state)
{
    static const char digits[] = "0123456789";
    for (uint32_t k = next_random(state) % 4 + 1; k > 0; k--) {
        const size_t at = next_random(state) % len;
        for (size_t i = at; i < len; i++) {
            if (strchr(digits, text[i]) != NULL) {
                text[i] = digits[next_random(state) % 10];
                break;
            }
            if (text[i] == '%' && i + 2 < len && (text[i + 2] == ',' || text[i + 2] == ')')) {
                text[i + 1] = (char)('a' + next_random(state) % 26);
                break;
            }
        }
    }
}

static int tried, optimised;

static void try_text(const char *text, size_t len)
{
    static cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    cyg_graph *g = NULL;
    tried++;
    if (cyg_graph_parse(&ctx, "mutant", text, len, &g) != CYG_OK)
        return;
    if (cyg_graph_infer_shapes(&ctx, g) == CYG_OK) {
        cyg_optimise_report report;
        const cyg_optimise_options options = {.fuse = true};
        const cyg_status status = cyg_optimise(&ctx, g, &options, &report);
        assert_int_not_equal(status, CYG_E_INTERNAL);
        if (status == CYG_OK) {
            optimised++;
            assert_int_equal(cyg_graph_verify(&ctx, g), CYG_OK);
        }
    }
    cyg_graph_destroy(g);
}

static const char *case_file;

static void test_mutants(void **state)
{
    (void)state;
    cyg_map map;
    uint32_t random = 7;
    assert_int_equal(cyg_map_open(NULL, case_file, &map), CYG_OK);
    char *all = malloc(map.size + 1), *copy = malloc(map.size + 1);
    memcpy(all, map.data, map.size);
    all[map.size] = '\0';
    for (char *at = strstr(all, "\ngraph "); at != NULL;) {
        char *end = strstr(at, "\n=>\n"), *end_case = strstr(at, "\n\ncase ");
        if (end == NULL || (end_case != NULL && end_case < end))
            end = end_case;
        const size_t len = end == NULL ? strlen(at) : (size_t)(end - at);
        for (int k = 0; k < 60; k++) {
            memcpy(copy, at, len);
            copy[len] = '\0';
            if (k > 0)
                mutate(copy, len, &random);
            try_text(copy, len);
        }
        at = end == NULL ? NULL : strstr(end, "\ngraph ");
    }
    print_message("%d graphs, %d optimised\n", tried, optimised);
    assert_true(optimised > 100);
    free(all);
    free(copy);
    cyg_map_close(&map);
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 1;
    case_file = argv[1];
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_mutants)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
