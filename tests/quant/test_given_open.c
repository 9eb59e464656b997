/* What calibration data close in a model that brings its scales: ranges that the file leaves to run
 * time, and operators that layer_configs name. */
#include "given_net.h"

#include <math.h>

#include "pass/pass.h"

static net t; /* large: one for all */
static float samples_data[2][INPUT];

static cyg_status get_sample(cyg_ctx *ctx, void *self, size_t i, cyg_sample_tensor *out)
{
    (void)ctx;
    out[0] = (cyg_sample_tensor){.data = samples_data[i], .count = *(size_t *)self};
    return CYG_OK;
}

static const char *sample_name(void *self, size_t i)
{
    (void)self;
    return i == 0 ? "a" : "b";
}

/* Reads, optimises and quantises what is in t on two samples in -3..3 (asked of the first node of
 * type `op`); the quantised graph. */
static cyg_graph *close_open(cyg_op op, const cyg_asked *wish, cyg_qdq_report *read,
                             cyg_quant_report *report)
{
    static cyg_ctx ctx;
    static cyg_asked asked[64];
    cyg_ctx_init(&ctx);
    cyg_graph *g = parse(&ctx, &t);
    size_t count = (size_t)cyg_value_elements(cyg_val(g, g->inputs[0]));
    for (size_t i = 0; i < 2 * count; i++)
        samples_data[i / count][i % count] = (float)number(&t, -1000, 1000) * 0.003f;
    const cyg_sample_source samples = {
        .self = &count, .get = get_sample, .name = sample_name, .count = 2, .input_count = 1};
    cyg_optimise_report optimised;
    const cyg_optimise_options fuse = {.fuse = true};
    MUST(&ctx, cyg_qdq_read(&ctx, g, true, read));
    MUST(&ctx, cyg_optimise(&ctx, g, &fuse, &optimised));
    memset(asked, 0, sizeof asked);
    assert_true(g->node_count < CYG_COUNT(asked));
    bool found = wish == NULL;
    for (uint32_t i = 0; i < g->order_count && !found; i++)
        if (cyg_nod(g, g->order[i])->op == op) {
            asked[g->order[i].i] = *wish;
            found = true;
        }
    assert_true(found);
    const cyg_quant_options options = {.asked = wish != NULL ? asked : NULL};
    MUST(&ctx, cyg_quant_given(&ctx, g, &samples, &options, report));
    MUST(&ctx, cyg_graph_verify(&ctx, g));
    return g;
}

/* Scales that the file computes at run time become those of the samples. */
static void test_dynamic_is_calibrated(void **state)
{
    (void)state;
    begin(&t);
    add(&t, "input %%x: f32[4,6]\nconst %%tiny: f32[] = [0.001]\nconst %%z: u8[] = [128]\n"
            "%%n: f32[] = reduce_max(%%x) {keepdims = 0}\n%%s: f32[] = max(%%n, %%tiny)\n"
            "%%q: u8[4,6] = quantize_linear(%%x, %%s, %%z)\n"
            "%%d: f32[4,6] = dequantize_linear(%%q, %%s, %%z)\n");
    integers(&t, "wi", "s8", "6,3", 18, -127, 127);
    add(&t, "const %%ws: f32[] = [0.01]\n%%w: f32[6,3] = dequantize_linear(%%wi, %%ws)\n"
            "%%y: f32[4,3] = matmul(%%d, %%w)\noutput %%y\n");
    cyg_qdq_report read;
    cyg_quant_report report;
    cyg_graph *g = close_open(CYG_OP_COUNT, NULL, &read, &report);
    assert_int_equal(read.open, 1);
    assert_int_equal(report.integer_nodes, 1);
    assert_int_equal(report.float_nodes, 0);
    bool found = false;
    for (uint32_t i = 0; i < g->value_count; i++) /* -3..3 in 255 steps, nearly */
        found = found || (g->values[i].quant.type == CYG_TYPE_U8 &&
                          fabs((double)g->values[i].quant.scales[0] - 6.0 / 255.0) < 0.002);
    assert_true(found);
    cyg_graph_destroy(g);
}

/* layer_configs reach what the file leaves open, and nothing else. */
static void test_asked_of_open_parts(void **state)
{
    (void)state;
    cyg_qdq_report read;
    cyg_quant_report report;
    for (int fixed = 0; fixed < 2; fixed++) {
        begin(&t);
        add(&t, "input %%x: f32[4,6]\n");
        if (fixed)
            pair(&t, "x", "x1", "4,6", "u8", 0.03, 128);
        else
            add(&t, "%%x1: f32[4,6] = neg(%%x)\n");
        add(&t, "%%h: f32[4,6] = sigmoid(%%x1)\n%%y: f32[4,6] = sin(%%h)\noutput %%y\n");
        const cyg_asked wish = {.data = CYG_TYPE_S16, .insist = true};
        cyg_graph *g = close_open(CYG_OP_sigmoid, &wish, &read, &report);
        unsigned lost = 0;
        for (uint32_t i = 0; i < report.outcome_count; i++)
            lost |= report.outcomes[i];
        assert_int_equal(lost, fixed ? CYG_PART_DATA : 0); /* its operand is the file's */
        assert_int_equal(report.integer_nodes, 1);         /* sigmoid, by a table */
        cyg_graph_destroy(g);
    }
    linear_net(&t, "u8", 120, "s8", -127, 127, 0);
    const cyg_asked wish = {.data = CYG_TYPE_F32};
    cyg_graph *g = close_open(CYG_OP_linear, &wish, &read, &report);
    assert_int_equal(report.integer_nodes, 0);
    assert_int_equal(report.float_nodes, 1);
    cyg_graph_destroy(g);

    linear_net(&t, "u8", 120, "s8", -127, 127, 0); /* the result is the file's */
    const cyg_asked open_result = {.output = CYG_TYPE_F32};
    g = close_open(CYG_OP_linear, &open_result, &read, &report);
    unsigned lost = 0;
    for (uint32_t i = 0; i < report.outcome_count; i++)
        lost |= report.outcomes[i];
    assert_int_equal(lost, CYG_PART_OUTPUT);
    cyg_graph_destroy(g);

    begin(&t); /* a factor for each channel, in 16 bits */
    add(&t, "input %%x: f32[4,6]\n%%x1: f32[4,6] = neg(%%x)\n"
            "const %%c: f32[6] = [0.1, -0.77, 0.3333, 1.234, 0.912, 0.0071]\n"
            "%%m: f32[4,6] = mul(%%x1, %%c)\n%%y: f32[4,6] = sin(%%m)\noutput %%y\n");
    const cyg_asked wide = {.data = CYG_TYPE_S16};
    g = close_open(CYG_OP_mul, &wide, &read, &report);
    assert_int_equal(report.integer_nodes, 1);
    assert_int_equal(report.float_nodes, 2); /* neg, sin */
    cyg_graph_destroy(g);

    begin(&t); /* a linear of floats: weights, input and result */
    add(&t, "input %%x: f32[4,6]\n%%x1: f32[4,6] = neg(%%x)\n"
            "const %%w: f32[6,2] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]\n"
            "%%m: f32[4,2] = matmul(%%x1, %%w)\n%%y: f32[4,2] = sin(%%m)\noutput %%y\n");
    const cyg_asked both = {.data = CYG_TYPE_U8, .output = CYG_TYPE_S16};
    g = close_open(CYG_OP_linear, &both, &read, &report);
    assert_int_equal(report.integer_nodes, 1);
    assert_int_equal(report.float_nodes, 2); /* neg, sin */
    cyg_graph_destroy(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dynamic_is_calibrated),
        cmocka_unit_test(test_asked_of_open_parts),
    };
    return CYG_TEST_MAIN(tests);
}
