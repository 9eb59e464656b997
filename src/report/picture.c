/* The records of a picture: collecting, writing to report.json, reading back.
 *
 * Arrays double inside the lent arena; a picture has some dozens of boxes, so what is left behind
 * is nothing. What is read may come from anywhere: numbers out of range drop the box's or arrow's
 * detail or the arrow itself, never the page. */
#include "report/picture.h"

#include <string.h>

#include "report/html.h"

static const char *const role_names[] = {
#define CYG_ROLE(id, ...) #id,
#include "report/roles.def"
#undef CYG_ROLE
};

static void *grown(cyg_picture *p, const void *items, uint32_t count, uint32_t *cap, size_t size)
{
    const uint32_t wanted = *cap == 0 ? 64 : *cap * 2;
    void *room = wanted > CYG_PICTURE_BOXES * 8 ? NULL : cyg_arena_calloc(p->arena, wanted, size);
    if (room == NULL) {
        p->failed = true;
        return NULL;
    }
    if (count > 0)
        memcpy(room, items, count * size);
    *cap = wanted;
    return room;
}

uint32_t cyg_picture_add_box(cyg_picture *p, const cyg_picture_box *box)
{
    if (p->box_count == p->box_cap) {
        void *room = grown(p, p->boxes, p->box_count, &p->box_cap, sizeof *p->boxes);
        if (room == NULL)
            return 0;
        p->boxes = room;
    }
    p->boxes[p->box_count] = *box;
    return p->box_count++;
}

void cyg_picture_add_edge(cyg_picture *p, const cyg_picture_edge *edge)
{
    if (p->edge_count == p->edge_cap) {
        void *room = grown(p, p->edges, p->edge_count, &p->edge_cap, sizeof *p->edges);
        if (room == NULL)
            return;
        p->edges = room;
    }
    p->edges[p->edge_count++] = *edge;
}

/* ---- report.json ---- */

static void write_box(const cyg_picture_box *b, cyg_json *j)
{
    cyg_json_begin_object(j);
    cyg_json_key_int(j, "panel", b->panel);
    cyg_json_key_string(j, "role", role_names[b->role]);
    cyg_json_key_int(j, "step", b->step);
    cyg_json_key_string(j, "title", b->title);
    cyg_json_key(j, "lines");
    cyg_json_begin_inline_array(j);
    for (uint32_t i = 0; i < b->line_count; i++)
        cyg_json_string(j, b->lines[i]);
    cyg_json_end_array(j);
    cyg_json_key_string(j, "name", b->name);
    cyg_json_end_object(j);
}

void cyg_picture_write(const cyg_picture *p, cyg_json *j)
{
    cyg_json_begin_object(j);
    cyg_json_key_string(j, "title", p->title);
    cyg_json_key(j, "panels");
    cyg_json_begin_array(j);
    for (uint32_t i = 0; i < p->panel_count; i++)
        cyg_json_string(j, p->panels[i]);
    cyg_json_end_array(j);
    cyg_json_key(j, "boxes");
    cyg_json_begin_array(j);
    for (uint32_t i = 0; i < p->box_count; i++)
        write_box(&p->boxes[i], j);
    cyg_json_end_array(j);
    cyg_json_key(j, "edges");
    cyg_json_begin_array(j);
    for (uint32_t i = 0; i < p->edge_count; i++) {
        const cyg_picture_edge *e = &p->edges[i];
        cyg_json_begin_object(j);
        cyg_json_key_int(j, "from", e->from);
        cyg_json_key_int(j, "to", e->to);
        cyg_json_key_string(j, "kind", e->kind == CYG_PICTURE_BECOMES ? "becomes" : "flow");
        cyg_json_key_string(j, "label", e->label);
        cyg_json_end_object(j);
    }
    cyg_json_end_array(j);
    cyg_json_end_object(j);
}

static const char *text_of(cyg_picture *p, const cyg_doc_node *map, const char *key)
{
    const char *copy = cyg_arena_strdup(p->arena, cyg_html_entry(map, key));
    p->failed = p->failed || copy == NULL;
    return copy != NULL ? copy : "";
}

static void read_box(cyg_picture *p, const cyg_doc_node *record)
{
    const cyg_doc_node *lines = cyg_html_items(record, "lines");
    const int64_t panel = cyg_html_integer(record, "panel"),
                  step = cyg_html_integer(record, "step");
    cyg_picture_box b = {.role = CYG_PICTURE_element,
                         .title = text_of(p, record, "title"),
                         .name = text_of(p, record, "name")};
    b.panel = panel > 0 && panel < p->panel_count ? (uint32_t)panel : 0;
    b.step = step > 0 && step < 100000 ? (uint32_t)step : 0;
    for (uint32_t i = 0; i < CYG_PICTURE_ROLES; i++)
        if (strcmp(role_names[i], cyg_html_entry(record, "role")) == 0)
            b.role = (cyg_picture_role)i;
    for (size_t i = 0; lines != NULL && i < lines->count && b.line_count < CYG_PICTURE_LINES; i++) {
        const char *line = cyg_arena_strdup(p->arena, lines->items[i]->text);
        if (line != NULL)
            b.lines[b.line_count++] = line;
    }
    cyg_picture_add_box(p, &b);
}

static void read_edge(cyg_picture *p, const cyg_doc_node *record)
{
    const int64_t from = cyg_html_integer(record, "from"), to = cyg_html_integer(record, "to");
    if (from < 0 || from >= p->box_count || to < 0 || to >= p->box_count)
        return;
    const bool becomes = strcmp(cyg_html_entry(record, "kind"), "becomes") == 0;
    const cyg_picture_edge e = {(uint32_t)from, (uint32_t)to,
                                becomes ? CYG_PICTURE_BECOMES : CYG_PICTURE_FLOW,
                                text_of(p, record, "label")};
    cyg_picture_add_edge(p, &e);
}

void cyg_picture_read(const cyg_doc_node *record, cyg_arena *arena, cyg_picture *out)
{
    const cyg_doc_node *panels = cyg_html_items(record, "panels"),
                       *boxes = cyg_html_items(record, "boxes"),
                       *edges = cyg_html_items(record, "edges");
    *out = (cyg_picture){.arena = arena};
    out->title = text_of(out, record, "title");
    for (size_t i = 0; panels != NULL && i < panels->count && i < CYG_PICTURE_PANELS; i++) {
        const char *panel = cyg_arena_strdup(arena, panels->items[i]->text);
        out->panels[out->panel_count++] = panel != NULL ? panel : "";
    }
    for (size_t i = 0; boxes != NULL && i < boxes->count && !out->failed; i++)
        read_box(out, boxes->items[i]);
    for (size_t i = 0; edges != NULL && i < edges->count && !out->failed; i++)
        read_edge(out, edges->items[i]);
}
