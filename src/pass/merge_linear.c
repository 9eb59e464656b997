/* The linears of q, k and v become one: they read the same rows, so one product with the weights
 * stacked does the work of three and reads x once. The attention node then takes channel offsets
 * into the one result. A missing bias (SwinV2's key) is a vector of zeros. Only linears whose
 * result nobody else reads, without activation or residual, are merged. */
#include <string.h>

#include "base/bytes.h"
#include "pass/passes.h"
#include "pass/rewrite.h"

static bool mergeable(cyg_rw *rw, cyg_node_id id, cyg_value_id out, uint32_t uses)
{
    if (cyg_node_is_none(id))
        return false;
    const cyg_node *n = cyg_nod(rw->g, id);
    const cyg_value *w = cyg_val(rw->g, n->in[1]);
    return cyg_value_is_none(cyg_node_in(n, 3)) &&
           cyg_node_int(n, CYG_ATTR_act, CYG_ACT_NONE) == CYG_ACT_NONE &&
           cyg_node_int(n, CYG_ATTR_post_act, CYG_ACT_NONE) == CYG_ACT_NONE && w->is_const &&
           w->data != NULL && w->type == CYG_TYPE_F32 && w->quant.type == CYG_TYPE_NONE &&
           cyg_rw_use_count(rw, out) == uses &&
           (cyg_value_is_none(cyg_node_in(n, 2)) ||
            cyg_rw_channel_vector(rw, n->in[2], cyg_rw_linear_width(rw, id)));
}

static bool is_kn(const cyg_rw *rw, cyg_node_id linear)
{
    return cyg_node_int(cyg_nod(rw->g, linear), CYG_ATTR_w_kn, 0) != 0;
}

/* [K, N], the matrices side by side. */
static void side_by_side(const cyg_rw *rw, const cyg_node_id *linear, uint32_t count, int64_t k,
                         float *to)
{
    for (int64_t row = 0; row < k; row++)
        for (uint32_t i = 0; i < count; i++) {
            const int64_t width = cyg_rw_linear_width(rw, linear[i]);
            const char *from = cyg_val(rw->g, cyg_nod(rw->g, linear[i])->in[1])->data;
            const size_t bytes = (size_t)width * sizeof *to;
            memcpy(to, from + (size_t)row * bytes, bytes);
            to += width;
        }
}

/* [N, K], one below the other. */
static void below(const cyg_rw *rw, const cyg_node_id *linear, uint32_t count, int64_t k, float *to)
{
    for (uint32_t i = 0; i < count; i++) {
        const int64_t width = cyg_rw_linear_width(rw, linear[i]);
        const cyg_value *w = cyg_val(rw->g, cyg_nod(rw->g, linear[i])->in[1]);
        if (is_kn(rw, linear[i]))
            cyg_transpose_f32(k, width, w->data, width, to);
        else
            memcpy(to, w->data, w->bytes);
        to += width * k;
    }
}

/* In the order that all of them have; where they differ, [N, K]. */
static cyg_value_id stacked_weights(cyg_rw *rw, const cyg_node_id *linear, uint32_t count,
                                    int64_t n, int64_t k, bool *out_kn)
{
    const size_t bytes = (size_t)(n * k) * sizeof(float);
    float *to = cyg_arena_alloc(&rw->g->arena, bytes, 64);
    *out_kn = true;
    for (uint32_t i = 0; i < count; i++)
        *out_kn = *out_kn && is_kn(rw, linear[i]);
    const int64_t dims[2] = {*out_kn ? k : n, *out_kn ? n : k};
    if (to == NULL)
        return CYG_NO_VALUE;
    if (*out_kn)
        side_by_side(rw, linear, count, k, to);
    else
        below(rw, linear, count, k, to);
    return cyg_rw_const_for(rw, cyg_nod(rw->g, linear[0])->in[1], 2, dims, to, bytes);
}

static cyg_value_id stacked_bias(cyg_rw *rw, const cyg_node_id *linear, uint32_t count, int64_t n)
{
    float *to = cyg_arena_zalloc(&rw->g->arena, (size_t)n * sizeof *to, 64);
    cyg_value_id first = CYG_NO_VALUE;
    int64_t at = 0;
    for (uint32_t i = 0; to != NULL && i < count; i++) {
        const cyg_node *l = cyg_nod(rw->g, linear[i]);
        const int64_t channels = cyg_rw_linear_width(rw, linear[i]);
        const cyg_value_id b = cyg_node_in(l, 2);
        if (!cyg_value_is_none(b)) {
            memcpy(to + at, cyg_val(rw->g, b)->data, (size_t)channels * sizeof *to);
            first = cyg_value_is_none(first) ? b : first;
        }
        at += channels;
    }
    return to == NULL || cyg_value_is_none(first)
               ? CYG_NO_VALUE
               : cyg_rw_const_for(rw, first, 1, &n, to, (size_t)n * sizeof *to);
}

static cyg_status visit(cyg_rw *rw, cyg_node_id id)
{
    cyg_graph *g = rw->g;
    if (cyg_nod(g, id)->op != CYG_OP_attention)
        return CYG_OK;
    static const cyg_attr_key keys[3] = {CYG_ATTR_q_offset, CYG_ATTR_k_offset, CYG_ATTR_v_offset};
    cyg_node_id linear[3];
    cyg_value_id value[3], x = CYG_NO_VALUE;
    int64_t offset[3], base[3], n = 0, k = 0;
    uint32_t count = 0, which[3];
    for (uint32_t i = 0; i < 3; i++) {
        const cyg_value_id v = cyg_nod(g, id)->in[i];
        offset[i] = cyg_node_int(cyg_nod(g, id), keys[i], 0);
        for (which[i] = 0; which[i] < count && value[which[i]].i != v.i;)
            which[i]++;
        if (which[i] < count)
            continue;
        linear[count] = cyg_rw_producer(rw, v, CYG_OP_linear);
        value[count++] = v;
    }
    if (count < 2)
        return CYG_OK;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t uses = 0;
        for (uint32_t j = 0; j < 3; j++)
            uses += which[j] == i;
        if (!mergeable(rw, linear[i], value[i], uses))
            return CYG_OK;
        const cyg_node *l = cyg_nod(g, linear[i]);
        const cyg_value_id top = cyg_rw_through_views(rw, l->in[0]);
        const int64_t depth = cyg_val(g, l->in[1])->dims[is_kn(rw, linear[i]) ? 0 : 1];
        if (i > 0 && (top.i != x.i || depth != k))
            return CYG_OK;
        x = top;
        k = depth;
        base[i] = n;
        n += cyg_rw_linear_width(rw, linear[i]);
    }
    bool kn;
    const cyg_value_id in[3] = {cyg_nod(g, linear[0])->in[0],
                                stacked_weights(rw, linear, count, n, k, &kn),
                                stacked_bias(rw, linear, count, n)};
    cyg_value shape = *cyg_val(g, value[0]);
    shape.dims[shape.rank - 1] = n;
    cyg_value_id former[3] = {0};
    for (uint32_t i = 0; i < count; i++)
        former[i] = cyg_nod(g, linear[i])->in[1];
    const cyg_value_id y = cyg_rw_value_for(rw, value[0], shape.rank, shape.dims);
    if (cyg_value_is_none(in[1]) || cyg_value_is_none(y) || cyg_graph_failed(g))
        return CYG_RW_NOMEM(rw);
    const cyg_node_id now =
        cyg_rw_replace(rw, linear[0], CYG_OP_linear, in, cyg_value_is_none(in[2]) ? 2 : 3, y);
    if (cyg_node_is_none(now) || (kn && !cyg_node_set_int(g, now, CYG_ATTR_w_kn, 1)))
        return CYG_RW_NOMEM(rw);
    for (uint32_t i = 0; i < 3; i++) {
        cyg_node_set_input(g, id, i, y);
        if (!cyg_node_set_int(g, id, keys[i], offset[i] + base[which[i]]))
            return CYG_RW_NOMEM(rw);
    }
    for (uint32_t i = 1; i < count; i++) {
        cyg_node_merge_sources(g, now, linear[i]);
        cyg_rw_drop(rw, value[i]);
    }
    for (uint32_t i = 0; i < count; i++)
        cyg_rw_release(rw, former[i]);
    return CYG_OK;
}

cyg_status cyg_pass_merge_linear(cyg_ctx *ctx, cyg_graph *g, bool *out_changed)
{
    return cyg_rw_each(ctx, g, visit, out_changed);
}
