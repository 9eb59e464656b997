/* Life of OCM bytes, in cells of 64: from the write to the last read before the next write.
 * Instructions are taken in program order, which is one valid order; times are those of the cycle
 * model. */
#include "npu/usage.h"

#include <string.h>

#include "base/checked.h"

enum { CELL = 64 };

typedef struct cell {
    int64_t written, read; /* cycles; written < 0 = never */
} cell;

typedef struct usage_work {
    cell *cells;
    uint64_t cell_count;
    double *slices; /* bytes times cycles */
    double slice;   /* cycles */
} usage_work;

/* Adds amount a cycle over [from, to). */
static void spread(double *slices, double slice, int64_t from, int64_t to, double amount)
{
    for (double at = (double)from; at < (double)to;) {
        size_t i = (size_t)(at / slice);
        i = i < CYG_NPU_SAMPLES ? i : CYG_NPU_SAMPLES - 1;
        double next = (double)(i + 1) * slice;
        if (next > (double)to || i == CYG_NPU_SAMPLES - 1)
            next = (double)to;
        slices[i] += amount * (next - at);
        if (next <= at)
            return;
        at = next;
    }
}

/* The lives of cells first..end-1 are over; they are alike. */
static void end_lives(usage_work *w, const cell *c, uint64_t count)
{
    if (c->written >= 0 && c->read > c->written)
        spread(w->slices, w->slice, c->written, c->read, (double)(CELL * count));
}

static bool alike(const cell *a, const cell *b)
{
    return a->written == b->written && a->read == b->read;
}

/* Cells that lie side by side mostly live alike, so they are written run by run. */
static void write_cells(usage_work *w, uint64_t first, uint64_t end, const cyg_npu_span *span)
{
    cell *cells = w->cells;
    for (uint64_t i = first; i < end;) {
        const cell was = cells[i];
        const uint64_t from = i;
        while (i < end && alike(&cells[i], &was))
            i++;
        if (was.written >= 0 && was.read <= was.written)
            continue; /* another part of the same */
        end_lives(w, &was, i - from);
        for (uint64_t k = from; k < i; k++)
            cells[k] = (cell){span->start, span->start};
    }
}

static void touch_bytes(usage_work *w, uint64_t first, uint64_t bytes, bool is_write,
                        const cyg_npu_span *span)
{
    const uint64_t last = (first + bytes - 1) / CELL,
                   end = last < w->cell_count ? last + 1 : w->cell_count;
    if (is_write) {
        write_cells(w, first / CELL, end, span);
        return;
    }
    cell *cells = w->cells;
    for (uint64_t i = first / CELL; i < end; i++)
        cells[i].read = span->end > cells[i].read ? span->end : cells[i].read;
}

/* Dense inner dimensions as one run of bytes, the outer ones by counting. */
static void touch_view(usage_work *w, const cyg_npu_view *v, bool is_write,
                       const cyg_npu_span *span)
{
    if (v->space != CYG_NPU_OCM || v->type == 0 || cyg_npu_view_elements(v) == 0)
        return;
    uint64_t run = cyg_npu_view_bytes(v) / (uint64_t)cyg_npu_view_elements(v);
    unsigned outer = v->rank;
    while (outer > 0 && (uint64_t)v->strides[outer - 1] == run)
        run *= (uint64_t)v->dims[--outer];
    int64_t at[CYG_NPU_RANK] = {0};
    uint64_t offset = v->offset;
    for (;;) {
        touch_bytes(w, offset, run, is_write, span);
        unsigned k = outer;
        while (k > 0) {
            k--;
            offset += (uint64_t)v->strides[k];
            if (++at[k] < v->dims[k])
                break;
            offset -= (uint64_t)(v->dims[k] * v->strides[k]);
            at[k] = 0;
            if (k == 0)
                return;
        }
        if (outer == 0)
            return;
    }
}

static void follow_path(const cyg_npu_machine *m, const cyg_npu_program *p, const cyg_npu_timing *t,
                        cyg_npu_usage *out)
{
    uint32_t at = 0;
    int64_t worked = 0;
    for (uint32_t i = 1; i < p->instr_count; i++)
        if (t->spans[i].end > t->spans[at].end)
            at = i;
    for (uint32_t i = 0; p->instr_count > 0 && i <= p->instr_count; i++) {
        const int64_t cycles = t->spans[at].end - t->spans[at].start;
        out->critical[cyg_npu_engine_at(m, p->instrs[at].engine).kind] += cycles;
        worked += cycles;
        if (t->blocked_by[at] == at)
            break;
        at = t->blocked_by[at];
    }
    out->waiting = t->cycles - worked;
}

cyg_status cyg_npu_usage_of(cyg_ctx *ctx, const cyg_npu_machine *m, const cyg_npu_program *p,
                            const cyg_npu_timing *t, cyg_arena *scratch, cyg_npu_usage *out_usage)
{
    *out_usage = (cyg_npu_usage){0};
    usage_work w = {.cell_count = (uint64_t)m->ocm_bytes / CELL + 1,
                    .slices = out_usage->ocm_bytes,
                    .slice = (double)(t->cycles > 0 ? t->cycles : 1) / CYG_NPU_SAMPLES};
    w.cells = CYG_NEW_ARRAY(scratch, cell, w.cell_count);
    if (w.cells == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    for (uint64_t i = 0; i < w.cell_count; i++)
        w.cells[i].written = -1;
    for (uint32_t i = 0; i < p->instr_count; i++) {
        const cyg_npu_instr *instr = &p->instrs[i];
        const cyg_npu_cost cost = cyg_npu_cost_of(m, instr);
        const int64_t cycles = t->spans[i].end - t->spans[i].start;
        for (uint32_t k = 0; k < (uint32_t)instr->in_count + instr->out_count; k++)
            touch_view(&w, &instr->operands[k], k >= instr->in_count, &t->spans[i]);
        if (cost.ddr_bytes > 0 && cycles > 0)
            spread(out_usage->ddr, w.slice, t->spans[i].start, t->spans[i].end,
                   (double)cost.ddr_bytes / (double)cycles / m->ddr_bytes);
    }
    for (uint64_t i = 0; i < w.cell_count; i++)
        end_lives(&w, &w.cells[i], 1);
    for (int i = 0; i < CYG_NPU_SAMPLES; i++) {
        out_usage->ocm_bytes[i] /= w.slice;
        out_usage->ddr[i] /= w.slice;
    }
    follow_path(m, p, t, out_usage);
    return CYG_OK;
}
