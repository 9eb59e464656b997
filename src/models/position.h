/* Relative positions of the tokens of a window. Private to models. */
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

#endif
