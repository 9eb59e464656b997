/* f_pool2d: max and average over windows, channels last. The values are f_pool's: compare and
 * select for max, a sum in row-major order of the taps for average. An item is one output row;
 * inside it channels run innermost, so that compilers vectorise over them. */
#include "kernels/f32/geometry.h"
#include "kernels/f32/math.h"

static cyg_window rows_of(const cyg_kcall *call)
{
    const cyg_kp_pool *p = call->params;
    return (cyg_window){p->kh,    p->stride_h,         p->dilation_h,
                        p->pad_t, call->in[0].dims[1], call->out[0].dims[1]};
}

static cyg_window columns_of(const cyg_kcall *call)
{
    const cyg_kp_pool *p = call->params;
    return (cyg_window){p->kw,    p->stride_w,         p->dilation_w,
                        p->pad_l, call->in[0].dims[2], call->out[0].dims[2]};
}

static const char *check(const cyg_kcall *call)
{
    CYG_REQUIRE_BUFS(call, 1, 1, 1, 1);
    const cyg_kp_pool *p = call->params;
    const cyg_kbuf *x = &call->in[0], *y = &call->out[0];
    CYG_REQUIRE(x->type == CYG_TYPE_F32 && y->type == CYG_TYPE_F32, "f_pool2d works on f32");
    CYG_REQUIRE(x->rank == 4 && y->rank == 4, "f_pool2d wants [B, H, W, C]");
    CYG_REQUIRE(x->dims[0] == y->dims[0] && x->dims[3] == y->dims[3],
                "x and y differ in batch or channels");
    const cyg_window h = rows_of(call), w = columns_of(call);
    CYG_REQUIRE(cyg_window_ok(&h, p->pad_b) && cyg_window_ok(&w, p->pad_r), "bad window");
    return NULL;
}

static int64_t items(const cyg_kcall *call)
{
    return cyg_count_of(&call->out[0]) == 0 ? 0 : call->out[0].dims[0] * call->out[0].dims[1];
}

static void take_tap(int is_max, int64_t channels, const float *restrict x, float *restrict y)
{
    if (is_max)
        for (int64_t c = 0; c < channels; c++)
            y[c] = cyg_maxf(x[c], y[c]);
    else
        for (int64_t c = 0; c < channels; c++)
            y[c] = y[c] + x[c];
}

static void run(const cyg_kcall *call, int64_t begin, int64_t end, void *scratch)
{
    (void)scratch;
    const cyg_kp_pool *p = call->params;
    const cyg_window h = rows_of(call), w = columns_of(call);
    const int64_t channels = call->in[0].dims[3];
    const float start = p->is_max != 0 ? cyg_f32_from(0xff800000u) : 0.0f;
    for (int64_t item = begin; item < end; item++) {
        const int64_t image = item / h.out, oh = item % h.out;
        int64_t h0, h1, w0, w1;
        cyg_taps_inside(&h, oh, &h0, &h1);
        for (int64_t ow = 0; ow < w.out; ow++) {
            float *y = (float *)call->out[0].data + (item * w.out + ow) * channels;
            cyg_taps_inside(&w, ow, &w0, &w1);
            for (int64_t c = 0; c < channels; c++)
                y[c] = start;
            for (int64_t i = h0; i < h1; i++)
                for (int64_t j = w0; j < w1; j++) {
                    const int64_t row = oh * h.stride - h.pad + i * h.dilation,
                                  column = ow * w.stride - w.pad + j * w.dilation;
                    take_tap(p->is_max != 0, channels,
                             (const float *)call->in[0].data +
                                 ((image * h.in + row) * w.in + column) * channels,
                             y);
                }
            const int64_t count = p->count_include_pad != 0 ? cyg_taps_padded(&h, p->pad_b, oh) *
                                                                  cyg_taps_padded(&w, p->pad_r, ow)
                                                            : (h1 - h0) * (w1 - w0);
            for (int64_t c = 0; p->is_max == 0 && c < channels; c++)
                y[c] = count > 0 ? y[c] / (float)count : 0.0f;
        }
    }
}

const cyg_kop_info cyg_kop_info_f_pool2d = {
    .name = "f_pool2d",
    .params_size = sizeof(cyg_kp_pool),
    .check = check,
    .items = items,
    .run = run,
};
