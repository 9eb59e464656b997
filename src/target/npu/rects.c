/* Windows to rectangles of rows and bytes; see rects.h. */
#include "target/npu/rects.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_RECTS = 64 };

static int64_t element_of(const cyg_npu_view *v)
{
    int64_t n = cyg_npu_view_elements(v);
    return n > 0 ? (int64_t)cyg_npu_view_bytes(v) / n : 1;
}

/* Dimensions longer than 1, outermost first, neighbours that are one run merged. */
typedef struct walk {
    int rank;
    int64_t dims[CYG_NPU_RANK], strides[CYG_NPU_RANK];
} walk;

static walk walk_of(const cyg_npu_view *v, int from)
{
    walk w;
    memset(&w, 0, sizeof w);
    for (int i = from; i < v->rank; i++) {
        if (v->dims[i] == 1)
            continue;
        int at = w.rank++; /* by falling stride */
        while (at > 0 && w.strides[at - 1] < v->strides[i]) {
            w.dims[at] = w.dims[at - 1];
            w.strides[at] = w.strides[at - 1];
            at--;
        }
        w.dims[at] = v->dims[i];
        w.strides[at] = v->strides[i];
    }
    for (int i = 0; i + 1 < w.rank;) {
        if (w.strides[i] != w.strides[i + 1] * w.dims[i + 1]) {
            i++;
            continue;
        }
        w.dims[i] *= w.dims[i + 1];
        w.strides[i] = w.strides[i + 1];
        for (int k = i + 1; k + 1 < w.rank; k++) {
            w.dims[k] = w.dims[k + 1];
            w.strides[k] = w.strides[k + 1];
        }
        w.rank--;
    }
    return w;
}

static cyg_npu_rect whole_rows(int64_t pitch, int64_t begin, int64_t end)
{
    const int64_t first = begin / pitch, last = (end - 1) / pitch;
    if (first == last)
        return (cyg_npu_rect){first, 1, begin - first * pitch, end - begin};
    return (cyg_npu_rect){first, last - first + 1, 0, pitch};
}

/* Rectangles of one walk that begins at byte `at`; returns their number, at most MAX_RECTS. */
static uint32_t of_walk(const walk *w, int64_t pitch, int64_t at, int64_t element,
                        cyg_npu_rect *out)
{
    int64_t extent = element, reach = element, outer = 1;
    int row_dims = 0;
    for (int i = 0; i < w->rank; i++)
        reach += (w->dims[i] - 1) * w->strides[i];
    while (row_dims < w->rank && w->strides[row_dims] >= pitch && w->strides[row_dims] % pitch == 0)
        row_dims++;
    for (int i = row_dims; i < w->rank; i++)
        extent += (w->dims[i] - 1) * w->strides[i];
    int64_t run = 1; /* rows of one rectangle */
    int listed = row_dims;
    if (row_dims > 0 && w->strides[row_dims - 1] == pitch) {
        run = w->dims[row_dims - 1];
        listed--;
    }
    for (int i = 0; i < listed; i++)
        outer = outer > MAX_RECTS ? outer : outer * w->dims[i];
    if (at % pitch + extent > pitch || outer > MAX_RECTS) {
        out[0] = whole_rows(pitch, at, at + reach);
        return 1;
    }
    for (int64_t k = 0; k < outer; k++) {
        int64_t rest = k, from = at;
        for (int i = listed - 1; i >= 0; i--) {
            from += rest % w->dims[i] * w->strides[i];
            rest /= w->dims[i];
        }
        out[k] = (cyg_npu_rect){from / pitch, run, from % pitch, extent};
    }
    return (uint32_t)outer;
}

static int by_number(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Runs of the rows named, each a walk of its own. */
static bool of_rows(cyg_arena *arena, const cyg_npu_buffer *b, const cyg_npu_view *v,
                    const int64_t *rows, int64_t count, cyg_npu_rect *out, uint32_t *out_count)
{
    int64_t *sorted = cyg_arena_memdup(arena, rows, (size_t)count * sizeof *rows);
    if (sorted == NULL)
        return false;
    qsort(sorted, (size_t)count, sizeof *sorted, by_number);
    *out_count = 0;
    for (int64_t i = 0; i < count;) {
        int64_t last = i;
        while (last + 1 < count && sorted[last + 1] - sorted[last] <= 1)
            last++;
        cyg_npu_view part = *v;
        part.dims[0] = sorted[last] - sorted[i] + 1;
        part.offset += (uint64_t)(sorted[i] * v->strides[0]);
        const walk w = walk_of(&part, 0);
        cyg_npu_rect found[MAX_RECTS];
        const uint32_t n =
            of_walk(&w, (int64_t)b->pitch, (int64_t)part.offset, element_of(v), found);
        if (*out_count + n > MAX_RECTS) {
            part = *v; /* too scattered: from the first to the last */
            part.dims[0] = sorted[count - 1] - sorted[0] + 1;
            part.offset += (uint64_t)(sorted[0] * v->strides[0]);
            const walk all = walk_of(&part, 0);
            *out_count = of_walk(&all, (int64_t)b->pitch, (int64_t)part.offset, element_of(v), out);
            return true;
        }
        memcpy(out + *out_count, found, n * sizeof *found);
        *out_count += n;
        i = last + 1;
    }
    return true;
}

bool cyg_npu_rects_of(cyg_arena *arena, const cyg_npu_buffer *b, const cyg_npu_view *v,
                      const int64_t *rows, int64_t row_count, const cyg_npu_rect **out_rects,
                      uint32_t *out_count)
{
    cyg_npu_rect found[MAX_RECTS];
    uint32_t count = 0;
    *out_rects = NULL;
    *out_count = 0;
    if (cyg_npu_view_elements(v) == 0)
        return true;
    if (rows != NULL && row_count > 0) {
        if (!of_rows(arena, b, v, rows, row_count, found, &count))
            return false;
    } else {
        const walk w = walk_of(v, 0);
        count = of_walk(&w, (int64_t)b->pitch, (int64_t)v->offset, element_of(v), found);
    }
    if (count == 1 && found[0].byte == 0 && (uint64_t)found[0].bytes == b->pitch &&
        found[0].row == 0 && (uint64_t)found[0].rows * b->pitch >= b->bytes)
        return true;
    *out_rects = cyg_arena_memdup(arena, found, count * sizeof *found);
    *out_count = count;
    return *out_rects != NULL;
}
