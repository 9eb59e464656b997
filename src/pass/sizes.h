/* Private to pass: finished graphs at other sizes. */
#ifndef CYG_PASS_SIZES_H
#define CYG_PASS_SIZES_H

#include "pass/pass.h"

/* Shapes of everything that is computed, anew from the inputs'; the graph may be quantised. */
cyg_status cyg_infer_again(cyg_ctx *ctx, cyg_graph *g) CYG_MUST_USE;

#endif
