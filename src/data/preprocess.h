/* The one preprocessing: from an encoded picture to what a model takes, for calibration, golden
 * check, classify, eval and run alike. A description in a plain struct, stored as JSON in packages.
 */
#ifndef CYG_DATA_PREPROCESS_H
#define CYG_DATA_PREPROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/type.h"
#include "data/resize.h"
#include "io/doc.h"
#include "io/image.h"
#include "io/json_write.h"

/* CYG_CHANNELS(id, name, count) */
#define CYG_CHANNEL_ORDERS(CYG_CHANNELS)                                                           \
    CYG_CHANNELS(RGB, "rgb", 3)                                                                    \
    CYG_CHANNELS(BGR, "bgr", 3)                                                                    \
    CYG_CHANNELS(GRAY, "gray", 1)

typedef enum cyg_channel_order {
#define CYG_CHANNELS(id, name, count) CYG_ORDER_##id,
    CYG_CHANNEL_ORDERS(CYG_CHANNELS)
#undef CYG_CHANNELS
} cyg_channel_order;

/* CYG_GEOMETRY(id, name) */
#define CYG_GEOMETRIES(CYG_GEOMETRY)                                                               \
    CYG_GEOMETRY(NONE, "none")       /* not resized */                                             \
    CYG_GEOMETRY(STRETCH, "stretch") /* to resize_height x resize_width, whatever the aspect */    \
    CYG_GEOMETRY(SHORT, "short")     /* the shorter side to resize_short, the other in proportion */

typedef enum cyg_geometry {
#define CYG_GEOMETRY(id, name) CYG_GEOMETRY_##id,
    CYG_GEOMETRIES(CYG_GEOMETRY)
#undef CYG_GEOMETRY
} cyg_geometry;

typedef struct cyg_preprocess {
    int64_t height,
        width; /* of the model's input; what remains after resizing is cropped to it, centred */
    cyg_channel_order order; /* of the model's input */
    cyg_resize_filter filter;
    cyg_geometry geometry;
    int64_t resize_height, resize_width; /* STRETCH */
    int64_t resize_short;                /* SHORT */
    bool normalize;                      /* float input = (pixel - mean) / std, else the pixel */
    float mean[3], std[3];               /* in units of 0..255, in the order of `order` */
    cyg_type source_type; /* what the runtime feeds: F32 (normalised) or U8 (pixels) */
    bool source_nhwc;     /* layout of what the runtime feeds; F32 is mostly NCHW */
} cyg_preprocess;

/* RGB, bicubic, stretched to height x width, not normalised, fed as F32 NCHW. */
void cyg_preprocess_init(cyg_preprocess *p, int64_t height, int64_t width);
/* Shorter side to 256/224 of the input's, then the centre: the usual ImageNet evaluation. */
void cyg_preprocess_set_crop(cyg_preprocess *p);
int64_t cyg_preprocess_channels(const cyg_preprocess *p);
size_t cyg_preprocess_count(const cyg_preprocess *p); /* height * width * channels */
/* Sizes in range, std not zero: for structs that a configuration filled. */
cyg_status cyg_preprocess_check(cyg_ctx *ctx, const cyg_preprocess *p) CYG_MUST_USE;

/* From HuggingFace's preprocessor_config.json, or timm's config.json. Fields that it does not state
 * keep what p has (so call _init first); height and width of p are the model's input and are
 * checked against the file where it states them. */
cyg_status cyg_preprocess_read_hf(cyg_ctx *ctx, const cyg_doc_node *root,
                                  cyg_preprocess *p) CYG_MUST_USE;
/* As a JSON object: the form stored in packages. */
void cyg_preprocess_write(const cyg_preprocess *p, cyg_json *out);
cyg_status cyg_preprocess_read(cyg_ctx *ctx, const cyg_doc_node *map,
                               cyg_preprocess *out_p) CYG_MUST_USE;

/* Resizes, crops and orders: out is [height, width, channels], cyg_preprocess_count bytes.
 * Thread-safe. */
cyg_status cyg_preprocess_pixels(cyg_ctx *ctx, const cyg_preprocess *p, const cyg_image *image,
                                 uint8_t *out) CYG_MUST_USE;
/* The same from the bytes of a file; name is for messages. out_orientation (may be NULL): EXIF's
 * wish, not applied. */
cyg_status cyg_preprocess_decode(cyg_ctx *ctx, const cyg_preprocess *p, const char *name,
                                 const void *data, size_t size, uint8_t *out,
                                 int *out_orientation) CYG_MUST_USE;
/* pixels [height, width, channels] to float, normalised: [channels, height, width], or unchanged in
 * order when source_nhwc. */
void cyg_preprocess_normalise(const cyg_preprocess *p, const uint8_t *pixels, float *out);

#endif
