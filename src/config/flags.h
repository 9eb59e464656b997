/* Command-line flags: one engine for every command, over a table of {name, letter, type,
 * destination, text}.
 *
 *     bool json = false;
 *     int64_t repeat = 0;
 *     const cyg_flag flags[] = {
 *         {.name = "json", .type = {.kind = CYG_VALUE_BOOL}, .dest = &json,
 *          .text = "one JSON object on standard output"},
 *         {.name = "repeat", .letter = 'r', .type = {.kind = CYG_VALUE_INT, .valid = "1.."},
 *          .dest = &repeat, .preset = "1", .text = "timed runs"},
 *     };
 *     CYG_DO(cyg_flags_parse(ctx, arena, flags, CYG_COUNT(flags), argc, argv, &rest));
 *
 * Forms: --flag value, --flag=value, -f value, -f=value; a bool's value may be left out; a list
 * takes words up to the next flag; "--" ends the flags. A word that looks like a number is a value
 * even with a minus in front. */
#ifndef CYG_CONFIG_FLAGS_H
#define CYG_CONFIG_FLAGS_H

#include "config/schema.h"

typedef struct cyg_flag {
    const char *name; /* without dashes */
    char letter;      /* 0 = none */
    bool required;
    cyg_value_type type;
    void *dest; /* bool, int64_t, double, const char *, enum or list by type.kind; NULL: only a
                 * config file can set it (naming it is an error that says so) */
    cyg_config_mark *mark; /* where that it was given is noted; may be NULL */
    const char *preset;    /* default, put into dest first; NULL = dest stays as it is */
    const char *bare;      /* value when none follows; NULL = one must follow (a bool's is true) */
    const char *text;      /* for --help; NULL = accepted but not listed */
    const char *remark;    /* in brackets behind the text; may be NULL */
} cyg_flag;

/* Parses argv[0..argc) (without program and command name). Words that belong to no flag go to
 * out_rest, in order; with out_rest NULL they are an error. Strings point into argv or the arena.
 * Fails with CYG_E_USAGE for an unknown flag (naming the nearest), a flag given twice, a missing or
 * wrong value. Required flags are checked by cyg_flags_require, so that
 * --help works without them. */
cyg_status cyg_flags_parse(cyg_ctx *ctx, cyg_arena *arena, const cyg_flag *flags, size_t count,
                           int argc, const char *const *argv,
                           cyg_string_list *out_rest) CYG_MUST_USE;
/* Fails, naming all that are missing, unless every required flag's mark says that it was set or its
 * text dest is not NULL. */
cyg_status cyg_flags_require(cyg_ctx *ctx, const cyg_flag *flags, size_t count) CYG_MUST_USE;
/* One paragraph a flag, 100 columns. */
void cyg_flags_help(const cyg_flag *flags, size_t count, cyg_strbuf *out);

#endif
