/* The section of the page on an NPU's schedule: record "npu" (docs/report.md) as a summary,
 * timelines and a table of what limits each step. Private to report/. */
#ifndef CYG_REPORT_NPU_H
#define CYG_REPORT_NPU_H

#include "base/str.h"
#include "io/doc.h"

/* Nothing when there is no such record. */
void cyg_report_npu(const cyg_doc_node *root, cyg_strbuf *out);

/* npu_svg.c: an <svg> element each, colours by cyg_npu_style. */
extern const char cyg_npu_style[];
/* Engines over time, the OCM and the DDR below on the same axis; a click or wheel zooms (npu_zoom).
 */
void cyg_npu_timeline(const cyg_doc_node *subgraph, double cycles_a_ms, cyg_strbuf *out);
/* A few lines of script: zooms every svg.zoom. Static text. */
extern const char cyg_npu_script[];

#endif
