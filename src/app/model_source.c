/* From what people name to a model.
 *
 * Metadata of a converted graph (and so of the ONNX file):
 *   architecture    "swin"
 *   labels          JSON list of class names
 *   preprocess      JSON object, as in packages (data/preprocess.h)
 *   source          file name of the weights
 *   source_sha256   their SHA-256; of several files, one line "hash  name" each
 * Nothing in it depends on the clock or on where the files lie. Hashing reads the file once, in
 * order, and gives its pages back behind it. */
#include "app/model_source.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "io/doc.h"
#include "io/hub.h"

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

static cyg_status hash_file(cyg_app *app, const char *path, char out_hex[65])
{
    enum { STEP = 1 << 20 };
    cyg_map map;
    cyg_sha256 h;
    CYG_DO(cyg_map_open(&app->ctx, path, &map));
    cyg_sha256_init(&h);
    for (size_t at = 0; at < map.size; at += STEP) {
        const size_t size = map.size - at < STEP ? map.size - at : STEP;
        cyg_sha256_update(&h, map.data + at, size);
        cyg_map_release_pages(&map, at, size);
    }
    cyg_map_close(&map);
    cyg_sha256_final_hex(&h, out_hex);
    return cyg_ctx_check_cancelled(&app->ctx);
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

static cyg_status describe_files(cyg_app *app, cyg_converted *model)
{
    const size_t count = cyg_checkpoint_file_count(model->checkpoint);
    cyg_strbuf names = {0}, hashes = {0};
    cyg_status st = CYG_OK;
    for (size_t i = 0; i < count && st == CYG_OK; i++) {
        const char *path = cyg_checkpoint_file(model->checkpoint, i);
        char hex[65];
        st = hash_file(app, path, hex);
        cyg_strbuf_printf(&names, "%s%s", i > 0 ? "\n" : "", base_name(path));
        if (count == 1)
            cyg_strbuf_puts(&hashes, hex);
        else
            cyg_strbuf_printf(&hashes, "%s%s  %s", i > 0 ? "\n" : "", hex, base_name(path));
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
