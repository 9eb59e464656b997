/* Dunes: a sea of sand, walked through by a ray.
 *
 * The height is a saw of long crests, bent and broken by noise: a gentle windward side, a steep
 * lee side.  A ray steps along until it is under the sand; the slope there takes the sun, a
 * second, shorter walk towards the sun finds the shadows, and wind ripples roughen it all. */
#include "scenes.h"
#include "sky.h"

struct dunes {
    struct sky sky;
    vec3 sand, light, ambient;
    vec3 sun;
    float eye, pitch, zoom, cos_a, sin_a, tall, warp, ripple, ripple_scale, fog, off_x, off_z;
    uint32_t seed;
};

_Static_assert(sizeof(struct dunes) <= STATE_BYTES, "a scene's state fits");

void dunes_prepare(void *state, struct rng *r)
{
    static vec3 const sands[] = {
        {0.72f, 0.46f, 0.24f}, {0.78f, 0.62f, 0.42f}, {0.62f, 0.26f, 0.12f},
        {0.72f, 0.68f, 0.62f}, {0.30f, 0.26f, 0.25f}, {0.45f, 0.50f, 0.58f},
    };
    struct dunes *d = state;
    sky_prepare(&d->sky, r);
    d->seed = rng_bits(r);
    int i = rng_below(r, (int)(sizeof sands / sizeof sands[0]));
    d->sand = sands[i];
    float side = rng_chance(r, 0.5f) ? 1.0f : -1.0f;
    float east = rng_range(r, 0.5f, 1.1f);
    float up = rng_range(r, 0.18f, 0.7f);
    float ahead = rng_range(r, -0.4f, 0.7f);
    d->sun = norm3(v3(side * east, up, ahead));
    d->light = scale3(add3(d->sky.sun_colour, scale3(d->sky.glow, 0.4f)), 1.25f);
    d->ambient = scale3(mix3(d->sky.zenith, d->sky.horizon, 0.4f), 0.55f);
    d->eye = rng_range(r, 0.9f, 2.2f);
    d->pitch = rng_range(r, -0.42f, 0.08f);
    d->zoom = rng_range(r, 0.4f, 0.8f);
    float turn = rng_unit(r);
    d->cos_a = cos_turn(turn);
    d->sin_a = sin_turn(turn);
    d->tall = rng_range(r, 0.4f, 1.1f);
    d->warp = rng_range(r, 0.4f, 1.3f);
    d->ripple = rng_range(r, 0.0f, 0.22f);
    d->ripple_scale = rng_range(r, 6.0f, 16.0f);
    d->fog = rng_range(r, 0.01f, 0.08f);
    d->off_x = rng_range(r, -90.0f, 90.0f);
    d->off_z = rng_range(r, -90.0f, 90.0f);
}

static float sand_height(struct dunes const *d, float x, float z)
{
    x += d->off_x;
    z += d->off_z;
    float p = (d->cos_a * x + d->sin_a * z) * 0.27f;
    float q = (d->cos_a * z - d->sin_a * x) * 0.27f;
    float bend = noise2(p * 0.55f, q * 0.55f, d->seed);
    float t = fract(p + d->warp * bend);
    float saw = t < 0.7f ? t * (1.0f / 0.7f) : (1.0f - t) * (1.0f / 0.3f);
    saw = saw * saw * (1.6f - 0.6f * saw);
    float size = 0.65f + 0.55f * noise2(p * 0.7f + 8.0f, q * 0.9f, d->seed + 1u);
    return d->tall * (saw * size + 0.9f * bend);
}

vec3 dunes_shade(void const *state, float u, float v)
{
    struct dunes const *d = state;
    vec3 dir = norm3(v3(u * d->zoom, v * d->zoom + d->pitch, 1.0f));
    float eye = d->eye + d->tall * 0.4f + sand_height(d, 0.0f, 0.0f) * 0.6f;
    float t = 0.15f;
    float last = t;
    int hit = 0;
    for (int n = 0; n < 70 && t < 45.0f; n++) {
        float y = eye + dir.y * t;
        if (y > 2.2f * d->tall && dir.y > 0.0f)
            break;
        float gap = y - sand_height(d, dir.x * t, dir.z * t);
        if (gap < 0.0f) {
            hit = 1;
            break;
        }
        last = t;
        t += maxf(0.6f * gap, 0.015f * t + 0.01f);
    }
    if (!hit)
        return sky_colour(&d->sky, norm3(v3(dir.x, maxf(dir.y, 0.0f), dir.z)), dir.y > 0.0f);
    for (int n = 0; n < 6; n++) {
        float mid = 0.5f * (last + t);
        if (eye + dir.y * mid < sand_height(d, dir.x * mid, dir.z * mid))
            t = mid;
        else
            last = mid;
    }
    float x = dir.x * t;
    float z = dir.z * t;
    float h = sand_height(d, x, z);
    float e = 0.015f + 0.003f * t;
    float nx = (h - sand_height(d, x + e, z)) / e;
    float nz = (h - sand_height(d, x, z + e)) / e;
    /* Wind ripples lean across the crests and fade with distance. */
    float p = (x * d->cos_a + z * d->sin_a) * d->ripple_scale;
    float q = (z * d->cos_a - x * d->sin_a) * d->ripple_scale;
    float wave = sin_turn(p * 0.5f + 1.2f * noise2(p * 0.3f, q * 0.12f, d->seed + 3u));
    float fade = d->ripple / (1.0f + 0.05f * t * t);
    nx += d->cos_a * wave * fade;
    nz += d->sin_a * wave * fade;
    float grain = noise2(x * 40.0f, z * 40.0f, d->seed + 5u);
    vec3 n = norm3(v3(nx, 1.0f, nz));
    float sun = maxf(dot3(n, d->sun), 0.0f);
    float s = 0.05f;
    for (int k = 0; k < 8 && sun > 0.0f; k++) {
        float above = h + 0.01f + d->sun.y * s - sand_height(d, x + d->sun.x * s, z + d->sun.z * s);
        sun *= step3(-0.05f, 0.02f, above);
        s *= 1.75f;
    }
    vec3 c = scale3(d->sand, 1.0f + 0.06f * grain / (1.0f + 0.1f * t));
    c = mul3(c, add3(scale3(d->light, sun), scale3(d->ambient, 0.6f + 0.4f * n.y)));
    float clear = exp_f(-d->fog * t);
    vec3 haze = sky_colour(&d->sky, norm3(v3(dir.x, 0.02f, dir.z)), 0);
    return mix3(haze, c, clear);
}
