/* Dependences between tasks, read off the rectangles that they touch: a task depends on every
 * earlier one that wrote what it reads or writes, or read what it writes. Only the latest matter,
 * so an access that a later write covers whole is forgotten: whoever comes after depends on that
 * write, and the write on it. A buffer that many tasks touch keeps its accesses by bands of rows,
 * so that a tile is compared with those of about its rows, not with all tiles of two steps. */
#include <stdlib.h>
#include <string.h>

#include "target/npu/schedule_parts.h"

typedef struct access_entry {
    uint32_t task;
    bool is_write;
    const cyg_npu_rect *rects; /* NULL = the whole buffer */
    uint32_t rect_count;
} access_entry;

typedef struct access_list {
    access_entry *entries;
    uint32_t count, cap;
} access_list;

enum {
    MOST_BANDS = 256,
    BAND_ACCESSES = 16, /* about as many accesses make a band worth its while */
};

typedef struct id_list {
    uint32_t *ids;
    uint32_t count, cap;
} id_list;

static bool push_id(id_list *list, uint32_t id)
{
    if (list->count == list->cap) {
        const uint32_t cap = list->cap == 0 ? 4096 : list->cap * 2;
        uint32_t *ids = cap > list->cap ? realloc(list->ids, (size_t)cap * sizeof *ids) : NULL;
        if (ids == NULL)
            return false;
        list->ids = ids;
        list->cap = cap;
    }
    list->ids[list->count++] = id;
    return true;
}

static bool push_access(access_list *list, const access_entry *entry)
{
    if (list->count == list->cap) {
        const uint32_t cap = list->cap == 0 ? 8 : list->cap * 2;
        access_entry *entries =
            cap > list->cap ? realloc(list->entries, (size_t)cap * sizeof *entries) : NULL;
        if (entries == NULL)
            return false;
        list->entries = entries;
        list->cap = cap;
    }
    list->entries[list->count++] = *entry;
    return true;
}

static bool meet(const cyg_npu_rect *a, const cyg_npu_rect *b)
{
    return a->row < b->row + b->rows && b->row < a->row + a->rows && a->byte < b->byte + b->bytes &&
           b->byte < a->byte + a->bytes;
}

static bool inside(const cyg_npu_rect *a, const cyg_npu_rect *b)
{
    return a->row >= b->row && a->row + a->rows <= b->row + b->rows && a->byte >= b->byte &&
           a->byte + a->bytes <= b->byte + b->bytes;
}

static bool overlap(const access_entry *a, const access_entry *b)
{
    if (a->rects == NULL || b->rects == NULL)
        return true;
    for (uint32_t i = 0; i < a->rect_count; i++)
        for (uint32_t k = 0; k < b->rect_count; k++)
            if (meet(&a->rects[i], &b->rects[k]))
                return true;
    return false;
}

/* Every rectangle of a lies inside one of b. */
static bool covered(const access_entry *a, const access_entry *b)
{
    if (b->rects == NULL)
        return true;
    if (a->rects == NULL)
        return false;
    for (uint32_t i = 0; i < a->rect_count; i++) {
        uint32_t k = 0;
        while (k < b->rect_count && !inside(&a->rects[i], &b->rects[k]))
            k++;
        if (k == b->rect_count)
            return false;
    }
    return true;
}

typedef struct depend_work {
    const cyg_npu_buffer *buffers;
    uint32_t *band_at; /* by buffer: its bands are bands[band_at[b]] .. bands[band_at[b + 1] - 1] */
    access_list *bands; /* an access is in each band whose rows it touches */
    uint32_t band_count;
    uint32_t *marked;  /* by task: the last task + 1 that an edge to was noted for */
    uint32_t *touched; /* by buffer: likewise */
    id_list preds, touches;
} depend_work;

static bool is_followed(const cyg_npu_tasks *tasks, const cyg_npu_operand *o)
{
    if (o->buffer == CYG_NPU_NO_BUFFER)
        return false;
    const uint8_t space = tasks->buffers[o->buffer].space;
    return space == CYG_NPU_OCM || space == CYG_NPU_SWAP || space == CYG_NPU_IO;
}

static uint64_t rows_of(const cyg_npu_buffer *b)
{
    const uint64_t rows = b->bytes / b->pitch + (b->bytes % b->pitch != 0);
    return rows > 0 ? rows : 1;
}

/* As many bands as the buffer has accesses for. */
static bool open_bands(depend_work *w, const cyg_npu_tasks *tasks)
{
    w->buffers = tasks->buffers;
    w->band_at = calloc((size_t)tasks->buffer_count + 1, sizeof *w->band_at);
    if (w->band_at == NULL)
        return false;
    for (uint32_t u = 0; u < tasks->task_count; u++) {
        const cyg_npu_task *t = &tasks->tasks[u];
        for (uint32_t i = 0; i < (uint32_t)t->in_count + t->out_count; i++)
            if (is_followed(tasks, &t->operands[i]))
                w->band_at[t->operands[i].buffer]++;
    }
    for (uint32_t b = 0; b < tasks->buffer_count; b++) {
        const uint64_t rows = rows_of(&tasks->buffers[b]);
        uint32_t bands = w->band_at[b] / BAND_ACCESSES + 1;
        bands = bands < MOST_BANDS ? bands : MOST_BANDS;
        bands = bands < rows ? bands : (uint32_t)rows;
        w->band_at[b] = w->band_count;
        w->band_count += bands;
    }
    w->band_at[tasks->buffer_count] = w->band_count;
    w->bands = calloc((size_t)w->band_count + 1, sizeof *w->bands);
    return w->bands != NULL;
}

/* The edges of an access to one band, then the access itself. */
static bool note_in_band(depend_work *w, access_list *list, const access_entry *mine)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < list->count; i++) {
        const access_entry *e = &list->entries[i];
        bool forget = false;
        if (e->task != mine->task && (mine->is_write || e->is_write)) {
            bool meets = w->marked[e->task] == mine->task + 1;
            if (!meets && overlap(e, mine)) {
                if (!push_id(&w->preds, e->task))
                    return false;
                w->marked[e->task] = mine->task + 1;
                meets = true;
            }
            forget = meets && mine->is_write && covered(e, mine);
        }
        if (!forget)
            list->entries[kept++] = *e;
    }
    list->count = kept;
    return push_access(list, mine);
}

/* Likewise of one operand of task u, in all bands that it touches, each once. */
static bool note_access(depend_work *w, uint32_t u, const cyg_npu_operand *o, bool is_write)
{
    access_list *bands = &w->bands[w->band_at[o->buffer]];
    const uint32_t count = w->band_at[o->buffer + 1] - w->band_at[o->buffer];
    const access_entry mine = {u, is_write, o->rects, o->rect_count};
    bool done[MOST_BANDS] = {0};
    if (o->rects == NULL || count == 1) {
        for (uint32_t k = 0; k < count; k++)
            if (!note_in_band(w, &bands[k], &mine))
                return false;
        return true;
    }
    const uint64_t rows = rows_of(&w->buffers[o->buffer]);
    for (uint32_t i = 0; i < o->rect_count; i++) {
        const cyg_npu_rect *r = &o->rects[i];
        const uint64_t first = (uint64_t)r->row * count / rows,
                       last = (uint64_t)(r->row + r->rows - 1) * count / rows;
        for (uint64_t k = first; k <= last && k < count; k++) {
            if (!done[k] && !note_in_band(w, &bands[k], &mine))
                return false;
            done[k] = true;
        }
    }
    return true;
}

static bool note_task(depend_work *w, const cyg_npu_tasks *tasks, uint32_t u)
{
    const cyg_npu_task *t = &tasks->tasks[u];
    for (uint32_t i = 0; i < (uint32_t)t->in_count + t->out_count; i++) {
        const cyg_npu_operand *o = &t->operands[i];
        if (!is_followed(tasks, o))
            continue;
        if (!note_access(w, u, o, i >= t->in_count))
            return false;
        if (tasks->buffers[o->buffer].space == CYG_NPU_IO || w->touched[o->buffer] == u + 1)
            continue;
        w->touched[o->buffer] = u + 1;
        if (!push_id(&w->touches, o->buffer))
            return false;
    }
    return true;
}

/* succs from preds, by counting. */
static bool invert(uint32_t n, cyg_arena *arena, cyg_npu_depend *d)
{
    const uint32_t edges = d->pred_at[n];
    d->succ_at = CYG_NEW_ARRAY(arena, uint32_t, (size_t)n + 2);
    d->succs = CYG_NEW_ARRAY(arena, uint32_t, (size_t)edges + 1);
    if (d->succ_at == NULL || d->succs == NULL)
        return false;
    for (uint32_t i = 0; i < edges; i++)
        d->succ_at[d->preds[i] + 2]++;
    for (uint32_t u = 0; u < n; u++)
        d->succ_at[u + 2] += d->succ_at[u + 1];
    for (uint32_t u = 0; u < n; u++)
        for (uint32_t i = d->pred_at[u]; i < d->pred_at[u + 1]; i++)
            d->succs[d->succ_at[d->preds[i] + 1]++] = u;
    return true;
}

static bool build(depend_work *w, const cyg_npu_tasks *tasks, cyg_arena *arena, cyg_npu_depend *d)
{
    const uint32_t n = tasks->task_count;
    d->pred_at = CYG_NEW_ARRAY(arena, uint32_t, (size_t)n + 1);
    d->touch_at = CYG_NEW_ARRAY(arena, uint32_t, (size_t)n + 1);
    w->marked = calloc((size_t)n + 1, sizeof *w->marked);
    w->touched = calloc((size_t)tasks->buffer_count + 1, sizeof *w->touched);
    if (d->pred_at == NULL || d->touch_at == NULL || w->marked == NULL || w->touched == NULL ||
        !open_bands(w, tasks))
        return false;
    for (uint32_t u = 0; u < n; u++) {
        if (!note_task(w, tasks, u))
            return false;
        d->pred_at[u + 1] = w->preds.count;
        d->touch_at[u + 1] = w->touches.count;
    }
    d->preds = CYG_NEW_ARRAY(arena, uint32_t, (size_t)w->preds.count + 1);
    d->touched = CYG_NEW_ARRAY(arena, uint32_t, (size_t)w->touches.count + 1);
    if (d->preds == NULL || d->touched == NULL)
        return false;
    if (w->preds.count > 0)
        memcpy(d->preds, w->preds.ids, (size_t)w->preds.count * sizeof *d->preds);
    if (w->touches.count > 0)
        memcpy(d->touched, w->touches.ids, (size_t)w->touches.count * sizeof *d->touched);
    return invert(n, arena, d);
}

cyg_status cyg_npu_depend_build(cyg_ctx *ctx, const cyg_npu_tasks *tasks, cyg_arena *arena,
                                cyg_npu_depend *out_depend)
{
    depend_work w = {0};
    *out_depend = (cyg_npu_depend){0};
    const bool done = build(&w, tasks, arena, out_depend);
    for (uint32_t i = 0; w.bands != NULL && i < w.band_count; i++)
        free(w.bands[i].entries);
    free(w.bands);
    free(w.band_at);
    free(w.marked);
    free(w.touched);
    free(w.preds.ids);
    free(w.touches.ids);
    if (!done)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory for the dependences of %u tasks",
                        tasks->task_count);
    return CYG_OK;
}
