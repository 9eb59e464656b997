/* Automatic mixed precision: a target is reached with some steps at 16 bits, the entries of
 * layer_configs that the search leaves give the same package by themselves, and a target that
 * cannot be reached is an error that says what can. */
#include "e2e.h"

static e2e_result result;

static const char *const inputs =
    "  \"input_configs\": [{\"tensor_name\": \"DEFAULT\",\n"
    "    \"calibration_dataset\": \"calib\", \"calibration_size\": 4,\n"
    "    \"calibration_mean\": [120, 115, 105], \"calibration_std\": [58, 57, 59]}]";

static int teardown(void **state)
{
    e2e_free(&result);
    return fixture_teardown(state);
}

static double sqnr(void)
{
    return e2e_number(&result, "sqnr_db");
}

static double number(const cyg_doc_node *object, const char *key)
{
    cyg_ctx ctx;
    double x;
    cyg_ctx_init(&ctx);
    assert_int_equal(cyg_doc_as_float(&ctx, cyg_doc_get(object, key), &x), CYG_OK);
    return x;
}

/* The curve begins at 8 bits and ends at or above the target, quantised from scratch; steps cost
 * and gain something and the raised ones come first. */
static void expect_record(double target)
{
    const cyg_doc_node *mixed = e2e_json(&result, "mixed_precision");
    const cyg_doc_node *curve = cyg_doc_get(mixed, "curve"), *steps = cyg_doc_get(mixed, "steps");
    assert_true(curve->count >= 2);
    const cyg_doc_node *first = curve->items[0], *last = curve->items[curve->count - 1];
    assert_true(number(first, "sqnr_db") < target && number(last, "sqnr_db") >= target);
    assert_true(number(first, "cost") <= 0.0 && number(last, "cost") > 0.0);
    assert_true(number(last, "steps") > 0.0 && number(last, "steps") < (double)steps->count);
    for (size_t i = 0; i < steps->count; i++) {
        assert_true(number(steps->items[i], "cost") > 0.0);
        assert_true(number(steps->items[i], "gain") > 0.0);
    }
}

/* The written entries with the same inputs, without a target. */
static void expect_same_from_fragment(void)
{
    char wanted[65], found[65];
    char *text = fixture_read(e2e_path("mixed/quant/mixed_precision.json"), NULL);
    char *entries = strstr(text, "\"layer_configs\"");
    assert_non_null(entries);
    fixture_text("fragment.json", "{\"target_hardware\": \"CPU\", \"quant\": {\n%s,\n  %s", inputs,
                 entries); /* whose braces end both objects */
    free(text);
    e2e_cygnet(&result, (e2e_how){0},
               "build --config fragment.json --input model.onnx --output_dir fragment");
    e2e_expect(&result, 0);
    fixture_sha256(e2e_path("mixed/compiled.cyg"), wanted);
    fixture_sha256(e2e_path("fragment/compiled.cyg"), found);
    assert_string_equal(found, wanted);
}

static void reaches(void **state)
{
    (void)state;
    fixture_text("plain.json", "{\"target_hardware\": \"CPU\", \"quant\": {\n%s}}", inputs);
    e2e_cygnet(&result, (e2e_how){0},
               "build --config plain.json --input model.onnx --output_dir plain --json");
    e2e_expect(&result, 0);
    const double target = sqnr() + 4.0;
    assert_int_equal(e2e_json(&result, "mixed_precision")->kind, CYG_DOC_NULL);
    e2e_cygnet(&result, (e2e_how){0},
               "build --config plain.json --input model.onnx --output_dir mixed --json "
               "--quant.target_sqnr_db %.2f",
               target);
    e2e_expect(&result, 0);
    assert_true(sqnr() >= target);
    expect_record(target);
    assert_int_equal(fixture_count(e2e_path("mixed/quant"), "trial"), 0);
    expect_same_from_fragment();
}

/* One thread or two: the same search. */
static void repeats(void **state)
{
    (void)state;
    char first[65], second[65];
    static const char *const threads[] = {"1", "2"};
    for (int i = 0; i < 2; i++) {
        e2e_cygnet(&result, (e2e_how){.threads = threads[i]},
                   "build --config plain.json --input model.onnx --output_dir again "
                   "--quant.target_cosine 0.99999");
        e2e_expect(&result, 0);
        fixture_sha256(e2e_path("again/compiled.cyg"), i == 0 ? first : second);
    }
    assert_string_equal(first, second);
}

static void is_there_already(void **state)
{
    (void)state;
    char plain[65], same[65];
    e2e_cygnet(&result, (e2e_how){0},
               "build --config plain.json --input model.onnx --output_dir same "
               "--quant.target_sqnr_db 5");
    e2e_expect(&result, 0);
    fixture_sha256(e2e_path("plain/compiled.cyg"), plain);
    fixture_sha256(e2e_path("same/compiled.cyg"), same);
    assert_string_equal(same, plain);
}

static void refuses(void **state)
{
    (void)state;
    static const struct {
        const char *flags;
        int code;
        const char *words;
    } cases[] = {
        {"--quant.target_sqnr_db 150", 6, "target_sqnr_db 150 cannot be reached|at 16 bits"},
        {"--quant.target_sqnr_db 30 --quant.target_cosine 0.9", 2, "several targets"},
        {"--quant.target_agreement 1 --quant.highest_mix_precision", 2, "highest_mix_precision"},
        {"--quant.target_agreement 98", 2, "target_agreement|98"},
    };
    for (size_t i = 0; i < CYG_COUNT(cases); i++) {
        e2e_cygnet(&result, (e2e_how){0},
                   "build --config plain.json --input model.onnx --output_dir no %s",
                   cases[i].flags);
        e2e_expect_error(&result, cases[i].code, cases[i].words, "no");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reaches),
        cmocka_unit_test(repeats),
        cmocka_unit_test(is_there_already),
        cmocka_unit_test(refuses),
    };
    return cmocka_run_group_tests(tests, fixture_setup, teardown);
}
