/* Depthwise convolution with vpdpbusd on 512-bit vectors: 64 channels, four taps at a time. */
#include <immintrin.h>

#define VEC __m512i
#define LANES 4
#define GROUP 4
#define V_ZERO _mm512_setzero_si512()
#define V_LOAD(p) _mm512_loadu_si512(p)
#define V_STORE(p, v) _mm512_storeu_si512(p, v)
#define V_ADD(a, b) _mm512_add_epi32(a, b)
#define V_LOW8(a, b) _mm512_unpacklo_epi8(a, b)
#define V_HIGH8(a, b) _mm512_unpackhi_epi8(a, b)
#define V_LOW16(a, b) _mm512_unpacklo_epi16(a, b)
#define V_HIGH16(a, b) _mm512_unpackhi_epi16(a, b)
#define V_PART(p, n) _mm512_maskz_loadu_epi8(((__mmask64)1 << (n)) - 1, p)
#define V_DOT(acc, x, w) _mm512_dpbusd_epi32(acc, x, w)
/* Lane k of each of the four. */
#define V_PAIR(a, b, k) _mm512_shuffle_i32x4(a, b, (k) < 2 ? 0x44 : 0xee)
#define V_NATURAL(s, k)                                                                            \
    _mm512_shuffle_i32x4(V_PAIR(s##0, s##1, k), V_PAIR(s##2, s##3, k), (k) % 2 == 0 ? 0x88 : 0xdd)
#include "kernels/x86/depthwise.inc.h"

const cyg_idepthwise *cyg_i_depthwise_64k4__avx512vnni(void)
{
    static const cyg_idepthwise depthwise = {BLOCK, GROUP, 0, LANES, pixel};
    return &depthwise;
}
