/* Memories too small for a network: every compilation ends, in a number of tiles that is bounded,
 * with what fits in no way on the CPU and the reason told; the bytes are the CPU's. */
#include "npu_in_order.h"
#include "npu_zoo.h"

static const char *const machines[][2] = {{"AX650", "NPU1"},
                                          {"AX650", "NPU2"},
                                          {"AX650", "NPU3"},
                                          {"AX620E", "NPU1"},
                                          {"AX620E", "NPU2"}};

/* A stage of a Swin, between a convolution and a classifier: rows and weights of real sizes. */
static void stage_net(zoo *z)
{
    zoo_begin(z, 11);
    const int64_t dims[] = {1, 28, 28, 3}, rows[] = {1, 196, 96};
    uint32_t x = zoo_input(z, CYG_TYPE_U8, 4, dims);
    x = zoo_conv(z, x, 96, 1, CYG_TYPE_U8, false);
    const cyg_tensor t = z->p.tensors[x];
    x = zoo_linear(z, x, 96, CYG_TYPE_U8, CYG_NO_TENSOR);
    x = zoo_reduce(z, x); /* [1, 96] of all pixels */
    assert_true(zoo_count(t.rank, t.dims) > 96);
    x = zoo_linear(z, x, 196 * 96, CYG_TYPE_S16, CYG_NO_TENSOR);
    x = zoo_view(z, x, 3, rows);
    uint32_t h = zoo_layernorm(z, x, CYG_TYPE_S8);
    h = zoo_attention(z, h, 4, 3, 32);
    x = zoo_linear(z, h, 96, CYG_TYPE_S16, x);
    h = zoo_layernorm(z, x, CYG_TYPE_U8);
    h = zoo_linear(z, h, 384, CYG_TYPE_U8, CYG_NO_TENSOR);
    x = zoo_linear(z, h, 96, CYG_TYPE_S16, x);
    x = zoo_reduce(z, x);
    zoo_linear(z, x, 1000, CYG_TYPE_F32, CYG_NO_TENSOR);
    zoo_end(z);
}

/* Compiles, checks reasons and bytes; *out_instrs: of all subgraphs. */
static cyg_npu_result compile(cyg_arena *arena, const cyg_program *p, uint8_t **cpu,
                              cyg_npu_options *o, uint64_t *out_instrs)
{
    static cyg_ctx ctx;
    cyg_npu_result r;
    cyg_ctx_init(&ctx);
    OK(&ctx, cyg_target_npu_compile(&ctx, p, o, arena, &r));
    assert_int_equal(ctx.frame_count, 0);
    *out_instrs = 0;
    for (uint32_t i = 0; i < r.refusal_count; i++)
        assert_non_null(r.refusals[i].reason);
    uint32_t steps = r.refusal_count;
    for (uint32_t i = 0; i < r.subgraph_count; i++) {
        OK(&ctx, cyg_npu_program_check(&ctx, &o->machine, &r.subgraphs[i].program));
        *out_instrs += r.subgraphs[i].program.instr_count;
        steps += r.subgraphs[i].last - r.subgraphs[i].first + 1;
    }
    assert_int_equal(steps, p->step_count);
    const cyg_sim_options order = {.order = CYG_SIM_RANDOM, .seed = 3, .check = *out_instrs < 4000};
    check_against(&o->machine, p, &r, cpu, &order);
    return r;
}

/* Down to nothing, on every machine, in both schedules. More memory never means fewer steps. */
static void test_every_machine(void **unused)
{
    (void)unused;
    static cyg_ctx ctx;
    static const int64_t sizes[] = {1, 300, 1024, 2048, 5120, 12288, 40960, 196608};
    enum { STEP_TASKS = 2048 };
    zoo z;
    cyg_ctx_init(&ctx);
    stage_net(&z);
    uint8_t **cpu = run_on_cpu(&z.p, 3);
    for (size_t m = 0; m < CYG_COUNT(machines); m++) {
        uint32_t refused = UINT32_MAX;
        for (size_t i = 0; i < CYG_COUNT(sizes); i++) {
            cyg_arena arena;
            uint64_t instrs;
            cyg_arena_init(&arena);
            cyg_npu_options o = {.kind = (m + i) % 2 == 0 ? CYG_NPU_SCHEDULE_DEFAULT
                                                          : CYG_NPU_SCHEDULE_BASELINE,
                                 .most_step_tasks = STEP_TASKS};
            OK(&ctx,
               cyg_npu_machine_find(&ctx, &arena, machines[m][0], machines[m][1], &o.machine));
            o.machine.ocm_bytes = sizes[i];
            const cyg_npu_result r = compile(&arena, &z.p, cpu, &o, &instrs);
            assert_true(r.refusal_count <= refused);
            refused = r.refusal_count;
            if (sizes[i] == 1)
                assert_int_equal(refused, z.p.step_count);
            if (sizes[i] >= 40960)
                assert_int_equal(refused, 0);
            assert_true(instrs <= (uint64_t)z.p.step_count * STEP_TASKS);
            cyg_arena_deinit(&arena);
        }
    }
    tensors_free(&z.p, cpu);
    cyg_arena_deinit(&z.arena);
}

/* Steps of too many tiles stay on the CPU, all of them found at once; the rest is cut where a
 * subgraph is full. */
static void test_limits(void **unused)
{
    (void)unused;
    static cyg_ctx ctx;
    static const uint32_t most_tasks[] = {1, 400, 1000};
    zoo z;
    cyg_ctx_init(&ctx);
    stage_net(&z);
    uint8_t **cpu = run_on_cpu(&z.p, 4);
    for (size_t i = 0; i < CYG_COUNT(most_tasks); i++) {
        cyg_arena arena;
        uint64_t instrs;
        cyg_arena_init(&arena);
        cyg_npu_options o = {.kind = CYG_NPU_SCHEDULE_DEFAULT};
        OK(&ctx, cyg_npu_machine_find(&ctx, &arena, "AX650", "NPU1", &o.machine));
        o.machine.ocm_bytes = 32768;
        const cyg_npu_result free = compile(&arena, &z.p, cpu, &o, &instrs);
        assert_int_equal(free.subgraph_count, 1);
        o.most_tasks = most_tasks[i];
        const cyg_npu_result cut = compile(&arena, &z.p, cpu, &o, &instrs);
        assert_int_equal(cut.refusal_count, 0);
        if (most_tasks[i] == 1)
            assert_int_equal(cut.subgraph_count, z.p.step_count);
        else
            assert_true(cut.subgraph_count > 1 && cut.subgraph_count < z.p.step_count);
        o.most_step_tasks = 64;
        const cyg_npu_result few = compile(&arena, &z.p, cpu, &o, &instrs);
        assert_true(few.refusal_count > 0 && few.refusal_count < z.p.step_count);
        bool told = false;
        for (uint32_t k = 0; k < few.refusal_count; k++)
            told = told || strstr(few.refusals[k].reason, "more than 64") != NULL;
        assert_true(told);
        for (uint32_t k = 0; k < few.subgraph_count; k++)
            for (uint32_t n = 0; n <= few.subgraphs[k].last - few.subgraphs[k].first; n++)
                assert_true(few.subgraphs[k].steps[n].tasks <= 64 + 2);
        o.most_step_tasks = 1;
        assert_true(compile(&arena, &z.p, cpu, &o, &instrs).refusal_count >= z.p.step_count - 2);
        cyg_arena_deinit(&arena);
    }
    tensors_free(&z.p, cpu);
    cyg_arena_deinit(&z.arena);
}

/* Bytes that a subgraph's step loads from PARAM. */
static uint64_t loaded_by(const cyg_npu_program *p, uint32_t step)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < p->instr_count; i++)
        if (p->instrs[i].step == step && p->instrs[i].op == CYG_NPU_OP_LD &&
            p->instrs[i].operands[0].space == CYG_NPU_PARAM)
            bytes += cyg_npu_view_bytes(&p->instrs[i].operands[0]);
    return bytes;
}

/* Where the DDR is what limits, bias tables of an attention that can't stay in the OCM come once
 * for all windows, a few heads' after another, not with every window. */
static void test_tables_come_once(void **unused)
{
    (void)unused;
    static cyg_ctx ctx;
    enum { OCM = 49152, ENTRIES = 24, TOKENS = 32, HEADS = 8 };
    uint32_t large = 0;
    for (uint64_t seed = 1; seed <= 24; seed++) {
        cyg_arena arena;
        uint64_t instrs;
        zoo z;
        cyg_ctx_init(&ctx);
        cyg_arena_init(&arena);
        zoo_begin(&z, seed);
        const int64_t dims[] = {1, ENTRIES * TOKENS, 16};
        zoo_attention(&z, zoo_input(&z, CYG_TYPE_U8, 3, dims), ENTRIES, HEADS, 4);
        zoo_end(&z);
        const uint32_t bias = z.p.steps[1].in[5];
        const uint64_t tables = bias != CYG_NO_TENSOR ? cyg_tensor_bytes(&z.p.tensors[bias]) : 0;
        if (tables > OCM / 3 && tables < OCM * HEADS / 4) {
            uint8_t **cpu = run_on_cpu(&z.p, 3);
            cyg_npu_options o = {.kind = CYG_NPU_SCHEDULE_DEFAULT};
            OK(&ctx, cyg_npu_machine_find(&ctx, &arena, "AX650", "NPU1", &o.machine));
            o.machine.ocm_bytes = OCM;
            o.machine.ddr_bytes /= 32;
            o.machine.ddr_stream_bytes /= 32;
            const cyg_npu_result r = compile(&arena, &z.p, cpu, &o, &instrs);
            assert_int_equal(r.refusal_count, 0);
            assert_true(loaded_by(&r.subgraphs[0].program, 1) < 2 * tables);
            tensors_free(&z.p, cpu);
            large++;
        }
        cyg_arena_deinit(&z.arena);
        cyg_arena_deinit(&arena);
    }
    assert_true(large >= 3);
}

/* Constants of between a third and half of the room: both plans are tried, the faster one stays,
 * and it is not always the same. */
static void test_constants_stay(void **unused)
{
    (void)unused;
    static cyg_ctx ctx;
    enum { OCM = 65536, WIDE = 128, DEEP = 192 };
    uint32_t more = 0, fewer = 0;
    for (uint64_t seed = 1; seed <= 12; seed++) {
        cyg_arena arena;
        uint64_t instrs;
        zoo z;
        cyg_ctx_init(&ctx);
        cyg_arena_init(&arena);
        zoo_begin(&z, seed);
        const int64_t dims[] = {1, pick(&z, 60, 900), WIDE};
        uint32_t x = zoo_input(&z, CYG_TYPE_U8, 3, dims);
        for (int i = 0; i < 2; i++) {
            x = zoo_linear(&z, x, DEEP, CYG_TYPE_U8, CYG_NO_TENSOR);
            x = zoo_linear(&z, x, WIDE, CYG_TYPE_U8, CYG_NO_TENSOR);
        }
        zoo_end(&z);
        uint8_t **cpu = run_on_cpu(&z.p, 3);
        cyg_npu_options o = {.kind = CYG_NPU_SCHEDULE_DEFAULT};
        OK(&ctx, cyg_npu_machine_find(&ctx, &arena, "AX650", "NPU1", &o.machine));
        o.machine.ocm_bytes = OCM;
        const cyg_npu_result first = compile(&arena, &z.p, cpu, &o, &instrs);
        assert_false(first.subgraphs[0].keeps_more);
        o.tries = 1;
        const cyg_npu_result both = compile(&arena, &z.p, cpu, &o, &instrs);
        assert_int_equal(both.refusal_count, 0);
        assert_true(both.cycles <= first.cycles);
        more += both.subgraphs[0].keeps_more;
        fewer += !both.subgraphs[0].keeps_more;
        tensors_free(&z.p, cpu);
        cyg_arena_deinit(&z.arena);
        cyg_arena_deinit(&arena);
    }
    assert_true(more >= 2);
    assert_true(fewer >= 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_machine),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_tables_come_once),
        cmocka_unit_test(test_constants_stay),
    };
    return CYG_TEST_MAIN(tests);
}
