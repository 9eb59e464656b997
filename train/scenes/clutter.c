/* What stands between the camera and the scene.
 *
 * Bars of a window, leaves, lights out of focus, drops of rain on the lens, and the torn edge of
 * another photograph that hides up to a third of this one.  These are what keeps a good model
 * below a hundred percent: a torn piece shows a second class at its best, and only the larger
 * part of the picture says which of the two was asked for. */
#include "clutter.h"
#include "surface.h"

void clutter_prepare(struct clutter *c, struct rng *r, int kind)
{
    float turn = rng_unit(r);
    c->cos_a = cos_turn(turn);
    c->sin_a = sin_turn(turn);
    static enum clutter_kind const kinds[20] = {CLEAR,  CLEAR, CLEAR, CLEAR, CLEAR, CLEAR,  CLEAR,
                                                CLEAR,  CLEAR, CLEAR, BARS,  BARS,  LEAVES, LEAVES,
                                                LIGHTS, CLEAR, TORN,  TORN,  TORN,  DROPS};
    int draw = rng_below(r, 20);
    c->kind = kinds[draw];
    c->seed = rng_bits(r);
    c->width = rng_range(r, 0.05f, 0.18f);
    c->pitch = rng_range(r, 0.45f, 1.2f);
    c->scale = rng_range(r, 0.7f, 2.2f);
    c->cover = rng_range(r, 0.0f, 0.35f);
    c->offset = rng_range(r, 0.3f, 0.75f);
    c->colour = shared_colour(r);
    float dim = rng_range(r, 0.05f, 0.8f);
    c->colour = scale3(c->colour, dim);
    int other = (kind + 1 + rng_below(r, SCENE_KINDS - 1)) % SCENE_KINDS;
    c->other = &scene_kinds[other];
    if (c->kind == TORN)
        c->other->prepare(&c->other_state, r);
}

/* A drop turns the scene behind it upside down and small; its rim is dark. */
static int drop_at(struct clutter const *c, float *u, float *v, float *light)
{
    float x = *u * 2.2f * c->scale + 9.0f;
    float y = *v * 2.2f * c->scale + 9.0f;
    int i = floor_i(x);
    int j = floor_i(y);
    uint32_t h = hash2(i, j, c->seed);
    if (unit_of(h) > 0.3f + c->cover)
        return 0;
    float radius = 0.2f + 0.26f * unit_of(h * 747796405u);
    float room = 0.5f - radius;
    float dx = x - (float)i - 0.5f - room * (2.0f * unit_of(h * 2891336453u) - 1.0f);
    float dy = y - (float)j - 0.5f - room * (2.0f * unit_of(h * 2654435769u) - 1.0f);
    float q = (dx * dx + dy * dy * 0.85f) / (radius * radius);
    if (q >= 1.0f)
        return 0;
    float bend = 2.6f / c->scale * (0.5f + 0.5f * q);
    *u -= dx * bend;
    *v -= dy * bend;
    *light = (1.05f - 0.55f * q * q) * (1.0f + 0.35f * dy / radius);
    return 1;
}

static vec3 lights(struct clutter const *c, vec3 under, float u, float v)
{
    for (int o = 0; o < 2; o++) {
        float x = u * 1.7f * c->scale + 5.0f + 0.5f * (float)o;
        float y = v * 1.7f * c->scale + 5.0f + 0.5f * (float)o;
        int i = floor_i(x);
        int j = floor_i(y);
        uint32_t h = hash2(i, j, c->seed + (uint32_t)o);
        if (unit_of(h) > 0.12f + c->cover)
            continue;
        float radius = 0.18f + 0.3f * unit_of(h * 747796405u);
        float dx = x - (float)i - 0.5f;
        float dy = y - (float)j - 0.5f;
        float d = sqrtf(dx * dx + dy * dy) / radius;
        float disc = step3(1.0f, 0.9f, d) * (0.35f + 0.3f * d * d);
        float heat = unit_of(h * 2891336453u);
        vec3 colour = mix3(v3(1.0f, 0.55f, 0.2f), v3(0.5f, 0.8f, 1.0f), heat);
        under = add3(scale3(under, 1.0f - 0.6f * disc), scale3(colour, disc));
    }
    return under;
}

vec3 clutter_shade(struct clutter const *c, struct scene_kind const *scene,
                   union scene_state const *state, float u, float v)
{
    float x = c->cos_a * u - c->sin_a * v;
    float y = c->sin_a * u + c->cos_a * v;
    switch (c->kind) {
    case BARS: {
        float fx = absf(fract(x / c->pitch + c->offset) - 0.5f) * c->pitch;
        float fy = absf(fract(y / (c->pitch * 1.7f) + c->cover) - 0.5f) * c->pitch * 1.7f;
        float half = c->width * c->pitch * 0.8f;
        float d = c->cover > 0.2f ? minf(fx, fy) : fx;
        if (d < half) {
            float round = sqrtf(maxf(0.0f, 1.0f - d * d / (half * half)));
            float grain = noise2(u * 25.0f, v * 25.0f, c->seed);
            return scale3(c->colour, 0.25f + 0.75f * round + 0.08f * grain);
        }
        break;
    }
    case LEAVES: {
        float n = fbm2(x * c->scale * 1.3f, y * c->scale * 2.6f, 5, c->seed);
        float edge = u * u + v * v;
        if (n > 0.42f - 0.4f * c->cover - 0.2f * edge) {
            float vein = noise2(x * 30.0f, y * 8.0f, c->seed + 9u);
            vec3 green = mix3(c->colour, v3(0.03f, 0.06f, 0.02f), 0.6f);
            return scale3(green, 0.7f + 0.5f * n + 0.2f * vein);
        }
        break;
    }
    case TORN: {
        float rip = fbm2(u * 2.1f, v * 2.1f, 5, c->seed) * 0.28f;
        float d = x + rip - c->offset;
        if (d > 0.0f)
            return d < 0.022f ? v3(0.82f, 0.8f, 0.76f) : c->other->shade(&c->other_state, u, v);
        /* The paper above throws a narrow shadow. */
        return scale3(scene->shade(state, u, v), 1.0f - 0.5f * step3(-0.06f, 0.0f, d));
    }
    case DROPS: {
        float light = 1.0f;
        int drop = drop_at(c, &u, &v, &light);
        vec3 seen = scene->shade(state, u, v);
        return drop ? scale3(seen, light) : mix3(seen, v3(0.4f, 0.42f, 0.45f), 0.12f);
    }
    case LIGHTS:
        return lights(c, scene->shade(state, u, v), u, v);
    case CLEAR:
        break;
    }
    return scene->shade(state, u, v);
}
