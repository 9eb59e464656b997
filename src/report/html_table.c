/* Tables of the page. Numbers carry their plain value in data-v for sorting and copying; what is
 * shown is rounded for people. */
#include <inttypes.h>

#include "report/html.h"

void cyg_html_text_cell(cyg_strbuf *out, const char *class_name, const char *text)
{
    cyg_strbuf_printf(out, "<td class=\"%s\">", class_name);
    cyg_html_text(out, text);
    cyg_strbuf_puts(out, "</td>");
}

void cyg_html_count_cell(cyg_strbuf *out, int64_t value, double share)
{
    cyg_strbuf_printf(out, "<td class=\"n%s\" data-v=\"%" PRId64 "\"", share > 0 ? " share" : "",
                      value);
    if (share > 0)
        cyg_strbuf_printf(out, " style=\"--s:%.1f%%\"", share > 1 ? 100.0 : 100.0 * share);
    cyg_strbuf_puts(out, ">");
    if (value != 0)
        cyg_html_count(out, value);
    cyg_strbuf_puts(out, "</td>");
}

void cyg_html_number_cell(cyg_strbuf *out, double value, int digits)
{
    cyg_strbuf_printf(out, "<td class=\"n\" data-v=\"%.9g\">%.*f</td>", value, digits, value);
}

void cyg_html_begin_table(cyg_strbuf *out, const char *id, const char *title, const char *heads,
                          bool sortable)
{
    cyg_strbuf_puts(out, "<h2>");
    cyg_html_text(out, title);
    cyg_strbuf_printf(out, " <button data-t=\"%s\">copy as TSV</button></h2>\n", id);
    cyg_strbuf_printf(out, "<div class=\"box\"><table id=\"%s\"%s><thead><tr>%s</tr></thead>\n", id,
                      sortable ? " class=\"sort\"" : "", heads);
    cyg_strbuf_puts(out, "<tbody>\n");
}

void cyg_html_end_table(cyg_strbuf *out)
{
    cyg_strbuf_puts(out, "</tbody></table></div>\n");
}
