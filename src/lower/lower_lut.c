/* Integer rules of element-wise functions of one operand.
 *
 * relu and clip are a change of scale with narrower bounds. Every other function is a table: of 256
 * entries for 8-bit operands, of 1,025 nodes with a straight line between them for S16 (docs/
 * numerics.md). Tables hold what the float operator gives, from the plain C kernel, so that they do
 * not depend on the machine that compiles. */
#include "lower/scales.h"

#include <math.h>

#include "base/cpu.h"
#include "kernels/dispatch.h"

enum { NARROW = 256, WIDE = 1025 };

static cyg_status as_requant(cyg_lowering *l, double lo, double hi)
{
    const cyg_value *x = cyg_lowering_in(l, 0), *y = cyg_lowering_out(l, 0);
    const cyg_isat type = cyg_lower_saturation(y);
    cyg_kp_irequant p = {.x_zero = x->quant.zero_point,
                         .k = (float)(cyg_lower_scale(x, 0) / cyg_lower_scale(y, 0)),
                         .sat = type};
    cyg_lower_clamp(&p.sat, &type, lo, hi, cyg_lower_scale(y, 0));
    CYG_DO(cyg_lowering_op(l, CYG_KOP_i_requant, &p, sizeof p));
    return cyg_lowering_first(l, 1);
}

/* A limit of Clip: a float constant of one element, or absent. */
static cyg_status limit(cyg_lowering *l, uint32_t i, double otherwise, double *out)
{
    const cyg_value *v = cyg_lowering_in(l, i);
    *out = otherwise;
    if (v == NULL)
        return CYG_OK;
    if (!v->is_const || v->type != CYG_TYPE_F32 || cyg_value_elements(v) != 1)
        return cyg_lowering_unsupported(l, "its limits are not constants");
    *out = (double)*(const float *)v->data;
    return CYG_OK;
}

/* The function's values at x, in steps of y. A NaN gives the lowest, as in sat. */
static cyg_status evaluate(cyg_lowering *l, int64_t count, const float *x, int32_t *out_q)
{
    const cyg_value *y = cyg_lowering_out(l, 0);
    float alpha = 0.0f, beta = 0.0f, values[WIDE];
    const int fn = cyg_lower_unary_fn(l, &alpha, &beta);
    if (fn < 0)
        return cyg_lowering_unsupported(l, "has no integer form");
    cyg_kernels_for(CYG_CPU_C)->f32_unary(fn, alpha, beta, count, x, values);
    const cyg_isat sat = cyg_lower_saturation(y);
    for (int64_t i = 0; i < count; i++) {
        const double g = rint((double)values[i] / cyg_lower_scale(y, 0));
        const double low = g > (double)sat.lo ? g : (double)sat.lo;
        out_q[i] = (int32_t)(low < (double)sat.hi ? low : (double)sat.hi) + sat.zero;
    }
    return CYG_OK;
}

static cyg_status narrow_table(cyg_lowering *l)
{
    const cyg_value *x = cyg_lowering_in(l, 0), *y = cyg_lowering_out(l, 0);
    const int32_t lowest = x->quant.type == CYG_TYPE_S8 ? -128 : 0;
    const bool bytes = y->quant.type == CYG_TYPE_U8 || y->quant.type == CYG_TYPE_S8;
    const cyg_kp_none none = {0};
    float real[NARROW];
    int32_t q[NARROW];
    uint8_t *table = cyg_arena_alloc(l->arena, NARROW * 2, 64);
    if (table == NULL)
        return CYG_FAIL(l->ctx, CYG_E_NOMEM, "out of memory");
    for (int i = 0; i < NARROW; i++)
        real[i] = (float)(cyg_lower_scale(x, 0) * (i + lowest - x->quant.zero_point));
    CYG_DO(evaluate(l, NARROW, real, q));
    for (int i = 0; i < NARROW; i++) {
        table[bytes ? i : 2 * i] = (uint8_t)q[i];
        if (!bytes)
            table[2 * i + 1] = (uint8_t)(q[i] >> 8);
    }
    CYG_DO(cyg_lowering_op(l, CYG_KOP_i_lut8, &none, sizeof none));
    CYG_DO(cyg_lowering_operands(l, (const int[]){0, -1}, 2));
    cyg_lowering_constant(l, 1, y->quant.type, NARROW, table);
    return CYG_OK;
}

static cyg_status wide_table(cyg_lowering *l)
{
    const cyg_value *x = cyg_lowering_in(l, 0);
    const cyg_kp_none none = {0};
    float real[WIDE];
    int32_t *table = CYG_NEW_ARRAY(l->arena, int32_t, WIDE);
    if (table == NULL)
        return CYG_FAIL(l->ctx, CYG_E_NOMEM, "out of memory");
    for (int i = 0; i < WIDE; i++)
        real[i] = (float)(cyg_lower_scale(x, 0) * (64 * i - 32768));
    CYG_DO(evaluate(l, WIDE, real, table));
    CYG_DO(cyg_lowering_op(l, CYG_KOP_i_lut16, &none, sizeof none));
    CYG_DO(cyg_lowering_operands(l, (const int[]){0, -1}, 2));
    cyg_lowering_constant(l, 1, CYG_TYPE_S32, WIDE, table);
    return CYG_OK;
}

cyg_status cyg_lower_int_unary(cyg_lowering *l)
{
    const cyg_value *x = cyg_lowering_in(l, 0), *y = cyg_lowering_out(l, 0);
    double lo, hi;
    CYG_DO(cyg_lower_one_scale(l, x));
    CYG_DO(cyg_lower_one_scale(l, y));
    if (l->node->op == CYG_OP_relu)
        return as_requant(l, 0.0, INFINITY);
    if (l->node->op == CYG_OP_clip) {
        CYG_DO(limit(l, 1, -INFINITY, &lo));
        CYG_DO(limit(l, 2, INFINITY, &hi));
        return as_requant(l, lo, hi);
    }
    if (x->quant.type == CYG_TYPE_U8 || x->quant.type == CYG_TYPE_S8)
        return narrow_table(l);
    if (x->quant.type != CYG_TYPE_S16 || y->quant.type != CYG_TYPE_S16)
        return cyg_lowering_unsupported(l, "its 16-bit form is from S16 to S16");
    return wide_table(l);
}
