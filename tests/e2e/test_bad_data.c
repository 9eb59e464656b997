/* Calibration data and weights that cannot be right: a clear error, or a stated warning and a build
 * that is right all the same. */
#include "e2e.h"

#include <math.h>

#include "../onnx/onnx_builder.h"

static e2e_result result;

enum { VALUES = 3 * E2E_SIDE * E2E_SIDE };

static int setup(void **state)
{
    return fixture_setup(state);
}

static int teardown(void **state)
{
    e2e_free(&result);
    return fixture_teardown(state);
}

/* A .bin of the input's floats, all `fill` but for element 7. */
static void sample(const char *name, float fill, float other)
{
    static float x[VALUES];
    for (size_t i = 0; i < VALUES; i++)
        x[i] = isnan(fill) ? (float)((i * 37 + 11) % 101) / 50.0f - 1.0f : fill;
    x[7] = other;
    fixture_write(name, x, sizeof x);
}

static void build(const char *model, const char *data, const char *format, const char *more)
{
    fixture_text("bad.json",
                 "{\"input\": \"%s\", \"output_dir\": \"out\", \"target_hardware\": \"CPU\",\n"
                 " \"quant\": {\"input_configs\": [{\"tensor_name\": \"DEFAULT\",\n"
                 "  \"calibration_dataset\": \"%s\", \"calibration_format\": \"%s\"%s}]}}\n",
                 model, data, format, more);
    e2e_cygnet(&result, (e2e_how){0}, "build --config bad.json");
}

static void too_few(void **state)
{
    (void)state;
    sample("few/0.bin", NAN, 0.5f);
    build("model.onnx", "few", "Binary", "");
    e2e_expect(&result, 0);
    assert_non_null(strstr(result.err, "1 files found; calibration_size asks for 32"));
    fixture_text("none/readme.txt", "nothing\n");
    build("model.onnx", "none", "Binary", ", \"calibration_size\": -1");
    e2e_expect_error(&result, 4, "none|ends in .bin", "out2");
    build("model.onnx", "none", "Image", "");
    e2e_expect_error(&result, 4, "none|usable", "out2");
}

static void unreadable(void **state)
{
    (void)state;
    fixture_copy(e2e_path("calib/0.png"), "broken/0.png");
    fixture_write("broken/1.png", "\x89PNG\r\n\x1a\nno", 10);
    build("model.onnx", "broken", "Image", "");
    e2e_expect(&result, 0);
    assert_non_null(strstr(result.err, "skipped"));
    assert_non_null(strstr(result.err, "1.png"));
    build("model.onnx", "nowhere", "Image", "");
    e2e_expect_error(&result, 3, "nowhere", "out2");
}

static void mis_sized(void **state)
{
    (void)state;
    sample("sized/0.bin", NAN, 0);
    fixture_write("sized/1.bin", "abcd", 4);
    build("model.onnx", "sized", "Binary", "");
    e2e_expect_error(&result, 4, "\"1.bin\" has 4 bytes, the input takes 12288", "out2");
}

static void constant(void **state)
{
    (void)state;
    sample("same/0.bin", 0.5f, 0.5f);
    sample("same/1.bin", 0.5f, 0.5f);
    build("model.onnx", "same", "Binary", "");
    e2e_expect(&result, 0);
    assert_non_null(strstr(result.err, "is 0.5 everywhere in the calibration data"));
    sample("zero/0.bin", 0, 0);
    build("model.onnx", "zero", "Binary", "");
    e2e_expect(&result, 0);
    assert_non_null(strstr(result.err, "is 0 everywhere in the calibration data"));
    for (int i = 0; i < 2; i++) { /* one colour, the same in both */
        char name[32];
        static const uint8_t grey[] = {
            0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x48,
            0x44, 0x52, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x01, 0x08, 0x02, 0x00, 0x00,
            0x00, 0x90, 0x77, 0x53, 0xde, 0x00, 0x00, 0x00, 0x0c, 0x49, 0x44, 0x41, 0x54, 0x78,
            0x9c, 0x63, 0x08, 0x08, 0x08, 0x00, 0x00, 0x01, 0xe4, 0x00, 0xf1, 0x06, 0x18, 0xe7,
            0xbc, 0x00, 0x00, 0x00, 0x00, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82};
        snprintf(name, sizeof name, "blank/%d.png", i);
        fixture_write(name, grey, sizeof grey);
    }
    build("model.onnx", "blank", "Image", ", \"calibration_mean\": [1, 2, 3]");
    e2e_expect(&result, 0);
    assert_non_null(strstr(result.err, "one and the same colour throughout"));
}

static void not_finite(void **state)
{
    (void)state;
    sample("nan/0.bin", 0.25f, 0.5f);
    sample("nan/1.bin", 0.25f, NAN);
    build("model.onnx", "nan", "Binary", "");
    e2e_expect_error(&result, 6,
                     "sample 1, \"1.bin\"|input \"pixel_values\" holds infinities or NaN: element ",
                     "out2");
    sample("inf/0.bin", 0.25f, INFINITY);
    build("model.onnx", "inf", "Binary", "");
    e2e_expect_error(&result, 6, "\"0.bin\"|input \"pixel_values\" holds infinities", "out2");
    sample("huge/0.bin", 3e38f, 3e38f);
    build("model.onnx", "huge", "Binary", "");
    e2e_expect_error(&result, 6, "infinities or NaN|overflows", "out2");
}

/* y = (x as [1, 3072]) W with one bad or only zero weights. */
static void write_linear(const char *name, float weight, float one)
{
    static float w[VALUES * 2];
    ob graph = {0}, *g = &graph;
    for (size_t i = 0; i < CYG_COUNT(w); i++)
        w[i] = isnan(weight) ? (float)(i % 13) / 40.0f - 0.15f : weight;
    w[5] = one;
    INPUT(g, "pixel_values", "1,3,32,32");
    OUTPUT(g, "y", "1,2");
    ob_put(g, 5, ob_tensor_raw("weights", 1, "3072,2", w, sizeof w));
    NODE(g, "Flatten", "flat", "pixel_values", "row", at_int("axis", 1));
    NODE(g, "MatMul", "product", "row,weights", "y", {0});
    ob model = ob_model(graph, 17);
    fixture_write(name, model.data, model.size);
    free(model.data);
}

static void bad_weights(void **state)
{
    (void)state;
    sample("good/0.bin", NAN, 0.5f);
    write_linear("good.onnx", NAN, 0.1f);
    build("good.onnx", "good", "Binary", "");
    e2e_expect(&result, 0);
    write_linear("nan.onnx", NAN, NAN);
    build("nan.onnx", "good", "Binary", "");
    e2e_expect_error(&result, 6, "constant|weights|product", "out2");
    write_linear("inf.onnx", NAN, -INFINITY);
    build("inf.onnx", "good", "Binary", "");
    e2e_expect_error(&result, 6, "constant|weights|product", "out2");
}

/* A range of zero: all weights are zero, so is every result; the package says so exactly. */
static void range_of_zero(void **state)
{
    (void)state;
    sample("good/0.bin", NAN, 0.5f);
    write_linear("zero.onnx", 0, 0);
    build("zero.onnx", "good", "Binary", "");
    e2e_expect(&result, 0);
    sample("in/pixel_values.bin", NAN, 0.5f);
    e2e_cygnet(&result, (e2e_how){0},
               "run --model out/compiled.cyg --input_dir in --output_dir results");
    e2e_expect(&result, 0);
    size_t size;
    char *y = fixture_read(e2e_path("results/y.bin"), &size);
    assert_int_equal(size, 8);
    for (size_t i = 0; i < size; i++)
        assert_int_equal(y[i] & 0x7f, 0);
    free(y);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(too_few),       cmocka_unit_test(unreadable),
        cmocka_unit_test(mis_sized),     cmocka_unit_test(constant),
        cmocka_unit_test(not_finite),    cmocka_unit_test(bad_weights),
        cmocka_unit_test(range_of_zero),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
