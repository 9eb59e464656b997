/* Maps, atomic writers, staging folders: what is on disk after success, after failure and after
 * Ctrl-C. */
#include "../testing.h"

#include <dirent.h>
#include <sys/stat.h>

static size_t entries_in(const char *path)
{
    size_t n = 0;
    DIR *dir = opendir(path);
    assert_non_null(dir);
    while (readdir(dir) != NULL)
        n++;
    closedir(dir);
    return n - 2;
}

static void expect_content(const char *path, const char *want)
{
    cyg_map map;
    assert_int_equal(cyg_map_open(NULL, path, &map), CYG_OK);
    assert_int_equal(map.size, strlen(want));
    if (map.size > 0)
        assert_memory_equal(map.data, want, map.size);
    cyg_map_close(&map);
}

static void test_map(void **state)
{
    cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    cyg_map map;
    static char big[100000];
    memset(big, 7, sizeof big);
    write_scratch(state, "big", big, sizeof big);
    assert_int_equal(cyg_map_open(&ctx, scratch_path(state, "big"), &map), CYG_OK);
    cyg_map_release_pages(&map, 0, map.size);
    cyg_map_release_pages(&map, 5000, 9000);
    cyg_map_release_pages(&map, 200000, 1);
    assert_memory_equal(map.data, big, sizeof big);
    cyg_map_close(&map);
    cyg_map_close(&map);
    write_scratch(state, "empty", "", 0);
    expect_content(scratch_path(state, "empty"), "");
    assert_int_equal(cyg_map_open(&ctx, scratch_path(state, "none"), &map), CYG_E_IO);
    assert_true(ctx_says(&ctx, "none: cannot open"));
    assert_int_equal(cyg_map_open(&ctx, *state, &map), CYG_E_IO);
    assert_true(ctx_says(&ctx, "is a folder, expected a file"));
    assert_int_equal(cyg_map_open(&ctx, "/dev/zero", &map), CYG_E_IO);
}

static void test_writer(void **state)
{
    cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    cyg_writer *w = NULL;
    const char *path = scratch_path(state, "out");
    write_scratch(state, "out", "old", 3);
    assert_int_equal(cyg_writer_open(&ctx, path, &w), CYG_OK);
    cyg_writer_write(w, "head", 4);
    cyg_writer_pad(w, 16);
    assert_int_equal(cyg_writer_offset(w), 16);
    static char big[300000];
    memset(big, 'b', sizeof big);
    cyg_writer_write(w, big, sizeof big);
    cyg_writer_write(w, "tail", 4);
    assert_int_equal(cyg_writer_patch(&ctx, w, 1, "EA", 2), CYG_OK);
    expect_content(path, "old"); /* until commit */
    assert_int_equal(cyg_writer_commit(&ctx, w), CYG_OK);
    cyg_map map;
    assert_int_equal(cyg_map_open(&ctx, path, &map), CYG_OK);
    assert_int_equal(map.size, 16 + sizeof big + 4);
    assert_memory_equal(map.data, "hEAd\0\0\0\0\0\0\0\0\0\0\0\0bb", 18);
    assert_memory_equal(map.data + map.size - 5, "btail", 5);
    cyg_map_close(&map);

    assert_int_equal(cyg_writer_open(&ctx, path, &w), CYG_OK);
    cyg_writer_write(w, "half", 4);
    assert_int_equal(entries_in(*state), 2);
    cyg_writer_abort(w);
    cyg_writer_abort(NULL);
    assert_int_equal(entries_in(*state), 1);
    assert_int_equal(cyg_writer_open(&ctx, scratch_path(state, "no/where"), &w), CYG_E_IO);
    assert_int_equal(cyg_writer_open(&ctx, *state, &w), CYG_E_IO);
}

static void test_devices_are_not_replaced(void **state)
{
    (void)state;
    cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    assert_int_equal(cyg_write_file(&ctx, "/dev/null", "x", 1), CYG_OK);
    struct stat st;
    assert_int_equal(stat("/dev/null", &st), 0);
    assert_true(S_ISCHR(st.st_mode));
    assert_int_equal(cyg_write_file(&ctx, "/dev/full", "x", 1), CYG_E_IO);
    assert_true(ctx_says(&ctx, "/dev/full: cannot write"));
}

static void test_staging(void **state)
{
    cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    cyg_staging s;
    char file[600];
    assert_int_equal(cyg_staging_open(&ctx, scratch_path(state, "a/b/out/"), &s), CYG_OK);
    snprintf(file, sizeof file, "%s/quant/debug", s.temp_path);
    assert_int_equal(cyg_make_dirs(&ctx, file), CYG_OK);
    snprintf(file, sizeof file, "%s/quant/x.txt", s.temp_path);
    assert_int_equal(cyg_write_file(&ctx, file, "1", 1), CYG_OK);
    assert_false(cyg_path_exists(scratch_path(state, "a/b/out")));
    assert_int_equal(cyg_staging_commit(&ctx, &s), CYG_OK);
    expect_content(scratch_path(state, "a/b/out/quant/x.txt"), "1");
    assert_int_equal(entries_in(scratch_path(state, "a/b")), 1);

    /* Over an older result: new files replace, others stay. */
    write_scratch(state, "a/b/out/mine.txt", "keep", 4);
    assert_int_equal(cyg_staging_open(&ctx, scratch_path(state, "a/b/out"), &s), CYG_OK);
    snprintf(file, sizeof file, "%s/quant", s.temp_path);
    assert_int_equal(cyg_make_dirs(&ctx, file), CYG_OK);
    snprintf(file, sizeof file, "%s/quant/x.txt", s.temp_path);
    assert_int_equal(cyg_write_file(&ctx, file, "2", 1), CYG_OK);
    assert_int_equal(cyg_staging_commit(&ctx, &s), CYG_OK);
    cyg_staging_abort(&s);
    expect_content(scratch_path(state, "a/b/out/quant/x.txt"), "2");
    expect_content(scratch_path(state, "a/b/out/mine.txt"), "keep");
    assert_int_equal(entries_in(scratch_path(state, "a/b")), 1);
}

static void test_cleanup_after_interrupt(void **state)
{
    cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    cyg_staging s;
    cyg_writer *w = NULL;
    assert_int_equal(cyg_staging_open(&ctx, scratch_path(state, "out"), &s), CYG_OK);
    assert_int_equal(cyg_writer_open(&ctx, scratch_path(state, "single"), &w), CYG_OK);
    assert_int_equal(entries_in(*state), 2);
    cyg_staging_cleanup();
    assert_int_equal(entries_in(*state), 0);
    cyg_staging_abort(&s);
    cyg_writer_abort(w);
}

static void test_dirs(void **state)
{
    cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    write_scratch(state, "file", "x", 1);
    assert_int_equal(cyg_make_dirs(&ctx, scratch_path(state, "file/x")), CYG_E_IO);
    assert_true(ctx_says(&ctx, "file: cannot make folder: Not a directory"));
    assert_int_equal(cyg_make_dirs(&ctx, scratch_path(state, "p//q/r/")), CYG_OK);
    assert_true(cyg_path_is_dir(scratch_path(state, "p/q/r")));
    assert_int_equal(symlink("..", scratch_path(state, "p/q/up")), 0);
    assert_int_equal(cyg_remove_tree(&ctx, scratch_path(state, "p/q")), CYG_OK);
    assert_true(cyg_path_is_dir(scratch_path(state, "p")));
    assert_int_equal(cyg_remove_tree(&ctx, scratch_path(state, "p/q")), CYG_OK);
    assert_true(cyg_peak_rss_bytes() > 100000);
    assert_true(cyg_seconds() > 0);
}

int main(void)
{
#define SCRATCH_TEST(f) cmocka_unit_test_setup_teardown(f, setup_scratch, teardown_scratch)
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(test_map),
        SCRATCH_TEST(test_writer),
        cmocka_unit_test(test_devices_are_not_replaced),
        SCRATCH_TEST(test_staging),
        SCRATCH_TEST(test_cleanup_after_interrupt),
        SCRATCH_TEST(test_dirs),
    };
    return CYG_TEST_MAIN(tests);
}
