/* A picture as one <svg> element, laid out by graphviz.
 *
 * `dot` gets DOT at its standard input and gives SVG with an XML head and a comment; from the
 * element on it is kept, with a class for the style. In HTML the namespaces are implied and the
 * style is the page's; a file of its own has both. Nothing else in it needs a look: its texts are
 * those that picture_dot.c escaped, and graphviz escapes them again. */
#include "report/picture.h"

#include <string.h>

#include "base/filter.h"

enum { SECONDS = 60 };

/* "<svg width=.. viewBox=.. xmlns=..>" with our class, without the namespaces unless alone. */
static void open_element(cyg_strbuf *out, const char *element, size_t size, bool alone)
{
    cyg_strbuf_puts(out, "<svg class=\"cyg-picture\"");
    for (size_t at = strlen("<svg"); at < size;) {
        const char *next = memchr(element + at + 1, '"', size - at - 1);
        const char *end =
            next == NULL ? NULL : memchr(next + 1, '"', size - (size_t)(next + 1 - element));
        if (end == NULL)
            break;
        const size_t length = (size_t)(end + 1 - (element + at));
        if (alone || memmem(element + at, length, "xmlns", 5) == NULL)
            cyg_strbuf_add(out, element + at, length);
        at += length;
    }
    cyg_strbuf_puts(out, ">");
    if (alone) {
        cyg_strbuf_puts(out, "<style>\n");
        cyg_strbuf_puts(out, cyg_picture_style);
        cyg_strbuf_puts(out, "</style>");
    }
}

cyg_status cyg_picture_svg(cyg_ctx *ctx, const cyg_picture *p, bool alone, cyg_strbuf *out,
                           bool *out_found)
{
    static const char *const words[] = {"dot", "-Tsvg", NULL};
    cyg_strbuf text = {0}, svg = {0};
    cyg_picture_dot(p, &text);
    cyg_status status =
        text.failed ? CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory")
                    : cyg_filter_run(ctx, words, text.data, text.len, SECONDS, &svg, out_found);
    if (status == CYG_OK && *out_found) {
        const char *begin = svg.data != NULL ? strstr(svg.data, "<svg") : NULL;
        const char *end = begin != NULL ? strchr(begin, '>') : NULL;
        if (end == NULL) {
            status = CYG_FAIL(ctx, CYG_E_FORMAT, "dot: no <svg> in what it printed");
        } else {
            open_element(out, begin, (size_t)(end - begin), alone);
            cyg_strbuf_puts(out, end + 1);
            if (out->failed)
                status = CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
        }
    }
    cyg_strbuf_deinit(&text);
    cyg_strbuf_deinit(&svg);
    return status;
}
