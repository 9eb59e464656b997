/* A simulated NPU as an executor of rt: sessions hand it the subgraphs of a package. */
#ifndef CYG_SIM_DEVICE_H
#define CYG_SIM_DEVICE_H

#include "rt/executor.h"
#include "sim/sim.h"

/* One subgraph that a session has opened. */
typedef struct cyg_sim_loaded {
    const cyg_subgraph *subgraph;
    const cyg_npu_machine *machine;
    const cyg_npu_program *program;
    const cyg_npu_timing *timing;
    const cyg_sim *sim;
    uint64_t runs;
    struct cyg_sim_loaded *next;
} cyg_sim_loaded;

/* Lent to sessions, which are to be gone before it; for one session at a time. */
typedef struct cyg_sim_device {
    cyg_sim_options options; /* of all subgraphs opened from now on */
    cyg_sim_loaded *first;   /* in order of opening; lives as long as its session */
    cyg_executor executor;
} cyg_sim_device;

/* options NULL: program order, no check. */
void cyg_sim_device_init(cyg_sim_device *device, const cyg_sim_options *options);

/* What the runs since the session was opened took, all subgraphs together. */
typedef struct cyg_sim_totals {
    int64_t cycles, macs, ddr_bytes;
    double seconds;          /* cycles at the machines' clock */
    double conv_utilisation; /* 0..1, over all cycles */
    uint64_t ocm_peak_bytes; /* highest of all */
} cyg_sim_totals;
cyg_sim_totals cyg_sim_device_totals(const cyg_sim_device *device);

#endif
