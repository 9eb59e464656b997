/* Patch embedding: a convolution whose NCHW result is only read as tokens, [B, H*W, C] or [B, H, W,
 * C], after Flatten and Transpose in whatever spelling. It becomes conv2d, which writes channels
 * last, and the movement is gone. The test is on the table of elements: the value that the tokens
 * are must be the convolution's result with the channel axis moved to the end. Convolutions of
 * networks that stay channels first never see a Transpose, and are left alone. */
#include <string.h>

#include "pass/elements.h"
#include "pass/layout.h"
#include "pass/passes.h"

/* Is `map` (over [B, C, H, W]) the order [B, H, W, C]? */
static bool is_channels_last(const cyg_elements *map, const int64_t *d)
{
    const int64_t area = d[2] * d[3];
    const int32_t *at = map->at;
    if (map->count != d[0] * d[1] * area)
        return false;
    for (int64_t b = 0; b < d[0]; b++)
        for (int64_t p = 0; p < area; p++)
            for (int64_t c = 0; c < d[1]; c++)
                if (*at++ != (b * d[1] + c) * area + p)
                    return false;
    return true;
}

/* Down the chain of single-use movement from v: the first value in token order, or none. */
static cyg_value_id token_view(cyg_rw *rw, cyg_value_id v)
{
    const cyg_value conv = *cyg_val(rw->g, v);
    for (int steps = 0; steps < 16; steps++) {
        const cyg_node_id user = cyg_rw_only_user(rw, v);
        if (cyg_node_is_none(user) || !cyg_elements_moves(rw, user) ||
            cyg_nod(rw->g, user)->out_count != 1 || cyg_nod(rw->g, user)->op == CYG_OP_concat)
            return CYG_NO_VALUE;
        v = cyg_nod(rw->g, user)->out[0];
        cyg_elements map;
        if (cyg_nod(rw->g, user)->op != CYG_OP_transpose || !cyg_elements_of(rw, v, &map))
            continue;
        const bool found = is_channels_last(&map, conv.dims);
        cyg_elements_free(&map);
        if (found)
            return v;
    }
    return CYG_NO_VALUE;
}

static cyg_status visit(cyg_rw *rw, cyg_node_id id)
{
    cyg_graph *g = rw->g;
    const cyg_node *n = cyg_nod(g, id);
    if (n->op != CYG_OP_conv)
        return CYG_OK;
    const cyg_value *y = cyg_val(g, n->out[0]), *w = cyg_val(g, n->in[1]);
    if (y->rank != 4 || !cyg_value_shape_known(y) || w->rank != 4 || !w->is_const ||
        w->type != CYG_TYPE_F32 || w->data == NULL ||
        strcmp(cyg_node_string(n, CYG_ATTR_auto_pad, "NOTSET"), "NOTSET") != 0)
        return CYG_OK;
    const cyg_value_id tokens = token_view(rw, n->out[0]);
    if (cyg_value_is_none(tokens))
        return CYG_OK;
    const int64_t dims[4] = {y->dims[0], y->dims[2], y->dims[3], y->dims[1]};
    const cyg_value_id bias = cyg_node_in(n, 2),
                       in[3] = {n->in[0], cyg_layout_constant(rw, n->in[1]), bias};
    if (cyg_value_is_none(in[1]))
        return CYG_RW_NOMEM(rw);
    const cyg_value_id former = cyg_nod(g, id)->out[0];
    const cyg_attr *attrs = cyg_nod(g, id)->attrs;
    const uint32_t attr_count = cyg_nod(g, id)->attr_count;
    const cyg_node_id last = cyg_val(g, tokens)->producer;
    const cyg_value_id out = cyg_rw_value_for(rw, former, 4, dims);
    const cyg_node_id now =
        cyg_rw_replace(rw, id, CYG_OP_conv2d, in, cyg_value_is_none(bias) ? 2 : 3, out);
    CYG_DO(cyg_rw_copy_attrs(rw, now, attrs, attr_count));
    cyg_node_clear_attr(g, now, CYG_ATTR_auto_pad);
    if (!cyg_node_set_int(g, now, CYG_ATTR_x_nchw, 1))
        return CYG_RW_NOMEM(rw);
    cyg_rw_merge_upwards(rw, now, tokens, former);
    const cyg_value_id above = cyg_nod(g, last)->in[0];
    cyg_graph_remove_node(g, last);
    cyg_rw_reshape_into(rw, last, out, tokens);
    cyg_rw_drop(rw, above);
    return CYG_OK;
}

cyg_status cyg_pass_patch_embed(cyg_ctx *ctx, cyg_graph *g, bool *out_changed)
{
    return cyg_rw_each(ctx, g, visit, out_changed);
}
