/* What people read off: eval's numbers and files against a count of our own, source layouts that
 * must not matter, and the golden check. */
#include "e2e.h"

#include <math.h>

#include "io/npy.h"

static e2e_result result;

static int setup(void **state)
{
    if (fixture_setup(state) != 0)
        return -1;
    e2e_cygnet(&result, (e2e_how){0}, "build --config build.json");
    if (result.code != 0)
        fprintf(stderr, "the fixture does not build:\n%s%s", result.out, result.err);
    return result.code == 0 ? 0 : -1;
}

static int teardown(void **state)
{
    e2e_free(&result);
    return fixture_teardown(state);
}

/* A config whose input processor is `processor`. */
static void write_config(const char *name, const char *processor)
{
    fixture_text(name,
                 "{\"input\": \"model.onnx\", \"target_hardware\": \"CPU\",\n"
                 " \"quant\": {\"input_configs\": [{\"tensor_name\": \"pixel_values\",\n"
                 "   \"calibration_dataset\": \"calib\", \"calibration_size\": 4,\n"
                 "   \"calibration_mean\": [120, 115, 105], \"calibration_std\": [58, 57, 59]}]},\n"
                 " \"input_processors\": [{\"tensor_name\": \"pixel_values\"%s}]}\n",
                 processor);
}

/* ---- layouts ---- */

/* Logits of val/, six rows, from malloc. */
static float *logits_of(const char *package)
{
    cyg_npy npy;
    size_t size;
    float *rows = malloc(6 * E2E_CLASSES * sizeof *rows);
    e2e_cygnet(&result, (e2e_how){0}, "eval %s --dataset val --logits rows.npy --json", package);
    e2e_expect(&result, 0);
    char *bytes = fixture_read(e2e_path("rows.npy"), &size);
    assert_non_null(rows);
    assert_int_equal(cyg_npy_parse(NULL, "rows.npy", bytes, size, &npy), CYG_OK);
    assert_int_equal(npy.rank, 2);
    assert_int_equal(npy.dims[0], 6);
    assert_int_equal(npy.dims[1], E2E_CLASSES);
    cyg_npy_to_f32(&npy, rows);
    free(bytes);
    return rows;
}

static void layouts_agree(void **state)
{
    (void)state;
    static const struct {
        const char *name, *processor;
    } cases[] = {
        {"u8_nchw", ", \"src_dtype\": \"U8\", \"src_layout\": \"NCHW\""},
        {"f32_nchw", ""},
        {"f32_nhwc", ", \"src_dtype\": \"FP32\", \"src_layout\": \"NHWC\""},
        {"u8_bgr", ", \"src_dtype\": \"U8\", \"src_layout\": \"NHWC\", \"src_format\": \"BGR\""},
        {"f32_bgr", ", \"src_format\": \"BGR\", \"tensor_format\": \"RGB\""},
        {"s16", ", \"src_dtype\": \"S16\", \"src_layout\": \"NHWC\""},
        {"u16_codes", ", \"src_dtype\": \"U16\", \"scale\": 0.5, \"zeropoint\": 300"},
        {"s8_codes", ", \"src_dtype\": \"S8\", \"scale\": 1, \"zeropoint\": -128"},
        {"u8_codes", ", \"src_dtype\": \"U8\", \"scale\": 1, \"zeropoint\": 0"},
        {"s32", ", \"src_dtype\": \"S32\""},
        {"u32", ", \"src_dtype\": \"U32\", \"src_layout\": \"NHWC\""},
        {"f16", ", \"src_dtype\": \"FP16\""},
    };
    float *wanted = logits_of("out/compiled.cyg");
    for (size_t i = 0; i < CYG_COUNT(cases); i++) {
        char package[64];
        write_config("layout.json", cases[i].processor);
        e2e_cygnet(&result, (e2e_how){0}, "build --config layout.json --output_dir %s",
                   cases[i].name);
        e2e_expect(&result, 0);
        snprintf(package, sizeof package, "%s/compiled.cyg", cases[i].name);
        float *found = logits_of(package);
        for (size_t k = 0; k < 6 * (size_t)E2E_CLASSES; k++)
            if (memcmp(&found[k], &wanted[k], sizeof found[k]) != 0)
                fail_msg("%s: score %zu is %.9g, %.9g with U8 NHWC", cases[i].name, k,
                         (double)found[k], (double)wanted[k]);
        free(found);
    }
    free(wanted);
}

/* Normalised outside: the input's grid is another one, so the scores are near and not equal. */
static void normalised_outside(void **state)
{
    (void)state;
    static const char *const ways[] = {
        ", \"normalize\": false", ", \"mean\": [0, 0, 0], \"std\": [1, 1, 1]"}; /* the vendor's */
    for (size_t i = 0; i < CYG_COUNT(ways); i++) {
        write_config("outside.json", ways[i]);
        e2e_cygnet(&result, (e2e_how){0}, "build --config outside.json --output_dir outside");
        e2e_expect(&result, 0);
        e2e_cygnet(&result, (e2e_how){0}, "eval outside/compiled.cyg -d val -f model.onnx --json");
        e2e_expect(&result, 0);
        assert_true(e2e_number(&result, "sqnr_db") > 15);
    }
}

/* Video pixels lose colour, no more: the scores stay near. */
static void video(void **state)
{
    (void)state;
    static const char *const ways[] = {
        "\"YUV420SP\", \"csc_mode\": \"FullRange\"",
        "\"YVU420SP\", \"csc_mode\": \"LimitedRange\", \"csc_standard\": \"BT709\"",
        "\"YUYV422\", \"csc_mode\": \"LimitedRange\", \"src_dtype\": \"U8\"",
        ("\"UYVY422\", \"csc_mode\": \"Matrix\", \"csc_mat\": [1, 0, 1.402, -0.7038, 1, -0.3441, "
         "-0.7141, 0.5312, 1, 1.772, 0, -0.8895]")};
    for (size_t i = 0; i < CYG_COUNT(ways); i++) {
        char more[256];
        snprintf(more, sizeof more, ", \"src_format\": %s", ways[i]);
        write_config("video.json", more);
        e2e_cygnet(
            &result, (e2e_how){0},
            "build --config video.json --output_dir video --compiler.static_batch_sizes 1 2");
        e2e_expect(&result, 0);
        e2e_cygnet(&result, (e2e_how){0}, "eval video/compiled.cyg -d val -f model.onnx --json");
        e2e_expect(&result, 0);
        assert_true(e2e_number(&result, "sqnr_db") > 8);
    }
}

/* No mean and std at all: pixels go in as they are, as bytes or floats, in any order. */
static void no_normalisation(void **state)
{
    (void)state;
    static const char *const processors[] = {"",
                                             ", \"src_dtype\": \"U8\", \"src_layout\": \"NHWC\"",
                                             ", \"src_dtype\": \"U8\", \"src_format\": \"BGR\"",
                                             ", \"src_format\": \"BGR\", \"normalize\": false"};
    float *wanted = NULL;
    for (size_t i = 0; i < CYG_COUNT(processors); i++) {
        fixture_text("raw.json",
                     "{\"input\": \"model.onnx\", \"target_hardware\": \"CPU\",\n"
                     " \"quant\": {\"input_configs\": [{\"tensor_name\": \"DEFAULT\",\n"
                     "   \"calibration_dataset\": \"calib\", \"calibration_size\": 4}]},\n"
                     " \"input_processors\": [{\"tensor_name\": \"DEFAULT\"%s}]}\n",
                     processors[i]);
        e2e_cygnet(&result, (e2e_how){0}, "build --config raw.json --output_dir raw");
        e2e_expect(&result, 0);
        assert_non_null(strstr(result.err, "0 to 255"));
        float *found = logits_of("raw/compiled.cyg");
        if (wanted == NULL)
            wanted = found;
        assert_memory_equal(found, wanted, 6 * E2E_CLASSES * sizeof *found);
        if (found != wanted)
            free(found);
    }
    free(wanted);
}

/* A model trained on BGR is another model: its scores differ, whatever is fed agrees again. */
static void bgr_model(void **state)
{
    (void)state;
    write_config("bgr.json", ", \"tensor_format\": \"BGR\", \"src_format\": \"BGR\","
                             " \"src_dtype\": \"U8\", \"src_layout\": \"NHWC\"");
    e2e_cygnet(&result, (e2e_how){0}, "build --config bgr.json --output_dir bgr1");
    e2e_expect(&result, 0);
    write_config("bgr.json", ", \"tensor_format\": \"BGR\", \"src_format\": \"RGB\"");
    e2e_cygnet(&result, (e2e_how){0}, "build --config bgr.json --output_dir bgr2");
    e2e_expect(&result, 0);
    float *rgb = logits_of("out/compiled.cyg"), *a = logits_of("bgr1/compiled.cyg"),
          *b = logits_of("bgr2/compiled.cyg");
    assert_memory_equal(a, b, 6 * E2E_CLASSES * sizeof *a);
    assert_memory_not_equal(a, rgb, 6 * E2E_CLASSES * sizeof *a);
    e2e_cygnet(&result, (e2e_how){0},
               "eval bgr2/compiled.cyg --dataset val --float model.onnx --json");
    e2e_expect(&result, 0);
    assert_true(e2e_number(&result, "sqnr_db") > 15);
    free(rgb);
    free(a);
    free(b);
}

/* ---- eval ---- */

static void counts_are_right(void **state)
{
    (void)state;
    static const int labels[6] = {0, 0, 1, 1, 2, 2};
    int top1 = 0, top5 = 0;
    float *rows = logits_of("out/compiled.cyg");
    for (int i = 0; i < 6; i++) {
        int above = 0;
        for (int c = 0; c < E2E_CLASSES; c++)
            above += rows[i * E2E_CLASSES + c] > rows[i * E2E_CLASSES + labels[i]];
        top1 += above < 1;
        top5 += above < 5;
    }
    assert_float_equal((float)e2e_number(&result, "top1"), (float)(100.0 * top1 / 6), 1e-4f);
    assert_float_equal((float)e2e_number(&result, "top5"), (float)(100.0 * top5 / 6), 1e-4f);
    assert_int_equal((int)e2e_number(&result, "images"), 6);
    free(rows);
}

static void datasets_agree(void **state)
{
    (void)state;
    /* val/ holds a labels.tsv; the same pictures as sub-folders only */
    static const char *const names[] = {"ant/a.png", "ant/b.png", "bee/a.png",
                                        "bee/b.png", "cat/a.png", "cat/b.png"};
    static const char *const sets[] = {"val/labels.tsv", "val", "folders"};
    for (size_t i = 0; i < CYG_COUNT(names); i++) {
        char name[64];
        snprintf(name, sizeof name, "folders/%s", names[i]);
        fixture_copy(e2e_path("val/%s", names[i]), name);
    }
    char *wanted = NULL;
    for (size_t s = 0; s < CYG_COUNT(sets); s++) {
        e2e_cygnet(&result, (e2e_how){0},
                   "eval out/compiled.cyg --dataset %s --float model.onnx --logits a.npy "
                   "--predictions p.tsv --json",
                   sets[s]);
        e2e_expect(&result, 0);
        static const char *const keys[] = {"images",     "top1",      "top5",    "float_top1",
                                           "float_top5", "agreement", "sqnr_db", "cosine"};
        char line[512] = "";
        for (size_t k = 0; k < CYG_COUNT(keys); k++)
            snprintf(line + strlen(line), sizeof line - strlen(line), "%s %.6f ", keys[k],
                     e2e_number(&result, keys[k]));
        if (wanted == NULL)
            wanted = strdup(line);
        assert_string_equal(line, wanted);
        assert_true(e2e_number(&result, "sqnr_db") > 15);
        assert_true(e2e_number(&result, "cosine") > 0.9 && e2e_number(&result, "cosine") <= 1);
        /* six lines: a file and five different classes */
        char *text = fixture_read(e2e_path("p.tsv"), NULL);
        int lines = 0;
        for (char *at = text, *end; (end = strchr(at, '\n')) != NULL; at = end + 1, lines++) {
            int c[5];
            const char *tab = strchr(at, '\t');
            assert_true(tab != NULL && tab < end && strncmp(tab - 4, ".png", 4) == 0);
            assert_int_equal(sscanf(tab, "%d %d %d %d %d", &c[0], &c[1], &c[2], &c[3], &c[4]), 5);
            for (int i = 0; i < 5; i++)
                for (int k = 0; k < i; k++)
                    assert_int_not_equal(c[i], c[k]);
        }
        assert_int_equal(lines, 6);
        free(text);
    }
    free(wanted);
}

/* classify shows what eval counts: same first class, and it takes PNG and JPEG. */
static void classify_agrees(void **state)
{
    (void)state;
    int first = -1, best = 0;
    float *rows = logits_of("out/compiled.cyg");
    for (int c = 1; c < E2E_CLASSES; c++)
        best = rows[c] > rows[best] ? c : best;
    free(rows);
    e2e_cygnet(&result, (e2e_how){0}, "classify out/compiled.cyg val/ant/a.png");
    e2e_expect(&result, 0);
    const char *at = strstr(result.out, "class ");
    assert_non_null(at);
    assert_int_equal(sscanf(at, "class %d", &first), 1);
    assert_int_equal(first, best);
    e2e_cygnet(&result, (e2e_how){0}, "classify out/compiled.cyg %s/tests/io/data/420.jpg",
               CYG_SOURCE_ROOT);
    e2e_expect(&result, 0);
}

static void limit_and_flags(void **state)
{
    (void)state;
    e2e_cygnet(&result, (e2e_how){0}, "eval out/compiled.cyg -d val -n 4 --json");
    e2e_expect(&result, 0);
    assert_int_equal((int)e2e_number(&result, "images"), 4);
    e2e_cygnet(&result, (e2e_how){0}, "eval out/compiled.cyg -d val -n -4");
    e2e_expect_error(&result, 2, "-n|-4", NULL);
    e2e_cygnet(&result, (e2e_how){0}, "eval out/compiled.cyg -d val -t 99999");
    e2e_expect_error(&result, 2, "-t|99999", NULL);
    e2e_cygnet(&result, (e2e_how){0}, "eval out/compiled.cyg");
    e2e_expect_error(&result, 2, "dataset", NULL);
    e2e_cygnet(&result, (e2e_how){0}, "eval out/compiled.cyg -d val --float nowhere.onnx");
    e2e_expect_error(&result, 3, "nowhere.onnx", NULL);
    e2e_cygnet(&result, (e2e_how){0}, "eval nowhere.cyg -d val");
    e2e_expect_error(&result, 3, "nowhere.cyg", NULL);
    e2e_cygnet(&result, (e2e_how){0}, "eval model.onnx -d val");
    e2e_expect_error(&result, 4, "model.onnx", NULL);
    e2e_cygnet(&result, (e2e_how){0}, "eval out/compiled.cyg -d val --logits no/such/folder.npy");
    e2e_expect_error(&result, 3, "no/such/folder.npy", NULL);
}

/* Broken pictures do not count; nothing usable is an error. */
static void broken_pictures(void **state)
{
    (void)state;
    fixture_copy(e2e_path("val/ant/a.png"), "partly/x/good.png");
    fixture_text("partly/y/broken.png", "no picture");
    e2e_cygnet(&result, (e2e_how){0}, "eval out/compiled.cyg -d partly --json");
    e2e_expect(&result, 0);
    assert_int_equal((int)e2e_number(&result, "images"), 1);
    assert_int_equal((int)e2e_number(&result, "skipped"), 1);
    assert_non_null(strstr(result.err, "broken.png"));
    fixture_text("none/y/broken.png", "no picture");
    e2e_cygnet(&result, (e2e_how){0}, "eval out/compiled.cyg -d none");
    e2e_expect_error(&result, 4, "none", NULL);
}

/* ---- golden check ---- */

static void golden_check(void **state)
{
    (void)state;
    e2e_cygnet(&result, (e2e_how){0},
               "build --config build.json --output_dir strict --quant.min_sqnr_db 90");
    e2e_expect_error(&result, 6, "SQNR|90|error is born in|min_sqnr_db 0", "strict");
    e2e_cygnet(&result, (e2e_how){0},
               "build --config build.json --output_dir lax --quant.min_sqnr_db 0");
    e2e_expect(&result, 0);
}

static void expect_in(const char *file, const char *text)
{
    size_t size;
    char *data = fixture_read(e2e_path("%s", file), &size);
    if (memmem(data, size, text, strlen(text)) == NULL)
        fail_msg("%s lacks \"%s\"", file, text);
    free(data);
}

/* The long table goes to a file with every build, and to the terminal when asked for. */
static void precision_is_told(void **state)
{
    (void)state;
    static const char *const method[] = {"Quant Precision Table【PerLayer Reference】",
                                         "Quant Precision Table【EndToEnd NPUBackend】"};
    e2e_cygnet(&result, (e2e_how){0}, "build --config build.json --output_dir short");
    e2e_expect(&result, 0);
    assert_non_null(strstr(result.out, "error is born in"));
    assert_null(strstr(result.out, "Quant Precision Table"));
    expect_in("short/quant/debug/precision_analysis_table.txt", method[0]);
    expect_in("short/quant/debug/precision_analysis_table.txt", "Outlier Table");
    expect_in("short/report.html", "Precision by depth");
    e2e_cygnet(&result, (e2e_how){0},
               "build --config build.json --output_dir long --quant.precision_analysis true "
               "--quant.precision_analysis_method EndToEnd --quant.precision_analysis_mode "
               "NPUBackend");
    e2e_expect(&result, 0);
    assert_non_null(strstr(result.out, method[1]));
    expect_in("long/quant/debug/precision_analysis_table.txt", method[1]);
}

/* 0.017 and 0.22 in place of 58: the float model blows up alike, so the check may pass or fail, but
 * never in silence. */
static void wrong_scale_is_told(void **state)
{
    (void)state;
    fixture_text("wrong.json",
                 "{\"input\": \"model.onnx\", \"output_dir\": \"wrong\",\n"
                 " \"target_hardware\": \"CPU\",\n"
                 " \"quant\": {\"input_configs\": [{\"tensor_name\": \"pixel_values\",\n"
                 "   \"calibration_dataset\": \"calib\", \"calibration_size\": 4,\n"
                 "   \"calibration_mean\": [0.485, 0.456, 0.406],\n"
                 "   \"calibration_std\": [0.229, 0.224, 0.225]}]}}\n");
    e2e_cygnet(&result, (e2e_how){0}, "build --config wrong.json");
    if (result.code != 6)
        e2e_expect(&result, 0);
    if (result.code == 0 &&
        (strstr(result.err, "warning:") == NULL || strstr(result.err, "calibration_std") == NULL))
        fail_msg("a std of 0.229 on pixels of 0..255 goes unnoticed:\n%s", result.err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layouts_agree),
        cmocka_unit_test(normalised_outside),
        cmocka_unit_test(video),
        cmocka_unit_test(no_normalisation),
        cmocka_unit_test(bgr_model),
        cmocka_unit_test(counts_are_right),
        cmocka_unit_test(datasets_agree),
        cmocka_unit_test(classify_agrees),
        cmocka_unit_test(limit_and_flags),
        cmocka_unit_test(broken_pictures),
        cmocka_unit_test(golden_check),
        cmocka_unit_test(wrong_scale_is_told),
        cmocka_unit_test(precision_is_told),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
