/* Equalisation of channels (the SmoothQuant family). A LayerNorm's result has a few channels far
 * wider than the rest, and one scale for all of them wastes most of the 256 steps of the others.
 * Channel k divided by f[k], in gamma and beta, and column k of the readers' weights multiplied by
 * it is the same function with an evener input:
 *     f[k] = a[k]^alpha / b[k]^(1 - alpha),  a = max |x[k]|, b = max |w[., k]|.
 * The strength alpha is searched in eighths. Powers are made of square roots, which are exactly
 * rounded on every machine. Error of a choice, rounding of inputs and of weights taken as
 * independent: sum_k g[k] f[k]^2 mean (x[k]/f[k] - stored)^2  +  sum_k mean x[k]^2 / f[k]^2 * sum_n
 * s[n]^2 / 12 with g[k] = sum_n w[n,k]^2 and s[n] the scale of output n's weights. The first half
 * of the rows chooses, the second half must agree that it is better than nothing. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "quant/correct.h"
#include "quant/params.h"

enum { BITS = 10, WHOLE = 1 << BITS, EIGHTH = WHOLE / 8 }; /* strengths are in 1024ths */
/* Channels narrower than this share of the widest count as so wide: calibration has hardly seen
 * them. */
static const double least_share = 0.02;

typedef struct equaliser {
    cyg_scheme *s;
    const cyg_uses *uses;
    cyg_value_id x; /* what the LayerNorm writes */
    int64_t channels;
    const cyg_rows *rows;   /* of one reader: all read the same value */
    double *reach, *weight; /* a and b above */
    double *power;          /* sum of squares over the readers' outputs: g above */
    double *f, *best;
} equaliser;

static bool const_floats(const cyg_graph *g, cyg_value_id v)
{
    return !cyg_value_is_none(v) && cyg_val(g, v)->is_const && cyg_val(g, v)->type == CYG_TYPE_F32;
}

/* The result of an integer LayerNorm that only linears with 8-bit inputs read. */
static bool applies(equaliser *e, cyg_node_id id)
{
    const cyg_scheme *s = e->s;
    const cyg_graph *g = s->g;
    const cyg_node *n = cyg_nod(g, id);
    if (n->op != CYG_OP_layer_normalization || !s->integer[id.i] || !const_floats(g, n->in[1]) ||
        (!cyg_value_is_none(cyg_node_in(n, 2)) && !const_floats(g, cyg_node_in(n, 2))))
        return false;
    e->x = n->out[0];
    e->rows = NULL;
    const cyg_observed *o = &s->observed[e->x.i];
    e->channels = o->channels;
    if (s->store[s->class_of[e->x.i]] != CYG_STORE_U8 || !o->seen || o->channels == 0 ||
        cyg_graph_is_output(g, e->x))
        return false;
    for (uint32_t i = e->uses->first[e->x.i]; i < e->uses->first[e->x.i + 1]; i++) {
        const cyg_node_id user = e->uses->user[i];
        const cyg_node *r = cyg_nod(g, user);
        if (r->op != CYG_OP_linear || !s->integer[user.i] || r->in[0].i != e->x.i ||
            cyg_node_in(r, 3).i == e->x.i || s->rows[user.i].taps != e->channels)
            return false;
        e->rows = &s->rows[user.i];
    }
    return e->rows != NULL && e->rows->count >= 2;
}

static void measure(equaliser *e)
{
    const cyg_graph *g = e->s->g;
    const cyg_observed *o = &e->s->observed[e->x.i];
    double widest = 0.0, heaviest = 0.0;
    for (int64_t k = 0; k < e->channels; k++) {
        const double lo = -(double)o->channel_lo[k], hi = (double)o->channel_hi[k];
        e->reach[k] = lo > hi ? lo : hi;
        e->weight[k] = e->power[k] = 0.0;
        widest = e->reach[k] > widest ? e->reach[k] : widest;
    }
    for (uint32_t i = e->uses->first[e->x.i]; i < e->uses->first[e->x.i + 1]; i++) {
        const cyg_value *w = cyg_val(g, cyg_nod(g, e->uses->user[i])->in[1]);
        const float *data = w->data;
        for (int64_t n = 0; n < w->dims[0]; n++)
            for (int64_t k = 0; k < e->channels; k++) {
                const double v = fabs((double)data[n * e->channels + k]);
                e->power[k] += v * v;
                e->weight[k] = v > e->weight[k] ? v : e->weight[k];
            }
    }
    for (int64_t k = 0; k < e->channels; k++)
        heaviest = e->weight[k] > heaviest ? e->weight[k] : heaviest;
    for (int64_t k = 0; k < e->channels; k++) {
        e->reach[k] = e->reach[k] > least_share * widest ? e->reach[k] : least_share * widest;
        e->weight[k] =
            e->weight[k] > least_share * heaviest ? e->weight[k] : least_share * heaviest;
    }
}

/* x^(part / WHOLE), 0 <= part <= WHOLE. */
static double root_power(double x, int part)
{
    double y = part >= WHOLE ? x : 1.0;
    for (int bit = WHOLE / 2; bit >= 1; bit /= 2) {
        x = sqrt(x);
        y *= (part & bit) != 0 ? x : 1.0;
    }
    return y;
}

static void factors(equaliser *e, int strength)
{
    double most = 0.0;
    for (int64_t k = 0; k < e->channels; k++) {
        e->f[k] = root_power(e->reach[k], strength) / root_power(e->weight[k], WHOLE - strength);
        most = e->f[k] > most ? e->f[k] : most;
    }
    /* As floats: gamma, beta and the weights are divided and multiplied by the very same number. */
    for (int64_t k = 0; k < e->channels; k++)
        e->f[k] = (double)(float)(e->f[k] / most);
}

static cyg_quant input_params(const equaliser *e, const double *f, float *scale)
{
    const cyg_observed *o = &e->s->observed[e->x.i];
    double lo = 0.0, hi = 0.0;
    for (int64_t k = 0; k < e->channels; k++) {
        lo = (double)o->channel_lo[k] / f[k] < lo ? (double)o->channel_lo[k] / f[k] : lo;
        hi = (double)o->channel_hi[k] / f[k] > hi ? (double)o->channel_hi[k] / f[k] : hi;
    }
    return cyg_quant_range(CYG_STORE_U8, lo, hi, scale);
}

/* Sum over the readers' outputs of their weights' squared scales, divided by 12. */
static double weight_noise(const equaliser *e, const double *f)
{
    const cyg_graph *g = e->s->g;
    double sum = 0.0;
    for (uint32_t i = e->uses->first[e->x.i]; i < e->uses->first[e->x.i + 1]; i++) {
        const cyg_value *w = cyg_val(g, cyg_nod(g, e->uses->user[i])->in[1]);
        const float *data = w->data;
        for (int64_t n = 0; n < w->dims[0]; n++) {
            double most = 0.0;
            for (int64_t k = 0; k < e->channels; k++) {
                const double v = fabs((double)data[n * e->channels + k]) * f[k];
                most = v > most ? v : most;
            }
            sum += most * most / (127.0 * 127.0 * 12.0);
        }
    }
    return sum;
}

static double error_on(const equaliser *e, const double *f, const cyg_quant *q, double noise,
                       int64_t first, int64_t end)
{
    double sum = 0.0;
    for (int64_t i = first; i < end; i++)
        for (int64_t k = 0; k < e->channels; k++) {
            const double x = (double)e->rows->data[i * e->channels + k] / f[k];
            const double off = (x - cyg_quant_stored(q, (float)x)) * f[k];
            sum += e->power[k] * off * off + x * x * noise;
        }
    return sum;
}

static cyg_status scaled_constant(cyg_scheme *s, cyg_node_id id, uint32_t operand, const double *f,
                                  int64_t channels, bool divide)
{
    cyg_graph *g = s->g;
    const cyg_value_id old = cyg_node_in(cyg_nod(g, id), operand);
    if (cyg_value_is_none(old))
        return CYG_OK;
    const cyg_value from = *cyg_val(g, old); /* adding values may move the array */
    const int64_t count = cyg_value_elements(&from);
    float *data = CYG_NEW_ARRAY(&g->arena, float, count);
    if (data == NULL)
        return CYG_FAIL(s->ctx, CYG_E_NOMEM, "out of memory");
    for (int64_t i = 0; i < count; i++) {
        const double x = (double)((const float *)from.data)[i], by = f[i % channels];
        data[i] = (float)(divide ? x / by : x * by);
    }
    const cyg_value_id now = cyg_graph_add_const(g, from.name, CYG_TYPE_F32, from.rank, from.dims,
                                                 data, (size_t)count * sizeof *data);
    if (cyg_value_is_none(now))
        return CYG_FAIL(s->ctx, CYG_E_NOMEM, "out of memory");
    cyg_node_set_input(g, id, operand, now);
    return CYG_OK;
}

/* The function stays the same: gamma, beta and what was seen of the value / f, weights * f. */
static cyg_status apply(equaliser *e, cyg_node_id norm)
{
    cyg_scheme *s = e->s;
    cyg_observed *o = &s->observed[e->x.i];
    CYG_DO(scaled_constant(s, norm, 1, e->best, e->channels, true));
    CYG_DO(scaled_constant(s, norm, 2, e->best, e->channels, true));
    o->lo = o->hi = 0.0f;
    for (int64_t k = 0; k < e->channels; k++) {
        o->channel_lo[k] = (float)((double)o->channel_lo[k] / e->best[k]);
        o->channel_hi[k] = (float)((double)o->channel_hi[k] / e->best[k]);
        o->lo = o->channel_lo[k] < o->lo ? o->channel_lo[k] : o->lo;
        o->hi = o->channel_hi[k] > o->hi ? o->channel_hi[k] : o->hi;
    }
    for (uint32_t i = e->uses->first[e->x.i]; i < e->uses->first[e->x.i + 1]; i++) {
        const cyg_node_id user = e->uses->user[i];
        cyg_rows *r = &s->rows[user.i];
        CYG_DO(scaled_constant(s, user, 1, e->best, e->channels, false));
        for (int64_t at = 0; at < r->count * r->taps; at++)
            r->data[at] = (float)((double)r->data[at] / e->best[at % r->taps]);
    }
    return cyg_quant_methods_resample(s, e->x, e->rows);
}

/* Leaves the best factors in e->best; false when nothing is better than none. before and after: on
 * the second half of the rows. */
static bool search(equaliser *e, double *before, double *after)
{
    const int64_t half = e->rows->count / 2, count = e->rows->count;
    float scale;
    for (int64_t k = 0; k < e->channels; k++)
        e->f[k] = e->best[k] = 1.0;
    cyg_quant q = input_params(e, e->f, &scale);
    const double noise = weight_noise(e, e->f), whole = error_on(e, e->f, &q, noise, 0, half);
    double least = whole;
    *before = *after = error_on(e, e->f, &q, noise, half, count);
    for (int strength = EIGHTH; strength <= WHOLE; strength += EIGHTH) {
        factors(e, strength);
        q = input_params(e, e->f, &scale);
        const double now = weight_noise(e, e->f), error = error_on(e, e->f, &q, now, 0, half);
        if (!(error < least))
            continue;
        least = error;
        *after = error_on(e, e->f, &q, now, half, count);
        memcpy(e->best, e->f, (size_t)e->channels * sizeof *e->f);
    }
    return *after < *before;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The strength that the options state, where channels differ by as much as they state. */
static bool as_stated(equaliser *e, double *before, double *after)
{
    const cyg_quant_options *o = e->s->options;
    float scale;
    memcpy(e->f, e->reach, (size_t)e->channels * sizeof *e->f);
    qsort(e->f, (size_t)e->channels, sizeof *e->f, by_value);
    if (!(e->f[e->channels / 2] < (double)o->smooth_threshold * e->f[e->channels - 1]))
        return false;
    for (int64_t k = 0; k < e->channels; k++)
        e->best[k] = 1.0;
    cyg_quant q = input_params(e, e->best, &scale);
    *before = error_on(e, e->best, &q, weight_noise(e, e->best), 0, e->rows->count);
    factors(e, (int)(o->smooth_strength * (float)WHOLE));
    memcpy(e->best, e->f, (size_t)e->channels * sizeof *e->f);
    q = input_params(e, e->best, &scale);
    *after = error_on(e, e->best, &q, weight_noise(e, e->best), 0, e->rows->count);
    return true;
}

cyg_status cyg_quant_equalise(cyg_scheme *s)
{
    cyg_arena scratch;
    cyg_arena_init(&scratch);
    cyg_uses uses;
    equaliser e = {.s = s, .uses = &uses};
    int64_t most = 0;
    for (uint32_t v = 0; v < s->value_count; v++)
        most = s->observed[v].channels > most ? s->observed[v].channels : most;
    double *room = CYG_NEW_ARRAY(&scratch, double, 5 * most + 1);
    cyg_status status = room == NULL ? CYG_FAIL(s->ctx, CYG_E_NOMEM, "out of memory")
                                     : cyg_uses_build(s->ctx, s->g, &scratch, &uses);
    e.reach = room;
    e.weight = room + most;
    e.power = room + 2 * most;
    e.f = room + 3 * most;
    e.best = room + 4 * most;
    for (uint32_t i = 0; status == CYG_OK && i < s->g->order_count; i++) {
        const cyg_node_id id = s->g->order[i];
        if (!applies(&e, id))
            continue;
        double before, after;
        measure(&e);
        if (s->options->smooth == CYG_SMOOTH_STATED ? as_stated(&e, &before, &after)
                                                    : search(&e, &before, &after)) {
            status = apply(&e, id);
            cyg_quant_gains_add(s, "equalise", id, before, after);
        }
    }
    cyg_arena_deinit(&scratch);
    return status;
}
