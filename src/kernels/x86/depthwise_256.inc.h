/* Lanes of 256 bits for depthwise.inc.h: what the file with a byte dot product and the one without
 * share. Each includes this, defines GROUP and V_DOT, and includes depthwise.inc.h. */
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#define VEC __m256i
#define LANES 2
#define V_ZERO _mm256_setzero_si256()
#define V_LOAD(p) _mm256_loadu_si256((const __m256i *)(const void *)(p))
#define V_STORE(p, v) _mm256_storeu_si256((__m256i *)(void *)(p), v)
#define V_ADD(a, b) _mm256_add_epi32(a, b)
#define V_LOW8(a, b) _mm256_unpacklo_epi8(a, b)
#define V_HIGH8(a, b) _mm256_unpackhi_epi8(a, b)
#define V_LOW16(a, b) _mm256_unpacklo_epi16(a, b)
#define V_HIGH16(a, b) _mm256_unpackhi_epi16(a, b)
#define V_PART(p, n) first_bytes(p, n)
/* Lane k / 2 of s0 and s1, or of s2 and s3. */
#define V_HALF(a, b, k) _mm256_permute2x128_si256(a, b, (k) < 2 ? 0x20 : 0x31)
#define V_NATURAL(s, k) ((k) % 2 == 0 ? V_HALF(s##0, s##1, k) : V_HALF(s##2, s##3, k))

/* No masks for bytes: by way of a small buffer. */
static inline __m256i first_bytes(const uint8_t *p, int64_t n)
{
    uint8_t part[32] = {0};
    memcpy(part, p, (size_t)n);
    return V_LOAD(part);
}
