/* Private to `cygnet build`: what it does for an NPU. */
#ifndef CYG_APP_BUILD_NPU_H
#define CYG_APP_BUILD_NPU_H

#include "app/build.h"
#include "target/npu/npu.h"

struct cyg_build_npu {
    cyg_npu_options options;
    cyg_npu_machine full;                /* before compiler.ddr_bw_limit */
    const cyg_config_compiler *settings; /* of options.parts */
    int64_t *cut;                        /* by step: how the first program cuts its weights */
    cyg_npu_result *results;             /* by program of the package */
    uint32_t shown;                      /* the program that figures are about: group 0, batch 1 */
    double conv_utilisation;             /* of it, 0..1 */
    uint64_t ddr_bytes;
    const cyg_program *shown_program;
    cyg_aside comparing; /* what makes the following, beside packing and simulation */
    bool baseline_known; /* the plain schedule's figures: */
    int64_t *baseline;   /* cycles by subgraph */
    double baseline_ms;
    const char *trace; /* relative; NULL = none was asked for */
    size_t checked;    /* samples that the simulator ran */
};

bool cyg_build_is_npu(const cyg_build *b);
/* `--target_hardware F.json` becomes `--machine F.json`, in a copy of the words. */
cyg_status cyg_build_machine_flag(cyg_app *app, int argc, const char *const **argv) CYG_MUST_USE;
/* Says which options ask for an NPU in a build that has none. */
void cyg_build_warn_without_npu(cyg_build *b);
/* Finds the machine that the configuration names. */
cyg_status cyg_build_npu_open(cyg_build *b) CYG_MUST_USE;
/* The machine with `limit` GB/s of DDR, 0 = all; name: of the setting, for messages. */
cyg_status cyg_build_npu_limit_ddr(cyg_build *b, double limit, const char *name,
                                   cyg_npu_machine *out_machine) CYG_MUST_USE;
/* compiler.sub_configs as parts of program `index`, into its options; first: of all that are
 * compiled, and told about. */
cyg_status cyg_build_npu_parts(cyg_build *b, uint32_t index, bool first,
                               cyg_npu_options *options) CYG_MUST_USE;
/* Compiles b->programs, into results; those of batches that gain nothing go. */
cyg_status cyg_build_npu_compile_programs(cyg_build *b) CYG_MUST_USE;
/* The setting that a subgraph has: its sub_config's, or the compiler's. */
const cyg_config_compiler *cyg_build_npu_setting(const cyg_build *b, uint32_t part);
/* Compiles b->programs and writes the package. */
cyg_status cyg_build_npu_compile(cyg_build *b, const char *path) CYG_MUST_USE;
/* Runs calibration samples through the simulator and the CPU's program: the same bytes. */
cyg_status cyg_build_npu_check(cyg_build *b, const char *reference_path,
                               const char *path) CYG_MUST_USE;
/* Members of build_context.json. */
void cyg_build_npu_write(const cyg_build *b, cyg_json *j);
/* Member "npu" of report.json. */
cyg_status cyg_build_npu_record(const cyg_build *b, cyg_json *j) CYG_MUST_USE;

#endif
