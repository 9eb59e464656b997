/* Calibration: the float graph runs on every sample, and each float value's extremes are kept, also
 * per channel for the values that attention reads, since q, k and v get a scale for each head; for
 * methods other than MinMax histograms too. One streaming pass, memory independent of the number of
 * samples. Some samples run side by side (cyg_interp_run_lanes); what is kept of them does not
 * depend on which, so neither on threads: extremes and counts have no order, rows have places. */
#include "quant/correct.h"

#include <float.h>
#include <math.h>
#include <pthread.h>

#include "base/arena.h"
#include "base/checked.h"
#include "base/cpu.h"
#include "base/pool.h"
#include "kernels/call.h"
#include "kernels/dispatch.h"

enum {
    LANES = 96,       /* columns that are looked at together */
    ELEMENTS = 12288, /* of a block that one thread takes: whole rows of LANES */
    SMALL = 1 << 14   /* elements that are not worth a second one */
};

/* One value of some samples. Threads share it: extremes do not depend on who found them. */
typedef struct look {
    const cyg_kernels *isa;
    cyg_observed *o;
    const float *x;
    int64_t count, apart; /* elements of a sample; from sample to sample */
    int64_t blocks;       /* of a sample */
    pthread_mutex_t lock; /* of what follows, and of all that o keeps */
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

static void merge_channels(look *l, int64_t c, int64_t width, const extremes *e)
{
    float *lo = l->o->channel_lo + c, *hi = l->o->channel_hi + c;
    pthread_mutex_lock(&l->lock);
    for (int64_t i = 0; i < width; i++) {
        lo[i] = e->lo[i] < lo[i] ? e->lo[i] : lo[i];
        hi[i] = e->hi[i] > hi[i] ? e->hi[i] : hi[i];
    }
    pthread_mutex_unlock(&l->lock);
}

/* Channels in blocks of LANES, sample by sample. */
static void look_at_channels(void *arg, unsigned worker, int64_t begin, int64_t end)
{
    look *l = arg;
    const int64_t channels = l->o->channels;
    (void)worker;
    for (int64_t i = begin; i < end; i++) {
        const int64_t c = i % l->blocks * LANES, left = channels - c,
                      width = left < LANES ? left : LANES;
        extremes e;
        clear(&e);
        l->isa->f32_extremes(l->count / channels, width, l->x + i / l->blocks * l->apart + c,
                             channels, e.lo, e.hi, e.bits);
        merge_channels(l, c, width, &e);
        merge(l, &e);
    }
}

/* Elements in blocks, sample by sample. */
static void look_at_elements(void *arg, unsigned worker, int64_t begin, int64_t end)
{
    look *l = arg;
    extremes e;
    (void)worker;
    clear(&e);
    for (int64_t i = begin; i < end; i++) {
        const int64_t first = i % l->blocks * ELEMENTS, left = l->count - first,
                      count = left < ELEMENTS ? left : ELEMENTS, rows = count / LANES;
        const float *x = l->x + i / l->blocks * l->apart + first;
        l->isa->f32_extremes(rows, LANES, x, LANES, e.lo, e.hi, e.bits);
        l->isa->f32_extremes(1, count - rows * LANES, x + rows * LANES, 0, e.lo, e.hi, e.bits);
    }
    merge(l, &e);
}

static bool holds_poison(const float *x, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (!isfinite(x[i]))
            return true;
    return false;
}

static bool is_poisoned(const cyg_value *v)
{
    return v->is_const && v->type == CYG_TYPE_F32 &&
           holds_poison(v->data, (int64_t)(v->bytes / sizeof(float)));
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
        if (!cyg_value_is_none(n->in[i]) && is_poisoned(cyg_val(g, n->in[i])))
            return CYG_FAIL(ctx, CYG_E_CHECK,
                            "value \"%s\" holds infinities or NaN on calibration data, and so does "
                            "constant \"%s\" of the model, which node \"%s\" reads",
                            cyg_val(g, v)->name, cyg_val(g, n->in[i])->name, n->name);
    return CYG_FAIL(ctx, CYG_E_CHECK,
                    "value \"%s\" holds infinities or NaN on calibration data, though its operands "
                    "do not: node \"%s\" overflows",
                    cyg_val(g, v)->name, n->name);
}

/* A value of `lanes` samples: the first one's, the others' `apart` bytes further each. */
static cyg_status observe(cyg_ctx *ctx, void *user, cyg_value_id v, const cyg_kbuf *buf,
                          size_t apart, uint32_t lanes)
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
    look l = {.isa = s->isa,
              .o = o,
              .x = buf->data,
              .count = count,
              .apart = (int64_t)(apart / sizeof(float)),
              .lock = PTHREAD_MUTEX_INITIALIZER};
    cyg_pool *pool = count * lanes < SMALL ? NULL : ctx->pool;
    l.blocks =
        o->channels > 0 ? (o->channels + LANES - 1) / LANES : (count + ELEMENTS - 1) / ELEMENTS;
    cyg_pool_for(pool, l.blocks * lanes, 0, o->channels > 0 ? look_at_channels : look_at_elements,
                 &l);
    for (uint32_t i = 0; i < lanes; i++) {
        cyg_kbuf one = *buf;
        one.data = (char *)one.data + i * apart;
        if (l.poison && holds_poison(one.data, count))
            return poisoned(ctx, s->g, v, one.data, count);
        cyg_quant_methods_observe(o, pool, one.data, count);
        if (s->rows != NULL)
            cyg_quant_rows_take(s, s->sample + i, v, &one);
    }
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

/* ---- running samples ---- */

enum { MOST_LANES = 4, LANES_BYTES = 64 << 20 };

typedef struct runner {
    cyg_scheme *s;
    const cyg_sample_source *samples;
    cyg_interp *interp;
    cyg_sample_tensor *tensors;
    cyg_kbuf *bufs; /* the inputs, with room for all lanes */
    uint32_t lanes; /* that may run side by side */
    size_t at;      /* the sample at hand, for messages */
} runner;

/* Several a thread, so that none waits for another's every node, as far as what lives around the
 * widest node stays small. */
static uint32_t count_lanes(const cyg_scheme *s)
{
    const unsigned threads = cyg_pool_threads(s->ctx->pool);
    uint32_t lanes = threads == 1 ? 1 : MOST_LANES;
    int64_t most = 1;
    for (uint32_t i = 0; i < s->g->order_count; i++) {
        const cyg_node *n = cyg_nod(s->g, s->g->order[i]);
        int64_t bytes = 0;
        for (uint32_t k = 0; k < n->in_count + n->out_count; k++) {
            const cyg_value_id id = k < n->in_count ? n->in[k] : n->out[k - n->in_count];
            const cyg_value *v = cyg_value_is_none(id) ? NULL : cyg_val(s->g, id);
            if (v != NULL && !v->is_const && cyg_value_shape_known(v))
                bytes += cyg_value_elements(v) * (int64_t)cyg_type_size(v->type);
        }
        most = bytes > most ? bytes : most;
    }
    while (lanes > 1 && most > LANES_BYTES / (int64_t)(lanes - 1))
        lanes--;
    return lanes;
}

static cyg_status prepare_inputs(runner *r)
{
    cyg_scheme *s = r->s;
    const cyg_graph *g = s->g;
    r->tensors = CYG_NEW_ARRAY(s->arena, cyg_sample_tensor, r->samples->input_count + 1);
    r->bufs = CYG_NEW_ARRAY(s->arena, cyg_kbuf, g->input_count + 1);
    if (r->tensors == NULL || r->bufs == NULL)
        return CYG_FAIL(s->ctx, CYG_E_NOMEM, "out of memory");
    for (uint32_t k = 0; k < g->input_count; k++) {
        const cyg_value *v = cyg_val(g, g->inputs[k]);
        if (v->type != CYG_TYPE_F32)
            return CYG_FAIL(
                s->ctx, CYG_E_UNSUPPORTED,
                "input \"%s\" is %s: samples are f32, such a model cannot be calibrated", v->name,
                cyg_type_name(v->type));
        r->bufs[k] = (cyg_kbuf){.type = (int32_t)v->type, .rank = v->rank};
        for (int d = 0; d < v->rank; d++)
            r->bufs[k].dims[d] = v->dims[d];
        const int64_t elements = cyg_value_elements(v);
        size_t bytes = 0;
        if (elements >= 0 && cyg_mul_size((size_t)elements, sizeof(float) * r->lanes, &bytes))
            r->bufs[k].data = cyg_arena_alloc(s->arena, bytes + 64 * (size_t)r->lanes, 64);
        if (r->bufs[k].data == NULL)
            return CYG_FAIL(s->ctx, CYG_E_NOMEM, "out of memory");
    }
    return CYG_OK;
}

static cyg_status load(runner *r, size_t i, uint32_t lane)
{
    const cyg_graph *g = r->s->g;
    r->at = i;
    CYG_DO(r->samples->get(r->s->ctx, r->samples->self, i, r->tensors));
    for (uint32_t k = 0; k < g->input_count; k++) {
        const cyg_value *v = cyg_val(g, g->inputs[k]);
        const size_t want = (size_t)cyg_value_elements(v), bytes = want * sizeof(float);
        if (want != r->tensors[k].count)
            return CYG_FAIL(
                r->s->ctx, CYG_E_FORMAT, "sample \"%s\": input \"%s\" needs %zu values, found %zu",
                r->samples->name(r->samples->self, i), v->name, want, r->tensors[k].count);
        memcpy((char *)r->bufs[k].data + lane * cyg_interp_apart(bytes), r->tensors[k].data, bytes);
    }
    return CYG_OK;
}

/* The samples from i on, which the first `lanes` lanes hold. */
static cyg_status run_lanes(runner *r, size_t i, uint32_t lanes)
{
    cyg_scheme *s = r->s;
    const cyg_graph *g = s->g;
    r->at = s->sample = i;
    CYG_DO(cyg_interp_run_lanes(s->ctx, r->interp, r->bufs, g->input_count, lanes));
    for (uint32_t lane = 0; s->options->on_output != NULL && lane < lanes; lane++)
        for (uint32_t k = 0; k < g->output_count; k++) {
            const float *y = cyg_interp_lane_data(r->interp, g->outputs[k], lane);
            const int64_t count = cyg_value_elements(cyg_val(g, g->outputs[k]));
            if (y != NULL && cyg_interp_value(r->interp, g->outputs[k])->type == CYG_TYPE_F32)
                CYG_DO(
                    s->options->on_output(s->ctx, s->options->user, i + lane, k, y, (size_t)count));
        }
    return CYG_OK;
}

/* Up to `count` samples from i on. The first sample that something is wrong with is the one that
 * is told about, as if they had run one by one: what comes before a sample that cannot be read runs
 * first, and where a value is wrong, they do run one by one. */
static cyg_status run_some(runner *r, size_t i, uint32_t count, uint32_t *out_ran)
{
    cyg_ctx *ctx = r->s->ctx;
    uint32_t lanes = 0;
    cyg_status status = CYG_OK;
    for (; status == CYG_OK && lanes < count; lanes += status == CYG_OK)
        status = load(r, i + lanes, lanes);
    if (lanes == 0 || status == CYG_E_CANCELLED)
        return status;
    if (status != CYG_OK)
        cyg_ctx_clear(ctx);
    *out_ran = lanes;
    status = run_lanes(r, i, lanes);
    if (status != CYG_E_CHECK || lanes == 1)
        return status;
    cyg_ctx_clear(ctx);
    for (uint32_t lane = 0; lane < lanes; lane++) {
        CYG_DO(load(r, i + lane, 0));
        CYG_DO(run_lanes(r, i + lane, 1));
    }
    return CYG_FAIL(ctx, status, "samples %zu to %zu fail together, but not one by one", i,
                    i + lanes - 1);
}

/* Runs the float graph on the samples in their order. */
static cyg_status run_samples(cyg_scheme *s, const cyg_sample_source *samples, size_t count,
                              cyg_lane_observer observer, const char *stage)
{
    cyg_ctx *ctx = s->ctx;
    const cyg_interp_options options = {.lane_observer = observer, .user = s};
    runner r = {.s = s, .samples = samples, .lanes = count_lanes(s)};
    cyg_cpu_level_id level;
    CYG_DO(cyg_cpu_level(ctx, &level));
    s->isa = cyg_kernels_for((int)level);
    CYG_DO(prepare_inputs(&r));
    CYG_DO(cyg_interp_create(ctx, s->g, &options, &r.interp));
    cyg_status status = CYG_OK;
    uint32_t ran = 0;
    for (size_t i = 0; status == CYG_OK && i < count; i += ran) {
        const size_t most = i > 0 && cyg_interp_is_steady(r.interp) ? r.lanes : 1;
        cyg_progress(ctx, stage, (int64_t)i, (int64_t)count);
        status = run_some(&r, i, (uint32_t)(count - i < most ? count - i : most), &ran);
        if (status != CYG_OK && status != CYG_E_CANCELLED)
            status = CYG_FAIL(ctx, status, "while running sample %zu, \"%.200s\"", r.at,
                              samples->name(samples->self, r.at));
    }
    if (status == CYG_OK)
        cyg_progress(ctx, stage, (int64_t)count, (int64_t)count);
    cyg_interp_destroy(r.interp);
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
