/* The flag engine.
 *
 * It reads the forms that people use with the vendor's tool: a value after a blank or after "=",
 * bools with or without a value, lists of words up to the next flag. What a bare bool swallows is
 * the crux: only a word that is a bool itself (0, 1, true, false, yes, no), so `--compiler.npu_perf
 * --quant.check 1` and `--json cat.jpg` both mean what they look like. A word is a flag when it
 * begins with "-" and is not a number; so -1 is a value, and a value that does begin with a dash is
 * written --flag=-x.
 *
 * A flag given twice is an error: one of the two would have no effect. An unknown one names the
 * nearest that exists.
 *
 * Values are parsed by value.c, so flags and files cannot disagree. The engine knows nothing of
 * commands. */
#include "config/flags.h"

#include <string.h>

typedef struct flag_args {
    cyg_ctx *ctx;
    cyg_arena *arena;
    const cyg_flag *flags;
    size_t count;
    const char *const *words; /* still to read */
    size_t left;
    bool *given; /* by flag */
} flag_args;

static bool looks_like_number(const char *word)
{
    word += *word == '-';
    word += *word == '.';
    return *word >= '0' && *word <= '9';
}

static bool is_flag(const char *word)
{
    return word[0] == '-' && word[1] != '\0' && !looks_like_number(word);
}

static const cyg_flag *find_long(const flag_args *args, const char *name, size_t len)
{
    for (size_t i = 0; i < args->count; i++)
        if (strlen(args->flags[i].name) == len && memcmp(args->flags[i].name, name, len) == 0)
            return &args->flags[i];
    return NULL;
}

static const cyg_flag *find_letter(const flag_args *args, char letter)
{
    for (size_t i = 0; i < args->count; i++)
        if (args->flags[i].letter == letter && letter != '\0')
            return &args->flags[i];
    return NULL;
}

static cyg_status fail_unknown(const flag_args *args, const char *word, size_t len)
{
    const size_t dashes = word[1] == '-' ? 2 : 1;
    char *name = cyg_arena_strndup(args->arena, word + dashes, len > dashes ? len - dashes : 0);
    const char **names = CYG_NEW_ARRAY(args->arena, const char *, args->count + 1);
    if (name == NULL || names == NULL)
        return CYG_FAIL(args->ctx, CYG_E_NOMEM, "out of memory");
    size_t listed = 0;
    for (size_t i = 0; i < args->count; i++)
        if (args->flags[i].text != NULL && args->flags[i].dest != NULL)
            names[listed++] = args->flags[i].name;
    /* People write the last part of a dotted flag alone: --check for --quant.check. Offer it when
     * there is just one. */
    const char *tail = NULL;
    size_t tails = 0;
    for (size_t i = 0; i < listed; i++) {
        const char *dot = strrchr(names[i], '.');
        if (dot != NULL && strcmp(dot + 1, name) == 0) {
            tail = names[i];
            tails++;
        }
    }
    const int near = tails == 1 || dashes == 1 ? -1 : cyg_nearest_name(name, names, listed);
    if (tails != 1 && near < 0)
        return CYG_FAIL(args->ctx, CYG_E_USAGE, "unknown flag %.*s", (int)(len < 100 ? len : 100),
                        word);
    return CYG_FAIL(args->ctx, CYG_E_USAGE, "unknown flag %.*s; did you mean --%s?",
                    (int)(len < 100 ? len : 100), word, tails == 1 ? tail : names[near]);
}

/* Stores `words[0..count)` as the flag's value. */
static cyg_status store(flag_args *args, const cyg_flag *flag, const char *what,
                        const char *const *words, size_t count)
{
    CYG_DO(cyg_value_parse(args->ctx, args->arena, CYG_E_USAGE, what, flag->type, words, count,
                           flag->dest));
    if (cyg_value_is_text(flag->type.kind) && words[0][0] == '\0' &&
        flag->preset != NULL) /* "" = unset */
        CYG_DO(cyg_value_parse(args->ctx, args->arena, CYG_E_USAGE, what, flag->type, &flag->preset,
                               1, flag->dest));
    if (flag->mark != NULL)
        *flag->mark = (cyg_config_mark){.origin = CYG_CONFIG_COMMAND_LINE};
    return CYG_OK;
}

/* How many of the words left come before the next flag. */
static size_t words_before_flag(const flag_args *args)
{
    size_t n = 0;
    while (n < args->left && !is_flag(args->words[n]))
        n++;
    return n;
}

/* The flag's value from the words that follow it. */
static cyg_status take_value(flag_args *args, const cyg_flag *flag, const char *what)
{
    const bool is_bool = flag->type.kind == CYG_VALUE_BOOL;
    const char *bare = is_bool && flag->bare == NULL ? "true" : flag->bare;
    size_t n = 0;
    if (cyg_value_is_list(flag->type.kind)) {
        n = words_before_flag(args);
    } else if (args->left > 0 && !is_flag(args->words[0])) {
        bool ignored = false;
        n = !is_bool || cyg_value_parse_bool(args->words[0], &ignored) ? 1 : 0;
    }
    const char *const *words = args->words;
    if (n == 0 && bare != NULL)
        return store(args, flag, what, &bare, 1);
    if (n == 0 && args->left > 0 && strcmp(words[0], "--") != 0)
        return CYG_FAIL(args->ctx, CYG_E_USAGE,
                        "%s: expected %s, found the flag %.80s (a value that begins with a dash is "
                        "written %s=%.80s)",
                        what, cyg_value_kind_text(flag->type.kind), words[0], what, words[0]);
    if (n == 0)
        return CYG_FAIL(args->ctx, CYG_E_USAGE, "%s: expected %s, found the end of the line", what,
                        cyg_value_kind_text(flag->type.kind));
    CYG_DO(store(args, flag, what, words, n));
    args->words += n;
    args->left -= n;
    return CYG_OK;
}

/* The flag's value behind its "="; a list goes on with the words that follow, and is empty when
 * nothing stands there. */
static cyg_status take_equals(flag_args *args, const cyg_flag *flag, const char *what,
                              const char *value)
{
    if (!cyg_value_is_list(flag->type.kind))
        return store(args, flag, what, &value, 1);
    if (value[0] == '\0')
        return store(args, flag, what, &value, 0);
    const size_t n = words_before_flag(args);
    const char **all = CYG_NEW_ARRAY(args->arena, const char *, n + 1);
    if (all == NULL)
        return CYG_FAIL(args->ctx, CYG_E_NOMEM, "out of memory");
    all[0] = value;
    for (size_t i = 0; i < n; i++)
        all[i + 1] = args->words[i];
    args->words += n;
    args->left -= n;
    return store(args, flag, what, all, n + 1);
}

static cyg_status take_flag(flag_args *args)
{
    const char *word = args->words[0];
    const char *equals = strchr(word, '=');
    const size_t len = equals ? (size_t)(equals - word) : strlen(word);
    const cyg_flag *flag = word[1] == '-' ? find_long(args, word + 2, len - 2)
                           : len == 2     ? find_letter(args, word[1])
                                          : NULL;
    if (flag == NULL)
        return fail_unknown(args, word, len);
    char *what = cyg_arena_strndup(args->arena, word, len);
    if (what == NULL)
        return CYG_FAIL(args->ctx, CYG_E_NOMEM, "out of memory");
    if (flag->dest == NULL)
        return CYG_FAIL(args->ctx, CYG_E_USAGE, "%s can be set in a config file only", what);
    /* An alias is another row with the same destination: the two are one flag. */
    for (size_t i = 0; i < args->count; i++) {
        if (!args->given[i] || args->flags[i].dest != flag->dest)
            continue;
        if (&args->flags[i] == flag)
            return CYG_FAIL(args->ctx, CYG_E_USAGE, "%s is given twice", what);
        return CYG_FAIL(args->ctx, CYG_E_USAGE, "%s and --%s are the same flag", what,
                        args->flags[i].name);
    }
    args->given[flag - args->flags] = true;
    args->words++;
    args->left--;
    return equals ? take_equals(args, flag, what, equals + 1) : take_value(args, flag, what);
}

/* Puts a flag's default into its destination. */
static cyg_status preset(flag_args *args, const cyg_flag *flag)
{
    if (flag->preset == NULL || flag->dest == NULL)
        return CYG_OK;
    return cyg_value_preset(args->ctx, args->arena, flag->name, flag->type, flag->preset,
                            flag->dest);
}

cyg_status cyg_flags_parse(cyg_ctx *ctx, cyg_arena *arena, const cyg_flag *flags, size_t count,
                           int argc, const char *const *argv, cyg_string_list *out_rest)
{
    flag_args args = {ctx, arena, flags, count, argv, argc > 0 ? (size_t)argc : 0, NULL};
    args.given = CYG_NEW_ARRAY(arena, bool, count + 1);
    const char **rest = CYG_NEW_ARRAY(arena, const char *, args.left + 1);
    size_t rest_count = 0;
    bool flags_over = false;
    if (args.given == NULL || rest == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    for (size_t i = 0; i < count; i++)
        CYG_DO(preset(&args, &flags[i]));
    while (args.left > 0) {
        const char *word = args.words[0];
        if (!flags_over && strcmp(word, "--") == 0) {
            flags_over = true;
        } else if (!flags_over && is_flag(word)) {
            CYG_DO(take_flag(&args));
            continue;
        } else if (out_rest == NULL) {
            return CYG_FAIL(ctx, CYG_E_USAGE, "unexpected argument \"%.100s\"", word);
        } else {
            rest[rest_count++] = word;
        }
        args.words++;
        args.left--;
    }
    if (out_rest != NULL)
        *out_rest = (cyg_string_list){rest, rest_count};
    return CYG_OK;
}

cyg_status cyg_flags_require(cyg_ctx *ctx, const cyg_flag *flags, size_t count)
{
    cyg_strbuf missing = {0};
    for (size_t i = 0; i < count; i++) {
        const cyg_flag *f = &flags[i];
        const bool unset_text =
            cyg_value_is_text(f->type.kind) && *(const char *const *)f->dest == NULL;
        const bool unmarked = f->mark != NULL && f->mark->origin == CYG_CONFIG_DEFAULT;
        if (f->required && (unset_text || (!cyg_value_is_text(f->type.kind) && unmarked)))
            cyg_strbuf_printf(&missing, "%s--%s", missing.len ? " and " : "", f->name);
    }
    const cyg_status st = missing.len == 0 ? CYG_OK
                          : missing.failed
                              ? CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory")
                              : CYG_FAIL(ctx, CYG_E_USAGE, "%s must be given", missing.data);
    cyg_strbuf_deinit(&missing);
    return st;
}

/* ---- help ---- */

enum { HELP_INDENT = 42, HELP_WIDTH = 100 };

/* Adds text from column HELP_INDENT on, word by word, breaking lines at HELP_WIDTH. */
static void add_wrapped(cyg_strbuf *out, const char *text)
{
    size_t column = HELP_INDENT;
    while (*text != '\0') {
        const size_t n = strcspn(text, " ");
        if (column > HELP_INDENT && column + 1 + n > HELP_WIDTH) {
            cyg_strbuf_printf(out, "\n%*s", HELP_INDENT, "");
            column = HELP_INDENT;
        } else if (column > HELP_INDENT) {
            cyg_strbuf_puts(out, " ");
            column++;
        }
        cyg_strbuf_add(out, text, n);
        column += n;
        text += n;
        text += strspn(text, " ");
    }
}

static const char *placeholder(const cyg_flag *flag)
{
    switch ((int)flag->type.kind) {
    case CYG_VALUE_BOOL:
        return "";
    case CYG_VALUE_INT:
        return " N";
    case CYG_VALUE_FLOAT:
        return " X";
    case CYG_VALUE_ENUM:
        return " NAME";
    case CYG_VALUE_IN_PATH:
    case CYG_VALUE_OUT_PATH:
        return " PATH";
    case CYG_VALUE_INTS:
        return " N...";
    case CYG_VALUE_FLOATS:
        return " X...";
    case CYG_VALUE_STRINGS:
        return " TEXT...";
    default:
        return " TEXT";
    }
}

static void help_of(const cyg_flag *flag, cyg_strbuf *out)
{
    const size_t start = out->len;
    if (flag->letter != '\0')
        cyg_strbuf_printf(out, "  -%c, ", flag->letter);
    else
        cyg_strbuf_puts(out, "  ");
    cyg_strbuf_printf(out, "--%s%s", flag->name, placeholder(flag));
    const size_t column = out->len - start;
    if (column + 2 > HELP_INDENT)
        cyg_strbuf_printf(out, "\n%*s", HELP_INDENT, "");
    else
        cyg_strbuf_printf(out, "%*s", (int)(HELP_INDENT - column), "");

    cyg_strbuf text = {0};
    cyg_strbuf_puts(&text, flag->text);
    const char *before = ": ";
    for (int i = 0; flag->type.kind == CYG_VALUE_ENUM && i < (int)flag->type.of->count; i++) {
        if (!cyg_value_allows(flag->type, flag->type.valid, &i))
            continue;
        cyg_strbuf_printf(&text, "%s%s", before, flag->type.of->names[i]);
        before = " ";
    }
    if (flag->required)
        cyg_strbuf_puts(&text, " (required)");
    else if (flag->preset != NULL && flag->preset[0] != '\0' && strcmp(flag->preset, "false") != 0)
        cyg_strbuf_printf(&text, " (default %s)", flag->preset);
    if (flag->remark != NULL)
        cyg_strbuf_printf(&text, " [%s]", flag->remark);
    if (text.failed)
        out->failed = true;
    else
        add_wrapped(out, text.data ? text.data : "");
    cyg_strbuf_puts(out, "\n");
    cyg_strbuf_deinit(&text);
}

void cyg_flags_help(const cyg_flag *flags, size_t count, cyg_strbuf *out)
{
    for (size_t i = 0; i < count; i++)
        if (flags[i].text != NULL && flags[i].dest != NULL)
            help_of(&flags[i], out);
}
