/* Convolutional networks channels last.
 *
 * Every 2-D convolution becomes conv2d on [B, H, W, C], and what stands between convolutions
 * follows it: pools, element-wise functions, additions, Concat, Pad, means. Kernels then see pixels
 * as rows of channels, as linear and attention see tokens, and integer convolutions need nothing
 * else.
 *
 * One walk in execution order. `last` holds, for a value [B, C, H, W], the value [B, H, W, C] of
 * the same elements, once some rewritten node makes it. A node with such an operand is rewritten to
 * read and make the channels-last forms; its old result becomes a Transpose behind it, which stays
 * only where somebody that was not rewritten reads it (dead code elimination and the passes on
 * movement see to the rest). A graph without 2-D convolutions is left alone, and so is a
 * convolution that patch_embed has taken already. */
#include <math.h>
#include <string.h>

#include "base/bytes.h"
#include "pass/layout.h"
#include "pass/passes.h"
#include "pass/rewrite.h"

static const int64_t to_last[4] = {0, 2, 3, 1}, to_first[4] = {0, 3, 1, 2};
/* Axis k of [B, C, H, W] is axis axis_last[k] of [B, H, W, C]. */
static const int64_t axis_last[4] = {0, 3, 1, 2};

typedef struct layout {
    cyg_rw *rw;
    cyg_value_id *last; /* by value of the graph as it came */
    uint32_t count;
} layout;

/* ---- values ---- */

static bool has_last(const layout *l, cyg_value_id v)
{
    return !cyg_value_is_none(v) && v.i < l->count && !cyg_value_is_none(l->last[v.i]);
}

static void dims_last(const cyg_value *v, int64_t *dims)
{
    for (int k = 0; k < 4; k++)
        dims[k] = v->dims[to_last[k]];
}

cyg_value_id cyg_layout_constant(cyg_rw *rw, cyg_value_id c)
{
    const cyg_value v = *cyg_val(rw->g, c);
    int64_t first[4] = {1, 1, 1, 1}, dims[4], stride[4];
    if (!v.is_const || v.type != CYG_TYPE_F32 || v.rank > 4 || v.data == NULL)
        return CYG_NO_VALUE;
    if (cyg_value_elements(&v) == 1)
        return c;
    for (int k = 0; k < v.rank; k++)
        first[4 - v.rank + k] = v.dims[k];
    stride[3] = 1;
    for (int k = 2; k >= 0; k--)
        stride[k] = stride[k + 1] * first[k + 1];
    for (int k = 0; k < 4; k++)
        dims[k] = first[to_last[k]];
    float *to = cyg_arena_alloc(&rw->g->arena, v.bytes + 1, 64), *at = to;
    if (to == NULL)
        return CYG_NO_VALUE;
    for (int64_t b = 0; b < dims[0]; b++)
        for (int64_t y = 0; y < dims[1]; y++)
            for (int64_t x = 0; x < dims[2]; x++)
                for (int64_t i = 0; i < dims[3]; i++)
                    *at++ = cyg_float_at(v.data, b * stride[0] + i * stride[1] + y * stride[2] + x);
    const cyg_value_id now = cyg_rw_const_for(rw, c, 4, dims, to, v.bytes);
    if (!cyg_value_is_none(now) && (v.quant.axis < 0 || (v.rank == 4 && v.quant.axis == 0)))
        cyg_val(rw->g, now)->quant = v.quant;
    return now;
}

/* v channels last, for a node at `before`: what is known, a constant rearranged, or a Transpose. */
static cyg_value_id last_of(layout *l, cyg_node_id before, cyg_value_id v)
{
    if (has_last(l, v))
        return l->last[v.i];
    const cyg_value *value = cyg_val(l->rw->g, v);
    if (value->is_const)
        return cyg_layout_constant(l->rw, v);
    int64_t dims[4];
    dims_last(value, dims);
    const cyg_value_id y = cyg_rw_insert(l->rw, before, CYG_OP_transpose, &v, 1, v, 4, dims);
    if (cyg_value_is_none(y) ||
        !cyg_node_set_ints(l->rw->g, cyg_val(l->rw->g, y)->producer, CYG_ATTR_perm, to_last, 4))
        return CYG_NO_VALUE;
    if (v.i < l->count)
        l->last[v.i] = y;
    return y;
}

/* `id` becomes op(in) -> the channels-last form of its result, with its own attributes; the result
 * itself a Transpose of that. */
static cyg_status rewrite(layout *l, cyg_node_id id, cyg_op op, const cyg_value_id *in,
                          uint32_t in_count, cyg_node_id *out_node)
{
    cyg_rw *rw = l->rw;
    cyg_graph *g = rw->g;
    const cyg_attr *attrs = cyg_nod(g, id)->attrs;
    const uint32_t attr_count = cyg_nod(g, id)->attr_count;
    const cyg_value_id old = cyg_nod(g, id)->out[0];
    int64_t dims[4];
    dims_last(cyg_val(g, old), dims);
    const cyg_value_id y = cyg_rw_value_for(rw, old, 4, dims);
    if (cyg_value_is_none(y))
        return CYG_RW_NOMEM(rw);
    *out_node = cyg_rw_replace(rw, id, op, in, in_count, y);
    CYG_DO(cyg_rw_copy_attrs(rw, *out_node, attrs, attr_count));
    const cyg_node_id back = cyg_graph_add_node(g, id, CYG_OP_transpose, NULL, &y, 1, &old, 1);
    if (cyg_node_is_none(back) || !cyg_node_set_ints(g, back, CYG_ATTR_perm, to_first, 4))
        return CYG_RW_NOMEM(rw);
    cyg_node_merge_sources(g, back, id);
    l->last[old.i] = y;
    return CYG_OK;
}

/* ---- convolutions ---- */

static bool is_2d_conv(const layout *l, const cyg_node *n)
{
    const cyg_graph *g = l->rw->g;
    if (n->op != CYG_OP_conv)
        return false;
    const cyg_value *x = cyg_val(g, n->in[0]), *w = cyg_val(g, n->in[1]),
                    *y = cyg_val(g, n->out[0]);
    const cyg_value_id b = cyg_node_in(n, 2);
    return x->rank == 4 && y->rank == 4 && x->type == CYG_TYPE_F32 && cyg_value_shape_known(x) &&
           cyg_value_shape_known(y) && w->is_const && w->rank == 4 && w->type == CYG_TYPE_F32 &&
           w->data != NULL && (cyg_value_is_none(b) || cyg_rw_is_const(l->rw, b)) &&
           strcmp(cyg_node_string(n, CYG_ATTR_auto_pad, "NOTSET"), "NOTSET") == 0;
}

static cyg_status visit_conv(layout *l, cyg_node_id id)
{
    cyg_rw *rw = l->rw;
    cyg_graph *g = rw->g;
    const cyg_node *n = cyg_nod(g, id);
    const cyg_value_id bias = cyg_node_in(n, 2);
    /* A value of no other use, channels first by nature (the picture), is read as it is. */
    const bool as_it_is = !has_last(l, n->in[0]) && cyg_rw_single_use(rw, n->in[0]) &&
                          cyg_node_int(n, CYG_ATTR_group, 1) == 1;
    cyg_value_id in[3] = {n->in[0], n->in[1], bias};
    if (!as_it_is)
        in[0] = last_of(l, id, in[0]);
    in[1] = cyg_layout_constant(rw, in[1]);
    if (cyg_value_is_none(in[0]) || cyg_value_is_none(in[1]))
        return CYG_RW_NOMEM(rw);
    cyg_node_id now;
    CYG_DO(rewrite(l, id, CYG_OP_conv2d, in, cyg_value_is_none(bias) ? 2 : 3, &now));
    cyg_node_clear_attr(g, now, CYG_ATTR_auto_pad);
    return !as_it_is || cyg_node_set_int(g, now, CYG_ATTR_x_nchw, 1) ? CYG_OK : CYG_RW_NOMEM(rw);
}

/* A batch normalisation that no convolution could take: a depthwise convolution of one tap, w =
 * gamma / sqrt(var + eps), b = beta - mean w. */
static cyg_status visit_batchnorm(layout *l, cyg_node_id id)
{
    cyg_rw *rw = l->rw;
    cyg_graph *g = rw->g;
    const cyg_node *n = cyg_nod(g, id);
    const int64_t channels = cyg_val(g, n->in[0])->dims[1], dims[4] = {channels, 1, 1, 1},
                  ones[2] = {1, 1};
    for (uint32_t i = 1; i < 5; i++)
        if (!cyg_rw_channel_vector(rw, cyg_node_in(n, i), channels))
            return CYG_OK;
    const float *gamma = cyg_val(g, n->in[1])->data, *beta = cyg_val(g, n->in[2])->data,
                *mean = cyg_val(g, n->in[3])->data, *var = cyg_val(g, n->in[4])->data;
    const double eps = (double)cyg_node_float(n, CYG_ATTR_epsilon, 1e-5f);
    const size_t bytes = (size_t)channels * sizeof(float);
    float *w = cyg_arena_alloc(&g->arena, bytes + 1, 64),
          *b = cyg_arena_alloc(&g->arena, bytes + 1, 64);
    if (w == NULL || b == NULL)
        return CYG_RW_NOMEM(rw);
    for (int64_t c = 0; c < channels; c++) {
        const double s = (double)gamma[c] / sqrt((double)var[c] + eps);
        w[c] = (float)s;
        b[c] = (float)((double)beta[c] - (double)mean[c] * s);
    }
    const cyg_value_id in[3] = {l->last[n->in[0].i],
                                cyg_rw_const_for(rw, n->in[1], 4, dims, w, bytes),
                                cyg_rw_const_for(rw, n->in[2], 1, dims, b, bytes)};
    if (cyg_value_is_none(in[1]) || cyg_value_is_none(in[2]))
        return CYG_RW_NOMEM(rw);
    cyg_node_id now;
    CYG_DO(rewrite(l, id, CYG_OP_conv2d, in, 3, &now));
    CYG_DO(cyg_rw_copy_attrs(rw, now, NULL, 0));
    return cyg_node_set_ints(g, now, CYG_ATTR_kernel_shape, ones, 2) &&
                   cyg_node_set_int(g, now, CYG_ATTR_group, channels)
               ? CYG_OK
               : CYG_RW_NOMEM(rw);
}

/* ---- pools ---- */

static cyg_status visit_pool(layout *l, cyg_node_id id)
{
    cyg_rw *rw = l->rw;
    cyg_graph *g = rw->g;
    const cyg_node *n = cyg_nod(g, id);
    const cyg_op op = n->op;
    const cyg_value x = *cyg_val(g, n->in[0]);
    const bool global = op == CYG_OP_global_max_pool;
    if (x.type != CYG_TYPE_F32 || cyg_node_int(n, CYG_ATTR_storage_order, 0) != 0 ||
        strcmp(cyg_node_string(n, CYG_ATTR_auto_pad, "NOTSET"), "NOTSET") != 0)
        return CYG_OK;
    cyg_node_id now;
    CYG_DO(rewrite(l, id, CYG_OP_pool2d, &l->last[n->in[0].i], 1, &now));
    cyg_node_clear_attr(g, now, CYG_ATTR_auto_pad);
    cyg_node_clear_attr(g, now, CYG_ATTR_storage_order);
    return cyg_node_set_string(g, now, CYG_ATTR_mode,
                               op == CYG_OP_average_pool ? "average" : "max") &&
                   (!global || cyg_node_set_ints(g, now, CYG_ATTR_kernel_shape, &x.dims[2], 2))
               ? CYG_OK
               : CYG_RW_NOMEM(rw);
}

/* A mean over the picture: ReduceMean over axes 1 and 2, which keeps them. */
static cyg_status visit_global_average(layout *l, cyg_node_id id)
{
    const int64_t axes[2] = {1, 2};
    const cyg_value_id in[2] = {l->last[cyg_nod(l->rw->g, id)->in[0].i],
                                cyg_rw_const_ints(l->rw, "axes", axes, 2)};
    cyg_node_id now;
    if (cyg_value_is_none(in[1]))
        return CYG_RW_NOMEM(l->rw);
    CYG_DO(rewrite(l, id, CYG_OP_reduce_mean, in, 2, &now));
    return cyg_node_set_int(l->rw->g, now, CYG_ATTR_keepdims, 1) ? CYG_OK : CYG_RW_NOMEM(l->rw);
}

/* ---- what has axes ---- */

/* The axes operand `i` renumbered: false when it is not constant or out of range. */
static bool axes_last(layout *l, cyg_value_id axes, cyg_value_id *out_axes)
{
    const int64_t *data;
    size_t count;
    int64_t moved[4];
    if (!cyg_rw_ints(l->rw, axes, &data, &count) || count > 4)
        return false;
    for (size_t i = 0; i < count; i++) {
        const int axis = cyg_rw_axis(data[i], 4);
        if (axis < 0)
            return false;
        moved[i] = axis_last[axis];
    }
    *out_axes = cyg_rw_const_ints(l->rw, "axes", moved, count);
    return !cyg_value_is_none(*out_axes);
}

/* A reduction over the picture, or one that keeps its axes. Without them the result is [B, C] in
 * both layouts when H and W go, and only then. */
static cyg_status visit_reduce(layout *l, cyg_node_id id)
{
    cyg_rw *rw = l->rw;
    cyg_graph *g = rw->g;
    const cyg_node *n = cyg_nod(g, id);
    const int64_t *data;
    size_t count;
    cyg_value_id in[2] = {l->last[n->in[0].i], CYG_NO_VALUE};
    if (!cyg_rw_ints(rw, cyg_node_in(n, 1), &data, &count) || count == 0)
        return CYG_OK;
    unsigned mask = 0;
    for (size_t i = 0; i < count; i++)
        mask |= 1u << (data[i] & 3); /* -4..3 */
    const bool keeps = cyg_node_int(n, CYG_ATTR_keepdims, 1) != 0;
    if ((!keeps && mask != (1u << 2 | 1u << 3)) || !axes_last(l, n->in[1], &in[1]))
        return CYG_OK;
    if (!keeps) {
        const cyg_attr *attrs = n->attrs;
        const uint32_t attr_count = n->attr_count;
        const cyg_node_id now = cyg_rw_replace(rw, id, n->op, in, 2, n->out[0]);
        return cyg_rw_copy_attrs(rw, now, attrs, attr_count);
    }
    cyg_node_id now;
    return rewrite(l, id, n->op, in, 2, &now);
}

/* All operands have four axes or are constants that broadcast against four. */
static bool broadcasts(const layout *l, const cyg_node *n)
{
    for (uint32_t i = 0; i < n->in_count; i++) {
        const cyg_value *v = cyg_val(l->rw->g, n->in[i]);
        if (v->is_const ? v->rank > 4 || v->type != CYG_TYPE_F32 || v->data == NULL
                        : v->rank != 4 || !cyg_value_shape_known(v))
            return false;
    }
    return true;
}

/* Concat, Softmax, LogSoftmax: the axis is an attribute. */
static cyg_status visit_axis(layout *l, cyg_node_id id)
{
    cyg_rw *rw = l->rw;
    const cyg_node *n = cyg_nod(rw->g, id);
    const int axis = cyg_rw_axis(cyg_node_int(n, CYG_ATTR_axis, -1), 4);
    const uint32_t count = n->in_count;
    cyg_value_id *in = CYG_NEW_ARRAY(&rw->scratch, cyg_value_id, count + 1);
    if (axis < 0 || !broadcasts(l, n))
        return CYG_OK;
    for (uint32_t i = 0; in != NULL && i < count; i++) {
        in[i] = last_of(l, id, cyg_nod(rw->g, id)->in[i]);
        if (cyg_value_is_none(in[i]))
            return CYG_RW_NOMEM(rw);
    }
    cyg_node_id now;
    if (in == NULL)
        return CYG_RW_NOMEM(rw);
    CYG_DO(rewrite(l, id, cyg_nod(rw->g, id)->op, in, count, &now));
    return cyg_node_set_int(rw->g, now, CYG_ATTR_axis, axis_last[axis]) ? CYG_OK : CYG_RW_NOMEM(rw);
}

/* Constant pads of all four axes. */
static cyg_status visit_pad(layout *l, cyg_node_id id)
{
    cyg_rw *rw = l->rw;
    const cyg_node *n = cyg_nod(rw->g, id);
    const int64_t *pads;
    size_t count;
    int64_t moved[8];
    if (!cyg_value_is_none(cyg_node_in(n, 3)) ||
        !cyg_rw_ints(rw, cyg_node_in(n, 1), &pads, &count) || count != 8)
        return CYG_OK;
    for (int k = 0; k < 4; k++) {
        moved[axis_last[k]] = pads[k];
        moved[4 + axis_last[k]] = pads[4 + k];
    }
    const cyg_value_id in[3] = {l->last[n->in[0].i], cyg_rw_const_ints(rw, "pads", moved, 8),
                                cyg_node_in(n, 2)};
    const uint32_t in_count = n->in_count < 3 ? n->in_count : 3; /* of axes there are none */
    cyg_node_id now;
    return cyg_value_is_none(in[1]) ? CYG_RW_NOMEM(rw)
                                    : rewrite(l, id, CYG_OP_pad, in, in_count, &now);
}

/* ---- element-wise ---- */

static cyg_status visit_unary(layout *l, cyg_node_id id)
{
    const cyg_node *n = cyg_nod(l->rw->g, id);
    cyg_value_id in[3];
    cyg_node_id now;
    if (n->in_count > CYG_COUNT(in))
        return CYG_OK;
    for (uint32_t i = 0; i < n->in_count; i++)
        in[i] = i == 0 ? l->last[n->in[0].i] : n->in[i]; /* Clip's limits are scalars */
    return rewrite(l, id, n->op, in, n->in_count, &now);
}

static cyg_status visit_binary(layout *l, cyg_node_id id)
{
    cyg_rw *rw = l->rw;
    const uint32_t count = cyg_nod(rw->g, id)->in_count;
    if (!broadcasts(l, cyg_nod(rw->g, id)))
        return CYG_OK;
    cyg_value_id *in = CYG_NEW_ARRAY(&rw->scratch, cyg_value_id, count + 1);
    if (in == NULL)
        return CYG_RW_NOMEM(rw);
    for (uint32_t i = 0; i < count; i++) {
        in[i] = last_of(l, id, cyg_nod(rw->g, id)->in[i]);
        if (cyg_value_is_none(in[i]))
            return CYG_RW_NOMEM(rw);
    }
    cyg_node_id now;
    return rewrite(l, id, cyg_nod(rw->g, id)->op, in, count, &now);
}

/* A norm of channels in front is one of the last axis here. */
static cyg_status visit_channel_norm(layout *l, cyg_node_id id)
{
    const cyg_node *n = cyg_nod(l->rw->g, id);
    const cyg_value_id in[3] = {l->last[n->in[0].i], n->in[1], cyg_node_in(n, 2)};
    cyg_node_id now;
    CYG_DO(rewrite(l, id, CYG_OP_layer_normalization, in, n->in_count, &now));
    return cyg_node_set_int(l->rw->g, now, CYG_ATTR_axis, -1) ? CYG_OK : CYG_RW_NOMEM(l->rw);
}

/* ---- the walk ---- */

static bool reads_last(const layout *l, const cyg_node *n)
{
    for (uint32_t i = 0; i < n->in_count; i++)
        if (has_last(l, n->in[i]))
            return true;
    return false;
}

static cyg_status visit(layout *l, cyg_node_id id)
{
    const cyg_node *n = cyg_nod(l->rw->g, id);
    if (is_2d_conv(l, n))
        return visit_conv(l, id);
    if (!reads_last(l, n) || n->out_count != 1)
        return CYG_OK;
    const cyg_value *y = cyg_val(l->rw->g, n->out[0]);
    const uint32_t flags = cyg_op_schema_of(n->op)->flags;
    if (!cyg_value_shape_known(y))
        return CYG_OK;
    const bool first = has_last(l, n->in[0]);
    switch ((int)n->op) {
    case CYG_OP_reduce_mean:
    case CYG_OP_reduce_sum:
    case CYG_OP_reduce_max:
    case CYG_OP_reduce_min:
    case CYG_OP_reduce_prod:
    case CYG_OP_reduce_l2:
        return first ? visit_reduce(l, id) : CYG_OK;
    default:
        break;
    }
    if (y->rank != 4)
        return CYG_OK;
    switch ((int)n->op) {
    case CYG_OP_max_pool:
    case CYG_OP_average_pool:
    case CYG_OP_global_max_pool:
        return visit_pool(l, id);
    case CYG_OP_global_average_pool:
        return visit_global_average(l, id);
    case CYG_OP_batch_normalization:
        return first ? visit_batchnorm(l, id) : CYG_OK;
    case CYG_OP_channel_norm:
        return visit_channel_norm(l, id);
    case CYG_OP_concat:
    case CYG_OP_softmax:
    case CYG_OP_log_softmax:
        return visit_axis(l, id);
    case CYG_OP_pad:
        return first ? visit_pad(l, id) : CYG_OK;
    default:
        break;
    }
    if ((flags & CYG_OPF_UNARY) != 0)
        return first ? visit_unary(l, id) : CYG_OK;
    return (flags & CYG_OPF_BINARY) != 0 ? visit_binary(l, id) : CYG_OK;
}

cyg_status cyg_pass_channels_last(cyg_ctx *ctx, cyg_graph *g, bool *out_changed)
{
    cyg_rw rw;
    layout l = {.rw = &rw, .count = g->value_count};
    cyg_arena own; /* outlives the scratch of a visit */
    cyg_arena_init(&own);
    cyg_status status = cyg_rw_begin(ctx, g, &rw);
    const uint32_t count = g->order_count;
    cyg_node_id *order = CYG_NEW_ARRAY(&own, cyg_node_id, count + 1);
    l.last = CYG_NEW_ARRAY(&own, cyg_value_id, l.count + 1);
    if (status == CYG_OK && (order == NULL || l.last == NULL))
        status = CYG_RW_NOMEM(&rw);
    for (uint32_t v = 0; status == CYG_OK && v < l.count; v++)
        l.last[v] = CYG_NO_VALUE;
    if (status == CYG_OK && count > 0) /* a graph may have no nodes */
        memcpy(order, g->order, sizeof *order * count);
    for (uint32_t i = 0; status == CYG_OK && i < count; i++) {
        if (cyg_nod(g, order[i])->op == CYG_OP_removed)
            continue;
        cyg_arena_reset(&rw.scratch);
        status = visit(&l, order[i]);
        if (status == CYG_OK && (i & 63) == 0)
            status = cyg_ctx_check_cancelled(ctx);
    }
    status = cyg_rw_end(&rw, status, out_changed);
    cyg_arena_deinit(&own);
    return status;
}
