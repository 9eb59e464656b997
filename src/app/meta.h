/* The META section of a package: JSON that build writes and classify, eval, run and inspect read.
 *
 * {"cygnet": "0.1.0", "kind": "cpu", "model": {"name": .., "sha256": ..}, "preprocess":
 * {..cyg_preprocess..} or null, "labels": ["..", ..] or null, "input": {"dtype": "u8"|"f32"|..,
 * "layout": "NHWC"|"NCHW", "format": "RGB"|"BGR"|"GRAY"|"YUV420SP"|.., "normalized": false; of
 * codes "scale": .., "zero_point": ..; of video "csc": [12 numbers]}, "variants":
 * [{"group": 0, "batch": 1, "shapes": {"x": [..]}}], "calibration":
 * {"images": n, "sha256": ..}, "config": {..merged configuration..}, "golden_check": {"sqnr_db":
 * .., "cosine": .., "agreement": ..}} Nothing in it depends on the clock, the machine or absolute
 * paths. */
#ifndef CYG_APP_META_H
#define CYG_APP_META_H

#include "app/app.h"
#include "base/type.h"
#include "base/yuv.h"
#include "data/preprocess.h"

typedef struct cyg_package_meta {
    bool has_preprocess;
    cyg_preprocess preprocess; /* what calibration used */
    const char *const *labels; /* NULL = none */
    size_t label_count;
    cyg_type input_type; /* what the package's input 0 expects: codes, scale * (q - zero) */
    float input_scale;
    int32_t input_zero;
    bool input_nhwc, input_bgr;
    cyg_yuv input_yuv; /* video pixels, with the matrix that makes the model's colours of them */
    double input_csc[12];
    bool input_normalized; /* floats after (pixel - mean) / std; false: pixels, the package
                              normalises */
} cyg_package_meta;

/* Parses META text; strings live in app->arena. */
cyg_status cyg_meta_read(cyg_app *app, const char *text, size_t size,
                         cyg_package_meta *out_meta) CYG_MUST_USE;
/* The package takes pixels as bytes, each standing for itself. */
bool cyg_meta_feeds_bytes(const cyg_package_meta *meta);
/* Bytes that a picture takes at input 0. */
size_t cyg_meta_input_bytes(const cyg_package_meta *meta);
/* pixels [height, width, channels] in the order of meta->preprocess (what cyg_preprocess_pixels
 * gives) to the input buffer. */
void cyg_meta_feed_pixels(const cyg_package_meta *meta, const uint8_t *pixels, void *out_input);
/* Preprocesses one image file's bytes for the package: writes the input 0 buffer (`bytes` long) in
 * the element type and layout that the package expects. */
cyg_status cyg_meta_feed_image(cyg_app *app, const cyg_package_meta *meta, const char *name,
                               const void *data, size_t size, void *out_input,
                               size_t bytes) CYG_MUST_USE;
/* The same from what the float model takes: [channels, height, width] floats, normalised. Packages
 * of pixels get (x * std + mean), rounded and clamped. */
cyg_status cyg_meta_feed_array(cyg_app *app, const cyg_package_meta *meta, const char *name,
                               const float *values, size_t count, void *out_input,
                               size_t bytes) CYG_MUST_USE;
/* "short side to 256 (bicubic), centre 224x224, rgb": one line for people. */
void cyg_meta_describe(const cyg_package_meta *meta, cyg_strbuf *out);

#endif
