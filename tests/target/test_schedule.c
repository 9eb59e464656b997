/* The NPU's scheduler on random lists of tasks. The witness is an executor of this file's own:
 * memory is cells that hold hashes, a task writes the hash of its number and of all cells that it
 * reads. Run in list order on buffers that are all apart, that gives what every cell must hold.
 * Each emitted program then runs in many of the orders that queues and waits allow, at its
 * addresses in a memory full of garbage, and must leave the same in the output. A wait too few, or
 * two buffers in one place at one time, changes a hash. */
#include "schedule_tasks.h"

static uint64_t mix(uint64_t h, uint64_t v)
{
    h = (h ^ v) * UINT64_C(0x9e3779b97f4a7c15);
    return h ^ (h >> 29);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_roomy),
        cmocka_unit_test(test_tight),
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_baseline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
