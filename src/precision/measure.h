/* Private to precision/: one tensor's figures, sample by sample. */
#ifndef CYG_PRECISION_MEASURE_H
#define CYG_PRECISION_MEASURE_H

#include "base/pool.h"
#include "kernels/dispatch.h"
#include "precision/precision.h"

/* How a tensor's elements stand for real numbers: scale[c] (code - zero) for channel c of the last
 * axis. */
typedef struct cyg_coding {
    cyg_type type; /* F32 = as they are */
    int64_t channels;
    const float *scale;        /* [channels] */
    int32_t zero, least, most; /* codes */
} cyg_coding;

/* false: elements cannot be told (no floats, and no scale for each channel of the last axis). */
bool cyg_coding_of(const cyg_value *v, cyg_arena *arena, cyg_coding *out_coding);
/* Codes of x, nearest, ties to even, clipped; count is a multiple of channels. */
void cyg_coding_store(const cyg_kernels *isa, cyg_pool *pool, const cyg_coding *c, const float *x,
                      int64_t count, void *out);

typedef struct cyg_sums {
    double *noise, *cross; /* by channel: d^2, x d with d = x - y */
    float *worst;          /* by channel: most of |d| */
} cyg_sums;

typedef struct cyg_measure {
    cyg_coding coding;
    cyg_sums alone, run;
    float *seen_low, *seen_high; /* by channel */
    float *held_low, *held_high; /* by channel: what the integers hold */
    double *signal;              /* by channel: x^2 */
    int64_t count, outside;
    float low, high;
    int64_t bins[CYG_PRECISION_BINS]; /* of some rows of a sample */
    float bins_low, bins_high;
} cyg_measure;

bool cyg_measure_init(cyg_measure *m, const cyg_coding *coding, cyg_arena *arena);
/* The float values x of a sample, and codes as the program runs and of the step alone. */
void cyg_measure_sample(const cyg_kernels *isa, cyg_pool *pool, cyg_measure *m, const float *x,
                        const void *run, const void *alone, int64_t count);
void cyg_measure_finish(const cyg_measure *m, cyg_precision_row *row);

#endif
