/* The flag engine and the flags of build: forms, precedence, suggestions. */
#include "fixture.h"

#include <math.h>

static void test_forms(void **state)
{
    (void)state;
    fixture f;
    fixture_init(&f);
    assert_int_equal(
        fixture_load(&f, "--input m.onnx --output_dir=out --compiler.npu_perf --quant.check 1 "
                         "--quant.refine_weight_threshold -1 --quant.finetune_lr=1e-4 "
                         "--compiler.static_batch_sizes 1 2 4 --target_hardware CPU "
                         "--compiler.check_tensor_black_list a.* b --quant.precision_analysis"),
        CYG_OK);
    assert_string_equal(f.cfg.input, "m.onnx");
    assert_string_equal(f.cfg.output_dir, "out");
    assert_true(f.cfg.compiler.npu_perf);
    assert_int_equal(f.cfg.quant.check, 1);
    assert_true(fabs(f.cfg.quant.refine_weight_threshold + 1) < 1e-12);
    assert_true(fabs(f.cfg.quant.finetune_lr - 1e-4) < 1e-12);
    assert_int_equal(f.cfg.compiler.static_batch_sizes.count, 3);
    assert_int_equal(f.cfg.compiler.static_batch_sizes.items[2], 4);
    assert_int_equal(f.cfg.target_hardware, CYG_CONFIG_HARDWARE_CPU);
    assert_string_equal(f.cfg.compiler.check_tensor_black_list.items[1], "b");
    assert_true(f.cfg.quant.precision_analysis); /* bare, at the end of the line */
    assert_int_equal(f.cfg.quant.check_at.origin, CYG_CONFIG_COMMAND_LINE);
    assert_int_equal(f.cfg.npu_mode_at.origin, CYG_CONFIG_DEFAULT);
    fixture_deinit(&f);
}

static void test_bools(void **state)
{
    (void)state;
    static const char *const on[] = {
        "--compiler.npu_perf",      "--compiler.npu_perf 1",
        "--compiler.npu_perf true", "--compiler.npu_perf YES",
        "--compiler.npu_perf=True", "--compiler.npu_perf --quant.check 1"};
    static const char *const off[] = {"--compiler.npu_perf 0", "--compiler.npu_perf=no",
                                      "--compiler.npu_perf False --quant.check 1"};
    for (size_t i = 0; i < CYG_COUNT(on) + CYG_COUNT(off); i++) {
        fixture f;
        fixture_init(&f);
        assert_int_equal(fixture_load(&f, i < CYG_COUNT(on) ? on[i] : off[i - CYG_COUNT(on)]),
                         CYG_OK);
        assert_int_equal(f.cfg.compiler.npu_perf, i < CYG_COUNT(on));
        assert_int_equal(f.cfg.compiler.npu_perf_at.origin, CYG_CONFIG_COMMAND_LINE);
        fixture_deinit(&f);
    }
    assert_line_refused("--compiler.npu_perf=maybe", CYG_E_USAGE,
                        "expected true or false, found \"maybe\"");
    assert_line_refused("--compiler.npu_perf maybe", CYG_E_USAGE, "unexpected argument \"maybe\"");
}

static void test_errors(void **state)
{
    (void)state;
    assert_line_refused("--quant.calibration_metod MSE", CYG_E_USAGE,
                        "did you mean --quant.calibration_method?");
    assert_line_refused("--calibration_method MSE", CYG_E_USAGE,
                        "did you mean --quant.calibration_method?");
    assert_line_refused("--output-dir x", CYG_E_USAGE, "did you mean --output_dir?");
    assert_line_refused("--frobnicate", CYG_E_USAGE, "unknown flag --frobnicate");
    assert_line_refused("-x 1", CYG_E_USAGE, "unknown flag -x");
    assert_line_refused("--target_hardware AX65", CYG_E_USAGE, "did you mean \"AX650\"?");
    assert_line_refused("--target_hardware cpu", CYG_E_USAGE, "did you mean \"CPU\"?");
    assert_line_refused("--npu_mode 1", CYG_E_USAGE, "\"1\" is no NPUMode");
    assert_line_refused("--quant.check 2", CYG_E_USAGE,
                        "--quant.check: expected a value in 0..1, found 2");
    assert_line_refused("--quant.check 1x", CYG_E_USAGE, "expected an integer, found \"1x\"");
    assert_line_refused("--quant.check 99999999999999999999", CYG_E_USAGE, "expected an integer");
    assert_line_refused("--quant.finetune_lr nan", CYG_E_USAGE, "expected a number");
    assert_line_refused("--quant.device gpu", CYG_E_USAGE, "expected one of cpu cuda:0");
    assert_line_refused("--quant.check --input x", CYG_E_USAGE, "found the flag --input");
    assert_line_refused("--quant.check", CYG_E_USAGE, "found the end of the line");
    assert_line_refused("--compiler.static_batch_sizes --input x", CYG_E_USAGE,
                        "expected a list of integers");
    assert_line_refused("--compiler.static_batch_sizes 1 0", CYG_E_USAGE,
                        "expected a value in 1..");
    assert_line_refused("--input a --input b", CYG_E_USAGE, "--input is given twice");
    assert_line_refused(
        "--compiler.check_cosine_simularity 0.9 --compiler.check_cosine_similarity 0.8",
        CYG_E_USAGE, "are the same flag");
    assert_line_refused("--quant.input_configs x", CYG_E_USAGE, "can be set in a config file only");
    assert_line_refused("--input s3://bucket/m.onnx", CYG_E_USAGE, "s3:// is not read");
    assert_line_refused("model.onnx", CYG_E_USAGE, "unexpected argument");
}

static void test_alias_and_empty(void **state)
{
    (void)state;
    fixture f;
    fixture_init(&f);
    assert_int_equal(
        fixture_load(
            &f,
            "--compiler.check_cosine_similarity 0.5 --output_name= --compiler.static_batch_sizes="),
        CYG_OK);
    assert_true(fabs(f.cfg.compiler.check_cosine_simularity - 0.5) < 1e-12);
    assert_string_equal(f.cfg.output_name, "compiled.axmodel"); /* "" = unset */
    assert_int_equal(f.cfg.compiler.static_batch_sizes.count, 0);
    assert_int_equal(f.cfg.compiler.static_batch_sizes_at.origin,
                     CYG_CONFIG_COMMAND_LINE); /* [] is a value */
    fixture_deinit(&f);
}

static void test_precedence(void **state)
{
    static const char text[] =
        "{\"input\": \"in.onnx\", \"output_dir\": \"from_file\", \"npu_mode\": \"NPU2\","
        "\"quant\": {\"precision_analysis\": false, \"finetune_epochs\": 7, \"check\": 1,"
        "\"calibration_method\": \"KL\"}, \"compiler\": {\"static_batch_sizes\": [8]}}";
    write_scratch(state, "c.json", text, sizeof text - 1);
    fixture f;
    fixture_init(&f);
    char line[1024];
    snprintf(line, sizeof line,
             "--config %s --quant.precision_analysis 1 --quant.finetune_epochs 9 "
             "--quant.calibration_method MSE "
             "--compiler.static_batch_sizes 1 2",
             scratch_path(state, "c.json"));
    assert_int_equal(fixture_load(&f, line), CYG_OK);
    assert_true(f.cfg.quant.precision_analysis);
    assert_int_equal(f.cfg.quant.finetune_epochs, 9);
    assert_int_equal(f.cfg.quant.calibration_method, CYG_CONFIG_METHOD_MSE);
    assert_int_equal(f.cfg.compiler.static_batch_sizes.count, 2);
    assert_int_equal(f.cfg.npu_mode, CYG_CONFIG_NPU_MODE_NPU2); /* file over default */
    assert_int_equal(f.cfg.npu_mode_at.origin, CYG_CONFIG_FILE);
    assert_int_equal(f.cfg.quant.check, 1);
    assert_int_equal(f.cfg.model_type_at.origin, CYG_CONFIG_DEFAULT);
    assert_string_equal(f.cfg.output_dir, "from_file"); /* input and output_dir only in the file */
    assert_int_equal(cyg_config_require(&f.ctx, &cyg_config_message_build, &f.cfg), CYG_OK);
    assert_string_equal(f.file, scratch_path(state, "c.json"));
    fixture_deinit(&f);

    /* A mistake in the file shows although a flag overrides the value. */
    static const char wrong[] = "{\"quant\": {\"check\": \"x\"}}";
    write_scratch(state, "d.json", wrong, sizeof wrong - 1);
    snprintf(line, sizeof line, "--quant.check 1 --config %s", scratch_path(state, "d.json"));
    assert_line_refused(line, CYG_E_CONFIG, "quant.check: expected an integer");
}

static void test_required(void **state)
{
    (void)state;
    fixture f;
    fixture_init(&f);
    assert_int_equal(fixture_load(&f, "--target_hardware CPU"), CYG_OK);
    assert_int_equal(cyg_config_require(&f.ctx, &cyg_config_message_build, &f.cfg), CYG_E_USAGE);
    assert_true(ctx_says(&f.ctx, "--input and --output_dir must be given"));
    fixture_deinit(&f);
}

/* The engine by itself, with a table as a command writes it. */
static void test_own_table(void **state)
{
    (void)state;
    fixture f;
    fixture_init(&f);
    bool json = false, verify = false;
    int64_t repeat = 0;
    const char *model = NULL, *save = NULL, *old = NULL;
    cyg_config_mark model_at = {CYG_CONFIG_DEFAULT, 0, 0, NULL};
    const cyg_flag flags[] = {
        {.name = "json",
         .type = {.kind = CYG_VALUE_BOOL},
         .dest = &json,
         .text = "one JSON object"},
        {.name = "verify", .type = {.kind = CYG_VALUE_BOOL}, .dest = &verify, .text = "compare"},
        {.name = "repeat",
         .letter = 'r',
         .type = {.kind = CYG_VALUE_INT, .valid = "1.."},
         .dest = &repeat,
         .preset = "1",
         .text = "timed runs"},
        {.name = "model",
         .letter = 'm',
         .type = {.kind = CYG_VALUE_IN_PATH},
         .dest = (void *)&model,
         .mark = &model_at,
         .required = true,
         .text = "package"},
        {.name = "save-benchmark",
         .type = {.kind = CYG_VALUE_OUT_PATH},
         .dest = (void *)&save,
         .bare = "benchmark.json",
         .text = "write the times"},
        {.name = "old", .type = {.kind = CYG_VALUE_STRING}, .dest = (void *)&old},
    };
    const char *const argv[] = {"--json",   "cat.jpg", "-r", "5",  "--save-benchmark",
                                "-m=a.cyg", "dog.jpg", "--", "--x"};
    cyg_string_list rest;
    assert_int_equal(
        cyg_flags_parse(&f.ctx, &f.arena, flags, CYG_COUNT(flags), CYG_COUNT(argv), argv, &rest),
        CYG_OK);
    assert_true(json);
    assert_false(verify);
    assert_int_equal(repeat, 5);
    assert_string_equal(model, "a.cyg");
    assert_string_equal(save, "benchmark.json");
    assert_int_equal(rest.count, 3);
    assert_string_equal(rest.items[0], "cat.jpg");
    assert_string_equal(rest.items[2], "--x");
    assert_int_equal(cyg_flags_require(&f.ctx, flags, CYG_COUNT(flags)), CYG_OK);

    assert_int_equal(cyg_flags_parse(&f.ctx, &f.arena, flags, CYG_COUNT(flags), 0, NULL, NULL),
                     CYG_OK);
    assert_int_equal(repeat, 1); /* the default again */
    model = NULL;
    assert_int_equal(cyg_flags_require(&f.ctx, flags, CYG_COUNT(flags)), CYG_E_USAGE);
    assert_true(ctx_says(&f.ctx, "--model must be given"));

    cyg_strbuf help = {0};
    cyg_flags_help(flags, CYG_COUNT(flags), &help);
    assert_non_null(strstr(help.data, "  -r, --repeat N"));
    assert_non_null(strstr(help.data, "timed runs (default 1)"));
    assert_null(strstr(help.data, "--old"));
    cyg_strbuf_deinit(&help);
    fixture_deinit(&f);
}

/* Every flag of the interface's table 1.2 exists under its name. */
static void test_all_flags(void **state)
{
    (void)state;
    static const char *const names[] = {"config",
                                        "input",
                                        "output_dir",
                                        "output_name",
                                        "work_dir",
                                        "model_type",
                                        "target_hardware",
                                        "npu_mode",
                                        "input_shapes",
                                        "onnx_opt.disable_onnx_optimization",
                                        "onnx_opt.enable_onnxsim",
                                        "onnx_opt.model_check",
                                        "onnx_opt.disable_transformation_check",
                                        "onnx_opt.save_tensors_data",
                                        "quant.calibration_method",
                                        "quant.precision_analysis",
                                        "quant.precision_analysis_method",
                                        "quant.precision_analysis_mode",
                                        "quant.highest_mix_precision",
                                        "quant.conv_bias_data_type",
                                        "quant.refine_weight_threshold",
                                        "quant.enable_smooth_quant",
                                        "quant.smooth_quant_threshold",
                                        "quant.smooth_quant_strength",
                                        "quant.center_weights",
                                        "quant.search_ranges",
                                        "quant.correct_bias",
                                        "quant.round_weights",
                                        "quant.weight_data_type",
                                        "quant.qdq_opset",
                                        "quant.transformer_opt_level",
                                        "quant.input_sample_dir",
                                        "quant.ln_scale_data_type",
                                        "quant.check",
                                        "quant.disable_auto_refine_scale",
                                        "quant.enable_easy_quant",
                                        "quant.disable_quant_optimization",
                                        "quant.enable_brecq",
                                        "quant.enable_lsq",
                                        "quant.enable_adaround",
                                        "quant.finetune_epochs",
                                        "quant.finetune_block_size",
                                        "quant.finetune_batch_size",
                                        "quant.finetune_lr",
                                        "quant.device",
                                        "compiler.static_batch_sizes",
                                        "compiler.max_dynamic_batch_size",
                                        "compiler.ddr_bw_limit",
                                        "compiler.disable_ir_fix",
                                        "compiler.check",
                                        "compiler.npu_perf",
                                        "compiler.check_mode",
                                        "compiler.check_rtol",
                                        "compiler.check_atol",
                                        "compiler.check_cosine_simularity",
                                        "compiler.check_cosine_similarity",
                                        "compiler.check_tensor_black_list",
                                        "compiler.enable_slice_mode",
                                        "compiler.enable_tile_mode",
                                        "compiler.enable_data_soft_compression",
                                        "compiler.input_sample_dir",
                                        "debug.dump_frontend_graph",
                                        "quant.min_sqnr_db",
                                        "quant.target_sqnr_db",
                                        "quant.target_agreement",
                                        "quant.target_cosine",
                                        "quant.calibration_resize",
                                        "quant.calibration_filter",
                                        "quant.labels",
                                        "quant.preprocessor",
                                        "compiler.cpu_fallback",
                                        "compiler.schedule",
                                        "machine"};
    fixture f;
    const cyg_flag *flags = NULL;
    size_t count = 0, usable = 0;
    fixture_init(&f);
    assert_int_equal(cyg_config_flags(&f.ctx, &f.arena, &cyg_config_message_build, &f.cfg, &f.file,
                                      &flags, &count),
                     CYG_OK);
    for (size_t i = 0; i < CYG_COUNT(names); i++) {
        size_t found = 0;
        for (size_t k = 0; k < count; k++)
            found += flags[k].dest != NULL && strcmp(flags[k].name, names[i]) == 0;
        if (found != 1)
            fail_msg("--%s: %zu rows", names[i], found);
    }
    for (size_t k = 0; k < count; k++)
        usable += flags[k].dest != NULL;
    assert_int_equal(usable, CYG_COUNT(names));
    fixture_deinit(&f);
}

static void test_help(void **state)
{
    (void)state;
    cyg_strbuf help = {0};
    assert_int_equal(cyg_config_help(NULL, &cyg_config_message_build, &help), CYG_OK);
    assert_non_null(strstr(help.data, "--quant.calibration_method NAME"));
    assert_non_null(strstr(help.data, "how ranges are found: MinMax Percentile MSE KL"));
    assert_non_null(strstr(help.data, "[not built yet]"));
    for (const char *line = help.data; *line != '\0';) {
        const size_t len = strcspn(line, "\n");
        assert_true(len <= 100);
        line += len + 1;
    }
    cyg_strbuf_deinit(&help);
}

static void test_run_flags(void **state)
{
    (void)state;
    fixture f;
    fixture_init(&f);
    cyg_config_run run;
    const char *file = NULL;
    const char *const argv[] = {"--model", "a.cyg",          "--input_dir=in", "--output_dir",
                                "out",     "--random_input", "--list",         "l"};
    assert_int_equal(cyg_config_load(&f.ctx, &f.arena, &cyg_config_message_run, CYG_COUNT(argv),
                                     argv, NULL, 0, &run, &file),
                     CYG_OK);
    assert_true(run.random_input);
    assert_string_equal(run.list, "l");
    assert_int_equal(cyg_config_require(&f.ctx, &cyg_config_message_run, &run), CYG_OK);
    assert_int_equal(cyg_config_check_supported(&f.ctx, &cyg_config_message_run, &run), CYG_OK);
    const char *const more[] = {"--mode", "NPUBackend", "--dump_with_stride"};
    assert_int_equal(cyg_config_load(&f.ctx, &f.arena, &cyg_config_message_run, CYG_COUNT(more),
                                     more, NULL, 0, &run, &file),
                     CYG_OK);
    assert_int_equal(cyg_config_check_supported(&f.ctx, &cyg_config_message_run, &run), CYG_OK);
    assert_int_equal(f.warnings, 1);
    fixture_deinit(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_bools),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_alias_and_empty),
        cmocka_unit_test_setup_teardown(test_precedence, setup_scratch, teardown_scratch),
        cmocka_unit_test(test_required),
        cmocka_unit_test(test_own_table),
        cmocka_unit_test(test_all_flags),
        cmocka_unit_test(test_help),
        cmocka_unit_test(test_run_flags),
    };
    return CYG_TEST_MAIN(tests);
}
