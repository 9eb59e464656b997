/* Private to quant/: ranges to scales and zero points, and the quantisation of constants. */
#ifndef CYG_QUANT_PARAMS_H
#define CYG_QUANT_PARAMS_H

#include "kernels/dispatch.h"
#include "quant/internal.h"

/* U8: asymmetric, zero inside the range. S8 and S16: symmetric; S16 keeps a factor of two in
 * reserve, since calibration never sees the largest value and 16 bits have room. *scale holds the
 * one scale and must live as long as the result. */
cyg_quant cyg_quant_range(cyg_store store, double lo, double hi, float *scale);
/* The same with the scale in the graph's arena. */
cyg_status cyg_quant_from_range(cyg_scheme *s, cyg_store store, float lo, float hi,
                                cyg_quant *out_q) CYG_MUST_USE;
/* One scale for each head_dim channels (of the last axis, `axis`), repeated so that scales[c] is
 * channel c's. */
cyg_status cyg_quant_from_heads(cyg_scheme *s, const cyg_observed *o, int64_t head_dim,
                                int32_t axis, cyg_quant *out_q) CYG_MUST_USE;
/* A constant's float data in the integers of q (one scale). */
cyg_status cyg_quant_constant(cyg_scheme *s, cyg_value_id v, const cyg_quant *q,
                              cyg_value_id *out_v) CYG_MUST_USE;
/* What is left of a real number x stored with one scale: scale * (q - z). */
double cyg_quant_stored(const cyg_quant *q, float x);
/* The same of a row of U8, S8 or S16, in binary32: where x lies between two steps it may fall to
 * the other side. */
void cyg_quant_stored_row(const cyg_kernels *isa, const cyg_quant *q, const float *x, float *out,
                          int64_t count);
/* sum_k weight[k] (x[k] - stored x[k])^2 of such a row, in binary32 with sixteen partial sums: the
 * same bits everywhere. */
double cyg_quant_row_error(const cyg_kernels *isa, const cyg_quant *q, const float *x,
                           const float *weight, int64_t count);
/* Range of a float constant. */
void cyg_quant_const_range(const cyg_value *v, float *lo, float *hi);
/* Whether an accumulator holds every sum of an output's weights, sum |w| and sum w, times inputs
 * stored with x, plus a bias, with room for a correction of it. */
bool cyg_quant_sum_fits(const cyg_quant *x, double magnitude, double sum, double bias,
                        double scale);
/* Whether that holds for any `taps` weights of at most `most`: no need to look at each then. */
bool cyg_quant_sums_always_fit(const cyg_quant *x, int64_t taps, double most, double bias,
                               double scale);
/* S8 or S16 weights [channels, taps], one scale a channel, for an input with scale s_x and zero
 * point z_x; S16 within -32639..32639, so that both of its bytes are S8, for a 16-bit input. */
cyg_status cyg_quant_weights(cyg_scheme *s, cyg_value_id w, const cyg_value *bias,
                             const cyg_quant *x, cyg_type type, cyg_value_id *out_w) CYG_MUST_USE;

/* Turns pad then requant into requant then pad, of codes; how many. Sorts the graph. */
cyg_status cyg_quant_integer_pads(cyg_ctx *ctx, cyg_graph *g, uint32_t *out_count) CYG_MUST_USE;

/* Gives a linear or conv2d this bias; `bias` stays the caller's, in the graph's arena. */
cyg_status cyg_quant_set_bias(cyg_scheme *s, cyg_node_id id, const float *bias,
                              int64_t channels) CYG_MUST_USE;

#endif
