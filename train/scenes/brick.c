/* Brick: courses of stones in mortar.
 *
 * Running bond, stack bond, a shifted bond and rough courses of uneven height.  A stone's
 * rounded edge catches the lamp on one side and loses it on the other, which is most of what
 * makes a wall look like one.  Stains and paint run over stones and mortar alike. */
#include "scenes.h"
#include "surface.h"

struct brick {
    struct surface s;
    uint32_t seed;
    vec3 stone, other, mortar, paint;
    float width, height, joint, round, shift, vary, grit, relief, painted, stain;
    int uneven;
};

_Static_assert(sizeof(struct brick) <= STATE_BYTES, "a scene's state fits");

void brick_prepare(void *state, struct rng *r)
{
    static float const shifts[] = {0.5f, 0.5f, 0.33f, 0.0f};
    struct brick *b = state;
    surface_prepare(&b->s, r, 1.0f, 4.2f);
    b->seed = rng_bits(r);
    vec3 any = shared_colour(r);
    b->stone = rng_chance(r, 0.5f) ? v3(0.46f, 0.17f, 0.10f) : any;
    vec3 second = shared_colour(r);
    b->other = mix3(b->stone, second, 0.35f);
    float grey = rng_range(r, 0.15f, 0.62f);
    b->mortar = v3(grey, grey * 0.97f, grey * 0.9f);
    b->paint = shared_colour(r);
    b->width = rng_range(r, 0.75f, 1.5f);
    b->height = rng_range(r, 0.3f, 0.6f);
    b->joint = rng_range(r, 0.02f, 0.06f);
    b->round = rng_range(r, 0.02f, 0.08f);
    int bond = rng_below(r, 4);
    b->shift = shifts[bond];
    b->uneven = rng_chance(r, 0.25f);
    b->vary = rng_range(r, 0.1f, 0.5f);
    b->grit = rng_range(r, 0.08f, 0.3f);
    b->relief = rng_range(r, 0.25f, 0.9f);
    b->painted = rng_chance(r, 0.25f) ? rng_range(r, 0.5f, 0.95f) : 0.0f;
    b->stain = rng_range(r, 0.0f, 0.5f);
}

vec3 brick_shade(void const *state, float u, float v)
{
    struct brick const *b = state;
    float x;
    float y;
    surface_map(&b->s, u, v, &x, &y);
    float grit = fbm2(x * 9.0f, y * 9.0f, 3, b->seed + 2u);
    float ex = x + 0.025f * grit;
    float ey = y + 0.025f * noise2(x * 5.0f, y * 5.0f, b->seed + 6u);
    float ry = ey / b->height;
    if (b->uneven)
        ry += 0.35f * sin_turn(ry * 0.31f);
    int row = floor_i(ry);
    float fy = (ry - (float)row) * b->height;
    float off = b->shift * (float)(row & 1);
    float wide = b->width;
    if (b->uneven) {
        off = unit_of(hash2(row, 3, b->seed));
        wide *= 0.7f + 0.7f * unit_of(hash2(row, 4, b->seed));
    }
    float rx = ex / wide + off;
    int col = floor_i(rx);
    float fx = (rx - (float)col) * wide;
    uint32_t h = hash2(row, col, b->seed);

    /* Signed distance to the stone's rounded outline: negative inside. */
    float hx = wide * 0.5f;
    float hy = b->height * 0.5f;
    float qx = absf(fx - hx) - (hx - b->joint - b->round);
    float qy = absf(fy - hy) - (hy - b->joint - b->round);
    float ox = maxf(qx, 0.0f);
    float oy = maxf(qy, 0.0f);
    float d = sqrtf(ox * ox + oy * oy) + minf(maxf(qx, qy), 0.0f) - b->round;

    vec3 c = mix3(b->stone, b->other, unit_of(h * 0x9e3779b1u));
    c = scale3(c, 1.0f + b->vary * (unit_of(h) - 0.5f) * 1.6f + b->grit * grit * 1.6f);
    float inside = step3(0.012f, -0.012f, d);
    vec3 joint = scale3(b->mortar, 1.0f + 0.5f * b->grit * grit);
    c = mix3(joint, c, inside);
    /* Edge relief: lit where the outline faces the lamp, dark where it turns away. */
    float slope = step3(-0.075f, -0.005f, d) * step3(0.03f, -0.005f, d);
    float nx = qx > qy ? (fx > hx ? 1.0f : -1.0f) : 0.0f;
    float ny = qx > qy ? 0.0f : (fy > hy ? 1.0f : -1.0f);
    float facing = nx * b->s.light_x + ny * b->s.light_y;
    c = scale3(c, 1.0f + b->relief * slope * facing);
    float shadow = step3(0.03f, 0.0f, d) * (1.0f - inside) * maxf(0.0f, -facing);
    c = scale3(c, 1.0f - 0.6f * b->relief * shadow);
    float blot = fbm2(x * 0.7f, y * 0.7f, 3, b->seed + 12u);
    if (b->painted > 0.0f)
        c = mix3(c, scale3(b->paint, 0.9f + 0.25f * inside + 0.1f * grit),
                 b->painted * step3(-0.3f, 0.0f, blot + 0.25f * grit));
    c = scale3(c, 1.0f - b->stain * step3(-0.1f, 0.5f, blot));
    return mul3(c, surface_light(&b->s, u, v));
}
