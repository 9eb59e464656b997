/* Reading steps that scale and shift whole channels (affine.h). */
#include "pass/affine.h"

#include <math.h>

#include "base/bytes.h"

/* v, broadcast to a value of this rank, differs along axis 1 at most. */
static bool is_per_channel(const cyg_rw *rw, cyg_value_id v, int rank, int64_t channels)
{
    if (!cyg_rw_is_const(rw, v))
        return false;
    const cyg_value *c = cyg_val(rw->g, v);
    const int64_t count = cyg_value_elements(c);
    if (c->type != CYG_TYPE_F32 || c->data == NULL || c->rank > rank ||
        (count != 1 && count != channels))
        return false;
    for (int i = 0; i < c->rank; i++)
        if (c->dims[i] != 1 && i + rank - c->rank != 1)
            return false;
    return true;
}

static double at(const cyg_rw *rw, cyg_value_id v, int64_t channel)
{
    const cyg_value *c = cyg_val(rw->g, v);
    return (double)cyg_float_at(c->data, cyg_value_elements(c) == 1 ? 0 : channel);
}

static bool read_batchnorm(const cyg_rw *rw, const cyg_node *n, cyg_affine *a)
{
    for (uint32_t i = 1; i < 5; i++)
        if (n->out_count != 1 || !cyg_rw_channel_vector(rw, cyg_node_in(n, i), a->channels))
            return false;
    const double eps = (double)cyg_node_float(n, CYG_ATTR_epsilon, 1e-5f);
    for (int64_t c = 0; c < a->channels; c++) {
        a->scale[c] = at(rw, n->in[1], c) / sqrt(at(rw, n->in[4], c) + eps);
        a->shift[c] = at(rw, n->in[2], c) - at(rw, n->in[3], c) * a->scale[c];
        if (!isfinite(a->scale[c]) || !isfinite(a->shift[c]))
            return false;
    }
    a->x = n->in[0];
    a->named = n->in[2];
    return true;
}

static bool read_binary(const cyg_rw *rw, cyg_node_id id, int rank, cyg_affine *a)
{
    const cyg_node *n = cyg_nod(rw->g, id);
    const int k = cyg_rw_const_operand(rw, id);
    const bool turned = k == 0 && (n->op == CYG_OP_div || n->op == CYG_OP_sub);
    if (k < 0 || turned || !is_per_channel(rw, n->in[k], rank, a->channels) ||
        !cyg_rw_same_shape(rw, n->in[1 - k], n->out[0]))
        return false;
    for (int64_t c = 0; c < a->channels; c++) {
        const double v = at(rw, n->in[k], c);
        a->scale[c] = n->op == CYG_OP_mul ? v : n->op == CYG_OP_div ? 1.0 / v : 1.0;
        a->shift[c] = n->op == CYG_OP_add ? v : n->op == CYG_OP_sub ? -v : 0.0;
        if (!isfinite(a->scale[c]))
            return false;
    }
    a->x = n->in[1 - k];
    a->named = n->in[k];
    return true;
}

bool cyg_affine_read(cyg_rw *rw, cyg_node_id id, cyg_affine *a)
{
    const cyg_node *n = cyg_nod(rw->g, id);
    const bool binary =
        n->op == CYG_OP_mul || n->op == CYG_OP_div || n->op == CYG_OP_add || n->op == CYG_OP_sub;
    if (!binary && n->op != CYG_OP_batch_normalization)
        return false;
    const cyg_value *y = cyg_val(rw->g, n->out[0]);
    if (y->rank < 2 || y->rank == CYG_RANK_UNKNOWN || y->dims[1] < 1)
        return false;
    *a = (cyg_affine){.channels = y->dims[1]};
    a->scale = CYG_NEW_ARRAY(&rw->scratch, double, a->channels);
    a->shift = CYG_NEW_ARRAY(&rw->scratch, double, a->channels);
    if (a->scale == NULL || a->shift == NULL ||
        !(binary ? read_binary(rw, id, y->rank, a) : read_batchnorm(rw, n, a)))
        return false;
    for (int64_t c = 0; c < a->channels; c++)
        a->shifts = a->shifts || a->shift[c] != 0.0;
    return true;
}
