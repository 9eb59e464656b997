/* i_conv2d: channels-last convolution on exact integers, as rows of taps times weights
 * (docs/numerics.md, Linear).
 *
 * An item is a block of output pixels with all their channels. For each pixel the kh x kw x C/g
 * window is copied into a row (pads are x_zero, whose share the compiler folded into the bias),
 * rows are packed for the tile kernel, and the product is i_linear's. Windows whose taps are
 * neighbours in memory are copied in runs of kw * C; a patch embedding (stride = kernel, no pads)
 * is nothing but such runs. Depthwise convolutions have rows too short for that: those of U8 pixels
 * have kernels of their own (depthwise.c), others sum taps channel by channel in plain C. 16-bit
 * weights come as two operands of 8 bits: w + 256 w_high. */
#include <string.h>

#include "kernels/int/arith.h"
#include "kernels/int/check.h"
#include "kernels/int/depthwise.h"
#include "kernels/int/gemm.h"

enum { X, W, BIAS, M, RESIDUAL, W_HIGH };
enum { DEPTHWISE_CHUNK = 64 };

typedef struct conv_shape {
    int64_t batch, in_h, in_w, in_c, out_h, out_w, out_c;
    int64_t group_c, group_n; /* channels per group, in and out */
    int64_t k, pixels, item_rows;
    int64_t row_blocks, column_blocks; /* items: blocks of pixels times blocks of channels */
    int is_pointwise;                  /* a window is a pixel: rows of x are rows of taps */
} conv_shape;

static conv_shape shape_of(const cyg_kcall *call)
{
    const cyg_kp_iconv2d *p = call->params;
    const int64_t *x = call->in[X].dims, *y = call->out[0].dims;
    conv_shape s = {.batch = x[0], .in_h = x[1], .in_w = x[2], .in_c = x[3]};
    s.out_h = y[1];
    s.out_w = y[2];
    s.out_c = y[3];
    s.group_c = s.in_c / p->geometry.group;
    s.group_n = s.out_c / p->geometry.group;
    s.k = p->geometry.kh * p->geometry.kw * s.group_c;
    s.pixels = s.batch * s.out_h * s.out_w;
    s.item_rows = cyg_igemm_item_rows(s.k);
    s.row_blocks = (s.pixels + s.item_rows - 1) / s.item_rows;
    s.column_blocks =
        p->geometry.group == 1 ? (s.out_c + CYG_IGEMM_COLUMNS - 1) / CYG_IGEMM_COLUMNS : 1;
    s.is_pointwise = p->geometry.group == 1 && p->geometry.kh == 1 && p->geometry.kw == 1 &&
                     p->geometry.stride_h == 1 && p->geometry.stride_w == 1 &&
                     p->geometry.pad_t == 0 && p->geometry.pad_l == 0 && p->geometry.pad_b == 0 &&
                     p->geometry.pad_r == 0;
    return s;
}

/* Output size of one axis, or -1. */
static int64_t out_size(int64_t in, int64_t kernel, int64_t stride, int64_t before, int64_t after,
                        int64_t dilation)
{
    const int64_t limit = (int64_t)1 << 24;
    if (kernel < 1 || stride < 1 || dilation < 1 || before < 0 || after < 0 || in < 1 ||
        kernel > limit || stride > limit || dilation > limit || before > limit || after > limit ||
        in > limit)
        return -1;
    const int64_t span = (kernel - 1) * dilation + 1;
    return in + before + after < span ? -1 : (in + before + after - span) / stride + 1;
}

static const char *check(const cyg_kcall *call)
{
    const cyg_kp_iconv2d *p = call->params;
    const cyg_kp_conv *g = &p->geometry;
    CYG_WANT_OK(cyg_check_counts(call, 4, 6));
    const cyg_kbuf *x = &call->in[X], *w = &call->in[W], *y = &call->out[0];
    CYG_WANT(cyg_is_activation(x->type), "x's type is not supported");
    CYG_WANT(x->rank == 4 && w->rank == 4 && y->rank == 4, "x, w and y must have four dimensions");
    CYG_WANT(g->group >= 1 && x->dims[3] >= 1 && x->dims[3] % g->group == 0 && y->dims[3] >= 1 &&
                 y->dims[3] % g->group == 0,
             "channels are not a multiple of the groups");
    CYG_WANT(y->dims[0] == x->dims[0], "x and y differ in batch size");
    CYG_WANT(y->dims[1] >= 1 && y->dims[1] == out_size(x->dims[1], g->kh, g->stride_h, g->pad_t,
                                                       g->pad_b, g->dilation_h),
             "y's height does not fit");
    CYG_WANT(y->dims[2] >= 1 && y->dims[2] == out_size(x->dims[2], g->kw, g->stride_w, g->pad_l,
                                                       g->pad_r, g->dilation_w),
             "y's width does not fit");
    CYG_WANT(w->dims[0] == y->dims[3] && w->dims[1] == g->kh && w->dims[2] == g->kw &&
                 w->dims[3] == x->dims[3] / g->group,
             "w is not [O, kh, kw, C / group]");
    const int64_t n = w->dims[0], elements = cyg_elements(w);
    CYG_WANT(n <= INT32_MAX && elements > 0 && elements / n <= CYG_IGEMM_MAX_K,
             "w's shape is out of range");
    CYG_WANT_OK(cyg_check_constant(w, CYG_TYPE_S8, elements));
    CYG_WANT_OK(cyg_check_bias(&call->in[BIAS], x->type, n));
    const cyg_kbuf *high = cyg_optional(call, W_HIGH);
    if (high != NULL) {
        CYG_WANT(cyg_is_16bit(x->type), "16-bit weights need a 16-bit x");
        CYG_WANT_OK(cyg_check_constant(high, CYG_TYPE_S8, elements));
    }
    CYG_WANT_OK(cyg_check_constant(&call->in[M], CYG_TYPE_F32, n));
    const int32_t lo = x->type == CYG_TYPE_U8 || x->type == CYG_TYPE_U16 ? 0 : -32768;
    CYG_WANT(p->x_zero >= (x->type == CYG_TYPE_S8 ? -128 : lo) &&
                 p->x_zero <= (x->type == CYG_TYPE_U8    ? 255
                               : x->type == CYG_TYPE_S8  ? 127
                               : x->type == CYG_TYPE_U16 ? 65535
                                                         : 32767),
             "x_zero is out of range");
    return cyg_check_ilinear(&p->out, y->type, cyg_optional(call, RESIDUAL), cyg_elements(y) / n,
                             n);
}

static int is_depthwise(const conv_shape *s)
{
    return s->group_c == 1 && s->in_c > 1;
}

static int64_t items(const cyg_kcall *call)
{
    const conv_shape s = shape_of(call);
    return s.row_blocks * s.column_blocks;
}

/* ---- prepared weights
 * --------------------------------------------------------------- */

static size_t block_size(const cyg_kcall *call, const conv_shape *s)
{
    return cyg_igemm_layout_of(call->isa->igemm(), call->in[X].type, s->group_n, s->k).size;
}

/* Of a group, the weights' lower bytes (or all of them) and the upper ones; of a depthwise
 * convolution [taps][channels] s32. */
static size_t prepare_size(const cyg_kcall *call)
{
    const conv_shape s = shape_of(call);
    if (cyg_depthwise_fits(call))
        return cyg_depthwise_prepared(call);
    if (is_depthwise(&s))
        return (size_t)(s.k * s.out_c) * sizeof(int32_t);
    const cyg_kp_iconv2d *p = call->params;
    return block_size(call, &s) * (size_t)p->geometry.group *
           (cyg_optional(call, W_HIGH) != NULL ? 2 : 1);
}

static int32_t weight_at(const int8_t *low, const int8_t *high, int64_t i)
{
    return low[i] + (high != NULL ? 256 * high[i] : 0);
}

static void prepare(const cyg_kcall *call, void *out_prepared)
{
    const conv_shape s = shape_of(call);
    const cyg_kp_iconv2d *p = call->params;
    const cyg_igemm *g = call->isa->igemm();
    const int32_t type = call->in[X].type;
    const int8_t *w = call->in[W].data, *high = cyg_optional_data(call, W_HIGH);
    if (cyg_depthwise_fits(call)) {
        cyg_depthwise_prepare(call, out_prepared);
        return;
    }
    if (is_depthwise(&s)) {
        for (int64_t n = 0; n < s.out_c; n++)
            for (int64_t tap = 0; tap < s.k; tap++)
                ((int32_t *)out_prepared)[tap * s.out_c + n] = weight_at(w, high, n * s.k + tap);
        return;
    }
    const size_t size = block_size(call, &s);
    const int64_t bias_bytes = cyg_is_16bit(type) ? 8 : 4;
    uint8_t *to = out_prepared;
    for (int64_t group = 0; group < p->geometry.group; group++, to += size) {
        const int64_t first = group * s.group_n;
        const float *m = (const float *)call->in[M].data + first;
        cyg_igemm_prepare(g, type, w + first * s.k,
                          (const uint8_t *)call->in[BIAS].data + first * bias_bytes, m, s.group_n,
                          s.k, to);
        if (high != NULL)
            cyg_igemm_prepare(g, type, high + first * s.k, NULL, m, s.group_n, s.k, to += size);
    }
}

/* Where output pixel `pixel`'s window begins; may lie outside the image. */
typedef struct window {
    int64_t image, top, left;
} window;

static window window_of(const conv_shape *s, const cyg_kp_conv *g, int64_t pixel)
{
    const int64_t row = pixel / s->out_w;
    const window at = {row / s->out_h, row % s->out_h * g->stride_h - g->pad_t,
                       pixel % s->out_w * g->stride_w - g->pad_l};
    return at;
}

static int is_inside(const conv_shape *s, int64_t row, int64_t column)
{
    return row >= 0 && row < s->in_h && column >= 0 && column < s->in_w;
}

/* acc += x[channel of result first + j] * w[j], type a constant where this is inlined. */
CYG_INLINE void add_tap(int32_t type, const void *x, int64_t pixel_at, int64_t first, int64_t width,
                        int64_t per_channel, const int32_t *w, int64_t *acc)
{
    if (per_channel == 1) {
        for (int64_t j = 0; j < width; j++)
            acc[j] += (int64_t)cyg_load_q(type, x, pixel_at + first + j) * w[j];
        return;
    }
    for (int64_t j = 0; j < width; j++)
        acc[j] += (int64_t)cyg_load_q(type, x, pixel_at + (first + j) / per_channel) * w[j];
}

static void add_inside(int32_t type, const void *x, int64_t pixel_at, int64_t first, int64_t width,
                       int64_t per_channel, const int32_t *w, int64_t *acc)
{
    if (type == CYG_TYPE_S16)
        add_tap(CYG_TYPE_S16, x, pixel_at, first, width, per_channel, w, acc);
    else if (type == CYG_TYPE_U16)
        add_tap(CYG_TYPE_U16, x, pixel_at, first, width, per_channel, w, acc);
    else if (type == CYG_TYPE_S8)
        add_tap(CYG_TYPE_S8, x, pixel_at, first, width, per_channel, w, acc);
    else
        add_tap(CYG_TYPE_U8, x, pixel_at, first, width, per_channel, w, acc);
}

/* Sums stay below 2^63: 65,000 taps of 2^32, and a bias below 2^52. */
static void depthwise_chunk(const cyg_kcall *call, const conv_shape *s, int64_t pixel,
                            int64_t first, int64_t width)
{
    const cyg_kp_iconv2d *p = call->params;
    const cyg_kbuf *x = &call->in[X], *y = &call->out[0], *r = cyg_optional(call, RESIDUAL);
    const cyg_kp_conv *g = &p->geometry;
    const window at = window_of(s, g, pixel);
    const int wide = cyg_is_16bit(x->type), has_r = r != NULL && r->data != NULL;
    int64_t acc[DEPTHWISE_CHUNK];
    for (int64_t j = 0; j < width; j++)
        acc[j] = wide ? ((const int64_t *)call->in[BIAS].data)[first + j]
                      : ((const int32_t *)call->in[BIAS].data)[first + j];
    for (int64_t tap = 0; tap < s->k; tap++) {
        const int64_t row = at.top + tap / g->kw * g->dilation_h,
                      column = at.left + tap % g->kw * g->dilation_w;
        const int64_t pixel_at = ((at.image * s->in_h + row) * s->in_w + column) * s->in_c;
        const int32_t *w = (const int32_t *)call->prepared + tap * s->out_c + first;
        if (is_inside(s, row, column))
            add_inside(x->type, x->data, pixel_at, first, width, s->group_n, w, acc);
        else
            for (int64_t j = 0; j < width; j++)
                acc[j] += (int64_t)p->x_zero * w[j];
    }
    const int64_t r_count = has_r ? cyg_elements(r) : 1;
    for (int64_t j = 0; j < width; j++) {
        const float f = wide ? (float)(double)acc[j] : (float)(int32_t)(uint32_t)(uint64_t)acc[j];
        const int64_t to = pixel * s->out_c + first + j;
        const float res =
            has_r ? cyg_load_centred(r->type, r->data, to % r_count, p->out.r_zero) : 0.0f;
        cyg_store_out(y->type, y->data, to, &p->out.sat,
                      cyg_linear_out(&p->out, y->type, f,
                                     ((const float *)call->in[M].data)[first + j], has_r, res));
    }
}

static void run_depthwise(const cyg_kcall *call, const conv_shape *s, int64_t first, int64_t last)
{
    for (int64_t pixel = first; pixel < last; pixel++)
        for (int64_t c = 0; c < s->out_c; c += DEPTHWISE_CHUNK)
            depthwise_chunk(call, s, pixel, c,
                            s->out_c - c < DEPTHWISE_CHUNK ? s->out_c - c : DEPTHWISE_CHUNK);
}

/* ---- rows of taps
 * ------------------------------------------------------------------------------------------------
 */

static void fill_zero(int32_t type, uint8_t *to, int64_t count, int32_t zero)
{
    if (cyg_is_8bit(type)) {
        memset(to, zero & 255, (size_t)count);
        return;
    }
    for (int64_t i = 0; i < count; i++)
        cyg_store_q(type, to, i, zero);
}

/* The window of one output pixel and group, as k contiguous elements. */
static void gather_row(const cyg_kcall *call, const conv_shape *s, int64_t pixel, int64_t group,
                       uint8_t *to)
{
    const cyg_kp_iconv2d *p = call->params;
    const cyg_kp_conv *g = &p->geometry;
    const int32_t type = call->in[X].type;
    const int64_t bytes = cyg_int_bytes(type), tap_bytes = s->group_c * bytes;
    const window at = window_of(s, g, pixel);
    const uint8_t *x = (const uint8_t *)call->in[X].data + group * tap_bytes;
    for (int64_t i = 0; i < g->kh; i++) {
        const int64_t row = at.top + i * g->dilation_h;
        const int64_t line_row = row >= 0 && row < s->in_h ? row : 0; /* else never read */
        const uint8_t *line = x + (at.image * s->in_h + line_row) * s->in_w * s->in_c * bytes;
        if (g->group == 1 && g->dilation_w == 1 && is_inside(s, row, at.left) &&
            at.left + g->kw <= s->in_w) {
            memcpy(to, line + at.left * tap_bytes, (size_t)(g->kw * tap_bytes));
            to += g->kw * tap_bytes;
            continue;
        }
        for (int64_t j = 0; j < g->kw; j++, to += tap_bytes) {
            const int64_t column = at.left + j * g->dilation_w;
            if (is_inside(s, row, column))
                memcpy(to, line + column * s->in_c * bytes, (size_t)tap_bytes);
            else
                fill_zero(type, to, s->group_c, p->x_zero);
        }
    }
}

static size_t align64(int64_t n)
{
    return ((size_t)n + 63) / 64 * 64;
}

/* [packed rows lo][hi, 16 bit][one gathered row] */
static size_t scratch(const cyg_kcall *call)
{
    const conv_shape s = shape_of(call);
    if (cyg_depthwise_fits(call))
        return cyg_depthwise_scratch(call);
    if (is_depthwise(&s))
        return 0;
    const int64_t groups = cyg_igemm_layout_of(call->isa->igemm(), CYG_TYPE_U8, 1, s.k).groups;
    return align64(groups * 4 * s.item_rows) * 2 + align64(s.k * 2);
}

/* Rows of taps of a block's pixels, packed for the tile kernel. Where that takes U8 as it is, the
 * window goes straight to its place. */
static void pack_rows(const cyg_kcall *call, const conv_shape *s, int64_t first, int64_t rows,
                      int64_t group, uint8_t *lo, uint8_t *hi)
{
    const cyg_igemm *g = call->isa->igemm();
    const int32_t type = call->in[X].type;
    const int64_t stride = cyg_igemm_layout_of(g, type, 1, s->k).groups * 4,
                  bytes = s->k * cyg_int_bytes(type);
    uint8_t *row = hi + align64(stride * s->item_rows);
    for (int64_t i = 0; i < rows; i++) {
        if (!g->wide && type == CYG_TYPE_U8) {
            gather_row(call, s, first + i, group, lo + i * stride);
            memset(lo + i * stride + s->k, 0, (size_t)(stride - s->k));
            continue;
        }
        const uint8_t *from = (const uint8_t *)call->in[X].data + (first + i) * bytes;
        if (!s->is_pointwise) {
            gather_row(call, s, first + i, group, row);
            from = row;
        }
        cyg_igemm_pack_a(g, type, from, s->k, lo + i * stride, hi + i * stride);
    }
}

static int64_t column_end(const conv_shape *s, int64_t column)
{
    const int64_t left = s->group_n - column;
    return s->column_blocks == 1 || left < CYG_IGEMM_COLUMNS ? s->group_n
                                                             : column + CYG_IGEMM_COLUMNS;
}

static void run(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch_memory)
{
    const conv_shape s = shape_of(call);
    const cyg_kp_iconv2d *p = call->params;
    if (is_depthwise(&s)) {
        const int64_t first = begin * s.item_rows,
                      last = end * s.item_rows < s.pixels ? end * s.item_rows : s.pixels;
        if (cyg_depthwise_fits(call))
            cyg_depthwise_run(call, first, last, scratch_memory);
        else
            run_depthwise(call, &s, first, last);
        return;
    }
    const cyg_igemm *g = call->isa->igemm();
    const cyg_kbuf *r = cyg_optional(call, RESIDUAL);
    const int has_r = r != NULL && r->data != NULL;
    const int32_t type = call->in[X].type;
    cyg_igemm_job job = {
        .isa = call->isa,
        .prepared = call->prepared, /* of the first group */
        .layout = cyg_igemm_layout_of(g, type, s.group_n, s.k),
        .x_type = type,
        .y_type = call->out[0].type,
        .r_type = has_r ? r->type : CYG_TYPE_NONE,
        .n = s.group_n,
        .out = &p->out,
        .y = call->out[0].data,
        .y_row = s.out_c,
        .r = has_r ? r->data : NULL,
        .r_rows = has_r ? cyg_elements(r) / s.out_c : 1,
    };
    const uint8_t *prepared = call->prepared;
    const int has_high = cyg_optional(call, W_HIGH) != NULL;
    const size_t group_size = job.layout.size * (has_high ? 2 : 1);
    const int64_t stride = job.layout.groups * 4;
    const int as_it_is = s.is_pointwise && cyg_igemm_a_is_direct(g, type, s.k);
    uint8_t *lo = scratch_memory, *hi = lo + align64(stride * s.item_rows);
    int64_t packed = -1; /* consecutive items of a worker share their pixels */
    for (int64_t item = begin; item < end; item++) {
        const int64_t block = item / s.column_blocks, first = block * s.item_rows;
        const int64_t rows = s.pixels - first < s.item_rows ? s.pixels - first : s.item_rows;
        const int64_t column = item % s.column_blocks * CYG_IGEMM_COLUMNS;
        if (as_it_is) {
            const uint8_t *x = (const uint8_t *)call->in[X].data + first * s.k;
            cyg_igemm_block(&job, x, NULL, s.k, first, rows, column, column_end(&s, column));
            continue;
        }
        for (int64_t group = 0; group < p->geometry.group; group++) {
            if (packed != block || p->geometry.group > 1)
                pack_rows(call, &s, first, rows, group, lo, hi);
            packed = block;
            job.prepared = prepared + (size_t)group * group_size;
            job.high = has_high ? prepared + (size_t)group * group_size + job.layout.size : NULL;
            job.y_column = group * s.group_n;
            cyg_igemm_block(&job, lo, hi, stride, first, rows, column, column_end(&s, column));
        }
    }
}

/* The specification: one output at a time, tap by tap. */
static void ref(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch_memory)
{
    (void)scratch_memory;
    const conv_shape s = shape_of(call);
    const cyg_kp_iconv2d *p = call->params;
    const cyg_kp_conv *g = &p->geometry;
    const cyg_kbuf *x = &call->in[X], *y = &call->out[0], *r = cyg_optional(call, RESIDUAL);
    const int8_t *w = call->in[W].data, *high = cyg_optional_data(call, W_HIGH);
    const float *m = call->in[M].data;
    const int wide = cyg_is_16bit(x->type), has_r = r != NULL && r->data != NULL;
    const int64_t r_count = has_r ? cyg_elements(r) : 1;
    for (int64_t at_item = begin * s.item_rows; at_item < end * s.item_rows; at_item++) {
        const int64_t item = at_item / s.item_rows,
                      pixel = item / s.column_blocks * s.item_rows + at_item % s.item_rows;
        if (pixel >= s.pixels)
            continue;
        const window at = window_of(&s, g, pixel);
        const int64_t first = item % s.column_blocks * CYG_IGEMM_COLUMNS,
                      behind = s.column_blocks == 1 ? s.out_c : column_end(&s, first);
        for (int64_t n = first; n < behind; n++) {
            uint64_t acc = wide ? (uint64_t)((const int64_t *)call->in[BIAS].data)[n]
                                : (uint64_t)((const int32_t *)call->in[BIAS].data)[n];
            for (int64_t k = 0; k < s.k; k++) {
                const int64_t tap = k / s.group_c, c = n / s.group_n * s.group_c + k % s.group_c;
                const int64_t row = at.top + tap / g->kw * g->dilation_h,
                              column = at.left + tap % g->kw * g->dilation_w;
                const int64_t v =
                    is_inside(&s, row, column)
                        ? cyg_load_q(x->type, x->data,
                                     ((at.image * s.in_h + row) * s.in_w + column) * s.in_c + c)
                        : p->x_zero;
                acc += (uint64_t)(v * weight_at(w, high, n * s.k + k));
            }
            const float f = wide ? (float)(double)(int64_t)acc : (float)(int32_t)(uint32_t)acc;
            const int64_t to = pixel * s.out_c + n;
            const float res =
                has_r ? cyg_load_centred(r->type, r->data, to % r_count, p->out.r_zero) : 0.0f;
            cyg_store_out(y->type, y->data, to, &p->out.sat,
                          cyg_linear_out(&p->out, y->type, f, m[n], has_r, res));
        }
    }
}

const cyg_kop_info cyg_kop_info_i_conv2d = {
    .name = "i_conv2d",
    .params_size = sizeof(cyg_kp_iconv2d),
    .check = check,
    .prepare_size = prepare_size,
    .prepare = prepare,
    .items = items,
    .scratch = scratch,
    .run = run,
    .ref = ref,
};
