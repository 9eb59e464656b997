/* `cygnet bench -i IN -o OUT -l LIST`: ax_run_model's data test.
 *
 * A sample that cannot be read is skipped with a warning and the others still run, as the vendor's
 * tool does; unlike there, the exit status then is not zero. With --verify nothing is written: the
 * files already in the output folder are compared byte by byte, and the first difference of each is
 * reported with its offset. */
#include "app/bench.h"

#include <string.h>

#include "app/sample.h"
#include "base/file.h"

typedef struct tally {
    size_t skipped, different;
} tally;

static cyg_status compare(cyg_bench *b, const cyg_sample_layout *layout, const char *sample,
                          bool *out_same)
{
    for (uint32_t i = 0; i < cyg_engine_output_count(b->engine); i++) {
        const cyg_engine_tensor *info = cyg_engine_output_info(b->engine, i);
        const uint8_t *ours = cyg_engine_output(b->engine, i);
        const char *path =
            cyg_sample_path(b->app, b->flags.output_folder, sample, layout->outputs.items[i]);
        cyg_map map;
        size_t at = 0;
        if (path == NULL)
            return CYG_FAIL(&b->app->ctx, CYG_E_NOMEM, "out of memory");
        CYG_DO(cyg_map_open(&b->app->ctx, path, &map));
        while (at < map.size && at < info->bytes && map.data[at] == ours[at])
            at++;
        if (map.size != info->bytes) {
            cyg_warn(&b->app->ctx, "%s: expected %zu bytes, found %zu", path, info->bytes,
                     map.size);
            *out_same = false;
        } else if (at < info->bytes) {
            cyg_warn(&b->app->ctx, "%s: differs at byte offset %zu: file 0x%02x, computed 0x%02x",
                     path, at, map.data[at], ours[at]);
            *out_same = false;
        }
        cyg_map_close(&map);
    }
    return CYG_OK;
}

static cyg_status run_sample(cyg_bench *b, const cyg_sample_layout *layout, const char *sample,
                             bool warm, bool *out_same)
{
    *out_same = true;
    CYG_DO(cyg_sample_read(b->app, b->engine, layout, b->flags.input_folder, sample));
    CYG_DO(cyg_bench_measure(b, warm));
    if (b->flags.verify)
        return compare(b, layout, sample, out_same);
    return cyg_sample_write(b->app, b->engine, layout, b->flags.output_folder, sample);
}

/* What the chain says, as a warning; the chain is then empty again. */
static void skip(cyg_bench *b, const char *sample)
{
    cyg_ctx *ctx = &b->app->ctx;
    char why[512];
    snprintf(
        why, sizeof why, "%s",
        cyg_ctx_message(ctx, cyg_ctx_message_count(ctx) > 0 ? cyg_ctx_message_count(ctx) - 1 : 0));
    cyg_ctx_clear(ctx);
    cyg_warn(ctx, "sample \"%s\" is skipped: %s", sample, why);
}

static bool is_the_samples_fault(cyg_status status)
{
    return status == CYG_E_IO || status == CYG_E_FORMAT;
}

cyg_status cyg_bench_data_test(cyg_bench *b)
{
    cyg_sample_layout layout;
    tally t = {0};
    CYG_DO(cyg_sample_layout_open(b->app, b->engine, b->flags.list, &layout));
    const size_t total = layout.samples.count;
    cyg_app_print(b->app, "total found {%zu} input drive folders.\n", total);
    for (size_t i = 0; i < total; i++) {
        bool same = true;
        const cyg_status status = run_sample(b, &layout, layout.samples.items[i], i == 0, &same);
        if (status != CYG_OK) {
            if (!is_the_samples_fault(status))
                return status;
            skip(b, layout.samples.items[i]);
            t.skipped++;
            continue;
        }
        t.different += !same;
        cyg_app_print(b->app, "infer model, total %zu/%zu. Done.\n", i + 1, total);
    }
    if (t.skipped == total)
        return CYG_FAIL(&b->app->ctx, CYG_E_IO, "%s: all %zu samples were skipped", b->flags.list,
                        total);
    CYG_DO(cyg_bench_print_result(b));
    if (t.skipped > 0 || t.different > 0)
        return CYG_FAIL(&b->app->ctx, CYG_E_CHECK,
                        "%s: of %zu samples %zu were skipped and %zu differ", b->flags.list, total,
                        t.skipped, t.different);
    return CYG_OK;
}
