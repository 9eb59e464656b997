/* The ends of the package: what the runtime feeds, against what the model takes. */
#include <string.h>

#include "app/build.h"
#include "app/engine.h"

static bool all_are(const cyg_float_list *list, double number)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i] < number || list->items[i] > number)
            return false;
    return list->count > 0;
}

/* A mean of 0 and a std of 1 beside a calibration that normalises: the vendor's way to say that the
 * package is not to do it. */
static bool says_none(const cyg_build_input *in)
{
    const cyg_config_input_processor *c = &in->config.processor;
    const cyg_preprocess *p = &in->preprocess;
    bool differs = false;
    for (int i = 0; i < 3; i++)
        differs = differs || p->mean[i] < 0.0f || p->mean[i] > 0.0f || p->std[i] < 1.0f ||
                  p->std[i] > 1.0f;
    return p->normalize && differs && all_are(&c->mean, 0.0) && all_are(&c->std, 1.0);
}

/* The runtime feeds pixels, and what happens to them is inside the package; false: it feeds what
 * the model takes. Without mean and std the two are the same, and pixels are the better name for
 * it: they are bytes, and their channels can be swapped. */
static bool feeds_pixels(const cyg_build_input *in)
{
    return in->is_image && !says_none(in) &&
           (in->config.processor.normalize || !in->preprocess.normalize);
}

static bool is_bgr(cyg_config_color c)
{
    return c == CYG_CONFIG_COLOR_BGR;
}

static cyg_yuv video_of(cyg_config_color c)
{
    return c == CYG_CONFIG_COLOR_YUV420SP   ? CYG_YUV_420SP
           : c == CYG_CONFIG_COLOR_YVU420SP ? CYG_YVU_420SP
           : c == CYG_CONFIG_COLOR_YUYV422  ? CYG_YUYV_422
           : c == CYG_CONFIG_COLOR_UYVY422  ? CYG_UYVY_422
                                            : CYG_YUV_NONE;
}

void cyg_build_source_of(const cyg_build_input *in, cyg_quant_source *out)
{
    static const cyg_type types[] = {
        [CYG_CONFIG_DTYPE_U8] = CYG_TYPE_U8,    [CYG_CONFIG_DTYPE_S8] = CYG_TYPE_S8,
        [CYG_CONFIG_DTYPE_U16] = CYG_TYPE_U16,  [CYG_CONFIG_DTYPE_S16] = CYG_TYPE_S16,
        [CYG_CONFIG_DTYPE_U32] = CYG_TYPE_U32,  [CYG_CONFIG_DTYPE_S32] = CYG_TYPE_S32,
        [CYG_CONFIG_DTYPE_FP16] = CYG_TYPE_F16, [CYG_CONFIG_DTYPE_FP32] = CYG_TYPE_F32};
    const cyg_config_input_processor *c = &in->config.processor;
    *out = (cyg_quant_source){.type = types[c->src_dtype],
                              .nhwc = c->src_layout == CYG_CONFIG_LAYOUT_NHWC,
                              .scale = 1.0f,
                              .yuv = video_of(c->src_format)};
    if (c->scale > 0.0) {
        out->scale = (float)c->scale;
        out->zero_point = (int32_t)c->zeropoint;
    }
    if (out->yuv == CYG_YUV_NONE)
        return;
    out->type = CYG_TYPE_U8;
    out->nhwc = true;
    if (c->csc_mode == CYG_CONFIG_CSC_Matrix)
        memcpy(out->csc, c->csc_mat.items, sizeof out->csc);
    else
        cyg_yuv_matrix(c->csc_mode == CYG_CONFIG_CSC_LimitedRange,
                       c->csc_standard == CYG_CONFIG_CSC_STANDARD_BT709,
                       in->preprocess.order == CYG_ORDER_BGR, out->csc);
}

static bool swaps_channels(const cyg_build_input *in)
{
    const cyg_config_color fed = in->config.processor.src_format;
    return in->is_image && video_of(fed) == CYG_YUV_NONE &&
           cyg_preprocess_channels(&in->preprocess) == 3 &&
           fed != CYG_CONFIG_COLOR_AutoColorSpace &&
           is_bgr(fed) != (in->preprocess.order == CYG_ORDER_BGR);
}

/* Value c of a list of one or one a channel. An empty list says nothing: a merged configuration
 * that is read again spells every list out. */
static float pick(const cyg_float_list *list, uint32_t c, float otherwise)
{
    return list->count == 0 ? otherwise : (float)list->items[list->count == 1 ? 0 : c];
}

static void fill_normalize(cyg_build *b, const cyg_build_input *in, cyg_normalize *out)
{
    const cyg_preprocess *p = &in->preprocess;
    const cyg_config_input_processor *c = &in->config.processor;
    bool differs = false;
    out->enabled = feeds_pixels(in);
    if (!out->enabled)
        return;
    out->channels = (uint32_t)cyg_preprocess_channels(p);
    out->swap_channels = swaps_channels(in);
    for (uint32_t i = 0; i < out->channels && i < 3; i++) {
        const float mean = p->normalize ? p->mean[i] : 0.0f, std = p->normalize ? p->std[i] : 1.0f;
        out->mean[i] = c->normalize ? pick(&c->mean, i, mean) : mean;
        out->std[i] = c->normalize ? pick(&c->std, i, std) : std;
        differs = differs || out->mean[i] < mean || out->mean[i] > mean || out->std[i] < std ||
                  out->std[i] > std;
    }
    if (differs)
        cyg_warn(&b->app->ctx,
                 "input \"%s\": mean and std of input_processors differ from those of the "
                 "calibration: the package normalises by the former",
                 in->name);
}

/* Settings about pictures for an input that takes what the model takes. */
static void tell_idle(cyg_build *b, const cyg_build_input *in)
{
    const cyg_config_input_processor *c = &in->config.processor;
    const bool pictures = in->config.quant.calibration_format == CYG_CONFIG_FORMAT_Image;
    const struct idle {
        const char *name;
        bool acts;
    } idle[] = {
        {"src_format", video_of(c->src_format) != CYG_YUV_NONE},
        {"tensor_format", pictures}, /* the calibration's own */
        {"mean", false},
        {"std", false},
    };
    for (size_t i = 0; i < CYG_COUNT(idle); i++)
        if (!idle[i].acts &&
            cyg_config_asks(&b->app->ctx, &cyg_config_message_input_processor, c, idle[i].name))
            cyg_warn(&b->app->ctx, "input \"%s\": %s has no effect: %s", in->name, idle[i].name,
                     b->input_count > 1
                         ? "with several inputs the package takes what the model takes"
                         : "the package takes what the model takes, for its data are arrays");
}

/* What the runtime is to feed, against what there is. */
static cyg_status check_source(cyg_build *b, const cyg_build_input *in)
{
    cyg_ctx *ctx = &b->app->ctx;
    const cyg_config_input_processor *c = &in->config.processor;
    const bool video = video_of(c->src_format) != CYG_YUV_NONE;
    if ((c->src_dtype == CYG_CONFIG_DTYPE_U8 || video) && !(c->scale > 0.0) && !feeds_pixels(in))
        return CYG_FAIL(ctx, CYG_E_CONFIG,
                        "input \"%s\": %s for pixels that the package normalises%s; %s", in->name,
                        video ? "a video src_format is" : "src_dtype U8 without `scale` is",
                        video ? "" : " (codes of something else have a scale)",
                        !in->is_image   ? "this input takes what the model takes"
                        : says_none(in) ? "here mean is 0 and std is 1: the runtime normalises"
                                        : "here `normalize` is false");
    if (video && in->preprocess.order == CYG_ORDER_GRAY)
        return CYG_FAIL(ctx, CYG_E_CONFIG,
                        "input \"%s\": src_format %s makes three channels, the model takes one",
                        in->name, cyg_yuv_name(video_of(c->src_format)));
    if (!in->is_image) {
        tell_idle(b, in);
        return CYG_OK;
    }
    if (c->src_format != CYG_CONFIG_COLOR_AutoColorSpace &&
        (c->src_format == CYG_CONFIG_COLOR_GRAY) != (in->preprocess.order == CYG_ORDER_GRAY))
        return CYG_FAIL(ctx, CYG_E_CONFIG,
                        "input \"%s\": between grey and colour there is no conversion: src_format "
                        "and tensor_format have to be of one kind",
                        in->name);
    if (swaps_channels(in) && !feeds_pixels(in))
        return CYG_FAIL(ctx, CYG_E_CONFIG,
                        "input \"%s\": src_format differs from tensor_format, but channels are "
                        "swapped by the normalisation inside the package, and there is none here",
                        in->name);
    return CYG_OK;
}

cyg_status cyg_build_check_sources(cyg_build *b)
{
    for (uint32_t i = 0; i < b->input_count; i++)
        CYG_DO(check_source(b, &b->inputs[i]));
    fill_normalize(b, &b->inputs[0], &b->quant_normalize);
    return CYG_OK;
}

void cyg_build_tell_sources(cyg_build *b)
{
    for (uint32_t i = 0; i < b->input_count; i++) {
        const cyg_build_input *in = &b->inputs[i];
        const bool bgr = is_bgr(in->config.processor.src_format);
        const cyg_yuv video = video_of(in->config.processor.src_format);
        if (video != CYG_YUV_NONE)
            cyg_note(&b->app->ctx, "input \"%s\": the runtime feeds %s, the package makes %s of it",
                     in->name, cyg_yuv_name(video),
                     in->preprocess.order == CYG_ORDER_BGR ? "BGR" : "RGB");
        if (swaps_channels(in))
            cyg_note(&b->app->ctx,
                     "input \"%s\": the runtime feeds %s, the model wants %s: channels are swapped "
                     "inside the package",
                     in->name, bgr ? "BGR" : "RGB", bgr ? "RGB" : "BGR");
    }
}

cyg_status cyg_build_bind_inputs(cyg_build *b, cyg_graph *g)
{
    for (uint32_t i = 0; i < b->input_count; i++) {
        cyg_quant_source source;
        cyg_build_source_of(&b->inputs[i], &source);
        CYG_DO(cyg_quant_bind_source(&b->app->ctx, g, i, &source));
    }
    return CYG_OK;
}

cyg_status cyg_build_bind_ends(cyg_build *b, cyg_graph *g)
{
    CYG_DO(cyg_build_bind_inputs(b, g));
    for (uint32_t i = 0; i < g->output_count; i++) {
        const cyg_config_output_processor *c = &b->outputs[i];
        const cyg_type type = c->output_dtype == CYG_CONFIG_DTYPE_U8 ? CYG_TYPE_U8 : CYG_TYPE_F32;
        if (type != CYG_TYPE_F32 || c->dst_perm.count > 0)
            CYG_DO(cyg_quant_bind_output(&b->app->ctx, g, i, type, c->dst_perm.items,
                                         c->dst_perm.count));
    }
    return CYG_OK;
}

void cyg_build_take_output(const cyg_build *b, const cyg_tensor_info *info, const void *data,
                           float *out)
{
    cyg_engine_tensor t = {.name = info->name,
                           .type = (cyg_type)info->type,
                           .rank = info->rank,
                           .scale = info->scale,
                           .zero_point = info->zero_point};
    memcpy(t.dims, info->dims, sizeof t.dims);
    const size_t count = cyg_engine_elements(&t);
    const cyg_int_list none = {NULL, 0}; /* a build of the back end alone: codes as they come */
    const cyg_int_list *perm = b->outputs != NULL ? &b->outputs[0].dst_perm : &none;
    size_t stride[CYG_MAX_RANK] = {0}, inner = 1; /* of the model's order, by axis of the package */
    for (int axis = t.rank - 1; axis >= 0; axis--)
        for (int k = 0; k < t.rank; k++)
            if ((perm->count > 0 ? perm->items[k] : k) == axis) {
                stride[k] = inner;
                inner *= (size_t)t.dims[k];
            }
    for (size_t i = 0; i < count; i++) {
        size_t rest = i, at = 0;
        for (int k = t.rank - 1; k >= 0; k--) {
            at += rest % (size_t)t.dims[k] * stride[k];
            rest /= (size_t)t.dims[k];
        }
        out[at] = (float)cyg_engine_value(&t, data, i);
    }
}
