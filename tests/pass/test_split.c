/* Attention split into its steps gives what the fused one gives, in every form that can be split,
 * and each operator of the source model is found at the step that it became. */
#include "../ir/ir_testing.h"

#include "pass/check.h"
#include "pass/split_attention.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_result),
        cmocka_unit_test(provenance),
        cmocka_unit_test(cannot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
