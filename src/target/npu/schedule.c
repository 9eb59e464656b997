/* The scheduler's driver: what all tries share, the tries, the best of them.
 *
 * A try is an order under some memory, then a placement. When the placement needs more than the OCM
 * has (places fragment), the same is tried with less memory promised, in the steps where buffers
 * stick out, then everywhere, down to none: then tasks begin their buffers only when all before
 * them in the list are done. Each try that fits is emitted and timed by the cycle model, whose
 * number decides. Tries first move one option at a time away from the best so far, then stretch
 * chains at random; all of it is counted, none of it timed. They go in rounds of a fixed size, each
 * beside the others on the pool, and the first of the best wins: the number of threads changes
 * nothing. */
#include "target/npu/schedule.h"

#include <string.h>

#include "base/checked.h"
#include "target/npu/schedule_parts.h"

enum {
    ALIGN = 64,
    AHEAD = 8,         /* steps that tasks of the default schedule run ahead */
    WEIGHTS_AHEAD = 3, /* steps that weights come ahead in the baseline: fits published latencies
                          best; the default schedule begins with twice that */
};

typedef struct schedule_work {
    const cyg_npu_machine *m;
    const cyg_npu_tasks *tasks;
    cyg_npu_depend depend;
    cyg_npu_load load;
    uint64_t *swap; /* by buffer: address in SWAP */
    uint64_t most;  /* bytes alive in list order, at most */
    bool barrier;
} schedule_work;

/* ---- what all tries share
 * ----------------------------------------------------------------------------------
 */

/* The number of some engine of a kind. */
static uint16_t engine_of(const cyg_npu_machine *m, cyg_npu_engine_kind kind)
{
    uint32_t e = 0;
    while (e + 1 < cyg_npu_engine_count(m) && cyg_npu_engine_at(m, e).kind != kind)
        e++;
    return (uint16_t)e;
}

/* The cost of a task, as an instruction without places. */
static bool find_costs(schedule_work *w, cyg_arena *arena)
{
    const uint32_t n = w->tasks->task_count;
    cyg_npu_view views[CYG_NPU_MAX_OPERANDS];
    w->load.costs = CYG_NEW_ARRAY(arena, cyg_npu_cost, (size_t)n + 1);
    w->load.alone = CYG_NEW_ARRAY(arena, int64_t, (size_t)n + 1);
    w->load.is_load = CYG_NEW_ARRAY(arena, bool, (size_t)n + 1);
    if (w->load.costs == NULL || w->load.alone == NULL || w->load.is_load == NULL)
        return false;
    for (uint32_t u = 0; u < n; u++) {
        const cyg_npu_task *t = &w->tasks->tasks[u];
        const uint32_t operands = (uint32_t)t->in_count + t->out_count;
        for (uint32_t i = 0; i < operands && i < CYG_NPU_MAX_OPERANDS; i++) {
            views[i] = t->operands[i].view;
            if (t->operands[i].buffer != CYG_NPU_NO_BUFFER)
                views[i].space = w->tasks->buffers[t->operands[i].buffer].space;
        }
        const cyg_npu_instr instr = {.op = t->op,
                                     .engine = engine_of(w->m, cyg_npu_op_info_of(t->op)->engine),
                                     .in_count = t->in_count,
                                     .out_count = t->out_count,
                                     .operands = views,
                                     .params = t->params,
                                     .params_size = t->params_size};
        w->load.costs[u] = cyg_npu_cost_of(w->m, &instr);
        const int64_t alone = cyg_npu_alone(w->m, &w->load.costs[u]);
        w->load.alone[u] = alone > 0 ? alone : 1;
        const uint32_t to = t->out_count == 1 ? t->operands[t->in_count].buffer : CYG_NPU_NO_BUFFER;
        w->load.is_load[u] = to != CYG_NPU_NO_BUFFER && w->tasks->buffers[to].is_param &&
                             t->in_count > 0 && views[0].space == CYG_NPU_PARAM;
    }
    return true;
}

static bool find_tails(schedule_work *w, cyg_arena *arena)
{
    const uint32_t n = w->tasks->task_count;
    w->load.tail = CYG_NEW_ARRAY(arena, int64_t, (size_t)n + 1);
    if (w->load.tail == NULL)
        return false;
    for (uint32_t u = n; u-- > 0;) {
        int64_t longest = 0;
        for (uint32_t i = w->depend.succ_at[u]; i < w->depend.succ_at[u + 1]; i++) {
            const int64_t t = w->load.tail[w->depend.succs[i]];
            longest = t > longest ? t : longest;
        }
        w->load.tail[u] = longest + w->load.alone[u];
    }
    return true;
}

/* When each buffer lives in list order, and what is alive at each position. */
static bool find_lives(schedule_work *w, cyg_arena *arena)
{
    const uint32_t n = w->tasks->task_count, buffers = w->tasks->buffer_count;
    cyg_npu_load *l = &w->load;
    l->first = CYG_NEW_ARRAY(arena, uint32_t, (size_t)buffers + 1);
    l->last = CYG_NEW_ARRAY(arena, uint32_t, (size_t)buffers + 1);
    l->room = CYG_NEW_ARRAY(arena, uint64_t, (size_t)buffers + 1);
    l->live = CYG_NEW_ARRAY(arena, uint64_t, (size_t)n + 2);
    if (l->first == NULL || l->last == NULL || l->room == NULL || l->live == NULL)
        return false;
    memset(l->first, 0xff, ((size_t)buffers + 1) * sizeof *l->first);
    for (uint32_t u = 0; u < n; u++)
        for (uint32_t i = w->depend.touch_at[u]; i < w->depend.touch_at[u + 1]; i++) {
            const uint32_t b = w->depend.touched[i];
            l->first[b] = l->first[b] == UINT32_MAX ? u : l->first[b];
            l->last[b] = u;
            if (w->tasks->buffers[b].space == CYG_NPU_OCM)
                l->room[b] = cyg_align_up(w->tasks->buffers[b].bytes, ALIGN);
        }
    for (uint32_t b = 0; b < buffers; b++) {
        if (l->first[b] == UINT32_MAX || l->room[b] == 0)
            continue;
        l->live[l->first[b]] += l->room[b];
        l->live[l->last[b] + 1] -= l->room[b]; /* wraps and comes back in the sum */
    }
    for (uint32_t u = 1; u <= n; u++)
        l->live[u] += l->live[u - 1];
    return true;
}

/* Tasks that go on with a tile that has begun: they read a buffer that lives in their step only. */
static bool find_goers(schedule_work *w, cyg_arena *arena)
{
    const uint32_t n = w->tasks->task_count;
    const cyg_npu_load *l = &w->load;
    w->load.goes_on = CYG_NEW_ARRAY(arena, bool, (size_t)n + 1);
    if (w->load.goes_on == NULL)
        return false;
    for (uint32_t u = 0; u < n; u++)
        for (uint32_t i = w->depend.touch_at[u]; i < w->depend.touch_at[u + 1]; i++) {
            const uint32_t b = w->depend.touched[i];
            w->load.goes_on[u] |= l->room[b] > 0 && !w->tasks->buffers[b].is_param &&
                                  l->first[b] < u &&
                                  w->tasks->tasks[l->first[b]].step == w->tasks->tasks[u].step &&
                                  w->tasks->tasks[l->last[b]].step == w->tasks->tasks[u].step;
        }
    return true;
}

/* SWAP is plentiful: buffers lie one behind another. */
static bool place_swap(schedule_work *w, cyg_arena *arena, uint64_t *out_bytes)
{
    uint64_t at = 0;
    w->swap = CYG_NEW_ARRAY(arena, uint64_t, (size_t)w->tasks->buffer_count + 1);
    if (w->swap == NULL)
        return false;
    for (uint32_t b = 0; b < w->tasks->buffer_count; b++) {
        if (w->tasks->buffers[b].space != CYG_NPU_SWAP || w->load.first[b] == UINT32_MAX)
            continue;
        w->swap[b] = at;
        at += cyg_align_up(w->tasks->buffers[b].bytes, ALIGN);
    }
    *out_bytes = at;
    return true;
}

static void find_tight(schedule_work *w, uint64_t *needs, cyg_npu_schedule_report *report)
{
    for (uint32_t u = 0; u < w->tasks->task_count; u++) {
        uint64_t *need = needs != NULL ? &needs[w->tasks->tasks[u].step] : NULL;
        if (need != NULL && w->load.live[u] > *need)
            *need = w->load.live[u];
        if (w->load.live[u] > w->most) {
            w->most = w->load.live[u];
            report->tight_step = w->tasks->tasks[u].step;
            report->tight_bytes = w->load.live[u];
        }
    }
}

/* ---- tries
 * -------------------------------------------------------------------------------------------------
 */

typedef struct one_try {
    cyg_npu_order_options options;
    uint64_t *withheld; /* its options', by step */
    int64_t bound;      /* an order that takes more cycles than this is given up */
    bool fits, hopeless;
    int64_t cycles;
    uint64_t peak;
    cyg_npu_program program; /* as the caller's, its instructions replaced */
    cyg_arena arena;         /* where they are */
} one_try;

static uint32_t steps_of(const schedule_work *w)
{
    return w->tasks->task_count == 0 ? 0 : w->tasks->tasks[w->tasks->task_count - 1].step + 1;
}

/* The oldest unfinished position at a time. ends: by position, the latest end up to it. */
static uint32_t oldest_at(const int64_t *ends, uint32_t n, int64_t time)
{
    uint32_t low = 0, high = n;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (ends[middle] > time)
            high = middle;
        else
            low = middle + 1;
    }
    return low < n ? low : n - 1;
}

/* Where buffers stick out of the OCM, as much is promised no more: in the steps from the oldest
 * one when such a buffer began to its last. */
static cyg_status withhold(cyg_ctx *ctx, const schedule_work *w, one_try *t,
                           const cyg_npu_order *order, const uint64_t *addresses)
{
    const uint32_t n = w->tasks->task_count, steps = steps_of(w);
    const uint64_t ocm = (uint64_t)w->m->ocm_bytes;
    int64_t *ends = CYG_NEW_ARRAY(&t->arena, int64_t, (size_t)n + 1);
    uint64_t *over = CYG_NEW_ARRAY(&t->arena, uint64_t, (size_t)steps + 1);
    if (ends == NULL || over == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory while scheduling");
    for (uint32_t u = 0; u < n; u++)
        ends[u] = u > 0 && ends[u - 1] > order->end[u] ? ends[u - 1] : order->end[u];
    for (uint32_t u = 0; u < n; u++)
        for (uint32_t i = w->depend.touch_at[u]; i < w->depend.touch_at[u + 1]; i++) {
            const uint32_t b = w->depend.touched[i];
            const uint64_t end = addresses[b] + w->load.room[b];
            if (w->load.room[b] == 0 || end <= ocm)
                continue;
            const uint32_t last = w->tasks->tasks[w->load.last[b]].step;
            for (uint32_t s = w->tasks->tasks[oldest_at(ends, n, order->start[u])].step; s <= last;
                 s++)
                over[s] = end - ocm > over[s] ? end - ocm : over[s];
        }
    for (uint32_t s = 0; s < steps; s++)
        if (over[s] > 0)
            t->withheld[s] += over[s] + over[s] / 4 + ALIGN;
    return CYG_OK;
}

/* Orders, places, emits and times. When places do not fit, less memory is promised: here where they
 * do not, or everywhere. */
static cyg_status attempt(cyg_ctx *ctx, const schedule_work *w, one_try *t, bool here)
{
    cyg_arena *arena = &t->arena;
    uint64_t *addresses = CYG_NEW_ARRAY(arena, uint64_t, (size_t)w->tasks->buffer_count + 1);
    const uint64_t ocm = (uint64_t)w->m->ocm_bytes;
    uint64_t bytes = UINT64_MAX;
    cyg_npu_order order;
    cyg_npu_timing timing;
    if (addresses == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory while scheduling");
    memcpy(addresses, w->swap, (size_t)w->tasks->buffer_count * sizeof *addresses);
    CYG_DO(
        cyg_npu_order_make(ctx, w->m, w->tasks, &w->depend, &w->load, &t->options, arena, &order));
    t->fits = false;
    t->cycles = INT64_MAX;
    t->hopeless = order.cycles > t->bound; /* less memory makes it no faster */
    if (t->hopeless)
        return CYG_OK;
    CYG_DO(cyg_npu_place_ocm(ctx, w->tasks, &w->depend, &w->load, &order, ocm, arena, addresses,
                             &bytes, &t->peak));
    t->fits = bytes <= ocm;
    if (!t->fits && here)
        return withhold(ctx, w, t, &order, addresses);
    if (!t->fits) {
        /* what the places need beyond what lives at once is promised no more */
        const uint64_t over = bytes - ocm;
        t->options.capacity = t->options.capacity > over + over / 4 + ALIGN
                                  ? t->options.capacity - over - over / 4 - ALIGN
                                  : 0;
        return CYG_OK;
    }
    t->program.ocm_bytes = bytes;
    CYG_DO(cyg_npu_emit(ctx, w->m, w->tasks, &w->depend, &w->load, &order, addresses, w->barrier,
                        arena, &t->program));
    CYG_DO(cyg_npu_time(ctx, w->m, &t->program, arena, &timing));
    t->cycles = timing.cycles;
    return CYG_OK;
}

/* attempt with less and less memory promised until the places fit: first where they do not (the
 * plain schedule keeps to what its fit was made with), then everywhere. */
static cyg_status attempt_to_fit(cyg_ctx *ctx, const schedule_work *w, one_try *t)
{
    enum { HERE = 4, LIMIT = 9 };
    for (int i = 0; i <= LIMIT; i++) {
        const uint64_t promised = t->options.capacity;
        if (i == LIMIT)
            t->options.capacity = 0;
        cyg_arena_reset(&t->arena);
        CYG_DO(attempt(ctx, w, t, i < HERE && !w->barrier));
        if (t->fits || t->hopeless || promised == 0)
            break;
    }
    return CYG_OK;
}

/* The k-th variation: a first round of settled mixtures, then one or two options away from the best
 * so far, then random stretching. */
static cyg_npu_order_options vary(const cyg_npu_machine *m, const cyg_npu_order_options *best,
                                  uint32_t k)
{
    static const struct {
        uint32_t share, weights_ahead, by_tail, slope;
    } first[] = {{16, 6, 0, 8}, {16, 40, 0, 8},  {8, 1000, 0, 8}, {4, 3, 0, 8},
                 {8, 4, 0, 8},  {16, 16, 0, 12}, {4, 1000, 0, 8}, {8, 8, 1, 8}};
    const uint64_t ocm = (uint64_t)m->ocm_bytes;
    cyg_npu_order_options o = *best;
    o.capacity = ocm;
    o.seed = 0;
    if (k < CYG_COUNT(first)) {
        o.reserve = ocm / first[k].share;
        o.weights_ahead = first[k].weights_ahead;
        o.by_tail = first[k].by_tail != 0;
        o.slope = first[k].slope;
        return o;
    }
    switch (k % 8) {
    case 0:
        o.reserve += o.reserve / 4;
        break;
    case 1:
        o.reserve -= o.reserve / 4;
        break;
    case 2:
        o.weights_ahead += o.weights_ahead / 4 + 1;
        break;
    case 3:
        o.weights_ahead -= o.weights_ahead / 4;
        break;
    case 4:
        o.ahead = o.ahead > 2 ? 1 : 16;
        break;
    case 5:
        o.reserve += o.reserve / 8;
        o.weights_ahead += 1;
        break;
    case 6:
        o.slope = o.slope > 8 ? 8 : 12;
        break;
    default:
        o.seed = k;
        break;
    }
    o.reserve = o.reserve < ocm ? o.reserve : ocm / 2;
    return o;
}

enum { ROUND = 8 }; /* tries that start from the same best */

typedef struct search_round {
    const schedule_work *w;
    const volatile int *cancelled;
    one_try tries[ROUND];
    cyg_status status[ROUND];
} search_round;

static void run_tries(void *arg, unsigned worker, int64_t begin, int64_t end)
{
    search_round *r = arg;
    (void)worker;
    for (int64_t i = begin; i < end; i++) {
        cyg_ctx ctx; /* a context serves one thread */
        cyg_ctx_init(&ctx);
        ctx.cancelled = r->cancelled;
        r->status[i] = cyg_ctx_check_cancelled(&ctx);
        if (r->status[i] == CYG_OK)
            r->status[i] = attempt_to_fit(&ctx, r->w, &r->tries[i]);
    }
}

/* Makes a try of these options; its memory is that of an earlier one. */
static void set_try(const schedule_work *w, one_try *t, const cyg_npu_order_options *options,
                    const one_try *best)
{
    memset(t->withheld, 0, steps_of(w) * sizeof *t->withheld);
    *t = (one_try){.options = *options,
                   .withheld = t->withheld,
                   .bound = best->cycles + best->cycles / 64,
                   .program = best->program,
                   .arena = t->arena};
    t->options.withheld = t->withheld;
}

/* The two change places, so that the better one's program and memory stay. */
static void swap_tries(one_try *a, one_try *b)
{
    const one_try t = *a;
    *a = *b;
    *b = t;
}

/* best: the first try, then the best of all, whose memory is the caller's to free. */
static cyg_status search(cyg_ctx *ctx, const schedule_work *w, uint32_t tries, one_try *best,
                         cyg_arena *arena)
{
    search_round *r = CYG_NEW(arena, search_round);
    cyg_status status = CYG_OK;
    if (r == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory while scheduling");
    *r = (search_round){.w = w, .cancelled = ctx->cancelled};
    best->withheld = CYG_NEW_ARRAY(arena, uint64_t, (size_t)steps_of(w) + 1);
    bool well = best->withheld != NULL;
    for (int i = 0; i < ROUND; i++) {
        r->tries[i].withheld = CYG_NEW_ARRAY(arena, uint64_t, (size_t)steps_of(w) + 1);
        well = well && r->tries[i].withheld != NULL;
    }
    if (!well)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory while scheduling");
    best->options.withheld = best->withheld;
    status = attempt_to_fit(ctx, w, best);
    for (uint32_t k = 0; status == CYG_OK && best->fits && k < tries; k += ROUND) {
        const uint32_t count = tries - k < ROUND ? tries - k : ROUND;
        for (uint32_t i = 0; i < count; i++) {
            const cyg_npu_order_options o = vary(w->m, &best->options, k + i);
            set_try(w, &r->tries[i], &o, best);
        }
        cyg_pool_for(ctx->pool, count, 1, run_tries, r);
        for (uint32_t i = 0; i < count && status == CYG_OK; i++) {
            if (r->status[i] != CYG_OK)
                status = CYG_FAIL(ctx, r->status[i], "a try of the scheduler failed");
            else if (r->tries[i].fits && r->tries[i].cycles < best->cycles)
                swap_tries(best, &r->tries[i]);
        }
    }
    for (int i = 0; i < ROUND; i++)
        cyg_arena_deinit(&r->tries[i].arena);
    return status;
}

static cyg_status prepare(cyg_ctx *ctx, schedule_work *w, uint64_t *needs, cyg_arena *arena,
                          uint64_t *out_swap, cyg_npu_schedule_report *report)
{
    CYG_DO(cyg_npu_depend_build(ctx, w->tasks, arena, &w->depend));
    if (!find_costs(w, arena) || !find_tails(w, arena) || !find_lives(w, arena) ||
        !find_goers(w, arena) || !place_swap(w, arena, out_swap))
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory while scheduling %u tasks",
                        w->tasks->task_count);
    find_tight(w, needs, report);
    return CYG_OK;
}

static cyg_status schedule(cyg_ctx *ctx, schedule_work *w, const cyg_npu_schedule_options *options,
                           cyg_arena *scratch, cyg_arena *arena, cyg_npu_program *program,
                           cyg_npu_schedule_report *report)
{
    one_try best = {.bound = INT64_MAX,
                    .options = {.capacity = (uint64_t)w->m->ocm_bytes,
                                .reserve = (uint64_t)w->m->ocm_bytes / (w->barrier ? 4 : 8),
                                .ahead = AHEAD,
                                .weights_ahead = w->barrier ? WEIGHTS_AHEAD : 2 * WEIGHTS_AHEAD,
                                .slope = 8,
                                .barrier = w->barrier}};
    CYG_DO(prepare(ctx, w, options->needs, scratch, &program->swap_bytes, report));
    if (w->most > (uint64_t)w->m->ocm_bytes)
        return CYG_OK;
    best.program = *program;
    const cyg_status status = search(ctx, w, w->barrier ? 0 : options->tries, &best, scratch);
    if (status == CYG_OK && best.fits) {
        cyg_arena_adopt(arena, &best.arena);
        *program = best.program;
        report->fits = true;
        report->cycles = best.cycles;
        report->ocm_peak_bytes = best.peak;
        report->tries = options->tries;
    }
    cyg_arena_deinit(&best.arena);
    return status;
}

cyg_status cyg_npu_schedule(cyg_ctx *ctx, const cyg_npu_machine *m, const cyg_npu_tasks *tasks,
                            const cyg_npu_schedule_options *options, cyg_arena *arena,
                            cyg_npu_program *program, cyg_npu_schedule_report *out_report)
{
    schedule_work w = {
        .m = m, .tasks = tasks, .barrier = options->kind == CYG_NPU_SCHEDULE_BASELINE};
    cyg_arena scratch;
    cyg_arena_init(&scratch);
    *out_report = (cyg_npu_schedule_report){0};
    const cyg_status status = schedule(ctx, &w, options, &scratch, arena, program, out_report);
    cyg_arena_deinit(&scratch);
    return status;
}
