/* Relative positions.
 *
 * Offsets run over (2h-1) x (2w-1); the row of query i and key j is
 *   (dy + h - 1) * (2w - 1) + dx + w - 1,  dy = row of i - row of j.
 * SwinV2 scales each coordinate to [-8, 8] by its window less one (or that of pretraining), takes
 *   sign(c) log2(|c| + 1) / log2(8),
 * and asks a network of one hidden layer; the bias is 16 sigmoid(answer). All this is constant, so
 * it becomes a table like V1's. Computed in double, rounded once. */
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
