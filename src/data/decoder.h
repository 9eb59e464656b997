/* Decodes a list of pictures ahead of their use, in parallel, in a fixed order, with bounded
 * memory.
 *
 * The common engine of calibration sets and evaluation data sets. A broken picture is not an error
 * of the decoder: it has a problem text instead of pixels, and the caller decides. */
#ifndef CYG_DATA_DECODER_H
#define CYG_DATA_DECODER_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "data/preprocess.h"

/* Where the bytes come from. */
typedef struct cyg_picture_list {
    void *self;
    size_t count;
    /* malloc'ed bytes of picture i; a failure makes it a broken picture (CYG_E_NOMEM and
     * CYG_E_CANCELLED end the job) */
    cyg_status (*read)(cyg_ctx *ctx, void *self, size_t i, uint8_t **out_data, size_t *out_size);
    /* name for messages; lent */
    const char *(*name)(void *self, size_t i);
    /* reading in this order is cheap */
    uint64_t (*position)(void *self, size_t i);
} cyg_picture_list;

typedef struct cyg_picture {
    const uint8_t *pixels; /* [height, width, channels], lent until the next get; NULL = broken */
    const char *problem;   /* why, with the name in it; "" when usable */
    int orientation;       /* EXIF's wish */
} cyg_picture;

typedef struct cyg_decoder cyg_decoder;

/* Pixels of up to keep_bytes stay in memory, so that a second pass over a small set costs nothing.
 */
cyg_status cyg_decoder_create(cyg_ctx *ctx, const cyg_picture_list *list, const cyg_preprocess *p,
                              size_t keep_bytes, cyg_decoder **out_decoder) CYG_MUST_USE;
void cyg_decoder_destroy(cyg_decoder *decoder); /* NULL is fine */
/* Picture i. Asking in ascending order is what the read-ahead is made for. */
cyg_status cyg_decoder_get(cyg_ctx *ctx, cyg_decoder *decoder, size_t i,
                           cyg_picture *out_picture) CYG_MUST_USE;

#endif
