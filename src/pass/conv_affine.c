/* Scales and shifts of whole channels beside a convolution fold into it: BatchNormalization, and
 * Mul, Div, Add and Sub with one number for each channel or for all.
 *
 * Behind the convolution, y = (conv(x) + b) * s + t gives w' = w * s for each output channel and
 * b' = b * s + t. In front of it, conv(x * s + t) gives w' = w * s for each input channel and
 * b' = b + sum of w * t; with padding only when t is zero, for what is padded is zero after the
 * shift. In binary64, rounded once. What is folded must have no other reader. */
#include <string.h>

#include "base/bytes.h"
#include "pass/affine.h"
#include "pass/passes.h"
#include "pass/rewrite.h"

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
static void scaled(const weights *w, const cyg_affine *a, bool behind, double *sums, float *to,
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

static cyg_status fold(cyg_rw *rw, cyg_node_id step, const cyg_affine *a, cyg_node_id conv,
                       bool behind)
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
    cyg_affine a;
    if (!cyg_affine_read(rw, id, &a))
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
