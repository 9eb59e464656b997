/* A program as a subgraph of a package, and back. */
#ifndef CYG_NPU_SUBGRAPH_H
#define CYG_NPU_SUBGRAPH_H

#include "format/package.h" /* types only */
#include "npu/program.h"

#define CYG_NPU_EXECUTOR "npu"

/* out_subgraph: machine, code, taps, params, executor and tensors (from p->io); everything is in
 * arena but the parameters, which are p's. The steps that it covers are the caller's. p must be
 * checked and its machine_hash that of m. */
cyg_status cyg_npu_subgraph_make(cyg_ctx *ctx, const cyg_npu_machine *m, const cyg_npu_program *p,
                                 cyg_arena *arena, cyg_subgraph *out_subgraph) CYG_MUST_USE;
/* Hostile input: decoded and checked. Parameters stay where the package has them. */
cyg_status cyg_npu_subgraph_open(cyg_ctx *ctx, const cyg_subgraph *g, cyg_arena *arena,
                                 cyg_npu_machine *out_machine,
                                 cyg_npu_program *out_program) CYG_MUST_USE;

#endif
