/* JSON text to a document.
 *
 * Our own, 250 lines, because none of the packaged libraries tells the line of a value, and because
 * feeding JSON to the YAML parser (which does) loses surrogate pairs, long keys and strictness.
 * Recursive descent; the builder's stack bounds depth.
 *
 * Strict RFC 8259 but for what config files of this field contain: comments (`//`, `#`, and the C
 * form), one trailing comma in a list or map, and a byte order mark. Refused by name: `...`, NaN,
 * Infinity, single quotes, unquoted keys. Strings must be UTF-8 and may not hold NUL, since they
 * become C strings. */
#include "io/doc_build.h"

#include <string.h>

#include "base/str.h"

typedef struct parser {
    cyg_doc_builder *b;
    const uint8_t *p, *end;
    uint32_t line, column;
    cyg_strbuf string; /* content of the last string */
} parser;

static cyg_doc_place place(const parser *j)
{
    return (cyg_doc_place){j->line, j->column};
}

/* Steps over one byte; columns count characters, so continuation bytes of UTF-8 do not count. */
static void step(parser *j)
{
    if (*j->p == '\n') {
        j->line++;
        j->column = 1;
    } else if ((*j->p & 0xc0) != 0x80) {
        j->column++;
    }
    j->p++;
}

static int peek(const parser *j)
{
    return j->p < j->end ? *j->p : -1;
}

static bool starts_with(const parser *j, const char *text)
{
    const size_t n = strlen(text);
    return (size_t)(j->end - j->p) >= n && memcmp(j->p, text, n) == 0;
}

static cyg_status skip_block_comment(parser *j)
{
    const cyg_doc_place start = place(j);
    step(j);
    step(j);
    while (!starts_with(j, "*/")) {
        if (j->p == j->end)
            return cyg_doc_build_fail(j->b, start, "this comment does not end");
        step(j);
    }
    step(j);
    step(j);
    return CYG_OK;
}

static cyg_status skip_space(parser *j)
{
    for (;;) {
        const int c = peek(j);
        if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
            step(j);
        } else if (c == '#' || starts_with(j, "//")) {
            while (peek(j) != -1 && peek(j) != '\n')
                step(j);
        } else if (starts_with(j, "/*")) {
            CYG_DO(skip_block_comment(j));
        } else {
            return CYG_OK;
        }
    }
}

/* "found" for messages: the character at hand, or the end. */
static cyg_status unexpected(parser *j, const char *expected)
{
    const int c = peek(j);
    if (c == -1)
        return cyg_doc_build_fail(j->b, place(j), "expected %s, found the end of the file",
                                  expected);
    if (starts_with(j, "..."))
        return cyg_doc_build_fail(j->b, place(j), "expected %s, found \"...\"", expected);
    if (c == '\'')
        return cyg_doc_build_fail(j->b, place(j), "expected %s: strings take double quotes",
                                  expected);
    if (c > ' ' && c < 127)
        return cyg_doc_build_fail(j->b, place(j), "expected %s, found '%c'", expected, c);
    return cyg_doc_build_fail(j->b, place(j), "expected %s, found byte 0x%02x", expected,
                              (unsigned)c);
}

static void add_utf8(cyg_strbuf *s, uint32_t c)
{
    char bytes[4];
    size_t n;
    if (c < 0x80) {
        bytes[0] = (char)c;
        n = 1;
    } else if (c < 0x800) {
        bytes[0] = (char)(0xc0 | c >> 6);
        bytes[1] = (char)(0x80 | (c & 63));
        n = 2;
    } else if (c < 0x10000) {
        bytes[0] = (char)(0xe0 | c >> 12);
        bytes[1] = (char)(0x80 | (c >> 6 & 63));
        bytes[2] = (char)(0x80 | (c & 63));
        n = 3;
    } else {
        bytes[0] = (char)(0xf0 | c >> 18);
        bytes[1] = (char)(0x80 | (c >> 12 & 63));
        bytes[2] = (char)(0x80 | (c >> 6 & 63));
        bytes[3] = (char)(0x80 | (c & 63));
        n = 4;
    }
    cyg_strbuf_add(s, bytes, n);
}

static cyg_status read_hex4(parser *j, uint32_t *out)
{
    uint32_t value = 0;
    for (int i = 0; i < 4; i++) {
        const int c = peek(j);
        uint32_t digit;
        if (c >= '0' && c <= '9')
            digit = (uint32_t)(c - '0');
        else if ((c | 32) >= 'a' && (c | 32) <= 'f')
            digit = (uint32_t)((c | 32) - 'a') + 10;
        else
            return unexpected(j, "four hex digits");
        value = value << 4 | digit;
        step(j);
    }
    *out = value;
    return CYG_OK;
}

static cyg_status read_unicode_escape(parser *j, cyg_doc_place start)
{
    uint32_t c, low;
    CYG_DO(read_hex4(j, &c));
    if (c >= 0xd800 && c < 0xdc00) {
        if (!starts_with(j, "\\u"))
            return cyg_doc_build_fail(j->b, start, "half of a surrogate pair");
        step(j);
        step(j);
        CYG_DO(read_hex4(j, &low));
        if (low < 0xdc00 || low > 0xdfff)
            return cyg_doc_build_fail(j->b, start, "half of a surrogate pair");
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    } else if (c >= 0xdc00 && c < 0xe000) {
        return cyg_doc_build_fail(j->b, start, "half of a surrogate pair");
    }
    if (c == 0)
        return cyg_doc_build_fail(j->b, start, "NUL is not allowed in a string");
    add_utf8(&j->string, c);
    return CYG_OK;
}

static cyg_status read_escape(parser *j)
{
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    const cyg_doc_place start = place(j);
    step(j);
    const int c = peek(j);
    if (c == 'u') {
        step(j);
        return read_unicode_escape(j, start);
    }
    const char *at = c > 0 ? strchr(names, c) : NULL;
    if (at == NULL)
        return unexpected(j, "one of \" \\ / b f n r t u after a backslash");
    cyg_strbuf_add(&j->string, values + (at - names), 1);
    step(j);
    return CYG_OK;
}

/* A string into j->string. */
static cyg_status read_string(parser *j)
{
    const cyg_doc_place start = place(j);
    j->string.len = 0;
    cyg_strbuf_add(&j->string, "", 0);
    for (step(j); peek(j) != '"';) {
        const int c = peek(j);
        if (c == -1 || c == '\n')
            return cyg_doc_build_fail(j->b, start, "this string does not end on its line");
        if (c == '\\') {
            CYG_DO(read_escape(j));
            continue;
        }
        if (c < ' ' && c != '\t')
            return cyg_doc_build_fail(j->b, place(j), "control character 0x%02x in a string",
                                      (unsigned)c);
        const size_t n = cyg_utf8_length((const char *)j->p, (size_t)(j->end - j->p));
        if (n == 0)
            return cyg_doc_build_fail(j->b, place(j), "this is not UTF-8 (byte 0x%02x)",
                                      (unsigned)c);
        cyg_strbuf_add(&j->string, (const char *)j->p, n);
        for (size_t i = 0; i < n; i++)
            step(j);
    }
    step(j);
    if (j->string.failed)
        return CYG_FAIL(j->b->ctx, CYG_E_NOMEM, "%s: out of memory", j->b->path);
    return CYG_OK;
}

static bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

static cyg_status read_digits(parser *j)
{
    if (!is_digit(peek(j)))
        return unexpected(j, "a digit");
    while (is_digit(peek(j)))
        step(j);
    return CYG_OK;
}

static cyg_status read_number(parser *j)
{
    const cyg_doc_place start = place(j);
    const uint8_t *text = j->p;
    if (peek(j) == '-')
        step(j);
    if (starts_with(j, "Infinity"))
        return cyg_doc_build_fail(j->b, start, "infinity is not a number in JSON");
    const bool zero = peek(j) == '0';
    CYG_DO(read_digits(j));
    if (zero && j->p - text > (text[0] == '-' ? 2 : 1))
        return cyg_doc_build_fail(j->b, start, "a number may not start with 0");
    if (peek(j) == '.') {
        step(j);
        CYG_DO(read_digits(j));
    }
    if (peek(j) == 'e' || peek(j) == 'E') {
        step(j);
        if (peek(j) == '+' || peek(j) == '-')
            step(j);
        CYG_DO(read_digits(j));
    }
    return cyg_doc_build_number(j->b, (const char *)text, (size_t)(j->p - text), start);
}

static cyg_status read_word(parser *j)
{
    static const struct {
        const char *word;
        cyg_doc_node value;
    } words[] = {{"true", {.kind = CYG_DOC_BOOL, .boolean = true}},
                 {"false", {.kind = CYG_DOC_BOOL}},
                 {"null", {.kind = CYG_DOC_NULL}}};
    const cyg_doc_place start = place(j);
    const char *text = (const char *)j->p;
    while ((peek(j) | 32) >= 'a' && (peek(j) | 32) <= 'z')
        step(j);
    const size_t n = (size_t)((const char *)j->p - text);
    for (size_t i = 0; i < CYG_COUNT(words); i++)
        if (strlen(words[i].word) == n && memcmp(words[i].word, text, n) == 0)
            return cyg_doc_build_scalar(j->b, words[i].value, text, n, start);
    return cyg_doc_build_fail(j->b, start, "%.*s is no JSON value; a string takes double quotes",
                              (int)(n < 40 ? n : 40), text);
}

static cyg_status read_value(parser *j);

static cyg_status read_key(parser *j)
{
    if (peek(j) != '"')
        return unexpected(j, "a key in double quotes");
    const cyg_doc_place at = place(j);
    CYG_DO(read_string(j));
    CYG_DO(cyg_doc_build_key(j->b, j->string.data, j->string.len, at));
    CYG_DO(skip_space(j));
    if (peek(j) != ':')
        return unexpected(j, "':' after the key");
    step(j);
    return skip_space(j);
}

static cyg_status read_container(parser *j, cyg_doc_kind kind, int close)
{
    CYG_DO(cyg_doc_build_begin(j->b, kind, place(j)));
    step(j);
    CYG_DO(skip_space(j));
    while (peek(j) != close) {
        if (kind == CYG_DOC_MAP)
            CYG_DO(read_key(j));
        CYG_DO(read_value(j));
        CYG_DO(skip_space(j));
        if (peek(j) == ',') {
            step(j);
            CYG_DO(skip_space(j));
        } else if (peek(j) != close) {
            return unexpected(j, kind == CYG_DOC_MAP ? "',' or '}'" : "',' or ']'");
        }
    }
    step(j);
    return cyg_doc_build_end(j->b);
}

static cyg_status read_value(parser *j)
{
    const int c = peek(j);
    if (c == '{')
        return read_container(j, CYG_DOC_MAP, '}');
    if (c == '[')
        return read_container(j, CYG_DOC_LIST, ']');
    if (c == '"') {
        const cyg_doc_place at = place(j);
        CYG_DO(read_string(j));
        return cyg_doc_build_scalar(j->b, (cyg_doc_node){.kind = CYG_DOC_STRING}, j->string.data,
                                    j->string.len, at);
    }
    if (c == '-' || is_digit(c))
        return read_number(j);
    if ((c | 32) >= 'a' && (c | 32) <= 'z')
        return read_word(j);
    return unexpected(j, "a value");
}

cyg_status cyg_doc_parse_json(cyg_doc_builder *b, const uint8_t *data, size_t size)
{
    if (size == 0)
        return CYG_OK; /* the caller reports it */
    parser j = {.b = b, .p = data, .end = data + size, .line = 1, .column = 1};
    if (starts_with(&j, "\xef\xbb\xbf"))
        j.p += 3;
    cyg_status status = skip_space(&j);
    if (status == CYG_OK && j.p < j.end) {
        status = read_value(&j);
        if (status == CYG_OK)
            status = skip_space(&j);
        if (status == CYG_OK && j.p < j.end)
            status = unexpected(&j, "nothing more");
    }
    cyg_strbuf_deinit(&j.string);
    return status;
}
