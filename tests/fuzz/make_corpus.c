/* Writes one file of the corpus, from the transformer of one block that the quantiser's tests use.
 * argv: output, then "int" or "float" (packages), "onnx", "text". */
#include "../target/session_testing.h"

#include "onnx/onnx.h"

int main(int argc, char **argv)
{
    static cyg_ctx ctx;
    cyg_quant_report report;
    if (argc != 3)
        return 2;
    cyg_ctx_init(&ctx);
    const bool is_int = strcmp(argv[2], "int") == 0;
    cyg_graph *g = is_int ? tiny_quantised(&ctx, true, &report) : tiny_graph();
    if (is_int || strcmp(argv[2], "float") == 0) {
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
