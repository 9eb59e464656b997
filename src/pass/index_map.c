/* Chains of movement operators as one gather of rows.
 *
 * Window partition, shift, reverse and patch merging are chains of Reshape, Transpose, Slice,
 * Concat, Pad and Gather in which the channel axis stays whole. The chain is run on element numbers
 * (elements.h). If what comes out is the identity, the chain was a view; if it is whole rows of the
 * source, it is gather_rows(source, index) and a view, with -1 where Pad put a row of zeros. How
 * the exporter spelled it does not matter, and nothing here knows what a window is.
 *
 * A value is looked at when it ends a chain: somebody reads it who is not itself a part of such a
 * chain. One operator that leaves rows of a picture out stays what it is. Chains that feed
 * operators which want channels first (convolution, spatial pooling) are left alone, and so are
 * chains that start at a graph input. The index is per image when the table repeats for each image
 * of the batch, else for all rows at once. */
#include "pass/elements.h"
#include "pass/passes.h"

/* A reader for which rows of channels are no help. */
static bool wants_planes(cyg_op op)
{
    switch ((int)op) {
    case CYG_OP_conv:
    case CYG_OP_max_pool:
    case CYG_OP_average_pool:
    case CYG_OP_global_average_pool:
    case CYG_OP_global_max_pool:
    case CYG_OP_batch_normalization:
        return true;
    default:
        return false;
    }
}

static bool ends_chain(cyg_rw *rw, cyg_value_id v)
{
    bool ends = cyg_graph_is_output(rw->g, v);
    for (uint32_t u = cyg_graph_first_use(rw->g, v); u != CYG_NO_ID;
         u = cyg_graph_next_use(rw->g, u)) {
        const cyg_node_id user = cyg_graph_use_node(rw->g, u);
        const cyg_node *n = cyg_nod(rw->g, user);
        if (wants_planes(n->op))
            return false;
        const bool through = cyg_elements_moves(rw, user) && n->out_count > 0 &&
                             cyg_elements_root(rw, n->out[0]).i != n->out[0].i;
        ends = ends || !through;
    }
    return ends;
}

/* root, gather_rows(root), or a reshape of either: nothing to gain. */
static bool is_canonical(cyg_rw *rw, cyg_value_id v, cyg_value_id root)
{
    const cyg_node_id shape = cyg_rw_producer(rw, v, CYG_OP_reshape);
    if (!cyg_node_is_none(shape))
        v = cyg_nod(rw->g, shape)->in[0];
    const cyg_node_id rows = cyg_rw_producer(rw, v, CYG_OP_gather_rows);
    const int64_t *index;
    size_t count;
    if (cyg_node_is_none(rows) || cyg_nod(rw->g, rows)->in[0].i != root.i)
        return v.i == root.i;
    if (!cyg_rw_ints(rw, cyg_nod(rw->g, rows)->in[1], &index, &count))
        return true;
    for (size_t i = 0; i < count; i++)
        if (index[i] != (int64_t)i)
            return true;
    return (int64_t)count != cyg_node_int(cyg_nod(rw->g, rows), CYG_ATTR_rows_in, 0);
}

/* How many moving operators (no views) would go with v's producer, up to `most`. */
static int moves_that_go(cyg_rw *rw, cyg_value_id v, cyg_value_id root, int most)
{
    const cyg_node_id id = cyg_val(rw->g, v)->producer;
    if (v.i == root.i || cyg_node_is_none(id))
        return 0;
    const cyg_node *n = cyg_nod(rw->g, id);
    if (n->out_count != 1) /* a Split stays for its other results */
        return 0;
    int count = cyg_rw_is_view(n->op) ? 0 : 1;
    for (uint32_t i = 0; i < n->in_count && count < most; i++)
        if (!cyg_value_is_none(n->in[i]) && cyg_rw_single_use(rw, n->in[i]))
            count += moves_that_go(rw, n->in[i], root, most - count);
    return count;
}

/* A Slice or Gather of a picture is said with fewer nodes than its rows are. */
static bool worth_it(cyg_rw *rw, cyg_value_id v, const cyg_elements *map)
{
    const cyg_value *source = cyg_val(rw->g, map->source);
    return source->rank < 4 || map->count == cyg_value_elements(source) ||
           moves_that_go(rw, v, map->source, 2) > 1;
}

/* The number of images whose rows the table treats alike: the batch, or 1. */
static int64_t images_of(const cyg_rw *rw, const int64_t *rows, int64_t count, int64_t rows_in)
{
    const cyg_value *input = rw->g->input_count > 0 ? cyg_val(rw->g, rw->g->inputs[0]) : NULL;
    const int64_t batch =
        input == NULL || input->rank == CYG_RANK_UNKNOWN || input->rank == 0 ? 1 : input->dims[0];
    if (batch < 2 || count % batch != 0 || rows_in % batch != 0)
        return 1;
    const int64_t out = count / batch, in = rows_in / batch;
    for (int64_t r = 0; r < count; r++) {
        const int64_t base = r / out * in, first = rows[r % out];
        if (first >= in || rows[r] != (first < 0 ? -1 : first + base))
            return 1;
    }
    return batch;
}

static cyg_status gather(cyg_rw *rw, cyg_node_id last, cyg_value_id out, cyg_value_id source,
                         const int64_t *rows, int64_t count, int64_t channels)
{
    cyg_graph *g = rw->g;
    const int64_t rows_in = cyg_value_elements(cyg_val(g, source)) / channels;
    const int64_t images = images_of(rw, rows, count, rows_in);
    const int64_t dims[3] = {images, count / images, channels};
    const cyg_value_id index = cyg_rw_const_ints(rw, "rows", rows, (size_t)(count / images));
    if (cyg_value_is_none(index))
        return CYG_RW_NOMEM(rw);
    const cyg_value_id y = cyg_rw_insert(rw, last, CYG_OP_gather_rows,
                                         (cyg_value_id[]){source, index}, 2, source, 3, dims);
    if (cyg_value_is_none(y) ||
        !cyg_node_set_int(g, cyg_val(g, y)->producer, CYG_ATTR_rows_in, rows_in / images))
        return CYG_RW_NOMEM(rw);
    cyg_rw_merge_upwards(rw, cyg_val(g, y)->producer, out, source);
    cyg_graph_remove_node(g, last);
    cyg_rw_reshape_into(rw, last, y, out);
    return CYG_OK;
}

static cyg_status rewrite(cyg_rw *rw, cyg_node_id id, cyg_value_id v, const cyg_elements *map)
{
    cyg_graph *g = rw->g;
    const cyg_value_id former = cyg_nod(g, id)->in[0];
    if (cyg_nod(g, id)->out_count != 1) /* Split: its other results stay */
        return CYG_OK;
    if (map->count == cyg_value_elements(cyg_val(g, map->source)) && cyg_elements_identity(map)) {
        cyg_graph_remove_node(g, id);
        cyg_rw_reshape_into(rw, id, map->source, v);
        cyg_rw_drop(rw, former);
        return CYG_OK;
    }
    const int64_t channels = cyg_rw_last_dim(rw, map->source);
    if (channels < 2 || map->count % channels != 0)
        return CYG_OK;
    int64_t *rows = CYG_NEW_ARRAY(&rw->scratch, int64_t, map->count / channels + 1);
    if (rows == NULL)
        return CYG_RW_NOMEM(rw);
    if (!cyg_elements_rows(map, channels, rows))
        return CYG_OK;
    if (!worth_it(rw, v, map))
        return CYG_OK;
    /* Concat is dropped through all its pieces. */
    cyg_value_id *inputs = cyg_nod(g, id)->in;
    const uint32_t count = cyg_nod(g, id)->in_count;
    CYG_DO(gather(rw, id, v, map->source, rows, map->count / channels, channels));
    for (uint32_t i = 0; i < count; i++)
        if (!cyg_value_is_none(inputs[i]))
            cyg_rw_drop(rw, inputs[i]);
    return CYG_OK;
}

static cyg_status visit(cyg_rw *rw, cyg_node_id id)
{
    const cyg_node *n = cyg_nod(rw->g, id);
    if (!cyg_elements_moves(rw, id) || n->out_count == 0)
        return CYG_OK;
    const cyg_value_id v = n->out[0];
    const cyg_value_id root = cyg_elements_root(rw, v);
    if (cyg_value_is_none(root) || root.i == v.i || cyg_val(rw->g, v)->type != CYG_TYPE_F32 ||
        cyg_val(rw->g, root)->is_const || cyg_graph_is_input(rw->g, root) || !ends_chain(rw, v) ||
        is_canonical(rw, v, root))
        return CYG_OK;
    cyg_elements map;
    if (!cyg_elements_of(rw, v, &map))
        return CYG_OK;
    const cyg_status status = rewrite(rw, id, v, &map);
    cyg_elements_free(&map);
    return status;
}

cyg_status cyg_pass_index_map(cyg_ctx *ctx, cyg_graph *g, bool *out_changed)
{
    return cyg_rw_each(ctx, g, visit, out_changed);
}
