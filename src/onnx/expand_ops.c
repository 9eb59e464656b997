/* Activations, and standard operators that the wanted opset lacks or has in another form.
 *
 * Forms that only differ in where a parameter stands (axes as attribute) are the writer's matter,
 * export_node.c; here are those that need other nodes. The decompositions are the ones that
 * exporters wrote before the operator existed, so that other tools recognise them. */
#include "onnx/expand.h"

#include <string.h>

#include "base/bytes.h"

cyg_value_id cyg_expand_gelu(cyg_expander *x, bool by_tanh, cyg_value_id a)
{
    if (x->opset >= 20) {
        const cyg_value_id y = cyg_emit1(x, CYG_OP_gelu, "Gelu", a);
        CYG_IGNORE(cyg_node_set_string(x->to, cyg_emitted(x, y), CYG_ATTR_approximate,
                                       by_tanh ? "tanh" : "none"));
        return y;
    }
    cyg_value_id t;
    if (by_tanh) {
        t = cyg_emit2(x, CYG_OP_mul, "Square", a, a);
        t = cyg_emit2(x, CYG_OP_mul, "Cube", t, a);
        t = cyg_emit_with(x, CYG_OP_mul, "Bend", t, 0.044715f);
        t = cyg_emit2(x, CYG_OP_add, "Inner", a, t);
        t = cyg_emit_with(x, CYG_OP_mul, "InnerScale", t, 0.7978845608f);
        t = cyg_emit1(x, CYG_OP_tanh, "Tanh", t);
    } else {
        t = cyg_emit_with(x, CYG_OP_div, "Div", a, 1.41421356f);
        t = cyg_emit1(x, CYG_OP_erf, "Erf", t);
    }
    t = cyg_emit_with(x, CYG_OP_add, "PlusOne", t, 1.0f);
    t = cyg_emit2(x, CYG_OP_mul, "Mul", a, t);
    return cyg_emit_with(x, CYG_OP_mul, "Half", t, 0.5f);
}

static cyg_value_id hardsigmoid(cyg_expander *x, cyg_value_id a, float alpha, float beta)
{
    const cyg_value_id y = cyg_emit1(x, CYG_OP_hardsigmoid, "HardSigmoid", a);
    CYG_IGNORE(cyg_node_set_float(x->to, cyg_emitted(x, y), CYG_ATTR_alpha, alpha));
    CYG_IGNORE(cyg_node_set_float(x->to, cyg_emitted(x, y), CYG_ATTR_beta, beta));
    return y;
}

static cyg_value_id hardswish(cyg_expander *x, cyg_value_id a)
{
    if (x->opset >= 14)
        return cyg_emit1(x, CYG_OP_hardswish, "HardSwish", a);
    return cyg_emit2(x, CYG_OP_mul, "Mul", a, hardsigmoid(x, a, 1.0f / 6.0f, 0.5f));
}

cyg_value_id cyg_expand_act(cyg_expander *x, int64_t act, cyg_value_id a)
{
    const float lo = cyg_node_float(x->n, CYG_ATTR_act_lo, 0.0f);
    const float hi = cyg_node_float(x->n, CYG_ATTR_act_hi, 0.0f);
    cyg_value_id y;
    switch (act) {
    case CYG_ACT_RELU:
        return cyg_emit1(x, CYG_OP_relu, "Relu", a);
    case CYG_ACT_GELU_ERF:
    case CYG_ACT_GELU_TANH:
        return cyg_expand_gelu(x, act == CYG_ACT_GELU_TANH, a);
    case CYG_ACT_CLIP: {
        const cyg_value_id in[] = {a, cyg_expand_scalar(x, lo), cyg_expand_scalar(x, hi)};
        return cyg_emit(x, CYG_OP_clip, "Clip", in, 3);
    }
    case CYG_ACT_SILU:
        return cyg_emit2(x, CYG_OP_mul, "Mul", a, cyg_emit1(x, CYG_OP_sigmoid, "Sigmoid", a));
    case CYG_ACT_SIGMOID:
        return cyg_emit1(x, CYG_OP_sigmoid, "Sigmoid", a);
    case CYG_ACT_TANH:
        return cyg_emit1(x, CYG_OP_tanh, "Tanh", a);
    case CYG_ACT_HARDSWISH:
        return hardswish(x, a);
    case CYG_ACT_HARDSIGMOID:
        return lo == 0.0f && hi == 0.0f ? hardsigmoid(x, a, 1.0f / 6.0f, 0.5f)
                                        : hardsigmoid(x, a, lo, hi);
    case CYG_ACT_LEAKY_RELU:
        y = cyg_emit1(x, CYG_OP_leaky_relu, "LeakyRelu", a);
        CYG_IGNORE(cyg_node_set_float(x->to, cyg_emitted(x, y), CYG_ATTR_alpha, lo));
        return y;
    default:
        return a;
    }
}

/* The operand as it is, for a result of its own: what other readers may have too keeps its name. */
static cyg_value_id same(cyg_expander *x)
{
    const cyg_value_id v = cyg_expand_in(x, 0);
    return v.i < x->from->value_count ? v : cyg_emit1(x, CYG_OP_identity, "same", v);
}

static cyg_status expand_requant(cyg_expander *x, cyg_value_id *out_result)
{
    *out_result = same(x);
    return CYG_OK;
}

/* Both halves again; 16 bits where the opset has them. */
static cyg_status expand_fake_quant(cyg_expander *x, cyg_value_id *out_result)
{
    const float scale = cyg_node_float(x->n, CYG_ATTR_scale, 1.0f);
    const cyg_quant q = {.type = cyg_type_from_onnx(cyg_node_int(x->n, CYG_ATTR_to, 0)),
                         .zero_point = (int32_t)cyg_node_int(x->n, CYG_ATTR_zero_point, 0),
                         .axis = -1,
                         .count = 1,
                         .scales = &scale};
    *out_result = cyg_expand_in(x, 0);
    if (!(scale > 0.0f)) /* open: nothing yet */
        *out_result = cyg_emit1(x, CYG_OP_identity, "", *out_result);
    else if (!x->only_8_bit || cyg_type_size(q.type) == 1)
        *out_result = cyg_expand_quantised(x, *out_result, x->n->name, &q);
    else
        *out_result = same(x);
    return CYG_OK;
}

static cyg_status expand_gelu(cyg_expander *x, cyg_value_id *out_result)
{
    const char *approximate = cyg_node_string(x->n, CYG_ATTR_approximate, "none");
    *out_result = cyg_expand_gelu(x, strcmp(approximate, "tanh") == 0, cyg_expand_in(x, 0));
    return CYG_OK;
}

static cyg_status expand_hardswish(cyg_expander *x, cyg_value_id *out_result)
{
    *out_result = hardswish(x, cyg_expand_in(x, 0));
    return CYG_OK;
}

static cyg_status expand_mish(cyg_expander *x, cyg_value_id *out_result)
{
    const cyg_value_id a = cyg_expand_in(x, 0);
    const cyg_value_id t = cyg_emit1(x, CYG_OP_softplus, "Softplus", a);
    *out_result = cyg_emit2(x, CYG_OP_mul, "Mul", a, cyg_emit1(x, CYG_OP_tanh, "Tanh", t));
    return CYG_OK;
}

static cyg_status expand_cast_like(cyg_expander *x, cyg_value_id *out_result)
{
    const cyg_type to = cyg_expand_operand(x, 1)->type;
    *out_result = cyg_emit1(x, CYG_OP_cast, "", cyg_expand_in(x, 0));
    CYG_IGNORE(
        cyg_node_set_int(x->to, cyg_emitted(x, *out_result), CYG_ATTR_to, cyg_type_to_onnx(to)));
    return CYG_OK;
}

/* Shape of a range of dimensions, before there were start and end. */
static cyg_status expand_shape(cyg_expander *x, cyg_value_id *out_result)
{
    const int64_t start = cyg_node_int(x->n, CYG_ATTR_start, 0);
    const int64_t end = cyg_node_int(x->n, CYG_ATTR_end, INT64_MAX);
    cyg_value_id y = cyg_emit1(x, CYG_OP_shape, "", cyg_expand_in(x, 0));
    if (start != 0 || end != INT64_MAX) {
        const cyg_value_id in[] = {y, cyg_expand_ints(x, &start, 1), cyg_expand_ints(x, &end, 1)};
        y = cyg_emit(x, CYG_OP_slice, "Slice", in, 3);
    }
    *out_result = y;
    return CYG_OK;
}

/* The real numbers of a constant along channels, to be added to pixels in the present layout. */
static cyg_value_id channel_numbers(cyg_expander *x, const cyg_value *v)
{
    const int64_t count = cyg_value_elements(v), dims[3] = {count, 1, 1};
    const cyg_quant *q = &v->quant;
    float *data = CYG_NEW_ARRAY(&x->to->arena, float, count + 1);
    if (data == NULL) {
        x->to->failed = true;
        return CYG_NO_VALUE;
    }
    for (int64_t i = 0; i < count; i++) {
        const int32_t stored = v->type == CYG_TYPE_U8   ? ((const uint8_t *)v->data)[i]
                               : v->type == CYG_TYPE_S8 ? ((const int8_t *)v->data)[i]
                                                        : ((const int16_t *)v->data)[i];
        data[i] = v->type == CYG_TYPE_F32 ? ((const float *)v->data)[i]
                                          : (float)(stored - q->zero_point) * q->scales[0];
    }
    return cyg_graph_add_const(x->to, v->name, CYG_TYPE_F32, x->by_first ? 3 : 1, dims, data,
                               (size_t)count * sizeof *data);
}

/* Ours: a value for each channel, of pixels channels last. ONNX pads with one: so the values come
 * off, zeros are put around, and the values come on again, which moves integers exactly. */
static cyg_status expand_channel_pad(cyg_expander *x, cyg_value_id *out_result)
{
    static const int to_first[4] = {0, 3, 1, 2};
    const cyg_value *pads = cyg_expand_operand(x, 1), *value = cyg_expand_operand(x, 2);
    int64_t moved[8];
    if (!pads->is_const || cyg_value_elements(pads) != 8 ||
        cyg_node_in(x->n, 3).i != CYG_NO_VALUE.i)
        return CYG_EXPAND_FAIL(x, "pads (%s) must be a constant of four axes", pads->name);
    for (int k = 0; k < 8; k++) {
        const int from = x->by_first ? k / 4 * 4 + to_first[k % 4] : k;
        moved[k] = cyg_load_i64((const char *)pads->data + 8 * from);
    }
    const cyg_value_id numbers = channel_numbers(x, value);
    const cyg_value_id off = cyg_emit2(x, CYG_OP_sub, "Sub", cyg_expand_in(x, 0), numbers);
    const cyg_value_id y = cyg_emit2(x, CYG_OP_pad, "", off, cyg_expand_ints(x, moved, 8));
    CYG_IGNORE(cyg_node_set_string(x->to, cyg_emitted(x, y), CYG_ATTR_mode, "constant"));
    *out_result = cyg_emit2(x, CYG_OP_add, "Add", y, numbers);
    return CYG_OK;
}

bool cyg_expand_pads_channels(const cyg_expander *x)
{
    const cyg_value *value = x->n->op == CYG_OP_pad ? cyg_expand_operand(x, 2) : NULL;
    return value != NULL && value->is_const && value->rank == 1 && cyg_value_elements(value) > 1;
}

/* Pad; of some axes, when it still took all of them. */
static cyg_status expand_pad(cyg_expander *x, cyg_value_id *out_result)
{
    const cyg_value *in = cyg_expand_operand(x, 0), *pads = cyg_expand_operand(x, 1),
                    *axes = cyg_expand_operand(x, 3);
    if (cyg_expand_pads_channels(x))
        return expand_channel_pad(x, out_result);
    cyg_value_id operands[4] = {cyg_expand_in(x, 0), cyg_expand_in(x, 1), cyg_expand_in(x, 2)};
    uint32_t given = cyg_value_is_none(operands[2]) ? 2 : 3;
    if (axes != NULL && x->opset >= 18) {
        operands[3] = cyg_expand_in(x, 3);
        given = 4;
    } else if (axes != NULL) {
        int64_t all[2 * CYG_MAX_RANK] = {0};
        const int64_t rank = in->rank, count = cyg_value_elements(axes);
        if (rank == CYG_RANK_UNKNOWN || !axes->is_const || !pads->is_const ||
            axes->type != CYG_TYPE_S64 || cyg_value_elements(pads) != 2 * count)
            return CYG_EXPAND_FAIL(x, "pads and axes (%s) must be constants of s64", axes->name);
        for (int64_t i = 0; i < count; i++) {
            int64_t axis = cyg_load_i64((const char *)axes->data + 8 * i);
            axis = axis < 0 ? axis + rank : axis;
            if (axis < 0 || axis >= rank)
                return CYG_EXPAND_FAIL(x, "axis %lld of rank %lld", (long long)axis,
                                       (long long)rank);
            all[axis] = cyg_load_i64((const char *)pads->data + 8 * i);
            all[rank + axis] = cyg_load_i64((const char *)pads->data + 8 * (count + i));
        }
        operands[1] = cyg_expand_ints(x, all, 2 * rank);
    }
    *out_result = cyg_emit(x, CYG_OP_pad, "", operands, given);
    CYG_IGNORE(cyg_node_set_string(x->to, cyg_emitted(x, *out_result), CYG_ATTR_mode,
                                   cyg_node_string(x->n, CYG_ATTR_mode, "constant")));
    return CYG_OK;
}

/* Before opset 20 two dimensions only, and the modes were called by them. */
static cyg_status expand_grid_sample(cyg_expander *x, cyg_value_id *out_result)
{
    const char *mode = cyg_node_string(x->n, CYG_ATTR_mode, "linear");
    const cyg_value_id in[] = {cyg_expand_in(x, 0), cyg_expand_in(x, 1)};
    if (cyg_expand_operand(x, 0)->rank != 4)
        return CYG_EXPAND_FAIL(x, "%s", "more than two dimensions exist from opset 20 on");
    const cyg_value_id y = cyg_emit(x, CYG_OP_grid_sample, "", in, 2);
    if (!cyg_value_is_none(y)) {
        CYG_IGNORE(cyg_node_copy_attrs(x->to, cyg_emitted(x, y), x->n));
        CYG_IGNORE(cyg_node_set_string(x->to, cyg_emitted(x, y), CYG_ATTR_mode,
                                       strcmp(mode, "linear") == 0  ? "bilinear"
                                       : strcmp(mode, "cubic") == 0 ? "bicubic"
                                                                    : mode));
    }
    *out_result = y;
    return CYG_OK;
}

cyg_expand_rule cyg_expand_rule_of(cyg_op op, int opset)
{
    switch ((int)op) {
    case CYG_OP_linear:
        return cyg_expand_linear;
    case CYG_OP_conv2d:
        return cyg_expand_conv2d;
    case CYG_OP_pool2d:
        return cyg_expand_pool2d;
    case CYG_OP_attention:
        return cyg_expand_attention;
    case CYG_OP_gather_rows:
        return cyg_expand_gather_rows;
    case CYG_OP_fake_quant:
        return expand_fake_quant;
    case CYG_OP_requant:
        return expand_requant;
    case CYG_OP_gelu:
        return opset < 20 ? expand_gelu : NULL;
    case CYG_OP_grid_sample:
        return opset < 20 ? expand_grid_sample : NULL;
    case CYG_OP_group_normalization:
        return cyg_expand_group_norm;
    case CYG_OP_mish:
        return opset < 18 ? expand_mish : NULL;
    case CYG_OP_pad:
        return expand_pad;
    case CYG_OP_layer_normalization:
        return opset < 17 ? cyg_expand_layer_norm : NULL;
    case CYG_OP_rms_normalization:
        return cyg_expand_rms_norm;
    case CYG_OP_channel_norm:
        return cyg_expand_channel_norm;
    case CYG_OP_cast_like:
        return opset < 15 ? expand_cast_like : NULL;
    case CYG_OP_shape:
        return opset < 15 ? expand_shape : NULL;
    case CYG_OP_hardswish:
        return opset < 14 ? expand_hardswish : NULL;
    default:
        return NULL;
    }
}
