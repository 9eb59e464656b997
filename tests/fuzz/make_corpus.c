/* Writes one file of the corpus, from the transformer of one block that the quantiser's tests use.
 * argv: output, then "int", "s4", "float" or "variants" (packages), "onnx", "text". */
#include "../target/session_testing.h"

#include "onnx/onnx.h"
#include "pass/pass.h"

/* Two groups; the first at batch 2 and 1. */
static void write_variants(cyg_ctx *ctx, cyg_graph *g, const char *path)
{
    cyg_arena arena;
    cyg_program p[3];
    cyg_cpu_report report;
    cyg_arena_init(&arena);
    cyg_graph *twice = cyg_graph_clone(g);
    OK(ctx, cyg_multiply_batch(ctx, twice, 2, true));
    OK(ctx, cyg_target_cpu_compile(ctx, twice, &arena, &p[0], &report));
    OK(ctx, cyg_target_cpu_compile(ctx, g, &arena, &p[1], &report));
    p[0].batch = 2;
    p[2] = p[1];
    p[2].group = 1;
    OK(ctx, cyg_package_write(ctx, path, p, 3, "{}"));
    cyg_graph_destroy(twice);
    cyg_arena_deinit(&arena);
}

int main(int argc, char **argv)
{
    static cyg_ctx ctx;
    cyg_quant_report report;
    if (argc != 3)
        return 2;
    cyg_ctx_init(&ctx);
    const bool variants = strcmp(argv[2], "variants") == 0;
    cyg_quant_options quant = tiny_options(true);
    quant.s4 = strcmp(argv[2], "s4") == 0;
    const bool is_int = strcmp(argv[2], "int") == 0 || quant.s4 || variants;
    cyg_graph *g = is_int ? tiny_quantised_as(&ctx, &quant, &report) : tiny_graph();
    if (variants) {
        write_variants(&ctx, g, argv[1]);
    } else if (is_int || strcmp(argv[2], "float") == 0) {
        write_package(&ctx, g, argv[1]);
    } else if (strcmp(argv[2], "onnx") == 0) {
        const cyg_onnx_export_options options = {.opset = 17};
        OK(&ctx, cyg_onnx_export(&ctx, g, argv[1], &options));
    } else {
        char *text = print_graph(g);
        OK(&ctx, cyg_write_file(&ctx, argv[1], text, strlen(text)));
        free(text);
    }
    cyg_graph_destroy(g);
    return 0;
}
