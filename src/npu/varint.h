/* Private to npu/: numbers as LEB128, the form of everything that a package holds of a program
 * (docs/npu-isa.md, Encoding). A number has one form only, its shortest. */
#ifndef CYG_NPU_VARINT_H
#define CYG_NPU_VARINT_H

#include <stdbool.h>

#include "base/str.h"

static inline void cyg_varint_put(cyg_strbuf *s, uint64_t v)
{
    char bytes[10];
    size_t n = 0;
    do {
        bytes[n] = (char)((v & 127) | (v > 127 ? 128 : 0));
        n++;
        v >>= 7;
    } while (v != 0);
    cyg_strbuf_add(s, bytes, n);
}

/* Hostile bytes. What is wrong sets `failed` and reads as 0: whoever uses a group of numbers looks
 * at it once behind them. */
typedef struct cyg_varint_reader {
    const uint8_t *at, *end, *begin;
    bool failed;
} cyg_varint_reader;

static inline uint64_t cyg_varint_get(cyg_varint_reader *r)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (r->at == r->end)
            break;
        const uint8_t byte = *r->at++;
        if (shift == 63 && byte > 1)
            break;
        v |= (uint64_t)(byte & 127) << shift;
        if (byte < 128) {
            r->failed |= byte == 0 && shift > 0;
            return v;
        }
    }
    r->failed = true;
    return 0;
}

static inline uint64_t cyg_varint_limited(cyg_varint_reader *r, uint64_t highest)
{
    const uint64_t v = cyg_varint_get(r);
    if (v > highest)
        r->failed = true;
    return r->failed ? 0 : v;
}

/* A count of things of at least `least` bytes each: refused unless these are there, so that memory
 * stays in proportion to the input. */
static inline uint32_t cyg_varint_count(cyg_varint_reader *r, uint64_t highest, size_t least)
{
    const uint64_t v = cyg_varint_limited(r, highest);
    if (v > (uint64_t)(r->end - r->at) / least)
        r->failed = true;
    return r->failed ? 0 : (uint32_t)v;
}

#endif
