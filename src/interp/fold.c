/* Constant folding: runs one node whose inputs are all constants and turns its outputs into
 * constants of the graph. */
#include <string.h>

#include "interp/execute.h"
#include "interp/interp.h"
#include "interp/node_call.h"

static cyg_status run_folded(cyg_ctx *ctx, cyg_graph *g, cyg_node_id id, cyg_node_call *call,
                             cyg_kbuf *values, cyg_scratch *scratch)
{
    const struct cyg_kernels *isa;
    CYG_DO(cyg_execute_isa(ctx, &isa));
    const cyg_node *n = cyg_nod(g, id);
    for (uint32_t i = 0; i < n->out_count; i++) {
        const cyg_value *v = cyg_val(g, n->out[i]);
        cyg_kbuf *buf = &values[n->out[i].i];
        cyg_node_call_shape(v, v->type, buf);
        const size_t bytes = (size_t)cyg_value_elements(v) * cyg_type_size(v->type);
        buf->data = cyg_arena_alloc(&g->arena, bytes > 0 ? bytes : 1, 64);
        if (buf->data == NULL)
            return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory for folded constant \"%s\"", v->name);
    }
    CYG_DO(cyg_node_call_bind(ctx, g, call, values, isa));
    return cyg_execute(ctx, &call->call, false, scratch);
}

cyg_status cyg_interp_fold_node(cyg_ctx *ctx, cyg_graph *g, cyg_node_id id)
{
    const cyg_node *n = cyg_nod(g, id);
    cyg_arena arena;
    cyg_scratch scratch = {0};
    cyg_node_call call = {0};
    cyg_arena_init(&arena);
    cyg_status status = CYG_OK;
    for (uint32_t i = 0; status == CYG_OK && i < n->in_count; i++)
        if (!cyg_value_is_none(n->in[i]) && !cyg_val(g, n->in[i])->is_const)
            status =
                CYG_FAIL(ctx, CYG_E_UNSUPPORTED, "node \"%s\": an input is not constant", n->name);
    if (status == CYG_OK)
        status = cyg_node_infer(ctx, g, id);
    if (status == CYG_OK)
        status = cyg_node_call_init(ctx, g, id, &arena, NULL, NULL, &call);
    cyg_kbuf *values = CYG_NEW_ARRAY(&arena, cyg_kbuf, g->value_count + 1);
    if (status == CYG_OK && values == NULL)
        status = CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    if (status == CYG_OK) {
        for (uint32_t i = 0; i < n->in_count; i++)
            if (!cyg_value_is_none(n->in[i]))
                cyg_node_call_const_buf(cyg_val(g, n->in[i]), &values[n->in[i].i]);
        if (call.lowered.is_view)
            values[n->out[0].i].data = values[call.lowered.in[0].value.i].data;
        else
            status = run_folded(ctx, g, id, &call, values, &scratch);
    }
    for (uint32_t i = 0; status == CYG_OK && i < n->out_count; i++) {
        cyg_value *v = cyg_val(g, n->out[i]);
        v->data = values[n->out[i].i].data;
        v->bytes = (size_t)cyg_value_elements(v) * cyg_type_size(v->type);
        v->is_const = true;
        v->producer = CYG_NO_NODE;
    }
    cyg_node_call_deinit(&call);
    cyg_scratch_deinit(&scratch);
    cyg_arena_deinit(&arena);
    return status;
}
