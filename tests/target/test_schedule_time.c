/* How the NPU's scheduler spends time and memory: what its schedules take under the cycle model.
 * That they are right, whatever they take, is test_schedule.c's. */
#include "schedule_tasks.h"

/* In the baseline no step begins before the one before it has ended, but for its weights. */
static void test_baseline_is_plain(void **state)
{
    (void)state;
    cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    random_state r = {12345};
    cyg_npu_machine m = machine;
    cyg_arena arena;
    cyg_arena_init(&arena);
    maker k = {.arena = &arena};
    make_tasks(&k, &r, 12);
    m.ocm_bytes = 1 << 22;
    cyg_npu_program p = {0};
    cyg_npu_schedule_report report;
    cyg_npu_timing t;
    const cyg_npu_schedule_options options = {.kind = CYG_NPU_SCHEDULE_BASELINE};
    OK(&ctx, cyg_npu_schedule(&ctx, &m, &k.tasks, &options, &arena, &p, &report));
    assert_true(report.fits);
    OK(&ctx, cyg_npu_time(&ctx, &m, &p, &arena, &t));
    for (uint32_t i = 0; i < p.instr_count; i++)
        for (uint32_t j = 0; j < p.instr_count; j++)
            if (p.instrs[j].step > p.instrs[i].step &&
                !(p.instrs[j].op == CYG_NPU_OP_LD &&
                  p.instrs[j].operands[0].space == CYG_NPU_PARAM))
                assert_true(t.spans[j].start >= t.spans[i].end);
    cyg_arena_deinit(&arena);
}

/* .. nor waits for the weights of a later one, which come beside it. */
static void test_baseline_waits_for_no_later_weights(void **state)
{
    (void)state;
    enum { ROWS = 8, STEPS = 3, WEIGHTS = 1 << 20 };
    cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    cyg_npu_machine m = machine;
    cyg_arena arena;
    cyg_arena_init(&arena);
    maker k = {.arena = &arena};
    const cyg_npu_rect all = {0, ROWS, 0, CELL}, every_weight = {0, 1, 0, WEIGHTS};
    const tensor in = {new_buffer(&k, CYG_NPU_IO, ROWS, CELL, false), ROWS, CELL};
    tensor list[STEPS + 1];
    for (int i = 0; i <= STEPS; i++)
        list[i] = (tensor){new_buffer(&k, CYG_NPU_OCM, ROWS, CELL, false), ROWS, CELL};
    cyg_npu_operand from[2] = {part(&in, &all)}, to = part(&list[0], &all);
    from[0].view.space = CYG_NPU_IO;
    add(&k, CYG_NPU_OP_LD, from, 1, &to, 0, 0);
    for (uint32_t step = 1; step < STEPS; step++) {
        from[0] = part(&list[step - 1], &all);
        to = part(&list[step], &all);
        add(&k, CYG_NPU_OP_CV_COPY, from, 1, &to, step, 0);
    }
    const tensor w = load_weights(&k, WEIGHTS, STEPS, 0);
    from[0] = part(&list[STEPS - 1], &all);
    from[1] = part(&w, &every_weight);
    to = part(&list[STEPS], &all);
    add(&k, CYG_NPU_OP_CONV_LINEAR, from, 2, &to, STEPS, 0);
    m.ocm_bytes = 1 << 22;
    cyg_npu_program p = {0};
    cyg_npu_schedule_report report;
    cyg_npu_timing t;
    const cyg_npu_schedule_options options = {CYG_NPU_SCHEDULE_BASELINE, 0, NULL};
    OK(&ctx, cyg_npu_schedule(&ctx, &m, &k.tasks, &options, &arena, &p, &report));
    assert_true(report.fits);
    OK(&ctx, cyg_npu_time(&ctx, &m, &p, &arena, &t));
    int64_t copied = 0, loaded = 0;
    for (uint32_t i = 0; i < p.instr_count; i++) {
        if (p.instrs[i].op == CYG_NPU_OP_CV_COPY)
            copied = t.spans[i].end > copied ? t.spans[i].end : copied;
        if (p.instrs[i].operands[0].space == CYG_NPU_PARAM)
            loaded = t.spans[i].end;
    }
    assert_true(copied > 0 && copied < loaded);
    cyg_arena_deinit(&arena);
}

/* Two steps on TENG, the second behind CONV through tile buffers, in little more memory than the
 * whole tensors take: its tiles go on beside the first step's, and the memory of those that are
 * done serves the next. So nothing of CONV's time is left when TENG has done the first step. */
static void test_tiles_go_on(void **state)
{
    (void)state;
    enum {
        TILES = 32,
        ROWS = 4,
        BYTES = 1024,
        ALL = TILES * ROWS,
        COLUMNS = 64,
        FREE_TILES = 6,
        OUT = 64
    };
    cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    cyg_npu_machine m = machine;
    cyg_arena arena;
    cyg_arena_init(&arena);
    maker k = {.arena = &arena};
    const tensor in = {new_buffer(&k, CYG_NPU_IO, ALL, BYTES, false), ALL, BYTES};
    tensor list[3];
    for (int i = 0; i < 3; i++) {
        const int64_t bytes = i < 2 ? BYTES : OUT;
        list[i] = (tensor){new_buffer(&k, CYG_NPU_OCM, ALL, bytes, false), ALL, bytes};
    }
    const cyg_npu_rect all = {0, ALL, 0, BYTES}, each = {0, ROWS, 0, BYTES},
                       weights = {0, COLUMNS, 0, BYTES};
    cyg_npu_operand from[2] = {part(&in, &all)}, to = part(&list[0], &all);
    from[0].view.space = CYG_NPU_IO;
    add(&k, CYG_NPU_OP_LD, from, 1, &to, 0, 0);
    static cyg_npu_rect rects[TILES], out_rects[TILES];
    for (uint32_t t = 0; t < TILES; t++) {
        rects[t] = (cyg_npu_rect){t * ROWS, ROWS, 0, BYTES};
        from[0] = part(&list[0], &rects[t]);
        to = part(&list[1], &rects[t]);
        add(&k, CYG_NPU_OP_TENG_ELTWISE, from, 1, &to, 1, t);
    }
    const tensor source = {new_buffer(&k, CYG_NPU_PARAM, COLUMNS, BYTES, false), COLUMNS, BYTES},
                 w = {new_buffer(&k, CYG_NPU_OCM, COLUMNS, BYTES, true), COLUMNS, BYTES};
    from[0] = part(&source, &weights);
    from[0].view.space = CYG_NPU_PARAM;
    to = part(&w, &weights);
    add(&k, CYG_NPU_OP_LD, from, 1, &to, 2, 0);
    for (uint32_t t = 0; t < TILES; t++) {
        const tensor tile = {new_buffer(&k, CYG_NPU_OCM, ROWS, BYTES, false), ROWS, BYTES};
        from[0] = part(&list[1], &rects[t]);
        from[1] = part(&w, &weights);
        to = part(&tile, &each);
        add(&k, CYG_NPU_OP_CONV_LINEAR, from, 2, &to, 2, t);
        from[0] = to;
        out_rects[t] = (cyg_npu_rect){t * ROWS, ROWS, 0, OUT};
        to = part(&list[2], &out_rects[t]);
        add(&k, CYG_NPU_OP_TENG_ELTWISE, from, 1, &to, 2, t);
    }
    m.ocm_bytes = ALL * (2 * BYTES + OUT) + COLUMNS * BYTES + FREE_TILES * ROWS * BYTES;
    cyg_npu_program p = {0};
    cyg_npu_schedule_report report;
    cyg_npu_timing t;
    const cyg_npu_schedule_options options = {CYG_NPU_SCHEDULE_DEFAULT, 0, NULL};
    OK(&ctx, cyg_npu_schedule(&ctx, &m, &k.tasks, &options, &arena, &p, &report));
    assert_true(report.fits);
    OK(&ctx, cyg_npu_time(&ctx, &m, &p, &arena, &t));
    int64_t first = INT64_MAX, teng = 0;
    for (uint32_t i = 0; i < p.instr_count; i++)
        if (p.instrs[i].op == CYG_NPU_OP_TENG_ELTWISE) {
            first = t.spans[i].start < first ? t.spans[i].start : first;
            teng += t.spans[i].end - t.spans[i].start;
        }
    assert_true(report.cycles - first < teng + teng / 20);
    cyg_arena_deinit(&arena);
}

/* More tries never give more cycles, and the same tries give the same program. */
static void test_tries_help(void **state)
{
    (void)state;
    cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    random_state r = {777};
    cyg_npu_machine m = machine;
    cyg_arena arena;
    cyg_arena_init(&arena);
    maker k = {.arena = &arena};
    make_tasks(&k, &r, 14);
    m.ocm_bytes = 1 << 17;
    int64_t last = INT64_MAX;
    for (uint32_t tries = 0; tries <= 40; tries += 20) {
        cyg_npu_program p = {0}, again = {0};
        cyg_npu_schedule_report report, second;
        const cyg_npu_schedule_options options = {.kind = CYG_NPU_SCHEDULE_DEFAULT, .tries = tries};
        OK(&ctx, cyg_npu_schedule(&ctx, &m, &k.tasks, &options, &arena, &p, &report));
        OK(&ctx, cyg_npu_schedule(&ctx, &m, &k.tasks, &options, &arena, &again, &second));
        assert_true(report.fits && report.cycles <= last);
        last = report.cycles;
        assert_int_equal(report.cycles, second.cycles);
        for (uint32_t i = 0; i < p.instr_count; i++) {
            assert_int_equal(p.instrs[i].op, again.instrs[i].op);
            assert_int_equal(p.instrs[i].engine, again.instrs[i].engine);
            assert_int_equal(p.instrs[i].operands[0].offset, again.instrs[i].operands[0].offset);
        }
    }
    cyg_arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_baseline_is_plain),
        cmocka_unit_test(test_baseline_waits_for_no_later_weights),
        cmocka_unit_test(test_tiles_go_on),
        cmocka_unit_test(test_tries_help),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
