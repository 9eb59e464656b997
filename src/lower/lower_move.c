/* Rules of operators that move elements without arithmetic: the same kernel for floats and for
 * quantised types, since only bytes move. The quantiser sees to it that all operands of such a node
 * share their quantisation parameters. */
#include "lower/lowering.h"

#include <string.h>

static cyg_status with_axis(cyg_lowering *l, int32_t op, int64_t axis, int rank, uint32_t operands)
{
    const cyg_kp_axis p = {.axis = cyg_lowering_axis(axis, rank)};
    if (p.axis < 0)
        return cyg_lowering_unsupported(l, "axis out of range");
    CYG_DO(cyg_lowering_op(l, op, &p, sizeof p));
    return cyg_lowering_first(l, operands);
}

static cyg_status rule_transpose(cyg_lowering *l)
{
    const int rank = cyg_lowering_in(l, 0)->rank;
    const int64_t *perm;
    const size_t count = cyg_node_ints(l->node, CYG_ATTR_perm, &perm);
    cyg_kp_transpose p = {0};
    if (count != 0 && count != (size_t)rank)
        return cyg_lowering_unsupported(l, "perm does not have one entry an axis");
    for (int i = 0; i < rank; i++)
        p.perm[i] = count != 0 ? perm[i] : rank - 1 - i;
    CYG_DO(cyg_lowering_op(l, CYG_KOP_transpose, &p, sizeof p));
    return cyg_lowering_first(l, 1);
}

static cyg_status rule_concat(cyg_lowering *l)
{
    return with_axis(l, CYG_KOP_concat, cyg_node_int(l->node, CYG_ATTR_axis, 0),
                     cyg_lowering_out(l, 0)->rank, l->node->in_count);
}

static cyg_status rule_split(cyg_lowering *l)
{
    return with_axis(l, CYG_KOP_split, cyg_node_int(l->node, CYG_ATTR_axis, 0),
                     cyg_lowering_in(l, 0)->rank, 1);
}

static cyg_status rule_gather(cyg_lowering *l)
{
    return with_axis(l, CYG_KOP_gather, cyg_node_int(l->node, CYG_ATTR_axis, 0),
                     cyg_lowering_in(l, 0)->rank, 2);
}

static cyg_status rule_gather_elements(cyg_lowering *l)
{
    return with_axis(l, CYG_KOP_gather_elements, cyg_node_int(l->node, CYG_ATTR_axis, 0),
                     cyg_lowering_in(l, 0)->rank, 2);
}

static cyg_status rule_gather_nd(cyg_lowering *l)
{
    const cyg_kp_axis p = {.axis = cyg_node_int(l->node, CYG_ATTR_batch_dims, 0)};
    CYG_DO(cyg_lowering_op(l, CYG_KOP_gather_nd, &p, sizeof p));
    return cyg_lowering_first(l, 2);
}

/* Number of the reduction in scatter.h, -1 for an unknown one. */
static int scatter_reduction(const cyg_lowering *l)
{
    static const char *const names[] = {"none", "add", "mul", "max", "min"};
    return cyg_lowering_choice(cyg_node_string(l->node, CYG_ATTR_reduction, "none"), names,
                               CYG_COUNT(names));
}

static cyg_status rule_scatter_nd(cyg_lowering *l)
{
    const cyg_kp_axis p = {.axis = scatter_reduction(l)};
    if (p.axis < 0)
        return cyg_lowering_unsupported(l, "unknown reduction");
    CYG_DO(cyg_lowering_op(l, CYG_KOP_scatter_nd, &p, sizeof p));
    return cyg_lowering_first(l, 3);
}

static cyg_status rule_scatter_elements(cyg_lowering *l)
{
    const cyg_kp_scatter p = {.axis = cyg_lowering_axis(cyg_node_int(l->node, CYG_ATTR_axis, 0),
                                                        cyg_lowering_in(l, 0)->rank),
                              .reduction = scatter_reduction(l)};
    if (p.axis < 0 || p.reduction < 0)
        return cyg_lowering_unsupported(l, "axis out of range, or unknown reduction");
    CYG_DO(cyg_lowering_op(l, CYG_KOP_scatter_elements, &p, sizeof p));
    return cyg_lowering_first(l, 3);
}

/* [B, C, H, W] seen in six dimensions: the block's two come out of C, or out of H and W. */
static cyg_status rule_blocks(cyg_lowering *l)
{
    static const int64_t dcr[] = {0, 3, 4, 1, 5, 2}, crd[] = {0, 1, 4, 2, 5, 3},
                         to_depth[] = {0, 3, 5, 1, 2, 4};
    const int64_t *d = cyg_lowering_in(l, 0)->dims;
    const int64_t n = cyg_node_int(l->node, CYG_ATTR_blocksize, 1);
    const bool is_crd = strcmp(cyg_node_string(l->node, CYG_ATTR_mode, "DCR"), "CRD") == 0;
    cyg_kp_transpose p = {.view_rank = 6};
    if (n < 1 || cyg_lowering_in(l, 0)->rank != 4)
        return cyg_lowering_unsupported(l, "blocksize below 1, or not four dimensions");
    if (l->node->op == CYG_OP_space_to_depth) {
        const int64_t view[] = {d[0], d[1], d[2] / n, n, d[3] / n, n};
        memcpy(p.view, view, sizeof view);
        memcpy(p.perm, to_depth, sizeof to_depth);
    } else {
        const int64_t depth = d[1] / n / n;
        const int64_t view[] = {d[0], is_crd ? depth : n, n, is_crd ? n : depth, d[2], d[3]};
        memcpy(p.view, view, sizeof view);
        memcpy(p.perm, is_crd ? crd : dcr, sizeof dcr);
    }
    CYG_DO(cyg_lowering_op(l, CYG_KOP_transpose, &p, sizeof p));
    return cyg_lowering_first(l, 1);
}

static cyg_status rule_trilu(cyg_lowering *l)
{
    const int64_t *k;
    size_t count;
    CYG_DO(cyg_lowering_ints(l, 1, &k, &count));
    const cyg_kp_trilu p = {.k = count > 0 ? k[0] : 0,
                            .upper = cyg_node_int(l->node, CYG_ATTR_upper, 1) != 0};
    CYG_DO(cyg_lowering_op(l, CYG_KOP_trilu, &p, sizeof p));
    return cyg_lowering_first(l, 1);
}

/* Only axes named in the operands are cut; a start is clamped as ONNX demands, the length is the
 * inferred output's. */
static cyg_status rule_slice(cyg_lowering *l)
{
    const cyg_value *x = cyg_lowering_in(l, 0);
    const int64_t *starts, *axes, *steps, *ends;
    size_t count, ends_count, axes_count, steps_count;
    CYG_DO(cyg_lowering_ints(l, 1, &starts, &count));
    CYG_DO(cyg_lowering_ints(l, 2, &ends, &ends_count));
    CYG_DO(cyg_lowering_ints(l, 3, &axes, &axes_count));
    CYG_DO(cyg_lowering_ints(l, 4, &steps, &steps_count));
    if (ends_count != count || (axes_count != 0 && axes_count != count) ||
        (steps_count != 0 && steps_count != count))
        return cyg_lowering_unsupported(l, "starts, ends, axes and steps differ in length");
    cyg_kp_slice p = {0};
    for (int i = 0; i < CYG_MAX_RANK; i++)
        p.step[i] = 1;
    for (size_t i = 0; i < count; i++) {
        const int64_t axis = cyg_lowering_axis(axes_count != 0 ? axes[i] : (int64_t)i, x->rank);
        const int64_t step = steps_count != 0 ? steps[i] : 1;
        if (axis < 0 || step == 0)
            return cyg_lowering_unsupported(l, "an axis is out of range or a step is zero");
        const int64_t dim = x->dims[axis];
        int64_t start = starts[i] < 0 && starts[i] >= -dim ? starts[i] + dim : starts[i];
        const int64_t last = step > 0 ? dim : dim - 1;
        start = start < 0 ? 0 : start > last ? last : start;
        p.start[axis] = start;
        p.step[axis] = step;
    }
    CYG_DO(cyg_lowering_op(l, CYG_KOP_slice, &p, sizeof p));
    return cyg_lowering_first(l, 1);
}

static cyg_status rule_pad(cyg_lowering *l)
{
    static const char *const modes[] = {"constant", "reflect", "edge", "wrap"};
    const cyg_value *x = cyg_lowering_in(l, 0);
    const int64_t *pads, *axes;
    size_t count, axes_count;
    CYG_DO(cyg_lowering_ints(l, 1, &pads, &count));
    CYG_DO(cyg_lowering_ints(l, 3, &axes, &axes_count));
    const size_t padded = axes_count != 0 ? axes_count : (size_t)x->rank;
    cyg_kp_pad p = {.mode = cyg_lowering_choice(cyg_node_string(l->node, CYG_ATTR_mode, "constant"),
                                                modes, CYG_COUNT(modes))};
    if (p.mode < 0 || count != 2 * padded)
        return cyg_lowering_unsupported(l,
                                        "unknown mode, or pads does not have two entries an axis");
    for (size_t i = 0; i < padded; i++) {
        const int64_t axis = cyg_lowering_axis(axes_count != 0 ? axes[i] : (int64_t)i, x->rank);
        if (axis < 0)
            return cyg_lowering_unsupported(l, "axis out of range");
        p.before[axis] = pads[i];
        p.after[axis] = pads[i + padded];
    }
    CYG_DO(cyg_lowering_op(l, CYG_KOP_pad, &p, sizeof p));
    const int operands[] = {0, 2};
    return cyg_lowering_operands(l, operands, 2);
}

static cyg_status plain(cyg_lowering *l, int32_t op)
{
    const cyg_kp_none p = {0};
    CYG_DO(cyg_lowering_op(l, op, &p, sizeof p));
    return cyg_lowering_first(l, 1);
}

static cyg_status rule_expand(cyg_lowering *l)
{
    return plain(l, CYG_KOP_expand);
}

static cyg_status rule_tile(cyg_lowering *l)
{
    return plain(l, CYG_KOP_tile);
}

static cyg_status rule_fill(cyg_lowering *l)
{
    cyg_kp_fill p = {0};
    const cyg_attr *a = cyg_node_attr(l->node, CYG_ATTR_value);
    if (a != NULL) {
        const cyg_value *v = cyg_val(l->g, a->u.tensor);
        const size_t size = cyg_type_size(v->type);
        if (!v->is_const || v->data == NULL || v->bytes < size || size > sizeof p.bits)
            return cyg_lowering_unsupported(l, "attribute value is not a tensor of one element");
        memcpy(&p.bits, v->data, size);
    }
    CYG_DO(cyg_lowering_op(l, CYG_KOP_fill, &p, sizeof p));
    return cyg_lowering_operands(l, NULL, 0);
}

/* Shape and Size know their answer: a constant copied into place. */
static cyg_status rule_shape(cyg_lowering *l)
{
    const cyg_value *x = cyg_lowering_in(l, 0);
    const cyg_kp_none none = {0};
    int64_t *data = CYG_NEW_ARRAY(l->arena, int64_t, CYG_MAX_RANK + 1);
    if (data == NULL)
        return CYG_FAIL(l->ctx, CYG_E_NOMEM, "out of memory");
    int64_t count = 0;
    if (!cyg_value_shape_known(x))
        return cyg_lowering_unsupported(l, "its input's shape is not known");
    if (l->node->op == CYG_OP_size) {
        data[count++] = cyg_value_elements(x);
    } else {
        int64_t start = cyg_node_int(l->node, CYG_ATTR_start, 0),
                end = cyg_node_int(l->node, CYG_ATTR_end, x->rank);
        start = start < 0 ? start + x->rank : start;
        end = end < 0 ? end + x->rank : end;
        for (int64_t i = start < 0 ? 0 : start; i < end && i < x->rank; i++)
            data[count++] = x->dims[i];
    }
    CYG_DO(cyg_lowering_op(l, CYG_KOP_copy, &none, sizeof none));
    CYG_DO(cyg_lowering_first(l, 1));
    cyg_lowering_constant(l, 0, CYG_TYPE_S64, count, data);
    return CYG_OK;
}

static cyg_status rule_gather_rows(cyg_lowering *l)
{
    const cyg_value *x = cyg_lowering_in(l, 0), *index = cyg_lowering_in(l, 1);
    const int64_t channels = x->dims[x->rank - 1], rows_out = cyg_value_elements(index);
    cyg_kp_gather_rows p = {.rows_in = cyg_node_int(l->node, CYG_ATTR_rows_in, 0),
                            .rows_out = rows_out};
    const int64_t total = channels > 0 ? cyg_value_elements(x) / channels : 0;
    if (p.rows_in < 1 || total % p.rows_in != 0)
        return cyg_lowering_unsupported(l, "the rows of x are not whole images of rows_in");
    p.images = total / p.rows_in;
    if (cyg_is_quantised(x)) /* the row of zeros is a row of zero points */
        memcpy(&p.fill_bits, &x->quant.zero_point, sizeof x->quant.zero_point);
    CYG_DO(cyg_lowering_op(l, CYG_KOP_gather_rows, &p, sizeof p));
    return cyg_lowering_first(l, 2);
}

cyg_lower_rule cyg_lower_move_rule(cyg_op op)
{
    switch ((int)op) {
    case CYG_OP_identity:
    case CYG_OP_reshape:
    case CYG_OP_flatten:
    case CYG_OP_squeeze:
    case CYG_OP_unsqueeze:
        return cyg_lowering_view;
    case CYG_OP_transpose:
        return rule_transpose;
    case CYG_OP_concat:
        return rule_concat;
    case CYG_OP_split:
        return rule_split;
    case CYG_OP_slice:
        return rule_slice;
    case CYG_OP_gather:
        return rule_gather;
    case CYG_OP_gather_elements:
        return rule_gather_elements;
    case CYG_OP_gather_nd:
        return rule_gather_nd;
    case CYG_OP_scatter_nd:
        return rule_scatter_nd;
    case CYG_OP_scatter_elements:
        return rule_scatter_elements;
    case CYG_OP_depth_to_space:
    case CYG_OP_space_to_depth:
        return rule_blocks;
    case CYG_OP_trilu:
        return rule_trilu;
    case CYG_OP_pad:
        return rule_pad;
    case CYG_OP_expand:
        return rule_expand;
    case CYG_OP_tile:
        return rule_tile;
    case CYG_OP_constant_of_shape:
        return rule_fill;
    case CYG_OP_shape:
    case CYG_OP_size:
        return rule_shape;
    case CYG_OP_gather_rows:
        return rule_gather_rows;
    default:
        return NULL;
    }
}
