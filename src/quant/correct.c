/* Bias correction. Rounded weights and activations are off by a little on average, and a mean error
 * is one that the next layers all see: pixels enter unsigned, so every rounding of a patch
 * embedding's weight meets inputs of one sign. Over the sampled rows the mean error of output n is
 * linear in the mean inputs,
 *     e[n] = sum_k w[n,k] mean(x[k]) - s[n] q[n,k] mean(x'[k]),   x' = x as stored,
 * and is added to the bias, where what half of the rows say makes the other half better. */
#include "quant/correct.h"

#include <math.h>

#include "base/cpu.h"
#include "kernels/call.h"
#include "quant/params.h"

/* Means of rows first..end-1, as floats see them and as they are stored; row: [taps]. */
static void means(const cyg_rows *r, const cyg_quant *x, int64_t first, int64_t end, float *row,
                  double *mean, double *stored)
{
    for (int64_t k = 0; k < r->taps; k++)
        mean[k] = stored[k] = 0.0;
    for (int64_t i = first; i < end; i++) {
        const float *value = r->data + i * r->taps;
        cyg_quant_stored_row(x, value, row, r->taps);
        for (int64_t k = 0; k < r->taps; k++) {
            mean[k] += (double)value[k];
            stored[k] += (double)row[k];
        }
    }
    for (int64_t k = 0; k < r->taps; k++) {
        mean[k] /= (double)(end - first);
        stored[k] /= (double)(end - first);
    }
}

static void mean_errors(const float *w, const cyg_value *q, const double *mean,
                        const double *stored, double *error)
{
    const int64_t channels = q->dims[0], taps = cyg_value_elements(q) / channels;
    const int8_t *data = q->data;
    for (int64_t n = 0; n < channels; n++) {
        double real = 0.0, rounded = 0.0;
        for (int64_t k = 0; k < taps; k++) {
            real += (double)w[n * taps + k] * mean[k];
            rounded += (double)data[n * taps + k] * stored[k];
        }
        error[n] = real - (double)q->quant.scales[n] * rounded;
    }
}

cyg_status cyg_quant_gains_prepare(cyg_scheme *s)
{
    cyg_cpu_level_id level;
    CYG_DO(cyg_cpu_level(s->ctx, &level));
    s->isa = cyg_kernels_for((int)level);
    /* A node is equalised, its range narrowed, its weights rounded and its bias corrected at most
     * once. */
    s->gains = CYG_NEW_ARRAY(&s->g->arena, cyg_quant_gain, 4 * (size_t)s->node_count + 1);
    return s->gains != NULL ? CYG_OK : CYG_FAIL(s->ctx, CYG_E_NOMEM, "out of memory");
}

double cyg_quant_gain_db(const cyg_quant_gain *g)
{
    return g->after > 0.0 && g->before > 0.0 ? 10.0 * log10(g->before / g->after) : 0.0;
}

void cyg_quant_gains_add(cyg_scheme *s, const char *kind, cyg_node_id node, double before,
                         double after)
{
    s->gains[s->gain_count++] = (cyg_quant_gain){kind, cyg_nod(s->g, node)->name, before, after};
}

cyg_status cyg_quant_correct_bias(cyg_scheme *s, cyg_node_id id, const float *weights)
{
    cyg_graph *g = s->g;
    const cyg_value *q = cyg_val(g, cyg_nod(g, id)->in[1]);
    const cyg_quant x = cyg_val(g, cyg_nod(g, id)->in[0])->quant;
    const cyg_rows *r = &s->rows[id.i];
    const int64_t channels = q->dims[0], half = r->count / 2;
    if (r->taps == 0 || half < 1)
        return CYG_OK;
    double *mean = CYG_NEW_ARRAY(s->arena, double, 2 * r->taps);
    float *row = CYG_NEW_ARRAY(s->arena, float, r->taps);
    double *error = CYG_NEW_ARRAY(s->arena, double, 2 * channels);
    float *bias = CYG_NEW_ARRAY(&g->arena, float, channels);
    if (mean == NULL || row == NULL || error == NULL || bias == NULL)
        return CYG_FAIL(s->ctx, CYG_E_NOMEM, "out of memory");
    double before = 0.0, after = 0.0;
    for (int part = 0; part < 2; part++) {
        means(r, &x, part == 0 ? 0 : half, part == 0 ? half : r->count, row, mean, mean + r->taps);
        mean_errors(weights, q, mean, mean + r->taps, error + part * channels);
    }
    for (int64_t n = 0; n < channels; n++) {
        const double left = error[channels + n] - error[n];
        before += error[channels + n] * error[channels + n];
        after += left * left;
    }
    if (!(after < before))
        return CYG_OK;
    const cyg_value_id old = cyg_node_in(cyg_nod(g, id), 2);
    const float *was = cyg_value_is_none(old) ? NULL : cyg_val(g, old)->data;
    for (int64_t n = 0; n < channels; n++)
        bias[n] =
            (float)((was != NULL ? (double)was[n] : 0.0) + 0.5 * (error[n] + error[channels + n]));
    cyg_quant_gains_add(s, "bias", id, before, after);
    return cyg_quant_set_bias(s, id, bias, channels);
}
