/* A symbolic batch: the graph is optimised as if it were known, and runs at every size. The result
 * is held against the original at three sizes, two of which the optimiser has not seen. What
 * depends on the batch in a way that no graph can express must be left alone, and stay right. */
#include "../testing.h"

#include "ir/graph.h"
#include "pass/pass.h"

static cyg_ctx ctx;

static void ok(cyg_status status)
{
    if (status != CYG_OK)
        fail_msg("%s", cyg_ctx_message(&ctx, 0));
}

static cyg_graph *with_options(const char *text, const cyg_optimise_options *options)
{
    static const int64_t sizes[] = {1, 3, 4};
    cyg_check *check[CYG_COUNT(sizes)];
    cyg_graph *g = NULL;
    cyg_optimise_report report;
    cyg_ctx_init(&ctx);
    ok(cyg_graph_parse(&ctx, "test", text, strlen(text), &g));
    for (size_t i = 0; i < CYG_COUNT(sizes); i++)
        ok(cyg_check_create(&ctx, g, &(cyg_check_options){.batch = sizes[i]}, &check[i]));
    ok(cyg_optimise(&ctx, g, options, &report));
    for (size_t i = 0; i < CYG_COUNT(sizes); i++) {
        cyg_difference difference = {0};
        ok(cyg_check_compare(&ctx, check[i], g, &difference));
        assert_true(difference.relative < 1e-5);
        cyg_check_destroy(check[i]);
    }
    assert_true(cyg_val(g, g->inputs[0])->dims[0] < 0);
    return g;
}

/* The optimised graph; numbers are compared at batches 1, 3 and 4. In the layouts of ONNX, for
 * `simplify`, the same is found. */
static cyg_graph *optimised(const char *text)
{
    cyg_graph *first =
        with_options(text, &(cyg_optimise_options){.fuse = true, .channels_first = true});
    cyg_graph *g = with_options(text, &(cyg_optimise_options){.fuse = true});
    uint32_t attention[2] = {0};
    for (uint32_t i = 0; i < g->node_count; i++)
        attention[0] += g->nodes[i].op == CYG_OP_attention;
    for (uint32_t i = 0; i < first->node_count; i++)
        attention[1] += first->nodes[i].op == CYG_OP_attention;
    assert_int_equal(attention[0], attention[1]);
    cyg_graph_destroy(first);
    return g;
}

static int count(const cyg_graph *g, cyg_op op)
{
    int n = 0;
    for (uint32_t i = 0; i < g->node_count; i++)
        n += g->nodes[i].op == op;
    return n;
}

/* One sentence of `shape`: the batch of %x as a vector of one. */
#define BATCH                                                                                      \
    "const %first: s64[1] = [0]\n%shape: s64[3] = shape(%x)\n"                                     \
    "%n: s64[1] = gather(%shape, %first) {axis = 0}\n"

static void test_attention(void **state)
{
    (void)state;
    cyg_graph *g = optimised(
        "graph \"g\" opset 18\nsymbol N\ninput %x: f32[N,5,8]\n" BATCH
        "const %heads: s64[3] = [5, 2, 4]\nconst %joined: s64[2] = [5, 8]\n"
        "%q0: f32[N,5,8] = tanh(%x)\n%k0: f32[N,5,8] = sigmoid(%x)\n%v0: f32[N,5,8] = neg(%x)\n"
        "%to: s64[4] = concat(%n, %heads) {axis = 0}\n%back: s64[3] = concat(%n, %joined) {axis = "
        "0}\n"
        "%q1: f32[N,5,2,4] = reshape(%q0, %to)\n%k1: f32[N,5,2,4] = reshape(%k0, %to)\n"
        "%v1: f32[N,5,2,4] = reshape(%v0, %to)\n"
        "%q: f32[N,2,5,4] = transpose(%q1) {perm = [0, 2, 1, 3]}\n"
        "%k: f32[N,2,4,5] = transpose(%k1) {perm = [0, 2, 3, 1]}\n"
        "%v: f32[N,2,5,4] = transpose(%v1) {perm = [0, 2, 1, 3]}\n"
        "%s: f32[N,2,5,5] = matmul(%q, %k)\n%p: f32[N,2,5,5] = softmax(%s) {axis = -1}\n"
        "%o: f32[N,2,5,4] = matmul(%p, %v)\n"
        "%t: f32[N,5,2,4] = transpose(%o) {perm = [0, 2, 1, 3]}\n"
        "const %w: f32[8,1] = [1, 2, 3, 4, 5, 6, 7, 8]\n"
        "%z: f32[N,5,8] = reshape(%t, %back)\n%l: f32[N,5,1] = matmul(%z, %w)\n"
        "%y: f32[N,5,1] = tanh(%l)\noutput %y\n");
    assert_int_equal(count(g, CYG_OP_attention), 1);
    assert_int_equal(count(g, CYG_OP_linear), 1);
    assert_int_equal(count(g, CYG_OP_shape), 0);
    const cyg_value *y = cyg_val(g, g->outputs[0]);
    assert_true(y->dims[0] == cyg_val(g, g->inputs[0])->dims[0]);
    cyg_graph_destroy(g);
}

/* Tokens before and behind those of the picture; positions are added to all. */
static void test_tokens(void **state)
{
    (void)state;
    cyg_graph *g =
        optimised("graph \"g\" opset 18\nsymbol N\ninput %x: f32[N,2,3]\n" BATCH
                  "const %token: f32[1,1,3] = [1, 2, 3]\nconst %last: f32[1,1,3] = [-1, 0, 5]\n"
                  "const %one: s64[2] = [1, 3]\n%size: s64[3] = concat(%n, %one) {axis = 0}\n"
                  "const %positions: f32[1,4,3] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]\n"
                  "%a: f32[N,1,3] = expand(%token, %size)\n%b: f32[N,1,3] = expand(%last, %size)\n"
                  "%all: f32[N,4,3] = concat(%a, %x, %b) {axis = 1}\n"
                  "%y: f32[N,4,3] = add(%all, %positions)\noutput %y\n");
    assert_int_equal(count(g, CYG_OP_shape) + count(g, CYG_OP_expand) + count(g, CYG_OP_concat), 0);
    assert_int_equal(count(g, CYG_OP_pad), 1);
    cyg_graph_destroy(g);
}

/* The mean over the batch, and the batch itself as a number: right at every size, too. */
static void test_what_depends_on_the_batch(void **state)
{
    (void)state;
    cyg_graph *g =
        optimised("graph \"g\" opset 18\nsymbol N\ninput %x: f32[N,2,3]\n" BATCH
                  "%f: f32[1] = cast(%n) {to = 1}\n%y: f32[N,2,3] = mul(%x, %f)\noutput %y\n");
    assert_int_equal(count(g, CYG_OP_shape), 1);
    cyg_graph_destroy(g);
    g = optimised("graph \"g\" opset 18\nsymbol N\ninput %x: f32[N,2,3]\n"
                  "const %axes: s64[1] = [0]\n"
                  "%m: f32[1,2,3] = reduce_mean(%x, %axes) {keepdims = 1}\n"
                  "%y: f32[N,2,3] = sub(%x, %m)\noutput %y\n");
    assert_int_equal(count(g, CYG_OP_reduce_mean), 1);
    cyg_graph_destroy(g);
    /* As many zeros as samples, numbered: a result of the batch's length, not of its samples. */
    g = optimised("graph \"g\" opset 18\nsymbol N\ninput %x: f32[N,2,3]\n"
                  "const %i: s64[] = [0]\nconst %step: s64[] = [1]\n"
                  "%shape: s64[3] = shape(%x)\n%n: s64[] = gather(%shape, %i) {axis = 0}\n"
                  "%r: s64[?] = range(%i, %n, %step)\noutput %r\n");
    assert_int_equal(count(g, CYG_OP_range), 1);
    cyg_graph_destroy(g);
}

/* Other symbols stay, and two batches are none. */
static void test_other_symbols(void **state)
{
    (void)state;
    cyg_graph *g = optimised(
        "graph \"g\" opset 18\nsymbol N\nsymbol M\ninput %x: f32[N,3]\ninput %w: f32[M,3]\n"
        "%t: f32[3,M] = transpose(%w) {perm = [1, 0]}\n%y: f32[N,M] = matmul(%x, %t)\n"
        "output %y\n");
    assert_true(cyg_val(g, g->inputs[1])->dims[0] < 0);
    assert_true(cyg_val(g, g->inputs[1])->dims[0] != cyg_val(g, g->inputs[0])->dims[0]);
    cyg_graph_destroy(g);
    g = optimised("graph \"g\" opset 18\nsymbol N\nsymbol L\ninput %x: f32[N,L,4]\n"
                  "%y: f32[N,L,4] = relu(%x)\noutput %y\n");
    assert_true(cyg_val(g, g->outputs[0])->dims[1] == cyg_val(g, g->inputs[0])->dims[1]);
    assert_true(cyg_val(g, g->outputs[0])->dims[1] < 0);
    cyg_graph_destroy(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_attention),
        cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_what_depends_on_the_batch),
        cmocka_unit_test(test_other_symbols),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
