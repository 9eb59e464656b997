/* compiler.check and what goes with it; the folder layout and commands of the interface's example.
 */
#include "e2e.h"

static e2e_result result;

static int setup(void **state)
{
    return fixture_setup(state);
}

static int teardown(void **state)
{
    e2e_free(&result);
    return fixture_teardown(state);
}

static void build(const char *flags)
{
    e2e_cygnet(&result, (e2e_how){0}, "build --config build.json %s", flags);
}

static int compared(void)
{
    int tensors = 0, samples = 0;
    const char *line = strstr(result.out, "check graph [main]: ");
    e2e_expect(&result, 0);
    assert_non_null(line);
    assert_int_equal(
        sscanf(line, "check graph [main]: %d tensors of %d samples", &tensors, &samples), 2);
    assert_non_null(strstr(line, "successfully!"));
    assert_int_equal(tensors % samples, 0);
    return tensors / samples;
}

static void kinds(void **state)
{
    (void)state;
    build("--compiler.check 0");
    e2e_expect(&result, 0);
    assert_null(strstr(result.out, "check graph"));
    build("--compiler.check 1 --compiler.check_rtol 0 --compiler.check_atol 0");
    assert_int_equal(compared(), 1);
    build("--compiler.check 2");
    assert_int_equal(compared(), 1);
    build("--compiler.check 3 --compiler.check_cosine_similarity 0.99999");
    assert_int_equal(compared(), 1);
    build("--compiler.check_mode CheckPerLayer");
    e2e_expect(&result, 0);
    assert_non_null(strstr(result.err, "compiler.check is 0"));
}

static void layers_and_patterns(void **state)
{
    (void)state;
    build("--compiler.check 2 --compiler.check_mode CheckPerLayer");
    const int all = compared();
    assert_true(all > 10);
    build("--compiler.check 2 --compiler.check_mode CheckPerLayer "
          "--compiler.check_tensor_black_list ^two\\. nothing_of_this_name");
    assert_true(compared() < all);
    assert_non_null(strstr(result.err, "\"nothing_of_this_name\" matches no tensor"));
    build("--compiler.check 2 --compiler.check_tensor_black_list .*");
    assert_int_equal(compared(), 0);
    build("--compiler.check 2 --compiler.check_tensor_black_list ( --output_dir no");
    e2e_expect_error(&result, 2, "check_tensor_black_list|\"(\"", "no");
}

static void samples(void **state)
{
    (void)state;
    static uint8_t pixels[E2E_SIDE * E2E_SIDE * 3];
    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = (uint8_t)(i * 7 % 251);
    fixture_write("folder/pixel_values.bin", pixels, sizeof pixels);
    build("--compiler.check 2 --compiler.input_sample_dir folder");
    assert_int_equal(compared(), 1);
    assert_non_null(strstr(result.out, "1 tensors of 1 samples"));
    fixture_write("folders/a/pixel_values.bin", pixels, sizeof pixels);
    fixture_write("folders/b/pixel_values.bin", pixels, sizeof pixels);
    build("--compiler.check 2 --compiler.input_sample_dir folders");
    assert_non_null(strstr(result.out, "2 tensors of 2 samples"));
    fixture_write("folders/c/pixel_values.bin", pixels, 5);
    build("--compiler.check 2 --compiler.input_sample_dir folders --output_dir no");
    e2e_expect_error(&result, 4, "folders/c/pixel_values.bin|expected 3072 bytes", "no");
    build("--compiler.check 2 --compiler.input_sample_dir calib --output_dir no");
    e2e_expect_error(&result, 3, "input_sample_dir|pixel_values.bin", "no");
    build("--compiler.check 2 --compiler.static_batch_sizes 2 "
          "--compiler.check_mode CheckPerLayer");
    assert_int_equal(compared(), 1);
    assert_non_null(strstr(result.err, "needs a program for a batch of 1"));
    /* The back end alone has samples only where they are given. */
    build("--compiler.static_batch_sizes 1 --output_dir whole");
    e2e_expect(&result, 0);
    e2e_cygnet(&result, (e2e_how){0},
               "build --model_type QuantAxModel --input whole/quant/quant_axmodel.onnx "
               "--output_dir back --target_hardware CPU --compiler.check 2 "
               "--compiler.check_mode CheckPerLayer --compiler.input_sample_dir folder");
    assert_true(compared() > 10);
    e2e_cygnet(&result, (e2e_how){0},
               "build --model_type QuantAxModel --input whole/quant/quant_axmodel.onnx "
               "--output_dir back --target_hardware CPU --compiler.check 2");
    e2e_expect(&result, 0);
    assert_null(strstr(result.out, "check graph"));
    assert_non_null(strstr(result.err, "compiler.check has no effect: there are no calibration"));
}

/* Section 12: model/ config/ dataset/ and the repository's own config file, one word changed. The
 * model is a small one under the same name and with the same input. */
static void vendor_commands(void **state)
{
    (void)state;
    char name[64];
    fixture_copy(e2e_path("model.onnx"), "home/model/swin-t.onnx");
    fixture_copy(CYG_SOURCE_ROOT "/config/swin-t.json", "home/config/swin-t.json");
    for (unsigned i = 0; i < 6; i++) {
        snprintf(name, sizeof name, "home/pictures/%u.png", i);
        fixture_png(name, 40, 36, i);
    }
    fixture_text("home/dataset/README", "calibration pictures\n");
    char tar[512];
    snprintf(tar, sizeof tar, "tar -C %s/home/pictures -cf %s/home/dataset/calib-32.tar .",
             e2e_root, e2e_root);
    assert_int_equal(system(tar), 0);
    char home[128];
    snprintf(home, sizeof home, "%s/home", e2e_root);
    const e2e_how how = {.folder = home};
    e2e_cygnet(&result, how,
               "build --input model/swin-t.onnx --output_dir output --config config/swin-t.json "
               "--target_hardware=AX650 --quant.min_sqnr_db 0");
    e2e_expect(&result, 0);
    assert_non_null(strstr(result.out, "successfully!"));
    assert_non_null(strstr(result.out, "max_cycle = "));
    assert_non_null(strstr(result.out, "QuantAxModel macs:"));
    e2e_cygnet(&result, how,
               "build --config config/swin-t.json --quant.calibration_method Percentile "
               "--quant.precision_analysis 1 --compiler.npu_perf --quant.min_sqnr_db 0");
    e2e_expect(&result, 0);
    fixture_text("home/list.txt", "0\r\n");
    e2e_cygnet(&result, how,
               "run --model output/compiled.axmodel --input_dir sim_inputs --output_dir "
               "sim_outputs --list list.txt --random_input");
    e2e_expect(&result, 0);
    e2e_cygnet(&result, how, "bench -m output/compiled.axmodel -w 1 -r 3");
    e2e_expect(&result, 0);
    e2e_cygnet(&result, how,
               "classify -m output/compiled.axmodel -i pictures/0.png -g 32,32 -r 2 --format "
               "axera");
    e2e_expect(&result, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds),
        cmocka_unit_test(layers_and_patterns),
        cmocka_unit_test(samples),
        cmocka_unit_test(vendor_commands),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
