/* Integer matrix product with vpdpbusd on 512-bit vectors: tile of 8 rows x 48 columns, 24
 * accumulators, 3 vectors of B and 1 of A in 32 registers. 48 divides the channel counts of the
 * models at hand (96, 192, 384 and their multiples). */
#include <immintrin.h>

#define VEC __m512i
#define LANES 16
#define V_LOAD(p) _mm512_loadu_si512(p)
#define V_STORE(p, v) _mm512_storeu_si512(p, v)
#define V_SPREAD(s) _mm512_set1_epi32(s)
#define V_DOT(acc, x, b) _mm512_dpbusd_epi32(acc, x, b)
#define TILE_ROWS 8
#define TILE_VECTORS 3
#include "kernels/x86/igemm_tile.inc.h"

const cyg_igemm *cyg_igemm_u8s8_8x48k4__avx512vnni(void)
{
    static const cyg_igemm igemm = {TILE_ROWS, TILE_VECTORS * LANES, 0, 0, tile};
    return &igemm;
}
