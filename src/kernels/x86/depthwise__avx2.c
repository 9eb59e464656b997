/* Depthwise convolution without a byte dot product: 32 channels, pairs of taps widened to 16 bits,
 * vpmaddwd. */
#include "kernels/x86/depthwise_256.inc.h"

#define GROUP 2
#define V_DOT(acc, x, w) _mm256_add_epi32(acc, _mm256_madd_epi16(x, w))

#include "kernels/x86/depthwise.inc.h"

const cyg_idepthwise *cyg_i_depthwise_32k2__avx2(void)
{
    static const cyg_idepthwise depthwise = {BLOCK, GROUP, 1, LANES, pixel};
    return &depthwise;
}
