/* Fuzz entry: NPU code. 4 bytes: size of the parameters (their content is made here); then code. */
#include "base/bytes.h"
#include "npu/code.h"
#include "npu_run.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static cyg_ctx ctx;
    static CYG_ALIGNED(64) uint8_t params[1 << 16];
    cyg_npu_machine machine;
    cyg_npu_program program, again;
    cyg_arena arena;
    if (size < 4 || cyg_load_u32(data) > sizeof params)
        return 0;
    cyg_ctx_init(&ctx);
    cyg_arena_init(&arena);
    for (size_t i = 0; i < sizeof params; i++)
        params[i] = (uint8_t)(i * 7 + i / 64);
    const cyg_status status =
        cyg_npu_decode(&ctx, data + 4, size - 4, params, cyg_load_u32(data), &arena, &program);
    if (status != CYG_OK && cyg_ctx_message_count(&ctx) == 0)
        abort();
    if (status == CYG_OK &&
        cyg_npu_machine_find(NULL, &arena, "AX650", "NPU1", &machine) == CYG_OK) {
        /* What was read can be written, and read again. */
        cyg_strbuf bytes = {0};
        if (cyg_npu_encode(NULL, &program, &bytes) != CYG_OK ||
            cyg_npu_decode(NULL, bytes.data, bytes.len, params, program.param_bytes, &arena,
                           &again) != CYG_OK)
            abort();
        cyg_strbuf_deinit(&bytes);
        npu_run(&machine, &program);
    }
    cyg_arena_deinit(&arena);
    return 0;
}
