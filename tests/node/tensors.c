/* Tensors of the tests: one TensorProto a file, read with the importer's own reader, and the
 * comparison of ONNX's test runner: |got - want| <= 1e-7 + 1e-3 |want| for floats (NaN equals NaN,
 * infinities must agree), equality for integers and bool, types and shapes alike. bfloat16 may be
 * one unit in the last place off: the tests' own numbers are cut where ONNX's reference rounds. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "kernels/number.h"
#include "node_test.h"

cyg_status node_file_open(cyg_ctx *ctx, const char *path, node_file *out_file)
{
    *out_file = (node_file){.imp = {.ctx = ctx, .path = path}};
    cyg_arena_init(&out_file->imp.scratch);
    out_file->imp.graph = cyg_graph_create();
    if (out_file->imp.graph == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    const cyg_status status = cyg_map_open(ctx, path, &out_file->map);
    out_file->imp.file = (cyg_span){out_file->map.data, out_file->map.size};
    out_file->imp.model.file = (cyg_wire_file){path, out_file->map.data, 0};
    if (status != CYG_OK)
        node_file_close(out_file);
    return status;
}

void node_file_close(node_file *file)
{
    cyg_graph_destroy(file->imp.graph);
    cyg_arena_deinit(&file->imp.scratch);
    cyg_map_close(&file->map);
}

cyg_status node_read_tensor(node_file *file, cyg_kbuf *out_buf)
{
    cyg_onnx_tensor t;
    CYG_DO(cyg_onnx_read_tensor(&file->imp, file->imp.file, file->imp.path, &t));
    if (t.refused != NULL)
        return CYG_FAIL(file->imp.ctx, CYG_E_UNSUPPORTED, "%s: %s", file->imp.path, t.refused);
    *out_buf = (cyg_kbuf){.type = (int32_t)t.type, .rank = t.rank};
    memcpy(out_buf->dims, t.dims, sizeof out_buf->dims);
    memcpy(&out_buf->data, &t.data, sizeof t.data);
    return CYG_OK;
}

static void describe(const cyg_kbuf *b, char out[128])
{
    int used = snprintf(out, 128, "%s[", cyg_type_name((cyg_type)b->type));
    for (int i = 0; i < b->rank && used < 100; i++)
        used +=
            snprintf(out + used, 128 - (size_t)used, "%s%" PRId64, i > 0 ? "," : "", b->dims[i]);
    snprintf(out + used, 128 - (size_t)used, "]");
}

static bool near(double got, double want, double relative)
{
    if (isnan(want) || isinf(want))
        return isnan(want) ? isnan(got) : got == want;
    return fabs(got - want) <= 1e-7 + relative * fabs(want);
}

bool node_same(const cyg_kbuf *got, const cyg_kbuf *want, char *why, size_t size)
{
    const size_t dims = sizeof want->dims[0] * (size_t)want->rank;
    if (got->type != want->type || got->rank != want->rank ||
        memcmp(got->dims, want->dims, dims) != 0) {
        char g[128], w[128];
        describe(got, g);
        describe(want, w);
        snprintf(why, size, "expected %s, found %s", w, g);
        return false;
    }
    int64_t count = 1;
    for (int i = 0; i < want->rank; i++)
        count *= want->dims[i];
    const bool real = cyg_is_float_type(want->type);
    const double relative = want->type == CYG_TYPE_BF16 ? 0x1p-7 : 1e-3;
    for (int64_t i = 0; i < count; i++) {
        const double g = cyg_load_real(got->data, got->type, i);
        const double w = cyg_load_real(want->data, want->type, i);
        if (real ? near(g, w, relative)
                 : cyg_load_int(got->data, got->type, i) == cyg_load_int(want->data, want->type, i))
            continue;
        snprintf(why, size, "element %" PRId64 " of %" PRId64 ": expected %.9g, found %.9g", i,
                 count, w, g);
        return false;
    }
    return true;
}
