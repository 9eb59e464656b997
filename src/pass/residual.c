/* An addition whose one operand is a linear's or conv2d's result (through views, and nobody else
 * reads it) moves into it as its residual. The other operand may come from anywhere: it cannot
 * depend on the linear, whose only reader is this addition. When both operands would do, the one
 * that is computed last takes the other. Shapes must be equal up to views; the residual gets the
 * linear's shape. A constant operand (a position table) is not a residual: it would have to be
 * quantised like one. */
#include "pass/passes.h"
#include "pass/rewrite.h"

/* The linear behind operand k of an addition, when it can take a residual. */
static cyg_node_id candidate(cyg_rw *rw, cyg_value_id operand, cyg_node_id add)
{
    cyg_value_id last;
    const cyg_value_id top = cyg_rw_through_views(rw, operand);
    cyg_node_id id = cyg_rw_producer(rw, top, CYG_OP_linear);
    if (cyg_node_is_none(id))
        id = cyg_rw_producer(rw, top, CYG_OP_conv2d);
    if (cyg_node_is_none(id) || !cyg_value_is_none(cyg_node_in(cyg_nod(rw->g, id), 3)))
        return CYG_NO_NODE;
    const cyg_node_id user = cyg_rw_down_views(rw, top, &last);
    return user.i == add.i && last.i == operand.i ? id : CYG_NO_NODE;
}

static cyg_status visit(cyg_rw *rw, cyg_node_id id)
{
    cyg_graph *g = rw->g;
    const cyg_node *n = cyg_nod(g, id);
    if (n->op != CYG_OP_add || n->in[0].i == n->in[1].i ||
        !cyg_rw_same_shape(rw, n->in[0], n->in[1]) || cyg_rw_const_operand(rw, id) >= 0)
        return CYG_OK;
    const cyg_node_id c[2] = {candidate(rw, n->in[0], id), candidate(rw, n->in[1], id)};
    int pick = cyg_node_is_none(c[0]) ? 1 : 0;
    if (!cyg_node_is_none(c[0]) && !cyg_node_is_none(c[1]) &&
        cyg_graph_rank(g, c[1]) > cyg_graph_rank(g, c[0]))
        pick = 1;
    if (cyg_node_is_none(c[pick]))
        return CYG_OK;
    const cyg_node *l = cyg_nod(g, c[pick]);
    const cyg_value own = *cyg_val(g, l->out[0]);
    cyg_value_id in[4] = {l->in[0], l->in[1], cyg_node_in(l, 2),
                          cyg_rw_through_views(rw, n->in[1 - pick])};
    if (!cyg_value_shape_known(&own) && !cyg_rw_same_shape(rw, l->out[0], n->in[1 - pick]))
        return CYG_OK;
    if (!cyg_value_shape_known(&own))
        in[3] = n->in[1 - pick];
    in[3] = cyg_rw_reshaped(rw, id, in[3], own.rank, own.dims);
    if (cyg_value_is_none(in[3]) || cyg_node_is_none(cyg_rw_swallow(rw, c[pick], id, in, 4)))
        return CYG_RW_NOMEM(rw);
    return CYG_OK;
}

cyg_status cyg_pass_residual(cyg_ctx *ctx, cyg_graph *g, bool *out_changed)
{
    return cyg_rw_each(ctx, g, visit, out_changed);
}
