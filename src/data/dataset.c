/* Labelled pictures.
 *
 * Either way the result is a list of (file, class). With a labels.tsv the files are looked up on
 * disk beside it and order is that of the table; with sub-folders they are the members of the
 * folder or archive, in byte-wise order. An archive often wraps everything in one folder: folders
 * common to all members are not classes.
 *
 * Nothing is decoded before cyg_dataset_get: a picture that turns out broken is one row of the
 * result, not the end. */
#include "data/dataset.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/ctx.h"
#include "base/file.h"
#include "io/archive.h"
#include "io/tsv.h"

typedef struct item {
    const char *name;
    int64_t class_index;
    size_t member; /* of the archive */
} item;

struct cyg_dataset {
    cyg_arena arena;
    const char *path;
    const char *folder;   /* labels.tsv: files are relative to it; NULL = members of the archive */
    cyg_archive *archive; /* NULL with labels.tsv */
    item *items;
    size_t count;
    const char **classes; /* sub-folder names, [folders] */
    size_t folders;
    int64_t class_count;
    cyg_decoder *decoder;
};

static cyg_status no_memory(cyg_ctx *ctx, const cyg_dataset *s)
{
    return CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", s->path);
}

static cyg_status read_labels(cyg_ctx *ctx, cyg_dataset *s, const char *path, const cyg_tsv *t)
{
    enum { MOST_CLASSES = 1 << 24 };
    size_t file, label;
    const char *slash = strrchr(path, '/');
    CYG_DO(cyg_tsv_column(ctx, t, "file", &file));
    CYG_DO(cyg_tsv_column(ctx, t, "class_index", &label));
    s->folder =
        slash == NULL ? "." : cyg_arena_strndup(&s->arena, path, (size_t)(slash - path) + 1);
    s->count = cyg_tsv_rows(t);
    s->items = CYG_NEW_ARRAY(&s->arena, item, s->count);
    if (s->folder == NULL || s->items == NULL)
        return no_memory(ctx, s);
    for (size_t i = 0; i < s->count; i++) {
        item *it = &s->items[i];
        it->name = cyg_arena_strdup(&s->arena, cyg_tsv_cell(t, i, file));
        if (it->name == NULL)
            return no_memory(ctx, s);
        CYG_DO(cyg_tsv_int(ctx, t, i, label, &it->class_index));
        if (it->class_index < 0 || it->class_index >= MOST_CLASSES)
            return CYG_FAIL(ctx, CYG_E_FORMAT, "%s:%zu: class_index %" PRId64 " is out of range",
                            path, cyg_tsv_line(t, i), it->class_index);
        if (it->class_index >= s->class_count)
            s->class_count = it->class_index + 1;
    }
    if (s->count == 0)
        return CYG_FAIL(ctx, CYG_E_FORMAT, "%s: no rows below the header", path);
    return CYG_OK;
}

static cyg_status open_labels(cyg_ctx *ctx, cyg_dataset *s, const char *path)
{
    cyg_tsv *table = NULL;
    CYG_DO(cyg_tsv_open(ctx, path, &table));
    const cyg_status status = read_labels(ctx, s, path, table);
    cyg_tsv_close(table);
    return status;
}

/* Length of the folder prefix that all members share ("wrap/val/"). Folders on disk keep their
 * first level. */
static size_t common_prefix(const cyg_dataset *s)
{
    const size_t n = cyg_archive_count(s->archive);
    if (n == 0 || cyg_path_is_dir(s->path))
        return 0;
    /* Names are sorted: what the first and the last share, all share. */
    const char *a = cyg_archive_name(s->archive, 0), *b = cyg_archive_name(s->archive, n - 1);
    size_t same = 0, folder = 0, before = 0;
    for (; a[same] != '\0' && a[same] == b[same]; same++) {
        if (a[same] == '/') {
            before = folder;
            folder = same + 1;
        }
    }
    /* The class level itself may be common to all (one class): leave one level. */
    const bool below = strchr(a + folder, '/') != NULL && strchr(b + folder, '/') != NULL;
    return below ? folder : before;
}

/* One sub-folder a class: members are sorted, so classes come in byte order and together. ("a-b/x"
 * sorts between "a" and "a/x", hence the search among all classes, and the sort after it.) */
static int by_text(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

static cyg_status collect_classes(cyg_ctx *ctx, cyg_dataset *s, size_t prefix)
{
    const size_t n = cyg_archive_count(s->archive);
    s->classes = CYG_NEW_ARRAY(&s->arena, const char *, n > 0 ? n : 1);
    if (s->classes == NULL)
        return no_memory(ctx, s);
    const char *last = NULL;
    for (size_t i = 0; i < n; i++) {
        const char *name = cyg_archive_name(s->archive, i) + prefix;
        const char *slash = strchr(name, '/');
        if (slash == NULL)
            continue;
        const size_t length = (size_t)(slash - name);
        if (last != NULL && strlen(last) == length && memcmp(last, name, length) == 0)
            continue;
        last = cyg_arena_strndup(&s->arena, name, length);
        if (last == NULL)
            return no_memory(ctx, s);
        s->classes[s->folders++] = last;
    }
    size_t unique = 0;
    if (s->folders > 0)
        qsort(s->classes, s->folders, sizeof *s->classes, by_text);
    for (size_t i = 0; i < s->folders; i++)
        if (unique == 0 || strcmp(s->classes[unique - 1], s->classes[i]) != 0)
            s->classes[unique++] = s->classes[i];
    s->folders = unique;
    s->class_count = (int64_t)unique;
    return CYG_OK;
}

static int64_t class_of(const cyg_dataset *s, const char *name, size_t length)
{
    size_t low = 0, high = s->folders;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const char *c = s->classes[middle];
        int order = strncmp(name, c, length);
        if (order == 0 && c[length] != '\0')
            order = -1;
        if (order == 0)
            return (int64_t)middle;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return -1;
}

static cyg_status open_folders(cyg_ctx *ctx, cyg_dataset *s)
{
    size_t outside = 0;
    CYG_DO(cyg_archive_open(ctx, s->path, &s->archive));
    const size_t n = cyg_archive_count(s->archive);
    const size_t prefix = common_prefix(s);
    CYG_DO(collect_classes(ctx, s, prefix));
    s->items = CYG_NEW_ARRAY(&s->arena, item, n > 0 ? n : 1);
    if (s->items == NULL)
        return no_memory(ctx, s);
    for (size_t i = 0; i < n; i++) {
        const char *name = cyg_archive_name(s->archive, i), *slash = strchr(name + prefix, '/');
        if (slash == NULL) {
            outside++;
            continue;
        }
        const int64_t c = class_of(s, name + prefix, (size_t)(slash - name) - prefix);
        s->items[s->count++] = (item){name, c, i};
    }
    if (s->count == 0)
        return CYG_FAIL(ctx, CYG_E_FORMAT,
                        "%s: expected a labels.tsv or one sub-folder a class, found %zu files in "
                        "neither",
                        s->path, n);
    if (outside > 0)
        cyg_warn(ctx, "%s: %zu files that lie in no class folder left out", s->path, outside);
    return CYG_OK;
}

/* True for a regular file that is text up to the end of its first line, and that line has a tab. */
static bool looks_like_table(const char *path)
{
    cyg_map map;
    bool table = false;
    if (cyg_path_is_dir(path) || cyg_map_open(NULL, path, &map) != CYG_OK)
        return false;
    for (size_t i = 0; i < map.size && i < 4096; i++) {
        if (map.data[i] == '\n' || map.data[i] == '\0')
            break;
        table = table || map.data[i] == '\t';
        if (map.data[i] < '\t') {
            table = false;
            break;
        }
    }
    const char *dot = strrchr(path, '.');
    table = table || (dot != NULL && (strcmp(dot, ".tsv") == 0 || strcmp(dot, ".txt") == 0));
    cyg_map_close(&map);
    return table;
}

static cyg_status open_any(cyg_ctx *ctx, cyg_dataset *s)
{
    const char *inside = cyg_arena_printf(&s->arena, "%s/labels.tsv", s->path);
    if (inside == NULL)
        return no_memory(ctx, s);
    if (cyg_path_is_dir(s->path) && cyg_path_exists(inside))
        return open_labels(ctx, s, inside);
    return looks_like_table(s->path) ? open_labels(ctx, s, s->path) : open_folders(ctx, s);
}

cyg_status cyg_dataset_open(cyg_ctx *ctx, const char *path, cyg_dataset **out_set)
{
    *out_set = NULL;
    cyg_dataset *s = calloc(1, sizeof *s);
    if (s == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", path);
    cyg_arena_init(&s->arena);
    s->path = path;
    const char *copy = cyg_arena_strdup(&s->arena, path);
    cyg_status status = CYG_OK;
    if (copy == NULL) {
        status = no_memory(ctx, s);
    } else {
        s->path = copy;
        status = open_any(ctx, s);
    }
    if (status != CYG_OK) {
        cyg_dataset_close(s);
        return status;
    }
    *out_set = s;
    return CYG_OK;
}

void cyg_dataset_close(cyg_dataset *s)
{
    if (s == NULL)
        return;
    cyg_decoder_destroy(s->decoder);
    cyg_archive_close(s->archive);
    cyg_arena_deinit(&s->arena);
    free(s);
}

size_t cyg_dataset_count(const cyg_dataset *s)
{
    return s->count;
}

const char *cyg_dataset_name(const cyg_dataset *s, size_t i)
{
    return i < s->count ? s->items[i].name : "";
}

int64_t cyg_dataset_class(const cyg_dataset *s, size_t i)
{
    return i < s->count ? s->items[i].class_index : -1;
}

int64_t cyg_dataset_class_count(const cyg_dataset *s)
{
    return s->class_count;
}

const char *cyg_dataset_folder(const cyg_dataset *s, int64_t c)
{
    return c >= 0 && (uint64_t)c < s->folders ? s->classes[c] : "";
}

static const char *list_name(void *self, size_t i)
{
    return cyg_dataset_name(self, i);
}

static uint64_t list_position(void *self, size_t i)
{
    const cyg_dataset *s = self;
    return s->archive != NULL ? cyg_archive_position(s->archive, s->items[i].member) : i;
}

static cyg_status read_file(cyg_ctx *ctx, const cyg_dataset *s, const char *name,
                            uint8_t **out_data, size_t *out_size)
{
    char *path = NULL;
    cyg_map map = {0};
    const char *folder = name[0] == '/' ? "" : s->folder;
    if (asprintf(&path, "%s%s%s", folder, folder[0] != '\0' ? "/" : "", name) < 0)
        return no_memory(ctx, s);
    cyg_status status = cyg_map_open(ctx, path, &map);
    if (status == CYG_OK && map.size > CYG_ARCHIVE_LARGEST_MEMBER)
        status = CYG_FAIL(ctx, CYG_E_UNSUPPORTED, "%s: %zu bytes are no picture", path, map.size);
    if (status == CYG_OK) {
        *out_data = malloc(map.size + 1);
        *out_size = map.size;
        if (*out_data == NULL)
            status = no_memory(ctx, s);
        else if (map.size > 0)
            memcpy(*out_data, map.data, map.size);
    }
    cyg_map_close(&map);
    free(path);
    return status;
}

static cyg_status list_read(cyg_ctx *ctx, void *self, size_t i, uint8_t **out_data,
                            size_t *out_size)
{
    const cyg_dataset *s = self;
    if (s->archive != NULL)
        return cyg_archive_read(ctx, s->archive, s->items[i].member, out_data, out_size);
    return read_file(ctx, s, s->items[i].name, out_data, out_size);
}

cyg_status cyg_dataset_start(cyg_ctx *ctx, cyg_dataset *s, const cyg_preprocess *p)
{
    const cyg_picture_list list = {.self = s,
                                   .count = s->count,
                                   .read = list_read,
                                   .name = list_name,
                                   .position = list_position};
    cyg_decoder_destroy(s->decoder);
    return cyg_decoder_create(ctx, &list, p, 0, &s->decoder);
}

cyg_status cyg_dataset_get(cyg_ctx *ctx, cyg_dataset *s, size_t i, cyg_picture *out_picture)
{
    CYG_ASSERT(s->decoder != NULL);
    return cyg_decoder_get(ctx, s->decoder, i, out_picture);
}
