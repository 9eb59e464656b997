/* Building and changing graphs: names, order, uses, replacement, clones, provenance. */
#include "ir_testing.h"

static const int64_t dims23[] = {2, 3};

static cyg_node_id add_unary(cyg_graph *g, cyg_op op, const char *name, cyg_value_id x,
                             cyg_value_id *out_y)
{
    *out_y = cyg_graph_add_value(g, NULL, CYG_TYPE_F32, 2, dims23);
    return cyg_graph_add_node(g, CYG_NO_NODE, op, name, &x, 1, out_y, 1);
}

static void test_tables(void **state)
{
    (void)state;
    for (int i = 0; i < CYG_OP_COUNT; i++) {
        const cyg_op_schema *s = cyg_op_schema_of((cyg_op)i);
        assert_non_null(s->id);
        if (i != CYG_OP_removed)
            assert_int_equal(cyg_op_find(s->domain, s->onnx), i);
        for (size_t a = 0; a < s->attr_count; a++)
            assert_int_equal(cyg_attr_key_find(cyg_attr_key_name(s->attrs[a].key)),
                             s->attrs[a].key);
    }
    const cyg_op_schema *gemm = cyg_op_schema_of(CYG_OP_gemm);
    assert_int_equal(gemm->attr_count, 4);
    assert_int_equal(gemm->attrs[0].key, CYG_ATTR_alpha);
    assert_int_equal(gemm->attrs[3].kind, CYG_KIND_INT);
    assert_int_equal(cyg_op_schema_of(CYG_OP_relu)->attr_count, 0);
    assert_int_equal(cyg_op_schema_of(CYG_OP_reduce_l2)->attr_count, 2);
    assert_int_equal(cyg_op_schema_of(CYG_OP_gather_rows)->attrs[0].key, CYG_ATTR_rows_in);
    assert_int_equal(cyg_op_find("", "Nonsense"), CYG_OP_COUNT);
    assert_int_equal(cyg_op_find("ai.onnx", "Add"), CYG_OP_add);
    assert_int_equal(cyg_attr_key_find("nonsense"), CYG_ATTR_COUNT);
    assert_int_equal(cyg_type_from_onnx(cyg_type_to_onnx(CYG_TYPE_S64)), CYG_TYPE_S64);
    assert_int_equal(cyg_type_from_onnx(99), CYG_TYPE_NONE);
    assert_int_equal(cyg_type_size(CYG_TYPE_F16), 2);
}

static void test_names_are_unique(void **state)
{
    (void)state;
    cyg_graph *g = cyg_graph_create();
    const cyg_value_id a = cyg_graph_add_value(g, "x", CYG_TYPE_F32, 2, dims23);
    const cyg_value_id b = cyg_graph_add_value(g, "x", CYG_TYPE_F32, 2, dims23);
    assert_string_not_equal(cyg_val(g, a)->name, cyg_val(g, b)->name);
    assert_int_equal(cyg_graph_find_value(g, "x").i, a.i);
    assert_true(cyg_graph_rename_value(g, b, "y"));
    assert_int_equal(cyg_graph_find_value(g, "y").i, b.i);
    cyg_value_id y;
    const cyg_node_id n = add_unary(g, CYG_OP_relu, "act", a, &y);
    cyg_graph_remove_node(g, n);
    assert_true(cyg_node_is_none(cyg_graph_find_node(g, "act")));
    assert_string_equal(cyg_nod(g, add_unary(g, CYG_OP_relu, "act", a, &y))->name, "act");
    cyg_graph_destroy(g);
}

static void test_attributes(void **state)
{
    (void)state;
    cyg_graph *g = cyg_graph_create();
    cyg_value_id x = cyg_graph_add_value(g, "x", CYG_TYPE_F32, 2, dims23), y;
    const cyg_node_id n = add_unary(g, CYG_OP_conv2d, "n", x, &y);
    const int64_t pads[] = {1, 2, 3, 4};
    const int64_t *found;
    for (int round = 0; round < 3; round++) {
        assert_true(cyg_node_set_ints(g, n, CYG_ATTR_pads, pads, 4));
        assert_true(cyg_node_set_int(g, n, CYG_ATTR_group, 7));
        assert_true(cyg_node_set_float(g, n, CYG_ATTR_act_hi, 6.0f));
        assert_true(cyg_node_set_string(g, n, CYG_ATTR_mode, "edge"));
        assert_true(cyg_node_set_int(g, n, CYG_ATTR_act, 2));
        assert_int_equal(cyg_nod(g, n)->attr_count, 5);
        assert_int_equal(cyg_node_int(cyg_nod(g, n), CYG_ATTR_group, 1), 7);
        assert_int_equal(cyg_node_ints(cyg_nod(g, n), CYG_ATTR_pads, &found), 4);
        assert_int_equal(found[3], 4);
        assert_string_equal(cyg_node_string(cyg_nod(g, n), CYG_ATTR_mode, ""), "edge");
        cyg_node_clear_attr(g, n, CYG_ATTR_group);
        assert_int_equal(cyg_node_int(cyg_nod(g, n), CYG_ATTR_group, 1), 1);
        assert_true(cyg_node_float(cyg_nod(g, n), CYG_ATTR_act_hi, 0.0f) == 6.0f);
    }
    assert_int_equal(cyg_node_ints(cyg_nod(g, n), CYG_ATTR_group, &found), 0);
    cyg_graph_destroy(g);
}

static void test_provenance_merges_sorted(void **state)
{
    (void)state;
    cyg_graph *g = cyg_graph_create();
    cyg_value_id x = cyg_graph_add_value(g, "x", CYG_TYPE_F32, 2, dims23), y;
    const cyg_node_id a = add_unary(g, CYG_OP_relu, NULL, x, &y);
    const cyg_node_id b = add_unary(g, CYG_OP_relu, NULL, y, &y);
    for (int i = 0; i < 9; i++)
        cyg_graph_add_source(g, "s", "Relu");
    const uint32_t of_a[] = {7, 1, 4, 1}, of_b[] = {3, 8, 4, 0, 2};
    for (size_t i = 0; i < CYG_COUNT(of_a); i++)
        cyg_node_add_source(g, a, (cyg_source_id){of_a[i]});
    for (size_t i = 0; i < CYG_COUNT(of_b); i++)
        cyg_node_add_source(g, b, (cyg_source_id){of_b[i]});
    cyg_node_merge_sources(g, a, b);
    const uint32_t want[] = {0, 1, 2, 3, 4, 7, 8};
    assert_int_equal(cyg_nod(g, a)->source_count, CYG_COUNT(want));
    for (size_t i = 0; i < CYG_COUNT(want); i++)
        assert_int_equal(cyg_nod(g, a)->sources[i].i, want[i]);
    cyg_graph_destroy(g);
}

static const char *const chain = "graph \"chain\" opset 18\n"
                                 "input %x: f32[2,3]\n"
                                 "%a: f32[2,3] = relu(%x) \"ra\"\n"
                                 "%b: f32[2,3] = add(%a, %a) \"ab\"\n"
                                 "%c: f32[2,3] = add(%a, %b) \"ac\"\n"
                                 "output %c\n";

static void test_uses(void **state)
{
    (void)state;
    cyg_graph *g = parse_graph(chain);
    cyg_arena scratch;
    cyg_arena_init(&scratch);
    cyg_uses uses;
    assert_int_equal(cyg_uses_build(NULL, g, &scratch, &uses), CYG_OK);
    const uint32_t a = cyg_graph_find_value(g, "a").i, c = cyg_graph_find_value(g, "c").i;
    assert_int_equal(uses.first[a + 1] - uses.first[a], 3);
    assert_string_equal(cyg_nod(g, uses.user[uses.first[a]])->name, "ab");
    assert_string_equal(cyg_nod(g, uses.user[uses.first[a] + 2])->name, "ac");
    assert_int_equal(uses.first[c + 1] - uses.first[c], 0);
    cyg_arena_deinit(&scratch);
    cyg_graph_destroy(g);
}

static void test_replace_keeps_output_name(void **state)
{
    (void)state;
    cyg_graph *g = parse_graph(chain);
    cyg_graph_replace_uses(g, cyg_graph_find_value(g, "c"), cyg_graph_find_value(g, "b"));
    cyg_graph_remove_node(g, cyg_graph_find_node(g, "ac"));
    assert_int_equal(cyg_graph_sort(NULL, g), CYG_OK);
    assert_int_equal(cyg_graph_verify(NULL, g), CYG_OK);
    assert_text(g, "graph \"chain\" opset 18\n"
                   "input %x: f32[2,3]\n"
                   "%a: f32[2,3] = relu(%x) \"ra\"\n"
                   "%c: f32[2,3] = add(%a, %a) \"ab\"\n"
                   "output %c\n");
    cyg_graph_destroy(g);
}

static void test_sort_is_stable(void **state)
{
    (void)state;
    cyg_graph *g = parse_graph(chain);
    /* A node at the end that an earlier one reads: "ab" moves behind it, nothing else moves. */
    cyg_value_id x = cyg_graph_find_value(g, "x"), y;
    add_unary(g, CYG_OP_neg, "late", x, &y);
    assert_true(cyg_graph_rename_value(g, y, "y"));
    cyg_node_set_input(g, cyg_graph_find_node(g, "ab"), 1, y);
    assert_int_equal(cyg_graph_verify(NULL, g), CYG_E_INTERNAL);
    assert_int_equal(cyg_graph_sort(NULL, g), CYG_OK);
    assert_text(g, "graph \"chain\" opset 18\n"
                   "input %x: f32[2,3]\n"
                   "%a: f32[2,3] = relu(%x) \"ra\"\n"
                   "%y: f32[2,3] = neg(%x) \"late\"\n"
                   "%b: f32[2,3] = add(%a, %y) \"ab\"\n"
                   "%c: f32[2,3] = add(%a, %b) \"ac\"\n"
                   "output %c\n");
    cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    cyg_node_set_input(g, cyg_graph_find_node(g, "late"), 0, cyg_graph_find_value(g, "c"));
    assert_int_equal(cyg_graph_sort(&ctx, g), CYG_E_GRAPH);
    assert_true(ctx_says(&ctx, "depends on its own result"));
    cyg_graph_destroy(g);
}

static void test_insert_before(void **state)
{
    (void)state;
    cyg_graph *g = parse_graph(chain);
    cyg_value_id x = cyg_graph_find_value(g, "x");
    cyg_value_id y = cyg_graph_add_value(g, "y", CYG_TYPE_F32, 2, dims23);
    const cyg_node_id ab = cyg_graph_find_node(g, "ab");
    cyg_graph_add_node(g, ab, CYG_OP_neg, "new", &x, 1, &y, 1);
    cyg_node_set_input(g, ab, 0, y);
    assert_int_equal(cyg_graph_verify(NULL, g), CYG_OK);
    assert_string_equal(cyg_nod(g, g->order[1])->name, "new");
    cyg_graph_destroy(g);
}

static void test_clone_is_independent(void **state)
{
    (void)state;
    cyg_graph *g =
        parse_graph("graph \"g\" opset 18\nmeta \"k\" = \"v\"\nsymbol N\n"
                    "source @0 \"s\" \"Relu\"\n"
                    "input %x: f32[N,3]\n"
                    "const %w: f32[3] = [1, 2, 3]\n"
                    "%a: f32[N,3] = relu(%x) \"gone\" @0\n"
                    "%b: f32[N,3] q(u8 zero 3 axis -1 scale 0.5) = add(%x, %w) \"n\" @0\n"
                    "output %b\n");
    cyg_graph_remove_node(g, cyg_graph_find_node(g, "gone"));
    cyg_graph *copy = cyg_graph_clone(g);
    assert_int_equal(cyg_graph_verify(NULL, copy), CYG_OK);
    char *text = print_graph(g);
    assert_text(copy, text);
    assert_int_equal(copy->node_count, g->node_count);
    cyg_graph_set_meta(copy, "k", "other");
    cyg_graph_bind_symbol(copy, cyg_graph_symbol(copy, "N"), 4);
    assert_int_equal(cyg_val(copy, copy->inputs[0])->dims[0], 4);
    assert_text(g, text);
    free(text);
    cyg_graph_destroy(copy);
    cyg_graph_destroy(g);
}

/* Quadratic building would take minutes here. */
static void test_large_graphs_are_instant(void **state)
{
    (void)state;
    cyg_graph *g = cyg_graph_create();
    const cyg_value_id x = cyg_graph_add_value(g, "x", CYG_TYPE_F32, 2, dims23);
    cyg_value_id y = x;
    for (int i = 0; i < 200000; i++)
        add_unary(g, CYG_OP_relu, "same", y, &y);
    assert_int_equal(cyg_graph_set_io(NULL, g, &x, 1, &y, 1), CYG_OK);
    assert_int_equal(cyg_graph_sort(NULL, g), CYG_OK);
    assert_int_equal(cyg_graph_infer_shapes(NULL, g), CYG_OK);
    assert_int_equal(cyg_graph_verify(NULL, g), CYG_OK);
    cyg_graph_destroy(g);
}

/* Large constants that nothing reads go; a view of a used one, small ones and those of a graph
 * that shares them stay. */
static void test_unused_constants_go(void **state)
{
    enum { COUNT = 64 << 10 };
    const int64_t large[] = {COUNT}, half[] = {COUNT / 2}, small[] = {2};
    (void)state;
    cyg_graph *g = cyg_graph_create();
    const size_t bytes = COUNT * sizeof(float);
    float *used = cyg_arena_alloc(&g->arena, bytes, 64),
          *spare = cyg_arena_alloc(&g->arena, bytes, 64);
    assert_true(used != NULL && spare != NULL);
    for (int i = 0; i < COUNT; i++)
        used[i] = spare[i] = (float)i;
    const cyg_value_id x = cyg_graph_add_value(g, "x", CYG_TYPE_F32, 1, large),
                       w = cyg_graph_add_const(g, "w", CYG_TYPE_F32, 1, large, used, bytes),
                       view = cyg_graph_add_const(g, "view", CYG_TYPE_F32, 1, half,
                                                  used + COUNT / 4, bytes / 2),
                       old = cyg_graph_add_const(g, "old", CYG_TYPE_F32, 1, large, spare, bytes),
                       few = cyg_graph_add_const_copy(g, "few", CYG_TYPE_F32, 1, small, spare, 8),
                       y = cyg_graph_add_value(g, "y", CYG_TYPE_F32, 1, large), in[] = {x, w};
    assert_false(
        cyg_node_is_none(cyg_graph_add_node(g, CYG_NO_NODE, CYG_OP_add, NULL, in, 2, &y, 1)));
    assert_int_equal(cyg_graph_set_io(NULL, g, &x, 1, &y, 1), CYG_OK);
    cyg_graph_release_unused(g);
    assert_true(cyg_val(g, old)->is_const); /* not told that nobody else needs it */
    g->alone = true;
    cyg_graph_release_unused(g);
    assert_false(cyg_val(g, old)->is_const);
    assert_null(cyg_val(g, old)->data);
    assert_true(cyg_val(g, few)->is_const);
    assert_true(cyg_val(g, view)->is_const);
    for (int i = 0; i < COUNT; i++)
        assert_true(used[i] >= (float)i);
    assert_int_equal(cyg_graph_verify(NULL, g), CYG_OK);
    cyg_graph_destroy(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tables),
        cmocka_unit_test(test_names_are_unique),
        cmocka_unit_test(test_attributes),
        cmocka_unit_test(test_provenance_merges_sorted),
        cmocka_unit_test(test_uses),
        cmocka_unit_test(test_replace_keeps_output_name),
        cmocka_unit_test(test_sort_is_stable),
        cmocka_unit_test(test_insert_before),
        cmocka_unit_test(test_clone_is_independent),
        cmocka_unit_test(test_large_graphs_are_instant),
        cmocka_unit_test(test_unused_constants_go),
    };
    return CYG_TEST_MAIN(tests);
}
