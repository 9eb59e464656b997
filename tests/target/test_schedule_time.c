/* How the NPU's scheduler spends time and memory: what its schedules take under the cycle model.
 * That they are right, whatever they take, is test_schedule.c's. */
#include "schedule_tasks.h"

/* Tasks, the machine that they are for, and what came of scheduling them. */
typedef struct bench {
    cyg_ctx ctx;
    cyg_arena arena;
    maker k;
    cyg_npu_machine m;
    cyg_npu_program p;
    cyg_npu_schedule_report report;
    cyg_npu_timing t;
} bench;

static void begin(bench *b, int64_t ocm_bytes)
{
    memset(b, 0, sizeof *b);
    cyg_ctx_init(&b->ctx);
    cyg_arena_init(&b->arena);
    b->k.arena = &b->arena;
    b->m = machine;
    b->m.ocm_bytes = ocm_bytes;
}

static void schedule(bench *b, cyg_npu_schedule_kind kind, uint32_t tries)
{
    const cyg_npu_schedule_options options = {.kind = kind, .tries = tries};
    b->p = (cyg_npu_program){0};
    OK(&b->ctx,
       cyg_npu_schedule(&b->ctx, &b->m, &b->k.tasks, &options, &b->arena, &b->p, &b->report));
    assert_true(b->report.fits);
    OK(&b->ctx, cyg_npu_time(&b->ctx, &b->m, &b->p, &b->arena, &b->t));
}

static void end(bench *b)
{
    cyg_arena_deinit(&b->arena);
}

/* In the baseline no step begins before the one before it has ended, but for its weights. */
static void test_baseline_is_plain(void **state)
{
    (void)state;
    static bench b;
    random_state r = {12345};
    begin(&b, 1 << 22);
    make_tasks(&b.k, &r, 12);
    schedule(&b, CYG_NPU_SCHEDULE_BASELINE, 0);
    for (uint32_t i = 0; i < b.p.instr_count; i++)
        for (uint32_t j = 0; j < b.p.instr_count; j++)
            if (b.p.instrs[j].step > b.p.instrs[i].step &&
                !(b.p.instrs[j].op == CYG_NPU_OP_LD &&
                  b.p.instrs[j].operands[0].space == CYG_NPU_PARAM))
                assert_true(b.t.spans[j].start >= b.t.spans[i].end);
    end(&b);
}

/* .. nor waits for the weights of a later one, which come beside it. */
static void test_baseline_waits_for_no_later_weights(void **state)
{
    (void)state;
    enum { ROWS = 8, STEPS = 3, WEIGHTS = 1 << 20 };
    static bench b;
    begin(&b, 1 << 22);
    maker *k = &b.k;
    const cyg_npu_rect all = {0, ROWS, 0, CELL}, every_weight = {0, 1, 0, WEIGHTS};
    const tensor in = {new_buffer(k, CYG_NPU_IO, ROWS, CELL, false), ROWS, CELL};
    tensor list[STEPS + 1];
    for (int i = 0; i <= STEPS; i++)
        list[i] = (tensor){new_buffer(k, CYG_NPU_OCM, ROWS, CELL, false), ROWS, CELL};
    cyg_npu_operand from[2] = {part(&in, &all)}, to = part(&list[0], &all);
    from[0].view.space = CYG_NPU_IO;
    add(k, CYG_NPU_OP_LD, from, 1, &to, 0, 0);
    for (uint32_t step = 1; step < STEPS; step++) {
        from[0] = part(&list[step - 1], &all);
        to = part(&list[step], &all);
        add(k, CYG_NPU_OP_CV_COPY, from, 1, &to, step, 0);
    }
    const tensor w = load_weights(k, WEIGHTS, STEPS, 0);
    from[0] = part(&list[STEPS - 1], &all);
    from[1] = part(&w, &every_weight);
    to = part(&list[STEPS], &all);
    add(k, CYG_NPU_OP_CONV_LINEAR, from, 2, &to, STEPS, 0);
    schedule(&b, CYG_NPU_SCHEDULE_BASELINE, 0);
    int64_t copied = 0, loaded = 0;
    for (uint32_t i = 0; i < b.p.instr_count; i++) {
        if (b.p.instrs[i].op == CYG_NPU_OP_CV_COPY)
            copied = b.t.spans[i].end > copied ? b.t.spans[i].end : copied;
        if (b.p.instrs[i].operands[0].space == CYG_NPU_PARAM)
            loaded = b.t.spans[i].end;
    }
    assert_true(copied > 0 && copied < loaded);
    end(&b);
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
    static bench b;
    begin(&b, ALL * (2 * BYTES + OUT) + COLUMNS * BYTES + FREE_TILES * ROWS * BYTES);
    maker *k = &b.k;
    const tensor in = {new_buffer(k, CYG_NPU_IO, ALL, BYTES, false), ALL, BYTES};
    tensor list[3];
    for (int i = 0; i < 3; i++) {
        const int64_t bytes = i < 2 ? BYTES : OUT;
        list[i] = (tensor){new_buffer(k, CYG_NPU_OCM, ALL, bytes, false), ALL, bytes};
    }
    const cyg_npu_rect all = {0, ALL, 0, BYTES}, each = {0, ROWS, 0, BYTES},
                       weights = {0, COLUMNS, 0, BYTES};
    cyg_npu_operand from[2] = {part(&in, &all)}, to = part(&list[0], &all);
    from[0].view.space = CYG_NPU_IO;
    add(k, CYG_NPU_OP_LD, from, 1, &to, 0, 0);
    static cyg_npu_rect rects[TILES], out_rects[TILES];
    for (uint32_t t = 0; t < TILES; t++) {
        rects[t] = (cyg_npu_rect){t * ROWS, ROWS, 0, BYTES};
        from[0] = part(&list[0], &rects[t]);
        to = part(&list[1], &rects[t]);
        add(k, CYG_NPU_OP_TENG_ELTWISE, from, 1, &to, 1, t);
    }
    const tensor source = {new_buffer(k, CYG_NPU_PARAM, COLUMNS, BYTES, false), COLUMNS, BYTES},
                 w = {new_buffer(k, CYG_NPU_OCM, COLUMNS, BYTES, true), COLUMNS, BYTES};
    from[0] = part(&source, &weights);
    from[0].view.space = CYG_NPU_PARAM;
    to = part(&w, &weights);
    add(k, CYG_NPU_OP_LD, from, 1, &to, 2, 0);
    for (uint32_t t = 0; t < TILES; t++) {
        const tensor tile = {new_buffer(k, CYG_NPU_OCM, ROWS, BYTES, false), ROWS, BYTES};
        from[0] = part(&list[1], &rects[t]);
        from[1] = part(&w, &weights);
        to = part(&tile, &each);
        add(k, CYG_NPU_OP_CONV_LINEAR, from, 2, &to, 2, t);
        from[0] = to;
        out_rects[t] = (cyg_npu_rect){t * ROWS, ROWS, 0, OUT};
        to = part(&list[2], &out_rects[t]);
        add(k, CYG_NPU_OP_TENG_ELTWISE, from, 1, &to, 2, t);
    }
    schedule(&b, CYG_NPU_SCHEDULE_DEFAULT, 0);
    int64_t first = INT64_MAX, teng = 0;
    for (uint32_t i = 0; i < b.p.instr_count; i++)
        if (b.p.instrs[i].op == CYG_NPU_OP_TENG_ELTWISE) {
            first = b.t.spans[i].start < first ? b.t.spans[i].start : first;
            teng += b.t.spans[i].end - b.t.spans[i].start;
        }
    assert_true(b.report.cycles - first < teng + teng / 20);
    end(&b);
}

/* More tries never give more cycles, and the same tries give the same program. */
static void test_tries_help(void **state)
{
    (void)state;
    static bench b;
    random_state r = {777};
    begin(&b, 1 << 17);
    make_tasks(&b.k, &r, 14);
    int64_t last = INT64_MAX;
    for (uint32_t tries = 0; tries <= 40; tries += 20) {
        schedule(&b, CYG_NPU_SCHEDULE_DEFAULT, tries);
        const cyg_npu_program once = b.p;
        const int64_t cycles = b.report.cycles;
        assert_true(cycles <= last);
        last = cycles;
        schedule(&b, CYG_NPU_SCHEDULE_DEFAULT, tries);
        assert_int_equal(cycles, b.report.cycles);
        for (uint32_t i = 0; i < once.instr_count; i++) {
            const cyg_npu_instr *x = &once.instrs[i], *y = &b.p.instrs[i];
            assert_int_equal(x->op, y->op);
            assert_int_equal(x->engine, y->engine);
            assert_int_equal(x->operands[0].offset, y->operands[0].offset);
        }
    }
    end(&b);
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
