/* Operators on integers (QOperator format, dynamic quantisation): what import makes of them, run in
 * floats, gives the integers that their definitions give, computed here without it. */
#include "fixture.h"

#include <math.h>

#include "interp/interp.h"

enum { F32 = 1, U8 = 2, S8 = 3, S32 = 6, MOST = 64 };

static ob const_f32(const char *name, const char *dims, const float *data, size_t count)
{
    return ob_tensor_raw(name, F32, dims, data, count * sizeof *data);
}

static void add_scale(ob *g, const char *name, float scale)
{
    ob_put(g, 5, const_f32(name, "", &scale, 1));
}

static void add_zero(ob *g, const char *name, int type, int zero)
{
    const uint8_t byte = (uint8_t)zero;
    ob_put(g, 5, ob_tensor_raw(name, type, "", &byte, 1));
}

static void take_io(ob *g, const char *in, int in_type, const char *in_dims, const char *out,
                    int out_type)
{
    ob_put(g, 11, ob_value(in, in_type, in_dims));
    ob_put(g, 12, ob_value(out, out_type, NULL));
}

/* A model with the operators of com.microsoft at hand. */
static ob finish(ob g)
{
    ob m = ob_model(g, 17);
    ob_put(&m, 8, ob_opset("com.microsoft", 1));
    return m;
}

static cyg_kbuf *run(void **state, ob model, cyg_kbuf *x, cyg_interp **out_it, cyg_graph **out_g)
{
    cyg_graph *g = import_ok(state, model);
    const cyg_value *v = cyg_val(g, g->inputs[0]);
    x->type = (int32_t)v->type;
    x->rank = v->rank;
    memcpy(x->dims, v->dims, sizeof x->dims);
    cyg_status status = cyg_interp_create(&test_ctx, g, NULL, out_it);
    if (status == CYG_OK)
        status = cyg_interp_run(&test_ctx, *out_it, x, 1);
    if (status != CYG_OK)
        print_messages();
    assert_int_equal(status, CYG_OK);
    *out_g = g;
    static cyg_kbuf y;
    y = *cyg_interp_value(*out_it, g->outputs[0]);
    return &y;
}

static int saturate(double v, int lo, int hi)
{
    const double near = rint(v);
    return near < lo ? lo : near > hi ? hi : (int)near;
}

/* x [1, 2, 2, 2] u8, kernels [3, 2, 1, 1] s8 with a scale and a zero point each, a bias in s32. */
static void test_conv(void **state)
{
    static const uint8_t x[8] = {0, 255, 130, 7, 200, 90, 128, 129};
    static const int8_t w[6] = {-128, 127, 5, -6, 100, 1};
    static const float ws[3] = {0.01f, 0.02f, 0.005f};
    static const int8_t wz[3] = {0, 3, -2};
    static const int32_t b[3] = {1000, -40, 7};
    ob g = {0};
    take_io(&g, "x", U8, "1,2,2,2", "y", U8);
    add_scale(&g, "xs", 0.05f);
    add_zero(&g, "xz", U8, 128);
    ob_put(&g, 5, ob_tensor_raw("w", S8, "3,2,1,1", w, sizeof w));
    ob_put(&g, 5, const_f32("ws", "3", ws, 3));
    ob_put(&g, 5, ob_tensor_raw("wz", S8, "3", wz, sizeof wz));
    add_scale(&g, "ys", 0.1f);
    add_zero(&g, "yz", U8, 120);
    ob_put(&g, 5, ob_tensor_raw("b", S32, "3", b, sizeof b));
    NODE(&g, "QLinearConv", "c", "x,xs,xz,w,ws,wz,ys,yz,b", "y", at_ints("kernel_shape", "1,1"));
    cyg_kbuf in = {.data = (void *)(uintptr_t)x};
    cyg_interp *it;
    cyg_graph *graph;
    const cyg_kbuf *y = run(state, finish(g), &in, &it, &graph);
    for (int n = 0; n < 3; n++)
        for (int p = 0; p < 4; p++) {
            int64_t acc = b[n];
            for (int c = 0; c < 2; c++)
                acc += (x[4 * c + p] - 128) * (w[2 * n + c] - wz[n]);
            const int want =
                saturate((double)acc * (double)(0.05f * ws[n]) / (double)0.1f + 120.0, 0, 255);
            assert_int_equal(((const uint8_t *)y->data)[4 * n + p], want);
        }
    cyg_interp_destroy(it);
    cyg_graph_destroy(graph);
}

/* QGemm with transB, alpha and a bias, behind it QLinearAdd with itself, then QLinearConcat. */
static void test_microsoft(void **state)
{
    static const int8_t x[6] = {-128, 5, 77, 127, -3, 0}, w[6] = {10, -20, 30, 127, -128, 64};
    static const int32_t b[2] = {333, -222};
    ob g = {0};
    take_io(&g, "x", S8, "2,3", "y", S8);
    add_scale(&g, "xs", 0.02f);
    add_zero(&g, "xz", S8, -10);
    ob_put(&g, 5, ob_tensor_raw("w", S8, "2,3", w, sizeof w));
    add_scale(&g, "ws", 0.03f);
    add_zero(&g, "wz", S8, 0);
    ob_put(&g, 5, ob_tensor_raw("b", S32, "2", b, sizeof b));
    add_scale(&g, "hs", 0.25f);
    add_zero(&g, "hz", S8, 4);
    add_scale(&g, "ys", 0.5f);
    add_zero(&g, "yz", S8, 1);
    ob_put(&g, 1,
           ob_node("com.microsoft", "QGemm", "q", "x,xs,xz,w,ws,wz,b,hs,hz", "h",
                   (attrs){{at_int("transB", 1), at_float("alpha", 0.5f)}}));
    ob_put(
        &g, 1,
        ob_node("com.microsoft", "QLinearAdd", "a", "h,hs,hz,h,hs,hz,ys,yz", "s", (attrs){{{0}}}));
    ob_put(&g, 1,
           ob_node("com.microsoft", "QLinearConcat", "j", "ys,yz,s,ys,yz,h,hs,hz", "y",
                   (attrs){{at_int("axis", 1)}}));
    cyg_kbuf in = {.data = (void *)(uintptr_t)x};
    cyg_interp *it;
    cyg_graph *graph;
    const cyg_kbuf *y = run(state, finish(g), &in, &it, &graph);
    const int8_t *found = y->data;
    for (int m = 0; m < 2; m++)
        for (int n = 0; n < 2; n++) {
            int64_t acc = b[n];
            for (int k = 0; k < 3; k++)
                acc += (x[3 * m + k] + 10) * w[3 * n + k];
            const int h = saturate(0.5 * (double)acc * 0.02 * 0.03 / 0.25 + 4.0, -128, 127);
            const int s = saturate(2.0 * (h - 4) * 0.25 / 0.5 + 1.0, -128, 127);
            assert_int_equal(found[4 * m + n], s);
            assert_int_equal(found[4 * m + 2 + n], saturate((h - 4) * 0.25 / 0.5 + 1.0, -128, 127));
        }
    cyg_interp_destroy(it);
    cyg_graph_destroy(graph);
}

/* Zero points that are left out are 0, and a result without one has the type of the operands. */
static void test_no_zero_points(void **state)
{
    static const int8_t x[4] = {-128, -5, 77, 127}, c[4] = {-3, 9, -100, 1};
    ob g = {0};
    take_io(&g, "x", S8, "4", "y", S8);
    add_scale(&g, "s", 0.5f);
    ob_put(&g, 5, ob_tensor_raw("c", S8, "4", c, sizeof c));
    ob_put(&g, 1, ob_node("com.microsoft", "QLinearAdd", "a", "x,s,,c,s,,s", "h", (attrs){{{0}}}));
    ob_put(&g, 1, ob_node("com.microsoft", "QLinearMul", "b", "h,s,,c,s,,s,", "y", (attrs){{{0}}}));
    cyg_kbuf in = {.data = (void *)(uintptr_t)x};
    cyg_interp *it;
    cyg_graph *graph;
    const cyg_kbuf *y = run(state, finish(g), &in, &it, &graph);
    assert_int_equal(y->type, CYG_TYPE_S8);
    for (int i = 0; i < 4; i++) {
        const int h = saturate(x[i] + c[i], -128, 127);
        assert_int_equal(((const int8_t *)y->data)[i], saturate(0.5 * h * c[i], -128, 127));
    }
    cyg_interp_destroy(it);
    cyg_graph_destroy(graph);

    ob other = {0}; /* nothing in the file tells the type of h */
    take_io(&other, "x", S8, "4", "y", S8);
    add_scale(&other, "s", 0.5f);
    NODE(&other, "Identity", "i", "x", "h", {0});
    ob_put(&other, 1,
           ob_node("com.microsoft", "QLinearSigmoid", "n", "h,s,,s", "y", (attrs){{{0}}}));
    import_fails(state, finish(other), CYG_E_UNSUPPORTED, "QLinearSigmoid",
                 "a result without a zero point");
}

/* Axes stay an attribute of the operator on integers, whatever ReduceMean has at this opset. */
static void test_mean(void **state)
{
    static const uint8_t x[6] = {0, 10, 20, 100, 200, 255};
    ob g = {0};
    take_io(&g, "x", U8, "2,3", "y", U8);
    add_scale(&g, "s", 0.5f);
    add_zero(&g, "z", U8, 3);
    ob_put(&g, 1,
           ob_node("com.microsoft", "QLinearReduceMean", "m", "x,s,z,s,z", "y",
                   (attrs){{at_ints("axes", "1"), at_int("keepdims", 0)}}));
    ob m = ob_model(g, 18);
    ob_put(&m, 8, ob_opset("com.microsoft", 1));
    cyg_kbuf in = {.data = (void *)(uintptr_t)x};
    cyg_interp *it;
    cyg_graph *graph;
    const cyg_kbuf *y = run(state, m, &in, &it, &graph);
    assert_int_equal(((const uint8_t *)y->data)[0], 10);
    assert_int_equal(((const uint8_t *)y->data)[1], 185);
    cyg_interp_destroy(it);
    cyg_graph_destroy(graph);
}

/* The integers of MatMulInteger behind DynamicQuantizeLinear. */
static void test_dynamic(void **state)
{
    static const float x[4] = {-1.0f, 4.1f, 0.3f, 2.2f};
    static const uint8_t w[6] = {0, 255, 3, 128, 7, 99};
    static const uint8_t wz[3] = {128, 0, 100};
    ob g = {0};
    take_io(&g, "x", F32, "2,2", "y", S32);
    ob_put(&g, 5, ob_tensor_raw("w", U8, "2,3", w, sizeof w));
    ob_put(&g, 5, ob_tensor_raw("wz", U8, "3", wz, sizeof wz));
    NODE(&g, "DynamicQuantizeLinear", "d", "x", "q,s,z", {0});
    NODE(&g, "MatMulInteger", "m", "q,w,z,wz", "y", {0});
    cyg_kbuf in = {.data = (void *)(uintptr_t)x};
    cyg_interp *it;
    cyg_graph *graph;
    const cyg_kbuf *y = run(state, finish(g), &in, &it, &graph);
    const double scale = (double)((4.1f - -1.0f) / 255.0f);
    const int zero = saturate(1.0 / scale, 0, 255);
    assert_int_equal(y->type, CYG_TYPE_S32);
    for (int m = 0; m < 2; m++)
        for (int n = 0; n < 3; n++) {
            int acc = 0;
            for (int k = 0; k < 2; k++)
                acc += (saturate((double)x[2 * m + k] / scale + zero, 0, 255) - zero) *
                       (w[3 * k + n] - wz[n]);
            assert_int_equal(((const int32_t *)y->data)[3 * m + n], acc);
        }
    cyg_interp_destroy(it);
    cyg_graph_destroy(graph);
}

static ob one_node(const char *domain, const char *op, const char *in, attrs list)
{
    ob g = {0};
    take_io(&g, "x", U8, "1,2,2,2", "y", U8);
    add_scale(&g, "s", 0.5f);
    add_zero(&g, "z", U8, 3);
    ob_put(&g, 1, ob_node(domain, op, "n", in, "y", list));
    return finish(g);
}

static void test_refusals(void **state)
{
    import_fails(state,
                 one_node("com.microsoft", "QLinearAveragePool", "x,s,z,s,z",
                          (attrs){{at_ints("kernel_shape", "2,2"), at_int("channels_last", 1)}}),
                 CYG_E_UNSUPPORTED, "QLinearAveragePool", "channels_last = 1");
    import_fails(state,
                 one_node("com.microsoft", "QLinearAdd", "x,s,z,x,s,z,s,z,x", (attrs){{{0}}}),
                 CYG_E_GRAPH, "expected 8 inputs and 1 output, found 9 and 1", "\"n\"");
    import_fails(state, one_node("com.microsoft", "QLinearConcat", "s,z,x,s", (attrs){{{0}}}),
                 CYG_E_GRAPH, "found 4 and 1", "\"n\"");
    import_fails(state, one_node("com.microsoft", "QLinearSigmoid", ",s,z,s,z", (attrs){{{0}}}),
                 CYG_E_GRAPH, "an operand is missing", "\"n\"");
    ob g = {0}; /* scales that are computed, below a bias */
    take_io(&g, "x", F32, "2,2", "y", F32);
    const uint8_t w[4] = {1, 2, 3, 4}, b[8] = {0};
    add_scale(&g, "s", 0.5f);
    ob_put(&g, 5, ob_tensor_raw("w", U8, "2,2", w, sizeof w));
    ob_put(&g, 5, ob_tensor_raw("b", S32, "2", b, sizeof b));
    NODE(&g, "DynamicQuantizeLinear", "d", "x", "q,qs,qz", {0});
    ob_put(&g, 1, ob_node("com.microsoft", "QGemm", "n", "q,qs,qz,w,s,,b", "y", (attrs){{{0}}}));
    import_fails(state, finish(g), CYG_E_UNSUPPORTED, "QGemm",
                 "a bias whose scales are no constants");
    import_fails(state, one_node("com.microsoft", "QAttention", "x,s,z,s,z", (attrs){{{0}}}),
                 CYG_E_UNSUPPORTED, "QAttention", "unknown to cygnet: quantise in QDQ format");
}

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_conv),           TEST(test_microsoft),
                                       TEST(test_no_zero_points), TEST(test_mean),
                                       TEST(test_dynamic),        TEST(test_refusals)};
    return CYG_TEST_MAIN(tests);
}
