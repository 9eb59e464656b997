/* Fuzz entry of src/models: any bytes as a checkpoint; names and shapes are what counts here.
 * Twice: as a Swin that says its heads, and as a ViT that does not. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/ctx.h"
#include "models/models.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static cyg_ctx ctx;

static void convert(const char *path, const char *const *sets, size_t count)
{
    const cyg_convert_options o = {.path = path, .sets = sets, .set_count = count};
    cyg_converted *m = NULL;
    cyg_ctx_init(&ctx);
    if (cyg_convert_open(&ctx, &o, &m) == CYG_OK)
        cyg_convert_close(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const sets[] = {"image_size=32", "num_heads=2"};
    char path[64];
    const int fd = memfd_create("checkpoint.safetensors", MFD_CLOEXEC);
    if (fd < 0)
        return 0;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (write(fd, data, size) == (ssize_t)size) {
        convert(path, sets, 1);
        convert(path, sets + 1, 1);
    }
    close(fd);
    return 0;
}
