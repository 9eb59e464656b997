/* Windows of convolutions and pools: where output (oh, ow) looks, and what a hostile parameter
 * block may not do. */
#ifndef CYG_KERNELS_F32_GEOMETRY_H
#define CYG_KERNELS_F32_GEOMETRY_H

#include "kernels/shape.h"

typedef struct cyg_window {
    int64_t kernel, stride, dilation, pad; /* pad: before the first element */
    int64_t in, out;
} cyg_window;

/* True when every position fits comfortably into int64. */
CYG_INLINE bool cyg_window_ok(const cyg_window *w, int64_t pad_end)
{
    const int64_t limit = (int64_t)1 << 28;
    return w->kernel >= 1 && w->kernel < limit && w->stride >= 1 && w->stride < limit &&
           w->dilation >= 1 && w->dilation < limit && w->pad > -limit && w->pad < limit &&
           pad_end > -limit && pad_end < limit && w->in >= 0 && w->in < limit && w->out >= 0 &&
           w->out < limit;
}

/* A first index and a count of the outputs whose tap `tap` lies inside the input. */
CYG_INLINE void cyg_window_inside(const cyg_window *w, int64_t tap, int64_t *begin, int64_t *end)
{
    const int64_t shift = tap * w->dilation - w->pad; /* input = output * stride + shift */
    *begin = shift >= 0 ? 0 : cyg_div_up(-shift, w->stride);
    *end = w->in - shift > 0 ? cyg_min64(cyg_div_up(w->in - shift, w->stride), w->out) : 0;
    if (*begin > *end)
        *begin = *end;
}

/* Taps of output `o` that lie inside: [begin, end). */
CYG_INLINE void cyg_taps_inside(const cyg_window *w, int64_t o, int64_t *begin, int64_t *end)
{
    const int64_t at = o * w->stride - w->pad;
    *begin = at >= 0 ? 0 : cyg_div_up(-at, w->dilation);
    *end = w->in > at ? cyg_min64(w->kernel, cyg_div_up(w->in - at, w->dilation)) : 0;
    if (*begin > *end)
        *begin = *end;
}

/* How many taps lie inside the padded picture. */
CYG_INLINE int64_t cyg_taps_padded(const cyg_window *w, int64_t pad_end, int64_t o)
{
    const int64_t room = w->in + w->pad + pad_end - o * w->stride;
    return room <= 0 ? 0 : cyg_min64(w->kernel, cyg_div_up(room, w->dilation));
}

typedef struct cyg_conv_shape {
    int64_t batch, channels, outputs, group; /* C, O */
    int64_t group_channels, group_outputs;   /* C / g, O / g */
    int64_t depth;                           /* C / g * kh * kw: length of a sum */
    int64_t pixels;                          /* out.h * out.w */
    cyg_window h, w;
} cyg_conv_shape;

#endif
