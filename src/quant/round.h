/* Private to quant/: rounding of weights to a grid of integers. */
#ifndef CYG_QUANT_ROUND_H
#define CYG_QUANT_ROUND_H

#include "quant/rows.h"

/* The values that weights of a layer can take: weight [n][k] is scales[n] times an integer w, w = q
 * times the multiplier of its group, least <= q <= most. */
typedef struct cyg_weight_grid {
    int64_t channels, taps;
    const float *scales;        /* [channels] */
    int32_t least, most;        /* -127 and 127, or -8 and 7 */
    int64_t group;              /* taps that share a multiplier; 0 = none, they are all 1 */
    const uint8_t *multipliers; /* [channels][groups of taps, the last may be shorter] */
} cyg_weight_grid;

/* The nearest point of the grid, tap by tap: out [channels][taps]. */
void cyg_quant_round_nearest(const cyg_weight_grid *grid, const float *weights, int8_t *out);

/* Node id's weights were rounded to the nearest point of the grid, `weights` are the floats that
 * they came from. Rounds them again so that their errors cancel in the layer's output, and keeps
 * that in data [channels][taps] where rows that it has not seen agree. centred: a bias will be
 * corrected afterwards, so the mean error does not count. grid->scales may become others. */
cyg_status cyg_quant_round_weights(cyg_scheme *s, cyg_node_id id, cyg_weight_grid *grid,
                                   const float *weights, int8_t *data) CYG_MUST_USE;

#endif
