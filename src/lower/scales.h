/* Private to lower/: what integer rules ask about a value's quantisation. */
#ifndef CYG_LOWER_SCALES_H
#define CYG_LOWER_SCALES_H

#include "lower/lowering.h"

/* Values that the compiler uses of a type: symmetric ones leave the lowest out. */
CYG_INLINE void cyg_lower_range(cyg_type type, int32_t *out_lo, int32_t *out_hi)
{
    const bool is_signed = type == CYG_TYPE_S8 || type == CYG_TYPE_S16;
    *out_hi = type == CYG_TYPE_U8    ? 255
              : type == CYG_TYPE_S8  ? 127
              : type == CYG_TYPE_U16 ? 65535
                                     : 32767;
    *out_lo = is_signed ? -*out_hi : 0;
}

CYG_INLINE cyg_isat cyg_lower_saturation(const cyg_value *y)
{
    int32_t lo, hi;
    cyg_lower_range(y->quant.type, &lo, &hi);
    return (cyg_isat){.lo = (float)(lo - y->quant.zero_point),
                      .hi = (float)(hi - y->quant.zero_point),
                      .zero = y->quant.zero_point};
}

CYG_INLINE double cyg_lower_scale(const cyg_value *v, int64_t channel)
{
    return (double)v->quant.scales[v->quant.count == 1 ? 0 : channel];
}

CYG_INLINE cyg_status cyg_lower_one_scale(cyg_lowering *l, const cyg_value *v)
{
    if (!cyg_is_quantised(v) || v->quant.count != 1)
        return cyg_lowering_unsupported(l, "an operand needs exactly one scale");
    return CYG_OK;
}

/* Sends saturation bounds through a clamp to the real values [lo, hi]: the bounds of the clamp's
 * result, still inside `type`, the bounds of y's type (lower_int.c). */
void cyg_lower_clamp(cyg_isat *sat, const cyg_isat *type, double lo, double hi, double s_y);

/* Integer rules of element-wise functions of one operand (lower_lut.c). */
cyg_status cyg_lower_int_unary(cyg_lowering *l) CYG_MUST_USE;
/* A unary operator's function (cyg_unary_fn) and its arguments; -1 when it is none
 * (lower_float.c). */
int cyg_lower_unary_fn(const cyg_lowering *l, float *alpha, float *beta);

#endif
