/* Calibration: the float graph runs on every sample, and each float value's extremes are kept, also
 * per channel for the values that attention reads, since q, k and v get a scale for each head; for
 * methods other than MinMax histograms too. One streaming pass, memory independent of the number of
 * samples. Samples are observed in their order, so the result does not depend on threads. */
#include "quant/correct.h"

#include <float.h>
#include <math.h>
#include <pthread.h>

#include "base/cpu.h"
#include "base/pool.h"
#include "kernels/call.h"
#include "kernels/dispatch.h"

enum {
    LANES = 96,      /* columns that are looked at together */
    ELEMENTS = 4096, /* of a block that one thread takes */
    SMALL = 1 << 14  /* elements that are not worth a second one */
};

/* One value of one sample. Threads share it: extremes do not depend on who found them. */
typedef struct look {
    const cyg_kernels *isa;
    cyg_observed *o;
    const float *x;
    int64_t count;
    pthread_mutex_t lock; /* of what follows, and of o's extremes */
    bool poison;          /* an infinity or NaN: comparisons alone would pass a NaN by */
} look;

/* Of neighbouring columns. */
typedef struct extremes {
    float lo[LANES], hi[LANES];
    int32_t bits[LANES];
} extremes;

static void clear(extremes *e)
{
    for (int i = 0; i < LANES; i++) {
        e->lo[i] = FLT_MAX;
        e->hi[i] = -FLT_MAX;
        e->bits[i] = 0;
    }
}

static void merge(look *l, const extremes *e)
{
    pthread_mutex_lock(&l->lock);
    for (int i = 0; i < LANES; i++) {
        l->o->lo = e->lo[i] < l->o->lo ? e->lo[i] : l->o->lo;
        l->o->hi = e->hi[i] > l->o->hi ? e->hi[i] : l->o->hi;
        l->poison = l->poison || e->bits[i] >= 0x7f800000;
    }
    pthread_mutex_unlock(&l->lock);
}

/* Channels in blocks of LANES. */
static void look_at_channels(void *arg, unsigned worker, int64_t begin, int64_t end)
{
    look *l = arg;
    const int64_t channels = l->o->channels;
    (void)worker;
    for (int64_t c = begin * LANES; c < end * LANES && c < channels; c += LANES) {
        const int64_t width = channels - c < LANES ? channels - c : LANES;
        float *channel_lo = l->o->channel_lo + c, *channel_hi = l->o->channel_hi + c;
        extremes e;
        clear(&e);
        l->isa->f32_extremes(l->count / channels, width, l->x + c, channels, e.lo, e.hi, e.bits);
        for (int64_t i = 0; i < width; i++) {
            channel_lo[i] = e.lo[i] < channel_lo[i] ? e.lo[i] : channel_lo[i];
            channel_hi[i] = e.hi[i] > channel_hi[i] ? e.hi[i] : channel_hi[i];
        }
        merge(l, &e);
    }
}

/* Elements in blocks. */
static void look_at_elements(void *arg, unsigned worker, int64_t begin, int64_t end_block)
{
    look *l = arg;
    const int64_t first = begin * ELEMENTS,
                  end = end_block * ELEMENTS < l->count ? end_block * ELEMENTS : l->count,
                  rows = (end - first) / LANES;
    extremes e;
    (void)worker;
    clear(&e);
    l->isa->f32_extremes(rows, LANES, l->x + first, LANES, e.lo, e.hi, e.bits);
    l->isa->f32_extremes(1, end - first - rows * LANES, l->x + first + rows * LANES, 0, e.lo, e.hi,
                         e.bits);
    merge(l, &e);
}

static bool holds_poison(const cyg_value *v)
{
    const float *x = v->data;
    if (!v->is_const || v->type != CYG_TYPE_F32)
        return false;
    for (size_t i = 0; i < v->bytes / sizeof *x; i++)
        if (!isfinite(x[i]))
            return true;
    return false;
}

/* The first value that is not finite: the data's fault, a weight's, or a result too large. */
static cyg_status poisoned(cyg_ctx *ctx, const cyg_graph *g, cyg_value_id v, const float *x,
                           int64_t count)
{
    const cyg_node_id producer = cyg_val(g, v)->producer;
    int64_t at = 0;
    while (at < count - 1 && isfinite(x[at]))
        at++;
    if (cyg_node_is_none(producer))
        return CYG_FAIL(
            ctx, CYG_E_CHECK,
            "input \"%s\" holds infinities or NaN: element %lld of %lld is %g; mend the "
            "sample or leave it out",
            cyg_val(g, v)->name, (long long)at, (long long)count, (double)x[at]);
    const cyg_node *n = cyg_nod(g, producer);
    for (uint32_t i = 0; i < n->in_count; i++)
        if (!cyg_value_is_none(n->in[i]) && holds_poison(cyg_val(g, n->in[i])))
            return CYG_FAIL(ctx, CYG_E_CHECK,
                            "value \"%s\" holds infinities or NaN on calibration data, and so does "
                            "constant \"%s\" of the model, which node \"%s\" reads",
                            cyg_val(g, v)->name, cyg_val(g, n->in[i])->name, n->name);
    return CYG_FAIL(ctx, CYG_E_CHECK,
                    "value \"%s\" holds infinities or NaN on calibration data, though its operands "
                    "do not: node \"%s\" overflows",
                    cyg_val(g, v)->name, n->name);
}

static cyg_status observe(cyg_ctx *ctx, void *user, cyg_value_id v, const cyg_kbuf *buf)
{
    cyg_scheme *s = user;
    cyg_observed *o = &s->observed[v.i];
    if (buf->type != CYG_TYPE_F32)
        return CYG_OK;
    int64_t count = 1;
    for (int i = 0; i < buf->rank; i++)
        count *= buf->dims[i];
    if (count == 0)
        return CYG_OK;
    if (!o->seen) {
        o->seen = true;
        o->lo = FLT_MAX;
        o->hi = -FLT_MAX;
    }
    look l = {
        .isa = s->isa, .o = o, .x = buf->data, .count = count, .lock = PTHREAD_MUTEX_INITIALIZER};
    cyg_pool *pool = count < SMALL ? NULL : ctx->pool;
    if (o->channels > 0)
        cyg_pool_for(pool, (o->channels + LANES - 1) / LANES, 0, look_at_channels, &l);
    else
        cyg_pool_for(pool, (count + ELEMENTS - 1) / ELEMENTS, 0, look_at_elements, &l);
    if (l.poison)
        return poisoned(ctx, s->g, v, buf->data, count);
    cyg_quant_methods_observe(o, pool, buf->data, count);
    if (s->rows != NULL)
        cyg_quant_rows_take(s, s->sample, v, buf);
    return CYG_OK;
}

static cyg_status watch_channels(cyg_scheme *s, cyg_value_id id)
{
    const cyg_value *v = cyg_val(s->g, id);
    cyg_observed *o = &s->observed[id.i];
    if (o->channels > 0 || v->type != CYG_TYPE_F32 || v->rank < 1)
        return CYG_OK;
    o->channels = v->dims[v->rank - 1];
    o->channel_lo = CYG_NEW_ARRAY(s->arena, float, o->channels);
    o->channel_hi = CYG_NEW_ARRAY(s->arena, float, o->channels);
    if (o->channel_lo == NULL || o->channel_hi == NULL)
        return CYG_FAIL(s->ctx, CYG_E_NOMEM, "out of memory");
    for (int64_t c = 0; c < o->channels; c++) {
        o->channel_lo[c] = FLT_MAX;
        o->channel_hi[c] = -FLT_MAX;
    }
    return CYG_OK;
}

/* Channel by channel: q, k and v, which get a scale for each head, and what LayerNorm writes, which
 * may be equalised. */
static cyg_status prepare_channels(cyg_scheme *s)
{
    for (uint32_t i = 0; i < s->g->order_count; i++) {
        const cyg_node *n = cyg_nod(s->g, s->g->order[i]);
        for (uint32_t k = 0; n->op == CYG_OP_attention && k < 3; k++)
            CYG_DO(watch_channels(s, n->in[k]));
        if (n->op == CYG_OP_layer_normalization && s->integer[s->g->order[i].i])
            CYG_DO(watch_channels(s, n->out[0]));
    }
    return CYG_OK;
}

/* tensors, bufs: room for one of each input. */
static cyg_status run_sample(const cyg_scheme *s, cyg_interp *interp,
                             const cyg_sample_source *samples, size_t i, cyg_sample_tensor *tensors,
                             cyg_kbuf *bufs)
{
    const cyg_graph *g = s->g;
    CYG_DO(samples->get(s->ctx, samples->self, i, tensors));
    for (uint32_t k = 0; k < g->input_count; k++) {
        const cyg_value *v = cyg_val(g, g->inputs[k]);
        const int64_t want = cyg_value_elements(v);
        if (v->type != CYG_TYPE_F32)
            return CYG_FAIL(
                s->ctx, CYG_E_UNSUPPORTED,
                "input \"%s\" is %s: samples are f32, such a model cannot be calibrated", v->name,
                cyg_type_name(v->type));
        if (want < 0 || (size_t)want != tensors[k].count)
            return CYG_FAIL(
                s->ctx, CYG_E_FORMAT, "sample \"%s\": input \"%s\" needs %lld values, found %zu",
                samples->name(samples->self, i), v->name, (long long)want, tensors[k].count);
        bufs[k] = (cyg_kbuf){.type = (int32_t)v->type, .rank = v->rank};
        for (int d = 0; d < v->rank; d++)
            bufs[k].dims[d] = v->dims[d];
        const void *data = tensors[k].data;
        __builtin_memcpy(&bufs[k].data, &data, sizeof data); /* inputs are only read */
    }
    CYG_DO(cyg_interp_run(s->ctx, interp, bufs, g->input_count));
    for (uint32_t k = 0; s->options->on_output != NULL && k < g->output_count; k++) {
        const cyg_kbuf *y = cyg_interp_value(interp, g->outputs[k]);
        const int64_t count = cyg_value_elements(cyg_val(g, g->outputs[k]));
        if (y != NULL && y->type == CYG_TYPE_F32)
            CYG_DO(s->options->on_output(s->ctx, s->options->user, i, k, y->data, (size_t)count));
    }
    return CYG_OK;
}

/* Data that say nothing about a range do not stop a build, but nobody should have to find out from
 * the results. */
static void warn_about_data(const cyg_scheme *s)
{
    const cyg_graph *g = s->g;
    const char *first = NULL;
    uint32_t zeros = 0;
    for (uint32_t i = 0; i < g->input_count; i++) {
        const cyg_observed *o = &s->observed[g->inputs[i].i];
        if (o->seen && !(o->lo < o->hi) && cyg_value_elements(cyg_val(g, g->inputs[i])) > 1)
            cyg_warn(
                s->ctx,
                "input \"%s\" is %g everywhere in the calibration data: the ranges that follow "
                "from it mean nothing for other data",
                cyg_val(g, g->inputs[i])->name, (double)o->lo);
    }
    for (uint32_t v = 0; v < s->value_count; v++) {
        const cyg_observed *o = &s->observed[v];
        if (!o->seen || o->lo < 0.0f || o->hi > 0.0f || s->store[s->class_of[v]] == CYG_STORE_FLOAT)
            continue;
        first = first != NULL ? first : g->values[v].name;
        zeros++;
    }
    if (zeros > 0)
        cyg_warn(s->ctx,
                 "%u values are zero in all calibration data, the first is \"%s\": they have no "
                 "range, and whatever else comes is rounded to whole numbers",
                 zeros, first);
}

/* Runs the float graph on the samples in their order. */
static cyg_status run_samples(cyg_scheme *s, const cyg_sample_source *samples, size_t count,
                              cyg_observer observer, const char *stage)
{
    cyg_ctx *ctx = s->ctx;
    const cyg_interp_options options = {.observer = observer, .user = s};
    cyg_sample_tensor *tensors =
        CYG_NEW_ARRAY(s->arena, cyg_sample_tensor, samples->input_count + 1);
    cyg_kbuf *bufs = CYG_NEW_ARRAY(s->arena, cyg_kbuf, s->g->input_count + 1);
    cyg_interp *interp;
    cyg_cpu_level_id level;
    if (tensors == NULL || bufs == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    CYG_DO(cyg_cpu_level(ctx, &level));
    s->isa = cyg_kernels_for((int)level);
    CYG_DO(cyg_interp_create(ctx, s->g, &options, &interp));
    cyg_status status = CYG_OK;
    for (size_t i = 0; status == CYG_OK && i < count; i++) {
        cyg_progress(ctx, stage, (int64_t)i, (int64_t)count);
        s->sample = i;
        status = run_sample(s, interp, samples, i, tensors, bufs);
        if (status != CYG_OK && status != CYG_E_CANCELLED)
            status = CYG_FAIL(ctx, status, "while running sample %zu, \"%.200s\"", i,
                              samples->name(samples->self, i));
    }
    if (status == CYG_OK)
        cyg_progress(ctx, stage, (int64_t)count, (int64_t)count);
    cyg_interp_destroy(interp);
    return status;
}

static cyg_status count_samples(cyg_ctx *ctx, const cyg_graph *g, const cyg_sample_source *samples,
                                const cyg_quant_options *options, size_t *out_count)
{
    const size_t limit = options->max_samples;
    if (samples->input_count != g->input_count)
        return CYG_FAIL(ctx, CYG_E_CONFIG, "the model has %u inputs, the calibration data %zu",
                        g->input_count, samples->input_count);
    *out_count = limit > 0 && limit < samples->count ? limit : samples->count;
    return CYG_OK;
}

cyg_status cyg_quant_calibrate(cyg_scheme *s, const cyg_sample_source *samples, size_t *out_samples)
{
    CYG_DO(count_samples(s->ctx, s->g, samples, s->options, out_samples));
    if (*out_samples == 0)
        return CYG_FAIL(s->ctx, CYG_E_CONFIG, "there are no calibration samples");
    CYG_DO(prepare_channels(s));
    CYG_DO(cyg_quant_methods_prepare(s));
    CYG_DO(cyg_quant_rows_prepare(s, *out_samples));
    CYG_DO(run_samples(s, samples, *out_samples, observe, "calibrate"));
    warn_about_data(s);
    return CYG_OK;
}

cyg_status cyg_quant_run_samples(cyg_ctx *ctx, cyg_graph *g, const cyg_sample_source *samples,
                                 const cyg_quant_options *options, cyg_observed *observed,
                                 size_t *out_samples)
{
    cyg_arena arena;
    CYG_DO(count_samples(ctx, g, samples, options, out_samples));
    cyg_arena_init(&arena);
    cyg_scheme s = {.ctx = ctx, .g = g, .arena = &arena, .options = options, .observed = observed};
    const cyg_status status =
        run_samples(&s, samples, *out_samples, observed != NULL ? observe : NULL, "run");
    cyg_arena_deinit(&arena);
    return status;
}
