/* Shape rules of the element-wise operators: the operand's shape, or numpy broadcasting.
 *
 * Broadcasting aligns shapes at their last dimension; sizes must agree or be one. A symbolic size
 * against a known one above one gives the known one (the symbol must be that, or one). */
#include "ir/shape.h"

cyg_status cyg_shape_rule_same(cyg_infer *s)
{
    const cyg_shape x = cyg_infer_shape_in(s, 0);
    return cyg_infer_set(s, 0, &x);
}

cyg_status cyg_shape_rule_cast(cyg_infer *s)
{
    cyg_shape x = cyg_infer_shape_in(s, 0);
    const int64_t to = cyg_node_int(s->n, CYG_ATTR_to, 0);
    x.type = cyg_type_from_onnx(to);
    if (x.type == CYG_TYPE_NONE)
        return CYG_INFER_FAIL(s, "to: %lld is no element type that cygnet has", (long long)to);
    return cyg_infer_set(s, 0, &x);
}

cyg_status cyg_shape_rule_cast_like(cyg_infer *s)
{
    cyg_shape x = cyg_infer_shape_in(s, 0);
    x.type = cyg_infer_shape_in(s, 1).type;
    return cyg_infer_set(s, 0, &x);
}

static cyg_status broadcast_all(cyg_infer *s, uint32_t first, cyg_shape *out)
{
    *out = cyg_infer_shape_in(s, first);
    for (uint32_t i = first + 1; i < s->n->in_count; i++) {
        const cyg_shape b = cyg_infer_shape_in(s, i);
        /* Pow may mix types; it takes its base's. */
        if (s->n->op != CYG_OP_pow)
            CYG_DO(cyg_infer_same_type(s, first, i));
        CYG_DO(cyg_infer_broadcast(s, out, &b, out));
    }
    return CYG_OK;
}

cyg_status cyg_shape_rule_broadcast(cyg_infer *s)
{
    cyg_shape y;
    CYG_DO(broadcast_all(s, 0, &y));
    return cyg_infer_set(s, 0, &y);
}

cyg_status cyg_shape_rule_compare(cyg_infer *s)
{
    cyg_shape y;
    CYG_DO(broadcast_all(s, 0, &y));
    y.type = CYG_TYPE_BOOL;
    return cyg_infer_set(s, 0, &y);
}

cyg_status cyg_shape_rule_where(cyg_infer *s)
{
    cyg_shape y;
    const cyg_shape condition = cyg_infer_shape_in(s, 0);
    if (condition.type != CYG_TYPE_BOOL && condition.type != CYG_TYPE_NONE)
        return CYG_INFER_FAIL(s, "condition: expected bool, found %s",
                              cyg_type_name(condition.type));
    CYG_DO(broadcast_all(s, 1, &y));
    CYG_DO(cyg_infer_broadcast(s, &y, &condition, &y));
    return cyg_infer_set(s, 0, &y);
}

/* Scales of QuantizeLinear and DequantizeLinear: one, a vector along the axis, or with block_size
 * x's shape with one entry for so many elements along the axis. */
static cyg_status check_scale(cyg_infer *s, const cyg_shape *x)
{
    const int64_t block = cyg_node_int(s->n, CYG_ATTR_block_size, 0);
    const cyg_shape scale = cyg_infer_shape_in(s, 1);
    if (block < 0)
        return CYG_INFER_FAIL(s, "block_size: %lld is negative", (long long)block);
    if (x->rank == CYG_RANK_UNKNOWN || scale.rank == CYG_RANK_UNKNOWN || scale.rank == 0 ||
        (scale.rank == 1 && scale.dims[0] == 1))
        return CYG_OK;
    int axis;
    int64_t d;
    CYG_DO(cyg_infer_axis(s, cyg_node_int(s->n, CYG_ATTR_axis, 1), x->rank, &axis));
    if (scale.rank != (block > 0 ? x->rank : 1))
        return CYG_INFER_FAIL(s, "scale: expected rank %d, found %d", block > 0 ? x->rank : 1,
                              scale.rank);
    if (block == 0)
        return cyg_infer_same_dim(s, "scale", x->dims[axis], scale.dims[0], &d);
    for (int i = 0; i < x->rank; i++) {
        const int64_t size = x->dims[i];
        const int64_t want = i != axis || size < 0 ? size : size / block + (size % block != 0);
        if (i != axis || size >= 0)
            CYG_DO(cyg_infer_same_dim(s, "scale", want, scale.dims[i], &d));
    }
    return CYG_OK;
}

cyg_status cyg_shape_rule_quantize_linear(cyg_infer *s)
{
    cyg_shape x = cyg_infer_shape_in(s, 0);
    CYG_DO(check_scale(s, &x));
    const cyg_shape zero = cyg_infer_shape_in(s, 2);
    x.type = zero.type == CYG_TYPE_NONE ? CYG_TYPE_U8 : zero.type;
    return cyg_infer_set(s, 0, &x);
}

cyg_status cyg_shape_rule_dequantize_linear(cyg_infer *s)
{
    cyg_shape x = cyg_infer_shape_in(s, 0);
    CYG_DO(check_scale(s, &x));
    x.type = cyg_infer_shape_in(s, 1).type;
    CYG_DO(cyg_infer_same_type(s, 0, 2));
    return cyg_infer_set(s, 0, &x);
}
