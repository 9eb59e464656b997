/* Operators that read between elements: Resize, GridSample, RoiAlign. */
#include "lower/lowering.h"

#include <string.h>

#include "base/bytes.h"

/* A float operand of `count` elements as doubles; *out_given false when it is absent or empty. */
static cyg_status read_reals(cyg_lowering *l, uint32_t input, int64_t count, double *out,
                             bool *out_given)
{
    const cyg_value *v = cyg_lowering_in(l, input);
    *out_given = v != NULL && cyg_value_elements(v) > 0;
    if (!*out_given)
        return CYG_OK;
    const void *data = v->is_const ? v->data : NULL;
    if (data == NULL && l->data_of != NULL)
        data = l->data_of(l->user, cyg_node_in(l->node, input));
    if (data == NULL)
        return cyg_lowering_unsupported(l,
                                        "an operand that fixes shapes is not known before the run");
    if (cyg_value_elements(v) != count || (v->type != CYG_TYPE_F32 && v->type != CYG_TYPE_F64))
        return cyg_lowering_unsupported(l, "scales or roi have a wrong length or type");
    for (int64_t i = 0; i < count; i++)
        out[i] = v->type == CYG_TYPE_F32 ? (double)cyg_load_f32((const char *)data + 4 * i)
                                         : cyg_load_f64((const char *)data + 8 * i);
    return CYG_OK;
}

/* The axes that scales, sizes and roi speak of: all, or those of the attribute. */
static cyg_status read_axes(cyg_lowering *l, int rank, int *out_axes, int64_t *out_count)
{
    const int64_t *axes;
    const size_t count = cyg_node_ints(l->node, CYG_ATTR_axes, &axes);
    *out_count = count > 0 ? (int64_t)count : rank;
    if (count > (size_t)rank)
        return cyg_lowering_unsupported(l, "more axes than dimensions");
    for (int64_t i = 0; i < *out_count; i++) {
        out_axes[i] = (int)(count > 0 ? cyg_lowering_axis(axes[i], rank) : i);
        if (out_axes[i] < 0)
            return cyg_lowering_unsupported(l, "axis out of range");
    }
    return CYG_OK;
}

/* What the scales are when sizes were given: by size, or one for all with an aspect policy. */
static void scales_by_size(const cyg_lowering *l, const int *axes, int64_t count,
                           const int64_t *sizes, double *scale)
{
    const cyg_value *x = cyg_lowering_in(l, 0), *y = cyg_lowering_out(l, 0);
    const char *policy = cyg_node_string(l->node, CYG_ATTR_keep_aspect_ratio_policy, "stretch");
    double one = 0;
    for (int64_t i = 0; i < count; i++) {
        const double in = (double)(x->dims[axes[i]] > 0 ? x->dims[axes[i]] : 1);
        const double wanted = (double)sizes[i] / in;
        scale[axes[i]] = (double)y->dims[axes[i]] / in;
        if (i == 0 || (strcmp(policy, "not_larger") == 0 ? wanted < one : wanted > one))
            one = wanted;
    }
    if (strcmp(policy, "stretch") != 0)
        for (int64_t i = 0; i < count; i++)
            scale[axes[i]] = one;
}

static cyg_status resize_choices(cyg_lowering *l, cyg_kp_resize *p)
{
    static const char *const modes[] = {"nearest", "linear", "cubic"};
    static const char *const transforms[] = {"half_pixel",         "half_pixel_symmetric",
                                             "pytorch_half_pixel", "align_corners",
                                             "asymmetric",         "tf_crop_and_resize"};
    static const char *const nearest[] = {"round_prefer_floor", "round_prefer_ceil", "floor",
                                          "ceil"};
    const cyg_node *n = l->node;
    p->mode =
        cyg_lowering_choice(cyg_node_string(n, CYG_ATTR_mode, "nearest"), modes, CYG_COUNT(modes));
    p->transform = cyg_lowering_choice(
        cyg_node_string(n, CYG_ATTR_coordinate_transformation_mode, "half_pixel"), transforms,
        CYG_COUNT(transforms));
    p->nearest =
        cyg_lowering_choice(cyg_node_string(n, CYG_ATTR_nearest_mode, "round_prefer_floor"),
                            nearest, CYG_COUNT(nearest));
    p->exclude_outside = cyg_node_int(n, CYG_ATTR_exclude_outside, 0) != 0;
    p->antialias = cyg_node_int(n, CYG_ATTR_antialias, 0) != 0;
    p->cubic_a = cyg_node_float(n, CYG_ATTR_cubic_coeff_a, -0.75f);
    p->extrapolation = cyg_node_float(n, CYG_ATTR_extrapolation_value, 0.0f);
    if (p->mode < 0 || p->transform < 0 || p->nearest < 0)
        return cyg_lowering_unsupported(l, "unknown mode");
    return CYG_OK;
}

cyg_status cyg_lower_resize(cyg_lowering *l)
{
    const int rank = cyg_lowering_in(l, 0)->rank;
    cyg_kp_resize p = {.mode = 0};
    int axes[CYG_MAX_RANK];
    int64_t count;
    double roi[2 * CYG_MAX_RANK], scales[CYG_MAX_RANK];
    bool has_roi, has_scales;
    const int64_t *sizes;
    size_t size_count;
    CYG_DO(resize_choices(l, &p));
    CYG_DO(read_axes(l, rank, axes, &count));
    CYG_DO(read_reals(l, 2, count, scales, &has_scales));
    CYG_DO(cyg_lowering_ints(l, 3, &sizes, &size_count));
    for (int i = 0; i < CYG_MAX_RANK; i++)
        p.scale[i] = p.roi_end[i] = 1.0;
    if (has_scales) {
        for (int64_t i = 0; i < count; i++)
            p.scale[axes[i]] = scales[i];
    } else {
        if (size_count != (size_t)count)
            return cyg_lowering_unsupported(l, "neither scales nor sizes for every axis");
        scales_by_size(l, axes, count, sizes, p.scale);
    }
    if (p.transform == CYG_RESIZE_CROP) {
        CYG_DO(read_reals(l, 1, 2 * count, roi, &has_roi));
        for (int64_t i = 0; has_roi && i < count; i++) {
            p.roi_start[axes[i]] = roi[i];
            p.roi_end[axes[i]] = roi[count + i];
        }
    }
    p.rounds = cyg_is_quantised(cyg_lowering_in(l, 0)); /* weights add up to 1: zero points stay */
    CYG_DO(cyg_lowering_op(l, CYG_KOP_f_resize, &p, sizeof p));
    return cyg_lowering_first(l, 1);
}

cyg_status cyg_lower_grid_sample(cyg_lowering *l)
{
    static const char *const modes[] = {"nearest", "linear", "cubic"};
    static const char *const paddings[] = {"zeros", "border", "reflection"};
    const cyg_kp_grid_sample p = {
        .mode = cyg_lowering_choice(cyg_node_string(l->node, CYG_ATTR_mode, "linear"), modes,
                                    CYG_COUNT(modes)),
        .padding = cyg_lowering_choice(cyg_node_string(l->node, CYG_ATTR_padding_mode, "zeros"),
                                       paddings, CYG_COUNT(paddings)),
        .align_corners = cyg_node_int(l->node, CYG_ATTR_align_corners, 0) != 0};
    if (p.mode < 0 || p.padding < 0)
        return cyg_lowering_unsupported(l, "unknown mode");
    CYG_DO(cyg_lowering_op(l, CYG_KOP_f_grid_sample, &p, sizeof p));
    return cyg_lowering_first(l, 2);
}

cyg_status cyg_lower_roi_align(cyg_lowering *l)
{
    static const char *const modes[] = {"avg", "max"};
    static const char *const transforms[] = {"output_half_pixel", "half_pixel"};
    const cyg_node *n = l->node;
    const cyg_kp_roi_align p = {
        .sampling_ratio = cyg_node_int(n, CYG_ATTR_sampling_ratio, 0),
        .spatial_scale = cyg_node_float(n, CYG_ATTR_spatial_scale, 1.0f),
        .half_pixel = cyg_lowering_choice(
            cyg_node_string(n, CYG_ATTR_coordinate_transformation_mode, "half_pixel"), transforms,
            CYG_COUNT(transforms)),
        .is_max =
            cyg_lowering_choice(cyg_node_string(n, CYG_ATTR_mode, "avg"), modes, CYG_COUNT(modes))};
    if (p.half_pixel < 0 || p.is_max < 0 || p.sampling_ratio < 0)
        return cyg_lowering_unsupported(l, "unknown mode, or a negative sampling_ratio");
    CYG_DO(cyg_lowering_op(l, CYG_KOP_f_roi_align, &p, sizeof p));
    return cyg_lowering_first(l, 3);
}
