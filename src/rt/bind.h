/* Private to rt/: a program made ready for one machine. */
#ifndef CYG_RT_BIND_H
#define CYG_RT_BIND_H

#include "base/ctx.h"
#include "format/package.h"
#include "kernels/call.h"
#include "rt/executor.h"

typedef struct cyg_bound_step {
    cyg_kcall call;
    void (*run)(const cyg_kcall *, int64_t, int64_t, void *);
    int64_t items, grain;
    size_t scratch_stride;
    size_t packed_bytes; /* of its prepared operands, 0 = none or another's */
    const char *name;
    /* The first step of a subgraph, which runs in the place of `covers` steps; else NULL and 1. */
    const cyg_executor *executor;
    void *state;
    uint32_t covers;
} cyg_bound_step;

typedef struct cyg_bound_program {
    const cyg_program *program;
    cyg_bound_step *steps; /* [program->step_count] */
    uint32_t first_step; /* number of its first step, counted through all programs of the session */
} cyg_bound_program;

/* What the programs of a session share: they run one after the other. */
typedef struct cyg_binding {
    const cyg_package *package;
    cyg_arena memory; /* bindings */
    int level;
    unsigned threads;
    cyg_pool *pool; /* lent */
    const cyg_executor *const *executors;
    uint32_t executor_count;
    char *arena;  /* activations of the program that runs, 64-byte aligned */
    char *packed; /* prepared operands of all steps */
    char *scratch;
    size_t arena_bytes, packed_bytes, scratch_bytes, executor_bytes;
    cyg_bound_program *programs; /* [program_count] */
    uint32_t program_count;
} cyg_binding;

/* Binds programs[first .. first + count) of b->package, whose fields up to executors are set: takes
 * the arena, checks every step with its kernel, packs. _deinit in any case. */
cyg_status cyg_bind_programs(cyg_ctx *ctx, cyg_binding *b, uint32_t first,
                             uint32_t count) CYG_MUST_USE;
void cyg_binding_deinit(cyg_binding *b);
/* A tensor's bytes: in the arena or, for a constant, in the package. */
void *cyg_bound_data(const cyg_binding *b, const cyg_program *p, uint32_t tensor);

#endif
