/* Checkpoints against what PyTorch reads from the same files: type, shape, bytes, statistics.
 *
 * data/checkpoints/ is written by make_checkpoints.py; CYG_SHARED/golden has fifteen models of four
 * libraries with the CRC-32 of every tensor; data/ngswin_x2.tsv holds PyTorch's numbers for a
 * released checkpoint that is not ours to commit. */
#include "../testing.h"

#include <math.h>

#include "base/type.h"
#include "io/checkpoint.h"
#include "io/doc.h"

#define CHECKPOINTS CYG_SOURCE_ROOT "/tests/io/data/checkpoints/"

/* ---- a witness of our own for bytes ---- */

static uint32_t crc32_add(uint32_t crc, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        crc ^= data[i];
        for (int k = 0; k < 8; k++)
            crc = crc >> 1 ^ (0xedb88320u & (0u - (crc & 1)));
    }
    return crc;
}

static size_t type_size(cyg_type type)
{
    static const uint8_t sizes[] = {
#define CYG_TYPE(id, text, bytes, onnx) [CYG_TYPE_##id] = bytes,
#include "base/types.def"
#undef CYG_TYPE
    };
    return sizes[type];
}

/* By the definition of strides, one division a dimension: slow and plain. */
static uint32_t crc32_of(const cyg_checkpoint_tensor *t)
{
    const size_t size = type_size(t->type);
    uint32_t crc = UINT32_MAX;
    for (uint64_t i = 0; i < t->elements; i++) {
        uint64_t rest = i, at = 0;
        for (int d = t->rank; d-- > 0; rest /= (uint64_t)t->dims[d])
            at += rest % (uint64_t)t->dims[d] * (uint64_t)t->strides[d];
        crc = crc32_add(crc, (const uint8_t *)t->data + at * size, size);
    }
    return ~crc;
}

static const char *torch_type(cyg_type type)
{
    static const struct {
        cyg_type type;
        const char *name;
    } names[] = {{CYG_TYPE_F32, "float32"}, {CYG_TYPE_F16, "float16"}, {CYG_TYPE_BF16, "bfloat16"},
                 {CYG_TYPE_F64, "float64"}, {CYG_TYPE_U8, "uint8"},    {CYG_TYPE_S8, "int8"},
                 {CYG_TYPE_S16, "int16"},   {CYG_TYPE_S32, "int32"},   {CYG_TYPE_S64, "int64"},
                 {CYG_TYPE_BOOL, "bool"}};
    for (size_t i = 0; i < CYG_COUNT(names); i++)
        if (names[i].type == type)
            return names[i].name;
    return "?";
}

static const char *shape_text(const cyg_checkpoint_tensor *t)
{
    static char text[128];
    size_t n = 0;
    text[0] = '\0';
    for (int i = 0; i < t->rank; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%lld", i > 0 ? "x" : "",
                              (long long)t->dims[i]);
    return t->rank > 0 ? text : "scalar";
}

/* ---- rows of a tsv: file, name, type, shape, crc32, min, max, mean, std ---- */

static void assert_near(double found, double expected, double scale)
{
    if (isnan(expected))
        assert_true(isnan(found));
    else
        assert_true(fabs(found - expected) <= 1e-12 * (fabs(expected) + scale));
}

static void check_row(const cyg_checkpoint *c, char *const column[9])
{
    const cyg_checkpoint_tensor *t = cyg_checkpoint_find(c, column[1]);
    assert_non_null(t);
    assert_string_equal(torch_type(t->type), column[2]);
    assert_string_equal(shape_text(t), column[3]);
    assert_int_equal(crc32_of(t), strtoul(column[4], NULL, 16));
    if (t->elements < 2)
        return;
    cyg_checkpoint_stats s;
    assert_int_equal(cyg_checkpoint_measure(NULL, t, &s), CYG_OK);
    const double min = strtod(column[5], NULL), max = strtod(column[6], NULL);
    assert_near(s.min, min, 0);
    assert_near(s.max, max, 0);
    assert_near(s.mean, strtod(column[7], NULL), max - min);
    assert_near(s.std, strtod(column[8], NULL), max - min);
}

/* Compares every row; counts the rows of each file against its tensors. */
static void check_table(const char *tsv, const char *folder)
{
    char line[1024], *column[9], path[512], open_name[128] = "";
    cyg_checkpoint *c = NULL;
    size_t rows = 0, files = 0;
    FILE *f = fopen(tsv, "r");
    assert_non_null(f);
    assert_non_null(fgets(line, sizeof line, f));
    while (fgets(line, sizeof line, f) != NULL) {
        char *rest = line;
        for (int i = 0; i < 9; i++)
            column[i] = strsep(&rest, "\t\n");
        if (strcmp(open_name, column[0]) != 0) {
            assert_true(c == NULL || rows == cyg_checkpoint_count(c));
            cyg_checkpoint_close(c);
            snprintf(open_name, sizeof open_name, "%s", column[0]);
            snprintf(path, sizeof path, "%s%s", folder, open_name);
            assert_true(cyg_checkpoint_is(path));
            assert_int_equal(cyg_checkpoint_open(NULL, path, &c), CYG_OK);
            files++;
            rows = 0;
        }
        check_row(c, column);
        rows++;
    }
    assert_true(files > 0);
    assert_int_equal(rows, cyg_checkpoint_count(c));
    cyg_checkpoint_close(c);
    fclose(f);
}

static void test_against_torch(void **state)
{
    (void)state;
    check_table(CHECKPOINTS "tensors.tsv", CHECKPOINTS);
}

static void test_released_checkpoint(void **state)
{
    (void)state;
    char folder[512];
    snprintf(folder, sizeof folder, "%s/models/", shared_folder() != NULL ? shared_folder() : "");
    if (shared_folder() == NULL || !cyg_path_is_dir(folder))
        skip();
    check_table(CYG_SOURCE_ROOT "/tests/io/data/ngswin_x2.tsv", folder);
}

/* ---- the shared golden cases ---- */

static const char *doc_text(const cyg_doc_node *map, const char *key)
{
    const cyg_doc_node *node = cyg_doc_get(map, key);
    assert_non_null(node);
    return node->text;
}

static double doc_number(const cyg_doc_node *map, const char *key)
{
    const cyg_doc_node *node = cyg_doc_get(map, key);
    assert_non_null(node);
    return node->kind == CYG_DOC_BOOL ? (double)node->boolean : node->number;
}

static void check_golden_tensor(const cyg_checkpoint_tensor *t, const cyg_doc_node *expected)
{
    assert_non_null(t);
    assert_string_equal(torch_type(t->type), doc_text(expected, "dtype"));
    const cyg_doc_node *shape = cyg_doc_get(expected, "shape");
    assert_int_equal(t->rank, shape->count);
    for (int i = 0; i < t->rank; i++)
        assert_int_equal(t->dims[i], shape->items[i]->integer);
    assert_int_equal(crc32_of(t), strtoul(doc_text(expected, "crc32"), NULL, 16));
    double *values = malloc((size_t)t->elements * sizeof *values);
    assert_non_null(values);
    assert_int_equal(cyg_checkpoint_read_f64(NULL, t, 0, (size_t)t->elements, values), CYG_OK);
    double sum = 0, size = 0;
    for (uint64_t i = 0; i < t->elements; i++) {
        sum += values[i];
        size += fabs(values[i]);
    }
    assert_true(values[0] == doc_number(expected, "first"));
    assert_true(values[t->elements - 1] == doc_number(expected, "last"));
    assert_true(fabs(sum - doc_number(expected, "sum")) <= 1e-9 * size);
    free(values);
}

static bool check_golden(const char *folder, const char *file)
{
    char path[600];
    cyg_doc *doc;
    cyg_checkpoint *c;
    snprintf(path, sizeof path, "%s/%s", folder, file);
    if (!cyg_path_exists(path))
        return false;
    assert_int_equal(cyg_checkpoint_open(NULL, path, &c), CYG_OK);
    snprintf(path, sizeof path, "%s/tensors.json", folder);
    assert_int_equal(cyg_doc_open(NULL, path, &doc), CYG_OK);
    const cyg_doc_node *root = cyg_doc_root(doc);
    assert_int_equal(cyg_checkpoint_count(c), root->count);
    for (size_t i = 0; i < root->count; i++) {
        assert_string_equal(cyg_checkpoint_at(c, i)->name, root->sorted[i]->key);
        check_golden_tensor(cyg_checkpoint_at(c, i), root->sorted[i]);
    }
    cyg_doc_close(doc);
    cyg_checkpoint_close(c);
    return true;
}

static void test_golden(void **state)
{
    (void)state;
    static const char *const cases[] = {"hf_deit",
                                        "hf_swin",
                                        "hf_swin_2stage_bin",
                                        "hf_swinv2",
                                        "hf_vit",
                                        "ms_swin",
                                        "timm_deit",
                                        "timm_swin",
                                        "timm_swin_legacy_pth",
                                        "timm_swinv2",
                                        "timm_vit",
                                        "torchvision_mobilenet_v2",
                                        "torchvision_resnet",
                                        "torchvision_swin",
                                        "torchvision_vit"};
    if (shared_folder() == NULL)
        skip();
    size_t files = 0;
    for (size_t i = 0; i < CYG_COUNT(cases); i++) {
        char folder[512];
        snprintf(folder, sizeof folder, "%s/golden/%s", shared_folder(), cases[i]);
        files += check_golden(folder, "model.safetensors");
        files += check_golden(folder, "pytorch_model.bin");
        files += check_golden(folder, "model.pth");
    }
    if (files == 0)
        skip();
    assert_int_equal(files, CYG_COUNT(cases) + 1);
}

/* ---- what is said about a file ---- */

static cyg_checkpoint *open_ours(const char *name)
{
    char path[512];
    cyg_checkpoint *c;
    snprintf(path, sizeof path, CHECKPOINTS "%s", name);
    assert_int_equal(cyg_checkpoint_open(NULL, path, &c), CYG_OK);
    return c;
}

static void test_training_left_overs(void **state)
{
    (void)state;
    cyg_checkpoint *c = open_ours("training.pth");
    assert_string_equal(cyg_checkpoint_format(c), "PyTorch (zip)");
    assert_string_equal(cyg_checkpoint_place(c), "model");
    assert_string_equal(cyg_checkpoint_prefix(c), "module.");
    assert_int_equal(cyg_checkpoint_note_count(c), 1);
    assert_string_equal(cyg_checkpoint_note_at(c, 0),
                        "also there, not taken: \"model_ema\" with 7 tensors");
    assert_int_equal(cyg_checkpoint_unknown_count(c), 1);
    assert_string_equal(cyg_checkpoint_unknown_at(c, 0), "argparse.Namespace");
    cyg_checkpoint_close(c);

    c = open_ours("generator.pth");
    assert_string_equal(cyg_checkpoint_place(c), "generator.net_g");
    cyg_checkpoint_close(c);
}

static void test_metadata(void **state)
{
    (void)state;
    cyg_checkpoint *c = open_ours("types.safetensors");
    const char *value;
    assert_string_equal(cyg_checkpoint_format(c), "safetensors");
    assert_int_equal(cyg_checkpoint_meta_count(c), 2);
    assert_string_equal(cyg_checkpoint_meta_at(c, 0, &value), "format");
    assert_string_equal(value, "pt");
    assert_int_equal(cyg_checkpoint_file_count(c), 1);
    assert_non_null(strstr(cyg_checkpoint_file(c, 0), "types.safetensors"));
    assert_null(cyg_checkpoint_find(c, "absent"));
    cyg_checkpoint_close(c);
}

static void test_reads(void **state)
{
    (void)state;
    cyg_checkpoint *c = open_ours("types.pth");
    int64_t whole[6];
    float f[7];
    assert_int_equal(cyg_checkpoint_read_s64(NULL, cyg_checkpoint_find(c, "s16"), whole), CYG_OK);
    for (int i = 0; i < 6; i++)
        assert_int_equal(whole[i], -300 + 100 * i);
    assert_int_equal(cyg_checkpoint_read_s64(NULL, cyg_checkpoint_find(c, "s64"), whole), CYG_OK);
    assert_int_equal(whole[0], INT64_C(1) << 40);
    assert_int_equal(cyg_checkpoint_read_s64(NULL, cyg_checkpoint_find(c, "f16"), whole),
                     CYG_E_FORMAT);
    assert_int_equal(cyg_checkpoint_read_f32(NULL, cyg_checkpoint_find(c, "bool"), f), CYG_OK);
    assert_true(f[0] == 1 && f[1] == 0 && f[2] == 1);
    assert_int_equal(cyg_checkpoint_read_f32(NULL, cyg_checkpoint_find(c, "u8"), f), CYG_OK);
    assert_true(f[6] == 216);
    cyg_checkpoint_close(c);

    c = open_ours("views.pth");
    const cyg_checkpoint_tensor *t = cyg_checkpoint_find(c, "turned");
    float all[60];
    double part[7];
    assert_false(t->contiguous);
    assert_int_equal(cyg_checkpoint_read_f32(NULL, t, all), CYG_OK);
    for (int i = 0; i < 60; i++) /* turned[i, j, k] = base[j, k, i] */
        assert_true(all[i] == (float)(i / 12 + i % 12 * 5));
    assert_int_equal(cyg_checkpoint_read_f64(NULL, t, 31, 7, part), CYG_OK);
    for (int i = 0; i < 7; i++)
        assert_true(part[i] == (double)all[31 + i]);
    assert_int_equal(cyg_checkpoint_read_f64(NULL, t, 55, 6, part), CYG_E_INTERNAL);
    for (size_t i = 0; i < cyg_checkpoint_count(c); i++)
        cyg_checkpoint_release(c, cyg_checkpoint_at(c, i));
    cyg_checkpoint_close(c);
}

/* ---- folders and shards ---- */

static void copy_file(void **state, const char *from, const char *name)
{
    char path[512];
    cyg_map map;
    snprintf(path, sizeof path, CHECKPOINTS "%s", from);
    assert_int_equal(cyg_map_open(NULL, path, &map), CYG_OK);
    write_scratch(state, name, map.data, map.size);
    cyg_map_close(&map);
}

static void test_shards(void **state)
{
    static const char index[] =
        "{\"metadata\": {\"total_size\": 1}, \"weight_map\": {\"f32\": \"a.safetensors\", \"s64\": "
        "\"a.safetensors\", \"base\": \"b.bin\", \"column\": \"b.bin\"}}";
    static const char wrong[] = "{\"weight_map\": {\"f32\": \"a.safetensors\", \"x\": "
                                "\"a.safetensors\", \"y\": \"b.bin\"}}";
    static const char outside[] = "{\"weight_map\": {\"f32\": \"../a.safetensors\"}}";
    cyg_checkpoint *c;
    cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    copy_file(state, "types.safetensors", "a.safetensors");
    copy_file(state, "views_old.pth", "b.bin");
    assert_false(cyg_checkpoint_is(*state));
    assert_int_equal(cyg_checkpoint_open(&ctx, *state, &c), CYG_E_IO);
    cyg_ctx_clear(&ctx);
    write_scratch(state, "pytorch_model.bin.index.json", index, sizeof index - 1);
    assert_true(cyg_checkpoint_is(*state));
    assert_int_equal(cyg_checkpoint_open(&ctx, *state, &c), CYG_OK);
    assert_int_equal(cyg_checkpoint_count(c), 4);
    assert_string_equal(cyg_checkpoint_at(c, 0)->name, "base");
    assert_string_equal(cyg_checkpoint_at(c, 3)->name, "s64");
    assert_int_equal(cyg_checkpoint_file_count(c), 2);
    cyg_checkpoint_close(c);

    write_scratch(state, "model.safetensors.index.json", wrong, sizeof wrong - 1);
    assert_int_equal(cyg_checkpoint_open(&ctx, *state, &c), CYG_E_FORMAT);
    assert_true(ctx_says(&ctx, "2 tensors"));
    assert_true(ctx_says(&ctx, "b.bin: \"y\""));
    cyg_ctx_clear(&ctx);
    write_scratch(state, "model.safetensors.index.json", outside, sizeof outside - 1);
    assert_int_equal(cyg_checkpoint_open(&ctx, *state, &c), CYG_E_FORMAT);
    assert_true(ctx_says(&ctx, "not the name of a file in this folder"));
    /* one file is preferred to an index */
    copy_file(state, "types.safetensors", "model.safetensors");
    assert_int_equal(cyg_checkpoint_open(&ctx, *state, &c), CYG_OK);
    assert_int_equal(cyg_checkpoint_count(c), 12);
    cyg_checkpoint_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_torch),
        cmocka_unit_test(test_released_checkpoint),
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_training_left_overs),
        cmocka_unit_test(test_metadata),
        cmocka_unit_test(test_reads),
        cmocka_unit_test_setup_teardown(test_shards, setup_scratch, teardown_scratch),
    };
    return CYG_TEST_MAIN(tests);
}
