/* The parts of image decoding. Internal to io. */
#ifndef CYG_IO_IMAGE_PARTS_H
#define CYG_IO_IMAGE_PARTS_H

#include "io/image.h"

cyg_status cyg_jpeg_decode(cyg_ctx *ctx, const char *name, const uint8_t *data, size_t size,
                           cyg_image *out_image) CYG_MUST_USE;
cyg_status cyg_png_decode(cyg_ctx *ctx, const char *name, const uint8_t *data, size_t size,
                          cyg_image *out_image) CYG_MUST_USE;
/* Orientation from a TIFF block (the content of PNG's eXIf, or of JPEG's APP1 behind "Exif\0\0"); 1
 * when it says none. */
int cyg_exif_orientation(const uint8_t *data, size_t size);
/* Checks the size against the limits and allocates pixels. */
cyg_status cyg_image_alloc(cyg_ctx *ctx, const char *name, uint64_t width, uint64_t height,
                           cyg_image *image) CYG_MUST_USE;

#endif
