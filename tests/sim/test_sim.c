/* The simulator on programs written by hand: every order and any number of threads gives the bytes
 * of one kernel call on the whole; a program that is wrong is caught. */
#include "programs.h"

#include "sim/race.h"
#include "sim/sim.h"

static const char *message(const cyg_ctx *ctx)
{
    const size_t n = cyg_ctx_message_count(ctx);
    return n > 0 ? cyg_ctx_message(ctx, n - 1) : "no message";
}

/* A status of create or run; CYG_OK when it ran. The output stays in the last tensor. */
static cyg_status simulate(cyg_ctx *ctx, sp_program *s, const cyg_sim_options *options,
                           cyg_pool *pool, int level, int runs, int64_t *out_cycles)
{
    cyg_sim *sim;
    const cyg_status status =
        cyg_sim_create(ctx, &s->machine, &s->program, options, pool, level, &sim);
    if (status != CYG_OK)
        return status;
    cyg_status ran = CYG_OK;
    for (uint32_t i = 0; i < s->program.io_count; i++)
        cyg_sim_bind(sim, i, s->io[i]);
    for (int run = 0; run < runs && ran == CYG_OK; run++)
        ran = cyg_sim_run(ctx, sim);
    if (out_cycles != NULL)
        *out_cycles = cyg_sim_timing(sim)->cycles;
    cyg_sim_destroy(sim);
    return ran;
}

static bool is_right(const sp_program *s)
{
    const uint32_t last = s->program.io_count - 1;
    return memcmp(s->io[last], s->want, (size_t)s->program.io[last].bytes) == 0;
}

static void all_orders_give_the_bytes(void **state)
{
    (void)state;
    static const char *const orders[] = {"program",  "reverse",  "random:1", "random:2",
                                         "random:3", "starve:0", "starve:1", "starve:2",
                                         "starve:3", "starve:4"};
    for (size_t k = 0; k < sp_maker_count; k++) {
        sp_program s;
        sp_makers[k](&s);
        int64_t cycles = 0;
        for (size_t i = 0; i < CYG_COUNT(orders); i++)
            for (unsigned threads = 1; threads <= 3; threads++) {
                cyg_ctx ctx;
                cyg_sim_options options = {.check = threads != 2};
                cyg_ctx_init(&ctx);
                cyg_pool *pool = cyg_pool_create(threads);
                int64_t counted = 0;
                assert_int_equal(cyg_sim_order_parse(&ctx, orders[i], &options), CYG_OK);
                for (int level = 0; level < CYG_CPU_COUNT; level++) {
                    if (!cyg_cpu_has((cyg_cpu_level_id)level))
                        continue;
                    if (simulate(&ctx, &s, &options, pool, level, 2, &counted) != CYG_OK)
                        fail_msg("program %zu, order %s: %s", k, orders[i], message(&ctx));
                    if (!is_right(&s))
                        fail_msg("program %zu, order %s, %u threads, level %s: wrong bytes", k,
                                 orders[i], threads, cyg_cpu_name((cyg_cpu_level_id)level));
                    assert_true(cycles == 0 || counted == cycles);
                    cycles = counted;
                }
                cyg_pool_destroy(pool);
            }
        assert_true(cycles > 0);
        sp_end(&s);
    }
}

/* Lists of a program that a test changes. */
static cyg_npu_instr *own_instrs(sp_program *s)
{
    cyg_npu_instr *instrs =
        cyg_arena_memdup(&s->arena, s->program.instrs, s->program.instr_count * sizeof *instrs);
    assert_non_null(instrs);
    s->program.instrs = instrs;
    return instrs;
}

/* Caught by a check or by bytes that differ in some order. */
static bool is_caught(sp_program *s, bool detector)
{
    static const char *const orders[] = {"program", "reverse", "random:5", "random:6", "starve:4"};
    const uint32_t last = s->program.io_count - 1;
    for (size_t i = 0; i < CYG_COUNT(orders); i++) {
        cyg_sim_options options = {0};
        assert_int_equal(cyg_sim_order_parse(NULL, orders[i], &options), CYG_OK);
        options.check = detector;
        memset(s->io[last], 0xaa, (size_t)s->program.io[last].bytes);
        if (simulate(NULL, s, &options, NULL, CYG_CPU_C, 1, NULL) != CYG_OK || !is_right(s))
            return true;
    }
    return false;
}

/* Without a wait that is needed the detector reports a race, and mostly some order gives other
 * bytes, too. */
static void a_missing_wait_is_caught(void **state)
{
    (void)state;
    size_t dropped = 0, caught = 0, by_bytes = 0;
    for (size_t k = 0; k < sp_maker_count; k++) {
        sp_program s;
        sp_makers[k](&s);
        cyg_npu_instr *instrs = own_instrs(&s);
        for (uint32_t i = 0; i < s.program.instr_count; i++)
            for (uint32_t w = 0; w < instrs[i].wait_count; w++) {
                const cyg_npu_instr kept = instrs[i];
                cyg_npu_wait waits[8];
                uint32_t n = 0;
                for (uint32_t j = 0; j < kept.wait_count; j++)
                    if (j != w)
                        waits[n++] = kept.waits[j];
                instrs[i].waits = waits;
                instrs[i].wait_count = n;
                dropped++;
                by_bytes += is_caught(&s, false);
                if (is_caught(&s, true))
                    caught++;
                else
                    print_message("program %zu, instruction %u: its wait is implied\n", k, i);
                instrs[i] = kept;
            }
        sp_end(&s);
    }
    print_message("%zu waits dropped: %zu found by the detector, %zu by bytes alone\n", dropped,
                  caught, by_bytes);
    /* Two stand behind another in their queue that waits for as much. */
    assert_int_equal(caught, dropped - 2);
    assert_true(by_bytes >= dropped / 2);
}

/* An operand 64 bytes further on (or, where that leaves the memory, before). */
static void a_wrong_address_is_caught(void **state)
{
    (void)state;
    size_t moved = 0, caught = 0;
    for (size_t k = 0; k < sp_maker_count; k++) {
        sp_program s;
        sp_makers[k](&s);
        cyg_npu_instr *instrs = own_instrs(&s);
        for (uint32_t i = 0; i < s.program.instr_count; i++)
            for (uint32_t o = 0; o < (uint32_t)instrs[i].in_count + instrs[i].out_count; o++) {
                const cyg_npu_instr kept = instrs[i];
                cyg_npu_view views[CYG_NPU_MAX_OPERANDS];
                memcpy(views, kept.operands,
                       ((size_t)kept.in_count + kept.out_count) * sizeof *views);
                if (views[o].type == CYG_TYPE_NONE || views[o].space == CYG_NPU_CODE)
                    continue;
                views[o].offset += 64;
                instrs[i].operands = views;
                moved++;
                if (is_caught(&s, true))
                    caught++;
                else
                    print_message("program %zu: operand %u of instruction %u moved unseen\n", k, o,
                                  i);
                instrs[i] = kept;
            }
        sp_end(&s);
    }
    print_message("%zu operands moved, %zu caught\n", moved, caught);
    /* The fill of program 3 still covers what a gather leaves out. */
    assert_int_equal(caught, moved - 1);
}

static void a_race_says_where(void **state)
{
    (void)state;
    sp_program s;
    sp_linear(&s);
    cyg_npu_instr *instrs = own_instrs(&s);
    uint32_t act = 0;
    while (instrs[act].op != CYG_NPU_OP_TENG_ACT)
        act++;
    instrs[act].wait_count = 0;
    cyg_race race;
    bool found;
    assert_int_equal(cyg_race_find(NULL, &s.machine, &s.program, &race, &found), CYG_OK);
    assert_true(found);
    assert_int_equal(race.kind, CYG_RACE_CONFLICT);
    assert_int_equal(race.second, act);
    assert_int_equal(instrs[race.first].op, CYG_NPU_OP_CONV_LINEAR);
    assert_int_equal(race.space, CYG_NPU_OCM);
    assert_int_equal(race.offset, 20480);
    cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    assert_int_equal(cyg_race_check(&ctx, &s.machine, &s.program), CYG_E_CHECK);
    assert_non_null(strstr(message(&ctx), "teng.act on teng2, step \"fc1\", tile 0"));
    assert_non_null(strstr(message(&ctx), "byte 20480 of OCM"));
    sp_end(&s);
}

/* An output that nobody finishes, an operand that an output overlaps. */
static void other_faults_are_named(void **state)
{
    (void)state;
    sp_program s;
    cyg_race race;
    bool found;
    sp_linear(&s);
    s.program.instr_count--;
    assert_int_equal(cyg_race_find(NULL, &s.machine, &s.program, &race, &found), CYG_OK);
    assert_true(found && race.kind == CYG_RACE_UNFINISHED);
    assert_int_equal(race.offset, 32 * 128);
    sp_end(&s);
    sp_rows(&s);
    cyg_npu_instr *instrs = own_instrs(&s);
    uint32_t norm = 0;
    while (instrs[norm].op != CYG_NPU_OP_TENG_LAYERNORM)
        norm++;
    cyg_npu_view views[4];
    memcpy(views, instrs[norm].operands, sizeof views);
    views[3].offset = 200;
    instrs[norm].operands = views;
    assert_int_equal(cyg_race_find(NULL, &s.machine, &s.program, &race, &found), CYG_OK);
    assert_true(found && race.kind == CYG_RACE_OVERLAP);
    assert_int_equal(race.first, norm);
    sp_end(&s);
}

/* Element-wise instructions may write where they read, whatever the shapes say; others may not. */
static void in_place_is_the_same_elements(void **state)
{
    (void)state;
    sp_program s;
    cyg_race race;
    bool found;
    sp_rows(&s);
    cyg_npu_instr *instrs = own_instrs(&s);
    uint32_t add = 0;
    while (instrs[add].op != CYG_NPU_OP_TENG_ELTWISE)
        add++;
    cyg_npu_view views[3];
    memcpy(views, instrs[add].operands, sizeof views);
    views[2].rank = 3; /* 6x24 as 6x1x24 */
    views[2].dims[1] = 1;
    views[2].dims[2] = 24;
    views[2].strides[1] = 500;
    views[2].strides[2] = 1;
    instrs[add].operands = views;
    assert_int_equal(cyg_race_find(NULL, &s.machine, &s.program, &race, &found), CYG_OK);
    assert_false(found);
    views[2].offset -= 24;
    assert_int_equal(cyg_race_find(NULL, &s.machine, &s.program, &race, &found), CYG_OK);
    assert_true(found && race.kind == CYG_RACE_OVERLAP);
    sp_end(&s);
}

static void kernels_refuse_what_does_not_fit(void **state)
{
    (void)state;
    sp_program s;
    sp_linear(&s);
    cyg_npu_instr *instrs = own_instrs(&s);
    uint32_t conv = 0;
    while (instrs[conv].op != CYG_NPU_OP_CONV_LINEAR)
        conv++;
    cyg_npu_view views[5];
    memcpy(views, instrs[conv].operands, sizeof views);
    views[4].dims[1] = 64; /* fewer columns than weights */
    instrs[conv].operands = views;
    cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    assert_int_equal(simulate(&ctx, &s, NULL, NULL, CYG_CPU_C, 1, NULL), CYG_E_FORMAT);
    assert_non_null(strstr(message(&ctx), "conv.linear of step \"fc1\""));
    sp_end(&s);
}

/* An instruction that writes over its own weights: the next one takes what stands there, not what
 * was packed before. */
static void own_weights_written_over(void **state)
{
    (void)state;
    static const char operands[] = "s8 64x64; ocm[5120] s32 64; ocm[5376] f32 64";
    const cyg_kp_ilinear p = {.act = CYG_ACT_NONE, .sat = {-128, 127, 0, 0}};
    sp_program s;
    sp_begin(&s, 9);
    sp_line(&s, "memory ocm 16384 swap 0 param 4608 code 0 macs 0\nstep \"s\"");
    sp_line(&s, "io in \"x\" bytes 512 tensor 0\nio out \"y\" bytes 512 tensor 1");
    sp_line(&s, "io out \"z\" bytes 512 tensor 2");
    sp_line(&s, "sdma4 ld step 0 tile 0 : io0[0] u8 512 -> ocm[0] u8 512");
    sp_line(&s, "sdma4 ld step 0 tile 1 : param[0] u8 4608 -> ocm[1024] u8 4608");
    for (int i = 0; i < 3; i++) {
        const int y = i == 0 ? 1024 : i == 1 ? 6144 : 7168, w = i < 2 ? 1024 : 8192;
        if (i == 2)
            sp_line(&s, "cv3 cv.copy step 0 tile 2 wait conv0 2 : ocm[1024] u8 4096 -> ocm[8192] "
                        "u8 4096");
        sp_line(&s,
                "conv0 conv.linear step 0 tile %d wait sdma4 2%s : ocm[0] u8 8x64; ocm[%d] %s "
                "-> ocm[%d] s8 8x64 %s",
                i, i == 2 ? ", cv3 1" : "", w, operands, y, sp_block(&p, sizeof p));
    }
    sp_line(&s, "sdma4 st step 0 tile 0 wait conv0 3 : ocm[6144] u8 512 -> io1[0] u8 512");
    sp_line(&s, "sdma4 st step 0 tile 1 : ocm[7168] u8 512 -> io2[0] u8 512");
    sp_assemble(&s);
    sp_param(&s, 0, sp_bytes(&s, 4096), 4096);
    sp_param(&s, 4096, sp_ints(&s, 64, 3000), 256);
    sp_param(&s, 4352, sp_floats(&s, 64, 1e-3f, 4e-3f), 256);
    memcpy(s.io[0], sp_bytes(&s, 512), 512);
    cyg_ctx ctx;
    cyg_sim *sim;
    cyg_ctx_init(&ctx);
    assert_int_equal(cyg_sim_create(&ctx, &s.machine, &s.program, NULL, NULL, CYG_CPU_C, &sim),
                     CYG_OK);
    for (uint32_t i = 0; i < 3; i++)
        cyg_sim_bind(sim, i, s.io[i]);
    assert_int_equal(cyg_sim_run(&ctx, sim), CYG_OK);
    assert_memory_equal(s.io[1], s.io[2], 512);
    cyg_sim_destroy(sim);
    sp_end(&s);
}

static void orders_are_read(void **state)
{
    (void)state;
    cyg_sim_options o = {0};
    assert_int_equal(cyg_sim_order_parse(NULL, "random:77", &o), CYG_OK);
    assert_true(o.order == CYG_SIM_RANDOM && o.seed == 77);
    assert_int_equal(cyg_sim_order_parse(NULL, "starve", &o), CYG_OK);
    assert_true(o.order == CYG_SIM_STARVE && o.seed == 1);
    static const char *const bad[] = {
        "", "rand", "random:", "random:x", "random:1x", "reverse:1", "random:18446744073709551616"};
    for (size_t i = 0; i < CYG_COUNT(bad); i++)
        assert_int_equal(cyg_sim_order_parse(NULL, bad[i], &o), CYG_E_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_orders_give_the_bytes),
        cmocka_unit_test(a_missing_wait_is_caught),
        cmocka_unit_test(a_wrong_address_is_caught),
        cmocka_unit_test(a_race_says_where),
        cmocka_unit_test(other_faults_are_named),
        cmocka_unit_test(in_place_is_the_same_elements),
        cmocka_unit_test(kernels_refuse_what_does_not_fit),
        cmocka_unit_test(own_weights_written_over),
        cmocka_unit_test(orders_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
