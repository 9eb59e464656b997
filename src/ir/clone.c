/* A second graph with the same ids. Everything is copied but constant data, which is borrowed: the
 * original must outlive the clone. Maps stay with the original for the same reason. */
#include "ir/graph.h"

#include <string.h>

#include "ir/names.h"

static void clone_value(cyg_graph *to, const cyg_value *from)
{
    const cyg_value_id v = cyg_graph_add_value(to, from->name, from->type, from->rank, from->dims);
    if (cyg_value_is_none(v))
        return;
    cyg_value *copy = cyg_val(to, v);
    copy->is_const = from->is_const;
    copy->data = from->data;
    copy->bytes = from->bytes;
    copy->quant = from->quant;
    if (from->quant.count > 0) {
        copy->quant.scales = cyg_arena_memdup(&to->arena, from->quant.scales,
                                              from->quant.count * sizeof *from->quant.scales);
        if (copy->quant.scales == NULL)
            to->failed = true;
    }
}

static void clone_node(cyg_graph *to, const cyg_node *from)
{
    /* A removed node's name may be in use again: it gets one of its own, and gives it back. */
    const bool removed = from->op == CYG_OP_removed;
    const cyg_node_id id =
        cyg_graph_add_node(to, CYG_NO_NODE, from->op, removed ? NULL : from->name, from->in,
                           from->in_count, from->out, from->out_count);
    if (cyg_node_is_none(id))
        return;
    if (removed)
        cyg_names_remove(&to->node_names, cyg_nod(to, id)->name, id.i);
    cyg_node_copy_attrs(to, id, from);
    for (uint32_t i = 0; i < from->source_count; i++)
        cyg_node_add_source(to, id, from->sources[i]);
}

void cyg_graph_take_over(cyg_graph *g, cyg_graph *now)
{
    const cyg_graph former = *g;
    *g = *now;
    *now = former;
    g->lender = now;
    g->origin = NULL;
}

cyg_graph *cyg_graph_clone(const cyg_graph *g)
{
    cyg_graph *to = cyg_graph_create();
    if (to == NULL)
        return NULL;
    to->name = cyg_arena_strdup(&to->arena, g->name);
    to->opset = g->opset;
    to->origin = g;
    for (uint32_t i = 1; i < g->symbol_count; i++)
        cyg_graph_symbol(to, g->symbols[i]);
    for (uint32_t i = 0; i < g->source_count; i++)
        cyg_graph_add_source(to, g->sources[i].name, g->sources[i].kind);
    for (uint32_t i = 0; i < g->meta_count; i++)
        cyg_graph_set_meta(to, g->metas[i].key, g->metas[i].text);
    for (uint32_t i = 0; i < g->value_count && !to->failed; i++)
        clone_value(to, &g->values[i]);
    for (uint32_t i = 0; i < g->node_count && !to->failed; i++)
        clone_node(to, &g->nodes[i]);
    to->next_name = g->next_name;
    /* Nodes were appended in id order; the original's order is the true one. */
    to->order_count = 0;
    for (uint32_t i = 0; i < g->order_count && !to->failed; i++)
        if (cyg_nod(g, g->order[i])->op != CYG_OP_removed)
            to->order[to->order_count++] = g->order[i];
    for (uint32_t i = 0; i < g->value_count && !to->failed; i++)
        to->values[i].producer = g->values[i].producer;
    if (to->name == NULL || to->failed ||
        cyg_graph_set_io(NULL, to, g->inputs, g->input_count, g->outputs, g->output_count) !=
            CYG_OK) {
        cyg_graph_destroy(to);
        return NULL;
    }
    return to;
}
