/* Documents: opening, lookup, typed reads and the messages that go with them.
 *
 * Lookup is by binary search in a copy of the items that the builder sorted (it sorts anyway, to
 * find duplicate keys), so a map of a thousand labels is no worse than one of three. */
#include "io/doc.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/arena.h"
#include "base/file.h"
#include "io/doc_build.h"
#include "io/json_write.h"

struct cyg_doc {
    cyg_arena arena;
    const cyg_doc_node *root;
};

static cyg_status (*const parsers[])(cyg_doc_builder *, const uint8_t *,
                                     size_t) = {[CYG_DOC_JSON] = cyg_doc_parse_json,
                                                [CYG_DOC_YAML] = cyg_doc_parse_yaml,
                                                [CYG_DOC_TOML] = cyg_doc_parse_toml,
                                                [CYG_DOC_PROTOTXT] = cyg_doc_parse_prototxt};

cyg_status cyg_doc_parse(cyg_ctx *ctx, const char *path, const void *data, size_t size,
                         cyg_doc_syntax syntax, cyg_doc **out_doc)
{
    *out_doc = NULL;
    if (size > CYG_DOC_LARGEST)
        return CYG_FAIL(ctx, CYG_E_FORMAT, "%s: %zu bytes; a document may have %d", path, size,
                        CYG_DOC_LARGEST);
    cyg_doc *doc = calloc(1, sizeof *doc);
    cyg_doc_builder *b = calloc(1, sizeof *b);
    cyg_status status = CYG_OK;
    if (doc == NULL || b == NULL) {
        status = CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", path);
        goto done;
    }
    cyg_arena_init(&doc->arena);
    b->ctx = ctx;
    b->arena = &doc->arena;
    b->path = cyg_arena_strdup(&doc->arena, path);
    if (b->path == NULL)
        status = CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", path);
    else
        status = parsers[syntax](b, data, size);
    if (status == CYG_OK && b->root == NULL)
        status = CYG_FAIL(ctx, CYG_E_FORMAT, "%s:1:1: the document is empty", path);
    if (status == CYG_OK) {
        doc->root = b->root;
        *out_doc = doc;
        doc = NULL;
    }
done:
    if (b != NULL)
        cyg_doc_builder_deinit(b);
    free(b);
    cyg_doc_close(doc);
    return status;
}

static bool has_suffix(const char *path, const char *suffix)
{
    const size_t n = strlen(path), m = strlen(suffix);
    return n >= m && strcasecmp(path + n - m, suffix) == 0;
}

bool cyg_doc_syntax_of(const char *path, cyg_doc_syntax *out_syntax)
{
    static const struct {
        const char *suffix;
        cyg_doc_syntax syntax;
    } known[] = {{".json", CYG_DOC_JSON},
                 {".yaml", CYG_DOC_YAML},
                 {".yml", CYG_DOC_YAML},
                 {".toml", CYG_DOC_TOML},
                 {".prototxt", CYG_DOC_PROTOTXT}};
    for (size_t i = 0; i < CYG_COUNT(known); i++)
        if (has_suffix(path, known[i].suffix)) {
            *out_syntax = known[i].syntax;
            return true;
        }
    return false;
}

cyg_status cyg_doc_open(cyg_ctx *ctx, const char *path, cyg_doc **out_doc)
{
    *out_doc = NULL;
    cyg_doc_syntax syntax;
    if (!cyg_doc_syntax_of(path, &syntax))
        return CYG_FAIL(ctx, CYG_E_UNSUPPORTED,
                        "%s: expected a name ending in .json, .yaml, .yml, .toml or .prototxt",
                        path);
    cyg_map map;
    CYG_DO(cyg_map_open(ctx, path, &map));
    const cyg_status status = cyg_doc_parse(ctx, path, map.data, map.size, syntax, out_doc);
    cyg_map_close(&map);
    return status;
}

void cyg_doc_close(cyg_doc *doc)
{
    if (doc == NULL)
        return;
    cyg_arena_deinit(&doc->arena);
    free(doc);
}

const cyg_doc_node *cyg_doc_root(const cyg_doc *doc)
{
    return doc->root;
}

const cyg_doc_node *cyg_doc_get(const cyg_doc_node *map, const char *key)
{
    if (map == NULL || map->kind != CYG_DOC_MAP)
        return NULL;
    size_t low = 0, high = map->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const int order = strcmp(key, map->sorted[middle]->key);
        if (order == 0)
            return map->sorted[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

CYG_PRINTF(7, 0)
static cyg_status fail_at_place(cyg_ctx *ctx, const char *file, int line, const char *path,
                                cyg_doc_place at, cyg_status status, const char *fmt, va_list args)
{
    char text[1024];
    if (vsnprintf(text, sizeof text, fmt, args) < 0)
        text[0] = '\0';
    return cyg_fail_at(ctx, file, line, status, "%s:%u:%u: %s", path, at.line, at.column, text);
}

cyg_status cyg_doc_fail_at(cyg_ctx *ctx, const char *file, int line, const cyg_doc_node *node,
                           cyg_status status, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    const cyg_doc_place at = {node->line, node->column};
    status = fail_at_place(ctx, file, line, node->path, at, status, fmt, args);
    va_end(args);
    return status;
}

cyg_status cyg_doc_fail_key_at(cyg_ctx *ctx, const char *file, int line, const cyg_doc_node *node,
                               cyg_status status, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    const cyg_doc_place at = {node->key != NULL ? node->key_line : node->line,
                              node->key != NULL ? node->key_column : node->column};
    status = fail_at_place(ctx, file, line, node->path, at, status, fmt, args);
    va_end(args);
    return status;
}

const char *cyg_doc_kind_text(cyg_doc_kind kind)
{
    switch (kind) {
    case CYG_DOC_NULL:
        return "null";
    case CYG_DOC_BOOL:
        return "a bool";
    case CYG_DOC_INT:
        return "an integer";
    case CYG_DOC_FLOAT:
        return "a number";
    case CYG_DOC_STRING:
        return "a string";
    case CYG_DOC_LIST:
        return "a list";
    case CYG_DOC_MAP:
        return "a map";
    }
    return "?";
}

static cyg_status mismatch(cyg_ctx *ctx, const cyg_doc_node *node, const char *expected)
{
    const char *name = node->key != NULL ? node->key : "";
    const char *of = node->key != NULL ? ": " : "";
    if (node->kind == CYG_DOC_STRING)
        return CYG_DOC_FAIL(ctx, node, CYG_E_CONFIG, "%s%sexpected %s, found the string \"%.60s\"",
                            name, of, expected, node->text);
    if (node->kind == CYG_DOC_LIST || node->kind == CYG_DOC_MAP || node->kind == CYG_DOC_NULL)
        return CYG_DOC_FAIL(ctx, node, CYG_E_CONFIG, "%s%sexpected %s, found %s", name, of,
                            expected, cyg_doc_kind_text(node->kind));
    return CYG_DOC_FAIL(ctx, node, CYG_E_CONFIG, "%s%sexpected %s, found %.60s", name, of, expected,
                        node->text);
}

cyg_status cyg_doc_need(cyg_ctx *ctx, const cyg_doc_node *map, const char *key,
                        const cyg_doc_node **out_node)
{
    CYG_DO(cyg_doc_as_map(ctx, map));
    *out_node = cyg_doc_get(map, key);
    if (*out_node == NULL)
        return CYG_DOC_FAIL(ctx, map, CYG_E_CONFIG, "the key \"%s\" is missing", key);
    return CYG_OK;
}

cyg_status cyg_doc_as_bool(cyg_ctx *ctx, const cyg_doc_node *node, bool *out_value)
{
    if (node->kind != CYG_DOC_BOOL)
        return mismatch(ctx, node, "true or false");
    *out_value = node->boolean;
    return CYG_OK;
}

cyg_status cyg_doc_as_int(cyg_ctx *ctx, const cyg_doc_node *node, int64_t *out_value)
{
    const double exact = 9007199254740992.0; /* 2^53: whole numbers below are exact */
    if (node->kind == CYG_DOC_INT)
        *out_value = node->integer;
    else if (node->kind == CYG_DOC_FLOAT && fabs(node->number) <= exact &&
             node->number == trunc(node->number))
        *out_value = (int64_t)node->number;
    else
        return mismatch(ctx, node, "an integer");
    return CYG_OK;
}

cyg_status cyg_doc_as_float(cyg_ctx *ctx, const cyg_doc_node *node, double *out_value)
{
    if (node->kind != CYG_DOC_INT && node->kind != CYG_DOC_FLOAT)
        return mismatch(ctx, node, "a number");
    *out_value = node->number;
    return CYG_OK;
}

cyg_status cyg_doc_as_string(cyg_ctx *ctx, const cyg_doc_node *node, const char **out_value)
{
    if (node->kind != CYG_DOC_STRING)
        return mismatch(ctx, node, "a string");
    *out_value = node->text;
    return CYG_OK;
}

cyg_status cyg_doc_as_list(cyg_ctx *ctx, const cyg_doc_node *node)
{
    return node->kind == CYG_DOC_LIST ? CYG_OK : mismatch(ctx, node, "a list");
}

cyg_status cyg_doc_as_map(cyg_ctx *ctx, const cyg_doc_node *node)
{
    return node->kind == CYG_DOC_MAP ? CYG_OK : mismatch(ctx, node, "a map");
}

/* Depth is bounded by the parsers. */
void cyg_doc_write(const cyg_doc_node *node, cyg_json *json)
{
    switch (node->kind) {
    case CYG_DOC_NULL:
        cyg_json_null(json);
        return;
    case CYG_DOC_BOOL:
        cyg_json_bool(json, node->boolean);
        return;
    case CYG_DOC_INT:
        cyg_json_int(json, node->integer);
        return;
    case CYG_DOC_FLOAT:
        cyg_json_double(json, node->number);
        return;
    case CYG_DOC_STRING:
        cyg_json_string(json, node->text);
        return;
    case CYG_DOC_LIST:
        cyg_json_begin_array(json);
        for (size_t i = 0; i < node->count; i++)
            cyg_doc_write(node->items[i], json);
        cyg_json_end_array(json);
        return;
    case CYG_DOC_MAP:
        cyg_json_begin_object(json);
        for (size_t i = 0; i < node->count; i++) {
            cyg_json_key(json, node->items[i]->key);
            cyg_doc_write(node->items[i], json);
        }
        cyg_json_end_object(json);
        return;
    }
}
