/* Taps as bytes and back, their check, and the chains beside them; see tap.h. */
#include "npu/tap.h"

#include <stdlib.h>

#include "base/checked.h"
#include "npu/varint.h"

/* ---- to bytes ---- */

/* Instructions by tap: those of tap k are list[first[k]] .. list[first[k + 1] - 1]. */
typedef struct pieces {
    uint32_t *first, *list;
} pieces;

static bool collect(const cyg_npu_program *p, pieces *out)
{
    out->first = calloc((size_t)p->tap_count + 2, sizeof *out->first);
    out->list = calloc((size_t)p->instr_count + 1, sizeof *out->list);
    if (out->first == NULL || out->list == NULL)
        return false;
    uint32_t *next = out->first + 1; /* counts, then where the next piece of a tap goes */
    for (uint32_t i = 0; i < p->instr_count; i++)
        if (p->tap_of[i] > 0)
            next[p->tap_of[i]]++;
    for (uint32_t k = 0; k < p->tap_count; k++)
        next[k + 1] += next[k];
    for (uint32_t i = 0; i < p->instr_count; i++)
        if (p->tap_of[i] > 0)
            out->list[next[p->tap_of[i] - 1]++] = i;
    return true;
}

static void put_tap(cyg_strbuf *s, const cyg_npu_tap *t, uint32_t step_before)
{
    cyg_varint_put(s, t->step - step_before);
    cyg_varint_put(s, t->output);
    cyg_varint_put(s, t->space);
    if (t->space == CYG_NPU_IO)
        cyg_varint_put(s, t->buffer);
    cyg_varint_put(s, t->offset);
    cyg_varint_put(s, t->bytes);
}

cyg_status cyg_npu_taps_encode(cyg_ctx *ctx, const cyg_npu_program *p, cyg_strbuf *out)
{
    pieces by_tap = {0};
    if (p->tap_count == 0)
        return CYG_OK;
    const bool ok = collect(p, &by_tap);
    cyg_varint_put(out, CYG_NPU_TAPS_VERSION);
    cyg_varint_put(out, p->tap_count);
    for (uint32_t k = 0; ok && k < p->tap_count; k++) {
        put_tap(out, &p->taps[k], k > 0 ? p->taps[k - 1].step : 0);
        cyg_varint_put(out, by_tap.first[k + 1] - by_tap.first[k]);
        for (uint32_t i = by_tap.first[k]; i < by_tap.first[k + 1]; i++)
            cyg_varint_put(out, by_tap.list[i] - (i > by_tap.first[k] ? by_tap.list[i - 1] : 0));
    }
    free(by_tap.first);
    free(by_tap.list);
    return ok && !out->failed ? CYG_OK : CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory for taps");
}

/* ---- from bytes ---- */

typedef struct reader {
    cyg_ctx *ctx;
    cyg_varint_reader in;
    const cyg_npu_program *p;
    uint32_t *tap_of;
} reader;

static cyg_status damaged(const reader *r, const char *what)
{
    return CYG_FAIL(r->ctx, CYG_E_FORMAT, "taps of an NPU program: %s, at byte %zu of %zu", what,
                    (size_t)(r->in.at - r->in.begin), (size_t)(r->in.end - r->in.begin));
}

/* Tap number k and the instructions that write it. */
static cyg_status read_tap(reader *r, uint32_t k, uint32_t step_before, cyg_npu_tap *t)
{
    const uint64_t step = cyg_varint_limited(&r->in, CYG_NPU_MOST_STEPS) + step_before;
    t->output = (uint32_t)cyg_varint_limited(&r->in, CYG_NPU_MOST_IO);
    t->space = (uint8_t)cyg_varint_limited(&r->in, CYG_NPU_SPACES - 1);
    if (t->space == CYG_NPU_IO)
        t->buffer = (uint32_t)cyg_varint_limited(&r->in, CYG_NPU_MOST_IO);
    t->offset = cyg_varint_get(&r->in);
    t->bytes = cyg_varint_get(&r->in);
    const uint32_t count = cyg_varint_count(&r->in, CYG_NPU_MOST_INSTRS, 1);
    if (r->in.failed || step >= r->p->step_count)
        return damaged(r, "a tap's record");
    t->step = (uint32_t)step;
    uint64_t at = 0;
    for (uint32_t i = 0; i < count; i++) {
        const uint64_t further = cyg_varint_limited(&r->in, CYG_NPU_MOST_INSTRS);
        at += further;
        if (r->in.failed || (i > 0 && further == 0) || at >= r->p->instr_count)
            return damaged(r, "a piece that no instruction writes");
        if (r->tap_of[at] != 0)
            return damaged(r, "an instruction that writes a piece of two tensors");
        r->tap_of[at] = k + 1;
    }
    return CYG_OK;
}

cyg_status cyg_npu_taps_decode(cyg_ctx *ctx, const void *data, size_t size, cyg_arena *arena,
                               cyg_npu_program *p)
{
    reader r = {
        .ctx = ctx, .in = {.at = data, .end = (const uint8_t *)data + size, .begin = data}, .p = p};
    if (cyg_varint_get(&r.in) != CYG_NPU_TAPS_VERSION || r.in.failed)
        return damaged(&r, "a version that this cygnet does not read");
    /* The shortest tap: six numbers and a piece. */
    const uint32_t count = cyg_varint_count(&r.in, CYG_NPU_MOST_INSTRS, 7);
    if (r.in.failed)
        return damaged(&r, "more taps than there are bytes for");
    cyg_npu_tap *taps = CYG_NEW_ARRAY(arena, cyg_npu_tap, (size_t)count + 1);
    r.tap_of = CYG_NEW_ARRAY(arena, uint32_t, (size_t)p->instr_count + 1);
    if (taps == NULL || r.tap_of == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory for taps");
    for (uint32_t k = 0; k < count; k++)
        CYG_DO(read_tap(&r, k, k > 0 ? taps[k - 1].step : 0, &taps[k]));
    if (r.in.at != r.in.end)
        return damaged(&r, "bytes behind the last tap");
    p->taps = taps;
    p->tap_of = r.tap_of;
    p->tap_count = count;
    return CYG_OK;
}

/* ---- the check ---- */

static uint64_t memory_bytes(const cyg_npu_program *p, const cyg_npu_tap *t)
{
    switch (t->space) {
    case CYG_NPU_OCM:
        return p->ocm_bytes;
    case CYG_NPU_SWAP:
        return p->swap_bytes;
    case CYG_NPU_IO:
        return t->buffer < p->io_count && p->io[t->buffer].is_output ? p->io[t->buffer].bytes : 0;
    default:
        return 0;
    }
}

/* A second tap: the same output of the same step, from the OCM to the DDR. */
static bool is_copy(const cyg_npu_tap *t, const cyg_npu_tap *of)
{
    return t->step == of->step && t->output == of->output && t->bytes == of->bytes &&
           t->space != CYG_NPU_OCM && of->space == CYG_NPU_OCM;
}

static cyg_status check_tap(cyg_ctx *ctx, const cyg_npu_program *p, uint32_t k)
{
    const cyg_npu_tap *t = &p->taps[k], *before = k > 0 ? t - 1 : NULL;
    if (t->step >= p->step_count || (t->space != CYG_NPU_IO && t->buffer != 0))
        return CYG_FAIL(ctx, CYG_E_FORMAT, "tap %u is of no step or no memory", k);
    if (before != NULL && !is_copy(t, before) &&
        (t->step < before->step || (t->step == before->step && t->output <= before->output)))
        return CYG_FAIL(
            ctx, CYG_E_FORMAT,
            "tap %u: taps stand by step and output, once each and once more for a copy in "
            "the DDR",
            k);
    if (t->bytes == 0 || !cyg_range_ok(t->offset, t->bytes, memory_bytes(p, t)))
        return CYG_FAIL(ctx, CYG_E_FORMAT,
                        "output %u of step \"%s\": %llu bytes at %llu do not lie in its memory",
                        t->output, p->step_names[t->step], (unsigned long long)t->bytes,
                        (unsigned long long)t->offset);
    return CYG_OK;
}

cyg_status cyg_npu_taps_check(cyg_ctx *ctx, const cyg_npu_program *p)
{
    for (uint32_t k = 0; k < p->tap_count; k++)
        CYG_DO(check_tap(ctx, p, k));
    for (uint32_t i = 0; p->tap_count > 0 && i < p->instr_count; i++) {
        const cyg_npu_instr *instr = &p->instrs[i];
        if (p->tap_of[i] == 0)
            continue;
        if (p->tap_of[i] > p->tap_count)
            return CYG_FAIL(ctx, CYG_E_FORMAT, "instruction %u: tap %u of %u", i, p->tap_of[i] - 1,
                            p->tap_count);
        const cyg_npu_tap *t = &p->taps[p->tap_of[i] - 1];
        const cyg_npu_view *v = &instr->operands[instr->in_count];
        if (instr->step != t->step || instr->out_count == 0 || v->space != t->space ||
            v->buffer != t->buffer || v->offset < t->offset ||
            !cyg_range_ok(v->offset - t->offset, cyg_npu_view_extent(v), t->bytes))
            return CYG_FAIL(ctx, CYG_E_FORMAT,
                            "instruction %u, %s: writes no piece of output %u of step \"%s\"", i,
                            cyg_npu_op_info_of(instr->op)->mnemonic, t->output,
                            p->step_names[t->step]);
    }
    return CYG_OK;
}

/* ---- chains ---- */

static bool reads(const cyg_npu_instr *instr, const cyg_npu_view *v)
{
    for (uint32_t i = 0; i < instr->in_count; i++) {
        const cyg_npu_view *x = &instr->operands[i];
        if (x->type != 0 && x->space == v->space && x->buffer == v->buffer &&
            x->offset < v->offset + cyg_npu_view_extent(v) &&
            v->offset < x->offset + cyg_npu_view_extent(x))
            return true;
    }
    return false;
}

/* Chains under construction: those of a step are linked, so that a program costs what it is long.
 */
typedef struct builder {
    const cyg_npu_program *p;
    cyg_npu_chain *chains;
    const cyg_npu_view **first; /* by chain: its first piece */
    uint32_t *link;             /* by chain: 1 + the one before of the same step, 0 = none */
    uint32_t *head;             /* by step: 1 + its last chain */
    uint32_t count, room;
} builder;

static bool begin_chain(builder *b, cyg_arena *arena, uint32_t i, uint32_t output,
                        const cyg_npu_view *v)
{
    const cyg_npu_instr *instr = &b->p->instrs[i];
    void *chains = b->chains, *first = b->first, *link = b->link;
    uint32_t room = b->room, same = b->room;
    if (!cyg_arena_grow(arena, &chains, b->count, &b->room, sizeof *b->chains) ||
        !cyg_arena_grow(arena, &first, b->count, &room, sizeof *b->first) ||
        !cyg_arena_grow(arena, &link, b->count, &same, sizeof *b->link))
        return false;
    b->chains = chains;
    b->first = first;
    b->link = link;
    b->chains[b->count] = (cyg_npu_chain){
        .step = instr->step, .op = instr->op, .output = (uint16_t)output, .largest = v};
    b->first[b->count] = v;
    b->link[b->count] = b->head[instr->step];
    b->head[instr->step] = ++b->count;
    return true;
}

/* What instruction i uses of its step's chains, and what it adds to them. */
static bool follow(builder *b, cyg_arena *arena, uint32_t i)
{
    const cyg_npu_instr *instr = &b->p->instrs[i];
    for (uint32_t k = b->head[instr->step]; k > 0; k = b->link[k - 1])
        if (b->chains[k - 1].next == 0 && reads(instr, b->first[k - 1]))
            b->chains[k - 1].next = instr->op;
    if (b->p->tap_of[i] > 0 || cyg_npu_op_info_of(instr->op)->engine == CYG_NPU_SDMA)
        return true;
    for (uint32_t output = 0; output < instr->out_count; output++) {
        const cyg_npu_view *v = &instr->operands[instr->in_count + output];
        uint32_t k = b->head[instr->step];
        while (k > 0 && (b->chains[k - 1].op != instr->op || b->chains[k - 1].output != output))
            k = b->link[k - 1];
        if (k == 0) {
            if (!begin_chain(b, arena, i, output, v))
                return false;
            k = b->count;
        }
        cyg_npu_chain *c = &b->chains[k - 1];
        c->pieces++;
        if (cyg_npu_view_bytes(v) > cyg_npu_view_bytes(c->largest))
            c->largest = v;
    }
    return true;
}

static int by_step(const void *a, const void *b)
{
    const cyg_npu_chain *x = a, *y = b;
    if (x->step != y->step)
        return x->step < y->step ? -1 : 1;
    return x->op != y->op ? (int)x->op - (int)y->op : (int)x->output - (int)y->output;
}

cyg_status cyg_npu_chains_of(cyg_ctx *ctx, const cyg_npu_program *p, cyg_arena *arena,
                             const cyg_npu_chain **out_chains, uint32_t *out_count)
{
    builder b = {.p = p, .head = CYG_NEW_ARRAY(arena, uint32_t, (size_t)p->step_count + 1)};
    bool well = b.head != NULL;
    for (uint32_t i = 0; well && p->tap_count > 0 && i < p->instr_count; i++)
        well = follow(&b, arena, i);
    if (!well)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory for the chains of an NPU program");
    if (b.count > 0)
        qsort(b.chains, b.count, sizeof *b.chains, by_step);
    *out_chains = b.chains;
    *out_count = b.count;
    return CYG_OK;
}
