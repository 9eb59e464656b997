/* The section of the page on what the integers cost: record "precision" (docs/report.md) as three
 * pictures and a table. Private to report/. */
#ifndef CYG_REPORT_PRECISION_H
#define CYG_REPORT_PRECISION_H

#include "base/str.h"
#include "io/doc.h"

/* Nothing when there is no such record. */
void cyg_report_precision(const cyg_doc_node *root, cyg_strbuf *out);

/* precision_svg.c: an <svg> element each, its colours by cyg_precision_style, which knows the
 * page's variables. Nothing when there is nothing to draw. */
extern const char cyg_precision_style[];
/* SQNR of each tensor in order of execution, alone and as run. */
void cyg_precision_depth(const cyg_doc_node *layers, const char *born, cyg_strbuf *out);
/* One histogram a layer that has bins, with the range that its integers hold. */
void cyg_precision_histograms(const cyg_doc_node *layers, cyg_strbuf *out);
/* Spread of the weights' channels, layer by layer. */
void cyg_precision_spread(const cyg_doc_node *weights, cyg_strbuf *out);

#endif
