/* One attention block before and after, side by side, with an arrow from the node that does the
 * work of a step to the step.
 *
 * A model that was read from a checkpoint was never a graph of standard operators. What it is
 * compared with is what export makes of it: each fused node gets itself as provenance, in a copy,
 * and the exported nodes inherit it. */
#include <string.h>

#include "app/draw.h"
#include "onnx/onnx.h"

enum { OPSET = 17 };

/* "before: 786 nodes, 729 of them constant arithmetic" */
static const char *before_title(const cyg_drawing *d, const bool *fixed, const char *words,
                                cyg_arena *arena)
{
    uint32_t nodes = 0, constant = 0;
    for (uint32_t i = 0; i < d->g->node_count; i++) {
        nodes += d->chosen[i];
        constant += d->chosen[i] && cyg_draw_node_fixed(d->g, &d->g->nodes[i], fixed);
    }
    if (constant == 0)
        return cyg_arena_printf(arena, "%s: %u nodes", words, nodes);
    return cyg_arena_printf(arena, "%s: %u nodes, %u of them constant arithmetic", words, nodes,
                            constant);
}

static const char *after_title(const cyg_drawing *d, cyg_arena *arena)
{
    uint32_t steps = 0;
    for (uint32_t i = 0; i < d->g->node_count; i++)
        steps += d->chosen[i];
    return cyg_arena_printf(arena, "after: %u steps", steps);
}

/* The source node that does the work of a step: it has the step's name, or is its last. */
static cyg_node_id worker(const cyg_drawing *before, uint32_t step, const char *name)
{
    cyg_node_id found = CYG_NO_NODE;
    for (uint32_t i = 0; i < before->g->order_count; i++) {
        const cyg_node_id id = before->g->order[i];
        if (!before->chosen[id.i] || before->steps[id.i] != step)
            continue;
        found = id;
        if (strcmp(cyg_nod(before->g, id)->name, name) == 0)
            break;
    }
    return found;
}

/* Dashed arrows from each worker to its step. Only while both go downwards together: heights that
 * contradict each other have no layout. */
static void connect(const cyg_drawing *before, const uint32_t *before_box, const cyg_drawing *after,
                    const uint32_t *after_box, cyg_picture *p)
{
    uint32_t last = 0;
    for (uint32_t i = 0; i < after->g->order_count; i++) {
        const uint32_t id = after->g->order[i].i;
        if (!after->chosen[id])
            continue;
        const cyg_node_id from = worker(before, after->steps[id], after->g->nodes[id].name);
        if (cyg_node_is_none(from) || before_box[from.i] < last)
            continue;
        last = before_box[from.i] + 1;
        const cyg_picture_edge e = {before_box[from.i], after_box[id], CYG_PICTURE_BECOMES, ""};
        cyg_picture_add_edge(p, &e);
    }
}

static cyg_status compare(cyg_ctx *ctx, const cyg_graph *source, const cyg_graph *optimised,
                          const char *words, int64_t k, cyg_picture *p)
{
    cyg_drawing before, after;
    cyg_draw_fold fold;
    uint32_t *before_box, *after_box;
    CYG_DO(cyg_draw_block(ctx, p->arena, optimised, k, &after));
    CYG_DO(cyg_draw_block_source(ctx, p->arena, source, &after, &before));
    CYG_DO(cyg_draw_fold_nodes(ctx, p->arena, &before, &fold));
    const char *left = before_title(&before, fold.fixed, words, p->arena);
    const char *right = after_title(&after, p->arena);
    if (left == NULL || right == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    CYG_DO(cyg_draw_panel(ctx, &before, left, p, &before_box));
    CYG_DO(cyg_draw_panel(ctx, &after, right, p, &after_box));
    connect(&before, before_box, &after, after_box, p);
    return p->failed ? CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory for a picture") : CYG_OK;
}

/* Every node's provenance becomes the node itself. */
static cyg_graph *with_own_sources(const cyg_graph *g)
{
    cyg_graph *copy = cyg_graph_clone(g);
    for (uint32_t i = 0; copy != NULL && i < copy->order_count; i++) {
        cyg_node *n = cyg_nod(copy, copy->order[i]);
        n->source_count = 0;
        cyg_node_add_source(copy, copy->order[i],
                            cyg_graph_add_source(copy, n->name, cyg_op_schema_of(n->op)->onnx));
    }
    return copy;
}

static cyg_status compare_exported(cyg_ctx *ctx, const cyg_graph *optimised, int64_t k,
                                   cyg_picture *p)
{
    cyg_graph *copy = with_own_sources(optimised), *exported = NULL;
    cyg_status status = copy == NULL || cyg_graph_failed(copy)
                            ? CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory")
                            : cyg_onnx_expand(ctx, copy, OPSET, &exported);
    if (status == CYG_OK)
        status = cyg_graph_infer_shapes(ctx, exported);
    if (status == CYG_OK)
        status = compare(ctx, exported, copy, "in standard operators", k, p);
    cyg_graph_destroy(exported);
    cyg_graph_destroy(copy);
    return status;
}

cyg_status cyg_draw_compare(cyg_ctx *ctx, const cyg_graph *source, const cyg_graph *optimised,
                            int64_t k, cyg_picture *p)
{
    return source != NULL ? compare(ctx, source, optimised, "before", k, p)
                          : compare_exported(ctx, optimised, k, p);
}
