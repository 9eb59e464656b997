/* Tab-separated tables.
 *
 * The text is copied once and cut in place: each cell becomes a C string. Every row has at least as
 * many cells as the header (missing trailing cells are an error, since an empty label would pass
 * for class 0). Empty lines are skipped. */
#include "io/tsv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/str.h"

enum { LARGEST = 1 << 30 };

struct cyg_tsv {
    char *path;
    char *text;
    const char **cells; /* [rows + 1, columns]; row 0 is the header */
    size_t *lines;      /* [rows + 1] */
    size_t columns, rows;
};

void cyg_tsv_close(cyg_tsv *t)
{
    if (t == NULL)
        return;
    free(t->path);
    free(t->text);
    free(t->cells);
    free(t->lines);
    free(t);
}

/* Cuts one line into cells; returns how many there were, storing at most `most`. */
static size_t cut(char *line, const char **cells, size_t most)
{
    size_t n = 0;
    for (char *p = line; p != NULL; n++) {
        char *tab = strchr(p, '\t');
        if (tab != NULL)
            *tab = '\0';
        if (n < most)
            cells[n] = p;
        p = tab != NULL ? tab + 1 : NULL;
    }
    return n;
}

static cyg_status cut_lines(cyg_ctx *ctx, cyg_tsv *t, char *text)
{
    const char *header[CYG_TSV_MOST_COLUMNS];
    size_t line_number = 0, stored = 0;
    for (char *line = text; line != NULL;) {
        char *end = strchr(line, '\n');
        if (end != NULL)
            *end = '\0';
        char *next = end != NULL ? end + 1 : NULL;
        line_number++;
        const size_t n = strlen(line);
        if (n > 0 && line[n - 1] == '\r')
            line[n - 1] = '\0';
        if (line[0] == '\0') {
            line = next;
            continue;
        }
        if (stored == 0) {
            t->columns = cut(line, header, CYG_TSV_MOST_COLUMNS);
            if (t->columns > CYG_TSV_MOST_COLUMNS)
                return CYG_FAIL(ctx, CYG_E_FORMAT, "%s:%zu: %zu columns; at most %d are taken",
                                t->path, line_number, t->columns, CYG_TSV_MOST_COLUMNS);
            t->cells = calloc(t->rows + 1, t->columns * sizeof(char *));
            if (t->cells == NULL)
                return CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", t->path);
            memcpy(t->cells, header, t->columns * sizeof(char *));
        } else {
            const size_t cells = cut(line, t->cells + stored * t->columns, t->columns);
            if (cells < t->columns)
                return CYG_FAIL(ctx, CYG_E_FORMAT, "%s:%zu: %zu cells, the header has %zu", t->path,
                                line_number, cells, t->columns);
        }
        t->lines[stored++] = line_number;
        line = next;
    }
    if (stored == 0)
        return CYG_FAIL(ctx, CYG_E_FORMAT, "%s:1: expected a header line, found nothing", t->path);
    t->rows = stored - 1;
    return CYG_OK;
}

cyg_status cyg_tsv_parse(cyg_ctx *ctx, const char *path, const void *data, size_t size,
                         cyg_tsv **out_table)
{
    *out_table = NULL;
    const char *bytes = data;
    if (size > LARGEST)
        return CYG_FAIL(ctx, CYG_E_UNSUPPORTED, "%s: %zu bytes; a table may have %d", path, size,
                        LARGEST);
    if (size > 0 && memchr(bytes, '\0', size) != NULL)
        return CYG_FAIL(ctx, CYG_E_FORMAT, "%s: holds NUL bytes: this is no text", path);
    cyg_status status = CYG_OK;
    cyg_tsv *t = calloc(1, sizeof *t);
    if (t == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", path);
    for (size_t i = 0; i < size; i++)
        t->rows += bytes[i] ==
                   '\n'; /* an upper bound for now: header and last line make up for each other */
    t->path = strdup(path);
    t->text = malloc(size + 1);
    t->lines = calloc(t->rows + 1, sizeof *t->lines);
    if (t->path == NULL || t->text == NULL || t->lines == NULL) {
        status = CYG_FAIL(ctx, CYG_E_NOMEM, "%s: out of memory", path);
        goto done;
    }
    if (size > 0)
        memcpy(t->text, bytes, size);
    t->text[size] = '\0';
    status = cut_lines(ctx, t, t->text + (strncmp(t->text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0));
    if (status == CYG_OK) {
        *out_table = t;
        t = NULL;
    }
done:
    cyg_tsv_close(t);
    return status;
}

cyg_status cyg_tsv_open(cyg_ctx *ctx, const char *path, cyg_tsv **out_table)
{
    *out_table = NULL;
    cyg_map map;
    CYG_DO(cyg_map_open(ctx, path, &map));
    const cyg_status status = cyg_tsv_parse(ctx, path, map.data, map.size, out_table);
    cyg_map_close(&map);
    return status;
}

size_t cyg_tsv_rows(const cyg_tsv *t)
{
    return t->rows;
}

size_t cyg_tsv_line(const cyg_tsv *t, size_t row)
{
    return t->lines[row + 1];
}

const char *cyg_tsv_cell(const cyg_tsv *t, size_t row, size_t column)
{
    CYG_ASSERT(row < t->rows && column < t->columns);
    return t->cells[(row + 1) * t->columns + column];
}

cyg_status cyg_tsv_column(cyg_ctx *ctx, const cyg_tsv *t, const char *name, size_t *out_column)
{
    for (size_t c = 0; c < t->columns; c++) {
        if (strcmp(t->cells[c], name) == 0) {
            *out_column = c;
            return CYG_OK;
        }
    }
    cyg_strbuf list = {0};
    for (size_t c = 0; c < t->columns; c++)
        cyg_strbuf_printf(&list, "%s\"%s\"", c > 0 ? ", " : "", t->cells[c]);
    const cyg_status status =
        CYG_FAIL(ctx, CYG_E_FORMAT, "%s:%zu: no column \"%s\"; there are %s (tabs between them)",
                 t->path, t->lines[0], name, list.data != NULL ? list.data : "none");
    cyg_strbuf_deinit(&list);
    return status;
}

cyg_status cyg_tsv_int(cyg_ctx *ctx, const cyg_tsv *t, size_t row, size_t column,
                       int64_t *out_value)
{
    const char *text = cyg_tsv_cell(t, row, column);
    char *end = NULL;
    errno = 0;
    const long long value = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0')
        return CYG_FAIL(ctx, CYG_E_FORMAT, "%s:%zu: %s: expected a whole number, found \"%.40s\"",
                        t->path, cyg_tsv_line(t, row), t->cells[column], text);
    *out_value = value;
    return CYG_OK;
}
