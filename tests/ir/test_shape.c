/* Shape inference against ONNX's own (shape_cases.txt, made by make_shape_cases.py), followed
 * shape arithmetic, the fused operators, run-time inference with data, and errors. */
#include "ir_testing.h"

#include "ir/shape.h"

static void test_every_operator_has_a_rule(void **state)
{
    (void)state;
    for (int i = 0; i < CYG_OP_COUNT; i++)
        if (i != CYG_OP_removed && cyg_shape_rule_of((cyg_op)i) == NULL)
            fail_msg("%s has no shape rule", cyg_op_schema_of((cyg_op)i)->id);
}

/* "o0: f32[2,3]" must stand in the printed graph behind a %. */
static void assert_shape(const cyg_graph *g, const char *want)
{
    char *text = print_graph(g);
    char line[256];
    snprintf(line, sizeof line, "%%%s", want);
    const char *at = strstr(text, line);
    const char after = at == NULL ? '\0' : at[strlen(line)];
    if (after != ' ' && after != ',')
        fail_msg("expected %s in\n%s", want, text);
    free(text);
}

static void test_onnx_cases(void **state)
{
    (void)state;
    static char text[1 << 18];
    FILE *f = fopen(CYG_SOURCE_ROOT "/tests/ir/shape_cases.txt", "rb");
    assert_non_null(f);
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    fclose(f);
    int cases = 0;
    char *next;
    for (char *at = text; *at != '\0'; at = next) {
        char *end = strstr(at, "\n\n");
        next = end == NULL ? at + strlen(at) : end + 2;
        if (end != NULL)
            *end = '\0';
        cyg_graph *g = parse_graph(at);
        cyg_ctx ctx;
        cyg_ctx_init(&ctx);
        if (cyg_graph_infer_shapes(&ctx, g) != CYG_OK)
            fail_msg("%s in\n%s", cyg_ctx_message(&ctx, 0), at);
        for (char *e = strstr(at, "; expect "); e != NULL; e = strstr(e, "; expect ")) {
            char want[200];
            e += strlen("; expect ");
            snprintf(want, sizeof want, "%.*s", (int)strcspn(e, "\n"), e);
            assert_shape(g, want);
        }
        cyg_graph_destroy(g);
        cases++;
    }
    assert_true(cases > 100);
}

static void infer_ok(const char *text, const char *const *want)
{
    cyg_graph *g = parse_graph(text);
    cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    if (cyg_graph_infer_shapes(&ctx, g) != CYG_OK)
        fail_msg("%s", cyg_ctx_message(&ctx, 0));
    for (; *want != NULL; want++)
        assert_shape(g, *want);
    assert_int_equal(cyg_graph_verify(NULL, g), CYG_OK);
    cyg_graph_destroy(g);
}

static void infer_bad(const char *text, const char *message)
{
    cyg_graph *g = parse_graph(text);
    cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    assert_int_equal(cyg_graph_infer_shapes(&ctx, g), CYG_E_GRAPH);
    if (!ctx_says(&ctx, message))
        fail_msg("expected a message with \"%s\", found \"%s\"", message, cyg_ctx_message(&ctx, 0));
    cyg_graph_destroy(g);
}
#define WANT(...)                                                                                  \
    (const char *const[])                                                                          \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }

static void test_exporters_shape_arithmetic(void **state)
{
    (void)state;
    /* x.view(B, T, 3, C / 3) as PyTorch writes it, with a symbolic batch. */
    infer_ok("graph \"g\" opset 18\n"
             "input %x: f32[N,49,96]\n"
             "const %i0: s64[] = [0]\nconst %i2: s64[] = [2]\nconst %three: s64[] = [3]\n"
             "const %ax: s64[1] = [0]\nconst %t: s64[1] = [49]\n"
             "%s: none[*] = shape(%x)\n"
             "%b: none[*] = gather(%s, %i0)\n"
             "%c: none[*] = gather(%s, %i2)\n"
             "%d: none[*] = div(%c, %three)\n"
             "%bu: none[*] = unsqueeze(%b, %ax)\n"
             "%du: none[*] = unsqueeze(%d, %ax)\n"
             "%tu: none[*] = unsqueeze(%three, %ax)\n"
             "%to: none[*] = concat(%bu, %t, %tu, %du) {axis = 0}\n"
             "%y: none[*] = reshape(%x, %to)\n"
             "output %y\n",
             WANT("y: f32[N,49,3,32]", "to: s64[4]", "d: s64[]"));
    /* expand() with -1: Where(Equal(shape, -1), ones, shape) */
    infer_ok("graph \"g\" opset 18\n"
             "input %x: f32[1,1,192]\ninput %img: f32[B,3,224,224]\n"
             "const %i0: s64[] = [0]\nconst %ax: s64[1] = [0]\nconst %m: s64[2] = [-1, -1]\n"
             "const %three: s64[1] = [3]\nconst %minus: s64[] = [-1]\nconst %one: s64[1] = [1]\n"
             "%s: none[*] = shape(%img)\n"
             "%b: none[*] = gather(%s, %i0)\n"
             "%bu: none[*] = unsqueeze(%b, %ax)\n"
             "%want: none[*] = concat(%bu, %m) {axis = 0}\n"
             "%ones: none[*] = constant_of_shape(%three) {value = %one}\n"
             "%mul: none[*] = mul(%ones, %minus)\n"
             "%eq: none[*] = equal(%want, %mul)\n"
             "%to: none[*] = where(%eq, %ones, %want)\n"
             "%y: none[*] = expand(%x, %to)\n"
             "output %y\n",
             WANT("ones: s64[3]", "eq: bool[3]", "y: f32[?,1,192]"));
    /* Slices, products and ranges of shapes. */
    infer_ok("graph \"g\" opset 18\n"
             "input %x: f32[2,5,7]\n"
             "const %a: s64[1] = [1]\nconst %e: s64[1] = [3]\nconst %z: s64[] = [0]\n"
             "const %d: s64[] = [1]\n"
             "%s: none[*] = shape(%x)\n"
             "%tail: none[*] = slice(%s, %a, %e)\n"
             "%p: none[*] = reduce_prod(%tail) {keepdims = 0}\n"
             "%r: none[*] = range(%z, %p, %d)\n"
             "%y: none[*] = identity(%r)\n"
             "output %y\n",
             WANT("tail: s64[2]", "p: s64[]", "y: s64[35]"));
    /* shape[1] = 7; shape[-1] = n: the batch stays a symbol. */
    infer_ok("graph \"g\" opset 18\n"
             "input %x: f32[N,5,5]\n"
             "const %i: s64[1,1] = [1]\nconst %v: s64[1] = [7]\n"
             "const %last: s64[1] = [-1]\nconst %ax: s64[1] = [0]\nconst %z: s64[] = [0]\n"
             "%s: none[*] = shape(%x)\n"
             "%n: none[*] = gather(%s, %ax)\n"
             "%t: none[*] = scatter_nd(%s, %i, %v)\n"
             "%u: none[*] = scatter_elements(%t, %last, %n) {axis = 0}\n"
             "%y: none[*] = constant_of_shape(%u)\n"
             "%w: none[*] = constant_of_shape(%t)\n"
             "output %y\noutput %w\n",
             WANT("y: f32[N,7,N]", "w: f32[N,7,5]"));
}

static void test_symbolic_reshape(void **state)
{
    (void)state;
    infer_ok("graph \"g\" opset 18\n"
             "input %x: f32[N,6,6,8]\n"
             "const %a: s64[3] = [0, 36, 8]\nconst %b: s64[3] = [-1, 36, 8]\n"
             "const %c: s64[2] = [-1, 8]\n"
             "%ya: none[*] = reshape(%x, %a)\n"
             "%yb: none[*] = reshape(%x, %b)\n"
             "%yc: none[*] = reshape(%x, %c)\n"
             "output %ya\noutput %yb\noutput %yc\n",
             WANT("ya: f32[N,36,8]", "yb: f32[N,36,8]", "yc: f32[?,8]"));
}

/* A last window that would begin in the end padding does not exist (ONNX Runtime 1.32: 5 x 6). */
static void test_ceil_mode_drops_windows_in_the_padding(void **state)
{
    (void)state;
    infer_ok("graph \"g\" opset 18\ninput %x: f32[1,3,14,15]\n"
             "%y: none[*] = max_pool(%x) {ceil_mode = 1, kernel_shape = [3, 3], "
             "pads = [1, 1, 1, 1], strides = [3, 3]}\noutput %y\n",
             WANT("y: f32[1,3,5,6]"));
}

static void test_fused_operators(void **state)
{
    (void)state;
    infer_ok(
        "graph \"g\" opset 18\n"
        "input %img: f32[1,3,28,28]\n"
        "const %w: f32[12,4,4,3] = #0 2304\nconst %b: f32[12] = #0 48\n"
        "const %rows: s64[4,49] = #0 1568\nconst %qkv: f32[36,12] = #0 1728\n"
        "const %qb: f32[36] = #0 144\nconst %pos: f32[1,3,49,49] = #0 28812\n"
        "const %merge: s64[9,4] = #0 288\nconst %zero: s64[4] = [0, 0, 0, 0]\n"
        "const %flat: s64[3] = [1, -1, 12]\n"
        "%p: none[*] = conv2d(%img, %w, %b) {strides = [2, 2], pads = [1, 1, 1, 1], x_nchw = 1}\n"
        "%t: none[*] = reshape(%p, %flat)\n"
        "%g0: none[*] = gather_rows(%t, %rows) {rows_in = 196}\n"
        "%h: none[*] = linear(%g0, %qkv, %qb)\n"
        "%a: none[*] = attention(%h, %h, %h, %pos, %zero, %rows) {heads = 3, head_dim = 4, "
        "tokens = 49, k_offset = 12, v_offset = 24}\n"
        "%m: none[*] = gather_rows(%a, %merge) {rows_in = 196}\n"
        "%q: none[*] = requant(%m)\n"
        "output %q\n",
        WANT("p: f32[1,14,14,12]", "h: f32[1,196,36]", "a: f32[1,196,12]", "q: f32[1,36,12]"));
    infer_bad("graph \"g\" opset 18\ninput %x: f32[1,49,35]\n"
              "%a: none[*] = attention(%x, %x, %x) {heads = 3, head_dim = 4, tokens = 49, "
              "v_offset = 24} \"att\"\noutput %a\n",
              "node att (Attention): input 2: channels 24 to 24 + 12 are not in [1,49,35]");
}

static void test_errors_name_node_expected_found(void **state)
{
    (void)state;
    infer_bad("graph \"g\" opset 18\ninput %x: f32[2,3]\ninput %w: f32[4,5]\n"
              "%y: none[*] = matmul(%x, %w) \"mm\"\noutput %y\n",
              "node mm (MatMul): inner dimension of the second operand: expected 3, found 4");
    infer_bad(
        "graph \"g\" opset 18\ninput %x: f32[2,3]\n%y: f32[2,4] = relu(%x) \"r\"\noutput %y\n",
        "node r (Relu): output y: expected f32[2,4], found f32[2,3]");
    infer_bad("graph \"g\" opset 18\ninput %x: f32[2,3]\ninput %z: s64[2,3]\n"
              "%y: none[*] = add(%x, %z) \"a\"\noutput %y\n",
              "inputs x and z: expected one type, found f32 and s64");
    infer_bad("graph \"g\" opset 18\ninput %x: f32[2,3]\nconst %s: s64[2] = [4, 2]\n"
              "%y: none[*] = reshape(%x, %s) \"r\"\noutput %y\n",
              "expected a shape of 6 elements (the input is [2,3]), found [4,2]");
    infer_bad("graph \"g\" opset 18\ninput %x: f32[1,1,4,4]\ninput %w: f32[1,1,7,7]\n"
              "%y: none[*] = conv(%x, %w) \"c\"\noutput %y\n",
              "a kernel of extent 7 does not fit the padded size 4");
}

/* One operator each over x f32[2,8,5,7]: what cannot be is refused with node and reason. */
static void test_wrong_operands(void **state)
{
    (void)state;
    static const struct {
        const char *line, *says;
    } cases[] = {
        {"const %r: f32[4] = [1, 1, -2, 2]\n%y: none[*] = resize(%x, _, %r) \"n\"\n",
         "node n (Resize): scale -2 of axis 2 is out of range"},
        {"const %r: f32[3] = [1, 1, 2]\n%y: none[*] = resize(%x, _, %r) \"n\"\n",
         "scales: expected 4 numbers, found 3"},
        {"const %r: f32[4] = [1, 1, 2, 2]\nconst %s: s64[4] = [2, 8, 5, 7]\n"
         "%y: none[*] = resize(%x, _, %r, %s) \"n\"\n",
         "expected scales or sizes, found both"},
        {"const %s: s64[4] = [2, 8, -5, 7]\n%y: none[*] = resize(%x, _, _, %s) \"n\"\n",
         "size -5 of axis 2"},
        {"const %s: s64[1] = [3]\n%y: none[*] = resize(%x, _, _, %s) {axes = [4]} \"n\"\n",
         "expected an axis in [-4, 4), found 4"},
        {"const %r: f32[4] = [1, 1, 9e8, 9e8]\n%y: none[*] = resize(%x, _, %r) \"n\"\n",
         "is too large"},
        {"const %k: s64[1] = [8]\n%y: none[*], %i: none[*] = top_k(%x, %k) {axis = 2} \"n\"\n",
         "node n (TopK): k is 8, the input is [2,8,5,7]"},
        {"const %k: s64[1] = [-1]\n%y: none[*], %i: none[*] = top_k(%x, %k) \"n\"\n", "k is -1"},
        {"const %a: s64[] = [-5]\n%y: none[*] = cumsum(%x, %a) \"n\"\n",
         "expected an axis in [-4, 4), found -5"},
        {"%y: none[*] = depth_to_space(%x) {blocksize = 3} \"n\"\n", "size 8 is no multiple of 9"},
        {"%y: none[*] = depth_to_space(%x) {blocksize = 0} \"n\"\n",
         "blocksize: 0 is out of range"},
        {"%y: none[*] = depth_to_space(%x) {blocksize = 2, mode = \"RGB\"} \"n\"\n",
         "mode: expected DCR or CRD, found RGB"},
        {"%y: none[*] = space_to_depth(%x) {blocksize = 4611686018427387904} \"n\"\n",
         "is out of range"},
        {"input %i: s64[2,8,5]\n%y: none[*] = scatter_elements(%x, %i, %x) \"n\"\n",
         "indices: expected rank 4, found 3"},
        {"input %w: f32[6,4,3,3]\n%y: none[*] = conv_transpose(%x, %w) \"n\"\n",
         "channels of the weight: expected 8, found 6"},
        {"input %w: f32[8,4,1,1]\n%y: none[*] = conv_transpose(%x, %w) {pads = [3, 0, 3, 0]} "
         "\"n\"\n",
         "pads 3 and 3 leave nothing of size 5"},
        {"input %w: f32[8,4,3,3]\n%y: none[*] = conv_transpose(%x, %w) {group = 3} \"n\"\n",
         "group: 3 is out of range"},
        {"input %w: f32[8,4,9223372036854775807,1]\n"
         "%y: none[*] = conv_transpose(%x, %w) {dilations = [2, 1]} \"n\"\n",
         "a kernel of size 9223372036854775807 is out of range"},
        {"input %w: f32[8,8,9223372036854775807,1]\n"
         "%y: none[*] = conv(%x, %w) {dilations = [2, 1]} \"n\"\n",
         "a kernel of size 9223372036854775807 is out of range"},
        {"input %g: f32[2,4,6,3]\n%y: none[*] = grid_sample(%x, %g) \"n\"\n",
         "last dimension of the grid: expected 2, found 3"},
        {"input %s: f32[8]\n%y: none[*] = group_normalization(%x, %s, %s) {num_groups = 3} \"n\"\n",
         "3 groups do not divide the channels of [2,8,5,7]"},
        {"input %s: f32[7]\n%y: none[*] = instance_normalization(%x, %s, %s) \"n\"\n",
         "channels: expected 8, found 7"},
        {"input %s: f32[6,5]\ninput %b: s64[6]\n%y: none[*] = roi_align(%x, %s, %b) \"n\"\n",
         "last dimension of rois: expected 4, found 5"},
        {"input %s: f32[3,2,5]\ninput %w: f32[1,12,5]\ninput %r: f32[1,12,4]\n"
         "%y: none[*] = lstm(%s, %w, %r) \"n\"\n",
         "node n (LSTM): hidden size: expected 4, found 3"},
        {"input %s: f32[4]\n%y: none[*] = trilu(%s) \"n\"\n", "expected rank 2 or more, found 1"},
    };
    for (size_t i = 0; i < CYG_COUNT(cases); i++) {
        char text[1024];
        snprintf(text, sizeof text, "graph \"g\" opset 18\ninput %%x: f32[2,8,5,7]\n%soutput %%y\n",
                 cases[i].line);
        infer_bad(text, cases[i].says);
    }
}

/* The interpreter's way: contents lent, shapes replaced from run to run. */
static const int64_t *lent;
static const void *lend(void *user, cyg_value_id v)
{
    return v.i == *(const uint32_t *)user ? lent : NULL;
}

static void test_run_time_inference(void **state)
{
    (void)state;
    cyg_graph *g = parse_graph("graph \"g\" opset 18\ninput %x: f32[2,6]\ninput %s: s64[2]\n"
                               "%y: f32[*] = reshape(%x, %s) \"r\"\noutput %y\n");
    uint32_t s = cyg_graph_find_value(g, "s").i;
    const cyg_node_id r = cyg_graph_find_node(g, "r");
    assert_int_equal(cyg_node_infer(NULL, g, r), CYG_OK);
    assert_shape(g, "y: f32[?,?]");
    lent = (const int64_t[]){3, -1};
    assert_int_equal(cyg_node_infer_with(NULL, g, r, lend, &s), CYG_OK);
    assert_shape(g, "y: f32[3,4]");
    lent = (const int64_t[]){-1, 2};
    assert_int_equal(cyg_node_infer_with(NULL, g, r, lend, &s), CYG_OK);
    assert_shape(g, "y: f32[6,2]");
    cyg_graph_destroy(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_operator_has_a_rule),
        cmocka_unit_test(test_onnx_cases),
        cmocka_unit_test(test_exporters_shape_arithmetic),
        cmocka_unit_test(test_symbolic_reshape),
        cmocka_unit_test(test_ceil_mode_drops_windows_in_the_padding),
        cmocka_unit_test(test_fused_operators),
        cmocka_unit_test(test_errors_name_node_expected_found),
        cmocka_unit_test(test_wrong_operands),
        cmocka_unit_test(test_run_time_inference),
    };
    return CYG_TEST_MAIN(tests);
}
