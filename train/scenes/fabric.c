/* Fabric: threads over and under threads.
 *
 * A table of which thread lies on top (plain, twill, basket, herringbone), a round profile for
 * each thread, stripes or a tartan in its colours, and folds that bend the cloth and its light. */
#include "scenes.h"
#include "surface.h"

enum { SETT = 24 };

struct fabric {
    struct surface s;
    uint32_t seed;
    int weave;
    vec3 warp[SETT], weft[SETT]; /* the colour of each thread, repeating */
    float fold, fold_scale, threads, fuzz, round;
};

_Static_assert(sizeof(struct fabric) <= STATE_BYTES, "a scene's state fits");

void fabric_prepare(void *state, struct rng *r)
{
    struct fabric *f = state;
    surface_prepare(&f->s, r, 0.8f, 1.25f);
    f->seed = rng_bits(r);
    f->weave = rng_below(r, 5);
    vec3 dye[3];
    for (int i = 0; i < 3; i++)
        dye[i] = shared_colour(r);
    /* Plain cloth, stripes one way, or a tartan with the same order both ways. */
    int pattern = rng_below(r, 4);
    float close = rng_unit(r);
    if (pattern == 0) {
        dye[1] = mix3(dye[0], dye[1], 0.25f * close);
        dye[2] = dye[0];
    }
    int at = 0;
    while (at < SETT) {
        int run = 1 + rng_below(r, 7);
        int colour = rng_below(r, 3);
        for (int i = 0; i < run && at < SETT; i++, at++) {
            f->warp[at] = dye[colour];
            f->weft[at] = pattern == 1 ? dye[1] : dye[colour];
        }
    }
    if (pattern == 0)
        for (int i = 0; i < SETT; i++) {
            f->warp[i] = dye[0];
            f->weft[i] = dye[1];
        }
    float octave = rng_unit(r);
    f->threads = 5.0f * pow_f(7.0f, octave);
    f->fold = rng_chance(r, 0.6f) ? rng_range(r, 0.1f, 0.55f) : 0.02f;
    f->fold_scale = rng_range(r, 0.5f, 1.6f);
    f->fuzz = rng_range(r, 0.05f, 0.3f);
    f->round = rng_range(r, 0.35f, 0.9f);
}

static int warp_on_top(int weave, int i, int j)
{
    switch (weave) {
    case 0:
        return (i + j) & 1;
    case 1:
        return ((i + j) & 3) < 2;
    case 2:
        return ((i >> 1) + (j >> 1)) & 1;
    case 3: /* herringbone: the twill turns round every eight threads */
        return (((i & 8 ? -i : i) + j) & 3) < 2;
    default:
        return ((i * 2 + j) % 5 + 5) % 5 != 0;
    }
}

vec3 fabric_shade(void const *state, float u, float v)
{
    struct fabric const *f = state;
    float x;
    float y;
    surface_map(&f->s, u, v, &x, &y);
    /* The folds' height at three places gives their slope. */
    float k = f->fold_scale;
    float e = 0.04f;
    float wob = 0.4f * noise2(x * k * 0.7f, y * k * 0.7f, f->seed + 4u);
    float h0 = fbm2(x * k + wob, y * k * 0.45f, 2, f->seed);
    float hx = fbm2((x + e) * k + wob, y * k * 0.45f, 2, f->seed);
    float hy = fbm2(x * k + wob, (y + e) * k * 0.45f, 2, f->seed);
    float sx = (hx - h0) / e * f->fold;
    float sy = (hy - h0) / e * f->fold;
    float tx = (x + 0.35f * f->fold * h0) * f->threads;
    float ty = (y + 0.25f * f->fold * h0) * f->threads;
    int i = floor_i(tx);
    int j = floor_i(ty);
    float fx = tx - (float)i - 0.5f;
    float fy = ty - (float)j - 0.5f;
    int top = warp_on_top(f->weave, i, j);
    int n = top ? i : j;
    n = (n % SETT + SETT) % SETT;
    vec3 c = top ? f->warp[n] : f->weft[n];
    float across = top ? fx : fy;
    float along = top ? fy : fx;
    /* A thread is round across and dips under its neighbours along. */
    float body = sqrtf(maxf(0.0f, 1.0f - 3.6f * across * across));
    float dip = 1.0f - 1.6f * along * along;
    float light = mixf(1.0f, body * dip, f->round);
    light += 0.5f * f->round * across * (top ? f->s.light_x : f->s.light_y);
    float twist = noise2(across * 9.0f + along * 4.0f + (float)n, along * 5.0f + (float)(i + j * 7),
                         f->seed + 3u);
    light += f->fuzz * twist;
    float slope = 1.0f + 1.3f * (sx * f->s.light_x + sy * f->s.light_y);
    light *= clampf(slope, 0.15f, 1.9f);
    return mul3(scale3(c, 1.25f * maxf(light, 0.02f)), surface_light(&f->s, u, v));
}
