/* A package for an NPU beside the CPU's package of the same programs, run on the same inputs: the
 * simulated NPU has to give the CPU's bytes, at the outputs and, on request, after every step
 * inside its subgraphs. */
#ifndef CYG_APP_NPU_COMPARE_H
#define CYG_APP_NPU_COMPARE_H

#include "app/app.h"
#include "cygnet/runtime.h"
#include "sim/device.h"

typedef struct cyg_npu_compare_options {
    uint32_t batch;
    bool layers; /* every step's outputs, too */
    bool (*skips)(void *user,
                  const char *tensor); /* steps' outputs that are left out; may be NULL */
    void *user;
} cyg_npu_compare_options;

enum { CYG_NPU_COMPARE_CPU, CYG_NPU_COMPARE_NPU, CYG_NPU_COMPARE_SIDES };

typedef struct cyg_npu_compare cyg_npu_compare;

/* Models and options are lent. On failure nothing is left open. */
cyg_status cyg_npu_compare_open(cyg_app *app, const cyg_model *cpu, const cyg_model *npu,
                                const cyg_npu_compare_options *options,
                                cyg_npu_compare **out_compare) CYG_MUST_USE;
void cyg_npu_compare_close(cyg_npu_compare *c); /* NULL is fine */
/* Whose inputs are to be written before a run. */
cyg_session *cyg_npu_compare_session(const cyg_npu_compare *c, int side);
const cyg_sim_device *cyg_npu_compare_device(const cyg_npu_compare *c);
/* Runs both. CYG_E_CHECK when they differ: of layers the first step in order is named, its element,
 * and the instruction that wrote it. */
cyg_status cyg_npu_compare_run(cyg_npu_compare *c) CYG_MUST_USE;
/* Outputs of steps compared so far. */
size_t cyg_npu_compare_tensors(const cyg_npu_compare *c);

#endif
