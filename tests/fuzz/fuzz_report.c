/* Fuzz entry: report.json to a page. Whatever the records hold, the page must keep its one script
 * and its frame. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/ctx.h"
#include "report/report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t occurrences(const char *text, const char *what)
{
    size_t n = 0;
    for (const char *p = strstr(text, what); p != NULL; p = strstr(p + 1, what))
        n++;
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cyg_ctx ctx;
    cyg_doc *doc = NULL;
    cyg_strbuf html = {0};
    cyg_ctx_init(&ctx);
    if (cyg_doc_parse(&ctx, "report.json", data, size, CYG_DOC_JSON, &doc) != CYG_OK)
        return 0;
    const cyg_status status = cyg_report_render(&ctx, cyg_doc_root(doc), &html);
    if (status == CYG_OK &&
        (occurrences(html.data, "<script") != 1 || occurrences(html.data, "</html>") != 1 ||
         occurrences(html.data, "<style>") != 1))
        abort();
    if (status != CYG_OK && cyg_ctx_message_count(&ctx) == 0)
        abort();
    cyg_strbuf_deinit(&html);
    cyg_doc_close(doc);
    return 0;
}
