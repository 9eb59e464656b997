/* binary32 to decimal text, for files with a scale for every channel: printf and strtof take longer
 * over these than the build takes to find them.
 *
 * A number is scaled to so many digits in binary64, rounded, and scaled back to see whether it
 * reads as the same float. Each scaling is off by a few units of the last place at most, so the
 * answer is sure unless it falls next to a tie; then printf and strtof decide, which are exact. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

enum {
    LEAST = 6, /* digits, as many as %g */
    MOST = 9,  /* always enough */
    FAR = 22,  /* powers of ten up to here are exact */
};
static const double ten_to[FAR + 1] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                       1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                       1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
static const double unsure = 1e-6; /* of a unit of the last digit: 1e9 * 2^-52 and some */
static const double doubt = 1e-14; /* relative, of what was scaled twice */

/* x * 10^n, within two roundings. */
static double scaled(double x, int n)
{
    return n >= 0 ? x * ten_to[n] : x / ten_to[-n];
}

/* The decimal exponent of x, one of -(FAR - MOST)..FAR - 1. */
static int exponent_of(double x)
{
    int e = 0;
    if (x >= 1.0)
        while (e < FAR && x >= ten_to[e + 1])
            e++;
    else
        while (e > -FAR && x * ten_to[-e] < 1.0)
            e--;
    return e;
}

/* As %.*g writes the whole number r of so many digits, times 10^(exponent + 1 - digits). */
static void put(bool negative, int64_t r, int digits, int exponent, char *out)
{
    char text[MOST + 1];
    int kept = digits;
    for (int i = digits; i-- > 0; r /= 10)
        text[i] = (char)('0' + r % 10);
    while (kept > 1 && text[kept - 1] == '0')
        kept--;
    if (negative)
        *out++ = '-';
    if (exponent < -4 || exponent >= digits) {
        *out++ = text[0];
        if (kept > 1)
            *out++ = '.';
        memcpy(out, text + 1, (size_t)kept - 1);
        snprintf(out + kept - 1, 8, "e%c%02d", exponent < 0 ? '-' : '+', abs(exponent));
        return;
    }
    if (exponent < 0) {
        memcpy(out, "0.000", (size_t)(1 - exponent));
        out += 1 - exponent;
    }
    for (int i = 0; i < kept || i <= exponent; i++) {
        if (i == exponent + 1 && exponent >= 0)
            *out++ = '.';
        *out++ = i < kept ? text[i] : '0';
    }
    *out = '\0';
}

/* False: not sure, or not worth it. */
static bool put_fast(float value, char *out)
{
    const double x = fabs((double)value);
    if (!(x >= 1e-12 && x < 1e12))
        return false;
    const int exponent = exponent_of(x);
    const double above = ((double)nextafterf((float)x, INFINITY) + x) / 2,
                 below = ((double)nextafterf((float)x, 0.0f) + x) / 2;
    for (int digits = LEAST; digits <= MOST; digits++) {
        const int n = digits - 1 - exponent;
        const double s = scaled(x, n), r = floor(s + 0.5), back = scaled(r, -n);
        if (fabs(s - floor(s) - 0.5) < unsure || fabs(back / above - 1) < doubt ||
            fabs(back / below - 1) < doubt || r < ten_to[digits - 1] || r >= ten_to[digits])
            return false;
        if (back < below || back > above)
            continue;
        put(value < 0, (int64_t)r, digits, exponent, out);
        return true;
    }
    return false;
}

void cyg_text_float(float value, char out[CYG_FLOAT_TEXT])
{
    if (put_fast(value, out))
        return;
    for (int digits = LEAST; digits <= MOST; digits++) {
        snprintf(out, CYG_FLOAT_TEXT, "%.*g", digits, (double)value);
        if (digits == MOST || strtof(out, NULL) == value)
            return;
    }
}
