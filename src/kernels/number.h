/* One element of any numeric type as int64 or double and back, defined for every input.
 *
 * Integers narrow modulo 2^bits. A float becomes an integer by truncation, saturated to the type's
 * range, NaN = 0 (ONNX leaves both open). f16 and bf16 round to nearest even; f16 overflows to
 * infinity. */
#ifndef CYG_KERNELS_NUMBER_H
#define CYG_KERNELS_NUMBER_H

#include <string.h>

#include "kernels/shape.h"

CYG_INLINE bool cyg_is_float_type(int32_t type)
{
    return type == CYG_TYPE_F32 || type == CYG_TYPE_F64 || type == CYG_TYPE_F16 ||
           type == CYG_TYPE_BF16;
}

CYG_INLINE float cyg_f16_to_f32(uint16_t h)
{
    const uint32_t sign = (uint32_t)(h & 0x8000u) << 16, e = h >> 10 & 31u, m = h & 0x3ffu;
    uint32_t u;
    float f;
    if (e == 0) {
        f = (float)m * 0x1p-24f;
        memcpy(&u, &f, sizeof u);
        u |= sign;
    } else {
        u = sign | (e == 31 ? 0x7f800000u | m << 13 : (e + 112) << 23 | m << 13);
    }
    memcpy(&f, &u, sizeof f);
    return f;
}

CYG_INLINE uint16_t cyg_f32_to_f16(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    const uint16_t sign = (uint16_t)(u >> 16 & 0x8000u);
    u &= 0x7fffffffu;
    if (u > 0x7f800000u)
        return sign | 0x7e00u;
    if (u >= 0x477ff000u) /* 65520 and more */
        return sign | 0x7c00u;
    if (u < 0x38800000u) { /* below 2^-14: round |f| * 2^24 to an integer by the adder */
        float t;
        memcpy(&t, &u, sizeof t);
        t += 0.5f; /* ulp of [0.5, 1) is 2^-24 */
        memcpy(&u, &t, sizeof u);
        return (uint16_t)(sign | (u - 0x3f000000u));
    }
    const uint32_t r = u + 0xfffu + (u >> 13 & 1u);
    return (uint16_t)(sign | ((r >> 13) - (112u << 10)));
}

CYG_INLINE float cyg_bf16_to_f32(uint16_t h)
{
    const uint32_t u = (uint32_t)h << 16;
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}
CYG_INLINE uint16_t cyg_f32_to_bf16(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    if ((u & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)(u >> 16 | 0x40u);
    return (uint16_t)((u + 0x7fffu + (u >> 16 & 1u)) >> 16);
}

/* Element i of an integer or bool buffer; u64 as its two's complement bits. */
CYG_INLINE int64_t cyg_load_int(const void *data, int32_t type, int64_t i)
{
    switch (type) {
    case CYG_TYPE_U8:
    case CYG_TYPE_BOOL:
        return ((const uint8_t *)data)[i];
    case CYG_TYPE_S8:
        return ((const int8_t *)data)[i];
    case CYG_TYPE_U16:
        return ((const uint16_t *)data)[i];
    case CYG_TYPE_S16:
        return ((const int16_t *)data)[i];
    case CYG_TYPE_S32:
        return ((const int32_t *)data)[i];
    case CYG_TYPE_U32:
        return ((const uint32_t *)data)[i];
    default:
        return ((const int64_t *)data)[i];
    }
}
CYG_INLINE double cyg_load_real(const void *data, int32_t type, int64_t i)
{
    switch (type) {
    case CYG_TYPE_F32:
        return (double)((const float *)data)[i];
    case CYG_TYPE_F64:
        return ((const double *)data)[i];
    case CYG_TYPE_F16:
        return (double)cyg_f16_to_f32(((const uint16_t *)data)[i]);
    case CYG_TYPE_BF16:
        return (double)cyg_bf16_to_f32(((const uint16_t *)data)[i]);
    case CYG_TYPE_U64:
        return (double)((const uint64_t *)data)[i];
    default:
        return (double)cyg_load_int(data, type, i);
    }
}
CYG_INLINE void cyg_store_int(void *data, int32_t type, int64_t i, int64_t v)
{
    switch (cyg_type_bytes(type)) {
    case 1:
        ((uint8_t *)data)[i] = type == CYG_TYPE_BOOL ? v != 0 : (uint8_t)v;
        break;
    case 2:
        ((uint16_t *)data)[i] = (uint16_t)v;
        break;
    case 4:
        ((uint32_t *)data)[i] = (uint32_t)v;
        break;
    default:
        ((uint64_t *)data)[i] = (uint64_t)v;
        break;
    }
}

/* Truncates and saturates; lo and hi bound the type. */
CYG_INLINE int64_t cyg_real_to_int(double v, int64_t lo, int64_t hi)
{
    if (!(v == v))
        return 0;
    if (v <= (double)lo)
        return lo;
    return v >= (double)hi ? hi : (int64_t)v;
}
/* A double rounded to float with ties as f16/bf16 need: to odd, so that the second rounding is the
 * only one that counts. */
CYG_INLINE float cyg_narrow_odd(double v)
{
    float f = (float)v;
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    const double back = (double)f;
    if (back != v && v == v && (u & 0x7fffffffu) < 0x7f800000u && (u & 1u) == 0) {
        const bool grow = (v > back) == ((u >> 31) == 0) && (u & 0x7fffffffu) != 0;
        u = (u & 0x7fffffffu) == 0 ? (u | 1u) : grow ? u + 1u : u - 1u;
    }
    memcpy(&f, &u, sizeof f);
    return f;
}
CYG_INLINE void cyg_store_real(void *data, int32_t type, int64_t i, double v)
{
    static const int64_t top = INT64_MAX;
    switch (type) {
    case CYG_TYPE_F32:
        ((float *)data)[i] = (float)v;
        break;
    case CYG_TYPE_F64:
        ((double *)data)[i] = v;
        break;
    case CYG_TYPE_F16:
        ((uint16_t *)data)[i] = cyg_f32_to_f16(cyg_narrow_odd(v));
        break;
    case CYG_TYPE_BF16:
        ((uint16_t *)data)[i] = cyg_f32_to_bf16(cyg_narrow_odd(v));
        break;
    case CYG_TYPE_BOOL:
        ((uint8_t *)data)[i] = v != 0.0;
        break;
    case CYG_TYPE_U8:
        ((uint8_t *)data)[i] = (uint8_t)cyg_real_to_int(v, 0, 255);
        break;
    case CYG_TYPE_S8:
        ((int8_t *)data)[i] = (int8_t)cyg_real_to_int(v, -128, 127);
        break;
    case CYG_TYPE_U16:
        ((uint16_t *)data)[i] = (uint16_t)cyg_real_to_int(v, 0, 65535);
        break;
    case CYG_TYPE_S16:
        ((int16_t *)data)[i] = (int16_t)cyg_real_to_int(v, -32768, 32767);
        break;
    case CYG_TYPE_S32:
        ((int32_t *)data)[i] = (int32_t)cyg_real_to_int(v, INT32_MIN, INT32_MAX);
        break;
    case CYG_TYPE_U32:
        ((uint32_t *)data)[i] = (uint32_t)cyg_real_to_int(v, 0, UINT32_MAX);
        break;
    case CYG_TYPE_U64:
        if (v >= 0x1p63)
            ((uint64_t *)data)[i] = v >= 0x1p64 ? UINT64_MAX : (uint64_t)v;
        else
            ((uint64_t *)data)[i] = (uint64_t)cyg_real_to_int(v, 0, top);
        break;
    default:
        ((int64_t *)data)[i] = cyg_real_to_int(v, INT64_MIN, top);
        break;
    }
}

#endif
