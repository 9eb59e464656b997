/* The event model on programs small enough to count by hand: queues, waits, the shared DDR. */
#include "../testing.h"

#include "base/type.h"
#include "npu/timing.h"

enum { MOST = 8 };
enum { CONV0, CONV1, TENG, CV, SDMA };

/* One byte a cycle everywhere, starts and waits that are easy to see in a sum. */
static cyg_npu_machine machine = {
    .chip = "T",
    .mode = "M",
    .clock_khz = 1000000,
    .groups = 1,
    .convs = 2,
    .tengs = 1,
    .cvs = 1,
    .sdmas = 2,
    .ocm_bytes = 1 << 20,
    .conv_in = 4,
    .conv_out = 2,
    .conv_few = 8,
    .conv_post = 8,
    .conv_s16 = 4,
    .conv_s16_out = 64,
    .conv_start = 10,
    .teng_simple = 1,
    .teng_function = 1,
    .teng_norm = 1,
    .teng_start = 20,
    .cv_bytes = 1,
    .cv_start = 30,
    .ddr_bytes = 2,
    .ddr_stream_bytes = 1.5,
    .ddr_start = 5,
    .wait = 3,
    .call = 100,
};

static cyg_npu_instr instrs[MOST];
static cyg_npu_view views[MOST][3];
static cyg_npu_wait waits[MOST][4];
static uint32_t count;
static cyg_npu_timing timing;

static void start(void)
{
    memset(instrs, 0, sizeof instrs);
    count = 0;
}

static cyg_npu_view view(int64_t a, int64_t b)
{
    return (cyg_npu_view){.type = CYG_TYPE_U8, .rank = 2, .dims = {a, b}, .strides = {b, 1}};
}

/* One operand in, one out, of `bytes` each. */
static uint32_t add(cyg_npu_op op, uint16_t engine, int64_t bytes)
{
    views[count][0] = views[count][1] = view(1, bytes);
    instrs[count] = (cyg_npu_instr){.op = (uint16_t)op,
                                    .engine = engine,
                                    .in_count = 1,
                                    .out_count = 1,
                                    .operands = views[count],
                                    .waits = waits[count]};
    return count++;
}

static void wait_for(uint32_t instr, uint32_t engine, uint32_t number)
{
    waits[instr][instrs[instr].wait_count++] = (cyg_npu_wait){engine, number};
}

static cyg_status run(void)
{
    static cyg_arena arena;
    cyg_arena_deinit(&arena);
    cyg_arena_init(&arena);
    const cyg_npu_program p = {.instrs = instrs, .instr_count = count};
    return cyg_npu_time(NULL, &machine, &p, &arena, &timing);
}

static void expect_span(uint32_t instr, int64_t from, int64_t to)
{
    assert_int_equal(timing.spans[instr].start, 50 + from); /* half of the call goes before */
    assert_int_equal(timing.spans[instr].end, 50 + to);
}

static void test_nothing(void **state)
{
    (void)state;
    start();
    assert_int_equal(run(), CYG_OK);
    assert_int_equal(timing.cycles, 100);
}

static void test_a_queue_is_in_order(void **state)
{
    (void)state;
    start();
    add(CYG_NPU_OP_TENG_REQUANT, TENG, 40);
    add(CYG_NPU_OP_TENG_REQUANT, TENG, 10);
    assert_int_equal(run(), CYG_OK);
    expect_span(0, 0, 60);
    expect_span(1, 60, 90);
    assert_int_equal(timing.cycles, 190);
    assert_int_equal(timing.busy[TENG], 90);
    assert_int_equal(timing.blocked_by[0], 0);
    assert_int_equal(timing.blocked_by[1], 0);
}

static void test_a_wait_costs(void **state)
{
    (void)state;
    start();
    add(CYG_NPU_OP_CV_COPY, CV, 70);
    wait_for(add(CYG_NPU_OP_TENG_REQUANT, TENG, 10), CV, 1);
    wait_for(add(CYG_NPU_OP_CV_COPY, CV, 5), TENG, 1);
    assert_int_equal(run(), CYG_OK);
    expect_span(0, 0, 100);
    expect_span(1, 103, 133);
    expect_span(2, 136, 171);
    assert_int_equal(timing.blocked_by[1], 0);
    assert_int_equal(timing.blocked_by[2], 1);
}

/* 12 B alone at 1.5 B a cycle, then two share 2 B a cycle. */
static void test_transfers_share_the_ddr(void **state)
{
    (void)state;
    start();
    add(CYG_NPU_OP_LD, SDMA, 30);   /* moves from 5 on */
    add(CYG_NPU_OP_CV_COPY, CV, 0); /* ends at 30 */
    const uint32_t late = add(CYG_NPU_OP_ST, SDMA + 1, 12);
    assert_int_equal(run(), CYG_OK);
    /* Both move from 5 on at 1 B a cycle: the short one ends at 17 with 18 B of the other left,
     * which take 12 more at 1.5. */
    expect_span(late, 0, 17);
    expect_span(0, 0, 29);
    assert_int_equal(timing.ddr_read, 30);
    assert_int_equal(timing.ddr_written, 12);
}

static void test_alone(void **state)
{
    (void)state;
    const cyg_npu_cost cost = {.cycles = 5, .ddr_bytes = 31};
    assert_int_equal(cyg_npu_alone(&machine, &cost), 5 + 21);
}

static void test_a_deadlock_is_an_error(void **state)
{
    (void)state;
    start();
    wait_for(add(CYG_NPU_OP_CV_COPY, CV, 1), TENG, 1);
    wait_for(add(CYG_NPU_OP_TENG_REQUANT, TENG, 1), CV, 1);
    assert_int_equal(run(), CYG_E_FORMAT);
}

/* Sums of hostile sizes neither overflow nor go on for ever. */
static void test_times_beyond_counting(void **state)
{
    (void)state;
    const int64_t all = (int64_t)1 << 40;
    start();
    add(CYG_NPU_OP_TENG_REQUANT, TENG, all);
    add(CYG_NPU_OP_TENG_REQUANT, TENG, all);
    assert_int_equal(run(), CYG_OK);
    assert_true(timing.cycles >= 2 * all && timing.cycles < 3 * all);
    const cyg_npu_view huge[3] = {{.type = CYG_TYPE_U8, .rank = 4, .dims = {all, all, all, all}},
                                  {.type = CYG_TYPE_S8, .rank = 4, .dims = {all, all, all, all}},
                                  {.type = CYG_TYPE_U8, .rank = 4, .dims = {all, all, all, all}}};
    const cyg_npu_instr instr = {
        .op = CYG_NPU_OP_CONV_2D, .engine = CONV0, .in_count = 2, .out_count = 1, .operands = huge};
    const cyg_npu_cost cost = cyg_npu_cost_of(&machine, &instr);
    assert_true(cost.cycles > 0 && cost.cycles <= CYG_NPU_MOST_CYCLES + machine.conv_start);
    assert_true(cost.macs > 0 && cost.macs <= CYG_NPU_MOST_CYCLES);
}

static cyg_npu_view shape(cyg_type type, unsigned rank, const int64_t *dims)
{
    cyg_npu_view v = {.type = (uint8_t)type, .rank = (uint8_t)rank};
    memcpy(v.dims, dims, rank * sizeof *dims);
    return v;
}
#define SHAPE(type, ...)                                                                           \
    shape(CYG_TYPE_##type, sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t),                     \
          (const int64_t[]){__VA_ARGS__})

static int64_t cost_of(cyg_npu_op op, uint16_t engine, const cyg_npu_view *operands,
                       uint16_t in_count)
{
    cyg_npu_machine m = machine;
    m.conv_in = m.conv_out = 32;
    const cyg_npu_instr instr = {.op = (uint16_t)op,
                                 .engine = engine,
                                 .in_count = in_count,
                                 .out_count = 1,
                                 .operands = operands};
    return cyg_npu_cost_of(&m, &instr).cycles;
}

static void test_cost_of_products(void **state)
{
    (void)state;
    const cyg_npu_view b = SHAPE(S32, 1), k = SHAPE(F32, 1), none = {0};
    /* 10 rows, 2 passes of depth, 2 of columns: 40, and 640 / 8 finished sums: 80 */
    const cyg_npu_view wide[] = {SHAPE(U8, 10, 64), SHAPE(S8, 64, 64), b, k, SHAPE(U8, 10, 64)};
    assert_int_equal(cost_of(CYG_NPU_OP_CONV_LINEAR, CONV0, wide, 4), 10 + 80);
    /* 32 passes of depth instead: 10 x 32 */
    const cyg_npu_view deep[] = {SHAPE(U8, 10, 1024), SHAPE(S8, 32, 1024), b, k, SHAPE(U8, 10, 32)};
    assert_int_equal(cost_of(CYG_NPU_OP_CONV_LINEAR, CONV0, deep, 4), 10 + 320);
    /* 16 by 8 bits: twice that; 16 by 16: four times and a pass more, for 64 columns at least */
    const cyg_npu_view half[] = {SHAPE(S16, 10, 1024), SHAPE(S8, 32, 1024), b, k,
                                 SHAPE(U8, 10, 32)};
    assert_int_equal(cost_of(CYG_NPU_OP_CONV_LINEAR, CONV0, half, 4), 10 + 640);
    const cyg_npu_view full[] = {SHAPE(S16, 10, 1024), SHAPE(S8, 32, 1024), b, k, none,
                                 SHAPE(S8, 32, 1024),  SHAPE(S16, 10, 32)};
    assert_int_equal(cost_of(CYG_NPU_OP_CONV_LINEAR, CONV0, full, 6), 10 + 320 * 4 * (2 + 1));
    const cyg_npu_view broad[] = {SHAPE(S16, 10, 1024), SHAPE(S8, 96, 1024), b, k, none,
                                  SHAPE(S8, 96, 1024),  SHAPE(S16, 10, 96)};
    assert_int_equal(cost_of(CYG_NPU_OP_CONV_LINEAR, CONV0, broad, 6), 10 + 320 * 4 * (3 + 1));
    /* 3 channels count 8: 9 taps of them are 72 lanes, 3 passes, for 16 pixels */
    const cyg_npu_view first[] = {SHAPE(U8, 1, 4, 4, 3), SHAPE(S8, 2, 3, 3, 3), b, k,
                                  SHAPE(U8, 1, 4, 4, 2)};
    assert_int_equal(cost_of(CYG_NPU_OP_CONV_2D, CONV0, first, 4), 10 + 48);
    /* depthwise: the same passes for all channels, here 512 / 8 finished sums */
    const cyg_npu_view depth[] = {SHAPE(U8, 1, 4, 4, 32), SHAPE(S8, 32, 3, 3, 1), b, k,
                                  SHAPE(U8, 1, 4, 4, 32)};
    assert_int_equal(cost_of(CYG_NPU_OP_CONV_2D, CONV0, depth, 4), 10 + 64);
}

static void test_cost_of_elements(void **state)
{
    (void)state;
    const cyg_npu_view k = SHAPE(F32, 7);
    const cyg_npu_view rows[] = {SHAPE(S16, 3, 7), k, k, SHAPE(U8, 3, 7)};
    assert_int_equal(cost_of(CYG_NPU_OP_TENG_LAYERNORM, TENG, rows, 3), 20 + 21);
    const cyg_npu_view pool[] = {SHAPE(U8, 1, 4, 4, 3), SHAPE(U8, 1, 2, 2, 3)};
    assert_int_equal(cost_of(CYG_NPU_OP_TENG_POOL, TENG, pool, 1), 20 + 48);
    const cyg_npu_view softmax[] = {SHAPE(S8, 2, 5), SHAPE(U8, 2, 5)};
    assert_int_equal(cost_of(CYG_NPU_OP_TENG_SOFTMAX, TENG, softmax, 1), 20 + 3 * 10);
    const cyg_npu_view copy[] = {SHAPE(S16, 4, 5), SHAPE(S16, 4, 5)};
    assert_int_equal(cost_of(CYG_NPU_OP_CV_COPY, CV, copy, 1), 30 + 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_a_queue_is_in_order),
        cmocka_unit_test(test_a_wait_costs),
        cmocka_unit_test(test_transfers_share_the_ddr),
        cmocka_unit_test(test_alone),
        cmocka_unit_test(test_a_deadlock_is_an_error),
        cmocka_unit_test(test_times_beyond_counting),
        cmocka_unit_test(test_cost_of_products),
        cmocka_unit_test(test_cost_of_elements),
    };
    return CYG_TEST_MAIN(tests);
}
