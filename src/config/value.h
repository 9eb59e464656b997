/* Typed values of the configuration: parsing from words, limits, comparison, printing.
 *
 * One small type system serves the config files, the flags of every command and the defaults in
 * config.def. Thread rule: everything here is a pure function of its arguments. */
#ifndef CYG_CONFIG_VALUE_H
#define CYG_CONFIG_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"
#include "base/str.h"

/* Lists: items live in the arena that read them. */
typedef struct cyg_int_list {
    int64_t *items;
    size_t count;
} cyg_int_list;
typedef struct cyg_float_list {
    double *items;
    size_t count;
} cyg_float_list;
typedef struct cyg_string_list {
    const char **items;
    size_t count;
} cyg_string_list;

/* CYG_VALUE(id, what messages call it) */
#define CYG_VALUE_KINDS(CYG_VALUE)                                                                 \
    CYG_VALUE(BOOL, "a bool")                                                                      \
    CYG_VALUE(INT, "an integer")                                                                   \
    CYG_VALUE(FLOAT, "a number")                                                                   \
    CYG_VALUE(STRING, "a string")                                                                  \
    CYG_VALUE(IN_PATH, "a path")                                                                   \
    CYG_VALUE(OUT_PATH, "a path")                                                                  \
    CYG_VALUE(ENUM, "a name")                                                                      \
    CYG_VALUE(INTS, "a list of integers")                                                          \
    CYG_VALUE(FLOATS, "a list of numbers")                                                         \
    CYG_VALUE(STRINGS, "a list of strings")                                                        \
    CYG_VALUE(SUB, "a group of settings")                                                          \
    CYG_VALUE(SUBS, "a list of groups of settings")                                                \
    CYG_VALUE(ANY, "anything")

typedef enum cyg_value_kind {
#define CYG_VALUE(id, text) CYG_VALUE_##id,
    CYG_VALUE_KINDS(CYG_VALUE)
#undef CYG_VALUE
        CYG_VALUE_COUNT
} cyg_value_kind;

typedef struct cyg_config_enum {
    const char *name;
    const char *const *names; /* by C constant */
    const int *numbers;       /* what files may write; -1 = none */
    size_t count;
} cyg_config_enum;

typedef struct cyg_value_type {
    cyg_value_kind kind;
    const cyg_config_enum *of; /* ENUM */
    const char *valid;         /* "low..high", one number, or words; NULL or "" = no limit */
} cyg_value_type;

/* Room for a value of any kind but SUB. */
typedef union cyg_value_any {
    bool boolean;
    int64_t integer;
    double number;
    int word;
    const char *text;
    cyg_int_list ints;
    cyg_float_list floats;
    cyg_string_list strings;
    struct {
        void *items;
        size_t count;
    } list;
} cyg_value_any;

size_t cyg_value_size(cyg_value_kind kind); /* bytes of such a value; 0 for SUB */
const char *cyg_value_kind_text(cyg_value_kind kind);
bool cyg_value_is_list(cyg_value_kind kind); /* INTS, FLOATS, STRINGS */
bool cyg_value_is_text(cyg_value_kind kind); /* STRING and the paths */

/* Parses words as the command line gives them into dest; a scalar takes exactly one. An empty
 * string leaves dest unset (NULL). `what` begins every message ("--quant.check", "a.json:3:4:
 * quant.check"); failure is `status`. */
cyg_status cyg_value_parse(cyg_ctx *ctx, cyg_arena *arena, cyg_status status, const char *what,
                           cyg_value_type type, const char *const *words, size_t count,
                           void *dest) CYG_MUST_USE;
/* A default from its text into dest; "" = unset, which is zero, false, NULL or an empty list. */
cyg_status cyg_value_preset(cyg_ctx *ctx, cyg_arena *arena, const char *name, cyg_value_type type,
                            const char *preset, void *dest) CYG_MUST_USE;
/* 0/1/true/false/yes/no in any case. */
bool cyg_value_parse_bool(const char *word, bool *out_value);
/* An enum by exact name; the message of a failure names the nearest one, or all. */
cyg_status cyg_value_parse_enum(cyg_ctx *ctx, cyg_status status, const char *what,
                                const cyg_config_enum *of, const char *word,
                                int *out_value) CYG_MUST_USE;
/* Fails, naming the limit, unless *value lies inside type.valid. */
cyg_status cyg_value_check(cyg_ctx *ctx, cyg_status status, const char *what, cyg_value_type type,
                           const void *value) CYG_MUST_USE;
/* Whether *value lies inside `set`, a text as in cyg_value_type.valid. Unset strings and empty
 * lists always do. */
bool cyg_value_allows(cyg_value_type type, const char *set, const void *value);
bool cyg_value_equal(cyg_value_type type, const void *a, const void *b);
/* As one would write it on the command line. */
void cyg_value_print(cyg_value_type type, const void *value, cyg_strbuf *out);
/* Shortest decimal that reads back as the same double. */
void cyg_value_print_float(double value, char out[32]);

#endif
