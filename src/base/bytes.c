/* The 16-bit float formats.
 *
 * Done on the bits, so that no machine's conversion instruction, rounding mode or NaN habit can
 * show: every finite value is exact or rounded to nearest even, infinities stay, a NaN becomes a
 * quiet NaN that keeps its sign and top payload bits. */
#include "base/bytes.h"

static float from_bits(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

float cyg_f16_to_f32(uint16_t h)
{
    const uint32_t sign = (uint32_t)(h & 0x8000u) << 16;
    uint32_t exponent = (h >> 10) & 31u;
    uint32_t fraction = h & 0x3ffu;
    if (exponent == 31)
        return from_bits(sign | 0x7f800000u | (fraction != 0 ? 0x400000u : 0u) | fraction << 13);
    if (exponent == 0) {
        if (fraction == 0)
            return from_bits(sign);
        exponent = 1; /* subnormal: shift the leading one into place */
        while ((fraction & 0x400u) == 0) {
            fraction <<= 1;
            exponent--;
        }
        fraction &= 0x3ffu;
    }
    return from_bits(sign | (exponent + 112u) << 23 | fraction << 13);
}

uint16_t cyg_f32_to_f16(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    const uint16_t sign = (uint16_t)(bits >> 16 & 0x8000u);
    const uint32_t magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u)
        return (uint16_t)(sign | 0x7e00u | (magnitude >> 13 & 0x3ffu));
    if (magnitude >= 0x477ff000u) /* 65520 and more round to infinity */
        return (uint16_t)(sign | 0x7c00u);
    if (magnitude < 0x33000001u) /* up to 2^-25 rounds to zero (the tie goes to even) */
        return sign;
    const uint32_t exponent = magnitude >> 23;
    uint32_t value, drop; /* result = value >> drop, rounded to nearest even */
    if (exponent >= 113) {
        value = magnitude - (112u << 23);
        drop = 13;
    } else {
        value = (magnitude & 0x7fffffu) | 0x800000u;
        drop = 126u - exponent;
    }
    const uint32_t half = 1u << (drop - 1);
    const uint32_t odd = value >> drop & 1u;
    return (uint16_t)(sign | (value + half - 1u + odd) >> drop);
}

float cyg_bf16_to_f32(uint16_t h)
{
    return from_bits((uint32_t)h << 16);
}

void cyg_transpose_f32(int64_t rows, int64_t cols, const void *from, int64_t stride, float *to)
{
    enum { BLOCK = 32 }; /* two blocks stay in the first cache */
    for (int64_t i0 = 0; i0 < rows; i0 += BLOCK)
        for (int64_t j0 = 0; j0 < cols; j0 += BLOCK)
            for (int64_t j = j0; j < cols && j < j0 + BLOCK; j++)
                for (int64_t i = i0; i < rows && i < i0 + BLOCK; i++)
                    to[j * rows + i] = cyg_float_at(from, i * stride + j);
}
