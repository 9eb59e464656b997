/* SHA-256 (files, tensors, packages: what people compare), SHA-1 where others state one, and a fast
 * 64-bit hash (tables, section checksums). */
#ifndef CYG_BASE_HASH_H
#define CYG_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/* A SHA-1 or SHA-256 under way: init, any number of updates, final. May be copied. */
typedef struct cyg_sha {
    uint32_t state[8];
    uint64_t length;
    uint8_t block[64];
    size_t fill;
    unsigned words; /* of the state that are the result: 5 or 8 */
    void (*compress)(uint32_t *state, const uint8_t block[64]);
} cyg_sha;

void cyg_sha1_init(cyg_sha *h); /* finds damage, stops no attacker */
void cyg_sha256_init(cyg_sha *h);
void cyg_sha256_init_plain(cyg_sha *h); /* without the processor's own instructions */
void cyg_sha_update(cyg_sha *h, const void *data, size_t size);
/* 40 or 64 hex digits and NUL. */
void cyg_sha_final_hex(cyg_sha *h, char *out);
void cyg_sha1_hex(const void *data, size_t size, char out[41]);
void cyg_sha256_hex(const void *data, size_t size, char out[65]);

/* Stable across machines and versions: stored in packages as checksum. */
uint64_t cyg_hash64(const void *data, size_t size, uint64_t seed);

#endif
