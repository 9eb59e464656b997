/* Programs in packages: the code, and the machine that it is for as a text, so that a package says
 * all that its cycles depend on. */
#include "npu/subgraph.h"

#include <string.h>

#include "npu/code.h"
#include "npu/tap.h"

cyg_status cyg_npu_subgraph_make(cyg_ctx *ctx, const cyg_npu_machine *m, const cyg_npu_program *p,
                                 cyg_arena *arena, cyg_subgraph *out_subgraph)
{
    cyg_strbuf code = {0}, taps = {0}, machine = {0};
    cyg_status status = cyg_npu_encode(ctx, p, &code);
    if (status == CYG_OK)
        status = cyg_npu_taps_encode(ctx, p, &taps);
    cyg_npu_machine_print(m, &machine);
    cyg_subgraph_tensor *tensors = CYG_NEW_ARRAY(arena, cyg_subgraph_tensor, p->io_count + 1);
    void *code_copy = cyg_arena_memdup(arena, code.data, code.len),
         *taps_copy = cyg_arena_memdup(arena, taps.data, taps.len),
         *machine_copy = cyg_arena_memdup(arena, machine.data, machine.len);
    if (status == CYG_OK && (machine.failed || tensors == NULL || code_copy == NULL ||
                             taps_copy == NULL || machine_copy == NULL))
        status = CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory for an NPU program");
    for (uint32_t i = 0; status == CYG_OK && i < p->io_count; i++)
        tensors[i] = (cyg_subgraph_tensor){p->io[i].tensor, p->io[i].is_output};
    out_subgraph->executor = CYG_NPU_EXECUTOR;
    out_subgraph->tensors = tensors;
    out_subgraph->tensor_count = p->io_count;
    out_subgraph->machine = machine_copy;
    out_subgraph->machine_size = machine.len;
    out_subgraph->code = code_copy;
    out_subgraph->code_size = code.len;
    out_subgraph->taps = taps_copy;
    out_subgraph->taps_size = taps.len;
    out_subgraph->params = p->params;
    out_subgraph->params_size = (size_t)p->param_bytes;
    cyg_strbuf_deinit(&code);
    cyg_strbuf_deinit(&taps);
    cyg_strbuf_deinit(&machine);
    return status;
}

cyg_status cyg_npu_subgraph_open(cyg_ctx *ctx, const cyg_subgraph *g, cyg_arena *arena,
                                 cyg_npu_machine *out_machine, cyg_npu_program *out_program)
{
    CYG_TRY(
        ctx,
        cyg_npu_machine_parse(ctx, arena, g->name, g->machine, g->machine_size, NULL, out_machine),
        "the machine's description in the package is none for this cygnet: build it again");
    CYG_DO(
        cyg_npu_decode(ctx, g->code, g->code_size, g->params, g->params_size, arena, out_program));
    if (out_program->machine_hash != cyg_npu_machine_hash(out_machine) ||
        strcmp(out_program->chip, out_machine->chip) != 0 ||
        strcmp(out_program->mode, out_machine->mode) != 0)
        return CYG_FAIL(
            ctx, CYG_E_FORMAT,
            "an NPU program for %s %s (%016llx) with the description of %s %s (%016llx)",
            out_program->chip, out_program->mode, (unsigned long long)out_program->machine_hash,
            out_machine->chip, out_machine->mode,
            (unsigned long long)cyg_npu_machine_hash(out_machine));
    bool same = out_program->io_count == g->tensor_count;
    for (uint32_t i = 0; same && i < g->tensor_count; i++)
        same = out_program->io[i].tensor == g->tensors[i].tensor &&
               out_program->io[i].is_output == g->tensors[i].is_output;
    if (!same)
        return CYG_FAIL(ctx, CYG_E_FORMAT,
                        "an NPU program's tensors are not those of its subgraph");
    if (g->taps_size > 0)
        CYG_DO(cyg_npu_taps_decode(ctx, g->taps, g->taps_size, arena, out_program));
    return cyg_npu_program_check(ctx, out_machine, out_program);
}
