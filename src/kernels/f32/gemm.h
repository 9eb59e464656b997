/* The blocked float matrix product that linear, gemm, matmul, both convolutions and attention
 * share. */
#ifndef CYG_KERNELS_F32_GEMM_H
#define CYG_KERNELS_F32_GEMM_H

#include "kernels/dispatch.h"
#include "kernels/shape.h"

enum {
    CYG_GEMM_MC = 96,  /* rows of a block: a multiple of every micro-kernel's rows */
    CYG_GEMM_NC = 256, /* columns of a block */
    CYG_GEMM_KC = 384, /* depth of a block: KC x NC floats of B stay in the second-level cache */
    CYG_GEMM_A_STRIDE = CYG_GEMM_KC + 16,
};

/* Floats of a packed [k, n] matrix. */
CYG_INLINE int64_t cyg_gemm_packed(int64_t n, int64_t k)
{
    return cyg_div_up(n, CYG_F32_PANEL) * CYG_F32_PANEL * k;
}
/* Bytes of scratch that cyg_gemm_block wants. */
enum { CYG_GEMM_SCRATCH = CYG_GEMM_MC * CYG_GEMM_A_STRIDE * 4 };

/* Packs w[n][k] (rows of outputs) or b[k][n] into panels of stride k * 16. */
void cyg_gemm_pack_nk(int64_t n, int64_t k, const float *w, int64_t stride, float *out);
void cyg_gemm_pack_kn(int64_t n, int64_t k, const float *b, int64_t stride, float *out);

/* c = a b for any m, n, k; b packed over the whole k. scratch: CYG_GEMM_SCRATCH bytes. */
void cyg_gemm_block(const cyg_kernels *isa, int64_t m, int64_t n, int64_t k, const float *a,
                    int64_t a_stride, const float *b, float *c, int64_t c_stride, float *scratch);

/* How a [m, n] product is cut into items: column blocks outermost, so that neighbours share B. */
typedef struct cyg_gemm_cut {
    int64_t rows, columns; /* of a block */
    int64_t row_blocks, col_blocks;
} cyg_gemm_cut;
cyg_gemm_cut cyg_gemm_cut_of(int64_t m, int64_t n);
/* For a B that each item packs itself: few, tall items. */
cyg_gemm_cut cyg_gemm_cut_unpacked(int64_t m, int64_t n);

#endif
