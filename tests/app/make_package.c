/* Writes a tiny package for the tests of commands, so that they need no model and no calibration:
 *
 *     make_package u8|f32|plain PATH
 *
 * The output is the input itself, flattened (192 "classes"), plus a constant of zeros where it is
 * float; so what a command feeds can be read off what comes out. u8 takes pixels as BGR NHWC, f32
 * the same pixels as normalised RGB NCHW, plain an array of floats with names that need escaping
 * and no preprocessing. */
#include <stdio.h>
#include <string.h>

#include "format/package.h"
#include "kernels/params.h"
#include "kernels/call.h"

enum { SIDE = 8, COUNT = 3 * SIDE * SIDE };

static const char preprocess[] =
    "{\"height\": 8, \"width\": 8, \"channels\": \"rgb\", \"resize\": \"stretch\", "
    "\"resize_height\": 8, \"resize_width\": 8, \"filter\": \"bilinear\", \"normalize\": true, "
    "\"mean\": [127.5, 127.5, 127.5], \"std\": [64, 64, 64], \"source_type\": \"f32\", "
    "\"source_layout\": \"nchw\"}";

static uint32_t add(cyg_program *p, cyg_arena *arena, const char *name, cyg_type type,
                    cyg_tensor_kind kind, int rank, const int64_t *dims, uint64_t at)
{
    cyg_tensor t = {.name = name,
                    .type = (int32_t)type,
                    .rank = rank,
                    .kind = (int32_t)kind,
                    .arena_offset = at};
    memcpy(t.dims, dims, (size_t)rank * sizeof *dims);
    return cyg_program_add_tensor(p, arena, &t);
}

static bool add_step(cyg_program *p, cyg_arena *arena, const char *name, cyg_kop op,
                     const uint32_t *in, uint32_t in_count, const uint32_t *out, const void *params,
                     uint32_t size)
{
    const cyg_step step = {.name = name,
                           .sources = name,
                           .op = (int32_t)op,
                           .in_count = in_count,
                           .out_count = 1,
                           .in = in,
                           .out = out,
                           .params = params,
                           .params_size = size};
    return cyg_program_add_step(p, arena, &step);
}

int main(int argc, char **argv)
{
    static const int64_t nhwc[] = {1, SIDE, SIDE, 3}, nchw[] = {1, 3, SIDE, SIDE},
                         flat[] = {1, COUNT};
    static const float zeros[COUNT];
    static char meta[65536];
    const cyg_kp_none none = {0};
    const cyg_kp_binary plus = {.fn = CYG_BFN_ADD};
    cyg_program p = {0};
    cyg_arena arena;
    cyg_ctx ctx;
    if (argc != 3)
        return 2;
    const bool u8 = strcmp(argv[1], "u8") == 0, plain = strcmp(argv[1], "plain") == 0;
    const cyg_type type = u8 ? CYG_TYPE_U8 : CYG_TYPE_F32;
    cyg_arena_init(&arena);
    cyg_ctx_init(&ctx);

    const uint32_t x =
        add(&p, &arena, plain ? "in:0" : "image", type, CYG_TENSOR_INPUT, 4, u8 ? nhwc : nchw, 0);
    const uint32_t y =
        add(&p, &arena, plain ? "/head/out:0" : "scores", type, CYG_TENSOR_OUTPUT, 2, flat, 1024);
    bool ok = true;
    if (u8) {
        p.tensors[y].scale = 0.125f;
        ok = add_step(&p, &arena, "flatten", CYG_KOP_copy, &x, 1, &y, &none, sizeof none);
    } else {
        const uint32_t middle = add(&p, &arena, "middle", type, CYG_TENSOR_ARENA, 2, flat, 2048);
        const uint32_t zero = add(&p, &arena, "zero", type, CYG_TENSOR_CONST, 2, flat, 0);
        const uint32_t both[] = {middle, zero};
        p.tensors[zero].data = zeros;
        ok = add_step(&p, &arena, "flatten", CYG_KOP_copy, &x, 1, &middle, &none, sizeof none) &&
             add_step(&p, &arena, "add", CYG_KOP_f_binary, both, 2, &y, &plus, sizeof plus);
    }
    uint32_t inputs[] = {x}, outputs[] = {y};
    p.inputs = inputs;
    p.outputs = outputs;
    p.input_count = p.output_count = 1;
    p.arena_bytes = u8 ? 1216 : 2816; /* where the last tensor ends, rounded up to 64 */

    size_t len = (size_t)snprintf(
        meta, sizeof meta,
        "{\"cygnet\": \"test\", \"kind\": \"cpu\", \"preprocess\": %s, \"input\": {\"dtype\": "
        "\"%s\", "
        "\"layout\": \"%s\", \"format\": \"%s\", \"normalized\": %s}, \"labels\": [",
        plain ? "null" : preprocess, u8 ? "u8" : "f32", u8 ? "NHWC" : "NCHW", u8 ? "BGR" : "RGB",
        u8 ? "false" : "true");
    for (int i = 0; i < COUNT; i++)
        len += (size_t)snprintf(meta + len, sizeof meta - len, "%s\"class no. %d\"",
                                i > 0 ? "," : "", i);
    snprintf(meta + len, sizeof meta - len, "]}");
    if (!ok || cyg_package_write(&ctx, argv[2], &p, 1, meta) != CYG_OK) {
        fprintf(stderr, "%s\n", cyg_ctx_message(&ctx, 0));
        return 1;
    }
    cyg_arena_deinit(&arena);
    return 0;
}
