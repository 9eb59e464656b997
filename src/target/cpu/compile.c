/* target/cpu: lower, then place (place.c). */
#include "target/cpu/cpu.h"

#include "kernels/call.h"
#include "lower/lower.h"

cyg_status cyg_target_cpu_compile(cyg_ctx *ctx, const cyg_graph *g, cyg_arena *arena,
                                  cyg_program *out_program, cyg_cpu_report *out_report)
{
    *out_report = (cyg_cpu_report){0};
    CYG_TRY(ctx, cyg_lower_graph(ctx, g, arena, out_program), "while lowering for the CPU");
    CYG_DO(cyg_target_place(ctx, out_program, NULL, 0, arena));
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
