/* The table patterns.def, applied: every node is tried as the root of every formula (match.h), and
 * what matches becomes the operator on the right of its arrow.
 *
 * The new node takes the root's place, name and result, and the provenance of all it stands for.
 * What was inside goes, unless somebody else reads it. A constant that broadcasts the result to
 * more than its operand's shape would be lost, so the two shapes must agree, except where the
 * operator reduces. */
#include "base/bytes.h"
#include "pass/match.h"
#include "pass/passes.h"

static const char *const texts[] = {
#define CYG_PATTERN(text) text,
#include "pass/patterns.def"
#undef CYG_PATTERN
};

enum { OPERANDS = 4 };

/* ---- constants of the result ---- */

/* The last $name of a vector expression lends its name to the result; none: ones. */
static cyg_value_id named_after(const cyg_match *m, const cyg_term *t)
{
    cyg_value_id found = t->kind == CYG_TERM_CHANNELS ? m->value[t->slot] : CYG_NO_VALUE;
    for (const cyg_term *c = t->child; c != NULL; c = c->next) {
        const cyg_value_id inner = named_after(m, c);
        found = cyg_value_is_none(inner) ? found : inner;
    }
    return found;
}

static float channel(const cyg_match *m, const cyg_term *t, int64_t i)
{
    if (t->kind == CYG_TERM_CHANNELS)
        return cyg_float_at(cyg_val(m->rw->g, m->value[t->slot])->data, i);
    const bool product = t->kind == CYG_TERM_PRODUCT;
    float x = product || t->kind == CYG_TERM_ONES ? 1.0f : 0.0f;
    for (const cyg_term *c = t->child; c != NULL; c = c->next)
        x = product ? x * channel(m, c, i) : x + channel(m, c, i);
    return x;
}

static cyg_value_id vector(cyg_match *m, const cyg_term *t)
{
    cyg_rw *rw = m->rw;
    const cyg_value_id name = named_after(m, t);
    const size_t bytes = (size_t)m->channels * sizeof(float);
    if (t->kind == CYG_TERM_CHANNELS && cyg_val(rw->g, name)->rank == 1)
        return name;
    float *data = cyg_arena_alloc(&rw->g->arena, bytes, 64);
    if (data == NULL)
        return CYG_NO_VALUE;
    for (int64_t i = 0; i < m->channels; i++)
        data[i] = channel(m, t, i);
    return cyg_value_is_none(name)
               ? cyg_graph_add_const(rw->g, "ones", CYG_TYPE_F32, 1, &m->channels, data, bytes)
               : cyg_rw_const_for(rw, name, 1, &m->channels, data, bytes);
}

static cyg_value_id operand(cyg_match *m, const cyg_term *t)
{
    switch ((int)t->kind) {
    case CYG_TERM_VALUE:
    case CYG_TERM_CONST:
        return m->value[t->slot];
    case CYG_TERM_NUMBER:
        return cyg_rw_const_scalar(m->rw, "scalar",
                                   (float)(t->slot < 0 ? t->number : m->number[t->slot]));
    default:
        return vector(m, t);
    }
}

/* ---- building ---- */

static bool set_attr(cyg_match *m, cyg_node_id n, cyg_op op, const cyg_term_attr *a)
{
    cyg_graph *g = m->rw->g;
    const cyg_op_schema *schema = cyg_op_schema_of(op);
    const double x = a->slot < 0 ? a->number : m->number[a->slot];
    if (a->text != NULL)
        return cyg_node_set_string(g, n, a->key, a->text);
    for (size_t i = 0; i < schema->attr_count; i++)
        if (schema->attrs[i].key == a->key && schema->attrs[i].kind == CYG_KIND_INT)
            return cyg_node_set_int(g, n, a->key, (int64_t)x);
    return cyg_node_set_float(g, n, a->key, (float)x);
}

/* Reductions have their result's shape from the root as it is; all else has its operand's. */
static bool shapes_agree(const cyg_match *m, cyg_value_id out)
{
    const cyg_term *result = m->formula->result;
    const bool reduces = result->child->next != NULL && result->child->next->kind == CYG_TERM_CONST;
    return reduces || cyg_rw_same_shape(m->rw, m->value[result->child->slot], out);
}

static cyg_status build(cyg_match *m)
{
    cyg_rw *rw = m->rw;
    const cyg_term *result = m->formula->result;
    const cyg_node_id root = m->node[0];
    const cyg_value_id out = cyg_nod(rw->g, root)->out[0],
                       feeds[2] = {cyg_node_in(cyg_nod(rw->g, root), 0),
                                   cyg_node_in(cyg_nod(rw->g, root), 1)};
    cyg_value_id in[OPERANDS];
    uint32_t count = 0;
    for (const cyg_term *t = result->child; t != NULL && count < OPERANDS; t = t->next) {
        in[count] = operand(m, t);
        if (cyg_value_is_none(in[count++]))
            return CYG_RW_NOMEM(rw);
    }
    const cyg_node_id now = cyg_rw_replace(rw, root, result->op, in, count, out);
    if (cyg_node_is_none(now))
        return CYG_RW_NOMEM(rw);
    for (const cyg_term_attr *a = result->attrs; a != NULL; a = a->next)
        if (!set_attr(m, now, result->op, a))
            return CYG_RW_NOMEM(rw);
    for (int i = 1; i < m->node_count; i++)
        cyg_node_merge_sources(rw->g, now, m->node[i]);
    for (int i = 0; i < 2; i++)
        if (!cyg_value_is_none(feeds[i]))
            cyg_rw_drop(rw, feeds[i]);
    return CYG_OK;
}

static cyg_status visit(cyg_rw *rw, cyg_node_id id)
{
    const cyg_formula *formulas = rw->data;
    cyg_match m;
    for (size_t i = 0; i < CYG_COUNT(texts); i++)
        if (cyg_match_at(rw, &formulas[i], id, &m) && shapes_agree(&m, cyg_nod(rw->g, id)->out[0]))
            return build(&m);
    return CYG_OK;
}

cyg_status cyg_pass_patterns(cyg_ctx *ctx, cyg_graph *g, bool *out_changed)
{
    cyg_arena arena;
    cyg_formula formulas[CYG_COUNT(texts)];
    cyg_status status = CYG_OK;
    *out_changed = false;
    cyg_arena_init(&arena);
    for (size_t i = 0; status == CYG_OK && i < CYG_COUNT(texts); i++)
        status = cyg_formula_parse(ctx, &arena, texts[i], &formulas[i]);
    if (status == CYG_OK)
        status = cyg_rw_each_with(ctx, g, visit, formulas, out_changed);
    cyg_arena_deinit(&arena);
    return status;
}
