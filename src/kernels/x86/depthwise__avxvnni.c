/* Depthwise convolution with the VEX form of vpdpbusd on 256-bit vectors: 32 channels, four taps at
 * a time. */
#include "kernels/x86/depthwise_256.inc.h"

#define GROUP 4
#define V_DOT(acc, x, w) _mm256_dpbusd_avx_epi32(acc, x, w)

#include "kernels/x86/depthwise.inc.h"

const cyg_idepthwise *cyg_i_depthwise_32k4__avxvnni(void)
{
    static const cyg_idepthwise depthwise = {BLOCK, GROUP, 0, LANES, pixel};
    return &depthwise;
}
