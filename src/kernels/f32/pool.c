/* f_pool: max and average over windows, channels first, 1-D and 2-D (further axes of a global pool
 * count into the last one).
 *
 * An item is one channel plane. Max: compare and select, so a NaN gives way to any number, and an
 * all-outside window is -infinity. Average: the sum of the elements inside, in row-major order,
 * divided by their number, or with count_include_pad by the part of the window inside the padded
 * picture. A window over the whole picture is a row reduction (16 partials). */
#include "kernels/dispatch.h"
#include "kernels/f32/geometry.h"
#include "kernels/f32/math.h"

typedef struct pool {
    int64_t planes;
    cyg_window h, w;
    int64_t pad_b, pad_r;
} pool;

static pool pool_of(const cyg_kcall *call)
{
    const cyg_kp_pool *p = call->params;
    const cyg_kbuf *x = &call->in[0], *y = &call->out[0];
    const bool flat = x->rank == 3;
    const int32_t first = flat ? 2 : 3;
    pool q = {.planes = x->dims[0] * x->dims[1], .pad_b = p->pad_b, .pad_r = p->pad_r};
    q.h = (cyg_window){p->kh,    p->stride_h,           p->dilation_h,
                       p->pad_t, flat ? 1 : x->dims[2], flat ? 1 : y->dims[2]};
    q.w = (cyg_window){p->kw,
                       p->stride_w,
                       p->dilation_w,
                       p->pad_l,
                       cyg_count_dims(x, first, x->rank),
                       cyg_count_dims(y, first, y->rank)};
    return q;
}

static const char *check(const cyg_kcall *call)
{
    CYG_REQUIRE_BUFS(call, 1, 1, 1, 1);
    const cyg_kbuf *x = &call->in[0], *y = &call->out[0];
    CYG_REQUIRE(x->type == CYG_TYPE_F32 && y->type == CYG_TYPE_F32, "f_pool works on f32");
    CYG_REQUIRE(x->rank >= 3 && x->rank == y->rank, "f_pool wants [B, C, ..]");
    CYG_REQUIRE(x->dims[0] == y->dims[0] && x->dims[1] == y->dims[1],
                "x and y differ in batch or channels");
    const pool q = pool_of(call);
    CYG_REQUIRE(cyg_window_ok(&q.h, q.pad_b) && cyg_window_ok(&q.w, q.pad_r), "bad window");
    return NULL;
}

static int64_t items(const cyg_kcall *call)
{
    const pool q = pool_of(call);
    return q.h.out * q.w.out == 0 ? 0 : q.planes;
}

/* Taps of output `o` that lie inside: [begin, end). */
static void taps_inside(const cyg_window *w, int64_t o, int64_t *begin, int64_t *end)
{
    const int64_t at = o * w->stride - w->pad;
    *begin = at >= 0 ? 0 : cyg_div_up(-at, w->dilation);
    *end = w->in > at ? cyg_min64(w->kernel, cyg_div_up(w->in - at, w->dilation)) : 0;
    if (*begin > *end)
        *begin = *end;
}

/* How many taps lie inside the padded picture. */
static int64_t taps_padded(const cyg_window *w, int64_t pad_end, int64_t o)
{
    const int64_t room = w->in + w->pad + pad_end - o * w->stride;
    return room <= 0 ? 0 : cyg_min64(w->kernel, cyg_div_up(room, w->dilation));
}

static float pool_at(const pool *q, const cyg_kp_pool *p, const float *x, int64_t oh, int64_t ow)
{
    int64_t h0, h1, w0, w1;
    taps_inside(&q->h, oh, &h0, &h1);
    taps_inside(&q->w, ow, &w0, &w1);
    const int64_t top = oh * q->h.stride - q->h.pad, left = ow * q->w.stride - q->w.pad;
    float value = p->is_max != 0 ? cyg_f32_from(0xff800000u) : 0.0f;
    for (int64_t kh = h0; kh < h1; kh++) {
        const float *row = x + (top + kh * q->h.dilation) * q->w.in + left;
        for (int64_t kw = w0; kw < w1; kw++) {
            const float v = row[kw * q->w.dilation];
            value = p->is_max != 0 ? cyg_maxf(v, value) : value + v;
        }
    }
    if (p->is_max != 0)
        return value;
    const int64_t count = p->count_include_pad != 0
                              ? taps_padded(&q->h, q->pad_b, oh) * taps_padded(&q->w, q->pad_r, ow)
                              : (h1 - h0) * (w1 - w0);
    return count > 0 ? value / (float)count : 0.0f;
}

static void run(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch)
{
    (void)scratch;
    const cyg_kp_pool *p = call->params;
    const pool q = pool_of(call);
    const int64_t in = q.h.in * q.w.in, out = q.h.out * q.w.out;
    const bool global = out == 1 && q.h.kernel == q.h.in && q.w.kernel == q.w.in && q.h.pad == 0 &&
                        q.w.pad == 0 && q.pad_b == 0 && q.pad_r == 0 && q.h.dilation == 1 &&
                        q.w.dilation == 1;
    for (int64_t plane = begin; plane < end; plane++) {
        const float *x = (const float *)call->in[0].data + plane * in;
        float *y = (float *)call->out[0].data + plane * out;
        if (global) {
            y[0] = call->isa->f32_reduce(p->is_max != 0 ? CYG_REDUCE_MAX : CYG_REDUCE_MEAN, in, x);
            continue;
        }
        for (int64_t oh = 0; oh < q.h.out; oh++)
            for (int64_t ow = 0; ow < q.w.out; ow++)
                y[oh * q.w.out + ow] = pool_at(&q, p, x, oh, ow);
    }
}

const cyg_kop_info cyg_kop_info_f_pool = {
    .name = "f_pool",
    .params_size = sizeof(cyg_kp_pool),
    .check = check,
    .items = items,
    .run = run,
};
