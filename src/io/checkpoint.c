/* Checkpoints: opening by content, the table of tensors, what people are told about it.
 *
 * A reader (safetensors.c, torch_zip.c, torch_legacy.c) drafts tensors; cyg_checkpoint_add is the
 * one place that believes none of it: name, shape, strides and the last element's place are checked
 * here, for all formats alike. A tensor may show elements of its storage more than once (expanded
 * views have stride 0), but then has at most 2^24 elements, so that a file of a kilobyte cannot ask
 * its reader for terabytes.
 *
 * At the end the table is sorted by name, a name that comes twice is an error, and a prefix
 * "module." or "_orig_mod." (DataParallel, torch.compile) goes when all names have it. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/str.h"
#include "io/checkpoint_parts.h"

enum { MOST_REPEATED = 1 << 24, LONGEST_NAME = 4096 };

static const char *const folder_files[] = {
    "model.safetensors", "model.safetensors.index.json",
    "pytorch_model.bin", "pytorch_model.bin.index.json",
    "model.pth",
};

size_t cyg_checkpoint_type_size(cyg_type type)
{
    switch (type) {
#define CYG_TYPE(id, text, bytes, onnx)                                                            \
    case CYG_TYPE_##id:                                                                            \
        return bytes;
#include "base/types.def"
#undef CYG_TYPE
    case CYG_TYPE_COUNT:
        break;
    }
    return 0;
}

bool cyg_checkpoint_grow(void **items, size_t count, size_t *cap, size_t size)
{
    if (count < *cap)
        return true;
    const size_t more = *cap == 0 ? 16 : *cap * 2;
    size_t bytes;
    if (more < *cap || !cyg_mul_size(more, size, &bytes))
        return false;
    void *grown = realloc(*items, bytes);
    if (grown == NULL)
        return false;
    *items = grown;
    *cap = more;
    return true;
}

/* ---- adding tensors ---- */

static bool is_plain_name(const char *name, size_t size)
{
    if (size == 0 || size > LONGEST_NAME)
        return false;
    for (size_t at = 0; at < size;) {
        const size_t n = cyg_utf8_length(name + at, size - at);
        if (n == 0 || (uint8_t)name[at] < ' ' || name[at] == 127)
            return false;
        at += n;
    }
    return true;
}

/* Shape, strides and the place of the last element. */
static cyg_status check_shape(cyg_ctx *ctx, const cyg_checkpoint_draft *d, cyg_checkpoint_tensor *t)
{
    const size_t size = cyg_checkpoint_type_size(d->type);
    int64_t elements = 1, last = 0, row_major = 1, reach;
    t->contiguous = true;
    for (int i = 0; i < d->rank; i++) {
        t->dims[i] = d->dims[i];
        if (d->dims[i] < 0 || !cyg_mul_i64(elements, d->dims[i], &elements))
            return CYG_FAIL(ctx, CYG_E_FORMAT, "%s: tensor \"%s\": the shape overflows", d->where,
                            t->name);
    }
    for (int i = d->rank; i-- > 0;) {
        t->strides[i] = d->strides != NULL ? d->strides[i] : row_major;
        if (elements == 0)
            continue;
        if (t->strides[i] < 0 || !cyg_mul_i64(d->dims[i] - 1, t->strides[i], &reach) ||
            !cyg_add_i64(last, reach, &last))
            return CYG_FAIL(ctx, CYG_E_FORMAT, "%s: tensor \"%s\": the strides overflow", d->where,
                            t->name);
        if (d->dims[i] != 1 && t->strides[i] != row_major)
            t->contiguous = false;
        row_major *= d->dims[i];
    }
    t->elements = (uint64_t)elements;
    if (elements == 0)
        return CYG_OK;
    if ((uint64_t)last >= d->room / size)
        return CYG_FAIL(ctx, CYG_E_FORMAT,
                        "%s: tensor \"%s\" reaches element %lld of a storage that has %zu left",
                        d->where, t->name, (long long)last, d->room / size);
    if (t->elements > d->room / size && elements > MOST_REPEATED)
        return CYG_FAIL(ctx, CYG_E_UNSUPPORTED,
                        "%s: tensor \"%s\" repeats %zu elements to %lld; at most %d are read so",
                        d->where, t->name, d->room / size, (long long)elements, MOST_REPEATED);
    return CYG_OK;
}

cyg_status cyg_checkpoint_add(cyg_ctx *ctx, cyg_checkpoint *c, const cyg_checkpoint_draft *d)
{
    cyg_checkpoint_tensor t = {.type = d->type, .rank = d->rank, .data = d->data};
    if (!is_plain_name(d->name, d->name_size))
        return CYG_FAIL(ctx, CYG_E_FORMAT,
                        "%s: a tensor's name is empty, longer than %d bytes, no UTF-8, or has "
                        "control characters",
                        d->where, LONGEST_NAME);
    t.name = cyg_arena_strndup(&c->arena, d->name, d->name_size);
    void *tensors = c->tensors;
    if (t.name == NULL || !cyg_checkpoint_grow(&tensors, c->count, &c->cap, sizeof *c->tensors))
        return CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", d->where);
    c->tensors = tensors;
    CYG_DO(check_shape(ctx, d, &t));
    c->tensors[c->count++] = t;
    return CYG_OK;
}

cyg_status cyg_checkpoint_add_note(cyg_ctx *ctx, cyg_checkpoint *c, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    const char *copy = cyg_arena_strdup(&c->arena, text);
    void *notes = c->notes;
    if (copy == NULL || !cyg_checkpoint_grow(&notes, c->note_count, &c->note_cap, sizeof *c->notes))
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    c->notes = notes;
    c->notes[c->note_count++] = copy;
    return CYG_OK;
}

/* ---- finishing ---- */

static int by_name(const void *a, const void *b)
{
    const cyg_checkpoint_tensor *x = a, *y = b;
    return strcmp(x->name, y->name);
}

cyg_status cyg_checkpoint_sort(cyg_ctx *ctx, cyg_checkpoint *c, const char *where, size_t first)
{
    if (c->count - first < 2)
        return CYG_OK;
    qsort(c->tensors + first, c->count - first, sizeof *c->tensors, by_name);
    for (size_t i = first + 1; i < c->count; i++)
        if (by_name(&c->tensors[i - 1], &c->tensors[i]) == 0)
            return CYG_FAIL(ctx, CYG_E_FORMAT, "%s: tensor \"%s\" comes twice", where,
                            c->tensors[i].name);
    return CYG_OK;
}

static bool all_start_with(const cyg_checkpoint *c, const char *prefix, size_t size)
{
    for (size_t i = 0; i < c->count; i++)
        if (strncmp(c->tensors[i].name, prefix, size) != 0 || c->tensors[i].name[size] == '\0')
            return false;
    return c->count > 0;
}

static cyg_status remove_prefixes(cyg_ctx *ctx, cyg_checkpoint *c)
{
    static const char *const prefixes[] = {"module.", "_orig_mod."};
    cyg_strbuf removed = {0};
    for (size_t k = 0; k < CYG_COUNT(prefixes);) {
        const size_t size = strlen(prefixes[k]);
        if (!all_start_with(c, prefixes[k], size)) {
            k++;
            continue;
        }
        for (size_t i = 0; i < c->count; i++)
            c->tensors[i].name += size;
        cyg_strbuf_puts(&removed, prefixes[k]);
        k = 0;
    }
    if (removed.len > 0)
        c->prefix = cyg_arena_strdup(&c->arena, removed.data);
    const bool failed = removed.failed || c->prefix == NULL;
    cyg_strbuf_deinit(&removed);
    return failed ? CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory") : CYG_OK;
}

/* ---- opening ---- */

static cyg_checkpoint *create(void)
{
    cyg_checkpoint *c = calloc(1, sizeof *c);
    if (c == NULL)
        return NULL;
    cyg_arena_init(&c->arena);
    c->format = c->place = c->prefix = "";
    return c;
}

static cyg_status add_file(cyg_ctx *ctx, cyg_checkpoint *c, const char *path, cyg_map map,
                           bool owned)
{
    const char *copy = cyg_arena_strdup(&c->arena, path);
    void *files = c->files;
    if (copy == NULL || !cyg_checkpoint_grow(&files, c->file_count, &c->file_cap, sizeof *c->files))
        return CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", path);
    c->files = files;
    c->files[c->file_count++] = (cyg_checkpoint_map){.path = copy, .map = map, .owned = owned};
    return CYG_OK;
}

static cyg_status read_content(cyg_ctx *ctx, cyg_checkpoint *c, const char *path, cyg_map map)
{
    const size_t first = c->count;
    if (cyg_torch_zip_is(map.data, map.size))
        CYG_DO(cyg_torch_zip_read(ctx, c, path, map));
    else if (cyg_torch_legacy_is(map.data, map.size))
        CYG_DO(cyg_torch_legacy_read(ctx, c, path, map));
    else if (cyg_safetensors_is(map.data, map.size))
        CYG_DO(cyg_safetensors_read(ctx, c, path, map));
    else
        return CYG_FAIL(ctx, CYG_E_FORMAT,
                        "%s: neither safetensors nor a PyTorch checkpoint (zip, or the form before "
                        "1.6)",
                        path);
    return cyg_checkpoint_sort(ctx, c, path, first);
}

cyg_status cyg_checkpoint_read_file(cyg_ctx *ctx, cyg_checkpoint *c, const char *path)
{
    cyg_map map;
    CYG_DO(cyg_map_open(ctx, path, &map));
    const cyg_status status = add_file(ctx, c, path, map, true);
    if (status != CYG_OK) {
        cyg_map_close(&map);
        return status;
    }
    return read_content(ctx, c, path, map);
}

static bool is_index(const char *path)
{
    static const char suffix[] = ".index.json";
    const size_t n = strlen(path), m = sizeof suffix - 1;
    return n > m && strcmp(path + n - m, suffix) == 0;
}

/* The file of a folder that holds the checkpoint, on the heap; NULL when there is none. */
static char *find_in_folder(const char *folder)
{
    for (size_t i = 0; i < CYG_COUNT(folder_files); i++) {
        cyg_strbuf path = {0};
        cyg_strbuf_printf(&path, "%s/%s", folder, folder_files[i]);
        if (!path.failed && cyg_path_exists(path.data))
            return path.data;
        cyg_strbuf_deinit(&path);
    }
    return NULL;
}

static cyg_status read_path(cyg_ctx *ctx, cyg_checkpoint *c, const char *path)
{
    char *found = NULL;
    if (cyg_path_is_dir(path)) {
        found = find_in_folder(path);
        if (found == NULL)
            return CYG_FAIL(ctx, CYG_E_IO,
                            "%s: no checkpoint in this folder; expected model.safetensors or "
                            "pytorch_model.bin, or the index.json of one",
                            path);
        path = found;
    }
    cyg_status status = is_index(path) ? cyg_checkpoint_read_index(ctx, c, path)
                                       : cyg_checkpoint_read_file(ctx, c, path);
    if (status == CYG_OK)
        status = remove_prefixes(ctx, c);
    free(found);
    return status;
}

cyg_status cyg_checkpoint_open(cyg_ctx *ctx, const char *path, cyg_checkpoint **out_checkpoint)
{
    *out_checkpoint = NULL;
    cyg_checkpoint *c = create();
    if (c == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", path);
    const cyg_status status = read_path(ctx, c, path);
    if (status == CYG_OK)
        *out_checkpoint = c;
    else
        cyg_checkpoint_close(c);
    return status;
}

cyg_status cyg_checkpoint_open_memory(cyg_ctx *ctx, const char *name, const void *data, size_t size,
                                      cyg_checkpoint **out_checkpoint)
{
    const cyg_map map = {.data = data, .size = size};
    *out_checkpoint = NULL;
    cyg_checkpoint *c = create();
    if (c == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", name);
    cyg_status status = add_file(ctx, c, name, map, false);
    if (status == CYG_OK)
        status = read_content(ctx, c, name, map);
    if (status == CYG_OK)
        status = remove_prefixes(ctx, c);
    if (status == CYG_OK)
        *out_checkpoint = c;
    else
        cyg_checkpoint_close(c);
    return status;
}

void cyg_checkpoint_close(cyg_checkpoint *c)
{
    if (c == NULL)
        return;
    for (size_t i = 0; i < c->file_count; i++)
        if (c->files[i].owned)
            cyg_map_close(&c->files[i].map);
    free(c->files);
    free(c->tensors);
    free(c->notes);
    free(c->unknown);
    free(c->meta);
    cyg_arena_deinit(&c->arena);
    free(c);
}

bool cyg_checkpoint_is(const char *path)
{
    cyg_map map;
    if (cyg_path_is_dir(path)) {
        char *found = find_in_folder(path);
        free(found);
        return found != NULL;
    }
    if (is_index(path))
        return cyg_path_exists(path);
    if (cyg_map_open(NULL, path, &map) != CYG_OK)
        return false;
    const bool is = cyg_torch_zip_is(map.data, map.size) ||
                    cyg_torch_legacy_is(map.data, map.size) ||
                    cyg_safetensors_is(map.data, map.size);
    cyg_map_close(&map);
    return is;
}

/* ---- looking ---- */

size_t cyg_checkpoint_count(const cyg_checkpoint *c)
{
    return c->count;
}

const cyg_checkpoint_tensor *cyg_checkpoint_at(const cyg_checkpoint *c, size_t i)
{
    return &c->tensors[i];
}

const cyg_checkpoint_tensor *cyg_checkpoint_find(const cyg_checkpoint *c, const char *name)
{
    const cyg_checkpoint_tensor wanted = {.name = name};
    return c->count == 0 ? NULL : bsearch(&wanted, c->tensors, c->count, sizeof wanted, by_name);
}

size_t cyg_checkpoint_file_count(const cyg_checkpoint *c)
{
    return c->file_count;
}

const char *cyg_checkpoint_file(const cyg_checkpoint *c, size_t i)
{
    return c->files[i].path;
}

const char *cyg_checkpoint_format(const cyg_checkpoint *c)
{
    return c->format;
}

const char *cyg_checkpoint_place(const cyg_checkpoint *c)
{
    return c->place;
}

const char *cyg_checkpoint_prefix(const cyg_checkpoint *c)
{
    return c->prefix;
}

size_t cyg_checkpoint_note_count(const cyg_checkpoint *c)
{
    return c->note_count;
}

const char *cyg_checkpoint_note_at(const cyg_checkpoint *c, size_t i)
{
    return c->notes[i];
}

size_t cyg_checkpoint_unknown_count(const cyg_checkpoint *c)
{
    return c->unknown_count;
}

const char *cyg_checkpoint_unknown_at(const cyg_checkpoint *c, size_t i)
{
    return c->unknown[i];
}

size_t cyg_checkpoint_meta_count(const cyg_checkpoint *c)
{
    return c->meta_count / 2;
}

const char *cyg_checkpoint_meta_at(const cyg_checkpoint *c, size_t i, const char **out_value)
{
    *out_value = c->meta[2 * i + 1];
    return c->meta[2 * i];
}

void cyg_checkpoint_release(const cyg_checkpoint *c, const cyg_checkpoint_tensor *t)
{
    const uint8_t *data = t->data;
    for (size_t i = 0; t->contiguous && i < c->file_count; i++) {
        const cyg_map *map = &c->files[i].map;
        if (c->files[i].owned && data >= map->data && data < map->data + map->size)
            cyg_map_release_pages(map, (size_t)(data - map->data),
                                  (size_t)t->elements * cyg_checkpoint_type_size(t->type));
    }
}
