/* Damaged and random config files and command lines: never a crash, never a silent half. Run under
 * the sanitizers. */
#include "fixture.h"

static const char good[] =
    "{\"input\": \"a.onnx\", \"output_dir\": \"o\", \"targetHardware\": \"CPU\", \"npu_mode\": 1,\n"
    " \"quant\": {\"input_configs\": [{\"tensor_name\": \"x\", \"calibration_dataset\": \"d\",\n"
    "  \"calibration_mean\": [1, 2.5, 3], \"calibration_std\": 255}], \"min_sqnr_db\": 2,\n"
    "  \"layer_configs\": [{\"op_types\": [\"Add\"], \"data_type\": \"S16\"}]}, // c\n"
    " \"input_processors\": [{\"tensor_name\": \"DEFAULT\", \"src_dtype\": \"U8\"}],\n"
    " \"op_processors\": [{\"op_name\": \"n\", \"attrs\": {\"k\": [1, {\"z\": null}]}}],\n"
    " \"compiler\": {\"static_batch_sizes\": [1, 2], \"sub_configs\": [{\"check\": 3}],}, }\n";

static const char good_yaml[] =
    "input: a.onnx\noutput_dir: o\nquant:\n  input_configs:\n    - tensor_name: x\n"
    "      calibration_dataset: d\n      calibration_mean: [1, 2.5]\n  layer_configs:\n"
    "    - {op_types: [Add], data_type: S16}\ninput_shapes: 'a:1x2;b:3'\n"
    "compiler:\n  static_batch_sizes: [1, 2]\n";

static const char good_toml[] =
    "input = 'a.onnx'\noutput_dir = \"o\" # c\ncompiler.static_batch_sizes = [1, 2]\n"
    "[quant]\nlayer_configs = [{op_types = ['Add'], data_type = 'S16'}]\n"
    "[[quant.input_configs]]\ntensor_name = \"\"\"x\"\"\"\ncalibration_dataset = 'd'\n"
    "calibration_mean = [1, 2.5e0,]\n";

static const char good_prototxt[] =
    "input: \"a.onnx\" output_dir: 'o' # c\nquant { input_configs < tensor_name: \"x\"\n"
    "calibration_dataset: \"d\" \"e\" calibration_mean: 1 calibration_mean: [2.5, 0x3] >\n"
    "layer_configs: { op_types: [\"Add\"], data_type: S16; } }\n"
    "compiler { static_batch_sizes: 1 static_batch_sizes: 2 }\n";

/* tests/fuzz/fuzz_config.c, which aborts when something is wrong. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* In a copy of the exact size, so that the sanitizer sees a read past the end. */
static void digest(int syntax, const char *data, size_t size)
{
    uint8_t *copy = malloc(size + 1);
    assert_non_null(copy);
    copy[0] = (uint8_t)((syntax & 1) | (syntax & 2) << 1);
    memcpy(copy + 1, data, size);
    assert_int_equal(LLVMFuzzerTestOneInput(copy, size + 1), 0);
    free(copy);
}

static void test_truncated(void **state)
{
    (void)state;
    for (size_t n = 0; n < sizeof good; n++)
        digest(0, good, n);
    for (size_t n = 0; n < sizeof good_yaml; n++)
        digest(1, good_yaml, n);
    for (size_t n = 0; n < sizeof good_toml; n++)
        digest(2, good_toml, n);
    for (size_t n = 0; n < sizeof good_prototxt; n++)
        digest(3, good_prototxt, n);
}

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static void test_flipped(void **state)
{
    (void)state;
    uint32_t seed = 1;
    static const char *const texts[] = {good, good_yaml, good_toml, good_prototxt};
    char copy[sizeof good];
    for (int round = 0; round < 6000; round++) {
        const int syntax = round & 3;
        const size_t size = strlen(texts[syntax]);
        assert_true(size < sizeof copy);
        memcpy(copy, texts[syntax], size);
        for (uint32_t k = 1 + next_random(&seed) % 3; k > 0; k--) {
            static const char likely[] = "{}[],:\"'0-. \n#a1e";
            const uint32_t what = next_random(&seed);
            copy[next_random(&seed) % size] =
                what & 1 ? likely[what / 2 % (sizeof likely - 1)] : (char)(what / 2 & 0xFF);
        }
        digest(syntax, copy, size);
    }
}

static void test_random_lines(void **state)
{
    (void)state;
    static const char *const words[] = {"--input",
                                        "x",
                                        "--output_dir=o",
                                        "--quant.check",
                                        "1",
                                        "-1",
                                        "--compiler.npu_perf",
                                        "true",
                                        "--compiler.static_batch_sizes",
                                        "2",
                                        "--",
                                        "-",
                                        "--=",
                                        "-=",
                                        "--quant.min_sqnr_db=",
                                        "--target_hardware",
                                        "CPU",
                                        "",
                                        "--input_shapes=:::",
                                        "--npu_mode=NPU4",
                                        "---",
                                        "--quant"};
    uint32_t seed = 7;
    for (int round = 0; round < 3000; round++) {
        const char *argv[8];
        fixture f;
        fixture_init(&f);
        const int argc = (int)(next_random(&seed) % 9);
        for (int i = 0; i < argc; i++)
            argv[i] = words[next_random(&seed) % CYG_COUNT(words)];
        const cyg_status st = cyg_config_load(&f.ctx, &f.arena, &cyg_config_message_build, argc,
                                              argv, NULL, 0, &f.cfg, &f.file);
        assert_true(st == CYG_OK || st == CYG_E_USAGE);
        fixture_deinit(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_flipped),
        cmocka_unit_test(test_random_lines),
    };
    return CYG_TEST_MAIN(tests);
}
