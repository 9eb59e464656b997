/* Drawing: which nodes are a block, before and after; which share a box; what is around a node. */
#include "../ir/ir_testing.h"

#include "app/draw.h"

#define SOURCES                                                                                    \
    "source @0 \"/b/norm/LayerNormalization\" \"LayerNormalization\"\n"                            \
    "source @1 \"/b/qkv/MatMul\" \"MatMul\"\n"                                                     \
    "source @2 \"/b/Reshape\" \"Reshape\"\n"                                                       \
    "source @3 \"/b/Shape\" \"Shape\"\n"                                                           \
    "source @4 \"/b/Slice\" \"Slice\"\n"                                                           \
    "source @5 \"/b/Slice_1\" \"Slice\"\n"                                                         \
    "source @6 \"/b/Slice_2\" \"Slice\"\n"                                                         \
    "source @7 \"/b/Transpose\" \"Transpose\"\n"                                                   \
    "source @8 \"/b/MatMul\" \"MatMul\"\n"                                                         \
    "source @9 \"/b/Softmax\" \"Softmax\"\n"                                                       \
    "source @10 \"/b/MatMul_1\" \"MatMul\"\n"                                                      \
    "source @11 \"/b/proj/MatMul\" \"MatMul\"\n"                                                   \
    "source @12 \"/b/Add\" \"Add\"\n"                                                              \
    "source @13 \"/stem/Relu\" \"Relu\"\n"                                                         \
    "source @14 \"/head/Relu\" \"Relu\"\n"                                                         \
    "input %i: f32[1,4,8]\n"                                                                       \
    "const %gamma: f32[8] = [1, 1, 1, 1, 1, 1, 1, 1]\n"

/* The reshape is in nobody's provenance, nor is the shape that it is given. */
static const char before_text[] =
    "graph \"before\" opset 18\n" SOURCES "const %w: f32[8,24] = #0123456789abcdef 768\n"
    "const %w2: f32[8,8] = #0123456789abcdef 256\n"
    "const %c0: s64[1] = [0]\nconst %c8: s64[1] = [8]\nconst %c16: s64[1] = [16]\n"
    "const %c24: s64[1] = [24]\nconst %axis: s64[1] = [2]\n"
    "%x: f32[1,4,8] = relu(%i) \"/stem/Relu\" @13\n"
    "%s: s64[3] = shape(%x) \"/b/Shape\" @3\n"
    "%n: f32[1,4,8] = layer_normalization(%x, %gamma) \"/b/norm/LayerNormalization\" @0\n"
    "%qkv: f32[1,4,24] = matmul(%n, %w) \"/b/qkv/MatMul\" @1\n"
    "%q: f32[1,4,8] = slice(%qkv, %c0, %c8, %axis) \"/b/Slice\" @4\n"
    "%k: f32[1,4,8] = slice(%qkv, %c8, %c16, %axis) \"/b/Slice_1\" @5\n"
    "%v: f32[1,4,8] = slice(%qkv, %c16, %c24, %axis) \"/b/Slice_2\" @6\n"
    "%kt: f32[1,8,4] = transpose(%k) {perm = [0, 2, 1]} \"/b/Transpose\" @7\n"
    "%m: f32[1,4,4] = matmul(%q, %kt) \"/b/MatMul\" @8\n"
    "%p: f32[1,4,4] = softmax(%m) {axis = -1} \"/b/Softmax\" @9\n"
    "%y: f32[1,4,8] = matmul(%p, %v) \"/b/MatMul_1\" @10\n"
    "%r: f32[1,4,8] = reshape(%y, %s) \"/b/Reshape\" @2\n"
    "%o: f32[1,4,8] = matmul(%r, %w2) \"/b/proj/MatMul\" @11\n"
    "%z: f32[1,4,8] = add(%o, %x) \"/b/Add\" @12\n"
    "%h: f32[1,4,8] = relu(%z) \"/head/Relu\" @14\n"
    "output %h\n";

static const char after_text[] =
    "graph \"after\" opset 18\n" SOURCES "const %w: f32[24,8] = #0123456789abcdef 768\n"
    "const %w2: f32[8,8] = #0123456789abcdef 256\n"
    "%x: f32[1,4,8] = relu(%i) \"/stem/Relu\" @13\n"
    "%n: f32[1,4,8] = layer_normalization(%x, %gamma) \"/b/norm/LayerNormalization\" @0\n"
    "%q: f32[1,4,24] = linear(%n, %w) \"/b/qkv/MatMul\" @1\n"
    "%y: f32[1,4,8] = attention(%q, %q, %q) {head_dim = 8, heads = 1, tokens = 4, k_offset = 8, "
    "v_offset = 16} \"/b/Softmax\" @4,5,6,7,8,9,10\n"
    "%z: f32[1,4,8] = linear(%y, %w2, _, %x) \"/b/proj/MatMul\" @11,12\n"
    "%h: f32[1,4,8] = relu(%z) \"/head/Relu\" @14\n"
    "output %h\n";

typedef struct fixture {
    cyg_ctx ctx;
    cyg_arena arena;
    cyg_graph *before, *after;
} fixture;
static fixture f;

static int setup(void **state)
{
    (void)state;
    cyg_ctx_init(&f.ctx);
    cyg_arena_init(&f.arena);
    f.before = parse_graph(before_text);
    f.after = parse_graph(after_text);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    cyg_graph_destroy(f.before);
    cyg_graph_destroy(f.after);
    cyg_arena_deinit(&f.arena);
    return 0;
}

static uint32_t id(const cyg_graph *g, const char *name)
{
    const cyg_node_id n = cyg_graph_find_node(g, name);
    if (cyg_node_is_none(n))
        fail_msg("no node %s", name);
    return n.i;
}

static uint32_t chosen(const cyg_drawing *d)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < d->g->node_count; i++)
        count += d->chosen[i];
    return count;
}

static void test_block_after(void **state)
{
    (void)state;
    cyg_drawing d;
    assert_int_equal(cyg_draw_block_count(f.after), 1);
    assert_int_equal(cyg_draw_best_block(f.after), 1);
    assert_int_equal(cyg_draw_block_count(f.before), 0);
    assert_int_equal(cyg_draw_best_block(f.before), 0);
    assert_int_equal(cyg_draw_block(&f.ctx, &f.arena, f.after, 1, &d), CYG_OK);
    assert_int_equal(chosen(&d), 4);
    assert_int_equal(d.steps[id(f.after, "/b/norm/LayerNormalization")], 1);
    assert_int_equal(d.steps[id(f.after, "/b/qkv/MatMul")], 2);
    assert_int_equal(d.steps[id(f.after, "/b/Softmax")], 3);
    assert_int_equal(d.steps[id(f.after, "/b/proj/MatMul")], 4);
    assert_int_equal(cyg_draw_block(&f.ctx, &f.arena, f.after, 2, &d), CYG_E_USAGE);
    assert_non_null(strstr(cyg_ctx_message(&f.ctx, 0), "expected 1 to 1, found 2"));
    cyg_ctx_clear(&f.ctx);
    assert_int_equal(cyg_draw_block(&f.ctx, &f.arena, f.before, 1, &d), CYG_E_USAGE);
    assert_non_null(strstr(cyg_ctx_message(&f.ctx, 0), "no attention block"));
}

static void test_block_before(void **state)
{
    (void)state;
    cyg_drawing after, d;
    assert_int_equal(cyg_draw_block(&f.ctx, &f.arena, f.after, 1, &after), CYG_OK);
    assert_int_equal(cyg_draw_block_source(&f.ctx, &f.arena, f.before, &after, &d), CYG_OK);
    assert_int_equal(chosen(&d), 13);
    assert_false(d.chosen[id(f.before, "/stem/Relu")]);
    assert_false(d.chosen[id(f.before, "/head/Relu")]);
    assert_true(d.chosen[id(f.before, "/b/Reshape")]);
    assert_true(d.chosen[id(f.before, "/b/Shape")]);
    assert_int_equal(d.steps[id(f.before, "/b/Reshape")], 0);
    assert_int_equal(d.steps[id(f.before, "/b/Slice_2")], 3);
    assert_int_equal(d.steps[id(f.before, "/b/Add")], 4);
    assert_int_equal(after.was[3], 7);
    assert_int_equal(after.was[4], 2);
    assert_int_equal(cyg_draw_prefix(&d), strlen("/b/"));
}

static void test_what_shares_a_box(void **state)
{
    (void)state;
    cyg_drawing d;
    cyg_draw_fold fold;
    assert_int_equal(cyg_draw_all(&f.ctx, &f.arena, f.before, &d), CYG_OK);
    assert_int_equal(cyg_draw_fold_nodes(&f.ctx, &f.arena, &d, &fold), CYG_OK);
    const uint32_t slice = id(f.before, "/b/Slice");
    assert_int_equal(fold.group[slice], slice);
    assert_int_equal(fold.group[id(f.before, "/b/Slice_2")], slice);
    assert_int_equal(fold.group[id(f.before, "/b/Transpose")], slice);
    assert_int_equal(fold.group[id(f.before, "/b/Reshape")], id(f.before, "/b/Reshape"));
    assert_int_equal(fold.group[id(f.before, "/b/Softmax")], id(f.before, "/b/Softmax"));
    assert_int_equal(fold.sizes, id(f.before, "/b/Shape"));
    d.fold = false;
    assert_int_equal(cyg_draw_fold_nodes(&f.ctx, &f.arena, &d, &fold), CYG_OK);
    assert_int_equal(fold.group[id(f.before, "/b/Transpose")], id(f.before, "/b/Transpose"));
    assert_int_equal(fold.group[id(f.before, "/b/Shape")], id(f.before, "/b/Shape"));
}

static void test_around(void **state)
{
    (void)state;
    cyg_drawing d;
    assert_int_equal(cyg_draw_around(&f.ctx, &f.arena, f.before, "/b/Softmax", 0, &d), CYG_OK);
    assert_int_equal(chosen(&d), 1);
    assert_int_equal(cyg_draw_around(&f.ctx, &f.arena, f.before, "/b/Softmax", 1, &d), CYG_OK);
    assert_int_equal(chosen(&d), 3);
    assert_true(d.chosen[id(f.before, "/b/MatMul")] && d.chosen[id(f.before, "/b/MatMul_1")]);
    assert_int_equal(cyg_draw_around(&f.ctx, &f.arena, f.before, "qkv", 1, &d), CYG_OK); /* value */
    assert_int_equal(chosen(&d), 5);
    assert_int_equal(cyg_draw_around(&f.ctx, &f.arena, f.before, "/b/Softmax", INT64_MAX, &d),
                     CYG_OK);
    assert_int_equal(chosen(&d), f.before->order_count);
    /* After optimisation a node is found by what it was. */
    assert_int_equal(cyg_draw_around(&f.ctx, &f.arena, f.after, "/b/Slice_1", 0, &d), CYG_OK);
    assert_true(d.chosen[id(f.after, "/b/Softmax")]);
    assert_int_equal(cyg_draw_around(&f.ctx, &f.arena, f.before, "/b/Softmx", 1, &d), CYG_E_USAGE);
    assert_non_null(strstr(cyg_ctx_message(&f.ctx, 0), "did you mean \"/b/Softmax\"?"));
}

static void test_side_by_side(void **state)
{
    (void)state;
    static const char *const wanted[] = {
        "before: 13 nodes, 1 of them constant arithmetic",
        "after: 4 steps",
        "movement, 4 nodes",
        "Slice ×3, Transpose",
        "shape arithmetic, 1 node",
        "Linear + addition",
        "was 7 nodes",
        "weight 24×8",
        "1×4×24",
    };
    cyg_picture p = {.arena = &f.arena, .title = "test"};
    cyg_strbuf text = {0};
    uint32_t becomes = 0;
    assert_int_equal(cyg_draw_settle_shapes(&f.ctx, f.before), CYG_OK);
    assert_int_equal(cyg_draw_compare(&f.ctx, f.before, f.after, 1, &p), CYG_OK);
    cyg_picture_dot(&p, &text);
    for (size_t i = 0; i < CYG_COUNT(wanted); i++)
        if (strstr(text.data, wanted[i]) == NULL)
            fail_msg("the picture lacks \"%s\":\n%s", wanted[i], text.data);
    for (uint32_t i = 0; i < p.edge_count; i++)
        becomes += p.edges[i].kind == CYG_PICTURE_BECOMES;
    assert_int_equal(becomes, 4);
    cyg_strbuf_deinit(&text);
}

/* Without a source the steps are compared with what they are exported as. */
static void test_exported(void **state)
{
    (void)state;
    cyg_picture p = {.arena = &f.arena, .title = "test"};
    cyg_strbuf text = {0};
    assert_int_equal(cyg_draw_compare(&f.ctx, NULL, f.after, 1, &p), CYG_OK);
    cyg_picture_dot(&p, &text);
    assert_non_null(strstr(text.data, "in standard operators: "));
    assert_non_null(strstr(text.data, ">Softmax<"));
    assert_non_null(strstr(text.data, "after: 4 steps"));
    cyg_strbuf_deinit(&text);
}

/* A chain too long for a picture is refused with what to do. */
static void test_too_many(void **state)
{
    (void)state;
    cyg_strbuf text = {0};
    cyg_drawing d;
    uint32_t *boxes;
    cyg_picture p = {.arena = &f.arena, .title = "test"};
    cyg_strbuf_puts(&text, "graph \"g\" opset 18\ninput %v0: f32[2]\n");
    for (int i = 0; i <= CYG_DRAW_BOXES; i++)
        cyg_strbuf_printf(&text, "%%v%d: f32[2] = relu(%%v%d)\n", i + 1, i);
    cyg_strbuf_printf(&text, "output %%v%d\n", CYG_DRAW_BOXES + 1);
    cyg_graph *g = parse_graph(text.data);
    assert_int_equal(cyg_draw_all(&f.ctx, &f.arena, g, &d), CYG_OK);
    assert_int_equal(cyg_draw_panel(&f.ctx, &d, "all", &p, &boxes), CYG_E_UNSUPPORTED);
    assert_non_null(strstr(cyg_ctx_message(&f.ctx, 0), "--around NODE"));
    cyg_graph_destroy(g);
    cyg_strbuf_deinit(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_block_after, setup, teardown),
        cmocka_unit_test_setup_teardown(test_block_before, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_shares_a_box, setup, teardown),
        cmocka_unit_test_setup_teardown(test_around, setup, teardown),
        cmocka_unit_test_setup_teardown(test_side_by_side, setup, teardown),
        cmocka_unit_test_setup_teardown(test_exported, setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_many, setup, teardown),
    };
    return CYG_TEST_MAIN(tests);
}
