/* The converted graph against the file that was made of it.
 *
 * The writer expands fused operators to standard ones and stores constants in another order; the
 * importer brings them back. Running both sides in the float interpreter (pass/check.h) sees all of
 * that but the builder itself, whose witnesses are PyTorch and ONNX Runtime (tests/models).
 *
 * Not done unless asked for: it takes two float runs and holds both sets of weights, where the
 * conversion itself streams them. */
#include "app/convert_check.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "onnx/onnx.h"

static cyg_status compare_file(cyg_app *app, const char *path, const cyg_check *check,
                               cyg_difference *io_difference)
{
    const cyg_onnx_import_options options = {.keep_symbolic = true};
    cyg_graph *back = NULL;
    CYG_DO(cyg_onnx_import(&app->ctx, path, &options, &back, NULL));
    const cyg_status st = cyg_check_compare(&app->ctx, check, back, io_difference);
    cyg_graph_destroy(back);
    if (st != CYG_E_CHECK)
        return st;
    return CYG_FAIL(&app->ctx, st, "the file does not say what the checkpoint says");
}

static cyg_status copy_scores(cyg_app *app, const cyg_kbuf *from, float **out_scores,
                              size_t *out_count)
{
    size_t count = 1;
    for (int i = 0; i < from->rank; i++)
        count *= (size_t)from->dims[i];
    float *scores = malloc(count * sizeof *scores + 1);
    if (scores == NULL)
        return CYG_FAIL(&app->ctx, CYG_E_NOMEM, "out of memory");
    memcpy(scores, from->data, count * sizeof *scores);
    *out_scores = scores;
    *out_count = count;
    return CYG_OK;
}

cyg_status cyg_convert_compare(cyg_app *app, const cyg_converted *model, const char *path,
                               const cyg_kbuf *input, int64_t batch, cyg_convert_check *check,
                               float **out_scores, size_t *out_count)
{
    const double start = cyg_seconds();
    const cyg_check_options options = {.batch = batch, .inputs = input};
    cyg_check *graph = NULL;
    CYG_DO(cyg_check_create(&app->ctx, model->graph, &options, &graph));
    cyg_status st = compare_file(app, path, graph, &check->difference);
    if (st == CYG_OK && out_scores != NULL)
        st = copy_scores(app, cyg_check_output(graph, 0), out_scores, out_count);
    cyg_check_destroy(graph);
    check->runs++;
    check->seconds += cyg_seconds() - start;
    return st;
}

cyg_status cyg_convert_check_noise(cyg_app *app, const cyg_converted *model, const char *path,
                                   cyg_convert_check *check)
{
    const bool open = cyg_val(model->graph, model->graph->inputs[0])->dims[0] < 0;
    CYG_DO(cyg_convert_compare(app, model, path, NULL, 1, check, NULL, NULL));
    return open ? cyg_convert_compare(app, model, path, NULL, 2, check, NULL, NULL) : CYG_OK;
}
