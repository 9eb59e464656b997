/* TensorProto in all its forms, external data, SHA-1. */
#include "fixture.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"

/* y = Identity(t): the tensor comes back as the node's input. */
static ob model_of(ob tensor)
{
    ob g = {0};
    NODE(&g, "Identity", "i", "t", "y", {0});
    ob_put(&g, 5, tensor);
    ob_put(&g, 12, ob_value("y", 0, NULL));
    return ob_model(g, 17);
}

static cyg_graph *import_tensor(void **state, ob tensor, const cyg_value **out_value)
{
    cyg_graph *g = import_ok(state, model_of(tensor));
    *out_value = cyg_val(g, nth(g, 0)->in[0]);
    assert_true((*out_value)->is_const);
    assert_int_equal((uintptr_t)(*out_value)->data % cyg_type_size((*out_value)->type), 0);
    return g;
}

/* The tensor reads as these bytes. */
static void expect_tensor(void **state, ob tensor, cyg_type type, const void *want, size_t size)
{
    const cyg_value *v;
    cyg_graph *g = import_tensor(state, tensor, &v);
    assert_int_equal(v->type, type);
    assert_int_equal(v->bytes, size);
    if (size > 0)
        assert_memory_equal(v->data, want, size);
    cyg_graph_destroy(g);
}

static ob with_ints(ob t, unsigned field, const int64_t *values, size_t count, int packed)
{
    ob list = {0};
    for (size_t i = 0; i < count; i++) {
        if (packed)
            ob_varint(&list, (uint64_t)values[i]);
        else
            ob_int(&t, field, values[i]);
    }
    if (packed)
        ob_put(&t, field, list);
    return t;
}

/* 4 bits: two elements a byte, the low half first, an odd count with half a byte to spare. */
static void test_four_bits(void **state)
{
    const uint8_t packed[3] = {0x71, 0x8f, 0xf7}, plain[5] = {1, 7, 15, 8, 7};
    const int8_t wide[5] = {1, 7, -1, -8, 7};
    const int64_t listed[3] = {0x71, 0x8f, 0xf7};
    expect_tensor(state, ob_tensor_raw("t", 22, "5", packed, 3), CYG_TYPE_S8, wide, 5);
    expect_tensor(state, ob_tensor_raw("t", 21, "5", packed, 3), CYG_TYPE_U8, plain, 5);
    expect_tensor(state, with_ints(ob_tensor("t", 22, "5"), 5, listed, 3, 1), CYG_TYPE_S8, wide, 5);
}

static void test_typed_lists(void **state)
{
    const int64_t n[3] = {-1, 0, 127}, u[3] = {0, 1, 255}, bits[3] = {0x3c00, 0xc000, 0};
    const int8_t s8[3] = {-1, 0, 127};
    const int16_t s16[3] = {-1, 0, 127};
    const int32_t s32[3] = {-1, 0, 127};
    const uint8_t u8[3] = {0, 1, 255};
    const uint16_t u16[3] = {0, 1, 255}, f16[3] = {0x3c00, 0xc000, 0};
    const uint32_t u32[3] = {0, 1, 255};
    const uint64_t u64[3] = {0, 1, 255};
    for (int packed = 0; packed < 2; packed++) {
        const struct {
            int onnx;
            unsigned field;
            const int64_t *from;
            cyg_type type;
            const void *want;
            size_t size;
        } cases[] = {
            {3, 5, n, CYG_TYPE_S8, s8, 3},       {5, 5, n, CYG_TYPE_S16, s16, 6},
            {6, 5, n, CYG_TYPE_S32, s32, 12},    {7, 7, n, CYG_TYPE_S64, n, 24},
            {2, 5, u, CYG_TYPE_U8, u8, 3},       {4, 5, u, CYG_TYPE_U16, u16, 6},
            {12, 11, u, CYG_TYPE_U32, u32, 12},  {13, 11, u, CYG_TYPE_U64, u64, 24},
            {10, 5, bits, CYG_TYPE_F16, f16, 6}, {16, 5, bits, CYG_TYPE_BF16, f16, 6},
        };
        for (size_t i = 0; i < CYG_COUNT(cases); i++)
            expect_tensor(state,
                          with_ints(ob_tensor("t", cases[i].onnx, "3"), cases[i].field,
                                    cases[i].from, 3, packed),
                          cases[i].type, cases[i].want, cases[i].size);
    }
    const float f[3] = {1, -2, 3};
    const double d[2] = {1, -2};
    ob t = ob_tensor("t", 1, "3");
    ob_bytes(&t, 4, f, 8); /* two packed, one alone */
    ob_f32(&t, 4, f[2]);
    expect_tensor(state, t, CYG_TYPE_F32, f, sizeof f);
    t = ob_tensor("t", 11, "2");
    ob_bytes(&t, 10, d, sizeof d);
    expect_tensor(state, t, CYG_TYPE_F64, d, sizeof d);
    expect_tensor(state, ob_tensor("t", 1, "0,4"), CYG_TYPE_F32, NULL, 0);
}

static void test_raw(void **state)
{
    /* Whatever the length of the name before it, the data ends up aligned. */
    const double d[2] = {1.5, -2.5};
    for (size_t pad = 0; pad < 8; pad++) {
        ob g = {0};
        ob_bytes(&g, 10, "abcdefgh", pad); /* doc_string */
        NODE(&g, "Identity", "i", "t", "y", {0});
        ob_put(&g, 5, ob_tensor_raw("t", 11, "2", d, sizeof d));
        ob_put(&g, 12, ob_value("y", 11, "2"));
        cyg_graph *graph = import_ok(state, ob_model(g, 17));
        const cyg_value *v = cyg_val(graph, nth(graph, 0)->in[0]);
        assert_int_equal((uintptr_t)v->data % 8, 0);
        assert_memory_equal(v->data, d, sizeof d);
        cyg_graph_destroy(graph);
    }
}

static void test_wrong_tensors(void **state)
{
    const float f[4] = {0};
    const int64_t big[1] = {256};
    import_fails(state, model_of(ob_tensor_raw("t", 1, "3", f, 16)), CYG_E_FORMAT,
                 "expected 12 bytes of raw_data for 3 elements of type f32, found 16", "\"t\"");
    import_fails(state, model_of(ob_tensor("t", 1, "3")), CYG_E_FORMAT,
                 "expected 3 elements in float_data, found 0", "\"t\"");
    import_fails(state, model_of(with_ints(ob_tensor("t", 2, "1"), 5, big, 1, 1)), CYG_E_FORMAT,
                 "a number in int32_data is no u8", "\"t\"");
    import_fails(state, model_of(ob_tensor("t", 1, "-3")), CYG_E_FORMAT, "negative", "\"t\"");
    import_fails(state, model_of(ob_tensor("t", 1, "4611686018427387904,4611686018427387904")),
                 CYG_E_FORMAT, "beyond 64 bits", "\"t\"");
    import_fails(state, model_of(ob_tensor("t", 1, "1,1,1,1,1,1,1,1,1")), CYG_E_UNSUPPORTED,
                 "more than 8 dimensions", "tensor  t");
    import_fails(state, model_of(ob_tensor("t", 8, "1")), CYG_E_UNSUPPORTED, "string", "tensor  t");
    import_fails(state, model_of(ob_tensor("t", 17, "1")), CYG_E_UNSUPPORTED, "float8", "");
    import_fails(state, model_of(ob_tensor("t", 23, "1")), CYG_E_UNSUPPORTED, "float4", "");
    import_fails(state, model_of(ob_tensor_raw("t", 22, "5", "ab", 2)), CYG_E_FORMAT,
                 "expected 3 bytes for 5 elements of 4 bits, found 2", "\"t\"");
    import_fails(state, model_of(ob_tensor("t", 99, "1")), CYG_E_UNSUPPORTED, "newer", "");
}

static ob external(const char *location, const char *offset, const char *length,
                   const char *checksum)
{
    ob t = ob_tensor("t", 1, "2");
    const char *const pairs[][2] = {
        {"location", location}, {"offset", offset}, {"length", length}, {"checksum", checksum}};
    for (size_t i = 0; i < CYG_COUNT(pairs); i++) {
        ob e = {0};
        if (pairs[i][1] == NULL)
            continue;
        ob_text(&e, 1, pairs[i][0]);
        ob_text(&e, 2, pairs[i][1]);
        ob_put(&t, 13, e);
    }
    ob_int(&t, 14, 1);
    return t;
}

static void test_external(void **state)
{
    const float f[5] = {9, 1, 2, 9, 9};
    char sum[41];
    cyg_sha1_hex(f, sizeof f, sum);
    write_scratch(state, "w.bin", f, sizeof f);
    expect_tensor(state, external("w.bin", "4", "8", sum), CYG_TYPE_F32, f + 1, 8);
    expect_tensor(state, external("./w.bin", "4", NULL, NULL), CYG_TYPE_F32, f + 1, 8);
    expect_tensor(state, external("w.bin", NULL, NULL, NULL), CYG_TYPE_F32, f, 8);
    assert_int_equal(mkdir(scratch_path(state, "sub"), 0777), 0);
    write_scratch(state, "sub/v.bin", f, sizeof f);
    expect_tensor(state, external("sub/v.bin", "4", "8", NULL), CYG_TYPE_F32, f + 1, 8);
    /* Misaligned data is copied. */
    write_scratch(state, "odd.bin", "?\0\0\200?\0\0\0@", 9);
    expect_tensor(state, external("odd.bin", "1", "8", NULL), CYG_TYPE_F32, f + 1, 8);
}

static void test_wrong_external(void **state)
{
    const float f[2] = {1, 2};
    write_scratch(state, "w.bin", f, sizeof f);
    static const struct {
        const char *location, *offset, *length, *sum;
        cyg_status status;
        const char *says;
    } cases[] = {
        {"w.bin", "4", "8", NULL, CYG_E_FORMAT, "expected 8 bytes at offset 4"},
        {"w.bin", "999999999999999999", NULL, NULL, CYG_E_FORMAT, "the file has 8"},
        {"w.bin", "0", "4", NULL, CYG_E_FORMAT, "found length 4"},
        {"w.bin", "-1", NULL, NULL, CYG_E_FORMAT, "expected a number for offset"},
        {"w.bin", "99999999999999999999", NULL, NULL, CYG_E_FORMAT, "expected a number"},
        {"w.bin", NULL, NULL, "da39a3ee5e6b4b0d3255bfef95601890afd80709", CYG_E_FORMAT, "SHA-1"},
        {"none.bin", NULL, NULL, NULL, CYG_E_IO, "none.bin"},
        {"/etc/hostname", NULL, NULL, NULL, CYG_E_FORMAT, "own folder"},
        {"../w.bin", NULL, NULL, NULL, CYG_E_FORMAT, "own folder"},
        {"sub/../../w.bin", NULL, NULL, NULL, CYG_E_FORMAT, "own folder"},
        {"", NULL, NULL, NULL, CYG_E_FORMAT, "own folder"},
        {NULL, NULL, NULL, NULL, CYG_E_FORMAT, "own folder"},
        {".", NULL, NULL, NULL, CYG_E_FORMAT, "leads out"},
    };
    for (size_t i = 0; i < CYG_COUNT(cases); i++)
        import_fails(
            state,
            model_of(external(cases[i].location, cases[i].offset, cases[i].length, cases[i].sum)),
            cases[i].status, cases[i].says, i == 5 ? "w.bin" : "tensor \"t\"");
    char outside[] = "/tmp/cyg-test-outside-XXXXXX";
    const int fd = mkstemp(outside);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, f, sizeof f), sizeof f);
    close(fd);
    assert_int_equal(symlink(outside, scratch_path(state, "link.bin")), 0);
    import_fails(state, model_of(external("link.bin", NULL, NULL, NULL)), CYG_E_FORMAT, "leads out",
                 "link.bin");
    assert_int_equal(unlink(outside), 0);
    assert_int_equal(symlink("w.bin", scratch_path(state, "inside.bin")), 0);
    expect_tensor(state, external("inside.bin", NULL, NULL, NULL), CYG_TYPE_F32, f, 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_typed_lists),   TEST(test_raw),       TEST(test_wrong_tensors),
        TEST(test_external),      TEST(test_four_bits), TEST(test_raw),
        TEST(test_wrong_tensors), TEST(test_external),  TEST(test_wrong_external),
    };
    return CYG_TEST_MAIN(tests);
}
