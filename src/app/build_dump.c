/* What a build leaves in quant/debug beside the precision tables, for people who compare tensors in
 * tools of their own. All of it is of the first calibration sample.
 *
 *   io/float, io/quant         inputs and results of the float model; of the package, as it is fed
 *   test_data_set_0            the latter in ONNX's test layout, for quant_axmodel.onnx
 *   numpy/float, numpy/xrun    every tensor of both, where quant.precision_analysis asks for the
 *                              long table: floats, and the codes as they stand (results in floats)
 *
 * Each folder has a tensors.json. */
#include <string.h>

#include "app/build.h"
#include "app/dump.h"
#include "interp/interp.h"
#include "onnx/proto.h"

typedef struct dumper {
    cyg_build *b;
    cyg_dump *io, *all; /* all: NULL = only inputs and results */
    bool quantised;
} dumper;

static cyg_status folder(cyg_build *b, const char *name, const char **out_path)
{
    const char *inside = cyg_arena_printf(&b->app->arena, "quant/debug/%s/tensors.json", name);
    if (inside == NULL)
        return CYG_FAIL(&b->app->ctx, CYG_E_NOMEM, "out of memory");
    CYG_DO(cyg_build_path(b, inside, out_path));
    *out_path = cyg_arena_printf(&b->app->arena, "%.*s", (int)(strrchr(*out_path, '/') - *out_path),
                                 *out_path);
    return *out_path != NULL ? CYG_OK : CYG_FAIL(&b->app->ctx, CYG_E_NOMEM, "out of memory");
}

/* ---- what is dumped ---- */

static void from_buffer(const char *name, const char *layer, const cyg_kbuf *buf,
                        cyg_dump_tensor *out)
{
    *out = (cyg_dump_tensor){
        .name = name, .layer = layer, .type = (cyg_type)buf->type, .rank = buf->rank};
    memcpy(out->dims, buf->dims, sizeof out->dims);
}

static bool is_among(const cyg_value_id *list, uint32_t count, uint32_t v)
{
    for (uint32_t i = 0; i < count; i++)
        if (list[i].i == v)
            return true;
    return false;
}

static cyg_status on_float(cyg_ctx *ctx, void *user, cyg_value_id v, const cyg_kbuf *buf)
{
    dumper *d = user;
    const cyg_graph *g = d->b->quantised.reference;
    const cyg_node_id n = cyg_val(g, v)->producer;
    cyg_dump_tensor t;
    (void)ctx;
    from_buffer(cyg_val(g, v)->name, cyg_node_is_none(n) ? NULL : cyg_nod(g, n)->name, buf, &t);
    if (is_among(g->inputs, g->input_count, v.i) || is_among(g->outputs, g->output_count, v.i))
        CYG_DO(cyg_dump_add(d->io, &t, buf->data));
    return d->all != NULL ? cyg_dump_add(d->all, &t, buf->data) : CYG_OK;
}

static bool is_end(const cyg_program *p, uint32_t tensor)
{
    for (uint32_t i = 0; i < p->input_count; i++)
        if (p->inputs[i] == tensor)
            return true;
    for (uint32_t i = 0; i < p->output_count; i++)
        if (p->outputs[i] == tensor)
            return true;
    return false;
}

static cyg_status on_integer(cyg_ctx *ctx, void *user, cyg_value_id id, const cyg_kbuf *buf)
{
    dumper *d = user;
    const cyg_tensor *tensor = &d->b->program.tensors[id.i];
    const cyg_graph *g = d->b->graph;
    cyg_dump_tensor t;
    (void)ctx;
    from_buffer(tensor->name, NULL, buf, &t);
    if (tensor->value < g->value_count) {
        const cyg_value *v = &g->values[tensor->value];
        const bool codes = v->quant.type != CYG_TYPE_NONE && (cyg_type)buf->type == v->quant.type;
        if (!cyg_node_is_none(v->producer))
            t.layer = cyg_nod(g, v->producer)->name;
        t.scales = v->quant.scales;
        t.scale_count = codes ? v->quant.count : 0;
        t.zero_point = v->quant.zero_point;
        t.axis = v->quant.axis;
    }
    if (is_end(&d->b->program, id.i))
        CYG_DO(cyg_dump_add(d->io, &t, buf->data));
    return d->all != NULL ? cyg_dump_add(d->all, &t, buf->data) : CYG_OK;
}

/* ---- runs ---- */

static cyg_status run_float(dumper *d, const cyg_sample_tensor *sample)
{
    cyg_build *b = d->b;
    cyg_graph *g = b->quantised.reference;
    const cyg_interp_options options = {.observer = on_float, .user = d, .lean = true};
    cyg_kbuf *in = CYG_NEW_ARRAY(&b->app->arena, cyg_kbuf, (size_t)g->input_count + 1);
    cyg_interp *interp;
    if (in == NULL)
        return CYG_FAIL(&b->app->ctx, CYG_E_NOMEM, "out of memory");
    for (uint32_t i = 0; i < g->input_count; i++) {
        const cyg_value *v = cyg_val(g, g->inputs[i]);
        const void *data = sample[i].data;
        in[i] = (cyg_kbuf){.type = (int32_t)v->type, .rank = v->rank};
        memcpy(in[i].dims, v->dims, sizeof v->dims);
        memcpy(&in[i].data, &data, sizeof data); /* inputs are only read */
    }
    CYG_DO(cyg_interp_create(&b->app->ctx, g, &options, &interp));
    const cyg_status status = cyg_interp_run(&b->app->ctx, interp, in, g->input_count);
    cyg_interp_destroy(interp);
    return status;
}

/* Inputs and the one result, which calibration kept: no run for them. */
static cyg_status repeat_float(dumper *d, const cyg_sample_tensor *sample)
{
    const cyg_build *b = d->b;
    const cyg_graph *g = b->quantised.reference;
    for (uint32_t i = 0; i <= g->input_count; i++) {
        const bool result = i == g->input_count;
        const cyg_value_id id = result ? g->outputs[0] : g->inputs[i];
        const cyg_value *v = cyg_val(g, id);
        cyg_kbuf buf = {.type = (int32_t)v->type, .rank = v->rank};
        const void *data = result ? b->golden.data : sample[i].data;
        memcpy(buf.dims, v->dims, sizeof v->dims);
        memcpy(&buf.data, &data, sizeof data); /* only read */
        CYG_DO(on_float(&d->b->app->ctx, d, id, &buf));
    }
    return CYG_OK;
}

static bool is_kept(const cyg_build *b)
{
    const cyg_graph *g = b->quantised.reference;
    const cyg_value *y = g->output_count == 1 ? cyg_val(g, g->outputs[0]) : NULL;
    return y != NULL && y->type == CYG_TYPE_F32 && b->golden.samples > 0 &&
           cyg_value_elements(y) == (int64_t)b->golden.count && !b->config.quant.precision_analysis;
}

static cyg_kbuf buffer_of(const cyg_tensor *t, void *data)
{
    cyg_kbuf buf = {.type = t->type, .rank = t->rank, .data = data};
    memcpy(buf.dims, t->dims, sizeof buf.dims);
    return buf;
}

/* TensorProto: dims 1, data_type 2, name 8, raw_data 9. */
static cyg_status write_tensor(cyg_build *b, const char *side, uint32_t i, const cyg_tensor *t,
                               const void *data)
{
    cyg_ctx *ctx = &b->app->ctx;
    char name[64];
    const char *path;
    cyg_strbuf text = {0};
    snprintf(name, sizeof name, "quant/debug/test_data_set_0/%s_%u.pb", side, i);
    for (int k = 0; k < t->rank; k++)
        cyg_proto_int(&text, 1, t->dims[k]);
    cyg_proto_int(&text, 2, cyg_type_to_onnx((cyg_type)t->type));
    cyg_proto_string(&text, 8, t->name);
    cyg_proto_bytes(&text, 9, data, cyg_tensor_bytes(t));
    cyg_status status =
        text.failed ? CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory") : cyg_build_path(b, name, &path);
    if (status == CYG_OK)
        status = cyg_write_file(ctx, path, text.data, text.len);
    cyg_strbuf_deinit(&text);
    return status;
}

/* Every tensor, on the inputs that the golden check fed. */
static cyg_status run_integer(dumper *d, const cyg_build_run *run)
{
    const cyg_program *p = &d->b->program;
    cyg_ctx *ctx = &d->b->app->ctx;
    cyg_arena arena;
    cyg_arena_init(&arena);
    cyg_kbuf *in = CYG_NEW_ARRAY(&arena, cyg_kbuf, (size_t)p->input_count + 1),
             *out = CYG_NEW_ARRAY(&arena, cyg_kbuf, (size_t)p->output_count + 1);
    cyg_status status =
        in == NULL || out == NULL ? CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory") : CYG_OK;
    for (uint32_t i = 0; status == CYG_OK && i < p->input_count; i++) {
        in[i] = buffer_of(&p->tensors[p->inputs[i]], run->inputs[i]);
        status = on_integer(ctx, d, (cyg_value_id){p->inputs[i]}, &in[i]);
    }
    if (status == CYG_OK)
        status =
            cyg_interp_run_program(ctx, p, false, in, p->input_count, on_integer, d, &arena, out);
    cyg_arena_deinit(&arena);
    return status;
}

/* Inputs and results, which the golden check kept. */
static cyg_status repeat_integer(dumper *d, const cyg_build_run *run)
{
    const cyg_program *p = &d->b->program;
    for (uint32_t i = 0; i < p->input_count + p->output_count; i++) {
        const bool result = i >= p->input_count;
        const uint32_t k = result ? i - p->input_count : i,
                       id = result ? p->outputs[k] : p->inputs[k];
        const cyg_kbuf buf = buffer_of(&p->tensors[id], result ? run->outputs[k] : run->inputs[k]);
        CYG_DO(on_integer(&d->b->app->ctx, d, (cyg_value_id){id}, &buf));
    }
    return CYG_OK;
}

static cyg_status write_test_data(cyg_build *b, const cyg_build_run *run)
{
    const cyg_program *p = &b->program;
    for (uint32_t i = 0; i < p->input_count; i++)
        CYG_DO(write_tensor(b, "input", i, &p->tensors[p->inputs[i]], run->inputs[i]));
    for (uint32_t i = 0; i < p->output_count; i++)
        CYG_DO(write_tensor(b, "output", i, &p->tensors[p->outputs[i]], run->outputs[i]));
    return CYG_OK;
}

/* One side: its two folders around a run; sample: of the float model. */
static cyg_status dump_side(cyg_build *b, const cyg_sample_tensor *sample, bool quantised)
{
    dumper d = {.b = b};
    const char *path;
    CYG_DO(folder(b, quantised ? "io/quant" : "io/float", &path));
    CYG_DO(cyg_dump_open(b->app, path, true, &d.io));
    cyg_status status = CYG_OK;
    if (b->config.quant.precision_analysis) {
        status = folder(b, quantised ? "numpy/xrun" : "numpy/float", &path);
        if (status == CYG_OK)
            status = cyg_dump_open(b->app, path, true, &d.all);
    }
    if (status == CYG_OK)
        status = quantised ? (d.all != NULL ? run_integer : repeat_integer)(&d, &b->first_run)
                           : (is_kept(b) ? repeat_float : run_float)(&d, sample);
    if (status != CYG_OK) {
        cyg_dump_abort(d.io);
        cyg_dump_abort(d.all);
        return status;
    }
    status = cyg_dump_close(d.io);
    if (d.all == NULL)
        return status;
    if (status == CYG_OK)
        return cyg_dump_close(d.all);
    cyg_dump_abort(d.all);
    return status;
}

cyg_status cyg_build_dump(cyg_build *b)
{
    cyg_ctx *ctx = &b->app->ctx;
    if (b->quantised.reference == NULL || b->first_run.outputs == NULL)
        return CYG_OK;
    cyg_sample_tensor *sample =
        CYG_NEW_ARRAY(&b->app->arena, cyg_sample_tensor, (size_t)b->input_count + 1);
    if (sample == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    CYG_DO(dump_side(b, NULL, true));
    CYG_DO(write_test_data(b, &b->first_run));
    CYG_DO(b->samples.get(ctx, b->samples.self, 0, sample));
    return dump_side(b, sample, false);
}
