/* Size groups: input_processors.src_extra_shapes compiles the model for further input sizes into
 * the same package. Scales are those of the original size (group 0); the package stores weights
 * once. The model is imported and optimised at each size, and the quantised graph takes the sizes
 * over (pass/sizes.c).
 *
 * Ranges were seen at one size only, so every group is checked for itself: calibration pictures at
 * its size through the float model and through the package. */
#include <stdlib.h>
#include <string.h>

#include "app/build.h"
#include "app/similarity.h"
#include "data/image_set.h"
#include "interp/interp.h"

enum { CHECKED = 8 }; /* pictures a group */

static const double warn_below_db = 10.0;

/* Every input has to list the same number of sizes. */
static cyg_status count_groups(cyg_build *b)
{
    for (uint32_t i = 0; i < b->input_count; i++) {
        const cyg_config_input_processor *c = &b->inputs[i].config.processor;
        if (i > 0 && c->src_extra_shapes.count != b->group_count)
            return CYG_FAIL(&b->app->ctx, CYG_E_CONFIG,
                            "input_processors: \"%s\" has %zu src_extra_shapes, \"%s\" has %zu: "
                            "every input needs a shape in every group",
                            b->inputs[0].name, b->group_count, b->inputs[i].name,
                            c->src_extra_shapes.count);
        b->group_count = c->src_extra_shapes.count;
    }
    const size_t programs = (b->group_count + 1) * b->batch_count;
    if (programs > CYG_PACKAGE_MOST_PROGRAMS)
        return CYG_FAIL(&b->app->ctx, CYG_E_CONFIG,
                        "%zu sizes times %zu batches: a package holds at most %d programs",
                        b->group_count + 1, b->batch_count, CYG_PACKAGE_MOST_PROGRAMS);
    return CYG_OK;
}

/* "name:1x3x256x256;..." of group k, from 0. */
static cyg_status shapes_text(cyg_build *b, size_t k, cyg_strbuf *out)
{
    for (uint32_t i = 0; i < b->input_count; i++) {
        const cyg_config_extra_shape *e = &b->inputs[i].config.processor.src_extra_shapes.items[k];
        const cyg_value *v = cyg_val(b->graph, b->graph->inputs[i]);
        if (e->shape.count != v->rank || (v->rank > 0 && e->shape.items[0] != v->dims[0]))
            return cyg_config_fail(&b->app->ctx, CYG_E_CONFIG, &e->shape_at, "src_extra_shapes",
                                   "input \"%s\" has %d dimensions and a batch of %lld in front, "
                                   "which another size keeps",
                                   v->name, v->rank, (long long)(v->rank > 0 ? v->dims[0] : 0));
        cyg_strbuf_printf(out, "%s%s:", i > 0 ? ";" : "", v->name);
        for (size_t d = 0; d < e->shape.count; d++)
            cyg_strbuf_printf(out, "%s%lld", d > 0 ? "x" : "", (long long)e->shape.items[d]);
    }
    return out->failed ? CYG_FAIL(&b->app->ctx, CYG_E_NOMEM, "out of memory") : CYG_OK;
}

static cyg_status open_group(cyg_build *b, size_t k)
{
    cyg_ctx *ctx = &b->app->ctx;
    const cyg_optimise_options options = {.fuse = !b->config.onnx_opt.disable_onnx_optimization};
    cyg_optimise_report report;
    cyg_strbuf shapes = {0};
    cyg_status status = shapes_text(b, k, &shapes);
    if (status == CYG_OK)
        status = cyg_build_open_source(b, shapes.data, &b->groups[k].source);
    cyg_strbuf_deinit(&shapes);
    if (status == CYG_OK)
        status = cyg_optimise(ctx, b->groups[k].source.graph, &options, &report);
    return status;
}

cyg_status cyg_build_open_groups(cyg_build *b)
{
    cyg_ctx *ctx = &b->app->ctx;
    CYG_DO(count_groups(b));
    if (b->group_count == 0)
        return CYG_OK;
    b->groups = CYG_NEW_ARRAY(&b->app->arena, cyg_build_group, b->group_count);
    b->graph->alone = false;
    b->first_size = cyg_graph_clone(b->graph);
    if (b->groups == NULL || b->first_size == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    for (size_t k = 0; k < b->group_count; k++)
        CYG_TRY(ctx, open_group(b, k), "src_extra_shapes, group %zu", k + 1);
    return CYG_OK;
}

/* Tensors of group i are called name_i. */
static cyg_status rename_ends(cyg_build *b, cyg_graph *g, size_t group)
{
    for (uint32_t i = 0; i < g->input_count + g->output_count; i++) {
        const cyg_value_id v = i < g->input_count ? g->inputs[i] : g->outputs[i - g->input_count];
        char *name = cyg_arena_printf(&b->app->arena, "%s_%zu", cyg_val(g, v)->name, group);
        if (name == NULL || !cyg_graph_rename_value(g, v, name))
            return CYG_FAIL(&b->app->ctx, CYG_E_NOMEM, "out of memory");
    }
    return CYG_OK;
}

cyg_status cyg_build_size_groups(cyg_build *b)
{
    cyg_ctx *ctx = &b->app->ctx;
    for (size_t k = 0; k < b->group_count; k++) {
        cyg_build_group *group = &b->groups[k];
        group->graph = cyg_graph_clone(b->graph);
        if (group->graph == NULL)
            return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
        CYG_TRY(ctx, cyg_take_sizes(ctx, group->graph, b->first_size, group->source.graph),
                "src_extra_shapes, group %zu", k + 1);
        CYG_DO(cyg_build_bind_ends(b, group->graph));
        CYG_DO(rename_ends(b, group->graph, k + 1));
    }
    return CYG_OK;
}

void cyg_build_drop_groups(cyg_build *b)
{
    for (size_t k = 0; k < b->group_count && b->groups != NULL; k++) {
        cyg_graph_destroy(b->groups[k].graph);
        cyg_float_model_close(&b->groups[k].source);
    }
    cyg_graph_destroy(b->first_size);
    b->group_count = 0;
}

/* ---- the check ---- */

typedef struct group_check {
    cyg_build *build;
    size_t group;
    cyg_image_set *pictures;
    cyg_package_meta meta; /* at the group's size */
    cyg_interp *reference;
    cyg_session *session;
    cyg_similarity similarity;
} group_check;

static cyg_status open_check(group_check *c, const cyg_model *model)
{
    cyg_build *b = c->build;
    cyg_ctx *ctx = &b->app->ctx;
    cyg_graph *g = b->groups[c->group].source.graph;
    const cyg_value *x = cyg_val(g, g->inputs[0]);
    const cyg_interp_options once = {0};
    cyg_session_options options;
    size_t size;
    const char *text = cyg_model_meta(model, &size);
    CYG_DO(cyg_meta_read(b->app, text, size, &c->meta));
    cyg_preprocess *p = &c->meta.preprocess;
    p->resize_height = p->resize_height * x->dims[2] / p->height;
    p->resize_width = p->resize_width * x->dims[3] / p->width;
    const int64_t side = p->height < p->width ? p->height : p->width;
    p->resize_short = p->resize_short * (x->dims[2] < x->dims[3] ? x->dims[2] : x->dims[3]) / side;
    p->height = x->dims[2];
    p->width = x->dims[3];
    CYG_DO(cyg_image_set_open(ctx, b->inputs[0].config.quant.calibration_dataset, p, CHECKED,
                              &c->pictures));
    CYG_DO(cyg_interp_create(ctx, g, &once, &c->reference));
    cyg_session_options_init(&options);
    options.patient = 1;
    options.threads = cyg_pool_threads(ctx->pool);
    options.group = (uint32_t)c->group + 1;
    options.batch = 1;
    return cyg_app_rt(b->app, cyg_session_create(model, &options, &c->session));
}

static cyg_status check_picture(group_check *c, size_t i, float *values)
{
    cyg_build *b = c->build;
    cyg_ctx *ctx = &b->app->ctx;
    const cyg_graph *g = b->groups[c->group].source.graph;
    const cyg_value *x = cyg_val(g, g->inputs[0]);
    const uint8_t *pixels;
    cyg_kbuf in = {.data = values, .type = (int32_t)x->type, .rank = x->rank};
    memcpy(in.dims, x->dims, sizeof in.dims);
    CYG_DO(cyg_ctx_check_cancelled(ctx));
    CYG_DO(cyg_image_set_pixels(ctx, c->pictures, i, &pixels));
    cyg_preprocess floats = c->meta.preprocess;
    floats.source_nhwc = false;
    cyg_preprocess_normalise(&floats, pixels, values);
    cyg_meta_feed_pixels(&c->meta, pixels, cyg_session_input(c->session, 0));
    CYG_DO(cyg_interp_run(ctx, c->reference, &in, 1));
    CYG_DO(cyg_app_rt(b->app, cyg_session_run(c->session)));
    const cyg_kbuf *y = cyg_interp_value(c->reference, g->outputs[0]);
    cyg_tensor_info info = {.struct_size = sizeof info};
    CYG_DO(cyg_app_rt(b->app, cyg_session_output_info(c->session, 0, &info)));
    if (y == NULL)
        return CYG_OK;
    const size_t count = info.bytes / cyg_type_size((cyg_type)info.type);
    float *scores = malloc(count * sizeof *scores + 1);
    if (scores == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    cyg_build_take_output(b, &info, cyg_session_output(c->session, 0), scores);
    cyg_similarity_add(&c->similarity, y->data, scores, count);
    free(scores);
    return CYG_OK;
}

static cyg_status judge(const group_check *c)
{
    cyg_build *b = c->build;
    const double db = cyg_similarity_sqnr_db(&c->similarity), limit = b->config.quant.min_sqnr_db;
    if (c->similarity.rows == 0)
        return CYG_OK;
    cyg_app_print(b->app, "  group %zu, %lldx%lld: SQNR %.1f dB on %zu pictures\n", c->group + 1,
                  (long long)c->meta.preprocess.height, (long long)c->meta.preprocess.width, db,
                  c->similarity.rows);
    if (limit > 0 && !(db >= limit))
        return CYG_FAIL(&b->app->ctx, CYG_E_CHECK,
                        "golden check failed in size group %zu: SQNR %.1f dB, at least %.1f asked. "
                        "Its scales are those of the original size: build this size for itself, or "
                        "raise layers to 16 bits; --quant.min_sqnr_db 0 builds nevertheless",
                        c->group + 1, db, limit);
    if (db < warn_below_db)
        cyg_warn(&b->app->ctx,
                 "size group %zu: SQNR %.1f dB against float is low: its scales are those of the "
                 "original size",
                 c->group + 1, db);
    return CYG_OK;
}

static cyg_status check_group(group_check *c, const cyg_model *model)
{
    CYG_DO(open_check(c, model));
    float *values = malloc(cyg_preprocess_count(&c->meta.preprocess) * sizeof *values);
    if (values == NULL)
        return CYG_FAIL(&c->build->app->ctx, CYG_E_NOMEM, "out of memory");
    cyg_status status = CYG_OK;
    for (size_t i = 0; status == CYG_OK && i < cyg_image_set_count(c->pictures); i++)
        status = check_picture(c, i, values);
    free(values);
    return status == CYG_OK ? judge(c) : status;
}

cyg_status cyg_build_check_groups(cyg_build *b, const cyg_model *model)
{
    if (b->group_count > 0 && (!b->inputs[0].is_image || b->inputs[0].from_arrays)) {
        cyg_warn(&b->app->ctx, "size groups are not checked against float: calibration data are "
                               "arrays of the original size");
        return CYG_OK;
    }
    for (size_t k = 0; k < b->group_count; k++) {
        group_check c = {.build = b, .group = k};
        const cyg_status status = check_group(&c, model);
        cyg_session_destroy(c.session);
        if (c.reference != NULL)
            cyg_interp_destroy(c.reference);
        cyg_image_set_close(c.pictures);
        CYG_TRY(&b->app->ctx, status, "while checking size group %zu", k + 1);
    }
    return CYG_OK;
}
