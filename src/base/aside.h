/* One job on a thread of its own, beside what the caller does: writing a file, hashing one,
 * whatever uses one thread while the caller has others or waits for none.
 *
 * The job has a context of its own without pool and log: it runs no parallel loops and says nothing
 * but its error. What it reads must not change before the join, what it writes is nobody else's
 * until then. With one thread to use (or none to be had) it runs in the caller, at once. */
#ifndef CYG_BASE_ASIDE_H
#define CYG_BASE_ASIDE_H

#include <pthread.h>

#include "base/ctx.h"

typedef cyg_status (*cyg_aside_job)(cyg_ctx *ctx, void *arg);

typedef struct cyg_aside { /* zeros: nothing was begun */
    cyg_aside_job job;
    void *arg;
    pthread_t thread;
    bool under_way; /* on its thread */
    cyg_status status;
    cyg_ctx ctx;
} cyg_aside;

/* aside must stay where it is until the join. */
void cyg_aside_begin(cyg_ctx *ctx, cyg_aside *aside, cyg_aside_job job, void *arg);
/* Waits for the job and hands over its error; CYG_OK when nothing was begun, or joined already. */
cyg_status cyg_aside_join(cyg_ctx *ctx, cyg_aside *aside) CYG_MUST_USE;

#endif
