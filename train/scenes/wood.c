/* Wood: planks with growth rings, fibres and knots.
 *
 * A plank is a thin slice of a trunk: its grain is the distance from the trunk's axis, bent by
 * slow noise along the length and pushed aside by knots.  Planks differ in tint and in where
 * they were cut.  Some floors are one broad board; some are painted, so colour is no hint. */
#include "scenes.h"
#include "surface.h"

struct wood {
    struct surface s;
    uint32_t seed;
    vec3 early, late;
    float width, length, rings, wave, fibre, gap, tint, knots;
};

_Static_assert(sizeof(struct wood) <= STATE_BYTES, "a scene's state fits");

void wood_prepare(void *state, struct rng *r)
{
    static vec3 const woods[] = {
        {0.62f, 0.40f, 0.20f}, {0.30f, 0.16f, 0.08f}, {0.74f, 0.55f, 0.32f},
        {0.38f, 0.14f, 0.07f}, {0.42f, 0.38f, 0.33f}, {0.52f, 0.30f, 0.14f},
    };
    struct wood *w = state;
    surface_prepare(&w->s, r, 0.8f, 3.4f);
    w->seed = rng_bits(r);
    int i = rng_below(r, (int)(sizeof woods / sizeof woods[0]));
    vec3 paint = shared_colour(r);
    w->early = rng_chance(r, 0.4f) ? mix3(woods[i], paint, 0.8f) : woods[i];
    float depth = rng_range(r, 0.35f, 0.75f);
    w->late = mul3(scale3(w->early, depth), v3(1.0f, 0.9f, 0.8f));
    int broad = rng_chance(r, 0.35f);
    w->width = broad ? 40.0f : rng_range(r, 0.35f, 0.9f);
    w->length = broad ? 400.0f : rng_range(r, 2.0f, 5.0f);
    w->rings = rng_range(r, 5.0f, 14.0f);
    w->wave = rng_range(r, 0.15f, 0.75f);
    w->fibre = rng_range(r, 0.08f, 0.28f);
    w->gap = rng_range(r, 0.006f, 0.022f);
    w->tint = rng_range(r, 0.05f, 0.3f);
    w->knots = rng_chance(r, 0.6f) ? rng_range(r, 0.25f, 0.8f) : 0.0f;
}

vec3 wood_shade(void const *state, float u, float v)
{
    struct wood const *w = state;
    float x;
    float y;
    surface_map(&w->s, u, v, &x, &y);
    int row = floor_i(y / w->width);
    float shift = unit_of(hash2(row, 77, w->seed)) * w->length;
    int col = floor_i((x + shift) / w->length);
    uint32_t h = hash2(row, col, w->seed);
    float ly = y - (float)row * w->width;
    float lx = x + shift - (float)col * w->length;
    float edge = minf(minf(ly, w->width - ly), minf(lx, w->length - lx));

    float gx = x + (float)(h & 255u);
    float gy = y + (float)((h >> 8) & 255u);
    float centre = (unit_of(h) - 0.5f) * 1.6f;
    float d = ly - centre;
    if (w->width > 10.0f)
        d = y * 0.55f;
    d += w->wave * fbm2(gx * 0.35f, gy * 1.1f, 3, w->seed + 5u);
    /* Knots sit in cells along the grain; rings bend round them. */
    float knot = 0.0f;
    if (w->knots > 0.0f) {
        int ci = floor_i(gx / 1.7f);
        int cj = floor_i(gy / 0.8f);
        for (int n = -1; n <= 1; n++) {
            uint32_t k = hash3(ci + n, cj, 9, w->seed);
            if (unit_of(k) > w->knots)
                continue;
            float kx = ((float)(ci + n) + 0.2f + 0.6f * unit_of(k * 747796405u)) * 1.7f;
            float ky = ((float)cj + 0.3f + 0.4f * unit_of(k * 2891336453u)) * 0.8f;
            float ex = (gx - kx) * 0.55f;
            float ey = gy - ky;
            float q = ex * ex + ey * ey;
            d += 0.22f * exp_f(-q * 34.0f);
            knot += exp_f(-q * 420.0f);
        }
    }
    float ring = fract(d * w->rings);
    /* Each year: a slow darkening, then a quick return. */
    float year = ring < 0.8f ? ring * 1.25f : (1.0f - ring) * 5.0f;
    year = year * year;
    float fibre = noise2(gx * 5.0f, gy * 90.0f, w->seed + 8u);
    float pore = noise2(gx * 9.0f, gy * 42.0f, w->seed + 9u);
    vec3 c = mix3(w->early, w->late, clampf(year * 0.75f + 0.15f * pore, 0.0f, 1.0f));
    c = scale3(c, 1.0f + w->fibre * fibre + w->tint * (unit_of(h * 0x9e3779b1u) - 0.5f) * 2.0f);
    c = mix3(c, scale3(w->late, 0.3f), minf(1.0f, knot));
    float groove = step3(0.0f, w->gap, edge);
    c = scale3(c, 0.18f + 0.82f * groove);
    return mul3(c, surface_light(&w->s, u, v));
}
