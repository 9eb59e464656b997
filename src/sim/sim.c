/* The simulator's life and its loop: see sim.h. One instruction at a time, each whole; which one
 * is next is the order's choice among the heads of the engines' queues whose waits are over. */
#include "sim/sim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/type.h"
#include "kernels/dispatch.h"
#include "sim/parts.h"
#include "sim/race.h"

/* ---- options ---- */

cyg_status cyg_sim_order_parse(cyg_ctx *ctx, const char *text, cyg_sim_options *out_options)
{
    static const char *const names[] = {
#define CYG_SIM_ORDER(id, name, text) name,
        CYG_SIM_ORDERS(CYG_SIM_ORDER)
#undef CYG_SIM_ORDER
    };
    const char *colon = strchr(text, ':');
    const size_t length = colon != NULL ? (size_t)(colon - text) : strlen(text);
    for (size_t i = 0; i < CYG_COUNT(names); i++) {
        if (strlen(names[i]) != length || memcmp(names[i], text, length) != 0)
            continue;
        char *end = NULL;
        const bool seeded = i == CYG_SIM_RANDOM || i == CYG_SIM_STARVE;
        out_options->order = (cyg_sim_order)i;
        errno = 0;
        out_options->seed = colon != NULL ? strtoull(colon + 1, &end, 10) : 1;
        if (colon == NULL ||
            (seeded && colon[1] >= '0' && colon[1] <= '9' && *end == '\0' && errno == 0))
            return CYG_OK;
    }
    return CYG_FAIL(ctx, CYG_E_USAGE,
                    "\"%s\" is no order of simulation: program, reverse, random:SEED or "
                    "starve:SEED, with a SEED below 2^64",
                    text);
}

/* ---- life ---- */

static cyg_status refuse(cyg_ctx *ctx, const cyg_sim *sim, uint32_t i, cyg_status status,
                         const char *why)
{
    const cyg_npu_instr *instr = &sim->p->instrs[i];
    return CYG_FAIL(ctx, status, "instruction %u, %s of step \"%s\", tile %u: %s", i,
                    cyg_npu_op_info_of(instr->op)->mnemonic, sim->p->step_names[instr->step],
                    instr->tile, why);
}

static cyg_status take_memories(cyg_ctx *ctx, cyg_sim *sim)
{
    sim->ocm_room = cyg_align_up(sim->p->ocm_bytes + 64, 64);
    sim->swap_room = cyg_align_up(sim->p->swap_bytes + 64, 64);
    sim->ocm = aligned_alloc(64, sim->ocm_room);
    sim->swap = aligned_alloc(64, sim->swap_room);
    sim->io = calloc((size_t)sim->p->io_count + 1, sizeof *sim->io);
    if (sim->ocm == NULL || sim->swap == NULL || sim->io == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM,
                        "out of memory for an NPU with %zu bytes of OCM and %zu of swap",
                        sim->ocm_room, sim->swap_room);
    memset(sim->ocm, 0, sim->ocm_room);
    if (sim->p->swap_bytes > 0)
        memset(sim->swap, 0, sim->swap_room);
    return CYG_OK;
}

static cyg_status build_queues(cyg_ctx *ctx, cyg_sim *sim)
{
    const cyg_npu_program *p = sim->p;
    sim->engine_count = cyg_npu_engine_count(sim->m);
    for (uint32_t i = 0; i < p->instr_count; i++)
        sim->queued[p->instrs[i].engine]++;
    for (uint32_t e = 0; e < sim->engine_count; e++) {
        sim->queue[e] = CYG_NEW_ARRAY(&sim->arena, uint32_t, (size_t)sim->queued[e] + 1);
        if (sim->queue[e] == NULL)
            return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory for the queues of an NPU program");
        sim->queued[e] = 0;
    }
    for (uint32_t i = 0; i < p->instr_count; i++) {
        const uint32_t e = p->instrs[i].engine;
        sim->queue[e][sim->queued[e]++] = i;
    }
    return CYG_OK;
}

/* Every instruction is checked by its kernel; the scratch is as large as the largest needs. */
static cyg_status check_instrs(cyg_ctx *ctx, cyg_sim *sim)
{
    size_t prepared = 0;
    for (uint32_t i = 0; i < sim->p->instr_count; i++) {
        const cyg_npu_instr *instr = &sim->p->instrs[i];
        size_t room;
        if (cyg_npu_op_info_of(instr->op)->kop == 0) {
            room = cyg_sim_move_scratch(instr);
        } else {
            cyg_sim_call call;
            const char *why = cyg_sim_call_make(sim, instr, true, &call);
            if (why != NULL)
                return refuse(ctx, sim, i, CYG_E_FORMAT, why);
            room = call.scratch_bytes;
            prepared = call.prepared_bytes > prepared ? call.prepared_bytes : prepared;
        }
        sim->scratch_room = room > sim->scratch_room ? room : sim->scratch_room;
    }
    sim->scratch_room = cyg_align_up(sim->scratch_room + 64, 64);
    sim->scratch = aligned_alloc(64, sim->scratch_room);
    if (!cyg_sim_prepared_open(sim, prepared) || sim->scratch == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory for %zu bytes of scratch",
                        sim->scratch_room + sim->ring_room);
    return CYG_OK;
}

static cyg_status open_sim(cyg_ctx *ctx, cyg_sim *sim)
{
    CYG_DO(cyg_npu_program_check(ctx, sim->m, sim->p));
    CYG_DO(take_memories(ctx, sim));
    CYG_DO(build_queues(ctx, sim));
    CYG_DO(check_instrs(ctx, sim));
    if (sim->options.check)
        CYG_DO(cyg_race_check(ctx, sim->m, sim->p));
    if (sim->options.taps)
        CYG_DO(cyg_sim_tap_open(ctx, sim));
    return cyg_npu_time(ctx, sim->m, sim->p, &sim->arena, &sim->timing);
}

cyg_status cyg_sim_create(cyg_ctx *ctx, const cyg_npu_machine *m, const cyg_npu_program *p,
                          const cyg_sim_options *options, cyg_pool *pool, int level,
                          cyg_sim **out_sim)
{
    cyg_sim *sim = calloc(1, sizeof *sim);
    *out_sim = NULL;
    if (sim == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory for a simulator");
    sim->m = m;
    sim->p = p;
    sim->pool = pool;
    sim->isa = cyg_kernels_for(level);
    if (options != NULL)
        sim->options = *options;
    cyg_arena_init(&sim->arena);
    const cyg_status status = open_sim(ctx, sim);
    if (status != CYG_OK) {
        cyg_sim_destroy(sim);
        return status;
    }
    *out_sim = sim;
    return CYG_OK;
}

void cyg_sim_destroy(cyg_sim *sim)
{
    if (sim == NULL)
        return;
    cyg_arena_deinit(&sim->arena);
    cyg_sim_prepared_close(sim);
    cyg_sim_tap_close(sim);
    free(sim->ocm);
    free(sim->swap);
    free(sim->scratch);
    free(sim->io);
    free(sim);
}

void cyg_sim_bind(cyg_sim *sim, uint32_t i, void *data)
{
    if (i < sim->p->io_count)
        sim->io[i] = data;
}

const cyg_npu_timing *cyg_sim_timing(const cyg_sim *sim)
{
    return &sim->timing;
}

size_t cyg_sim_memory(const cyg_sim *sim)
{
    return sim->ocm_room + sim->swap_room + sim->scratch_room + sim->ring_room + sim->tap_room +
           sim->written_count * sizeof *sim->written + sim->arena.used;
}

/* ---- running ---- */

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state * 0x2545f4914f6cdd1du;
}

/* Never zero, different for neighbouring seeds. */
static uint64_t seeded(uint64_t seed)
{
    return (seed + 1) * 0x9e3779b97f4a7c15u | 1;
}

static void fill_garbage(uint8_t *to, uint64_t bytes, uint64_t seed)
{
    uint64_t state = seeded(seed);
    for (uint64_t i = 0; i < bytes; i += 8) {
        const uint64_t word = next_random(&state);
        memcpy(to + i, &word, bytes - i < 8 ? (size_t)(bytes - i) : 8);
    }
}

/* A checking run begins with memories in which nothing makes sense, another nonsense each time. */
static void spoil(const cyg_sim *sim)
{
    const cyg_npu_program *p = sim->p;
    fill_garbage(sim->ocm, p->ocm_bytes, sim->options.seed + 3 * sim->runs);
    fill_garbage(sim->swap, p->swap_bytes, sim->options.seed + 3 * sim->runs + 1);
    for (uint32_t i = 0; i < p->io_count; i++)
        if (p->io[i].is_output)
            fill_garbage(sim->io[i], p->io[i].bytes, sim->options.seed + 3 * sim->runs + 2);
}

typedef struct progress {
    uint32_t done[CYG_NPU_MAX_ENGINES];
    uint32_t total;
    uint64_t random;
} progress;

static bool may_start(const cyg_sim *sim, const progress *g, uint32_t engine)
{
    if (g->done[engine] == sim->queued[engine])
        return false;
    const cyg_npu_instr *instr = &sim->p->instrs[sim->queue[engine][g->done[engine]]];
    for (uint32_t i = 0; i < instr->wait_count; i++)
        if (g->done[instr->waits[i].engine] < instr->waits[i].count)
            return false;
    return true;
}

/* The engine whose head is next; the check of the program says that there is one. */
static uint32_t choose(const cyg_sim *sim, progress *g)
{
    uint32_t ready[CYG_NPU_MAX_ENGINES], count = 0, best = 0;
    for (uint32_t e = 0; e < sim->engine_count; e++)
        if (may_start(sim, g, e))
            ready[count++] = e;
    if (sim->options.order == CYG_SIM_RANDOM)
        return ready[next_random(&g->random) % count];
    const uint32_t starved = (uint32_t)(sim->options.seed % sim->engine_count);
    for (uint32_t i = 1; i < count; i++) {
        const uint32_t a = sim->queue[ready[best]][g->done[ready[best]]],
                       b = sim->queue[ready[i]][g->done[ready[i]]];
        const bool wins = sim->options.order == CYG_SIM_STARVE && ready[best] == starved ? true
                          : sim->options.order == CYG_SIM_STARVE && ready[i] == starved  ? false
                          : sim->options.order == CYG_SIM_REVERSE                        ? b > a
                                                                                         : b < a;
        best = wins ? i : best;
    }
    return ready[best];
}

static cyg_status execute(cyg_ctx *ctx, cyg_sim *sim, uint32_t i)
{
    const cyg_npu_instr *instr = &sim->p->instrs[i];
    sim->now++;
    if (cyg_npu_op_info_of(instr->op)->kop == 0) {
        cyg_sim_move(sim, instr);
    } else {
        /* Tables of 1,025 nodes: only their data show that they hold 16-bit numbers. */
        cyg_sim_call call;
        const char *why = cyg_sim_call_make(sim, instr, instr->op == CYG_NPU_OP_TENG_LUT16, &call);
        if (why != NULL)
            return refuse(ctx, sim, i, CYG_E_CHECK, why);
        cyg_sim_call_run(sim, &call);
    }
    for (uint32_t k = 0; k < instr->out_count; k++)
        cyg_sim_note_write(sim, &instr->operands[instr->in_count + k]);
    if (sim->taps != NULL)
        cyg_sim_tap_take(sim, i);
    return CYG_OK;
}

cyg_status cyg_sim_run(cyg_ctx *ctx, cyg_sim *sim)
{
    progress g = {.random = seeded(sim->options.seed)};
    for (uint32_t i = 0; i < sim->p->io_count; i++)
        if (sim->io[i] == NULL)
            return CYG_FAIL(ctx, CYG_E_USAGE, "tensor \"%s\" of an NPU program has no memory",
                            sim->p->io[i].name);
    if (sim->options.check)
        spoil(sim);
    if (sim->options.check || sim->now > UINT32_MAX / 2)
        cyg_sim_prepared_forget(sim);
    sim->runs++;
    for (; g.total < sim->p->instr_count; g.total++) {
        if (sim->options.order == CYG_SIM_PROGRAM) {
            CYG_DO(execute(ctx, sim, g.total));
            continue;
        }
        const uint32_t e = choose(sim, &g);
        CYG_DO(execute(ctx, sim, sim->queue[e][g.done[e]++]));
    }
    return CYG_OK;
}
