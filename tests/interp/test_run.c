/* The float interpreter against references in double written here: values, views, shapes that
 * change from run to run (with the batch, and with data), what is kept, what is refused. */
#include "../ir/ir_testing.h"

#include <math.h>

#include "base/pool.h"
#include "interp/interp.h"
#include "lower/lower.h"

#define OK(ctx, expr)                                                                              \
    do {                                                                                           \
        if ((expr) != CYG_OK)                                                                      \
            fail_msg("%s / %s", cyg_ctx_message((ctx), 0),                                         \
                     cyg_ctx_message_count(ctx) > 1 ? cyg_ctx_message((ctx), 1) : "");             \
    } while (0)

static cyg_ctx ctx;

static cyg_interp *open_interp(cyg_graph *g, const cyg_interp_options *options)
{
    cyg_interp *it;
    cyg_ctx_init(&ctx);
    OK(&ctx, cyg_interp_create(&ctx, g, options, &it));
    return it;
}

static const cyg_kbuf *value_of(const cyg_interp *it, const cyg_graph *g, const char *name)
{
    return cyg_interp_value(it, cyg_graph_find_value(g, name));
}

static void assert_near(const cyg_kbuf *found, const double *expected, size_t count)
{
    assert_non_null(found);
    assert_int_equal(found->type, CYG_TYPE_F32);
    for (size_t i = 0; i < count; i++)
        if (!(fabs((double)((const float *)found->data)[i] - expected[i]) < 1e-5))
            fail_msg("[%zu]: expected %g, found %g", i, expected[i],
                     (double)((const float *)found->data)[i]);
}

static const char *const net = "graph \"net\" opset 18\nsymbol N\ninput %x: f32[N,4]\n"
                               "const %w: f32[3,4] = [1, 0, -1, 0.5, 0.25, 2, 0, 0, -1, -1, 1, 1]\n"
                               "const %b: f32[3] = [0.5, -0.5, 0]\n"
                               "const %flat: s64[1] = [-1]\n"
                               "const %back: s64[2] = [-1, 3]\n"
                               "%h: f32[?,3] = linear(%x, %w, %b) {act = 1} \"fc\"\n"
                               "%f: f32[?] = reshape(%h, %flat) \"flat\"\n"
                               "%g: f32[?,3] = reshape(%f, %back) \"back\"\n"
                               "%e: f32[?,3] = add(%g, %h) \"twice\"\n"
                               "%y: f32[?,3] = softmax(%e) {axis = 1} \"softmax\"\n"
                               "output %y\n";

static void net_reference(const float *x, size_t rows, double *h, double *y)
{
    static const double w[3][4] = {{1, 0, -1, 0.5}, {0.25, 2, 0, 0}, {-1, -1, 1, 1}};
    static const double b[3] = {0.5, -0.5, 0};
    for (size_t r = 0; r < rows; r++) {
        double sum = 0;
        for (size_t n = 0; n < 3; n++) {
            h[3 * r + n] = b[n];
            for (size_t k = 0; k < 4; k++)
                h[3 * r + n] += w[n][k] * (double)x[4 * r + k];
            h[3 * r + n] = fmax(h[3 * r + n], 0);
            sum += exp(2 * h[3 * r + n]);
        }
        for (size_t n = 0; n < 3; n++)
            y[3 * r + n] = exp(2 * h[3 * r + n]) / sum;
    }
}

static void fill(float *x, size_t count, int seed)
{
    for (size_t i = 0; i < count; i++)
        x[i] = (float)((int)((i * 37 + (size_t)seed * 11) % 19) - 9) / 8.0f;
}

/* Batches of 1, 2, 1, 5: shapes are bound by each run, and what is kept outlives its readers. */
static void test_dynamic_batch(void **unused)
{
    (void)unused;
    static const int64_t batches[] = {1, 2, 2, 1, 5};
    cyg_graph *g = parse_graph(net);
    const cyg_value_id keep[] = {cyg_graph_find_value(g, "h"), cyg_graph_find_value(g, "f")};
    const cyg_interp_options options = {.keep = keep, .keep_count = 2};
    cyg_interp *it = open_interp(g, &options);
    for (size_t i = 0; i < CYG_COUNT(batches); i++) {
        const int64_t n = batches[i];
        float x[20];
        double h[15], y[15];
        fill(x, (size_t)n * 4, (int)i);
        net_reference(x, (size_t)n, h, y);
        const cyg_kbuf in = {.data = x, .type = CYG_TYPE_F32, .rank = 2, .dims = {n, 4}};
        OK(&ctx, cyg_interp_run(&ctx, it, &in, 1));
        assert_near(value_of(it, g, "y"), y, (size_t)n * 3);
        assert_int_equal(value_of(it, g, "y")->dims[0], n);
        assert_near(value_of(it, g, "h"), h, (size_t)n * 3);
        assert_near(value_of(it, g, "f"), h, (size_t)n * 3);
        assert_int_equal(value_of(it, g, "f")->dims[0], n * 3);
        assert_null(value_of(it, g, "e")); /* gone with its last reader */
    }
    cyg_interp_destroy(it);
    cyg_graph_destroy(g);
}

typedef struct seen {
    const cyg_graph *g;
    char order[64];
} seen;

static cyg_status observe(cyg_ctx *c, void *user, cyg_value_id v, const cyg_kbuf *buf)
{
    seen *s = user;
    (void)c;
    assert_non_null(buf->data);
    strcat(s->order, cyg_val(s->g, v)->name);
    return CYG_OK;
}

static void test_observer(void **unused)
{
    (void)unused;
    cyg_graph *g = parse_graph(net);
    seen s = {.g = g};
    const cyg_interp_options options = {.observer = observe, .user = &s};
    cyg_interp *it = open_interp(g, &options);
    float x[4] = {0};
    const cyg_kbuf in = {.data = x, .type = CYG_TYPE_F32, .rank = 2, .dims = {1, 4}};
    OK(&ctx, cyg_interp_run(&ctx, it, &in, 1));
    assert_string_equal(s.order, "xhfgey");
    cyg_interp_destroy(it);
    cyg_graph_destroy(g);
}

/* The shape is an input: the same input shapes, other data, other shapes. */
static void test_shapes_by_data(void **unused)
{
    (void)unused;
    cyg_graph *g = parse_graph("graph \"g\" opset 18\ninput %x: f32[6]\ninput %s: s64[2]\n"
                               "const %axes: s64[1] = [1]\n"
                               "%r: f32[?,?] = reshape(%x, %s) \"reshape\"\n"
                               "%n: f32[?,?] = neg(%r) \"neg\"\n"
                               "%y: f32[?] = reduce_sum(%n, %axes) {keepdims = 0} \"sum\"\n"
                               "output %y\noutput %r\n");
    cyg_interp *it = open_interp(g, NULL);
    static const int64_t shapes[][2] = {{2, 3}, {3, 2}, {3, 2}, {6, 1}, {1, 6}, {2, 3}};
    const float x[] = {1, 2, 3, 4, 5, 6};
    for (size_t i = 0; i < CYG_COUNT(shapes); i++) {
        int64_t s[2] = {shapes[i][0], shapes[i][1]};
        float copy[6];
        double sums[6] = {0};
        memcpy(copy, x, sizeof x);
        const cyg_kbuf in[] = {{.data = copy, .type = CYG_TYPE_F32, .rank = 1, .dims = {6}},
                               {.data = s, .type = CYG_TYPE_S64, .rank = 1, .dims = {2}}};
        for (int k = 0; k < 6; k++)
            sums[k / s[1]] -= (double)x[k];
        OK(&ctx, cyg_interp_run(&ctx, it, in, 2));
        assert_int_equal(value_of(it, g, "y")->dims[0], s[0]);
        assert_int_equal(value_of(it, g, "r")->dims[1], s[1]);
        assert_near(value_of(it, g, "y"), sums, (size_t)s[0]);
    }
    /* A shape that does not fit is an error, and the next good run is good. */
    int64_t bad[2] = {4, 2}, good[2] = {6, 1};
    float copy[6];
    memcpy(copy, x, sizeof x);
    cyg_kbuf in[] = {{.data = copy, .type = CYG_TYPE_F32, .rank = 1, .dims = {6}},
                     {.data = bad, .type = CYG_TYPE_S64, .rank = 1, .dims = {2}}};
    assert_int_not_equal(cyg_interp_run(&ctx, it, in, 2), CYG_OK);
    assert_true(ctx_says(&ctx, "reshape"));
    in[1].data = good;
    OK(&ctx, cyg_interp_run(&ctx, it, in, 2));
    assert_int_equal(value_of(it, g, "y")->dims[0], 6);
    cyg_interp_destroy(it);
    cyg_graph_destroy(g);
}

enum { LANES = 5, LANE_FLOATS = 48 }; /* inputs 64-byte aligned: 48 floats hold [4,9] */

typedef struct lane_sums {
    uint32_t lanes[16], count;
} lane_sums;

static cyg_status observe_lanes(cyg_ctx *c, void *user, cyg_value_id v, const cyg_kbuf *buf,
                                size_t apart, uint32_t lanes)
{
    lane_sums *s = user;
    (void)c, (void)v;
    assert_non_null(buf->data);
    assert_true(buf->is_const || apart % 64 == 0);
    s->lanes[s->count++ % 16] = lanes;
    return CYG_OK;
}

/* Lanes give what runs of their own give, byte for byte: views, outputs that are inputs and
 * constants, a node that converts its operands, any number of lanes after any other, threads. */
static void test_lanes(void **unused)
{
    (void)unused;
    cyg_graph *g = parse_graph("graph \"g\" opset 18\ninput %x: f32[4,9]\n"
                               "const %w: f32[7,9] = #0123456789abcdef 252\n"
                               "const %c: f32[2] = [7, 8]\nconst %flat: s64[1] = [-1]\n"
                               "%h: f32[4,7] = linear(%x, %w) {act = 1} \"fc\"\n"
                               "%f: f32[28] = reshape(%h, %flat) \"flat\"\n"
                               "%t: f16[28] = cast(%f) {to = 10} \"half\"\n"
                               "%e: f16[28] = exp(%t) \"exp\"\n"
                               "%y: f32[4,7] = softmax(%h) {axis = 1} \"softmax\"\n"
                               "output %y\noutput %e\noutput %f\noutput %x\noutput %c\n");
    lane_sums sums = {0};
    const cyg_interp_options options = {.lane_observer = observe_lanes, .user = &sums};
    static _Alignas(64) float x[LANES * LANE_FLOATS];
    cyg_kbuf in = {.data = x, .type = CYG_TYPE_F32, .rank = 2, .dims = {4, 9}};
    assert_int_equal(cyg_interp_apart(36 * sizeof(float)), LANE_FLOATS * sizeof(float));
    fill(x, LANES * LANE_FLOATS, 3);
    for (unsigned threads = 1; threads <= 3; threads++) {
        cyg_interp *alone = open_interp(g, NULL), *it = open_interp(g, &options);
        ctx.pool = cyg_pool_create(threads);
        static const uint32_t lanes[] = {1, LANES, 2, LANES, 1};
        for (size_t r = 0; r < CYG_COUNT(lanes); r++) {
            in.data = x;
            OK(&ctx, cyg_interp_run_lanes(&ctx, it, &in, 1, lanes[r]));
            assert_true(cyg_interp_is_steady(it));
            assert_int_equal(sums.lanes[(sums.count - 1) % 16], lanes[r]);
            for (uint32_t l = 0; l < lanes[r]; l++) {
                in.data = x + l * LANE_FLOATS;
                OK(&ctx, cyg_interp_run(&ctx, alone, &in, 1));
                for (uint32_t k = 0; k < g->output_count; k++) {
                    const cyg_kbuf *want = cyg_interp_value(alone, g->outputs[k]);
                    const cyg_value *v = cyg_val(g, g->outputs[k]);
                    const void *found = cyg_interp_lane_data(it, g->outputs[k], l);
                    assert_non_null(found);
                    assert_memory_equal(found, want->data,
                                        (size_t)cyg_value_elements(v) * cyg_type_size(v->type));
                }
            }
            assert_null(cyg_interp_lane_data(it, g->outputs[0], lanes[r]));
        }
        cyg_interp_destroy(alone);
        cyg_interp_destroy(it);
        cyg_pool_destroy(ctx.pool);
    }
    cyg_graph_destroy(g);
}

/* Where steps follow data there are no lanes. */
static void test_lanes_by_data(void **unused)
{
    (void)unused;
    cyg_graph *g = parse_graph("graph \"g\" opset 18\ninput %x: f32[16]\ninput %s: s64[8]\n"
                               "const %first: s64[1] = [0]\nconst %two: s64[1] = [2]\n"
                               "%t: s64[2] = slice(%s, %first, %two) \"shape\"\n"
                               "%y: f32[?,?] = reshape(%x, %t) \"reshape\"\noutput %y\n");
    static _Alignas(64) float x[32];
    static _Alignas(64) int64_t s[16] = {4, 4, 0, 0, 0, 0, 0, 0, 2, 8};
    const cyg_kbuf in[] = {{.data = x, .type = CYG_TYPE_F32, .rank = 1, .dims = {16}},
                           {.data = s, .type = CYG_TYPE_S64, .rank = 1, .dims = {8}}};
    cyg_interp *it = open_interp(g, NULL);
    OK(&ctx, cyg_interp_run(&ctx, it, in, 2));
    assert_false(cyg_interp_is_steady(it));
    assert_int_equal(cyg_interp_run_lanes(&ctx, it, in, 2, 2), CYG_E_INTERNAL);
    cyg_ctx_init(&ctx);
    OK(&ctx, cyg_interp_run(&ctx, it, in, 2));
    cyg_interp_destroy(it);
    cyg_graph_destroy(g);
}

static void test_wrong_inputs(void **unused)
{
    (void)unused;
    cyg_graph *g =
        parse_graph("graph \"g\" opset 18\nsymbol N\ninput %a: f32[N,2]\ninput %b: f32[2]\n"
                    "%y: f32[?,2] = add(%a, %b) \"sum\"\noutput %y\n");
    cyg_interp *it = open_interp(g, NULL);
    float a[6] = {1, 2, 3, 4, 5, 6}, b[3] = {10, 20, 30};
    const cyg_kbuf good_a = {.data = a, .type = CYG_TYPE_F32, .rank = 2, .dims = {1, 2}},
                   more_a = {.data = a, .type = CYG_TYPE_F32, .rank = 2, .dims = {3, 2}},
                   good_b = {.data = b, .type = CYG_TYPE_F32, .rank = 1, .dims = {2}};
    cyg_kbuf in[] = {good_a, good_b};
    OK(&ctx, cyg_interp_run(&ctx, it, in, 2));
    const struct {
        cyg_kbuf a, b;
        const char *says;
    } wrong[] = {
        {more_a,
         {.data = b, .type = CYG_TYPE_F32, .rank = 1, .dims = {3}},
         "input \"b\": expected f32 2, found f32 3"},
        {{.data = a, .type = CYG_TYPE_F32, .rank = 2, .dims = {2, 3}},
         good_b,
         "input \"a\": expected f32 ?x2, found f32 2x3"},
        {{.data = a, .type = CYG_TYPE_F32, .rank = 1, .dims = {2}}, good_b, "found f32 2"},
        {{.data = a, .type = CYG_TYPE_S32, .rank = 2, .dims = {1, 2}}, good_b, "found s32 1x2"},
        {{.data = a, .type = CYG_TYPE_F32, .rank = 2, .dims = {-1, 2}}, good_b, "found f32 ?x2"},
    };
    for (size_t i = 0; i < CYG_COUNT(wrong); i++) {
        in[0] = wrong[i].a;
        in[1] = wrong[i].b;
        cyg_ctx_init(&ctx);
        assert_int_equal(cyg_interp_run(&ctx, it, in, 2), CYG_E_GRAPH);
        if (!ctx_says(&ctx, wrong[i].says))
            fail_msg("case %zu: %s", i, cyg_ctx_message(&ctx, 0));
        assert_int_equal(cyg_ctx_message_count(&ctx), 1);
    }
    assert_int_equal(cyg_interp_run(&ctx, it, in, 1), CYG_E_GRAPH);
    /* The refused batch of three left nothing behind. */
    in[0] = more_a;
    in[1] = good_b;
    OK(&ctx, cyg_interp_run(&ctx, it, in, 2));
    const double y[] = {11, 22, 13, 24, 15, 26};
    assert_int_equal(value_of(it, g, "y")->dims[0], 3);
    assert_near(value_of(it, g, "y"), y, 6);
    cyg_interp_destroy(it);
    cyg_graph_destroy(g);
}

/* Outputs that are inputs, constants, views, twice the same; a value nobody reads. */
static void test_odd_outputs(void **unused)
{
    (void)unused;
    cyg_graph *g =
        parse_graph("graph \"g\" opset 18\ninput %x: f32[2,2]\nconst %c: f32[2] = [7, 8]\n"
                    "const %s: s64[1] = [4]\n"
                    "%v: f32[4] = reshape(%x, %s) \"view\"\n"
                    "%dead: f32[2,2] = neg(%x) \"dead\"\n"
                    "%n: f32[4] = neg(%v) \"neg\"\n"
                    "output %x\noutput %c\noutput %v\noutput %n\noutput %n\n");
    float x[4] = {1, 2, 3, 4};
    const double same[] = {1, 2, 3, 4}, negative[] = {-1, -2, -3, -4}, constant[] = {7, 8};
    cyg_interp *it = open_interp(g, NULL);
    const cyg_kbuf in = {.data = x, .type = CYG_TYPE_F32, .rank = 2, .dims = {2, 2}};
    for (int run = 0; run < 3; run++) {
        OK(&ctx, cyg_interp_run(&ctx, it, &in, 1));
        assert_near(value_of(it, g, "x"), same, 4);
        assert_near(value_of(it, g, "v"), same, 4);
        assert_near(value_of(it, g, "c"), constant, 2);
        assert_near(value_of(it, g, "n"), negative, 4);
    }
    cyg_interp_destroy(it);
    cyg_arena arena;
    cyg_arena_init(&arena);
    cyg_program p;
    cyg_kbuf out[5];
    OK(&ctx, cyg_lower_graph(&ctx, g, &arena, &p));
    OK(&ctx, cyg_interp_run_program(&ctx, &p, true, &in, 1, NULL, NULL, &arena, out));
    assert_near(&out[0], same, 4);
    assert_near(&out[1], constant, 2);
    assert_near(&out[2], same, 4);
    assert_near(&out[3], negative, 4);
    assert_near(&out[4], negative, 4);
    assert_ptr_not_equal(out[0].data, x);
    assert_ptr_not_equal(out[3].data, out[4].data);
    cyg_kbuf wrong = in;
    wrong.type = CYG_TYPE_S32;
    assert_int_equal(cyg_interp_run_program(&ctx, &p, true, &wrong, 1, NULL, NULL, &arena, out),
                     CYG_E_GRAPH);
    wrong = in;
    wrong.dims[0] = 1;
    assert_int_equal(cyg_interp_run_program(&ctx, &p, true, &wrong, 1, NULL, NULL, &arena, out),
                     CYG_E_GRAPH);
    assert_int_equal(cyg_interp_run_program(&ctx, &p, true, &in, 0, NULL, NULL, &arena, out),
                     CYG_E_GRAPH);
    cyg_arena_deinit(&arena);
    cyg_graph_destroy(g);
}

static void test_folding(void **unused)
{
    (void)unused;
    cyg_graph *g = parse_graph("graph \"g\" opset 18\ninput %x: f32[2]\n"
                               "const %a: f32[2,3] = [1, 2, 3, 4, 5, 6]\n"
                               "const %s: s64[2] = [3, 2]\nconst %i: s64[2] = [2, 0]\n"
                               "%r: f32[?,?] = reshape(%a, %s) \"r\"\n"
                               "%t: f32[?,?] = transpose(%r) {perm = [1, 0]} \"t\"\n"
                               "%k: f32[?,?] = gather(%t, %i) {axis = 1} \"k\"\n"
                               "%n: f32[2] = neg(%x) \"n\"\noutput %n\noutput %k\n");
    cyg_ctx_init(&ctx);
    static const char *const nodes[] = {"r", "t", "k"};
    for (size_t i = 0; i < 3; i++)
        OK(&ctx, cyg_interp_fold_node(&ctx, g, cyg_graph_find_node(g, nodes[i])));
    const cyg_value *k = cyg_val(g, cyg_graph_find_value(g, "k"));
    static const float expected[] = {5, 1, 6, 2};
    assert_true(k->is_const);
    assert_int_equal(k->bytes, sizeof expected);
    assert_memory_equal(k->data, expected, sizeof expected);
    assert_int_equal(cyg_interp_fold_node(&ctx, g, cyg_graph_find_node(g, "n")), CYG_E_UNSUPPORTED);
    assert_true(ctx_says(&ctx, "not constant"));
    cyg_graph_destroy(g);
}

static void test_cancel(void **unused)
{
    (void)unused;
    cyg_graph *g = parse_graph(net);
    cyg_interp *it = open_interp(g, NULL);
    float x[4] = {0};
    const cyg_kbuf in = {.data = x, .type = CYG_TYPE_F32, .rank = 2, .dims = {1, 4}};
    const volatile int stop = 1;
    ctx.cancelled = &stop;
    assert_int_equal(cyg_interp_run(&ctx, it, &in, 1), CYG_E_CANCELLED);
    cyg_interp_destroy(it);
    cyg_graph_destroy(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dynamic_batch),  cmocka_unit_test(test_observer),
        cmocka_unit_test(test_shapes_by_data), cmocka_unit_test(test_lanes),
        cmocka_unit_test(test_lanes_by_data),  cmocka_unit_test(test_wrong_inputs),
        cmocka_unit_test(test_odd_outputs),    cmocka_unit_test(test_folding),
        cmocka_unit_test(test_cancel),
    };
    return CYG_TEST_MAIN(tests);
}
