/* Imports each file named on the command line and says in one line what came of it: for development
 * against model collections, and under sanitizers. Exits with 1 when a file fails in a way that is
 * neither "unsupported" nor "damaged".
 *
 *   import_many [--shapes name:1x3x8x8] [--symbolic] [--time] [--values] [--print] FILE...
 *
 * --values prints each value's name, type and dimensions, --print the graph's text form. */
#include <stdio.h>
#include <string.h>

#include "base/ctx.h"
#include "base/file.h"
#include "onnx/onnx.h"

static void sink(void *user, const cyg_log_event *event)
{
    (void)user;
    if (event->kind != CYG_LOG_PROGRESS)
        printf("# %s\n", event->text);
}

static void print_values(const cyg_graph *g)
{
    for (uint32_t i = 0; i < g->value_count; i++) {
        const cyg_value *v = &g->values[i];
        printf("V\t%s\t%s\t", v->name, cyg_type_name(v->type));
        if (v->rank == CYG_RANK_UNKNOWN)
            printf("?");
        for (int k = 0; v->rank != CYG_RANK_UNKNOWN && k < v->rank; k++)
            printf("%s%lld", k > 0 ? "x" : "", (long long)v->dims[k]);
        printf("\n");
    }
}

int main(int argc, char **argv)
{
    static cyg_ctx ctx;
    cyg_onnx_import_options options = {0};
    bool timed = false, values = false, print = false;
    int bad = 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--shapes") == 0 && i + 1 < argc)
            options.input_shapes = argv[++i];
        else if (strcmp(argv[i], "--symbolic") == 0)
            options.keep_symbolic = true;
        else if (strcmp(argv[i], "--time") == 0)
            timed = true;
        else if (strcmp(argv[i], "--values") == 0)
            values = true;
        else if (strcmp(argv[i], "--print") == 0)
            print = true;
        else {
            cyg_ctx_init(&ctx);
            ctx.log.sink = sink;
            cyg_graph *g = NULL;
            cyg_onnx_info info = {0};
            const double start = cyg_seconds();
            const cyg_status status = cyg_onnx_import(&ctx, argv[i], &options, &g, &info);
            const double seconds = cyg_seconds() - start;
            if (status == CYG_OK) {
                printf("ok\t%s\topset %d, %lld nodes (%lld), %u in the graph", argv[i], info.opset,
                       (long long)info.nodes, (long long)info.nodes_without_constant,
                       g->order_count);
                if (timed)
                    printf(", %.3f s, peak %.1f MiB", seconds,
                           (double)cyg_peak_rss_bytes() / 1048576.0);
                printf("\n");
                if (values)
                    print_values(g);
                if (print) {
                    cyg_strbuf text = {0};
                    cyg_graph_print(g, false, &text);
                    fputs(text.data != NULL ? text.data : "", stdout);
                    cyg_strbuf_deinit(&text);
                }
                cyg_graph_destroy(g);
                continue;
            }
            printf("%s\t%s", status == CYG_E_UNSUPPORTED ? "unsupported" : "FAILED", argv[i]);
            for (size_t k = 0; k < cyg_ctx_message_count(&ctx); k++)
                printf("\t%s", cyg_ctx_message(&ctx, k));
            printf("\n");
            bad |= status == CYG_E_INTERNAL || status == CYG_E_NOMEM;
        }
    }
    return bad;
}
