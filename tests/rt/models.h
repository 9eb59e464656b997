/* Graphs for runtime tests. */
#ifndef CYG_TESTS_RT_MODELS_H
#define CYG_TESTS_RT_MODELS_H

#include "../target/session_testing.h"

/* Large enough that calls are split over threads: rows of 256 channels. */
enum { WIDE_INPUT = 64 * 96 };
static const char *const wide_text =
    "graph \"wide\" opset 18\ninput %x: f32[64,96]\n"
    "const %w: f32[256,96] = #0000000000000000 98304\n"
    "const %b: f32[256] = #0000000000000000 1024\n"
    "const %g: f32[256] = #0000000000000000 1024\n"
    "const %v: f32[256,256] = #0000000000000000 262144\n"
    "const %u: f32[7,256] = #0000000000000000 7168\n"
    "%h: f32[64,256] = linear(%x, %w, %b) {act = 2} \"fc1\"\n"
    "%r: f32[64,256] = linear(%h, %v, %b, %h) \"fc2\"\n"
    "%n: f32[64,256] = layer_normalization(%r, %g, %b) {axis = -1} \"ln\"\n"
    "%a: f32[64,256] = attention(%n, %n, %n) {heads = 4, head_dim = 64, tokens = 64, scale = "
    "0.125} \"at\"\n"
    "%s: f32[64,256] = softmax(%a) {axis = -1} \"softmax\"\n"
    "%m: f32[64,256] = mul(%s, %n) \"mul\"\n"
    "%y: f32[64,7] = linear(%m, %u) \"head\"\noutput %y\n";

static inline cyg_status wide_get(cyg_ctx *ctx, void *self, size_t i, cyg_sample_tensor *out)
{
    (void)ctx;
    (void)i;
    *out = (cyg_sample_tensor){self, WIDE_INPUT};
    return CYG_OK;
}

/* Float (data NULL), or quantised over that one sample. */
static inline cyg_graph *wide_graph(cyg_ctx *ctx, float *data)
{
    cyg_graph *g = parse_graph(wide_text);
    fill_weights(g, 17);
    if (data != NULL) {
        const cyg_sample_source source = {data, 1, 1, wide_get, tiny_name};
        const cyg_quant_options options = {.transformer_level = 1};
        cyg_quant_report report;
        OK(ctx, cyg_quantise(ctx, g, &source, &options, &report));
    }
    return g;
}

#endif
