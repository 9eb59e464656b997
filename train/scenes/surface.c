/* A flat material as a camera sees it.
 *
 * Marble, wood, brick and fabric are all flat things seen from some distance, turned by some
 * angle, tilted a little and lit by one lamp.  What they share stands here, so that pose and
 * light tell nothing about the class. */
#include "surface.h"

void surface_prepare(struct surface *s, struct rng *r, float scale_lo, float scale_hi)
{
    /* Half of the time nearly upright, as people photograph walls; else at any angle. */
    float turn = rng_chance(r, 0.5f) ? rng_range(r, -0.03f, 0.03f) : rng_unit(r);
    s->cos_a = cos_turn(turn);
    s->sin_a = sin_turn(turn);
    float octave = rng_unit(r);
    s->scale = scale_lo * pow_f(scale_hi / scale_lo, octave);
    s->off_x = rng_range(r, -50.0f, 50.0f);
    s->off_y = rng_range(r, -50.0f, 50.0f);
    float amount = rng_chance(r, 0.6f) ? 0.38f : 0.08f;
    s->tilt_x = rng_range(r, -amount, amount);
    s->tilt_y = rng_range(r, -amount, amount);
    s->lamp_u = rng_range(r, -1.4f, 1.4f);
    s->lamp_v = rng_range(r, -1.4f, 1.4f);
    s->lamp_fall = rng_range(r, 0.1f, 0.9f);
    float warm = rng_range(r, -0.18f, 0.18f);
    float power = rng_range(r, 0.8f, 1.35f);
    s->lamp = v3(power * (1.0f + warm), power, power * (1.0f - warm));
    float fill = rng_range(r, 0.08f, 0.3f);
    s->ambient = v3(fill * 0.9f, fill, fill * 1.15f);
    float lx = s->lamp_u;
    float ly = s->lamp_v;
    float len = 1.0f / sqrtf(lx * lx + ly * ly + 0.05f);
    s->light_x = (s->cos_a * lx - s->sin_a * ly) * len;
    s->light_y = (s->sin_a * lx + s->cos_a * ly) * len;
}

void surface_map(struct surface const *s, float u, float v, float *x, float *y)
{
    float w = s->scale / (1.0f + s->tilt_x * u + s->tilt_y * v);
    *x = (s->cos_a * u - s->sin_a * v) * w + s->off_x;
    *y = (s->sin_a * u + s->cos_a * v) * w + s->off_y;
}

vec3 surface_light(struct surface const *s, float u, float v)
{
    float du = u - s->lamp_u;
    float dv = v - s->lamp_v;
    return add3(s->ambient, scale3(s->lamp, 1.0f / (1.0f + s->lamp_fall * (du * du + dv * dv))));
}

vec3 shared_colour(struct rng *r)
{
    static vec3 const colours[] = {
        {0.62f, 0.32f, 0.14f}, {0.30f, 0.13f, 0.06f}, {0.78f, 0.74f, 0.66f}, {0.20f, 0.22f, 0.25f},
        {0.48f, 0.09f, 0.07f}, {0.10f, 0.22f, 0.34f}, {0.12f, 0.28f, 0.16f}, {0.72f, 0.50f, 0.24f},
        {0.45f, 0.42f, 0.40f}, {0.55f, 0.33f, 0.34f}, {0.08f, 0.07f, 0.07f}, {0.30f, 0.38f, 0.42f},
    };
    int i = rng_below(r, (int)(sizeof colours / sizeof colours[0]));
    float gain = rng_range(r, 0.75f, 1.25f);
    float red = rng_range(r, 0.85f, 1.15f);
    float blue = rng_range(r, 0.85f, 1.15f);
    return v3(colours[i].x * gain * red, colours[i].y * gain, colours[i].z * gain * blue);
}
