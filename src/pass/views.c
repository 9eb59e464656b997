/* Views move behind row-wise operators: f(reshape(x)) = reshape(f(x)) as long as the channels stay
 * the last axis. Views then meet, and algebra makes one of them or none; what computes ends up
 * connected directly. A linear with a residual moves only when the residual is a view of a value in
 * the wanted shape as well. Views cost nothing at run time: this is for readers of the graph and
 * for passes that look at neighbours. */
#include "pass/passes.h"
#include "pass/rewrite.h"

static cyg_status visit(cyg_rw *rw, cyg_node_id id)
{
    cyg_graph *g = rw->g;
    if (!cyg_rw_is_row_wise(rw, id) || cyg_nod(g, id)->out_count != 1)
        return CYG_OK;
    const cyg_value_id former = cyg_nod(g, id)->in[0], out = cyg_nod(g, id)->out[0];
    const cyg_value_id x = cyg_rw_through_views(rw, former);
    const int64_t channels = cyg_rw_last_dim(rw, out);
    if (x.i == former.i || cyg_rw_last_dim(rw, x) != cyg_rw_last_dim(rw, former) || channels < 1 ||
        cyg_val(g, x)->rank < 2 || cyg_graph_is_output(g, out))
        return CYG_OK;
    cyg_value shape = *cyg_val(g, x);
    shape.dims[shape.rank - 1] = channels;
    if (!cyg_value_shape_known(&shape) || !cyg_value_shape_known(cyg_val(g, out)))
        return CYG_OK;
    cyg_value_id in[4], residual = CYG_NO_VALUE;
    const uint32_t in_count = cyg_nod(g, id)->in_count;
    if (in_count > CYG_COUNT(in))
        return CYG_OK;
    for (uint32_t i = 0; i < in_count; i++)
        in[i] = i == 0 ? x : cyg_nod(g, id)->in[i];
    if (cyg_nod(g, id)->op == CYG_OP_linear && in_count == 4 && !cyg_value_is_none(in[3])) {
        residual = in[3];
        in[3] = cyg_rw_through_views(rw, residual);
        const cyg_value *r = cyg_val(g, in[3]);
        bool same = r->rank == shape.rank;
        for (unsigned i = 0; same && i < r->rank; i++)
            same = r->dims[i] == shape.dims[i];
        if (!same)
            return CYG_OK;
    }
    const cyg_op op = cyg_nod(g, id)->op;
    const cyg_attr *attrs = cyg_nod(g, id)->attrs;
    const uint32_t attr_count = cyg_nod(g, id)->attr_count;
    const cyg_value_id y =
        cyg_graph_add_value(g, cyg_val(g, out)->name, shape.type, shape.rank, shape.dims);
    const cyg_node_id now =
        cyg_value_is_none(y) ? CYG_NO_NODE : cyg_rw_replace(rw, id, op, in, in_count, y);
    if (cyg_node_is_none(now))
        return CYG_RW_NOMEM(rw);
    CYG_DO(cyg_rw_copy_attrs(rw, now, attrs, attr_count));
    cyg_rw_reshape_into(rw, id, y, out);
    cyg_rw_drop(rw, former);
    if (!cyg_value_is_none(residual))
        cyg_rw_drop(rw, residual);
    return CYG_OK;
}

cyg_status cyg_pass_views(cyg_ctx *ctx, cyg_graph *g, bool *out_changed)
{
    return cyg_rw_each(ctx, g, visit, out_changed);
}
