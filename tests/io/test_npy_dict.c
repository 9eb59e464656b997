/* .npy files saved from dicts, as NumPy writes them (make_npy_dicts.py): read, refused, damaged.
 *
 * Everything is read from an exact heap copy, so that a sanitizer sees one byte too many. */
#include "../testing.h"

#include "io/npy_dict.h"

#define FOLDER CYG_SOURCE_ROOT "/tests/io/data/npy_dict/"

static const float ids[4] = {5, 0, -3, 7};
static const float mask[6] = {0, 0.25f, 0.5f, 0.75f, 1, 1.25f};

static cyg_ctx ctx;

static uint8_t *load(const char *name, size_t *out_size)
{
    char path[512];
    cyg_map map;
    snprintf(path, sizeof path, FOLDER "%s", name);
    assert_int_equal(cyg_map_open(NULL, path, &map), CYG_OK);
    uint8_t *copy = malloc(map.size);
    assert_non_null(copy);
    memcpy(copy, map.data, map.size);
    *out_size = map.size;
    cyg_map_close(&map);
    return copy;
}

static void holds(const cyg_npy_dict *d, const char *key, size_t rank, const float *want, size_t n)
{
    cyg_npy a;
    float out[8];
    assert_int_equal(cyg_npy_dict_find(&ctx, "x", d, key, &a), CYG_OK);
    assert_int_equal(a.rank, rank);
    assert_int_equal(a.count, n);
    cyg_npy_to_f32(&a, out);
    assert_memory_equal(out, want, n * sizeof *want);
}

static void test_read(void **state)
{
    static const char *const names[] = {"good_numpy2.npy", "good_numpy1.npy", "good_fortran.npy",
                                        "good_ordered.npy"};
    (void)state;
    for (size_t i = 0; i < CYG_COUNT(names); i++) {
        size_t size;
        uint8_t *data = load(names[i], &size);
        cyg_npy_dict d;
        cyg_npy a;
        cyg_ctx_init(&ctx);
        assert_int_equal(cyg_npy_dict_parse(&ctx, names[i], data, size, &d), CYG_OK);
        holds(&d, "ids", 2, ids, 4);
        holds(&d, "mask", 3, mask, 6);
        assert_int_equal(cyg_npy_dict_find(&ctx, "x", &d, "id", &a), CYG_E_FORMAT);
        assert_true(ctx_says(&ctx, "the dict has no array \"id\"; it has 2, the first is"));
        cyg_npy_dict_deinit(&d);
        free(data);
    }
}

static void test_refused(void **state)
{
    static const struct {
        const char *name, *message;
    } cases[] = {
        {"bad_runs.npy", "the array \"ids\": expected a NumPy array of numbers, found an object "
                         "made by posix.system"},
        {"bad_runs_beside.npy", "the array \"other\": expected a NumPy array"},
        {"bad_list.npy", "expected a dict {input name: array}, found a list"},
        {"bad_array.npy", "expected a dict {input name: array}, found an object made by "
                          "numpy._core.multiarray._reconstruct"},
        {"bad_nested.npy", "expected a NumPy array of numbers, found a dict"},
        {"bad_number.npy", "expected a NumPy array of numbers, found an integer"},
        {"bad_scalar.npy", "found an object made by numpy._core.multiarray.scalar"},
        {"bad_key.npy", "a key of the dict is an integer, expected the name of an input"},
        {"bad_big.npy", "the array \"ids\" is big-endian"},
        {"bad_fields.npy", "the array \"ids\" is not an array of plain numbers"},
        {"bad_complex.npy", "the array \"ids\" is of type \"c8\""},
        {"bad_text.npy", "the array \"ids\" is of type \"U1\""},
        {"bad_objects.npy", "the array \"ids\" is of type \"O8\""},
        {"bad_protocol2.npy", "holds no bytes"},
        {"bad_short.npy", "the array \"mask\" has 24 bytes, which do not fit"},
        {"bad_huge.npy", "the array \"mask\" has"},
        {"bad_two.npy", "npy of 2 Python objects, expected one dict"},
    };
    (void)state;
    for (size_t i = 0; i < CYG_COUNT(cases); i++) {
        size_t size;
        uint8_t *data = load(cases[i].name, &size);
        cyg_npy_dict d;
        cyg_ctx_init(&ctx);
        assert_int_equal(cyg_npy_dict_parse(&ctx, cases[i].name, data, size, &d), CYG_E_FORMAT);
        if (!ctx_says(&ctx, cases[i].message))
            fail_msg("%s: \"%s\"", cases[i].name, cyg_ctx_message(&ctx, 0));
        cyg_npy_dict_deinit(&d);
        free(data);
    }
}

/* A file that may be read gives arrays that lie within it. */
static cyg_status try_read(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);
    cyg_npy_dict d;
    cyg_npy a;
    float out[512];
    assert_non_null(copy);
    memcpy(copy, data, size);
    cyg_ctx_init(&ctx);
    const cyg_status status = cyg_npy_dict_parse(&ctx, "x.npy", copy, size, &d);
    if (status != CYG_OK)
        assert_true(cyg_ctx_message_count(&ctx) > 0);
    else if (cyg_npy_dict_find(&ctx, "x.npy", &d, "mask", &a) == CYG_OK) {
        assert_true(a.data >= copy && a.size <= size && a.data + a.size <= copy + size);
        assert_true(a.count <= CYG_COUNT(out));
        cyg_npy_to_f32(&a, out);
    }
    cyg_npy_dict_deinit(&d);
    free(copy);
    return status;
}

static void test_damaged(void **state)
{
    static const char *const names[] = {"good_numpy2.npy", "good_numpy1.npy", "good_fortran.npy"};
    (void)state;
    for (size_t k = 0; k < CYG_COUNT(names); k++) {
        size_t size;
        uint8_t *data = load(names[k], &size);
        for (size_t cut = 0; cut < size; cut++)
            assert_true(try_read(data, cut) != CYG_OK);
        for (size_t i = 0; i < size; i++)
            for (unsigned bit = 0; bit < 8; bit++) {
                data[i] ^= (uint8_t)(1u << bit);
                CYG_IGNORE(try_read(data, size));
                data[i] ^= (uint8_t)(1u << bit);
            }
        free(data);
    }
}

/* Pickles that ask for much: instructions without end, an array that is its own state. */
static void test_hostile(void **state)
{
    static const char header[] = "\x93NUMPY\x01\x00\x3a\x00"
                                 "{'descr': '|O', 'fortran_order': False, 'shape': (), }   \n";
    static const char cycle[] = "cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85"
                                "C\x01"
                                "bt"
                                "Rq\x00(K\x01)h\x00\x89h\x00tb.";
    const size_t head = sizeof header - 1, many = CYG_NPY_DICT_INSTRUCTIONS + 10;
    uint8_t *data = malloc(head + many);
    cyg_npy_dict d;
    (void)state;
    assert_non_null(data);
    memcpy(data, header, head);
    memset(data + head, 'N', many);
    cyg_ctx_init(&ctx);
    assert_int_equal(cyg_npy_dict_parse(&ctx, "x.npy", data, head + many, &d), CYG_E_FORMAT);
    assert_true(ctx_says(&ctx, "more than 262144 instructions"));
    cyg_npy_dict_deinit(&d);
    memcpy(data + head, cycle, sizeof cycle - 1);
    cyg_ctx_init(&ctx);
    assert_int_equal(cyg_npy_dict_parse(&ctx, "x.npy", data, head + sizeof cycle - 1, &d),
                     CYG_E_FORMAT);
    assert_true(ctx_says(&ctx, "expected a dict"));
    cyg_npy_dict_deinit(&d);
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_hostile),
    };
    return CYG_TEST_MAIN(tests);
}
