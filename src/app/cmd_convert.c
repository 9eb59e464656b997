/* `cygnet convert`: a checkpoint to a compact standard ONNX file.
 *
 * The graph comes from the same builder that `cygnet build` uses; the ONNX writer expands its fused
 * operators at the chosen opset, tensor by tensor, and the input's pages go back behind it. --check
 * and --image read the file back and run both (convert_check.h). --image also shows what the float
 * model says about one picture, so that a wrong assumption (eps, preprocessing, window) is seen
 * right away. */
#include "app/convert_check.h"
#include "app/output_file.h"
#include "app/model_source.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"

enum { TOP = 5 };

typedef struct convert_job {
    cyg_app *app;
    const char *output, *batch, *image;
    cyg_source_settings settings;
    int64_t opset;
    cyg_converted *model;
    uint32_t steps; /* nodes of the graph, fused */
    int64_t nodes;  /* of the file */
    double seconds;
    float *scores; /* of --image; NULL = none */
    bool check_noise;
    cyg_convert_check check;
    cyg_output_file file;
    size_t classes, best[TOP], shown;
} convert_job;

/* ---- one picture ---- */

static cyg_status read_picture(convert_job *job, cyg_preprocess *p, float *out)
{
    cyg_ctx *ctx = &job->app->ctx;
    cyg_map map = {0};
    uint8_t *pixels = malloc(cyg_preprocess_count(p));
    cyg_status st = pixels == NULL ? CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory")
                                   : cyg_map_open(ctx, job->image, &map);
    if (st == CYG_OK)
        st = cyg_preprocess_decode(ctx, p, job->image, map.data, map.size, pixels, NULL);
    if (st == CYG_OK)
        cyg_preprocess_normalise(p, pixels, out);
    cyg_map_close(&map);
    free(pixels);
    return st;
}

static void rank(convert_job *job)
{
    for (job->shown = 0; job->shown < TOP && job->shown < job->classes; job->shown++) {
        size_t best = job->classes;
        for (size_t i = 0; i < job->classes; i++) {
            bool taken = false;
            for (size_t k = 0; k < job->shown; k++)
                taken = taken || job->best[k] == i;
            if (!taken && (best == job->classes || job->scores[i] > job->scores[best]))
                best = i;
        }
        job->best[job->shown] = best;
    }
}

static cyg_status classify(convert_job *job)
{
    cyg_ctx *ctx = &job->app->ctx;
    const cyg_value *in = cyg_val(job->model->graph, job->model->graph->inputs[0]);
    const int64_t images = in->dims[0] > 0 ? in->dims[0] : 1;
    cyg_preprocess p;
    bool assumed;
    CYG_DO(cyg_source_preprocess(job->app, job->model, &p, &assumed));
    p.source_nhwc = false;
    if (assumed)
        cyg_note(ctx, "assumed preprocessing: short side, centre, ImageNet's mean and deviation");
    CYG_DO(cyg_preprocess_check(ctx, &p));
    if (cyg_preprocess_channels(&p) != job->model->channels)
        return CYG_FAIL(ctx, CYG_E_UNSUPPORTED, "--image: the model takes %lld channels",
                        (long long)job->model->channels);
    const size_t count = cyg_preprocess_count(&p);
    float *pixels = calloc((size_t)images * count, sizeof *pixels);
    if (pixels == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    const cyg_kbuf input = {.data = pixels,
                            .type = CYG_TYPE_F32,
                            .rank = 4,
                            .dims = {images, job->model->channels, p.height, p.width}};
    cyg_status st = read_picture(job, &p, pixels);
    if (st == CYG_OK)
        st = cyg_convert_compare(job->app, job->model, job->file.written, &input, 1, &job->check,
                                 &job->scores, &job->classes);
    free(pixels);
    if (st != CYG_OK)
        return st;
    if (cyg_val(job->model->graph, job->model->graph->outputs[0])->rank != 2)
        return CYG_FAIL(ctx, CYG_E_UNSUPPORTED, "--image: the output has no classes");
    job->classes /= (size_t)images; /* the first picture's; the others are black */
    rank(job);
    return CYG_OK;
}

static double probability(const convert_job *job, size_t i)
{
    double sum = 0;
    for (size_t k = 0; k < job->classes; k++)
        sum += exp((double)job->scores[k] - (double)job->scores[job->best[0]]);
    return exp((double)job->scores[i] - (double)job->scores[job->best[0]]) / sum;
}

/* ---- saying it ---- */

static const char *label_of(const convert_job *job, size_t i)
{
    return i < job->model->label_count ? job->model->labels[i] : NULL;
}

static void print_text(const convert_job *job, uint64_t bytes)
{
    cyg_app *app = job->app;
    char size[32], rss[32];
    cyg_app_print(app, "%s as %s writes it, %.1f M parameters, %lld x %lld pixels\n",
                  job->model->title, job->model->library, (double)job->model->parameters / 1e6,
                  (long long)job->model->height, (long long)job->model->width);
    cyg_app_print_result(app, "wrote %s (%s, opset %lld, %lld nodes)   %.2f s, %s\n", job->output,
                         cyg_text_bytes(bytes, size), (long long)job->opset, (long long)job->nodes,
                         job->seconds, cyg_text_bytes(cyg_peak_rss_bytes(), rss));
    if (job->check_noise)
        cyg_app_print_result(app,
                             "checked on noise: differs from the checkpoint by %.1e   %.2f s\n",
                             job->check.difference.absolute, job->check.seconds);
    if (job->scores == NULL)
        return;
    cyg_app_print_result(app, "%s\n", job->image);
    for (size_t k = 0; k < job->shown; k++) {
        const char *label = label_of(job, job->best[k]);
        cyg_app_print_result(app, "  %5.1f %%  %4zu  %s\n", 100 * probability(job, job->best[k]),
                             job->best[k], label != NULL ? label : "");
    }
}

/* Null: nobody asked for a comparison. */
static void print_check(cyg_json *j, const cyg_convert_check *check)
{
    cyg_json_key(j, "max_abs_diff");
    if (check->runs > 0)
        cyg_json_double(j, check->difference.absolute);
    else
        cyg_json_null(j);
    cyg_json_key(j, "check_seconds");
    if (check->runs > 0)
        cyg_json_double(j, check->seconds);
    else
        cyg_json_null(j);
}

static cyg_status print_json(const convert_job *job)
{
    cyg_strbuf text = {0};
    cyg_json j;
    cyg_json_init(&j, &text, 2);
    cyg_json_begin_object(&j);
    cyg_json_key_string(&j, "output", job->output);
    cyg_json_key_string(&j, "architecture", job->model->architecture);
    cyg_json_key_string(&j, "library", job->model->library);
    cyg_json_key_int(&j, "parameters", job->model->parameters);
    cyg_json_key_int(&j, "nodes_before", job->steps);
    cyg_json_key_int(&j, "nodes_after", job->nodes);
    cyg_json_key_int(&j, "opset", job->opset);
    cyg_json_key_double(&j, "seconds", job->seconds);
    cyg_json_key_int(&j, "peak_rss_bytes", (int64_t)cyg_peak_rss_bytes());
    print_check(&j, &job->check);
    cyg_json_key(&j, "top");
    cyg_json_begin_array(&j);
    for (size_t k = 0; k < job->shown; k++) {
        cyg_json_begin_object(&j);
        cyg_json_key_int(&j, "class", (int64_t)job->best[k]);
        cyg_json_key_string(&j, "label", label_of(job, job->best[k]));
        cyg_json_key_double(&j, "score", (double)job->scores[job->best[k]]);
        cyg_json_key_double(&j, "probability", probability(job, job->best[k]));
        cyg_json_end_object(&j);
    }
    cyg_json_end_array(&j);
    cyg_json_end_object(&j);
    const cyg_status st = cyg_app_print_json(job->app, &text);
    cyg_strbuf_deinit(&text);
    return st;
}

/* ---- the command ---- */

static cyg_status parse_batch(convert_job *job, int64_t *out_batch)
{
    char *end;
    *out_batch = 0;
    if (strcmp(job->batch, "dynamic") == 0)
        return CYG_OK;
    const long long n = strtoll(job->batch, &end, 10);
    if (end == job->batch || *end != '\0' || n < 1 || n > 65536)
        return CYG_FAIL(&job->app->ctx, CYG_E_USAGE,
                        "--batch: expected 1 to 65536 or dynamic, found \"%.40s\"", job->batch);
    *out_batch = n;
    return CYG_OK;
}

/* What is in the output need not stay in memory: the pages of its tensor go back. */
static void release(void *user, const void *data, size_t bytes)
{
    const cyg_checkpoint *c = user;
    for (size_t i = 0; i < cyg_checkpoint_count(c); i++) {
        const cyg_checkpoint_tensor *t = cyg_checkpoint_at(c, i);
        if (t->data == data && t->type == CYG_TYPE_F32 && t->elements * sizeof(float) == bytes)
            cyg_checkpoint_release(c, t);
    }
}

/* Nodes of the file: those of the expanded graph, but transpositions of constants, which the writer
 * does itself. */
static cyg_status count_nodes(convert_job *job)
{
    cyg_graph *g;
    CYG_DO(cyg_onnx_expand(&job->app->ctx, job->model->graph, (int)job->opset, &g));
    for (uint32_t i = 0; i < g->order_count; i++) {
        const cyg_node *n = cyg_nod(g, g->order[i]);
        job->nodes += n->op != CYG_OP_removed &&
                      !(n->op == CYG_OP_transpose && cyg_val(g, n->in[0])->is_const);
    }
    cyg_graph_destroy(g);
    return CYG_OK;
}

static cyg_status convert(convert_job *job, const char *name)
{
    cyg_app *app = job->app;
    cyg_ctx *ctx = &app->ctx;
    cyg_convert_options options = {.config_file = job->settings.config_file,
                                   .sets = job->settings.sets.items,
                                   .set_count = job->settings.sets.count};
    cyg_onnx_export_options export = {.opset = (int)job->opset, .written = release};
    struct stat st;
    CYG_DO(parse_batch(job, &options.batch));
    CYG_DO(cyg_output_open(app, job->output, job->check_noise || job->image != NULL,
                           "leave out --check and --image", &job->file));
    CYG_DO(cyg_source_locate(app, name, &options.path));
    const double start = cyg_seconds();
    CYG_DO(cyg_convert_open(ctx, &options, &job->model));
    CYG_DO(cyg_source_describe(app, job->model));
    job->steps = job->model->graph->order_count;
    export.user = job->model->checkpoint;
    CYG_DO(cyg_onnx_export(ctx, job->model->graph, job->file.written, &export));
    CYG_DO(count_nodes(job));
    job->seconds = cyg_seconds() - start;
    if (job->check_noise)
        CYG_TRY(ctx, cyg_convert_check_noise(app, job->model, job->file.written, &job->check),
                "%s is not written", job->output);
    if (job->image != NULL)
        CYG_TRY(ctx, classify(job), "%s is not written", job->output);
    CYG_DO(cyg_output_commit(app, &job->file));
    if (app->json)
        return print_json(job);
    print_text(job, stat(job->output, &st) == 0 ? (uint64_t)st.st_size : 0);
    return CYG_OK;
}

cyg_status cyg_cmd_convert(cyg_app *app, int argc, const char *const *argv)
{
    convert_job job = {.app = app};
    cyg_string_list words = {0};
    const cyg_value_type in = {.kind = CYG_VALUE_IN_PATH}, out = {.kind = CYG_VALUE_OUT_PATH};
    const cyg_value_type yes = {.kind = CYG_VALUE_BOOL};
    const cyg_value_type text = {.kind = CYG_VALUE_STRING};
    const cyg_value_type opset = {.kind = CYG_VALUE_INT, .valid = "13..21"};
    const cyg_flag flags[] = {
        {"output", 'o', false, out, &job.output, NULL, NULL, NULL, "the ONNX file to write", NULL},
        {"opset", 0, false, opset, &job.opset, NULL, "17", NULL, "of the ONNX file, 13 to 21",
         NULL},
        {"batch", 0, false, text, &job.batch, NULL, "1", NULL, "pictures at once, or dynamic",
         NULL},
        CYG_FLAG_MODEL_CONFIG(&job.settings),
        CYG_FLAG_SET(&job.settings),
        {"check", 0, false, yes, &job.check_noise, NULL, NULL, NULL,
         "run the file and the checkpoint on noise and compare", NULL},
        {"image", 0, false, in, &job.image, NULL, NULL, NULL,
         "picture: shows the float model's first five classes", NULL},
    };
    CYG_DO(cyg_source_take_sets(app, &job.settings, &argc, &argv));
    CYG_DO(cyg_app_parse(app, "convert", flags, CYG_COUNT(flags), argc, argv, &words));
    if (app->help)
        return CYG_OK;
    if (words.count != 1 || job.output == NULL)
        return CYG_FAIL(&app->ctx, CYG_E_USAGE,
                        "expected one checkpoint and -o model.onnx, as in: cygnet convert "
                        "model.safetensors -o model.onnx");
    if (app->ctx.pool == NULL && (job.check_noise || job.image != NULL))
        CYG_DO(cyg_app_use_threads(app, 0));
    const cyg_status st = convert(&job, words.items[0]);
    cyg_output_abort(&job.file);
    cyg_convert_close(job.model);
    free(job.scores);
    return st;
}
