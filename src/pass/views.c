/* Views move behind row-wise operators: f(reshape(x)) = reshape(f(x)) as long as the channels stay
 * the last axis. Views then meet, and algebra makes one of them or none; what computes ends up
 * connected directly. An operator with a second operand in the shape of its result (a residual, the
 * other side of an addition) moves only when that operand is a view of a value in the wanted shape
 * as well. Attention counts as row-wise: it sees rows however they are grouped; its three operands
 * must be one value. Views cost nothing at run time: this is for readers of the graph and for
 * passes that look at neighbours. */
#include "pass/passes.h"
#include "pass/rewrite.h"

/* Index of the operand that has the shape of the result, or -1 when only the first one follows
 * rows; -2: not for this pass. */
static int companion(const cyg_rw *rw, cyg_node_id id)
{
    const cyg_node *n = cyg_nod(rw->g, id);
    if (n->op == CYG_OP_linear)
        return cyg_value_is_none(cyg_node_in(n, 3)) ? -1 : 3;
    if (n->op == CYG_OP_add)
        return cyg_rw_same_shape(rw, n->in[0], n->in[1]) && !cyg_rw_is_const(rw, n->in[0]) &&
                       !cyg_rw_is_const(rw, n->in[1])
                   ? 1
                   : -2;
    if (n->op == CYG_OP_attention)
        return n->in[0].i == n->in[1].i && n->in[0].i == n->in[2].i ? -1 : -2;
    return cyg_rw_is_row_wise(rw, id) ? -1 : -2;
}

static bool shape_is(const cyg_value *v, const cyg_value *want)
{
    bool same = v->rank == want->rank;
    for (unsigned i = 0; same && i < v->rank; i++)
        same = v->dims[i] == want->dims[i];
    return same;
}

static cyg_status visit(cyg_rw *rw, cyg_node_id id)
{
    cyg_graph *g = rw->g;
    const int other = companion(rw, id);
    if (other == -2 || cyg_nod(g, id)->out_count != 1)
        return CYG_OK;
    const cyg_value_id former = cyg_nod(g, id)->in[0], out = cyg_nod(g, id)->out[0];
    const cyg_value_id x = cyg_rw_through_views(rw, former);
    const int64_t channels = cyg_rw_last_dim(rw, out);
    if (x.i == former.i || cyg_rw_last_dim(rw, x) != cyg_rw_last_dim(rw, former) || channels < 1 ||
        cyg_val(g, x)->rank < 2 || cyg_val(g, x)->is_const || cyg_graph_is_output(g, out))
        return CYG_OK;
    cyg_value shape = *cyg_val(g, x);
    shape.dims[shape.rank - 1] = channels;
    if (!cyg_value_shape_known(&shape) || !cyg_value_shape_known(cyg_val(g, out)) ||
        shape_is(cyg_val(g, out), &shape))
        return CYG_OK;
    cyg_value_id in[9], second = CYG_NO_VALUE;
    const uint32_t in_count = cyg_nod(g, id)->in_count;
    if (in_count > CYG_COUNT(in))
        return CYG_OK;
    for (uint32_t i = 0; i < in_count; i++) {
        const cyg_value_id v = cyg_nod(g, id)->in[i];
        in[i] = v.i == former.i ? x : v;
    }
    if (other >= 0) {
        second = cyg_nod(g, id)->in[other];
        in[other] = cyg_rw_through_views(rw, second);
        if (!shape_is(cyg_val(g, in[other]), &shape))
            return CYG_OK;
    }
    const cyg_op op = cyg_nod(g, id)->op;
    const cyg_attr *attrs = cyg_nod(g, id)->attrs;
    const uint32_t attr_count = cyg_nod(g, id)->attr_count;
    const cyg_value_id y = cyg_rw_value_for(rw, out, shape.rank, shape.dims);
    const cyg_node_id now =
        cyg_value_is_none(y) ? CYG_NO_NODE : cyg_rw_replace(rw, id, op, in, in_count, y);
    if (cyg_node_is_none(now))
        return CYG_RW_NOMEM(rw);
    CYG_DO(cyg_rw_copy_attrs(rw, now, attrs, attr_count));
    cyg_rw_reshape_into(rw, id, y, out);
    cyg_rw_drop(rw, former);
    if (!cyg_value_is_none(second))
        cyg_rw_drop(rw, second);
    return CYG_OK;
}

cyg_status cyg_pass_views(cyg_ctx *ctx, cyg_graph *g, bool *out_changed)
{
    return cyg_rw_each(ctx, g, visit, out_changed);
}
