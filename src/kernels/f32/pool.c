/* f_pool: max and average over windows, channels first, 1-D, 2-D and 3-D (without a depth in the
 * parameters further axes of a global pool count into the last one).
 *
 * An item is one channel plane. Max: compare and select, so a NaN gives way to any number, and an
 * all-outside window is -infinity. Average: the sum of the elements inside, in row-major order,
 * divided by their number, or with count_include_pad by the part of the window inside the padded
 * picture. A window over the whole picture is a row reduction (16 partials). */
#include "kernels/dispatch.h"
#include "kernels/f32/geometry.h"
#include "kernels/f32/math.h"

enum { AXES = 3 };
typedef struct pool {
    int64_t planes;
    cyg_window at[AXES]; /* depth, height, width */
    int64_t pad_end[AXES];
} pool;

static pool pool_of(const cyg_kcall *call)
{
    const cyg_kp_pool *p = call->params;
    const cyg_kbuf *x = &call->in[0], *y = &call->out[0];
    const bool deep = p->kd > 0 && x->rank == 5, flat = x->rank == 3;
    const int32_t row = deep ? 3 : 2, column = flat ? 2 : row + 1;
    pool q = {.planes = x->dims[0] * x->dims[1],
              .pad_end = {deep ? p->pad_k : 0, p->pad_b, p->pad_r}};
    q.at[0] =
        deep ? (cyg_window){p->kd, p->stride_d, p->dilation_d, p->pad_f, x->dims[2], y->dims[2]}
             : (cyg_window){1, 1, 1, 0, 1, 1};
    q.at[1] = (cyg_window){p->kh,
                           p->stride_h,
                           p->dilation_h,
                           p->pad_t,
                           flat ? 1 : x->dims[row],
                           flat ? 1 : y->dims[row]};
    q.at[2] = (cyg_window){p->kw,
                           p->stride_w,
                           p->dilation_w,
                           p->pad_l,
                           cyg_count_dims(x, column, x->rank),
                           cyg_count_dims(y, column, y->rank)};
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
    for (int i = 0; i < AXES; i++)
        CYG_REQUIRE(cyg_window_ok(&q.at[i], q.pad_end[i]), "bad window");
    return NULL;
}

static int64_t items(const cyg_kcall *call)
{
    return cyg_count_of(&call->out[0]) == 0 ? 0 : pool_of(call).planes;
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

/* One output; o: its depth, row and column. */
static float pool_at(const pool *q, const cyg_kp_pool *p, const float *x, const int64_t o[AXES])
{
    int64_t from[AXES], to[AXES], first[AXES], inside = 1, padded = 1;
    for (int i = 0; i < AXES; i++) {
        taps_inside(&q->at[i], o[i], &from[i], &to[i]);
        first[i] = o[i] * q->at[i].stride - q->at[i].pad;
        inside *= to[i] - from[i];
        padded *= taps_padded(&q->at[i], q->pad_end[i], o[i]);
    }
    float value = p->is_max != 0 ? cyg_f32_from(0xff800000u) : 0.0f;
    for (int64_t d = from[0]; d < to[0]; d++)
        for (int64_t h = from[1]; h < to[1]; h++) {
            const int64_t plane = (first[0] + d * q->at[0].dilation) * q->at[1].in;
            const float *row =
                x + (plane + first[1] + h * q->at[1].dilation) * q->at[2].in + first[2];
            for (int64_t w = from[2]; w < to[2]; w++) {
                const float v = row[w * q->at[2].dilation];
                value = p->is_max != 0 ? cyg_maxf(v, value) : value + v;
            }
        }
    if (p->is_max != 0)
        return value;
    const int64_t count = p->count_include_pad != 0 ? padded : inside;
    return count > 0 ? value / (float)count : 0.0f;
}

/* One window that is the whole picture. */
static bool is_global(const pool *q)
{
    bool global = true;
    for (int i = 0; i < AXES; i++) {
        const cyg_window *w = &q->at[i];
        global = global && w->out == 1 && w->kernel == w->in && w->pad == 0 && q->pad_end[i] == 0 &&
                 w->dilation == 1;
    }
    return global;
}

static void run(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch)
{
    (void)scratch;
    const cyg_kp_pool *p = call->params;
    const pool q = pool_of(call);
    const int64_t in = q.at[0].in * q.at[1].in * q.at[2].in;
    const bool global = is_global(&q);
    float *y = (float *)call->out[0].data + begin * q.at[0].out * q.at[1].out * q.at[2].out;
    for (int64_t plane = begin; plane < end; plane++) {
        const float *x = (const float *)call->in[0].data + plane * in;
        if (global) {
            *y++ = call->isa->f32_reduce(p->is_max != 0 ? CYG_REDUCE_MAX : CYG_REDUCE_MEAN, in, x);
            continue;
        }
        int64_t o[AXES];
        for (o[0] = 0; o[0] < q.at[0].out; o[0]++)
            for (o[1] = 0; o[1] < q.at[1].out; o[1]++)
                for (o[2] = 0; o[2] < q.at[2].out; o[2]++)
                    *y++ = pool_at(&q, p, x, o);
    }
}

const cyg_kop_info cyg_kop_info_f_pool = {
    .name = "f_pool",
    .params_size = sizeof(cyg_kp_pool),
    .check = check,
    .items = items,
    .run = run,
};
