/* `build --model_type QuantONNX`: a model that was quantised elsewhere keeps its scales. What would
 * choose them has no effect here and is said so. */
#include "app/build.h"

/* Settings of the search for scales. */
static void tell_idle(cyg_build *b)
{
    const cyg_config_quant *c = &b->config.quant;
    static const char *const idle[] = {"calibration_method",
                                       "highest_mix_precision",
                                       "enable_smooth_quant",
                                       "center_weights",
                                       "search_ranges",
                                       "correct_bias",
                                       "round_weights",
                                       "transformer_opt_level",
                                       "target_sqnr_db",
                                       "target_agreement",
                                       "target_cosine",
                                       "smooth_quant_threshold",
                                       "smooth_quant_strength",
                                       "weight_data_type",
                                       "refine_weight_threshold",
                                       "disable_auto_refine_scale",
                                       "disable_quant_optimization",
                                       "enable_easy_quant",
                                       "enable_adaround"};
    for (size_t i = 0; i < CYG_COUNT(idle); i++)
        if (cyg_config_asks(&b->app->ctx, &cyg_config_message_quant, c, idle[i]))
            cyg_warn(&b->app->ctx,
                     "quant.%s has no effect: a QuantONNX model brings its scales and weights",
                     idle[i]);
}

static uint32_t count_pairs(const cyg_graph *g)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < g->order_count; i++)
        count += cyg_nod(g, g->order[i])->op == CYG_OP_dequantize_linear;
    return count;
}

cyg_status cyg_build_read_given(cyg_build *b)
{
    cyg_ctx *ctx = &b->app->ctx;
    const char *input = b->config.input;
    const uint32_t pairs = count_pairs(b->graph);
    if (b->config.model_type == CYG_CONFIG_MODEL_ONNX) {
        if (pairs > 0)
            cyg_warn(ctx,
                     "%s holds %u DequantizeLinear nodes, which run as float operators: pass "
                     "--model_type QuantONNX to keep its scales",
                     input, pairs);
        return CYG_OK;
    }
    if (pairs == 0)
        return CYG_FAIL(ctx, CYG_E_CONFIG,
                        "%s has no DequantizeLinear: it is a float model, and --model_type ONNX "
                        "quantises it",
                        input);
    tell_idle(b);
    CYG_TRY(ctx, cyg_qdq_read(ctx, b->graph, b->config.quant.input_configs.count > 0, &b->given),
            "while reading the scales of %s", input);
    cyg_note(ctx, "%u activations and %u constants keep the scales of the file", b->given.pairs,
             b->given.constants);
    if (b->given.open > 0)
        cyg_note(ctx,
                 "%u of these activations are quantised with the range that they have at run time "
                 "(DynamicQuantizeLinear): they get the range of the calibration data instead",
                 b->given.open);
    if (b->given.apart > 0)
        cyg_warn(ctx,
                 "%u activations have scales along an axis, or none that are constant: they are "
                 "rounded as the file says, and what reads them runs in float; for scales that are "
                 "computed at run time calibration data (quant.input_configs) give constant ones",
                 b->given.apart);
    return CYG_OK;
}

cyg_status cyg_build_quantise_given(cyg_build *b, const cyg_quant_options *options)
{
    cyg_ctx *ctx = &b->app->ctx;
    const cyg_sample_source *samples = b->samples.count > 0 ? &b->samples : NULL;
    CYG_TRY(ctx, cyg_quant_given(ctx, b->graph, samples, options, &b->quantised),
            "while quantising with the scales of %s", b->config.input);
    if (samples == NULL)
        cyg_note(ctx,
                 "no calibration data: the result is not compared with the file's own numbers");
    return CYG_OK;
}
