/* The parser test list of the interface: one test for each of its items, by their names. */
#include "fixture.h"
#include "sample.h"

#include "config/sample_files.h"

/* ---- four syntaxes ---- */

static const char toml[] = "input = \"model/swin-t.onnx\"\n"
                           "output_dir = \"out/swin-t\" # one comment style\n"
                           "model_type = \"ONNX\"\n"
                           "target_hardware = \"AX650\"\n"
                           "npu_mode = \"NPU1\"\n"
                           "onnx_opt.model_check = true\n"
                           "[quant]\n"
                           "calibration_method = \"MSE\"\n"
                           "transformer_opt_level = 1\n"
                           "precision_analysis = true\n"
                           "precision_analysis_method = 'EndToEnd'\n"
                           "[[quant.input_configs]]\n"
                           "tensor_name = \"pixel_values\"\n"
                           "calibration_dataset = \"dataset/calib-32.tar\"\n"
                           "calibration_format = \"Image\"\n"
                           "calibration_size = 32\n"
                           "calibration_mean = [123.675, 116.28, 103.53]\n"
                           "calibration_std = [58.395, 57.12, 57.375]\n"
                           "[[quant.layer_configs]]\n"
                           "op_types = [\"LayerNormalization\"]\n"
                           "data_type = \"S16\"\n"
                           "[[input_processors]]\n"
                           "tensor_name = \"pixel_values\"\n"
                           "tensor_format = \"RGB\"\n"
                           "tensor_layout = \"NCHW\"\n"
                           "src_format = \"RGB\"\n"
                           "src_layout = \"NHWC\"\n"
                           "src_dtype = \"U8\"\n"
                           "[[output_processors]]\n"
                           "tensor_name = \"DEFAULT\"\n"
                           "output_dtype = \"FP32\"\n"
                           "[compiler]\n"
                           "check = 2\n"
                           "npu_perf = true\n";

static const char prototxt[] =
    "input: \"model/swin-t.onnx\"\n"
    "output_dir: \"out/swin-t\"\n"
    "target_hardware: AX650 model_type: ONNX npu_mode: NPU1\n"
    "onnx_opt { model_check: true }\n"
    "quant {\n"
    "  input_configs { tensor_name: \"pixel_values\" calibration_dataset: "
    "\"dataset/calib-32.tar\"\n"
    "                  calibration_format: Image calibration_size: 32\n"
    "                  calibration_mean: [123.675, 116.28, 103.53]\n"
    "                  calibration_std: 58.395 calibration_std: 57.12 calibration_std: 57.375 }\n"
    "  calibration_method: MSE\n"
    "  transformer_opt_level: 1\n"
    "  layer_configs { op_types: \"LayerNormalization\" data_type: S16 }\n"
    "  precision_analysis: true precision_analysis_method: EndToEnd\n"
    "}\n"
    "input_processors { tensor_name: \"pixel_values\" tensor_format: RGB tensor_layout: NCHW\n"
    "                   src_format: RGB src_layout: NHWC src_dtype: U8 } # a comment\n"
    "output_processors { tensor_name: \"DEFAULT\" output_dtype: FP32 }\n"
    "compiler { check: 2 npu_perf: true }\n";

/* The configuration that a text makes, as JSON. */
static char *merged(const char *name, const char *text)
{
    fixture f;
    cyg_strbuf out = {0};
    cyg_json json;
    fixture_init(&f);
    if (fixture_read(&f, name, text) != CYG_OK)
        fail_msg("%s: %s", name, cyg_ctx_message(&f.ctx, 0));
    assert_int_equal(f.warnings, 0);
    cyg_json_init(&json, &out, 1);
    cyg_config_write(&json, &cyg_config_message_build, &f.cfg);
    fixture_deinit(&f);
    return out.data;
}

static char *read_file(const char *path)
{
    cyg_map map;
    assert_int_equal(cyg_map_open(NULL, path, &map), CYG_OK);
    char *text = calloc(1, map.size + 1);
    assert_non_null(text);
    memcpy(text, map.data, map.size);
    cyg_map_close(&map);
    return text;
}

static void four_syntaxes_give_the_same_config(void **state)
{
    (void)state;
    char *json = read_file(CYG_SOURCE_ROOT "/config/swin-t.json");
    char *first = merged("swin-t.json", json);
    static const struct {
        const char *name, *text;
    } others[] = {{"a.yaml", sample_yaml},
                  {"a.yml", sample_yaml},
                  {"a.toml", toml},
                  {"a.prototxt", prototxt}};
    for (size_t i = 0; i < CYG_COUNT(others); i++) {
        char *other = merged(others[i].name, others[i].text);
        assert_string_equal(other, first);
        free(other);
    }
    free(first);
    free(json);
}

/* ---- leniency ---- */

static void expect_input(const char *name, const char *text)
{
    fixture f;
    fixture_init(&f);
    if (fixture_read(&f, name, text) != CYG_OK)
        fail_msg("%s\n%s", text, cyg_ctx_message(&f.ctx, 0));
    assert_string_equal(f.cfg.input, "x");
    fixture_deinit(&f);
}

static void both_comment_styles(void **state)
{
    (void)state;
    expect_input("a.json", "{ // one\n \"input\": \"x\" # other\n}");
}

static void trailing_comma(void **state)
{
    (void)state;
    expect_input("a.json", "{\"input\": \"x\", \"compiler\": {\"static_batch_sizes\": [1, 2,],},}");
}

static void scalar_for_list(void **state)
{
    (void)state;
    static const char *const texts[][2] = {
        {"a.json", "{\"quant\": {\"layer_configs\": {\"start_tensor_names\": \"conv2_1\"}}}"},
        {"a.yaml", "quant: {layer_configs: {start_tensor_names: conv2_1}}"},
        {"a.toml", "quant.layer_configs = {start_tensor_names = 'conv2_1'}"},
        {"a.prototxt", "quant { layer_configs { start_tensor_names: \"conv2_1\" } }"}};
    for (size_t i = 0; i < CYG_COUNT(texts); i++) {
        fixture f;
        fixture_init(&f);
        assert_int_equal(fixture_read(&f, texts[i][0], texts[i][1]), CYG_OK);
        assert_int_equal(f.cfg.quant.layer_configs.count, 1);
        const cyg_config_layer *l = f.cfg.quant.layer_configs.items;
        assert_int_equal(l->start_tensor_names.count, 1);
        assert_string_equal(l->start_tensor_names.items[0], "conv2_1");
        fixture_deinit(&f);
    }
}

static void enum_by_number(void **state)
{
    (void)state;
    static const char *const texts[][2] = {{"a.json", "{\"quant\": {\"calibration_method\": 3}}"},
                                           {"a.yaml", "quant: {calibration_method: 3}"},
                                           {"a.toml", "quant.calibration_method = 3"},
                                           {"a.prototxt", "quant { calibration_method: 3 }"}};
    for (size_t i = 0; i < CYG_COUNT(texts); i++) {
        fixture f;
        fixture_init(&f);
        assert_int_equal(fixture_read(&f, texts[i][0], texts[i][1]), CYG_OK);
        assert_int_equal(f.cfg.quant.calibration_method, CYG_CONFIG_METHOD_KL);
        fixture_deinit(&f);
    }
}

/* ---- suggestions ---- */

static void unknown_key_with_suggestion(void **state)
{
    (void)state;
    assert_refused("a.json", "{\"inputt\": \"x\"}", CYG_E_CONFIG, "did you mean \"input\"");
    assert_refused("a.yaml", "inputt: x", CYG_E_CONFIG, "a.yaml:1:1");
    assert_refused("a.toml", "[quant]\nchek = 1", CYG_E_CONFIG, "a.toml:2:1");
    assert_refused("a.prototxt", "quant {\n  chek: 1 }", CYG_E_CONFIG, "a.prototxt:2:3");
    assert_refused("a.prototxt", "quant { chek: 1 }", CYG_E_CONFIG, "did you mean \"check\"");
}

static void unknown_flag_with_suggestion(void **state)
{
    (void)state;
    assert_line_refused("--quant.calibration_methd MSE", CYG_E_USAGE, "--quant.calibration_method");
}

static void unknown_enum_with_suggestion(void **state)
{
    (void)state;
    assert_line_refused("--quant.calibration_method Percentil", CYG_E_USAGE, "Percentile");
    assert_refused("a.prototxt", "npu_mode: NPU", CYG_E_CONFIG, "NPU1");
}

/* ---- command line ---- */

static void load(fixture *f, const char *line)
{
    fixture_init(f);
    if (fixture_load(f, line) != CYG_OK)
        fail_msg("%s: %s", line, cyg_ctx_message(&f->ctx, 0));
}

static void command_line_over_file_over_default(void **state)
{
    fixture f;
    char line[512];
    static const char text[] =
        "quant { precision_analysis: false calibration_method: KL check: 1 }\n"
        "compiler { static_batch_sizes: [8] check_rtol: 0.5 }\n";
    write_scratch(state, "c.prototxt", text, sizeof text - 1);
    const char *path = scratch_path(state, "c.prototxt");
    snprintf(line, sizeof line, "--config %s", path);
    load(&f, line);
    assert_false(f.cfg.quant.precision_analysis);
    assert_int_equal(f.cfg.quant.calibration_method, CYG_CONFIG_METHOD_KL);
    assert_int_equal(f.cfg.quant.check, 1);
    assert_int_equal(f.cfg.compiler.static_batch_sizes.count, 1);
    assert_int_equal(f.cfg.compiler.check, 0); /* neither says anything */
    fixture_deinit(&f);
    snprintf(line, sizeof line,
             "--config %s --quant.precision_analysis 1 --quant.calibration_method MSE "
             "--quant.check 0 --compiler.static_batch_sizes 1 2",
             path);
    load(&f, line);
    assert_true(f.cfg.quant.precision_analysis);
    assert_int_equal(f.cfg.quant.calibration_method, CYG_CONFIG_METHOD_MSE);
    assert_int_equal(f.cfg.quant.check, 0);
    assert_int_equal(f.cfg.compiler.static_batch_sizes.count, 2);
    assert_true(f.cfg.compiler.check_rtol == 0.5);
    fixture_deinit(&f);
}

static void bare_bool_flag(void **state)
{
    (void)state;
    fixture f;
    load(&f, "--compiler.npu_perf --input x");
    assert_true(f.cfg.compiler.npu_perf);
    assert_string_equal(f.cfg.input, "x");
    fixture_deinit(&f);
    load(&f, "--input x --compiler.npu_perf");
    assert_true(f.cfg.compiler.npu_perf);
    fixture_deinit(&f);
}

static void flag_with_equals_sign(void **state)
{
    (void)state;
    fixture f;
    load(&f, "--input=x --quant.check=1 --compiler.npu_perf=false --target_hardware=CPU");
    assert_string_equal(f.cfg.input, "x");
    assert_int_equal(f.cfg.quant.check, 1);
    assert_false(f.cfg.compiler.npu_perf);
    assert_int_equal(f.cfg.target_hardware, CYG_CONFIG_HARDWARE_CPU);
    fixture_deinit(&f);
}

static void all_in_the_file(void **state)
{
    fixture f;
    char line[512];
    static const char text[] = "input = 'm.onnx'\noutput_dir = 'o'\n";
    write_scratch(state, "c.toml", text, sizeof text - 1);
    snprintf(line, sizeof line, "--config %s", scratch_path(state, "c.toml"));
    load(&f, line);
    assert_int_equal(cyg_config_require(&f.ctx, &cyg_config_message_build, &f.cfg), CYG_OK);
    assert_string_equal(f.cfg.input, "m.onnx");
    assert_string_equal(f.cfg.output_dir, "o");
    fixture_deinit(&f);
}

/* ---- rules ---- */

static void read_valid(fixture *f, const char *text)
{
    fixture_init(f);
    if (fixture_read(f, "a.prototxt", text) != CYG_OK ||
        cyg_config_validate(&f->ctx, &f->cfg) != CYG_OK)
        fail_msg("%s\n%s", text, cyg_ctx_message(&f->ctx, 0));
}

static void assert_invalid(const char *text, const char *says)
{
    fixture f;
    fixture_init(&f);
    assert_int_equal(fixture_read(&f, "a.prototxt", text), CYG_OK);
    assert_int_equal(cyg_config_validate(&f.ctx, &f.cfg), CYG_E_CONFIG);
    if (!ctx_says(&f.ctx, says))
        fail_msg("%s\n%s", text, cyg_ctx_message(&f.ctx, 0));
    fixture_deinit(&f);
}

#define ENTRY(name, more)                                                                          \
    "input_configs { tensor_name: \"" name "\" calibration_dataset: \"d\" " more " } "

static void default_and_named_entry(void **state)
{
    (void)state;
    fixture f;
    cyg_config_input in;
    read_valid(&f, "quant { " ENTRY("a", "calibration_size: 7")
                       ENTRY("DEFAULT", "calibration_size: 5") "}");
    assert_int_equal(cyg_config_resolve_input(&f.ctx, &f.arena, &f.cfg, "a", 3, &in), CYG_OK);
    assert_int_equal(in.quant.calibration_size, 7);
    assert_int_equal(cyg_config_resolve_input(&f.ctx, &f.arena, &f.cfg, "b", 3, &in), CYG_OK);
    assert_int_equal(in.quant.calibration_size, 5);
    fixture_deinit(&f);
    assert_invalid("quant { " ENTRY("a", "") ENTRY("a", "") "}", "has an entry already");
    assert_invalid("quant { " ENTRY("DEFAULT", "") ENTRY("DEFAULT", "") "}",
                   "has an entry already");
}

static void mean_inherited_and_explicit(void **state)
{
    (void)state;
    static const struct {
        const char *processor;
        size_t count;
        double first;
    } cases[] = {{"", 3, 1},
                 {"mean: [7, 8, 9]", 3, 7},
                 {"mean: [0, 0, 0] std: [1, 1, 1]", 3, 0},
                 {"normalize: false", 0, 0}};
    for (size_t i = 0; i < CYG_COUNT(cases); i++) {
        fixture f;
        cyg_config_input in;
        char text[512];
        snprintf(text, sizeof text, "quant { %s} input_processors { tensor_name: \"a\" %s }",
                 ENTRY("a", "calibration_mean: [1, 2, 3] calibration_std: 4"), cases[i].processor);
        read_valid(&f, text);
        assert_int_equal(cyg_config_resolve_input(&f.ctx, &f.arena, &f.cfg, "a", 3, &in), CYG_OK);
        assert_int_equal(in.processor.mean.count, cases[i].count);
        if (cases[i].count > 0)
            assert_true(in.processor.mean.items[0] == cases[i].first);
        assert_true(in.quant.calibration_mean.items[0] == 1);
        fixture_deinit(&f);
    }
}

static bool in_range(void *user, size_t i)
{
    (void)user;
    (void)i;
    return true;
}

static void layer_priority(void **state)
{
    (void)state;
    fixture f;
    read_valid(&f, "quant { layer_configs { start_tensor_names: \"a\" end_tensor_names: \"b\" }\n"
                   "layer_configs { op_type: \"Add\" } layer_configs { layer_name: \"n\" } }");
    const cyg_config_quant *q = &f.cfg.quant;
    assert_ptr_equal(cyg_config_pick_layer(q, "n", "Add", in_range, NULL),
                     &q->layer_configs.items[2]);
    assert_ptr_equal(cyg_config_pick_layer(q, "m", "Add", in_range, NULL),
                     &q->layer_configs.items[1]);
    assert_ptr_equal(cyg_config_pick_layer(q, "m", "Mul", in_range, NULL),
                     &q->layer_configs.items[0]);
    fixture_deinit(&f);
}

static void static_and_dynamic_batch_together(void **state)
{
    (void)state;
    assert_invalid("compiler { static_batch_sizes: [1, 2] max_dynamic_batch_size: 4 }",
                   "exclude each other");
}

static void npu_mode_not_on_this_chip(void **state)
{
    (void)state;
    assert_invalid("target_hardware: AX620E npu_mode: NPU3", "NPU1 NPU2");
}

static void colon_in_input_shapes(void **state)
{
    (void)state;
    cyg_ctx ctx;
    cyg_arena arena;
    cyg_config_shape_list shapes;
    cyg_ctx_init(&ctx);
    cyg_arena_init(&arena);
    assert_int_equal(cyg_config_parse_shapes(&ctx, &arena, "in:0:1x3x8x8;b:2", &shapes), CYG_OK);
    assert_int_equal(shapes.count, 2);
    assert_string_equal(shapes.items[0].name, "in:0");
    assert_int_equal(shapes.items[0].dims.count, 4);
    cyg_arena_deinit(&arena);
}

static void list_file_with_crlf(void **state)
{
    (void)state;
    cyg_ctx ctx;
    cyg_arena arena;
    cyg_string_list lines;
    static const char text[] = "0\r\n1 \r\n\r\na/b\r\n";
    cyg_ctx_init(&ctx);
    cyg_arena_init(&arena);
    assert_int_equal(cyg_sample_list_parse(&ctx, &arena, "list.txt", text, sizeof text - 1, &lines),
                     CYG_OK);
    assert_int_equal(lines.count, 3);
    assert_string_equal(lines.items[0], "0");
    assert_string_equal(lines.items[1], "1");
    assert_string_equal(lines.items[2], "a/b");
    cyg_arena_deinit(&arena);
}

static void colliding_tensor_file_names(void **state)
{
    (void)state;
    cyg_ctx ctx;
    cyg_arena arena;
    cyg_string_list names;
    static const char *const tensors[] = {"out:0", "out/0"};
    cyg_ctx_init(&ctx);
    cyg_arena_init(&arena);
    assert_int_not_equal(cyg_tensor_file_names(&ctx, &arena, tensors, 2, &names), CYG_OK);
    assert_true(ctx_says(&ctx, "out:0"));
    assert_true(ctx_says(&ctx, "out/0"));
    cyg_arena_deinit(&arena);
}

int main(void)
{
#define SCRATCH(name) cmocka_unit_test_setup_teardown(name, setup_scratch, teardown_scratch)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(four_syntaxes_give_the_same_config),
        cmocka_unit_test(both_comment_styles),
        cmocka_unit_test(trailing_comma),
        cmocka_unit_test(scalar_for_list),
        cmocka_unit_test(enum_by_number),
        cmocka_unit_test(unknown_key_with_suggestion),
        cmocka_unit_test(unknown_flag_with_suggestion),
        cmocka_unit_test(unknown_enum_with_suggestion),
        SCRATCH(command_line_over_file_over_default),
        cmocka_unit_test(bare_bool_flag),
        cmocka_unit_test(flag_with_equals_sign),
        SCRATCH(all_in_the_file),
        cmocka_unit_test(default_and_named_entry),
        cmocka_unit_test(mean_inherited_and_explicit),
        cmocka_unit_test(layer_priority),
        cmocka_unit_test(static_and_dynamic_batch_together),
        cmocka_unit_test(npu_mode_not_on_this_chip),
        cmocka_unit_test(colon_in_input_shapes),
        cmocka_unit_test(list_file_with_crlf),
        cmocka_unit_test(colliding_tensor_file_names),
    };
    return CYG_TEST_MAIN(tests);
}
