/* Fuzz entry: a model quantised elsewhere, from the file to integers: import, its scales read, all
 * passes, conversion, lowering. Whatever a file says of scales, zero points, axes and types is
 * either done or refused with a message. Small models come twice: a second time with two samples
 * and with 16 bits asked of every operator, which closes what the file leaves open. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/ctx.h"
#include "base/samples.h"
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

enum { MOST_ELEMENTS = 1 << 14, MOST_NODES = 256, MOST_INPUTS = 8 };

static cyg_status get_sample(cyg_ctx *ctx, void *self, size_t index, cyg_sample_tensor *out)
{
    static float data[MOST_ELEMENTS];
    const cyg_graph *g = self;
    (void)ctx;
    for (size_t i = 0; i < MOST_ELEMENTS; i++)
        data[i] = (float)((i * 7 + index) % 64) * 0.1f - 3.0f;
    for (uint32_t i = 0; i < g->input_count; i++)
        out[i] = (cyg_sample_tensor){.data = data,
                                     .count = (size_t)cyg_value_elements(cyg_val(g, g->inputs[i]))};
    return CYG_OK;
}

static const char *sample_name(void *self, size_t index)
{
    (void)self;
    (void)index;
    return "sample";
}

/* All values are known and small, so that running it takes no time. */
static bool is_small(const cyg_graph *g)
{
    for (uint32_t i = 0; i < g->value_count; i++)
        if (!cyg_value_shape_known(&g->values[i]) ||
            cyg_value_elements(&g->values[i]) > MOST_ELEMENTS)
            return false;
    return g->order_count < MOST_NODES && g->input_count <= MOST_INPUTS;
}

static void convert(cyg_ctx *ctx, cyg_graph *g, bool close)
{
    const cyg_optimise_options fuse = {.fuse = true};
    cyg_quant_options options = {0};
    cyg_optimise_report optimised;
    cyg_qdq_report read;
    cyg_quant_report report;
    cyg_arena arena;
    cyg_program program;
    const cyg_sample_source samples = {.self = g,
                                       .count = 2,
                                       .input_count = g->input_count,
                                       .get = get_sample,
                                       .name = sample_name};
    if (!must(ctx, cyg_qdq_read(ctx, g, close, &read)) ||
        !must(ctx, cyg_optimise(ctx, g, &fuse, &optimised)))
        return;
    close = close && is_small(g);
    cyg_asked *asked = close ? calloc(g->node_count + 1, sizeof *asked) : NULL;
    for (uint32_t i = 0; asked != NULL && i < g->node_count; i++)
        asked[i].data = CYG_TYPE_S16;
    options.asked = asked;
    const bool done =
        must(ctx, cyg_quant_given(ctx, g, close ? &samples : NULL, &options, &report));
    free(asked);
    if (!done)
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
        for (int close_open = 0; close_open < 2; close_open++) {
            cyg_ctx_init(&ctx);
            must(&ctx, cyg_onnx_import(&ctx, path, &options, &g, NULL));
            if (g != NULL)
                convert(&ctx, g, close_open == 1);
            cyg_graph_destroy(g);
        }
    }
    close(fd);
    return 0;
}
