/* Values as rows of channels: how linears become Gemm.
 *
 * Gemm does product and bias in one node and takes its weights as linear stores them, but wants
 * [rows, channels], where tokens are [images, tokens, channels]. A Reshape on each side would cost
 * more than it saves. So whole chains are written by rows: a linear or a layer norm asks for its
 * operand by rows, what works element by element follows, attention and gather_rows, which give
 * their operands shapes of their own anyway, take and leave either form, and Reshapes that leave
 * the channels alone are made only when somebody needs their shape. Two Reshapes a network are
 * left.
 *
 * In `to` a value that is kept by rows has its own name with two dimensions; whoever needs its
 * shape reads a Reshape behind it. Graph outputs always have their shape. */
#include "onnx/expand.h"

#include "base/bytes.h"

static const cyg_value *from_value(const cyg_expander *x, cyg_value_id v)
{
    return cyg_val(x->from, v);
}

/* Channels, when v can be seen as rows of them and brought back. */
static int64_t channels_of(const cyg_value *v)
{
    int64_t target[CYG_MAX_RANK];
    if (v->type != CYG_TYPE_F32 || v->rank == CYG_RANK_UNKNOWN || v->rank < 2 ||
        v->dims[v->rank - 1] < 1 || !cyg_expand_target(v, target))
        return -1;
    for (unsigned i = 0; i < v->rank; i++)
        if (target[i] == 0)
            return -1;
    return v->dims[v->rank - 1];
}

static bool same_rows(const cyg_value *a, const cyg_value *b)
{
    if (a->rank != b->rank)
        return false;
    for (unsigned i = 0; i + 1 < a->rank; i++)
        if (a->dims[i] != b->dims[i] || a->dims[i] == -1)
            return false;
    return true;
}

static bool is_pending(const cyg_expander *x, cyg_value_id v)
{
    const cyg_value_id as = x->seen_as[v.i];
    return cyg_value_is_none(x->map[v.i]) &&
           !cyg_value_is_none(x->rows[cyg_value_is_none(as) ? v.i : as.i]);
}

/* A constant beside rows: a number, a vector of channels, or the result's own elements. */
static bool follows_rows(const cyg_value *c, const cyg_value *y)
{
    const int64_t count = cyg_value_elements(c), last = c->rank == 0 ? 1 : c->dims[c->rank - 1];
    return count == 1 || (count == last && count == y->dims[y->rank - 1]) ||
           (count == cyg_value_elements(y) && last == y->dims[y->rank - 1]);
}

/* Rows behind rows: Concat along the only axis before the channels that is not 1. */
static bool joins_rows(const cyg_expander *x)
{
    const cyg_value *y = from_value(x, x->n->out[0]);
    const int64_t axis = cyg_node_int(x->n, CYG_ATTR_axis, 0);
    bool pending = false;
    for (int k = 0; k + 1 < y->rank; k++)
        if (y->dims[k] != 1 && k != (axis < 0 ? axis + y->rank : axis))
            return false;
    for (uint32_t i = 0; i < x->n->in_count; i++) {
        if (channels_of(cyg_expand_operand(x, i)) != channels_of(y))
            return false;
        pending = pending || is_pending(x, x->n->in[i]);
    }
    return pending;
}

/* ReduceMean of [1, rows, channels] to [1, channels]. */
static bool averages_rows(const cyg_expander *x)
{
    const cyg_value *in = cyg_expand_operand(x, 0), *axes = cyg_expand_operand(x, 1);
    return in->rank == 3 && in->dims[0] == 1 && is_pending(x, x->n->in[0]) && axes != NULL &&
           axes->is_const && axes->type == CYG_TYPE_S64 && cyg_value_elements(axes) == 1 &&
           cyg_load_i64(axes->data) == 1 && cyg_node_int(x->n, CYG_ATTR_keepdims, 1) == 0;
}

static cyg_status concat_of_rows(cyg_expander *x, cyg_value_id *out_result)
{
    cyg_value_id *in = CYG_NEW_ARRAY(&x->to->arena, cyg_value_id, x->n->in_count);
    for (uint32_t i = 0; in != NULL && i < x->n->in_count; i++)
        in[i] = cyg_expand_in(x, i);
    *out_result = in == NULL ? CYG_NO_VALUE : cyg_emit(x, CYG_OP_concat, "", in, x->n->in_count);
    CYG_IGNORE(cyg_node_set_int(x->to, cyg_emitted(x, *out_result), CYG_ATTR_axis, 0));
    return CYG_OK;
}

static cyg_status mean_of_rows(cyg_expander *x, cyg_value_id *out_result)
{
    const int64_t axis = 0;
    *out_result =
        cyg_emit2(x, CYG_OP_reduce_mean, "", cyg_expand_in(x, 0), cyg_expand_ints(x, &axis, 1));
    CYG_IGNORE(cyg_node_set_int(x->to, cyg_emitted(x, *out_result), CYG_ATTR_keepdims, 1));
    return CYG_OK;
}

cyg_expand_rule cyg_expand_row_rule(cyg_op op)
{
    return op == CYG_OP_concat ? concat_of_rows : op == CYG_OP_reduce_mean ? mean_of_rows : NULL;
}

void cyg_expand_choose_rows(cyg_expander *x)
{
    const cyg_node *n = x->n;
    const unsigned flags = cyg_op_schema_of(n->op)->flags;
    const bool linear = n->op == CYG_OP_linear,
               norm = (n->op == CYG_OP_layer_normalization || n->op == CYG_OP_rms_normalization) &&
                      cyg_node_int(n, CYG_ATTR_axis, -1) == -1;
    x->by_rows = false;
    if (x->rows == NULL || n->out_count != 1)
        return;
    const cyg_value *y = from_value(x, n->out[0]);
    if (channels_of(y) < 1)
        return;
    if (n->op == CYG_OP_concat)
        x->by_rows = joins_rows(x);
    if (n->op == CYG_OP_reduce_mean)
        x->by_rows = averages_rows(x);
    if (!linear && !norm && (flags & (CYG_OPF_UNARY | CYG_OPF_BINARY)) == 0)
        return;
    bool wanted = (linear || norm) && y->rank > 2;
    for (uint32_t i = 0; i < n->in_count; i++) {
        const cyg_value *v = cyg_expand_operand(x, i);
        const bool parameter = v == NULL || ((linear || norm) && v->is_const && v->rank <= 2);
        if (parameter || (v->is_const && follows_rows(v, y)))
            continue;
        if (v->is_const || channels_of(v) < 1 || !same_rows(v, y))
            return;
        wanted = wanted || is_pending(x, n->in[i]);
    }
    x->by_rows = wanted;
}

/* ---- forms ---- */

cyg_value_id cyg_expand_any(cyg_expander *x, uint32_t i)
{
    cyg_value_id v = cyg_node_in(x->n, i);
    if (cyg_value_is_none(v) || x->rows == NULL)
        return cyg_expand_in(x, i);
    if (cyg_value_is_none(x->map[v.i]) && !cyg_value_is_none(x->seen_as[v.i]))
        v = x->seen_as[v.i];
    return cyg_value_is_none(x->map[v.i]) ? x->rows[v.i] : x->map[v.i];
}

/* Emits in the name of the node that made v. */
static cyg_value_id reshaped(cyg_expander *x, const char *suffix, cyg_value_id v, cyg_value_id a,
                             const int64_t *dims, int rank)
{
    const cyg_node *const node = x->n;
    const char *const stem = x->stem;
    const cyg_node_id producer = from_value(x, v)->producer;
    if (!cyg_node_is_none(producer)) {
        x->n = cyg_nod(x->from, producer);
        x->stem = x->n->name;
    }
    const cyg_value_id y = cyg_emit_reshape(x, suffix, a, dims, rank);
    x->n = node;
    x->stem = stem;
    return y;
}

cyg_value_id cyg_expand_shaped(cyg_expander *x, cyg_value_id v)
{
    const cyg_value_id as = x->seen_as[v.i];
    int64_t target[CYG_MAX_RANK];
    if (!cyg_expand_target(from_value(x, v), target)) /* looked at when it was put off */
        return CYG_NO_VALUE;
    const int rank = from_value(x, v)->rank;
    if (cyg_value_is_none(as)) {
        x->map[v.i] = reshaped(x, "Shape", v, x->rows[v.i], target, rank);
        return x->map[v.i];
    }
    const cyg_value_id source = cyg_value_is_none(x->map[as.i]) ? x->rows[as.i] : x->map[as.i];
    cyg_expand_bind(x, reshaped(x, "", v, source, target, rank), v);
    x->map[v.i] = v;
    return v;
}

/* The same bytes in two dimensions. */
static cyg_value_id flat_constant(cyg_expander *x, cyg_value_id id)
{
    const cyg_value *v = from_value(x, id);
    const int64_t last = v->dims[v->rank - 1],
                  dims[2] = {last < 1 ? 0 : cyg_value_elements(v) / last, last};
    return cyg_graph_add_const(x->to, v->name, v->type, 2, dims, v->data, v->bytes);
}

cyg_value_id cyg_expand_by_rows(cyg_expander *x, cyg_value_id id)
{
    const cyg_value *v = from_value(x, id);
    const cyg_value_id as = x->seen_as[id.i];
    cyg_value_id *rows = &x->rows[id.i];
    if (!cyg_value_is_none(*rows))
        return *rows;
    if (!cyg_value_is_none(as)) {
        *rows = cyg_expand_by_rows(x, as);
    } else if (v->rank <= 2) {
        *rows = x->map[id.i];
    } else if (v->is_const) {
        *rows = flat_constant(x, id);
    } else {
        const int64_t dims[2] = {-1, v->dims[v->rank - 1]};
        *rows = reshaped(x, "Rows", id, x->map[id.i], dims, 2);
    }
    return *rows;
}

/* ---- results ---- */

bool cyg_expand_keep_rows(cyg_expander *x, cyg_value_id y)
{
    cyg_value *v = cyg_val(x->to, y);
    const int64_t channels = v->dims[v->rank - 1], count = cyg_value_elements(v);
    if (v->rank > 2 && cyg_graph_is_output(x->from, y))
        return false;
    x->rows[y.i] = y;
    if (v->rank == 2)
        return true;
    x->map[y.i] = CYG_NO_VALUE;
    v->rank = 2;
    v->dims[0] = count < 0 ? -1 : count / channels;
    v->dims[1] = channels;
    return true;
}

bool cyg_expand_postpone(cyg_expander *x)
{
    const cyg_node *n = x->n;
    if (x->rows == NULL || n->op != CYG_OP_reshape || cyg_graph_is_output(x->from, n->out[0]))
        return false;
    const cyg_value *in = from_value(x, n->in[0]), *out = from_value(x, n->out[0]);
    if (in->is_const || channels_of(in) < 1 || channels_of(in) != channels_of(out))
        return false;
    const cyg_value_id as = x->seen_as[n->in[0].i];
    x->seen_as[n->out[0].i] = cyg_value_is_none(as) ? n->in[0] : as;
    x->map[n->out[0].i] = CYG_NO_VALUE;
    return true;
}
