/* One document tree for JSON, YAML, TOML and protobuf's text format: config files, HuggingFace's
 * json files, index files.
 *
 * Every node knows its line and column, so that an error can point: "config/swin-t.json:14:9:
 * unknown key ...". Keys keep their order. Duplicate keys, anchors and aliases, NaN and infinity
 * are errors; depth and size are bounded. A document and its nodes are read-only after parsing and
 * die together. */
#ifndef CYG_IO_DOC_H
#define CYG_IO_DOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum { CYG_DOC_DEEPEST = 64, CYG_DOC_LARGEST = 64 << 20 };

typedef enum cyg_doc_kind {
    CYG_DOC_NULL,
    CYG_DOC_BOOL,
    CYG_DOC_INT,   /* fits int64 */
    CYG_DOC_FLOAT, /* has a point or an exponent, or is an integer too large for int64 */
    CYG_DOC_STRING,
    CYG_DOC_LIST,
    CYG_DOC_MAP,
} cyg_doc_kind;

typedef struct cyg_doc_node cyg_doc_node;
struct cyg_doc_node {
    cyg_doc_kind kind;
    bool boolean;          /* BOOL */
    uint32_t line, column; /* of the value's first character, from 1; columns count characters */
    uint32_t key_line, key_column;
    const char *path; /* of the document, for messages */
    const char *key;  /* inside a map: this node's key; else NULL */
    const char *text; /* scalars: the text as written (a string: its content); else "" */
    size_t text_size; /* bytes of text without the NUL; text holds no NUL inside */
    int64_t integer;  /* INT */
    double number;    /* INT and FLOAT */
    size_t count;     /* LIST, MAP */
    const cyg_doc_node *const *items;  /* [count], in the order of the file */
    const cyg_doc_node *const *sorted; /* MAP: the same by key, for lookup */
};

typedef enum cyg_doc_syntax {
    CYG_DOC_JSON,     /* relaxed: comments and trailing commas, for config files; else strict */
    CYG_DOC_YAML,     /* YAML 1.2's core schema on one document */
    CYG_DOC_TOML,     /* TOML 1.0 without dates */
    CYG_DOC_PROTOTXT, /* repeated fields are lists; what occurs once may be a list of one */
} cyg_doc_syntax;
/* By suffix: .json, .yaml, .yml, .toml, .prototxt (any case); false = none of them. */
bool cyg_doc_syntax_of(const char *path, cyg_doc_syntax *out_syntax);

typedef struct cyg_doc cyg_doc;

/* Parses data; path names it in messages. The document copies what it keeps. */
cyg_status cyg_doc_parse(cyg_ctx *ctx, const char *path, const void *data, size_t size,
                         cyg_doc_syntax syntax, cyg_doc **out_doc) CYG_MUST_USE;
/* Reads and parses a file; syntax by suffix. */
cyg_status cyg_doc_open(cyg_ctx *ctx, const char *path, cyg_doc **out_doc) CYG_MUST_USE;
void cyg_doc_close(cyg_doc *doc); /* NULL is fine */
const cyg_doc_node *cyg_doc_root(const cyg_doc *doc);

/* The value under key, or NULL when map is NULL, not a map, or lacks it. */
const cyg_doc_node *cyg_doc_get(const cyg_doc_node *map, const char *key);
/* The same, but a missing key (or a node that is no map) is an error. */
cyg_status cyg_doc_need(cyg_ctx *ctx, const cyg_doc_node *map, const char *key,
                        const cyg_doc_node **out_node) CYG_MUST_USE;

/* Typed reads; the error says what was expected and what is there. */
cyg_status cyg_doc_as_bool(cyg_ctx *ctx, const cyg_doc_node *node, bool *out_value) CYG_MUST_USE;
/* Also takes a float that is a whole number, as 32.0 or 1e3. */
cyg_status cyg_doc_as_int(cyg_ctx *ctx, const cyg_doc_node *node, int64_t *out_value) CYG_MUST_USE;
cyg_status cyg_doc_as_float(cyg_ctx *ctx, const cyg_doc_node *node, double *out_value) CYG_MUST_USE;
/* Lent, lives as long as the document. */
cyg_status cyg_doc_as_string(cyg_ctx *ctx, const cyg_doc_node *node,
                             const char **out_value) CYG_MUST_USE;
cyg_status cyg_doc_as_list(cyg_ctx *ctx, const cyg_doc_node *node) CYG_MUST_USE;
cyg_status cyg_doc_as_map(cyg_ctx *ctx, const cyg_doc_node *node) CYG_MUST_USE;

/* The tree as JSON. */
struct cyg_json;
void cyg_doc_write(const cyg_doc_node *node, struct cyg_json *json);
/* "an integer", "a map": for messages. */
const char *cyg_doc_kind_text(cyg_doc_kind kind);

/* return CYG_DOC_FAIL(ctx, node, CYG_E_CONFIG, "unknown key ..."): the message starts with
 * path:line:column of the node. */
#define CYG_DOC_FAIL(ctx, node, status, ...)                                                       \
    (cyg_doc_fail_at((ctx), __FILE__, __LINE__, (node), (status), __VA_ARGS__),                    \
     (cyg_status)(status))
/* The same at the node's key. */
#define CYG_DOC_FAIL_KEY(ctx, node, status, ...)                                                   \
    (cyg_doc_fail_key_at((ctx), __FILE__, __LINE__, (node), (status), __VA_ARGS__),                \
     (cyg_status)(status))
cyg_status cyg_doc_fail_at(cyg_ctx *ctx, const char *file, int line, const cyg_doc_node *node,
                           cyg_status status, const char *fmt, ...) CYG_PRINTF(6, 7);
cyg_status cyg_doc_fail_key_at(cyg_ctx *ctx, const char *file, int line, const cyg_doc_node *node,
                               cyg_status status, const char *fmt, ...) CYG_PRINTF(6, 7);

#endif
