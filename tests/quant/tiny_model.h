/* A transformer of one block, small enough for a test and with everything in it that the scheme
 * treats on its own: patch embedding, residual stream, layer normalisation, heads, GELU, mean,
 * classifier. Weights and samples come from a fixed generator. */
#ifndef CYG_TESTS_TINY_MODEL_H
#define CYG_TESTS_TINY_MODEL_H

#include "../ir/ir_testing.h"

#include <math.h>

#include "base/samples.h"
#include "quant/quant.h"

typedef struct rng {
    uint64_t state;
} rng;

static inline uint32_t rng_next(rng *r)
{
    r->state = r->state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(r->state >> 32);
}

/* Uniform in [-1, 1). */
static inline float rng_unit(rng *r)
{
    return (float)((double)rng_next(r) / 2147483648.0 - 1.0);
}

static inline float *random_floats(rng *r, size_t count, float scale)
{
    float *x = malloc(sizeof *x * (count + 1));
    assert_non_null(x);
    for (size_t i = 0; i < count; i++)
        x[i] = scale * rng_unit(r);
    return x;
}

/* A random f32 constant of 1 to 4 dimensions (0 = none). */
static inline cyg_value_id random_const(cyg_graph *g, rng *r, const char *name, float centre,
                                        float scale, int rank, const int64_t *dims)
{
    int64_t count = 1;
    for (int i = 0; i < rank; i++)
        count *= dims[i];
    float *x = random_floats(r, (size_t)count, scale);
    for (int64_t i = 0; i < count; i++)
        x[i] += centre;
    const cyg_value_id v = cyg_graph_add_const_copy(g, name, CYG_TYPE_F32, rank, dims, x,
                                                    (size_t)count * sizeof(float));
    free(x);
    assert_false(cyg_value_is_none(v));
    return v;
}

enum { TINY_PIXELS = 3 * 8 * 8, TINY_CLASSES = 5 };

static const char *const tiny_text =
    "graph \"tiny\" opset 18\n"
    "input %image: f32[1,3,8,8]\n"
    "const %shape: s64[3] = [1, 16, 16]\n"
    "const %axes: s64[1] = [1]\n"
    "const %pw: f32[16,2,2,3] = #0000000000000000 768\n"
    "const %pb: f32[16] = #0000000000000000 64\n"
    "const %g1: f32[16] = #0000000000000000 64\n"
    "const %b1: f32[16] = #0000000000000000 64\n"
    "const %wqkv: f32[48,16] = #0000000000000000 3072\n"
    "const %bqkv: f32[48] = #0000000000000000 192\n"
    "const %table: f32[1,2,16,16] = #0000000000000000 2048\n"
    "const %wo: f32[16,16] = #0000000000000000 1024\n"
    "const %bo: f32[16] = #0000000000000000 64\n"
    "const %w1: f32[32,16] = #0000000000000000 2048\n"
    "const %c1: f32[32] = #0000000000000000 128\n"
    "const %w2: f32[16,32] = #0000000000000000 2048\n"
    "const %c2: f32[16] = #0000000000000000 64\n"
    "const %wh: f32[5,16] = #0000000000000000 320\n"
    "const %bh: f32[5] = [0.1, -0.1, 0.2, 0, 0.05]\n"
    "%p: f32[1,4,4,16] = conv2d(%image, %pw, %pb) {strides = [2, 2], x_nchw = 1} \"patch\"\n"
    "%t: f32[1,16,16] = reshape(%p, %shape) \"tokens\"\n"
    "%n1: f32[1,16,16] = layer_normalization(%t, %g1, %b1) {axis = -1} \"ln1\"\n"
    "%qkv: f32[1,16,48] = linear(%n1, %wqkv, %bqkv) \"qkv\"\n"
    "%a: f32[1,16,16] = attention(%qkv, %qkv, %qkv, %table) {heads = 2, head_dim = 8, tokens = 16, "
    "scale = 0.35, k_offset = 16, v_offset = 32} \"attention\"\n"
    "%r1: f32[1,16,16] = linear(%a, %wo, %bo, %t) \"proj\"\n"
    "%n2: f32[1,16,16] = layer_normalization(%r1, %g1, %b1) {axis = -1} \"ln2\"\n"
    "%h: f32[1,16,32] = linear(%n2, %w1, %c1) {act = 2} \"fc1\"\n"
    "%r2: f32[1,16,16] = linear(%h, %w2, %c2, %r1) \"fc2\"\n"
    "%n3: f32[1,16,16] = layer_normalization(%r2, %g1, %b1) {axis = -1} \"ln3\"\n"
    "%m: f32[1,16] = reduce_mean(%n3, %axes) {keepdims = 0} \"mean\"\n"
    "%logits: f32[1,5] = linear(%m, %wh, %bh) \"head\"\n"
    "output %logits\n";

/* Constants that the text gives as zeros get random contents. */
static inline void fill_weights(cyg_graph *g, uint64_t seed)
{
    rng r = {seed};
    for (uint32_t i = 0; i < g->value_count; i++) {
        cyg_value *v = &g->values[i];
        if (!v->is_const || v->type != CYG_TYPE_F32 || cyg_value_elements(v) <= 16) {
            const bool gamma = v->is_const && v->name[0] == 'g',
                       other = v->is_const && v->type == CYG_TYPE_F32 && v->name[0] != 'g' &&
                               v->bytes == 64;
            if (!gamma && !other)
                continue;
        }
        const int64_t count = cyg_value_elements(v);
        const float centre = v->name[0] == 'g' ? 1.0f : 0.0f;
        float *x = cyg_arena_alloc(&g->arena, v->bytes, 64);
        assert_non_null(x);
        const float scale = v->rank > 1 ? 1.5f / sqrtf((float)(count / v->dims[0])) : 0.3f;
        for (int64_t k = 0; k < count; k++)
            x[k] = centre + scale * rng_unit(&r);
        v->data = x;
    }
}

static inline cyg_graph *tiny_graph(void)
{
    cyg_graph *g = parse_graph(tiny_text);
    fill_weights(g, 7);
    return g;
}

/* Samples: pictures of smooth gradients and noise, as 8-bit pixels and as the normalised floats
 * that the model sees. */
enum { TINY_SAMPLES = 8 };
typedef struct tiny_samples {
    uint8_t pixels[TINY_SAMPLES][TINY_PIXELS]; /* [3][8][8] */
    float inputs[TINY_SAMPLES][TINY_PIXELS];
    cyg_sample_source source;
} tiny_samples;

static const float tiny_mean[3] = {123.675f, 116.28f, 103.53f};
static const float tiny_std[3] = {58.395f, 57.12f, 57.375f};

static inline cyg_status tiny_get(cyg_ctx *ctx, void *self, size_t i, cyg_sample_tensor *out)
{
    (void)ctx;
    out[0] = (cyg_sample_tensor){((tiny_samples *)self)->inputs[i], TINY_PIXELS};
    return CYG_OK;
}

static inline const char *tiny_name(void *self, size_t i)
{
    (void)self;
    (void)i;
    return "sample";
}

static inline void tiny_samples_init(tiny_samples *s)
{
    rng r = {99};
    for (int i = 0; i < TINY_SAMPLES; i++)
        for (int k = 0; k < TINY_PIXELS; k++) {
            const int c = k / 64, y = k / 8 % 8, x = k % 8;
            const int p = 16 * x + 12 * y * (i % 3) + (int)(rng_next(&r) % 96) + 5 * c;
            s->pixels[i][k] = (uint8_t)(p > 255 ? 255 : p);
            s->inputs[i][k] = ((float)s->pixels[i][k] - tiny_mean[c]) / tiny_std[c];
        }
    s->source = (cyg_sample_source){s, TINY_SAMPLES, 1, tiny_get, tiny_name};
}

static inline cyg_quant_options tiny_options(bool with_pixels)
{
    cyg_quant_options o = {.transformer_level = 1};
    o.normalize = (cyg_normalize){.enabled = with_pixels, .channels = 3};
    memcpy(o.normalize.mean, tiny_mean, sizeof tiny_mean);
    memcpy(o.normalize.std, tiny_std, sizeof tiny_std);
    return o;
}

#define OK(ctx, expr)                                                                              \
    do {                                                                                           \
        if ((expr) != CYG_OK)                                                                      \
            fail_msg("%s / %s", cyg_ctx_message((ctx), 0),                                         \
                     cyg_ctx_message_count(ctx) > 1 ? cyg_ctx_message((ctx), 1) : "");             \
    } while (0)

/* Tiny, calibrated and quantised. */
static inline cyg_graph *tiny_quantised_as(cyg_ctx *ctx, const cyg_quant_options *options,
                                           cyg_quant_report *report)
{
    static tiny_samples samples;
    tiny_samples_init(&samples);
    cyg_graph *g = tiny_graph();
    OK(ctx, cyg_quantise(ctx, g, &samples.source, options, report));
    OK(ctx, cyg_graph_verify(ctx, g));
    return g;
}

static inline cyg_graph *tiny_quantised(cyg_ctx *ctx, bool with_pixels, cyg_quant_report *report)
{
    const cyg_quant_options options = tiny_options(with_pixels);
    return tiny_quantised_as(ctx, &options, report);
}

static inline const cyg_value *value_named(const cyg_graph *g, const char *name)
{
    const cyg_value_id v = cyg_graph_find_value(g, name);
    if (cyg_value_is_none(v))
        fail_msg("no value %s", name);
    return cyg_val(g, v);
}

static inline const cyg_node *node_named(const cyg_graph *g, const char *name)
{
    const cyg_node_id n = cyg_graph_find_node(g, name);
    if (cyg_node_is_none(n))
        fail_msg("no node %s", name);
    return cyg_nod(g, n);
}

#endif
