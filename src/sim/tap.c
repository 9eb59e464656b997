/* Taking the outputs of steps while they are there: after each instruction that writes a piece of a
 * tensor, the bytes that it wrote go to the tensor's own memory, before anybody may write over
 * them. So the tensor is complete at the end whatever becomes of its place, in any order of
 * execution.
 *
 * Pieces keep their strides: a byte at `offset` of the place is byte `offset` of the tensor. */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "sim/parts.h"
#include "sim/window.h"

typedef struct take {
    const uint8_t *from; /* the place's memory, from its byte 0 */
    uint8_t *to;
    uint64_t base; /* of the place in its memory */
} take;

static bool take_run(void *user, uint64_t offset, uint64_t bytes)
{
    const take *c = user;
    memcpy(c->to + (offset - c->base), c->from + (offset - c->base), (size_t)bytes);
    return true;
}

void cyg_sim_tap_take(const cyg_sim *sim, uint32_t i)
{
    const uint32_t tap = sim->p->tap_of[i];
    if (tap == 0)
        return;
    const cyg_npu_tap *t = &sim->p->taps[tap - 1];
    const cyg_npu_view place = {.space = t->space, .buffer = t->buffer, .offset = t->offset};
    take c = {.from = cyg_sim_address(sim, &place), .to = sim->taps[tap - 1], .base = t->offset};
    cyg_window_walk_operand(sim->p, &sim->p->instrs[i], sim->p->instrs[i].in_count, take_run, &c);
}

/* ---- every byte of a tensor has a piece ---- */

typedef struct cover {
    uint8_t *written; /* by byte of the tensor */
    uint64_t base;
} cover;

static bool cover_run(void *user, uint64_t offset, uint64_t bytes)
{
    const cover *c = user;
    memset(c->written + (offset - c->base), 1, (size_t)bytes);
    return true;
}

/* Marks in the tensors' own memories, which are zeros at first and will be again. */
static cyg_status check_cover(cyg_ctx *ctx, const cyg_sim *sim)
{
    const cyg_npu_program *p = sim->p;
    for (uint32_t i = 0; i < p->instr_count; i++) {
        if (p->tap_of[i] == 0)
            continue;
        cover c = {sim->taps[p->tap_of[i] - 1], p->taps[p->tap_of[i] - 1].offset};
        cyg_window_walk_operand(p, &p->instrs[i], p->instrs[i].in_count, cover_run, &c);
    }
    for (uint32_t k = 0; k < p->tap_count; k++) {
        const uint8_t *hole = memchr(sim->taps[k], 0, (size_t)p->taps[k].bytes);
        if (hole != NULL)
            return CYG_FAIL(ctx, CYG_E_FORMAT,
                            "taps of an NPU program: nothing writes byte %zu of output %u of step "
                            "\"%s\"",
                            (size_t)(hole - sim->taps[k]), p->taps[k].output,
                            p->step_names[p->taps[k].step]);
        memset(sim->taps[k], 0, (size_t)p->taps[k].bytes);
    }
    return CYG_OK;
}

cyg_status cyg_sim_tap_open(cyg_ctx *ctx, cyg_sim *sim)
{
    const cyg_npu_program *p = sim->p;
    size_t all = 0;
    if (p->tap_count == 0)
        return CYG_FAIL(ctx, CYG_E_UNSUPPORTED,
                        "the package does not say where the results of its NPU steps lie: it was "
                        "built by an earlier cygnet, build it again");
    for (uint32_t k = 0; k < p->tap_count; k++)
        if (!cyg_add_size(all, cyg_align_up((size_t)p->taps[k].bytes, 64), &all))
            return CYG_FAIL(ctx, CYG_E_FORMAT, "taps of too many bytes");
    sim->taps = calloc((size_t)p->tap_count + 1, sizeof *sim->taps);
    sim->tap_room = all < SIZE_MAX / 2 ? all + 64 : all;
    sim->tap_memory = calloc(1, sim->tap_room);
    if (sim->taps == NULL || sim->tap_memory == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory for %zu bytes of results of NPU steps",
                        all);
    uint8_t *at = sim->tap_memory;
    for (uint32_t k = 0; k < p->tap_count; k++) {
        sim->taps[k] = at;
        at += cyg_align_up((size_t)p->taps[k].bytes, 64);
    }
    return check_cover(ctx, sim);
}

void cyg_sim_tap_close(cyg_sim *sim)
{
    free(sim->taps);
    free(sim->tap_memory);
}

static bool is_of(const cyg_npu_program *p, uint32_t k, uint32_t step, uint32_t output)
{
    return k < p->tap_count && p->taps[k].step == step && p->taps[k].output == output;
}

/* The number of the first tap of an output, or tap_count. */
static uint32_t find(const cyg_npu_program *p, uint32_t step, uint32_t output)
{
    uint32_t low = 0, high = p->tap_count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        const cyg_npu_tap *t = &p->taps[middle];
        if (t->step < step || (t->step == step && t->output < output))
            low = middle + 1;
        else
            high = middle;
    }
    return is_of(p, low, step, output) ? low : p->tap_count;
}

const void *cyg_sim_tapped(const cyg_sim *sim, uint32_t step, uint32_t output)
{
    const uint32_t k = find(sim->p, step, output);
    return sim->taps == NULL || k == sim->p->tap_count ? NULL : sim->taps[k];
}

const void *cyg_sim_tapped_copy(const cyg_sim *sim, uint32_t step, uint32_t output)
{
    const uint32_t k = find(sim->p, step, output) + 1;
    return sim->taps == NULL || !is_of(sim->p, k, step, output) ? NULL : sim->taps[k];
}

static bool misses_byte(void *user, uint64_t offset, uint64_t bytes)
{
    const uint64_t *wanted = user;
    return *wanted < offset || *wanted - offset >= bytes;
}

bool cyg_sim_tap_writer(const cyg_npu_program *p, uint32_t step, uint32_t output, bool copy,
                        uint64_t byte, uint32_t *out_instr)
{
    const uint32_t k = find(p, step, output) + copy;
    bool found = false;
    if (!is_of(p, k, step, output) || byte >= p->taps[k].bytes)
        return false;
    uint64_t wanted = p->taps[k].offset + byte;
    for (uint32_t i = 0; i < p->instr_count; i++)
        if (p->tap_of[i] == k + 1 &&
            !cyg_window_walk_operand(p, &p->instrs[i], p->instrs[i].in_count, misses_byte,
                                     &wanted)) {
            *out_instr = i;
            found = true;
        }
    return found;
}
