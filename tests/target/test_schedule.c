/* The NPU's scheduler on random lists of tasks. The witness is an executor of this file's own:
 * memory is cells that hold hashes, a task writes the hash of its number and of all cells that it
 * reads. Run in list order on buffers that are all apart, that gives what every cell must hold.
 * Each emitted program then runs in many of the orders that queues and waits allow, at its
 * addresses in a memory full of garbage, and must leave the same in the output. A wait too few, or
 * two buffers in one place at one time, changes a hash. */
#include "../testing.h"

#include <stdlib.h>
#include <string.h>

#include "base/type.h"
#include "target/npu/schedule.h"

#define OK(ctx, call)                                                                              \
    do {                                                                                           \
        if ((call) != CYG_OK)                                                                      \
            fail_msg("%s", cyg_ctx_message(ctx, 0));                                               \
    } while (0)

enum { CELL = 64, MOST_ROWS = 64 };

typedef struct random_state {
    uint64_t x;
} random_state;

static uint32_t draw(random_state *r, uint32_t below)
{
    r->x ^= r->x << 13;
    r->x ^= r->x >> 7;
    r->x ^= r->x << 17;
    return (uint32_t)(r->x >> 33) % below;
}

static uint64_t mix(uint64_t h, uint64_t v)
{
    h = (h ^ v) * UINT64_C(0x9e3779b97f4a7c15);
    return h ^ (h >> 29);
}

/* ---- tasks: steps of row tiles, each reading rows of earlier tensors, some through a weight tile
 * --------------- */

typedef struct tensor {
    uint32_t buffer;
    int64_t rows, bytes; /* bytes of a row */
} tensor;

typedef struct maker {
    cyg_arena *arena;
    cyg_npu_tasks tasks;
    uint64_t param_at;
} maker;

static cyg_npu_view view_of(uint8_t space, int64_t row, int64_t rows, int64_t bytes, uint64_t pitch)
{
    return (cyg_npu_view){.space = space,
                          .type = CYG_TYPE_U8,
                          .rank = 2,
                          .offset = (uint64_t)row * pitch,
                          .dims = {rows, bytes},
                          .strides = {(int64_t)pitch, 1}};
}

static cyg_npu_operand part(const tensor *t, const cyg_npu_rect *rect)
{
    cyg_npu_operand o = {
        .buffer = t->buffer,
        .view = view_of(CYG_NPU_OCM, rect->row, rect->rows, rect->bytes, (uint64_t)t->bytes),
        .rects = rect,
        .rect_count = 1};
    o.view.offset += (uint64_t)rect->byte;
    return o;
}

static uint32_t new_buffer(maker *k, uint8_t space, int64_t rows, int64_t bytes, bool is_param)
{
    const cyg_npu_buffer b = {.bytes = (uint64_t)(rows * bytes),
                              .pitch = (uint64_t)bytes,
                              .space = space,
                              .is_param = is_param};
    const uint32_t id = cyg_npu_tasks_add_buffer(&k->tasks, k->arena, &b);
    assert_true(id != CYG_NPU_NO_BUFFER);
    return id;
}

static void add(maker *k, uint16_t op, const cyg_npu_operand *in, uint16_t in_count,
                const cyg_npu_operand *out, uint32_t step, uint32_t tile)
{
    cyg_npu_operand all[CYG_NPU_MAX_OPERANDS];
    memcpy(all, in, in_count * sizeof *in);
    all[in_count] = *out;
    const cyg_npu_task t = {.op = op,
                            .in_count = in_count,
                            .out_count = 1,
                            .operands = all,
                            .step = step,
                            .tile = tile};
    assert_true(cyg_npu_tasks_add(&k->tasks, k->arena, &t));
}

static tensor load_weights(maker *k, int64_t bytes, uint32_t step, uint32_t tile)
{
    const tensor source = {new_buffer(k, CYG_NPU_PARAM, 1, bytes, false), 1, bytes};
    const tensor w = {new_buffer(k, CYG_NPU_OCM, 1, bytes, true), 1, bytes};
    k->tasks.buffers[source.buffer].address = k->param_at;
    k->param_at += (uint64_t)bytes;
    const cyg_npu_rect all = {0, 1, 0, bytes};
    cyg_npu_operand from = part(&source, &all), to = part(&w, &all);
    from.view.space = CYG_NPU_PARAM;
    add(k, CYG_NPU_OP_LD, &from, 1, &to, step, tile);
    return w;
}

/* One step: y's tiles from a's (and, now and then, scattered rows of b). */
static tensor add_step(maker *k, random_state *r, const tensor *a, const tensor *b, uint32_t step)
{
    static const uint16_t ops[] = {CYG_NPU_OP_CONV_LINEAR, CYG_NPU_OP_TENG_ELTWISE,
                                   CYG_NPU_OP_CV_COPY};
    const uint16_t op = ops[draw(r, 3)];
    const int64_t bytes = CELL * (1 + (int64_t)draw(r, 8));
    const int64_t tile_rows = 1 + draw(r, 16), columns = draw(r, 2) == 0 ? bytes : CELL;
    const bool in_place = op == CYG_NPU_OP_TENG_ELTWISE && draw(r, 3) == 0;
    const tensor y =
        in_place ? *a : (tensor){new_buffer(k, CYG_NPU_OCM, a->rows, bytes, false), a->rows, bytes};
    uint32_t tile = 0;
    for (int64_t c = 0; c < y.bytes; c += in_place ? y.bytes : columns) {
        tensor w = {0};
        if (op == CYG_NPU_OP_CONV_LINEAR)
            w = load_weights(k, CELL * (1 + (int64_t)draw(r, 30)), step, tile);
        for (int64_t row = 0; row < y.rows; row += tile_rows, tile++) {
            const int64_t rows = y.rows - row < tile_rows ? y.rows - row : tile_rows;
            const cyg_npu_rect from = {row, rows, 0, a->bytes},
                               to = {row, rows, c, in_place ? y.bytes : columns},
                               half[2] = {{row / 2, 1, 0, CELL},
                                          {b->rows - 1 - row / 2, 1, b->bytes - CELL, CELL}},
                               whole = {0, 1, 0, w.bytes};
            cyg_npu_operand in[3] = {part(a, &from), {.buffer = CYG_NPU_NO_BUFFER}, {0}};
            uint16_t count = 1;
            if (op == CYG_NPU_OP_CONV_LINEAR)
                in[count++] = part(&w, &whole);
            if (draw(r, 2) == 0 && b->buffer != y.buffer) {
                in[count] = part(b, &half[0]);
                in[count].rects = half;
                in[count++].rect_count = 2;
            }
            const cyg_npu_operand out = part(&y, &to);
            add(k, op, in, count, &out, step, tile);
        }
    }
    return y;
}

static void make_tasks(maker *k, random_state *r, uint32_t steps)
{
    const int64_t rows = 8 + draw(r, MOST_ROWS - 8);
    tensor list[32] = {{new_buffer(k, CYG_NPU_IO, rows, CELL, false), rows, CELL}};
    tensor x = {new_buffer(k, CYG_NPU_OCM, rows, CELL, false), rows, CELL};
    const cyg_npu_rect all = {0, rows, 0, CELL};
    cyg_npu_operand from = part(&list[0], &all), to = part(&x, &all);
    from.view.space = CYG_NPU_IO;
    add(k, CYG_NPU_OP_LD, &from, 1, &to, 0, 0);
    list[0] = x;
    for (uint32_t s = 1; s <= steps; s++)
        list[s] = add_step(k, r, &list[s - 1], &list[draw(r, s)], s);
    const tensor *last = &list[steps];
    const cyg_npu_rect end = {0, last->rows, 0, last->bytes};
    const tensor out = {new_buffer(k, CYG_NPU_IO, last->rows, last->bytes, false), last->rows,
                        last->bytes};
    k->tasks.buffers[out.buffer].io = 1;
    from = part(last, &end);
    to = part(&out, &end);
    to.view.space = CYG_NPU_IO;
    add(k, CYG_NPU_OP_ST, &from, 1, &to, steps + 1, 0);
}

/* ---- the executor
 * ------------------------------------------------------------------------------------------------
 */

typedef struct memory {
    uint64_t *cells[CYG_NPU_SPACES][2]; /* by space and IO buffer */
} memory;

typedef struct rect_view {
    uint64_t *cells;
    uint64_t offset, pitch;
    const cyg_npu_rect *rects;
    uint32_t rect_count;
} rect_view;

static uint64_t read_cells(const rect_view *v, uint64_t h)
{
    for (uint32_t i = 0; i < v->rect_count; i++)
        for (int64_t row = v->rects[i].row; row < v->rects[i].row + v->rects[i].rows; row++)
            for (int64_t b = 0; b < v->rects[i].bytes; b += CELL)
                h = mix(h, v->cells[(v->offset + (uint64_t)row * v->pitch +
                                     (uint64_t)(v->rects[i].byte + b)) /
                                    CELL]);
    return h;
}

static void write_cells(const rect_view *v, uint64_t h)
{
    for (uint32_t i = 0; i < v->rect_count; i++)
        for (int64_t row = v->rects[i].row; row < v->rects[i].row + v->rects[i].rows; row++)
            for (int64_t b = 0; b < v->rects[i].bytes; b += CELL)
                v->cells[(v->offset + (uint64_t)row * v->pitch + (uint64_t)(v->rects[i].byte + b)) /
                         CELL] = mix(h, (uint64_t)(row * 4096 + b));
}

/* Addresses: by buffer, of the first byte in its space. */
static void execute(const cyg_npu_tasks *tasks, uint32_t u, const memory *mem,
                    const uint64_t *addresses)
{
    const cyg_npu_task *t = &tasks->tasks[u];
    uint64_t h = mix(1, u);
    for (uint32_t i = 0; i < (uint32_t)t->in_count + t->out_count; i++) {
        const cyg_npu_operand *o = &t->operands[i];
        const cyg_npu_buffer *b = &tasks->buffers[o->buffer];
        const rect_view v = {mem->cells[b->space][b->space == CYG_NPU_IO ? b->io : 0],
                             addresses[o->buffer], b->pitch, o->rects, o->rect_count};
        if (i < t->in_count)
            h = read_cells(&v, h);
        else
            write_cells(&v, h);
    }
}

static void fill(uint64_t *cells, size_t count, uint64_t seed)
{
    for (size_t i = 0; i < count; i++)
        cells[i] = mix(seed, i);
}

enum { OUT_CELLS = MOST_ROWS * 16, APART_CELLS = 1 << 16, PARAM_CELLS = 1 << 16 };

/* What the output must be: list order, every OCM buffer in a place of its own. */
static void expect(const cyg_npu_tasks *tasks, memory *mem, uint64_t *out)
{
    uint64_t *addresses = calloc(tasks->buffer_count, sizeof *addresses), at = 0;
    for (uint32_t b = 0; b < tasks->buffer_count; b++) {
        addresses[b] = tasks->buffers[b].address;
        if (tasks->buffers[b].space != CYG_NPU_OCM)
            continue;
        addresses[b] = at;
        at += tasks->buffers[b].bytes;
    }
    assert_true(at <= (uint64_t)APART_CELLS * CELL);
    for (uint32_t u = 0; u < tasks->task_count; u++)
        execute(tasks, u, mem, addresses);
    memcpy(out, mem->cells[CYG_NPU_IO][1], OUT_CELLS * 8);
    free(addresses);
}

/* The task that an instruction came from: its operands' rectangles are needed. Steps and tiles name
 * it. */
static uint32_t task_of(const cyg_npu_tasks *tasks, const cyg_npu_instr *instr)
{
    for (uint32_t u = 0; u < tasks->task_count; u++)
        if (tasks->tasks[u].step == instr->step && tasks->tasks[u].tile == instr->tile &&
            tasks->tasks[u].op == instr->op)
            return u;
    fail_msg("an instruction that no task became");
    return 0;
}

/* Runs p in one of the orders that queues and waits allow: among the engines that may go on, one by
 * chance. */
static void run_somehow(const cyg_npu_machine *m, const cyg_npu_tasks *tasks,
                        const cyg_npu_program *p, const uint64_t *addresses, const memory *mem,
                        random_state *r)
{
    uint32_t done[CYG_NPU_MAX_ENGINES] = {0}, at[CYG_NPU_MAX_ENGINES] = {0}, left = p->instr_count;
    const uint32_t engines = cyg_npu_engine_count(m), starved = draw(r, engines);
    while (left > 0) {
        uint32_t may[CYG_NPU_MAX_ENGINES], count = 0;
        for (uint32_t e = 0; e < engines; e++) {
            while (at[e] < p->instr_count && p->instrs[at[e]].engine != e)
                at[e]++;
            bool ready = at[e] < p->instr_count;
            for (uint32_t i = 0; ready && i < p->instrs[at[e]].wait_count; i++)
                ready = done[p->instrs[at[e]].waits[i].engine] >= p->instrs[at[e]].waits[i].count;
            if (ready)
                may[count++] = e;
        }
        assert_true(count > 0);
        uint32_t e = may[draw(r, count)];
        if (e == starved && count > 1)
            e = may[draw(r, count)];
        execute(tasks, task_of(tasks, &p->instrs[at[e]]), mem, addresses);
        done[e]++;
        at[e]++;
        left--;
    }
}

/* By buffer, read back from the instructions' views. */
static void find_addresses(const cyg_npu_tasks *tasks, const cyg_npu_program *p,
                           uint64_t *addresses)
{
    for (uint32_t i = 0; i < p->instr_count; i++) {
        const cyg_npu_task *t = &tasks->tasks[task_of(tasks, &p->instrs[i])];
        for (uint32_t k = 0; k < (uint32_t)t->in_count + t->out_count; k++)
            addresses[t->operands[k].buffer] =
                p->instrs[i].operands[k].offset - t->operands[k].view.offset;
    }
}

static const cyg_npu_machine machine = {.chip = "test",
                                        .mode = "NPU1",
                                        .clock_khz = 800000,
                                        .groups = 1,
                                        .convs = 2,
                                        .tengs = 1,
                                        .cvs = 1,
                                        .sdmas = 1,
                                        .conv_in = 32,
                                        .conv_out = 32,
                                        .conv_few = 8,
                                        .conv_post = 8,
                                        .conv_s16 = 4,
                                        .conv_s16_out = 64,
                                        .conv_start = 20,
                                        .teng_simple = 16,
                                        .teng_function = 4,
                                        .teng_norm = 1,
                                        .teng_start = 30,
                                        .cv_bytes = 32,
                                        .cv_start = 20,
                                        .ddr_bytes = 26.8,
                                        .ddr_stream_bytes = 26.8,
                                        .ddr_start = 50,
                                        .wait = 10};

static uint64_t *make_cells(size_t count, uint64_t seed)
{
    uint64_t *cells = malloc(count * 8);
    assert_non_null(cells);
    fill(cells, count, seed);
    return cells;
}

typedef struct schedule_case {
    int64_t ocm_bytes;
    cyg_npu_schedule_kind kind;
    uint32_t tries, groups;
} schedule_case;

/* False when the tasks do not fit. */
static bool check_case(cyg_ctx *ctx, uint64_t seed, const schedule_case *c)
{
    random_state r = {seed * 2654435761u + 88172645463325252u};
    cyg_npu_machine m = machine;
    cyg_arena arena;
    cyg_arena_init(&arena);
    maker k = {.arena = &arena};
    make_tasks(&k, &r, 3 + draw(&r, 12));
    m.ocm_bytes = c->ocm_bytes;
    m.groups = c->groups;
    memory mem = {0};
    uint64_t *want = make_cells(OUT_CELLS, 0);
    mem.cells[CYG_NPU_OCM][0] = make_cells(APART_CELLS, 7);
    mem.cells[CYG_NPU_PARAM][0] = make_cells(PARAM_CELLS, 3);
    mem.cells[CYG_NPU_IO][0] = make_cells(OUT_CELLS, 4);
    mem.cells[CYG_NPU_IO][1] = make_cells(OUT_CELLS, 5);
    expect(&k.tasks, &mem, want);
    cyg_npu_program p = {0};
    cyg_npu_schedule_report report;
    const cyg_npu_schedule_options options = {.kind = c->kind, .tries = c->tries};
    OK(ctx, cyg_npu_schedule(ctx, &m, &k.tasks, &options, &arena, &p, &report));
    if (report.fits) {
        uint64_t *addresses = CYG_NEW_ARRAY(&arena, uint64_t, k.tasks.buffer_count);
        assert_int_equal(p.instr_count, k.tasks.task_count);
        assert_true(p.ocm_bytes <= (uint64_t)c->ocm_bytes);
        assert_true(report.ocm_peak_bytes <= p.ocm_bytes);
        find_addresses(&k.tasks, &p, addresses);
        for (int i = 0; i < 8; i++) {
            fill(mem.cells[CYG_NPU_OCM][0], APART_CELLS, 100 + (uint64_t)i);
            fill(mem.cells[CYG_NPU_IO][1], OUT_CELLS, 5);
            run_somehow(&m, &k.tasks, &p, addresses, &mem, &r);
            assert_memory_equal(mem.cells[CYG_NPU_IO][1], want, OUT_CELLS * 8);
        }
    } else {
        assert_true(report.tight_bytes > 0);
    }
    free(want);
    free(mem.cells[CYG_NPU_OCM][0]);
    free(mem.cells[CYG_NPU_PARAM][0]);
    free(mem.cells[CYG_NPU_IO][0]);
    free(mem.cells[CYG_NPU_IO][1]);
    cyg_arena_deinit(&arena);
    return report.fits;
}

static void check_many(const schedule_case *c, bool all_fit)
{
    cyg_ctx ctx;
    uint32_t fitted = 0;
    cyg_ctx_init(&ctx);
    for (uint64_t seed = 1; seed <= 60; seed++)
        fitted += check_case(&ctx, seed, c);
    if (all_fit)
        assert_int_equal(fitted, 60);
    else
        assert_true(fitted > 5);
}

static void test_roomy(void **state)
{
    (void)state;
    check_many(&(schedule_case){1 << 22, CYG_NPU_SCHEDULE_DEFAULT, 0, 1}, true);
}

static void test_tight(void **state)
{
    (void)state;
    check_many(&(schedule_case){50000, CYG_NPU_SCHEDULE_DEFAULT, 4, 1}, false);
    check_many(&(schedule_case){80000, CYG_NPU_SCHEDULE_DEFAULT, 4, 1}, false);
}

static void test_groups(void **state)
{
    (void)state;
    check_many(&(schedule_case){1 << 17, CYG_NPU_SCHEDULE_DEFAULT, 2, 3}, false);
}

static void test_baseline(void **state)
{
    (void)state;
    check_many(&(schedule_case){1 << 17, CYG_NPU_SCHEDULE_BASELINE, 0, 1}, false);
}

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
        cmocka_unit_test(test_roomy),
        cmocka_unit_test(test_tight),
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_baseline),
        cmocka_unit_test(test_baseline_is_plain),
        cmocka_unit_test(test_baseline_waits_for_no_later_weights),
        cmocka_unit_test(test_tries_help),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
