/* Calibration and quantisation from the configuration, then the adaptation of the inputs to what
 * the runtime will feed. */
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

/* The runtime feeds pixels, and what happens to them is inside the package; false: it feeds what
 * the model takes. Without mean and std the two are the same, and pixels are the better name for
 * it: they are bytes, and their channels can be swapped. */
static bool feeds_pixels(const cyg_build_input *in)
{
    return in->is_image && (in->config.processor.normalize || !in->preprocess.normalize);
}

static bool is_bgr(cyg_config_color c)
{
    return c == CYG_CONFIG_COLOR_BGR;
}

static bool swaps_channels(const cyg_build_input *in)
{
    const cyg_config_color fed = in->config.processor.src_format;
    return in->is_image && cyg_preprocess_channels(&in->preprocess) == 3 &&
           fed != CYG_CONFIG_COLOR_AutoColorSpace &&
           is_bgr(fed) != (in->preprocess.order == CYG_ORDER_BGR);
}

/* Value c of a list of one or one a channel. An empty list says nothing: a merged configuration
 * that is read again spells every list out. */
static float pick(const cyg_float_list *list, uint32_t c, float otherwise)
{
    return list->count == 0 ? otherwise : (float)list->items[list->count == 1 ? 0 : c];
}

static void fill_normalize(cyg_build *b, const cyg_build_input *in, cyg_normalize *out)
{
    const cyg_preprocess *p = &in->preprocess;
    const cyg_config_input_processor *c = &in->config.processor;
    bool differs = false;
    out->enabled = feeds_pixels(in);
    if (!out->enabled)
        return;
    out->channels = (uint32_t)cyg_preprocess_channels(p);
    out->swap_channels = swaps_channels(in);
    for (uint32_t i = 0; i < out->channels && i < 3; i++) {
        const float mean = p->normalize ? p->mean[i] : 0.0f, std = p->normalize ? p->std[i] : 1.0f;
        out->mean[i] = c->normalize ? pick(&c->mean, i, mean) : mean;
        out->std[i] = c->normalize ? pick(&c->std, i, std) : std;
        differs = differs || out->mean[i] < mean || out->mean[i] > mean || out->std[i] < std ||
                  out->std[i] > std;
    }
    if (differs)
        cyg_warn(&b->app->ctx,
                 "input \"%s\": mean and std of input_processors differ from those of the "
                 "calibration: the package normalises by the former",
                 in->name);
}

/* What the runtime is to feed, against what there is. */
static cyg_status check_source(cyg_build *b, const cyg_build_input *in)
{
    cyg_ctx *ctx = &b->app->ctx;
    const cyg_config_input_processor *c = &in->config.processor;
    if (c->src_dtype == CYG_CONFIG_DTYPE_U8 && !feeds_pixels(in))
        return CYG_FAIL(
            ctx, CYG_E_CONFIG,
            "input \"%s\": src_dtype U8 is for pixels that the package normalises; %s", in->name,
            in->is_image ? "here `normalize` is false" : "this input takes what the model takes");
    if (!in->is_image && c->mean.count + c->std.count > 0) {
        if (in->config.quant.calibration_format != CYG_CONFIG_FORMAT_Image)
            return CYG_FAIL(ctx, CYG_E_UNSUPPORTED,
                            "input \"%s\": mean and std with calibration data that are arrays are "
                            "not built yet: calibrate on pictures, or feed what the model takes",
                            in->name);
        cyg_note(ctx,
                 "input \"%s\": with several inputs the package takes what the model takes: "
                 "normalise outside",
                 in->name);
    }
    if (!in->is_image)
        return CYG_OK;
    if (c->src_format != CYG_CONFIG_COLOR_AutoColorSpace &&
        (c->src_format == CYG_CONFIG_COLOR_GRAY) != (in->preprocess.order == CYG_ORDER_GRAY))
        return CYG_FAIL(ctx, CYG_E_CONFIG,
                        "input \"%s\": between grey and colour there is no conversion: src_format "
                        "and tensor_format have to be of one kind",
                        in->name);
    if (swaps_channels(in) && !feeds_pixels(in))
        return CYG_FAIL(ctx, CYG_E_CONFIG,
                        "input \"%s\": src_format differs from tensor_format, but channels are "
                        "swapped by the normalisation inside the package, and `normalize` is false",
                        in->name);
    return CYG_OK;
}

static cyg_status bind_inputs(cyg_build *b)
{
    for (uint32_t i = 0; i < b->input_count; i++) {
        const cyg_build_input *in = &b->inputs[i];
        const cyg_config_input_processor *c = &in->config.processor;
        const bool u8 = c->src_dtype == CYG_CONFIG_DTYPE_U8;
        const bool nhwc = c->src_layout == CYG_CONFIG_LAYOUT_NHWC;
        if (cyg_val(b->graph, b->graph->inputs[i])->type != CYG_TYPE_F32)
            continue;
        CYG_DO(
            cyg_quant_bind_input(&b->app->ctx, b->graph, i, u8 ? CYG_TYPE_U8 : CYG_TYPE_F32, nhwc));
        if (swaps_channels(in))
            cyg_note(&b->app->ctx,
                     "input \"%s\": the runtime feeds %s, the model wants %s: channels are swapped "
                     "inside the package",
                     in->name, is_bgr(c->src_format) ? "BGR" : "RGB",
                     is_bgr(c->src_format) ? "RGB" : "BGR");
    }
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

cyg_status cyg_build_quantise(cyg_build *b)
{
    cyg_ctx *ctx = &b->app->ctx;
    const cyg_config_quant *c = &b->config.quant;
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
                                 .search_ranges = c->search_ranges,
                                 .correct_bias = c->correct_bias,
                                 .round_weights = c->round_weights,
                                 .keep_reference = true,
                                 .on_output = keep_output,
                                 .user = &b->golden};
    for (uint32_t i = 0; i < b->input_count; i++)
        CYG_DO(check_source(b, &b->inputs[i]));
    fill_normalize(b, &b->inputs[0], &options.normalize);
    b->quant_normalize = options.normalize;
    CYG_TRY(ctx, cyg_quantise(ctx, b->graph, &b->samples, &options, &b->quantised),
            "while quantising");
    if (b->quantised.float_nodes > 0)
        tell_float_operators(b);
    cyg_build_tell_unmet(b);
    return bind_inputs(b);
}
