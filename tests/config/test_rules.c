/* What fields mean together: rank, inheritance, lengths, contradictions, chips, and what this
 * release refuses. */
#include "fixture.h"

#include <math.h>

/* Reads, then validates; the message of either contains `says`. */
static void assert_invalid(const char *text, const char *says)
{
    fixture f;
    fixture_init(&f);
    cyg_status st = fixture_read(&f, "a.yaml", text);
    if (st == CYG_OK)
        st = cyg_config_validate(&f.ctx, &f.cfg);
    if (st != CYG_E_CONFIG || !ctx_says(&f.ctx, says))
        fail_msg("%s\n  status %d, message: %s\n  expected: %s", text, (int)st,
                 cyg_ctx_message(&f.ctx, 0), says);
    fixture_deinit(&f);
}

static void load_valid(fixture *f, const char *text)
{
    fixture_init(f);
    cyg_status st = fixture_read(f, "a.yaml", text);
    if (st == CYG_OK)
        st = cyg_config_validate(&f->ctx, &f->cfg);
    if (st != CYG_OK)
        fail_msg("%s\n  message: %s", text, cyg_ctx_message(&f->ctx, 0));
}

#define ENTRY(name, more) "    - {tensor_name: " name ", calibration_dataset: d" more "}\n"

static void test_rank(void **state)
{
    (void)state;
    fixture f;
    cyg_config_input in;
    load_valid(&f, "quant:\n  calibration_filter: box\n  input_configs:\n" ENTRY(
                       "DEFAULT", ", calibration_size: 5")
                       ENTRY("a", ", calibration_size: 7, calibration_filter: lanczos"));
    assert_int_equal(cyg_config_resolve_input(&f.ctx, &f.arena, &f.cfg, "a", 3, &in), CYG_OK);
    assert_int_equal(in.quant.calibration_size, 7); /* named wins */
    assert_int_equal(in.quant.calibration_filter, CYG_CONFIG_FILTER_lanczos);
    assert_string_equal(in.quant.tensor_name, "a");
    assert_int_equal(cyg_config_resolve_input(&f.ctx, &f.arena, &f.cfg, "b", 3, &in), CYG_OK);
    assert_int_equal(in.quant.calibration_size, 5);
    assert_int_equal(in.quant.calibration_filter,
                     CYG_CONFIG_FILTER_box); /* quant.* is the entries' default */
    assert_int_equal(in.quant.calibration_resize, CYG_CONFIG_RESIZE_stretch);
    assert_string_equal(in.quant.tensor_name, "b");
    assert_false(in.has_processor);
    fixture_deinit(&f);

    assert_invalid("quant:\n  input_configs:\n" ENTRY("a", "") ENTRY("a", ""),
                   "a.yaml:4:8: quant.input_configs[1].tensor_name \"a\" has an entry already");
    assert_invalid("quant:\n  input_configs:\n" ENTRY("DEFAULT", "") ENTRY("DEFAULT", ""),
                   "has an entry already");
    assert_invalid("input_processors: [{tensor_name: x}, {tensor_name: x}]",
                   "input_processors[1].tensor_name");
    assert_invalid("output_processors: [{tensor_name: x}, {tensor_name: x}]",
                   "output_processors[1].tensor_name");

    load_valid(&f, "quant:\n  input_configs:\n" ENTRY("a", ""));
    assert_int_equal(cyg_config_resolve_input(&f.ctx, &f.arena, &f.cfg, "b", 3, &in), CYG_E_CONFIG);
    assert_true(ctx_says(&f.ctx, "model input \"b\" has no entry in quant.input_configs"));
    fixture_deinit(&f);
}

static void test_mean(void **state)
{
    (void)state;
    fixture f;
    cyg_config_input in;
#define MEANS ", calibration_mean: [1, 2, 3], calibration_std: [4]"
    load_valid(
        &f, "quant:\n  input_configs:\n" ENTRY(
                "DEFAULT", MEANS) "input_processors:\n"
                                  "  - {tensor_name: explicit, mean: [0, 0, 0], std: [1, 1, 1]}\n"
                                  "  - {tensor_name: half, mean: 9}\n"
                                  "  - {tensor_name: empty, mean: [], std: []}\n"
                                  "  - {tensor_name: none, normalize: false}\n"
                                  "  - {tensor_name: DEFAULT, src_dtype: U8}\n");
    assert_int_equal(cyg_config_resolve_input(&f.ctx, &f.arena, &f.cfg, "x", 3, &in), CYG_OK);
    assert_int_equal(in.processor.mean.count, 3); /* inherited, the processor entry being silent */
    assert_true(fabs(in.processor.mean.items[1] - 2) < 1e-12);
    assert_int_equal(in.processor.std.count, 1);
    assert_int_equal(in.processor.src_dtype, CYG_CONFIG_DTYPE_U8);
    assert_int_equal(cyg_config_resolve_input(&f.ctx, &f.arena, &f.cfg, "explicit", 3, &in),
                     CYG_OK);
    assert_true(fabs(in.processor.mean.items[1]) < 1e-12);
    assert_int_equal(in.processor.std.count, 3);
    assert_int_equal(in.quant.calibration_mean.count, 3); /* calibration keeps its own */
    assert_int_equal(in.processor.src_dtype,
                     CYG_CONFIG_DTYPE_FP32); /* the named entry is not mixed with DEFAULT */
    assert_int_equal(cyg_config_resolve_input(&f.ctx, &f.arena, &f.cfg, "half", 3, &in), CYG_OK);
    assert_int_equal(in.processor.mean.count, 1);
    assert_int_equal(in.processor.std.count, 1);
    assert_int_equal(cyg_config_resolve_input(&f.ctx, &f.arena, &f.cfg, "empty", 3, &in), CYG_OK);
    assert_int_equal(in.processor.mean.count + in.processor.std.count, 0);
    assert_int_equal(cyg_config_resolve_input(&f.ctx, &f.arena, &f.cfg, "none", 3, &in), CYG_OK);
    assert_int_equal(in.processor.mean.count + in.processor.std.count, 0);
    /* Without any processor entry too. */
    fixture_deinit(&f);
    load_valid(&f, "quant:\n  input_configs:\n" ENTRY("DEFAULT", MEANS));
    assert_int_equal(cyg_config_resolve_input(&f.ctx, &f.arena, &f.cfg, "x", 3, &in), CYG_OK);
    assert_int_equal(in.processor.mean.count, 3);
    /* 3 means for one channel. */
    assert_int_equal(cyg_config_resolve_input(&f.ctx, &f.arena, &f.cfg, "x", 1, &in), CYG_E_CONFIG);
    assert_true(ctx_says(&f.ctx, "a.yaml:3:"));
    assert_true(ctx_says(&f.ctx, "calibration_mean has 3 values; the input has 1 channel"));
    fixture_deinit(&f);
#undef MEANS
    assert_invalid("input_processors: [{tensor_name: x, tensor_format: RGB, mean: [1, 2]}]",
                   "has 2 values");
    assert_invalid("input_processors: [{tensor_name: x, tensor_format: GRAY, std: [1, 2, 3]}]",
                   "has 3 values");
    assert_invalid("input_processors: [{tensor_name: x, normalize: false, mean: [1]}]",
                   "yet mean or std is given");
    assert_invalid("quant:\n  input_configs:\n" ENTRY(
                       "x", ", calibration_mean: [1, 2, 3], calibration_std: [1, 2]"),
                   "has 2 values and calibration_mean 3");
}

static void test_std(void **state)
{
    (void)state;
    assert_invalid("quant:\n  input_configs:\n" ENTRY("x", ", calibration_std: [0]"),
                   "holds 0: the data is divided by it");
    assert_invalid("quant:\n  input_configs:\n" ENTRY("x", ", calibration_std: [255, 0.004, 255]"),
                   "holds 0.004");
    assert_invalid("quant:\n  input_configs:\n" ENTRY("x", ", calibration_std: [-1]"), "holds -1");
    assert_invalid("input_processors: [{tensor_name: x, std: [0]}]",
                   "input_processors[0].std holds 0");
    fixture f;
    load_valid(&f,
               "quant:\n  input_configs:\n" ENTRY("x", ", calibration_std: [0.229, 0.224, 0.225]"));
    assert_int_equal(f.warnings, 1);
    assert_non_null(strstr(f.log.data, "multiply mean and std by 255"));
    fixture_deinit(&f);
    assert_invalid("quant:\n  input_configs:\n" ENTRY(
                       "x", ", calibration_format: Numpy, calibration_mean: [1]"),
                   "calibration_mean is not applied to Numpy data");
    assert_invalid("quant:\n  input_configs:\n" ENTRY(
                       "x", ", calibration_format: Binary, calibration_std: [2]"),
                   "calibration_std is not applied to Binary data");
    assert_invalid("quant:\n  input_configs:\n" ENTRY("x", ", calibration_size: 0"),
                   "calibration_size is 0");
}

static void test_fit(void **state)
{
    (void)state;
    assert_invalid("input_processors: [{tensor_name: x, padding_constant_value: 3}]",
                   "padding_constant_value has no effect without padding");
}

static void test_shapes(void **state)
{
    (void)state;
    fixture f;
    cyg_config_shape_list shapes;
    fixture_init(&f);
    assert_int_equal(
        cyg_config_parse_shapes(&f.ctx, &f.arena, "in:0:1x3x224x224; other:1x8 ;", &shapes),
        CYG_OK);
    assert_int_equal(shapes.count, 2);
    assert_string_equal(shapes.items[0].name, "in:0"); /* split at the last colon */
    assert_int_equal(shapes.items[0].dims.count, 4);
    assert_int_equal(shapes.items[0].dims.items[3], 224);
    assert_int_equal(shapes.items[1].dims.count, 2);
    assert_int_equal(cyg_config_parse_shapes(&f.ctx, &f.arena, NULL, &shapes), CYG_OK);
    assert_int_equal(shapes.count, 0);
    static const char *const wrong[] = {
        "in",      "in:",          ":1x2",   "in:1x",         "in:x1",
        "in:0",    "in:1x-1",      "in:1X2", "in:1x2;in:1x3", "in:99999999999999999999",
        "in:1 x2", "in:2147483648"};
    for (size_t i = 0; i < CYG_COUNT(wrong); i++)
        if (cyg_config_parse_shapes(&f.ctx, &f.arena, wrong[i], &shapes) != CYG_E_CONFIG)
            fail_msg("accepted %s", wrong[i]);
    fixture_deinit(&f);
    assert_invalid("input_shapes: 'a:1x2y3'",
                   "input_shapes: \"a:1x2y3\": expected positive dimensions");
}

static void test_chips(void **state)
{
    (void)state;
    static const struct {
        const char *chip, *mode;
        int valid;
    } rows[] = {
        {"AX650", "NPU3", 1},  {"AX650", "NPU4", 0}, {"M76H", "NPU3", 1},   {"AX620E", "NPU2", 1},
        {"AX620E", "NPU3", 0}, {"AX615", "NPU2", 1}, {"AX615", "NPU3", 0},  {"AX637", "NPU1", 1},
        {"AX637", "NPU2", 0},  {"M57", "NPU2", 0},   {"AX8860", "NPU4", 1}, {"AX8860", "NPU3", 0},
        {"CPU", "NPU3", 1},
    };
    for (size_t i = 0; i < CYG_COUNT(rows); i++) {
        char line[200];
        fixture f;
        fixture_init(&f);
        snprintf(line, sizeof line, "--target_hardware=%s --npu_mode %s", rows[i].chip,
                 rows[i].mode);
        assert_int_equal(fixture_load(&f, line), CYG_OK);
        const cyg_status st = cyg_config_validate(&f.ctx, &f.cfg);
        assert_int_equal(st, rows[i].valid ? CYG_OK : CYG_E_CONFIG);
        if (!rows[i].valid)
            assert_true(ctx_says(&f.ctx, "does not exist on"));
        fixture_deinit(&f);
    }
    assert_invalid("{target_hardware: AX620E, npu_mode: NPU3}",
                   "a.yaml:1:27: npu_mode NPU3 does not exist on AX620E, which has NPU1 NPU2");
}

static void test_contradictions(void **state)
{
    (void)state;
    assert_invalid("compiler: {static_batch_sizes: [1, 2], max_dynamic_batch_size: 4}",
                   "exclude each other");
    assert_invalid(
        "compiler: {sub_configs: [{static_batch_sizes: [1], max_dynamic_batch_size: 4}]}",
        "compiler.sub_configs[0].max_dynamic_batch_size");
    assert_invalid("compiler: {start_tensor_names: [a]}",
                   "is legal inside compiler.sub_configs only");
    assert_invalid("compiler: {sub_configs: [{sub_configs: [{}]}]}", "may not contain sub_configs");
    assert_invalid("compiler: {sub_configs: [{start_tensor_names: [a]}]}",
                   "compiler.sub_configs[0].end_tensor_names is missing");
    assert_invalid("compiler: {sub_configs: [{check_mode: CheckPerLayer, start_tensor_names: [a], "
                   "end_tensor_names: [b]}]}",
                   "check_mode is a setting of the whole package");
    assert_invalid("const_processors: [{name: a}]", "exactly one of data and data_path, has none");
    assert_invalid("const_processors: [{name: a, data: [1], data_path: x.npy}]", "has both");
    assert_invalid("quant: {layer_configs: [{layer_name: a, op_type: Add}]}", "in exactly one way");
    assert_invalid("quant: {layer_configs: [{data_type: U16}]}", "in exactly one way");
    assert_invalid("quant: {layer_configs: [{start_tensor_names: [a]}]}",
                   "has start_tensor_names but no end_tensor_names");
    assert_invalid("quant: {layer_configs: [{op_type: Add, op_types: [Mul]}]}",
                   "both the single and the list form");
    assert_invalid("quant: {layer_configs: [{op_type: Add}, {op_types: [Mul, Add]}]}",
                   "chooses \"Add\", as an earlier");
    assert_invalid("quant: {layer_configs: [{layer_names: [a, b]}, {layer_name: b}]}",
                   "chooses \"b\", as an earlier");
    assert_invalid(
        "quant: {layer_configs: [{op_type: Gemm, data_type: FP32, weight_data_type: S8}]}",
        "weight_data_type is S8 and data_type is FP32");
    assert_invalid(
        "quant: {layer_configs: [{op_type: Gemm, data_type: U8, weight_data_type: S16}]}",
        "weight_data_type is S16 and data_type is U8");
}

/* Two settings of one file that cannot both act: both are named, with file and line. */
static void test_pairs(void **state)
{
    (void)state;
    static const struct {
        const char *text, *first, *second;
    } cases[] = {
        {"quant:\n  disable_quant_optimization: true\n  correct_bias: true\n",
         ":3:3: quant.correct_bias is true", ":2:3: quant.disable_quant_optimization is true"},
        {"quant:\n  round_weights: true\n  disable_quant_optimization: true\n",
         ":2:3: quant.round_weights is true", ":3:3: quant.disable_quant_optimization"},
        {"quant: {center_weights: true, disable_quant_optimization: true}\n",
         "quant.center_weights is true", "quant.disable_quant_optimization is true"},
        {"quant: {enable_smooth_quant: true, disable_quant_optimization: true}\n",
         "quant.enable_smooth_quant is true", "quant.disable_quant_optimization is true"},
        {"quant: {search_ranges: true, disable_auto_refine_scale: true}\n",
         "quant.search_ranges is true", "quant.disable_auto_refine_scale is true"},
        {"quant: {weight_data_type: S4, highest_mix_precision: true}\n",
         "quant.weight_data_type is S4", "quant.highest_mix_precision is true"},
        {"quant: {transformer_opt_level: 2, highest_mix_precision: true}\n",
         "quant.transformer_opt_level is 2", "quant.highest_mix_precision is true"},
        {"onnx_opt: {enable_onnxsim: true, disable_onnx_optimization: true}\n",
         "onnx_opt.enable_onnxsim is true", "onnx_opt.disable_onnx_optimization is true"},
        {"quant: {search_ranges: false, enable_easy_quant: true}\n", "quant.search_ranges is false",
         "quant.enable_easy_quant is true"},
        {"quant: {round_weights: false, enable_adaround: true}\n", "quant.round_weights is false",
         "quant.enable_adaround is true"},
        {"quant: {disable_quant_optimization: true, enable_adaround: true}\n",
         "quant.enable_adaround is true", "quant.disable_quant_optimization is true"},
        {"onnx_opt: {model_check: true, disable_onnx_optimization: true}\n",
         "onnx_opt.model_check is true", "onnx_opt.disable_onnx_optimization is true"},
    };
    for (size_t i = 0; i < CYG_COUNT(cases); i++) {
        assert_invalid(cases[i].text, cases[i].first);
        assert_invalid(cases[i].text, cases[i].second);
    }
    /* One alone is fine, and so are both where they agree. */
    fixture f;
    load_valid(&f, "quant: {disable_quant_optimization: true, correct_bias: false}\n");
    cyg_config_settle(&f.cfg);
    assert_false(f.cfg.quant.correct_bias || f.cfg.quant.round_weights);
    assert_true(f.cfg.quant.search_ranges);
    fixture_deinit(&f);
}

static bool second_only(void *user, size_t i)
{
    (void)user;
    return i == 0;
}

static void test_layer_rank(void **state)
{
    (void)state;
    fixture f;
    load_valid(&f, "quant:\n  layer_configs:\n"
                   "    - {start_tensor_names: a, end_tensor_names: b, data_type: U16}\n"
                   "    - {op_type: Softmax, data_type: S16}\n"
                   "    - {layer_names: [sm0], data_type: FP32}\n");
    const cyg_config_quant *q = &f.cfg.quant;
    assert_ptr_equal(cyg_config_pick_layer(q, "sm0", "Softmax", second_only, NULL),
                     &q->layer_configs.items[2]);
    assert_ptr_equal(cyg_config_pick_layer(q, "sm1", "Softmax", second_only, NULL),
                     &q->layer_configs.items[1]);
    assert_ptr_equal(cyg_config_pick_layer(q, "add", "Add", second_only, NULL),
                     &q->layer_configs.items[0]);
    assert_null(cyg_config_pick_layer(q, "add", "Add", NULL, NULL));
    fixture_deinit(&f);
}

static void test_names(void **state)
{
    (void)state;
    static const char *const inputs[] = {"pixel_values", "mask"}, *const outputs[] = {"logits"};
    fixture f;
    load_valid(&f, "input_processors: [{tensor_name: pixel_value}]\noutput_processors: "
                   "[{tensor_name: DEFAULT}]\n");
    assert_int_equal(cyg_config_check_names(&f.ctx, &f.cfg, inputs, 2, outputs, 1), CYG_E_CONFIG);
    assert_true(ctx_says(
        &f.ctx, "\"pixel_value\" is no input of the model; did you mean \"pixel_values\"?"));
    fixture_deinit(&f);
    load_valid(&f, "output_processors: [{tensor_name: y}]\n");
    assert_int_equal(cyg_config_check_names(&f.ctx, &f.cfg, inputs, 2, outputs, 1), CYG_E_CONFIG);
    assert_true(ctx_says(&f.ctx, "\"y\" is no output of the model; did you mean \"logits\"?"));
    assert_int_equal(
        fixture_read(&f, "b.yaml", "output_processors: []\ninput_shapes: 'masc:1x2'\n"), CYG_OK);
    assert_int_equal(cyg_config_check_names(&f.ctx, &f.cfg, inputs, 2, outputs, 1), CYG_E_CONFIG);
    assert_true(ctx_says(
        &f.ctx,
        "b.yaml:2:1: input_shapes \"masc\" is no input of the model; did you mean \"mask\"?"));
    cyg_config_output_processor out;
    assert_int_equal(cyg_config_resolve_output(&f.ctx, &f.arena, &f.cfg, "z", &out), CYG_OK);
    assert_int_equal(out.output_dtype, CYG_CONFIG_DTYPE_FP32);
    assert_string_equal(out.tensor_name, "z");
    fixture_deinit(&f);
}

/* ---- what is given and acts on nothing ---- */

static void test_idle(void **state)
{
    (void)state;
    static const struct {
        const char *text, *field, *why; /* why NULL: nothing is said of the field */
    } cases[] = {
        {"quant: {smooth_quant_strength: 0.9}", "quant.smooth_quant_strength", "searched layer"},
        {"quant: {smooth_quant_threshold: 0.9, enable_smooth_quant: false}",
         "quant.smooth_quant_threshold", "nothing is equalised"},
        {"quant: {smooth_quant_strength: 0.9, enable_smooth_quant: true}", "smooth_quant", NULL},
        {"quant: {smooth_quant_strength: 0.6}", "smooth_quant", NULL}, /* the default */
        {"compiler: {check_mode: CheckPerLayer}", "compiler.check_mode", "compiler.check is 0"},
        {"compiler: {check_tensor_black_list: a}", "compiler.check_tensor_black_list", "is 0"},
        {"compiler: {check: 1, check_tensor_black_list: a, check_rtol: 2}", "compiler", NULL},
        {"compiler: {check: 2, check_rtol: 2}", "compiler.check_rtol", "check 1 has"},
        {"compiler: {check_atol: 2}", "compiler.check_atol", "check 1 has"},
        {"compiler: {check: 1, check_cosine_similarity: 0.5}", "compiler.check_cosine", "check 3"},
        {"compiler: {check: 3, check_cosine_similarity: 0.5}", "compiler", NULL},
        {"input_processors: [{tensor_name: x, csc_standard: BT709}]",
         "input_processors[0].csc_standard", "neither FullRange nor"},
        {"input_processors: [{tensor_name: x, src_format: YUV420SP, csc_mode: FullRange,"
         " csc_standard: BT709}]",
         "csc_standard", NULL},
#define ARRAYS "input_configs: [{tensor_name: x, calibration_dataset: d, calibration_format: Numpy"
        {"quant: {" ARRAYS ", calibration_filter: box}]}",
         "quant.input_configs[0].calibration_filter", "only an Image is resized"},
        {"quant: {" ARRAYS ", calibration_resize: crop}]}",
         "quant.input_configs[0].calibration_resize", "only an Image is resized"},
        {"quant: {calibration_resize: crop, " ARRAYS "}]}", "quant.calibration_resize",
         "no calibration_format is Image"},
        {"quant: {calibration_filter: box, " ARRAYS "}]}", "quant.calibration_filter",
         "no calibration_format is Image"},
        {"quant: {preprocessor: p, " ARRAYS "}]}", "quant.preprocessor",
         "no calibration_format is Image"},
        {"quant: {calibration_resize: crop, " ARRAYS
         "}, {tensor_name: y, calibration_dataset: d}]}",
         "quant", NULL},
        {"quant: {conv_bias_data_type: FP32}", "quant.conv_bias_data_type", "a bias is S32"},
        {"quant: {conv_bias_data_type: S32}", "quant", NULL},
        {"model_type: QuantAxModel\nquant: {smooth_quant_strength: 0.9}", "quant", NULL},
    };
    for (size_t i = 0; i < CYG_COUNT(cases); i++) {
        fixture f;
        load_valid(&f, cases[i].text);
        cyg_config_warn_of_idle(&f.ctx, &f.cfg);
        const char *log = f.log.data != NULL ? f.log.data : "";
        const char *at = strstr(log, cases[i].field);
        const bool told = at != NULL && strstr(at, "has no effect: ") != NULL;
        if (cases[i].why == NULL ? told : !told || strstr(at, cases[i].why) == NULL)
            fail_msg("%s\n  said: %s", cases[i].text, log);
        fixture_deinit(&f);
    }
}

/* ---- what this release has ---- */

static void assert_support(const char *line, const char *says)
{
    fixture f;
    fixture_init(&f);
    assert_int_equal(fixture_load(&f, line), CYG_OK);
    const cyg_status st = cyg_config_check_supported(&f.ctx, &cyg_config_message_build, &f.cfg);
    if (says == NULL ? st != CYG_OK : st != CYG_E_UNSUPPORTED || !ctx_says(&f.ctx, says))
        fail_msg("%s\n  status %d, message: %s", line, (int)st,
                 st ? cyg_ctx_message(&f.ctx, 0) : "");
    fixture_deinit(&f);
}

static void test_supported(void **state)
{
    (void)state;
    assert_support("--target_hardware CPU", NULL);
    assert_support("", NULL);
    assert_support("--target_hardware AX620E --npu_mode NPU2", NULL);
    assert_support("--target_hardware M76H",
                   "--target_hardware M76H is not built yet (built: AX650 AX620E CPU)");
    assert_support(
        "--target_hardware CPU --quant.calibration_method MinMax --quant.transformer_opt_level 1",
        NULL);
    assert_support("--target_hardware CPU --quant.calibration_method KL", NULL);
    assert_support("--target_hardware CPU --quant.transformer_opt_level 0", NULL);
    assert_support("--target_hardware CPU --quant.transformer_opt_level 2", NULL);
    assert_support("--target_hardware CPU --model_type QuantONNX", NULL);
    assert_support("--target_hardware CPU --model_type OptimizedQuantAxModel",
                   "--model_type OptimizedQuantAxModel is not built yet");
    assert_support("--target_hardware CPU --quant.enable_adaround --quant.finetune_epochs 50",
                   NULL);
    assert_support("--target_hardware CPU --quant.conv_bias_data_type FP32", NULL);
    assert_support("--target_hardware CPU --quant.enable_brecq",
                   "--quant.enable_brecq is not built yet: nothing is trained here; round_weights");
    assert_support("--target_hardware CPU --compiler.enable_data_soft_compression",
                   "--compiler.enable_data_soft_compression is not built");
    assert_support("--target_hardware CPU --quant.device cuda:0",
                   "--quant.device cuda:0 is not built yet (built: cpu)");
    /* A value equal to the default asks for nothing that is missing. */
    assert_support("--target_hardware CPU --quant.enable_adaround 0 --quant.finetune_epochs "
                   "500 --quant.check 0",
                   NULL);

    fixture f;
    fixture_init(&f);
    assert_int_equal(
        fixture_load(
            &f, "--target_hardware CPU --compiler.enable_slice_mode --onnx_opt.enable_onnxsim 0 "
                "--compiler.enable_tile_mode 1"),
        CYG_OK);
    assert_int_equal(cyg_config_check_supported(&f.ctx, &cyg_config_message_build, &f.cfg), CYG_OK);
    assert_int_equal(f.warnings, 2); /* not for the switch that is off */
    assert_non_null(
        strstr(f.log.data, "--compiler.enable_slice_mode has no effect: the compiler weighs"));
    fixture_deinit(&f);

    fixture_init(&f);
    assert_int_equal(
        fixture_read(
            &f, "a.json",
            "{\"target_hardware\": \"CPU\", \"input_processors\": [{\"tensor_name\": \"x\", "
            "\"src_format\": \"RAW\"}], \"quant\": {\"enable_lsq\": true, \"device\": \"cuda:0\"},"
            "\"op_processors\": [{\"op_name\": \"a\", \"attrs\": {\"b\": 1}}]}"),
        CYG_OK);
    assert_int_equal(cyg_config_check_supported(&f.ctx, &cyg_config_message_build, &f.cfg),
                     CYG_E_UNSUPPORTED);
    assert_true(ctx_says(&f.ctx, "3 settings are not built yet"));
    assert_true(ctx_says(
        &f.ctx, "input_processors[0].src_format RAW is not built yet (built: AutoColorSpace"));
    assert_true(ctx_says(&f.ctx, "quant.enable_lsq is not built yet"));
    fixture_deinit(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rank),           cmocka_unit_test(test_fit),
        cmocka_unit_test(test_mean),           cmocka_unit_test(test_std),
        cmocka_unit_test(test_shapes),         cmocka_unit_test(test_chips),
        cmocka_unit_test(test_contradictions), cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_layer_rank),     cmocka_unit_test(test_names),
        cmocka_unit_test(test_idle),           cmocka_unit_test(test_supported),
    };
    return CYG_TEST_MAIN(tests);
}
