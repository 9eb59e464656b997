/* Sums over elements, by channel of the last axis and in binary64: a channel's own SQNR comes for
 * free, and compilers keep neighbouring channels in vectors. With d = x - y, the sums of x^2, d^2
 * and x d give everything: y = x - d. */
#include "precision/measure.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum {
    BLOCK = 16,     /* channels: a line of the cache of floats */
    SMALL = 1 << 14 /* elements that are not worth a second thread */
};
static const double no_noise_db = 200.0;

/* ---- codes ---- */

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
    float *scale = CYG_NEW_ARRAY(arena, float, channels);
    if (scale == NULL || out->least == out->most)
        return false;
    for (int64_t c = 0; c < channels; c++)
        scale[c] = q->scales[q->count == 1 ? 0 : c];
    out->scale = scale;
    return true;
}

/* Adding and taking away 1.5 * 2^23 rounds to the nearest whole number, ties to even, as long as
 * |q| < 2^22: clipped before, it is. Unlike rintf, compilers do it in vectors. */
static int32_t code_of(const cyg_coding *c, float x, float scale)
{
    const float low = (float)(c->least - c->zero), high = (float)(c->most - c->zero);
    const float whole = 12582912.0f;
    float q = x / scale;
    q = q < low ? low : q;
    q = q > high ? high : q;
    return (int32_t)((q + whole) - whole) + c->zero;
}

/* One loop a type, so that each can be a vector loop. */
#define CYG_STORE_ROW(T)                                                                           \
    for (int64_t k = 0; k < c->channels; k++)                                                      \
    ((T *)out)[at + k] = (T)code_of(c, x[at + k], c->scale[k])
#define CYG_REAL_ROW(T)                                                                            \
    for (int64_t k = first; k < end; k++)                                                          \
    out[k] = c->scale[k] * (float)(((const T *)y)[at + k] - c->zero)

typedef struct storing {
    const cyg_coding *c;
    const float *x;
    void *out;
} storing;

static void store_rows(void *arg, unsigned worker, int64_t begin, int64_t end)
{
    const storing *job = arg;
    const cyg_coding *c = job->c;
    const float *x = job->x;
    void *out = job->out;
    (void)worker;
    for (int64_t at = begin * c->channels; at < end * c->channels; at += c->channels) {
        if (c->type == CYG_TYPE_U8)
            CYG_STORE_ROW(uint8_t);
        else if (c->type == CYG_TYPE_S8)
            CYG_STORE_ROW(int8_t);
        else if (c->type == CYG_TYPE_U16)
            CYG_STORE_ROW(uint16_t);
        else if (c->type == CYG_TYPE_S16)
            CYG_STORE_ROW(int16_t);
        else
            memcpy((float *)out + at, x + at, sizeof *x * (size_t)c->channels);
    }
}

void cyg_coding_store(cyg_pool *pool, const cyg_coding *c, const float *x, int64_t count, void *out)
{
    storing job = {c, x, out};
    cyg_pool_for(count < SMALL ? NULL : pool, count / c->channels, 0, store_rows, &job);
}

/* Channels first..end-1 of the row at `at`. */
static void real_row(const cyg_coding *c, const void *y, int64_t at, int64_t first, int64_t end,
                     float *out)
{
    if (c->type == CYG_TYPE_U8)
        CYG_REAL_ROW(uint8_t);
    else if (c->type == CYG_TYPE_S8)
        CYG_REAL_ROW(int8_t);
    else if (c->type == CYG_TYPE_U16)
        CYG_REAL_ROW(uint16_t);
    else if (c->type == CYG_TYPE_S16)
        CYG_REAL_ROW(int16_t);
    else
        memcpy(out + first, (const float *)y + at + first, sizeof *out * (size_t)(end - first));
}

/* ---- sums ---- */

static bool sums_init(cyg_sums *s, int64_t channels, cyg_arena *arena)
{
    s->signal = CYG_NEW_ARRAY(arena, double, channels);
    s->noise = CYG_NEW_ARRAY(arena, double, channels);
    s->cross = CYG_NEW_ARRAY(arena, double, channels);
    s->worst = CYG_NEW_ARRAY(arena, float, channels);
    return s->signal != NULL && s->noise != NULL && s->cross != NULL && s->worst != NULL;
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
    m->seen_low = CYG_NEW_ARRAY(arena, float, channels);
    m->seen_high = CYG_NEW_ARRAY(arena, float, channels);
    m->real = CYG_NEW_ARRAY(arena, float, channels);
    for (int64_t k = 0; m->seen_low != NULL && m->seen_high != NULL && k < channels; k++) {
        m->seen_low[k] = FLT_MAX;
        m->seen_high[k] = -FLT_MAX;
    }
    return m->seen_low != NULL && m->seen_high != NULL && m->real != NULL &&
           sums_init(&m->alone, channels, arena) && sums_init(&m->run, channels, arena);
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

/* What a channel's integers hold, half a step of rounding included. */
static float held_low(const cyg_coding *c, int64_t k)
{
    return c->scale[k] * ((float)(c->least - c->zero) - 0.5f);
}

static float held_high(const cyg_coding *c, int64_t k)
{
    return c->scale[k] * ((float)(c->most - c->zero) + 0.5f);
}

/* One sample of a tensor: the float values and their codes twice. Threads share its channels: each
 * sum is one channel's, over rows in their order, and counts do not depend on order. */
typedef struct measuring {
    cyg_measure *m;
    const float *x;
    const void *run, *alone;
    int64_t count;
} measuring;

/* A look at the extremes saves most channels the pass. */
static int64_t count_outside(const measuring *job, int64_t first, int64_t end)
{
    const cyg_measure *m = job->m;
    const cyg_coding *c = &m->coding;
    bool any = false;
    int64_t outside = 0;
    for (int64_t k = first; c->scale != NULL && k < end; k++)
        any = any || m->seen_low[k] < held_low(c, k) || m->seen_high[k] > held_high(c, k);
    for (int64_t at = 0; any && at < job->count; at += c->channels)
        for (int64_t k = first; k < end; k++)
            outside += job->x[at + k] < held_low(c, k) || job->x[at + k] > held_high(c, k);
    return outside;
}

static void add_row(const cyg_measure *m, const cyg_sums *sums, const float *x, const void *y,
                    int64_t at, int64_t first, int64_t end)
{
    float *restrict real = m->real, *restrict worst = sums->worst;
    double *restrict signal = sums->signal, *restrict noise = sums->noise,
                     *restrict cross = sums->cross;
    real_row(&m->coding, y, at, first, end, real);
    for (int64_t k = first; k < end; k++) {
        const double v = (double)x[k], d = (double)(x[k] - real[k]);
        signal[k] += v * v;
        noise[k] += d * d;
        cross[k] += v * d;
    }
    for (int64_t k = first; k < end; k++) {
        const float d = fabsf(x[k] - real[k]);
        worst[k] = d > worst[k] ? d : worst[k];
    }
}

static void measure_channels(void *arg, unsigned worker, int64_t begin, int64_t end_block)
{
    const measuring *job = arg;
    cyg_measure *m = job->m;
    const int64_t channels = m->coding.channels, first = begin * BLOCK,
                  end = end_block * BLOCK < channels ? end_block * BLOCK : channels;
    int64_t bins[CYG_PRECISION_BINS] = {0};
    float *restrict low = m->seen_low, *restrict high = m->seen_high;
    (void)worker;
    for (int64_t at = 0; at < job->count; at += channels) {
        const float *x = job->x + at;
        for (int64_t k = first; k < end; k++) {
            const float v = x[k];
            low[k] = v < low[k] ? v : low[k];
            high[k] = v > high[k] ? v : high[k];
        }
        count_bins(m, x, first, end, bins);
        add_row(m, &m->run, x, job->run, at, first, end);
        add_row(m, &m->alone, x, job->alone, at, first, end);
    }
    for (int i = 0; i < CYG_PRECISION_BINS; i++)
        __atomic_fetch_add(&m->bins[i], bins[i], __ATOMIC_RELAXED);
    __atomic_fetch_add(&m->outside, count_outside(job, first, end), __ATOMIC_RELAXED);
}

void cyg_measure_sample(cyg_pool *pool, cyg_measure *m, const float *x, const void *run,
                        const void *alone, int64_t count)
{
    measuring job = {m, x, run, alone, count};
    m->count += count;
    cyg_pool_for(count < SMALL ? NULL : pool, (m->coding.channels + BLOCK - 1) / BLOCK, 0,
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
        signal += s->signal[k];
        noise += s->noise[k];
        cross += s->cross[k];
        e.max_error = (double)s->worst[k] > e.max_error ? (double)s->worst[k] : e.max_error;
        const double db = ratio_db(s->signal[k], s->noise[k]);
        if (s->signal[k] > 0.0 && db < e.worst_channel_db)
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
