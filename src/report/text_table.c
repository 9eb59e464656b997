/* Columns are counted in characters, not bytes: continuation bytes of UTF-8 take none. */
#include "report/text_table.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void cyg_text_table_begin(cyg_text_table *t, cyg_arena *arena, const char *const *heads,
                          size_t columns)
{
    *t = (cyg_text_table){.arena = arena, .heads = heads, .columns = columns};
}

void cyg_text_table_cell(cyg_text_table *t, const char *fmt, ...)
{
    char text[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (t->count == t->room) {
        const size_t room = t->room == 0 ? 64 : 2 * t->room;
        const char **cells = CYG_NEW_ARRAY(t->arena, const char *, room);
        if (cells == NULL) {
            t->failed = true;
            return;
        }
        if (t->count > 0)
            memcpy(cells, t->cells, t->count * sizeof *cells);
        t->cells = cells;
        t->room = room;
    }
    t->cells[t->count] = cyg_arena_strdup(t->arena, text);
    t->failed = t->failed || t->cells[t->count] == NULL;
    t->count++;
}

static bool to_the_right(const char *head)
{
    return head[0] != '\0' && head[strlen(head) - 1] == '>';
}

static size_t width_of(const char *text)
{
    size_t n = 0;
    for (; *text != '\0'; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

static void put_line(const cyg_text_table *t, const char *const *cells, bool heads,
                     const size_t *width, const char *indent, const char *between, cyg_strbuf *out)
{
    cyg_strbuf_puts(out, indent);
    for (size_t c = 0; c < t->columns; c++) {
        const bool right = to_the_right(t->heads[c]);
        const size_t own = heads && right ? 1 : 0;
        const size_t used = width_of(cells[c]) - own;
        const size_t blank = width[c] - used;
        cyg_strbuf_puts(out, c > 0 ? between : "");
        if (right)
            cyg_strbuf_printf(out, "%*s", (int)blank, "");
        cyg_strbuf_add(out, cells[c], strlen(cells[c]) - own);
        if (!right && c + 1 < t->columns)
            cyg_strbuf_printf(out, "%*s", (int)blank, "");
    }
    cyg_strbuf_puts(out, "\n");
}

void cyg_text_table_end(cyg_text_table *t, const char *indent, const char *between, cyg_strbuf *out)
{
    size_t *width = CYG_NEW_ARRAY(t->arena, size_t, t->columns + 1);
    if (width == NULL || t->failed) {
        out->failed = true;
        return;
    }
    for (size_t c = 0; c < t->columns; c++)
        width[c] = width_of(t->heads[c]) - to_the_right(t->heads[c]);
    for (size_t i = 0; i < t->count; i++) {
        const size_t w = width_of(t->cells[i]), c = i % t->columns;
        width[c] = w > width[c] ? w : width[c];
    }
    put_line(t, t->heads, true, width, indent, between, out);
    for (size_t i = 0; i + t->columns <= t->count; i += t->columns)
        put_line(t, t->cells + i, false, width, indent, between, out);
}
