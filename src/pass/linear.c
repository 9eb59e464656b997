/* Linear layers: MatMul(x, W) with constant W [K, N], MatMul + Add of a vector, Gemm. All become
 * linear(x, w [N, K], bias [N]).
 *
 * Weights are stored once in linear's order, one row an output channel, which is what quantisation
 * per channel, the GEMM's packing and export want; a transposing copy is made where the file has
 * the other order. Gemm's alpha and beta go into the constants. A bias that follows behind a view
 * (dynamo exports) is found too, and so is a factor for each channel (layer scale). */
#include "pass/passes.h"
#include "pass/rewrite.h"

/* [K, N] to [N, K], times alpha. */
static cyg_value_id weights(cyg_rw *rw, cyg_value_id w, bool transposed, float alpha)
{
    const cyg_value *v = cyg_val(rw->g, w);
    const int64_t rows = v->dims[v->rank - 2], cols = v->dims[v->rank - 1];
    const int64_t n = transposed ? rows : cols, k = transposed ? cols : rows, dims[2] = {n, k};
    if (transposed && alpha == 1.0f)
        return w;
    const size_t bytes = (size_t)(n * k) * sizeof(float);
    float *to = cyg_arena_alloc(&rw->g->arena, bytes, 64);
    if (to == NULL)
        return CYG_NO_VALUE;
    const float *from = v->data;
    enum { BLOCK = 32 };
    for (int64_t i0 = 0; i0 < n; i0 += BLOCK)
        for (int64_t j0 = 0; j0 < k; j0 += BLOCK)
            for (int64_t i = i0; i < n && i < i0 + BLOCK; i++)
                for (int64_t j = j0; j < k && j < j0 + BLOCK; j++)
                    to[i * k + j] = alpha * (transposed ? from[i * k + j] : from[j * n + i]);
    cyg_quant q = v->quant;
    if (q.axis >= 0)
        q.axis = (q.axis == v->rank - 2) == transposed ? 0 : 1;
    const cyg_value_id now = cyg_rw_const_for(rw, w, 2, dims, to, bytes);
    if (!cyg_value_is_none(now) && alpha == 1.0f)
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
        to[i] = beta * ((const float *)v->data)[i];
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

static cyg_status from_matmul(cyg_rw *rw, cyg_node_id id)
{
    const cyg_node *n = cyg_nod(rw->g, id);
    const cyg_value_id x = n->in[0], w = n->in[1], out = n->out[0];
    const cyg_value *xv = cyg_val(rw->g, x), *wv = cyg_val(rw->g, w);
    if (!is_weight_matrix(rw, w) || xv->is_const || xv->rank == CYG_RANK_UNKNOWN || xv->rank < 2 ||
        wv->rank > xv->rank || xv->dims[xv->rank - 1] != wv->dims[wv->rank - 2])
        return CYG_OK;
    const cyg_value_id in[2] = {x, weights(rw, w, false, 1.0f)};
    if (cyg_value_is_none(in[1]))
        return CYG_RW_NOMEM(rw);
    cyg_rw_replace(rw, id, CYG_OP_linear, in, 2, out);
    cyg_rw_release(rw, w);
    return CYG_OK;
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
    cyg_value_id in[3] = {n->in[0], weights(rw, n->in[1], transposed, alpha), CYG_NO_VALUE};
    if (!cyg_value_is_none(b))
        in[2] = bias_vector(rw, b, channels, beta);
    if (cyg_value_is_none(in[1]) || (!cyg_value_is_none(b) && cyg_value_is_none(in[2])))
        return CYG_RW_NOMEM(rw);
    cyg_rw_replace(rw, id, CYG_OP_linear, in, cyg_value_is_none(b) ? 2 : 3, out);
    cyg_rw_release(rw, w);
    return CYG_OK;
}

static cyg_status take_bias(cyg_rw *rw, cyg_node_id id)
{
    const cyg_node *n = cyg_nod(rw->g, id);
    cyg_value_id last;
    if (n->in_count != 2 || n->attr_count != 0)
        return CYG_OK;
    const int64_t channels = cyg_val(rw->g, n->in[1])->dims[0];
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

/* A factor for each channel behind the linear (layer scale) goes into weights and bias. */
static cyg_status take_scale(cyg_rw *rw, cyg_node_id id)
{
    const cyg_node *n = cyg_nod(rw->g, id);
    const cyg_value_id w = n->in[1], b = cyg_node_in(n, 2);
    cyg_value_id last;
    const cyg_node_id mul = cyg_rw_down_views(rw, n->out[0], &last);
    if (n->in_count > 3 || n->attr_count != 0 || cyg_node_is_none(mul) ||
        cyg_nod(rw->g, mul)->op != CYG_OP_mul || !is_weight_matrix(rw, w) ||
        cyg_val(rw->g, w)->quant.type != CYG_TYPE_NONE || /* given: stays as it is */
        cyg_val(rw->g, w)->rank != 2 ||
        (!cyg_value_is_none(b) && !cyg_rw_channel_vector(rw, b, cyg_val(rw->g, w)->dims[0])))
        return CYG_OK;
    const int64_t rows = cyg_val(rw->g, w)->dims[0], cols = cyg_val(rw->g, w)->dims[1],
                  dims[2] = {rows, cols};
    const int c = cyg_rw_const_operand(rw, mul);
    if (c < 0 || rows < 2 || cyg_rw_last_dim(rw, last) != rows ||
        !cyg_rw_channel_vector(rw, cyg_nod(rw->g, mul)->in[c], rows) ||
        !cyg_rw_same_shape(rw, last, cyg_nod(rw->g, mul)->out[0]))
        return CYG_OK;
    const float *factor = cyg_val(rw->g, cyg_nod(rw->g, mul)->in[c])->data,
                *from = cyg_val(rw->g, w)->data;
    const size_t bytes = (size_t)(rows * cols) * sizeof(float),
                 bias_bytes = (size_t)rows * sizeof(float);
    float *to = cyg_arena_alloc(&rw->g->arena, bytes, 64),
          *bias = cyg_arena_alloc(&rw->g->arena, bias_bytes, 64);
    if (to == NULL || bias == NULL)
        return CYG_RW_NOMEM(rw);
    const float *old = cyg_value_is_none(b) ? NULL : cyg_val(rw->g, b)->data;
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t j = 0; j < cols; j++)
            to[i * cols + j] = from[i * cols + j] * factor[i];
        bias[i] = old == NULL ? 0.0f : old[i] * factor[i];
    }
    const cyg_value_id in[3] = {n->in[0], cyg_rw_const_for(rw, w, 2, dims, to, bytes),
                                old == NULL ? CYG_NO_VALUE
                                            : cyg_rw_const_for(rw, b, 1, &rows, bias, bias_bytes)};
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
