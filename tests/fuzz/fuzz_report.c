/* Fuzz entry: report.json to a page. Whatever the records hold, the page must keep its one script
 * and its frame, and the picture's DOT text must hold no markup but its own. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/ctx.h"
#include "report/picture.h"
#include "report/report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t occurrences(const char *text, const char *what)
{
    size_t n = 0;
    for (const char *p = strstr(text, what); p != NULL; p = strstr(p + 1, what))
        n++;
    return n;
}

static void draw(const cyg_doc_node *root)
{
    cyg_arena arena;
    cyg_picture p;
    cyg_strbuf text = {0};
    cyg_arena_init(&arena);
    cyg_picture_read(cyg_doc_get(root, "block"), &arena, &p);
    cyg_picture_dot(&p, &text);
    if (!text.failed &&
        (occurrences(text.data, "<script") != 0 || occurrences(text.data, "digraph cygnet {") != 1))
        abort();
    cyg_strbuf_deinit(&text);
    cyg_arena_deinit(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cyg_ctx ctx;
    cyg_doc *doc = NULL;
    cyg_strbuf html = {0};
    cyg_ctx_init(&ctx);
    if (cyg_doc_parse(&ctx, "report.json", data, size, CYG_DOC_JSON, &doc) != CYG_OK)
        return 0;
    const cyg_status status = cyg_report_render(&ctx, cyg_doc_root(doc), NULL, &html);
    if (status == CYG_OK &&
        (occurrences(html.data, "<script") != 1 || occurrences(html.data, "</html>") != 1 ||
         occurrences(html.data, "<style>") != 1))
        abort();
    draw(cyg_doc_root(doc));
    if (status != CYG_OK && cyg_ctx_message_count(&ctx) == 0)
        abort();
    cyg_strbuf_deinit(&html);
    cyg_doc_close(doc);
    return 0;
}
