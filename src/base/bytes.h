/* Little-endian load and store on unaligned bytes, and the 16-bit float formats. On-disk data goes
 * through these only. */
#ifndef CYG_BASE_BYTES_H
#define CYG_BASE_BYTES_H

#include <stdint.h>
#include <string.h>

#include "base/attr.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "big-endian machines are not supported: weights are used in place from little-endian files"
#endif

#define CYG_LOAD_STORE(suffix, type)                                                               \
    CYG_INLINE type cyg_load_##suffix(const void *p)                                               \
    {                                                                                              \
        type v;                                                                                    \
        memcpy(&v, p, sizeof v);                                                                   \
        return v;                                                                                  \
    }                                                                                              \
    CYG_INLINE void cyg_store_##suffix(void *p, type v)                                            \
    {                                                                                              \
        memcpy(p, &v, sizeof v);                                                                   \
    }
CYG_LOAD_STORE(u16, uint16_t)
CYG_LOAD_STORE(i16, int16_t)
CYG_LOAD_STORE(u32, uint32_t)
CYG_LOAD_STORE(i32, int32_t)
CYG_LOAD_STORE(u64, uint64_t)
CYG_LOAD_STORE(i64, int64_t)
CYG_LOAD_STORE(f32, float)
CYG_LOAD_STORE(f64, double)
#undef CYG_LOAD_STORE

/* Element i of floats at any address: constants that lie in a file (onnx/onnx.h). */
CYG_INLINE float cyg_float_at(const void *data, int64_t i)
{
    return cyg_load_f32((const char *)data + i * (int64_t)sizeof(float));
}

float cyg_f16_to_f32(uint16_t h);
uint16_t cyg_f32_to_f16(float f); /* round to nearest even */
float cyg_bf16_to_f32(uint16_t h);

/* to[j * rows + i] = from[i * stride + j]: a matrix [rows, cols], rows `stride` elements apart, as
 * [cols, rows]. `from` lies at any address. */
void cyg_transpose_f32(int64_t rows, int64_t cols, const void *from, int64_t stride, float *to);

#endif
