/* Fuzz entry: a model quantised elsewhere, from the file to integers: import, its scales read, all
 * passes, conversion, lowering. Whatever a file says of scales, zero points, axes and types is
 * either done or refused with a message. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/ctx.h"
#include "lower/lower.h"
#include "onnx/onnx.h"
#include "pass/pass.h"
#include "quant/qdq.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool must(const cyg_ctx *ctx, cyg_status status)
{
    if (status != CYG_OK && (status == CYG_E_INTERNAL || cyg_ctx_message_count(ctx) == 0)) {
        for (size_t i = 0; i < cyg_ctx_message_count(ctx); i++)
            fprintf(stderr, "%s\n", cyg_ctx_message(ctx, i));
        abort();
    }
    return status == CYG_OK;
}

static void convert(cyg_ctx *ctx, cyg_graph *g)
{
    const cyg_optimise_options fuse = {.fuse = true};
    const cyg_quant_options options = {0};
    cyg_optimise_report optimised;
    cyg_qdq_report read;
    cyg_quant_report report;
    cyg_arena arena;
    cyg_program program;
    if (!must(ctx, cyg_qdq_read(ctx, g, &read)) ||
        !must(ctx, cyg_optimise(ctx, g, &fuse, &optimised)) ||
        !must(ctx, cyg_quant_given(ctx, g, NULL, &options, &report)))
        return;
    must(ctx, cyg_graph_verify(ctx, g));
    cyg_arena_init(&arena);
    must(ctx, cyg_lower_graph(ctx, g, &arena, &program));
    cyg_arena_deinit(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static cyg_ctx ctx;
    static const cyg_onnx_import_options options = {0};
    char path[64];
    cyg_graph *g = NULL;
    const int fd = memfd_create("onnx", MFD_CLOEXEC);
    if (fd < 0)
        return 0;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (size == 0 || write(fd, data, size) == (ssize_t)size) {
        cyg_ctx_init(&ctx);
        must(&ctx, cyg_onnx_import(&ctx, path, &options, &g, NULL));
        if (g != NULL)
            convert(&ctx, g);
        cyg_graph_destroy(g);
    }
    close(fd);
    return 0;
}
