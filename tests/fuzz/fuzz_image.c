/* Fuzz entry: pictures, through decoding and preprocessing. */
#include <stdint.h>
#include <stdlib.h>

#include "data/preprocess.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cyg_image image;
    cyg_preprocess p;
    uint8_t out[32 * 24 * 3];
    cyg_preprocess_init(&p, 24, 32);
    if (size % 2 == 1)
        cyg_preprocess_set_crop(&p);
    if (cyg_image_decode(NULL, "fuzz", data, size, &image) != CYG_OK) {
        if (image.pixels != NULL)
            abort();
        return 0;
    }
    if (image.width < 1 || image.height < 1 || image.orientation < 1 || image.orientation > 8)
        abort();
    if (image.width * image.height <= 1 << 22)
        CYG_IGNORE(cyg_preprocess_pixels(NULL, &p, &image, out));
    cyg_image_deinit(&image);
    return 0;
}
