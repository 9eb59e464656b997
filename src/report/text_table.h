/* A table as text: columns as wide as their widest cell, for terminals and files. */
#ifndef CYG_REPORT_TEXT_TABLE_H
#define CYG_REPORT_TEXT_TABLE_H

#include "base/arena.h"
#include "base/attr.h"
#include "base/str.h"

/* Cells live in arena. A column whose head ends in '>' (not shown) is aligned to the right. */
typedef struct cyg_text_table {
    cyg_arena *arena;
    const char *const *heads; /* lent */
    size_t columns;
    const char **cells;
    size_t count, room;
    bool failed; /* out of memory at some point */
} cyg_text_table;

void cyg_text_table_begin(cyg_text_table *t, cyg_arena *arena, const char *const *heads,
                          size_t columns);
/* The next cell, from left to right, row by row. */
void cyg_text_table_cell(cyg_text_table *t, const char *fmt, ...) CYG_PRINTF(2, 3);
/* Heads and rows, each line behind `indent`, columns apart by `between`. out->failed when any
 * memory was lacking. */
void cyg_text_table_end(cyg_text_table *t, const char *indent, const char *between,
                        cyg_strbuf *out);

#endif
