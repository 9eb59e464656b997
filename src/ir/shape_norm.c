/* Shape rules of normalisation, softmax, reductions and ArgMax. */
#include "ir/shape.h"

#include <string.h>

cyg_status cyg_shape_rule_normalization(cyg_infer *s)
{
    cyg_shape x = cyg_infer_shape_in(s, 0);
    for (uint32_t i = 1; x.rank != CYG_RANK_UNKNOWN && i < 5; i++) {
        const cyg_shape p = cyg_infer_shape_in(s, i);
        if (p.rank == CYG_RANK_UNKNOWN)
            continue;
        if (p.rank != 1 || x.rank < 2)
            return CYG_INFER_FAIL(s, "input %u: expected a vector over channels, found %s", i,
                                  cyg_shape_str(s->g, &p).s);
        CYG_DO(cyg_infer_same_dim(s, "channels", x.dims[1], p.dims[0], &x.dims[1]));
    }
    return cyg_infer_set(s, 0, &x);
}

/* Scale and bias: one element a channel, or (GroupNormalization of opset 18) one a group. */
cyg_status cyg_shape_rule_group_normalization(cyg_infer *s)
{
    const cyg_shape x = cyg_infer_shape_in(s, 0);
    const bool by_group = s->n->op == CYG_OP_group_normalization;
    const int64_t groups = by_group ? cyg_node_int(s->n, CYG_ATTR_num_groups, 0) : 1;
    CYG_DO(cyg_infer_same_type(s, 0, 1));
    CYG_DO(cyg_infer_same_type(s, 0, 2));
    if (x.rank == CYG_RANK_UNKNOWN)
        return cyg_infer_set_unknown(s, x.type);
    if (x.rank < 2)
        return CYG_INFER_FAIL(s, "expected rank 2 or more, found %d", x.rank);
    if (groups < 1 || (x.dims[1] >= 0 && x.dims[1] % groups != 0))
        return CYG_INFER_FAIL(s, "%lld groups do not divide the channels of %s", (long long)groups,
                              cyg_shape_str(s->g, &x).s);
    for (uint32_t i = 1; i < 3; i++) {
        const cyg_shape p = cyg_infer_shape_in(s, i);
        int64_t channels;
        if (p.rank == CYG_RANK_UNKNOWN || (by_group && p.rank == 1 && p.dims[0] == groups))
            continue;
        if (p.rank != 1)
            return CYG_INFER_FAIL(s, "input %u: expected a vector over channels, found %s", i,
                                  cyg_shape_str(s->g, &p).s);
        CYG_DO(cyg_infer_same_dim(s, "channels", x.dims[1], p.dims[0], &channels));
    }
    return cyg_infer_set(s, 0, &x);
}

cyg_status cyg_shape_rule_layer_normalization(cyg_infer *s)
{
    const cyg_shape x = cyg_infer_shape_in(s, 0);
    if (x.rank == CYG_RANK_UNKNOWN)
        return cyg_infer_set(s, 0, &x);
    int axis;
    CYG_DO(cyg_infer_axis(s, cyg_node_int(s->n, CYG_ATTR_axis, -1), x.rank, &axis));
    for (uint32_t i = 1; i < 3; i++) {
        const cyg_shape p = cyg_infer_shape_in(s, i);
        cyg_shape tail = {.rank = (uint8_t)(x.rank - axis)}, both;
        memcpy(tail.dims, &x.dims[axis], tail.rank * sizeof tail.dims[0]);
        if (p.rank == CYG_RANK_UNKNOWN)
            continue;
        CYG_DO(cyg_infer_broadcast(s, &tail, &p, &both));
        if (both.rank != tail.rank)
            return CYG_INFER_FAIL(s, "input %u: expected %s, found %s", i,
                                  cyg_shape_str(s->g, &tail).s, cyg_shape_str(s->g, &p).s);
    }
    return cyg_infer_set(s, 0, &x);
}

cyg_status cyg_shape_rule_channel_norm(cyg_infer *s)
{
    const cyg_shape x = cyg_infer_shape_in(s, 0);
    if (x.rank == CYG_RANK_UNKNOWN)
        return cyg_infer_set(s, 0, &x);
    if (x.rank < 2)
        return CYG_INFER_FAIL(s, "input 0: expected rank 2 or more, found %d", x.rank);
    for (uint32_t i = 1; i < 3; i++) {
        const cyg_shape p = cyg_infer_shape_in(s, i);
        if (p.rank != CYG_RANK_UNKNOWN &&
            (p.rank != 1 || (p.dims[0] >= 0 && x.dims[1] >= 0 && p.dims[0] != x.dims[1])))
            return CYG_INFER_FAIL(s, "input %u: expected the %lld channels, found %s", i,
                                  (long long)x.dims[1], cyg_shape_str(s->g, &p).s);
    }
    return cyg_infer_set(s, 0, &x);
}

cyg_status cyg_shape_rule_axis_same(cyg_infer *s)
{
    const cyg_shape x = cyg_infer_shape_in(s, 0);
    int axis;
    if (x.rank != CYG_RANK_UNKNOWN && x.rank > 0)
        CYG_DO(cyg_infer_axis(s, cyg_node_int(s->n, CYG_ATTR_axis, -1), x.rank, &axis));
    return cyg_infer_set(s, 0, &x);
}

/* Drops the marked axes, or makes them one. */
static cyg_shape reduced(const cyg_shape *x, const bool *over, bool keep)
{
    cyg_shape y = {.type = x->type};
    for (int i = 0; i < x->rank; i++) {
        if (!over[i])
            y.dims[y.rank++] = x->dims[i];
        else if (keep)
            y.dims[y.rank++] = 1;
    }
    return y;
}

cyg_status cyg_shape_rule_reduce(cyg_infer *s)
{
    const cyg_shape x = cyg_infer_shape_in(s, 0);
    const bool keep = cyg_node_int(s->n, CYG_ATTR_keepdims, 1) != 0;
    const bool noop = cyg_node_int(s->n, CYG_ATTR_noop_with_empty_axes, 0) != 0;
    if (x.rank == CYG_RANK_UNKNOWN)
        return cyg_infer_set_unknown(s, x.type);
    cyg_ints axes = {0};
    bool over[CYG_MAX_RANK] = {false};
    if (cyg_infer_in(s, 1) != NULL &&
        (!cyg_infer_ints(s, 1, &axes) || !cyg_ints_all_known(&axes))) {
        cyg_shape y = {.type = x.type, .rank = keep ? x.rank : CYG_RANK_UNKNOWN};
        for (int i = 0; i < x.rank; i++)
            y.dims[i] = -1;
        return cyg_infer_set(s, 0, &y);
    }
    for (uint32_t i = 0; i < axes.count; i++) {
        int axis;
        CYG_DO(cyg_infer_axis(s, axes.v[i], x.rank, &axis));
        over[axis] = true;
    }
    for (int i = 0; axes.count == 0 && !noop && i < x.rank; i++)
        over[i] = true;
    const cyg_shape y = reduced(&x, over, keep);
    return cyg_infer_set(s, 0, &y);
}

cyg_status cyg_shape_rule_arg_max(cyg_infer *s)
{
    const cyg_shape x = cyg_infer_shape_in(s, 0);
    if (x.rank == CYG_RANK_UNKNOWN)
        return cyg_infer_set_unknown(s, CYG_TYPE_S64);
    bool over[CYG_MAX_RANK] = {false};
    int axis;
    CYG_DO(cyg_infer_axis(s, cyg_node_int(s->n, CYG_ATTR_axis, 0), x.rank, &axis));
    over[axis] = true;
    cyg_shape y = reduced(&x, over, cyg_node_int(s->n, CYG_ATTR_keepdims, 1) != 0);
    y.type = CYG_TYPE_S64;
    return cyg_infer_set(s, 0, &y);
}
