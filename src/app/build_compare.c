/* compiler.check: the compiled program against the quantised model, value by value.
 *
 * The quantised model is its program before placement, run by the interpreter; the compiled one is
 * the finished package on its target: read back, placed, packed, split over threads. They have to
 * be equal bit for bit, so `check: 2` passes unless something is broken; the other two exist for
 * their own sake. (The interpreter takes the machine's vector kernels here. That these equal plain
 * C is what tests are for: plain C takes half a minute a picture.) Samples are the calibration's,
 * or files in the form that the package takes (compiler.input_sample_dir). */
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "app/build.h"
#include "app/sample_dir.h"
#include "app/values.h"
#include "interp/interp.h"

enum { CLOSE = 1, EQUAL = 2, COSINE = 3, MOST_SAMPLES = 4 };

typedef struct comparison {
    cyg_build *b;
    cyg_session *session;
    cyg_build_feed feed;
    regex_t *skip; /* [skip_count] */
    size_t skip_count;
    bool *skip_used;
    bool layers;        /* intermediate tensors too */
    cyg_sample_dir dir; /* input_sample_dir; no folders = calibration samples */
    size_t samples;
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

static bool is_skipped(const comparison *c, const char *name)
{
    for (size_t i = 0; i < c->skip_count; i++)
        if (regexec(&c->skip[i], name, 0, NULL, 0) == 0) {
            c->skip_used[i] = true;
            return true;
        }
    return false;
}

static void compare_tensor(comparison *c, uint32_t tensor, const void *found)
{
    const cyg_tensor *t = &c->b->program.tensors[tensor];
    if (c->status != CYG_OK || c->reference[tensor].data == NULL || cyg_tensor_bytes(t) == 0 ||
        is_skipped(c, t->name))
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

static cyg_status read_folder(comparison *c, size_t sample, void *const *inputs)
{
    cyg_app *app = c->b->app;
    for (uint32_t i = 0; i < c->b->program.input_count; i++) {
        cyg_tensor_info info = {.struct_size = sizeof info};
        CYG_DO(cyg_app_rt(app, cyg_session_input_info(c->session, i, &info)));
        CYG_TRY(&app->ctx, cyg_sample_dir_read(app, &c->dir, sample, i, info.bytes, inputs[i]),
                "input \"%s\"", info.name);
    }
    return CYG_OK;
}

static cyg_status compare_sample(comparison *c, size_t sample, cyg_arena *arena)
{
    cyg_build *b = c->b;
    cyg_ctx *ctx = &b->app->ctx;
    const cyg_program *p = &b->program;
    void **inputs = CYG_NEW_ARRAY(arena, void *, (size_t)b->program.input_count + 1);
    cyg_kbuf *in = CYG_NEW_ARRAY(arena, cyg_kbuf, (size_t)b->program.input_count + 1);
    cyg_kbuf *out = CYG_NEW_ARRAY(arena, cyg_kbuf, (size_t)p->output_count + 1);
    c->reference = CYG_NEW_ARRAY(arena, cyg_kbuf, (size_t)p->tensor_count + 1);
    if (inputs == NULL || in == NULL || out == NULL || c->reference == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    for (uint32_t i = 0; i < b->program.input_count; i++) {
        const cyg_tensor *t = &p->tensors[p->inputs[i]];
        inputs[i] = cyg_session_input(c->session, i);
        in[i] = (cyg_kbuf){.data = inputs[i], .type = t->type, .rank = t->rank};
        memcpy(in[i].dims, t->dims, sizeof in[i].dims);
    }
    CYG_DO(c->dir.folders != NULL ? read_folder(c, sample, inputs)
                                  : cyg_build_feed_sample(&c->feed, sample, inputs));
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

static cyg_status compile_patterns(comparison *c)
{
    const cyg_string_list *list = &c->b->config.compiler.check_tensor_black_list;
    cyg_arena *arena = &c->b->app->arena;
    c->skip = CYG_NEW_ARRAY(arena, regex_t, list->count + 1);
    c->skip_used = CYG_NEW_ARRAY(arena, bool, list->count + 1);
    if (c->skip == NULL || c->skip_used == NULL)
        return CYG_FAIL(&c->b->app->ctx, CYG_E_NOMEM, "out of memory");
    for (size_t i = 0; i < list->count; i++) {
        const int code = regcomp(&c->skip[i], list->items[i], REG_EXTENDED | REG_NOSUB);
        char why[128];
        if (code != 0) {
            regerror(code, &c->skip[i], why, sizeof why);
            return CYG_FAIL(&c->b->app->ctx, CYG_E_CONFIG,
                            "compiler.check_tensor_black_list: \"%s\" is no pattern: %s",
                            list->items[i], why);
        }
        c->skip_count++;
    }
    return CYG_OK;
}

static cyg_status choose_samples(comparison *c)
{
    cyg_build *b = c->b;
    const char *root = b->config.compiler.input_sample_dir;
    if (root == NULL || root[0] == '\0') {
        c->samples = b->golden.samples < MOST_SAMPLES ? b->golden.samples : MOST_SAMPLES;
        return CYG_OK;
    }
    const char **names =
        CYG_NEW_ARRAY(&b->app->arena, const char *, (size_t)b->program.input_count + 1);
    if (names == NULL)
        return CYG_FAIL(&b->app->ctx, CYG_E_NOMEM, "out of memory");
    for (uint32_t i = 0; i < b->program.input_count; i++)
        names[i] = b->program.tensors[b->program.inputs[i]].name;
    CYG_DO(cyg_sample_dir_open(b->app, "compiler.input_sample_dir", root, names,
                               b->program.input_count, &c->dir));
    c->samples = c->dir.count;
    return CYG_OK;
}

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
    CYG_DO(compile_patterns(c));
    CYG_DO(choose_samples(c));
    CYG_DO(open_session(c, model));
    if (c->dir.folders == NULL)
        CYG_DO(cyg_build_feed_open(b, model, &c->feed));
    for (size_t i = 0; i < c->samples; i++) {
        cyg_arena arena;
        cyg_arena_init(&arena);
        cyg_progress(&b->app->ctx, "compare", (int64_t)i, (int64_t)c->samples);
        const cyg_status st = compare_sample(c, i, &arena);
        cyg_arena_deinit(&arena);
        CYG_TRY(&b->app->ctx, st, "sample %zu", i);
        CYG_DO(cyg_ctx_check_cancelled(&b->app->ctx));
    }
    cyg_progress(&b->app->ctx, "compare", (int64_t)c->samples, (int64_t)c->samples);
    for (size_t i = 0; i < c->skip_count; i++)
        if (!c->skip_used[i])
            cyg_warn(&b->app->ctx, "compiler.check_tensor_black_list: \"%s\" matches no tensor",
                     b->config.compiler.check_tensor_black_list.items[i]);
    cyg_app_print(b->app,
                  "  check graph [main]: %zu tensors of %zu samples %s the quantised model's, "
                  "successfully!\n",
                  c->compared, c->samples, how[b->config.compiler.check]);
    return CYG_OK;
}

cyg_status cyg_build_compare(cyg_build *b, const char *package_path)
{
    comparison c = {.b = b};
    cyg_model *model = NULL;
    const cyg_config_compiler *o = &b->config.compiler;
    if (o->check == 0)
        return CYG_OK;
    if (b->samples.count == 0 && (o->input_sample_dir == NULL || o->input_sample_dir[0] == '\0')) {
        cyg_warn(&b->app->ctx, "compiler.check has no effect: there are no calibration samples; "
                               "give some as the package takes them in compiler.input_sample_dir");
        return CYG_OK;
    }
    cyg_status st = cyg_app_rt(b->app, cyg_model_open(package_path, &model));
    if (st == CYG_OK)
        st = compare(&c, model);
    for (size_t i = 0; i < c.skip_count; i++)
        regfree(&c.skip[i]);
    cyg_session_destroy(c.session);
    cyg_model_close(model);
    return st;
}
