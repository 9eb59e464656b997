/* Compilation for an NPU: whatever is tiled, placed and spilled, the bytes are the CPU's. */
#include "lower/lower.h"
#include "npu_in_order.h"
#include "npu_zoo.h"

static uint32_t compile_and_check(const cyg_program *p, const char *chip, const char *mode,
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
    check_same_bytes(&o.machine, p, &r, 5, NULL);
    static uint64_t turn;
    const cyg_sim_options order = {.order = (cyg_sim_order)(turn % 4), .seed = turn, .check = true};
    turn++;
    check_same_bytes(&o.machine, p, &r, 6, &order);
    const uint32_t on_npu = p->step_count - r.refusal_count;
    cyg_arena_deinit(&arena);
    return on_npu;
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

/* Random networks, machines and memories down to where steps have to leave for the CPU. */
static void test_zoo(void **unused)
{
    (void)unused;
    static const int64_t sizes[] = {0, 262144, 32768, 8192, 4096};
    static const char *const machines[][2] = {{"AX650", "NPU1"},
                                              {"AX650", "NPU3"},
                                              {"AX620E", "NPU1"},
                                              {"AX620E", "NPU2"},
                                              {"AX650", "NPU2"}};
    for (uint64_t seed = 1; seed <= 60; seed++) {
        zoo z;
        if (seed % 2 == 0)
            zoo_token_net(&z, seed);
        else
            zoo_picture_net(&z, seed);
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            const char *const *m = machines[(seed + i) % 5];
            const uint32_t on_npu = compile_and_check(&z.p, m[0], m[1], sizes[i],
                                                      i % 2 == 0 ? CYG_NPU_SCHEDULE_DEFAULT
                                                                 : CYG_NPU_SCHEDULE_BASELINE);
            /* Small memories mean small tiles, not a retreat: only the smallest do without. */
            if (sizes[i] != 4096)
                assert_true(on_npu >= z.p.step_count - 1);
        }
        cyg_arena_deinit(&z.arena);
    }
}

/* In the plain schedule tensors at the border that fit pass the DDR in one transfer each. */
static void test_plain_moves_whole(void **unused)
{
    (void)unused;
    static cyg_ctx ctx;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        cyg_arena arena;
        cyg_npu_options o = {.kind = CYG_NPU_SCHEDULE_BASELINE};
        cyg_npu_result r;
        zoo z;
        cyg_ctx_init(&ctx);
        cyg_arena_init(&arena);
        zoo_token_net(&z, seed);
        OK(&ctx, cyg_npu_machine_find(&ctx, &arena, "AX650", "NPU3", &o.machine));
        OK(&ctx, cyg_target_npu_compile(&ctx, &z.p, &o, &arena, &r));
        assert_int_equal(r.subgraph_count, 1);
        const cyg_npu_program *p = &r.subgraphs[0].program;
        for (uint32_t io = 0; io < p->io_count; io++) {
            uint32_t transfers = 0;
            for (uint32_t i = 0; i < p->instr_count; i++)
                for (uint32_t k = 0; k < 2; k++) {
                    const cyg_npu_view *v = &p->instrs[i].operands[k];
                    transfers += cyg_npu_op_info_of(p->instrs[i].op)->engine == CYG_NPU_SDMA &&
                                 v->space == CYG_NPU_IO && v->buffer == io;
                }
            assert_int_equal(transfers, 1);
        }
        cyg_arena_deinit(&arena);
        cyg_arena_deinit(&z.arena);
    }
}

/* Row of an 8 by 8 picture that the i-th token of windows of 4 by 4 is, shifted by `shift` rows and
 * columns. */
static int64_t window_row(int64_t i, int64_t shift)
{
    const int64_t window = i / 16, y = window / 2 * 4 + i % 16 / 4, x = window % 2 * 4 + i % 4;
    return (y + shift) % 8 * 8 + (x + shift) % 8;
}

/* The plain schedule moves what the graph around an attention moves: heads of q, k, v and y, with
 * windows all rows once more before and behind, with shifted ones once more an axis. */
static void test_plain_moves_windows(void **unused)
{
    (void)unused;
    static cyg_ctx ctx;
    enum { IN_ORDER, WINDOWS, SHIFTED, CASES, ROWS = 64, HEADS = 2, DIM = 8, ROW_TABLE = 7 };
    static const int64_t moves[CASES] = {4, 4 + 2 * 1, 4 + 2 * 3};
    for (int k = 0; k < CASES; k++) {
        cyg_arena arena;
        cyg_npu_options o = {.kind = CYG_NPU_SCHEDULE_BASELINE};
        cyg_npu_result r;
        zoo z;
        const int64_t dims[] = {1, ROWS, HEADS * DIM}, rows = ROWS;
        cyg_ctx_init(&ctx);
        cyg_arena_init(&arena);
        zoo_begin(&z, 3);
        const uint32_t x = zoo_input(&z, CYG_TYPE_U8, 3, dims);
        const uint32_t y = zoo_attention(&z, x, ROWS / 16, HEADS, DIM);
        cyg_step *attention = &z.p.steps[z.p.step_count - 1];
        uint32_t *in = zoo_alloc(&z, (int64_t)sizeof *in * (ROW_TABLE + 1));
        memcpy(in, attention->in, sizeof *in * (ROW_TABLE + 1));
        attention->in = in;
        int64_t *table = zoo_alloc(&z, ROWS * 8);
        for (int64_t i = 0; i < ROWS; i++)
            table[i] = window_row(i, k == SHIFTED ? 1 : 0);
        in[ROW_TABLE] =
            k == IN_ORDER ? CYG_NO_TENSOR : zoo_const(&z, CYG_TYPE_S64, 1, &rows, table);
        zoo_linear(&z, y, HEADS * DIM, CYG_TYPE_S16, CYG_NO_TENSOR);
        zoo_end(&z);
        for (int m = 0; m < 2; m++) {
            const char *mode = m == 0 ? "NPU1" : "NPU3";
            int64_t moved = 0;
            OK(&ctx, cyg_npu_machine_find(&ctx, &arena, "AX650", mode, &o.machine));
            OK(&ctx, cyg_target_npu_compile(&ctx, &z.p, &o, &arena, &r));
            assert_int_equal(r.subgraph_count, 1);
            const cyg_npu_program *p = &r.subgraphs[0].program;
            for (uint32_t i = 0; i < p->instr_count; i++)
                if (cyg_npu_op_info_of(p->instrs[i].op)->engine == CYG_NPU_CV)
                    moved += cyg_npu_view_elements(&p->instrs[i].operands[p->instrs[i].in_count]);
            assert_int_equal(moved, moves[k] * ROWS * HEADS * DIM);
            compile_and_check(&z.p, "AX650", mode, 0, CYG_NPU_SCHEDULE_BASELINE);
        }
        cyg_arena_deinit(&arena);
        cyg_arena_deinit(&z.arena);
    }
}

/* Parts are subgraphs of their own under options of their own; of too many subgraphs the least stay
 * on the CPU. Either way the bytes are the CPU's. */
static void test_parts(void **unused)
{
    (void)unused;
    static cyg_ctx ctx;
    for (uint64_t seed = 1; seed <= 12; seed++) {
        cyg_arena arena;
        cyg_npu_result r;
        zoo z;
        cyg_ctx_init(&ctx);
        cyg_arena_init(&arena);
        if (seed % 2 == 0)
            zoo_token_net(&z, seed);
        else
            zoo_picture_net(&z, seed);
        cyg_npu_options o = {.kind = CYG_NPU_SCHEDULE_DEFAULT};
        OK(&ctx, cyg_npu_machine_find(&ctx, &arena, "AX650", "NPU1", &o.machine));
        cyg_npu_part parts[2] = {{.first = 1, .last = 2, .options = o},
                                 {.first = 3, .last = z.p.step_count - 2, .options = o}};
        parts[0].options.kind = CYG_NPU_SCHEDULE_BASELINE;
        parts[1].options.machine.ddr_bytes /= 4;
        parts[1].options.machine.ddr_stream_bytes = parts[1].options.machine.ddr_bytes;
        o.parts = parts;
        o.part_count = 2;
        OK(&ctx, cyg_target_npu_compile(&ctx, &z.p, &o, &arena, &r));
        assert_int_equal(r.refusal_count, 0);
        assert_int_equal(r.subgraph_count, 4);
        assert_true(r.subgraphs[0].part == UINT32_MAX && r.subgraphs[3].part == UINT32_MAX);
        for (uint32_t i = 0; i < 2; i++) {
            assert_int_equal(r.subgraphs[1 + i].part, i);
            assert_int_equal(r.subgraphs[1 + i].first, parts[i].first);
            assert_int_equal(r.subgraphs[1 + i].last, parts[i].last);
            assert_ptr_equal(r.subgraphs[1 + i].options, &parts[i].options);
        }
        const cyg_npu_machine full = o.machine;
        for (uint32_t i = 0; i < r.subgraph_count; i++) /* one machine runs them here */
            r.subgraphs[i].program.machine_hash = cyg_npu_machine_hash(&full);
        check_same_bytes(&full, &z.p, &r, 5, NULL);
        o.most_subgraphs = 2;
        OK(&ctx, cyg_target_npu_compile(&ctx, &z.p, &o, &arena, &r));
        assert_int_equal(r.subgraph_count, 2);
        assert_true(r.refusal_count >= 2 && strstr(r.refusals[0].reason, "no room") != NULL);
        for (uint32_t i = 0; i < r.subgraph_count; i++)
            r.subgraphs[i].program.machine_hash = cyg_npu_machine_hash(&full);
        check_same_bytes(&full, &z.p, &r, 5, NULL);
        cyg_arena_deinit(&arena);
        cyg_arena_deinit(&z.arena);
    }
}

/* A mean over pictures that are too much for the OCM one by one: cut along channels in a batch as
 * it is alone. */
static void test_large_means(void **unused)
{
    (void)unused;
    for (int64_t images = 1; images <= 3; images++) {
        const int64_t dims[] = {images, 30, 30, 64};
        zoo z;
        zoo_begin(&z, (uint64_t)images);
        const uint32_t x = zoo_input(&z, CYG_TYPE_U8, 4, dims);
        zoo_reduce(&z, x);
        zoo_extreme(&z, x);
        zoo_end(&z);
        assert_int_equal(compile_and_check(&z.p, "AX650", "NPU1", 32768, CYG_NPU_SCHEDULE_DEFAULT),
                         2);
        assert_int_equal(compile_and_check(&z.p, "AX650", "NPU3", 32768, CYG_NPU_SCHEDULE_BASELINE),
                         2);
        cyg_arena_deinit(&z.arena);
    }
}

/* One row of elements that is too much for the OCM, of any length. */
static void test_long_rows(void **unused)
{
    (void)unused;
    static const int64_t lengths[] = {4097, 20000, 20032, 31337};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        const int64_t dims[] = {1, lengths[i]};
        zoo z;
        zoo_begin(&z, i + 1);
        uint32_t x = zoo_input(&z, CYG_TYPE_S8, 2, dims);
        x = zoo_requant(&z, x, CYG_TYPE_U8);
        zoo_lut(&z, x);
        zoo_end(&z);
        assert_int_equal(compile_and_check(&z.p, "AX650", "NPU2", 8192, CYG_NPU_SCHEDULE_DEFAULT),
                         2);
        cyg_arena_deinit(&z.arena);
    }
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
        cmocka_unit_test(test_zoo),
        cmocka_unit_test(test_plain_moves_whole),
        cmocka_unit_test(test_plain_moves_windows),
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_large_means),
        cmocka_unit_test(test_long_rows),
        cmocka_unit_test(test_refused),
    };
    return CYG_TEST_MAIN(tests);
}
