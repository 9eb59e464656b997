/* What shares a box.
 *
 * Movement: whatever only moves data of one value, by however many nodes, is one box; a node that
 * brings two values together begins another. That can never make a ring of boxes: all that a box's
 * nodes read is the value or comes from the box.
 *
 * Constants: what is computed from constants and shapes alone is known before the first run. Such
 * nodes that make a table (a mask, a gathered bias) are one box a table; all the rest, which
 * computes sizes and indices for Reshape and its like, is one box for the picture. */
#include "app/draw.h"

typedef struct folder {
    const cyg_drawing *d;
    const cyg_graph *g;
    cyg_draw_fold *f;
    uint32_t *stack; /* [node_count + 1] */
    uint32_t *root;  /* [value_count]: value whose data a moved one holds; itself where none is */
    uint32_t *mover; /* [value_count]: first node that moves it, CYG_NO_ID = none */
} folder;

bool cyg_draw_node_fixed(const cyg_graph *g, const cyg_node *n, const bool *fixed)
{
    if ((cyg_op_schema_of(n->op)->flags & CYG_OPF_SHAPE) != 0 && n->in_count > 0 &&
        cyg_value_shape_known(cyg_val(g, n->in[0])))
        return true;
    for (uint32_t i = 0; i < n->in_count; i++)
        if (!cyg_value_is_none(n->in[i]) && !fixed[n->in[i].i])
            return false;
    return true;
}

static void find_fixed(folder *s)
{
    for (uint32_t i = 0; i < s->g->value_count; i++)
        s->f->fixed[i] = s->g->values[i].is_const;
    for (uint32_t i = 0; i < s->g->order_count; i++) {
        const cyg_node *n = cyg_nod(s->g, s->g->order[i]);
        const bool fixed = cyg_draw_node_fixed(s->g, n, s->f->fixed);
        for (uint32_t k = 0; k < n->out_count; k++)
            if (!cyg_value_is_none(n->out[k]))
                s->f->fixed[n->out[k].i] = fixed;
    }
}

/* The one value whose data n moves, seen through the movement before it; CYG_NO_ID when there is
 * not exactly one. */
static uint32_t moved_value(const folder *s, const cyg_node *n)
{
    uint32_t value = CYG_NO_ID;
    for (uint32_t i = 0; i < n->in_count; i++) {
        if (cyg_value_is_none(n->in[i]) || s->f->fixed[n->in[i].i])
            continue;
        const uint32_t v = s->root[n->in[i].i];
        if (value != CYG_NO_ID && v != value)
            return CYG_NO_ID;
        value = v;
    }
    return value;
}

static bool is_fixed_node(const folder *s, const cyg_node *n)
{
    return n->out_count > 0 && !cyg_value_is_none(n->out[0]) && s->f->fixed[n->out[0].i];
}

static void join_movement(folder *s, uint32_t id, const cyg_node *n)
{
    const uint32_t value = moved_value(s, n);
    if (value == CYG_NO_ID)
        return;
    if (s->mover[value] == CYG_NO_ID)
        s->mover[value] = id;
    s->f->group[id] = s->mover[value];
    for (uint32_t k = 0; k < n->out_count; k++)
        if (!cyg_value_is_none(n->out[k]))
            s->root[n->out[k].i] = value;
}

static void group_moving(folder *s)
{
    for (uint32_t i = 0; i < s->g->value_count; i++) {
        s->root[i] = i;
        s->mover[i] = CYG_NO_ID;
    }
    for (uint32_t i = 0; i < s->g->order_count; i++) {
        const uint32_t id = s->g->order[i].i;
        const cyg_node *n = &s->g->nodes[id];
        if (!s->d->chosen[id] || (s->d->fold && is_fixed_node(s, n)))
            continue;
        s->f->group[id] = id;
        if (s->d->fold && cyg_draw_role(n) == CYG_PICTURE_move && n->op != CYG_OP_gather_rows)
            join_movement(s, id, n);
    }
}

/* The fixed nodes that `head` needs and no box has yet. */
static void gather_table(folder *s, uint32_t head)
{
    uint32_t depth = 0;
    s->stack[depth++] = head;
    s->f->group[head] = head;
    while (depth > 0) {
        const cyg_node *n = &s->g->nodes[s->stack[--depth]];
        for (uint32_t i = 0; i < n->in_count; i++) {
            if (cyg_value_is_none(n->in[i]) || !s->f->fixed[n->in[i].i])
                continue;
            const cyg_node_id p = cyg_val(s->g, n->in[i])->producer;
            if (cyg_node_is_none(p) || !s->d->chosen[p.i] || s->f->group[p.i] != CYG_NO_ID)
                continue;
            s->f->group[p.i] = head;
            s->stack[depth++] = p.i;
        }
    }
}

static bool is_size(const cyg_value *v)
{
    return v->rank <= 1 && v->type != CYG_TYPE_F32 && v->type != CYG_TYPE_F16 &&
           v->type != CYG_TYPE_F64;
}

static void group_fixed(folder *s)
{
    for (uint32_t i = 0; i < s->g->order_count; i++) {
        const cyg_node *n = cyg_nod(s->g, s->g->order[i]);
        if (!s->d->chosen[s->g->order[i].i] || is_fixed_node(s, n))
            continue;
        for (uint32_t k = 0; k < n->in_count; k++) {
            if (cyg_value_is_none(n->in[k]) || !s->f->fixed[n->in[k].i])
                continue;
            const cyg_value *v = cyg_val(s->g, n->in[k]);
            if (!cyg_node_is_none(v->producer) && s->d->chosen[v->producer.i] &&
                s->f->group[v->producer.i] == CYG_NO_ID && !is_size(v))
                gather_table(s, v->producer.i);
        }
    }
    for (uint32_t i = 0; i < s->g->order_count; i++) {
        const uint32_t id = s->g->order[i].i;
        if (!s->d->chosen[id] || s->f->group[id] != CYG_NO_ID)
            continue;
        if (s->f->sizes == CYG_NO_ID)
            s->f->sizes = id;
        s->f->group[id] = s->f->sizes;
    }
}

cyg_status cyg_draw_fold_nodes(cyg_ctx *ctx, cyg_arena *arena, const cyg_drawing *d,
                               cyg_draw_fold *out)
{
    folder s = {.d = d, .g = d->g, .f = out};
    out->sizes = CYG_NO_ID;
    out->fixed = CYG_NEW_ARRAY(arena, bool, (size_t)d->g->value_count + 1);
    out->group = CYG_NEW_ARRAY(arena, uint32_t, (size_t)d->g->node_count + 1);
    s.stack = CYG_NEW_ARRAY(arena, uint32_t, (size_t)d->g->node_count + 1);
    s.root = CYG_NEW_ARRAY(arena, uint32_t, (size_t)d->g->value_count + 1);
    s.mover = CYG_NEW_ARRAY(arena, uint32_t, (size_t)d->g->value_count + 1);
    if (out->fixed == NULL || out->group == NULL || s.stack == NULL || s.root == NULL ||
        s.mover == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    for (uint32_t i = 0; i < d->g->node_count; i++)
        out->group[i] = CYG_NO_ID;
    find_fixed(&s);
    group_moving(&s);
    if (d->fold)
        group_fixed(&s);
    return CYG_OK;
}
