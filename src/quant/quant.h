/* quant: calibration and quantisation. Observes the optimised float graph on samples, chooses types and scales for every value, and writes them into the graph:
 * activations get value.quant, weights become S8 constants with per-channel scales, everything else stays float. The result is a quantised graph that lower/ turns into integers. */
#ifndef CYG_QUANT_QUANT_H
#define CYG_QUANT_QUANT_H

#include "base/samples.h"
#include "ir/graph.h"

typedef struct cyg_quant_options {
    int method;            /* 0 = MinMax (the only one built) */
    int transformer_level; /* 1: 16-bit residual stream and LayerNorm input */
    size_t max_samples;    /* 0 = all of the source */
    /* Image input: the graph's input is (p - mean) / std of 8-bit pixels p; then the quantised graph's input are the pixels themselves. */
    bool fold_normalize;
    const float *mean, *std; /* [channels] */
    uint32_t channels;
} cyg_quant_options;

typedef struct cyg_range {
    float lo, hi;
} cyg_range;
typedef struct cyg_quant_report {
    uint32_t integer_steps, float_steps;
    int64_t weight_bytes_float, weight_bytes_quantised;
    size_t samples;
} cyg_quant_report;

/* g is optimised (fused) and static. On success g is the quantised graph; on failure g is unchanged in meaning but must be discarded. */
cyg_status cyg_quantise(cyg_ctx *ctx, cyg_graph *g, const cyg_sample_source *samples, const cyg_quant_options *options,
                        cyg_quant_report *out_report) CYG_MUST_USE;

#endif
