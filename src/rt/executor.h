/* Executors: who runs the subgraphs of a package. rt itself brings the CPU, which runs every step
 * that no subgraph covers; others are handed to a session by whoever creates it
 * (cyg_session_options.executors). rt knows nothing of what they do with code and parameters.
 *
 * Semi-public: for programs that link the static libraries, such as `cygnet` with its simulator. */
#ifndef CYG_RT_EXECUTOR_H
#define CYG_RT_EXECUTOR_H

#include "base/ctx.h"
#include "format/package.h"

/* What an executor gets for each subgraph of the programs that a session binds. Everything is lent
 * for the life of the session. */
typedef struct cyg_executor_job {
    const cyg_subgraph *subgraph;
    const cyg_program *program;
    void *const *tensors; /* [subgraph->tensor_count]: their bytes, 64-byte aligned, which stay
                             where they are; outputs overlap nothing else */
    cyg_pool *pool;       /* of the session */
    int level;            /* of kernels: base/cpu.h */
} cyg_executor_job;

typedef struct cyg_executor {
    const char *name; /* as packages say it: "npu" */
    void *user;       /* the executor's own, handed to open */
    /* Makes a subgraph ready: a package is hostile input. */
    cyg_status (*open)(cyg_ctx *ctx, void *user, const cyg_executor_job *job, void **out_state);
    cyg_status (*run)(cyg_ctx *ctx, void *state); /* once; allocates nothing */
    void (*close)(void *state);
    size_t (*memory)(const void *state); /* bytes held */
    /* Output `output` of step `step` of the subgraph as the last run made it, NULL = not kept. May
     * be NULL itself. */
    const void *(*output)(const void *state, uint32_t step, uint32_t output);
} cyg_executor;

#endif
