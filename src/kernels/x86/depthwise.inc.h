/* One pixel of a depthwise convolution, included by one file a level with these macros:
 *   VEC, LANES            vector type and its 128-bit lanes (2 or 4)
 *   V_ZERO V_LOAD(p) V_STORE(p, v) V_ADD(a, b)
 *   V_LOW8 V_HIGH8 V_LOW16 V_HIGH16(a, b)   interleave bytes or pairs inside each lane
 *   V_PART(p, n)          the first n bytes at p, zeros behind
 *   V_NATURAL(s, k)       vector k of the sums in the order of channels, from s0 .. s3
 *   GROUP                 taps that one product takes: 4 (bytes) or 2 (widened to 16 bits)
 *   V_DOT(acc, x, w)
 *
 * Taps of one group are interleaved, so that each 32 bits hold one channel's taps, as the product
 * wants them. Interleaving stays inside lanes: vector i holds channels 16 l + 4 i + 0..3 in lane l.
 * Weights were packed in that order (int/depthwise.c), the sums are put into natural order once. */
#include <stdint.h>
#include <string.h>

#include "base/attr.h"
#include "kernels/dispatch.h"

enum { BLOCK = 16 * LANES };

/* taps at channel c, n of them valid; w: this block's weights of the group. */
#if GROUP == 4
#define STEP(LOAD)                                                                                 \
    const VEC t0 = LOAD(taps[0] + c), t1 = LOAD(taps[1] + c), t2 = LOAD(taps[2] + c),              \
              t3 = LOAD(taps[3] + c);                                                              \
    const VEC a = V_LOW8(t0, t1), b = V_HIGH8(t0, t1), d = V_LOW8(t2, t3), e = V_HIGH8(t2, t3);    \
    const VEC p0 = V_LOW16(a, d), p1 = V_HIGH16(a, d), p2 = V_LOW16(b, e), p3 = V_HIGH16(b, e);
#else
#define STEP(LOAD)                                                                                 \
    const VEC t0 = LOAD(taps[0] + c), t1 = LOAD(taps[1] + c);                                      \
    const VEC a = V_LOW8(t0, t1), b = V_HIGH8(t0, t1), z = V_ZERO;                                 \
    const VEC p0 = V_LOW8(a, z), p1 = V_HIGH8(a, z), p2 = V_LOW8(b, z), p3 = V_HIGH8(b, z);
#endif

#define BODY(LOAD)                                                                                 \
    VEC s0 = V_ZERO, s1 = V_ZERO, s2 = V_ZERO, s3 = V_ZERO;                                        \
    for (int64_t g = 0; g < groups; g++, taps += GROUP, w += 4) {                                  \
        STEP(LOAD)                                                                                 \
        s0 = V_DOT(s0, p0, V_LOAD(w));                                                             \
        s1 = V_DOT(s1, p1, V_LOAD(w + 1));                                                         \
        s2 = V_DOT(s2, p2, V_LOAD(w + 2));                                                         \
        s3 = V_DOT(s3, p3, V_LOAD(w + 3));                                                         \
    }                                                                                              \
    V_STORE(sums, V_ADD(V_NATURAL(s, 0), V_LOAD(bias)));                                           \
    V_STORE(sums + BLOCK / 4, V_ADD(V_NATURAL(s, 1), V_LOAD(bias + BLOCK / 4)));                   \
    V_STORE(sums + BLOCK / 2, V_ADD(V_NATURAL(s, 2), V_LOAD(bias + BLOCK / 2)));                   \
    V_STORE(sums + BLOCK / 4 * 3, V_ADD(V_NATURAL(s, 3), V_LOAD(bias + BLOCK / 4 * 3)));

#define WHOLE(p) V_LOAD(p)
#define PART(p) V_PART(p, n)

static void whole_block(int64_t c, int64_t groups, const uint8_t *const *taps, const VEC *w,
                        const int32_t *bias, int32_t *sums)
{
    BODY(WHOLE)
}

static void part_block(int64_t c, int64_t n, int64_t groups, const uint8_t *const *taps,
                       const VEC *w, const int32_t *bias, int32_t *sums)
{
    BODY(PART)
}

static void pixel(int64_t channels, int64_t groups, const uint8_t *const *taps, const void *weights,
                  const int32_t *bias, int32_t *sums)
{
    const VEC *w = weights;
    for (int64_t c = 0; c < channels; c += BLOCK, w += 4 * groups) {
        if (channels - c >= BLOCK)
            whole_block(c, groups, taps, w, bias + c, sums + c);
        else
            part_block(c, channels - c, groups, taps, w, bias + c, sums + c);
    }
}
