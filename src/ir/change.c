/* Changing a graph: replacing uses, removing nodes, putting the order right, and the table of uses.
 *
 * The order is the single truth about execution; ids never move. Rewrites may append new nodes at
 * the end of the order and call cyg_graph_sort once: the sort takes, of all nodes whose inputs are
 * ready, the one with the smallest former position, so that what was in order stays as it was. A
 * binary heap of positions makes that O((nodes + uses) log nodes).
 *
 * A removed node keeps its slot with op == removed and no operands; it gives its name back. */
#include "ir/graph.h"

#include <stdlib.h>
#include <string.h>

#include "ir/edit.h"
#include "ir/names.h"

/* Both values keep their ids and swap their names, in the table too. */
static void swap_names(cyg_graph *g, cyg_value_id a, cyg_value_id b)
{
    const char *name_a = cyg_val(g, a)->name, *name_b = cyg_val(g, b)->name;
    cyg_names_remove(&g->value_names, name_a, a.i);
    cyg_names_remove(&g->value_names, name_b, b.i);
    cyg_val(g, a)->name = name_b;
    cyg_val(g, b)->name = name_a;
    if (!cyg_names_add(&g->value_names, name_b, a.i) ||
        !cyg_names_add(&g->value_names, name_a, b.i))
        g->failed = true;
}

static void replace_in(cyg_graph *g, cyg_node_id id, cyg_value_id old, cyg_value_id now)
{
    const cyg_node *n = cyg_nod(g, id);
    for (uint32_t i = 0; n->op != CYG_OP_removed && i < n->in_count; i++)
        if (n->in[i].i == old.i)
            cyg_node_set_input(g, id, i, now);
}

void cyg_graph_replace_uses(cyg_graph *g, cyg_value_id old, cyg_value_id now)
{
    if (old.i == now.i)
        return;
    if (g->edit != NULL)
        for (uint32_t u = cyg_graph_first_use(g, old); u != CYG_NO_ID;
             u = cyg_graph_first_use(g, old))
            replace_in(g, cyg_graph_use_node(g, u), old, now);
    else
        for (uint32_t k = 0; k < g->node_count; k++)
            replace_in(g, (cyg_node_id){k}, old, now);
    /* What was an output under its name before (`now` may be one, too, or an input) keeps it. */
    const bool swap =
        cyg_graph_is_output(g, old) && !cyg_graph_is_output(g, now) && !cyg_graph_is_input(g, now);
    for (uint32_t i = 0; i < g->output_count && cyg_graph_is_output(g, old); i++)
        if (g->outputs[i].i == old.i)
            cyg_graph_set_output(g, i, now);
    if (swap)
        swap_names(g, old, now);
}

void cyg_graph_remove_node(cyg_graph *g, cyg_node_id id)
{
    cyg_node *n = cyg_nod(g, id);
    if (n->op == CYG_OP_removed)
        return;
    for (uint32_t i = 0; i < n->out_count; i++)
        if (n->out[i].i < g->value_count && cyg_val(g, n->out[i])->producer.i == id.i)
            cyg_val(g, n->out[i])->producer = CYG_NO_NODE;
    cyg_names_remove(&g->node_names, n->name, id.i);
    cyg_edit_remove_node(g, id);
    n->op = CYG_OP_removed;
    n->in_count = n->out_count = n->attr_count = 0;
}

void cyg_graph_compact(cyg_graph *g)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < g->order_count; i++)
        if (cyg_nod(g, g->order[i])->op != CYG_OP_removed)
            g->order[kept++] = g->order[i];
    g->order_count = kept;
}

/* ---- uses ---- */

cyg_status cyg_uses_build(cyg_ctx *ctx, const cyg_graph *g, cyg_arena *scratch, cyg_uses *out_uses)
{
    uint32_t *first = CYG_NEW_ARRAY(scratch, uint32_t, (size_t)g->value_count + 1);
    if (first == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    size_t total = 0;
    for (uint32_t k = 0; k < g->order_count; k++) {
        const cyg_node *n = cyg_nod(g, g->order[k]);
        for (uint32_t i = 0; n->op != CYG_OP_removed && i < n->in_count; i++)
            if (n->in[i].i < g->value_count) {
                first[n->in[i].i]++;
                total++;
            }
    }
    cyg_node_id *user = CYG_NEW_ARRAY(scratch, cyg_node_id, total == 0 ? 1 : total);
    if (user == NULL || total >= UINT32_MAX)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    /* Counts become ends; filling backwards turns each end into its first. */
    for (uint32_t v = 1; v <= g->value_count; v++)
        first[v] += first[v - 1];
    for (uint32_t k = g->order_count; k-- > 0;) {
        const cyg_node *n = cyg_nod(g, g->order[k]);
        for (uint32_t i = n->op == CYG_OP_removed ? 0 : n->in_count; i-- > 0;)
            if (n->in[i].i < g->value_count)
                user[--first[n->in[i].i]] = g->order[k];
    }
    *out_uses = (cyg_uses){.first = first, .user = user};
    return CYG_OK;
}

/* ---- sort ---- */

typedef struct sorter {
    uint32_t *heap; /* of former positions, smallest on top */
    uint32_t heap_count;
    uint32_t *waiting;  /* [node] inputs that are not ready yet, counted with repeats */
    uint32_t *position; /* [node] */
    cyg_node_id *sorted;
    uint32_t sorted_count;
} sorter;

static void heap_push(sorter *s, uint32_t position)
{
    uint32_t i = s->heap_count++;
    for (; i > 0 && s->heap[(i - 1) / 2] > position; i = (i - 1) / 2)
        s->heap[i] = s->heap[(i - 1) / 2];
    s->heap[i] = position;
}

static uint32_t heap_pop(sorter *s)
{
    const uint32_t top = s->heap[0], last = s->heap[--s->heap_count];
    uint32_t i = 0;
    for (;;) {
        uint32_t child = 2 * i + 1;
        if (child >= s->heap_count)
            break;
        if (child + 1 < s->heap_count && s->heap[child + 1] < s->heap[child])
            child++;
        if (s->heap[child] >= last)
            break;
        s->heap[i] = s->heap[child];
        i = child;
    }
    s->heap[i] = last;
    return top;
}

static void run_kahn(cyg_graph *g, const cyg_uses *uses, sorter *s)
{
    for (uint32_t k = 0; k < g->order_count; k++) {
        const cyg_node *n = cyg_nod(g, g->order[k]);
        for (uint32_t i = 0; i < n->in_count; i++)
            if (n->in[i].i < g->value_count && !cyg_node_is_none(cyg_val(g, n->in[i])->producer))
                s->waiting[g->order[k].i]++;
        if (s->waiting[g->order[k].i] == 0)
            heap_push(s, k);
    }
    while (s->heap_count > 0) {
        const cyg_node_id id = g->order[heap_pop(s)];
        const cyg_node *n = cyg_nod(g, id);
        s->sorted[s->sorted_count++] = id;
        for (uint32_t i = 0; i < n->out_count; i++) {
            const uint32_t v = n->out[i].i;
            if (v >= g->value_count || g->values[v].producer.i != id.i)
                continue;
            for (uint32_t u = uses->first[v]; u < uses->first[v + 1]; u++)
                if (--s->waiting[uses->user[u].i] == 0)
                    heap_push(s, s->position[uses->user[u].i]);
        }
    }
}

cyg_status cyg_graph_sort(cyg_ctx *ctx, cyg_graph *g)
{
    if (g->failed)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    cyg_graph_compact(g);
    cyg_arena scratch;
    cyg_arena_init(&scratch);
    const size_t nodes = (size_t)g->node_count + 1;
    sorter s = {.heap = CYG_NEW_ARRAY(&scratch, uint32_t, nodes),
                .waiting = CYG_NEW_ARRAY(&scratch, uint32_t, nodes),
                .position = CYG_NEW_ARRAY(&scratch, uint32_t, nodes),
                .sorted = CYG_NEW_ARRAY(&scratch, cyg_node_id, nodes)};
    cyg_uses uses;
    cyg_status st;
    if (s.heap == NULL || s.waiting == NULL || s.position == NULL || s.sorted == NULL) {
        st = CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
        goto done;
    }
    st = cyg_uses_build(ctx, g, &scratch, &uses);
    if (st != CYG_OK)
        goto done;
    for (uint32_t k = 0; k < g->order_count; k++)
        s.position[g->order[k].i] = k;
    run_kahn(g, &uses, &s);
    for (uint32_t k = 0; k < g->order_count; k++)
        if (s.waiting[g->order[k].i] != 0) {
            const cyg_node *n = cyg_nod(g, g->order[k]);
            st =
                CYG_FAIL(ctx, CYG_E_GRAPH,
                         "graph %s: node %s (%s) depends on its own result, or on a node that does",
                         g->name, n->name, cyg_op_schema_of(n->op)->id);
            goto done;
        }
    if (s.sorted_count > 0)
        memcpy(g->order, s.sorted, s.sorted_count * sizeof *g->order);
done:
    cyg_arena_deinit(&scratch);
    return st;
}
