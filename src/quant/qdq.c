/* What a file that was quantised elsewhere says, read off its QuantizeLinear and DequantizeLinear
 * nodes and written where the optimiser and the quantiser find it.
 *
 *   a constant behind a DequantizeLinear (or behind both): the float constant of the very numbers
 *     that the integers stand for, and their scales in its value.quant. From there on it is a
 * weight like any other; passes that reorder it take value.quant along, those that would change its
 *     numbers leave it alone.
 *   an activation through both: one fake_quant node, which is element-wise to the passes. In floats
 *     it does what the pair does, so the graph means exactly what the file means.
 *
 * given.c makes integers of both once the graph is optimised; qdq_spread.c first makes sure that a
 * DequantizeLinear stands behind integers that are moved or multiplied as such. Scales along an
 * axis of an activation, blocks, and scales that are no constants stay as they are: two float
 * nodes.
 *
 * Nothing here is computed from data: a scale that the file has is the scale. */
#include "quant/qdq.h"

#include <math.h>
#include <string.h>

#include "quant/params.h"
#include "quant/qdq_spread.h"

typedef struct pairs {
    cyg_ctx *ctx;
    cyg_graph *g;
    cyg_arena *arena;
    cyg_qdq_report *report;
    bool calibrated;
} pairs;

/* Scale and zero point of a node, read and checked. */
typedef struct parameters {
    const float *scales;
    const cyg_value *zeros; /* NULL = 0 */
    int64_t count;
    int axis; /* -1 = one scale */
    int64_t block;
    cyg_type type;
} parameters;

#define QDQ_FAIL(p, n, fmt, ...)                                                                   \
    CYG_FAIL((p)->ctx, CYG_E_GRAPH, "node \"%s\" (%s): " fmt, (n)->name,                           \
             cyg_op_schema_of((n)->op)->onnx, __VA_ARGS__)

static int32_t integer_at(const cyg_value *v, int64_t i)
{
    const char *data = v->data;
    int32_t wide;
    int16_t half;
    switch ((int)v->type) {
    case CYG_TYPE_U8:
        return ((const uint8_t *)v->data)[i];
    case CYG_TYPE_S8:
        return ((const int8_t *)v->data)[i];
    case CYG_TYPE_U16:
    case CYG_TYPE_S16:
        memcpy(&half, data + 2 * i, 2);
        return v->type == CYG_TYPE_S16 ? half : (uint16_t)half;
    default:
        memcpy(&wide, data + 4 * i, 4);
        return wide;
    }
}

static bool is_integer(cyg_type type)
{
    int32_t lo, hi;
    return cyg_type_limits(type, &lo, &hi) || type == CYG_TYPE_S32;
}

/* *out_known false: scales are no f32 constants, which is fine and stays a float node. */
static cyg_status read_parameters(const pairs *p, const cyg_node *n, parameters *out,
                                  bool *out_known)
{
    const cyg_graph *g = p->g;
    const cyg_value *x = cyg_val(g, n->in[0]), *s = cyg_val(g, n->in[1]),
                    *q = n->op == CYG_OP_quantize_linear ? cyg_val(g, n->out[0]) : x;
    const cyg_value_id z = cyg_node_in(n, 2);
    *out = (parameters){.axis = -1, .count = cyg_value_elements(s), .type = q->type};
    *out_known = s->is_const && s->type == CYG_TYPE_F32 && is_integer(q->type) &&
                 (cyg_value_is_none(z) || cyg_val(g, z)->is_const);
    if (!*out_known)
        return CYG_OK;
    out->scales = s->data;
    out->zeros = cyg_value_is_none(z) ? NULL : cyg_val(g, z);
    out->block = cyg_node_int(n, CYG_ATTR_block_size, 0);
    if (out->count < 1)
        return QDQ_FAIL(p, n, "%s", "has no scale");
    for (int64_t i = 0; i < out->count; i++)
        if (!(out->scales[i] >= 1e-37f && out->scales[i] <= 1e37f))
            return QDQ_FAIL(p, n, "scale %g at index %lld: expected a positive, finite number",
                            (double)out->scales[i], (long long)i);
    if (out->zeros != NULL && out->zeros->type != q->type)
        return QDQ_FAIL(p, n, "zero point of type %s for a tensor of type %s",
                        cyg_type_name(out->zeros->type), cyg_type_name(q->type));
    if (out->zeros != NULL && cyg_value_elements(out->zeros) != out->count)
        return QDQ_FAIL(p, n, "expected one zero point for each of %lld scales, found %lld",
                        (long long)out->count, (long long)cyg_value_elements(out->zeros));
    if (out->count > 1 && out->block == 0) {
        const int64_t axis = cyg_node_int(n, CYG_ATTR_axis, 1);
        out->axis = (int)(axis < 0 ? axis + x->rank : axis);
        if (x->rank == CYG_RANK_UNKNOWN || out->axis < 0 || out->axis >= x->rank ||
            x->dims[out->axis] != out->count)
            return QDQ_FAIL(p, n, "%lld scales do not fit axis %lld", (long long)out->count,
                            (long long)axis);
    }
    return CYG_OK;
}

static int32_t zero_at(const parameters *q, int64_t i)
{
    return q->zeros == NULL ? 0 : integer_at(q->zeros, i);
}

/* ---- constants ---- */

/* The integers of QuantizeLinear of a constant. */
static cyg_status quantise_constant(pairs *p, cyg_node_id id, const cyg_value **out_q)
{
    const cyg_node *n = cyg_nod(p->g, id);
    const cyg_value x = *cyg_val(p->g, n->in[0]);
    parameters q;
    bool known;
    int32_t lo, hi;
    *out_q = NULL;
    CYG_DO(read_parameters(p, n, &q, &known));
    if (!known || q.block > 0 || x.type != CYG_TYPE_F32 || !cyg_type_limits(q.type, &lo, &hi))
        return CYG_OK;
    const int64_t count = cyg_value_elements(&x);
    int64_t inner = 1;
    for (int k = q.axis + 1; q.axis >= 0 && k < x.rank; k++)
        inner *= x.dims[k];
    const size_t size = cyg_type_size(q.type);
    char *data = cyg_arena_alloc(&p->g->arena, (size_t)count * size + 1, 64);
    cyg_value *v = CYG_NEW(p->arena, cyg_value);
    if (data == NULL || v == NULL)
        return CYG_FAIL(p->ctx, CYG_E_NOMEM, "out of memory");
    for (int64_t i = 0; i < count; i++) {
        const int64_t c = q.axis < 0 ? 0 : i / inner % q.count;
        const float g = ((const float *)x.data)[i] / q.scales[c];
        const double near = rint((double)g) + zero_at(&q, c);
        const int32_t stored = near > lo ? near < hi ? (int32_t)near : hi : lo; /* NaN: lo */
        memcpy(data + (size_t)i * size, &stored, size); /* little endian: the low bytes */
    }
    *v = x;
    v->type = q.type;
    v->data = data;
    *out_q = v;
    return CYG_OK;
}

/* y becomes the constant that DequantizeLinear makes of the integers `stored`. */
static cyg_status dequantise_constant(pairs *p, cyg_node_id id, const cyg_value *stored)
{
    cyg_graph *g = p->g;
    const cyg_value_id y = cyg_nod(g, id)->out[0];
    parameters q;
    bool known;
    CYG_DO(read_parameters(p, cyg_nod(g, id), &q, &known));
    if (!known || q.block > 0 || cyg_graph_is_output(g, y) || !is_integer(stored->type))
        return CYG_OK;
    const int64_t count = cyg_value_elements(stored);
    int64_t inner = 1;
    for (int k = q.axis + 1; q.axis >= 0 && k < stored->rank; k++)
        inner *= stored->dims[k];
    float *data = cyg_arena_alloc(&g->arena, ((size_t)count + 1) * sizeof *data, 64),
          *scales = cyg_arena_memdup(&g->arena, q.scales, (size_t)q.count * sizeof *scales);
    if (data == NULL || scales == NULL)
        return CYG_FAIL(p->ctx, CYG_E_NOMEM, "out of memory");
    int64_t least = 0, most = 0; /* of integers with the zero point taken off */
    for (int64_t i = 0; i < count; i++) {
        const int64_t c = q.axis < 0 ? 0 : i / inner % q.count;
        const int64_t w = (int64_t)integer_at(stored, i) - zero_at(&q, c);
        least = w < least ? w : least;
        most = w > most ? w : most;
        data[i] = (float)w * q.scales[c];
    }
    cyg_graph_remove_node(g, id);
    cyg_graph_make_const(g, y, data, (size_t)count * sizeof *data);
    cyg_val(g, y)->quant = (cyg_quant){.type = least >= -128 && most <= 127       ? CYG_TYPE_S8
                                               : least >= -32768 && most <= 32767 ? CYG_TYPE_S16
                                                                                  : CYG_TYPE_S32,
                                       .axis = q.axis,
                                       .count = (uint32_t)q.count,
                                       .scales = scales};
    p->report->constants++;
    return CYG_OK;
}

/* ---- activations ---- */

static bool same_parameters(const parameters *a, const parameters *b)
{
    return a->count == 1 && b->count == 1 && a->type == b->type && !(a->scales[0] < b->scales[0]) &&
           !(a->scales[0] > b->scales[0]) && zero_at(a, 0) == zero_at(b, 0);
}

/* The range is measured while the model runs: both nodes have that scale, which is no constant. */
static bool is_dynamic(const pairs *p, const cyg_node *quantize, const cyg_node *dequantize)
{
    const cyg_value_id scale = quantize->in[1], zero = cyg_node_in(quantize, 2);
    return p->calibrated && !cyg_val(p->g, scale)->is_const && scale.i == dequantize->in[1].i &&
           zero.i == cyg_node_in(dequantize, 2).i &&
           cyg_value_elements(cyg_val(p->g, scale)) == 1 &&
           cyg_val(p->g, quantize->out[0])->type == CYG_TYPE_U8;
}

/* Both nodes in one, in the place of the DequantizeLinear. */
static cyg_status join(pairs *p, cyg_node_id quantize, cyg_node_id dequantize)
{
    cyg_graph *g = p->g;
    parameters a, b;
    bool known[2];
    CYG_DO(read_parameters(p, cyg_nod(g, quantize), &a, &known[0]));
    CYG_DO(read_parameters(p, cyg_nod(g, dequantize), &b, &known[1]));
    const cyg_value_id x = cyg_nod(g, quantize)->in[0];
    const bool open = is_dynamic(p, cyg_nod(g, quantize), cyg_nod(g, dequantize)) &&
                      cyg_val(g, x)->type == CYG_TYPE_F32;
    if (open) {
        static const float none;
        a = (parameters){.scales = &none, .count = 1, .type = CYG_TYPE_U8};
        p->report->open++;
    } else if (!known[0] || !known[1] || !same_parameters(&a, &b) ||
               cyg_val(g, x)->type != CYG_TYPE_F32 || a.block > 0 || b.block > 0) {
        p->report->apart++;
        return CYG_OK;
    }
    cyg_node *n = cyg_nod(g, dequantize);
    n->op = CYG_OP_fake_quant;
    n->attr_count = 0;
    cyg_node_set_input(g, dequantize, 0, x);
    n->in_count = 1;
    cyg_node_merge_sources(g, dequantize, quantize);
    p->report->pairs++;
    return cyg_node_set_float(g, dequantize, CYG_ATTR_scale, a.scales[0]) &&
                   cyg_node_set_int(g, dequantize, CYG_ATTR_zero_point, zero_at(&a, 0)) &&
                   cyg_node_set_int(g, dequantize, CYG_ATTR_to, cyg_type_to_onnx(a.type))
               ? CYG_OK
               : CYG_FAIL(p->ctx, CYG_E_NOMEM, "out of memory");
}

static cyg_status visit(pairs *p, cyg_node_id id)
{
    cyg_graph *g = p->g;
    const cyg_node *n = cyg_nod(g, id);
    if (n->op == CYG_OP_quantize_linear) { /* what it says is checked even when nothing follows */
        parameters q;
        bool known;
        return read_parameters(p, n, &q, &known);
    }
    if (n->op != CYG_OP_dequantize_linear)
        return CYG_OK;
    const cyg_value *x = cyg_val(g, n->in[0]);
    if (x->is_const)
        return dequantise_constant(p, id, x);
    const cyg_node_id from = x->producer;
    if (cyg_node_is_none(from) || cyg_nod(g, from)->op != CYG_OP_quantize_linear)
        return CYG_OK;
    if (!cyg_val(g, cyg_nod(g, from)->in[0])->is_const)
        return join(p, from, id);
    const cyg_value *stored;
    CYG_DO(quantise_constant(p, from, &stored));
    return stored == NULL ? CYG_OK : dequantise_constant(p, id, stored);
}

cyg_status cyg_qdq_read(cyg_ctx *ctx, cyg_graph *g, bool calibrated, cyg_qdq_report *out_report)
{
    cyg_arena arena;
    pairs p = {.ctx = ctx, .g = g, .arena = &arena, .report = out_report, .calibrated = calibrated};
    *out_report = (cyg_qdq_report){0};
    cyg_arena_init(&arena);
    cyg_status status = cyg_qdq_spread(ctx, g);
    for (uint32_t i = 0; status == CYG_OK && i < g->order_count; i++)
        if (cyg_nod(g, g->order[i])->op != CYG_OP_removed)
            status = visit(&p, g->order[i]);
    cyg_arena_deinit(&arena);
    if (status == CYG_OK)
        status = cyg_graph_sort(ctx, g);
    return status;
}
