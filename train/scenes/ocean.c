/* Ocean: waves under a sky.
 *
 * Crests are powers of a folded sine, bent by noise and laid over each other in turned
 * directions.  Water is mostly mirror at a glancing angle and mostly its own depth's colour when
 * looked into; a rough sea scatters the sun into glitter and carries foam on its crests. */
#include "scenes.h"
#include "sky.h"

struct ocean {
    struct sky sky;
    vec3 deep, scatter;
    float eye, pitch, zoom, tall, choppy, scale, foam, fog, cos_a, sin_a, off_x, off_z;
    uint32_t seed;
};

_Static_assert(sizeof(struct ocean) <= STATE_BYTES, "a scene's state fits");

void ocean_prepare(void *state, struct rng *r)
{
    static vec3 const waters[] = {
        {0.010f, 0.060f, 0.110f}, {0.005f, 0.110f, 0.130f}, {0.030f, 0.070f, 0.060f},
        {0.015f, 0.020f, 0.040f}, {0.110f, 0.080f, 0.060f},
    };
    struct ocean *o = state;
    sky_prepare(&o->sky, r);
    o->seed = rng_bits(r);
    int i = rng_below(r, (int)(sizeof waters / sizeof waters[0]));
    o->deep = waters[i];
    float glow = rng_range(r, 0.6f, 2.2f);
    o->scatter = scale3(add3(o->deep, v3(0.02f, 0.05f, 0.04f)), glow);
    o->eye = rng_range(r, 0.9f, 2.8f);
    o->pitch = rng_range(r, -0.5f, 0.02f);
    o->zoom = rng_range(r, 0.4f, 0.8f);
    o->tall = rng_range(r, 0.12f, 0.75f);
    o->choppy = rng_range(r, 0.2f, 1.0f);
    o->scale = rng_range(r, 0.14f, 0.4f);
    o->foam = rng_chance(r, 0.5f) ? rng_range(r, 0.2f, 0.9f) : 0.0f;
    o->fog = rng_range(r, 0.004f, 0.03f);
    float turn = rng_unit(r);
    o->cos_a = cos_turn(turn);
    o->sin_a = sin_turn(turn);
    o->off_x = rng_range(r, -90.0f, 90.0f);
    o->off_z = rng_range(r, -90.0f, 90.0f);
}

/* One train of waves: flat troughs and crests that get sharper from choppy 0 to 1. */
static float crest(float x, float y, float choppy, uint32_t seed)
{
    float n = noise2(x, y, seed);
    float sx = sin_turn((x + n) * 0.159f);
    float sy = sin_turn((y + n) * 0.159f);
    /* A folded sine near its zero line, a folded cosine elsewhere: |sin| has the cusp. */
    float ax = absf(sx);
    float ay = absf(sy);
    float wx = mixf(sqrtf(maxf(0.0f, 1.0f - sx * sx)), 1.0f - ax, ax);
    float wy = mixf(sqrtf(maxf(0.0f, 1.0f - sy * sy)), 1.0f - ay, ay);
    float s = 1.0f - sqrtf(maxf(0.0f, wx * wy));
    float s2 = s * s;
    return mixf(s2, s2 * s2, choppy) + 0.2f * s;
}

static float sea_height(struct ocean const *o, float x, float z, int octaves)
{
    float p = (o->cos_a * (x + o->off_x) + o->sin_a * (z + o->off_z)) * o->scale * 4.5f;
    float q = (o->cos_a * (z + o->off_z) - o->sin_a * (x + o->off_x)) * o->scale * 2.6f;
    float amp = 1.5f * o->tall;
    float choppy = o->choppy;
    float h = 0.0f;
    for (int n = 0; n < octaves; n++) {
        h += amp * crest(p, q, choppy, o->seed + (uint32_t)n);
        float t = p * 1.5f + q * 1.3f + 3.0f;
        q = q * 1.5f - p * 1.3f - 5.0f;
        p = t;
        amp *= 0.36f;
        choppy *= 0.8f;
    }
    return h;
}

vec3 ocean_shade(void const *state, float u, float v)
{
    struct ocean const *o = state;
    vec3 dir = norm3(v3(u * o->zoom, v * o->zoom + o->pitch, 1.0f));
    float eye = o->eye + 2.0f * o->tall;
    if (dir.y > -0.004f)
        return sky_colour(&o->sky, norm3(v3(dir.x, maxf(dir.y, 0.0f), dir.z)), 1);
    /* Between the plane of the highest crests and the plane of the troughs: two secant steps. */
    float t0 = minf((2.2f * o->tall - eye) / dir.y, 120.0f);
    float t1 = minf(-eye / dir.y, 140.0f);
    float h0 = eye + dir.y * t0 - sea_height(o, dir.x * t0, dir.z * t0, 2);
    float h1 = -0.5f * h0;
    float t = t1;
    for (int n = 0; n < 2; n++) {
        t = mixf(t0, t1, clampf(h0 / (h0 - h1 + 1e-6f), 0.05f, 0.95f));
        float h = eye + dir.y * t - sea_height(o, dir.x * t, dir.z * t, 2);
        if (h < 0.0f) {
            t1 = t;
            h1 = h;
        } else {
            t0 = t;
            h0 = h;
        }
    }
    float x = dir.x * t;
    float z = dir.z * t;
    float e = 0.01f + 0.0016f * t * sqrtf(t);
    /* Far away the small waves are smaller than a pixel. */
    int fine = t < 7.0f ? 4 : t < 22.0f ? 3 : 2;
    float h = sea_height(o, x, z, fine);
    float nx = (h - sea_height(o, x + e, z, fine)) / e;
    float nz = (h - sea_height(o, x, z + e, fine)) / e;
    vec3 n = norm3(v3(nx, 1.0f, nz));
    float facing = clampf(-dot3(n, dir), 0.0f, 1.0f);
    float fresnel = 1.0f - facing;
    fresnel = 0.03f + 0.8f * fresnel * fresnel * fresnel;
    vec3 up = reflect3(dir, n);
    up = norm3(v3(up.x, absf(up.y) + 0.02f, up.z));
    vec3 mirror = sky_colour(&o->sky, up, 0);
    float day = 0.35f + 0.8f * (o->sky.zenith.y + o->sky.horizon.y);
    float lift = clampf(h / (1.6f * o->tall + 0.01f), 0.0f, 1.0f);
    vec3 body = scale3(add3(o->deep, scale3(o->scatter, lift * lift)), day);
    vec3 c = mix3(body, mirror, fresnel);
    float spark = maxf(dot3(up, o->sky.sun), 0.0f);
    c = add3(c, scale3(o->sky.sun_colour, 0.9f * pow_f(spark, 60.0f + 90.0f / (1.0f + 0.1f * t))));
    if (o->foam > 0.0f) {
        float froth = fbm2(x * 3.1f, z * 3.1f, 3, o->seed + 4u);
        float white = o->foam * step3(0.5f, 0.95f, lift + 0.45f * froth);
        vec3 lit = add3(scale3(mix3(o->sky.zenith, o->sky.horizon, 0.6f), 0.7f),
                        scale3(o->sky.sun_colour, 0.3f));
        c = mix3(c, lit, white);
    }
    vec3 haze = sky_colour(&o->sky, norm3(v3(dir.x, 0.01f, dir.z)), 0);
    return mix3(haze, c, exp_f(-o->fog * t));
}
