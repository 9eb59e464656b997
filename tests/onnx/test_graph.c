/* Functions, names, inputs: what makes a graph of a file, and what a file does wrong. */
#include "fixture.h"

/* ---- model-local functions ---- */

/* Calls of "own" functions in the main graph: x -> n nodes -> y. */
static ob call_model(ob graph, const ob *functions, size_t count)
{
    INPUT(&graph, "x", "2,3");
    OUTPUT(&graph, "y", NULL);
    ob m = ob_model(graph, 17);
    ob_put(&m, 8, ob_opset("own", 1));
    for (size_t i = 0; i < count; i++)
        ob_put(&m, 25, functions[i]);
    return m;
}
#define CALL(graph, fn, name, in, out, ...)                                                        \
    ob_put((graph), 1, ob_node("own", (fn), (name), (in), (out), (attrs){{__VA_ARGS__}}))
#define BODY(function, domain, op, name, in, out, ...)                                             \
    ob_put((function), 7, ob_node((domain), (op), (name), (in), (out), (attrs){{__VA_ARGS__}}))

static void test_nested_functions(void **state)
{
    /* outer(a; slope = 0.25) = Relu(inner(a; alpha = slope)); inner(b; alpha) = LeakyRelu(b) */
    ob inner = ob_function("own", "inner", "b", "c");
    BODY(&inner, "", "LeakyRelu", "leak", "b", "c", at_ref("alpha", 1, "alpha"));
    ob_text(&inner, 6, "alpha");
    ob outer = ob_function("own", "outer", "a", "d");
    BODY(&outer, "own", "inner", "", "a", "t", at_ref("alpha", 1, "slope"));
    BODY(&outer, "", "Relu", "r", "t", "d", {0});
    ob_put(&outer, 11, at_float("slope", 0.25f));
    ob unused = ob_function("own", "unused", "a", "b");
    BODY(&unused, "", "NonMaxSuppression", "", "a", "b", {0});
    ob g = {0};
    CALL(&g, "outer", "first", "x", "m", {0});
    CALL(&g, "outer", "second", "m", "y", at_float("slope", 0.5f));
    cyg_graph *graph = import_ok(state, call_model(g, (ob[]){unused, outer, inner}, 3));
    assert_int_equal(graph->order_count, 4);
    assert_int_equal(nth(graph, 0)->op, CYG_OP_leaky_relu);
    assert_true(cyg_node_float(nth(graph, 0), CYG_ATTR_alpha, 0) == 0.25f);
    assert_true(cyg_node_float(nth(graph, 2), CYG_ATTR_alpha, 0) == 0.5f);
    assert_string_equal(nth(graph, 1)->name, "first/r");
    assert_string_equal(nth(graph, 2)->name, "second/inner_t/leak");
    assert_string_equal(cyg_val(graph, nth(graph, 1)->out[0])->name, "m");
    assert_string_equal(cyg_val(graph, nth(graph, 3)->out[0])->name, "y");
    assert_string_equal(graph->sources[nth(graph, 2)->sources[0].i].kind, "LeakyRelu");
    cyg_graph_destroy(graph);
}

static void test_reference_without_value(void **state)
{
    /* The call gives no alpha and the function has no default: LeakyRelu's own applies. */
    ob f = ob_function("own", "f", "a", "b");
    BODY(&f, "", "LeakyRelu", "", "a", "b", at_ref("alpha", 1, "slope"));
    ob g = {0};
    CALL(&g, "f", "call", "x", "y", {0});
    cyg_graph *graph = import_ok(state, call_model(g, &f, 1));
    assert_true(cyg_node_float(nth(graph, 0), CYG_ATTR_alpha, 0) == 0.01f);
    cyg_graph_destroy(graph);
}

static void test_overload_and_pass_through(void **state)
{
    ob plain = ob_function("own", "f", "a", "b");
    BODY(&plain, "", "Relu", "", "a", "b", {0});
    ob other = ob_function("own", "f", "a", "a"); /* hands its input on */
    ob_text(&other, 13, "same");
    ob call = ob_node("own", "f", "call", "x", "y", (attrs){{{0}}});
    ob_text(&call, 8, "same");
    ob g = {0};
    ob_put(&g, 1, call);
    cyg_graph *graph = import_ok(state, call_model(g, (ob[]){plain, other}, 2));
    assert_int_equal(graph->order_count, 1);
    assert_int_equal(nth(graph, 0)->op, CYG_OP_identity);
    cyg_graph_destroy(graph);
}

static void test_function_opset(void **state)
{
    /* The body speaks opset 11, where Unsqueeze has an attribute; the file speaks 17. */
    ob f = {0};
    ob_text(&f, 1, "f");
    ob_names(&f, 4, "a");
    ob_names(&f, 5, "b");
    ob_put(&f, 9, ob_opset("", 11));
    ob_text(&f, 10, "own");
    BODY(&f, "", "Unsqueeze", "", "a", "b", at_ints("axes", "0"));
    ob g = {0};
    CALL(&g, "f", "call", "x", "y", {0});
    cyg_graph *graph = import_ok(state, call_model(g, &f, 1));
    EXPECT_DIMS(cyg_val(graph, graph->outputs[0]), 1, 2, 3);
    cyg_graph_destroy(graph);
}

static void test_bad_functions(void **state)
{
    ob a = ob_function("own", "a", "i", "o"), b = ob_function("own", "b", "i", "o"), g = {0};
    BODY(&a, "own", "b", "", "i", "o", {0});
    BODY(&b, "own", "a", "", "i", "o", {0});
    CALL(&g, "a", "call", "x", "y", {0});
    import_fails(state, call_model(g, (ob[]){a, b}, 2), CYG_E_GRAPH, "calls itself", "\"a\"");

    ob none = ob_function("own", "none", "i", "o");
    g = (ob){0};
    CALL(&g, "none", "call", "x", "y", {0});
    import_fails(state, call_model(g, &none, 1), CYG_E_GRAPH, "tensor \"o\"", "none");

    ob one = ob_function("own", "one", "i", "o");
    BODY(&one, "", "Relu", "", "i", "o", {0});
    g = (ob){0};
    CALL(&g, "one", "call", "x,x", "y", {0});
    import_fails(state, call_model(g, &one, 1), CYG_E_GRAPH, "at most 1 inputs", "call");

    /* Thirty functions, each calling the next twice: 2^30 nodes. */
    ob many[30];
    for (int i = 0; i < 30; i++) {
        char name[8], next[8];
        snprintf(name, sizeof name, "f%d", i);
        snprintf(next, sizeof next, "f%d", i + 1);
        many[i] = ob_function("own", name, "i", "o");
        if (i < 29) {
            BODY(&many[i], "own", next, "", "i", "t", {0});
            BODY(&many[i], "own", next, "", "t", "o", {0});
        } else {
            BODY(&many[i], "", "Relu", "", "i", "o", {0});
        }
    }
    g = (ob){0};
    CALL(&g, "f0", "call", "x", "y", {0});
    import_fails(state, call_model(g, many, 30), CYG_E_GRAPH, "once its functions are expanded",
                 "m.onnx");
}

/* ---- what is not supported ---- */

static void test_refusals(void **state)
{
    ob g = {0}, f = ob_function("own", "f", "a", "b");
    BODY(&f, "", "Hardmax", "", "a", "b", {0});
    CALL(&g, "f", "call", "x", "p", {0});
    NODE(&g, "NonMaxSuppression", "/head/nms", "p", "q", {0});
    ob_put(&g, 1, ob_node("com.microsoft", "BiasGelu", "", "q,r", "s", (attrs){{{0}}}));
    NODE(&g, "Loop", "/decode/Loop", "s", "y", {0});
    import_fails(state, call_model(g, &f, 1), CYG_E_UNSUPPORTED, "4 operators are not supported:",
                 "Loop               /decode/Loop (opset 17)  control flow");
    assert_true(ctx_says(&test_ctx,
                         "Hardmax            call/b (opset 17)        unknown to cygnet: "
                         "`cygnet ops` lists what is known"));
    assert_true(ctx_says(&test_ctx, "BiasGelu           s (com.microsoft)"));
    assert_true(ctx_says(&test_ctx, "NonMaxSuppression  /head/nms (opset 17)"));
}

static void test_many_refusals(void **state)
{
    ob g = {0};
    for (int i = 0; i < 1000; i++) {
        char out[16];
        snprintf(out, sizeof out, "t%d", i);
        NODE(&g, "Mystery", out, "x", i < 999 ? out : "y", {0});
    }
    INPUT(&g, "x", "2");
    OUTPUT(&g, "y", NULL);
    import_fails(state, ob_model(g, 17), CYG_E_UNSUPPORTED, "1000 operators", " more");
}

static void test_foreign_types(void **state)
{
    ob g = {0}, type = {0}, value = {0};
    ob_put(&type, 4, (ob){0}); /* sequence */
    ob_text(&value, 1, "x");
    ob_put(&value, 2, type);
    ob_put(&g, 11, value);
    NODE(&g, "Relu", "", "x", "y", {0});
    OUTPUT(&g, "y", NULL);
    import_fails(state, ob_model(g, 17), CYG_E_UNSUPPORTED, "input  x  a sequence",
                 "not supported");

    g = (ob){0};
    ob_put(&g, 11, ob_value("x", 8, "2"));
    NODE(&g, "Identity", "", "x", "y", {0});
    OUTPUT(&g, "y", NULL);
    import_fails(state, ob_model(g, 17), CYG_E_UNSUPPORTED, "input  x  an element type", "1 ");

    g = (ob){0};
    ob_put(&g, 15, (ob){0}); /* sparse_initializer */
    INPUT(&g, "x", "2");
    NODE(&g, "Identity", "", "x", "y", {0});
    OUTPUT(&g, "y", NULL);
    import_fails(state, ob_model(g, 17), CYG_E_UNSUPPORTED, "sparse", "not supported");
}

/* ---- wrong graphs ---- */

static ob two_nodes(const char *in1, const char *out1, const char *in2, const char *out2)
{
    ob g = {0};
    NODE(&g, "Relu", "one", in1, out1, {0});
    NODE(&g, "Sigmoid", "two", in2, out2, {0});
    INPUT(&g, "x", "2,3");
    OUTPUT(&g, "y", "2,3");
    return ob_model(g, 17);
}

static void test_wrong_graphs(void **state)
{
    import_fails(state, two_nodes("x", "t", "u", "y"), CYG_E_GRAPH, "\"two\"", "tensor \"u\"");
    import_fails(state, two_nodes("x", "y", "x", "y"), CYG_E_GRAPH, "\"y\" is defined twice",
                 "by \"two\"");
    import_fails(state, two_nodes("x", "t", "t", "x"), CYG_E_GRAPH, "\"x\" is defined twice",
                 "by \"two\"");
    import_fails(state, two_nodes("y", "t", "t", "y"), CYG_E_GRAPH, "depends on its own result",
                 "not a valid graph");
    import_fails(state, two_nodes("x", "t", "t", "z"), CYG_E_GRAPH, "the graph's output", "\"y\"");
    import_fails(state, two_nodes("x", "t", "t,t", "y"), CYG_E_GRAPH, "at most 1 inputs",
                 "Sigmoid \"two\"");
    import_fails(state, two_nodes("x", "t", "", "y"), CYG_E_GRAPH, "input 0 is missing",
                 "Sigmoid \"two\"");
    import_fails(state, two_nodes("x", "t", "t", ""), CYG_E_GRAPH, "at least 1 outputs",
                 "Sigmoid \"two\"");
    ob g = {0};
    NODE(&g, "MatMul", "mm", "x,x", "y", {0});
    INPUT(&g, "x", "2,3");
    OUTPUT(&g, "y", NULL);
    import_fails(state, ob_model(g, 17), CYG_E_GRAPH, "mm", "shapes do not fit");
    g = (ob){0};
    NODE(&g, "Relu", "r", "x", "y", {0});
    INPUT(&g, "x", "2,3");
    OUTPUT(&g, "y", "2,4");
    import_fails(state, ob_model(g, 17), CYG_E_GRAPH, "2,4", "2,3");
    g = (ob){0};
    NODE(&g, "Relu", "r", "x", "y", at_int("a", 1), at_int("a", 1));
    INPUT(&g, "x", "2,3");
    OUTPUT(&g, "y", NULL);
    import_fails(state, ob_model(g, 17), CYG_E_GRAPH, "given twice", "\"r\"");
}

static void test_any_order(void **state)
{
    cyg_graph *g = import_ok(state, two_nodes("t", "y", "x", "t"));
    assert_string_equal(nth(g, 0)->name, "two");
    assert_string_equal(nth(g, 1)->name, "one");
    cyg_graph_destroy(g);
}

/* Names that import makes up never take the name of a graph output. */
static void test_output_names(void **state)
{
    ob g = {0};
    NODE(&g, "Unsqueeze", "n", "x", "t", at_ints("axes", "0"));
    NODE(&g, "Relu", "r", "t", "n.axes", {0});
    INPUT(&g, "x", "2");
    OUTPUT(&g, "n.axes", "1,2");
    cyg_graph *graph = import_ok(state, ob_model(g, 11));
    assert_string_equal(cyg_val(graph, graph->outputs[0])->name, "n.axes");
    cyg_graph_destroy(graph);
}

static ob model_with_initializer(const char *stated, int twice)
{
    const float w[3] = {1, 2, 3};
    ob g = {0};
    NODE(&g, "Add", "add", "x,w", "y", {0});
    INPUT(&g, "x", "2,3");
    INPUT(&g, "w", stated);
    OUTPUT(&g, "y", NULL);
    for (int i = 0; i <= twice; i++)
        ob_put(&g, 5, ob_tensor_raw("w", 1, "3", w, sizeof w));
    ob_put(&g, 5, ob_tensor_raw("unused", 8, "3", w, sizeof w)); /* strings: nobody asks for them */
    return ob_model(g, 17);
}

static void test_initialisers(void **state)
{
    cyg_graph *g = import_ok(state, model_with_initializer("3", 0));
    assert_int_equal(g->input_count, 1);
    assert_true(cyg_val(g, nth(g, 0)->in[1])->is_const);
    cyg_graph_destroy(g);
    import_fails(state, model_with_initializer("4", 0), CYG_E_GRAPH, "\"w\"", "initialiser");
    import_fails(state, model_with_initializer("3", 1), CYG_E_GRAPH, "two initialisers", "\"w\"");
}

/* ---- shapes of inputs ---- */

static ob symbolic(const char *dims, const char *out)
{
    ob g = {0}, meta = {0};
    NODE(&g, "Relu", "r", "a:x", "y", {0});
    INPUT(&g, "a:x", dims);
    OUTPUT(&g, "y", out);
    ob m = ob_model(g, 17);
    ob_text(&meta, 1, "author");
    ob_text(&meta, 2, "somebody");
    ob_put(&m, 14, meta);
    return m;
}

static cyg_status with_shapes(void **state, ob model, const char *shapes, bool keep,
                              cyg_graph **out_graph)
{
    const cyg_onnx_import_options o = {.input_shapes = shapes, .keep_symbolic = keep};
    return import_with(state, model, &o, out_graph);
}

static void test_symbols(void **state)
{
    cyg_graph *g = import_ok(state, symbolic("N,3", "N,3"));
    EXPECT_DIMS(cyg_val(g, g->inputs[0]), 1, 3);
    EXPECT_DIMS(cyg_val(g, g->outputs[0]), 1, 3);
    assert_non_null(strstr(last_note, "batch \"N\" set to 1"));
    assert_string_equal(cyg_graph_meta(g, "author"), "somebody");
    assert_string_equal(cyg_graph_meta(g, "producer"), "tests");
    cyg_graph_destroy(g);

    g = import_ok(state, symbolic("?,3", NULL));
    EXPECT_DIMS(cyg_val(g, g->outputs[0]), 1, 3);
    cyg_graph_destroy(g);

    import_fails(state, symbolic("N,h", NULL), CYG_E_USAGE, "dimension 1 is \"h\"",
                 "--input_shapes");
    import_fails(state, symbolic(NULL, NULL), CYG_E_USAGE, "has no shape", "--input_shapes");

    assert_int_equal(with_shapes(state, symbolic("N,h", "N,h"), NULL, true, &g), CYG_OK);
    assert_true(cyg_val(g, g->inputs[0])->dims[1] < -1);
    cyg_graph_destroy(g);
}

static void test_input_shapes(void **state)
{
    cyg_graph *g = NULL;
    assert_int_equal(with_shapes(state, symbolic("N,h", "N,h"), "a:x:4x5;", false, &g), CYG_OK);
    EXPECT_DIMS(cyg_val(g, g->outputs[0]), 4, 5);
    cyg_graph_destroy(g);
    /* A fixed size gives way; what the file said about the output is forgotten. */
    assert_int_equal(with_shapes(state, symbolic("2,3", "2,3"), "a:x:4x5", false, &g), CYG_OK);
    EXPECT_DIMS(cyg_val(g, g->outputs[0]), 4, 5);
    cyg_graph_destroy(g);

    static const struct {
        const char *text, *says;
    } wrong[] = {{"a:x:4", "expected 2 dimensions, found 1"},
                 {"a:y:4x5", "did you mean \"a:x\""},
                 {"a:x", "expected name:"},
                 {"a:x:4x", "expected name:"},
                 {"a:x:0x5", "expected name:"},
                 {"a:x:4x5x", "expected name:"},
                 {":4x5", "expected name:"},
                 {"a:x:4x99999999999", "expected name:"}};
    for (size_t i = 0; i < CYG_COUNT(wrong); i++) {
        const cyg_status status =
            with_shapes(state, symbolic("N,3", NULL), wrong[i].text, false, &g);
        assert_int_equal(status, CYG_E_USAGE);
        assert_true(ctx_says(&test_ctx, wrong[i].says));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_nested_functions),
        TEST(test_reference_without_value),
        TEST(test_overload_and_pass_through),
        TEST(test_function_opset),
        TEST(test_bad_functions),
        TEST(test_refusals),
        TEST(test_many_refusals),
        TEST(test_foreign_types),
        TEST(test_wrong_graphs),
        TEST(test_any_order),
        TEST(test_initialisers),
        TEST(test_output_names),
        TEST(test_symbols),
        TEST(test_input_shapes),
    };
    return CYG_TEST_MAIN(tests);
}
