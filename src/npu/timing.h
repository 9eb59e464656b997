/* The cycle model: the only one. The compiler schedules with it, build prints it, the simulator
 * counts with it, so the same program under the same machine has one number of cycles.
 *
 * Two parts. The cost of one instruction on its engine is a formula of its shapes and the machine
 * (docs/npu-model.md has formulas, parameters and their fit). The run of all is event driven:
 * queues in order, waits, and the DDR shared by the transfers in flight. Cycles are integers;
 * whatever is real inside is rounded up once per instruction, so that no machine gives another
 * count. */
#ifndef CYG_NPU_TIMING_H
#define CYG_NPU_TIMING_H

#include "npu/program.h"

typedef struct cyg_npu_cost {
    int64_t cycles;    /* engine occupied, without waiting for the DDR */
    int64_t ddr_bytes; /* then moved to or from the DDR, at the rate that its share is */
    int64_t macs;      /* useful ones */
} cyg_npu_cost;
/* An instruction counts as this many cycles and products at most, a run ends in an error beyond
 * CYG_NPU_MOST_RUN: programs are hostile, and no sum overflows. */
#define CYG_NPU_MOST_CYCLES ((int64_t)1 << 40)
#define CYG_NPU_MOST_RUN ((int64_t)1 << 61)
cyg_npu_cost cyg_npu_cost_of(const cyg_npu_machine *m, const cyg_npu_instr *instr);
/* Cycles of the instruction when nothing else uses the DDR: for schedulers. */
int64_t cyg_npu_alone(const cyg_npu_machine *m, const cyg_npu_cost *cost);

typedef struct cyg_npu_span {
    int64_t start, end; /* cycles since the run began */
} cyg_npu_span;

typedef struct cyg_npu_timing {
    int64_t cycles;                    /* of the whole run, m->call included */
    int64_t busy[CYG_NPU_MAX_ENGINES]; /* by engine */
    int64_t ddr_read, ddr_written;     /* bytes */
    int64_t macs;
    double conv_utilisation;    /* macs / (MACs a cycle x CONVs x cycles), 0..1 */
    const cyg_npu_span *spans;  /* [instr_count] */
    const uint32_t *blocked_by; /* [instr_count]: the instruction whose end started it (wait, own
                                   queue), itself = the start of the run: the critical path */
} cyg_npu_timing;
/* p must be checked. Spans live in arena. Linear in instructions and waits (times the transfers in
 * flight). */
cyg_status cyg_npu_time(cyg_ctx *ctx, const cyg_npu_machine *m, const cyg_npu_program *p,
                        cyg_arena *arena, cyg_npu_timing *out_timing) CYG_MUST_USE;

#endif
