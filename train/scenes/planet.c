/* Planet: a world in space, half of it in the night.
 *
 * A ball with a surface of bands or of continents, clouds and an atmosphere that glows at the
 * limb; often a ring that casts and takes shadows; moons, stars, and clouds of gas far behind.
 * Some worlds are so close that only an arc is in view. */
#include "scenes.h"
#include "sky.h"
#include "surface.h"

struct ball {
    float x, y, radius;
    vec3 colour;
    uint32_t seed;
};

struct planet {
    struct ball body, moon[2];
    int moons, gas, ringed;
    vec3 a, b, c, air, light, ring_a, ring_b, nebula;
    vec3 sun, ring_axis, pole_x, pole_y, pole_z;
    float ring_in, ring_out, bands, swirl, sea, clouds, limb, stars, fog, night;
    uint32_t seed;
};

_Static_assert(sizeof(struct planet) <= STATE_BYTES, "a scene's state fits");

static vec3 any_direction(struct rng *r)
{
    float turn = rng_unit(r);
    float z = rng_range(r, -1.0f, 1.0f);
    float w = sqrtf(maxf(0.0f, 1.0f - z * z));
    return v3(w * cos_turn(turn), w * sin_turn(turn), z);
}

static vec3 cross3(vec3 a, vec3 b)
{
    return v3(a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x);
}

void planet_prepare(void *state, struct rng *r)
{
    struct planet *p = state;
    p->seed = rng_bits(r);
    p->gas = rng_chance(r, 0.5f);
    p->ringed = rng_chance(r, p->gas ? 0.65f : 0.3f);
    int close = !p->ringed && rng_chance(r, 0.3f);
    p->body.radius = close ? rng_range(r, 1.2f, 2.2f) : rng_range(r, 0.28f, 0.72f);
    float turn = rng_unit(r);
    float away = close ? p->body.radius * rng_range(r, 0.75f, 0.95f) : rng_range(r, 0.0f, 0.35f);
    p->body.x = away * cos_turn(turn);
    p->body.y = away * sin_turn(turn);
    p->body.seed = rng_bits(r);
    p->a = shared_colour(r);
    p->b = shared_colour(r);
    p->c = shared_colour(r);
    vec3 s = any_direction(r);
    float front = rng_range(r, -0.25f, 0.9f);
    p->sun = norm3(v3(s.x, s.y * 0.7f, front));
    float warm = rng_range(r, -0.12f, 0.12f);
    p->light = v3(1.55f * (1.0f + warm), 1.5f, 1.5f * (1.0f - warm));
    vec3 tone = shared_colour(r);
    p->air = mix3(v3(0.25f, 0.45f, 0.9f), tone, 0.5f);
    p->limb = rng_range(r, 0.1f, 0.9f);
    p->bands = rng_range(r, 2.0f, 7.0f);
    p->swirl = rng_range(r, 0.1f, 0.8f);
    p->sea = rng_range(r, -0.25f, 0.2f);
    p->clouds = rng_range(r, 0.0f, 0.9f);
    p->stars = rng_range(r, 0.0f, 0.16f);
    p->fog = rng_chance(r, 0.5f) ? rng_range(r, 0.1f, 0.5f) : 0.0f;
    p->nebula = shared_colour(r);
    p->night = rng_range(r, 0.01f, 0.08f);
    vec3 axis = any_direction(r);
    p->ring_axis = norm3(v3(axis.x * 0.7f, 0.8f, axis.z * 0.6f));
    p->pole_y = p->ring_axis;
    p->pole_x = norm3(cross3(p->pole_y, v3(0.3f, 0.1f, 1.0f)));
    p->pole_z = cross3(p->pole_x, p->pole_y);
    p->ring_in = rng_range(r, 1.25f, 1.6f);
    p->ring_out = p->ring_in + rng_range(r, 0.35f, 1.0f);
    p->ring_a = mix3(p->a, v3(0.8f, 0.72f, 0.6f), 0.6f);
    p->ring_b = scale3(p->ring_a, 0.35f);
    p->moons = rng_below(r, 3);
    for (int i = 0; i < 2; i++) {
        struct ball *m = &p->moon[i];
        m->x = rng_range(r, -1.0f, 1.0f);
        m->y = rng_range(r, -1.0f, 1.0f);
        m->radius = rng_range(r, 0.03f, 0.13f);
        vec3 t = shared_colour(r);
        m->colour = mix3(t, v3(0.5f, 0.5f, 0.5f), 0.6f);
        m->seed = rng_bits(r);
    }
}

static vec3 world_colour(struct planet const *p, vec3 n)
{
    vec3 q = v3(dot3(n, p->pole_x), dot3(n, p->pole_y), dot3(n, p->pole_z));
    if (p->gas) {
        float turb = fbm3(v3(q.x * 3.0f, q.y * 7.0f, q.z * 3.0f), 4, p->seed);
        float lat = q.y * p->bands + p->swirl * turb;
        float t = noise1(lat * 1.7f, p->seed + 20u);
        float k = noise1(lat * 4.3f, p->seed + 21u);
        vec3 c = mix3(p->a, p->b, clampf(0.5f + 0.7f * t, 0.0f, 1.0f));
        return mix3(c, p->c, clampf(0.45f * k, 0.0f, 1.0f));
    }
    float land = fbm3(scale3(q, 2.1f), 5, p->seed);
    float rough = fbm3(scale3(q, 9.0f), 3, p->seed + 30u);
    vec3 sea = mix3(p->a, v3(0.02f, 0.06f, 0.14f), 0.6f);
    vec3 c = mix3(sea, mix3(p->b, p->c, clampf(0.5f + rough, 0.0f, 1.0f)),
                  step3(p->sea, p->sea + 0.06f, land + 0.12f * rough));
    c = mix3(c, v3(0.85f, 0.88f, 0.92f), step3(0.82f, 0.9f, absf(q.y) + 0.15f * rough));
    float cloud = fbm3(add3(scale3(q, 3.2f), v3(land, land, 7.0f)), 4, p->seed + 40u);
    return mix3(c, v3(0.9f, 0.9f, 0.9f), p->clouds * step3(0.0f, 0.35f, cloud));
}

/* How much of the ring's matter is at this distance from the centre, in radii. */
static float ring_density(struct planet const *p, float d)
{
    if (d < p->ring_in || d > p->ring_out)
        return 0.0f;
    float n = 0.55f + 0.7f * noise1(d * 11.0f, p->seed + 50u) + 0.4f * noise1(d * 37.0f, p->seed);
    float ends =
        step3(p->ring_in, p->ring_in + 0.05f, d) * step3(p->ring_out, p->ring_out - 0.05f, d);
    return clampf(n, 0.0f, 1.0f) * ends;
}

static vec3 ball_shade(struct planet const *p, struct ball const *b, float u, float v, vec3 behind)
{
    float x = (u - b->x) / b->radius;
    float y = (v - b->y) / b->radius;
    float q = x * x + y * y;
    if (q > 1.0f)
        return behind;
    vec3 n = v3(x, y, sqrtf(1.0f - q));
    float crater = fbm3(scale3(n, 3.0f), 3, b->seed);
    float lit = maxf(0.0f, dot3(n, p->sun));
    return mul3(scale3(b->colour, (lit + 0.01f) * (1.0f + 0.8f * crater)), p->light);
}

vec3 planet_shade(void const *state, float u, float v)
{
    struct planet const *p = state;
    vec3 c = star_field(u * 14.0f + 40.0f, v * 14.0f, p->stars, p->seed);
    if (p->fog > 0.0f) {
        float n = fbm2(u * 1.1f, v * 1.1f, 4, p->seed + 60u);
        float m = fbm2(u * 1.6f + 7.0f, v * 1.6f, 3, p->seed + 61u);
        c = add3(c, scale3(p->nebula, p->fog * step3(-0.3f, 0.7f, n)));
        c = add3(c, scale3(p->air, 0.5f * p->fog * step3(0.0f, 0.7f, m)));
    }
    for (int i = 0; i < p->moons; i++)
        c = ball_shade(p, &p->moon[i], u, v, c);
    float x = (u - p->body.x) / p->body.radius;
    float y = (v - p->body.y) / p->body.radius;
    float q = x * x + y * y;
    float front = -1e9f;
    if (q < 1.0f) {
        vec3 n = v3(x, y, sqrtf(1.0f - q));
        front = n.z;
        float facing = dot3(n, p->sun);
        float lit = step3(-0.08f, 0.25f, facing) * maxf(facing, 0.06f);
        if (p->ringed) {
            /* The ring's shadow: towards the sun, where does the line cross the ring's plane? */
            float slant = dot3(p->sun, p->ring_axis);
            float t = -dot3(n, p->ring_axis) / (absf(slant) < 0.02f ? 0.02f : slant);
            if (t > 0.0f) {
                vec3 at = add3(n, scale3(p->sun, t));
                lit *= 1.0f - 0.75f * ring_density(p, sqrtf(minf(dot3(at, at), 100.0f)));
            }
        }
        c = mul3(scale3(world_colour(p, n), lit + p->night * 0.3f), p->light);
        float rim = 1.0f - n.z;
        float day = step3(-0.3f, 0.5f, facing);
        c = add3(c, scale3(p->air, p->limb * rim * rim * rim * day));
    } else {
        float out = sqrtf(q) - 1.0f;
        float day = step3(-0.5f, 0.6f, (x * p->sun.x + y * p->sun.y) + 0.3f * p->sun.z);
        c = add3(c, scale3(p->air, 0.8f * p->limb * day * exp_f(-out * 22.0f)));
    }
    if (p->ringed) {
        float z = -(x * p->ring_axis.x + y * p->ring_axis.y) / maxf(absf(p->ring_axis.z), 0.05f);
        if (p->ring_axis.z < 0.0f)
            z = -z;
        float d = sqrtf(minf(q + z * z, 100.0f));
        float dense = ring_density(p, d);
        if (dense > 0.0f && z > front) {
            vec3 at = v3(x, y, z);
            float along = dot3(at, p->sun);
            vec3 off = sub3(at, scale3(p->sun, along));
            float dark = along < 0.0f && dot3(off, off) < 1.0f ? 0.08f : 1.0f;
            float hue = 0.5f + 0.5f * noise1(d * 6.0f, p->seed + 51u);
            vec3 ring = mul3(mix3(p->ring_b, p->ring_a, hue), p->light);
            c = mix3(c, scale3(ring, dark * 0.8f), 0.85f * dense);
        }
    }
    return c;
}
