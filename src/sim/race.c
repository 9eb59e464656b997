/* The race detector: see race.h.
 *
 * Order by vector clocks: the clock of an instruction says how many instructions of each engine
 * surely ended before it starts. Shadow memory: each byte has the number of a state (the
 * instruction that wrote it last, and of each engine the last one that read it since); states are
 * interned, so that the bytes of a tile, which go through the same hands, share one and a run of
 * them is handled at once. */
#include "sim/race.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/type.h"
#include "sim/window.h"

#define NOBODY 0xffffffffu
enum { MEMO = 64 };

/* Followed by the last reader of each engine; NOBODY = none. */
typedef struct byte_state {
    uint32_t writer;
    uint32_t readers[];
} byte_state;

typedef struct shadow {
    uint32_t *state; /* by byte; NULL = never written, nothing to find */
    uint64_t bytes;
} shadow;

typedef struct detector {
    cyg_ctx *ctx;
    const cyg_npu_machine *m;
    const cyg_npu_program *p;
    uint32_t engines;
    uint32_t *clocks; /* [instr][engine]: ended before it starts */
    uint32_t *rank;   /* [instr]: its number in its engine's queue, from 1 */
    shadow ocm, swap, *io;
    uint8_t *states; /* state_count records */
    size_t state_size;
    uint32_t state_count, state_room;
    /* the access that is being noted */
    uint32_t instr;
    bool is_write;
    const cyg_npu_view *view;
    shadow *memory;
    struct {
        uint32_t from, to; /* states; to NOBODY = unused */
    } memo[MEMO];
    uint32_t written; /* the state of what this instruction wrote; NOBODY = none yet */
    cyg_race *out;
    bool found, no_memory;
} detector;

static byte_state *state_at(const detector *d, uint32_t i)
{
    return (byte_state *)(void *)(d->states + i * d->state_size);
}

/* A new state with the readers of `from`, NOBODY = none. */
static uint32_t new_state(detector *d, uint32_t writer, uint32_t from)
{
    if (d->state_count == d->state_room) {
        const uint32_t room = d->state_room * 2;
        size_t bytes;
        uint8_t *moved = room > d->state_room && cyg_mul_size(room, d->state_size, &bytes)
                             ? realloc(d->states, bytes)
                             : NULL;
        if (moved == NULL) {
            d->no_memory = true;
            return 0;
        }
        d->states = moved;
        d->state_room = room;
    }
    byte_state *s = state_at(d, d->state_count);
    if (from != NOBODY)
        memcpy(s, state_at(d, from), d->state_size);
    else
        memset(s, 0xff, d->state_size);
    s->writer = writer;
    return d->state_count++;
}

static bool is_before(const detector *d, uint32_t a, uint32_t b)
{
    return d->clocks[(size_t)b * d->engines + d->p->instrs[a].engine] >= d->rank[a];
}

/* Element-wise instructions may write where they read: the same elements in the same order. */
static bool may_be_in_place(const detector *d, const cyg_npu_view *out)
{
    const cyg_npu_instr *instr = &d->p->instrs[d->instr];
    switch (instr->op) {
    case CYG_NPU_OP_TENG_ACT:
    case CYG_NPU_OP_TENG_ELTWISE:
    case CYG_NPU_OP_TENG_REQUANT:
    case CYG_NPU_OP_TENG_LUT8:
    case CYG_NPU_OP_TENG_LUT16:
        break;
    default:
        return false;
    }
    bool is_equal = false;
    for (uint32_t i = 0; i < instr->in_count; i++)
        is_equal |= cyg_window_is_same(&instr->operands[i], out);
    return is_equal;
}

static void report(detector *d, cyg_race_kind kind, uint32_t first, uint32_t second,
                   uint64_t offset)
{
    d->found = true;
    *d->out = (cyg_race){.kind = kind,
                         .first = first,
                         .second = second,
                         .space = d->view->space,
                         .buffer = d->view->buffer,
                         .offset = offset};
}

/* What the access makes of a state; reports what it finds. */
static uint32_t transition(detector *d, uint32_t from, uint64_t offset)
{
    const byte_state *s = state_at(d, from);
    const uint32_t engine = d->p->instrs[d->instr].engine;
    if (s->writer == d->instr && d->is_write) {
        report(d, CYG_RACE_OVERLAP, d->instr, d->instr, offset); /* two outputs */
    } else if (s->writer == NOBODY && !d->is_write) {
        report(d, CYG_RACE_UNWRITTEN, d->instr, d->instr, offset);
    } else if (s->writer != NOBODY && !is_before(d, s->writer, d->instr)) {
        report(d, CYG_RACE_CONFLICT, s->writer, d->instr, offset);
    }
    for (uint32_t e = 0; d->is_write && !d->found && e < d->engines; e++) {
        const uint32_t reader = s->readers[e];
        if (reader == NOBODY)
            continue;
        if (reader == d->instr && !may_be_in_place(d, d->view))
            report(d, CYG_RACE_OVERLAP, d->instr, d->instr, offset);
        else if (reader != d->instr && !is_before(d, reader, d->instr))
            report(d, CYG_RACE_CONFLICT, reader, d->instr, offset);
    }
    if (d->found)
        return from;
    if (d->is_write) {
        if (d->written == NOBODY)
            d->written = new_state(d, d->instr, NOBODY);
        return d->written;
    }
    if (s->readers[engine] == d->instr)
        return from;
    const uint32_t to = new_state(d, s->writer, from);
    state_at(d, to)->readers[engine] = d->instr;
    return to;
}

static bool note_run(void *user, uint64_t offset, uint64_t bytes)
{
    detector *d = user;
    uint32_t *state = d->memory->state;
    for (uint64_t i = offset; i < offset + bytes;) {
        const uint32_t from = state[i];
        uint32_t to;
        if (d->memo[from % MEMO].to != NOBODY && d->memo[from % MEMO].from == from) {
            to = d->memo[from % MEMO].to;
        } else {
            to = transition(d, from, i);
            if (d->found || d->no_memory)
                return false;
            d->memo[from % MEMO].from = from;
            d->memo[from % MEMO].to = to;
        }
        for (; i < offset + bytes && state[i] == from; i++)
            state[i] = to;
    }
    return true;
}

static shadow *shadow_of(detector *d, const cyg_npu_view *v)
{
    switch (v->space) {
    case CYG_NPU_OCM:
        return &d->ocm;
    case CYG_NPU_SWAP:
        return &d->swap;
    case CYG_NPU_IO:
        return d->io[v->buffer].state != NULL ? &d->io[v->buffer] : NULL;
    default:
        return NULL;
    }
}

static void note_operand(detector *d, uint32_t at)
{
    const cyg_npu_instr *instr = &d->p->instrs[d->instr];
    const cyg_npu_view *v = &instr->operands[at];
    if (v->type == CYG_TYPE_NONE || (d->memory = shadow_of(d, v)) == NULL)
        return;
    d->view = v;
    cyg_window_walk_operand(d->p, instr, at, note_run, d);
}

static void forget_memo(detector *d)
{
    for (int i = 0; i < MEMO; i++)
        d->memo[i].to = NOBODY;
}

static void note_instr(detector *d)
{
    const cyg_npu_instr *instr = &d->p->instrs[d->instr];
    d->written = NOBODY;
    forget_memo(d);
    for (uint32_t i = 0; i < (uint32_t)instr->in_count + instr->out_count; i++) {
        d->is_write = i >= instr->in_count;
        if (d->is_write) /* what may be in place and what a second output meets differ by view */
            forget_memo(d);
        if (d->found || d->no_memory)
            return;
        note_operand(d, i);
    }
}

/* The queues as they fill: engine e has length[e] instructions, from list[first[e]] on. */
typedef struct queues {
    uint32_t length[CYG_NPU_MAX_ENGINES], first[CYG_NPU_MAX_ENGINES];
    uint32_t *list;
} queues;

static bool open_queues(const detector *d, queues *q)
{
    const cyg_npu_program *p = d->p;
    memset(q, 0, sizeof *q);
    q->list = calloc((size_t)p->instr_count + 1, sizeof *q->list);
    if (q->list == NULL)
        return false;
    for (uint32_t i = 0; i < p->instr_count; i++)
        q->length[p->instrs[i].engine]++;
    for (uint32_t e = 1; e < d->engines; e++)
        q->first[e] = q->first[e - 1] + q->length[e - 1];
    memset(q->length, 0, sizeof q->length);
    return true;
}

/* What surely ended before instruction i: its queue before it, and what it waits for. */
static void set_clock(const detector *d, const queues *q, uint32_t i)
{
    const cyg_npu_instr *instr = &d->p->instrs[i];
    uint32_t *clock = d->clocks + (size_t)i * d->engines;
    const uint32_t own = q->length[instr->engine];
    if (own > 0)
        memcpy(clock, d->clocks + (size_t)q->list[q->first[instr->engine] + own - 1] * d->engines,
               d->engines * sizeof *clock);
    clock[instr->engine] = own;
    for (uint32_t w = 0; w < instr->wait_count; w++) {
        const uint32_t engine = instr->waits[w].engine, count = instr->waits[w].count;
        const uint32_t *other =
            d->clocks + (size_t)q->list[q->first[engine] + count - 1] * d->engines;
        for (uint32_t e = 0; e < d->engines; e++)
            clock[e] = other[e] > clock[e] ? other[e] : clock[e];
        clock[engine] = count > clock[engine] ? count : clock[engine];
    }
}

static cyg_status build_clocks(detector *d)
{
    const uint32_t n = d->p->instr_count;
    queues q;
    size_t cells;
    d->rank = calloc((size_t)n + 1, sizeof *d->rank);
    if (cyg_mul_size((size_t)n + 1, d->engines, &cells))
        d->clocks = calloc(cells, sizeof *d->clocks);
    if (d->rank == NULL || d->clocks == NULL || !open_queues(d, &q))
        return CYG_FAIL(d->ctx, CYG_E_NOMEM, "out of memory for clocks of an NPU program");
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t engine = d->p->instrs[i].engine;
        set_clock(d, &q, i);
        q.list[q.first[engine] + q.length[engine]] = i;
        d->rank[i] = ++q.length[engine];
    }
    free(q.list);
    return CYG_OK;
}

static bool open_shadow(shadow *s, uint64_t bytes)
{
    s->bytes = bytes;
    s->state = calloc((size_t)bytes + 1, sizeof *s->state); /* state 0: nobody did anything */
    return s->state != NULL;
}

static cyg_status open_detector(detector *d)
{
    const cyg_npu_program *p = d->p;
    d->engines = cyg_npu_engine_count(d->m);
    d->state_size = sizeof(byte_state) + d->engines * sizeof(uint32_t);
    d->state_room = 1024;
    d->states = malloc(d->state_room * d->state_size);
    d->io = calloc((size_t)p->io_count + 1, sizeof *d->io);
    bool ok = d->states != NULL && d->io != NULL && open_shadow(&d->ocm, p->ocm_bytes) &&
              open_shadow(&d->swap, p->swap_bytes);
    for (uint32_t i = 0; ok && i < p->io_count; i++)
        if (p->io[i].is_output)
            ok = open_shadow(&d->io[i], p->io[i].bytes);
    if (!ok)
        return CYG_FAIL(d->ctx, CYG_E_NOMEM, "out of memory for the race detector");
    new_state(d, NOBODY, NOBODY);
    return build_clocks(d);
}

static void close_detector(detector *d)
{
    for (uint32_t i = 0; d->io != NULL && i < d->p->io_count; i++)
        free(d->io[i].state);
    free(d->io);
    free(d->ocm.state);
    free(d->swap.state);
    free(d->states);
    free(d->clocks);
    free(d->rank);
}

/* Every byte of an output tensor has a writer. */
static void check_outputs(detector *d)
{
    for (uint32_t i = 0; i < d->p->io_count; i++)
        for (uint64_t at = 0; d->io[i].state != NULL && !d->found && at < d->io[i].bytes; at++)
            if (state_at(d, d->io[i].state[at])->writer == NOBODY) {
                d->found = true;
                *d->out = (cyg_race){
                    .kind = CYG_RACE_UNFINISHED, .space = CYG_NPU_IO, .buffer = i, .offset = at};
            }
}

cyg_status cyg_race_find(cyg_ctx *ctx, const cyg_npu_machine *m, const cyg_npu_program *p,
                         cyg_race *out_race, bool *out_found)
{
    detector d = {.ctx = ctx, .m = m, .p = p, .out = out_race};
    cyg_status status = open_detector(&d);
    for (; status == CYG_OK && d.instr < p->instr_count && !d.found && !d.no_memory; d.instr++)
        note_instr(&d);
    if (status == CYG_OK && !d.no_memory)
        check_outputs(&d);
    if (status == CYG_OK && d.no_memory)
        status = CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory for the race detector");
    *out_found = d.found;
    close_detector(&d);
    return status;
}

static void name(const cyg_npu_machine *m, const cyg_npu_program *p, uint32_t i, char *out,
                 size_t size)
{
    const cyg_npu_instr *instr = &p->instrs[i];
    snprintf(out, size, "%u (%s on %s, step \"%.80s\", tile %u)", i,
             cyg_npu_op_info_of(instr->op)->mnemonic, cyg_npu_engine_at(m, instr->engine).lane,
             p->step_names[instr->step], instr->tile);
}

cyg_status cyg_race_check(cyg_ctx *ctx, const cyg_npu_machine *m, const cyg_npu_program *p)
{
    static const char *const spaces[] = {"OCM", "SWAP", "PARAM", "tensor", "CODE"};
    cyg_race race = {0};
    bool found;
    char first[192] = "", second[192] = "", where[256];
    CYG_DO(cyg_race_find(ctx, m, p, &race, &found));
    if (!found)
        return CYG_OK;
    if (p->instr_count > 0) {
        name(m, p, race.first, first, sizeof first);
        name(m, p, race.second, second, sizeof second);
    }
    snprintf(where, sizeof where, "byte %llu of %s%s%.160s", (unsigned long long)race.offset,
             spaces[race.space], race.space == CYG_NPU_IO ? " " : "",
             race.space == CYG_NPU_IO ? p->io[race.buffer].name : "");
    switch (race.kind) {
    case CYG_RACE_CONFLICT:
        return CYG_FAIL(ctx, CYG_E_CHECK,
                        "race: instructions %s and %s both touch %s, nothing orders them", first,
                        second, where);
    case CYG_RACE_OVERLAP:
        return CYG_FAIL(ctx, CYG_E_CHECK, "instruction %s writes %s, which it reads or writes, too",
                        first, where);
    case CYG_RACE_UNWRITTEN:
        return CYG_FAIL(ctx, CYG_E_CHECK, "instruction %s reads %s, which nobody wrote", first,
                        where);
    case CYG_RACE_UNFINISHED:
        break;
    }
    return CYG_FAIL(ctx, CYG_E_CHECK, "no instruction writes %s", where);
}
