/* Elements of a tensor, as floats or integers.
 *
 * Bytes are loaded where they lie, at any alignment. Row-major tensors are a straight loop; views
 * with other strides keep an index per dimension that counts like an odometer. Floats that are no
 * integers, or lie outside int64, cannot be read as integers: an error, since a rounded index is a
 * wrong index.
 *
 * Statistics are taken piece by piece: mean and sum of squares of a piece by two loops over it,
 * then merged by delta = m2 - m1, M2 += M2' + delta^2 n1 n2 / n, which loses nothing to
 * cancellation. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/bytes.h"
#include "io/checkpoint_parts.h"

typedef struct cursor {
    const cyg_checkpoint_tensor *t;
    const uint8_t *p;
    size_t size; /* of an element */
    int64_t index[CYG_MAX_RANK];
} cursor;

static cursor start_at(const cyg_checkpoint_tensor *t, uint64_t first)
{
    cursor c = {.t = t, .p = t->data, .size = cyg_checkpoint_type_size(t->type)};
    if (t->contiguous) {
        c.p += (size_t)first * c.size;
        return c;
    }
    for (int i = t->rank; i-- > 0;) {
        c.index[i] = (int64_t)(first % (uint64_t)t->dims[i]);
        first /= (uint64_t)t->dims[i];
        c.p += (size_t)c.index[i] * (size_t)t->strides[i] * c.size;
    }
    return c;
}

static void advance(cursor *c)
{
    const cyg_checkpoint_tensor *t = c->t;
    if (t->contiguous) {
        c->p += c->size;
        return;
    }
    for (int i = t->rank; i-- > 0;) {
        if (++c->index[i] < t->dims[i]) {
            c->p += (size_t)t->strides[i] * c->size;
            return;
        }
        c->index[i] = 0;
        c->p -= (size_t)(t->dims[i] - 1) * (size_t)t->strides[i] * c->size;
    }
}

/* Only the float types; integers go through load_int. */
static double load_float(const uint8_t *p, cyg_type type)
{
    if (type == CYG_TYPE_F32)
        return (double)cyg_load_f32(p);
    if (type == CYG_TYPE_F16)
        return (double)cyg_f16_to_f32(cyg_load_u16(p));
    if (type == CYG_TYPE_BF16)
        return (double)cyg_bf16_to_f32(cyg_load_u16(p));
    return cyg_load_f64(p);
}

static int64_t load_int(const uint8_t *p, cyg_type type)
{
    if (type == CYG_TYPE_S64 || type == CYG_TYPE_U64)
        return cyg_load_i64(p);
    if (type == CYG_TYPE_S32)
        return cyg_load_i32(p);
    if (type == CYG_TYPE_U32)
        return cyg_load_u32(p);
    if (type == CYG_TYPE_S16)
        return cyg_load_i16(p);
    if (type == CYG_TYPE_U16)
        return cyg_load_u16(p);
    if (type == CYG_TYPE_S8)
        return (int8_t)p[0];
    return type == CYG_TYPE_BOOL ? p[0] != 0 : p[0];
}

static bool is_float(cyg_type type)
{
    return type == CYG_TYPE_F32 || type == CYG_TYPE_F16 || type == CYG_TYPE_BF16 ||
           type == CYG_TYPE_F64;
}

static double load_number(const uint8_t *p, cyg_type type)
{
    if (is_float(type))
        return load_float(p, type);
    const int64_t value = load_int(p, type);
    return type == CYG_TYPE_U64 ? (double)(uint64_t)value : (double)value;
}

cyg_status cyg_checkpoint_read_f32(cyg_ctx *ctx, const cyg_checkpoint_tensor *t, float *out)
{
    (void)ctx;
    if (t->elements == 0)
        return CYG_OK;
    if (t->contiguous && t->type == CYG_TYPE_F32) {
        memcpy(out, t->data, (size_t)t->elements * sizeof *out);
        return CYG_OK;
    }
    cursor c = start_at(t, 0);
    for (uint64_t i = 0; i < t->elements; i++) {
        if (i > 0)
            advance(&c);
        out[i] = (float)load_number(c.p, t->type);
    }
    return CYG_OK;
}

cyg_status cyg_checkpoint_read_f64(cyg_ctx *ctx, const cyg_checkpoint_tensor *t, uint64_t first,
                                   size_t count, double *out)
{
    if (first > t->elements || count > t->elements - first)
        return CYG_FAIL(ctx, CYG_E_INTERNAL, "tensor \"%s\": elements outside it", t->name);
    if (count == 0)
        return CYG_OK;
    cursor c = start_at(t, first);
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            advance(&c);
        out[i] = load_number(c.p, t->type);
    }
    return CYG_OK;
}

cyg_status cyg_checkpoint_read_s64(cyg_ctx *ctx, const cyg_checkpoint_tensor *t, int64_t *out)
{
    if (t->elements == 0)
        return CYG_OK;
    const bool floats = is_float(t->type);
    cursor c = start_at(t, 0);
    for (uint64_t i = 0; i < t->elements; i++) {
        if (i > 0)
            advance(&c);
        if (!floats) {
            out[i] = load_int(c.p, t->type);
            if (t->type == CYG_TYPE_U64 && out[i] < 0)
                return CYG_FAIL(ctx, CYG_E_UNSUPPORTED,
                                "tensor \"%s\", element %" PRIu64 ": beyond 63 bits", t->name, i);
            continue;
        }
        const double value = load_float(c.p, t->type);
        if (!(value >= -0x1p63 && value < 0x1p63) || value != floor(value))
            return CYG_FAIL(ctx, CYG_E_FORMAT,
                            "tensor \"%s\", element %" PRIu64 ": %g, expected an integer", t->name,
                            i, value);
        out[i] = (int64_t)value;
    }
    return CYG_OK;
}

enum { PIECE = 1024 };

typedef struct moments {
    double count, mean, squares; /* squares: of the distances from the mean */
    double min, max;
    bool has_nan;
} moments;

static void add_piece(moments *m, const double *values, size_t count)
{
    double sum = 0, squares = 0;
    for (size_t i = 0; i < count; i++) {
        sum += values[i];
        m->min = values[i] < m->min ? values[i] : m->min;
        m->max = values[i] > m->max ? values[i] : m->max;
        m->has_nan |= values[i] != values[i];
    }
    const double n = (double)count, mean = sum / n, delta = mean - m->mean, all = m->count + n;
    for (size_t i = 0; i < count; i++)
        squares += (values[i] - mean) * (values[i] - mean);
    m->squares += squares + delta * delta * (m->count * n / all);
    m->mean += delta * (n / all);
    m->count = all;
}

cyg_status cyg_checkpoint_measure(cyg_ctx *ctx, const cyg_checkpoint_tensor *t,
                                  cyg_checkpoint_stats *out_stats)
{
    moments m = {.min = INFINITY, .max = -INFINITY};
    double piece[PIECE];
    *out_stats = (cyg_checkpoint_stats){NAN, NAN, NAN, NAN};
    for (uint64_t at = 0; at < t->elements; at += PIECE) {
        const size_t count = t->elements - at < PIECE ? (size_t)(t->elements - at) : PIECE;
        CYG_DO(cyg_checkpoint_read_f64(ctx, t, at, count, piece));
        add_piece(&m, piece, count);
    }
    if (t->elements == 0 || m.has_nan)
        return CYG_OK;
    *out_stats = (cyg_checkpoint_stats){m.min, m.max, m.mean,
                                        m.count > 1 ? sqrt(m.squares / (m.count - 1)) : NAN};
    return CYG_OK;
}
