/* Private to interp/: runs one kernel call over the pool, with scratch that grows and stays. */
#ifndef CYG_INTERP_EXECUTE_H
#define CYG_INTERP_EXECUTE_H

#include "base/ctx.h"
#include "kernels/call.h"

typedef struct cyg_scratch {
    void *data;
    size_t bytes;
} cyg_scratch;
void cyg_scratch_deinit(cyg_scratch *s);

/* Checks the call's operands; CYG_E_INTERNAL names the step and what the kernel says. */
cyg_status cyg_execute_check(cyg_ctx *ctx, const cyg_kcall *call, const char *name) CYG_MUST_USE;
/* Runs all items; use_ref picks the plain C specification body where there is one. */
cyg_status cyg_execute(cyg_ctx *ctx, const cyg_kcall *call, bool use_ref,
                       cyg_scratch *scratch) CYG_MUST_USE;
/* One call of several lanes, which differ in their buffers alone. */
typedef struct cyg_lanes {
    cyg_kcall *calls;
    cyg_kbuf *bufs;
    uint32_t count;
    size_t room_calls, room_bufs;
} cyg_lanes;
/* Takes over the call of a lane, its buffers' descriptions included. Lanes come in their order. */
cyg_status cyg_lanes_put(cyg_ctx *ctx, cyg_lanes *l, uint32_t lane, uint32_t lanes,
                         const cyg_kcall *call) CYG_MUST_USE;
cyg_status cyg_lanes_execute(cyg_ctx *ctx, cyg_lanes *l, cyg_scratch *scratch) CYG_MUST_USE;
void cyg_lanes_deinit(cyg_lanes *l);
/* The dispatch table of this machine's level (CYGNET_CPU caps it). */
cyg_status cyg_execute_isa(cyg_ctx *ctx, const struct cyg_kernels **out_isa) CYG_MUST_USE;

#endif
