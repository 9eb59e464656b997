/* Matching of formulas against the graph.
 *
 * Both sides are compared in a normal form. A product of the graph is taken apart through Mul, Div,
 * Pow with a constant, Sqrt, Reciprocal and Neg into factors with exponents and one constant; a sum
 * through Add, Sub and Neg into signed terms and one constant. Then the formula's children are
 * assigned to them, with backtracking. That is why a formula needs one line for all orders,
 * groupings and spellings: x / 2 * (1 + e) also finds Mul(Mul(0.5, Add(e, 1)), x).
 *
 * A node inside is only taken apart when nobody else reads its result: otherwise the shared value
 * is a factor by itself, which is just what it is when a formula's x stands for it twice. Roots are
 * not pulled apart (sqrt(a^2) is no a).
 *
 * Constants agree within 2e-5 of their size: exporters print 0.79788456 with five to ten digits. */
#include "pass/match.h"

#include <math.h>
#include <string.h>

enum { PARTS = 8, DEPTH = 8 };

typedef struct parts {
    struct {
        cyg_value_id v;
        double weight;
    } part[PARTS];
    int count;
    double number;
} parts;

static bool match_term(cyg_match *m, const cyg_term *t, cyg_value_id v);

static bool near(double a, double b)
{
    return fabs(a - b) <= 2e-5 * fabs(b);
}

static bool note(cyg_match *m, cyg_node_id n)
{
    for (int i = 0; i < m->node_count; i++)
        if (m->node[i].i == n.i)
            return true;
    if (m->node_count == CYG_MATCH_NODES)
        return false;
    m->node[m->node_count++] = n;
    return true;
}

static bool bind_number(cyg_match *m, int slot, double x)
{
    if (m->has_number[slot])
        return near(x, m->number[slot]);
    m->has_number[slot] = true;
    m->number[slot] = x;
    return true;
}

/* ---- normal forms ---- */

static bool add_part(parts *p, cyg_value_id v, double weight)
{
    for (int i = 0; i < p->count; i++)
        if (p->part[i].v.i == v.i) {
            p->part[i].weight += weight;
            return true;
        }
    if (p->count == PARTS)
        return false;
    p->part[p->count].v = v;
    p->part[p->count++].weight = weight;
    return true;
}

static const cyg_node *to_open(const cyg_match *m, cyg_value_id v, int depth)
{
    const cyg_node_id id = cyg_val(m->rw->g, v)->producer;
    if (cyg_node_is_none(id) || depth > DEPTH || (depth > 0 && !cyg_rw_single_use(m->rw, v)))
        return NULL;
    return cyg_nod(m->rw->g, id);
}

static bool factors(cyg_match *m, cyg_value_id v, double exponent, int depth, parts *p)
{
    float c;
    const bool whole = exponent == rint(exponent);
    if (whole && cyg_rw_scalar(m->rw, v, &c)) {
        p->number *= pow((double)c, exponent);
        return true;
    }
    const cyg_node *n = whole ? to_open(m, v, depth) : NULL;
    const cyg_op op = n == NULL ? CYG_OP_removed : n->op;
    const bool power = op == CYG_OP_pow && cyg_rw_scalar(m->rw, n->in[1], &c);
    if (op != CYG_OP_mul && op != CYG_OP_div && op != CYG_OP_sqrt && op != CYG_OP_reciprocal &&
        op != CYG_OP_neg && !power)
        return add_part(p, v, exponent);
    if (!note(m, cyg_val(m->rw->g, v)->producer))
        return false;
    if (op == CYG_OP_neg)
        p->number *= pow(-1.0, exponent);
    const double first = op == CYG_OP_sqrt         ? 0.5
                         : op == CYG_OP_reciprocal ? -1.0
                         : power                   ? (double)c
                                                   : 1.0;
    return factors(m, n->in[0], exponent * first, depth + 1, p) &&
           ((op != CYG_OP_mul && op != CYG_OP_div) ||
            factors(m, n->in[1], op == CYG_OP_div ? -exponent : exponent, depth + 1, p));
}

static bool terms(cyg_match *m, cyg_value_id v, double sign, int depth, parts *p)
{
    float c;
    if (cyg_rw_scalar(m->rw, v, &c)) {
        p->number += sign * (double)c;
        return true;
    }
    const cyg_node *n = to_open(m, v, depth);
    if (n == NULL || (n->op != CYG_OP_add && n->op != CYG_OP_sub && n->op != CYG_OP_neg))
        return add_part(p, v, sign);
    return note(m, cyg_val(m->rw->g, v)->producer) &&
           terms(m, n->in[0], n->op == CYG_OP_neg ? -sign : sign, depth + 1, p) &&
           (n->op == CYG_OP_neg ||
            terms(m, n->in[1], n->op == CYG_OP_sub ? -sign : sign, depth + 1, p));
}

/* ---- terms of formulas ---- */

static bool in_front(const cyg_match *m)
{
    return m->formula->result->op == CYG_OP_channel_norm;
}

/* A vector that is multiplied or added: of channels in front [C, 1, ..], 1 for each axis behind. */
static bool spreads(const cyg_match *m, const cyg_term *t, cyg_value_id v)
{
    const cyg_graph *g = m->rw->g;
    const cyg_value *c = cyg_val(g, v), *y = cyg_val(g, cyg_nod(g, m->node[0])->out[0]);
    if (t->kind != CYG_TERM_CHANNELS || !in_front(m))
        return true;
    const int at = c->rank - (y->rank - 1); /* of the channels among c's axes */
    return c->is_const && c->rank != CYG_RANK_UNKNOWN && c->rank <= y->rank && at >= 0 &&
           c->dims[at] == m->channels && cyg_value_elements(c) == m->channels;
}

/* Each child from `t` on has a part of its own; `taken` has a bit for each part. */
static bool assign(cyg_match *m, const cyg_term *t, const parts *p, unsigned taken)
{
    if (t == NULL)
        return taken == (1u << p->count) - 1;
    const cyg_match before = *m;
    for (int i = 0; i < p->count; i++) {
        if ((taken >> i & 1) != 0 || p->part[i].weight != t->weight)
            continue;
        if (spreads(m, t, p->part[i].v) && match_term(m, t, p->part[i].v) &&
            assign(m, t->next, p, taken | 1u << i))
            return true;
        *m = before;
    }
    return false;
}

static bool match_parts(cyg_match *m, const cyg_term *t, cyg_value_id v)
{
    const bool product = t->kind == CYG_TERM_PRODUCT;
    parts p = {.number = product ? 1.0 : 0.0};
    if (product ? !factors(m, v, 1.0, 0, &p) : !terms(m, v, 1.0, 0, &p))
        return false;
    if (t->slot < 0
            ? !near(p.number, t->number)
            : !bind_number(m, t->slot, product ? p.number / t->number : p.number - t->number))
        return false;
    return assign(m, t->child, &p, 0);
}

static bool match_attr(cyg_match *m, const cyg_node *n, const cyg_term_attr *a)
{
    const cyg_attr *found = cyg_node_attr(n, a->key);
    if (found == NULL || (a->text != NULL) != (found->kind == CYG_KIND_STRING))
        return false;
    if (a->text != NULL)
        return strcmp(a->text, found->u.s) == 0;
    if (found->kind != CYG_KIND_INT && found->kind != CYG_KIND_FLOAT)
        return false;
    const double x = found->kind == CYG_KIND_INT ? (double)found->u.i : (double)found->u.f;
    return a->slot < 0 ? near(x, a->number) : bind_number(m, a->slot, x);
}

/* f.last: a Reduce over the last axis alone that keeps it, or an `axis` that is the last. */
static bool over_last(cyg_match *m, cyg_node_id id)
{
    const cyg_node *n = cyg_nod(m->rw->g, id);
    const cyg_value *x = cyg_val(m->rw->g, n->in[0]);
    const cyg_attr *axis = cyg_node_attr(n, CYG_ATTR_axis);
    if (axis == NULL)
        return cyg_rw_reduces_last(m->rw, id);
    return x->rank != CYG_RANK_UNKNOWN && cyg_rw_axis(axis->u.i, x->rank) == x->rank - 1;
}

/* f.channel: a Reduce over axis 1 alone, which is not the last, and stays as 1. */
static bool over_channels(cyg_match *m, cyg_node_id id)
{
    const cyg_node *n = cyg_nod(m->rw->g, id);
    const cyg_value *x = cyg_val(m->rw->g, n->in[0]);
    const int64_t *axes;
    size_t count;
    return x->rank != CYG_RANK_UNKNOWN && x->rank > 2 &&
           cyg_node_int(n, CYG_ATTR_keepdims, 1) != 0 &&
           cyg_rw_ints(m->rw, cyg_node_in(n, 1), &axes, &count) && count == 1 &&
           cyg_rw_axis(axes[0], x->rank) == 1;
}

static bool match_call(cyg_match *m, const cyg_term *t, cyg_value_id v)
{
    const cyg_node_id id = cyg_rw_producer(m->rw, v, t->op);
    if (cyg_node_is_none(id) || (t->only && !cyg_rw_single_use(m->rw, v)) ||
        (t->last && !over_last(m, id)) || (t->channel && !over_channels(m, id)) || !note(m, id))
        return false;
    const cyg_node *n = cyg_nod(m->rw->g, id);
    if (cyg_node_int(n, CYG_ATTR_noop_with_empty_axes, 0) != 0) /* may be no reduction at all */
        return false;
    for (const cyg_term_attr *a = t->attrs; a != NULL; a = a->next)
        if (!match_attr(m, n, a))
            return false;
    uint32_t count = 0;
    for (const cyg_term *c = t->child; c != NULL; c = c->next)
        count++;
    const bool either = count == 2 && (t->op == CYG_OP_max || t->op == CYG_OP_min);
    /* The axes of a Reduce are an operand that the formula does not show. */
    const bool has_axes = (t->last || t->channel) && cyg_node_attr(n, CYG_ATTR_axis) == NULL;
    if (has_axes ? n->in_count < count : n->in_count != count)
        return false;
    const cyg_match before = *m;
    for (uint32_t turned = 0; turned < (either ? 2u : 1u); turned++) {
        uint32_t i = 0;
        const cyg_term *c = t->child;
        *m = before;
        while (c != NULL && match_term(m, c, n->in[turned == 0 ? i : 1 - i])) {
            c = c->next;
            i++;
        }
        if (c == NULL)
            return true;
    }
    return false;
}

/* One number for each channel; how it broadcasts is assign's to know where channels are in front.
 */
static bool is_vector(const cyg_match *m, cyg_value_id v)
{
    const cyg_value *c = cyg_val(m->rw->g, v);
    if (!in_front(m))
        return cyg_rw_channel_vector(m->rw, v, m->channels);
    return c->is_const && c->type == CYG_TYPE_F32 && c->data != NULL &&
           cyg_value_elements(c) == m->channels;
}

static bool match_value(cyg_match *m, const cyg_term *t, cyg_value_id v)
{
    cyg_value_id *bound = &m->value[t->slot];
    if (!cyg_value_is_none(*bound))
        return bound->i == v.i;
    if (cyg_rw_is_const(m->rw, v) != (t->kind != CYG_TERM_VALUE) ||
        (t->kind == CYG_TERM_CHANNELS && !is_vector(m, v)))
        return false;
    *bound = v;
    return m->formula->meaning[t->slot] == NULL || match_term(m, m->formula->meaning[t->slot], v);
}

static bool match_term(cyg_match *m, const cyg_term *t, cyg_value_id v)
{
    float c;
    if (cyg_value_is_none(v))
        return false;
    switch ((int)t->kind) {
    case CYG_TERM_VALUE:
    case CYG_TERM_CHANNELS:
    case CYG_TERM_CONST:
        return match_value(m, t, v);
    case CYG_TERM_NUMBER:
        return cyg_rw_scalar(m->rw, v, &c) &&
               (t->slot < 0 ? near((double)c, t->number) : bind_number(m, t->slot, (double)c));
    case CYG_TERM_PRODUCT:
    case CYG_TERM_SUM:
        return match_parts(m, t, v);
    case CYG_TERM_CALL:
        return match_call(m, t, v);
    default:
        return false;
    }
}

static bool may_begin(const cyg_term *t, cyg_op op)
{
    switch ((int)t->kind) {
    case CYG_TERM_CALL:
        return op == t->op;
    case CYG_TERM_SUM:
        return op == CYG_OP_add || op == CYG_OP_sub;
    default:
        return op == CYG_OP_mul || op == CYG_OP_div || op == CYG_OP_pow || op == CYG_OP_sqrt ||
               op == CYG_OP_reciprocal;
    }
}

bool cyg_match_at(cyg_rw *rw, const cyg_formula *formula, cyg_node_id root, cyg_match *m)
{
    const cyg_node *n = cyg_nod(rw->g, root);
    if (!may_begin(formula->pattern, n->op) || n->out_count != 1)
        return false;
    *m = (cyg_match){.rw = rw, .formula = formula, .channels = cyg_rw_last_dim(rw, n->out[0])};
    const cyg_value *y = cyg_val(rw->g, n->out[0]);
    if (in_front(m))
        m->channels = y->rank != CYG_RANK_UNKNOWN && y->rank > 2 ? y->dims[1] : -1;
    for (int i = 0; i < CYG_FORMULA_SLOTS; i++)
        m->value[i] = CYG_NO_VALUE;
    return note(m, root) && match_term(m, formula->pattern, n->out[0]);
}
