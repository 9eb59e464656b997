/* Shape rules of the operators that pick, join and repeat elements. */
#include "ir/shape.h"

#include <math.h>
#include <string.h>

#include "base/bytes.h"
#include "base/checked.h"

cyg_status cyg_shape_rule_concat(cyg_infer *s)
{
    cyg_shape y = cyg_infer_shape_in(s, 0);
    int axis = 0;
    for (uint32_t i = 0; i < s->n->in_count; i++) {
        const cyg_shape x = cyg_infer_shape_in(s, i);
        CYG_DO(cyg_infer_same_type(s, 0, i));
        if (x.rank == CYG_RANK_UNKNOWN || y.rank == CYG_RANK_UNKNOWN)
            return cyg_infer_set_unknown(s, y.type);
        if (i == 0) {
            CYG_DO(cyg_infer_axis(s, cyg_node_int(s->n, CYG_ATTR_axis, 0), x.rank, &axis));
            continue;
        }
        if (x.rank != y.rank)
            return CYG_INFER_FAIL(s, "input %u: expected rank %d, found %d", i, y.rank, x.rank);
        for (int d = 0; d < y.rank; d++) {
            if (d != axis)
                CYG_DO(cyg_infer_same_dim(s, "size of an input", y.dims[d], x.dims[d], &y.dims[d]));
            else if (y.dims[d] < 0 || x.dims[d] < 0)
                y.dims[d] = -1;
            else if (!cyg_add_i64(y.dims[d], x.dims[d], &y.dims[d]))
                return CYG_INFER_FAIL(s, "input %u: the size overflows", i);
        }
    }
    return cyg_infer_set(s, 0, &y);
}

cyg_status cyg_shape_rule_split(cyg_infer *s)
{
    const cyg_shape x = cyg_infer_shape_in(s, 0);
    cyg_shape y = x;
    int axis = 0;
    cyg_ints sizes;
    const bool sized = cyg_infer_ints(s, 1, &sizes);
    if (x.rank != CYG_RANK_UNKNOWN)
        CYG_DO(cyg_infer_axis(s, cyg_node_int(s->n, CYG_ATTR_axis, 0), x.rank, &axis));
    if (sized && sizes.count != s->n->out_count)
        return CYG_INFER_FAIL(s, "expected %u sizes, one an output, found %u", s->n->out_count,
                              sizes.count);
    const int64_t whole = x.rank == CYG_RANK_UNKNOWN ? -1 : x.dims[axis];
    const int64_t parts = s->n->out_count;
    const int64_t chunk = whole < 0 ? -1 : whole / parts + (whole % parts != 0);
    int64_t total = 0;
    for (uint32_t i = 0; i < s->n->out_count; i++) {
        int64_t part = -1;
        if (sized && sizes.known[i])
            part = sizes.v[i];
        else if (cyg_infer_in(s, 1) == NULL && whole >= 0)
            part = chunk < whole - total ? chunk : whole - total;
        if (part < -1 || (part == -1 && sized && sizes.known[i]))
            return CYG_INFER_FAIL(s, "size %lld of output %u", (long long)part, i);
        if (part >= 0 && !cyg_add_i64(total, part, &total))
            return CYG_INFER_FAIL(s, "the sizes up to output %u overflow", i);
        if (y.rank != CYG_RANK_UNKNOWN)
            y.dims[axis] = part;
        CYG_DO(cyg_infer_set(s, i, &y));
    }
    if (sized && cyg_ints_all_known(&sizes) && whole >= 0 && total != whole)
        return CYG_INFER_FAIL(s, "expected sizes that sum to %lld, found %lld", (long long)whole,
                              (long long)total);
    return CYG_OK;
}

/* Length of start:end:step over `size`, ONNX rules (clamped, negative counts from the end). */
static int64_t slice_length(int64_t size, int64_t start, int64_t end, int64_t step)
{
    if (size == 0)
        return 0;
    start = start < 0 ? start + size : start;
    end = end < 0 ? end + size : end;
    if (step > 0) {
        start = start < 0 ? 0 : start > size ? size : start;
        end = end < 0 ? 0 : end > size ? size : end;
        return end > start ? (end - start - 1) / step + 1 : 0;
    }
    start = start < 0 ? 0 : start > size - 1 ? size - 1 : start;
    end = end < -1 ? -1 : end > size - 1 ? size - 1 : end;
    return start > end ? (start - end - 1) / -step + 1 : 0;
}

cyg_status cyg_shape_rule_slice(cyg_infer *s)
{
    const cyg_shape x = cyg_infer_shape_in(s, 0);
    cyg_ints start, end, axes, step;
    if (x.rank == CYG_RANK_UNKNOWN)
        return cyg_infer_set_unknown(s, x.type);
    cyg_shape y = x;
    const bool bounds = cyg_infer_ints(s, 1, &start) && cyg_infer_ints(s, 2, &end);
    const bool has_axes = cyg_infer_ints(s, 3, &axes), has_step = cyg_infer_ints(s, 4, &step);
    if (!bounds || (cyg_infer_in(s, 3) != NULL && (!has_axes || !cyg_ints_all_known(&axes))) ||
        (cyg_infer_in(s, 4) != NULL && !has_step)) {
        for (int i = 0; i < y.rank; i++)
            y.dims[i] = -1;
        return cyg_infer_set(s, 0, &y);
    }
    if (start.count != end.count || (has_axes && axes.count != start.count) ||
        (has_step && step.count != start.count) || (!has_axes && start.count > x.rank))
        return CYG_INFER_FAIL(s,
                              "starts, ends, axes and steps differ in length (%u, %u) or "
                              "exceed the rank",
                              start.count, end.count);
    for (uint32_t i = 0; i < start.count; i++) {
        int axis = (int)i;
        if (has_axes)
            CYG_DO(cyg_infer_axis(s, axes.v[i], x.rank, &axis));
        const int64_t by = has_step ? step.v[i] : 1;
        const bool known = start.known[i] && end.known[i] && (!has_step || step.known[i]);
        if (known && (by == 0 || by == INT64_MIN))
            return CYG_INFER_FAIL(s, "step %lld", (long long)by);
        const bool all = known && start.v[i] == 0 && end.v[i] >= INT32_MAX && by == 1;
        if (known && x.dims[axis] >= 0)
            y.dims[axis] = slice_length(x.dims[axis], start.v[i], end.v[i], by);
        else if (!all)
            y.dims[axis] = -1;
    }
    return cyg_infer_set(s, 0, &y);
}

cyg_status cyg_shape_rule_gather(cyg_infer *s)
{
    const cyg_shape x = cyg_infer_shape_in(s, 0), index = cyg_infer_shape_in(s, 1);
    if (x.rank == CYG_RANK_UNKNOWN || index.rank == CYG_RANK_UNKNOWN)
        return cyg_infer_set_unknown(s, x.type);
    int axis;
    CYG_DO(cyg_infer_axis(s, cyg_node_int(s->n, CYG_ATTR_axis, 0), x.rank, &axis));
    if (x.rank - 1 + index.rank > CYG_MAX_RANK)
        return CYG_INFER_FAIL(s, "the result's rank %d is above %d", x.rank - 1 + index.rank,
                              CYG_MAX_RANK);
    cyg_shape y = {.type = x.type};
    for (int i = 0; i < axis; i++)
        y.dims[y.rank++] = x.dims[i];
    for (int i = 0; i < index.rank; i++)
        y.dims[y.rank++] = index.dims[i];
    for (int i = axis + 1; i < x.rank; i++)
        y.dims[y.rank++] = x.dims[i];
    return cyg_infer_set(s, 0, &y);
}

cyg_status cyg_shape_rule_gather_elements(cyg_infer *s)
{
    const cyg_shape x = cyg_infer_shape_in(s, 0);
    cyg_shape y = cyg_infer_shape_in(s, 1);
    if (x.rank != CYG_RANK_UNKNOWN && y.rank != CYG_RANK_UNKNOWN && x.rank != y.rank)
        return CYG_INFER_FAIL(s, "indices: expected rank %d, found %d", x.rank, y.rank);
    y.type = x.type;
    return cyg_infer_set(s, 0, &y);
}

cyg_status cyg_shape_rule_gather_nd(cyg_infer *s)
{
    const cyg_shape x = cyg_infer_shape_in(s, 0), index = cyg_infer_shape_in(s, 1);
    const int64_t batch = cyg_node_int(s->n, CYG_ATTR_batch_dims, 0);
    if (x.rank == CYG_RANK_UNKNOWN || index.rank == CYG_RANK_UNKNOWN || index.rank == 0 ||
        index.dims[index.rank - 1] < 0)
        return cyg_infer_set_unknown(s, x.type);
    const int64_t depth = index.dims[index.rank - 1];
    if (batch < 0 || batch >= x.rank || batch >= index.rank || depth < 1 || depth > x.rank - batch)
        return CYG_INFER_FAIL(s, "batch_dims %lld and index depth %lld do not fit %s",
                              (long long)batch, (long long)depth, cyg_shape_str(s->g, &x).s);
    cyg_shape y = {.type = x.type};
    if (index.rank - 1 + x.rank - batch - depth > CYG_MAX_RANK)
        return CYG_INFER_FAIL(s, "the result's rank is above %d", CYG_MAX_RANK);
    for (int i = 0; i < index.rank - 1; i++)
        y.dims[y.rank++] = index.dims[i];
    for (int i = (int)(batch + depth); i < x.rank; i++)
        y.dims[y.rank++] = x.dims[i];
    return cyg_infer_set(s, 0, &y);
}

cyg_status cyg_shape_rule_scatter_nd(cyg_infer *s)
{
    CYG_DO(cyg_infer_same_type(s, 0, 2));
    return cyg_shape_rule_same(s);
}

cyg_status cyg_shape_rule_pad(cyg_infer *s)
{
    const cyg_shape x = cyg_infer_shape_in(s, 0);
    cyg_ints pads, axes;
    if (x.rank == CYG_RANK_UNKNOWN)
        return cyg_infer_set_unknown(s, x.type);
    cyg_shape y = x;
    const bool has_axes = cyg_infer_ints(s, 3, &axes);
    if (!cyg_infer_ints(s, 1, &pads) ||
        (cyg_infer_in(s, 3) != NULL && (!has_axes || !cyg_ints_all_known(&axes)))) {
        for (int i = 0; i < y.rank; i++)
            y.dims[i] = -1;
        return cyg_infer_set(s, 0, &y);
    }
    const uint32_t count = has_axes ? axes.count : x.rank;
    if (pads.count != 2 * count)
        return CYG_INFER_FAIL(s, "pads: expected %u numbers, found %u", 2 * count, pads.count);
    for (uint32_t i = 0; i < count; i++) {
        int axis = (int)i;
        if (has_axes)
            CYG_DO(cyg_infer_axis(s, axes.v[i], x.rank, &axis));
        const int64_t before = pads.v[i], after = pads.v[count + i];
        if (!pads.known[i] || !pads.known[count + i])
            y.dims[axis] = -1;
        else if (x.dims[axis] < 0)
            y.dims[axis] = before == 0 && after == 0 ? x.dims[axis] : -1;
        else if (!cyg_add_i64(x.dims[axis], before, &y.dims[axis]) ||
                 !cyg_add_i64(y.dims[axis], after, &y.dims[axis]) || y.dims[axis] < 0)
            return CYG_INFER_FAIL(s, "pads %lld and %lld do not fit axis %d of %s",
                                  (long long)before, (long long)after, axis,
                                  cyg_shape_str(s->g, &x).s);
    }
    return cyg_infer_set(s, 0, &y);
}

/* A shape given as contents; false when not even its rank is known. */
static bool shape_from_ints(const cyg_infer *s, uint32_t i, cyg_shape *out)
{
    cyg_ints want;
    if (!cyg_infer_ints(s, i, &want) || want.rank != 1 || want.count > CYG_MAX_RANK)
        return false;
    out->rank = (uint8_t)want.count;
    for (uint32_t d = 0; d < want.count; d++)
        out->dims[d] = want.v[d];
    return true;
}

static cyg_status check_sizes(cyg_infer *s, uint32_t i)
{
    cyg_ints want;
    if (!cyg_infer_ints(s, i, &want))
        return CYG_OK;
    for (uint32_t d = 0; d < want.count; d++)
        if (want.known[d] && want.v[d] < 0)
            return CYG_INFER_FAIL(s, "input %u: %lld at position %u", i, (long long)want.v[d], d);
    if (want.count > CYG_MAX_RANK)
        return CYG_INFER_FAIL(s, "input %u: rank %u is above %d", i, want.count, CYG_MAX_RANK);
    return CYG_OK;
}

cyg_status cyg_shape_rule_expand(cyg_infer *s)
{
    const cyg_shape x = cyg_infer_shape_in(s, 0);
    cyg_shape to = {.rank = CYG_RANK_UNKNOWN}, y;
    CYG_DO(check_sizes(s, 1));
    if (!shape_from_ints(s, 1, &to))
        return cyg_infer_set_unknown(s, x.type);
    CYG_DO(cyg_infer_broadcast(s, &x, &to, &y));
    return cyg_infer_set(s, 0, &y);
}

cyg_status cyg_shape_rule_tile(cyg_infer *s)
{
    const cyg_shape x = cyg_infer_shape_in(s, 0);
    cyg_ints repeats;
    if (x.rank == CYG_RANK_UNKNOWN)
        return cyg_infer_set_unknown(s, x.type);
    cyg_shape y = x;
    CYG_DO(check_sizes(s, 1));
    const bool known = cyg_infer_ints(s, 1, &repeats);
    if (known && repeats.count != x.rank)
        return CYG_INFER_FAIL(s, "repeats: expected %d numbers, found %u", x.rank, repeats.count);
    for (int i = 0; i < y.rank; i++) {
        if (known && repeats.known[i] && repeats.v[i] == 1)
            continue;
        if (!known || !repeats.known[i] || x.dims[i] < 0)
            y.dims[i] = -1;
        else if (!cyg_mul_i64(x.dims[i], repeats.v[i], &y.dims[i]))
            return CYG_INFER_FAIL(s, "axis %d: the size overflows", i);
    }
    return cyg_infer_set(s, 0, &y);
}

/* Elements of start, start + delta, ... before limit. */
static cyg_status range_count(cyg_infer *s, cyg_type type, int64_t *out)
{
    cyg_ints v[3];
    double f[3];
    *out = -1;
    for (uint32_t i = 0; i < 3; i++) {
        if (type == CYG_TYPE_F32 || type == CYG_TYPE_F64) {
            const void *p = cyg_infer_bytes(s, i);
            if (p == NULL)
                return CYG_OK;
            f[i] = type == CYG_TYPE_F32 ? (double)cyg_load_f32(p) : cyg_load_f64(p);
        } else if (!cyg_infer_ints(s, i, &v[i]) || v[i].count != 1 || !v[i].known[0]) {
            return CYG_OK;
        }
    }
    if (type == CYG_TYPE_F32 || type == CYG_TYPE_F64) {
        const double n = ceil((f[1] - f[0]) / f[2]);
        if (f[2] == 0.0 || !(n < 1e15))
            return CYG_INFER_FAIL(s, "delta %g does not lead from %g to %g", f[2], f[0], f[1]);
        *out = n > 0.0 ? (int64_t)n : 0;
        return CYG_OK;
    }
    const int64_t start = v[0].v[0], limit = v[1].v[0], delta = v[2].v[0];
    int64_t span;
    if (delta == 0 || delta == INT64_MIN || __builtin_sub_overflow(limit, start, &span))
        return CYG_INFER_FAIL(s, "delta %lld does not lead from %lld to %lld", (long long)delta,
                              (long long)start, (long long)limit);
    if (span == 0 || (span > 0) != (delta > 0))
        *out = 0;
    else
        *out = delta > 0 ? (span - 1) / delta + 1 : (span + 1) / delta + 1;
    return CYG_OK;
}

cyg_status cyg_shape_rule_range(cyg_infer *s)
{
    const cyg_shape start = cyg_infer_shape_in(s, 0);
    cyg_shape y = {.type = start.type, .rank = 1};
    CYG_DO(cyg_infer_same_type(s, 0, 1));
    CYG_DO(cyg_infer_same_type(s, 0, 2));
    CYG_DO(range_count(s, start.type, &y.dims[0]));
    return cyg_infer_set(s, 0, &y);
}

cyg_status cyg_shape_rule_constant_of_shape(cyg_infer *s)
{
    cyg_shape y = {.type = CYG_TYPE_F32, .rank = CYG_RANK_UNKNOWN};
    const cyg_attr *value = cyg_node_attr(s->n, CYG_ATTR_value);
    if (value != NULL && value->kind == CYG_KIND_TENSOR && value->u.tensor.i < s->g->value_count)
        y.type = cyg_val(s->g, value->u.tensor)->type;
    CYG_DO(check_sizes(s, 0));
    if (!shape_from_ints(s, 0, &y))
        y.rank = CYG_RANK_UNKNOWN;
    return cyg_infer_set(s, 0, &y);
}
