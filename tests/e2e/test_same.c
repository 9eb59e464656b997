/* One input, one result: the package's bytes and the bytes that it computes are the same for every
 * ISA level and thread count, for a second build, from another folder; and they are those of the
 * integer interpreter, which shares neither packing nor threading nor memory plan with the runtime.
 */
#include "e2e.h"

#include "base/arena.h"
#include "base/cpu.h"
#include "base/hash.h"
#include "format/package.h"
#include "interp/interp.h"

static e2e_result result;
static char first_package[65];

static int setup(void **state)
{
    if (fixture_setup(state) != 0)
        return -1;
    e2e_cygnet(&result, (e2e_how){0}, "build --config build.json");
    if (result.code != 0) {
        fprintf(stderr, "the fixture does not build:\n%s%s", result.out, result.err);
        return -1;
    }
    fixture_sha256(e2e_path("out/compiled.cyg"), first_package);
    return 0;
}

static int teardown(void **state)
{
    e2e_free(&result);
    return fixture_teardown(state);
}

/* ---- levels and threads ---- */

static const char *level_name(int level)
{
    return cyg_cpu_name((cyg_cpu_level_id)level);
}

static void package_by_level(void **state)
{
    (void)state;
    char hash[65];
    for (int level = 0; level < CYG_CPU_COUNT; level++) {
        if (!cyg_cpu_has((cyg_cpu_level_id)level)) {
            print_message("   SKIPPED level %s: this machine lacks it\n", level_name(level));
            continue;
        }
        e2e_cygnet(&result, (e2e_how){.cpu = level_name(level), .threads = "1"},
                   "build --config build.json --output_dir by_level --json");
        e2e_expect(&result, 0);
        fixture_sha256(e2e_path("by_level/compiled.cyg"), hash);
        if (strcmp(hash, first_package) != 0)
            fail_msg("the package of level %s differs", level_name(level));
    }
}

static void package_by_threads(void **state)
{
    (void)state;
    static const char *const counts[] = {"1", "2", "3"};
    char hash[65];
    for (size_t i = 0; i < 3; i++) {
        e2e_cygnet(&result, (e2e_how){.threads = counts[i]},
                   "build --config build.json --output_dir by_threads");
        e2e_expect(&result, 0);
        fixture_sha256(e2e_path("by_threads/compiled.cyg"), hash);
        if (strcmp(hash, first_package) != 0)
            fail_msg("the package of %s threads differs", counts[i]);
    }
}

static const char *output_hash(void)
{
    const char *text = NULL;
    const cyg_doc_node *outputs = e2e_json(&result, "outputs");
    assert_int_equal(outputs->count, 1);
    const cyg_doc_node *hash = cyg_doc_get(outputs->items[0], "sha256");
    assert_non_null(hash);
    assert_int_equal(cyg_doc_as_string(NULL, hash, &text), CYG_OK);
    return text;
}

/* Bytes without meaning, as many as one picture of this side has. */
static void make_input(size_t side)
{
    const size_t size = side * side * 3;
    uint8_t *pixels = malloc(size);
    assert_non_null(pixels);
    for (size_t i = 0; i < size; i++)
        pixels[i] = (uint8_t)((i * 7 + i / 96 * 13 + i % 3 * 80) % 256);
    fixture_write("in/pixel_values.bin", pixels, size);
    free(pixels);
}

/* The integer interpreter with the plain bodies, on the package's own program. */
static void interpret(const char *package_path, char out_hash[65])
{
    cyg_ctx ctx;
    cyg_arena arena;
    cyg_package package;
    cyg_kbuf out[8];
    size_t size;
    cyg_ctx_init(&ctx);
    cyg_arena_init(&arena);
    if (cyg_package_open(&ctx, package_path, &arena, NULL, &package) != CYG_OK)
        fail_msg("%s", cyg_ctx_message(&ctx, 0));
    const cyg_program *p = package.programs;
    assert_int_equal(p->input_count, 1);
    assert_int_equal(p->output_count, 1);
    const cyg_tensor *x = &p->tensors[p->inputs[0]];
    char *pixels = fixture_read(e2e_path("in/pixel_values.bin"), &size);
    assert_int_equal(size, cyg_tensor_bytes(x));
    cyg_kbuf in = {.data = cyg_arena_alloc(&arena, size, 64), .type = x->type, .rank = x->rank};
    memcpy(in.data, pixels, size);
    memcpy(in.dims, x->dims, sizeof in.dims);
    if (cyg_interp_run_program(&ctx, p, true, &in, 1, NULL, NULL, &arena, out) != CYG_OK)
        fail_msg("%s", cyg_ctx_message(&ctx, 0));
    cyg_sha256_hex(out[0].data, cyg_tensor_bytes(&p->tensors[p->outputs[0]]), out_hash);
    free(pixels);
    cyg_package_close(&package);
    cyg_arena_deinit(&arena);
}

/* The input in in/, on every level with 1 to `threads` threads, against the interpreter. */
static void same_everywhere(const char *package, int threads)
{
    char wanted[65], hash[65];
    size_t size;
    interpret(e2e_path("%s", package), wanted);
    for (int level = 0; level < CYG_CPU_COUNT; level++) {
        if (!cyg_cpu_has((cyg_cpu_level_id)level)) {
            print_message("   SKIPPED level %s: this machine lacks it\n", level_name(level));
            continue;
        }
        for (int n = 1; n <= threads; n++) {
            char count[8];
            snprintf(count, sizeof count, "%d", n);
            e2e_cygnet(&result, (e2e_how){.cpu = level_name(level), .threads = count},
                       "run --model %s --input_dir in --output_dir result --json", package);
            e2e_expect(&result, 0);
            assert_int_equal((int)e2e_number(&result, "samples"), 1);
            if (strcmp(output_hash(), wanted) != 0)
                fail_msg("level %s, %d threads: output differs from the interpreter's",
                         level_name(level), n);
            char *bytes = fixture_read(e2e_path("result/logits.bin"), &size);
            cyg_sha256_hex(bytes, size, hash);
            free(bytes);
            assert_string_equal(hash, wanted);
        }
    }
}

static void run_everywhere(void **state)
{
    (void)state;
    make_input(E2E_SIDE);
    same_everywhere("out/compiled.cyg", 3);
}

/* The promises of design.md section 7 on the real size; the graph lies in the folder that
 * CYG_GRAPHS names. */
static void swin_t_memory(void **state)
{
    (void)state;
    const char *folder = getenv("CYG_GRAPHS");
    char model[512] = "";
    if (folder != NULL)
        snprintf(model, sizeof model, "%s/swin_t_hf.onnx", folder);
    if (!cyg_path_exists(model)) {
        print_message("   SKIPPED: CYG_GRAPHS names no folder with swin_t_hf.onnx\n");
        skip();
    }
    fixture_text("swin.json", "{\"target_hardware\": \"CPU\", \"quant\": {\"input_configs\":"
                              " [{\"tensor_name\": \"DEFAULT\", \"calibration_dataset\": \"calib\","
                              " \"calibration_size\": 4, \"calibration_mean\": [120, 115, 105],"
                              " \"calibration_std\": [58, 57, 59]}]}}");
    e2e_cygnet(&result, (e2e_how){0},
               "build --config swin.json --input %s --output_dir swin --json", model);
    e2e_expect(&result, 0);
    assert_in_range((int64_t)e2e_number(&result, "peak_rss_bytes"), 1, 600 << 20);
    e2e_cygnet(&result, (e2e_how){0}, "bench -m swin/compiled.cyg -r 1 -w 0 --json");
    e2e_expect(&result, 0);
    print_message("   run: %.1f MiB\n", e2e_number(&result, "peak_rss_bytes") / 1048576);
    assert_in_range((int64_t)e2e_number(&result, "peak_rss_bytes"), 1, 60 << 20);
}

/* The model that comes with the sources, calibrated on our pictures. */
static void demo_model(void **state)
{
    (void)state;
    const char *folder = CYG_SOURCE_ROOT "/demo/model";
    fixture_text("demo.json",
                 "{\"quant\": {\"input_configs\": [{\"tensor_name\": \"DEFAULT\","
                 " \"calibration_dataset\": \"calib\", \"calibration_size\": 4}]},"
                 " \"input_processors\": [{\"tensor_name\": \"DEFAULT\", \"src_dtype\": \"U8\","
                 " \"src_layout\": \"NHWC\"}]}");
    e2e_cygnet(&result, (e2e_how){0},
               "build --config demo.json --input %s --output_dir demo --target_hardware CPU --json",
               folder);
    e2e_expect(&result, 0);
    assert_int_equal((int)e2e_number(&result, "float_ops"), 0);
    assert_true(e2e_number(&result, "sqnr_db") > 20);
    assert_in_range((int64_t)e2e_number(&result, "peak_rss_bytes"), 1, 600 << 20);
    make_input(224);
    same_everywhere("demo/compiled.cyg", 1);
    e2e_cygnet(&result, (e2e_how){0}, "bench -m demo/compiled.cyg -r 1 -w 0 --json");
    e2e_expect(&result, 0);
    assert_in_range((int64_t)e2e_number(&result, "peak_rss_bytes"), 1, 60 << 20);
    e2e_cygnet(&result, (e2e_how){0}, "classify demo/compiled.cyg calib/0.png");
    e2e_expect(&result, 0);
    assert_null(strstr(result.out, "class ")); /* told by name */
}

/* torchvision's MobileNetV2 and ResNet, narrow: every operator in integers, and the same bytes on
 * every level, with any threads, as the interpreter's. */
static void convolutional_networks(void **state)
{
    (void)state;
    static const char *const names[] = {"torchvision_mobilenet_v2", "torchvision_resnet"};
    const char *shared = shared_folder();
    if (shared == NULL) {
        print_message("   SKIPPED: no shared folder\n");
        skip();
    }
    fixture_text("cnn.json", "{\"target_hardware\": \"CPU\", \"quant\": {\"input_configs\":"
                             " [{\"tensor_name\": \"DEFAULT\", \"calibration_dataset\": \"calib\","
                             " \"calibration_size\": 4, \"calibration_mean\": [120, 115, 105],"
                             " \"calibration_std\": [58, 57, 59]}]}, \"input_processors\":"
                             " [{\"tensor_name\": \"DEFAULT\", \"src_dtype\": \"U8\","
                             " \"src_layout\": \"NHWC\"}]}");
    make_input(64);
    for (size_t i = 0; i < CYG_COUNT(names); i++) {
        e2e_cygnet(&result, (e2e_how){0},
                   "build --config cnn.json --input %s/golden/%s/model.onnx --output_dir cnn "
                   "--onnx_opt.model_check --json",
                   shared, names[i]);
        e2e_expect(&result, 0);
        assert_int_equal((int)e2e_number(&result, "float_ops"), 0);
        assert_true(e2e_number(&result, "sqnr_db") > 20);
        same_everywhere("cnn/compiled.cyg", 3);
    }
}

/* The float reference may be the checkpoint or the ONNX file that convert makes of it: eval says
 * the same. Settings for what says all by itself are errors. */
static void float_model_by_any_name(void **state)
{
    (void)state;
    const char *folder = CYG_SOURCE_ROOT "/demo/model";
    const char *const names[] = {folder, "demo.onnx",
                                 CYG_SOURCE_ROOT "/demo/model/model.safetensors"};
    double sqnr[3], top1[3];
    e2e_cygnet(&result, (e2e_how){0}, "convert %s -o demo.onnx", folder);
    e2e_expect(&result, 0);
    for (int i = 0; i < 3; i++) {
        e2e_cygnet(&result, (e2e_how){0}, "eval demo/compiled.cyg -d val --float %s --json",
                   names[i]);
        e2e_expect(&result, 0);
        sqnr[i] = e2e_number(&result, "sqnr_db");
        top1[i] = e2e_number(&result, "float_top1");
        e2e_cygnet(&result, (e2e_how){0}, "bench -m %s -r 1 -w 0 --json", names[i]);
        e2e_expect(&result, 0);
    }
    assert_true(sqnr[0] > 15);
    for (int i = 1; i < 3; i++) {
        assert_true(sqnr[i] > sqnr[0] - 1e-3 && sqnr[i] < sqnr[0] + 1e-3);
        assert_true(top1[i] >= top1[0] && top1[i] <= top1[0]);
    }
    e2e_cygnet(&result, (e2e_how){0}, "bench -m demo.onnx --set window_size=7");
    e2e_expect_error(&result, 2, "--set is for checkpoints|demo.onnx", NULL);
    e2e_cygnet(&result, (e2e_how){0}, "bench -m demo/compiled.cyg --set window_size=7");
    e2e_expect_error(&result, 2, "--set is for checkpoints|a package", NULL);
    e2e_cygnet(&result, (e2e_how){0}, "eval demo/compiled.cyg -d val --set window_size=7");
    e2e_expect_error(&result, 2, "--set is for checkpoints|a package", NULL);
    e2e_cygnet(&result, (e2e_how){0},
               "eval demo/compiled.cyg -d val --float %s --set window_size=6", folder);
    e2e_expect_error(&result, 4, "of another shape", NULL);
    e2e_cygnet(&result, (e2e_how){0}, "eval demo/compiled.cyg -d val --float %s --set wndow_size=7",
               folder);
    e2e_expect_error(&result, 2, "did you mean window_size", NULL);
}

/* build takes the settings of convert. */
static void build_settings(void **state)
{
    (void)state;
    static const char line[] =
        "build --config demo.json --output_dir told --target_hardware CPU --input";
    const char *folder = CYG_SOURCE_ROOT "/demo/model";
    fixture_text("arguments.json", "{\"window_size\": 7, \"hidden_act\": \"relu\"}");
    e2e_cygnet(&result, (e2e_how){0}, "%s %s --model_config arguments.json --json", line, folder);
    e2e_expect(&result, 0);
    char relu[65], gelu[65];
    fixture_sha256(e2e_path("told/frontend/optimized.onnx"), relu);
    fixture_sha256(e2e_path("demo/frontend/optimized.onnx"), gelu);
    assert_string_not_equal(relu, gelu);
    e2e_cygnet(
        &result, (e2e_how){0},
        "%s %s --model_config arguments.json --set hidden_act=gelu --set window_size=7 --json",
        line, folder);
    e2e_expect(&result, 0);
    fixture_sha256(e2e_path("told/frontend/optimized.onnx"), relu);
    assert_string_equal(relu, gelu);
    e2e_cygnet(&result, (e2e_how){0}, "%s %s --set hiden_act=gelu", line, folder);
    e2e_expect_error(&result, 2, "did you mean hidden_act", NULL);
    e2e_cygnet(&result, (e2e_how){0}, "%s model.onnx --set hidden_act=gelu", line);
    e2e_expect_error(&result, 2, "--set is for checkpoints|an ONNX file", NULL);
    e2e_cygnet(&result, (e2e_how){0}, "%s model.onnx --model_config arguments.json", line);
    e2e_expect_error(&result, 2, "--model_config is for checkpoints|an ONNX file", NULL);
    e2e_cygnet(&result, (e2e_how){0}, "%s %s --input_shapes pixel_values:1x3x64x64", line, folder);
    e2e_expect_error(&result, 2, "input_shapes is for ONNX files|image_size", NULL);
}

/* `run` need not say these two; what it says must hold. */
static bool told(e2e_result *r, const char *key)
{
    const char *first = strstr(r->out, "\"outputs\"");
    return first == NULL ||
           (e2e_json(r, "outputs") != NULL && cyg_doc_get(cyg_doc_root(r->doc), key) != NULL);
}

/* The name in the JSON is the level that ran: that of the cap, never a better one. */
static void level_is_told(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "bench -m out/compiled.cyg -r 2 -w 1 --json",
        "eval out/compiled.cyg --dataset val --json",
        "run --model out/compiled.cyg --input_dir in --output_dir result --json",
    };
    make_input(E2E_SIDE);
    for (int level = 0; level < CYG_CPU_COUNT; level++) {
        if (!cyg_cpu_has((cyg_cpu_level_id)level))
            continue;
        for (size_t i = 0; i < CYG_COUNT(lines); i++) {
            e2e_cygnet(&result, (e2e_how){.cpu = level_name(level), .threads = "1"}, "%s",
                       lines[i]);
            e2e_expect(&result, 0);
            if (!told(&result, "isa"))
                continue;
            assert_string_equal(e2e_json(&result, "isa")->text, level_name(level));
            assert_int_equal((int)e2e_number(&result, "threads"), 1);
        }
    }
    e2e_cygnet(&result, (e2e_how){.cpu = "sse9"}, "%s", lines[0]);
    e2e_expect_error(&result, 2, "sse9", NULL);
}

/* ---- two builds ---- */

static void build_again(void **state)
{
    (void)state;
    static const char *const files[] = {"compiled.cyg", "frontend/optimized.onnx"};
    char hash[65], wanted[65];
    fixture_copy(e2e_path("model.onnx"), "else/where/model.onnx");
    for (int i = 0; i < 4; i++) {
        char name[32];
        snprintf(name, sizeof name, "else/pictures/%d.png", i);
        fixture_copy(e2e_path("calib/%d.png", i), name);
    }
    char *text = fixture_read(e2e_path("build.json"), NULL);
    char *at = strstr(text, "\"calib\"");
    assert_non_null(at);
    fixture_text("else/c.json", "%.*s\"pictures\"%s", (int)(at - text), text, at + 7);
    free(text);
    e2e_cygnet(&result, (e2e_how){.folder = e2e_path("else")},
               "build --config c.json --input where/model.onnx --output_dir %s/again", e2e_root);
    e2e_expect(&result, 0);
    for (size_t i = 0; i < CYG_COUNT(files); i++) {
        fixture_sha256(e2e_path("out/%s", files[i]), wanted);
        fixture_sha256(e2e_path("again/%s", files[i]), hash);
        if (strcmp(hash, wanted) != 0)
            fail_msg("%s differs between two builds", files[i]);
    }
    /* The tensors' record repeats the configuration, where the pictures lie with it. */
    char *first = fixture_read(e2e_path("out/quant/quant_axmodel.json"), NULL);
    char *second = fixture_read(e2e_path("again/quant/quant_axmodel.json"), NULL);
    char *here = strstr(first, "\"calib\""), *there = strstr(second, "\"pictures\"");
    assert_true(here != NULL && there != NULL && here - first == there - second);
    assert_memory_equal(first, second, (size_t)(here - first));
    assert_string_equal(here + strlen("\"calib\""), there + strlen("\"pictures\""));
    free(first);
    free(second);
    size_t size;
    char *package = fixture_read(e2e_path("again/compiled.cyg"), &size);
    assert_null(memmem(package, size, e2e_root, strlen(e2e_root)));
    free(package);
}

/* ---- memory: far below the promises, which are for Swin-T; a leak by samples would show ---- */

static void memory(void **state)
{
    (void)state;
    make_input(E2E_SIDE);
    e2e_cygnet(&result, (e2e_how){0}, "build --config build.json --output_dir mem --json");
    e2e_expect(&result, 0);
    assert_in_range((int64_t)e2e_number(&result, "peak_rss_bytes"), 1, 128 << 20);
    e2e_cygnet(&result, (e2e_how){0},
               "run --model out/compiled.cyg --input_dir in --output_dir result --json");
    e2e_expect(&result, 0);
    if (!told(&result, "peak_rss_bytes"))
        print_message("   SKIPPED memory of run: its JSON does not tell\n");
    else
        assert_in_range((int64_t)e2e_number(&result, "peak_rss_bytes"), 1, 60 << 20);
    e2e_cygnet(&result, (e2e_how){0}, "bench -m out/compiled.cyg -r 1 -w 0 --json");
    e2e_expect(&result, 0);
    assert_in_range((int64_t)e2e_number(&result, "peak_rss_bytes"), 1, 60 << 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(package_by_level),
        cmocka_unit_test(package_by_threads),
        cmocka_unit_test(run_everywhere),
        cmocka_unit_test(level_is_told),
        cmocka_unit_test(build_again),
        cmocka_unit_test(memory),
        cmocka_unit_test(demo_model),
        cmocka_unit_test(convolutional_networks),
        cmocka_unit_test(float_model_by_any_name),
        cmocka_unit_test(build_settings),
        cmocka_unit_test(swin_t_memory),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
