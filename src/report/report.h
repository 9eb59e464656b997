/* report: the page that a build leaves behind. It knows plain records only (docs/report.md), so it
 * can be written again from report.json at any time, by any version. */
#ifndef CYG_REPORT_REPORT_H
#define CYG_REPORT_REPORT_H

#include "base/status.h"
#include "base/str.h"
#include "io/doc.h"

/* Reads report.json and writes one self-contained HTML page, atomically. Pictures need graphviz's
 * dot in PATH; without it the page says so in their place. */
cyg_status cyg_report_write_html(cyg_ctx *ctx, const char *json_path,
                                 const char *html_path) CYG_MUST_USE;
/* The page as text; root is the document's root node. picture: the <svg> element of its record
 * "block" (report/picture.h), NULL when nobody could lay it out. */
cyg_status cyg_report_render(cyg_ctx *ctx, const cyg_doc_node *root, const char *picture,
                             cyg_strbuf *out_html) CYG_MUST_USE;

#endif
