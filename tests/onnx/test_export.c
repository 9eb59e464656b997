/* Export without an outside witness (ort_witness.py is that one): what is written reads back, the
 * same graph gives the same bytes, weights are transposed while they are written, and what an opset
 * cannot say is an error that names the node. */
#include "../testing.h"

#include "onnx/onnx.h"

static cyg_graph *parse_graph(const char *text)
{
    cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    cyg_graph *g = NULL;
    if (cyg_graph_parse(&ctx, "test", text, strlen(text), &g) != CYG_OK ||
        cyg_graph_infer_shapes(&ctx, g) != CYG_OK)
        fail_msg("%s", cyg_ctx_message(&ctx, 0));
    return g;
}

static void export_ok(const cyg_graph *g, const char *path, int opset)
{
    cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    const cyg_onnx_export_options options = {.opset = opset};
    if (cyg_onnx_export(&ctx, g, path, &options) != CYG_OK)
        fail_msg("%s", cyg_ctx_message(&ctx, 0));
}

static cyg_graph *import_ok(const char *path)
{
    cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    const cyg_onnx_import_options options = {.keep_symbolic = true};
    cyg_onnx_info info;
    cyg_graph *g = NULL;
    if (cyg_onnx_import(&ctx, path, &options, &g, &info) != CYG_OK)
        fail_msg("%s", cyg_ctx_message(&ctx, 0));
    return g;
}

static const char *const fused =
    "graph \"fused\" opset 18\n"
    "meta \"labels\" = \"a\\nb\"\n"
    "symbol N\n"
    "input %x: f32[N,4,3]\n"
    "const %w: f32[2,3] = [1, 2, 3, 4, 5, 6]\n"
    "const %b: f32[2] = [0.5, -0.5]\n"
    "const %g: f32[2] = [1, 1]\n"
    "const %i: s64[2] = [3, -1]\n"
    "%h: f32[N,4,2] = linear(%x, %w, %b) {act = 2} \"fc\"\n"
    "%n: f32[N,4,2] = layer_normalization(%h, %g, %b) {axis = -1, epsilon = 0.001} \"norm\"\n"
    "%a: f32[N,4,2] = attention(%n, %n, %n) {heads = 1, head_dim = 2, tokens = 4, scale = 0.5} "
    "\"att\"\n"
    "%y: f32[N,2,2] = gather_rows(%a, %i) {rows_in = 4} \"merge\"\n"
    "output %y\n";

static void test_reads_back(void **state)
{
    cyg_graph *g = parse_graph(fused);
    for (int opset = 13; opset <= 20; opset++) {
        const char *path = scratch_path(state, "m.onnx");
        export_ok(g, path, opset);
        cyg_graph *back = import_ok(path);
        const cyg_value_id y = cyg_graph_find_value(back, "y");
        assert_int_equal(back->outputs[0].i, y.i);
        assert_int_equal(cyg_val(back, y)->rank, 3);
        assert_int_equal(cyg_val(back, y)->dims[1], 2);
        assert_true(cyg_val(back, back->inputs[0])->dims[0] < 0);
        assert_string_equal(cyg_graph_meta(back, "labels"), "a\nb");
        /* Expanded values keep the names that they had. */
        assert_true(cyg_graph_find_value(back, "h").i != CYG_NO_ID);
        assert_true(cyg_graph_find_value(back, "a").i != CYG_NO_ID);
        assert_int_equal(cyg_nod(back, cyg_graph_find_node(back, "fc"))->op, CYG_OP_matmul);
        assert_int_equal(cyg_nod(back, cyg_graph_find_node(back, "att"))->op, CYG_OP_softmax);
        assert_int_equal(cyg_nod(back, cyg_graph_find_node(back, "merge"))->op, CYG_OP_gather);
        for (uint32_t k = 0; k < back->order_count; k++)
            assert_int_equal(
                cyg_op_schema_of(cyg_nod(back, back->order[k])->op)->flags & CYG_OPF_FUSED, 0);
        cyg_graph_destroy(back);
    }
    cyg_graph_destroy(g);
}

static void test_weights_are_written_transposed(void **state)
{
    cyg_graph *g = parse_graph(fused);
    const char *path = scratch_path(state, "m.onnx");
    export_ok(g, path, 17);
    cyg_graph *back = import_ok(path);
    const float want[] = {1, 4, 2, 5, 3, 6};
    /* Under the name of the source's tensor, and nowhere else. */
    const cyg_value_id w = cyg_graph_find_value(back, "w");
    assert_int_not_equal(w.i, CYG_NO_ID);
    assert_int_equal(cyg_val(back, w)->bytes, sizeof want);
    assert_memory_equal(cyg_val(back, w)->data, want, sizeof want);
    for (uint32_t i = 0; i < back->value_count; i++)
        assert_true(i == w.i || back->values[i].bytes != sizeof want ||
                    back->values[i].type != CYG_TYPE_F32);
    cyg_graph_destroy(back);
    cyg_graph_destroy(g);
}

static void test_same_graph_same_bytes(void **state)
{
    cyg_graph *g = parse_graph(fused);
    cyg_map a, b;
    export_ok(g, scratch_path(state, "a.onnx"), 17);
    export_ok(g, scratch_path(state, "b.onnx"), 17);
    assert_int_equal(cyg_map_open(NULL, scratch_path(state, "a.onnx"), &a), CYG_OK);
    assert_int_equal(cyg_map_open(NULL, scratch_path(state, "b.onnx"), &b), CYG_OK);
    assert_int_equal(a.size, b.size);
    assert_memory_equal(a.data, b.data, a.size);
    cyg_map_close(&a);
    cyg_map_close(&b);
    cyg_graph_destroy(g);
}

static void test_expansion_is_a_valid_graph(void **state)
{
    (void)state;
    cyg_graph *g = parse_graph(fused), *out = NULL;
    assert_int_equal(cyg_onnx_expand(NULL, g, 13, &out), CYG_OK);
    assert_int_equal(cyg_graph_verify(NULL, out), CYG_OK);
    for (uint32_t k = 0; k < out->order_count; k++)
        assert_int_not_equal(cyg_nod(out, out->order[k])->op, CYG_OP_layer_normalization);
    cyg_graph_destroy(out);
    cyg_graph_destroy(g);
}

/* Of a chain of linears two Reshapes and one Gemm each are left; a value that the graph gives out
 * keeps its name and its shape. */
static void test_chains_are_written_by_rows(void **state)
{
    (void)state;
    static const char chain[] =
        "graph \"chain\" opset 18\n"
        "symbol N\n"
        "input %x: f32[N,4,2]\n"
        "const %w: f32[2,2] = [1, 2, 3, 4]\n"
        "const %b: f32[2] = [0.5, -0.5]\n"
        "const %s: s64[4] = [-1, 2, 2, 2]\n"
        "%h: f32[N,4,2] = linear(%x, %w, %b) \"fc1\"\n"
        "%t: f32[N,4,2] = tanh(%h) \"tanh\"\n"
        "%r: f32[N,2,2,2] = reshape(%t, %s) \"view\"\n"
        "%y: f32[N,2,2,2] = linear(%r, %w, %b) \"fc2\"\n"
        "%a: f32[N,4,2] = attention(%h, %h, %h) {heads = 1, head_dim = 2, tokens = 4} \"att\"\n"
        "%p: f32[N,4,2] = linear(%a, %w, %b, %h) \"fc3\"\n"
        "%z: f32[N,4,2] = linear(%p, %w, %b) \"fc4\"\n"
        "output %y\noutput %z\n";
    cyg_ctx ctx;
    cyg_graph *g = parse_graph(chain), *out = NULL;
    int count[CYG_OP_COUNT] = {0};
    cyg_ctx_init(&ctx);
    assert_int_equal(cyg_onnx_expand(&ctx, g, 17, &out), CYG_OK);
    for (uint32_t k = 0; k < out->order_count; k++)
        count[cyg_nod(out, out->order[k])->op]++;
    assert_int_equal(count[CYG_OP_gemm], 4);
    assert_int_equal(count[CYG_OP_matmul], 2); /* of the attention */
    /* In front of fc1, at y, at z; the attention's q, k, v and result. */
    assert_int_equal(count[CYG_OP_reshape], 3 + 4);
    const cyg_value *y = cyg_val(out, cyg_graph_find_value(out, "y")),
                    *h = cyg_val(out, cyg_graph_find_value(out, "h"));
    assert_true(y->rank == 4 && y->dims[0] == cyg_val(out, out->inputs[0])->dims[0]);
    assert_true(h->rank == 2 && h->dims[1] == 2);
    assert_int_equal(cyg_nod(out, cyg_graph_find_node(out, "fc1"))->op, CYG_OP_gemm);
    cyg_graph_destroy(out);
    cyg_graph_destroy(g);
}

static void test_quantised_values_become_pairs(void **state)
{
    (void)state;
    cyg_graph *g = parse_graph("graph \"q\" opset 18\n"
                               "input %x: f32[2,3] q(s16 zero 0 axis -1 scale 0.5)\n"
                               "%r: f32[2,3] q(u8 zero 9 axis -1 scale 0.25) = requant(%x) \"r\"\n"
                               "%y: f32[2,3] = relu(%r) \"act\"\n"
                               "output %y\n"),
              *out = NULL;
    for (int opset = 20; opset <= 21; opset++) { /* pairs of 16 bits exist from 21 on */
        const int pairs = opset < CYG_ONNX_16_BIT_PAIRS ? 1 : 2;
        int counts[CYG_OP_COUNT] = {0};
        assert_int_equal(cyg_onnx_expand(NULL, g, opset, &out), CYG_OK);
        for (uint32_t k = 0; k < out->order_count; k++)
            counts[cyg_nod(out, out->order[k])->op]++;
        assert_int_equal(counts[CYG_OP_quantize_linear], pairs);
        assert_int_equal(counts[CYG_OP_dequantize_linear], pairs);
        assert_int_equal(counts[CYG_OP_requant], 0);
        assert_int_equal(counts[CYG_OP_relu], 1);
        cyg_graph_destroy(out);
    }
    cyg_graph_destroy(g);
}

/* A conversion to float of a value whose other reader has its Transpose or its pair already. */
static void test_conversion_beside_a_reader(void **state)
{
    (void)state;
    cyg_graph
        *g = parse_graph(
            "graph \"q\" opset 18\n"
            "input %x: f32[1,2,4,3] q(u8 zero 9 axis -1 scale 0.25)\n"
            "const %w: f32[5,1,1,2] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]\n"
            "const %k: f32[3,5] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]\n"
            "%a: f32[1,4,3,5] q(u8 zero 7 axis -1 scale 0.5) = conv2d(%x, %w) {kernel_shape = "
            "[1, 1], strides = [1, 1], pads = [0, 0, 0, 0], dilations = [1, 1], group = 1, "
            "x_nchw = 1}\n"
            "%m: f32[1,4,3,5] q(u8 zero 7 axis -1 scale 0.5) = mul(%k, %a)\n"
            "%r: f32[1,4,3,5] = requant(%a)\n"
            "%f: f32[1,2,4,3] = requant(%x)\n"
            "%s: f32[1,4,3,10] = concat(%r, %m) {axis = 3}\n"
            "%g: f32[1,2,4,3] = neg(%f)\n"
            "output %s\noutput %g\n"),
        *out = NULL;
    static cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    if (cyg_onnx_expand(&ctx, g, 21, &out) != CYG_OK) /* the result is verified there */
        fail_msg("%s", cyg_ctx_message(&ctx, 0));
    cyg_graph_destroy(out);
    cyg_graph_destroy(g);
}

/* Between convolutions nothing is turned: one Transpose is left, in front of the output. */
static void test_convolutions_stay_channels_first(void **state)
{
    (void)state;
    static const char net[] =
        "graph \"net\" opset 18\n"
        "input %x: f32[1,2,4,4]\n"
        "const %w: f32[2,1,1,2] = [1, 2, 3, 4]\n"
        "const %c: f32[2] = [0.5, -0.5]\n"
        "%t: none[*] = conv2d(%x, %w, %c) {kernel_shape = [1, 1], strides = [1, 1], "
        "pads = [0, 0, 0, 0], dilations = [1, 1], group = 1, x_nchw = 1}\n"
        "%u: f32[1,4,4,2] q(u8 zero 9 axis -1 scale 0.25) = requant(%t)\n"
        "%m: none[*] = pool2d(%u) {mode = \"max\", kernel_shape = [2, 2], strides = [2, 2], "
        "pads = [0, 0, 0, 0], dilations = [1, 1]}\n"
        "%s: none[*] = mul(%m, %c)\n"
        "%j: none[*] = concat(%m, %s) {axis = -2}\n"
        "%y: none[*] = conv2d(%j, %w) {kernel_shape = [1, 1], strides = [1, 1], "
        "pads = [0, 0, 0, 0], dilations = [1, 1], group = 1, x_nchw = 0}\n"
        "output %y\n";
    cyg_graph *g = parse_graph(net), *out = NULL;
    int count[CYG_OP_COUNT] = {0};
    assert_int_equal(cyg_onnx_expand(NULL, g, 17, &out), CYG_OK);
    for (uint32_t k = 0; k < out->order_count; k++) {
        const cyg_node *n = cyg_nod(out, out->order[k]);
        count[n->op] += n->op != CYG_OP_transpose || !cyg_val(out, n->in[0])->is_const;
    }
    assert_int_equal(count[CYG_OP_transpose], 1);
    assert_int_equal(count[CYG_OP_quantize_linear], 1);
    const cyg_value *u = cyg_val(out, cyg_graph_find_value(out, "u")),
                    *y = cyg_val(out, cyg_graph_find_value(out, "y"));
    assert_true(u->dims[1] == 2 && u->dims[3] == 4);
    assert_true(y->rank == 4 && y->dims[1] == 2 && y->dims[2] == 4 && y->dims[3] == 2);
    cyg_graph_destroy(out);
    cyg_graph_destroy(g);
}

/* A turn to channels last behind a convolution that reads its operand as it is (a branch of
 * ShuffleNet): the Concat joins what lay channels first all the time. */
static void test_turn_behind_convolution(void **state)
{
    (void)state;
    static const char net[] =
        "graph \"net\" opset 18\n"
        "input %x: f32[1,2,4,3]\n"
        "const %w: f32[5,1,1,2] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]\n"
        "%a: f32[1,4,3,5] = conv2d(%x, %w) {kernel_shape = [1, 1], strides = [1, 1], "
        "pads = [0, 0, 0, 0], dilations = [1, 1], group = 1, x_nchw = 1}\n"
        "%t: f32[1,4,3,2] = transpose(%x) {perm = [0, 2, 3, 1]}\n"
        "%j: f32[1,4,3,7] = concat(%t, %a) {axis = 3}\n"
        "const %v: f32[1,1,1,7] = [1, 2, 3, 4, 5, 6, 7]\n"
        "%y: f32[1,4,3,1] = conv2d(%j, %v) {kernel_shape = [1, 1], strides = [1, 1], "
        "pads = [0, 0, 0, 0], dilations = [1, 1], group = 1}\n"
        "output %y\n";
    cyg_graph *g = parse_graph(net), *out = NULL;
    static cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    assert_int_equal(cyg_onnx_expand(&ctx, g, 17, &out), CYG_OK);
    for (uint32_t k = 0; k < out->order_count; k++) {
        const cyg_node *n = cyg_nod(out, out->order[k]);
        assert_true(n->op != CYG_OP_transpose || n->in[0].i != out->inputs[0].i);
    }
    cyg_graph_destroy(out);
    cyg_graph_destroy(g);
}

/* Pixels padded with a value for each channel: ONNX's Pad has one. */
static void test_channel_pads(void **state)
{
    (void)state;
    static const char net[] =
        "graph \"net\" opset 18\n"
        "input %x: f32[1,4,3,2] q(u8 zero 0 axis -1 scale 1)\n"
        "const %p: s64[8] = [0, 1, 2, 0, 0, 1, 0, 0]\n"
        "const %c: u8[2] q(u8 zero 0 axis -1 scale 1) = [124, 116]\n"
        "%y: f32[1,6,5,2] q(u8 zero 0 axis -1 scale 1) = pad(%x, %p, %c)\noutput %y\n";
    cyg_graph *g = parse_graph(net), *out = NULL;
    static cyg_ctx ctx;
    int count[CYG_OP_COUNT] = {0};
    cyg_ctx_init(&ctx);
    assert_int_equal(cyg_onnx_expand(&ctx, g, 17, &out), CYG_OK);
    for (uint32_t k = 0; k < out->order_count; k++) {
        const cyg_node *n = cyg_nod(out, out->order[k]);
        count[n->op]++;
        assert_true(n->op != CYG_OP_pad || n->in_count == 2);
    }
    assert_true(count[CYG_OP_sub] == 1 && count[CYG_OP_pad] == 1 && count[CYG_OP_add] == 1);
    cyg_graph_destroy(out);
    cyg_graph_destroy(g);
}

static void assert_error(void **state, const char *text, int opset, const char *message)
{
    cyg_graph *g = parse_graph(text);
    cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    const cyg_onnx_export_options options = {.opset = opset};
    assert_int_equal(cyg_onnx_export(&ctx, g, scratch_path(state, "no.onnx"), &options),
                     CYG_E_UNSUPPORTED);
    if (!ctx_says(&ctx, message))
        fail_msg("expected a message with \"%s\", found \"%s\"", message,
                 cyg_ctx_message(&ctx, cyg_ctx_message_count(&ctx) - 1));
    assert_false(cyg_path_exists(scratch_path(state, "no.onnx")));
    cyg_graph_destroy(g);
}

static void test_errors(void **state)
{
    assert_error(state, fused, 12, "opset 12: expected 13 to 21");
    assert_error(state,
                 "graph \"g\" opset 18\ninput %x: f32[2,3]\n%y: none[*] = reduce_max(%x) "
                 "{noop_with_empty_axes = 1} \"m\"\noutput %y\n",
                 17, "node m (ReduceMax) at opset 17: attribute noop_with_empty_axes exists from");
    assert_error(state,
                 "graph \"g\" opset 18\ninput %x: f32[2,3]\ninput %a: s64[1]\n"
                 "%y: none[*] = reduce_max(%x, %a) \"m\"\noutput %y\n",
                 17, "axes are an attribute, a is no small constant");
    assert_error(state,
                 "graph \"g\" opset 18\ninput %x: f32[2,5]\n%y: none[*], %z: none[*] = split(%x) "
                 "{axis = 1, num_outputs = 2} \"s\"\noutput %y\n",
                 17, "2 parts are not known to be equal");
    assert_error(state,
                 "graph \"g\" opset 18\ninput %x: f32[4,4]\nconst %r: s64[1,4] = [0, 1, 1, 2]\n"
                 "%y: none[*] = attention(%x, %x, %x, _, _, %r) {heads = 1, head_dim = 4, "
                 "tokens = 4} \"a\"\noutput %y\n",
                 17, "rows is no permutation: 1 at 2");
}

/* Tensors in a file beside the model: said to be there, and there, as they are and transposed; what
 * is small stays inside. */
static void test_external_data(void **state)
{
    cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    cyg_graph *g = parse_graph("graph \"g\" opset 18\ninput %x: f32[2,24]\n"
                               "const %w: f32[16,24] = #0 1536\nconst %v: f32[16,17] = #0 1088\n"
                               "const %b: f32[17] = #0 68\n%h: f32[2,16] = linear(%x, %w)\n"
                               "%m: f32[2,17] = matmul(%h, %v)\n%y: f32[2,17] = add(%m, %b)\n"
                               "output %y\n");
    float numbers[2][384];
    for (int i = 0; i < 384; i++) {
        numbers[0][i] = (float)i;
        numbers[1][i] = (float)-i;
    }
    g->values[cyg_graph_find_value(g, "w").i].data = numbers[0];
    g->values[cyg_graph_find_value(g, "v").i].data = numbers[1];
    const char *path = scratch_path(state, "m.onnx");
    const cyg_onnx_export_options options = {.opset = 17, .external_data = true};
    assert_int_equal(cyg_onnx_export(&ctx, g, path, &options), CYG_OK);
    cyg_map inside, beside;
    assert_int_equal(cyg_map_open(&ctx, path, &inside), CYG_OK);
    assert_int_equal(cyg_map_open(&ctx, scratch_path(state, "m.onnx.data"), &beside), CYG_OK);
    assert_true(inside.size < 1024);
    assert_int_equal(beside.size, 1536 + 1088);
    cyg_map_close(&inside);
    cyg_map_close(&beside);
    cyg_graph *back = import_ok(path);
    const float *w = cyg_val(back, cyg_graph_find_value(back, "w"))->data,
                *v = cyg_val(back, cyg_graph_find_value(back, "v"))->data;
    for (int i = 0; i < 24; i++)
        for (int k = 0; k < 16; k++)
            assert_true(w[i * 16 + k] == numbers[0][k * 24 + i]);
    assert_memory_equal(v, numbers[1], 1088);
    cyg_graph_destroy(back);
    cyg_graph_destroy(g);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup_scratch, teardown_scratch)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_reads_back),
        CASE(test_turn_behind_convolution),
        CASE(test_channel_pads),
        CASE(test_weights_are_written_transposed),
        CASE(test_same_graph_same_bytes),
        CASE(test_expansion_is_a_valid_graph),
        CASE(test_chains_are_written_by_rows),
        CASE(test_quantised_values_become_pairs),
        CASE(test_conversion_beside_a_reader),
        CASE(test_convolutions_stay_channels_first),
        CASE(test_external_data),
        CASE(test_errors),
    };
    return CYG_TEST_MAIN(tests);
}
