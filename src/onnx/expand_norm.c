/* Normalisations that the wanted opset lacks, in the parts that exporters wrote, so that other
 * tools recognise them; and channel_norm, which no opset has. */
#include "base/bytes.h"
#include "onnx/expand.h"

/* A scale of ones is no node. */
static bool all_ones(const cyg_value *v)
{
    const int64_t count = cyg_value_elements(v);
    if (!v->is_const || v->type != CYG_TYPE_F32 || v->data == NULL)
        return false;
    for (int64_t i = 0; i < count; i++)
        if (cyg_float_at(v->data, i) != 1.0f)
            return false;
    return true;
}

/* (a - mean) / sqrt(variance + epsilon) over these axes, times operand 1, plus operand 2, seen in
 * `rank` dimensions, channels first, when rank > 0. */
static cyg_value_id in_parts(cyg_expander *x, cyg_value_id over, int rank)
{
    int64_t dims[CYG_MAX_RANK];
    const cyg_value_id a = cyg_expand_in(x, 0);
    const cyg_value_id mean = cyg_emit2(x, CYG_OP_reduce_mean, "Mean", a, over);
    const cyg_value_id centred = cyg_emit2(x, CYG_OP_sub, "Sub", a, mean);
    cyg_value_id v = cyg_emit_with(x, CYG_OP_pow, "Pow", centred, 2.0f);
    v = cyg_emit2(x, CYG_OP_reduce_mean, "Variance", v, over);
    v = cyg_emit_with(x, CYG_OP_add, "Epsilon", v, cyg_node_float(x->n, CYG_ATTR_epsilon, 1e-5f));
    v = cyg_emit1(x, CYG_OP_sqrt, "Sqrt", v);
    v = cyg_emit2(x, CYG_OP_div, "", centred, v);
    for (int i = 0; i < rank; i++)
        dims[i] = i == 0 ? -1 : 1;
    for (uint32_t i = 1; i < 3; i++) {
        const cyg_value *p = cyg_expand_operand(x, i);
        if (p == NULL || (i == 1 && all_ones(p)))
            continue;
        cyg_value_id by = cyg_expand_in(x, i);
        if (rank > 0)
            by = cyg_emit_reshape(x, i == 1 ? "Scale" : "Bias", by, dims, rank);
        v = cyg_emit2(x, i == 1 ? CYG_OP_mul : CYG_OP_add, i == 1 ? "Mul" : "Add", v, by);
    }
    return v;
}

/* The axes from the attribute to the last, counted from the end. */
static cyg_status trailing(cyg_expander *x, cyg_value_id *out_axes)
{
    const cyg_value *in = cyg_expand_operand(x, 0);
    int64_t axis = cyg_node_int(x->n, CYG_ATTR_axis, -1), axes[CYG_MAX_RANK];
    if (axis >= 0 && in->rank == CYG_RANK_UNKNOWN)
        return CYG_EXPAND_FAIL(x, "the rank of %s is not known", in->name);
    axis = axis >= 0 ? axis - in->rank : axis;
    if (axis >= 0 || axis < -CYG_MAX_RANK)
        return CYG_EXPAND_FAIL(x, "axis %lld", (long long)axis);
    for (int64_t i = 0; i < -axis; i++)
        axes[i] = axis + i;
    *out_axes = cyg_expand_ints(x, axes, -axis);
    return CYG_OK;
}

cyg_status cyg_expand_layer_norm(cyg_expander *x, cyg_value_id *out_result)
{
    cyg_value_id over;
    CYG_DO(trailing(x, &over));
    *out_result = in_parts(x, over, 0);
    return CYG_OK;
}

cyg_status cyg_expand_rms_norm(cyg_expander *x, cyg_value_id *out_result)
{
    const cyg_value_id a = cyg_expand_in(x, 0);
    cyg_value_id over, v = cyg_emit_with(x, CYG_OP_pow, "Pow", a, 2.0f);
    CYG_DO(trailing(x, &over));
    v = cyg_emit2(x, CYG_OP_reduce_mean, "Mean", v, over);
    v = cyg_emit_with(x, CYG_OP_add, "Epsilon", v, cyg_node_float(x->n, CYG_ATTR_epsilon, 1e-5f));
    v = cyg_emit1(x, CYG_OP_sqrt, "Sqrt", v);
    v = cyg_emit2(x, CYG_OP_div, "", a, v);
    *out_result = all_ones(cyg_expand_operand(x, 1))
                      ? v
                      : cyg_emit2(x, CYG_OP_mul, "Mul", v, cyg_expand_in(x, 1));
    return CYG_OK;
}

/* Where there is LayerNormalization, it between two Transposes. */
cyg_status cyg_expand_channel_norm(cyg_expander *x, cyg_value_id *out_result)
{
    const cyg_value *in = cyg_expand_operand(x, 0);
    const int rank = in->rank;
    int64_t to_last[CYG_MAX_RANK] = {0}, back[CYG_MAX_RANK] = {0};
    const int64_t channels = 1;
    if (rank == CYG_RANK_UNKNOWN || rank < 2)
        return CYG_EXPAND_FAIL(x, "the rank of %s is not known", in->name);
    if (x->opset < 17) {
        *out_result = in_parts(x, cyg_expand_ints(x, &channels, 1), rank - 1);
        return CYG_OK;
    }
    for (int i = 1; i < rank; i++) {
        to_last[i] = i + 1 < rank ? i + 1 : 1;
        back[i] = i == 1 ? rank - 1 : i - 1;
    }
    const cyg_value_id operands[] = {
        cyg_emit_transpose(x, "ToChannelsLast", cyg_expand_in(x, 0), to_last, rank),
        cyg_expand_in(x, 1), cyg_expand_in(x, 2)};
    const cyg_value_id y = cyg_emit(x, CYG_OP_layer_normalization, "", operands,
                                    cyg_value_is_none(operands[2]) ? 2 : 3);
    if (!cyg_value_is_none(y)) {
        CYG_IGNORE(cyg_node_set_int(x->to, cyg_emitted(x, y), CYG_ATTR_axis, -1));
        CYG_IGNORE(cyg_node_set_float(x->to, cyg_emitted(x, y), CYG_ATTR_epsilon,
                                      cyg_node_float(x->n, CYG_ATTR_epsilon, 1e-5f)));
    }
    *out_result = cyg_emit_transpose(x, "ToChannelsFirst", y, back, rank);
    return CYG_OK;
}

/* A vector of one number, n times. */
static cyg_value_id constant_vector(cyg_expander *x, int64_t n, float v)
{
    float *data = CYG_NEW_ARRAY(&x->to->arena, float, n);
    for (int64_t i = 0; data != NULL && i < n; i++)
        data[i] = v;
    return data == NULL ? CYG_NO_VALUE
                        : cyg_graph_add_const(x->to, NULL, CYG_TYPE_F32, 1, &n, data,
                                              (size_t)n * sizeof *data);
}

/* Groups as channels of an InstanceNormalization, as exporters wrote it; a scale and bias of one
 * number a group go with it, those of one number a channel follow. */
cyg_status cyg_expand_group_norm(cyg_expander *x, cyg_value_id *out_result)
{
    const cyg_value *in = cyg_expand_operand(x, 0), *scale = cyg_expand_operand(x, 1);
    const int64_t groups = cyg_node_int(x->n, CYG_ATTR_num_groups, 1), split[] = {0, groups, -1};
    int64_t back[CYG_MAX_RANK], along[CYG_MAX_RANK];
    if (in->type != CYG_TYPE_F32 || in->rank == CYG_RANK_UNKNOWN || !cyg_expand_target(in, back))
        return CYG_EXPAND_FAIL(x, "%s is not f32 of a shape known but for one dimension", in->name);
    const bool by_group = cyg_value_elements(scale) == groups;
    if (x->opset >= 21 && !by_group) { /* what the operator means since then */
        const cyg_value_id same[] = {cyg_expand_in(x, 0), cyg_expand_in(x, 1), cyg_expand_in(x, 2)};
        *out_result = cyg_emit(x, CYG_OP_group_normalization, "", same, 3);
        if (!cyg_value_is_none(*out_result))
            CYG_IGNORE(cyg_node_copy_attrs(x->to, cyg_emitted(x, *out_result), x->n));
        return CYG_OK;
    }
    const cyg_value_id operands[] = {
        cyg_emit_reshape(x, "Groups", cyg_expand_in(x, 0), split, 3),
        by_group ? cyg_expand_in(x, 1) : constant_vector(x, groups, 1.0f),
        by_group ? cyg_expand_in(x, 2) : constant_vector(x, groups, 0.0f)};
    cyg_value_id y = cyg_emit(x, CYG_OP_instance_normalization, "Normalized", operands, 3);
    if (!cyg_value_is_none(y))
        CYG_IGNORE(cyg_node_set_float(x->to, cyg_emitted(x, y), CYG_ATTR_epsilon,
                                      cyg_node_float(x->n, CYG_ATTR_epsilon, 1e-5f)));
    y = cyg_emit_reshape(x, "Back", y, back, in->rank);
    for (int i = 1; i < in->rank - 1; i++)
        along[i] = 1;
    along[0] = -1;
    if (!by_group) {
        y = cyg_emit2(x, CYG_OP_mul, "Scale", y,
                      cyg_emit_reshape(x, "Scales", cyg_expand_in(x, 1), along, in->rank - 1));
        y = cyg_emit2(x, CYG_OP_add, "Bias", y,
                      cyg_emit_reshape(x, "Biases", cyg_expand_in(x, 2), along, in->rank - 1));
    }
    *out_result = y;
    return CYG_OK;
}
