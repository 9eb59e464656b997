/* Small numbers and colours.
 *
 * Everything the pictures are made of is here or in noise.h: a vector of three floats that is a
 * point, a direction or a linear-light colour as the place needs it, and the few functions of
 * mathematics that a shader wants.  The pictures must have the same bytes on every machine, so
 * nothing is taken from libm but sqrtf, which IEEE 754 rounds correctly, and fabsf, which clears
 * a bit; sine, exponential and logarithm are polynomials of our own, evaluated in one fixed order
 * in binary32.  A few ulps of error are invisible in a picture; a different ulp on another
 * machine would not be. */
#ifndef CYGNET_TRAIN_VEC_H
#define CYGNET_TRAIN_VEC_H

#include <math.h>
#include <stdint.h>
#include <string.h>

typedef struct {
    float x, y, z;
} vec3;

static inline vec3 v3(float x, float y, float z)
{
    vec3 r = {x, y, z};
    return r;
}

static inline vec3 add3(vec3 a, vec3 b)
{
    return v3(a.x + b.x, a.y + b.y, a.z + b.z);
}

static inline vec3 sub3(vec3 a, vec3 b)
{
    return v3(a.x - b.x, a.y - b.y, a.z - b.z);
}

static inline vec3 mul3(vec3 a, vec3 b)
{
    return v3(a.x * b.x, a.y * b.y, a.z * b.z);
}

static inline vec3 scale3(vec3 a, float s)
{
    return v3(a.x * s, a.y * s, a.z * s);
}

static inline vec3 mix3(vec3 a, vec3 b, float t)
{
    return add3(a, scale3(sub3(b, a), t));
}

static inline float dot3(vec3 a, vec3 b)
{
    return a.x * b.x + a.y * b.y + a.z * b.z;
}

static inline vec3 norm3(vec3 a)
{
    return scale3(a, 1.0f / sqrtf(dot3(a, a) + 1e-20f));
}

static inline vec3 reflect3(vec3 d, vec3 n)
{
    return sub3(d, scale3(n, 2.0f * dot3(d, n)));
}

static inline float minf(float a, float b)
{
    return a < b ? a : b;
}

static inline float maxf(float a, float b)
{
    return a > b ? a : b;
}

/* What is not a number comes out as lo, so that no conversion to int ever meets one. */
static inline float clampf(float x, float lo, float hi)
{
    return minf(hi, maxf(x, lo));
}

static inline float absf(float x)
{
    return fabsf(x);
}

static inline float mixf(float a, float b, float t)
{
    return a + (b - a) * t;
}

/* Hermite step: 0 below a, 1 above b (a > b turns it around). */
static inline float step3(float a, float b, float x)
{
    float t = clampf((x - a) / (b - a), 0.0f, 1.0f);
    return t * t * (3.0f - 2.0f * t);
}

/* Valid for |x| < 2^31, which every coordinate here is far below. */
static inline int floor_i(float x)
{
    int i = (int)x;
    return i - ((float)i > x);
}

static inline float fract(float x)
{
    return x - (float)floor_i(x);
}

/* sin(2 pi t): folded to a quarter turn either side of zero, then an odd polynomial. */
static inline float sin_turn(float t)
{
    float r = fract(t + 0.5f) - 0.5f;
    r = maxf(minf(r, 0.5f - r), -0.5f - r);
    float s = r * r;
    float p = -15.0946426f;
    p = p * s + 42.0586939f;
    p = p * s - 76.7058597f;
    p = p * s + 81.6052493f;
    p = p * s - 41.3417022f;
    p = p * s + 6.28318531f;
    return p * r;
}

static inline float cos_turn(float t)
{
    return sin_turn(t + 0.25f);
}

static inline float exp2_f(float x)
{
    x = clampf(x, -126.0f, 126.0f);
    int n = floor_i(x);
    float f = x - (float)n;
    float p = 1.54035304e-4f;
    p = p * f + 1.33335581e-3f;
    p = p * f + 9.61812911e-3f;
    p = p * f + 5.55041087e-2f;
    p = p * f + 2.40226507e-1f;
    p = p * f + 6.93147181e-1f;
    p = p * f + 1.0f;
    uint32_t bits = (uint32_t)(n + 127) << 23;
    float two_n;
    memcpy(&two_n, &bits, sizeof two_n);
    return p * two_n;
}

static inline float exp_f(float x)
{
    return exp2_f(x * 1.44269504f);
}

/* For x > 0: exponent from the bits, mantissa by the series of atanh. */
static inline float log2_f(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    int n = (int)(bits >> 23) - 127;
    bits = (bits & 0x7fffffu) | 0x3f800000u;
    float m;
    memcpy(&m, &bits, sizeof m);
    if (m > 1.41421356f) {
        m *= 0.5f;
        n++;
    }
    float s = (m - 1.0f) / (m + 1.0f);
    float q = s * s;
    float p = 0.32059892f;
    p = p * q + 0.41219858f;
    p = p * q + 0.57707802f;
    p = p * q + 0.96179669f;
    p = p * q + 2.88539008f;
    return (float)n + p * s;
}

static inline float pow_f(float x, float e)
{
    return x <= 0.0f ? 0.0f : exp2_f(e * log2_f(x));
}

#endif
