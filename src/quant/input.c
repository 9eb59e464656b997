/* The model's image input. A float model sees normalised pixels; a chip should see pixels. Where
 * the input is read by convolutions alone (every patch embedding, every stem), straight or behind
 * cuts, (p - mean) / std moves exactly into its weights and bias, and 8-bit pixels enter with scale
 * 1 and zero point 0: no rounding at all. What the convolution pads with, zero, is the mean of each
 * channel in pixels: its padding becomes a step of its own that pads with the nearest pixels, at
 * most half a step of 255 off and only outside the picture. Elsewhere the normalisation is spelled
 * out as float nodes in front. Then cyg_quant_bind_input adapts element type and layout to what the
 * runtime feeds. */
#include <math.h>
#include <string.h>

#include "quant/params.h"
#include "quant/rows.h"

static cyg_status nomem(cyg_scheme *s)
{
    return CYG_FAIL(s->ctx, CYG_E_NOMEM, "out of memory while folding the normalisation");
}

/* A cut of pictures [batch, channels, height, width] that leaves the channels alone: whether it
 * comes before or behind a normalisation is all the same. */
static bool cuts_pixels(const cyg_graph *g, const cyg_node *n)
{
    const cyg_value_id axes = cyg_node_in(n, 3);
    if (n->op != CYG_OP_slice || cyg_value_is_none(axes) || !cyg_val(g, axes)->is_const ||
        cyg_val(g, axes)->type != CYG_TYPE_S64)
        return false;
    for (int64_t i = 0; i < cyg_value_elements(cyg_val(g, axes)); i++) {
        const int64_t axis = ((const int64_t *)cyg_val(g, axes)->data)[i];
        if (axis == 1 || axis == -3)
            return false;
    }
    return true;
}

static bool is_turn(const cyg_node *n)
{
    static const int64_t to_nhwc[] = {0, 2, 3, 1};
    const int64_t *perm;
    return n->op == CYG_OP_transpose && cyg_node_ints(n, CYG_ATTR_perm, &perm) == 4 &&
           memcmp(perm, to_nhwc, sizeof to_nhwc) == 0;
}

/* Top, left, bottom, right of a conv2d; true: there are any. */
static bool pads_of(const cyg_node *n, int64_t *out_pads)
{
    const int64_t *pads;
    memset(out_pads, 0, 4 * sizeof *out_pads);
    if (cyg_node_ints(n, CYG_ATTR_pads, &pads) == 4)
        memcpy(out_pads, pads, 4 * sizeof *pads);
    return out_pads[0] != 0 || out_pads[1] != 0 || out_pads[2] != 0 || out_pads[3] != 0;
}

/* Padding is done with pixels: a mean beyond them has none. */
static bool means_are_pixels(const cyg_normalize *nm)
{
    for (uint32_t c = 0; c < nm->channels; c++)
        if (!(nm->mean[c] >= 0.0f && nm->mean[c] <= 255.0f))
            return false;
    return true;
}

/* Whether a conv2d that reads pixels (turned: channels last) can take the fold. */
static bool can_fold(const cyg_scheme *s, cyg_node_id id, bool turned)
{
    const cyg_graph *g = s->g;
    const cyg_normalize *nm = &s->options->normalize;
    const cyg_node *n = cyg_nod(g, id);
    const cyg_value_id b = cyg_node_in(n, 2);
    int64_t pads[4];
    return n->op == CYG_OP_conv2d && s->integer[id.i] && cyg_node_int(n, CYG_ATTR_group, 1) == 1 &&
           (cyg_node_int(n, CYG_ATTR_x_nchw, 0) == 0) == turned &&
           cyg_val(g, n->in[1])->dims[3] == nm->channels && cyg_val(g, n->in[1])->is_const &&
           (cyg_value_is_none(b) || cyg_val(g, b)->is_const) &&
           (!pads_of(n, pads) || means_are_pixels(nm));
}

enum { MAX_STEMS = 16 };

/* The convolutions that read pixels, when these are all that does. */
typedef struct stems {
    cyg_node_id conv[MAX_STEMS];
    uint32_t count;
} stems;

/* Adds the readers of v, behind cuts and the turn to channels last, too; false when one of them is
 * something else. */
static bool find_stems(const cyg_scheme *s, cyg_value_id v, bool turned, stems *out)
{
    const cyg_graph *g = s->g;
    if (cyg_graph_is_output(g, v))
        return false;
    for (uint32_t i = 0; i < g->order_count; i++) {
        const cyg_node *n = cyg_nod(g, g->order[i]);
        for (uint32_t k = 0; k < n->in_count; k++) {
            if (n->in[k].i != v.i)
                continue;
            if (k == 0 && !turned && (cuts_pixels(g, n) || is_turn(n))) {
                if (!find_stems(s, n->out[0], is_turn(n), out))
                    return false;
            } else if (k == 0 && out->count < MAX_STEMS && can_fold(s, g->order[i], turned)) {
                out->conv[out->count++] = g->order[i];
            } else {
                return false;
            }
        }
    }
    return true;
}

/* Sampled rows held what the float model sees. A study has them in common with other trials. */
static cyg_status rows_to_pixels(cyg_scheme *s, cyg_rows *r)
{
    const cyg_normalize *nm = &s->options->normalize;
    if (r->count == 0)
        return CYG_OK;
    r->data = cyg_arena_memdup(s->arena, r->data, (size_t)(r->count * r->taps) * sizeof *r->data);
    if (r->data == NULL)
        return nomem(s);
    for (int64_t at = 0; at < r->count * r->taps; at += nm->channels) {
        float pixel[4];
        for (uint32_t c = 0; c < nm->channels; c++)
            pixel[nm->swap_channels ? nm->channels - 1 - c : c] =
                r->data[at + c] * nm->std[c] + nm->mean[c];
        memcpy(r->data + at, pixel, nm->channels * sizeof *pixel);
    }
    return CYG_OK;
}

static cyg_status fold_into(cyg_scheme *s, cyg_node_id id)
{
    cyg_graph *g = s->g;
    const cyg_normalize *nm = &s->options->normalize;
    const cyg_value w = *cyg_val(g, cyg_nod(g, id)->in[1]);
    const cyg_value_id old_bias = cyg_node_in(cyg_nod(g, id), 2);
    const int64_t channels = nm->channels, outputs = w.dims[0],
                  taps = cyg_value_elements(&w) / outputs;
    float *weights = CYG_NEW_ARRAY(&g->arena, float, outputs *taps);
    float *bias = CYG_NEW_ARRAY(&g->arena, float, outputs);
    if (weights == NULL || bias == NULL)
        return nomem(s);
    for (int64_t o = 0; o < outputs; o++) {
        double shift = cyg_value_is_none(old_bias)
                           ? 0.0
                           : (double)((const float *)cyg_val(g, old_bias)->data)[o];
        for (int64_t t = 0; t < taps; t++) {
            const int64_t c = t % channels; /* [O, kh, kw, C] */
            const double scaled =
                (double)((const float *)w.data)[o * taps + t] / (double)nm->std[c];
            const int64_t to = nm->swap_channels ? t - c + (channels - 1 - c) : t;
            weights[o * taps + to] = (float)scaled;
            shift -= scaled * (double)nm->mean[c];
        }
        bias[o] = (float)shift;
    }
    const cyg_value_id nw = cyg_graph_add_const(g, w.name, CYG_TYPE_F32, w.rank, w.dims, weights,
                                                (size_t)(outputs * taps) * 4);
    if (cyg_value_is_none(nw))
        return nomem(s);
    cyg_node_set_input(g, id, 1, nw);
    CYG_DO(rows_to_pixels(s, &s->rows[id.i]));
    return cyg_quant_set_bias(s, id, bias, outputs);
}

static cyg_value_id channel_const(cyg_graph *g, const float *values, int64_t channels)
{
    const int64_t dims[] = {1, channels, 1, 1};
    return cyg_graph_add_const_copy(g, NULL, CYG_TYPE_F32, 4, dims, values, (size_t)channels * 4);
}

/* pixels -> [reverse channels] -> sub mean -> div std -> what the model read before. */
static cyg_status spell_out(cyg_scheme *s)
{
    cyg_graph *g = s->g;
    const cyg_normalize *nm = &s->options->normalize;
    const cyg_value_id old = g->inputs[0];
    const cyg_value like = *cyg_val(g, old);
    const cyg_node_id first = g->order_count > 0 ? g->order[0] : CYG_NO_NODE;
    cyg_value_id x = cyg_graph_add_value(g, NULL, CYG_TYPE_F32, like.rank, like.dims);
    const cyg_value_id pixels = x;
    if (nm->swap_channels) {
        int64_t index[4];
        for (uint32_t c = 0; c < nm->channels; c++)
            index[c] = (int64_t)nm->channels - 1 - (int64_t)c;
        const int64_t count = nm->channels;
        const cyg_value_id table =
            cyg_graph_add_const_copy(g, NULL, CYG_TYPE_S64, 1, &count, index, (size_t)count * 8);
        const cyg_value_id y = cyg_graph_add_value(g, NULL, CYG_TYPE_F32, like.rank, like.dims);
        const cyg_value_id in[] = {x, table};
        const cyg_node_id n = cyg_graph_add_node(g, first, CYG_OP_gather, NULL, in, 2, &y, 1);
        if (cyg_node_is_none(n) || !cyg_node_set_int(g, n, CYG_ATTR_axis, 1))
            return nomem(s);
        x = y;
    }
    const cyg_value_id centred = cyg_graph_add_value(g, NULL, CYG_TYPE_F32, like.rank, like.dims);
    const cyg_value_id sub[] = {x, channel_const(g, nm->mean, nm->channels)};
    const cyg_value_id div[] = {centred, channel_const(g, nm->std, nm->channels)};
    if (cyg_node_is_none(cyg_graph_add_node(g, first, CYG_OP_sub, NULL, sub, 2, &centred, 1)) ||
        cyg_node_is_none(cyg_graph_add_node(g, first, CYG_OP_div, NULL, div, 2, &old, 1)))
        return nomem(s);
    g->inputs[0] = pixels;
    return cyg_quant_take_name(g, old, pixels) ? CYG_OK : nomem(s);
}

static cyg_status check_input(const cyg_scheme *s)
{
    const cyg_graph *g = s->g;
    const cyg_value *x = cyg_val(g, g->inputs[0]);
    if (x->rank != 4 || x->dims[1] != s->options->normalize.channels)
        return CYG_FAIL(
            s->ctx, CYG_E_CONFIG,
            "input \"%s\" is not [batch, %u, height, width]: mean and std do not apply to it",
            x->name, s->options->normalize.channels);
    return CYG_OK;
}

cyg_status cyg_quant_spell_normalize(cyg_scheme *s)
{
    CYG_DO(check_input(s));
    return spell_out(s);
}

/* Pixels are their own integers, cut or turned or not: every value from v back to the input. */
static void store_pixels(cyg_scheme *s, cyg_value_id v)
{
    const cyg_graph *g = s->g;
    for (;; v = cyg_nod(g, cyg_val(g, v)->producer)->in[0]) {
        s->observed[v.i] = (cyg_observed){.hi = 255.0f, .most = 255.0f, .seen = true};
        s->store[s->class_of[v.i]] = CYG_STORE_U8;
        if (v.i == g->inputs[0].i)
            return;
    }
}

/* A new value of pixels, made by a new node before `before`. */
static cyg_value_id pixels_by(cyg_graph *g, cyg_node_id before, cyg_op op, const cyg_value_id *in,
                              uint32_t count, const int64_t *dims)
{
    const cyg_value_id y = cyg_graph_add_value(g, NULL, CYG_TYPE_F32, 4, dims);
    float *one = CYG_NEW(&g->arena, float);
    if (cyg_value_is_none(y) || one == NULL ||
        cyg_node_is_none(cyg_graph_add_node(g, before, op, NULL, in, count, &y, 1)))
        return CYG_NO_VALUE;
    *one = 1.0f;
    cyg_val(g, y)->quant = (cyg_quant){.type = CYG_TYPE_U8, .axis = -1, .count = 1, .scales = one};
    return y;
}

/* The convolution's padding becomes a Pad right before it, channels last, where the value may
 * differ from channel to channel. */
static cyg_status pad_pixels(cyg_scheme *s, cyg_node_id id)
{
    cyg_graph *g = s->g;
    const cyg_normalize *nm = &s->options->normalize;
    static const int64_t to_nhwc[] = {0, 2, 3, 1}, none[4] = {0};
    int64_t pads[4];
    if (!pads_of(cyg_nod(g, id), pads))
        return CYG_OK;
    cyg_value_id x = cyg_nod(g, id)->in[0];
    if (cyg_node_int(cyg_nod(g, id), CYG_ATTR_x_nchw, 0) != 0) {
        const int64_t *d = cyg_val(g, x)->dims;
        const int64_t last[] = {d[0], d[2], d[3], d[1]};
        x = pixels_by(g, id, CYG_OP_transpose, &x, 1, last);
        if (cyg_value_is_none(x) ||
            !cyg_node_set_ints(g, cyg_val(g, x)->producer, CYG_ATTR_perm, to_nhwc, 4))
            return nomem(s);
        cyg_node_clear_attr(g, id, CYG_ATTR_x_nchw);
    }
    uint8_t means[4] = {0};
    for (uint32_t c = 0; c < nm->channels; c++)
        means[nm->swap_channels ? nm->channels - 1 - c : c] = (uint8_t)nearbyintf(nm->mean[c]);
    const int64_t all[8] = {0, pads[0], pads[1], 0, 0, pads[2], pads[3], 0}, eight = 8,
                  channels = nm->channels;
    const cyg_value from = *cyg_val(g, x);
    const int64_t dims[] = {from.dims[0], from.dims[1] + pads[0] + pads[2],
                            from.dims[2] + pads[1] + pads[3], from.dims[3]};
    const cyg_value_id value =
        cyg_graph_add_const_copy(g, NULL, CYG_TYPE_U8, 1, &channels, means, nm->channels);
    const cyg_value_id in[] = {
        x, cyg_graph_add_const_copy(g, NULL, CYG_TYPE_S64, 1, &eight, all, sizeof all), value};
    const cyg_value_id y = pixels_by(g, id, CYG_OP_pad, in, 3, dims);
    if (cyg_value_is_none(value) || cyg_value_is_none(y) ||
        !cyg_node_set_ints(g, id, CYG_ATTR_pads, none, 4))
        return nomem(s);
    cyg_val(g, value)->quant = cyg_val(g, y)->quant;
    cyg_node_merge_sources(g, cyg_val(g, y)->producer, id);
    cyg_node_set_input(g, id, 0, y);
    return CYG_OK;
}

/* Pixels are bytes, whatever is asked of the convolution that reads them; weights of 16 bits get
 * them widened. */
static void keep_outcome(cyg_scheme *s, cyg_node_id id)
{
    const cyg_asked p = cyg_quant_asked(s, cyg_nod(s->g, id));
    if (s->outcomes != NULL && p.data != CYG_TYPE_NONE && p.data != CYG_TYPE_U8 &&
        p.weight != CYG_TYPE_S16)
        s->outcomes[id.i] |= CYG_PART_DATA;
}

/* Runs after the scheme was chosen and before parameters are assigned. */
cyg_status cyg_quant_normalize_input(cyg_scheme *s)
{
    const cyg_graph *g = s->g;
    if (!s->options->normalize.enabled)
        return CYG_OK;
    CYG_DO(check_input(s));
    stems found = {.count = 0};
    if (!find_stems(s, g->inputs[0], false, &found) || found.count == 0)
        return spell_out(s);
    for (uint32_t i = 0; i < found.count; i++) {
        keep_outcome(s, found.conv[i]);
        CYG_DO(fold_into(s, found.conv[i]));
        store_pixels(s, cyg_nod(g, found.conv[i])->in[0]);
        CYG_DO(pad_pixels(s, found.conv[i]));
    }
    return CYG_OK;
}

/* ---- what the runtime feeds
 * --------------------------------------------------------------------------------- */

/* The single transpose to channels last that reads v, if that is all that reads it. */
static cyg_node_id only_nhwc_transpose(const cyg_graph *g, cyg_value_id v)
{
    cyg_node_id found = CYG_NO_NODE;
    for (uint32_t i = 0; i < g->order_count; i++) {
        const cyg_node *n = cyg_nod(g, g->order[i]);
        for (uint32_t k = 0; k < n->in_count; k++) {
            if (n->in[k].i != v.i)
                continue;
            if (!cyg_node_is_none(found) || !is_turn(n))
                return CYG_NO_NODE;
            found = g->order[i];
        }
    }
    return found;
}

static cyg_status take_over(cyg_ctx *ctx, cyg_graph *g, uint32_t index, cyg_value_id now)
{
    const cyg_value_id old = g->inputs[index];
    if (!cyg_quant_take_name(g, old, now))
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    g->inputs[index] = now;
    return CYG_OK;
}

/* now -> op -> the old input. */
static cyg_status put_in_front(cyg_ctx *ctx, cyg_graph *g, uint32_t index, cyg_value_id now,
                               cyg_op op, const int64_t *perm)
{
    const cyg_value_id old = g->inputs[index];
    const cyg_node_id first = g->order_count > 0 ? g->order[0] : CYG_NO_NODE;
    const cyg_node_id n = cyg_value_is_none(now)
                              ? CYG_NO_NODE
                              : cyg_graph_add_node(g, first, op, NULL, &now, 1, &old, 1);
    if (cyg_node_is_none(n) || (perm != NULL && !cyg_node_set_ints(g, n, CYG_ATTR_perm, perm, 4)))
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    if (op == CYG_OP_cast && !cyg_node_set_int(g, n, CYG_ATTR_to, cyg_type_to_onnx(CYG_TYPE_F32)))
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    return take_over(ctx, g, index, now);
}

static cyg_status bind_layout(cyg_ctx *ctx, cyg_graph *g, uint32_t index)
{
    const cyg_value_id old = g->inputs[index];
    const cyg_value x = *cyg_val(g, old);
    if (x.rank != 4)
        return CYG_FAIL(ctx, CYG_E_CONFIG,
                        "input \"%s\" has no channel axis to move: src_layout NHWC needs four axes",
                        x.name);
    const cyg_node_id t = only_nhwc_transpose(g, old);
    if (!cyg_node_is_none(t)) {
        const cyg_value_id y = cyg_nod(g, t)->out[0];
        cyg_graph_remove_node(g, t);
        cyg_val(g, y)->producer = CYG_NO_NODE;
        return take_over(ctx, g, index, y);
    }
    static const int64_t to_nchw[] = {0, 3, 1, 2};
    const int64_t dims[] = {x.dims[0], x.dims[2], x.dims[3], x.dims[1]};
    const cyg_value_id now = cyg_graph_add_value(g, NULL, x.type, 4, dims);
    if (!cyg_value_is_none(now))
        cyg_val(g, now)->quant = x.quant;
    return put_in_front(ctx, g, index, now, CYG_OP_transpose, to_nchw);
}

cyg_status cyg_quant_bind_input(cyg_ctx *ctx, cyg_graph *g, uint32_t index, cyg_type src_type,
                                bool nhwc)
{
    if (nhwc)
        CYG_DO(bind_layout(ctx, g, index));
    const cyg_value x = *cyg_val(g, g->inputs[index]);
    const bool pixels = x.quant.type == CYG_TYPE_U8 && x.quant.count == 1 &&
                        x.quant.scales[0] == 1.0f && x.quant.zero_point == 0;
    if (src_type == CYG_TYPE_F32 && x.quant.type != CYG_TYPE_NONE) {
        const cyg_value_id now = cyg_graph_add_value(g, NULL, CYG_TYPE_F32, x.rank, x.dims);
        CYG_DO(put_in_front(ctx, g, index, now, CYG_OP_requant, NULL));
    } else if (src_type == CYG_TYPE_U8 && x.quant.type == CYG_TYPE_NONE && x.type == CYG_TYPE_F32) {
        const cyg_value_id now = cyg_graph_add_value(g, NULL, CYG_TYPE_U8, x.rank, x.dims);
        CYG_DO(put_in_front(ctx, g, index, now, CYG_OP_cast, NULL));
    } else if (src_type == CYG_TYPE_U8 && !pixels) {
        return CYG_FAIL(ctx, CYG_E_CONFIG,
                        "input \"%s\": src_dtype U8 is for pixels; here it would need a scale",
                        x.name);
    } else if (src_type != CYG_TYPE_F32 && src_type != CYG_TYPE_U8) {
        return CYG_FAIL(ctx, CYG_E_CONFIG, "input \"%s\": src_dtype %s is not supported", x.name,
                        cyg_type_name(src_type));
    }
    return cyg_graph_sort(ctx, g);
}
