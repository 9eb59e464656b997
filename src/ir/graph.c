/* Building a graph: creation, adders, inputs and outputs, provenance, symbols, metadata.
 *
 * Values, nodes and the other tables are heap arrays that double when full (so that a sanitizer
 * sees a pointer kept across an adder); what hangs off them (names, id lists, attributes, copied
 * constants) lives in the graph's arena and dies with it.
 *
 * Out of memory is sticky: an adder returns a none-id and sets `failed`, further adders given
 * none-ids do nothing harmful, and the verifier reports it. A construction of a thousand nodes so
 * needs one check.
 *
 * Names: see names.c. A removed node gives its name back, so that the node that replaces it can
 * take it over. */
#include "ir/graph.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "ir/edit.h"
#include "ir/names.h"

/* Room for one more element; false and failed when there is none. */
static bool reserve(cyg_graph *g, void **array, uint32_t count, uint32_t *cap, size_t size)
{
    if (count < *cap)
        return true;
    size_t bytes = 0;
    const uint32_t want = *cap == 0 ? 16 : *cap * 2;
    void *now = NULL;
    if (*cap < CYG_NO_ID / 4 && cyg_mul_size(want, size, &bytes))
        now = realloc(*array, bytes);
    if (now == NULL) {
        g->failed = true;
        return false;
    }
    *array = now;
    *cap = want;
    return true;
}
#define RESERVE(g, array, count, cap)                                                              \
    reserve((g), (void **)&(g)->array, (g)->count, &(g)->cap, sizeof *(g)->array)

cyg_graph *cyg_graph_create(void)
{
    cyg_graph *g = calloc(1, sizeof *g);
    if (g == NULL)
        return NULL;
    cyg_arena_init(&g->arena);
    g->name = "";
    g->opset = 18;
    if (!RESERVE(g, symbols, symbol_count, symbol_cap) ||
        !cyg_names_add(&g->symbol_names, "?", 0)) {
        cyg_graph_destroy(g);
        return NULL;
    }
    g->symbols[g->symbol_count++] = "?";
    return g;
}

void cyg_graph_destroy(cyg_graph *g)
{
    if (g == NULL)
        return;
    cyg_graph_destroy(g->lender);
    cyg_edit_free(g);
    for (uint32_t i = 0; i < g->map_count; i++)
        cyg_map_close(&g->maps[i]);
    cyg_names_deinit(&g->value_names);
    cyg_names_deinit(&g->node_names);
    cyg_names_deinit(&g->symbol_names);
    free(g->values);
    free(g->nodes);
    free(g->order);
    free(g->sources);
    free(g->symbols);
    free(g->metas);
    free(g->maps);
    cyg_arena_deinit(&g->arena);
    free(g);
}

bool cyg_graph_failed(const cyg_graph *g)
{
    return g->failed;
}

cyg_status cyg_graph_adopt_map(cyg_ctx *ctx, cyg_graph *g, cyg_map *map)
{
    if (!RESERVE(g, maps, map_count, map_cap))
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    g->maps[g->map_count++] = *map;
    *map = (cyg_map){0};
    return CYG_OK;
}

bool cyg_graph_release_map(const cyg_graph *g, const void *data)
{
    const uintptr_t at = (uintptr_t)data;
    for (; g != NULL; g = g->lender != NULL ? g->lender : g->origin)
        for (uint32_t i = 0; i < g->map_count; i++)
            if (at >= (uintptr_t)g->maps[i].data &&
                at - (uintptr_t)g->maps[i].data < g->maps[i].size) {
                cyg_map_release_pages(&g->maps[i], 0, g->maps[i].size);
                return true;
            }
    return false;
}

/* ---- values ---- */

cyg_value_id cyg_graph_add_value(cyg_graph *g, const char *name, cyg_type type, int rank,
                                 const int64_t *dims)
{
    if (!RESERVE(g, values, value_count, value_cap))
        return CYG_NO_VALUE;
    cyg_value v = {.type = type, .rank = (uint8_t)rank, .producer = CYG_NO_NODE};
    v.quant.axis = -1;
    if (rank != CYG_RANK_UNKNOWN && (rank < 0 || rank > CYG_MAX_RANK)) {
        v.rank = CYG_RANK_UNKNOWN;
    } else if (rank != CYG_RANK_UNKNOWN) {
        for (int i = 0; i < rank; i++)
            v.dims[i] = dims == NULL ? -1 : dims[i];
    }
    v.name = cyg_names_fresh(g, &g->value_names, name, "v");
    if (v.name == NULL || !cyg_names_add(&g->value_names, v.name, g->value_count)) {
        g->failed = true;
        return CYG_NO_VALUE;
    }
    g->values[g->value_count] = v;
    return (cyg_value_id){g->value_count++};
}

void cyg_graph_make_const(cyg_graph *g, cyg_value_id v, const void *data, size_t bytes)
{
    cyg_value *value = cyg_val(g, v);
    value->producer = CYG_NO_NODE;
    value->is_const = true;
    value->data = data;
    value->bytes = bytes;
}

cyg_value_id cyg_graph_add_const(cyg_graph *g, const char *name, cyg_type type, int rank,
                                 const int64_t *dims, const void *data, size_t bytes)
{
    const cyg_value_id v =
        cyg_graph_add_value(g, name == NULL || name[0] == '\0' ? "const" : name, type, rank, dims);
    if (!cyg_value_is_none(v))
        cyg_graph_make_const(g, v, data, bytes);
    return v;
}

cyg_value_id cyg_graph_add_const_copy(cyg_graph *g, const char *name, cyg_type type, int rank,
                                      const int64_t *dims, const void *data, size_t bytes)
{
    /* Constants are read by vector kernels: 64-byte alignment. */
    void *copy = cyg_arena_alloc(&g->arena, bytes == 0 ? 1 : bytes, 64);
    if (copy == NULL) {
        g->failed = true;
        return CYG_NO_VALUE;
    }
    if (bytes > 0)
        memcpy(copy, data, bytes);
    return cyg_graph_add_const(g, name, type, rank, dims, copy, bytes);
}

cyg_value_id cyg_graph_find_value(const cyg_graph *g, const char *name)
{
    return (cyg_value_id){cyg_names_find(&g->value_names, name)};
}

bool cyg_graph_rename_value(cyg_graph *g, cyg_value_id v, const char *name)
{
    cyg_value *value = cyg_val(g, v);
    if (strcmp(value->name, name) == 0)
        return true;
    const char *fresh = cyg_names_fresh(g, &g->value_names, name, "v");
    if (fresh == NULL || !cyg_names_add(&g->value_names, fresh, v.i)) {
        g->failed = true;
        return false;
    }
    cyg_names_remove(&g->value_names, value->name, v.i);
    value->name = fresh;
    return true;
}

/* ---- nodes ---- */

/* Room for every node there is, and one more. */
static bool reserve_order(cyg_graph *g)
{
    return RESERVE(g, order, node_count, order_cap);
}

static bool insert_in_order(cyg_graph *g, cyg_node_id before, cyg_node_id n)
{
    if (g->edit != NULL) /* the list has the order; room in the array is for its end */
        return reserve_order(g);
    if (!RESERVE(g, order, order_count, order_cap))
        return false;
    uint32_t at = g->order_count;
    if (!cyg_node_is_none(before)) {
        /* The node is usually near the end: passes walk forwards and builders append. */
        while (at > 0 && g->order[at - 1].i != before.i)
            at--;
        at = at == 0 ? g->order_count : at - 1;
        memmove(&g->order[at + 1], &g->order[at], (g->order_count - at) * sizeof *g->order);
    }
    g->order[at] = n;
    g->order_count++;
    return true;
}

static cyg_value_id *copy_ids(cyg_graph *g, const cyg_value_id *ids, uint32_t count)
{
    cyg_value_id *copy = CYG_NEW_ARRAY(&g->arena, cyg_value_id, count == 0 ? 1 : count);
    for (uint32_t i = 0; copy != NULL && i < count; i++)
        copy[i] = ids[i];
    return copy;
}

cyg_node_id cyg_graph_add_node(cyg_graph *g, cyg_node_id before, cyg_op op, const char *name,
                               const cyg_value_id *in, uint32_t in_count, const cyg_value_id *out,
                               uint32_t out_count)
{
    cyg_node n = {.op = op, .in_count = in_count, .out_count = out_count};
    const cyg_node_id id = {g->node_count};
    if (!RESERVE(g, nodes, node_count, node_cap))
        return CYG_NO_NODE;
    n.name = cyg_names_fresh(g, &g->node_names, name, cyg_op_schema_of(op)->id);
    n.in = copy_ids(g, in, in_count);
    n.out = copy_ids(g, out, out_count);
    if (n.name == NULL || n.in == NULL || n.out == NULL ||
        !cyg_names_add(&g->node_names, n.name, id.i) || !insert_in_order(g, before, id)) {
        g->failed = true;
        return CYG_NO_NODE;
    }
    g->nodes[g->node_count++] = n;
    if (g->edit != NULL && !cyg_edit_add_node(g, id, before))
        return CYG_NO_NODE;
    for (uint32_t i = 0; i < out_count; i++)
        if (out[i].i < g->value_count)
            cyg_val(g, out[i])->producer = id;
    return id;
}

cyg_node_id cyg_graph_find_node(const cyg_graph *g, const char *name)
{
    return (cyg_node_id){cyg_names_find(&g->node_names, name)};
}

bool cyg_graph_rename_node(cyg_graph *g, cyg_node_id n, const char *name)
{
    cyg_node *node = cyg_nod(g, n);
    if (strcmp(node->name, name) == 0)
        return true;
    const char *fresh = cyg_names_fresh(g, &g->node_names, name, "n");
    if (fresh == NULL || !cyg_names_add(&g->node_names, fresh, n.i)) {
        g->failed = true;
        return false;
    }
    cyg_names_remove(&g->node_names, node->name, n.i);
    node->name = fresh;
    return true;
}

cyg_status cyg_graph_set_io(cyg_ctx *ctx, cyg_graph *g, const cyg_value_id *in, uint32_t in_count,
                            const cyg_value_id *out, uint32_t out_count)
{
    for (uint32_t i = 0; i < in_count + out_count; i++) {
        const cyg_value_id v = i < in_count ? in[i] : out[i - in_count];
        if (v.i >= g->value_count)
            return CYG_FAIL(ctx, g->failed ? CYG_E_NOMEM : CYG_E_INTERNAL,
                            "graph %s: %s %u is no value of the graph", g->name,
                            i < in_count ? "input" : "output", i < in_count ? i : i - in_count);
    }
    cyg_value_id *const new_in = copy_ids(g, in, in_count);
    cyg_value_id *const new_out = copy_ids(g, out, out_count);
    if (new_in == NULL || new_out == NULL) {
        g->failed = true;
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    }
    for (uint32_t i = 0; i < g->output_count; i++)
        cyg_val(g, g->outputs[i])->output_uses = 0;
    g->inputs = new_in;
    g->outputs = new_out;
    g->input_count = in_count;
    g->output_count = out_count;
    for (uint32_t i = 0; i < out_count; i++)
        cyg_val(g, out[i])->output_uses++;
    return CYG_OK;
}

void cyg_graph_set_output(cyg_graph *g, uint32_t i, cyg_value_id v)
{
    cyg_val(g, g->outputs[i])->output_uses--;
    cyg_val(g, v)->output_uses++;
    g->outputs[i] = v;
}

/* ---- provenance, metadata, symbols ---- */

cyg_source_id cyg_graph_add_source(cyg_graph *g, const char *name, const char *kind)
{
    const cyg_source_id none = {CYG_NO_ID};
    if (!RESERVE(g, sources, source_count, source_cap))
        return none;
    const cyg_source s = {cyg_arena_strdup(&g->arena, name), cyg_arena_strdup(&g->arena, kind)};
    if (s.name == NULL || s.kind == NULL) {
        g->failed = true;
        return none;
    }
    g->sources[g->source_count] = s;
    return (cyg_source_id){g->source_count++};
}

const char *cyg_graph_meta(const cyg_graph *g, const char *key)
{
    for (uint32_t i = 0; i < g->meta_count; i++)
        if (strcmp(g->metas[i].key, key) == 0)
            return g->metas[i].text;
    return NULL;
}

void cyg_graph_set_meta(cyg_graph *g, const char *key, const char *text)
{
    uint32_t i = 0;
    while (i < g->meta_count && strcmp(g->metas[i].key, key) != 0)
        i++;
    const char *copy = cyg_arena_strdup(&g->arena, text);
    if (i == g->meta_count) {
        const char *key_copy = cyg_arena_strdup(&g->arena, key);
        if (key_copy == NULL || copy == NULL || !RESERVE(g, metas, meta_count, meta_cap)) {
            g->failed = true;
            return;
        }
        g->metas[g->meta_count++].key = key_copy;
    }
    if (copy == NULL)
        g->failed = true;
    else
        g->metas[i].text = copy;
}

int64_t cyg_graph_symbol(cyg_graph *g, const char *name)
{
    uint32_t i = cyg_names_find(&g->symbol_names, name);
    if (i == CYG_NO_ID) {
        const char *copy = cyg_arena_strdup(&g->arena, name);
        if (copy == NULL || !RESERVE(g, symbols, symbol_count, symbol_cap) ||
            !cyg_names_add(&g->symbol_names, copy, g->symbol_count)) {
            g->failed = true;
            return -1;
        }
        i = g->symbol_count++;
        g->symbols[i] = copy;
    }
    return -(int64_t)i - 1;
}

void cyg_graph_bind_symbol(cyg_graph *g, int64_t symbol_dim, int64_t size)
{
    if (symbol_dim >= -1) /* known, or "?", which is equal to nothing */
        return;
    for (uint32_t v = 0; v < g->value_count; v++) {
        cyg_value *value = &g->values[v];
        for (unsigned i = 0; value->rank != CYG_RANK_UNKNOWN && i < value->rank; i++)
            if (value->dims[i] == symbol_dim)
                value->dims[i] = size;
    }
}

/* ---- reading ---- */

int64_t cyg_value_elements(const cyg_value *v)
{
    if (v->rank == CYG_RANK_UNKNOWN)
        return -1;
    int64_t n = 1;
    bool empty = false;
    for (unsigned i = 0; i < v->rank; i++) {
        if (v->dims[i] < 0)
            return -1;
        empty = empty || v->dims[i] == 0;
    }
    for (unsigned i = 0; i < v->rank && !empty; i++)
        if (!cyg_mul_i64(n, v->dims[i], &n))
            return -1;
    return empty ? 0 : n;
}

bool cyg_value_shape_known(const cyg_value *v)
{
    if (v->rank == CYG_RANK_UNKNOWN)
        return false;
    for (unsigned i = 0; i < v->rank; i++)
        if (v->dims[i] < 0)
            return false;
    return true;
}

static bool contains(const cyg_value_id *ids, uint32_t count, cyg_value_id v)
{
    for (uint32_t i = 0; i < count; i++)
        if (ids[i].i == v.i)
            return true;
    return false;
}

bool cyg_graph_is_input(const cyg_graph *g, cyg_value_id v)
{
    return contains(g->inputs, g->input_count, v);
}

bool cyg_graph_is_output(const cyg_graph *g, cyg_value_id v)
{
    return v.i < g->value_count && cyg_val(g, v)->output_uses > 0;
}
