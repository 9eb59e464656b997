/* Sums over elements, by channel of the last axis and in binary64: a channel's own SQNR comes for
 * free, and compilers keep neighbouring channels in vectors. With d = x - y, the sums of x^2, d^2
 * and x d give everything: y = x - d. */
#include "precision/measure.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum {
    BLOCK = 16,       /* channels: a line of the cache of floats */
    ROWS = 32,        /* looked at in three ways while they are in the cache */
    BINNED = 1 << 14, /* elements of a sample, about */
    SMALL = 1 << 14   /* elements that are not worth a second thread */
};
static const double no_noise_db = 200.0;

/* ---- codes ---- */

/* Threads share a tensor's channels in blocks: what they add to begins at a line, so that none
 * waits for another's. */
static void *by_channel(cyg_arena *arena, int64_t channels, size_t size)
{
    return cyg_arena_zalloc(arena, (size_t)channels * size, 64);
}

bool cyg_coding_of(const cyg_value *v, cyg_arena *arena, cyg_coding *out)
{
    const cyg_quant *q = &v->quant;
    const int64_t channels = v->rank > 0 ? v->dims[v->rank - 1] : 1;
    static const struct {
        cyg_type type;
        int32_t least, most;
    } codes[] = {{CYG_TYPE_U8, 0, 255},
                 {CYG_TYPE_S8, -128, 127},
                 {CYG_TYPE_U16, 0, 65535},
                 {CYG_TYPE_S16, -32768, 32767}};
    *out = (cyg_coding){.type = q->type, .channels = channels, .zero = q->zero_point};
    if (channels <= 0)
        return false;
    if (q->type == CYG_TYPE_NONE) {
        out->type = v->type;
        return v->type == CYG_TYPE_F32;
    }
    if (q->count != 1 && (q->axis != v->rank - 1 || (int64_t)q->count != channels))
        return false;
    for (size_t i = 0; i < CYG_COUNT(codes); i++)
        if (codes[i].type == q->type) {
            out->least = codes[i].least;
            out->most = codes[i].most;
        }
    float *scale = by_channel(arena, channels, sizeof(float));
    if (scale == NULL || out->least == out->most)
        return false;
    for (int64_t c = 0; c < channels; c++)
        scale[c] = q->scales[q->count == 1 ? 0 : c];
    out->scale = scale;
    return true;
}

static cyg_f32_codes codes_of(const cyg_coding *c)
{
    return (cyg_f32_codes){
        .type = (int32_t)c->type, .zero = c->zero, .least = c->least, .most = c->most};
}

typedef struct storing {
    const cyg_kernels *isa;
    const cyg_coding *c;
    const float *x;
    char *out;
} storing;

static void store_rows(void *arg, unsigned worker, int64_t begin, int64_t end)
{
    const storing *job = arg;
    const cyg_f32_codes codes = codes_of(job->c);
    const int64_t channels = job->c->channels;
    const size_t size = cyg_type_size(job->c->type);
    (void)worker;
    for (int64_t at = begin * channels; at < end * channels; at += channels)
        job->isa->f32_encode(&codes, channels, job->x + at, job->c->scale,
                             job->out + (size_t)at * size);
}

void cyg_coding_store(const cyg_kernels *isa, cyg_pool *pool, const cyg_coding *c, const float *x,
                      int64_t count, void *out)
{
    storing job = {isa, c, x, out};
    cyg_pool_for(count < SMALL ? NULL : pool, count / c->channels, 0, store_rows, &job);
}

/* ---- sums ---- */

static bool sums_init(cyg_sums *s, int64_t channels, cyg_arena *arena)
{
    s->noise = by_channel(arena, channels, sizeof(double));
    s->cross = by_channel(arena, channels, sizeof(double));
    s->worst = by_channel(arena, channels, sizeof(float));
    return s->noise != NULL && s->cross != NULL && s->worst != NULL;
}

/* What a channel's integers hold, half a step of rounding included. */
static void hold(const cyg_coding *c, int64_t k, float *low, float *high)
{
    *low = c->scale == NULL ? -INFINITY : c->scale[k] * ((float)(c->least - c->zero) - 0.5f);
    *high = c->scale == NULL ? INFINITY : c->scale[k] * ((float)(c->most - c->zero) + 0.5f);
}

bool cyg_measure_init(cyg_measure *m, const cyg_coding *coding, cyg_arena *arena)
{
    const int64_t channels = coding->channels;
    *m = (cyg_measure){.coding = *coding};
    for (int64_t k = 0; coding->scale != NULL && k < channels; k++) {
        const float low = coding->scale[k] * (float)(coding->least - coding->zero);
        const float high = coding->scale[k] * (float)(coding->most - coding->zero);
        m->low = low < m->low ? low : m->low;
        m->high = high > m->high ? high : m->high;
    }
    const float margin = 0.2f * (m->high - m->low);
    m->bins_low = m->low - margin;
    m->bins_high = m->high + margin;
    float **const limits[] = {&m->seen_low, &m->seen_high, &m->held_low, &m->held_high};
    for (size_t i = 0; i < CYG_COUNT(limits); i++) {
        *limits[i] = by_channel(arena, channels, sizeof(float));
        if (*limits[i] == NULL)
            return false;
    }
    for (int64_t k = 0; k < channels; k++) {
        m->seen_low[k] = FLT_MAX;
        m->seen_high[k] = -FLT_MAX;
        hold(coding, k, &m->held_low[k], &m->held_high[k]);
    }
    m->signal = by_channel(arena, channels, sizeof(double));
    return m->signal != NULL && sums_init(&m->alone, channels, arena) &&
           sums_init(&m->run, channels, arena);
}

/* Of a row's channels first..end-1, into bins. */
static void count_bins(const cyg_measure *m, const float *x, int64_t first, int64_t end,
                       int64_t *bins)
{
    const float a = m->bins_low, width = m->bins_high - m->bins_low;
    if (!(width > 0.0f))
        return;
    const float k = (float)CYG_PRECISION_BINS / width;
    for (int64_t i = first; i < end; i++) {
        const float at = (x[i] - a) * k;
        const int bin = at <= 0.0f                            ? 0
                        : at >= (float)CYG_PRECISION_BINS - 1 ? CYG_PRECISION_BINS - 1
                                                              : (int)at;
        bins[bin]++;
    }
}

/* One sample of a tensor: the float values and their codes twice. Threads share its channels: each
 * sum is one channel's, over rows in their order, and counts do not depend on order. */
typedef struct measuring {
    const cyg_kernels *isa;
    cyg_measure *m;
    const float *x;
    const void *run, *alone;
    int64_t count;
} measuring;

/* A piece of the sample: channels first..first+width-1 of rows at..at+rows-1. */
typedef struct piece {
    int64_t first, width, at, rows;
} piece;

static void add_errors(const measuring *job, const piece *p, const cyg_sums *sums, const void *y)
{
    const cyg_coding *c = &job->m->coding;
    const cyg_f32_codes codes = codes_of(c);
    const int64_t at = p->at * c->channels + p->first;
    job->isa->f32_compare(&codes, p->rows, p->width, job->x + at,
                          (const char *)y + (size_t)at * cyg_type_size(c->type), c->channels,
                          c->scale == NULL ? NULL : c->scale + p->first, sums->noise + p->first,
                          sums->cross + p->first, sums->worst + p->first);
}

static int64_t look(const measuring *job, const piece *p)
{
    const cyg_measure *m = job->m;
    const int64_t channels = m->coding.channels, k = p->first;
    return job->isa->f32_look(p->rows, p->width, job->x + p->at * channels + k, channels,
                              m->held_low + k, m->held_high + k, m->seen_low + k, m->seen_high + k,
                              m->signal + k);
}

static void measure_channels(void *arg, unsigned worker, int64_t begin, int64_t end_block)
{
    const measuring *job = arg;
    cyg_measure *m = job->m;
    const int64_t channels = m->coding.channels, rows = job->count / channels,
                  first = begin * BLOCK,
                  end = end_block * BLOCK < channels ? end_block * BLOCK : channels,
                  step = job->count > BINNED ? job->count / BINNED : 1;
    int64_t bins[CYG_PRECISION_BINS] = {0}, outside = 0;
    (void)worker;
    for (int64_t at = 0; at < rows; at += ROWS) {
        const piece p = {first, end - first, at, rows - at < ROWS ? rows - at : ROWS};
        outside += look(job, &p);
        add_errors(job, &p, &m->run, job->run);
        add_errors(job, &p, &m->alone, job->alone);
    }
    for (int64_t r = 0; r < rows; r += step)
        count_bins(m, job->x + r * channels, first, end, bins);
    for (int i = 0; i < CYG_PRECISION_BINS; i++)
        __atomic_fetch_add(&m->bins[i], bins[i], __ATOMIC_RELAXED);
    __atomic_fetch_add(&m->outside, outside, __ATOMIC_RELAXED);
}

void cyg_measure_sample(const cyg_kernels *isa, cyg_pool *pool, cyg_measure *m, const float *x,
                        const void *run, const void *alone, int64_t count)
{
    measuring job = {isa, m, x, run, alone, count};
    m->count += count;
    /* As few parts as threads: a row's part is read as one piece. */
    const int64_t blocks = (m->coding.channels + BLOCK - 1) / BLOCK,
                  threads = (int64_t)cyg_pool_threads(pool);
    cyg_pool_for(count < SMALL ? NULL : pool, blocks, (blocks + threads - 1) / threads,
                 measure_channels, &job);
}

/* ---- figures ---- */

static double ratio_db(double signal, double noise)
{
    if (noise <= 0.0)
        return no_noise_db;
    return signal > 0.0 ? 10.0 * log10(signal / noise) : -no_noise_db;
}

static cyg_precision_error error_of(const cyg_measure *m, const cyg_sums *s)
{
    double signal = 0.0, noise = 0.0, cross = 0.0;
    cyg_precision_error e = {.worst_channel_db = no_noise_db};
    for (int64_t k = 0; k < m->coding.channels; k++) {
        signal += m->signal[k];
        noise += s->noise[k];
        cross += s->cross[k];
        e.max_error = (double)s->worst[k] > e.max_error ? (double)s->worst[k] : e.max_error;
        const double db = ratio_db(m->signal[k], s->noise[k]);
        if (m->signal[k] > 0.0 && db < e.worst_channel_db)
            e.worst_channel_db = db;
    }
    const double other = signal - 2.0 * cross + noise; /* sum of y^2 */
    e.sqnr_db = ratio_db(signal, noise);
    e.cosine = signal > 0.0 && other > 0.0 ? (signal - cross) / sqrt(signal * other)
                                           : (double)(noise <= 0.0);
    e.mse = m->count > 0 ? noise / (double)m->count : 0.0;
    return e;
}

static float peak_of(const cyg_measure *m, int64_t k)
{
    const float low = fabsf(m->seen_low[k]), high = fabsf(m->seen_high[k]);
    return low > high ? low : high;
}

static void outliers(const cyg_measure *m, cyg_precision_row *row)
{
    const int64_t channels = m->coding.channels;
    float most = 0.0f;
    for (int64_t k = 0; k < channels; k++)
        most = peak_of(m, k) > most ? peak_of(m, k) : most;
    for (int64_t k = 0; k < channels; k++) {
        const float peak = peak_of(m, k);
        row->silent += peak <= 0.0f;
        for (int level = 0; level < CYG_PRECISION_LEVELS; level++)
            row->level[level] += peak > 0.0f && peak <= ldexpf(most, -3 - level);
    }
    row->silent /= (double)channels;
    for (int level = 0; level < CYG_PRECISION_LEVELS; level++)
        row->level[level] /= (double)channels;
}

void cyg_measure_finish(const cyg_measure *m, cyg_precision_row *row)
{
    row->alone = error_of(m, &m->alone);
    row->run = error_of(m, &m->run);
    row->saturation = m->count > 0 ? (double)m->outside / (double)m->count : 0.0;
    row->low = (double)m->low;
    row->high = (double)m->high;
    row->seen_low = (double)FLT_MAX;
    row->seen_high = -(double)FLT_MAX;
    for (int64_t k = 0; k < m->coding.channels; k++) {
        row->seen_low = fmin(row->seen_low, (double)m->seen_low[k]);
        row->seen_high = fmax(row->seen_high, (double)m->seen_high[k]);
    }
    row->bins_low = (double)m->bins_low;
    row->bins_high = (double)m->bins_high;
    memcpy(row->bins, m->bins, sizeof row->bins);
    if (m->count > 0)
        outliers(m, row);
}
