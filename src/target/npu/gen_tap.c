/* Taps of the steps' outputs (npu/tap.h): which buffer holds all of one. */
#include "target/npu/gen.h"

/* A tensor with a place in the OCM is complete there, else in the DDR; with both in both. */
cyg_status cyg_npu_tap_outputs(cyg_npu_gen *g, const cyg_step *s)
{
    g->first_tap = g->tasks.tap_count;
    for (uint32_t i = 0; i < s->out_count; i++) {
        const uint32_t owner = cyg_npu_owner(g->p, s->out[i]);
        const cyg_npu_home *h = &g->homes[owner];
        const uint32_t places[] = {h->ocm, h->ddr};
        for (int k = 0; k < 2; k++) {
            const cyg_npu_task_tap tap = {.step = g->step,
                                          .output = i,
                                          .buffer = places[k],
                                          .bytes = cyg_tensor_bytes(&g->p->tensors[owner])};
            if (tap.bytes > 0 && tap.buffer != CYG_NPU_NO_BUFFER &&
                !cyg_npu_tasks_add_tap(&g->tasks, g->arena, &tap))
                return cyg_npu_gen_nomem(g);
        }
    }
    return CYG_OK;
}

uint32_t cyg_npu_tap_of(const cyg_npu_gen *g, uint32_t buffer)
{
    for (uint32_t k = g->first_tap; k < g->tasks.tap_count; k++)
        if (g->tasks.taps[k].buffer == buffer)
            return k + 1;
    return 0; /* of no bytes */
}
