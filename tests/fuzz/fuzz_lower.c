/* Fuzz entry: a quantised graph in text form, checked and lowered: what `build --model_type
 * QuantAxModel` does with the graph that it finds in a file. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/ctx.h"
#include "lower/lower.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static cyg_ctx ctx;
    cyg_graph *g = NULL;
    cyg_arena arena;
    cyg_program program;
    cyg_ctx_init(&ctx);
    if (cyg_graph_parse(&ctx, "fuzz", (const char *)data, size, &g) != CYG_OK)
        return 0;
    cyg_arena_init(&arena);
    cyg_status status = cyg_lower_check(&ctx, g);
    if (status == CYG_OK)
        status = cyg_lower_graph(&ctx, g, &arena, &program);
    if (status != CYG_OK && cyg_ctx_message_count(&ctx) == 0)
        abort();
    cyg_arena_deinit(&arena);
    cyg_graph_destroy(g);
    return 0;
}
