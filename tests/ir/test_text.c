/* The text form: what is printed parses to the same text; damaged text is an error with a place. */
#include "ir_testing.h"

#include "base/bytes.h"

static const char *const everything =
    "graph \"all \\\"of\\\" it\" opset 17\n"
    "meta \"labels\" = \"cat\\ndog\\x01\"\n"
    "symbol N\n"
    "symbol \"height * 2\"\n"
    "source @0 \"/a b/Conv\" \"Conv\"\n"
    "source @1 \"\" \"tensor\"\n"
    "input %x: f32[N,3,\"height * 2\",?]\n"
    "input %\"odd name\": s64[*]\n"
    "const %onnx::w_1: f32[2,3] q(s8 zero 0 axis 0 scale 0.1 0.0001) = "
    "[1, -0, 0.1, inf, -inf, nan]\n"
    "const %half: f16[2] = [15360, 65535]\n"
    "const %big: u8[20] = x\"000102030405060708090a0b0c0d0e0f10111213\"\n"
    "const %none: s64[0] = []\n"
    "const %scalar: s64[] = [-9223372036854775808]\n"
    "const %u: u64[1] = [18446744073709551615]\n"
    "const %flag: bool[2] = [1, 0]\n"
    "const %tiny: s8[2] = [-128, 127]\n"
    "const %fill: f32[1] = [3.5]\n"
    "%\"a:\": none[*], %b: f32[N,?] q(u8 zero 128 axis -1 scale 0.5) = split(%x) {axis = 1, "
    "num_outputs = 2} \"/split:0\" @0,1\n"
    "%c: f32[] = pad(%b, %none, _, %none) {mode = \"edge\"} \"p\"\n"
    "%d: f32[N,3] = conv2d(%x, %onnx::w_1, _, %b) {kernel_shape = [1, 2], strides = [], act = 4, "
    "act_lo = -1.5, act_hi = 6} \"conv\" @1\n"
    "%e: f32[0] = constant_of_shape(%none) {value = %fill} \"cos\"\n"
    "output %d\n"
    "output %x\n"
    "output %d\n";

static void test_prints_what_it_parsed(void **state)
{
    (void)state;
    cyg_graph *g = parse_graph(everything);
    assert_text(g, everything);
    assert_true(cyg_load_f32((const char *)cyg_val(g, cyg_graph_find_value(g, "onnx::w_1"))->data +
                             8) == 0.1f);
    cyg_graph_destroy(g);
}

static void test_large_constants_print_as_hash(void **state)
{
    (void)state;
    cyg_graph *g = parse_graph(everything);
    cyg_strbuf s = {0}, again = {0};
    cyg_graph_print(g, false, &s);
    assert_non_null(strstr(s.data, "const %big: u8[20] = #"));
    assert_non_null(strstr(s.data, " 20\n"));
    cyg_graph *zeros = parse_graph(s.data);
    assert_int_equal(((const uint8_t *)cyg_val(zeros, cyg_graph_find_value(zeros, "big"))->data)[9],
                     0);
    cyg_strbuf_deinit(&s);
    cyg_strbuf_deinit(&again);
    cyg_graph_destroy(zeros);
    cyg_graph_destroy(g);
}

static void test_comments_and_space(void **state)
{
    (void)state;
    cyg_graph *g = parse_graph("; a comment\n graph\t\"g\"\nopset 18 input %x :f32[1] ; more\n"
                               "%y :f32[1]=relu(%x)\r\noutput %y");
    cyg_graph_destroy(g);
}

static void assert_error(const char *text, cyg_status want, const char *message)
{
    cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    cyg_graph *g = NULL;
    assert_int_equal(cyg_graph_parse(&ctx, "file.txt", text, strlen(text), &g), want);
    assert_null(g);
    if (!ctx_says(&ctx, message))
        fail_msg("expected a message with \"%s\", found \"%s\"", message, cyg_ctx_message(&ctx, 0));
}

static void test_errors_have_a_place(void **state)
{
    (void)state;
    const cyg_status bad = CYG_E_FORMAT;
    assert_error("", bad, "file.txt:1:1: expected graph, found the end");
    assert_error("graph \"g\" opset 18\ninput %x f32[1]\n", bad,
                 "file.txt:2:10: expected ':', found f32");
    assert_error("graph \"g\" opset 18\n%y: f32[1] = relu(%z)\n", bad,
                 "file.txt:2:19: value z is not defined before");
    assert_error("graph \"g\" opset 18\n%y: f32[1] = relu(%y)\n", bad, "not defined before");
    assert_error("graph \"g\" opset 18\ninput %x: f32[1]\n%y: f32[1] = rlu(%x)\n", bad,
                 "file.txt:3:14: expected an operator, found rlu");
    assert_error("graph \"g\" opset 18\ninput %x: f32[1]\n%y: f32[1] = relu(%x) {axis = 1}\n", bad,
                 "relu has no attribute axis");
    assert_error("graph \"g\" opset 18\nconst %x: u8[1] = [256]\n", bad,
                 "from 0 to 255, found 256");
    assert_error("graph \"g\" opset 18\nconst %x: f32[1000000000000] = [1]\n", bad, "too much");
    assert_error("graph \"g\" opset 18\nconst %x: f32[9000000000] = #00 36000000000\n", bad,
                 "too much");
    assert_error("graph \"g\" opset 18\nconst %x: f32[4000000000,4000000000,9] = []\n", bad,
                 "needs a type and a known shape");
    assert_error("graph \"g\" opset 18\ninput %x: f32[1,1,1,1,1,1,1,1,1]\n", bad,
                 "more than 8 dimensions");
    assert_error("graph \"g\" opset 18\nmeta \"k\" = \"v\\x00\"\n", bad, "NUL byte");
    assert_error("graph \"g\" opset 18\nmeta \"k\" = \"v\n", bad, "does not end");
    assert_error("graph \"g\" opset 18\nsource @1 \"a\" \"b\"\n", bad, "from 0 to 0");
    assert_error("graph \"g\" opset 18\ninput %x: f32[1]\n%y: f32[1] = add(%x)\n", CYG_E_GRAPH,
                 "expected 2 to 2 inputs, found 1");
}

/* Truncated everywhere, and with each byte replaced: an error or a graph, never harm. */
static void test_damaged_text(void **state)
{
    (void)state;
    const size_t len = strlen(everything);
    for (size_t cut = 0; cut < len; cut++) {
        char *copy = malloc(cut + 1); /* exactly as long, so that a sanitizer sees over-reads */
        assert_non_null(copy);
        memcpy(copy, everything, cut);
        cyg_graph *g = NULL;
        CYG_IGNORE(cyg_graph_parse(NULL, "cut", copy, cut, &g));
        cyg_graph_destroy(g);
        free(copy);
    }
    char *copy = strdup(everything);
    assert_non_null(copy);
    for (size_t at = 0; at < len; at++) {
        static const char with[] = "\"%[9\\#:\xff";
        for (size_t k = 0; k < sizeof with; k++) {
            copy[at] = with[k];
            cyg_graph *g = NULL;
            CYG_IGNORE(cyg_graph_parse(NULL, "flip", copy, len, &g));
            cyg_graph_destroy(g);
        }
        copy[at] = everything[at];
    }
    free(copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_prints_what_it_parsed),
        cmocka_unit_test(test_large_constants_print_as_hash),
        cmocka_unit_test(test_comments_and_space),
        cmocka_unit_test(test_errors_have_a_place),
        cmocka_unit_test(test_damaged_text),
    };
    return CYG_TEST_MAIN(tests);
}
