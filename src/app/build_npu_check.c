/* The finished NPU package on the simulator against the reference, the CPU's package of the same
 * build: one sample always, more and every batch when compiler.check asks, every step's outputs
 * under CheckPerLayer. The promise is equal bytes, whatever compiler.check would let pass. */
#include "app/build_npu.h"
#include "app/compare_source.h"
#include "app/npu_compare.h"
#include "npu/tap.h"

enum { MOST_SAMPLES = 4 };

typedef struct check {
    cyg_build *b;
    cyg_model *reference, *model;
    cyg_compare_source source;
    size_t tensors;  /* of steps, compared */
    uint32_t chains; /* what steps compute that never exists whole */
} check;

/* One run of batch `batch` from sample `first` on. */
static cyg_status run_once(check *c, cyg_npu_compare *pair, size_t first, uint32_t batch)
{
    cyg_build *b = c->b;
    for (uint32_t slot = 0; slot < batch; slot++)
        for (int side = 0; side < CYG_NPU_COMPARE_SIDES; side++)
            CYG_DO(cyg_compare_source_read(&c->source, (first + slot) % c->source.samples,
                                           cyg_npu_compare_session(pair, side), slot));
    const cyg_status status = cyg_npu_compare_run(pair);
    if (status != CYG_E_CHECK)
        return status;
    return CYG_FAIL(&b->app->ctx, status,
                    "compiler.check %lld, sample %zu, batch %u: this is a fault of the compiler, "
                    "please report it; --target_hardware CPU builds without it",
                    (long long)b->config.compiler.check, first, batch);
}

/* The simulator's cycles are the build's, or one of the two is wrong. */
static cyg_status check_cycles(const cyg_build *b, const cyg_sim_device *device)
{
    int64_t cycles = 0;
    for (const cyg_sim_loaded *l = device->first; l != NULL; l = l->next)
        cycles += l->timing->cycles;
    const int64_t said = b->npu->results[b->npu->shown].cycles;
    return b->batch_count > 1 || b->group_count > 0 || cycles == said
               ? CYG_OK
               : CYG_FAIL(&b->app->ctx, CYG_E_INTERNAL,
                          "the simulator counts %lld cycles, the compiler %lld", (long long)cycles,
                          (long long)said);
}

static cyg_status count_chains(check *c, const cyg_sim_device *device)
{
    c->chains = 0;
    for (const cyg_sim_loaded *l = device->first; l != NULL; l = l->next) {
        const cyg_npu_chain *chains;
        uint32_t count;
        CYG_DO(cyg_npu_chains_of(&c->b->app->ctx, l->program, &c->b->app->arena, &chains, &count));
        c->chains += count;
    }
    return CYG_OK;
}

/* All samples in batches of one, one run of any other batch. */
static cyg_status check_batch(check *c, uint32_t batch)
{
    cyg_build *b = c->b;
    const bool layers = b->config.compiler.check > 0 &&
                        b->config.compiler.check_mode == CYG_CONFIG_CHECK_MODE_CheckPerLayer;
    const cyg_npu_compare_options options = {
        .batch = batch, .layers = layers, .skips = cyg_compare_source_skips, .user = &c->source};
    const size_t runs = batch > 1 ? 1 : c->source.samples;
    cyg_npu_compare *pair;
    CYG_DO(cyg_npu_compare_open(b->app, c->reference, c->model, &options, &pair));
    cyg_status status = CYG_OK;
    for (size_t i = 0; status == CYG_OK && i < runs; i++) {
        cyg_progress(&b->app->ctx, "simulate", (int64_t)i, (int64_t)runs);
        status = cyg_ctx_check_cancelled(&b->app->ctx);
        if (status == CYG_OK)
            status = run_once(c, pair, i, batch);
    }
    if (status == CYG_OK && batch == 1)
        status = check_cycles(b, cyg_npu_compare_device(pair));
    if (status == CYG_OK && layers && batch == 1)
        status = count_chains(c, cyg_npu_compare_device(pair));
    c->tensors += cyg_npu_compare_tensors(pair);
    cyg_npu_compare_close(pair);
    cyg_progress(&b->app->ctx, "simulate", (int64_t)runs, (int64_t)runs);
    return status;
}

static cyg_status check_all(check *c, bool asked)
{
    cyg_build *b = c->b;
    size_t batches = 1;
    CYG_DO(cyg_compare_source_open(b, c->reference, asked ? MOST_SAMPLES : 1, &c->source));
    if (c->source.samples == 0)
        return CYG_OK;
    CYG_DO(check_batch(c, 1));
    for (size_t i = b->batch_count; asked && i-- > 0;)
        if (b->batches[i] > 1) {
            CYG_DO(check_batch(c, b->batches[i]));
            batches++;
        }
    b->npu->checked = c->source.samples;
    if (c->tensors > 0)
        cyg_app_print(b->app,
                      "  check layers [npu]: %zu tensors of %zu samples in %zu batch sizes equal "
                      "to the CPU's, successfully!\n  %u values inside of steps never exist whole: "
                      "cygnet inspect --disasm names them, and who uses them up\n",
                      c->tensors, c->source.samples, batches, c->chains);
    return CYG_OK;
}

cyg_status cyg_build_npu_check(cyg_build *b, const char *reference_path, const char *path)
{
    check c = {.b = b};
    bool asked = b->config.compiler.check > 0;
    for (uint32_t i = 0; i < b->npu->options.part_count; i++)
        asked = asked || cyg_build_npu_setting(b, i)->check > 0;
    cyg_status status = cyg_app_rt(b->app, cyg_model_open(reference_path, &c.reference));
    if (status == CYG_OK)
        status = cyg_app_rt(b->app, cyg_model_open(path, &c.model));
    if (status == CYG_OK)
        status = check_all(&c, asked);
    cyg_compare_source_close(&c.source);
    cyg_model_close(c.model);
    cyg_model_close(c.reference);
    if (status == CYG_OK)
        cyg_build_end(b, "simulate", "same bytes as the CPU on %zu sample%s: check npu graph ok",
                      b->npu->checked, b->npu->checked == 1 ? "" : "s");
    return status;
}
