/* The simulator: executes an NPU program on byte-accurate memories, in an order that its queues and
 * waits allow, and tells its cycles (npu/timing.h).
 *
 * Every operand is read out of the memories through its view, computed by the kernels that the CPU
 * runs, and written back: a wrong address, a missing wait or a read of what nobody wrote gives
 * wrong bytes, and in a checking run an error that names the instructions.
 *
 * A simulator is confined: one thread at a time, plus the pool that it was given. */
#ifndef CYG_SIM_SIM_H
#define CYG_SIM_SIM_H

#include "npu/timing.h"

/* Which of the instructions that may start next does start. All of these orders must give the same
 * bytes. CYG_SIM_ORDER(id, "name", text) */
#define CYG_SIM_ORDERS(CYG_SIM_ORDER)                                                              \
    CYG_SIM_ORDER(PROGRAM, "program", "as the compiler wrote them down")                           \
    CYG_SIM_ORDER(REVERSE, "reverse", "always the one that stands last in the program")            \
    CYG_SIM_ORDER(RANDOM, "random", "any, by a seed")                                              \
    CYG_SIM_ORDER(STARVE, "starve", "one engine, chosen by a seed, only when no other can go on")
typedef enum cyg_sim_order {
#define CYG_SIM_ORDER(id, name, text) CYG_SIM_##id,
    CYG_SIM_ORDERS(CYG_SIM_ORDER)
#undef CYG_SIM_ORDER
} cyg_sim_order;

typedef struct cyg_sim_options {
    cyg_sim_order order;
    uint64_t seed;
    bool check; /* look for races and for reads of what was never written (race.h), fill the
                   memories with garbage before each run */
    bool taps;  /* keep the results of all steps (npu/tap.h); a program without taps is refused */
} cyg_sim_options;
/* "program", "reverse", "random:SEED", "starve:SEED"; the seed may be left out. */
cyg_status cyg_sim_order_parse(cyg_ctx *ctx, const char *text,
                               cyg_sim_options *out_options) CYG_MUST_USE;

typedef struct cyg_sim cyg_sim;

/* Checks the program (structure, then every instruction by its kernel), takes memories and scratch.
 * m and p are lent and must outlive the simulator; so is pool (NULL = one thread). level: of the
 * kernels (base/cpu.h). With options.check also the races of the program are looked for here:
 * CYG_E_CHECK. options NULL: program order, no check. */
cyg_status cyg_sim_create(cyg_ctx *ctx, const cyg_npu_machine *m, const cyg_npu_program *p,
                          const cyg_sim_options *options, cyg_pool *pool, int level,
                          cyg_sim **out_sim) CYG_MUST_USE;
void cyg_sim_destroy(cyg_sim *sim);
/* The memory of IO tensor i: io[i].bytes, aligned to 64, lent by the caller; before the first run.
 */
void cyg_sim_bind(cyg_sim *sim, uint32_t i, void *data);
/* One run. Allocates nothing. Fails with CYG_E_CHECK when an instruction meets data that its kernel
 * refuses. */
cyg_status cyg_sim_run(cyg_ctx *ctx, cyg_sim *sim) CYG_MUST_USE;
/* With options.taps: output `output` of step `step` as the last run made it, dense; NULL: it has no
 * bytes, or there is no such output, or nothing is kept. Lent. */
const void *cyg_sim_tapped(const cyg_sim *sim, uint32_t step, uint32_t output);
/* Likewise its copy in the DDR where it lies in the OCM; NULL: there is none. */
const void *cyg_sim_tapped_copy(const cyg_sim *sim, uint32_t step, uint32_t output);
/* The instruction that writes byte `byte` of a tapped output, or its copy, for good; false: none
 * does. */
bool cyg_sim_tap_writer(const cyg_npu_program *p, uint32_t step, uint32_t output, bool copy,
                        uint64_t byte, uint32_t *out_instr);
/* Of one run; the same every time. */
const cyg_npu_timing *cyg_sim_timing(const cyg_sim *sim);
size_t cyg_sim_memory(const cyg_sim *sim); /* bytes held */

#endif
