/* Calibration and quantisation from the configuration. */
#include <stdlib.h>
#include <string.h>

#include "app/build.h"

static cyg_status keep_output(cyg_ctx *ctx, void *user, size_t sample, uint32_t output,
                              const float *data, size_t count)
{
    cyg_golden *gold = user;
    if (output != 0)
        return CYG_OK;
    if (gold->samples == gold->room) {
        const size_t room = gold->room == 0 ? 32 : gold->room * 2;
        float *moved = realloc(gold->data, room * count * sizeof *moved);
        if (moved == NULL)
            return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory for the outputs of %zu samples",
                            sample);
        gold->data = moved;
        gold->room = room;
    }
    memcpy(gold->data + gold->samples * count, data, count * sizeof *data);
    gold->count = count;
    gold->samples++;
    return CYG_OK;
}

/* "3 Erf, 1 Sin" and their sum. */
static uint32_t list_operators(const uint32_t *count, cyg_strbuf *out)
{
    uint32_t sum = 0;
    for (int op = 0; op < CYG_OP_COUNT; op++) {
        if (count[op] > 0)
            cyg_strbuf_printf(out, "%s%u %s", sum > 0 ? ", " : "", count[op],
                              cyg_op_schema_of((cyg_op)op)->onnx);
        sum += count[op];
    }
    return sum;
}

/* Float operators by type, nobody should have to find out from the latency: those without an
 * integer form, and those that the configuration wants so. */
static void tell_float_operators(cyg_build *b)
{
    const cyg_graph *g = b->graph;
    uint32_t count[2][CYG_OP_COUNT] = {{0}};
    cyg_strbuf text[2] = {{0}};
    for (uint32_t i = 0; i < g->order_count; i++) {
        const cyg_node *n = cyg_nod(g, g->order[i]);
        bool integer =
            (cyg_op_schema_of(n->op)->flags & CYG_OPF_MOVE) != 0 || n->op == CYG_OP_requant;
        for (uint32_t k = 0; k < n->in_count && !integer; k++)
            integer =
                !cyg_value_is_none(n->in[k]) && cyg_val(g, n->in[k])->quant.type != CYG_TYPE_NONE;
        const uint32_t id = g->order[i].i;
        const bool wanted = id < b->quantised.outcome_count &&
                            (b->quantised.outcomes[id] & CYG_FLOAT_AS_ASKED) != 0;
        count[wanted][n->op] += !integer;
    }
    const uint32_t lacking = list_operators(count[false], &text[false]),
                   wanted = list_operators(count[true], &text[true]);
    if (lacking > 0 && !text[false].failed)
        cyg_warn(
            &b->app->ctx,
            "%u operators have no integer form yet and run in float: %s (report.html lists them)",
            lacking, text[false].data);
    if (wanted > 0 && !text[true].failed)
        cyg_note(&b->app->ctx, "%u operators run in float as the configuration asks: %s", wanted,
                 text[true].data);
    cyg_strbuf_deinit(&text[false]);
    cyg_strbuf_deinit(&text[true]);
}

/* quant.check: every node has a kernel for the types that its operands and results got; how many
 * values have which. */
static cyg_status check_types(cyg_build *b)
{
    cyg_ctx *ctx = &b->app->ctx;
    const cyg_graph *g = b->graph;
    uint32_t count[CYG_TYPE_COUNT] = {0}, floats = 0;
    cyg_arena arena;
    cyg_strbuf text = {0};
    cyg_arena_init(&arena);
    cyg_program program;
    cyg_cpu_report report;
    cyg_status status = cyg_graph_verify(ctx, g);
    if (status == CYG_OK) /* each node to a kernel that takes its types, or an error */
        status = cyg_target_cpu_compile(ctx, g, &arena, &program, &report);
    for (uint32_t i = 0; i < g->order_count && status == CYG_OK; i++) {
        const cyg_node *n = cyg_nod(g, g->order[i]);
        for (uint32_t k = 0; k < n->out_count; k++) {
            const cyg_value *v = cyg_val(g, n->out[k]);
            if (v->quant.type != CYG_TYPE_NONE)
                count[v->quant.type]++;
            else
                floats += v->type == CYG_TYPE_F32;
        }
    }
    for (int t = 0; t < CYG_TYPE_COUNT; t++)
        if (count[t] > 0)
            cyg_strbuf_printf(&text, "%u %s, ", count[t], cyg_type_name((cyg_type)t));
    if (status == CYG_OK && !text.failed)
        cyg_note(ctx, "quant.check: %u nodes have kernels for their types; results: %s%u float",
                 g->order_count, text.data != NULL ? text.data : "", floats);
    cyg_strbuf_deinit(&text);
    cyg_arena_deinit(&arena);
    return status;
}

cyg_status cyg_build_quantise(cyg_build *b)
{
    cyg_ctx *ctx = &b->app->ctx;
    const cyg_config_quant *c = &b->config.quant;
    b->given_layers = c->layer_configs.count;
    CYG_DO(cyg_build_layers(b));
    cyg_quant_options options = {.transformer_level = (int)c->transformer_opt_level,
                                 .highest = c->highest_mix_precision,
                                 .asked = b->asked,
                                 .smooth = c->enable_smooth_quant_at.origin == CYG_CONFIG_DEFAULT
                                               ? CYG_SMOOTH_SEARCH
                                           : c->enable_smooth_quant ? CYG_SMOOTH_STATED
                                                                    : CYG_SMOOTH_NEVER,
                                 .smooth_strength = (float)c->smooth_quant_strength,
                                 .smooth_threshold = (float)c->smooth_quant_threshold,
                                 .method = (cyg_range_method)c->calibration_method,
                                 .center_weights = c->center_weights,
                                 .search_ranges = c->search_ranges,
                                 .correct_bias = c->correct_bias,
                                 .round_weights = c->round_weights,
                                 .s4 = c->weight_data_type == CYG_CONFIG_DTYPE_S4,
                                 .keep_reference = true,
                                 .on_output = keep_output,
                                 .user = &b->golden};
    options.least_weight = c->refine_weight_threshold > 0 ? c->refine_weight_threshold : 0.0;
    if (c->disable_quant_optimization)
        options.smooth = CYG_SMOOTH_NEVER;
    CYG_DO(cyg_build_check_sources(b));
    options.normalize = b->quant_normalize;
    bool done = b->config.model_type == CYG_CONFIG_MODEL_QuantONNX;
    if (done)
        CYG_DO(cyg_build_quantise_given(b, &options));
    else
        CYG_TRY(ctx, cyg_build_mix(b, &options, &done), "while searching a mixed precision");
    cyg_build_tell_matches(b);
    if (!done)
        CYG_TRY(ctx, cyg_quantise(ctx, b->graph, &b->samples, &options, &b->quantised),
                "while quantising");
    if (b->quantised.float_nodes > 0)
        tell_float_operators(b);
    cyg_build_tell_unmet(b);
    return c->check != 0 ? check_types(b) : CYG_OK;
}
