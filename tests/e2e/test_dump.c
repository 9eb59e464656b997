/* Tensors that a build and a run leave for other tools: the folders hold together, and the
 * runtime's tensors are the integer interpreter's, byte by byte. */
#include "e2e.h"

#include <math.h>
#include <sys/stat.h>

static e2e_result result;

static int teardown(void **state)
{
    e2e_free(&result);
    return fixture_teardown(state);
}

static size_t bytes_of(const cyg_doc_node *entry)
{
    const char *type = cyg_doc_get(entry, "dtype")->text;
    size_t bytes = strcmp(type, "f32") == 0 ? 4 : strchr(type, '1') != NULL ? 2 : 1;
    for (size_t i = 0; i < cyg_doc_get(entry, "shape")->count; i++)
        bytes *= (size_t)cyg_doc_get(entry, "shape")->items[i]->integer;
    return bytes;
}

static cyg_doc *table_of(const char *folder)
{
    static cyg_ctx ctx;
    cyg_doc *doc = NULL;
    cyg_ctx_init(&ctx);
    assert_int_equal(cyg_doc_open(&ctx, e2e_path("%s/tensors.json", folder), &doc), CYG_OK);
    return doc;
}

/* Entries of a folder; each file is as large as its entry says. */
static size_t check_folder(const char *folder)
{
    cyg_doc *doc = table_of(folder);
    const cyg_doc_node *root = cyg_doc_root(doc);
    const size_t count = root->count;
    for (size_t i = 0; i < count; i++) {
        struct stat s;
        const char *file = cyg_doc_get(root->items[i], "file")->text;
        assert_int_equal(stat(e2e_path("%s/%s", folder, file), &s), 0);
        const size_t wanted = bytes_of(root->items[i]);
        const bool npy = strstr(file, ".npy") != NULL;
        assert_true(npy ? (size_t)s.st_size > wanted && (size_t)s.st_size < wanted + 512
                        : (size_t)s.st_size == wanted);
    }
    cyg_doc_close(doc);
    return count;
}

static const cyg_doc_node *named(const cyg_doc_node *root, const char *name)
{
    for (size_t i = 0; i < root->count; i++)
        if (strcmp(cyg_doc_get(root->items[i], "name")->text, name) == 0)
            return root->items[i];
    return NULL;
}

static void build_and_run(void **state)
{
    (void)state;
    size_t size, equal = 0;
    e2e_cygnet(&result, (e2e_how){0},
               "build --config build.json --output_dir d --quant.precision_analysis true");
    e2e_expect(&result, 0);
    assert_int_equal(check_folder("d/quant/debug/io/float"), 2);
    assert_int_equal(check_folder("d/quant/debug/io/quant"), 2);
    assert_true(check_folder("d/quant/debug/numpy/float") > 10);
    assert_true(check_folder("d/quant/debug/numpy/xrun") > 10);

    /* The input of the ONNX test set: its last bytes are the tensor. */
    cyg_doc *ends = table_of("d/quant/debug/io/quant"),
            *xrun = table_of("d/quant/debug/numpy/xrun");
    const cyg_doc_node *x = named(cyg_doc_root(ends), "pixel_values");
    assert_non_null(x);
    char *set = fixture_read(e2e_path("d/quant/debug/test_data_set_0/input_0.pb"), &size);
    assert_true(size > bytes_of(x));
    fixture_write("feed/pixel_values.bin", set + size - bytes_of(x), bytes_of(x));
    free(set);
    e2e_cygnet(&result, (e2e_how){0},
               "run --model d/compiled.cyg --input_dir feed --output_dir out "
               "--enable_perlayer_output");
    e2e_expect(&result, 0);
    assert_true(check_folder("out") > 10);
    cyg_doc *layers = table_of("out");
    for (size_t i = 0; i < cyg_doc_root(layers)->count; i++) {
        const cyg_doc_node *entry = cyg_doc_root(layers)->items[i];
        const cyg_doc_node *other = named(cyg_doc_root(xrun), cyg_doc_get(entry, "name")->text);
        if (other == NULL) /* a view that placement made */
            continue;
        size_t found_size, wanted_size;
        char *found =
                 fixture_read(e2e_path("out/%s", cyg_doc_get(entry, "file")->text), &found_size),
             *wanted = fixture_read(
                 e2e_path("d/quant/debug/numpy/xrun/%s", cyg_doc_get(other, "file")->text),
                 &wanted_size);
        assert_true(wanted_size > found_size);
        assert_memory_equal(found, wanted + wanted_size - found_size, found_size);
        free(found);
        free(wanted);
        equal++;
    }
    assert_true(equal > 10);
    cyg_doc_close(ends);
    cyg_doc_close(xrun);
    cyg_doc_close(layers);
    /* The float model's input as a sample for the analysis. */
    char *npy = fixture_read(e2e_path("d/quant/debug/io/float/pixel_values.npy"), &size);
    const size_t floats = 3 * E2E_SIDE * E2E_SIDE * sizeof(float);
    fixture_write("samples/one/pixel_values.bin", npy + size - floats, floats);
    fixture_write("samples/two/pixel_values.bin", npy + size - floats, floats);
    fixture_write("short/pixel_values.bin", npy, 10);
    free(npy);
    e2e_cygnet(&result, (e2e_how){0},
               "build --config build.json --output_dir s --quant.input_sample_dir samples");
    e2e_expect(&result, 0);
    assert_non_null(strstr(result.out, "2 samples · "));
    /* Without the long table the float side is what calibration kept. */
    assert_int_equal(check_folder("s/quant/debug/io/float"), 2);
    size_t other;
    char *a = fixture_read(e2e_path("s/quant/debug/io/float/logits.npy"), &size),
         *b = fixture_read(e2e_path("d/quant/debug/io/float/logits.npy"), &other);
    assert_int_equal(size, other);
    const float *first = (const float *)(void *)(a + size) - E2E_CLASSES,
                *second = (const float *)(void *)(b + size) - E2E_CLASSES;
    for (int i = 0; i < E2E_CLASSES; i++) /* norms were equalised for the second */
        assert_true(fabsf(first[i] - second[i]) < 1e-4f);
    free(a);
    free(b);
    e2e_cygnet(&result, (e2e_how){0},
               "build --config build.json --output_dir no --quant.input_sample_dir short");
    e2e_expect_error(&result, 4,
                     "quant.input_sample_dir|pixel_values|expected 12288 bytes, found 10", "no");
    e2e_cygnet(&result, (e2e_how){0},
               "build --config build.json --output_dir no --quant.input_sample_dir feed/nowhere");
    e2e_expect_error(&result, 3, "feed/nowhere", "no");
    e2e_cygnet(&result, (e2e_how){0},
               "run --model model.onnx --input_dir rnd --output_dir float --random_input "
               "--enable_perlayer_output");
    e2e_expect(&result, 0);
    assert_true(check_folder("float") > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(build_and_run, fixture_setup, teardown)};
    return CYG_TEST_MAIN(tests);
}
