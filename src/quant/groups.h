/* Private to quant/: weights of 4 bits. Weight [n][k] is scales[n] times w = q m with q in -8..7
 * and one multiplier m in 1..15 for each CYG_GROUP_TAPS taps of an output, so |w| <= 120: kernels
 * run them as S8, and a package stores 4.25 bits a weight (docs/package.md). */
#ifndef CYG_QUANT_GROUPS_H
#define CYG_QUANT_GROUPS_H

#include "quant/round.h"

enum { CYG_GROUP_TAPS = 16, CYG_GROUP_LEAST = -8, CYG_GROUP_MOST = 7, CYG_GROUP_MULTIPLIERS = 15 };

/* Which nodes get 4-bit weights: those that are asked for, or with the option those that are
 * neither at the model's entrance nor so small that they are fed 16 bits. Fills s->s4; after
 * cyg_quant_choose. */
cyg_status cyg_quant_choose_s4(cyg_scheme *s) CYG_MUST_USE;

/* Scales and multipliers for weights [channels][taps] with the least squared error, taps weighted
 * by their energy in the rows of node id, stored with x. Results live in the graph's arena. */
cyg_status cyg_quant_groups(cyg_scheme *s, cyg_node_id id, const cyg_quant *x, const float *weights,
                            int64_t channels, int64_t taps, cyg_weight_grid *out_grid) CYG_MUST_USE;

#endif
