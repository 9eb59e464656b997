/* A picture, or what was made of one, to a package's input as META describes it: pixels in an
 * order, in floats or bytes, codes of another type, or video. */
#include "app/meta.h"

#include <stdlib.h>
#include <string.h>

#include "app/encode.h"
#include "ir/graph.h"

bool cyg_meta_feeds_bytes(const cyg_package_meta *meta)
{
    return meta->input_type == CYG_TYPE_U8 && meta->input_zero == 0 && meta->input_scale >= 1.0f &&
           meta->input_scale <= 1.0f;
}

size_t cyg_meta_input_bytes(const cyg_package_meta *meta)
{
    const cyg_preprocess *p = &meta->preprocess;
    int64_t dims[3];
    if (meta->input_yuv == CYG_YUV_NONE)
        return cyg_preprocess_count(p) * cyg_type_size(meta->input_type);
    cyg_yuv_shape(meta->input_yuv, p->height, p->width, dims);
    return (size_t)(dims[0] * dims[1] * dims[2]);
}

/* ---- pictures ---- */

static bool must_swap(const cyg_package_meta *meta)
{
    const bool is_bgr = meta->preprocess.order == CYG_ORDER_BGR;
    return meta->preprocess.order != CYG_ORDER_GRAY && is_bgr != meta->input_bgr;
}

/* Where channel c of pixel i of [plane, channels] goes. */
static size_t place(const cyg_package_meta *meta, size_t plane, size_t channels, size_t i, size_t c)
{
    const size_t to = must_swap(meta) ? channels - 1 - c : c;
    return meta->input_nhwc ? i * channels + to : to * plane + i;
}

/* The code of x. */
static void put(const cyg_package_meta *meta, void *out, size_t at, double x)
{
    cyg_encode(meta->input_type, meta->input_scale, meta->input_zero, x, out, at);
}

static void feed_floats(const cyg_package_meta *meta, const uint8_t *pixels, float *out)
{
    const size_t channels = (size_t)cyg_preprocess_channels(&meta->preprocess);
    const size_t plane = cyg_preprocess_count(&meta->preprocess) / channels;
    const size_t step = meta->input_nhwc ? channels : 1, last = meta->input_nhwc ? 2 : 2 * plane;
    cyg_preprocess p = meta->preprocess;
    p.normalize = p.normalize && meta->input_normalized;
    p.source_nhwc = meta->input_nhwc;
    cyg_preprocess_normalise(&p, pixels, out);
    for (size_t i = 0; must_swap(meta) && i < plane; i++) {
        const float first = out[i * step];
        out[i * step] = out[i * step + last];
        out[i * step + last] = first;
    }
}

/* A channel's pixels have 256 values: their codes are made once. */
static void feed_codes(const cyg_package_meta *meta, const uint8_t *pixels, void *out)
{
    const cyg_preprocess *p = &meta->preprocess;
    const size_t channels = (size_t)cyg_preprocess_channels(p);
    const size_t plane = cyg_preprocess_count(p) / channels, size = cyg_type_size(meta->input_type);
    const size_t step = (meta->input_nhwc ? channels : 1) * size;
    const bool normalise = p->normalize && meta->input_normalized;
    for (size_t c = 0; c < channels; c++) {
        uint8_t codes[256 * sizeof(double)], *to = out;
        for (int v = 0; v < 256; v++) {
            const float x = (float)v;
            put(meta, codes, (size_t)v, (double)(normalise ? (x - p->mean[c]) / p->std[c] : x));
        }
        to += place(meta, plane, channels, 0, c) * size;
        for (size_t i = 0; size == 1 && i < plane; i++)
            to[i * step] = codes[pixels[i * channels + c]];
        for (size_t i = 0; size != 1 && i < plane; i++)
            memcpy(to + i * step, codes + pixels[i * channels + c] * size, size);
    }
}

void cyg_meta_feed_pixels(const cyg_package_meta *meta, const uint8_t *pixels, void *out_input)
{
    const cyg_preprocess *p = &meta->preprocess;
    if (meta->input_yuv != CYG_YUV_NONE) /* an inverse exists: seen to when META was read */
        (void)cyg_yuv_encode(meta->input_yuv, meta->input_csc, pixels, p->height, p->width,
                             out_input);
    else if (meta->input_type == CYG_TYPE_F32)
        feed_floats(meta, pixels, out_input);
    else
        feed_codes(meta, pixels, out_input);
}

static cyg_status need_preprocess(cyg_app *app, const cyg_package_meta *meta, size_t bytes)
{
    if (!meta->has_preprocess)
        return CYG_FAIL(&app->ctx, CYG_E_UNSUPPORTED,
                        "the package does not say how to make its input out of a picture (it was "
                        "calibrated on arrays): use `cygnet run`");
    const size_t expected = cyg_meta_input_bytes(meta);
    if (bytes != expected)
        return CYG_FAIL(&app->ctx, CYG_E_FORMAT,
                        "the package's preprocessing makes %zu bytes, its input takes %zu",
                        expected, bytes);
    return CYG_OK;
}

cyg_status cyg_meta_feed_image(cyg_app *app, const cyg_package_meta *meta, const char *name,
                               const void *data, size_t size, void *out_input, size_t bytes)
{
    int orientation = 1;
    CYG_TRY(&app->ctx, need_preprocess(app, meta, bytes), "%s", name);
    uint8_t *pixels = malloc(cyg_preprocess_count(&meta->preprocess));
    if (pixels == NULL)
        return CYG_FAIL(&app->ctx, CYG_E_NOMEM, "%s: out of memory", name);
    const cyg_status status =
        cyg_preprocess_decode(&app->ctx, &meta->preprocess, name, data, size, pixels, &orientation);
    if (status == CYG_OK)
        cyg_meta_feed_pixels(meta, pixels, out_input);
    if (status == CYG_OK && orientation != 1)
        cyg_note(&app->ctx, "%s: its EXIF orientation %d is not applied", name, orientation);
    free(pixels);
    return status;
}

/* ---- float arrays ---- */

/* The pixel that was normalised to x; rounded, because packages of bytes take whole ones. */
static float pixel_of(const cyg_preprocess *p, size_t channel, float x)
{
    const float pixel = p->normalize ? x * p->std[channel] + p->mean[channel] : x;
    return pixel < 0 ? 0 : pixel > 255 ? 255 : pixel;
}

static cyg_status feed_video(cyg_app *app, const cyg_package_meta *meta, const float *values,
                             void *out_input)
{
    const cyg_preprocess *p = &meta->preprocess;
    const size_t plane = cyg_preprocess_count(p) / 3;
    uint8_t *pixels = malloc(plane * 3 + 1);
    if (pixels == NULL)
        return CYG_FAIL(&app->ctx, CYG_E_NOMEM, "out of memory");
    for (size_t i = 0; i < plane; i++)
        for (size_t c = 0; c < 3; c++)
            pixels[i * 3 + c] = (uint8_t)(pixel_of(p, c, values[c * plane + i]) + 0.5f);
    cyg_meta_feed_pixels(meta, pixels, out_input);
    free(pixels);
    return CYG_OK;
}

cyg_status cyg_meta_feed_array(cyg_app *app, const cyg_package_meta *meta, const char *name,
                               const float *values, size_t count, void *out_input, size_t bytes)
{
    CYG_TRY(&app->ctx, need_preprocess(app, meta, bytes), "%s", name);
    const cyg_preprocess *p = &meta->preprocess;
    const size_t channels = (size_t)cyg_preprocess_channels(p);
    if (count != cyg_preprocess_count(p))
        return CYG_FAIL(&app->ctx, CYG_E_FORMAT, "%s: expected %zu values, found %zu", name,
                        cyg_preprocess_count(p), count);
    if (meta->input_yuv != CYG_YUV_NONE)
        return feed_video(app, meta, values, out_input);
    const size_t plane = count / channels;
    for (size_t c = 0; c < channels; c++)
        for (size_t i = 0; i < plane; i++) {
            const float x = values[c * plane + i];
            put(meta, out_input, place(meta, plane, channels, i, c),
                (double)(meta->input_normalized ? x : pixel_of(p, c, x)));
        }
    return CYG_OK;
}
