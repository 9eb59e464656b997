/* torch.save before 1.6: five pickles in a row, then the storages.
 *
 * A magic number, the version 1001, a dict about the machine, the object, the list of storage keys;
 * then, for each key in that order, the count of elements (64 bits) and the elements. How wide an
 * element is stands in the object's pickle only, so the storages can be found only after it was
 * read, and only if every key of the list is used by it, which torch guarantees.
 *
 * Views of storages (view_metadata, written by the oldest versions) are honoured. The tar form
 * before 0.1.10 is not read. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/checked.h"
#include "io/torch_state.h"

/* 0x1950a86a20f9469cfc6c as a LONG1, and the STOP behind it; as protocols 0 and 1 write it */
static const uint8_t magic[] = {0x8a, 10,   0x6c, 0xfc, 0x9c, 0x46, 0xf9,
                                0x20, 0x6a, 0xa8, 0x50, 0x19, '.'};
static const char magic_text[] = "L119547037146038801333356L\n.";

typedef struct storage_place {
    cyg_torch_storage as; /* as the object's pickle describes it */
    const uint8_t *data;  /* NULL until its key came by */
    size_t size;
} storage_place;

typedef struct torch_legacy {
    const char *path;
    const uint8_t *data;
    size_t size, at;
    storage_place *places; /* heap, sorted by key */
    size_t count, cap;
} torch_legacy;

/* Size of the pickle of the magic number at the front; 0 = it is none. Protocols 2 and 3 put two
 * bytes before the number, 4 and 5 a frame besides. */
static size_t magic_size(const uint8_t *data, size_t size)
{
    static const size_t places[] = {2, 11};
    const size_t text_size = sizeof magic_text - 1;
    if (size >= text_size && memcmp(data, magic_text, text_size) == 0)
        return text_size;
    for (size_t i = 0; i < CYG_COUNT(places); i++)
        if (size >= places[i] + sizeof magic && data[0] == 0x80 &&
            memcmp(data + places[i], magic, sizeof magic) == 0)
            return places[i] + sizeof magic;
    return 0;
}

bool cyg_torch_legacy_is(const void *data, size_t size)
{
    return magic_size(data, size) > 0;
}

/* The next pickle of the file; what is for messages. */
static cyg_status next_pickle(cyg_ctx *ctx, torch_legacy *t, const char *what, cyg_pickle *out)
{
    char where[1024];
    snprintf(where, sizeof where, "%s: %s at offset %zu", t->path, what, t->at);
    CYG_DO(cyg_unpickle(ctx, where, t->data + t->at, t->size - t->at, out));
    t->at += out->used;
    return CYG_OK;
}

static cyg_status check_version(cyg_ctx *ctx, torch_legacy *t)
{
    cyg_pickle p = {0};
    cyg_status status = next_pickle(ctx, t, "version", &p);
    if (status == CYG_OK) {
        const cyg_pickle_value *v = cyg_pickle_at(&p, p.root);
        if (v->kind != CYG_PICKLE_INT || v->integer != 1001)
            status = CYG_FAIL(ctx, CYG_E_UNSUPPORTED, "%s: not in version 1001 of torch's old form",
                              t->path);
    }
    cyg_pickle_deinit(&p);
    return status;
}

static cyg_status check_machine(cyg_ctx *ctx, torch_legacy *t)
{
    cyg_pickle p = {0};
    cyg_status status = next_pickle(ctx, t, "machine", &p);
    bool big = false;
    const cyg_pickle_value *v = status == CYG_OK ? cyg_pickle_at(&p, p.root) : NULL;
    if (v != NULL && v->kind == CYG_PICKLE_DICT) {
        for (const cyg_pickle_span *s = v->first; s != NULL; s = s->next)
            for (uint32_t i = 0; i + 1 < s->count; i += 2) {
                const cyg_pickle_value *value = cyg_pickle_at(&p, s->items[i + 1]);
                if (cyg_pickle_text_is(cyg_pickle_at(&p, s->items[i]), "little_endian"))
                    big = value->kind == CYG_PICKLE_BOOL && !value->boolean;
            }
    }
    if (status == CYG_OK && big)
        status = CYG_FAIL(ctx, CYG_E_UNSUPPORTED, "%s: not in little-endian byte order", t->path);
    cyg_pickle_deinit(&p);
    return status;
}

/* ---- storages ---- */

static int compare_keys(const cyg_torch_storage *a, const cyg_torch_storage *b)
{
    const int order = memcmp(a->key, b->key, a->key_size < b->key_size ? a->key_size : b->key_size);
    return order != 0 ? order : (a->key_size > b->key_size) - (a->key_size < b->key_size);
}

static int by_key(const void *a, const void *b)
{
    const storage_place *x = a, *y = b;
    const int order = compare_keys(&x->as, &y->as);
    /* The key's text lies in the pickle: the first mention comes first. */
    return order != 0 ? order : (x->as.key > y->as.key) - (x->as.key < y->as.key);
}

static storage_place *find_place(const torch_legacy *t, const char *key, size_t key_size)
{
    const cyg_torch_storage wanted = {.key = key, .key_size = key_size};
    size_t low = 0, high = t->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const int order = compare_keys(&wanted, &t->places[middle].as);
        if (order == 0)
            return &t->places[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

/* Every storage that the object's pickle mentions, once. */
static cyg_status list_storages(cyg_ctx *ctx, torch_legacy *t, const cyg_pickle *p)
{
    for (uint32_t i = 0; i < p->count; i++) {
        if (cyg_pickle_at(p, i)->kind != CYG_PICKLE_STORAGE)
            continue;
        void *places = t->places;
        if (!cyg_checkpoint_grow(&places, t->count, &t->cap, sizeof *t->places))
            return CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", t->path);
        t->places = places;
        storage_place *place = &t->places[t->count];
        *place = (storage_place){0};
        CYG_DO(cyg_torch_storage_read(ctx, t->path, p, i, &place->as));
        t->count++;
    }
    if (t->count == 0)
        return CYG_OK;
    qsort(t->places, t->count, sizeof *t->places, by_key);
    size_t kept = 1;
    for (size_t i = 1; i < t->count; i++)
        if (compare_keys(&t->places[i].as, &t->places[kept - 1].as) != 0)
            t->places[kept++] = t->places[i];
    t->count = kept;
    return CYG_OK;
}

static cyg_status place_storage(cyg_ctx *ctx, torch_legacy *t, const cyg_pickle_value *key)
{
    storage_place *place =
        key->kind == CYG_PICKLE_TEXT ? find_place(t, key->text, key->count) : NULL;
    if (place == NULL || place->data != NULL)
        return CYG_FAIL(ctx, CYG_E_FORMAT,
                        "%s: the list of storages has a key that no tensor uses, or one twice",
                        t->path);
    const size_t unit =
        place->as.type == CYG_TYPE_NONE ? 1 : cyg_checkpoint_type_size(place->as.type);
    if (!cyg_range_ok(t->at, 8, t->size))
        return CYG_FAIL(ctx, CYG_E_FORMAT, "%s: offset %zu: the file ends before a storage",
                        t->path, t->at);
    const uint64_t count = cyg_load_u64(t->data + t->at);
    if (count != place->as.count)
        return CYG_FAIL(ctx, CYG_E_FORMAT,
                        "%s: offset %zu: a storage of %llu elements, expected %llu", t->path, t->at,
                        (unsigned long long)count, (unsigned long long)place->as.count);
    t->at += 8;
    if (count > (t->size - t->at) / unit)
        return CYG_FAIL(
            ctx, CYG_E_FORMAT,
            "%s: offset %zu: a storage of %llu x %zu bytes, but the file ends after %zu", t->path,
            t->at, (unsigned long long)count, unit, t->size - t->at);
    place->data = t->data + t->at;
    place->size = (size_t)count * unit;
    t->at += place->size;
    return CYG_OK;
}

static cyg_status place_storages(cyg_ctx *ctx, torch_legacy *t)
{
    cyg_pickle keys = {0};
    cyg_status status = next_pickle(ctx, t, "list of storages", &keys);
    const cyg_pickle_value *list = status == CYG_OK ? cyg_pickle_at(&keys, keys.root) : NULL;
    if (list != NULL && list->kind != CYG_PICKLE_LIST)
        status = CYG_FAIL(ctx, CYG_E_FORMAT, "%s: the list of storages is no list", t->path);
    for (const cyg_pickle_span *s = status == CYG_OK ? list->first : NULL; s != NULL; s = s->next)
        for (uint32_t i = 0; i < s->count && status == CYG_OK; i++)
            status = place_storage(ctx, t, cyg_pickle_at(&keys, s->items[i]));
    cyg_pickle_deinit(&keys);
    return status;
}

static cyg_status find_storage(cyg_ctx *ctx, void *self, const cyg_torch_storage *storage,
                               const uint8_t **out_data, size_t *out_size)
{
    const torch_legacy *t = self;
    const storage_place *place = find_place(t, storage->key, storage->key_size);
    const size_t unit =
        storage->type == CYG_TYPE_NONE ? 1 : cyg_checkpoint_type_size(storage->type);
    if (place == NULL || place->data == NULL || storage->count > place->size / unit)
        return CYG_FAIL(ctx, CYG_E_FORMAT, "%s: storage %.*s is not there, or too short", t->path,
                        storage->key_size < 100 ? (int)storage->key_size : 100, storage->key);
    *out_data = place->data + (size_t)storage->view_offset * unit;
    *out_size = (size_t)storage->view_count * unit;
    return CYG_OK;
}

cyg_status cyg_torch_legacy_read(cyg_ctx *ctx, cyg_checkpoint *c, const char *path, cyg_map map)
{
    torch_legacy t = {
        .path = path, .data = map.data, .size = map.size, .at = magic_size(map.data, map.size)};
    cyg_pickle object = {0};
    const cyg_torch_source source = {&t, find_storage};
    c->format = "PyTorch (before 1.6)";
    cyg_status status = check_version(ctx, &t);
    if (status == CYG_OK)
        status = check_machine(ctx, &t);
    if (status == CYG_OK)
        status = next_pickle(ctx, &t, "object", &object);
    if (status == CYG_OK)
        status = list_storages(ctx, &t, &object);
    if (status == CYG_OK)
        status = place_storages(ctx, &t);
    if (status == CYG_OK)
        status = cyg_torch_state_read(ctx, c, path, &object, &source);
    free(t.places);
    cyg_pickle_deinit(&object);
    return status;
}
