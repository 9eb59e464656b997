/* `cygnet convert --check` and `--image`: does the file say what the graph says? */
#ifndef CYG_APP_CONVERT_CHECK_H
#define CYG_APP_CONVERT_CHECK_H

#include "app/app.h"
#include "models/models.h"
#include "pass/check.h"

/* Zeros before the first comparison; further ones add to it. */
typedef struct cyg_convert_check {
    int runs; /* comparisons that were made */
    cyg_difference difference;
    double seconds;
} cyg_convert_check;

/* Runs the model's graph and the ONNX file at path, read back, on the same pictures: input
 * [images, channels, height, width], or NULL for noise with `batch` pictures where the graph leaves
 * that open. out_scores (may be NULL): output 0 of the graph, malloc'ed, *out_count values. Fails
 * with CYG_E_CHECK when the two differ by more than 1e-4 of the range. */
cyg_status cyg_convert_compare(cyg_app *app, const cyg_converted *model, const char *path,
                               const cyg_kbuf *input, int64_t batch, cyg_convert_check *check,
                               float **out_scores, size_t *out_count) CYG_MUST_USE;
/* On noise: at the batch of the file, or at 1 and 2 when that is open. */
cyg_status cyg_convert_check_noise(cyg_app *app, const cyg_converted *model, const char *path,
                                   cyg_convert_check *check) CYG_MUST_USE;

#endif
