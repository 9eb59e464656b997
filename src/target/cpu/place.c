/* Places for activations. Every one gets one buffer from the step that writes it to the last step
 * that reads it; inputs and outputs live to the end, since the caller fills and reads them in place
 * and may run again on the same inputs; views extend the life of what they show. Steps that another
 * executor runs as one (a range) are one moment: whatever they touch is apart. */
#include <stdlib.h>

#include "plan/plan.h"
#include "target/cpu/cpu.h"

/* The tensor that owns t's bytes. */
static uint32_t owner_of(const cyg_program *p, uint32_t t)
{
    while (p->tensors[t].kind == CYG_TENSOR_ALIAS)
        t = (uint32_t)p->tensors[t].offset;
    return t;
}

static void touch(cyg_plan_buffer *buffers, const cyg_program *p, uint32_t tensor, uint32_t first,
                  uint32_t last)
{
    if (tensor == CYG_NO_TENSOR)
        return;
    cyg_plan_buffer *b = &buffers[owner_of(p, tensor)];
    b->first = first < b->first ? first : b->first;
    b->last = last > b->last ? last : b->last;
}

/* The last step of the range that step i begins, or i itself. */
static uint32_t end_of(const cyg_target_range *ranges, uint32_t count, uint32_t i)
{
    for (uint32_t k = 0; k < count; k++)
        if (ranges[k].first <= i && i <= ranges[k].last)
            return ranges[k].last;
    return i;
}

static uint32_t begin_of(const cyg_target_range *ranges, uint32_t count, uint32_t i)
{
    for (uint32_t k = 0; k < count; k++)
        if (ranges[k].first <= i && i <= ranges[k].last)
            return ranges[k].first;
    return i;
}

static bool has_place(const cyg_tensor *t)
{
    return t->kind != CYG_TENSOR_CONST && t->kind != CYG_TENSOR_ALIAS &&
           t->kind != CYG_TENSOR_INNER;
}

cyg_status cyg_target_place(cyg_ctx *ctx, cyg_program *p, const cyg_target_range *ranges,
                            uint32_t range_count, cyg_arena *arena)
{
    cyg_plan_buffer *all = CYG_NEW_ARRAY(arena, cyg_plan_buffer, p->tensor_count + 1);
    cyg_plan_buffer *used = CYG_NEW_ARRAY(arena, cyg_plan_buffer, p->tensor_count + 1);
    if (all == NULL || used == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory while placing activations");
    for (uint32_t i = 0; i < p->tensor_count; i++)
        all[i].first = UINT32_MAX;
    for (uint32_t i = 0; i < p->step_count; i++) {
        const uint32_t first = begin_of(ranges, range_count, i),
                       last = end_of(ranges, range_count, i);
        for (uint32_t k = 0; k < p->steps[i].in_count; k++)
            touch(all, p, p->steps[i].in[k], first, last);
        for (uint32_t k = 0; k < p->steps[i].out_count; k++)
            touch(all, p, p->steps[i].out[k], first, last);
    }
    for (uint32_t i = 0; i < p->input_count; i++) {
        touch(all, p, p->inputs[i], 0, p->step_count);
    }
    for (uint32_t i = 0; i < p->output_count; i++)
        touch(all, p, p->outputs[i], p->step_count, p->step_count);
    size_t count = 0;
    for (uint32_t i = 0; i < p->tensor_count; i++) {
        const cyg_tensor *t = &p->tensors[i];
        if (!has_place(t))
            continue;
        used[count] = all[i];
        used[count].size = cyg_tensor_bytes(t);
        if (used[count].first ==
            UINT32_MAX) /* never read: still needs bytes of its own for a moment */
            used[count].first = used[count].last = 0;
        count++;
    }
    CYG_DO(cyg_plan_place(ctx, used, count, 64, &p->arena_bytes));
    count = 0;
    for (uint32_t i = 0; i < p->tensor_count; i++)
        if (has_place(&p->tensors[i]))
            p->tensors[i].arena_offset = used[count++].offset;
    return CYG_OK;
}
