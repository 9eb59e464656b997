/* The movement operators on tables of elements (elements.h): given the table of the operand, that
 * of the result.
 *
 * Almost all of them are strided reads, so one routine serves Transpose, Slice, Split and Expand;
 * Pad and the gathers have loops of their own. Shapes come from inference and are believed only as
 * far as they agree with the operands: constants from a file (slice bounds, indices, pads) are
 * checked before they address anything.
 *
 * Tables count in runs of elements (elements_parts.h). All that an operator has to know of that is
 * that the last dimension is so many runs: it sees shapes whose last dimension is divided, and a
 * position on the last axis is divided too. */
#include "pass/elements_parts.h"

#include <string.h>

/* out[i0, i1, ..] = in[base + sum i_k strides_k] */
static void read_strided(const int32_t *in, int64_t base, int rank, const int64_t *dims,
                         const int64_t *strides, int32_t *out)
{
    int64_t at[CYG_MAX_RANK] = {0}, offset = base, total = 1;
    for (int k = 0; k < rank; k++)
        total *= dims[k];
    const int64_t inner = rank > 0 ? dims[rank - 1] : 1, step = rank > 0 ? strides[rank - 1] : 0;
    for (int64_t i = 0; i < total; i += inner) {
        if (step == 1) /* channels stay together nearly always */
            memcpy(out + i, in + offset, (size_t)inner * sizeof *out);
        for (int64_t j = 0; step != 1 && j < inner; j++)
            out[i + j] = in[offset + j * step];
        for (int k = rank - 1; k-- > 0;) {
            offset += strides[k];
            if (++at[k] < dims[k])
                break;
            offset -= strides[k] * dims[k];
            at[k] = 0;
        }
    }
}

static void row_major(const cyg_value *v, int64_t *strides)
{
    int64_t stride = 1;
    for (int k = v->rank; k-- > 0;) {
        strides[k] = stride;
        stride *= v->dims[k];
    }
}
static bool eval_transpose(cyg_rw *rw, const cyg_node *n, const cyg_table *in, const cyg_value *x,
                           const cyg_value *y, cyg_table *out)
{
    (void)rw;
    const int64_t *perm;
    const size_t count = cyg_node_ints(n, CYG_ATTR_perm, &perm);
    int64_t strides[CYG_MAX_RANK], moved[CYG_MAX_RANK];
    if (x->rank != y->rank || (count != 0 && count != x->rank))
        return false;
    row_major(x, strides);
    for (int k = 0; k < x->rank; k++) {
        const int from = count == 0 ? x->rank - 1 - k : cyg_rw_axis(perm[k], x->rank);
        if (from < 0 || y->dims[k] != x->dims[from])
            return false;
        moved[k] = strides[from];
    }
    read_strided(in->at, 0, y->rank, y->dims, moved, out->at);
    return true;
}

/* Lent from scratch; axes and steps NULL where the node has none. */
static bool slice_bounds(cyg_rw *rw, const cyg_node *n, const int64_t **out_starts,
                         const int64_t **out_axes, const int64_t **out_steps, size_t *out_count)
{
    size_t axis_count = 0, step_count = 0;
    const cyg_value_id a = cyg_node_in(n, 3), s = cyg_node_in(n, 4);
    *out_axes = *out_steps = NULL;
    if (!cyg_rw_ints(rw, cyg_node_in(n, 1), out_starts, out_count) ||
        (!cyg_value_is_none(a) && !cyg_rw_ints(rw, a, out_axes, &axis_count)) ||
        (!cyg_value_is_none(s) && !cyg_rw_ints(rw, s, out_steps, &step_count)))
        return false;
    return (*out_axes == NULL || axis_count == *out_count) &&
           (*out_steps == NULL || step_count == *out_count);
}

/* A start on axis k of the operand, from 0 to its size. */
static int64_t slice_start(const cyg_rw *rw, const cyg_node *n, int k, int64_t start)
{
    const int64_t size = cyg_val(rw->g, n->in[0])->dims[k];
    const int64_t from = start < 0 ? start + size : start;
    return from < 0 ? 0 : from > size ? size : from;
}

static bool eval_slice(cyg_rw *rw, const cyg_node *n, const cyg_table *in, const cyg_value *x,
                       const cyg_value *y, cyg_table *out)
{
    const int64_t *starts, *axes, *steps;
    size_t count;
    int64_t strides[CYG_MAX_RANK], base = 0;
    if (x->rank != y->rank || !slice_bounds(rw, n, &starts, &axes, &steps, &count))
        return false;
    row_major(x, strides);
    for (size_t i = 0; i < count; i++) {
        const int k = cyg_rw_axis(axes == NULL ? (int64_t)i : axes[i], x->rank);
        const int64_t step = steps == NULL ? 1 : steps[i];
        if (k < 0 || step < 1) /* backwards slices are left alone */
            return false;
        const int64_t start = slice_start(rw, n, k, starts[i]) / (k == x->rank - 1 ? out->unit : 1);
        if (y->dims[k] > 0 && (y->dims[k] - 1 > (x->dims[k] - 1 - start) / step))
            return false;
        base += start * strides[k];
        strides[k] *= step;
    }
    read_strided(in->at, base, y->rank, y->dims, strides, out->at);
    return true;
}

static bool eval_split(cyg_rw *rw, cyg_value_id v, const cyg_node *n, const cyg_table *in,
                       const cyg_value *x, const cyg_value *y, cyg_table *out)
{
    int64_t strides[CYG_MAX_RANK], start = 0;
    const int axis = cyg_rw_axis(cyg_node_int(n, CYG_ATTR_axis, 0), x->rank);
    if (axis < 0 || x->rank != y->rank)
        return false;
    for (uint32_t i = 0; i < n->out_count && n->out[i].i != v.i; i++) {
        const cyg_value *o = cyg_val(rw->g, n->out[i]);
        if (o->rank != x->rank || o->dims[axis] < 0)
            return false;
        start += o->dims[axis];
    }
    row_major(x, strides);
    start /= axis == x->rank - 1 ? out->unit : 1;
    if (start + y->dims[axis] > x->dims[axis])
        return false;
    read_strided(in->at, start * strides[axis], y->rank, y->dims, strides, out->at);
    return true;
}

bool cyg_elements_expand(const cyg_table *in, const cyg_value *x, const cyg_value *y,
                         cyg_table *out)
{
    int64_t strides[CYG_MAX_RANK] = {0}, own[CYG_MAX_RANK];
    if (x->rank > y->rank)
        return false;
    row_major(x, own);
    for (int k = 0; k < x->rank; k++) {
        const int to = k + y->rank - x->rank;
        if (x->dims[k] != 1 && x->dims[k] != y->dims[to])
            return false;
        strides[to] = x->dims[k] == 1 ? 0 : own[k];
    }
    read_strided(in->at, 0, y->rank, y->dims, strides, out->at);
    return true;
}

static bool eval_pad(cyg_rw *rw, const cyg_node *n, const cyg_table *in, const cyg_value *x,
                     const cyg_value *y, cyg_table *out)
{
    int64_t before[CYG_MAX_RANK], after[CYG_MAX_RANK], strides[CYG_MAX_RANK],
        at[CYG_MAX_RANK] = {0};
    if (x->rank != y->rank || x->rank == 0 || !cyg_rw_pads(rw, n, x->rank, before, after))
        return false;
    row_major(x, strides);
    for (int64_t i = 0; i < out->count; i++) {
        int64_t offset = 0;
        bool inside = true;
        for (int k = 0; k < x->rank && inside; k++) {
            const int64_t from = at[k] - before[k];
            inside = from >= 0 && from < x->dims[k];
            offset += from * strides[k];
        }
        out->at[i] = inside ? in->at[offset] : -1;
        for (int k = y->rank; k-- > 0;) {
            if (++at[k] < y->dims[k])
                break;
            at[k] = 0;
        }
    }
    return true;
}

/* [outer, dim, inner] -> [outer, index.., inner] */
static bool eval_gather(cyg_rw *rw, const cyg_node *n, const cyg_table *in, const cyg_value *x,
                        cyg_table *out)
{
    const int64_t *index;
    size_t count;
    const int axis = cyg_rw_axis(cyg_node_int(n, CYG_ATTR_axis, 0), x->rank);
    if (axis < 0 || !cyg_rw_ints(rw, cyg_node_in(n, 1), &index, &count))
        return false;
    int64_t outer = 1, inner = 1;
    for (int k = 0; k < x->rank; k++) {
        outer *= k < axis ? x->dims[k] : 1;
        inner *= k > axis ? x->dims[k] : 1;
    }
    const int64_t dim = x->dims[axis];
    if (outer * inner * (int64_t)count != out->count)
        return false;
    int32_t *to = out->at;
    for (int64_t o = 0; o < outer; o++)
        for (size_t i = 0; i < count; i++, to += inner) {
            const int64_t from = index[i] < 0 ? index[i] + dim : index[i];
            if (from < 0 || from >= dim)
                return false;
            memcpy(to, in->at + (o * dim + from) * inner, (size_t)inner * sizeof *to);
        }
    return true;
}

/* indices [.., k] into the first k axes (batch_dims 0). */
static bool eval_gather_nd(cyg_rw *rw, const cyg_node *n, const cyg_table *in, const cyg_value *x,
                           cyg_table *out)
{
    const int64_t *index;
    size_t count;
    const int64_t k = cyg_rw_last_dim(rw, cyg_node_in(n, 1));
    if (!cyg_rw_ints(rw, cyg_node_in(n, 1), &index, &count) || k < 1 || k > x->rank ||
        cyg_node_int(n, CYG_ATTR_batch_dims, 0) != 0)
        return false;
    int64_t inner = 1;
    for (int i = (int)k; i < x->rank; i++)
        inner *= x->dims[i];
    if ((int64_t)count / k * inner != out->count)
        return false;
    for (int64_t t = 0; t < (int64_t)count / k; t++) {
        int64_t offset = 0;
        for (int64_t i = 0; i < k; i++) {
            const int64_t from =
                index[t * k + i] < 0 ? index[t * k + i] + x->dims[i] : index[t * k + i];
            if (from < 0 || from >= x->dims[i])
                return false;
            offset = offset * x->dims[i] + from;
        }
        memcpy(out->at + t * inner, in->at + offset * inner, (size_t)inner * sizeof *out->at);
    }
    return true;
}

static bool eval_gather_rows(cyg_rw *rw, const cyg_node *n, const cyg_table *in, const cyg_value *x,
                             cyg_table *out)
{
    const int64_t *index;
    size_t count;
    const int64_t rows_in = cyg_node_int(n, CYG_ATTR_rows_in, 0);
    const int64_t channels = x->rank > 0 ? x->dims[x->rank - 1] : 0;
    if (!cyg_rw_ints(rw, cyg_node_in(n, 1), &index, &count) || rows_in < 1 || channels < 1 ||
        in->count % (rows_in * channels) != 0)
        return false;
    const int64_t images = in->count / (rows_in * channels);
    if (images * (int64_t)count * channels != out->count)
        return false;
    int32_t *to = out->at;
    for (int64_t b = 0; b < images; b++)
        for (size_t i = 0; i < count; i++, to += channels) {
            if (index[i] >= rows_in)
                return false;
            if (index[i] < 0)
                memset(to, 0xff, (size_t)channels * sizeof *to);
            else
                memcpy(to, in->at + (b * rows_in + index[i]) * channels,
                       (size_t)channels * sizeof *to);
        }
    return true;
}

/* ---- runs ---- */

/* The largest part of `unit` that all bounds on the last axis are multiples of. */
static int64_t slice_unit(cyg_rw *rw, const cyg_node *n, int last, int64_t unit)
{
    const int64_t *starts, *axes, *steps;
    size_t count;
    if (!slice_bounds(rw, n, &starts, &axes, &steps, &count))
        return 1;
    for (size_t i = 0; i < count; i++) {
        if (cyg_rw_axis(axes == NULL ? (int64_t)i : axes[i], last + 1) != last)
            continue;
        if (steps != NULL && steps[i] != 1)
            return 1;
        unit = cyg_common_divisor(unit, slice_start(rw, n, last, starts[i]));
    }
    return unit;
}

static int64_t split_unit(const cyg_rw *rw, const cyg_node *n, int last, int64_t unit)
{
    if (cyg_rw_axis(cyg_node_int(n, CYG_ATTR_axis, 0), last + 1) != last)
        return unit;
    for (uint32_t i = 0; i < n->out_count; i++) {
        const cyg_value *o = cyg_val(rw->g, n->out[i]);
        if (o->rank != last + 1 || o->dims[last] < 1)
            return 1;
        unit = cyg_common_divisor(unit, o->dims[last]);
    }
    return unit;
}

int64_t cyg_elements_unit(cyg_rw *rw, cyg_value_id v, const cyg_node *n, int64_t unit)
{
    const cyg_value *x = cyg_val(rw->g, n->in[0]), *y = cyg_val(rw->g, v);
    const int last = x->rank - 1;
    if (x->rank == 0 || x->rank == CYG_RANK_UNKNOWN || y->rank == 0 ||
        y->rank == CYG_RANK_UNKNOWN || x->dims[last] < 1 || y->dims[y->rank - 1] < 1)
        return 1;
    const bool same = x->dims[last] == y->dims[y->rank - 1];
    const int64_t *perm;
    int64_t before[CYG_MAX_RANK], after[CYG_MAX_RANK];
    unit = cyg_common_divisor(cyg_common_divisor(unit, x->dims[last]), y->dims[y->rank - 1]);
    switch ((int)n->op) {
    case CYG_OP_transpose:
        return cyg_node_ints(n, CYG_ATTR_perm, &perm) == x->rank &&
                       cyg_rw_axis(perm[last], x->rank) == last
                   ? unit
                   : 1;
    case CYG_OP_slice:
        return slice_unit(rw, n, last, unit);
    case CYG_OP_split:
        return split_unit(rw, n, last, unit);
    case CYG_OP_pad:
        return x->rank == y->rank && cyg_rw_pads(rw, n, x->rank, before, after) &&
                       before[last] == 0 && after[last] == 0
                   ? unit
                   : 1;
    case CYG_OP_gather:
        return same && cyg_rw_axis(cyg_node_int(n, CYG_ATTR_axis, 0), x->rank) != last ? unit : 1;
    case CYG_OP_gather_nd:
        return same && cyg_rw_last_dim(rw, cyg_node_in(n, 1)) <= last ? unit : 1;
    case CYG_OP_expand:
    case CYG_OP_gather_rows:
        return same ? unit : 1;
    default:
        return 1;
    }
}

/* v as its table sees it: the last dimension in runs. */
static cyg_value in_runs(const cyg_value *v, int64_t unit)
{
    cyg_value seen = *v;
    if (v->rank > 0 && v->rank != CYG_RANK_UNKNOWN)
        seen.dims[v->rank - 1] /= unit;
    return seen;
}

bool cyg_elements_move(cyg_rw *rw, cyg_value_id v, const cyg_node *n, const cyg_table *in,
                       cyg_table *out)
{
    const cyg_value whole_x = in_runs(cyg_val(rw->g, n->in[0]), out->unit),
                    whole_y = in_runs(cyg_val(rw->g, v), out->unit);
    const cyg_value *x = &whole_x, *y = &whole_y;
    switch ((int)n->op) {
    case CYG_OP_transpose:
        return eval_transpose(rw, n, in, x, y, out);
    case CYG_OP_slice:
        return eval_slice(rw, n, in, x, y, out);
    case CYG_OP_split:
        return eval_split(rw, v, n, in, x, y, out);
    case CYG_OP_expand:
        return cyg_elements_expand(in, x, y, out);
    case CYG_OP_pad:
        return eval_pad(rw, n, in, x, y, out);
    case CYG_OP_gather:
        return eval_gather(rw, n, in, x, out);
    case CYG_OP_gather_nd:
        return eval_gather_nd(rw, n, in, x, out);
    case CYG_OP_gather_rows:
        return eval_gather_rows(rw, n, in, x, out);
    default:
        return false;
    }
}
