/* Private to precision/: what the figures of the two runs say together. */
#ifndef CYG_PRECISION_JUDGE_H
#define CYG_PRECISION_JUDGE_H

#include "precision/precision.h"

/* Fills own, drop_db of every row, and born, grows. row_of: by tensor, SIZE_MAX = none. */
void cyg_precision_judge(const cyg_program *p, const size_t *row_of, cyg_precision *precision);
/* Fills weights, in arena. */
cyg_status cyg_precision_weights(cyg_ctx *ctx, const cyg_graph *reference, const cyg_program *p,
                                 cyg_arena *arena, cyg_precision *precision) CYG_MUST_USE;

#endif
