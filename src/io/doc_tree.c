/* Growing trees. Children of maps are found through a hash table over parent and key, so that a map
 * of a million keys is read in linear time. */
#include "io/doc_tree.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

static size_t slot_of(const cyg_tree *t, const cyg_tree_node *parent, const char *key, size_t size)
{
    const uint64_t h = cyg_hash64(key, size, cyg_hash64(&parent, sizeof parent, 0));
    size_t i = (size_t)h & (t->slot_count - 1);
    while (t->slots[i] != NULL && !(t->parents[i] == parent && t->slots[i]->key_size == size &&
                                    (size == 0 || memcmp(t->slots[i]->key, key, size) == 0)))
        i = (i + 1) & (t->slot_count - 1);
    return i;
}

static bool grow_slots(cyg_tree *t, size_t count)
{
    cyg_tree bigger = {.slot_count = count};
    bigger.slots = calloc(count, sizeof(cyg_tree_node *));
    bigger.parents = calloc(count, sizeof(cyg_tree_node *));
    if (bigger.slots == NULL || bigger.parents == NULL) {
        free(bigger.slots);
        free(bigger.parents);
        return false;
    }
    for (size_t i = 0; i < t->slot_count; i++)
        if (t->slots[i] != NULL) {
            const size_t k =
                slot_of(&bigger, t->parents[i], t->slots[i]->key, t->slots[i]->key_size);
            bigger.slots[k] = t->slots[i];
            bigger.parents[k] = t->parents[i];
        }
    free(t->slots);
    free(t->parents);
    t->slots = bigger.slots;
    t->parents = bigger.parents;
    t->slot_count = count;
    return true;
}

bool cyg_tree_init(cyg_tree *t)
{
    memset(t, 0, sizeof *t);
    cyg_arena_init(&t->arena);
    t->root = CYG_NEW(&t->arena, cyg_tree_node);
    if (t->root == NULL || !grow_slots(t, 64))
        return false;
    t->root->value.kind = CYG_DOC_MAP;
    t->root->at = (cyg_doc_place){1, 1};
    return true;
}

void cyg_tree_deinit(cyg_tree *t)
{
    cyg_arena_deinit(&t->arena);
    free(t->slots);
    free(t->parents);
}

cyg_tree_node *cyg_tree_add(cyg_tree *t, cyg_tree_node *parent, cyg_doc_kind kind, const char *key,
                            size_t key_size, cyg_doc_place key_at, cyg_doc_place at)
{
    cyg_tree_node *n = CYG_NEW(&t->arena, cyg_tree_node);
    if (n == NULL)
        return NULL;
    n->value.kind = kind;
    n->at = at;
    if (key != NULL) {
        n->key = cyg_arena_strndup(&t->arena, key, key_size);
        n->key_size = key_size;
        n->key_at = key_at;
        if (n->key == NULL || (2 * t->used >= t->slot_count && !grow_slots(t, 2 * t->slot_count)))
            return NULL;
        const size_t i = slot_of(t, parent, key, key_size);
        if (t->slots[i] == NULL) { /* else the builder reports the duplicate */
            t->slots[i] = n;
            t->parents[i] = parent;
            t->used++;
        }
    }
    *(parent->first == NULL ? &parent->first : &parent->last->next) = n;
    parent->last = n;
    return n;
}

bool cyg_tree_set_text(cyg_tree *t, cyg_tree_node *node, const char *text, size_t size)
{
    node->text = cyg_arena_strndup(&t->arena, text, size);
    node->text_size = size;
    return node->text != NULL;
}

cyg_tree_node *cyg_tree_find(const cyg_tree *t, const cyg_tree_node *parent, const char *key,
                             size_t key_size)
{
    return t->slots[slot_of(t, parent, key, key_size)];
}

bool cyg_tree_make_list(cyg_tree *t, cyg_tree_node *node)
{
    cyg_tree_node *item = CYG_NEW(&t->arena, cyg_tree_node);
    if (item == NULL)
        return false;
    *item = *node;
    item->key = NULL;
    item->next = NULL;
    *node = (cyg_tree_node){.value = {.kind = CYG_DOC_LIST},
                            .mark = node->mark,
                            .at = node->at,
                            .key_at = node->key_at,
                            .key = node->key,
                            .key_size = node->key_size,
                            .first = item,
                            .last = item,
                            .next = node->next};
    return true;
}

/* Depth is bounded by the builder. */
static cyg_status build_node(const cyg_tree_node *n, cyg_doc_builder *b)
{
    if (n->key != NULL)
        CYG_DO(cyg_doc_build_key(b, n->key, n->key_size, n->key_at));
    if (n->value.kind == CYG_DOC_LIST || n->value.kind == CYG_DOC_MAP) {
        CYG_DO(cyg_doc_build_begin(b, n->value.kind, n->at));
        for (const cyg_tree_node *child = n->first; child != NULL; child = child->next)
            CYG_DO(build_node(child, b));
        return cyg_doc_build_end(b);
    }
    const char *text = n->text != NULL ? n->text : "";
    return n->is_number ? cyg_doc_build_number(b, text, n->text_size, n->at)
                        : cyg_doc_build_scalar(b, n->value, text, n->text_size, n->at);
}

cyg_status cyg_tree_build(const cyg_tree *t, cyg_doc_builder *b)
{
    return build_node(t->root, b);
}

cyg_status cyg_tree_nomem(const cyg_tree_parser *p)
{
    return CYG_FAIL(p->s.b->ctx, CYG_E_NOMEM, "%s: out of memory", p->s.b->path);
}

cyg_status cyg_tree_parse(cyg_doc_builder *b, const uint8_t *data, size_t size,
                          cyg_status (*read)(cyg_tree_parser *p))
{
    cyg_tree_parser p = {0};
    if (size == 0)
        return CYG_OK;
    cyg_scan_begin(&p.s, b, data, size);
    cyg_status status = cyg_tree_init(&p.tree) ? read(&p) : cyg_tree_nomem(&p);
    if (status == CYG_OK)
        status = cyg_tree_build(&p.tree, b);
    cyg_tree_deinit(&p.tree);
    cyg_strbuf_deinit(&p.s.string);
    return status;
}
