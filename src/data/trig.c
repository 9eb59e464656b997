/* Sine and cosine for resize filters.
 *
 * libm's differ in the last bit between C libraries, and a package may not depend on the library
 * (docs/numerics.md rule 6). x is reduced by the nearest multiple of pi/2, given as the sum of two
 * parts of which the first has 30 trailing zero bits, so that n times it is exact; then the Taylor
 * series to x^19 and x^18 on |r| <= pi/4, where the rest is below 2^-60. Only + - * in a fixed
 * order, no contraction. Error below 1.5 ulp of 1 (tests/data). */
#include "data/trig.h"

#include <stdint.h>

static const double half_pi_high = 0x1.921fb5p+0;
static const double half_pi_low = 1.5893254773528196e-08; /* pi/2 - high */

static double sine(double r)
{
    const double q = r * r;
    double s = -1.0 / 121645100408832000.0;
    s = s * q + 1.0 / 355687428096000.0;
    s = s * q - 1.0 / 1307674368000.0;
    s = s * q + 1.0 / 6227020800.0;
    s = s * q - 1.0 / 39916800.0;
    s = s * q + 1.0 / 362880.0;
    s = s * q - 1.0 / 5040.0;
    s = s * q + 1.0 / 120.0;
    s = s * q - 1.0 / 6.0;
    return r + r * (s * q);
}

static double cosine(double r)
{
    const double q = r * r;
    double s = -1.0 / 6402373705728000.0;
    s = s * q + 1.0 / 20922789888000.0;
    s = s * q - 1.0 / 87178291200.0;
    s = s * q + 1.0 / 479001600.0;
    s = s * q - 1.0 / 3628800.0;
    s = s * q + 1.0 / 40320.0;
    s = s * q - 1.0 / 720.0;
    s = s * q + 1.0 / 24.0;
    s = s * q - 0.5;
    return 1.0 + s * q;
}

/* sin(x + quarter * pi/2) */
static double turn(double x, int64_t quarter)
{
    const double turns = x / half_pi_high;
    const int64_t n = (int64_t)(turns < 0 ? turns - 0.5 : turns + 0.5);
    const double r = (x - (double)n * half_pi_high) - (double)n * half_pi_low;
    switch ((uint64_t)(n + quarter) & 3) {
    case 0:
        return sine(r);
    case 1:
        return cosine(r);
    case 2:
        return -sine(r);
    default:
        return -cosine(r);
    }
}

double cyg_sin(double x)
{
    return turn(x, 0);
}

double cyg_cos(double x)
{
    return turn(x, 1);
}
