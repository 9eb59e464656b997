/* Batch normalisation into the convolution before it: y = (conv(x) + b - mean) * s + beta with s =
 * gamma / sqrt(var + eps), so w' = w * s per output channel and b' = (b - mean) * s + beta. In
 * binary64, rounded once. The convolution's result must have no other reader. */
#include <math.h>

#include "pass/passes.h"
#include "pass/rewrite.h"

static cyg_status fold_into(cyg_rw *rw, cyg_node_id bn, cyg_node_id conv)
{
    cyg_graph *g = rw->g;
    const cyg_node *b = cyg_nod(g, bn), *c = cyg_nod(g, conv);
    const cyg_value *w = cyg_val(g, c->in[1]);
    const int64_t channels = w->rank > 0 ? w->dims[0] : 0;
    const cyg_value_id old_bias = cyg_node_in(c, 2);
    if (w->type != CYG_TYPE_F32 || !w->is_const || w->data == NULL || channels < 1 ||
        (!cyg_value_is_none(old_bias) && !cyg_rw_channel_vector(rw, old_bias, channels)))
        return CYG_OK;
    for (uint32_t i = 1; i < 5; i++)
        if (!cyg_rw_channel_vector(rw, cyg_node_in(b, i), channels))
            return CYG_OK;
    const float *gamma = cyg_val(g, b->in[1])->data, *beta = cyg_val(g, b->in[2])->data;
    const float *mean = cyg_val(g, b->in[3])->data, *var = cyg_val(g, b->in[4])->data;
    const float *bias = cyg_value_is_none(old_bias) ? NULL : cyg_val(g, old_bias)->data;
    const double eps = (double)cyg_node_float(b, CYG_ATTR_epsilon, 1e-5f);
    const int64_t size = cyg_value_elements(w), inner = size / channels;
    float *new_w = cyg_arena_alloc(&g->arena, (size_t)size * sizeof *new_w, 64);
    float *new_b = cyg_arena_alloc(&g->arena, (size_t)channels * sizeof *new_b, 64);
    if (new_w == NULL || new_b == NULL)
        return CYG_RW_NOMEM(rw);
    const float *old_w = w->data;
    for (int64_t o = 0; o < channels; o++) {
        const double s = (double)gamma[o] / sqrt((double)var[o] + eps);
        new_b[o] = (float)(((bias == NULL ? 0.0 : (double)bias[o]) - (double)mean[o]) * s +
                           (double)beta[o]);
        for (int64_t i = 0; i < inner; i++)
            new_w[o * inner + i] = (float)((double)old_w[o * inner + i] * s);
    }
    const cyg_value shape = *w; /* adding values moves them */
    const cyg_value_id named = cyg_value_is_none(old_bias) ? b->in[2] : old_bias;
    const cyg_value_id in[3] = {
        c->in[0],
        cyg_rw_const_for(rw, c->in[1], shape.rank, shape.dims, new_w, (size_t)size * sizeof *new_w),
        cyg_rw_const_for(rw, named, 1, &channels, new_b, (size_t)channels * sizeof *new_b)};
    const cyg_value_id out = cyg_nod(g, bn)->out[0];
    const cyg_attr *attrs = cyg_nod(g, conv)->attrs;
    const uint32_t attr_count = cyg_nod(g, conv)->attr_count;
    cyg_graph_remove_node(g, bn);
    const cyg_node_id now = cyg_rw_replace(rw, conv, CYG_OP_conv, in, 3, out);
    if (cyg_node_is_none(now))
        return CYG_RW_NOMEM(rw);
    cyg_node_merge_sources(g, now, bn);
    return cyg_rw_copy_attrs(rw, now, attrs, attr_count);
}

static cyg_status visit(cyg_rw *rw, cyg_node_id id)
{
    const cyg_node *n = cyg_nod(rw->g, id);
    if (n->op != CYG_OP_batch_normalization || n->out_count != 1)
        return CYG_OK;
    const cyg_node_id conv = cyg_rw_producer(rw, n->in[0], CYG_OP_conv);
    return cyg_node_is_none(conv) || !cyg_rw_single_use(rw, n->in[0]) ? CYG_OK
                                                                      : fold_into(rw, id, conv);
}

cyg_status cyg_pass_batchnorm(cyg_ctx *ctx, cyg_graph *g, bool *out_changed)
{
    return cyg_rw_each(ctx, g, visit, out_changed);
}
