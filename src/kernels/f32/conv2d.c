/* f_conv2d: the fused convolution, channels last out: y [B, H', W', O] = post_act(act(conv(x) +
 * bias) + residual).
 *
 * A matrix product per group, [pixels, K] x [K, O/g] with K = (kh, kw, c), the order of w [O, kh,
 * kw, C/g], whose rows are packed once by prepare when constant. Items are blocks of pixels (of all
 * images in a row) times blocks of output channels. The im2col rows of a block are gathered a slice
 * of K at a time into scratch, next to each other; a 1 x 1 convolution without strides reads x
 * where it is. Pads are zeros that take part in the chain. Depthwise: channel rows tap by tap, taps
 * outside left out. */
#include "kernels/f32/geometry.h"
#include "kernels/f32/gemm.h"

#include <string.h>

static cyg_conv_shape shape_of(const cyg_kcall *call)
{
    const cyg_kp_conv *p = call->params;
    const cyg_kbuf *x = &call->in[0], *w = &call->in[1], *y = &call->out[0];
    const int at = p->x_nchw != 0 ? 2 : 1;
    cyg_conv_shape s = {.batch = x->dims[0],
                        .channels = x->dims[p->x_nchw != 0 ? 1 : 3],
                        .outputs = w->dims[0],
                        .group = p->group};
    s.h = (cyg_window){p->kh, p->stride_h, p->dilation_h, p->pad_t, x->dims[at], y->dims[1]};
    s.w = (cyg_window){p->kw, p->stride_w, p->dilation_w, p->pad_l, x->dims[at + 1], y->dims[2]};
    s.group_channels = s.channels / s.group;
    s.group_outputs = s.outputs / s.group;
    s.depth = cyg_count_dims(w, 1, w->rank); /* check compares it with the window */
    s.pixels = s.h.out * s.w.out;
    return s;
}

static const char *check(const cyg_kcall *call)
{
    CYG_REQUIRE_BUFS(call, 2, 4, 1, 1);
    const cyg_kp_conv *p = call->params;
    const cyg_kbuf *x = &call->in[0], *w = &call->in[1], *y = &call->out[0];
    CYG_REQUIRE(x->type == CYG_TYPE_F32 && w->type == CYG_TYPE_F32 && y->type == CYG_TYPE_F32,
                "f_conv2d works on f32");
    CYG_REQUIRE(p->act >= 0 && p->act < CYG_ACT_COUNT && p->post_act >= 0 &&
                    p->post_act < CYG_ACT_COUNT,
                "unknown activation");
    CYG_REQUIRE(x->rank == 4 && w->rank == 4 && y->rank == 4, "f_conv2d wants ranks of 4");
    const int64_t channels = x->dims[p->x_nchw != 0 ? 1 : 3];
    CYG_REQUIRE(p->group >= 1 && channels % p->group == 0 && w->dims[0] % p->group == 0,
                "channels are no multiple of group");
    const cyg_conv_shape s = shape_of(call);
    CYG_REQUIRE(cyg_window_ok(&s.h, p->pad_b) && cyg_window_ok(&s.w, p->pad_r), "bad window");
    CYG_REQUIRE(w->dims[1] == s.h.kernel && w->dims[2] == s.w.kernel &&
                    w->dims[3] == s.group_channels,
                "w is not [O, kh, kw, C/g]");
    CYG_REQUIRE(y->dims[0] == s.batch && y->dims[3] == s.outputs, "y is not [B, H, W, O]");
    if (cyg_has_in(call, 2))
        CYG_REQUIRE(call->in[2].type == CYG_TYPE_F32 && cyg_count_of(&call->in[2]) == s.outputs,
                    "bias is not f32 [O]");
    if (cyg_has_in(call, 3)) {
        const int64_t r = cyg_count_of(&call->in[3]), total = cyg_count_of(y);
        CYG_REQUIRE(call->in[3].type == CYG_TYPE_F32, "residual is not f32");
        CYG_REQUIRE(total == 0 || (r > 0 && r % s.outputs == 0 && total % r == 0),
                    "residual does not repeat over y");
    }
    return NULL;
}

static bool is_depthwise(const cyg_kcall *call, const cyg_conv_shape *s)
{
    const cyg_kp_conv *p = call->params;
    return s->group_channels == 1 && s->group_outputs == 1 && s->group > 1 && p->x_nchw == 0;
}
static bool is_pointwise(const cyg_kcall *call, const cyg_conv_shape *s)
{
    const cyg_kp_conv *p = call->params;
    return p->x_nchw == 0 && s->h.kernel == 1 && s->w.kernel == 1 && s->h.stride == 1 &&
           s->w.stride == 1 && s->h.pad == 0 && s->w.pad == 0 && s->h.in == s->h.out &&
           s->w.in == s->w.out;
}

/* w [O, taps] as [taps, O]: rows of channels for the depthwise loop. */
static void transpose_taps(const cyg_conv_shape *s, const float *w, float *out)
{
    for (int64_t o = 0; o < s->outputs; o++)
        for (int64_t t = 0; t < s->depth; t++)
            out[t * s->outputs + o] = w[o * s->depth + t];
}

static int64_t group_floats(const cyg_conv_shape *s)
{
    return cyg_gemm_packed(s->group_outputs, s->depth);
}

static size_t packed_bytes(const cyg_kcall *call, const cyg_conv_shape *s)
{
    const int64_t floats =
        is_depthwise(call, s) ? s->outputs * s->depth : s->group * group_floats(s);
    return (size_t)floats * sizeof(float);
}

static void pack_weights(const cyg_kcall *call, const cyg_conv_shape *s, float *out)
{
    const float *w = call->in[1].data;
    if (is_depthwise(call, s)) {
        transpose_taps(s, w, out);
        return;
    }
    for (int64_t g = 0; g < s->group; g++)
        cyg_gemm_pack_nk(s->group_outputs, s->depth, w + g * s->group_outputs * s->depth, s->depth,
                         out + g * group_floats(s));
}

static size_t prepare_size(const cyg_kcall *call)
{
    const cyg_conv_shape s = shape_of(call);
    return call->in[1].is_const ? packed_bytes(call, &s) : 0;
}

static void prepare(const cyg_kcall *call, void *out_prepared)
{
    const cyg_conv_shape s = shape_of(call);
    pack_weights(call, &s, out_prepared);
}

/* Weights that are not constant are packed by every item; it is the rare case, so an item is then
 * everything. */
static int64_t items(const cyg_kcall *call)
{
    const cyg_conv_shape s = shape_of(call);
    const int64_t pixels = s.batch * s.pixels;
    if (pixels == 0 || s.outputs == 0)
        return 0;
    if (!call->in[1].is_const)
        return 1;
    if (is_depthwise(call, &s))
        return s.batch * s.h.out;
    const cyg_gemm_cut cut = cyg_gemm_cut_of(pixels, s.group_outputs);
    return s.group * cut.row_blocks * cut.col_blocks;
}

static size_t scratch_size(const cyg_kcall *call)
{
    const cyg_conv_shape s = shape_of(call);
    return CYG_GEMM_SCRATCH + (call->in[1].is_const ? 0 : packed_bytes(call, &s));
}

/* Elements k0 .. k0 + depth of one pixel's im2col row. */
static void gather_row(const cyg_conv_shape *s, bool nchw, const float *image, int64_t group,
                       int64_t oh, int64_t ow, int64_t k0, int64_t depth, float *out)
{
    const int64_t cg = s->group_channels;
    int64_t k = k0;
    while (k < k0 + depth) {
        const int64_t tap = k / cg, c = k % cg, run = cyg_min64(cg - c, k0 + depth - k);
        const int64_t ih = oh * s->h.stride + tap / s->w.kernel * s->h.dilation - s->h.pad;
        const int64_t iw = ow * s->w.stride + tap % s->w.kernel * s->w.dilation - s->w.pad;
        if (ih < 0 || ih >= s->h.in || iw < 0 || iw >= s->w.in) {
            memset(out, 0, (size_t)run * sizeof(float));
        } else if (nchw) {
            const int64_t plane = s->h.in * s->w.in;
            const float *from = image + (group * cg + c) * plane + ih * s->w.in + iw;
            for (int64_t i = 0; i < run; i++)
                out[i] = from[i * plane];
        } else {
            const float *from = image + (ih * s->w.in + iw) * s->channels + group * cg + c;
            memcpy(out, from, (size_t)run * sizeof(float));
        }
        out += run;
        k += run;
    }
}

static void finish(const cyg_kcall *call, const cyg_conv_shape *s, int64_t pixel, int64_t o0,
                   int64_t columns)
{
    const cyg_kp_conv *p = call->params;
    const cyg_f32_finish f = {p->act, p->post_act, p->act_lo, p->act_hi};
    const float *bias = cyg_has_in(call, 2) ? (const float *)call->in[2].data + o0 : NULL;
    const float *residual = NULL;
    if (cyg_has_in(call, 3)) {
        const int64_t period = cyg_count_of(&call->in[3]) / s->outputs;
        residual = (const float *)call->in[3].data + pixel % period * s->outputs + o0;
    }
    if (bias != NULL || residual != NULL || f.act != CYG_ACT_NONE || f.post_act != CYG_ACT_NONE)
        call->isa->f32_finish(&f, columns, bias, 1, residual,
                              (float *)call->out[0].data + pixel * s->outputs + o0);
}

/* Pixels p0.. of one group, output channels n0.. of it. */
static void run_block(const cyg_kcall *call, const cyg_conv_shape *s, const float *packed,
                      int64_t group, int64_t p0, int64_t rows, int64_t n0, int64_t columns,
                      float *scratch)
{
    const cyg_kp_conv *p = call->params;
    const float *x = call->in[0].data, *b = packed + group * group_floats(s) + n0 * s->depth;
    const int64_t image_floats = s->channels * s->h.in * s->w.in,
                  o0 = group * s->group_outputs + n0;
    float *y = (float *)call->out[0].data + p0 * s->outputs + o0;
    const bool direct = is_pointwise(call, s) && s->channels % 512 != 0;
    if (s->depth == 0)
        for (int64_t i = 0; i < rows; i++)
            memset(y + i * s->outputs, 0, (size_t)columns * sizeof(float));
    for (int64_t k0 = 0; k0 < s->depth; k0 += CYG_GEMM_KC) {
        const int64_t depth = cyg_min64(s->depth - k0, CYG_GEMM_KC);
        const float *a = x + p0 * s->channels + group * s->group_channels + k0;
        int64_t stride = s->channels;
        if (!direct) {
            a = scratch;
            stride = CYG_GEMM_A_STRIDE;
            for (int64_t i = 0; i < rows; i++) {
                const int64_t pixel = (p0 + i) % s->pixels;
                gather_row(s, p->x_nchw != 0, x + (p0 + i) / s->pixels * image_floats, group,
                           pixel / s->w.out, pixel % s->w.out, k0, depth, scratch + i * stride);
            }
        }
        call->isa->f32_gemm(rows, columns, depth, a, stride, b + k0 * CYG_F32_PANEL,
                            s->depth * CYG_F32_PANEL, y, s->outputs, k0 != 0);
    }
    for (int64_t i = 0; i < rows; i++)
        finish(call, s, p0 + i, o0, columns);
}

static void run_dense(const cyg_kcall *call, const cyg_conv_shape *s, const float *packed,
                      int64_t begin, int64_t end, float *scratch)
{
    const int64_t pixels = s->batch * s->pixels;
    const cyg_gemm_cut cut = cyg_gemm_cut_of(pixels, s->group_outputs);
    const int64_t blocks = cut.row_blocks * cut.col_blocks;
    for (int64_t item = begin; item < end; item++) {
        const int64_t group = item / blocks, block = item % blocks;
        const int64_t p0 = block % cut.row_blocks * cut.rows,
                      n0 = block / cut.row_blocks * cut.columns;
        run_block(call, s, packed, group, p0, cyg_min64(cut.rows, pixels - p0), n0,
                  cyg_min64(cut.columns, s->group_outputs - n0), scratch);
    }
}

/* One output row an item: for each pixel, acc[channels] over the taps inside. */
static void run_depthwise(const cyg_kcall *call, const cyg_conv_shape *s, const float *taps,
                          int64_t begin, int64_t end)
{
    const int64_t c = s->channels;
    for (int64_t item = begin; item < end; item++) {
        const int64_t image = item / s->h.out, oh = item % s->h.out;
        const float *x = (const float *)call->in[0].data + image * c * s->h.in * s->w.in;
        for (int64_t ow = 0; ow < s->w.out; ow++) {
            const int64_t pixel = item * s->w.out + ow;
            float *y = (float *)call->out[0].data + pixel * c;
            memset(y, 0, (size_t)c * sizeof(float));
            for (int64_t kh = 0; kh < s->h.kernel; kh++)
                for (int64_t kw = 0; kw < s->w.kernel; kw++) {
                    const int64_t ih = oh * s->h.stride + kh * s->h.dilation - s->h.pad;
                    const int64_t iw = ow * s->w.stride + kw * s->w.dilation - s->w.pad;
                    if (ih >= 0 && ih < s->h.in && iw >= 0 && iw < s->w.in)
                        call->isa->f32_fma(c, x + (ih * s->w.in + iw) * c, 1,
                                           taps + (kh * s->w.kernel + kw) * c, 1, y);
                }
            finish(call, s, pixel, 0, c);
        }
    }
}

static void run(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch)
{
    const cyg_conv_shape s = shape_of(call);
    const float *packed = call->prepared;
    int64_t last = end;
    if (!call->in[1].is_const) {
        float *own = (float *)scratch + CYG_GEMM_SCRATCH / 4;
        pack_weights(call, &s, own);
        packed = own;
        const cyg_gemm_cut cut = cyg_gemm_cut_of(s.batch * s.pixels, s.group_outputs);
        last =
            is_depthwise(call, &s) ? s.batch * s.h.out : s.group * cut.row_blocks * cut.col_blocks;
    }
    if (begin >= end)
        return;
    if (is_depthwise(call, &s))
        run_depthwise(call, &s, packed, begin, last);
    else
        run_dense(call, &s, packed, begin, last, scratch);
}

const cyg_kop_info cyg_kop_info_f_conv2d = {
    .name = "f_conv2d",
    .params_size = sizeof(cyg_kp_conv),
    .check = check,
    .prepare_size = prepare_size,
    .prepare = prepare,
    .items = items,
    .scratch = scratch_size,
    .run = run,
};
