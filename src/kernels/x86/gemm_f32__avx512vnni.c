/* The float matrix core for AVX-512: tiles of 12 x 32. See gemm_f32_tile.inc.h. */
#include <immintrin.h>
#include <stdint.h>

#include "base/attr.h"

enum { CYG_WIDTH = 16, CYG_ROWS = 12 };
#define CYG_VEC __m512
#define CYG_ZERO() _mm512_setzero_ps()
#define CYG_LOAD(p) _mm512_loadu_ps(p)
#define CYG_BROADCAST(p) _mm512_set1_ps(*(p))
#define CYG_FMA(a, b, c) _mm512_fmadd_ps((a), (b), (c))
#define CYG_LOAD_PART(p, n) _mm512_maskz_loadu_ps(part_mask(n), (p))
#define CYG_STORE_PART(p, n, v) _mm512_mask_storeu_ps((p), part_mask(n), (v))
/* clang-format off */
#define CYG_ROW_LIST(X)                                                                            \
    X(0, g0, 0) X(1, g0, 1) X(2, g0, 2)                                                            \
    X(3, g1, 0) X(4, g1, 1) X(5, g1, 2)                                                            \
    X(6, g2, 0) X(7, g2, 1) X(8, g2, 2)                                                            \
    X(9, g3, 0) X(10, g3, 1) X(11, g3, 2)
/* clang-format on */
#define CYG_TILES(T) T(1) T(2) T(3) T(4) T(5) T(6) T(7) T(8) T(9) T(10) T(11) T(12)

CYG_INLINE __mmask16 part_mask(int64_t n)
{
    return (__mmask16)((1u << n) - 1u);
}

#include "kernels/x86/gemm_f32_tile.inc.h"

void cyg_f32_gemm_12x32__avx512vnni(int64_t m, int64_t n, int64_t k, const float *a,
                                    int64_t a_stride, const float *b, int64_t panel_stride,
                                    float *c, int64_t c_stride, int resume)
{
    gemm(m, n, k, a, a_stride, b, panel_stride, c, c_stride, resume);
}
