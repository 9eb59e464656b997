/* Fuzz entry of the text form's reader. What parses must verify, infer without harm, and print to a
 * text that parses and prints to itself. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ir/graph.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cyg_graph *g = NULL, *again = NULL;
    cyg_strbuf first = {0}, second = {0};
    if (cyg_graph_parse(NULL, "fuzz", (const char *)data, size, &g) != CYG_OK)
        return 0;
    cyg_graph_print(g, true, &first);
    if (cyg_graph_parse(NULL, "again", first.data, first.len, &again) != CYG_OK)
        abort();
    cyg_graph_print(again, true, &second);
    if (first.len != second.len || memcmp(first.data, second.data, first.len) != 0)
        abort();
    CYG_IGNORE(cyg_graph_infer_shapes(NULL, again));
    if (cyg_graph_verify(NULL, again) == CYG_E_INTERNAL)
        abort();
    cyg_strbuf_deinit(&first);
    cyg_strbuf_deinit(&second);
    cyg_graph_destroy(g);
    cyg_graph_destroy(again);
    return 0;
}
