/* One configuration, several spellings: JSON with comments, YAML, flags, and the vendor's own
 * command line with one word changed all give the package of the plain file. */
#include <sys/stat.h>

#include "e2e.h"

static e2e_result result;
static char wanted[65];

static int setup(void **state)
{
    if (fixture_setup(state) != 0)
        return -1;
    e2e_cygnet(&result, (e2e_how){0}, "build --config build.json");
    if (result.code != 0) {
        fprintf(stderr, "the fixture does not build:\n%s%s", result.out, result.err);
        return -1;
    }
    fixture_sha256(e2e_path("out/compiled.cyg"), wanted);
    return 0;
}

static int teardown(void **state)
{
    e2e_free(&result);
    return fixture_teardown(state);
}

static void expect_package(const char *path)
{
    char hash[65];
    e2e_expect(&result, 0);
    fixture_sha256(e2e_path("%s", path), hash);
    if (strcmp(hash, wanted) != 0)
        fail_msg("%s differs from the plain file's package", path);
}

static void commented_json(void **state)
{
    (void)state;
    fixture_text("forms/relaxed.json",
                 "{ // ours\n"
                 "  \"input\": \"model.onnx\", # python's\n"
                 "  \"output_dir\": \"relaxed\", \"target_hardware\": \"CPU\",\n"
                 "  /* lowerCamelCase, a list of one without brackets, an enum by number */\n"
                 "  \"quant\": {\"inputConfigs\": {\"tensorName\": \"DEFAULT\",\n"
                 "    \"calibration_dataset\": \"calib\", \"calibration_size\": 4,\n"
                 "    \"calibration_mean\": [120, 115, 105,],\n"
                 "    \"calibration_std\": [58, 57, 59],},},\n"
                 "  \"input_processors\": [{\"tensor_name\": \"DEFAULT\",\n"
                 "    \"tensor_format\": 3, \"src_format\": \"RGB\",\n"
                 "    \"src_layout\": 1, \"src_dtype\": 1,},],\n"
                 "}\n");
    e2e_cygnet(&result, (e2e_how){0}, "build --config forms/relaxed.json");
    expect_package("relaxed/compiled.cyg");
}

static void yaml(void **state)
{
    (void)state;
    fixture_text("forms/twin.yaml", "# the same in YAML\n"
                                    "input: model.onnx\n"
                                    "output_dir: from_yaml\n"
                                    "target_hardware: CPU\n"
                                    "quant:\n"
                                    "  input_configs:\n"
                                    "    - tensor_name: pixel_values\n"
                                    "      calibration_dataset: calib\n"
                                    "      calibration_size: 4\n"
                                    "      calibration_mean: [120, 115, 105]\n"
                                    "      calibration_std: [58, 57, 59]\n"
                                    "input_processors:\n"
                                    "  - {tensor_name: pixel_values, tensor_format: RGB,\n"
                                    "     src_format: RGB, src_layout: NHWC, src_dtype: U8}\n");
    e2e_cygnet(&result, (e2e_how){0}, "build --config forms/twin.yaml");
    expect_package("from_yaml/compiled.cyg");
}

/* Entries of lists have no flags; everything else goes to the command line. The file says something
 * else there, so that the order of precedence is tested too. */
static void flags(void **state)
{
    (void)state;
    fixture_text("forms/lists.json",
                 "{\"input\": \"nowhere.onnx\", \"target_hardware\": \"AX650\",\n"
                 " \"output_name\": \"other.cyg\",\n"
                 " \"quant\": {\"min_sqnr_db\": 300, \"calibration_filter\": \"box\",\n"
                 "  \"input_configs\": [{\"tensor_name\": \"pixel_values\",\n"
                 "   \"calibration_dataset\": \"calib\", \"calibration_size\": 4,\n"
                 "   \"calibration_mean\": [120, 115, 105], \"calibration_std\": [58, 57, 59]}]},\n"
                 " \"input_processors\": [{\"tensor_name\": \"pixel_values\",\n"
                 "   \"tensor_format\": \"RGB\", \"src_format\": \"RGB\",\n"
                 "   \"src_layout\": \"NHWC\", \"src_dtype\": \"U8\"}]}\n");
    e2e_cygnet(&result, (e2e_how){0},
               "build --input model.onnx --output_dir by_flags --config forms/lists.json "
               "--target_hardware=CPU --output_name compiled.axmodel --quant.min_sqnr_db 3 "
               "--quant.calibration_filter=bicubic --quant.calibration_method MinMax "
               "--quant.calibration_resize stretch --quant.transformer_opt_level 1 "
               "--onnx_opt.model_check --compiler.cpu_fallback true");
    expect_package("by_flags/compiled.cyg");
}

/* Paths that are not there from the current folder start from the file's own. */
static void from_other_folder(void **state)
{
    (void)state;
    fixture_text("deep/config/c.json",
                 "{\"input\": \"../../model.onnx\", \"target_hardware\": \"CPU\",\n"
                 " \"quant\": {\"input_configs\": [{\"tensor_name\": \"pixel_values\",\n"
                 "   \"calibration_dataset\": \"../../calib\", \"calibration_size\": 4,\n"
                 "   \"calibration_mean\": [120, 115, 105], \"calibration_std\": [58, 57, 59]}]},\n"
                 " \"input_processors\": [{\"tensor_name\": \"pixel_values\",\n"
                 "   \"tensor_format\": \"RGB\", \"src_format\": \"RGB\",\n"
                 "   \"src_layout\": \"NHWC\", \"src_dtype\": \"U8\"}]}\n");
    e2e_cygnet(&result, (e2e_how){.folder = e2e_path("val")},
               "build --config ../deep/config/c.json --output_dir %s/by_folder", e2e_root);
    expect_package("by_folder/compiled.cyg");
    assert_non_null(strstr(result.err, "note:"));
}

static void merged_configuration(void **state)
{
    (void)state;
    e2e_cygnet(&result, (e2e_how){0}, "build --config build.json --output_dir merged --json");
    e2e_expect(&result, 0);
    static const char *const keys[] = {"config",    "stages",        "seconds",  "fused_steps",
                                       "macs",      "weights_bytes", "sqnr_db",  "quantised_ops",
                                       "float_ops", "cosine",        "agreement"};
    for (size_t i = 0; i < CYG_COUNT(keys); i++)
        e2e_json(&result, keys[i]);
    assert_true(e2e_json(&result, "stages")->count >= 5);
    for (size_t i = 0; i < e2e_json(&result, "stages")->count; i++) {
        const cyg_doc_node *stage = e2e_json(&result, "stages")->items[i];
        assert_non_null(cyg_doc_get(stage, "name"));
        assert_non_null(cyg_doc_get(stage, "seconds"));
        assert_non_null(cyg_doc_get(stage, "peak_rss_bytes"));
    }
    assert_true(e2e_number(&result, "agreement") >= 0 && e2e_number(&result, "agreement") <= 100);
    /* What the build says it used is itself a config file, and makes the same package. */
    cyg_ctx ctx;
    cyg_doc *doc = NULL;
    cyg_ctx_init(&ctx);
    assert_int_equal(cyg_doc_open(&ctx, e2e_path("merged/build_context.json"), &doc), CYG_OK);
    cyg_doc_close(doc);
    const char *start = strstr(result.out, "\"config\": {"),
               *end = strstr(result.out, "\"origins\"");
    assert_true(start != NULL && end != NULL);
    start += strlen("\"config\": ");
    while (*end != '}')
        end--;
    fixture_write("forms/merged.json", start, (size_t)(end - start) + 1);
    e2e_cygnet(&result, (e2e_how){0}, "build --config forms/merged.json --output_dir from_merged");
    expect_package("from_merged/compiled.cyg");
}

/* The commands of a 2023 vendor article on Swin-T: first word and target changed. */
static void vendor_commands(void **state)
{
    (void)state;
    fixture_copy(e2e_path("model.onnx"), "vendor/model/swin-t.onnx");
    for (unsigned i = 0; i < 4; i++) {
        char name[64];
        snprintf(name, sizeof name, "vendor/dataset/calib/%u.png", i);
        fixture_png(name, 40, 36, i);
    }
    fixture_text(
        "vendor/config/swin-t.json",
        "{ // float ONNX\n"
        "  \"input\": \"model/swin-t.onnx\", \"output_dir\": \"out/swin-t\",\n"
        "  \"model_type\": \"ONNX\", \"target_hardware\": \"AX650\",\n"
        "  \"npu_mode\": \"NPU1\", \"onnx_opt\": { \"model_check\": true },\n"
        "  \"quant\": { \"input_configs\": [ { \"tensor_name\": \"pixel_values\",\n"
        "     \"calibration_dataset\": \"dataset/calib\", \"calibration_format\": \"Image\",\n"
        "     \"calibration_size\": 4, \"calibration_mean\": [123.675, 116.28, 103.53],\n"
        "     \"calibration_std\": [58.395, 57.12, 57.375] } ],\n"
        "    \"calibration_method\": \"MinMax\", \"transformer_opt_level\": 1 },\n"
        "  \"input_processors\": [ { \"tensor_name\": \"pixel_values\",\n"
        "     \"tensor_format\": \"RGB\", \"tensor_layout\": \"NCHW\",\n"
        "     \"src_format\": \"RGB\", \"src_layout\": \"NHWC\", \"src_dtype\": \"U8\" } ],\n"
        "  \"output_processors\": [ { \"tensor_name\": \"DEFAULT\","
        " \"output_dtype\": \"FP32\" } ],\n"
        "  \"compiler\": { \"npu_perf\": true }  # python-style comment is legal too\n"
        "}\n");
    const e2e_how here = {.folder = e2e_path("vendor")};
    e2e_cygnet(&result, here,
               "build --input model/swin-t.onnx --output_dir output --config config/swin-t.json "
               "--target_hardware=CPU");
    e2e_expect(&result, 0);
    assert_non_null(strstr(result.err, "npu_perf"));
    fixture_text("vendor/list.txt", "0\r\none\n");
    e2e_cygnet(&result, here,
               "run --model output/compiled.axmodel --input_dir sim_inputs --output_dir "
               "sim_outputs --list list.txt --random_input");
    e2e_expect(&result, 0);
    assert_non_null(strstr(result.out, ">>> [0] start"));
    assert_non_null(strstr(result.out, ">>> [1] finish"));
    e2e_cygnet(&result, here,
               "run --model output/compiled.axmodel --input_dir sim_inputs --output_dir "
               "sim_outputs --list list.txt");
    e2e_expect(&result, 0);
    assert_true(cyg_path_exists(e2e_path("vendor/sim_outputs/one/logits.bin")));
    e2e_cygnet(&result, here, "bench -m output/compiled.axmodel -w 1 -r 3");
    e2e_expect(&result, 0);
    e2e_cygnet(&result, here,
               "classify -m output/compiled.axmodel -i dataset/calib/0.png -g 32,32 -r 2");
    e2e_expect(&result, 0);
    e2e_cygnet(&result, here, "inspect output/compiled.axmodel");
    e2e_expect(&result, 0);
}

/* The stages' files elsewhere: beside, inside, or in the output folder itself. */
static void work_folder(void **state)
{
    (void)state;
    static const char *const folders[] = {"work", "result/inner", "result"};
    for (size_t i = 0; i < CYG_COUNT(folders); i++) {
        const char *work = folders[i];
        e2e_cygnet(&result, (e2e_how){0},
                   "build --config build.json --output_dir result --work_dir %s "
                   "--quant.min_sqnr_db 200",
                   work);
        e2e_expect_error(&result, 6, "SQNR", "result");
        assert_false(cyg_path_exists(e2e_path("%s", work)));
        e2e_cygnet(&result, (e2e_how){0},
                   "build --config build.json --output_dir result --work_dir %s", work);
        expect_package("result/compiled.cyg");
        assert_true(cyg_path_exists(e2e_path("%s/frontend/optimized.onnx", work)));
        assert_true(cyg_path_exists(e2e_path("%s/quant/quant_axmodel.json", work)));
        assert_int_equal(cyg_path_exists(e2e_path("result/frontend")), i == 2);
        assert_true(cyg_path_exists(e2e_path("result/build_context.json")));
        assert_int_equal(cyg_remove_tree(NULL, e2e_path("result")), CYG_OK);
    }
}

/* ---- real models, where they are ---- */

/* Exports of four makers, calibrated on our pictures: they build, entirely in integers. */
static void golden_models(void **state)
{
    (void)state;
    static const char *const names[] = {"hf_swin", "timm_vit", "torchvision_swin", "hf_swinv2"};
    const char *shared = shared_folder();
    if (shared == NULL) {
        print_message("   SKIPPED: no shared folder\n");
        skip();
    }
    for (size_t i = 0; i < CYG_COUNT(names); i++) {
        char model[512];
        if (snprintf(model, sizeof model, "%s/golden/%s/model.onnx", shared, names[i]) >=
                (int)sizeof model ||
            !cyg_path_exists(model)) {
            print_message("   SKIPPED: %s\n", names[i]);
            continue;
        }
        fixture_text(
            "golden.json",
            "{\"target_hardware\": \"CPU\", \"quant\": {\"input_configs\": "
            "[{\"tensor_name\": \"DEFAULT\", \"calibration_dataset\": \"calib\","
            " \"calibration_mean\": [120, 115, 105], \"calibration_std\": [58, 57, 59]}]}}");
        e2e_cygnet(&result, (e2e_how){0},
                   "build --config golden.json --input %s --output_dir %s --json", model, names[i]);
        e2e_expect(&result, 0);
        print_message("   %s: %.0f steps, %.0f float operators, SQNR %.1f dB\n", names[i],
                      e2e_number(&result, "fused_steps"), e2e_number(&result, "float_ops"),
                      e2e_number(&result, "sqnr_db"));
        assert_int_equal((int)e2e_number(&result, "float_ops"), 0);
        assert_true(e2e_number(&result, "sqnr_db") > 15);
    }
}

/* The first step of the first entry, as build_context.json has it. */
static void recorded(void)
{
    cyg_ctx ctx;
    cyg_doc *doc;
    const char *name;
    cyg_ctx_init(&ctx);
    assert_int_equal(cyg_doc_open(&ctx, e2e_path("layers/build_context.json"), &doc), CYG_OK);
    const cyg_doc_node *entries = cyg_doc_get(cyg_doc_root(doc), "layer_configs");
    assert_non_null(entries);
    assert_int_equal(entries->count, 5);
    const cyg_doc_node *set = cyg_doc_get(entries->items[0], "sets");
    assert_int_equal(cyg_doc_as_string(&ctx, cyg_doc_get(set->items[0], "name"), &name), CYG_OK);
    assert_string_equal(name, "embed.conv");
    assert_int_equal(cyg_doc_get(set->items[0], "roles")->count, 2);
    assert_int_equal(cyg_doc_get(set->items[0], "no_effect_on")->count, 0);
    cyg_doc_close(doc);
}

/* Entries by type and by range: each is told, and the package is another one. */
static void layers(void **state)
{
    (void)state;
    char hash[65];
    fixture_text("forms/layers.json",
                 "{\"input\": \"model.onnx\", \"output_dir\": \"layers\",\n"
                 " \"target_hardware\": \"CPU\", \"quant\": {\n"
                 "  \"layer_configs\": [\n"
                 "   {\"start_tensor_names\": \"DEFAULT\", \"end_tensor_names\": \"DEFAULT\",\n"
                 "    \"data_type\": \"U16\", \"weight_data_type\": \"S16\"},\n"
                 "   {\"op_type\": \"Transpose\", \"data_type\": \"U8\"},\n"
                 "   {\"op_type\": \"Gemm\", \"output_data_type\": \"U8\"},\n"
                 "   {\"op_type\": \"Softmax\", \"data_type\": \"FP32\"},\n"
                 "   {\"op_type\": \"Reshape\", \"data_type\": \"FP32\"}],\n"
                 "  \"input_configs\": [{\"tensor_name\": \"DEFAULT\",\n"
                 "    \"calibration_dataset\": \"calib\", \"calibration_size\": 4,\n"
                 "    \"calibration_mean\": [120, 115, 105],\n"
                 "    \"calibration_std\": [58, 57, 59]}]}}\n");
    e2e_cygnet(&result, (e2e_how){0}, "build --config forms/layers.json");
    e2e_expect(&result, 0);
    assert_non_null(
        strstr(result.err, "quant.layer_configs[0] (U16, stored as S16; weights S16) sets"));
    assert_non_null(strstr(result.err, "quant.layer_configs[0] has no effect on"));
    assert_null(strstr(result.err, "\"embed.conv\" (weights)"));
    assert_non_null(strstr(result.err, "warning: quant.layer_configs[1] has no effect on"));
    assert_non_null(strstr(result.err, "quant.layer_configs[2] (output U8) sets 1 steps"));
    assert_null(strstr(result.err, "layer_configs[2] has no effect"));
    assert_non_null(strstr(result.err, "warning: quant.layer_configs[4] has no effect on"));
    assert_non_null(strstr(result.err, "quant.layer_configs[3] (FP32) sets 2 steps"));
    assert_non_null(strstr(result.err, "2 attention steps are split into MatMul, Softmax, MatMul"));
    assert_non_null(strstr(result.err, "float as the configuration asks: 2 Softmax"));
    assert_null(strstr(result.err, "no integer form yet"));
    recorded();
    fixture_sha256(e2e_path("layers/compiled.cyg"), hash);
    assert_string_not_equal(hash, wanted);
}

/* Keys that turn corrections off give what the corrections' own keys give; types are checked and
 * counted; the analysis is drawn. */
static void small_keys(void **state)
{
    (void)state;
    char one[65], other[65];
    e2e_cygnet(&result, (e2e_how){0},
               "build --config build.json --output_dir keys --quant.check 1 "
               "--quant.disable_auto_refine_scale --quant.disable_quant_optimization");
    e2e_expect(&result, 0);
    assert_non_null(strstr(result.err, "nodes have kernels for their types; results:"));
    fixture_sha256(e2e_path("keys/compiled.cyg"), one);
    e2e_cygnet(&result, (e2e_how){0},
               "build --config build.json --output_dir bare --quant.enable_smooth_quant false "
               "--quant.search_ranges false --quant.correct_bias false "
               "--quant.round_weights false");
    e2e_expect(&result, 0);
    fixture_sha256(e2e_path("bare/compiled.cyg"), other);
    assert_string_equal(one, other);
    assert_string_not_equal(one, wanted);
    e2e_cygnet(&result, (e2e_how){0},
               "build --config build.json --output_dir no --quant.disable_quant_optimization "
               "--quant.correct_bias true");
    e2e_expect_error(&result, 2,
                     "quant.correct_bias is true|quant.disable_quant_optimization is true", "no");
    char *chart = fixture_read(e2e_path("keys/quant/debug/precision_analysis.mmd"), NULL);
    assert_int_equal(strncmp(chart, "flowchart TD\n", 13), 0);
    assert_non_null(strstr(chart, "i_attention, "));
    assert_non_null(strstr(chart, ":::"));
    free(chart);
}

static int64_t package_bytes(const char *relative)
{
    struct stat s;
    assert_int_equal(stat(e2e_path("%s", relative), &s), 0);
    return s.st_size;
}

/* 4-bit weights, of all layers and of those of one type: smaller packages that run. */
static void four_bits(void **state)
{
    (void)state;
    static const char *const weights[] = {
        "\"weight_data_type\": \"S8\"", "\"weight_data_type\": \"S4\"",
        "\"layer_configs\": [{\"op_type\": \"MatMul\", \"weight_data_type\": \"S4\"}]"};
    int64_t bytes[CYG_COUNT(weights)];
    for (size_t i = 0; i < CYG_COUNT(weights); i++) {
        char text[1024];
        snprintf(text, sizeof text,
                 "{\"input\": \"model.onnx\", \"output_dir\": \"four\",\n"
                 " \"target_hardware\": \"CPU\", \"quant\": {%s, \"min_sqnr_db\": 0,\n"
                 "  \"input_configs\": [{\"tensor_name\": \"DEFAULT\",\n"
                 "    \"calibration_dataset\": \"calib\", \"calibration_size\": 4,\n"
                 "    \"calibration_mean\": [120, 115, 105],\n"
                 "    \"calibration_std\": [58, 57, 59]}]}}\n",
                 weights[i]);
        fixture_text("forms/four.json", "%s", text);
        e2e_cygnet(&result, (e2e_how){0}, "build --config forms/four.json");
        e2e_expect(&result, 0);
        bytes[i] = package_bytes("four/compiled.cyg");
        if (i == 2) {
            assert_non_null(strstr(result.err, "quant.layer_configs[0] (weights S4) sets"));
            assert_null(strstr(result.err, "has no effect on"));
        }
    }
    assert_true(bytes[1] < bytes[0] && bytes[2] < bytes[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commented_json),
        cmocka_unit_test(yaml),
        cmocka_unit_test(layers),
        cmocka_unit_test(small_keys),
        cmocka_unit_test(four_bits),
        cmocka_unit_test(flags),
        cmocka_unit_test(from_other_folder),
        cmocka_unit_test(merged_configuration),
        cmocka_unit_test(vendor_commands),
        cmocka_unit_test(work_folder),

        cmocka_unit_test(golden_models),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
