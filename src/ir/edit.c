/* Uses and order as linked lists, so that a rewrite costs what it changes and not what the graph
 * has.
 *
 * A use is a slot (node, operand) in the list of the value that it reads; a node's slots lie side
 * by side, so that slot and operand find each other without a search. The order is a list of nodes.
 * Both exist from cyg_graph_edit_begin to cyg_graph_edit_end and are kept up by the graph's own
 * mutators, so no rewrite can act on a count of the past. Outside, the graph has neither: arrays
 * are smaller, and importers and builders change operands as they like.
 *
 * Slots are not reused: a pass makes few. A new node shares the rank of the node that it was put
 * before, which is what cyg_graph_rank promises and no more. */
#include "ir/edit.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"

typedef struct use_slot {
    uint32_t node, next, prev; /* of the same value; CYG_NO_ID = end */
} use_slot;

struct cyg_edit {
    use_slot *uses;
    uint32_t use_count, use_cap;
    struct {
        uint32_t first, last, count;
    } * values;
    uint32_t value_cap;
    struct {
        uint32_t slots, next, prev, rank;
    } * nodes;
    uint32_t node_cap;
    uint32_t head, tail;
};

/* An array for at least `want` elements, those from `have` on cleared to CYG_NO_ID. */
static bool reserve(cyg_graph *g, void **array, uint32_t *cap, uint32_t want, size_t size)
{
    if (want <= *cap)
        return true;
    uint32_t cap_now = *cap < 64 ? 64 : *cap;
    size_t bytes;
    while (cap_now < want && cap_now < CYG_NO_ID / 2)
        cap_now *= 2;
    void *now = NULL;
    if (cap_now >= want && cyg_mul_size(cap_now, size, &bytes))
        now = realloc(*array, bytes);
    if (now == NULL) {
        g->failed = true;
        return false;
    }
    memset((char *)now + *cap * size, 0xff, (cap_now - *cap) * size);
    *array = now;
    *cap = cap_now;
    return true;
}

static bool reserve_value(cyg_graph *g, uint32_t v)
{
    cyg_edit *e = g->edit;
    const uint32_t had = e->value_cap;
    if (!reserve(g, (void **)&e->values, &e->value_cap, v + 1, sizeof *e->values))
        return false;
    for (uint32_t i = had; i < e->value_cap; i++)
        e->values[i].count = 0;
    return true;
}

/* ---- uses ---- */

static bool link_use(cyg_graph *g, uint32_t slot, cyg_value_id v)
{
    cyg_edit *e = g->edit;
    if (v.i >= g->value_count)
        return true;
    if (!reserve_value(g, v.i))
        return false;
    e->uses[slot].prev = e->values[v.i].last;
    e->uses[slot].next = CYG_NO_ID;
    if (e->values[v.i].last == CYG_NO_ID)
        e->values[v.i].first = slot;
    else
        e->uses[e->values[v.i].last].next = slot;
    e->values[v.i].last = slot;
    e->values[v.i].count++;
    return true;
}

static void unlink_use(cyg_graph *g, uint32_t slot, cyg_value_id v)
{
    cyg_edit *e = g->edit;
    if (v.i >= g->value_count)
        return;
    const use_slot *u = &e->uses[slot];
    if (u->prev == CYG_NO_ID)
        e->values[v.i].first = u->next;
    else
        e->uses[u->prev].next = u->next;
    if (u->next == CYG_NO_ID)
        e->values[v.i].last = u->prev;
    else
        e->uses[u->next].prev = u->prev;
    e->values[v.i].count--;
}

static bool link_inputs(cyg_graph *g, cyg_node_id id)
{
    cyg_edit *e = g->edit;
    const cyg_node *n = cyg_nod(g, id);
    if (n->in_count > CYG_NO_ID - e->use_count ||
        !reserve(g, (void **)&e->uses, &e->use_cap, e->use_count + n->in_count, sizeof *e->uses)) {
        g->failed = true;
        return false;
    }
    e->nodes[id.i].slots = e->use_count;
    e->use_count += n->in_count;
    for (uint32_t i = 0; i < n->in_count; i++) {
        e->uses[e->nodes[id.i].slots + i].node = id.i;
        if (!link_use(g, e->nodes[id.i].slots + i, n->in[i]))
            return false;
    }
    return true;
}

/* ---- what the mutators call ---- */

bool cyg_edit_add_node(cyg_graph *g, cyg_node_id n, cyg_node_id before)
{
    cyg_edit *e = g->edit;
    if (!reserve(g, (void **)&e->nodes, &e->node_cap, n.i + 1, sizeof *e->nodes) ||
        !link_inputs(g, n))
        return false;
    /* Before a node that is in no list is as good as nowhere: at the end. */
    const bool last =
        before.i >= e->node_cap || (e->nodes[before.i].prev == CYG_NO_ID && e->head != before.i);
    const uint32_t next = last ? CYG_NO_ID : before.i,
                   prev = last ? e->tail : e->nodes[before.i].prev;
    e->nodes[n.i].next = next;
    e->nodes[n.i].prev = prev;
    e->nodes[n.i].rank = last ? CYG_NO_ID - 1 : e->nodes[before.i].rank;
    *(prev == CYG_NO_ID ? &e->head : &e->nodes[prev].next) = n.i;
    *(next == CYG_NO_ID ? &e->tail : &e->nodes[next].prev) = n.i;
    return true;
}

void cyg_edit_remove_node(cyg_graph *g, cyg_node_id id)
{
    const cyg_node *n = cyg_nod(g, id);
    for (uint32_t i = 0; g->edit != NULL && i < n->in_count; i++)
        unlink_use(g, g->edit->nodes[id.i].slots + i, n->in[i]);
}

void cyg_edit_set_input(cyg_graph *g, cyg_node_id id, uint32_t i, cyg_value_id v)
{
    if (g->edit == NULL)
        return;
    const uint32_t slot = g->edit->nodes[id.i].slots + i;
    unlink_use(g, slot, cyg_nod(g, id)->in[i]);
    CYG_IGNORE(link_use(g, slot, v)); /* failed is set */
}

bool cyg_edit_renew_inputs(cyg_graph *g, cyg_node_id id, uint32_t former_count)
{
    if (g->edit == NULL)
        return true;
    const cyg_node *n = cyg_nod(g, id);
    for (uint32_t i = 0; i < former_count; i++)
        unlink_use(g, g->edit->nodes[id.i].slots + i, n->in[i]);
    return link_inputs(g, id);
}

void cyg_edit_free(cyg_graph *g)
{
    if (g->edit == NULL)
        return;
    free(g->edit->uses);
    free(g->edit->values);
    free(g->edit->nodes);
    free(g->edit);
    g->edit = NULL;
}

/* ---- public ---- */

cyg_status cyg_graph_edit_begin(cyg_ctx *ctx, cyg_graph *g)
{
    CYG_ASSERT(g->edit == NULL);
    cyg_graph_compact(g);
    g->edit = calloc(1, sizeof *g->edit);
    if (g->edit == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    g->edit->head = g->edit->tail = CYG_NO_ID;
    bool ok = g->value_count == 0 || reserve_value(g, g->value_count - 1);
    for (uint32_t k = 0; ok && k < g->order_count; k++) {
        ok = cyg_edit_add_node(g, g->order[k], CYG_NO_NODE);
        if (ok)
            g->edit->nodes[g->order[k].i].rank = k;
    }
    if (ok)
        return CYG_OK;
    cyg_edit_free(g);
    return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
}

void cyg_graph_edit_end(cyg_graph *g)
{
    const cyg_edit *e = g->edit;
    if (e == NULL)
        return;
    /* Every node was given room in the order when it was added. */
    g->order_count = 0;
    for (uint32_t n = e->head; n != CYG_NO_ID; n = e->nodes[n].next)
        if (g->nodes[n].op != CYG_OP_removed)
            g->order[g->order_count++] = (cyg_node_id){n};
    cyg_edit_free(g);
}

uint32_t cyg_graph_use_count(const cyg_graph *g, cyg_value_id v)
{
    CYG_ASSERT(g->edit != NULL);
    return v.i < g->edit->value_cap ? g->edit->values[v.i].count : 0;
}

uint32_t cyg_graph_first_use(const cyg_graph *g, cyg_value_id v)
{
    return v.i < g->edit->value_cap ? g->edit->values[v.i].first : CYG_NO_ID;
}

uint32_t cyg_graph_next_use(const cyg_graph *g, uint32_t use)
{
    return g->edit->uses[use].next;
}

cyg_node_id cyg_graph_use_node(const cyg_graph *g, uint32_t use)
{
    return (cyg_node_id){g->edit->uses[use].node};
}

uint32_t cyg_graph_rank(const cyg_graph *g, cyg_node_id n)
{
    return g->edit->nodes[n.i].rank;
}
