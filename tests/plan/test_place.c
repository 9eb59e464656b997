/* Placement against brute force: random lifetimes and sizes, every pair looked at. */
#include "../testing.h"

#include "plan/plan.h"

enum { MOST = 64, ALIGN = 64 };

static uint64_t state = 1;

static uint32_t next_random(uint32_t below)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33) % below;
}

static size_t make(cyg_plan_buffer *b)
{
    const size_t count = next_random(MOST + 1);
    for (size_t i = 0; i < count; i++) {
        const uint32_t first = next_random(40);
        b[i] = (cyg_plan_buffer){.size = next_random(8) == 0 ? 0 : next_random(5000),
                                 .first = first,
                                 .last = first + next_random(12),
                                 .offset = 12345};
    }
    return count;
}

/* Most bytes alive at one step: no placement needs less. */
static uint64_t lower_bound(const cyg_plan_buffer *b, size_t count)
{
    uint64_t most = 0;
    for (uint32_t step = 0; step < 64; step++) {
        uint64_t alive = 0;
        for (size_t i = 0; i < count; i++)
            if (b[i].first <= step && step <= b[i].last)
                alive += b[i].size;
        most = alive > most ? alive : most;
    }
    return most;
}

static void test_random(void **unused)
{
    (void)unused;
    uint64_t sum = 0, sum_bound = 0;
    for (int round = 0; round < 400; round++) {
        cyg_plan_buffer b[MOST], again[MOST];
        uint64_t bytes, bytes_again;
        const size_t count = make(b);
        memcpy(again, b, sizeof *b * count);
        assert_int_equal(cyg_plan_place(NULL, b, count, ALIGN, &bytes), CYG_OK);
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(b[i].offset % ALIGN, 0);
            assert_true(b[i].offset + b[i].size <= bytes);
            for (size_t k = 0; k < i; k++) {
                const bool meet = b[i].first <= b[k].last && b[k].first <= b[i].last;
                const bool overlap =
                    b[i].offset < b[k].offset + b[k].size && b[k].offset < b[i].offset + b[i].size;
                if (meet && overlap && b[i].size > 0 && b[k].size > 0)
                    fail_msg("round %d: buffers %zu and %zu overlap", round, i, k);
            }
        }
        assert_int_equal(bytes % ALIGN, 0);
        assert_true(bytes >= lower_bound(b, count));
        sum += bytes;
        sum_bound += lower_bound(b, count);
        assert_int_equal(cyg_plan_place(NULL, again, count, ALIGN, &bytes_again), CYG_OK);
        assert_int_equal(bytes, bytes_again);
        assert_memory_equal(b, again, sizeof *b * count);
    }
    assert_true(sum < sum_bound + sum_bound / 4); /* greedy, but no fool: within a quarter */
}

static void test_reuse(void **unused)
{
    (void)unused;
    cyg_plan_buffer chain[] = {{.size = 100, .first = 0, .last = 1},
                               {.size = 100, .first = 1, .last = 2},
                               {.size = 100, .first = 2, .last = 3},
                               {.size = 100, .first = 3, .last = 4}};
    uint64_t bytes;
    assert_int_equal(cyg_plan_place(NULL, chain, 4, ALIGN, &bytes), CYG_OK);
    assert_int_equal(bytes, 256); /* two buffers take turns */
    assert_int_equal(cyg_plan_place(NULL, chain, 0, ALIGN, &bytes), CYG_OK);
    assert_int_equal(bytes, 0);
}

static void test_huge(void **unused)
{
    (void)unused;
    static cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    const uint64_t sizes[] = {UINT64_MAX, UINT64_MAX - 10, UINT64_MAX / 2 + 1, UINT64_MAX / 3};
    for (size_t i = 0; i < CYG_COUNT(sizes); i++) {
        cyg_plan_buffer two[] = {{.size = sizes[i], .last = 1}, {.size = sizes[i], .last = 1}};
        uint64_t bytes;
        assert_int_equal(cyg_plan_place(&ctx, two, 2, ALIGN, &bytes), CYG_E_NOMEM);
    }
    assert_true(ctx_says(&ctx, "more memory than can be addressed"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_reuse),
        cmocka_unit_test(test_huge),
    };
    return CYG_TEST_MAIN(tests);
}
