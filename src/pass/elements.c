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
 * Channels stay together nearly always, so tables count in runs of elements as long as an operator
 * leaves them whole, and are cut finer where one does not: a chain over [windows, tokens, 96] costs
 * a 96th. What is handed out counts in elements.
 *
 * The scaled form also goes through x * c, x / c and x / max(|x|_2, eps), which commute with
 * movement when the norm is taken over the same row; that is checked on the tables too, not on the
 * spelling. */
#include "pass/elements_parts.h"

#include <stdlib.h>
#include <string.h>

enum { DEPTH_LIMIT = 64, MEMO = 96, ROOT_STEPS = 256, ENTRIES = 1 << 27 };

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

/* Room for the `elements` of a value, in runs of `unit`. */
static bool new_table(evaluator *e, int64_t elements, int64_t unit, cyg_table *out)
{
    *out = (cyg_table){.count = elements / unit, .unit = unit};
    if (elements < 0 || (e->entries += out->count) > ENTRIES)
        return false;
    out->at = malloc(((size_t)out->count + 1) * sizeof *out->at);
    return out->at != NULL;
}

static bool remember(evaluator *e, uint32_t value, cyg_table t, bool alias)
{
    if (e->memo_count >= CYG_COUNT(e->memo))
        return false;
    e->memo[e->memo_count].value = value;
    e->memo[e->memo_count].alias = alias;
    e->memo[e->memo_count++].t = t;
    return true;
}

/* t in shorter runs; unit divides its own. Owned by the memo like every table. */
static bool refine(evaluator *e, int64_t unit, cyg_table *io)
{
    const int64_t parts = io->unit / unit;
    cyg_table t;
    if (parts == 1)
        return true;
    if (!new_table(e, io->count * io->unit, unit, &t))
        return false;
    for (int64_t i = 0; i < io->count; i++) {
        const int32_t from = io->at[i];
        for (int64_t j = 0; j < parts; j++)
            t.at[i * parts + j] = from < 0 ? -1 : (int32_t)(from * parts + j);
    }
    if (!remember(e, CYG_NO_ID, t, false)) {
        free(t.at);
        return false;
    }
    *io = t;
    return true;
}

static bool evaluate(evaluator *e, cyg_value_id v, unsigned depth, cyg_table *out);

/* The runs that all pieces have in common. */
static bool concat_unit(evaluator *e, const cyg_node *n, const cyg_value *y, int axis,
                        unsigned depth, int64_t *out_unit)
{
    int64_t unit = y->dims[y->rank - 1];
    for (uint32_t i = 0; i < n->in_count; i++) {
        cyg_table piece;
        const cyg_value *x = cyg_val(e->rw->g, n->in[i]);
        if (x->rank != y->rank || !evaluate(e, n->in[i], depth, &piece))
            return false;
        unit = cyg_common_divisor(unit, piece.unit);
        if (axis == y->rank - 1)
            unit = cyg_common_divisor(unit, x->dims[axis]);
    }
    *out_unit = unit < 1 ? 1 : unit;
    return true;
}

static bool eval_concat(evaluator *e, cyg_value_id v, const cyg_node *n, unsigned depth,
                        cyg_table *out)
{
    const cyg_value *y = cyg_val(e->rw->g, v);
    const int axis = cyg_rw_axis(cyg_node_int(n, CYG_ATTR_axis, 0), y->rank);
    int64_t unit, outer = 1, inner = 1, done = 0;
    if (axis < 0 || !concat_unit(e, n, y, axis, depth, &unit) ||
        !new_table(e, count_of(e->rw, v), unit, out))
        return false;
    for (int k = 0; k < y->rank; k++) {
        outer *= k < axis ? y->dims[k] : 1;
        inner *= k > axis ? y->dims[k] : 1;
    }
    const int64_t row = y->dims[axis] * inner / unit;
    for (uint32_t i = 0; i < n->in_count; i++) {
        cyg_table piece;
        if (!evaluate(e, n->in[i], depth, &piece) || !refine(e, unit, &piece))
            return false;
        const int64_t part = cyg_val(e->rw->g, n->in[i])->dims[axis] * inner / unit;
        if (done + part > row || part * outer != piece.count)
            return false;
        for (int64_t o = 0; o < outer; o++)
            memcpy(out->at + o * row + done, piece.at + o * part, (size_t)part * sizeof *out->at);
        done += part;
    }
    return done == row;
}

/* ---- arithmetic on the way ---- */

/* Is each run of a, of d runs a row, divided by the norm of its own row of z (table zt)? upper and
 * lower say which norm an element of b, broadcast to y, is. */
static bool norms_fit(const cyg_elements *upper, const cyg_elements *lower, const cyg_value *b,
                      const cyg_value *y, int64_t d, const cyg_table *a, const cyg_table *zt)
{
    int32_t *spread = malloc(((size_t)a->count + 1) * sizeof *spread);
    cyg_table s = {spread, a->count, 1}, u = {upper->at, upper->count, 1};
    cyg_value in_runs = *y;
    in_runs.dims[y->rank - 1] /= a->unit;
    bool ok = spread != NULL && cyg_elements_expand(&u, b, &in_runs, &s);
    for (int64_t i = 0; ok && i < a->count; i++) {
        int64_t r = spread[i];
        if (r >= 0 && lower->at != NULL)
            r = lower->at[r];
        ok = r >= 0 && (r + 1) * d <= zt->count && a->at[i] >= 0 && zt->at[r * d] >= 0 &&
             zt->at[r * d] % d == 0 && zt->at[r * d] / d == a->at[i] / d &&
             zt->at[r * d + d - 1] == zt->at[r * d] + d - 1;
    }
    free(spread);
    return ok;
}

/* The operand of an Expand to y's shape, which y's node would broadcast itself. */
static cyg_value_id before_expand(const cyg_rw *rw, cyg_value_id v, cyg_value_id y)
{
    const cyg_node *n = producer_of(rw, v);
    return n != NULL && n->op == CYG_OP_expand && cyg_rw_same_shape(rw, v, y) ? n->in[0] : v;
}

/* v = x / max(|x|_2, eps): does b (the divisor of n) hold, for each element of a, the norm of the
 * row that a's element is in? */
static bool divides_by_norm(evaluator *e, const cyg_node *n, cyg_table *a)
{
    const cyg_rw *rw = e->rw;
    const cyg_value *y = cyg_val(rw->g, n->out[0]);
    /* b up to the norm: movement, Clip(min) or Max(eps). Tables of movement are made below, from
     * the norm on. */
    const cyg_value_id b = before_expand(rw, n->in[1], n->out[0]);
    cyg_value_id up = b, norm = CYG_NO_VALUE, below = CYG_NO_VALUE;
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
    const cyg_value *bv = cyg_val(rw->g, b);
    cyg_table zt;
    cyg_elements upper = {0}, lower = {0};
    bool ok = d > 0 && y->rank > 0 && evaluate(e, z, 0, &zt);
    /* Runs of a row of z; one norm serves a run when b has one for each row of v. */
    const int64_t unit = !ok || bv->rank == 0 || bv->dims[bv->rank - 1] != 1
                             ? 1
                             : cyg_common_divisor(cyg_common_divisor(a->unit, zt.unit),
                                                  cyg_common_divisor(d, y->dims[y->rank - 1]));
    ok = ok && refine(e, unit, a) && refine(e, unit, &zt) && cyg_elements_of(e->rw, b, &upper);
    if (ok && !cyg_value_is_none(below)) {
        const cyg_node *p = producer_of(rw, below);
        ok = upper.source.i == below.i && cyg_elements_of(e->rw, p->in[0], &lower) &&
             lower.source.i == norm.i;
    } else if (ok) {
        ok = upper.source.i == norm.i;
    }
    ok = ok && norms_fit(&upper, &lower, bv, y, d / unit, a, &zt);
    cyg_elements_free(&upper);
    cyg_elements_free(&lower);
    return ok;
}

/* The table of n's result is that of an operand. */
static bool eval_scaled(evaluator *e, cyg_value_id v, const cyg_node *n, unsigned depth,
                        cyg_table *out)
{
    float factor;
    if (n->op != CYG_OP_mul && n->op != CYG_OP_div)
        return false;
    const int c = cyg_rw_const_operand(e->rw, cyg_val(e->rw->g, v)->producer);
    if (c >= 0 && (n->op == CYG_OP_mul || c == 1) && cyg_rw_scalar(e->rw, n->in[c], &factor)) {
        if (!evaluate(e, n->in[1 - c], depth, out) ||
            out->count * out->unit != count_of(e->rw, v) || (n->op == CYG_OP_div && factor == 0))
            return false;
        e->scale = n->op == CYG_OP_mul ? e->scale * factor : e->scale / factor;
        return true;
    }
    if (n->op != CYG_OP_div || c >= 0 || e->cosine)
        return false;
    /* a factor nearer to the source than the norm: nobody writes that */
    e->cosine = evaluate(e, n->in[0], depth, out) && out->count * out->unit == count_of(e->rw, v) &&
                divides_by_norm(e, n, out) && e->scale == 1.0f;
    return e->cosine;
}

static bool eval_move(evaluator *e, cyg_value_id v, const cyg_node *n, unsigned depth,
                      cyg_table *out)
{
    cyg_table in;
    if (!evaluate(e, n->in[0], depth, &in))
        return false;
    const int64_t unit = cyg_elements_unit(e->rw, v, n, in.unit);
    return refine(e, unit, &in) && new_table(e, count_of(e->rw, v), unit, out) &&
           cyg_elements_move(e->rw, v, n, &in, out);
}

static bool root_table(evaluator *e, cyg_value_id v, cyg_table *out)
{
    const int64_t last = cyg_rw_last_dim(e->rw, v);
    if (!new_table(e, count_of(e->rw, v), last < 1 ? 1 : last, out))
        return false;
    for (int64_t i = 0; i < out->count; i++)
        out->at[i] = (int32_t)i;
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
    const cyg_node_id p = cyg_val(e->rw->g, v)->producer;
    const bool root = v.i == e->root.i;
    if (depth >= DEPTH_LIMIT || (!root && cyg_node_is_none(p)) || count_of(e->rw, v) < 0)
        return false;
    const cyg_node *n = root ? NULL : cyg_nod(e->rw->g, p);
    if (n != NULL && cyg_rw_is_view(n->op))
        return evaluate(e, n->in[0], depth + 1, out) &&
               out->count * out->unit == count_of(e->rw, v) && remember(e, v.i, *out, true);
    if (n != NULL && !cyg_elements_moves(e->rw, p))
        return eval_scaled(e, v, n, depth + 1, out) && remember(e, v.i, *out, true);
    cyg_table t = {0};
    const bool ok = n == NULL                ? root_table(e, v, &t)
                    : n->op == CYG_OP_concat ? eval_concat(e, v, n, depth + 1, &t)
                                             : eval_move(e, v, n, depth + 1, &t);
    if (!ok || !remember(e, v.i, t, false)) {
        free(t.at);
        return false;
    }
    *out = t;
    return true;
}

static bool run(evaluator *e, cyg_value_id v, cyg_elements *out_map)
{
    cyg_table t;
    const bool ok = !cyg_value_is_none(e->root) && evaluate(e, v, 0, &t) && refine(e, 1, &t);
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
