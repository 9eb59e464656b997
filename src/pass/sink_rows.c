/* Permutations of rows move behind row-wise operators.
 *
 * linear, LayerNormalization over channels and element-wise functions treat every row alike, so
 * f(gather(x)) = gather(f(x)) when the gather is a permutation. Gathers therefore sink through qkv
 * (into attention, which takes them as its rows table) and through the output projection (where
 * they meet the window reverse and cancel: index_map composes the two). Only permutations move: a
 * gather that pads or picks changes how much work f is. A linear with a residual would need the
 * residual permuted too: none has one yet when this pass runs. */
#include "pass/passes.h"
#include "pass/rewrite.h"

/* The gather_rows whose result x is, seen in any shape with the same channels; none when it is no
 * permutation. */
static cyg_node_id permutation_above(cyg_rw *rw, cyg_value_id x)
{
    const cyg_node_id none = CYG_NO_NODE;
    const cyg_node_id shape = cyg_rw_producer(rw, x, CYG_OP_reshape);
    const cyg_value_id y = cyg_node_is_none(shape) ? x : cyg_nod(rw->g, shape)->in[0];
    const cyg_node_id rows = cyg_rw_producer(rw, y, CYG_OP_gather_rows);
    const int64_t *index;
    size_t count;
    if (cyg_node_is_none(rows) || cyg_rw_last_dim(rw, x) != cyg_rw_last_dim(rw, y) ||
        !cyg_rw_ints(rw, cyg_nod(rw->g, rows)->in[1], &index, &count) ||
        (int64_t)count != cyg_node_int(cyg_nod(rw->g, rows), CYG_ATTR_rows_in, 0))
        return none;
    bool *seen = CYG_NEW_ARRAY(&rw->scratch, bool, count + 1);
    for (size_t i = 0; seen != NULL && i < count; i++) {
        if (index[i] < 0 || index[i] >= (int64_t)count || seen[index[i]])
            return none;
        seen[index[i]] = true;
    }
    return seen == NULL ? none : rows;
}

static cyg_status visit(cyg_rw *rw, cyg_node_id id)
{
    cyg_graph *g = rw->g;
    if (!cyg_rw_is_row_wise(rw, id) || cyg_nod(g, id)->out_count != 1 ||
        !cyg_value_is_none(cyg_nod(g, id)->op == CYG_OP_linear ? cyg_node_in(cyg_nod(g, id), 3)
                                                               : CYG_NO_VALUE))
        return CYG_OK;
    const cyg_value_id former = cyg_nod(g, id)->in[0], out = cyg_nod(g, id)->out[0];
    const cyg_node_id rows = permutation_above(rw, former);
    if (cyg_node_is_none(rows))
        return CYG_OK;
    const cyg_value_id x = cyg_nod(g, rows)->in[0], index = cyg_nod(g, rows)->in[1];
    const int64_t rows_in = cyg_node_int(cyg_nod(g, rows), CYG_ATTR_rows_in, 0),
                  channels = cyg_rw_last_dim(rw, out);
    cyg_value shape = *cyg_val(g, x);
    if (!cyg_value_shape_known(&shape) || channels < 1)
        return CYG_OK;
    shape.dims[shape.rank - 1] = channels;
    const int64_t images = cyg_value_elements(&shape) / (rows_in * channels),
                  dims[3] = {images, rows_in, channels};
    const cyg_op op = cyg_nod(g, id)->op;
    const cyg_attr *attrs = cyg_nod(g, id)->attrs;
    const uint32_t attr_count = cyg_nod(g, id)->attr_count, in_count = cyg_nod(g, id)->in_count;
    cyg_value_id in[8];
    if (in_count > CYG_COUNT(in))
        return CYG_OK;
    for (uint32_t i = 0; i < in_count; i++)
        in[i] = i == 0 ? x : cyg_nod(g, id)->in[i];
    const cyg_value_id y = cyg_rw_value_for(rw, out, shape.rank, shape.dims);
    const cyg_node_id now =
        cyg_value_is_none(y) ? CYG_NO_NODE : cyg_rw_replace(rw, id, op, in, in_count, y);
    if (cyg_node_is_none(now))
        return CYG_RW_NOMEM(rw);
    CYG_DO(cyg_rw_copy_attrs(rw, now, attrs, attr_count));
    const cyg_value_id moved =
        cyg_rw_insert(rw, id, CYG_OP_gather_rows, (cyg_value_id[]){y, index}, 2, y, 3, dims);
    if (cyg_value_is_none(moved) ||
        !cyg_node_set_int(g, cyg_val(g, moved)->producer, CYG_ATTR_rows_in, rows_in))
        return CYG_RW_NOMEM(rw);
    cyg_nod(g, cyg_val(g, moved)->producer)->source_count = 0; /* it is the old gather, not f */
    cyg_node_merge_sources(g, cyg_val(g, moved)->producer, rows);
    cyg_rw_reshape_into(rw, id, moved, out);
    cyg_rw_drop(rw, former);
    return CYG_OK;
}

cyg_status cyg_pass_sink_rows(cyg_ctx *ctx, cyg_graph *g, bool *out_changed)
{
    return cyg_rw_each(ctx, g, visit, out_changed);
}
