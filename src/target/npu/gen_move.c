/* Steps that only move bytes: strided copies inside the OCM, or the address generation of a load or
 * store where one side lies in the DDR. A copy is cut along its outermost axis, so that neighbours
 * can start early. */
#include <string.h>

#include "target/npu/legal.h"

/* Bytes of a piece: starting costs little beside moving these. No OCM is so small that less helps.
 */
enum { PIECE = 65536, LEAST_PIECE = 2048 };

static int64_t piece_bytes(const cyg_npu_gen *g)
{
    const int64_t bytes = cyg_npu_tighten(g, PIECE);
    return bytes > LEAST_PIECE ? bytes : LEAST_PIECE;
}

/* Window x of `from` to window y of `to`, equal shapes, in pieces: along the outermost axis, inside
 * it along the next when one position of it is too much. */
static cyg_status move_window(cyg_npu_gen *g, uint32_t from, const cyg_npu_view *x, uint32_t to,
                              const cyg_npu_view *y)
{
    const int64_t bytes = (int64_t)cyg_npu_view_bytes(x), limit = piece_bytes(g);
    int axis = 0;
    while (axis < x->rank && x->dims[axis] == 1)
        axis++;
    if (bytes == 0)
        return CYG_OK;
    if (axis == x->rank || bytes <= limit)
        return cyg_npu_move(g, from, x, to, y);
    const int64_t each = bytes / x->dims[axis], step = each < limit ? limit / each : 1;
    for (int64_t at = 0; at < x->dims[axis]; at += step) {
        cyg_npu_view a = *x, b = *y;
        a.dims[axis] = b.dims[axis] = x->dims[axis] - at < step ? x->dims[axis] - at : step;
        a.offset += (uint64_t)(at * a.strides[axis]);
        b.offset += (uint64_t)(at * b.strides[axis]);
        CYG_DO(move_window(g, from, &a, to, &b));
    }
    return CYG_OK;
}

cyg_status cyg_npu_gen_copy(cyg_npu_gen *g, const cyg_step *s)
{
    const cyg_tensor *y = cyg_npu_tensor(g, s->out[0]);
    const int64_t n = cyg_tensor_elements(y), c = y->rank > 0 ? y->dims[y->rank - 1] : 1;
    if (n == 0)
        return CYG_OK;
    const cyg_npu_view all = cyg_npu_rows(y->type, n / c, c, c, 0);
    return move_window(g, s->in[0], &all, s->out[0], &all);
}

/* Axes that stay neighbours merge, axes of length 1 go: what is left in x's strides for y's axes.
 */
int cyg_npu_transpose_axes(const cyg_kp_transpose *p, const cyg_tensor *x, int64_t *dims,
                           int64_t *strides)
{
    int64_t in[CYG_MAX_RANK], steps[CYG_MAX_RANK], stride = 1;
    const int rank = p->view_rank > 0 ? (int)p->view_rank : x->rank;
    int n = 0;
    for (int i = rank - 1; i >= 0; i--) {
        in[i] = p->view_rank > 0 ? p->view[i] : x->dims[i];
        steps[i] = stride;
        stride *= in[i];
    }
    for (int i = 0; i < rank; i++) {
        const int64_t d = in[p->perm[i]], s = steps[p->perm[i]];
        if (d == 1)
            continue;
        if (n > 0 && strides[n - 1] == s * d) {
            dims[n - 1] *= d;
            strides[n - 1] = s;
        } else {
            dims[n] = d;
            strides[n++] = s;
        }
    }
    if (n == 0) {
        dims[0] = strides[0] = 1;
        n = 1;
    }
    return n;
}

cyg_status cyg_npu_gen_transpose(cyg_npu_gen *g, const cyg_step *s)
{
    const cyg_tensor *x = cyg_npu_tensor(g, s->in[0]);
    const int64_t size = cyg_npu_type_bytes(x->type);
    int64_t dims[CYG_MAX_RANK], strides[CYG_MAX_RANK];
    const int rank = cyg_npu_transpose_axes(s->params, x, dims, strides);
    cyg_npu_view y = cyg_npu_dense(x->type, rank, dims, 0), from = y;
    for (int i = 0; i < rank; i++)
        from.strides[i] = strides[i] * size;
    return move_window(g, s->in[0], &from, s->out[0], &y);
}

/* ---- parts along one axis
 * ---------------------------------------------------------------------------------------- */

/* t seen as [outer, axis, inner]. */
static cyg_npu_view three(const cyg_tensor *t, int64_t axis)
{
    int64_t dims[] = {1, t->dims[axis], 1};
    for (int i = 0; i < t->rank; i++)
        if (i != axis)
            dims[i < axis ? 0 : 2] *= t->dims[i];
    return cyg_npu_dense(t->type, 3, dims, 0);
}

/* Moves part [of the whole's axis, from `at`] one way or the other. */
static cyg_status move_part(cyg_npu_gen *g, uint32_t whole, uint32_t part, int64_t axis, int64_t at,
                            bool join)
{
    const cyg_tensor *w = cyg_npu_tensor(g, whole), *p = cyg_npu_tensor(g, part);
    cyg_npu_view window = three(w, axis);
    const cyg_npu_view all = three(p, axis);
    window.dims[1] = p->dims[axis];
    window.offset = (uint64_t)(at * window.strides[1]);
    return join ? move_window(g, part, &all, whole, &window)
                : move_window(g, whole, &window, part, &all);
}

cyg_status cyg_npu_gen_concat(cyg_npu_gen *g, const cyg_step *s)
{
    const int64_t axis = ((const cyg_kp_axis *)s->params)->axis;
    int64_t at = 0;
    for (uint32_t i = 0; i < s->in_count; i++) {
        CYG_DO(move_part(g, s->out[0], s->in[i], axis, at, true));
        at += cyg_npu_tensor(g, s->in[i])->dims[axis];
    }
    return CYG_OK;
}

cyg_status cyg_npu_gen_split(cyg_npu_gen *g, const cyg_step *s)
{
    const int64_t axis = ((const cyg_kp_axis *)s->params)->axis;
    int64_t at = 0;
    for (uint32_t i = 0; i < s->out_count; i++) {
        CYG_DO(move_part(g, s->in[0], s->out[i], axis, at, false));
        at += cyg_npu_tensor(g, s->out[i])->dims[axis];
    }
    return CYG_OK;
}

cyg_status cyg_npu_gen_slice(cyg_npu_gen *g, const cyg_step *s)
{
    const cyg_kp_slice *p = s->params;
    const cyg_tensor *x = cyg_npu_tensor(g, s->in[0]), *y = cyg_npu_tensor(g, s->out[0]);
    const cyg_npu_view to = cyg_npu_dense(y->type, y->rank, y->dims, 0);
    cyg_npu_view from = cyg_npu_dense(x->type, x->rank, x->dims, 0);
    for (int i = 0; i < x->rank; i++) {
        from.offset += (uint64_t)(p->start[i] * from.strides[i]);
        from.dims[i] = y->dims[i];
        if (y->dims[i] > 1)
            from.strides[i] *= p->step[i];
    }
    return move_window(g, s->in[0], &from, s->out[0], &to);
}

/* A copy for each position of the axes along which x repeats. */
cyg_status cyg_npu_gen_expand(cyg_npu_gen *g, const cyg_step *s)
{
    const cyg_tensor *x = cyg_npu_tensor(g, s->in[0]), *y = cyg_npu_tensor(g, s->out[0]);
    int64_t dims[CYG_MAX_RANK] = {0}, times = 1;
    for (int i = 0; i < y->rank; i++) {
        dims[i] = i < y->rank - x->rank ? 1 : x->dims[i - (y->rank - x->rank)];
        times *= y->dims[i] / dims[i];
    }
    const cyg_npu_view from = cyg_npu_dense(x->type, y->rank, dims, 0),
                       all = cyg_npu_dense(y->type, y->rank, y->dims, 0);
    for (int64_t k = 0; k < times; k++) {
        cyg_npu_view to = all;
        int64_t rest = k;
        for (int i = y->rank - 1; i >= 0; i--) {
            const int64_t n = y->dims[i] / dims[i];
            to.offset += (uint64_t)(rest % n * to.strides[i]); /* n > 1 only where x has one */
            to.dims[i] = dims[i];
            rest /= n;
        }
        CYG_DO(move_window(g, s->in[0], &from, s->out[0], &to));
    }
    return CYG_OK;
}

/* ---- by index
 * ----------------------------------------------------------------------------------------------------
 */

/* Index i of a constant table. */
static int64_t index_at(const cyg_tensor *t, int64_t i)
{
    return t->type == CYG_TYPE_S32 ? ((const int32_t *)t->data)[i] : ((const int64_t *)t->data)[i];
}

/* Rows y[to + i] = x[from + index[i]] of one picture: by cv.gather, or by the address generation of
 * the load where x lies in the DDR, of which no other row is wanted. */
static cyg_status gather(cyg_npu_gen *g, const cyg_step *s, const int64_t *index, int64_t count,
                         int64_t from_row, int64_t to_row, int64_t columns)
{
    const cyg_tensor *x = cyg_npu_tensor(g, s->in[0]), *y = cyg_npu_tensor(g, s->out[0]);
    int64_t step = columns * cyg_npu_type_bytes(x->type);
    step = step < piece_bytes(g) ? piece_bytes(g) / step : 1;
    for (int64_t at = 0; at < count; at += step) {
        const int64_t n = count - at < step ? count - at : step;
        int64_t low = INT64_MAX, high = 0, *relative = CYG_NEW_ARRAY(g->arena, int64_t, n);
        if (relative == NULL)
            return cyg_npu_gen_nomem(g);
        for (int64_t i = 0; i < n; i++) {
            low = index[at + i] < low ? index[at + i] : low;
            high = index[at + i] > high ? index[at + i] : high;
        }
        for (int64_t i = 0; i < n; i++)
            relative[i] = index[at + i] - low;
        const cyg_npu_view in =
            cyg_npu_rows(x->type, high - low + 1, columns, columns, (from_row + low) * columns);
        const cyg_npu_view out =
            cyg_npu_rows(y->type, n, columns, columns, (to_row + at) * columns);
        const bool streamed = cyg_npu_is_streamed(g, s->in[0]);
        cyg_npu_call c;
        cyg_npu_call_begin(&c, g);
        if (streamed)
            cyg_npu_call_in_ddr(&c, s->in[0], &in, relative, n);
        else
            cyg_npu_call_in_rows(&c, s->in[0], &in, relative, n);
        cyg_npu_call_index(&c, relative, 1, &n);
        cyg_npu_call_out(&c, s->out[0], &out);
        CYG_DO(cyg_npu_call_end(&c, streamed ? CYG_NPU_OP_LDX : CYG_NPU_OP_CV_GATHER, NULL, 0));
    }
    return CYG_OK;
}

/* One element everywhere in rows [row, row + rows) of y. */
static cyg_status fill(cyg_npu_gen *g, uint32_t tensor, const cyg_npu_view *window, uint64_t bits)
{
    uint8_t element[8]; /* low end first */
    cyg_npu_call c;
    for (int i = 0; i < 8; i++)
        element[i] = (uint8_t)(bits >> (8 * i));
    if (cyg_npu_view_elements(window) == 0)
        return CYG_OK;
    cyg_npu_call_begin(&c, g);
    cyg_npu_call_out(&c, tensor, window);
    return cyg_npu_call_end(&c, CYG_NPU_OP_CV_FILL, element,
                            (size_t)cyg_npu_type_bytes(window->type));
}

cyg_status cyg_npu_gen_gather_rows(cyg_npu_gen *g, const cyg_step *s)
{
    const cyg_kp_gather_rows *p = s->params;
    const cyg_tensor *x = cyg_npu_tensor(g, s->in[0]), *y = cyg_npu_tensor(g, s->out[0]),
                     *t = &g->p->tensors[cyg_npu_owner(g->p, s->in[1])];
    const int64_t c = x->dims[x->rank - 1];
    int64_t *index = CYG_NEW_ARRAY(g->arena, int64_t, p->rows_out + 1);
    if (index == NULL)
        return cyg_npu_gen_nomem(g);
    for (int64_t i = 0; i < p->rows_out; i++)
        index[i] = index_at(t, i);
    for (int64_t image = 0; image < p->images; image++)
        for (int64_t i = 0; i < p->rows_out;) {
            int64_t n = 1;
            while (i + n < p->rows_out && (index[i + n] < 0) == (index[i] < 0))
                n++;
            const int64_t to = image * p->rows_out + i;
            if (index[i] < 0) {
                const cyg_npu_view zeros = cyg_npu_rows(y->type, n, c, c, to * c);
                CYG_DO(fill(g, s->out[0], &zeros, p->fill_bits));
            } else {
                CYG_DO(gather(g, s, index + i, n, image * p->rows_in, to, c));
            }
            i += n;
        }
    return CYG_OK;
}

/* gather along an axis: for each outer position rows of what is behind the axis. */
cyg_status cyg_npu_gen_gather(cyg_npu_gen *g, const cyg_step *s)
{
    const int64_t axis = ((const cyg_kp_axis *)s->params)->axis;
    const cyg_tensor *x = cyg_npu_tensor(g, s->in[0]),
                     *t = &g->p->tensors[cyg_npu_owner(g->p, s->in[1])];
    const cyg_npu_view all = three(x, axis);
    const int64_t count = cyg_tensor_elements(t), dim = x->dims[axis];
    int64_t *index = CYG_NEW_ARRAY(g->arena, int64_t, count + 1);
    if (index == NULL)
        return cyg_npu_gen_nomem(g);
    for (int64_t i = 0; i < count; i++) {
        index[i] = index_at(t, i);
        index[i] += index[i] < 0 ? dim : 0;
    }
    for (int64_t i = 0; i < all.dims[0]; i++)
        CYG_DO(gather(g, s, index, count, i * dim, i * count, all.dims[2]));
    return CYG_OK;
}

/* ---- pad
 * ---------------------------------------------------------------------------------------------------------
 */

/* A window of y filled with the step's value: one, or one for each position of the last axis, of
 * which neighbours with equal ones are filled at once. */
static cyg_status fill_side(cyg_npu_gen *g, const cyg_step *s, const cyg_npu_view *side)
{
    const bool given = s->in_count > 1 && s->in[1] != CYG_NO_TENSOR;
    const cyg_tensor *t = given ? &g->p->tensors[cyg_npu_owner(g->p, s->in[1])] : NULL;
    const int64_t values = given ? cyg_tensor_elements(t) : 1;
    const int64_t size = cyg_npu_type_bytes(side->type);
    const int last = side->rank - 1;
    /* The side's positions of the last axis; one value is for all of them. */
    const int64_t whole = cyg_npu_tensor(g, s->out[0])->dims[last];
    const int64_t begin = values > 1 ? (int64_t)side->offset / size % whole : 0;
    const int64_t end = values > 1 ? begin + side->dims[last] : 1;
    const uint8_t *bytes = given ? t->data : NULL;
    for (int64_t i = begin, n; i < end; i += n) {
        cyg_npu_view part = *side;
        uint64_t bits = 0;
        for (int64_t k = 0; given && k < size; k++)
            bits |= (uint64_t)bytes[i * size + k] << (8 * k);
        for (n = 1; i + n < end; n++)
            if (memcmp(bytes + i * size, bytes + (i + n) * size, (size_t)size) != 0)
                break;
        if (values > 1) {
            part.offset += (uint64_t)((i - begin) * size);
            part.dims[last] = n;
        }
        CYG_DO(fill(g, s->out[0], &part, bits));
    }
    return CYG_OK;
}

cyg_status cyg_npu_gen_pad(cyg_npu_gen *g, const cyg_step *s)
{
    const cyg_kp_pad *p = s->params;
    const cyg_tensor *x = cyg_npu_tensor(g, s->in[0]), *y = cyg_npu_tensor(g, s->out[0]);
    cyg_npu_view from = cyg_npu_dense(x->type, x->rank, x->dims, 0),
                 to = cyg_npu_dense(y->type, y->rank, y->dims, 0);
    const cyg_npu_view whole = to;
    for (int i = 0; i < x->rank; i++) {
        const int64_t before = p->before[i], cut_in = before < 0 ? -before : 0,
                      cut_end = p->after[i] < 0 ? -p->after[i] : 0;
        const int64_t n = x->dims[i] - cut_in - cut_end;
        from.offset += (uint64_t)(cut_in * from.strides[i]);
        to.offset += (uint64_t)((before > 0 ? before : 0) * to.strides[i]);
        from.dims[i] = to.dims[i] = n > 0 ? n : 0;
    }
    /* A frame: on each axis what lies before and behind, inside what the axes in front left. */
    cyg_npu_view rest = whole;
    for (int i = 0; i < x->rank; i++) {
        const int64_t before = p->before[i] > 0 ? p->before[i] : 0,
                      after = p->after[i] > 0 ? p->after[i] : 0;
        cyg_npu_view side = rest;
        side.dims[i] = before;
        CYG_DO(fill_side(g, s, &side));
        side.dims[i] = after;
        side.offset = rest.offset + (uint64_t)((rest.dims[i] - after) * rest.strides[i]);
        CYG_DO(fill_side(g, s, &side));
        rest.offset += (uint64_t)(before * rest.strides[i]);
        rest.dims[i] -= before + after;
    }
    return move_window(g, s->in[0], &from, s->out[0], &to);
}
