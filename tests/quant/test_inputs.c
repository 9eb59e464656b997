/* The model's entrance: the folded normalisation against integer arithmetic done here, and every
 * way of feeding a picture: same picture, same bytes out. */
#include "../target/session_testing.h"

#include "interp/interp.h"
#include "lower/lower.h"

typedef struct capture {
    const cyg_program *p;
    const char *name;
    int16_t data[256];
    int found;
} capture;

static cyg_status observe(cyg_ctx *ctx, void *user, cyg_value_id v, const cyg_kbuf *buf)
{
    capture *c = user;
    (void)ctx;
    if (strcmp(c->p->tensors[v.i].name, c->name) == 0) {
        memcpy(c->data, buf->data, sizeof c->data);
        c->found++;
    }
    return CYG_OK;
}

/* The patch embedding's result from the pixels, the float weights and the scales alone. */
static void test_fold(void **unused)
{
    (void)unused;
    static cyg_ctx ctx;
    static tiny_samples samples;
    cyg_ctx_init(&ctx);
    tiny_samples_init(&samples);
    cyg_quant_report report;
    cyg_graph *g = tiny_quantised(&ctx, true, &report), *f = tiny_graph();
    cyg_arena arena;
    cyg_arena_init(&arena);
    cyg_program p;
    OK(&ctx, cyg_lower_graph(&ctx, g, &arena, &p));
    capture got = {.p = &p, .name = "p"};
    const cyg_kbuf in = {
        .data = samples.pixels[2], .type = CYG_TYPE_U8, .rank = 4, .dims = {1, 3, 8, 8}};
    cyg_kbuf y;
    OK(&ctx, cyg_interp_run_program(&ctx, &p, true, &in, 1, observe, &got, &arena, &y));
    assert_int_equal(got.found, 1);
    const double s_y = (double)value_named(g, "p")->quant.scales[0];
    const float *w = value_named(f, "pw")->data, *b = value_named(f, "pb")->data;
    for (int o = 0; o < 16; o++) {
        float folded[12];
        double shift = (double)b[o], most = 0;
        for (int t = 0; t < 12; t++) { /* [2][2][3] */
            const double scaled = (double)w[o * 12 + t] / (double)tiny_std[t % 3];
            folded[t] = (float)scaled;
            shift -= scaled * (double)tiny_mean[t % 3];
            most = fmax(most, fabs((double)folded[t]));
        }
        const double s_w = (double)(float)(most / 127.0);
        const float m = (float)(s_w / s_y);
        for (int at = 0; at < 16; at++) {
            int64_t acc = (int64_t)rint((double)(float)shift / s_w);
            double real = (double)b[o];
            for (int t = 0; t < 12; t++) {
                const int yy = at / 4 * 2 + t / 6, xx = at % 4 * 2 + t / 3 % 2, c = t % 3;
                const int k = c * 64 + yy * 8 + xx;
                acc += (int64_t)rint((double)folded[t] / s_w) * samples.pixels[2][k];
                real += (double)w[o * 12 + t] * (double)samples.inputs[2][k];
            }
            const float scaled = (float)acc * m;
            const int expected = (int)rintf(scaled);
            assert_int_equal(got.data[at * 16 + o], expected);
            assert_true(fabs((double)expected * s_y - real) < 0.05); /* what the float model sees */
        }
    }
    cyg_arena_deinit(&arena);
    cyg_graph_destroy(f);
    cyg_graph_destroy(g);
}

/* ---- ways of feeding a picture ---- */

enum { WAYS = 8 };

typedef struct way {
    bool is_float, nhwc, swapped; /* types and layout of the input, order of its channels */
} way;

static way way_of(int number)
{
    return (way){number & 1, number & 2, number & 4};
}

static cyg_quant_options options_of(way w)
{
    cyg_quant_options options = tiny_options(true);
    options.normalize.swap_channels = w.swapped;
    return options;
}

/* What the package of g gives for the picture, fed in this way. The caller frees it. */
static void *feed(void **state, cyg_ctx *ctx, cyg_graph *g, way w, const uint8_t *pixels,
                  size_t *size)
{
    uint8_t bytes[TINY_PIXELS];
    float floats[TINY_PIXELS];
    OK(ctx, cyg_quant_bind_input(ctx, g, 0, w.is_float ? CYG_TYPE_F32 : CYG_TYPE_U8, w.nhwc));
    OK(ctx, cyg_graph_verify(ctx, g));
    for (int c = 0; c < 3; c++)
        for (int k = 0; k < 64; k++) {
            const int from = (w.swapped ? 2 - c : c) * 64 + k, to = w.nhwc ? k * 3 + c : c * 64 + k;
            bytes[to] = pixels[from];
            floats[to] = (float)pixels[from];
        }
    const char *path = scratch_path(state, "m.cyg");
    write_package(ctx, g, path);
    const void *inputs[] = {w.is_float ? (const void *)floats : bytes};
    return run_package(path, NULL, 1, inputs, size);
}

static void test_variants(void **state)
{
    static cyg_ctx ctx;
    static tiny_samples samples;
    cyg_ctx_init(&ctx);
    tiny_samples_init(&samples);
    void *first = NULL;
    for (int variant = 0; variant < WAYS; variant++) {
        const cyg_quant_options options = options_of(way_of(variant));
        cyg_quant_report report;
        cyg_graph *g = tiny_quantised_as(&ctx, &options, &report);
        size_t size;
        void *out = feed(state, &ctx, g, way_of(variant), samples.pixels[4], &size);
        /* The name belongs to what the runtime feeds; the tables of names know it. */
        assert_int_equal(cyg_graph_find_value(g, "image").i, g->inputs[0].i);
        assert_int_equal(cyg_graph_find_value(g, "logits").i, g->outputs[0].i);
        assert_int_equal(size, sizeof(float) * TINY_CLASSES);
        if (first == NULL) {
            first = out;
        } else {
            assert_memory_equal(out, first, size);
            free(out);
        }
        cyg_graph_destroy(g);
    }
    free(first);
}

/* A padded stem, or two of them: pixels all the way, padded with the means; the same bytes however
 * they are fed, and what the float model makes of its zeros at the border, too. */
static void test_padded(void **state)
{
    static cyg_ctx ctx;
    static tiny_samples samples;
    cyg_ctx_init(&ctx);
    tiny_samples_init(&samples);
    static const char *const texts[] = {
        "graph \"g\" opset 18\ninput %image: f32[1,3,8,8]\n"
        "const %w: f32[4,3,3,3] = #0000000000000000 432\n"
        "%t: f32[1,8,8,3] = transpose(%image) {perm = [0, 2, 3, 1]} \"turn\"\n"
        "%y: f32[1,8,5,4] = conv2d(%t, %w) {strides = [1, 2], pads = [1, 0, 1, 4]} \"stem\"\n"
        "output %y\n",
        "graph \"g\" opset 18\ninput %image: f32[1,3,8,8]\n"
        "const %w: f32[4,3,3,3] = #0000000000000000 432\n"
        "%y: f32[1,8,5,4] = conv2d(%image, %w) "
        "{strides = [1, 2], pads = [1, 0, 1, 4], x_nchw = 1} \"stem\"\noutput %y\n",
        "graph \"g\" opset 18\ninput %image: f32[1,3,8,8]\n"
        "const %w: f32[4,3,3,3] = #0000000000000000 432\n"
        "%t: f32[1,8,8,3] = transpose(%image) {perm = [0, 2, 3, 1]} \"turn\"\n"
        "%a: f32[1,8,5,4] = conv2d(%t, %w) {strides = [1, 2], pads = [1, 0, 1, 4]} \"one\"\n"
        "%b: f32[1,8,5,4] = conv2d(%image, %w) "
        "{strides = [1, 2], pads = [1, 0, 1, 4], x_nchw = 1} \"two\"\n"
        "%y: f32[1,8,5,4] = add(%a, %b) \"sum\"\noutput %y\n"};
    for (int variant = 0; variant < 3 * WAYS; variant++) {
        const char *const text = texts[variant / WAYS];
        const cyg_quant_options options = options_of(way_of(variant));
        cyg_quant_report report;
        cyg_graph *g = parse_graph(text), *f = parse_graph(text);
        fill_weights(g, 13);
        fill_weights(f, 13);
        OK(&ctx, cyg_quantise(&ctx, g, &samples.source, &options, &report));
        assert_int_equal(report.float_nodes, 0);
        size_t size;
        float *out = feed(state, &ctx, g, way_of(variant), samples.pixels[3], &size);
        assert_int_equal(size, 160 * sizeof *out);
        const float *w = value_named(f, "w")->data;
        double error = 0, signal = 0;
        for (int at = 0; at < 160; at++) {
            double real = 0;
            for (int t = 0; t < 27; t++) {
                const int row = at / 20 - 1 + t / 9, column = at / 4 % 5 * 2 + t / 3 % 3;
                if (row >= 0 && row < 8 && column < 8)
                    real += (double)w[at % 4 * 27 + t] *
                            (double)samples.inputs[3][t % 3 * 64 + row * 8 + column];
            }
            real *= variant < 2 * WAYS ? 1 : 2;
            error = fmax(error, fabs(real - (double)out[at]));
            signal = fmax(signal, fabs(real));
        }
        if (error > 0.02 * signal)
            fail_msg("variant %d: error %g of %g", variant, error, signal);
        free(out);
        cyg_graph_destroy(f);
        cyg_graph_destroy(g);
    }
}

/* Where no convolution reads the pixels the normalisation stands in front, in floats. */
static void test_spelled_out(void **state)
{
    static cyg_ctx ctx;
    static tiny_samples samples;
    cyg_ctx_init(&ctx);
    tiny_samples_init(&samples);
    static const char *const text = "graph \"g\" opset 18\ninput %image: f32[1,3,8,8]\n"
                                    "const %shape: s64[2] = [1, 192]\n"
                                    "const %w: f32[4,192] = #0000000000000000 3072\n"
                                    "%f: f32[1,192] = reshape(%image, %shape) \"flat\"\n"
                                    "%y: f32[1,4] = linear(%f, %w) \"fc\"\noutput %y\n";
    float *first = NULL;
    for (int variant = 0; variant < WAYS; variant++) {
        const cyg_quant_options options = options_of(way_of(variant));
        cyg_quant_report report;
        cyg_graph *g = parse_graph(text);
        fill_weights(g, 11);
        OK(&ctx, cyg_quantise(&ctx, g, &samples.source, &options, &report));
        size_t size;
        float *out = feed(state, &ctx, g, way_of(variant), samples.pixels[1], &size);
        if (first == NULL) {
            cyg_graph *f = parse_graph(text);
            fill_weights(f, 11);
            const float *fw = value_named(f, "w")->data;
            for (int o = 0; o < 4; o++) {
                double real = 0;
                for (int k = 0; k < 192; k++)
                    real += (double)fw[o * 192 + k] * (double)samples.inputs[1][k];
                assert_true(fabs(real - (double)out[o]) < 0.1);
            }
            cyg_graph_destroy(f);
            first = out;
        } else {
            assert_memory_equal(out, first, size);
            free(out);
        }
        cyg_graph_destroy(g);
    }
    free(first);
}

static void test_refusals(void **unused)
{
    (void)unused;
    static cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    cyg_quant_options options = tiny_options(true);
    cyg_quant_report report;
    cyg_graph *g = tiny_quantised_as(&ctx, &options, &report);
    assert_int_equal(cyg_quant_bind_input(&ctx, g, 0, CYG_TYPE_S16, false), CYG_E_CONFIG);
    assert_true(ctx_says(&ctx, "src_dtype s16"));
    cyg_graph_destroy(g);
    static tiny_samples samples;
    tiny_samples_init(&samples);
    options.normalize.channels = 4;
    cyg_ctx_init(&ctx);
    g = tiny_graph();
    assert_int_equal(cyg_quantise(&ctx, g, &samples.source, &options, &report), CYG_E_CONFIG);
    assert_true(ctx_says(&ctx, "mean and std do not apply"));
    cyg_graph_destroy(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fold),
        cmocka_unit_test_setup_teardown(test_variants, setup_scratch, teardown_scratch),
        cmocka_unit_test_setup_teardown(test_padded, setup_scratch, teardown_scratch),
        cmocka_unit_test_setup_teardown(test_spelled_out, setup_scratch, teardown_scratch),
        cmocka_unit_test(test_refusals),
    };
    return CYG_TEST_MAIN(tests);
}
