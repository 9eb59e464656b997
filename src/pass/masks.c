/* Masks and biases made at run time, as attention takes them: [windows of all images or 1, heads or
 * 1, N or 1, M].
 *
 * The node that uses such a value sees scores of dimensions [.., N, M], the leading ones being
 * windows and heads in this order, spelled as the exporter liked: [B, heads, N, M], [B heads, N,
 * M], [B, windows, heads, N, M]. Where a dimension is the border between windows and heads, a value
 * may broadcast over either; where there is none it has all of them, or one. */
#include "pass/masks.h"

#include <string.h>

/* The value's dimensions, 1 in front, as many as those of the scores. */
static bool widen(const cyg_rw *rw, const cyg_run_time *t, int64_t dims[CYG_MAX_RANK])
{
    const cyg_value *v = cyg_val(rw->g, t->value);
    if (v->rank == CYG_RANK_UNKNOWN || v->rank > t->rank)
        return false;
    for (int i = 0; i < t->rank; i++) {
        const int k = i - (t->rank - v->rank);
        dims[i] = k < 0 ? 1 : v->dims[k];
        if (dims[i] != 1 && dims[i] != t->dims[i])
            return false;
    }
    return true;
}

/* The product of these dimensions, which are the scores' own or all ones; -1 when they are neither.
 */
static int64_t part(const int64_t *dims, const int64_t *scores, int count)
{
    int64_t product = 1;
    bool whole = true;
    for (int i = 0; i < count; i++) {
        whole = whole && dims[i] == scores[i];
        product *= dims[i];
    }
    return whole || product == 1 ? product : -1;
}

static bool shape_of(const cyg_rw *rw, const cyg_run_time *t, const cyg_mask_sizes *sizes,
                     int64_t out[4])
{
    const int lead = t->rank - 2;
    int64_t dims[CYG_MAX_RANK], windows = 1, heads = 1;
    if (lead < 0 || t->dims[lead] != sizes->tokens || t->dims[lead + 1] != sizes->keys ||
        !widen(rw, t, dims) || dims[lead + 1] != sizes->keys)
        return false;
    int border = 0;
    while (border < lead && windows != sizes->total)
        windows *= t->dims[border++];
    for (int i = border; i < lead; i++)
        heads *= t->dims[i];
    out[2] = dims[lead];
    out[3] = sizes->keys;
    if (windows == sizes->total && heads == sizes->heads) {
        out[0] = part(dims, t->dims, border);
        out[1] = part(dims + border, t->dims + border, lead - border);
        return out[0] > 0 && out[1] > 0;
    }
    const int64_t all = part(dims, t->dims, lead);
    out[0] = all == 1 ? 1 : sizes->total;
    out[1] = all == 1 ? 1 : sizes->heads;
    return all > 0;
}

bool cyg_masks_fit(const cyg_rw *rw, const cyg_scores *s, const cyg_mask_sizes *sizes)
{
    int64_t dims[4];
    for (int i = 0; i < s->addend_count; i++)
        if (!shape_of(rw, &s->addend[i], sizes, dims))
            return false;
    return cyg_value_is_none(s->hide.value) || shape_of(rw, &s->hide, sizes, dims);
}

/* t in its four dimensions, times its factor. */
static cyg_value_id shaped(cyg_rw *rw, cyg_node_id before, const cyg_run_time *t,
                           const cyg_mask_sizes *sizes, int64_t dims[4])
{
    cyg_value_id v = t->value;
    if (!shape_of(rw, t, sizes, dims))
        return CYG_NO_VALUE;
    if (t->scale != 1.0f) {
        const cyg_value shape = *cyg_val(rw->g, v);
        const cyg_value_id c = cyg_rw_const_scalar(rw, "mask_scale", t->scale);
        v = cyg_value_is_none(c) ? c
                                 : cyg_rw_insert(rw, before, CYG_OP_mul, (cyg_value_id[]){v, c}, 2,
                                                 v, shape.rank, shape.dims);
    }
    return cyg_value_is_none(v) ? v : cyg_rw_reshaped(rw, before, v, 4, dims);
}

cyg_status cyg_masks_build(cyg_rw *rw, cyg_node_id before, const cyg_scores *s,
                           const cyg_mask_sizes *sizes, cyg_value_id *out_mask,
                           cyg_value_id *out_hide)
{
    int64_t sum[4] = {1, 1, 1, 1}, own[4];
    *out_mask = *out_hide = CYG_NO_VALUE;
    for (int i = 0; i < s->addend_count; i++) {
        cyg_value_id v = shaped(rw, before, &s->addend[i], sizes, own);
        for (int d = 0; d < 4; d++)
            sum[d] = own[d] > sum[d] ? own[d] : sum[d];
        if (i > 0 && !cyg_value_is_none(v))
            v = cyg_rw_insert(rw, before, CYG_OP_add, (cyg_value_id[]){*out_mask, v}, 2, v, 4, sum);
        if (cyg_value_is_none(v))
            return CYG_RW_NOMEM(rw);
        *out_mask = v;
    }
    if (!cyg_value_is_none(s->hide.value)) {
        *out_hide = shaped(rw, before, &s->hide, sizes, own);
        if (cyg_value_is_none(*out_hide))
            return CYG_RW_NOMEM(rw);
    }
    return CYG_OK;
}
