/* Shape rules of the fused operators attention and gather_rows (docs/fused-ops.md); linear is in
 * shape_matrix.c, conv2d in shape_conv.c. */
#include "ir/shape.h"

#include "base/checked.h"

/* Channels [offset, offset + width) must exist in operand i. */
static cyg_status check_channels(cyg_infer *s, uint32_t i, cyg_attr_key offset_key, int64_t width)
{
    const cyg_shape x = cyg_infer_shape_in(s, i);
    const int64_t offset = cyg_node_int(s->n, offset_key, 0);
    int64_t end;
    if (x.rank == CYG_RANK_UNKNOWN)
        return CYG_OK;
    if (x.rank == 0)
        return CYG_INFER_FAIL(s, "input %u: expected rank 1 or more, found %d", i, 0);
    if (offset < 0 || !cyg_add_i64(offset, width, &end) ||
        (x.dims[x.rank - 1] >= 0 && end > x.dims[x.rank - 1]))
        return CYG_INFER_FAIL(s, "input %u: channels %lld to %lld + %lld are not in %s", i,
                              (long long)offset, (long long)offset, (long long)width,
                              cyg_shape_str(s->g, &x).s);
    return CYG_OK;
}

/* Operand i has this rank and these sizes (-1 = any). */
static cyg_status check_table(cyg_infer *s, uint32_t i, int rank, const int64_t *dims)
{
    const cyg_shape x = cyg_infer_shape_in(s, i);
    if (x.rank == CYG_RANK_UNKNOWN)
        return CYG_OK;
    if (x.rank != rank)
        return CYG_INFER_FAIL(s, "input %u: expected rank %d, found %s", i, rank,
                              cyg_shape_str(s->g, &x).s);
    for (int d = 0; d < rank; d++)
        if (dims[d] >= 0 && x.dims[d] >= 0 && dims[d] != x.dims[d])
            return CYG_INFER_FAIL(s, "input %u: expected %lld at position %d, found %s", i,
                                  (long long)dims[d], d, cyg_shape_str(s->g, &x).s);
    return CYG_OK;
}

/* mask and hide: [E, heads or 1, N or 1, M]. */
static cyg_status check_mask(cyg_infer *s, uint32_t i, int64_t heads, int64_t tokens, int64_t keys)
{
    const cyg_shape x = cyg_infer_shape_in(s, i);
    if (x.rank == CYG_RANK_UNKNOWN)
        return CYG_OK;
    const bool one_head = x.rank == 4 && x.dims[1] == 1, one_row = x.rank == 4 && x.dims[2] == 1;
    return check_table(s, i, 4,
                       (const int64_t[]){-1, one_head ? 1 : heads, one_row ? 1 : tokens, keys});
}

cyg_status cyg_shape_rule_attention(cyg_infer *s)
{
    const int64_t heads = cyg_node_int(s->n, CYG_ATTR_heads, 0);
    const int64_t dim = cyg_node_int(s->n, CYG_ATTR_head_dim, 0);
    const int64_t tokens = cyg_node_int(s->n, CYG_ATTR_tokens, 0);
    const int64_t keys = cyg_node_int(s->n, CYG_ATTR_kv_tokens, tokens);
    const int64_t value_dim = cyg_node_int(s->n, CYG_ATTR_value_dim, dim);
    int64_t width, out_width, count;
    if (heads < 1 || dim < 1 || tokens < 1 || keys < 1 || value_dim < 1 ||
        !cyg_mul_i64(heads, dim, &width) || !cyg_mul_i64(heads, value_dim, &out_width))
        return CYG_INFER_FAIL(s,
                              "heads %lld, head_dim %lld, tokens %lld, kv_tokens %lld, value_dim "
                              "%lld must be positive",
                              (long long)heads, (long long)dim, (long long)tokens, (long long)keys,
                              (long long)value_dim);
    CYG_DO(check_channels(s, 0, CYG_ATTR_q_offset, width));
    CYG_DO(check_channels(s, 1, CYG_ATTR_k_offset, width));
    CYG_DO(check_channels(s, 2, CYG_ATTR_v_offset, out_width));
    CYG_DO(check_table(s, 3, 4, (const int64_t[]){-1, heads, tokens, keys}));
    CYG_DO(check_table(s, 4, 1, (const int64_t[]){-1}));
    CYG_DO(check_table(s, 5, 2, (const int64_t[]){-1, tokens}));
    CYG_DO(check_table(s, 6, 1, (const int64_t[]){heads}));
    CYG_DO(check_mask(s, 7, heads, tokens, keys));
    CYG_DO(check_mask(s, 8, heads, tokens, keys));
    cyg_shape y = cyg_infer_shape_in(s, 0);
    if (y.rank != CYG_RANK_UNKNOWN) {
        count = cyg_shape_product(&y, 0, y.rank - 1);
        if (count >= 0 && count % tokens != 0)
            return CYG_INFER_FAIL(s, "%lld rows do not divide into entries of %lld tokens",
                                  (long long)count, (long long)tokens);
        y.dims[y.rank - 1] = out_width;
    }
    return cyg_infer_set(s, 0, &y);
}

cyg_status cyg_shape_rule_gather_rows(cyg_infer *s)
{
    const cyg_shape x = cyg_infer_shape_in(s, 0), index = cyg_infer_shape_in(s, 1);
    const int64_t rows_in = cyg_node_int(s->n, CYG_ATTR_rows_in, 0);
    cyg_shape y = {.type = x.type, .rank = 3, .dims = {-1, -1, -1}};
    if (rows_in < 1 || x.rank == 0)
        return CYG_INFER_FAIL(s, "rows_in %lld and rank %d must be positive", (long long)rows_in,
                              x.rank);
    if (index.rank != CYG_RANK_UNKNOWN)
        y.dims[1] = cyg_shape_product(&index, 0, index.rank);
    if (x.rank != CYG_RANK_UNKNOWN) {
        const int64_t rows = cyg_shape_product(&x, 0, x.rank - 1);
        if (rows >= 0 && rows % rows_in != 0)
            return CYG_INFER_FAIL(s, "%lld rows do not divide into images of %lld", (long long)rows,
                                  (long long)rows_in);
        y.dims[2] = x.dims[x.rank - 1];
        /* With a symbolic batch in front: [N, rows_in, C] has N images. */
        if (rows >= 0)
            y.dims[0] = rows / rows_in;
        else if (x.rank > 1 && cyg_shape_product(&x, 1, x.rank - 1) == rows_in)
            y.dims[0] = x.dims[0];
    }
    return cyg_infer_set(s, 0, &y);
}
