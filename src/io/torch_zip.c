/* torch.save since 1.6: a zip with <name>/data.pkl and one stored member a storage.
 *
 * The pickle names storages by key; <name>/data/<key> holds the bytes, in the order of
 * <name>/byteorder (little when absent). Tensors are views of those bytes in the mapped file, hence
 * a compressed storage is refused. data.pkl alone may be compressed, by tools that repack archives:
 * libarchive unpacks it, up to the largest pickle that would be read. TorchScript archives are zips
 * of the same make with code in them, and are refused by name. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/late_archive.h"
#include "io/stored_zip.h"
#include "io/torch_state.h"

typedef struct torch_zip {
    const char *path;
    cyg_stored_zip zip;
    const char *folder; /* with its slash, lent by the file */
    size_t folder_size;
    uint8_t *unpacked; /* heap: a data.pkl that was compressed */
} torch_zip;

bool cyg_torch_zip_is(const void *data, size_t size)
{
    return size >= 4 && memcmp(data, "PK\3\4", 4) == 0;
}

static const cyg_zip_member *find(const torch_zip *t, const char *name, size_t size)
{
    char full[1024];
    if (t->folder_size > sizeof full || size > sizeof full - t->folder_size)
        return NULL;
    memcpy(full, t->folder, t->folder_size);
    memcpy(full + t->folder_size, name, size);
    return cyg_stored_zip_find(&t->zip, full, t->folder_size + size);
}

/* data.pkl lies at the top or one folder down. */
static const cyg_zip_member *find_pickle(torch_zip *t)
{
    static const char name[] = "data.pkl";
    const size_t n = sizeof name - 1;
    for (size_t i = 0; i < t->zip.count; i++) {
        const cyg_zip_member *m = &t->zip.members[i];
        if (m->name_size < n || memcmp(m->name + m->name_size - n, name, n) != 0)
            continue;
        const char *slash = memchr(m->name, '/', m->name_size);
        const size_t folder_size = slash != NULL ? (size_t)(slash - m->name) + 1 : 0;
        if (m->name_size != folder_size + n)
            continue;
        t->folder = m->name;
        t->folder_size = folder_size;
        return m;
    }
    return NULL;
}

static cyg_status read_unpacked(cyg_ctx *ctx, torch_zip *t, struct archive *a, cyg_map map,
                                const cyg_zip_member *m)
{
    struct archive_entry *entry;
    if (cyg_libarchive.archive_read_support_format_zip_seekable(a) != ARCHIVE_OK ||
        cyg_libarchive.archive_read_open_memory(a, map.data, map.size) != ARCHIVE_OK)
        return CYG_FAIL(ctx, CYG_E_FORMAT, "%s: %s", t->path,
                        cyg_libarchive.archive_error_string(a));
    while (cyg_libarchive.archive_read_next_header(a, &entry) == ARCHIVE_OK) {
        const char *name = cyg_libarchive.archive_entry_pathname(entry);
        if (name == NULL || strlen(name) != m->name_size ||
            memcmp(name, m->name, m->name_size) != 0)
            continue;
        t->unpacked = malloc(m->size + 1);
        if (t->unpacked == NULL)
            return CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", t->path);
        if (cyg_libarchive.archive_read_data(a, t->unpacked, m->size + 1) != (la_ssize_t)m->size)
            break;
        return CYG_OK;
    }
    return CYG_FAIL(ctx, CYG_E_FORMAT, "%s: data.pkl cannot be unpacked to %zu bytes", t->path,
                    m->size);
}

/* The pickle's bytes, unpacked if need be. */
static cyg_status read_pickle(cyg_ctx *ctx, torch_zip *t, cyg_map map, const cyg_zip_member *m,
                              const uint8_t **out_data)
{
    *out_data = m->data;
    if (m->method == 0)
        return CYG_OK;
    if (m->method != 8 || m->size > CYG_PICKLE_LARGEST)
        return CYG_FAIL(ctx, CYG_E_UNSUPPORTED,
                        "%s: data.pkl is packed by method %u to %zu bytes; expected it stored",
                        t->path, m->method, m->size);
    CYG_DO(cyg_libarchive_open(ctx));
    struct archive *a = cyg_libarchive.archive_read_new();
    if (a == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", t->path);
    const cyg_status status = read_unpacked(ctx, t, a, map, m);
    cyg_libarchive.archive_read_free(a);
    *out_data = t->unpacked;
    return status;
}

static cyg_status find_storage(cyg_ctx *ctx, void *self, const cyg_torch_storage *storage,
                               const uint8_t **out_data, size_t *out_size)
{
    const torch_zip *t = self;
    const int shown = storage->key_size < 100 ? (int)storage->key_size : 100;
    char name[512];
    const cyg_zip_member *m = NULL;
    if (storage->key_size <= 256) {
        const int n =
            snprintf(name, sizeof name, "data/%.*s", (int)storage->key_size, storage->key);
        m = find(t, name, (size_t)n);
    }
    if (m == NULL)
        return CYG_FAIL(ctx, CYG_E_FORMAT, "%s: no member data/%.*s", t->path, shown, storage->key);
    if (m->method != 0)
        return CYG_FAIL(ctx, CYG_E_UNSUPPORTED,
                        "%s: data/%.*s is compressed; tensors are read where they lie, so repack "
                        "the file without compression",
                        t->path, shown, storage->key);
    const size_t unit =
        storage->type == CYG_TYPE_NONE ? 1 : cyg_checkpoint_type_size(storage->type);
    if (storage->count > m->size / unit)
        return CYG_FAIL(ctx, CYG_E_FORMAT, "%s: data/%.*s has %zu bytes, expected %llu x %zu",
                        t->path, shown, storage->key, m->size, (unsigned long long)storage->count,
                        unit);
    *out_data = m->data + (size_t)storage->view_offset * unit;
    *out_size = (size_t)storage->view_count * unit;
    return CYG_OK;
}

static cyg_status check_kind(cyg_ctx *ctx, const torch_zip *t)
{
    const cyg_zip_member *order = find(t, "byteorder", 9);
    if (find(t, "constants.pkl", 13) != NULL)
        return CYG_FAIL(ctx, CYG_E_UNSUPPORTED,
                        "%s: a TorchScript archive (it holds code), expected a checkpoint; save "
                        "the model's state_dict() instead",
                        t->path);
    if (order != NULL && order->method == 0 &&
        (order->size != 6 || memcmp(order->data, "little", 6) != 0))
        return CYG_FAIL(ctx, CYG_E_UNSUPPORTED, "%s: not in little-endian byte order", t->path);
    return CYG_OK;
}

cyg_status cyg_torch_zip_read(cyg_ctx *ctx, cyg_checkpoint *c, const char *path, cyg_map map)
{
    torch_zip t = {.path = path};
    cyg_pickle pickle = {0};
    char where[1024];
    const uint8_t *data;
    const cyg_torch_source source = {&t, find_storage};
    c->format = "PyTorch (zip)";
    cyg_status status = cyg_stored_zip_open(ctx, path, map.data, map.size, &t.zip);
    if (status != CYG_OK)
        goto done;
    const cyg_zip_member *m = find_pickle(&t);
    if (m == NULL) {
        status =
            CYG_FAIL(ctx, CYG_E_FORMAT, "%s: a zip file without data.pkl: no checkpoint", path);
        goto done;
    }
    status = check_kind(ctx, &t);
    if (status == CYG_OK)
        status = read_pickle(ctx, &t, map, m, &data);
    if (status != CYG_OK)
        goto done;
    snprintf(where, sizeof where, "%s: data.pkl", path);
    status = cyg_unpickle(ctx, where, data, m->size, &pickle);
    if (status == CYG_OK)
        status = cyg_torch_state_read(ctx, c, path, &pickle, &source);
done:
    cyg_pickle_deinit(&pickle);
    cyg_stored_zip_deinit(&t.zip);
    free(t.unpacked);
    return status;
}
