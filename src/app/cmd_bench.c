/* `cygnet bench`: latency of a model, in the form of the vendor's ax_run_model.
 *
 * Only the run itself is timed: not loading, not feeding, not printing. Without an input the
 * buffers hold noise that is the same every time, because zeros would flatter: some kernels are
 * faster on them on some machines. --json is one line, as the side-by-side tool of the peers wants
 * it. The flags of ax_run_model are all taken; those that steer an NPU warn once that they do
 * nothing here. */
#include "app/bench.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "app/meta.h"
#include "app/sample.h"
#include "base/file.h"
#include "io/npy.h"

#define VALUE(kind_, valid_)                                                                       \
    (cyg_value_type)                                                                               \
    {                                                                                              \
        .kind = CYG_VALUE_##kind_, .valid = valid_                                                 \
    }

/* ---- one .npy in, one out ---- */

static cyg_status feed_values(cyg_bench *b, const cyg_npy *array, const float *values)
{
    const cyg_engine_tensor *info = cyg_engine_input_info(b->engine, 0);
    void *input = cyg_engine_input(b->engine, 0);
    size_t size = 0;
    const char *text = cyg_engine_meta(b->engine, &size);
    cyg_package_meta meta = {0};
    if (text != NULL)
        CYG_TRY(&b->app->ctx, cyg_meta_read(b->app, text, size, &meta), "%s", b->flags.model);
    if (meta.has_preprocess)
        return cyg_meta_feed_array(b->app, &meta, b->flags.input, values, array->count, input,
                                   info->bytes);
    if (info->type != CYG_TYPE_F32 || array->count != cyg_engine_elements(info))
        return CYG_FAIL(&b->app->ctx, CYG_E_FORMAT,
                        "%s: expected %zu values for input \"%s\" (f32), found %zu of %s",
                        b->flags.input, cyg_engine_elements(info), info->name, array->count,
                        cyg_npy_type_name(array->type));
    memcpy(input, values, info->bytes);
    return CYG_OK;
}

static cyg_status read_input(cyg_bench *b)
{
    cyg_map map;
    cyg_npy array;
    CYG_DO(cyg_map_open(&b->app->ctx, b->flags.input, &map));
    cyg_status status = cyg_npy_parse(&b->app->ctx, b->flags.input, map.data, map.size, &array);
    if (status == CYG_OK) {
        float *values = malloc(array.count * sizeof *values + 1);
        if (values == NULL) {
            status = CYG_FAIL(&b->app->ctx, CYG_E_NOMEM, "%s: out of memory", b->flags.input);
        } else {
            cyg_npy_to_f32(&array, values);
            status = feed_values(b, &array, values);
        }
        free(values);
    }
    cyg_map_close(&map);
    return status;
}

static cyg_status fill_inputs(cyg_bench *b)
{
    for (uint32_t i = 0; i < cyg_engine_input_count(b->engine); i++)
        cyg_sample_random(cyg_engine_input_info(b->engine, i), i + 1,
                          cyg_engine_input(b->engine, i));
    return b->flags.input != NULL ? read_input(b) : CYG_OK;
}

static cyg_status write_output(cyg_bench *b)
{
    const cyg_engine_tensor *info = cyg_engine_output_info(b->engine, 0);
    const size_t count = cyg_engine_elements(info);
    float *values = malloc(count * sizeof *values + 1);
    if (values == NULL)
        return CYG_FAIL(&b->app->ctx, CYG_E_NOMEM, "%s: out of memory", b->flags.output);
    for (size_t i = 0; i < count; i++)
        values[i] = (float)cyg_engine_value(info, cyg_engine_output(b->engine, 0), i);
    const cyg_status status = cyg_npy_save(&b->app->ctx, b->flags.output, CYG_NPY_F32,
                                           (size_t)info->rank, info->dims, values);
    free(values);
    return status;
}

/* ---- measuring ---- */

static bool add_time(cyg_bench *b, double ms)
{
    if (b->count == b->room) {
        const size_t room = b->room == 0 ? 256 : b->room * 2;
        double *moved = realloc(b->times_ms, room * sizeof *moved);
        if (moved == NULL)
            return false;
        b->times_ms = moved;
        b->room = room;
    }
    b->times_ms[b->count++] = ms;
    return true;
}

static void forget_profile(cyg_bench *b)
{
    if (b->steps != NULL)
        memset(b->steps, 0, b->step_room * sizeof *b->steps);
}

cyg_status cyg_bench_measure(cyg_bench *b, bool warm)
{
    for (int64_t i = 0; warm && i < b->flags.warmup; i++)
        CYG_DO(cyg_engine_run(b->app, b->engine, NULL));
    if (warm)
        forget_profile(b);
    for (int64_t i = 0; i < b->flags.repeat; i++) {
        double seconds = 0;
        CYG_DO(cyg_engine_run(b->app, b->engine, &seconds));
        if (!add_time(b, 1e3 * seconds))
            return CYG_FAIL(&b->app->ctx, CYG_E_NOMEM, "out of memory");
        if (b->flags.sleep_ms > 0 && i + 1 < b->flags.repeat) {
            const struct timespec pause = {.tv_sec = b->flags.sleep_ms / 1000,
                                           .tv_nsec = b->flags.sleep_ms % 1000 * 1000000};
            nanosleep(&pause, NULL);
        }
    }
    return CYG_OK;
}

/* ---- the command ---- */

static cyg_status check_flags(cyg_bench *b, const cyg_config_mark *affinity)
{
    const cyg_bench_flags *f = &b->flags;
    const int parts = (f->input_folder != NULL) + (f->output_folder != NULL) + (f->list != NULL);
    if (parts != 0 && parts != 3)
        return CYG_FAIL(&b->app->ctx, CYG_E_USAGE,
                        "a data test needs all of --input-folder, --output-folder and --list");
    if (parts != 0 && (f->input != NULL || f->output != NULL))
        return CYG_FAIL(&b->app->ctx, CYG_E_USAGE,
                        "--input and --output do not go with a data test");
    if (f->verify && parts == 0)
        return CYG_FAIL(&b->app->ctx, CYG_E_USAGE,
                        "--verify compares the files of a data test: give -i, -o and -l too");
    if (f->input != NULL && f->batch > 1)
        return CYG_FAIL(&b->app->ctx, CYG_E_USAGE,
                        "--input holds one sample: --batch must be left out or 1");
    if (affinity->origin != CYG_CONFIG_DEFAULT)
        cyg_warn(&b->app->ctx,
                 "--affinity has no effect: it chooses virtual NPUs; --threads chooses threads");
    if (f->vnpu != 0)
        cyg_warn(&b->app->ctx, "--vnpu has no effect: the CPU has no virtual NPUs");
    if (f->parallel)
        cyg_warn(&b->app->ctx, "--parallel has no effect: runs are one after the other");
    return CYG_OK;
}

static cyg_status open_engine(cyg_bench *b)
{
    cyg_engine_options options = {.threads = (unsigned)b->flags.threads,
                                  .isa = b->flags.isa,
                                  .batch = b->flags.input != NULL ? 1 : (uint32_t)b->flags.batch,
                                  .group = (uint32_t)b->flags.group,
                                  .settings = &b->flags.settings};
    if (b->flags.profile) {
        enum { MOST_STEPS = 65536 };
        b->steps = calloc(MOST_STEPS, sizeof *b->steps);
        if (b->steps == NULL)
            return CYG_FAIL(&b->app->ctx, CYG_E_NOMEM, "out of memory");
        b->step_room = MOST_STEPS;
        options.on_step = cyg_bench_on_step;
        options.user = b;
    }
    const double start = cyg_seconds();
    CYG_DO(cyg_engine_open(b->app, b->flags.model, &options, &b->engine));
    b->load_ms = 1e3 * (cyg_seconds() - start);
    if (b->flags.profile && !cyg_engine_runs_package(b->engine))
        return CYG_FAIL(&b->app->ctx, CYG_E_UNSUPPORTED, "%s: only packages can be profiled",
                        b->flags.model);
    return CYG_OK;
}

static cyg_status run_bench(cyg_bench *b)
{
    CYG_DO(open_engine(b));
    CYG_DO(fill_inputs(b));
    cyg_bench_print_header(b);
    if (b->flags.list != NULL)
        return cyg_bench_data_test(b);
    CYG_DO(cyg_bench_measure(b, true));
    if (b->flags.output != NULL)
        CYG_DO(write_output(b));
    CYG_DO(cyg_bench_print_result(b));
    return cyg_bench_print_profile(b);
}

cyg_status cyg_cmd_bench(cyg_app *app, int argc, const char *const *argv)
{
    cyg_bench b = {.app = app};
    cyg_bench_flags *f = &b.flags;
    cyg_config_mark affinity = {0};
    const cyg_value_type path = VALUE(IN_PATH, NULL), out = VALUE(OUT_PATH, NULL);
    const cyg_value_type yes = VALUE(BOOL, NULL);
    const cyg_flag flags[] = {
        {"model", 'm', true, path, &f->model, NULL, NULL, NULL,
         "package, or a float ONNX or checkpoint", NULL},
        CYG_FLAG_MODEL_CONFIG(&f->settings),
        CYG_FLAG_SET(&f->settings),
        {"repeat", 'r', false, VALUE(INT, "1..1000000"), &f->repeat, NULL, "1", NULL, "timed runs",
         NULL},
        {"warmup", 'w', false, VALUE(INT, "0..1000000"), &f->warmup, NULL, "1", NULL,
         "untimed runs before them", NULL},
        {"threads", 't', false, VALUE(INT, "0..256"), &f->threads, NULL, "0", NULL,
         "threads; 0 = CYGNET_THREADS, else all processors", NULL},
        {"isa", 0, false, VALUE(STRING, NULL), &f->isa, NULL, NULL, NULL,
         "instructions to use; `cygnet targets` lists them", NULL},
        {"input", 0, false, path, &f->input, NULL, NULL, NULL,
         ".npy with the float model's first input; without it noise", NULL},
        {"output", 0, false, out, &f->output, NULL, NULL, NULL,
         ".npy to write the first output to, as float32", NULL},
        {"profile", 0, false, yes, &f->profile, NULL, NULL, NULL, "the slowest steps", NULL},
        {"input-folder", 'i', false, path, &f->input_folder, NULL, NULL, NULL,
         "data test: root of the inputs", NULL},
        {"output-folder", 'o', false, out, &f->output_folder, NULL, NULL, NULL,
         "data test: root of the outputs", NULL},
        {"list", 'l', false, path, &f->list, NULL, NULL, NULL, "data test: sub-folders, one a line",
         NULL},
        {"verify", 0, false, yes, &f->verify, NULL, NULL, NULL,
         "data test: compare with the files in the output folder, write nothing", NULL},
        {"save-benchmark", 0, false, out, &f->save, NULL, NULL, "benchmark.json",
         "min, max, avg as JSON into this file", NULL},
        {"sleep", 's', false, VALUE(INT, "0..60000"), &f->sleep_ms, NULL, "0", NULL,
         "milliseconds to wait between runs", NULL},
        {"batch", 'b', false, VALUE(INT, "0..65536"), &f->batch, NULL, "0", NULL,
         "samples a run; 0 = the largest batch that the package was compiled for", NULL},
        {"group", 'g', false, VALUE(INT, "0..63"), &f->group, NULL, "0", NULL,
         "size group of the package", NULL},
        {"affinity", 'a', false, VALUE(INT, "1..7"), &f->affinity, &affinity, "1", NULL,
         "mask of virtual NPUs", "no effect on the CPU"},
        {"vnpu", 'v', false, VALUE(INT, "0..3"), &f->vnpu, NULL, "0", NULL, "virtual NPU mode",
         "no effect on the CPU"},
        {"parallel", 'p', false, yes, &f->parallel, NULL, NULL, NULL,
         "run over all of --affinity at once", "no effect on the CPU"},
        {"inputs-is-folder", 0, false, yes, &f->old[0], NULL, NULL, NULL, NULL, NULL},
        {"outputs-is-folder", 0, false, yes, &f->old[1], NULL, NULL, NULL, NULL, NULL},
        {"use-tensor-name", 0, false, yes, &f->old[2], NULL, NULL, NULL, NULL, NULL},
    };
    CYG_DO(cyg_source_take_sets(app, &f->settings, &argc, &argv));
    CYG_DO(cyg_app_parse(app, "bench", flags, CYG_COUNT(flags), argc, argv, NULL));
    if (app->help)
        return CYG_OK;
    cyg_status status = check_flags(&b, &affinity);
    if (status == CYG_OK)
        status = run_bench(&b);
    cyg_engine_close(b.engine);
    free(b.times_ms);
    free(b.steps);
    return status;
}
