/* Fuzz entry: the assembler. What it takes is printed, and must come back. */
#include "npu/code.h"
#include "npu_run.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static cyg_ctx ctx;
    cyg_npu_machine machine;
    cyg_npu_program program, again;
    cyg_arena arena;
    cyg_ctx_init(&ctx);
    cyg_arena_init(&arena);
    if (cyg_npu_machine_find(NULL, &arena, "AX650", "NPU1", &machine) != CYG_OK)
        abort();
    const cyg_status status =
        cyg_npu_parse(&ctx, &machine, "text", (const char *)data, size, &arena, &program);
    if (status != CYG_OK && cyg_ctx_message_count(&ctx) == 0)
        abort();
    /* A text may ask for more data than one would print. */
    if (status == CYG_OK && program.param_bytes < 1 << 20 && program.code_bytes < 1 << 20) {
        cyg_strbuf first = {0}, second = {0};
        cyg_npu_print(&machine, &program, true, &first);
        if (cyg_npu_parse(&ctx, &machine, "print", first.data, first.len, &arena, &again) != CYG_OK)
            abort();
        cyg_npu_print(&machine, &again, true, &second);
        if (first.len != second.len || memcmp(first.data, second.data, first.len) != 0)
            abort();
        cyg_strbuf_deinit(&first);
        cyg_strbuf_deinit(&second);
        npu_run(&machine, &program);
    }
    cyg_arena_deinit(&arena);
    return 0;
}
