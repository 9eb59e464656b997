/* Linear layers: MatMul(x, W) with constant W [K, N], MatMul + Add of a vector, Gemm. All become
 * linear(x, w, bias [N]), with w in the order that the file has it: [N, K], or [K, N] and w_kn.
 * Weights are most of a file, and a graph that is only written again never touches them; for
 * whoever quantises, turn_weights brings all of them to [N, K] in the end.
 *
 * Gemm's alpha and beta go into the constants. A bias that follows behind a view (dynamo exports)
 * is found too, and so is a factor for each channel (layer scale). */
#include "base/bytes.h"
#include "pass/passes.h"
#include "pass/rewrite.h"

/* The last two dimensions of w, times alpha. */
static cyg_value_id weights(cyg_rw *rw, cyg_value_id w, float alpha)
{
    const cyg_value *v = cyg_val(rw->g, w);
    const int64_t dims[2] = {v->dims[v->rank - 2], v->dims[v->rank - 1]};
    if (alpha == 1.0f && v->rank == 2)
        return w;
    const void *from = v->data;
    float *to = NULL;
    if (alpha != 1.0f) {
        to = cyg_arena_alloc(&rw->g->arena, v->bytes, 64);
        if (to == NULL)
            return CYG_NO_VALUE;
        for (int64_t i = 0; i < dims[0] * dims[1]; i++)
            to[i] = alpha * cyg_float_at(from, i);
    }
    cyg_quant q = v->quant;
    if (q.axis >= 0)
        q.axis -= v->rank - 2;
    const cyg_value_id now = cyg_rw_const_for(rw, w, 2, dims, to != NULL ? to : from, v->bytes);
    if (!cyg_value_is_none(now) && alpha == 1.0f && (q.axis >= 0 || v->quant.axis < 0))
        cyg_val(rw->g, now)->quant = q;
    return now;
}

static cyg_value_id bias_vector(cyg_rw *rw, cyg_value_id b, int64_t n, float beta)
{
    const cyg_value *v = cyg_val(rw->g, b);
    if (v->rank == 1 && beta == 1.0f)
        return b;
    float *to = cyg_arena_alloc(&rw->g->arena, (size_t)n * sizeof *to, 64);
    if (to == NULL)
        return CYG_NO_VALUE;
    for (int64_t i = 0; i < n; i++)
        to[i] = beta * cyg_float_at(v->data, i);
    return cyg_rw_const_for(rw, b, 1, &n, to, (size_t)n * sizeof *to);
}

/* [.., K, N] with all leading dimensions 1. */
static bool is_weight_matrix(const cyg_rw *rw, cyg_value_id w)
{
    const cyg_value *v = cyg_rw_is_const(rw, w) ? cyg_val(rw->g, w) : NULL;
    if (v == NULL || v->type != CYG_TYPE_F32 || v->data == NULL || v->rank < 2 ||
        v->rank == CYG_RANK_UNKNOWN)
        return false;
    return cyg_value_elements(v) == v->dims[v->rank - 1] * v->dims[v->rank - 2];
}

/* The node; `former` are its weights in the file, which may be needed no more. */
static cyg_status finish(cyg_rw *rw, cyg_node_id id, cyg_value_id former, bool kn,
                         const cyg_value_id *in, uint32_t in_count, cyg_value_id out)
{
    const cyg_node_id now = cyg_rw_replace(rw, id, CYG_OP_linear, in, in_count, out);
    if (cyg_node_is_none(now) || (kn && !cyg_node_set_int(rw->g, now, CYG_ATTR_w_kn, 1)))
        return CYG_RW_NOMEM(rw);
    cyg_rw_release(rw, former);
    return CYG_OK;
}

static cyg_status from_matmul(cyg_rw *rw, cyg_node_id id)
{
    const cyg_node *n = cyg_nod(rw->g, id);
    const cyg_value_id x = n->in[0], w = n->in[1], out = n->out[0];
    const cyg_value *xv = cyg_val(rw->g, x), *wv = cyg_val(rw->g, w);
    if (!is_weight_matrix(rw, w) || xv->is_const || xv->rank == CYG_RANK_UNKNOWN || xv->rank < 2 ||
        wv->rank > xv->rank || xv->dims[xv->rank - 1] != wv->dims[wv->rank - 2])
        return CYG_OK;
    const cyg_value_id in[2] = {x, weights(rw, w, 1.0f)};
    if (cyg_value_is_none(in[1]))
        return CYG_RW_NOMEM(rw);
    return finish(rw, id, w, true, in, 2, out);
}

static cyg_status from_gemm(cyg_rw *rw, cyg_node_id id)
{
    const cyg_node *n = cyg_nod(rw->g, id);
    const float alpha = cyg_node_float(n, CYG_ATTR_alpha, 1.0f),
                beta = cyg_node_float(n, CYG_ATTR_beta, 1.0f);
    const bool transposed = cyg_node_int(n, CYG_ATTR_transB, 0) != 0;
    const cyg_value_id w = n->in[1], b = cyg_node_in(n, 2), out = n->out[0];
    if (cyg_node_int(n, CYG_ATTR_transA, 0) != 0 || !is_weight_matrix(rw, n->in[1]) ||
        cyg_val(rw->g, n->in[0])->is_const)
        return CYG_OK;
    const cyg_value *wv = cyg_val(rw->g, n->in[1]);
    const int64_t channels = wv->dims[transposed ? 0 : 1];
    if (wv->rank != 2 || (!cyg_value_is_none(b) && !cyg_rw_channel_vector(rw, b, channels)))
        return CYG_OK;
    cyg_value_id in[3] = {n->in[0], weights(rw, n->in[1], alpha), CYG_NO_VALUE};
    if (!cyg_value_is_none(b))
        in[2] = bias_vector(rw, b, channels, beta);
    if (cyg_value_is_none(in[1]) || (!cyg_value_is_none(b) && cyg_value_is_none(in[2])))
        return CYG_RW_NOMEM(rw);
    return finish(rw, id, w, !transposed, in, cyg_value_is_none(b) ? 2 : 3, out);
}

/* Neither activation nor residual: nothing but the product and its bias. */
static bool is_plain(const cyg_node *n)
{
    return n->in_count <= 3 && n->attr_count == (cyg_node_attr(n, CYG_ATTR_w_kn) != NULL ? 1u : 0u);
}

static cyg_status take_bias(cyg_rw *rw, cyg_node_id id)
{
    const cyg_node *n = cyg_nod(rw->g, id);
    cyg_value_id last;
    if (n->in_count != 2 || !is_plain(n))
        return CYG_OK;
    const int64_t channels = cyg_rw_linear_width(rw, id);
    const cyg_node_id add = cyg_rw_down_views(rw, n->out[0], &last);
    if (cyg_node_is_none(add) || cyg_nod(rw->g, add)->op != CYG_OP_add ||
        cyg_rw_last_dim(rw, last) != channels)
        return CYG_OK;
    const int c = cyg_rw_const_operand(rw, add);
    if (c < 0 || !cyg_rw_channel_vector(rw, cyg_nod(rw->g, add)->in[c], channels) ||
        !cyg_rw_same_shape(rw, last, cyg_nod(rw->g, add)->out[0]))
        return CYG_OK;
    const cyg_value_id in[3] = {n->in[0], n->in[1],
                                bias_vector(rw, cyg_nod(rw->g, add)->in[c], channels, 1.0f)};
    if (cyg_value_is_none(in[2]) || cyg_node_is_none(cyg_rw_swallow(rw, id, add, in, 3)))
        return CYG_RW_NOMEM(rw);
    return CYG_OK;
}

/* The weights of a linear, each channel times its factor. */
static cyg_value_id scaled_weights(cyg_rw *rw, cyg_node_id id, const void *factor)
{
    const cyg_value_id w = cyg_nod(rw->g, id)->in[1];
    const cyg_value *v = cyg_val(rw->g, w);
    const bool kn = cyg_node_int(cyg_nod(rw->g, id), CYG_ATTR_w_kn, 0) != 0;
    const int64_t dims[2] = {v->dims[0], v->dims[1]};
    const void *from = v->data;
    float *to = cyg_arena_alloc(&rw->g->arena, v->bytes, 64);
    if (to == NULL)
        return CYG_NO_VALUE;
    for (int64_t i = 0; i < dims[0]; i++)
        for (int64_t j = 0; j < dims[1]; j++)
            to[i * dims[1] + j] =
                cyg_float_at(from, i * dims[1] + j) * cyg_float_at(factor, kn ? j : i);
    return cyg_rw_const_for(rw, w, 2, dims, to, v->bytes);
}

/* A factor for each channel behind the linear (layer scale) goes into weights and bias. */
static cyg_status take_scale(cyg_rw *rw, cyg_node_id id)
{
    const cyg_node *n = cyg_nod(rw->g, id);
    const cyg_value_id w = n->in[1], b = cyg_node_in(n, 2);
    cyg_value_id last;
    const cyg_node_id mul = cyg_rw_down_views(rw, n->out[0], &last);
    const int64_t channels = cyg_rw_linear_width(rw, id);
    if (!is_plain(n) || cyg_node_is_none(mul) || cyg_nod(rw->g, mul)->op != CYG_OP_mul ||
        !is_weight_matrix(rw, w) ||
        cyg_val(rw->g, w)->quant.type != CYG_TYPE_NONE || /* given: stays as it is */
        cyg_val(rw->g, w)->rank != 2 ||
        (!cyg_value_is_none(b) && !cyg_rw_channel_vector(rw, b, channels)))
        return CYG_OK;
    const int c = cyg_rw_const_operand(rw, mul);
    if (c < 0 || channels < 2 || cyg_rw_last_dim(rw, last) != channels ||
        !cyg_rw_channel_vector(rw, cyg_nod(rw->g, mul)->in[c], channels) ||
        !cyg_rw_same_shape(rw, last, cyg_nod(rw->g, mul)->out[0]))
        return CYG_OK;
    const void *factor = cyg_val(rw->g, cyg_nod(rw->g, mul)->in[c])->data;
    const size_t bias_bytes = (size_t)channels * sizeof(float);
    const cyg_value_id scaled = scaled_weights(rw, id, factor);
    float *bias = cyg_arena_alloc(&rw->g->arena, bias_bytes, 64);
    if (cyg_value_is_none(scaled) || bias == NULL)
        return CYG_RW_NOMEM(rw);
    const void *old = cyg_value_is_none(b) ? NULL : cyg_val(rw->g, b)->data;
    for (int64_t i = 0; i < channels; i++)
        bias[i] = old == NULL ? 0.0f : cyg_float_at(old, i) * cyg_float_at(factor, i);
    const cyg_value_id in[3] = {
        cyg_nod(rw->g, id)->in[0], scaled,
        old == NULL ? CYG_NO_VALUE : cyg_rw_const_for(rw, b, 1, &channels, bias, bias_bytes)};
    if (cyg_graph_failed(rw->g) ||
        cyg_node_is_none(cyg_rw_swallow(rw, id, mul, in, old == NULL ? 2 : 3)))
        return CYG_RW_NOMEM(rw);
    return CYG_OK;
}

static cyg_status visit(cyg_rw *rw, cyg_node_id id)
{
    switch ((int)cyg_nod(rw->g, id)->op) {
    case CYG_OP_matmul:
        return from_matmul(rw, id);
    case CYG_OP_gemm:
        return from_gemm(rw, id);
    case CYG_OP_linear:
        CYG_DO(take_bias(rw, id));
        return cyg_nod(rw->g, id)->op == CYG_OP_linear ? take_scale(rw, id) : CYG_OK;
    default:
        return CYG_OK;
    }
}

cyg_status cyg_pass_linear(cyg_ctx *ctx, cyg_graph *g, bool *out_changed)
{
    return cyg_rw_each(ctx, g, visit, out_changed);
}
