/* fma in binary32, the same bits on every machine.
 *
 * With a fused instruction the compiler's builtin is one instruction. Without it libm would be
 * called, which kernels may not, and a plain double a*b+c is not an fma: the product is exact in
 * binary64 (24 + 24 bits), but the sum is rounded twice, once to binary64 and once to binary32. So:
 * the exact error of the sum by Knuth's TwoSum, and when there is one, the sum is rounded to odd
 * (the neighbour whose last bit is one). Rounding an odd 53-bit number to 24 bits then gives what
 * one rounding of the exact value would. */
#ifndef CYG_KERNELS_FMAF_H
#define CYG_KERNELS_FMAF_H

#include <stdint.h>
#include <string.h>

#include "base/attr.h"

/* The emulation itself, always compiled: a test compares it with the hardware. */
CYG_INLINE float cyg_fmaf_exact(float a, float b, float c)
{
    const double p = (double)a * (double)b, q = (double)c;
    double s = p + q;
    const double v = s - p;
    const double err = (p - (s - v)) + (q - v);
    uint64_t bits;
    memcpy(&bits, &s, sizeof bits);
    /* Towards zero or away from it, whichever side the exact value lies on; without branches, so
     * that loops vectorise. err is NaN when s is infinite or NaN and compares false: such sums are
     * exact enough as they stand. */
    const uint64_t up = (uint64_t)(err > 0), down = (uint64_t)(err < 0);
    const uint64_t even = ~bits & (up | down) & 1u;
    const uint64_t away = bits >> 63 ^ up;
    bits += even * (2u * away - 1u);
    memcpy(&s, &bits, sizeof s);
    return (float)s;
}

CYG_INLINE float cyg_fmaf(float a, float b, float c)
{
#if defined(__FMA__) || defined(__aarch64__)
    return __builtin_fmaf(a, b, c);
#else
    return cyg_fmaf_exact(a, b, c);
#endif
}

#endif
