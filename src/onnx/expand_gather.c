/* gather_rows in standard operators, the smallest that do: Slice for a run of rows, Pad for all
 * rows with zeros around them, Gather for the rest. To Gather -1 is the last row, so with one row
 * of zeros behind all rows it means here what it means there. */
#include "onnx/expand.h"

#include "base/bytes.h"

cyg_value_id cyg_expand_flat_index(cyg_expander *x, uint32_t i)
{
    const cyg_value *v = cyg_expand_operand(x, i);
    const int64_t count = cyg_value_elements(v), minus_one = -1;
    if (v->rank == 1)
        return cyg_expand_in(x, i);
    if (v->is_const)
        return cyg_graph_add_const(x->to, "rows", v->type, 1, &count, v->data, v->bytes);
    return cyg_emit_reshape(x, "FlatRows", cyg_expand_in(x, i), &minus_one, 1);
}

bool cyg_expand_is_one_image(const cyg_expander *x, const cyg_value *v, int64_t rows)
{
    const int64_t count = cyg_value_elements(v);
    return x->rows != NULL && count > 0 && v->rank > 0 && count == rows * v->dims[v->rank - 1];
}

cyg_value_id cyg_expand_images(cyg_expander *x, uint32_t i, cyg_value_id v, int64_t rows,
                               int64_t channels)
{
    const cyg_value *in = cyg_expand_operand(x, i);
    const bool shaped = !cyg_value_is_none(x->map[x->n->in[i].i]);
    return shaped && in->rank == 3 && in->dims[1] == rows
               ? v
               : cyg_emit_reshape(x, "Images", v, (const int64_t[]){-1, rows, channels}, 3);
}

static int64_t index_at(const cyg_value *v, int64_t i)
{
    return v->type == CYG_TYPE_S32 ? cyg_load_i32((const int32_t *)v->data + i)
                                   : cyg_load_i64((const int64_t *)v->data + i);
}

/* zeros, then rows from `first` on without a gap, then zeros */
typedef struct run {
    int64_t before, first, rows, after;
} run;

static bool is_run(const cyg_value *index, run *out)
{
    const int64_t count = index->is_const ? cyg_value_elements(index) : 0;
    int64_t i = 0;
    *out = (run){0};
    while (i < count && index_at(index, i) < 0)
        i++;
    out->before = i;
    out->first = i < count ? index_at(index, i) : 0;
    while (i < count && index_at(index, i) == out->first + out->rows) {
        out->rows++;
        i++;
    }
    out->after = count - i;
    while (i < count && index_at(index, i) < 0)
        i++;
    return out->rows > 0 && i == count;
}

static bool has_zeros(const cyg_value *index)
{
    for (int64_t i = 0; index->is_const && i < cyg_value_elements(index); i++)
        if (index_at(index, i) < 0)
            return true;
    return !index->is_const;
}

/* y, [rows, channels] or [images, rows, channels], with rows of zeros around its rows. */
static cyg_value_id padded(cyg_expander *x, const char *suffix, cyg_value_id y, bool by_rows,
                           int64_t before, int64_t after)
{
    const int64_t pads[6] = {0, before, 0, 0, after, 0};
    const int64_t of_rows[4] = {before, 0, after, 0};
    return cyg_emit2(x, CYG_OP_pad, suffix, y,
                     by_rows ? cyg_expand_ints(x, of_rows, 4) : cyg_expand_ints(x, pads, 6));
}

cyg_status cyg_expand_gather_rows(cyg_expander *x, cyg_value_id *out_result)
{
    const cyg_value *in = cyg_expand_operand(x, 0), *index = cyg_expand_operand(x, 1);
    const int64_t rows_in = cyg_node_int(x->n, CYG_ATTR_rows_in, 0);
    run r;
    if (in->rank == CYG_RANK_UNKNOWN || in->rank == 0 || in->dims[in->rank - 1] < 0)
        return CYG_EXPAND_FAIL(x, "the channels of %s are not known", in->name);
    const int64_t channels = in->dims[in->rank - 1];
    const bool rows = cyg_expand_is_one_image(x, in, rows_in) && in->rank > 1;
    const int64_t axis = rows ? 0 : 1;
    cyg_value_id y = rows ? cyg_expand_by_rows(x, x->n->in[0])
                          : cyg_expand_images(x, 0, cyg_expand_any(x, 0), rows_in, channels);
    const bool in_a_run = is_run(index, &r);
    if (in_a_run && r.before == 0 && r.after == 0) {
        const int64_t end = r.first + r.rows;
        const cyg_value_id slice[] = {y, cyg_expand_ints(x, &r.first, 1),
                                      cyg_expand_ints(x, &end, 1), cyg_expand_ints(x, &axis, 1)};
        y = cyg_emit(x, CYG_OP_slice, "", slice, 4);
    } else if (in_a_run && r.first == 0 && r.rows == rows_in) {
        y = padded(x, "", y, rows, r.before, r.after);
    } else {
        if (has_zeros(index))
            y = padded(x, "ZeroRow", y, rows, 0, 1);
        y = cyg_emit_gather(x, "", y, cyg_expand_flat_index(x, 1), (int)axis);
    }
    *out_result = y;
    x->by_rows = rows;
    return CYG_OK;
}
