/* Attention apart again: matmul, scale, position table, softmax, matmul, with the movement between
 * them. For those who want one of these steps in another precision than the fused one has, or no
 * fusion at all (transformer_opt_level 0). Not a pass of the pipeline: the caller names nodes.
 *
 * Provenance goes to the step that an operator of the source model became: the first MatMul to the
 * scores, the others to the second product, Softmax to the softmax, Mul and Div to the scale, Add
 * to the table, the rest to the movement. */
#include <string.h>

#include "base/bytes.h"
#include "pass/rewrite.h"
#include "pass/split_attention.h"

typedef struct parts {
    cyg_rw *rw;
    cyg_node_id id;
    const cyg_node *n; /* a copy: adding nodes moves the array */
    int64_t heads, dim, tokens, entries, images;
    bool failed;
} parts;

static cyg_value_id operand(const parts *p, uint32_t i)
{
    return cyg_node_in(p->n, i);
}

static cyg_value_id insert(parts *p, cyg_op op, const cyg_value_id *in, uint32_t count, int rank,
                           const int64_t *dims)
{
    for (uint32_t i = 0; i < count; i++)
        p->failed = p->failed || cyg_value_is_none(in[i]);
    if (p->failed)
        return CYG_NO_VALUE;
    const cyg_value_id v = cyg_rw_insert(p->rw, p->id, op, in, count, in[0], rank, dims);
    p->failed = cyg_value_is_none(v);
    if (!p->failed) { /* given one by one below */
        cyg_nod(p->rw->g, cyg_val(p->rw->g, v)->producer)->source_count = 0;
    }
    return v;
}

static cyg_node_id maker(const parts *p, cyg_value_id v)
{
    return p->failed ? CYG_NO_NODE : cyg_val(p->rw->g, v)->producer;
}

static void keep(parts *p, bool ok)
{
    p->failed = p->failed || !ok;
}

static cyg_value_id reshaped(parts *p, cyg_value_id v, int rank, const int64_t *dims)
{
    if (p->failed)
        return CYG_NO_VALUE;
    const cyg_value_id now = cyg_rw_reshaped(p->rw, p->id, v, rank, dims);
    p->failed = cyg_value_is_none(now);
    if (!p->failed && now.i != v.i)
        cyg_nod(p->rw->g, cyg_val(p->rw->g, now)->producer)->source_count = 0;
    return now;
}

static cyg_value_id floats(parts *p, int rank, const int64_t *dims, const float *data,
                           int64_t count)
{
    const cyg_value_id v = cyg_graph_add_const_copy(p->rw->g, NULL, CYG_TYPE_F32, rank, dims, data,
                                                    (size_t)count * sizeof *data);
    p->failed = p->failed || cyg_value_is_none(v);
    return v;
}

/* Rows by a table, rows of x being axis 1. inverse: the table's inverse. */
static cyg_value_id gathered(parts *p, cyg_value_id x, bool inverse, int64_t channels)
{
    const cyg_value *rows = cyg_val(p->rw->g, operand(p, 5));
    const int64_t count = p->entries * p->tokens, dims[] = {p->images, count, channels};
    int64_t *index = CYG_NEW_ARRAY(&p->rw->scratch, int64_t, count);
    if (index == NULL) {
        p->failed = true;
        return CYG_NO_VALUE;
    }
    for (int64_t i = 0; i < count; i++) {
        const int64_t row = cyg_load_i64((const char *)rows->data + 8 * i);
        index[inverse ? row : i] = inverse ? i : row;
    }
    const cyg_value_id table =
        cyg_graph_add_const_copy(p->rw->g, NULL, CYG_TYPE_S64, 1, &count, index, (size_t)count * 8);
    const cyg_value_id y = insert(p, CYG_OP_gather, (cyg_value_id[]){x, table}, 2, 3, dims);
    keep(p, !p->failed && cyg_node_set_int(p->rw->g, maker(p, y), CYG_ATTR_axis, 1));
    return y;
}

static cyg_value_id turned(parts *p, cyg_value_id x, const int64_t perm[5], const int64_t from[5])
{
    int64_t dims[5];
    for (int i = 0; i < 5; i++)
        dims[i] = from[perm[i]];
    const cyg_value_id y = insert(p, CYG_OP_transpose, &x, 1, 5, dims);
    keep(p, !p->failed && cyg_node_set_ints(p->rw->g, maker(p, y), CYG_ATTR_perm, perm, 5));
    return y;
}

/* Operand i as [images, entries, heads, tokens, dim], or with the last two swapped. */
static cyg_value_id heads_of(parts *p, uint32_t i, cyg_attr_key offset, bool swapped)
{
    static const int64_t plain[] = {0, 1, 3, 2, 4}, swap[] = {0, 1, 3, 4, 2};
    cyg_graph *g = p->rw->g;
    const int64_t width = p->heads * p->dim, rows = p->entries * p->tokens;
    const int64_t stride = cyg_rw_last_dim(p->rw, operand(p, i));
    const int64_t from = cyg_node_int(p->n, offset, 0), to = from + width, axis = 2;
    const int64_t all[] = {p->images, rows, stride}, some[] = {p->images, rows, width};
    cyg_value_id x = reshaped(p, operand(p, i), 3, all);
    if (!cyg_value_is_none(operand(p, 5)))
        x = gathered(p, x, false, stride);
    if (width != stride)
        x = insert(p, CYG_OP_slice,
                   (cyg_value_id[]){x, cyg_rw_const_ints(p->rw, "start", &from, 1),
                                    cyg_rw_const_ints(p->rw, "end", &to, 1),
                                    cyg_rw_const_ints(p->rw, "axis", &axis, 1)},
                   4, 3, some);
    const int64_t apart[] = {p->images, p->entries, p->tokens, p->heads, p->dim};
    x = reshaped(p, x, 5, apart);
    if (cyg_node_int(p->n, CYG_ATTR_cosine, 0) != 0 && offset != CYG_ATTR_v_offset) {
        x = insert(p, CYG_OP_lp_normalization, &x, 1, 5, apart);
        keep(p, !p->failed && cyg_node_set_int(g, maker(p, x), CYG_ATTR_axis, -1) &&
                    cyg_node_set_int(g, maker(p, x), CYG_ATTR_p, 2));
    }
    return turned(p, x, swapped ? swap : plain, apart);
}

/* scale, and for each head its own: [1] or [heads, 1, 1]. */
static cyg_value_id scale_of(parts *p)
{
    const float scale = cyg_node_float(p->n, CYG_ATTR_scale, 1.0f);
    const cyg_value_id own = operand(p, 6);
    const int64_t one = 1, dims[] = {p->heads, 1, 1};
    if (cyg_value_is_none(own))
        return scale == 1.0f ? CYG_NO_VALUE : floats(p, 1, &one, &scale, 1);
    float *all = CYG_NEW_ARRAY(&p->rw->scratch, float, p->heads);
    if (all == NULL) {
        p->failed = true;
        return CYG_NO_VALUE;
    }
    for (int64_t h = 0; h < p->heads; h++)
        all[h] = scale * cyg_float_at(cyg_val(p->rw->g, own)->data, h);
    return floats(p, 3, dims, all, p->heads);
}

/* The table of each entry, [entries or 1, heads, tokens, tokens]. */
static cyg_value_id table_of(parts *p)
{
    const cyg_value *bias = cyg_val(p->rw->g, operand(p, 3));
    const int64_t each = p->heads * p->tokens * p->tokens, tables = bias->dims[0];
    const int64_t dims[] = {tables == 1 ? 1 : p->entries, p->heads, p->tokens, p->tokens};
    const cyg_value_id mask = operand(p, 4);
    float *all = CYG_NEW_ARRAY(&p->rw->scratch, float, dims[0] * each);
    if (all == NULL) {
        p->failed = true;
        return CYG_NO_VALUE;
    }
    for (int64_t e = 0; e < dims[0]; e++) {
        const int64_t from =
            tables == 1 || cyg_value_is_none(mask)
                ? e
                : cyg_load_i64((const char *)cyg_val(p->rw->g, mask)->data + 8 * e);
        memcpy(all + e * each, (const char *)bias->data + from * each * 4, (size_t)each * 4);
    }
    return floats(p, 4, dims, all, dims[0] * each);
}

/* ---- provenance ---- */

typedef struct places {
    cyg_value_id scores, scaled, biased, weights, context, moved;
} places;

static void give_source(parts *p, cyg_value_id v, cyg_source_id s)
{
    if (!p->failed)
        cyg_node_add_source(p->rw->g, cyg_val(p->rw->g, v)->producer, s);
}

static void give_sources(parts *p, const places *at)
{
    const cyg_graph *g = p->rw->g;
    bool first = true;
    for (uint32_t k = 0; k < p->n->source_count; k++) {
        const cyg_source_id s = p->n->sources[k];
        const char *kind = g->sources[s.i].kind;
        if (strcmp(kind, "MatMul") == 0) {
            give_source(p, first ? at->scores : at->context, s);
            first = false;
        } else if (strcmp(kind, "Softmax") == 0) {
            give_source(p, at->weights, s);
        } else if (strcmp(kind, "Mul") == 0 || strcmp(kind, "Div") == 0) {
            give_source(p, at->scaled, s);
        } else if (strcmp(kind, "Add") == 0) {
            give_source(p, at->biased, s);
        } else {
            give_source(p, at->moved, s);
        }
    }
}

/* ---- */

static bool is_plain(const cyg_graph *g, const cyg_node *n)
{
    for (uint32_t i = 3; i < n->in_count; i++) {
        const cyg_value_id v = n->in[i];
        if (!cyg_value_is_none(v) && (i > 6 || !cyg_val(g, v)->is_const))
            return false;
    }
    return cyg_node_int(n, CYG_ATTR_kv_tokens, 0) == 0 &&
           cyg_node_int(n, CYG_ATTR_zero_nan, 0) == 0 &&
           cyg_node_int(n, CYG_ATTR_value_dim, 0) == 0 &&
           cyg_value_shape_known(cyg_val(g, n->out[0])) &&
           cyg_value_shape_known(cyg_val(g, n->in[0])) &&
           cyg_value_shape_known(cyg_val(g, n->in[1])) &&
           cyg_value_shape_known(cyg_val(g, n->in[2]));
}

bool cyg_split_attention_can(const cyg_graph *g, cyg_node_id n)
{
    return cyg_nod(g, n)->op == CYG_OP_attention && is_plain(g, cyg_nod(g, n));
}

static bool read_geometry(parts *p)
{
    const cyg_graph *g = p->rw->g;
    const cyg_value_id bias = operand(p, 3), mask = operand(p, 4), rows = operand(p, 5);
    p->heads = cyg_node_int(p->n, CYG_ATTR_heads, 0);
    p->dim = cyg_node_int(p->n, CYG_ATTR_head_dim, 0);
    p->tokens = cyg_node_int(p->n, CYG_ATTR_tokens, 0);
    p->entries = !cyg_value_is_none(rows)   ? cyg_val(g, rows)->dims[0]
                 : !cyg_value_is_none(mask) ? cyg_val(g, mask)->dims[0]
                 : !cyg_value_is_none(bias) ? cyg_val(g, bias)->dims[0]
                                            : 1;
    const int64_t stride = cyg_rw_last_dim(p->rw, operand(p, 0));
    if (p->heads < 1 || p->dim < 1 || p->tokens < 1 || p->entries < 1 || stride < 1)
        return false;
    p->images = cyg_value_elements(cyg_val(g, operand(p, 0))) / stride / (p->entries * p->tokens);
    return p->images >= 1;
}

static cyg_status split(cyg_rw *rw, cyg_node_id id)
{
    static const int64_t back[] = {0, 1, 3, 2, 4};
    const cyg_node copy = *cyg_nod(rw->g, id);
    parts p = {.rw = rw, .id = id, .n = &copy};
    if (!read_geometry(&p))
        return CYG_FAIL(rw->ctx, CYG_E_INTERNAL, "attention \"%s\" has no geometry", copy.name);
    const int64_t square[] = {p.images, p.entries, p.heads, p.tokens, p.tokens},
                  whole[] = {p.images, p.entries, p.heads, p.tokens, p.dim},
                  flat[] = {p.images, p.entries * p.tokens, p.heads * p.dim};
    places at;
    const cyg_value_id q = heads_of(&p, 0, CYG_ATTR_q_offset, false),
                       k = heads_of(&p, 1, CYG_ATTR_k_offset, true),
                       v = heads_of(&p, 2, CYG_ATTR_v_offset, false);
    at.moved = q;
    at.scores = insert(&p, CYG_OP_matmul, (cyg_value_id[]){q, k}, 2, 5, square);
    const cyg_value_id scale = scale_of(&p);
    at.scaled = cyg_value_is_none(scale)
                    ? at.scores
                    : insert(&p, CYG_OP_mul, (cyg_value_id[]){at.scores, scale}, 2, 5, square);
    at.biased =
        cyg_value_is_none(operand(&p, 3))
            ? at.scaled
            : insert(&p, CYG_OP_add, (cyg_value_id[]){at.scaled, table_of(&p)}, 2, 5, square);
    at.weights = insert(&p, CYG_OP_softmax, &at.biased, 1, 5, square);
    keep(&p, !p.failed && cyg_node_set_int(rw->g, maker(&p, at.weights), CYG_ATTR_axis, -1));
    at.context = insert(&p, CYG_OP_matmul, (cyg_value_id[]){at.weights, v}, 2, 5, whole);
    cyg_value_id o = turned(&p, at.context, back, whole);
    o = reshaped(&p, o, 3, flat);
    if (!cyg_value_is_none(operand(&p, 5)))
        o = gathered(&p, o, true, p.heads * p.dim);
    give_sources(&p, &at);
    if (p.failed)
        return CYG_RW_NOMEM(rw);
    const cyg_value_id out = copy.out[0];
    const cyg_value_id shape = cyg_rw_const_ints(rw, "shape", cyg_val(rw->g, out)->dims,
                                                 (size_t)cyg_val(rw->g, out)->rank);
    if (cyg_value_is_none(shape) ||
        cyg_node_is_none(
            cyg_rw_replace(rw, id, CYG_OP_reshape, (cyg_value_id[]){o, shape}, 2, out)))
        return CYG_RW_NOMEM(rw);
    cyg_nod(rw->g, cyg_val(rw->g, out)->producer)->source_count = 0;
    return CYG_OK;
}

cyg_status cyg_split_attention(cyg_ctx *ctx, cyg_graph *g, const cyg_node_id *nodes, size_t count)
{
    cyg_rw rw;
    bool changed;
    CYG_DO(cyg_rw_begin(ctx, g, &rw));
    cyg_status status = CYG_OK;
    for (size_t i = 0; i < count && status == CYG_OK; i++)
        status = split(&rw, nodes[i]);
    status = cyg_rw_end(&rw, status, &changed);
    return status == CYG_OK && changed ? cyg_graph_infer_shapes(ctx, g) : status;
}
