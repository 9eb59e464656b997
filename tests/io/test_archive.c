/* Folders and archives: the same members in the same order whatever holds them, in any reading
 * order; damage. */
#include "../testing.h"

#include <archive.h>
#include <archive_entry.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "io/archive.h"

enum { FILES = 12 };

/* Written in this order, which is not the order of names. One name is too long for a plain tar
 * header. */
static void file_name(int i, char out[400])
{
    if (i == 3)
        snprintf(out, 400, "long/%0200d/x.bin", 7);
    else
        snprintf(out, 400, "d%d/img_%02d.bin", i % 3, (i * 5) % FILES);
}

static size_t file_content(int i, uint8_t *out)
{
    const size_t n = i == 5 ? 0 : (size_t)(i * 977 + 1);
    for (size_t k = 0; k < n; k++)
        out[k] = (uint8_t)((size_t)i * 31 + k * 7);
    return n;
}

static void add_packed(struct archive *a, const char *name, const void *data, size_t size)
{
    struct archive_entry *e = archive_entry_new();
    archive_entry_set_pathname(e, name);
    archive_entry_set_size(e, (la_int64_t)size);
    archive_entry_set_filetype(e, AE_IFREG);
    archive_entry_set_perm(e, 0644);
    assert_int_equal(archive_write_header(a, e), ARCHIVE_OK);
    assert_int_equal(archive_write_data(a, data, size), size);
    archive_entry_free(e);
}

static void make_packed(const char *path, bool zip, bool gzip)
{
    struct archive *a = archive_write_new();
    if (zip)
        archive_write_set_format_zip(a);
    else
        archive_write_set_format_pax_restricted(a);
    if (gzip)
        archive_write_add_filter_gzip(a);
    archive_write_set_bytes_per_block(a, 0);
    assert_int_equal(archive_write_open_filename(a, path), ARCHIVE_OK);
    static uint8_t data[FILES * 977 + 1];
    char name[400];
    for (int i = 0; i < FILES; i++) {
        file_name(i, name);
        add_packed(a, name, data, file_content(i, data));
    }
    add_packed(a, "__MACOSX/._x", "junk", 4);
    add_packed(a, "./d0/.DS_Store", "junk", 4);
    assert_int_equal(archive_write_close(a), ARCHIVE_OK);
    archive_write_free(a);
}

static void make_folder(void **state)
{
    static uint8_t data[FILES * 977 + 1];
    char name[400], path[500];
    for (int i = 0; i < FILES; i++) {
        file_name(i, name);
        snprintf(path, sizeof path, "set/%s", name);
        *strrchr(path, '/') = '\0';
        assert_int_equal(cyg_make_dirs(NULL, scratch_path(state, path)), CYG_OK);
        snprintf(path, sizeof path, "set/%s", name);
        write_scratch(state, path, data, file_content(i, data));
    }
    assert_int_equal(cyg_make_dirs(NULL, scratch_path(state, "set/__MACOSX")), CYG_OK);
    write_scratch(state, "set/d0/.DS_Store", "junk", 4);
}

static void check_member(cyg_archive *a, size_t i)
{
    static uint8_t want[FILES * 977 + 1];
    char name[400];
    for (int f = 0; f < FILES; f++) {
        file_name(f, name);
        if (strcmp(name, cyg_archive_name(a, i)) != 0)
            continue;
        const size_t n = file_content(f, want);
        uint8_t *data = NULL;
        size_t size = 0;
        assert_int_equal(cyg_archive_read(NULL, a, i, &data, &size), CYG_OK);
        assert_int_equal(size, n);
        assert_int_equal(cyg_archive_size(a, i), n);
        assert_memory_equal(data, want, n);
        free(data);
        return;
    }
    fail();
}

static void check_set(const char *path, size_t skipped)
{
    cyg_ctx ctx;
    cyg_archive *a = NULL;
    cyg_ctx_init(&ctx);
    const cyg_status status = cyg_archive_open(&ctx, path, &a);
    if (status != CYG_OK)
        print_error("%s\n", cyg_ctx_message(&ctx, 0));
    assert_int_equal(status, CYG_OK);
    assert_int_equal(cyg_archive_count(a), FILES);
    assert_int_equal(cyg_archive_skipped(a), skipped);
    for (size_t i = 1; i < FILES; i++)
        assert_true(strcmp(cyg_archive_name(a, i - 1), cyg_archive_name(a, i)) < 0);
    for (size_t i = 0; i < FILES; i++)
        check_member(a, i);
    for (size_t i = FILES; i-- > 0;)
        check_member(a, i);
    check_member(a, 4);
    check_member(a, 4);
    cyg_archive_close(a);
    cyg_archive_close(NULL);
}

static void test_all_kinds(void **state)
{
    make_folder(state);
    check_set(scratch_path(state, "set"), 2);
    make_packed(scratch_path(state, "a.tar"), false, false);
    check_set(scratch_path(state, "a.tar"), 2);
    make_packed(scratch_path(state, "a.tar.gz"), false, true);
    check_set(scratch_path(state, "a.tar.gz"), 2);
    make_packed(scratch_path(state, "a.zip"), true, false);
    check_set(scratch_path(state, "a.zip"), 2);
}

static void test_links(void **state)
{
    make_folder(state);
    assert_int_equal(symlink("..", scratch_path(state, "set/d1/loop")), 0);
    assert_int_equal(symlink("nowhere", scratch_path(state, "set/d1/dangling")), 0);
    check_set(scratch_path(state, "set"), 4);
    assert_int_equal(symlink("img_00.bin", scratch_path(state, "set/d0/zlink.bin")), 0);
    cyg_archive *a = NULL;
    assert_int_equal(cyg_archive_open(NULL, scratch_path(state, "set"), &a), CYG_OK);
    assert_int_equal(cyg_archive_count(a), FILES + 1);
    cyg_archive_close(a);
}

static void test_refused(void **state)
{
    cyg_ctx ctx;
    cyg_archive *a = NULL;
    cyg_ctx_init(&ctx);
    write_scratch(state, "x.jpg", "\xff\xd8\xff\xe0 not an archive at all, is it", 30);
    assert_int_equal(cyg_archive_open(&ctx, scratch_path(state, "x.jpg"), &a), CYG_E_FORMAT);
    assert_true(ctx_says(&ctx, "neither a folder nor a tar, tar.gz or zip archive"));
    assert_int_equal(cyg_archive_open(&ctx, scratch_path(state, "none"), &a), CYG_E_IO);
    assert_true(ctx_says(&ctx, "no such file or folder"));
    assert_int_equal(mkdir(scratch_path(state, "empty"), 0700), 0);
    assert_int_equal(cyg_archive_open(&ctx, scratch_path(state, "empty"), &a), CYG_OK);
    assert_int_equal(cyg_archive_count(a), 0);
    uint8_t *data = NULL;
    size_t size = 0;
    assert_int_equal(cyg_archive_read(&ctx, a, 0, &data, &size), CYG_E_INTERNAL);
    cyg_archive_close(a);
}

static void read_everything(const char *path)
{
    cyg_archive *a = NULL;
    if (cyg_archive_open(NULL, path, &a) != CYG_OK)
        return;
    for (size_t i = 0; i < cyg_archive_count(a); i++) {
        uint8_t *data = NULL;
        size_t size = 0;
        CYG_IGNORE(cyg_archive_read(NULL, a, i, &data, &size));
        free(data);
    }
    cyg_archive_close(a);
}

static void test_damaged(void **state)
{
    static const char *const names[] = {"a.tar", "a.tar.gz", "a.zip"};
    for (size_t n = 0; n < CYG_COUNT(names); n++) {
        make_packed(scratch_path(state, names[n]), n == 2, n == 1);
        cyg_map map;
        assert_int_equal(cyg_map_open(NULL, scratch_path(state, names[n]), &map), CYG_OK);
        uint8_t *copy = malloc(map.size);
        assert_non_null(copy);
        memcpy(copy, map.data, map.size);
        const size_t size = map.size;
        cyg_map_close(&map);
        for (size_t i = 0; i < size; i += 1 + size / 150) {
            write_scratch(state, "cut", copy, i);
            read_everything(scratch_path(state, "cut"));
            copy[i] ^= (uint8_t)(1u << i % 8);
            write_scratch(state, "flipped", copy, size);
            read_everything(scratch_path(state, "flipped"));
            copy[i] ^= (uint8_t)(1u << i % 8);
        }
        free(copy);
    }
}

static void test_truncated_member_is_named(void **state)
{
    make_packed(scratch_path(state, "a.tar"), false, false);
    assert_int_equal(truncate(scratch_path(state, "a.tar"), 3000), 0);
    cyg_ctx ctx;
    cyg_archive *a = NULL;
    cyg_ctx_init(&ctx);
    const cyg_status status = cyg_archive_open(&ctx, scratch_path(state, "a.tar"), &a);
    if (status == CYG_OK) {
        uint8_t *data = NULL;
        size_t size = 0, i = 0;
        while (i < cyg_archive_count(a) && cyg_archive_read(&ctx, a, i, &data, &size) == CYG_OK) {
            free(data);
            i++;
        }
        assert_true(i < cyg_archive_count(a));
    }
    assert_true(ctx_says(&ctx, "damaged"));
    cyg_archive_close(a);
}

int main(void)
{
#define SCRATCH_TEST(f) cmocka_unit_test_setup_teardown(f, setup_scratch, teardown_scratch)
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(test_all_kinds),
        SCRATCH_TEST(test_links),
        SCRATCH_TEST(test_refused),
        SCRATCH_TEST(test_damaged),
        SCRATCH_TEST(test_truncated_member_is_named),
    };
    return CYG_TEST_MAIN(tests);
}
