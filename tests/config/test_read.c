/* The file reader: JSON and YAML give one configuration; what is accepted beyond the letter; what
 * is refused, and where. */
#include "fixture.h"
#include "sample.h"

#include <math.h>
#include <sys/stat.h>

/* The sample of the interface's section 12, and its twin. */
static const char sample_json[] =
    "{\n"
    "  // float ONNX, input name \"pixel_values\", 1x3x224x224\n"
    "  \"input\": \"model/swin-t.onnx\",\n"
    "  \"output_dir\": \"out/swin-t\",\n"
    "  \"model_type\": \"ONNX\",\n"
    "  \"target_hardware\": \"AX650\",\n"
    "  \"npu_mode\": \"NPU1\",\n"
    "  \"onnx_opt\": { \"model_check\": true },\n"
    "  \"quant\": {\n"
    "    \"input_configs\": [\n"
    "      {\n"
    "        \"tensor_name\": \"pixel_values\",\n"
    "        \"calibration_dataset\": \"dataset/calib-32.tar\",\n"
    "        \"calibration_format\": \"Image\",\n"
    "        \"calibration_size\": 32,\n"
    "        \"calibration_mean\": [123.675, 116.28, 103.53],\n"
    "        \"calibration_std\": [58.395, 57.12, 57.375]\n"
    "      }\n"
    "    ],\n"
    "    \"calibration_method\": \"MSE\",\n"
    "    \"transformer_opt_level\": 1,\n"
    "    \"layer_configs\": [\n"
    "      { \"op_types\": [\"LayerNormalization\"], \"data_type\": \"S16\" }\n"
    "    ],\n"
    "    \"precision_analysis\": true,\n"
    "    \"precision_analysis_method\": \"EndToEnd\"\n"
    "  },\n"
    "  \"input_processors\": [\n"
    "    {\n"
    "      \"tensor_name\": \"pixel_values\",\n"
    "      \"tensor_format\": \"RGB\",\n"
    "      \"tensor_layout\": \"NCHW\",\n"
    "      \"src_format\": \"RGB\",\n"
    "      \"src_layout\": \"NHWC\",\n"
    "      \"src_dtype\": \"U8\"\n"
    "    }\n"
    "  ],\n"
    "  \"output_processors\": [ { \"tensor_name\": \"DEFAULT\", \"output_dtype\": \"FP32\" } ],\n"
    "  \"compiler\": { \"check\": 2, \"npu_perf\": true }  # python-style comment is legal too\n"
    "}\n";

static void test_twins(void **state)
{
    (void)state;
    fixture a, b;
    fixture_init(&a);
    fixture_init(&b);
    assert_int_equal(fixture_read(&a, "config/swin-t.json", sample_json), CYG_OK);
    assert_int_equal(fixture_read(&b, "config/swin-t.yaml", sample_yaml), CYG_OK);
    assert_string_equal(config_text(&a), config_text(&b));
    assert_int_equal(a.warnings + b.warnings, 0);

    const cyg_config_input_quant *q = &a.cfg.quant.input_configs.items[0];
    assert_string_equal(a.cfg.input, "model/swin-t.onnx");
    assert_string_equal(q->calibration_dataset, "dataset/calib-32.tar");
    assert_int_equal(q->calibration_mean.count, 3);
    assert_true(fabs(q->calibration_std.items[2] - 57.375) < 1e-12);
    assert_int_equal(a.cfg.quant.calibration_method, CYG_CONFIG_METHOD_MSE);
    assert_int_equal(a.cfg.input_processors.items[0].src_layout, CYG_CONFIG_LAYOUT_NHWC);
    assert_int_equal(a.cfg.quant.layer_configs.items[0].data_type, CYG_CONFIG_DTYPE_S16);
    assert_int_equal(q->calibration_size_at.origin, CYG_CONFIG_FILE);
    assert_int_equal(q->calibration_size_at.line, 15);
    assert_int_equal(q->calibration_size_at.column, 9);
    assert_int_equal(q->calibration_resize_at.origin, CYG_CONFIG_DEFAULT);

    /* What is not built is reported together, each with its line. */
    fixture c;
    fixture_init(&c);
    assert_int_equal(fixture_read(&c, "config/c.json",
                                  "{\"target_hardware\": \"CPU\",\n \"quant\": {\n"
                                  "  \"enable_lsq\": true, \"enable_brecq\": true}}"),
                     CYG_OK);
    assert_int_equal(cyg_config_check_supported(&c.ctx, &cyg_config_message_build, &c.cfg),
                     CYG_E_UNSUPPORTED);
    static const char *const says[] = {
        "2 settings are not built yet",
        "config/c.json:3:3: quant.enable_lsq is not built yet",
        "config/c.json:3:23: quant.enable_brecq is not built yet",
    };
    for (size_t i = 0; i < CYG_COUNT(says); i++)
        if (!ctx_says(&c.ctx, says[i]))
            fail_msg("%s\n  does not say: %s", cyg_ctx_message(&c.ctx, 0), says[i]);
    fixture_deinit(&c);
    assert_int_equal(cyg_config_validate(&a.ctx, &a.cfg), CYG_OK);
    assert_int_equal(cyg_config_check_supported(&a.ctx, &cyg_config_message_build, &a.cfg), CYG_OK);
    assert_int_equal(a.warnings, 0);
    fixture_deinit(&a);
    fixture_deinit(&b);
}

static void test_round_trip(void **state)
{
    (void)state;
    fixture a, b;
    fixture_init(&a);
    fixture_init(&b);
    assert_int_equal(fixture_read(&a, "a.json", sample_json), CYG_OK);
    const char *text = config_text(&a);
    assert_int_equal(fixture_read(&b, "b.json", text), CYG_OK);
    assert_string_equal(config_text(&b), text);

    cyg_strbuf out = {0};
    cyg_json json;
    cyg_json_init(&json, &out, 0);
    cyg_config_write_origins(&json, &cyg_config_message_build, &a.cfg);
    assert_non_null(strstr(out.data, "\"quant.calibration_method\": \"file\""));
    assert_non_null(strstr(out.data, "\"quant.min_sqnr_db\": \"default\""));
    assert_non_null(strstr(out.data, "\"quant.input_configs[0].calibration_size\": \"file\""));
    cyg_strbuf_deinit(&out);
    fixture_deinit(&a);
    fixture_deinit(&b);
}

static void test_lenient(void **state)
{
    (void)state;
    fixture f;
    fixture_init(&f);
    assert_int_equal(
        fixture_read(
            &f, "a.json",
            "{ /* block */ \"outputDir\": \"o\", // line\n"
            "  \"targetHardware\": 1, # enum by number\n"
            "  \"quant\": { \"finetuneLr\": 1, \"refine_weight_threshold\": -1, \"check\": 1.0,\n"
            "    \"minSqnrDb\": 1e-6,\n"
            "    \"layer_configs\": {\"start_tensor_names\": \"conv2_1\", \"end_tensor_names\": "
            "[\"x\",],},\n"
            "    \"input_configs\": [{\"tensor_name\": \"DEFAULT\", \"calibration_dataset\": "
            "\"d\",\n"
            "                       \"calibration_std\": 255, \"calibration_mean\": []}], },\n"
            "  \"compiler\": {\"npu_perf\": 1, \"disable_ir_fix\": \"true\", "
            "\"static_batch_sizes\": [],\n"
            "               \"check_cosine_similarity\": 0, \"input_sample_dir\": \"\", \"check\": "
            "null},\n"
            "  \"input\": \"\",\n"
            "}"),
        CYG_OK);
    assert_string_equal(f.cfg.output_dir, "o");
    assert_int_equal(f.cfg.target_hardware, CYG_CONFIG_HARDWARE_AX620E);
    assert_true(fabs(f.cfg.quant.finetune_lr - 1) < 1e-12);
    assert_true(fabs(f.cfg.quant.min_sqnr_db - 1e-6) < 1e-18);
    assert_int_equal(f.cfg.quant.check, 1);
    assert_int_equal(f.cfg.quant.layer_configs.count, 1);
    assert_string_equal(f.cfg.quant.layer_configs.items[0].start_tensor_names.items[0], "conv2_1");
    assert_int_equal(f.cfg.quant.input_configs.items[0].calibration_std.count, 1);
    assert_true(f.cfg.compiler.npu_perf);
    assert_true(f.cfg.compiler.disable_ir_fix);
    assert_int_equal(f.warnings, 2);
    assert_non_null(strstr(f.log.data, "compiler.npu_perf: 1 read as true; write true"));
    /* Explicit 0, false and [] are values; "" and null are not. */
    assert_int_equal(f.cfg.compiler.static_batch_sizes_at.origin, CYG_CONFIG_FILE);
    assert_int_equal(f.cfg.quant.input_configs.items[0].calibration_mean_at.origin,
                     CYG_CONFIG_FILE);
    assert_int_equal(f.cfg.compiler.check_cosine_simularity_at.origin, CYG_CONFIG_FILE);
    assert_true(f.cfg.compiler.check_cosine_simularity < 1e-12);
    assert_int_equal(f.cfg.compiler.check_at.origin, CYG_CONFIG_DEFAULT);
    assert_null(f.cfg.compiler.input_sample_dir);
    assert_null(f.cfg.input);
    assert_int_equal(f.cfg.input_at.origin, CYG_CONFIG_DEFAULT);
    fixture_deinit(&f);
}

static void test_unknown(void **state)
{
    (void)state;
    assert_refused("config/swin-t.json",
                   "{\n \"quant\": { \"input_configs\": [ {\n  \"calibraton_size\": 3 } ] } }",
                   CYG_E_CONFIG,
                   "config/swin-t.json:3:3: unknown key \"calibraton_size\" in "
                   "quant.input_configs[0]; did you mean "
                   "\"calibration_size\"?");
    assert_refused(
        "a.yaml", "quant:\n  calibration_size: 3\n", CYG_E_CONFIG,
        "a.yaml:2:3: unknown key \"calibration_size\" in quant; it belongs to InputQuantConfig");
    assert_refused("a.json", "{\"dst_format\": 1}", CYG_E_CONFIG,
                   "a.json:1:2: unknown key \"dst_format\"");
    assert_refused("a.json", "{\"zzzzzzzz\": 1}", CYG_E_CONFIG, "unknown key \"zzzzzzzz\"");
    assert_refused(
        "a.json", "{\"quant\": {\"calibration_method\": \"MSe\"}}", CYG_E_CONFIG,
        "a.json:1:34: quant.calibration_method: \"MSe\" is no QuantMethod; did you mean \"MSE\"?");
    assert_refused("a.json", "{\"npu_mode\": 3}", CYG_E_CONFIG,
                   "NPUMode has no value with the number 3");
    assert_refused("a.json", "{\"npu_mode\": -1}", CYG_E_CONFIG,
                   "NPUMode has no value with the number -1");
    assert_refused("a.json", "{\"input\": \"a\", \"input\": \"b\"}", CYG_E_FORMAT, "input");
    assert_refused("a.json", "{\"output_dir\": \"a\", \"outputDir\": \"b\"}", CYG_E_CONFIG,
                   "\"outputDir\" is the same key as \"output_dir\" in line 1");
    assert_refused(
        "a.json",
        "{\"compiler\": {\"check_cosine_similarity\": 0.9, \"check_cosine_simularity\": 0.9}}",
        CYG_E_CONFIG, "is the same key as");
}

static void test_types(void **state)
{
    (void)state;
    assert_refused("a.json", "{\"quant\": 3}", CYG_E_CONFIG,
                   "a.json:1:11: quant: expected a map, found an integer \"3\"");
    assert_refused("a.json", "[]", CYG_E_CONFIG, "BuildConfig: expected a map, found a list");
    assert_refused("a.json", "{\"quant\": {\"check\": \"1\"}}", CYG_E_CONFIG,
                   "quant.check: expected an integer, found a string \"1\"");
    assert_refused("a.json", "{\"quant\": {\"check\": 0.5}}", CYG_E_CONFIG, "expected an integer");
    assert_refused("a.json", "{\"quant\": {\"check\": 1e300}}", CYG_E_CONFIG,
                   "expected an integer");
    assert_refused("a.json", "{\"quant\": {\"check\": 7}}", CYG_E_CONFIG,
                   "a.json:1:21: quant.check: expected a value in 0..1, found 7");
    assert_refused("a.json", "{\"input\": 5}", CYG_E_CONFIG,
                   "input: expected a path, found an integer \"5\"");
    assert_refused("a.json", "{\"input\": [\"a\"]}", CYG_E_CONFIG,
                   "input: expected a path, found a list");
    assert_refused("a.json", "{\"compiler\": {\"npu_perf\": 2}}", CYG_E_CONFIG,
                   "expected true or false");
    assert_refused("a.json", "{\"compiler\": {\"static_batch_sizes\": [1, \"2\"]}}", CYG_E_CONFIG,
                   "expected an integer, found a string");
    assert_refused("a.json", "{\"compiler\": {\"check_tensor_black_list\": [\"\"]}}", CYG_E_CONFIG,
                   "an item is empty");
    assert_refused("a.json", "{\"quant\": {\"input_configs\": [3]}}", CYG_E_CONFIG,
                   "quant.input_configs[0]: expected a map, found an integer");
    assert_refused("a.json", "{\"quant\": {\"input_configs\": [{}]}}", CYG_E_CONFIG,
                   "quant.input_configs[0]: tensor_name is missing");
    assert_refused("a.json",
                   "{\"quant\": {\"input_configs\": [{\"tensor_name\": \"\", "
                   "\"calibration_dataset\": \"x\"}]}}",
                   CYG_E_CONFIG, "tensor_name is missing");
    assert_refused("a.json", "{\"quant\": {\"conv_bias_data_type\": \"U8\"}}", CYG_E_CONFIG,
                   "expected one of S32 FP32, found U8");
    assert_refused("a.json", "{\"op_processors\": [{\"op_name\": \"x\"}]}", CYG_E_CONFIG,
                   "attrs is missing");
    assert_refused("a.json", "{\"quant\": {\"calibration_method\": true}}", CYG_E_CONFIG,
                   "expected a name");
    assert_refused("a.json", "{\"input\": \"s3://b/x.onnx\"}", CYG_E_CONFIG,
                   "a.json:1:11: input: \"s3://b/x.onnx\"");
    assert_refused("a.json", "{\"quant\": {...}}", CYG_E_FORMAT, "a.json:1:");
    assert_refused("a.json", "", CYG_E_FORMAT, "a.json");
    assert_refused("a.toml", "input = 1", CYG_E_CONFIG, "a.toml:1:9: input: expected a path");
    assert_refused("a.prototxt", "input: 1", CYG_E_CONFIG,
                   "a.prototxt:1:8: input: expected a path");
    assert_refused("a.txt", "{}", CYG_E_CONFIG, "expected .json, .yaml, .yml, .toml or .prototxt");
}

static void test_limits(void **state)
{
    (void)state;
    /* 100,000 empty messages, nested and flat: an error, not gigabytes. */
    cyg_strbuf text = {0};
    cyg_strbuf_puts(&text, "{\"compiler\": {\"sub_configs\": [");
    for (int i = 0; i < 100000; i++)
        cyg_strbuf_puts(&text, i ? ",{}" : "{}");
    cyg_strbuf_puts(&text, "]}}");
    assert_refused("a.json", text.data, CYG_E_CONFIG, "more than 65536 entries");
    cyg_strbuf_deinit(&text);

    cyg_strbuf deep = {0};
    for (int i = 0; i < 28; i++)
        cyg_strbuf_puts(&deep, i ? "{\"sub_configs\": [" : "{\"compiler\": {\"sub_configs\": [");
    cyg_strbuf_puts(&deep, "{\"x\": 1}");
    for (int i = 0; i < 28; i++)
        cyg_strbuf_puts(&deep, i < 27 ? "]}" : "]}}");
    assert_refused("a.json", deep.data, CYG_E_CONFIG,
                   "unknown key \"x\" in compiler.sub_configs[0].sub_configs[0]");
    cyg_strbuf_deinit(&deep);
}

static void test_paths(void **state)
{
    const char *name = scratch_path(state, "config.json");
    fixture f;
    write_scratch(state, "model.onnx", "x", 1);
    fixture_init(&f);
    assert_int_equal(
        fixture_read(
            &f, name,
            "{\"input\": \"model.onnx\", \"output_dir\": \"~/out\", \"quant\": {\"preprocessor\": "
            "\"nowhere.json\"}}"),
        CYG_OK);
    assert_string_equal(f.cfg.input, scratch_path(state, "model.onnx"));
    assert_non_null(strstr(f.log.data, "\"model.onnx\" is not in the current directory; using"));
    assert_string_equal(f.cfg.output_dir, "~/out");
    assert_string_equal(f.cfg.quant.preprocessor, "nowhere.json");
    fixture_deinit(&f);

    /* The current directory wins. */
    char *here = getcwd(NULL, 0);
    assert_int_equal(mkdir(scratch_path(state, "sub"), 0700), 0);
    write_scratch(state, "sub/model.onnx", "y", 1);
    assert_int_equal(chdir(*state), 0);
    fixture_init(&f);
    assert_int_equal(fixture_read(&f, "sub/config.json", "{\"input\": \"model.onnx\"}"), CYG_OK);
    assert_string_equal(f.cfg.input, "model.onnx");
    assert_null(f.log.data);
    fixture_deinit(&f);
    assert_int_equal(chdir(here), 0);
    free(here);
}

static void test_missing_file(void **state)
{
    fixture f;
    fixture_init(&f);
    assert_int_equal(cyg_config_read_file(&f.ctx, &f.arena, scratch_path(state, "none.json"),
                                          &cyg_config_message_build, &f.cfg),
                     CYG_E_IO);
    fixture_deinit(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_twins),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_lenient),
        cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_limits),
        cmocka_unit_test_setup_teardown(test_paths, setup_scratch, teardown_scratch),
        cmocka_unit_test_setup_teardown(test_missing_file, setup_scratch, teardown_scratch),
    };
    return CYG_TEST_MAIN(tests);
}
