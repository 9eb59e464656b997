/* What SHA-1 and SHA-256 have in common (FIPS 180-4): blocks of 64 bytes that are mixed into a
 * state one after the other, and the padding: a one bit, zeros and the length in bits, big-endian,
 * up to a full block. sha1.c and sha256.c are the start values and the mixing of one block. */
#include <string.h>

#include "base/hash.h"

void cyg_sha_update(cyg_sha *h, const void *data, size_t size)
{
    const uint8_t *p = data;
    h->length += size;
    if (h->fill > 0) {
        const size_t room = sizeof h->block - h->fill;
        const size_t n = size < room ? size : room;
        if (n > 0)
            memcpy(h->block + h->fill, p, n);
        h->fill += n;
        if (h->fill < sizeof h->block)
            return;
        h->compress(h->state, h->block);
        h->fill = 0;
        p += n;
        size -= n;
    }
    for (; size >= sizeof h->block; size -= sizeof h->block, p += sizeof h->block)
        h->compress(h->state, p);
    if (size > 0)
        memcpy(h->block, p, size);
    h->fill = size;
}

void cyg_sha_final_hex(cyg_sha *h, char *out)
{
    static const char digits[] = "0123456789abcdef";
    const uint64_t bits = h->length * 8;
    h->block[h->fill++] = 0x80;
    if (h->fill > 56) {
        memset(h->block + h->fill, 0, sizeof h->block - h->fill);
        h->compress(h->state, h->block);
        h->fill = 0;
    }
    memset(h->block + h->fill, 0, 56 - h->fill);
    for (unsigned i = 0; i < 8; i++)
        h->block[56 + i] = (uint8_t)(bits >> (56 - 8 * i));
    h->compress(h->state, h->block);
    for (unsigned i = 0; i < 8 * h->words; i++)
        out[i] = digits[h->state[i / 8] >> (28 - 4 * (i % 8)) & 15];
    out[8 * h->words] = '\0';
}
