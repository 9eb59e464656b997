/* Labelled sets in their three forms, and class names from text and JSON. */
#include "../testing.h"

#include <archive.h>
#include <archive_entry.h>

#include "data/class_names.h"
#include "data/dataset.h"

#define DATA CYG_SOURCE_ROOT "/tests/io/data/"

static void copy_picture(void **state, const char *from, const char *to)
{
    char path[512];
    cyg_map map;
    snprintf(path, sizeof path, DATA "%s", from);
    assert_int_equal(cyg_map_open(NULL, path, &map), CYG_OK);
    write_scratch(state, to, map.data, map.size);
    cyg_map_close(&map);
}

static void test_labels_file(void **state)
{
    static const char text[] = "class_index\tfile\n7\tb.jpg\n0\tpics/a.png\n3\tnone.jpg\n";
    cyg_ctx ctx;
    cyg_dataset *set = NULL;
    cyg_picture picture;
    cyg_preprocess p;
    cyg_ctx_init(&ctx);
    cyg_preprocess_init(&p, 8, 8);
    assert_int_equal(cyg_make_dirs(NULL, scratch_path(state, "d/pics")), CYG_OK);
    copy_picture(state, "420.jpg", "d/b.jpg");
    copy_picture(state, "rgb.png", "d/pics/a.png");
    write_scratch(state, "d/labels.tsv", text, sizeof text - 1);
    for (int form = 0; form < 2; form++) {
        const char *path =
            form == 0 ? scratch_path(state, "d") : scratch_path(state, "d/labels.tsv");
        assert_int_equal(cyg_dataset_open(&ctx, path, &set), CYG_OK);
        assert_int_equal(cyg_dataset_count(set), 3);
        assert_string_equal(cyg_dataset_name(set, 1), "pics/a.png");
        assert_int_equal(cyg_dataset_class(set, 0), 7);
        assert_int_equal(cyg_dataset_class_count(set), 8);
        assert_string_equal(cyg_dataset_folder(set, 0), "");
        assert_int_equal(cyg_dataset_start(&ctx, set, &p), CYG_OK);
        for (size_t i = 0; i < 2; i++) {
            assert_int_equal(cyg_dataset_get(&ctx, set, i, &picture), CYG_OK);
            assert_non_null(picture.pixels);
        }
        assert_int_equal(cyg_dataset_get(&ctx, set, 2, &picture), CYG_OK);
        assert_null(picture.pixels);
        assert_non_null(strstr(picture.problem, "none.jpg: cannot open"));
        assert_int_equal(cyg_ctx_message_count(&ctx), 0);
        cyg_dataset_close(set);
    }
    cyg_dataset_close(NULL);
}

static void check_folders(cyg_ctx *ctx, const char *path)
{
    cyg_dataset *set = NULL;
    cyg_picture picture;
    cyg_preprocess p;
    cyg_preprocess_init(&p, 8, 8);
    assert_int_equal(cyg_dataset_open(ctx, path, &set), CYG_OK);
    assert_int_equal(cyg_dataset_count(set), 4);
    assert_int_equal(cyg_dataset_class_count(set), 3);
    static const char *const folders[] = {"cat", "cat-b", "dog"};
    for (int64_t c = 0; c < 3; c++)
        assert_string_equal(cyg_dataset_folder(set, c), folders[c]);
    assert_string_equal(cyg_dataset_folder(set, 3), "");
    assert_int_equal(cyg_dataset_start(ctx, set, &p), CYG_OK);
    for (size_t i = 0; i < 4; i++) {
        const char *name = cyg_dataset_name(set, i);
        const int64_t want = strstr(name, "cat-b/") != NULL ? 1
                             : strstr(name, "dog/") != NULL ? 2
                                                            : 0;
        assert_int_equal(cyg_dataset_class(set, i), want);
        assert_int_equal(cyg_dataset_get(ctx, set, i, &picture), CYG_OK);
        assert_non_null(picture.pixels);
    }
    cyg_dataset_close(set);
}

static void pack(void **state, const char *tar, const char *const *names, size_t n)
{
    struct archive *a = archive_write_new();
    archive_write_set_format_ustar(a);
    assert_int_equal(archive_write_open_filename(a, scratch_path(state, tar)), ARCHIVE_OK);
    for (size_t i = 0; i < n; i++) {
        cyg_map map;
        char name[256];
        struct archive_entry *e = archive_entry_new();
        assert_int_equal(cyg_map_open(NULL, DATA "grey.jpg", &map), CYG_OK);
        snprintf(name, sizeof name, "wrap/val/%s", names[i]);
        archive_entry_set_pathname(e, name);
        archive_entry_set_size(e, (la_int64_t)map.size);
        archive_entry_set_filetype(e, AE_IFREG);
        assert_int_equal(archive_write_header(a, e), ARCHIVE_OK);
        assert_int_equal(archive_write_data(a, map.data, map.size), map.size);
        archive_entry_free(e);
        cyg_map_close(&map);
    }
    archive_write_free(a);
}

static void test_class_folders(void **state)
{
    static const char *const names[] = {"dog/1.jpg", "cat/1.jpg", "cat-b/x/1.jpg", "cat/2.jpg"};
    cyg_ctx ctx;
    cyg_ctx_init(&ctx);
    for (size_t i = 0; i < CYG_COUNT(names); i++) {
        char path[256];
        snprintf(path, sizeof path, "f/%s", names[i]);
        *strrchr(path, '/') = '\0';
        assert_int_equal(cyg_make_dirs(NULL, scratch_path(state, path)), CYG_OK);
        snprintf(path, sizeof path, "f/%s", names[i]);
        copy_picture(state, "grey.jpg", path);
    }
    write_scratch(state, "f/README", "x", 1);
    check_folders(&ctx, scratch_path(state, "f"));
    pack(state, "f.tar", names, CYG_COUNT(names));
    check_folders(&ctx, scratch_path(state, "f.tar"));
    pack(state, "one.tar", names, 1);
    cyg_dataset *set = NULL;
    assert_int_equal(cyg_dataset_open(&ctx, scratch_path(state, "one.tar"), &set), CYG_OK);
    assert_string_equal(cyg_dataset_folder(set, 0), "dog");
    cyg_dataset_close(set);
}

static void test_refused(void **state)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"file\tlabel\na\t1\n", "no column \"class_index\""},
        {"file\tclass_index\na\tone\n", ":2: class_index: expected a whole number, found \"one\""},
        {"file\tclass_index\na\t-1\n", "class_index -1 is out of range"},
        {"file\tclass_index\n", "no rows below the header"},
    };
    for (size_t i = 0; i < CYG_COUNT(cases); i++) {
        cyg_ctx ctx;
        cyg_dataset *set = NULL;
        cyg_ctx_init(&ctx);
        write_scratch(state, "l.tsv", cases[i].text, strlen(cases[i].text));
        assert_int_equal(cyg_dataset_open(&ctx, scratch_path(state, "l.tsv"), &set), CYG_E_FORMAT);
        assert_true(ctx_says(&ctx, cases[i].message));
    }
    cyg_ctx ctx;
    cyg_dataset *set = NULL;
    cyg_ctx_init(&ctx);
    assert_int_equal(cyg_dataset_open(&ctx, *state, &set), CYG_E_FORMAT);
    assert_true(ctx_says(&ctx, "expected a labels.tsv or one sub-folder a class"));
}

static void test_class_names(void **state)
{
    static const char text[] = "n01440764 tench, Tinca tinca\r\nplain name\n\nn1 x\n\n\n";
    cyg_ctx ctx;
    cyg_class_names *names = NULL;
    cyg_ctx_init(&ctx);
    assert_int_equal(cyg_class_names_parse(&ctx, "w", text, sizeof text - 1, &names), CYG_OK);
    assert_int_equal(cyg_class_names_count(names), 4);
    assert_string_equal(cyg_class_names_get(names, 0), "tench, Tinca tinca");
    assert_string_equal(cyg_class_names_get(names, 1), "plain name");
    assert_string_equal(cyg_class_names_get(names, 2), "");
    assert_string_equal(cyg_class_names_get(names, 3), "n1 x");
    assert_string_equal(cyg_class_names_get(names, 4), "");
    assert_string_equal(cyg_class_names_get(NULL, 0), "");
    cyg_strbuf out = {0};
    cyg_json json;
    cyg_json_init(&json, &out, 0);
    cyg_class_names_write(names, &json);
    assert_string_equal(out.data, "[\"tench, Tinca tinca\",\"plain name\",\"\",\"n1 x\"]");
    cyg_class_names_close(names);
    write_scratch(state, "n.json", out.data, out.len);
    cyg_strbuf_deinit(&out);
    assert_int_equal(cyg_class_names_open(&ctx, scratch_path(state, "n.json"), &names), CYG_OK);
    assert_string_equal(cyg_class_names_get(names, 3), "n1 x");
    cyg_class_names_close(names);
    static const char config[] = "{\"id2label\": {\"1\": \"b\", \"0\": \"a\", \"3\": \"d\"}}";
    write_scratch(state, "c.json", config, sizeof config - 1);
    assert_int_equal(cyg_class_names_open(&ctx, scratch_path(state, "c.json"), &names), CYG_OK);
    assert_int_equal(cyg_class_names_count(names), 4);
    assert_string_equal(cyg_class_names_get(names, 1), "b");
    assert_string_equal(cyg_class_names_get(names, 2), "");
    cyg_class_names_close(names);
    static const char bad[] = "{\"id2label\": {\"99999999999\": \"b\"}}";
    write_scratch(state, "c.json", bad, sizeof bad - 1);
    assert_int_equal(cyg_class_names_open(&ctx, scratch_path(state, "c.json"), &names),
                     CYG_E_FORMAT);
    assert_int_equal(cyg_class_names_parse(&ctx, "w", "\n\n", 2, &names), CYG_E_FORMAT);
    assert_int_equal(cyg_class_names_parse(&ctx, "w", NULL, 0, &names), CYG_E_FORMAT);
}

int main(void)
{
#define SCRATCH_TEST(f) cmocka_unit_test_setup_teardown(f, setup_scratch, teardown_scratch)
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(test_labels_file),
        SCRATCH_TEST(test_class_folders),
        SCRATCH_TEST(test_refused),
        SCRATCH_TEST(test_class_names),
    };
    return CYG_TEST_MAIN(tests);
}
