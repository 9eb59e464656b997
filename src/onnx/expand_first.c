/* Pixels channels first: how convolutions lose the Transposes around them.
 *
 * Inside, convolutions and pools read and write [B, H, W, C]; ONNX's take [B, C, H, W]. A Transpose
 * on each side of each of them would be right and useless. So a value may be kept channels first:
 * convolutions and pools leave it so, what works element by element, Concat and the means over
 * positions follow their operands, a Transpose of the graph between the two layouts is none at all,
 * and whoever needs the channels last reads a Transpose behind the value, made when first asked
 * for. Graph outputs always have their own layout.
 *
 * In `to` such a value has its own name with its dimensions reordered. */
#include "onnx/expand.h"

#include <string.h>

#include "base/bytes.h"

static const int64_t to_first[] = {0, 3, 1, 2}, to_last[] = {0, 2, 3, 1};

static bool is_pixels(const cyg_value *v)
{
    return v != NULL && v->type == CYG_TYPE_F32 && v->rank == 4;
}

static bool is_pending(const cyg_expander *x, cyg_value_id v)
{
    return !cyg_value_is_none(v) && cyg_value_is_none(x->map[v.i]) &&
           !cyg_value_is_none(x->first[v.i]);
}

/* A constant beside pixels [B, H, W, C]: a number, or one for each channel. */
static bool follows_pixels(const cyg_value *c, const cyg_value *y)
{
    const int64_t count = cyg_value_elements(c);
    return c->is_const && c->quant.type == CYG_TYPE_NONE && c->type == CYG_TYPE_F32 &&
           (count == 1 ||
            (c->rank > 0 && count == c->dims[c->rank - 1] && count == y->dims[y->rank - 1]));
}

static bool elementwise_follows(const cyg_expander *x, const cyg_value *y)
{
    bool pending = false;
    for (uint32_t i = 0; i < x->n->in_count; i++) {
        const cyg_value *v = cyg_expand_operand(x, i);
        if (v == NULL || (v->is_const && follows_pixels(v, y)))
            continue;
        if (!is_pixels(v) || (v->is_const && v->quant.type != CYG_TYPE_NONE))
            return false;
        pending = pending || is_pending(x, x->n->in[i]);
    }
    return pending;
}

static bool concat_follows(const cyg_expander *x)
{
    bool pending = false;
    for (uint32_t i = 0; i < x->n->in_count; i++) {
        const cyg_value *v = cyg_expand_operand(x, i);
        if (!is_pixels(v) || v->is_const)
            return false;
        pending = pending || is_pending(x, x->n->in[i]);
    }
    return pending;
}

/* The mean over both dimensions of a picture. */
static bool averages_pixels(const cyg_expander *x)
{
    const cyg_value *axes = cyg_expand_operand(x, 1);
    if (!is_pixels(cyg_expand_operand(x, 0)) || !is_pending(x, x->n->in[0]) || axes == NULL ||
        !axes->is_const || axes->type != CYG_TYPE_S64 || cyg_value_elements(axes) != 2)
        return false;
    const int64_t a = cyg_load_i64(axes->data), b = cyg_load_i64((const int64_t *)axes->data + 1);
    return (a == 1 || a == -3) && (b == 2 || b == -2);
}

void cyg_expand_choose_first(cyg_expander *x)
{
    const cyg_node *n = x->n;
    const unsigned flags = cyg_op_schema_of(n->op)->flags;
    x->by_first = false;
    if (x->first == NULL || n->out_count != 1)
        return;
    const cyg_value *y = cyg_val(x->from, n->out[0]);
    const cyg_value *residual = cyg_expand_operand(x, 3);
    if (n->op == CYG_OP_reduce_mean && averages_pixels(x))
        x->by_first = true; /* its result may have two dimensions */
    if (!is_pixels(y))
        return;
    if (n->op == CYG_OP_conv2d)
        x->by_first = residual == NULL || (is_pixels(residual) && !residual->is_const);
    else if (n->op == CYG_OP_pool2d)
        x->by_first = true;
    else if (cyg_expand_pads_channels(x))
        x->by_first = is_pending(x, n->in[0]);
    else if (n->op == CYG_OP_concat)
        x->by_first = concat_follows(x);
    else if ((flags & (CYG_OPF_UNARY | CYG_OPF_BINARY)) != 0 || n->op == CYG_OP_requant)
        x->by_first = elementwise_follows(x, y);
}

/* ---- forms ---- */

/* Emits in the name of the node that made v. */
static cyg_value_id turned(cyg_expander *x, const char *suffix, cyg_value_id v, cyg_value_id a,
                           const int64_t *perm)
{
    const cyg_node *const node = x->n;
    const char *const stem = x->stem;
    const cyg_node_id producer = cyg_val(x->from, v)->producer;
    if (!cyg_node_is_none(producer)) {
        x->n = cyg_nod(x->from, producer);
        x->stem = x->n->name;
    }
    const cyg_value_id y = cyg_emit_transpose(x, suffix, a, perm, 4);
    x->n = node;
    x->stem = stem;
    return y;
}

cyg_value_id cyg_expand_channels_last(cyg_expander *x, cyg_value_id v)
{
    x->map[v.i] = turned(x, "ToChannelsLast", v, x->first[v.i], to_last);
    return x->map[v.i];
}

cyg_value_id cyg_expand_channels_first(cyg_expander *x, uint32_t i)
{
    const cyg_value_id id = cyg_node_in(x->n, i);
    const cyg_value *v = cyg_expand_operand(x, i);
    const bool was = x->by_first;
    if (v == NULL)
        return CYG_NO_VALUE;
    if (v->is_const && cyg_value_elements(v) > 1 && v->rank > 0 && x->n->op != CYG_OP_conv2d) {
        const int64_t dims[3] = {cyg_value_elements(v), 1, 1}; /* one a channel */
        return cyg_graph_add_const(x->to, v->name, v->type, 3, dims, v->data, v->bytes);
    }
    x->by_first = false;
    cyg_value_id now = CYG_NO_VALUE;
    if (!is_pixels(v) || v->is_const) {
        now = cyg_expand_in(x, i);
    } else if (cyg_value_is_none(x->first[id.i])) {
        now = turned(x, "ToChannelsFirst", id, cyg_expand_in(x, i), to_first);
        x->first[id.i] = now;
    } else {
        now = x->first[id.i];
    }
    x->by_first = was;
    return now;
}

bool cyg_expand_keep_first(cyg_expander *x, cyg_value_id y)
{
    cyg_value *v = cyg_val(x->to, y);
    if (v->rank != 4) /* a mean */
        return true;
    if (cyg_graph_is_output(x->from, y))
        return false;
    int64_t dims[4];
    for (int i = 0; i < 4; i++)
        dims[i] = v->dims[to_first[i]];
    memcpy(v->dims, dims, sizeof dims);
    x->first[y.i] = y;
    x->map[y.i] = CYG_NO_VALUE;
    return true;
}

/* ---- rules ---- */

static cyg_status elementwise(cyg_expander *x, cyg_value_id *out_result)
{
    cyg_value_id *in = CYG_NEW_ARRAY(&x->to->arena, cyg_value_id, x->n->in_count + 1);
    for (uint32_t i = 0; in != NULL && i < x->n->in_count; i++)
        in[i] = cyg_expand_in(x, i);
    *out_result = in == NULL ? CYG_NO_VALUE : cyg_emit(x, x->n->op, "", in, x->n->in_count);
    if (!cyg_value_is_none(*out_result))
        CYG_IGNORE(cyg_node_copy_attrs(x->to, cyg_emitted(x, *out_result), x->n));
    return CYG_OK;
}

static cyg_status concat(cyg_expander *x, cyg_value_id *out_result)
{
    const int64_t axis = cyg_node_int(x->n, CYG_ATTR_axis, 0), last = axis < 0 ? axis + 4 : axis;
    CYG_DO(elementwise(x, out_result));
    for (int k = 0; k < 4; k++)
        if (to_first[k] == last)
            CYG_IGNORE(cyg_node_set_int(x->to, cyg_emitted(x, *out_result), CYG_ATTR_axis, k));
    return CYG_OK;
}

static cyg_status mean(cyg_expander *x, cyg_value_id *out_result)
{
    const int64_t axes[2] = {2, 3};
    *out_result =
        cyg_emit2(x, CYG_OP_reduce_mean, "", cyg_expand_in(x, 0), cyg_expand_ints(x, axes, 2));
    CYG_IGNORE(cyg_node_set_int(x->to, cyg_emitted(x, *out_result), CYG_ATTR_keepdims,
                                cyg_node_int(x->n, CYG_ATTR_keepdims, 1)));
    return CYG_OK;
}

cyg_expand_rule cyg_expand_first_rule(cyg_op op, int opset)
{
    const cyg_expand_rule rule = cyg_expand_rule_of(op, opset);
    return op == CYG_OP_concat        ? concat
           : op == CYG_OP_reduce_mean ? mean
           : rule != NULL             ? rule
                                      : elementwise;
}

static bool has_perm(const cyg_node *n, const int64_t *perm)
{
    const int64_t *found;
    return cyg_node_ints(n, CYG_ATTR_perm, &found) == 4 &&
           memcmp(found, perm, 4 * sizeof *perm) == 0;
}

bool cyg_expand_is_turn(cyg_expander *x)
{
    const cyg_node *n = x->n;
    if (x->first == NULL || n->op != CYG_OP_transpose || cyg_graph_is_output(x->from, n->out[0]) ||
        !is_pixels(cyg_expand_operand(x, 0)) || cyg_expand_operand(x, 0)->is_const)
        return false;
    if (has_perm(n, to_first) && is_pending(x, n->in[0])) {
        x->map[n->out[0].i] = x->first[n->in[0].i];
        return true;
    }
    if (!has_perm(n, to_last))
        return false;
    x->first[n->out[0].i] = cyg_expand_in(x, 0);
    x->map[n->out[0].i] = CYG_NO_VALUE;
    return true;
}

/* Convolutions or pools channels last: is there anything to turn? */
bool cyg_expand_may_turn(const cyg_graph *g)
{
    for (uint32_t k = 0; k < g->order_count; k++) {
        const cyg_node *n = cyg_nod(g, g->order[k]);
        if (n->op == CYG_OP_pool2d ||
            (n->op == CYG_OP_conv2d && cyg_node_int(n, CYG_ATTR_x_nchw, 0) == 0))
            return true;
    }
    return false;
}
