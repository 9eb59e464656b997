/* Which decoder, how large, and where EXIF keeps the orientation. */
#include "io/image.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "io/image_parts.h"

cyg_image_kind cyg_image_sniff(const void *data, size_t size)
{
    if (size >= 3 && memcmp(data, "\xff\xd8\xff", 3) == 0)
        return CYG_IMAGE_JPEG;
    if (size >= 8 && memcmp(data, "\x89PNG\r\n\x1a\n", 8) == 0)
        return CYG_IMAGE_PNG;
    return CYG_IMAGE_UNKNOWN;
}

cyg_status cyg_image_decode(cyg_ctx *ctx, const char *name, const void *data, size_t size,
                            cyg_image *out_image)
{
    *out_image = (cyg_image){.orientation = 1, .kind = cyg_image_sniff(data, size)};
    cyg_status status = CYG_OK;
    switch (out_image->kind) {
    case CYG_IMAGE_JPEG:
        status = cyg_jpeg_decode(ctx, name, data, size, out_image);
        break;
    case CYG_IMAGE_PNG:
        status = cyg_png_decode(ctx, name, data, size, out_image);
        break;
    case CYG_IMAGE_UNKNOWN:
        return CYG_FAIL(ctx, CYG_E_FORMAT, "%s is neither JPEG nor PNG", name);
    }
    if (status != CYG_OK)
        cyg_image_deinit(out_image);
    return status;
}

void cyg_image_deinit(cyg_image *image)
{
    free(image->pixels);
    *image = (cyg_image){0};
}

cyg_status cyg_image_alloc(cyg_ctx *ctx, const char *name, uint64_t width, uint64_t height,
                           cyg_image *image)
{
    if (width == 0 || height == 0 || width > CYG_IMAGE_LONGEST_SIDE ||
        height > CYG_IMAGE_LONGEST_SIDE || width * height > CYG_IMAGE_MOST_PIXELS)
        return CYG_FAIL(ctx, CYG_E_UNSUPPORTED,
                        "%s has %" PRIu64 "x%" PRIu64
                        " pixels; at most %d a side and %d in all are taken",
                        name, width, height, CYG_IMAGE_LONGEST_SIDE, CYG_IMAGE_MOST_PIXELS);
    image->pixels = malloc((size_t)(width * height * 3));
    if (image->pixels == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", name);
    image->width = (int64_t)width;
    image->height = (int64_t)height;
    return CYG_OK;
}

static uint32_t read_tiff(const uint8_t *p, unsigned bytes, bool big)
{
    uint32_t v = 0;
    for (unsigned i = 0; i < bytes; i++)
        v |= (uint32_t)p[i] << 8 * (big ? bytes - 1 - i : i);
    return v;
}

int cyg_exif_orientation(const uint8_t *data, size_t size)
{
    if (size < 8 || (memcmp(data, "II*\0", 4) != 0 && memcmp(data, "MM\0*", 4) != 0))
        return 1;
    const bool big = data[0] == 'M';
    const uint64_t table = read_tiff(data + 4, 4, big);
    if (!cyg_range_ok(table, 2, size))
        return 1;
    const uint32_t entries = read_tiff(data + table, 2, big);
    for (uint32_t i = 0; i < entries; i++) {
        const uint64_t at = table + 2 + 12ull * i;
        if (!cyg_range_ok(at, 12, size))
            return 1;
        const uint8_t *entry = data + at;
        const uint32_t tag = read_tiff(entry, 2, big), type = read_tiff(entry + 2, 2, big);
        if (tag != 0x0112)
            continue;
        const uint32_t value = read_tiff(entry + 8, 2, big); /* type 3: one 16-bit number */
        return type == 3 && value >= 1 && value <= 8 ? (int)value : 1;
    }
    return 1;
}
