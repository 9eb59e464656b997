/* Spheres: balls on a floor, ray-traced.
 *
 * The picture every ray tracer draws first: mirrors, glazed clay, striped marbles and glass on a
 * chequered, tiled or plain floor, under a sky or in a dark room.  One to nine of them, from far
 * or from so near that one fills the picture, and then may be taken for a planet. */
#include "scenes.h"
#include "sky.h"
#include "surface.h"

enum { BALLS = 9 };

enum finish { CLAY, MIRROR, GLASS, BANDED };

struct sphere {
    vec3 at, a, b;
    float radius, shine;
    enum finish finish;
    uint32_t seed;
};

struct spheres {
    struct sky sky;
    int balls, floor_kind;
    struct sphere ball[BALLS];
    vec3 eye, fwd, right, up;
    vec3 lamp, light, ambient, floor_a, floor_b;
    float zoom, tile, gloss, dark, cos_a, sin_a;
    uint32_t seed;
};

_Static_assert(sizeof(struct spheres) <= STATE_BYTES, "a scene's state fits");

static vec3 cross3(vec3 a, vec3 b)
{
    return v3(a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x);
}

void spheres_prepare(void *state, struct rng *r)
{
    struct spheres *s = state;
    sky_prepare(&s->sky, r);
    s->seed = rng_bits(r);
    s->dark = rng_chance(r, 0.4f) ? rng_range(r, 0.03f, 0.25f) : 1.0f;
    int few = rng_chance(r, 0.35f);
    s->balls = few ? 1 + rng_below(r, 2) : 3 + rng_below(r, BALLS - 2);
    int made = 0;
    for (int i = 0; i < s->balls; i++) {
        struct sphere b;
        b.radius = few ? rng_range(r, 0.8f, 1.3f) : rng_range(r, 0.28f, 0.85f);
        float reach = few ? 0.9f : 2.3f;
        float x = rng_range(r, -reach, reach);
        float z = rng_range(r, -reach, reach);
        b.at = v3(x, b.radius, z);
        b.a = shared_colour(r);
        b.b = shared_colour(r);
        b.shine = rng_range(r, 0.05f, 0.35f);
        int finish = rng_below(r, 8);
        b.finish = finish < 3 ? CLAY : finish < 5 ? MIRROR : finish < 6 ? GLASS : BANDED;
        b.seed = rng_bits(r);
        /* No two may overlap; a ball that finds no room stays away. */
        int room = 1;
        for (int k = 0; k < made; k++) {
            vec3 d = sub3(b.at, s->ball[k].at);
            float need = b.radius + s->ball[k].radius;
            if (dot3(d, d) < need * need)
                room = 0;
        }
        if (room)
            s->ball[made++] = b;
    }
    s->balls = made;
    float turn = rng_range(r, -0.12f, 0.12f);
    float high = rng_range(r, 0.6f, 3.6f);
    float far = rng_range(r, 3.2f, 6.5f);
    vec3 look = s->ball[0].at;
    float centre = rng_range(r, 0.0f, 0.8f);
    look = scale3(look, centre);
    look.y = rng_range(r, 0.3f, 0.9f);
    s->eye = v3(far * sin_turn(turn), high, -far * cos_turn(turn));
    s->fwd = norm3(sub3(look, s->eye));
    s->right = norm3(cross3(v3(0.0f, 1.0f, 0.0f), s->fwd));
    s->up = cross3(s->fwd, s->right);
    s->zoom = rng_range(r, 0.3f, 0.62f);
    float lx = rng_range(r, -1.0f, 1.0f);
    float lz = rng_range(r, -1.0f, 0.6f);
    float ly = rng_range(r, 0.6f, 1.6f);
    s->lamp = norm3(v3(lx, ly, lz));
    float power = rng_range(r, 0.9f, 1.6f);
    s->light = scale3(mix3(s->sky.sun_colour, v3(1.0f, 1.0f, 1.0f), 0.5f), power);
    s->ambient = scale3(mix3(s->sky.zenith, s->sky.horizon, 0.5f), 0.45f * s->dark);
    s->ambient = add3(s->ambient, v3(0.02f, 0.02f, 0.03f));
    s->floor_kind = rng_below(r, 5);
    s->floor_a = shared_colour(r);
    s->floor_b = shared_colour(r);
    s->tile = rng_range(r, 0.5f, 1.4f);
    s->gloss = rng_chance(r, 0.5f) ? rng_range(r, 0.05f, 0.4f) : 0.0f;
    float spin = rng_unit(r);
    s->cos_a = cos_turn(spin);
    s->sin_a = sin_turn(spin);
}

/* Nearest ball along the ray beyond a small distance; -1 when there is none. */
static int nearest(struct spheres const *s, vec3 from, vec3 dir, float *t)
{
    int found = -1;
    for (int i = 0; i < s->balls; i++) {
        vec3 d = sub3(s->ball[i].at, from);
        float along = dot3(d, dir);
        float q = along * along - dot3(d, d) + s->ball[i].radius * s->ball[i].radius;
        if (q <= 0.0f)
            continue;
        float root = sqrtf(q);
        float at = along - root > 1e-3f ? along - root : along + root;
        if (at > 1e-3f && at < *t) {
            *t = at;
            found = i;
        }
    }
    return found;
}

static vec3 floor_colour(struct spheres const *s, vec3 p)
{
    float x = (p.x * s->cos_a - p.z * s->sin_a) / s->tile;
    float y = (p.x * s->sin_a + p.z * s->cos_a) / s->tile;
    if (s->floor_kind == 0) {
        float n = fbm2(x * 1.3f + fbm2(x, y, 2, s->seed), y * 1.3f, 4, s->seed + 1u);
        float vein = step3(0.08f, 0.0f, absf(n));
        return mix3(mix3(s->floor_a, s->floor_b, 0.5f + n), v3(0.8f, 0.8f, 0.8f), 0.5f * vein);
    }
    if (s->floor_kind == 1) {
        int row = floor_i(y * 2.5f);
        float ring = noise2(x * 0.7f, y * 11.0f, s->seed + (uint32_t)row);
        float edge = absf(fract(y * 2.5f) - 0.5f);
        return scale3(mix3(s->floor_a, scale3(s->floor_a, 0.5f), 0.5f + ring),
                      edge > 0.47f ? 0.3f : 1.0f);
    }
    if (s->floor_kind == 2) {
        float n = fbm2(x * 3.0f, y * 3.0f, 3, s->seed);
        return scale3(s->floor_a, 1.0f + 0.3f * n);
    }
    return ((floor_i(x) + floor_i(y)) & 1) ? s->floor_a : s->floor_b;
}

static vec3 surroundings(struct spheres const *s, vec3 dir)
{
    vec3 up = norm3(v3(dir.x, maxf(dir.y, 0.0f), absf(dir.z) + 0.02f));
    return scale3(sky_colour(&s->sky, up, 1), s->dark);
}

static vec3 trace(struct spheres const *s, vec3 from, vec3 dir)
{
    vec3 sum = v3(0.0f, 0.0f, 0.0f);
    vec3 weight = v3(1.0f, 1.0f, 1.0f);
    for (int bounce = 0; bounce < 4; bounce++) {
        float t = 60.0f;
        int hit = nearest(s, from, dir, &t);
        float ground = dir.y < -1e-4f ? -from.y / dir.y : 1e9f;
        if (ground > 1e-3f && ground < t) {
            t = ground;
            hit = BALLS;
        }
        if (hit < 0)
            return add3(sum, mul3(weight, surroundings(s, dir)));
        vec3 p = add3(from, scale3(dir, t));
        vec3 n = v3(0.0f, 1.0f, 0.0f);
        vec3 base;
        float mirror = s->gloss;
        if (hit == BALLS) {
            base = floor_colour(s, p);
        } else {
            struct sphere const *b = &s->ball[hit];
            n = scale3(sub3(p, b->at), 1.0f / b->radius);
            float rim = 1.0f - clampf(-dot3(dir, n), 0.0f, 1.0f);
            rim = rim * rim * rim;
            base = b->a;
            mirror = b->shine * (0.3f + rim);
            if (b->finish == BANDED) {
                float turb = fbm3(scale3(n, 2.5f), 3, b->seed);
                float band = sin_turn(n.y * 1.6f + n.x * 0.7f + 0.7f * turb);
                base = mix3(b->a, b->b, step3(-0.3f, 0.3f, band));
            } else if (b->finish == MIRROR) {
                mirror = 0.82f;
                base = scale3(base, 0.4f);
            } else if (b->finish == GLASS) {
                /* Bent in at the front, out at the back; the rim reflects. */
                float cosine = -dot3(dir, n);
                int inside = cosine < 0.0f;
                vec3 m = inside ? scale3(n, -1.0f) : n;
                float ratio = inside ? 1.45f : 1.0f / 1.45f;
                float c1 = absf(cosine);
                float k = 1.0f - ratio * ratio * (1.0f - c1 * c1);
                if (!inside)
                    sum = add3(sum, mul3(weight, scale3(surroundings(s, reflect3(dir, n)),
                                                        0.04f + 0.8f * rim)));
                if (k > 0.0f)
                    dir = norm3(add3(scale3(dir, ratio), scale3(m, ratio * c1 - sqrtf(k))));
                else
                    dir = reflect3(dir, m);
                weight = scale3(weight, inside ? 0.97f : 0.93f * (1.0f - 0.7f * rim));
                from = add3(p, scale3(dir, 2e-3f));
                continue;
            }
        }
        float lit = maxf(0.0f, dot3(n, s->lamp));
        if (lit > 0.0f) {
            float block = 60.0f;
            int by = nearest(s, add3(p, scale3(n, 2e-3f)), s->lamp, &block);
            if (by >= 0)
                lit *= s->ball[by].finish == GLASS ? 0.6f : 0.0f;
        }
        /* Light is also lost in the corner under a ball. */
        float open = 1.0f;
        for (int i = 0; i < s->balls && hit == BALLS; i++) {
            vec3 d = sub3(s->ball[i].at, p);
            float q = s->ball[i].radius * s->ball[i].radius / dot3(d, d);
            open *= 1.0f - 0.75f * q * q;
        }
        vec3 c = mul3(base, add3(scale3(s->light, lit), scale3(s->ambient, 1.4f * open)));
        if (hit == BALLS)
            c = mix3(scale3(s->sky.horizon, s->dark), c, exp_f(-0.0022f * t * t));
        else if (lit > 0.0f) {
            float spot = pow_f(maxf(0.0f, dot3(reflect3(dir, n), s->lamp)), 70.0f);
            c = add3(c, scale3(s->light, 0.9f * spot));
        }
        sum = add3(sum, mul3(weight, scale3(c, 1.0f - mirror)));
        weight = scale3(weight, mirror);
        if (mirror < 0.03f)
            return sum;
        dir = reflect3(dir, n);
        from = add3(p, scale3(n, 2e-3f));
    }
    return add3(sum, mul3(weight, scale3(s->sky.horizon, 0.5f * s->dark)));
}

vec3 spheres_shade(void const *state, float u, float v)
{
    struct spheres const *s = state;
    vec3 dir = add3(s->fwd, add3(scale3(s->right, u * s->zoom), scale3(s->up, v * s->zoom)));
    return trace(s, s->eye, norm3(dir));
}
