/* linear and conv2d with the weights of a file.
 *
 * The float weights are scale times an integer, exactly but for one rounding, so dividing gives the
 * integer back. Zero points of weights are off already: with w the integer and z the zero point,
 * the weight is w - z, of nine bits when z is not in the middle. Such weights are split,
 * w - z = a + b with a the nearest int8: sum x (a + b) = sum [x, x] [a, b], the kernel that there
 * is, on the channels twice. An accumulator that could overflow, weights along another axis, and
 * whatever else has no exact form leaves the node in float. */
#include <math.h>

#include "quant/given.h"

typedef struct weights {
    const cyg_value *w; /* [channels, taps.., inner] */
    int64_t channels, taps, inner;
    int32_t *q; /* [channels * taps] */
    int32_t least, most;
} weights;

static bool is_wide(const cyg_quant *q)
{
    return cyg_type_size(q->type) == 2;
}

static double scale_of(const cyg_value *w, int64_t channel)
{
    return (double)w->quant.scales[w->quant.count == 1 ? 0 : channel];
}

/* The integers; false: the floats are no multiples of the scales (a pass changed them). */
static bool read_integers(const cyg_value *w, weights *out)
{
    const float *data = w->data;
    for (int64_t i = 0; i < out->channels * out->taps; i++) {
        const double x = (double)data[i] / scale_of(w, i / out->taps), near = rint(x);
        if (!(near >= -65535.0 && near <= 65535.0) || fabs(x - near) > 1e-2)
            return false;
        out->q[i] = (int32_t)near;
        out->least = out->q[i] < out->least ? out->q[i] : out->least;
        out->most = out->q[i] > out->most ? out->q[i] : out->most;
    }
    return true;
}

/* reach sum |w| + |bias, zero point folded| stays below the accumulator's limit. */
static bool cannot_overflow(const weights *w, const cyg_value *bias, const cyg_quant *x)
{
    const bool wide = is_wide(x);
    const double limit = wide ? 9007199254740992.0 : 2147483647.0, reach = x->type == CYG_TYPE_U16
                                                                               ? 65535.0
                                                                           : wide ? 32768.0
                                                                                  : 255.0;
    for (int64_t n = 0; n < w->channels; n++) {
        double sum = 0.0, magnitude = 0.0;
        for (int64_t k = 0; k < w->taps; k++) {
            const double q = (double)w->q[n * w->taps + k];
            sum += q;
            magnitude += fabs(q);
        }
        const double s = (double)x->scales[0] * scale_of(w->w, n);
        const double b = bias == NULL ? 0.0 : rint((double)((const float *)bias->data)[n] / s);
        if (!(reach * magnitude + fabs(b - (double)x->zero_point * sum) < limit))
            return false;
    }
    return true;
}

/* The constant of `type`, its last dimension `times` as long. */
static cyg_status add_constant(cyg_given *s, const weights *w, cyg_type type, int times,
                               cyg_value_id *out_v)
{
    cyg_graph *g = s->g;
    const cyg_value from = *w->w; /* adding values may move the array */
    const size_t size = cyg_type_size(type);
    const size_t bytes = (size_t)(w->channels * w->taps * times) * size;
    char *data = cyg_arena_alloc(&g->arena, bytes + 1, 64);
    float *scales = cyg_arena_alloc(&g->arena, (size_t)w->channels * sizeof *scales, 8);
    if (data == NULL || scales == NULL)
        return CYG_FAIL(s->ctx, CYG_E_NOMEM, "out of memory");
    for (int64_t row = 0; row < w->channels * w->taps / w->inner; row++)
        for (int64_t i = 0; i < w->inner; i++) {
            const int32_t q = w->q[row * w->inner + i];
            const int32_t part = times == 1 ? q : q < -128 ? -128 : q > 127 ? 127 : q;
            const int32_t rest = q - part;
            const int64_t at = row * w->inner * times + i;
            memcpy(data + (size_t)at * size, &part, size); /* little endian: the low bytes */
            if (times == 2)
                memcpy(data + (size_t)(at + w->inner) * size, &rest, size);
        }
    for (int64_t n = 0; n < w->channels; n++)
        scales[n] = (float)scale_of(&from, n);
    int64_t dims[CYG_MAX_RANK];
    memcpy(dims, from.dims, sizeof dims);
    dims[from.rank - 1] *= times;
    *out_v = cyg_graph_add_const(g, from.name, type, from.rank, dims, data, bytes);
    if (cyg_value_is_none(*out_v))
        return CYG_FAIL(s->ctx, CYG_E_NOMEM, "out of memory");
    cyg_val(g, *out_v)->quant =
        (cyg_quant){.type = type, .axis = 0, .count = (uint32_t)w->channels, .scales = scales};
    return CYG_OK;
}

/* op(in..) -> a new value stored as `like`, in front of id. */
static cyg_status in_front(cyg_given *s, cyg_node_id id, cyg_op op, const cyg_value_id *in,
                           uint32_t count, const int64_t *dims, cyg_node_id *out_node,
                           cyg_value_id *out_v)
{
    cyg_graph *g = s->g;
    const cyg_value from = *cyg_val(g, in[0]);
    *out_v = cyg_graph_add_value(g, from.name, CYG_TYPE_F32, from.rank, dims);
    *out_node = cyg_value_is_none(*out_v)
                    ? CYG_NO_NODE
                    : cyg_graph_add_node(g, id, op, NULL, in, count, out_v, 1);
    if (cyg_node_is_none(*out_node))
        return CYG_FAIL(s->ctx, CYG_E_NOMEM, "out of memory");
    cyg_val(g, *out_v)->quant = from.quant;
    cyg_node_merge_sources(g, *out_node, id);
    return CYG_OK;
}

/* Integer convolutions read channels last. */
static cyg_status turn_input(cyg_given *s, cyg_node_id id)
{
    cyg_graph *g = s->g;
    if (cyg_nod(g, id)->op != CYG_OP_conv2d ||
        cyg_node_int(cyg_nod(g, id), CYG_ATTR_x_nchw, 0) == 0)
        return CYG_OK;
    const cyg_value_id x = cyg_nod(g, id)->in[0];
    const int64_t *d = cyg_val(g, x)->dims, perm[] = {0, 2, 3, 1},
                  dims[] = {d[0], d[2], d[3], d[1]};
    cyg_node_id n;
    cyg_value_id y;
    CYG_DO(in_front(s, id, CYG_OP_transpose, &x, 1, dims, &n, &y));
    if (!cyg_node_set_ints(g, n, CYG_ATTR_perm, perm, 4))
        return CYG_FAIL(s->ctx, CYG_E_NOMEM, "out of memory");
    cyg_node_set_input(g, id, 0, y);
    cyg_node_clear_attr(g, id, CYG_ATTR_x_nchw);
    return CYG_OK;
}

/* The input's channels twice, for weights in two parts. */
static cyg_status double_input(cyg_given *s, cyg_node_id id)
{
    cyg_graph *g = s->g;
    const cyg_value_id x = cyg_nod(g, id)->in[0], in[] = {x, x};
    int64_t dims[CYG_MAX_RANK];
    const int rank = cyg_val(g, x)->rank;
    memcpy(dims, cyg_val(g, x)->dims, sizeof dims);
    dims[rank - 1] *= 2;
    cyg_node_id n;
    cyg_value_id y;
    CYG_DO(in_front(s, id, CYG_OP_concat, in, 2, dims, &n, &y));
    if (!cyg_node_set_int(g, n, CYG_ATTR_axis, rank - 1))
        return CYG_FAIL(s->ctx, CYG_E_NOMEM, "out of memory");
    cyg_node_set_input(g, id, 0, y);
    return CYG_OK;
}

/* The addition of a residual that is float becomes a node of its own: id itself, which goes on
 * making the sum, behind a new node that computes. */
static cyg_status part_residual(cyg_given *s, cyg_node_id id)
{
    cyg_graph *g = s->g;
    const cyg_value like = *cyg_val(g, cyg_nod(g, id)->out[0]);
    const char *name = cyg_nod(g, id)->name;
    const cyg_value_id y = cyg_graph_add_value(g, like.name, CYG_TYPE_F32, like.rank, like.dims),
                       residual = cyg_nod(g, id)->in[3];
    const cyg_node_id n = cyg_value_is_none(y) ? CYG_NO_NODE
                                               : cyg_graph_add_node(g, id, cyg_nod(g, id)->op, NULL,
                                                                    cyg_nod(g, id)->in, 3, &y, 1);
    if (cyg_node_is_none(n) || !cyg_node_copy_attrs(g, n, cyg_nod(g, id)) ||
        !cyg_graph_rename_node(g, id, "add") || !cyg_graph_rename_node(g, n, name))
        return CYG_FAIL(s->ctx, CYG_E_NOMEM, "out of memory");
    cyg_node_merge_sources(g, n, id);
    cyg_nod(g, id)->op = CYG_OP_add;
    cyg_nod(g, id)->attr_count = 0;
    cyg_node_set_input(g, id, 0, y);
    cyg_node_set_input(g, id, 1, residual);
    cyg_nod(g, id)->in_count = 2;
    s->report->float_nodes++;
    return CYG_OK;
}

typedef struct plan {
    bool stays, part_residual;
    cyg_type type;
    int times;
} plan;

static bool is_stored(const cyg_given *s, cyg_value_id v)
{
    return !cyg_value_is_none(v) && !cyg_val(s->g, v)->is_const &&
           cyg_val(s->g, v)->quant.type != CYG_TYPE_NONE && cyg_val(s->g, v)->quant.count == 1;
}

/* What can be seen before the weights are read. */
static bool may_be_integer(const cyg_given *s, cyg_node_id id, cyg_node_id r, plan *out)
{
    const cyg_graph *g = s->g;
    const cyg_node *n = cyg_nod(g, id);
    const cyg_value *w = cyg_val(g, n->in[1]);
    const cyg_value_id b = cyg_node_in(n, 2), residual = cyg_node_in(n, 3);
    const int64_t post = cyg_node_int(n, CYG_ATTR_post_act, CYG_ACT_NONE);
    if (!is_stored(s, n->in[0]) || !w->is_const || w->type != CYG_TYPE_F32 || w->data == NULL ||
        (w->quant.type != CYG_TYPE_S8 && w->quant.type != CYG_TYPE_S16) || w->rank < 2 ||
        w->dims[0] < 1 || cyg_value_elements(w) < 1 ||
        (w->quant.axis >= 0 && (w->quant.axis != 0 || w->quant.count != w->dims[0])) ||
        (!cyg_value_is_none(b) &&
         (!cyg_val(g, b)->is_const || cyg_val(g, b)->type != CYG_TYPE_F32 ||
          cyg_value_elements(cyg_val(g, b)) != w->dims[0])))
        return false;
    if (n->op == CYG_OP_conv2d && is_wide(&cyg_val(g, n->in[0])->quant))
        return false;
    out->part_residual = !cyg_value_is_none(residual) && !is_stored(s, residual);
    if (cyg_node_is_none(r) || out->part_residual)
        return post == CYG_ACT_NONE;
    return post == CYG_ACT_NONE || post == CYG_ACT_RELU || post == CYG_ACT_CLIP;
}

static bool choose_type(const cyg_node *n, const weights *w, const cyg_quant *x, plan *out)
{
    out->times = 1;
    out->type = CYG_TYPE_S8;
    if (w->least >= -128 && w->most <= 127)
        return true;
    if (n->op == CYG_OP_linear && is_wide(x)) {
        out->type = CYG_TYPE_S16;
        return w->least >= -32639 && w->most <= 32639;
    }
    out->times = 2;
    return w->least >= -256 && w->most <= 254 &&
           (n->op == CYG_OP_linear || cyg_node_int(n, CYG_ATTR_group, 1) == 1);
}

static cyg_status choose(cyg_given *s, cyg_node_id id, cyg_node_id r, weights *w, plan *out)
{
    const cyg_graph *g = s->g;
    const cyg_node *n = cyg_nod(g, id);
    const cyg_value_id b = cyg_node_in(n, 2);
    *out = (plan){.stays = true};
    if (!may_be_integer(s, id, r, out))
        return CYG_OK;
    w->w = cyg_val(g, n->in[1]);
    w->channels = w->w->dims[0];
    w->taps = cyg_value_elements(w->w) / w->channels;
    w->inner = w->w->dims[w->w->rank - 1];
    w->q = CYG_NEW_ARRAY(&s->scratch, int32_t, w->channels * w->taps + 1);
    if (w->q == NULL)
        return CYG_FAIL(s->ctx, CYG_E_NOMEM, "out of memory");
    const cyg_quant *x = &cyg_val(g, n->in[0])->quant;
    out->stays = !read_integers(w->w, w) || !choose_type(n, w, x, out) ||
                 !cannot_overflow(w, cyg_value_is_none(b) ? NULL : cyg_val(g, b), x);
    return CYG_OK;
}

cyg_status cyg_given_weights(cyg_given *s, cyg_node_id id, cyg_node_id r)
{
    cyg_graph *g = s->g;
    weights w = {0};
    plan p;
    cyg_value_id now;
    CYG_DO(choose(s, id, r, &w, &p));
    if (p.stays)
        return cyg_given_stay_float(s, id);
    s->report->integer_nodes++;
    s->report->weight_bytes_float += (int64_t)w.w->bytes;
    CYG_DO(add_constant(s, &w, p.type, p.times, &now));
    s->report->weight_bytes_quantised += (int64_t)cyg_val(g, now)->bytes + 4 * w.channels;
    cyg_node_set_input(g, id, 1, now);
    CYG_DO(turn_input(s, id));
    if (p.times == 2)
        CYG_DO(double_input(s, id));
    if (p.part_residual)
        return part_residual(s, id);
    if (!cyg_node_is_none(r))
        cyg_given_take_result(s, id, r);
    return CYG_OK;
}
