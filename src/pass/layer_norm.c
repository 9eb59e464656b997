/* Layer normalisation from its parts:
 *
 *     m = mean(x); d = x - m; y = d / sqrt(mean(d * d) + eps) [* gamma] [+ beta]
 *
 * over the last axis, d * d written as Pow(d, 2) or Mul(d, d), the division also as a product with
 * the reciprocal. The match starts at the division, so that norms without gamma or beta are found
 * too (gamma then is ones). What is replaced is the last value of the chain; a part that somebody
 * else reads stays alive for that reader. LayerNormalization that came as one operator has its axis
 * written as -1. */
#include "pass/passes.h"
#include "pass/rewrite.h"

/* v = sqrt(mean(d^2) + eps) */
static bool is_deviation(cyg_rw *rw, cyg_value_id v, cyg_value_id d, float *out_eps)
{
    const cyg_graph *g = rw->g;
    const cyg_node_id root = cyg_rw_producer(rw, v, CYG_OP_sqrt);
    const cyg_node_id sum =
        cyg_node_is_none(root) ? root : cyg_rw_producer(rw, cyg_nod(g, root)->in[0], CYG_OP_add);
    if (cyg_node_is_none(sum))
        return false;
    const int c = cyg_rw_const_operand(rw, sum);
    if (c < 0 || !cyg_rw_scalar(rw, cyg_nod(g, sum)->in[c], out_eps))
        return false;
    const cyg_node_id mean = cyg_rw_producer(rw, cyg_nod(g, sum)->in[1 - c], CYG_OP_reduce_mean);
    if (cyg_node_is_none(mean) || !cyg_rw_reduces_last(rw, mean))
        return false;
    const cyg_value_id square = cyg_nod(g, mean)->in[0];
    const cyg_node_id pow = cyg_rw_producer(rw, square, CYG_OP_pow),
                      mul = cyg_rw_producer(rw, square, CYG_OP_mul);
    if (!cyg_node_is_none(pow))
        return cyg_nod(g, pow)->in[0].i == d.i &&
               cyg_rw_scalar_near(rw, cyg_nod(g, pow)->in[1], 2.0);
    return !cyg_node_is_none(mul) && cyg_nod(g, mul)->in[0].i == d.i &&
           cyg_nod(g, mul)->in[1].i == d.i;
}

/* v = 1 / sqrt(..): the operand of the reciprocal, or none. */
static cyg_value_id reciprocal_of(const cyg_rw *rw, cyg_value_id v)
{
    const cyg_node_id r = cyg_rw_producer(rw, v, CYG_OP_reciprocal),
                      q = cyg_rw_producer(rw, v, CYG_OP_div);
    if (!cyg_node_is_none(r))
        return cyg_nod(rw->g, r)->in[0];
    if (!cyg_node_is_none(q) && cyg_rw_scalar_near(rw, cyg_nod(rw->g, q)->in[0], 1.0))
        return cyg_nod(rw->g, q)->in[1];
    return CYG_NO_VALUE;
}

/* d = x - mean(x): x, or none. */
static cyg_value_id centred(cyg_rw *rw, cyg_value_id d)
{
    const cyg_node_id sub = cyg_rw_producer(rw, d, CYG_OP_sub);
    if (cyg_node_is_none(sub))
        return CYG_NO_VALUE;
    const cyg_value_id x = cyg_nod(rw->g, sub)->in[0];
    const cyg_node_id mean = cyg_rw_producer(rw, cyg_nod(rw->g, sub)->in[1], CYG_OP_reduce_mean);
    return !cyg_node_is_none(mean) && cyg_nod(rw->g, mean)->in[0].i == x.i &&
                   cyg_rw_reduces_last(rw, mean)
               ? x
               : CYG_NO_VALUE;
}

/* The affine step `op` after v: moves *v behind it and returns the vector, or none. */
static cyg_value_id affine(const cyg_rw *rw, cyg_value_id *v, cyg_op op, int64_t channels,
                           cyg_node_id *io_node)
{
    const cyg_node_id user = cyg_rw_only_user(rw, *v);
    if (cyg_node_is_none(user) || cyg_nod(rw->g, user)->op != op)
        return CYG_NO_VALUE;
    const cyg_node *n = cyg_nod(rw->g, user);
    const cyg_value_id vector = n->in[n->in[0].i == v->i ? 1 : 0];
    if (!cyg_rw_channel_vector(rw, vector, channels) || !cyg_rw_same_shape(rw, *v, n->out[0]))
        return CYG_NO_VALUE;
    *v = n->out[0];
    *io_node = user;
    return vector;
}

/* The vector as [channels]. */
static cyg_value_id flat(cyg_rw *rw, cyg_value_id v, int64_t channels)
{
    const cyg_value *c = cyg_val(rw->g, v);
    return c->rank == 1 ? v : cyg_rw_const_for(rw, v, 1, &channels, c->data, c->bytes);
}

static cyg_value_id ones(cyg_rw *rw, int64_t channels)
{
    float *data = cyg_arena_alloc(&rw->g->arena, (size_t)channels * sizeof *data, 64);
    for (int64_t i = 0; data != NULL && i < channels; i++)
        data[i] = 1.0f;
    return data == NULL ? CYG_NO_VALUE
                        : cyg_graph_add_const(rw->g, "ones", CYG_TYPE_F32, 1, &channels, data,
                                              (size_t)channels * sizeof *data);
}

static cyg_status build(cyg_rw *rw, cyg_node_id divide, cyg_value_id x, float eps)
{
    const int64_t channels = cyg_rw_last_dim(rw, x);
    if (channels < 1)
        return CYG_OK;
    cyg_value_id last = cyg_nod(rw->g, divide)->out[0];
    cyg_node_id mul = CYG_NO_NODE, add = CYG_NO_NODE, main = divide;
    const cyg_value_id core = last;
    cyg_value_id gamma = affine(rw, &last, CYG_OP_mul, channels, &mul);
    cyg_value_id beta = affine(rw, &last, CYG_OP_add, channels, &add);
    gamma = cyg_value_is_none(gamma) ? ones(rw, channels) : flat(rw, gamma, channels);
    if (cyg_value_is_none(gamma))
        return CYG_RW_NOMEM(rw);
    if (!cyg_value_is_none(beta))
        beta = flat(rw, beta, channels);
    main = !cyg_node_is_none(add) ? add : !cyg_node_is_none(mul) ? mul : divide;
    const cyg_node_id between = cyg_node_is_none(mul) || main.i == mul.i ? CYG_NO_NODE : mul;
    const cyg_value_id feed = main.i == divide.i ? CYG_NO_VALUE : core;
    const cyg_value_id parts[2] = {cyg_nod(rw->g, divide)->in[0], cyg_nod(rw->g, divide)->in[1]};
    const cyg_node_id now =
        cyg_rw_replace(rw, main, CYG_OP_layer_normalization, (cyg_value_id[]){x, gamma, beta},
                       cyg_value_is_none(beta) ? 2 : 3, last);
    if (cyg_node_is_none(now) || !cyg_node_set_int(rw->g, now, CYG_ATTR_axis, -1) ||
        !cyg_node_set_float(rw->g, now, CYG_ATTR_epsilon, eps))
        return CYG_RW_NOMEM(rw);
    cyg_rw_merge_upwards(rw, now, parts[0], x);
    cyg_rw_merge_upwards(rw, now, parts[1], x);
    cyg_node_merge_sources(rw->g, now, divide);
    if (!cyg_node_is_none(between)) {
        cyg_node_merge_sources(rw->g, now, between);
        cyg_rw_drop(rw, cyg_nod(rw->g, between)->out[0]);
    }
    if (!cyg_value_is_none(feed))
        cyg_rw_drop(rw, feed);
    cyg_rw_drop(rw, parts[0]);
    cyg_rw_drop(rw, parts[1]);
    return CYG_OK;
}

static cyg_status visit(cyg_rw *rw, cyg_node_id id)
{
    const cyg_node *n = cyg_nod(rw->g, id);
    if (n->op == CYG_OP_layer_normalization) {
        const cyg_value *x = cyg_val(rw->g, n->in[0]);
        const int64_t axis = cyg_node_int(n, CYG_ATTR_axis, -1);
        if (axis != -1 && x->rank != CYG_RANK_UNKNOWN &&
            cyg_rw_axis(axis, x->rank) == x->rank - 1 &&
            !cyg_node_set_int(rw->g, id, CYG_ATTR_axis, -1))
            return CYG_RW_NOMEM(rw);
        return CYG_OK;
    }
    if (n->op != CYG_OP_div && n->op != CYG_OP_mul)
        return CYG_OK;
    for (uint32_t k = 0; k < (n->op == CYG_OP_mul ? 2u : 1u); k++) {
        const cyg_value_id x = centred(rw, n->in[k]);
        const cyg_value_id root = n->op == CYG_OP_div ? n->in[1] : reciprocal_of(rw, n->in[1 - k]);
        float eps;
        if (!cyg_value_is_none(x) && !cyg_value_is_none(root) &&
            is_deviation(rw, root, n->in[k], &eps))
            return build(rw, id, x, eps);
    }
    return CYG_OK;
}

cyg_status cyg_pass_layer_norm(cyg_ctx *ctx, cyg_graph *g, bool *out_changed)
{
    return cyg_rw_each(ctx, g, visit, out_changed);
}
