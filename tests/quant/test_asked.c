/* What is asked node by node: types of inputs, outputs and weights, float steps, probabilities, and
 * everything at the highest precision. */
#include "tiny_runs.h"

static cyg_quant_report last_report;

/* Quantised with this asked of one node (NULL: of none); the model sees floats. */
static cyg_status quantise(cyg_ctx *ctx, const char *node, cyg_asked asked, bool highest,
                           cyg_graph **out_g)
{
    static tiny_samples samples;
    static cyg_asked precision[64];
    tiny_samples_init(&samples);
    cyg_ctx_init(ctx);
    cyg_graph *g = *out_g = tiny_graph();
    assert_true(g->node_count < CYG_COUNT(precision));
    memset(precision, 0, sizeof precision);
    if (node != NULL)
        precision[cyg_graph_find_node(g, node).i] = asked;
    cyg_quant_options options = tiny_options(false);
    options.asked = precision;
    options.highest = highest;
    return cyg_quantise(ctx, g, &samples.source, &options, &last_report);
}

static double sqnr(const char *node, cyg_asked asked, bool highest)
{
    static cyg_ctx ctx;
    static tiny_samples samples;
    tiny_samples_init(&samples);
    cyg_graph *g, *f = tiny_graph();
    OK(&ctx, quantise(&ctx, node, asked, highest, &g));
    OK(&ctx, cyg_graph_verify(&ctx, g));
    double signal = 0, noise = 0;
    for (int i = 0; i < TINY_SAMPLES; i++) {
        float expected[TINY_CLASSES], found[TINY_CLASSES];
        float_run(&ctx, f, samples.inputs[i], expected);
        integer_run(&ctx, g, samples.inputs[i], CYG_TYPE_F32, found);
        for (int k = 0; k < TINY_CLASSES; k++) {
            const double off = (double)expected[k] - (double)found[k];
            signal += (double)expected[k] * (double)expected[k];
            noise += off * off;
        }
    }
    cyg_graph_destroy(f);
    cyg_graph_destroy(g);
    return 10.0 * log10(signal / noise);
}

static void test_types(void **unused)
{
    (void)unused;
    static const struct {
        const char *node;
        cyg_asked asked;
        const char *value;
        cyg_type type;
    } cases[] = {
        {NULL, {0}, "n2", CYG_TYPE_U8},
        {"fc1", {.data = CYG_TYPE_S16}, "n2", CYG_TYPE_S16},
        {"fc1", {.data = CYG_TYPE_S16}, "h", CYG_TYPE_U8},
        {"fc1", {.output = CYG_TYPE_S16}, "h", CYG_TYPE_S16},
        {"fc1", {.output = CYG_TYPE_F32}, "h", CYG_TYPE_NONE},
        {"fc1", {.data = CYG_TYPE_F32}, "h", CYG_TYPE_NONE},
        {"fc1", {.weight = CYG_TYPE_S16}, "n2", CYG_TYPE_S16},
        {"attention", {.data = CYG_TYPE_F32}, "qkv", CYG_TYPE_NONE},
        {"attention", {.e_bits = 16}, "qkv", CYG_TYPE_S8},
        {"attention", {.data = CYG_TYPE_S16}, "qkv", CYG_TYPE_S16},
        {"attention", {.value = CYG_TYPE_S16}, "qkv", CYG_TYPE_S16},
        {"attention", {.data = CYG_TYPE_S8}, "qkv", CYG_TYPE_S8},
        {"fc1", {.data = CYG_TYPE_S8}, "n2", CYG_TYPE_S8},
        {"fc1", {.output = CYG_TYPE_S8}, "h", CYG_TYPE_S8},
        {"patch", {.data = CYG_TYPE_S16, .weight = CYG_TYPE_S16}, "p", CYG_TYPE_S16},
        {"head", {.data = CYG_TYPE_U8}, "logits", CYG_TYPE_NONE},
        {"head", {.output = CYG_TYPE_F32}, "logits", CYG_TYPE_NONE},
    };
    static cyg_ctx ctx;
    for (size_t i = 0; i < CYG_COUNT(cases); i++) {
        cyg_graph *g;
        OK(&ctx, quantise(&ctx, cases[i].node, cases[i].asked, false, &g));
        const cyg_type type = value_named(g, cases[i].value)->quant.type;
        if (type != cases[i].type)
            fail_msg("case %zu: %s is %s", i, cases[i].value, cyg_type_name(type));
        if (cases[i].asked.e_bits != 0)
            assert_int_equal(cyg_node_int(node_named(g, "attention"), CYG_ATTR_e_bits, 0), 16);
        if (cases[i].asked.weight != CYG_TYPE_NONE)
            assert_int_equal(cyg_val(g, node_named(g, cases[i].node)->in[1])->type, CYG_TYPE_S16);
        cyg_graph_destroy(g);
    }
}

/* Each case runs in integers and stays near the floats; 16 bits are far better than 8. */
static void test_runs(void **unused)
{
    (void)unused;
    const cyg_asked wide = {.data = CYG_TYPE_S16, .weight = CYG_TYPE_S16}, none = {0};
    const double plain = sqnr(NULL, none, false), highest = sqnr(NULL, none, true);
    static const char *const nodes[] = {"patch", "qkv", "attention", "proj", "fc1", "fc2", "head"};
    for (size_t i = 0; i < CYG_COUNT(nodes); i++) {
        const double db = sqnr(nodes[i], wide, false);
        if (!(db > plain - 1.0))
            fail_msg("%s at 16 bits: %.1f dB, was %.1f", nodes[i], db, plain);
        assert_true(sqnr(nodes[i], (cyg_asked){.data = CYG_TYPE_F32}, false) > plain - 1.0);
        assert_true(sqnr(nodes[i], (cyg_asked){.output = CYG_TYPE_U8}, false) > 15.0);
        assert_true(sqnr(nodes[i], (cyg_asked){.data = CYG_TYPE_S8}, false) > 15.0);
    }
    if (!(highest > plain + 36.0))
        fail_msg("everything at 16 bits: %.1f dB, at 8: %.1f", highest, plain);
}

/* A result of the model is rounded to the type that is asked for and leaves as floats. It has fewer
 * elements than the observer has lanes, so its scale also shows whether idle ones spoil the range.
 */
static void test_result(void **unused)
{
    (void)unused;
    static cyg_ctx ctx;
    static const cyg_type types[] = {CYG_TYPE_U8, CYG_TYPE_S16};
    for (size_t i = 0; i < CYG_COUNT(types); i++) {
        cyg_graph *g;
        OK(&ctx, quantise(&ctx, "head", (cyg_asked){.output = types[i]}, false, &g));
        OK(&ctx, cyg_graph_verify(&ctx, g));
        const cyg_value *y = cyg_val(g, node_named(g, "head")->out[0]);
        assert_int_equal(y->quant.type, types[i]);
        assert_true(y->quant.scales[0] < 0.1f); /* logits of some units: not the scale 1 of none */
        assert_int_equal(value_named(g, "logits")->quant.type, CYG_TYPE_NONE);
        cyg_graph_destroy(g);
    }
}

/* What comes true of a wish is told node by node. */
static void test_outcomes(void **unused)
{
    (void)unused;
    static const struct {
        const char *node;
        cyg_asked asked;
        unsigned outcome;
    } cases[] = {
        {"fc1", {.data = CYG_TYPE_S16, .output = CYG_TYPE_S16, .weight = CYG_TYPE_S16}, 0},
        {"fc1", {.data = CYG_TYPE_F32}, CYG_FLOAT_AS_ASKED},
        {"head", {.output = CYG_TYPE_U8}, 0},
        {"attention", {.data = CYG_TYPE_S16, .e_bits = 16}, 0},
        {"attention", {.data = CYG_TYPE_S8}, 0},
        {"fc1", {.data = CYG_TYPE_S8}, 0},
        {"attention", {.data = CYG_TYPE_U8}, 0},
        {"patch", {.data = CYG_TYPE_S16, .weight = CYG_TYPE_S16}, 0},
        {"tokens", {.data = CYG_TYPE_U8}, CYG_PART_DATA},
        {"tokens", {.data = CYG_TYPE_F32}, CYG_FLOAT_AS_ASKED | CYG_PART_DATA}, /* moves integers */
        {"ln1", {.output = CYG_TYPE_S16}, 0},
        {"fc1",
         {.data = CYG_TYPE_F32, .output = CYG_TYPE_U8},
         CYG_FLOAT_AS_ASKED | CYG_PART_OUTPUT},
    };
    static cyg_ctx ctx;
    for (size_t i = 0; i < CYG_COUNT(cases); i++) {
        cyg_graph *g;
        OK(&ctx, quantise(&ctx, cases[i].node, cases[i].asked, false, &g));
        const cyg_node_id id = cyg_graph_find_node(g, cases[i].node);
        assert_true(id.i < last_report.outcome_count);
        if (last_report.outcomes[id.i] != cases[i].outcome)
            fail_msg("case %zu: %u, not %u", i, last_report.outcomes[id.i], cases[i].outcome);
        cyg_graph_destroy(g);
    }
}

/* Channels of smaller weights than the threshold share the scale of such a weight. */
static void test_least_weight(void **unused)
{
    (void)unused;
    static cyg_ctx ctx;
    static tiny_samples samples;
    tiny_samples_init(&samples);
    cyg_ctx_init(&ctx);
    cyg_graph *g = tiny_graph();
    cyg_quant_options options = tiny_options(false);
    options.least_weight = 1000.0;
    OK(&ctx, cyg_quantise(&ctx, g, &samples.source, &options, &last_report));
    const cyg_value *w = cyg_val(g, node_named(g, "fc1")->in[1]);
    for (uint32_t n = 0; n < w->quant.count; n++)
        assert_true(fabsf(w->quant.scales[n] - 1000.0f / 127.0f) < 1e-3f);
    cyg_graph_destroy(g);
}

static void test_refused(void **unused)
{
    (void)unused;
    static cyg_ctx ctx;
    cyg_graph *g;
    static const struct {
        const char *node;
        cyg_asked asked;
        const char *says;
    } cases[] = {
        {"attention", {.weight = CYG_TYPE_S16, .insist = true}, "no form with S16 weights"},
        {"ln1", {.weight = CYG_TYPE_S16, .insist = true}, "no form with S16 weights"},
    };
    for (size_t i = 0; i < CYG_COUNT(cases); i++) {
        assert_int_equal(quantise(&ctx, cases[i].node, cases[i].asked, false, &g),
                         CYG_E_UNSUPPORTED);
        assert_non_null(strstr(cyg_ctx_message(&ctx, 0), cases[i].says));
        assert_non_null(strstr(cyg_ctx_message(&ctx, 0), cases[i].node));
        cyg_graph_destroy(g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types),   cmocka_unit_test(test_runs),
        cmocka_unit_test(test_result),  cmocka_unit_test(test_outcomes),
        cmocka_unit_test(test_refused), cmocka_unit_test(test_least_weight),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
