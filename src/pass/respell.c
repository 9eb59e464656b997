/* A gather of rows that only exchanges axes is written as Reshape and Transpose again.
 *
 * index_map makes one form of all spellings, so that permutations of rows meet and cancel. What is
 * left over at the end and is written as ONNX needs Reshape, Gather and Reshape. When its table
 * says that the result is the source, seen with some axes, with these axes exchanged, and the
 * result is wanted with just these axes, then Reshape and Transpose do, and often Transpose alone.
 * Sources that are rows of tokens stay gathers: linears before and behind take them without any
 * shape. */
#include "pass/passes.h"
#include "pass/rewrite.h"

typedef struct spelling {
    int rank;
    int64_t seen[CYG_MAX_RANK]; /* the source's dimensions */
    int64_t perm[CYG_MAX_RANK];
} spelling;

/* idx[r] as a sum of steps over the axes of y (all but the last, the channels); false when it is
 * none. Axes of one element have step 0. */
static bool steps_of(const cyg_value *y, const int64_t *idx, int64_t count, int64_t *step)
{
    int64_t block = 1;
    for (int k = y->rank - 2; k >= 0; k--) {
        step[k] = y->dims[k] > 1 ? idx[block] - idx[0] : 0;
        block *= y->dims[k];
    }
    if (block != count || idx[0] != 0)
        return false;
    for (int64_t r = 0; r < count; r++) {
        int64_t sum = 0, rest = r;
        for (int k = y->rank - 2; k >= 0; k--) {
            sum += rest % y->dims[k] * step[k];
            rest /= y->dims[k];
        }
        if (sum != idx[r])
            return false;
    }
    return true;
}

static bool spell(const cyg_value *y, const int64_t *idx, int64_t count, spelling *out)
{
    int64_t step[CYG_MAX_RANK] = {0}, expected = 1;
    bool used[CYG_MAX_RANK] = {false};
    out->rank = y->rank;
    if (!steps_of(y, idx, count, step))
        return false;
    out->seen[y->rank - 1] = y->dims[y->rank - 1];
    out->perm[y->rank - 1] = y->rank - 1;
    /* From the source's last axis but one to its first: the axis of y with the step that is due. */
    for (int at = y->rank - 2; at >= 0; at--) {
        int found = -1;
        for (int k = y->rank - 2; k >= 0; k--)
            if (!used[k] && (found < 0 || y->dims[found] == 1) &&
                (y->dims[k] == 1 || step[k] == expected))
                found = k;
        if (found < 0)
            return false;
        used[found] = true;
        out->seen[at] = y->dims[found];
        out->perm[found] = at;
        expected *= y->dims[found];
    }
    return true;
}

static cyg_status visit(cyg_rw *rw, cyg_node_id id)
{
    cyg_graph *g = rw->g;
    if (cyg_nod(g, id)->op != CYG_OP_gather_rows)
        return CYG_OK;
    const cyg_value_id x = cyg_nod(g, id)->in[0], rows = cyg_nod(g, id)->out[0];
    const cyg_node_id user = cyg_rw_only_user(rw, rows);
    const bool shaped = !cyg_node_is_none(user) && cyg_rw_is_view(cyg_nod(g, user)->op);
    const cyg_value_id y = shaped ? cyg_nod(g, user)->out[0] : rows;
    const cyg_value shape = *cyg_val(g, y), *source = cyg_val(g, x);
    const int64_t images = cyg_val(g, rows)->dims[0];
    const int64_t *idx;
    size_t count;
    spelling s;
    if (source->rank < 4 || !cyg_value_shape_known(source) || !cyg_value_shape_known(&shape) ||
        shape.rank < 3 || cyg_value_elements(source) != cyg_value_elements(&shape) || images != 1 ||
        cyg_rw_last_dim(rw, x) != shape.dims[shape.rank - 1] ||
        !cyg_rw_ints(rw, cyg_nod(g, id)->in[1], &idx, &count) ||
        !spell(&shape, idx, (int64_t)count, &s))
        return CYG_OK;
    const cyg_value_id seen = cyg_rw_reshaped(rw, id, x, s.rank, s.seen);
    if (cyg_value_is_none(seen))
        return CYG_RW_NOMEM(rw);
    if (shaped) {
        cyg_node_merge_sources(g, id, user);
        cyg_graph_remove_node(g, user);
    }
    const cyg_node_id now = cyg_rw_replace(rw, id, CYG_OP_transpose, &seen, 1, y);
    return !cyg_node_is_none(now) &&
                   cyg_node_set_ints(g, now, CYG_ATTR_perm, s.perm, (size_t)s.rank)
               ? CYG_OK
               : CYG_RW_NOMEM(rw);
}

cyg_status cyg_pass_respell(cyg_ctx *ctx, cyg_graph *g, bool *out_changed)
{
    return cyg_rw_each(ctx, g, visit, out_changed);
}
