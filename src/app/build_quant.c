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

/* Normalised inside the package: the model's input then are pixel values. */
static bool normalises(const cyg_build_input *in)
{
    return in->is_image && in->preprocess.normalize &&
           (!in->config.has_processor || in->config.processor.normalize);
}

static bool is_bgr(cyg_config_color c)
{
    return c == CYG_CONFIG_COLOR_BGR;
}

static void fill_normalize(const cyg_build_input *in, cyg_normalize *out)
{
    const cyg_preprocess *p = &in->preprocess;
    const cyg_config_input_processor *c = &in->config.processor;
    out->enabled = normalises(in);
    out->channels = (uint32_t)cyg_preprocess_channels(p);
    for (uint32_t i = 0; i < out->channels && i < 3; i++) {
        out->mean[i] = p->mean[i];
        out->std[i] = p->std[i];
    }
    if (c->src_format != CYG_CONFIG_COLOR_AutoColorSpace && out->channels == 3)
        out->swap_channels = is_bgr(c->src_format) != (p->order == CYG_ORDER_BGR);
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
        if (normalises(in) && b->quant_normalize.swap_channels)
            cyg_note(&b->app->ctx,
                     "input \"%s\": the runtime feeds %s, the model wants %s: channels are swapped "
                     "inside the package",
                     in->name, is_bgr(c->src_format) ? "BGR" : "RGB",
                     is_bgr(c->src_format) ? "RGB" : "BGR");
    }
    return CYG_OK;
}

/* Operators without an integer form, by type: nobody should have to find out from the latency. */
static void tell_float_operators(cyg_build *b)
{
    const cyg_graph *g = b->graph;
    uint32_t count[CYG_OP_COUNT] = {0};
    cyg_strbuf text = {0};
    for (uint32_t i = 0; i < g->order_count; i++) {
        const cyg_node *n = cyg_nod(g, g->order[i]);
        bool integer =
            (cyg_op_schema_of(n->op)->flags & CYG_OPF_MOVE) != 0 || n->op == CYG_OP_requant;
        for (uint32_t k = 0; k < n->in_count && !integer; k++)
            integer =
                !cyg_value_is_none(n->in[k]) && cyg_val(g, n->in[k])->quant.type != CYG_TYPE_NONE;
        count[n->op] += !integer;
    }
    for (int op = 0; op < CYG_OP_COUNT; op++)
        if (count[op] > 0)
            cyg_strbuf_printf(&text, "%s%u %s", text.len > 0 ? ", " : "", count[op],
                              cyg_op_schema_of((cyg_op)op)->onnx);
    if (text.len > 0 && !text.failed)
        cyg_warn(
            &b->app->ctx,
            "%u operators have no integer form yet and run in float: %s (report.html lists them)",
            b->quantised.float_nodes, text.data);
    cyg_strbuf_deinit(&text);
}

cyg_status cyg_build_quantise(cyg_build *b)
{
    cyg_ctx *ctx = &b->app->ctx;
    cyg_quant_options options = {
        .transformer_level = 1, .on_output = keep_output, .user = &b->golden};
    fill_normalize(&b->inputs[0], &options.normalize);
    b->quant_normalize = options.normalize;
    CYG_TRY(ctx, cyg_quantise(ctx, b->graph, &b->samples, &options, &b->quantised),
            "while quantising");
    if (b->quantised.float_nodes > 0)
        tell_float_operators(b);
    return bind_inputs(b);
}
