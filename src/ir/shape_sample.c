/* Shape rules of the operators that read between elements: Resize, GridSample, RoiAlign.
 *
 * Resize: floor(size * scale) in binary32 as ONNX Runtime computes it, or the sizes given; with an
 * aspect policy one scale for all axes, the smallest or largest, and round half up. */
#include "ir/shape.h"

#include <string.h>

#include "base/bytes.h"

/* The axes that scales and sizes speak of: all, or those of the attribute. */
static cyg_status read_axes(cyg_infer *s, int rank, int *out_axes, int *out_count)
{
    const int64_t *axes;
    const size_t count = cyg_node_ints(s->n, CYG_ATTR_axes, &axes);
    if (count > (size_t)rank)
        return CYG_INFER_FAIL(s, "axes: expected at most %d, found %zu", rank, count);
    *out_count = count > 0 ? (int)count : rank;
    for (int i = 0; i < *out_count; i++) {
        out_axes[i] = i;
        if (count > 0)
            CYG_DO(cyg_infer_axis(s, axes[i], rank, &out_axes[i]));
    }
    return CYG_OK;
}

/* Is operand i there, and not the empty tensor that older opsets wrote for "absent"? */
static bool is_given(const cyg_infer *s, uint32_t i)
{
    const cyg_value *v = cyg_infer_in(s, i);
    return v != NULL && (v->rank == CYG_RANK_UNKNOWN || cyg_value_elements(v) != 0);
}

static cyg_status by_scales(cyg_infer *s, const int *axes, int count, cyg_shape *y)
{
    const cyg_value *v = cyg_infer_in(s, 2);
    const char *bytes = cyg_infer_bytes(s, 2);
    const int64_t found = cyg_value_elements(v);
    if (found >= 0 && found != count)
        return CYG_INFER_FAIL(s, "scales: expected %d numbers, found %lld", count,
                              (long long)found);
    for (int i = 0; i < count; i++) {
        int64_t *dim = &y->dims[axes[i]];
        if (bytes == NULL || v->type != CYG_TYPE_F32) {
            *dim = -1;
            continue;
        }
        const float scale = cyg_load_f32(bytes + 4 * i);
        if (!(scale > 0.0f && scale < 1e9f))
            return CYG_INFER_FAIL(s, "scale %g of axis %d is out of range", (double)scale, axes[i]);
        if (*dim < 0) {
            *dim = scale == 1.0f ? *dim : -1;
            continue;
        }
        const float size = (float)*dim * scale;
        if (!(size < 0x1p40f))
            return CYG_INFER_FAIL(s, "axis %d: %lld times %g is too large", axes[i],
                                  (long long)*dim, (double)scale);
        *dim = (int64_t)size;
    }
    return CYG_OK;
}

static cyg_status by_sizes(cyg_infer *s, const int *axes, int count, cyg_shape *y)
{
    const char *policy = cyg_node_string(s->n, CYG_ATTR_keep_aspect_ratio_policy, "stretch");
    const bool smaller = strcmp(policy, "not_larger") == 0;
    const bool keeps = smaller || strcmp(policy, "not_smaller") == 0;
    cyg_ints sizes;
    bool known = cyg_infer_ints(s, 3, &sizes);
    if (!keeps && strcmp(policy, "stretch") != 0)
        return CYG_INFER_FAIL(s, "keep_aspect_ratio_policy: %.40s is unknown", policy);
    if (known && sizes.count != (uint32_t)count)
        return CYG_INFER_FAIL(s, "sizes: expected %d numbers, found %u", count, sizes.count);
    double scale = 0;
    for (int i = 0; i < count; i++) {
        if (known && sizes.known[i] && sizes.v[i] < 0)
            return CYG_INFER_FAIL(s, "size %lld of axis %d", (long long)sizes.v[i], axes[i]);
        if (!keeps) {
            y->dims[axes[i]] = known ? sizes.v[i] : -1;
            continue;
        }
        known = known && sizes.known[i] && y->dims[axes[i]] > 0;
        if (known) {
            const double own = (double)sizes.v[i] / (double)y->dims[axes[i]];
            if (i == 0 || (smaller ? own < scale : own > scale))
                scale = own;
        }
    }
    for (int i = 0; keeps && i < count; i++) {
        const double size = known ? scale * (double)y->dims[axes[i]] + 0.5 : -1.0;
        if (size >= 0x1p40)
            return CYG_INFER_FAIL(s, "axis %d: %g is too large", axes[i], size);
        y->dims[axes[i]] = known ? (int64_t)size : -1;
    }
    return CYG_OK;
}

cyg_status cyg_shape_rule_resize(cyg_infer *s)
{
    cyg_shape y = cyg_infer_shape_in(s, 0);
    int axes[CYG_MAX_RANK], count;
    const bool scales = is_given(s, 2), sizes = is_given(s, 3);
    if (y.rank == CYG_RANK_UNKNOWN)
        return cyg_infer_set_unknown(s, y.type);
    CYG_DO(read_axes(s, y.rank, axes, &count));
    if (scales == sizes)
        return CYG_INFER_FAIL(s, "expected scales or sizes, found %s", scales ? "both" : "neither");
    CYG_DO(scales ? by_scales(s, axes, count, &y) : by_sizes(s, axes, count, &y));
    return cyg_infer_set(s, 0, &y);
}

cyg_status cyg_shape_rule_grid_sample(cyg_infer *s)
{
    const cyg_shape x = cyg_infer_shape_in(s, 0), grid = cyg_infer_shape_in(s, 1);
    if (x.rank == CYG_RANK_UNKNOWN || grid.rank == CYG_RANK_UNKNOWN)
        return cyg_infer_set_unknown(s, x.type);
    if (x.rank < 3 || x.rank != grid.rank)
        return CYG_INFER_FAIL(s, "expected input and grid of one rank of 3 or more, found %d, %d",
                              x.rank, grid.rank);
    cyg_shape y = {.type = x.type, .rank = x.rank, .dims = {-1, x.dims[1]}};
    int64_t axes;
    CYG_DO(cyg_infer_same_dim(s, "batch of the grid", x.dims[0], grid.dims[0], &y.dims[0]));
    CYG_DO(cyg_infer_same_dim(s, "last dimension of the grid", x.rank - 2, grid.dims[grid.rank - 1],
                              &axes));
    for (int i = 2; i < y.rank; i++)
        y.dims[i] = grid.dims[i - 1];
    return cyg_infer_set(s, 0, &y);
}

cyg_status cyg_shape_rule_roi_align(cyg_infer *s)
{
    const cyg_shape x = cyg_infer_shape_in(s, 0), rois = cyg_infer_shape_in(s, 1);
    const cyg_shape batch = cyg_infer_shape_in(s, 2);
    cyg_shape y = {.type = x.type, .rank = 4, .dims = {-1, -1}};
    y.dims[2] = cyg_node_int(s->n, CYG_ATTR_output_height, 1);
    y.dims[3] = cyg_node_int(s->n, CYG_ATTR_output_width, 1);
    if (y.dims[2] < 1 || y.dims[3] < 1)
        return CYG_INFER_FAIL(s, "output size %lld x %lld", (long long)y.dims[2],
                              (long long)y.dims[3]);
    if ((x.rank != 4 && x.rank != CYG_RANK_UNKNOWN) ||
        (rois.rank != 2 && rois.rank != CYG_RANK_UNKNOWN))
        return CYG_INFER_FAIL(s, "expected ranks 4 and 2, found %s and %s",
                              cyg_shape_str(s->g, &x).s, cyg_shape_str(s->g, &rois).s);
    if (x.rank == 4)
        y.dims[1] = x.dims[1];
    if (rois.rank == 2) {
        int64_t four;
        CYG_DO(cyg_infer_same_dim(s, "last dimension of rois", 4, rois.dims[1], &four));
        y.dims[0] = rois.dims[0];
    }
    if (batch.rank == 1)
        CYG_DO(cyg_infer_same_dim(s, "number of regions", y.dims[0], batch.dims[0], &y.dims[0]));
    return cyg_infer_set(s, 0, &y);
}
