/* Positions of tokens.
 *
 * Relative ones: offsets run over (2h-1) x (2w-1); the row of query i and key j is
 *   (dy + h - 1) * (2w - 1) + dx + w - 1,  dy = row of i - row of j.
 * SwinV2 scales each coordinate to [-8, 8] by its window less one (or that of pretraining), takes
 *   sign(c) log2(|c| + 1) / log2(8),
 * and asks a network of one hidden layer; the bias is 16 sigmoid(answer). All this is constant, so
 * it becomes a table like V1's. Computed in double, rounded once.
 *
 * Absolute ones for another grid: each new row is a weighted sum of old ones along both axes. */
#include "models/position.h"

#include <math.h>
#include <stddef.h>

int64_t cyg_position_offset(const int64_t window[2], int64_t i, int64_t j)
{
    const int64_t w = window[1];
    return (i / w - j / w + window[0] - 1) * (2 * w - 1) + i % w - j % w + w - 1;
}

static double coordinate(int64_t offset, int64_t window, int64_t pretrained)
{
    const int64_t scale = (pretrained > 0 ? pretrained : window) - 1;
    const double c = 8.0 * (double)offset / (double)(scale > 0 ? scale : 1);
    return (c < 0 ? -1 : 1) * log2(fabs(c) + 1) / 3.0;
}

enum { GROUP = 16 }; /* heads that share one evaluation of the hidden layer */

static void answer(const cyg_position_mlp *mlp, double y, double x, int64_t first, float *out)
{
    const int64_t count = mlp->heads - first < GROUP ? mlp->heads - first : GROUP;
    double sums[GROUP] = {0};
    for (int64_t k = 0; k < mlp->hidden; k++) {
        const double v =
            (double)mlp->w1[2 * k] * y + (double)mlp->w1[2 * k + 1] * x + (double)mlp->b1[k];
        for (int64_t h = 0; v > 0 && h < count; h++)
            sums[h] += v * (double)mlp->w2[(first + h) * mlp->hidden + k];
    }
    for (int64_t h = 0; h < count; h++)
        out[first + h] = (float)(16.0 / (1.0 + exp(-sums[h])));
}

void cyg_position_run(const cyg_position_mlp *mlp, const int64_t window[2], int64_t pretrained,
                      float *out)
{
    const int64_t rows = 2 * window[0] - 1, columns = 2 * window[1] - 1;
    for (int64_t i = 0; i < rows * columns; i++) {
        const double y = mlp->coordinates != NULL
                             ? (double)mlp->coordinates[2 * i]
                             : coordinate(i / columns - window[0] + 1, window[0], pretrained);
        const double x = mlp->coordinates != NULL
                             ? (double)mlp->coordinates[2 * i + 1]
                             : coordinate(i % columns - window[1] + 1, window[1], pretrained);
        for (int64_t h = 0; h < mlp->heads; h += GROUP)
            answer(mlp, y, x, h, out + i * mlp->heads);
    }
}

/* ---- tables for another grid ---- */

static double cubic(double x, double a)
{
    x = fabs(x);
    if (x < 1)
        return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? a * (((x - 5) * x + 8) * x - 4) : 0;
}

static int64_t clamp(int64_t at, int64_t size)
{
    return at < 0 ? 0 : at >= size ? size - 1 : at;
}

/* Weights of place i of `to` over places first .. first + count - 1 of `from`; returns count. */
static int64_t sharp_weights(cyg_resampling how, int64_t from, int64_t to, int64_t i,
                             double *weights, int64_t *out_first)
{
    const double at = how == CYG_RESAMPLE_HALF_PIXEL
                          ? ((double)i + 0.5) * (double)from / (double)to - 0.5
                      : to > 1 ? (double)i * (double)(from - 1) / (double)(to - 1)
                               : 0;
    const int64_t base = (int64_t)floor(at);
    const int64_t first = clamp(base - 1, from), last = clamp(base + 2, from);
    for (int64_t k = first; k <= last; k++)
        weights[k - first] = 0;
    for (int64_t k = base - 1; k <= base + 2; k++)
        weights[clamp(k, from) - first] += cubic(at - (double)k, -0.75);
    *out_first = first;
    return last - first + 1;
}

/* The same, widened to the scale of a shrinking grid, cut at the border and brought to sum 1. */
static int64_t soft_weights(int64_t from, int64_t to, int64_t i, double *weights,
                            int64_t *out_first)
{
    const double scale = (double)from / (double)to, wide = scale > 1 ? scale : 1;
    const double centre = ((double)i + 0.5) * scale;
    const int64_t low = (int64_t)fmax(centre - 2 * wide + 0.5, 0);
    const int64_t high = (int64_t)fmin(centre + 2 * wide + 0.5, (double)from);
    double sum = 0;
    for (int64_t k = low; k < high; k++) {
        weights[k - low] = cubic(((double)k - centre + 0.5) / wide, -0.5);
        sum += weights[k - low];
    }
    for (int64_t k = low; k < high; k++)
        weights[k - low] /= sum;
    *out_first = low;
    return high - low;
}

void cyg_position_resample(const float *from, const int64_t from_size[2], cyg_resampling how,
                           const int64_t to_size[2], int64_t dim, double *scratch, float *out)
{
    for (int64_t i = 0; i < to_size[0] * to_size[1]; i++) {
        const int64_t place[2] = {i / to_size[1], i % to_size[1]};
        double *const weights[2] = {scratch, scratch + from_size[0] + 4};
        int64_t first[2], count[2];
        for (int a = 0; a < 2; a++)
            count[a] =
                how == CYG_RESAMPLE_ANTIALIAS
                    ? soft_weights(from_size[a], to_size[a], place[a], weights[a], &first[a])
                    : sharp_weights(how, from_size[a], to_size[a], place[a], weights[a], &first[a]);
        for (int64_t c = 0; c < dim; c++) {
            double sum = 0;
            for (int64_t y = 0; y < count[0]; y++)
                for (int64_t x = 0; x < count[1]; x++)
                    sum += weights[0][y] * weights[1][x] *
                           (double)from[((first[0] + y) * from_size[1] + first[1] + x) * dim + c];
            out[i * dim + c] = (float)sum;
        }
    }
}
