/* Operators that do nothing: Identity, Cast to the type it has, Transpose that keeps the order, a
 * view or Expand that keeps the shape, x + 0, x - 0, x * 1, x / 1, Pad by nothing, Slice of
 * everything, Concat and Split of one piece, Clip without
 * limits, a pool over single elements. Each is recognised on shapes and
 * constants, not on where it came from. Their users read the operand instead. */
#include <string.h>

#include "base/bytes.h"
#include "pass/passes.h"
#include "pass/rewrite.h"

static bool keeps_order(const cyg_rw *rw, const cyg_node *n)
{
    const cyg_value *x = cyg_val(rw->g, n->in[0]);
    const int64_t *perm;
    const size_t count = cyg_node_ints(n, CYG_ATTR_perm, &perm);
    if (x->rank == CYG_RANK_UNKNOWN)
        return false;
    if (count == 0)
        return x->rank <= 1;
    for (size_t i = 0; i < count; i++)
        if (perm[i] != (int64_t)i)
            return false;
    return true;
}

static bool all_equal(cyg_rw *rw, cyg_value_id v, int64_t x)
{
    const int64_t *data;
    size_t count;
    if (!cyg_rw_ints(rw, v, &data, &count))
        return false;
    for (size_t i = 0; i < count; i++)
        if (data[i] != x)
            return false;
    return true;
}

static bool all_ones(const int64_t *data, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (data[i] != 1)
            return false;
    return true;
}

/* A pool that looks at one element: what AdaptiveAvgPool leaves when the map has the wanted size
 * already. */
static bool is_one_by_one(const cyg_node *n)
{
    const int64_t *kernel, *strides;
    const size_t count = cyg_node_ints(n, CYG_ATTR_kernel_shape, &kernel);
    const size_t stride_count = cyg_node_ints(n, CYG_ATTR_strides, &strides);
    return count > 0 && all_ones(kernel, count) && all_ones(strides, stride_count);
}

/* Every element of a float constant is x, and the constant does not make the result larger. */
static bool neutral(const cyg_rw *rw, const cyg_node *n, int c, float x)
{
    const cyg_value *v = cyg_val(rw->g, n->in[c]);
    if (!v->is_const || v->type != CYG_TYPE_F32 || v->data == NULL || v->bytes > 1 << 20)
        return false;
    const int64_t count = cyg_value_elements(v);
    for (int64_t i = 0; i < count; i++)
        if (cyg_float_at(v->data, i) != x)
            return false;
    return cyg_rw_same_shape(rw, n->in[1 - c], n->out[0]);
}

/* The operand that the node passes through; none when it does something. */
static cyg_value_id passes_through(cyg_rw *rw, const cyg_node *n)
{
    const cyg_value_id none = CYG_NO_VALUE;
    if (n->out_count == 0 || n->in_count == 0 || cyg_value_is_none(n->in[0]) ||
        cyg_value_is_none(n->out[0]))
        return none;
    const cyg_value_id x = n->in[0], y = n->out[0];
    const bool same = cyg_rw_same_shape(rw, x, y);
    switch ((int)n->op) {
    case CYG_OP_identity:
        return x;
    case CYG_OP_cast:
        return cyg_val(rw->g, x)->type == cyg_type_from_onnx(cyg_node_int(n, CYG_ATTR_to, 0))
                   ? x
                   : none;
    case CYG_OP_cast_like:
        return cyg_val(rw->g, x)->type == cyg_val(rw->g, n->in[1])->type ? x : none;
    case CYG_OP_transpose:
        return keeps_order(rw, n) ? x : none;
    case CYG_OP_reshape:
    case CYG_OP_flatten:
    case CYG_OP_squeeze:
    case CYG_OP_unsqueeze:
    case CYG_OP_expand:
        return same ? x : none;
    case CYG_OP_tile:
        return same && all_equal(rw, n->in[1], 1) ? x : none;
    case CYG_OP_pad:
        return same && all_equal(rw, n->in[1], 0) ? x : none;
    case CYG_OP_slice: {
        const cyg_value_id steps = cyg_node_in(n, 4);
        return same && (cyg_value_is_none(steps) || all_equal(rw, steps, 1)) ? x : none;
    }
    case CYG_OP_concat:
    case CYG_OP_sum:
    case CYG_OP_max:
    case CYG_OP_min:
        return n->in_count == 1 ? x : none;
    case CYG_OP_split:
        return n->out_count == 1 && same ? x : none;
    case CYG_OP_add:
        return neutral(rw, n, 1, 0.0f) ? x : neutral(rw, n, 0, 0.0f) ? n->in[1] : none;
    case CYG_OP_sub:
        return neutral(rw, n, 1, 0.0f) ? x : none;
    case CYG_OP_mul:
        return neutral(rw, n, 1, 1.0f) ? x : neutral(rw, n, 0, 1.0f) ? n->in[1] : none;
    case CYG_OP_div:
        return neutral(rw, n, 1, 1.0f) ? x : none;
    case CYG_OP_max_pool:
    case CYG_OP_average_pool:
        return same && n->out_count == 1 && is_one_by_one(n) ? x : none;
    case CYG_OP_clip:
        return cyg_value_is_none(cyg_node_in(n, 1)) && cyg_value_is_none(cyg_node_in(n, 2)) ? x
                                                                                            : none;
    default:
        return none;
    }
}

static cyg_status visit(cyg_rw *rw, cyg_node_id id)
{
    const cyg_node *n = cyg_nod(rw->g, id);
    const cyg_value_id x = passes_through(rw, n);
    if (cyg_value_is_none(x))
        return CYG_OK;
    if (cyg_rw_bypass(rw, n->out[0], x))
        cyg_graph_remove_node(rw->g, id);
    return CYG_OK;
}

cyg_status cyg_pass_identity(cyg_ctx *ctx, cyg_graph *g, bool *out_changed)
{
    return cyg_rw_each(ctx, g, visit, out_changed);
}
