/* Canonical form: old ways of saying things, and what they become. */
#include "fixture.h"

/* x [2,3,4] -> one node -> y. */
static ob one_node(const char *op, const char *in, const char *out, int opset, attrs list)
{
    ob g = {0};
    ob_put(&g, 1, ob_node("", op, "n", in, out, list));
    INPUT(&g, "x", "2,3,4");
    OUTPUT(&g, "y", NULL);
    return ob_model(g, opset);
}
#define ONE(op, in, out, opset, ...) one_node(op, in, out, opset, (attrs){{__VA_ARGS__}})

static void test_axes_become_inputs(void **state)
{
    cyg_graph *g = import_ok(state, ONE("Unsqueeze", "x", "y", 11, at_ints("axes", "0,2")));
    EXPECT_INTS(g, nth(g, 0), 1, 0, 2);
    EXPECT_DIMS(cyg_val(g, g->outputs[0]), 1, 2, 1, 3, 4);
    cyg_graph_destroy(g);

    g = import_ok(state, ONE("ReduceMean", "x", "y", 17, at_ints("axes", "-1")));
    EXPECT_INTS(g, nth(g, 0), 1, -1);
    assert_int_equal(cyg_node_int(nth(g, 0), CYG_ATTR_keepdims, -5), 1);
    EXPECT_DIMS(cyg_val(g, g->outputs[0]), 2, 3, 1);
    cyg_graph_destroy(g);

    g = import_ok(state, ONE("ReduceSum", "x", "y", 12, at_int("keepdims", 0)));
    assert_int_equal(nth(g, 0)->in_count, 1);
    assert_int_equal(cyg_val(g, g->outputs[0])->rank, 0);
    cyg_graph_destroy(g);

    /* From 13 on the attribute does not exist any more. */
    import_fails(state, ONE("ReduceSum", "x", "y", 13, at_ints("axes", "0")), CYG_E_UNSUPPORTED,
                 "unknown attribute \"axes\"", "(opset 13)");
}

static void test_slice_split_pad(void **state)
{
    cyg_graph *g = import_ok(state, ONE("Slice", "x", "y", 9, at_ints("starts", "1"),
                                        at_ints("ends", "3"), at_ints("axes", "2")));
    EXPECT_INTS(g, nth(g, 0), 1, 1);
    EXPECT_INTS(g, nth(g, 0), 2, 3);
    EXPECT_INTS(g, nth(g, 0), 3, 2);
    EXPECT_DIMS(cyg_val(g, g->outputs[0]), 2, 3, 2);
    cyg_graph_destroy(g);

    g = import_ok(state, ONE("Split", "x", "y,z", 11, at_ints("split", "1,3"), at_int("axis", 2)));
    EXPECT_INTS(g, nth(g, 0), 1, 1, 3);
    EXPECT_DIMS(cyg_val(g, nth(g, 0)->out[1]), 2, 3, 3);
    cyg_graph_destroy(g);

    g = import_ok(state, ONE("Split", "x", "y,", 13, at_int("axis", 2)));
    assert_int_equal(cyg_node_int(nth(g, 0), CYG_ATTR_num_outputs, 0), 2);
    EXPECT_DIMS(cyg_val(g, g->outputs[0]), 2, 3, 2);
    cyg_graph_destroy(g);

    g = import_ok(state, ONE("Pad", "x", "y", 10, at_ints("pads", "0,0,1,0,0,2"),
                             at_float("value", 3.0f), at_text("mode", "constant")));
    EXPECT_INTS(g, nth(g, 0), 1, 0, 0, 1, 0, 0, 2);
    assert_true(*(const float *)cyg_val(g, nth(g, 0)->in[2])->data == 3.0f);
    EXPECT_DIMS(cyg_val(g, g->outputs[0]), 2, 3, 7);
    cyg_graph_destroy(g);

    static const int64_t pads[6] = {0, 1, 0, 0, 1, 0};
    static const float values[4] = {1, 2, 3, 4};
    for (size_t count = 0; count <= 4; count += count == 0 ? 1 : 3) { /* as many as the last axis */
        char dims[8];
        snprintf(dims, sizeof dims, "%zu", count);
        ob b = {0};
        ob_put(&b, 11, ob_value("x", 1, "2,3,4"));
        ob_put(&b, 12, ob_value("y", 1, NULL));
        ob_put(&b, 5, ob_tensor_raw("p", 7, "6", pads, sizeof pads));
        ob_put(&b, 5, ob_tensor_raw("c", 1, dims, values, count * sizeof *values));
        NODE(&b, "Pad", "n", "x,p,c", "y", {0});
        if (count == 1) {
            cyg_graph_destroy(import_ok(state, ob_model(b, 17)));
            continue;
        }
        char says[64];
        snprintf(says, sizeof says, "constant_value: expected one element, found %zu", count);
        import_fails(state, ob_model(b, 17), CYG_E_GRAPH, "Pad \"n\"", says);
    }
}

static void test_clip(void **state)
{
    cyg_graph *g = import_ok(state, ONE("Clip", "x", "y", 10, at_float("max", 6.0f)));
    const cyg_node *n = nth(g, 0);
    assert_int_equal(n->in_count, 3);
    assert_true(cyg_value_is_none(n->in[1]));
    assert_true(*(const float *)cyg_val(g, n->in[2])->data == 6.0f);
    cyg_graph_destroy(g);

    ob b = {0};
    NODE(&b, "Clip", "n", "x", "y", at_float("min", -2.0f));
    ob_put(&b, 11, ob_value("x", 10, "4"));
    ob_put(&b, 12, ob_value("y", 10, "4"));
    g = import_ok(state, ob_model(b, 7));
    const cyg_value *low = cyg_val(g, nth(g, 0)->in[1]);
    assert_int_equal(low->type, CYG_TYPE_F16);
    assert_int_equal(*(const uint16_t *)low->data, 0xc000);
    cyg_graph_destroy(g);
}

static void test_softmax(void **state)
{
    /* The last axis means the same in every opset. */
    cyg_graph *g = import_ok(state, ONE("Softmax", "x", "y", 11, at_int("axis", 2)));
    assert_int_equal(g->order_count, 1);
    assert_int_equal(cyg_node_int(nth(g, 0), CYG_ATTR_axis, -5), 2);
    cyg_graph_destroy(g);

    /* The old default, 1, normalises over the last two dimensions together. */
    g = import_ok(state, ONE("Softmax", "x", "y", 11, {0}));
    assert_int_equal(g->order_count, 3);
    assert_int_equal(nth(g, 0)->op, CYG_OP_flatten);
    assert_int_equal(cyg_node_int(nth(g, 0), CYG_ATTR_axis, -5), 1);
    assert_int_equal(nth(g, 1)->op, CYG_OP_softmax);
    assert_int_equal(cyg_node_int(nth(g, 1), CYG_ATTR_axis, -5), -1);
    EXPECT_DIMS(cyg_val(g, nth(g, 1)->out[0]), 2, 12);
    assert_int_equal(nth(g, 2)->op, CYG_OP_reshape);
    EXPECT_INTS(g, nth(g, 2), 1, 2, 3, 4);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(nth(g, i)->source_count, 1);
        assert_string_equal(g->sources[nth(g, i)->sources[0].i].name, "n");
    }
    assert_string_equal(cyg_val(g, g->outputs[0])->name, "y");
    cyg_graph_destroy(g);

    g = import_ok(state, ONE("LogSoftmax", "x", "y", 13, {0}));
    assert_int_equal(g->order_count, 1);
    assert_int_equal(cyg_node_int(nth(g, 0), CYG_ATTR_axis, -5), -1);
    cyg_graph_destroy(g);
}

static void test_dropout(void **state)
{
    cyg_graph *g = import_ok(state, ONE("Dropout", "x", "y,mask", 10, at_float("ratio", 0.5f)));
    assert_int_equal(nth(g, 0)->op, CYG_OP_identity);
    assert_int_equal(nth(g, 0)->in_count, 1);
    assert_string_equal(g->sources[0].kind, "Dropout");
    cyg_graph_destroy(g);

    ob b = {0};
    NODE(&b, "Dropout", "drop", "x", "z,mask", {0});
    NODE(&b, "Identity", "i", "mask", "y", {0});
    INPUT(&b, "x", "4");
    ob_put(&b, 12, ob_value("y", 9, NULL));
    g = import_ok(state, ob_model(b, 12)); /* the mask is made of other nodes: all true */
    assert_int_equal(g->order_count, 4);
    assert_int_equal(cyg_val(g, g->outputs[0])->type, CYG_TYPE_BOOL);
    EXPECT_DIMS(cyg_val(g, g->outputs[0]), 4);
    cyg_graph_destroy(g);

    const uint8_t on = 1;
    b = (ob){0};
    NODE(&b, "Dropout", "drop", "x,,t", "y", {0});
    INPUT(&b, "x", "4");
    OUTPUT(&b, "y", NULL);
    ob_put(&b, 5, ob_tensor_raw("t", 9, "", &on, 1));
    import_fails(state, ob_model(b, 12), CYG_E_UNSUPPORTED, "drop", "training mode");
}

/* The mean of LayerNormalization exists only when somebody reads it. */
static void test_layer_mean(void **state)
{
    for (int read = 0; read < 2; read++) {
        ob b = {0};
        const float s[4] = {1, 1, 1, 1};
        NODE(&b, "LayerNormalization", "norm", "x,s", "y,mean", at_int("axis", 1));
        if (read)
            NODE(&b, "Identity", "i", "mean", "z", {0});
        INPUT(&b, "x", "2,4");
        OUTPUT(&b, read ? "z" : "y", NULL);
        ob_put(&b, 5, ob_tensor_raw("s", 1, "4", s, sizeof s));
        cyg_graph *g = import_ok(state, ob_model(b, 17));
        assert_int_equal(g->order_count, read ? 4 : 1);
        EXPECT_DIMS(cyg_val(g, g->outputs[0]), 2, read ? 1 : 4);
        cyg_graph_destroy(g);
    }
}

/* Every form of Constant; the same number each time. */
static void test_constants(void **state)
{
    const float f = 3.0f;
    const struct {
        ob attr;
        cyg_type type;
        int rank;
    } cases[] = {{at_float("value_float", f), CYG_TYPE_F32, 0},
                 {at_int("value_int", 3), CYG_TYPE_S64, 0},
                 {at_ints("value_ints", "3"), CYG_TYPE_S64, 1},
                 {at_tensor("value", ob_tensor_raw("", 1, "1,1", &f, 4)), CYG_TYPE_F32, 2}};
    for (size_t i = 0; i < CYG_COUNT(cases); i++) {
        ob b = {0};
        NODE(&b, "Identity", "late", "c", "y", {0}); /* before its definition */
        NODE(&b, "Constant", "", "", "c", cases[i].attr);
        INPUT(&b, "x", "4");
        ob_put(&b, 12, ob_value("y", 0, NULL));
        cyg_graph *g = import_ok(state, ob_model(b, 13));
        const cyg_value *v = cyg_val(g, nth(g, 0)->in[0]);
        assert_true(v->is_const);
        assert_string_equal(v->name, "c");
        assert_int_equal(v->type, cases[i].type);
        assert_int_equal(v->rank, cases[i].rank);
        if (v->type == CYG_TYPE_F32)
            assert_true(*(const float *)v->data == f);
        else
            assert_int_equal(*(const int64_t *)v->data, 3);
        cyg_graph_destroy(g);
    }
    import_fails(state, ONE("Constant", "", "y", 13, at_text("value_string", "s")),
                 CYG_E_UNSUPPORTED, "Constant", "a string");
}

static void test_window(void **state)
{
    ob b = {0};
    const float w[2 * 3 * 3 * 3] = {0};
    NODE(&b, "Conv", "c", "x,w", "y", at_text("auto_pad", "SAME_UPPER"), at_ints("strides", "2,2"));
    INPUT(&b, "x", "1,3,8,7");
    OUTPUT(&b, "y", "1,2,4,4");
    ob_put(&b, 5, ob_tensor_raw("w", 1, "2,3,3,3", w, sizeof w));
    cyg_graph *g = import_ok(state, ob_model(b, 11));
    const cyg_node *n = nth(g, 0);
    const int64_t *list;
    assert_null(cyg_node_attr(n, CYG_ATTR_auto_pad));
    assert_int_equal(cyg_node_ints(n, CYG_ATTR_pads, &list), 4);
    /* rows: (4-1)*2+3-8 = 1, all of it at the end; columns: (4-1)*2+3-7 = 2, one on each side */
    assert_int_equal(list[0], 0);
    assert_int_equal(list[1], 1);
    assert_int_equal(list[2], 1);
    assert_int_equal(list[3], 1);
    assert_int_equal(cyg_node_ints(n, CYG_ATTR_kernel_shape, &list), 2);
    assert_int_equal(list[1], 3);
    assert_int_equal(cyg_node_int(n, CYG_ATTR_group, 0), 1);
    cyg_graph_destroy(g);

    g = import_ok(state, ONE("MaxPool", "x", "y,", 12, at_ints("kernel_shape", "2")));
    assert_int_equal(cyg_node_ints(nth(g, 0), CYG_ATTR_strides, &list), 1);
    assert_int_equal(list[0], 1);
    EXPECT_DIMS(cyg_val(g, g->outputs[0]), 2, 3, 3);
    cyg_graph_destroy(g);

    import_fails(state, ONE("MaxPool", "x", "y", 12, {0}), CYG_E_GRAPH, "kernel_shape", "MaxPool");
    import_fails(state,
                 ONE("MaxPool", "x", "y", 12, at_ints("kernel_shape", "2"), at_ints("pads", "1")),
                 CYG_E_GRAPH, "MaxPool \"n\"", "wrong number");
}

static void test_cast_like_and_transpose(void **state)
{
    ob b = {0};
    const int64_t t = 7;
    NODE(&b, "CastLike", "c", "x,t", "m", {0});
    NODE(&b, "Transpose", "r", "m", "y", {0});
    INPUT(&b, "x", "2,3");
    ob_put(&b, 12, ob_value("y", 7, "3,2"));
    ob_put(&b, 5, ob_tensor_raw("t", 7, "", &t, 8));
    cyg_graph *g = import_ok(state, ob_model(b, 15));
    assert_int_equal(nth(g, 0)->op, CYG_OP_cast);
    assert_int_equal(nth(g, 0)->in_count, 1);
    assert_int_equal(cyg_node_int(nth(g, 0), CYG_ATTR_to, 0), 7);
    const int64_t *perm;
    assert_int_equal(cyg_node_ints(nth(g, 1), CYG_ATTR_perm, &perm), 2);
    assert_int_equal(perm[0], 1);
    cyg_graph_destroy(g);
}

static void test_refused_attributes(void **state)
{
    import_fails(state, ONE("Relu", "x", "y", 13, at_int("consumed", 1)), CYG_E_UNSUPPORTED,
                 "unknown attribute \"consumed\"", "Relu");
    import_fails(state, ONE("LeakyRelu", "x", "y", 13, at_int("alpha", 1)), CYG_E_GRAPH,
                 "expected a float, found an integer", "LeakyRelu \"n\"");
    import_fails(state, ONE("Gelu", "x", "y", 19, {0}), CYG_E_UNSUPPORTED, "Gelu",
                 "not in this opset");
    import_fails(state, ONE("Cast", "x", "y", 19, at_int("to", 17)), CYG_E_UNSUPPORTED, "Cast",
                 "element type");
    import_fails(state, ONE("Relu", "x", "y", 6, {0}), CYG_E_UNSUPPORTED, "expected opset 7 to 22",
                 "found 6");
}

static void test_zero_point_from_type(void **state)
{
    ob b = {0};
    const float scale[3] = {1, 2, 3};
    NODE(&b, "QuantizeLinear", "q", "x,s", "y", at_int("output_dtype", 5), at_int("axis", 1));
    INPUT(&b, "x", "2,3");
    ob_put(&b, 12, ob_value("y", 5, "2,3"));
    ob_put(&b, 5, ob_tensor_raw("s", 1, "3", scale, sizeof scale));
    cyg_graph *g = import_ok(state, ob_model(b, 21));
    const cyg_value *zero = cyg_val(g, nth(g, 0)->in[2]);
    assert_int_equal(zero->type, CYG_TYPE_S16);
    EXPECT_DIMS(zero, 3);
    assert_int_equal(cyg_val(g, g->outputs[0])->type, CYG_TYPE_S16);
    cyg_graph_destroy(g);
}

/* What got another name, or lost the only way that it had. */
static void test_older_operators(void **state)
{
    ob g = {0};
    ob_put(&g, 1, ob_node("", "Upsample", "n", "x,s", "y", (attrs){{at_text("mode", "linear")}}));
    INPUT(&g, "x", "2,3,4,5");
    const float scales[] = {1, 1, 2, 3};
    ob_put(&g, 5, ob_tensor_raw("s", 1, "4", scales, sizeof scales));
    OUTPUT(&g, "y", NULL);
    cyg_graph *graph = import_ok(state, ob_model(g, 9));
    assert_int_equal(nth(graph, 0)->op, CYG_OP_resize);
    assert_string_equal(cyg_node_string(nth(graph, 0), CYG_ATTR_mode, ""), "linear");
    assert_string_equal(cyg_node_string(nth(graph, 0), CYG_ATTR_coordinate_transformation_mode, ""),
                        "asymmetric");
    assert_string_equal(cyg_node_string(nth(graph, 0), CYG_ATTR_nearest_mode, ""), "floor");
    assert_true(cyg_value_is_none(nth(graph, 0)->in[1]));
    EXPECT_DIMS(cyg_val(graph, graph->outputs[0]), 2, 3, 8, 15);
    cyg_graph_destroy(graph);

    graph = import_ok(state, ONE("TopK", "x", "y,i", 9, at_int("k", 2)));
    EXPECT_INTS(graph, nth(graph, 0), 1, 2);
    EXPECT_DIMS(cyg_val(graph, graph->outputs[0]), 2, 3, 2);
    cyg_graph_destroy(graph);

    graph = import_ok(state, ONE("Max", "x,x,x,x", "y", 13, {0}));
    assert_int_equal(graph->order_count, 3);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(nth(graph, i)->in_count, 2);
    cyg_graph_destroy(graph);
}

/* Outputs that nobody reads are not there; those that are read are. */
static void test_optional_outputs(void **state)
{
    cyg_graph *g = import_ok(state, ONE("MaxPool", "x", "y,i", 13, at_ints("kernel_shape", "2")));
    assert_int_equal(nth(g, 0)->out_count, 1);
    cyg_graph_destroy(g);
    ob b = {0};
    ob_put(&b, 1, ob_node("", "MaxPool", "n", "x", "y,i", (attrs){{at_ints("kernel_shape", "2")}}));
    ob_put(&b, 1, ob_node("", "Cast", "m", "i", "z", (attrs){{at_int("to", 1)}}));
    INPUT(&b, "x", "2,3,4");
    OUTPUT(&b, "y", NULL);
    OUTPUT(&b, "z", NULL);
    g = import_ok(state, ob_model(b, 13));
    assert_int_equal(nth(g, 0)->out_count, 2);
    assert_int_equal(cyg_val(g, nth(g, 0)->out[1])->type, CYG_TYPE_S64);
    EXPECT_DIMS(cyg_val(g, nth(g, 0)->out[1]), 2, 3, 3);
    cyg_graph_destroy(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_axes_become_inputs),
        TEST(test_slice_split_pad),
        TEST(test_clip),
        TEST(test_softmax),
        TEST(test_dropout),
        TEST(test_layer_mean),
        TEST(test_constants),
        TEST(test_window),
        TEST(test_cast_like_and_transpose),
        TEST(test_refused_attributes),
        TEST(test_zero_point_from_type),
        TEST(test_older_operators),
        TEST(test_optional_outputs),
    };
    return CYG_TEST_MAIN(tests);
}
