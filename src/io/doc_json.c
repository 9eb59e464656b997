/* JSON text to a document.
 *
 * Our own, 200 lines, because none of the packaged libraries tells the line of a value, and because
 * feeding JSON to the YAML parser (which does) loses surrogate pairs, long keys and strictness.
 * Recursive descent; the builder's stack bounds depth.
 *
 * Strict RFC 8259 but for what config files of this field contain: comments (`//`, `#`, and the C
 * form), one trailing comma in a list or map, and a byte order mark. Refused by name: `...`, NaN,
 * Infinity, single quotes, unquoted keys. Strings must be UTF-8 and may not hold NUL, since they
 * become C strings. */
#include "io/doc_scan.h"

#include <string.h>

#include "base/str.h"

typedef cyg_doc_scan parser;

static cyg_status skip_block_comment(parser *j)
{
    const cyg_doc_place start = cyg_scan_place(j);
    cyg_scan_step(j);
    cyg_scan_step(j);
    while (!cyg_scan_at(j, "*/")) {
        if (j->p == j->end)
            return cyg_doc_build_fail(j->b, start, "this comment does not end");
        cyg_scan_step(j);
    }
    cyg_scan_step(j);
    cyg_scan_step(j);
    return CYG_OK;
}

static cyg_status skip_space(parser *j)
{
    for (;;) {
        const int c = cyg_scan_peek(j);
        if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
            cyg_scan_step(j);
        } else if (c == '#' || cyg_scan_at(j, "//")) {
            while (cyg_scan_peek(j) != -1 && cyg_scan_peek(j) != '\n')
                cyg_scan_step(j);
        } else if (cyg_scan_at(j, "/*")) {
            CYG_DO(skip_block_comment(j));
        } else {
            return CYG_OK;
        }
    }
}

static cyg_status expected(parser *j, const char *what)
{
    if (cyg_scan_peek(j) == '\'')
        return cyg_doc_build_fail(j->b, cyg_scan_place(j),
                                  "expected %s: strings take double quotes", what);
    return cyg_scan_unexpected(j, what);
}

static cyg_status read_unicode_escape(parser *j, cyg_doc_place start)
{
    uint32_t c, low;
    CYG_DO(cyg_scan_hex(j, 4, &c));
    if (c >= 0xd800 && c < 0xdc00) {
        if (!cyg_scan_at(j, "\\u"))
            return cyg_doc_build_fail(j->b, start, "half of a surrogate pair");
        cyg_scan_step(j);
        cyg_scan_step(j);
        CYG_DO(cyg_scan_hex(j, 4, &low));
        if (low < 0xdc00 || low > 0xdfff)
            return cyg_doc_build_fail(j->b, start, "half of a surrogate pair");
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    } else if (c >= 0xdc00 && c < 0xe000) {
        return cyg_doc_build_fail(j->b, start, "half of a surrogate pair");
    }
    if (c == 0)
        return cyg_doc_build_fail(j->b, start, "NUL is not allowed in a string");
    cyg_scan_add_utf8(&j->string, c);
    return CYG_OK;
}

static cyg_status read_escape(parser *j)
{
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    const cyg_doc_place start = cyg_scan_place(j);
    cyg_scan_step(j);
    const int c = cyg_scan_peek(j);
    if (c == 'u') {
        cyg_scan_step(j);
        return read_unicode_escape(j, start);
    }
    const char *at = c > 0 ? strchr(names, c) : NULL;
    if (at == NULL)
        return expected(j, "one of \" \\ / b f n r t u after a backslash");
    cyg_strbuf_add(&j->string, values + (at - names), 1);
    cyg_scan_step(j);
    return CYG_OK;
}

/* A string into j->string. */
static cyg_status read_string(parser *j)
{
    const cyg_doc_place start = cyg_scan_place(j);
    j->string.len = 0;
    cyg_strbuf_add(&j->string, "", 0);
    for (cyg_scan_step(j); cyg_scan_peek(j) != '"';) {
        const int c = cyg_scan_peek(j);
        if (c == -1 || c == '\n')
            return cyg_doc_build_fail(j->b, start, "this string does not end on its line");
        if (c == '\\') {
            CYG_DO(read_escape(j));
            continue;
        }
        CYG_DO(cyg_scan_take(j));
    }
    cyg_scan_step(j);
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
    if (!is_digit(cyg_scan_peek(j)))
        return expected(j, "a digit");
    while (is_digit(cyg_scan_peek(j)))
        cyg_scan_step(j);
    return CYG_OK;
}

static cyg_status read_number(parser *j)
{
    const cyg_doc_place start = cyg_scan_place(j);
    const uint8_t *text = j->p;
    if (cyg_scan_peek(j) == '-')
        cyg_scan_step(j);
    if (cyg_scan_at(j, "Infinity"))
        return cyg_doc_build_fail(j->b, start, "infinity is not a number in JSON");
    const bool zero = cyg_scan_peek(j) == '0';
    CYG_DO(read_digits(j));
    if (zero && j->p - text > (text[0] == '-' ? 2 : 1))
        return cyg_doc_build_fail(j->b, start, "a number may not start with 0");
    if (cyg_scan_peek(j) == '.') {
        cyg_scan_step(j);
        CYG_DO(read_digits(j));
    }
    if (cyg_scan_peek(j) == 'e' || cyg_scan_peek(j) == 'E') {
        cyg_scan_step(j);
        if (cyg_scan_peek(j) == '+' || cyg_scan_peek(j) == '-')
            cyg_scan_step(j);
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
    const cyg_doc_place start = cyg_scan_place(j);
    const char *text = (const char *)j->p;
    while ((cyg_scan_peek(j) | 32) >= 'a' && (cyg_scan_peek(j) | 32) <= 'z')
        cyg_scan_step(j);
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
    if (cyg_scan_peek(j) != '"')
        return expected(j, "a key in double quotes");
    const cyg_doc_place at = cyg_scan_place(j);
    CYG_DO(read_string(j));
    CYG_DO(cyg_doc_build_key(j->b, j->string.data, j->string.len, at));
    CYG_DO(skip_space(j));
    if (cyg_scan_peek(j) != ':')
        return expected(j, "':' after the key");
    cyg_scan_step(j);
    return skip_space(j);
}

static cyg_status read_container(parser *j, cyg_doc_kind kind, int close)
{
    CYG_DO(cyg_doc_build_begin(j->b, kind, cyg_scan_place(j)));
    cyg_scan_step(j);
    CYG_DO(skip_space(j));
    while (cyg_scan_peek(j) != close) {
        if (kind == CYG_DOC_MAP)
            CYG_DO(read_key(j));
        CYG_DO(read_value(j));
        CYG_DO(skip_space(j));
        if (cyg_scan_peek(j) == ',') {
            cyg_scan_step(j);
            CYG_DO(skip_space(j));
        } else if (cyg_scan_peek(j) != close) {
            return expected(j, kind == CYG_DOC_MAP ? "',' or '}'" : "',' or ']'");
        }
    }
    cyg_scan_step(j);
    return cyg_doc_build_end(j->b);
}

static cyg_status read_value(parser *j)
{
    const int c = cyg_scan_peek(j);
    if (c == '{')
        return read_container(j, CYG_DOC_MAP, '}');
    if (c == '[')
        return read_container(j, CYG_DOC_LIST, ']');
    if (c == '"') {
        const cyg_doc_place at = cyg_scan_place(j);
        CYG_DO(read_string(j));
        return cyg_doc_build_scalar(j->b, (cyg_doc_node){.kind = CYG_DOC_STRING}, j->string.data,
                                    j->string.len, at);
    }
    if (c == '-' || is_digit(c))
        return read_number(j);
    if ((c | 32) >= 'a' && (c | 32) <= 'z')
        return read_word(j);
    return expected(j, "a value");
}

cyg_status cyg_doc_parse_json(cyg_doc_builder *b, const uint8_t *data, size_t size)
{
    if (size == 0)
        return CYG_OK; /* the caller reports it */
    parser j;
    cyg_scan_begin(&j, b, data, size);
    cyg_status status = skip_space(&j);
    if (status == CYG_OK && j.p < j.end) {
        status = read_value(&j);
        if (status == CYG_OK)
            status = skip_space(&j);
        if (status == CYG_OK && j.p < j.end)
            status = expected(&j, "nothing more");
    }
    cyg_strbuf_deinit(&j.string);
    return status;
}
