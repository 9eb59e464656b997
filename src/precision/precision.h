/* precision: what quantisation costs, tensor by tensor. The float model and the integer program run
 * in lock step on a few samples, and every tensor that the program writes is compared with its
 * float value twice: once each step alone, fed the float values in its own integers (PerLayer), and
 * once as the program runs (EndToEnd). From the two follows where error is made and where error
 * that came in grows. docs/precision.md says what each figure means. */
#ifndef CYG_PRECISION_PRECISION_H
#define CYG_PRECISION_PRECISION_H

#include "format/program.h"
#include "ir/graph.h"
#include "kernels/call.h"

enum {
    CYG_PRECISION_LEVELS = 4, /* of the outlier table: 3 to 6 */
    CYG_PRECISION_BINS = 60,  /* of histograms */
};

/* Against float, over all samples. No noise at all is 200 dB. */
typedef struct cyg_precision_error {
    double sqnr_db;          /* 10 log10(sum x^2 / sum (x - y)^2) */
    double worst_channel_db; /* the least among channels (of the last axis) that are not silent */
    double cosine, mse, max_error;
} cyg_precision_error;

/* One tensor that a step writes, in order of execution. */
typedef struct cyg_precision_row {
    uint32_t step, tensor;          /* of the program */
    cyg_precision_error alone, run; /* PerLayer, EndToEnd */
    double own;        /* 0..1: share of the noise in `run` that the step makes itself */
    double drop_db;    /* from the noisiest operand's SQNR to the result's, EndToEnd */
    double saturation; /* 0..1: share of float values outside low..high by more than half a step */
    double low, high; /* what the tensor's integers can hold, the widest channel; 0, 0 for floats */
    double seen_low, seen_high; /* of the float values */
    /* Channels by log2(largest in the tensor / largest in the channel): share at level 3, 4, 5, 6
     * and above, and of those that are zero throughout. */
    double level[CYG_PRECISION_LEVELS], silent;
    double bins_low, bins_high;
    int64_t bins[CYG_PRECISION_BINS]; /* float values; those outside count at the ends */
} cyg_precision_row;

/* Weights of a linear or convolution, in float: log2(largest of all / largest of an output channel)
 * at the quartiles of the channels. */
typedef struct cyg_precision_weight {
    uint32_t step;
    double spread[5]; /* least, quarter, half, three quarters, most */
} cyg_precision_weight;

typedef struct cyg_precision {
    size_t samples;
    cyg_precision_row *rows;
    size_t row_count;
    cyg_precision_weight *weights;
    size_t weight_count;
    /* Indices of rows, SIZE_MAX = none. born: makes most of its noise itself, and more than any
     * other does; grows: noise that came in grows most. */
    size_t born, grows;
} cyg_precision;

typedef struct cyg_precision_source {
    void *self;
    size_t count;
    /* Sample i: inputs of the float graph, lent until the next call, and of the program (to be
     * filled; types and shapes are the tensors'). */
    cyg_status (*get)(cyg_ctx *ctx, void *self, size_t i, cyg_kbuf *float_inputs,
                      const cyg_kbuf *program_inputs);
} cyg_precision_source;

/* reference: the float graph that `quantised` was made from (cyg_quant_options.keep_reference); p:
 * the program of `quantised`. use_ref: plain C bodies instead of those of this machine (the bits
 * are the same). Results live in arena. */
cyg_status cyg_precision_analyse(cyg_ctx *ctx, cyg_graph *reference, const cyg_graph *quantised,
                                 const cyg_program *p, const cyg_precision_source *samples,
                                 bool use_ref, cyg_arena *arena,
                                 cyg_precision *out_precision) CYG_MUST_USE;

/* Row indices, those that make most noise themselves first; room for row_count. */
cyg_status cyg_precision_rank(cyg_ctx *ctx, const cyg_precision *p, size_t *out_rows) CYG_MUST_USE;

#endif
