/* Growing string buffer (heap) and the nearest-name search for "did you mean". */
#ifndef CYG_BASE_STR_H
#define CYG_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"

typedef struct cyg_strbuf {
    char *data; /* NUL-terminated once anything was added; NULL before */
    size_t len, cap;
    bool failed; /* out of memory at some point: check once at the end */
} cyg_strbuf;

void cyg_strbuf_deinit(cyg_strbuf *s);
void cyg_strbuf_add(cyg_strbuf *s, const char *bytes, size_t len);
void cyg_strbuf_puts(cyg_strbuf *s, const char *text);
void cyg_strbuf_printf(cyg_strbuf *s, const char *fmt, ...) CYG_PRINTF(2, 3);

/* The fewest digits, six at least, that read back as the same float, as %g writes them: for finite
 * values. (A seventh to ninth digit is there only when it has to be.) */
enum { CYG_FLOAT_TEXT = 24 };
void cyg_text_float(float value, char out[CYG_FLOAT_TEXT]);

/* Length of the valid UTF-8 sequence at text (1 to 4), or 0 when it is not one. */
size_t cyg_utf8_length(const char *text, size_t size);

/* Index of the name closest to `wanted` by edit distance (transpositions count one, case is cheap),
 * or -1 when none is near enough to be worth suggesting. */
int cyg_nearest_name(const char *wanted, const char *const *names, size_t count);

#endif
