/* How many nodes of which operator a file's main graph has, for tables of before and after. Only
 * messages are read: no tensor, no shape, so a file of gigabytes takes what its nodes take.
 * Constant nodes are weights in disguise and are not counted; nodes inside functions count as the
 * calls. */
#include "onnx/onnx.h"

#include <stdlib.h>
#include <string.h>

#include "onnx/model.h"

static int compare_names(const void *a, const void *b)
{
    const char *const *x = a, *const *y = b;
    return strcmp(*x, *y);
}

static cyg_status count_types(cyg_ctx *ctx, const cyg_onnx_graph *g, cyg_arena *arena,
                              cyg_onnx_census *out)
{
    const char **types = CYG_NEW_ARRAY(arena, const char *, (size_t)g->node_count + 1);
    if (types == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    uint32_t n = 0;
    for (uint32_t i = 0; i < g->node_count; i++)
        if (g->nodes[i].domain[0] != '\0' || strcmp(g->nodes[i].op_type, "Constant") != 0)
            types[n++] = g->nodes[i].op_type;
    qsort(types, n, sizeof *types, compare_names);
    out->ops = CYG_NEW_ARRAY(arena, cyg_onnx_op_count, (size_t)n + 1);
    if (out->ops == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    for (uint32_t i = 0; i < n; i++) {
        if (i == 0 || strcmp(types[i], types[i - 1]) != 0)
            out->ops[out->op_count++].type = types[i];
        out->ops[out->op_count - 1].count++;
    }
    out->nodes = n;
    return CYG_OK;
}

cyg_status cyg_onnx_count(cyg_ctx *ctx, const char *path, cyg_arena *arena,
                          cyg_onnx_census *out_census)
{
    cyg_map map;
    cyg_onnx_model model;
    *out_census = (cyg_onnx_census){0};
    CYG_DO(cyg_map_open(ctx, path, &map));
    out_census->bytes = map.size;
    cyg_status st = cyg_onnx_decode(ctx, path, (cyg_span){map.data, map.size}, true, arena, &model);
    if (st == CYG_OK)
        st = count_types(ctx, &model.graph, arena, out_census);
    cyg_map_close(&map);
    return st;
}
