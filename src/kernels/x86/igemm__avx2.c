/* Integer matrix product without a byte dot product: both sides widened to 16 bits when packed,
 * vpmaddwd, tile of 6 rows x 16 columns. vpmaddubsw would be twice as wide, but it saturates at 16
 * bits (255 * 127 * 2 does not fit) and may not be used on full-range data. */
#include <immintrin.h>

#define VEC __m256i
#define LANES 8
#define V_LOAD(p) _mm256_loadu_si256((const __m256i *)(const void *)(p))
#define V_STORE(p, v) _mm256_storeu_si256((__m256i *)(void *)(p), v)
#define V_SPREAD(s) _mm256_set1_epi32(s)
#define V_DOT(acc, x, b) _mm256_add_epi32(acc, _mm256_madd_epi16(x, b))
#define TILE_ROWS 6
#define TILE_VECTORS 2
#include "kernels/x86/igemm_tile.inc.h"

const cyg_igemm *cyg_igemm_s16s16_6x16k2__avx2(void)
{
    static const cyg_igemm igemm = {TILE_ROWS, TILE_VECTORS * LANES, 1, 0, tile};
    return &igemm;
}
