/* HuggingFace's preprocessor_config.json and timm's config.json to a preprocessing.
 *
 * HuggingFace: what `size` means depends on the processor class. A map says it itself ({height,
 * width} or {shortest_edge}); a plain number is a square to stretch to, but for the classes listed
 * below, where it is the shorter side. ConvNeXt adds crop_pct: below 384 the shorter side is
 * resized to int(size / crop_pct) and the centre cut out, from 384 on it is a stretch. Mean and std
 * are in units of 0..1 after `rescale_factor`; they become units of 0..255 here, in binary64,
 * rounded once. A processor that only rescales is mean 0, std 1 / rescale_factor.
 *
 * timm: pretrained_cfg (or the top level) holds input_size, crop_pct, interpolation, mean, std; its
 * evaluation resizes the shorter side to floor(input / crop_pct) and crops, or stretches when
 * crop_mode is "squash".
 *
 * What a file states and we cannot do (padding, another channel order) is an error, not a silent
 * difference. */
#include "data/preprocess.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static bool is_true(const cyg_doc_node *node, bool unstated)
{
    return node != NULL && node->kind == CYG_DOC_BOOL ? node->boolean : unstated;
}

static bool is_set(const cyg_doc_node *node)
{
    return node != NULL && node->kind != CYG_DOC_NULL;
}

/* int(side / fraction) for a fraction such as 0.875, as Python computes it. */
static int64_t divide_side(int64_t side, double fraction)
{
    return (int64_t)floor((double)side / fraction);
}

static cyg_status read_side(cyg_ctx *ctx, const cyg_doc_node *node, int64_t *out)
{
    CYG_DO(cyg_doc_as_int(ctx, node, out));
    if (*out < 1 || *out > CYG_RESIZE_LONGEST_SIDE)
        return CYG_DOC_FAIL(ctx, node, CYG_E_CONFIG, "a side of %" PRId64 " pixels", *out);
    return CYG_OK;
}

/* {height, width}, or one number for both. */
static cyg_status read_pair(cyg_ctx *ctx, const cyg_doc_node *node, int64_t *out_height,
                            int64_t *out_width)
{
    if (node->kind != CYG_DOC_MAP) {
        CYG_DO(read_side(ctx, node, out_height));
        *out_width = *out_height;
        return CYG_OK;
    }
    const cyg_doc_node *height = NULL, *width = NULL;
    CYG_DO(cyg_doc_need(ctx, node, "height", &height));
    CYG_DO(cyg_doc_need(ctx, node, "width", &width));
    CYG_DO(read_side(ctx, height, out_height));
    return read_side(ctx, width, out_width);
}

static const char *processor_name(const cyg_doc_node *root)
{
    static const char *const keys[] = {"image_processor_type", "feature_extractor_type"};
    for (size_t i = 0; i < CYG_COUNT(keys); i++) {
        const cyg_doc_node *node = cyg_doc_get(root, keys[i]);
        if (node != NULL && node->kind == CYG_DOC_STRING)
            return node->text;
    }
    return "";
}

/* Classes for which a plain number is the shorter side. */
static bool number_is_short_side(const char *processor)
{
    static const char *const classes[] = {"CLIP",        "ConvNext",  "Levit", "PoolFormer",
                                          "MobileNet",   "MobileViT", "Bit",   "EfficientFormer",
                                          "ChineseCLIP", "VideoMAE"};
    for (size_t i = 0; i < CYG_COUNT(classes); i++)
        if (strncmp(processor, classes[i], strlen(classes[i])) == 0)
            return true;
    return false;
}

static cyg_status set_short(cyg_ctx *ctx, const cyg_doc_node *at, cyg_preprocess *p, int64_t side)
{
    if (side < 1 || side > CYG_RESIZE_LONGEST_SIDE)
        return CYG_DOC_FAIL(ctx, at, CYG_E_CONFIG, "a side of %" PRId64 " pixels", side);
    p->geometry = CYG_GEOMETRY_SHORT;
    p->resize_short = side;
    return CYG_OK;
}

static cyg_status read_size(cyg_ctx *ctx, const cyg_doc_node *root, cyg_preprocess *p,
                            int64_t *out_height, int64_t *out_width)
{
    const cyg_doc_node *size = cyg_doc_get(root, "size");
    const cyg_doc_node *edge = cyg_doc_get(size, "shortest_edge");
    const char *processor = processor_name(root);
    const bool convnext = strncmp(processor, "ConvNext", 8) == 0;
    if (!is_set(size))
        return CYG_OK;
    if (!is_set(edge) && size->kind != CYG_DOC_MAP && number_is_short_side(processor))
        edge = size;
    if (!is_set(edge)) {
        p->geometry = CYG_GEOMETRY_STRETCH;
        CYG_DO(read_pair(ctx, size, &p->resize_height, &p->resize_width));
        *out_height = p->resize_height;
        *out_width = p->resize_width;
        return CYG_OK;
    }
    int64_t side;
    CYG_DO(read_side(ctx, edge, &side));
    if (!convnext)
        return set_short(ctx, edge, p, side);
    *out_height = *out_width = side;
    if (side >= 384) {
        p->geometry = CYG_GEOMETRY_STRETCH;
        p->resize_height = p->resize_width = side;
        return CYG_OK;
    }
    double fraction = 224.0 / 256;
    const cyg_doc_node *stated = cyg_doc_get(root, "crop_pct");
    if (is_set(stated))
        CYG_DO(cyg_doc_as_float(ctx, stated, &fraction));
    if (!(fraction > 0.01 && fraction <= 1))
        return CYG_DOC_FAIL(ctx, stated, CYG_E_CONFIG, "crop_pct must lie in 0.01..1");
    return set_short(ctx, edge, p, divide_side(side, fraction));
}

/* mean or std, three numbers or one, times factor. */
static cyg_status read_statistic(cyg_ctx *ctx, const cyg_doc_node *node, double factor,
                                 float out[3])
{
    const bool list = node->kind == CYG_DOC_LIST;
    if (list && node->count != 3 && node->count != 1)
        return CYG_DOC_FAIL(ctx, node, CYG_E_CONFIG, "expected 3 numbers, found %zu", node->count);
    for (size_t i = 0; i < 3; i++) {
        double x;
        const cyg_doc_node *item = list ? node->items[node->count == 3 ? i : 0] : node;
        CYG_DO(cyg_doc_as_float(ctx, item, &x));
        out[i] = (float)(x * factor);
    }
    return CYG_OK;
}

static cyg_status read_normalisation(cyg_ctx *ctx, const cyg_doc_node *root, cyg_preprocess *p)
{
    const cyg_doc_node *mean = cyg_doc_get(root, "image_mean"),
                       *std = cyg_doc_get(root, "image_std");
    const bool normalize = is_true(cyg_doc_get(root, "do_normalize"), is_set(mean) && is_set(std));
    const bool rescale = is_true(cyg_doc_get(root, "do_rescale"), true);
    double factor = 255;
    const cyg_doc_node *stated = cyg_doc_get(root, "rescale_factor");
    if (rescale && is_set(stated)) {
        CYG_DO(cyg_doc_as_float(ctx, stated, &factor));
        if (!(factor > 0))
            return CYG_DOC_FAIL(ctx, stated, CYG_E_CONFIG, "rescale_factor must be positive");
        factor = 1 / factor;
    }
    if (!rescale)
        factor = 1;
    p->normalize = normalize || rescale;
    for (int i = 0; i < 3; i++) {
        p->mean[i] = 0;
        p->std[i] = (float)factor;
    }
    if (!normalize)
        return CYG_OK;
    if (!is_set(mean) || !is_set(std))
        return CYG_DOC_FAIL(ctx, root, CYG_E_CONFIG,
                            "do_normalize without image_mean and image_std");
    CYG_DO(read_statistic(ctx, mean, factor, p->mean));
    return read_statistic(ctx, std, factor, p->std);
}

static cyg_status refuse(cyg_ctx *ctx, const cyg_doc_node *root, const char *key, const char *what)
{
    const cyg_doc_node *node = cyg_doc_get(root, key);
    if (!is_true(node, false))
        return CYG_OK;
    return CYG_DOC_FAIL_KEY(ctx, node, CYG_E_UNSUPPORTED, "%s: %s is not supported", key, what);
}

static cyg_status check_input(cyg_ctx *ctx, const cyg_doc_node *root, const cyg_preprocess *p,
                              int64_t height, int64_t width)
{
    if (height == p->height && width == p->width)
        return CYG_OK;
    return CYG_DOC_FAIL(ctx, root, CYG_E_CONFIG,
                        "pictures of %" PRId64 "x%" PRId64 " for a model input of %" PRId64
                        "x%" PRId64,
                        height, width, p->height, p->width);
}

static cyg_status read_processor(cyg_ctx *ctx, const cyg_doc_node *root, cyg_preprocess *p)
{
    int64_t height = p->height, width = p->width, number;
    CYG_DO(refuse(ctx, root, "do_pad", "padding"));
    CYG_DO(refuse(ctx, root, "do_flip_channel_order", "another channel order"));
    const cyg_doc_node *filter = cyg_doc_get(root, "resample");
    if (is_set(filter)) {
        CYG_DO(cyg_doc_as_int(ctx, filter, &number));
        if (number < CYG_RESIZE_NEAREST || number > CYG_RESIZE_HAMMING)
            return CYG_DOC_FAIL(ctx, filter, CYG_E_CONFIG, "resample: unknown filter %" PRId64,
                                number);
        p->filter = (cyg_resize_filter)number;
    }
    if (is_true(cyg_doc_get(root, "do_resize"), true))
        CYG_DO(read_size(ctx, root, p, &height, &width));
    else
        p->geometry = CYG_GEOMETRY_NONE;
    const cyg_doc_node *crop = cyg_doc_get(root, "crop_size");
    if (is_true(cyg_doc_get(root, "do_center_crop"), false) && is_set(crop))
        CYG_DO(read_pair(ctx, crop, &height, &width));
    CYG_DO(check_input(ctx, root, p, height, width));
    return read_normalisation(ctx, root, p);
}

static cyg_status read_timm(cyg_ctx *ctx, const cyg_doc_node *cfg, cyg_preprocess *p)
{
    const cyg_doc_node *size = NULL, *node = NULL;
    const char *text = "";
    int64_t height, width;
    double fraction = 0.875;
    CYG_DO(cyg_doc_need(ctx, cfg, "input_size", &size));
    CYG_DO(cyg_doc_as_list(ctx, size));
    if (size->count != 3)
        return CYG_DOC_FAIL(ctx, size, CYG_E_CONFIG, "expected [channels, height, width]");
    CYG_DO(read_side(ctx, size->items[1], &height));
    CYG_DO(read_side(ctx, size->items[2], &width));
    CYG_DO(check_input(ctx, size, p, height, width));
    node = cyg_doc_get(cfg, "crop_pct");
    if (is_set(node))
        CYG_DO(cyg_doc_as_float(ctx, node, &fraction));
    if (!(fraction > 0.01 && fraction <= 1))
        return CYG_DOC_FAIL(ctx, node, CYG_E_CONFIG, "crop_pct must lie in 0.01..1");
    node = cyg_doc_get(cfg, "crop_mode");
    if (is_set(node))
        CYG_DO(cyg_doc_as_string(ctx, node, &text));
    p->resize_height = divide_side(height, fraction);
    p->resize_width = divide_side(width, fraction);
    if (strcmp(text, "squash") == 0)
        p->geometry = CYG_GEOMETRY_STRETCH;
    else
        CYG_DO(set_short(ctx, size, p, height < width ? p->resize_width : p->resize_height));
    node = cyg_doc_get(cfg, "interpolation");
    if (is_set(node)) {
        CYG_DO(cyg_doc_as_string(ctx, node, &text));
        unsigned i = 0;
        while (i <= CYG_RESIZE_HAMMING &&
               strcmp(text, cyg_resize_filter_name((cyg_resize_filter)i)) != 0)
            i++;
        if (i > CYG_RESIZE_HAMMING)
            return CYG_DOC_FAIL(ctx, node, CYG_E_CONFIG, "unknown interpolation \"%.40s\"", text);
        p->filter = (cyg_resize_filter)i;
    }
    const cyg_doc_node *mean = NULL, *std = NULL;
    CYG_DO(cyg_doc_need(ctx, cfg, "mean", &mean));
    CYG_DO(cyg_doc_need(ctx, cfg, "std", &std));
    p->normalize = true;
    CYG_DO(read_statistic(ctx, mean, 255, p->mean));
    return read_statistic(ctx, std, 255, p->std);
}

cyg_status cyg_preprocess_read_hf(cyg_ctx *ctx, const cyg_doc_node *root, cyg_preprocess *p)
{
    CYG_DO(cyg_doc_as_map(ctx, root));
    cyg_preprocess read = *p;
    const cyg_doc_node *cfg = cyg_doc_get(root, "pretrained_cfg");
    if (cfg == NULL && is_set(cyg_doc_get(root, "input_size")))
        cfg = root;
    if (cfg != NULL)
        CYG_DO(read_timm(ctx, cfg, &read));
    else
        CYG_DO(read_processor(ctx, root, &read));
    CYG_TRY(ctx, cyg_preprocess_check(ctx, &read), "%s", root->path);
    *p = read;
    return CYG_OK;
}
