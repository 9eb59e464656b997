/* The sky over landscapes.
 *
 * One sky serves mountains, dunes, sea and glass balls: a gradient from horizon to zenith, a
 * sun or moon with its glow, clouds on a plane overhead and stars when it is dark.  The hour is
 * drawn from the same list for every class, so a dusk sky says nothing about what lies under. */
#include "sky.h"

struct hour {
    vec3 zenith, horizon, glow, sun;
    float stars;
};

static struct hour const hours[] = {
    {{0.10f, 0.24f, 0.55f}, {0.55f, 0.68f, 0.80f}, {0.35f, 0.32f, 0.25f}, {1.0f, 0.95f, 0.85f}, 0},
    {{0.07f, 0.09f, 0.26f}, {0.85f, 0.36f, 0.14f}, {0.75f, 0.34f, 0.08f}, {1.0f, 0.60f, 0.25f}, 0},
    {{0.16f, 0.16f, 0.38f}, {0.88f, 0.52f, 0.50f}, {0.60f, 0.34f, 0.22f}, {1.0f, 0.75f, 0.60f}, 0},
    {{0.34f, 0.38f, 0.43f}, {0.62f, 0.64f, 0.66f}, {0.12f, 0.12f, 0.12f}, {0.8f, 0.8f, 0.8f}, 0},
    {{0.01f, 0.02f, 0.06f}, {0.05f, 0.09f, 0.17f}, {0.08f, 0.10f, 0.14f}, {0.55f, 0.6f, 0.7f}, 1},
    {{0.05f, 0.10f, 0.16f}, {0.42f, 0.52f, 0.42f}, {0.50f, 0.42f, 0.15f}, {1.0f, 0.85f, 0.5f}, 0},
    {{0.14f, 0.05f, 0.20f},
     {0.62f, 0.18f, 0.26f},
     {0.60f, 0.20f, 0.12f},
     {1.0f, 0.5f, 0.35f},
     0.4f},
};

void sky_prepare(struct sky *s, struct rng *r)
{
    int n = (int)(sizeof hours / sizeof hours[0]);
    int i = rng_below(r, n);
    int j = rng_below(r, n);
    float t = rng_range(r, 0.0f, 0.45f);
    struct hour const *a = &hours[i];
    struct hour const *b = &hours[j];
    s->zenith = mix3(a->zenith, b->zenith, t);
    s->horizon = mix3(a->horizon, b->horizon, t);
    s->glow = mix3(a->glow, b->glow, t);
    s->sun_colour = mix3(a->sun, b->sun, t);
    s->stars = t < 0.25f ? a->stars : 0.0f;
    float side = rng_range(r, -0.9f, 0.9f);
    float up = rng_unit(r);
    s->sun = norm3(v3(side, 0.04f + 0.55f * up * up, 1.0f));
    s->sun_size = rng_range(r, 0.02f, 0.07f);
    s->cloud = rng_chance(r, 0.7f) ? rng_range(r, 0.2f, 0.95f) : 0.0f;
    s->cloud_scale = rng_range(r, 0.35f, 1.1f);
    s->seed = rng_bits(r);
}

vec3 star_field(float x, float y, float density, uint32_t seed)
{
    vec3 sum = v3(0.0f, 0.0f, 0.0f);
    for (int o = 0; o < 2; o++) {
        int i = floor_i(x);
        int j = floor_i(y);
        uint32_t h = hash2(i, j, seed + (uint32_t)o);
        if (unit_of(h) < density) {
            uint32_t g = h * 0x9e3779b1u;
            float dx = x - (float)i - 0.2f - 0.6f * unit_of(g);
            float dy = y - (float)j - 0.2f - 0.6f * unit_of(g * 747796405u);
            float size = 0.06f + 0.14f * unit_of(g * 2891336453u);
            float glow = exp_f(-(dx * dx + dy * dy) / (size * size * 0.5f));
            float heat = unit_of(g ^ h);
            glow *= 0.3f + 1.1f * unit_of(h * 2654435769u);
            sum = add3(sum, scale3(v3(0.8f + 0.2f * heat, 0.85f, 1.0f - 0.25f * heat), glow));
        }
        x *= 2.3f;
        y *= 2.3f;
    }
    return sum;
}

vec3 sky_colour(struct sky const *s, vec3 dir, int detail)
{
    float up = maxf(dir.y, 0.0f);
    float near = exp_f(-up * 4.5f);
    vec3 c = mix3(s->zenith, s->horizon, near);
    float toward = maxf(dot3(dir, s->sun), 0.0f);
    float wide = pow_f(toward, 8.0f);
    c = add3(c, scale3(s->glow, wide * (0.35f + 0.65f * near)));
    float away = 1.0f - toward;
    /* Without detail it is the air's colour that is asked for: no disc in it, nor its corona. */
    float disc = 0.0f;
    if (detail) {
        float edge = s->sun_size * s->sun_size;
        disc = step3(edge * 0.6f, edge * 0.45f, away);
        c = add3(c, scale3(s->sun_colour, 0.35f * exp_f(-away * 160.0f)));
    }
    float cover = 0.0f;
    if (detail && dir.y > 0.005f && s->cloud > 0.0f) {
        float px = dir.x / (dir.y + 0.12f) * s->cloud_scale;
        float pz = dir.z / (dir.y + 0.12f) * s->cloud_scale;
        float n = fbm2(px, pz * 1.4f, 5, s->seed);
        cover = s->cloud * step3(0.28f - 0.45f * s->cloud, 0.55f, n) * step3(0.0f, 0.09f, dir.y);
        vec3 lit = add3(mix3(s->horizon, v3(0.8f, 0.8f, 0.8f), 0.25f), scale3(s->glow, wide));
        vec3 shade = scale3(mix3(s->zenith, s->horizon, 0.5f), 0.75f);
        c = mix3(c, mix3(lit, shade, step3(0.1f, 0.7f, n)), cover);
    }
    c = add3(c, scale3(s->sun_colour, 1.6f * disc * (1.0f - cover)));
    if (detail && s->stars > 0.0f) {
        vec3 st = star_field(dir.x / dir.z * 34.0f, dir.y / dir.z * 34.0f, 0.10f, s->seed + 9u);
        c = add3(c, scale3(st, s->stars * (1.0f - cover) * step3(0.0f, 0.25f, up)));
    }
    return c;
}
