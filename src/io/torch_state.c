/* Which dict of a torch file is the state dict.
 *
 * People save the state dict itself, or a dict around it with an epoch, an optimizer and arguments,
 * under names that differ from one training script to the next. The rule: candidates are the root
 * and every dict that is reached from a candidate through one of the keys in `wrappers`, at most
 * eight deep. The candidate with the most tensors right in it is the state dict; among equals the
 * one nearest to the root, then the one whose key stands first in `wrappers` (so plain weights
 * before averaged ones). If no candidate holds a tensor, all dicts under text keys are candidates
 * in the order of the file, but for what optimizers and schedulers own. What was chosen, and what
 * else was there, becomes a note.
 *
 * A list of dicts to look at takes the place of recursion, and each dict is entered once: a file
 * where dicts name each other a million times costs no more than its size.
 *
 * Inside the state dict every tensor is taken. What is no tensor is left out and counted; an object
 * of a class that is not known is an error only if tensors lie in it (a quantised weight, say). */
#include "io/torch_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEEPEST = 8, LONGEST_PLACE = 8 * 33 + 8 };

static const char *const wrappers[] = {
    "state_dict", "model",   "model_state_dict", "model_ema", "state_dict_ema",
    "module",     "net",     "network",          "params",    "params_ema",
    "ema",        "weights", "teacher",          "student",   "backbone",
};
static const char *const left_overs[] = {
    "optimizer",     "optimizer_state_dict",
    "optimizers",    "optimizer_states",
    "lr_scheduler",  "scheduler",
    "lr_schedulers", "scaler",
    "amp",           "loss_scaler",
    "callbacks",
};

typedef struct candidate {
    uint32_t id, depth;
    uint32_t parent, key; /* candidate and row; meaningless at depth 0 */
    uint32_t rank;        /* of its key in wrappers */
    uint32_t tensors;
} candidate;

typedef struct search {
    cyg_ctx *ctx;
    const char *where;
    cyg_pickle *p;
    candidate *items; /* heap */
    size_t count, cap;
    bool any_key;
} search;

static uint32_t rank_of(const cyg_pickle_value *key, const char *const *names, size_t count)
{
    uint32_t i = 0;
    while (i < count && !cyg_pickle_text_is(key, names[i]))
        i++;
    return i;
}

static cyg_status add_candidate(search *s, candidate c)
{
    s->p->values[c.id].seen = true;
    void *items = s->items;
    if (!cyg_checkpoint_grow(&items, s->count, &s->cap, sizeof *s->items))
        return CYG_FAIL(s->ctx, CYG_E_NOMEM, "%s: out of memory", s->where);
    s->items = items;
    s->items[s->count++] = c;
    return CYG_OK;
}

/* "model.state_dict": the keys from the root to a candidate, fit to print. */
static void describe_place(const search *s, const candidate *c, char out[LONGEST_PLACE])
{
    const candidate *path[DEEPEST + 1];
    size_t n = 0, count = 0;
    for (; c->depth > 0; c = &s->items[c->parent])
        path[count++] = c;
    while (count-- > 0) {
        const cyg_pickle_value *key = cyg_pickle_at(s->p, path[count]->key);
        for (uint32_t i = 0; i < key->count && i < 32 && n + 2 < LONGEST_PLACE; i++)
            out[n++] = key->text[i] >= ' ' && key->text[i] <= '~' ? key->text[i] : '?';
        if (count > 0)
            out[n++] = '.';
    }
    out[n] = '\0';
}

/* A walk over the entries of a dict, whose keys and values may lie in different spans. */
typedef struct entries {
    const cyg_pickle_span *span;
    uint32_t at;
} entries;

static bool next_item(entries *e, uint32_t *out_id)
{
    while (e->span != NULL && e->at == e->span->count) {
        e->span = e->span->next;
        e->at = 0;
    }
    if (e->span == NULL)
        return false;
    *out_id = e->span->items[e->at++];
    return true;
}

static bool next_entry(entries *e, uint32_t *out_key, uint32_t *out_value)
{
    return next_item(e, out_key) && next_item(e, out_value);
}

/* Counts the tensors of candidate i and adds the candidates below it. */
static cyg_status look_into(search *s, size_t i)
{
    const uint32_t id = s->items[i].id;
    entries e = {.span = cyg_pickle_at(s->p, id)->first};
    uint32_t key, value, tensors = 0;
    while (next_entry(&e, &key, &value)) {
        const cyg_pickle_value *k = cyg_pickle_at(s->p, key), *v = cyg_pickle_at(s->p, value);
        if (k->kind != CYG_PICKLE_TEXT)
            continue;
        tensors += v->kind == CYG_PICKLE_TENSOR;
        if (v->kind != CYG_PICKLE_DICT || v->seen || s->items[i].depth == DEEPEST)
            continue;
        const uint32_t rank = rank_of(k, wrappers, CYG_COUNT(wrappers));
        const bool wanted =
            s->any_key ? rank_of(k, left_overs, CYG_COUNT(left_overs)) == CYG_COUNT(left_overs)
                       : rank < CYG_COUNT(wrappers);
        if (wanted)
            CYG_DO(add_candidate(s, (candidate){.id = value,
                                                .depth = s->items[i].depth + 1,
                                                .parent = (uint32_t)i,
                                                .key = key,
                                                .rank = rank}));
    }
    s->items[i].tensors = tensors;
    return CYG_OK;
}

static bool is_better(const candidate *a, const candidate *b)
{
    if (a->tensors != b->tensors)
        return a->tensors > b->tensors;
    if (a->depth != b->depth)
        return a->depth < b->depth;
    return a->rank < b->rank;
}

static cyg_status find_candidates(search *s)
{
    for (uint32_t i = 0; i < s->p->count; i++)
        s->p->values[i].seen = false;
    s->count = 0;
    if (cyg_pickle_at(s->p, s->p->root)->kind != CYG_PICKLE_DICT)
        return CYG_OK;
    CYG_DO(add_candidate(s, (candidate){.id = s->p->root}));
    for (size_t i = 0; i < s->count; i++)
        CYG_DO(look_into(s, i));
    return CYG_OK;
}

static const candidate *best_of(const search *s)
{
    const candidate *best = NULL;
    for (size_t i = 0; i < s->count; i++)
        if (s->items[i].tensors > 0 && (best == NULL || is_better(&s->items[i], best)))
            best = &s->items[i];
    return best;
}

/* Why there is nothing: says what lies where a state dict is expected. */
static cyg_status fail_without(const search *s)
{
    char text[CYG_PICKLE_NAME + 32];
    const cyg_pickle_value *root = cyg_pickle_at(s->p, s->p->root);
    if (root->kind == CYG_PICKLE_DICT) {
        entries e = {.span = root->first};
        uint32_t key, value;
        while (next_entry(&e, &key, &value)) {
            const cyg_pickle_value *k = cyg_pickle_at(s->p, key), *v = cyg_pickle_at(s->p, value);
            if (v->kind != CYG_PICKLE_OPAQUE || k->kind != CYG_PICKLE_TEXT ||
                rank_of(k, wrappers, CYG_COUNT(wrappers)) == CYG_COUNT(wrappers))
                continue;
            cyg_pickle_describe(s->p, value, text);
            return CYG_FAIL(s->ctx, CYG_E_UNSUPPORTED,
                            "%s: no state dict: under \"%.*s\" lies %s, whose code is not run; "
                            "save its state_dict() instead",
                            s->where, (int)k->count, k->text, text);
        }
    }
    cyg_pickle_describe(s->p, s->p->root, text);
    if (root->kind == CYG_PICKLE_OPAQUE)
        return CYG_FAIL(s->ctx, CYG_E_UNSUPPORTED,
                        "%s: no state dict: the file holds %s, whose code is not run; save its "
                        "state_dict() instead",
                        s->where, text);
    return CYG_FAIL(s->ctx, CYG_E_FORMAT, "%s: no state dict: the file holds %s%s", s->where, text,
                    root->kind == CYG_PICKLE_DICT ? " with no tensors" : "");
}

/* ---- tensors ---- */

static bool read_count(const cyg_pickle *p, uint32_t id, int64_t *out_value)
{
    const cyg_pickle_value *v = cyg_pickle_at(p, id);
    *out_value = v->kind == CYG_PICKLE_INT ? v->integer : -1;
    return *out_value >= 0;
}

/* A tuple or list of numbers that are not negative; false when it is none, or too long. */
static bool read_counts(const cyg_pickle *p, uint32_t id, int64_t out[CYG_MAX_RANK], int *out_rank)
{
    const cyg_pickle_value *v = cyg_pickle_at(p, id);
    uint32_t item;
    *out_rank = 0;
    if ((v->kind != CYG_PICKLE_TUPLE && v->kind != CYG_PICKLE_LIST) || v->count > CYG_MAX_RANK)
        return false;
    entries e = {.span = v->first};
    while (next_item(&e, &item))
        if (!read_count(p, item, &out[(*out_rank)++]))
            return false;
    return true;
}

cyg_status cyg_torch_storage_read(cyg_ctx *ctx, const char *where, const cyg_pickle *p, uint32_t id,
                                  cyg_torch_storage *out_storage)
{
    *out_storage = (cyg_torch_storage){0};
    const uint32_t tuple = cyg_pickle_at(p, id)->a;
    const uint32_t class = cyg_pickle_item(p, tuple, 1);
    const cyg_pickle_value *key = cyg_pickle_at(p, cyg_pickle_item(p, tuple, 2));
    const cyg_pickle_value *maker = cyg_pickle_at(p, class);
    int64_t count, offset = 0, part;
    if (key->kind != CYG_PICKLE_TEXT || maker->kind != CYG_PICKLE_GLOBAL ||
        !read_count(p, cyg_pickle_item(p, tuple, 4), &count))
        return CYG_FAIL(ctx, CYG_E_FORMAT, "%s: a storage without class, key or size", where);
    part = count;
    const uint32_t view = cyg_pickle_item(p, tuple, 5);
    if (cyg_pickle_at(p, view)->kind == CYG_PICKLE_TUPLE &&
        (!read_count(p, cyg_pickle_item(p, view, 1), &offset) ||
         !read_count(p, cyg_pickle_item(p, view, 2), &part) || offset > count ||
         part > count - offset))
        return CYG_FAIL(ctx, CYG_E_FORMAT, "%s: a view outside its storage", where);
    const cyg_pickle_global *known = &cyg_pickle_globals[maker->global];
    out_storage->key = key->text;
    out_storage->key_size = key->count;
    out_storage->count = (uint64_t)count;
    out_storage->view_offset = (uint64_t)offset;
    out_storage->view_count = (uint64_t)part;
    if (known->role == CYG_PICKLE_STORAGE_CLASS) {
        out_storage->type = known->type;
    } else if (known->role != CYG_PICKLE_BYTE_STORAGE_CLASS) {
        char name[CYG_PICKLE_NAME];
        cyg_pickle_global_name(p, class, name);
        return CYG_FAIL(ctx, CYG_E_UNSUPPORTED, "%s: storages of class %s are not supported", where,
                        name);
    }
    return CYG_OK;
}

static cyg_status add_tensor(search *s, cyg_checkpoint *c, const cyg_torch_source *source,
                             const cyg_pickle_value *key, const cyg_pickle_value *tensor)
{
    const cyg_pickle *p = s->p;
    char where[512];
    int64_t dims[CYG_MAX_RANK], strides[CYG_MAX_RANK], offset;
    int stride_count;
    cyg_torch_storage storage;
    snprintf(where, sizeof where, "%s: tensor \"%.*s\"", s->where,
             key->count < 200 ? (int)key->count : 200, key->text);
    cyg_checkpoint_draft draft = {
        .where = s->where, .name = key->text, .name_size = key->count, .dims = dims};
    CYG_DO(cyg_torch_storage_read(s->ctx, where, p, cyg_pickle_item(p, tensor->a, 0), &storage));
    if (!read_count(p, cyg_pickle_item(p, tensor->a, 1), &offset))
        return CYG_FAIL(s->ctx, CYG_E_FORMAT, "%s: no storage offset", where);
    if (!read_counts(p, cyg_pickle_item(p, tensor->a, 2), dims, &draft.rank) ||
        !read_counts(p, cyg_pickle_item(p, tensor->a, 3), strides, &stride_count) ||
        stride_count != draft.rank)
        return CYG_FAIL(s->ctx, CYG_E_FORMAT,
                        "%s: expected a shape and as many strides, at most %d, none negative",
                        where, CYG_MAX_RANK);
    draft.strides = strides;
    draft.type = storage.type;
    if (cyg_pickle_globals[tensor->global].role == CYG_PICKLE_MAKES_TENSOR_3) {
        const cyg_pickle_value *type = cyg_pickle_at(p, cyg_pickle_item(p, tensor->a, 6));
        draft.type =
            type->kind == CYG_PICKLE_GLOBAL ? cyg_pickle_globals[type->global].type : CYG_TYPE_NONE;
    }
    const size_t size = cyg_checkpoint_type_size(draft.type);
    if (size == 0)
        return CYG_FAIL(s->ctx, CYG_E_UNSUPPORTED, "%s: has no element type that is known", where);
    CYG_DO(source->find(s->ctx, source->self, &storage, &draft.data, &draft.room));
    const uint64_t unit =
        storage.type == CYG_TYPE_NONE ? 1 : cyg_checkpoint_type_size(storage.type);
    if ((uint64_t)offset > draft.room / size)
        return CYG_FAIL(s->ctx, CYG_E_FORMAT,
                        "%s: starts at element %lld of a storage of %llu x %llu bytes", where,
                        (long long)offset, (unsigned long long)storage.view_count,
                        (unsigned long long)unit);
    draft.data += (size_t)offset * size;
    draft.room -= (size_t)offset * size;
    return cyg_checkpoint_add(s->ctx, c, &draft);
}

static cyg_status take_tensors(search *s, cyg_checkpoint *c, const candidate *chosen,
                               const cyg_torch_source *source)
{
    entries e = {.span = cyg_pickle_at(s->p, chosen->id)->first};
    uint32_t key, value;
    size_t others = 0;
    char text[CYG_PICKLE_NAME + 32];
    while (next_entry(&e, &key, &value)) {
        const cyg_pickle_value *k = cyg_pickle_at(s->p, key), *v = cyg_pickle_at(s->p, value);
        if (k->kind == CYG_PICKLE_TEXT && v->kind == CYG_PICKLE_TENSOR) {
            CYG_DO(add_tensor(s, c, source, k, v));
        } else if (k->kind == CYG_PICKLE_TEXT && v->kind == CYG_PICKLE_OPAQUE && v->holds_tensor) {
            cyg_pickle_describe(s->p, value, text);
            return CYG_FAIL(s->ctx, CYG_E_UNSUPPORTED,
                            "%s: \"%.*s\" is %s around a tensor, whose code is not run", s->where,
                            k->count < 200 ? (int)k->count : 200, k->text, text);
        } else {
            others++;
        }
    }
    if (others > 0)
        CYG_DO(cyg_checkpoint_add_note(s->ctx, c, "%zu entries of the state dict are no tensors",
                                       others));
    return CYG_OK;
}

/* ---- notes ---- */

static cyg_status note_choice(search *s, cyg_checkpoint *c, const candidate *chosen)
{
    enum { MOST = 8 };
    char place[LONGEST_PLACE];
    size_t more = 0;
    for (size_t i = 0; i < s->count; i++) {
        const candidate *o = &s->items[i];
        if (o == chosen || o->tensors == 0 || ++more > MOST)
            continue;
        describe_place(s, o, place);
        CYG_DO(cyg_checkpoint_add_note(s->ctx, c, "also there, not taken: %s%s%s with %u tensors",
                                       o->depth > 0 ? "\"" : "the root", place,
                                       o->depth > 0 ? "\"" : "", o->tensors));
    }
    return CYG_OK;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Names of globals that were met and not known: each once, sorted, at most 64. */
static cyg_status note_unknown(search *s, cyg_checkpoint *c)
{
    enum { MOST = 64 };
    char name[CYG_PICKLE_NAME];
    for (uint32_t i = 0; i < s->p->count && c->unknown_count < MOST; i++) {
        const cyg_pickle_value *v = cyg_pickle_at(s->p, i);
        if (v->kind != CYG_PICKLE_GLOBAL || v->global != 0)
            continue;
        cyg_pickle_global_name(s->p, i, name);
        size_t k = 0;
        while (k < c->unknown_count && strcmp(c->unknown[k], name) != 0)
            k++;
        if (k < c->unknown_count)
            continue;
        void *items = c->unknown;
        const char *copy = cyg_arena_strdup(&c->arena, name);
        if (copy == NULL ||
            !cyg_checkpoint_grow(&items, c->unknown_count, &c->unknown_cap, sizeof *c->unknown))
            return CYG_FAIL(s->ctx, CYG_E_NOMEM, "%s: out of memory", s->where);
        c->unknown = items;
        c->unknown[c->unknown_count++] = copy;
    }
    if (c->unknown_count > 1)
        qsort(c->unknown, c->unknown_count, sizeof *c->unknown, by_text);
    return CYG_OK;
}

cyg_status cyg_torch_state_read(cyg_ctx *ctx, cyg_checkpoint *c, const char *where, cyg_pickle *p,
                                const cyg_torch_source *source)
{
    search s = {.ctx = ctx, .where = where, .p = p};
    char place[LONGEST_PLACE];
    cyg_status status = note_unknown(&s, c);
    if (status != CYG_OK)
        goto done;
    status = find_candidates(&s);
    if (status == CYG_OK && best_of(&s) == NULL) {
        s.any_key = true;
        status = find_candidates(&s);
    }
    if (status != CYG_OK)
        goto done;
    const candidate *chosen = best_of(&s);
    if (chosen == NULL) {
        status = fail_without(&s);
        goto done;
    }
    describe_place(&s, chosen, place);
    c->place = cyg_arena_strdup(&c->arena, place);
    if (c->place == NULL)
        status = CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", where);
    if (status == CYG_OK)
        status = take_tensors(&s, c, chosen, source);
    if (status == CYG_OK)
        status = note_choice(&s, c, chosen);
done:
    free(s.items);
    return status;
}
