/* f_pool: max and average over windows, channels first, one to three spatial axes (further axes of
 * a global pool count into the last one).
 *
 * An item is one channel plane. Max: compare and select, so a NaN gives way to any number, and an
 * all-outside window is -infinity. Average: the sum of the elements inside, in row-major order,
 * divided by their number, or with count_include_pad by the part of the window inside the padded
 * picture. A window over the whole picture is a row reduction (16 partials).
 *
 * The above is f32. Other types go through binary64: the sum is rounded once, an integer's maximum
 * is exact, an all-outside window gives the type's least number. The index output counts elements
 * of the whole x; among equals the first one counts. */
#include "kernels/dispatch.h"
#include "kernels/f32/geometry.h"
#include "kernels/f32/math.h"
#include "kernels/number.h"

typedef struct pool {
    int64_t planes;
    cyg_window d, h, w;
    int64_t pad_e, pad_b, pad_r;
} pool;

static pool pool_of(const cyg_kcall *call)
{
    const cyg_kp_pool *p = call->params;
    const cyg_kbuf *x = &call->in[0], *y = &call->out[0];
    const bool deep = p->kd > 0, flat = x->rank == 3;
    const int32_t high = deep ? 3 : 2, first = flat ? 2 : high + 1; /* H's axis, W's first axis */
    pool q = {.planes = x->dims[0] * x->dims[1], .pad_b = p->pad_b, .pad_r = p->pad_r};
    q.d = (cyg_window){1, 1, 1, 0, 1, 1};
    if (deep) {
        q.d = (cyg_window){p->kd, p->stride_d, p->dilation_d, p->pad_f, x->dims[2], y->dims[2]};
        q.pad_e = p->pad_k;
    }
    q.h = (cyg_window){p->kh,
                       p->stride_h,
                       p->dilation_h,
                       p->pad_t,
                       flat ? 1 : x->dims[high],
                       flat ? 1 : y->dims[high]};
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
    CYG_REQUIRE_BUFS(call, 1, 1, 1, 2);
    const cyg_kp_pool *p = call->params;
    const cyg_kbuf *x = &call->in[0], *y = &call->out[0];
    CYG_REQUIRE(x->type == y->type && x->type != CYG_TYPE_BOOL, "x and y differ in type, or bool");
    CYG_REQUIRE(p->is_max != 0 || cyg_is_float_type(x->type), "the average of integers");
    CYG_REQUIRE(x->rank >= (p->kd > 0 ? 5 : 3) && x->rank == y->rank, "f_pool wants [B, C, ..]");
    CYG_REQUIRE(x->dims[0] == y->dims[0] && x->dims[1] == y->dims[1],
                "x and y differ in batch or channels");
    const pool q = pool_of(call);
    CYG_REQUIRE(cyg_window_ok(&q.d, q.pad_e) && cyg_window_ok(&q.h, q.pad_b) &&
                    cyg_window_ok(&q.w, q.pad_r),
                "bad window");
    if (call->out_count > 1)
        CYG_REQUIRE(p->is_max != 0 && call->out[1].type == CYG_TYPE_S64 &&
                        cyg_same_dims(&call->out[1], y),
                    "the index output does not fit");
    return NULL;
}

static int64_t items(const cyg_kcall *call)
{
    const pool q = pool_of(call);
    return q.d.out * q.h.out * q.w.out == 0 ? 0 : q.planes;
}

/* The taps of one output that lie inside, on each axis, and the input that tap 0 meets. */
typedef struct inside {
    int64_t d0, d1, h0, h1, w0, w1;
    int64_t front, top, left;
    int64_t count; /* what an average divides by */
} inside;

static inside inside_of(const pool *q, const cyg_kp_pool *p, int64_t od, int64_t oh, int64_t ow)
{
    inside s = {.front = od * q->d.stride - q->d.pad,
                .top = oh * q->h.stride - q->h.pad,
                .left = ow * q->w.stride - q->w.pad};
    cyg_taps_inside(&q->d, od, &s.d0, &s.d1);
    cyg_taps_inside(&q->h, oh, &s.h0, &s.h1);
    cyg_taps_inside(&q->w, ow, &s.w0, &s.w1);
    s.count = p->count_include_pad != 0
                  ? cyg_taps_padded(&q->d, q->pad_e, od) * cyg_taps_padded(&q->h, q->pad_b, oh) *
                        cyg_taps_padded(&q->w, q->pad_r, ow)
                  : (s.d1 - s.d0) * (s.h1 - s.h0) * (s.w1 - s.w0);
    return s;
}

/* Element of a plane that the taps meet. */
static int64_t element_of(const pool *q, const inside *s, int64_t kd, int64_t kh, int64_t kw)
{
    return ((s->front + kd * q->d.dilation) * q->h.in + s->top + kh * q->h.dilation) * q->w.in +
           s->left + kw * q->w.dilation;
}

static float pool_f32(const pool *q, const cyg_kp_pool *p, const inside *s, const float *x)
{
    float value = p->is_max != 0 ? cyg_f32_from(0xff800000u) : 0.0f;
    for (int64_t kd = s->d0; kd < s->d1; kd++)
        for (int64_t kh = s->h0; kh < s->h1; kh++) {
            const float *row = x + element_of(q, s, kd, kh, 0);
            for (int64_t kw = s->w0; kw < s->w1; kw++) {
                const float v = row[kw * q->w.dilation];
                value = p->is_max != 0 ? cyg_maxf(v, value) : value + v;
            }
        }
    if (p->is_max != 0)
        return value;
    return s->count > 0 ? value / (float)s->count : 0.0f;
}

static double pool_real(const pool *q, const cyg_kp_pool *p, const inside *s, const cyg_kbuf *x,
                        int64_t plane)
{
    double value = p->is_max != 0 ? cyg_f64_from(0xfff0000000000000u) : 0.0;
    for (int64_t kd = s->d0; kd < s->d1; kd++)
        for (int64_t kh = s->h0; kh < s->h1; kh++)
            for (int64_t kw = s->w0; kw < s->w1; kw++) {
                const int64_t at = plane + element_of(q, s, kd, kh, kw);
                const double v = cyg_load_real(x->data, x->type, at);
                if (p->is_max == 0)
                    value += v;
                else
                    value = v > value ? v : value;
            }
    if (p->is_max != 0)
        return value;
    return s->count > 0 ? value / (double)s->count : 0.0;
}

/* Where the maximum is: the first of the largest; the first one inside when all are NaN, -1 when
 * none is inside. */
static int64_t largest_at(const pool *q, const cyg_kp_pool *p, const inside *s, const cyg_kbuf *x,
                          int64_t plane)
{
    int64_t best = -1;
    double value = 0;
    for (int64_t kd = s->d0; kd < s->d1; kd++)
        for (int64_t kh = s->h0; kh < s->h1; kh++)
            for (int64_t kw = s->w0; kw < s->w1; kw++) {
                const int64_t at = element_of(q, s, kd, kh, kw);
                const double v = cyg_load_real(x->data, x->type, plane + at);
                if (best < 0 || v > value || (value != value && v == v)) {
                    best = at;
                    value = v;
                }
            }
    if (p->column_major != 0 && best >= 0) {
        const int64_t w = best % q->w.in, h = best / q->w.in % q->h.in,
                      d = best / q->w.in / q->h.in;
        best = (w * q->h.in + h) * q->d.in + d;
    }
    return best < 0 ? -1 : plane + best;
}

static void pool_plane(const cyg_kcall *call, const pool *q, int64_t plane)
{
    const cyg_kp_pool *p = call->params;
    const cyg_kbuf *x = &call->in[0], *y = &call->out[0];
    const int64_t from = plane * q->d.in * q->h.in * q->w.in;
    int64_t to = plane * q->d.out * q->h.out * q->w.out;
    for (int64_t od = 0; od < q->d.out; od++)
        for (int64_t oh = 0; oh < q->h.out; oh++)
            for (int64_t ow = 0; ow < q->w.out; ow++, to++) {
                const inside s = inside_of(q, p, od, oh, ow);
                if (x->type == CYG_TYPE_F32)
                    ((float *)y->data)[to] = pool_f32(q, p, &s, (const float *)x->data + from);
                else
                    cyg_store_real(y->data, y->type, to, pool_real(q, p, &s, x, from));
                if (call->out_count > 1)
                    ((int64_t *)call->out[1].data)[to] = largest_at(q, p, &s, x, from);
            }
}

/* Is there one window, over everything? */
static bool is_global(const cyg_window *w, int64_t pad_end)
{
    return w->out == 1 && w->kernel == w->in && w->pad == 0 && pad_end == 0 && w->dilation == 1;
}

static void run(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch)
{
    (void)scratch;
    const cyg_kp_pool *p = call->params;
    const pool q = pool_of(call);
    const int64_t in = q.d.in * q.h.in * q.w.in;
    const bool row = call->in[0].type == CYG_TYPE_F32 && call->out_count == 1 &&
                     is_global(&q.d, q.pad_e) && is_global(&q.h, q.pad_b) &&
                     is_global(&q.w, q.pad_r);
    for (int64_t plane = begin; plane < end; plane++) {
        if (row)
            ((float *)call->out[0].data)[plane] =
                call->isa->f32_reduce(p->is_max != 0 ? CYG_REDUCE_MAX : CYG_REDUCE_MEAN, in,
                                      (const float *)call->in[0].data + plane * in);
        else
            pool_plane(call, &q, plane);
    }
}

const cyg_kop_info cyg_kop_info_f_pool = {
    .name = "f_pool",
    .params_size = sizeof(cyg_kp_pool),
    .check = check,
    .items = items,
    .run = run,
};
