/* Scanning, shared by the readers of JSON, TOML and protobuf's text format. */
#include "io/doc_scan.h"

#include <string.h>

void cyg_scan_begin(cyg_doc_scan *j, cyg_doc_builder *b, const uint8_t *data, size_t size)
{
    *j = (cyg_doc_scan){.b = b, .p = data, .end = data + size, .line = 1, .column = 1};
    if (cyg_scan_at(j, "\xef\xbb\xbf"))
        j->p += 3;
}

void cyg_scan_step(cyg_doc_scan *j)
{
    if (*j->p == '\n') {
        j->line++;
        j->column = 1;
    } else if ((*j->p & 0xc0) != 0x80) {
        j->column++;
    }
    j->p++;
}

bool cyg_scan_at(const cyg_doc_scan *j, const char *text)
{
    const size_t n = strlen(text);
    return (size_t)(j->end - j->p) >= n && memcmp(j->p, text, n) == 0;
}

cyg_status cyg_scan_unexpected(cyg_doc_scan *j, const char *expected)
{
    const int c = cyg_scan_peek(j);
    const cyg_doc_place at = cyg_scan_place(j);
    if (c == -1)
        return cyg_doc_build_fail(j->b, at, "expected %s, found the end of the file", expected);
    if (cyg_scan_at(j, "..."))
        return cyg_doc_build_fail(j->b, at, "expected %s, found \"...\"", expected);
    if (c > ' ' && c < 127)
        return cyg_doc_build_fail(j->b, at, "expected %s, found '%c'", expected, c);
    if (c == '\n' || c == '\r')
        return cyg_doc_build_fail(j->b, at, "expected %s, found the end of the line", expected);
    return cyg_doc_build_fail(j->b, at, "expected %s, found byte 0x%02x", expected, (unsigned)c);
}

cyg_status cyg_scan_take(cyg_doc_scan *j)
{
    const int c = cyg_scan_peek(j);
    if (c >= 0 && c < ' ' && c != '\t')
        return cyg_doc_build_fail(j->b, cyg_scan_place(j), "control character 0x%02x in a string",
                                  (unsigned)c);
    const size_t n = cyg_utf8_length((const char *)j->p, (size_t)(j->end - j->p));
    if (n == 0)
        return cyg_doc_build_fail(j->b, cyg_scan_place(j), "this is not UTF-8 (byte 0x%02x)",
                                  (unsigned)c);
    cyg_strbuf_add(&j->string, (const char *)j->p, n);
    for (size_t i = 0; i < n; i++)
        cyg_scan_step(j);
    return CYG_OK;
}

void cyg_scan_add_utf8(cyg_strbuf *s, uint32_t c)
{
    char bytes[4];
    size_t n;
    if (c < 0x80) {
        bytes[0] = (char)c;
        n = 1;
    } else if (c < 0x800) {
        bytes[0] = (char)(0xc0 | c >> 6);
        bytes[1] = (char)(0x80 | (c & 63));
        n = 2;
    } else if (c < 0x10000) {
        bytes[0] = (char)(0xe0 | c >> 12);
        bytes[1] = (char)(0x80 | (c >> 6 & 63));
        bytes[2] = (char)(0x80 | (c & 63));
        n = 3;
    } else {
        bytes[0] = (char)(0xf0 | c >> 18);
        bytes[1] = (char)(0x80 | (c >> 12 & 63));
        bytes[2] = (char)(0x80 | (c >> 6 & 63));
        bytes[3] = (char)(0x80 | (c & 63));
        n = 4;
    }
    cyg_strbuf_add(s, bytes, n);
}

cyg_status cyg_scan_hex(cyg_doc_scan *j, int digits, uint32_t *out)
{
    uint32_t value = 0;
    for (int i = 0; i < digits; i++) {
        const int c = cyg_scan_peek(j);
        uint32_t digit;
        if (c >= '0' && c <= '9')
            digit = (uint32_t)(c - '0');
        else if ((c | 32) >= 'a' && (c | 32) <= 'f')
            digit = (uint32_t)((c | 32) - 'a') + 10;
        else
            return cyg_scan_unexpected(j, digits == 2   ? "two hex digits"
                                          : digits == 4 ? "four hex digits"
                                                        : "eight hex digits");
        value = value << 4 | digit;
        cyg_scan_step(j);
    }
    *out = value;
    return CYG_OK;
}
