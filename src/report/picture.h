/* Pictures of graphs: boxes, arrows, one panel or two side by side. Plain records, so that
 * report.json can hold one and the page can be written again from it; who fills them knows graphs
 * (app/draw.h), nobody here does.
 *
 * A picture is written as DOT, or laid out by graphviz as SVG. Texts come from model files: the
 * writers escape them. Texts are lent and live as long as the picture's arena. */
#ifndef CYG_REPORT_PICTURE_H
#define CYG_REPORT_PICTURE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"
#include "base/str.h"
#include "io/doc.h"
#include "io/json_write.h"

typedef enum cyg_picture_role {
#define CYG_ROLE(id, ...) CYG_PICTURE_##id,
#include "report/roles.def"
#undef CYG_ROLE
    CYG_PICTURE_ROLES
} cyg_picture_role;

enum { CYG_PICTURE_PANELS = 2, CYG_PICTURE_BOXES = 4096, CYG_PICTURE_LINES = 12 };

typedef struct cyg_picture_box {
    uint32_t panel;
    cyg_picture_role role;
    uint32_t step;     /* number in the corner, the same in both panels; 0 = none */
    const char *title; /* never NULL */
    const char *lines[CYG_PICTURE_LINES]; /* small print below */
    uint32_t line_count;
    const char *name; /* in full, shown when the pointer rests on the box */
} cyg_picture_box;

typedef enum cyg_picture_edge_kind {
    CYG_PICTURE_FLOW,    /* data, from one box to the next */
    CYG_PICTURE_BECOMES, /* dashed, from a box to the one that took its place */
} cyg_picture_edge_kind;

typedef struct cyg_picture_edge {
    uint32_t from, to;
    cyg_picture_edge_kind kind;
    const char *label; /* "" = none */
} cyg_picture_edge;

typedef struct cyg_picture {
    cyg_arena *arena; /* lent */
    const char *title;
    const char *panels[CYG_PICTURE_PANELS]; /* their titles */
    uint32_t panel_count;
    cyg_picture_box *boxes;
    uint32_t box_count, box_cap;
    cyg_picture_edge *edges;
    uint32_t edge_count, edge_cap;
    bool failed; /* out of memory at some point */
} cyg_picture;

/* The box's number. */
uint32_t cyg_picture_add_box(cyg_picture *p, const cyg_picture_box *box);
void cyg_picture_add_edge(cyg_picture *p, const cyg_picture_edge *edge);

/* The record of docs/report.md, and back. Reading is lenient as all of the report is: what does not
 * fit is left out. */
void cyg_picture_write(const cyg_picture *p, cyg_json *j);
void cyg_picture_read(const cyg_doc_node *record, cyg_arena *arena, cyg_picture *out);

/* DOT text. */
void cyg_picture_dot(const cyg_picture *p, cyg_strbuf *out);
/* One <svg> element, laid out by graphviz's `dot` from PATH: for a page that has the style below,
 * or `alone` as a file with style and namespaces of its own. *out_found = false, with CYG_OK, when
 * dot is not installed. */
cyg_status cyg_picture_svg(cyg_ctx *ctx, const cyg_picture *p, bool alone, cyg_strbuf *out,
                           bool *out_found) CYG_MUST_USE;
/* Darkens such an element where the reader's system is dark; for <style>. */
extern const char cyg_picture_style[];

#endif
