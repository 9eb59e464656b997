/* What reading between elements needs: whole parts of coordinates, and the weights of the cubic
 * convolution (Keys 1981). Binary64. */
#ifndef CYG_KERNELS_F32_SAMPLING_H
#define CYG_KERNELS_F32_SAMPLING_H

#include <stdint.h>

#include "base/attr.h"

/* floor for |x| below 2^62. */
CYG_INLINE int64_t cyg_floor_i64(double x)
{
    const int64_t t = (int64_t)x;
    return (double)t > x ? t - 1 : t;
}

/* Weight of an element at distance d: (a + 2) |d|^3 - (a + 3) |d|^2 + 1 up to 1, a |d|^3 - 5 a
 * |d|^2 + 8 a |d| - 4 a up to 2. */
CYG_INLINE double cyg_cubic_weight(double a, double d)
{
    const double x = d < 0.0 ? -d : d;
    if (x <= 1.0)
        return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
    return x < 2.0 ? ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a : 0.0;
}

#endif
