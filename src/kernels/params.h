/* Parameter blocks of kernel calls: plain data, stored in packages as they stand (little-endian,
 * naturally aligned, padded by hand).
 *
 * Fields are append-only; a block that is shorter in an old package reads as zeros behind its end.
 * Arrays of 8 follow CYG_MAX_RANK. */
#ifndef CYG_KERNELS_PARAMS_H
#define CYG_KERNELS_PARAMS_H

#include <stdint.h>

typedef struct cyg_kp_none {
    int64_t unused;
} cyg_kp_none;

/* CYG_FN(id, value): element-wise functions of one argument. */
/* clang-format off */
#define CYG_UNARY_FNS(CYG_FN)                                                                     \
    CYG_FN(ABS, 0) CYG_FN(CEIL, 1) CYG_FN(COS, 2) CYG_FN(ERF, 3) CYG_FN(EXP, 4)                   \
    CYG_FN(FLOOR, 5) CYG_FN(HARDSWISH, 6) CYG_FN(LOG, 7) CYG_FN(MISH, 8) CYG_FN(NEG, 9)           \
    CYG_FN(NOT, 10) CYG_FN(RECIPROCAL, 11) CYG_FN(RELU, 12) CYG_FN(ROUND, 13)                     \
    CYG_FN(SIGMOID, 14) CYG_FN(SIGN, 15) CYG_FN(SIN, 16) CYG_FN(SOFTPLUS, 17)                     \
    CYG_FN(SQRT, 18) CYG_FN(TANH, 19) CYG_FN(ELU, 20) CYG_FN(GELU_ERF, 21)                        \
    CYG_FN(GELU_TANH, 22) CYG_FN(HARDSIGMOID, 23) CYG_FN(LEAKY_RELU, 24) CYG_FN(SILU, 25)
/* clang-format on */
typedef enum cyg_unary_fn {
#define CYG_FN(id, value) CYG_FN_##id = value,
    CYG_UNARY_FNS(CYG_FN)
#undef CYG_FN
        CYG_FN_COUNT
} cyg_unary_fn;
typedef struct cyg_kp_unary {
    int32_t fn; /* cyg_unary_fn */
    float alpha, beta;
    int32_t reserved;
} cyg_kp_unary;

/* clang-format off */
#define CYG_BINARY_FNS(CYG_FN)                                                                    \
    CYG_FN(ADD, 0) CYG_FN(SUB, 1) CYG_FN(MUL, 2) CYG_FN(DIV, 3) CYG_FN(POW, 4)                    \
    CYG_FN(MOD, 5) CYG_FN(FMOD, 6) CYG_FN(EQUAL, 7) CYG_FN(GREATER, 8)                            \
    CYG_FN(GREATER_OR_EQUAL, 9) CYG_FN(LESS, 10) CYG_FN(LESS_OR_EQUAL, 11) CYG_FN(AND, 12)        \
    CYG_FN(OR, 13) CYG_FN(XOR, 14) CYG_FN(MAX, 15) CYG_FN(MIN, 16) CYG_FN(PRELU, 17) CYG_FN(NOT_EQUAL, 18)
/* clang-format on */
typedef enum cyg_binary_fn {
#define CYG_FN(id, value) CYG_BFN_##id = value,
    CYG_BINARY_FNS(CYG_FN)
#undef CYG_FN
        CYG_BFN_COUNT
} cyg_binary_fn;
typedef struct cyg_kp_binary {
    int32_t fn; /* cyg_binary_fn */
    int32_t reserved;
} cyg_kp_binary;

typedef struct cyg_kp_clip {
    int64_t unused;
} cyg_kp_clip;
typedef struct cyg_kp_matmul {
    int64_t unused;
} cyg_kp_matmul;

/* y = post_act(act(x w^T + bias) + residual); residual broadcasts over leading rows (its element
 * count divides y's). */
typedef struct cyg_kp_linear {
    int32_t act, post_act; /* cyg_act */
    float act_lo, act_hi;
} cyg_kp_linear;
typedef struct cyg_kp_gemm {
    float alpha, beta;
    int32_t trans_a, trans_b;
} cyg_kp_gemm;
typedef struct cyg_kp_conv {
    int64_t kh, kw, stride_h, stride_w, pad_t, pad_l, pad_b, pad_r, dilation_h, dilation_w, group;
    int32_t x_nchw;        /* f_conv2d only */
    int32_t act, post_act; /* cyg_act */
    float act_lo, act_hi;
    int32_t reserved;
} cyg_kp_conv;
typedef struct cyg_kp_pool {
    int64_t kh, kw, stride_h, stride_w, pad_t, pad_l, pad_b, pad_r, dilation_h, dilation_w;
    int32_t is_max, count_include_pad;              /* a global pool is a pool over H x W */
    int64_t kd, stride_d, pad_f, pad_k, dilation_d; /* kd 0: no depth, further axes are width */
    int32_t column_major; /* of the index output: the first spatial axis counts fastest if set */
    int32_t reserved;
} cyg_kp_pool;
/* Up to three spatial axes (depth, height, width); one that x lacks has kernel, stride and dilation
 * 1 and no pads. */
typedef struct cyg_kp_windows {
    int64_t kernel[3], stride[3], dilation[3], begin[3], end[3];
    int64_t group;
} cyg_kp_windows;
typedef struct cyg_kp_layernorm {
    int64_t channels; /* product of the normalised axes */
    int64_t inner;    /* elements between two neighbours of a row; 1: rows are contiguous */
    float epsilon;
    int32_t rms; /* no mean, no beta: x / sqrt(mean of x^2 + epsilon) * gamma */
} cyg_kp_layernorm;
typedef struct cyg_kp_batchnorm {
    float epsilon;
    int32_t reserved;
} cyg_kp_batchnorm;
/* scale and bias are one number a channel, or (ONNX before opset 21) a group. */
typedef struct cyg_kp_group_norm {
    int64_t groups; /* as many as channels: instance norm */
    float epsilon;
    int32_t reserved;
} cyg_kp_group_norm;
typedef struct cyg_kp_lp_norm {
    int32_t axis, p; /* p 1 or 2 */
} cyg_kp_lp_norm;
typedef struct cyg_kp_softmax {
    int32_t axis, is_log;
} cyg_kp_softmax;
typedef enum cyg_reduce_fn {
    CYG_REDUCE_MEAN,
    CYG_REDUCE_SUM,
    CYG_REDUCE_MAX,
    CYG_REDUCE_MIN,
    CYG_REDUCE_PROD,
    CYG_REDUCE_L2,
} cyg_reduce_fn;
typedef struct cyg_kp_reduce {
    int32_t fn; /* cyg_reduce_fn; f_argmax: bit 0 = last index wins ties, bit 1 = smallest */
    uint32_t axes_mask; /* bit i = input axis i is reduced */
} cyg_kp_reduce;
/* Addressing shared by f_attention and i_attention: see the attention operator in ir/ops.def. */
typedef struct cyg_kp_attention {
    int64_t heads, head_dim, tokens; /* H, d, N */
    int64_t entries; /* G: batch entries (windows) of one image; the rows of an image are G * N */
    int64_t images;  /* B */
    int64_t q_stride, k_stride, v_stride; /* channels of a row of each buffer */
    int64_t q_offset, k_offset, v_offset; /* first channel */
    int64_t tables;                       /* T: bias tables (0 = no bias) */
    float scale;
    int32_t cosine;
} cyg_kp_attention;
typedef struct cyg_kp_fattention {
    cyg_kp_attention at;
    int64_t keys;      /* M: rows of k and v for an entry */
    int64_t value_dim; /* channels of a head of v */
    int32_t own_rows;  /* k and v lie entry by entry, M rows each; 0: M is N, rows as q's */
    int32_t hide_when; /* 0 or 1: what `hide` holds where it hides */
    float hide_fill;   /* what a hidden element shows to the softmax */
    int32_t zero_nan;  /* probabilities that are NaN count as 0 */
} cyg_kp_fattention;
/* view_rank > 0: x is seen in the dimensions of view, and y is any shape of as many elements. */
typedef struct cyg_kp_transpose {
    int64_t perm[8];
    int64_t view_rank, view[8];
} cyg_kp_transpose;
typedef struct cyg_kp_axis {
    int64_t axis; /* normalised, >= 0 */
} cyg_kp_axis;
typedef enum cyg_resize_mode {
    CYG_RESIZE_NEAREST,
    CYG_RESIZE_LINEAR,
    CYG_RESIZE_CUBIC,
} cyg_resize_mode;
typedef enum cyg_resize_transform {
    CYG_RESIZE_HALF_PIXEL,
    CYG_RESIZE_HALF_PIXEL_SYMMETRIC,
    CYG_RESIZE_PYTORCH_HALF_PIXEL,
    CYG_RESIZE_ALIGN_CORNERS,
    CYG_RESIZE_ASYMMETRIC,
    CYG_RESIZE_CROP, /* tf_crop_and_resize */
    CYG_RESIZE_TRANSFORMS
} cyg_resize_transform;
typedef enum cyg_resize_nearest {
    CYG_RESIZE_ROUND_PREFER_FLOOR,
    CYG_RESIZE_ROUND_PREFER_CEIL,
    CYG_RESIZE_FLOOR,
    CYG_RESIZE_CEIL,
} cyg_resize_nearest;
/* By axis; roi in parts of the axis, read by CYG_RESIZE_CROP only (else 0, 1). */
typedef struct cyg_kp_resize {
    double scale[8], roi_start[8], roi_end[8];
    int32_t mode, transform, nearest;
    int32_t exclude_outside, antialias;
    float cubic_a, extrapolation;
    int32_t
        rounds; /* quantised types: to the nearest integer, ties to even; else integers truncate */
} cyg_kp_resize;
typedef struct cyg_kp_grid_sample {
    int32_t mode;    /* 0 nearest, 1 linear, 2 cubic */
    int32_t padding; /* 0 zeros, 1 border, 2 reflection */
    int32_t align_corners, reserved;
} cyg_kp_grid_sample;
typedef struct cyg_kp_roi_align {
    int64_t sampling_ratio; /* samples a side of a cell, 0 = as many as pixels */
    float spatial_scale;
    int32_t half_pixel, is_max, reserved;
} cyg_kp_roi_align;
typedef enum cyg_lstm_activation {
    CYG_LSTM_SIGMOID,
    CYG_LSTM_TANH,
    CYG_LSTM_RELU,
    CYG_LSTM_AFFINE,
    CYG_LSTM_LEAKY_RELU,
    CYG_LSTM_THRESHOLDED_RELU,
    CYG_LSTM_SCALED_TANH,
    CYG_LSTM_HARD_SIGMOID,
    CYG_LSTM_ELU,
    CYG_LSTM_SOFTSIGN,
    CYG_LSTM_SOFTPLUS,
    CYG_LSTM_ACTIVATIONS
} cyg_lstm_activation;
enum { CYG_LSTM_FORWARD, CYG_LSTM_REVERSE, CYG_LSTM_BOTH };
typedef struct cyg_kp_lstm {
    int64_t hidden;
    int32_t direction;     /* CYG_LSTM_FORWARD .. */
    int32_t batch_first;   /* ONNX's layout 1 */
    int32_t input_forget;  /* the forget gate is 1 - the input gate */
    float clip;            /* bound of what goes into the gates, 0 = none */
    int32_t activation[6]; /* f, g, h of each direction */
    float alpha[6], beta[6];
} cyg_kp_lstm;
typedef struct cyg_kp_scatter {
    int64_t axis;      /* scatter_elements only */
    int32_t reduction; /* 0 none, 1 add, 2 mul, 3 max, 4 min */
    int32_t reserved;
} cyg_kp_scatter;
typedef struct cyg_kp_trilu {
    int64_t k;     /* the diagonal: 0 the main one, above it positive */
    int32_t upper; /* keeps what is on or above it, else on or below */
    int32_t reserved;
} cyg_kp_trilu;
typedef struct cyg_kp_top_k {
    int32_t axis;
    int32_t largest; /* else the smallest */
} cyg_kp_top_k;
typedef struct cyg_kp_cumsum {
    int32_t axis, exclusive, reverse, reserved;
} cyg_kp_cumsum;
typedef struct cyg_kp_slice {
    int64_t start[8], step[8]; /* every axis; the length is y's dim */
} cyg_kp_slice;
typedef struct cyg_kp_pad {
    int64_t before[8], after[8]; /* may be negative (crop) */
    int32_t mode;                /* 0 constant, 1 reflect, 2 edge, 3 wrap */
    int32_t reserved;
} cyg_kp_pad;
typedef struct cyg_kp_fill {
    uint64_t bits; /* the element's bytes, low end first */
} cyg_kp_fill;
typedef struct cyg_kp_gather_rows {
    int64_t rows_in, rows_out, images;
    uint64_t fill_bits; /* element written for index -1: 0.0f, or the zero point */
} cyg_kp_gather_rows;
/* ONNX forms: scale and zero point in buffers, along axis. Our input step: in[1] absent, then
 * `scale_inv` and `zero` apply. */
typedef struct cyg_kp_quantize {
    int32_t axis; /* -1 = per tensor */
    int32_t zero;
    float scale_inv; /* quantize: g = x * scale_inv */
    float scale;     /* dequantize: y = (q - zero) * scale */
    int64_t block;   /* > 0: the scales have x's rank, one for so many elements along axis */
} cyg_kp_quantize;
/* y = scale * rne(sat(x / scale)), lo and hi with the zero point subtracted already. */
typedef struct cyg_kp_fake_quant {
    float scale, lo, hi;
    int32_t reserved;
} cyg_kp_fake_quant;

/* ---- integers: names as in docs/numerics.md
 * ---------------------------------------------------------------- */

/* Saturation of an output: sat(rne(g)) + z with lo, hi already minus z, exact in float. */
typedef struct cyg_isat {
    float lo, hi;
    int32_t zero;
    int32_t reserved;
} cyg_isat;

/* acc = sum_k x[m,k] w[n,k] + bias[n] (z_x folded into bias by the compiler); f = (float)acc; g = f
 * * M[n]; act: NONE: M carries 1/s_y, then residual g = fma(r - r_zero, R, g), then post RELU/CLIP
 * by sat limits (the compiler narrows them); other: g is the real pre-activation, h = act(g), g = h
 * * inv_scale_y, then residual likewise. y f32: act, then residual as fma(r - r_zero, R, g) with R
 * = s_r, no saturation. x s16: bias is s64, acc int64. */
typedef struct cyg_kp_ilinear {
    int32_t act; /* cyg_act */
    int32_t r_zero;
    float act_lo, act_hi;
    float inv_scale_y, r_scale; /* I, R */
    cyg_isat sat;
} cyg_kp_ilinear;
typedef struct cyg_kp_iconv2d {
    cyg_kp_conv geometry; /* act fields unused; group any; pads are filled with x_zero */
    cyg_kp_ilinear out;
    int32_t x_zero, reserved;
} cyg_kp_iconv2d;
typedef struct cyg_kp_ilayernorm {
    int64_t channels;
    double eps; /* eps / s_x^2 */
    cyg_isat sat;
} cyg_kp_ilayernorm;
typedef struct cyg_kp_iattention {
    cyg_kp_attention at; /* scale unused: c carries it */
    int32_t e_bits;      /* 8: Q = 255, 16: Q = 65535 */
    int32_t reserved;
    cyg_isat sat;
} cyg_kp_iattention;
/* i_attention in three operators, for machines that run them on different engines: i_scores makes
 * the sums q k^T, i_weigh the integers e and each row's factor A[h] / (float)L, i_values e v times
 * that factor; one after another they give i_attention's bytes. `at` is as there with images = 1;
 * heads and entries may be any part of the whole. Row tables are s32 or s64: row of query i (of key
 * or value j) of an entry; without one, rows are in order. */
typedef struct cyg_kp_iattention_part {
    cyg_kp_attention at; /* i_scores: q, k; i_weigh: tables, cosine, then also q, k */
    int64_t queries;     /* query rows Q of an entry, a part of its tokens N; 0 = tokens */
} cyg_kp_iattention_part;
typedef struct cyg_kp_ivalues {
    cyg_kp_attention at; /* v_stride, v_offset */
    int64_t queries;
    cyg_isat sat;
} cyg_kp_ivalues;
/* t = (float)(x - max) * c (c = s_x * log2 e), e = rne(65535 * exp2(max(t, -24))), y = sat(rne(e *
 * (inv / L))) with inv = 1 / s_y. */
typedef struct cyg_kp_isoftmax {
    float c, inv_scale_y;
    cyg_isat sat;
} cyg_kp_isoftmax;
/* add: g = fma(a - za, ka, (b - zb) * kb); sub: kb is negative; mul: g = ((a - za) * (b - zb)) *
 * ka. Broadcasting by shapes. */
typedef struct cyg_kp_ieltwise {
    int32_t is_mul;
    int32_t a_zero, b_zero;
    float a_scale, b_scale; /* ka, kb */
    int32_t reserved;
    cyg_isat sat;
} cyg_kp_ieltwise;
/* g = (x - x_zero) * k; y integer (sat) or f32 (g itself). x may be f32 (then x_zero is 0):
 * quantisation. */
typedef struct cyg_kp_irequant {
    int32_t x_zero;
    float k;
    cyg_isat sat;
} cyg_kp_irequant;
/* Max: y = the largest x inside (y has x's type and quantisation; a window with nothing inside
 * gives the type's lowest). Average: g = (float)(sum - n * x_zero) * k[count - 1], n taps inside,
 * count = n or, with count_include_pad, the taps inside the padded picture; k[i] = s_x / ((i + 1)
 * s_y). */
typedef struct cyg_kp_ipool {
    cyg_kp_pool geometry;
    int32_t x_zero, reserved;
    cyg_isat sat;
} cyg_kp_ipool;
/* x seen as [outer, n, inner]; g = (float)(sum - n * x_zero) * k, k = s_x / (n s_y). */
typedef struct cyg_kp_ireduce {
    int64_t outer, n, inner;
    int32_t x_zero;
    float k;
    cyg_isat sat;
} cyg_kp_ireduce;
/* y = sat(rne((float)acc * k)), acc = sum (a - a_zero) (b - b_zero), k = s_a s_b / s_y. */
typedef struct cyg_kp_imatmul {
    int32_t a_zero, b_zero;
    float k;
    int32_t reserved;
    cyg_isat sat;
} cyg_kp_imatmul;
/* x seen as [outer, n, inner]. */
typedef struct cyg_kp_iextreme {
    int64_t outer, n, inner;
    int32_t is_min, reserved;
} cyg_kp_iextreme;

#endif
