/* target/cpu: lower, then place. Every activation gets one buffer from the step that writes it to
 * the last step that reads it; inputs and outputs live to the end, since the caller fills and
 * reads them in place and may run again on the same inputs; views extend the life of what they
 * show. */
#include "target/cpu/cpu.h"

#include <stdlib.h>

#include "kernels/call.h"
#include "lower/lower.h"
#include "plan/plan.h"

/* The tensor that owns t's bytes. */
static uint32_t owner_of(const cyg_program *p, uint32_t t)
{
    while (p->tensors[t].kind == CYG_TENSOR_ALIAS)
        t = (uint32_t)p->tensors[t].offset;
    return t;
}

static void touch(cyg_plan_buffer *buffers, const cyg_program *p, uint32_t tensor, uint32_t step)
{
    if (tensor == CYG_NO_TENSOR)
        return;
    cyg_plan_buffer *b = &buffers[owner_of(p, tensor)];
    b->first = step < b->first ? step : b->first;
    b->last = step > b->last ? step : b->last;
}

static cyg_status place(cyg_ctx *ctx, cyg_program *p, cyg_arena *arena)
{
    cyg_plan_buffer *all = CYG_NEW_ARRAY(arena, cyg_plan_buffer, p->tensor_count + 1);
    cyg_plan_buffer *used = CYG_NEW_ARRAY(arena, cyg_plan_buffer, p->tensor_count + 1);
    if (all == NULL || used == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory while placing activations");
    for (uint32_t i = 0; i < p->tensor_count; i++)
        all[i].first = UINT32_MAX;
    for (uint32_t i = 0; i < p->step_count; i++) {
        for (uint32_t k = 0; k < p->steps[i].in_count; k++)
            touch(all, p, p->steps[i].in[k], i);
        for (uint32_t k = 0; k < p->steps[i].out_count; k++)
            touch(all, p, p->steps[i].out[k], i);
    }
    for (uint32_t i = 0; i < p->input_count; i++) {
        touch(all, p, p->inputs[i], 0);
        touch(all, p, p->inputs[i], p->step_count);
    }
    for (uint32_t i = 0; i < p->output_count; i++)
        touch(all, p, p->outputs[i], p->step_count);
    size_t count = 0;
    for (uint32_t i = 0; i < p->tensor_count; i++) {
        const cyg_tensor *t = &p->tensors[i];
        if (t->kind == CYG_TENSOR_CONST || t->kind == CYG_TENSOR_ALIAS)
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
        if (p->tensors[i].kind != CYG_TENSOR_CONST && p->tensors[i].kind != CYG_TENSOR_ALIAS)
            p->tensors[i].arena_offset = used[count++].offset;
    return CYG_OK;
}

cyg_status cyg_target_cpu_compile(cyg_ctx *ctx, const cyg_graph *g, cyg_arena *arena,
                                  cyg_program *out_program, cyg_cpu_report *out_report)
{
    *out_report = (cyg_cpu_report){0};
    CYG_TRY(ctx, cyg_lower_graph(ctx, g, arena, out_program), "while lowering for the CPU");
    CYG_DO(place(ctx, out_program, arena));
    out_report->steps = out_program->step_count;
    out_report->arena_bytes = out_program->arena_bytes;
    for (uint32_t i = 0; i < out_program->step_count; i++) {
        const bool integer = out_program->steps[i].op >= CYG_KOP_i_linear;
        out_report->integer_steps += integer;
        out_report->float_steps += !integer && out_program->steps[i].op < CYG_KOP_copy;
        out_report->macs += out_program->steps[i].macs;
    }
    for (uint32_t i = 0; i < out_program->tensor_count; i++)
        if (out_program->tensors[i].kind == CYG_TENSOR_CONST)
            out_report->weight_bytes += cyg_tensor_bytes(&out_program->tensors[i]);
    return CYG_OK;
}

cyg_status cyg_target_check_graph(cyg_ctx *ctx, const cyg_graph *g)
{
    return cyg_lower_check(ctx, g);
}
