/* Every index exactly once, worker numbers in range and never shared, the floating-point mode set
 * and restored. */
#include "../testing.h"

#include <stdatomic.h>

#include "base/aside.h"
#include "base/fpenv.h"
#include "base/pool.h"

enum { MOST = 5000 };

typedef struct job {
    _Atomic int hits[MOST];
    _Atomic int inside[64]; /* bodies running under this worker number */
    unsigned workers;
    int64_t grain;
    _Atomic int wrong;
} job;

static volatile float tiny = 1e-38f, tenth = 0.1f;

static void body(void *arg, unsigned worker, int64_t begin, int64_t end)
{
    job *j = arg;
    if (worker >= j->workers || begin >= end || (j->grain > 0 && end - begin > j->grain))
        atomic_fetch_add(&j->wrong, 1);
    if (atomic_fetch_add(&j->inside[worker], 1) != 0)
        atomic_fetch_add(&j->wrong, 1);
    if (tiny * tenth == 0) /* a denormal unless flushed */
        atomic_fetch_add(&j->wrong, 1);
    for (int64_t i = begin; i < end; i++)
        atomic_fetch_add(&j->hits[i], 1);
    atomic_fetch_sub(&j->inside[worker], 1);
}

static void test_covers_each_index_once(void **state)
{
    (void)state;
    static const int64_t counts[] = {0, 1, 2, 3, 7, 64, 1000, MOST};
    static const int64_t grains[] = {0, 1, 2, 5, 333, 100000};
    for (unsigned threads = 0; threads <= 4; threads++) {
        cyg_pool *pool = threads > 0 ? cyg_pool_create(threads) : NULL;
        assert_int_equal(cyg_pool_threads(pool), threads > 1 ? threads : 1);
        for (size_t c = 0; c < CYG_COUNT(counts); c++)
            for (size_t g = 0; g < CYG_COUNT(grains); g++) {
                static job j;
                memset(&j, 0, sizeof j);
                j.workers = cyg_pool_threads(pool);
                j.grain = grains[g];
                cyg_pool_for(pool, counts[c], grains[g], body, &j);
                assert_int_equal(j.wrong, 0);
                for (int64_t i = 0; i < MOST; i++)
                    assert_int_equal(j.hits[i], i < counts[c] ? 1 : 0);
            }
        cyg_pool_destroy(pool);
    }
    cyg_pool_destroy(NULL);
}

/* Many short loops back to back, more threads than processors: workers come late to closed jobs all
 * the time, and each loop's result must be whole when it returns. */
static void add_range(void *arg, unsigned worker, int64_t begin, int64_t end)
{
    int64_t *out = arg;
    (void)worker;
    for (int64_t i = begin; i < end; i++)
        out[i] += i; /* plain memory: a missing ordering shows under TSan */
}

static void test_short_loops_in_a_row(void **state)
{
    (void)state;
    static int64_t out[64];
    cyg_pool *pool = cyg_pool_create(5);
    for (int patient = 0; patient < 2; patient++) {
        memset(out, 0, sizeof out);
        cyg_pool_set_patient(pool, patient != 0);
        const int64_t loops = 20000;
        for (int64_t k = 0; k < loops; k++)
            cyg_pool_for(pool, 1 + k % 64, 1 + k % 3, add_range, out);
        for (int64_t i = 0; i < 64; i++) {
            int64_t times = 0;
            for (int64_t k = 0; k < loops; k++)
                times += i <= k % 64;
            assert_int_equal(out[i], times * i);
        }
    }
    cyg_pool_destroy(pool);
}

#if defined(__x86_64__)
#include <xmmintrin.h>
static void flush_denormals(void)
{
    _mm_setcsr(_mm_getcsr() | 0x8040);
}
#else
static void flush_denormals(void)
{
    __asm__ volatile("msr fpcr, %0" ::"r"((uint64_t)1 << 24));
}
#endif

static void test_mode_is_restored(void **state)
{
    (void)state;
    const cyg_fpenv before = cyg_fpenv_enter();
    flush_denormals();
    assert_true(tiny * tenth == 0);
    static job j;
    memset(&j, 0, sizeof j);
    j.workers = 2;
    cyg_pool *pool = cyg_pool_create(2);
    cyg_pool_for(pool, 100, 1, body, &j);
    cyg_pool_for(NULL, 100, 1, body, &j);
    cyg_pool_destroy(pool);
    assert_int_equal(j.wrong, 0);
    assert_true(tiny * tenth == 0);
    cyg_fpenv_leave(before);
    assert_true(tiny * tenth != 0);
}

static void test_environment(void **state)
{
    (void)state;
    cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    unsigned n = 9;
    unsetenv("CYGNET_THREADS");
    assert_int_equal(cyg_pool_threads_from_env(&ctx, &n), CYG_OK);
    assert_int_equal(n, 0);
    setenv("CYGNET_THREADS", "3", 1);
    assert_int_equal(cyg_pool_threads_from_env(&ctx, &n), CYG_OK);
    assert_int_equal(n, 3);
    static const char *const bad[] = {"0", "-1", "two", "3x", "99999999999999999999", "257"};
    for (size_t i = 0; i < CYG_COUNT(bad); i++) {
        setenv("CYGNET_THREADS", bad[i], 1);
        assert_int_equal(cyg_pool_threads_from_env(&ctx, &n), CYG_E_USAGE);
    }
    unsetenv("CYGNET_THREADS");
}

typedef struct asked {
    int value;
    bool fails;
} asked;

static cyg_status answer(cyg_ctx *ctx, void *arg)
{
    asked *a = arg;
    if (a->fails)
        CYG_TRY(ctx, CYG_FAIL(ctx, CYG_E_IO, "no file %d", a->value), "while answering");
    a->value *= 2;
    return CYG_OK;
}

static void test_aside(void **state)
{
    (void)state;
    for (unsigned threads = 1; threads <= 2; threads++) {
        cyg_ctx ctx;
        cyg_aside aside = {0};
        asked a = {.value = 21};
        cyg_ctx_init(&ctx);
        ctx.pool = cyg_pool_create(threads);
        assert_int_equal(cyg_aside_join(&ctx, &aside), CYG_OK); /* nothing begun */
        cyg_aside_begin(&ctx, &aside, answer, &a);
        assert_int_equal(aside.under_way, threads > 1);
        assert_int_equal(cyg_aside_join(&ctx, &aside), CYG_OK);
        assert_int_equal(a.value, 42);
        a.fails = true;
        cyg_aside_begin(&ctx, &aside, answer, &a);
        assert_int_equal(cyg_ctx_message_count(&ctx), 0); /* it waits for the join */
        assert_int_equal(cyg_aside_join(&ctx, &aside), CYG_E_IO);
        assert_int_equal(cyg_ctx_message_count(&ctx), 2);
        assert_string_equal(cyg_ctx_message(&ctx, 0), "while answering");
        assert_string_equal(cyg_ctx_message(&ctx, 1), "no file 42");
        assert_int_equal(cyg_aside_join(&ctx, &aside), CYG_OK); /* once */
        cyg_pool_destroy(ctx.pool);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_covers_each_index_once),
        cmocka_unit_test(test_short_loops_in_a_row),
        cmocka_unit_test(test_mode_is_restored),
        cmocka_unit_test(test_environment),
        cmocka_unit_test(test_aside),
    };
    return CYG_TEST_MAIN(tests);
}
