/* Taps: where the outputs of a program's steps lie and which instructions write them. They are no
 * part of the code: a package holds them in a section of its own (docs/package.md), and a program
 * without them runs as well.
 *
 * Some results never exist whole: what one instruction of a step leaves for the next one, tile by
 * tile. These are chains. */
#ifndef CYG_NPU_TAP_H
#define CYG_NPU_TAP_H

#include "base/str.h"
#include "npu/program.h"

enum { CYG_NPU_TAPS_VERSION = 1 };

/* Nothing when p has no taps. The same program gives the same bytes; p must be checked. */
cyg_status cyg_npu_taps_encode(cyg_ctx *ctx, const cyg_npu_program *p,
                               cyg_strbuf *out) CYG_MUST_USE;
/* Hostile input: sets the taps of p, which has its instructions already; to be checked with it
 * (cyg_npu_program_check). In arena. */
cyg_status cyg_npu_taps_decode(cyg_ctx *ctx, const void *data, size_t size, cyg_arena *arena,
                               cyg_npu_program *p) CYG_MUST_USE;
/* The part of cyg_npu_program_check that looks at taps. */
cyg_status cyg_npu_taps_check(cyg_ctx *ctx, const cyg_npu_program *p) CYG_MUST_USE;

/* What instructions of one kind leave inside a step for others of it. */
typedef struct cyg_npu_chain {
    uint32_t step;
    uint16_t op, output; /* of which of its outputs */
    uint16_t next;       /* the operation that uses it up; 0 = none does */
    uint32_t pieces;
    const cyg_npu_view *largest;
} cyg_npu_chain;
/* All of p, which has taps: by step, operation and output. In arena. */
cyg_status cyg_npu_chains_of(cyg_ctx *ctx, const cyg_npu_program *p, cyg_arena *arena,
                             const cyg_npu_chain **out_chains, uint32_t *out_count) CYG_MUST_USE;

#endif
