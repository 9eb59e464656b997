/* Each thing that the verifier promises, broken once: the message names it. */
#include "ir_testing.h"

static cyg_graph *g;
static cyg_ctx ctx;

static int setup(void **state)
{
    (void)state;
    cyg_ctx_init(&ctx);
    g = parse_graph("graph \"g\" opset 18\n"
                    "source @0 \"s\" \"Add\"\n"
                    "input %x: f32[2,3]\n"
                    "const %w: f32[3] = [1, 2, 3]\n"
                    "%a: f32[2,3] = add(%x, %w) \"first\" @0\n"
                    "%y: f32[2,3] = softmax(%a) {axis = 1} \"second\" @0\n"
                    "output %y\n");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    cyg_graph_destroy(g);
    return 0;
}

static cyg_value *value(const char *name)
{
    return cyg_val(g, cyg_graph_find_value(g, name));
}

static cyg_node *node(const char *name)
{
    return cyg_nod(g, cyg_graph_find_node(g, name));
}

static void assert_bad(const char *text)
{
    assert_int_equal(cyg_graph_verify(&ctx, g), CYG_E_INTERNAL);
    if (!ctx_says(&ctx, text))
        fail_msg("expected a message with \"%s\", found \"%s\"", text, cyg_ctx_message(&ctx, 0));
}

static void test_names(void **state)
{
    (void)state;
    value("a")->name = "x";
    assert_bad("two values are named x");
}

static void test_node_names(void **state)
{
    (void)state;
    node("first")->name = "second";
    assert_bad("two nodes are named second");
}

static void test_arity(void **state)
{
    (void)state;
    node("first")->in_count = 1;
    assert_bad("node first (add): expected 2 to 2 inputs, found 1");
}

static void test_required_input(void **state)
{
    (void)state;
    node("first")->in[1] = CYG_NO_VALUE;
    assert_bad("input 1 is absent");
}

static void test_range(void **state)
{
    (void)state;
    node("first")->in[1].i = 77;
    assert_bad("input 1 is no value");
}

static void test_order(void **state)
{
    (void)state;
    const cyg_node_id first = g->order[0];
    g->order[0] = g->order[1];
    g->order[1] = first;
    assert_bad("input 0, a, is made later");
}

static void test_order_is_complete(void **state)
{
    (void)state;
    g->order_count = 1;
    assert_bad("1 of 2 live nodes");
}

static void test_no_producer(void **state)
{
    (void)state;
    node("second")->in[0] = cyg_graph_add_value(g, "stray", CYG_TYPE_F32, 0, NULL);
    assert_bad("no node makes it");
}

static void test_two_producers(void **state)
{
    (void)state;
    node("second")->out[0] = cyg_graph_find_value(g, "a");
    assert_bad("output 0, a, is also");
}

static void test_attribute_key(void **state)
{
    (void)state;
    cyg_node_set_int(g, cyg_graph_find_node(g, "first"), CYG_ATTR_axis, 1);
    assert_bad("no attribute axis");
}

static void test_attribute_kind(void **state)
{
    (void)state;
    cyg_node_set_float(g, cyg_graph_find_node(g, "second"), CYG_ATTR_axis, 1.0f);
    assert_bad("attribute axis: expected an int, found a float");
}

static void test_const_size(void **state)
{
    (void)state;
    value("w")->bytes = 8;
    assert_bad("constant w: expected 12 bytes for its f32 shape, found 8");
}

static void test_const_is_not_made(void **state)
{
    (void)state;
    value("w")->producer = cyg_graph_find_node(g, "first");
    assert_bad("constant w has a producer");
}

static void test_input_is_not_made(void **state)
{
    (void)state;
    g->inputs[0] = cyg_graph_find_value(g, "a");
    assert_bad("graph input a is also made by a node");
}

static void test_quant_axis(void **state)
{
    (void)state;
    static const float scales[] = {1.0f, 2.0f};
    value("w")->quant = (cyg_quant){CYG_TYPE_S8, 0, 0, 2, scales};
    assert_bad("expected 3 scales along axis 0, found 2");
}

static void test_symbol(void **state)
{
    (void)state;
    value("a")->dims[0] = -9;
    assert_bad("value a: dimension 0 is no symbol");
}

static void test_sources(void **state)
{
    (void)state;
    node("first")->sources[0].i = 5;
    assert_bad("source 0 is unknown");
}

static void test_out_of_memory_is_reported(void **state)
{
    (void)state;
    g->failed = true;
    assert_int_equal(cyg_graph_verify(&ctx, g), CYG_E_NOMEM);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_names),
        CASE(test_node_names),
        CASE(test_arity),
        CASE(test_required_input),
        CASE(test_range),
        CASE(test_order),
        CASE(test_order_is_complete),
        CASE(test_no_producer),
        CASE(test_two_producers),
        CASE(test_attribute_key),
        CASE(test_attribute_kind),
        CASE(test_const_size),
        CASE(test_const_is_not_made),
        CASE(test_input_is_not_made),
        CASE(test_quant_axis),
        CASE(test_symbol),
        CASE(test_sources),
        CASE(test_out_of_memory_is_reported),
    };
    return CYG_TEST_MAIN(tests);
}
