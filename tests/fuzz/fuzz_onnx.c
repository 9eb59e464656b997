/* Fuzz entry: ONNX files. Import must fail cleanly or give a graph that verifies and prints;
 * tests/onnx/test_damage.c drives it as well. Import reads from a path, so the bytes go through an
 * anonymous file. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/ctx.h"
#include "onnx/onnx.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static cyg_ctx ctx;
    char path[64];
    cyg_graph *g = NULL;
    const int fd = memfd_create("onnx", MFD_CLOEXEC);
    if (fd < 0)
        return 0;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (size == 0 || write(fd, data, size) == (ssize_t)size) {
        cyg_ctx_init(&ctx);
        const cyg_status status = cyg_onnx_import(&ctx, path, NULL, &g, NULL);
        if ((status == CYG_OK) != (g != NULL) || status == CYG_E_INTERNAL)
            abort();
        if (status != CYG_OK && cyg_ctx_message_count(&ctx) == 0)
            abort();
        if (g != NULL) {
            cyg_strbuf text = {0};
            if (cyg_graph_verify(&ctx, g) != CYG_OK)
                abort();
            cyg_graph_print(g, false, &text);
            cyg_strbuf_deinit(&text);
            cyg_graph_destroy(g);
        }
    }
    close(fd);
    return 0;
}
