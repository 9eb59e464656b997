/* Compilation for an NPU: whatever is tiled, placed and spilled, the bytes are the CPU's. */
#include "../quant/tiny_model.h"
#include "lower/lower.h"
#include "npu_in_order.h"

static void compile_and_check(const cyg_program *p, const char *chip, const char *mode,
                              int64_t ocm_bytes, cyg_npu_schedule_kind kind)
{
    static cyg_ctx ctx;
    cyg_arena arena;
    cyg_npu_options o = {.kind = kind};
    cyg_npu_result r;
    cyg_ctx_init(&ctx);
    cyg_arena_init(&arena);
    OK(&ctx, cyg_npu_machine_find(&ctx, &arena, chip, mode, &o.machine));
    if (ocm_bytes > 0)
        o.machine.ocm_bytes = ocm_bytes;
    OK(&ctx, cyg_target_npu_compile(&ctx, p, &o, &arena, &r));
    for (uint32_t i = 0; i < r.subgraph_count; i++)
        OK(&ctx, cyg_npu_program_check(&ctx, &o.machine, &r.subgraphs[i].program));
    check_same_bytes(p, &r, 5);
    cyg_arena_deinit(&arena);
}

static void test_tiny(void **unused)
{
    (void)unused;
    static cyg_ctx ctx;
    cyg_arena arena;
    cyg_program p;
    cyg_quant_report quantised;
    static const int64_t sizes[] = {0, 65536, 12288, 5120, 4096};
    cyg_ctx_init(&ctx);
    cyg_arena_init(&arena);
    cyg_graph *g = tiny_quantised(&ctx, true, &quantised);
    OK(&ctx, cyg_lower_graph(&ctx, g, &arena, &p));
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        compile_and_check(&p, "AX650", "NPU1", sizes[i], CYG_NPU_SCHEDULE_DEFAULT);
        compile_and_check(&p, "AX650", "NPU3", sizes[i], CYG_NPU_SCHEDULE_DEFAULT);
        compile_and_check(&p, "AX620E", "NPU1", sizes[i], CYG_NPU_SCHEDULE_BASELINE);
    }
    cyg_graph_destroy(g);
    cyg_arena_deinit(&arena);
}

/* A program in float has nothing for the NPU: every step says why. */
static void test_refused(void **unused)
{
    (void)unused;
    static cyg_ctx ctx;
    cyg_arena arena;
    cyg_program p;
    cyg_npu_options o = {.kind = CYG_NPU_SCHEDULE_DEFAULT};
    cyg_npu_result r;
    cyg_ctx_init(&ctx);
    cyg_arena_init(&arena);
    cyg_graph *g = tiny_graph();
    OK(&ctx, cyg_lower_graph(&ctx, g, &arena, &p));
    OK(&ctx, cyg_npu_machine_find(&ctx, &arena, "AX650", "NPU1", &o.machine));
    OK(&ctx, cyg_target_npu_compile(&ctx, &p, &o, &arena, &r));
    assert_int_equal(r.subgraph_count, 0);
    assert_int_equal(r.refusal_count, p.step_count);
    assert_string_equal(r.refusals[0].reason, "it computes in float");
    cyg_graph_destroy(g);
    cyg_arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tiny),
        cmocka_unit_test(test_refused),
    };
    return CYG_TEST_MAIN(tests);
}
