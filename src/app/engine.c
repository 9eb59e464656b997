/* Running a model, whatever it is.
 *
 * A package goes through the public runtime API and nothing else, so that what a command shows is
 * what a user's program gets. A float model, ONNX or checkpoint, goes through the optimiser and the
 * interpreter: it is the reference, and should not be slower than it must. Its input buffers are
 * taken once, of the shapes that the file states; a symbolic dimension that import left open is an
 * error that tells how to state it. */
#include "app/engine.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/cpu.h"
#include "base/file.h"
#include "format/package.h"
#include "interp/interp.h"
#include "rt/model.h"

struct cyg_engine {
    cyg_arena arena;
    uint32_t input_count, output_count;
    cyg_engine_tensor *inputs, *outputs;
    /* a package */
    cyg_model *model;
    cyg_session *session;
    cyg_sim_device npu;
    uint64_t runs;
    const cyg_engine_options *options; /* while on_tensor is wanted; lent */
    cyg_status tensor_status;
    /* a float model */
    cyg_float_model source;
    cyg_graph *graph; /* of source */
    cyg_interp *interp;
    cyg_kbuf *buffers; /* [input_count] */
    unsigned threads;
};

cyg_status cyg_engine_is_package(cyg_app *app, const char *path, bool *out_is)
{
    cyg_map map;
    CYG_DO(cyg_map_open(&app->ctx, path, &map));
    *out_is = cyg_package_is(map.data, map.size);
    cyg_map_close(&map);
    return CYG_OK;
}

static cyg_status make_lists(cyg_app *app, cyg_engine *e, uint32_t inputs, uint32_t outputs)
{
    e->input_count = inputs;
    e->output_count = outputs;
    e->inputs = CYG_NEW_ARRAY(&e->arena, cyg_engine_tensor, (size_t)inputs + 1);
    e->outputs = CYG_NEW_ARRAY(&e->arena, cyg_engine_tensor, (size_t)outputs + 1);
    if (e->inputs == NULL || e->outputs == NULL)
        return CYG_FAIL(&app->ctx, CYG_E_NOMEM, "out of memory");
    return CYG_OK;
}

/* ---- packages ---- */

static void take_info(const cyg_tensor_info *info, cyg_engine_tensor *out)
{
    *out = (cyg_engine_tensor){.name = info->name,
                               .type = (cyg_type)info->type,
                               .rank = info->rank,
                               .bytes = info->bytes,
                               .scale = info->scale,
                               .zero_point = info->zero_point};
    memcpy(out->dims, info->dims, sizeof out->dims);
}

static void pass_outputs(cyg_engine *e, uint32_t step)
{
    const char *layer = cyg_session_step_name(e->session, step);
    const cyg_tensor *t;
    for (uint32_t k = 0;
         e->tensor_status == CYG_OK && (t = cyg_session_step_tensor(e->session, step, k)) != NULL;
         k++) {
        const void *data = cyg_session_step_output(e->session, step, k);
        cyg_engine_tensor info = {.name = t->name,
                                  .type = (cyg_type)t->type,
                                  .rank = t->rank,
                                  .bytes = cyg_tensor_bytes(t),
                                  .scale = t->scale,
                                  .zero_point = t->zero_point};
        memcpy(info.dims, t->dims, sizeof info.dims);
        if (data != NULL)
            e->tensor_status = e->options->on_tensor(e->options->user, &info, layer, data);
    }
}

static void on_step(void *user, uint32_t step, const char *name, double seconds)
{
    cyg_engine *e = user;
    (void)name;
    (void)seconds;
    /* The steps of a subgraph ran at once: then all of them are there. */
    const uint32_t end =
        e->session == NULL ? step : step + cyg_session_step_covers(e->session, step);
    for (; e->tensor_status == CYG_OK && step < end; step++)
        pass_outputs(e, step);
}

static cyg_status open_package(cyg_app *app, cyg_engine *e, const char *path,
                               const cyg_engine_options *options)
{
    cyg_session_options o;
    const cyg_executor *const executors[] = {&e->npu.executor};
    unsigned threads = options->threads;
    CYG_DO(cyg_source_refuse_settings(app, options->settings, path, "a package"));
    if (threads == 0)
        CYG_DO(cyg_pool_threads_from_env(&app->ctx, &threads));
    cyg_session_options_init(&o);
    o.threads = threads;
    o.isa = options->isa;
    o.on_step = options->on_tensor != NULL ? on_step : options->on_step;
    o.user = options->on_tensor != NULL ? e : options->user;
    e->options = options;
    o.patient = options->patient;
    o.batch = options->batch;
    o.group = options->group;
    o.executors = executors;
    o.executor_count = CYG_COUNT(executors);
    cyg_sim_device_init(&e->npu, options->sim);
    CYG_DO(cyg_app_rt(app, cyg_model_open(path, &e->model)));
    CYG_TRY(&app->ctx, cyg_app_rt(app, cyg_session_create(e->model, &o, &e->session)), "%s", path);
    CYG_DO(make_lists(app, e, cyg_model_input_count(e->model), cyg_model_output_count(e->model)));
    for (uint32_t i = 0; i < e->input_count; i++) {
        cyg_tensor_info info = {.struct_size = sizeof info};
        CYG_DO(cyg_app_rt(app, cyg_session_input_info(e->session, i, &info)));
        take_info(&info, &e->inputs[i]);
    }
    for (uint32_t i = 0; i < e->output_count; i++) {
        cyg_tensor_info info = {.struct_size = sizeof info};
        CYG_DO(cyg_app_rt(app, cyg_session_output_info(e->session, i, &info)));
        take_info(&info, &e->outputs[i]);
    }
    return CYG_OK;
}

/* ---- float models ---- */

static cyg_status on_value(cyg_ctx *ctx, void *user, cyg_value_id v, const cyg_kbuf *buf)
{
    const cyg_engine *e = user;
    const cyg_value *value = cyg_val(e->graph, v);
    (void)ctx;
    if (cyg_node_is_none(value->producer))
        return CYG_OK;
    cyg_engine_tensor t = {.name = value->name,
                           .type = (cyg_type)buf->type,
                           .rank = buf->rank,
                           .bytes = cyg_type_size((cyg_type)buf->type)};
    memcpy(t.dims, buf->dims, sizeof t.dims);
    for (int i = 0; i < t.rank; i++)
        t.bytes *= (size_t)t.dims[i];
    return e->options->on_tensor(e->options->user, &t, cyg_nod(e->graph, value->producer)->name,
                                 buf->data);
}

static cyg_status take_input(cyg_app *app, cyg_engine *e, const char *path, uint32_t i)
{
    const cyg_value *v = cyg_val(e->graph, e->graph->inputs[i]);
    cyg_engine_tensor *t = &e->inputs[i];
    const int64_t count = cyg_value_shape_known(v) ? cyg_value_elements(v) : -1;
    if (count < 0 || v->type == CYG_TYPE_NONE)
        return CYG_FAIL(&app->ctx, CYG_E_UNSUPPORTED,
                        "%s: input \"%s\" has no fixed shape: build it with --input_shapes", path,
                        v->name);
    *t = (cyg_engine_tensor){.name = v->name, .type = v->type, .rank = v->rank};
    memcpy(t->dims, v->dims, sizeof t->dims);
    t->bytes = (size_t)count * cyg_type_size(v->type);
    return CYG_OK;
}

static cyg_status make_buffers(cyg_app *app, cyg_engine *e)
{
    e->buffers = CYG_NEW_ARRAY(&e->arena, cyg_kbuf, (size_t)e->input_count + 1);
    for (uint32_t i = 0; e->buffers != NULL && i < e->input_count; i++) {
        const cyg_engine_tensor *t = &e->inputs[i];
        cyg_kbuf *buf = &e->buffers[i];
        *buf = (cyg_kbuf){.data = cyg_arena_zalloc(&e->arena, t->bytes + 64, 64),
                          .type = (int32_t)t->type,
                          .rank = t->rank};
        memcpy(buf->dims, t->dims, sizeof buf->dims);
        if (buf->data == NULL)
            return CYG_FAIL(&app->ctx, CYG_E_NOMEM, "out of memory");
    }
    return e->buffers != NULL ? CYG_OK : CYG_FAIL(&app->ctx, CYG_E_NOMEM, "out of memory");
}

static cyg_status open_float(cyg_app *app, cyg_engine *e, const char *path,
                             const cyg_engine_options *options)
{
    if (options->isa != NULL)
        return CYG_FAIL(&app->ctx, CYG_E_USAGE, "%s: an ISA level can be chosen for packages only",
                        path);
    if (options->batch > 1 || options->group > 0)
        return CYG_FAIL(&app->ctx, CYG_E_USAGE,
                        "%s: only packages have batches and size groups to choose from", path);
    CYG_DO(cyg_app_use_threads(app, options->threads));
    e->threads = cyg_pool_threads(app->ctx.pool);
    CYG_DO(cyg_float_model_open_fused(app, path, options->settings, &e->source));
    e->graph = e->source.graph;
    CYG_DO(make_lists(app, e, e->graph->input_count, e->graph->output_count));
    for (uint32_t i = 0; i < e->input_count; i++)
        CYG_DO(take_input(app, e, path, i));
    CYG_DO(make_buffers(app, e));
    for (uint32_t i = 0; i < e->output_count; i++)
        e->outputs[i] =
            (cyg_engine_tensor){.name = cyg_val(e->graph, e->graph->outputs[i])->name, .rank = -1};
    e->options = options;
    const cyg_interp_options interp = {.observer = options->on_tensor != NULL ? on_value : NULL,
                                       .user = e};
    return cyg_interp_create(&app->ctx, e->graph, &interp, &e->interp);
}

static cyg_status run_float(cyg_app *app, cyg_engine *e)
{
    CYG_DO(cyg_interp_run(&app->ctx, e->interp, e->buffers, e->input_count));
    for (uint32_t i = 0; i < e->output_count; i++) {
        const cyg_kbuf *buf = cyg_interp_value(e->interp, e->graph->outputs[i]);
        cyg_engine_tensor *t = &e->outputs[i];
        if (buf == NULL)
            return CYG_FAIL(&app->ctx, CYG_E_INTERNAL, "output \"%s\" was not computed", t->name);
        t->type = (cyg_type)buf->type;
        t->rank = buf->rank;
        memcpy(t->dims, buf->dims, sizeof t->dims);
        t->bytes = cyg_engine_elements(t) * cyg_type_size(t->type);
    }
    return CYG_OK;
}

/* ---- both ---- */

cyg_status cyg_engine_open(cyg_app *app, const char *path, const cyg_engine_options *options,
                           cyg_engine **out_engine)
{
    const cyg_engine_options defaults = {0};
    bool is_package = false;
    *out_engine = NULL;
    CYG_DO(cyg_source_locate(app, path, &path));
    if (!cyg_source_is_checkpoint(path))
        CYG_DO(cyg_engine_is_package(app, path, &is_package));
    cyg_engine *e = calloc(1, sizeof *e);
    if (e == NULL)
        return CYG_FAIL(&app->ctx, CYG_E_NOMEM, "out of memory");
    cyg_arena_init(&e->arena);
    if (options == NULL)
        options = &defaults;
    const cyg_status status =
        is_package ? open_package(app, e, path, options) : open_float(app, e, path, options);
    if (status != CYG_OK)
        cyg_engine_close(e);
    else
        *out_engine = e;
    return status;
}

void cyg_engine_close(cyg_engine *e)
{
    if (e == NULL)
        return;
    cyg_session_destroy(e->session);
    cyg_model_close(e->model);
    if (e->interp != NULL)
        cyg_interp_destroy(e->interp);
    cyg_float_model_close(&e->source);
    cyg_arena_deinit(&e->arena);
    free(e);
}

cyg_status cyg_engine_run(cyg_app *app, cyg_engine *e, double *out_seconds)
{
    CYG_DO(cyg_ctx_check_cancelled(&app->ctx));
    const double start = cyg_seconds();
    if (e->session != NULL) {
        e->tensor_status = CYG_OK;
        CYG_DO(cyg_app_rt(app, cyg_session_run(e->session)));
        CYG_DO(e->tensor_status);
    }
    if (e->session == NULL)
        CYG_DO(run_float(app, e));
    e->runs++;
    if (out_seconds != NULL)
        *out_seconds = cyg_seconds() - start;
    return CYG_OK;
}

bool cyg_engine_runs_package(const cyg_engine *e)
{
    return e->session != NULL;
}

uint32_t cyg_engine_input_count(const cyg_engine *e)
{
    return e->input_count;
}

uint32_t cyg_engine_output_count(const cyg_engine *e)
{
    return e->output_count;
}

const cyg_engine_tensor *cyg_engine_input_info(const cyg_engine *e, uint32_t i)
{
    return &e->inputs[i];
}

const cyg_engine_tensor *cyg_engine_output_info(const cyg_engine *e, uint32_t i)
{
    return &e->outputs[i];
}

void *cyg_engine_input(const cyg_engine *e, uint32_t i)
{
    return e->session != NULL ? cyg_session_input(e->session, i) : e->buffers[i].data;
}

const void *cyg_engine_output(const cyg_engine *e, uint32_t i)
{
    if (e->session != NULL)
        return cyg_session_output(e->session, i);
    const cyg_kbuf *buf = cyg_interp_value(e->interp, e->graph->outputs[i]);
    return buf != NULL ? buf->data : NULL;
}

const char *cyg_engine_meta(const cyg_engine *e, size_t *out_size)
{
    return e->model != NULL ? cyg_model_meta(e->model, out_size) : NULL;
}

uint32_t cyg_engine_batch(const cyg_engine *e)
{
    return e->session != NULL ? cyg_session_batch(e->session) : 1;
}

const char *cyg_engine_isa(const cyg_engine *e)
{
    cyg_cpu_level_id level;
    if (e->session != NULL)
        return cyg_session_isa(e->session);
    return cyg_cpu_level(NULL, &level) == CYG_OK ? cyg_cpu_name(level) : "?";
}

unsigned cyg_engine_threads(const cyg_engine *e)
{
    return e->session != NULL ? cyg_session_threads(e->session) : e->threads;
}

size_t cyg_engine_memory(const cyg_engine *e)
{
    return e->session != NULL ? cyg_session_memory(e->session) : e->arena.used;
}

const cyg_sim_device *cyg_engine_npu(const cyg_engine *e)
{
    return e->session != NULL && e->npu.first != NULL ? &e->npu : NULL;
}

cyg_sim_totals cyg_engine_npu_cost(const cyg_engine *e)
{
    cyg_sim_totals t = cyg_sim_device_totals(&e->npu);
    const int64_t runs = (int64_t)e->runs;
    if (runs > 0) {
        t.cycles /= runs;
        t.macs /= runs;
        t.ddr_bytes /= runs;
        t.seconds /= (double)runs;
    }
    return t;
}

size_t cyg_engine_elements(const cyg_engine_tensor *t)
{
    size_t n = 1;
    for (int i = 0; i < t->rank; i++)
        n *= (size_t)t->dims[i];
    return t->rank < 0 ? 0 : n;
}

static double raw_value(cyg_type type, const void *data, size_t i)
{
    const char *p = data;
    switch ((int)type) {
    case CYG_TYPE_F32:
        return (double)cyg_load_f32(p + 4 * i);
    case CYG_TYPE_U8:
    case CYG_TYPE_BOOL:
        return ((const uint8_t *)data)[i];
    case CYG_TYPE_S8:
        return ((const int8_t *)data)[i];
    case CYG_TYPE_U16:
        return cyg_load_u16(p + 2 * i);
    case CYG_TYPE_S16:
        return (int16_t)cyg_load_u16(p + 2 * i);
    case CYG_TYPE_S32:
        return cyg_load_i32(p + 4 * i);
    case CYG_TYPE_S64:
        return (double)cyg_load_i64(p + 8 * i);
    default:
        return 0.0;
    }
}

double cyg_engine_value(const cyg_engine_tensor *t, const void *data, size_t i)
{
    const double raw = raw_value(t->type, data, i);
    if (t->type == CYG_TYPE_F32 || !(t->scale > 0))
        return raw;
    return (double)t->scale * (raw - (double)t->zero_point);
}

void cyg_engine_describe(const cyg_engine_tensor *t, cyg_strbuf *out)
{
    cyg_strbuf_printf(out, "%s ", cyg_type_name(t->type));
    if (t->rank == 0)
        cyg_strbuf_puts(out, "scalar");
    for (int i = 0; i < t->rank; i++)
        cyg_strbuf_printf(out, "%s%lld", i > 0 ? "x" : "", (long long)t->dims[i]);
}
