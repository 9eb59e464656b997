/* Quantised models out and in again: the QDQ file of a build runs as the package does, comes back
 * as QuantONNX without any data, and its JSON table holds together. */
#include "e2e.h"

#include <math.h>

static e2e_result result;

static int teardown(void **state)
{
    e2e_free(&result);
    return fixture_teardown(state);
}

/* The model's picture of pixels 0 to 255, as the package takes it. */
static void write_pixels(void)
{
    static float pixels[3 * E2E_SIDE * E2E_SIDE];
    for (size_t i = 0; i < CYG_COUNT(pixels); i++)
        pixels[i] = (float)((i * 2654435761u >> 13) % 256);
    fixture_write("feed/pixel_values.bin", pixels, sizeof pixels);
}

static double decibels(const char *wanted, const char *found)
{
    size_t size, other;
    double signal = 0, error = 0;
    float *x = (float *)(void *)fixture_read(e2e_path("%s/logits.bin", wanted), &size);
    float *y = (float *)(void *)fixture_read(e2e_path("%s/logits.bin", found), &other);
    assert_int_equal(size, E2E_CLASSES * sizeof(float));
    assert_int_equal(other, size);
    for (int i = 0; i < E2E_CLASSES; i++) {
        signal += (double)x[i] * (double)x[i];
        error += ((double)x[i] - (double)y[i]) * ((double)x[i] - (double)y[i]);
    }
    free(x);
    free(y);
    return 10.0 * log10(signal / (error + 1e-30));
}

static void feed(const char *model, const char *to)
{
    e2e_cygnet(&result, (e2e_how){0}, "run --model %s --input_dir feed --output_dir %s", model, to);
    e2e_expect(&result, 0);
}

static void configure(void)
{
    write_pixels();
    fixture_text("exchange.json",
                 "{\"target_hardware\": \"CPU\", \"quant\": {\"input_configs\": [{"
                 "\"tensor_name\": \"pixel_values\", \"calibration_dataset\": \"calib\", "
                 "\"calibration_size\": 4, \"calibration_mean\": [120, 115, 105], "
                 "\"calibration_std\": [58, 57, 59]}]}}");
}

static void out_and_in(void **state)
{
    (void)state;
    static const char *const models[] = {"model.onnx", "cnn.onnx"};
    configure();
    for (size_t i = 0; i < CYG_COUNT(models); i++) {
        e2e_cygnet(&result, (e2e_how){0}, "build --config exchange.json --input %s --output_dir q",
                   models[i]);
        e2e_expect(&result, 0);
        feed("q/compiled.cyg", "ints");
        feed("q/quant/quant_axmodel.onnx", "pairs"); /* in floats, pair by pair */
        assert_true(decibels("ints", "pairs") > 25.0);
        e2e_cygnet(&result, (e2e_how){0},
                   "build --model_type QuantONNX --input q/quant/quant_axmodel.onnx --output_dir "
                   "again --target_hardware CPU --json");
        e2e_expect(&result, 0);
        assert_true(e2e_number(&result, "quantised_ops") >= 4);
        feed("again/compiled.cyg", "again_out");
        assert_true(decibels("pairs", "again_out") > 25.0);
        e2e_cygnet(&result, (e2e_how){0},
                   "build --config exchange.json --input %s --output_dir narrow "
                   "--quant.qdq_opset 17",
                   models[i]);
        e2e_expect(&result, 0);
        feed("narrow/quant/quant_axmodel.onnx", "narrow_out");
        assert_true(decibels("ints", "narrow_out") > 20.0);
    }
}

static void expect_same_files(const char *a, const char *b)
{
    char x[65], y[65];
    fixture_sha256(e2e_path("%s", a), x);
    fixture_sha256(e2e_path("%s", b), y);
    assert_string_equal(x, y);
}

/* The back end alone makes the package of the whole build, byte by byte. */
static void back_end_alone(void **state)
{
    (void)state;
    static const char *const builds[] = {"--config exchange.json --input cnn.onnx",
                                         "--config build.json",
                                         "--config build.json --compiler.static_batch_sizes 1 2"};
    configure();
    for (size_t i = 0; i < CYG_COUNT(builds); i++) {
        e2e_cygnet(&result, (e2e_how){0}, "build %s --output_dir q", builds[i]);
        e2e_expect(&result, 0);
        e2e_cygnet(&result, (e2e_how){0},
                   "build --model_type QuantAxModel --input q/quant/quant_axmodel.onnx "
                   "--output_dir back --target_hardware CPU%s",
                   i == 2 ? " --compiler.static_batch_sizes 1 2" : "");
        e2e_expect(&result, 0);
        expect_same_files("q/compiled.cyg", "back/compiled.cyg");
        assert_null(strstr(result.err, "no effect"));
    }
    e2e_cygnet(&result, (e2e_how){0},
               "build --model_type QuantAxModel --input q/quant/quant_axmodel.onnx --output_dir "
               "back --target_hardware CPU --quant.calibration_method MSE --quant.correct_bias 0");
    e2e_expect(&result, 0);
    assert_non_null(
        strstr(result.err, "back end alone runs: quant.calibration_method, quant.correct_bias"));
}

/* A quantised file that was touched is no witness of its own graph any more. */
static void edited_files(void **state)
{
    (void)state;
    size_t size;
    configure();
    e2e_cygnet(&result, (e2e_how){0},
               "build --config exchange.json --input model.onnx "
               "--output_dir q");
    e2e_expect(&result, 0);
    char *file = fixture_read(e2e_path("q/quant/quant_axmodel.onnx"), &size);
    /* The second line of cygnet.constants names a tensor; in its last mention its bytes follow. */
    char name[128];
    const char *list = memmem(file, size, "cygnet.constants", 16);
    assert_non_null(list);
    list = strchr(list, '\n');
    assert_non_null(list);
    assert_int_equal(sscanf(list + 1, "%*16[0-9a-f] %127[^\n]", name), 1);
    char *at = NULL;
    for (char *next = file; next != NULL;) {
        next = memmem(next, size - (size_t)(next - file), name, strlen(name));
        at = next != NULL ? next : at;
        next = next != NULL ? next + 1 : NULL;
    }
    assert_non_null(at);
    at[strlen(name) + 100] ^= 1;
    fixture_write("edited.onnx", file, size);
    free(file);
    e2e_cygnet(&result, (e2e_how){0},
               "build --model_type QuantAxModel --input edited.onnx --output_dir no "
               "--target_hardware CPU");
    e2e_expect_error(&result, 4, "is not what the build wrote|QuantONNX", "no");
    e2e_cygnet(&result, (e2e_how){0},
               "build --model_type QuantAxModel --input model.onnx --output_dir no "
               "--target_hardware CPU");
    e2e_expect_error(&result, 2, "is no quant/quant_axmodel.onnx of a cygnet build", "no");
}

/* The kind of file and --model_type belong together. */
static void wrong_kind(void **state)
{
    (void)state;
    configure();
    e2e_cygnet(&result, (e2e_how){0},
               "build --model_type QuantONNX --input cnn.onnx --output_dir no --target_hardware "
               "CPU");
    e2e_expect_error(&result, 2, "has no DequantizeLinear|--model_type ONNX", "no");
    e2e_cygnet(&result, (e2e_how){0},
               "build --config exchange.json --input cnn.onnx --output_dir q");
    e2e_expect(&result, 0);
    e2e_cygnet(&result, (e2e_how){0},
               "build --config exchange.json --input q/quant/quant_axmodel.onnx --output_dir w");
    assert_non_null(strstr(result.err, "pass --model_type QuantONNX to keep its scales"));
    e2e_cygnet(&result, (e2e_how){0},
               "build --model_type QuantONNX --input q/quant/quant_axmodel.onnx --output_dir v "
               "--target_hardware CPU --quant.calibration_method MSE");
    e2e_expect(&result, 0);
    assert_non_null(strstr(result.err, "quant.calibration_method has no effect"));
}

/* Files of ONNX Runtime in the QOperator format and of its dynamic quantisation. */
static void integer_operators(void **state)
{
    (void)state;
    static float samples[2][72];
    for (int i = 0; i < 2; i++) {
        for (int k = 0; k < 72; k++)
            samples[i][k] = (float)((k * 37 + i * 11) % 64) * 0.1f - 3.0f;
        fixture_write(i == 0 ? "arrays/a.bin" : "arrays/b.bin", samples[i], sizeof samples[i]);
    }
    e2e_cygnet(&result, (e2e_how){0},
               "build --model_type QuantONNX --input %s/tests/fuzz/corpus/qoperator.onnx "
               "--output_dir q --target_hardware CPU --json",
               CYG_SOURCE_ROOT);
    e2e_expect(&result, 0);
    assert_int_equal(e2e_number(&result, "float_ops"), 0);
    static const char *const configs[] = {"", ", \"layer_configs\": [{\"op_types\": [\"Softmax\", "
                                              "\"MatMul\"], \"data_type\": \"S16\"}]"};
    double integers[2];
    for (int i = 0; i < 2; i++) {
        fixture_text("arrays.json",
                     "{\"target_hardware\": \"CPU\", \"model_type\": "
                     "\"QuantONNX\", \"quant\": {\"input_configs\": [{"
                     "\"tensor_name\": \"x\", \"calibration_format\": "
                     "\"Binary\", \"calibration_dataset\": \"arrays\"}]"
                     "%s}}",
                     configs[i]);
        e2e_cygnet(&result, (e2e_how){0},
                   "build --config arrays.json --input %s/tests/fuzz/corpus/dynamic.onnx "
                   "--output_dir d --json",
                   CYG_SOURCE_ROOT);
        e2e_expect(&result, 0);
        assert_non_null(strstr(result.err, "get the range of the calibration data"));
        integers[i] = e2e_number(&result, "quantised_ops");
    }
    assert_true(integers[0] >= 3 && integers[1] > integers[0]);
    fixture_text("none.json", "{\"target_hardware\": \"CPU\", \"model_type\": \"QuantONNX\", "
                              "\"quant\": {\"layer_configs\": [{\"op_types\": [\"Softmax\"], "
                              "\"data_type\": \"S16\"}]}}");
    e2e_cygnet(&result, (e2e_how){0},
               "build --config none.json --input %s/tests/fuzz/corpus/dynamic.onnx "
               "--output_dir no",
               CYG_SOURCE_ROOT);
    e2e_expect_error(&result, 2, "give calibration data (quant.input_configs)", "no");
}

/* quant_axmodel.json: whoever is a dominator has values; what a tensor says is what it is. */
static void table(void **state)
{
    (void)state;
    cyg_ctx ctx;
    cyg_doc *doc = NULL;
    size_t counted = 0, activated = 0, baked = 0;
    configure();
    e2e_cygnet(&result, (e2e_how){0},
               "build --config exchange.json --input model.onnx --output_dir q");
    e2e_expect(&result, 0);
    cyg_ctx_init(&ctx);
    assert_int_equal(cyg_doc_open(&ctx, e2e_path("q/quant/quant_axmodel.json"), &doc), CYG_OK);
    const cyg_doc_node *root = cyg_doc_root(doc), *values = cyg_doc_get(root, "values"),
                       *tensors = cyg_doc_get(root, "tensors"),
                       *configs = cyg_doc_get(root, "tensor_configs");
    assert_non_null(cyg_doc_get(cyg_doc_get(root, "quant_config"), "input_configs"));
    assert_true(values != NULL && tensors != NULL && configs != NULL && tensors->count > 10);
    for (size_t i = 0; i < configs->count; i++)
        for (size_t k = 0; k < configs->items[i]->count; k++) {
            const cyg_doc_node *c = configs->items[i]->items[k];
            const char *state_text = cyg_doc_get(c, "state")->text;
            if (strcmp(state_text, "FP32") == 0 || strcmp(state_text, "SOI") == 0 ||
                strcmp(state_text, "PASSIVE_BAKED") == 0)
                continue;
            const cyg_doc_node *value = cyg_doc_get(values, cyg_doc_get(c, "dominator")->text),
                               *flat = cyg_doc_get(tensors, c->key);
            assert_true(value != NULL && flat != NULL);
            assert_int_equal(cyg_doc_get(value, "zero_point")->integer,
                             cyg_doc_get(flat, "zero_point")->integer);
            assert_int_equal(cyg_doc_get(c, "bit_width")->integer,
                             strchr(cyg_doc_get(flat, "dtype")->text, '1') != NULL ? 16 : 8);
            counted++;
            activated += strcmp(state_text, "ACTIVATED") == 0;
            baked += strcmp(state_text, "BAKED") == 0;
        }
    assert_true(counted > 20 && activated > 5 && baked > 5);
    cyg_doc_close(doc);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, fixture_setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {CASE(out_and_in),        CASE(back_end_alone),
                                       CASE(edited_files),      CASE(wrong_kind),
                                       CASE(integer_operators), CASE(table)};
    return CYG_TEST_MAIN(tests);
}
