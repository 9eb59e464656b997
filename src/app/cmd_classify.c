/* `cygnet classify`: pictures in, names out.
 *
 * Everything that a picture needs is in the package: how to resize, crop and normalise it, what the
 * input takes, the names of the classes. Probabilities are a softmax of the first output for the
 * reader's eye only; an output that already is a distribution is shown as it stands. Scores that
 * are equal keep the order of their index.
 *
 * --format axera prints line for line what the vendor's sample prints, for scripts that read it;
 * there -r counts timed runs behind five untimed ones. */
#include "app/engine.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "app/meta.h"
#include "base/file.h"

enum { TOP = 5, BAR = 26, WARMUP = 5, LONGEST_LABEL = 30 };

typedef struct classify_job {
    cyg_app *app;
    const char *package, *format;
    int64_t repeat, threads;
    cyg_string_list images;
    cyg_int_list size; /* -g, empty = not given */
    cyg_engine *engine;
    cyg_package_meta meta;
    size_t classes;
    double *scores; /* [classes] */
    double *times_ms;
    size_t best[TOP];
    size_t shown; /* of best */
    cyg_json json;
    cyg_strbuf text;
} classify_job;

/* ---- opening ---- */

static cyg_status check_size(classify_job *job)
{
    const cyg_preprocess *p = &job->meta.preprocess;
    if (job->size.count == 0 || (job->size.items[0] == p->height && job->size.items[1] == p->width))
        return CYG_OK;
    return CYG_FAIL(&job->app->ctx, CYG_E_USAGE,
                    "--size %lld,%lld: the package takes %lld,%lld (height,width)",
                    (long long)job->size.items[0], (long long)job->size.items[1],
                    (long long)p->height, (long long)p->width);
}

static cyg_status open_model(classify_job *job)
{
    cyg_ctx *ctx = &job->app->ctx;
    const cyg_engine_options options = {
        .threads = (unsigned)job->threads, .batch = 1, .patient = true};
    size_t size = 0;
    CYG_DO(cyg_engine_open(job->app, job->package, &options, &job->engine));
    const char *meta = cyg_engine_meta(job->engine, &size);
    if (meta == NULL)
        return CYG_FAIL(ctx, CYG_E_UNSUPPORTED,
                        "%s: is a float model: `cygnet build` makes a package, which says how "
                        "pictures are prepared",
                        job->package);
    CYG_TRY(ctx, cyg_meta_read(job->app, meta, size, &job->meta), "%s", job->package);
    if (!job->meta.has_preprocess)
        return CYG_FAIL(ctx, CYG_E_UNSUPPORTED,
                        "%s: does not say how pictures are prepared (it was calibrated on arrays): "
                        "use `cygnet run`",
                        job->package);
    if (cyg_engine_input_count(job->engine) != 1 || cyg_engine_output_count(job->engine) < 1)
        return CYG_FAIL(ctx, CYG_E_UNSUPPORTED, "%s: expected one input, found %u", job->package,
                        cyg_engine_input_count(job->engine));
    job->classes = cyg_engine_elements(cyg_engine_output_info(job->engine, 0));
    job->scores = calloc(job->classes + 1, sizeof *job->scores);
    job->times_ms = calloc((size_t)job->repeat, sizeof *job->times_ms);
    if (job->scores == NULL || job->times_ms == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    return check_size(job);
}

/* ---- one picture ---- */

static cyg_status feed(classify_job *job, const char *image)
{
    cyg_map map;
    CYG_DO(cyg_map_open(&job->app->ctx, image, &map));
    const cyg_status status = cyg_meta_feed_image(job->app, &job->meta, image, map.data, map.size,
                                                  cyg_engine_input(job->engine, 0),
                                                  cyg_engine_input_info(job->engine, 0)->bytes);
    cyg_map_close(&map);
    return status;
}

static cyg_status run_timed(classify_job *job, int64_t warmup)
{
    for (int64_t i = 0; i < warmup; i++)
        CYG_DO(cyg_engine_run(job->app, job->engine, NULL));
    for (int64_t i = 0; i < job->repeat; i++) {
        double seconds = 0;
        CYG_DO(cyg_engine_run(job->app, job->engine, &seconds));
        job->times_ms[i] = 1e3 * seconds;
    }
    return CYG_OK;
}

static void rank_scores(classify_job *job)
{
    job->shown = 0;
    for (size_t i = 0; i < job->classes; i++) {
        size_t at = job->shown;
        while (at > 0 && job->scores[i] > job->scores[job->best[at - 1]])
            at--;
        if (at >= TOP)
            continue;
        const size_t last = job->shown < TOP ? job->shown++ : TOP - 1;
        for (size_t k = last; k > at; k--)
            job->best[k] = job->best[k - 1];
        job->best[at] = i;
    }
}

static void read_scores(classify_job *job)
{
    const cyg_engine_tensor *info = cyg_engine_output_info(job->engine, 0);
    for (size_t i = 0; i < job->classes; i++)
        job->scores[i] = cyg_engine_value(info, cyg_engine_output(job->engine, 0), i);
    rank_scores(job);
}

/* True when the scores are probabilities already. */
static bool is_distribution(const classify_job *job)
{
    double sum = 0;
    for (size_t i = 0; i < job->classes; i++) {
        if (!(job->scores[i] >= 0))
            return false;
        sum += job->scores[i];
    }
    return fabs(sum - 1) < 1e-3;
}

static double probability(const classify_job *job, size_t i)
{
    if (is_distribution(job))
        return job->scores[i];
    double sum = 0;
    for (size_t k = 0; k < job->classes; k++)
        sum += exp(job->scores[k] - job->scores[job->best[0]]);
    return exp(job->scores[i] - job->scores[job->best[0]]) / sum;
}

static void time_stats(const classify_job *job, double *out_avg, double *out_max, double *out_min)
{
    double sum = 0, most = job->times_ms[0], least = job->times_ms[0];
    for (int64_t i = 0; i < job->repeat; i++) {
        sum += job->times_ms[i];
        most = fmax(most, job->times_ms[i]);
        least = fmin(least, job->times_ms[i]);
    }
    *out_avg = sum / (double)job->repeat;
    *out_max = most;
    *out_min = least;
}

/* ---- our output ---- */

static const char *label_of(const classify_job *job, size_t i, char room[32])
{
    if (i < job->meta.label_count && job->meta.labels[i][0] != '\0')
        return job->meta.labels[i];
    snprintf(room, 32, "class %zu", i);
    return room;
}

/* Columns that text takes: code points, which is right for nearly all names. */
static int columns(const char *text)
{
    int n = 0;
    for (; *text != '\0'; text++)
        n += ((unsigned char)*text & 0xC0) != 0x80;
    return n;
}

/* Bytes of text that fill at most `most` columns. */
static int bytes_of_columns(const char *text, int most)
{
    int i = 0;
    for (int n = 0; text[i] != '\0'; i++) {
        n += ((unsigned char)text[i] & 0xC0) != 0x80;
        if (n > most)
            break;
    }
    return i;
}

static void print_image(classify_job *job, const char *image)
{
    double avg = 0, most = 0, least = 0;
    char room[32];
    int width = 0;
    time_stats(job, &avg, &most, &least);
    cyg_app_print_result(job->app, "%s   %.1f ms\n", image, avg);
    for (size_t k = 0; k < job->shown; k++) {
        const int n = columns(label_of(job, job->best[k], room));
        width = n > width ? n : width;
    }
    width = width > LONGEST_LABEL ? LONGEST_LABEL : width;
    for (size_t k = 0; k < job->shown; k++) {
        const double share = probability(job, job->best[k]);
        const char *label = label_of(job, job->best[k], room);
        const int bytes = bytes_of_columns(label, width);
        const int gap = width - columns(label) > 0 ? width - columns(label) : 0;
        cyg_strbuf bar = {0};
        cyg_text_bar(share, BAR, &bar);
        cyg_app_print_result(job->app, "  %.*s%*s  %s  %5.1f %%\n", bytes, label, gap, "",
                             bar.data != NULL ? bar.data : "", 100 * share);
        cyg_strbuf_deinit(&bar);
    }
}

static void write_image(classify_job *job, const char *image)
{
    cyg_json *j = &job->json;
    double avg = 0, most = 0, least = 0;
    time_stats(job, &avg, &most, &least);
    cyg_json_begin_object(j);
    cyg_json_key_string(j, "image", image);
    cyg_json_key_double(j, "ms", avg);
    cyg_json_key(j, "top");
    cyg_json_begin_array(j);
    for (size_t k = 0; k < job->shown; k++) {
        const size_t i = job->best[k];
        cyg_json_begin_object(j);
        cyg_json_key_int(j, "class", (int64_t)i);
        cyg_json_key_string(j, "label", i < job->meta.label_count ? job->meta.labels[i] : NULL);
        cyg_json_key_double(j, "score", job->scores[i]);
        cyg_json_key_double(j, "probability", probability(job, i));
        cyg_json_end_object(j);
    }
    cyg_json_end_array(j);
    cyg_json_end_object(j);
}

static cyg_status classify_all(classify_job *job)
{
    cyg_strbuf how = {0};
    cyg_meta_describe(&job->meta, &how);
    cyg_json_init(&job->json, &job->text, 2);
    cyg_json_begin_object(&job->json);
    cyg_json_key_string(&job->json, "model", job->package);
    cyg_json_key_string(&job->json, "preprocess", how.data);
    cyg_json_key(&job->json, "images");
    cyg_json_begin_array(&job->json);
    cyg_status status = CYG_OK;
    for (size_t i = 0; i < job->images.count && status == CYG_OK; i++) {
        status = feed(job, job->images.items[i]);
        if (status == CYG_OK)
            status = run_timed(job, i == 0 ? 1 : 0);
        if (status != CYG_OK)
            break;
        read_scores(job);
        print_image(job, job->images.items[i]);
        write_image(job, job->images.items[i]);
    }
    cyg_json_end_array(&job->json);
    cyg_json_end_object(&job->json);
    if (status == CYG_OK)
        cyg_app_print(job->app, "pictures: %s\n", how.data != NULL ? how.data : "");
    if (status == CYG_OK && job->app->json)
        status = cyg_app_print_json(job->app, &job->text);
    cyg_strbuf_deinit(&how);
    cyg_strbuf_deinit(&job->text);
    return status;
}

/* ---- the vendor's output ---- */

static const char rule[] = "--------------------------------------";

static cyg_status classify_axera(classify_job *job)
{
    static const char *const steps[] = {"creating handle", "creating context", "get io info",
                                        "alloc io", "push input"};
    cyg_app *app = job->app;
    const cyg_preprocess *p = &job->meta.preprocess;
    double avg = 0, most = 0, least = 0;
    if (job->images.count != 1)
        return CYG_FAIL(&app->ctx, CYG_E_USAGE, "--format axera takes one image, found %zu",
                        job->images.count);
    cyg_app_print_result(
        app, "%s\nmodel file : %s\nimage file : %s\nimg_h, img_w : %lld %lld\n%s\n", rule,
        job->package, job->images.items[0], (long long)p->height, (long long)p->width, rule);
    CYG_DO(feed(job, job->images.items[0]));
    for (size_t i = 0; i < CYG_COUNT(steps); i++)
        cyg_app_print_result(app, "Engine %s is done.\n", steps[i]);
    cyg_app_print_result(app, "%s\n", rule);
    CYG_DO(run_timed(job, WARMUP));
    const double start = cyg_seconds();
    read_scores(job);
    cyg_app_print_result(app, "topk cost time:%.2f ms\n", 1e3 * (cyg_seconds() - start));
    for (size_t k = 0; k < job->shown; k++)
        cyg_app_print_result(app, "%.4f, %zu\n", job->scores[job->best[k]], job->best[k]);
    time_stats(job, &avg, &most, &least);
    cyg_app_print_result(app,
                         "%s\nRepeat %lld times, avg time %.2f ms, max_time %.2f ms, min_time %.2f "
                         "ms\n%s\n",
                         rule, (long long)job->repeat, avg, most, least, rule);
    return CYG_OK;
}

/* ---- the command ---- */

/* "-g 224,224": two whole numbers, as the vendor's sample takes them. */
static cyg_status parse_size(classify_job *job, const char *text)
{
    char tail = '\0';
    long long height = 0, width = 0;
    if (text == NULL)
        return CYG_OK;
    if (sscanf(text, "%5lld,%5lld%c", &height, &width, &tail) != 2 || height < 1 || width < 1)
        return CYG_FAIL(&job->app->ctx, CYG_E_USAGE,
                        "--size: expected height,width as in 224,224, found \"%.40s\"", text);
    int64_t *items = CYG_NEW_ARRAY(&job->app->arena, int64_t, 2);
    if (items == NULL)
        return CYG_FAIL(&job->app->ctx, CYG_E_NOMEM, "out of memory");
    items[0] = height;
    items[1] = width;
    job->size = (cyg_int_list){items, 2};
    return CYG_OK;
}

/* The package is --model or the first word; the other words and --image are pictures. */
static cyg_status gather(classify_job *job, const char *model, const char *image,
                         const cyg_string_list *words)
{
    const size_t first = model == NULL && words->count > 0 ? 1 : 0;
    job->package = model != NULL ? model : first > 0 ? words->items[0] : NULL;
    const char **items = CYG_NEW_ARRAY(&job->app->arena, const char *, words->count + 1);
    if (items == NULL)
        return CYG_FAIL(&job->app->ctx, CYG_E_NOMEM, "out of memory");
    size_t count = 0;
    if (image != NULL)
        items[count++] = image;
    for (size_t i = first; i < words->count; i++)
        items[count++] = words->items[i];
    job->images = (cyg_string_list){items, count};
    if (job->package == NULL || count == 0)
        return CYG_FAIL(&job->app->ctx, CYG_E_USAGE, "expected a package and at least one picture");
    return CYG_OK;
}

cyg_status cyg_cmd_classify(cyg_app *app, int argc, const char *const *argv)
{
    classify_job job = {.app = app};
    const char *model = NULL, *image = NULL, *size = NULL;
    cyg_string_list words = {0};
    const cyg_value_type path = {.kind = CYG_VALUE_IN_PATH}, text = {.kind = CYG_VALUE_STRING};
    const cyg_value_type runs = {.kind = CYG_VALUE_INT, .valid = "1..1000000"};
    const cyg_value_type threads = {.kind = CYG_VALUE_INT, .valid = "0..256"};
    const cyg_value_type format = {.kind = CYG_VALUE_STRING, .valid = "cygnet axera"};
    const cyg_flag flags[] = {
        {"model", 'm', false, path, &model, NULL, NULL, NULL, "package, instead of the first word",
         NULL},
        {"image", 'i', false, path, &image, NULL, NULL, NULL, "picture, instead of a word", NULL},
        {"size", 'g', false, text, &size, NULL, NULL, NULL,
         "height,width: refused unless it is the package's", NULL},
        {"repeat", 'r', false, runs, &job.repeat, NULL, "1", NULL, "timed runs a picture", NULL},
        {"threads", 't', false, threads, &job.threads, NULL, "0", NULL,
         "threads; 0 = CYGNET_THREADS, else all processors", NULL},
        {"format", 0, false, format, &job.format, NULL, "cygnet", NULL,
         "axera: the lines of the vendor's sample", NULL},
    };
    CYG_DO(cyg_app_parse(app, "classify", flags, CYG_COUNT(flags), argc, argv, &words));
    if (app->help)
        return CYG_OK;
    CYG_DO(parse_size(&job, size));
    CYG_DO(gather(&job, model, image, &words));
    const bool axera = strcmp(job.format, "axera") == 0;
    if (axera && app->json)
        return CYG_FAIL(&app->ctx, CYG_E_USAGE, "--format axera and --json exclude each other");
    cyg_status status = open_model(&job);
    if (status == CYG_OK)
        status = axera ? classify_axera(&job) : classify_all(&job);
    cyg_engine_close(job.engine);
    free(job.scores);
    free(job.times_ms);
    return status;
}
