/* The run of a whole program: event driven.
 *
 * Every engine is idle, waiting for a known moment, computing until a known moment, or moving bytes
 * over the DDR. Transfers in flight share the DDR evenly, each up to one transfer's own limit; when
 * one begins or ends, the others' rates change. So time goes from event to event; between two
 * events all rates are constant.
 *
 * Numbers are integers throughout: cycles, and bytes in 65,536ths, with rates rounded down once
 * when the run begins. Two events of the same cycle are handled in the order of engines. The same
 * program gives the same cycles on every machine. */
#include "npu/timing.h"

#include <math.h>
#include <string.h>

enum { FRACTION = 16 }; /* bits of a byte's fraction */
#define NEVER INT64_MAX

typedef enum state {
    BLOCKED, /* waits for an instruction that has not ended */
    READY,   /* starts at `when` */
    BUSY,    /* ends at `when`, or begins to move its bytes then */
    MOVING,  /* `left` of the DDR */
    DONE,    /* queue empty */
} state;

typedef struct engine {
    const uint32_t *queue; /* its instructions */
    uint32_t count, done;
    state state;
    int64_t when;
    int64_t left; /* bytes << FRACTION */
} engine;

typedef struct run {
    const cyg_npu_machine *m;
    const cyg_npu_program *p;
    engine engines[CYG_NPU_MAX_ENGINES];
    uint32_t engine_count, moving;
    int64_t now;
    int64_t rate_all, rate_one; /* bytes << FRACTION a cycle */
    const cyg_npu_cost *costs;
    cyg_npu_span *spans;
    uint32_t *blocked_by;
} run;

int64_t cyg_npu_alone(const cyg_npu_machine *m, const cyg_npu_cost *cost)
{
    const int64_t rate = (int64_t)floor(m->ddr_stream_bytes * (1 << FRACTION));
    const int64_t left = cost->ddr_bytes << FRACTION;
    return cost->cycles + left / rate + (left % rate != 0);
}

static int64_t share(const run *r)
{
    const int64_t even = r->moving == 0 ? r->rate_all : r->rate_all / r->moving;
    return even < r->rate_one ? even : r->rate_one;
}

static int64_t ceil_div(int64_t a, int64_t b)
{
    return a / b + (a % b != 0);
}

/* The engine's next instruction: when may it start, and what holds it until then? Stays BLOCKED
 * while something that it waits for has not ended. */
static void look(run *r, uint32_t index)
{
    engine *e = &r->engines[index];
    if (e->done == e->count) {
        e->state = DONE;
        return;
    }
    const uint32_t at = e->queue[e->done];
    const cyg_npu_instr *instr = &r->p->instrs[at];
    int64_t start = r->m->call / 2;
    uint32_t by = at;
    e->state = BLOCKED;
    if (e->done > 0) {
        by = e->queue[e->done - 1];
        start = r->spans[by].end;
    }
    for (uint32_t i = 0; i < instr->wait_count; i++) {
        const engine *other = &r->engines[instr->waits[i].engine];
        const uint32_t count = instr->waits[i].count;
        if (other->done < count)
            return;
        if (count == 0)
            continue;
        const int64_t end = r->spans[other->queue[count - 1]].end + r->m->wait;
        if (end > start) {
            start = end;
            by = other->queue[count - 1];
        }
    }
    e->state = READY;
    e->when = start;
    r->blocked_by[at] = by;
}

static void finish(run *r, uint32_t index)
{
    engine *e = &r->engines[index];
    r->spans[e->queue[e->done]].end = r->now;
    e->done++;
    look(r, index);
    for (uint32_t i = 0; i < r->engine_count; i++)
        if (r->engines[i].state == BLOCKED)
            look(r, i);
}

/* The moment of the engine's next event at the present rates. */
static int64_t next_event(const run *r, const engine *e, int64_t rate)
{
    switch (e->state) {
    case READY:
    case BUSY:
        return e->when;
    case MOVING:
        return r->now + ceil_div(e->left, rate);
    case BLOCKED:
    case DONE:
        break;
    }
    return NEVER;
}

static void step(run *r, uint32_t index)
{
    engine *e = &r->engines[index];
    const uint32_t at = e->done < e->count ? e->queue[e->done] : 0;
    switch (e->state) {
    case READY:
        r->spans[at].start = r->now;
        e->state = BUSY;
        e->when = r->now + r->costs[at].cycles;
        if (e->when > r->now)
            break;
        /* fall through */
    case BUSY:
        if (r->costs[at].ddr_bytes > 0) {
            e->state = MOVING;
            e->left = r->costs[at].ddr_bytes << FRACTION;
            r->moving++;
        } else {
            finish(r, index);
        }
        break;
    case MOVING:
        r->moving--;
        finish(r, index);
        break;
    case BLOCKED:
    case DONE:
        break;
    }
}

/* One moment: time goes on to the next event, then everything that is due happens. False at the
 * end. */
static bool advance(run *r)
{
    if (r->now > CYG_NPU_MOST_RUN)
        return false;
    const int64_t rate = share(r);
    int64_t next = NEVER;
    for (uint32_t i = 0; i < r->engine_count; i++) {
        const int64_t event = next_event(r, &r->engines[i], rate);
        next = event < next ? event : next;
    }
    if (next == NEVER)
        return false;
    const int64_t passed = next > r->now ? next - r->now : 0;
    for (uint32_t i = 0; i < r->engine_count; i++) {
        engine *e = &r->engines[i];
        if (e->state == MOVING)
            e->left = passed <= e->left / rate ? e->left - passed * rate : 0;
    }
    r->now += passed;
    for (uint32_t i = 0; i < r->engine_count; i++) {
        const engine *e = &r->engines[i];
        if ((e->state == MOVING && e->left == 0) ||
            ((e->state == READY || e->state == BUSY) && e->when <= r->now))
            step(r, i);
    }
    return true;
}

/* Queues: instruction numbers by engine, in order. */
static bool make_queues(run *r, cyg_arena *arena)
{
    uint32_t *all = CYG_NEW_ARRAY(arena, uint32_t, r->p->instr_count + 1);
    uint32_t counts[CYG_NPU_MAX_ENGINES] = {0}, *queues[CYG_NPU_MAX_ENGINES];
    if (all == NULL)
        return false;
    for (uint32_t i = 0; i < r->p->instr_count; i++)
        counts[r->p->instrs[i].engine]++;
    for (uint32_t i = 0; i < r->engine_count; i++) {
        queues[i] = all;
        r->engines[i] = (engine){.queue = all, .count = counts[i]};
        all += counts[i];
    }
    for (uint32_t i = 0; i < r->p->instr_count; i++)
        *queues[r->p->instrs[i].engine]++ = i;
    return true;
}

static void sum_up(const run *r, cyg_npu_timing *t)
{
    for (uint32_t i = 0; i < r->p->instr_count; i++) {
        const cyg_npu_instr *instr = &r->p->instrs[i];
        t->busy[instr->engine] += r->spans[i].end - r->spans[i].start;
        t->macs += r->costs[i].macs;
        if (instr->op == CYG_NPU_OP_ST || instr->op == CYG_NPU_OP_STX)
            t->ddr_written += r->costs[i].ddr_bytes;
        else
            t->ddr_read += r->costs[i].ddr_bytes;
        if (r->spans[i].end > t->cycles)
            t->cycles = r->spans[i].end;
    }
    t->cycles += r->m->call - (r->p->instr_count == 0 ? 0 : r->m->call / 2);
    const double most = (double)(r->m->conv_in * r->m->conv_out) *
                        cyg_npu_engines_of(r->m, CYG_NPU_CONV) * (double)t->cycles;
    t->conv_utilisation = most > 0 ? (double)r->p->macs / most : 0;
}

cyg_status cyg_npu_time(cyg_ctx *ctx, const cyg_npu_machine *m, const cyg_npu_program *p,
                        cyg_arena *arena, cyg_npu_timing *out_timing)
{
    run r = {.m = m, .p = p, .engine_count = cyg_npu_engine_count(m)};
    cyg_npu_cost *costs = CYG_NEW_ARRAY(arena, cyg_npu_cost, p->instr_count + 1);
    r.spans = CYG_NEW_ARRAY(arena, cyg_npu_span, p->instr_count + 1);
    r.blocked_by = CYG_NEW_ARRAY(arena, uint32_t, p->instr_count + 1);
    if (costs == NULL || r.spans == NULL || r.blocked_by == NULL || !make_queues(&r, arena))
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    for (uint32_t i = 0; i < p->instr_count; i++)
        costs[i] = cyg_npu_cost_of(m, &p->instrs[i]);
    r.costs = costs;
    r.rate_all = (int64_t)floor(m->ddr_bytes * (1 << FRACTION));
    r.rate_one = (int64_t)floor(m->ddr_stream_bytes * (1 << FRACTION));
    for (uint32_t i = 0; i < r.engine_count; i++)
        look(&r, i);
    while (advance(&r))
        ;
    if (r.now > CYG_NPU_MOST_RUN)
        return CYG_FAIL(ctx, CYG_E_FORMAT, "the program takes more cycles than can be counted");
    for (uint32_t i = 0; i < r.engine_count; i++)
        if (r.engines[i].state != DONE)
            return CYG_FAIL(ctx, CYG_E_FORMAT,
                            "deadlock: instruction %u on %s waits for what never ends",
                            r.engines[i].queue[r.engines[i].done], cyg_npu_engine_at(m, i).lane);
    *out_timing = (cyg_npu_timing){.spans = r.spans, .blocked_by = r.blocked_by};
    sum_up(&r, out_timing);
    return CYG_OK;
}
