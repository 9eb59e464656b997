/* Where every element of a value comes from.
 *
 * A chain of movement operators is run once, on index numbers in place of data. The result is one
 * table, and with it every question becomes a comparison of tables: is this chain the identity, a
 * gather of rows, the head-major view of a fused qkv? A window shift is Slice + Concat in one
 * exporter, GatherND or a 6-D Transpose in another; the tables are equal.
 *
 * Only chains over one source have a table: Concat is understood when all its pieces come from the
 * same value. -1 stands for a zero that Pad put in. Tables have 32-bit entries; one table and all
 * tables of one question together have a size limit. A value that several paths share (the pieces
 * of a roll) is evaluated once a table: a small memo, freed at the end. Recursion depth is bounded:
 * the chain comes from a file. What each operator does to a table is in elements_move.c.
 *
 * The scaled form also goes through x * c, x / c and x / max(|x|_2, eps), which commute with
 * movement when the norm is taken over the same row; that is checked on the tables too, not on the
 * spelling. */
#include "pass/elements_parts.h"

#include <stdlib.h>
#include <string.h>

enum { DEPTH_LIMIT = 64, MEMO = 64, ROOT_STEPS = 256, ENTRIES = 1 << 27 };

typedef struct evaluator {
    cyg_rw *rw;
    cyg_value_id root;
    float scale;
    bool cosine;
    struct {
        uint32_t value;
        bool alias; /* a view: its table belongs to an earlier entry */
        cyg_table t;
    } memo[MEMO];
    uint32_t memo_count;
    int64_t entries; /* of all tables so far */
} evaluator;

static cyg_node *producer_of(const cyg_rw *rw, cyg_value_id v)
{
    const cyg_node_id p = cyg_val(rw->g, v)->producer;
    return cyg_node_is_none(p) ? NULL : cyg_nod(rw->g, p);
}

static int64_t count_of(const cyg_rw *rw, cyg_value_id v)
{
    const int64_t n = cyg_value_elements(cyg_val(rw->g, v));
    return n > CYG_ELEMENTS_LIMIT ? -1 : n;
}

/* ---- which operators ---- */

static bool is_zero_const(const cyg_rw *rw, cyg_value_id v)
{
    float f;
    return cyg_value_is_none(v) || (cyg_rw_scalar(rw, v, &f) && f == 0.0f);
}

static bool const_in(const cyg_rw *rw, const cyg_node *n, uint32_t i)
{
    const cyg_value_id v = cyg_node_in(n, i);
    return cyg_value_is_none(v) || cyg_val(rw->g, v)->is_const;
}

bool cyg_elements_moves(const cyg_rw *rw, cyg_node_id id)
{
    const cyg_node *n = cyg_nod(rw->g, id);
    switch ((int)n->op) {
    case CYG_OP_identity:
    case CYG_OP_reshape:
    case CYG_OP_flatten:
    case CYG_OP_squeeze:
    case CYG_OP_unsqueeze:
    case CYG_OP_transpose:
    case CYG_OP_concat:
    case CYG_OP_split:
    case CYG_OP_expand:
        return true;
    case CYG_OP_slice:
        return const_in(rw, n, 1) && const_in(rw, n, 2) && const_in(rw, n, 3) && const_in(rw, n, 4);
    case CYG_OP_gather:
    case CYG_OP_gather_rows:
    case CYG_OP_gather_nd:
        return const_in(rw, n, 1);
    case CYG_OP_pad:
        return const_in(rw, n, 1) && const_in(rw, n, 3) && is_zero_const(rw, cyg_node_in(n, 2)) &&
               strcmp(cyg_node_string(n, CYG_ATTR_mode, "constant"), "constant") == 0;
    default:
        return false;
    }
}

/* steps: how many values may still be looked at, since nested Concats fan out. */
static cyg_value_id root_of(const cyg_rw *rw, cyg_value_id v, unsigned *steps)
{
    for (; *steps > 0; (*steps)--) {
        const cyg_node *n = producer_of(rw, v);
        if (n == NULL || !cyg_elements_moves(rw, cyg_val(rw->g, v)->producer))
            return v;
        if (n->op == CYG_OP_concat) {
            (*steps)--;
            const cyg_value_id first = *steps > 0 ? root_of(rw, n->in[0], steps) : CYG_NO_VALUE;
            for (uint32_t i = 1; i<n->in_count && * steps> 0; i++)
                if (root_of(rw, n->in[i], steps).i != first.i)
                    return v; /* several sources: the concatenation itself is the source */
            return first;
        }
        v = n->in[0];
    }
    return CYG_NO_VALUE;
}

cyg_value_id cyg_elements_root(cyg_rw *rw, cyg_value_id v)
{
    unsigned steps = ROOT_STEPS;
    return root_of(rw, v, &steps);
}

/* ---- evaluation ---- */

static bool new_table(int64_t count, cyg_table *out)
{
    out->count = count;
    out->at = count < 0 ? NULL : malloc(((size_t)count + 1) * sizeof *out->at);
    return out->at != NULL;
}

static bool evaluate(evaluator *e, cyg_value_id v, unsigned depth, cyg_table *out);

static bool eval_concat(evaluator *e, const cyg_node *n, const cyg_value *y, unsigned depth,
                        cyg_table *out)
{
    const int axis = cyg_rw_axis(cyg_node_int(n, CYG_ATTR_axis, 0), y->rank);
    if (axis < 0)
        return false;
    int64_t outer = 1, inner = 1, done = 0;
    for (int k = 0; k < y->rank; k++) {
        outer *= k < axis ? y->dims[k] : 1;
        inner *= k > axis ? y->dims[k] : 1;
    }
    for (uint32_t i = 0; i < n->in_count; i++) {
        cyg_table piece;
        const cyg_value *x = cyg_val(e->rw->g, n->in[i]);
        if (x->rank != y->rank || !evaluate(e, n->in[i], depth, &piece))
            return false;
        const int64_t part = x->dims[axis] * inner;
        if (done + part > y->dims[axis] * inner || part * outer != piece.count)
            return false;
        for (int64_t o = 0; o < outer; o++)
            memcpy(out->at + o * y->dims[axis] * inner + done, piece.at + o * part,
                   (size_t)part * sizeof *out->at);
        done += part;
    }
    return done == y->dims[axis] * inner;
}

/* ---- arithmetic on the way ---- */

/* v = x / max(|x|_2, eps): does b (the divisor of n) hold, for each element of a, the norm of the
 * row that a's element is in? */
static bool divides_by_norm(evaluator *e, const cyg_node *n, const cyg_table *a)
{
    const cyg_rw *rw = e->rw;
    const cyg_value *y = cyg_val(rw->g, n->out[0]);
    /* b up to the norm: movement, Clip(min) or Max(eps). Tables of movement are made below, from
     * the norm on. */
    cyg_value_id up = n->in[1], norm = CYG_NO_VALUE, below = CYG_NO_VALUE;
    for (unsigned depth = 0; depth < DEPTH_LIMIT; depth++) {
        const cyg_node *p = producer_of(rw, up);
        if (p == NULL)
            return false;
        float eps;
        const bool clip = p->op == CYG_OP_clip && cyg_value_is_none(cyg_node_in(p, 2)) &&
                          cyg_rw_scalar(rw, cyg_node_in(p, 1), &eps) && eps >= 0.0f && eps <= 1e-5f;
        const bool max = p->op == CYG_OP_max && p->in_count == 2 &&
                         cyg_rw_scalar(rw, p->in[1], &eps) && eps >= 0.0f && eps <= 1e-5f;
        if (p->op == CYG_OP_reduce_l2) {
            norm = up;
            break;
        }
        if (clip || max) {
            if (!cyg_value_is_none(below))
                return false;
            below = up;
        } else if (!cyg_elements_moves(rw, cyg_val(rw->g, up)->producer) ||
                   p->op == CYG_OP_concat) {
            return false;
        }
        up = p->in[0];
    }
    if (cyg_value_is_none(norm))
        return false;
    const cyg_node *reduce = producer_of(rw, norm);
    const cyg_value_id z = reduce->in[0];
    const cyg_value *zv = cyg_val(rw->g, z);
    const int64_t *axes;
    size_t axis_count;
    if (!cyg_rw_ints(e->rw, cyg_node_in(reduce, 1), &axes, &axis_count) || axis_count != 1 ||
        zv->rank == 0 || zv->rank == CYG_RANK_UNKNOWN ||
        cyg_rw_axis(axes[0], zv->rank) != zv->rank - 1)
        return false;
    const int64_t d = zv->dims[zv->rank - 1];
    /* Which norm does each element of b hold: from b down to the clip, and from the clip down to
     * the norm. */
    cyg_table zt;
    cyg_elements upper = {0}, lower = {0};
    int32_t *spread = NULL;
    bool ok = d > 0 && evaluate(e, z, 0, &zt) && cyg_elements_of(e->rw, n->in[1], &upper);
    if (ok && !cyg_value_is_none(below)) {
        const cyg_node *p = producer_of(rw, below);
        ok = upper.source.i == below.i && cyg_elements_of(e->rw, p->in[0], &lower) &&
             lower.source.i == norm.i;
    } else if (ok) {
        ok = upper.source.i == norm.i;
    }
    if (ok) {
        spread = malloc(((size_t)a->count + 1) * sizeof *spread);
        cyg_table s = {spread, a->count}, u = {upper.at, upper.count};
        ok = spread != NULL && cyg_elements_expand(&u, cyg_val(rw->g, n->in[1]), y, &s);
    }
    for (int64_t i = 0; ok && i < a->count; i++) {
        int64_t r = spread[i];
        if (r >= 0 && lower.at != NULL)
            r = lower.at[r];
        ok = r >= 0 && (r + 1) * d <= zt.count && a->at[i] >= 0 && zt.at[r * d] % d == 0 &&
             zt.at[r * d] / d == a->at[i] / d && zt.at[r * d + d - 1] == zt.at[r * d] + d - 1;
    }
    free(spread);
    cyg_elements_free(&upper);
    cyg_elements_free(&lower);
    return ok;
}

static bool eval_scaled(evaluator *e, const cyg_node *n, unsigned depth, cyg_table *out)
{
    float factor;
    cyg_table in;
    if (n->op == CYG_OP_mul || n->op == CYG_OP_div) {
        const int c = cyg_rw_const_operand(e->rw, (cyg_node_id){(uint32_t)(n - e->rw->g->nodes)});
        if (c >= 0 && (n->op == CYG_OP_mul || c == 1) && cyg_rw_scalar(e->rw, n->in[c], &factor)) {
            if (!evaluate(e, n->in[1 - c], depth, &in) || in.count != out->count ||
                (n->op == CYG_OP_div && factor == 0))
                return false;
            memcpy(out->at, in.at, (size_t)in.count * sizeof *in.at);
            e->scale = n->op == CYG_OP_mul ? e->scale * factor : e->scale / factor;
            return true;
        }
        if (n->op == CYG_OP_div && c < 0 && !e->cosine) {
            if (!evaluate(e, n->in[0], depth, &in) || in.count != out->count ||
                !divides_by_norm(e, n, &in) ||
                e->scale !=
                    1.0f) /* a factor nearer to the source than the norm: nobody writes that */
                return false;
            memcpy(out->at, in.at, (size_t)in.count * sizeof *in.at);
            e->cosine = true;
            return true;
        }
    }
    return false;
}

static bool evaluate_node(evaluator *e, cyg_value_id v, const cyg_node *n, unsigned depth,
                          cyg_table *out)
{
    const cyg_graph *g = e->rw->g;
    const cyg_value *y = cyg_val(g, v);
    if (!cyg_elements_moves(e->rw, y->producer))
        return eval_scaled(e, n, depth + 1, out);
    if (n->op == CYG_OP_concat)
        return eval_concat(e, n, y, depth + 1, out);
    cyg_table in;
    if (!evaluate(e, n->in[0], depth + 1, &in))
        return false;
    return cyg_elements_move(e->rw, v, n, &in, out);
}

static bool remember(evaluator *e, cyg_value_id v, cyg_table t, bool alias)
{
    if (e->memo_count >= CYG_COUNT(e->memo))
        return false;
    e->memo[e->memo_count].value = v.i;
    e->memo[e->memo_count].alias = alias;
    e->memo[e->memo_count++].t = t;
    return true;
}

/* The table stays owned by the memo. */
static bool evaluate(evaluator *e, cyg_value_id v, unsigned depth, cyg_table *out)
{
    for (uint32_t i = 0; i < e->memo_count; i++)
        if (e->memo[i].value == v.i) {
            *out = e->memo[i].t;
            return true;
        }
    if (depth >= DEPTH_LIMIT)
        return false;
    const cyg_node *n = producer_of(e->rw, v);
    if (v.i != e->root.i && n != NULL && cyg_rw_is_view(n->op)) {
        if (!evaluate(e, n->in[0], depth + 1, out) || out->count != count_of(e->rw, v))
            return false;
        return remember(e, v, *out, true);
    }
    cyg_table t;
    const int64_t count = count_of(e->rw, v);
    if (count < 0 || (e->entries += count) > ENTRIES || !new_table(count, &t))
        return false;
    bool ok = true;
    if (v.i == e->root.i) {
        for (int64_t i = 0; i < t.count; i++)
            t.at[i] = (int32_t)i;
    } else {
        ok = n != NULL && evaluate_node(e, v, n, depth, &t);
    }
    if (!ok || !remember(e, v, t, false)) {
        free(t.at);
        return false;
    }
    *out = t;
    return true;
}

static bool run(evaluator *e, cyg_value_id v, cyg_elements *out_map)
{
    cyg_table t;
    const bool ok = !cyg_value_is_none(e->root) && evaluate(e, v, 0, &t);
    *out_map = (cyg_elements){.source = e->root, .scale = e->scale, .cosine = e->cosine};
    for (uint32_t i = 0; i < e->memo_count; i++) {
        if (ok && e->memo[i].t.at == t.at) {
            out_map->at = t.at;
            out_map->count = t.count;
        } else if (!e->memo[i].alias) {
            free(e->memo[i].t.at);
        }
    }
    return ok;
}

bool cyg_elements_of(cyg_rw *rw, cyg_value_id v, cyg_elements *out_map)
{
    evaluator e = {.rw = rw, .scale = 1.0f, .root = cyg_elements_root(rw, v)};
    return run(&e, v, out_map);
}

bool cyg_elements_of_scaled(cyg_rw *rw, cyg_value_id v, cyg_elements *out_map)
{
    /* The root: through movement, factors and norms. */
    cyg_value_id root = v;
    for (unsigned depth = 0; depth < DEPTH_LIMIT; depth++) {
        root = cyg_elements_root(rw, root);
        const cyg_node *n = cyg_value_is_none(root) ? NULL : producer_of(rw, root);
        if (n == NULL || (n->op != CYG_OP_mul && n->op != CYG_OP_div))
            break;
        const int c = cyg_rw_const_operand(rw, cyg_val(rw->g, root)->producer);
        float f;
        const bool factor =
            c >= 0 && cyg_rw_scalar(rw, n->in[c], &f) && (n->op == CYG_OP_mul || c == 1);
        if (!factor && !(n->op == CYG_OP_div && c < 0))
            break;
        root = factor ? n->in[1 - c] : n->in[0];
    }
    evaluator e = {.rw = rw, .scale = 1.0f, .root = root};
    return run(&e, v, out_map);
}

void cyg_elements_free(cyg_elements *map)
{
    free(map->at);
    map->at = NULL;
}

bool cyg_elements_rows(const cyg_elements *map, int64_t block, int64_t *out_rows)
{
    if (block < 1 || map->count % block != 0)
        return false;
    for (int64_t r = 0; r < map->count / block; r++) {
        const int32_t *at = map->at + r * block;
        if (at[0] >= 0 && at[0] % block != 0)
            return false;
        for (int64_t j = 1; j < block; j++)
            if (at[j] != (at[0] < 0 ? -1 : at[0] + j))
                return false;
        out_rows[r] = at[0] < 0 ? -1 : at[0] / block;
    }
    return true;
}

bool cyg_elements_identity(const cyg_elements *map)
{
    for (int64_t i = 0; i < map->count; i++)
        if (map->at[i] != i)
            return false;
    return true;
}
