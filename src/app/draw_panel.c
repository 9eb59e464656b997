/* One panel of a picture: a box for each group of nodes, a box for each value that comes from
 * outside or leaves, arrows for the data between. */
#include <stdio.h>
#include <string.h>

#include "app/draw.h"

enum { OPS_LISTED = 6 };

typedef struct painter {
    cyg_ctx *ctx;
    const cyg_drawing *d;
    const cyg_graph *g;
    cyg_picture *p;
    cyg_arena *arena; /* the picture's */
    cyg_draw_fold fold;
    uint32_t panel;
    size_t prefix;
    uint32_t *box;     /* [node]: box of the group that the node stands for */
    uint32_t *outside; /* [value]: box of a value from outside, CYG_NO_ID = none yet */
    uint32_t *members; /* [node]: nodes in its group */
} painter;

/* ---- boxes ---- */

/* "Slice 4, Concat 2, Reshape": operators of a group by first appearance, and their names. */
static void list_group(painter *w, uint32_t head, cyg_picture_box *b)
{
    struct {
        cyg_op op;
        uint32_t count;
    } ops[OPS_LISTED];
    uint32_t kinds = 0, others = 0;
    cyg_strbuf text = {0}, names = {0};
    for (uint32_t i = 0; i < w->g->order_count; i++) {
        const cyg_node *n = cyg_nod(w->g, w->g->order[i]);
        uint32_t k = 0;
        if (w->fold.group[w->g->order[i].i] != head)
            continue;
        if (names.len < 400)
            cyg_strbuf_printf(&names, "%s%.100s", names.len > 0 ? "\n" : "", n->name);
        while (k < kinds && ops[k].op != n->op)
            k++;
        if (k == OPS_LISTED)
            others++;
        else if (k < kinds)
            ops[k].count++;
        else {
            ops[kinds].op = n->op;
            ops[kinds++].count = 1;
        }
    }
    for (uint32_t k = 0; k < kinds; k++) {
        cyg_strbuf_printf(&text, "%s%s", k > 0 ? ", " : "", cyg_op_schema_of(ops[k].op)->onnx);
        if (ops[k].count > 1)
            cyg_strbuf_printf(&text, " ×%u", ops[k].count);
    }
    if (others > 0)
        cyg_strbuf_printf(&text, ", others ×%u", others);
    b->lines[b->line_count++] = cyg_arena_printf(w->arena, "%s", text.data);
    b->name = cyg_arena_printf(w->arena, "%s", names.data);
    w->p->failed = w->p->failed || b->lines[0] == NULL || b->name == NULL || text.failed;
    cyg_strbuf_deinit(&text);
    cyg_strbuf_deinit(&names);
}

static bool is_fixed(const painter *w, const cyg_node *n)
{
    return n->out_count > 0 && !cyg_value_is_none(n->out[0]) && w->fold.fixed[n->out[0].i];
}

static void describe_group(painter *w, uint32_t head, cyg_picture_box *b)
{
    const uint32_t count = w->members[head];
    const cyg_node *n = &w->g->nodes[head];
    const char *what = head == w->fold.sizes ? "shape arithmetic"
                       : is_fixed(w, n)      ? "constant arithmetic"
                                             : "movement";
    b->role = is_fixed(w, n) ? CYG_PICTURE_fold : CYG_PICTURE_move;
    b->title = cyg_arena_printf(w->arena, "%s, %u node%s", what, count, count == 1 ? "" : "s");
    if (b->title == NULL)
        b->title = what;
    list_group(w, head, b);
}

static const char *was_text(painter *w, uint32_t step)
{
    const uint32_t count = w->d->was != NULL ? w->d->was[step] : 0;
    if (count < 2)
        return NULL;
    return cyg_arena_printf(w->arena, "was %u nodes", count);
}

static void add_box(painter *w, uint32_t head)
{
    const cyg_node *n = &w->g->nodes[head];
    cyg_picture_box b = {.panel = w->panel, .title = "", .name = ""};
    if (w->members[head] > 1 || (w->d->fold && is_fixed(w, n)))
        describe_group(w, head, &b);
    else
        cyg_draw_describe(w->arena, w->g, n, w->prefix, &b);
    for (uint32_t i = 0; i < w->g->order_count && w->d->steps != NULL; i++) {
        const uint32_t id = w->g->order[i].i, step = w->d->steps[id];
        if (w->fold.group[id] == head && step > 0 && (b.step == 0 || step < b.step))
            b.step = step;
    }
    const char *was = was_text(w, b.step);
    if (was != NULL && b.line_count < CYG_PICTURE_LINES)
        b.lines[b.line_count++] = was;
    w->box[head] = cyg_picture_add_box(w->p, &b);
}

/* A value that comes from outside the picture, or goes there. */
static uint32_t add_outside(painter *w, const cyg_value *v, bool leaves)
{
    const char *name = strlen(v->name) > w->prefix && w->prefix > 0 && v->name[w->prefix - 1] == '/'
                           ? v->name + w->prefix
                           : v->name;
    const cyg_picture_box b = {.panel = w->panel,
                               .role = CYG_PICTURE_edge,
                               .title = leaves ? "out" : "in",
                               .lines = {cyg_draw_short(w->arena, name)},
                               .line_count = 1,
                               .name = cyg_draw_keep(w->arena, v->name)};
    return cyg_picture_add_box(w->p, &b);
}

/* ---- arrows ---- */

static void add_flow(painter *w, uint32_t from, uint32_t to, const cyg_value *v)
{
    const char *label = cyg_draw_value(w->arena, w->g, v);
    for (uint32_t i = 0; i < w->p->edge_count; i++) {
        const cyg_picture_edge *e = &w->p->edges[i];
        if (e->from == from && e->to == to && strcmp(e->label, label) == 0)
            return;
    }
    const cyg_picture_edge e = {from, to, CYG_PICTURE_FLOW, label};
    cyg_picture_add_edge(w->p, &e);
}

static void add_arrows_in(painter *w, uint32_t id)
{
    const cyg_node *n = &w->g->nodes[id];
    const uint32_t group = w->fold.group[id];
    const bool folded = w->d->fold && is_fixed(w, n);
    for (uint32_t i = 0; i < n->in_count; i++) {
        if (cyg_value_is_none(n->in[i]) || cyg_val(w->g, n->in[i])->is_const)
            continue;
        if (folded && !w->fold.fixed[n->in[i].i]) /* it looks at the shape only */
            continue;
        const cyg_value *v = cyg_val(w->g, n->in[i]);
        const uint32_t from =
            cyg_node_is_none(v->producer) ? CYG_NO_ID : w->fold.group[v->producer.i];
        if (from == group ||
            (w->fold.sizes != CYG_NO_ID && (from == w->fold.sizes || group == w->fold.sizes)))
            continue;
        if (from != CYG_NO_ID) {
            add_flow(w, w->box[from], w->box[group], v);
            continue;
        }
        if (w->d->fold && w->fold.fixed[n->in[i].i]) /* computed for other parts too */
            continue;
        if (w->outside[n->in[i].i] == CYG_NO_ID)
            w->outside[n->in[i].i] = add_outside(w, v, false);
        add_flow(w, w->outside[n->in[i].i], w->box[group], v);
    }
}

static void add_arrows_out(painter *w, const cyg_uses *uses, uint32_t id)
{
    const cyg_node *n = &w->g->nodes[id];
    for (uint32_t i = 0; i < n->out_count; i++) {
        if (cyg_value_is_none(n->out[i]) || (w->d->fold && w->fold.fixed[n->out[i].i]))
            continue;
        bool leaves = cyg_graph_is_output(w->g, n->out[i]);
        for (uint32_t u = uses->first[n->out[i].i]; u < uses->first[n->out[i].i + 1]; u++) {
            const cyg_node *user = cyg_nod(w->g, uses->user[u]);
            leaves = leaves || (w->fold.group[uses->user[u].i] == CYG_NO_ID &&
                                !(w->d->fold && is_fixed(w, user)));
        }
        const cyg_value *v = cyg_val(w->g, n->out[i]);
        if (leaves)
            add_flow(w, w->box[w->fold.group[id]], add_outside(w, v, true), v);
    }
}

/* ---- the panel ---- */

static cyg_status count_groups(painter *w)
{
    uint32_t boxes = 0, nodes = 0;
    for (uint32_t i = 0; i < w->g->node_count; i++) {
        if (w->fold.group[i] == CYG_NO_ID)
            continue;
        nodes++;
        boxes += w->members[w->fold.group[i]]++ == 0;
    }
    if (boxes > CYG_DRAW_BOXES)
        return CYG_FAIL(w->ctx, CYG_E_UNSUPPORTED,
                        "%u nodes in %u boxes are too many for one picture (%d boxes at most): "
                        "--block K draws one attention block, --around NODE --radius N a "
                        "neighbourhood, --stage optimised the graph when it is optimised",
                        nodes, boxes, (int)CYG_DRAW_BOXES);
    return CYG_OK;
}

cyg_status cyg_draw_panel(cyg_ctx *ctx, const cyg_drawing *d, const char *title, cyg_picture *p,
                          uint32_t **out_box)
{
    painter w = {.ctx = ctx, .d = d, .g = d->g, .p = p, .arena = p->arena, .panel = p->panel_count};
    cyg_uses uses;
    w.box = CYG_NEW_ARRAY(p->arena, uint32_t, (size_t)d->g->node_count + 1);
    w.members = CYG_NEW_ARRAY(p->arena, uint32_t, (size_t)d->g->node_count + 1);
    w.outside = CYG_NEW_ARRAY(p->arena, uint32_t, (size_t)d->g->value_count + 1);
    if (w.box == NULL || w.members == NULL || w.outside == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    for (uint32_t i = 0; i < d->g->value_count; i++)
        w.outside[i] = CYG_NO_ID;
    CYG_DO(cyg_uses_build(ctx, d->g, p->arena, &uses));
    CYG_DO(cyg_draw_fold_nodes(ctx, p->arena, d, &w.fold));
    CYG_DO(count_groups(&w));
    w.prefix = cyg_draw_prefix(d);
    p->panels[p->panel_count++] = title;
    for (uint32_t i = 0; i < d->g->order_count; i++)
        if (w.fold.group[d->g->order[i].i] == d->g->order[i].i)
            add_box(&w, d->g->order[i].i);
    for (uint32_t i = 0; i < d->g->order_count; i++)
        if (w.fold.group[d->g->order[i].i] != CYG_NO_ID)
            add_arrows_in(&w, d->g->order[i].i);
    for (uint32_t i = 0; i < d->g->order_count; i++)
        if (w.fold.group[d->g->order[i].i] != CYG_NO_ID)
            add_arrows_out(&w, &uses, d->g->order[i].i);
    for (uint32_t i = 0; i < d->g->node_count; i++)
        if (w.fold.group[i] != CYG_NO_ID && w.fold.group[i] != i)
            w.box[i] = w.box[w.fold.group[i]];
    *out_box = w.box;
    return p->failed ? CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory for a picture") : CYG_OK;
}
