/* Development and witnesses: prints each document as one line of JSON, or "! " and why it was
 * refused.
 *
 *     doc_dump FILE...    the suffix names the syntax */
#include <stdio.h>
#include <string.h>

#include "base/ctx.h"
#include "io/doc.h"
#include "io/json_write.h"

static void write_node(cyg_json *j, const cyg_doc_node *n)
{
    char number[64];
    switch (n->kind) {
    case CYG_DOC_MAP:
    case CYG_DOC_LIST:
        n->kind == CYG_DOC_MAP ? cyg_json_begin_object(j) : cyg_json_begin_inline_array(j);
        for (size_t i = 0; i < n->count; i++) {
            if (n->kind == CYG_DOC_MAP)
                cyg_json_key(j, n->items[i]->key);
            write_node(j, n->items[i]);
        }
        n->kind == CYG_DOC_MAP ? cyg_json_end_object(j) : cyg_json_end_array(j);
        return;
    case CYG_DOC_STRING:
        cyg_json_string(j, n->text);
        return;
    case CYG_DOC_INT:
        cyg_json_int(j, n->integer);
        return;
    case CYG_DOC_FLOAT: /* all digits, told from an integer */
        snprintf(number, sizeof number, "float:%a", n->number);
        cyg_json_string(j, number);
        return;
    case CYG_DOC_BOOL:
        cyg_json_bool(j, n->boolean);
        return;
    case CYG_DOC_NULL:
        cyg_json_null(j);
        return;
    }
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        cyg_ctx ctx;
        cyg_doc *doc = NULL;
        cyg_strbuf out = {0};
        cyg_json j;
        cyg_ctx_init(&ctx);
        if (cyg_doc_open(&ctx, argv[i], &doc) != CYG_OK) {
            printf("! %s\n", cyg_ctx_message(&ctx, 0));
            continue;
        }
        cyg_json_init(&j, &out, 0);
        write_node(&j, cyg_doc_root(doc));
        for (size_t k = 0; k < out.len; k++)
            if (out.data[k] == '\n')
                out.data[k] = ' ';
        printf("%s\n", out.failed ? "! out of memory" : out.data);
        cyg_strbuf_deinit(&out);
        cyg_doc_close(doc);
    }
    return 0;
}
