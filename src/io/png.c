/* PNG by libspng.
 *
 * SPNG_FMT_RGB8 does what is wanted: palette looked up, grey replicated, low depths scaled to
 * 0..255, the low byte of 16-bit samples dropped, alpha and tRNS ignored; gamma is not applied, as
 * Pillow does not. Interlaced files are handled by the library. A chunk with a bad checksum is an
 * error. */
#include "io/image_parts.h"

#include <inttypes.h>
#include <spng.h>

enum { LARGEST_CHUNK = 64 << 20 };

static cyg_status damaged(cyg_ctx *ctx, const char *name, int code)
{
    return CYG_FAIL(ctx, code == SPNG_EMEM ? CYG_E_NOMEM : CYG_E_FORMAT, "%s: damaged PNG: %s",
                    name, spng_strerror(code));
}

static cyg_status decode(cyg_ctx *ctx, const char *name, spng_ctx *png, const uint8_t *data,
                         size_t size, cyg_image *image)
{
    struct spng_ihdr header;
    size_t bytes = 0;
    int code = spng_set_png_buffer(png, data, size);
    if (code == 0)
        code = spng_set_chunk_limits(png, LARGEST_CHUNK, LARGEST_CHUNK);
    if (code == 0)
        code = spng_get_ihdr(png, &header);
    if (code == 0)
        code = spng_decoded_image_size(png, SPNG_FMT_RGB8, &bytes);
    if (code != 0)
        return damaged(ctx, name, code);
    CYG_DO(cyg_image_alloc(ctx, name, header.width, header.height, image));
    if (bytes != (size_t)(image->width * image->height * 3))
        return damaged(ctx, name, SPNG_EOVERFLOW);
    code = spng_decode_image(png, image->pixels, bytes, SPNG_FMT_RGB8, 0);
    if (code == 0)
        code = spng_decode_chunks(png); /* to the end: a file cut there is a damaged file */
    if (code != 0)
        return damaged(ctx, name, code);
    struct spng_exif exif;
    if (spng_get_exif(png, &exif) == 0)
        image->orientation = cyg_exif_orientation((const uint8_t *)exif.data, exif.length);
    return CYG_OK;
}

cyg_status cyg_png_decode(cyg_ctx *ctx, const char *name, const uint8_t *data, size_t size,
                          cyg_image *out_image)
{
    spng_ctx *png = spng_ctx_new(0);
    if (png == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", name);
    const cyg_status status = decode(ctx, name, png, data, size, out_image);
    spng_ctx_free(png);
    return status;
}
