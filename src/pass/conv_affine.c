/* Scales and shifts of whole channels beside a convolution fold into it: BatchNormalization, and
 * Mul, Div, Add and Sub with one number for each channel or for all.
 *
 * Behind the convolution, y = (conv(x) + b) * s + t gives w' = w * s for each output channel and
 * b' = b * s + t. In front of it, conv(x * s + t) gives w' = w * s for each input channel and
 * b' = b + sum of w * t; with padding only when t is zero, for what is padded is zero after the
 * shift. In binary64, rounded once. What is folded must have no other reader. */
#include <math.h>
#include <string.h>

#include "base/bytes.h"
#include "pass/passes.h"
#include "pass/rewrite.h"

typedef struct affine {
    int64_t channels;
    double *scale, *shift; /* [channels], scratch */
    bool shifts;
    cyg_value_id x;     /* what it is applied to */
    cyg_value_id named; /* the constant that a bias made of it is called after */
} affine;

/* ---- the step ---- */

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

static bool read_batchnorm(const cyg_rw *rw, const cyg_node *n, affine *a)
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

static bool read_binary(const cyg_rw *rw, cyg_node_id id, int rank, affine *a)
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

static bool read_affine(cyg_rw *rw, cyg_node_id id, affine *a)
{
    const cyg_node *n = cyg_nod(rw->g, id);
    const bool binary =
        n->op == CYG_OP_mul || n->op == CYG_OP_div || n->op == CYG_OP_add || n->op == CYG_OP_sub;
    if (!binary && n->op != CYG_OP_batch_normalization)
        return false;
    const cyg_value *y = cyg_val(rw->g, n->out[0]);
    if (y->rank < 2 || y->rank == CYG_RANK_UNKNOWN || y->dims[1] < 1)
        return false;
    *a = (affine){.channels = y->dims[1]};
    a->scale = CYG_NEW_ARRAY(&rw->scratch, double, a->channels);
    a->shift = CYG_NEW_ARRAY(&rw->scratch, double, a->channels);
    if (a->scale == NULL || a->shift == NULL ||
        !(binary ? read_binary(rw, id, y->rank, a) : read_batchnorm(rw, n, a)))
        return false;
    for (int64_t c = 0; c < a->channels; c++)
        a->shifts = a->shifts || a->shift[c] != 0.0;
    return true;
}

/* ---- the convolution ---- */

/* [outer, inner / group, area]: outer channels are those of the result, of ConvTranspose those of
 * the operand; inner ones the others. */
typedef struct weights {
    int64_t out, in, group, area;
    int64_t blocks, inner; /* outer * inner / group; inner / group */
    bool transposed;
    const void *data, *bias; /* floats; bias: [out] or NULL */
} weights;

static bool read_weights(const cyg_rw *rw, const cyg_node *conv, weights *w)
{
    const cyg_value *v = cyg_val(rw->g, conv->in[1]);
    const cyg_value_id bias = cyg_node_in(conv, 2);
    if (!v->is_const || v->type != CYG_TYPE_F32 || v->data == NULL || v->rank < 2 ||
        v->quant.type != CYG_TYPE_NONE || cyg_value_elements(v) < 1) /* given: stays as it is */
        return false;
    w->transposed = conv->op == CYG_OP_conv_transpose;
    w->group = cyg_node_int(conv, CYG_ATTR_group, 1);
    if (w->group < 1 || v->dims[0] % w->group != 0)
        return false;
    w->inner = v->dims[1];
    w->blocks = v->dims[0] * v->dims[1];
    w->out = w->transposed ? w->inner * w->group : v->dims[0];
    w->in = w->transposed ? v->dims[0] : w->inner * w->group;
    w->area = cyg_value_elements(v) / w->blocks;
    w->data = v->data;
    w->bias = cyg_value_is_none(bias) ? NULL : cyg_val(rw->g, bias)->data;
    return cyg_value_is_none(bias) || cyg_rw_channel_vector(rw, bias, w->out);
}

/* The channels of block k of the weights. */
static void channels_of(const weights *w, int64_t k, int64_t *out_result, int64_t *out_operand)
{
    const int64_t outer = k / w->inner, outer_in_group = w->blocks / w->inner / w->group;
    const int64_t inner = outer / outer_in_group * w->inner + k % w->inner;
    *out_result = w->transposed ? inner : outer;
    *out_operand = w->transposed ? outer : inner;
}

/* Does every result see all weights, none of them over padding? */
static bool sees_all(const cyg_node *conv)
{
    const int64_t *pads;
    const size_t count = cyg_node_ints(conv, CYG_ATTR_pads, &pads);
    for (size_t i = 0; i < count; i++)
        if (pads[i] != 0)
            return false;
    return conv->op == CYG_OP_conv &&
           strcmp(cyg_node_string(conv, CYG_ATTR_auto_pad, "NOTSET"), "NOTSET") == 0;
}

/* New weights and bias; behind: the step follows the convolution. sums: [out], zero. */
static void scaled(const weights *w, const affine *a, bool behind, double *sums, float *to,
                   float *bias)
{
    for (int64_t k = 0; k < w->blocks; k++) {
        int64_t result, operand;
        channels_of(w, k, &result, &operand);
        const int64_t c = behind ? result : operand;
        for (int64_t i = k * w->area; i < (k + 1) * w->area; i++) {
            const double x = (double)cyg_float_at(w->data, i);
            to[i] = (float)(x * a->scale[c]);
            sums[result] += x * a->shift[c];
        }
    }
    for (int64_t o = 0; o < w->out; o++) {
        const double b = w->bias == NULL ? 0.0 : (double)cyg_float_at(w->bias, o);
        bias[o] = (float)(behind ? b * a->scale[o] + a->shift[o] : b + sums[o]);
    }
}

static cyg_status fold(cyg_rw *rw, cyg_node_id step, const affine *a, cyg_node_id conv, bool behind)
{
    cyg_graph *g = rw->g;
    const cyg_node *c = cyg_nod(g, conv);
    const cyg_value_id old_bias = cyg_node_in(c, 2), out = cyg_nod(g, behind ? step : conv)->out[0];
    weights w;
    if (!read_weights(rw, c, &w) || a->channels != (behind ? w.out : w.in) ||
        (!behind && a->shifts && !sees_all(c)))
        return CYG_OK;
    const cyg_value shape = *cyg_val(g, c->in[1]); /* adding values moves them */
    float *to = cyg_arena_alloc(&g->arena, shape.bytes, 64),
          *bias = cyg_arena_alloc(&g->arena, (size_t)w.out * sizeof *bias, 64);
    double *sums = CYG_NEW_ARRAY(&rw->scratch, double, w.out);
    if (to == NULL || bias == NULL || sums == NULL)
        return CYG_RW_NOMEM(rw);
    scaled(&w, a, behind, sums, to, bias);
    cyg_value_id in[3] = {behind ? c->in[0] : a->x,
                          cyg_rw_const_for(rw, c->in[1], shape.rank, shape.dims, to, shape.bytes),
                          CYG_NO_VALUE};
    const bool has_bias = w.bias != NULL || a->shifts;
    if (has_bias)
        in[2] = cyg_rw_const_for(rw, w.bias == NULL ? a->named : old_bias, 1, &w.out, bias,
                                 (size_t)w.out * sizeof *bias);
    const cyg_op op = cyg_nod(g, conv)->op;
    const cyg_attr *attrs = cyg_nod(g, conv)->attrs;
    const uint32_t attr_count = cyg_nod(g, conv)->attr_count;
    cyg_graph_remove_node(g, step);
    const cyg_node_id now = cyg_rw_replace(rw, conv, op, in, has_bias ? 3 : 2, out);
    if (cyg_node_is_none(now))
        return CYG_RW_NOMEM(rw);
    cyg_node_merge_sources(g, now, step);
    return cyg_rw_copy_attrs(rw, now, attrs, attr_count);
}

static bool is_conv(const cyg_rw *rw, cyg_node_id n)
{
    return !cyg_node_is_none(n) &&
           (cyg_nod(rw->g, n)->op == CYG_OP_conv || cyg_nod(rw->g, n)->op == CYG_OP_conv_transpose);
}

static cyg_status visit(cyg_rw *rw, cyg_node_id id)
{
    affine a;
    if (!read_affine(rw, id, &a))
        return CYG_OK;
    const cyg_value_id y = cyg_nod(rw->g, id)->out[0];
    const cyg_node_id before = cyg_val(rw->g, a.x)->producer, behind = cyg_rw_only_user(rw, y);
    if (is_conv(rw, before) && cyg_rw_single_use(rw, a.x))
        return fold(rw, id, &a, before, true);
    return is_conv(rw, behind) && cyg_nod(rw->g, behind)->in[0].i == y.i
               ? fold(rw, id, &a, behind, false)
               : CYG_OK;
}

cyg_status cyg_pass_conv_affine(cyg_ctx *ctx, cyg_graph *g, bool *out_changed)
{
    return cyg_rw_each(ctx, g, visit, out_changed);
}
