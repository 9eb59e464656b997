/* One list schedule: a walk through estimated time that hands each free engine the best task that
 * is ready and may have its memory.
 *
 * Memory. Run in list order, position p needs live[p] bytes. A buffer that begins its life early,
 * while position f is the oldest unfinished one, takes its bytes on all positions from f to its
 * first in list order too. As long as live plus these extras stay within the capacity at every
 * position to come, the task at f can always go on, so the schedule never locks up (a banker's
 * rule). The extras are kept in a segment tree: add on a range, ask for the maximum of a range.
 *
 * Choice. Either list order, which flows tiles through the steps one behind another, or the longest
 * remaining chain first. Loads of weights are ready from the beginning; how far ahead of their use
 * they may go is bounded in bytes left free and in steps. */
#include <stdlib.h>
#include <string.h>

#include "target/npu/schedule_parts.h"

/* ---- maximum over ranges
 * -----------------------------------------------------------------------------------
 */

typedef struct range_tree {
    uint32_t leaves; /* a power of two */
    int64_t *top;    /* maximum below a node, its own addition included */
    int64_t *add;    /* to everything below */
} range_tree;

/* Over the values at the leaves. */
static void tree_build(range_tree *t)
{
    for (uint32_t i = t->leaves - 1; i > 0; i--)
        t->top[i] = t->top[2 * i] > t->top[2 * i + 1] ? t->top[2 * i] : t->top[2 * i + 1];
}

static void tree_add(range_tree *t, uint32_t node, uint32_t low, uint32_t high, uint32_t begin,
                     uint32_t end, int64_t bytes)
{
    if (begin >= high || end <= low)
        return;
    if (begin <= low && high <= end) {
        t->top[node] += bytes;
        t->add[node] += bytes;
        return;
    }
    const uint32_t middle = low + (high - low) / 2;
    tree_add(t, 2 * node, low, middle, begin, end, bytes);
    tree_add(t, 2 * node + 1, middle, high, begin, end, bytes);
    const int64_t a = t->top[2 * node], b = t->top[2 * node + 1];
    t->top[node] = (a > b ? a : b) + t->add[node];
}

static int64_t tree_max(const range_tree *t, uint32_t node, uint32_t low, uint32_t high,
                        uint32_t begin, uint32_t end)
{
    if (begin >= high || end <= low)
        return INT64_MIN / 2;
    if (begin <= low && high <= end)
        return t->top[node];
    const uint32_t middle = low + (high - low) / 2;
    const int64_t a = tree_max(t, 2 * node, low, middle, begin, end),
                  b = tree_max(t, 2 * node + 1, middle, high, begin, end);
    return (a > b ? a : b) + t->add[node];
}

/* ---- heaps
 * -------------------------------------------------------------------------------------------------
 */

typedef struct heap_entry {
    int64_t key; /* smallest first */
    uint32_t id; /* then by id: no order depends on chance */
} heap_entry;

typedef struct heap {
    heap_entry *entries;
    uint32_t count;
    bool stuck; /* its best were refused; nothing new came, and the oldest task is the same */
} heap;

static bool before(const heap_entry *a, const heap_entry *b)
{
    return a->key != b->key ? a->key < b->key : a->id < b->id;
}

static void heap_push(heap *h, int64_t key, uint32_t id)
{
    uint32_t at = h->count++;
    const heap_entry e = {key, id};
    while (at > 0 && before(&e, &h->entries[(at - 1) / 2])) {
        h->entries[at] = h->entries[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    h->entries[at] = e;
    h->stuck = false;
}

static heap_entry heap_pop(heap *h)
{
    const heap_entry result = h->entries[0], e = h->entries[--h->count];
    uint32_t at = 0;
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= h->count)
            break;
        if (child + 1 < h->count && before(&h->entries[child + 1], &h->entries[child]))
            child++;
        if (!before(&h->entries[child], &e))
            break;
        h->entries[at] = h->entries[child];
        at = child;
    }
    if (h->count > 0)
        h->entries[at] = e;
    return result;
}

/* ---- the walk
 * ----------------------------------------------------------------------------------------------
 */

enum {
    LOOKED_AT = 8, /* candidates that an engine may pass over for want of memory */
    FRACTION = 16, /* bits of a byte's fraction */
};

typedef struct order_walk {
    const cyg_npu_machine *m;
    const cyg_npu_tasks *tasks;
    const cyg_npu_depend *depend;
    const cyg_npu_load *load;
    const cyg_npu_order_options *options;
    cyg_npu_order *order;
    uint32_t n, issued, frontier; /* frontier: the oldest unfinished position */
    uint32_t engines;
    cyg_npu_engine engine[CYG_NPU_MAX_ENGINES];
    bool busy[CYG_NPU_MAX_ENGINES];
    int64_t *key;
    uint32_t *missing; /* by position: unfinished predecessors */
    int64_t *ready_at;
    uint8_t *finished;  /* by position */
    uint8_t *taken;     /* by position: issued; a heap may hold it still */
    uint8_t *allocated; /* by buffer */
    uint32_t *touchers; /* by buffer: unfinished ones */
    range_tree tree;
    heap ready[CYG_NPU_ENGINE_KINDS]; /* by key */
    heap loads;                       /* of weights, by key */
    heap waking;                      /* by time: tasks whose predecessors are done */
    heap running;                     /* by end; a transfer: by when its first byte moves */
    heap moving;                      /* transfers, by `moved` at their end */
    int64_t now;
    int64_t rate_all, rate_one; /* bytes << FRACTION a cycle: the DDR, one transfer */
    int64_t moved;              /* bytes << FRACTION that each transfer in flight since the
                                   beginning would have moved */
    /* Baseline: stages are numbered as they come in the list. */
    uint32_t *stage_of;    /* by position */
    uint32_t *stage_tasks; /* by stage: unfinished tasks */
    uint32_t *stage_step;  /* by stage */
    uint32_t stage, stages;
} order_walk;

static uint32_t step_of(const order_walk *w, uint32_t u)
{
    return w->tasks->tasks[u].step;
}

static cyg_npu_engine_kind kind_of(const order_walk *w, uint32_t u)
{
    return cyg_npu_op_info_of(w->tasks->tasks[u].op)->engine;
}

static bool may_by_step(const order_walk *w, uint32_t u)
{
    const uint32_t step = step_of(w, u);
    if (w->options->barrier)
        return w->stage_of[u] == w->stage ||
               (w->load->is_load[u] && step - w->stage_step[w->stage] <= w->options->weights_ahead);
    const uint32_t oldest = w->frontier < w->n ? step_of(w, w->frontier) : step;
    const uint32_t ahead = w->load->is_load[u] ? w->options->weights_ahead : w->options->ahead;
    return step <= oldest || step - oldest <= ahead;
}

/* Whether the buffers that u begins fit beside `more` bytes, which grow by theirs. Of several
 * buffers the ranges differ: the widest is assumed for all. */
static bool begins(const order_walk *w, uint32_t u, int64_t capacity, int64_t *more)
{
    for (uint32_t i = w->depend->touch_at[u]; i < w->depend->touch_at[u + 1]; i++) {
        const uint32_t b = w->depend->touched[i];
        if (w->allocated[b] || w->load->room[b] == 0 || w->load->first[b] <= w->frontier)
            continue;
        *more += (int64_t)w->load->room[b];
        const int64_t most =
            tree_max(&w->tree, 1, 0, w->tree.leaves, w->frontier, w->load->first[b]);
        if (most + *more > capacity)
            return false;
    }
    return true;
}

/* The first task that goes on with what u leaves in tile buffers, and the first behind that: what
 * they begin must fit too, or tiles pile up in front of a task that never gets its memory. */
static bool goer_fits(const order_walk *w, uint32_t u, int64_t capacity, int64_t *more, int depth)
{
    for (uint32_t i = w->depend->succ_at[u]; i < w->depend->succ_at[u + 1]; i++) {
        const uint32_t s = w->depend->succs[i];
        if (w->load->goes_on[s] && step_of(w, s) == step_of(w, u))
            return begins(w, s, capacity, more) &&
                   (depth == 1 || goer_fits(w, s, capacity, more, depth - 1));
    }
    return true;
}

/* Whether the buffers that u begins fit beside all that is promised. */
static bool may_by_memory(const order_walk *w, uint32_t u)
{
    enum { CHAIN = 2 }; /* tasks behind one, at most: attention's */
    const bool far =
        w->load->is_load[u] && w->frontier < w->n && step_of(w, u) > step_of(w, w->frontier) + 1;
    const int64_t capacity = (int64_t)(w->options->capacity - (far ? w->options->reserve : 0));
    int64_t more = 0;
    if (!begins(w, u, capacity, &more))
        return false;
    return w->load->is_load[u] || w->load->goes_on[u] || more == 0 ||
           goer_fits(w, u, capacity, &more, CHAIN);
}

static void allocate(order_walk *w, uint32_t u)
{
    for (uint32_t i = w->depend->touch_at[u]; i < w->depend->touch_at[u + 1]; i++) {
        const uint32_t b = w->depend->touched[i];
        if (w->allocated[b])
            continue;
        w->allocated[b] = 1;
        if (w->load->room[b] > 0 && w->load->first[b] > w->frontier)
            tree_add(&w->tree, 1, 0, w->tree.leaves, w->frontier, w->load->first[b],
                     (int64_t)w->load->room[b]);
    }
}

/* Buffers that u was the last to touch take no more bytes, at no position to come: neither what
 * they took early nor what the list counts for them. */
static void release(order_walk *w, uint32_t u)
{
    for (uint32_t i = w->depend->touch_at[u]; i < w->depend->touch_at[u + 1]; i++) {
        const uint32_t b = w->depend->touched[i], end = w->load->last[b] + 1;
        if (--w->touchers[b] > 0 || w->load->room[b] == 0 || end <= w->frontier)
            continue;
        tree_add(&w->tree, 1, 0, w->tree.leaves, w->frontier, end, -(int64_t)w->load->room[b]);
        for (int k = 0; k < CYG_NPU_ENGINE_KINDS; k++)
            w->ready[k].stuck = false;
        w->loads.stuck = false;
    }
}

static void issue(order_walk *w, uint32_t u, uint32_t engine)
{
    allocate(w, u);
    w->taken[u] = 1;
    w->order->sequence[w->issued++] = u;
    w->order->engine[u] = (uint16_t)engine;
    w->order->start[u] = w->now;
    w->busy[engine] = true;
    /* at least one cycle: a buffer alive for none would keep no place */
    const cyg_npu_cost *cost = &w->load->costs[u];
    heap_push(&w->running, w->now + (cost->cycles > 0 ? cost->cycles : 1), u);
}

/* What each transfer in flight moves a cycle: they share the DDR evenly, as in the cycle model. */
static int64_t rate_of(const order_walk *w)
{
    const int64_t even = w->moving.count == 0 ? w->rate_all : w->rate_all / w->moving.count;
    return even < w->rate_one ? even : w->rate_one;
}

/* u has its engine no longer, unless what remains of it is bytes to move. */
static void finish(order_walk *w, uint32_t u);
static void end_cycles(order_walk *w, uint32_t u)
{
    if (w->load->costs[u].ddr_bytes > 0)
        heap_push(&w->moving, w->moved + (w->load->costs[u].ddr_bytes << FRACTION), u);
    else
        finish(w, u);
}

/* The best task of a heap that may go now, or the number of tasks. Those passed over go back. */
static uint32_t choose(order_walk *w, heap *h)
{
    heap_entry passed[LOOKED_AT];
    uint32_t count = 0, found = w->n;
    if (h->stuck)
        return found;
    while (h->count > 0 && count < LOOKED_AT && found == w->n) {
        const heap_entry e = heap_pop(h);
        if (w->taken[e.id])
            continue;
        if (may_by_step(w, e.id) && may_by_memory(w, e.id))
            found = e.id;
        else
            passed[count++] = e;
    }
    for (uint32_t i = 0; i < count; i++)
        heap_push(h, passed[i].key, passed[i].id);
    h->stuck = found == w->n; /* until memory comes free or the oldest task is done */
    return found;
}

static void fill_engines(order_walk *w)
{
    for (uint32_t e = 0; e < w->engines; e++) {
        if (w->busy[e])
            continue;
        const cyg_npu_engine_kind kind = w->engine[e].kind;
        uint32_t u = choose(w, &w->ready[kind]);
        if (u == w->n && kind == CYG_NPU_SDMA)
            u = choose(w, &w->loads);
        else if (u != w->n && kind == CYG_NPU_SDMA && w->loads.count > 0) {
            /* a move waits for no weights but for those that are needed before it */
            const heap_entry first = w->loads.entries[0];
            if (!w->loads.stuck && !w->taken[first.id] && first.key < w->key[u] &&
                may_by_step(w, first.id) && may_by_memory(w, first.id)) {
                heap_push(&w->ready[kind], w->key[u], u);
                u = heap_pop(&w->loads).id;
            }
        }
        if (u != w->n)
            issue(w, u, e);
    }
}

/* Nothing runs and nothing was chosen: the oldest unfinished task is ready (all before it are done)
 * and its memory was promised, but it stood behind too many others. */
static void force_oldest(order_walk *w)
{
    if (w->running.count > 0 || w->moving.count > 0 || w->waking.count > 0 || w->frontier >= w->n ||
        w->taken[w->frontier])
        return;
    for (uint32_t e = 0; e < w->engines; e++)
        if (w->engine[e].kind == kind_of(w, w->frontier)) {
            issue(w, w->frontier, e);
            return;
        }
}

static void finish(order_walk *w, uint32_t u)
{
    const uint32_t engine = w->order->engine[u];
    w->order->end[u] = w->now;
    w->busy[engine] = false;
    w->finished[u] = 1;
    if (u == w->frontier)
        for (int k = 0; k < CYG_NPU_ENGINE_KINDS; k++)
            w->ready[k].stuck = false;
    if (u == w->frontier)
        w->loads.stuck = false;
    while (w->frontier < w->n && w->finished[w->frontier])
        w->frontier++;
    release(w, u);
    for (uint32_t i = w->depend->succ_at[u]; i < w->depend->succ_at[u + 1]; i++) {
        const uint32_t s = w->depend->succs[i];
        const int64_t wait = kind_of(w, s) == w->engine[engine].kind ? 0 : w->m->wait;
        if (w->now + wait > w->ready_at[s])
            w->ready_at[s] = w->now + wait;
        if (--w->missing[s] == 0)
            heap_push(&w->waking, w->ready_at[s], s);
    }
    if (!w->options->barrier)
        return;
    w->stage_tasks[w->stage_of[u]]--;
    while (w->stage + 1 < w->stages && w->stage_tasks[w->stage] == 0)
        w->stage++;
}

static void wake(order_walk *w, uint32_t u)
{
    heap *h = w->load->is_load[u] ? &w->loads : &w->ready[kind_of(w, u)];
    heap_push(h, w->key[u], u);
}

/* Everything that happens at the next moment at which something happens. */
static bool advance(order_walk *w)
{
    const int64_t rate = rate_of(w);
    int64_t next = INT64_MAX;
    if (w->running.count > 0)
        next = w->running.entries[0].key;
    if (w->waking.count > 0 && w->waking.entries[0].key < next)
        next = w->waking.entries[0].key;
    if (w->moving.count > 0) {
        const int64_t left = w->moving.entries[0].key - w->moved;
        const int64_t end = w->now + (left > 0 ? left / rate + (left % rate != 0) : 0);
        next = end < next ? end : next;
    }
    if (next == INT64_MAX)
        return false;
    next = next > w->now ? next : w->now;
    if (w->moving.count > 0)
        w->moved += (next - w->now) * rate;
    w->now = next;
    while (w->moving.count > 0 && w->moving.entries[0].key <= w->moved)
        finish(w, heap_pop(&w->moving).id);
    while (w->running.count > 0 && w->running.entries[0].key <= w->now)
        end_cycles(w, heap_pop(&w->running).id);
    while (w->waking.count > 0 && w->waking.entries[0].key <= w->now)
        wake(w, heap_pop(&w->waking).id);
    return true;
}

/* By position: how much of its step's list is in front of it, in 65,536ths. */
static uint32_t *find_progress(const order_walk *w, cyg_arena *arena)
{
    uint32_t *progress = CYG_NEW_ARRAY(arena, uint32_t, (size_t)w->n + 1);
    for (uint32_t first = 0, end; progress != NULL && first < w->n; first = end) {
        for (end = first; end < w->n && step_of(w, end) == step_of(w, first); end++)
            ;
        for (uint32_t u = first; u < end; u++)
            progress[u] = (uint32_t)(((uint64_t)(u - first) << 16) / (end - first));
    }
    return progress;
}

/* Smaller is sooner. In list order a step's tasks follow those of the step before it; with a slope
 * they begin when these are partly done, so that tiles go on through the steps while others follow,
 * and no engine waits for the last tile of a step that keeps another one busy. A tile that has
 * begun goes on before others begin, two steps' worth: it holds buffers. Random stretching is a
 * hash of seed and position: the same on every machine. */
static void make_keys(order_walk *w, const uint32_t *progress)
{
    for (uint32_t u = 0; u < w->n; u++) {
        const uint32_t slope = w->load->is_load[u] ? 8 : w->options->slope;
        int64_t key = w->options->by_tail
                          ? -w->load->tail[u]
                          : ((int64_t)step_of(w, u) << 16) + (int64_t)progress[u] * slope / 8;
        if (w->load->goes_on[u] && !w->options->by_tail)
            key -= 2 << 16;
        if (w->options->seed != 0) {
            uint64_t h = ((uint64_t)w->options->seed << 32 | u) * UINT64_C(0x9e3779b97f4a7c15);
            h ^= h >> 29;
            h *= UINT64_C(0xbf58476d1ce4e5b9);
            const int64_t part = (int64_t)(h >> 56); /* 0..255 */
            key += w->options->by_tail ? -(w->load->tail[u] / 2048) * part : part * 128;
        }
        w->key[u] = key;
    }
}

static bool open_walk(order_walk *w, cyg_arena *arena)
{
    const uint32_t n = w->n;
    w->tree.leaves = 1;
    while (w->tree.leaves < n + 1)
        w->tree.leaves *= 2;
    w->key = CYG_NEW_ARRAY(arena, int64_t, (size_t)n + 1);
    w->missing = CYG_NEW_ARRAY(arena, uint32_t, (size_t)n + 1);
    w->ready_at = CYG_NEW_ARRAY(arena, int64_t, (size_t)n + 1);
    w->finished = CYG_NEW_ARRAY(arena, uint8_t, (size_t)n + 1);
    w->taken = CYG_NEW_ARRAY(arena, uint8_t, (size_t)n + 1);
    w->allocated = CYG_NEW_ARRAY(arena, uint8_t, (size_t)w->tasks->buffer_count + 1);
    w->touchers = CYG_NEW_ARRAY(arena, uint32_t, (size_t)w->tasks->buffer_count + 1);
    w->tree.top = CYG_NEW_ARRAY(arena, int64_t, 2 * (size_t)w->tree.leaves);
    w->tree.add = CYG_NEW_ARRAY(arena, int64_t, 2 * (size_t)w->tree.leaves);
    w->stage_of = CYG_NEW_ARRAY(arena, uint32_t, (size_t)n + 1);
    w->stage_tasks = CYG_NEW_ARRAY(arena, uint32_t, (size_t)n + 1);
    w->stage_step = CYG_NEW_ARRAY(arena, uint32_t, (size_t)n + 1);
    w->loads.entries = CYG_NEW_ARRAY(arena, heap_entry, (size_t)n + 1);
    w->waking.entries = CYG_NEW_ARRAY(arena, heap_entry, (size_t)n + 1);
    w->running.entries = CYG_NEW_ARRAY(arena, heap_entry, (size_t)n + 1);
    w->moving.entries = CYG_NEW_ARRAY(arena, heap_entry, (size_t)n + 1);
    for (int k = 0; k < CYG_NPU_ENGINE_KINDS; k++) {
        w->ready[k].entries = CYG_NEW_ARRAY(arena, heap_entry, (size_t)n + 1);
        if (w->ready[k].entries == NULL)
            return false;
    }
    return w->key != NULL && w->missing != NULL && w->ready_at != NULL && w->finished != NULL &&
           w->taken != NULL && w->allocated != NULL && w->touchers != NULL && w->tree.top != NULL &&
           w->tree.add != NULL && w->stage_of != NULL && w->stage_tasks != NULL &&
           w->stage_step != NULL && w->loads.entries != NULL && w->waking.entries != NULL &&
           w->running.entries != NULL && w->moving.entries != NULL;
}

static void begin(order_walk *w, const uint32_t *progress)
{
    make_keys(w, progress);
    for (uint32_t u = 0; u < w->n; u++) {
        w->tree.top[w->tree.leaves + u] = (int64_t)w->load->live[u];
        if (w->options->withheld != NULL)
            w->tree.top[w->tree.leaves + u] += (int64_t)w->options->withheld[step_of(w, u)];
    }
    tree_build(&w->tree);
    for (uint32_t i = 0; i < w->depend->touch_at[w->n]; i++)
        w->touchers[w->depend->touched[i]]++;
    for (uint32_t u = 0; u < w->n; u++) {
        if (u > 0 &&
            cyg_npu_stage_of(&w->tasks->tasks[u]) != cyg_npu_stage_of(&w->tasks->tasks[u - 1]))
            w->stages++;
        w->stage_of[u] = w->stages;
        w->stage_step[w->stages] = step_of(w, u);
        w->stage_tasks[w->stages]++;
        w->missing[u] = w->depend->pred_at[u + 1] - w->depend->pred_at[u];
        if (w->missing[u] == 0)
            wake(w, u);
    }
    w->stages++;
}

cyg_status cyg_npu_order_make(cyg_ctx *ctx, const cyg_npu_machine *m, const cyg_npu_tasks *tasks,
                              const cyg_npu_depend *depend, const cyg_npu_load *load,
                              const cyg_npu_order_options *options, cyg_arena *arena,
                              cyg_npu_order *out_order)
{
    order_walk *w = CYG_NEW(arena, order_walk);
    const uint32_t n = tasks->task_count;
    *out_order = (cyg_npu_order){.sequence = CYG_NEW_ARRAY(arena, uint32_t, (size_t)n + 1),
                                 .engine = CYG_NEW_ARRAY(arena, uint16_t, (size_t)n + 1),
                                 .start = CYG_NEW_ARRAY(arena, int64_t, (size_t)n + 1),
                                 .end = CYG_NEW_ARRAY(arena, int64_t, (size_t)n + 1)};
    if (w == NULL || out_order->sequence == NULL || out_order->engine == NULL ||
        out_order->start == NULL || out_order->end == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory while ordering %u tasks", n);
    *w = (order_walk){.m = m, .tasks = tasks, .depend = depend, .load = load, .options = options};
    w->order = out_order;
    w->n = n;
    w->engines = cyg_npu_engine_count(m);
    w->rate_all = (int64_t)(m->ddr_bytes * (1 << FRACTION));
    w->rate_one = (int64_t)(m->ddr_stream_bytes * (1 << FRACTION));
    for (uint32_t e = 0; e < w->engines; e++)
        w->engine[e] = cyg_npu_engine_at(m, e);
    const uint32_t *progress = find_progress(w, arena);
    if (progress == NULL || !open_walk(w, arena))
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory while ordering %u tasks", n);
    begin(w, progress);
    do {
        fill_engines(w);
        force_oldest(w);
    } while (advance(w));
    out_order->cycles = w->now;
    if (w->issued != n)
        return CYG_FAIL(ctx, CYG_E_INTERNAL,
                        "the schedule stops after %u of %u tasks: step %u waits for memory",
                        w->issued, n, step_of(w, w->frontier));
    return CYG_OK;
}
