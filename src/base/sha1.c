/* SHA-1 after FIPS 180-4.
 *
 * Two formats that we read state one: ONNX of external data, and git of a file's content, which the
 * hub sends as ETag. A stated hash that nobody compares would be a silent no-op, so it is checked;
 * SHA-1 finds damage, it does not stop an attacker. What Cygnet states itself is SHA-256. Blocks
 * and padding are in sha.c. */
#include "base/hash.h"

static uint32_t rotate(uint32_t x, unsigned n)
{
    return x << n | x >> (32 - n);
}

static void compress(uint32_t *state, const uint8_t block[64])
{
    uint32_t w[80];
    for (size_t i = 0; i < 16; i++)
        w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 |
               (uint32_t)block[4 * i + 2] << 8 | (uint32_t)block[4 * i + 3];
    for (size_t i = 16; i < 80; i++)
        w[i] = rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];
    for (size_t i = 0; i < 80; i++) {
        uint32_t f, k;
        if (i < 20) {
            f = (b & c) | (~b & d);
            k = 0x5a827999u;
        } else if (i < 40) {
            f = b ^ c ^ d;
            k = 0x6ed9eba1u;
        } else if (i < 60) {
            f = (b & c) | (b & d) | (c & d);
            k = 0x8f1bbcdcu;
        } else {
            f = b ^ c ^ d;
            k = 0xca62c1d6u;
        }
        const uint32_t next = rotate(a, 5) + f + e + k + w[i];
        e = d;
        d = c;
        c = rotate(b, 30);
        b = a;
        a = next;
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
    state[4] += e;
}

void cyg_sha1_init(cyg_sha *h)
{
    *h = (cyg_sha){.state = {0x67452301u, 0xefcdab89u, 0x98badcfeu, 0x10325476u, 0xc3d2e1f0u},
                   .words = 5,
                   .compress = compress};
}

void cyg_sha1_hex(const void *data, size_t size, char out[41])
{
    cyg_sha h;
    cyg_sha1_init(&h);
    cyg_sha_update(&h, data, size);
    cyg_sha_final_hex(&h, out);
}
