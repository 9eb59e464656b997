/* Values: words to typed values and back, and the limits they must keep.
 *
 * The command line and the defaults of config.def are words already; the reader of config files
 * stores numbers itself and comes here for names, limits and comparison. So one rule decides what
 * "2" or "MinMax" means wherever it stands.
 *
 * A limit is a short text, "low..high" for numbers (either end may be open) and a list of words for
 * names: the same text is checked, printed by --help and written into docs/config.md. For a list it
 * holds for each item.
 *
 * Numbers are decimal: no hex, no nan, no infinity, no locale beyond "C". An int must fit 64 bits.
 * Enum constants have the width of int in every ABI that we build for (asserted), so a value may be
 * stored as an int whatever its enum type.
 *
 * Not here: where a value came from (schema.h), lists of messages (read.c). */
#include "config/value.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "config/schema.h"

static_assert(sizeof(cyg_config_hardware) == sizeof(int), "enums are stored as int");

const char *cyg_value_kind_text(cyg_value_kind kind)
{
    static const char *const texts[CYG_VALUE_COUNT] = {
#define CYG_VALUE(id, text) [CYG_VALUE_##id] = text,
        CYG_VALUE_KINDS(CYG_VALUE)
#undef CYG_VALUE
    };
    return kind < CYG_VALUE_COUNT ? texts[kind] : "?";
}

size_t cyg_value_size(cyg_value_kind kind)
{
    static const size_t sizes[CYG_VALUE_COUNT] = {
        [CYG_VALUE_BOOL] = sizeof(bool),
        [CYG_VALUE_INT] = sizeof(int64_t),
        [CYG_VALUE_FLOAT] = sizeof(double),
        [CYG_VALUE_STRING] = sizeof(char *),
        [CYG_VALUE_IN_PATH] = sizeof(char *),
        [CYG_VALUE_OUT_PATH] = sizeof(char *),
        [CYG_VALUE_ENUM] = sizeof(int),
        [CYG_VALUE_INTS] = sizeof(cyg_int_list),
        [CYG_VALUE_FLOATS] = sizeof(cyg_float_list),
        [CYG_VALUE_STRINGS] = sizeof(cyg_string_list),
        [CYG_VALUE_SUBS] = sizeof(((cyg_value_any *)0)->list),
        [CYG_VALUE_ANY] = sizeof(char *),
    };
    return kind < CYG_VALUE_COUNT ? sizes[kind] : 0;
}

bool cyg_value_is_list(cyg_value_kind kind)
{
    return kind == CYG_VALUE_INTS || kind == CYG_VALUE_FLOATS || kind == CYG_VALUE_STRINGS;
}

bool cyg_value_is_text(cyg_value_kind kind)
{
    return kind == CYG_VALUE_STRING || kind == CYG_VALUE_IN_PATH || kind == CYG_VALUE_OUT_PATH;
}

bool cyg_value_parse_bool(const char *word, bool *out_value)
{
    static const char *const yes[] = {"1", "true", "yes"}, *const no[] = {"0", "false", "no"};
    for (size_t i = 0; i < CYG_COUNT(yes); i++) {
        if (strcasecmp(word, yes[i]) == 0 || strcasecmp(word, no[i]) == 0) {
            *out_value = strcasecmp(word, yes[i]) == 0;
            return true;
        }
    }
    return false;
}

static bool parse_int(const char *word, int64_t *out_value)
{
    char *end = NULL;
    if (word[0] == '\0' || word[strspn(word, "+-0123456789")] != '\0')
        return false;
    errno = 0;
    const long long v = strtoll(word, &end, 10);
    *out_value = v;
    return errno == 0 && end != word && *end == '\0';
}

static bool parse_float(const char *word, double *out_value)
{
    char *end = NULL;
    if (word[0] == '\0' || word[strspn(word, "+-.0123456789eE")] != '\0')
        return false;
    *out_value = strtod(word, &end);
    return end != word && *end == '\0' && isfinite(*out_value);
}

/* All names of an enum, separated by a blank. */
static void join_names(const cyg_config_enum *of, cyg_strbuf *out)
{
    for (size_t i = 0; i < of->count; i++)
        cyg_strbuf_printf(out, "%s%s", i ? " " : "", of->names[i]);
}

cyg_status cyg_value_parse_enum(cyg_ctx *ctx, cyg_status status, const char *what,
                                const cyg_config_enum *of, const char *word, int *out_value)
{
    for (size_t i = 0; i < of->count; i++) {
        if (strcmp(of->names[i], word) == 0) {
            *out_value = (int)i;
            return CYG_OK;
        }
    }
    const int near = cyg_nearest_name(word, of->names, of->count);
    if (near >= 0)
        return CYG_FAIL(ctx, status, "%s: \"%.80s\" is no %s; did you mean \"%s\"?", what, word,
                        of->name, of->names[near]);
    cyg_strbuf all = {0};
    join_names(of, &all);
    const cyg_status st = CYG_FAIL(ctx, status, "%s: \"%.80s\" is no %s; expected one of %s", what,
                                   word, of->name, all.failed ? "..." : all.data);
    cyg_strbuf_deinit(&all);
    return st;
}

/* One word into the item at dest; kind is a scalar one. */
static cyg_status parse_word(cyg_ctx *ctx, cyg_arena *arena, cyg_status status, const char *what,
                             cyg_value_kind kind, const cyg_config_enum *of, const char *word,
                             void *dest)
{
    bool ok = true;
    if (kind == CYG_VALUE_BOOL) {
        ok = cyg_value_parse_bool(word, dest);
    } else if (kind == CYG_VALUE_INT) {
        ok = parse_int(word, dest);
    } else if (kind == CYG_VALUE_FLOAT) {
        ok = parse_float(word, dest);
    } else if (kind == CYG_VALUE_ENUM) {
        int v = 0;
        CYG_DO(cyg_value_parse_enum(ctx, status, what, of, word, &v));
        memcpy(dest, &v, sizeof v);
    } else if (cyg_value_is_text(kind)) {
        if (kind != CYG_VALUE_STRING && strncmp(word, "s3://", 5) == 0)
            return CYG_FAIL(
                ctx, status,
                "%s: \"%.80s\": s3:// is not read; copy the data here and name the copy", what,
                word);
        const char *copy = word[0] == '\0' ? NULL : cyg_arena_strdup(arena, word);
        if (copy == NULL && word[0] != '\0')
            return CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", what);
        memcpy(dest, &copy, sizeof copy);
    } else {
        return CYG_FAIL(ctx, CYG_E_INTERNAL, "%s: no words for this kind", what);
    }
    if (!ok)
        return CYG_FAIL(ctx, status, "%s: expected %s, found \"%.80s\"", what,
                        kind == CYG_VALUE_BOOL ? "true or false" : cyg_value_kind_text(kind), word);
    return CYG_OK;
}

/* The scalar kind of a list's items and their size. */
static cyg_value_kind item_kind(cyg_value_kind list, size_t *out_size)
{
    *out_size = list == CYG_VALUE_INTS     ? sizeof(int64_t)
                : list == CYG_VALUE_FLOATS ? sizeof(double)
                                           : sizeof(char *);
    return list == CYG_VALUE_INTS     ? CYG_VALUE_INT
           : list == CYG_VALUE_FLOATS ? CYG_VALUE_FLOAT
                                      : CYG_VALUE_STRING;
}

static cyg_status parse_list(cyg_ctx *ctx, cyg_arena *arena, cyg_status status, const char *what,
                             cyg_value_type type, const char *const *words, size_t count,
                             void *dest)
{
    size_t size = 0;
    const cyg_value_kind kind = item_kind(type.kind, &size);
    char *items = count ? cyg_arena_calloc(arena, count, size) : NULL;
    if (count && items == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", what);
    for (size_t i = 0; i < count; i++) {
        if (words[i][0] == '\0')
            return CYG_FAIL(ctx, status, "%s: item %zu is empty", what, i);
        CYG_DO(parse_word(ctx, arena, status, what, kind, NULL, words[i], items + i * size));
    }
    if (type.kind == CYG_VALUE_INTS)
        *(cyg_int_list *)dest = (cyg_int_list){(int64_t *)(void *)items, count};
    else if (type.kind == CYG_VALUE_FLOATS)
        *(cyg_float_list *)dest = (cyg_float_list){(double *)(void *)items, count};
    else
        *(cyg_string_list *)dest = (cyg_string_list){(const char **)(void *)items, count};
    return CYG_OK;
}

cyg_status cyg_value_parse(cyg_ctx *ctx, cyg_arena *arena, cyg_status status, const char *what,
                           cyg_value_type type, const char *const *words, size_t count, void *dest)
{
    if (cyg_value_is_list(type.kind)) {
        CYG_DO(parse_list(ctx, arena, status, what, type, words, count, dest));
    } else if (count != 1) {
        return CYG_FAIL(ctx, status, "%s: expected %s, found %zu values", what,
                        cyg_value_kind_text(type.kind), count);
    } else {
        CYG_DO(parse_word(ctx, arena, status, what, type.kind, type.of, words[0], dest));
    }
    return cyg_value_check(ctx, status, what, type, dest);
}

cyg_status cyg_value_preset(cyg_ctx *ctx, cyg_arena *arena, const char *name, cyg_value_type type,
                            const char *preset, void *dest)
{
    if (preset[0] == '\0') {
        memset(dest, 0, cyg_value_size(type.kind));
        return CYG_OK;
    }
    return cyg_value_parse(ctx, arena, CYG_E_INTERNAL, name, type, &preset, 1, dest);
}

/* ---- limits ---- */

static bool number_in_range(double v, const char *range)
{
    const char *dots = strstr(range, "..");
    if (dots == NULL) /* one number alone */
        return !(v < strtod(range, NULL)) && !(v > strtod(range, NULL));
    /* strtod reads "0..2" as "0." and stops at the second dot: the low end comes out right. */
    if (dots != range && v < strtod(range, NULL))
        return false;
    return dots[2] == '\0' || v <= strtod(dots + 2, NULL);
}

static bool word_in_set(const char *word, const char *set)
{
    const size_t len = strlen(word);
    for (const char *p = set; *p != '\0';) {
        const size_t n = strcspn(p, " ");
        if (n == len && memcmp(p, word, len) == 0)
            return true;
        p += n;
        p += strspn(p, " ");
    }
    return false;
}

bool cyg_value_allows(cyg_value_type type, const char *set, const void *value)
{
    if (set == NULL || set[0] == '\0')
        return true;
    if (type.kind == CYG_VALUE_INT)
        return number_in_range((double)*(const int64_t *)value, set);
    if (type.kind == CYG_VALUE_FLOAT)
        return number_in_range(*(const double *)value, set);
    if (type.kind == CYG_VALUE_ENUM) {
        int v = 0;
        memcpy(&v, value, sizeof v);
        return word_in_set(type.of->names[v], set);
    }
    if (cyg_value_is_text(type.kind)) {
        const char *text = *(const char *const *)value;
        return text == NULL || word_in_set(text, set);
    }
    if (type.kind == CYG_VALUE_INTS) {
        const cyg_int_list *list = value;
        for (size_t i = 0; i < list->count; i++)
            if (!number_in_range((double)list->items[i], set))
                return false;
    }
    return true;
}

cyg_status cyg_value_check(cyg_ctx *ctx, cyg_status status, const char *what, cyg_value_type type,
                           const void *value)
{
    if (cyg_value_allows(type, type.valid, value))
        return CYG_OK;
    cyg_strbuf found = {0};
    cyg_value_print(type, value, &found);
    const bool words = type.kind == CYG_VALUE_ENUM || cyg_value_is_text(type.kind);
    const cyg_status st =
        CYG_FAIL(ctx, status, "%s: expected %s %s, found %.80s", what,
                 words ? "one of" : "a value in", type.valid, found.failed ? "?" : found.data);
    cyg_strbuf_deinit(&found);
    return st;
}

/* ---- comparison and printing ---- */

static bool text_equal(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

bool cyg_value_equal(cyg_value_type type, const void *a, const void *b)
{
    if (type.kind == CYG_VALUE_ANY)
        return text_equal(*(const char *const *)a, *(const char *const *)b);
    if (type.kind == CYG_VALUE_BOOL)
        return *(const bool *)a == *(const bool *)b;
    if (type.kind == CYG_VALUE_INT)
        return *(const int64_t *)a == *(const int64_t *)b;
    if (type.kind == CYG_VALUE_FLOAT)
        return !(*(const double *)a < *(const double *)b) &&
               !(*(const double *)a > *(const double *)b);
    if (type.kind == CYG_VALUE_ENUM)
        return memcmp(a, b, sizeof(int)) == 0;
    if (cyg_value_is_text(type.kind))
        return text_equal(*(const char *const *)a, *(const char *const *)b);
    if (type.kind == CYG_VALUE_INTS) {
        const cyg_int_list *x = a, *y = b;
        return x->count == y->count &&
               (x->count == 0 || memcmp(x->items, y->items, x->count * sizeof *x->items) == 0);
    }
    if (type.kind == CYG_VALUE_FLOATS) {
        const cyg_float_list *x = a, *y = b;
        return x->count == y->count &&
               (x->count == 0 || memcmp(x->items, y->items, x->count * sizeof *x->items) == 0);
    }
    if (type.kind == CYG_VALUE_STRINGS) {
        const cyg_string_list *x = a, *y = b;
        for (size_t i = 0; x->count == y->count && i < x->count; i++)
            if (!text_equal(x->items[i], y->items[i]))
                return false;
        return x->count == y->count;
    }
    return false;
}

void cyg_value_print_float(double value, char out[32])
{
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(out, 32, "%.*g", digits, value);
        const double back = strtod(out, NULL);
        if (memcmp(&back, &value, sizeof back) == 0)
            return;
    }
}

void cyg_value_print(cyg_value_type type, const void *value, cyg_strbuf *out)
{
    char number[32];
    if (type.kind == CYG_VALUE_ANY) {
        const char *text = *(const char *const *)value;
        cyg_strbuf_puts(out, text != NULL ? text : "nothing");
    } else if (type.kind == CYG_VALUE_BOOL) {
        cyg_strbuf_puts(out, *(const bool *)value ? "true" : "false");
    } else if (type.kind == CYG_VALUE_INT) {
        cyg_strbuf_printf(out, "%lld", (long long)*(const int64_t *)value);
    } else if (type.kind == CYG_VALUE_FLOAT) {
        cyg_value_print_float(*(const double *)value, number);
        cyg_strbuf_puts(out, number);
    } else if (type.kind == CYG_VALUE_ENUM) {
        int v = 0;
        memcpy(&v, value, sizeof v);
        cyg_strbuf_puts(out, type.of->names[v]);
    } else if (cyg_value_is_text(type.kind)) {
        const char *text = *(const char *const *)value;
        cyg_strbuf_puts(out, text ? text : "");
    } else if (type.kind == CYG_VALUE_INTS) {
        const cyg_int_list *list = value;
        for (size_t i = 0; i < list->count; i++)
            cyg_strbuf_printf(out, "%s%lld", i ? " " : "", (long long)list->items[i]);
    } else if (type.kind == CYG_VALUE_FLOATS) {
        const cyg_float_list *list = value;
        for (size_t i = 0; i < list->count; i++) {
            cyg_value_print_float(list->items[i], number);
            cyg_strbuf_printf(out, "%s%s", i ? " " : "", number);
        }
    } else if (type.kind == CYG_VALUE_STRINGS) {
        const cyg_string_list *list = value;
        for (size_t i = 0; i < list->count; i++)
            cyg_strbuf_printf(out, "%s%s", i ? " " : "", list->items[i] ? list->items[i] : "");
    }
}
