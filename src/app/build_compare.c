/* compiler.check: the compiled program against the quantised model, value by value.
 *
 * The quantised model is its program before placement, run by the interpreter; the compiled one is
 * the finished package on its target: read back, placed, packed, split over threads. They have to
 * be equal bit for bit, so `check: 2` passes unless something is broken; the other two exist for
 * their own sake. (The interpreter takes the machine's vector kernels here. That these equal plain
 * C is what tests are for: plain C takes half a minute a picture.) Samples are the calibration's,
 * or files in the form that the package takes (compiler.input_sample_dir). */
#include <string.h>

#include "app/compare_source.h"
#include "app/values.h"
#include "interp/interp.h"

enum { CLOSE = 1, EQUAL = 2, COSINE = 3, MOST_SAMPLES = 4 };

typedef struct comparison {
    cyg_build *b;
    cyg_session *session;
    cyg_compare_source source;
    bool layers; /* intermediate tensors too */
    /* of the sample at hand */
    cyg_kbuf *reference; /* by tensor */
    size_t compared;
    cyg_status status; /* of the first difference */
} comparison;

/* ---- one tensor ---- */

static cyg_engine_tensor describe(const cyg_tensor *t)
{
    cyg_engine_tensor e = {.name = t->name,
                           .type = (cyg_type)t->type,
                           .rank = t->rank,
                           .bytes = cyg_tensor_bytes(t),
                           .scale = t->scale,
                           .zero_point = t->zero_point};
    memcpy(e.dims, t->dims, sizeof e.dims);
    return e;
}

static cyg_status differs(const comparison *c, const cyg_engine_tensor *t, size_t at,
                          const void *expected, const void *found, const char *how)
{
    return CYG_FAIL(&c->b->app->ctx, CYG_E_CHECK,
                    "compiler.check %lld: tensor \"%s\" of the compiled model %s: at element %zu "
                    "expected %.9g, found %.9g",
                    (long long)c->b->config.compiler.check, t->name, how, at,
                    cyg_engine_value(t, expected, at), cyg_engine_value(t, found, at));
}

static cyg_status compare_values(const comparison *c, const cyg_tensor *t, const void *expected,
                                 const void *found)
{
    const cyg_config_compiler *o = &c->b->config.compiler;
    const cyg_engine_tensor e = describe(t);
    size_t at = 0;
    if (o->check == CLOSE)
        return cyg_values_close(&e, expected, found, o->check_rtol, o->check_atol, &at)
                   ? CYG_OK
                   : differs(c, &e, at, expected, found, "is not close");
    if (o->check == EQUAL)
        return cyg_values_equal(&e, expected, found, &at)
                   ? CYG_OK
                   : differs(c, &e, at, expected, found, "is not equal");
    const double cosine = cyg_values_cosine(&e, expected, found);
    if (cosine >= o->check_cosine_simularity)
        return CYG_OK;
    return CYG_FAIL(&c->b->app->ctx, CYG_E_CHECK,
                    "compiler.check 3: tensor \"%s\" of the compiled model has cosine %.6f with "
                    "that of the quantised one, at least %.6f asked",
                    t->name, cosine, o->check_cosine_simularity);
}

static void compare_tensor(comparison *c, uint32_t tensor, const void *found)
{
    const cyg_tensor *t = &c->b->program.tensors[tensor];
    if (c->status != CYG_OK || c->reference[tensor].data == NULL || cyg_tensor_bytes(t) == 0 ||
        cyg_compare_source_skips(&c->source, t->name))
        return;
    c->status = compare_values(c, t, c->reference[tensor].data, found);
    c->compared++;
}

/* ---- samples ---- */

static cyg_status keep(cyg_ctx *ctx, void *user, cyg_value_id tensor, const cyg_kbuf *buf)
{
    (void)ctx;
    ((comparison *)user)->reference[tensor.i] = *buf; /* the arena of the run keeps the data */
    return CYG_OK;
}

static void on_step(void *user, uint32_t step, const char *name, double seconds)
{
    comparison *c = user;
    const cyg_program *p = &c->b->program;
    (void)name;
    (void)seconds;
    for (uint32_t k = 0;
         c->layers && c->session != NULL && step < p->step_count && k < p->steps[step].out_count;
         k++) {
        const void *found = cyg_session_step_output(c->session, step, k);
        if (found != NULL && p->tensors[p->steps[step].out[k]].kind == CYG_TENSOR_ARENA)
            compare_tensor(c, p->steps[step].out[k], found);
    }
}

static cyg_status compare_sample(comparison *c, size_t sample, cyg_arena *arena)
{
    cyg_build *b = c->b;
    cyg_ctx *ctx = &b->app->ctx;
    const cyg_program *p = &b->program;
    cyg_kbuf *in = CYG_NEW_ARRAY(arena, cyg_kbuf, (size_t)p->input_count + 1);
    cyg_kbuf *out = CYG_NEW_ARRAY(arena, cyg_kbuf, (size_t)p->output_count + 1);
    c->reference = CYG_NEW_ARRAY(arena, cyg_kbuf, (size_t)p->tensor_count + 1);
    if (in == NULL || out == NULL || c->reference == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    for (uint32_t i = 0; i < p->input_count; i++) {
        const cyg_tensor *t = &p->tensors[p->inputs[i]];
        in[i] =
            (cyg_kbuf){.data = cyg_session_input(c->session, i), .type = t->type, .rank = t->rank};
        memcpy(in[i].dims, t->dims, sizeof in[i].dims);
    }
    CYG_DO(cyg_compare_source_read(&c->source, sample, c->session, 0));
    CYG_DO(cyg_interp_run_program(ctx, p, false, in, p->input_count, c->layers ? keep : NULL, c,
                                  arena, out));
    CYG_DO(cyg_app_rt(b->app, cyg_session_run(c->session)));
    for (uint32_t i = 0; i < p->output_count; i++) {
        c->reference[p->outputs[i]] = out[i];
        compare_tensor(c, p->outputs[i], cyg_session_output(c->session, i));
    }
    return c->status;
}

/* ---- what is to be compared ---- */

static cyg_status open_session(comparison *c, const cyg_model *model)
{
    cyg_build *b = c->b;
    cyg_session_options options;
    cyg_session_options_init(&options);
    options.patient = 1;
    options.threads = cyg_pool_threads(b->app->ctx.pool);
    options.batch = 1;
    options.on_step = on_step;
    options.user = c;
    c->layers = b->config.compiler.check_mode == CYG_CONFIG_CHECK_MODE_CheckPerLayer;
    if (c->layers && b->batches[b->batch_count - 1] != 1) {
        cyg_warn(&b->app->ctx, "compiler.check_mode CheckPerLayer needs a program for a batch of "
                               "1, which static_batch_sizes leaves out: outputs are compared");
        c->layers = false;
    }
    return cyg_app_rt(b->app, cyg_session_create(model, &options, &c->session));
}

static cyg_status compare(comparison *c, const cyg_model *model)
{
    static const char *const how[] = {
        [CLOSE] = "close to", [EQUAL] = "equal to", [COSINE] = "in line with"};
    cyg_build *b = c->b;
    CYG_DO(cyg_compare_source_open(b, model, MOST_SAMPLES, &c->source));
    CYG_DO(open_session(c, model));
    const size_t samples = c->source.samples;
    for (size_t i = 0; i < samples; i++) {
        cyg_arena arena;
        cyg_arena_init(&arena);
        cyg_progress(&b->app->ctx, "compare", (int64_t)i, (int64_t)samples);
        const cyg_status st = compare_sample(c, i, &arena);
        cyg_arena_deinit(&arena);
        CYG_TRY(&b->app->ctx, st, "sample %zu", i);
        CYG_DO(cyg_ctx_check_cancelled(&b->app->ctx));
    }
    cyg_progress(&b->app->ctx, "compare", (int64_t)samples, (int64_t)samples);
    cyg_compare_source_tell_unused(&c->source);
    cyg_app_print(b->app,
                  "  check graph [main]: %zu tensors of %zu samples %s the quantised model's, "
                  "successfully!\n",
                  c->compared, samples, how[b->config.compiler.check]);
    return CYG_OK;
}

cyg_status cyg_build_compare(cyg_build *b, const cyg_model *model)
{
    comparison c = {.b = b};
    const cyg_config_compiler *o = &b->config.compiler;
    if (o->check == 0)
        return CYG_OK;
    if (b->samples.count == 0 && (o->input_sample_dir == NULL || o->input_sample_dir[0] == '\0')) {
        cyg_warn(&b->app->ctx, "compiler.check has no effect: there are no calibration samples; "
                               "give some as the package takes them in compiler.input_sample_dir");
        return CYG_OK;
    }
    const cyg_status st = compare(&c, model);
    cyg_compare_source_close(&c.source);
    cyg_session_destroy(c.session);
    return st;
}
