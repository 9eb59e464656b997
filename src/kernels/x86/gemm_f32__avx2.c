/* The float matrix core for AVX2 + FMA: tiles of 6 x 16. See gemm_f32_tile.inc.h. */
#include <immintrin.h>
#include <stdint.h>

#include "base/attr.h"

enum { CYG_WIDTH = 8, CYG_ROWS = 6 };
#define CYG_VEC __m256
#define CYG_ZERO() _mm256_setzero_ps()
#define CYG_LOAD(p) _mm256_loadu_ps(p)
#define CYG_BROADCAST(p) _mm256_broadcast_ss(p)
#define CYG_FMA(a, b, c) _mm256_fmadd_ps((a), (b), (c))
#define CYG_LOAD_PART(p, n) load_part((p), (n))
#define CYG_STORE_PART(p, n, v) store_part((p), (n), (v))
#define CYG_ROW_LIST(X) X(0, g0, 0) X(1, g0, 1) X(2, g0, 2) X(3, g1, 0) X(4, g1, 1) X(5, g1, 2)
#define CYG_TILES(T) T(1) T(2) T(3) T(4) T(5) T(6)

CYG_INLINE __m256i part_mask(int64_t n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
CYG_INLINE __m256 load_part(const float *p, int64_t n)
{
    return n == CYG_WIDTH ? _mm256_loadu_ps(p) : _mm256_maskload_ps(p, part_mask(n));
}
CYG_INLINE void store_part(float *p, int64_t n, __m256 v)
{
    if (n == CYG_WIDTH)
        _mm256_storeu_ps(p, v);
    else
        _mm256_maskstore_ps(p, part_mask(n), v);
}

#include "kernels/x86/gemm_f32_tile.inc.h"

void cyg_f32_gemm_6x16__avx2(int64_t m, int64_t n, int64_t k, const float *a, int64_t a_stride,
                             const float *b, int64_t panel_stride, float *c, int64_t c_stride,
                             int resume)
{
    gemm(m, n, k, a, a_stride, b, panel_stride, c, c_stride, resume);
}
