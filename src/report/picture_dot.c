/* A picture as DOT, the language of graphviz.
 *
 * Labels are graphviz's HTML-like ones: a name that a stranger chose needs only the escapes of
 * HTML there, and none of the backslash codes of plain labels means anything. Tooltips know only
 * the plain form, where a backslash is doubled too. Ids are our own numbers, never names.
 *
 * Side by side, each step is put at the height of the box that does its work, so that the reader's
 * eye goes straight across; newrank lets ranks cross the panels' frames. */
#include "report/picture.h"

#include <stdio.h>
#include <string.h>

#include "report/html.h"

typedef struct role {
    const char *legend, *fill, *line;
} role;
static const role roles[] = {
#define CYG_ROLE(id, legend, fill, line, dark_fill, dark_line) {legend, fill, line},
#include "report/roles.def"
#undef CYG_ROLE
};

#define TABLE "<table border=\"0\" cellborder=\"0\" cellspacing=\"0\" cellpadding=\"2\">"
#define FONT "Helvetica,Arial,sans-serif"
#define INK "#1c1d1f"
#define SOFT "#5c5f66"
#define PAPER "#fbfbfa"
#define FRAME "#d0d0cc"
#define LINK "#0b6e6e"

/* Dark twins by attribute: what graphviz writes as fill or stroke is exactly what it was given. */
#define DARK(what, light, dark) ".cyg-picture [" what "=\"" light "\"]{" what ":" dark "}\n"
const char cyg_picture_style[] =
    ".cyg-picture{max-width:100%;height:auto}\n"
    "@media(prefers-color-scheme:dark){.cyg-picture text{fill:#e6e6e3}\n"
#define CYG_ROLE(id, legend, fill, line, dark_fill, dark_line)                                     \
    DARK("fill", fill, dark_fill) DARK("stroke", line, dark_line) DARK("fill", line, dark_line)
#include "report/roles.def"
#undef CYG_ROLE
    DARK("fill", PAPER, "#16181b") DARK("fill", SOFT, "#a5a8ae") DARK("stroke", SOFT, "#a5a8ae")
        DARK("stroke", FRAME, "#3a3d42") DARK("fill", LINK, "#5cc4bd")
            DARK("stroke", LINK, "#5cc4bd") "}\n";

static void quoted(cyg_strbuf *out, const char *text)
{
    cyg_strbuf_puts(out, "\"");
    for (const char *p = text; *p != '\0';) {
        const size_t plain = strcspn(p, "\\");
        cyg_html_text_n(out, p, plain);
        p += plain;
        if (*p == '\\') {
            cyg_strbuf_puts(out, "\\\\");
            p++;
        }
    }
    cyg_strbuf_puts(out, "\"");
}

static void cell(cyg_strbuf *out, int size, const char *colour, bool bold, const char *text)
{
    cyg_strbuf_printf(out, "<font point-size=\"%d\" color=\"%s\">%s", size, colour,
                      bold ? "<b>" : "");
    /* An empty font element is an error to graphviz. */
    cyg_html_text(out, text[0] != '\0' ? text : " ");
    cyg_strbuf_puts(out, bold ? "</b></font>" : "</font>");
}

static void label(cyg_strbuf *out, const cyg_picture_box *b)
{
    cyg_strbuf_puts(out, "<" TABLE "<tr>");
    if (b->step > 0) {
        char number[16];
        snprintf(number, sizeof number, "%u", b->step);
        cyg_strbuf_printf(out, "<td rowspan=\"%u\" width=\"18\" bgcolor=\"%s\">", b->line_count + 1,
                          roles[b->role].line);
        cell(out, 12, PAPER, true, number);
        cyg_strbuf_puts(out, "</td>");
    }
    cyg_strbuf_puts(out, "<td>");
    cell(out, 12, INK, true, b->title);
    cyg_strbuf_puts(out, "</td></tr>");
    for (uint32_t i = 0; i < b->line_count; i++) {
        cyg_strbuf_puts(out, "<tr><td>");
        cell(out, 9, SOFT, false, b->lines[i]);
        cyg_strbuf_puts(out, "</td></tr>");
    }
    cyg_strbuf_puts(out, "</table>>");
}

static void box(cyg_strbuf *out, const cyg_picture *p, uint32_t i)
{
    const cyg_picture_box *b = &p->boxes[i];
    cyg_strbuf_printf(out, "    n%u [fillcolor=\"%s\", color=\"%s\"%s, tooltip=", i,
                      roles[b->role].fill, roles[b->role].line,
                      b->role == CYG_PICTURE_fold ? ", style=\"rounded,filled,dashed\"" : "");
    quoted(out, b->name);
    cyg_strbuf_puts(out, ", label=");
    label(out, b);
    cyg_strbuf_puts(out, "];\n");
}

static void panel(cyg_strbuf *out, const cyg_picture *p, uint32_t index)
{
    cyg_strbuf_printf(out, "  subgraph cluster_%u {\n    label=<", index);
    cell(out, 14, INK, true, p->panels[index]);
    cyg_strbuf_puts(out, ">; style=rounded; color=\"" FRAME "\"; margin=12;\n");
    for (uint32_t i = 0; i < p->box_count; i++)
        if (p->boxes[i].panel == index)
            box(out, p, i);
    cyg_strbuf_puts(out, "  }\n");
}

static void edge(cyg_strbuf *out, const cyg_picture_edge *e)
{
    if (e->kind == CYG_PICTURE_BECOMES) {
        cyg_strbuf_printf(out, "  { rank=same; n%u; n%u }\n", e->from, e->to);
        cyg_strbuf_printf(out,
                          "  n%u -> n%u [style=dashed, color=\"" LINK "\", constraint=false];\n",
                          e->from, e->to);
        return;
    }
    cyg_strbuf_printf(out, "  n%u -> n%u", e->from, e->to);
    if (e->label[0] != '\0') {
        cyg_strbuf_puts(out, " [label=<");
        cell(out, 9, SOFT, false, e->label);
        cyg_strbuf_puts(out, ">]");
    }
    cyg_strbuf_puts(out, ";\n");
}

/* Title and the colours that occur. */
static void heading(cyg_strbuf *out, const cyg_picture *p)
{
    bool seen[CYG_PICTURE_ROLES] = {false};
    for (uint32_t i = 0; i < p->box_count; i++)
        seen[p->boxes[i].role] = true;
    cyg_strbuf_puts(
        out, "label=<<table border=\"0\" cellborder=\"0\" cellspacing=\"6\" cellpadding=\"4\"><tr>"
             "<td colspan=\"8\">");
    cell(out, 16, INK, true, p->title);
    cyg_strbuf_puts(out, "</td></tr><tr>");
    for (uint32_t i = 0; i < CYG_PICTURE_ROLES; i++) {
        if (!seen[i] || i == CYG_PICTURE_edge)
            continue;
        cyg_strbuf_printf(out, "<td border=\"1\" bgcolor=\"%s\" color=\"%s\">", roles[i].fill,
                          roles[i].line);
        cell(out, 10, INK, false, roles[i].legend);
        cyg_strbuf_puts(out, "</td>");
    }
    cyg_strbuf_puts(out, "<td> </td></tr><tr><td colspan=\"8\">");
    cell(out, 10, SOFT, false,
         p->panel_count > 1
             ? "Arrows carry f32 unless they say otherwise. A number is the step that "
               "the box became; a box without one is gone."
             : "Arrows carry f32 unless they say otherwise.");
    cyg_strbuf_puts(out, "</td></tr></table>>");
}

void cyg_picture_dot(const cyg_picture *p, cyg_strbuf *out)
{
    cyg_strbuf_puts(out, "digraph cygnet {\n  graph [charset=\"UTF-8\", fontname=\"" FONT
                         "\", bgcolor=\"" PAPER "\", newrank=true, nodesep=0.2, ranksep=0.25, "
                         "labelloc=t, ");
    heading(out, p);
    cyg_strbuf_puts(out, "];\n  node [shape=box, style=\"rounded,filled\", margin=\"0.06,0.03\", "
                         "height=0.2, width=0.4, fontname=\"" FONT "\"];\n"
                         "  edge [fontname=\"" FONT "\", color=\"" SOFT "\", arrowsize=0.6];\n");
    for (uint32_t i = 0; i < p->panel_count; i++)
        panel(out, p, i);
    for (uint32_t i = 0; i < p->edge_count; i++)
        edge(out, &p->edges[i]);
    cyg_strbuf_puts(out, "}\n");
}
