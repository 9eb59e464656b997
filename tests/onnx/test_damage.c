/* Damaged files: cut at every length, every byte changed in several ways. Nothing may crash, leak
 * or hang, and a failure leaves no graph (fuzz_onnx.c aborts otherwise). Also wire errors by name.
 */
#include "fixture.h"

#include "base/arena.h"
#include "onnx/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A bit of everything: function, constant, initialisers, window, old softmax, symbol. */
static ob rich_model(void)
{
    const float w[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    ob g = {0}, meta = {0}, t = ob_tensor("k", 6, "2");
    ob_int(&t, 5, 3);
    ob_int(&t, 5, 4);
    ob f = ob_function("own", "f", "a,c", "b");
    ob_put(&f, 7, ob_node("", "LeakyRelu", "", "a", "l", (attrs){{at_ref("alpha", 1, "s")}}));
    ob_put(&f, 7, ob_node("", "Clip", "", "l,,c", "b", (attrs){{{0}}}));
    ob_put(&f, 11, at_float("s", 0.5f));
    NODE(&g, "Conv", "c", "x,w", "t", at_text("auto_pad", "SAME_LOWER"), at_ints("strides", "2,1"));
    NODE(&g, "Constant", "", "", "six", at_float("value_float", 6.0f));
    ob_put(&g, 1, ob_node("own", "f", "call", "t,six", "u", (attrs){{{0}}}));
    NODE(&g, "Softmax", "s", "u", "v", at_int("axis", 1));
    NODE(&g, "Squeeze", "q", "v", "y", at_ints("axes", "0"));
    NODE(&g, "Cast", "", "k", "z", at_int("to", 7));
    INPUT(&g, "x", "N,2,4,4");
    OUTPUT(&g, "y", NULL);
    ob_put(&g, 12, ob_value("z", 7, "2"));
    ob_put(&g, 5, ob_tensor_raw("w", 1, "2,2,2,1", w, sizeof w));
    ob_put(&g, 5, t);
    ob_text(&meta, 1, "k");
    ob_text(&meta, 2, "v");
    ob m = ob_model(g, 11);
    ob_put(&m, 8, ob_opset("own", 1));
    ob_put(&m, 14, meta);
    ob_put(&m, 25, f);
    return m;
}

static void test_whole(void **state)
{
    cyg_graph *g = import_ok(state, rich_model());
    assert_int_equal(g->order_count, 8); /* softmax is three */
    cyg_graph_destroy(g);
}

static void test_truncated(void **state)
{
    (void)state;
    ob m = rich_model();
    for (size_t size = 0; size <= m.size; size++) {
        LLVMFuzzerTestOneInput(m.data, size);
        /* Messages alone on an exact copy, where a sanitizer sees a read beyond the end; in a
         * mapped file the page goes on. */
        cyg_arena arena;
        cyg_onnx_model model;
        uint8_t *cut = malloc(size > 0 ? size : 1);
        assert_non_null(cut);
        memcpy(cut, m.data, size);
        cyg_arena_init(&arena);
        CYG_IGNORE(cyg_onnx_decode(NULL, "cut", (cyg_span){cut, size}, false, &arena, &model));
        cyg_arena_deinit(&arena);
        free(cut);
    }
    free(m.data);
}

static void test_flipped(void **state)
{
    (void)state;
    static const uint8_t masks[] = {0x01, 0x02, 0x04, 0x08, 0x80, 0xff};
    ob m = rich_model();
    for (size_t at = 0; at < m.size; at++)
        for (size_t i = 0; i < CYG_COUNT(masks); i++) {
            m.data[at] ^= masks[i];
            LLVMFuzzerTestOneInput(m.data, m.size);
            m.data[at] ^= masks[i];
        }
    free(m.data);
}

/* The error names the message and the byte. */
static void test_places(void **state)
{
    ob g = {0}, bad = {0};
    NODE(&g, "Relu", "r", "x", "y", {0});
    ob_int(&bad, 4, 7); /* op_type as a number */
    ob_put(&g, 1, bad);
    ob m = {0};
    ob_put(&m, 8, ob_opset("", 17));
    ob_put(&m, 7, g);
    import_fails(state, m, CYG_E_FORMAT, "model.graph.node[1]: byte ",
                 "op_type (field 4): expected a length, found a number");

    import_fails(state, (ob){.data = calloc(1, 1), .size = 0}, CYG_E_FORMAT, "an empty file", "");
    m = (ob){0};
    ob_raw(&m, "this is a text", 14);
    import_fails(state, m, CYG_E_FORMAT, "model: byte 0: ", "m.onnx");
    m = (ob){0};
    ob_int(&m, 1, 8);
    import_fails(state, m, CYG_E_FORMAT, "expected one graph, found 0", "ONNX model?");
}

static void test_wire(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
        const char *says; /* NULL = fine */
    } cases[] = {
        {"\x08\x01", 2, NULL},
        {"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11, NULL},
        {"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 11, "longer than 64 bits"},
        {"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12, "longer than 64 bits"},
        {"\x08", 1, "field 1: the number is cut"},
        {"\x08\x80", 2, "field 1: the number is cut"},
        {"\x80", 1, "damaged varint"},
        {"\x00\x01", 2, "found 0"},
        {"\x0b", 1, "wire type 3"},
        {"\x0c", 1, "wire type 4"},
        {"\x0e", 1, "wire type 6"},
        {"\x09\x01\x02", 3, "expected 8 bytes, found 2"},
        {"\x0d\x01\x02\x03", 4, "expected 4 bytes, found 3"},
        {"\x0a\x03\x01\x02", 4, "expected 3 bytes, found 2"},
        {"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11, "before the end"},
    };
    for (size_t i = 0; i < CYG_COUNT(cases); i++) {
        const uint8_t *data = (const uint8_t *)cases[i].bytes;
        const cyg_wire_file file = {"f", data, 0};
        cyg_wire w = cyg_wire_root(&file, (cyg_span){data, cases[i].size}, "m");
        cyg_wire_field f;
        cyg_ctx_init(&test_ctx);
        const cyg_status status = cyg_wire_next(&test_ctx, &w, &f);
        assert_int_equal(status, cases[i].says == NULL ? CYG_OK : CYG_E_FORMAT);
        if (cases[i].says != NULL)
            assert_true(ctx_says(&test_ctx, cases[i].says));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_whole),  TEST(test_truncated), TEST(test_flipped),
        TEST(test_places), TEST(test_wire),
    };
    return CYG_TEST_MAIN(tests);
}
