/* Constant folding.
 *
 * A node whose inputs are all constants is run once, here, by the interpreter: its outputs become
 * constants. Shape and Size need no data, only a known shape; so does a Gather or Slice that reads
 * known entries of a partly known Shape (that is how a graph with a symbolic batch loses its shape
 * arithmetic). Exporters compute window masks and position tables with hundreds of such nodes; all
 * of them end here.
 *
 * Limits: an operator that makes a large constant out of a small one (Expand, Tile,
 * ConstantOfShape) is left in the graph, because a file would grow beyond reason;
 * quantise/dequantise pairs are kept, they carry meaning for the quantiser. */
#include "interp/interp.h"
#include "pass/passes.h"
#include "pass/rewrite.h"

enum { FOLD_ALWAYS = 4 << 20, FOLD_NEVER = 256 << 20 }; /* bytes of one result */

static bool all_const(const cyg_rw *rw, const cyg_node *n)
{
    for (uint32_t i = 0; i < n->in_count; i++)
        if (!cyg_value_is_none(n->in[i]) && !cyg_val(rw->g, n->in[i])->is_const)
            return false;
    return true;
}

static bool is_output_node(const cyg_rw *rw, const cyg_node *n)
{
    for (uint32_t i = 0; i < n->out_count; i++)
        if (!cyg_value_is_none(n->out[i]) && cyg_graph_is_output(rw->g, n->out[i]))
            return true;
    return false;
}

static bool worth_it(const cyg_rw *rw, const cyg_node *n)
{
    int64_t in = 0, out = 0;
    for (uint32_t i = 0; i < n->in_count; i++)
        in += cyg_value_is_none(n->in[i]) ? 0 : (int64_t)cyg_val(rw->g, n->in[i])->bytes;
    for (uint32_t i = 0; i < n->out_count; i++) {
        if (cyg_value_is_none(n->out[i]))
            continue;
        const cyg_value *v = cyg_val(rw->g, n->out[i]);
        const int64_t count = cyg_value_elements(v);
        if (count < 0) /* a shape that only the data tells (Range, NonZero): small by nature or
                          refused by the interpreter */
            continue;
        if (count > FOLD_NEVER)
            return false;
        out += count * (int64_t)cyg_type_size(v->type);
    }
    return out <= FOLD_ALWAYS || (out <= FOLD_NEVER && out <= 2 * in);
}

/* Known dimensions of a Shape node's operand from `start` to `end`. */
static bool shape_part(const cyg_rw *rw, const cyg_node *shape, const int64_t **out_dims,
                       int64_t *out_count)
{
    const cyg_value *x = cyg_val(rw->g, shape->in[0]);
    if (x->rank == CYG_RANK_UNKNOWN)
        return false;
    int64_t start = cyg_node_int(shape, CYG_ATTR_start, 0),
            end = cyg_node_int(shape, CYG_ATTR_end, x->rank);
    start = start < 0 ? start + x->rank : start;
    end = end < 0 ? end + x->rank : end;
    start = start < 0 ? 0 : start > x->rank ? x->rank : start;
    end = end < start ? start : end > x->rank ? x->rank : end;
    *out_dims = x->dims + start;
    *out_count = end - start;
    return true;
}

static cyg_status become_const(cyg_rw *rw, cyg_node_id id, const int64_t *data, int64_t count,
                               bool scalar)
{
    const cyg_value_id out = cyg_nod(rw->g, id)->out[0];
    const cyg_value_id c =
        cyg_graph_add_const_copy(rw->g, cyg_val(rw->g, out)->name, CYG_TYPE_S64, scalar ? 0 : 1,
                                 &count, data, (size_t)count * sizeof *data);
    if (cyg_value_is_none(c))
        return CYG_RW_NOMEM(rw);
    if (cyg_rw_bypass(rw, out, c))
        cyg_graph_remove_node(rw->g, id);
    return CYG_OK;
}

/* A Slice, step 1, of a Shape whose entries in it are known. */
static cyg_status fold_slice(cyg_rw *rw, cyg_node_id id, bool *out_done)
{
    const cyg_node *n = cyg_nod(rw->g, id);
    const cyg_node_id p = cyg_rw_producer(rw, n->in[0], CYG_OP_shape);
    const int64_t *dims, *from, *to, *step;
    int64_t count, copy[CYG_MAX_RANK] = {0}, known = 0;
    size_t sizes[3];
    if (cyg_node_is_none(p) || !shape_part(rw, cyg_nod(rw->g, p), &dims, &count) ||
        !cyg_rw_ints(rw, cyg_node_in(n, 1), &from, &sizes[0]) || sizes[0] != 1 ||
        !cyg_rw_ints(rw, cyg_node_in(n, 2), &to, &sizes[1]) || sizes[1] != 1 ||
        (!cyg_value_is_none(cyg_node_in(n, 4)) &&
         (!cyg_rw_ints(rw, cyg_node_in(n, 4), &step, &sizes[2]) || sizes[2] != 1 || step[0] != 1)))
        return CYG_OK;
    int64_t begin = from[0] < 0 ? from[0] + count : from[0],
            end = to[0] < 0 ? to[0] + count : to[0];
    begin = begin < 0 ? 0 : begin;
    end = end > count ? count : end;
    for (int64_t k = begin; k < end; k++) {
        if (dims[k] < 0)
            return CYG_OK;
        copy[known++] = dims[k];
    }
    *out_done = true;
    return become_const(rw, id, copy, known, false);
}

static cyg_status fold_shape(cyg_rw *rw, cyg_node_id id, bool *out_done)
{
    const cyg_node *n = cyg_nod(rw->g, id);
    const int64_t *dims, *index;
    int64_t count;
    size_t index_count;
    *out_done = false;
    if (n->op == CYG_OP_size) {
        const int64_t total = cyg_value_elements(cyg_val(rw->g, n->in[0]));
        *out_done = total >= 0;
        return total < 0 ? CYG_OK : become_const(rw, id, &total, 1, true);
    }
    if (n->op == CYG_OP_shape) {
        if (!shape_part(rw, n, &dims, &count))
            return CYG_OK;
        for (int64_t i = 0; i < count; i++)
            if (dims[i] < 0)
                return CYG_OK;
        int64_t copy[CYG_MAX_RANK] = {0};
        for (int64_t i = 0; i < count; i++)
            copy[i] = dims[i];
        *out_done = true;
        return become_const(rw, id, copy, count, false);
    }
    if (n->op == CYG_OP_slice)
        return fold_slice(rw, id, out_done);
    const cyg_node_id p =
        n->op == CYG_OP_gather ? cyg_rw_producer(rw, n->in[0], CYG_OP_shape) : CYG_NO_NODE;
    if (cyg_node_is_none(p) || !cyg_rw_ints(rw, cyg_node_in(n, 1), &index, &index_count) ||
        index_count > CYG_MAX_RANK || !shape_part(rw, cyg_nod(rw->g, p), &dims, &count))
        return CYG_OK;
    int64_t picked[CYG_MAX_RANK];
    for (size_t i = 0; i < index_count; i++) {
        const int64_t k = index[i] < 0 ? index[i] + count : index[i];
        if (k < 0 || k >= count || dims[k] < 0)
            return CYG_OK;
        picked[i] = dims[k];
    }
    *out_done = true;
    return become_const(rw, id, picked, (int64_t)index_count, cyg_val(rw->g, n->in[1])->rank == 0);
}

/* What the file says of how a constant was stored goes with a copy of it in another order. */
static cyg_quant moved_quant(const cyg_rw *rw, const cyg_node *n)
{
    cyg_quant q = n->in_count > 0 && !cyg_value_is_none(n->in[0]) ? cyg_val(rw->g, n->in[0])->quant
                                                                  : (cyg_quant){.axis = -1};
    const int64_t *perm;
    if ((cyg_op_schema_of(n->op)->flags & CYG_OPF_MOVE) == 0 || n->op == CYG_OP_concat)
        return (cyg_quant){.axis = -1};
    if (q.axis < 0)
        return q;
    if (n->op == CYG_OP_transpose)
        for (size_t i = 0, count = cyg_node_ints(n, CYG_ATTR_perm, &perm); i < count; i++)
            if (perm[i] == q.axis) {
                q.axis = (int32_t)i;
                return q;
            }
    return (cyg_quant){.axis = -1};
}

static cyg_status fold_one(cyg_rw *rw, cyg_node_id id)
{
    bool done;
    CYG_DO(fold_shape(rw, id, &done));
    const cyg_node *n = cyg_nod(rw->g, id);
    if (done || n->op == CYG_OP_removed || !all_const(rw, n) || is_output_node(rw, n) ||
        !worth_it(rw, n) || (cyg_op_schema_of(n->op)->flags & CYG_OPF_QDQ) != 0)
        return CYG_OK;
    const cyg_quant q = moved_quant(rw, n);
    const cyg_value_id out = n->out[0];
    const cyg_status status = cyg_interp_fold_node(rw->ctx, rw->g, id);
    if (status == CYG_E_UNSUPPORTED) {
        cyg_ctx_clear(rw->ctx);
        return CYG_OK;
    }
    /* Operands that a kernel refuses (an index out of range) are the file's. */
    CYG_TRY(rw->ctx, status == CYG_E_INTERNAL ? CYG_E_GRAPH : status, "while folding node %s",
            cyg_nod(rw->g, id)->name);
    if (q.type != CYG_TYPE_NONE && cyg_val(rw->g, out)->is_const)
        cyg_val(rw->g, out)->quant = q;
    if (cyg_nod(rw->g, id)->op != CYG_OP_removed)
        cyg_graph_remove_node(rw->g, id);
    rw->changed = true;
    return CYG_OK;
}

cyg_status cyg_pass_fold(cyg_ctx *ctx, cyg_graph *g, bool *out_changed)
{
    cyg_rw rw;
    cyg_status status = cyg_rw_begin(ctx, g, &rw);
    /* In execution order, so that one run folds whole chains; shapes follow the constants as they
     * appear. */
    for (uint32_t k = 0; status == CYG_OK && k < g->order_count; k++) {
        const cyg_node_id id = g->order[k];
        if (cyg_nod(g, id)->op == CYG_OP_removed)
            continue;
        cyg_arena_reset(&rw.scratch);
        if (rw.changed)
            status = cyg_node_infer(ctx, g, id);
        if (status == CYG_OK)
            status = fold_one(&rw, id);
        if (status == CYG_OK && (k & 63) == 0)
            status = cyg_ctx_check_cancelled(ctx);
    }
    return cyg_rw_end(&rw, status, out_changed);
}
