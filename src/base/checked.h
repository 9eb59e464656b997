/* Overflow-safe arithmetic for sizes that come from files: each returns false on overflow and
 * leaves *out undefined. */
#ifndef CYG_BASE_CHECKED_H
#define CYG_BASE_CHECKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

CYG_INLINE bool cyg_add_size(size_t a, size_t b, size_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}
CYG_INLINE bool cyg_mul_size(size_t a, size_t b, size_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}
CYG_INLINE bool cyg_add_i64(int64_t a, int64_t b, int64_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}
CYG_INLINE bool cyg_mul_i64(int64_t a, int64_t b, int64_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}
/* True when [offset, offset + size) lies inside [0, limit). */
CYG_INLINE bool cyg_range_ok(uint64_t offset, uint64_t size, uint64_t limit)
{
    return offset <= limit && size <= limit - offset;
}
CYG_INLINE size_t cyg_align_up(size_t n, size_t align)
{
    return (n + align - 1) & ~(align - 1);
}

#endif
