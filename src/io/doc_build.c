/* Builds the tree of a document, for both parsers.
 *
 * Open containers lie on a stack of fixed height, which bounds the depth of any input. Children of
 * an open container are collected on the heap and copied to the arena when it closes. A closing map
 * sorts its children by key: equal neighbours are duplicates, reported at the second with the place
 * of the first.
 *
 * Numbers are read by strtod/strtoll after the parsers checked their grammar; the process runs in
 * the "C" locale. */
#include "io/doc_build.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void cyg_doc_builder_deinit(cyg_doc_builder *b)
{
    for (size_t i = 0; i < b->depth; i++)
        free(b->open[i].items);
    b->depth = 0;
}

cyg_status cyg_doc_build_fail(cyg_doc_builder *b, cyg_doc_place at, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    if (vsnprintf(text, sizeof text, fmt, args) < 0)
        text[0] = '\0';
    va_end(args);
    return CYG_FAIL(b->ctx, CYG_E_FORMAT, "%s:%u:%u: %s", b->path, at.line, at.column, text);
}

static cyg_status no_memory(cyg_doc_builder *b)
{
    return CYG_FAIL(b->ctx, CYG_E_NOMEM, "%s: out of memory", b->path);
}

/* Hangs a node into the container on top, or makes it the root. */
static cyg_status attach(cyg_doc_builder *b, cyg_doc_node *node)
{
    if (b->depth == 0) {
        CYG_ASSERT(b->root == NULL);
        b->root = node;
        return CYG_OK;
    }
    cyg_doc_open_list *top = &b->open[b->depth - 1];
    if (top->count == top->cap) {
        const size_t cap = top->cap == 0 ? 8 : top->cap * 2;
        cyg_doc_node **items = realloc(top->items, cap * sizeof(cyg_doc_node *));
        if (items == NULL)
            return no_memory(b);
        top->items = items;
        top->cap = cap;
    }
    top->items[top->count++] = node;
    if (top->node->kind == CYG_DOC_MAP) {
        node->key = top->key;
        node->key_line = top->key_line;
        node->key_column = top->key_column;
        top->key = NULL;
    }
    return CYG_OK;
}

static cyg_doc_node *new_node(cyg_doc_builder *b, cyg_doc_node value, cyg_doc_place at)
{
    cyg_doc_node *node = cyg_arena_alloc(b->arena, sizeof *node, 0);
    if (node == NULL)
        return NULL;
    *node = value;
    node->path = b->path;
    node->line = at.line;
    node->column = at.column;
    if (node->text == NULL)
        node->text = "";
    return node;
}

cyg_status cyg_doc_build_begin(cyg_doc_builder *b, cyg_doc_kind kind, cyg_doc_place at)
{
    if (b->depth == CYG_DOC_DEEPEST)
        return cyg_doc_build_fail(b, at, "nested deeper than %d levels", CYG_DOC_DEEPEST);
    cyg_doc_node *node = new_node(b, (cyg_doc_node){.kind = kind}, at);
    if (node == NULL)
        return no_memory(b);
    CYG_DO(attach(b, node));
    b->open[b->depth++] = (cyg_doc_open_list){.node = node};
    return CYG_OK;
}

static int by_key(const void *left, const void *right)
{
    const cyg_doc_node *a = *(const cyg_doc_node *const *)left;
    const cyg_doc_node *b = *(const cyg_doc_node *const *)right;
    const int order = strcmp(a->key, b->key);
    if (order != 0)
        return order;
    if (a->key_line != b->key_line)
        return a->key_line < b->key_line ? -1 : 1;
    return a->key_column < b->key_column ? -1 : a->key_column > b->key_column;
}

static cyg_status sort_keys(cyg_doc_builder *b, cyg_doc_node *map, cyg_doc_node **items)
{
    qsort(items, map->count, sizeof(cyg_doc_node *), by_key);
    for (size_t i = 1; i < map->count; i++) {
        const cyg_doc_node *first = items[i - 1], *second = items[i];
        if (strcmp(first->key, second->key) == 0)
            return cyg_doc_build_fail(b, (cyg_doc_place){second->key_line, second->key_column},
                                      "duplicate key \"%.80s\"; the first is at line %u, column %u",
                                      second->key, first->key_line, first->key_column);
    }
    void *copy = cyg_arena_memdup(b->arena, items, map->count * sizeof(cyg_doc_node *));
    map->sorted = copy;
    return copy != NULL ? CYG_OK : no_memory(b);
}

cyg_status cyg_doc_build_end(cyg_doc_builder *b)
{
    CYG_ASSERT(b->depth > 0);
    cyg_doc_open_list *top = &b->open[b->depth - 1];
    cyg_doc_node *node = top->node;
    node->count = top->count;
    void *copy = cyg_arena_memdup(b->arena, top->items, top->count * sizeof(cyg_doc_node *));
    if (copy == NULL)
        return no_memory(b);
    node->items = copy;
    if (node->kind == CYG_DOC_MAP && node->count > 0)
        CYG_DO(sort_keys(b, node, top->items));
    free(top->items);
    b->depth--;
    return CYG_OK;
}

cyg_status cyg_doc_build_key(cyg_doc_builder *b, const char *text, size_t size, cyg_doc_place at)
{
    CYG_ASSERT(b->depth > 0 && b->open[b->depth - 1].node->kind == CYG_DOC_MAP);
    cyg_doc_open_list *top = &b->open[b->depth - 1];
    top->key = cyg_arena_strndup(b->arena, text, size);
    top->key_line = at.line;
    top->key_column = at.column;
    return top->key != NULL ? CYG_OK : no_memory(b);
}

cyg_status cyg_doc_build_scalar(cyg_doc_builder *b, cyg_doc_node value, const char *text,
                                size_t size, cyg_doc_place at)
{
    value.text = cyg_arena_strndup(b->arena, text, size);
    value.text_size = size;
    cyg_doc_node *node = value.text != NULL ? new_node(b, value, at) : NULL;
    return node != NULL ? attach(b, node) : no_memory(b);
}

cyg_status cyg_doc_build_number(cyg_doc_builder *b, const char *text, size_t size, cyg_doc_place at)
{
    char copy[512];
    if (size >= sizeof copy)
        return cyg_doc_build_fail(b, at, "a number of %zu digits", size);
    memcpy(copy, text, size);
    copy[size] = '\0';
    cyg_doc_node value = {.kind = CYG_DOC_INT};
    if (strpbrk(copy, ".eE") == NULL) {
        errno = 0;
        value.integer = strtoll(copy, NULL, 10);
        value.number = (double)value.integer;
        if (errno == 0)
            return cyg_doc_build_scalar(b, value, text, size, at);
    }
    value = (cyg_doc_node){.kind = CYG_DOC_FLOAT, .number = strtod(copy, NULL)};
    if (!isfinite(value.number))
        return cyg_doc_build_fail(b, at, "%.40s is too large for a number", copy);
    return cyg_doc_build_scalar(b, value, text, size, at);
}
