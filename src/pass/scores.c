/* The chain between Q K^T and the softmax: a scale, a position bias, a mask for each window, in any
 * order, each at whatever rank and after whatever reshape the exporter chose.
 *
 * Going up from the softmax, its input is kept as factor * v + offset for the value v at hand, both
 * as one number for each element (NULL while it is trivial): v = w + c gives offset += factor * c,
 * v = w * c gives factor *= c; a view changes nothing, since the numbers are by flat position. A
 * constant is broadcast to the shape of the node that uses it. Sums are in the order of the graph's
 * own additions up to one product, so a plain bias comes out bit for bit.
 *
 * Where(cond, w, c) with a constant cond, or the other way round, hides the elements that take c:
 * their softmax input is known, factor * c + offset, whatever w is. It may become an addend when
 * exp() of it is 0 beside the row's maximum both before and after. That needs a row with something
 * left to see, whose best addend is at least 1e4 above what is hidden: more than 104 (where float
 * exp ends) with ample room for the scores themselves. Rows without are what the original makes of
 * them (a mean of all values, or NaN), which no addend says, so they leave the whole match.
 *
 * What is made at run time stands beside the chain: an addend (a mask, a position bias that is
 * computed) or the condition of a Where. Of two operands that both are activations the chain is the
 * one that leads to a product of the scores' size. */
#include "pass/scores.h"

#include <math.h>
#include <stdlib.h>

enum { STEPS = 32, LOOK = 64 };

/* Least distance of what a Where hides from the best addend of its row. */
static const float gap = 1e4f;
/* The addend of a hidden element. Finite, so that nothing becomes NaN, and so far down that no
 * score or position bias reaches up from there. The integers clamp it (docs/numerics.md). */
static const float hidden_addend = -1e30f;

void cyg_scores_free(cyg_scores *s)
{
    free(s->factor);
    free(s->offset);
    free(s->hidden);
    s->factor = s->offset = s->hidden = NULL;
}

static float *filled(int64_t count, float x)
{
    float *p = malloc(((size_t)count + 1) * sizeof *p);
    for (int64_t i = 0; p != NULL && i < count; i++)
        p[i] = x;
    return p;
}

static bool add_constant(cyg_scores *s, const float *c, float sign)
{
    if (s->offset == NULL && (s->offset = filled(s->count, 0.0f)) == NULL)
        return false;
    for (int64_t i = 0; i < s->count; i++)
        s->offset[i] += sign * (s->factor == NULL ? s->scale : s->factor[i]) * c[i];
    return true;
}

static bool multiply(cyg_scores *s, const float *c, bool divide)
{
    if (s->factor == NULL && (s->factor = filled(s->count, s->scale)) == NULL)
        return false;
    for (int64_t i = 0; i < s->count; i++)
        s->factor[i] = divide ? s->factor[i] / c[i] : s->factor[i] * c[i];
    return true;
}

/* The elements where `takes_c` is not 0 show c instead of what lies further up; those hidden
 * already stay as they are. */
static bool hide(cyg_scores *s, const float *takes_c, const float *c)
{
    if (s->hidden == NULL && (s->hidden = filled(s->count, NAN)) == NULL)
        return false;
    for (int64_t i = 0; i < s->count; i++)
        if (takes_c[i] != 0.0f && isnan(s->hidden[i])) {
            s->hidden[i] = (s->factor == NULL ? s->scale : s->factor[i]) * c[i] +
                           (s->offset == NULL ? 0.0f : s->offset[i]);
            if (isnan(s->hidden[i]))
                return false;
        }
    return true;
}

/* ---- made at run time ---- */

/* Does the chain from v up end in a product of `count` elements? Visits `*budget` nodes at most. */
static bool leads_to_product(cyg_rw *rw, cyg_value_id v, int64_t count, int *budget)
{
    for (;;) {
        const cyg_node_id id = cyg_val(rw->g, v)->producer;
        if (cyg_node_is_none(id) || !cyg_rw_single_use(rw, v) || --*budget < 0 ||
            cyg_value_elements(cyg_val(rw->g, v)) != count)
            return false;
        const cyg_node *n = cyg_nod(rw->g, id);
        if (n->op == CYG_OP_matmul)
            return !cyg_rw_is_const(rw, n->in[0]) && !cyg_rw_is_const(rw, n->in[1]);
        if (cyg_rw_is_view(n->op)) {
            v = n->in[0];
            continue;
        }
        const uint32_t first = n->op == CYG_OP_where ? 1 : 0;
        if (n->op != CYG_OP_where && n->op != CYG_OP_add && n->op != CYG_OP_sub &&
            n->op != CYG_OP_mul && n->op != CYG_OP_div)
            return false;
        if (leads_to_product(rw, n->in[first], count, budget))
            return true;
        v = n->in[first + 1];
    }
}

static cyg_run_time beside(const cyg_rw *rw, cyg_value_id v, cyg_value_id result, float scale)
{
    const cyg_value *y = cyg_val(rw->g, result);
    cyg_run_time t = {.value = v, .scale = scale, .rank = y->rank};
    for (int i = 0; i < t.rank; i++)
        t.dims[i] = y->dims[i];
    return t;
}

/* v + w, v - w of activations. */
static bool step_addend(cyg_rw *rw, cyg_scores *s, const cyg_node *n, cyg_value_id *io_v)
{
    int budget = LOOK;
    const uint32_t v = leads_to_product(rw, n->in[0], s->count, &budget) ? 0 : 1;
    if ((v == 1 && (n->op == CYG_OP_sub || !leads_to_product(rw, n->in[1], s->count, &budget))) ||
        s->factor != NULL || s->hidden != NULL || s->addend_count == CYG_SCORES_ADDENDS ||
        cyg_val(rw->g, n->in[1 - v])->type != CYG_TYPE_F32)
        return false;
    s->addend[s->addend_count++] =
        beside(rw, n->in[1 - v], n->out[0], n->op == CYG_OP_sub ? -s->scale : s->scale);
    *io_v = n->in[v];
    return true;
}

/* Where(cond, w, c) and Where(cond, c, w) with c one number and nothing but numbers behind it. */
static bool step_hide(cyg_rw *rw, cyg_scores *s, const cyg_node *n, cyg_value_id *io_v)
{
    const uint32_t c = cyg_rw_is_const(rw, n->in[1]) ? 1 : 2, w = 3 - c;
    float fill;
    if (!cyg_rw_scalar(rw, n->in[c], &fill) || s->factor != NULL || s->hidden != NULL ||
        s->offset != NULL || s->addend_count > 0 || !cyg_value_is_none(s->hide.value))
        return false;
    s->hide = beside(rw, n->in[0], n->out[0], 1.0f);
    s->hide_when = c == 1;
    s->hide_fill = s->scale * fill;
    *io_v = n->in[w];
    return true;
}

/* Where(cond, w, c) and Where(cond, c, w). */
static bool step_where(cyg_rw *rw, cyg_scores *s, const cyg_node *n, cyg_value_id *io_v)
{
    const uint32_t c = cyg_rw_is_const(rw, n->in[1]) ? 1 : 2, w = 3 - c;
    if (cyg_rw_is_const(rw, n->in[w]) || cyg_value_elements(cyg_val(rw->g, n->in[w])) != s->count)
        return false;
    if (!cyg_rw_is_const(rw, n->in[0]))
        return step_hide(rw, s, n, io_v);
    if (s->addend_count > 0 || !cyg_value_is_none(s->hide.value))
        return false; /* what is left to see of a row would be known at run time only */
    float *takes_c = malloc(((size_t)s->count + 1) * sizeof *takes_c);
    float *wide = malloc(((size_t)s->count + 1) * sizeof *wide);
    bool ok = takes_c != NULL && wide != NULL &&
              cyg_rw_broadcast_const(rw, n->in[0], n->out[0], takes_c, s->count) &&
              cyg_rw_broadcast_const(rw, n->in[c], n->out[0], wide, s->count);
    for (int64_t i = 0; ok && c == 2 && i < s->count; i++)
        takes_c[i] = 1.0f - takes_c[i];
    ok = ok && hide(s, takes_c, wide);
    free(takes_c);
    free(wide);
    *io_v = n->in[w];
    return ok;
}

/* What is hidden becomes an addend; false when a row forbids it (top of the file). */
static bool settle_hidden(cyg_scores *s, int64_t row)
{
    if (s->hidden == NULL)
        return true;
    if (row < 1 || s->count % row != 0 ||
        (s->offset == NULL && (s->offset = filled(s->count, 0.0f)) == NULL))
        return false;
    for (int64_t at = 0; at < s->count; at += row) {
        float best = -INFINITY, highest = -INFINITY;
        for (int64_t i = at; i < at + row; i++)
            if (isnan(s->hidden[i]))
                best = s->offset[i] > best ? s->offset[i] : best;
            else
                highest = s->hidden[i] > highest ? s->hidden[i] : highest;
        /* A best of -inf or -FLT_MAX, an added mask's, would not stand above hidden_addend. */
        if (!(best > hidden_addend / 2 && highest <= best - gap))
            return false;
        for (int64_t i = at; i < at + row; i++)
            if (!isnan(s->hidden[i]))
                s->offset[i] = hidden_addend;
    }
    return true;
}

/* One node of the chain; *io_v moves to its operand. */
static bool step(cyg_rw *rw, cyg_scores *s, const cyg_node *n, cyg_node_id id, cyg_value_id *io_v)
{
    float x;
    const int c = cyg_rw_const_operand(rw, id);
    const bool times = n->op == CYG_OP_mul || n->op == CYG_OP_div;
    if (c < 0 && !times)
        return step_addend(rw, s, n, io_v);
    if (c < 0 || (c == 0 && (n->op == CYG_OP_div || n->op == CYG_OP_sub)) ||
        cyg_value_elements(cyg_val(rw->g, n->in[1 - c])) != s->count)
        return false;
    if (times && s->factor == NULL && cyg_rw_scalar(rw, n->in[c], &x)) {
        s->scale = n->op == CYG_OP_mul ? s->scale * x : s->scale / x;
        *io_v = n->in[1 - c];
        return true;
    }
    float *wide = malloc(((size_t)s->count + 1) * sizeof *wide);
    const bool ok = wide != NULL &&
                    cyg_rw_broadcast_const(rw, n->in[c], n->out[0], wide, s->count) &&
                    (times ? multiply(s, wide, n->op == CYG_OP_div)
                           : add_constant(s, wide, n->op == CYG_OP_sub ? -1.0f : 1.0f));
    free(wide);
    *io_v = n->in[1 - c];
    return ok;
}

bool cyg_scores_match(cyg_rw *rw, cyg_value_id v, cyg_scores *s)
{
    const int64_t row = cyg_rw_last_dim(rw, v);
    *s = (cyg_scores){.count = cyg_value_elements(cyg_val(rw->g, v)),
                      .scale = 1.0f,
                      .hide = {.value = CYG_NO_VALUE}};
    bool ok = s->count > 0 && s->count < (1 << 27);
    for (int k = 0; ok && k < STEPS; k++) {
        const cyg_node_id id = cyg_val(rw->g, v)->producer;
        if (cyg_node_is_none(id) || !cyg_rw_single_use(rw, v))
            break;
        const cyg_node *n = cyg_nod(rw->g, id);
        if (n->op == CYG_OP_matmul) {
            s->product = v;
            if (settle_hidden(s, row))
                return true;
            break;
        }
        if (cyg_rw_is_view(n->op))
            v = n->in[0];
        else if (n->op == CYG_OP_where)
            ok = step_where(rw, s, n, &v);
        else if (n->op == CYG_OP_add || n->op == CYG_OP_sub || n->op == CYG_OP_mul ||
                 n->op == CYG_OP_div)
            ok = step(rw, s, n, id, &v);
        else
            ok = false;
    }
    cyg_scores_free(s);
    return false;
}

bool cyg_scores_head_scale(const cyg_scores *s, int64_t entries, int64_t heads, int64_t square,
                           float *out_scale)
{
    for (int64_t h = 0; h < heads; h++)
        out_scale[h] = s->factor == NULL ? s->scale : s->factor[h * square];
    for (int64_t e = 0; s->factor != NULL && e < entries * heads; e++)
        for (int64_t i = 0; i < square; i++)
            if (s->factor[e * square + i] != out_scale[e % heads])
                return false;
    return true;
}
