/* Bias correction. Rounded weights and activations are off by a little on average, and a mean error
 * is one that the next layers all see: pixels enter unsigned, so every rounding of a patch
 * embedding's weight meets inputs of one sign. Over the sampled rows the mean error of output n is
 * linear in the mean inputs,
 *     e[n] = sum_k w[n,k] mean(x[k]) - s[n] q[n,k] mean(x'[k]),   x' = x as stored,
 * and is added to the bias, where what half of the rows say makes the other half better. */
#include "quant/correct.h"

#include <math.h>

#include "base/pool.h"
#include "kernels/dispatch.h"
#include "quant/params.h"

enum {
    STRIP = 256,    /* taps that one thread takes */
    SMALL = 1 << 14 /* weights that are not worth a second one */
};

/* Both halves of the rows; threads take taps, then outputs. */
typedef struct half_errors {
    const cyg_kernels *isa;
    const cyg_rows *rows;
    const cyg_quant *x;
    double *mean[2], *stored[2]; /* by tap: as floats see them, as they are stored */
    const float *weights;
    const cyg_value *q; /* the weights as stored */
    double *error[2];   /* by output */
} half_errors;

static void mean_rows(const half_errors *h, int part, int64_t k0, int64_t width)
{
    const int64_t half = h->rows->count / 2, first = part == 0 ? 0 : half,
                  end = part == 0 ? half : h->rows->count;
    double *mean = h->mean[part] + k0, *stored = h->stored[part] + k0;
    float row[STRIP];
    for (int64_t k = 0; k < width; k++)
        mean[k] = stored[k] = 0.0;
    for (int64_t i = first; i < end; i++) {
        const float *value = h->rows->data + i * h->rows->taps + k0;
        cyg_quant_stored_row(h->isa, h->x, value, row, width);
        for (int64_t k = 0; k < width; k++) {
            mean[k] += (double)value[k];
            stored[k] += (double)row[k];
        }
    }
    for (int64_t k = 0; k < width; k++) {
        mean[k] /= (double)(end - first);
        stored[k] /= (double)(end - first);
    }
}

static void means(void *arg, unsigned worker, int64_t begin, int64_t end_strip)
{
    const half_errors *h = arg;
    const int64_t taps = h->rows->taps, end = end_strip * STRIP < taps ? end_strip * STRIP : taps;
    (void)worker;
    for (int64_t k0 = begin * STRIP; k0 < end; k0 += STRIP)
        for (int part = 0; part < 2; part++)
            mean_rows(h, part, k0, end - k0 < STRIP ? end - k0 : STRIP);
}

static void mean_errors(void *arg, unsigned worker, int64_t begin, int64_t end)
{
    const half_errors *h = arg;
    const int64_t taps = h->rows->taps;
    const int8_t *data = h->q->data;
    const double *mean = h->mean[0], *more_mean = h->mean[1], *stored = h->stored[0],
                 *more_stored = h->stored[1];
    (void)worker;
    for (int64_t n = begin; n < end; n++) {
        double real[2] = {0.0, 0.0}, rounded[2] = {0.0, 0.0};
        for (int64_t k = 0; k < taps; k++) {
            const double w = (double)h->weights[n * taps + k], q = (double)data[n * taps + k];
            real[0] += w * mean[k];
            real[1] += w * more_mean[k];
            rounded[0] += q * stored[k];
            rounded[1] += q * more_stored[k];
        }
        for (int part = 0; part < 2; part++)
            h->error[part][n] = real[part] - (double)h->q->quant.scales[n] * rounded[part];
    }
}

cyg_status cyg_quant_gains_prepare(cyg_scheme *s)
{
    /* A node is equalised, its range narrowed, its weights centred and rounded and its bias
     * corrected at most once. */
    s->gains = CYG_NEW_ARRAY(&s->g->arena, cyg_quant_gain, 5 * (size_t)s->node_count + 1);
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
    double *mean = CYG_NEW_ARRAY(s->arena, double, 4 * r->taps);
    double *error = CYG_NEW_ARRAY(s->arena, double, 2 * channels);
    float *bias = CYG_NEW_ARRAY(&g->arena, float, channels);
    if (mean == NULL || error == NULL || bias == NULL)
        return CYG_FAIL(s->ctx, CYG_E_NOMEM, "out of memory");
    double before = 0.0, after = 0.0;
    half_errors h = {.isa = s->isa,
                     .rows = r,
                     .x = &x,
                     .mean = {mean, mean + r->taps},
                     .stored = {mean + 2 * r->taps, mean + 3 * r->taps},
                     .weights = weights,
                     .q = q,
                     .error = {error, error + channels}};
    cyg_pool *pool = channels * r->taps < SMALL ? NULL : s->ctx->pool;
    cyg_pool_for(pool, (r->taps + STRIP - 1) / STRIP, 1, means, &h);
    cyg_pool_for(pool, channels, 0, mean_errors, &h);
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
