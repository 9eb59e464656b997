/* Models that bring their scales: what the integers give against what the file means. Each net is
 * written with QuantizeLinear and DequantizeLinear and run in floats as it stands; then its scales
 * are read, it is optimised, made of integers and run again. The two may differ where a sum falls
 * on the edge between two steps, by one step. */
#include "given_net.h"

#include <math.h>

#include "interp/interp.h"
#include "lower/lower.h"
#include "pass/pass.h"

typedef struct outcome {
    uint32_t integers, floats;
    double worst, typical; /* in steps of `step`: the largest and the mean difference */
    cyg_graph *g;
} outcome;

static outcome run(net *t, double step)
{
    static cyg_ctx ctx;
    enum { RESULTS = 4 };
    static float input[INPUT], expected[OUTPUT];
    cyg_ctx_init(&ctx);
    cyg_graph *f = parse(&ctx, t), *g = parse(&ctx, t);
    const cyg_value *x = cyg_val(f, f->inputs[0]), *y = cyg_val(f, f->outputs[0]);
    const int64_t count = cyg_value_elements(x), results = cyg_value_elements(y);
    assert_true(count <= INPUT && results <= OUTPUT);
    for (int64_t i = 0; i < count; i++)
        input[i] = (float)number(t, -1000, 1000) * 0.003f;
    cyg_kbuf in = {.data = input, .type = CYG_TYPE_F32, .rank = x->rank};
    memcpy(in.dims, x->dims, sizeof in.dims);
    cyg_interp *it;
    MUST(&ctx, cyg_interp_create(&ctx, f, NULL, &it));
    MUST(&ctx, cyg_interp_run(&ctx, it, &in, 1));
    memcpy(expected, cyg_interp_value(it, f->outputs[0])->data, (size_t)results * sizeof(float));
    cyg_interp_destroy(it);

    cyg_qdq_report read;
    cyg_optimise_report optimised;
    cyg_quant_report report;
    const cyg_optimise_options fuse = {.fuse = true};
    const cyg_quant_options options = {0};
    MUST(&ctx, cyg_qdq_read(&ctx, g, false, &read));
    MUST(&ctx, cyg_optimise(&ctx, g, &fuse, &optimised));
    MUST(&ctx, cyg_quant_given(&ctx, g, NULL, &options, &report));
    MUST(&ctx, cyg_graph_verify(&ctx, g));
    cyg_arena arena;
    cyg_program p;
    cyg_kbuf out[RESULTS];
    cyg_arena_init(&arena);
    MUST(&ctx, cyg_lower_graph(&ctx, g, &arena, &p));
    assert_true(p.output_count <= RESULTS);
    MUST(&ctx, cyg_interp_run_program(&ctx, &p, true, &in, 1, NULL, NULL, &arena, out));
    outcome o = {.integers = report.integer_nodes, .floats = report.float_nodes, .g = g};
    for (int64_t i = 0; i < results; i++) {
        const double off =
            fabs((double)((const float *)out[0].data)[i] - (double)expected[i]) / step;
        o.worst = off > o.worst ? off : o.worst;
        o.typical += off / (double)results;
    }
    cyg_arena_deinit(&arena);
    cyg_graph_destroy(f);
    return o;
}

static uint32_t count_ops(const cyg_graph *g, cyg_op op)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < g->order_count; i++)
        count += cyg_nod(g, g->order[i])->op == op;
    return count;
}

static void assert_close(const outcome *o)
{
    if (!(o->worst <= 1.001) || !(o->typical < 0.05))
        fail_msg("off by %.3f steps, %.3f in the mean", o->worst, o->typical);
}

static net t; /* large: one for all */

static void test_linear(void **state)
{
    (void)state;
    static const struct c {
        const char *x_type, *w_type;
        int x_zero, zero;
        int32_t lo, hi;
        uint32_t joins;
    } cases[] = {{"u8", "s8", 120, 0, -127, 127, 0},    {"u8", "s8", 120, 0, -128, 127, 0},
                 {"s8", "s8", -7, 0, -128, 127, 0},     {"s8", "s8", 0, 0, -128, 127, 0},
                 {"u8", "u8", 120, 128, 0, 255, 0}, /* the zero point in the middle: int8 again */
                 {"u8", "u8", 120, 7, 0, 255, 1},   /* nine bits: in two parts */
                 {"u8", "s8", 120, -100, -128, 127, 1}, {"s16", "s8", 0, 0, -128, 127, 0},
                 {"u16", "s8", 30000, 0, -128, 127, 0}, {"s16", "s8", 100, 5, -128, 127, 0},
                 {"s16", "s16", 0, 0, -30000, 30000, 0}};
    for (size_t i = 0; i < CYG_COUNT(cases); i++) {
        const struct c *c = &cases[i];
        linear_net(&t, c->x_type, c->x_zero, c->w_type, c->lo, c->hi, c->zero);
        outcome o = run(&t, 0.05);
        assert_int_equal(o.integers, 1);
        assert_int_equal(o.floats, 0);
        assert_int_equal(count_ops(o.g, CYG_OP_concat), c->joins);
        assert_close(&o);
        cyg_graph_destroy(o.g);
    }
}

/* Scales in the file are the scales in the graph, to the bit; weights are the integers. */
static void test_nothing_is_recomputed(void **state)
{
    (void)state;
    linear_net(&t, "u8", 120, "s8", -128, 127, 0);
    outcome o = run(&t, 0.05);
    bool found[2] = {false, false};
    for (uint32_t i = 0; i < o.g->value_count; i++) {
        const cyg_quant *q = &o.g->values[i].quant;
        if (q->type == CYG_TYPE_U8 && q->scales[0] == 0.02f && q->zero_point == 120)
            found[0] = true;
        if (q->type == CYG_TYPE_S8 && q->count == 6 && o.g->values[i].type == CYG_TYPE_S8) {
            found[1] = true;
            for (int k = 0; k < 6; k++)
                assert_true(q->scales[k] == (float)(0.004 * (1.0 + 0.1 * k)));
            assert_int_equal(((const int8_t *)o.g->values[i].data)[0], -128); /* [0, 0] of w */
        }
    }
    assert_true(found[0] && found[1]);
    cyg_graph_destroy(o.g);
}

/* What the file leaves open runs in float: the residual, the mean; the products stay integers. */
static void test_open_parts_stay_float(void **state)
{
    (void)state;
    begin(&t);
    add(&t, "input %%x: f32[4,8]\n");
    pair(&t, "x", "x1", "4,8", "s8", 0.025, 3);
    integers(&t, "wi", "s8", "8,8", 64, -128, 127);
    scales(&t, "ws", 8, 0.005);
    add(&t, "%%w: f32[8,8] = dequantize_linear(%%wi, %%ws) {axis = 1}\n"
            "%%m: f32[4,8] = matmul(%%x1, %%w)\n%%r: f32[4,8] = add(%%m, %%x)\n"
            "%%h: f32[4,8] = tanh(%%r)\n");
    pair(&t, "h", "h1", "4,8", "u8", 0.008, 128);
    add(&t, "%%n: f32[4,8] = matmul(%%h1, %%w)\noutput %%n\n");
    outcome o = run(&t, 0.01);
    assert_int_equal(o.integers, 2);
    assert_int_equal(o.floats, 2); /* the addition and tanh */
    assert_close(&o);
    cyg_graph_destroy(o.g);
}

/* Convolutions with groups, a pool, a sum, a Concat, a table, a mean: all in integers. */
static void test_convolutions(void **state)
{
    (void)state;
    begin(&t);
    add(&t, "input %%x: f32[1,4,6,6]\n");
    pair(&t, "x", "x1", "1,4,6,6", "u8", 0.03, 128);
    integers(&t, "wi", "s8", "4,1,3,3", 36, -128, 127);
    scales(&t, "ws", 4, 0.004);
    add(&t, "%%w: f32[4,1,3,3] = dequantize_linear(%%wi, %%ws) {axis = 0}\n"
            "%%c: f32[1,4,6,6] = conv(%%x1, %%w) {group = 4, kernel_shape = [3, 3], pads = [1, 1, "
            "1, 1], strides = [1, 1], dilations = [1, 1]}\n");
    pair(&t, "c", "c1", "1,4,6,6", "u8", 0.04, 120);
    add(&t, "%%s: f32[1,4,6,6] = add(%%c1, %%x1)\n");
    pair(&t, "s", "s1", "1,4,6,6", "u8", 0.05, 120);
    add(&t, "%%g: f32[1,4,6,6] = sigmoid(%%s1)\n");
    pair(&t, "g", "g1", "1,4,6,6", "u8", 0.05, 120); /* the form of s1: Concat moves bytes */
    add(&t, "%%j: f32[1,8,6,6] = concat(%%s1, %%g1) {axis = 1}\n");
    pair(&t, "j", "j1", "1,8,6,6", "u8", 0.05, 120);
    add(&t, "%%p: f32[1,8,3,3] = max_pool(%%j1) {kernel_shape = [2, 2], strides = [2, 2], pads = "
            "[0, 0, 0, 0], dilations = [1, 1], ceil_mode = 0, storage_order = 0}\n");
    pair(&t, "p", "p1", "1,8,3,3", "u8", 0.05, 120);
    integers(&t, "vi", "u8", "5,8,1,1", 40, 0, 255);
    add(&t, "const %%vs: f32[] = [0.01]\nconst %%vz: u8[] = [20]\n"
            "%%v: f32[5,8,1,1] = dequantize_linear(%%vi, %%vs, %%vz)\n"
            "%%d: f32[1,5,3,3] = conv(%%p1, %%v) {group = 1, kernel_shape = [1, 1], pads = [0, 0, "
            "0, 0], strides = [1, 1], dilations = [1, 1]}\n");
    pair(&t, "d", "d1", "1,5,3,3", "u8", 0.1, 100);
    add(&t, "const %%axes: s64[2] = [2, 3]\n"
            "%%e: f32[1,5,1,1] = reduce_mean(%%d1, %%axes) {keepdims = 1}\n");
    pair(&t, "e", "e1", "1,5,1,1", "u8", 0.1, 100);
    add(&t, "output %%e1\n");
    outcome o = run(&t, 0.1);
    assert_int_equal(o.floats, 0);
    assert_int_equal(o.integers, 5); /* two convolutions, sum, sigmoid, mean; the pool moves */
    assert_true(o.worst <= 1.001);
    cyg_graph_destroy(o.g);
}

/* Movement between a product and its rounding, and pairs around each movement. */
static void test_movement(void **state)
{
    (void)state;
    begin(&t);
    add(&t, "input %%x: f32[2,6,8]\n");
    pair(&t, "x", "x1", "2,6,8", "u8", 0.02, 100);
    integers(&t, "wi", "s8", "8,4", 32, -128, 127);
    add(&t, "const %%ws: f32[] = [0.01]\n%%w: f32[8,4] = dequantize_linear(%%wi, %%ws)\n"
            "const %%f: s64[3] = [2, 12, 2]\n"
            "%%m: f32[2,6,4] = matmul(%%x1, %%w)\n"
            "%%k: f32[2,12,2] = reshape(%%m, %%f)\n"
            "%%l: f32[2,2,12] = transpose(%%k) {perm = [0, 2, 1]}\n");
    pair(&t, "l", "l1", "2,2,12", "u8", 0.06, 128);
    add(&t, "const %%b: s64[1] = [1]\nconst %%e: s64[1] = [11]\nconst %%a: s64[1] = [2]\n"
            "%%n: f32[2,2,10] = slice(%%l1, %%b, %%e, %%a)\n");
    pair(&t, "n", "n1", "2,2,10", "u8", 0.06, 128);
    add(&t, "%%o: f32[2,2,10] = mul(%%n1, %%n1)\n");
    pair(&t, "o", "o1", "2,2,10", "u8", 0.2, 0);
    add(&t, "output %%o1\n");
    outcome o = run(&t, 0.2);
    assert_int_equal(o.integers, 2);
    assert_int_equal(o.floats, 0);
    assert_int_equal(count_ops(o.g, CYG_OP_requant), 2); /* in and out */
    assert_true(o.worst <= 2.001);                       /* a square doubles a step */
    cyg_graph_destroy(o.g);
}

/* Constants that movement brings along, beside values in every form: the numbers that the file
 * means, in integers where the form has them and in float where it has none. */
static void test_moved_constants(void **state)
{
    (void)state;
    static const struct form {
        const char *type;
        double scale;
        int zero;
    } forms[] = {{"u8", 0.02, 100},
                 {"s8", 0.02, -7},
                 {"u16", 0.0001, 30000},
                 {"s16", 0.0001, -900},
                 {"s16", 0.0001, 0}};
    for (size_t i = 0; i < CYG_COUNT(forms); i++) {
        const struct form *f = &forms[i];
        begin(&t);
        add(&t, "input %%x: f32[3,4]\n");
        pair(&t, "x", "x1", "3,4", f->type, f->scale, f->zero);
        add(&t, "const %%c: f32[1,4] = [0, 0.2, -0.4, 1]\n"
                "%%j: f32[4,4] = concat(%%x1, %%c) {axis = 0}\n"
                "const %%pads: s64[4] = [0, 1, 0, 1]\nconst %%fill: f32[] = [0]\n"
                "%%p: f32[4,6] = pad(%%j, %%pads, %%fill) {mode = \"constant\"}\n");
        pair(&t, "p", "y", "4,6", f->type, f->scale, f->zero);
        add(&t, "output %%y\n");
        outcome o = run(&t, f->scale);
        assert_close(&o);
        cyg_graph_destroy(o.g);
    }
}

/* Resizing and extremes between pairs of two forms: what selects elements does so among integers,
 * what mixes them runs in float. */
static void test_two_forms(void **state)
{
    (void)state;
    static const char *const middles[] = {
        "const %r: f32[4] = [1, 1, 2, 2]\n"
        "%v: f32[1,2,8,8] = resize(%x1, _, %r) {mode = \"nearest\", coordinate_transformation_mode "
        "= \"asymmetric\", nearest_mode = \"floor\"}\n",
        "const %r: f32[4] = [1, 1, 2, 2]\n"
        "%v: f32[1,2,8,8] = resize(%x1, _, %r) {mode = \"linear\", coordinate_transformation_mode "
        "= \"half_pixel\"}\n",
        "const %axes: s64[1] = [3]\n%v: f32[1,2,4,1] = reduce_max(%x1, %axes) {keepdims = 1}\n"};
    static const char *const dims[] = {"1,2,8,8", "1,2,8,8", "1,2,4,1"};
    for (size_t i = 0; i < CYG_COUNT(middles); i++)
        for (int same = 0; same < 2; same++) {
            begin(&t);
            add(&t, "input %%x: f32[1,2,4,4]\n");
            pair(&t, "x", "x1", "1,2,4,4", "u8", 0.03, 120);
            add(&t, "%s", middles[i]);
            pair(&t, "v", "y", dims[i], "u8", same ? 0.03 : 0.05, 120);
            add(&t, "output %%y\n");
            outcome o = run(&t, 0.05);
            assert_true(o.worst <= 1.001);
            if (o.floats != (i == 1 && !same))
                fail_msg("case %zu, same %d: %u floats", i, same, o.floats);
            cyg_graph_destroy(o.g);
        }
}

/* Every operator beside 16 bits with a zero point anywhere: in integers or in float, it runs. */
static void test_unsigned_words(void **state)
{
    (void)state;
    static const char *const middles[] = {
        "const %g: f32[8] = [1, 1, 1, 1, 1, 1, 1, 2]\nconst %b: f32[8] = [0, 0, 0, 0, 0, 0, 0, 1]\n"
        "%v: f32[2,4,8] = layer_normalization(%x1, %g, %b) {axis = -1, epsilon = 0.001}\n",
        "%v: f32[2,4,8] = softmax(%x1) {axis = -1}\n",
        "%v: f32[2,4,8] = sigmoid(%x1)\n",
        "%v: f32[2,4,8] = relu(%x1)\n",
        "%v: f32[2,4,8] = mul(%x1, %x1)\n",
        "%v: f32[2,4,8] = sub(%x1, %x1)\n",
        "const %axes: s64[1] = [2]\n%m: f32[2,4,1] = reduce_mean(%x1, %axes) {keepdims = 1}\n"
        "%v: f32[2,4,8] = add(%m, %x1)\n",
        "%k: f32[2,8,4] = transpose(%x1) {perm = [0, 2, 1]}\n%m: f32[2,4,4] = matmul(%x1, %k)\n"
        "%v: f32[2,4,8] = concat(%m, %m) {axis = 2}\n",
        "const %lo: f32[] = [-0.5]\nconst %hi: f32[] = [1]\n%v: f32[2,4,8] = clip(%x1, %lo, "
        "%hi)\n"};
    for (size_t i = 0; i < CYG_COUNT(middles); i++)
        for (int out = 0; out < 3; out++) {
            begin(&t);
            add(&t, "input %%x: f32[2,4,8]\n");
            pair(&t, "x", "x1", "2,4,8", out == 1 ? "s16" : "u16", 0.0001, out == 1 ? 77 : 30000);
            add(&t, "%s", middles[i]);
            pair(&t, "v", "y", "2,4,8", out == 2 ? "u8" : "u16", out == 2 ? 0.1 : 0.0005,
                 out == 2 ? 100 : 30000);
            add(&t, "output %%y\n");
            outcome o = run(&t, out == 2 ? 0.1 : 0.0005);
            if (!(o.worst <= 4.0))
                fail_msg("case %zu, form %d: off by %.3f steps", i, out, o.worst);
            cyg_graph_destroy(o.g);
        }
}

/* Two pairs of one form behind a product, one or both of them results of the model. */
static void test_twins(void **state)
{
    (void)state;
    for (int both = 0; both < 2; both++) {
        begin(&t);
        add(&t, "input %%x: f32[4,6]\n");
        pair(&t, "x", "x1", "4,6", "u8", 0.02, 100);
        integers(&t, "wi", "s8", "6,3", 18, -127, 127);
        add(&t, "const %%ws: f32[] = [0.01]\n%%w: f32[6,3] = dequantize_linear(%%wi, %%ws)\n"
                "%%m: f32[4,3] = matmul(%%x1, %%w)\n");
        pair(&t, "m", "a", "4,3", "u8", 0.05, 128);
        pair(&t, "m", "b", "4,3", "u8", 0.05, 128);
        add(&t, "%%n: f32[4,3] = neg(%%a)\noutput %%b\noutput %%%s\n", both ? "a" : "n");
        outcome o = run(&t, 0.05);
        assert_close(&o);
        cyg_graph_destroy(o.g);
    }
}

/* Integers that are moved before anything dequantises them, weights among them, and a product of
 * integers whose scales follow behind it. */
static void test_moved_integers(void **state)
{
    (void)state;
    begin(&t);
    add(&t, "input %%x: f32[4,6]\n"
            "const %%s: f32[] = [0.02]\nconst %%z: u8[] = [100]\n"
            "%%q: u8[4,6] = quantize_linear(%%x, %%s, %%z)\n"
            "%%qt: u8[6,4] = transpose(%%q) {perm = [1, 0]}\n"
            "const %%pads: s64[4] = [0, 1, 0, 1]\nconst %%fill: u8[] = [7]\n"
            "%%qp: u8[6,6] = pad(%%qt, %%pads, %%fill) {mode = \"constant\"}\n"
            "%%d: f32[6,6] = dequantize_linear(%%qp, %%s, %%z)\n");
    integers(&t, "wi", "s8", "5,6", 30, -128, 127);
    add(&t, "%%wt: s8[6,5] = transpose(%%wi) {perm = [1, 0]}\nconst %%ws: f32[] = [0.01]\n"
            "%%w: f32[6,5] = dequantize_linear(%%wt, %%ws)\n"
            "%%m: f32[6,5] = matmul(%%d, %%w)\n");
    pair(&t, "m", "y", "6,5", "u8", 0.06, 128);
    add(&t, "output %%y\n");
    outcome o = run(&t, 0.06);
    assert_int_equal(o.integers, 1);
    assert_int_equal(o.floats, 0);
    assert_int_equal(count_ops(o.g, CYG_OP_requant), 2);
    assert_close(&o);
    cyg_graph_destroy(o.g);

    begin(&t);
    add(&t, "input %%x: f32[4,6]\n"
            "const %%s: f32[] = [0.02]\nconst %%z: u8[] = [100]\nconst %%one: f32[] = [1]\n"
            "%%q: u8[4,6] = quantize_linear(%%x, %%s, %%z)\n"
            "%%d: f32[4,6] = dequantize_linear(%%q, %%one, %%z)\n");
    integers(&t, "wi", "s8", "6,3", 18, -127, 127);
    add(&t, "const %%o3: f32[3] = [1, 1, 1]\nconst %%ws: f32[3] = [0.01, 0.02, 0.03]\n"
            "%%w: f32[6,3] = dequantize_linear(%%wi, %%o3) {axis = 1}\n"
            "%%m: f32[4,3] = matmul(%%d, %%w)\n%%i: s32[4,3] = cast(%%m) {to = 6}\n"
            "%%f: f32[4,3] = cast(%%i) {to = 1}\n%%sc: f32[3] = mul(%%s, %%ws)\n"
            "%%v: f32[4,3] = mul(%%f, %%sc)\n");
    pair(&t, "v", "y", "4,3", "u8", 0.1, 128);
    add(&t, "output %%y\n");
    o = run(&t, 0.1);
    assert_int_equal(o.integers, 1);
    assert_int_equal(o.floats, 0);
    assert_close(&o);
    cyg_graph_destroy(o.g);
}

/* A product of two activations whose result the file leaves in float. */
static void test_product_to_float(void **state)
{
    (void)state;
    begin(&t);
    add(&t, "input %%x: f32[4,6]\n");
    pair(&t, "x", "a", "4,6", "u8", 0.0271, 100);
    pair(&t, "x", "b", "4,6", "s8", 0.0317, -5);
    add(&t, "%%bt: f32[6,4] = transpose(%%b) {perm = [1, 0]}\n"
            "%%y: f32[4,4] = matmul(%%a, %%bt)\noutput %%y\n");
    outcome o = run(&t, 0.1); /* a step of one operand, the other being 3 at most */
    assert_int_equal(o.integers, 1);
    assert_int_equal(o.floats, 0);
    assert_close(&o);
    cyg_graph_destroy(o.g);
}

static void refuses(const char *body, const char *message)
{
    static cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    begin(&t);
    add(&t, "input %%x: f32[2,3]\n%soutput %%y\n", body);
    cyg_graph *g;
    cyg_qdq_report report;
    cyg_status status = cyg_graph_parse(&ctx, "given", t.text, t.used, &g);
    if (status == CYG_OK) {
        status = cyg_graph_infer_shapes(&ctx, g);
        if (status == CYG_OK)
            status = cyg_qdq_read(&ctx, g, false, &report);
        cyg_graph_destroy(g);
    }
    assert_int_not_equal(status, CYG_OK);
    if (!ctx_says(&ctx, message)) {
        say(&ctx);
        fail_msg("expected a message with \"%s\"", message);
    }
}

static void test_bad_scales(void **state)
{
    (void)state;
    /* A product of integers whose zero points and scales are not as many. */
    refuses("const %s: f32[] = [0.02]\nconst %z: u8[] = [100]\nconst %one: f32[] = [1]\n"
            "%q: u8[2,3] = quantize_linear(%x, %s, %z)\n"
            "%d: f32[2,3] = dequantize_linear(%q, %one, %z)\n"
            "const %wi: u8[3,4] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]\n"
            "const %o4: f32[4] = [1, 1, 1, 1]\nconst %z2: u8[2] = [1, 2]\n"
            "const %ws: f32[4] = [0.01, 0.02, 0.03, 0.04]\n"
            "%w: f32[3,4] = dequantize_linear(%wi, %o4, %z2) {axis = 1} \"d\"\n"
            "%m: f32[2,4] = matmul(%d, %w)\n%i: s32[2,4] = cast(%m) {to = 6}\n"
            "%f: f32[2,4] = cast(%i) {to = 1}\n%sc: f32[4] = mul(%s, %ws)\n"
            "%y: f32[2,4] = mul(%f, %sc)\n",
            "one zero point for each of 4 scales, found 2");
    static const struct bad {
        const char *scale, *zero, *message;
    } cases[] = {
        {"f32[] = [0]", "u8[] = [1]", "node \"q\" (QuantizeLinear): scale 0 at index 0"},
        {"f32[] = [-0.5]", "u8[] = [1]", "node \"q\" (QuantizeLinear): scale -0.5 at index 0"},
        {"f32[] = [nan]", "u8[] = [1]", "node \"q\" (QuantizeLinear): scale nan at index 0"},
        {"f32[] = [inf]", "u8[] = [1]", "node \"q\" (QuantizeLinear): scale inf at index 0"},
        {"f32[3] = [1, 1, 0]", "u8[3] = [1, 1, 1]", "(QuantizeLinear): scale 0 at index 2"},
        {"f32[2] = [1, 1]", "u8[2] = [1, 1]", "scale: expected 3, found 2"},
        {"f32[3] = [1, 1, 1]", "u8[2] = [1, 1]", "one zero point for each of 3 scales, found 2"},
    };
    for (size_t i = 0; i < CYG_COUNT(cases); i++) {
        char body[1024];
        snprintf(body, sizeof body,
                 "const %%s: %s\nconst %%z: %s\n"
                 "%%i: u8[2,3] = quantize_linear(%%x, %%s, %%z) {axis = 1} \"q\"\n"
                 "%%y: f32[2,3] = dequantize_linear(%%i, %%s, %%z) {axis = 1} \"d\"\n",
                 cases[i].scale, cases[i].zero);
        refuses(body, cases[i].message);
    }
    refuses("const %s: f32[] = [0.5]\nconst %z: u8[] = [3]\nconst %b: s8[] = [3]\n"
            "%i: u8[2,3] = quantize_linear(%x, %s, %z) \"q\"\n"
            "%y: f32[2,3] = dequantize_linear(%i, %s, %b) \"d\"\n",
            "node d (DequantizeLinear): inputs i and b: expected one type, found u8 and s8");
    refuses("const %s: f32[3] = [1, 1, 1]\nconst %z: u8[3] = [3, 3, 3]\n"
            "%i: u8[2,3] = quantize_linear(%x, %s, %z) {axis = 5} \"q\"\n"
            "%y: f32[2,3] = dequantize_linear(%i, %s, %z) {axis = 5} \"d\"\n",
            "axis");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_linear),
        cmocka_unit_test(test_nothing_is_recomputed),
        cmocka_unit_test(test_open_parts_stay_float),
        cmocka_unit_test(test_convolutions),
        cmocka_unit_test(test_movement),
        cmocka_unit_test(test_moved_constants),
        cmocka_unit_test(test_two_forms),
        cmocka_unit_test(test_unsigned_words),
        cmocka_unit_test(test_twins),
        cmocka_unit_test(test_moved_integers),
        cmocka_unit_test(test_product_to_float),
        cmocka_unit_test(test_bad_scales),
    };
    return CYG_TEST_MAIN(tests);
}
