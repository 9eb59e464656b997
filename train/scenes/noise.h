/* Chance and noise: see noise.c. */
#ifndef CYGNET_TRAIN_NOISE_H
#define CYGNET_TRAIN_NOISE_H

#include "vec.h"

/* A stream of random numbers.  Draw once per statement: C leaves the order of two calls in one
 * expression open, and another compiler would then draw another picture. */
struct rng {
    uint64_t state;
};

struct rng rng_for(uint64_t seed, uint64_t index, uint64_t purpose);
uint32_t rng_bits(struct rng *r);
float rng_unit(struct rng *r);                      /* [0, 1) */
float rng_range(struct rng *r, float lo, float hi); /* [lo, hi) */
int rng_below(struct rng *r, int n);                /* 0 .. n - 1 */
int rng_chance(struct rng *r, float p);

uint32_t hash2(int x, int y, uint32_t seed);
uint32_t hash3(int x, int y, int z, uint32_t seed);

static inline float unit_of(uint32_t h)
{
    return (float)(h >> 8) * (1.0f / 16777216.0f);
}

float noise1(float x, uint32_t seed);          /* about -1 .. 1, as all below */
float noise2(float x, float y, uint32_t seed); /* gradient noise */
float noise3(vec3 p, uint32_t seed);           /* value noise */
float fbm1(float x, int octaves, uint32_t seed);
float fbm2(float x, float y, int octaves, uint32_t seed);
float fbm3(vec3 p, int octaves, uint32_t seed);
float ridge2(float x, float y, int octaves, uint32_t seed); /* 0 .. 1, sharp crests */

#endif
