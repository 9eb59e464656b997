/* City: a skyline after sunset.
 *
 * Rows of towers, far to near, each a cell of a street with its own width, height, roof and
 * window grid; some windows are lit, warm or cold.  Air glows over the streets, and a river may
 * mirror the whole. */
#include "scenes.h"
#include "sky.h"

enum { ROWS = 4 };

struct row {
    float cell, base, tall, haze, window;
    uint32_t seed;
};

struct city {
    struct sky sky;
    int rows;
    struct row row[ROWS];
    vec3 wall, warm, cold, street;
    float lit, river, ripple, horizon, glow, zoom, spread;
    uint32_t seed;
};

_Static_assert(sizeof(struct city) <= STATE_BYTES, "a scene's state fits");

void city_prepare(void *state, struct rng *r)
{
    struct city *c = state;
    sky_prepare(&c->sky, r);
    float dark = rng_range(r, 0.25f, 0.9f);
    c->sky.zenith = scale3(c->sky.zenith, dark * 0.7f);
    c->sky.horizon = scale3(c->sky.horizon, dark);
    c->sky.glow = scale3(c->sky.glow, dark);
    c->seed = rng_bits(r);
    c->rows = 2 + rng_below(r, 3);
    c->horizon = rng_range(r, -0.45f, 0.0f);
    c->zoom = rng_range(r, 0.8f, 1.9f);
    c->lit = rng_range(r, 0.12f, 0.6f);
    for (int i = 0; i < c->rows; i++) {
        struct row *w = &c->row[i];
        float near = (float)i / (float)(c->rows - 1);
        w->cell = rng_range(r, 0.14f, 0.26f) * (0.7f + 0.6f * near);
        w->base = c->horizon - 0.25f * near;
        w->tall = rng_range(r, 0.55f, 1.1f) * (1.0f - 0.25f * near);
        w->haze = 0.65f * (1.0f - near);
        w->window = rng_range(r, 0.018f, 0.03f) * (0.8f + 0.5f * near);
        w->seed = rng_bits(r);
    }
    float tone = rng_range(r, 0.008f, 0.06f);
    c->wall = v3(tone, tone * 1.1f, tone * 1.4f);
    c->warm = v3(1.0f, 0.68f, 0.30f);
    c->cold = v3(0.62f, 0.80f, 1.0f);
    c->street = rng_chance(r, 0.7f) ? v3(0.5f, 0.28f, 0.10f) : v3(0.12f, 0.22f, 0.38f);
    c->glow = rng_range(r, 0.1f, 0.6f);
    c->river = rng_chance(r, 0.45f) ? c->horizon - rng_range(r, 0.1f, 0.3f) : -9.0f;
    c->ripple = rng_range(r, 0.01f, 0.06f);
    c->spread = rng_range(r, 0.8f, 2.0f);
}

vec3 city_shade(void const *state, float u, float v)
{
    struct city const *c = state;
    vec3 tint = v3(1.0f, 1.0f, 1.0f);
    if (v < c->river) {
        float depth = c->river - v;
        float wave = noise2(u * 2.0f, v * 70.0f / (0.35f + depth), c->seed + 7u);
        u += c->ripple * 0.4f * wave;
        v = c->river + depth + c->ripple * 2.2f * wave * (0.3f + depth);
        tint = v3(0.5f, 0.56f, 0.62f);
    }
    vec3 dir = norm3(v3(u * 0.7f, (v - c->horizon) * 0.6f, 1.0f));
    vec3 lift = scale3(c->street, c->glow * exp_f(-4.0f * maxf(v - c->horizon, 0.0f)));
    for (int i = c->rows - 1; i >= 0; i--) {
        struct row const *w = &c->row[i];
        float x = (u * c->zoom + 31.0f * (float)i) / w->cell;
        int cell = floor_i(x);
        float fx = x - (float)cell;
        uint32_t h = hash2(cell, i, w->seed);
        /* Downtown: towers grow towards the middle of the row. */
        float mid = noise1((float)cell * 0.21f, w->seed + 1u);
        float tall = w->tall * (0.3f + 0.7f * unit_of(h)) * (0.75f + 0.4f * c->spread * mid) * 0.8f;
        float slim = 0.78f + 0.22f * unit_of(h * 747796405u);
        float cx = absf(fx - 0.5f) * 2.0f;
        float y = (v - w->base);
        float top = maxf(tall, 0.08f);
        int roof = (int)(h & 7u);
        if (roof == 0)
            top += 0.10f * (1.0f - cx) - 0.05f;
        else if (roof == 1 && cx < slim * 0.55f)
            top += 0.07f;
        else if (roof == 2 && cx < 0.03f)
            top += 0.16f;
        else if (roof == 3)
            top += 0.12f * (fx - 0.5f);
        if (y > top || cx > slim)
            continue;
        float face = 0.6f + 0.5f * unit_of(h * 2891336453u);
        vec3 out = add3(scale3(c->wall, face), scale3(c->sky.zenith, 0.10f * face));
        out = scale3(out, fx < 0.62f ? 1.15f : 0.7f);
        float wx = u * c->zoom / w->window;
        float wy = y * c->zoom / (w->window * 1.45f);
        int ix = floor_i(wx);
        int iy = floor_i(wy);
        float gx = absf(wx - (float)ix - 0.5f);
        float gy = absf(wy - (float)iy - 0.5f);
        uint32_t g = hash3(ix, iy, i, w->seed + 5u);
        float busy = c->lit * (0.35f + 1.3f * unit_of(h * 2246822519u));
        int band = (h >> 9 & 7u) == 0 && unit_of(hash2(iy, cell, w->seed)) < 0.5f;
        if (gx < 0.3f && gy < 0.28f && y < top - 0.03f && cx < slim - 0.1f) {
            out = scale3(out, 0.6f);
            if (unit_of(g) < busy || band) {
                float power = 0.35f + 0.9f * unit_of(g * 747796405u);
                vec3 colour = mix3(c->warm, c->cold, (g & 15u) < 4u ? 0.9f : 0.1f);
                out = add3(out, scale3(colour, power));
            }
        }
        vec3 air = add3(sky_colour(&c->sky, norm3(v3(u * 0.7f, 0.05f, 1.0f)), 0), lift);
        out = mix3(out, air, w->haze * (0.55f + 0.45f * step3(top, 0.0f, y)));
        out = add3(out, scale3(lift, 0.35f * step3(0.35f, 0.0f, y)));
        if (roof == 2 && y > top - 0.015f)
            out = v3(1.0f, 0.12f, 0.08f);
        return mul3(out, tint);
    }
    vec3 sky = sky_colour(&c->sky, dir, 1);
    return mul3(add3(sky, lift), tint);
}
