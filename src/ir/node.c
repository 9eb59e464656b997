/* A node's attributes, inputs and provenance.
 *
 * The lists are short and live in the graph's arena. They carry no capacity: a list of n elements
 * has room for the next power of two, so adding to a list whose length is a power of two moves it
 * to one twice as long. (A list that became shorter has more room than that, never less.) */
#include "ir/graph.h"

#include <string.h>

#include "ir/edit.h"

static void *grown(cyg_graph *g, void *list, uint32_t count, size_t size)
{
    if ((count & (count - 1)) != 0) /* neither zero nor a power of two: there is room */
        return list;
    void *now = cyg_arena_calloc(&g->arena, count == 0 ? 1 : (size_t)count * 2, size);
    if (now == NULL)
        g->failed = true;
    else if (count > 0)
        memcpy(now, list, count * size);
    return now;
}

/* The attribute to fill; NULL when out of memory. */
static cyg_attr *slot_for(cyg_graph *g, cyg_node_id id, cyg_attr_key key, cyg_attr_kind kind)
{
    if (id.i >= g->node_count)
        return NULL;
    cyg_node *n = cyg_nod(g, id);
    uint32_t i = 0;
    while (i < n->attr_count && n->attrs[i].key != key)
        i++;
    if (i == n->attr_count) {
        cyg_attr *attrs = grown(g, n->attrs, n->attr_count, sizeof *attrs);
        if (attrs == NULL)
            return NULL;
        n->attrs = attrs;
        n->attr_count++;
    }
    n->attrs[i] = (cyg_attr){.key = key, .kind = kind};
    return &n->attrs[i];
}

bool cyg_node_set_int(cyg_graph *g, cyg_node_id n, cyg_attr_key key, int64_t v)
{
    cyg_attr *a = slot_for(g, n, key, CYG_KIND_INT);
    if (a != NULL)
        a->u.i = v;
    return a != NULL;
}

bool cyg_node_set_float(cyg_graph *g, cyg_node_id n, cyg_attr_key key, float v)
{
    cyg_attr *a = slot_for(g, n, key, CYG_KIND_FLOAT);
    if (a != NULL)
        a->u.f = v;
    return a != NULL;
}

/* Copies come first: a half-made attribute must not stay behind. */
static void *copied(cyg_graph *g, const void *data, size_t bytes)
{
    void *copy = cyg_arena_alloc(&g->arena, bytes == 0 ? 1 : bytes, 8);
    if (copy == NULL)
        g->failed = true;
    else if (bytes > 0)
        memcpy(copy, data, bytes);
    return copy;
}

bool cyg_node_set_string(cyg_graph *g, cyg_node_id n, cyg_attr_key key, const char *v)
{
    const char *copy = copied(g, v, strlen(v) + 1);
    cyg_attr *a = copy == NULL ? NULL : slot_for(g, n, key, CYG_KIND_STRING);
    if (a != NULL)
        a->u.s = copy;
    return a != NULL;
}

bool cyg_node_set_ints(cyg_graph *g, cyg_node_id n, cyg_attr_key key, const int64_t *v,
                       size_t count)
{
    const int64_t *copy = copied(g, v, count * sizeof *v);
    cyg_attr *a = copy == NULL ? NULL : slot_for(g, n, key, CYG_KIND_INTS);
    if (a != NULL) {
        a->u.ints.data = copy;
        a->u.ints.count = count;
    }
    return a != NULL;
}

bool cyg_node_set_floats(cyg_graph *g, cyg_node_id n, cyg_attr_key key, const float *v,
                         size_t count)
{
    const float *copy = copied(g, v, count * sizeof *v);
    cyg_attr *a = copy == NULL ? NULL : slot_for(g, n, key, CYG_KIND_FLOATS);
    if (a != NULL) {
        a->u.floats.data = copy;
        a->u.floats.count = count;
    }
    return a != NULL;
}

bool cyg_node_set_tensor(cyg_graph *g, cyg_node_id n, cyg_attr_key key, cyg_value_id v)
{
    cyg_attr *a = slot_for(g, n, key, CYG_KIND_TENSOR);
    if (a != NULL)
        a->u.tensor = v;
    return a != NULL;
}

void cyg_node_clear_attr(cyg_graph *g, cyg_node_id id, cyg_attr_key key)
{
    cyg_node *n = cyg_nod(g, id);
    for (uint32_t i = 0; i < n->attr_count; i++)
        if (n->attrs[i].key == key) {
            n->attr_count--;
            memmove(&n->attrs[i], &n->attrs[i + 1], (n->attr_count - i) * sizeof *n->attrs);
            return;
        }
}

bool cyg_node_copy_attrs(cyg_graph *g, cyg_node_id n, const cyg_node *from)
{
    bool ok = true;
    for (uint32_t i = 0; i < from->attr_count && ok; i++) {
        const cyg_attr *a = &from->attrs[i];
        switch (a->kind) {
        case CYG_KIND_INT:
            ok = cyg_node_set_int(g, n, a->key, a->u.i);
            break;
        case CYG_KIND_FLOAT:
            ok = cyg_node_set_float(g, n, a->key, a->u.f);
            break;
        case CYG_KIND_STRING:
            ok = cyg_node_set_string(g, n, a->key, a->u.s);
            break;
        case CYG_KIND_INTS:
            ok = cyg_node_set_ints(g, n, a->key, a->u.ints.data, a->u.ints.count);
            break;
        case CYG_KIND_FLOATS:
            ok = cyg_node_set_floats(g, n, a->key, a->u.floats.data, a->u.floats.count);
            break;
        case CYG_KIND_TENSOR:
            ok = cyg_node_set_tensor(g, n, a->key, a->u.tensor);
            break;
        }
    }
    return ok;
}

const cyg_attr *cyg_node_attr(const cyg_node *n, cyg_attr_key key)
{
    for (uint32_t i = 0; i < n->attr_count; i++)
        if (n->attrs[i].key == key)
            return &n->attrs[i];
    return NULL;
}

int64_t cyg_node_int(const cyg_node *n, cyg_attr_key key, int64_t otherwise)
{
    const cyg_attr *a = cyg_node_attr(n, key);
    return a != NULL && a->kind == CYG_KIND_INT ? a->u.i : otherwise;
}

float cyg_node_float(const cyg_node *n, cyg_attr_key key, float otherwise)
{
    const cyg_attr *a = cyg_node_attr(n, key);
    return a != NULL && a->kind == CYG_KIND_FLOAT ? a->u.f : otherwise;
}

const char *cyg_node_string(const cyg_node *n, cyg_attr_key key, const char *otherwise)
{
    const cyg_attr *a = cyg_node_attr(n, key);
    return a != NULL && a->kind == CYG_KIND_STRING ? a->u.s : otherwise;
}

size_t cyg_node_ints(const cyg_node *n, cyg_attr_key key, const int64_t **out_data)
{
    const cyg_attr *a = cyg_node_attr(n, key);
    if (a == NULL || a->kind != CYG_KIND_INTS) {
        *out_data = NULL;
        return 0;
    }
    *out_data = a->u.ints.data;
    return a->u.ints.count;
}

bool cyg_node_list(const cyg_node *n, cyg_attr_key key, int count, int64_t otherwise, int64_t *out)
{
    const int64_t *data;
    const size_t found = cyg_node_ints(n, key, &data);
    for (int i = 0; i < count; i++)
        out[i] = found == (size_t)count ? data[i] : otherwise;
    return found == 0 || found == (size_t)count;
}

size_t cyg_node_floats(const cyg_node *n, cyg_attr_key key, const float **out_data)
{
    const cyg_attr *a = cyg_node_attr(n, key);
    const bool given = a != NULL && a->kind == CYG_KIND_FLOATS;
    *out_data = given ? a->u.floats.data : NULL;
    return given ? a->u.floats.count : 0;
}

cyg_value_id cyg_node_in(const cyg_node *n, uint32_t i)
{
    return i < n->in_count ? n->in[i] : CYG_NO_VALUE;
}

void cyg_node_set_input(cyg_graph *g, cyg_node_id id, uint32_t i, cyg_value_id v)
{
    cyg_node *n = cyg_nod(g, id);
    if (i >= n->in_count) {
        cyg_value_id *in = CYG_NEW_ARRAY(&g->arena, cyg_value_id, (size_t)i + 1);
        if (in == NULL) {
            g->failed = true;
            return;
        }
        for (uint32_t k = 0; k <= i; k++)
            in[k] = k < n->in_count ? n->in[k] : CYG_NO_VALUE;
        const uint32_t former = n->in_count;
        n->in = in;
        n->in_count = i + 1;
        if (!cyg_edit_renew_inputs(g, id, former))
            return;
    }
    cyg_edit_set_input(g, id, i, v);
    n->in[i] = v;
}

/* ---- provenance: sorted, unique ---- */

void cyg_node_add_source(cyg_graph *g, cyg_node_id id, cyg_source_id s)
{
    if (id.i >= g->node_count || s.i >= g->source_count)
        return;
    cyg_node *n = cyg_nod(g, id);
    uint32_t at = n->source_count;
    while (at > 0 && n->sources[at - 1].i > s.i)
        at--;
    if (at > 0 && n->sources[at - 1].i == s.i)
        return;
    cyg_source_id *list = grown(g, n->sources, n->source_count, sizeof *list);
    if (list == NULL)
        return;
    memmove(&list[at + 1], &list[at], (n->source_count - at) * sizeof *list);
    list[at] = s;
    n->sources = list;
    n->source_count++;
}

void cyg_node_merge_sources(cyg_graph *g, cyg_node_id n, cyg_node_id from)
{
    if (n.i == from.i || n.i >= g->node_count || from.i >= g->node_count)
        return;
    for (uint32_t i = 0; i < cyg_nod(g, from)->source_count; i++)
        cyg_node_add_source(g, n, cyg_nod(g, from)->sources[i]);
}
