/* Protobuf's text format to a document, without a schema.
 *
 * A message is a map, enum names are strings, and a field that occurs several times, or takes
 * [a, b], is a list in the order of the file; the reader of the configuration knows which fields
 * may be lists. Fields take "name: value", "name { }", "name < >", with "," or ";" between them if
 * somebody likes; strings stand in either quotes and are joined when several follow one another.
 * Extensions, Any and infinities are refused: no configuration has a use for them. */
#include "io/doc_tree.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef cyg_tree_parser parser;

static void skip_space(parser *p)
{
    for (;;) {
        const int c = cyg_tree_peek(p);
        if (c == '#')
            while (cyg_tree_peek(p) != -1 && cyg_tree_peek(p) != '\n')
                cyg_scan_step(&p->s);
        else if (c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v')
            cyg_scan_step(&p->s);
        else
            return;
    }
}

static bool starts_word(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

/* [A-Za-z_][A-Za-z0-9_]* */
static size_t read_word(parser *p, const char **out_text)
{
    *out_text = (const char *)p->s.p;
    while (starts_word(cyg_tree_peek(p)) || is_digit(cyg_tree_peek(p)))
        cyg_scan_step(&p->s);
    return (size_t)((const char *)p->s.p - *out_text);
}

/* ---- strings ---- */

static cyg_status add_code(parser *p, uint32_t c, cyg_doc_place at)
{
    if (c == 0 || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        return cyg_doc_build_fail(p->s.b, at, "this escape is no character that a string may hold");
    cyg_scan_add_utf8(&p->s.string, c);
    return CYG_OK;
}

/* A byte; those of a string together have to be UTF-8. */
static cyg_status add_byte(parser *p, uint32_t byte, cyg_doc_place at)
{
    const char c = (char)byte;
    if (byte == 0 || byte > 255)
        return cyg_doc_build_fail(p->s.b, at, "this escape is no character that a string may hold");
    cyg_strbuf_add(&p->s.string, &c, 1);
    return CYG_OK;
}

static cyg_status read_escape(parser *p)
{
    static const char names[] = "abfnrtv\\'\"?", values[] = "\a\b\f\n\r\t\v\\'\"?";
    const cyg_doc_place at = cyg_scan_place(&p->s);
    cyg_scan_step(&p->s);
    const int c = cyg_tree_peek(p);
    uint32_t code = 0;
    if (c == 'u' || c == 'U') {
        cyg_scan_step(&p->s);
        CYG_DO(cyg_scan_hex(&p->s, c == 'u' ? 4 : 8, &code));
        return add_code(p, code, at);
    }
    if (c == 'x' || c == 'X') { /* one or two digits: a byte, as below */
        cyg_scan_step(&p->s);
        const bool two = p->s.end - p->s.p > 1 && isxdigit(p->s.p[0]) && isxdigit(p->s.p[1]);
        CYG_DO(cyg_scan_hex(&p->s, two ? 2 : 1, &code));
        return add_byte(p, code, at);
    }
    if (c >= '0' && c <= '7') {
        for (int i = 0; i < 3 && cyg_tree_peek(p) >= '0' && cyg_tree_peek(p) <= '7'; i++) {
            code = code * 8 + (uint32_t)(cyg_tree_peek(p) - '0');
            cyg_scan_step(&p->s);
        }
        return add_byte(p, code, at);
    }
    const char *found = c > 0 ? strchr(names, c) : NULL;
    if (found == NULL)
        return cyg_scan_unexpected(&p->s, "an escape behind the backslash");
    cyg_strbuf_add(&p->s.string, values + (found - names), 1);
    cyg_scan_step(&p->s);
    return CYG_OK;
}

/* One literal, added to s.string. */
static cyg_status read_literal(parser *p)
{
    const cyg_doc_place start = cyg_scan_place(&p->s);
    const int quote = cyg_tree_peek(p);
    for (cyg_scan_step(&p->s); cyg_tree_peek(p) != quote;) {
        if (cyg_tree_peek(p) == -1 || cyg_tree_peek(p) == '\n')
            return cyg_doc_build_fail(p->s.b, start, "this string does not end on its line");
        if (cyg_tree_peek(p) == '\\')
            CYG_DO(read_escape(p));
        else
            CYG_DO(cyg_scan_take(&p->s));
    }
    cyg_scan_step(&p->s);
    return p->s.string.failed ? cyg_tree_nomem(p) : CYG_OK;
}

static cyg_status read_string(parser *p, cyg_tree_node *node)
{
    p->s.string.len = 0;
    cyg_strbuf_add(&p->s.string, "", 0);
    do {
        CYG_DO(read_literal(p));
        skip_space(p);
    } while (cyg_tree_peek(p) == '"' || cyg_tree_peek(p) == '\'');
    for (size_t i = 0, n; i < p->s.string.len; i += n) {
        n = cyg_utf8_length(p->s.string.data + i, p->s.string.len - i);
        if (n == 0)
            return cyg_doc_build_fail(p->s.b, node->at, "the bytes of this string are not UTF-8");
    }
    node->value.kind = CYG_DOC_STRING;
    return cyg_tree_set_text(&p->tree, node, p->s.string.data, p->s.string.len) ? CYG_OK
                                                                                : cyg_tree_nomem(p);
}

/* ---- numbers and names ---- */

/* 0x1f and 017, as decimal text. */
static cyg_status radix_number(parser *p, cyg_tree_node *node, const char *text, bool negative)
{
    char *end, decimal[32];
    const unsigned long long v = strtoull(text, &end, 0);
    if (*end != '\0' || v > (unsigned long long)INT64_MAX + negative)
        return cyg_doc_build_fail(p->s.b, node->at, "%.40s is no integer", text);
    snprintf(decimal, sizeof decimal, "%s%llu", negative ? "-" : "", v);
    return cyg_tree_set_text(&p->tree, node, decimal, strlen(decimal)) ? CYG_OK : cyg_tree_nomem(p);
}

static bool is_decimal(const char *t)
{
    const char *digits = t += *t == '-';
    t += strspn(t, "0123456789");
    const size_t whole = (size_t)(t - digits);
    size_t fraction = 0;
    if (*t == '.') {
        fraction = strspn(t + 1, "0123456789");
        t += 1 + fraction;
    }
    if (whole + fraction == 0)
        return false;
    if (*t == 'e' || *t == 'E') {
        t += 1 + (t[1] == '+' || t[1] == '-');
        const size_t exponent = strspn(t, "0123456789");
        if (exponent == 0)
            return false;
        t += exponent;
    }
    return *t == '\0';
}

static cyg_status read_number(parser *p, cyg_tree_node *node)
{
    char text[512];
    size_t n = 0;
    const bool negative = cyg_tree_peek(p) == '-';
    if (negative) {
        text[n++] = '-';
        cyg_scan_step(&p->s);
        skip_space(p);
    }
    while (n < sizeof text - 1 && (starts_word(cyg_tree_peek(p)) || is_digit(cyg_tree_peek(p)) ||
                                   cyg_tree_peek(p) == '.' ||
                                   ((cyg_tree_peek(p) == '+' || cyg_tree_peek(p) == '-') && n > 0 &&
                                    (text[n - 1] | 32) == 'e'))) {
        text[n++] = (char)cyg_tree_peek(p);
        cyg_scan_step(&p->s);
    }
    text[n] = '\0';
    node->value.kind = CYG_DOC_FLOAT;
    node->is_number = true;
    const char *digits = text + negative;
    if (digits[0] == '0' && (is_digit(digits[1]) || (digits[1] | 32) == 'x') &&
        strpbrk(digits, ".") == NULL)
        return radix_number(p, node, digits, negative);
    if (n > 1 && (text[n - 1] | 32) == 'f') /* 1.5f */
        text[--n] = '\0';
    if (!is_decimal(text))
        return cyg_doc_build_fail(p->s.b, node->at, "expected a number, found %.40s", text);
    return cyg_tree_set_text(&p->tree, node, text, n) ? CYG_OK : cyg_tree_nomem(p);
}

static cyg_status read_name(parser *p, cyg_tree_node *node)
{
    static const struct {
        const char *word;
        bool value;
    } bools[] = {{"true", true}, {"True", true}, {"false", false}, {"False", false}};
    const char *text;
    const size_t n = read_word(p, &text);
    node->value.kind = CYG_DOC_STRING;
    for (size_t i = 0; i < CYG_COUNT(bools); i++)
        if (strlen(bools[i].word) == n && memcmp(bools[i].word, text, n) == 0)
            node->value = (cyg_doc_node){.kind = CYG_DOC_BOOL, .boolean = bools[i].value};
    return cyg_tree_set_text(&p->tree, node, text, n) ? CYG_OK : cyg_tree_nomem(p);
}

/* ---- structure ---- */

static cyg_status read_fields(parser *p, cyg_tree_node *message, int close);

static bool opens(int c)
{
    return c == '{' || c == '<';
}

static cyg_status read_message(parser *p, cyg_tree_node *node)
{
    const int close = cyg_tree_peek(p) == '{' ? '}' : '>';
    node->value.kind = CYG_DOC_MAP;
    if (++p->depth >= CYG_DOC_DEEPEST)
        return cyg_doc_build_fail(p->s.b, node->at, "nested deeper than %d levels",
                                  CYG_DOC_DEEPEST);
    cyg_scan_step(&p->s);
    CYG_DO(read_fields(p, node, close));
    cyg_scan_step(&p->s);
    p->depth--;
    return CYG_OK;
}

static cyg_status read_value(parser *p, cyg_tree_node *node)
{
    const int c = cyg_tree_peek(p);
    if (opens(c))
        return read_message(p, node);
    if (c == '"' || c == '\'')
        return read_string(p, node);
    if (c == '-' || c == '.' || is_digit(c))
        return read_number(p, node);
    if (starts_word(c))
        return read_name(p, node);
    return cyg_scan_unexpected(&p->s, "a value");
}

/* The node that the next value of a field goes into. */
static cyg_tree_node *place_for(parser *p, cyg_tree_node *field)
{
    if (field->mark == 0) { /* the first value */
        field->mark = 1;
        field->at = cyg_scan_place(&p->s);
        return field;
    }
    if (field->mark == 1 && !cyg_tree_make_list(&p->tree, field))
        return NULL;
    field->mark = 2;
    return cyg_tree_add(&p->tree, field, CYG_DOC_NULL, NULL, 0, (cyg_doc_place){0, 0},
                        cyg_scan_place(&p->s));
}

static cyg_status add_value(parser *p, cyg_tree_node *field)
{
    cyg_tree_node *node = place_for(p, field);
    return node != NULL ? read_value(p, node) : cyg_tree_nomem(p);
}

/* [a, b]: the values of a field one by one. */
static cyg_status read_list(parser *p, cyg_tree_node *field)
{
    if (field->mark == 0) {
        field->value.kind = CYG_DOC_LIST;
        field->at = cyg_scan_place(&p->s);
        field->mark = 2;
    }
    cyg_scan_step(&p->s);
    skip_space(p);
    while (cyg_tree_peek(p) != ']') {
        CYG_DO(add_value(p, field));
        skip_space(p);
        if (cyg_tree_peek(p) == ',')
            cyg_scan_step(&p->s);
        else if (cyg_tree_peek(p) != ']')
            return cyg_scan_unexpected(&p->s, "',' or ']'");
        skip_space(p);
    }
    cyg_scan_step(&p->s);
    return CYG_OK;
}

static cyg_status read_field(parser *p, cyg_tree_node *message)
{
    const cyg_doc_place at = cyg_scan_place(&p->s);
    const char *key;
    if (cyg_tree_peek(p) == '[')
        return cyg_doc_build_fail(p->s.b, at, "extensions have no meaning here");
    if (!starts_word(cyg_tree_peek(p)))
        return cyg_scan_unexpected(&p->s, "the name of a field");
    const size_t n = read_word(p, &key);
    cyg_tree_node *field = cyg_tree_find(&p->tree, message, key, n);
    if (field == NULL)
        field = cyg_tree_add(&p->tree, message, CYG_DOC_NULL, key, n, at, at);
    if (field == NULL)
        return cyg_tree_nomem(p);
    skip_space(p);
    if (cyg_tree_peek(p) == ':') {
        cyg_scan_step(&p->s);
        skip_space(p);
    } else if (!opens(cyg_tree_peek(p))) {
        return cyg_scan_unexpected(&p->s, "':' or '{' behind the field's name");
    }
    CYG_DO(cyg_tree_peek(p) == '[' ? read_list(p, field) : add_value(p, field));
    skip_space(p);
    if (cyg_tree_peek(p) == ',' || cyg_tree_peek(p) == ';')
        cyg_scan_step(&p->s);
    return CYG_OK;
}

static cyg_status read_fields(parser *p, cyg_tree_node *message, int close)
{
    for (;;) {
        skip_space(p);
        if (cyg_tree_peek(p) == close)
            return CYG_OK;
        if (cyg_tree_peek(p) == -1)
            return cyg_doc_build_fail(p->s.b, cyg_scan_place(&p->s),
                                      "expected '%c' for the message at line %u, found the end of "
                                      "the file",
                                      close, message->at.line);
        CYG_DO(read_field(p, message));
    }
}

static cyg_status read_document(parser *p)
{
    return read_fields(p, p->tree.root, -1);
}

cyg_status cyg_doc_parse_prototxt(cyg_doc_builder *b, const uint8_t *data, size_t size)
{
    return cyg_tree_parse(b, data, size, read_document);
}
