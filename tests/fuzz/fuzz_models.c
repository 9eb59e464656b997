/* Fuzz entry of src/models: any bytes as a checkpoint; names and shapes are what counts here. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/ctx.h"
#include "models/models.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static cyg_ctx ctx;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const sets[] = {"image_size=32"};
    cyg_converted *m = NULL;
    char path[64];
    const int fd = memfd_create("checkpoint.safetensors", MFD_CLOEXEC);
    if (fd < 0)
        return 0;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    cyg_ctx_init(&ctx);
    if (write(fd, data, size) == (ssize_t)size) {
        const cyg_convert_options o = {.path = path, .sets = sets, .set_count = 1};
        if (cyg_convert_open(&ctx, &o, &m) == CYG_OK)
            cyg_convert_close(m);
    }
    close(fd);
    return 0;
}
