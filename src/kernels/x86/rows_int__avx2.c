/* The integer row kernels on 256-bit vectors. Tails pass through a small buffer: AVX2 has no masks
 * for bytes. */
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#include "base/attr.h"
#include "base/type.h"

#define ISA(name) name##__avx2
enum { VN = 8 };
typedef __m256 vf;
typedef __m256i vi;

#define vf_set(x) _mm256_set1_ps(x)
#define vf_add(a, b) _mm256_add_ps(a, b)
#define vf_sub(a, b) _mm256_sub_ps(a, b)
#define vf_mul(a, b) _mm256_mul_ps(a, b)
#define vf_div(a, b) _mm256_div_ps(a, b)
#define vf_fma(a, b, c) _mm256_fmadd_ps(a, b, c)
#define vf_max(g, lo) _mm256_max_ps(g, lo) /* NaN g gives lo */
#define vf_min(g, hi) _mm256_min_ps(g, hi)
#define vf_floor(x) _mm256_floor_ps(x)
#define vf_minus_abs(x) _mm256_or_ps(x, _mm256_set1_ps(-0.0f))
#define vf_neg(x) _mm256_xor_ps(x, _mm256_set1_ps(-0.0f))
#define vf_if_lt(x, y, a, b) _mm256_blendv_ps(b, a, _mm256_cmp_ps(x, y, _CMP_LT_OQ))
#define vf_if_ge(x, y, a, b) _mm256_blendv_ps(b, a, _mm256_cmp_ps(x, y, _CMP_GE_OQ))
#define vf_if_le(x, y, a, b) _mm256_blendv_ps(b, a, _mm256_cmp_ps(x, y, _CMP_LE_OQ))
#define vf_from_vi(x) _mm256_cvtepi32_ps(x)
#define vi_from_vf(x) _mm256_cvtps_epi32(x)
#define vf_bits(x) _mm256_castps_si256(x)
#define vf_of_bits(x) _mm256_castsi256_ps(x)
#define vi_set(x) _mm256_set1_epi32(x)
#define vi_add(a, b) _mm256_add_epi32(a, b)
#define vi_sub(a, b) _mm256_sub_epi32(a, b)
#define vi_mul(a, b) _mm256_mullo_epi32(a, b)
#define vi_and(a, b) _mm256_and_si256(a, b)
#define vi_shl(a, n) _mm256_slli_epi32(a, n)
#define vi_shr(a, n) _mm256_srli_epi32(a, n)

CYG_INLINE int32_t vi_sum(vi a)
{
    __m128i s = _mm_add_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
    s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
    s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1));
    return _mm_cvtsi128_si32(s);
}

CYG_INLINE float vf_largest(vf a)
{
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    s = _mm_max_ss(s, _mm_movehdup_ps(s));
    return _mm_cvtss_f32(s);
}

CYG_INLINE vi first(int64_t n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int32_t)n),
                              _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

/* The first n lanes of a, fill in the others. */
#define vf_keep(a, n, fill) _mm256_blendv_ps(fill, a, _mm256_castsi256_ps(first(n)))
#define vi_keep(a, n) _mm256_and_si256(a, first(n))

CYG_INLINE vf vf_load(const float *p, int64_t n)
{
    return n >= VN ? _mm256_loadu_ps(p) : _mm256_maskload_ps(p, first(n));
}

CYG_INLINE void vf_store(float *p, int64_t n, vf v)
{
    if (n >= VN)
        _mm256_storeu_ps(p, v);
    else
        _mm256_maskstore_ps(p, first(n), v);
}

/* n lanes of a cyg_type as s32. */
CYG_INLINE vi vi_load(int32_t type, const void *p, int64_t n)
{
    uint8_t part[16] = {0};
    if (type == CYG_TYPE_U8 || type == CYG_TYPE_S8) {
        if (n < VN) {
            for (int64_t i = 0; i < n; i++)
                part[i] = ((const uint8_t *)p)[i];
            p = part;
        }
        const __m128i v = _mm_loadl_epi64((const __m128i *)p);
        return type == CYG_TYPE_U8 ? _mm256_cvtepu8_epi32(v) : _mm256_cvtepi8_epi32(v);
    }
    if (type == CYG_TYPE_U16 || type == CYG_TYPE_S16) {
        if (n < VN) {
            memcpy(part, p, (size_t)n * 2);
            p = part;
        }
        const __m128i v = _mm_loadu_si128((const __m128i *)p);
        return type == CYG_TYPE_U16 ? _mm256_cvtepu16_epi32(v) : _mm256_cvtepi16_epi32(v);
    }
    return n >= VN ? _mm256_loadu_si256((const __m256i *)p) : _mm256_maskload_epi32(p, first(n));
}

/* n lanes that lie in the type's range, so that saturating packs are exact. */
CYG_INLINE void vi_store(int32_t type, void *p, int64_t n, vi v)
{
    const __m128i lo = _mm256_castsi256_si128(v), hi = _mm256_extracti128_si256(v, 1);
    __m128i packed = type == CYG_TYPE_U16 ? _mm_packus_epi32(lo, hi) : _mm_packs_epi32(lo, hi);
    if (type == CYG_TYPE_U8)
        packed = _mm_packus_epi16(packed, packed);
    else if (type == CYG_TYPE_S8)
        packed = _mm_packs_epi16(packed, packed);
    const size_t bytes = type == CYG_TYPE_U8 || type == CYG_TYPE_S8 ? 1 : 2;
    if (n >= VN && bytes == 1) {
        _mm_storel_epi64((__m128i *)p, packed);
    } else if (n >= VN) {
        _mm_storeu_si128((__m128i *)p, packed);
    } else {
        uint8_t part[16];
        _mm_storeu_si128((__m128i *)(void *)part, packed);
        memcpy(p, part, (size_t)n * bytes);
    }
}

/* binary64, VD lanes */
enum { VD = 4 };
typedef __m256d vd;
#define vd_set(x) _mm256_set1_pd(x)
#define vd_add(a, b) _mm256_add_pd(a, b)
#define vd_mul(a, b) _mm256_mul_pd(a, b)

CYG_INLINE vd vd_load(const double *p, int64_t n)
{
    double part[4] = {0};
    if (n < VD) {
        memcpy(part, p, (size_t)n * sizeof *p);
        p = part;
    }
    return _mm256_loadu_pd(p);
}

CYG_INLINE vd vd_load_s32(const int32_t *p, int64_t n)
{
    int32_t part[4] = {0};
    if (n < VD) {
        memcpy(part, p, (size_t)n * sizeof *p);
        p = part;
    }
    return _mm256_cvtepi32_pd(_mm_loadu_si128((const __m128i *)(const void *)p));
}

CYG_INLINE void vd_store_f32(float *p, int64_t n, vd v)
{
    float part[4];
    _mm_storeu_ps(n >= VD ? p : part, _mm256_cvtpd_ps(v));
    if (n < VD)
        memcpy(p, part, (size_t)n * sizeof *p);
}

#include "kernels/x86/rows_int.inc.h"
