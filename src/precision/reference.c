/* The quantiser keeps ids: a value of the float graph is the same value in the quantised one. Three
 * kinds are new. What requant and movement nodes write that it put in stands for what they read;
 * what an old node writes instead of its old result stands for that result; and what comes before
 * the first arithmetic belongs to the caller: there the float graph may see normalised numbers
 * where the program sees pixels, so those are left out whatever their ids. */
#include "precision/reference.h"

static bool moves(const cyg_node *n)
{
    return (cyg_op_schema_of(n->op)->flags & CYG_OPF_MOVE) != 0 || n->op == CYG_OP_requant ||
           n->op == CYG_OP_cast;
}

/* Values that the caller's bytes reach by movement and conversion alone, and by what was put in
 * front of the model: scales of codes, colours of video pixels, a normalisation. */
static void mark_entrance(const cyg_graph *reference, const cyg_graph *g, bool *entrance)
{
    for (uint32_t i = 0; i < g->input_count; i++)
        entrance[g->inputs[i].i] = true;
    for (uint32_t i = 0; i < g->order_count; i++) {
        const cyg_node *n = cyg_nod(g, g->order[i]);
        const cyg_value_id x = cyg_node_in(n, 0);
        const bool put_in = g->order[i].i >= reference->node_count;
        if ((moves(n) || put_in) && !cyg_value_is_none(x) && entrance[x.i])
            for (uint32_t k = 0; k < n->out_count; k++)
                entrance[n->out[k].i] = true;
    }
}

static cyg_value_id stands_for(const cyg_graph *reference, const cyg_graph *g,
                               const cyg_value_id *of, cyg_node_id id, uint32_t k)
{
    const cyg_node *n = cyg_nod(g, id);
    const cyg_value_id y = n->out[k];
    if (y.i < reference->value_count)
        return y;
    if (id.i < reference->node_count && k < cyg_nod(reference, id)->out_count)
        return cyg_nod(reference, id)->out[k];
    return n->op == CYG_OP_requant ? of[n->in[0].i] : CYG_NO_VALUE;
}

cyg_status cyg_precision_reference(cyg_ctx *ctx, const cyg_graph *reference, const cyg_graph *g,
                                   const cyg_program *p, cyg_arena *arena, cyg_value_id **out_of)
{
    bool *entrance = CYG_NEW_ARRAY(arena, bool, (size_t)g->value_count + 1);
    cyg_value_id *value = CYG_NEW_ARRAY(arena, cyg_value_id, (size_t)g->value_count + 1);
    cyg_value_id *of = CYG_NEW_ARRAY(arena, cyg_value_id, (size_t)p->tensor_count + 1);
    if (entrance == NULL || value == NULL || of == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory for the precision analysis");
    mark_entrance(reference, g, entrance);
    for (uint32_t v = 0; v < g->value_count; v++)
        value[v] = CYG_NO_VALUE;
    for (uint32_t i = 0; i < g->order_count; i++)
        for (uint32_t k = 0; k < cyg_nod(g, g->order[i])->out_count; k++) {
            const uint32_t y = cyg_nod(g, g->order[i])->out[k].i;
            if (!entrance[y])
                value[y] = stands_for(reference, g, value, g->order[i], k);
        }
    for (uint32_t t = 0; t < p->tensor_count; t++) {
        const uint32_t v = p->tensors[t].value;
        of[t] = v < g->value_count ? value[v] : CYG_NO_VALUE;
        if (!cyg_value_is_none(of[t]) &&
            (cyg_val(reference, of[t])->type != CYG_TYPE_F32 ||
             cyg_value_elements(cyg_val(reference, of[t])) != cyg_tensor_elements(&p->tensors[t])))
            of[t] = CYG_NO_VALUE;
    }
    *out_of = of;
    return CYG_OK;
}
