/* What a build for an NPU leaves for people: record "npu" of report.json, trace.json,
 * op_profile.csv. All of it follows from program, machine and cycle model; nothing here decides
 * anything. */
#ifndef CYG_APP_NPU_RECORD_H
#define CYG_APP_NPU_RECORD_H

#include "io/json_write.h"
#include "target/npu/npu.h"

/* The object. baseline: cycles of the baseline schedule by subgraph, NULL = not known. */
cyg_status cyg_npu_write_record(cyg_ctx *ctx, cyg_json *j, const cyg_npu_machine *m,
                                const cyg_program *lowered, const cyg_npu_result *result,
                                const int64_t *baseline) CYG_MUST_USE;
/* Both files of one subgraph; number as in subgraph_npu_<number>. */
cyg_status cyg_npu_write_trace(cyg_ctx *ctx, const char *trace_path, const char *profile_path,
                               const cyg_npu_machine *m, const cyg_program *lowered,
                               const cyg_npu_subgraph *s, uint32_t number) CYG_MUST_USE;

#endif
