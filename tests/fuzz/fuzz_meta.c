/* Fuzz entry: the META section as classify and eval read it; what reads must be able to feed a
 * small picture without leaving its buffers. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "app/meta.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static cyg_app app;
    cyg_package_meta meta;
    memset(&app, 0, sizeof app);
    cyg_ctx_init(&app.ctx);
    cyg_arena_init(&app.arena);
    const cyg_status status = cyg_meta_read(&app, (const char *)data, size, &meta);
    if (status != CYG_OK && cyg_ctx_message_count(&app.ctx) == 0)
        abort();
    const size_t count =
        status == CYG_OK && meta.has_preprocess ? cyg_preprocess_count(&meta.preprocess) : 0;
    if (count > 0 && count < 65536) {
        uint8_t *pixels = calloc(count, 1);
        float *out = malloc(cyg_meta_input_bytes(&meta));
        if (pixels != NULL && out != NULL)
            cyg_meta_feed_pixels(&meta, pixels, out);
        free(pixels);
        free(out);
    }
    cyg_arena_deinit(&app.arena);
    return 0;
}
