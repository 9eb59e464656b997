/* META, read; meta_feed.c does what it says.
 *
 * Calibration stored what it did to its pictures: resize, crop, channel order, mean and std, all in
 * terms of the model that was trained. What the package's input takes may differ from that in
 * element type, layout and channel order, because the build folded the difference in. So feeding
 * is: preprocess as calibration did, up to pixels; normalise unless the package does that itself;
 * then bring channels and layout into the order that the input states.
 *
 * META comes from a file, so every entry is checked; one that is absent has the meaning that an
 * older build gave it. */
#include "app/meta.h"

#include <string.h>

#include "io/doc.h"
#include "ir/graph.h"

static cyg_status one_of(cyg_app *app, const cyg_doc_node *map, const char *key, const char *first,
                         const char *second, const char *third, size_t *out_index)
{
    const char *const words[] = {first, second, third};
    const cyg_doc_node *node = cyg_doc_get(map, key);
    const char *text = NULL;
    *out_index = 0;
    if (node == NULL)
        return CYG_OK;
    CYG_DO(cyg_doc_as_string(&app->ctx, node, &text));
    for (size_t i = 0; i < CYG_COUNT(words); i++)
        if (words[i] != NULL && strcmp(words[i], text) == 0) {
            *out_index = i;
            return CYG_OK;
        }
    return CYG_DOC_FAIL(&app->ctx, node, CYG_E_FORMAT, "%s: \"%.40s\" is not known", key, text);
}

static cyg_status read_type(cyg_app *app, const cyg_doc_node *input, cyg_type *out)
{
    static const cyg_type types[] = {CYG_TYPE_F32, CYG_TYPE_U8,  CYG_TYPE_S8,  CYG_TYPE_U16,
                                     CYG_TYPE_S16, CYG_TYPE_U32, CYG_TYPE_S32, CYG_TYPE_F16};
    const cyg_doc_node *node = cyg_doc_get(input, "dtype");
    const char *text = NULL;
    *out = CYG_TYPE_F32;
    if (node == NULL)
        return CYG_OK;
    CYG_DO(cyg_doc_as_string(&app->ctx, node, &text));
    for (size_t i = 0; i < CYG_COUNT(types); i++)
        if (strcmp(cyg_type_name(types[i]), text) == 0) {
            *out = types[i];
            return CYG_OK;
        }
    return CYG_DOC_FAIL(&app->ctx, node, CYG_E_FORMAT, "dtype: \"%.40s\" is not known", text);
}

static cyg_status read_format(cyg_app *app, const cyg_doc_node *input, cyg_package_meta *out)
{
    static const char *const colours[] = {"RGB", "BGR", "GRAY"};
    const cyg_doc_node *node = cyg_doc_get(input, "format"), *csc = cyg_doc_get(input, "csc");
    const char *text = NULL;
    if (node == NULL)
        return CYG_OK;
    CYG_DO(cyg_doc_as_string(&app->ctx, node, &text));
    for (size_t i = 0; i < CYG_COUNT(colours); i++)
        if (strcmp(colours[i], text) == 0) {
            out->input_bgr = i == 1;
            return CYG_OK;
        }
    for (int layout = CYG_YUV_NONE + 1; layout < CYG_YUV_LAYOUTS; layout++)
        if (strcmp(cyg_yuv_name((cyg_yuv)layout), text) == 0)
            out->input_yuv = (cyg_yuv)layout;
    if (out->input_yuv == CYG_YUV_NONE)
        return CYG_DOC_FAIL(&app->ctx, node, CYG_E_FORMAT, "format: \"%.40s\" is not known", text);
    if (csc == NULL)
        return CYG_DOC_FAIL(&app->ctx, node, CYG_E_FORMAT,
                            "video pixels need a \"csc\" beside them");
    CYG_DO(cyg_doc_as_list(&app->ctx, csc));
    if (csc->count != 12 || out->input_type != CYG_TYPE_U8)
        return CYG_DOC_FAIL(&app->ctx, csc, CYG_E_FORMAT,
                            "expected 12 numbers and bytes as pixels, found %zu", csc->count);
    for (size_t i = 0; i < 12; i++)
        CYG_DO(cyg_doc_as_float(&app->ctx, csc->items[i], &out->input_csc[i]));
    return CYG_OK;
}

static cyg_status read_codes(cyg_app *app, const cyg_doc_node *input, cyg_package_meta *out)
{
    const cyg_doc_node *scale = cyg_doc_get(input, "scale"),
                       *zero = cyg_doc_get(input, "zero_point");
    double number = 1.0;
    int64_t whole = 0;
    if (scale != NULL)
        CYG_DO(cyg_doc_as_float(&app->ctx, scale, &number));
    if (zero != NULL)
        CYG_DO(cyg_doc_as_int(&app->ctx, zero, &whole));
    if (!(number >= 1e-30 && number <= 1e30))
        return CYG_DOC_FAIL(&app->ctx, scale, CYG_E_FORMAT, "scale: expected a positive number");
    if (whole < INT32_MIN || whole > INT32_MAX)
        return CYG_DOC_FAIL(&app->ctx, zero, CYG_E_FORMAT, "zero_point: too large");
    out->input_scale = (float)number;
    out->input_zero = (int32_t)whole;
    return CYG_OK;
}

static cyg_status read_input(cyg_app *app, const cyg_doc_node *root, cyg_package_meta *out)
{
    const cyg_doc_node *input = cyg_doc_get(root, "input");
    const cyg_doc_node *normalized = cyg_doc_get(input, "normalized");
    size_t layout = 0;
    CYG_DO(read_type(app, input, &out->input_type));
    CYG_DO(one_of(app, input, "layout", "NCHW", "NHWC", NULL, &layout));
    CYG_DO(read_format(app, input, out));
    CYG_DO(read_codes(app, input, out));
    out->input_nhwc = layout == 1;
    out->input_normalized = out->input_type == CYG_TYPE_F32;
    if (normalized != NULL)
        CYG_DO(cyg_doc_as_bool(&app->ctx, normalized, &out->input_normalized));
    if (out->input_normalized && (cyg_meta_feeds_bytes(out) || out->input_yuv != CYG_YUV_NONE))
        return CYG_DOC_FAIL(&app->ctx, normalized, CYG_E_FORMAT,
                            "an input of bytes cannot be normalised outside");
    const cyg_preprocess *p = &out->preprocess;
    static const uint8_t black[12] = {0};
    uint8_t video[8];
    if (out->input_yuv != CYG_YUV_NONE &&
        !cyg_yuv_encode(out->input_yuv, out->input_csc, black, 2, 2, video))
        return CYG_DOC_FAIL(&app->ctx, cyg_doc_get(input, "csc"), CYG_E_FORMAT,
                            "a matrix that has no inverse");
    if (out->input_yuv != CYG_YUV_NONE &&
        (!out->has_preprocess || cyg_preprocess_channels(p) != 3 || p->height % 2 != 0 ||
         p->width % 2 != 0))
        return CYG_DOC_FAIL(&app->ctx, input, CYG_E_FORMAT,
                            "video pixels are for colour pictures of even sizes");
    return CYG_OK;
}

static cyg_status read_labels(cyg_app *app, const cyg_doc_node *labels, cyg_package_meta *out)
{
    if (labels == NULL || labels->kind == CYG_DOC_NULL)
        return CYG_OK;
    CYG_DO(cyg_doc_as_list(&app->ctx, labels));
    const char **names = CYG_NEW_ARRAY(&app->arena, const char *, labels->count + 1);
    if (names == NULL)
        return CYG_FAIL(&app->ctx, CYG_E_NOMEM, "out of memory");
    for (size_t i = 0; i < labels->count; i++) {
        const char *text = NULL;
        CYG_DO(cyg_doc_as_string(&app->ctx, labels->items[i], &text));
        names[i] = cyg_arena_strdup(&app->arena, text);
        if (names[i] == NULL)
            return CYG_FAIL(&app->ctx, CYG_E_NOMEM, "out of memory");
    }
    out->labels = names;
    out->label_count = labels->count;
    return CYG_OK;
}

static cyg_status read_root(cyg_app *app, const cyg_doc_node *root, cyg_package_meta *out)
{
    CYG_DO(cyg_doc_as_map(&app->ctx, root));
    const cyg_doc_node *preprocess = cyg_doc_get(root, "preprocess");
    if (preprocess != NULL && preprocess->kind != CYG_DOC_NULL) {
        CYG_DO(cyg_preprocess_read(&app->ctx, preprocess, &out->preprocess));
        out->has_preprocess = true;
    }
    CYG_DO(read_input(app, root, out));
    return read_labels(app, cyg_doc_get(root, "labels"), out);
}

cyg_status cyg_meta_read(cyg_app *app, const char *text, size_t size, cyg_package_meta *out_meta)
{
    cyg_doc *doc = NULL;
    memset(out_meta, 0, sizeof *out_meta);
    CYG_DO(cyg_doc_parse(&app->ctx, "section \"meta\"", text, size, CYG_DOC_JSON, &doc));
    const cyg_status status = read_root(app, cyg_doc_root(doc), out_meta);
    cyg_doc_close(doc);
    return status;
}

/* ---- words ---- */

void cyg_meta_describe(const cyg_package_meta *meta, cyg_strbuf *out)
{
    const cyg_preprocess *p = &meta->preprocess;
    const char *filter = cyg_resize_filter_name(p->filter);
    switch (p->geometry) {
    case CYG_GEOMETRY_NONE:
        break;
    case CYG_GEOMETRY_STRETCH:
        cyg_strbuf_printf(out, "stretch to %lldx%lld (%s), ", (long long)p->resize_height,
                          (long long)p->resize_width, filter);
        break;
    case CYG_GEOMETRY_SHORT:
        cyg_strbuf_printf(out, "short side to %lld (%s), ", (long long)p->resize_short, filter);
        break;
    }
    if (p->geometry != CYG_GEOMETRY_STRETCH || p->resize_height != p->height ||
        p->resize_width != p->width)
        cyg_strbuf_printf(out, "centre %lldx%lld, ", (long long)p->height, (long long)p->width);
    if (meta->input_yuv != CYG_YUV_NONE)
        cyg_strbuf_printf(out, "fed as %s", cyg_yuv_name(meta->input_yuv));
    else
        cyg_strbuf_printf(out, "fed as %s %s %s%s", meta->input_bgr ? "BGR" : "RGB",
                          cyg_type_name(meta->input_type), meta->input_nhwc ? "NHWC" : "NCHW",
                          meta->input_normalized ? ", normalised" : "");
}
