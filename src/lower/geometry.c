/* Geometry of convolutions, pools, attention and reductions from attributes and shapes: the part
 * that float and integer rules share. */
#include "lower/lowering.h"

#include <string.h>

typedef struct window {
    int64_t kernel, stride, dilation, begin, end, in, out;
} window;

/* SAME pads so that out = ceil(in / stride); an odd total puts the extra element at the end (upper)
 * or the beginning (lower). */
static void auto_pad(window *w, const char *mode)
{
    if (strncmp(mode, "SAME", 4) != 0) {
        w->begin = w->end = 0; /* VALID */
        return;
    }
    const int64_t out = (w->in + w->stride - 1) / w->stride;
    int64_t total = (out - 1) * w->stride + (w->kernel - 1) * w->dilation + 1 - w->in;
    if (total < 0)
        total = 0;
    w->begin = strcmp(mode, "SAME_LOWER") == 0 ? (total + 1) / 2 : total / 2;
    w->end = total - w->begin;
}

static bool take(const cyg_node *n, cyg_attr_key key, size_t spatial, size_t i, int64_t *io)
{
    const int64_t *data;
    const size_t count = cyg_node_ints(n, key, &data);
    if (count == 0)
        return true;
    if (count != spatial)
        return false;
    *io = data[i];
    return true;
}

/* The windows over spatial axes of sizes `in`, into the last of win[3]; kernel as in
 * cyg_lower_windows. */
static cyg_status read_windows(cyg_lowering *l, size_t spatial, const int64_t *kernel,
                               const int64_t *in, window win[3])
{
    const cyg_node *n = l->node;
    const int64_t *pads;
    const size_t pad_count = cyg_node_ints(n, CYG_ATTR_pads, &pads);
    const char *mode = cyg_node_string(n, CYG_ATTR_auto_pad, "NOTSET");
    if (pad_count != 0 && pad_count != 2 * spatial)
        return cyg_lowering_unsupported(l, "attribute pads has the wrong length");
    for (size_t i = 0; i < 3; i++)
        win[i] = (window){.kernel = 1, .stride = 1, .dilation = 1, .in = 1};
    for (size_t i = 0; i < spatial; i++) {
        window *q = &win[3 - spatial + i];
        if (kernel != NULL)
            q->kernel = kernel[i];
        if (!take(n, CYG_ATTR_kernel_shape, spatial, i, &q->kernel) ||
            !take(n, CYG_ATTR_strides, spatial, i, &q->stride) ||
            !take(n, CYG_ATTR_dilations, spatial, i, &q->dilation))
            return cyg_lowering_unsupported(l, "a spatial attribute has the wrong length");
        if (q->kernel < 1 || q->stride < 1 || q->dilation < 1)
            return cyg_lowering_unsupported(l, "kernel, stride and dilation must be at least 1");
        q->in = in[i];
        q->begin = pad_count != 0 ? pads[i] : 0;
        q->end = pad_count != 0 ? pads[i + spatial] : 0;
        if (strcmp(mode, "NOTSET") != 0)
            auto_pad(q, mode);
    }
    return CYG_OK;
}

cyg_status cyg_lower_windows(cyg_lowering *l, const int64_t *kernel, cyg_kp_windows *out_p)
{
    const cyg_value *x = cyg_lowering_in(l, 0);
    window win[3];
    if (x->rank < 3 || x->rank > 5)
        return cyg_lowering_unsupported(l, "one to three spatial axes are supported");
    const int first = l->node->op == CYG_OP_pool2d ? 1 : 2; /* spatial axis */
    CYG_DO(read_windows(l, (size_t)x->rank - 2, kernel, x->dims + first, win));
    *out_p = (cyg_kp_windows){.group = cyg_node_int(l->node, CYG_ATTR_group, 1)};
    for (int i = 0; i < 3; i++) {
        out_p->kernel[i] = win[i].kernel;
        out_p->stride[i] = win[i].stride;
        out_p->dilation[i] = win[i].dilation;
        out_p->begin[i] = win[i].begin;
        out_p->end[i] = win[i].end;
    }
    return CYG_OK;
}

cyg_status cyg_lower_pool_geometry(cyg_lowering *l, cyg_kp_pool *out_p)
{
    cyg_kp_windows w;
    CYG_DO(cyg_lower_windows(l, NULL, &w));
    *out_p = (cyg_kp_pool){.kh = w.kernel[1],
                           .kw = w.kernel[2],
                           .stride_h = w.stride[1],
                           .stride_w = w.stride[2],
                           .pad_t = w.begin[1],
                           .pad_l = w.begin[2],
                           .pad_b = w.end[1],
                           .pad_r = w.end[2],
                           .dilation_h = w.dilation[1],
                           .dilation_w = w.dilation[2]};
    if (cyg_lowering_in(l, 0)->rank == 5) {
        out_p->kd = w.kernel[0];
        out_p->stride_d = w.stride[0];
        out_p->dilation_d = w.dilation[0];
        out_p->pad_f = w.begin[0];
        out_p->pad_k = w.end[0];
    }
    out_p->is_max = l->node->op == CYG_OP_max_pool ||
                    (l->node->op == CYG_OP_pool2d &&
                     strcmp(cyg_node_string(l->node, CYG_ATTR_mode, "max"), "max") == 0);
    out_p->count_include_pad = cyg_node_int(l->node, CYG_ATTR_count_include_pad, 0) != 0;
    out_p->column_major = cyg_node_int(l->node, CYG_ATTR_storage_order, 0) != 0;
    return CYG_OK;
}

cyg_status cyg_lower_conv_geometry(cyg_lowering *l, cyg_kp_conv *out_p)
{
    const cyg_node *n = l->node;
    const cyg_value *x = cyg_lowering_in(l, 0), *y = cyg_lowering_out(l, 0);
    const bool fused = n->op == CYG_OP_conv2d;
    const cyg_value *w = cyg_lowering_in(l, 1);
    const bool nchw = !fused || cyg_node_int(n, CYG_ATTR_x_nchw, 0) != 0;
    if (x->rank != 4 && !(x->rank == 3 && !fused))
        return cyg_lowering_unsupported(l, "only one or two spatial axes are supported");
    window win[3];
    CYG_DO(read_windows(l, (size_t)x->rank - 2, w->dims + (fused ? 1 : 2), x->dims + (nchw ? 2 : 1),
                        win));
    memset(out_p, 0, sizeof *out_p);
    out_p->kh = win[1].kernel;
    out_p->kw = win[2].kernel;
    out_p->stride_h = win[1].stride;
    out_p->stride_w = win[2].stride;
    out_p->dilation_h = win[1].dilation;
    out_p->dilation_w = win[2].dilation;
    out_p->pad_t = win[1].begin;
    out_p->pad_l = win[2].begin;
    out_p->pad_b = win[1].end;
    out_p->pad_r = win[2].end;
    out_p->group = cyg_node_int(n, CYG_ATTR_group, 1);
    if (fused) {
        out_p->x_nchw = nchw;
        out_p->act = (int32_t)cyg_node_int(n, CYG_ATTR_act, 0);
        out_p->post_act = (int32_t)cyg_node_int(n, CYG_ATTR_post_act, 0);
        out_p->act_lo = cyg_node_float(n, CYG_ATTR_act_lo, 0);
        out_p->act_hi = cyg_node_float(n, CYG_ATTR_act_hi, 0);
    }
    l->out->macs =
        cyg_value_elements(y) * (cyg_value_elements(w) / (w->dims[0] > 0 ? w->dims[0] : 1));
    return CYG_OK;
}

/* ONNX gives the output's size, or pads that it follows from; either way what the taps add up to
 * tells, beside the size that is there, how much is cut in front. */
cyg_status cyg_lower_conv_transpose_geometry(cyg_lowering *l, cyg_kp_windows *out_p)
{
    const cyg_node *n = l->node;
    const cyg_value *x = cyg_lowering_in(l, 0), *w = cyg_lowering_in(l, 1),
                    *y = cyg_lowering_out(l, 0);
    const char *mode = cyg_node_string(n, CYG_ATTR_auto_pad, "NOTSET");
    const bool by_size =
        cyg_node_attr(n, CYG_ATTR_output_shape) != NULL || strncmp(mode, "SAME", 4) == 0;
    CYG_DO(cyg_lower_windows(l, w->dims + 2, out_p));
    const size_t spatial = (size_t)x->rank - 2;
    for (size_t i = 0; by_size && i < spatial; i++) {
        const size_t at = 3 - spatial + i;
        int64_t extra = 0;
        if (!take(n, CYG_ATTR_output_padding, spatial, i, &extra))
            return cyg_lowering_unsupported(l, "output_padding has the wrong length");
        if (x->dims[2 + i] > INT32_MAX || out_p->stride[at] > INT32_MAX)
            return cyg_lowering_unsupported(l, "a size or stride is out of range");
        int64_t total = out_p->stride[at] * (x->dims[2 + i] - 1) + extra +
                        (out_p->kernel[at] - 1) * out_p->dilation[at] + 1 - y->dims[2 + i];
        total = total > 0 ? total : 0; /* a larger output_shape has zeros at its end */
        out_p->begin[at] = strcmp(mode, "SAME_UPPER") == 0 ? total / 2 : total - total / 2;
    }
    l->out->macs =
        cyg_value_elements(x) * (cyg_value_elements(w) / (w->dims[0] > 0 ? w->dims[0] : 1));
    return CYG_OK;
}

cyg_status cyg_lower_attention_geometry(cyg_lowering *l, cyg_kp_attention *out_p)
{
    const cyg_node *n = l->node;
    const cyg_value *q = cyg_lowering_in(l, 0), *k = cyg_lowering_in(l, 1),
                    *v = cyg_lowering_in(l, 2);
    const cyg_value *bias = cyg_lowering_in(l, 3), *mask_index = cyg_lowering_in(l, 4),
                    *rows = cyg_lowering_in(l, 5);
    memset(out_p, 0, sizeof *out_p);
    out_p->heads = cyg_node_int(n, CYG_ATTR_heads, 1);
    out_p->head_dim = cyg_node_int(n, CYG_ATTR_head_dim, 0);
    out_p->tokens = cyg_node_int(n, CYG_ATTR_tokens, 0);
    out_p->scale = cyg_node_float(n, CYG_ATTR_scale, 1.0f);
    out_p->cosine = cyg_node_int(n, CYG_ATTR_cosine, 0) != 0;
    out_p->q_offset = cyg_node_int(n, CYG_ATTR_q_offset, 0);
    out_p->k_offset = cyg_node_int(n, CYG_ATTR_k_offset, 0);
    out_p->v_offset = cyg_node_int(n, CYG_ATTR_v_offset, 0);
    out_p->q_stride = q->dims[q->rank - 1];
    out_p->k_stride = k->dims[k->rank - 1];
    out_p->v_stride = v->dims[v->rank - 1];
    if (out_p->heads < 1 || out_p->head_dim < 1 || out_p->tokens < 1 || out_p->q_stride < 1)
        return cyg_lowering_unsupported(l, "heads, head_dim and tokens must be at least 1");
    out_p->tables = bias == NULL ? 0 : bias->rank == 4 ? bias->dims[0] : 1;
    out_p->entries = rows != NULL         ? cyg_value_elements(rows) / out_p->tokens
                     : mask_index != NULL ? cyg_value_elements(mask_index)
                     : out_p->tables > 1  ? out_p->tables
                                          : 1;
    const int64_t total = cyg_value_elements(q) / out_p->q_stride;
    if (out_p->entries < 1 || total % (out_p->entries * out_p->tokens) != 0)
        return cyg_lowering_unsupported(l,
                                        "the rows of q are not whole images of entries x tokens");
    out_p->images = total / (out_p->entries * out_p->tokens);
    const int64_t keys = cyg_node_int(n, CYG_ATTR_kv_tokens, out_p->tokens),
                  value_dim = cyg_node_int(n, CYG_ATTR_value_dim, out_p->head_dim);
    l->out->macs = total * keys * out_p->heads * (out_p->head_dim + value_dim);
    return CYG_OK;
}

cyg_status cyg_lower_reduce_axes(cyg_lowering *l, uint32_t *out_mask)
{
    const int rank = cyg_lowering_in(l, 0)->rank;
    const int64_t *axes;
    size_t count;
    CYG_DO(cyg_lowering_ints(l, 1, &axes, &count));
    *out_mask = 0;
    if (count == 0) {
        if (cyg_node_int(l->node, CYG_ATTR_noop_with_empty_axes, 0) == 0)
            *out_mask = (1u << rank) - 1;
        return CYG_OK;
    }
    for (size_t i = 0; i < count; i++) {
        const int64_t axis = cyg_lowering_axis(axes[i], rank);
        if (axis < 0)
            return cyg_lowering_unsupported(l, "axis out of range");
        *out_mask |= 1u << axis;
    }
    return CYG_OK;
}
