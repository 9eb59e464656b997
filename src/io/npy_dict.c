/* What np.save makes of a dict, and what of it is believed.
 *
 * np.save turns the dict into an array of one Python object and pickles that array. An array in a
 * pickle is a call, _reconstruct(ndarray, (0,), b"b"), and a state: (1, shape, dtype, whether the
 * first index is the fastest, the data). A dtype is a call too, dtype("f4", False, True), and its
 * state: (3, "<", None, None, None, -1, -1, 0). Of the outer array the data is a list of one dict.
 * Each part is compared with that form; whatever differs (another class, named fields, big-endian
 * numbers, a size that does not fit the shape) is an error that names the key. Nothing recurses:
 * the depth is that of the form. */
#include "io/npy_dict.h"

#include <stdio.h>
#include <string.h>

#include "base/checked.h"

typedef struct reader {
    cyg_ctx *ctx;
    const char *name;
    const cyg_pickle *p;
    char where[80]; /* "the array \"x\"" */
} reader;

static cyg_status malformed(const reader *r, const char *what)
{
    return CYG_FAIL(r->ctx, CYG_E_FORMAT, "%s: %s %s", r->name, r->where, what);
}

static cyg_pickle_role role_of(const cyg_pickle *p, uint32_t id)
{
    const cyg_pickle_value *v = cyg_pickle_at(p, id);
    return v->kind == CYG_PICKLE_GLOBAL ? cyg_pickle_globals[v->global].role : CYG_PICKLE_UNKNOWN;
}

/* A row that the maker would have made: its state, a tuple of at least `count`. */
static bool made_by(const cyg_pickle *p, uint32_t id, cyg_pickle_role role, uint32_t count,
                    uint32_t *out_state)
{
    const cyg_pickle_value *v = cyg_pickle_at(p, id);
    if (v->kind != CYG_PICKLE_OPAQUE || role_of(p, v->a) != role)
        return false;
    *out_state = v->b;
    const cyg_pickle_value *state = cyg_pickle_at(p, v->b);
    return state->kind == CYG_PICKLE_TUPLE && state->count >= count;
}

/* A row that is an array; *out_state = (1, shape, dtype, fortran, data). */
static bool is_array(const cyg_pickle *p, uint32_t id, uint32_t *out_state)
{
    return made_by(p, id, CYG_PICKLE_MAKES_ARRAY, 5, out_state) &&
           role_of(p, cyg_pickle_item(p, cyg_pickle_at(p, id)->from, 0)) ==
               CYG_PICKLE_ARRAY_CLASS &&
           cyg_pickle_at(p, cyg_pickle_item(p, *out_state, 1))->kind == CYG_PICKLE_TUPLE &&
           cyg_pickle_at(p, cyg_pickle_item(p, *out_state, 3))->kind == CYG_PICKLE_BOOL;
}

/* The letters of a plain dtype: no sub-array, no fields. */
static const cyg_pickle_value *type_letters(const cyg_pickle *p, uint32_t id, bool *out_big)
{
    uint32_t state;
    if (!made_by(p, id, CYG_PICKLE_MAKES_ARRAY_TYPE, 5, &state))
        return NULL;
    const cyg_pickle_value *order = cyg_pickle_at(p, cyg_pickle_item(p, state, 1));
    const cyg_pickle_value *letters =
        cyg_pickle_at(p, cyg_pickle_item(p, cyg_pickle_at(p, id)->from, 0));
    for (uint32_t i = 2; i < 5; i++)
        if (cyg_pickle_at(p, cyg_pickle_item(p, state, i))->kind != CYG_PICKLE_NONE)
            return NULL;
    if (letters->kind != CYG_PICKLE_TEXT || order->kind != CYG_PICKLE_TEXT || order->count != 1 ||
        strchr("<>|=", order->text[0]) == NULL || order->text[0] == '\0')
        return NULL;
    *out_big = order->text[0] == '>';
    return letters;
}

static cyg_status read_shape(const reader *r, uint32_t shape, cyg_npy *out)
{
    out->count = 1;
    out->rank = cyg_pickle_at(r->p, shape)->count;
    if (out->rank > CYG_NPY_MOST_DIMS)
        return malformed(r, "has more than 8 dimensions");
    for (uint32_t i = 0; i < out->rank; i++) {
        const cyg_pickle_value *dim = cyg_pickle_at(r->p, cyg_pickle_item(r->p, shape, i));
        if (dim->kind != CYG_PICKLE_INT || dim->integer < 0)
            return malformed(r, "has a dimension that is no size");
        out->dims[i] = dim->integer;
        if (!cyg_mul_size(out->count, (size_t)dim->integer, &out->count))
            return malformed(r, "has a shape that overflows");
    }
    return CYG_OK;
}

static cyg_status read_array(const reader *r, uint32_t id, cyg_npy *out)
{
    const cyg_pickle *p = r->p;
    char found[CYG_PICKLE_NAME + 32];
    uint32_t state;
    bool big = false;
    *out = (cyg_npy){0};
    if (!is_array(p, id, &state)) {
        cyg_pickle_describe(p, id, found);
        return CYG_FAIL(r->ctx, CYG_E_FORMAT, "%s: %s: expected a NumPy array of numbers, found %s",
                        r->name, r->where, found);
    }
    const cyg_pickle_value *letters = type_letters(p, cyg_pickle_item(p, state, 2), &big);
    if (letters == NULL)
        return malformed(r, "is not an array of plain numbers");
    if (!cyg_npy_type_find(letters->text, letters->count, &out->type))
        return CYG_FAIL(r->ctx, CYG_E_FORMAT,
                        "%s: %s is of type \"%.*s\"; expected numbers (floats, integers, bools)",
                        r->name, r->where, letters->count < 16 ? (int)letters->count : 16,
                        letters->text);
    if (big && cyg_npy_type_size(out->type) > 1)
        return malformed(r, "is big-endian");
    CYG_DO(read_shape(r, cyg_pickle_item(p, state, 1), out));
    const cyg_pickle_value *data = cyg_pickle_at(p, cyg_pickle_item(p, state, 4));
    if (data->kind != CYG_PICKLE_BYTES)
        return malformed(r, "holds no bytes (pickled by Python 2? save it again with Python 3)");
    if (!cyg_mul_size(out->count, cyg_npy_type_size(out->type), &out->size) ||
        out->size != data->count)
        return CYG_FAIL(r->ctx, CYG_E_FORMAT,
                        "%s: %s has %u bytes, which do not fit its shape and type", r->name,
                        r->where, data->count);
    out->fortran = cyg_pickle_at(p, cyg_pickle_item(p, state, 3))->boolean;
    out->data = (const uint8_t *)data->text;
    return CYG_OK;
}

/* The dict in the array of one object, or in what else the pickle may be. */
static cyg_status find_dict(const reader *r, uint32_t *out_dict)
{
    const cyg_pickle *p = r->p;
    char found[CYG_PICKLE_NAME + 32];
    uint32_t state, inner = p->root;
    bool big;
    if (is_array(p, p->root, &state)) {
        const cyg_pickle_value *letters = type_letters(p, cyg_pickle_item(p, state, 2), &big);
        const cyg_pickle_value *list = cyg_pickle_at(p, cyg_pickle_item(p, state, 4));
        if (letters != NULL && letters->count >= 1 && letters->text[0] == 'O' &&
            list->kind == CYG_PICKLE_LIST && list->count == 1)
            inner = list->first->items[0];
    }
    if (cyg_pickle_at(p, inner)->kind == CYG_PICKLE_DICT) {
        *out_dict = inner;
        return CYG_OK;
    }
    cyg_pickle_describe(p, inner, found);
    return CYG_FAIL(r->ctx, CYG_E_FORMAT, "%s: expected a dict {input name: array}, found %s",
                    r->name, found);
}

/* ---- the dict ---- */

/* Its keys and values lie in spans of even length, as many of either as it has. */
typedef struct cursor {
    const cyg_pickle_span *span;
    uint32_t at;
} cursor;

static bool next_pair(cursor *c, uint32_t *out_key, uint32_t *out_value)
{
    while (c->span != NULL && c->at + 1 >= c->span->count)
        *c = (cursor){c->span->next, 0};
    if (c->span == NULL)
        return false;
    *out_key = c->span->items[c->at];
    *out_value = c->span->items[c->at + 1];
    c->at += 2;
    return true;
}

static void say_where(reader *r, const cyg_pickle_value *key)
{
    size_t n = 0;
    char text[48];
    for (; n < key->count && n + 1 < sizeof text; n++)
        text[n] = key->text[n] >= ' ' && key->text[n] < 127 ? key->text[n] : '?';
    text[n] = '\0';
    snprintf(r->where, sizeof r->where, "the array \"%s\"", text);
}

cyg_status cyg_npy_dict_parse(cyg_ctx *ctx, const char *name, const void *data, size_t size,
                              cyg_npy_dict *out_dict)
{
    static const cyg_pickle_limits limits = {CYG_NPY_DICT_BYTES, CYG_NPY_DICT_INSTRUCTIONS};
    const uint8_t *pickle;
    size_t pickle_size;
    *out_dict = (cyg_npy_dict){0};
    CYG_DO(cyg_npy_parse_object(ctx, name, data, size, &pickle, &pickle_size));
    CYG_DO(cyg_unpickle_within(ctx, name, pickle, pickle_size, &limits, &out_dict->pickle));
    reader r = {.ctx = ctx, .name = name, .p = &out_dict->pickle};
    CYG_DO(find_dict(&r, &out_dict->dict));
    uint32_t key, value;
    cursor c = {cyg_pickle_at(r.p, out_dict->dict)->first, 0};
    while (next_pair(&c, &key, &value)) {
        const cyg_pickle_value *k = cyg_pickle_at(r.p, key);
        cyg_npy array;
        if (k->kind != CYG_PICKLE_TEXT) {
            char found[CYG_PICKLE_NAME + 32];
            cyg_pickle_describe(r.p, key, found);
            return CYG_FAIL(ctx, CYG_E_FORMAT,
                            "%s: a key of the dict is %s, expected the name of an input", name,
                            found);
        }
        say_where(&r, k);
        CYG_DO(read_array(&r, value, &array));
    }
    return CYG_OK;
}

void cyg_npy_dict_deinit(cyg_npy_dict *dict)
{
    cyg_pickle_deinit(&dict->pickle);
    *dict = (cyg_npy_dict){0};
}

cyg_status cyg_npy_dict_find(cyg_ctx *ctx, const char *name, const cyg_npy_dict *dict,
                             const char *key, cyg_npy *out_array)
{
    const cyg_pickle *p = &dict->pickle;
    reader r = {.ctx = ctx, .name = name, .p = p};
    uint32_t k, value, found = CYG_PICKLE_NONE, hits = 0;
    size_t keys = 0;
    char first[80] = "";
    cursor c = {cyg_pickle_at(p, dict->dict)->first, 0};
    while (next_pair(&c, &k, &value)) {
        if (keys++ == 0) {
            say_where(&r, cyg_pickle_at(p, k));
            memcpy(first, r.where, sizeof first);
        }
        if (cyg_pickle_text_is(cyg_pickle_at(p, k), key)) {
            found = value;
            hits++;
        }
    }
    if (hits == 0)
        return CYG_FAIL(ctx, CYG_E_FORMAT, "%s: the dict has no array \"%.200s\"; it has %zu%s%s",
                        name, key, keys, keys > 0 ? ", the first is " : "", first);
    if (hits > 1)
        return CYG_FAIL(ctx, CYG_E_FORMAT, "%s: the dict has the array \"%.200s\" %u times", name,
                        key, hits);
    snprintf(r.where, sizeof r.where, "the array \"%.48s\"", key);
    return read_array(&r, found, out_array);
}
