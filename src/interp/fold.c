/* Constant folding: runs one node whose inputs are all constants and turns its outputs into
 * constants of the graph. Called for thousands of tiny nodes, so nothing here may cost as much as
 * the graph. */
#include <string.h>

#include "interp/execute.h"
#include "interp/interp.h"
#include "interp/node_call.h"

typedef struct folding {
    const cyg_graph *g;
    const cyg_node *node;
    cyg_kbuf in;   /* scratch for one constant operand: bind copies it */
    cyg_kbuf *out; /* by output */
} folding;

static const cyg_kbuf *buf_of(void *user, cyg_value_id v)
{
    folding *f = user;
    for (uint32_t i = 0; i < f->node->out_count; i++)
        if (f->node->out[i].i == v.i)
            return &f->out[i];
    cyg_node_call_const_buf(cyg_val(f->g, v), &f->in);
    return &f->in;
}

static cyg_status run_folded(cyg_ctx *ctx, cyg_graph *g, folding *f, cyg_node_call *call)
{
    const struct cyg_kernels *isa;
    CYG_DO(cyg_execute_isa(ctx, &isa));
    for (uint32_t i = 0; i < f->node->out_count; i++) {
        const cyg_value *v = cyg_val(g, f->node->out[i]);
        cyg_node_call_shape(v, v->type, &f->out[i]);
        const size_t bytes = (size_t)cyg_value_elements(v) * cyg_type_size(v->type);
        f->out[i].data = cyg_arena_alloc(&g->arena, bytes > 0 ? bytes : 1, 64);
        if (f->out[i].data == NULL)
            return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory for folded constant \"%s\"", v->name);
    }
    cyg_scratch scratch = {0};
    cyg_status status = cyg_node_call_bind(ctx, call, buf_of, f, isa, &scratch);
    if (status == CYG_OK)
        status = cyg_node_call_run(ctx, call, buf_of, f, &scratch);
    cyg_scratch_deinit(&scratch);
    return status;
}

static cyg_status compute(cyg_ctx *ctx, cyg_graph *g, cyg_node_id id, cyg_arena *arena, folding *f)
{
    const cyg_node *n = f->node;
    cyg_node_call call = {0};
    for (uint32_t i = 0; i < n->in_count; i++)
        if (!cyg_value_is_none(n->in[i]) && !cyg_val(g, n->in[i])->is_const)
            return CYG_FAIL(ctx, CYG_E_UNSUPPORTED, "node \"%s\": an input is not constant",
                            n->name);
    CYG_DO(cyg_node_infer(ctx, g, id));
    f->out = CYG_NEW_ARRAY(arena, cyg_kbuf, n->out_count + 1);
    if (f->out == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    CYG_DO(cyg_node_call_init(ctx, g, id, arena, NULL, NULL, &call));
    cyg_status status = CYG_OK;
    if (call.lowered.is_view)
        f->out[0].data = buf_of(f, call.lowered.in[0].value)->data;
    else
        status = run_folded(ctx, g, f, &call);
    cyg_node_call_deinit(&call);
    return status;
}

cyg_status cyg_interp_fold_node(cyg_ctx *ctx, cyg_graph *g, cyg_node_id id)
{
    cyg_arena arena;
    cyg_arena_init(&arena);
    folding f = {.g = g, .node = cyg_nod(g, id)};
    const cyg_status status = compute(ctx, g, id, &arena, &f);
    for (uint32_t i = 0; status == CYG_OK && i < f.node->out_count; i++) {
        cyg_value *v = cyg_val(g, f.node->out[i]);
        v->data = f.out[i].data;
        v->bytes = (size_t)cyg_value_elements(v) * cyg_type_size(v->type);
        v->is_const = true;
        v->producer = CYG_NO_NODE;
    }
    cyg_arena_deinit(&arena);
    return status;
}
