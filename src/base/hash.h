/* SHA-256 (files, tensors, packages: what people compare) and a fast 64-bit hash (tables, section
 * checksums). */
#ifndef CYG_BASE_HASH_H
#define CYG_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

typedef struct cyg_sha256 {
    uint32_t state[8];
    uint64_t length;
    uint8_t block[64];
    size_t fill;
} cyg_sha256;

void cyg_sha256_init(cyg_sha256 *h);
void cyg_sha256_update(cyg_sha256 *h, const void *data, size_t size);
void cyg_sha256_final(cyg_sha256 *h, uint8_t out[32]);
/* 64 hex digits and NUL. */
void cyg_sha256_hex(const void *data, size_t size, char out[65]);
void cyg_sha256_final_hex(cyg_sha256 *h, char out[65]);

/* Stable across machines and versions: stored in packages as checksum. */
uint64_t cyg_hash64(const void *data, size_t size, uint64_t seed);

#endif
