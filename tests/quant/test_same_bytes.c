/* The same model and samples make the same package, with every correction on: twice, on every ISA
 * level the machine has, on one, two and three threads. */
#include "../target/session_testing.h"

#include "base/hash.h"
#include "base/pool.h"

static void package_hash(void **state, unsigned threads, char out[65])
{
    static cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    ctx.pool = cyg_pool_create(threads);
    assert_non_null(ctx.pool);
    cyg_quant_report report;
    cyg_quant_options options = tiny_options(true);
    options.smooth = CYG_SMOOTH_SEARCH;
    options.method = CYG_RANGE_KL;
    options.search_ranges = options.correct_bias = options.round_weights = true;
    cyg_graph *g = tiny_quantised_as(&ctx, &options, &report);
    assert_true(report.gain_count > 4);
    OK(&ctx, cyg_quant_bind_input(&ctx, g, 0, CYG_TYPE_U8, true));
    const char *path = scratch_path(state, "m.cyg");
    write_package(&ctx, g, path);
    cyg_graph_destroy(g);
    cyg_map map;
    OK(&ctx, cyg_map_open(&ctx, path, &map));
    cyg_sha256_hex(map.data, map.size, out);
    cyg_map_close(&map);
    cyg_pool_destroy(ctx.pool);
}

static void test_same_bytes(void **state)
{
    char first[65], again[65];
    const char *saved = getenv("CYGNET_CPU");
    char *kept = saved != NULL ? strdup(saved) : NULL;
    unsetenv("CYGNET_CPU");
    package_hash(state, 1, first);
    for (int level = 0; level < CYG_CPU_COUNT; level++) {
        if (!cyg_cpu_has((cyg_cpu_level_id)level))
            continue;
        setenv("CYGNET_CPU", cyg_cpu_name((cyg_cpu_level_id)level), 1);
        for (unsigned threads = 1; threads <= 3; threads++) {
            package_hash(state, threads, again);
            if (strcmp(first, again) != 0)
                fail_msg("%s, %u threads: %s, expected %s", getenv("CYGNET_CPU"), threads, again,
                         first);
        }
    }
    if (kept != NULL)
        setenv("CYGNET_CPU", kept, 1);
    else
        unsetenv("CYGNET_CPU");
    free(kept);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_same_bytes, setup_scratch, teardown_scratch),
    };
    return CYG_TEST_MAIN(tests);
}
