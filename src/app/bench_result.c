/* What bench prints: the vendor's header and result block, and the JSON line.
 *
 * Labels and widths are those of ax_run_model, since scripts cut them out by column. Values that
 * have no meaning on a CPU say what stands in their place. Percentiles are nearest-rank on the
 * sorted times and rise; the median of an even number of runs is the mean of the two in the
 * middle. */
#include "app/bench.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

enum { SHORT_RULE = 54, LONG_RULE = 75, MANY_RUNS = 100 };

typedef struct stats {
    double *sorted; /* heap */
    size_t count;
    double min, max, avg, median;
} stats;

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static cyg_status make_stats(const cyg_bench *b, stats *out)
{
    const size_t n = b->count;
    double sum = 0;
    memset(out, 0, sizeof *out);
    if (n == 0)
        return CYG_FAIL(&b->app->ctx, CYG_E_CHECK, "%s: nothing was measured", b->flags.model);
    out->sorted = malloc(n * sizeof *out->sorted);
    if (out->sorted == NULL)
        return CYG_FAIL(&b->app->ctx, CYG_E_NOMEM, "out of memory");
    memcpy(out->sorted, b->times_ms, n * sizeof *out->sorted);
    qsort(out->sorted, n, sizeof *out->sorted, by_value);
    for (size_t i = 0; i < n; i++)
        sum += out->sorted[i];
    out->count = n;
    out->min = out->sorted[0];
    out->max = out->sorted[n - 1];
    out->avg = sum / (double)n;
    out->median = 0.5 * (out->sorted[(n - 1) / 2] + out->sorted[n / 2]);
    return CYG_OK;
}

static double percentile(const stats *s, double percent)
{
    const double rank = ceil(percent / 100.0 * (double)s->count);
    const size_t i = rank < 1 ? 0 : (size_t)rank - 1;
    return s->sorted[i < s->count ? i : s->count - 1];
}

void cyg_bench_print_header(const cyg_bench *b)
{
    cyg_app *app = b->app;
    const cyg_bench_flags *f = &b->flags;
    const bool package = cyg_engine_runs_package(b->engine);
    cyg_app_print_result(app, "Run AxModel:\n");
    cyg_app_print_result(app, "  %11s: %s\n", "model", f->model);
    const cyg_sim_device *npu = cyg_engine_npu(b->engine);
    if (npu != NULL)
        cyg_app_print_result(app, "  %11s: %s %s, simulated on CPU %s\n", "type",
                             npu->first->machine->chip, npu->first->machine->mode,
                             cyg_engine_isa(b->engine));
    else
        cyg_app_print_result(app, "  %11s: CPU %s, %s\n", "type", cyg_engine_isa(b->engine),
                             package ? "int8 package" : "float model (the reference)");
    cyg_app_print_result(app, "  %11s: Disable\n", "vnpu");
    cyg_app_print_result(app, "  %11s: %u threads\n", "affinity", cyg_engine_threads(b->engine));
    cyg_app_print_result(app, "  %11s: %lld\n", "warmup", (long long)f->warmup);
    cyg_app_print_result(app, "  %11s: %lld\n", "repeat", (long long)f->repeat);
    cyg_app_print_result(app, f->batch > 0 ? "  %11s: %u\n" : "  %11s: { auto: %u }\n", "batch",
                         cyg_engine_batch(b->engine));
    cyg_app_print_result(app, "  %11s: false\n", "parallel");
    cyg_app_print_result(app, "  %11s: cygnet %s\n", "tool ver", CYG_VERSION);
    cyg_app_print_result(app, "  %11s: %zu Bytes\n", "cmm size", cyg_engine_memory(b->engine));
}

static void rule(cyg_app *app, int length)
{
    char dashes[LONG_RULE + 1];
    memset(dashes, '-', (size_t)length);
    dashes[length] = '\0';
    cyg_app_print_result(app, "%s\n", dashes);
}

static void print_block(cyg_app *app, const stats *s)
{
    const bool many = s->count >= MANY_RUNS;
    rule(app, many ? LONG_RULE : SHORT_RULE);
    cyg_app_print_result(app, "min = %7.3f ms   max = %7.3f ms   avg = %7.3f ms", s->min, s->max,
                         s->avg);
    if (many)
        cyg_app_print_result(app,
                             "   median = %7.3f ms\n"
                             "5%% = %7.3f ms   90%% = %7.3f ms   95%% = %7.3f ms   99%% = %7.3f ms",
                             s->median, percentile(s, 5), percentile(s, 90), percentile(s, 95),
                             percentile(s, 99));
    cyg_app_print_result(app, "\n");
    rule(app, many ? LONG_RULE : SHORT_RULE);
}

/* What the chip would take, by the model: the times above are the simulation's. */
static void print_npu(const cyg_bench *b)
{
    char bytes[32], ocm[32];
    if (cyg_engine_npu(b->engine) == NULL)
        return;
    const cyg_npu_machine *m = cyg_engine_npu(b->engine)->first->machine;
    const cyg_sim_totals t = cyg_engine_npu_cost(b->engine);
    cyg_app_print_result(b->app,
                         "Those are times of the simulation. Estimate for %s %s: %lld cycles, "
                         "%.3f ms at %.0f MHz\n",
                         m->chip, m->mode, (long long)t.cycles, 1e3 * t.seconds,
                         (double)m->clock_khz / 1e3);
    cyg_app_print_result(b->app, "CONV utilisation %.1f %%, DDR %s a run, OCM %s\n",
                         100 * t.conv_utilisation, cyg_text_bytes((uint64_t)t.ddr_bytes, bytes),
                         cyg_text_bytes(t.ocm_peak_bytes, ocm));
}

static void write_npu(const cyg_bench *b, cyg_json *json)
{
    if (cyg_engine_npu(b->engine) == NULL)
        return;
    const cyg_npu_machine *m = cyg_engine_npu(b->engine)->first->machine;
    const cyg_sim_totals t = cyg_engine_npu_cost(b->engine);
    char hash[24];
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)cyg_npu_machine_hash(m));
    cyg_json_key_string(json, "npu_mode", m->mode);
    cyg_json_key_string(json, "machine_hash", hash);
    cyg_json_key_int(json, "cycles", t.cycles);
    cyg_json_key_double(json, "estimated_ms", 1e3 * t.seconds);
    cyg_json_key_double(json, "conv_utilisation", t.conv_utilisation);
    cyg_json_key_int(json, "ddr_bytes", t.ddr_bytes);
    cyg_json_key_int(json, "ocm_peak_bytes", (int64_t)t.ocm_peak_bytes);
}

static void write_json(const cyg_bench *b, const stats *s, cyg_strbuf *out)
{
    cyg_json json;
    const double rss = (double)cyg_peak_rss_bytes();
    cyg_json_init(&json, out, 0);
    cyg_json_begin_object(&json);
    cyg_json_key_string(&json, "model", b->flags.model);
    const cyg_sim_device *npu = cyg_engine_npu(b->engine);
    cyg_json_key_string(&json, "target", npu != NULL ? npu->first->machine->chip : "CPU");
    cyg_json_key_string(&json, "isa", cyg_engine_isa(b->engine));
    cyg_json_key_int(&json, "threads", cyg_engine_threads(b->engine));
    cyg_json_key_int(&json, "runs", (int64_t)s->count);
    cyg_json_key_double(&json, "min_ms", s->min);
    cyg_json_key_double(&json, "median_ms", s->median);
    cyg_json_key_double(&json, "p90_ms", percentile(s, 90));
    cyg_json_key_double(&json, "max_ms", s->max);
    cyg_json_key_double(&json, "avg_ms", s->avg);
    cyg_json_key_double(&json, "load_ms", b->load_ms);
    cyg_json_key_double(&json, "peak_rss_bytes", rss);
    cyg_json_key_double(&json, "peak_rss_mb", rss / 1e6);
    cyg_json_key_int(&json, "memory_bytes", (int64_t)cyg_engine_memory(b->engine));
    write_npu(b, &json);
    cyg_json_key(&json, "times_ms");
    cyg_json_begin_inline_array(&json);
    for (size_t i = 0; i < b->count; i++)
        cyg_json_double(&json, b->times_ms[i]);
    cyg_json_end_array(&json);
    cyg_json_end_object(&json);
}

static cyg_status save_benchmark(const cyg_bench *b, const stats *s)
{
    cyg_strbuf text = {0};
    cyg_json json;
    cyg_json_init(&json, &text, 2);
    cyg_json_begin_object(&json);
    cyg_json_key_double(&json, "min", s->min);
    cyg_json_key_double(&json, "max", s->max);
    cyg_json_key_double(&json, "avg", s->avg);
    cyg_json_end_object(&json);
    cyg_strbuf_puts(&text, "\n");
    const cyg_status status =
        text.failed ? CYG_FAIL(&b->app->ctx, CYG_E_NOMEM, "out of memory")
                    : cyg_write_file(&b->app->ctx, b->flags.save, text.data, text.len);
    cyg_strbuf_deinit(&text);
    return status;
}

cyg_status cyg_bench_print_result(cyg_bench *b)
{
    stats s;
    cyg_strbuf text = {0};
    CYG_DO(make_stats(b, &s));
    cyg_status status = CYG_OK;
    print_block(b->app, &s);
    print_npu(b);
    if (b->app->json) {
        write_json(b, &s, &text);
        status = cyg_app_print_json(b->app, &text);
    }
    if (status == CYG_OK && b->flags.save != NULL)
        status = save_benchmark(b, &s);
    cyg_strbuf_deinit(&text);
    free(s.sorted);
    return status;
}
