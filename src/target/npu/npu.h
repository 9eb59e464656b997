/* target/npu: a lowered, unplaced program to programs of an NPU.
 *
 * Steps that the NPU can do go to it in maximal ranges (subgraphs), the rest stays on the CPU, each
 * with its reason. A tile is the step's own kernel call on windows of its operands, so the bytes
 * are those of the CPU whatever is chosen here; choices only change cycles. */
#ifndef CYG_TARGET_NPU_NPU_H
#define CYG_TARGET_NPU_NPU_H

#include "format/program.h"
#include "npu/timing.h"
#include "target/npu/schedule.h"

typedef struct cyg_npu_options {
    cyg_npu_machine machine;
    cyg_npu_schedule_kind kind;
    uint32_t tries;                   /* of the scheduler's refinement */
    const struct cyg_npu_part *parts; /* in order, apart from one another */
    uint32_t part_count;
    /* By step, or NULL: how weights are cut by another variant of the model, to be done alike where
     * that costs little, so that the variants share them; and how they are cut now. */
    const int64_t *cut_like;
    int64_t *cut;
    uint32_t most_subgraphs; /* beyond these the least of them stay on the CPU; 0 = any number */
    /* Tiles and moves: a step of more stays on the CPU, of more in a row of steps come two
     * subgraphs. 0 = far more than any tiling wants that keeps engines busy, few enough that time
     * and memory of a compilation stay bounded. */
    uint32_t most_step_tasks, most_tasks;
} cyg_npu_options;

/* Steps that are subgraphs of their own, with options of their own (but for parts). */
typedef struct cyg_npu_part {
    uint32_t first, last; /* steps of the program, both inclusive */
    cyg_npu_options options;
} cyg_npu_part;

/* A step that stays on the CPU, and why. */
typedef struct cyg_npu_refusal {
    uint32_t step;
    const char *reason;
} cyg_npu_refusal;

/* What one step costs by resource, in cycles, were nothing else in its way: its bounds. */
typedef struct cyg_npu_step_report {
    uint32_t step;                      /* of the lowered program */
    int64_t busy[CYG_NPU_ENGINE_KINDS]; /* all engines of a kind together over their number */
    int64_t ddr_bytes, macs;
    uint32_t tasks;
} cyg_npu_step_report;

/* Bytes of PARAM that belong together: what one load brings, or a whole constant. */
typedef struct cyg_npu_param_piece {
    uint64_t at, bytes; /* at: ascending */
} cyg_npu_param_piece;

typedef struct cyg_npu_subgraph {
    uint32_t first, last;           /* steps of the lowered program, both inclusive */
    const cyg_npu_options *options; /* that it is compiled with */
    uint32_t part;                  /* of these, UINT32_MAX = none */
    cyg_npu_program program;
    cyg_npu_schedule_report schedule;
    cyg_npu_param_piece *pieces;
    uint32_t piece_count;
    uint32_t attempts; /* 1 = the first plan fitted */
    bool keeps_more;   /* the plan that keeps more constants in the OCM was the faster one */
    cyg_npu_step_report *steps;                                    /* [last - first + 1] */
    uint64_t weight_bytes, input_bytes, output_bytes, spill_bytes; /* over the DDR */
} cyg_npu_subgraph;

typedef struct cyg_npu_result {
    cyg_npu_subgraph *subgraphs;
    uint32_t subgraph_count;
    cyg_npu_refusal *refusals; /* one a step that stays on the CPU */
    uint32_t refusal_count;
    int64_t cycles; /* of all subgraphs, one after another */
    double estimated_ms;
    uint64_t ocm_peak_bytes;
} cyg_npu_result;

/* p: of cyg_lower_graph (or of a package of the CPU); lent. Everything hangs on arena. */
cyg_status cyg_target_npu_compile(cyg_ctx *ctx, const cyg_program *p,
                                  const cyg_npu_options *options, cyg_arena *arena,
                                  cyg_npu_result *out_result) CYG_MUST_USE;

/* Gives all subgraphs of several results, variants of one model, one PARAM in which equal pieces
 * stand once. */
cyg_status cyg_target_npu_share(cyg_ctx *ctx, cyg_npu_result *results, uint32_t count,
                                cyg_arena *arena) CYG_MUST_USE;

/* p as a package holds it beside r's subgraphs: what only they know is of kind INNER, the rest is
 * placed. Steps and numbers of tensors stay. Lends from p. */
cyg_status cyg_target_npu_seal(cyg_ctx *ctx, const cyg_program *p, const cyg_npu_result *r,
                               cyg_arena *arena, cyg_program *out_program) CYG_MUST_USE;

/* NULL when the NPU can do step `step`, else why not. */
const char *cyg_npu_refuses(const cyg_program *p, uint32_t step);

#endif
