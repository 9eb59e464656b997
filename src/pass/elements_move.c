/* The movement operators on tables of elements (elements.h): given the table of the operand, that
 * of the result.
 *
 * Almost all of them are strided reads, so one routine serves Transpose, Slice, Split and Expand;
 * Pad and the gathers have loops of their own. Shapes come from inference and are believed only as
 * far as they agree with the operands: constants from a file (slice bounds, indices, pads) are
 * checked before they address anything. */
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

static bool eval_slice(cyg_rw *rw, const cyg_node *n, const cyg_table *in, const cyg_value *x,
                       const cyg_value *y, cyg_table *out)
{
    const int64_t *starts, *axes = NULL, *steps = NULL;
    size_t count, axis_count = 0, step_count = 0;
    int64_t strides[CYG_MAX_RANK], base = 0;
    if (!cyg_rw_ints(rw, cyg_node_in(n, 1), &starts, &count) || x->rank != y->rank)
        return false;
    const cyg_value_id a = cyg_node_in(n, 3), s = cyg_node_in(n, 4);
    if ((!cyg_value_is_none(a) && !cyg_rw_ints(rw, a, &axes, &axis_count)) ||
        (!cyg_value_is_none(s) && !cyg_rw_ints(rw, s, &steps, &step_count)) ||
        (axes != NULL && axis_count != count) || (steps != NULL && step_count != count))
        return false;
    row_major(x, strides);
    for (size_t i = 0; i < count; i++) {
        const int k = cyg_rw_axis(axes == NULL ? (int64_t)i : axes[i], x->rank);
        const int64_t step = steps == NULL ? 1 : steps[i];
        if (k < 0 || step < 1) /* backwards slices are left alone */
            return false;
        int64_t start = starts[i] < 0 ? starts[i] + x->dims[k] : starts[i];
        start = start < 0 ? 0 : start > x->dims[k] ? x->dims[k] : start;
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

bool cyg_elements_move(cyg_rw *rw, cyg_value_id v, const cyg_node *n, const cyg_table *in,
                       cyg_table *out)
{
    const cyg_value *x = cyg_val(rw->g, n->in[0]), *y = cyg_val(rw->g, v);
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
