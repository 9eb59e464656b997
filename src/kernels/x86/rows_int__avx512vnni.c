/* The integer row kernels on 512-bit vectors. Tails are masked loads and stores. */
#include <immintrin.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/type.h"

#define ISA(name) name##__avx512vnni
enum { VN = 16 };
typedef __m512 vf;
typedef __m512i vi;

#define vf_set(x) _mm512_set1_ps(x)
#define vf_add(a, b) _mm512_add_ps(a, b)
#define vf_sub(a, b) _mm512_sub_ps(a, b)
#define vf_mul(a, b) _mm512_mul_ps(a, b)
#define vf_div(a, b) _mm512_div_ps(a, b)
#define vf_fma(a, b, c) _mm512_fmadd_ps(a, b, c)
#define vf_max(g, lo) _mm512_max_ps(g, lo) /* NaN g gives lo */
#define vf_min(g, hi) _mm512_min_ps(g, hi)
#define vf_floor(x) _mm512_roundscale_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC)
#define vf_minus_abs(x) _mm512_or_ps(x, _mm512_set1_ps(-0.0f))
#define vf_neg(x) _mm512_xor_ps(x, _mm512_set1_ps(-0.0f))
#define vf_if_lt(x, y, a, b) _mm512_mask_blend_ps(_mm512_cmp_ps_mask(x, y, _CMP_LT_OQ), b, a)
#define vf_if_ge(x, y, a, b) _mm512_mask_blend_ps(_mm512_cmp_ps_mask(x, y, _CMP_GE_OQ), b, a)
#define vf_if_le(x, y, a, b) _mm512_mask_blend_ps(_mm512_cmp_ps_mask(x, y, _CMP_LE_OQ), b, a)
#define vf_from_vi(x) _mm512_cvtepi32_ps(x)
#define vi_from_vf(x) _mm512_cvtps_epi32(x)
#define vf_bits(x) _mm512_castps_si512(x)
#define vf_of_bits(x) _mm512_castsi512_ps(x)
#define vi_set(x) _mm512_set1_epi32(x)
#define vi_add(a, b) _mm512_add_epi32(a, b)
#define vi_sub(a, b) _mm512_sub_epi32(a, b)
#define vi_mul(a, b) _mm512_mullo_epi32(a, b)
#define vi_and(a, b) _mm512_and_si512(a, b)
#define vi_shl(a, n) _mm512_slli_epi32(a, n)
#define vi_shr(a, n) _mm512_srli_epi32(a, n)
#define vi_sum(a) _mm512_reduce_add_epi32(a)
#define vf_largest(a) _mm512_reduce_max_ps(a)

CYG_INLINE __mmask16 first(int64_t n)
{
    return (__mmask16)((1u << n) - 1);
}

/* The first n lanes of a, fill in the others. */
#define vf_keep(a, n, fill) _mm512_mask_blend_ps(first(n), fill, a)
#define vi_keep(a, n) _mm512_maskz_mov_epi32(first(n), a)

CYG_INLINE vf vf_load(const float *p, int64_t n)
{
    return n >= VN ? _mm512_loadu_ps(p) : _mm512_maskz_loadu_ps(first(n), p);
}

CYG_INLINE void vf_store(float *p, int64_t n, vf v)
{
    if (n >= VN)
        _mm512_storeu_ps(p, v);
    else
        _mm512_mask_storeu_ps(p, first(n), v);
}

/* n lanes of a cyg_type as s32. */
CYG_INLINE vi vi_load(int32_t type, const void *p, int64_t n)
{
    if (type == CYG_TYPE_U8 || type == CYG_TYPE_S8) {
        const __m128i v =
            n >= VN ? _mm_loadu_si128((const __m128i *)p) : _mm_maskz_loadu_epi8(first(n), p);
        return type == CYG_TYPE_U8 ? _mm512_cvtepu8_epi32(v) : _mm512_cvtepi8_epi32(v);
    }
    if (type == CYG_TYPE_U16 || type == CYG_TYPE_S16) {
        const __m256i v = n >= VN ? _mm256_loadu_si256((const __m256i *)p)
                                  : _mm256_maskz_loadu_epi16(first(n), p);
        return type == CYG_TYPE_U16 ? _mm512_cvtepu16_epi32(v) : _mm512_cvtepi16_epi32(v);
    }
    return n >= VN ? _mm512_loadu_si512(p) : _mm512_maskz_loadu_epi32(first(n), p);
}

/* n lanes that lie in the type's range. */
CYG_INLINE void vi_store(int32_t type, void *p, int64_t n, vi v)
{
    if (type == CYG_TYPE_U8 || type == CYG_TYPE_S8) {
        if (n >= VN)
            _mm_storeu_si128((__m128i *)p, _mm512_cvtepi32_epi8(v));
        else
            _mm_mask_storeu_epi8(p, first(n), _mm512_cvtepi32_epi8(v));
    } else {
        if (n >= VN)
            _mm256_storeu_si256((__m256i *)p, _mm512_cvtepi32_epi16(v));
        else
            _mm256_mask_storeu_epi16(p, first(n), _mm512_cvtepi32_epi16(v));
    }
}

/* binary64, VD lanes */
enum { VD = 8 };
typedef __m512d vd;
#define vd_set(x) _mm512_set1_pd(x)
#define vd_add(a, b) _mm512_add_pd(a, b)
#define vd_mul(a, b) _mm512_mul_pd(a, b)

CYG_INLINE __mmask8 first_doubles(int64_t n)
{
    return (__mmask8)((1u << n) - 1);
}

CYG_INLINE vd vd_load(const double *p, int64_t n)
{
    return n >= VD ? _mm512_loadu_pd(p) : _mm512_maskz_loadu_pd(first_doubles(n), p);
}

CYG_INLINE vd vd_load_s32(const int32_t *p, int64_t n)
{
    return _mm512_cvtepi32_pd(n >= VD ? _mm256_loadu_si256((const __m256i *)p)
                                      : _mm256_maskz_loadu_epi32(first_doubles(n), p));
}

CYG_INLINE void vd_store_f32(float *p, int64_t n, vd v)
{
    if (n >= VD)
        _mm256_storeu_ps(p, _mm512_cvtpd_ps(v));
    else
        _mm256_mask_storeu_ps(p, first_doubles(n), _mm512_cvtpd_ps(v));
}

#include "kernels/x86/rows_int.inc.h"
