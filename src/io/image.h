/* JPEG and PNG from memory to 8-bit RGB.
 *
 * Pixels are the same on every machine: libjpeg-turbo's accurate integer DCT (JDCT_ISLOW) with
 * fancy upsampling, whose SIMD and plain versions agree bit for bit. Conversion to RGB follows
 * Pillow's Image.convert("RGB"): grey is replicated, a palette is looked up, alpha is dropped, CMYK
 * is taken as Adobe writes it, 16-bit samples keep their high byte. EXIF orientation is reported,
 * not applied (docs/data.md). */
#ifndef CYG_IO_IMAGE_H
#define CYG_IO_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum { CYG_IMAGE_LONGEST_SIDE = 65535, CYG_IMAGE_MOST_PIXELS = 100000000 };

typedef enum cyg_image_kind {
    CYG_IMAGE_UNKNOWN,
    CYG_IMAGE_JPEG,
    CYG_IMAGE_PNG,
} cyg_image_kind;

typedef struct cyg_image {
    uint8_t *pixels; /* heap: [height, width, 3], dense, R G B */
    int64_t width, height;
    cyg_image_kind kind;
    int orientation; /* EXIF, 1 to 8; 1 = upright or not stated */
} cyg_image;

/* By the first bytes, never by name. */
cyg_image_kind cyg_image_sniff(const void *data, size_t size);
/* Decodes; name is for messages. On failure out_image is empty. Thread-safe (each thread with its
 * own ctx, or NULL). */
cyg_status cyg_image_decode(cyg_ctx *ctx, const char *name, const void *data, size_t size,
                            cyg_image *out_image) CYG_MUST_USE;
void cyg_image_deinit(cyg_image *image); /* fine on a zeroed struct */

#endif
