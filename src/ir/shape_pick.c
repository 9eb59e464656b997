/* Shape rules of the operators that sort, mask, accumulate or scatter elements: TopK, NonZero,
 * Trilu, CumSum, ScatterElements.
 *
 * NonZero's size is its operand's content: known for constants and while running, open before. */
#include "ir/shape.h"

#include "base/bytes.h"

cyg_status cyg_shape_rule_scatter_elements(cyg_infer *s)
{
    const cyg_shape x = cyg_infer_shape_in(s, 0), index = cyg_infer_shape_in(s, 1);
    const cyg_shape updates = cyg_infer_shape_in(s, 2);
    int axis;
    CYG_DO(cyg_infer_same_type(s, 0, 2));
    if (x.rank != CYG_RANK_UNKNOWN)
        CYG_DO(cyg_infer_axis(s, cyg_node_int(s->n, CYG_ATTR_axis, 0), x.rank, &axis));
    if (x.rank != CYG_RANK_UNKNOWN && index.rank != CYG_RANK_UNKNOWN && x.rank != index.rank)
        return CYG_INFER_FAIL(s, "indices: expected rank %d, found %d", x.rank, index.rank);
    if (updates.rank != CYG_RANK_UNKNOWN && index.rank != CYG_RANK_UNKNOWN) {
        int64_t both;
        if (updates.rank != index.rank)
            return CYG_INFER_FAIL(s, "updates: expected rank %d, found %d", index.rank,
                                  updates.rank);
        for (int i = 0; i < index.rank; i++)
            CYG_DO(cyg_infer_same_dim(s, "size of updates", index.dims[i], updates.dims[i], &both));
    }
    return cyg_infer_set(s, 0, &x);
}

cyg_status cyg_shape_rule_top_k(cyg_infer *s)
{
    cyg_shape y = cyg_infer_shape_in(s, 0);
    cyg_ints k;
    int axis;
    if (y.rank != CYG_RANK_UNKNOWN) {
        CYG_DO(cyg_infer_axis(s, cyg_node_int(s->n, CYG_ATTR_axis, -1), y.rank, &axis));
        const bool known = cyg_infer_ints(s, 1, &k) && k.count == 1 && k.known[0];
        if (known && (k.v[0] < 0 || (y.dims[axis] >= 0 && k.v[0] > y.dims[axis])))
            return CYG_INFER_FAIL(s, "k is %lld, the input is %s", (long long)k.v[0],
                                  cyg_shape_str(s->g, &y).s);
        y.dims[axis] = known ? k.v[0] : -1;
    }
    CYG_DO(cyg_infer_set(s, 0, &y));
    y.type = CYG_TYPE_S64;
    return cyg_infer_set(s, 1, &y);
}

/* Elements of `type` that are not zero: all bits but a float's sign count. */
static int64_t count_nonzero(cyg_type type, const uint8_t *bytes, int64_t count)
{
    const bool is_float = type == CYG_TYPE_F32 || type == CYG_TYPE_F64 || type == CYG_TYPE_F16 ||
                          type == CYG_TYPE_BF16;
    const size_t size = cyg_type_size(type);
    int64_t found = 0;
    for (int64_t i = 0; i < count; i++, bytes += size) {
        unsigned any = bytes[size - 1] & (is_float ? 0x7fu : 0xffu); /* little-endian */
        for (size_t b = 0; b + 1 < size; b++)
            any |= bytes[b];
        found += any != 0;
    }
    return found;
}

cyg_status cyg_shape_rule_nonzero(cyg_infer *s)
{
    const cyg_shape x = cyg_infer_shape_in(s, 0);
    cyg_shape y = {.type = CYG_TYPE_S64, .rank = 2, .dims = {-1, -1}};
    if (x.rank == CYG_RANK_UNKNOWN)
        return cyg_infer_set(s, 0, &y);
    y.dims[0] = x.rank;
    const void *bytes = cyg_infer_bytes(s, 0);
    const int64_t count = cyg_value_elements(cyg_infer_in(s, 0));
    if (count == 0)
        y.dims[1] = 0;
    else if (bytes != NULL)
        y.dims[1] = count_nonzero(x.type, bytes, count);
    return cyg_infer_set(s, 0, &y);
}

cyg_status cyg_shape_rule_trilu(cyg_infer *s)
{
    const cyg_shape x = cyg_infer_shape_in(s, 0), k = cyg_infer_shape_in(s, 1);
    if (x.rank < 2)
        return CYG_INFER_FAIL(s, "expected rank 2 or more, found %d", x.rank);
    if (k.rank != CYG_RANK_UNKNOWN && cyg_shape_product(&k, 0, k.rank) > 1)
        return CYG_INFER_FAIL(s, "k: expected one number, found %s", cyg_shape_str(s->g, &k).s);
    return cyg_infer_set(s, 0, &x);
}

cyg_status cyg_shape_rule_cumsum(cyg_infer *s)
{
    const cyg_shape x = cyg_infer_shape_in(s, 0);
    cyg_ints axis;
    int at;
    if (x.rank != CYG_RANK_UNKNOWN && cyg_infer_ints(s, 1, &axis)) {
        if (axis.count != 1)
            return CYG_INFER_FAIL(s, "axis: expected one number, found %u", axis.count);
        if (axis.known[0])
            CYG_DO(cyg_infer_axis(s, axis.v[0], x.rank, &at));
    }
    return cyg_infer_set(s, 0, &x);
}
