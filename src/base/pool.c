/* Parallel loops on pthreadpool.
 *
 * A loop over [0, count) is cut into chunks of `grain`. Each of up to `threads` slots owns an
 * equal, contiguous run of chunks and takes them through an atomic counter; a slot that is done
 * helps the others by taking from their counters. So a slot touches the same part of memory each
 * time the loop runs (its cache still holds it), and an unlucky core does not hold the others up.
 * pthreadpool distributes the slots; it never runs one slot twice at once, hence slot = worker
 * index, whatever thread happens to run it.
 *
 * Nothing is allocated in a loop: counters are part of the pool, arguments lie on the caller's
 * stack. A body must not start a loop on the same pool. When more threads are asked for than
 * processors exist, waiting threads yield instead of spinning. Without pthreadpool (a bare cross
 * build) every loop is serial. */
#include "base/pool.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/fpenv.h"

#if CYG_HAVE_PTHREADPOOL
#include <pthreadpool.h>
#endif

enum { MOST_THREADS = 256 };

typedef struct CYG_ALIGNED(64) slot_state { /* a cache line each */
    _Atomic int64_t next;                   /* chunk to take */
    int64_t end;
} slot_state;

struct cyg_pool {
    unsigned threads;
    unsigned flags;
#if CYG_HAVE_PTHREADPOOL
    pthreadpool_t threads_of_execution;
#endif
    slot_state slots[];
};

static unsigned processors(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
        return (unsigned)CPU_COUNT(&set);
    const long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 && n <= MOST_THREADS ? (unsigned)n : 1;
}

cyg_status cyg_pool_threads_from_env(cyg_ctx *ctx, unsigned *out_threads)
{
    *out_threads = 0;
    const char *text = getenv("CYGNET_THREADS");
    if (text == NULL || text[0] == '\0')
        return CYG_OK;
    char *end = NULL;
    errno = 0;
    const long n = strtol(text, &end, 10);
    if (errno != 0 || *end != '\0' || n < 1 || n > MOST_THREADS)
        return CYG_FAIL(ctx, CYG_E_USAGE, "CYGNET_THREADS=%s: expected a number from 1 to %d", text,
                        MOST_THREADS);
    *out_threads = (unsigned)n;
    return CYG_OK;
}

cyg_pool *cyg_pool_create(unsigned threads)
{
    const unsigned cores = processors();
    if (threads == 0 && cyg_pool_threads_from_env(NULL, &threads) != CYG_OK)
        threads = 0;
    if (threads == 0)
        threads = cores;
    if (threads > MOST_THREADS)
        threads = MOST_THREADS;
#if !CYG_HAVE_PTHREADPOOL
    threads = 1;
#endif
    cyg_pool *pool = aligned_alloc(64, (sizeof *pool + threads * sizeof(slot_state) + 63) & ~63ul);
    if (pool == NULL)
        return NULL;
    pool->threads = threads;
    pool->flags = 0;
#if CYG_HAVE_PTHREADPOOL
    pool->flags = threads > cores ? PTHREADPOOL_FLAG_YIELD_WORKERS : 0;
    pool->threads_of_execution = NULL;
    if (threads > 1) {
        pool->threads_of_execution = pthreadpool_create(threads);
        if (pool->threads_of_execution == NULL) {
            free(pool);
            return NULL;
        }
    }
#endif
    return pool;
}

void cyg_pool_destroy(cyg_pool *pool)
{
    if (pool == NULL)
        return;
#if CYG_HAVE_PTHREADPOOL
    if (pool->threads_of_execution != NULL)
        pthreadpool_destroy(pool->threads_of_execution);
#endif
    free(pool);
}

void cyg_pool_set_patient(cyg_pool *pool, bool patient)
{
#if CYG_HAVE_PTHREADPOOL
    if (pool != NULL)
        pool->flags = patient || pool->threads > processors() ? PTHREADPOOL_FLAG_YIELD_WORKERS : 0;
#else
    (void)pool;
    (void)patient;
#endif
}

unsigned cyg_pool_threads(const cyg_pool *pool)
{
    return pool != NULL ? pool->threads : 1;
}

static void run_serial(int64_t count, int64_t grain, cyg_pool_body body, void *arg)
{
    const cyg_fpenv saved = cyg_fpenv_enter();
    for (int64_t i = 0; i < count;) {
        const int64_t end = count - i > grain ? i + grain : count;
        body(arg, 0, i, end);
        i = end;
    }
    cyg_fpenv_leave(saved);
}

#if CYG_HAVE_PTHREADPOOL

typedef struct loop {
    cyg_pool *pool;
    int64_t count, grain;
    size_t slots;
    cyg_pool_body body;
    void *arg;
} loop;

static void run_slot(void *arg, size_t slot)
{
    const loop *l = arg;
    const cyg_fpenv saved = cyg_fpenv_enter();
    for (size_t i = 0; i < l->slots; i++) {
        slot_state *from = &l->pool->slots[(slot + i) % l->slots];
        for (;;) {
            const int64_t chunk = atomic_fetch_add_explicit(&from->next, 1, memory_order_relaxed);
            if (chunk >= from->end)
                break;
            const int64_t begin = chunk * l->grain;
            const int64_t left = l->count - begin;
            l->body(l->arg, (unsigned)slot, begin, begin + (left < l->grain ? left : l->grain));
        }
    }
    cyg_fpenv_leave(saved);
}

static void run_parallel(cyg_pool *pool, int64_t count, int64_t grain, cyg_pool_body body,
                         void *arg)
{
    const int64_t chunks = count / grain + (count % grain != 0);
    loop l = {.pool = pool, .count = count, .grain = grain, .body = body, .arg = arg};
    l.slots = chunks < (int64_t)pool->threads ? (size_t)chunks : pool->threads;
    const int64_t each = chunks / (int64_t)l.slots, extra = chunks % (int64_t)l.slots;
    int64_t at = 0;
    for (size_t s = 0; s < l.slots; s++) {
        atomic_store_explicit(&pool->slots[s].next, at, memory_order_relaxed);
        at += each + ((int64_t)s < extra);
        pool->slots[s].end = at;
    }
    pthreadpool_parallelize_1d(pool->threads_of_execution, run_slot, &l, l.slots, pool->flags);
}

#endif

void cyg_pool_for(cyg_pool *pool, int64_t count, int64_t grain, cyg_pool_body body, void *arg)
{
    if (count <= 0)
        return;
    const int64_t threads = (int64_t)cyg_pool_threads(pool);
    if (grain <= 0)
        grain = count / threads + (count % threads != 0);
#if CYG_HAVE_PTHREADPOOL
    if (threads > 1 && count > grain) {
        run_parallel(pool, count, grain, body, arg);
        return;
    }
#endif
    run_serial(count, grain, body, arg);
}
