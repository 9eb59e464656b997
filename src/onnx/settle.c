/* What needs shapes: runs after the first shape inference.
 *
 *   CastLike               -> Cast, where the second operand's type is known
 *   Softmax, LogSoftmax    of opset < 13 flatten to two dimensions at their axis and normalise
 *                          rows: Flatten, Softmax, Reshape unless the axis is the last one
 *   Transpose              without perm reverses
 *   Conv, pools            strides, dilations, pads written out, auto_pad resolved
 *   Einsum, EyeLike        become what they are made of (einsum.c)
 *   Max, Min, Sum          of three and more operands become pairs
 *   optional outputs       that nobody reads are left off
 *   Clip, Pad of opset < 11  had float attributes: the constant takes the type of the data
 *
 * New values get their shapes here, so one more inference is needed only where these were unknown.
 */
#include "onnx/import.h"

#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/checked.h"

static cyg_status node_fail(cyg_onnx_importer *imp, cyg_node_id n, const char *what)
{
    const cyg_node *node = cyg_nod(imp->graph, n);
    return CYG_FAIL(imp->ctx, CYG_E_GRAPH, "%s: %s \"%s\": %s", imp->path,
                    cyg_op_schema_of(node->op)->onnx, node->name, what);
}

/* ---- windows of convolutions and pools ----------------------------------------------------------
 */

typedef struct window {
    size_t rank;
    int64_t kernel[CYG_MAX_RANK], strides[CYG_MAX_RANK], dilations[CYG_MAX_RANK];
    int64_t pads[2 * CYG_MAX_RANK];
    bool has_pads;
} window;

/* Reads a list of `count` numbers of at least `low`, or fills it with `otherwise`. */
static bool read_list(const cyg_node *node, cyg_attr_key key, size_t count, int64_t low,
                      int64_t otherwise, int64_t *out)
{
    const int64_t *data;
    const size_t found = cyg_node_ints(node, key, &data);
    for (size_t i = 0; i < count; i++)
        out[i] = found > 0 ? 0 : otherwise;
    if (found == 0)
        return true;
    if (found != count)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (data[i] < low || data[i] > INT32_MAX)
            return false;
        out[i] = data[i];
    }
    return true;
}

/* True when the kernel's size is known. */
static bool read_kernel(const cyg_graph *g, const cyg_node *node, window *w)
{
    const int64_t *data;
    w->rank = cyg_node_ints(node, CYG_ATTR_kernel_shape, &data);
    if (w->rank == 0 && node->op == CYG_OP_conv) {
        const cyg_value *weight = cyg_val(g, node->in[1]);
        if (weight->rank == CYG_RANK_UNKNOWN || weight->rank < 3)
            return false;
        w->rank = (size_t)weight->rank - 2;
        data = weight->dims + 2;
    }
    if (w->rank == 0 || w->rank > CYG_MAX_RANK - 2)
        return false;
    memcpy(w->kernel, data, w->rank * sizeof *data);
    for (size_t i = 0; i < w->rank; i++)
        if (data[i] < 1 || data[i] > INT32_MAX)
            return false;
    return true;
}

/* SAME_UPPER, SAME_LOWER: the output is ceil(input / stride). False while the input is unknown. */
static bool same_pads(const cyg_value *x, bool lower, window *w)
{
    if (x->rank != w->rank + 2)
        return false;
    for (size_t i = 0; i < w->rank; i++) {
        const int64_t in = x->dims[i + 2];
        if (in < 0 || in > INT32_MAX)
            return false;
        const int64_t out = (in + w->strides[i] - 1) / w->strides[i];
        const int64_t reach = (w->kernel[i] - 1) * w->dilations[i] + 1;
        int64_t total = (out - 1) * w->strides[i] + reach - in;
        total = total > 0 ? total : 0;
        w->pads[i] = lower ? total - total / 2 : total / 2;
        w->pads[i + w->rank] = total - w->pads[i];
    }
    return true;
}

cyg_status cyg_onnx_fill_window(cyg_onnx_importer *imp, cyg_node_id n)
{
    cyg_graph *g = imp->graph;
    const cyg_node *node = cyg_nod(g, n);
    const char *auto_pad = cyg_node_string(node, CYG_ATTR_auto_pad, "NOTSET");
    window w = {0};
    if (!read_kernel(g, node, &w))
        return CYG_OK; /* inference says what is wrong, if anything is */
    if (!read_list(node, CYG_ATTR_strides, w.rank, 1, 1, w.strides) ||
        !read_list(node, CYG_ATTR_dilations, w.rank, 1, 1, w.dilations) ||
        !read_list(node, CYG_ATTR_pads, 2 * w.rank, 0, 0, w.pads))
        return node_fail(imp, n,
                         "strides, dilations or pads have the wrong number of entries or an entry "
                         "out of range");
    bool padded = true;
    if (strcmp(auto_pad, "SAME_UPPER") == 0 || strcmp(auto_pad, "SAME_LOWER") == 0)
        padded = same_pads(cyg_val(g, node->in[0]), auto_pad[5] == 'L', &w);
    else if (strcmp(auto_pad, "VALID") == 0)
        memset(w.pads, 0, sizeof w.pads);
    else if (strcmp(auto_pad, "NOTSET") != 0)
        return node_fail(imp, n, "auto_pad is none of NOTSET, VALID, SAME_UPPER, SAME_LOWER");
    bool ok = cyg_node_set_ints(g, n, CYG_ATTR_kernel_shape, w.kernel, w.rank) &&
              cyg_node_set_ints(g, n, CYG_ATTR_strides, w.strides, w.rank) &&
              cyg_node_set_ints(g, n, CYG_ATTR_dilations, w.dilations, w.rank);
    if (padded) {
        ok = ok && cyg_node_set_ints(g, n, CYG_ATTR_pads, w.pads, 2 * w.rank);
        cyg_node_clear_attr(g, n, CYG_ATTR_auto_pad);
    }
    return ok ? CYG_OK : CYG_ONNX_NOMEM(imp);
}

/* ---- the others
 * ------------------------------------------------------------------------------------ */

static cyg_status settle_cast_like(cyg_onnx_importer *imp, cyg_node_id n)
{
    cyg_graph *g = imp->graph;
    cyg_node *node = cyg_nod(g, n);
    const cyg_type type = cyg_val(g, node->in[1])->type;
    if (type == CYG_TYPE_NONE)
        return CYG_OK;
    node->op = CYG_OP_cast;
    node->in_count = 1;
    return cyg_node_set_int(g, n, CYG_ATTR_to, cyg_type_to_onnx(type)) ? CYG_OK
                                                                       : CYG_ONNX_NOMEM(imp);
}

static cyg_status settle_transpose(cyg_onnx_importer *imp, cyg_node_id n)
{
    cyg_graph *g = imp->graph;
    const cyg_value *x = cyg_val(g, cyg_nod(g, n)->in[0]);
    if (cyg_node_attr(cyg_nod(g, n), CYG_ATTR_perm) != NULL || x->rank == CYG_RANK_UNKNOWN)
        return CYG_OK;
    int64_t perm[CYG_MAX_RANK];
    for (int i = 0; i < x->rank; i++)
        perm[i] = x->rank - 1 - i;
    return cyg_node_set_ints(g, n, CYG_ATTR_perm, perm, x->rank) ? CYG_OK : CYG_ONNX_NOMEM(imp);
}

/* The shape to come back to: a constant when it is known, else a Shape node. */
static cyg_value_id shape_operand(cyg_graph *g, cyg_node_id before, cyg_value_id x)
{
    const cyg_value *v = cyg_val(g, x);
    if (cyg_value_shape_known(v)) {
        int64_t dims[CYG_MAX_RANK];
        const int64_t rank = v->rank;
        memcpy(dims, v->dims, sizeof dims);
        return cyg_graph_add_const_copy(g, NULL, CYG_TYPE_S64, 1, &rank, dims,
                                        (size_t)rank * sizeof *dims);
    }
    const int64_t rank = v->rank;
    const cyg_value_id out = cyg_graph_add_value(
        g, NULL, CYG_TYPE_S64, v->rank == CYG_RANK_UNKNOWN ? CYG_RANK_UNKNOWN : 1, &rank);
    const cyg_node_id n = cyg_graph_add_node(g, before, CYG_OP_shape, NULL, &x, 1, &out, 1);
    if (cyg_node_is_none(n) || !cyg_node_set_int(g, n, CYG_ATTR_start, 0))
        return CYG_NO_VALUE;
    cyg_node_merge_sources(g, n, before);
    return out;
}

/* Two-dimensional shape after flattening at axis, as far as it is known. */
static void flat_dims(const cyg_value *x, int64_t axis, int64_t dims[2])
{
    dims[0] = dims[1] = 1;
    for (int i = 0; i < x->rank; i++) {
        int64_t *d = &dims[i >= axis];
        if (*d >= 0 && (x->dims[i] < 0 || !cyg_mul_i64(*d, x->dims[i], d)))
            *d = -1;
    }
}

/* y = Softmax(x, axis) becomes y = Reshape(Softmax(Flatten(x, axis), -1), Shape(x)). The node
 * itself turns into the Reshape, so that y keeps its producer. */
static cyg_status settle_softmax(cyg_onnx_importer *imp, cyg_node_id n, bool *out_again)
{
    cyg_graph *g = imp->graph;
    const cyg_op op = cyg_nod(g, n)->op;
    const cyg_value_id x = cyg_nod(g, n)->in[0];
    const cyg_value *v = cyg_val(g, x);
    const cyg_type type = v->type;
    int64_t axis = cyg_node_int(cyg_nod(g, n), CYG_ATTR_axis, 1);
    if (v->rank != CYG_RANK_UNKNOWN && axis < 0)
        axis += v->rank;
    if (v->rank != CYG_RANK_UNKNOWN && axis == v->rank - 1)
        return CYG_OK;
    int64_t dims[2] = {-1, -1};
    if (v->rank != CYG_RANK_UNKNOWN)
        flat_dims(v, axis, dims);
    const cyg_value_id shape = shape_operand(g, n, x);
    const cyg_value_id flat = cyg_graph_add_value(g, NULL, type, 2, dims);
    const cyg_value_id soft = cyg_graph_add_value(g, NULL, type, 2, dims);
    if (cyg_value_is_none(shape) || cyg_value_is_none(flat) || cyg_value_is_none(soft))
        return CYG_ONNX_NOMEM(imp);
    const cyg_node_id flatten = cyg_graph_add_node(g, n, CYG_OP_flatten, NULL, &x, 1, &flat, 1);
    const cyg_node_id softmax = cyg_graph_add_node(g, n, op, NULL, &flat, 1, &soft, 1);
    cyg_value_id *in = CYG_NEW_ARRAY(&g->arena, cyg_value_id, 2);
    if (cyg_node_is_none(flatten) || cyg_node_is_none(softmax) || in == NULL ||
        !cyg_node_set_int(g, flatten, CYG_ATTR_axis, axis) ||
        !cyg_node_set_int(g, softmax, CYG_ATTR_axis, -1) ||
        !cyg_node_set_int(g, n, CYG_ATTR_allowzero, 0))
        return CYG_ONNX_NOMEM(imp);
    cyg_node_merge_sources(g, flatten, n);
    cyg_node_merge_sources(g, softmax, n);
    cyg_node_clear_attr(g, n, CYG_ATTR_axis);
    in[0] = soft;
    in[1] = shape;
    cyg_node *node = cyg_nod(g, n);
    node->op = CYG_OP_reshape;
    node->in = in;
    node->in_count = 2;
    *out_again = true;
    return CYG_OK;
}

/* Max, Min and Sum of three and more operands become a chain of pairs, first to last. The node
 * itself is the end of the chain, so that its output keeps its producer. */
static cyg_status settle_variadic(cyg_onnx_importer *imp, cyg_node_id n, bool *out_again)
{
    cyg_graph *g = imp->graph;
    const cyg_op op = cyg_nod(g, n)->op;
    while (cyg_nod(g, n)->in_count > 2) {
        const cyg_value_id pair[] = {cyg_nod(g, n)->in[0], cyg_nod(g, n)->in[1]};
        const cyg_value_id both =
            cyg_graph_add_value(g, NULL, CYG_TYPE_NONE, CYG_RANK_UNKNOWN, NULL);
        const cyg_node_id first = cyg_graph_add_node(g, n, op, NULL, pair, 2, &both, 1);
        if (cyg_value_is_none(both) || cyg_node_is_none(first))
            return CYG_ONNX_NOMEM(imp);
        cyg_node_merge_sources(g, first, n);
        cyg_node *node = cyg_nod(g, n);
        node->in[0] = both;
        memmove(node->in + 1, node->in + 2, (node->in_count - 2) * sizeof *node->in);
        node->in_count--;
        *out_again = true;
    }
    return CYG_OK;
}

/* Constants made from float attributes, in the type of the node's data. */
static cyg_status settle_type(cyg_onnx_importer *imp, cyg_node_id n)
{
    cyg_graph *g = imp->graph;
    const cyg_type type = cyg_val(g, cyg_nod(g, n)->in[0])->type;
    if (type != CYG_TYPE_F16 && type != CYG_TYPE_F64)
        return CYG_OK;
    for (uint32_t i = 1; i < cyg_nod(g, n)->in_count; i++) {
        const cyg_value_id old = cyg_nod(g, n)->in[i];
        if (cyg_value_is_none(old) || cyg_val(g, old)->type != CYG_TYPE_F32)
            continue;
        const float f = cyg_load_f32(cyg_val(g, old)->data);
        const double f64 = (double)f;
        const uint16_t f16 = cyg_f32_to_f16(f);
        const cyg_value_id now =
            type == CYG_TYPE_F64
                ? cyg_graph_add_const_copy(g, NULL, type, 0, NULL, &f64, sizeof f64)
                : cyg_graph_add_const_copy(g, NULL, type, 0, NULL, &f16, sizeof f16);
        if (cyg_value_is_none(now))
            return CYG_ONNX_NOMEM(imp);
        cyg_node_set_input(g, n, i, now);
    }
    return CYG_OK;
}

/* Optional outputs that nobody reads (exporters name MaxPool's indices, LSTM's states) are left
 * off: what is not there need not be computed. */
static cyg_status drop_unread_outputs(cyg_onnx_importer *imp)
{
    cyg_graph *g = imp->graph;
    bool *read = CYG_NEW_ARRAY(&imp->scratch, bool, (size_t)g->value_count + 1);
    if (read == NULL)
        return CYG_ONNX_NOMEM(imp);
    for (uint32_t i = 0; i < g->output_count; i++)
        read[g->outputs[i].i] = true;
    for (uint32_t i = 0; i < g->node_count; i++)
        for (uint32_t k = 0; k < g->nodes[i].in_count; k++)
            if (!cyg_value_is_none(g->nodes[i].in[k]))
                read[g->nodes[i].in[k].i] = true;
    for (uint32_t i = 0; i < g->node_count; i++) {
        cyg_node *n = &g->nodes[i];
        const cyg_op_schema *schema = cyg_op_schema_of(n->op);
        while (schema->max_out > 0 && n->out_count > (uint32_t)schema->min_out &&
               !read[n->out[n->out_count - 1].i]) {
            n->out_count--;
            cyg_val(g, n->out[n->out_count])->producer = CYG_NO_NODE;
        }
    }
    return CYG_OK;
}

/* One value pads everywhere. A value for each channel, which the graph knows for pixels, is none of
 * ONNX. */
static cyg_status check_pad(cyg_onnx_importer *imp, cyg_node_id n)
{
    const cyg_value_id c = cyg_node_in(cyg_nod(imp->graph, n), 2);
    const cyg_value *v = cyg_value_is_none(c) ? NULL : cyg_val(imp->graph, c);
    if (v == NULL || !cyg_value_shape_known(v) || cyg_value_elements(v) == 1)
        return CYG_OK;
    char text[96];
    snprintf(text, sizeof text, "constant_value: expected one element, found %lld",
             (long long)cyg_value_elements(v));
    return node_fail(imp, n, text);
}

cyg_status cyg_onnx_settle(cyg_onnx_importer *imp)
{
    cyg_graph *g = imp->graph;
    bool again = false;
    CYG_DO(drop_unread_outputs(imp));
    for (uint32_t i = 0; i < g->node_count; i++) {
        const cyg_node_id n = {i};
        switch ((int)g->nodes[i].op) {
        case CYG_OP_cast_like:
            CYG_DO(settle_cast_like(imp, n));
            break;
        case CYG_OP_einsum:
            CYG_DO(cyg_onnx_settle_einsum(imp, n));
            again = true;
            break;
        case CYG_OP_eye_like:
            CYG_DO(cyg_onnx_settle_eye_like(imp, n));
            again = true;
            break;
        case CYG_OP_transpose:
            CYG_DO(settle_transpose(imp, n));
            break;
        case CYG_OP_max:
        case CYG_OP_min:
        case CYG_OP_sum:
            CYG_DO(settle_variadic(imp, n, &again));
            break;
        case CYG_OP_pad:
            CYG_DO(check_pad(imp, n));
            break;
        case CYG_OP_conv:
        case CYG_OP_max_pool:
        case CYG_OP_average_pool:
            CYG_DO(cyg_onnx_fill_window(imp, n));
            break;
        default:
            break;
        }
    }
    for (uint32_t i = 0; i < imp->late_count; i++) {
        if (imp->lates[i].kind == CYG_ONNX_LATE_SOFTMAX)
            CYG_DO(settle_softmax(imp, imp->lates[i].node, &again));
        else
            CYG_DO(settle_type(imp, imp->lates[i].node));
    }
    return again ? cyg_graph_infer_shapes(imp->ctx, g) : CYG_OK;
}
