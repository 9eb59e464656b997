/* The instructions that only move data: scalars, containers, memo, stack.
 *
 * What differs between kin (which constant, which container, how many items) is the argument in
 * unpickle_ops.def. A memo number may not exceed the bytes read so far: picklers count up from 0, a
 * hostile one asks for slot four billion. Integers beyond 64 bits become opaque: nothing in a state
 * dict has them.
 *
 * Not done: escapes in the texts of protocol 0 stay as written. */
#include "io/unpickle_parts.h"

#include <stdlib.h>
#include <string.h>

/* ---- scalars ---- */

static cyg_status push_int(cyg_unpickler *u, int64_t value)
{
    return cyg_unpickle_push_value(u, (cyg_pickle_value){.kind = CYG_PICKLE_INT, .integer = value});
}

static cyg_status push_float(cyg_unpickler *u, double value)
{
    return cyg_unpickle_push_value(u,
                                   (cyg_pickle_value){.kind = CYG_PICKLE_FLOAT, .number = value});
}

static cyg_status push_text(cyg_unpickler *u, uint32_t kind, const char *text, size_t size)
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

/* One of the rows that every pickle begins with. */
CYG_ACTION(constant)
{
    return cyg_unpickle_push(u, operand->argument);
}

CYG_ACTION(unsigned)
{
    return push_int(u, (int64_t)operand->number);
}

CYG_ACTION(signed)
{
    return push_int(u, (int32_t)(uint32_t)operand->number);
}

CYG_ACTION(long)
{
    const uint8_t *bytes = (const uint8_t *)operand->text;
    if (operand->size > 8)
        return cyg_unpickle_push_opaque(u, 0, false);
    uint64_t value = operand->size > 0 && (bytes[operand->size - 1] & 0x80) != 0 ? UINT64_MAX : 0;
    for (size_t i = operand->size; i-- > 0;)
        value = value << 8 | bytes[i];
    return push_int(u, (int64_t)value);
}

/* I and L: decimal; "00" and "01" are the bools of protocol 1; protocol 0 ends a long with L. */
CYG_ACTION(int_line)
{
    char text[64], *end;
    if (!copy_number(operand, text))
        return cyg_unpickle_push_opaque(u, 0, false);
    if (strcmp(text, "00") == 0 || strcmp(text, "01") == 0)
        return cyg_unpickle_push(u, text[1] == '1' ? CYG_ROW_TRUE : CYG_ROW_FALSE);
    const long long value = strtoll(text, &end, 10);
    if (end == text || (*end != '\0' && strcmp(end, "L") != 0))
        return cyg_unpickle_fail(u, "an integer was expected");
    if (end - text > 18)
        return cyg_unpickle_push_opaque(u, 0, false);
    return push_int(u, value);
}

CYG_ACTION(float)
{
    const uint64_t bits = __builtin_bswap64(operand->number);
    double value;
    memcpy(&value, &bits, sizeof bits);
    return push_float(u, value);
}

CYG_ACTION(float_line)
{
    char text[64], *end;
    if (!copy_number(operand, text))
        return cyg_unpickle_fail(u, "a number was expected");
    const double value = strtod(text, &end);
    if (end == text || *end != '\0')
        return cyg_unpickle_fail(u, "a number was expected");
    return push_float(u, value);
}

CYG_ACTION(text)
{
    return push_text(u, operand->argument, operand->text, operand->size);
}

/* 'text' as Python's repr writes it; escapes stay as they are. */
CYG_ACTION(quoted)
{
    const char *text = operand->text;
    if (operand->size < 2 || (text[0] != '\'' && text[0] != '"') ||
        text[operand->size - 1] != text[0])
        return cyg_unpickle_fail(u, "a text in quotes was expected");
    return push_text(u, CYG_PICKLE_TEXT, text + 1, operand->size - 2);
}

/* ---- containers ---- */

/* Takes `count` items off the stack; they stay readable until the next push. */
static cyg_status pop_items(cyg_unpickler *u, uint32_t count, const uint32_t **out_items)
{
    if (u->stack.count - cyg_unpickle_fence(u) < count)
        return cyg_unpickle_fail(u, "the stack is empty here");
    u->stack.count -= count;
    *out_items = u->stack.items + u->stack.count;
    return CYG_OK;
}

/* Hangs items onto the container on top of the stack; in a dict they are keys and values. */
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

/* argument: kind */
CYG_ACTION(empty)
{
    return cyg_unpickle_push_container(u, (cyg_pickle_kind)operand->argument, NULL, 0);
}

/* What lies above the mark. argument: kind */
CYG_ACTION(collect)
{
    const uint32_t *items;
    uint32_t count;
    CYG_DO(cyg_unpickle_pop_mark(u, &items, &count));
    if (operand->argument == CYG_PICKLE_TUPLE)
        return cyg_unpickle_push_tuple(u, items, count);
    if (operand->argument == CYG_PICKLE_DICT && count % 2 != 0)
        return cyg_unpickle_fail(u, "a key without a value");
    return cyg_unpickle_push_container(u, (cyg_pickle_kind)operand->argument, items, count);
}

/* argument: items */
CYG_ACTION(tuple)
{
    const uint32_t *items = NULL;
    CYG_DO(pop_items(u, operand->argument, &items));
    return cyg_unpickle_push_tuple(u, items, operand->argument);
}

/* argument: 1 for an item, 2 for a key and its value */
CYG_ACTION(add)
{
    const uint32_t *items = NULL;
    CYG_DO(pop_items(u, operand->argument, &items));
    return extend(u, items, operand->argument, operand->argument == 2);
}

/* What lies above the mark. argument as of add */
CYG_ACTION(add_all)
{
    const uint32_t *items;
    uint32_t count;
    CYG_DO(cyg_unpickle_pop_mark(u, &items, &count));
    return extend(u, items, count, operand->argument == 2);
}

/* ---- memo ---- */

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

/* The number of an instruction of protocol 0 is a line, later ones have it in binary. */
static cyg_status memo_number(cyg_unpickler *u, const cyg_operand *o, uint64_t *out_number)
{
    *out_number = o->number;
    if (!o->is_line)
        return CYG_OK;
    *out_number = 0;
    if (o->size == 0 || o->size > 10)
        return cyg_unpickle_fail(u, "a memo number was expected");
    for (size_t i = 0; i < o->size; i++) {
        if (o->text[i] < '0' || o->text[i] > '9')
            return cyg_unpickle_fail(u, "a memo number was expected");
        *out_number = *out_number * 10 + (uint64_t)(o->text[i] - '0');
    }
    return CYG_OK;
}

CYG_ACTION(put)
{
    uint64_t index;
    CYG_DO(memo_number(u, operand, &index));
    return put(u, index);
}

CYG_ACTION(memoize)
{
    return put(u, u->memo.count);
}

CYG_ACTION(get)
{
    uint64_t index;
    CYG_DO(memo_number(u, operand, &index));
    if (index >= u->memo.count || u->memo.items[index] == 0)
        return cyg_unpickle_fail(u, "takes from the memo what was never put there");
    return cyg_unpickle_push(u, u->memo.items[index] - 1);
}

/* ---- the machine ---- */

CYG_ACTION(nothing)
{
    return CYG_OK;
}

CYG_ACTION(protocol)
{
    return operand->number <= 5 ? CYG_OK : cyg_unpickle_fail(u, "a pickle protocol above 5");
}

CYG_ACTION(mark)
{
    if (!cyg_unpickle_reserve(&u->marks, u->marks.count + 1))
        return cyg_unpickle_no_memory(u);
    u->marks.items[u->marks.count++] = u->stack.count;
    return CYG_OK;
}

CYG_ACTION(stop)
{
    u->stopped = true;
    return cyg_unpickle_pop(u, &u->out->root);
}

CYG_ACTION(pop)
{
    uint32_t id;
    if (u->marks.count > 0 && u->stack.count == cyg_unpickle_fence(u)) {
        u->marks.count--;
        return CYG_OK;
    }
    return cyg_unpickle_pop(u, &id);
}

CYG_ACTION(pop_mark)
{
    const uint32_t *items;
    uint32_t count;
    return cyg_unpickle_pop_mark(u, &items, &count);
}

CYG_ACTION(dup)
{
    uint32_t id;
    CYG_DO(cyg_unpickle_peek(u, &id));
    return cyg_unpickle_push(u, id);
}
