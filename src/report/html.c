/* Escaping and reading entries.
 *
 * Names in a report come from model files, which anybody may have written: a tensor may well be
 * called "<script>". So all text goes through one escape that is right for element content and for
 * quoted attributes alike, and nothing is ever put into a script or a style. Records are read
 * leniently: a report of another version shows what it has. */
#include "report/html.h"

#include <stdio.h>
#include <string.h>

static const char *entity(char c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

void cyg_html_text_n(cyg_strbuf *out, const char *text, size_t size)
{
    while (size > 0) {
        const size_t n = cyg_utf8_length(text, size);
        const char *replaced = entity(*text);
        if (n == 0 || ((unsigned char)*text < 0x20 && *text != '\n' && *text != '\t') ||
            *text == 0x7f)
            replaced = "\xEF\xBF\xBD";
        if (replaced != NULL)
            cyg_strbuf_puts(out, replaced);
        else
            cyg_strbuf_add(out, text, n);
        text += n > 0 ? n : 1;
        size -= n > 0 ? n : 1;
    }
}

void cyg_html_text(cyg_strbuf *out, const char *text)
{
    cyg_html_text_n(out, text, strlen(text));
}

void cyg_html_count(cyg_strbuf *out, int64_t n)
{
    char digits[32];
    const int len = snprintf(digits, sizeof digits, "%lld", (long long)n);
    for (int i = 0; i < len; i++) {
        if (i > 0 && digits[i - 1] != '-' && (len - i) % 3 == 0)
            cyg_strbuf_puts(out, ",");
        cyg_strbuf_add(out, &digits[i], 1);
    }
}

const char *cyg_html_entry(const cyg_doc_node *map, const char *key)
{
    const cyg_doc_node *node = cyg_doc_get(map, key);
    if (node == NULL || node->kind == CYG_DOC_LIST || node->kind == CYG_DOC_MAP ||
        node->kind == CYG_DOC_NULL)
        return "";
    return node->text;
}

double cyg_html_number(const cyg_doc_node *map, const char *key)
{
    const cyg_doc_node *node = cyg_doc_get(map, key);
    return node != NULL && (node->kind == CYG_DOC_INT || node->kind == CYG_DOC_FLOAT) ? node->number
                                                                                      : 0.0;
}

int64_t cyg_html_integer(const cyg_doc_node *map, const char *key)
{
    const cyg_doc_node *node = cyg_doc_get(map, key);
    return node != NULL && node->kind == CYG_DOC_INT ? node->integer : 0;
}

const cyg_doc_node *cyg_html_items(const cyg_doc_node *map, const char *key)
{
    const cyg_doc_node *node = cyg_doc_get(map, key);
    if (node == NULL || (node->kind != CYG_DOC_LIST && node->kind != CYG_DOC_MAP))
        return NULL;
    return node->count > 0 ? node : NULL;
}
