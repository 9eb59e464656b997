/* Integer matrix product with the VEX form of vpdpbusd on 256-bit vectors: tile of 6 rows x 16
 * columns, 12 accumulators of 16 registers. */
#include <immintrin.h>

#define VEC __m256i
#define LANES 8
#define V_LOAD(p) _mm256_loadu_si256((const __m256i *)(const void *)(p))
#define V_STORE(p, v) _mm256_storeu_si256((__m256i *)(void *)(p), v)
#define V_SPREAD(s) _mm256_set1_epi32(s)
#define V_DOT(acc, x, b) _mm256_dpbusd_avx_epi32(acc, x, b)
#define TILE_ROWS 6
#define TILE_VECTORS 2
#include "kernels/x86/igemm_tile.inc.h"

const cyg_igemm *cyg_igemm_u8s8_6x16k4__avxvnni(void)
{
    static const cyg_igemm igemm = {TILE_ROWS, TILE_VECTORS * LANES, 0, 0, tile};
    return &igemm;
}
