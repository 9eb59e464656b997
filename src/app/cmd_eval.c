/* `cygnet eval`: a package on labelled pictures, beside the float model when asked.
 *
 * Every picture is preprocessed once, as the package says, and its pixels go to both models. Broken
 * pictures are skipped with a warning. Intervals are 95 % (normal approximation of the binomial);
 * McNemar's exact test says whether the two models' errors differ by more than chance. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "app/meta.h"
#include "app/model_source.h"
#include "app/similarity.h"
#include "base/hash.h"
#include "cygnet/runtime.h"
#include "data/dataset.h"
#include "interp/interp.h"
#include "io/npy.h"
#include "sim/device.h"

enum { TOP = 5 };

typedef struct score {
    size_t top1, top5;
} score;

/* [images, classes] */
typedef struct score_rows {
    float *data;
    size_t room; /* images */
} score_rows;

typedef struct eval_job {
    cyg_app *app;
    const char *package, *dataset_path, *float_path, *logits_path, *float_logits_path,
        *predictions_path;
    int64_t threads, limit;
    cyg_model *model;
    cyg_session *session;
    cyg_sim_device npu; /* for packages with subgraphs for one */
    cyg_package_meta meta;
    cyg_dataset *dataset;
    cyg_source_settings settings; /* of the float model */
    cyg_float_model source;
    cyg_graph *graph; /* of source */
    cyg_interp *interp;
    float *float_input;
    size_t classes;
    score_rows logits, float_logits; /* when asked for */
    cyg_strbuf predictions;
    size_t images, skipped;
    score integer, reference;
    size_t gained, lost; /* right where the other is wrong */
    cyg_similarity similarity;
    double seconds, float_seconds; /* in the runs alone */
} eval_job;

/* ---- opening
 * -----------------------------------------------------------------------------------------------
 */

static cyg_status open_package(eval_job *e)
{
    cyg_ctx *ctx = &e->app->ctx;
    cyg_session_options options;
    const cyg_executor *const executors[] = {&e->npu.executor};
    size_t size;
    cyg_sim_device_init(&e->npu, NULL);
    cyg_session_options_init(&options);
    options.executors = executors;
    options.executor_count = CYG_COUNT(executors);
    options.batch = 1;
    options.patient = 1; /* takes turns with the float model and the decoder */
    options.threads = (unsigned)e->threads;
    CYG_DO(cyg_app_rt(e->app, cyg_model_open(e->package, &e->model)));
    CYG_DO(cyg_app_rt(e->app, cyg_session_create(e->model, &options, &e->session)));
    const char *text = cyg_model_meta(e->model, &size);
    CYG_TRY(ctx, cyg_meta_read(e->app, text, size, &e->meta), "%s", e->package);
    if (!e->meta.has_preprocess)
        return CYG_FAIL(ctx, CYG_E_UNSUPPORTED,
                        "%s: not built from images, so eval can't feed it pictures", e->package);
    cyg_tensor_info info = {.struct_size = sizeof info};
    CYG_DO(cyg_app_rt(e->app, cyg_session_input_info(e->session, 0, &info)));
    const size_t fed = cyg_meta_input_bytes(&e->meta);
    if (info.bytes != fed || cyg_model_input_count(e->model) != 1)
        return CYG_FAIL(ctx, CYG_E_FORMAT,
                        "%s: its preprocessing makes %zu bytes, its %u inputs take %zu", e->package,
                        fed, cyg_model_input_count(e->model), info.bytes);
    CYG_DO(cyg_app_rt(e->app, cyg_session_output_info(e->session, 0, &info)));
    if (info.type != CYG_TYPE_F32 || info.bytes < sizeof(float))
        return CYG_FAIL(ctx, CYG_E_UNSUPPORTED, "%s: output \"%s\" does not hold float scores",
                        e->package, info.name);
    e->classes = info.bytes / sizeof(float);
    return CYG_OK;
}

static cyg_status open_float(eval_job *e)
{
    cyg_ctx *ctx = &e->app->ctx;
    if (e->float_path == NULL)
        return cyg_source_refuse_settings(e->app, &e->settings, e->package, "a package");
    CYG_DO(cyg_float_model_open_fused(e->app, e->float_path, &e->settings, &e->source));
    e->graph = e->source.graph;
    const cyg_value *x = cyg_val(e->graph, e->graph->inputs[0]),
                    *y = cyg_val(e->graph, e->graph->outputs[0]);
    const size_t count = cyg_preprocess_count(&e->meta.preprocess);
    if (e->graph->input_count != 1 || cyg_value_elements(x) != (int64_t)count ||
        x->type != CYG_TYPE_F32)
        return CYG_FAIL(ctx, CYG_E_CONFIG,
                        "%s: its input \"%s\" does not take the package's pictures of %lld x %lld",
                        e->float_path, x->name, (long long)e->meta.preprocess.height,
                        (long long)e->meta.preprocess.width);
    if (cyg_value_elements(y) != (int64_t)e->classes)
        return CYG_FAIL(ctx, CYG_E_CONFIG, "%s: %lld scores, the package has %zu", e->float_path,
                        (long long)cyg_value_elements(y), e->classes);
    e->float_input = cyg_arena_alloc(&e->app->arena, count * sizeof(float), 64);
    if (e->float_input == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    return cyg_interp_create(ctx, e->graph, NULL, &e->interp);
}

/* ---- one picture
 * -------------------------------------------------------------------------------------------- */

/* Position of the label in the order of scores; of equal scores the first comes first, as in
 * top-1 and in the predictions. */
static size_t rank_of(const float *scores, size_t count, size_t label)
{
    size_t above = 0;
    for (size_t i = 0; i < count; i++)
        above +=
            i < label ? !(scores[i] < scores[label]) : i > label && !(scores[i] <= scores[label]);
    return above;
}

static bool count_score(score *s, const float *scores, size_t count, int64_t label)
{
    if (label < 0 || (size_t)label >= count)
        return false;
    const size_t rank = rank_of(scores, count, (size_t)label);
    const bool first = cyg_largest(scores, count) == (size_t)label;
    s->top1 += first;
    s->top5 += rank < TOP;
    return first;
}

static const float *run_float(eval_job *e, const uint8_t *pixels, cyg_status *out_status)
{
    const cyg_value *x = cyg_val(e->graph, e->graph->inputs[0]);
    cyg_kbuf buf = {.data = e->float_input, .type = CYG_TYPE_F32, .rank = x->rank};
    memcpy(buf.dims, x->dims, sizeof buf.dims);
    cyg_preprocess_normalise(&e->meta.preprocess, pixels, e->float_input);
    *out_status = cyg_interp_run(&e->app->ctx, e->interp, &buf, 1);
    const cyg_kbuf *y =
        *out_status == CYG_OK ? cyg_interp_value(e->interp, e->graph->outputs[0]) : NULL;
    return y != NULL ? y->data : NULL;
}

static void note_prediction(eval_job *e, const char *name, const float *scores)
{
    size_t best[TOP];
    const size_t top = e->classes < TOP ? e->classes : TOP;
    cyg_strbuf_puts(&e->predictions, name);
    for (size_t k = 0; k < top; k++) {
        best[k] = SIZE_MAX;
        for (size_t i = 0; i < e->classes; i++) {
            bool taken = false;
            for (size_t j = 0; j < k; j++)
                taken = taken || best[j] == i;
            if (!taken && (best[k] == SIZE_MAX || scores[i] > scores[best[k]]))
                best[k] = i;
        }
        cyg_strbuf_printf(&e->predictions, "\t%zu", best[k]);
    }
    cyg_strbuf_puts(&e->predictions, "\n");
}

/* The present picture's. */
static cyg_status keep_logits(eval_job *e, score_rows *rows, const float *scores)
{
    if (e->images == rows->room) {
        const size_t room = rows->room == 0 ? 64 : rows->room * 2;
        float *moved = realloc(rows->data, room * e->classes * sizeof *moved);
        if (moved == NULL)
            return CYG_FAIL(&e->app->ctx, CYG_E_NOMEM, "out of memory for the logits");
        rows->data = moved;
        rows->room = room;
    }
    memcpy(rows->data + e->images * e->classes, scores, e->classes * sizeof *scores);
    return CYG_OK;
}

static cyg_status eval_picture(eval_job *e, size_t i)
{
    cyg_picture picture;
    CYG_DO(cyg_dataset_get(&e->app->ctx, e->dataset, i, &picture));
    if (picture.pixels == NULL) {
        e->skipped++;
        cyg_warn(&e->app->ctx, "%s (skipped)", picture.problem);
        return CYG_OK;
    }
    cyg_meta_feed_pixels(&e->meta, picture.pixels, cyg_session_input(e->session, 0));
    const double start = cyg_seconds();
    CYG_DO(cyg_app_rt(e->app, cyg_session_run(e->session)));
    e->seconds += cyg_seconds() - start;
    const float *scores = cyg_session_output(e->session, 0);
    const int64_t label = cyg_dataset_class(e->dataset, i);
    const bool right = count_score(&e->integer, scores, e->classes, label);
    if (e->interp != NULL) {
        cyg_status status;
        const double float_start = cyg_seconds();
        const float *reference = run_float(e, picture.pixels, &status);
        e->float_seconds += cyg_seconds() - float_start;
        CYG_DO(status);
        const bool float_right = count_score(&e->reference, reference, e->classes, label);
        e->gained += right && !float_right;
        e->lost += float_right && !right;
        cyg_similarity_add(&e->similarity, reference, scores, e->classes);
        if (e->float_logits_path != NULL)
            CYG_DO(keep_logits(e, &e->float_logits, reference));
    }
    if (e->predictions_path != NULL)
        note_prediction(e, cyg_dataset_name(e->dataset, i), scores);
    if (e->logits_path != NULL)
        CYG_DO(keep_logits(e, &e->logits, scores));
    e->images++;
    return CYG_OK;
}

static cyg_status eval_all(eval_job *e)
{
    cyg_ctx *ctx = &e->app->ctx;
    size_t count = cyg_dataset_count(e->dataset);
    if (e->limit > 0 && (size_t)e->limit < count)
        count = (size_t)e->limit;
    CYG_DO(cyg_dataset_start(ctx, e->dataset, &e->meta.preprocess));
    for (size_t i = 0; i < count; i++) {
        cyg_progress(ctx, "eval", (int64_t)i, (int64_t)count);
        CYG_DO(cyg_ctx_check_cancelled(ctx));
        CYG_DO(eval_picture(e, i));
    }
    cyg_progress(ctx, "eval", (int64_t)count, (int64_t)count);
    if (e->images == 0)
        return CYG_FAIL(ctx, CYG_E_FORMAT, "%s: no usable pictures", e->dataset_path);
    if (cyg_dataset_class_count(e->dataset) > (int64_t)e->classes)
        cyg_warn(ctx, "%s has labels up to %lld, the model only %zu classes: those count as wrong",
                 e->dataset_path, (long long)cyg_dataset_class_count(e->dataset) - 1, e->classes);
    return CYG_OK;
}

/* ---- results
 * ------------------------------------------------------------------------------------------------
 */

static double percent(size_t part, size_t whole)
{
    return 100.0 * (double)part / (double)whole;
}

static double half_width(double p, size_t n)
{
    return 196.0 * sqrt(p / 100.0 * (1.0 - p / 100.0) / (double)n);
}

/* Exact two-sided binomial test of b against c at one half. */
static double mcnemar(size_t b, size_t c)
{
    const size_t n = b + c, k = b < c ? b : c;
    double log_term = -(double)n * log(2.0), sum = 0.0;
    for (size_t i = 0; i <= k && n > 0; i++) {
        sum += exp(log_term);
        log_term += log((double)(n - i)) - log((double)(i + 1));
    }
    return n == 0 || 2.0 * sum > 1.0 ? 1.0 : 2.0 * sum;
}

static void print_table(const eval_job *e)
{
    char count[32];
    const double top1 = percent(e->integer.top1, e->images);
    cyg_app_print(e->app, "%s images   top-1            top-5\n",
                  cyg_text_count((int64_t)e->images, count));
    if (e->interp != NULL) {
        const double reference = percent(e->reference.top1, e->images);
        cyg_app_print(e->app, "  float        %5.1f ± %.1f %%     %5.1f %%\n", reference,
                      half_width(reference, e->images), percent(e->reference.top5, e->images));
    }
    cyg_app_print(e->app, "  int8         %5.1f ± %.1f %%     %5.1f %%\n", top1,
                  half_width(top1, e->images), percent(e->integer.top5, e->images));
    if (e->interp != NULL) {
        const double p = mcnemar(e->gained, e->lost);
        cyg_app_print(e->app,
                      "  agreement %.1f %% · SQNR %.1f dB · cosine %.4f · %zu gained, %zu lost "
                      "(McNemar p = %.2g%s)\n",
                      100.0 * cyg_similarity_agreement(&e->similarity),
                      cyg_similarity_sqnr_db(&e->similarity), cyg_similarity_cosine(&e->similarity),
                      e->gained, e->lost, p, p > 0.05 ? ": no difference shown" : "");
    }
    const double ms = 1e3 * e->seconds / (double)e->images;
    const double float_ms = 1e3 * e->float_seconds / (double)e->images;
    cyg_app_print(e->app, "  %.2f ms a picture (%s, %u threads)", ms, cyg_session_isa(e->session),
                  cyg_session_threads(e->session));
    if (e->interp != NULL)
        cyg_app_print(e->app, " against %.2f ms in float: %.1f times as fast", float_ms,
                      float_ms / ms);
    cyg_app_print(e->app, "\n");
    if (e->npu.first != NULL) {
        const cyg_npu_machine *m = e->npu.first->machine;
        const cyg_sim_totals t = cyg_sim_device_totals(&e->npu);
        cyg_app_print(
            e->app, "  that is the simulation; %s %s would take %.3f ms a picture (%lld cycles)\n",
            m->chip, m->mode, 1e3 * t.seconds / (double)e->images,
            (long long)(t.cycles / (int64_t)e->images));
    }
}

static cyg_status print_json(eval_job *e)
{
    cyg_strbuf out = {0};
    cyg_json j;
    cyg_json_init(&j, &out, 0);
    cyg_json_begin_object(&j);
    cyg_json_key_int(&j, "images", (int64_t)e->images);
    cyg_json_key_int(&j, "skipped", (int64_t)e->skipped);
    cyg_json_key_double(&j, "top1", percent(e->integer.top1, e->images));
    cyg_json_key_double(&j, "top5", percent(e->integer.top5, e->images));
    if (e->interp != NULL) {
        cyg_json_key_double(&j, "float_top1", percent(e->reference.top1, e->images));
        cyg_json_key_double(&j, "float_top5", percent(e->reference.top5, e->images));
        cyg_json_key_double(&j, "agreement", 100.0 * cyg_similarity_agreement(&e->similarity));
        cyg_json_key_double(&j, "sqnr_db", cyg_similarity_sqnr_db(&e->similarity));
        cyg_json_key_double(&j, "cosine", cyg_similarity_cosine(&e->similarity));
        cyg_json_key_int(&j, "gained", (int64_t)e->gained);
        cyg_json_key_int(&j, "lost", (int64_t)e->lost);
        cyg_json_key_double(&j, "mcnemar_p", mcnemar(e->gained, e->lost));
    }
    cyg_json_key_double(&j, "images_per_second", (double)e->images / e->seconds);
    if (e->interp != NULL)
        cyg_json_key_double(&j, "float_images_per_second", (double)e->images / e->float_seconds);
    if (e->npu.first != NULL && e->images > 0) {
        const cyg_sim_totals t = cyg_sim_device_totals(&e->npu);
        cyg_json_key_string(&j, "target", e->npu.first->machine->chip);
        cyg_json_key_string(&j, "npu_mode", e->npu.first->machine->mode);
        cyg_json_key_int(&j, "cycles", t.cycles / (int64_t)e->images);
        cyg_json_key_double(&j, "estimated_ms", 1e3 * t.seconds / (double)e->images);
    }
    cyg_json_key_string(&j, "isa", cyg_session_isa(e->session));
    cyg_json_key_int(&j, "threads", cyg_session_threads(e->session));
    cyg_json_end_object(&j);
    const cyg_status status = cyg_app_print_json(e->app, &out);
    cyg_strbuf_deinit(&out);
    return status;
}

static cyg_status save_rows(eval_job *e)
{
    cyg_ctx *ctx = &e->app->ctx;
    const int64_t dims[] = {(int64_t)e->images, (int64_t)e->classes};
    if (e->logits_path != NULL)
        CYG_DO(cyg_npy_save(ctx, e->logits_path, CYG_NPY_F32, 2, dims, e->logits.data));
    if (e->float_logits_path != NULL)
        CYG_DO(cyg_npy_save(ctx, e->float_logits_path, CYG_NPY_F32, 2, dims, e->float_logits.data));
    if (e->predictions_path == NULL)
        return CYG_OK;
    if (e->predictions.failed)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    return cyg_write_file(ctx, e->predictions_path, e->predictions.data, e->predictions.len);
}

static cyg_status run_job(eval_job *e)
{
    CYG_DO(cyg_app_use_threads(e->app, (unsigned)e->threads));
    CYG_DO(open_package(e));
    CYG_DO(open_float(e));
    CYG_DO(cyg_dataset_open(&e->app->ctx, e->dataset_path, &e->dataset));
    CYG_DO(eval_all(e));
    CYG_DO(save_rows(e));
    if (e->app->json)
        return print_json(e);
    cyg_terminal_flush();
    print_table(e);
    return CYG_OK;
}

static void close_job(eval_job *e)
{
    cyg_interp_destroy(e->interp);
    cyg_float_model_close(&e->source);
    cyg_dataset_close(e->dataset);
    cyg_session_destroy(e->session);
    cyg_model_close(e->model);
    cyg_strbuf_deinit(&e->predictions);
    free(e->logits.data);
    free(e->float_logits.data);
}

cyg_status cyg_cmd_eval(cyg_app *app, int argc, const char *const *argv)
{
    eval_job e = {.app = app};
    const cyg_value_type text = {.kind = CYG_VALUE_STRING};
    const cyg_value_type count = {.kind = CYG_VALUE_INT, .valid = "0.."};
    const cyg_value_type threads = {.kind = CYG_VALUE_INT, .valid = "0..256"};
    const cyg_flag flags[] = {
        {.name = "model",
         .letter = 'm',
         .type = text,
         .dest = &e.package,
         .text = "package to evaluate (or the first word)"},
        {.name = "dataset",
         .letter = 'd',
         .type = text,
         .dest = &e.dataset_path,
         .text = "labels.tsv, a folder with one sub-folder a class, or an archive of one"},
        {.name = "float",
         .letter = 'f',
         .type = text,
         .dest = &e.float_path,
         .text = "ONNX or checkpoint to compare with, on the same pictures"},
        CYG_FLAG_MODEL_CONFIG(&e.settings),
        CYG_FLAG_SET(&e.settings),
        {.name = "logits",
         .type = text,
         .dest = &e.logits_path,
         .text = "save the scores as rows of a .npy"},
        {.name = "float_logits",
         .type = text,
         .dest = &e.float_logits_path,
         .text = "the same of the float model"},
        {.name = "predictions",
         .type = text,
         .dest = &e.predictions_path,
         .text = "save file and five best classes, tab separated"},
        {.name = "limit",
         .letter = 'n',
         .type = count,
         .dest = &e.limit,
         .text = "only the first N pictures; 0 = all"},
        {.name = "threads",
         .letter = 't',
         .type = threads,
         .dest = &e.threads,
         .text = "threads; 0 = all"},
    };
    cyg_string_list words = {0};
    CYG_DO(cyg_source_take_sets(app, &e.settings, &argc, &argv));
    CYG_DO(cyg_app_parse(app, "eval", flags, CYG_COUNT(flags), argc, argv, &words));
    if (app->help)
        return CYG_OK;
    if (e.package == NULL && words.count > 0) {
        e.package = words.items[0];
        words.items++;
        words.count--;
    }
    if (e.package == NULL || e.dataset_path == NULL || words.count > 0)
        return CYG_FAIL(&app->ctx, CYG_E_USAGE,
                        words.count > 0 ? "one package at a time, found also \"%s\""
                                        : "eval needs a package and --dataset%s",
                        words.count > 0 ? words.items[0] : "");
    if (e.float_logits_path != NULL && e.float_path == NULL)
        return CYG_FAIL(&app->ctx, CYG_E_USAGE,
                        "--float_logits needs --float: there is no float model to score");
    const cyg_status status = run_job(&e);
    close_job(&e);
    return status;
}
