/* Runs an NPU program that may be anything: refused, or it stays inside its memories. */
#ifndef CYG_TESTS_NPU_RUN_H
#define CYG_TESTS_NPU_RUN_H

#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "sim/race.h"
#include "sim/sim.h"

enum { NPU_RUN_BYTES = 1 << 20, NPU_RUN_MACS = 1 << 26 };

static inline bool npu_is_small(const cyg_npu_machine *m, const cyg_npu_program *p)
{
    int64_t work = 0;
    uint64_t bytes = p->swap_bytes;
    for (uint32_t i = 0; i < p->io_count && bytes <= NPU_RUN_BYTES; i++)
        bytes += p->io[i].bytes < NPU_RUN_BYTES ? p->io[i].bytes : NPU_RUN_BYTES;
    if (bytes > NPU_RUN_BYTES || p->io_count > 64)
        return false;
    for (uint32_t i = 0; i < p->instr_count && work <= NPU_RUN_MACS; i++) {
        const cyg_npu_cost cost = cyg_npu_cost_of(m, &p->instrs[i]);
        work += cost.macs + cost.cycles;
    }
    return work <= NPU_RUN_MACS;
}

/* The same program in two orders with one seed of garbage: where no race was found, and only
 * then, the bytes must agree. */
static inline void npu_run_checked(const cyg_npu_machine *m, const cyg_npu_program *p)
{
    static uint8_t memory[2][NPU_RUN_BYTES + 64 * 64];
    for (int k = 0; k < 2; k++) {
        const cyg_sim_options options = {.order = k == 0 ? CYG_SIM_PROGRAM : CYG_SIM_REVERSE,
                                         .check = true};
        cyg_sim *sim;
        size_t at = 0;
        if (cyg_sim_create(NULL, m, p, &options, NULL, CYG_CPU_C, &sim) != CYG_OK)
            return;
        memset(memory[k], 0x5a, sizeof memory[k]);
        for (uint32_t i = 0; i < p->io_count; i++) {
            cyg_sim_bind(sim, i, memory[k] + at);
            at += ((size_t)p->io[i].bytes + 63) / 64 * 64;
        }
        const cyg_status status = cyg_sim_run(NULL, sim);
        cyg_sim_destroy(sim);
        if (status != CYG_OK)
            return;
    }
    if (memcmp(memory[0], memory[1], sizeof memory[0]) != 0)
        abort();
}

static inline void npu_run(const cyg_npu_machine *m, const cyg_npu_program *p)
{
    static uint8_t memory[NPU_RUN_BYTES + 64 * 64];
    cyg_sim *sim;
    size_t at = 0;
    /* Costs are defined for what the kernels accept: so first a simulator, then its size. */
    if (cyg_npu_program_check(NULL, m, p) != CYG_OK || p->swap_bytes > NPU_RUN_BYTES ||
        cyg_sim_create(NULL, m, p, NULL, NULL, CYG_CPU_C, &sim) != CYG_OK)
        return;
    const bool small = npu_is_small(m, p);
    for (uint32_t i = 0; small && i < p->io_count; i++) {
        cyg_sim_bind(sim, i, memory + at);
        at += ((size_t)p->io[i].bytes + 63) / 64 * 64;
    }
    if (small)
        CYG_IGNORE(cyg_sim_run(NULL, sim));
    cyg_sim_destroy(sim);
    if (small)
        npu_run_checked(m, p);
}

#endif
