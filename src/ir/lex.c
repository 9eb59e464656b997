/* The text form's lexer: bytes of unknown origin to tokens.
 *
 * White space and comments (';' to the end of the line) separate tokens. A bare value name may hold
 * ':' but not end with one, so that "%x: f32" needs no space before the colon. Strings know the
 * escapes \" \\ \n and \xHH; a NUL byte is refused, for names are C strings. */
#include "ir/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_word_char(char c)
{
    return is_letter(c) || is_digit(c);
}

bool cyg_text_is_bare(char c)
{
    return is_word_char(c) || c == '.' || c == '/' || c == '-' || c == '$' || c == ':';
}

bool cyg_text_is_word(const char *s)
{
    if (!is_letter(s[0]))
        return false;
    for (; *s != '\0'; s++)
        if (!is_word_char(*s))
            return false;
    return true;
}

cyg_status cyg_lexer_error(cyg_lexer *x, const char *fmt, ...)
{
    size_t line = 1, col = 1;
    for (size_t i = 0; i < x->token_at; i++) {
        col = x->text[i] == '\n' ? 1 : col + 1;
        line += x->text[i] == '\n';
    }
    char message[256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(message, sizeof message, fmt, args);
    va_end(args);
    return CYG_FAIL(x->ctx, CYG_E_FORMAT, "%s:%zu:%zu: %s", x->file, line, col, message);
}

cyg_status cyg_lexer_expected(cyg_lexer *x, const char *what)
{
    if (x->kind == CYG_TOKEN_END)
        return cyg_lexer_error(x, "expected %s, found the end", what);
    return cyg_lexer_error(x, "expected %s, found %.40s", what, x->token);
}

static cyg_status take(cyg_lexer *x, cyg_token_kind kind, size_t from, size_t to)
{
    x->kind = kind;
    x->token_len = to - from;
    x->token = cyg_arena_strndup(x->scratch, x->text + from, to - from);
    return x->token == NULL ? CYG_FAIL(x->ctx, CYG_E_NOMEM, "out of memory") : CYG_OK;
}

static int hex_value(char c)
{
    if (is_digit(c))
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* x->at is behind the opening quote. */
static cyg_status take_string(cyg_lexer *x, cyg_token_kind kind)
{
    const size_t from = x->at;
    size_t end = from;
    while (end < x->len && x->text[end] != '"')
        end += x->text[end] == '\\' ? 2 : 1;
    if (end >= x->len)
        return cyg_lexer_error(x, "this string does not end");
    char *out = cyg_arena_alloc(x->scratch, end - from + 1, 1);
    if (out == NULL)
        return CYG_FAIL(x->ctx, CYG_E_NOMEM, "out of memory");
    size_t n = 0;
    for (size_t i = from; i < end; i++) {
        char c = x->text[i];
        if (c == '\\') {
            c = x->text[++i]; /* there is one: the scan above skipped it in a pair */
            if (c == 'x' && i + 2 < end && hex_value(x->text[i + 1]) >= 0 &&
                hex_value(x->text[i + 2]) >= 0) {
                c = (char)(hex_value(x->text[i + 1]) * 16 + hex_value(x->text[i + 2]));
                i += 2;
            } else if (c == 'n') {
                c = '\n';
            } else if (c != '"' && c != '\\') {
                return cyg_lexer_error(x, "this string has an unknown escape");
            }
        }
        if (c == '\0')
            return cyg_lexer_error(x, "this string holds a NUL byte");
        out[n++] = c;
    }
    out[n] = '\0';
    x->at = end + 1;
    x->kind = kind;
    x->token = out;
    x->token_len = n;
    return CYG_OK;
}

static void skip_blank(cyg_lexer *x)
{
    while (x->at < x->len) {
        const char c = x->text[x->at];
        if (c == ';')
            while (x->at < x->len && x->text[x->at] != '\n')
                x->at++;
        else if (c == ' ' || c == '\n' || c == '\t' || c == '\r')
            x->at++;
        else
            return;
    }
}

static cyg_status take_value(cyg_lexer *x)
{
    const size_t from = ++x->at;
    if (from < x->len && x->text[from] == '"') {
        x->at++;
        return take_string(x, CYG_TOKEN_VALUE);
    }
    while (x->at < x->len && cyg_text_is_bare(x->text[x->at]))
        x->at++;
    while (x->at > from && x->text[x->at - 1] == ':')
        x->at--;
    if (x->at == from)
        return cyg_lexer_error(x, "expected a name after %%");
    return take(x, CYG_TOKEN_VALUE, from, x->at);
}

cyg_status cyg_lexer_next(cyg_lexer *x)
{
    skip_blank(x);
    x->token_at = x->at;
    if (x->at >= x->len) {
        x->kind = CYG_TOKEN_END;
        x->token = "";
        x->token_len = 0;
        return CYG_OK;
    }
    const size_t from = x->at;
    const char c = x->text[from];
    const char after = from + 1 < x->len ? x->text[from + 1] : '\0';
    if (c == '%')
        return take_value(x);
    if (c == '"' || (c == 'x' && after == '"')) {
        x->at += c == '"' ? 1 : 2;
        return take_string(x, c == '"' ? CYG_TOKEN_STRING : CYG_TOKEN_HEX);
    }
    if (c == '#') {
        while (++x->at < x->len && hex_value(x->text[x->at]) >= 0)
            ;
        return take(x, CYG_TOKEN_HASH, from, x->at);
    }
    if (is_digit(c) || ((c == '-' || c == '+') && (is_word_char(after) || after == '.'))) {
        while (++x->at < x->len &&
               (is_word_char(x->text[x->at]) || x->text[x->at] == '.' ||
                ((x->text[x->at] == '-' || x->text[x->at] == '+') && x->text[x->at - 1] == 'e')))
            ;
        return take(x, CYG_TOKEN_NUMBER, from, x->at);
    }
    if (is_letter(c)) {
        while (x->at < x->len && is_word_char(x->text[x->at]))
            x->at++;
        return take(x, CYG_TOKEN_WORD, from, x->at);
    }
    if (strchr("=(){}[],:@*?", c) == NULL || c == '\0')
        return cyg_lexer_error(x, "byte 0x%02x begins nothing", (unsigned char)c);
    x->at++;
    return take(x, CYG_TOKEN_MARK, from, x->at);
}
