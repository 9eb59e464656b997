/* Corrections: each makes a model better that has the fault it is for, says what it kept, and
 * leaves everything alone when it is off. The faults are put into the tiny transformer. */
#include "tiny_runs.h"

/* A constant of the graph, to be changed in place. */
static float *constant(cyg_graph *g, const char *name)
{
    cyg_value *v = cyg_val(g, cyg_graph_find_value(g, name));
    float *x = cyg_arena_memdup(&g->arena, v->data, v->bytes);
    assert_non_null(x);
    v->data = x;
    return x;
}

/* Channels of every LayerNorm that are forty times as wide, and weights that are as much smaller:
 * what one scale for all channels is worst at. */
static void widen_channels(cyg_graph *g)
{
    static const struct {
        const char *weights;
        int outputs;
    } readers[] = {{"wqkv", 48}, {"w1", 32}};
    float *gamma = constant(g, "g1"), *beta = constant(g, "b1");
    for (int c = 3; c < 16; c += 9) {
        gamma[c] *= 40.0f;
        beta[c] *= 40.0f;
        for (size_t i = 0; i < CYG_COUNT(readers); i++) {
            float *w = constant(g, readers[i].weights);
            for (int n = 0; n < readers[i].outputs; n++)
                w[n * 16 + c] /= 40.0f;
        }
    }
}

/* Channels that are narrow and whose weights are so much larger: the steps of all weights are
 * theirs. */
static void narrow_columns(cyg_graph *g)
{
    float *gamma = constant(g, "g1"), *beta = constant(g, "b1"), *qkv = constant(g, "wqkv"),
          *w1 = constant(g, "w1");
    for (int c = 3; c < 16; c += 9) {
        gamma[c] /= 40.0f;
        beta[c] /= 40.0f;
        for (int n = 0; n < 48; n++)
            qkv[n * 16 + c] *= 40.0f;
        for (int n = 0; n < 32; n++)
            w1[n * 16 + c] *= 40.0f;
    }
}

static cyg_graph *prepared(void (*fault)(cyg_graph *g))
{
    cyg_graph *g = tiny_graph();
    if (fault != NULL)
        fault(g);
    return g;
}

static cyg_graph *quantised(cyg_ctx *ctx, void (*fault)(cyg_graph *g), tiny_samples *samples,
                            const cyg_quant_options *options, cyg_quant_report *report)
{
    cyg_graph *g = prepared(fault);
    OK(ctx, cyg_quantise(ctx, g, &samples->source, options, report));
    OK(ctx, cyg_graph_verify(ctx, g));
    return g;
}

/* SQNR of the model with the fault under these options. `kept` must be among the layers that a
 * correction was kept on (NULL: whatever). */
static double sqnr(void (*fault)(cyg_graph *g), const cyg_quant_options *options, const char *kept,
                   cyg_quant_report *out_report)
{
    static cyg_ctx ctx;
    static tiny_samples samples;
    cyg_ctx_init(&ctx);
    tiny_samples_init(&samples);
    cyg_graph *f = prepared(fault), *g = quantised(&ctx, fault, &samples, options, out_report);
    const double db = tiny_sqnr(&ctx, f, g, &samples);
    bool found = kept == NULL;
    for (size_t i = 0; i < out_report->gain_count; i++) {
        const cyg_quant_gain *gain = &out_report->gains[i];
        if (options->smooth != CYG_SMOOTH_STATED)
            assert_true(gain->after < gain->before);
        assert_false(cyg_node_is_none(cyg_graph_find_node(g, gain->node)));
        found = found || (kept != NULL && strcmp(gain->node, kept) == 0);
    }
    assert_true(found);
    cyg_graph_destroy(f);
    cyg_graph_destroy(g);
    return db;
}

static void expect_better(double now, double before, double by)
{
    if (!(now > before + by))
        fail_msg("SQNR is %.1f dB, was %.1f, expected %.1f more", now, before, by);
}

static void test_equalise(void **unused)
{
    (void)unused;
    cyg_quant_options options = tiny_options(true);
    cyg_quant_report report;
    const double before = sqnr(widen_channels, &options, NULL, &report);
    assert_int_equal(report.gain_count, 0);
    options.smooth = CYG_SMOOTH_SEARCH;
    expect_better(sqnr(widen_channels, &options, NULL, &report), before, 3.0);
    assert_int_equal(report.gain_count, 2); /* n1 and n2; a mean reads n3 */
    options.smooth = CYG_SMOOTH_STATED;
    options.smooth_strength = 0.6f;
    options.smooth_threshold = 0.2f;
    expect_better(sqnr(widen_channels, &options, NULL, &report), before, 3.0);
    options.smooth_threshold = 0.0f; /* nobody takes part */
    assert_true(fabs(sqnr(widen_channels, &options, NULL, &report) - before) < 1e-9);
    assert_int_equal(report.gain_count, 0);
}

/* Every row of the weights behind the LayerNorms far off along 1 / gamma, where nothing of a
 * LayerNorm's result lies: only the bias feels it. */
static void push_rows(cyg_graph *g)
{
    float *gamma = constant(g, "g1"), *qkv = constant(g, "wqkv"), *w1 = constant(g, "w1");
    for (int k = 0; k < 16; k++)
        gamma[k] = (k % 3 == 0 ? -1.0f : 1.0f) * (0.7f + 0.05f * (float)k);
    for (int i = 0; i < 48 * 16; i++)
        qkv[i] += (i / 16 % 2 == 0 ? 6.0f : -8.0f) / gamma[i % 16];
    for (int i = 0; i < 32 * 16; i++)
        w1[i] += 8.0f / gamma[i % 16];
}

static void test_center(void **unused)
{
    (void)unused;
    cyg_quant_options options = tiny_options(true);
    cyg_quant_report report;
    cyg_graph *g = prepared(push_rows);
    cyg_asked *asked = calloc(g->node_count, sizeof *asked);
    assert_non_null(asked);
    asked[cyg_graph_find_node(g, "qkv").i].data = CYG_TYPE_S16;
    asked[cyg_graph_find_node(g, "fc1").i].data = CYG_TYPE_S16;
    cyg_graph_destroy(g);
    options.asked = asked;
    const double before = sqnr(push_rows, &options, NULL, &report);
    assert_int_equal(report.gain_count, 0);
    options.center_weights = true;
    expect_better(sqnr(push_rows, &options, "fc1", &report), before, 3.0);
    assert_int_equal(report.gain_count, 2); /* qkv and fc1 */
    options.asked = NULL; /* 8 bits: their rounding does not add up to zero */
    sqnr(push_rows, &options, NULL, &report);
    assert_int_equal(report.gain_count, 0);
    free(asked);
}

/* 16-bit inputs, too: what is searched there is the rounding of weights. */
static void test_equalise_wide(void **unused)
{
    (void)unused;
    cyg_quant_options options = tiny_options(true);
    cyg_quant_report report;
    cyg_graph *g = prepared(NULL);
    const uint32_t qkv = cyg_graph_find_node(g, "qkv").i, fc1 = cyg_graph_find_node(g, "fc1").i;
    cyg_asked *asked = calloc(g->node_count, sizeof *asked);
    assert_non_null(asked);
    asked[qkv].data = asked[fc1].data = CYG_TYPE_S16;
    cyg_graph_destroy(g);
    options.asked = asked;
    const double before = sqnr(narrow_columns, &options, NULL, &report);
    options.smooth = CYG_SMOOTH_SEARCH;
    expect_better(sqnr(narrow_columns, &options, NULL, &report), before, 2.0);
    assert_int_equal(report.gain_count, 2);
    asked[qkv].weight = asked[fc1].weight = CYG_TYPE_S16; /* nothing to gain then */
    sqnr(narrow_columns, &options, NULL, &report);
    assert_int_equal(report.gain_count, 0);
    free(asked);
}

/* Pixels enter unsigned, so rounding a patch embedding's weights shifts its outputs: the mean error
 * must be gone afterwards. */
static void test_bias(void **unused)
{
    (void)unused;
    cyg_quant_options options = tiny_options(true);
    cyg_quant_report report;
    const double before = sqnr(NULL, &options, NULL, &report);
    options.correct_bias = true;
    expect_better(sqnr(NULL, &options, "patch", &report), before, 0.3);
}

/* One unit of the hidden layer that is large on one picture only, and that nothing listens to: the
 * range need not hold it. */
static void add_deaf_unit(cyg_graph *g)
{
    float *w1 = constant(g, "w1"), *w2 = constant(g, "w2");
    for (int k = 0; k < 16; k++)
        w1[5 * 16 + k] *= 30.0f;
    for (int n = 0; n < 16; n++)
        w2[n * 32 + 5] *= 1e-4f;
}

static void test_ranges(void **unused)
{
    (void)unused;
    cyg_quant_options options = tiny_options(true);
    cyg_quant_report report;
    const double before = sqnr(add_deaf_unit, &options, NULL, &report);
    options.search_ranges = true;
    expect_better(sqnr(add_deaf_unit, &options, "fc2", &report), before, 3.0);
}

/* The class token's case: the first row of each sample has a value of its own, wider than all
 * others. Summed over rows it pays to cut it off; that row would be ruined. The range must all but
 * hold it. */
enum { ROWS = 197, CHANNELS = 512 };
static float row_data[2][ROWS * CHANNELS];

static cyg_status row_get(cyg_ctx *ctx, void *self, size_t i, cyg_sample_tensor *out)
{
    (void)ctx;
    (void)self;
    out[0] = (cyg_sample_tensor){row_data[i], ROWS * CHANNELS};
    return CYG_OK;
}

/* Upper end of the range that "h" is stored in. */
static double end_of_h(cyg_range_method method, bool search)
{
    static cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    cyg_graph *g = parse_graph("graph \"rows\" opset 18\n"
                               "input %x: f32[197,512]\n"
                               "const %w: f32[512,512] = #0000000000000000 1048576\n"
                               "const %w2: f32[512,512] = #0000000000000000 1048576\n"
                               "%h: f32[197,512] = linear(%x, %w) \"copy\"\n"
                               "%y: f32[197,512] = linear(%h, %w2) \"reader\"\n"
                               "output %y\n");
    fill_weights(g, 3);
    float *w = constant(g, "w");
    for (int k = 0; k < CHANNELS * CHANNELS; k++)
        w[k] = k % (CHANNELS + 1) == 0 ? 1.0f : 0.0f;
    const cyg_sample_source source = {NULL, 2, 1, row_get, tiny_name};
    const cyg_quant_options options = {
        .transformer_level = 1, .method = method, .search_ranges = search};
    cyg_quant_report report;
    OK(&ctx, cyg_quantise(&ctx, g, &source, &options, &report));
    const cyg_quant *q = &value_named(g, "h")->quant;
    assert_int_equal(q->type, CYG_TYPE_U8);
    const double end = (255 - q->zero_point) * (double)q->scales[0];
    cyg_graph_destroy(g);
    return end;
}

static void test_ranges_keep_a_row(void **unused)
{
    (void)unused;
    rng r = {5};
    for (int i = 0; i < 2; i++) {
        for (int k = 0; k < ROWS * CHANNELS; k++)
            row_data[i][k] = rng_unit(&r);
        row_data[i][7] = 1.45f;
    }
    assert_true(end_of_h(CYG_RANGE_MINMAX, false) > 1.44);
    /* The methods clip; the search takes that back. */
    for (cyg_range_method m = CYG_RANGE_MINMAX; m <= CYG_RANGE_KL; m++) {
        const double clipped = end_of_h(m, false), searched = end_of_h(m, true);
        if (m != CYG_RANGE_MINMAX && !(clipped < 1.3))
            fail_msg("method %d ends at %.2f", (int)m, clipped);
        if (!(searched > 1.32))
            fail_msg("after method %d the range ends at %.2f", (int)m, searched);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equalise), cmocka_unit_test(test_equalise_wide),
        cmocka_unit_test(test_center),   cmocka_unit_test(test_bias),
        cmocka_unit_test(test_ranges),   cmocka_unit_test(test_ranges_keep_a_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
