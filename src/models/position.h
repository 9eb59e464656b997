/* Positions: relative ones of the tokens of a window, and tables made for another picture size.
 * Private to models. */
#ifndef CYG_MODELS_POSITION_H
#define CYG_MODELS_POSITION_H

#include <stdint.h>

/* Row of the table for query i and key j of a window (rows, columns). */
int64_t cyg_position_offset(const int64_t window[2], int64_t i, int64_t j);

/* SwinV2's network from an offset to one bias a head. */
typedef struct cyg_position_mlp {
    int64_t hidden, heads;
    const float *w1, *b1, *w2; /* [hidden, 2], [hidden], [heads, hidden] */
    const float *coordinates;  /* [2h-1, 2w-1, 2] as stored; NULL = computed */
} cyg_position_mlp;
/* pretrained: the window that scales the coordinates, 0 = this one. out: [offsets, heads] */
void cyg_position_run(const cyg_position_mlp *mlp, const int64_t window[2], int64_t pretrained,
                      float *out);

/* How a library fits a table of positions to another grid: bicubic in all. */
typedef enum cyg_resampling {
    CYG_RESAMPLE_HALF_PIXEL, /* transformers: pixel centres, a = -0.75, the border repeats */
    CYG_RESAMPLE_CORNERS,    /* torchvision: corner on corner, a = -0.75, the border repeats */
    CYG_RESAMPLE_ANTIALIAS,  /* timm: pixel centres, a = -0.5, widened when the grid shrinks */
} cyg_resampling;
/* from: [rows, columns, dim], out: [rows, columns, dim]. scratch: from_size[0] + from_size[1] + 8.
 * As torch.nn.functional.interpolate(mode="bicubic"), in double. */
void cyg_position_resample(const float *from, const int64_t from_size[2], cyg_resampling how,
                           const int64_t to_size[2], int64_t dim, double *scratch, float *out);

#endif
