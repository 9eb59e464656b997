/* Models that take no picture: several inputs and outputs; whole numbers, which build refuses and
 * the float model runs. `run` on the package against `run` on the float model, which goes through
 * none of the quantiser. */
#include "e2e.h"

#include "../onnx/onnx_builder.h"
#include "io/npy.h"

static e2e_result result;

static int teardown(void **state)
{
    e2e_free(&result);
    return fixture_teardown(state);
}

static float wave(size_t i)
{
    return (float)((i * 37 + i / 5 * 11) % 64) / 16.0f - 2.0f;
}

static void tensor(ob *g, const char *name, const char *dims, size_t count)
{
    float values[512];
    for (size_t i = 0; i < count; i++)
        values[i] = wave(i + count) / 4;
    ob_put(g, 5, ob_tensor_raw(name, 1, dims, values, count * sizeof *values));
}

static void save(const char *name, ob graph)
{
    ob model = ob_model(graph, 17);
    fixture_write(name, model.data, model.size);
    free(model.data);
}

static void write_npy(const char *folder, int i, cyg_npy_type type, size_t rank,
                      const int64_t *dims, const void *data)
{
    char name[64];
    snprintf(name, sizeof name, "%s/x", folder);
    fixture_write(name, "", 0);
    snprintf(name, sizeof name, "%s/%d.npy", folder, i);
    assert_int_equal(cyg_npy_save(NULL, e2e_path("%s", name), type, rank, dims, data), CYG_OK);
}

/* Signal over error of `name` between two output folders, as a ratio of powers. */
static double compare(const char *wanted_folder, const char *found_folder, const char *name)
{
    size_t size, other;
    double signal = 0, error = 0;
    char *a = fixture_read(e2e_path("%s/%s.bin", wanted_folder, name), &size);
    char *b = fixture_read(e2e_path("%s/%s.bin", found_folder, name), &other);
    assert_int_equal(size, other);
    for (size_t i = 0; i < size / 4; i++) {
        float x, y;
        memcpy(&x, a + 4 * i, 4);
        memcpy(&y, b + 4 * i, 4);
        signal += (double)x * (double)x;
        error += ((double)x - (double)y) * ((double)x - (double)y);
    }
    free(a);
    free(b);
    return error > 0 ? signal / error : 1e9;
}

/* The pickle of an array of 1 x 4 x 8 floats, the maker's rows in memo 0 to 2. */
static size_t pickled_array(uint8_t *out, const float values[32])
{
    static const char call[] = "h\x00(h\x01K\x00\x85"
                               "C\x01"
                               "btR(K\x01K\x01K\x04K\x08\x87h\x02(X\x02\x00\x00\x00"
                               "f4\x89\x88tR(K\x03X\x01\x00\x00\x00<NNNtb\x89"
                               "C\x80";
    memcpy(out, call, sizeof call - 1);
    memcpy(out + sizeof call - 1, values, 128);
    memcpy(out + sizeof call - 1 + 128, "tb", 2);
    return sizeof call - 1 + 130;
}

/* np.save(name, {first: a, "b": b}) */
static void write_dict(const char *name, char first, const float a[32], const float b[32])
{
    static const char head[] = "\x93NUMPY\x01\x00\x3a\x00"
                               "{'descr': '|O', 'fortran_order': False, 'shape': (), }   \n"
                               "\x80\x03"
                               "cnumpy.core.multiarray\n_reconstruct\nq\x00"
                               "cnumpy\nndarray\nq\x01"
                               "cnumpy\ndtype\nq\x02"
                               "00(h\x01K\x00\x85"
                               "C\x01"
                               "btR(K\x01)h\x02(X\x02\x00\x00\x00O8\x89\x88tR(K\x03"
                               "X\x01\x00\x00\x00|NNNtb\x89]}X\x01\x00\x00\x00";
    uint8_t file[1024];
    size_t n = sizeof head - 1;
    memcpy(file, head, n);
    file[n++] = (uint8_t)first;
    n += pickled_array(file + n, a);
    memcpy(file + n,
           "sX\x01\x00\x00\x00"
           "b",
           7);
    n += 7 + pickled_array(file + n + 7, b);
    memcpy(file + n, "satb.", 5);
    fixture_write(name, file, n + 5);
}

/* The same samples in one set of dicts give the same package; a dict without an input's name is
 * refused. Within two_inputs, which made two.onnx and the package. */
static void same_in_dicts(void)
{
    static const char *const folders[] = {"cal_both", "cal_wrong"};
    float a[32], b[32];
    char text[64];
    for (int s = 0; s < 6; s++) {
        for (size_t i = 0; i < 32; i++) {
            a[i] = wave(i + (size_t)(s % 3) * 40);
            b[i] = wave(3 * i + (size_t)(s % 3) * 7);
        }
        snprintf(text, sizeof text, "%s/%d.npy", folders[s / 3], s % 3);
        write_dict(text, s < 5 ? 'a' : 'A', a, b);
    }
    for (int wrong = 0; wrong < 2; wrong++) {
        fixture_text("dicts.json",
                     "{\"input\": \"two.onnx\", \"target_hardware\": \"CPU\", \"quant\":\n"
                     " {\"input_configs\": [{\"tensor_name\": \"DEFAULT\",\n"
                     "   \"calibration_size\": 3, \"calibration_dataset\": \"%s\",\n"
                     "   \"calibration_format\": \"NumpyObject\"}]}}\n",
                     folders[wrong]);
        e2e_cygnet(&result, (e2e_how){0}, "build --config dicts.json --output_dir %s",
                   wrong ? "dicts_wrong" : "dicts");
        if (wrong) {
            e2e_expect_error(&result, 4, "no array \"a\"|2.npy|cal_wrong", "dicts_wrong");
            break;
        }
        e2e_expect(&result, 0);
        e2e_cygnet(&result, (e2e_how){0},
                   "run --model dicts/compiled.cyg --input_dir two_in --output_dir dicts_out");
        e2e_expect(&result, 0);
        assert_true(compare("two_out", "dicts_out", "y") >= 1e9);
        assert_true(compare("two_out", "dicts_out", "t") >= 1e9);
    }
}

static void two_inputs(void **state)
{
    (void)state;
    ob g = {0};
    const int64_t dims[] = {1, 4, 8};
    float a[32], b[32];
    ob_text(&g, 2, "two");
    INPUT(&g, "a", "1,4,8");
    INPUT(&g, "b", "1,4,8");
    OUTPUT(&g, "y", "1,4,8");
    OUTPUT(&g, "t", "1,4,8");
    tensor(&g, "w", "8,8", 64);
    NODE(&g, "MatMul", "mul", "a,w", "t", {0});
    NODE(&g, "Add", "add", "t,b", "y", {0});
    NODE(&g, "Sin", "unread", "t", "nobody", {0});
    save("two.onnx", g);
    for (int s = 0; s < 3; s++) {
        for (size_t i = 0; i < 32; i++) {
            a[i] = wave(i + (size_t)s * 40);
            b[i] = wave(3 * i + (size_t)s * 7);
        }
        write_npy("cal_a", s, CYG_NPY_F32, 3, dims, a);
        write_npy("cal_b", s, CYG_NPY_F32, 3, dims, b);
    }
    fixture_text("two.json", "{\"input\": \"two.onnx\", \"target_hardware\": \"CPU\", \"quant\":\n"
                             " {\"input_configs\": [\n"
                             "  {\"tensor_name\": \"a\", \"calibration_dataset\": \"cal_a\","
                             " \"calibration_format\": \"Numpy\", \"calibration_size\": 3},\n"
                             "  {\"tensor_name\": \"b\", \"calibration_dataset\": \"cal_b\","
                             " \"calibration_format\": \"Numpy\", \"calibration_size\": 3}]}}\n");
    e2e_cygnet(&result, (e2e_how){0}, "build --config two.json --output_dir two --json");
    e2e_expect(&result, 0);
    assert_true(e2e_number(&result, "sqnr_db") > 20);
    fixture_write("two_in/a.bin", a, sizeof a);
    fixture_write("two_in/b.bin", b, sizeof b);
    e2e_cygnet(&result, (e2e_how){0},
               "run --model two/compiled.cyg --input_dir two_in --output_dir two_out");
    e2e_expect(&result, 0);
    e2e_cygnet(&result, (e2e_how){0},
               "run --model two.onnx --input_dir two_in --output_dir two_float");
    e2e_expect(&result, 0);
    assert_true(compare("two_float", "two_out", "y") > 100);
    assert_true(compare("two_float", "two_out", "t") > 100);
    same_in_dicts();
    /* the smallest calibration_size counts; what is about pictures acts on none */
    fixture_text("few.json", "{\"input\": \"two.onnx\", \"target_hardware\": \"CPU\", \"quant\":\n"
                             " {\"labels\": \"few.json\", \"input_configs\": [\n"
                             "  {\"tensor_name\": \"a\", \"calibration_dataset\": \"cal_a\","
                             " \"calibration_format\": \"Numpy\", \"calibration_size\": 3},\n"
                             "  {\"tensor_name\": \"b\", \"calibration_dataset\": \"cal_b\","
                             " \"calibration_format\": \"Numpy\", \"calibration_size\": 2}]},\n"
                             " \"input_processors\": [{\"tensor_name\": \"b\", \"mean\": [1],\n"
                             "   \"tensor_format\": \"BGR\", \"src_format\": \"RGB\"}]}\n");
    e2e_cygnet(&result, (e2e_how){0}, "build --config few.json --output_dir few");
    e2e_expect(&result, 0);
    assert_non_null(strstr(result.out, "2 samples"));
    assert_non_null(strstr(result.err, "input \"b\": mean has no effect: with several inputs"));
    assert_non_null(strstr(result.err, "input \"b\": src_format has no effect"));
    assert_non_null(strstr(result.err, "input \"b\": tensor_format has no effect"));
    assert_non_null(strstr(result.err, "quant.labels has no effect"));
    /* an operator that the optimiser drops */
    fixture_text(
        "gone.json",
        "{\"input\": \"two.onnx\", \"target_hardware\": \"CPU\", \"quant\": {\"layer_configs\":\n"
        " [{\"op_type\": \"Sin\", \"data_type\": \"U8\"}], \"input_configs\": [\n"
        "  {\"tensor_name\": \"DEFAULT\", \"calibration_dataset\": \"cal_a\","
        " \"calibration_format\": \"Numpy\", \"calibration_size\": 3}]}}\n");
    e2e_cygnet(&result, (e2e_how){0}, "build --config gone.json --output_dir gone");
    e2e_expect_error(&result, 2, "layer_configs[0]|operators of type \"Sin\"|nothing of it is left",
                     "gone");
    /* an entry is missing; a set has fewer samples in common */
    fixture_text("one.json", "{\"input\": \"two.onnx\", \"target_hardware\": \"CPU\", \"quant\":\n"
                             " {\"input_configs\": [{\"tensor_name\": \"a\","
                             " \"calibration_dataset\": \"cal_a\","
                             " \"calibration_format\": \"Numpy\"}]}}\n");
    e2e_cygnet(&result, (e2e_how){0}, "build --config one.json --output_dir gone");
    e2e_expect_error(&result, 2, "\"b\"|input_configs", "gone");
}

static void whole_numbers(void **state)
{
    (void)state;
    ob g = {0};
    const int64_t dims[] = {1, 4};
    int64_t ids[4];
    ob_text(&g, 2, "ids");
    ob_put(&g, 11, ob_value("ids", 7, "1,4"));
    OUTPUT(&g, "y", "1,4,8");
    tensor(&g, "table", "16,8", 128);
    tensor(&g, "w", "8,8", 64);
    NODE(&g, "Gather", "look_up", "table,ids", "t", {0});
    NODE(&g, "MatMul", "mul", "t,w", "y", {0});
    save("ids.onnx", g);
    for (int s = 0; s < 4; s++) {
        for (int i = 0; i < 4; i++)
            ids[i] = (s * 4 + i) * 5 % 16;
        write_npy("cal_ids", s, CYG_NPY_I64, 2, dims, ids);
    }
    fixture_text("ids.json",
                 "{\"input\": \"ids.onnx\", \"target_hardware\": \"CPU\", \"quant\":\n"
                 " {\"input_configs\": [{\"tensor_name\": \"ids\", \"calibration_dataset\":"
                 " \"cal_ids\", \"calibration_format\": \"Numpy\", \"calibration_size\": 4}]}}\n");
    e2e_cygnet(&result, (e2e_how){0}, "build --config ids.json --output_dir ids");
    e2e_expect(&result, 0);
    assert_non_null(
        strstr(result.err, "input \"ids\" of the model is s64: the package takes what"));
    fixture_write("ids_in/ids.bin", ids, sizeof ids);
    e2e_cygnet(&result, (e2e_how){0},
               "run --model ids.onnx --input_dir ids_in --output_dir ids_float");
    e2e_expect(&result, 0);
    int32_t narrow[4];
    float real[4];
    for (int i = 0; i < 4; i++) {
        narrow[i] = (int32_t)ids[i];
        real[i] = (float)ids[i];
    }
    fixture_write("ids_f32/ids.bin", real, sizeof real);
    e2e_cygnet(&result, (e2e_how){0},
               "run --model ids/compiled.cyg --input_dir ids_f32 --output_dir ids_real");
    e2e_expect(&result, 0);
    assert_true(compare("ids_float", "ids_real", "y") > 100);
    fixture_text("ids32.json",
                 "{\"input\": \"ids.onnx\", \"target_hardware\": \"CPU\", \"quant\":\n"
                 " {\"input_configs\": [{\"tensor_name\": \"ids\", \"calibration_dataset\":"
                 " \"cal_ids\", \"calibration_format\": \"Numpy\", \"calibration_size\": 4}]},\n"
                 " \"input_processors\": [{\"tensor_name\": \"ids\", \"src_dtype\": \"S32\"}]}\n");
    e2e_cygnet(&result, (e2e_how){0}, "build --config ids32.json --output_dir ids32");
    e2e_expect(&result, 0);
    fixture_write("ids_s32/ids.bin", narrow, sizeof narrow);
    e2e_cygnet(&result, (e2e_how){0},
               "run --model ids32/compiled.cyg --input_dir ids_s32 --output_dir ids_whole");
    e2e_expect(&result, 0);
    assert_true(compare("ids_real", "ids_whole", "y") >= 1e9);
    /* rows that the table lacks read as zero (kernels/move/gather.c), not as foreign memory */
    for (int i = 0; i < 4; i++)
        ids[i] = 1000 + i;
    fixture_write("ids_in/ids.bin", ids, sizeof ids);
    e2e_cygnet(&result, (e2e_how){0},
               "run --model ids.onnx --input_dir ids_in --output_dir ids_wild");
    e2e_expect(&result, 0);
    size_t size;
    char *bytes = fixture_read(e2e_path("ids_wild/y.bin"), &size);
    for (size_t i = 0; i < size; i++)
        assert_int_equal(bytes[i], 0);
    free(bytes);
}

/* A model that takes bytes and makes floats of them itself. */
static void bytes_of_pictures(void **state)
{
    (void)state;
    ob g = {0};
    ob_text(&g, 2, "bytes");
    ob_put(&g, 11, ob_value("x", 2, "1,3,32,32"));
    OUTPUT(&g, "y", "1,5");
    tensor(&g, "w", "3,5", 15);
    NODE(&g, "Cast", "floats", "x", "f", at_int("to", 1));
    NODE(&g, "GlobalAveragePool", "mean", "f", "m", {0});
    NODE(&g, "Flatten", "flat", "m", "v", {0});
    NODE(&g, "MatMul", "mul", "v,w", "y", {0});
    save("bytes.onnx", g);
    fixture_text("bytes.json",
                 "{\"input\": \"bytes.onnx\", \"target_hardware\": \"CPU\", \"quant\":\n"
                 " {\"input_configs\": [{\"tensor_name\": \"x\", \"calibration_dataset\":"
                 " \"calib\", \"calibration_size\": 4}]}, \"input_processors\": [{\"tensor_name\":"
                 " \"x\", \"src_layout\": \"NHWC\", \"src_dtype\": \"U8\"}]}\n");
    e2e_cygnet(&result, (e2e_how){0}, "build --config bytes.json --output_dir bytes --json");
    e2e_expect(&result, 0);
    assert_true(e2e_number(&result, "sqnr_db") > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_inputs),
        cmocka_unit_test(whole_numbers),
        cmocka_unit_test(bytes_of_pictures),
    };
    return cmocka_run_group_tests(tests, fixture_setup, teardown);
}
