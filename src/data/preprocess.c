/* From a picture to a model's input.
 *
 * The order is Pillow's and HuggingFace's: decode to RGB (or grey), resize, crop the centre,
 * reorder channels, normalise. Arithmetic of the last step, per value: convert to binary32,
 * subtract mean, divide by std, each rounded once. Mean and std are binary32 in units of 0..255, so
 * a U8 package computes the same thing from the same pixels.
 *
 * Two roundings that other tools do differently are pinned here: the long side of a proportional
 * resize is truncated (torchvision and HuggingFace agree), and the margin of a centre crop is
 * truncated, as HuggingFace does (torchvision rounds half to even, which is one pixel off when the
 * difference is 4k+3). Grey is Pillow's: (19595 R + 38470 G + 7471 B + 2^15) >> 16, before
 * resizing. */
#include "data/preprocess.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

void cyg_preprocess_init(cyg_preprocess *p, int64_t height, int64_t width)
{
    *p = (cyg_preprocess){.height = height,
                          .width = width,
                          .order = CYG_ORDER_RGB,
                          .filter = CYG_RESIZE_BICUBIC,
                          .geometry = CYG_GEOMETRY_STRETCH,
                          .resize_height = height,
                          .resize_width = width,
                          .std = {1, 1, 1},
                          .source_type = CYG_TYPE_F32};
}

void cyg_preprocess_set_crop(cyg_preprocess *p)
{
    const int64_t side = p->height > p->width ? p->height : p->width;
    p->geometry = CYG_GEOMETRY_SHORT;
    p->resize_short = side * 256 / 224;
}

int64_t cyg_preprocess_channels(const cyg_preprocess *p)
{
    return p->order == CYG_ORDER_GRAY ? 1 : 3;
}

size_t cyg_preprocess_count(const cyg_preprocess *p)
{
    return (size_t)(p->height * p->width * cyg_preprocess_channels(p));
}

static bool is_side(int64_t n)
{
    return n >= 1 && n <= CYG_RESIZE_LONGEST_SIDE;
}

cyg_status cyg_preprocess_check(cyg_ctx *ctx, const cyg_preprocess *p)
{
    if (!is_side(p->height) || !is_side(p->width) || p->height * p->width > CYG_RESIZE_MOST_PIXELS)
        return CYG_FAIL(ctx, CYG_E_CONFIG, "input size %" PRId64 "x%" PRId64 " is out of range",
                        p->height, p->width);
    if (p->geometry == CYG_GEOMETRY_STRETCH &&
        (!is_side(p->resize_height) || !is_side(p->resize_width) || p->resize_height < p->height ||
         p->resize_width < p->width))
        return CYG_FAIL(ctx, CYG_E_CONFIG,
                        "pictures are resized to %" PRId64 "x%" PRId64 ", but the input is %" PRId64
                        "x%" PRId64,
                        p->resize_height, p->resize_width, p->height, p->width);
    if (p->geometry == CYG_GEOMETRY_SHORT &&
        (!is_side(p->resize_short) || p->resize_short < p->height || p->resize_short < p->width))
        return CYG_FAIL(ctx, CYG_E_CONFIG,
                        "the shorter side is resized to %" PRId64 ", but the input is %" PRId64
                        "x%" PRId64,
                        p->resize_short, p->height, p->width);
    for (int i = 0; i < 3; i++) {
        if (!isfinite(p->mean[i]) || !isfinite(p->std[i]) || p->std[i] <= 0)
            return CYG_FAIL(
                ctx, CYG_E_CONFIG,
                "mean[%d] = %g, std[%d] = %g: std must be positive (both are in units of 0..255)",
                i, (double)p->mean[i], i, (double)p->std[i]);
    }
    if (p->source_type != CYG_TYPE_F32 && p->source_type != CYG_TYPE_U8)
        return CYG_FAIL(ctx, CYG_E_CONFIG, "pictures are fed as F32 or U8");
    return CYG_OK;
}

static uint8_t *to_grey(const cyg_image *image)
{
    const size_t n = (size_t)(image->width * image->height);
    uint8_t *grey = malloc(n);
    if (grey == NULL)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        const uint8_t *p = image->pixels + 3 * i;
        grey[i] = (uint8_t)((p[0] * 19595u + p[1] * 38470u + p[2] * 7471u + 0x8000u) >> 16);
    }
    return grey;
}

/* The size that a picture of width x height is resized to. */
static void resized_size(const cyg_preprocess *p, int64_t width, int64_t height, int64_t *out_width,
                         int64_t *out_height)
{
    switch (p->geometry) {
    case CYG_GEOMETRY_NONE:
        *out_width = width;
        *out_height = height;
        return;
    case CYG_GEOMETRY_STRETCH:
        *out_width = p->resize_width;
        *out_height = p->resize_height;
        return;
    case CYG_GEOMETRY_SHORT:
        *out_width = width <= height ? p->resize_short : p->resize_short * width / height;
        *out_height = width <= height ? p->resize_short * height / width : p->resize_short;
        return;
    }
}

/* The centre [height, width] of in, channels reversed for BGR. */
static void crop(const cyg_preprocess *p, const uint8_t *in, int64_t in_width, int64_t in_height,
                 uint8_t *out)
{
    const int64_t channels = cyg_preprocess_channels(p);
    const int64_t top = (in_height - p->height) / 2, left = (in_width - p->width) / 2;
    const size_t row = (size_t)(p->width * channels);
    for (int64_t y = 0; y < p->height; y++)
        memmove(out + (size_t)y * row, in + ((top + y) * in_width + left) * channels, row);
    if (p->order != CYG_ORDER_BGR)
        return;
    for (size_t i = 0; i < (size_t)p->height * row; i += 3) {
        const uint8_t red = out[i];
        out[i] = out[i + 2];
        out[i + 2] = red;
    }
}

cyg_status cyg_preprocess_pixels(cyg_ctx *ctx, const cyg_preprocess *p, const cyg_image *image,
                                 uint8_t *out)
{
    int64_t width = 0, height = 0;
    resized_size(p, image->width, image->height, &width, &height);
    if (width < p->width || height < p->height)
        return CYG_FAIL(ctx, CYG_E_FORMAT,
                        "a picture of %" PRId64 "x%" PRId64 " cannot be cropped to %" PRId64
                        "x%" PRId64,
                        width, height, p->width, p->height);
    if (width > CYG_RESIZE_LONGEST_SIDE || height > CYG_RESIZE_LONGEST_SIDE ||
        width * height > CYG_RESIZE_MOST_PIXELS)
        return CYG_FAIL(ctx, CYG_E_UNSUPPORTED,
                        "a picture of %" PRId64 "x%" PRId64 " is too narrow to be resized",
                        image->width, image->height);
    const int64_t channels = cyg_preprocess_channels(p);
    uint8_t *grey = NULL, *resized = NULL;
    cyg_status status = CYG_OK;
    const uint8_t *in = image->pixels;
    if (channels == 1) {
        in = grey = to_grey(image);
        if (grey == NULL) {
            status = CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory for a picture");
            goto done;
        }
    }
    if (width != image->width || height != image->height) {
        resized = malloc((size_t)(width * height * channels));
        status = resized == NULL ? CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory for a picture")
                                 : cyg_resize_u8(ctx, in, image->width, image->height, channels,
                                                 p->filter, width, height, resized);
        if (status != CYG_OK)
            goto done;
        in = resized;
    }
    crop(p, in, width, height, out);
done:
    free(grey);
    free(resized);
    return status;
}

cyg_status cyg_preprocess_decode(cyg_ctx *ctx, const cyg_preprocess *p, const char *name,
                                 const void *data, size_t size, uint8_t *out, int *out_orientation)
{
    cyg_image image;
    CYG_DO(cyg_image_decode(ctx, name, data, size, &image));
    if (out_orientation != NULL)
        *out_orientation = image.orientation;
    cyg_status status = cyg_preprocess_pixels(ctx, p, &image, out);
    if (status != CYG_OK)
        status = CYG_FAIL(ctx, status, "%s", name);
    cyg_image_deinit(&image);
    return status;
}

void cyg_preprocess_normalise(const cyg_preprocess *p, const uint8_t *pixels, float *out)
{
    const size_t channels = (size_t)cyg_preprocess_channels(p);
    const size_t plane = (size_t)(p->height * p->width);
    const size_t step =
        p->source_nhwc ? channels : 1; /* between neighbours of one channel in out */
    for (size_t c = 0; c < channels; c++) {
        float table[256]; /* 256 divisions a channel instead of one a pixel: the same values */
        for (int v = 0; v < 256; v++) {
            float x = (float)v;
            if (p->normalize) {
                x = x - p->mean[c];
                x = x / p->std[c];
            }
            table[v] = x;
        }
        float *to = out + (p->source_nhwc ? c : c * plane);
        for (size_t i = 0; i < plane; i++)
            to[i * step] = table[pixels[i * channels + c]];
    }
}
