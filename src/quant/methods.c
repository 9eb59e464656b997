/* The calibration method: from what calibration saw to the ranges that values start with. MinMax
 * keeps the extremes. The others leave out what is rare, of values that are stored in 8 bits; 16
 * bits have room for the extremes, and for twice as much.
 *
 * A class has one range, so the histograms of its members become one (members that movement makes
 * hold the same elements again and are not observed); heads have one each. An equalised value is
 * not the one that was observed: its histogram is made of its sampled rows.
 *
 * All of them clip, and a clipped class token costs a transformer more than finer steps gain
 * (search.c), so with search_ranges their ranges are only where the search begins. Values that no
 * linear or convolution reads directly (q, k, v, operands of additions) have no layer's output to
 * judge by; there the search takes, between the method's range and the extremes, the least sum of
 * fourth powers of errors: the same measure without the weights. */
#include "quant/correct.h"
#include "quant/histogram.h"

static cyg_span extremes(const cyg_observed *o)
{
    return (cyg_span){(double)(o->least < 0.0f ? o->least : 0.0f),
                      (double)(o->most > 0.0f ? o->most : 0.0f)};
}

void cyg_quant_narrow(cyg_observed *o, double lo, double hi)
{
    o->lo = (double)o->least < lo ? (float)lo : o->least;
    o->hi = (double)o->most > hi ? (float)hi : o->most;
}

/* The range between the method's and the extremes with the least sum of fourth powers. A narrower
 * one has to be better than the extremes by a margin. */
static cyg_span widened(const cyg_histogram *h, cyg_span start, cyg_span all)
{
    cyg_span best = all;
    double least = CYG_NARROW_MARGIN * cyg_histogram_error(h, all, 4);
    for (int quarter = 3; quarter >= 0; quarter--) {
        const double way = quarter / 4.0;
        const cyg_span now = {start.lo + way * (all.lo - start.lo),
                              start.hi + way * (all.hi - start.hi)};
        const double error = cyg_histogram_error(h, now, 4);
        if (error < least) {
            least = error;
            best = now;
        }
    }
    return best;
}

static cyg_span choose(const cyg_scheme *s, cyg_histogram *h, cyg_span all, bool symmetric,
                       bool widen)
{
    if (!widen)
        h->start = cyg_histogram_range(h, s->options->method, all, symmetric);
    if (symmetric) {
        all.hi = -all.lo > all.hi ? -all.lo : all.hi;
        all.lo = -all.hi;
    }
    return widen && h->others > 0 ? widened(h, h->start, all) : h->start;
}

static cyg_span head_extremes(const cyg_observed *o, int64_t head)
{
    cyg_span all = {0.0, 0.0};
    for (int64_t c = head * o->head_width; c < (head + 1) * o->head_width; c++) {
        all.lo = (double)o->channel_lo[c] < all.lo ? (double)o->channel_lo[c] : all.lo;
        all.hi = (double)o->channel_hi[c] > all.hi ? (double)o->channel_hi[c] : all.hi;
    }
    return all;
}

/* Each head on its own. The channels' extremes stay what was seen. */
static void narrow_heads(const cyg_scheme *s, cyg_observed *o, bool widen)
{
    for (int64_t head = 0; head < o->channels / o->head_width; head++) {
        const cyg_span now = choose(s, &o->histograms[head], head_extremes(o, head), true, widen);
        o->head_reach[head] = (float)now.hi;
    }
}

static void narrow_class(const cyg_scheme *s, uint32_t class, bool widen)
{
    cyg_histogram *h = NULL;
    cyg_span all = {0.0, 0.0};
    for (uint32_t v = class; v < s->value_count; v++) {
        const cyg_observed *o = &s->observed[v];
        if (s->class_of[v] != class || !o->seen)
            continue;
        const cyg_span one = extremes(o);
        all.lo = one.lo < all.lo ? one.lo : all.lo;
        all.hi = one.hi > all.hi ? one.hi : all.hi;
        if (h == NULL)
            h = o->histograms;
        else if (o->histograms != NULL)
            cyg_histogram_take(h, o->histograms);
    }
    if (h == NULL)
        return;
    const cyg_span now = choose(
        s, h, all, s->store[class] == CYG_STORE_S8_HEADS || s->store[class] == CYG_STORE_S8, widen);
    for (uint32_t v = class; v < s->value_count; v++)
        if (s->class_of[v] == class && s->observed[v].seen)
            cyg_quant_narrow(&s->observed[v], now.lo, now.hi);
}

static void narrow(const cyg_scheme *s, uint32_t class, bool widen)
{
    cyg_observed *o = &s->observed[class];
    if (s->class_of[class] != class || s->store[class] == CYG_STORE_S16)
        return;
    if (o->seen && o->head_width > 0 && o->histograms != NULL)
        narrow_heads(s, o, widen);
    else
        narrow_class(s, class, widen);
}

/* Whether histograms are of use for value v: an observed activation that can end up in 8 bits. */
static bool wanted(const cyg_scheme *s, uint32_t v)
{
    const cyg_value *value = &s->g->values[v];
    return value->type == CYG_TYPE_F32 && !value->is_const &&
           s->store[s->class_of[v]] != CYG_STORE_S16 &&
           (cyg_node_is_none(value->producer) ||
            !cyg_quant_is_move(cyg_nod(s->g, value->producer)));
}

cyg_status cyg_quant_methods_prepare(cyg_scheme *s)
{
    for (uint32_t v = 0; s->options->method != CYG_RANGE_MINMAX && v < s->value_count; v++) {
        cyg_observed *o = &s->observed[v];
        const int64_t d = s->head_dim[s->class_of[v]];
        if (!wanted(s, v))
            continue;
        o->head_width = d > 0 && o->channels > 0 && o->channels % d == 0 ? d : 0;
        const int64_t count = o->head_width > 0 ? o->channels / d : 1;
        o->histograms = CYG_NEW_ARRAY(s->arena, cyg_histogram, count);
        o->head_reach = CYG_NEW_ARRAY(s->arena, float, count);
        bool ok = o->histograms != NULL && o->head_reach != NULL;
        for (int64_t i = 0; ok && i < count; i++)
            ok = cyg_histogram_init(&o->histograms[i], s->arena);
        if (!ok)
            return CYG_FAIL(s->ctx, CYG_E_NOMEM, "out of memory");
    }
    return CYG_OK;
}

static double reach_of(cyg_span all)
{
    return -all.lo > all.hi ? -all.lo : all.hi;
}

typedef struct observing {
    cyg_observed *o;
    const float *x;
    int64_t count;
} observing;

static void observe_heads(void *arg, unsigned worker, int64_t begin, int64_t end)
{
    const observing *job = arg;
    const cyg_observed *o = job->o;
    (void)worker;
    for (int64_t head = begin; head < end; head++) {
        cyg_histogram_widen(&o->histograms[head], reach_of(head_extremes(o, head)));
        cyg_histogram_add(&o->histograms[head], job->x + head * o->head_width,
                          job->count / o->channels, o->head_width, o->channels);
    }
}

void cyg_quant_methods_observe(cyg_observed *o, cyg_pool *pool, const float *x, int64_t count)
{
    if (o->histograms == NULL)
        return;
    if (o->head_width == 0) {
        const cyg_span all = {(double)o->lo, (double)o->hi};
        cyg_histogram_widen(o->histograms, reach_of(all));
        cyg_histogram_add_all(o->histograms, pool, x, count);
        return;
    }
    observing job = {o, x, count};
    cyg_pool_for(pool, o->channels / o->head_width, 1, observe_heads, &job);
}

cyg_status cyg_quant_methods_resample(cyg_scheme *s, cyg_value_id v, const cyg_rows *rows)
{
    cyg_observed *o = &s->observed[v.i];
    if (o->histograms == NULL)
        return CYG_OK;
    if (!cyg_histogram_init(o->histograms, s->arena))
        return CYG_FAIL(s->ctx, CYG_E_NOMEM, "out of memory");
    cyg_quant_methods_observe(o, s->ctx->pool, rows->data, rows->count * rows->taps);
    return CYG_OK;
}

typedef struct narrowing {
    const cyg_scheme *s;
    const uint32_t *classes;
    bool widen;
} narrowing;

static void narrow_some(void *arg, unsigned worker, int64_t begin, int64_t end)
{
    const narrowing *job = arg;
    (void)worker;
    for (int64_t i = begin; i < end; i++)
        narrow(job->s, job->classes[i], job->widen);
}

/* Classes have no member in common: threads share them. */
static void narrow_all(const cyg_scheme *s, const uint32_t *classes, uint32_t count, bool widen)
{
    narrowing job = {s, classes, widen};
    cyg_pool_for(s->ctx->pool, count, 1, narrow_some, &job);
}

cyg_status cyg_quant_methods_apply(cyg_scheme *s)
{
    uint32_t *classes = CYG_NEW_ARRAY(s->arena, uint32_t, s->value_count + 1), count = 0;
    if (classes == NULL)
        return CYG_FAIL(s->ctx, CYG_E_NOMEM, "out of memory");
    for (uint32_t v = 0; v < s->value_count; v++) {
        s->observed[v].least = s->observed[v].lo;
        s->observed[v].most = s->observed[v].hi;
        if (s->class_of[v] == v)
            classes[count++] = v;
    }
    if (s->options->method != CYG_RANGE_MINMAX)
        narrow_all(s, classes, count, false);
    return CYG_OK;
}

void cyg_quant_methods_widen(const cyg_scheme *s, const uint32_t *classes, uint32_t count)
{
    if (s->options->method != CYG_RANGE_MINMAX)
        narrow_all(s, classes, count, true);
}
