/* GELU from its parts, in any order of factors:
 *
 *     0.5 * x * (1 + erf(x / sqrt 2))                       -> Gelu
 *     0.5 * x * (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) -> Gelu, approximate = tanh
 *
 * A product is taken apart into its factors and one constant; then the factors are compared, not
 * the tree. Matching starts at the outermost product: nodes are visited by id, and an inner product
 * alone has no factor 0.5 with x, or is inside the outer one's tree, which is tried by every
 * product that is read by no other product. */
#include <math.h>

#include "pass/passes.h"
#include "pass/rewrite.h"

enum { FACTORS = 4 };

typedef struct product {
    cyg_value_id factor[FACTORS];
    int count;
    double constant;
} product;

/* Takes v apart; inner products must have no reader but the outer one. */
static bool take_apart(const cyg_rw *rw, cyg_value_id v, bool outermost, int depth, product *p)
{
    const cyg_node_id id = cyg_val(rw->g, v)->producer;
    float c;
    if (cyg_rw_scalar(rw, v, &c)) {
        p->constant *= (double)c;
        return true;
    }
    if (!cyg_node_is_none(id) && depth < 4 && (outermost || cyg_rw_single_use(rw, v))) {
        const cyg_node *n = cyg_nod(rw->g, id);
        if (n->op == CYG_OP_mul)
            return take_apart(rw, n->in[0], false, depth + 1, p) &&
                   take_apart(rw, n->in[1], false, depth + 1, p);
        if (n->op == CYG_OP_div && cyg_rw_scalar(rw, n->in[1], &c) && c != 0.0f) {
            p->constant /= (double)c;
            return take_apart(rw, n->in[0], false, depth + 1, p);
        }
    }
    if (p->count == FACTORS)
        return false;
    p->factor[p->count++] = v;
    return true;
}

static bool near(double a, double b)
{
    return fabs(a - b) <= 1e-4 * fabs(b);
}

/* v = x * c for the constant c, in either spelling. */
static bool is_multiple(const cyg_rw *rw, cyg_value_id v, cyg_value_id x, double c)
{
    product p = {.constant = 1.0};
    return take_apart(rw, v, true, 0, &p) && p.count == 1 && p.factor[0].i == x.i &&
           near(p.constant, c);
}

/* The operand that is not the scalar `c` of an addition; none when v is no such sum. */
static cyg_value_id plus_scalar(const cyg_rw *rw, cyg_value_id v, double c)
{
    const cyg_node_id add = cyg_rw_producer(rw, v, CYG_OP_add);
    if (cyg_node_is_none(add))
        return CYG_NO_VALUE;
    const cyg_node *n = cyg_nod(rw->g, add);
    for (int k = 0; k < 2; k++)
        if (cyg_rw_scalar_near(rw, n->in[k], c))
            return n->in[1 - k];
    return CYG_NO_VALUE;
}

/* x^3, as Pow or as a product. */
static bool is_cube(const cyg_rw *rw, cyg_value_id v, cyg_value_id x, double *io_constant)
{
    product p = {.constant = 1.0};
    if (!take_apart(rw, v, true, 0, &p))
        return false;
    *io_constant *= p.constant;
    if (p.count == 3)
        return p.factor[0].i == x.i && p.factor[1].i == x.i && p.factor[2].i == x.i;
    for (int k = 0; k < p.count; k++) {
        const cyg_node_id pow = cyg_rw_producer(rw, p.factor[k], CYG_OP_pow);
        if (cyg_node_is_none(pow) || cyg_nod(rw->g, pow)->in[0].i != x.i)
            continue;
        const cyg_value_id e = cyg_nod(rw->g, pow)->in[1];
        if (p.count == 1 && cyg_rw_scalar_near(rw, e, 3.0))
            return true;
        if (p.count == 2 && cyg_rw_scalar_near(rw, e, 2.0) && p.factor[1 - k].i == x.i)
            return true;
    }
    return false;
}

/* v = sqrt(2 / pi) (x + 0.044715 x^3) */
static bool is_tanh_argument(const cyg_rw *rw, cyg_value_id v, cyg_value_id x)
{
    const double root = 0.79788456080286535588;
    product p = {.constant = 1.0};
    if (!take_apart(rw, v, true, 0, &p))
        return false;
    if (p.count == 2 && near(p.constant, root)) /* sqrt(2/pi) x (1 + 0.044715 x^2) */
        for (int k = 0; k < 2; k++) {
            const cyg_value_id rest = plus_scalar(rw, p.factor[1 - k], 1.0);
            product q = {.constant = 1.0};
            if (p.factor[k].i == x.i && !cyg_value_is_none(rest) &&
                take_apart(rw, rest, true, 0, &q) && near(q.constant, 0.044715) && q.count == 2 &&
                q.factor[0].i == x.i && q.factor[1].i == x.i)
                return true;
        }
    const cyg_node_id add =
        p.count == 1 ? cyg_rw_producer(rw, p.factor[0], CYG_OP_add) : CYG_NO_NODE;
    if (cyg_node_is_none(add) || !near(p.constant, root))
        return false;
    for (int k = 0; k < 2; k++) {
        double c = 1.0;
        if (cyg_nod(rw->g, add)->in[k].i == x.i &&
            is_cube(rw, cyg_nod(rw->g, add)->in[1 - k], x, &c))
            return near(c, 0.044715);
    }
    return false;
}

/* 1 + erf(x / sqrt 2), or the tanh form. */
static bool is_gate(const cyg_rw *rw, cyg_value_id v, cyg_value_id x, bool *out_tanh)
{
    const cyg_value_id inner = plus_scalar(rw, v, 1.0);
    if (cyg_value_is_none(inner))
        return false;
    const cyg_node_id erf = cyg_rw_producer(rw, inner, CYG_OP_erf),
                      tanh = cyg_rw_producer(rw, inner, CYG_OP_tanh);
    *out_tanh = !cyg_node_is_none(tanh);
    if (!cyg_node_is_none(erf))
        return is_multiple(rw, cyg_nod(rw->g, erf)->in[0], x, 0.70710678118654752440);
    return *out_tanh && is_tanh_argument(rw, cyg_nod(rw->g, tanh)->in[0], x);
}

static cyg_status visit(cyg_rw *rw, cyg_node_id id)
{
    const cyg_node *n = cyg_nod(rw->g, id);
    product p = {.constant = 1.0};
    if ((n->op != CYG_OP_mul && n->op != CYG_OP_div) || !take_apart(rw, n->out[0], true, 0, &p) ||
        p.count != 2 || !near(p.constant, 0.5))
        return CYG_OK;
    for (int k = 0; k < 2; k++) {
        bool tanh;
        const cyg_value_id x = p.factor[k];
        if (!is_gate(rw, p.factor[1 - k], x, &tanh))
            continue;
        const cyg_value_id in[2] = {n->in[0], n->in[1]};
        const cyg_node_id now = cyg_rw_replace(rw, id, CYG_OP_gelu, &x, 1, n->out[0]);
        if (cyg_node_is_none(now) ||
            !cyg_node_set_string(rw->g, now, CYG_ATTR_approximate, tanh ? "tanh" : "none"))
            return CYG_RW_NOMEM(rw);
        for (int i = 0; i < 2; i++) {
            cyg_rw_merge_upwards(rw, now, in[i], x);
            cyg_rw_drop(rw, in[i]);
        }
        return CYG_OK;
    }
    return CYG_OK;
}

cyg_status cyg_pass_gelu(cyg_ctx *ctx, cyg_graph *g, bool *out_changed)
{
    return cyg_rw_each(ctx, g, visit, out_changed);
}
