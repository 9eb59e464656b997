/* The schema: enums and structs of the configuration, expanded from enums.def and config.def, and
 * their descriptions.
 *
 * Every field x comes with a mark x_at that says where its value came from; "set" means a mark
 * other than default, so an explicit 0, false or [] is a value. All strings and lists live in the
 * arena that read them; structs are plain and may be copied. */
#ifndef CYG_CONFIG_SCHEMA_H
#define CYG_CONFIG_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/value.h"

typedef enum cyg_config_origin {
    CYG_CONFIG_DEFAULT,
    CYG_CONFIG_FILE,
    CYG_CONFIG_COMMAND_LINE,
} cyg_config_origin;

typedef struct cyg_config_mark {
    cyg_config_origin origin;
    uint32_t line, column; /* FILE: from 1 */
    const char *file;      /* FILE */
} cyg_config_mark;

#define CYG_ENUM(id, name)                                                                         \
    typedef enum cyg_config_##id                                                                   \
    {
#define CYG_ENUM_VALUE(id, prefix, name, number) CYG_CONFIG_##prefix##_##name,
#define CYG_ENUM_END(id)                                                                           \
    }                                                                                              \
    cyg_config_##id;
#include "config/enums.def"
#undef CYG_ENUM
#undef CYG_ENUM_VALUE
#undef CYG_ENUM_END

/* The C type of a field. A list of messages is a typed {items, count} of its own. */
#define CYG_TYPE_BOOL(of) bool
#define CYG_TYPE_INT(of) int64_t
#define CYG_TYPE_FLOAT(of) double
#define CYG_TYPE_STRING(of) const char *
#define CYG_TYPE_IN_PATH(of) const char *
#define CYG_TYPE_OUT_PATH(of) const char *
#define CYG_TYPE_ENUM(of) cyg_config_##of
#define CYG_TYPE_INTS(of) cyg_int_list
#define CYG_TYPE_FLOATS(of) cyg_float_list
#define CYG_TYPE_STRINGS(of) cyg_string_list
#define CYG_TYPE_SUB(of) cyg_config_##of
#define CYG_TYPE_SUBS(of)                                                                          \
    struct {                                                                                       \
        struct cyg_config_##of *items;                                                             \
        size_t count;                                                                              \
    }
#define CYG_TYPE_ANY(of) const char * /* JSON text; NULL = unset */

/* line and column of the message itself come first in every struct: errors about what is missing
 * point there. */
#define CYG_MESSAGE(id, name, text)                                                                \
    typedef struct cyg_config_##id {                                                               \
        cyg_config_mark at;
#define CYG_FIELD(message, field, kind, of, preset, where, category, valid, built, text, why)      \
    CYG_TYPE_##kind(of) field;                                                                     \
    cyg_config_mark field##_at;
#define CYG_MESSAGE_END(id)                                                                        \
    }                                                                                              \
    cyg_config_##id;
#define CYG_ALIAS(message, other, field)
#include "config/config.def"
#undef CYG_MESSAGE
#undef CYG_FIELD
#undef CYG_MESSAGE_END
#undef CYG_ALIAS

typedef enum cyg_config_where {
    CYG_WHERE_FLAG,
    CYG_WHERE_FILE,
    CYG_WHERE_NEED,
    CYG_WHERE_NEED_FILE,
} cyg_config_where;

typedef enum cyg_config_category {
    CYG_CATEGORY_Y,
    CYG_CATEGORY_W,
    CYG_CATEGORY_E,
    CYG_CATEGORY_X,
} cyg_config_category;

typedef struct cyg_config_message cyg_config_message;

/* One row of config.def. */
typedef struct cyg_config_field {
    const char *name;
    cyg_value_type type;
    const cyg_config_message *sub; /* SUB, SUBS */
    const char *preset;
    cyg_config_where where;
    cyg_config_category category;
    const char *built, *text, *why;
    size_t offset, mark_offset; /* in the message's struct */
} cyg_config_field;

struct cyg_config_message {
    const char *name, *text;
    const cyg_config_field *fields;
    size_t count;
    size_t size; /* of the struct */
};

#define CYG_MESSAGE(id, name, text) extern const cyg_config_message cyg_config_message_##id;
#define CYG_FIELD(message, field, kind, of, preset, where, category, valid, built, text, why)
#define CYG_MESSAGE_END(id)
#define CYG_ALIAS(message, other, field)
#include "config/config.def"
#undef CYG_MESSAGE
#undef CYG_FIELD
#undef CYG_MESSAGE_END
#undef CYG_ALIAS

#define CYG_ENUM(id, name) extern const cyg_config_enum cyg_config_enum_##id;
#define CYG_ENUM_VALUE(id, prefix, name, number)
#define CYG_ENUM_END(id)
#include "config/enums.def"
#undef CYG_ENUM
#undef CYG_ENUM_VALUE
#undef CYG_ENUM_END

/* All messages in the order of config.def, and all enums: for docs and suggestions. */
extern const cyg_config_message *const cyg_config_messages[];
extern const size_t cyg_config_message_total;
extern const cyg_config_enum *const cyg_config_enums[];
extern const size_t cyg_config_enum_total;

/* Other spellings of a field. */
typedef struct cyg_config_alias {
    const cyg_config_message *message;
    const char *other, *field;
} cyg_config_alias;
extern const cyg_config_alias cyg_config_aliases[];
extern const size_t cyg_config_alias_total;

/* Field access in a struct of the message. */
void *cyg_config_value(const cyg_config_field *field, void *message);
const void *cyg_config_value_const(const cyg_config_field *field, const void *message);
cyg_config_mark *cyg_config_mark_of(const cyg_config_field *field, void *message);
const cyg_config_mark *cyg_config_mark_const(const cyg_config_field *field, const void *message);
/* Elements of a SUBS field. */
const void *cyg_config_item(const cyg_config_field *field, const void *message, size_t i);
size_t cyg_config_item_count(const cyg_config_field *field, const void *message);
/* Index of the field with this key (snake_case, lowerCamelCase or alias), or -1. */
int cyg_config_find_field(const cyg_config_message *message, const char *key);

/* Every field to its default. Fails only for a bad row of config.def or no memory. */
cyg_status cyg_config_init(cyg_ctx *ctx, cyg_arena *arena, const cyg_config_message *message,
                           void *config) CYG_MUST_USE;
/* The default of one field alone. */
cyg_status cyg_config_set_default(cyg_ctx *ctx, cyg_arena *arena, const cyg_config_field *field,
                                  void *message) CYG_MUST_USE;
/* Whether the value is the field's default, given or not. */
cyg_status cyg_config_is_default(cyg_ctx *ctx, cyg_arena *arena, const cyg_config_field *field,
                                 const void *message, bool *out_same) CYG_MUST_USE;
/* Somebody wrote the field `name` of this message, and not its default: an effect is expected. */
bool cyg_config_asks(cyg_ctx *ctx, const cyg_config_message *message, const void *config,
                     const char *name);
/* "a.json:14:9: quant.check" or "--quant.check", for messages. */
void cyg_config_place(const cyg_config_mark *mark, const char *path, cyg_strbuf *out);
/* Fails with "<place of the mark> <text>". */
cyg_status cyg_config_fail(cyg_ctx *ctx, cyg_status status, const cyg_config_mark *mark,
                           const char *path, const char *fmt, ...) CYG_PRINTF(5, 6);

#endif
