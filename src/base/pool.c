/* Parallel loops on threads of our own.
 *
 * A loop over [0, count) is cut into chunks of `grain`. Each of up to `threads` slots owns an
 * equal, contiguous run of chunks and takes them through an atomic counter; whoever is done helps
 * the others by taking from their counters. So a thread touches the same part of memory each time
 * the loop runs (its cache still holds it), and an unlucky core does not hold the others up.
 *
 * Why not pthreadpool: it waits for every thread to have been there, even when all work is done. On
 * a machine with one busy neighbour that turned 28 ms of Swin-T (one thread) into 450 to 790 ms
 * (two threads), since each of a hundred loops waited for the scheduler. Here a loop is over when
 * its last chunk is: a worker that comes late finds the loop closed and goes back to waiting.
 *
 * Protocol. The caller writes the job, opens it (open = 1), advances `generation` and wakes
 * sleepers. A worker that sees a new generation first announces itself (in_flight + 1) and only
 * then looks at `open`; it touches the job only when it is open. The caller, done with its own
 * part, closes the job (open = 0) and then waits until in_flight is 0. Both orders are sequentially
 * consistent, so either the worker sees the job closed or the caller sees the worker. Waiting
 * threads spin for some microseconds, then sleep on a futex.
 *
 * Nothing is allocated in a loop. A body must not start a loop on the same pool. */
#include "base/pool.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/attr.h"
#include "base/fpenv.h"

enum {
    MOST_THREADS = 256,
    SPINS = 2000,        /* looks before a waiting thread sleeps: some tens of microseconds */
    CHUNKS_A_THREAD = 4, /* when the caller gives no grain: enough to help each other */
};

typedef struct CYG_ALIGNED(64) slot_state { /* a cache line each */
    _Atomic int64_t next;                   /* chunk to take */
    int64_t end;
} slot_state;

typedef struct worker_state {
    struct cyg_pool *pool;
    pthread_t thread;
    unsigned index; /* 1 .. threads - 1; the caller is 0 */
} worker_state;

struct cyg_pool {
    unsigned threads, started;
    _Atomic bool patient;
    worker_state *workers;
    CYG_ALIGNED(64) _Atomic uint32_t generation; /* futex word */
    _Atomic int32_t sleepers;
    _Atomic bool stop;
    CYG_ALIGNED(64) _Atomic uint32_t open;
    _Atomic uint32_t in_flight;
    /* the job: written while closed and nobody is in flight */
    int64_t count, grain;
    unsigned slots_used;
    cyg_pool_body body;
    void *arg;
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

static inline void cpu_pause(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void futex_wait(_Atomic uint32_t *word, uint32_t while_value)
{
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, while_value, NULL, NULL, 0);
}

static void futex_wake(_Atomic uint32_t *word, unsigned count)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}

/* ---- the loop ---- */

static void run_chunks(cyg_pool *pool, unsigned worker)
{
    const cyg_fpenv saved = cyg_fpenv_enter();
    for (unsigned i = 0; i < pool->slots_used; i++) {
        slot_state *from = &pool->slots[(worker + i) % pool->slots_used];
        for (;;) {
            const int64_t chunk = atomic_fetch_add_explicit(&from->next, 1, memory_order_relaxed);
            if (chunk >= from->end)
                break;
            const int64_t begin = chunk * pool->grain;
            const int64_t left = pool->count - begin;
            pool->body(pool->arg, worker, begin, begin + (left < pool->grain ? left : pool->grain));
        }
    }
    cyg_fpenv_leave(saved);
}

static void wait_for_generation(cyg_pool *pool, uint32_t seen)
{
    for (int i = pool->patient ? SPINS : 0; i < SPINS; i++) {
        if (atomic_load_explicit(&pool->generation, memory_order_acquire) != seen)
            return;
        cpu_pause();
    }
    atomic_fetch_add(&pool->sleepers, 1);
    while (atomic_load(&pool->generation) == seen)
        futex_wait(&pool->generation, seen);
    atomic_fetch_sub(&pool->sleepers, 1);
}

static void *worker_main(void *arg)
{
    const worker_state *self = arg;
    cyg_pool *pool = self->pool;
    uint32_t seen = 0;
    for (;;) {
        wait_for_generation(pool, seen);
        seen = atomic_load(&pool->generation);
        if (atomic_load(&pool->stop))
            return NULL;
        atomic_fetch_add(&pool->in_flight, 1);
        if (atomic_load(&pool->open) != 0)
            run_chunks(pool, self->index);
        atomic_fetch_sub(&pool->in_flight, 1);
    }
}

static void announce(cyg_pool *pool, unsigned helpers)
{
    atomic_fetch_add(&pool->generation, 1);
    if (atomic_load(&pool->sleepers) > 0)
        futex_wake(&pool->generation, helpers);
}

static void run_parallel(cyg_pool *pool, int64_t count, int64_t grain, cyg_pool_body body,
                         void *arg)
{
    const int64_t chunks = count / grain + (count % grain != 0);
    pool->count = count;
    pool->grain = grain;
    pool->body = body;
    pool->arg = arg;
    pool->slots_used = chunks < (int64_t)pool->threads ? (unsigned)chunks : pool->threads;
    const int64_t each = chunks / pool->slots_used, extra = chunks % pool->slots_used;
    int64_t at = 0;
    for (unsigned s = 0; s < pool->slots_used; s++) {
        atomic_store_explicit(&pool->slots[s].next, at, memory_order_relaxed);
        at += each + (s < extra);
        pool->slots[s].end = at;
    }
    atomic_store(&pool->open, 1);
    announce(pool, pool->slots_used - 1);
    run_chunks(pool, 0);
    atomic_store(&pool->open, 0);
    for (int i = 0; atomic_load(&pool->in_flight) != 0; i++) {
        if (i < SPINS)
            cpu_pause();
        else
            sched_yield(); /* the worker with the last chunk may need this processor */
    }
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

void cyg_pool_for(cyg_pool *pool, int64_t count, int64_t grain, cyg_pool_body body, void *arg)
{
    if (count <= 0)
        return;
    const int64_t threads = (int64_t)cyg_pool_threads(pool);
    if (grain <= 0) {
        const int64_t chunks = threads > 1 ? threads * CHUNKS_A_THREAD : 1;
        grain = count / chunks + (count % chunks != 0);
    }
    if (threads > 1 && count > grain)
        run_parallel(pool, count, grain, body, arg);
    else
        run_serial(count, grain, body, arg);
}

/* ---- life ---- */

cyg_pool *cyg_pool_create(unsigned threads)
{
    if (threads == 0 && cyg_pool_threads_from_env(NULL, &threads) != CYG_OK)
        threads = 0;
    if (threads == 0)
        threads = processors();
    if (threads > MOST_THREADS)
        threads = MOST_THREADS;
    cyg_pool *pool = aligned_alloc(64, (sizeof *pool + threads * sizeof(slot_state) + 63) & ~63ul);
    worker_state *workers = calloc(threads, sizeof *workers);
    if (pool == NULL || workers == NULL) {
        free(pool);
        free(workers);
        return NULL;
    }
    *pool = (cyg_pool){.threads = threads, .started = 1, .workers = workers};
    for (unsigned i = 1; i < threads; i++) {
        workers[i].pool = pool;
        workers[i].index = i;
        if (pthread_create(&workers[i].thread, NULL, worker_main, &workers[i]) != 0) {
            cyg_pool_destroy(pool);
            return NULL;
        }
        pool->started++;
    }
    pool->patient = threads > processors();
    return pool;
}

void cyg_pool_destroy(cyg_pool *pool)
{
    if (pool == NULL)
        return;
    atomic_store(&pool->stop, true);
    announce(pool, MOST_THREADS);
    for (unsigned i = 1; i < pool->started; i++)
        pthread_join(pool->workers[i].thread, NULL);
    free(pool->workers);
    free(pool);
}

void cyg_pool_set_patient(cyg_pool *pool, bool patient)
{
    if (pool != NULL)
        pool->patient = patient || pool->threads > processors();
}

unsigned cyg_pool_threads(const cyg_pool *pool)
{
    return pool != NULL ? pool->threads : 1;
}
