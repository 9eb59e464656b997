/* The integer matrix product shared by linear, conv2d and attention: packing for the ISA's tile
 * kernel and the loop over tiles with the fused epilogue.
 *
 * A tile kernel (cyg_igemm, microkernels.h) takes rows of A and panels of B, nr columns wide, in
 * k-groups of 4 bytes: 4 x 8 bit (u8 x s8, the dot-product instructions) or, `wide`, 2 x 16 bit.
 * Both keep 4 bytes a group, so sizes are the same. Signed A on the u8 x s8 kernels: a + 128 is
 * packed and 128 * (column sum of B) subtracted from the bias, exact modulo 2^32. 16-bit A: two
 * planes, x = 256 hi + lo.
 *
 * 16-bit weights: two prepared blocks, w = 256 high + low, both s8; four products, and
 * acc = 65536 HH + 256 (HL + LH) + LL.
 *
 * Prepared weights: [bias s32, padded][M f32, padded][bias f64, padded, 16-bit A only][panels].
 * Whole numbers below 2^52, so that sums with them are exact in binary64.
 * Everything padded to whole panels, 64-byte aligned. */
#ifndef CYG_KERNELS_INT_GEMM_H
#define CYG_KERNELS_INT_GEMM_H

#include "kernels/call.h"
#include "kernels/dispatch.h"
#include "kernels/params.h"
#include "base/type.h"

enum {
    CYG_IGEMM_COLUMNS = 192,     /* columns of an item: a multiple of every nr */
    CYG_IGEMM_MAX_ROWS = 64,     /* rows of an item, fewer when K is long */
    CYG_IGEMM_MAX_NR = 64,       /* columns of the widest tile */
    CYG_IGEMM_MAX_TILE = 8 * 64, /* elements of the largest tile */
    CYG_IGEMM_MAX_K = 65000,     /* planes stay exact: 255 * 128 * K < 2^31 */
};

typedef struct cyg_igemm_layout {
    int64_t groups; /* k-groups */
    int64_t padded; /* columns, whole panels */
    size_t m_at, wide_bias_at, panels_at, size;
} cyg_igemm_layout;

/* x_type: A's element type. */
cyg_igemm_layout cyg_igemm_layout_of(const cyg_igemm *g, int32_t x_type, int64_t n, int64_t k);

/* B's source: column n is row `rows ? rows[n] : n` of w, k contiguous elements. */
typedef struct cyg_igemm_source {
    const int8_t *w;
    int64_t stride;      /* bytes between rows */
    const int64_t *rows; /* NULL = in order */
} cyg_igemm_source;
/* Panels only. */
void cyg_igemm_pack_b(const cyg_igemm *g, const cyg_igemm_source *from, int64_t n, int64_t k,
                      void *out_panels);
/* As above with B transposed: k runs over rows of the source, n over its contiguous elements. */
void cyg_igemm_pack_bt(const cyg_igemm *g, const cyg_igemm_source *from, int64_t n, int64_t k,
                       void *out_panels);
/* The prepared block of a constant weight matrix. bias: s32 or, for a 16-bit x, s64; NULL = zeros.
 */
void cyg_igemm_prepare(const cyg_igemm *g, int32_t x_type, const int8_t *w, const void *bias,
                       const float *m, int64_t n, int64_t k, void *out_prepared);

/* One row of A: groups * 4 bytes to out_lo, the upper plane of 16-bit types to out_hi. The tail is
 * zero. */
void cyg_igemm_pack_a(const cyg_igemm *g, int32_t x_type, const void *x, int64_t k, void *out_lo,
                      void *out_hi);
/* True when rows of x serve as they are. */
int cyg_igemm_a_is_direct(const cyg_igemm *g, int32_t x_type, int64_t k);

/* All columns of a product: c[r][j] for r < rows <= mr; whole panels of c may be overwritten. A:
 * packed rows, groups * 4 bytes apart. */
void cyg_igemm_product(const cyg_igemm *g, int64_t groups, const void *a, const uint8_t *panels,
                       const int32_t *bias, int32_t *c, int64_t c_stride, int64_t rows,
                       int64_t columns);
/* The bias [whole panels] that takes the offset of a signed A off again: -128 * (sum of a column),
 * made by the tile kernel from a row of 128. row: groups * 4 bytes of scratch, sums: whole panels.
 */
void cyg_igemm_signed_bias(const cyg_igemm *g, int64_t groups, const uint8_t *panels,
                           int64_t columns, void *row, int32_t *sums, int32_t *out_bias);

typedef struct cyg_igemm_job {
    const struct cyg_kernels *isa;
    const void *prepared;
    const void *high; /* the same of the weights' upper bytes (bias zero), or NULL; 16-bit x only */
    cyg_igemm_layout layout;
    int32_t x_type, y_type, r_type; /* r_type NONE: no residual */
    int64_t n;
    const cyg_kp_ilinear *out;
    void *y;
    int64_t y_row, y_column; /* elements of a row of y; first column of this matrix (groups of a
                                convolution) */
    const void *r;
    int64_t r_rows; /* residual row of output row m is m % r_rows */
} cyg_igemm_job;

/* Rows [row0, row0 + rows) x columns [col0, col1), col0 a multiple of nr. a_lo, a_hi: packed rows
 * (or x itself), stride bytes apart. */
void cyg_igemm_block(const cyg_igemm_job *job, const void *a_lo, const void *a_hi, int64_t a_stride,
                     int64_t row0, int64_t rows, int64_t col0, int64_t col1);

/* Rows of an item by K. */
int64_t cyg_igemm_item_rows(int64_t k);

#endif
