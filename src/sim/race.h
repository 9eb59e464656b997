/* The race detector: do queues and waits order all that must be ordered?
 *
 * Two instructions conflict when both touch a byte and one writes it. They are ordered when one is
 * behind the other in an engine's queue, or waits for it, or so through others. A conflict without
 * order is a race: on some run it gives other bytes. Which bytes an instruction touches depends on
 * its views and index tables alone, so one pass in program order finds a race of every byte that
 * has one, whatever order a simulation takes. */
#ifndef CYG_SIM_RACE_H
#define CYG_SIM_RACE_H

#include "npu/program.h"

typedef enum cyg_race_kind {
    CYG_RACE_CONFLICT,  /* first and second touch a byte, one writes, no order */
    CYG_RACE_OVERLAP,   /* an output of `first` overlaps another of its operands */
    CYG_RACE_UNWRITTEN, /* `first` reads what nobody wrote before */
    CYG_RACE_UNFINISHED /* bytes of an output tensor that nobody writes; no instruction */
} cyg_race_kind;

typedef struct cyg_race {
    cyg_race_kind kind;
    uint32_t first, second; /* instructions */
    uint8_t space;          /* cyg_npu_space */
    uint32_t buffer;
    uint64_t offset; /* of the first byte found */
} cyg_race;

/* p must be checked. out_race: the first one in program order, when *out_found. */
cyg_status cyg_race_find(cyg_ctx *ctx, const cyg_npu_machine *m, const cyg_npu_program *p,
                         cyg_race *out_race, bool *out_found) CYG_MUST_USE;
/* The same as a status: CYG_E_CHECK with a message that names instructions, steps and bytes. */
cyg_status cyg_race_check(cyg_ctx *ctx, const cyg_npu_machine *m,
                          const cyg_npu_program *p) CYG_MUST_USE;

#endif
