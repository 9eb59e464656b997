/* From the compiler's graph to standard ONNX operators, graph to graph.
 *
 * The result starts with all values of the source under their own ids and names, so that whatever
 * stays keeps its name, and made-up values get the suffixes. Nodes are gone over once, in order:
 *   - a fused operator, or one that the opset lacks, is replaced by what its definition says
 *     (docs/fused-ops.md; expand_fused.c, expand_ops.c);
 *   - any other is copied.
 * The last value of an expansion takes the place of the node's output. The node of an expansion
 * that does the work (the product, the softmax) keeps the name, the others are called
 * <node>/<suffix>; all inherit its provenance.
 *
 * A quantised value becomes a pair QuantizeLinear, DequantizeLinear behind its producer, and keeps
 * its name behind the pair; a quantised constant gets a DequantizeLinear. requant then means
 * nothing and vanishes.
 *
 * Nothing large is computed here: weights that must be stored transposed stay as they are behind a
 * Transpose node, which the writer folds while it streams. */
#include "onnx/expand.h"

#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "onnx/onnx.h"

/* ---- operands ---- */

const cyg_value *cyg_expand_operand(const cyg_expander *x, uint32_t i)
{
    const cyg_value_id v = cyg_node_in(x->n, i);
    return cyg_value_is_none(v) ? NULL : cyg_val(x->from, v);
}

static cyg_value_id dequantised(cyg_expander *x, cyg_value_id v, const char *stem,
                                const cyg_quant *q);

static bool is_wide(const cyg_quant *q)
{
    return q->type == CYG_TYPE_S16 || q->type == CYG_TYPE_U16;
}

/* Does a value get a pair? */
static bool is_paired(const cyg_expander *x, const cyg_value *v)
{
    return v->quant.type != CYG_TYPE_S32 && v->quant.type != CYG_TYPE_NONE &&
           !(x->only_8_bit && is_wide(&v->quant));
}

/* A constant of 16 bits where there are no pairs for it: its real numbers. */
static cyg_value_id real_constant(cyg_expander *x, const cyg_value *v)
{
    const int64_t count = cyg_value_elements(v);
    const cyg_quant *q = &v->quant;
    int64_t inner = 1;
    for (int k = q->axis + 1; q->axis >= 0 && k < v->rank; k++)
        inner *= v->dims[k];
    float *data = cyg_arena_zalloc(&x->to->arena, ((size_t)count + 1) * sizeof *data, 64);
    for (int64_t i = 0; data != NULL && i < count; i++) {
        uint16_t bits;
        memcpy(&bits, (const char *)v->data + 2 * i, 2);
        const int32_t stored = q->type == CYG_TYPE_S16 ? (int16_t)bits : bits;
        const float scale = q->scales[q->count == 1 ? 0 : (i / inner) % (int64_t)q->count];
        data[i] = (float)(stored - q->zero_point) * scale;
    }
    if (data == NULL) {
        x->to->failed = true;
        return CYG_NO_VALUE;
    }
    return cyg_graph_add_const(x->to, v->name, CYG_TYPE_F32, v->rank, v->dims, data,
                               (size_t)count * sizeof *data);
}

/* Quantised inputs and constants get their pairs at the first use. */
cyg_value_id cyg_expand_in(cyg_expander *x, uint32_t i)
{
    const cyg_value_id id = cyg_node_in(x->n, i);
    if (cyg_value_is_none(id))
        return id;
    const cyg_value *v = cyg_val(x->from, id);
    if (x->by_rows)
        return cyg_expand_by_rows(x, id);
    if (x->by_first)
        return cyg_expand_channels_first(x, i);
    if (cyg_value_is_none(x->map[id.i]))
        return x->first != NULL ? cyg_expand_channels_last(x, id) : cyg_expand_shaped(x, id);
    if (v->quant.type == CYG_TYPE_NONE || x->map[id.i].i != id.i)
        return x->map[id.i];
    if (v->is_const && v->type != CYG_TYPE_F32)
        x->map[id.i] = x->only_8_bit && is_wide(&v->quant) ? real_constant(x, v)
                                                           : dequantised(x, id, v->name, &v->quant);
    else if (cyg_graph_is_input(x->from, id) && v->type == CYG_TYPE_F32 && is_paired(x, v))
        x->map[id.i] = cyg_expand_quantised(x, id, v->name, &v->quant);
    return x->map[id.i];
}

cyg_value_id cyg_expand_transposed(cyg_expander *x, uint32_t i, const int64_t *perm, int rank)
{
    const cyg_value *v = cyg_expand_operand(x, i);
    if (v == NULL)
        return CYG_NO_VALUE;
    if (!v->is_const || v->type == CYG_TYPE_F32 || v->quant.type == CYG_TYPE_NONE ||
        (x->only_8_bit && is_wide(&v->quant)))
        return cyg_emit_transpose(x, "transposed", cyg_expand_in(x, i), perm, rank);
    /* The stored bytes have the same id in `to`. */
    const cyg_value_id raw = cyg_emit_transpose(x, "transposed", cyg_node_in(x->n, i), perm, rank);
    cyg_quant q = v->quant;
    for (int k = 0; k < rank; k++)
        if (q.axis >= 0 && perm[k] == v->quant.axis)
            q.axis = k;
    return dequantised(x, raw, v->name, &q);
}

bool cyg_expand_target(const cyg_value *v, int64_t *out_dims)
{
    int open = 0;
    if (v->rank == CYG_RANK_UNKNOWN)
        return false;
    for (unsigned i = 0; i < v->rank; i++) {
        out_dims[i] = v->dims[i] < 0 ? -1 : v->dims[i];
        open += v->dims[i] < 0;
    }
    return open <= 1;
}

/* ---- emitting ---- */

static void emit_all(cyg_expander *x, cyg_op op, const char *suffix, const cyg_value_id *in,
                     uint32_t count, cyg_value_id *out_values, uint32_t out_count)
{
    char name[256];
    /* The name is a suggestion; the adders make it unique. */
    const size_t len = strnlen(x->stem, 200);
    memcpy(name, x->stem, len);
    snprintf(name + len, sizeof name - len, "%s%s", suffix[0] == '\0' ? "" : "/", suffix);
    for (uint32_t i = 0; i < out_count; i++)
        out_values[i] = cyg_graph_add_value(x->to, name, CYG_TYPE_NONE, CYG_RANK_UNKNOWN, NULL);
    const cyg_node_id n =
        cyg_value_is_none(out_values[out_count - 1])
            ? CYG_NO_NODE
            : cyg_graph_add_node(x->to, CYG_NO_NODE, op, name, in, count, out_values, out_count);
    for (uint32_t i = 0; i < out_count && cyg_node_is_none(n); i++)
        out_values[i] = CYG_NO_VALUE;
    for (uint32_t i = 0; i < x->n->source_count && !cyg_node_is_none(n); i++)
        cyg_node_add_source(x->to, n, x->n->sources[i]);
}

cyg_value_id cyg_emit(cyg_expander *x, cyg_op op, const char *suffix, const cyg_value_id *in,
                      uint32_t count)
{
    cyg_value_id out;
    emit_all(x, op, suffix, in, count, &out, 1);
    return out;
}

void cyg_emit_split(cyg_expander *x, const char *suffix, cyg_value_id a, cyg_value_id sizes,
                    int axis, cyg_value_id *out_parts, uint32_t count)
{
    emit_all(x, CYG_OP_split, suffix, (const cyg_value_id[]){a, sizes}, 2, out_parts, count);
    CYG_IGNORE(cyg_node_set_int(x->to, cyg_emitted(x, out_parts[0]), CYG_ATTR_axis, axis));
}

cyg_value_id cyg_emit1(cyg_expander *x, cyg_op op, const char *suffix, cyg_value_id a)
{
    return cyg_emit(x, op, suffix, &a, 1);
}

cyg_value_id cyg_emit2(cyg_expander *x, cyg_op op, const char *suffix, cyg_value_id a,
                       cyg_value_id b)
{
    return cyg_emit(x, op, suffix, (const cyg_value_id[]){a, b}, 2);
}

/* A none-id (out of memory) gives none, which the setters refuse quietly. */
cyg_node_id cyg_emitted(const cyg_expander *x, cyg_value_id v)
{
    return cyg_value_is_none(v) ? CYG_NO_NODE : cyg_val(x->to, v)->producer;
}

cyg_value_id cyg_emit_transpose(cyg_expander *x, const char *suffix, cyg_value_id a,
                                const int64_t *perm, int rank)
{
    const cyg_value_id y = cyg_emit1(x, CYG_OP_transpose, suffix, a);
    CYG_IGNORE(cyg_node_set_ints(x->to, cyg_emitted(x, y), CYG_ATTR_perm, perm, (size_t)rank));
    return y;
}

cyg_value_id cyg_expand_ints(cyg_expander *x, const int64_t *v, int64_t count)
{
    return cyg_graph_add_const_copy(x->to, "shape", CYG_TYPE_S64, 1, &count, v,
                                    (size_t)count * sizeof *v);
}

cyg_value_id cyg_emit_reshape(cyg_expander *x, const char *suffix, cyg_value_id a,
                              const int64_t *dims, int rank)
{
    return cyg_emit2(x, CYG_OP_reshape, suffix, a, cyg_expand_ints(x, dims, rank));
}

cyg_value_id cyg_emit_gather(cyg_expander *x, const char *suffix, cyg_value_id a,
                             cyg_value_id index, int axis)
{
    const cyg_value_id y = cyg_emit2(x, CYG_OP_gather, suffix, a, index);
    CYG_IGNORE(cyg_node_set_int(x->to, cyg_emitted(x, y), CYG_ATTR_axis, axis));
    return y;
}

cyg_value_id cyg_expand_scalar(cyg_expander *x, float v)
{
    return cyg_graph_add_const_copy(x->to, "scalar", CYG_TYPE_F32, 0, NULL, &v, sizeof v);
}

cyg_value_id cyg_emit_with(cyg_expander *x, cyg_op op, const char *suffix, cyg_value_id a, float b)
{
    return cyg_emit2(x, op, suffix, a, cyg_expand_scalar(x, b));
}

/* ---- quantised values ---- */

/* Scale and zero point as constants: scalars, or vectors along the axis. */
static void quant_consts(cyg_expander *x, const cyg_quant *q, cyg_value_id *out_scale,
                         cyg_value_id *out_zero)
{
    const int rank = q->axis < 0 ? 0 : 1;
    const int64_t count = q->count;
    const size_t size = cyg_type_size(q->type);
    *out_scale = cyg_graph_add_const_copy(x->to, "scale", CYG_TYPE_F32, rank, &count, q->scales,
                                          q->count * sizeof(float));
    uint8_t *zeros = cyg_arena_zalloc(&x->to->arena, q->count * size, 8);
    for (uint32_t i = 0; zeros != NULL && i < q->count; i++)
        memcpy(zeros + i * size, &q->zero_point, size); /* little endian: the low bytes */
    *out_zero = CYG_NO_VALUE;
    if (zeros == NULL)
        x->to->failed = true;
    else if (q->type != CYG_TYPE_S32 || q->zero_point != 0)
        *out_zero =
            cyg_graph_add_const(x->to, "zero_point", q->type, rank, &count, zeros, q->count * size);
}

static cyg_value_id emit_qdq(cyg_expander *x, cyg_op op, const char *suffix, cyg_value_id v,
                             const cyg_quant *q, cyg_value_id scale, cyg_value_id zero)
{
    const cyg_value_id in[] = {v, scale, zero};
    const cyg_value_id y = cyg_emit(x, op, suffix, in, cyg_value_is_none(zero) ? 2 : 3);
    if (q->axis >= 0)
        CYG_IGNORE(cyg_node_set_int(x->to, cyg_emitted(x, y), CYG_ATTR_axis, q->axis));
    return y;
}

static cyg_value_id dequantised(cyg_expander *x, cyg_value_id v, const char *stem,
                                const cyg_quant *q)
{
    const char *const saved = x->stem;
    cyg_value_id scale, zero;
    x->stem = stem;
    quant_consts(x, q, &scale, &zero);
    const cyg_value_id y = emit_qdq(x, CYG_OP_dequantize_linear, "dequantized", v, q, scale, zero);
    x->stem = saved;
    return y;
}

cyg_value_id cyg_expand_quantised(cyg_expander *x, cyg_value_id v, const char *stem,
                                  const cyg_quant *q)
{
    const char *const saved = x->stem;
    cyg_value_id scale, zero;
    x->stem = stem;
    quant_consts(x, q, &scale, &zero);
    cyg_value_id y = emit_qdq(x, CYG_OP_quantize_linear, "quantized", v, q, scale, zero);
    y = emit_qdq(x, CYG_OP_dequantize_linear, "dequantized", y, q, scale, zero);
    x->stem = saved;
    return y;
}

/* ---- the walk ---- */

void cyg_expand_bind(cyg_expander *x, cyg_value_id v, cyg_value_id y)
{
    if (cyg_value_is_none(v) || v.i == y.i)
        return;
    const cyg_node_id maker = cyg_val(x->to, v)->producer;
    /* What is older than this expansion (an input, a constant) cannot be renamed away. */
    if (cyg_node_is_none(maker) || v.i < x->from->value_count) {
        cyg_expand_bind(x, cyg_emit1(x, CYG_OP_identity, "same", v), y);
        return;
    }
    cyg_node *n = cyg_nod(x->to, maker);
    for (uint32_t i = 0; i < n->out_count; i++)
        if (n->out[i].i == v.i)
            n->out[i] = y;
    cyg_val(x->to, v)->producer = CYG_NO_NODE;
    cyg_val(x->to, y)->producer = maker;
}

/* A result stands for y: through a quantise pair where y is quantised; through a Reshape when it is
 * by rows and y must have its shape. */
static void finish(cyg_expander *x, cyg_value_id result, cyg_value_id y)
{
    const cyg_value *v = cyg_val(x->from, y);
    int64_t target[CYG_MAX_RANK];
    if (x->by_rows && !cyg_expand_keep_rows(x, y)) {
        x->rows[y.i] = result;
        CYG_IGNORE(cyg_expand_target(v, target));
        result = cyg_emit_reshape(x, "Shape", result, target, v->rank);
    }
    if (is_paired(x, v)) {
        cyg_quant q = v->quant;
        if (x->by_first && v->rank == 4)
            q.axis = q.axis == 3 ? 1 : q.axis > 0 ? q.axis + 1 : q.axis;
        result = cyg_expand_quantised(x, result, v->name, &q);
    }
    if (x->by_first && !cyg_expand_keep_first(x, y))
        result = cyg_emit_transpose(x, "ToChannelsLast", result, (const int64_t[]){0, 2, 3, 1}, 4);
    cyg_expand_bind(x, result, y);
}

/* A Reshape to a constant shape reads elements, no dimensions, unless it says 0 = as before. */
static bool free_shape(const cyg_expander *x)
{
    const cyg_value *shape = x->n->op == CYG_OP_reshape ? cyg_expand_operand(x, 1) : NULL;
    if (shape == NULL || !shape->is_const || shape->type != CYG_TYPE_S64)
        return false;
    for (size_t i = 0; i < shape->bytes / sizeof(int64_t); i++)
        if (cyg_load_i64((const int64_t *)shape->data + i) == 0)
            return false;
    return true;
}

static cyg_status copy_node(cyg_expander *x)
{
    cyg_graph *to = x->to;
    const cyg_node *n = x->n;
    cyg_value_id *in = CYG_NEW_ARRAY(&to->arena, cyg_value_id, n->in_count + 1);
    if (in == NULL)
        return CYG_FAIL(x->ctx, CYG_E_NOMEM, "out of memory");
    for (uint32_t i = 0; i < n->in_count; i++)
        in[i] = i == 0 && free_shape(x) ? cyg_expand_any(x, i) : cyg_expand_in(x, i);
    cyg_value_id rows = CYG_NO_VALUE;
    const bool output = x->by_rows && cyg_graph_is_output(x->from, n->out[0]);
    if (output) /* the rows are a value of their own, the shape behind them has the name */
        rows = cyg_graph_add_value(to, n->name, CYG_TYPE_NONE, CYG_RANK_UNKNOWN, NULL);
    const cyg_node_id id = cyg_graph_add_node(to, CYG_NO_NODE, n->op, n->name, in, n->in_count,
                                              output ? &rows : n->out, n->out_count);
    if (cyg_node_is_none(id))
        return CYG_FAIL(x->ctx, CYG_E_NOMEM, "out of memory");
    CYG_IGNORE(cyg_node_copy_attrs(to, id, n));
    for (uint32_t i = 0; i < n->source_count; i++)
        cyg_node_add_source(to, id, n->sources[i]);
    if (x->by_rows)
        finish(x, output ? rows : n->out[0], n->out[0]);
    for (uint32_t i = 0; i < n->out_count; i++) {
        const cyg_value *v = cyg_val(x->from, n->out[i]);
        if (!is_paired(x, v))
            continue;
        /* The node makes a value of its own; the pair behind it makes the one with the name. */
        const cyg_value_id raw = cyg_graph_add_value(to, v->name, v->type, v->rank, v->dims);
        if (cyg_value_is_none(raw))
            return CYG_FAIL(x->ctx, CYG_E_NOMEM, "out of memory");
        cyg_nod(to, id)->out[i] = raw;
        cyg_val(to, raw)->producer = id;
        cyg_val(to, n->out[i])->producer = CYG_NO_NODE;
        finish(x, raw, n->out[i]);
    }
    return CYG_OK;
}

static cyg_status expand_node(cyg_expander *x)
{
    x->by_rows = x->by_first = false; /* of the node before */
    if (cyg_expand_postpone(x) || cyg_expand_is_turn(x))
        return CYG_OK;
    cyg_expand_choose_rows(x);
    cyg_expand_choose_first(x);
    cyg_expand_rule rule = x->by_rows    ? cyg_expand_row_rule(x->n->op)
                           : x->by_first ? cyg_expand_first_rule(x->n->op, x->opset)
                                         : NULL;
    if (rule == NULL)
        rule = cyg_expand_rule_of(x->n->op, x->opset);
    if (rule == NULL)
        return copy_node(x);
    cyg_value_id result = CYG_NO_VALUE;
    CYG_DO(rule(x, &result));
    if (x->to->failed || cyg_value_is_none(result))
        return CYG_FAIL(x->ctx, CYG_E_NOMEM, "out of memory");
    finish(x, result, x->n->out[0]);
    return CYG_OK;
}

static cyg_status copy_values(cyg_expander *x)
{
    const cyg_graph *from = x->from;
    cyg_graph *to = x->to;
    to->name = cyg_arena_strdup(&to->arena, from->name);
    to->opset = x->opset > 18 ? x->opset : 18; /* of the graph's form; the writer lowers it */
    for (uint32_t i = 1; i < from->symbol_count; i++)
        cyg_graph_symbol(to, from->symbols[i]);
    for (uint32_t i = 0; i < from->source_count; i++)
        cyg_graph_add_source(to, from->sources[i].name, from->sources[i].kind);
    for (uint32_t i = 0; i < from->meta_count; i++)
        cyg_graph_set_meta(to, from->metas[i].key, from->metas[i].text);
    for (uint32_t i = 0; i < from->value_count; i++) {
        const cyg_value *v = &from->values[i];
        const cyg_value_id id = cyg_graph_add_value(to, v->name, v->type, v->rank, v->dims);
        if (cyg_value_is_none(id))
            break;
        if (v->is_const)
            cyg_graph_make_const(to, id, v->data, v->bytes);
        x->map[i] = id;
    }
    return to->name == NULL || to->failed ? CYG_FAIL(x->ctx, CYG_E_NOMEM, "out of memory") : CYG_OK;
}

static cyg_status expand_all(cyg_expander *x)
{
    CYG_DO(copy_values(x));
    for (uint32_t k = 0; k < x->from->order_count; k++) {
        x->id = x->from->order[k];
        x->n = cyg_nod(x->from, x->id);
        x->stem = x->n->name;
        if (x->n->op != CYG_OP_removed)
            CYG_DO(expand_node(x));
    }
    return cyg_graph_set_io(x->ctx, x->to, x->from->inputs, x->from->input_count, x->from->outputs,
                            x->from->output_count);
}

/* Nodes that will be written: Transposes of constants are folded by the writer. */
static uint32_t written_nodes(const cyg_graph *g)
{
    uint32_t count = 0;
    for (uint32_t k = 0; k < g->order_count; k++) {
        const cyg_node *n = cyg_nod(g, g->order[k]);
        count += n->op != CYG_OP_transpose || !cyg_val(g, n->in[0])->is_const;
    }
    return count;
}

/* Linears over more than two dimensions, in a graph without quantised values. */
static bool may_gain_by_rows(const cyg_graph *g)
{
    bool gain = false;
    for (uint32_t i = 0; i < g->value_count; i++)
        if (g->values[i].quant.type != CYG_TYPE_NONE)
            return false;
    for (uint32_t k = 0; k < g->order_count; k++) {
        const cyg_node *n = cyg_nod(g, g->order[k]);
        gain = gain || (n->op == CYG_OP_linear && cyg_val(g, n->in[0])->rank > 2);
    }
    return gain;
}

/* How values are written: as they are, as rows of channels, or pixels channels first. */
typedef enum expand_form { FORM_SHAPED, FORM_ROWS, FORM_FIRST, FORM_COUNT } expand_form;

static cyg_status expand_graph(cyg_ctx *ctx, const cyg_graph *g, int opset, expand_form form,
                               cyg_graph **out_graph)
{
    cyg_expander x = {.ctx = ctx,
                      .from = g,
                      .to = cyg_graph_create(),
                      .opset = opset,
                      .only_8_bit = opset < CYG_ONNX_16_BIT_PAIRS};
    *out_graph = x.to;
    if (x.to == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    const size_t count = (size_t)g->value_count + 1;
    x.map = CYG_NEW_ARRAY(&x.to->arena, cyg_value_id, count);
    if (form == FORM_ROWS) {
        x.rows = CYG_NEW_ARRAY(&x.to->arena, cyg_value_id, count);
        x.seen_as = CYG_NEW_ARRAY(&x.to->arena, cyg_value_id, count);
    }
    if (form == FORM_FIRST)
        x.first = CYG_NEW_ARRAY(&x.to->arena, cyg_value_id, count);
    if (x.map == NULL || (form == FORM_ROWS && (x.rows == NULL || x.seen_as == NULL)) ||
        (form == FORM_FIRST && x.first == NULL))
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    for (size_t i = 0; form == FORM_ROWS && i < count; i++)
        x.rows[i] = x.seen_as[i] = CYG_NO_VALUE;
    for (size_t i = 0; form == FORM_FIRST && i < count; i++)
        x.first[i] = CYG_NO_VALUE;
    return expand_all(&x);
}

/* Written in each form that may gain something, the one with the fewest nodes stays. */
cyg_status cyg_onnx_expand(cyg_ctx *ctx, const cyg_graph *g, int opset, cyg_graph **out_graph)
{
    cyg_graph *best = NULL;
    *out_graph = NULL;
    if (opset < CYG_ONNX_EXPORT_MIN || opset > CYG_ONNX_EXPORT_MAX)
        return CYG_FAIL(ctx, CYG_E_UNSUPPORTED, "opset %d: expected %d to %d", opset,
                        CYG_ONNX_EXPORT_MIN, CYG_ONNX_EXPORT_MAX);
    const bool tried[FORM_COUNT] = {true, may_gain_by_rows(g), cyg_expand_may_turn(g)};
    cyg_status st = CYG_OK;
    for (int form = 0; st == CYG_OK && form < FORM_COUNT; form++) {
        cyg_graph *now = NULL;
        if (!tried[form])
            continue;
        st = expand_graph(ctx, g, opset, (expand_form)form, &now);
        const bool better =
            best == NULL || (st == CYG_OK && written_nodes(now) < written_nodes(best));
        cyg_graph_destroy(better ? best : now);
        best = better ? now : best;
    }
    if (st == CYG_OK)
        st = cyg_graph_verify(ctx, best);
    if (st == CYG_OK)
        st = cyg_graph_infer_shapes(ctx, best);
    if (st == CYG_OK)
        *out_graph = best;
    else
        cyg_graph_destroy(best);
    return st;
}
