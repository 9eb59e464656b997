/* Outputs that inference seldom reads, made of other nodes when somebody does: the mean and the
 * inverse deviation of LayerNormalization, Dropout's mask, and all of BatchNormalization in
 * training mode. So the operators themselves keep one output, and what nobody reads costs nothing.
 *
 *   LayerNormalization   mean = ReduceMean(x), 1 / Sqrt(ReduceMean((x - mean)^2) + epsilon), in
 *                        float32 whatever x is (stash_type)
 *   Dropout              mask = true everywhere (bool since opset 10)
 *   BatchNormalization   of training_mode 1: mean and variance over all axes but the channels';
 *                        running = input * momentum + batch * (1 - momentum); y is normalised
 *                        with the batch's */
#include "onnx/import.h"

#include <string.h>

/* Adds nodes that all come from one node of the file. Once out of memory, everything is none. */
typedef struct maker {
    cyg_onnx_importer *imp;
    const char *stem;
    cyg_source_id source;
} maker;

static void make_into(maker *m, cyg_op op, cyg_value_id a, cyg_value_id b, cyg_value_id out)
{
    cyg_graph *g = m->imp->graph;
    const cyg_value_id in[] = {a, b};
    if (cyg_value_is_none(a) || cyg_value_is_none(out))
        return;
    const cyg_node_id n =
        cyg_graph_add_node(g, CYG_NO_NODE, op, m->stem, in, cyg_value_is_none(b) ? 1 : 2, &out, 1);
    if (!cyg_node_is_none(n))
        cyg_node_add_source(g, n, m->source);
}

static cyg_value_id make(maker *m, cyg_op op, cyg_value_id a, cyg_value_id b)
{
    const cyg_value_id out =
        cyg_graph_add_value(m->imp->graph, NULL, CYG_TYPE_NONE, CYG_RANK_UNKNOWN, NULL);
    make_into(m, op, a, b, out);
    return out;
}

static void set_int(maker *m, cyg_value_id v, cyg_attr_key key, int64_t to)
{
    if (!cyg_value_is_none(v))
        CYG_IGNORE(cyg_node_set_int(m->imp->graph, cyg_val(m->imp->graph, v)->producer, key, to));
}

static cyg_value_id ints(maker *m, const int64_t *v, int64_t count)
{
    return cyg_graph_add_const_copy(m->imp->graph, NULL, CYG_TYPE_S64, 1, &count, v,
                                    (size_t)count * sizeof *v);
}

static cyg_value_id number(maker *m, float v)
{
    return cyg_graph_add_const_copy(m->imp->graph, NULL, CYG_TYPE_F32, 0, NULL, &v, sizeof v);
}

static cyg_value_id whole(maker *m, int64_t v)
{
    return cyg_graph_add_const_copy(m->imp->graph, NULL, CYG_TYPE_S64, 0, NULL, &v, sizeof v);
}

static cyg_value_id mean_over(maker *m, cyg_value_id x, cyg_value_id axes, bool keep)
{
    const cyg_value_id y = make(m, CYG_OP_reduce_mean, x, axes);
    set_int(m, y, CYG_ATTR_keepdims, keep);
    return y;
}

/* ---- layer normalisation ---- */

/* The axes from `axis` to the last; a positive axis of a rank that is not known yet asks for it. */
static cyg_value_id trailing_axes(maker *m, cyg_value_id x, int64_t axis)
{
    cyg_graph *g = m->imp->graph;
    const int rank = cyg_val(g, x)->rank;
    int64_t axes[CYG_MAX_RANK], count = 0;
    if (axis >= 0 && rank == CYG_RANK_UNKNOWN) {
        const cyg_value_id shape = make(m, CYG_OP_shape, x, CYG_NO_VALUE);
        set_int(m, shape, CYG_ATTR_start, 0);
        const cyg_value_id limit = make(m, CYG_OP_size, shape, CYG_NO_VALUE);
        const cyg_value_id in[] = {whole(m, axis), limit, whole(m, 1)};
        const cyg_value_id out =
            cyg_graph_add_value(g, NULL, CYG_TYPE_NONE, CYG_RANK_UNKNOWN, NULL);
        const cyg_node_id n =
            cyg_graph_add_node(g, CYG_NO_NODE, CYG_OP_range, m->stem, in, 3, &out, 1);
        if (!cyg_node_is_none(n))
            cyg_node_add_source(g, n, m->source);
        return out;
    }
    for (int64_t i = axis < 0 ? axis : axis - rank; i < 0 && count < CYG_MAX_RANK; i++)
        axes[count++] = i;
    return ints(m, axes, count);
}

static void make_layer_statistic(maker *m, cyg_node_id n, uint32_t output, cyg_value_id out)
{
    const cyg_node *node = cyg_nod(m->imp->graph, n);
    const float epsilon = cyg_node_float(node, CYG_ATTR_epsilon, 1e-5f);
    const int64_t axis = cyg_node_int(node, CYG_ATTR_axis, -1);
    const cyg_value_id x = make(m, CYG_OP_cast, node->in[0], CYG_NO_VALUE);
    set_int(m, x, CYG_ATTR_to, cyg_type_to_onnx(CYG_TYPE_F32));
    const cyg_value_id axes = trailing_axes(m, cyg_nod(m->imp->graph, n)->in[0], axis);
    if (output == 1) {
        make_into(m, CYG_OP_reduce_mean, x, axes, out);
        set_int(m, out, CYG_ATTR_keepdims, 1);
        return;
    }
    const cyg_value_id distance = make(m, CYG_OP_sub, x, mean_over(m, x, axes, true));
    cyg_value_id v = make(m, CYG_OP_mul, distance, distance);
    v = make(m, CYG_OP_add, mean_over(m, v, axes, true), number(m, epsilon));
    v = make(m, CYG_OP_sqrt, v, CYG_NO_VALUE);
    make_into(m, CYG_OP_reciprocal, v, CYG_NO_VALUE, out);
}

/* ---- fills: Dropout's mask, a zero point ---- */

/* `out` has x's shape and the constant's element everywhere. */
static void make_fill(maker *m, cyg_value_id x, cyg_value_id element, cyg_value_id out)
{
    cyg_graph *g = m->imp->graph;
    const cyg_value_id shape = make(m, CYG_OP_shape, x, CYG_NO_VALUE);
    set_int(m, shape, CYG_ATTR_start, 0);
    make_into(m, CYG_OP_constant_of_shape, shape, CYG_NO_VALUE, out);
    if (!cyg_value_is_none(element) && !cyg_value_is_none(out))
        CYG_IGNORE(cyg_node_set_tensor(g, cyg_val(g, out)->producer, CYG_ATTR_value, element));
}

static void make_mask(maker *m, cyg_node_id n, cyg_value_id out)
{
    static const uint8_t yes = 1;
    static const int64_t one = 1;
    cyg_graph *g = m->imp->graph;
    const cyg_value_id x = cyg_nod(g, n)->in[0];
    make_fill(m, x, cyg_graph_add_const_copy(g, NULL, CYG_TYPE_BOOL, 1, &one, &yes, 1), out);
}

cyg_status cyg_onnx_make_zeros(const cyg_onnx_call *call, cyg_value_id like, cyg_type type,
                               cyg_value_id *out_zeros)
{
    static const uint64_t nothing = 0;
    static const int64_t one = 1;
    cyg_graph *g = call->imp->graph;
    maker m = {.imp = call->imp, .stem = call->name};
    m.source = cyg_graph_add_source(g, call->name, call->node->op_type);
    *out_zeros = cyg_graph_add_value(g, NULL, CYG_TYPE_NONE, CYG_RANK_UNKNOWN, NULL);
    make_fill(&m, like,
              cyg_graph_add_const_copy(g, NULL, type, 1, &one, &nothing, cyg_type_size(type)),
              *out_zeros);
    return cyg_graph_failed(g) ? CYG_ONNX_NOMEM(call->imp) : CYG_OK;
}

bool cyg_onnx_makes_output(cyg_op op, int opset, uint32_t output)
{
    return (op == CYG_OP_layer_normalization && output <= 2) ||
           (op == CYG_OP_identity && output == 1 && opset >= 10);
}

cyg_status cyg_onnx_make_output(cyg_onnx_importer *imp, const cyg_onnx_entry *e)
{
    cyg_graph *g = imp->graph;
    const cyg_node *node = cyg_nod(g, e->maker);
    maker m = {.imp = imp, .stem = e->refused_node, .source = node->sources[0]};
    if (node->op == CYG_OP_layer_normalization)
        make_layer_statistic(&m, e->maker, e->maker_output, e->value);
    else
        make_mask(&m, e->maker, e->value);
    imp->unsorted = true; /* its readers are older */
    return cyg_graph_failed(g) ? CYG_ONNX_NOMEM(imp) : CYG_OK;
}

/* ---- batch normalisation in training mode ---- */

/* running = old * momentum + batch * (1 - momentum) */
static void make_running(maker *m, cyg_value_id old, cyg_value_id batch, float momentum,
                         cyg_value_id out)
{
    if (cyg_value_is_none(out))
        return;
    const cyg_value_id kept = make(m, CYG_OP_mul, old, number(m, momentum));
    const cyg_value_id fresh = make(m, CYG_OP_mul, batch, number(m, 1.0f - momentum));
    make_into(m, CYG_OP_add, kept, fresh, out);
}

cyg_status cyg_onnx_emit_batch_training(cyg_onnx_call *call, const cyg_value_id in[5],
                                        const cyg_value_id out[3])
{
    static const int64_t rows[] = {0, 0, -1}, axes[] = {0, 2}, outer[] = {0, 2};
    const cyg_onnx_attr *epsilon = cyg_onnx_call_attr(call, "epsilon"),
                        *momentum = cyg_onnx_call_attr(call, "momentum");
    cyg_graph *g = call->imp->graph;
    maker m = {.imp = call->imp, .stem = call->name};
    m.source = cyg_graph_add_source(g, call->name, call->node->op_type);
    /* [N, C, ..] as [N, C, rest] */
    const cyg_value_id x = make(&m, CYG_OP_reshape, in[0], ints(&m, rows, 3));
    set_int(&m, x, CYG_ATTR_allowzero, 0);
    const cyg_value_id over = ints(&m, axes, 2), lone = ints(&m, outer, 2);
    const cyg_value_id kept = mean_over(&m, x, over, true);
    const cyg_value_id distance = make(&m, CYG_OP_sub, x, kept);
    const cyg_value_id square = make(&m, CYG_OP_mul, distance, distance);
    const cyg_value_id mean = make(&m, CYG_OP_squeeze, kept, lone);
    const cyg_value_id variance = mean_over(&m, square, over, false);
    const float share = momentum != NULL ? momentum->f : 0.9f;
    make_running(&m, in[3], mean, share, out[1]);
    make_running(&m, in[4], variance, share, out[2]);
    const cyg_value_id all[] = {in[0], in[1], in[2], mean, variance};
    const cyg_node_id n = cyg_graph_add_node(g, CYG_NO_NODE, CYG_OP_batch_normalization, call->name,
                                             all, 5, &out[0], 1);
    if (cyg_node_is_none(n) || cyg_graph_failed(g) ||
        !cyg_node_set_float(g, n, CYG_ATTR_epsilon, epsilon != NULL ? epsilon->f : 1e-5f))
        return CYG_ONNX_NOMEM(call->imp);
    cyg_node_add_source(g, n, m.source);
    return CYG_OK;
}
