/* Development: export_one IN OPSET OUT. IN is an ONNX file, or a graph in text form (.txt). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/ctx.h"
#include "base/file.h"
#include "onnx/onnx.h"

static cyg_status read_graph(cyg_ctx *ctx, const char *path, cyg_graph **out)
{
    if (strstr(path, ".txt") == NULL) {
        cyg_onnx_info info;
        const cyg_onnx_import_options options = {.keep_symbolic = true};
        return cyg_onnx_import(ctx, path, &options, out, &info);
    }
    cyg_map map;
    CYG_DO(cyg_map_open(ctx, path, &map));
    cyg_status st = cyg_graph_parse(ctx, path, (const char *)map.data, map.size, out);
    cyg_map_close(&map);
    if (st == CYG_OK)
        st = cyg_graph_infer_shapes(ctx, *out);
    return st;
}

int main(int argc, char **argv)
{
    static cyg_ctx ctx;
    cyg_graph *g = NULL;
    cyg_ctx_init(&ctx);
    if (argc != 4) {
        fprintf(stderr, "usage: export_one IN OPSET OUT\n");
        return 2;
    }
    const cyg_onnx_export_options options = {.opset = atoi(argv[2]), .producer_note = "test"};
    cyg_status st = read_graph(&ctx, argv[1], &g);
    if (st == CYG_OK)
        st = cyg_onnx_export(&ctx, g, argv[3], &options);
    for (size_t i = 0; i < cyg_ctx_message_count(&ctx); i++)
        fprintf(stderr, "%s\n", cyg_ctx_message(&ctx, i));
    cyg_graph_destroy(g);
    return cyg_status_exit_code(st);
}
