/* Equalisation of channels (the SmoothQuant family). A LayerNorm's result has a few channels far
 * wider than the rest, and one scale for all of them wastes most of the 256 steps of the others.
 * Channel k divided by f[k], in gamma and beta, and column k of the readers' weights multiplied by
 * it is the same function with an evener input:
 *     f[k] = a[k]^alpha / b[k]^(1 - alpha),  a = max |x[k]|, b = max |w[., k]|.
 * The strength alpha is searched in eighths; where the result has 16 bits, so that only weights
 * are rounded, both exponents are, alpha up to 1/4 and that of b from 1/4 to 1/2. Powers are made
 * of square roots, which are exactly rounded on every machine. Error of a choice, rounding of
 * inputs and of weights taken as independent: sum_k g[k] f[k]^2 mean (x[k]/f[k] - stored)^2  +
 * sum_k mean x[k]^2 / f[k]^2 * sum_n s[n]^2 / 12 with g[k] = sum_n w[n,k]^2 and s[n] the scale of
 * output n's weights. The first half of the rows chooses, the second half must agree that it is
 * better than nothing. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/pool.h"
#include "quant/correct.h"
#include "quant/groups.h"
#include "quant/params.h"

enum {
    BITS = 10,
    WHOLE = 1 << BITS, /* strengths are in 1024ths */
    EIGHTH = WHOLE / 8,
    NOISE_OUTPUTS = 192, /* of each reader */
    LANES = 64,
};
/* Channels narrower than this share of the widest count as so wide: calibration has hardly seen
 * them. */
static const double least_share = 0.02;

typedef struct equaliser {
    cyg_scheme *s;
    const cyg_uses *uses;
    cyg_node_id norm; /* the LayerNorm */
    cyg_value_id x;   /* what it writes */
    int64_t channels;
    const cyg_rows *rows;   /* of one reader: all read the same value */
    double *reach, *weight; /* a and b above */
    double *power;          /* sum of squares over the readers' outputs: g above */
    double *noise;          /* sum over the readers' outputs of s^2 / 12, by channel */
    double *f, *best;
    float *narrow;        /* f, for sums in binary32 */
    double before, after; /* error on the second half of the rows */
    bool found;           /* best is better than nothing */
} equaliser;

static bool const_floats(const cyg_graph *g, cyg_value_id v)
{
    return !cyg_value_is_none(v) && cyg_val(g, v)->is_const && cyg_val(g, v)->type == CYG_TYPE_F32;
}

/* 16 bits round so little that only the weights of 8 bits count; strengths that are stated are
 * meant for inputs. */
static bool is_wide(const equaliser *e)
{
    return e->s->store[e->s->class_of[e->x.i]] == CYG_STORE_S16;
}

/* The result of an integer LayerNorm that only linears with weights of 8 bits read. */
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
    if ((s->store[s->class_of[e->x.i]] != CYG_STORE_U8 && !is_wide(e)) ||
        (is_wide(e) && s->options->smooth == CYG_SMOOTH_STATED) || !o->seen || o->channels == 0 ||
        cyg_graph_is_output(g, e->x))
        return false;
    for (uint32_t i = e->uses->first[e->x.i]; i < e->uses->first[e->x.i + 1]; i++) {
        const cyg_node_id user = e->uses->user[i];
        const cyg_node *r = cyg_nod(g, user);
        if (r->op != CYG_OP_linear || !s->integer[user.i] || r->in[0].i != e->x.i ||
            cyg_node_in(r, 3).i == e->x.i || s->rows[user.i].taps != e->channels ||
            cyg_quant_asked(s, r).weight == CYG_TYPE_S16)
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

/* a^strength / b^counter. */
static void factors(equaliser *e, int strength, int counter)
{
    double most = 0.0;
    for (int64_t k = 0; k < e->channels; k++) {
        e->f[k] = root_power(e->reach[k], strength) / root_power(e->weight[k], counter);
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
    return cyg_quant_range(is_wide(e) ? CYG_STORE_S16 : CYG_STORE_U8, lo, hi, scale);
}

/* Squared step of the weights w[k] f[k] of one output, from the widest of them. */
static double squared_step(const float *w, const float *f, int64_t count, double steps)
{
    float most[CYG_GROUP_TAPS] = {0}; /* lanes, so that compilers use vectors */
    for (int64_t at = 0; at < count; at += CYG_GROUP_TAPS) {
        const int64_t width = count - at < CYG_GROUP_TAPS ? count - at : CYG_GROUP_TAPS;
        for (int64_t k = 0; k < width; k++) {
            const float v = fabsf(w[at + k] * f[at + k]);
            most[k] = v > most[k] ? v : most[k];
        }
    }
    for (int k = 1; k < CYG_GROUP_TAPS; k++)
        most[0] = most[k] > most[0] ? most[k] : most[0];
    return (double)most[0] * (double)most[0] / (steps * steps);
}

/* Of some of the outputs, for all of them. Weights of 4 bits have a step for each group. */
static void weigh_noise(const equaliser *e, const double *f)
{
    const cyg_graph *g = e->s->g;
    for (int64_t k = 0; k < e->channels; k++) {
        e->noise[k] = 0.0;
        e->narrow[k] = (float)f[k];
    }
    for (uint32_t i = e->uses->first[e->x.i]; i < e->uses->first[e->x.i + 1]; i++) {
        const cyg_node_id user = e->uses->user[i];
        const cyg_value *w = cyg_val(g, cyg_nod(g, user)->in[1]);
        const bool s4 = e->s->s4[user.i];
        const int64_t skip = w->dims[0] > NOISE_OUTPUTS ? w->dims[0] / NOISE_OUTPUTS : 1,
                      group = s4 ? CYG_GROUP_TAPS : e->channels;
        for (int64_t n = 0; n < w->dims[0]; n += skip)
            for (int64_t k = 0; k < e->channels; k += group) {
                const int64_t count = e->channels - k < group ? e->channels - k : group;
                const double step =
                    squared_step((const float *)w->data + n * e->channels + k, e->narrow + k, count,
                                 s4 ? (double)CYG_GROUP_MOST : 127.0) *
                    (double)skip / 12.0;
                for (int64_t c = k; c < k + count; c++)
                    e->noise[c] += step;
            }
    }
}

/* On rows first..end-1 with factors f. */
static double error_on(const equaliser *e, const double *f, const cyg_quant *q, int64_t first,
                       int64_t end)
{
    const int64_t channels = e->channels;
    double sum = 0.0;
    float x[LANES], stored[LANES];
    for (int64_t c = 0; c < channels; c += LANES) {
        const int64_t width = channels - c < LANES ? channels - c : LANES;
        double off[LANES] = {0}, square[LANES] = {0};
        for (int64_t i = first; i < end; i++) {
            const float *row = e->rows->data + i * channels + c;
            for (int64_t k = 0; k < width; k++)
                x[k] = row[k] / (float)f[c + k];
            cyg_quant_stored_row(e->s->isa, q, x, stored, width);
            for (int64_t k = 0; k < width; k++) {
                const double d = (double)(x[k] - stored[k]);
                off[k] += d * d;
                square[k] += (double)x[k] * (double)x[k];
            }
        }
        for (int64_t k = 0; k < width; k++)
            sum += e->power[c + k] * f[c + k] * f[c + k] * off[k] + square[k] * e->noise[c + k];
    }
    return sum;
}

/* Of the factors f: on half 0 or 1 of the rows, or (2) all of them. */
static double error_of(const equaliser *e, const double *f, int which)
{
    float scale;
    const int64_t half = e->rows->count / 2, count = e->rows->count;
    const cyg_quant q = input_params(e, f, &scale);
    return error_on(e, f, &q, which == 1 ? half : 0, which == 0 ? half : count);
}

enum { SMALL = 1 << 14 /* elements that are not worth a second thread */ };

typedef struct scaling {
    const float *from;
    float *to;       /* may be from */
    const double *f; /* [channels] */
    int64_t channels, count;
    bool divide;
} scaling;

static void scale_rows(void *arg, unsigned worker, int64_t begin, int64_t end)
{
    const scaling *job = arg;
    (void)worker;
    for (int64_t n = begin; n < end; n++)
        for (int64_t i = n * job->channels, k = 0; k < job->channels && i < job->count; k++, i++) {
            const double x = (double)job->from[i];
            job->to[i] = (float)(job->divide ? x / job->f[k] : x * job->f[k]);
        }
}

static void scale(const cyg_scheme *s, scaling job)
{
    cyg_pool_for(job.count < SMALL ? NULL : s->ctx->pool,
                 (job.count + job.channels - 1) / job.channels, 0, scale_rows, &job);
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
    scale(s, (scaling){from.data, data, f, channels, count, divide});
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
        scale(s, (scaling){r->data, r->data, e->best, e->channels, r->count * r->taps, true});
    }
    return cyg_quant_methods_resample(s, e->x, e->rows);
}

/* Leaves the best factors in e->best. */
static void search(equaliser *e)
{
    for (int64_t k = 0; k < e->channels; k++)
        e->f[k] = e->best[k] = 1.0;
    weigh_noise(e, e->f);
    double least = error_of(e, e->f, 0);
    e->before = e->after = error_of(e, e->f, 1);
    for (int i = 0; i < (is_wide(e) ? 9 : 8); i++) {
        if (is_wide(e)) /* what is wide among weights weighs more than what is among inputs */
            factors(e, i / 3 * EIGHTH, (2 + i % 3) * EIGHTH);
        else
            factors(e, (i + 1) * EIGHTH, (7 - i) * EIGHTH);
        weigh_noise(e, e->f);
        const double error = error_of(e, e->f, 0);
        if (!(error < least))
            continue;
        least = error;
        e->after = error_of(e, e->f, 1);
        memcpy(e->best, e->f, (size_t)e->channels * sizeof *e->f);
    }
    e->found = e->after < e->before;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The strength that the options state, where channels differ by as much as they state. */
static void as_stated(equaliser *e)
{
    const cyg_quant_options *o = e->s->options;
    memcpy(e->f, e->reach, (size_t)e->channels * sizeof *e->f);
    qsort(e->f, (size_t)e->channels, sizeof *e->f, by_value);
    if (!(e->f[e->channels / 2] < (double)o->smooth_threshold * e->f[e->channels - 1]))
        return;
    for (int64_t k = 0; k < e->channels; k++)
        e->best[k] = 1.0;
    weigh_noise(e, e->best);
    e->before = error_of(e, e->best, 2);
    const int strength = (int)(o->smooth_strength * (float)WHOLE);
    factors(e, strength, WHOLE - strength);
    memcpy(e->best, e->f, (size_t)e->channels * sizeof *e->f);
    weigh_noise(e, e->best);
    e->after = error_of(e, e->best, 2);
    e->found = true;
}

typedef struct equalising {
    equaliser *list; /* in order of execution */
    uint32_t count;
} equalising;

static void search_some(void *arg, unsigned worker, int64_t begin, int64_t end)
{
    equalising *all = arg;
    (void)worker;
    for (int64_t i = begin; i < end; i++) {
        equaliser *e = &all->list[i];
        measure(e);
        if (e->s->options->smooth == CYG_SMOOTH_STATED)
            as_stated(e);
        else
            search(e);
    }
}

static cyg_status find_all(cyg_scheme *s, const cyg_uses *uses, cyg_arena *scratch, equalising *all)
{
    all->list = CYG_NEW_ARRAY(scratch, equaliser, s->g->order_count + 1);
    if (all->list == NULL)
        return CYG_FAIL(s->ctx, CYG_E_NOMEM, "out of memory");
    for (uint32_t i = 0; i < s->g->order_count; i++) {
        equaliser e = {.s = s, .uses = uses, .norm = s->g->order[i]};
        if (!applies(&e, e.norm))
            continue;
        double *room = CYG_NEW_ARRAY(scratch, double, 6 * e.channels + 1);
        e.narrow = CYG_NEW_ARRAY(scratch, float, e.channels + 1);
        if (room == NULL || e.narrow == NULL)
            return CYG_FAIL(s->ctx, CYG_E_NOMEM, "out of memory");
        double **const arrays[] = {&e.reach, &e.weight, &e.power, &e.noise, &e.f, &e.best};
        for (size_t k = 0; k < CYG_COUNT(arrays); k++)
            *arrays[k] = room + (int64_t)k * e.channels;
        all->list[all->count++] = e;
    }
    return CYG_OK;
}

/* Layers are independent of each other: threads search, then the graph is changed in order. */
cyg_status cyg_quant_equalise(cyg_scheme *s)
{
    cyg_arena scratch;
    cyg_uses uses;
    equalising all = {0};
    cyg_arena_init(&scratch);
    cyg_status status = cyg_uses_build(s->ctx, s->g, &scratch, &uses);
    if (status == CYG_OK)
        status = find_all(s, &uses, &scratch, &all);
    if (status == CYG_OK)
        cyg_pool_for(s->ctx->pool, all.count, 1, search_some, &all);
    for (uint32_t i = 0; status == CYG_OK && i < all.count; i++) {
        equaliser *e = &all.list[i];
        if (!e->found)
            continue;
        status = apply(e, e->norm);
        cyg_quant_gains_add(s, "equalise", e->norm, e->before, e->after);
    }
    cyg_arena_deinit(&scratch);
    return status;
}
