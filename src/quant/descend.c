/* Coordinate descent on the integers of one output. The closed form of round.c decides on a tap
 * before it knows what becomes of those after it, and never looks back. This looks back: with
 * gradient g = H d, tap p is best moved by the integer nearest to g[p] / (H[p][p] step). What moves
 * changes every gradient, so taps are visited again until nothing moves. Few taps do (one in ten at
 * first), so this costs less than the closed form. */
#include "quant/descend.h"

enum { SWEEPS = 12 };

/* Nearest whole number of what is not huge. */
static float nearest(float x)
{
    x = x > -1e6f ? x : -1e6f;
    x = x < 1e6f ? x : 1e6f;
    return (x + 12582912.0f) - 12582912.0f;
}

/* false: it stays. */
static bool move_tap(cyg_descent *d, int64_t p)
{
    const float *row = d->h->matrix + p * d->h->stride;
    const int32_t was = d->q[p];
    int32_t now = was + (int32_t)nearest(d->gradient[p] / (row[p] * d->step));
    now = now < d->least ? d->least : now > d->most ? d->most : now;
    if (now == was)
        return false;
    const float by = -(float)(now - was) * d->step;
    d->q[p] = now;
    d->off[p] += by;
    for (int64_t k = d->h->padding; k < d->h->size; k++)
        d->gradient[k] += by * row[k];
    return true;
}

double cyg_quant_descend(cyg_descent *d)
{
    bool moved = true;
    for (int sweep = 0; moved && sweep < SWEEPS; sweep++) {
        moved = false;
        for (int64_t p = d->h->size - 1; p >= d->h->padding; p--)
            moved = move_tap(d, p) || moved;
    }
    double error = 0.0;
    for (int64_t p = d->h->padding; p < d->h->size; p++)
        error += (double)d->off[p] * (double)d->gradient[p];
    return error;
}
