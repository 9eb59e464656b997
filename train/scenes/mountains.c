/* Mountains: ridge behind ridge, each paler than the one before it.
 *
 * A landscape in layers, far to near: a layer is a jagged line, below it rock whose light
 * follows its own slope, snow above some height, and the more air lies between the more of the
 * horizon's colour mixes in.  At the front there may be a lake that mirrors all of it, or firs. */
#include "scenes.h"
#include "sky.h"

enum { LAYERS = 6 };

struct layer {
    float base, height, scale, haze, rough;
    uint32_t seed;
};

struct mountains {
    struct sky sky;
    int layers;
    struct layer layer[LAYERS];
    vec3 rock, snow;
    float snow_line, horizon, zoom, lake, ripple, firs, smooth;
    uint32_t seed;
};

_Static_assert(sizeof(struct mountains) <= STATE_BYTES, "a scene's state fits");

void mountains_prepare(void *state, struct rng *r)
{
    struct mountains *m = state;
    sky_prepare(&m->sky, r);
    m->seed = rng_bits(r);
    m->layers = 3 + rng_below(r, 4);
    m->horizon = rng_range(r, -0.35f, 0.1f);
    m->zoom = rng_range(r, 0.55f, 0.9f);
    /* Old hills are smooth and may be taken for dunes. */
    m->smooth = rng_chance(r, 0.3f) ? rng_range(r, 0.3f, 0.75f) : 0.0f;
    float jag = rng_range(r, 0.3f, 0.8f) * (1.0f - 0.6f * m->smooth);
    float air = rng_range(r, 0.45f, 0.95f);
    float first = rng_range(r, 0.1f, 0.45f);
    for (int i = 0; i < m->layers; i++) {
        struct layer *l = &m->layer[i];
        float near = (float)i / (float)(m->layers - 1);
        l->base = m->horizon + first * (1.0f - near) - 0.55f * near;
        float tall = rng_range(r, 0.7f, 1.3f);
        l->height = jag * tall * (0.55f + 0.3f * near);
        l->scale = rng_range(r, 0.8f, 1.5f) * (2.0f - near);
        l->haze = air * (1.0f - near) * (1.0f - near);
        l->rough = 1.0f - m->smooth;
        l->seed = rng_bits(r);
    }
    float tone = rng_range(r, 0.05f, 0.22f);
    int sandy = rng_chance(r, 0.25f);
    m->rock = sandy ? v3(tone * 2.2f, tone * 1.5f, tone) : v3(tone, tone * 1.05f, tone * 1.15f);
    m->snow = v3(0.85f, 0.88f, 0.95f);
    m->snow_line = rng_chance(r, 0.55f) ? rng_range(r, 0.1f, 0.6f) : 9.0f;
    m->lake = rng_chance(r, 0.35f) ? rng_range(r, -0.65f, -0.25f) : -9.0f;
    m->ripple = rng_range(r, 0.005f, 0.05f);
    m->firs = rng_chance(r, 0.4f) ? rng_range(r, 0.15f, 0.4f) : 0.0f;
}

static float ridge_line(struct layer const *l, float x)
{
    float n = fbm1(x * l->scale, 3, l->seed);
    float peak = 1.0f - absf(noise1(x * l->scale * 0.8f + 3.0f, l->seed + 50u)) * 1.7f;
    float crag = fbm1(x * l->scale * 5.0f, 4, l->seed + 70u);
    return l->base + l->height * (0.45f * peak + 0.5f * n + 0.28f * l->rough * crag);
}

static float fir_line(struct mountains const *m, float x)
{
    float top = -2.0f;
    float cell = x * 9.0f;
    int i = floor_i(cell);
    for (int n = -1; n <= 1; n++) {
        uint32_t h = hash2(i + n, 5, m->seed);
        float at = (float)(i + n) + 0.2f + 0.6f * unit_of(h);
        float tall = m->firs * (0.4f + 0.9f * unit_of(h * 747796405u));
        float away = absf(cell - at);
        float notch = 0.06f * fract(away * 7.0f);
        float t = tall * (1.0f - away * 1.5f - notch * 2.0f);
        top = maxf(top, -0.95f + t + 0.15f * noise1(x * 0.9f, m->seed + 2u));
    }
    return top;
}

vec3 mountains_shade(void const *state, float u, float v)
{
    struct mountains const *m = state;
    float mirror = 1.0f;
    if (m->firs > 0.0f && v < 0.2f && v < fir_line(m, u))
        return scale3(mix3(m->sky.horizon, m->sky.zenith, 0.5f), 0.09f);
    if (v < m->lake) {
        float depth = m->lake - v;
        float wave = noise2(u * 3.0f, v * 60.0f / (0.3f + depth), m->seed + 7u);
        u += m->ripple * 0.6f * wave * (0.2f + depth);
        v = m->lake + depth * 0.95f + m->ripple * wave * (0.3f + depth * 2.0f);
        mirror = 0.72f;
    }
    for (int i = m->layers - 1; i >= 0; i--) {
        struct layer const *l = &m->layer[i];
        float top = ridge_line(l, u);
        if (v >= top)
            continue;
        float below = top - v;
        /* Slope of a made-up rock face: ridged noise running downhill from the crest. */
        float e = 0.02f;
        float sx = u * l->scale * 3.0f;
        float sy = v * l->scale * 2.2f;
        float a = ridge2(sx + 0.6f * below, sy, 3, l->seed + 90u);
        float b = ridge2(sx + e + 0.6f * below, sy, 3, l->seed + 90u);
        float side = m->sky.sun.x > u * m->zoom ? 1.0f : -1.0f;
        float lit = clampf(0.5f - side * (b - a) / e * 0.22f * l->rough, 0.0f, 1.0f);
        vec3 c = scale3(m->rock, 0.5f + 0.5f * a);
        float snow_at = l->base + l->height * m->snow_line + 0.25f * (a - 0.5f);
        c = mix3(c, m->snow, step3(snow_at, snow_at + 0.12f, v) * (0.4f + 0.6f * lit));
        vec3 light = add3(scale3(m->sky.zenith, 0.9f), scale3(m->sky.sun_colour, 1.15f * lit));
        c = mul3(c, add3(light, v3(0.05f, 0.05f, 0.07f)));
        float haze = clampf(l->haze + 0.28f * step3(0.0f, 0.8f, below) * l->haze, 0.0f, 1.0f);
        vec3 dir = norm3(v3(u * m->zoom, 0.05f, 1.0f));
        return scale3(mix3(c, sky_colour(&m->sky, dir, 0), haze), mirror);
    }
    vec3 dir = norm3(v3(u * m->zoom, (v - m->horizon) * m->zoom * 0.8f, 1.0f));
    return scale3(sky_colour(&m->sky, dir, 1), mirror);
}
