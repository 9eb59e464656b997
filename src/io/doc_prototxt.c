/* Protobuf's text format to a document, without a schema.
 *
 * A message is a map, enum names are strings, and a field that occurs several times, or takes
 * [a, b], is a list in the order of the file; the reader of the configuration knows which fields
 * may be lists. Fields take "name: value", "name { }", "name < >", with "," or ";" between them if
 * somebody likes; strings stand in either quotes and are joined when several follow one another.
 * Extensions, Any and infinities are refused: no configuration has a use for them. */
#include "io/doc_scan.h"
#include "io/doc_tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct parser {
    cyg_doc_scan s;
    cyg_tree tree;
    size_t depth;
} parser;

static cyg_status no_memory(const parser *p)
{
    return CYG_FAIL(p->s.b->ctx, CYG_E_NOMEM, "%s: out of memory", p->s.b->path);
}

static int peek(const parser *p)
{
    return cyg_scan_peek(&p->s);
}

static void skip_space(parser *p)
{
    for (;;) {
        const int c = peek(p);
        if (c == '#')
            while (peek(p) != -1 && peek(p) != '\n')
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
    while (starts_word(peek(p)) || is_digit(peek(p)))
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

static cyg_status read_escape(parser *p)
{
    static const char names[] = "abfnrtv\\'\"?", values[] = "\a\b\f\n\r\t\v\\'\"?";
    const cyg_doc_place at = cyg_scan_place(&p->s);
    cyg_scan_step(&p->s);
    const int c = peek(p);
    uint32_t code = 0;
    if (c == 'x' || c == 'X' || c == 'u' || c == 'U') {
        cyg_scan_step(&p->s);
        CYG_DO(cyg_scan_hex(&p->s, c == 'u' ? 4 : c == 'U' ? 8 : 2, &code));
        return add_code(p, code, at);
    }
    if (c >= '0' && c <= '7') {
        for (int i = 0; i < 3 && peek(p) >= '0' && peek(p) <= '7'; i++) {
            code = code * 8 + (uint32_t)(peek(p) - '0');
            cyg_scan_step(&p->s);
        }
        return add_code(p, code, at);
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
    const int quote = peek(p);
    for (cyg_scan_step(&p->s); peek(p) != quote;) {
        if (peek(p) == -1 || peek(p) == '\n')
            return cyg_doc_build_fail(p->s.b, start, "this string does not end on its line");
        if (peek(p) == '\\')
            CYG_DO(read_escape(p));
        else
            CYG_DO(cyg_scan_take(&p->s));
    }
    cyg_scan_step(&p->s);
    return p->s.string.failed ? no_memory(p) : CYG_OK;
}

static cyg_status read_string(parser *p, cyg_tree_node *node)
{
    p->s.string.len = 0;
    cyg_strbuf_add(&p->s.string, "", 0);
    do {
        CYG_DO(read_literal(p));
        skip_space(p);
    } while (peek(p) == '"' || peek(p) == '\'');
    node->value.kind = CYG_DOC_STRING;
    return cyg_tree_set_text(&p->tree, node, p->s.string.data, p->s.string.len) ? CYG_OK
                                                                                : no_memory(p);
}

/* ---- numbers and names ---- */

/* 0x1f and 017, as decimal text. */
static cyg_status radix_number(parser *p, cyg_tree_node *node, const char *text, bool negative)
{
    char *end, decimal[32];
    const unsigned long long v = strtoull(text, &end, 0);
    if (*end != '\0' || v > INT64_MAX)
        return cyg_doc_build_fail(p->s.b, node->at, "%.40s is no integer", text);
    snprintf(decimal, sizeof decimal, "%s%llu", negative ? "-" : "", v);
    return cyg_tree_set_text(&p->tree, node, decimal, strlen(decimal)) ? CYG_OK : no_memory(p);
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
    const bool negative = peek(p) == '-';
    if (negative) {
        text[n++] = '-';
        cyg_scan_step(&p->s);
        skip_space(p);
    }
    while (n < sizeof text - 1 &&
           (starts_word(peek(p)) || is_digit(peek(p)) || peek(p) == '.' ||
            ((peek(p) == '+' || peek(p) == '-') && n > 0 && (text[n - 1] | 32) == 'e'))) {
        text[n++] = (char)peek(p);
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
    return cyg_tree_set_text(&p->tree, node, text, n) ? CYG_OK : no_memory(p);
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
    return cyg_tree_set_text(&p->tree, node, text, n) ? CYG_OK : no_memory(p);
}

/* ---- structure ---- */

static cyg_status read_fields(parser *p, cyg_tree_node *message, int close);

static bool opens(int c)
{
    return c == '{' || c == '<';
}

static cyg_status read_message(parser *p, cyg_tree_node *node)
{
    const int close = peek(p) == '{' ? '}' : '>';
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
    const int c = peek(p);
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
    return node != NULL ? read_value(p, node) : no_memory(p);
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
    while (peek(p) != ']') {
        CYG_DO(add_value(p, field));
        skip_space(p);
        if (peek(p) == ',')
            cyg_scan_step(&p->s);
        else if (peek(p) != ']')
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
    if (peek(p) == '[')
        return cyg_doc_build_fail(p->s.b, at, "extensions have no meaning here");
    if (!starts_word(peek(p)))
        return cyg_scan_unexpected(&p->s, "the name of a field");
    const size_t n = read_word(p, &key);
    cyg_tree_node *field = cyg_tree_find(&p->tree, message, key, n);
    if (field == NULL)
        field = cyg_tree_add(&p->tree, message, CYG_DOC_NULL, key, n, at, at);
    if (field == NULL)
        return no_memory(p);
    skip_space(p);
    if (peek(p) == ':') {
        cyg_scan_step(&p->s);
        skip_space(p);
    } else if (!opens(peek(p))) {
        return cyg_scan_unexpected(&p->s, "':' or '{' behind the field's name");
    }
    CYG_DO(peek(p) == '[' ? read_list(p, field) : add_value(p, field));
    skip_space(p);
    if (peek(p) == ',' || peek(p) == ';')
        cyg_scan_step(&p->s);
    return CYG_OK;
}

static cyg_status read_fields(parser *p, cyg_tree_node *message, int close)
{
    for (;;) {
        skip_space(p);
        if (peek(p) == close)
            return CYG_OK;
        if (peek(p) == -1)
            return cyg_doc_build_fail(p->s.b, cyg_scan_place(&p->s),
                                      "expected '%c' for the message at line %u, found the end of "
                                      "the file",
                                      close, message->at.line);
        CYG_DO(read_field(p, message));
    }
}

cyg_status cyg_doc_parse_prototxt(cyg_doc_builder *b, const uint8_t *data, size_t size)
{
    parser p = {0};
    if (size == 0)
        return CYG_OK; /* the caller reports it */
    cyg_scan_begin(&p.s, b, data, size);
    cyg_status status = cyg_tree_init(&p.tree) ? CYG_OK : no_memory(&p);
    if (status == CYG_OK)
        status = read_fields(&p, p.tree.root, -1);
    if (status == CYG_OK)
        status = cyg_tree_build(&p.tree, b);
    cyg_tree_deinit(&p.tree);
    cyg_strbuf_deinit(&p.s.string);
    return status;
}
