/* A program whose subgraphs run on an NPU, as the package holds it: what lives inside of a subgraph
 * only, weights included, leaves the program; what is left gets places. */
#include <string.h>

#include "target/cpu/cpu.h"
#include "target/npu/gen.h"

/* Marks the owners of what a list names. */
static void keep(const cyg_program *p, const uint32_t *list, uint32_t count, bool *kept)
{
    for (uint32_t i = 0; i < count; i++)
        if (list[i] != CYG_NO_TENSOR)
            kept[cyg_npu_owner(p, list[i])] = true;
}

cyg_status cyg_target_npu_seal(cyg_ctx *ctx, const cyg_program *p, const cyg_npu_result *r,
                               cyg_arena *arena, cyg_program *out_program)
{
    bool *kept = CYG_NEW_ARRAY(arena, bool, p->tensor_count + 1);
    cyg_target_range *ranges = CYG_NEW_ARRAY(arena, cyg_target_range, r->subgraph_count + 1);
    *out_program = *p;
    out_program->tensors =
        cyg_arena_memdup(arena, p->tensors, sizeof *p->tensors * p->tensor_count);
    if (kept == NULL || ranges == NULL || out_program->tensors == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    out_program->tensor_cap = p->tensor_count;
    uint32_t next = 0;
    for (uint32_t i = 0; i < p->step_count; i++) {
        if (next < r->subgraph_count && r->subgraphs[next].first == i) {
            const cyg_npu_subgraph *s = &r->subgraphs[next];
            for (uint32_t k = 0; k < s->program.io_count; k++)
                kept[s->program.io[k].tensor] = true;
            ranges[next++] = (cyg_target_range){s->first, s->last};
            i = s->last;
            continue;
        }
        keep(p, p->steps[i].in, p->steps[i].in_count, kept);
        keep(p, p->steps[i].out, p->steps[i].out_count, kept);
    }
    keep(p, p->inputs, p->input_count, kept);
    keep(p, p->outputs, p->output_count, kept);
    for (uint32_t t = 0; t < p->tensor_count; t++) {
        cyg_tensor *to = &out_program->tensors[t];
        if (kept[t] || to->kind == CYG_TENSOR_ALIAS)
            continue;
        to->kind = CYG_TENSOR_INNER;
        to->offset = to->arena_offset = 0;
        to->data = NULL;
    }
    return cyg_target_place(ctx, out_program, ranges, r->subgraph_count, arena);
}
