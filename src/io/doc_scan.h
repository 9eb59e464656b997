/* Walking through a text character by character, for the readers that are our own. Internal to io.
 */
#ifndef CYG_IO_DOC_SCAN_H
#define CYG_IO_DOC_SCAN_H

#include "base/str.h"
#include "io/doc_build.h"

typedef struct cyg_doc_scan {
    cyg_doc_builder *b;
    const uint8_t *p, *end;
    uint32_t line, column;
    cyg_strbuf string; /* content of the last string */
} cyg_doc_scan;

CYG_INLINE cyg_doc_place cyg_scan_place(const cyg_doc_scan *j)
{
    return (cyg_doc_place){j->line, j->column};
}

CYG_INLINE int cyg_scan_peek(const cyg_doc_scan *j) /* -1 at the end */
{
    return j->p < j->end ? *j->p : -1;
}

/* Past a byte order mark, at line 1. */
void cyg_scan_begin(cyg_doc_scan *j, cyg_doc_builder *b, const uint8_t *data, size_t size);
/* Over one byte; columns count characters, so continuation bytes of UTF-8 do not count. */
void cyg_scan_step(cyg_doc_scan *j);
bool cyg_scan_at(const cyg_doc_scan *j, const char *text);
/* Fails with "expected .., found": the character at hand, or the end. */
cyg_status cyg_scan_unexpected(cyg_doc_scan *j, const char *expected) CYG_MUST_USE;
/* Takes one character of a string as it is; control characters but tab and what is not UTF-8 are
 * errors. */
cyg_status cyg_scan_take(cyg_doc_scan *j) CYG_MUST_USE;
void cyg_scan_add_utf8(cyg_strbuf *s, uint32_t c);
/* `digits` hex digits. */
cyg_status cyg_scan_hex(cyg_doc_scan *j, int digits, uint32_t *out) CYG_MUST_USE;

#endif
