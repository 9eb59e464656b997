/* Names of classes.
 *
 * Text: one name a line, CRLF and a byte order mark are fine, an empty line at the end does not
 * count, one in the middle is a class without a name. "n01440764 tench, Tinca tinca" loses its
 * WordNet id. JSON: id2label maps "0", "1", ... in any order; indices may leave gaps but not exceed
 * what a list of that many entries could hold by far. */
#include "data/class_names.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/arena.h"
#include "base/file.h"

enum { MOST_CLASSES = 1 << 20, LARGEST_FILE = 64 << 20 };

struct cyg_class_names {
    cyg_arena arena;
    const char **names; /* [count], NULL where unnamed */
    size_t count;
};

static cyg_class_names *create(size_t count)
{
    cyg_class_names *n = calloc(1, sizeof *n);
    if (n == NULL)
        return NULL;
    cyg_arena_init(&n->arena);
    n->count = count;
    n->names = CYG_NEW_ARRAY(&n->arena, const char *, count > 0 ? count : 1);
    if (n->names == NULL) {
        cyg_class_names_close(n);
        return NULL;
    }
    return n;
}

void cyg_class_names_close(cyg_class_names *n)
{
    if (n == NULL)
        return;
    cyg_arena_deinit(&n->arena);
    free(n);
}

/* Length of "n01440764 " (or with a tab) at the start, else 0. */
static size_t wordnet_id(const char *line, size_t size)
{
    if (size < 10 || line[0] != 'n' || (line[9] != ' ' && line[9] != '\t'))
        return 0;
    for (size_t i = 1; i < 9; i++)
        if (!isdigit((unsigned char)line[i]))
            return 0;
    return 10;
}

cyg_status cyg_class_names_parse(cyg_ctx *ctx, const char *path, const char *text, size_t size,
                                 cyg_class_names **out_names)
{
    *out_names = NULL;
    if (size > LARGEST_FILE || (size > 0 && memchr(text, '\0', size) != NULL))
        return CYG_FAIL(ctx, CYG_E_FORMAT, "%s: not a list of class names", path);
    if (size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        text += 3;
        size -= 3;
    }
    while (size > 0 && isspace((unsigned char)text[size - 1]))
        size--;
    size_t lines = size > 0 ? 1 : 0;
    for (size_t i = 0; i < size; i++)
        lines += text[i] == '\n';
    if (lines == 0 || lines > MOST_CLASSES)
        return CYG_FAIL(ctx, CYG_E_FORMAT, "%s: %zu class names; expected 1 to %d", path, lines,
                        MOST_CLASSES);
    cyg_class_names *n = create(lines);
    for (size_t i = 0, at = 0; n != NULL && i < lines; i++) {
        const char *line = text + at;
        const char *end = memchr(line, '\n', size - at);
        size_t length = end != NULL ? (size_t)(end - line) : size - at;
        at += length + 1;
        while (length > 0 && isspace((unsigned char)line[length - 1]))
            length--;
        const size_t skip = wordnet_id(line, length);
        if (length == skip)
            continue;
        n->names[i] = cyg_arena_strndup(&n->arena, line + skip, length - skip);
        if (n->names[i] == NULL) {
            cyg_class_names_close(n);
            n = NULL;
        }
    }
    *out_names = n;
    return n != NULL ? CYG_OK : CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", path);
}

/* The index that a key such as "17" means. */
static cyg_status key_index(cyg_ctx *ctx, const cyg_doc_node *node, size_t *out)
{
    char *end = NULL;
    errno = 0;
    const long value = strtol(node->key, &end, 10);
    if (errno != 0 || end == node->key || *end != '\0' || value < 0 || value >= MOST_CLASSES)
        return CYG_DOC_FAIL_KEY(ctx, node, CYG_E_FORMAT, "expected a class number, found \"%.40s\"",
                                node->key);
    *out = (size_t)value;
    return CYG_OK;
}

static cyg_status fill(cyg_ctx *ctx, const cyg_doc_node *node, cyg_class_names *n)
{
    for (size_t i = 0; i < node->count; i++) {
        const char *text = NULL;
        size_t index = i;
        if (node->kind == CYG_DOC_MAP)
            CYG_DO(key_index(ctx, node->items[i], &index));
        CYG_DO(cyg_doc_as_string(ctx, node->items[i], &text));
        n->names[index] = cyg_arena_strdup(&n->arena, text);
        if (n->names[index] == NULL)
            return CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", node->path);
    }
    return CYG_OK;
}

static const cyg_doc_node *find_list(const cyg_doc_node *root)
{
    static const char *const keys[] = {"id2label", "label_names", "labels"};
    for (size_t i = 0; i < CYG_COUNT(keys); i++) {
        const cyg_doc_node *node = cyg_doc_get(root, keys[i]);
        if (node != NULL && (node->kind == CYG_DOC_LIST || node->kind == CYG_DOC_MAP))
            return node;
    }
    const bool list = root->kind == CYG_DOC_LIST;
    const bool numbered = root->kind == CYG_DOC_MAP && cyg_doc_get(root, "0") != NULL;
    return list || numbered ? root : NULL;
}

cyg_status cyg_class_names_from_doc(cyg_ctx *ctx, const cyg_doc_node *root,
                                    cyg_class_names **out_names)
{
    *out_names = NULL;
    const cyg_doc_node *node = find_list(root);
    if (node == NULL || node->count == 0)
        return CYG_OK;
    size_t count = node->count, index = 0;
    if (count > MOST_CLASSES)
        return CYG_DOC_FAIL(ctx, node, CYG_E_FORMAT, "%zu class names; at most %d", count,
                            MOST_CLASSES);
    for (size_t i = 0; node->kind == CYG_DOC_MAP && i < node->count; i++) {
        CYG_DO(key_index(ctx, node->items[i], &index));
        if (index >= count)
            count = index + 1;
    }
    cyg_class_names *n = create(count);
    if (n == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", root->path);
    const cyg_status status = fill(ctx, node, n);
    if (status != CYG_OK) {
        cyg_class_names_close(n);
        return status;
    }
    *out_names = n;
    return CYG_OK;
}

static cyg_status open_json(cyg_ctx *ctx, const char *path, cyg_class_names **out_names)
{
    cyg_doc *doc = NULL;
    CYG_DO(cyg_doc_open(ctx, path, &doc));
    cyg_status status = cyg_class_names_from_doc(ctx, cyg_doc_root(doc), out_names);
    if (status == CYG_OK && *out_names == NULL)
        status =
            CYG_FAIL(ctx, CYG_E_FORMAT, "%s: has no id2label and is no list of class names", path);
    cyg_doc_close(doc);
    return status;
}

cyg_status cyg_class_names_open(cyg_ctx *ctx, const char *path, cyg_class_names **out_names)
{
    *out_names = NULL;
    const size_t n = strlen(path);
    if (n > 5 && strcasecmp(path + n - 5, ".json") == 0)
        return open_json(ctx, path, out_names);
    cyg_map map;
    CYG_DO(cyg_map_open(ctx, path, &map));
    const cyg_status status =
        cyg_class_names_parse(ctx, path, (const char *)map.data, map.size, out_names);
    cyg_map_close(&map);
    return status;
}

size_t cyg_class_names_count(const cyg_class_names *n)
{
    return n != NULL ? n->count : 0;
}

const char *cyg_class_names_get(const cyg_class_names *n, size_t i)
{
    return n != NULL && i < n->count && n->names[i] != NULL ? n->names[i] : "";
}

void cyg_class_names_write(const cyg_class_names *n, cyg_json *out)
{
    cyg_json_begin_array(out);
    for (size_t i = 0; i < cyg_class_names_count(n); i++)
        cyg_json_string(out, cyg_class_names_get(n, i));
    cyg_json_end_array(out);
}
