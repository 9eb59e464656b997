/* What a pickle says about code: globals, calls, states, persistent ids.
 *
 * Python would import the global and call it. Here a global is a row with two names; a call is
 * decided by the role that unpickle_globals.def gives the callee, and unknown callees make an
 * opaque row that keeps its maker for the messages, and arguments and state for readers that know
 * the maker (NumPy's arrays). The state that BUILD would give to any other row is dropped: the only
 * states of a state dict are its _metadata and the hooks of parameters, which inference does not
 * use.
 *
 * Names are never copied here: two short memo references can name two long texts over and over, and
 * copies would grow with the product. */
#include "io/unpickle_parts.h"

#include <stdio.h>
#include <string.h>

const cyg_pickle_global cyg_pickle_globals[] = {
    {"", "", CYG_PICKLE_UNKNOWN, CYG_TYPE_NONE},
#define CYG_GLOBAL(module, name, role, type) {module, name, CYG_PICKLE_##role, CYG_TYPE_##type},
#include "io/unpickle_globals.def"
#undef CYG_GLOBAL
};

/* ---- reading values ---- */

bool cyg_pickle_text_is(const cyg_pickle_value *v, const char *text)
{
    return v->kind == CYG_PICKLE_TEXT && v->count == strlen(text) &&
           memcmp(v->text, text, v->count) == 0;
}

uint32_t cyg_pickle_item(const cyg_pickle *p, uint32_t tuple, uint32_t i)
{
    const cyg_pickle_value *v = cyg_pickle_at(p, tuple);
    if (v->kind != CYG_PICKLE_TUPLE || i >= v->count)
        return CYG_ROW_NONE;
    return v->first->items[i];
}

static size_t add_name(const cyg_pickle_value *v, char *out, size_t n, size_t most)
{
    if (v->kind != CYG_PICKLE_TEXT)
        return n;
    for (uint32_t i = 0; i < v->count && n < most; i++)
        out[n++] = v->text[i] > ' ' && v->text[i] < 127 ? v->text[i] : '?';
    return n;
}

void cyg_pickle_global_name(const cyg_pickle *p, uint32_t id, char out[CYG_PICKLE_NAME])
{
    const cyg_pickle_value *v = cyg_pickle_at(p, id);
    if (v->kind == CYG_PICKLE_OPAQUE)
        v = cyg_pickle_at(p, v->a);
    size_t n = 0;
    if (v->kind == CYG_PICKLE_GLOBAL) {
        n = add_name(cyg_pickle_at(p, v->a), out, 0, CYG_PICKLE_NAME / 2);
        out[n++] = '.';
        n = add_name(cyg_pickle_at(p, v->b), out, n, CYG_PICKLE_NAME - 1);
    }
    out[n] = '\0';
}

void cyg_pickle_describe(const cyg_pickle *p, uint32_t id, char out[CYG_PICKLE_NAME + 32])
{
    static const char *const kinds[] = {
        [CYG_PICKLE_NONE] = "None",         [CYG_PICKLE_BOOL] = "a bool",
        [CYG_PICKLE_INT] = "an integer",    [CYG_PICKLE_FLOAT] = "a number",
        [CYG_PICKLE_TEXT] = "a text",       [CYG_PICKLE_BYTES] = "bytes",
        [CYG_PICKLE_TUPLE] = "a tuple",     [CYG_PICKLE_LIST] = "a list",
        [CYG_PICKLE_DICT] = "a dict",       [CYG_PICKLE_SET] = "a set",
        [CYG_PICKLE_GLOBAL] = "a class",    [CYG_PICKLE_STORAGE] = "a storage",
        [CYG_PICKLE_TENSOR] = "one tensor", [CYG_PICKLE_OPAQUE] = "an object",
    };
    char name[CYG_PICKLE_NAME];
    const cyg_pickle_value *v = cyg_pickle_at(p, id);
    cyg_pickle_global_name(p, id, name);
    if (name[0] == '\0')
        snprintf(out, CYG_PICKLE_NAME + 32, "%s", kinds[v->kind]);
    else if (v->kind == CYG_PICKLE_OPAQUE)
        snprintf(out, CYG_PICKLE_NAME + 32, "an object made by %s", name);
    else
        snprintf(out, CYG_PICKLE_NAME + 32, "the global %s", name);
}

/* ---- globals ---- */

/* Turns two texts on top of the stack into a GLOBAL row. */
static cyg_status make_global(cyg_unpickler *u)
{
    uint32_t module, name;
    CYG_DO(cyg_unpickle_pop(u, &name));
    CYG_DO(cyg_unpickle_pop(u, &module));
    const cyg_pickle_value *m = cyg_pickle_at(u->out, module), *n = cyg_pickle_at(u->out, name);
    if (m->kind != CYG_PICKLE_TEXT || n->kind != CYG_PICKLE_TEXT)
        return cyg_unpickle_fail(u, "a global whose names are no texts");
    cyg_pickle_value v = {.kind = CYG_PICKLE_GLOBAL, .a = module, .b = name};
    for (size_t i = 1; i < CYG_COUNT(cyg_pickle_globals); i++)
        if (cyg_pickle_text_is(m, cyg_pickle_globals[i].module) &&
            cyg_pickle_text_is(n, cyg_pickle_globals[i].name))
            v.global = (uint8_t)i;
    return cyg_unpickle_push_value(u, v);
}

CYG_ACTION(global)
{
    const cyg_pickle_value module = {
        .kind = CYG_PICKLE_TEXT, .count = (uint32_t)operand->size, .text = operand->text};
    const cyg_pickle_value name = {
        .kind = CYG_PICKLE_TEXT, .count = (uint32_t)operand->size2, .text = operand->text2};
    CYG_DO(cyg_unpickle_push_value(u, module));
    CYG_DO(cyg_unpickle_push_value(u, name));
    return make_global(u);
}

CYG_ACTION(stack_global)
{
    return make_global(u);
}

static const cyg_pickle_global *global_of(const cyg_unpickler *u, uint32_t id)
{
    const cyg_pickle_value *v = cyg_pickle_at(u->out, id);
    return &cyg_pickle_globals[v->kind == CYG_PICKLE_GLOBAL ? v->global : 0];
}

/* ---- calls ---- */

cyg_status cyg_unpickle_push_opaque(cyg_unpickler *u, uint32_t maker, bool holds_tensor)
{
    return cyg_unpickle_push_value(
        u, (cyg_pickle_value){.kind = CYG_PICKLE_OPAQUE, .holds_tensor = holds_tensor, .a = maker});
}

/* OrderedDict([[key, value], ...]), as Python 2 wrote it. Pairs are copied, and one list may be
 * named by many calls: what is copied in all may not exceed the pickle's own size. */
static cyg_status push_dict(cyg_unpickler *u, uint32_t args)
{
    uint32_t id;
    CYG_DO(cyg_unpickle_push_value(u, (cyg_pickle_value){.kind = CYG_PICKLE_DICT}));
    id = u->stack.items[u->stack.count - 1];
    const cyg_pickle_value *list = cyg_pickle_at(u->out, cyg_pickle_item(u->out, args, 0));
    if (list->kind != CYG_PICKLE_LIST)
        return CYG_OK;
    u->copied += list->count;
    if (u->copied > u->size)
        return cyg_unpickle_fail(u, "dicts repeat one list too often");
    for (const cyg_pickle_span *s = list->first; s != NULL; s = s->next) {
        for (uint32_t i = 0; i < s->count; i++) {
            const cyg_pickle_value *pair = cyg_pickle_at(u->out, s->items[i]);
            uint32_t items[2];
            if ((pair->kind != CYG_PICKLE_LIST && pair->kind != CYG_PICKLE_TUPLE) ||
                pair->count != 2)
                return cyg_unpickle_fail(u, "a dict made from something other than pairs");
            items[0] = pair->first->items[0];
            items[1] = pair->first->count > 1 ? pair->first->items[1] : pair->last->items[0];
            CYG_DO(cyg_unpickle_append(u, id, items, 2));
        }
    }
    return CYG_OK;
}

static cyg_status call(cyg_unpickler *u, uint32_t callee, uint32_t args)
{
    const cyg_pickle *p = u->out;
    if (global_of(u, callee)->role == CYG_PICKLE_MAKES_TYPED &&
        global_of(u, cyg_pickle_item(p, args, 0))->role != CYG_PICKLE_MAKES_TYPED) {
        callee = cyg_pickle_item(p, args, 0);
        args = cyg_pickle_item(p, args, 2);
    }
    const cyg_pickle_value *a = cyg_pickle_at(p, args);
    const uint32_t first = cyg_pickle_item(p, args, 0);
    const cyg_pickle_kind first_kind = (cyg_pickle_kind)cyg_pickle_at(p, first)->kind;
    const cyg_pickle_role role = global_of(u, callee)->role;
    if (role == CYG_PICKLE_MAKES_DICT && a->kind == CYG_PICKLE_TUPLE)
        return push_dict(u, args);
    if (role == CYG_PICKLE_MAKES_SIZE &&
        (first_kind == CYG_PICKLE_TUPLE || first_kind == CYG_PICKLE_LIST))
        return cyg_unpickle_push(u, first);
    if (role == CYG_PICKLE_MAKES_PARAMETER && first_kind == CYG_PICKLE_TENSOR)
        return cyg_unpickle_push(u, first);
    if ((role == CYG_PICKLE_MAKES_TENSOR || role == CYG_PICKLE_MAKES_TENSOR_3) &&
        first_kind == CYG_PICKLE_STORAGE)
        return cyg_unpickle_push_value(
            u, (cyg_pickle_value){.kind = CYG_PICKLE_TENSOR,
                                  .holds_tensor = true,
                                  .global = cyg_pickle_at(p, callee)->global,
                                  .a = args});
    return cyg_unpickle_push_value(u, (cyg_pickle_value){.kind = CYG_PICKLE_OPAQUE,
                                                         .holds_tensor = a->holds_tensor,
                                                         .a = callee,
                                                         .from = args});
}

CYG_ACTION(call)
{
    uint32_t callee, args;
    CYG_DO(cyg_unpickle_pop(u, &args));
    CYG_DO(cyg_unpickle_pop(u, &callee));
    return call(u, callee, args);
}

/* class, arguments, keyword arguments */
CYG_ACTION(call_ex)
{
    uint32_t keywords;
    CYG_DO(cyg_unpickle_pop(u, &keywords));
    return cyg_pickle_do_call(u, operand);
}

/* MARK class arguments... OBJ, and MARK arguments... INST "module" "name" */
CYG_ACTION(object)
{
    const uint32_t *items;
    uint32_t count;
    bool holds_tensor = false;
    CYG_DO(cyg_unpickle_pop_mark(u, &items, &count));
    for (uint32_t i = 0; i < count; i++)
        holds_tensor |= cyg_pickle_at(u->out, items[i])->holds_tensor;
    return cyg_unpickle_push_opaque(u, count > 0 ? items[0] : 0, holds_tensor);
}

CYG_ACTION(instance)
{
    uint32_t made, global;
    CYG_DO(cyg_pickle_do_object(u, operand));
    CYG_DO(cyg_unpickle_pop(u, &made));
    CYG_DO(cyg_pickle_do_global(u, operand));
    CYG_DO(cyg_unpickle_pop(u, &global));
    return cyg_unpickle_push_opaque(u, global, cyg_pickle_at(u->out, made)->holds_tensor);
}

CYG_ACTION(build)
{
    uint32_t state, object;
    CYG_DO(cyg_unpickle_pop(u, &state));
    CYG_DO(cyg_unpickle_pop(u, &object));
    cyg_pickle_value *v = &u->out->values[object];
    if (v->kind == CYG_PICKLE_OPAQUE) {
        v->holds_tensor |= cyg_pickle_at(u->out, state)->holds_tensor;
        v->b = state;
    }
    return cyg_unpickle_push(u, object);
}

/* ---- things that lie outside the pickle ---- */

/* Extension registry, textual persistent ids, out-of-band buffers: torch uses none of them. */
CYG_ACTION(foreign)
{
    return cyg_unpickle_push_opaque(u, 0, false);
}

/* ("storage", class, key, location, count[, view]) */
CYG_ACTION(persistent)
{
    uint32_t id;
    CYG_DO(cyg_unpickle_pop(u, &id));
    if (!cyg_pickle_text_is(cyg_pickle_at(u->out, cyg_pickle_item(u->out, id, 0)), "storage"))
        return cyg_unpickle_push_opaque(u, 0, false);
    return cyg_unpickle_push_value(
        u, (cyg_pickle_value){.kind = CYG_PICKLE_STORAGE, .holds_tensor = true, .a = id});
}
