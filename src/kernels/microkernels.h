/* Function types of the micro-kernels: the contract between generic kernel code and the ISA files.
 * Names: docs/kernel-names.md. */
#ifndef CYG_KERNELS_MICROKERNELS_H
#define CYG_KERNELS_MICROKERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/params.h"

/* ---- float (f32/) ----
 * B matrices come as panels of 16 columns: element (k, n) at b[(n / 16) * panel_stride + k * 16 + n
 * % 16], the last panel padded with anything finite. */
enum { CYG_F32_PANEL = 16 };

/* c[i][j] = chain of fma(a[i][p], b[p][j], .) for p ascending, from 0 or, with resume, from what c
 * holds. */
typedef void cyg_f32_gemm_fn(int64_t m, int64_t n, int64_t k, const float *a, int64_t a_stride,
                             const float *b, int64_t panel_stride, float *c, int64_t c_stride,
                             int resume);
typedef struct cyg_f32_finish {
    int32_t act, post_act; /* cyg_act */
    float lo, hi;
} cyg_f32_finish;
/* y[i] = post_act(act(y[i] + bias[i * bias_step]) + residual[i]); bias and residual may be NULL (no
 * addition at all). */
typedef void cyg_f32_finish_fn(const cyg_f32_finish *f, int64_t n, const float *bias,
                               int64_t bias_step, const float *residual, float *y);
typedef void cyg_f32_unary_fn(int32_t fn, float alpha, float beta, int64_t n, const float *x,
                              float *y);
/* fn: one of ADD SUB MUL DIV MAX MIN PRELU of cyg_binary_fn; a step is 0 or 1. */
typedef void cyg_f32_binary_fn(int32_t fn, int64_t n, const float *a, int64_t a_step,
                               const float *b, int64_t b_step, float *y);
/* acc[i] = fma(a[i * a_step], b[i * b_step], acc[i]); b_step is 0 or 1. */
typedef void cyg_f32_fma_fn(int64_t n, const float *a, int64_t a_step, const float *b,
                            int64_t b_step, float *acc);
typedef void cyg_f32_layernorm_fn(int64_t n, const float *x, const float *gamma, const float *beta,
                                  float epsilon, float *y);
/* y = softmax (or its logarithm) of t, t[i] = bias ? fma(x[i], c, bias[i]) : x[i] * c; y may be x.
 */
typedef void cyg_f32_softmax_fn(int64_t n, const float *x, float c, const float *bias,
                                int32_t is_log, float *y);
/* One value of a row: cyg_reduce_fn; element i goes to partial i mod 16. */
typedef float cyg_f32_reduce_fn(int32_t fn, int64_t n, const float *x);

/* Looking at tensors (f32/look.inc.h). Rows of n columns lie `stride` elements apart; each column's
 * figures are over ascending rows, onto what is there, and overlap nothing else. */

/* Extremes, and the largest size of the bits without the sign, which is that of infinity and more
 * for what is no number: comparisons pass a NaN by. */
typedef void cyg_f32_extremes_fn(int64_t rows, int64_t n, const float *x, int64_t stride, float *lo,
                                 float *hi, int32_t *bits);
/* Extremes and sums of squares; how many elements lie outside least..most of their column. n below
 * 2^29. */
typedef int64_t cyg_f32_look_fn(int64_t rows, int64_t n, const float *x, int64_t stride,
                                const float *least, const float *most, float *lo, float *hi,
                                double *square);
/* Integers that stand for scale * (code - zero), or (F32) the numbers themselves. */
typedef struct cyg_f32_codes {
    int32_t type; /* cyg_type: U8, S8, U16, S16 or F32 */
    int32_t zero, least, most;
} cyg_f32_codes;
/* d = x less what the codes y stand for: sums of d^2 and of x d, most of |d|. scale: by column, not
 * read for F32. */
typedef void cyg_f32_compare_fn(const cyg_f32_codes *c, int64_t rows, int64_t n, const float *x,
                                const void *y, int64_t stride, const float *scale, double *noise,
                                double *cross, float *worst);
/* y[i] = rne(clip(x[i] / scale[i])) + zero. */
typedef void cyg_f32_encode_fn(const cyg_f32_codes *c, int64_t n, const float *x,
                               const float *scale, void *y);
/* y[i] = scale * rne(clip(x[i] * inverse, lo, hi)), |lo| and |hi| below 2^22. */
typedef struct cyg_f32_grid {
    float scale, inverse, lo, hi;
} cyg_f32_grid;
typedef void cyg_f32_round_fn(const cyg_f32_grid *g, int64_t n, const float *x, float *y);
/* Sum of weight[i] * (x[i] - y[i])^2, element i in binary32 partial i mod 16, those in binary64. */
typedef double cyg_f32_round_error_fn(const cyg_f32_grid *g, int64_t n, const float *x,
                                      const float *weight);

/* integers (int/): formulas in docs/numerics.md; element types are cyg_type */

/* One tile of the integer matrix product. A: rows of k-groups of 4 bytes, B: a panel [groups][nr][4
 * bytes]. c[r][n] = bias[n] + sum over groups, modulo 2^32, for r < rows <= mr and n < columns <=
 * nr; further elements of a row of c may be overwritten. wide: groups are 2 x s16, else A is 4 x u8
 * and B 4 x s8. */
typedef struct cyg_igemm {
    int32_t mr, nr, wide, reserved;
    void (*tile)(int64_t groups, const void *a, int64_t a_stride, const void *b,
                 const int32_t *bias, int32_t *c, int64_t c_stride, int64_t rows, int64_t columns);
} cyg_igemm;
typedef const cyg_igemm *cyg_igemm_fn(void);

/* A pixel of a depthwise convolution: sums[c] = bias[c] + sum over taps of taps[t][c] w[t][c],
 * modulo 2^32, for c < channels; further sums up to a whole block may be overwritten. Weights are
 * in blocks of `block` channels, then groups of `group` taps, s8 or (wide) s16; lanes: 0 = channels
 * of a group in order, else the order of interleaved vectors of that many 128-bit lanes
 * (int/depthwise.c). A tap's row is read up to its last channel, not beyond. */
typedef struct cyg_idepthwise {
    int32_t block, group, wide, lanes;
    void (*pixel)(int64_t channels, int64_t groups, const uint8_t *const *taps, const void *weights,
                  const int32_t *bias, int32_t *sums);
} cyg_idepthwise;
typedef const cyg_idepthwise *cyg_idepthwise_fn(void);

/* rows x columns of y from sums (s32, or f32 already converted): scale by m, activation, residual,
 * saturation. Strides: acc in elements, r and y in bytes. */
typedef void cyg_i_epilogue_fn(const cyg_kp_ilinear *p, int32_t acc_type, const void *acc,
                               int64_t acc_stride, const float *m, int64_t rows, int64_t columns,
                               int32_t r_type, const void *r, int64_t r_stride, int32_t y_type,
                               void *y, int64_t y_stride);
/* One row of layer normalisation. */
typedef void cyg_i_layernorm_fn(const cyg_kp_ilayernorm *p, int32_t x_type, const void *x,
                                const float *gamma, const float *beta, int32_t y_type, void *y);
/* Sums of the planes of 16-bit operands (value = 256 high + low), one a product of two planes; by
 * weight, 256 twice since either operand may be the high one. NULL = no such plane. */
typedef struct cyg_plane_sums {
    const int32_t *by_1, *by_256[2], *by_65536;
} cyg_plane_sums;
/* y[j] = (float)(base[j] + offset + by_1[j] + 256 (by_256[0][j] + by_256[1][j]) + 65536
 * by_65536[j]), base NULL = 0: exact in binary64, since callers keep every part a whole number
 * below 2^52, and rounded once. y may be one of the sums. */
typedef void cyg_i_join_fn(const cyg_plane_sums *sums, int64_t n, const double *base, double offset,
                           float *y);
/* t[j] = fma((float)a[j], c, bias[j]), with key_norms: fma(((float)a[j] * query_norm) *
 * key_norms[j], c, bias[j]); bias NULL = 0. a is s32 or (a_type) f32. Returns max t. */
typedef float cyg_i_scores_fn(int32_t a_type, const void *a, int64_t n, float c, const float *bias,
                              const float *key_norms, float query_norm, float *t);
/* e[j] = rne(q * exp2(max(t[j] - t_max, -24))) as u8 (q = 255) or u16; returns their sum. n <=
 * 65536. */
typedef int64_t cyg_i_exp_fn(const float *t, int64_t n, float t_max, float q, int32_t e_type,
                             void *e);
/* y = sat(rne((x - zero) * k)) + z; y f32: (x - zero) * k. */
typedef void cyg_i_requant_fn(int32_t x_type, const void *x, int64_t n, int32_t x_zero, float k,
                              const cyg_isat *sat, int32_t y_type, void *y);
/* Element-wise add or mul of two rows; a step of 0 repeats the row's one element. */
typedef void cyg_i_eltwise_fn(const cyg_kp_ieltwise *p, int32_t a_type, const void *a,
                              int64_t a_step, int32_t b_type, const void *b, int64_t b_step,
                              int64_t n, int32_t y_type, void *y);

#endif
