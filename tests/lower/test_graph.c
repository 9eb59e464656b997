/* Whole graphs: views are aliases of what owns the bytes, outputs own theirs, provenance travels.
 */
#include "lower_testing.h"

#include "format/program.h"

static const cyg_tensor *tensor_named(const cyg_program *p, const char *name)
{
    for (uint32_t i = 0; i < p->tensor_count; i++)
        if (strcmp(p->tensors[i].name, name) == 0)
            return &p->tensors[i];
    fail_msg("no tensor %s", name);
    return NULL;
}

static void test_views(void **unused)
{
    (void)unused;
    static cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    cyg_arena arena;
    cyg_arena_init(&arena);
    cyg_graph *g =
        parse_graph("graph \"g\" opset 18\nsource @0 \"a\" \"Neg\"\nsource @1 \"b\" \"Relu\"\n"
                    "input %x: f32[2,3]\nconst %s: s64[1] = [6]\nconst %t: s64[2] = [3, 2]\n"
                    "const %c: f32[2] = [1, 2]\n"
                    "%n: f32[2,3] = neg(%x) \"neg\" @0,1\n"
                    "%u: f32[6] = reshape(%n, %s) \"one\"\n"
                    "%v: f32[3,2] = reshape(%u, %t) \"two\"\n"
                    "%y: f32[3,2] = add(%v, %c) \"add\"\n"
                    "output %y\noutput %v\noutput %x\noutput %c\noutput %y\n");
    cyg_program p;
    assert_int_equal(cyg_lower_graph(&ctx, g, &arena, &p), CYG_OK);
    const cyg_tensor *n = tensor_named(&p, "n");
    for (int i = 0; i < 2; i++) {
        const cyg_tensor *view = tensor_named(&p, i == 0 ? "u" : "v");
        assert_int_equal(view->kind, CYG_TENSOR_ALIAS);
        assert_ptr_equal(&p.tensors[view->offset], n); /* the owner, not the view in between */
        assert_true(&p.tensors[view->offset] < view);
    }
    assert_int_equal(p.step_count, 2 + 4); /* neg, add; copies of v, x, c and the second y */
    assert_string_equal(p.steps[0].name, "neg");
    assert_string_equal(p.steps[0].sources, "a,b");
    for (uint32_t i = 0; i < 5; i++) {
        const cyg_tensor *out = &p.tensors[p.outputs[i]];
        assert_int_equal(out->kind, CYG_TENSOR_OUTPUT);
        assert_int_equal(out->offset, i);
        for (uint32_t k = 0; k < i; k++)
            assert_int_not_equal(p.outputs[i], p.outputs[k]);
    }
    for (uint32_t i = 2; i < 6; i++)
        assert_int_equal(p.steps[i].op, CYG_KOP_copy);
    assert_int_equal(p.tensors[p.inputs[0]].kind, CYG_TENSOR_INPUT);
    cyg_graph_destroy(g);
    cyg_arena_deinit(&arena);
}

static void test_quantised_tensors(void **unused)
{
    (void)unused;
    static cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    cyg_arena arena;
    cyg_arena_init(&arena);
    cyg_graph *g = parse_graph(
        "graph \"g\" opset 18\ninput %x: f32[2,2] q(u8 zero 3 axis -1 scale 0.5)\n"
        "%t: f32[2,2] q(u8 zero 3 axis -1 scale 0.5) = transpose(%x) {perm = [1, 0]} \"t\"\n"
        "%y: f32[2,2] = requant(%t) \"float\"\noutput %y\n");
    cyg_program p;
    assert_int_equal(cyg_lower_graph(&ctx, g, &arena, &p), CYG_OK);
    const cyg_tensor *t = tensor_named(&p, "t");
    assert_int_equal(t->type, CYG_TYPE_U8);
    assert_true(t->scale == 0.5f && t->zero_point == 3);
    assert_int_equal(tensor_named(&p, "y")->type, CYG_TYPE_F32);
    assert_true(tensor_named(&p, "y")->scale == 0.0f);
    assert_int_equal(p.steps[0].op, CYG_KOP_transpose);
    assert_int_equal(p.steps[1].op, CYG_KOP_i_requant);
    cyg_graph_destroy(g);
    cyg_arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_views),
        cmocka_unit_test(test_quantised_tensors),
    };
    return CYG_TEST_MAIN(tests);
}
