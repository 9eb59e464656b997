/* Fuzz entry: what `cygnet simplify` does to a file, without the proof: import with symbolic
 * dimensions left open, all passes, export. Whatever import lets through must be optimised and
 * written, or refused with a message; nothing may come out that does not verify. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/ctx.h"
#include "onnx/onnx.h"
#include "pass/pass.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(const cyg_ctx *ctx, cyg_status status)
{
    if (status != CYG_OK && (status == CYG_E_INTERNAL || cyg_ctx_message_count(ctx) == 0)) {
        for (size_t i = 0; i < cyg_ctx_message_count(ctx); i++)
            fprintf(stderr, "%s\n", cyg_ctx_message(ctx, i));
        abort();
    }
}

/* In the layouts of ONNX, as simplify has it, or in ours, as build does. */
static void simplify(cyg_ctx *ctx, cyg_graph *g, bool channels_first)
{
    const cyg_optimise_options fuse = {.fuse = true, .channels_first = channels_first};
    const cyg_onnx_export_options latest = {.opset = 17};
    cyg_optimise_report report;
    cyg_status status = cyg_optimise(ctx, g, &fuse, &report);
    must(ctx, status);
    if (status != CYG_OK)
        return;
    must(ctx, cyg_graph_verify(ctx, g));
    cyg_ctx_clear(ctx);
    must(ctx, cyg_onnx_export(ctx, g, "/dev/null", &latest));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static cyg_ctx ctx;
    static const cyg_onnx_import_options symbolic = {.keep_symbolic = true, .in_place = true};
    char path[64];
    cyg_graph *g = NULL;
    const int fd = memfd_create("onnx", MFD_CLOEXEC);
    if (fd < 0)
        return 0;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (size == 0 || write(fd, data, size) == (ssize_t)size) {
        cyg_ctx_init(&ctx);
        must(&ctx, cyg_onnx_import(&ctx, path, &symbolic, &g, NULL));
        if (g != NULL)
            simplify(&ctx, g, size % 4 != 0);
        cyg_graph_destroy(g);
    }
    close(fd);
    return 0;
}
