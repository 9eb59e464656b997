/* The sample source: how samples reach the quantiser, the golden check and eval without any of them
 * knowing about files.
 *
 * data/ implements it (image folders, archives, npy, bin); quant/ and interp only see this. A
 * source is compatible: one caller at a time; it may decode ahead in parallel, but hands out
 * samples in a fixed order. */
#ifndef CYG_BASE_SAMPLES_H
#define CYG_BASE_SAMPLES_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* One tensor of a sample, float32, in the model input's own layout, dense. */
typedef struct cyg_sample_tensor {
    const float *data; /* lent until the next get */
    size_t count;      /* elements */
} cyg_sample_tensor;

typedef struct cyg_sample_source cyg_sample_source;
struct cyg_sample_source {
    void *self;
    size_t count;       /* samples */
    size_t input_count; /* tensors in a sample, in the order of the model's inputs */
    /* Fills out_tensors[input_count]. Errors name the file. */
    cyg_status (*get)(cyg_ctx *ctx, void *self, size_t index, cyg_sample_tensor *out_tensors);
    /* Name of sample i for messages (a file name); lent. */
    const char *(*name)(void *self, size_t index);
};

#endif
