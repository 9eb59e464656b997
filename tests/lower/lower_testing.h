/* One node of a graph given as text, lowered. */
#ifndef CYG_TESTS_LOWER_TESTING_H
#define CYG_TESTS_LOWER_TESTING_H

#include "../ir/ir_testing.h"

#include <math.h>

#include "lower/lower.h"

typedef struct lowered {
    cyg_ctx ctx;
    cyg_arena arena;
    cyg_graph *g;
    cyg_lowered low;
    cyg_status status;
} lowered;

/* The last node of "graph ..." + body. */
static inline void lower_text(lowered *l, const char *body)
{
    char text[4096];
    snprintf(text, sizeof text, "graph \"g\" opset 18\n%s", body);
    cyg_ctx_init(&l->ctx);
    cyg_arena_init(&l->arena);
    l->g = parse_graph(text);
    if (cyg_graph_verify(&l->ctx, l->g) != CYG_OK)
        fail_msg("%s", cyg_ctx_message(&l->ctx, 0));
    l->status = cyg_lower_node(&l->ctx, l->g, l->g->order[l->g->order_count - 1], &l->arena, NULL,
                               NULL, &l->low);
}

static inline void lower_ok(lowered *l, const char *body)
{
    lower_text(l, body);
    if (l->status != CYG_OK)
        fail_msg("%s", cyg_ctx_message(&l->ctx, 0));
}

static inline void lower_refused(const char *body, const char *says)
{
    static lowered l;
    lower_text(&l, body);
    assert_int_equal(l.status, CYG_E_UNSUPPORTED);
    if (!ctx_says(&l.ctx, says))
        fail_msg("expected \"%s\", found \"%s\"", says, cyg_ctx_message(&l.ctx, 0));
    cyg_graph_destroy(l.g);
    cyg_arena_deinit(&l.arena);
}

static inline void lowered_deinit(lowered *l)
{
    cyg_graph_destroy(l->g);
    cyg_arena_deinit(&l->arena);
}

static inline const void *operand(const lowered *l, uint32_t i, cyg_type type, int64_t count)
{
    assert_true(i < l->low.in_count);
    const cyg_operand *o = &l->low.in[i];
    assert_true(cyg_value_is_none(o->value));
    assert_non_null(o->constant.data);
    assert_int_equal(o->constant.type, type);
    int64_t found = 1;
    for (int k = 0; k < o->constant.rank; k++)
        found *= o->constant.dims[k];
    assert_int_equal(found, count);
    return o->constant.data;
}

#endif
