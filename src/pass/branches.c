/* Parallel convolutions of one value, added up, are one convolution.
 *
 * Networks that are trained with several branches for each layer (RepVGG, MobileOne, RepViT,
 * FastViT) are often exported with them: a 3x3 and a 1x1 convolution, a normalisation, and the
 * value itself. All of these are convolutions with the kernel of the largest: the others' taps lie
 * somewhere within it, a scale of channels and the value itself are one tap on the diagonal. Their
 * weights and biases are added, in binary64, rounded once.
 *
 * The node is an Add or Sub of two branches over the same value, one of them a convolution; a
 * longer sum goes pair by pair. Branches have the same groups and strides, and nobody else reads
 * their results. Where a branch pads, it pads with zeros, as the largest does. */
#include <string.h>

#include "base/bytes.h"
#include "pass/affine.h"
#include "pass/passes.h"

typedef struct branch {
    cyg_value_id x;
    cyg_node_id node; /* none: the value itself */
    bool is_conv;
    cyg_affine affine; /* when it is none: one number a channel */
    double sign;
    int spatial;
    int64_t group, kernel[CYG_MAX_RANK], strides[CYG_MAX_RANK], dilations[CYG_MAX_RANK],
        pads[2 * CYG_MAX_RANK];
} branch;

/* ---- reading ---- */

static bool read_conv(const cyg_rw *rw, cyg_node_id id, branch *b)
{
    const cyg_node *n = cyg_nod(rw->g, id);
    const cyg_value *x = cyg_val(rw->g, n->in[0]), *w = cyg_val(rw->g, n->in[1]);
    const cyg_value_id bias = cyg_node_in(n, 2);
    if (n->op != CYG_OP_conv || !w->is_const || w->type != CYG_TYPE_F32 || w->data == NULL ||
        w->quant.type != CYG_TYPE_NONE || w->rank < 3 || w->rank == CYG_RANK_UNKNOWN ||
        x->rank != w->rank || cyg_value_elements(w) < 1 ||
        (!cyg_value_is_none(bias) && !cyg_rw_channel_vector(rw, bias, w->dims[0])) ||
        strcmp(cyg_node_string(n, CYG_ATTR_auto_pad, "NOTSET"), "NOTSET") != 0)
        return false;
    b->is_conv = true;
    b->x = n->in[0];
    b->spatial = w->rank - 2;
    b->group = cyg_node_int(n, CYG_ATTR_group, 1);
    memcpy(b->kernel, w->dims + 2, (size_t)b->spatial * sizeof *b->kernel);
    return b->group >= 1 && w->dims[0] % b->group == 0 &&
           cyg_node_list(n, CYG_ATTR_strides, b->spatial, 1, b->strides) &&
           cyg_node_list(n, CYG_ATTR_dilations, b->spatial, 1, b->dilations) &&
           cyg_node_list(n, CYG_ATTR_pads, 2 * b->spatial, 0, b->pads);
}

/* v as a branch over x; x none: as a convolution over anything. */
static bool read_branch(cyg_rw *rw, cyg_value_id v, cyg_value_id x, branch *b)
{
    *b = (branch){.node = CYG_NO_NODE};
    if (v.i == x.i) {
        b->x = x;
        return cyg_val(rw->g, v)->type == CYG_TYPE_F32;
    }
    const cyg_node_id p = cyg_val(rw->g, v)->producer;
    if (cyg_node_is_none(p) || !cyg_rw_single_use(rw, v))
        return false;
    b->node = p;
    if (read_conv(rw, p, b))
        return cyg_value_is_none(x) || b->x.i == x.i;
    if (cyg_value_is_none(x) || !cyg_affine_read(rw, p, &b->affine))
        return false;
    b->x = b->affine.x;
    return b->x.i == x.i;
}

/* ---- fitting ---- */

/* Where the first tap of `b` is among those of `all`; false when some tap is not there. */
static bool taps_fit(const branch *all, const branch *b, int64_t *out_at)
{
    for (int i = 0; i < all->spatial; i++) {
        const int64_t ahead = all->pads[i] - (b->is_conv ? b->pads[i] : 0),
                      kernel = b->is_conv ? b->kernel[i] : 1, step = all->dilations[i];
        if (ahead < 0 || step < 1 || ahead % step != 0 || ahead / step + kernel > all->kernel[i] ||
            (kernel > 1 && b->dilations[i] != step) ||
            all->strides[i] != (b->is_conv ? b->strides[i] : 1))
            return false;
        out_at[i] = ahead / step;
    }
    return true;
}

/* `b` can be added to the convolution `all`. */
static bool fits(const cyg_rw *rw, const branch *all, const branch *b, int64_t *out_at)
{
    const cyg_value *w = cyg_val(rw->g, cyg_nod(rw->g, all->node)->in[1]);
    if (b->is_conv) {
        const cyg_value *own = cyg_val(rw->g, cyg_nod(rw->g, b->node)->in[1]);
        if (b->group != all->group || own->rank != w->rank || own->dims[0] != w->dims[0] ||
            own->dims[1] != w->dims[1])
            return false;
    } else if (w->dims[0] != w->dims[1] * all->group) { /* as many channels out as in */
        return false;
    }
    return taps_fit(all, b, out_at);
}

/* ---- adding ---- */

static double bias_of(const cyg_rw *rw, const branch *b, int64_t channel)
{
    if (!b->is_conv)
        return cyg_node_is_none(b->node) ? 0.0 : b->affine.shift[channel];
    const cyg_value_id bias = cyg_node_in(cyg_nod(rw->g, b->node), 2);
    return cyg_value_is_none(bias) ? 0.0
                                   : (double)cyg_float_at(cyg_val(rw->g, bias)->data, channel);
}

/* Adds b's taps, the first of which is at `at`, to `sum`, weights in the shape of w. */
static void add_taps(const cyg_rw *rw, const branch *b, const cyg_value *w, const int64_t *at,
                     double *sum)
{
    const int64_t channels = w->dims[0], inner = w->dims[1];
    int64_t area = 1, own_area = 1;
    for (int i = 0; i < w->rank - 2; i++) {
        area *= w->dims[2 + i];
        own_area *= b->is_conv ? b->kernel[i] : 1;
    }
    const void *data = b->is_conv ? cyg_val(rw->g, cyg_nod(rw->g, b->node)->in[1])->data : NULL;
    for (int64_t t = 0; t < own_area; t++) {
        int64_t rest = t, place = 0, stride = 1;
        for (int i = w->rank - 3; i >= 0; i--) {
            const int64_t size = b->is_conv ? b->kernel[i] : 1;
            place += (at[i] + rest % size) * stride;
            rest /= size;
            stride *= w->dims[2 + i];
        }
        for (int64_t o = 0; o < channels; o++)
            for (int64_t i = 0; i < inner; i++) {
                const double own = b->is_conv
                                       ? (double)cyg_float_at(data, (o * inner + i) * own_area + t)
                                   : o % inner != i            ? 0.0
                                   : cyg_node_is_none(b->node) ? 1.0
                                                               : b->affine.scale[o];
                sum[(o * inner + i) * area + place] += b->sign * own;
            }
    }
}

static cyg_status merge(cyg_rw *rw, cyg_node_id id, const branch *all, const branch *b,
                        const int64_t *at)
{
    cyg_graph *g = rw->g;
    const cyg_node *conv = cyg_nod(g, all->node);
    const cyg_value w = *cyg_val(g, conv->in[1]);
    const int64_t count = cyg_value_elements(&w), channels = w.dims[0], zero[CYG_MAX_RANK] = {0};
    double *sum = CYG_NEW_ARRAY(&rw->scratch, double, count);
    float *to = cyg_arena_alloc(&g->arena, (size_t)count * sizeof *to, 64),
          *bias = cyg_arena_alloc(&g->arena, (size_t)channels * sizeof *bias, 64);
    if (sum == NULL || to == NULL || bias == NULL)
        return CYG_RW_NOMEM(rw);
    add_taps(rw, all, &w, zero, sum);
    add_taps(rw, b, &w, at, sum);
    bool biased = false;
    for (int64_t i = 0; i < count; i++)
        to[i] = (float)sum[i];
    for (int64_t o = 0; o < channels; o++) {
        bias[o] = (float)(all->sign * bias_of(rw, all, o) + b->sign * bias_of(rw, b, o));
        biased = biased || bias[o] != 0.0f;
    }
    const cyg_value_id own = cyg_node_in(conv, 2), out = cyg_nod(g, id)->out[0],
                       between[2] = {cyg_nod(g, id)->in[0], cyg_nod(g, id)->in[1]},
                       named = !cyg_value_is_none(own)     ? own
                               : b->is_conv                ? cyg_node_in(cyg_nod(g, b->node), 2)
                               : cyg_node_is_none(b->node) ? CYG_NO_VALUE
                                                           : b->affine.named;
    const cyg_attr *attrs = conv->attrs;
    const uint32_t attr_count = conv->attr_count;
    cyg_value_id in[3] = {
        conv->in[0],
        cyg_rw_const_for(rw, conv->in[1], w.rank, w.dims, to, (size_t)count * sizeof *to),
        CYG_NO_VALUE};
    biased = biased && !cyg_value_is_none(named);
    if (biased)
        in[2] = cyg_rw_const_for(rw, named, 1, &channels, bias, (size_t)channels * sizeof *bias);
    if (cyg_graph_failed(g))
        return CYG_RW_NOMEM(rw);
    const cyg_node_id other = b->node;
    const cyg_node_id now = cyg_rw_replace(rw, id, CYG_OP_conv, in, biased ? 3 : 2, out);
    if (cyg_node_is_none(now) || cyg_rw_copy_attrs(rw, now, attrs, attr_count) != CYG_OK)
        return CYG_RW_NOMEM(rw);
    cyg_node_merge_sources(g, now, all->node);
    if (!cyg_node_is_none(other))
        cyg_node_merge_sources(g, now, other);
    for (int i = 0; i < 2; i++)
        if (between[i].i != in[0].i)
            cyg_rw_drop(rw, between[i]);
    return CYG_OK;
}

static cyg_status visit(cyg_rw *rw, cyg_node_id id)
{
    const cyg_node *n = cyg_nod(rw->g, id);
    if ((n->op != CYG_OP_add && n->op != CYG_OP_sub) || n->in[0].i == n->in[1].i ||
        !cyg_rw_same_shape(rw, n->in[0], n->in[1]))
        return CYG_OK;
    for (int k = 0; k < 2; k++) {
        branch all, other;
        int64_t at[CYG_MAX_RANK];
        if (!read_branch(rw, n->in[k], CYG_NO_VALUE, &all) ||
            !read_branch(rw, n->in[1 - k], all.x, &other) || !fits(rw, &all, &other, at))
            continue;
        all.sign = n->op == CYG_OP_sub && k == 1 ? -1.0 : 1.0;
        other.sign = n->op == CYG_OP_sub && k == 0 ? -1.0 : 1.0;
        return merge(rw, id, &all, &other, at);
    }
    return CYG_OK;
}

cyg_status cyg_pass_branches(cyg_ctx *ctx, cyg_graph *g, bool *out_changed)
{
    return cyg_rw_each(ctx, g, visit, out_changed);
}
