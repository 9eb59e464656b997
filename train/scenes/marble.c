/* Marble: cloudy stone crossed by veins.
 *
 * Noise bent by noise gives the clouds, the zero lines of the same bent noise give the veins.
 * Slabs come whole or cut into tiles, pale or dark, some with a second, golden set of veins. */
#include "scenes.h"
#include "surface.h"

struct marble {
    struct surface s;
    uint32_t seed;
    vec3 pale, deep, vein, gold;
    float warp, vein_width, vein_gain, gold_gain;
    float stretch; /* drawn-out stone looks like wood */
    float tile;    /* 0: one slab */
    float gloss_u, gloss_v, gloss;
};

_Static_assert(sizeof(struct marble) <= STATE_BYTES, "a scene's state fits");

void marble_prepare(void *state, struct rng *r)
{
    struct marble *m = state;
    surface_prepare(&m->s, r, 0.6f, 2.6f);
    m->seed = rng_bits(r);
    m->pale = shared_colour(r);
    if (rng_chance(r, 0.45f))
        m->pale = mix3(m->pale, v3(0.82f, 0.80f, 0.77f), 0.75f);
    float depth = rng_range(r, 0.3f, 0.65f);
    m->deep = scale3(m->pale, depth);
    vec3 other = shared_colour(r);
    m->deep = mix3(m->deep, other, 0.25f);
    float light = m->pale.x + m->pale.y + m->pale.z;
    m->vein = light > 0.9f ? scale3(m->pale, 0.25f) : mix3(m->pale, v3(0.9f, 0.88f, 0.84f), 0.8f);
    m->gold = v3(0.62f, 0.42f, 0.16f);
    m->warp = rng_range(r, 0.5f, 1.9f);
    m->vein_width = rng_range(r, 0.03f, 0.1f);
    m->vein_gain = rng_range(r, 0.5f, 1.0f);
    m->gold_gain = rng_chance(r, 0.3f) ? rng_range(r, 0.3f, 0.8f) : 0.0f;
    m->stretch = rng_chance(r, 0.35f) ? rng_range(r, 2.0f, 4.5f) : 1.0f;
    m->tile = rng_chance(r, 0.15f) ? rng_range(r, 0.8f, 1.6f) : 0.0f;
    m->gloss_u = rng_range(r, -1.0f, 1.0f);
    m->gloss_v = rng_range(r, -1.0f, 1.0f);
    m->gloss = rng_chance(r, 0.5f) ? rng_range(r, 0.1f, 0.4f) : 0.0f;
}

vec3 marble_shade(void const *state, float u, float v)
{
    struct marble const *m = state;
    float x;
    float y;
    surface_map(&m->s, u, v, &x, &y);
    float seam = 1.0f;
    if (m->tile > 0.0f) {
        float tx = x / m->tile;
        float ty = y / m->tile;
        int i = floor_i(tx);
        int j = floor_i(ty);
        float fx = tx - (float)i;
        float fy = ty - (float)j;
        float edge = minf(minf(fx, 1.0f - fx), minf(fy, 1.0f - fy));
        seam = 0.35f + 0.65f * step3(0.004f, 0.014f, edge);
        uint32_t h = hash2(i, j, m->seed);
        if (h & 1u) {
            float t = x;
            x = y;
            y = t;
        }
        x += (float)(h >> 24);
        y += (float)((h >> 16) & 255u);
    }
    x /= m->stretch;
    float qx = fbm2(x, y, 4, m->seed + 11u);
    float qy = fbm2(x + 5.2f, y + 1.3f, 4, m->seed + 23u);
    float wx = x + m->warp * qx;
    float wy = y + m->warp * qy;
    float cloud = fbm2(wx * 1.3f, wy * 1.3f, 4, m->seed + 37u);
    vec3 c = mix3(m->deep, m->pale, step3(-0.45f, 0.4f, cloud));
    float fine = noise2(wx * 14.0f, wy * 14.0f, m->seed + 3u);
    float a = absf(noise2(wx * 1.1f, wy * 1.1f, m->seed + 41u) + 0.03f * fine);
    float b = absf(noise2(wx * 2.7f + 9.0f, wy * 2.7f, m->seed + 43u));
    float vein = step3(m->vein_width * 2.2f, 0.0f, a) + 0.5f * step3(m->vein_width * 2.0f, 0.0f, b);
    /* Veins come and go along their length. */
    vein *= step3(-0.5f, 0.15f, qx + 0.5f * cloud);
    c = mix3(c, m->vein, minf(1.0f, vein * m->vein_gain));
    if (m->gold_gain > 0.0f) {
        float g = absf(noise2(wx * 1.7f - 4.0f, wy * 1.7f + 2.0f, m->seed + 47u));
        c = mix3(c, m->gold, m->gold_gain * step3(m->vein_width, 0.0f, g));
    }
    c = scale3(c, seam * (1.0f + 0.05f * fine));
    c = mul3(c, surface_light(&m->s, u, v));
    float du = u - m->gloss_u;
    float dv = v - m->gloss_v;
    float shine = m->gloss * exp_f(-3.0f * (du * du + dv * dv));
    return add3(c, v3(shine, shine, shine));
}
