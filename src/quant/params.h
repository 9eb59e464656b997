/* Private to quant/: ranges to scales and zero points, and the quantisation of constants. */
#ifndef CYG_QUANT_PARAMS_H
#define CYG_QUANT_PARAMS_H

#include "quant/internal.h"

/* U8: asymmetric, zero inside the range. S8 and S16: symmetric; S16 keeps a factor of two in
 * reserve, since calibration never sees the largest value and 16 bits have room. */
cyg_status cyg_quant_from_range(cyg_scheme *s, cyg_store store, float lo, float hi,
                                cyg_quant *out_q) CYG_MUST_USE;
/* One scale for each head_dim channels (of the last axis, `axis`), repeated so that scales[c] is
 * channel c's. */
cyg_status cyg_quant_from_heads(cyg_scheme *s, const cyg_observed *o, int64_t head_dim,
                                int32_t axis, cyg_quant *out_q) CYG_MUST_USE;
/* A constant's float data in the integers of q (one scale). */
cyg_status cyg_quant_constant(cyg_scheme *s, cyg_value_id v, const cyg_quant *q,
                              cyg_value_id *out_v) CYG_MUST_USE;
/* Range of a float constant. */
void cyg_quant_const_range(const cyg_value *v, float *lo, float *hi);
/* S8 weights [channels, taps], one scale a channel, for an input with scale s_x and zero point z_x.
 */
cyg_status cyg_quant_weights(cyg_scheme *s, cyg_value_id w, const cyg_value *bias,
                             const cyg_quant *x, cyg_value_id *out_w) CYG_MUST_USE;

#endif
