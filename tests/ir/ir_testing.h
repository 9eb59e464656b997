/* Graphs from text, for tests. */
#ifndef CYG_TESTS_IR_TESTING_H
#define CYG_TESTS_IR_TESTING_H

#include "../testing.h"

#include "ir/graph.h"

/* Parses or fails the test with the message chain. */
static inline cyg_graph *parse_graph(const char *text)
{
    cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    cyg_graph *g = NULL;
    if (cyg_graph_parse(&ctx, "test", text, strlen(text), &g) != CYG_OK)
        fail_msg("%s / %s", cyg_ctx_message(&ctx, 0), cyg_ctx_message(&ctx, 1));
    return g;
}

static inline char *print_graph(const cyg_graph *g)
{
    cyg_strbuf s = {0};
    cyg_graph_print(g, true, &s);
    assert_false(s.failed);
    return s.data;
}

static inline void assert_text(const cyg_graph *g, const char *text)
{
    char *found = print_graph(g);
    assert_string_equal(found, text);
    free(found);
}

#endif
