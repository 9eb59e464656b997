/* The integer row kernels, written once over a small vector vocabulary (vf, vi, VN lanes) that the
 * including file defines for its level. Each function is the scalar one of int/arith.h, operation
 * by operation: max and min keep their operand order, so that a NaN becomes the lower limit, and
 * fma stands only where it stands there.
 *
 * Sums fit 32 bits without sign: channels <= 65,536, |x| <= 2^15, e < 2^16 for at most 65,536
 * elements. */
#include <string.h>

#include "kernels/dispatch.h"
#include "kernels/int/arith.h"

/* ---- functions of int/arith.h
 * ------------------------------------------------------------------------------------ */

CYG_INLINE vf v_exp2(vf t)
{
    const vf n = vf_floor(t), f = vf_sub(t, n);
    vf p = vf_set(CYG_EXP2_C5);
    p = vf_fma(p, f, vf_set(CYG_EXP2_C4));
    p = vf_fma(p, f, vf_set(CYG_EXP2_C3));
    p = vf_fma(p, f, vf_set(CYG_EXP2_C2));
    p = vf_fma(p, f, vf_set(CYG_EXP2_C1));
    p = vf_fma(p, f, vf_set(CYG_EXP2_C0));
    return vf_of_bits(vi_add(vf_bits(p), vi_shl(vi_from_vf(n), 23)));
}

CYG_INLINE vf v_gelu(vf x, const float c[10])
{
    const vf v = vf_fma(x, x, vf_set(-CYG_GELU_CENTRE));
    vf p = vf_set(c[9]);
    p = vf_fma(p, v, vf_set(c[8]));
    p = vf_fma(p, v, vf_set(c[7]));
    p = vf_fma(p, v, vf_set(c[6]));
    p = vf_fma(p, v, vf_set(c[5]));
    p = vf_fma(p, v, vf_set(c[4]));
    p = vf_fma(p, v, vf_set(c[3]));
    p = vf_fma(p, v, vf_set(c[2]));
    p = vf_fma(p, v, vf_set(c[1]));
    p = vf_fma(p, v, vf_set(c[0]));
    vf h = vf_mul(x, vf_fma(x, p, vf_set(0.5f)));
    h = vf_if_ge(x, vf_set(CYG_GELU_LIMIT), x, h);
    return vf_if_le(x, vf_set(-CYG_GELU_LIMIT), vf_set(0.0f), h);
}

CYG_INLINE vf v_exp_minus_abs(vf x, float k)
{
    return v_exp2(vf_max(vf_mul(vf_minus_abs(x), vf_set(k)), vf_set(-24.0f)));
}

CYG_INLINE vf v_sigmoid(vf x)
{
    const vf e = v_exp_minus_abs(x, CYG_LOG2E), one = vf_set(1.0f), d = vf_div(one, vf_add(one, e));
    return vf_if_lt(x, vf_set(0.0f), vf_mul(e, d), d);
}

CYG_INLINE vf v_tanh(vf x)
{
    const vf e = v_exp_minus_abs(x, 2 * CYG_LOG2E), one = vf_set(1.0f);
    const vf h = vf_div(vf_sub(one, e), vf_add(one, e));
    return vf_if_lt(x, vf_set(0.0f), vf_neg(h), h);
}

CYG_INLINE vf v_clamp(vf x, float lo, float hi)
{
    return vf_min(vf_max(x, vf_set(lo)), vf_set(hi));
}

CYG_INLINE vf v_act(int32_t act, float lo, float hi, vf x)
{
    static const float gelu_erf[10] = {CYG_GELU_ERF_COEFFICIENTS};
    static const float gelu_tanh[10] = {CYG_GELU_TANH_COEFFICIENTS};
    switch (act) {
    case CYG_ACT_RELU:
        return vf_max(x, vf_set(0.0f));
    case CYG_ACT_CLIP:
        return v_clamp(x, lo, hi);
    case CYG_ACT_GELU_ERF:
        return v_gelu(x, gelu_erf);
    case CYG_ACT_GELU_TANH:
        return v_gelu(x, gelu_tanh);
    case CYG_ACT_SILU:
        return vf_mul(x, v_sigmoid(x));
    case CYG_ACT_SIGMOID:
        return v_sigmoid(x);
    case CYG_ACT_TANH:
        return v_tanh(x);
    case CYG_ACT_HARDSWISH:
        return vf_mul(x, v_clamp(vf_fma(x, vf_set(CYG_SIXTH), vf_set(0.5f)), 0.0f, 1.0f));
    case CYG_ACT_HARDSIGMOID:
        if (lo == 0.0f && hi == 0.0f) {
            lo = CYG_SIXTH;
            hi = 0.5f;
        }
        return v_clamp(vf_fma(x, vf_set(lo), vf_set(hi)), 0.0f, 1.0f);
    case CYG_ACT_LEAKY_RELU:
        return vf_if_lt(x, vf_set(0.0f), vf_mul(x, vf_set(lo)), x);
    default:
        return x;
    }
}

/* ---- loads and stores of rows
 * ------------------------------------------------------------------------------------- */

CYG_INLINE const void *at(int32_t type, const void *p, int64_t i)
{
    const int64_t bytes = type == CYG_TYPE_U8 || type == CYG_TYPE_S8     ? 1
                          : type == CYG_TYPE_U16 || type == CYG_TYPE_S16 ? 2
                                                                         : 4;
    return (const uint8_t *)p + i * bytes;
}

CYG_INLINE void *at_out(int32_t type, void *p, int64_t i)
{
    const int64_t bytes = type == CYG_TYPE_U8 || type == CYG_TYPE_S8 ? 1
                          : type == CYG_TYPE_F32                     ? 4
                                                                     : 2;
    return (uint8_t *)p + i * bytes;
}

/* Elements i.. of x minus the zero point, as floats. */
CYG_INLINE vf v_load_centred(int32_t type, const void *x, int64_t i, int64_t n, int32_t zero)
{
    if (type == CYG_TYPE_F32)
        return vf_load((const float *)x + i, n);
    return vf_from_vi(vi_sub(vi_load(type, at(type, x, i), n), vi_set(zero)));
}

CYG_INLINE void v_store_out(int32_t type, void *y, int64_t i, int64_t n, const cyg_isat *s, vf g)
{
    if (type == CYG_TYPE_F32)
        vf_store((float *)y + i, n, g);
    else
        vi_store(type, at_out(type, y, i), n,
                 vi_add(vi_from_vf(v_clamp(g, s->lo, s->hi)), vi_set(s->zero)));
}

/* ---- kernels
 * ---------------------------------------------------------------------------------------------------------
 */

/* One vector of columns, all rows. act and the types are constants where it matters. */
CYG_INLINE void epilogue_columns(const cyg_kp_ilinear *p, const int32_t act, int32_t acc_type,
                                 const int32_t *acc, int64_t acc_stride, vf m, int64_t rows,
                                 int64_t n, int32_t r_type, const uint8_t *r, int64_t r_stride,
                                 const int32_t y_type, uint8_t *y, int64_t y_stride)
{
    const float *facc = (const float *)(const void *)acc;
    for (int64_t row = 0; row < rows; row++) {
        const vf f = acc_type == CYG_TYPE_F32
                         ? vf_load(facc + row * acc_stride, VN)
                         : vf_from_vi(vi_load(CYG_TYPE_S32, acc + row * acc_stride, VN));
        vf g = vf_mul(f, m);
        if (act != CYG_ACT_NONE) {
            g = v_act(act, p->act_lo, p->act_hi, g);
            if (y_type != CYG_TYPE_F32)
                g = vf_mul(g, vf_set(p->inv_scale_y));
        }
        if (r != NULL)
            g = vf_fma(v_load_centred(r_type, r + row * r_stride, 0, n, p->r_zero),
                       vf_set(p->r_scale), g);
        v_store_out(y_type, y + row * y_stride, 0, n, &p->sat, g);
    }
}

void ISA(cyg_i_epilogue)(const cyg_kp_ilinear *p, int32_t acc_type, const void *acc,
                         int64_t acc_stride, const float *m, int64_t rows, int64_t columns,
                         int32_t r_type, const void *r, int64_t r_stride, int32_t y_type, void *y,
                         int64_t y_stride)
{
    for (int64_t i = 0; i < columns; i += VN) {
        const int64_t n = columns - i < VN ? columns - i : VN;
        const int32_t *from = (const int32_t *)acc + i;
        const vf scale = vf_load(m + i, VN);
        const uint8_t *res = r == NULL ? NULL : at(r_type, r, i);
        uint8_t *to = at_out(y_type, y, i);
        if (p->act == CYG_ACT_NONE && y_type == CYG_TYPE_U8 && r == NULL && n == VN)
            epilogue_columns(p, CYG_ACT_NONE, acc_type, from, acc_stride, scale, rows, VN, 0, NULL,
                             0, CYG_TYPE_U8, to, y_stride);
        else if (p->act == CYG_ACT_GELU_ERF && y_type == CYG_TYPE_U8 && r == NULL && n == VN)
            epilogue_columns(p, CYG_ACT_GELU_ERF, acc_type, from, acc_stride, scale, rows, VN, 0,
                             NULL, 0, CYG_TYPE_U8, to, y_stride);
        else if (p->act == CYG_ACT_NONE && y_type == CYG_TYPE_S16 && r != NULL &&
                 r_type == CYG_TYPE_S16 && n == VN)
            epilogue_columns(p, CYG_ACT_NONE, acc_type, from, acc_stride, scale, rows, VN,
                             CYG_TYPE_S16, res, r_stride, CYG_TYPE_S16, to, y_stride);
        else if (p->act == CYG_ACT_NONE)
            epilogue_columns(p, CYG_ACT_NONE, acc_type, from, acc_stride, scale, rows, n, r_type,
                             res, r_stride, y_type, to, y_stride);
        else
            epilogue_columns(p, p->act, acc_type, from, acc_stride, scale, rows, n, r_type, res,
                             r_stride, y_type, to, y_stride);
    }
}

void ISA(cyg_i_layernorm)(const cyg_kp_ilayernorm *p, int32_t x_type, const void *x,
                          const float *gamma, const float *beta, int32_t y_type, void *y)
{
    const int64_t channels = p->channels;
    vi s1 = vi_set(0), s2_low = s1, s2_high = s1;
    for (int64_t i = 0; i < channels; i += VN) {
        const vi v = vi_load(x_type, at(x_type, x, i), channels - i), square = vi_mul(v, v);
        s1 = vi_add(s1, v);
        s2_low = vi_add(s2_low, vi_and(square, vi_set(0xffff)));
        s2_high = vi_add(s2_high, vi_shr(square, 16));
    }
    const int64_t squares =
        (int64_t)(uint32_t)vi_sum(s2_high) * 65536 + (int64_t)(uint32_t)vi_sum(s2_low);
    const cyg_layernorm_row row = cyg_layernorm_stats(channels, p->eps, vi_sum(s1), squares);
    const vf mean = vf_set(row.mean), rstd = vf_set(row.rstd);
    for (int64_t i = 0; i < channels; i += VN) {
        const int64_t n = channels - i;
        const vf f = vf_from_vi(vi_load(x_type, at(x_type, x, i), n));
        const vf v = vf_mul(vf_sub(f, mean), rstd);
        v_store_out(y_type, y, i, n, &p->sat,
                    vf_fma(v, vf_load(gamma + i, n), vf_load(beta + i, n)));
    }
}

/* n lanes of s32 sums as binary64, n <= VD; NULL = zeros. */
CYG_INLINE vd plane(const int32_t *sums, int64_t j, int64_t n)
{
    return sums == NULL ? vd_set(0.0) : vd_load_s32(sums + j, n);
}

void ISA(cyg_i_join)(const cyg_plane_sums *sums, int64_t n, const double *base, double offset,
                     float *y)
{
    for (int64_t j = 0; j < n; j += VD) {
        const int64_t left = n - j;
        const vd high = vd_add(plane(sums->by_256[0], j, left), plane(sums->by_256[1], j, left));
        vd g = base == NULL ? vd_set(offset) : vd_add(vd_load(base + j, left), vd_set(offset));
        g = vd_add(g, plane(sums->by_1, j, left));
        g = vd_add(g, vd_mul(vd_set(256.0), high));
        g = vd_add(g, vd_mul(vd_set(65536.0), plane(sums->by_65536, j, left)));
        vd_store_f32(y + j, left, g);
    }
}

CYG_INLINE float scores(const int32_t a_type, const void *sums, int64_t n, float c,
                        const float *bias, const float *key_norms, float query_norm, float *t)
{
    const vf lowest = vf_set(-CYG_INFINITY), scale = vf_set(c), norm = vf_set(query_norm);
    vf largest = lowest;
    int64_t j = 0;
    if (key_norms == NULL && bias != NULL)
        for (; j + VN <= n; j += VN) {
            const vf f = v_load_centred(a_type, sums, j, VN, 0);
            const vf v = vf_fma(f, scale, vf_load(bias + j, VN));
            vf_store(t + j, VN, v);
            largest = vf_max(v, largest);
        }
    for (; j < n; j += VN) {
        const int64_t left = n - j;
        vf f = v_load_centred(a_type, sums, j, left, 0);
        if (key_norms != NULL)
            f = vf_mul(vf_mul(f, norm), vf_load(key_norms + j, left));
        const vf v = vf_fma(f, scale, bias == NULL ? vf_set(0.0f) : vf_load(bias + j, left));
        vf_store(t + j, left, v);
        largest = vf_max(left >= VN ? v : vf_keep(v, left, lowest), largest);
    }
    return vf_largest(largest);
}

float ISA(cyg_i_scores)(int32_t a_type, const void *a, int64_t n, float c, const float *bias,
                        const float *key_norms, float query_norm, float *t)
{
    return a_type == CYG_TYPE_F32 ? scores(CYG_TYPE_F32, a, n, c, bias, key_norms, query_norm, t)
                                  : scores(CYG_TYPE_S32, a, n, c, bias, key_norms, query_norm, t);
}

CYG_INLINE int64_t exp_row(const float *t, int64_t n, float t_max, float q, const int32_t e_type,
                           void *e)
{
    const vf top = vf_set(t_max), range = vf_set(q), lowest = vf_set(-24.0f);
    vi sum = vi_set(0);
    int64_t j = 0;
    for (; j + VN <= n; j += VN) {
        const vf d = vf_max(vf_sub(vf_load(t + j, VN), top), lowest);
        const vi v = vi_from_vf(vf_mul(range, v_exp2(d)));
        vi_store(e_type, at_out(e_type, e, j), VN, v);
        sum = vi_add(sum, v);
    }
    if (j < n) {
        const vf d = vf_max(vf_sub(vf_load(t + j, n - j), top), lowest);
        const vi v = vi_keep(vi_from_vf(vf_mul(range, v_exp2(d))), n - j);
        vi_store(e_type, at_out(e_type, e, j), n - j, v);
        sum = vi_add(sum, v);
    }
    return (int64_t)(uint32_t)vi_sum(sum);
}

int64_t ISA(cyg_i_exp)(const float *t, int64_t n, float t_max, float q, int32_t e_type, void *e)
{
    return e_type == CYG_TYPE_U8 ? exp_row(t, n, t_max, q, CYG_TYPE_U8, e)
                                 : exp_row(t, n, t_max, q, CYG_TYPE_U16, e);
}

void ISA(cyg_i_requant)(int32_t x_type, const void *x, int64_t n, int32_t x_zero, float k,
                        const cyg_isat *sat, int32_t y_type, void *y)
{
    for (int64_t i = 0; i < n; i += VN)
        v_store_out(y_type, y, i, n - i, sat,
                    vf_mul(v_load_centred(x_type, x, i, n - i, x_zero), vf_set(k)));
}

void ISA(cyg_i_eltwise)(const cyg_kp_ieltwise *p, int32_t a_type, const void *a, int64_t a_step,
                        int32_t b_type, const void *b, int64_t b_step, int64_t n, int32_t y_type,
                        void *y)
{
    const vf a_first = vf_set(cyg_load_centred(a_type, a, 0, p->a_zero));
    const vf b_first = vf_set(cyg_load_centred(b_type, b, 0, p->b_zero));
    const vf ka = vf_set(p->a_scale), kb = vf_set(p->b_scale);
    for (int64_t i = 0; i < n; i += VN) {
        const vf u = a_step == 0 ? a_first : v_load_centred(a_type, a, i, n - i, p->a_zero);
        const vf v = b_step == 0 ? b_first : v_load_centred(b_type, b, i, n - i, p->b_zero);
        const vf g = p->is_mul ? vf_mul(vf_mul(u, v), ka) : vf_fma(u, ka, vf_mul(v, kb));
        v_store_out(y_type, y, i, n - i, &p->sat, g);
    }
}
