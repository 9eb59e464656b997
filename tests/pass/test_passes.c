/* Golden tests, one or more for each pass: a graph in text, the passes to run, the graph that must
 * come out, as text. The cases are in cases.txt; `test_pass_passes cases.txt print` writes the file
 * anew with what the passes give, for review with diff. */
#include "../testing.h"

#include "base/str.h"
#include "ir/graph.h"
#include "pass/pass.h"

typedef struct test_case {
    char name[64], passes[256];
    char *before, *after;
} test_case;

enum { MOST_CASES = 128 };
static test_case cases[MOST_CASES];
static size_t case_count;
static char *file_text;

/* "case NAME: PASS PASS" line, graph, "=>" line, graph. */
static void load(const char *path)
{
    cyg_map map;
    if (cyg_map_open(NULL, path, &map) != CYG_OK) {
        fprintf(stderr, "%s: cannot read\n", path);
        exit(1);
    }
    file_text = malloc(map.size + 1);
    memcpy(file_text, map.data, map.size);
    file_text[map.size] = '\0';
    cyg_map_close(&map);
    for (char *at = strstr(file_text, "case "); at != NULL && case_count < MOST_CASES;) {
        test_case *c = &cases[case_count++];
        if (sscanf(at, "case %63[^:]: %255[^\n]", c->name, c->passes) != 2)
            exit(1);
        c->before = strchr(at, '\n') + 1;
        char *arrow = strstr(c->before, "=>\n");
        *arrow = '\0';
        c->after = arrow + 3;
        at = strstr(c->after, "\ncase ");
        if (at != NULL)
            *at++ = '\0';
    }
}

static const cyg_pass_info *find_pass(const char *name)
{
    for (size_t i = 0; i < cyg_pass_count(); i++)
        if (strcmp(cyg_pass_at(i)->name, name) == 0)
            return cyg_pass_at(i);
    return NULL;
}

/* The text after the passes, "error: .." when one fails. */
static char *run_case(const test_case *c)
{
    cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    cyg_graph *g = NULL;
    char list[256];
    snprintf(list, sizeof list, "%s", c->passes);
    cyg_status status = cyg_graph_parse(&ctx, c->name, c->before, strlen(c->before), &g);
    if (status == CYG_OK)
        status = cyg_graph_infer_shapes(&ctx, g);
    for (char *name = strtok(list, " "); status == CYG_OK && name != NULL;
         name = strtok(NULL, " ")) {
        bool changed;
        const cyg_pass_info *pass = find_pass(name);
        status = pass == NULL ? CYG_FAIL(&ctx, CYG_E_USAGE, "no pass %s", name)
                              : pass->run(&ctx, g, &changed);
        if (status == CYG_OK)
            status = cyg_graph_infer_shapes(&ctx, g);
        if (status == CYG_OK)
            status = cyg_graph_verify(&ctx, g);
    }
    cyg_strbuf out = {0};
    if (status == CYG_OK)
        cyg_graph_print(g, false, &out);
    for (size_t i = 0; status != CYG_OK && i < cyg_ctx_message_count(&ctx); i++)
        cyg_strbuf_printf(&out, "error: %s\n", cyg_ctx_message(&ctx, i));
    cyg_graph_destroy(g);
    return out.data;
}

static void trim(char *text)
{
    size_t n = strlen(text);
    while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == ' '))
        text[--n] = '\0';
}

static void test_case_text(void **state)
{
    test_case *c = *state;
    char *found = run_case(c);
    trim(found);
    trim(c->after);
    assert_string_equal(found, c->after);
    free(found);
}

static int print_all(void)
{
    for (size_t i = 0; i < case_count; i++) {
        char *found = run_case(&cases[i]);
        trim(found);
        trim(cases[i].before);
        printf("%scase %s: %s\n%s\n=>\n%s\n", i == 0 ? "" : "\n", cases[i].name, cases[i].passes,
               cases[i].before, found);
        free(found);
    }
    return 0;
}

int main(int argc, char **argv)
{
    static struct CMUnitTest tests[MOST_CASES];
    if (argc < 2)
        return 1;
    load(argv[1]);
    if (argc > 2)
        return print_all();
    for (size_t i = 0; i < case_count; i++)
        tests[i] = (struct CMUnitTest){cases[i].name, test_case_text, NULL, NULL, &cases[i]};
    const int failed = _cmocka_run_group_tests("passes", tests, case_count, NULL, NULL);
    free(file_text);
    return failed;
}
