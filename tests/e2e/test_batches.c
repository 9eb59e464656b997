/* Packages of several batch sizes: made by build, split by run, each sample's result that of a run
 * alone. */
#include "e2e.h"

static e2e_result result;

enum { SAMPLES = 7, PIXELS = E2E_SIDE * E2E_SIDE * 3, LOGITS = E2E_CLASSES * 4 };

static char alone[SAMPLES][LOGITS];

static void write_sample(const char *folder, int first, int count)
{
    static uint8_t pixels[SAMPLES * PIXELS];
    for (int i = 0; i < count * PIXELS; i++)
        pixels[i] =
            (uint8_t)((first + i / PIXELS) * 31 + i % PIXELS * (7 + first + i / PIXELS) / 5);
    fixture_write(e2e_path("%s/pixel_values.bin", folder) + strlen(e2e_root) + 1, pixels,
                  (size_t)count * PIXELS);
}

static int setup(void **state)
{
    if (fixture_setup(state) != 0)
        return -1;
    e2e_cygnet(&result, (e2e_how){0}, "build --config build.json --output_dir one");
    e2e_expect(&result, 0);
    for (int i = 0; i < SAMPLES; i++) {
        size_t size;
        write_sample("in_one", i, 1);
        e2e_cygnet(&result, (e2e_how){0},
                   "run --model one/compiled.cyg --input_dir in_one --output_dir out_one");
        e2e_expect(&result, 0);
        char *y = fixture_read(e2e_path("out_one/logits.bin"), &size);
        assert_int_equal(size, LOGITS);
        memcpy(alone[i], y, LOGITS);
        free(y);
    }
    return 0;
}

static int teardown(void **state)
{
    e2e_free(&result);
    return fixture_teardown(state);
}

static void check_run(const char *package, int batch)
{
    size_t size;
    write_sample("in_many", 0, batch);
    e2e_cygnet(&result, (e2e_how){0},
               "run --model %s --input_dir in_many --output_dir out_many --batch_size %d --json",
               package, batch);
    e2e_expect(&result, 0);
    assert_int_equal((int)e2e_number(&result, "batch"), batch);
    char *y = fixture_read(e2e_path("out_many/logits.bin"), &size);
    assert_int_equal(size, (size_t)batch * LOGITS);
    assert_memory_equal(y, alone, size);
    free(y);
}

static void static_sizes(void **state)
{
    (void)state;
    e2e_cygnet(&result, (e2e_how){0},
               "build --config build.json --output_dir many --compiler.static_batch_sizes 2 1 4 2");
    e2e_expect(&result, 0);
    assert_non_null(strstr(result.out, "graph [main] batchs [1, 2, 4]"));
    for (int n = 1; n <= SAMPLES; n++)
        check_run("many/compiled.cyg", n);
    /* Without a word the largest; a file of another size is an error. */
    write_sample("in_many", 0, 4);
    e2e_cygnet(&result, (e2e_how){0},
               "run --model many/compiled.cyg --input_dir in_many --output_dir out_4 --json");
    assert_int_equal((int)e2e_number(&result, "batch"), 4);
    e2e_cygnet(&result, (e2e_how){0},
               "run --model many/compiled.cyg --input_dir in_one --output_dir out_5");
    e2e_expect_error(&result, 4, "expected 12288 bytes|found 3072", "out_5");
    /* Pictures come one by one. */
    e2e_cygnet(&result, (e2e_how){0}, "classify many/compiled.cyg val/ant/a.png --json");
    e2e_expect(&result, 0);
    e2e_cygnet(&result, (e2e_how){0}, "inspect many/compiled.cyg --json");
    assert_int_equal(e2e_json(&result, "variants")->count, 3);
    e2e_cygnet(&result, (e2e_how){0}, "bench -m many/compiled.cyg -b 3 -r 2");
    e2e_expect(&result, 0);
    assert_non_null(strstr(result.out, "batch: 3\n"));
    e2e_cygnet(&result, (e2e_how){0}, "bench -m many/compiled.cyg");
    assert_non_null(strstr(result.out, "batch: { auto: 4 }\n"));
    e2e_cygnet(&result, (e2e_how){0}, "bench -m many/compiled.cyg -g 1");
    e2e_expect_error(&result, 2, "1 size groups|no group 1", NULL);
}

static void dynamic_size(void **state)
{
    (void)state;
    e2e_cygnet(&result, (e2e_how){0},
               "build --config build.json --output_dir dyn --compiler.max_dynamic_batch_size 3");
    e2e_expect(&result, 0);
    assert_non_null(strstr(result.out, "graph [main] batchs [1, 2]"));
    check_run("dyn/compiled.cyg", 5);
}

/* A package of one batch runs any other as often as it takes. */
static void repeated(void **state)
{
    (void)state;
    check_run("one/compiled.cyg", 3);
}

static void without_one(void **state)
{
    (void)state;
    e2e_cygnet(&result, (e2e_how){0},
               "build --config build.json --output_dir four --compiler.static_batch_sizes 4");
    e2e_expect(&result, 0);
    for (int n = 1; n <= 5; n += 2)
        check_run("four/compiled.cyg", n);
}

static const char *const group_config =
    "{\"input\": \"%s\", \"output_dir\": \"sized\", \"target_hardware\": \"CPU\",\n"
    " \"quant\": {\"input_configs\": [{\"tensor_name\": \"DEFAULT\",\n"
    "   \"calibration_dataset\": \"calib\", \"calibration_size\": 4,\n"
    "   \"calibration_mean\": [120, 115, 105], \"calibration_std\": [58, 57, 59]}]},\n"
    " \"input_processors\": [{\"tensor_name\": \"DEFAULT\", \"tensor_format\": \"RGB\",\n"
    "   \"src_layout\": \"NHWC\", \"src_dtype\": \"U8\",\n"
    "   \"src_extra_shapes\": [%s]}],\n"
    " \"compiler\": {\"static_batch_sizes\": [1, 2]}}\n";

/* A group of the original size gives the bytes of the original; one of another size is checked
 * against float by build itself. */
static void groups(void **state)
{
    (void)state;
    size_t size, size_1;
    fixture_text("sized.json", group_config, "cnn.onnx",
                 "{\"shape\": [1, 3, 32, 32]}, {\"shape\": [1, 3, 40, 24]}");
    e2e_cygnet(&result, (e2e_how){0}, "build --config sized.json");
    e2e_expect(&result, 0);
    assert_non_null(strstr(result.out, "group 2, 40x24: SQNR "));
    assert_non_null(strstr(result.out, "on 4 pictures"));
    for (int n = 1; n <= 3; n++) {
        write_sample("in_0", 0, n);
        fixture_copy(e2e_path("in_0/pixel_values.bin"), "in_1/pixel_values_1.bin");
        e2e_cygnet(&result, (e2e_how){0},
                   "run --model sized/compiled.cyg --input_dir in_0 --output_dir o_0 "
                   "--batch_size %d",
                   n);
        e2e_expect(&result, 0);
        e2e_cygnet(&result, (e2e_how){0},
                   "run --model sized/compiled.cyg --input_dir in_1 --output_dir o_1 "
                   "--batch_size %d --group_index 1",
                   n);
        e2e_expect(&result, 0);
        char *y = fixture_read(e2e_path("o_0/logits.bin"), &size);
        char *z = fixture_read(e2e_path("o_1/logits_1.bin"), &size_1);
        assert_int_equal(size, size_1);
        assert_int_equal(size, n * LOGITS);
        assert_memory_equal(y, z, size);
        free(y);
        free(z);
    }
    e2e_cygnet(&result, (e2e_how){0},
               "run --model sized/compiled.cyg --input_dir in_2 "
               "--output_dir o_2 --group_index 2 --random_input");
    e2e_expect(&result, 0);
    free(fixture_read(e2e_path("in_2/pixel_values_2.bin"), &size));
    assert_int_equal(size, 2 * 40 * 24 * 3);
    e2e_cygnet(&result, (e2e_how){0}, "bench -m sized/compiled.cyg -g 2 -b 3");
    e2e_expect(&result, 0);
    e2e_cygnet(&result, (e2e_how){0}, "inspect sized/compiled.cyg --json");
    assert_int_equal(e2e_json(&result, "variants")->count, 6);
}

static void groups_refused(void **state)
{
    (void)state;
    fixture_text("sized.json", group_config, "model.onnx", "{\"shape\": [1, 3, 40, 24]}");
    e2e_cygnet(&result, (e2e_how){0}, "build --config sized.json --output_dir no");
    e2e_expect_error(&result, 4, "src_extra_shapes, group 1|Reshape", "no");
    fixture_text("sized.json", group_config, "cnn.onnx", "{\"shape\": [2, 3, 40, 24]}");
    e2e_cygnet(&result, (e2e_how){0}, "build --config sized.json --output_dir no");
    e2e_expect_error(&result, 2, "sized.json:|src_extra_shapes|batch of 1", "no");
}

static void refused(void **state)
{
    (void)state;
    e2e_cygnet(&result, (e2e_how){0},
               "build --config build.json --output_dir no --compiler.static_batch_sizes 1 2 "
               "--compiler.max_dynamic_batch_size 4");
    e2e_expect_error(&result, 2, "exclude each other", "no");
    e2e_cygnet(&result, (e2e_how){0},
               "build --config build.json --output_dir no --compiler.static_batch_sizes 0");
    e2e_expect_error(&result, 2, "static_batch_sizes", "no");
    e2e_cygnet(&result, (e2e_how){0},
               "run --model model.onnx --input_dir in_one --output_dir no "
               "--batch_size 2");
    e2e_expect_error(&result, 2, "only packages have batches", "no");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(static_sizes),   cmocka_unit_test(dynamic_size),
        cmocka_unit_test(repeated),       cmocka_unit_test(without_one),
        cmocka_unit_test(refused),        cmocka_unit_test(groups),
        cmocka_unit_test(groups_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
