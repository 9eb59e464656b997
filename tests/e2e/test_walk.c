/* A walk over every field of the build's configuration: each, set to something else than its
 * default, acts (another package, another file, another line), or is warned of, or is refused. The
 * table has to have a row for every field of config.def. */
#include "e2e.h"

#include "config/config.h"

/* What shows that the setting was taken: */
typedef enum effect {
    PACKAGE, /* compiled.cyg is another one */
    CHANGES, /* the file is another one, or there is one more */
    SAYS,    /* the build says so, on either stream */
    WARNS,   /* a warning */
    REFUSES, /* an error */
} effect;

typedef struct row {
    const char *message, *field;
    effect effect;
    const char *what; /* file or text */
    const char *root, *quant, *data,
        *in;          /* more of the configuration, from a comma on; NULL = as the base has it */
    const char *than; /* NULL = compared with the base; else with it and this in quant */
} row;

#define CPU ", \"target_hardware\": \"CPU\""
#define NORMALISED ", \"calibration_mean\": [120, 115, 105], \"calibration_std\": [58, 57, 59]"
#define FOUR ", \"calibration_size\": 4"
#define PIXELS ", \"src_layout\": \"NHWC\", \"src_dtype\": \"U8\""
#define ROOT(text) CPU text, NULL, NULL, NULL, NULL
#define QUANT(text) NULL, text, NULL, NULL, NULL
#define QUANT_THAN(than, text) NULL, than text, NULL, NULL, than
#define DATA(text) NULL, NULL, text, NULL, NULL
#define IN(text) NULL, NULL, NULL, text, NULL
#define WIDE                                                                                       \
    ", \"layer_configs\": [{\"op_types\": [\"MatMul\", \"Gemm\"], "                                \
    "\"data_type\": \"S16\"}]"
#define KL ", \"calibration_method\": \"KL\""
#define LAYER(choice, types) QUANT(", \"layer_configs\": [{" choice types "}]")
#define OUT(text) ROOT(", \"output_processors\": [{\"tensor_name\": \"DEFAULT\"" text "}]")
#define COMPILER(text) ROOT(", \"compiler\": {" text "}")

static const row rows[] = {
    {"build", "input", PACKAGE, NULL, ROOT("")}, /* see build_one */
    {"build", "output_dir", PACKAGE, NULL, ROOT("")},
    {"build", "output_name", CHANGES, "mine.cyg", ROOT(", \"output_name\": \"mine.cyg\"")},
    {"build", "work_dir", CHANGES, "quant/quant_axmodel.json",
     ROOT(", \"work_dir\": \"walk_work\"")},
    {"build", "model_type", REFUSES, "has no DequantizeLinear",
     ROOT(", \"model_type\": \"QuantONNX\"")},
    {"build", "target_hardware", PACKAGE, NULL, ", \"target_hardware\": \"AX650\"", NULL, NULL,
     NULL, NULL},
    {"build", "machine", REFUSES, "none.json", ROOT(", \"machine\": \"none.json\"")},
    {"build", "npu_mode", WARNS, "npu_mode has no effect", ROOT(", \"npu_mode\": \"NPU2\"")},
    {"build", "input_shapes", REFUSES, "shapes do not fit",
     ROOT(", \"input_shapes\": \"pixel_values:1x3x64x64\"")},

    {"onnx_opt", "disable_onnx_optimization", PACKAGE, NULL,
     ROOT(", \"onnx_opt\": {\"disable_onnx_optimization\": true}")},
    {"onnx_opt", "enable_onnxsim", WARNS, "enable_onnxsim has no effect",
     ROOT(", \"onnx_opt\": {\"enable_onnxsim\": true}")},
    {"onnx_opt", "model_check", SAYS, "max difference",
     ROOT(", \"onnx_opt\": {\"model_check\": true}")},
    {"onnx_opt", "disable_transformation_check", WARNS,
     "disable_transformation_check has no effect",
     ROOT(", \"onnx_opt\": {\"disable_transformation_check\": true}")},
    {"onnx_opt", "save_tensors_data", WARNS, "save_tensors_data has no effect",
     ROOT(", \"onnx_opt\": {\"save_tensors_data\": true}")},

    {"quant", "calibration_method", PACKAGE, NULL, QUANT(", \"calibration_method\": \"MSE\"")},
    {"quant", "calibration_resize", PACKAGE, NULL, QUANT(", \"calibration_resize\": \"crop\"")},
    {"quant", "calibration_filter", PACKAGE, NULL, QUANT(", \"calibration_filter\": \"box\"")},
    {"quant", "preprocessor", REFUSES, "none.json", QUANT(", \"preprocessor\": \"none.json\"")},
    {"quant", "labels", PACKAGE, NULL, QUANT(", \"labels\": \"names.txt\"")},
    {"quant", "min_sqnr_db", REFUSES, "golden check failed", QUANT(", \"min_sqnr_db\": 90")},
    {"quant", "target_sqnr_db", CHANGES, "quant/mixed_precision.json",
     QUANT(", \"target_sqnr_db\": 20")},
    {"quant", "target_agreement", CHANGES, "quant/mixed_precision.json",
     QUANT(", \"target_agreement\": 0.9")},
    {"quant", "target_cosine", CHANGES, "quant/mixed_precision.json",
     QUANT(", \"target_cosine\": 0.9")},
    {"quant", "precision_analysis", SAYS, "Quant Precision Table",
     QUANT(", \"precision_analysis\": true")},
    {"quant", "precision_analysis_method", CHANGES, "quant/debug/precision_analysis_table.txt",
     QUANT(", \"precision_analysis_method\": \"EndToEnd\"")},
    {"quant", "precision_analysis_mode", WARNS, "precision_analysis_mode has no effect",
     QUANT(", \"precision_analysis_mode\": \"NPUBackend\"")},
    {"quant", "highest_mix_precision", PACKAGE, NULL, QUANT(", \"highest_mix_precision\": true")},
    {"quant", "conv_bias_data_type", WARNS, "conv_bias_data_type has no effect",
     QUANT(", \"conv_bias_data_type\": \"FP32\"")},
    {"quant", "refine_weight_threshold", REFUSES, "expected a value in -1..1e-4",
     QUANT(", \"refine_weight_threshold\": 1")},
    {"quant", "enable_smooth_quant", PACKAGE, NULL, QUANT(", \"enable_smooth_quant\": false")},
    {"quant", "smooth_quant_threshold", WARNS, "smooth_quant_threshold has no effect",
     QUANT(", \"smooth_quant_threshold\": 0.9")},
    {"quant", "smooth_quant_strength", WARNS, "smooth_quant_strength has no effect",
     QUANT(", \"smooth_quant_strength\": 0.9")},
    {"quant", "center_weights", PACKAGE, NULL, QUANT_THAN(WIDE, ", \"center_weights\": false")},
    {"quant", "search_ranges", PACKAGE, NULL, QUANT_THAN(KL, ", \"search_ranges\": false")},
    {"quant", "correct_bias", PACKAGE, NULL, QUANT(", \"correct_bias\": false")},
    {"quant", "round_weights", PACKAGE, NULL, QUANT(", \"round_weights\": false")},
    {"quant", "weight_data_type", PACKAGE, NULL, QUANT(", \"weight_data_type\": \"S4\"")},
    {"quant", "qdq_opset", CHANGES, "quant/quant_axmodel.onnx", QUANT(", \"qdq_opset\": 17")},
    {"quant", "transformer_opt_level", PACKAGE, NULL, QUANT(", \"transformer_opt_level\": 0")},
    {"quant", "input_sample_dir", REFUSES, "input_sample_dir",
     QUANT(", \"input_sample_dir\": \"none\"")},
    {"quant", "ln_scale_data_type", REFUSES, "ln_scale_data_type S32",
     QUANT(", \"ln_scale_data_type\": \"S32\"")},
    {"quant", "check", SAYS, "nodes have kernels for their types", QUANT(", \"check\": 1")},
    {"quant", "disable_auto_refine_scale", PACKAGE, NULL,
     QUANT_THAN(KL, ", \"disable_auto_refine_scale\": true")},
    {"quant", "enable_easy_quant", WARNS, "enable_easy_quant has no effect",
     QUANT(", \"enable_easy_quant\": true")},
    {"quant", "disable_quant_optimization", PACKAGE, NULL,
     QUANT(", \"disable_quant_optimization\": true")},
    {"quant", "enable_brecq", REFUSES, "enable_brecq", QUANT(", \"enable_brecq\": true")},
    {"quant", "enable_lsq", REFUSES, "enable_lsq", QUANT(", \"enable_lsq\": true")},
    {"quant", "enable_adaround", WARNS, "enable_adaround has no effect",
     QUANT(", \"enable_adaround\": true")},
    {"quant", "finetune_epochs", WARNS, "finetune_epochs has no effect",
     QUANT(", \"finetune_epochs\": 9")},
    {"quant", "finetune_block_size", WARNS, "finetune_block_size has no effect",
     QUANT(", \"finetune_block_size\": 9")},
    {"quant", "finetune_batch_size", WARNS, "finetune_batch_size has no effect",
     QUANT(", \"finetune_batch_size\": 9")},
    {"quant", "finetune_lr", WARNS, "finetune_lr has no effect", QUANT(", \"finetune_lr\": 9")},
    {"quant", "device", REFUSES, "device cuda:0", QUANT(", \"device\": \"cuda:0\"")},

    {"input_quant", "tensor_name", REFUSES, "no input of the model",
     QUANT(", \"input_configs\": [{\"tensor_name\": \"other\", \"calibration_dataset\": "
           "\"calib\"}]")},
    {"input_quant", "calibration_dataset", PACKAGE, NULL,
     QUANT(", \"input_configs\": [{\"tensor_name\": \"DEFAULT\", \"calibration_dataset\": "
           "\"val/cat\"" NORMALISED "}]")},
    {"input_quant", "calibration_format", REFUSES, ".npy",
     DATA(", \"calibration_format\": \"Numpy\"")},
    {"input_quant", "calibration_size", PACKAGE, NULL,
     DATA(", \"calibration_size\": 1" NORMALISED)},
    {"input_quant", "calibration_mean", PACKAGE, NULL,
     DATA(", \"calibration_mean\": [1], \"calibration_std\": [58, 57, 59]")},
    {"input_quant", "calibration_std", PACKAGE, NULL,
     DATA(", \"calibration_mean\": [120, 115, 105], \"calibration_std\": [9]")},
    {"input_quant", "calibration_resize", PACKAGE, NULL,
     DATA(", \"calibration_resize\": \"crop\"" NORMALISED)},
    {"input_quant", "calibration_filter", PACKAGE, NULL,
     DATA(", \"calibration_filter\": \"box\"" NORMALISED)},

    {"layer", "layer_name", WARNS, "no effect on 1 parts",
     LAYER("\"layer_name\": \"embed.conv\", ", "\"data_type\": \"S16\"")},
    {"layer", "layer_names", WARNS, "no effect on 1 parts",
     LAYER("\"layer_names\": [\"embed.conv\"], ", "\"data_type\": \"S16\"")},
    {"layer", "op_type", PACKAGE, NULL,
     LAYER("\"op_type\": \"Gemm\", ", "\"output_data_type\": \"U8\"")},
    {"layer", "op_types", PACKAGE, NULL,
     LAYER("\"op_types\": [\"Gemm\"], ", "\"output_data_type\": \"U8\"")},
    {"layer", "start_tensor_names", PACKAGE, NULL,
     LAYER("\"start_tensor_names\": \"DEFAULT\", \"end_tensor_names\": \"DEFAULT\", ",
           "\"data_type\": \"U16\"")},
    {"layer", "end_tensor_names", REFUSES, "there is no tensor",
     LAYER("\"start_tensor_names\": \"DEFAULT\", \"end_tensor_names\": \"none\", ",
           "\"data_type\": \"U16\"")},
    {"layer", "data_type", PACKAGE, NULL,
     LAYER("\"op_type\": \"Softmax\", ", "\"data_type\": \"FP32\"")},
    {"layer", "output_data_type", PACKAGE, NULL,
     LAYER("\"op_type\": \"Gemm\", ", "\"output_data_type\": \"U16\"")},
    {"layer", "weight_data_type", PACKAGE, NULL,
     LAYER("\"op_type\": \"Gemm\", ", "\"weight_data_type\": \"FP32\"")},

    {"input_processor", "tensor_name", REFUSES, "no input of the model",
     ROOT(", \"input_processors\": [{\"tensor_name\": \"o\"}]")},
    {"input_processor", "tensor_format", PACKAGE, NULL, IN(", \"tensor_format\": \"BGR\"" PIXELS)},
    {"input_processor", "tensor_layout", REFUSES, "tensor_layout NHWC",
     IN(", \"tensor_layout\": \"NHWC\"" PIXELS)},
    {"input_processor", "src_format", PACKAGE, NULL, IN(", \"src_format\": \"BGR\"" PIXELS)},
    {"input_processor", "src_layout", PACKAGE, NULL, IN(", \"src_dtype\": \"U8\"")},
    {"input_processor", "src_dtype", PACKAGE, NULL,
     IN(", \"src_layout\": \"NHWC\", \"src_dtype\": \"FP16\"")},
    {"input_processor", "csc_mode", WARNS, "csc_mode has no effect",
     IN(", \"csc_mode\": \"FullRange\"" PIXELS)},
    {"input_processor", "csc_mode", PACKAGE, NULL,
     IN(", \"csc_mode\": \"FullRange\", \"src_format\": \"YUV420SP\"")},
    {"input_processor", "csc_mat", REFUSES, "csc_mat",
     IN(", \"csc_mode\": \"Matrix\", \"csc_mat\": 9, \"src_format\": \"YUV420SP\"")},
    {"input_processor", "csc_mat", WARNS, "csc_mat has no effect",
     IN(", \"csc_mat\": [1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0]" PIXELS)},
    {"input_processor", "csc_standard", WARNS, "csc_standard has no effect",
     IN(", \"csc_standard\": \"BT709\"" PIXELS)},
    {"input_processor", "mean", WARNS, "mean and std of input_processors differ",
     IN(", \"mean\": [121, 115, 105]" PIXELS)},
    {"input_processor", "std", WARNS, "mean and std of input_processors differ",
     IN(", \"std\": [59, 57, 59]" PIXELS)},
    {"input_processor", "normalize", REFUSES, "`normalize` is false",
     IN(", \"normalize\": false" PIXELS)},
    {"input_processor", "scale", PACKAGE, NULL, IN(", \"scale\": 2, \"src_dtype\": \"S16\"")},
    {"input_processor", "zeropoint", WARNS, "zeropoint has no effect",
     IN(", \"zeropoint\": 3" PIXELS)},
    {"input_processor", "padding", PACKAGE, NULL,
     IN(", \"padding\": [0, 0, 0, 0, 1, 1, 0, 0]" PIXELS)},
    {"input_processor", "padding_mode", REFUSES, "padding_mode",
     IN(", \"padding_mode\": \"edge\"" PIXELS)},
    {"input_processor", "padding_constant_value", REFUSES, "padding_constant_value has no effect",
     IN(", \"padding_constant_value\": 3" PIXELS)},
    {"input_processor", "slicing", PACKAGE, NULL,
     IN(", \"slicing\": [0, 0, 0, 0, 1, 1, 0, 0]" PIXELS)},
    {"extra_shape", "shape", REFUSES, "src_extra_shapes",
     IN(", \"src_extra_shapes\": [{\"shape\": [1, 3, 64, 64]}]" PIXELS)},

    {"output_processor", "tensor_name", REFUSES, "no output of the model",
     ROOT(", \"output_processors\": [{\"tensor_name\": \"other\"}]")},
    {"output_processor", "tensor_layout", WARNS, "tensor_layout has no effect",
     OUT(", \"tensor_layout\": \"NHWC\"")},
    {"output_processor", "dst_perm", PACKAGE, NULL, OUT(", \"dst_perm\": [1, 0]")},
    {"output_processor", "output_dtype", PACKAGE, NULL, OUT(", \"output_dtype\": \"U8\"")},
    {"const_processor", "name", REFUSES, "is no constant of the model",
     ROOT(", \"const_processors\": [{\"name\": \"none\", \"data\": 1}]")},
    {"const_processor", "data", REFUSES, "1 are given",
     ROOT(", \"const_processors\": [{\"name\": \"head.weight\", \"data\": 1}]")},
    {"const_processor", "data_path", REFUSES, "none.bin",
     ROOT(", \"const_processors\": [{\"name\": \"head.weight\", \"data_path\": \"none.bin\"}]")},
    {"op_processor", "op_name", REFUSES, "is no operator",
     ROOT(", \"op_processors\": [{\"op_name\": \"none\", \"attrs\": {\"a\": 1}}]")},
    {"op_processor", "attrs", REFUSES, "has no attribute \"a\"",
     ROOT(", \"op_processors\": [{\"op_name\": \"embed.conv\", \"attrs\": {\"a\": 1}}]")},

    {"compiler", "static_batch_sizes", PACKAGE, NULL, COMPILER("\"static_batch_sizes\": [1, 2]")},
    {"compiler", "max_dynamic_batch_size", PACKAGE, NULL,
     COMPILER("\"max_dynamic_batch_size\": 2")},
    {"compiler", "ddr_bw_limit", WARNS, "ddr_bw_limit has no effect",
     COMPILER("\"ddr_bw_limit\": 1")},
    {"compiler", "disable_ir_fix", WARNS, "disable_ir_fix has no effect",
     COMPILER("\"disable_ir_fix\": true")},
    {"compiler", "check", SAYS, "check graph [main]", COMPILER("\"check\": 2")},
    {"compiler", "npu_perf", WARNS, "npu_perf has no effect", COMPILER("\"npu_perf\": true")},
    {"compiler", "schedule", WARNS, "schedule has no effect",
     COMPILER("\"schedule\": \"baseline\"")},
    {"compiler", "check_mode", WARNS, "check_mode has no effect",
     COMPILER("\"check_mode\": \"CheckPerLayer\"")},
    {"compiler", "check_rtol", WARNS, "check_rtol has no effect",
     COMPILER("\"check_rtol\": 1, \"check\": 2")},
    {"compiler", "check_atol", WARNS, "check_atol has no effect",
     COMPILER("\"check_atol\": 1, \"check\": 3")},
    {"compiler", "check_cosine_simularity", REFUSES, "expected a value in -1..1",
     COMPILER("\"check_cosine_simularity\": 2")},
    {"compiler", "check_tensor_black_list", WARNS, "matches no tensor",
     COMPILER("\"check_tensor_black_list\": \"none\", \"check\": 2")},
    {"compiler", "enable_slice_mode", WARNS, "enable_slice_mode has no effect",
     COMPILER("\"enable_slice_mode\": true")},
    {"compiler", "enable_tile_mode", WARNS, "enable_tile_mode has no effect",
     COMPILER("\"enable_tile_mode\": true")},
    {"compiler", "enable_data_soft_compression", REFUSES, "enable_data_soft_compression",
     COMPILER("\"enable_data_soft_compression\": true")},
    {"compiler", "input_sample_dir", REFUSES, "input_sample_dir",
     COMPILER("\"check\": 2, \"input_sample_dir\": \"none\"")},
    {"compiler", "cpu_fallback", REFUSES, "cpu_fallback is off",
     CPU ", \"compiler\": {\"cpu_fallback\": false}",
     ", \"layer_configs\": [{\"op_type\": \"Gemm\", \"data_type\": \"FP32\"}]", NULL, NULL, NULL},
    {"compiler", "start_tensor_names", REFUSES, "inside compiler.sub_configs only",
     COMPILER("\"start_tensor_names\": \"a\"")},
    {"compiler", "end_tensor_names", REFUSES, "inside compiler.sub_configs only",
     COMPILER("\"end_tensor_names\": \"a\"")},
    {"compiler", "compiler_group_patterns", REFUSES, "compiler_group_patterns",
     COMPILER("\"compiler_group_patterns\": [{}]")},
    {"debug", "dump_frontend_graph", CHANGES, "frontend/optimized_quant_axmodel.onnx",
     ROOT(", \"debug\": {\"dump_frontend_graph\": true}")},
};

static const struct {
    const char *name;
    const cyg_config_message *message;
} messages[] = {
#define CYG_MESSAGE(id, name, text) {#id, &cyg_config_message_##id},
#define CYG_FIELD(message, field, kind, of, preset, where, category, valid, built, text, why)
#define CYG_MESSAGE_END(id)
#define CYG_ALIAS(message, other, field)
#include "config/config.def"
#undef CYG_MESSAGE
#undef CYG_FIELD
#undef CYG_MESSAGE_END
#undef CYG_ALIAS
};

static bool has_row(const char *message, const char *field)
{
    for (size_t i = 0; i < CYG_COUNT(rows); i++)
        if (strcmp(rows[i].message, message) == 0 && strcmp(rows[i].field, field) == 0)
            return true;
    return false;
}

/* Every field that is a value itself, of what `build` takes. */
static void every_field_has_a_row(void **state)
{
    (void)state;
    for (size_t i = 0; i < CYG_COUNT(messages); i++)
        for (size_t k = 0; k < messages[i].message->count; k++) {
            const cyg_config_field *f = &messages[i].message->fields[k];
            if (f->type.kind != CYG_VALUE_SUB && f->type.kind != CYG_VALUE_SUBS &&
                strcmp(messages[i].name, "run") != 0 && !has_row(messages[i].name, f->name))
                fail_msg("%s.%s has no row", messages[i].name, f->name);
        }
}

static e2e_result result;

static void build_one(const row *r, const char *out)
{
    const char *quant = r->quant != NULL ? r->quant : "";
    const bool own_data = strstr(quant, "input_configs") != NULL,
               own_input = r->root != NULL && strstr(r->root, "input_processors") != NULL;
    /* Input and output are other ones by name. */
    fixture_text("walk.json",
                 "{\"input\": \"%s\", \"output_dir\": \"%s\"%s, \"quant\": {%s%s%s%s}%s%s%s}\n",
                 strcmp(r->field, "input") == 0 ? "cnn.onnx" : "model.onnx", out,
                 r->root != NULL ? r->root : CPU,
                 own_data ? ""
                          : "\"input_configs\": [{\"tensor_name\": \"pixel_values\", "
                            "\"calibration_dataset\": \"calib\"",
                 own_data          ? ""
                 : r->data != NULL ? r->data
                                   : FOUR NORMALISED,
                 own_data ? "" : "}]", own_data ? quant + 1 : quant,
                 own_input ? "" : ", \"input_processors\": [{\"tensor_name\": \"pixel_values\"",
                 own_input       ? ""
                 : r->in != NULL ? r->in
                                 : PIXELS,
                 own_input ? "" : "}]");
    e2e_cygnet(&result, (e2e_how){0}, "build --config walk.json");
}

/* The file of a build, as its row's base does not have it. */
static bool differs(const row *r, const char *out, const char *file)
{
    const char *base = r->than != NULL ? "walk_than" : "walk0";
    char one[65], two[65];
    if (!cyg_path_exists(e2e_path("%s/%s", out, file)))
        return cyg_path_exists(e2e_path("%s/%s", base, file));
    if (!cyg_path_exists(e2e_path("%s/%s", base, file)))
        return true;
    fixture_sha256(e2e_path("%s/%s", out, file), one);
    fixture_sha256(e2e_path("%s/%s", base, file), two);
    return strcmp(one, two) != 0;
}

static bool shows(const row *r, const char *out)
{
    const char *warning = strstr(result.err, "warning: ");
    switch (r->effect) {
    case PACKAGE:
        return differs(r, out, "compiled.cyg");
    case CHANGES:
        return differs(r, out, r->what);
    case SAYS:
        return strstr(result.out, r->what) != NULL || strstr(result.err, r->what) != NULL;
    case WARNS:
        return warning != NULL && strstr(warning, r->what) != NULL;
    case REFUSES:
        return result.code != 0 && strstr(result.err, "error: ") != NULL &&
               strstr(result.err, r->what) != NULL && !cyg_path_exists(e2e_path("%s", out));
    }
    return false;
}

static void each_acts(void **state)
{
    (void)state;
    static const row base = {.field = ""};
    int failed = 0;
    fixture_text("names.txt", "a\nb\nc\nd\ne\nf\ng\n");
    build_one(&base, "walk0");
    e2e_expect(&result, 0);
    assert_string_equal(result.err, "");
    for (size_t i = 0; i < CYG_COUNT(rows); i++) {
        char out[32];
        snprintf(out, sizeof out, "walk%zu", i + 1);
        if (rows[i].than != NULL) {
            const row than = {.field = "", .quant = rows[i].than};
            build_one(&than, "walk_than");
            e2e_expect(&result, 0);
        }
        build_one(&rows[i], out);
        /* output_dir: another folder, of the same package */
        const bool good =
            strcmp(rows[i].field, "output_dir") == 0
                ? result.code == 0 && !differs(&rows[i], out, "compiled.cyg")
                : (result.code == 0) == (rows[i].effect != REFUSES) && shows(&rows[i], out);
        if (!good) {
            print_error("%s.%s: code %d\n%s\n", rows[i].message, rows[i].field, result.code,
                        result.err);
            failed++;
        }
        CYG_IGNORE(cyg_remove_tree(NULL, e2e_path("%s", out)));
    }
    assert_int_equal(failed, 0);
}

static int teardown(void **state)
{
    e2e_free(&result);
    return fixture_teardown(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_has_a_row),
        cmocka_unit_test(each_acts),
    };
    return cmocka_run_group_tests(tests, fixture_setup, teardown);
}
