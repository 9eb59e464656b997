/* Weights [K, N] of linears become [N, K], one row an output channel: what quantisation per channel
 * and the packing of products want. Last of what looks at weights, so that each is turned once, and
 * not for graphs that are only written again. */
#include "base/bytes.h"
#include "base/pool.h"
#include "pass/passes.h"
#include "pass/rewrite.h"

enum {
    STRIP = 32,
    SMALL = 1 << 16 /* bytes that are not worth a second thread */
};

/* A linear with its weights [K, N]. */
static bool is_kn(const cyg_graph *g, cyg_node_id id)
{
    const cyg_node *n = cyg_nod(g, id);
    return n->op == CYG_OP_linear && cyg_node_int(n, CYG_ATTR_w_kn, 0) != 0;
}

/* All linears that have these weights get the turned ones. */
static void hand_out(cyg_rw *rw, cyg_value_id w, cyg_value_id now)
{
    cyg_graph *g = rw->g;
    for (uint32_t u = cyg_graph_first_use(g, w), next; u != CYG_NO_ID; u = next) {
        const cyg_node_id user = cyg_graph_use_node(g, u);
        next = cyg_graph_next_use(g, u);
        if (!is_kn(g, user) || cyg_nod(g, user)->in[1].i != w.i)
            continue;
        cyg_node_set_input(g, user, 1, now);
        cyg_node_clear_attr(g, user, CYG_ATTR_w_kn);
    }
}

typedef struct turning {
    const cyg_value *v; /* [K, N] */
    float *to;
} turning;

/* Columns in strips of STRIP, which are rows of the result. */
static void turn_some(void *arg, unsigned worker, int64_t begin, int64_t end)
{
    const turning *t = arg;
    const int64_t k = t->v->dims[0], n = t->v->dims[1], first = begin * STRIP,
                  last = end * STRIP < n ? end * STRIP : n;
    (void)worker;
    cyg_transpose_f32(k, last - first, (const char *)t->v->data + (size_t)first * sizeof(float), n,
                      t->to + first * k);
}

static cyg_status visit(cyg_rw *rw, cyg_node_id id)
{
    cyg_graph *g = rw->g;
    if (!is_kn(g, id))
        return CYG_OK;
    const cyg_value_id w = cyg_nod(g, id)->in[1];
    const cyg_value *v = cyg_val(g, w);
    if (!v->is_const || v->type != CYG_TYPE_F32 || v->rank != 2)
        return CYG_OK;
    const int64_t dims[2] = {v->dims[1], v->dims[0]};
    const size_t bytes = v->bytes;
    float *to = cyg_arena_alloc(&g->arena, bytes, 64);
    if (to == NULL)
        return CYG_RW_NOMEM(rw);
    turning t = {v, to};
    cyg_pool_for(bytes < SMALL ? NULL : rw->ctx->pool, (dims[0] + STRIP - 1) / STRIP, 0, turn_some,
                 &t);
    cyg_quant q = v->quant;
    if (q.axis >= 0)
        q.axis = 1 - q.axis;
    const cyg_value_id now = cyg_rw_const_for(rw, w, 2, dims, to, bytes);
    if (cyg_value_is_none(now))
        return CYG_RW_NOMEM(rw);
    cyg_val(g, now)->quant = q;
    hand_out(rw, w, now);
    cyg_rw_release(rw, w);
    rw->changed = true;
    return CYG_OK;
}

cyg_status cyg_pass_turn_weights(cyg_ctx *ctx, cyg_graph *g, bool *out_changed)
{
    return cyg_rw_each(ctx, g, visit, out_changed);
}
