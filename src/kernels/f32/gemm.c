/* The blocked float matrix product.
 *
 * Each output is one chain of fma over ascending k: blocking over k stores the running sum in C and
 * takes it up again, which is exact, so the block sizes below are a matter of speed alone. B lies
 * in panels of 16 columns, the same layout at every level; A is read where it is, row by row,
 * unless its rows lie a multiple of 4 KiB apart: then they would all fall into the same sets of the
 * first-level cache, and a block of A is copied next to each other first. (At odd multiples of 2
 * KiB the twelve rows of a tile share them by six, which the ways of a set hold: copying made them
 * a tenth slower.) */
#include "kernels/f32/gemm.h"

#include <string.h>

void cyg_gemm_pack_nk(int64_t n, int64_t k, const float *w, int64_t stride, float *out)
{
    for (int64_t n0 = 0; n0 < n; n0 += CYG_F32_PANEL, out += k * CYG_F32_PANEL) {
        const int64_t columns = cyg_min64(n - n0, CYG_F32_PANEL);
        for (int64_t k0 = 0; k0 < k; k0 += CYG_F32_PANEL) {
            const int64_t depth = cyg_min64(k - k0, CYG_F32_PANEL);
            float *to = out + k0 * CYG_F32_PANEL;
            for (int64_t j = 0; j < columns; j++) {
                const float *from = w + (n0 + j) * stride + k0;
                for (int64_t p = 0; p < depth; p++)
                    to[p * CYG_F32_PANEL + j] = from[p];
            }
            for (int64_t j = columns; j < CYG_F32_PANEL; j++)
                for (int64_t p = 0; p < depth; p++)
                    to[p * CYG_F32_PANEL + j] = 0.0f;
        }
    }
}

void cyg_gemm_pack_kn(int64_t n, int64_t k, const float *b, int64_t stride, float *out)
{
    for (int64_t n0 = 0; n0 < n; n0 += CYG_F32_PANEL, out += k * CYG_F32_PANEL) {
        const int64_t columns = cyg_min64(n - n0, CYG_F32_PANEL);
        for (int64_t p = 0; p < k; p++) {
            float *to = out + p * CYG_F32_PANEL;
            if (columns == CYG_F32_PANEL) {
                memcpy(to, b + p * stride + n0, CYG_F32_PANEL * sizeof(float));
                continue;
            }
            memset(to, 0, CYG_F32_PANEL * sizeof(float));
            memcpy(to, b + p * stride + n0, (size_t)columns * sizeof(float));
        }
    }
}

void cyg_gemm_block(const cyg_kernels *isa, int64_t m, int64_t n, int64_t k, const float *a,
                    int64_t a_stride, const float *b, float *c, int64_t c_stride, float *scratch)
{
    const int64_t panel_stride = k * CYG_F32_PANEL;
    const bool crowded = a_stride % 1024 == 0 && m > 4;
    if (k == 0) /* an empty sum */
        for (int64_t i = 0; i < m; i++)
            memset(c + i * c_stride, 0, (size_t)n * sizeof(float));
    for (int64_t n0 = 0; n0 < n; n0 += CYG_GEMM_NC) {
        const int64_t columns = cyg_min64(n - n0, CYG_GEMM_NC);
        const float *panels = b + n0 * k;
        for (int64_t k0 = 0; k0 < k; k0 += CYG_GEMM_KC) {
            const int64_t depth = cyg_min64(k - k0, CYG_GEMM_KC);
            for (int64_t m0 = 0; m0 < m; m0 += CYG_GEMM_MC) {
                const int64_t rows = cyg_min64(m - m0, CYG_GEMM_MC);
                const float *from = a + m0 * a_stride + k0;
                int64_t stride = a_stride;
                if (crowded) {
                    stride = CYG_GEMM_A_STRIDE;
                    for (int64_t i = 0; i < rows; i++)
                        memcpy(scratch + i * stride, from + i * a_stride,
                               (size_t)depth * sizeof(float));
                    from = scratch;
                }
                isa->f32_gemm(rows, columns, depth, from, stride, panels + k0 * CYG_F32_PANEL,
                              panel_stride, c + m0 * c_stride + n0, c_stride, k0 != 0);
            }
        }
    }
}

cyg_gemm_cut cyg_gemm_cut_of(int64_t m, int64_t n)
{
    cyg_gemm_cut cut = {CYG_GEMM_MC, CYG_GEMM_NC, cyg_div_up(m, CYG_GEMM_MC), 0};
    /* Enough parts for a few threads even when there is one row. */
    while (cut.columns > 64 && cut.row_blocks * cyg_div_up(n, cut.columns) < 16)
        cut.columns /= 2;
    cut.col_blocks = cyg_div_up(n, cut.columns);
    return cut;
}

cyg_gemm_cut cyg_gemm_cut_unpacked(int64_t m, int64_t n)
{
    cyg_gemm_cut cut = {CYG_GEMM_MC * 8, CYG_GEMM_NC / 4, 0, cyg_div_up(n, CYG_GEMM_NC / 4)};
    cut.row_blocks = cyg_div_up(m, cut.rows);
    return cut;
}
