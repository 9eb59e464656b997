/* TOML 1.0 to a document.
 *
 * Tables and arrays of tables become maps and lists; what may be added to what, and what only
 * once, is TOML's rules: a table has one header, dotted keys do not reach into tables with a header
 * of their own, inline tables are closed. Dates, infinities and NaN are refused, since no
 * configuration has a use for them. */
#include "io/doc_tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What made a map or list. */
enum { BY_PATH, BY_HEADER, BY_DOTS, INLINE, TABLES };

typedef cyg_tree_parser parser;

static void skip_blanks(parser *p)
{
    while (cyg_tree_peek(p) == ' ' || cyg_tree_peek(p) == '\t')
        cyg_scan_step(&p->s);
}

static bool at_newline(const parser *p)
{
    return cyg_tree_peek(p) == '\n' || cyg_scan_at(&p->s, "\r\n");
}

/* Up to what no comment may hold (a control character, what is not UTF-8): whoever reads on fails
 * there. */
static void skip_comment(parser *p)
{
    if (cyg_tree_peek(p) != '#')
        return;
    while (cyg_tree_peek(p) != -1 && !at_newline(p)) {
        const size_t n = cyg_utf8_length((const char *)p->s.p, (size_t)(p->s.end - p->s.p));
        if (n == 0 || (cyg_tree_peek(p) < ' ' && cyg_tree_peek(p) != '\t') ||
            cyg_tree_peek(p) == 127)
            return;
        for (size_t i = 0; i < n; i++)
            cyg_scan_step(&p->s);
    }
}

/* Blanks, ends of lines and comments. */
static void skip_lines(parser *p)
{
    for (;;) {
        skip_blanks(p);
        skip_comment(p);
        if (!at_newline(p))
            return;
        for (; at_newline(p); cyg_scan_step(&p->s))
            if (cyg_tree_peek(p) == '\r')
                cyg_scan_step(&p->s);
    }
}

/* ---- strings: into s.string ---- */

static void clear(parser *p)
{
    p->s.string.len = 0;
    cyg_strbuf_add(&p->s.string, "", 0);
}

static cyg_status read_escape(parser *p)
{
    static const char names[] = "btnfr\"\\", values[] = "\b\t\n\f\r\"\\";
    const cyg_doc_place at = cyg_scan_place(&p->s);
    cyg_scan_step(&p->s);
    const int c = cyg_tree_peek(p);
    if (c == 'u' || c == 'U') {
        uint32_t code = 0;
        cyg_scan_step(&p->s);
        CYG_DO(cyg_scan_hex(&p->s, c == 'u' ? 4 : 8, &code));
        if (code == 0 || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
            return cyg_doc_build_fail(p->s.b, at,
                                      "this escape is no character that a string may hold");
        cyg_scan_add_utf8(&p->s.string, code);
        return CYG_OK;
    }
    const char *found = c > 0 ? strchr(names, c) : NULL;
    if (found == NULL)
        return cyg_scan_unexpected(&p->s, "one of b t n f r \" \\ u U after a backslash");
    cyg_strbuf_add(&p->s.string, values + (found - names), 1);
    cyg_scan_step(&p->s);
    return CYG_OK;
}

/* A backslash at the end of a line, if it is one: takes the blanks and line ends behind it. */
static bool joins_lines(parser *p)
{
    const uint8_t *q = p->s.p + 1;
    while (q < p->s.end && (*q == ' ' || *q == '\t' || *q == '\r'))
        q++;
    if (q == p->s.end || *q != '\n')
        return false;
    cyg_scan_step(&p->s);
    while (cyg_tree_peek(p) == ' ' || cyg_tree_peek(p) == '\t' || cyg_tree_peek(p) == '\r' ||
           cyg_tree_peek(p) == '\n')
        cyg_scan_step(&p->s);
    return true;
}

static cyg_status read_long_string(parser *p, const char *quotes)
{
    const cyg_doc_place start = cyg_scan_place(&p->s);
    for (int i = 0; i < 3; i++)
        cyg_scan_step(&p->s);
    if (at_newline(p)) { /* one right behind the quotes does not count */
        if (cyg_tree_peek(p) == '\r')
            cyg_scan_step(&p->s);
        cyg_scan_step(&p->s);
    }
    while (!cyg_scan_at(&p->s, quotes)) {
        if (cyg_tree_peek(p) == -1)
            return cyg_doc_build_fail(p->s.b, start, "this string does not end");
        if (at_newline(p)) {
            if (cyg_tree_peek(p) == '\r')
                cyg_scan_step(&p->s);
            cyg_strbuf_add(&p->s.string, "\n", 1);
            cyg_scan_step(&p->s);
        } else if (cyg_tree_peek(p) == '\\' && quotes[0] == '"') {
            if (!joins_lines(p))
                CYG_DO(read_escape(p));
        } else {
            CYG_DO(cyg_scan_take(&p->s));
        }
    }
    for (int i = 0; i < 3; i++)
        cyg_scan_step(&p->s);
    for (int i = 0; i < 2 && cyg_tree_peek(p) == quotes[0];
         i++) /* up to two quotes may end the content */
        CYG_DO(cyg_scan_take(&p->s));
    return p->s.string.failed ? cyg_tree_nomem(p) : CYG_OK;
}

static cyg_status read_line_string(parser *p)
{
    const cyg_doc_place start = cyg_scan_place(&p->s);
    const int quote = cyg_tree_peek(p);
    for (cyg_scan_step(&p->s); cyg_tree_peek(p) != quote;) {
        if (cyg_tree_peek(p) == -1 || at_newline(p))
            return cyg_doc_build_fail(p->s.b, start, "this string does not end on its line");
        if (cyg_tree_peek(p) == '\\' && quote == '"')
            CYG_DO(read_escape(p));
        else
            CYG_DO(cyg_scan_take(&p->s));
    }
    cyg_scan_step(&p->s);
    return p->s.string.failed ? cyg_tree_nomem(p) : CYG_OK;
}

static cyg_status read_string(parser *p, cyg_tree_node *node)
{
    clear(p);
    CYG_DO(cyg_scan_at(&p->s, "\"\"\"") ? read_long_string(p, "\"\"\"")
           : cyg_scan_at(&p->s, "'''")  ? read_long_string(p, "'''")
                                        : read_line_string(p));
    node->value.kind = CYG_DOC_STRING;
    return cyg_tree_set_text(&p->tree, node, p->s.string.data, p->s.string.len) ? CYG_OK
                                                                                : cyg_tree_nomem(p);
}

/* ---- words and numbers ---- */

static bool is_bare(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
}

static bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

/* The digits of a radix. */
static const char *digits_of(int radix)
{
    return radix == 16  ? "0123456789abcdefABCDEF"
           : radix == 8 ? "01234567"
           : radix == 2 ? "01"
                        : "0123456789";
}

static int radix_of(const char *t)
{
    return t[0] != '0' ? 10 : t[1] == 'x' ? 16 : t[1] == 'o' ? 8 : t[1] == 'b' ? 2 : 10;
}

static bool is_among(char c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}

/* Takes out underscores, which stand between two digits only. */
static bool drop_underscores(char *text)
{
    const int radix = radix_of(text);
    const char *digits = digits_of(radix);
    size_t n = radix == 10 ? 0 : 2;
    for (size_t i = n; text[i] != '\0'; i++) {
        if (text[i] != '_')
            text[n++] = text[i];
        else if (i < (radix == 10 ? 1 : 3) || !is_among(text[i - 1], digits) ||
                 !is_among(text[i + 1], digits))
            return false;
    }
    text[n] = '\0';
    return true;
}

/* JSON's grammar, plus a plus in front. */
static bool is_number(const char *t)
{
    t += *t == '-' || *t == '+';
    if (!is_digit(*t) || (t[0] == '0' && is_digit(t[1])))
        return false;
    t += strspn(t, "0123456789");
    if (*t == '.') {
        if (!is_digit(t[1]))
            return false;
        t += 1 + strspn(t + 1, "0123456789");
    }
    if (*t == 'e' || *t == 'E') {
        t += 1 + (t[1] == '+' || t[1] == '-');
        if (!is_digit(*t))
            return false;
        t += strspn(t, "0123456789");
    }
    return *t == '\0';
}

static bool is_radix(const char *t, char *decimal, size_t room)
{
    const int radix = radix_of(t);
    const size_t count = radix == 10 ? 0 : strspn(t + 2, digits_of(radix));
    if (count == 0 || t[2 + count] != '\0')
        return false;
    const unsigned long long v = strtoull(t + 2, NULL, radix);
    snprintf(decimal, room, "%llu", v);
    return v <= INT64_MAX;
}

static cyg_status read_word(parser *p, cyg_tree_node *node)
{
    char text[512], decimal[32];
    const cyg_doc_place at = cyg_scan_place(&p->s);
    size_t n = 0;
    while (n < sizeof text - 1 && (is_bare(cyg_tree_peek(p)) || cyg_tree_peek(p) == '+' ||
                                   cyg_tree_peek(p) == '.' || cyg_tree_peek(p) == ':')) {
        text[n++] = (char)cyg_tree_peek(p);
        cyg_scan_step(&p->s);
    }
    text[n] = '\0';
    if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0) {
        node->value = (cyg_doc_node){.kind = CYG_DOC_BOOL, .boolean = text[0] == 't'};
        return cyg_tree_set_text(&p->tree, node, text, n) ? CYG_OK : cyg_tree_nomem(p);
    }
    const char *unsigned_part = text + (text[0] == '+' || text[0] == '-');
    if (strcmp(unsigned_part, "inf") == 0 || strcmp(unsigned_part, "nan") == 0)
        return cyg_doc_build_fail(p->s.b, at, "infinity and NaN are no values of a configuration");
    if (n > 4 && is_digit(text[0]) && (strchr(text, ':') != NULL || text[4] == '-'))
        return cyg_doc_build_fail(p->s.b, at, "dates and times are no values of a configuration");
    if (n == 0)
        return cyg_scan_unexpected(&p->s, "a value");
    node->value.kind = CYG_DOC_FLOAT;
    node->is_number = true;
    const bool plain = drop_underscores(text);
    if (plain && is_number(text))
        return cyg_tree_set_text(&p->tree, node, text + (text[0] == '+'),
                                 strlen(text) - (text[0] == '+'))
                   ? CYG_OK
                   : cyg_tree_nomem(p);
    if (plain && is_radix(text, decimal, sizeof decimal))
        return cyg_tree_set_text(&p->tree, node, decimal, strlen(decimal)) ? CYG_OK
                                                                           : cyg_tree_nomem(p);
    return cyg_doc_build_fail(p->s.b, at, "%.40s is no TOML value; a string takes quotes", text);
}

/* ---- keys ---- */

typedef struct key {
    const char *text; /* in the tree's arena */
    size_t size;
    cyg_doc_place at;
} key;

static cyg_status read_key(parser *p, key *out)
{
    out->at = cyg_scan_place(&p->s);
    clear(p);
    if (cyg_tree_peek(p) == '"' || cyg_tree_peek(p) == '\'') {
        CYG_DO(read_line_string(p));
    } else {
        const char *text = (const char *)p->s.p;
        while (is_bare(cyg_tree_peek(p)))
            cyg_scan_step(&p->s);
        cyg_strbuf_add(&p->s.string, text, (size_t)((const char *)p->s.p - text));
        if (p->s.string.len == 0)
            return cyg_scan_unexpected(&p->s, "a key");
    }
    out->size = p->s.string.len;
    out->text =
        p->s.string.failed ? NULL : cyg_arena_strndup(&p->tree.arena, p->s.string.data, out->size);
    skip_blanks(p);
    return out->text != NULL ? CYG_OK : cyg_tree_nomem(p);
}

static cyg_status duplicate(const parser *p, const key *k, const cyg_tree_node *first)
{
    return cyg_doc_build_fail(p->s.b, k->at,
                              "duplicate key \"%.80s\"; the first is at line %u, column %u",
                              k->text, first->key_at.line, first->key_at.column);
}

/* One step of a path to a table, which may lead through the last item of an array of tables. */
static cyg_status walk(parser *p, cyg_tree_node **at, const key *k, unsigned made_by)
{
    cyg_tree_node *child = cyg_tree_find(&p->tree, *at, k->text, k->size);
    if (child == NULL)
        child = cyg_tree_add(&p->tree, *at, CYG_DOC_MAP, k->text, k->size, k->at, k->at);
    else if (made_by == BY_DOTS ? child->mark != BY_DOTS
                                : child->mark == INLINE ||
                                      (child->value.kind != CYG_DOC_MAP && child->mark != TABLES))
        return duplicate(p, k, child);
    else
        made_by = child->mark;
    if (child == NULL)
        return cyg_tree_nomem(p);
    child->mark = made_by;
    *at = child->mark == TABLES ? child->last : child;
    return CYG_OK;
}

/* Reads a dotted key; *at ends as the map that the last part, *out, belongs to. */
static cyg_status read_path(parser *p, cyg_tree_node **at, unsigned made_by, key *out)
{
    CYG_DO(read_key(p, out));
    while (cyg_tree_peek(p) == '.') {
        CYG_DO(walk(p, at, out, made_by));
        cyg_scan_step(&p->s);
        skip_blanks(p);
        CYG_DO(read_key(p, out));
    }
    return CYG_OK;
}

/* ---- values ---- */

static cyg_status read_value(parser *p, cyg_tree_node *node);

static cyg_status read_pair(parser *p, cyg_tree_node *table)
{
    key k;
    CYG_DO(read_path(p, &table, BY_DOTS, &k));
    const cyg_tree_node *first = cyg_tree_find(&p->tree, table, k.text, k.size);
    if (first != NULL)
        return duplicate(p, &k, first);
    if (cyg_tree_peek(p) != '=')
        return cyg_scan_unexpected(&p->s, "'=' behind the key");
    cyg_scan_step(&p->s);
    skip_blanks(p);
    cyg_tree_node *node =
        cyg_tree_add(&p->tree, table, CYG_DOC_NULL, k.text, k.size, k.at, cyg_scan_place(&p->s));
    return node != NULL ? read_value(p, node) : cyg_tree_nomem(p);
}

static cyg_status read_array(parser *p, cyg_tree_node *node)
{
    cyg_scan_step(&p->s);
    for (skip_lines(p); cyg_tree_peek(p) != ']'; skip_lines(p)) {
        cyg_tree_node *item = cyg_tree_add(&p->tree, node, CYG_DOC_NULL, NULL, 0,
                                           (cyg_doc_place){0, 0}, cyg_scan_place(&p->s));
        if (item == NULL)
            return cyg_tree_nomem(p);
        CYG_DO(read_value(p, item));
        skip_lines(p);
        if (cyg_tree_peek(p) == ',')
            cyg_scan_step(&p->s);
        else if (cyg_tree_peek(p) != ']')
            return cyg_scan_unexpected(&p->s, "',' or ']'");
    }
    cyg_scan_step(&p->s);
    return CYG_OK;
}

static cyg_status read_inline_table(parser *p, cyg_tree_node *node)
{
    cyg_scan_step(&p->s);
    skip_blanks(p);
    while (cyg_tree_peek(p) != '}') {
        CYG_DO(read_pair(p, node));
        skip_blanks(p);
        if (cyg_tree_peek(p) == ',') {
            cyg_scan_step(&p->s);
            skip_blanks(p);
            if (cyg_tree_peek(p) == '}')
                return cyg_scan_unexpected(&p->s, "a key");
        } else if (cyg_tree_peek(p) != '}') {
            return cyg_scan_unexpected(&p->s, "',' or '}'");
        }
    }
    cyg_scan_step(&p->s);
    return CYG_OK;
}

static cyg_status read_value(parser *p, cyg_tree_node *node)
{
    const int c = cyg_tree_peek(p);
    if (c == '"' || c == '\'')
        return read_string(p, node);
    if (c != '[' && c != '{')
        return read_word(p, node);
    if (++p->depth >= CYG_DOC_DEEPEST)
        return cyg_doc_build_fail(p->s.b, node->at, "nested deeper than %d levels",
                                  CYG_DOC_DEEPEST);
    node->value.kind = c == '[' ? CYG_DOC_LIST : CYG_DOC_MAP;
    node->mark = INLINE;
    CYG_DO(c == '[' ? read_array(p, node) : read_inline_table(p, node));
    p->depth--;
    return CYG_OK;
}

/* ---- tables ---- */

/* [a.b] */
static cyg_status open_table(parser *p, cyg_tree_node *parent, const key *k, cyg_tree_node **out)
{
    cyg_tree_node *table = cyg_tree_find(&p->tree, parent, k->text, k->size);
    if (table != NULL && (table->value.kind != CYG_DOC_MAP || table->mark != BY_PATH))
        return duplicate(p, k, table);
    if (table == NULL)
        table = cyg_tree_add(&p->tree, parent, CYG_DOC_MAP, k->text, k->size, k->at, k->at);
    if (table == NULL)
        return cyg_tree_nomem(p);
    table->mark = BY_HEADER;
    *out = table;
    return CYG_OK;
}

/* [[a.b]] */
static cyg_status open_item(parser *p, cyg_tree_node *parent, const key *k, cyg_tree_node **out)
{
    cyg_tree_node *list = cyg_tree_find(&p->tree, parent, k->text, k->size);
    if (list != NULL && list->mark != TABLES)
        return duplicate(p, k, list);
    if (list == NULL)
        list = cyg_tree_add(&p->tree, parent, CYG_DOC_LIST, k->text, k->size, k->at, k->at);
    if (list == NULL)
        return cyg_tree_nomem(p);
    list->mark = TABLES;
    *out = cyg_tree_add(&p->tree, list, CYG_DOC_MAP, NULL, 0, k->at, k->at);
    return *out != NULL ? CYG_OK : cyg_tree_nomem(p);
}

static cyg_status read_header(parser *p, cyg_tree_node **out_table)
{
    const bool item = cyg_scan_at(&p->s, "[[");
    const int brackets = item ? 2 : 1;
    cyg_tree_node *parent = p->tree.root;
    key k;
    for (int i = 0; i < brackets; i++)
        cyg_scan_step(&p->s);
    skip_blanks(p);
    CYG_DO(read_path(p, &parent, BY_PATH, &k));
    for (int i = 0; i < brackets; i++) {
        if (cyg_tree_peek(p) != ']')
            return cyg_scan_unexpected(&p->s, item ? "']]'" : "']'");
        cyg_scan_step(&p->s);
    }
    return item ? open_item(p, parent, &k, out_table) : open_table(p, parent, &k, out_table);
}

static cyg_status read_document(parser *p)
{
    cyg_tree_node *table = p->tree.root;
    table->mark = BY_HEADER;
    for (skip_lines(p); cyg_tree_peek(p) != -1; skip_lines(p)) {
        CYG_DO(cyg_tree_peek(p) == '[' ? read_header(p, &table) : read_pair(p, table));
        skip_blanks(p);
        skip_comment(p);
        if (cyg_tree_peek(p) != -1 && !at_newline(p))
            return cyg_scan_unexpected(&p->s, "the end of the line");
    }
    return CYG_OK;
}

cyg_status cyg_doc_parse_toml(cyg_doc_builder *b, const uint8_t *data, size_t size)
{
    return cyg_tree_parse(b, data, size, read_document);
}
