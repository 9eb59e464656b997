/* The schema's tables, expanded from enums.def and config.def, and the walk over fields that
 * everyone shares.
 *
 * A message is described by an array of fields with offsets; reader, flags, writer, docs and checks
 * are loops over these arrays and know no field by name. What does know names (validate.c,
 * resolve.c) uses the structs.
 *
 * Every mark lies beside its value, at mark_offset. A list of messages is {pointer, count}; the
 * typed structs of the list fields and the untyped one used here have the same layout (one object
 * pointer, one size_t), and are copied, never aliased.
 *
 * A key of a file matches a field in snake_case or in lowerCamelCase (Google's JSON mapping), or by
 * alias. */
#include "config/schema.h"

#include <ctype.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

typedef struct cyg_message_list {
    void *items;
    size_t count;
} cyg_message_list;

/* ---- enums ---- */

#define CYG_ENUM(id, name) static const char *const names_##id[] = {
#define CYG_ENUM_VALUE(id, prefix, name, number) #name,
#define CYG_ENUM_END(id)                                                                           \
    }                                                                                              \
    ;
#include "config/enums.def"
#undef CYG_ENUM
#undef CYG_ENUM_VALUE
#undef CYG_ENUM_END

#define CYG_ENUM(id, name) static const int numbers_##id[] = {
#define CYG_ENUM_VALUE(id, prefix, name, number) number,
#define CYG_ENUM_END(id)                                                                           \
    }                                                                                              \
    ;
#include "config/enums.def"
#undef CYG_ENUM
#undef CYG_ENUM_VALUE
#undef CYG_ENUM_END

#define CYG_ENUM_VALUE(id, prefix, name, number)
#define CYG_ENUM(id, text)                                                                         \
    const cyg_config_enum cyg_config_enum_##id = {text, names_##id, numbers_##id,                  \
                                                  CYG_COUNT(names_##id)};
#define CYG_ENUM_END(id)
#include "config/enums.def"
#undef CYG_ENUM
#undef CYG_ENUM_END

const cyg_config_enum *const cyg_config_enums[] = {
#define CYG_ENUM(id, text) &cyg_config_enum_##id,
#define CYG_ENUM_END(id)
#include "config/enums.def"
#undef CYG_ENUM
#undef CYG_ENUM_END
#undef CYG_ENUM_VALUE
};
const size_t cyg_config_enum_total = CYG_COUNT(cyg_config_enums);

/* ---- messages ---- */

#define CYG_ENUM_OF_BOOL(of) NULL
#define CYG_ENUM_OF_INT(of) NULL
#define CYG_ENUM_OF_FLOAT(of) NULL
#define CYG_ENUM_OF_STRING(of) NULL
#define CYG_ENUM_OF_IN_PATH(of) NULL
#define CYG_ENUM_OF_OUT_PATH(of) NULL
#define CYG_ENUM_OF_ENUM(of) &cyg_config_enum_##of
#define CYG_ENUM_OF_INTS(of) NULL
#define CYG_ENUM_OF_FLOATS(of) NULL
#define CYG_ENUM_OF_STRINGS(of) NULL
#define CYG_ENUM_OF_SUB(of) NULL
#define CYG_ENUM_OF_SUBS(of) NULL
#define CYG_ENUM_OF_ANY(of) NULL

#define CYG_SUB_OF_BOOL(of) NULL
#define CYG_SUB_OF_INT(of) NULL
#define CYG_SUB_OF_FLOAT(of) NULL
#define CYG_SUB_OF_STRING(of) NULL
#define CYG_SUB_OF_IN_PATH(of) NULL
#define CYG_SUB_OF_OUT_PATH(of) NULL
#define CYG_SUB_OF_ENUM(of) NULL
#define CYG_SUB_OF_INTS(of) NULL
#define CYG_SUB_OF_FLOATS(of) NULL
#define CYG_SUB_OF_STRINGS(of) NULL
#define CYG_SUB_OF_SUB(of) &cyg_config_message_##of
#define CYG_SUB_OF_SUBS(of) &cyg_config_message_##of
#define CYG_SUB_OF_ANY(of) NULL

#define CYG_ALIAS(message, other, field)

#define CYG_MESSAGE(id, name, text) static const cyg_config_field fields_##id[] = {
#define CYG_FIELD(message, field, kind, of, preset, where, category, valid, built, text, why)      \
    {#field,                                                                                       \
     {CYG_VALUE_##kind, CYG_ENUM_OF_##kind(of), valid},                                            \
     CYG_SUB_OF_##kind(of),                                                                        \
     preset,                                                                                       \
     CYG_WHERE_##where,                                                                            \
     CYG_CATEGORY_##category,                                                                      \
     built,                                                                                        \
     text,                                                                                         \
     why,                                                                                          \
     offsetof(cyg_config_##message, field),                                                        \
     offsetof(cyg_config_##message, field##_at)},
#define CYG_MESSAGE_END(id)                                                                        \
    }                                                                                              \
    ;
#include "config/config.def"
#undef CYG_MESSAGE
#undef CYG_FIELD
#undef CYG_MESSAGE_END

#define CYG_FIELD(message, field, kind, of, preset, where, category, valid, built, text, why)
#define CYG_MESSAGE_END(id)
#define CYG_MESSAGE(id, name, text)                                                                \
    const cyg_config_message cyg_config_message_##id = {                                           \
        name, text, fields_##id, CYG_COUNT(fields_##id), sizeof(cyg_config_##id)};
#include "config/config.def"
#undef CYG_MESSAGE

const cyg_config_message *const cyg_config_messages[] = {
#define CYG_MESSAGE(id, name, text) &cyg_config_message_##id,
#include "config/config.def"
#undef CYG_MESSAGE
#undef CYG_FIELD
#undef CYG_MESSAGE_END
#undef CYG_ALIAS
};
const size_t cyg_config_message_total = CYG_COUNT(cyg_config_messages);

/* ---- access ---- */

void *cyg_config_value(const cyg_config_field *field, void *message)
{
    return (char *)message + field->offset;
}

const void *cyg_config_value_const(const cyg_config_field *field, const void *message)
{
    return (const char *)message + field->offset;
}

cyg_config_mark *cyg_config_mark_of(const cyg_config_field *field, void *message)
{
    return (cyg_config_mark *)(void *)((char *)message + field->mark_offset);
}

const cyg_config_mark *cyg_config_mark_const(const cyg_config_field *field, const void *message)
{
    return (const cyg_config_mark *)(const void *)((const char *)message + field->mark_offset);
}

size_t cyg_config_item_count(const cyg_config_field *field, const void *message)
{
    cyg_message_list list;
    memcpy(&list, cyg_config_value_const(field, message), sizeof list);
    return list.count;
}

const void *cyg_config_item(const cyg_config_field *field, const void *message, size_t i)
{
    cyg_message_list list;
    memcpy(&list, cyg_config_value_const(field, message), sizeof list);
    return (const char *)list.items + i * field->sub->size;
}

/* ---- keys ---- */

static bool key_is(const char *field, const char *key)
{
    if (strcmp(field, key) == 0)
        return true;
    for (; *field != '\0'; field++, key++) {
        if (*field == '_' && field[1] != '\0') {
            field++;
            if (*key != (char)toupper((unsigned char)*field))
                return false;
        } else if (*field != *key) {
            return false;
        }
    }
    return *key == '\0';
}

const cyg_config_alias cyg_config_aliases[] = {
#define CYG_MESSAGE(id, name, text)
#define CYG_FIELD(message, field, kind, of, preset, where, category, valid, built, text, why)
#define CYG_MESSAGE_END(id)
#define CYG_ALIAS(message, other, field) {&cyg_config_message_##message, other, field},
#include "config/config.def"
#undef CYG_MESSAGE
#undef CYG_FIELD
#undef CYG_MESSAGE_END
#undef CYG_ALIAS
};
const size_t cyg_config_alias_total = CYG_COUNT(cyg_config_aliases);

int cyg_config_find_field(const cyg_config_message *message, const char *key)
{
    for (size_t i = 0; i < cyg_config_alias_total; i++)
        if (cyg_config_aliases[i].message == message && key_is(cyg_config_aliases[i].other, key))
            key = cyg_config_aliases[i].field;
    for (size_t i = 0; i < message->count; i++)
        if (key_is(message->fields[i].name, key))
            return (int)i;
    return -1;
}

/* ---- defaults ---- */

cyg_status cyg_config_set_default(cyg_ctx *ctx, cyg_arena *arena, const cyg_config_field *field,
                                  void *message)
{
    void *value = cyg_config_value(field, message);
    *cyg_config_mark_of(field, message) = (cyg_config_mark){.origin = CYG_CONFIG_DEFAULT};
    if (field->type.kind == CYG_VALUE_SUB)
        return cyg_config_init(ctx, arena, field->sub, value);
    if (field->type.kind == CYG_VALUE_SUBS) {
        memset(value, 0, sizeof(cyg_message_list));
        return CYG_OK;
    }
    if (field->type.kind == CYG_VALUE_ANY) {
        memset(value, 0, sizeof(char *));
        return CYG_OK;
    }
    return cyg_value_preset(ctx, arena, field->name, field->type, field->preset, value);
}

cyg_status cyg_config_init(cyg_ctx *ctx, cyg_arena *arena, const cyg_config_message *message,
                           void *config)
{
    memset(config, 0, message->size);
    for (size_t i = 0; i < message->count; i++)
        CYG_DO(cyg_config_set_default(ctx, arena, &message->fields[i], config));
    return CYG_OK;
}

cyg_status cyg_config_is_default(cyg_ctx *ctx, cyg_arena *arena, const cyg_config_field *field,
                                 const void *message, bool *out_same)
{
    cyg_value_any preset;
    memset(&preset, 0, sizeof preset);
    if (field->type.kind == CYG_VALUE_SUBS) {
        *out_same = cyg_config_item_count(field, message) == 0;
        return CYG_OK;
    }
    *out_same = false;
    if (field->type.kind != CYG_VALUE_ANY)
        CYG_DO(cyg_value_preset(ctx, arena, field->name, field->type, field->preset, &preset));
    *out_same = cyg_value_equal(field->type, cyg_config_value_const(field, message), &preset);
    return CYG_OK;
}

bool cyg_config_asks(cyg_ctx *ctx, const cyg_config_message *message, const void *config,
                     const char *name)
{
    const int at = cyg_config_find_field(message, name);
    cyg_arena arena;
    bool same = false;
    if (at < 0 || cyg_config_mark_const(&message->fields[at], config)->origin == CYG_CONFIG_DEFAULT)
        return false;
    cyg_arena_init(&arena);
    const cyg_status status =
        cyg_config_is_default(ctx, &arena, &message->fields[at], config, &same);
    cyg_arena_deinit(&arena);
    return status != CYG_OK || !same;
}

void cyg_config_place(const cyg_config_mark *mark, const char *path, cyg_strbuf *out)
{
    if (mark->origin == CYG_CONFIG_FILE)
        cyg_strbuf_printf(out, "%s:%u:%u: %s", mark->file ? mark->file : "?", mark->line,
                          mark->column, path);
    else if (mark->origin == CYG_CONFIG_COMMAND_LINE)
        cyg_strbuf_printf(out, "--%s", path);
    else
        cyg_strbuf_puts(out, path);
}

cyg_status cyg_config_fail(cyg_ctx *ctx, cyg_status status, const cyg_config_mark *mark,
                           const char *path, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    cyg_strbuf place = {0};
    cyg_config_place(mark, path, &place);
    const cyg_status st = CYG_FAIL(ctx, status, "%s %s", place.failed ? path : place.data, text);
    cyg_strbuf_deinit(&place);
    return st;
}
