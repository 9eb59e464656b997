/* Chance and noise.
 *
 * Two kinds of randomness make a picture.  A stream (struct rng) decides once per picture what
 * is in it: how many layers, which palette, where the sun stands.  A hash of lattice points
 * decides what each place looks like, so that any point can be shaded at any time in any order
 * and a picture depends on nothing but its seed and its index.  Noise is the hash smoothed over
 * the lattice; "fbm" sums octaves of it.  All integers wrap in uint32_t and uint64_t. */
#include "noise.h"

static uint64_t scramble(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

struct rng rng_for(uint64_t seed, uint64_t index, uint64_t purpose)
{
    struct rng r;
    r.state = scramble(seed + 0x9e3779b97f4a7c15u);
    r.state = scramble(r.state ^ (index + 0x632be59bd9b4e019u));
    r.state = scramble(r.state ^ (purpose + 0xd1b54a32d192ed03u));
    return r;
}

uint32_t rng_bits(struct rng *r)
{
    r->state += 0x9e3779b97f4a7c15u;
    return (uint32_t)(scramble(r->state) >> 32);
}

float rng_unit(struct rng *r)
{
    return unit_of(rng_bits(r));
}

float rng_range(struct rng *r, float lo, float hi)
{
    return lo + (hi - lo) * rng_unit(r);
}

int rng_below(struct rng *r, int n)
{
    return (int)(((uint64_t)rng_bits(r) * (uint64_t)n) >> 32);
}

int rng_chance(struct rng *r, float p)
{
    return rng_unit(r) < p;
}

static uint32_t mix32(uint32_t h)
{
    h ^= h >> 15;
    h *= 0x2c1b3c6du;
    h ^= h >> 13;
    h *= 0x297a2d39u;
    return h ^ (h >> 16);
}

uint32_t hash2(int x, int y, uint32_t seed)
{
    return mix32((uint32_t)x * 0x9e3779b1u + (uint32_t)y * 0x85ebca77u + seed * 0xc2b2ae3du);
}

uint32_t hash3(int x, int y, int z, uint32_t seed)
{
    return mix32((uint32_t)x * 0x9e3779b1u + (uint32_t)y * 0x85ebca77u + (uint32_t)z * 0x27d4eb2fu +
                 seed * 0xc2b2ae3du);
}

static float quintic(float t)
{
    return t * t * t * (t * (t * 6.0f - 15.0f) + 10.0f);
}

static float signed_of(uint32_t h)
{
    return unit_of(h) * 2.0f - 1.0f;
}

float noise1(float x, uint32_t seed)
{
    int i = floor_i(x);
    float f = x - (float)i;
    return mixf(signed_of(hash2(i, 0, seed)), signed_of(hash2(i + 1, 0, seed)), quintic(f));
}

/* The slope at a corner, its two components cut from one hash. */
static float corner(uint32_t h, float dx, float dy)
{
    float gx = (float)(h & 0xffffu) * (1.0f / 32768.0f) - 1.0f;
    float gy = (float)(h >> 16) * (1.0f / 32768.0f) - 1.0f;
    return gx * dx + gy * dy;
}

float noise2(float x, float y, uint32_t seed)
{
    int i = floor_i(x);
    int j = floor_i(y);
    float fx = x - (float)i;
    float fy = y - (float)j;
    float a = corner(hash2(i, j, seed), fx, fy);
    float b = corner(hash2(i + 1, j, seed), fx - 1.0f, fy);
    float c = corner(hash2(i, j + 1, seed), fx, fy - 1.0f);
    float d = corner(hash2(i + 1, j + 1, seed), fx - 1.0f, fy - 1.0f);
    float sx = quintic(fx);
    return 1.6f * mixf(mixf(a, b, sx), mixf(c, d, sx), quintic(fy));
}

float noise3(vec3 p, uint32_t seed)
{
    int i = floor_i(p.x);
    int j = floor_i(p.y);
    int k = floor_i(p.z);
    float sx = quintic(p.x - (float)i);
    float sy = quintic(p.y - (float)j);
    float layer[2];
    for (int n = 0; n < 2; n++) {
        float a = signed_of(hash3(i, j, k + n, seed));
        float b = signed_of(hash3(i + 1, j, k + n, seed));
        float c = signed_of(hash3(i, j + 1, k + n, seed));
        float d = signed_of(hash3(i + 1, j + 1, k + n, seed));
        layer[n] = mixf(mixf(a, b, sx), mixf(c, d, sx), sy);
    }
    return mixf(layer[0], layer[1], quintic(p.z - (float)k));
}

float fbm1(float x, int octaves, uint32_t seed)
{
    float sum = 0.0f;
    float amp = 0.5f;
    for (int o = 0; o < octaves; o++) {
        sum += amp * noise1(x, seed + (uint32_t)o);
        x = x * 2.03f + 17.1f;
        amp *= 0.5f;
    }
    return sum;
}

float fbm2(float x, float y, int octaves, uint32_t seed)
{
    float sum = 0.0f;
    float amp = 0.5f;
    for (int o = 0; o < octaves; o++) {
        sum += amp * noise2(x, y, seed + (uint32_t)o);
        /* Turning each octave hides the lattice's axes. */
        float t = x * 1.6f + y * 1.2f + 5.3f;
        y = y * 1.6f - x * 1.2f + 9.7f;
        x = t;
        amp *= 0.5f;
    }
    return sum;
}

float fbm3(vec3 p, int octaves, uint32_t seed)
{
    float sum = 0.0f;
    float amp = 0.5f;
    for (int o = 0; o < octaves; o++) {
        sum += amp * noise3(p, seed + (uint32_t)o);
        p = v3(p.y * 2.02f + 3.1f, p.z * 2.02f - 7.7f, p.x * 2.02f + 1.9f);
        amp *= 0.5f;
    }
    return sum;
}

float ridge2(float x, float y, int octaves, uint32_t seed)
{
    float sum = 0.0f;
    float amp = 0.5f;
    for (int o = 0; o < octaves; o++) {
        float n = 1.0f - absf(noise2(x, y, seed + (uint32_t)o)) * 1.6f;
        sum += amp * n * n;
        float t = x * 1.6f + y * 1.2f + 5.3f;
        y = y * 1.6f - x * 1.2f + 9.7f;
        x = t;
        amp *= 0.5f;
    }
    return sum;
}
