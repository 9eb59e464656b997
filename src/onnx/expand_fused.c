/* The fused operators in standard ones, as docs/fused-ops.md defines them. */
#include "onnx/expand.h"

#include <string.h>

#include "base/bytes.h"

/* act, residual, post_act: the tail of linear and conv2d. */
static cyg_value_id epilogue(cyg_expander *x, cyg_value_id y)
{
    const cyg_value_id residual = cyg_expand_in(x, 3);
    y = cyg_expand_act(x, cyg_node_int(x->n, CYG_ATTR_act, 0), y);
    if (!cyg_value_is_none(residual))
        y = cyg_emit2(x, CYG_OP_add, "Residual", y, residual);
    return cyg_expand_act(x, cyg_node_int(x->n, CYG_ATTR_post_act, 0), y);
}

cyg_status cyg_expand_linear(cyg_expander *x, cyg_value_id *out_result)
{
    const cyg_value *in = cyg_expand_operand(x, 0);
    const cyg_value_id bias = cyg_expand_in(x, 2);
    const bool kn = cyg_node_int(x->n, CYG_ATTR_w_kn, 0) != 0;
    cyg_value_id y;
    if ((in->rank == 2 || x->by_rows) && !cyg_value_is_none(bias)) {
        const cyg_value_id operands[] = {cyg_expand_in(x, 0), cyg_expand_in(x, 1), bias};
        y = cyg_emit(x, CYG_OP_gemm, "", operands, 3);
        if (!kn)
            CYG_IGNORE(cyg_node_set_int(x->to, cyg_emitted(x, y), CYG_ATTR_transB, 1));
    } else {
        const cyg_value_id w =
            kn ? cyg_expand_in(x, 1) : cyg_expand_transposed(x, 1, (const int64_t[]){1, 0}, 2);
        y = cyg_emit2(x, CYG_OP_matmul, "", cyg_expand_in(x, 0), w);
        if (!cyg_value_is_none(bias))
            y = cyg_emit2(x, CYG_OP_add, "Add", y, bias);
    }
    *out_result = epilogue(x, y);
    return CYG_OK;
}

static const int64_t to_first[] = {0, 3, 1, 2}, to_last[] = {0, 2, 3, 1};

/* Attributes that are lists of numbers, where the node has them. */
static void copy_lists(cyg_expander *x, cyg_node_id to, const cyg_attr_key *keys, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const int64_t *data;
        const size_t length = cyg_node_ints(x->n, keys[i], &data);
        if (length > 0)
            CYG_IGNORE(cyg_node_set_ints(x->to, to, keys[i], data, length));
    }
}

cyg_status cyg_expand_conv2d(cyg_expander *x, cyg_value_id *out_result)
{
    static const cyg_attr_key lists[] = {CYG_ATTR_kernel_shape, CYG_ATTR_strides, CYG_ATTR_pads,
                                         CYG_ATTR_dilations};
    const bool nchw = cyg_node_int(x->n, CYG_ATTR_x_nchw, 0) != 0, by_first = x->by_first;
    x->by_first = by_first && !nchw;
    cyg_value_id in[3] = {cyg_expand_in(x, 0), cyg_expand_transposed(x, 1, to_first, 4),
                          cyg_expand_in(x, 2)};
    x->by_first = by_first;
    if (!nchw && !by_first)
        in[0] = cyg_emit_transpose(x, "ToChannelsFirst", in[0], to_first, 4);
    const cyg_value_id y = cyg_emit(x, CYG_OP_conv, "", in, cyg_value_is_none(in[2]) ? 2 : 3);
    copy_lists(x, cyg_emitted(x, y), lists, CYG_COUNT(lists));
    CYG_IGNORE(cyg_node_set_int(x->to, cyg_emitted(x, y), CYG_ATTR_group,
                                cyg_node_int(x->n, CYG_ATTR_group, 1)));
    *out_result =
        epilogue(x, by_first ? y : cyg_emit_transpose(x, "ToChannelsLast", y, to_last, 4));
    return CYG_OK;
}

cyg_status cyg_expand_pool2d(cyg_expander *x, cyg_value_id *out_result)
{
    static const cyg_attr_key lists[] = {CYG_ATTR_kernel_shape, CYG_ATTR_strides, CYG_ATTR_pads,
                                         CYG_ATTR_dilations};
    const bool is_max = strcmp(cyg_node_string(x->n, CYG_ATTR_mode, "max"), "max") == 0;
    cyg_value_id in = cyg_expand_in(x, 0);
    if (!x->by_first)
        in = cyg_emit_transpose(x, "ToChannelsFirst", in, to_first, 4);
    const cyg_value_id y = cyg_emit1(x, is_max ? CYG_OP_max_pool : CYG_OP_average_pool, "", in);
    const cyg_node_id n = cyg_emitted(x, y);
    copy_lists(x, n, lists, CYG_COUNT(lists));
    if (cyg_node_int(x->n, CYG_ATTR_ceil_mode, 0) != 0)
        CYG_IGNORE(cyg_node_set_int(x->to, n, CYG_ATTR_ceil_mode, 1));
    if (!is_max && cyg_node_int(x->n, CYG_ATTR_count_include_pad, 0) != 0)
        CYG_IGNORE(cyg_node_set_int(x->to, n, CYG_ATTR_count_include_pad, 1));
    *out_result = x->by_first ? y : cyg_emit_transpose(x, "ToChannelsLast", y, to_last, 4);
    return CYG_OK;
}

/* ---- attention ---- */

typedef struct geometry {
    int64_t heads, dim, tokens, entries;
    int64_t keys, value_dim;
    bool own_rows; /* k and v lie entry by entry, `keys` rows each */
    bool apart; /* images and entries are dimensions of their own: entries differ in their table */
    cyg_value_id rows; /* flat [entries * tokens], or none */
    bool single;       /* rows of one image, gathered by rows */
} geometry;

static cyg_value_id slice_channels(cyg_expander *x, const geometry *g, uint32_t i,
                                   cyg_attr_key offset_key, int64_t width)
{
    const cyg_value *v = cyg_expand_operand(x, i);
    const int64_t from = cyg_node_int(x->n, offset_key, 0), to = from + width, last = -1;
    const cyg_value_id whole = g->single && (i == 0 || !g->own_rows)
                                   ? cyg_expand_by_rows(x, x->n->in[i])
                                   : cyg_expand_any(x, i);
    if (from == 0 && v->rank != CYG_RANK_UNKNOWN && v->dims[v->rank - 1] == width)
        return whole;
    const cyg_value_id in[] = {whole, cyg_expand_ints(x, &from, 1), cyg_expand_ints(x, &to, 1),
                               cyg_expand_ints(x, &last, 1)};
    return cyg_emit(x, CYG_OP_slice, "Channels", in, 4);
}

static cyg_value_id normalised(cyg_expander *x, cyg_value_id v)
{
    const int64_t last = -1;
    const cyg_value_id norm =
        cyg_emit2(x, CYG_OP_reduce_l2, "Norm", v, cyg_expand_ints(x, &last, 1));
    return cyg_emit2(x, CYG_OP_div, "Unit", v,
                     cyg_emit_with(x, CYG_OP_max, "AtLeast", norm, 1e-12f));
}

/* Rows of v, made from operand i, in the order of the entries. */
static cyg_value_id ordered(cyg_expander *x, const geometry *g, uint32_t i, cyg_value_id v,
                            int64_t width)
{
    if (cyg_value_is_none(g->rows))
        return v;
    if (!g->single)
        v = cyg_expand_images(x, i, v, g->entries * g->tokens, width);
    return cyg_emit_gather(x, "Rows", v, g->rows, g->single ? 0 : 1);
}

/* Rows of one operand as [(images,) entries, heads, tokens, dim], or with the last two swapped. */
static cyg_value_id head_rows(cyg_expander *x, const geometry *g, uint32_t i, cyg_attr_key offset,
                              bool swapped)
{
    static const int64_t perms[2][2][5] = {{{0, 2, 1, 3, -1}, {0, 2, 3, 1, -1}},
                                           {{0, 1, 3, 2, 4}, {0, 1, 3, 4, 2}}};
    const int64_t dim = i == 2 ? g->value_dim : g->dim, rows = i == 0 ? g->tokens : g->keys,
                  width = g->heads * dim;
    cyg_value_id v = slice_channels(x, g, i, offset, width);
    if (i == 0 || !g->own_rows)
        v = ordered(x, g, i, v, width);
    const int64_t all[] = {-1, g->entries, rows, g->heads, dim};
    const int64_t merged[] = {-1, rows, g->heads, dim};
    v = cyg_emit_reshape(x, "Heads", v, g->apart ? all : merged, g->apart ? 5 : 4);
    if (cyg_node_int(x->n, CYG_ATTR_cosine, 0) != 0 && offset != CYG_ATTR_v_offset)
        v = normalised(x, v);
    return cyg_emit_transpose(x, "Turn", v, perms[g->apart][swapped], g->apart ? 5 : 4);
}

/* Q, V: [(images,) entries, heads, tokens, dim]; K with the last two swapped. */
typedef struct heads {
    cyg_value_id q, k, v;
} heads;

/* All of q, all of k, all of v side by side in one value: reordered and turned at once. */
static bool side_by_side(const cyg_expander *x, const geometry *g)
{
    const cyg_value *in = cyg_expand_operand(x, 0);
    const int64_t width = g->heads * g->dim;
    return !g->own_rows && g->value_dim == g->dim && x->n->in[0].i == x->n->in[1].i &&
           x->n->in[0].i == x->n->in[2].i && cyg_node_int(x->n, CYG_ATTR_q_offset, 0) == 0 &&
           cyg_node_int(x->n, CYG_ATTR_k_offset, 0) == width &&
           cyg_node_int(x->n, CYG_ATTR_v_offset, 0) == 2 * width && in->rank != CYG_RANK_UNKNOWN &&
           in->dims[in->rank - 1] == 3 * width;
}

static heads split_heads(cyg_expander *x, const geometry *g)
{
    static const int64_t turn[2][5] = {{0, 2, 1, 3, -1}, {0, 1, 3, 2, 4}};
    static const int64_t swap[2][5] = {{0, 1, 3, 2, -1}, {0, 1, 2, 4, 3}};
    const int rank = g->apart ? 5 : 4;
    const int64_t all[] = {-1, g->entries, g->tokens, 3 * g->heads, g->dim};
    const int64_t merged[] = {-1, g->tokens, 3 * g->heads, g->dim};
    const int64_t sizes[] = {g->heads, g->heads, g->heads};
    const cyg_value_id whole =
        g->single ? cyg_expand_by_rows(x, x->n->in[0]) : cyg_expand_any(x, 0);
    cyg_value_id v = ordered(x, g, 0, whole, 3 * g->heads * g->dim);
    v = cyg_emit_reshape(x, "Heads", v, g->apart ? all : merged, rank);
    v = cyg_emit_transpose(x, "Turn", v, turn[g->apart], rank);
    cyg_value_id out[3];
    cyg_emit_split(x, "Split", v, cyg_expand_ints(x, sizes, 3), rank - 3, out, 3);
    if (cyg_node_int(x->n, CYG_ATTR_cosine, 0) != 0) {
        out[0] = normalised(x, out[0]);
        out[1] = normalised(x, out[1]);
    }
    return (heads){out[0], cyg_emit_transpose(x, "Swap", out[1], swap[g->apart], rank), out[2]};
}

static heads read_heads(cyg_expander *x, const geometry *g)
{
    if (side_by_side(x, g))
        return split_heads(x, g);
    const cyg_value_id q = head_rows(x, g, 0, CYG_ATTR_q_offset, false);
    const cyg_value_id k = head_rows(x, g, 1, CYG_ATTR_k_offset, true);
    return (heads){q, k, head_rows(x, g, 2, CYG_ATTR_v_offset, false)};
}

/* A mask made at run time, in as many dimensions as the scores. */
static cyg_value_id mask(cyg_expander *x, const geometry *g, uint32_t i)
{
    const cyg_value *v = cyg_expand_operand(x, i);
    if (!g->apart || v->rank != 4 || v->dims[0] == 1)
        return cyg_expand_in(x, i);
    const int64_t dims[] = {-1, g->entries, v->dims[1], v->dims[2], g->keys};
    return cyg_emit_reshape(x, "MaskOfEntries", cyg_expand_in(x, i), dims, 5);
}

static cyg_value_id scores(cyg_expander *x, const geometry *g, const heads *h)
{
    cyg_value_id s = cyg_emit2(x, CYG_OP_matmul, "Scores", h->q, h->k);
    const float scale = cyg_node_float(x->n, CYG_ATTR_scale, 1.0f);
    cyg_value_id head_scale = cyg_expand_in(x, 6);
    if (!cyg_value_is_none(head_scale)) {
        head_scale =
            cyg_emit_reshape(x, "HeadScale", head_scale, (const int64_t[]){g->heads, 1, 1}, 3);
        if (scale != 1.0f)
            head_scale = cyg_emit_with(x, CYG_OP_mul, "AllScale", head_scale, scale);
        s = cyg_emit2(x, CYG_OP_mul, "Scale", s, head_scale);
    } else if (scale != 1.0f) {
        s = cyg_emit_with(x, CYG_OP_mul, "Scale", s, scale);
    }
    cyg_value_id bias = cyg_expand_in(x, 3);
    if (!cyg_value_is_none(bias)) {
        if (g->apart && !cyg_value_is_none(cyg_expand_in(x, 4)))
            bias = cyg_emit_gather(x, "Tables", bias, cyg_expand_in(x, 4), 0);
        s = cyg_emit2(x, CYG_OP_add, "Bias", s, bias);
    }
    if (!cyg_value_is_none(cyg_expand_in(x, 7)))
        s = cyg_emit2(x, CYG_OP_add, "Mask", s, mask(x, g, 7));
    if (cyg_value_is_none(cyg_expand_in(x, 8)))
        return s;
    const cyg_value_id fill = cyg_expand_scalar(x, cyg_node_float(x->n, CYG_ATTR_hide_fill, 0.0f));
    const bool when = cyg_node_int(x->n, CYG_ATTR_hide_when, 1) != 0;
    const cyg_value_id in[] = {mask(x, g, 8), when ? fill : s, when ? s : fill};
    return cyg_emit(x, CYG_OP_where, "Hide", in, 3);
}

static cyg_value_id inverse_rows(cyg_expander *x, const geometry *g)
{
    const cyg_value *rows = cyg_expand_operand(x, 5);
    const int64_t count = g->entries * g->tokens;
    int64_t *inverse = CYG_NEW_ARRAY(&x->to->arena, int64_t, count);
    for (int64_t i = 0; inverse != NULL && i < count; i++)
        inverse[cyg_load_i64((const char *)rows->data + 8 * i)] = i;
    if (inverse == NULL) {
        x->to->failed = true;
        return CYG_NO_VALUE;
    }
    return cyg_graph_add_const(x->to, "rows_back", CYG_TYPE_S64, 1, &count, inverse,
                               (size_t)count * sizeof *inverse);
}

/* rows: a constant permutation (docs/fused-ops.md), checked before it is inverted. */
static cyg_status check_rows(cyg_expander *x, const cyg_value *rows)
{
    const int64_t count = cyg_value_elements(rows);
    if (!rows->is_const || rows->type != CYG_TYPE_S64)
        return CYG_EXPAND_FAIL(x, "rows must be a constant of s64, %s is not", rows->name);
    bool *seen = CYG_NEW_ARRAY(&x->to->arena, bool, count + 1);
    if (seen == NULL)
        return CYG_FAIL(x->ctx, CYG_E_NOMEM, "out of memory");
    for (int64_t i = 0; i < count; i++) {
        const int64_t r = cyg_load_i64((const char *)rows->data + 8 * i);
        if (r < 0 || r >= count || seen[r])
            return CYG_EXPAND_FAIL(x, "rows is no permutation: %lld at %lld", (long long)r,
                                   (long long)i);
        seen[r] = true;
    }
    return CYG_OK;
}

static cyg_status read_geometry(cyg_expander *x, geometry *g)
{
    const cyg_value *bias = cyg_expand_operand(x, 3), *mask = cyg_expand_operand(x, 4),
                    *rows = cyg_expand_operand(x, 5);
    *g = (geometry){.heads = cyg_node_int(x->n, CYG_ATTR_heads, 0),
                    .dim = cyg_node_int(x->n, CYG_ATTR_head_dim, 0),
                    .tokens = cyg_node_int(x->n, CYG_ATTR_tokens, 0),
                    .entries = 1,
                    .own_rows = cyg_node_attr(x->n, CYG_ATTR_kv_tokens) != NULL,
                    .rows = CYG_NO_VALUE};
    g->keys = cyg_node_int(x->n, CYG_ATTR_kv_tokens, g->tokens);
    g->value_dim = cyg_node_int(x->n, CYG_ATTR_value_dim, g->dim);
    const int64_t tables = bias == NULL ? 0 : bias->dims[0];
    if (g->heads < 1 || g->dim < 1 || g->tokens < 1 || g->keys < 1 || g->value_dim < 1 ||
        (bias != NULL && tables < 1))
        return CYG_EXPAND_FAIL(x, "heads %lld, head_dim %lld, tokens %lld, tables %lld",
                               (long long)g->heads, (long long)g->dim, (long long)g->tokens,
                               (long long)tables);
    if (rows != NULL) {
        CYG_DO(check_rows(x, rows));
        g->entries = rows->dims[0];
        g->rows = cyg_expand_flat_index(x, 5);
    } else if (mask != NULL) {
        g->entries = mask->dims[0];
    } else if (tables > 1) {
        g->entries = tables;
    }
    if (g->entries < 1)
        return CYG_EXPAND_FAIL(x, "%lld entries", (long long)g->entries);
    g->apart = tables > 1;
    g->single = rows != NULL &&
                cyg_expand_is_one_image(x, cyg_expand_operand(x, 0), g->entries * g->tokens);
    return CYG_OK;
}

cyg_status cyg_expand_attention(cyg_expander *x, cyg_value_id *out_result)
{
    const cyg_value *y = cyg_val(x->from, x->n->out[0]);
    int64_t target[CYG_MAX_RANK];
    geometry g;
    CYG_DO(read_geometry(x, &g));
    if (!cyg_expand_target(y, target))
        return CYG_EXPAND_FAIL(x, "the shape of %s is not known", y->name);
    const heads h = read_heads(x, &g);
    const cyg_value_id s = scores(x, &g, &h);
    cyg_value_id p = cyg_emit1(x, CYG_OP_softmax, "", s);
    CYG_IGNORE(cyg_node_set_int(x->to, cyg_emitted(x, p), CYG_ATTR_axis, -1));
    if (cyg_node_int(x->n, CYG_ATTR_zero_nan, 0) != 0) {
        const cyg_value_id in[] = {cyg_emit1(x, CYG_OP_is_nan, "IsNaN", p),
                                   cyg_expand_scalar(x, 0.0f), p};
        p = cyg_emit(x, CYG_OP_where, "NoNaN", in, 3);
    }
    cyg_value_id o = cyg_emit2(x, CYG_OP_matmul, "Context", p, h.v);
    static const int64_t merged[] = {0, 2, 1, 3}, apart[] = {0, 1, 3, 2, 4};
    o = cyg_emit_transpose(x, "TurnBack", o, g.apart ? apart : merged, g.apart ? 5 : 4);
    const int64_t count = g.entries * g.tokens, width = g.heads * g.value_dim;
    const int64_t by_images[3] = {-1, count, width};
    x->by_rows = x->rows != NULL;
    if (!cyg_value_is_none(g.rows)) {
        o = cyg_emit_reshape(x, "ImagesBack", o, g.single ? by_images + 1 : by_images,
                             g.single ? 2 : 3);
        o = cyg_emit_gather(x, "RowsBack", o, inverse_rows(x, &g), g.single ? 0 : 1);
        if (g.single || (y->rank == 3 && y->dims[1] == count)) {
            x->by_rows = g.single;
            *out_result = o;
            return CYG_OK;
        }
    }
    const int64_t by_rows[2] = {-1, width};
    *out_result = x->by_rows ? cyg_emit_reshape(x, "Merge", o, by_rows, 2)
                             : cyg_emit_reshape(x, "Merge", o, target, y->rank);
    return CYG_OK;
}
