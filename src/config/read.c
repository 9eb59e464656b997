/* Reading a config file (JSON, YAML, TOML or prototxt, one document tree) into the structs.
 *
 * A loop over the keys of a map, driven by the message's fields. Accepted beyond the letter, since
 * the vendor's files have it: lowerCamelCase keys, one value for a list, an enum by number, an
 * integer where a number is meant (quietly); a bool as 0, 1 or "true" (with a warning). null and ""
 * mean unset. All else is an error with path:line:column: unknown keys (with the nearest, or the
 * message that the key belongs to), a key in two spellings, wrong types, values outside their
 * limits.
 *
 * Each value is read in full first and stored only where the command line has not spoken, so that a
 * mistake in the file shows in any case.
 *
 * Paths: relative to the current directory; where nothing is there and the config file's folder has
 * it, that, with a note.
 * "~" and variables are never expanded.
 *
 * The tree's depth and size are bounded by io/doc; here the number of messages is, since each takes
 * a struct of a thousand bytes and a file may hold millions of "{}". */
#include "config/config.h"

#include <math.h>
#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "base/log.h"
#include "io/doc.h"
#include "io/json_write.h"

enum { MOST_MESSAGES = 65536 };

typedef struct reader {
    cyg_ctx *ctx;
    cyg_arena *arena;
    const char *file;   /* in the arena: marks point at it */
    size_t folder_size; /* bytes of `file` up to and with the last '/' */
    size_t messages;
} reader;

static cyg_status read_message(reader *r, const cyg_doc_node *node,
                               const cyg_config_message *message, const char *path, void *config);

/* ---- scalars ---- */

static cyg_status fail_type(reader *r, const cyg_doc_node *node, const char *path,
                            const char *expected)
{
    const bool scalar = node->kind != CYG_DOC_LIST && node->kind != CYG_DOC_MAP;
    return CYG_DOC_FAIL(r->ctx, node, CYG_E_CONFIG, "%s: expected %s, found %s%s%.60s%s", path,
                        expected, cyg_doc_kind_text(node->kind), scalar ? " \"" : "",
                        scalar ? node->text : "", scalar ? "\"" : "");
}

static cyg_status read_bool(reader *r, const cyg_doc_node *node, const char *path, bool *out_value)
{
    if (node->kind == CYG_DOC_BOOL) {
        *out_value = node->boolean;
        return CYG_OK;
    }
    const bool number = node->kind == CYG_DOC_INT && (node->integer == 0 || node->integer == 1);
    if (!number && !(node->kind == CYG_DOC_STRING && cyg_value_parse_bool(node->text, out_value)))
        return fail_type(r, node, path, "true or false");
    if (number)
        *out_value = node->integer == 1;
    cyg_warn(r->ctx, "%s:%u:%u: %s: %s read as %s; write %s", r->file, node->line, node->column,
             path, node->text, *out_value ? "true" : "false", *out_value ? "true" : "false");
    return CYG_OK;
}

static cyg_status read_int(reader *r, const cyg_doc_node *node, const char *path,
                           int64_t *out_value)
{
    const bool whole = node->kind == CYG_DOC_FLOAT && fabs(node->number) < 9007199254740992.0 &&
                       floor(node->number) >= node->number;
    if (node->kind != CYG_DOC_INT && !whole)
        return fail_type(r, node, path, "an integer");
    *out_value = whole ? (int64_t)node->number : node->integer;
    return CYG_OK;
}

static cyg_status read_float(reader *r, const cyg_doc_node *node, const char *path,
                             double *out_value)
{
    if (node->kind != CYG_DOC_INT && node->kind != CYG_DOC_FLOAT)
        return fail_type(r, node, path, "a number");
    *out_value = node->number;
    return CYG_OK;
}

static cyg_status read_enum(reader *r, const cyg_doc_node *node, const char *path, const char *what,
                            const cyg_config_enum *of, int *out_value)
{
    if (node->kind == CYG_DOC_STRING)
        return cyg_value_parse_enum(r->ctx, CYG_E_CONFIG, what, of, node->text, out_value);
    if (node->kind != CYG_DOC_INT)
        return fail_type(r, node, path, "a name");
    for (size_t i = 0; i < of->count; i++) {
        if (of->numbers[i] >= 0 && of->numbers[i] == node->integer) {
            *out_value = (int)i;
            return CYG_OK;
        }
    }
    return CYG_DOC_FAIL(r->ctx, node, CYG_E_CONFIG,
                        "%s: %s has no value with the number %s; write its name", path, of->name,
                        node->text);
}

/* The current directory first, then the config file's. */
static cyg_status find_path(reader *r, const cyg_doc_node *node, const char *path,
                            const char **value)
{
    const char *name = *value;
    if (name == NULL || name[0] == '/' || r->folder_size == 0 || cyg_path_exists(name))
        return CYG_OK;
    const char *beside = cyg_arena_printf(r->arena, "%.*s%s", (int)r->folder_size, r->file, name);
    if (beside == NULL)
        return CYG_FAIL(r->ctx, CYG_E_NOMEM, "%s: out of memory", r->file);
    if (!cyg_path_exists(beside))
        return CYG_OK;
    cyg_note(r->ctx, "%s:%u:%u: %s: \"%s\" is not in the current directory; using %s", r->file,
             node->line, node->column, path, name, beside);
    *value = beside;
    return CYG_OK;
}

static cyg_status read_text(reader *r, const cyg_doc_node *node, const char *path, const char *what,
                            cyg_value_kind kind, const char **out_value)
{
    if (node->kind != CYG_DOC_STRING)
        return fail_type(r, node, path, kind == CYG_VALUE_STRING ? "a string" : "a path");
    const cyg_value_type type = {.kind = kind};
    CYG_DO(cyg_value_parse(r->ctx, r->arena, CYG_E_CONFIG, what, type, &node->text, 1, out_value));
    return kind == CYG_VALUE_IN_PATH ? find_path(r, node, path, out_value) : CYG_OK;
}

/* ---- lists ---- */

/* A value that stands alone is a list of one. */
static const cyg_doc_node *item_of(const cyg_doc_node *node, size_t i)
{
    return node->kind == CYG_DOC_LIST ? node->items[i] : node;
}

static size_t item_count(const cyg_doc_node *node)
{
    return node->kind == CYG_DOC_LIST ? node->count : 1;
}

static cyg_status read_list(reader *r, const cyg_doc_node *node, const char *path, const char *what,
                            cyg_value_kind kind, cyg_value_any *out)
{
    const size_t count = item_count(node);
    const size_t size = kind == CYG_VALUE_INTS     ? sizeof(int64_t)
                        : kind == CYG_VALUE_FLOATS ? sizeof(double)
                                                   : sizeof(char *);
    void *items = count ? cyg_arena_calloc(r->arena, count, size) : NULL;
    if (count && items == NULL)
        return CYG_FAIL(r->ctx, CYG_E_NOMEM, "%s: out of memory", r->file);
    for (size_t i = 0; i < count; i++) {
        const cyg_doc_node *item = item_of(node, i);
        if (kind == CYG_VALUE_INTS) {
            CYG_DO(read_int(r, item, path, (int64_t *)items + i));
        } else if (kind == CYG_VALUE_FLOATS) {
            CYG_DO(read_float(r, item, path, (double *)items + i));
        } else {
            const char **text = (const char **)items + i;
            CYG_DO(read_text(r, item, path, what, CYG_VALUE_STRING, text));
            if (*text == NULL)
                return CYG_DOC_FAIL(r->ctx, item, CYG_E_CONFIG, "%s: an item is empty", path);
        }
    }
    if (kind == CYG_VALUE_INTS)
        out->ints = (cyg_int_list){items, count};
    else if (kind == CYG_VALUE_FLOATS)
        out->floats = (cyg_float_list){items, count};
    else
        out->strings = (cyg_string_list){items, count};
    return CYG_OK;
}

/* Entries must hold what they need: a name, a dataset. */
static cyg_status check_needs(reader *r, const cyg_doc_node *node,
                              const cyg_config_message *message, const char *path,
                              const void *config)
{
    for (size_t i = 0; i < message->count; i++) {
        const cyg_config_field *field = &message->fields[i];
        if (field->where != CYG_WHERE_NEED_FILE)
            continue;
        const void *value = cyg_config_value_const(field, config);
        const bool missing =
            cyg_value_is_text(field->type.kind)
                ? *(const char *const *)value == NULL
                : cyg_config_mark_const(field, config)->origin == CYG_CONFIG_DEFAULT;
        if (missing)
            return CYG_DOC_FAIL(r->ctx, node, CYG_E_CONFIG, "%s: %s is missing", path, field->name);
    }
    return CYG_OK;
}

static cyg_status read_messages(reader *r, const cyg_doc_node *node,
                                const cyg_config_message *message, const char *path,
                                cyg_value_any *out)
{
    const size_t count = item_count(node);
    if (count > MOST_MESSAGES - r->messages)
        return CYG_DOC_FAIL(r->ctx, node, CYG_E_CONFIG, "%s: more than %d entries", path,
                            MOST_MESSAGES);
    r->messages += count;
    char *items = count ? cyg_arena_calloc(r->arena, count, message->size) : NULL;
    if (count && items == NULL)
        return CYG_FAIL(r->ctx, CYG_E_NOMEM, "%s: out of memory", r->file);
    for (size_t i = 0; i < count; i++) {
        const char *inner = cyg_arena_printf(r->arena, "%s[%zu]", path, i);
        void *entry = items + i * message->size;
        const cyg_doc_node *item = item_of(node, i);
        if (inner == NULL)
            return CYG_FAIL(r->ctx, CYG_E_NOMEM, "%s: out of memory", r->file);
        CYG_DO(cyg_config_init(r->ctx, r->arena, message, entry));
        CYG_DO(read_message(r, item, message, inner, entry));
        CYG_DO(check_needs(r, item, message, inner, entry));
    }
    out->list.items = items;
    out->list.count = count;
    return CYG_OK;
}

/* ---- fields ---- */

/* The value of any kind but SUB. */
/* Kept as JSON text until somebody knows what it means. */
static cyg_status read_any(reader *r, const cyg_doc_node *node, const char **out_text)
{
    cyg_strbuf text = {0};
    cyg_json json;
    cyg_json_init(&json, &text, 0);
    cyg_doc_write(node, &json);
    *out_text = text.failed ? NULL : cyg_arena_strdup(r->arena, text.data);
    cyg_strbuf_deinit(&text);
    return *out_text != NULL ? CYG_OK : CYG_FAIL(r->ctx, CYG_E_NOMEM, "%s: out of memory", r->file);
}

static cyg_status read_value(reader *r, const cyg_doc_node *node, const cyg_config_field *field,
                             const char *path, cyg_value_any *out)
{
    const cyg_value_kind kind = field->type.kind;
    const char *what =
        cyg_arena_printf(r->arena, "%s:%u:%u: %s", r->file, node->line, node->column, path);
    if (what == NULL)
        return CYG_FAIL(r->ctx, CYG_E_NOMEM, "%s: out of memory", r->file);
    if (kind == CYG_VALUE_BOOL)
        CYG_DO(read_bool(r, node, path, &out->boolean));
    else if (kind == CYG_VALUE_INT)
        CYG_DO(read_int(r, node, path, &out->integer));
    else if (kind == CYG_VALUE_FLOAT)
        CYG_DO(read_float(r, node, path, &out->number));
    else if (kind == CYG_VALUE_ENUM)
        CYG_DO(read_enum(r, node, path, what, field->type.of, &out->word));
    else if (cyg_value_is_text(kind))
        CYG_DO(read_text(r, node, path, what, kind, &out->text));
    else if (cyg_value_is_list(kind))
        CYG_DO(read_list(r, node, path, what, kind, out));
    else if (kind == CYG_VALUE_SUBS)
        return read_messages(r, node, field->sub, path, out);
    else
        return read_any(r, node, &out->text);
    return cyg_value_check(r->ctx, CYG_E_CONFIG, what, field->type, out);
}

static cyg_status read_field(reader *r, const cyg_doc_node *node, const cyg_config_field *field,
                             const char *prefix, void *config)
{
    cyg_value_any value;
    const char *path =
        cyg_arena_printf(r->arena, "%s%s%s", prefix, prefix[0] ? "." : "", field->name);
    if (path == NULL)
        return CYG_FAIL(r->ctx, CYG_E_NOMEM, "%s: out of memory", r->file);
    const bool unset =
        node->kind == CYG_DOC_NULL || (cyg_value_is_text(field->type.kind) &&
                                       node->kind == CYG_DOC_STRING && node->text_size == 0);
    if (unset)
        return CYG_OK;
    cyg_config_mark *mark = cyg_config_mark_of(field, config);
    const cyg_config_mark here = {CYG_CONFIG_FILE, node->key_line, node->key_column, r->file};
    if (field->type.kind == CYG_VALUE_SUB) {
        *mark = here;
        return read_message(r, node, field->sub, path, cyg_config_value(field, config));
    }
    memset(&value, 0, sizeof value);
    CYG_DO(read_value(r, node, field, path, &value));
    if (mark->origin == CYG_CONFIG_COMMAND_LINE)
        return CYG_OK;
    memcpy(cyg_config_value(field, config), &value, cyg_value_size(field->type.kind));
    *mark = here;
    return CYG_OK;
}

static cyg_status fail_unknown(reader *r, const cyg_doc_node *node,
                               const cyg_config_message *message, const char *path)
{
    const char *names[128];
    size_t count = 0;
    for (size_t i = 0; i < message->count && count < CYG_COUNT(names); i++)
        names[count++] = message->fields[i].name;
    const char *in = path[0] ? " in " : "";
    for (size_t i = 0; i < cyg_config_message_total; i++) {
        if (cyg_config_messages[i] != message &&
            cyg_config_messages[i] != &cyg_config_message_run &&
            cyg_config_find_field(cyg_config_messages[i], node->key) >= 0)
            return CYG_DOC_FAIL_KEY(r->ctx, node, CYG_E_CONFIG,
                                    "unknown key \"%.80s\"%s%s; it belongs to %s", node->key, in,
                                    path, cyg_config_messages[i]->name);
    }
    const int near = cyg_nearest_name(node->key, names, count);
    if (near < 0)
        return CYG_DOC_FAIL_KEY(r->ctx, node, CYG_E_CONFIG, "unknown key \"%.80s\"%s%s", node->key,
                                in, path);
    return CYG_DOC_FAIL_KEY(r->ctx, node, CYG_E_CONFIG,
                            "unknown key \"%.80s\"%s%s; did you mean \"%s\"?", node->key, in, path,
                            names[near]);
}

static cyg_status read_message(reader *r, const cyg_doc_node *node,
                               const cyg_config_message *message, const char *path, void *config)
{
    const cyg_doc_node *seen[128] = {NULL}; /* by field */
    if (node->kind != CYG_DOC_MAP)
        return fail_type(r, node, path[0] ? path : message->name, "a map");
    CYG_ASSERT(message->count <= CYG_COUNT(seen));
    /* Every message struct begins with its own mark. */
    *(cyg_config_mark *)config =
        (cyg_config_mark){CYG_CONFIG_FILE, node->line, node->column, r->file};
    for (size_t i = 0; i < node->count; i++) {
        const cyg_doc_node *item = node->items[i];
        const int at = cyg_config_find_field(message, item->key);
        if (at < 0)
            return fail_unknown(r, item, message, path);
        if (seen[at] != NULL)
            return CYG_DOC_FAIL_KEY(r->ctx, item, CYG_E_CONFIG,
                                    "\"%.80s\" is the same key as \"%.80s\" in line %u", item->key,
                                    seen[at]->key, seen[at]->key_line);
        seen[at] = item;
        CYG_DO(read_field(r, item, &message->fields[at], path, config));
    }
    return CYG_OK;
}

/* ---- files ---- */

static cyg_status syntax_of(cyg_ctx *ctx, const char *name, cyg_doc_syntax *out_syntax)
{
    if (cyg_doc_syntax_of(name, out_syntax))
        return CYG_OK;
    return CYG_FAIL(ctx, CYG_E_CONFIG,
                    "%s: the suffix tells the syntax of a config file; expected .json, .yaml, "
                    ".yml, .toml or .prototxt",
                    name);
}

cyg_status cyg_config_read_text(cyg_ctx *ctx, cyg_arena *arena, const char *name, const void *data,
                                size_t size, const cyg_config_message *message, void *config)
{
    cyg_doc *doc = NULL;
    cyg_doc_syntax syntax = CYG_DOC_JSON;
    CYG_DO(syntax_of(ctx, name, &syntax));
    reader r = {.ctx = ctx, .arena = arena, .file = cyg_arena_strdup(arena, name)};
    if (r.file == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", name);
    const char *slash = strrchr(r.file, '/');
    r.folder_size = slash ? (size_t)(slash - r.file) + 1 : 0;
    CYG_DO(cyg_doc_parse(ctx, name, data, size, syntax, &doc));
    const cyg_status st = read_message(&r, cyg_doc_root(doc), message, "", config);
    cyg_doc_close(doc);
    return st;
}

cyg_status cyg_config_read_file(cyg_ctx *ctx, cyg_arena *arena, const char *path,
                                const cyg_config_message *message, void *config)
{
    cyg_map map;
    cyg_doc_syntax syntax = CYG_DOC_JSON;
    CYG_DO(syntax_of(ctx, path, &syntax));
    CYG_DO(cyg_map_open(ctx, path, &map));
    const cyg_status st = cyg_config_read_text(
        ctx, arena, path, map.data ? (const void *)map.data : "", map.size, message, config);
    cyg_map_close(&map);
    return st;
}
