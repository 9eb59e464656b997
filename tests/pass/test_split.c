/* Attention split into its steps gives what the fused one gives, in every form that can be split,
 * and each operator of the source model is found at the step that it became; likewise a linear or
 * convolution and what stands behind its product. */
#include "../ir/ir_testing.h"

#include "pass/check.h"
#include "pass/split_attention.h"
#include "pass/split_tail.h"

static const char *const forms[] = {
    /* one fused value, a table */
    "graph \"plain\" opset 18\n"
    "input %x: f32[2,5,24]\n"
    "const %t: f32[1,2,5,5] = #0000000000000000 200\n"
    "%y: f32[2,5,8] = attention(%x, %x, %x, %t) {heads = 2, head_dim = 4, tokens = 5, scale = 0.5, "
    "k_offset = 8, v_offset = 16} \"a\"\n"
    "output %y\n",
    /* windows by rows, a table for each mask */
    "graph \"windows\" opset 18\n"
    "input %x: f32[8,24]\n"
    "const %t: f32[2,2,4,4] = #0000000000000000 256\n"
    "const %m: s64[2] = [1, 0]\n"
    "const %r: s64[2,4] = [0, 2, 4, 6, 7, 5, 3, 1]\n"
    "%y: f32[8,8] = attention(%x, %x, %x, %t, %m, %r) {heads = 2, head_dim = 4, tokens = 4, scale "
    "= 1, k_offset = 8, v_offset = 16} \"a\"\n"
    "output %y\n",
    /* cosine, a scale for each head, operands of their own */
    "graph \"cosine\" opset 18\n"
    "input %q: f32[1,6,8]\n"
    "input %k: f32[1,6,8]\n"
    "input %v: f32[1,6,8]\n"
    "const %h: f32[2] = [7, 3]\n"
    "%y: f32[1,6,8] = attention(%q, %k, %v, _, _, _, %h) {heads = 2, head_dim = 4, tokens = 3, "
    "scale = 2, cosine = 1} \"a\"\n"
    "output %y\n",
};

static void fill(cyg_graph *g)
{
    for (uint32_t i = 0; i < g->value_count; i++) {
        cyg_value *v = &g->values[i];
        if (!v->is_const || v->type != CYG_TYPE_F32 || v->rank != 4)
            continue;
        float *x = cyg_arena_alloc(&g->arena, v->bytes, 64);
        assert_non_null(x);
        for (int64_t k = 0; k < cyg_value_elements(v); k++)
            x[k] = (float)(k * 37 % 23) / 7.0f - 1.5f;
        v->data = x;
    }
}

static void same_result(void **state)
{
    (void)state;
    for (size_t i = 0; i < CYG_COUNT(forms); i++) {
        cyg_ctx ctx;
        cyg_check *check = NULL;
        cyg_difference difference = {0};
        cyg_ctx_init(&ctx);
        cyg_graph *fused = parse_graph(forms[i]), *g = parse_graph(forms[i]);
        fill(fused);
        fill(g);
        const cyg_node_id n = cyg_graph_find_node(g, "a");
        assert_true(cyg_split_attention_can(g, n));
        assert_int_equal(cyg_check_create(&ctx, fused, NULL, &check), CYG_OK);
        if (cyg_split_attention(&ctx, g, &n, 1) != CYG_OK || cyg_graph_verify(&ctx, g) != CYG_OK ||
            cyg_check_compare(&ctx, check, g, &difference) != CYG_OK)
            fail_msg("form %zu: %s", i, cyg_ctx_message(&ctx, 0));
        for (uint32_t k = 0; k < g->order_count; k++)
            assert_int_not_equal(cyg_nod(g, g->order[k])->op, CYG_OP_attention);
        cyg_check_destroy(check);
        cyg_graph_destroy(g);
        cyg_graph_destroy(fused);
    }
}

static const char *source_of(const cyg_graph *g, cyg_op op, int which)
{
    for (uint32_t i = 0; i < g->order_count; i++) {
        const cyg_node *n = cyg_nod(g, g->order[i]);
        if (n->op == op && which-- == 0)
            return n->source_count == 1 ? g->sources[n->sources[0].i].name : "not one";
    }
    return "none";
}

static void provenance(void **state)
{
    (void)state;
    cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    cyg_graph *g =
        parse_graph("graph \"named\" opset 18\n"
                    "source @0 \"qk\" \"MatMul\"\n"
                    "source @1 \"soft\" \"Softmax\"\n"
                    "source @2 \"scale\" \"Mul\"\n"
                    "source @3 \"pv\" \"MatMul\"\n"
                    "input %x: f32[1,5,24]\n"
                    "%y: f32[1,5,8] = attention(%x, %x, %x) {heads = 2, head_dim = 4, "
                    "tokens = 5, scale = 0.5, k_offset = 8, v_offset = 16} \"a\" @0,1,2,3\n"
                    "output %y\n");
    const cyg_node_id n = cyg_graph_find_node(g, "a");
    assert_int_equal(cyg_split_attention(&ctx, g, &n, 1), CYG_OK);
    assert_string_equal(source_of(g, CYG_OP_matmul, 0), "qk");
    assert_string_equal(source_of(g, CYG_OP_mul, 0), "scale");
    assert_string_equal(source_of(g, CYG_OP_softmax, 0), "soft");
    assert_string_equal(source_of(g, CYG_OP_matmul, 1), "pv");
    cyg_graph_destroy(g);
}

/* Other keys than queries, and masks of the run: they stay fused. */
static void cannot(void **state)
{
    (void)state;
    cyg_graph *g = parse_graph("graph \"run\" opset 18\n"
                               "input %x: f32[1,5,24]\n"
                               "input %t: f32[1,2,5,5]\n"
                               "%y: f32[1,5,8] = attention(%x, %x, %x, %t) {heads = 2, head_dim = "
                               "4, tokens = 5, scale = 0.5, k_offset = 8, v_offset = 16} \"a\"\n"
                               "output %y\n");
    assert_false(cyg_split_attention_can(g, cyg_graph_find_node(g, "a")));
    cyg_graph_destroy(g);
}

/* ---- behind a product ---- */

/* Every activation, in front of a residual and with another one behind it, from each place on. */
static void same_tail(void **state)
{
    (void)state;
    for (int i = 0; i < 4 * CYG_ACT_COUNT; i++) {
        const int act = i / 4;
        const cyg_tail_part from = i % 4 < 2 ? CYG_TAIL_ACT : CYG_TAIL_RESIDUAL;
        const bool conv = i % 2 == 1;
        char text[1024];
        cyg_ctx ctx;
        cyg_check *check = NULL;
        cyg_difference difference = {0};
        cyg_ctx_init(&ctx);
        snprintf(text, sizeof text,
                 "graph \"tail\" opset 18\ninput %%x: f32[1,5,5,4]\ninput %%r: f32[1,5,5,6]\n"
                 "const %%w: f32[6,%s4] = #0000000000000000 96\n"
                 "const %%b: f32[6] = [0.5, -1, 2, 0.25, -3, 1]\n"
                 "%%y: f32[1,5,5,6] = %s(%%x, %%w, %%b, %%r) {act = %d, act_lo = %s, act_hi = %s, "
                 "post_act = 1%s} \"a\"\noutput %%y\n",
                 conv ? "1,1," : "", conv ? "conv2d" : "linear", act,
                 act == CYG_ACT_CLIP ? "-0.5" : "0.2", act == CYG_ACT_CLIP ? "0.75" : "0.4",
                 conv ? ", kernel_shape = [1, 1]" : "");
        cyg_graph *fused = parse_graph(text), *g = parse_graph(text);
        static float weights[24];
        for (int k = 0; k < 24; k++)
            weights[k] = (float)(k * 37 % 23) / 7.0f - 1.5f;
        cyg_val(fused, cyg_graph_find_value(fused, "w"))->data = weights;
        cyg_val(g, cyg_graph_find_value(g, "w"))->data = weights;
        const cyg_node_id n = cyg_graph_find_node(g, "a");
        assert_int_equal(cyg_check_create(&ctx, fused, NULL, &check), CYG_OK);
        if (cyg_split_tail(&ctx, g, &n, &from, 1) != CYG_OK ||
            cyg_graph_verify(&ctx, g) != CYG_OK ||
            cyg_check_compare(&ctx, check, g, &difference) != CYG_OK)
            fail_msg("act %d: %s", act, cyg_ctx_message(&ctx, 0));
        const cyg_node *product = cyg_nod(g, cyg_graph_find_node(g, "a"));
        assert_int_equal(product->op, conv ? CYG_OP_conv2d : CYG_OP_linear);
        assert_int_equal(product->in_count, 3);
        assert_int_equal(cyg_node_int(product, CYG_ATTR_act, 0), from == CYG_TAIL_ACT ? 0 : act);
        assert_int_equal(cyg_node_int(product, CYG_ATTR_post_act, 0), 0);
        cyg_check_destroy(check);
        cyg_graph_destroy(g);
        cyg_graph_destroy(fused);
    }
}

/* GELU as exporters write it, between a bias and a residual with a Relu behind it. */
static void tail_provenance(void **state)
{
    (void)state;
    cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    cyg_graph *g = parse_graph(
        "graph \"named\" opset 18\n"
        "source @0 \"fc\" \"MatMul\"\nsource @1 \"bias\" \"Add\"\nsource @2 \"div\" \"Div\"\n"
        "source @3 \"erf\" \"Erf\"\nsource @4 \"one\" \"Add\"\nsource @5 \"mul\" \"Mul\"\n"
        "source @6 \"res\" \"Add\"\nsource @7 \"relu\" \"Relu\"\n"
        "input %x: f32[1,5,4]\ninput %r: f32[1,5,4]\n"
        "const %w: f32[4,4] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4, 5, 6, 7]\n"
        "const %b: f32[4] = [1, 2, 3, 4]\n"
        "%y: f32[1,5,4] = linear(%x, %w, %b, %r) {act = 2, post_act = 1} \"fc\" "
        "@0,1,2,3,4,5,6,7\noutput %y\n");
    static const cyg_tail_part wanted[] = {CYG_TAIL_PRODUCT,  CYG_TAIL_PRODUCT, CYG_TAIL_ACT,
                                           CYG_TAIL_ACT,      CYG_TAIL_ACT,     CYG_TAIL_ACT,
                                           CYG_TAIL_RESIDUAL, CYG_TAIL_POST};
    const cyg_node_id n = cyg_graph_find_node(g, "fc");
    const cyg_tail_part from = CYG_TAIL_ACT;
    for (uint32_t k = 0; k < 8; k++)
        assert_int_equal(cyg_tail_part_of(g, cyg_nod(g, n), k), wanted[k]);
    assert_int_equal(cyg_split_tail(&ctx, g, &n, &from, 1), CYG_OK);
    assert_string_equal(source_of(g, CYG_OP_add, 0), "res");
    assert_string_equal(source_of(g, CYG_OP_relu, 0), "relu");
    assert_int_equal(cyg_nod(g, cyg_graph_find_node(g, "fc"))->source_count, 2);
    cyg_graph_destroy(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_result), cmocka_unit_test(provenance),      cmocka_unit_test(cannot),
        cmocka_unit_test(same_tail),   cmocka_unit_test(tail_provenance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
