/* Attention: softmax(scale Q K^T + bias) V, from whatever surrounds it, as one node.
 *
 * The anchor is a Softmax over the last axis. Above it, through additions and products with
 * constants (scores.h), must be a MatMul of two activations, below it a MatMul with a third. What
 * the operands of the two products are is decided on tables of elements: from each operand up to
 * its source (the qkv linear, or one linear each), through any reshape, split, transposition,
 * scaling by a constant and division by the row's norm. The table must say
 *
 *     q[g, h, i, c] = source[row(g, i), offset + h * head_dim + c]        k, v alike, k with its
 * last axes exchanged
 *
 * with the same row(g, i) for all three, each row of the source once, or with k and v entry by
 * entry in their own order and length (cross-attention, keys of a smaller picture). Then row() is
 * the `rows` table of the node, and window partition and shift have become addressing: gathers that
 * sank to the qkv linear's result are simply part of the table. The node's result is in the
 * source's row order; what read the old result reads a gather of it, which then sinks through the
 * projection and meets its inverse.
 *
 * Bias and mask become one table for each distinct window, [T, heads, N, N], and an index per
 * window. Batches of images repeat tables and rows with the same index: entries are counted per
 * image. Masks and biases made at run time become one addend and one condition, seen as [E, heads
 * or 1, N or 1, M]. A Where-mask is bytes and often one for all heads; where its table would be
 * large (a long text's), the mask stays as it is. One head straight from a graph input is left
 * alone too: nothing is in its way, and taking it as rows of an image would only put views around
 * it. */
#include <stdlib.h>
#include <string.h>

#include "pass/elements.h"
#include "pass/masks.h"
#include "pass/passes.h"
#include "pass/scores.h"

enum { MASK_TABLE = 4 << 20 }; /* most elements of one table made of a Where-mask */

typedef struct operand {
    cyg_elements map;
    int64_t stride, offset; /* channels of the source; first channel */
} operand;

typedef struct match {
    cyg_node_id softmax, weighted; /* Softmax; the product with V */
    cyg_scores scores;
    operand q, k, v;
    int64_t total, heads, tokens, dim; /* total: windows of all images */
    int64_t keys, value_dim;           /* rows of k and v for a window; channels of a head of v */
    bool own_rows;                     /* k and v lie window by window, `keys` rows each */
    bool zero_nan;                     /* probabilities that are NaN are replaced by 0 */
    int64_t entries;                   /* windows of one image */
    int64_t *rows, *key_rows;          /* [total, tokens] and [total, keys], scratch */
} match;

static void match_free(match *m)
{
    cyg_scores_free(&m->scores);
    cyg_elements_free(&m->q.map);
    cyg_elements_free(&m->k.map);
    cyg_elements_free(&m->v.map);
}

/* ---- matching ---- */

static bool load_operand(cyg_rw *rw, cyg_value_id v, int64_t count, operand *out)
{
    if (!cyg_elements_of_scaled(rw, v, &out->map))
        return false;
    out->stride = cyg_rw_last_dim(rw, out->map.source);
    return out->map.count == count && out->stride > 0 && out->map.at[0] >= 0 &&
           !cyg_val(rw->g, out->map.source)->is_const;
}

/* Heads: how many consecutive matrices of Q read the same rows. */
static int64_t count_heads(const operand *q, int64_t matrices, int64_t size)
{
    int64_t h = 1;
    while (h < matrices && q->map.at[h * size] / q->stride == q->map.at[0] / q->stride)
        h++;
    return h;
}

/* o[(g, h), i, c] (transposed: [c, i]) is source[rows[g, i], offset + h * d + c], i < n */
static bool fits(const match *m, const operand *o, const int64_t *rows, int64_t n, int64_t d,
                 bool transposed)
{
    for (int64_t e = 0; e < m->total * m->heads; e++) {
        const int32_t *at = o->map.at + e * n * d;
        const int64_t *own = rows + e / m->heads * n;
        const int64_t column = o->offset + e % m->heads * d;
        for (int64_t i = 0; i < n; i++)
            for (int64_t c = 0; c < d; c++)
                if (at[transposed ? c * n + i : i * d + c] != own[i] * o->stride + column + c)
                    return false;
    }
    return true;
}

/* k and v: by q's rows, or window by window. */
static bool keys_fit(cyg_rw *rw, match *m)
{
    const int64_t rows = m->total * m->keys;
    const operand *both[2] = {&m->k, &m->v};
    const int64_t width[2] = {m->heads * m->dim, m->heads * m->value_dim};
    for (int i = 0; i < 2; i++)
        if (cyg_value_elements(cyg_val(rw->g, both[i]->map.source)) != rows * both[i]->stride ||
            both[i]->offset + width[i] > both[i]->stride ||
            (m->heads == 1 && cyg_graph_is_input(rw->g, both[i]->map.source)))
            return false;
    m->own_rows = false;
    m->key_rows = m->rows;
    if (m->keys == m->tokens && fits(m, &m->k, m->rows, m->keys, m->dim, true))
        return fits(m, &m->v, m->rows, m->keys, m->value_dim, false);
    m->own_rows = true;
    m->key_rows = CYG_NEW_ARRAY(&rw->scratch, int64_t, rows + 1);
    for (int64_t r = 0; m->key_rows != NULL && r < rows; r++)
        m->key_rows[r] = r;
    return m->key_rows != NULL && fits(m, &m->k, m->key_rows, m->keys, m->dim, true) &&
           fits(m, &m->v, m->key_rows, m->keys, m->value_dim, false);
}

static bool is_permutation(cyg_rw *rw, const int64_t *rows, int64_t count)
{
    bool *seen = CYG_NEW_ARRAY(&rw->scratch, bool, count + 1);
    for (int64_t i = 0; seen != NULL && i < count; i++) {
        if (rows[i] < 0 || rows[i] >= count || seen[rows[i]])
            return false;
        seen[rows[i]] = true;
    }
    return seen != NULL;
}

/* The sizes, as far as the two products tell. */
static bool match_sizes(cyg_rw *rw, match *m, const cyg_node *qk, const cyg_node *pv)
{
    const int64_t row = cyg_rw_last_dim(rw, cyg_nod(rw->g, m->softmax)->in[0]);
    const cyg_value *q = cyg_val(rw->g, qk->in[0]), *s = cyg_val(rw->g, m->scores.product),
                    *v = cyg_val(rw->g, pv->in[1]);
    if (q->rank < 2 || q->rank == CYG_RANK_UNKNOWN || s->rank < 2 || v->rank < 2 ||
        v->rank == CYG_RANK_UNKNOWN)
        return false;
    m->tokens = q->dims[q->rank - 2];
    m->dim = q->dims[q->rank - 1];
    m->keys = s->dims[s->rank - 1];
    m->value_dim = v->dims[v->rank - 1];
    return m->tokens > 0 && m->dim > 0 && m->keys > 0 && m->value_dim > 0 && row == m->keys &&
           v->dims[v->rank - 2] == m->keys && s->dims[s->rank - 2] == m->tokens &&
           m->scores.count % (m->tokens * m->keys) == 0;
}

static bool match_operands(cyg_rw *rw, match *m)
{
    const cyg_node *qk = cyg_nod(rw->g, cyg_val(rw->g, m->scores.product)->producer);
    const cyg_node *pv = cyg_nod(rw->g, m->weighted);
    if (!match_sizes(rw, m, qk, pv))
        return false;
    const int64_t matrices = m->scores.count / (m->tokens * m->keys), size = m->tokens * m->dim;
    if (!load_operand(rw, qk->in[0], matrices * size, &m->q) ||
        !load_operand(rw, qk->in[1], matrices * m->keys * m->dim, &m->k) ||
        !load_operand(rw, pv->in[1], matrices * m->keys * m->value_dim, &m->v) || m->v.map.cosine ||
        m->v.map.scale != 1.0f || m->q.map.cosine != m->k.map.cosine)
        return false;
    m->heads = count_heads(&m->q, matrices, size);
    if (matrices % m->heads != 0)
        return false;
    m->total = matrices / m->heads;
    m->rows = CYG_NEW_ARRAY(&rw->scratch, int64_t, m->total * m->tokens + 1);
    if (m->rows == NULL)
        return false;
    for (int64_t g = 0; g < m->total; g++)
        for (int64_t i = 0; i < m->tokens; i++)
            m->rows[g * m->tokens + i] =
                m->q.map.at[(g * m->heads * m->tokens + i) * m->dim] / m->q.stride;
    m->q.offset = m->q.map.at[0] % m->q.stride;
    m->k.offset = m->k.map.at[0] % m->k.stride;
    m->v.offset = m->v.map.at[0] % m->v.stride;
    const int64_t rows = m->total * m->tokens;
    return cyg_value_elements(cyg_val(rw->g, m->q.map.source)) == rows * m->q.stride &&
           m->q.offset + m->heads * m->dim <= m->q.stride &&
           !(m->heads == 1 && cyg_graph_is_input(rw->g, m->q.map.source)) &&
           is_permutation(rw, m->rows, rows) && fits(m, &m->q, m->rows, m->tokens, m->dim, false) &&
           keys_fit(rw, m);
}

/* What Where(IsNaN(p), 0, p) makes of the probabilities p; p itself when that is not all that reads
 * them. */
static cyg_value_id without_nan(const cyg_rw *rw, cyg_value_id p, bool *out_zero)
{
    const cyg_graph *g = rw->g;
    cyg_node_id test = CYG_NO_NODE, where = CYG_NO_NODE;
    float zero;
    *out_zero = false;
    if (cyg_rw_use_count(rw, p) != 2 || cyg_graph_is_output(g, p))
        return p;
    for (uint32_t u = cyg_graph_first_use(g, p); u != CYG_NO_ID; u = cyg_graph_next_use(g, u)) {
        const cyg_node_id user = cyg_graph_use_node(g, u);
        if (cyg_nod(g, user)->op == CYG_OP_is_nan)
            test = user;
        if (cyg_nod(g, user)->op == CYG_OP_where)
            where = user;
    }
    if (cyg_node_is_none(test) || cyg_node_is_none(where))
        return p;
    const cyg_node *w = cyg_nod(g, where);
    const cyg_value_id c = cyg_nod(g, test)->out[0];
    *out_zero = w->in[0].i == c.i && w->in[2].i == p.i && cyg_rw_single_use(rw, c) &&
                cyg_rw_scalar(rw, w->in[1], &zero) && zero == 0.0f;
    return *out_zero ? w->out[0] : p;
}

static bool match_all(cyg_rw *rw, cyg_node_id softmax, match *m)
{
    const cyg_node *n = cyg_nod(rw->g, softmax);
    const cyg_value *x = cyg_val(rw->g, n->in[0]);
    *m = (match){.softmax = softmax};
    if (x->rank == CYG_RANK_UNKNOWN || x->rank < 2 ||
        cyg_rw_axis(cyg_node_int(n, CYG_ATTR_axis, -1), x->rank) != x->rank - 1)
        return false;
    cyg_value_id last;
    m->weighted = cyg_rw_down_views(rw, without_nan(rw, n->out[0], &m->zero_nan), &last);
    if (cyg_node_is_none(m->weighted) || cyg_nod(rw->g, m->weighted)->op != CYG_OP_matmul ||
        cyg_nod(rw->g, m->weighted)->in[0].i != last.i ||
        cyg_nod(rw->g, m->weighted)->in[1].i == last.i)
        return false;
    return cyg_scores_match(rw, n->in[0], &m->scores) && match_operands(rw, m);
}

/* ---- tables ---- */

/* Do rows and bias repeat after `period` windows, each image's rows behind the last one's? */
static bool repeats(const match *m, int64_t period)
{
    const int64_t rows = period * m->tokens, table = m->heads * m->tokens * m->keys;
    for (int64_t r = 0; r < m->total * m->tokens; r++) {
        const int64_t own = m->rows[r % rows];
        if (own >= rows || m->rows[r] != own + r / rows * rows)
            return false;
    }
    for (int64_t g = period; m->scores.offset != NULL && g < m->total; g++)
        if (memcmp(m->scores.offset + g * table, m->scores.offset + g % period * table,
                   (size_t)table * sizeof(float)) != 0)
            return false;
    return true;
}

/* 1 when every window is alike and in place; else the windows of one image of the batch. */
static int64_t windows_per_image(const cyg_rw *rw, const match *m)
{
    const cyg_value *input = rw->g->input_count > 0 ? cyg_val(rw->g, rw->g->inputs[0]) : NULL;
    const int64_t batch =
        input == NULL || input->rank == CYG_RANK_UNKNOWN || input->rank == 0 ? 1 : input->dims[0];
    if (repeats(m, 1))
        return 1;
    return batch > 1 && m->total % batch == 0 && repeats(m, m->total / batch) ? m->total / batch
                                                                              : m->total;
}

static bool rows_in_order(const match *m)
{
    for (int64_t r = 0; r < m->entries * m->tokens; r++)
        if (m->rows[r] != r)
            return false;
    return true;
}

/* Distinct tables and which window uses which. bias stays none when all offsets are zero. */
static cyg_status bias_tables(cyg_rw *rw, const match *m, const char *stem, cyg_value_id *out_bias,
                              cyg_value_id *out_index)
{
    const int64_t size = m->heads * m->tokens * m->keys;
    const size_t bytes = (size_t)size * sizeof(float);
    const float *offset = m->scores.offset;
    int64_t *index = CYG_NEW_ARRAY(&rw->scratch, int64_t, m->entries + 1), distinct = 0;
    int64_t *first = CYG_NEW_ARRAY(&rw->scratch, int64_t, m->entries + 1);
    *out_bias = *out_index = CYG_NO_VALUE;
    if (index == NULL || first == NULL)
        return CYG_RW_NOMEM(rw);
    bool zero = true;
    for (int64_t i = 0; offset != NULL && zero && i < m->entries * size; i++)
        zero = offset[i] == 0.0f;
    if (offset == NULL || zero)
        return CYG_OK;
    for (int64_t g = 0; g < m->entries; g++) {
        int64_t t = 0;
        while (t < distinct && memcmp(offset + first[t] * size, offset + g * size, bytes) != 0)
            t++;
        if (t == distinct)
            first[distinct++] = g;
        index[g] = t;
    }
    float *tables = cyg_arena_alloc(&rw->g->arena, (size_t)distinct * bytes, 64);
    if (tables == NULL)
        return CYG_RW_NOMEM(rw);
    for (int64_t t = 0; t < distinct; t++)
        memcpy(tables + t * size, offset + first[t] * size, bytes);
    const int64_t dims[4] = {distinct, m->heads, m->tokens, m->keys};
    const char *name = cyg_arena_printf(&rw->scratch, "%s/bias", stem);
    if (name == NULL)
        return CYG_RW_NOMEM(rw);
    *out_bias =
        cyg_graph_add_const(rw->g, name, CYG_TYPE_F32, 4, dims, tables, (size_t)distinct * bytes);
    if (distinct > 1)
        *out_index = cyg_rw_const_ints(rw, "mask_index", index, (size_t)m->entries);
    return cyg_graph_failed(rw->g) ? CYG_RW_NOMEM(rw) : CYG_OK;
}

static cyg_status set_attrs(cyg_rw *rw, cyg_node_id n, const match *m, float scale)
{
    cyg_graph *g = rw->g;
    const bool ok =
        cyg_node_set_int(g, n, CYG_ATTR_heads, m->heads) &&
        cyg_node_set_int(g, n, CYG_ATTR_head_dim, m->dim) &&
        cyg_node_set_int(g, n, CYG_ATTR_tokens, m->tokens) &&
        cyg_node_set_float(g, n, CYG_ATTR_scale, scale) &&
        (!m->q.map.cosine || cyg_node_set_int(g, n, CYG_ATTR_cosine, 1)) &&
        (!m->own_rows || cyg_node_set_int(g, n, CYG_ATTR_kv_tokens, m->keys)) &&
        (m->value_dim == m->dim || cyg_node_set_int(g, n, CYG_ATTR_value_dim, m->value_dim)) &&
        (!m->zero_nan || cyg_node_set_int(g, n, CYG_ATTR_zero_nan, 1)) &&
        (cyg_value_is_none(m->scores.hide.value) ||
         (cyg_node_set_int(g, n, CYG_ATTR_hide_when, m->scores.hide_when) &&
          cyg_node_set_float(g, n, CYG_ATTR_hide_fill, m->scores.hide_fill))) &&
        cyg_node_set_int(g, n, CYG_ATTR_q_offset, m->q.offset) &&
        cyg_node_set_int(g, n, CYG_ATTR_k_offset, m->k.offset) &&
        cyg_node_set_int(g, n, CYG_ATTR_v_offset, m->v.offset);
    return ok ? CYG_OK : CYG_RW_NOMEM(rw);
}

/* ---- building ---- */

/* What read the old result, [.., tokens, dim] head by head, reads the rows of y in window order. */
static cyg_status connect(cyg_rw *rw, const match *m, cyg_node_id before, cyg_value_id y,
                          cyg_value_id out)
{
    cyg_graph *g = rw->g;
    const int64_t width = m->heads * m->value_dim, rows = m->entries * m->tokens,
                  images = m->total / m->entries;
    const int64_t dims[3] = {images, rows, width};
    const int64_t split[4] = {m->total, m->tokens, m->heads, m->value_dim}, perm[4] = {0, 2, 1, 3};
    const int64_t moved[4] = {m->total, m->heads, m->tokens, m->value_dim};
    if (!rows_in_order(m)) {
        const cyg_value_id index = cyg_rw_const_ints(rw, "rows", m->rows, (size_t)rows);
        if (cyg_value_is_none(index))
            return CYG_RW_NOMEM(rw);
        y = cyg_rw_insert(rw, before, CYG_OP_gather_rows, (cyg_value_id[]){y, index}, 2, y, 3,
                          dims);
        if (cyg_value_is_none(y) ||
            !cyg_node_set_int(g, cyg_val(g, y)->producer, CYG_ATTR_rows_in, rows))
            return CYG_RW_NOMEM(rw);
    }
    y = cyg_rw_reshaped(rw, before, y, 4, split);
    y = cyg_value_is_none(y) ? y : cyg_rw_insert(rw, before, CYG_OP_transpose, &y, 1, y, 4, moved);
    if (cyg_value_is_none(y) ||
        !cyg_node_set_ints(g, cyg_val(g, y)->producer, CYG_ATTR_perm, perm, 4))
        return CYG_RW_NOMEM(rw);
    cyg_rw_reshape_into(rw, before, y, out);
    return CYG_OK;
}

/* The factor before the softmax as `scale`, and by head where heads differ. */
static cyg_status scales(cyg_rw *rw, const match *m, float *out_scale, cyg_value_id *out_by_head,
                         bool *out_ok)
{
    float *by_head = CYG_NEW_ARRAY(&rw->scratch, float, m->heads);
    if (by_head == NULL)
        return CYG_RW_NOMEM(rw);
    *out_ok = cyg_scores_head_scale(&m->scores, m->total, m->heads, m->tokens * m->keys, by_head);
    *out_scale = m->q.map.scale * m->k.map.scale;
    *out_by_head = CYG_NO_VALUE;
    bool uniform = true;
    for (int64_t h = 1; h < m->heads; h++)
        uniform = uniform && by_head[h] == by_head[0];
    if (uniform)
        *out_scale *= by_head[0];
    else if (*out_ok)
        *out_by_head = cyg_graph_add_const_copy(rw->g, "head_scale", CYG_TYPE_F32, 1, &m->heads,
                                                by_head, (size_t)m->heads * sizeof *by_head);
    return cyg_graph_failed(rw->g) ? CYG_RW_NOMEM(rw) : CYG_OK;
}

static cyg_status build(cyg_rw *rw, match *m)
{
    cyg_graph *g = rw->g;
    float scale = 1.0f;
    bool ok = false;
    cyg_value_id by_head = CYG_NO_VALUE, bias, index, rows = CYG_NO_VALUE;
    CYG_DO(scales(rw, m, &scale, &by_head, &ok));
    const cyg_mask_sizes sizes = {m->total, m->heads, m->tokens, m->keys};
    ok = ok && cyg_masks_fit(rw, &m->scores, &sizes);
    if (!ok || (m->scores.hidden != NULL && m->scores.count / m->total > MASK_TABLE))
        return CYG_OK;
    m->entries = windows_per_image(rw, m);
    const cyg_node_id main = m->softmax;
    CYG_DO(bias_tables(rw, m, cyg_nod(g, main)->name, &bias, &index));
    if (!rows_in_order(m) || (cyg_value_is_none(index) && m->entries > 1)) {
        const int64_t dims[2] = {m->entries, m->tokens};
        rows = cyg_graph_add_const_copy(g, "rows", CYG_TYPE_S64, 2, dims, m->rows,
                                        (size_t)(m->entries * m->tokens) * sizeof *m->rows);
        if (cyg_value_is_none(rows))
            return CYG_RW_NOMEM(rw);
    }
    cyg_value_id mask, hide;
    CYG_DO(cyg_masks_build(rw, main, &m->scores, &sizes, &mask, &hide));
    const cyg_value_id in[9] = {
        m->q.map.source, m->k.map.source, m->v.map.source, bias, index, rows, by_head, mask, hide};
    uint32_t in_count = 9;
    while (in_count > 3 && cyg_value_is_none(in[in_count - 1]))
        in_count--;
    const cyg_node_id qk = cyg_val(g, m->scores.product)->producer;
    const cyg_value_id out = cyg_nod(g, m->weighted)->out[0], probs = cyg_nod(g, main)->out[0];
    const cyg_value_id tops[4] = {cyg_nod(g, main)->in[0], cyg_nod(g, m->weighted)->in[0],
                                  cyg_nod(g, m->weighted)->in[1], m->scores.product};
    cyg_value shape = *cyg_val(g, m->q.map.source);
    shape.dims[shape.rank - 1] = m->heads * m->value_dim;
    const cyg_value_id y =
        cyg_graph_add_value(g, cyg_nod(g, main)->name, shape.type, shape.rank, shape.dims);
    const cyg_node_id weighted = m->weighted;
    cyg_graph_remove_node(g, weighted);
    const cyg_node_id now = cyg_value_is_none(y)
                                ? CYG_NO_NODE
                                : cyg_rw_replace(rw, main, CYG_OP_attention, in, in_count, y);
    if (cyg_node_is_none(now))
        return CYG_RW_NOMEM(rw);
    CYG_DO(set_attrs(rw, now, m, scale));
    /* Provenance: the two products, the chain between them, the operands up to their sources. */
    cyg_node_merge_sources(g, now, weighted);
    cyg_rw_merge_upwards(rw, now, tops[1], probs);
    cyg_rw_merge_upwards(rw, now, tops[0], tops[3]);
    cyg_node_merge_sources(g, now, qk);
    for (uint32_t i = 0; i < 2; i++)
        cyg_rw_merge_upwards(rw, now, cyg_nod(g, qk)->in[i],
                             i == 0 ? m->q.map.source : m->k.map.source);
    cyg_rw_merge_upwards(rw, now, tops[2], m->v.map.source);
    CYG_DO(connect(rw, m, weighted, y, out));
    cyg_rw_drop(rw, tops[1]);
    cyg_rw_drop(rw, tops[0]);
    cyg_rw_drop(rw, tops[2]);
    return CYG_OK;
}

static cyg_status visit(cyg_rw *rw, cyg_node_id id)
{
    if (cyg_nod(rw->g, id)->op != CYG_OP_softmax)
        return CYG_OK;
    match m;
    const cyg_status status = match_all(rw, id, &m) ? build(rw, &m) : CYG_OK;
    match_free(&m);
    return status;
}

cyg_status cyg_pass_attention(cyg_ctx *ctx, cyg_graph *g, bool *out_changed)
{
    return cyg_rw_each(ctx, g, visit, out_changed);
}
