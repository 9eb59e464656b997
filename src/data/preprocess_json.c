/* Preprocessing as JSON: our own object in packages, there and back.
 *
 * Floats are written in the shortest form that reads back to the same binary32, so a stored
 * description gives the same bytes of input. Reading is strict: every key must be there, since a
 * package says everything. */
#include "data/preprocess.h"

#include <string.h>

static const char *const order_names[] = {
#define CYG_CHANNELS(id, name, count) [CYG_ORDER_##id] = name,
    CYG_CHANNEL_ORDERS(CYG_CHANNELS)
#undef CYG_CHANNELS
};
static const char *const geometry_names[] = {
#define CYG_GEOMETRY(id, name) [CYG_GEOMETRY_##id] = name,
    CYG_GEOMETRIES(CYG_GEOMETRY)
#undef CYG_GEOMETRY
};
static const char *const filter_names[] = {
#define CYG_FILTER(id, number, name) [number] = name,
    CYG_RESIZE_FILTERS(CYG_FILTER)
#undef CYG_FILTER
};

static void write_floats(cyg_json *out, const char *key, const float *values, int64_t count)
{
    cyg_json_key(out, key);
    cyg_json_begin_inline_array(out);
    for (int64_t i = 0; i < count; i++)
        cyg_json_float(out, values[i]);
    cyg_json_end_array(out);
}

void cyg_preprocess_write(const cyg_preprocess *p, cyg_json *out)
{
    const int64_t channels = cyg_preprocess_channels(p);
    cyg_json_begin_object(out);
    cyg_json_key_int(out, "height", p->height);
    cyg_json_key_int(out, "width", p->width);
    cyg_json_key_string(out, "channels", order_names[p->order]);
    cyg_json_key_string(out, "resize", geometry_names[p->geometry]);
    if (p->geometry == CYG_GEOMETRY_STRETCH) {
        cyg_json_key_int(out, "resize_height", p->resize_height);
        cyg_json_key_int(out, "resize_width", p->resize_width);
    } else if (p->geometry == CYG_GEOMETRY_SHORT) {
        cyg_json_key_int(out, "resize_short", p->resize_short);
    }
    cyg_json_key_string(out, "filter", filter_names[p->filter]);
    cyg_json_key_bool(out, "normalize", p->normalize);
    if (p->normalize) {
        write_floats(out, "mean", p->mean, channels);
        write_floats(out, "std", p->std, channels);
    }
    cyg_json_key_string(out, "source_type", p->source_type == CYG_TYPE_U8 ? "u8" : "f32");
    cyg_json_key_string(out, "source_layout", p->source_nhwc ? "nhwc" : "nchw");
    cyg_json_end_object(out);
}

static cyg_status read_int(cyg_ctx *ctx, const cyg_doc_node *map, const char *key, int64_t *out)
{
    const cyg_doc_node *node = NULL;
    CYG_DO(cyg_doc_need(ctx, map, key, &node));
    return cyg_doc_as_int(ctx, node, out);
}

static cyg_status read_bool(cyg_ctx *ctx, const cyg_doc_node *map, const char *key, bool *out)
{
    const cyg_doc_node *node = NULL;
    CYG_DO(cyg_doc_need(ctx, map, key, &node));
    return cyg_doc_as_bool(ctx, node, out);
}

/* Index of a string among names. */
static cyg_status read_name(cyg_ctx *ctx, const cyg_doc_node *map, const char *key,
                            const char *const *names, size_t count, unsigned *out)
{
    const cyg_doc_node *node = NULL;
    const char *text = NULL;
    CYG_DO(cyg_doc_need(ctx, map, key, &node));
    CYG_DO(cyg_doc_as_string(ctx, node, &text));
    for (size_t i = 0; i < count; i++) {
        if (strcmp(text, names[i]) == 0) {
            *out = (unsigned)i;
            return CYG_OK;
        }
    }
    return CYG_DOC_FAIL(ctx, node, CYG_E_FORMAT, "%s: unknown value \"%.40s\"", key, text);
}

static cyg_status read_floats(cyg_ctx *ctx, const cyg_doc_node *map, const char *key,
                              int64_t channels, float out[3])
{
    const cyg_doc_node *node = NULL;
    CYG_DO(cyg_doc_need(ctx, map, key, &node));
    CYG_DO(cyg_doc_as_list(ctx, node));
    if (node->count != (size_t)channels)
        return CYG_DOC_FAIL(ctx, node, CYG_E_FORMAT, "%s: expected %d numbers, found %zu", key,
                            (int)channels, node->count);
    for (size_t i = 0; i < node->count; i++) {
        double x;
        CYG_DO(cyg_doc_as_float(ctx, node->items[i], &x));
        out[i] = (float)x;
    }
    return CYG_OK;
}

cyg_status cyg_preprocess_read(cyg_ctx *ctx, const cyg_doc_node *map, cyg_preprocess *out_p)
{
    static const char *const types[] = {"f32", "u8"};
    static const char *const layouts[] = {"nchw", "nhwc"};
    cyg_preprocess p;
    unsigned order = 0, geometry = 0, filter = 0, type = 0, layout = 0;
    cyg_preprocess_init(&p, 1, 1);
    CYG_DO(cyg_doc_as_map(ctx, map));
    CYG_DO(read_int(ctx, map, "height", &p.height));
    CYG_DO(read_int(ctx, map, "width", &p.width));
    CYG_DO(read_name(ctx, map, "channels", order_names, CYG_COUNT(order_names), &order));
    CYG_DO(read_name(ctx, map, "resize", geometry_names, CYG_COUNT(geometry_names), &geometry));
    CYG_DO(read_name(ctx, map, "filter", filter_names, CYG_COUNT(filter_names), &filter));
    CYG_DO(read_name(ctx, map, "source_type", types, CYG_COUNT(types), &type));
    CYG_DO(read_name(ctx, map, "source_layout", layouts, CYG_COUNT(layouts), &layout));
    p.order = (cyg_channel_order)order;
    p.geometry = (cyg_geometry)geometry;
    p.filter = (cyg_resize_filter)filter;
    p.source_type = type == 0 ? CYG_TYPE_F32 : CYG_TYPE_U8;
    p.source_nhwc = layout == 1;
    if (p.geometry == CYG_GEOMETRY_STRETCH) {
        CYG_DO(read_int(ctx, map, "resize_height", &p.resize_height));
        CYG_DO(read_int(ctx, map, "resize_width", &p.resize_width));
    } else if (p.geometry == CYG_GEOMETRY_SHORT) {
        CYG_DO(read_int(ctx, map, "resize_short", &p.resize_short));
    }
    CYG_DO(read_bool(ctx, map, "normalize", &p.normalize));
    if (p.normalize) {
        const int64_t channels = cyg_preprocess_channels(&p);
        CYG_DO(read_floats(ctx, map, "mean", channels, p.mean));
        CYG_DO(read_floats(ctx, map, "std", channels, p.std));
    }
    CYG_TRY(ctx, cyg_preprocess_check(ctx, &p), "%s:%u:%u: preprocessing", map->path, map->line,
            map->column);
    *out_p = p;
    return CYG_OK;
}
