/* Greedy placement by size (as in the offline memory planners of inference runtimes): the largest
 * buffers first, each at the lowest offset where it meets no placed buffer that is alive at the
 * same time. Best fit: among the gaps that are large enough the smallest one wins. Ties are broken
 * by first step, then by index, so the result is deterministic. Quadratic in the number of buffers,
 * which are a few hundred. */
#include "plan/plan.h"

#include <stdlib.h>

#include "base/checked.h"

typedef struct order_entry {
    const cyg_plan_buffer *buffer;
    size_t index;
} order_entry;

static int by_size(const void *a, const void *b)
{
    const order_entry *x = a, *y = b;
    if (x->buffer->size != y->buffer->size)
        return x->buffer->size > y->buffer->size ? -1 : 1;
    if (x->buffer->first != y->buffer->first)
        return x->buffer->first < y->buffer->first ? -1 : 1;
    return x->index < y->index ? -1 : 1;
}

static int by_offset(const void *a, const void *b)
{
    const cyg_plan_buffer *x = *(const cyg_plan_buffer *const *)a,
                          *y = *(const cyg_plan_buffer *const *)b;
    if (x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    return x->size < y->size ? -1 : x->size > y->size;
}

static bool alive_together(const cyg_plan_buffer *a, const cyg_plan_buffer *b)
{
    return a->first <= b->last && b->first <= a->last;
}

/* neighbours: placed buffers alive together with b, sorted by offset. */
static uint64_t best_gap(const cyg_plan_buffer *b, cyg_plan_buffer *const *neighbours, size_t count,
                         uint64_t align)
{
    uint64_t cursor = 0, best = UINT64_MAX, best_size = UINT64_MAX;
    for (size_t i = 0; i < count; i++) {
        const cyg_plan_buffer *n = neighbours[i];
        if (n->offset > cursor && n->offset - cursor >= b->size && n->offset - cursor < best_size) {
            best = cursor;
            best_size = n->offset - cursor;
        }
        const uint64_t end = cyg_align_up(n->offset + n->size, align);
        cursor = end > cursor ? end : cursor;
    }
    return best != UINT64_MAX ? best : cursor;
}

cyg_status cyg_plan_place(cyg_ctx *ctx, cyg_plan_buffer *buffers, size_t count, uint64_t align,
                          uint64_t *out_bytes)
{
    order_entry *order = calloc(count + 1, sizeof *order);
    cyg_plan_buffer **placed = calloc(count + 1, sizeof *placed);
    cyg_plan_buffer **neighbours = calloc(count + 1, sizeof *neighbours);
    cyg_status status = CYG_OK;
    size_t placed_count = 0;
    const uint64_t most = UINT64_MAX / 2; /* rounding up to `align` can't wrap below that */
    *out_bytes = 0;
    if (order == NULL || placed == NULL || neighbours == NULL) {
        status = CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory while placing %zu buffers", count);
        goto done;
    }
    for (size_t i = 0; i < count; i++)
        order[i] = (order_entry){&buffers[i], i};
    qsort(order, count, sizeof *order, by_size);
    for (size_t i = 0; i < count; i++) {
        cyg_plan_buffer *b = &buffers[order[i].index];
        size_t meet = 0;
        for (size_t k = 0; k < placed_count; k++)
            if (alive_together(placed[k], b))
                neighbours[meet++] = placed[k];
        qsort(neighbours, meet, sizeof *neighbours, by_offset);
        b->offset = best_gap(b, neighbours, meet, align);
        if (b->size > most || b->offset > most - b->size) {
            status =
                CYG_FAIL(ctx, CYG_E_NOMEM, "activations need more memory than can be addressed");
            goto done;
        }
        if (b->offset + b->size > *out_bytes)
            *out_bytes = b->offset + b->size;
        placed[placed_count++] = b;
    }
    *out_bytes = cyg_align_up(*out_bytes, align);
done:
    free(order);
    free(placed);
    free(neighbours);
    return status;
}
