/* A trial of a build: a quantised graph becomes a package of its own, runs on calibration samples
 * as the finished one will, and is compared with the float model. For searches, which make many. */
#include <unistd.h>

#include "app/build.h"

cyg_status cyg_build_trial_open(cyg_build *b, cyg_build_trial *out_trial)
{
    *out_trial = (cyg_build_trial){.build = b};
    return cyg_build_path(b, "quant/trial.cyg", &out_trial->path);
}

void cyg_build_trial_close(cyg_build_trial *t)
{
    if (t->path != NULL)
        unlink(t->path);
    t->path = NULL;
}

/* `count` samples, `stride` apart. */
static cyg_status run(cyg_build_trial *t, cyg_session *session, size_t count, size_t stride,
                      cyg_similarity *out)
{
    cyg_build *b = t->build;
    for (uint32_t i = 0; i < b->input_count; i++)
        t->inputs[i] = cyg_session_input(session, i);
    for (size_t i = 0; i < count; i++) {
        CYG_DO(cyg_ctx_check_cancelled(&b->app->ctx));
        CYG_DO(cyg_build_feed_sample(&t->feed, i * stride, t->inputs));
        CYG_DO(cyg_app_rt(b->app, cyg_session_run(session)));
        cyg_similarity_add(out, b->golden.data + i * stride * b->golden.count,
                           cyg_session_output(session, 0), b->golden.count);
    }
    return CYG_OK;
}

static cyg_status open_and_run(cyg_build_trial *t, size_t count, size_t stride, cyg_similarity *out)
{
    cyg_build *b = t->build;
    cyg_model *model = NULL;
    cyg_session *session = NULL;
    cyg_session_options options;
    cyg_session_options_init(&options);
    options.patient = 1;
    options.threads = cyg_pool_threads(b->app->ctx.pool);
    cyg_status status = cyg_app_rt(b->app, cyg_model_open(t->path, &model));
    if (status == CYG_OK)
        status = cyg_app_rt(b->app, cyg_session_create(model, &options, &session));
    if (status == CYG_OK && t->inputs == NULL) {
        t->inputs = CYG_NEW_ARRAY(&b->app->arena, void *, (size_t)b->input_count + 1);
        status = t->inputs == NULL ? CYG_FAIL(&b->app->ctx, CYG_E_NOMEM, "out of memory")
                                   : cyg_build_feed_open(b, model, &t->feed);
    }
    if (status == CYG_OK)
        status = run(t, session, count, stride, out);
    cyg_session_destroy(session);
    cyg_model_close(model);
    return status;
}

cyg_status cyg_build_trial_measure(cyg_build_trial *t, cyg_graph *g, size_t most,
                                   cyg_similarity *out)
{
    cyg_build *b = t->build;
    cyg_ctx *ctx = &b->app->ctx;
    cyg_arena arena;
    cyg_cpu_report report;
    cyg_program *const programs = b->programs;
    const cyg_program program = b->program;
    const uint32_t program_count = b->program_count;
    const size_t samples = b->golden.samples, count = most == 0 || most > samples ? samples : most;
    *out = (cyg_similarity){0};
    cyg_arena_init(&arena);
    cyg_status status = cyg_build_bind_inputs(b, g);
    if (status == CYG_OK)
        status = cyg_target_cpu_compile(ctx, g, &arena, &b->program, &report);
    if (status == CYG_OK) {
        b->programs = &b->program;
        b->program_count = 1;
        status = cyg_build_write_package(b, t->path);
    }
    if (status == CYG_OK)
        status = open_and_run(t, count, samples / count, out);
    b->program = program;
    b->programs = programs;
    b->program_count = program_count;
    cyg_arena_deinit(&arena);
    return status;
}
