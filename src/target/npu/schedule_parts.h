/* Private to the scheduler: what its parts hand each other. A "position" is a task's number in the
 * list, the sequential order; an "index" is its number in the emitted program. */
#ifndef CYG_TARGET_NPU_SCHEDULE_PARTS_H
#define CYG_TARGET_NPU_SCHEDULE_PARTS_H

#include "target/npu/schedule.h"

/* What the plain schedule runs one after another: steps, and phases in them. */
CYG_INLINE uint64_t cyg_npu_stage_of(const cyg_npu_task *t)
{
    return (uint64_t)t->step << 16 | t->phase;
}

/* depend.c: the dependence graph of the tasks, in compressed rows: those of task u are
 * preds[pred_at[u]] .. preds[pred_at[u + 1] - 1], all of them earlier positions. */
typedef struct cyg_npu_depend {
    uint32_t *pred_at, *preds, *succ_at, *succs;
    uint32_t *touch_at, *touched; /* OCM and SWAP buffers that a task touches, each once */
} cyg_npu_depend;
cyg_status cyg_npu_depend_build(cyg_ctx *ctx, const cyg_npu_tasks *tasks, cyg_arena *arena,
                                cyg_npu_depend *out_depend) CYG_MUST_USE;

/* By position, what all tries share. */
typedef struct cyg_npu_load {
    cyg_npu_cost *costs;
    int64_t *alone;         /* cycles with the DDR to itself, at least 1 */
    int64_t *tail;          /* cycles of the longest chain that begins with the task */
    uint32_t *first, *last; /* by buffer: positions of its first and last toucher */
    uint64_t *live;         /* bytes of OCM buffers alive at a position, run in order */
    uint64_t *room;         /* by buffer: bytes it takes in the OCM, aligned; 0 = not there */
    bool *goes_on;          /* takes what another task of its step left in a tile buffer */
    bool *is_load;          /* fills a weight buffer and does nothing else */
} cyg_npu_load;

/* order.c: one list schedule. */
typedef struct cyg_npu_order_options {
    uint64_t capacity;        /* bytes of OCM that buffers alive at once may take */
    const uint64_t *withheld; /* by step: what early buffers may not have of it; NULL = nothing */
    uint64_t reserve; /* of it, bytes that weights loaded ahead of their time must leave free */
    uint32_t ahead;   /* steps that a task may run ahead of the oldest unfinished one */
    uint32_t weights_ahead; /* likewise loads of weights */
    bool by_tail;           /* longest chain first, else list order */
    uint32_t slope; /* list order, in eighths: 8 = step after step, 16 = a step begins when half of
                       the one before is done */
    bool barrier;   /* baseline: no step before its predecessor is finished, but for its weights */
    uint32_t seed;  /* 0 = none; else chains are stretched at random by up to an eighth */
} cyg_npu_order_options;
typedef struct cyg_npu_order {
    uint32_t *sequence;   /* [n] positions in order of start */
    uint16_t *engine;     /* by position */
    int64_t *start, *end; /* by position: estimated cycles */
    int64_t cycles;
} cyg_npu_order;
cyg_status cyg_npu_order_make(cyg_ctx *ctx, const cyg_npu_machine *m, const cyg_npu_tasks *tasks,
                              const cyg_npu_depend *depend, const cyg_npu_load *load,
                              const cyg_npu_order_options *options, cyg_arena *arena,
                              cyg_npu_order *out_order) CYG_MUST_USE;

/* place_ocm.c: addresses of OCM buffers by their time of life. out_bytes is the highest address
 * used; out_peak the bytes alive at once, at most. Stops looking once `enough` bytes do. */
cyg_status cyg_npu_place_ocm(cyg_ctx *ctx, const cyg_npu_tasks *tasks, const cyg_npu_depend *depend,
                             const cyg_npu_load *load, const cyg_npu_order *order, uint64_t enough,
                             cyg_arena *arena, uint64_t *addresses, uint64_t *out_bytes,
                             uint64_t *out_peak) CYG_MUST_USE;

/* emit.c: instructions with engines, addresses and waits. addresses: by buffer (OCM and SWAP). */
cyg_status cyg_npu_emit(cyg_ctx *ctx, const cyg_npu_machine *m, const cyg_npu_tasks *tasks,
                        const cyg_npu_depend *depend, const cyg_npu_load *load,
                        const cyg_npu_order *order, const uint64_t *addresses, bool barrier,
                        cyg_arena *arena, cyg_npu_program *program) CYG_MUST_USE;

#endif
