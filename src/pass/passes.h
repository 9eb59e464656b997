/* Every pass of passes.def. Private to pass. */
#ifndef CYG_PASS_PASSES_H
#define CYG_PASS_PASSES_H

#include "pass/pass.h"

#define CYG_PASS(id, summary)                                                                      \
    cyg_status cyg_pass_##id(cyg_ctx *ctx, cyg_graph *g, bool *out_changed) CYG_MUST_USE;
#include "pass/passes.def"
#undef CYG_PASS

#endif
