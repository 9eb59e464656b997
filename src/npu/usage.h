/* What a timed program does with the machine: memory over time, traffic over time, the critical
 * path. For reports; the schedule does not depend on it. */
#ifndef CYG_NPU_USAGE_H
#define CYG_NPU_USAGE_H

#include "npu/timing.h"

enum { CYG_NPU_SAMPLES = 400 };

typedef struct cyg_npu_usage {
    /* By slice of the run's cycles: mean bytes of OCM that are written and still to be read, and
     * the share of the DDR's rate that is used, 0..1. */
    double ocm_bytes[CYG_NPU_SAMPLES], ddr[CYG_NPU_SAMPLES];
    /* Cycles of the critical path by the kind of engine that works on it; the rest is waiting
     * between engines and the call. */
    int64_t critical[CYG_NPU_ENGINE_KINDS], waiting;
} cyg_npu_usage;

/* scratch: used and left for the caller to free. */
cyg_status cyg_npu_usage_of(cyg_ctx *ctx, const cyg_npu_machine *m, const cyg_npu_program *p,
                            const cyg_npu_timing *timing, cyg_arena *scratch,
                            cyg_npu_usage *out_usage) CYG_MUST_USE;

#endif
