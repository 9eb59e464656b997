/* Building blocks of the page. Private to report/. */
#ifndef CYG_REPORT_HTML_H
#define CYG_REPORT_HTML_H

#include "base/str.h"
#include "io/doc.h"

/* Text with &, <, >, " and ' escaped, control characters and broken UTF-8 replaced: safe in element
 * content and in quoted attributes. */
void cyg_html_text(cyg_strbuf *out, const char *text);
void cyg_html_text_n(cyg_strbuf *out, const char *text, size_t size);
/* "12,345" */
void cyg_html_count(cyg_strbuf *out, int64_t n);
/* Text of a scalar entry; "" when it is absent or no scalar. */
const char *cyg_html_entry(const cyg_doc_node *map, const char *key);
/* Number of an entry; 0 when it is absent or no number. */
double cyg_html_number(const cyg_doc_node *map, const char *key);
int64_t cyg_html_integer(const cyg_doc_node *map, const char *key);
/* The entry when it is a list or map of at least one item, else NULL. */
const cyg_doc_node *cyg_html_items(const cyg_doc_node *map, const char *key);

/* html_table.c: a table with its heading and the button that copies it. heads: the <th> elements;
 * id: for the button. Rows and their <tr> are the caller's. */
void cyg_html_begin_table(cyg_strbuf *out, const char *id, const char *title, const char *heads,
                          bool sortable);
void cyg_html_end_table(cyg_strbuf *out);
void cyg_html_text_cell(cyg_strbuf *out, const char *class_name, const char *text);
void cyg_html_number_cell(cyg_strbuf *out, double value, int digits);
/* An integer; share (0..1) draws a bar behind it. */
void cyg_html_count_cell(cyg_strbuf *out, int64_t value, double share);

/* page.c: what stands before and after the content, with style and script. */
void cyg_html_begin(cyg_strbuf *out, const char *title);
void cyg_html_end(cyg_strbuf *out);

#endif
