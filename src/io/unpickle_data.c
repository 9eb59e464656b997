/* The instructions that only move data: scalars, containers, memo, stack.
 *
 * A memo number may not exceed the bytes read so far: picklers count up from 0, a hostile one asks
 * for slot four billion. Integers beyond 64 bits become opaque: nothing in a state dict has them.
 *
 * Not done: escapes in the texts of protocol 0 stay as written. */
#include "io/unpickle_parts.h"

#include <stdlib.h>
#include <string.h>

/* ---- containers ---- */

static cyg_status push_marked(cyg_unpickler *u, cyg_pickle_kind kind)
{
    const uint32_t *items;
    uint32_t count;
    CYG_DO(cyg_unpickle_pop_mark(u, &items, &count));
    if (kind == CYG_PICKLE_TUPLE)
        return cyg_unpickle_push_tuple(u, items, count);
    if (kind == CYG_PICKLE_DICT && count % 2 != 0)
        return cyg_unpickle_fail(u, "a key without a value");
    return cyg_unpickle_push_container(u, kind, items, count);
}

static cyg_status push_short_tuple(cyg_unpickler *u, uint32_t count)
{
    if (u->stack.count - cyg_unpickle_fence(u) < count)
        return cyg_unpickle_fail(u, "the stack is empty here");
    u->stack.count -= count;
    return cyg_unpickle_push_tuple(u, u->stack.items + u->stack.count, count);
}

/* Appends what lies above the mark, or `count` items, to the container below them. */
static cyg_status extend(cyg_unpickler *u, const uint32_t *items, uint32_t count, bool pairs)
{
    uint32_t container;
    CYG_DO(cyg_unpickle_peek(u, &container));
    const cyg_pickle_kind kind = (cyg_pickle_kind)cyg_pickle_at(u->out, container)->kind;
    const bool fits =
        pairs ? kind == CYG_PICKLE_DICT : kind == CYG_PICKLE_LIST || kind == CYG_PICKLE_SET;
    if (!fits && kind != CYG_PICKLE_OPAQUE)
        return cyg_unpickle_fail(u, "adds items to something that takes none of this kind");
    if (pairs && count % 2 != 0)
        return cyg_unpickle_fail(u, "a key without a value");
    return cyg_unpickle_append(u, container, items, count);
}

static cyg_status extend_marked(cyg_unpickler *u, bool pairs)
{
    const uint32_t *items;
    uint32_t count;
    CYG_DO(cyg_unpickle_pop_mark(u, &items, &count));
    return extend(u, items, count, pairs);
}

static cyg_status extend_by(cyg_unpickler *u, uint32_t count, bool pairs)
{
    if (u->stack.count - cyg_unpickle_fence(u) < count)
        return cyg_unpickle_fail(u, "the stack is empty here");
    u->stack.count -= count;
    return extend(u, u->stack.items + u->stack.count, count, pairs);
}

/* ---- scalars ---- */

static cyg_status push_int(cyg_unpickler *u, int64_t value)
{
    return cyg_unpickle_push_value(u, (cyg_pickle_value){.kind = CYG_PICKLE_INT, .integer = value});
}

static cyg_status push_text(cyg_unpickler *u, cyg_pickle_kind kind, const char *text, size_t size)
{
    return cyg_unpickle_push_value(
        u, (cyg_pickle_value){.kind = (uint8_t)kind, .count = (uint32_t)size, .text = text});
}

/* A line as a NUL-terminated copy that fits a number. */
static bool copy_number(const cyg_operand *o, char out[64])
{
    if (o->size == 0 || o->size > 63)
        return false;
    memcpy(out, o->text, o->size);
    out[o->size] = '\0';
    return true;
}

static cyg_status read_line_index(cyg_unpickler *u, const cyg_operand *o, uint64_t *out_index)
{
    *out_index = 0;
    if (o->size == 0 || o->size > 10)
        return cyg_unpickle_fail(u, "a memo number was expected");
    for (size_t i = 0; i < o->size; i++) {
        if (o->text[i] < '0' || o->text[i] > '9')
            return cyg_unpickle_fail(u, "a memo number was expected");
        *out_index = *out_index * 10 + (uint64_t)(o->text[i] - '0');
    }
    return CYG_OK;
}

static cyg_status put(cyg_unpickler *u, uint64_t index)
{
    uint32_t id;
    CYG_DO(cyg_unpickle_peek(u, &id));
    if (index >= u->at)
        return cyg_unpickle_fail(u, "a memo number larger than the pickle so far");
    if (index >= u->memo.count) {
        if (!cyg_unpickle_reserve(&u->memo, (uint32_t)index + 1))
            return cyg_unpickle_no_memory(u);
        memset(u->memo.items + u->memo.count, 0,
               (index + 1 - u->memo.count) * sizeof *u->memo.items);
        u->memo.count = (uint32_t)index + 1;
    }
    u->memo.items[index] = id + 1;
    return CYG_OK;
}

static cyg_status get(cyg_unpickler *u, uint64_t index)
{
    if (index >= u->memo.count || u->memo.items[index] == 0)
        return cyg_unpickle_fail(u, "takes from the memo what was never put there");
    return cyg_unpickle_push(u, u->memo.items[index] - 1);
}

/* ---- actions ---- */

#define ACTION(name) cyg_status cyg_pickle_do_##name(cyg_unpickler *u, const cyg_operand *o)
#define UNUSED (void)u, (void)o

ACTION(nothing)
{
    UNUSED;
    return CYG_OK;
}

ACTION(protocol)
{
    return o->number <= 5 ? CYG_OK : cyg_unpickle_fail(u, "a pickle protocol above 5");
}

ACTION(mark)
{
    UNUSED;
    if (!cyg_unpickle_reserve(&u->marks, u->marks.count + 1))
        return cyg_unpickle_no_memory(u);
    u->marks.items[u->marks.count++] = u->stack.count;
    return CYG_OK;
}

ACTION(stop)
{
    UNUSED;
    u->stopped = true;
    return cyg_unpickle_pop(u, &u->out->root);
}

ACTION(pop)
{
    UNUSED;
    uint32_t id;
    if (u->marks.count > 0 && u->stack.count == cyg_unpickle_fence(u)) {
        u->marks.count--;
        return CYG_OK;
    }
    return cyg_unpickle_pop(u, &id);
}

ACTION(pop_mark)
{
    UNUSED;
    const uint32_t *items;
    uint32_t count;
    return cyg_unpickle_pop_mark(u, &items, &count);
}

ACTION(dup)
{
    UNUSED;
    uint32_t id;
    CYG_DO(cyg_unpickle_peek(u, &id));
    return cyg_unpickle_push(u, id);
}

ACTION(none)
{
    UNUSED;
    return cyg_unpickle_push(u, CYG_ROW_NONE);
}

ACTION(yes)
{
    UNUSED;
    return cyg_unpickle_push(u, CYG_ROW_TRUE);
}

ACTION(no)
{
    UNUSED;
    return cyg_unpickle_push(u, CYG_ROW_FALSE);
}

ACTION(unsigned)
{
    return push_int(u, (int64_t)o->number);
}

ACTION(signed)
{
    return push_int(u, (int32_t)(uint32_t)o->number);
}

ACTION(long)
{
    const uint8_t *bytes = (const uint8_t *)o->text;
    if (o->size > 8)
        return cyg_unpickle_push_opaque(u, 0, false);
    uint64_t value = o->size > 0 && (bytes[o->size - 1] & 0x80) != 0 ? UINT64_MAX : 0;
    for (size_t i = o->size; i-- > 0;)
        value = value << 8 | bytes[i];
    return push_int(u, (int64_t)value);
}

/* I and L: decimal; "00" and "01" are the bools of protocol 1; protocol 0 ends a long with L. */
ACTION(int_line)
{
    char text[64], *end;
    if (o->size == 2 && o->text[0] == '0' && (o->text[1] == '0' || o->text[1] == '1'))
        return cyg_unpickle_push(u, o->text[1] == '1' ? CYG_ROW_TRUE : CYG_ROW_FALSE);
    if (!copy_number(o, text))
        return cyg_unpickle_push_opaque(u, 0, false);
    const long long value = strtoll(text, &end, 10);
    if (end == text || (*end != '\0' && strcmp(end, "L") != 0))
        return cyg_unpickle_fail(u, "an integer was expected");
    if (end - text > 18)
        return cyg_unpickle_push_opaque(u, 0, false);
    return push_int(u, value);
}

ACTION(float)
{
    const uint64_t bits = __builtin_bswap64(o->number);
    cyg_pickle_value v = {.kind = CYG_PICKLE_FLOAT};
    memcpy(&v.number, &bits, sizeof bits);
    return cyg_unpickle_push_value(u, v);
}

ACTION(float_line)
{
    char text[64], *end;
    if (!copy_number(o, text))
        return cyg_unpickle_fail(u, "a number was expected");
    cyg_pickle_value v = {.kind = CYG_PICKLE_FLOAT};
    v.number = strtod(text, &end);
    if (end == text || *end != '\0')
        return cyg_unpickle_fail(u, "a number was expected");
    return cyg_unpickle_push_value(u, v);
}

ACTION(text)
{
    return push_text(u, CYG_PICKLE_TEXT, o->text, o->size);
}

ACTION(bytes)
{
    return push_text(u, CYG_PICKLE_BYTES, o->text, o->size);
}

/* 'text' as Python's repr writes it; escapes stay as they are. */
ACTION(quoted)
{
    if (o->size < 2 || (o->text[0] != '\'' && o->text[0] != '"') ||
        o->text[o->size - 1] != o->text[0])
        return cyg_unpickle_fail(u, "a text in quotes was expected");
    return push_text(u, CYG_PICKLE_TEXT, o->text + 1, o->size - 2);
}

ACTION(empty_tuple)
{
    UNUSED;
    return cyg_unpickle_push(u, CYG_ROW_EMPTY_TUPLE);
}

ACTION(tuple)
{
    UNUSED;
    return push_marked(u, CYG_PICKLE_TUPLE);
}

ACTION(tuple1)
{
    UNUSED;
    return push_short_tuple(u, 1);
}

ACTION(tuple2)
{
    UNUSED;
    return push_short_tuple(u, 2);
}

ACTION(tuple3)
{
    UNUSED;
    return push_short_tuple(u, 3);
}

ACTION(empty_list)
{
    UNUSED;
    return cyg_unpickle_push_container(u, CYG_PICKLE_LIST, NULL, 0);
}

ACTION(list)
{
    UNUSED;
    return push_marked(u, CYG_PICKLE_LIST);
}

ACTION(empty_dict)
{
    UNUSED;
    return cyg_unpickle_push_container(u, CYG_PICKLE_DICT, NULL, 0);
}

ACTION(dict)
{
    UNUSED;
    return push_marked(u, CYG_PICKLE_DICT);
}

ACTION(empty_set)
{
    UNUSED;
    return cyg_unpickle_push_container(u, CYG_PICKLE_SET, NULL, 0);
}

ACTION(frozen_set)
{
    UNUSED;
    return push_marked(u, CYG_PICKLE_SET);
}

ACTION(append)
{
    UNUSED;
    return extend_by(u, 1, false);
}

ACTION(appends)
{
    UNUSED;
    return extend_marked(u, false);
}

ACTION(set_item)
{
    UNUSED;
    return extend_by(u, 2, true);
}

ACTION(set_items)
{
    UNUSED;
    return extend_marked(u, true);
}

ACTION(put)
{
    return put(u, o->number);
}

ACTION(put_line)
{
    uint64_t index;
    CYG_DO(read_line_index(u, o, &index));
    return put(u, index);
}

ACTION(memoize)
{
    UNUSED;
    return put(u, u->memo.count);
}

ACTION(get)
{
    return get(u, o->number);
}

ACTION(get_line)
{
    uint64_t index;
    CYG_DO(read_line_index(u, o, &index));
    return get(u, index);
}
