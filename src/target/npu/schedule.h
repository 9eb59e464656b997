/* The scheduler: tasks to instructions. Orders them, assigns engines, places buffers, finds waits.
 *
 * Every schedule is checked by construction: waits come from the rectangles that tasks touch and
 * from the places that buffers share, never from an assumed timing. The timing model only chooses
 * among right schedules. Deterministic: budgets are counted in tries, not in seconds. */
#ifndef CYG_TARGET_NPU_SCHEDULE_H
#define CYG_TARGET_NPU_SCHEDULE_H

#include "npu/timing.h"
#include "target/npu/task.h"

typedef enum cyg_npu_schedule_kind {
    /* Steps one after another; inside a step tiles are double-buffered and engines overlap; weights
     * are loaded ahead, some steps and as far as there is room. What the cycle model is judged by.
     */
    CYG_NPU_SCHEDULE_BASELINE,
    CYG_NPU_SCHEDULE_DEFAULT,
} cyg_npu_schedule_kind;

typedef struct cyg_npu_schedule_options {
    cyg_npu_schedule_kind kind;
    uint32_t tries;  /* of refinement; 0 = the first schedule that fits */
    uint64_t *needs; /* by step, or NULL: raised to the bytes alive at once in list order */
} cyg_npu_schedule_options;

typedef struct cyg_npu_schedule_report {
    int64_t cycles;
    uint64_t ocm_peak_bytes; /* bytes alive at once, at most */
    uint32_t tries;
    /* When it does not fit: the step at which the buffers alive need most, and how much. */
    bool fits;
    uint32_t tight_step;
    uint64_t tight_bytes;
} cyg_npu_schedule_report;

/* Fills instrs, ocm_bytes and swap_bytes of program; the rest of it is the caller's. CYG_OK with
 * fits false when the buffers of one step do not fit together: the caller tiles smaller or spills,
 * and tries again. */
cyg_status cyg_npu_schedule(cyg_ctx *ctx, const cyg_npu_machine *m, const cyg_npu_tasks *tasks,
                            const cyg_npu_schedule_options *options, cyg_arena *arena,
                            cyg_npu_program *program,
                            cyg_npu_schedule_report *out_report) CYG_MUST_USE;

#endif
