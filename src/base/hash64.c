/* The 64-bit hash: XXH64, from its published description.
 *
 * Chosen because it is defined on bytes (the same on every machine), is fast enough to check a
 * package's sections at load, and has public test vectors to hold us to. Four lanes of multiply and
 * rotate over 32-byte stripes, merged, then the tail by 8, 4 and 1 bytes, then a final mix. Not for
 * anything adversarial: that is what SHA-256 is for. */
#include "base/hash.h"

#include "base/bytes.h"

static const uint64_t P1 = 0x9E3779B185EBCA87u;
static const uint64_t P2 = 0xC2B2AE3D27D4EB4Fu;
static const uint64_t P3 = 0x165667B19E3779F9u;
static const uint64_t P4 = 0x85EBCA77C2B2AE63u;
static const uint64_t P5 = 0x27D4EB2F165667C5u;

static uint64_t rotate(uint64_t v, unsigned n)
{
    return v << n | v >> (64 - n);
}

static uint64_t lane(uint64_t acc, uint64_t input)
{
    return rotate(acc + input * P2, 31) * P1;
}

static uint64_t merge(uint64_t acc, uint64_t v)
{
    return (acc ^ lane(0, v)) * P1 + P4;
}

uint64_t cyg_hash64(const void *data, size_t size, uint64_t seed)
{
    const uint8_t *p = data;
    size_t left = size;
    uint64_t h;
    if (size >= 32) {
        uint64_t a = seed + P1 + P2, b = seed + P2, c = seed, d = seed - P1;
        for (; left >= 32; left -= 32, p += 32) {
            a = lane(a, cyg_load_u64(p));
            b = lane(b, cyg_load_u64(p + 8));
            c = lane(c, cyg_load_u64(p + 16));
            d = lane(d, cyg_load_u64(p + 24));
        }
        h = rotate(a, 1) + rotate(b, 7) + rotate(c, 12) + rotate(d, 18);
        h = merge(merge(merge(merge(h, a), b), c), d);
    } else {
        h = seed + P5;
    }
    h += (uint64_t)size;
    for (; left >= 8; left -= 8, p += 8)
        h = rotate(h ^ lane(0, cyg_load_u64(p)), 27) * P1 + P4;
    if (left >= 4) {
        h = rotate(h ^ (uint64_t)cyg_load_u32(p) * P1, 23) * P2 + P3;
        p += 4;
        left -= 4;
    }
    for (; left > 0; left--, p++)
        h = rotate(h ^ *p * P5, 11) * P1;
    h ^= h >> 33;
    h *= P2;
    h ^= h >> 29;
    h *= P3;
    return h ^ h >> 32;
}
