/* output_processors, const_processors and the frontend's dump: the same numbers in another order,
 * as codes, or of another constant. */
#include "e2e.h"

#include <math.h>

#include "../onnx/onnx_builder.h"

static e2e_result result;

enum { SIDE = 8, CHANNELS = 6, PLANE = SIDE * SIDE, COUNT = CHANNELS * PLANE };

/* Conv [1,3,32,32] -> [1,6,8,8], then a scale that is a constant, then a Reshape to `target`. */
static void write_model_as(const char *name, const char *target, bool channels_last)
{
    ob graph = {0}, *g = &graph;
    float w[CHANNELS * 3 * 16], scale[1] = {2};
    int64_t shape[4];
    size_t n = 0;
    for (size_t i = 0; i < CYG_COUNT(w); i++)
        w[i] = (float)((i * 29 + 3) % 37) / 90.0f - 0.2f;
    for (const char *p = target; n < 4; n++) {
        shape[n] = strtoll(p, NULL, 10);
        p = strchr(p, ',') != NULL ? strchr(p, ',') + 1 : p;
    }
    INPUT(g, "x", channels_last ? "1,32,32,3" : "1,3,32,32");
    OUTPUT(g, "y", "1,6,8,8");
    if (channels_last)
        NODE(g, "Transpose", "turn", "x", "xt", at_ints("perm", "0,3,1,2"));
    ob_put(g, 5, ob_tensor_raw("weights", 1, "6,3,4,4", w, sizeof w));
    ob_put(g, 5, ob_tensor_raw("factor", 1, "1", scale, sizeof scale));
    ob_put(g, 5, ob_tensor_raw("target", 7, "4", shape, sizeof shape));
    NODE(g, "Conv", "conv", channels_last ? "xt,weights" : "x,weights", "c",
         at_ints("strides", "4,4"), at_ints("kernel_shape", "4,4"));
    NODE(g, "Mul", "scaled", "c,factor", "s", {0});
    NODE(g, "Reshape", "shaped", "s,target", "y", {0});
    ob model = ob_model(graph, 17);
    fixture_write(name, model.data, model.size);
    free(model.data);
}

static void write_model(const char *name, const char *target)
{
    write_model_as(name, target, false);
}

static void build(const char *out, const char *more)
{
    fixture_text(
        "p.json",
        "{\"input\": \"p.onnx\", \"output_dir\": \"%s\", \"target_hardware\": \"CPU\",\n"
        " \"quant\": {\"input_configs\": [{\"tensor_name\": \"DEFAULT\",\n"
        "   \"calibration_dataset\": \"calib\", \"calibration_size\": 4,\n"
        "   \"calibration_mean\": 120, \"calibration_std\": 60}]},\n"
        " \"input_processors\": [{\"tensor_name\": \"DEFAULT\", \"src_dtype\": \"U8\"}]%s}\n",
        out, more);
    e2e_cygnet(&result, (e2e_how){0}, "build --config p.json");
}

static char *run(const char *package, size_t *out_size)
{
    e2e_cygnet(&result, (e2e_how){0},
               "run --model %s/compiled.cyg --input_dir in --output_dir results", package);
    e2e_expect(&result, 0);
    return fixture_read(e2e_path("results/y.bin"), out_size);
}

static int setup(void **state)
{
    static uint8_t pixels[E2E_SIDE * E2E_SIDE * 3];
    if (fixture_setup(state) != 0)
        return -1;
    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = (uint8_t)(i * 37 % 256);
    fixture_write("in/x.bin", pixels, sizeof pixels);
    write_model("p.onnx", "1,6,8,8");
    build("plain", "");
    e2e_expect(&result, 0);
    return 0;
}

static int teardown(void **state)
{
    e2e_free(&result);
    return fixture_teardown(state);
}

static void another_order(void **state)
{
    (void)state;
    size_t size;
    build("nhwc",
          ", \"output_processors\": [{\"tensor_name\": \"y\", \"dst_perm\": [0, 2, 3, 1]}]");
    e2e_expect(&result, 0);
    float *plain = (float *)(void *)run("plain", &size);
    assert_int_equal(size, COUNT * sizeof(float));
    float *moved = (float *)(void *)run("nhwc", &size);
    assert_int_equal(size, COUNT * sizeof(float));
    for (int c = 0; c < CHANNELS; c++)
        for (int i = 0; i < PLANE; i++)
            assert_true(plain[c * PLANE + i] == moved[i * CHANNELS + c]);
    free(plain);
    free(moved);
    e2e_cygnet(&result, (e2e_how){0}, "inspect nhwc/compiled.cyg");
    assert_non_null(strstr(result.out, "y   f32 1x8x8x6"));
    build("no", ", \"output_processors\": [{\"tensor_name\": \"y\", \"dst_perm\": [0, 2, 2, 1]}]");
    e2e_expect_error(&result, 2, "dst_perm|each of its 4 axes once", "no");
    build("no", ", \"output_processors\": [{\"tensor_name\": \"y\", \"dst_perm\": [1, 0]}]");
    e2e_expect_error(&result, 2, "dst_perm|4 axes", "no");
}

static void codes(void **state)
{
    (void)state;
    size_t size;
    build("codes", ", \"output_processors\": [{\"tensor_name\": \"DEFAULT\", \"output_dtype\": "
                   "\"U8\", \"dst_perm\": [0, 2, 3, 1]}]");
    e2e_expect(&result, 0);
    float *plain = (float *)(void *)run("plain", &size);
    uint8_t *q = (uint8_t *)run("codes", &size);
    assert_int_equal(size, COUNT);
    e2e_cygnet(&result, (e2e_how){0}, "inspect codes/compiled.cyg --json");
    const cyg_doc_node *tensors = e2e_json(&result, "tensors"),
                       *outputs = cyg_doc_get(cyg_doc_root(result.doc), "outputs");
    const cyg_doc_node *y = tensors->items[outputs->items[0]->integer];
    const float scale = (float)cyg_doc_get(y, "scale")->number;
    const int64_t zero = cyg_doc_get(y, "zero_point")->integer;
    for (int c = 0; c < CHANNELS; c++)
        for (int i = 0; i < PLANE; i++)
            assert_true(fabsf(plain[c * PLANE + i] - scale * (float)((int64_t)q[i * CHANNELS + c] -
                                                                     zero)) <= 0.501f * scale);
    free(plain);
    free(q);
}

static void check_constant(const char *more, double factor)
{
    size_t size;
    build("constant", more);
    e2e_expect(&result, 0);
    assert_non_null(strstr(result.err, "constant \"factor\" is replaced: 1 elements of f32"));
    float *plain = (float *)(void *)run("plain", &size);
    float *other = (float *)(void *)run("constant", &size);
    double most = 0, error = 0;
    for (int i = 0; i < COUNT; i++) {
        most = fmax(most, fabs((double)other[i]));
        error = fmax(error, fabs((double)other[i] - (double)plain[i] * factor / 2));
    }
    assert_true(error < 0.02 * most);
    free(plain);
    free(other);
}

static void constants(void **state)
{
    (void)state;
    const float three[1] = {3};
    fixture_write("three.bin", three, sizeof three);
    fixture_text("three.txt", " 3.0\n");
    check_constant(", \"const_processors\": [{\"name\": \"factor\", \"data\": [5]}]", 5);
    check_constant(", \"const_processors\": [{\"name\": \"factor\", \"data_path\": \"three.bin\"}]",
                   3);
    check_constant(", \"const_processors\": [{\"name\": \"factor\", \"data_path\": \"three.txt\"}]",
                   3);
}

/* A Reshape that the file has wrong is put right before shapes are inferred. */
static void shapes(void **state)
{
    (void)state;
    size_t size;
    write_model("p.onnx", "1,6,8,9");
    build("no", "");
    e2e_expect_error(&result, 4, "Reshape", "no");
    build("mended", ", \"const_processors\": [{\"name\": \"target\", \"data\": [0, 6, -1, 8]}]");
    e2e_expect(&result, 0);
    char *plain = run("plain", &size), *mended = run("mended", &size);
    assert_memory_equal(plain, mended, size);
    free(plain);
    free(mended);
    write_model("p.onnx", "1,6,8,8");
}

static void refused(void **state)
{
    (void)state;
    build("no", ", \"const_processors\": [{\"name\": \"facto\", \"data\": [5]}]");
    e2e_expect_error(&result, 2, "no constant of the model|did you mean \"factor\"", "no");
    build("no", ", \"const_processors\": [{\"name\": \"factor\", \"data\": [5, 6]}]");
    e2e_expect_error(&result, 2, "has 1 elements, 2 are given", "no");
    build("no", ", \"const_processors\": [{\"name\": \"target\", \"data\": [1.5, 6, 8, 8]}]");
    e2e_expect_error(&result, 2, "1.5 is no value of constant \"target\"", "no");
    fixture_text("words.txt", "3 words\n");
    build("no", ", \"const_processors\": [{\"name\": \"factor\", \"data_path\": \"words.txt\"}]");
    e2e_expect_error(&result, 4, "words.txt|expected a number at byte 2", "no");
    fixture_text("three.csv", "3\n");
    build("no", ", \"const_processors\": [{\"name\": \"factor\", \"data_path\": \"three.csv\"}]");
    e2e_expect_error(&result, 2, "ends in none of", "no");
}

/* A convolution whose strides the file has wrong. */
static void attributes(void **state)
{
    (void)state;
    size_t size;
    build("no", ", \"op_processors\": [{\"op_name\": \"conv\", \"attrs\": {\"strides\": [2, 2]}}]");
    e2e_expect_error(&result, 4, "Reshape", "no"); /* then the result has another size */
    build("same", ", \"op_processors\": [{\"op_name\": \"conv\", \"attrs\": {\"strides\": [4, 4], "
                  "\"auto_pad\": \"VALID\", \"group\": 1}}]");
    e2e_expect(&result, 0);
    assert_non_null(strstr(result.err, "operator \"conv\" (Conv): attribute strides"));
    char *plain = run("plain", &size), *same = run("same", &size);
    assert_memory_equal(plain, same, size);
    free(plain);
    free(same);
    build("no", ", \"op_processors\": [{\"op_name\": \"cnov\", \"attrs\": {\"group\": 1}}]");
    e2e_expect_error(&result, 2, "no operator of the model|did you mean \"conv\"", "no");
    build("no", ", \"op_processors\": [{\"op_name\": \"conv\", \"attrs\": {\"ceil_mode\": 1}}]");
    e2e_expect_error(&result, 2, "p.json:|has no attribute \"ceil_mode\"|strides", "no");
    build("no", ", \"op_processors\": [{\"op_name\": \"conv\", \"attrs\": {\"group\": \"x\"}}]");
    e2e_expect_error(&result, 2, "group|expected an integer", "no");
}

/* The same on the quantised graph, whose shapes stand. */
static void quantised_attributes(void **state)
{
    (void)state;
    size_t size;
    build("same",
          ", \"quant_op_processors\": [{\"op_name\": \"conv\", \"attrs\": {\"strides\": [4, 4]}}]");
    e2e_expect(&result, 0);
    assert_non_null(strstr(result.err, "operator \"conv\" (Conv2d): attribute strides"));
    char *plain = run("plain", &size), *same = run("same", &size);
    assert_memory_equal(plain, same, size);
    free(plain);
    free(same);
    build("no",
          ", \"quant_op_processors\": [{\"op_name\": \"conv\", \"attrs\": {\"strides\": [2, 2]}}]");
    e2e_expect_error(&result, 4, "quant_op_processors: shapes of the quantised model stand", "no");
    build("no", ", \"quant_op_processors\": [{\"op_name\": \"cnov\", \"attrs\": {\"group\": 1}}]");
    e2e_expect_error(&result, 2, "quant_op_processors op_name|did you mean \"conv\"", "no");
    build("no", ", \"quant_op_processors\": [{\"op_name\": \"conv\", \"attrs\": {\"x\": 1}}]");
    e2e_expect_error(&result, 2, "quant_op_processors attrs|has no attribute \"x\"", "no");
    build("shape",
          ", \"op_processors\": [{\"op_name\": \"shaped\", \"attrs\": {\"shape\": [1, 6, 8, 8]}}]");
    e2e_expect(&result, 0);
    assert_non_null(strstr(result.err, "operator \"shaped\" (Reshape): shape is overwritten"));
}

/* A model of pictures channels last is the same model. */
static void channels_last(void **state)
{
    (void)state;
    size_t size, other;
    write_model_as("last.onnx", "1,6,8,8", true);
    fixture_text(
        "last.json",
        "{\"input\": \"last.onnx\", \"output_dir\": \"last\", \"target_hardware\": \"CPU\",\n"
        " \"quant\": {\"input_configs\": [{\"tensor_name\": \"DEFAULT\",\n"
        "   \"calibration_dataset\": \"calib\", \"calibration_size\": 4,\n"
        "   \"calibration_mean\": 120, \"calibration_std\": 60}]},\n"
        " \"input_processors\": [{\"tensor_name\": \"x\", \"tensor_layout\": \"NHWC\", "
        "\"src_dtype\": \"U8\"}]}\n");
    e2e_cygnet(&result, (e2e_how){0}, "build --config last.json");
    e2e_expect(&result, 0);
    char *plain = run("plain", &size), *last = run("last", &other);
    assert_int_equal(size, other);
    assert_memory_equal(plain, last, size);
    free(plain);
    free(last);
}

/* Arrays of normalised pixels, and a package that normalises: bytes go in. */
static void arrays_of_pixels(void **state)
{
    (void)state;
    static float x[3 * 32 * 32];
    static uint8_t pixels[3 * 32 * 32];
    static const char *const names[] = {"normalised/a.bin", "normalised/b.bin", "normalised/c.bin"};
    size_t size;
    for (int k = 0; k < 3; k++) {
        for (size_t i = 0; i < CYG_COUNT(x); i++) {
            pixels[i] = (uint8_t)((i * 89 + (size_t)k * 31) % 256);
            x[i] = ((float)pixels[i] - 120.0f) / 60.0f;
        }
        fixture_write(names[k], x, sizeof x);
    }
    fixture_text(
        "n.json",
        "{\"input\": \"p.onnx\", \"output_dir\": \"n\", \"target_hardware\": \"CPU\",\n"
        " \"quant\": {\"input_configs\": [{\"tensor_name\": \"DEFAULT\",\n"
        "   \"calibration_dataset\": \"normalised\", \"calibration_format\": \"Binary\"}]},\n"
        " \"input_processors\": [{\"tensor_name\": \"x\", \"src_dtype\": \"U8\", "
        "\"mean\": 120, \"std\": 60}]}\n");
    e2e_cygnet(&result, (e2e_how){0}, "build --config n.json --json");
    e2e_expect(&result, 0);
    assert_true(e2e_number(&result, "sqnr_db") > 30);
    fixture_write("fed/x.bin", pixels, sizeof pixels);
    e2e_cygnet(&result, (e2e_how){0}, "run --model n/compiled.cyg --input_dir fed --output_dir r");
    e2e_expect(&result, 0);
    fixture_write("floats/x.bin", x, sizeof x);
    e2e_cygnet(&result, (e2e_how){0}, "run --model p.onnx --input_dir floats --output_dir f");
    e2e_expect(&result, 0);
    char *a = fixture_read(e2e_path("r/y.bin"), &size),
         *b = fixture_read(e2e_path("f/y.bin"), &size);
    for (size_t i = 0; i < size / sizeof(float); i++)
        assert_true(fabsf(((float *)(void *)a)[i] - ((float *)(void *)b)[i]) < 0.1f);
    free(a);
    free(b);
}

static void frontend_dump(void **state)
{
    (void)state;
    build("dumped", ", \"debug\": {\"dump_frontend_graph\": true}");
    e2e_expect(&result, 0);
    e2e_cygnet(&result, (e2e_how){0}, "inspect dumped/frontend/optimized_quant_axmodel.onnx");
    e2e_expect(&result, 0);
    assert_non_null(strstr(result.out, "QuantizeLinear"));
}

/* ---- padding and slicing ---- */

enum { TALL = 30, WIDE = 35 }; /* what the runtime feeds: two rows are added, three columns cut */

/* Samples as the model takes them in `whole`, as the runtime has them in `fed`; what is cut off is
 * within the range of the rest. */
static void write_samples(float constant)
{
    static float fed[3][TALL][WIDE], whole[3][E2E_SIDE][E2E_SIDE];
    char name[64];
    for (int s = 0; s < 5; s++) {
        for (int c = 0; c < 3; c++) {
            for (int y = 0; y < TALL; y++)
                for (int x = 0; x < WIDE; x++)
                    fed[c][y][x] = x < 2 || x == WIDE - 1
                                       ? 0.5f
                                       : (float)((s * 7 + c * 5 + y * 11 + x * x) % 61) / 15 - 2;
            for (int y = 0; y < E2E_SIDE; y++)
                for (int x = 0; x < E2E_SIDE; x++)
                    whole[c][y][x] = y == 0 || y > TALL ? constant : fed[c][y - 1][x + 2];
        }
        snprintf(name, sizeof name, s < 4 ? "fed/%d.bin" : "in_fed/x.bin", s);
        fixture_write(name, fed, sizeof fed);
        snprintf(name, sizeof name, s < 4 ? "whole/%d.bin" : "in_whole/x.bin", s);
        fixture_write(name, whole, sizeof whole);
    }
}

static void build_arrays(const char *out, const char *folder, const char *target, const char *more)
{
    fixture_text("a.json",
                 "{\"input\": \"p.onnx\", \"output_dir\": \"%s\", \"target_hardware\": \"%s\",\n"
                 " \"quant\": {\"input_configs\": [{\"tensor_name\": \"DEFAULT\",\n"
                 "   \"calibration_dataset\": \"%s\", \"calibration_format\": \"Binary\",\n"
                 "   \"calibration_size\": 4}]},\n"
                 " \"input_processors\": [{\"tensor_name\": \"x\"%s}]}\n",
                 out, target, folder, more);
    e2e_cygnet(&result, (e2e_how){0}, "build --config a.json");
}

static char *run_on(const char *package, const char *folder, size_t *out_size)
{
    e2e_cygnet(&result, (e2e_how){0},
               "run --model %s/compiled.cyg --input_dir in_%s --output_dir results", package,
               folder);
    e2e_expect(&result, 0);
    return fixture_read(e2e_path("results/y.bin"), out_size);
}

#define FIT                                                                                        \
    ", \"padding\": [0, 0, 0, 0, 1, 1, 0, 0], \"slicing\": [0, 0, 0, 0, 0, 0, 2, 1],"              \
    " \"padding_constant_value\": "

/* The package that pads and cuts gives, bit for bit, what the plain one gives on samples that were
 * padded and cut outside; padding is of codes. */
static void another_shape(void **state)
{
    static const char *const constants[] = {"1", "-2", "0"};
    (void)state;
    for (size_t i = 0; i < CYG_COUNT(constants); i++) {
        size_t size, other;
        char more[256];
        write_samples(strtof(constants[i], NULL));
        build_arrays("whole_out", "whole", "CPU", "");
        e2e_expect(&result, 0);
        char *want = run_on("whole_out", "whole", &size);
        snprintf(more, sizeof more, FIT "%s", constants[i]);
        build_arrays("fed_out", "fed", "CPU", more);
        e2e_expect(&result, 0);
        assert_non_null(strstr(result.err, "the runtime feeds [1, 3, 30, 35]; slicing and padding "
                                           "bring it to [1, 3, 32, 32], which the model takes"));
        assert_null(strstr(result.err, "no integer form"));
        char *found = run_on("fed_out", "fed", &other);
        assert_int_equal(size, other);
        assert_memory_equal(want, found, size);
        free(found);
        free(want);
    }
    build_arrays("fed_npu", "fed", "AX650", FIT "1"); /* its check simulates it */
    e2e_expect(&result, 0);
    build_arrays("fed_nhwc", "fed", "CPU", FIT "1, \"src_layout\": \"NHWC\"");
    e2e_expect(&result, 0);
    e2e_cygnet(&result, (e2e_how){0}, "inspect fed_nhwc/compiled.cyg");
    assert_non_null(strstr(result.out, "x   f32 1x30x35x3"));
    assert_non_null(strstr(result.out, "pad             u8 1x3x32x32"));
}

/* Pixels that are cut stay bytes up to the convolution, which has the normalisation; what is cut
 * off has no say. */
static void cut_pixels(void **state)
{
    enum { HIGH = E2E_SIDE + 3 };
    static uint8_t pixels[HIGH][E2E_SIDE][3], planes[3][E2E_SIDE * E2E_SIDE];
    char *found[3];
    size_t size[3];
    (void)state;
    fixture_text("u.json",
                 "{\"input\": \"p.onnx\", \"output_dir\": \"cut\", \"target_hardware\": \"CPU\",\n"
                 " \"quant\": {\"input_configs\": [{\"tensor_name\": \"DEFAULT\",\n"
                 "   \"calibration_dataset\": \"calib\", \"calibration_size\": 4,\n"
                 "   \"calibration_mean\": 120, \"calibration_std\": 60}]},\n"
                 " \"input_processors\": [{\"tensor_name\": \"DEFAULT\", \"src_dtype\": \"U8\",\n"
                 "   \"src_layout\": \"NHWC\", \"slicing\": [0, 0, 0, 0, 1, 2, 0, 0]}]}\n");
    e2e_cygnet(&result, (e2e_how){0}, "build --config u.json");
    e2e_expect(&result, 0);
    for (int k = 0; k < 3; k++) {
        for (int y = 0; y < HIGH; y++)
            for (int i = 0; i < E2E_SIDE * 3; i++)
                pixels[y][i / 3][i % 3] = (uint8_t)(y * 31 + i * 7);
        if (k == 1) {
            memset(pixels[0], 255, sizeof pixels[0]);
            memset(pixels[HIGH - 2], 255, 2 * sizeof pixels[0]);
        }
        if (k == 2)
            memset(pixels[1], 255, sizeof pixels[0]);
        fixture_write("in_cut/x.bin", pixels, sizeof pixels);
        found[k] = run_on("cut", "cut", &size[k]);
    }
    assert_int_equal(size[0], size[1]);
    assert_memory_equal(found[0], found[1], size[0]);
    assert_memory_not_equal(found[0], found[2], size[0]);
    /* the plain package knows the same weights at other scales: nearly the same numbers */
    for (int i = 0; i < E2E_SIDE * E2E_SIDE * 3; i++)
        planes[i % 3][i / 3] = pixels[1 + i / 3 / E2E_SIDE][i / 3 % E2E_SIDE][i % 3];
    fixture_write("in_plain/x.bin", planes, sizeof planes);
    float *plain = (float *)(void *)run_on("plain", "plain", &size[1]);
    const float *cut = (const float *)(const void *)found[2];
    double signal = 0, error = 0;
    assert_int_equal(size[1], size[2]);
    for (int i = 0; i < COUNT; i++) {
        signal += (double)plain[i] * (double)plain[i];
        error += ((double)plain[i] - (double)cut[i]) * ((double)plain[i] - (double)cut[i]);
    }
    assert_true(signal > 300 * error);
    e2e_cygnet(&result, (e2e_how){0}, "inspect cut/compiled.cyg");
    assert_non_null(strstr(result.out, "slice           u8 1x3x32x32"));
    assert_null(strstr(result.out, "f_binary"));
    free(plain);
    for (int k = 0; k < 3; k++)
        free(found[k]);
}

static void wrong_shapes(void **state)
{
    (void)state;
    static const struct {
        const char *more, *says;
        int code;
    } cases[] = {
        {", \"padding\": [1, 1]", "padding has 2 numbers|4 axes|for each: 8", 2},
        {", \"padding\": [0, 0, 0, 0, 16, 16, 0, 0]", "leaves nothing of axis 2|has 32", 2},
        {", \"padding\": [0, 0, 0, 0, 1, 0, 0, 0], \"slicing\": [0, 0, 0, 0, 0, 1, 0, 0]",
         "axis 2|both padded and sliced", 2},
        {", \"slicing\": [0, 0, 0, 0, 2147483647, 1, 0, 0]", "axis 2|too large", 2},
        {", \"slicing\": [0, 0, 0, 0, 0, -1, 0, 0]", "slicing", 2},
        {", \"padding\": [0, 0, 0, 0, 1, 1, 0, 0], \"padding_mode\": \"edge\"", "padding_mode", 2},
        {", \"padding\": [0, 0, 0, 0, 1, 1, 0, 0], \"src_extra_shapes\": [{\"shape\": "
         "[1, 3, 64, 64]}]",
         "padding|not built yet beside src_extra_shapes", 5},
    };
    for (size_t i = 0; i < CYG_COUNT(cases); i++) {
        build_arrays("no", "whole", "CPU", cases[i].more);
        e2e_expect_error(&result, cases[i].code, cases[i].says, "no");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(another_order),
        cmocka_unit_test(another_shape),
        cmocka_unit_test(cut_pixels),
        cmocka_unit_test(wrong_shapes),
        cmocka_unit_test(codes),
        cmocka_unit_test(constants),
        cmocka_unit_test(shapes),
        cmocka_unit_test(refused),
        cmocka_unit_test(frontend_dump),
        cmocka_unit_test(attributes),
        cmocka_unit_test(channels_last),
        cmocka_unit_test(arrays_of_pixels),
        cmocka_unit_test(quantised_attributes),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
