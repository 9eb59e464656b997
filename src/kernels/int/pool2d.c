/* i_pool2d: max and average over windows, channels last (docs/numerics.md, The rest).
 *
 * Max moves bytes: y has x's type and parameters. An average is the exact sum of the taps inside,
 * less their zero points, times one constant for the number of taps that count. An item is one
 * output row; channels run innermost, a chunk at a time for the sums, so that compilers vectorise
 * over them. */
#include "kernels/dispatch.h"
#include "kernels/f32/geometry.h"
#include "kernels/int/arith.h"
#include "kernels/int/check.h"

enum { X, K };
enum { CHUNK = 64, MAX_TAPS = 32768 }; /* 32768 taps of 16 bits still fit 32 bits */

typedef struct pool {
    cyg_window h, w;
    int64_t channels;
} pool;

static pool pool_of(const cyg_kcall *call)
{
    const cyg_kp_pool *p = &((const cyg_kp_ipool *)call->params)->geometry;
    const int64_t *x = call->in[X].dims, *y = call->out[0].dims;
    return (pool){{p->kh, p->stride_h, p->dilation_h, p->pad_t, x[1], y[1]},
                  {p->kw, p->stride_w, p->dilation_w, p->pad_l, x[2], y[2]},
                  x[3]};
}

static const char *check(const cyg_kcall *call)
{
    const cyg_kp_ipool *p = call->params;
    const cyg_kp_pool *g = &p->geometry;
    CYG_WANT_OK(cyg_check_counts(call, 1, 2));
    const cyg_kbuf *x = &call->in[X], *y = &call->out[0];
    CYG_WANT(cyg_is_activation(x->type), "x's type is not supported");
    CYG_WANT(x->rank == 4 && y->rank == 4, "x and y must be [B, H, W, C]");
    CYG_WANT(x->dims[0] == y->dims[0] && x->dims[3] == y->dims[3],
             "x and y differ in batch or channels");
    const pool q = pool_of(call);
    CYG_WANT(cyg_window_ok(&q.h, g->pad_b) && cyg_window_ok(&q.w, g->pad_r), "bad window");
    CYG_WANT(g->kh <= MAX_TAPS && g->kw <= MAX_TAPS && g->kh * g->kw <= MAX_TAPS,
             "the window is too large");
    if (g->is_max != 0) {
        CYG_WANT(y->type == x->type, "y has not x's type");
        return NULL;
    }
    CYG_WANT(call->in_count == 2, "an average needs its constants");
    CYG_WANT_OK(cyg_check_constant(&call->in[K], CYG_TYPE_F32, g->kh * g->kw));
    return cyg_check_sat(&p->sat, y->type);
}

static int64_t items(const cyg_kcall *call)
{
    return cyg_elements(&call->out[0]) == 0 ? 0 : call->out[0].dims[0] * call->out[0].dims[1];
}

/* The taps of one output pixel that lie inside: h0 .. h1 - 1 down, w0 .. w1 - 1 across. */
typedef struct taps {
    const pool *q;
    int64_t h0, h1, w0, w1;
    int64_t image, top, left; /* of tap (0, 0): may lie outside */
} taps;

static taps taps_of(const pool *q, int64_t item, int64_t ow)
{
    taps t = {.q = q, .image = item / q->h.out};
    const int64_t oh = item % q->h.out;
    cyg_taps_inside(&q->h, oh, &t.h0, &t.h1);
    cyg_taps_inside(&q->w, ow, &t.w0, &t.w1);
    t.top = oh * q->h.stride - q->h.pad;
    t.left = ow * q->w.stride - q->w.pad;
    return t;
}

/* Element of channel 0 of tap (i, j), which lies inside. */
CYG_INLINE int64_t tap_at(const taps *t, int64_t i, int64_t j)
{
    const pool *q = t->q;
    return ((t->image * q->h.in + t->top + i * q->h.dilation) * q->w.in + t->left +
            j * q->w.dilation) *
           q->channels;
}

static int32_t lowest(int32_t type)
{
    return type == CYG_TYPE_S8 ? -128 : type == CYG_TYPE_S16 ? -32768 : 0;
}

/* Constants of averages: by the number of taps that count, from 1. */
static float factor(const cyg_kcall *call, const pool *q, const taps *t, int64_t item, int64_t ow)
{
    const cyg_kp_pool *g = &((const cyg_kp_ipool *)call->params)->geometry;
    const int64_t count = g->count_include_pad != 0
                              ? cyg_taps_padded(&q->h, g->pad_b, item % q->h.out) *
                                    cyg_taps_padded(&q->w, g->pad_r, ow)
                              : (t->h1 - t->h0) * (t->w1 - t->w0);
    return count > 0 ? ((const float *)call->in[K].data)[count - 1] : 0.0f;
}

#define MAX_OF(T, name)                                                                            \
    static void name(const taps *t, int64_t channels, int32_t low, const T *x, T *restrict y)      \
    {                                                                                              \
        for (int64_t c = 0; c < channels; c++)                                                     \
            y[c] = (T)low;                                                                         \
        for (int64_t i = t->h0; i < t->h1; i++)                                                    \
            for (int64_t j = t->w0; j < t->w1; j++) {                                              \
                const T *restrict from = x + tap_at(t, i, j);                                      \
                for (int64_t c = 0; c < channels; c++)                                             \
                    y[c] = from[c] > y[c] ? from[c] : y[c];                                        \
            }                                                                                      \
    }
MAX_OF(uint8_t, max_u8)
MAX_OF(int8_t, max_s8)
MAX_OF(uint16_t, max_u16)
MAX_OF(int16_t, max_s16)
#undef MAX_OF

static void max_pixel(int32_t type, const taps *t, int64_t channels, const void *x, void *y,
                      int64_t at)
{
    const int32_t low = lowest(type);
    switch (type) {
    case CYG_TYPE_U8:
        max_u8(t, channels, low, x, (uint8_t *)y + at);
        break;
    case CYG_TYPE_S8:
        max_s8(t, channels, low, x, (int8_t *)y + at);
        break;
    case CYG_TYPE_U16:
        max_u16(t, channels, low, x, (uint16_t *)y + at);
        break;
    default:
        max_s16(t, channels, low, x, (int16_t *)y + at);
        break;
    }
}

/* Sums of a chunk of channels; type is a constant where this is inlined. */
CYG_INLINE void add_taps(int32_t type, const taps *t, const void *x, int64_t c, int64_t width,
                         uint32_t *sums)
{
    for (int64_t i = t->h0; i < t->h1; i++)
        for (int64_t j = t->w0; j < t->w1; j++) {
            const int64_t at = tap_at(t, i, j) + c;
            for (int64_t k = 0; k < width; k++)
                sums[k] += (uint32_t)cyg_load_q(type, x, at + k);
        }
}

static void average_pixel(const cyg_kcall *call, const taps *t, int64_t channels, float k,
                          int64_t at)
{
    const cyg_kp_ipool *p = call->params;
    const cyg_kbuf *x = &call->in[X], *y = &call->out[0];
    const uint32_t zeros = (uint32_t)((t->h1 - t->h0) * (t->w1 - t->w0)) * (uint32_t)p->x_zero;
    for (int64_t c = 0; c < channels; c += CHUNK) {
        const int64_t width = channels - c < CHUNK ? channels - c : CHUNK;
        uint32_t sums[CHUNK];
        float real[CHUNK];
        for (int64_t i = 0; i < width; i++)
            sums[i] = 0u - zeros;
        switch (x->type) {
        case CYG_TYPE_U8:
            add_taps(CYG_TYPE_U8, t, x->data, c, width, sums);
            break;
        case CYG_TYPE_S8:
            add_taps(CYG_TYPE_S8, t, x->data, c, width, sums);
            break;
        case CYG_TYPE_U16:
            add_taps(CYG_TYPE_U16, t, x->data, c, width, sums);
            break;
        default:
            add_taps(CYG_TYPE_S16, t, x->data, c, width, sums);
            break;
        }
        for (int64_t i = 0; i < width; i++)
            real[i] = (float)(int32_t)sums[i] * k;
        for (int64_t i = 0; i < width; i++)
            cyg_store_out(y->type, y->data, at + c + i, &p->sat, real[i]);
    }
}

static void run(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch)
{
    (void)scratch;
    const cyg_kp_ipool *p = call->params;
    const pool q = pool_of(call);
    for (int64_t item = begin; item < end; item++)
        for (int64_t ow = 0; ow < q.w.out; ow++) {
            const taps t = taps_of(&q, item, ow);
            const int64_t at = (item * q.w.out + ow) * q.channels;
            if (p->geometry.is_max != 0)
                max_pixel(call->in[X].type, &t, q.channels, call->in[X].data, call->out[0].data,
                          at);
            else
                average_pixel(call, &t, q.channels, factor(call, &q, &t, item, ow), at);
        }
}

/* Tap by tap from the definition: no ranges, every position asked whether it lies inside. */
static void ref(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch)
{
    (void)scratch;
    const cyg_kp_ipool *p = call->params;
    const cyg_kp_pool *g = &p->geometry;
    const cyg_kbuf *x = &call->in[X], *y = &call->out[0];
    const int64_t in_h = x->dims[1], in_w = x->dims[2], channels = x->dims[3];
    for (int64_t at = begin * y->dims[2] * channels; at < end * y->dims[2] * channels; at++) {
        const int64_t c = at % channels, ow = at / channels % y->dims[2],
                      row = at / channels / y->dims[2], oh = row % y->dims[1];
        int32_t largest = lowest(x->type);
        int64_t sum = 0, inside = 0, padded = 0;
        for (int64_t tap = 0; tap < g->kh * g->kw; tap++) {
            const int64_t h = oh * g->stride_h - g->pad_t + tap / g->kw * g->dilation_h,
                          w = ow * g->stride_w - g->pad_l + tap % g->kw * g->dilation_w;
            padded += h < in_h + g->pad_b && w < in_w + g->pad_r;
            if (h < 0 || h >= in_h || w < 0 || w >= in_w)
                continue;
            const int32_t v = cyg_load_q(x->type, x->data,
                                         ((row / y->dims[1] * in_h + h) * in_w + w) * channels + c);
            largest = v > largest ? v : largest;
            sum += v - (int64_t)p->x_zero;
            inside++;
        }
        if (g->is_max != 0) {
            cyg_store_q(y->type, y->data, at, largest);
            continue;
        }
        const int64_t count = g->count_include_pad != 0 ? padded : inside;
        const float k = count > 0 ? ((const float *)call->in[K].data)[count - 1] : 0.0f;
        cyg_store_out(y->type, y->data, at, &p->sat, (float)(int32_t)(uint32_t)sum * k);
    }
}

const cyg_kop_info cyg_kop_info_i_pool2d = {
    .name = "i_pool2d",
    .params_size = sizeof(cyg_kp_ipool),
    .check = check,
    .items = items,
    .run = run,
    .ref = ref,
};
