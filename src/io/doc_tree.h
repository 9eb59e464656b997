/* A tree that can still grow anywhere: what TOML and protobuf's text format are read into, since
 * both may come back to a map or list that other things stand behind. Handed to the builder in the
 * end, so that places, duplicates and depth are treated as in JSON. Internal to io. */
#ifndef CYG_IO_DOC_TREE_H
#define CYG_IO_DOC_TREE_H

#include "io/doc_scan.h"

typedef struct cyg_tree_node cyg_tree_node;
struct cyg_tree_node {
    cyg_doc_node value; /* kind; of scalars what cyg_doc_build_scalar takes, but for numbers */
    bool is_number;     /* value.text is one, for cyg_doc_build_number */
    unsigned mark;      /* the reader's own business */
    cyg_doc_place at, key_at;
    const char *key; /* NULL in lists */
    size_t key_size, text_size;
    const char *text;
    cyg_tree_node *first, *last, *next; /* children in the order of the file; the next sibling */
};

typedef struct cyg_tree {
    cyg_arena arena;
    cyg_tree_node *root;
    cyg_tree_node **slots; /* heap: children of maps by parent and key */
    const cyg_tree_node **parents;
    size_t slot_count, used;
} cyg_tree;

/* false = out of memory, here and below. The root is a map. */
bool cyg_tree_init(cyg_tree *t);
void cyg_tree_deinit(cyg_tree *t);
/* key NULL: an item of a list. Text is copied; NULL = out of memory. */
cyg_tree_node *cyg_tree_add(cyg_tree *t, cyg_tree_node *parent, cyg_doc_kind kind, const char *key,
                            size_t key_size, cyg_doc_place key_at, cyg_doc_place at);
bool cyg_tree_set_text(cyg_tree *t, cyg_tree_node *node, const char *text, size_t size);
cyg_tree_node *cyg_tree_find(const cyg_tree *t, const cyg_tree_node *parent, const char *key,
                             size_t key_size);
/* What `node` is becomes the first item of a list in its place; nobody looks for keys in it again.
 */
bool cyg_tree_make_list(cyg_tree *t, cyg_tree_node *node);
cyg_status cyg_tree_build(const cyg_tree *t, cyg_doc_builder *b) CYG_MUST_USE;

/* ---- what the readers that grow a tree have in common ---- */

typedef struct cyg_tree_parser {
    cyg_doc_scan s;
    cyg_tree tree;
    size_t depth; /* of values */
} cyg_tree_parser;

CYG_INLINE int cyg_tree_peek(const cyg_tree_parser *p)
{
    return cyg_scan_peek(&p->s);
}
cyg_status cyg_tree_nomem(const cyg_tree_parser *p) CYG_MUST_USE;
/* Reads all of the text into a tree by `read`, then hands that to the builder. An empty text is the
 * caller's to report. */
cyg_status cyg_tree_parse(cyg_doc_builder *b, const uint8_t *data, size_t size,
                          cyg_status (*read)(cyg_tree_parser *p)) CYG_MUST_USE;

#endif
