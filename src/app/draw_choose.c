/* Which nodes are drawn: all of them, or those around one. */
#include <stdlib.h>
#include <string.h>

#include "app/draw.h"

static cyg_status begin(cyg_ctx *ctx, cyg_arena *arena, const cyg_graph *g, cyg_drawing *out)
{
    *out = (cyg_drawing){.g = g, .chosen = CYG_NEW_ARRAY(arena, bool, (size_t)g->node_count + 1)};
    return out->chosen != NULL ? CYG_OK : CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
}

cyg_status cyg_draw_all(cyg_ctx *ctx, cyg_arena *arena, const cyg_graph *g, cyg_drawing *out)
{
    CYG_DO(begin(ctx, arena, g, out));
    for (uint32_t i = 0; i < g->order_count; i++)
        out->chosen[g->order[i].i] = true;
    out->fold = true;
    return CYG_OK;
}

/* ---- around a node ---- */

static cyg_node_id by_source(const cyg_graph *g, const char *name)
{
    for (uint32_t i = 0; i < g->order_count; i++) {
        const cyg_node *n = cyg_nod(g, g->order[i]);
        for (uint32_t k = 0; k < n->source_count; k++)
            if (strcmp(g->sources[n->sources[k].i].name, name) == 0)
                return g->order[i];
    }
    return CYG_NO_NODE;
}

static cyg_status unknown(cyg_ctx *ctx, const cyg_graph *g, const char *name)
{
    const char **names = malloc(((size_t)g->order_count + 1) * sizeof *names);
    if (names == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    for (uint32_t i = 0; i < g->order_count; i++)
        names[i] = cyg_nod(g, g->order[i])->name;
    const int near = cyg_nearest_name(name, names, g->order_count);
    const char *nearest = near >= 0 ? names[near] : NULL;
    free(names);
    if (nearest != NULL)
        return CYG_FAIL(ctx, CYG_E_USAGE, "no node is called \"%.200s\"; did you mean \"%.200s\"?",
                        name, nearest);
    return CYG_FAIL(ctx, CYG_E_USAGE, "no node or value is called \"%.200s\"", name);
}

static void choose_neighbours(const cyg_graph *g, const cyg_uses *uses, const cyg_node *n,
                              bool *chosen)
{
    for (uint32_t i = 0; i < n->in_count; i++)
        if (!cyg_value_is_none(n->in[i]) && !cyg_node_is_none(cyg_val(g, n->in[i])->producer))
            chosen[cyg_val(g, n->in[i])->producer.i] = true;
    for (uint32_t i = 0; i < n->out_count; i++)
        for (uint32_t u = cyg_value_is_none(n->out[i]) ? 0 : uses->first[n->out[i].i];
             !cyg_value_is_none(n->out[i]) && u < uses->first[n->out[i].i + 1]; u++)
            chosen[uses->user[u].i] = true;
}

/* One arrow further in every direction. */
static bool widen(const cyg_graph *g, const cyg_uses *uses, bool *chosen, bool *last)
{
    memcpy(last, chosen, g->node_count * sizeof *last);
    for (uint32_t i = 0; i < g->order_count; i++)
        if (last[g->order[i].i])
            choose_neighbours(g, uses, cyg_nod(g, g->order[i]), chosen);
    return memcmp(last, chosen, g->node_count * sizeof *last) != 0;
}

cyg_status cyg_draw_around(cyg_ctx *ctx, cyg_arena *arena, const cyg_graph *g, const char *name,
                           int64_t radius, cyg_drawing *out)
{
    cyg_uses uses;
    CYG_DO(begin(ctx, arena, g, out));
    cyg_node_id at = cyg_graph_find_node(g, name);
    if (cyg_node_is_none(at))
        at = by_source(g, name);
    const cyg_value_id v = cyg_graph_find_value(g, name);
    if (cyg_node_is_none(at) && !cyg_value_is_none(v))
        at = cyg_val(g, v)->producer;
    if (cyg_node_is_none(at))
        return unknown(ctx, g, name);
    bool *last = CYG_NEW_ARRAY(arena, bool, (size_t)g->node_count + 1);
    if (last == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    CYG_DO(cyg_uses_build(ctx, g, arena, &uses));
    out->chosen[at.i] = true;
    for (int64_t i = 0; i < radius && widen(g, &uses, out->chosen, last); i++)
        CYG_DO(cyg_ctx_check_cancelled(ctx));
    return CYG_OK;
}
