/* META and what it means for a picture.
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

#include <stdlib.h>
#include <string.h>

#include "io/doc.h"

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

static cyg_status read_input(cyg_app *app, const cyg_doc_node *root, cyg_package_meta *out)
{
    const cyg_doc_node *input = cyg_doc_get(root, "input");
    const cyg_doc_node *normalized = cyg_doc_get(input, "normalized");
    size_t dtype = 0, layout = 0, format = 0;
    CYG_DO(one_of(app, input, "dtype", "f32", "u8", NULL, &dtype));
    CYG_DO(one_of(app, input, "layout", "NCHW", "NHWC", NULL, &layout));
    CYG_DO(one_of(app, input, "format", "RGB", "BGR", "GRAY", &format));
    out->input_u8 = dtype == 1;
    out->input_nhwc = layout == 1;
    out->input_bgr = format == 1;
    out->input_normalized = dtype == 0;
    if (normalized != NULL)
        CYG_DO(cyg_doc_as_bool(&app->ctx, normalized, &out->input_normalized));
    if (out->input_u8 && out->input_normalized)
        return CYG_DOC_FAIL(&app->ctx, normalized, CYG_E_FORMAT,
                            "an input of bytes cannot be normalised outside");
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

/* ---- pictures ---- */

static bool must_swap(const cyg_package_meta *meta)
{
    const bool is_bgr = meta->preprocess.order == CYG_ORDER_BGR;
    return meta->preprocess.order != CYG_ORDER_GRAY && is_bgr != meta->input_bgr;
}

static void feed_bytes(const cyg_package_meta *meta, const uint8_t *pixels, uint8_t *out)
{
    const size_t channels = (size_t)cyg_preprocess_channels(&meta->preprocess);
    const size_t plane = cyg_preprocess_count(&meta->preprocess) / channels;
    const bool swap = must_swap(meta), nhwc = meta->input_nhwc;
    for (size_t i = 0; i < plane; i++)
        for (size_t c = 0; c < channels; c++) {
            const size_t to = swap ? channels - 1 - c : c;
            out[nhwc ? i * channels + to : to * plane + i] = pixels[i * channels + c];
        }
}

static void feed_floats(const cyg_package_meta *meta, const uint8_t *pixels, float *out)
{
    const size_t channels = (size_t)cyg_preprocess_channels(&meta->preprocess);
    const size_t plane = cyg_preprocess_count(&meta->preprocess) / channels;
    const size_t step = meta->input_nhwc ? channels : 1, last = meta->input_nhwc ? 2 : 2 * plane;
    cyg_preprocess p = meta->preprocess;
    p.normalize = p.normalize && meta->input_normalized;
    p.source_nhwc = meta->input_nhwc;
    cyg_preprocess_normalise(&p, pixels, out);
    for (size_t i = 0; must_swap(meta) && i < plane; i++) {
        const float first = out[i * step];
        out[i * step] = out[i * step + last];
        out[i * step + last] = first;
    }
}

void cyg_meta_feed_pixels(const cyg_package_meta *meta, const uint8_t *pixels, void *out_input)
{
    if (meta->input_u8)
        feed_bytes(meta, pixels, out_input);
    else
        feed_floats(meta, pixels, out_input);
}

static cyg_status need_preprocess(cyg_app *app, const cyg_package_meta *meta, size_t bytes)
{
    if (!meta->has_preprocess)
        return CYG_FAIL(&app->ctx, CYG_E_UNSUPPORTED,
                        "the package does not say how to make its input out of a picture (it was "
                        "calibrated on arrays): use `cygnet run`");
    const size_t expected =
        cyg_preprocess_count(&meta->preprocess) * (meta->input_u8 ? 1 : sizeof(float));
    if (bytes != expected)
        return CYG_FAIL(&app->ctx, CYG_E_FORMAT,
                        "the package's preprocessing makes %zu bytes, its input takes %zu",
                        expected, bytes);
    return CYG_OK;
}

cyg_status cyg_meta_feed_image(cyg_app *app, const cyg_package_meta *meta, const char *name,
                               const void *data, size_t size, void *out_input, size_t bytes)
{
    int orientation = 1;
    CYG_TRY(&app->ctx, need_preprocess(app, meta, bytes), "%s", name);
    uint8_t *pixels = malloc(cyg_preprocess_count(&meta->preprocess));
    if (pixels == NULL)
        return CYG_FAIL(&app->ctx, CYG_E_NOMEM, "%s: out of memory", name);
    const cyg_status status =
        cyg_preprocess_decode(&app->ctx, &meta->preprocess, name, data, size, pixels, &orientation);
    if (status == CYG_OK)
        cyg_meta_feed_pixels(meta, pixels, out_input);
    if (status == CYG_OK && orientation != 1)
        cyg_note(&app->ctx, "%s: its EXIF orientation %d is not applied", name, orientation);
    free(pixels);
    return status;
}

/* ---- float arrays ---- */

/* The pixel that was normalised to x; rounded, because packages of bytes take whole ones. */
static float pixel_of(const cyg_preprocess *p, size_t channel, float x)
{
    const float pixel = p->normalize ? x * p->std[channel] + p->mean[channel] : x;
    return pixel < 0 ? 0 : pixel > 255 ? 255 : pixel;
}

cyg_status cyg_meta_feed_array(cyg_app *app, const cyg_package_meta *meta, const char *name,
                               const float *values, size_t count, void *out_input, size_t bytes)
{
    CYG_TRY(&app->ctx, need_preprocess(app, meta, bytes), "%s", name);
    const cyg_preprocess *p = &meta->preprocess;
    const size_t channels = (size_t)cyg_preprocess_channels(p);
    if (count != cyg_preprocess_count(p))
        return CYG_FAIL(&app->ctx, CYG_E_FORMAT, "%s: expected %zu values, found %zu", name,
                        cyg_preprocess_count(p), count);
    const size_t plane = count / channels;
    const bool swap = must_swap(meta), plain = !meta->input_u8 && meta->input_normalized;
    for (size_t c = 0; c < channels; c++) {
        const size_t to = swap ? channels - 1 - c : c;
        for (size_t i = 0; i < plane; i++) {
            const float x = values[c * plane + i];
            const size_t at = meta->input_nhwc ? i * channels + to : to * plane + i;
            const float fed = plain ? x : pixel_of(p, c, x);
            if (meta->input_u8)
                ((uint8_t *)out_input)[at] = (uint8_t)(fed + 0.5f);
            else
                ((float *)out_input)[at] = fed;
        }
    }
    return CYG_OK;
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
    cyg_strbuf_printf(out, "fed as %s %s %s%s", meta->input_bgr ? "BGR" : "RGB",
                      meta->input_u8 ? "u8" : "f32", meta->input_nhwc ? "NHWC" : "NCHW",
                      meta->input_normalized ? ", normalised" : "");
}
