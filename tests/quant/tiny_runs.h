/* Runs of the tiny model in floats and, quantised, in integers, and how far apart they are. */
#ifndef TINY_RUNS_H
#define TINY_RUNS_H

#include <math.h>

#include "tiny_model.h"

#include "interp/interp.h"
#include "lower/lower.h"

/* Float results of a sample, from the graph before quantisation. */
static inline void float_run(cyg_ctx *ctx, cyg_graph *g, float *input, float *out)
{
    cyg_interp *it;
    OK(ctx, cyg_interp_create(ctx, g, NULL, &it));
    const cyg_kbuf in = {.data = input, .type = CYG_TYPE_F32, .rank = 4, .dims = {1, 3, 8, 8}};
    OK(ctx, cyg_interp_run(ctx, it, &in, 1));
    memcpy(out, cyg_interp_value(it, g->outputs[0])->data, sizeof(float) * TINY_CLASSES);
    cyg_interp_destroy(it);
}

static inline void integer_run(cyg_ctx *ctx, const cyg_graph *g, void *input, cyg_type type,
                               float *out)
{
    cyg_arena arena;
    cyg_arena_init(&arena);
    cyg_program p;
    OK(ctx, cyg_lower_graph(ctx, g, &arena, &p));
    const cyg_kbuf in = {.data = input, .type = (int32_t)type, .rank = 1, .dims = {TINY_PIXELS}};
    cyg_kbuf y;
    OK(ctx, cyg_interp_run_program(ctx, &p, true, &in, 1, NULL, NULL, &arena, &y));
    memcpy(out, y.data, sizeof(float) * TINY_CLASSES);
    cyg_arena_deinit(&arena);
}

/* Of the integers of g, fed pixels, against the floats of f, over all samples; dB. */
static inline double tiny_sqnr(cyg_ctx *ctx, cyg_graph *f, const cyg_graph *g,
                               tiny_samples *samples)
{
    double signal = 0, noise = 0;
    for (int i = 0; i < TINY_SAMPLES; i++) {
        float expected[TINY_CLASSES], found[TINY_CLASSES];
        float_run(ctx, f, samples->inputs[i], expected);
        integer_run(ctx, g, samples->pixels[i], CYG_TYPE_U8, found);
        for (int k = 0; k < TINY_CLASSES; k++) {
            const double off = (double)expected[k] - (double)found[k];
            signal += (double)expected[k] * (double)expected[k];
            noise += off * off;
        }
    }
    return 10.0 * log10(signal / noise);
}

#endif
