/* The simulator behind rt's executor interface: see device.h. */
#include "sim/device.h"

#include <stdlib.h>
#include <string.h>

#include "format/program.h"
#include "npu/subgraph.h"

typedef struct loaded {
    cyg_sim_loaded shown; /* first member: what the device lists */
    cyg_sim_device *device;
    cyg_arena arena;
    cyg_npu_machine machine;
    cyg_npu_program program;
    const cyg_program *model; /* whose steps it runs */
    cyg_sim *sim;
} loaded;

static void unlist(loaded *l)
{
    for (cyg_sim_loaded **at = &l->device->first; *at != NULL; at = &(*at)->next)
        if (*at == &l->shown) {
            *at = l->shown.next;
            return;
        }
}

static void list(loaded *l)
{
    cyg_sim_loaded **at = &l->device->first;
    while (*at != NULL)
        at = &(*at)->next;
    *at = &l->shown;
}

static void close_loaded(void *state)
{
    loaded *l = state;
    unlist(l);
    cyg_sim_destroy(l->sim);
    cyg_arena_deinit(&l->arena);
    free(l);
}

/* The code's sizes of tensors are those of the package: the race detector takes memory by them. */
static cyg_status check_tensors(cyg_ctx *ctx, const cyg_executor_job *job, const loaded *l)
{
    for (uint32_t i = 0; i < l->program.io_count; i++) {
        const cyg_npu_io *io = &l->program.io[i];
        const cyg_tensor *t = &job->program->tensors[io->tensor];
        if (io->bytes != cyg_tensor_bytes(t))
            return CYG_FAIL(ctx, CYG_E_FORMAT,
                            "an NPU program takes %llu bytes of \"%s\", which has %zu",
                            (unsigned long long)io->bytes, t->name, cyg_tensor_bytes(t));
    }
    return CYG_OK;
}

/* Where results of steps are wanted, each has a tap of its size. */
static cyg_status check_taps(cyg_ctx *ctx, const cyg_executor_job *job, const loaded *l)
{
    const cyg_subgraph *g = job->subgraph;
    uint32_t k = 0;
    for (uint32_t i = 0; i < g->step_count; i++) {
        const cyg_step *s = &job->program->steps[g->first_step + i];
        for (uint32_t o = 0; o < s->out_count; o++) {
            const size_t bytes = cyg_tensor_bytes(&job->program->tensors[s->out[o]]);
            if (bytes == 0)
                continue;
            const cyg_npu_tap *t = k < l->program.tap_count ? &l->program.taps[k] : NULL;
            if (t == NULL || t->step != i || t->output != o || t->bytes != bytes)
                return CYG_FAIL(ctx, CYG_E_FORMAT,
                                "taps of an NPU program: output %u of step \"%s\" has none of its "
                                "%zu bytes",
                                o, s->name, bytes);
            k++;
            if (k < l->program.tap_count && t[1].step == i && t[1].output == o)
                k++; /* its copy */
        }
    }
    return k == l->program.tap_count
               ? CYG_OK
               : CYG_FAIL(ctx, CYG_E_FORMAT,
                          "taps of an NPU program: %u for the %u outputs of its steps",
                          l->program.tap_count, k);
}

static cyg_status open_sim(cyg_ctx *ctx, const cyg_executor_job *job, loaded *l)
{
    CYG_DO(cyg_npu_subgraph_open(ctx, job->subgraph, &l->arena, &l->machine, &l->program));
    CYG_DO(check_tensors(ctx, job, l));
    if (l->device->options.taps && l->program.tap_count > 0)
        CYG_DO(check_taps(ctx, job, l));
    CYG_DO(cyg_sim_create(ctx, &l->machine, &l->program, &l->device->options, job->pool, job->level,
                          &l->sim));
    for (uint32_t i = 0; i < l->program.io_count; i++)
        cyg_sim_bind(l->sim, i, job->tensors[i]);
    return CYG_OK;
}

static cyg_status open_loaded(cyg_ctx *ctx, void *user, const cyg_executor_job *job,
                              void **out_state)
{
    loaded *l = calloc(1, sizeof *l);
    if (l == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory for a simulator");
    cyg_arena_init(&l->arena);
    l->device = user;
    l->model = job->program;
    const cyg_status status = open_sim(ctx, job, l);
    if (status != CYG_OK) {
        close_loaded(l);
        return status;
    }
    l->shown = (cyg_sim_loaded){.subgraph = job->subgraph,
                                .machine = &l->machine,
                                .program = &l->program,
                                .timing = cyg_sim_timing(l->sim),
                                .sim = l->sim};
    list(l);
    *out_state = l;
    return CYG_OK;
}

static cyg_status run_loaded(cyg_ctx *ctx, void *state)
{
    loaded *l = state;
    l->shown.runs++;
    return cyg_sim_run(ctx, l->sim);
}

static const void *output_of(const void *state, uint32_t step, uint32_t output)
{
    const loaded *l = state;
    const cyg_step *s = &l->model->steps[l->shown.subgraph->first_step + step];
    if (l->device->options.taps && cyg_tensor_bytes(&l->model->tensors[s->out[output]]) == 0)
        return ""; /* all of it */
    return cyg_sim_tapped(l->sim, step, output);
}

static size_t memory_of(const void *state)
{
    const loaded *l = state;
    return cyg_sim_memory(l->sim) + l->arena.used + sizeof *l;
}

void cyg_sim_device_init(cyg_sim_device *device, const cyg_sim_options *options)
{
    memset(device, 0, sizeof *device);
    if (options != NULL)
        device->options = *options;
    device->executor = (cyg_executor){.name = CYG_NPU_EXECUTOR,
                                      .user = device,
                                      .open = open_loaded,
                                      .run = run_loaded,
                                      .close = close_loaded,
                                      .memory = memory_of,
                                      .output = output_of};
}

cyg_sim_totals cyg_sim_device_totals(const cyg_sim_device *device)
{
    cyg_sim_totals t = {0};
    double used = 0;
    for (const cyg_sim_loaded *l = device->first; l != NULL; l = l->next) {
        const int64_t runs = (int64_t)l->runs;
        t.cycles += runs * l->timing->cycles;
        t.macs += runs * l->timing->macs;
        t.ddr_bytes += runs * (l->timing->ddr_read + l->timing->ddr_written);
        t.seconds += (double)(runs * l->timing->cycles) / ((double)l->machine->clock_khz * 1000.0);
        used += l->timing->conv_utilisation * (double)(runs * l->timing->cycles);
        if (l->runs > 0 && l->program->ocm_bytes > t.ocm_peak_bytes)
            t.ocm_peak_bytes = l->program->ocm_bytes;
    }
    t.conv_utilisation = t.cycles > 0 ? used / (double)t.cycles : 0;
    return t;
}
