/* Calibration data from the configuration: one set an input, joined by file name when there are
 * several. For a model with one image input the pixels themselves can be asked for too, so that the
 * golden check takes the path of a deployment. */
#include <stdlib.h>
#include <string.h>

#include "app/build.h"
#include "data/array_set.h"
#include "data/class_names.h"
#include "data/image_set.h"
#include "data/joint.h"

typedef struct sample_sets {
    cyg_image_set **images; /* by input; NULL = not an image */
    cyg_array_set **arrays;
    cyg_sample_source *sources;
    cyg_joint *joint;
} sample_sets;

/* ---- preprocessing
 * ----------------------------------------------------------------------------------------- */

/* Filters are named alike in both tables. */
static cyg_status filter_from(cyg_ctx *ctx, cyg_config_filter wanted, cyg_resize_filter *out_filter)
{
    static const char *const names[] = {
        [CYG_CONFIG_FILTER_nearest] = "nearest", [CYG_CONFIG_FILTER_bilinear] = "bilinear",
        [CYG_CONFIG_FILTER_bicubic] = "bicubic", [CYG_CONFIG_FILTER_lanczos] = "lanczos",
        [CYG_CONFIG_FILTER_box] = "box",         [CYG_CONFIG_FILTER_hamming] = "hamming"};
#define CYG_FILTER(id, number, name)                                                               \
    if (strcmp(names[wanted], name) == 0) {                                                        \
        *out_filter = CYG_RESIZE_##id;                                                             \
        return CYG_OK;                                                                             \
    }
    CYG_RESIZE_FILTERS(CYG_FILTER)
#undef CYG_FILTER
    return CYG_FAIL(ctx, CYG_E_INTERNAL, "unknown filter");
}

/* Takes names over. */
static cyg_status keep_names(cyg_build *b, cyg_build_input *in, cyg_class_names *names)
{
    cyg_ctx *ctx = &b->app->ctx;
    const size_t count = cyg_class_names_count(names);
    const char **labels = CYG_NEW_ARRAY(&b->app->arena, const char *, count + 1);
    bool ok = labels != NULL;
    for (size_t i = 0; ok && i < count; i++) {
        labels[i] = cyg_arena_strdup(&b->app->arena, cyg_class_names_get(names, i));
        ok = labels[i] != NULL;
    }
    cyg_class_names_close(names);
    in->labels = labels;
    in->label_count = ok ? count : 0;
    return ok ? CYG_OK : CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
}

static cyg_status keep_labels(cyg_build *b, cyg_build_input *in, const cyg_doc_node *root)
{
    cyg_class_names *names = NULL;
    CYG_DO(cyg_class_names_from_doc(&b->app->ctx, root, &names));
    return keep_names(b, in, names);
}

/* Those of quant.labels, if there are any. */
static cyg_status read_given_labels(cyg_build *b, cyg_build_input *in)
{
    const char *path = b->config.quant.labels;
    cyg_class_names *names = NULL;
    if (path == NULL || path[0] == '\0')
        return CYG_OK;
    CYG_DO(cyg_build_hash_file(b, "labels", path));
    CYG_DO(cyg_class_names_open(&b->app->ctx, path, &names));
    return keep_names(b, in, names);
}

/* Hugging Face keeps the names of the classes in config.json, beside the preprocessor's file. */
static cyg_status labels_beside(cyg_build *b, cyg_build_input *in, const char *path)
{
    const char *slash = strrchr(path, '/');
    const int folder = slash != NULL ? (int)(slash - path) + 1 : 0;
    const char *config = cyg_arena_printf(&b->app->arena, "%.*sconfig.json", folder, path);
    if (config == NULL)
        return CYG_FAIL(&b->app->ctx, CYG_E_NOMEM, "out of memory");
    if (!cyg_path_exists(config))
        return CYG_OK;
    cyg_doc *doc;
    CYG_DO(cyg_doc_open(&b->app->ctx, config, &doc));
    const cyg_status status = keep_labels(b, in, cyg_doc_root(doc));
    cyg_doc_close(doc);
    return status;
}

static cyg_status read_preprocessor(cyg_build *b, cyg_build_input *in, const char *path)
{
    cyg_ctx *ctx = &b->app->ctx;
    cyg_doc *doc;
    CYG_DO(cyg_build_hash_file(b, "preprocessor", path));
    CYG_DO(cyg_doc_open(ctx, path, &doc));
    cyg_status status = cyg_preprocess_read_hf(ctx, cyg_doc_root(doc), &in->preprocess);
    if (status == CYG_OK)
        status = keep_labels(b, in, cyg_doc_root(doc));
    cyg_doc_close(doc);
    return status != CYG_OK || in->label_count > 0 ? status : labels_beside(b, in, path);
}

static void take_numbers(const cyg_float_list *list, float out[3])
{
    for (size_t i = 0; i < 3; i++)
        out[i] = (float)list->items[list->count == 1 ? 0 : i < list->count ? i : list->count - 1];
}

/* Arrays of what the model takes, and a package that normalises: mean and std of input_processors
 * say what was done to the pixels that the arrays came from. */
static cyg_status resolve_arrays(cyg_build *b, cyg_build_input *in, const cyg_value *v)
{
    const cyg_config_input_processor *c = &in->config.processor;
    cyg_preprocess *p = &in->preprocess;
    if (c->mean.count + c->std.count == 0 || b->graph->input_count != 1)
        return CYG_OK;
    if (v->rank != 4 || v->dims[0] != 1 || (v->dims[1] != 1 && v->dims[1] != 3))
        return CYG_FAIL(&b->app->ctx, CYG_E_CONFIG,
                        "input \"%s\": mean and std are for pictures [1, channels, height, width]",
                        v->name);
    cyg_preprocess_init(p, v->dims[2], v->dims[3]);
    p->order = v->dims[1] == 1                            ? CYG_ORDER_GRAY
               : c->tensor_format == CYG_CONFIG_COLOR_BGR ? CYG_ORDER_BGR
                                                          : CYG_ORDER_RGB;
    p->normalize = true;
    for (size_t i = 0; i < 3; i++) {
        p->mean[i] = 0.0f;
        p->std[i] = 1.0f;
    }
    if (c->mean.count > 0)
        take_numbers(&c->mean, p->mean);
    if (c->std.count > 0)
        take_numbers(&c->std, p->std);
    in->is_image = in->from_arrays = true;
    CYG_DO(read_given_labels(b, in));
    return cyg_preprocess_check(&b->app->ctx, p);
}

static cyg_status resolve_image(cyg_build *b, cyg_build_input *in, const cyg_value *v)
{
    cyg_ctx *ctx = &b->app->ctx;
    const cyg_config_input_quant *q = &in->config.quant;
    const cyg_config_input_processor *c = &in->config.processor;
    if (v->rank != 4 || v->dims[0] != 1)
        return CYG_FAIL(ctx, CYG_E_CONFIG,
                        "input \"%s\": calibration_format Image needs a model input of [1, "
                        "channels, height, width]",
                        v->name);
    cyg_preprocess *p = &in->preprocess;
    cyg_preprocess_init(p, v->dims[2], v->dims[3]);
    const int64_t channels = v->dims[1];
    p->order = channels == 1 || c->tensor_format == CYG_CONFIG_COLOR_GRAY ? CYG_ORDER_GRAY
               : c->tensor_format == CYG_CONFIG_COLOR_BGR                 ? CYG_ORDER_BGR
                                                                          : CYG_ORDER_RGB;
    if (cyg_preprocess_channels(p) != channels)
        return CYG_FAIL(ctx, CYG_E_CONFIG, "input \"%s\" has %lld channels: an image has 1 or 3",
                        v->name, (long long)channels);
    CYG_DO(filter_from(ctx, q->calibration_filter, &p->filter));
    if (q->calibration_resize == CYG_CONFIG_RESIZE_crop)
        cyg_preprocess_set_crop(p);
    if (b->config.quant.preprocessor != NULL && b->config.quant.preprocessor[0] != '\0')
        CYG_DO(read_preprocessor(b, in, b->config.quant.preprocessor));
    CYG_DO(read_given_labels(b, in));
    if (q->calibration_mean.count > 0 || q->calibration_std.count > 0) {
        p->normalize = true;
        for (size_t i = 0; i < 3; i++) {
            p->mean[i] = 0.0f;
            p->std[i] = 1.0f;
        }
        if (q->calibration_mean.count > 0)
            take_numbers(&q->calibration_mean, p->mean);
        if (q->calibration_std.count > 0)
            take_numbers(&q->calibration_std, p->std);
    }
    if (!p->normalize)
        cyg_warn(ctx,
                 "input \"%s\": no calibration_mean and calibration_std: the model is fed pixel "
                 "values 0 to 255 as they are",
                 v->name);
    return cyg_preprocess_check(ctx, p);
}

/* ---- sets
 * --------------------------------------------------------------------------------------------------
 */

static cyg_status open_set(cyg_build *b, sample_sets *sets, uint32_t i, int64_t limit)
{
    cyg_ctx *ctx = &b->app->ctx;
    cyg_build_input *in = &b->inputs[i];
    const cyg_value *v = cyg_val(b->graph, b->graph->inputs[i]);
    const cyg_config_input_quant *q = &in->config.quant;
    CYG_DO(cyg_build_hash_file(b, "calibration", q->calibration_dataset));
    if (q->calibration_format == CYG_CONFIG_FORMAT_Image) {
        CYG_DO(resolve_image(b, in, v));
        in->is_image = true;
        CYG_DO(cyg_image_set_open(ctx, q->calibration_dataset, &in->preprocess, limit,
                                  &sets->images[i]));
        sets->sources[i] = cyg_image_set_source(sets->images[i]);
        return CYG_OK;
    }
    static const cyg_array_format formats[] = {
        [CYG_CONFIG_FORMAT_Numpy] = CYG_ARRAY_NPY,
        [CYG_CONFIG_FORMAT_Binary] = CYG_ARRAY_BIN,
        [CYG_CONFIG_FORMAT_NumpyObject] = CYG_ARRAY_NPY_DICT,
    };
    cyg_array_spec spec = {.format = formats[q->calibration_format],
                           .type = b->input_types != NULL ? b->input_types[i] : v->type,
                           .key = in->name,
                           .rank = v->rank};
    memcpy(spec.dims, v->dims, sizeof spec.dims);
    CYG_DO(resolve_arrays(b, in, v));
    CYG_DO(cyg_array_set_open(ctx, q->calibration_dataset, &spec, limit, &sets->arrays[i]));
    sets->sources[i] = cyg_array_set_source(sets->arrays[i]);
    return CYG_OK;
}

static cyg_status resolve_inputs(cyg_build *b)
{
    const cyg_graph *g = b->graph;
    cyg_ctx *ctx = &b->app->ctx;
    b->input_count = g->input_count;
    b->inputs = CYG_NEW_ARRAY(&b->app->arena, cyg_build_input, g->input_count + 1);
    if (b->inputs == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    if (g->input_count == 0)
        return CYG_FAIL(ctx, CYG_E_UNSUPPORTED, "%s: the model has no inputs", b->config.input);
    for (uint32_t i = 0; i < g->input_count; i++) {
        const cyg_value *v = cyg_val(g, g->inputs[i]);
        b->inputs[i].name = v->name;
        const int64_t channels = v->rank == 4 ? v->dims[1] : 0;
        CYG_DO(cyg_config_resolve_input(ctx, &b->app->arena, &b->config, v->name, channels,
                                        &b->inputs[i].config));
        const cyg_config_input *c = &b->inputs[i].config;
        if (c->processor.tensor_layout == CYG_CONFIG_LAYOUT_NHWC && c->has_quant &&
            c->quant.calibration_format != CYG_CONFIG_FORMAT_Image &&
            c->processor.src_layout_at.origin != CYG_CONFIG_DEFAULT)
            return CYG_FAIL(
                ctx, CYG_E_CONFIG,
                "input \"%s\": tensor_layout NHWC with calibration data that are arrays: "
                "the runtime feeds what the model takes, so src_layout has no place here",
                v->name);
    }
    b->outputs = CYG_NEW_ARRAY(&b->app->arena, cyg_config_output_processor, g->output_count + 1);
    if (b->outputs == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    for (uint32_t i = 0; i < g->output_count; i++)
        CYG_DO(cyg_config_resolve_output(ctx, &b->app->arena, &b->config,
                                         cyg_val(g, g->outputs[i])->name, &b->outputs[i]));
    return CYG_OK;
}

/* A model that brings its scales needs no data; true: there are none. What the runtime feeds may be
 * described nevertheless. */
static cyg_status do_without(cyg_build *b, bool *out_none)
{
    size_t covered = 0;
    for (uint32_t i = 0; i < b->input_count; i++)
        covered += b->inputs[i].config.has_quant;
    *out_none = covered == 0;
    if (covered > 0 && covered < b->input_count)
        return CYG_FAIL(&b->app->ctx, CYG_E_CONFIG,
                        "quant.input_configs covers %zu of %u inputs: all of them or none", covered,
                        b->input_count);
    cyg_build_input *in = &b->inputs[0];
    const cyg_value *v = cyg_val(b->graph, b->graph->inputs[0]);
    if (*out_none && b->input_count == 1 && in->config.has_processor && v->rank == 4 &&
        (v->dims[1] == 1 || v->dims[1] == 3)) {
        CYG_DO(resolve_image(b, in, v));
        in->is_image = true;
    }
    return CYG_OK;
}

/* Pictures of one colour tell nothing: every channel the same in all of them. The first real
 * picture ends the search. */
static cyg_status warn_of_blank_pictures(cyg_build *b, cyg_image_set *set)
{
    const cyg_preprocess *p = &b->inputs[0].preprocess;
    const size_t count = cyg_preprocess_count(p), channels = (size_t)cyg_preprocess_channels(p);
    uint8_t first[4] = {0};
    for (size_t i = 0; i < cyg_image_set_count(set); i++) {
        const uint8_t *pixels;
        CYG_DO(cyg_image_set_pixels(&b->app->ctx, set, i, &pixels));
        if (i == 0)
            memcpy(first, pixels, channels);
        for (size_t k = 0; k < count; k++)
            if (pixels[k] != first[k % channels])
                return CYG_OK;
    }
    cyg_warn(&b->app->ctx,
             "input \"%s\": every calibration picture is one and the same colour throughout: the "
             "ranges that follow from it mean nothing for other pictures",
             b->inputs[0].name);
    return CYG_OK;
}

cyg_status cyg_build_open_data(cyg_build *b)
{
    cyg_ctx *ctx = &b->app->ctx;
    bool none = false;
    CYG_DO(resolve_inputs(b));
    CYG_DO(do_without(b, &none));
    if (none)
        return CYG_OK;
    const uint32_t n = b->input_count;
    sample_sets *sets = CYG_NEW(&b->app->arena, sample_sets);
    if (sets != NULL) {
        sets->images = CYG_NEW_ARRAY(&b->app->arena, cyg_image_set *, n);
        sets->arrays = CYG_NEW_ARRAY(&b->app->arena, cyg_array_set *, n);
        sets->sources = CYG_NEW_ARRAY(&b->app->arena, cyg_sample_source, n);
    }
    if (sets == NULL || sets->images == NULL || sets->arrays == NULL || sets->sources == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    b->sample_set = sets;
    int64_t limit = -1; /* of samples that have a part of every input */
    for (uint32_t i = 0; i < n; i++) {
        const int64_t size = b->inputs[i].config.quant.calibration_size;
        limit = limit < 0 || (size >= 0 && size < limit) ? size : limit;
    }
    for (uint32_t i = 0; i < n; i++)
        CYG_TRY(ctx, open_set(b, sets, i, n == 1 ? limit : -1),
                "while opening the calibration data of input \"%s\"", b->inputs[i].name);
    if (n == 1) {
        b->samples = sets->sources[0];
        if (b->inputs[0].is_image && !b->inputs[0].from_arrays)
            CYG_DO(warn_of_blank_pictures(b, sets->images[0]));
    } else {
        CYG_DO(cyg_joint_open(ctx, sets->sources, n, limit, &sets->joint));
        b->samples = cyg_joint_source(sets->joint);
        for (uint32_t i = 0; i < n; i++)
            b->inputs[i].is_image = false; /* several inputs are fed as the model declares them */
    }
    if (!b->inputs[0].is_image &&
        cyg_config_asks(ctx, &cyg_config_message_quant, &b->config.quant, "labels"))
        cyg_warn(ctx, "quant.labels has no effect: the package takes no pictures to name");
    if (n > 1 && limit > 0 && b->samples.count < (size_t)limit) /* one set tells by itself */
        cyg_note(ctx, "calibration_size asks for %lld samples, %zu are there", (long long)limit,
                 b->samples.count);
    return CYG_OK;
}

cyg_status cyg_build_pixels(cyg_build *b, size_t sample, uint8_t *out_pixels)
{
    const sample_sets *sets = b->sample_set;
    const uint8_t *pixels;
    CYG_DO(cyg_image_set_pixels(&b->app->ctx, sets->images[0], sample, &pixels));
    memcpy(out_pixels, pixels, cyg_preprocess_count(&b->inputs[0].preprocess));
    return CYG_OK;
}

void cyg_build_close_data(cyg_build *b)
{
    sample_sets *sets = b->sample_set;
    if (sets == NULL)
        return;
    cyg_joint_close(sets->joint);
    for (uint32_t i = 0; i < b->input_count; i++) {
        cyg_image_set_close(sets->images[i]);
        cyg_array_set_close(sets->arrays[i]);
    }
    b->sample_set = NULL;
}
