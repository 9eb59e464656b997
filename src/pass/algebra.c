/* Chains of views and of transposes.
 *
 * A view of a view is a view of the first operand, so each view reads from as far up as it can;
 * what is between dies when nobody else reads it. Flatten, Squeeze and Unsqueeze become Reshape on
 * the way: later passes know one spelling. So it is with LayerNormalization over the last axis: the
 * axis becomes -1. Two transposes are one with the composed permutation. A
 * transpose that only moves axes of size one is a view too. Shapes must be known up to one
 * dimension, since a Reshape can leave one to be computed. */
#include "pass/passes.h"
#include "pass/rewrite.h"

static bool reshapable(const cyg_value *v)
{
    int unknown = 0;
    if (v->rank == CYG_RANK_UNKNOWN)
        return false;
    for (unsigned i = 0; i < v->rank; i++) {
        if (v->dims[i] == 0)
            return false;
        unknown += v->dims[i] < 0;
    }
    return unknown <= 1;
}

static cyg_status become_reshape(cyg_rw *rw, cyg_node_id id, cyg_value_id x)
{
    const cyg_value_id y = cyg_nod(rw->g, id)->out[0];
    int64_t shape[CYG_MAX_RANK];
    const cyg_value *v = cyg_val(rw->g, y);
    for (unsigned i = 0; i < v->rank; i++)
        shape[i] = v->dims[i] < 0 ? -1 : v->dims[i];
    const cyg_value_id s = cyg_rw_const_ints(rw, "shape", shape, v->rank);
    if (cyg_value_is_none(s))
        return CYG_RW_NOMEM(rw);
    const cyg_value_id former = cyg_nod(rw->g, id)->in[0];
    cyg_rw_replace(rw, id, CYG_OP_reshape, (cyg_value_id[]){x, s}, 2, y);
    cyg_rw_drop(rw, former);
    return CYG_OK;
}

/* Only axes of size one change their place among the others. */
static bool moves_ones_only(const cyg_rw *rw, const cyg_node *n)
{
    const cyg_value *x = cyg_val(rw->g, n->in[0]);
    const int64_t *perm;
    const size_t count = cyg_node_ints(n, CYG_ATTR_perm, &perm);
    if (x->rank == CYG_RANK_UNKNOWN || count != x->rank)
        return false;
    int64_t last = -1;
    for (size_t i = 0; i < count; i++) {
        if (perm[i] < 0 || perm[i] >= x->rank)
            return false;
        if (x->dims[perm[i]] == 1)
            continue;
        if (perm[i] < last)
            return false;
        last = perm[i];
    }
    return true;
}

static cyg_status compose(cyg_rw *rw, cyg_node_id id, cyg_node_id before)
{
    const cyg_node *n = cyg_nod(rw->g, id), *b = cyg_nod(rw->g, before);
    const int64_t *outer, *inner;
    const size_t count = cyg_node_ints(n, CYG_ATTR_perm, &outer);
    if (count == 0 || count > CYG_MAX_RANK || cyg_node_ints(b, CYG_ATTR_perm, &inner) != count)
        return CYG_OK;
    int64_t perm[CYG_MAX_RANK];
    for (size_t i = 0; i < count; i++) {
        if (outer[i] < 0 || outer[i] >= (int64_t)count)
            return CYG_OK;
        perm[i] = inner[outer[i]];
    }
    const cyg_value_id former = n->in[0];
    const cyg_node_id now = cyg_rw_replace(rw, id, CYG_OP_transpose, &b->in[0], 1, n->out[0]);
    if (cyg_node_is_none(now) || !cyg_node_set_ints(rw->g, now, CYG_ATTR_perm, perm, count))
        return CYG_RW_NOMEM(rw);
    cyg_node_merge_sources(rw->g, now, before);
    cyg_rw_drop(rw, former);
    return CYG_OK;
}

static cyg_status count_from_end(cyg_rw *rw, cyg_node_id id)
{
    const cyg_node *n = cyg_nod(rw->g, id);
    const cyg_value *x = cyg_val(rw->g, n->in[0]);
    const int64_t axis = cyg_node_int(n, CYG_ATTR_axis, -1);
    if (axis < 0 || x->rank == CYG_RANK_UNKNOWN || axis != x->rank - 1)
        return CYG_OK;
    return cyg_node_set_int(rw->g, id, CYG_ATTR_axis, -1) ? CYG_OK : CYG_RW_NOMEM(rw);
}

static cyg_status visit(cyg_rw *rw, cyg_node_id id)
{
    const cyg_node *n = cyg_nod(rw->g, id);
    if (n->op == CYG_OP_layer_normalization || n->op == CYG_OP_rms_normalization)
        return count_from_end(rw, id);
    if (n->op == CYG_OP_transpose) {
        const cyg_node_id before = cyg_rw_producer(rw, n->in[0], CYG_OP_transpose);
        if (!cyg_node_is_none(before))
            return compose(rw, id, before);
        return moves_ones_only(rw, n) && reshapable(cyg_val(rw->g, n->out[0]))
                   ? become_reshape(rw, id, n->in[0])
                   : CYG_OK;
    }
    if (!cyg_rw_is_view(n->op) || n->op == CYG_OP_identity ||
        !reshapable(cyg_val(rw->g, n->out[0])))
        return CYG_OK;
    const cyg_value_id top = cyg_rw_through_views(rw, n->in[0]);
    const bool canonical = n->op == CYG_OP_reshape && cyg_rw_is_const(rw, n->in[1]);
    if (canonical && top.i == n->in[0].i)
        return CYG_OK;
    return become_reshape(rw, id, top);
}

cyg_status cyg_pass_algebra(cyg_ctx *ctx, cyg_graph *g, bool *out_changed)
{
    return cyg_rw_each(ctx, g, visit, out_changed);
}
