/* Memory of constants that a graph has no use for any more. Arenas give nothing back before their
 * end, so pages go back to the system in place; a constant may share its bytes with others (a
 * folded view), so what overlaps with one that is used stays. */
#include <stdlib.h>

#include "base/file.h"
#include "ir/graph.h"

enum { SMALL = 64 << 10 };

typedef struct range {
    uintptr_t begin, end;
} range;

static int by_begin(const void *a, const void *b)
{
    const range *x = a, *y = b;
    return (x->begin > y->begin) - (x->begin < y->begin);
}

static range range_of(const cyg_value *v)
{
    return (range){(uintptr_t)v->data, (uintptr_t)v->data + v->bytes};
}

static void mark(const cyg_graph *g, bool *used)
{
    for (uint32_t i = 0; i < g->node_count; i++) {
        const cyg_node *n = &g->nodes[i];
        if (n->op == CYG_OP_removed)
            continue;
        for (uint32_t k = 0; k < n->in_count; k++)
            if (!cyg_value_is_none(n->in[k]))
                used[n->in[k].i] = true;
        for (uint32_t k = 0; k < n->attr_count; k++)
            if (n->attrs[k].kind == CYG_KIND_TENSOR)
                used[n->attrs[k].u.tensor.i] = true;
    }
    for (uint32_t i = 0; i < g->output_count; i++)
        used[g->outputs[i].i] = true;
}

/* The used constants' bytes, in order of address. */
static size_t list_ranges(const cyg_graph *g, const bool *used, range *list)
{
    size_t count = 0;
    for (uint32_t v = 0; v < g->value_count; v++)
        if (used[v] && g->values[v].is_const)
            list[count++] = range_of(&g->values[v]);
    qsort(list, count, sizeof *list, by_begin);
    for (size_t i = 1; i < count; i++) /* ends ascend too: of nested ranges the outer one counts */
        if (list[i].end < list[i - 1].end)
            list[i].end = list[i - 1].end;
    return count;
}

static bool overlaps(const range *list, size_t count, range r)
{
    size_t low = 0, high = count; /* ranges before low begin before r ends */
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (list[middle].begin < r.end)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 && list[low - 1].end > r.begin;
}

void cyg_graph_release_unused(cyg_graph *g)
{
    if (!g->alone)
        return;
    bool *used = calloc((size_t)g->value_count + 1, sizeof *used);
    range *list = calloc((size_t)g->value_count + 1, sizeof *list);
    if (used != NULL && list != NULL) {
        mark(g, used);
        const size_t count = list_ranges(g, used, list);
        for (uint32_t i = 0; i < g->value_count; i++) {
            cyg_value *v = &g->values[i];
            if (used[i] || !v->is_const || v->bytes < SMALL || overlaps(list, count, range_of(v)))
                continue;
            cyg_memory_release(v->data, v->bytes);
            v->is_const = false;
            v->data = NULL;
            v->bytes = 0;
        }
    }
    free(used);
    free(list);
}
