/* How the parsers put a tree together. Internal to io. */
#ifndef CYG_IO_DOC_BUILD_H
#define CYG_IO_DOC_BUILD_H

#include "base/arena.h"
#include "io/doc.h"

typedef struct cyg_doc_open_list { /* a container that is still being filled */
    cyg_doc_node *node;
    cyg_doc_node **items; /* heap, grows */
    size_t count, cap;
    const char *key; /* of the value that comes next */
    uint32_t key_line, key_column;
} cyg_doc_open_list;

typedef struct cyg_doc_builder {
    cyg_ctx *ctx;
    cyg_arena *arena;
    const char *path;
    cyg_doc_node *root;
    size_t depth;
    cyg_doc_open_list open[CYG_DOC_DEEPEST];
} cyg_doc_builder;

typedef struct cyg_doc_place {
    uint32_t line, column;
} cyg_doc_place;

void cyg_doc_builder_deinit(cyg_doc_builder *b);
cyg_status cyg_doc_build_begin(cyg_doc_builder *b, cyg_doc_kind kind,
                               cyg_doc_place at) CYG_MUST_USE;
cyg_status cyg_doc_build_end(cyg_doc_builder *b) CYG_MUST_USE;
/* Inside a map, before each value. Text is copied. */
cyg_status cyg_doc_build_key(cyg_doc_builder *b, const char *text, size_t size,
                             cyg_doc_place at) CYG_MUST_USE;
/* Adds a scalar; value says kind and parsed value, text is copied. */
cyg_status cyg_doc_build_scalar(cyg_doc_builder *b, cyg_doc_node value, const char *text,
                                size_t size, cyg_doc_place at) CYG_MUST_USE;
/* INT or FLOAT from text that matches the number grammar of JSON or YAML. */
cyg_status cyg_doc_build_number(cyg_doc_builder *b, const char *text, size_t size,
                                cyg_doc_place at) CYG_MUST_USE;
/* "path:line:column: text" */
cyg_status cyg_doc_build_fail(cyg_doc_builder *b, cyg_doc_place at, const char *fmt, ...)
    CYG_PRINTF(3, 4) CYG_MUST_USE;

cyg_status cyg_doc_parse_json(cyg_doc_builder *b, const uint8_t *data, size_t size) CYG_MUST_USE;
cyg_status cyg_doc_parse_yaml(cyg_doc_builder *b, const uint8_t *data, size_t size) CYG_MUST_USE;
cyg_status cyg_doc_parse_toml(cyg_doc_builder *b, const uint8_t *data, size_t size) CYG_MUST_USE;
cyg_status cyg_doc_parse_prototxt(cyg_doc_builder *b, const uint8_t *data,
                                  size_t size) CYG_MUST_USE;

#endif
