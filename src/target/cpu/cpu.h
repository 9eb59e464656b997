/* target/cpu: a quantised (or float) graph to a placed CPU program. */
#ifndef CYG_TARGET_CPU_CPU_H
#define CYG_TARGET_CPU_CPU_H

#include "format/program.h"
#include "ir/graph.h"

typedef struct cyg_cpu_report {
    uint32_t steps, integer_steps, float_steps;
    int64_t macs;
    uint64_t arena_bytes, weight_bytes;
} cyg_cpu_report;
/* Lowers and places (one program, group 0, batch 1: the caller numbers variants); the program lives
 * in arena and lends g's constants. */
cyg_status cyg_target_cpu_compile(cyg_ctx *ctx, const cyg_graph *g, cyg_arena *arena,
                                  cyg_program *out_program,
                                  cyg_cpu_report *out_report) CYG_MUST_USE;

/* For a quantised graph that was read from a file: lowering may take it, or CYG_E_GRAPH names the
 * node or value that is wrong. */
cyg_status cyg_target_check_graph(cyg_ctx *ctx, const cyg_graph *g) CYG_MUST_USE;
/* Steps first .. last, run by another executor as one. */
typedef struct cyg_target_range {
    uint32_t first, last;
} cyg_target_range;
/* Gives every tensor that has a place one: arena_offset, and arena_bytes of the program. */
cyg_status cyg_target_place(cyg_ctx *ctx, cyg_program *p, const cyg_target_range *ranges,
                            uint32_t range_count, cyg_arena *arena) CYG_MUST_USE;

#endif
