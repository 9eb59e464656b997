/* Private to rt/: a loaded package. */
#ifndef CYG_RT_MODEL_H
#define CYG_RT_MODEL_H

#include "base/ctx.h"
#include "cygnet/runtime.h"
#include "format/package.h"

struct cyg_model {
    cyg_arena arena;
    cyg_package package;
};

/* Keeps ctx's chain as this thread's last message and returns the status as the API's int. */
int cyg_rt_report(cyg_ctx *ctx, cyg_status status);

#endif
