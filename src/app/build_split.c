/* Fused steps that the configuration wants apart, since they have no form for it: attention at
 * transformer_opt_level 0, and where entries of layer_configs ask for FP32 of some of its operators
 * but not of all; linears and convolutions where they ask for FP32 of an activation or a residual
 * and not of the product. */
#include <string.h>

#include "app/build.h"
#include "pass/split_attention.h"
#include "pass/split_tail.h"

static bool wants_float(const cyg_config_quant *q, const char *name, const char *kind)
{
    const cyg_config_layer *l = cyg_config_pick_layer(q, name, kind, NULL, NULL);
    return l != NULL && ((l->data_type_at.origin != CYG_CONFIG_DEFAULT &&
                          l->data_type == CYG_CONFIG_DTYPE_FP32) ||
                         l->weight_data_type == CYG_CONFIG_DTYPE_FP32);
}

/* FP32 is asked of some of its operators: not of the step, nor of all products and the softmax. */
static bool wants_part(const cyg_build *b, const cyg_node *n)
{
    const cyg_config_quant *q = &b->config.quant;
    const cyg_graph *g = b->graph;
    bool some = false, all = true, own = false;
    for (uint32_t k = 0; k < n->source_count; k++) {
        const cyg_source *s = &g->sources[n->sources[k].i];
        const bool wanted = wants_float(q, s->name, s->kind);
        const bool counts = strcmp(s->kind, "MatMul") == 0 || strcmp(s->kind, "Softmax") == 0;
        some = some || wanted;
        all = all && (wanted || !counts);
        own = own || strcmp(s->name, n->name) == 0; /* then the name means that operator */
    }
    return some && !all && !(!own && wants_float(q, n->name, "Attention"));
}

/* The first part of a linear or convolution that is asked to be float; PRODUCT: none, or the whole
 * step is. */
static cyg_tail_part wanted_tail(const cyg_build *b, const cyg_node *n)
{
    const cyg_config_quant *q = &b->config.quant;
    const cyg_graph *g = b->graph;
    cyg_tail_part from = CYG_TAIL_PRODUCT;
    bool own = false;
    for (uint32_t k = 0; k < n->source_count; k++) {
        const cyg_source *s = &g->sources[n->sources[k].i];
        const cyg_tail_part part = cyg_tail_part_of(g, n, k);
        const bool wanted = wants_float(q, s->name, s->kind);
        own = own || strcmp(s->name, n->name) == 0; /* then the name means that operator */
        if (!wanted)
            continue;
        if (part == CYG_TAIL_PRODUCT && strcmp(s->kind, "Add") != 0)
            return CYG_TAIL_PRODUCT;
        if (part != CYG_TAIL_PRODUCT && (from == CYG_TAIL_PRODUCT || part < from))
            from = part;
    }
    const char *type = cyg_op_schema_of(n->op)->onnx;
    return !own && wants_float(q, n->name, type) ? CYG_TAIL_PRODUCT : from;
}

static cyg_status split_tails(cyg_build *b)
{
    cyg_ctx *ctx = &b->app->ctx;
    const cyg_graph *g = b->graph;
    cyg_node_id *list = CYG_NEW_ARRAY(&b->app->arena, cyg_node_id, g->order_count + 1);
    cyg_tail_part *from = CYG_NEW_ARRAY(&b->app->arena, cyg_tail_part, g->order_count + 1);
    size_t count = 0;
    if (list == NULL || from == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    for (uint32_t i = 0; i < g->order_count && b->config.quant.layer_configs.count > 0; i++) {
        const cyg_node *n = cyg_nod(g, g->order[i]);
        if ((n->op != CYG_OP_linear && n->op != CYG_OP_conv2d) ||
            !cyg_value_shape_known(cyg_val(g, n->out[0])))
            continue;
        from[count] = wanted_tail(b, n);
        if (from[count] != CYG_TAIL_PRODUCT)
            list[count++] = g->order[i];
    }
    if (count == 0)
        return CYG_OK;
    CYG_TRY(ctx, cyg_split_tail(ctx, b->graph, list, from, count), "while splitting steps");
    cyg_note(ctx,
             "%zu linears and convolutions are split, as layer_configs ask FP32 of what stands "
             "behind their products",
             count);
    return CYG_OK;
}

cyg_status cyg_build_split(cyg_build *b)
{
    CYG_DO(split_tails(b));
    cyg_ctx *ctx = &b->app->ctx;
    const cyg_graph *g = b->graph;
    const bool level_0 = b->config.quant.transformer_opt_level == 0;
    cyg_node_id *list = CYG_NEW_ARRAY(&b->app->arena, cyg_node_id, g->order_count + 1);
    size_t count = 0, whole = 0;
    if (list == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    for (uint32_t i = 0; i < g->order_count; i++) {
        const cyg_node *n = cyg_nod(g, g->order[i]);
        if (n->op != CYG_OP_attention || !(level_0 || wants_part(b, n)))
            continue;
        if (cyg_split_attention_can(g, g->order[i]))
            list[count++] = g->order[i];
        else
            whole++;
    }
    if (count > 0) {
        CYG_TRY(ctx, cyg_split_attention(ctx, b->graph, list, count), "while splitting attention");
        cyg_note(ctx, "%zu attention steps are split into MatMul, Softmax, MatMul, as %s", count,
                 level_0 ? "transformer_opt_level 0 asks" : "layer_configs ask FP32 of parts");
    }
    if (whole > 0)
        cyg_warn(ctx,
                 "%zu attention steps stay whole: masks made at run time, or other keys than "
                 "queries, have no split form; FP32 of a part is FP32 of the step there",
                 whole);
    return CYG_OK;
}
