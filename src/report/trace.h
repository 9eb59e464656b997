/* trace.json and op_profile.csv of an NPU program, from plain records.
 *
 * The trace is Chrome's event format with the names that the vendor's traces have (lanes conv0,
 * teng2,
 * ..., prefixes ld: and st:, args label, inputs, outputs, cname, dep_by), so scripts made for those
 * read it, and it opens in Perfetto and chrome://tracing. Times are microseconds, as the format
 * demands; cycles stand in the args and the clock in the metadata. */
#ifndef CYG_REPORT_TRACE_H
#define CYG_REPORT_TRACE_H

#include "base/ctx.h"

/* CYG_TRACE_CLASS(id, cname of the vendor's, colour that Chrome knows, what) */
#define CYG_TRACE_CLASSES(CYG_TRACE_CLASS)                                                         \
    CYG_TRACE_CLASS(COMPUTE, "", "", "work inside the chip")                                       \
    CYG_TRACE_CLASS(LD_PARAM, "ld:param", "yellow", "weights, DDR to OCM")                         \
    CYG_TRACE_CLASS(LD_INPUT, "ld:input", "good", "a model input, DDR to OCM")                     \
    CYG_TRACE_CLASS(LD_SWAP, "ld:ddr_swap", "rail_response", "spilled data back into the OCM")     \
    CYG_TRACE_CLASS(ST_SWAP, "st:ddr_swap", "terrible", "OCM to DDR for want of room")             \
    CYG_TRACE_CLASS(ST_OUTPUT, "st:output", "bad", "a model output, OCM to DDR")
typedef enum cyg_trace_class {
#define CYG_TRACE_CLASS(id, cname, colour, text) CYG_TRACE_##id,
    CYG_TRACE_CLASSES(CYG_TRACE_CLASS)
#undef CYG_TRACE_CLASS
} cyg_trace_class;

typedef struct cyg_trace_task {
    const char *label; /* operator and number, unique; the prefix comes from the class */
    const char *lane;  /* "conv0" */
    cyg_trace_class kind;
    int64_t start, end;                         /* cycles */
    const char *const *inputs, *const *outputs; /* "tensor - memory:[begin:end]" */
    uint32_t input_count, output_count;
    const uint32_t *waits; /* numbers of the tasks that it waits for */
    uint32_t wait_count;
} cyg_trace_task;

typedef struct cyg_trace {
    const char *process; /* "subgraph_npu_0" */
    const char *chip, *mode;
    int64_t clock_khz, cycles;
    const char *const *lanes; /* in the order to show */
    uint32_t lane_count, task_count;
    const cyg_trace_task *tasks; /* in order of the program */
} cyg_trace;
/* Written atomically. */
cyg_status cyg_trace_write(cyg_ctx *ctx, const char *path, const cyg_trace *trace) CYG_MUST_USE;

/* One operator of op_profile.csv. */
typedef struct cyg_profile_row {
    const char *name, *kernel, *shape; /* of its first output, "1x3136x96" */
    const char *limit;                 /* the resource that bounds it */
    int64_t start, end;                /* cycles of its first and last task */
    int64_t conv, teng, cv, sdma; /* cycles busy, engines of a kind together over their number */
    int64_t ddr_bytes, macs;
    uint32_t tasks;
} cyg_profile_row;
cyg_status cyg_profile_write(cyg_ctx *ctx, const char *path, const cyg_profile_row *rows,
                             size_t count, int64_t clock_khz) CYG_MUST_USE;

#endif
