/* What the runtime gets, by nodes behind a quantised graph's outputs: another order of axes, and
 * codes instead of floats. */
#include "quant/internal.h"

/* The output becomes `now`, which takes its name. */
static cyg_status hand_over(cyg_ctx *ctx, cyg_graph *g, uint32_t index, cyg_value_id now)
{
    const cyg_value_id old = g->outputs[index];
    if (cyg_value_is_none(now) || !cyg_quant_take_name(g, old, now))
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    cyg_graph_set_output(g, index, now);
    return CYG_OK;
}

/* Drops the conversion to float in front of the output. */
static cyg_status leave_codes(cyg_ctx *ctx, cyg_graph *g, uint32_t index, cyg_type type)
{
    const cyg_value_id y = g->outputs[index];
    const cyg_node_id n = cyg_val(g, y)->producer;
    const char *name = cyg_val(g, y)->name;
    if (cyg_node_is_none(n) || cyg_nod(g, n)->op != CYG_OP_requant)
        return CYG_FAIL(
            ctx, CYG_E_CONFIG,
            "output \"%s\": output_dtype %s leaves the codes of a quantised output, but "
            "this one is computed in float",
            name, cyg_type_name(type));
    const cyg_value_id codes = cyg_nod(g, n)->in[0];
    const cyg_quant *q = &cyg_val(g, codes)->quant;
    if (q->type != type || q->count != 1)
        return CYG_FAIL(ctx, CYG_E_CONFIG, "output \"%s\": output_dtype %s, but its codes are %s",
                        name, cyg_type_name(type),
                        q->type == CYG_TYPE_NONE ? "floats" : cyg_type_name(q->type));
    if (cyg_graph_is_output(g, codes) || cyg_graph_is_input(g, codes))
        return CYG_FAIL(ctx, CYG_E_UNSUPPORTED,
                        "output \"%s\": its codes are another end of the model already", name);
    return hand_over(ctx, g, index, codes);
}

static cyg_status transpose(cyg_ctx *ctx, cyg_graph *g, uint32_t index, const int64_t *perm,
                            size_t count)
{
    const cyg_value y = *cyg_val(g, g->outputs[index]);
    const cyg_value_id from = g->outputs[index];
    int64_t dims[CYG_MAX_RANK];
    unsigned seen = 0;
    for (size_t i = 0; i < count; i++) {
        if (count != y.rank || perm[i] < 0 || perm[i] >= y.rank || (seen >> perm[i] & 1) != 0)
            return CYG_FAIL(ctx, CYG_E_CONFIG,
                            "output \"%s\": dst_perm has to name each of its %d axes once", y.name,
                            y.rank);
        seen |= 1u << perm[i];
        dims[i] = y.dims[perm[i]];
    }
    const cyg_value_id now = cyg_graph_add_value(g, NULL, y.type, y.rank, dims);
    if (cyg_value_is_none(now))
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    cyg_val(g, now)->quant = y.quant;
    CYG_DO(hand_over(ctx, g, index, now));
    const cyg_node_id n =
        cyg_graph_add_node(g, CYG_NO_NODE, CYG_OP_transpose, NULL, &from, 1, &now, 1);
    return !cyg_node_is_none(n) && cyg_node_set_ints(g, n, CYG_ATTR_perm, perm, count)
               ? CYG_OK
               : CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
}

/* A node whose only result is no longer read. */
static void drop_unread(cyg_graph *g, cyg_value_id v)
{
    const cyg_node_id n = cyg_val(g, v)->producer;
    if (cyg_node_is_none(n) || cyg_graph_is_output(g, v))
        return;
    for (uint32_t i = 0; i < g->order_count; i++)
        for (uint32_t k = 0; k < cyg_nod(g, g->order[i])->in_count; k++)
            if (cyg_nod(g, g->order[i])->in[k].i == v.i)
                return;
    cyg_graph_remove_node(g, n);
}

cyg_status cyg_quant_bind_output(cyg_ctx *ctx, cyg_graph *g, uint32_t index, cyg_type dst_type,
                                 const int64_t *perm, size_t perm_count)
{
    const cyg_value_id old = g->outputs[index];
    if (dst_type != CYG_TYPE_F32) {
        CYG_DO(leave_codes(ctx, g, index, dst_type));
        drop_unread(g, old);
    }
    if (perm_count > 0)
        CYG_DO(transpose(ctx, g, index, perm, perm_count));
    return cyg_graph_sort(ctx, g);
}
