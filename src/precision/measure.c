/* Sums over elements, by channel of the last axis and in binary64: a channel's own SQNR comes for
 * free, and compilers keep neighbouring channels in vectors. With d = x - y, the sums of x^2, d^2
 * and x d give everything: y = x - d. */
#include "precision/measure.h"

#include <float.h>
#include <math.h>
#include <string.h>

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

static int32_t code_of(const cyg_coding *c, float x, float scale)
{
    const float q = rintf(x / scale) + (float)c->zero;
    return q <= (float)c->least ? c->least : q >= (float)c->most ? c->most : (int32_t)q;
}

/* One loop a type, so that each can be a vector loop. */
#define CYG_STORE_ROW(T)                                                                           \
    for (int64_t k = 0; k < c->channels; k++)                                                      \
    ((T *)out)[at + k] = (T)code_of(c, x[at + k], c->scale[k])
#define CYG_REAL_ROW(T)                                                                            \
    for (int64_t k = 0; k < c->channels; k++)                                                      \
    out[k] = c->scale[k] * (float)(((const T *)y)[at + k] - c->zero)

void cyg_coding_store(const cyg_coding *c, const float *x, int64_t count, void *out)
{
    for (int64_t at = 0; at < count; at += c->channels) {
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

static void real_row(const cyg_coding *c, const void *y, int64_t at, float *out)
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
        memcpy(out, (const float *)y + at, sizeof *out * (size_t)c->channels);
}

/* ---- sums ---- */

static bool sums_init(cyg_sums *s, int64_t channels, cyg_arena *arena)
{
    s->signal = CYG_NEW_ARRAY(arena, double, channels);
    s->noise = CYG_NEW_ARRAY(arena, double, channels);
    s->cross = CYG_NEW_ARRAY(arena, double, channels);
    return s->signal != NULL && s->noise != NULL && s->cross != NULL;
}

bool cyg_measure_init(cyg_measure *m, const cyg_coding *coding, cyg_arena *arena)
{
    const int64_t channels = coding->channels;
    *m = (cyg_measure){.coding = *coding, .seen_low = FLT_MAX, .seen_high = -FLT_MAX};
    for (int64_t k = 0; coding->scale != NULL && k < channels; k++) {
        const float low = coding->scale[k] * (float)(coding->least - coding->zero);
        const float high = coding->scale[k] * (float)(coding->most - coding->zero);
        m->low = low < m->low ? low : m->low;
        m->high = high > m->high ? high : m->high;
    }
    const float margin = 0.2f * (m->high - m->low);
    m->bins_low = m->low - margin;
    m->bins_high = m->high + margin;
    m->peak = CYG_NEW_ARRAY(arena, float, channels);
    m->real = CYG_NEW_ARRAY(arena, float, channels);
    return m->peak != NULL && m->real != NULL && sums_init(&m->alone, channels, arena) &&
           sums_init(&m->run, channels, arena);
}

static void count_bins(cyg_measure *m, const float *x, int64_t count)
{
    const float a = m->bins_low, width = m->bins_high - m->bins_low;
    if (!(width > 0.0f))
        return;
    const float k = (float)CYG_PRECISION_BINS / width;
    for (int64_t i = 0; i < count; i++) {
        const float at = (x[i] - a) * k;
        const int bin = at <= 0.0f                            ? 0
                        : at >= (float)CYG_PRECISION_BINS - 1 ? CYG_PRECISION_BINS - 1
                                                              : (int)at;
        m->bins[bin]++;
    }
}

void cyg_measure_float(cyg_measure *m, const float *x, int64_t count)
{
    const cyg_coding *c = &m->coding;
    m->count += count;
    for (int64_t at = 0; at < count; at += c->channels)
        for (int64_t k = 0; k < c->channels; k++) {
            const float v = x[at + k], size = fabsf(v);
            m->peak[k] = size > m->peak[k] ? size : m->peak[k];
            m->seen_low = v < m->seen_low ? v : m->seen_low;
            m->seen_high = v > m->seen_high ? v : m->seen_high;
        }
    for (int64_t at = 0; c->scale != NULL && at < count; at += c->channels)
        for (int64_t k = 0; k < c->channels; k++) {
            const float v = x[at + k], s = c->scale[k];
            m->outside += (v < s * ((float)(c->least - c->zero) - 0.5f)) |
                          (v > s * ((float)(c->most - c->zero) + 0.5f));
        }
    count_bins(m, x, count);
}

void cyg_measure_add(cyg_measure *m, cyg_sums *sums, const float *x, const void *y, int64_t count)
{
    const cyg_coding *c = &m->coding;
    float *real = m->real;
    float most = 0.0f;
    for (int64_t at = 0; at < count; at += c->channels) {
        real_row(c, y, at, real);
        for (int64_t k = 0; k < c->channels; k++) {
            const double v = (double)x[at + k], d = (double)(x[at + k] - real[k]);
            sums->signal[k] += v * v;
            sums->noise[k] += d * d;
            sums->cross[k] += v * d;
        }
        for (int64_t k = 0; k < c->channels; k++) {
            const float d = fabsf(x[at + k] - real[k]);
            most = d > most ? d : most;
        }
    }
    sums->max_error = (double)most > sums->max_error ? (double)most : sums->max_error;
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
    cyg_precision_error e = {.worst_channel_db = no_noise_db, .max_error = s->max_error};
    for (int64_t k = 0; k < m->coding.channels; k++) {
        signal += s->signal[k];
        noise += s->noise[k];
        cross += s->cross[k];
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

static void outliers(const cyg_measure *m, cyg_precision_row *row)
{
    const int64_t channels = m->coding.channels;
    float most = 0.0f;
    for (int64_t k = 0; k < channels; k++)
        most = m->peak[k] > most ? m->peak[k] : most;
    for (int64_t k = 0; k < channels; k++) {
        row->silent += m->peak[k] <= 0.0f;
        for (int level = 0; level < CYG_PRECISION_LEVELS; level++)
            row->level[level] += m->peak[k] > 0.0f && m->peak[k] <= ldexpf(most, -3 - level);
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
    row->seen_low = m->count > 0 ? (double)m->seen_low : 0.0;
    row->seen_high = m->count > 0 ? (double)m->seen_high : 0.0;
    row->bins_low = (double)m->bins_low;
    row->bins_high = (double)m->bins_high;
    memcpy(row->bins, m->bins, sizeof row->bins);
    outliers(m, row);
}
