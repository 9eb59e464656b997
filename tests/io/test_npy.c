/* npy: files as NumPy writes them (headers copied from its output), our own files back, damaged
 * ones. */
#include "../testing.h"

#include "base/bytes.h"
#include "io/npy.h"

static size_t make(uint8_t *out, int version, const char *header, const void *data, size_t size)
{
    const size_t n = strlen(header), head = version == 1 ? 10 : 12;
    memcpy(out, "\x93NUMPY", 6);
    out[6] = (uint8_t)version;
    out[7] = 0;
    cyg_store_u32(out + 8, (uint32_t)n); /* version 1 keeps the low half */
    memcpy(out + head, header, n);
    memcpy(out + head + n, data, size);
    return head + n + size;
}

static void test_read(void **state)
{
    (void)state;
    uint8_t file[512];
    cyg_npy a;
    float out[6];
    static const float values[6] = {0, 1, 2, 3, 4, 5};
    static const int16_t shorts[6] = {-1, 2, -3, 4, -5, 6};
    size_t n = make(file, 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }   \n",
                    values, sizeof values);
    assert_int_equal(cyg_npy_parse(NULL, "a", file, n, &a), CYG_OK);
    assert_int_equal(a.rank, 2);
    assert_int_equal(a.dims[1], 3);
    cyg_npy_to_f32(&a, out);
    assert_memory_equal(out, values, sizeof values);

    n = make(file, 2, "{\"shape\": (3, 2), \"fortran_order\": True, \"descr\": \"<f4\"}\n", values,
             sizeof values);
    assert_int_equal(cyg_npy_parse(NULL, "a", file, n, &a), CYG_OK);
    cyg_npy_to_f32(&a, out);
    static const float turned[6] = {0, 3, 1, 4, 2, 5};
    assert_memory_equal(out, turned, sizeof turned);

    n = make(file, 3, "{'descr': '<i2', 'fortran_order': False, 'shape': (6,), }\n", shorts,
             sizeof shorts);
    assert_int_equal(cyg_npy_parse(NULL, "a", file, n, &a), CYG_OK);
    cyg_npy_to_f32(&a, out);
    for (int i = 0; i < 6; i++)
        assert_true(out[i] == (float)shorts[i]);

    n = make(file, 1, "{'descr': '<f8', 'fortran_order': False, 'shape': (), }\n",
             "\x9a\x99\x99\x99\x99\x99\xb9\x3f", 8);
    assert_int_equal(cyg_npy_parse(NULL, "a", file, n, &a), CYG_OK);
    assert_int_equal(a.count, 1);
    cyg_npy_to_f32(&a, out);
    assert_true(out[0] == 0.1f);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *header, *message;
        cyg_status status;
    } cases[] = {
        {"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", "pickle", CYG_E_UNSUPPORTED},
        {"{'descr': '>f4', 'fortran_order': False, 'shape': (1,), }", "big-endian",
         CYG_E_UNSUPPORTED},
        {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", "named fields",
         CYG_E_UNSUPPORTED},
        {"{'descr': '<c8', 'fortran_order': False, 'shape': (1,), }", "type \"<c8\"",
         CYG_E_UNSUPPORTED},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (99,), }", "99 elements", CYG_E_FORMAT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296, 4), }",
         "overflows", CYG_E_FORMAT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", "a dimension", CYG_E_FORMAT},
        {"{'descr': '<f4', 'shape': (1,), }", "fortran_order", CYG_E_FORMAT},
        {"{'descr': '<f4', 'descr': '<f4', 'shape': (1,), }", "once each", CYG_E_FORMAT},
        {"", "'{'", CYG_E_FORMAT},
    };
    for (size_t i = 0; i < CYG_COUNT(cases); i++) {
        uint8_t file[512];
        cyg_npy a;
        cyg_ctx ctx;
        cyg_ctx_init(&ctx);
        const size_t n = make(file, 1, cases[i].header, "12345678", 8);
        assert_int_equal(cyg_npy_parse(&ctx, "a.npy", file, n, &a), cases[i].status);
        assert_true(ctx_says(&ctx, cases[i].message));
        assert_true(ctx_says(&ctx, "a.npy"));
    }
}

static void test_round_trip(void **state)
{
    static const float values[6] = {0.5f, -1, 2, 3, 4, 5};
    static const int64_t dims[3] = {1, 2, 3};
    assert_int_equal(cyg_npy_save(NULL, scratch_path(state, "a.npy"), CYG_NPY_F32, 3, dims, values),
                     CYG_OK);
    cyg_map map;
    cyg_npy a;
    assert_int_equal(cyg_map_open(NULL, scratch_path(state, "a.npy"), &map), CYG_OK);
    assert_int_equal(cyg_npy_parse(NULL, "a", map.data, map.size, &a), CYG_OK);
    assert_int_equal(a.rank, 3);
    assert_int_equal((a.data - map.data) % 64, 0);
    assert_memory_equal(a.data, values, sizeof values);

    for (size_t cut = 0; cut < map.size; cut++) {
        uint8_t *exact = malloc(cut > 0 ? cut : 1);
        assert_non_null(exact);
        memcpy(exact, map.data, cut);
        assert_int_not_equal(cyg_npy_parse(NULL, "a", exact, cut, &a), CYG_OK);
        free(exact);
    }
    for (size_t i = 0; i < 8 * map.size; i++) {
        uint8_t *copy = malloc(map.size);
        assert_non_null(copy);
        memcpy(copy, map.data, map.size);
        copy[i / 8] ^= (uint8_t)(1u << i % 8);
        if (cyg_npy_parse(NULL, "a", copy, map.size, &a) == CYG_OK) {
            float *out = malloc(a.count * sizeof(float) + 1);
            assert_non_null(out);
            cyg_npy_to_f32(&a, out);
            free(out);
        }
        free(copy);
    }
    cyg_map_close(&map);
}

static void test_headers(void **state)
{
    (void)state;
    char head[CYG_NPY_HEADER];
    static const int64_t dims[8] = {1, 22, 333, INT64_MAX, INT64_MAX, INT64_MAX, 7, 8};
    for (size_t rank = 0; rank <= 8; rank++)
        assert_int_equal(cyg_npy_header(head, CYG_NPY_U8, rank, dims) % 64, 0);
    const size_t n = cyg_npy_header(head, CYG_NPY_I64, 1, dims);
    assert_int_equal(n, 128 - 64 * (n < 128));
    assert_non_null(strstr(head + 10, "'descr': '<i8', 'fortran_order': False, 'shape': (1,), }"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_refused),
        cmocka_unit_test_setup_teardown(test_round_trip, setup_scratch, teardown_scratch),
        cmocka_unit_test(test_headers),
    };
    return CYG_TEST_MAIN(tests);
}
