/* YAML text to a document, from libyaml's event stream.
 *
 * Plain scalars are typed by YAML 1.2's core schema (null ~ true false, decimal and hex integers,
 * floats); `yes` and `on` are strings, as 1.2 says. Refused: anchors and aliases (a page of them
 * can stand for gigabytes), tags, several documents, keys that are no scalars, .nan and .inf.
 * libyaml checks UTF-8 and gives line and column, both from zero. */
#include "io/doc_build.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

static cyg_doc_place place(yaml_mark_t mark)
{
    return (cyg_doc_place){(uint32_t)mark.line + 1, (uint32_t)mark.column + 1};
}

static bool is_one_of(const char *text, const char *const *words)
{
    for (; *words != NULL; words++)
        if (strcmp(text, *words) == 0)
            return true;
    return false;
}

/* [-+]? digits, with a point and an exponent where allowed: what strtod and strtoll read alike
 * everywhere. */
static bool is_number(const char *text)
{
    const char *p = text + (*text == '-' || *text == '+');
    const size_t whole = strspn(p, "0123456789");
    p += whole;
    size_t fraction = 0;
    if (*p == '.') {
        p++;
        fraction = strspn(p, "0123456789");
        p += fraction;
    }
    if (whole + fraction == 0)
        return false;
    if (*p == 'e' || *p == 'E') {
        p++;
        p += *p == '-' || *p == '+';
        const size_t digits = strspn(p, "0123456789");
        if (digits == 0)
            return false;
        p += digits;
    }
    return *p == '\0';
}

/* 0x1F, up to 15 digits. */
static bool read_hex(const char *text, int64_t *out)
{
    const size_t digits =
        strncmp(text, "0x", 2) == 0 ? strspn(text + 2, "0123456789abcdefABCDEF") : 0;
    if (digits == 0 || digits > 15 || text[2 + digits] != '\0')
        return false;
    *out = strtoll(text + 2, NULL, 16);
    return true;
}

static cyg_status add_plain(cyg_doc_builder *b, const char *text, size_t size, cyg_doc_place at)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const trues[] = {"true", "True", "TRUE", NULL};
    static const char *const falses[] = {"false", "False", "FALSE", NULL};
    static const char *const not_finite[] = {".nan",  ".NaN",  ".NAN",  ".inf",  ".Inf",
                                             ".INF",  "+.inf", "-.inf", "+.Inf", "-.Inf",
                                             "+.INF", "-.INF", NULL};
    cyg_doc_node value = {.kind = CYG_DOC_STRING};
    if (is_number(text))
        return cyg_doc_build_number(b, text, size, at);
    if (is_one_of(text, not_finite))
        return cyg_doc_build_fail(b, at, "%s is not a usable number", text);
    if (is_one_of(text, nulls)) {
        value.kind = CYG_DOC_NULL;
    } else if (is_one_of(text, trues) || is_one_of(text, falses)) {
        value.kind = CYG_DOC_BOOL;
        value.boolean = is_one_of(text, trues);
    } else if (read_hex(text, &value.integer)) {
        value.kind = CYG_DOC_INT;
        value.number = (double)value.integer;
    }
    return cyg_doc_build_scalar(b, value, text, size, at);
}

static cyg_status add_scalar(cyg_doc_builder *b, const yaml_event_t *event)
{
    const char *text = (const char *)event->data.scalar.value;
    const size_t size = event->data.scalar.length;
    const cyg_doc_place at = place(event->start_mark);
    if (event->data.scalar.anchor != NULL)
        return cyg_doc_build_fail(b, at, "anchors are not allowed");
    if (event->data.scalar.tag != NULL)
        return cyg_doc_build_fail(b, at, "tags are not allowed");
    if (memchr(text, '\0', size) != NULL)
        return cyg_doc_build_fail(b, at, "NUL is not allowed in a string");
    const bool in_map = b->depth > 0 && b->open[b->depth - 1].node->kind == CYG_DOC_MAP;
    if (in_map && b->open[b->depth - 1].key == NULL)
        return cyg_doc_build_key(b, text, size, at);
    if (event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
        return add_plain(b, text, size, at);
    return cyg_doc_build_scalar(b, (cyg_doc_node){.kind = CYG_DOC_STRING}, text, size, at);
}

static cyg_status begin(cyg_doc_builder *b, cyg_doc_kind kind, const yaml_char_t *anchor,
                        const yaml_char_t *tag, cyg_doc_place at)
{
    if (anchor != NULL)
        return cyg_doc_build_fail(b, at, "anchors are not allowed");
    if (tag != NULL)
        return cyg_doc_build_fail(b, at, "tags are not allowed");
    if (b->depth > 0 && b->open[b->depth - 1].node->kind == CYG_DOC_MAP &&
        b->open[b->depth - 1].key == NULL)
        return cyg_doc_build_fail(b, at, "a key must be a word");
    return cyg_doc_build_begin(b, kind, at);
}

static cyg_status add_event(cyg_doc_builder *b, const yaml_event_t *event)
{
    const cyg_doc_place at = place(event->start_mark);
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return add_scalar(b, event);
    case YAML_SEQUENCE_START_EVENT:
        return begin(b, CYG_DOC_LIST, event->data.sequence_start.anchor,
                     event->data.sequence_start.tag, at);
    case YAML_MAPPING_START_EVENT:
        return begin(b, CYG_DOC_MAP, event->data.mapping_start.anchor,
                     event->data.mapping_start.tag, at);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        return cyg_doc_build_end(b);
    case YAML_ALIAS_EVENT:
        return cyg_doc_build_fail(b, at, "aliases are not allowed");
    case YAML_DOCUMENT_START_EVENT:
        if (b->root != NULL)
            return cyg_doc_build_fail(b, at, "a second document in one file");
        return CYG_OK;
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_END_EVENT:
        return CYG_OK;
    }
    return CYG_OK;
}

static cyg_status syntax_error(cyg_doc_builder *b, const yaml_parser_t *parser)
{
    if (parser->error == YAML_MEMORY_ERROR)
        return CYG_FAIL(b->ctx, CYG_E_NOMEM, "%s: out of memory", b->path);
    const char *problem = parser->problem != NULL ? parser->problem : "not YAML";
    const cyg_doc_place at = place(parser->problem_mark);
    if (parser->error == YAML_READER_ERROR)
        return CYG_FAIL(b->ctx, CYG_E_FORMAT, "%s: byte %zu: %s", b->path, parser->problem_offset,
                        problem);
    if (parser->context != NULL)
        return cyg_doc_build_fail(b, at, "%s: %s", parser->context, problem);
    return cyg_doc_build_fail(b, at, "%s", problem);
}

cyg_status cyg_doc_parse_yaml(cyg_doc_builder *b, const uint8_t *data, size_t size)
{
    yaml_parser_t parser;
    if (yaml_parser_initialize(&parser) == 0)
        return CYG_FAIL(b->ctx, CYG_E_NOMEM, "%s: out of memory", b->path);
    yaml_parser_set_input_string(&parser, data != NULL ? data : (const uint8_t *)"", size);
    cyg_status status = CYG_OK;
    bool more = true;
    while (more && status == CYG_OK) {
        yaml_event_t event;
        if (yaml_parser_parse(&parser, &event) == 0) {
            status = syntax_error(b, &parser);
            break;
        }
        more = event.type != YAML_STREAM_END_EVENT;
        status = add_event(b, &event);
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    return status;
}
