/* `cygnet run`: a model on files, in the vendor's layout.
 *
 *     input_dir/<line>/<input>.bin  ->  output_dir/<line>/<output>.bin
 *
 * A package runs through the runtime; a float ONNX model through the interpreter, as the reference
 * to compare with. All inputs are checked before the first run, so a wrong size in the last sample
 * leaves nothing behind. The lines ">>> [0] start", "write [..] to [..] successfully" and
 * ">>> [0] finish" are what scripts grep for. Under --json the hashes of all outputs are reported:
 * two machines, or two ISA levels, agree when these agree. */
#include <string.h>

#include "app/dump.h"
#include "app/sample.h"
#include "base/file.h"
#include "base/hash.h"
#include "config/config.h"
#include "ir/graph.h"

typedef struct run_job {
    cyg_app *app;
    const cyg_config_run *config;
    cyg_engine *engine;
    cyg_sample_layout layout;
    cyg_json json;
    cyg_strbuf text;
    cyg_dump *dump; /* of the sample being run; NULL = none */
} run_job;

/* The same bytes every time: seeded by the place of sample and tensor only. */
static cyg_status write_random(run_job *job, size_t sample)
{
    const char *root = job->config->input_dir, *folder = job->layout.samples.items[sample];
    const char *dir = cyg_sample_path(job->app, root, folder, "");
    if (dir == NULL)
        return CYG_FAIL(&job->app->ctx, CYG_E_NOMEM, "out of memory");
    CYG_DO(cyg_make_dirs(&job->app->ctx, dir));
    for (uint32_t i = 0; i < cyg_engine_input_count(job->engine); i++) {
        const cyg_engine_tensor *info = cyg_engine_input_info(job->engine, i);
        const char *path = cyg_sample_path(job->app, root, folder, job->layout.inputs.items[i]);
        if (path == NULL)
            return CYG_FAIL(&job->app->ctx, CYG_E_NOMEM, "out of memory");
        cyg_sample_random(info, ((uint64_t)sample << 32) + i + 1, cyg_engine_input(job->engine, i));
        CYG_DO(cyg_write_file(&job->app->ctx, path, cyg_engine_input(job->engine, i), info->bytes));
    }
    return CYG_OK;
}

static cyg_status prepare(run_job *job)
{
    const cyg_config_run *c = job->config;
    for (size_t s = 0; s < job->layout.samples.count; s++) {
        CYG_DO(cyg_ctx_check_cancelled(&job->app->ctx));
        if (c->random_input)
            CYG_DO(write_random(job, s));
        CYG_DO(cyg_sample_check(job->app, job->engine, &job->layout, c->input_dir,
                                job->layout.samples.items[s]));
    }
    return CYG_OK;
}

static void record_outputs(run_job *job, const char *sample)
{
    for (uint32_t i = 0; i < cyg_engine_output_count(job->engine); i++) {
        const cyg_engine_tensor *info = cyg_engine_output_info(job->engine, i);
        const char *path = cyg_sample_path(job->app, job->config->output_dir, sample,
                                           job->layout.outputs.items[i]);
        char hex[65];
        cyg_sha256_hex(cyg_engine_output(job->engine, i), info->bytes, hex);
        cyg_json_begin_object(&job->json);
        cyg_json_key_string(&job->json, "sample", sample);
        cyg_json_key_string(&job->json, "name", info->name);
        cyg_json_key_string(&job->json, "path", path);
        cyg_json_key_string(&job->json, "type", cyg_type_name(info->type));
        cyg_json_key_ints(&job->json, "shape", info->dims,
                          (size_t)(info->rank > 0 ? info->rank : 0));
        cyg_json_key_int(&job->json, "bytes", (int64_t)info->bytes);
        cyg_json_key_string(&job->json, "sha256", hex);
        cyg_json_end_object(&job->json);
    }
}

/* ---- every tensor ---- */

static cyg_status on_tensor(void *user, const cyg_engine_tensor *info, const char *layer,
                            const void *data)
{
    run_job *job = user;
    cyg_dump_tensor t = {.name = info->name,
                         .layer = layer,
                         .type = info->type,
                         .rank = info->rank,
                         .scales = &info->scale,
                         .scale_count = info->scale > 0.0f,
                         .zero_point = info->zero_point};
    memcpy(t.dims, info->dims, sizeof t.dims);
    return job->dump != NULL ? cyg_dump_add(job->dump, &t, data) : CYG_OK;
}

/* One run; its tensors join the sample's results, with tensors.json. */
static cyg_status run_and_dump(run_job *job, const char *sample)
{
    cyg_app *app = job->app;
    const char *root = job->config->output_dir,
               *folder = sample[0] == '\0' ? root : cyg_sample_path(app, root, sample, "");
    cyg_staging staging = {0};
    if (folder == NULL)
        return CYG_FAIL(&app->ctx, CYG_E_NOMEM, "out of memory");
    CYG_DO(cyg_staging_open(&app->ctx, folder, &staging));
    cyg_status status = cyg_dump_open(app, staging.temp_path, false, &job->dump);
    if (status == CYG_OK)
        status = cyg_engine_run(app, job->engine, NULL);
    if (status == CYG_OK)
        status = cyg_dump_close(job->dump);
    else
        cyg_dump_abort(job->dump);
    job->dump = NULL;
    if (status != CYG_OK) {
        cyg_staging_abort(&staging);
        return status;
    }
    return cyg_staging_commit(&app->ctx, &staging);
}

static cyg_status run_all(run_job *job)
{
    const cyg_config_run *c = job->config;
    for (size_t s = 0; s < job->layout.samples.count; s++) {
        const char *sample = job->layout.samples.items[s];
        cyg_app_print(job->app, ">>> [%zu] start\n", s);
        CYG_DO(cyg_sample_read(job->app, job->engine, &job->layout, c->input_dir, sample));
        CYG_DO(c->enable_perlayer_output ? run_and_dump(job, sample)
                                         : cyg_engine_run(job->app, job->engine, NULL));
        CYG_DO(cyg_sample_write(job->app, job->engine, &job->layout, c->output_dir, sample));
        cyg_app_print(job->app, ">>> [%zu] finish\n", s);
        record_outputs(job, sample);
    }
    return CYG_OK;
}

static cyg_status run_model(cyg_app *app, const cyg_config_run *config)
{
    run_job job = {.app = app, .config = config};
    cyg_sim_options sim = {.check = config->sim_check, .taps = config->enable_perlayer_output};
    CYG_DO(cyg_sim_order_parse(&app->ctx, config->sim_order, &sim));
    const cyg_engine_options options = {.on_tensor =
                                            config->enable_perlayer_output ? on_tensor : NULL,
                                        .user = &job,
                                        .patient = true,
                                        .sim = &sim,
                                        .batch = (uint32_t)config->batch_size,
                                        .group = (uint32_t)config->group_index};
    CYG_DO(cyg_engine_open(app, config->model, &options, &job.engine));
    if (cyg_engine_npu(job.engine) == NULL && (config->sim_check || sim.order != CYG_SIM_PROGRAM))
        cyg_warn(&app->ctx, "--sim_order and --sim_check have no effect: %s has no NPU subgraphs",
                 config->model);
    if (config->mode == CYG_CONFIG_ANALYSIS_MODE_NPUBackend)
        cyg_warn(&app->ctx,
                 cyg_engine_runs_package(job.engine)
                     ? "--mode NPUBackend has no effect: a package's integers are the same on "
                       "every target"
                     : "--mode NPUBackend has no effect: %s runs as the file says, in floats; "
                       "`cygnet build` makes a package with the NPU's integers of it",
                 config->model);
    cyg_status status = cyg_sample_layout_open(app, job.engine, config->list, &job.layout);
    cyg_json_init(&job.json, &job.text, 2);
    cyg_json_begin_object(&job.json);
    cyg_json_key_int(&job.json, "samples", (int64_t)job.layout.samples.count);
    cyg_json_key_int(&job.json, "batch", cyg_engine_batch(job.engine));
    cyg_json_key(&job.json, "outputs");
    cyg_json_begin_array(&job.json);
    if (status == CYG_OK)
        status = prepare(&job);
    if (status == CYG_OK)
        status = run_all(&job);
    cyg_json_end_array(&job.json);
    if (cyg_engine_npu(job.engine) != NULL) {
        const cyg_sim_totals cost = cyg_engine_npu_cost(job.engine);
        cyg_json_key_int(&job.json, "cycles", cost.cycles);
        cyg_json_key_double(&job.json, "estimated_ms", 1e3 * cost.seconds);
    }
    cyg_json_key_string(&job.json, "isa", cyg_engine_isa(job.engine));
    cyg_json_key_int(&job.json, "threads", cyg_engine_threads(job.engine));
    cyg_json_key_int(&job.json, "peak_rss_bytes", (int64_t)cyg_peak_rss_bytes());
    cyg_json_end_object(&job.json);
    if (status == CYG_OK && app->json)
        status = cyg_app_print_json(app, &job.text);
    cyg_strbuf_deinit(&job.text);
    cyg_engine_close(job.engine);
    return status;
}

static cyg_status print_help(cyg_app *app, const cyg_flag own[CYG_APP_FLAGS])
{
    cyg_config_run config;
    const cyg_flag *flags = NULL;
    const char *file = NULL;
    size_t count = 0;
    CYG_DO(cyg_config_init(&app->ctx, &app->arena, &cyg_config_message_run, &config));
    CYG_DO(cyg_config_flags(&app->ctx, &app->arena, &cyg_config_message_run, &config, &file, &flags,
                            &count));
    cyg_flag *all = CYG_NEW_ARRAY(&app->arena, cyg_flag, count + CYG_APP_FLAGS);
    if (all == NULL)
        return CYG_FAIL(&app->ctx, CYG_E_NOMEM, "out of memory");
    memcpy(all, flags, count * sizeof *all);
    memcpy(all + count, own, CYG_APP_FLAGS * sizeof *all);
    return cyg_app_print_help(app, "run", all, count + CYG_APP_FLAGS);
}

cyg_status cyg_cmd_run(cyg_app *app, int argc, const char *const *argv)
{
    const cyg_config_message *message = &cyg_config_message_run;
    cyg_flag own[CYG_APP_FLAGS];
    cyg_config_run config;
    const char *file = NULL;
    cyg_app_flags(app, own);
    CYG_DO(cyg_config_load(&app->ctx, &app->arena, message, argc, argv, own, CYG_APP_FLAGS, &config,
                           &file));
    if (app->help)
        return print_help(app, own);
    CYG_DO(cyg_config_require(&app->ctx, message, &config));
    CYG_DO(cyg_config_check_supported(&app->ctx, message, &config));
    return run_model(app, &config);
}
