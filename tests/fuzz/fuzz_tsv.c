/* Fuzz entry: tables and lists of class names. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "data/class_names.h"
#include "io/tsv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cyg_tsv *t = NULL;
    cyg_class_names *names = NULL;
    size_t column, total = 0;
    int64_t value;
    if (cyg_tsv_parse(NULL, "fuzz", data, size, &t) == CYG_OK) {
        CYG_IGNORE(cyg_tsv_column(NULL, t, "class_index", &column));
        for (size_t row = 0; row < cyg_tsv_rows(t); row++) {
            total += strlen(cyg_tsv_cell(t, row, 0));
            CYG_IGNORE(cyg_tsv_int(NULL, t, row, 0, &value));
        }
        if (total > size)
            abort();
    }
    cyg_tsv_close(t);
    if (cyg_class_names_parse(NULL, "fuzz", (const char *)data, size, &names) == CYG_OK &&
        cyg_class_names_count(names) > size + 1)
        abort();
    cyg_class_names_close(names);
    return 0;
}
