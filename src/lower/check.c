/* What the rules of lowering take for granted, checked for graphs that come from a file.
 *
 * The quantiser's own graphs are right by construction, and rules index scales, biases and gammas
 * by channel without looking. A quantised graph that was read (build --model_type QuantAxModel)
 * has passed the verifier, which knows structure, but nobody inferred its shapes. Here: shapes are
 * known, constants have one number a channel, scales lie along the axis where rules look for them.
 * Sizes of whole operands are the kernels' own matter: each call is checked when a package is
 * opened. */
#include "lower/lowering.h"

typedef struct checker {
    cyg_ctx *ctx;
    const cyg_graph *g;
    const cyg_node *n;
} checker;

#define REQUIRE(c, holds, what)                                                                    \
    do {                                                                                           \
        if (!(holds))                                                                              \
            return CYG_FAIL((c)->ctx, CYG_E_GRAPH, "node \"%s\" (%s): %s", (c)->n->name,           \
                            cyg_op_schema_of((c)->n->op)->onnx, what);                             \
    } while (0)

static const cyg_value *operand(const checker *c, uint32_t i)
{
    const cyg_value_id v = cyg_node_in(c->n, i);
    return cyg_value_is_none(v) ? NULL : cyg_val(c->g, v);
}

static bool is_vector(const cyg_value *v, int64_t count)
{
    return v == NULL || (v->is_const && v->type == CYG_TYPE_F32 && cyg_value_elements(v) == count);
}

static cyg_status check_values(cyg_ctx *ctx, const cyg_graph *g)
{
    for (uint32_t i = 0; i < g->value_count; i++) {
        const cyg_value *v = &g->values[i];
        const cyg_quant *q = &v->quant;
        int32_t lo = 0, hi = 0;
        if (!cyg_value_shape_known(v) || v->type == CYG_TYPE_NONE)
            return CYG_FAIL(ctx, CYG_E_GRAPH, "value \"%s\": its type and shape must be known",
                            v->name);
        if (q->type == CYG_TYPE_NONE)
            continue;
        for (uint32_t k = 0; k < q->count; k++)
            if (!(q->scales[k] >= 1e-37f && q->scales[k] <= 1e37f))
                return CYG_FAIL(ctx, CYG_E_GRAPH, "value \"%s\": scale %g is not positive", v->name,
                                (double)q->scales[k]);
        if (!cyg_type_limits(q->type, &lo, &hi) || q->zero_point < lo || q->zero_point > hi)
            return CYG_FAIL(ctx, CYG_E_GRAPH, "value \"%s\": %s has no zero point %d", v->name,
                            cyg_type_name(q->type), q->zero_point);
        if (v->is_const ? v->type != q->type && v->type != CYG_TYPE_F32
                        : v->type != CYG_TYPE_F32 || (q->count > 1 && q->axis != v->rank - 1))
            return CYG_FAIL(ctx, CYG_E_GRAPH, "value \"%s\": stored as %s it cannot be a %s",
                            v->name, cyg_type_name(q->type), cyg_type_name(v->type));
    }
    return CYG_OK;
}

static cyg_status check_weights(const checker *c, int rank)
{
    const cyg_value *x = operand(c, 0), *w = operand(c, 1), *y = cyg_val(c->g, c->n->out[0]);
    REQUIRE(c, w->rank == rank && w->dims[0] > 0, "weights of another rank");
    REQUIRE(c, rank != 2 || cyg_node_int(c->n, CYG_ATTR_w_kn, 0) == 0,
            "weights [K, N] are for float graphs");
    REQUIRE(c, x->rank >= 1 && y->rank >= 1, "a scalar has no channels");
    REQUIRE(c, rank != 4 || (x->rank == 4 && y->rank == 4), "pictures have four dimensions");
    REQUIRE(c, is_vector(operand(c, 2), w->dims[0]), "its bias is not one number a channel");
    REQUIRE(c, !w->is_const || w->quant.count <= 1 || w->quant.axis == 0,
            "scales of weights lie along their first axis");
    REQUIRE(c, y->dims[y->rank - 1] == w->dims[0], "as many channels as rows of weights");
    return CYG_OK;
}

static cyg_status check_norm(const checker *c)
{
    const cyg_value *x = operand(c, 0), *y = cyg_val(c->g, c->n->out[0]);
    REQUIRE(c, x->rank >= 1 && y->rank == x->rank, "a scalar has no channels");
    const int64_t channels = x->dims[x->rank - 1];
    REQUIRE(c, is_vector(operand(c, 1), channels) && is_vector(operand(c, 2), channels),
            "its scale and bias are not one number a channel");
    REQUIRE(c, y->dims[y->rank - 1] == channels, "operand and result differ in channels");
    return CYG_OK;
}

static cyg_status check_attention(const checker *c)
{
    static const cyg_attr_key offsets[] = {CYG_ATTR_q_offset, CYG_ATTR_k_offset, CYG_ATTR_v_offset};
    const int64_t heads = cyg_node_int(c->n, CYG_ATTR_heads, 1),
                  dim = cyg_node_int(c->n, CYG_ATTR_head_dim, 0);
    REQUIRE(c, heads >= 1 && heads <= 1 << 20 && dim >= 1 && dim <= 1 << 20,
            "heads and head_dim must be at least 1");
    for (uint32_t i = 0; i < 3; i++) {
        const cyg_value *v = operand(c, i);
        const int64_t offset = cyg_node_int(c->n, offsets[i], 0);
        REQUIRE(c,
                v->rank >= 1 && offset >= 0 && offset <= 1 << 30 &&
                    offset + heads * dim <= v->dims[v->rank - 1],
                "its heads leave the channels");
    }
    const cyg_value *bias = operand(c, 3);
    REQUIRE(c, bias == NULL || bias->type == CYG_TYPE_F32, "position tables are f32");
    REQUIRE(c, is_vector(operand(c, 6), heads), "head scales are not one number a head");
    return CYG_OK;
}

cyg_status cyg_lower_check(cyg_ctx *ctx, const cyg_graph *g)
{
    CYG_DO(check_values(ctx, g));
    for (uint32_t i = 0; i < g->order_count; i++) {
        const checker c = {ctx, g, cyg_nod(g, g->order[i])};
        switch ((int)c.n->op) {
        case CYG_OP_linear:
            CYG_DO(check_weights(&c, 2));
            break;
        case CYG_OP_conv2d:
            CYG_DO(check_weights(&c, 4));
            break;
        case CYG_OP_layer_normalization:
            CYG_DO(check_norm(&c));
            break;
        case CYG_OP_attention:
            CYG_DO(check_attention(&c));
            break;
        case CYG_OP_pool2d:
        case CYG_OP_gather_rows:
            REQUIRE(&c,
                    operand(&c, 0)->rank >= 1 &&
                        (c.n->op != CYG_OP_pool2d || operand(&c, 0)->rank == 4),
                    "its operand has another rank");
            break;
        default:
            break;
        }
    }
    return CYG_OK;
}
