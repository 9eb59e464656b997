/* f_conv: ONNX Conv, channels first, 1-D (as H = 1) and 2-D, groups.
 *
 * Dense groups are a matrix product per image and group: [O/g, K] x [K, pixels] with K = (c, kh,
 * kw); the right side is an im2col of a few hundred pixels that each item packs straight into
 * panels in its scratch; a weight row is already a row of A. Pads are zeros that take part in the
 * chain. The bias is added after the sum. Depthwise (one channel in, any number out) runs tap by
 * tap over rows of pixels; there taps outside the picture are left out. */
#include "kernels/f32/geometry.h"
#include "kernels/f32/gemm.h"

#include <string.h>

static cyg_conv_shape shape_of(const cyg_kcall *call)
{
    const cyg_kp_conv *p = call->params;
    const cyg_kbuf *x = &call->in[0], *w = &call->in[1], *y = &call->out[0];
    const bool flat = x->rank == 3;
    cyg_conv_shape s = {
        .batch = x->dims[0], .channels = x->dims[1], .outputs = w->dims[0], .group = p->group};
    s.h = (cyg_window){p->kh,    p->stride_h,           p->dilation_h,
                       p->pad_t, flat ? 1 : x->dims[2], flat ? 1 : y->dims[2]};
    s.w = (cyg_window){p->kw,    p->stride_w,           p->dilation_w,
                       p->pad_l, x->dims[flat ? 2 : 3], y->dims[flat ? 2 : 3]};
    s.group_channels = s.channels / s.group;
    s.group_outputs = s.outputs / s.group;
    s.depth = cyg_count_dims(w, 1, w->rank); /* check compares it with the window */
    s.pixels = s.h.out * s.w.out;
    return s;
}

static const char *check(const cyg_kcall *call)
{
    CYG_REQUIRE_BUFS(call, 2, 3, 1, 1);
    const cyg_kp_conv *p = call->params;
    const cyg_kbuf *x = &call->in[0], *w = &call->in[1], *y = &call->out[0];
    CYG_REQUIRE(x->type == CYG_TYPE_F32 && w->type == CYG_TYPE_F32 && y->type == CYG_TYPE_F32,
                "f_conv works on f32");
    CYG_REQUIRE((x->rank == 3 || x->rank == 4) && w->rank == x->rank && y->rank == x->rank,
                "f_conv wants ranks of 3 or 4");
    CYG_REQUIRE(p->group >= 1 && x->dims[1] % p->group == 0 && w->dims[0] % p->group == 0,
                "channels are no multiple of group");
    const cyg_conv_shape s = shape_of(call);
    CYG_REQUIRE(cyg_window_ok(&s.h, p->pad_b) && cyg_window_ok(&s.w, p->pad_r), "bad window");
    CYG_REQUIRE(w->dims[1] == s.group_channels && w->dims[w->rank - 1] == s.w.kernel &&
                    (x->rank == 3 ? s.h.kernel == 1 : w->dims[2] == s.h.kernel),
                "w is not [O, C/g, kh, kw]");
    CYG_REQUIRE(y->dims[0] == s.batch && y->dims[1] == s.outputs, "y is not [B, O, ..]");
    if (cyg_has_in(call, 2))
        CYG_REQUIRE(call->in[2].type == CYG_TYPE_F32 && cyg_count_of(&call->in[2]) == s.outputs,
                    "bias is not f32 [O]");
    return NULL;
}

static bool is_depthwise(const cyg_conv_shape *s)
{
    return s->group_channels == 1 && s->group > 1;
}

/* Pixels of an item: its im2col stays in the second-level cache. */
static int64_t item_pixels(const cyg_conv_shape *s)
{
    const int64_t fit = 131072 / cyg_max64(s->depth, 1) / CYG_F32_PANEL * CYG_F32_PANEL;
    int64_t pixels = cyg_max64(cyg_min64(fit, CYG_GEMM_NC), 2 * CYG_F32_PANEL);
    while (pixels > 64 && s->batch * s->group * cyg_div_up(s->pixels, pixels) < 8)
        pixels -= CYG_F32_PANEL;
    return pixels;
}

/* Output channels of an item: all, unless few pixels would leave threads without work. */
static int64_t item_outputs(const cyg_conv_shape *s)
{
    const int64_t parts = s->batch * s->group * cyg_div_up(s->pixels, item_pixels(s));
    return parts >= 4 ? s->group_outputs : cyg_max64(CYG_GEMM_MC, cyg_div_up(s->group_outputs, 4));
}

static int64_t items(const cyg_kcall *call)
{
    const cyg_conv_shape s = shape_of(call);
    if (s.pixels == 0 || s.outputs == 0)
        return 0;
    if (is_depthwise(&s))
        return s.batch * s.outputs;
    return s.batch * s.group * cyg_div_up(s.pixels, item_pixels(&s)) *
           cyg_div_up(s.group_outputs, item_outputs(&s));
}

static size_t scratch_size(const cyg_kcall *call)
{
    const cyg_conv_shape s = shape_of(call);
    if (is_depthwise(&s))
        return 0;
    return CYG_GEMM_SCRATCH + (size_t)cyg_gemm_packed(item_pixels(&s), s.depth) * sizeof(float);
}

/* One row k of a panel: the tap's value for `count` pixels from pixel `first`. */
static void gather_tap(const cyg_conv_shape *s, const float *channel, int64_t kh, int64_t kw,
                       int64_t first, int64_t count, float *out)
{
    int64_t done = 0;
    while (done < count) {
        const int64_t oh = (first + done) / s->w.out, ow = (first + done) % s->w.out;
        const int64_t run = cyg_min64(count - done, s->w.out - ow);
        const int64_t ih = oh * s->h.stride + kh * s->h.dilation - s->h.pad;
        const int64_t iw = ow * s->w.stride + kw * s->w.dilation - s->w.pad;
        float *to = out + done;
        done += run;
        if (ih < 0 || ih >= s->h.in) {
            memset(to, 0, (size_t)run * sizeof(float));
            continue;
        }
        const float *row = channel + ih * s->w.in;
        if (iw >= 0 && iw + (run - 1) * s->w.stride < s->w.in) {
            if (s->w.stride == 1)
                memcpy(to, row + iw, (size_t)run * sizeof(float));
            else
                for (int64_t i = 0; i < run; i++)
                    to[i] = row[iw + i * s->w.stride];
            continue;
        }
        for (int64_t i = 0; i < run; i++) {
            const int64_t at = iw + i * s->w.stride;
            to[i] = at >= 0 && at < s->w.in ? row[at] : 0.0f;
        }
    }
}

/* Pixels first.. of one group's im2col as panels. */
static void pack_pixels(const cyg_conv_shape *s, const float *x, int64_t first, int64_t count,
                        float *out)
{
    for (int64_t at = 0; at < count; at += CYG_F32_PANEL) {
        const int64_t columns = cyg_min64(count - at, CYG_F32_PANEL);
        for (int64_t c = 0; c < s->group_channels; c++)
            for (int64_t kh = 0; kh < s->h.kernel; kh++)
                for (int64_t kw = 0; kw < s->w.kernel; kw++, out += CYG_F32_PANEL) {
                    gather_tap(s, x + c * s->h.in * s->w.in, kh, kw, first + at, columns, out);
                    for (int64_t j = columns; j < CYG_F32_PANEL; j++)
                        out[j] = 0.0f;
                }
    }
}

static void run_dense(const cyg_kcall *call, const cyg_conv_shape *s, int64_t begin, int64_t end,
                      float *scratch)
{
    const int64_t block = item_pixels(s), blocks = cyg_div_up(s->pixels, block);
    const int64_t part = item_outputs(s), parts = cyg_div_up(s->group_outputs, part);
    const float *w = call->in[1].data, *bias = cyg_has_in(call, 2) ? call->in[2].data : NULL;
    const cyg_f32_finish f = {CYG_ACT_NONE, CYG_ACT_NONE, 0, 0};
    float *packed = scratch + CYG_GEMM_SCRATCH / 4;
    for (int64_t item = begin; item < end; item++) {
        const int64_t o0 = item % parts * part, p0 = item / parts % blocks * block;
        const int64_t group = item / parts / blocks % s->group,
                      image = item / parts / blocks / s->group;
        const int64_t columns = cyg_min64(block, s->pixels - p0),
                      rows = cyg_min64(part, s->group_outputs - o0);
        const int64_t first = group * s->group_outputs + o0;
        const float *x = (const float *)call->in[0].data +
                         (image * s->channels + group * s->group_channels) * s->h.in * s->w.in;
        float *y = (float *)call->out[0].data + (image * s->outputs + first) * s->pixels + p0;
        pack_pixels(s, x, p0, columns, packed);
        cyg_gemm_block(call->isa, rows, columns, s->depth, w + first * s->depth, s->depth, packed,
                       y, s->pixels, scratch);
        if (bias != NULL)
            for (int64_t o = 0; o < rows; o++)
                call->isa->f32_finish(&f, columns, bias + first + o, 0, NULL, y + o * s->pixels);
    }
}

static void run_depthwise(const cyg_kcall *call, const cyg_conv_shape *s, int64_t begin,
                          int64_t end)
{
    const float *bias = cyg_has_in(call, 2) ? call->in[2].data : NULL;
    const cyg_f32_finish f = {CYG_ACT_NONE, CYG_ACT_NONE, 0, 0};
    for (int64_t item = begin; item < end; item++) {
        const int64_t o = item % s->outputs, image = item / s->outputs;
        const float *x = (const float *)call->in[0].data +
                         (image * s->channels + o / s->group_outputs) * s->h.in * s->w.in;
        const float *w = (const float *)call->in[1].data + o * s->depth;
        float *y = (float *)call->out[0].data + item * s->pixels;
        memset(y, 0, (size_t)s->pixels * sizeof(float));
        for (int64_t oh = 0; oh < s->h.out; oh++)
            for (int64_t kh = 0; kh < s->h.kernel; kh++) {
                const int64_t ih = oh * s->h.stride + kh * s->h.dilation - s->h.pad;
                if (ih < 0 || ih >= s->h.in)
                    continue;
                for (int64_t kw = 0; kw < s->w.kernel; kw++) {
                    int64_t from, to;
                    cyg_window_inside(&s->w, kw, &from, &to);
                    if (from >= to)
                        continue;
                    const int64_t iw = from * s->w.stride + kw * s->w.dilation - s->w.pad;
                    call->isa->f32_fma(to - from, x + ih * s->w.in + iw, s->w.stride,
                                       w + kh * s->w.kernel + kw, 0, y + oh * s->w.out + from);
                }
            }
        if (bias != NULL)
            call->isa->f32_finish(&f, s->pixels, bias + o, 0, NULL, y);
    }
}

static void run(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch)
{
    const cyg_conv_shape s = shape_of(call);
    if (is_depthwise(&s))
        run_depthwise(call, &s, begin, end);
    else
        run_dense(call, &s, begin, end, scratch);
}

const cyg_kop_info cyg_kop_info_f_conv = {
    .name = "f_conv",
    .params_size = sizeof(cyg_kp_conv),
    .check = check,
    .items = items,
    .scratch = scratch_size,
    .run = run,
};
