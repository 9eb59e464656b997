/* Pillow's resampling, bit for bit, because models were trained and are judged on what Pillow makes
 * of a picture.
 *
 * The method: per axis, output pixel x is centred at (x + 0.5) * scale of the input; the filter is
 * stretched by the scale when shrinking (so it averages, "antialias"), cut to the picture and
 * normalised to sum 1, all in binary64; each weight is then rounded (half away from zero) to a
 * multiple of 2^-22. A pixel is the exact integer sum of weight * sample plus one half, shifted
 * down and clipped to 0..255. First along rows, then along columns, with 8-bit pixels in between;
 * an axis whose size stays is left out. (Pillow 13 turns the two passes round when columns shrink
 * much more; this is the order of all versions before, with which today's checkpoints were trained
 * and measured.) Sums fit 32 bits: 255 * 2^22 * sum |weight| < 2^31 for sums up to 2, and Lanczos
 * has less than 1.5.
 *
 * Nearest is another road in Pillow: coordinates advance by repeated addition, which is reproduced
 * here as it is.
 *
 * Determinism: bilinear, bicubic and box use only + - * / of binary64. Lanczos and Hamming need a
 * sine: trig.c, ours, so that no libm can differ. Pillow uses its platform's; an ulp of difference
 * vanishes in the rounding to 22 bits. Witness: tests/data/make_reference.py. */
#include "data/resize.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "data/trig.h"

enum { PRECISION = 32 - 8 - 2 };

const char *cyg_resize_filter_name(cyg_resize_filter filter)
{
    switch (filter) {
#define CYG_FILTER(id, number, name)                                                               \
    case CYG_RESIZE_##id:                                                                          \
        return name;
        CYG_RESIZE_FILTERS(CYG_FILTER)
#undef CYG_FILTER
    }
    return "?";
}

static double box(double x)
{
    return x > -0.5 && x <= 0.5 ? 1.0 : 0.0;
}

static double bilinear(double x)
{
    x = x < 0 ? -x : x;
    return x < 1 ? 1 - x : 0;
}

static double hamming(double x)
{
    x = x < 0 ? -x : x;
    if (x == 0)
        return 1;
    if (x >= 1)
        return 0;
    x = x * CYG_PI;
    return cyg_sin(x) / x *
           ((double)0.54f + (double)0.46f * cyg_cos(x)); /* binary32, as in Pillow */
}

static double bicubic(double x)
{
    const double a = -0.5;
    x = x < 0 ? -x : x;
    if (x < 1)
        return ((a + 2) * x - (a + 3)) * x * x + 1;
    if (x < 2)
        return (((x - 5) * x + 8) * x - 4) * a;
    return 0;
}

static double sinc(double x)
{
    if (x == 0)
        return 1;
    x = x * CYG_PI;
    return cyg_sin(x) / x;
}

static double lanczos(double x)
{
    return -3 <= x && x < 3 ? sinc(x) * sinc(x / 3) : 0;
}

typedef struct kernel {
    double (*weight)(double x);
    double support;
} kernel;

/* Weights of one axis: output i sums count[i] inputs from first[i] on, weights at weights[i *
 * stride]. */
typedef struct axis {
    int32_t *weights;
    int64_t *first, *count;
    int64_t stride;
} axis;

static void axis_deinit(axis *a)
{
    free(a->weights);
    free(a->first);
    free(a->count);
}

static int32_t to_fixed(double w)
{
    const double scaled = w * (1 << PRECISION);
    return (int32_t)(w < 0 ? -0.5 + scaled : 0.5 + scaled);
}

static void fill_axis(axis *a, double *row, kernel k, int64_t in, int64_t out)
{
    const double scale = (double)in / (double)out;
    const double stretch = scale < 1 ? 1 : scale;
    const double support = k.support * stretch, shrink = 1.0 / stretch;
    for (int64_t i = 0; i < out; i++) {
        const double center = ((double)i + 0.5) * scale;
        int64_t low = (int64_t)(center - support + 0.5), high = (int64_t)(center + support + 0.5);
        low = low < 0 ? 0 : low;
        high = high > in ? in : high;
        double sum = 0;
        for (int64_t x = 0; x < high - low; x++) {
            row[x] = k.weight(((double)(x + low) - center + 0.5) * shrink);
            sum += row[x];
        }
        for (int64_t x = 0; x < high - low; x++)
            a->weights[i * a->stride + x] = to_fixed(sum != 0 ? row[x] / sum : row[x]);
        a->first[i] = low;
        a->count[i] = high - low;
    }
}

static cyg_status make_axis(cyg_ctx *ctx, kernel k, int64_t in, int64_t out, axis *a)
{
    const double scale = (double)in / (double)out;
    const double support = k.support * (scale < 1 ? 1 : scale);
    const int64_t whole = (int64_t)support;
    a->stride = ((double)whole < support ? whole + 1 : whole) * 2 + 1;
    double *row = malloc((size_t)a->stride * sizeof *row);
    a->weights = malloc((size_t)(out * a->stride) * sizeof *a->weights);
    a->first = malloc((size_t)out * sizeof *a->first);
    a->count = malloc((size_t)out * sizeof *a->count);
    const bool ok = row != NULL && a->weights != NULL && a->first != NULL && a->count != NULL;
    if (ok)
        fill_axis(a, row, k, in, out);
    free(row);
    return ok ? CYG_OK : CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory while resizing a picture");
}

static uint8_t clip(int32_t sum)
{
    const int32_t v = sum >> PRECISION;
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

/* One row of `width` inputs to one row of outputs. */
static void resample_row(const axis *a, const uint8_t *in, uint8_t *out, int64_t out_width,
                         int64_t channels)
{
    for (int64_t x = 0; x < out_width; x++) {
        const int32_t *w = a->weights + x * a->stride;
        const uint8_t *p = in + a->first[x] * channels;
        for (int64_t c = 0; c < channels; c++) {
            int32_t sum = 1 << (PRECISION - 1);
            for (int64_t i = 0; i < a->count[x]; i++)
                sum += p[i * channels + c] * w[i];
            out[x * channels + c] = clip(sum);
        }
    }
}

/* Output row y: every sample is the weighted sum of a column. sums holds one row. */
static void resample_column(const axis *a, const uint8_t *in, uint8_t *out, int64_t y,
                            int64_t width, int32_t *sums)
{
    for (int64_t x = 0; x < width; x++)
        sums[x] = 1 << (PRECISION - 1);
    for (int64_t i = 0; i < a->count[y]; i++) {
        const int32_t w = a->weights[y * a->stride + i];
        const uint8_t *row = in + (a->first[y] + i) * width;
        for (int64_t x = 0; x < width; x++)
            sums[x] += row[x] * w;
    }
    for (int64_t x = 0; x < width; x++)
        out[x] = clip(sums[x]);
}

static cyg_status resample(cyg_ctx *ctx, kernel k, const uint8_t *in, int64_t in_width,
                           int64_t in_height, int64_t channels, int64_t out_width,
                           int64_t out_height, uint8_t *out)
{
    axis across = {0}, down = {0};
    uint8_t *between = NULL;
    int32_t *sums = NULL;
    cyg_status status = CYG_OK;
    const int64_t row = out_width * channels;
    const uint8_t *tall = in; /* [in_height, out_width, channels] */
    if (in_width != out_width) {
        uint8_t *to = out;
        if (in_height != out_height)
            to = between = malloc((size_t)(in_height * row));
        status = to == NULL ? CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory while resizing a picture")
                            : make_axis(ctx, k, in_width, out_width, &across);
        if (status != CYG_OK)
            goto done;
        for (int64_t y = 0; y < in_height; y++)
            resample_row(&across, in + y * in_width * channels, to + y * row, out_width, channels);
        tall = to;
    }
    if (in_height != out_height) {
        sums = malloc((size_t)row * sizeof *sums);
        status = sums == NULL ? CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory while resizing a picture")
                              : make_axis(ctx, k, in_height, out_height, &down);
        if (status != CYG_OK)
            goto done;
        for (int64_t y = 0; y < out_height; y++)
            resample_column(&down, tall, out + y * row, y, row, sums);
    } else if (tall == in) {
        memcpy(out, in, (size_t)(out_height * row));
    }
done:
    axis_deinit(&across);
    axis_deinit(&down);
    free(between);
    free(sums);
    return status;
}

static cyg_status nearest(cyg_ctx *ctx, const uint8_t *in, int64_t in_width, int64_t in_height,
                          int64_t channels, int64_t out_width, int64_t out_height, uint8_t *out)
{
    const double step_x = (double)in_width / (double)out_width;
    const double step_y = (double)in_height / (double)out_height;
    int64_t *columns = malloc((size_t)out_width * sizeof *columns);
    if (columns == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory while resizing a picture");
    double at = step_x * 0.5;
    for (int64_t x = 0; x < out_width; x++, at += step_x)
        columns[x] = (int64_t)at < in_width ? (int64_t)at : in_width - 1;
    at = step_y * 0.5;
    for (int64_t y = 0; y < out_height; y++, at += step_y) {
        const int64_t from = (int64_t)at < in_height ? (int64_t)at : in_height - 1;
        const uint8_t *row = in + from * in_width * channels;
        for (int64_t x = 0; x < out_width; x++)
            for (int64_t c = 0; c < channels; c++)
                *out++ = row[columns[x] * channels + c];
    }
    free(columns);
    return CYG_OK;
}

static bool is_size(int64_t width, int64_t height)
{
    return width > 0 && height > 0 && width <= CYG_RESIZE_LONGEST_SIDE &&
           height <= CYG_RESIZE_LONGEST_SIDE && width * height <= CYG_RESIZE_MOST_PIXELS;
}

cyg_status cyg_resize_u8(cyg_ctx *ctx, const uint8_t *in, int64_t in_width, int64_t in_height,
                         int64_t channels, cyg_resize_filter filter, int64_t out_width,
                         int64_t out_height, uint8_t *out)
{
    CYG_ASSERT(channels == 1 || channels == 3);
    if (!is_size(in_width, in_height) || !is_size(out_width, out_height))
        return CYG_FAIL(ctx, CYG_E_UNSUPPORTED,
                        "cannot resize %" PRId64 "x%" PRId64 " to %" PRId64 "x%" PRId64
                        ": a side may have %d pixels, a picture %d",
                        in_width, in_height, out_width, out_height, CYG_RESIZE_LONGEST_SIDE,
                        CYG_RESIZE_MOST_PIXELS);
    if (filter == CYG_RESIZE_NEAREST)
        return nearest(ctx, in, in_width, in_height, channels, out_width, out_height, out);
    static const kernel kernels[] = {[CYG_RESIZE_LANCZOS] = {lanczos, 3},
                                     [CYG_RESIZE_BILINEAR] = {bilinear, 1},
                                     [CYG_RESIZE_BICUBIC] = {bicubic, 2},
                                     [CYG_RESIZE_BOX] = {box, 0.5},
                                     [CYG_RESIZE_HAMMING] = {hamming, 1}};
    CYG_ASSERT((size_t)filter < CYG_COUNT(kernels));
    return resample(ctx, kernels[filter], in, in_width, in_height, channels, out_width, out_height,
                    out);
}
