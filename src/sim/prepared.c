/* Packed weights that are still good.
 *
 * Kernels want weights packed for the ISA level, and a program that tiles rows finely runs the same
 * weights hundreds of times. So what prepare made is kept, in a ring of bytes, for as long as
 * nobody writes where it came from: of every 64 bytes of the OCM the number of the last instruction
 * that wrote there is known. That a program writes weights while they are in use changes nothing
 * then, whatever the order. */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/type.h"
#include "sim/parts.h"

enum { GRAIN = 64, RING = 16 << 20 };

/* Inputs that prepare reads: weights, bias, scale, high weights; not x, not the residual. */
static bool is_prepared(uint32_t input)
{
    return input != 0 && input != 4;
}

static uint32_t newest(const cyg_sim *sim, const cyg_npu_view *v)
{
    const uint64_t first = v->offset / GRAIN,
                   end = (v->offset + cyg_npu_view_extent(v) + GRAIN - 1) / GRAIN;
    uint32_t most = 0;
    for (uint64_t i = first; i < end; i++)
        most = sim->written[i] > most ? sim->written[i] : most;
    return most;
}

void cyg_sim_note_write(cyg_sim *sim, const cyg_npu_view *v)
{
    const uint64_t extent = v->space == CYG_NPU_OCM ? cyg_npu_view_extent(v) : 0;
    if (extent == 0)
        return;
    const uint64_t first = v->offset / GRAIN, end = (v->offset + extent + GRAIN - 1) / GRAIN;
    for (uint64_t i = first; i < end; i++)
        sim->written[i] = sim->now;
}

/* The same prepare call: operator, parameters, what it reads, and the shapes that it may look at
 * (all but the number of rows). */
static bool is_like(const cyg_npu_instr *a, const cyg_npu_instr *b)
{
    if (a->op != b->op || a->in_count != b->in_count || a->params_size != b->params_size ||
        (a->params_size > 0 && memcmp(a->params, b->params, a->params_size) != 0))
        return false;
    for (uint32_t i = 0; i < (uint32_t)a->in_count + a->out_count; i++) {
        const cyg_npu_view *x = &a->operands[i], *y = &b->operands[i];
        if (i < a->in_count && is_prepared(i)) {
            if (memcmp(x, y, sizeof *x) != 0)
                return false;
        } else if (x->type != y->type || x->rank != y->rank ||
                   (x->rank > 1 &&
                    memcmp(x->dims + 1, y->dims + 1, (x->rank - 1u) * sizeof *x->dims) != 0)) {
            return false;
        }
    }
    return true;
}

static bool is_good(const cyg_sim *sim, const cyg_sim_prepared *e)
{
    for (uint32_t i = 0; i < e->instr->in_count; i++)
        if (is_prepared(i) && e->instr->operands[i].type != CYG_TYPE_NONE &&
            newest(sim, &e->instr->operands[i]) >= e->made) /* by itself, too */
            return false;
    return true;
}

const uint8_t *cyg_sim_prepared_find(cyg_sim *sim, const cyg_npu_instr *instr, size_t size)
{
    for (uint32_t i = 0; i < CYG_SIM_PREPARED; i++) {
        cyg_sim_prepared *e = &sim->prepared[i];
        if (e->instr == NULL || e->size != size || !is_like(e->instr, instr))
            continue;
        if (is_good(sim, e))
            return sim->ring + e->at;
        e->instr = NULL;
    }
    return NULL;
}

uint8_t *cyg_sim_prepared_add(cyg_sim *sim, const cyg_npu_instr *instr, size_t size)
{
    const size_t room = cyg_align_up(size, 64);
    if (sim->ring_at + room > sim->ring_room)
        sim->ring_at = 0;
    const size_t at = sim->ring_at;
    for (uint32_t i = 0; i < CYG_SIM_PREPARED; i++) {
        cyg_sim_prepared *e = &sim->prepared[i];
        if (e->instr != NULL && e->at < at + room && at < e->at + cyg_align_up(e->size, 64))
            e->instr = NULL;
    }
    sim->prepared[sim->prepared_next] = (cyg_sim_prepared){instr, at, size, sim->now};
    sim->prepared_next = (sim->prepared_next + 1) % CYG_SIM_PREPARED;
    sim->ring_at = at + room;
    return sim->ring + at;
}

void cyg_sim_prepared_forget(cyg_sim *sim)
{
    memset(sim->prepared, 0, sizeof sim->prepared);
    memset(sim->written, 0, sim->written_count * sizeof *sim->written);
    sim->now = 0;
    sim->ring_at = 0;
}

bool cyg_sim_prepared_open(cyg_sim *sim, size_t largest)
{
    const size_t room = cyg_align_up(largest, 64);
    sim->ring_room = room < RING / 8 ? 8 * room : room < RING ? RING : room;
    sim->written_count = (size_t)(sim->p->ocm_bytes / GRAIN + 2);
    sim->ring = aligned_alloc(64, sim->ring_room + 64);
    sim->written = calloc(sim->written_count, sizeof *sim->written);
    return sim->ring != NULL && sim->written != NULL;
}

void cyg_sim_prepared_close(cyg_sim *sim)
{
    free(sim->ring);
    free(sim->written);
}
