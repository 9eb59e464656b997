/* Element-wise steps on TENG: eltwise with broadcasting, requant, look-up tables. */
#include "target/npu/gen.h"

/* x and y as [rows, columns] of equally many elements: along y's last axis; rest: behind the last
 * row. */
typedef struct flat {
    int64_t rows, columns, rest, step;
} flat;

static int64_t streamed(const cyg_npu_gen *g, uint32_t tensor)
{
    return cyg_npu_is_streamed(g, tensor) ? cyg_npu_type_bytes(cyg_npu_tensor(g, tensor)->type) : 0;
}

static flat flat_of(const cyg_npu_gen *g, const cyg_step *s, cyg_npu_op op)
{
    const cyg_tensor *x = cyg_npu_tensor(g, s->in[0]), *y = cyg_npu_tensor(g, s->out[0]);
    const int64_t all = cyg_tensor_elements(y);
    flat f = {.columns = y->rank > 0 ? y->dims[y->rank - 1] : 1};
    if (f.columns == 0)
        f.columns = 1;
    f.rows = all / f.columns;
    if (f.rows == 1 && all > 4096) { /* one long row: cut it */
        f.columns = 64;
        f.rows = all / 64;
        f.rest = all % 64;
    }
    f.step = cyg_npu_teng_rows(g, op, f.rows, f.columns, x->type, y->type,
                               f.columns * (streamed(g, s->in[0]) + streamed(g, s->out[0])));
    return f;
}

static cyg_status by_rows(cyg_npu_gen *g, const cyg_step *s, cyg_npu_op op, uint32_t table,
                          const cyg_npu_view *table_view)
{
    const cyg_tensor *x = cyg_npu_tensor(g, s->in[0]), *y = cyg_npu_tensor(g, s->out[0]);
    const flat f = flat_of(g, s, op);
    for (int64_t row = 0; row < f.rows + (f.rest > 0);) {
        const bool last = row == f.rows;
        const int64_t n = last ? 1 : f.rows - row < f.step ? f.rows - row : f.step;
        const int64_t columns = last ? f.rest : f.columns;
        const cyg_npu_view in = cyg_npu_rows(x->type, n, columns, columns, row * f.columns),
                           out = cyg_npu_rows(y->type, n, columns, columns, row * f.columns);
        row += n;
        cyg_npu_call c;
        cyg_npu_call_begin(&c, g);
        cyg_npu_call_in(&c, s->in[0], &in);
        if (table_view != NULL)
            cyg_npu_call_in_buffer(&c, table, table_view);
        cyg_npu_call_out(&c, s->out[0], &out);
        CYG_DO(cyg_npu_call_end(&c, op, s->params, s->params_size));
    }
    return CYG_OK;
}

cyg_status cyg_npu_gen_requant(cyg_npu_gen *g, const cyg_step *s)
{
    return by_rows(g, s, CYG_NPU_OP_TENG_REQUANT, CYG_NPU_NO_BUFFER, NULL);
}

cyg_status cyg_npu_gen_lut(cyg_npu_gen *g, const cyg_step *s)
{
    const cyg_tensor *t = &g->p->tensors[cyg_npu_owner(g->p, s->in[1])];
    const int64_t n = cyg_tensor_elements(t);
    cyg_npu_piece piece = {.data = t->data, .bytes = cyg_tensor_bytes(t)};
    uint32_t stored, table;
    CYG_DO(cyg_npu_store_pieces(g, &piece, 1, s->name, &stored));
    CYG_DO(cyg_npu_load_stored(g, stored, &table));
    const cyg_npu_view view = cyg_npu_dense(t->type, 1, &n, 0);
    return by_rows(g, s, s->op == CYG_KOP_i_lut8 ? CYG_NPU_OP_TENG_LUT8 : CYG_NPU_OP_TENG_LUT16,
                   table, &view);
}

/* ---- eltwise
 * -------------------------------------------------------------------------------------------------------
 */

/* An operand in y's rank, 1 where it repeats. */
static void align(const cyg_tensor *t, int rank, int64_t *dims)
{
    for (int i = 0; i < rank; i++)
        dims[i] = i < rank - t->rank ? 1 : t->dims[i - (rank - t->rank)];
}

/* Axes in front merge where both operands have them whole (or both lack them), so that rank and
 * tiles do not depend on how a shape is written. */
static int merge(int rank, int64_t *y, int64_t *a, int64_t *b)
{
    for (int i = 0; i + 1 < rank;) {
        const bool whole =
            a[i] == y[i] && b[i] == y[i] && a[i + 1] == y[i + 1] && b[i + 1] == y[i + 1];
        const bool a_out = a[i] == 1 && a[i + 1] == 1 && b[i] == y[i] && b[i + 1] == y[i + 1];
        const bool b_out = b[i] == 1 && b[i + 1] == 1 && a[i] == y[i] && a[i + 1] == y[i + 1];
        if ((!whole && !a_out && !b_out) || i + 2 == rank) {
            i++; /* the last axis stays: it is the row */
            continue;
        }
        y[i] *= y[i + 1];
        a[i] *= a[i + 1];
        b[i] *= b[i + 1];
        for (int k = i + 1; k + 1 < rank; k++) {
            y[k] = y[k + 1];
            a[k] = a[k + 1];
            b[k] = b[k + 1];
        }
        rank--;
    }
    return rank;
}

/* Positions [first, first + count) along an axis; a window that repeats along it stays. */
static cyg_npu_view cut(const cyg_npu_view *of, int axis, int64_t first, int64_t count)
{
    cyg_npu_view v = *of;
    if (v.dims[axis] > 1) {
        v.offset += (uint64_t)(first * v.strides[axis]);
        v.dims[axis] = count;
    }
    return v;
}

/* Windows of a, b and y. */
typedef struct operands {
    cyg_npu_view a, b, y;
} operands;

static operands cut_all(const operands *of, int axis, int64_t first, int64_t count)
{
    return (operands){cut(&of->a, axis, first, count), cut(&of->b, axis, first, count),
                      cut(&of->y, axis, first, count)};
}

/* Tiles along the first axis that can be cut; where one position of it is too much, inside each
 * along the next. */
static cyg_status eltwise(cyg_npu_gen *g, const cyg_step *s, const operands *o, int axis)
{
    while (axis + 1 < o->y.rank && o->y.dims[axis] == 1)
        axis++;
    const int64_t all = o->y.dims[axis];
    const operands one = cut_all(o, axis, 0, 1);
    const int64_t behind = cyg_npu_view_elements(&one.y);
    const int64_t streams = (streamed(g, s->in[0]) > 0 ? (int64_t)cyg_npu_view_bytes(&one.a) : 0) +
                            (streamed(g, s->in[1]) > 0 ? (int64_t)cyg_npu_view_bytes(&one.b) : 0) +
                            (streamed(g, s->out[0]) > 0 ? (int64_t)cyg_npu_view_bytes(&one.y) : 0);
    if (2 * streams > cyg_npu_room(g) && axis + 1 < o->y.rank) {
        for (int64_t at = 0; at < all; at++) {
            const operands inner = cut_all(o, axis, at, 1);
            CYG_DO(eltwise(g, s, &inner, axis + 1));
        }
        return CYG_OK;
    }
    const int64_t step =
        cyg_npu_teng_rows(g, CYG_NPU_OP_TENG_ELTWISE, all, behind, o->a.type, o->y.type, streams);
    for (int64_t at = 0; at < all; at += step) {
        const operands part = cut_all(o, axis, at, all - at < step ? all - at : step);
        cyg_npu_call c;
        cyg_npu_call_begin(&c, g);
        cyg_npu_call_in(&c, s->in[0], &part.a);
        cyg_npu_call_in(&c, s->in[1], &part.b);
        cyg_npu_call_out(&c, s->out[0], &part.y);
        CYG_DO(cyg_npu_call_end(&c, CYG_NPU_OP_TENG_ELTWISE, s->params, s->params_size));
    }
    return CYG_OK;
}

cyg_status cyg_npu_gen_eltwise(cyg_npu_gen *g, const cyg_step *s)
{
    const cyg_tensor *y = cyg_npu_tensor(g, s->out[0]), *ta = cyg_npu_tensor(g, s->in[0]),
                     *tb = cyg_npu_tensor(g, s->in[1]);
    int64_t dy[CYG_MAX_RANK + 1] = {1}, da[CYG_MAX_RANK + 1] = {1}, db[CYG_MAX_RANK + 1] = {1};
    int rank = y->rank > 0 ? y->rank : 1;
    if (y->rank > 0) {
        align(y, rank, dy);
        align(ta, rank, da);
        align(tb, rank, db);
    }
    rank = merge(rank, dy, da, db);
    const operands all = {cyg_npu_dense(ta->type, rank, da, 0),
                          cyg_npu_dense(tb->type, rank, db, 0),
                          cyg_npu_dense(y->type, rank, dy, 0)};
    return eltwise(g, s, &all, 0);
}
