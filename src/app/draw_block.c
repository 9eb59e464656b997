/* Attention blocks, after and before.
 *
 * After is easy: from the attention step upwards through what moves data and one linear to the
 * norm, downwards to the projection and, in networks that normalise late, on to the addition.
 *
 * Before rests on provenance. The source nodes of the block's steps are known; but nodes that
 * vanished (views, a shift and its undoing, shape arithmetic) are in nobody's provenance. So the
 * part is closed: what lies on a way from one of its nodes to another belongs to it, and so does
 * what can be computed before the first run and is used in the part only. */
#include <string.h>

#include "app/draw.h"
#include "pass/pass.h"

static bool is_attention(const cyg_graph *g, uint32_t position)
{
    return cyg_nod(g, g->order[position])->op == CYG_OP_attention;
}

uint32_t cyg_draw_block_count(const cyg_graph *g)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < g->order_count; i++)
        count += is_attention(g, i);
    return count;
}

static uint32_t operands(const cyg_node *n)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < n->in_count; i++)
        count += !cyg_value_is_none(n->in[i]);
    return count;
}

uint32_t cyg_draw_best_block(const cyg_graph *g)
{
    uint32_t k = 0, best = 0, most = 0;
    for (uint32_t i = 0; i < g->order_count; i++) {
        if (!is_attention(g, i))
            continue;
        k++;
        if (operands(cyg_nod(g, g->order[i])) > most) {
            most = operands(cyg_nod(g, g->order[i]));
            best = k;
        }
    }
    return best;
}

/* ---- after ---- */

static bool moves(const cyg_node *n)
{
    return cyg_draw_role(n) == CYG_PICTURE_move || n->op == CYG_OP_requant;
}

static void choose_up(const cyg_graph *g, cyg_value_id v, bool *chosen)
{
    for (bool linear = false; !cyg_value_is_none(v);) {
        const cyg_node_id id = cyg_val(g, v)->producer;
        const cyg_node *n = cyg_node_is_none(id) ? NULL : cyg_nod(g, id);
        if (n == NULL || (n->op == CYG_OP_linear && linear) ||
            (n->op != CYG_OP_linear && n->op != CYG_OP_layer_normalization && !moves(n)))
            return;
        chosen[id.i] = true;
        if (n->op == CYG_OP_layer_normalization)
            return;
        linear = linear || n->op == CYG_OP_linear;
        v = n->in[0];
    }
}

static void choose_down(const cyg_graph *g, const cyg_uses *uses, cyg_value_id v, bool *chosen)
{
    bool linear = false;
    while (uses->first[v.i + 1] - uses->first[v.i] == 1 && !cyg_graph_is_output(g, v)) {
        const cyg_node_id id = uses->user[uses->first[v.i]];
        const cyg_node *n = cyg_nod(g, id);
        const bool late = linear && (n->op == CYG_OP_layer_normalization || n->op == CYG_OP_add);
        if (!moves(n) && !late && (linear || n->op != CYG_OP_linear))
            return;
        chosen[id.i] = true;
        if (n->op == CYG_OP_add)
            return;
        linear = linear || n->op == CYG_OP_linear;
        v = n->out[0];
    }
}

cyg_status cyg_draw_block(cyg_ctx *ctx, cyg_arena *arena, const cyg_graph *g, int64_t k,
                          cyg_drawing *out)
{
    const uint32_t count = cyg_draw_block_count(g);
    cyg_uses uses;
    *out = (cyg_drawing){.g = g,
                         .chosen = CYG_NEW_ARRAY(arena, bool, (size_t)g->node_count + 1),
                         .steps = CYG_NEW_ARRAY(arena, uint32_t, (size_t)g->node_count + 1)};
    if (out->chosen == NULL || out->steps == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    if (count == 0)
        return CYG_FAIL(ctx, CYG_E_USAGE,
                        "no attention block was recognised in this model; --around NODE draws the "
                        "neighbourhood of a node");
    if (k < 1 || k > (int64_t)count)
        return CYG_FAIL(ctx, CYG_E_USAGE, "--block: expected 1 to %u, found %lld", count,
                        (long long)k);
    CYG_DO(cyg_uses_build(ctx, g, arena, &uses));
    for (uint32_t i = 0, seen = 0; i < g->order_count; i++) {
        const cyg_node *n = cyg_nod(g, g->order[i]);
        if (n->op != CYG_OP_attention || ++seen != k)
            continue;
        out->chosen[g->order[i].i] = true;
        for (uint32_t q = 0; q < 3; q++)
            choose_up(g, n->in[q], out->chosen);
        choose_down(g, &uses, n->out[0], out->chosen);
    }
    for (uint32_t i = 0, step = 0; i < g->order_count; i++)
        if (out->chosen[g->order[i].i])
            out->steps[g->order[i].i] = ++step;
    return CYG_OK;
}

/* ---- before ---- */

/* Exporters compute pads and window counts with Div and Mod, which shape inference alone does not
 * follow. So the shapes are those that a copy has once its constants are folded; ids are the same
 * in both. */
cyg_status cyg_draw_settle_shapes(cyg_ctx *ctx, cyg_graph *g)
{
    cyg_graph *copy = cyg_graph_clone(g);
    cyg_status status =
        copy == NULL ? CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory") : cyg_fold(ctx, copy);
    for (uint32_t i = 0; status == CYG_OK && i < g->value_count; i++) {
        g->values[i].rank = copy->values[i].rank;
        g->values[i].type = copy->values[i].type;
        memcpy(g->values[i].dims, copy->values[i].dims, sizeof g->values[i].dims);
    }
    cyg_graph_destroy(copy);
    return status;
}

/* From the sources of the block's steps to step numbers of source nodes; the first step that a
 * source is in has it. */
static cyg_status number_sources(cyg_ctx *ctx, cyg_arena *arena, const cyg_drawing *block,
                                 cyg_drawing *d)
{
    const cyg_graph *fused = block->g, *g = d->g;
    uint32_t *step_of = CYG_NEW_ARRAY(arena, uint32_t, (size_t)fused->source_count + 1);
    if (step_of == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    for (uint32_t i = fused->order_count; i-- > 0;) {
        const cyg_node *n = cyg_nod(fused, fused->order[i]);
        for (uint32_t k = 0; block->chosen[fused->order[i].i] && k < n->source_count; k++)
            step_of[n->sources[k].i] = block->steps[fused->order[i].i];
    }
    for (uint32_t i = 0; i < g->order_count; i++) {
        const cyg_node *n = cyg_nod(g, g->order[i]);
        for (uint32_t k = 0; k < n->source_count && n->sources[k].i < fused->source_count; k++)
            if (step_of[n->sources[k].i] != 0) {
                d->steps[g->order[i].i] = step_of[n->sources[k].i];
                d->chosen[g->order[i].i] = true;
            }
    }
    return CYG_OK;
}

static bool reads_from(const cyg_graph *g, const cyg_node *n, const bool *set, const bool *fixed)
{
    for (uint32_t i = 0; i < n->in_count; i++)
        if (!cyg_value_is_none(n->in[i]) && !fixed[n->in[i].i] &&
            !cyg_node_is_none(cyg_val(g, n->in[i])->producer) &&
            set[cyg_val(g, n->in[i])->producer.i])
            return true;
    return false;
}

static bool all_users_in(const cyg_graph *g, const cyg_uses *uses, const cyg_node *n,
                         const bool *set, bool any)
{
    bool used = false;
    for (uint32_t i = 0; i < n->out_count; i++) {
        if (cyg_value_is_none(n->out[i]))
            continue;
        if (!any && cyg_graph_is_output(g, n->out[i]))
            return false;
        for (uint32_t u = uses->first[n->out[i].i]; u < uses->first[n->out[i].i + 1]; u++) {
            if (set[uses->user[u].i] && any)
                return true;
            if (!set[uses->user[u].i] && !any)
                return false;
            used = true;
        }
    }
    return !any && used;
}

/* fixed: [value]. Both closures, each one sweep over the order. */
static cyg_status close(cyg_ctx *ctx, cyg_arena *arena, cyg_drawing *d, const bool *fixed)
{
    const cyg_graph *g = d->g;
    bool *below = CYG_NEW_ARRAY(arena, bool, (size_t)g->node_count + 1);
    bool *above = CYG_NEW_ARRAY(arena, bool, (size_t)g->node_count + 1);
    cyg_uses uses;
    if (below == NULL || above == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    CYG_DO(cyg_uses_build(ctx, g, arena, &uses));
    for (uint32_t i = 0; i < g->order_count; i++) {
        const uint32_t id = g->order[i].i;
        const cyg_node *n = &g->nodes[id];
        below[id] = d->chosen[id] || reads_from(g, n, below, fixed);
    }
    for (uint32_t i = g->order_count; i-- > 0;) {
        const uint32_t id = g->order[i].i;
        const cyg_node *n = &g->nodes[id];
        const bool still = cyg_draw_node_fixed(g, n, fixed);
        above[id] = d->chosen[id] || (!still && all_users_in(g, &uses, n, above, true));
    }
    for (uint32_t i = g->order_count; i-- > 0;) {
        const uint32_t id = g->order[i].i;
        const cyg_node *n = &g->nodes[id];
        if (cyg_draw_node_fixed(g, n, fixed))
            d->chosen[id] = d->chosen[id] || all_users_in(g, &uses, n, d->chosen, false);
        else
            d->chosen[id] = d->chosen[id] || (below[id] && above[id]);
    }
    return CYG_OK;
}

cyg_status cyg_draw_block_source(cyg_ctx *ctx, cyg_arena *arena, const cyg_graph *source,
                                 cyg_drawing *block, cyg_drawing *out)
{
    cyg_draw_fold fold;
    uint32_t *was = CYG_NEW_ARRAY(arena, uint32_t, (size_t)block->g->node_count + 1);
    *out = (cyg_drawing){.g = source,
                         .chosen = CYG_NEW_ARRAY(arena, bool, (size_t)source->node_count + 1),
                         .steps = CYG_NEW_ARRAY(arena, uint32_t, (size_t)source->node_count + 1),
                         .fold = true};
    if (was == NULL || out->chosen == NULL || out->steps == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    CYG_DO(number_sources(ctx, arena, block, out));
    CYG_DO(cyg_draw_fold_nodes(ctx, arena, out, &fold));
    CYG_DO(close(ctx, arena, out, fold.fixed));
    for (uint32_t i = 0; i < source->node_count; i++)
        was[out->steps[i]] += out->chosen[i] && out->steps[i] != 0;
    block->was = was;
    return CYG_OK;
}
