/* The float matrix core in plain C: the specification. One chain of fma per output, k ascending; 4
 * x 16 outputs at a time so that compilers keep the sums in registers and vectorise over the 16
 * columns. */
#include "kernels/dispatch.h"
#include "kernels/f32/math.h"

static void tile(int rows, int64_t columns, int64_t k, const float *a, int64_t a_stride,
                 const float *b, float *c, int64_t c_stride, int resume)
{
    float acc[4][CYG_F32_PANEL];
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < CYG_F32_PANEL; j++)
            acc[i][j] = resume && i < rows && j < columns ? c[i * c_stride + j] : 0.0f;
    for (int64_t p = 0; p < k; p++)
        for (int i = 0; i < rows; i++) {
            const float x = a[i * a_stride + p];
            for (int j = 0; j < CYG_F32_PANEL; j++)
                acc[i][j] = cyg_fmaf(x, b[p * CYG_F32_PANEL + j], acc[i][j]);
        }
    for (int i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++)
            c[i * c_stride + j] = acc[i][j];
}

void cyg_f32_gemm_4x16__c(int64_t m, int64_t n, int64_t k, const float *a, int64_t a_stride,
                          const float *b, int64_t panel_stride, float *c, int64_t c_stride,
                          int resume)
{
    for (int64_t i = 0; i < m; i += 4)
        for (int64_t j = 0; j < n; j += CYG_F32_PANEL) {
            const int64_t columns = n - j < CYG_F32_PANEL ? n - j : CYG_F32_PANEL;
            const float *panel = b + j / CYG_F32_PANEL * panel_stride;
            tile(m - i < 4 ? (int)(m - i) : 4, columns, k, a + i * a_stride, a_stride, panel,
                 c + i * c_stride + j, c_stride, resume);
        }
}
