/* The converted graph against the file that was made of it.
 *
 * The writer expands fused operators to standard ones and stores constants in another order; the
 * importer brings them back. Running both sides in the float interpreter sees all of that but the
 * builder itself, whose witnesses are PyTorch and ONNX Runtime (tests/models). Sums are taken in
 * another order, so the two agree to rounding, not to the bit: the bound is 1e-4 of the largest
 * output, far above rounding (some 1e-6) and far below what a wrong weight does.
 *
 * Not done unless asked for: it takes two float runs and holds both sets of weights, where the
 * conversion itself streams them. */
#include "app/convert_check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/sample.h"
#include "base/checked.h"
#include "base/file.h"
#include "interp/interp.h"
#include "onnx/onnx.h"

#define TOLERANCE 1e-4

/* Output 0 of g as a copy. */
static cyg_status run(cyg_app *app, cyg_graph *g, const cyg_kbuf *in, float **out_values,
                      size_t *out_count)
{
    cyg_ctx *ctx = &app->ctx;
    cyg_interp *interp = NULL;
    cyg_status st = cyg_interp_create(ctx, g, NULL, &interp);
    if (st == CYG_OK)
        st = cyg_interp_run(ctx, interp, in, 1);
    const cyg_kbuf *out = st == CYG_OK ? cyg_interp_value(interp, g->outputs[0]) : NULL;
    if (st == CYG_OK && (out == NULL || out->type != CYG_TYPE_F32))
        st = CYG_FAIL(ctx, CYG_E_INTERNAL, "the output was not computed");
    if (st == CYG_OK) {
        *out_count = 1;
        for (int i = 0; i < out->rank; i++)
            *out_count *= (size_t)out->dims[i];
        *out_values = malloc(*out_count * sizeof **out_values + 1);
        if (*out_values == NULL)
            st = CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
        else
            memcpy(*out_values, out->data, *out_count * sizeof **out_values);
    }
    cyg_interp_destroy(interp);
    return st;
}

static cyg_status run_file(cyg_app *app, const char *path, const cyg_kbuf *in, float **out_values,
                           size_t *out_count)
{
    const cyg_onnx_import_options options = {.keep_symbolic = true};
    cyg_onnx_info info;
    cyg_graph *back = NULL;
    CYG_DO(cyg_onnx_import(&app->ctx, path, &options, &back, &info));
    const cyg_status st = run(app, back, in, out_values, out_count);
    cyg_graph_destroy(back);
    return st;
}

static cyg_status judge(cyg_app *app, const char *path, const float *graph, const float *file,
                        size_t count, cyg_convert_check *check)
{
    double difference = 0, largest = 0;
    for (size_t i = 0; i < count; i++) {
        const double d = fabs((double)file[i] - (double)graph[i]), v = fabs((double)graph[i]);
        difference = isnan(difference) || d <= difference ? difference : d; /* NaN sticks */
        largest = v > largest ? v : largest;
    }
    check->runs++;
    if (!(difference <= check->difference))
        check->difference = difference;
    if (difference <= TOLERANCE * largest)
        return CYG_OK;
    unlink(path);
    return CYG_FAIL(&app->ctx, CYG_E_CHECK,
                    "%s: was removed: its outputs differ from the checkpoint's by %.3g, expected "
                    "at most %.3g (%g of the largest)",
                    path, difference, TOLERANCE * largest, TOLERANCE);
}

cyg_status cyg_convert_compare(cyg_app *app, const cyg_converted *model, const char *path,
                               float *pixels, int64_t images, cyg_convert_check *check,
                               float **out_scores, size_t *out_count)
{
    const double start = cyg_seconds();
    const cyg_kbuf in = {.data = pixels,
                         .type = CYG_TYPE_F32,
                         .rank = 4,
                         .dims = {images, model->channels, model->height, model->width}};
    float *values[2] = {NULL};
    size_t count[2] = {0};
    cyg_status st = run(app, model->graph, &in, &values[0], &count[0]);
    if (st == CYG_OK)
        st = run_file(app, path, &in, &values[1], &count[1]);
    if (st == CYG_OK && count[0] != count[1])
        st = CYG_FAIL(&app->ctx, CYG_E_CHECK, "%s: gives %zu values, expected %zu", path, count[1],
                      count[0]);
    if (st == CYG_OK)
        st = judge(app, path, values[0], values[1], count[0], check);
    if (st == CYG_OK && out_scores != NULL) {
        *out_scores = values[0];
        *out_count = count[0];
        values[0] = NULL;
    }
    free(values[0]);
    free(values[1]);
    check->seconds += cyg_seconds() - start;
    return st;
}

static cyg_status compare_noise(cyg_app *app, const cyg_converted *model, const char *path,
                                int64_t images, cyg_convert_check *check)
{
    cyg_engine_tensor info = {.type = CYG_TYPE_F32,
                              .rank = 4,
                              .dims = {images, model->channels, model->height, model->width}};
    int64_t bytes = sizeof(float);
    bool fits = true;
    for (int i = 0; i < info.rank; i++)
        fits = fits && cyg_mul_i64(bytes, info.dims[i], &bytes);
    float *pixels = fits ? malloc((size_t)bytes) : NULL;
    if (pixels == NULL)
        return CYG_FAIL(&app->ctx, CYG_E_NOMEM, "out of memory");
    info.bytes = (size_t)bytes;
    cyg_sample_random(&info, (uint64_t)images, pixels);
    const cyg_status st = cyg_convert_compare(app, model, path, pixels, images, check, NULL, NULL);
    free(pixels);
    return st;
}

cyg_status cyg_convert_check_noise(cyg_app *app, const cyg_converted *model, const char *path,
                                   cyg_convert_check *check)
{
    const int64_t batch = cyg_val(model->graph, model->graph->inputs[0])->dims[0];
    if (batch > 0)
        return compare_noise(app, model, path, batch, check);
    CYG_DO(compare_noise(app, model, path, 1, check));
    return compare_noise(app, model, path, 2, check);
}
