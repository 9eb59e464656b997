/* From a scene to the bytes of a photograph.
 *
 * Every pixel is shaded once at its centre; where neighbours differ it is shaded three times
 * more, so that edges are smooth and even areas are cheap.  Then the camera: framing, exposure,
 * a colour cast, haze, lens blur, falling-off corners and the noise of its sensor, each drawn
 * from the picture's own stream of chance.  Bytes come out by truncation after adding a half:
 * no rounding mode, no table, nothing that another machine might do differently. */
#include <stdlib.h>

#include "clutter.h"
#include "scenes.h"

struct camera {
    float cos_a, sin_a, zoom, pan_u, pan_v, mirror;
    vec3 cast;
    float exposure, contrast, saturation, haze, vignette, blur, noise, chroma;
    vec3 haze_colour;
    uint32_t seed;
};

int picture_kind(uint64_t index)
{
    return (int)(index % SCENE_KINDS);
}

static void camera_prepare(struct camera *c, struct rng *r)
{
    float roll = rng_range(r, -0.025f, 0.025f);
    c->cos_a = cos_turn(roll);
    c->sin_a = sin_turn(roll);
    c->zoom = rng_range(r, 0.7f, 1.1f);
    c->pan_u = rng_range(r, -0.15f, 0.15f);
    c->pan_v = rng_range(r, -0.1f, 0.1f);
    c->mirror = rng_chance(r, 0.5f) ? -1.0f : 1.0f;
    float warm = rng_range(r, -0.12f, 0.12f);
    float green = rng_range(r, -0.05f, 0.05f);
    c->cast = v3(1.0f + warm, 1.0f + green, 1.0f - warm);
    float stops = rng_range(r, -0.6f, 0.6f);
    c->exposure = exp2_f(stops);
    c->contrast = rng_range(r, 0.9f, 1.3f);
    c->saturation = rng_chance(r, 0.04f) ? rng_range(r, 0.0f, 0.3f) : rng_range(r, 0.75f, 1.35f);
    c->haze = rng_chance(r, 0.12f) ? rng_range(r, 0.1f, 0.3f) : 0.0f;
    float grey = rng_range(r, 0.2f, 0.7f);
    c->haze_colour = v3(grey * 0.97f, grey, grey * 1.05f);
    c->vignette = rng_range(r, 0.0f, 0.45f);
    c->blur = rng_chance(r, 0.2f) ? rng_range(r, 0.6f, 1.8f) : rng_range(r, 0.0f, 0.5f);
    float grain = rng_unit(r);
    c->noise = 0.004f + 0.05f * grain * grain * grain;
    c->chroma = rng_range(r, 0.2f, 0.9f);
    c->seed = rng_bits(r);
}

struct view {
    struct camera camera;
    struct clutter clutter;
    struct scene_kind const *kind;
    union scene_state state;
    int size;
};

static vec3 look(struct view const *w, float px, float py)
{
    struct camera const *c = &w->camera;
    float u = (2.0f * px / (float)w->size - 1.0f) * c->mirror;
    float v = 1.0f - 2.0f * py / (float)w->size;
    float x = (c->cos_a * u - c->sin_a * v) * c->zoom + c->pan_u;
    float y = (c->sin_a * u + c->cos_a * v) * c->zoom + c->pan_v;
    vec3 p = clutter_shade(&w->clutter, w->kind, &w->state, x, y);
    return v3(clampf(p.x, 0.0f, 6.0f), clampf(p.y, 0.0f, 6.0f), clampf(p.z, 0.0f, 6.0f));
}

/* How bright a point will look, for finding edges. */
static float apparent(vec3 c)
{
    return sqrtf(minf(0.3f * c.x + 0.55f * c.y + 0.15f * c.z, 1.5f));
}

static void shade_all(struct view const *w, vec3 *out, vec3 *plain)
{
    /* A triangle round the centre, turned so that no two samples share a row or a column. */
    static float const du[3] = {0.36f, -0.12f, -0.30f};
    static float const dv[3] = {0.12f, -0.36f, 0.30f};
    int n = w->size;
    for (int y = 0; y < n; y++)
        for (int x = 0; x < n; x++)
            plain[y * n + x] = look(w, (float)x + 0.5f, (float)y + 0.5f);
    for (int y = 0; y < n; y++) {
        for (int x = 0; x < n; x++) {
            vec3 c = plain[y * n + x];
            float here = apparent(c);
            float differ = 0.0f;
            if (x > 0)
                differ = maxf(differ, absf(here - apparent(plain[y * n + x - 1])));
            if (x + 1 < n)
                differ = maxf(differ, absf(here - apparent(plain[y * n + x + 1])));
            if (y > 0)
                differ = maxf(differ, absf(here - apparent(plain[(y - 1) * n + x])));
            if (y + 1 < n)
                differ = maxf(differ, absf(here - apparent(plain[(y + 1) * n + x])));
            if (differ > 0.065f) {
                for (int k = 0; k < 3; k++)
                    c = add3(c, look(w, (float)x + 0.5f + du[k], (float)y + 0.5f + dv[k]));
                c = scale3(c, 0.25f);
            }
            out[y * n + x] = c;
        }
    }
}

enum { BLUR_TAPS = 64 };

/* One direction of a Gaussian; edges repeat. */
static void blur_lines(vec3 const *in, vec3 *out, int n, int step, int stride, float sigma)
{
    float tap[BLUR_TAPS];
    int reach = (int)(sigma * 3.0f) + 1;
    if (reach >= BLUR_TAPS)
        reach = BLUR_TAPS - 1;
    float sum = 0.0f;
    for (int k = 0; k <= reach; k++) {
        tap[k] = exp_f(-0.5f * (float)(k * k) / (sigma * sigma));
        sum += k ? 2.0f * tap[k] : tap[k];
    }
    for (int line = 0; line < n; line++) {
        for (int i = 0; i < n; i++) {
            vec3 c = scale3(in[line * stride + i * step], tap[0]);
            for (int k = 1; k <= reach; k++) {
                int lo = i - k < 0 ? 0 : i - k;
                int hi = i + k >= n ? n - 1 : i + k;
                c = add3(c,
                         scale3(add3(in[line * stride + lo * step], in[line * stride + hi * step]),
                                tap[k]));
            }
            out[line * stride + i * step] = scale3(c, 1.0f / sum);
        }
    }
}

/* Four bytes of a hash summed: close enough to a normal deviate of variance one. */
static float deviate(uint32_t h)
{
    uint32_t sum = (h & 255u) + (h >> 8 & 255u) + (h >> 16 & 255u) + (h >> 24);
    return ((float)sum - 510.0f) * (1.0f / 147.8f);
}

static unsigned char to_byte(float x)
{
    return (unsigned char)(int)(clampf(x, 0.0f, 1.0f) * 255.0f + 0.5f);
}

/* A soft shoulder, then the square root as the display's curve. */
static float develop(float x)
{
    x = maxf(x, 0.0f);
    x = x * (1.0f + 0.12f * x) / (1.0f + 0.45f * x);
    return sqrtf(x);
}

static void develop_all(struct camera const *c, vec3 const *in, int n, unsigned char *rgb)
{
    for (int y = 0; y < n; y++) {
        for (int x = 0; x < n; x++) {
            vec3 p = in[y * n + x];
            p = scale3(mul3(p, c->cast), c->exposure);
            float grey = 0.3f * p.x + 0.55f * p.y + 0.15f * p.z;
            p = mix3(v3(grey, grey, grey), p, c->saturation);
            p = mix3(p, c->haze_colour, c->haze);
            float u = 2.0f * ((float)x + 0.5f) / (float)n - 1.0f;
            float v = 2.0f * ((float)y + 0.5f) / (float)n - 1.0f;
            float q = u * u + v * v;
            p = scale3(p, 1.0f - c->vignette * 0.25f * q * q);
            float ch[3] = {develop(p.x), develop(p.y), develop(p.z)};
            float common = deviate(hash3(x, y, 3, c->seed));
            for (int k = 0; k < 3; k++) {
                float own = deviate(hash3(x, y, k, c->seed));
                float value = 0.5f + (ch[k] - 0.5f) * c->contrast;
                value += c->noise * mixf(common, own, c->chroma);
                rgb[(y * n + x) * 3 + k] = to_byte(value);
            }
        }
    }
}

int picture_draw(uint64_t seed, uint64_t index, int size, unsigned char *rgb)
{
    size_t pixels = (size_t)size * (size_t)size;
    struct view *w = calloc(1, sizeof *w);
    vec3 *a = malloc(pixels * sizeof *a);
    vec3 *b = malloc(pixels * sizeof *b);
    if (w && a && b) {
        int kind = picture_kind(index);
        struct rng scene = rng_for(seed, index, 1);
        struct rng before = rng_for(seed, index, 2);
        struct rng lens = rng_for(seed, index, 3);
        w->kind = &scene_kinds[kind];
        w->size = size;
        w->kind->prepare(&w->state, &scene);
        clutter_prepare(&w->clutter, &before, kind);
        camera_prepare(&w->camera, &lens);
        shade_all(w, a, b);
        float sigma = w->camera.blur * (float)size / 224.0f;
        if (sigma > 0.25f) {
            blur_lines(a, b, size, 1, size, sigma);
            blur_lines(b, a, size, size, 1, sigma);
        }
        develop_all(&w->camera, a, size, rgb);
    }
    int ok = w && a && b;
    free(w);
    free(a);
    free(b);
    return ok;
}
