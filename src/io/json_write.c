/* Streaming JSON writer.
 *
 * Where a comma, a line break or an indentation goes follows from two bit sets over the nesting
 * depth (has this container an item yet; is it written on one line). "</" is written "<\/", so that
 * a document can stand inside an HTML script element. Shortest numbers: the first precision that
 * reads back to the same bits. */
#include "io/json_write.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"

void cyg_json_init(cyg_json *j, cyg_strbuf *out, unsigned indent)
{
    *j = (cyg_json){.out = out, .indent = indent};
}

static void new_line(cyg_json *j)
{
    if (j->indent == 0 || (j->inlined >> j->depth & 1) != 0)
        return;
    cyg_strbuf_printf(j->out, "\n%*s", (int)(j->depth * j->indent), "");
}

/* Comma and line break before an item (a value, or a key with its value). */
static void before_item(cyg_json *j)
{
    if (j->after_key) {
        j->after_key = false;
        return;
    }
    if (j->depth == 0)
        return;
    if ((j->has_item >> j->depth & 1) != 0)
        cyg_strbuf_puts(j->out, (j->inlined >> j->depth & 1) != 0 ? ", " : ",");
    j->has_item |= (uint64_t)1 << j->depth;
    new_line(j);
}

static void begin(cyg_json *j, const char *bracket, bool inlined)
{
    before_item(j);
    cyg_strbuf_puts(j->out, bracket);
    CYG_ASSERT(j->depth < 63);
    inlined = inlined || (j->inlined >> j->depth & 1) != 0;
    j->depth++;
    j->has_item &= ~((uint64_t)1 << j->depth);
    j->inlined &= ~((uint64_t)1 << j->depth);
    j->inlined |= (uint64_t)inlined << j->depth;
}

static void end(cyg_json *j, const char *bracket)
{
    CYG_ASSERT(j->depth > 0 && !j->after_key);
    const bool empty = (j->has_item >> j->depth & 1) == 0;
    const bool inlined = (j->inlined >> j->depth & 1) != 0;
    j->depth--;
    if (!empty && !inlined)
        new_line(j);
    cyg_strbuf_puts(j->out, bracket);
}

void cyg_json_begin_object(cyg_json *j)
{
    begin(j, "{", false);
}

void cyg_json_end_object(cyg_json *j)
{
    end(j, "}");
}

void cyg_json_begin_array(cyg_json *j)
{
    begin(j, "[", false);
}

void cyg_json_begin_inline_array(cyg_json *j)
{
    begin(j, "[", true);
}

void cyg_json_end_array(cyg_json *j)
{
    end(j, "]");
}

static void put_quoted(cyg_strbuf *out, const char *text, size_t size)
{
    static const char plain[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
    cyg_strbuf_puts(out, "\"");
    for (size_t i = 0; i < size;) {
        const uint8_t c = (uint8_t)text[i];
        const char *special = c != 0 ? strchr(plain, c) : NULL;
        const size_t n = cyg_utf8_length(text + i, size - i);
        if (special != NULL)
            cyg_strbuf_printf(out, "\\%c", letters[special - plain]);
        else if (c == '/' && i > 0 && text[i - 1] == '<')
            cyg_strbuf_puts(out, "\\/");
        else if (c < ' ' || c == 127)
            cyg_strbuf_printf(out, "\\u%04x", c);
        else if (n == 0)
            cyg_strbuf_puts(out, "\xef\xbf\xbd");
        else
            cyg_strbuf_add(out, text + i, n);
        i += n > 0 ? n : 1;
    }
    cyg_strbuf_puts(out, "\"");
}

void cyg_json_key(cyg_json *j, const char *key)
{
    CYG_ASSERT(!j->after_key);
    before_item(j);
    put_quoted(j->out, key, strlen(key));
    cyg_strbuf_puts(j->out, ": ");
    j->after_key = true;
}

void cyg_json_string_n(cyg_json *j, const char *text, size_t size)
{
    before_item(j);
    put_quoted(j->out, text, size);
}

void cyg_json_string(cyg_json *j, const char *text)
{
    if (text == NULL)
        cyg_json_null(j);
    else
        cyg_json_string_n(j, text, strlen(text));
}

void cyg_json_int(cyg_json *j, int64_t value)
{
    before_item(j);
    cyg_strbuf_printf(j->out, "%" PRId64, value);
}

void cyg_json_uint(cyg_json *j, uint64_t value)
{
    before_item(j);
    cyg_strbuf_printf(j->out, "%" PRIu64, value);
}

void cyg_json_double(cyg_json *j, double value)
{
    if (!isfinite(value)) {
        cyg_json_null(j);
        return;
    }
    char text[40];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    before_item(j);
    cyg_strbuf_puts(j->out, text);
}

void cyg_json_float(cyg_json *j, float value)
{
    if (!isfinite(value)) {
        cyg_json_null(j);
        return;
    }
    char text[CYG_FLOAT_TEXT];
    cyg_text_float(value, text);
    before_item(j);
    cyg_strbuf_puts(j->out, text);
}

void cyg_json_bool(cyg_json *j, bool value)
{
    before_item(j);
    cyg_strbuf_puts(j->out, value ? "true" : "false");
}

void cyg_json_null(cyg_json *j)
{
    before_item(j);
    cyg_strbuf_puts(j->out, "null");
}

void cyg_json_key_string(cyg_json *j, const char *key, const char *text)
{
    cyg_json_key(j, key);
    cyg_json_string(j, text);
}

void cyg_json_key_int(cyg_json *j, const char *key, int64_t value)
{
    cyg_json_key(j, key);
    cyg_json_int(j, value);
}

void cyg_json_key_double(cyg_json *j, const char *key, double value)
{
    cyg_json_key(j, key);
    cyg_json_double(j, value);
}

void cyg_json_key_bool(cyg_json *j, const char *key, bool value)
{
    cyg_json_key(j, key);
    cyg_json_bool(j, value);
}

void cyg_json_key_ints(cyg_json *j, const char *key, const int64_t *values, size_t count)
{
    cyg_json_key(j, key);
    cyg_json_begin_inline_array(j);
    for (size_t i = 0; i < count; i++)
        cyg_json_int(j, values[i]);
    cyg_json_end_array(j);
}
