/* Bad input: one error that names file, place, expected and found; the documented exit code; no
 * output folder, or the former one as it was. */
#include "e2e.h"

#include "base/arena.h"
#include "format/package.h"

static e2e_result result;

static int teardown(void **state)
{
    e2e_free(&result);
    return fixture_teardown(state);
}

/* build.json with a model, or with a part of its text replaced. */
static void write_variant(const char *name, const char *from, const char *to)
{
    char *text = fixture_read(e2e_path("build.json"), NULL), *at = strstr(text, from);
    assert_non_null(at);
    fixture_text(name, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    free(text);
}

/* ---- models ---- */

static void truncated_model(void **state)
{
    (void)state;
    size_t size;
    uint8_t *model = model_make(MODEL_GOOD, &size);
    const size_t lengths[] = {0, 1, 7, 100, 1000, size / 2, size - 40, size - 1};
    for (size_t i = 0; i < CYG_COUNT(lengths); i++) {
        fixture_write("cut.onnx", model, lengths[i]);
        e2e_cygnet(&result, (e2e_how){0},
                   "build --config build.json --output_dir refused --input cut.onnx");
        e2e_expect_error(&result, 4, "cut.onnx", "refused");
    }
    free(model);
    fixture_text("text.onnx", "this is no model at all, only some words in a file\n");
    e2e_cygnet(&result, (e2e_how){0},
               "build --config build.json --output_dir refused --input text.onnx");
    e2e_expect_error(&result, 4, "text.onnx", "refused");
    e2e_cygnet(&result, (e2e_how){0},
               "build --config build.json --output_dir refused --input nowhere.onnx");
    e2e_expect_error(&result, 3, "nowhere.onnx", "refused");
    e2e_cygnet(&result, (e2e_how){0},
               "build --config build.json --output_dir refused --input calib");
    assert_in_range(result.code, 2, 5); /* a folder may be a checkpoint; this one is none */
    e2e_expect_error(&result, result.code, "calib", "refused");
}

static void broken_graphs(void **state)
{
    (void)state;
    e2e_refuses_broken_models(
        &result, "build --config build.json --output_dir refused --input bad.onnx", "refused");
}

/* ---- configuration ---- */

static void wrong_configs(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to;
        int code;
        const char *words;
    } cases[] = {
        {"\"calibration_size\"", "\"calibraton_size\"", 2,
         "wrong.json:4:|calibraton_size|did you mean \"calibration_size\""},
        {"\"calibration_size\": 4", "\"calibration_size\": \"many\"", 2,
         "wrong.json:4:|calibration_size|many"},
        {"\"calibration_size\": 4", "\"calibration_size\": [4, 5]", 2,
         "wrong.json:4:|calibration_size"},
        {"\"calibration_mean\": [120, 115, 105]", "\"calibration_mean\": [120, 115]", 2,
         "calibration_mean"},
        {"\"RGB\"", "\"RBG\"", 2, "wrong.json:7:|RBG|RGB"},
        {"\"pixel_values\"", "\"pixel_value\"", 2, "pixel_value|did you mean \"pixel_values\""},
        {"\"quant\":", "\"quant\" ", 4, "wrong.json:3:"},
        {"\"target_hardware\": \"CPU\"", "\"target_hardware\": \"M57\"", 5,
         "M57|not built yet|CPU"},
        {"\"quant\": {",
         "\"quant\": {\"layer_configs\": [{\"op_type\": \"Add\","
         " \"data_type\": \"S32\"}],",
         2, "layer_configs[0].data_type|S32"},
        {"\"quant\": {",
         "\"quant\": {\"layer_configs\": [{\"op_type\": \"Sofmax\","
         " \"data_type\": \"U16\"}],",
         2, "layer_configs[0]|Sofmax|did you mean \"Softmax\""},
        {"\"quant\": {",
         "\"quant\": {\"layer_configs\": [{\"layer_name\": \"embed.flatt\","
         " \"data_type\": \"U16\"}],",
         2, "layer_configs[0]|there is no operator \"embed.flatt\""},
        {"\"quant\": {",
         "\"quant\": {\"layer_configs\": [{\"op_type\": \"DEFAULT\","
         " \"data_type\": \"U16\"}],",
         2, "layer_configs[0]|whole model|start_tensor_names"},
        {"\"quant\": {",
         "\"quant\": {\"layer_configs\": [{\"start_tensor_names\": [\"pixel_value\"],"
         " \"end_tensor_names\": [\"DEFAULT\"], \"data_type\": \"U16\"}],",
         2, "layer_configs[0]|tensor|did you mean \"pixel_values\""},
        {"\"quant\": {", "\"quant\": {\"calibration_method\": \"MSe\",", 2,
         "calibration_method|MSe|did you mean \"MSE\""},
        {"\"output_dir\": \"out\"", "\"output_dir\": \"\"", 2, "output_dir"},
        {"\"calibration_size\": 4", "\"calibration_size\": 0", 2, "calibration_size"},
        {"\"tensor_format\"", "\"tensor_layout\": \"NHWC\", \"tensor_format\"", 2,
         "pixel_values|tensor_layout NHWC, but it is no picture"},
        {"\"src_format\": \"RGB\"", "\"src_format\": \"GRAY\"", 2, "pixel_values|src_format"},
        {"\"src_format\": \"RGB\"", "\"normalize\": false", 2,
         "pixel_values|src_dtype U8|normalize"},
        {"\"src_format\": \"RGB\"", "\"mean\": [0, 0, 0], \"std\": [1, 1, 1]", 2,
         "pixel_values|src_dtype U8|mean is 0 and std is 1"},
        {"\"src_format\": \"RGB\"", "\"mean\": [0, 0, 0], \"std\": [1, 1, 2]", 6,
         "mean and std of input_processors differ"},
        {"\"src_format\": \"RGB\"", "\"src_format\": \"YUV420SP\"", 2,
         "input_processors[0].csc_mode|is needed for src_format YUV420SP"},
        {"\"src_format\": \"RGB\"",
         "\"src_format\": \"YUYV422\", \"csc_mode\": \"Matrix\", \"csc_mat\": [1, 2, 3]", 2,
         "input_processors[0].csc_mat|has 3 numbers"},
        {"\"src_format\": \"RGB\"",
         "\"src_format\": \"YUYV422\", \"csc_mode\": \"Matrix\", \"csc_mat\": [1.164, 2.017, 0, "
         "-276.8, 1.164, -0.392, -0.813, 135.6, 1.164, 0, 1.596, -221.6]",
         2, "csc_mat|adds -276.8, outside -9..8|divide them by 255"},
        {"\"src_dtype\": \"U8\"", "\"src_dtype\": \"S8\", \"scale\": 0.1, \"zeropoint\": 200", 2,
         "input_processors[0].zeropoint|is 200, which S8 does not hold"},
        {"\"src_dtype\": \"U8\"", "\"src_dtype\": \"FP16\", \"scale\": 0.1", 2,
         "input_processors[0].scale|is for whole numbers; the runtime feeds FP16"},
    };
    for (size_t i = 0; i < CYG_COUNT(cases); i++) {
        write_variant("wrong.json", cases[i].from, cases[i].to);
        e2e_cygnet(&result, (e2e_how){0}, "build --config wrong.json");
        e2e_expect_error(&result, cases[i].code, cases[i].words, "out");
    }
    fixture_text("model.prototxt", "input: \"model.onnx\"\noutput_dir \"out\"\n");
    e2e_cygnet(&result, (e2e_how){0}, "build --config model.prototxt");
    e2e_expect_error(&result, 4, "model.prototxt:2:12|expected ':'", "out");
    e2e_cygnet(&result, (e2e_how){0}, "build --config nowhere.json");
    e2e_expect_error(&result, 3, "nowhere.json", "out");
}

static void wrong_flags(void **state)
{
    (void)state;
    static const struct {
        const char *flags, *words;
        int code;
    } cases[] = {
        {"--quant.min_sqrn_db 3", "quant.min_sqrn_db|quant.min_sqnr_db", 2},
        {"--quant.min_sqnr_db much", "quant.min_sqnr_db|much", 2},
        {"--quant.min_sqnr_db", "quant.min_sqnr_db", 2},
        {"--target_hardware=AX651", "AX651|AX650", 2},
        {"--target_hardware M57", "M57|not built yet", 5},
        {"--target_hardware AX620E --npu_mode NPU3", "NPU3|AX620E|NPU1 NPU2", 2},
        {"--quant.calibration_method Quantile", "Quantile|calibration_method", 2},
        {"stray", "stray", 2},
        {"--output_name a/b.cyg", "a/b.cyg", 2},
        {"--input_shapes pixel_values:1x3x32", "pixel_values", 2},
        {"--input_shapes pixel_values:1x3x48x48", "model.onnx|embed.flat|2304", 4},
    };
    for (size_t i = 0; i < CYG_COUNT(cases); i++) {
        e2e_cygnet(&result, (e2e_how){0}, "build --config build.json %s", cases[i].flags);
        e2e_expect_error(&result, cases[i].code, cases[i].words, "out");
    }
    e2e_cygnet(&result, (e2e_how){.threads = "many"}, "build --config build.json");
    e2e_expect_error(&result, 2, "CYGNET_THREADS|many", "out");
    e2e_cygnet(&result, (e2e_how){.cpu = "mmx"}, "build --config build.json");
    e2e_expect_error(&result, 2, "CYGNET_CPU|mmx", "out");
}

/* ---- calibration data ---- */

static int times(const char *text, const char *word)
{
    int n = 0;
    for (const char *at = strstr(text, word); at != NULL; at = strstr(at + 1, word))
        n++;
    return n;
}

static void build_on(const char *dataset)
{
    char part[256];
    snprintf(part, sizeof part, "\"calibration_dataset\": \"%s\"", dataset);
    write_variant("set.json", "\"calibration_dataset\": \"calib\"", part);
    e2e_cygnet(&result, (e2e_how){0}, "build --config set.json");
}

static void wrong_pictures(void **state)
{
    (void)state;
    static const char *const bad[] = {"b-text.png", "c-cut.png", "d-cut.jpg", "e-empty.jpg"};
    size_t size;
    char *jpeg = fixture_read(CYG_SOURCE_ROOT "/tests/io/data/420.jpg", &size);
    fixture_copy(e2e_path("calib/0.png"), "mixed/a.png");
    fixture_copy(e2e_path("calib/1.png"), "mixed/z.png");
    fixture_text("mixed/b-text.png", "no picture");
    fixture_write("mixed/d-cut.jpg", jpeg, size / 2);
    fixture_write("mixed/e-empty.jpg", "", 0);
    fixture_write("none/d-cut.jpg", jpeg, 20);
    free(jpeg);
    char *png = fixture_read(e2e_path("calib/0.png"), &size);
    fixture_write("mixed/c-cut.png", png, size / 2);
    fixture_write("none/c-cut.png", png, size / 2);
    free(png);
    fixture_text("none/b-text.png", "no picture");
    build_on("mixed");
    e2e_expect(&result, 0);
    for (size_t i = 0; i < CYG_COUNT(bad); i++)
        if (times(result.err, bad[i]) != 1)
            fail_msg("%s is named %d times, expected 1:\n%s", bad[i], times(result.err, bad[i]),
                     result.err);
    assert_int_equal(cyg_remove_tree(NULL, e2e_path("out")), CYG_OK);
    build_on("none");
    e2e_expect_error(&result, 4, "none|b-text.png|c-cut.png|d-cut.jpg", "out");
    assert_int_equal(cyg_make_dirs(NULL, e2e_path("empty")), CYG_OK);
    build_on("empty");
    e2e_expect_error(&result, 4, "empty", "out");
    build_on("nowhere");
    e2e_expect_error(&result, 3, "nowhere", "out");
}

/* One ustar member. */
static size_t put_member(uint8_t *tar, const char *name, const char *data, size_t size)
{
    memset(tar, 0, 512);
    char *h = (char *)tar;
    unsigned sum = 0;
    snprintf(h, 100, "%s", name);
    memcpy(h + 100,
           "0000644\0"
           "0000000\0"
           "0000000\0",
           24);
    snprintf(h + 124, 12, "%011o", (unsigned)size);
    memcpy(h + 136, "00000000000\0        0", 21);
    memcpy(h + 257,
           "ustar\0"
           "00",
           8);
    for (int i = 0; i < 512; i++)
        sum += tar[i];
    snprintf(h + 148, 8, "%06o", sum);
    h[155] = ' ';
    memcpy(tar + 512, data, size);
    const size_t padded = (size + 511) / 512 * 512;
    memset(tar + 512 + size, 0, padded - size);
    return 512 + padded;
}

static void tars(void **state)
{
    (void)state;
    uint8_t *tar = malloc(1 << 16);
    size_t at = 0;
    assert_non_null(tar);
    for (int i = 0; i < 4; i++) {
        char name[16];
        size_t size;
        char *png = fixture_read(e2e_path("calib/%d.png", i), &size);
        snprintf(name, sizeof name, "%d.png", i);
        at += put_member(tar + at, name, png, size);
        free(png);
    }
    const size_t members = at;
    memset(tar + at, 0, 1024);
    at += 1024;
    fixture_write("set.tar", tar, at);
    build_on("set.tar");
    e2e_expect(&result, 0);
    assert_int_equal(cyg_remove_tree(NULL, e2e_path("out")), CYG_OK);
    const size_t lengths[] = {100, 700, members / 2 - 600, members - 2000};
    for (size_t i = 0; i < CYG_COUNT(lengths); i++) {
        fixture_write("cut.tar", tar, lengths[i]);
        build_on("cut.tar");
        e2e_expect_error(&result, 4, "cut.tar", "out");
    }
    free(tar);
    fixture_text("words.tar", "no archive");
    build_on("words.tar");
    e2e_expect_error(&result, 4, "words.tar", "out");
}

/* Arrays in place of pictures: right, of a wrong shape, and fed as bytes, which has no meaning. */
static void arrays(void **state)
{
    (void)state;
    float values[3 * E2E_SIDE * E2E_SIDE];
    for (size_t i = 0; i < CYG_COUNT(values); i++)
        values[i] = (float)((i * 37 + i / 32 * 11) % 255) / 64.0f - 2.0f;
    fixture_write("bins/0.bin", values, sizeof values);
    fixture_write("short/0.bin", values, sizeof values - 4);
    static const char *const text =
        "{\"input\": \"model.onnx\", \"output_dir\": \"out\", \"target_hardware\": \"CPU\",\n"
        " \"quant\": {\"input_configs\": [{\"tensor_name\": \"pixel_values\",\n"
        "   \"calibration_dataset\": \"%s\", \"calibration_format\": \"Binary\"}]},\n"
        " \"input_processors\": [{\"tensor_name\": \"pixel_values\"%s}]}\n";
    fixture_text("bin.json", text, "short", "");
    e2e_cygnet(&result, (e2e_how){0}, "build --config bin.json");
    e2e_expect_error(&result, 4, "0.bin|12288|12284", "out");
    fixture_text("bin.json", text, "bins", ", \"src_dtype\": \"U8\", \"src_layout\": \"NHWC\"");
    e2e_cygnet(&result, (e2e_how){0}, "build --config bin.json");
    e2e_expect_error(&result, 2, "pixel_values|src_dtype", "out");
    fixture_text("bin.json", text, "bins", ", \"mean\": 100, \"std\": 50");
    e2e_cygnet(&result, (e2e_how){0}, "build --config bin.json --output_dir bin_normalised");
    e2e_expect(&result, 0);
    fixture_text("bin.json", text, "bins", ", \"src_layout\": \"NHWC\"");
    e2e_cygnet(&result, (e2e_how){0}, "build --config bin.json --output_dir bin_nhwc");
    e2e_expect(&result, 0);
    fixture_text("bin.json", text, "bins", "");
    e2e_cygnet(&result, (e2e_how){0}, "build --config bin.json");
    e2e_expect(&result, 0);
    fixture_write("bin_in/pixel_values.bin", values, sizeof values);
    e2e_cygnet(&result, (e2e_how){0},
               "run --model out/compiled.cyg --input_dir bin_in --output_dir bin_out");
    e2e_expect(&result, 0);
    e2e_cygnet(&result, (e2e_how){0}, "eval out/compiled.cyg -d val");
    e2e_expect_error(&result, 5, "out/compiled.cyg", NULL);
    assert_int_equal(cyg_remove_tree(NULL, e2e_path("out")), CYG_OK);
}

/* ---- output ---- */

static void wrong_outputs(void **state)
{
    (void)state;
    fixture_text("a_file", "mine");
    e2e_cygnet(&result, (e2e_how){0}, "build --config build.json --output_dir a_file");
    e2e_expect_error(&result, 3, "a_file|is a file, expected a folder", NULL);
    e2e_cygnet(&result, (e2e_how){0}, "build --config build.json --output_dir a_file/below");
    e2e_expect_error(&result, 3, "a_file", NULL);
    char *text = fixture_read(e2e_path("a_file"), NULL);
    assert_string_equal(text, "mine");
    free(text);
}

static void former_output_stays(void **state)
{
    (void)state;
    char before[65], after[65];
    e2e_cygnet(&result, (e2e_how){0}, "build --config build.json --output_dir kept");
    e2e_expect(&result, 0);
    fixture_text("kept/mine.txt", "notes");
    fixture_sha256(e2e_path("kept/build_context.json"), before);
    const int count = fixture_count(e2e_path("kept"), NULL);
    e2e_cygnet(&result, (e2e_how){0},
               "build --config build.json --output_dir kept --quant.min_sqnr_db 200");
    e2e_expect_error(&result, 6, "SQNR", NULL);
    fixture_sha256(e2e_path("kept/build_context.json"), after);
    assert_string_equal(before, after);
    assert_int_equal(fixture_count(e2e_path("kept"), NULL), count);
    e2e_cygnet(&result, (e2e_how){0}, "build --config build.json --output_dir kept");
    e2e_expect(&result, 0);
    assert_int_equal(fixture_count(e2e_path("kept"), NULL), count);
    assert_true(cyg_path_exists(e2e_path("kept/compiled.axmodel")));
    /* damaged packages are told, wherever the damage is */
    size_t size;
    char *package = fixture_read(e2e_path("kept/compiled.cyg"), &size);
    const size_t places[] = {3, 70, 300, size / 2, size - 100};
    for (size_t i = 0; i < CYG_COUNT(places); i++) {
        package[places[i]] ^= 0x40;
        fixture_write("damaged.cyg", package, size);
        package[places[i]] ^= 0x40;
        e2e_cygnet(&result, (e2e_how){0}, "eval damaged.cyg -d val");
        e2e_expect_error(&result, 4, "damaged.cyg", NULL);
    }
    for (size_t cut = 0; cut < size; cut += size / 7) {
        fixture_write("damaged.cyg", package, cut);
        e2e_cygnet(&result, (e2e_how){0}, "eval damaged.cyg -d val");
        e2e_expect_error(&result, 4, "damaged.cyg", NULL);
    }
    free(package);
}

static int without_output(void **state)
{
    (void)state;
    return cyg_remove_tree(NULL, e2e_path("out")) == CYG_OK ? 0 : -1;
}

#define CASE(name) cmocka_unit_test_setup(name, without_output)

static const char *replace(cyg_arena *arena, const char *text, const char *from, const char *to)
{
    const char *at = strstr(text, from);
    if (at == NULL)
        fail_msg("no %s in %s", from, text);
    char *out = cyg_arena_printf(arena, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    assert_non_null(out);
    return out;
}

/* A well-formed package whose description of its input is a lie. */
static void lying_package(void **state)
{
    (void)state;
    cyg_arena arena;
    cyg_package package;
    e2e_cygnet(&result, (e2e_how){0}, "build --config build.json --output_dir honest");
    e2e_expect(&result, 0);
    cyg_arena_init(&arena);
    assert_int_equal(
        cyg_package_open(NULL, e2e_path("honest/compiled.cyg"), &arena, NULL, &package), CYG_OK);
    static const struct {
        const char *from, *to, *second, *then;
    } lies[] = {
        {"\"height\": 32", "\"height\": 3200", "\"resize_height\": 32", "\"resize_height\": 3200"},
        {"\"height\": 32", "\"height\": 3200", "", ""},
        {"\"height\": 32", "\"height\": -32", "", ""},
        {"\"dtype\": \"u8\"", "\"dtype\": \"f32\"", "", ""},
        {"\"dtype\": \"u8\"", "\"dtype\": [1, {}]", "", ""}};
    for (size_t i = 0; i < CYG_COUNT(lies); i++) {
        const char *meta = replace(&arena, package.meta, lies[i].from, lies[i].to);
        meta = replace(&arena, meta, lies[i].second, lies[i].then);
        assert_int_equal(cyg_package_write(NULL, e2e_path("liar.cyg"), package.programs, 1, meta),
                         CYG_OK);
        e2e_cygnet(&result, (e2e_how){0}, "eval liar.cyg -d val");
        assert_in_range(result.code, 2, 5);
        e2e_expect_error(&result, result.code, "liar.cyg", NULL);
        e2e_cygnet(&result, (e2e_how){0}, "classify liar.cyg val/ant/a.png");
        assert_in_range(result.code, 2, 5);
        e2e_expect_error(&result, result.code, "", NULL);
    }
    cyg_package_close(&package);
    cyg_arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(truncated_model),     CASE(broken_graphs), CASE(wrong_configs), CASE(wrong_flags),
        CASE(wrong_pictures),      CASE(tars),          CASE(arrays),        CASE(wrong_outputs),
        CASE(former_output_stays), CASE(lying_package),
    };
    return cmocka_run_group_tests(tests, fixture_setup, teardown);
}
