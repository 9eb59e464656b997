/* Chains of views, of transposes and of slices.
 *
 * A view of a view is a view of the first operand, so each view reads from as far up as it can;
 * what is between dies when nobody else reads it. Flatten, Squeeze and Unsqueeze become Reshape on
 * the way: later passes know one spelling. So it is with LayerNormalization over the last axis: the
 * axis becomes -1. A chain of transposes is one with the composed permutation, slices along
 * different axes are one. A transpose that only moves axes of size one is a view too. Shapes must
 * be known up to one dimension, since a Reshape can leave one to be computed. */
#include <string.h>

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

/* The last transpose of a chain takes all of them, so that a long chain is walked once and its
 * provenance gathered once. */
static cyg_status compose(cyg_rw *rw, cyg_node_id id)
{
    cyg_graph *g = rw->g;
    const cyg_value_id y = cyg_nod(g, id)->out[0], former = cyg_nod(g, id)->in[0];
    const cyg_node_id user = cyg_rw_only_user(rw, y);
    const int64_t *outer, *inner;
    const size_t count = cyg_node_ints(cyg_nod(g, id), CYG_ATTR_perm, &outer);
    int64_t perm[CYG_MAX_RANK], next[CYG_MAX_RANK];
    if (count == 0 || count > CYG_MAX_RANK ||
        (!cyg_node_is_none(user) && cyg_nod(g, user)->op == CYG_OP_transpose))
        return CYG_OK;
    memcpy(perm, outer, count * sizeof *perm);
    cyg_value_id x = former;
    for (;;) {
        const cyg_node_id before = cyg_rw_producer(rw, x, CYG_OP_transpose);
        if (cyg_node_is_none(before) ||
            cyg_node_ints(cyg_nod(g, before), CYG_ATTR_perm, &inner) != count)
            break;
        for (size_t i = 0; i < count; i++) {
            if (perm[i] < 0 || perm[i] >= (int64_t)count)
                return CYG_OK;
            next[i] = inner[perm[i]];
        }
        memcpy(perm, next, count * sizeof *perm);
        cyg_node_merge_sources(g, id, before);
        x = cyg_nod(g, before)->in[0];
    }
    if (x.i == former.i)
        return CYG_OK;
    const cyg_node_id now = cyg_rw_replace(rw, id, CYG_OP_transpose, &x, 1, y);
    if (cyg_node_is_none(now) || !cyg_node_set_ints(g, now, CYG_ATTR_perm, perm, count))
        return CYG_RW_NOMEM(rw);
    cyg_rw_drop(rw, former);
    return CYG_OK;
}

/* ---- slices ---- */

typedef struct part {
    const int64_t *from, *to, *axis, *step;
    int64_t axes[CYG_MAX_RANK], steps[CYG_MAX_RANK];
    size_t count;
    uint32_t mask; /* of axes */
} part;

static bool read_part(cyg_rw *rw, const cyg_node *n, int rank, part *p)
{
    size_t counts[4] = {0};
    const int64_t **lists[4] = {&p->from, &p->to, &p->axis, &p->step};
    *p = (part){0};
    for (uint32_t i = 0; i < 4; i++)
        if (!cyg_value_is_none(cyg_node_in(n, i + 1)) &&
            !cyg_rw_ints(rw, n->in[i + 1], lists[i], &counts[i]))
            return false;
    p->count = counts[0];
    if (p->count == 0 || p->count > CYG_MAX_RANK || counts[1] != p->count ||
        (p->axis != NULL && counts[2] != p->count) || (p->step != NULL && counts[3] != p->count))
        return false;
    for (size_t i = 0; i < p->count; i++) {
        const int axis = cyg_rw_axis(p->axis == NULL ? (int64_t)i : p->axis[i], rank);
        if (axis < 0 || (p->mask >> axis & 1) != 0)
            return false;
        p->mask |= 1u << axis;
        p->axes[i] = axis;
        p->steps[i] = p->step == NULL ? 1 : p->step[i];
    }
    return true;
}

/* A slice of a slice along other axes: both at once. */
static cyg_status merge_slices(cyg_rw *rw, cyg_node_id id)
{
    cyg_graph *g = rw->g;
    const cyg_node *n = cyg_nod(g, id);
    const cyg_value_id former = n->in[0], y = n->out[0];
    const cyg_node_id before = cyg_rw_producer(rw, former, CYG_OP_slice);
    const int rank = cyg_val(g, y)->rank;
    part a, b;
    if (cyg_node_is_none(before) || !cyg_rw_single_use(rw, former) || rank == CYG_RANK_UNKNOWN ||
        !read_part(rw, cyg_nod(g, before), rank, &a) || !read_part(rw, n, rank, &b) ||
        (a.mask & b.mask) != 0)
        return CYG_OK;
    int64_t lists[4][2 * CYG_MAX_RANK];
    const size_t count = a.count + b.count;
    for (size_t i = 0; i < count; i++) {
        const part *p = i < a.count ? &a : &b;
        const size_t k = i < a.count ? i : i - a.count;
        lists[0][i] = p->from[k];
        lists[1][i] = p->to[k];
        lists[2][i] = p->axes[k];
        lists[3][i] = p->steps[k];
    }
    static const char *const names[4] = {"starts", "ends", "axes", "steps"};
    cyg_value_id in[5] = {cyg_nod(g, before)->in[0]};
    for (int i = 0; i < 4; i++) {
        in[i + 1] = cyg_rw_const_ints(rw, names[i], lists[i], count);
        if (cyg_value_is_none(in[i + 1]))
            return CYG_RW_NOMEM(rw);
    }
    const cyg_node_id now = cyg_rw_replace(rw, id, CYG_OP_slice, in, 5, y);
    if (cyg_node_is_none(now))
        return CYG_RW_NOMEM(rw);
    cyg_node_merge_sources(g, now, before);
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
            return compose(rw, id);
        return moves_ones_only(rw, n) && reshapable(cyg_val(rw->g, n->out[0]))
                   ? become_reshape(rw, id, n->in[0])
                   : CYG_OK;
    }
    if (n->op == CYG_OP_slice)
        return merge_slices(rw, id);
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
