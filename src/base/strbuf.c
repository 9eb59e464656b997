/* Growing string buffer.
 *
 * Failure is sticky: after the first lack of memory every call is a no-op and `failed` stays set,
 * so that a writer of a thousand lines checks once, at its end. The text up to the failure stays
 * valid. */
#include "base/str.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"

void cyg_strbuf_deinit(cyg_strbuf *s)
{
    free(s->data);
    *s = (cyg_strbuf){0};
}

/* Makes room for `more` bytes and the final NUL. */
static bool reserve(cyg_strbuf *s, size_t more)
{
    size_t need;
    if (s->failed || !cyg_add_size(s->len, more, &need) || !cyg_add_size(need, 1, &need)) {
        s->failed = true;
        return false;
    }
    if (need <= s->cap)
        return true;
    size_t cap = s->cap < 64 ? 64 : s->cap;
    while (cap < need && cap <= SIZE_MAX / 2)
        cap *= 2;
    char *data = cap >= need ? realloc(s->data, cap) : NULL;
    if (data == NULL) {
        s->failed = true;
        return false;
    }
    s->data = data;
    s->cap = cap;
    return true;
}

void cyg_strbuf_add(cyg_strbuf *s, const char *bytes, size_t len)
{
    if (!reserve(s, len))
        return;
    if (len != 0)
        memcpy(s->data + s->len, bytes, len);
    s->len += len;
    s->data[s->len] = '\0';
}

void cyg_strbuf_puts(cyg_strbuf *s, const char *text)
{
    cyg_strbuf_add(s, text, strlen(text));
}

void cyg_strbuf_printf(cyg_strbuf *s, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    const int want = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (want < 0) {
        s->failed = true;
    } else if (reserve(s, (size_t)want)) {
        vsnprintf(s->data + s->len, (size_t)want + 1, fmt, again);
        s->len += (size_t)want;
    }
    va_end(again);
}
