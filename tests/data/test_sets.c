/* Sample sets: which files become samples, what is said about the others, the same bytes with any
 * number of threads. */
#include "../testing.h"

#include "base/hash.h"
#include "data/array_set.h"
#include "data/image_set.h"
#include "data/joint.h"
#include "io/npy.h"

#define DATA CYG_SOURCE_ROOT "/tests/io/data/"

static void copy_picture(void **state, const char *from, const char *to, size_t most)
{
    char path[512];
    cyg_map map;
    snprintf(path, sizeof path, DATA "%s", from);
    assert_int_equal(cyg_map_open(NULL, path, &map), CYG_OK);
    write_scratch(state, to, map.data, map.size < most ? map.size : most);
    cyg_map_close(&map);
}

typedef struct heard {
    char warnings[4096];
} heard;

static void listen(void *user, const cyg_log_event *event)
{
    heard *h = user;
    if (event->kind == CYG_LOG_WARNING)
        snprintf(h->warnings + strlen(h->warnings), sizeof h->warnings - strlen(h->warnings),
                 "%s\n", event->text);
}

static void make_pictures(void **state)
{
    assert_int_equal(cyg_make_dirs(NULL, scratch_path(state, "set/sub")), CYG_OK);
    copy_picture(state, "420.jpg", "set/a.jpg", SIZE_MAX);
    copy_picture(state, "rgb.png", "set/b.txt", SIZE_MAX); /* by content, not by name */
    copy_picture(state, "444.jpg", "set/c.jpg", 300);
    write_scratch(state, "set/notes.txt", "hello", 5);
    write_scratch(state, "set/.hidden", "x", 1);
    copy_picture(state, "exif6.jpg", "set/sub/d.jpg", SIZE_MAX);
    copy_picture(state, "grey8.png", "set/sub/e.png", SIZE_MAX);
    copy_picture(state, "palette8.png", "set/sub/f.png", SIZE_MAX);
}

static void digest_set(cyg_ctx *ctx, const char *path, int64_t limit, char hex[65])
{
    cyg_preprocess p;
    cyg_image_set *set = NULL;
    cyg_preprocess_init(&p, 24, 32);
    p.normalize = true;
    p.mean[1] = 116.28f;
    assert_int_equal(cyg_image_set_open(ctx, path, &p, limit, &set), CYG_OK);
    const cyg_sample_source source = cyg_image_set_source(set);
    cyg_sha h;
    cyg_sha256_init(&h);
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < source.count; i++) {
            cyg_sample_tensor tensor;
            const uint8_t *pixels = NULL;
            assert_int_equal(source.get(ctx, source.self, i, &tensor), CYG_OK);
            assert_int_equal(tensor.count, 24 * 32 * 3);
            cyg_sha_update(&h, tensor.data, tensor.count * sizeof(float));
            assert_int_equal(cyg_image_set_pixels(ctx, set, i, &pixels), CYG_OK);
            assert_true(tensor.data[0] == (float)pixels[0]);
        }
    }
    cyg_sha_final_hex(&h, hex);
    cyg_image_set_close(set);
}

static void test_image_set(void **state)
{
    make_pictures(state);
    cyg_ctx ctx;
    heard h = {{0}};
    cyg_ctx_init(&ctx);
    ctx.log = (cyg_log){.sink = listen, .user = &h};
    cyg_preprocess p;
    cyg_image_set *set = NULL;
    cyg_preprocess_init(&p, 8, 8);
    assert_int_equal(cyg_image_set_open(&ctx, scratch_path(state, "set"), &p, 32, &set), CYG_OK);
    assert_int_equal(cyg_image_set_count(set), 5);
    assert_int_equal(cyg_image_set_skipped(set), 2);
    assert_string_equal(cyg_image_set_name(set, 1), "b.txt");
    assert_string_equal(cyg_image_set_name(set, 2), "sub/d.jpg");
    assert_non_null(strstr(h.warnings, "entry 3: c.jpg: damaged JPEG: "));
    assert_non_null(strstr(h.warnings, "entry 4: notes.txt is neither JPEG nor PNG"));
    assert_non_null(strstr(h.warnings, "5 of 7 files were usable; calibration_size asks for 32"));
    assert_non_null(
        strstr(h.warnings, "1 picture asks to be turned by EXIF (the first is \"sub/d.jpg\")"));
    cyg_image_set_close(set);
    assert_int_equal(cyg_image_set_open(&ctx, scratch_path(state, "set"), &p, 2, &set), CYG_OK);
    assert_int_equal(cyg_image_set_count(set), 2);
    const uint8_t *pixels = NULL;
    assert_int_equal(cyg_image_set_pixels(&ctx, set, 2, &pixels), CYG_E_INTERNAL);
    cyg_image_set_close(set);
    cyg_image_set_close(NULL);
}

static void test_nothing_usable(void **state)
{
    cyg_ctx ctx;
    cyg_preprocess p;
    cyg_image_set *set = NULL;
    cyg_ctx_init(&ctx);
    cyg_preprocess_init(&p, 8, 8);
    assert_int_equal(cyg_make_dirs(NULL, scratch_path(state, "set")), CYG_OK);
    assert_int_equal(cyg_image_set_open(&ctx, scratch_path(state, "set"), &p, 32, &set),
                     CYG_E_FORMAT);
    write_scratch(state, "set/notes.txt", "hello", 5);
    cyg_ctx_clear(&ctx);
    assert_int_equal(cyg_image_set_open(&ctx, scratch_path(state, "set"), &p, 32, &set),
                     CYG_E_FORMAT);
    assert_true(ctx_says(&ctx, "none of its 1 files is a usable picture (JPEG or PNG"));
    assert_true(ctx_says(&ctx, "notes.txt is neither JPEG nor PNG"));
    p.std[0] = 0;
    assert_int_equal(cyg_image_set_open(&ctx, scratch_path(state, "set"), &p, 32, &set),
                     CYG_E_CONFIG);
}

static void test_threads_do_not_show(void **state)
{
    make_pictures(state);
    char first[65] = "", hex[65];
    for (unsigned threads = 1; threads <= 3; threads++) {
        cyg_ctx ctx;
        cyg_ctx_init(&ctx);
        ctx.pool = cyg_pool_create(threads);
        digest_set(&ctx, scratch_path(state, "set"), -1, hex);
        if (threads == 1)
            memcpy(first, hex, sizeof first);
        assert_string_equal(first, hex);
        cyg_pool_destroy(ctx.pool);
    }
}

static void test_cancelled(void **state)
{
    make_pictures(state);
    const int flag = 1;
    cyg_ctx ctx;
    cyg_preprocess p;
    cyg_image_set *set = NULL;
    cyg_ctx_init(&ctx);
    ctx.cancelled = &flag;
    cyg_preprocess_init(&p, 8, 8);
    assert_int_equal(cyg_image_set_open(&ctx, scratch_path(state, "set"), &p, 32, &set),
                     CYG_E_CANCELLED);
}

static void save(void **state, const char *name, float first, size_t rank, const int64_t *dims)
{
    const float values[6] = {first, 1, 2, 3, 4, 5};
    assert_int_equal(cyg_npy_save(NULL, scratch_path(state, name), CYG_NPY_F32, rank, dims, values),
                     CYG_OK);
}

static void test_arrays(void **state)
{
    static const int64_t dims[3] = {1, 2, 3};
    const cyg_array_spec spec = {.format = CYG_ARRAY_NPY, .rank = 3, .dims = {1, 2, 3}};
    cyg_ctx ctx;
    cyg_array_set *set = NULL;
    cyg_sample_tensor tensor;
    cyg_ctx_init(&ctx);
    assert_int_equal(cyg_make_dirs(NULL, scratch_path(state, "a")), CYG_OK);
    save(state, "a/0.npy", 10, 3, dims);
    save(state, "a/1.npy", 11, 2, dims + 1);
    save(state, "a/2.npy", 12, 1, dims + 2);
    write_scratch(state, "a/3.npy", "hello", 5);
    write_scratch(state, "a/x.md", "hello", 5);
    assert_int_equal(cyg_array_set_open(&ctx, scratch_path(state, "a"), &spec, -1, &set), CYG_OK);
    const cyg_sample_source source = cyg_array_set_source(set);
    assert_int_equal(source.count, 4);
    assert_int_equal(source.get(&ctx, source.self, 1, &tensor), CYG_OK);
    assert_int_equal(tensor.count, 6);
    assert_true(tensor.data[0] == 11);
    assert_int_equal(source.get(&ctx, source.self, 2, &tensor), CYG_E_FORMAT);
    assert_true(ctx_says(&ctx, "\"2.npy\" has the shape [3], the input takes [1, 2, 3]"));
    assert_int_equal(source.get(&ctx, source.self, 3, &tensor), CYG_E_FORMAT);
    assert_int_equal(source.get(&ctx, source.self, 4, &tensor), CYG_E_INTERNAL);
    cyg_array_set_close(set);

    const cyg_array_spec raw = {
        .format = CYG_ARRAY_BIN, .type = CYG_TYPE_S16, .rank = 2, .dims = {1, 2}};
    assert_int_equal(cyg_make_dirs(NULL, scratch_path(state, "b")), CYG_OK);
    write_scratch(state, "b/0.bin", "\x01\x00\xff\xff", 4);
    write_scratch(state, "b/1.bin", "\x01\x00\xff\xff\x00", 5);
    assert_int_equal(cyg_array_set_open(&ctx, scratch_path(state, "b"), &raw, -1, &set), CYG_OK);
    const cyg_sample_source bin = cyg_array_set_source(set);
    assert_int_equal(bin.get(&ctx, bin.self, 0, &tensor), CYG_OK);
    assert_true(tensor.data[0] == 1 && tensor.data[1] == -1);
    assert_int_equal(bin.get(&ctx, bin.self, 1, &tensor), CYG_E_FORMAT);
    assert_true(ctx_says(&ctx, "\"1.bin\" has 5 bytes, the input takes 4"));
    cyg_array_set_close(set);
    assert_int_equal(cyg_array_set_open(&ctx, scratch_path(state, "b"), &spec, -1, &set),
                     CYG_E_FORMAT);
    assert_true(ctx_says(&ctx, "none of its 2 files ends in .npy"));
}

/* One file carries all inputs: a set for each, under the input's name. */
static void test_dicts(void **state)
{
    cyg_array_spec spec = {
        .format = CYG_ARRAY_NPY_DICT, .key = "mask", .rank = 3, .dims = {1, 2, 3}};
    cyg_ctx ctx;
    cyg_array_set *set = NULL;
    cyg_sample_tensor tensor;
    cyg_map map;
    cyg_ctx_init(&ctx);
    assert_int_equal(cyg_make_dirs(NULL, scratch_path(state, "d")), CYG_OK);
    assert_int_equal(
        cyg_map_open(NULL, CYG_SOURCE_ROOT "/tests/io/data/npy_dict/good_numpy2.npy", &map),
        CYG_OK);
    write_scratch(state, "d/0.npy", map.data, map.size);
    write_scratch(state, "d/1.npy", map.data, map.size - 1);
    save(state, "d/2.npy", 10, 3, spec.dims);
    cyg_map_close(&map);
    assert_int_equal(cyg_array_set_open(&ctx, scratch_path(state, "d"), &spec, -1, &set), CYG_OK);
    cyg_sample_source source = cyg_array_set_source(set);
    assert_int_equal(source.get(&ctx, source.self, 0, &tensor), CYG_OK);
    assert_int_equal(tensor.count, 6);
    assert_true(tensor.data[5] == 1.25f);
    assert_int_equal(source.get(&ctx, source.self, 1, &tensor), CYG_E_FORMAT);
    assert_int_equal(source.get(&ctx, source.self, 2, &tensor), CYG_E_FORMAT);
    assert_true(ctx_says(&ctx, "calibration_format Numpy takes plain ones"));
    cyg_array_set_close(set);
    spec.key = "ids";
    assert_int_equal(cyg_array_set_open(&ctx, scratch_path(state, "d"), &spec, 1, &set), CYG_OK);
    source = cyg_array_set_source(set);
    cyg_ctx_init(&ctx);
    assert_int_equal(source.get(&ctx, source.self, 0, &tensor), CYG_E_FORMAT);
    assert_true(
        ctx_says(&ctx, "the array \"ids\" has the shape [1, 4], the input takes [1, 2, 3]"));
    cyg_array_set_close(set);
}

static void test_joint(void **state)
{
    static const int64_t dims[2] = {2, 3};
    const cyg_array_spec spec = {.format = CYG_ARRAY_NPY, .rank = 2, .dims = {2, 3}};
    static const char *const names[] = {"a/1.npy", "a/2.npy",  "a/3.npy",
                                        "b/3.npy", "b/10.npy", "b/x/1.npy"};
    cyg_ctx ctx;
    cyg_array_set *sets[2] = {NULL, NULL};
    cyg_joint *joint = NULL;
    cyg_sample_tensor tensors[2];
    cyg_ctx_init(&ctx);
    assert_int_equal(cyg_make_dirs(NULL, scratch_path(state, "a")), CYG_OK);
    assert_int_equal(cyg_make_dirs(NULL, scratch_path(state, "b/x")), CYG_OK);
    for (size_t i = 0; i < CYG_COUNT(names); i++)
        save(state, names[i], (float)i, 2, dims);
    assert_int_equal(cyg_array_set_open(&ctx, scratch_path(state, "a"), &spec, -1, &sets[0]),
                     CYG_OK);
    assert_int_equal(cyg_array_set_open(&ctx, scratch_path(state, "b"), &spec, -1, &sets[1]),
                     CYG_OK);
    const cyg_sample_source sources[2] = {cyg_array_set_source(sets[0]),
                                          cyg_array_set_source(sets[1])};
    assert_int_equal(cyg_joint_open(&ctx, sources, 2, -1, &joint), CYG_OK);
    const cyg_sample_source both = cyg_joint_source(joint);
    assert_int_equal(both.count, 2);
    assert_int_equal(both.input_count, 2);
    assert_int_equal(both.get(&ctx, both.self, 0, tensors), CYG_OK);
    assert_true(tensors[0].data[0] == 0 && tensors[1].data[0] == 5);
    assert_int_equal(both.get(&ctx, both.self, 1, tensors), CYG_OK);
    assert_true(tensors[0].data[0] == 2 && tensors[1].data[0] == 3);
    assert_string_equal(both.name(both.self, 1), "3.npy");
    cyg_joint_close(joint);
    assert_int_equal(cyg_joint_open(&ctx, sources, 2, 1, &joint), CYG_OK);
    assert_int_equal(cyg_joint_source(joint).count, 1);
    cyg_joint_close(joint);
    cyg_array_set_close(sets[0]);
    cyg_array_set_close(sets[1]);
}

int main(void)
{
#define SCRATCH_TEST(f) cmocka_unit_test_setup_teardown(f, setup_scratch, teardown_scratch)
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(test_image_set),
        SCRATCH_TEST(test_nothing_usable),
        SCRATCH_TEST(test_threads_do_not_show),
        SCRATCH_TEST(test_cancelled),
        SCRATCH_TEST(test_arrays),
        SCRATCH_TEST(test_dicts),
        SCRATCH_TEST(test_joint),
    };
    return CYG_TEST_MAIN(tests);
}
