/* Pillow's image resampling for 8-bit pixels, bit for bit. */
#ifndef CYG_DATA_RESIZE_H
#define CYG_DATA_RESIZE_H

#include <stdint.h>

#include "base/status.h"

/* CYG_FILTER(id, Pillow's number, name) */
#define CYG_RESIZE_FILTERS(CYG_FILTER)                                                             \
    CYG_FILTER(NEAREST, 0, "nearest")                                                              \
    CYG_FILTER(LANCZOS, 1, "lanczos")                                                              \
    CYG_FILTER(BILINEAR, 2, "bilinear")                                                            \
    CYG_FILTER(BICUBIC, 3, "bicubic")                                                              \
    CYG_FILTER(BOX, 4, "box")                                                                      \
    CYG_FILTER(HAMMING, 5, "hamming")

typedef enum cyg_resize_filter {
#define CYG_FILTER(id, number, name) CYG_RESIZE_##id = number,
    CYG_RESIZE_FILTERS(CYG_FILTER)
#undef CYG_FILTER
} cyg_resize_filter;

enum { CYG_RESIZE_LONGEST_SIDE = 65535, CYG_RESIZE_MOST_PIXELS = 100000000 };

const char *cyg_resize_filter_name(cyg_resize_filter filter);

/* in [in_height, in_width, channels] to out [out_height, out_width, channels]; channels is 1 or 3.
 * Thread-safe. */
cyg_status cyg_resize_u8(cyg_ctx *ctx, const uint8_t *in, int64_t in_width, int64_t in_height,
                         int64_t channels, cyg_resize_filter filter, int64_t out_width,
                         int64_t out_height, uint8_t *out) CYG_MUST_USE;

#endif
