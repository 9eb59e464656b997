/* UTF-8, strictly: no overlong forms, no surrogates, nothing above U+10FFFF. */
#include "base/str.h"

#include <stdint.h>

size_t cyg_utf8_length(const char *text, size_t size)
{
    const uint8_t *p = (const uint8_t *)text;
    if (size == 0)
        return 0;
    const size_t n = p[0] < 0x80 ? 1 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    if ((p[0] >= 0x80 && p[0] < 0xc2) || p[0] > 0xf4 || n > size)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
        (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return n;
}
