/* Fuzz entry: documents (first byte, modulo 4: JSON, YAML, TOML, prototxt) and what reads them in
 * data. What parses is walked, looked up, and tried as preprocessing and as class names. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "data/class_names.h"
#include "data/preprocess.h"
#include "io/doc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk(const cyg_doc_node *node)
{
    if (node->line == 0 || node->column == 0 || strlen(node->text) != node->text_size)
        abort();
    for (size_t i = 0; i < node->count; i++) {
        const cyg_doc_node *item = node->items[i];
        if (node->kind == CYG_DOC_MAP && cyg_doc_get(node, item->key) != item)
            abort();
        walk(item);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cyg_doc *doc = NULL;
    cyg_preprocess p;
    cyg_class_names *names = NULL;
    if (size == 0)
        return 0;
    const cyg_doc_syntax syntax = (cyg_doc_syntax)(data[0] % 4);
    for (int whole = 0; whole < 2;
         whole++) { /* corpus files have no choice byte: try them whole too */
        if (cyg_doc_parse(NULL, "fuzz", data + !whole, size - !whole, whole ? CYG_DOC_JSON : syntax,
                          &doc) != CYG_OK)
            continue;
        walk(cyg_doc_root(doc));
        cyg_preprocess_init(&p, 224, 224);
        if (cyg_preprocess_read_hf(NULL, cyg_doc_root(doc), &p) == CYG_OK &&
            cyg_preprocess_check(NULL, &p) != CYG_OK)
            abort();
        CYG_IGNORE(cyg_preprocess_read(NULL, cyg_doc_root(doc), &p));
        CYG_IGNORE(cyg_class_names_from_doc(NULL, cyg_doc_root(doc), &names));
        cyg_class_names_close(names);
        names = NULL;
        cyg_doc_close(doc);
        doc = NULL;
    }
    return 0;
}
