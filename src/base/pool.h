/* Thread pool: parallel loops over index ranges. A loop never waits for a thread that has no work
 * left to do, so a busy machine costs no more than its share (pool.c says how, and why not
 * pthreadpool).
 *
 * The split never changes a result: every loop body writes disjoint outputs (docs/numerics.md rule
 * 1). The body runs with round-to-nearest, denormals kept, whatever the caller's floating-point
 * mode was; the mode is restored afterwards. */
#ifndef CYG_BASE_POOL_H
#define CYG_BASE_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct cyg_pool cyg_pool;

/* threads 0 = CYGNET_THREADS if set, else the number of processors this process may use. NULL when
 * out of memory. A pool is compatible: used by one caller at a time. */
cyg_pool *cyg_pool_create(unsigned threads);
void cyg_pool_destroy(cyg_pool *pool);
/* Waiting threads sleep instead of spinning: kinder to neighbours, some microseconds slower a loop.
 * For jobs of long loops (calibration); off by default. */
void cyg_pool_set_patient(cyg_pool *pool, bool patient);
unsigned cyg_pool_threads(const cyg_pool *pool); /* NULL pool = 1 */

/* What CYGNET_THREADS asks for; 0 when unset, an error when it is no number from 1 to 256.
 * (cyg_pool_create cannot say why it ignored a bad value: the command line asks here first.) */
cyg_status cyg_pool_threads_from_env(cyg_ctx *ctx, unsigned *out_threads) CYG_MUST_USE;

/* worker is in [0, cyg_pool_threads): use it to pick a thread's scratch. */
typedef void (*cyg_pool_body)(void *arg, unsigned worker, int64_t begin, int64_t end);
/* Calls body on disjoint sub-ranges that cover [0, count), each at most `grain` long (0 = one part
 * a thread). Allocates nothing. The body must not start a loop on the same pool. */
void cyg_pool_for(cyg_pool *pool, int64_t count, int64_t grain, cyg_pool_body body, void *arg);

#endif
