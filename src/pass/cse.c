/* Common subexpressions: two nodes with the same operator, attributes and operands are one; two
 * equal small constants are one, so that nodes that read them are found equal in turn. (Exporters
 * write the same shape arithmetic once for each use.)
 *
 * A hash table over the execution order: an equal node's operands were made equal before it is met,
 * so one walk finds all. Nothing here depends on addresses: keys are ids and bytes. Large constants
 * are not compared: weights are rarely equal and always big. */
#include <string.h>

#include "base/hash.h"
#include "pass/passes.h"
#include "pass/rewrite.h"

enum { CONST_LIMIT = 64 << 10 };

typedef struct bucket {
    uint32_t *slots; /* id + 1, 0 = free */
    uint32_t mask;
} bucket;

static bool bucket_init(cyg_rw *rw, uint32_t count, bucket *b)
{
    uint32_t cap = 64;
    while (cap / 2 < count)
        cap *= 2;
    b->slots = CYG_NEW_ARRAY(&rw->scratch, uint32_t, cap);
    b->mask = cap - 1;
    return b->slots != NULL;
}

static uint64_t hash_attr(const cyg_attr *a)
{
    const uint64_t seed = (uint64_t)a->key * 31u + (uint64_t)a->kind;
    switch (a->kind) {
    case CYG_KIND_INT:
        return cyg_hash64(&a->u.i, sizeof a->u.i, seed);
    case CYG_KIND_FLOAT:
        return cyg_hash64(&a->u.f, sizeof a->u.f, seed);
    case CYG_KIND_STRING:
        return cyg_hash64(a->u.s, strlen(a->u.s), seed);
    case CYG_KIND_INTS:
        return cyg_hash64(a->u.ints.data, a->u.ints.count * sizeof *a->u.ints.data, seed);
    case CYG_KIND_FLOATS:
        return cyg_hash64(a->u.floats.data, a->u.floats.count * sizeof *a->u.floats.data, seed);
    case CYG_KIND_TENSOR:
    default:
        return cyg_hash64(&a->u.tensor.i, sizeof a->u.tensor.i, seed);
    }
}

static bool same_attr(const cyg_attr *a, const cyg_attr *b)
{
    if (a->kind != b->kind)
        return false;
    switch (a->kind) {
    case CYG_KIND_INT:
        return a->u.i == b->u.i;
    case CYG_KIND_FLOAT:
        return memcmp(&a->u.f, &b->u.f, sizeof a->u.f) == 0;
    case CYG_KIND_STRING:
        return strcmp(a->u.s, b->u.s) == 0;
    case CYG_KIND_INTS:
        return a->u.ints.count == b->u.ints.count &&
               memcmp(a->u.ints.data, b->u.ints.data, a->u.ints.count * sizeof *a->u.ints.data) ==
                   0;
    case CYG_KIND_FLOATS:
        return a->u.floats.count == b->u.floats.count &&
               memcmp(a->u.floats.data, b->u.floats.data,
                      a->u.floats.count * sizeof *a->u.floats.data) == 0;
    case CYG_KIND_TENSOR:
    default:
        return a->u.tensor.i == b->u.tensor.i;
    }
}

uint64_t cyg_rw_node_hash(const cyg_node *n)
{
    uint64_t h =
        cyg_hash64(n->in, n->in_count * sizeof *n->in, (uint64_t)n->op * 131u + n->out_count);
    for (uint32_t i = 0; i < n->attr_count; i++)
        h += hash_attr(&n->attrs[i]); /* a sum: attributes have no order */
    return h;
}

static bool same_node(const cyg_node *a, const cyg_node *b)
{
    if (a->op != b->op || a->in_count != b->in_count || a->out_count != b->out_count ||
        a->attr_count != b->attr_count)
        return false;
    for (uint32_t i = 0; i < a->in_count; i++)
        if (a->in[i].i != b->in[i].i)
            return false;
    for (uint32_t i = 0; i < a->out_count; i++)
        if (cyg_value_is_none(a->out[i]) != cyg_value_is_none(b->out[i]))
            return false;
    for (uint32_t i = 0; i < a->attr_count; i++) {
        const cyg_attr *other = cyg_node_attr(b, a->attrs[i].key);
        if (other == NULL || !same_attr(&a->attrs[i], other))
            return false;
    }
    return true;
}

static bool mergeable_const(const cyg_value *v)
{
    return v->is_const && v->bytes <= CONST_LIMIT && v->quant.type == CYG_TYPE_NONE &&
           (v->data != NULL || v->bytes == 0);
}

static bool same_const(const cyg_value *a, const cyg_value *b)
{
    if (a->type != b->type || a->rank != b->rank || a->bytes != b->bytes)
        return false;
    for (unsigned i = 0; i < a->rank; i++)
        if (a->dims[i] != b->dims[i])
            return false;
    return a->bytes == 0 || memcmp(a->data, b->data, a->bytes) == 0;
}

/* remap[v]: the constant that stands for v. */
static cyg_status merge_consts(cyg_rw *rw)
{
    cyg_graph *g = rw->g;
    bucket b;
    uint32_t *remap = CYG_NEW_ARRAY(&rw->scratch, uint32_t, g->value_count + 1);
    if (remap == NULL || !bucket_init(rw, g->value_count, &b))
        return CYG_RW_NOMEM(rw);
    for (uint32_t v = 0; v < g->value_count; v++) {
        remap[v] = v;
        const cyg_value *value = &g->values[v];
        if (!mergeable_const(value) || cyg_graph_is_output(g, (cyg_value_id){v}))
            continue;
        uint32_t i = (uint32_t)cyg_hash64(value->data, value->bytes,
                                          (uint64_t)value->type + value->rank * 64u) &
                     b.mask;
        while (b.slots[i] != 0 && !same_const(&g->values[b.slots[i] - 1], value))
            i = (i + 1) & b.mask;
        if (b.slots[i] == 0)
            b.slots[i] = v + 1;
        remap[v] = b.slots[i] - 1;
    }
    for (uint32_t k = 0; k < g->node_count; k++)
        for (uint32_t i = 0; i < g->nodes[k].in_count; i++) {
            const cyg_value_id v = g->nodes[k].in[i];
            if (!cyg_value_is_none(v) && remap[v.i] != v.i) {
                cyg_node_set_input(g, (cyg_node_id){k}, i, (cyg_value_id){remap[v.i]});
                rw->changed = true;
            }
        }
    return CYG_OK;
}

static bool has_output(const cyg_graph *g, const cyg_node *n)
{
    for (uint32_t i = 0; i < n->out_count; i++)
        if (!cyg_value_is_none(n->out[i]) && cyg_graph_is_output(g, n->out[i]))
            return true;
    return false;
}

static cyg_status merge_nodes(cyg_rw *rw)
{
    cyg_graph *g = rw->g;
    bucket b;
    if (!bucket_init(rw, g->order_count, &b))
        return CYG_RW_NOMEM(rw);
    for (uint32_t k = 0; k < g->order_count; k++) {
        const cyg_node_id id = g->order[k];
        const cyg_node *n = cyg_nod(g, id);
        if (n->op == CYG_OP_removed || has_output(g, n))
            continue;
        uint32_t i = (uint32_t)cyg_rw_node_hash(n) & b.mask;
        while (b.slots[i] != 0 && !same_node(&g->nodes[b.slots[i] - 1], n))
            i = (i + 1) & b.mask;
        if (b.slots[i] == 0) {
            b.slots[i] = id.i + 1;
            continue;
        }
        const cyg_node_id kept = {b.slots[i] - 1};
        for (uint32_t o = 0; o < n->out_count; o++)
            if (!cyg_value_is_none(n->out[o]) && !cyg_value_is_none(cyg_nod(g, kept)->out[o]))
                cyg_graph_replace_uses(g, n->out[o], cyg_nod(g, kept)->out[o]);
        cyg_node_merge_sources(g, kept, id);
        cyg_graph_remove_node(g, id);
        rw->changed = true;
    }
    return CYG_OK;
}

cyg_status cyg_pass_cse(cyg_ctx *ctx, cyg_graph *g, bool *out_changed)
{
    cyg_rw rw;
    cyg_status status = cyg_rw_begin(ctx, g, &rw);
    if (status == CYG_OK)
        status = merge_consts(&rw);
    rw.changed = false; /* merged constants alone are no reason for another round of passes */
    if (status == CYG_OK)
        status = merge_nodes(&rw);
    return cyg_rw_end(&rw, status, out_changed);
}
