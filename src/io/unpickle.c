/* The pickle machine: operands, stack, rows and the loop.
 *
 * A pickle is a program for a stack machine. Ours runs the instructions that move data
 * (unpickle_data.c) and turns those that would call something into inert rows
 * (unpickle_objects.c). unpickle_ops.def is the one list of instructions: byte, form of the
 * operand, action.
 *
 * Invariants that hold against any input: an instruction of n bytes makes at most two rows and
 * n + 4 item slots, so memory follows the pickle's size; lengths are compared with the bytes that
 * are there before anything is done with them; a memo number may not exceed the bytes read so far
 * (picklers count up from 0, a hostile one asks for slot four billion); items are appended as spans
 * that are never copied, so shared rows stay shared; nothing here recurses. Cycles are possible and
 * are the walker's concern.
 * */
#include "io/unpickle_parts.h"

#include <stdlib.h>
#include <string.h>

cyg_status cyg_unpickle_fail(const cyg_unpickler *u, const char *text)
{
    return CYG_FAIL(u->ctx, CYG_E_FORMAT, "%s: pickle, byte %zu: %s", u->name, u->opcode_at, text);
}

cyg_status cyg_unpickle_no_memory(const cyg_unpickler *u)
{
    return CYG_FAIL(u->ctx, CYG_E_NOMEM, "%s: out of memory", u->name);
}

/* ---- growing tables ---- */

bool cyg_unpickle_reserve(cyg_id_list *list, uint32_t count)
{
    if (count <= list->cap)
        return true;
    uint32_t cap = list->cap < 64 ? 64 : list->cap * 2;
    if (cap < count)
        cap = count;
    uint32_t *items = realloc(list->items, (size_t)cap * sizeof *items);
    if (items == NULL)
        return false;
    list->items = items;
    list->cap = cap;
    return true;
}

cyg_status cyg_unpickle_push(cyg_unpickler *u, uint32_t id)
{
    if (!cyg_unpickle_reserve(&u->stack, u->stack.count + 1))
        return cyg_unpickle_no_memory(u);
    u->stack.items[u->stack.count++] = id;
    return CYG_OK;
}

static cyg_status add_value(cyg_unpickler *u, cyg_pickle_value value, uint32_t *out_id)
{
    cyg_pickle *p = u->out;
    if (p->count == p->cap) {
        const uint32_t cap = p->cap == 0 ? 256 : p->cap * 2;
        cyg_pickle_value *values = realloc(p->values, (size_t)cap * sizeof *values);
        if (values == NULL)
            return cyg_unpickle_no_memory(u);
        p->values = values;
        p->cap = cap;
    }
    *out_id = p->count;
    p->values[p->count++] = value;
    return CYG_OK;
}

cyg_status cyg_unpickle_push_value(cyg_unpickler *u, cyg_pickle_value value)
{
    uint32_t id = 0;
    CYG_DO(add_value(u, value, &id));
    return cyg_unpickle_push(u, id);
}

/* ---- stack ---- */

uint32_t cyg_unpickle_fence(const cyg_unpickler *u)
{
    return u->marks.count > 0 ? u->marks.items[u->marks.count - 1] : 0;
}

cyg_status cyg_unpickle_pop(cyg_unpickler *u, uint32_t *out_id)
{
    if (u->stack.count <= cyg_unpickle_fence(u))
        return cyg_unpickle_fail(u, "the stack is empty here");
    *out_id = u->stack.items[--u->stack.count];
    return CYG_OK;
}

cyg_status cyg_unpickle_peek(cyg_unpickler *u, uint32_t *out_id)
{
    if (u->stack.count <= cyg_unpickle_fence(u))
        return cyg_unpickle_fail(u, "the stack is empty here");
    *out_id = u->stack.items[u->stack.count - 1];
    return CYG_OK;
}

cyg_status cyg_unpickle_pop_mark(cyg_unpickler *u, const uint32_t **out_items, uint32_t *out_count)
{
    if (u->marks.count == 0)
        return cyg_unpickle_fail(u, "no mark on the stack");
    const uint32_t height = u->marks.items[--u->marks.count];
    *out_items = u->stack.items != NULL ? u->stack.items + height : NULL;
    *out_count = u->stack.count - height;
    u->stack.count = height;
    return CYG_OK;
}

/* ---- containers ---- */

static cyg_pickle_span *new_span(cyg_unpickler *u, const uint32_t *items, uint32_t count)
{
    const size_t size = sizeof(cyg_pickle_span) + (size_t)count * sizeof *items;
    cyg_pickle_span *span = cyg_arena_alloc(&u->out->arena, size, sizeof(void *));
    if (span == NULL)
        return NULL;
    span->next = NULL;
    span->count = count;
    memcpy(span->items, items, (size_t)count * sizeof *items);
    return span;
}

cyg_status cyg_unpickle_append(cyg_unpickler *u, uint32_t container, const uint32_t *items,
                               uint32_t count)
{
    if (count == 0)
        return CYG_OK;
    bool holds_tensor = false;
    for (uint32_t i = 0; i < count; i++)
        holds_tensor |= cyg_pickle_at(u->out, items[i])->holds_tensor;
    cyg_pickle_value *v = &u->out->values[container];
    v->holds_tensor |= holds_tensor;
    if (v->kind != CYG_PICKLE_TUPLE && v->kind != CYG_PICKLE_LIST && v->kind != CYG_PICKLE_DICT &&
        v->kind != CYG_PICKLE_SET)
        return CYG_OK;
    cyg_pickle_span *span = new_span(u, items, count);
    if (span == NULL)
        return cyg_unpickle_no_memory(u);
    if (v->first == NULL)
        v->first = span;
    else
        v->last->next = span;
    v->last = span;
    v->count += count;
    return CYG_OK;
}

/* A new container on the stack with these items, which may lie above the stack's top. */
cyg_status cyg_unpickle_push_container(cyg_unpickler *u, cyg_pickle_kind kind,
                                       const uint32_t *items, uint32_t count)
{
    uint32_t id = 0;
    CYG_DO(add_value(u, (cyg_pickle_value){.kind = (uint8_t)kind}, &id));
    CYG_DO(cyg_unpickle_append(u, id, items, count));
    return cyg_unpickle_push(u, id);
}

cyg_status cyg_unpickle_push_tuple(cyg_unpickler *u, const uint32_t *items, uint32_t count)
{
    if (count == 0)
        return cyg_unpickle_push(u, CYG_ROW_EMPTY_TUPLE);
    return cyg_unpickle_push_container(u, CYG_PICKLE_TUPLE, items, count);
}

/* ---- the loop ---- */

typedef enum operand_form {
    FORM_NOTHING,
    FORM_U1 = 1,
    FORM_U2 = 2,
    FORM_U4 = 4,
    FORM_U8 = 8,
    FORM_B1 = 16 + 1,
    FORM_B4 = 16 + 4,
    FORM_B8 = 16 + 8,
    FORM_LINE,
    FORM_LINES,
} operand_form;

static const struct {
    cyg_pickle_action run;
    operand_form form;
    uint32_t argument;
} opcodes[256] = {
#define CYG_OPCODE(byte, form, action, argument)                                                   \
    [byte] = {cyg_pickle_do_##action, FORM_##form, argument},
#include "io/unpickle_ops.def"
#undef CYG_OPCODE
};

static bool read_number(cyg_unpickler *u, size_t bytes, uint64_t *out_number)
{
    if (u->size - u->at < bytes)
        return false;
    *out_number = 0;
    for (size_t i = bytes; i-- > 0;)
        *out_number = *out_number << 8 | u->data[u->at + i];
    u->at += bytes;
    return true;
}

static bool read_line(cyg_unpickler *u, const char **out_text, size_t *out_size)
{
    const uint8_t *start = u->data + u->at;
    const uint8_t *end = u->at < u->size ? memchr(start, '\n', u->size - u->at) : NULL;
    if (end == NULL)
        return false;
    *out_text = (const char *)start;
    *out_size = (size_t)(end - start);
    u->at += *out_size + 1;
    return true;
}

static bool read_operand(cyg_unpickler *u, operand_form form, cyg_operand *o)
{
    const bool is_line = form == FORM_LINE || form == FORM_LINES;
    *o = (cyg_operand){.text = "", .text2 = "", .is_line = is_line};
    if (is_line)
        return read_line(u, &o->text, &o->size) &&
               (form == FORM_LINE || read_line(u, &o->text2, &o->size2));
    if (!read_number(u, (size_t)form & 15, &o->number))
        return false;
    if (form < FORM_B1)
        return true;
    if (o->number > u->size - u->at)
        return false;
    o->text = (const char *)u->data + u->at;
    o->size = (size_t)o->number;
    u->at += o->size;
    return true;
}

static cyg_status run(cyg_unpickler *u)
{
    static const cyg_pickle_value first_rows[] = {
        [CYG_ROW_NONE] = {.kind = CYG_PICKLE_NONE},
        [CYG_ROW_FALSE] = {.kind = CYG_PICKLE_BOOL},
        [CYG_ROW_TRUE] = {.kind = CYG_PICKLE_BOOL, .boolean = true},
        [CYG_ROW_EMPTY_TUPLE] = {.kind = CYG_PICKLE_TUPLE},
    };
    uint32_t id = 0;
    for (size_t i = 0; i < CYG_COUNT(first_rows); i++)
        CYG_DO(add_value(u, first_rows[i], &id));
    for (size_t done = 0; !u->stopped; done++) {
        u->opcode_at = u->at;
        if (u->at == u->size && u->size == u->limits.bytes)
            return CYG_FAIL(u->ctx, CYG_E_FORMAT,
                            "%s: pickle, byte %zu: longer than %zu MiB, the most that is read",
                            u->name, u->at, u->limits.bytes >> 20);
        if (u->at == u->size)
            return cyg_unpickle_fail(u, "ends without STOP");
        if (done == u->limits.instructions)
            return CYG_FAIL(u->ctx, CYG_E_FORMAT,
                            "%s: pickle, byte %zu: more than %zu instructions, the most that are "
                            "followed",
                            u->name, u->at, u->limits.instructions);
        const uint8_t opcode = u->data[u->at++];
        cyg_operand operand;
        if (opcodes[opcode].run == NULL)
            return CYG_FAIL(u->ctx, CYG_E_FORMAT, "%s: pickle, byte %zu: no opcode 0x%02x", u->name,
                            u->opcode_at, opcode);
        if (!read_operand(u, opcodes[opcode].form, &operand))
            return cyg_unpickle_fail(u, "an operand goes past the end");
        operand.argument = opcodes[opcode].argument;
        CYG_DO(opcodes[opcode].run(u, &operand));
    }
    u->out->used = u->at;
    return CYG_OK;
}

cyg_status cyg_unpickle(cyg_ctx *ctx, const char *name, const void *data, size_t size,
                        cyg_pickle *out_pickle)
{
    const cyg_pickle_limits limits = {CYG_PICKLE_LARGEST, CYG_PICKLE_LARGEST};
    return cyg_unpickle_within(ctx, name, data, size, &limits, out_pickle);
}

cyg_status cyg_unpickle_within(cyg_ctx *ctx, const char *name, const void *data, size_t size,
                               const cyg_pickle_limits *limits, cyg_pickle *out_pickle)
{
    *out_pickle = (cyg_pickle){0};
    cyg_arena_init(&out_pickle->arena);
    cyg_unpickler u = {.ctx = ctx,
                       .name = name,
                       .out = out_pickle,
                       .data = data,
                       .size = size < limits->bytes ? size : limits->bytes,
                       .limits = *limits};
    const cyg_status status = run(&u);
    free(u.stack.items);
    free(u.marks.items);
    free(u.memo.items);
    return status;
}

void cyg_pickle_deinit(cyg_pickle *pickle)
{
    cyg_arena_deinit(&pickle->arena);
    free(pickle->values);
    *pickle = (cyg_pickle){0};
}
