/* What is written reads back: through our own reader, and literally. */
#include "../testing.h"

#include <math.h>

#include "io/doc.h"
#include "io/json_write.h"

static void test_layout(void **state)
{
    (void)state;
    cyg_strbuf out = {0};
    cyg_json j;
    const int64_t dims[] = {1, 3, 224, 224};
    cyg_json_init(&j, &out, 2);
    cyg_json_begin_object(&j);
    cyg_json_key_string(&j, "name", "a\"b\\c\n</script>\x01\xff\xc3\xa9");
    cyg_json_key_ints(&j, "shape", dims, 4);
    cyg_json_key(&j, "stages");
    cyg_json_begin_array(&j);
    cyg_json_begin_object(&j);
    cyg_json_key_bool(&j, "ok", true);
    cyg_json_key_double(&j, "bad", NAN);
    cyg_json_end_object(&j);
    cyg_json_null(&j);
    cyg_json_end_array(&j);
    cyg_json_key(&j, "empty");
    cyg_json_begin_array(&j);
    cyg_json_end_array(&j);
    cyg_json_key_string(&j, "missing", NULL);
    cyg_json_end_object(&j);
    assert_string_equal(out.data,
                        "{\n"
                        "  \"name\": \"a\\\"b\\\\c\\n<\\/script>\\u0001\xef\xbf\xbd\xc3\xa9\",\n"
                        "  \"shape\": [1, 3, 224, 224],\n"
                        "  \"stages\": [\n"
                        "    {\n"
                        "      \"ok\": true,\n"
                        "      \"bad\": null\n"
                        "    },\n"
                        "    null\n"
                        "  ],\n"
                        "  \"empty\": [],\n"
                        "  \"missing\": null\n"
                        "}");
    cyg_doc *doc = NULL;
    assert_int_equal(cyg_doc_parse(NULL, "x", out.data, out.len, CYG_DOC_JSON, &doc), CYG_OK);
    assert_int_equal(cyg_doc_get(cyg_doc_root(doc), "shape")->count, 4);
    cyg_doc_close(doc);
    cyg_strbuf_deinit(&out);
}

static void test_numbers_are_shortest(void **state)
{
    (void)state;
    cyg_strbuf out = {0};
    cyg_json j;
    cyg_json_init(&j, &out, 0);
    cyg_json_begin_array(&j);
    cyg_json_float(&j, 0.1f);
    cyg_json_double(&j, 0.1);
    cyg_json_double(&j, (double)0.1f);
    cyg_json_double(&j, 1);
    cyg_json_int(&j, INT64_MIN);
    cyg_json_uint(&j, UINT64_MAX);
    cyg_json_end_array(&j);
    assert_string_equal(
        out.data, "[0.1,0.1,0.10000000149011612,1,-9223372036854775808,18446744073709551615]");
    cyg_strbuf_deinit(&out);
}

static void test_numbers_read_back(void **state)
{
    (void)state;
    uint64_t seed = 1;
    for (int i = 0; i < 20000; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        const uint32_t bits = (uint32_t)(seed >> 32);
        double d;
        float f;
        memcpy(&d, &seed, sizeof d);
        memcpy(&f, &bits, sizeof f);
        if (!isfinite(d) || !isfinite(f))
            continue;
        cyg_strbuf out = {0};
        cyg_json j;
        cyg_json_init(&j, &out, 0);
        cyg_json_double(&j, d);
        assert_true(strtod(out.data, NULL) == d);
        out.len = 0;
        cyg_json_float(&j, f);
        assert_true(strtof(out.data, NULL) == f);
        cyg_strbuf_deinit(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layout),
        cmocka_unit_test(test_numbers_are_shortest),
        cmocka_unit_test(test_numbers_read_back),
    };
    return CYG_TEST_MAIN(tests);
}
