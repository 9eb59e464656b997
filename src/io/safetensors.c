/* safetensors: a length, a JSON header, the data.
 *
 * The header maps names to dtype, shape and data_offsets; the data behind it must be covered by the
 * tensors without holes and without overlap, as the format's own reader demands: then no byte of a
 * file is unaccounted for, and two names cannot disagree about one. Duplicate names are found by
 * the JSON reader. __metadata__ (texts) is kept. The format allows 100 MB of header; 32 MB is
 * a quarter of a million tensors and the most that is read.
 *
 * Not done: 8-bit floats, complex numbers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/checked.h"
#include "io/checkpoint_parts.h"
#include "io/doc.h"

enum { LARGEST_HEADER = 32 << 20 };

static const struct {
    const char *name;
    cyg_type type;
} types[] = {
    {"F32", CYG_TYPE_F32}, {"F16", CYG_TYPE_F16},   {"BF16", CYG_TYPE_BF16}, {"F64", CYG_TYPE_F64},
    {"U8", CYG_TYPE_U8},   {"I8", CYG_TYPE_S8},     {"I16", CYG_TYPE_S16},   {"I32", CYG_TYPE_S32},
    {"I64", CYG_TYPE_S64}, {"BOOL", CYG_TYPE_BOOL}, {"U16", CYG_TYPE_U16},   {"U32", CYG_TYPE_U32},
    {"U64", CYG_TYPE_U64},
};

typedef struct range {
    int64_t begin, end;
} range;

typedef struct reader {
    cyg_ctx *ctx;
    cyg_checkpoint *c;
    const char *path;
    const uint8_t *data; /* behind the header */
    size_t size;
    range *ranges; /* heap: one a tensor */
    size_t count;
} reader;

/* By the header's first character alone, so that a wrong length in front is reported as such. */
bool cyg_safetensors_is(const void *data, size_t size)
{
    const uint8_t *bytes = data;
    return size > 8 && bytes[8] == '{';
}

static cyg_status read_type(reader *r, const cyg_doc_node *entry, cyg_type *out_type)
{
    const cyg_doc_node *node;
    const char *text;
    CYG_DO(cyg_doc_need(r->ctx, entry, "dtype", &node));
    CYG_DO(cyg_doc_as_string(r->ctx, node, &text));
    for (size_t i = 0; i < CYG_COUNT(types); i++)
        if (strcmp(types[i].name, text) == 0) {
            *out_type = types[i].type;
            return CYG_OK;
        }
    return CYG_DOC_FAIL(r->ctx, node, CYG_E_UNSUPPORTED,
                        "tensor \"%s\" has type %.40s, which is not read", entry->key, text);
}

static cyg_status read_shape(reader *r, const cyg_doc_node *entry, int64_t dims[CYG_MAX_RANK],
                             int *out_rank)
{
    const cyg_doc_node *node;
    CYG_DO(cyg_doc_need(r->ctx, entry, "shape", &node));
    CYG_DO(cyg_doc_as_list(r->ctx, node));
    if (node->count > CYG_MAX_RANK)
        return CYG_DOC_FAIL(r->ctx, node, CYG_E_UNSUPPORTED,
                            "tensor \"%s\" has %zu dimensions, at most %d are read", entry->key,
                            node->count, CYG_MAX_RANK);
    for (size_t i = 0; i < node->count; i++) {
        CYG_DO(cyg_doc_as_int(r->ctx, node->items[i], &dims[i]));
        if (dims[i] < 0)
            return CYG_DOC_FAIL(r->ctx, node->items[i], CYG_E_FORMAT, "a negative dimension");
    }
    *out_rank = (int)node->count;
    return CYG_OK;
}

static cyg_status read_range(reader *r, const cyg_doc_node *entry, range *out_range)
{
    const cyg_doc_node *node;
    CYG_DO(cyg_doc_need(r->ctx, entry, "data_offsets", &node));
    CYG_DO(cyg_doc_as_list(r->ctx, node));
    if (node->count != 2)
        return CYG_DOC_FAIL(r->ctx, node, CYG_E_FORMAT, "expected two offsets, found %zu",
                            node->count);
    CYG_DO(cyg_doc_as_int(r->ctx, node->items[0], &out_range->begin));
    CYG_DO(cyg_doc_as_int(r->ctx, node->items[1], &out_range->end));
    if (out_range->begin < 0 || out_range->end < out_range->begin ||
        (uint64_t)out_range->end > r->size)
        return CYG_DOC_FAIL(r->ctx, node, CYG_E_FORMAT,
                            "tensor \"%s\" lies at bytes %lld to %lld of %zu", entry->key,
                            (long long)out_range->begin, (long long)out_range->end, r->size);
    return CYG_OK;
}

static cyg_status read_tensor(reader *r, const cyg_doc_node *entry)
{
    cyg_type type;
    int64_t dims[CYG_MAX_RANK], bytes;
    range place;
    cyg_checkpoint_draft draft = {.where = r->path, .name = entry->key, .dims = dims};
    CYG_DO(cyg_doc_as_map(r->ctx, entry));
    CYG_DO(read_type(r, entry, &type));
    CYG_DO(read_shape(r, entry, dims, &draft.rank));
    CYG_DO(read_range(r, entry, &place));
    bytes = (int64_t)cyg_checkpoint_type_size(type);
    for (int i = 0; i < draft.rank; i++)
        if (!cyg_mul_i64(bytes, dims[i], &bytes))
            return CYG_DOC_FAIL(r->ctx, entry, CYG_E_FORMAT, "tensor \"%s\": the shape overflows",
                                entry->key);
    if (bytes != place.end - place.begin)
        return CYG_DOC_FAIL(r->ctx, entry, CYG_E_FORMAT,
                            "tensor \"%s\" needs %lld bytes, its offsets span %lld", entry->key,
                            (long long)bytes, (long long)(place.end - place.begin));
    draft.name_size = strlen(entry->key);
    draft.type = type;
    draft.data = r->data + place.begin;
    draft.room = (size_t)bytes;
    r->ranges[r->count++] = place;
    return cyg_checkpoint_add(r->ctx, r->c, &draft);
}

static cyg_status read_metadata(reader *r, const cyg_doc_node *map)
{
    CYG_DO(cyg_doc_as_map(r->ctx, map));
    for (size_t i = 0; i < map->count; i++) {
        const char *value;
        CYG_DO(cyg_doc_as_string(r->ctx, map->sorted[i], &value));
        const char *pair[] = {cyg_arena_strdup(&r->c->arena, map->sorted[i]->key),
                              cyg_arena_strdup(&r->c->arena, value)};
        for (int k = 0; k < 2; k++) {
            void *items = r->c->meta;
            if (pair[k] == NULL ||
                !cyg_checkpoint_grow(&items, r->c->meta_count, &r->c->meta_cap, sizeof *r->c->meta))
                return CYG_FAIL(r->ctx, CYG_E_NOMEM, "%s: out of memory", r->path);
            r->c->meta = items;
            r->c->meta[r->c->meta_count++] = pair[k];
        }
    }
    return CYG_OK;
}

static int by_begin(const void *a, const void *b)
{
    const range *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return (x->end > y->end) - (x->end < y->end);
}

/* The tensors cover the data, each byte once. */
static cyg_status check_cover(const reader *r)
{
    int64_t at = 0;
    if (r->count > 0)
        qsort(r->ranges, r->count, sizeof *r->ranges, by_begin);
    for (size_t i = 0; i < r->count; i++) {
        if (r->ranges[i].begin != at)
            return CYG_FAIL(r->ctx, CYG_E_FORMAT,
                            "%s: tensors %s at byte %lld of the data, expected the next to start "
                            "at %lld",
                            r->path, r->ranges[i].begin < at ? "overlap" : "leave a hole",
                            (long long)r->ranges[i].begin, (long long)at);
        at = r->ranges[i].end;
    }
    if ((uint64_t)at != r->size)
        return CYG_FAIL(r->ctx, CYG_E_FORMAT, "%s: %zu bytes of data, the tensors take %lld",
                        r->path, r->size, (long long)at);
    return CYG_OK;
}

static cyg_status read_entries(reader *r, const cyg_doc_node *root)
{
    CYG_DO(cyg_doc_as_map(r->ctx, root));
    r->ranges = calloc(root->count + 1, sizeof *r->ranges);
    if (r->ranges == NULL)
        return CYG_FAIL(r->ctx, CYG_E_NOMEM, "%s: out of memory", r->path);
    for (size_t i = 0; i < root->count; i++) {
        if (strcmp(root->items[i]->key, "__metadata__") == 0)
            CYG_DO(read_metadata(r, root->items[i]));
        else
            CYG_DO(read_tensor(r, root->items[i]));
    }
    return check_cover(r);
}

cyg_status cyg_safetensors_read(cyg_ctx *ctx, cyg_checkpoint *c, const char *path, cyg_map map)
{
    c->format = "safetensors";
    const uint64_t header = map.size >= 8 ? cyg_load_u64(map.data) : UINT64_MAX;
    if (map.size < 8 || header > map.size - 8)
        return CYG_FAIL(ctx, CYG_E_FORMAT, "%s: a header of %llu bytes in a file of %zu", path,
                        (unsigned long long)header, map.size);
    if (header > LARGEST_HEADER)
        return CYG_FAIL(ctx, CYG_E_UNSUPPORTED, "%s: a header of %llu bytes, at most %d are read",
                        path, (unsigned long long)header, LARGEST_HEADER);
    reader r = {.ctx = ctx,
                .c = c,
                .path = path,
                .data = map.data + 8 + header,
                .size = map.size - 8 - (size_t)header};
    cyg_doc *doc = NULL;
    cyg_status status = cyg_doc_parse(ctx, path, map.data + 8, (size_t)header, CYG_DOC_JSON, &doc);
    if (status == CYG_OK)
        status = read_entries(&r, cyg_doc_root(doc));
    cyg_doc_close(doc);
    free(r.ranges);
    return status;
}
