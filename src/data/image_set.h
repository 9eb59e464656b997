/* Calibration pictures: the first usable ones of a folder or archive, as samples for a model with
 * one input. */
#ifndef CYG_DATA_IMAGE_SET_H
#define CYG_DATA_IMAGE_SET_H

#include <stddef.h>
#include <stdint.h>

#include "base/samples.h"
#include "data/preprocess.h"

typedef struct cyg_image_set cyg_image_set;

/* Takes the first `limit` usable pictures in byte-wise order of their path (-1 = all). Others are
 * skipped and named in one warning; no usable picture is an error. Each picture is decoded once
 * here, which is how a broken one is found. */
cyg_status cyg_image_set_open(cyg_ctx *ctx, const char *path, const cyg_preprocess *p,
                              int64_t limit, cyg_image_set **out_set) CYG_MUST_USE;
void cyg_image_set_close(cyg_image_set *set); /* NULL is fine */
size_t cyg_image_set_count(const cyg_image_set *set);
size_t cyg_image_set_skipped(const cyg_image_set *set); /* of those looked at */
const char *cyg_image_set_name(const cyg_image_set *set, size_t i);
/* 8-bit pixels [height, width, channels] of sample i; lent until the next call on the set. */
cyg_status cyg_image_set_pixels(cyg_ctx *ctx, cyg_image_set *set, size_t i,
                                const uint8_t **out_pixels) CYG_MUST_USE;
/* Normalised float samples; valid as long as the set. */
cyg_sample_source cyg_image_set_source(cyg_image_set *set);

#endif
