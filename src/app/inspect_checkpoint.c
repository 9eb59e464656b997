/* `cygnet inspect` of a checkpoint: files, where the state dict lies, what was left out, and every
 * tensor with type, shape and statistics.
 *
 * Statistics are those of torch: float64 over all elements, standard deviation of the sample (over
 * n - 1); a tensor with a NaN shows NaN. Pages of a tensor go back to the system once it was
 * measured, so a checkpoint larger than memory can be listed. */
#include "app/inspect.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "io/checkpoint.h"
#include "ir/graph.h"

static void shape_text(const cyg_checkpoint_tensor *t, char out[64])
{
    size_t n = 0;
    if (t->rank == 0)
        n = (size_t)snprintf(out, 64, "scalar");
    for (int i = 0; i < t->rank && n < 64; i++)
        n += (size_t)snprintf(out + n, 64 - n, "%s%lld", i > 0 ? "x" : "", (long long)t->dims[i]);
}

/* "-" where there is no number: an empty tensor, the deviation of one element. */
static const char *number_text(double value, bool missing, char out[32])
{
    if (missing)
        snprintf(out, 32, "-");
    else
        snprintf(out, 32, "%.6g", value);
    return out;
}

static cyg_status print_tensors(cyg_app *app, const cyg_checkpoint *c)
{
    int width = 4;
    for (size_t i = 0; i < cyg_checkpoint_count(c); i++) {
        const size_t n = strlen(cyg_checkpoint_at(c, i)->name);
        width = (int)n > width && n <= 80 ? (int)n : width;
    }
    cyg_app_print_result(app, "\n%-*s  %-5s%-18s%12s%12s%13s%12s\n", width, "name", "type", "shape",
                         "min", "max", "mean", "std");
    for (size_t i = 0; i < cyg_checkpoint_count(c); i++) {
        const cyg_checkpoint_tensor *t = cyg_checkpoint_at(c, i);
        char shape[64], min[32], max[32], mean[32], std[32];
        cyg_checkpoint_stats s;
        CYG_DO(cyg_ctx_check_cancelled(&app->ctx));
        CYG_DO(cyg_checkpoint_measure(&app->ctx, t, &s));
        cyg_checkpoint_release(c, t);
        shape_text(t, shape);
        const bool empty = t->elements == 0;
        cyg_app_print_result(app, "%-*s  %-5s%-18s%12s%12s%13s%12s\n", width, t->name,
                             cyg_type_name(t->type), shape, number_text(s.min, empty, min),
                             number_text(s.max, empty, max), number_text(s.mean, empty, mean),
                             number_text(s.std, t->elements < 2, std));
    }
    return CYG_OK;
}

static uint64_t count_elements(const cyg_checkpoint *c)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < cyg_checkpoint_count(c); i++)
        sum += cyg_checkpoint_at(c, i)->elements;
    return sum;
}

static cyg_status print_text(cyg_app *app, const char *path, const cyg_checkpoint *c)
{
    char a[32], b[32], hex[65];
    uint64_t size = 0;
    cyg_app_print_result(app, "%s   checkpoint, %s\n", path, cyg_checkpoint_format(c));
    for (size_t i = 0; i < cyg_checkpoint_file_count(c); i++) {
        CYG_DO(cyg_sha256_file(&app->ctx, cyg_checkpoint_file(c, i), hex, &size));
        cyg_app_print_result(app, "  %-12s%s   %s\n", i == 0 ? "files" : "",
                             cyg_checkpoint_file(c, i), cyg_text_bytes(size, a));
        cyg_app_print_result(app, "  %-12s%s\n", i == 0 ? "sha256" : "", hex);
    }
    cyg_app_print_result(app, "  %-12s%s, %s elements\n", "tensors",
                         cyg_text_count((int64_t)cyg_checkpoint_count(c), a),
                         cyg_text_count((int64_t)count_elements(c), b));
    if (cyg_checkpoint_place(c)[0] != '\0')
        cyg_app_print_result(app, "  %-12sunder \"%s\"\n", "state dict", cyg_checkpoint_place(c));
    if (cyg_checkpoint_prefix(c)[0] != '\0')
        cyg_app_print_result(app, "  %-12s\"%s\", taken off every name\n", "prefix",
                             cyg_checkpoint_prefix(c));
    for (size_t i = 0; i < cyg_checkpoint_note_count(c); i++)
        cyg_app_print_result(app, "  %-12s%s\n", i == 0 ? "notes" : "",
                             cyg_checkpoint_note_at(c, i));
    for (size_t i = 0; i < cyg_checkpoint_unknown_count(c); i++)
        cyg_app_print_result(app, "  %-12s%s\n", i == 0 ? "not known" : "",
                             cyg_checkpoint_unknown_at(c, i));
    for (size_t i = 0; i < cyg_checkpoint_meta_count(c); i++) {
        const char *value, *key = cyg_checkpoint_meta_at(c, i, &value);
        cyg_strbuf text = {0};
        cyg_json json;
        cyg_json_init(&json, &text, 0); /* quotes what a terminal should not see */
        cyg_json_begin_object(&json);
        cyg_json_key_string(&json, key, value);
        cyg_json_end_object(&json);
        cyg_app_print_result(app, "  %-12s%s\n", i == 0 ? "metadata" : "",
                             text.data != NULL ? text.data : "");
        cyg_strbuf_deinit(&text);
    }
    return print_tensors(app, c);
}

/* ---- JSON ---- */

static cyg_status write_tensors(cyg_app *app, cyg_json *json, const cyg_checkpoint *c)
{
    cyg_json_key(json, "tensors");
    cyg_json_begin_array(json);
    for (size_t i = 0; i < cyg_checkpoint_count(c); i++) {
        const cyg_checkpoint_tensor *t = cyg_checkpoint_at(c, i);
        cyg_checkpoint_stats s;
        CYG_DO(cyg_ctx_check_cancelled(&app->ctx));
        CYG_DO(cyg_checkpoint_measure(&app->ctx, t, &s));
        cyg_checkpoint_release(c, t);
        cyg_json_begin_object(json);
        cyg_json_key_string(json, "name", t->name);
        cyg_json_key_string(json, "type", cyg_type_name(t->type));
        cyg_json_key_ints(json, "shape", t->dims, (size_t)t->rank);
        cyg_json_key_double(json, "min", s.min);
        cyg_json_key_double(json, "max", s.max);
        cyg_json_key_double(json, "mean", s.mean);
        cyg_json_key_double(json, "std", s.std);
        cyg_json_end_object(json);
    }
    cyg_json_end_array(json);
    return CYG_OK;
}

static cyg_status write_files(cyg_app *app, cyg_json *json, const cyg_checkpoint *c)
{
    cyg_json_key(json, "files");
    cyg_json_begin_array(json);
    for (size_t i = 0; i < cyg_checkpoint_file_count(c); i++) {
        char hex[65];
        uint64_t size = 0;
        CYG_DO(cyg_sha256_file(&app->ctx, cyg_checkpoint_file(c, i), hex, &size));
        cyg_json_begin_object(json);
        cyg_json_key_string(json, "path", cyg_checkpoint_file(c, i));
        cyg_json_key_int(json, "bytes", (int64_t)size);
        cyg_json_key_string(json, "sha256", hex);
        cyg_json_end_object(json);
    }
    cyg_json_end_array(json);
    return CYG_OK;
}

static void write_texts(cyg_json *json, const char *key, const cyg_checkpoint *c, size_t count,
                        const char *(*at)(const cyg_checkpoint *c, size_t i))
{
    cyg_json_key(json, key);
    cyg_json_begin_array(json);
    for (size_t i = 0; i < count; i++)
        cyg_json_string(json, at(c, i));
    cyg_json_end_array(json);
}

static cyg_status write_all(cyg_app *app, cyg_json *json, const cyg_checkpoint *c)
{
    cyg_json_begin_object(json);
    cyg_json_key_string(json, "kind", "checkpoint");
    cyg_json_key_string(json, "format", cyg_checkpoint_format(c));
    CYG_DO(write_files(app, json, c));
    cyg_json_key_string(json, "state_dict", cyg_checkpoint_place(c));
    cyg_json_key_string(json, "prefix", cyg_checkpoint_prefix(c));
    write_texts(json, "notes", c, cyg_checkpoint_note_count(c), cyg_checkpoint_note_at);
    write_texts(json, "unknown_globals", c, cyg_checkpoint_unknown_count(c),
                cyg_checkpoint_unknown_at);
    cyg_json_key(json, "metadata");
    cyg_json_begin_object(json);
    for (size_t i = 0; i < cyg_checkpoint_meta_count(c); i++) {
        const char *value, *key = cyg_checkpoint_meta_at(c, i, &value);
        cyg_json_key_string(json, key, value);
    }
    cyg_json_end_object(json);
    cyg_json_key_int(json, "elements", (int64_t)count_elements(c));
    CYG_DO(write_tensors(app, json, c));
    cyg_json_end_object(json);
    return CYG_OK;
}

static cyg_status print_json(cyg_app *app, const cyg_checkpoint *c)
{
    cyg_strbuf text = {0};
    cyg_json json;
    cyg_json_init(&json, &text, 2);
    cyg_status status = write_all(app, &json, c);
    if (status == CYG_OK)
        status = cyg_app_print_json(app, &text);
    cyg_strbuf_deinit(&text);
    return status;
}

cyg_status cyg_inspect_checkpoint(cyg_app *app, const char *path)
{
    cyg_checkpoint *c;
    CYG_DO(cyg_checkpoint_open(&app->ctx, path, &c));
    const cyg_status status = app->json ? print_json(app, c) : print_text(app, path, c);
    cyg_checkpoint_close(c);
    return status;
}
