/* One way to run a model for every command: a package through the runtime, or a float model (ONNX
 * or a checkpoint) through the interpreter.
 *
 * Buffers belong to the engine: write inputs, run as often as you like, read outputs. A float
 * model's output shapes are known after the first run only. Confined to one thread. */
#ifndef CYG_APP_ENGINE_H
#define CYG_APP_ENGINE_H

#include "app/model_source.h"
#include "base/type.h"
#include "sim/device.h"

typedef struct cyg_engine_tensor {
    const char *name;
    cyg_type type;
    int rank;
    int64_t dims[CYG_MAX_RANK];
    size_t bytes; /* 0 and rank -1: not known yet */
    float scale;  /* real = scale * (q - zero_point); 0 = plain numbers */
    int32_t zero_point;
} cyg_engine_tensor;

typedef struct cyg_engine_options {
    unsigned threads; /* 0 = CYGNET_THREADS, else all processors */
    const char *isa;  /* NULL = CYGNET_CPU, else the best; packages only */
    void (*on_step)(void *user, uint32_t step, const char *name,
                    double seconds); /* packages only */
    /* Every tensor that is no input, right after it was made; `layer` made it. NULL = not wanted.
     * Steps inside an NPU's subgraph: only with sim->taps, behind the subgraph's run. */
    cyg_status (*on_tensor)(void *user, const cyg_engine_tensor *t, const char *layer,
                            const void *data);
    void *user;
    uint32_t batch, group; /* packages only; batch 0 = the largest that it was compiled for */
    const cyg_source_settings *settings; /* of a checkpoint; an error for packages; may be NULL */
    bool patient; /* waiting threads sleep: right for everything that is not a measurement */
    const cyg_sim_options *sim; /* of the simulated NPU; NULL = program order, no check */
} cyg_engine_options;

typedef struct cyg_engine cyg_engine;

/* True when the file begins like a package. */
cyg_status cyg_engine_is_package(cyg_app *app, const char *path, bool *out_is) CYG_MUST_USE;
/* options may be NULL. The file is told apart by content; path may be a folder or a name on the
 * hub, as everywhere. */
cyg_status cyg_engine_open(cyg_app *app, const char *path, const cyg_engine_options *options,
                           cyg_engine **out_engine) CYG_MUST_USE;
void cyg_engine_close(cyg_engine *engine); /* NULL is fine */
bool cyg_engine_runs_package(const cyg_engine *engine);
uint32_t cyg_engine_input_count(const cyg_engine *engine);
uint32_t cyg_engine_output_count(const cyg_engine *engine);
const cyg_engine_tensor *cyg_engine_input_info(const cyg_engine *engine, uint32_t i);
const cyg_engine_tensor *cyg_engine_output_info(const cyg_engine *engine, uint32_t i);
void *cyg_engine_input(const cyg_engine *engine, uint32_t i);
const void *cyg_engine_output(const cyg_engine *engine, uint32_t i);
/* out_seconds (may be NULL): of the model alone. */
cyg_status cyg_engine_run(cyg_app *app, cyg_engine *engine, double *out_seconds) CYG_MUST_USE;
/* META of a package; NULL for a float model. */
const char *cyg_engine_meta(const cyg_engine *engine, size_t *out_size);
const char *cyg_engine_isa(const cyg_engine *engine);
unsigned cyg_engine_threads(const cyg_engine *engine);
size_t cyg_engine_memory(const cyg_engine *engine); /* activations, packed weights, scratch */
uint32_t cyg_engine_batch(const cyg_engine *engine);
/* The simulated NPU that a package's subgraphs run on; NULL when it has none. */
const cyg_sim_device *cyg_engine_npu(const cyg_engine *engine);
/* What one run took of it so far, on average. */
cyg_sim_totals cyg_engine_npu_cost(const cyg_engine *engine);
/* Element i of an output as a real number; f32 and the quantised types. */
double cyg_engine_value(const cyg_engine_tensor *info, const void *data, size_t i);
/* Elements of a tensor. */
size_t cyg_engine_elements(const cyg_engine_tensor *info);
/* "f32 1x3x224x224" */
void cyg_engine_describe(const cyg_engine_tensor *info, cyg_strbuf *out);

#endif
