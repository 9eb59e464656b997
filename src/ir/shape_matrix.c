/* Shape rules of matrix products and of the fused linear.
 *
 * MatMul follows numpy: a vector gets a dimension for the product and loses it after; leading
 * dimensions broadcast. Gemm is [M, K] x [K, N] with optional transposition. linear is x [.., K]
 * times w [N, K] transposed. */
#include "ir/shape.h"

#include <string.h>

static cyg_shape widened(const cyg_shape *x, bool front)
{
    cyg_shape w = *x;
    if (x->rank == 1) {
        w.rank = 2;
        w.dims[front ? 1 : 0] = x->dims[0];
        w.dims[front ? 0 : 1] = 1;
    }
    return w;
}

cyg_status cyg_shape_rule_matmul(cyg_infer *s)
{
    const cyg_shape a = cyg_infer_shape_in(s, 0), b = cyg_infer_shape_in(s, 1);
    CYG_DO(cyg_infer_same_type(s, 0, 1));
    if (a.rank == CYG_RANK_UNKNOWN || b.rank == CYG_RANK_UNKNOWN)
        return cyg_infer_set_unknown(s, a.type);
    if (a.rank == 0 || b.rank == 0)
        return CYG_INFER_FAIL(s, "expected operands of rank 1 or more, found %d and %d", a.rank,
                              b.rank);
    cyg_shape wa = widened(&a, true), wb = widened(&b, false), y;
    const int64_t m = wa.dims[wa.rank - 2], n = wb.dims[wb.rank - 1];
    int64_t k;
    CYG_DO(cyg_infer_same_dim(s, "inner dimension of the second operand", wa.dims[wa.rank - 1],
                              wb.dims[wb.rank - 2], &k));
    wa.rank = (uint8_t)(wa.rank - 2);
    wb.rank = (uint8_t)(wb.rank - 2);
    CYG_DO(cyg_infer_broadcast(s, &wa, &wb, &y));
    if (a.rank > 1)
        y.dims[y.rank++] = m;
    if (b.rank > 1)
        y.dims[y.rank++] = n;
    return cyg_infer_set(s, 0, &y);
}

cyg_status cyg_shape_rule_gemm(cyg_infer *s)
{
    const cyg_shape a = cyg_infer_shape_in(s, 0), b = cyg_infer_shape_in(s, 1);
    CYG_DO(cyg_infer_same_type(s, 0, 1));
    CYG_DO(cyg_infer_same_type(s, 0, 2));
    cyg_shape y = {.type = a.type, .rank = 2, .dims = {-1, -1}};
    int64_t k[2] = {-1, -1};
    if ((a.rank != 2 && a.rank != CYG_RANK_UNKNOWN) || (b.rank != 2 && b.rank != CYG_RANK_UNKNOWN))
        return CYG_INFER_FAIL(s, "expected matrices, found %s and %s", cyg_shape_str(s->g, &a).s,
                              cyg_shape_str(s->g, &b).s);
    const bool trans_a = cyg_node_int(s->n, CYG_ATTR_transA, 0) != 0;
    const bool trans_b = cyg_node_int(s->n, CYG_ATTR_transB, 0) != 0;
    if (a.rank == 2) {
        y.dims[0] = a.dims[trans_a ? 1 : 0];
        k[0] = a.dims[trans_a ? 0 : 1];
    }
    if (b.rank == 2) {
        y.dims[1] = b.dims[trans_b ? 0 : 1];
        k[1] = b.dims[trans_b ? 1 : 0];
    }
    CYG_DO(cyg_infer_same_dim(s, "inner dimension of B", k[0], k[1], &k[0]));
    const cyg_shape c = cyg_infer_shape_in(s, 2);
    if (c.rank != CYG_RANK_UNKNOWN) {
        cyg_shape with_c;
        CYG_DO(cyg_infer_broadcast(s, &y, &c, &with_c));
        if (with_c.rank != 2 || (y.dims[0] >= 0 && with_c.dims[0] > y.dims[0]) ||
            (y.dims[1] >= 0 && with_c.dims[1] > y.dims[1]))
            return CYG_INFER_FAIL(s, "C: expected a shape that broadcasts to %s, found %s",
                                  cyg_shape_str(s->g, &y).s, cyg_shape_str(s->g, &c).s);
    }
    return cyg_infer_set(s, 0, &y);
}

cyg_status cyg_shape_rule_linear(cyg_infer *s)
{
    const cyg_shape x = cyg_infer_shape_in(s, 0), w = cyg_infer_shape_in(s, 1);
    if (w.rank != 2 && w.rank != CYG_RANK_UNKNOWN)
        return CYG_INFER_FAIL(s, "weight: expected a matrix, found %s", cyg_shape_str(s->g, &w).s);
    if (x.rank == 0)
        return CYG_INFER_FAIL(s, "input: expected rank 1 or more, found %d", 0);
    if (x.rank == CYG_RANK_UNKNOWN || w.rank == CYG_RANK_UNKNOWN)
        return cyg_infer_set_unknown(s, x.type);
    const int rows = cyg_node_int(s->n, CYG_ATTR_w_kn, 0) != 0 ? 1 : 0; /* the axis of N */
    int64_t k;
    CYG_DO(
        cyg_infer_same_dim(s, "channels of the weight", x.dims[x.rank - 1], w.dims[1 - rows], &k));
    cyg_shape y = x, checked;
    y.dims[y.rank - 1] = w.dims[rows];
    const cyg_shape bias = cyg_infer_shape_in(s, 2), residual = cyg_infer_shape_in(s, 3);
    if (bias.rank != CYG_RANK_UNKNOWN) {
        if (bias.rank != 1)
            return CYG_INFER_FAIL(s, "bias: expected a vector, found %s",
                                  cyg_shape_str(s->g, &bias).s);
        CYG_DO(cyg_infer_same_dim(s, "bias", w.dims[rows], bias.dims[0], &k));
    }
    CYG_DO(cyg_infer_broadcast(s, &y, &residual, &checked));
    for (int i = 0; residual.rank != CYG_RANK_UNKNOWN && i < y.rank; i++)
        if (checked.rank != y.rank || (y.dims[i] >= 0 && checked.dims[i] != y.dims[i]))
            return CYG_INFER_FAIL(s, "residual: expected a shape that broadcasts to %s, found %s",
                                  cyg_shape_str(s->g, &y).s, cyg_shape_str(s->g, &residual).s);
    return cyg_infer_set(s, 0, &y);
}
