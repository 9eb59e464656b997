/* From what people name to a model.
 *
 * Metadata of a converted graph (and so of the ONNX file):
 *   architecture    "swin"
 *   labels          JSON list of class names
 *   preprocess      JSON object, as in packages (data/preprocess.h)
 *   source          file name of the weights
 *   source_sha256   their SHA-256; of several files, one line "hash  name" each
 * Nothing in it depends on the clock or on where the files lie. */
#include "app/model_source.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "io/doc.h"
#include "io/hub.h"
#include "pass/pass.h"

cyg_status cyg_source_locate(cyg_app *app, const char *name, const char **out_path)
{
    char *folder = NULL;
    *out_path = name;
    if (!cyg_hub_is_name(name))
        return CYG_OK;
    CYG_DO(cyg_hub_fetch(&app->ctx, NULL, name, &folder));
    *out_path = cyg_arena_strdup(&app->arena, folder);
    free(folder);
    return *out_path != NULL ? CYG_OK : CYG_FAIL(&app->ctx, CYG_E_NOMEM, "out of memory");
}

bool cyg_source_is_checkpoint(const char *path)
{
    return cyg_path_is_dir(path) || cyg_checkpoint_is(path);
}

/* ---- what a checkpoint is told beside its tensors ---- */

cyg_status cyg_source_take_sets(cyg_app *app, cyg_source_settings *s, int *argc,
                                const char *const **argv)
{
    const size_t room = (size_t)*argc + 1;
    const char **sets = CYG_NEW_ARRAY(&app->arena, const char *, room);
    const char **rest = CYG_NEW_ARRAY(&app->arena, const char *, room);
    int count = 0;
    if (sets == NULL || rest == NULL)
        return CYG_FAIL(&app->ctx, CYG_E_NOMEM, "out of memory");
    s->sets = (cyg_string_list){sets, 0};
    for (int i = 0; i < *argc; i++) {
        if (strncmp((*argv)[i], "--set=", 6) == 0)
            sets[s->sets.count++] = (*argv)[i] + 6;
        else if (strcmp((*argv)[i], "--set") != 0)
            rest[count++] = (*argv)[i];
        else if (i + 1 < *argc)
            sets[s->sets.count++] = (*argv)[++i];
        else
            return CYG_FAIL(&app->ctx, CYG_E_USAGE, "--set: expected key=value behind it");
    }
    *argc = count;
    *argv = rest;
    return CYG_OK;
}

cyg_status cyg_source_refuse_settings(cyg_app *app, const cyg_source_settings *s, const char *path,
                                      const char *kind)
{
    if (s == NULL || (s->config_file == NULL && s->sets.count == 0))
        return CYG_OK;
    return CYG_FAIL(&app->ctx, CYG_E_USAGE,
                    "%s is for checkpoints: %s is %s, which says all of that itself",
                    s->config_file != NULL ? "--model_config" : "--set", path, kind);
}

/* ---- opening ---- */

static cyg_status open_checkpoint(cyg_app *app, const cyg_source_settings *s,
                                  const char *input_shapes, cyg_float_model *source)
{
    cyg_convert_options options = {.path = source->path, .batch = 1};
    if (input_shapes != NULL && input_shapes[0] != '\0')
        return CYG_FAIL(&app->ctx, CYG_E_USAGE,
                        "input_shapes is for ONNX files: %s is a checkpoint, whose picture size is "
                        "--set image_size=N",
                        source->path);
    if (s != NULL) {
        options.config_file = s->config_file;
        options.sets = s->sets.items;
        options.set_count = s->sets.count;
    }
    CYG_DO(cyg_convert_open(&app->ctx, &options, &source->converted));
    source->graph = source->converted->graph;
    source->info = (cyg_onnx_info){.opset = source->graph->opset,
                                   .nodes = source->graph->order_count,
                                   .nodes_without_constant = source->graph->order_count};
    if (s != NULL && s->edit != NULL)
        CYG_DO(s->edit(&app->ctx, s->user, source->graph));
    return CYG_OK;
}

static cyg_status open_onnx(cyg_app *app, const cyg_source_settings *s, const char *input_shapes,
                            cyg_float_model *source)
{
    const cyg_onnx_import_options options = {.input_shapes = input_shapes,
                                             .edit = s != NULL ? s->edit : NULL,
                                             .user = s != NULL ? s->user : NULL};
    CYG_DO(cyg_source_refuse_settings(app, s, source->path, "an ONNX file"));
    return cyg_onnx_import(&app->ctx, source->path, &options, &source->graph, &source->info);
}

cyg_status cyg_float_model_open(cyg_app *app, const char *name, const cyg_source_settings *settings,
                                const char *input_shapes, cyg_float_model *out_source)
{
    *out_source = (cyg_float_model){0};
    CYG_DO(cyg_source_locate(app, name, &out_source->path));
    return cyg_source_is_checkpoint(out_source->path)
               ? open_checkpoint(app, settings, input_shapes, out_source)
               : open_onnx(app, settings, input_shapes, out_source);
}

cyg_status cyg_float_model_open_fused(cyg_app *app, const char *name,
                                      const cyg_source_settings *settings,
                                      cyg_float_model *out_source)
{
    const cyg_optimise_options fuse = {.fuse = true};
    cyg_optimise_report report;
    CYG_DO(cyg_float_model_open(app, name, settings, NULL, out_source));
    CYG_TRY(&app->ctx, cyg_optimise(&app->ctx, out_source->graph, &fuse, &report),
            "while optimising %s", out_source->path);
    return CYG_OK;
}

void cyg_float_model_close(cyg_float_model *source)
{
    if (source->converted != NULL)
        cyg_convert_close(source->converted); /* with its graph */
    else
        cyg_graph_destroy(source->graph);
    *source = (cyg_float_model){0};
}

/* ---- what is said of a converted model ---- */

cyg_status cyg_source_preprocess(cyg_app *app, const cyg_converted *model, cyg_preprocess *out_p,
                                 bool *out_assumed)
{
    static const float mean[] = {123.675f, 116.28f, 103.53f}, std[] = {58.395f, 57.12f, 57.375f};
    cyg_preprocess_init(out_p, model->height, model->width);
    *out_assumed = model->preprocessor == NULL;
    if (model->channels == 1)
        out_p->order = CYG_ORDER_GRAY;
    if (*out_assumed) {
        cyg_preprocess_set_crop(out_p);
        out_p->normalize = true;
        memcpy(out_p->mean, mean, sizeof mean);
        memcpy(out_p->std, std, sizeof std);
        return CYG_OK;
    }
    cyg_doc *doc;
    CYG_DO(cyg_doc_open(&app->ctx, model->preprocessor, &doc));
    const cyg_status st = cyg_preprocess_read_hf(&app->ctx, cyg_doc_root(doc), out_p);
    cyg_doc_close(doc);
    return st;
}

static cyg_status describe_files(cyg_app *app, cyg_converted *model)
{
    const size_t count = cyg_checkpoint_file_count(model->checkpoint);
    cyg_strbuf names = {0}, hashes = {0};
    cyg_status st = CYG_OK;
    for (size_t i = 0; i < count && st == CYG_OK; i++) {
        const char *path = cyg_checkpoint_file(model->checkpoint, i);
        char hex[65];
        uint64_t size = 0;
        st = cyg_sha256_file(&app->ctx, path, hex, &size);
        cyg_strbuf_printf(&names, "%s%s", i > 0 ? "\n" : "", cyg_path_base(path));
        if (count == 1)
            cyg_strbuf_puts(&hashes, hex);
        else
            cyg_strbuf_printf(&hashes, "%s%s  %s", i > 0 ? "\n" : "", hex, cyg_path_base(path));
    }
    if (st == CYG_OK && (names.failed || hashes.failed))
        st = CYG_FAIL(&app->ctx, CYG_E_NOMEM, "out of memory");
    if (st == CYG_OK && count > 0) {
        cyg_graph_set_meta(model->graph, "source", names.data);
        cyg_graph_set_meta(model->graph, "source_sha256", hashes.data);
    }
    cyg_strbuf_deinit(&names);
    cyg_strbuf_deinit(&hashes);
    return st;
}

cyg_status cyg_source_describe(cyg_app *app, cyg_converted *model)
{
    cyg_strbuf text = {0};
    cyg_json j;
    cyg_preprocess p;
    bool assumed;
    cyg_graph_set_meta(model->graph, "architecture", model->architecture);
    if (model->labels != NULL) {
        cyg_json_init(&j, &text, 0);
        cyg_json_begin_inline_array(&j);
        for (size_t i = 0; i < model->label_count; i++)
            cyg_json_string(&j, model->labels[i]);
        cyg_json_end_array(&j);
        if (!text.failed)
            cyg_graph_set_meta(model->graph, "labels", text.data);
        text.len = 0;
    }
    cyg_status st = cyg_source_preprocess(app, model, &p, &assumed);
    if (st == CYG_OK && !assumed) {
        cyg_json_init(&j, &text, 0);
        cyg_preprocess_write(&p, &j);
        if (!text.failed)
            cyg_graph_set_meta(model->graph, "preprocess", text.data);
    }
    if (st == CYG_OK && text.failed)
        st = CYG_FAIL(&app->ctx, CYG_E_NOMEM, "out of memory");
    cyg_strbuf_deinit(&text);
    return st == CYG_OK ? describe_files(app, model) : st;
}
