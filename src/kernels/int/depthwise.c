/* Depthwise convolution of U8 pixels: see depthwise.h.
 *
 * A pixel's window is a list of pointers, one a tap, to rows of channels; a tap outside the picture
 * points to a row of zero points. The micro-kernel sums taps over a block of channels at a time
 * from weights that prepare has put into the order in which its vectors hold the channels. Sums of
 * a few pixels are collected, then the epilogue of i_linear finishes them.
 *
 * Prepared: [bias s32, padded][M f32, padded][weights: blocks][groups of taps][vector order], all
 * padded to whole blocks of channels and whole groups of taps with zeros. */
#include "kernels/int/depthwise.h"

#include <string.h>

#include "kernels/dispatch.h"
#include "kernels/int/check.h"

enum { X, W, BIAS, M, RESIDUAL };
enum { PIXELS = 8 }; /* whose sums are collected */

typedef struct depthwise {
    const cyg_idepthwise *k;
    const cyg_kp_conv *g;
    int64_t in_h, in_w, out_h, out_w, channels, taps;
    int64_t padded, groups; /* channels in whole blocks, groups of taps */
    size_t m_at, weights_at, size;
} depthwise;

static size_t align64(size_t n)
{
    return (n + 63) & ~(size_t)63;
}

static depthwise shape_of(const cyg_kcall *call)
{
    const cyg_kp_iconv2d *p = call->params;
    const int64_t *x = call->in[X].dims, *y = call->out[0].dims;
    depthwise d = {.k = call->isa->i_depthwise(),
                   .g = &p->geometry,
                   .in_h = x[1],
                   .in_w = x[2],
                   .out_h = y[1],
                   .out_w = y[2],
                   .channels = x[3],
                   .taps = p->geometry.kh * p->geometry.kw};
    d.padded = (d.channels + d.k->block - 1) / d.k->block * d.k->block;
    d.groups = (d.taps + d.k->group - 1) / d.k->group;
    d.m_at = align64((size_t)d.padded * 4);
    d.weights_at = align64(d.m_at + (size_t)d.padded * 4);
    d.size = align64(d.weights_at + (size_t)(d.padded * d.groups * d.k->group) *
                                        (d.k->wide ? sizeof(int16_t) : sizeof(int8_t)));
    return d;
}

int cyg_depthwise_fits(const cyg_kcall *call)
{
    const cyg_kp_iconv2d *p = call->params;
    return call->in[X].type == CYG_TYPE_U8 && p->geometry.group == call->in[X].dims[3] &&
           call->out[0].dims[3] == call->in[X].dims[3] && p->geometry.group > 1;
}

size_t cyg_depthwise_prepared(const cyg_kcall *call)
{
    return shape_of(call).size;
}

/* Where channel `c` of a block stands among the block's weights of a group. */
static int64_t place_of(const cyg_idepthwise *k, int64_t c)
{
    if (k->lanes == 0)
        return c;
    return c % 16 / 4 * 4 * k->lanes + c / 16 * 4 + c % 4;
}

void cyg_depthwise_prepare(const cyg_kcall *call, void *out_prepared)
{
    const depthwise d = shape_of(call);
    const cyg_idepthwise *k = d.k;
    const int8_t *w = call->in[W].data;
    uint8_t *base = out_prepared;
    memset(base, 0, d.size);
    memcpy(base, call->in[BIAS].data, (size_t)d.channels * 4);
    memcpy(base + d.m_at, call->in[M].data, (size_t)d.channels * 4);
    for (int64_t c = 0; c < d.channels; c++)
        for (int64_t t = 0; t < d.taps; t++) {
            const int64_t at =
                ((c / k->block * d.groups + t / k->group) * k->block + place_of(k, c % k->block)) *
                    k->group +
                t % k->group;
            if (k->wide)
                ((int16_t *)(void *)(base + d.weights_at))[at] = w[c * d.taps + t];
            else
                ((int8_t *)(base + d.weights_at))[at] = w[c * d.taps + t];
        }
}

static size_t pad_row_bytes(const depthwise *d)
{
    return align64((size_t)d->padded);
}

static size_t pointer_bytes(const depthwise *d)
{
    return align64((size_t)(d->groups * d->k->group) * sizeof(void *));
}

/* [a row of zero points][pointers to taps][sums] */
size_t cyg_depthwise_scratch(const cyg_kcall *call)
{
    const depthwise d = shape_of(call);
    return pad_row_bytes(&d) + pointer_bytes(&d) + (size_t)(d.padded * PIXELS) * 4;
}

static void point_to_taps(const cyg_kcall *call, const depthwise *d, int64_t pixel,
                          const uint8_t *pad, const uint8_t **taps)
{
    const cyg_kp_conv *g = d->g;
    const int64_t row = pixel / d->out_w, image = row / d->out_h;
    const int64_t top = row % d->out_h * g->stride_h - g->pad_t,
                  left = pixel % d->out_w * g->stride_w - g->pad_l;
    const uint8_t *x = (const uint8_t *)call->in[X].data + image * d->in_h * d->in_w * d->channels;
    for (int64_t i = 0; i < g->kh; i++) {
        const int64_t h = top + i * g->dilation_h;
        const int inside = h >= 0 && h < d->in_h;
        for (int64_t j = 0; j < g->kw; j++) {
            const int64_t w = left + j * g->dilation_w;
            *taps++ = inside && w >= 0 && w < d->in_w ? x + (h * d->in_w + w) * d->channels : pad;
        }
    }
}

/* The sums of `count` pixels become outputs; the residual's rows may wrap around. */
static void finish(const cyg_kcall *call, const depthwise *d, const int32_t *sums, int64_t pixel,
                   int64_t count)
{
    const cyg_kp_iconv2d *p = call->params;
    const cyg_kbuf *r = cyg_optional(call, RESIDUAL), *y = &call->out[0];
    const int has_r = r != NULL && r->data != NULL;
    const float *m = (const float *)(const void *)((const uint8_t *)call->prepared + d->m_at);
    const int64_t y_row = d->channels * cyg_int_bytes(y->type),
                  r_row = has_r ? d->channels * cyg_int_bytes(r->type) : 0;
    const int64_t r_rows = has_r ? cyg_elements(r) / d->channels : 1;
    for (int64_t done = 0; done < count;) {
        const int64_t from = has_r ? (pixel + done) % r_rows : 0;
        int64_t rows = count - done;
        if (has_r && rows > r_rows - from)
            rows = r_rows - from;
        call->isa->i_epilogue(&p->out, CYG_TYPE_S32, sums + done * d->padded, d->padded, m, rows,
                              d->channels, has_r ? r->type : CYG_TYPE_NONE,
                              has_r ? (const uint8_t *)r->data + from * r_row : NULL, r_row,
                              y->type, (uint8_t *)y->data + (pixel + done) * y_row, y_row);
        done += rows;
    }
}

void cyg_depthwise_run(const cyg_kcall *call, int64_t first, int64_t last, void *scratch)
{
    const depthwise d = shape_of(call);
    const cyg_kp_iconv2d *p = call->params;
    const uint8_t *base = call->prepared;
    uint8_t *pad = scratch;
    const uint8_t **taps = (const uint8_t **)(void *)(pad + pad_row_bytes(&d));
    int32_t *sums = (int32_t *)(void *)(pad + pad_row_bytes(&d) + pointer_bytes(&d));
    memset(pad, p->x_zero, (size_t)d.padded);
    for (int64_t t = 0; t < d.groups * d.k->group; t++)
        taps[t] = pad; /* those behind the last have weights of zero */
    for (int64_t at = first; at < last; at += PIXELS) {
        const int64_t count = last - at < PIXELS ? last - at : PIXELS;
        for (int64_t i = 0; i < count; i++) {
            point_to_taps(call, &d, at + i, pad, taps);
            d.k->pixel(d.channels, d.groups, taps, base + d.weights_at,
                       (const int32_t *)(const void *)base, sums + i * d.padded);
        }
        finish(call, &d, sums, at, count);
    }
}
