/* The same model and samples make the same package, with every correction on: twice, on every ISA
 * level the machine has, on one, two and three threads. */
#include "../target/session_testing.h"

#include "base/hash.h"
#include "base/pool.h"

/* What the package gives is what the graph's own program holds, 4-bit weights included. */
static void same_constants(cyg_ctx *ctx, const cyg_graph *g, const char *path, bool s4)
{
    cyg_arena arena;
    cyg_program p;
    cyg_cpu_report report;
    cyg_package k;
    uint32_t shrunk = 0;
    cyg_arena_init(&arena);
    OK(ctx, cyg_target_cpu_compile(ctx, g, &arena, &p, &report));
    OK(ctx, cyg_package_open(ctx, path, &arena, NULL, &k));
    assert_int_equal(k.programs[0].tensor_count, p.tensor_count);
    for (uint32_t i = 0; i < p.tensor_count; i++) {
        const cyg_tensor *t = &k.programs[0].tensors[i];
        if (t->kind == CYG_TENSOR_CONST)
            assert_memory_equal(t->data, p.tensors[i].data, cyg_tensor_bytes(t));
        shrunk += t->group > 0;
    }
    assert_int_equal(shrunk, s4 ? 4 : 0); /* qkv, proj, fc1, fc2 */
    cyg_package_close(&k);
    cyg_arena_deinit(&arena);
}

/* What is asked of every step. */
typedef enum wish { WISH_NOTHING, WISH_S4, WISH_S16, WISHES } wish;

static void package_hash(void **state, unsigned threads, wish asks, char out[65])
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
    options.center_weights = true;
    options.s4 = asks == WISH_S4;
    cyg_asked asked[64] = {{0}};
    for (size_t i = 0; i < CYG_COUNT(asked); i++)
        asked[i].data = CYG_TYPE_S16;
    options.asked = asks == WISH_S16 ? asked : NULL;
    cyg_graph *g = tiny_quantised_as(&ctx, &options, &report);
    assert_true(report.gain_count > 4);
    assert_true(g->node_count < CYG_COUNT(asked));
    OK(&ctx, cyg_quant_bind_input(&ctx, g, 0, CYG_TYPE_U8, true));
    const char *path = scratch_path(state, "m.cyg");
    write_package(&ctx, g, path);
    same_constants(&ctx, g, path, asks == WISH_S4);
    cyg_graph_destroy(g);
    cyg_map map;
    OK(&ctx, cyg_map_open(&ctx, path, &map));
    cyg_sha256_hex(map.data, map.size, out);
    cyg_map_close(&map);
    cyg_pool_destroy(ctx.pool);
}

static void same_bytes(void **state, wish asks)
{
    char first[65], again[65];
    const char *saved = getenv("CYGNET_CPU");
    char *kept = saved != NULL ? strdup(saved) : NULL;
    unsetenv("CYGNET_CPU");
    package_hash(state, 1, asks, first);
    for (int level = 0; level < CYG_CPU_COUNT; level++) {
        if (!cyg_cpu_has((cyg_cpu_level_id)level))
            continue;
        setenv("CYGNET_CPU", cyg_cpu_name((cyg_cpu_level_id)level), 1);
        for (unsigned threads = 1; threads <= 3; threads++) {
            package_hash(state, threads, asks, again);
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

static void test_same_bytes(void **state)
{
    for (int asks = 0; asks < WISHES; asks++)
        same_bytes(state, (wish)asks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_same_bytes, setup_scratch, teardown_scratch),
    };
    return CYG_TEST_MAIN(tests);
}
