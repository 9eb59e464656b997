/* Tab-separated tables with a header line: labels.tsv. Columns are found by name; CRLF and a byte
 * order mark are fine. No quoting: a cell is what lies between two tabs. */
#ifndef CYG_IO_TSV_H
#define CYG_IO_TSV_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum { CYG_TSV_MOST_COLUMNS = 64 };

typedef struct cyg_tsv cyg_tsv;

cyg_status cyg_tsv_open(cyg_ctx *ctx, const char *path, cyg_tsv **out_table) CYG_MUST_USE;
cyg_status cyg_tsv_parse(cyg_ctx *ctx, const char *path, const void *data, size_t size,
                         cyg_tsv **out_table) CYG_MUST_USE;
void cyg_tsv_close(cyg_tsv *table); /* NULL is fine */
size_t cyg_tsv_rows(const cyg_tsv *table);
/* Number of the column, or an error that lists the columns there are. */
cyg_status cyg_tsv_column(cyg_ctx *ctx, const cyg_tsv *table, const char *name,
                          size_t *out_column) CYG_MUST_USE;
const char *cyg_tsv_cell(const cyg_tsv *table, size_t row, size_t column);
/* A whole number; the error names file, line and column. */
cyg_status cyg_tsv_int(cyg_ctx *ctx, const cyg_tsv *table, size_t row, size_t column,
                       int64_t *out_value) CYG_MUST_USE;
/* Line of a row in the file, for messages. */
size_t cyg_tsv_line(const cyg_tsv *table, size_t row);

#endif
