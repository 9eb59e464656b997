/* quant: calibration and quantisation. Observes the optimised float graph on samples, chooses types
 * and scales for every value, and writes them into the graph: activations get value.quant, weights
 * become S8 constants with per-channel scales, everything else stays float. Where a float and an
 * integer neighbour meet, or two integer types, a requant node is put between them. The result is a
 * quantised graph that lower/ turns into integers. docs/quantiser.md describes the scheme. */
#ifndef CYG_QUANT_QUANT_H
#define CYG_QUANT_QUANT_H

#include "base/samples.h"
#include "ir/graph.h"

/* How an image input is normalised: the float model sees (p - mean[c]) / std[c] of 8-bit pixels p.
 */
typedef struct cyg_normalize {
    bool enabled;
    uint32_t channels; /* 1..4 */
    float mean[4], std[4];
    bool swap_channels; /* the runtime feeds the channels in reverse order (BGR for RGB) */
} cyg_normalize;

/* Equalisation of LayerNorm channels (SmoothQuant): its strength searched layer by layer, or as
 * stated, or none. As stated it takes part where the median channel is narrower than `threshold`
 * times the widest. */
typedef enum cyg_smooth_mode {
    CYG_SMOOTH_NEVER,
    CYG_SMOOTH_SEARCH,
    CYG_SMOOTH_STATED
} cyg_smooth_mode;

/* How the range of an 8-bit value follows from its elements (histogram.c). */
typedef enum cyg_range_method {
    CYG_RANGE_MINMAX,
    CYG_RANGE_PERCENTILE,
    CYG_RANGE_MSE,
    CYG_RANGE_KL
} cyg_range_method;

/* What is asked of one node. NONE and 0 = as the scheme chooses. */
typedef struct cyg_asked {
    cyg_type data; /* what it reads: U8, S8, S16, or F32 = it runs in float; q and k of attention */
    cyg_type value;  /* v of attention: S8 or S16; NONE = as data */
    cyg_type output; /* what it writes: U8, S8, S16 or F32 */
    cyg_type weight; /* S8, or S16 for a linear or convolution that reads 16 bits */
    bool s4;         /* weights on a grid of 4 bits a group (S8 to kernels); weight is NONE then */
    int32_t e_bits;  /* attention's unnormalised probabilities: 8 or 16 */
    bool insist;     /* data names this node alone: without such a form there is an error */
} cyg_asked;

/* Parts of a node that something can be asked of, as bits. As an outcome: asked for, but it is
 * stored in another way, because there is no such form or because others decide the type. */
enum {
    CYG_PART_DATA = 1,
    CYG_PART_OUTPUT = 2,
    CYG_PART_WEIGHT = 4,
    CYG_PART_PROBABILITIES = 8,
    CYG_PART_VALUE = 16,     /* v of attention, where it is asked for apart from q and k */
    CYG_FLOAT_AS_ASKED = 32, /* FP32, or the highest precision where 16 bits have no form */
};

/* One correction that was kept: where, and what it did to the layer's error on sampled rows. */
typedef struct cyg_quant_gain {
    const char *kind;     /* "equalise", "center", "range", "rounding", "bias" */
    const char *node;     /* the LayerNorm, or the first reader of the range, or the layer */
    double before, after; /* squared error, in one unit for each entry */
} cyg_quant_gain;
/* In dB; 0 when there was or is no error to compare. */
double cyg_quant_gain_db(const cyg_quant_gain *gain);

typedef struct cyg_quant_options {
    int transformer_level;  /* 1: 16-bit residual stream and LayerNorm input; 2: 8 bits there too */
    const cyg_asked *asked; /* by node id, or NULL; goes before everything else */
    bool highest;           /* 16 bits wherever there is a form for it, float elsewhere */
    size_t max_samples;     /* 0 = all of the source */
    cyg_smooth_mode smooth;
    float smooth_strength, smooth_threshold; /* 0..1, for CYG_SMOOTH_STATED */
    cyg_range_method method;                 /* the ranges of 8-bit values to start with */
    double least_weight; /* channels of weights that are all smaller are rounded as if one was */
    bool center_weights; /* behind a LayerNorm with 16-bit results */
    bool search_ranges;  /* of 8-bit values, where it helps */
    bool correct_bias;   /* of linears and convolutions, where it helps */
    bool round_weights;  /* by second order, where it helps */
    bool s4; /* 4-bit weights wherever nothing else is asked, but for entrance and classifier */
    cyg_normalize
        normalize; /* of input 0; then the quantised graph's input are the pixels themselves */
    /* Called with each graph output of each calibration run, in order: what the golden check
     * compares with. NULL = not wanted. */
    cyg_status (*on_output)(cyg_ctx *ctx, void *user, size_t sample, uint32_t output,
                            const float *data, size_t count);
    void *user;
    bool keep_reference; /* fill report.reference */
} cyg_quant_options;

typedef struct cyg_quant_report {
    uint32_t integer_nodes, float_nodes; /* of nodes that compute; views and movement not counted */
    int64_t weight_bytes_float, weight_bytes_quantised;
    size_t samples;
    double calibrate_seconds, search_seconds, assign_seconds; /* ranges and equalisation; weights */
    const cyg_quant_gain *gains; /* [gain_count], in the graph's arena, in order of execution */
    size_t gain_count;
    const uint8_t *outcomes; /* [outcome_count] by node id, in the graph's arena: the bits above */
    uint32_t outcome_count;
    /* The float graph that the integers are to be compared with, the caller's to destroy, before g;
     * NULL = not asked for. Ids are g's; values that an equalisation changed are changed here too.
     */
    cyg_graph *reference;
} cyg_quant_report;

/* g is optimised (fused) and static. On success g is the quantised graph; on failure it must be
 * discarded. */
cyg_status cyg_quantise(cyg_ctx *ctx, cyg_graph *g, const cyg_sample_source *samples,
                        const cyg_quant_options *options,
                        cyg_quant_report *out_report) CYG_MUST_USE;

/* Quantisation in two parts, for those who try many wishes: what samples say is learned once, of a
 * copy of g, with the wishes of the options. Everything but g must live as long as the study. */
typedef struct cyg_quant_study cyg_quant_study;
cyg_status cyg_quant_study_open(cyg_ctx *ctx, const cyg_graph *g, const cyg_sample_source *samples,
                                const cyg_quant_options *options,
                                cyg_quant_study **out_study) CYG_MUST_USE;
/* The quantised graph of other wishes (by g's node ids): the caller's, to be destroyed before the
 * study. Near what cyg_quantise would make of them, which may equalise otherwise. */
cyg_status cyg_quant_study_try(cyg_ctx *ctx, cyg_quant_study *study, const cyg_asked *asked,
                               cyg_graph **out_g) CYG_MUST_USE;
void cyg_quant_study_close(cyg_quant_study *study);

/* What the runtime will feed: gives input `index` (float [B, C, H, W], or pixels after a folded
 * normalisation) another element type or layout by nodes in front of it. src_type: F32 or U8; U8
 * only for pixels. nhwc: [B, H, W, C]. */
cyg_status cyg_quant_bind_input(cyg_ctx *ctx, cyg_graph *g, uint32_t index, cyg_type src_type,
                                bool nhwc) CYG_MUST_USE;
/* What the runtime gets of output `index`: dst_type F32, or U8 for the codes of a quantised output;
 * then the axes in the order perm[perm_count] (0 = as they are). */
cyg_status cyg_quant_bind_output(cyg_ctx *ctx, cyg_graph *g, uint32_t index, cyg_type dst_type,
                                 const int64_t *perm, size_t perm_count) CYG_MUST_USE;

#endif
