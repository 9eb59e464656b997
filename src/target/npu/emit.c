/* Instructions from an ordered, placed list of tasks: addresses filled in, waits found.
 *
 * A task waits for its predecessors and for all that touched what lay in its buffers' places
 * before. What that needs is one number an engine: how many of its instructions must have finished.
 * Each instruction's knowledge (how many of every engine's are finished when it starts: those of
 * its predecessor on the same engine, and of all that it waits for) is kept as a vector clock, and
 * a wait that the others imply is left out. */
#include <stdlib.h>
#include <string.h>

#include "target/npu/schedule_parts.h"

enum { CELL = 64, NOBODY = 0 };

typedef struct emit_work {
    const cyg_npu_machine *m;
    const cyg_npu_tasks *tasks;
    const cyg_npu_depend *depend;
    const cyg_npu_load *load;
    const cyg_npu_order *order;
    const uint64_t *addresses;
    uint32_t engines;
    uint32_t *knows;  /* [index][engine], at the end of the instruction */
    uint32_t *place;  /* by position: number in its engine's queue */
    uint32_t **queue; /* [engine][number]: index */
    uint32_t count[CYG_NPU_MAX_ENGINES];
    uint32_t *touched; /* [buffer][engine]: instructions that must have finished for all its
                          touchers to have */
    uint8_t *moved_in; /* by buffer: its cells are taken */
    uint32_t
        *before; /* [buffer][engine]: what must have finished before the buffer's place is free */
    uint32_t *cells; /* by 64 bytes of OCM: the last buffer + 1 that lay there */
    uint64_t cell_count;
    /* Baseline: of each engine's queue, up to the last that is no load of weights, now and at the
     * end of the last finished stage. The next one waits for no weights but its own. */
    uint32_t done[CYG_NPU_MAX_ENGINES], step_end[CYG_NPU_MAX_ENGINES];
    uint64_t stage; /* baseline: the present one */
} emit_work;

/* The buffer takes its place: what was there must be done with. */
static void move_in(emit_work *w, uint32_t b)
{
    const uint64_t first = w->addresses[b] / CELL, cells = (w->load->room[b] + CELL - 1) / CELL;
    uint32_t *need = &w->before[(size_t)b * w->engines];
    uint32_t last = NOBODY;
    for (uint64_t c = first; c < first + cells; c++) {
        const uint32_t tenant = w->cells[c];
        w->cells[c] = b + 1;
        if (tenant == NOBODY || tenant == last)
            continue;
        last = tenant;
        const uint32_t *done = &w->touched[(size_t)(tenant - 1) * w->engines];
        for (uint32_t e = 0; e < w->engines; e++)
            need[e] = done[e] > need[e] ? done[e] : need[e];
    }
    w->moved_in[b] = 1;
}

static void raise(uint32_t *need, uint32_t engine, uint32_t count)
{
    if (count > need[engine])
        need[engine] = count;
}

static void gather_needs(emit_work *w, uint32_t u, bool barrier, uint32_t *need)
{
    for (uint32_t i = w->depend->pred_at[u]; i < w->depend->pred_at[u + 1]; i++) {
        const uint32_t p = w->depend->preds[i];
        raise(need, w->order->engine[p], w->place[p] + 1);
    }
    for (uint32_t i = w->depend->touch_at[u]; i < w->depend->touch_at[u + 1]; i++) {
        const uint32_t b = w->depend->touched[i];
        if (w->load->room[b] == 0)
            continue;
        if (!w->moved_in[b])
            move_in(w, b);
        for (uint32_t e = 0; e < w->engines; e++)
            raise(need, e, w->before[(size_t)b * w->engines + e]);
    }
    if (barrier && cyg_npu_stage_of(&w->tasks->tasks[u]) == w->stage)
        for (uint32_t e = 0; e < w->engines; e++)
            raise(need, e, w->step_end[e]);
}

/* Waits that are not implied, latest first: the later an instruction starts, the more it knows. */
static uint32_t choose_waits(const emit_work *w, uint32_t own, const uint32_t *need,
                             uint32_t *knows, cyg_npu_wait *waits)
{
    uint32_t count = 0;
    bool done[CYG_NPU_MAX_ENGINES] = {0};
    for (;;) {
        uint32_t best = w->engines, best_index = 0;
        for (uint32_t e = 0; e < w->engines; e++) {
            if (done[e] || e == own || need[e] <= knows[e])
                continue;
            const uint32_t i = w->queue[e][need[e] - 1];
            if (best == w->engines || i > best_index) {
                best = e;
                best_index = i;
            }
        }
        if (best == w->engines)
            return count;
        done[best] = true;
        waits[count++] = (cyg_npu_wait){best, need[best]};
        const uint32_t *theirs = &w->knows[(size_t)best_index * w->engines];
        for (uint32_t e = 0; e < w->engines; e++)
            knows[e] = theirs[e] > knows[e] ? theirs[e] : knows[e];
    }
}

static bool copy_operands(const emit_work *w, const cyg_npu_task *t, cyg_arena *arena,
                          cyg_npu_instr *out)
{
    const uint32_t count = (uint32_t)t->in_count + t->out_count;
    cyg_npu_view *views = CYG_NEW_ARRAY(arena, cyg_npu_view, count + 1);
    if (views == NULL)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        const cyg_npu_operand *o = &t->operands[i];
        views[i] = o->view;
        if (o->buffer == CYG_NPU_NO_BUFFER)
            continue;
        const cyg_npu_buffer *b = &w->tasks->buffers[o->buffer];
        const bool placed = b->space == CYG_NPU_OCM || b->space == CYG_NPU_SWAP;
        views[i].space = b->space;
        views[i].buffer = b->space == CYG_NPU_IO ? b->io : 0;
        views[i].offset += placed ? w->addresses[o->buffer] : b->address;
    }
    out->operands = views;
    return true;
}

static bool emit_one(emit_work *w, uint32_t i, bool barrier, cyg_arena *arena, cyg_npu_instr *out)
{
    const uint32_t u = w->order->sequence[i], own = w->order->engine[u];
    const cyg_npu_task *t = &w->tasks->tasks[u];
    uint32_t need[CYG_NPU_MAX_ENGINES] = {0};
    cyg_npu_wait waits[CYG_NPU_MAX_ENGINES];
    if (barrier && cyg_npu_stage_of(t) > w->stage && !w->load->is_load[u]) {
        memcpy(w->step_end, w->done, sizeof w->step_end);
        w->stage = cyg_npu_stage_of(t);
    }
    gather_needs(w, u, barrier, need);
    uint32_t *knows = &w->knows[(size_t)i * w->engines];
    if (w->count[own] > 0)
        memcpy(knows, &w->knows[(size_t)w->queue[own][w->count[own] - 1] * w->engines],
               w->engines * sizeof *knows);
    *out = (cyg_npu_instr){.op = t->op,
                           .engine = (uint16_t)own,
                           .in_count = t->in_count,
                           .out_count = t->out_count,
                           .params = t->params,
                           .params_size = t->params_size,
                           .step = t->step,
                           .tile = t->tile};
    out->wait_count = choose_waits(w, own, need, knows, waits);
    if (out->wait_count > 0 &&
        (out->waits = cyg_arena_memdup(arena, waits, out->wait_count * sizeof *waits)) == NULL)
        return false;
    w->place[u] = w->count[own];
    w->queue[own][w->count[own]++] = i;
    knows[own] = w->count[own];
    if (!w->load->is_load[u])
        w->done[own] = w->count[own];
    for (uint32_t k = w->depend->touch_at[u]; k < w->depend->touch_at[u + 1]; k++)
        w->touched[(size_t)w->depend->touched[k] * w->engines + own] = w->count[own];
    return copy_operands(w, t, arena, out);
}

static bool open_work(emit_work *w, uint64_t ocm_bytes, cyg_arena *arena)
{
    const size_t n = w->tasks->task_count, buffers = w->tasks->buffer_count;
    uint32_t lengths[CYG_NPU_MAX_ENGINES] = {0};
    for (uint32_t u = 0; u < n; u++)
        lengths[w->order->engine[u]]++;
    w->cell_count = (ocm_bytes + CELL - 1) / CELL;
    w->knows = CYG_NEW_ARRAY(arena, uint32_t, (n + 1) * w->engines);
    w->place = CYG_NEW_ARRAY(arena, uint32_t, n + 1);
    w->queue = CYG_NEW_ARRAY(arena, uint32_t *, w->engines);
    w->touched = CYG_NEW_ARRAY(arena, uint32_t, (buffers + 1) * w->engines);
    w->before = CYG_NEW_ARRAY(arena, uint32_t, (buffers + 1) * w->engines);
    w->moved_in = CYG_NEW_ARRAY(arena, uint8_t, buffers + 1);
    w->cells = CYG_NEW_ARRAY(arena, uint32_t, w->cell_count + 1);
    if (w->knows == NULL || w->place == NULL || w->queue == NULL || w->touched == NULL ||
        w->before == NULL || w->moved_in == NULL || w->cells == NULL)
        return false;
    for (uint32_t e = 0; e < w->engines; e++)
        if ((w->queue[e] = CYG_NEW_ARRAY(arena, uint32_t, (size_t)lengths[e] + 1)) == NULL)
            return false;
    return true;
}

/* Taps as the program has them: places for buffers. */
static bool emit_taps(const emit_work *w, cyg_arena *arena, cyg_npu_program *program)
{
    const uint32_t count = w->tasks->tap_count, n = w->tasks->task_count;
    cyg_npu_tap *taps = CYG_NEW_ARRAY(arena, cyg_npu_tap, (size_t)count + 1);
    uint32_t *tap_of = CYG_NEW_ARRAY(arena, uint32_t, (size_t)n + 1);
    if (taps == NULL || tap_of == NULL)
        return false;
    for (uint32_t k = 0; k < count; k++) {
        const cyg_npu_task_tap *t = &w->tasks->taps[k];
        const cyg_npu_buffer *b = &w->tasks->buffers[t->buffer];
        const bool placed = b->space == CYG_NPU_OCM || b->space == CYG_NPU_SWAP;
        taps[k] = (cyg_npu_tap){.step = t->step,
                                .output = t->output,
                                .space = b->space,
                                .buffer = b->space == CYG_NPU_IO ? b->io : 0,
                                .offset = placed ? w->addresses[t->buffer] : b->address,
                                .bytes = t->bytes};
    }
    for (uint32_t i = 0; i < n; i++)
        tap_of[i] = w->tasks->tasks[w->order->sequence[i]].tap;
    program->taps = taps;
    program->tap_of = tap_of;
    program->tap_count = count;
    return true;
}

cyg_status cyg_npu_emit(cyg_ctx *ctx, const cyg_npu_machine *m, const cyg_npu_tasks *tasks,
                        const cyg_npu_depend *depend, const cyg_npu_load *load,
                        const cyg_npu_order *order, const uint64_t *addresses, bool barrier,
                        cyg_arena *arena, cyg_npu_program *program)
{
    const uint32_t n = tasks->task_count;
    cyg_arena scratch;
    cyg_arena_init(&scratch);
    emit_work *w = CYG_NEW(&scratch, emit_work);
    cyg_npu_instr *instrs = CYG_NEW_ARRAY(arena, cyg_npu_instr, (size_t)n + 1);
    bool well = w != NULL && instrs != NULL;
    if (well) {
        *w = (emit_work){.m = m, .tasks = tasks, .depend = depend, .load = load};
        w->order = order;
        w->addresses = addresses;
        w->engines = cyg_npu_engine_count(m);
        well = open_work(w, program->ocm_bytes, &scratch);
    }
    for (uint32_t i = 0; well && i < n; i++)
        well = emit_one(w, i, barrier, arena, &instrs[i]);
    well = well && emit_taps(w, arena, program);
    cyg_arena_deinit(&scratch);
    if (!well)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory for %u instructions", n);
    program->instrs = instrs;
    program->instr_count = n;
    return CYG_OK;
}
