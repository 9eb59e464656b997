/* Shape rules of convolution and pooling, channels first (ONNX) and channels last (conv2d).
 *
 * With e = (k - 1) * dilation + 1, padded size p = in + begin + end:
 *     out = floor((p - e) / stride) + 1, or ceil with ceil_mode; a last window under ceil_mode that
 *     would begin in the end padding is dropped (out - 1) * stride < in + begin.
 * auto_pad SAME_*: out = ceil(in / stride); VALID: no padding. A symbolic size stays open ("?"). */
#include "ir/shape.h"

#include <string.h>

#include "base/checked.h"

enum { MAX_SPATIAL = CYG_MAX_RANK - 2 };
#define SIZE_LIMIT (INT64_C(1) << 31)

typedef struct window {
    int spatial;
    int64_t kernel[MAX_SPATIAL], stride[MAX_SPATIAL], dilation[MAX_SPATIAL];
    int64_t begin[MAX_SPATIAL], end[MAX_SPATIAL];
    bool same; /* auto_pad SAME_UPPER or SAME_LOWER */
    bool ceil;
} window;

/* `count` ints of an attribute, each in [low, 2^31), or `otherwise` when absent. */
static cyg_status read_ints(cyg_infer *s, cyg_attr_key key, int count, int64_t low,
                            int64_t otherwise, int64_t *out)
{
    const int64_t *data;
    const size_t found = cyg_node_ints(s->n, key, &data);
    if (found != 0 && found != (size_t)count)
        return CYG_INFER_FAIL(s, "%s: expected %d numbers, found %zu", cyg_attr_key_name(key),
                              count, found);
    for (int i = 0; i < count; i++) {
        out[i] = found == 0 ? otherwise : data[i];
        if (out[i] >= SIZE_LIMIT || (out[i] < low && found != 0))
            return CYG_INFER_FAIL(s, "%s: %lld is out of range", cyg_attr_key_name(key),
                                  (long long)out[i]);
    }
    return CYG_OK;
}

static cyg_status read_window(cyg_infer *s, int spatial, const int64_t *weight_kernel, window *w)
{
    int64_t pads[2 * MAX_SPATIAL];
    *w = (window){.spatial = spatial, .ceil = cyg_node_int(s->n, CYG_ATTR_ceil_mode, 0) != 0};
    CYG_DO(read_ints(s, CYG_ATTR_kernel_shape, spatial, 1, -1, w->kernel));
    CYG_DO(read_ints(s, CYG_ATTR_strides, spatial, 1, 1, w->stride));
    CYG_DO(read_ints(s, CYG_ATTR_dilations, spatial, 1, 1, w->dilation));
    CYG_DO(read_ints(s, CYG_ATTR_pads, 2 * spatial, 0, 0, pads));
    const char *auto_pad = cyg_node_string(s->n, CYG_ATTR_auto_pad, "NOTSET");
    w->same = strcmp(auto_pad, "SAME_UPPER") == 0 || strcmp(auto_pad, "SAME_LOWER") == 0;
    if (!w->same && strcmp(auto_pad, "NOTSET") != 0 && strcmp(auto_pad, "VALID") != 0)
        return CYG_INFER_FAIL(s, "auto_pad: %.40s is unknown", auto_pad);
    for (int i = 0; i < spatial; i++) {
        const bool padded = strcmp(auto_pad, "NOTSET") == 0;
        w->begin[i] = padded ? pads[i] : 0;
        w->end[i] = padded ? pads[spatial + i] : 0;
        if (weight_kernel != NULL)
            CYG_DO(cyg_infer_same_dim(s, "kernel_shape", weight_kernel[i], w->kernel[i],
                                      &w->kernel[i]));
        else if (w->kernel[i] < 1)
            return CYG_INFER_FAIL(s, "%s is required", "kernel_shape");
        if (w->kernel[i] >= SIZE_LIMIT)
            return CYG_INFER_FAIL(s, "a kernel of size %lld is out of range",
                                  (long long)w->kernel[i]);
    }
    return CYG_OK;
}

static cyg_status window_out(cyg_infer *s, const window *w, int i, int64_t in, int64_t *out)
{
    *out = -1;
    if (in < 0 || w->kernel[i] < 0)
        return CYG_OK;
    if (in >= INT64_C(1) << 40)
        return CYG_INFER_FAIL(s, "size %lld is too large", (long long)in);
    const int64_t stride = w->stride[i];
    if (w->same) {
        *out = (in + stride - 1) / stride;
        return CYG_OK;
    }
    if (w->kernel[i] == 0)
        return CYG_INFER_FAIL(s, "%s", "the kernel has size 0");
    const int64_t extent = (w->kernel[i] - 1) * w->dilation[i] + 1;
    const int64_t room = in + w->begin[i] + w->end[i] - extent;
    if (room < 0)
        return CYG_INFER_FAIL(s, "a kernel of extent %lld does not fit the padded size %lld",
                              (long long)extent, (long long)(room + extent));
    *out = (room + (w->ceil ? stride - 1 : 0)) / stride + 1;
    if (w->ceil && (*out - 1) * stride >= in + w->begin[i])
        (*out)--;
    return CYG_OK;
}

static cyg_status check_channels(cyg_infer *s, int64_t in, int64_t per_group, int64_t out)
{
    const int64_t group = cyg_node_int(s->n, CYG_ATTR_group, 1);
    if (group < 1 || group >= SIZE_LIMIT)
        return CYG_INFER_FAIL(s, "group: %lld is out of range", (long long)group);
    if (in >= 0 && per_group >= 0 && (in % group != 0 || in / group != per_group))
        return CYG_INFER_FAIL(s, "expected %lld channels (%lld groups of %lld), found %lld",
                              (long long)(per_group < SIZE_LIMIT ? per_group * group : -1),
                              (long long)group, (long long)per_group, (long long)in);
    if (out >= 0 && out % group != 0)
        return CYG_INFER_FAIL(s, "%lld output channels do not divide into %lld groups",
                              (long long)out, (long long)group);
    return CYG_OK;
}

static cyg_status check_bias(cyg_infer *s, int64_t channels)
{
    const cyg_shape b = cyg_infer_shape_in(s, 2);
    if (b.rank == CYG_RANK_UNKNOWN)
        return CYG_OK;
    if (b.rank != 1)
        return CYG_INFER_FAIL(s, "bias: expected a vector, found %s", cyg_shape_str(s->g, &b).s);
    return cyg_infer_same_dim(s, "bias", channels, b.dims[0], &channels);
}

cyg_status cyg_shape_rule_conv(cyg_infer *s)
{
    const cyg_shape x = cyg_infer_shape_in(s, 0), w = cyg_infer_shape_in(s, 1);
    CYG_DO(cyg_infer_same_type(s, 0, 1));
    CYG_DO(cyg_infer_same_type(s, 0, 2));
    if (x.rank == CYG_RANK_UNKNOWN || w.rank == CYG_RANK_UNKNOWN)
        return cyg_infer_set_unknown(s, x.type);
    if (x.rank < 3 || x.rank != w.rank)
        return CYG_INFER_FAIL(s, "expected input and weight of one rank of 3 or more, found %d, %d",
                              x.rank, w.rank);
    window win;
    CYG_DO(read_window(s, x.rank - 2, &w.dims[2], &win));
    CYG_DO(check_channels(s, x.dims[1], w.dims[1], w.dims[0]));
    CYG_DO(check_bias(s, w.dims[0]));
    cyg_shape y = {.type = x.type, .rank = x.rank, .dims = {x.dims[0], w.dims[0]}};
    for (int i = 0; i < win.spatial; i++)
        CYG_DO(window_out(s, &win, i, x.dims[2 + i], &y.dims[2 + i]));
    return cyg_infer_set(s, 0, &y);
}

cyg_status cyg_shape_rule_pool(cyg_infer *s)
{
    const cyg_shape x = cyg_infer_shape_in(s, 0);
    if (x.rank == CYG_RANK_UNKNOWN)
        return cyg_infer_set_unknown(s, x.type);
    if (x.rank < 3)
        return CYG_INFER_FAIL(s, "expected rank 3 or more, found %d", x.rank);
    window win;
    CYG_DO(read_window(s, x.rank - 2, NULL, &win));
    cyg_shape y = x;
    for (int i = 0; i < win.spatial; i++)
        CYG_DO(window_out(s, &win, i, x.dims[2 + i], &y.dims[2 + i]));
    CYG_DO(cyg_infer_set(s, 0, &y));
    y.type = CYG_TYPE_S64; /* MaxPool's indices, where they are asked for */
    return cyg_infer_set(s, 1, &y);
}

/* out = stride * (in - 1) + output_padding + e - pads, e as above; or what output_shape says; SAME:
 * in * stride. */
static cyg_status transposed_out(cyg_infer *s, const window *w, int i, int64_t in, int64_t extra,
                                 int64_t *out)
{
    int64_t span;
    *out = -1;
    if (in < 0 || w->kernel[i] < 0)
        return CYG_OK;
    if (w->kernel[i] == 0)
        return CYG_INFER_FAIL(s, "%s", "the kernel has size 0");
    if (in < 1 || !cyg_mul_i64(w->stride[i], w->same ? in : in - 1, &span))
        return CYG_INFER_FAIL(s, "size %lld is out of range", (long long)in);
    const int64_t extent = (w->kernel[i] - 1) * w->dilation[i] + 1;
    *out = span;
    if (!w->same && !cyg_add_i64(span, extra + extent - w->begin[i] - w->end[i], out))
        return CYG_INFER_FAIL(s, "the size of %lld steps overflows", (long long)in);
    if (*out < 1)
        return CYG_INFER_FAIL(s, "pads %lld and %lld leave nothing of size %lld",
                              (long long)w->begin[i], (long long)w->end[i], (long long)in);
    return CYG_OK;
}

cyg_status cyg_shape_rule_conv_transpose(cyg_infer *s)
{
    const cyg_shape x = cyg_infer_shape_in(s, 0), w = cyg_infer_shape_in(s, 1);
    const int64_t group = cyg_node_int(s->n, CYG_ATTR_group, 1);
    int64_t channels, extra[MAX_SPATIAL], wanted[MAX_SPATIAL];
    CYG_DO(cyg_infer_same_type(s, 0, 1));
    CYG_DO(cyg_infer_same_type(s, 0, 2));
    if (x.rank == CYG_RANK_UNKNOWN || w.rank == CYG_RANK_UNKNOWN)
        return cyg_infer_set_unknown(s, x.type);
    if (x.rank < 3 || x.rank != w.rank)
        return CYG_INFER_FAIL(s, "expected input and weight of one rank of 3 or more, found %d, %d",
                              x.rank, w.rank);
    if (group < 1 || group >= SIZE_LIMIT || (w.dims[0] >= 0 && w.dims[0] % group != 0))
        return CYG_INFER_FAIL(s, "group: %lld is out of range", (long long)group);
    CYG_DO(cyg_infer_same_dim(s, "channels of the weight", x.dims[1], w.dims[0], &channels));
    window win;
    CYG_DO(read_window(s, x.rank - 2, &w.dims[2], &win));
    CYG_DO(read_ints(s, CYG_ATTR_output_padding, win.spatial, 0, 0, extra));
    CYG_DO(read_ints(s, CYG_ATTR_output_shape, win.spatial, 1, -1, wanted));
    cyg_shape y = {.type = x.type, .rank = x.rank, .dims = {x.dims[0], -1}};
    if (w.dims[1] >= 0 && !cyg_mul_i64(w.dims[1], group, &y.dims[1]))
        return CYG_INFER_FAIL(s, "%lld channels overflow", (long long)w.dims[1]);
    CYG_DO(check_bias(s, y.dims[1]));
    for (int i = 0; i < win.spatial; i++) {
        if (wanted[i] >= 0)
            y.dims[2 + i] = wanted[i];
        else
            CYG_DO(transposed_out(s, &win, i, x.dims[2 + i], extra[i], &y.dims[2 + i]));
    }
    return cyg_infer_set(s, 0, &y);
}

/* Channels last. */
cyg_status cyg_shape_rule_pool2d(cyg_infer *s)
{
    const cyg_shape x = cyg_infer_shape_in(s, 0);
    const char *mode = cyg_node_string(s->n, CYG_ATTR_mode, "max");
    if (strcmp(mode, "max") != 0 && strcmp(mode, "average") != 0)
        return CYG_INFER_FAIL(s, "mode: expected max or average, found %.40s", mode);
    if (x.rank == CYG_RANK_UNKNOWN)
        return cyg_infer_set_unknown(s, x.type);
    if (x.rank != 4)
        return CYG_INFER_FAIL(s, "expected rank 4, found %s", cyg_shape_str(s->g, &x).s);
    window win;
    CYG_DO(read_window(s, 2, NULL, &win));
    cyg_shape y = x;
    for (int i = 0; i < 2; i++)
        CYG_DO(window_out(s, &win, i, x.dims[1 + i], &y.dims[1 + i]));
    return cyg_infer_set(s, 0, &y);
}

cyg_status cyg_shape_rule_global_pool(cyg_infer *s)
{
    cyg_shape x = cyg_infer_shape_in(s, 0);
    if (x.rank == CYG_RANK_UNKNOWN)
        return cyg_infer_set_unknown(s, x.type);
    if (x.rank < 2)
        return CYG_INFER_FAIL(s, "expected rank 2 or more, found %d", x.rank);
    for (int i = 2; i < x.rank; i++)
        x.dims[i] = 1;
    return cyg_infer_set(s, 0, &x);
}

cyg_status cyg_shape_rule_conv2d(cyg_infer *s)
{
    const cyg_shape x = cyg_infer_shape_in(s, 0), w = cyg_infer_shape_in(s, 1);
    if ((x.rank != 4 && x.rank != CYG_RANK_UNKNOWN) || (w.rank != 4 && w.rank != CYG_RANK_UNKNOWN))
        return CYG_INFER_FAIL(s, "expected rank 4, found input %s, weight %s",
                              cyg_shape_str(s->g, &x).s, cyg_shape_str(s->g, &w).s);
    if (x.rank == CYG_RANK_UNKNOWN || w.rank == CYG_RANK_UNKNOWN)
        return cyg_infer_set_unknown(s, x.type);
    const int at = cyg_node_int(s->n, CYG_ATTR_x_nchw, 0) != 0 ? 2 : 1; /* of H */
    window win;
    CYG_DO(read_window(s, 2, &w.dims[1], &win));
    CYG_DO(check_channels(s, x.dims[at == 2 ? 1 : 3], w.dims[3], w.dims[0]));
    CYG_DO(check_bias(s, w.dims[0]));
    cyg_shape y = {.type = x.type, .rank = 4, .dims = {x.dims[0], -1, -1, w.dims[0]}};
    for (int i = 0; i < 2; i++)
        CYG_DO(window_out(s, &win, i, x.dims[at + i], &y.dims[1 + i]));
    return cyg_infer_set(s, 0, &y);
}
