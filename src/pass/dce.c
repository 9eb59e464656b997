/* Dead code elimination: what no graph output depends on goes away, constants included (their slot
 * stays, as a value without data). One walk against the order marks what is needed; unused further
 * outputs of a live node (LayerNormalization's mean in dynamo exports) stay declared, nobody reads
 * them. */
#include "pass/passes.h"
#include "pass/rewrite.h"

static void drop_constants(cyg_graph *g, bool *needed)
{
    for (uint32_t k = 0; k < g->node_count; k++)
        for (uint32_t i = 0; i < g->nodes[k].attr_count; i++)
            if (g->nodes[k].attrs[i].kind == CYG_KIND_TENSOR)
                needed[g->nodes[k].attrs[i].u.tensor.i] = true;
    for (uint32_t v = 0; v < g->value_count; v++)
        if (g->values[v].is_const && !needed[v]) {
            g->values[v].is_const = false;
            g->values[v].data = NULL;
            g->values[v].bytes = 0;
        }
}

cyg_status cyg_pass_dce(cyg_ctx *ctx, cyg_graph *g, bool *out_changed)
{
    cyg_rw rw;
    cyg_status status = cyg_rw_begin(ctx, g, &rw);
    bool *needed = CYG_NEW_ARRAY(&rw.scratch, bool, g->value_count + 1);
    if (status == CYG_OK && needed == NULL)
        status = CYG_RW_NOMEM(&rw);
    for (uint32_t i = 0; status == CYG_OK && i < g->output_count; i++)
        needed[g->outputs[i].i] = true;
    for (uint32_t k = status == CYG_OK ? g->order_count : 0; k-- > 0;) {
        const cyg_node *n = cyg_nod(g, g->order[k]);
        bool live = false;
        for (uint32_t i = 0; i < n->out_count; i++)
            live = live || (!cyg_value_is_none(n->out[i]) && needed[n->out[i].i]);
        for (uint32_t i = 0; live && i < n->in_count; i++)
            if (!cyg_value_is_none(n->in[i]))
                needed[n->in[i].i] = true;
        if (!live && n->op != CYG_OP_removed) {
            cyg_graph_remove_node(g, g->order[k]);
            rw.changed = true;
        }
    }
    if (status == CYG_OK)
        drop_constants(g, needed);
    return cyg_rw_end(&rw, status, out_changed);
}
