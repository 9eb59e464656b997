/* Index tensors: s32 or s64, constant or made at run time. Constant ones are checked once
 * (CYG_REQUIRE in check); others can say anything, so every use clamps: an index outside means "no
 * element", which reads as zero and is not written. */
#ifndef CYG_KERNELS_INDEX_H
#define CYG_KERNELS_INDEX_H

#include "kernels/shape.h"

CYG_INLINE bool cyg_is_index_type(int32_t type)
{
    return type == CYG_TYPE_S64 || type == CYG_TYPE_S32;
}
CYG_INLINE int64_t cyg_index_at(const cyg_kbuf *b, int64_t i)
{
    return b->type == CYG_TYPE_S64 ? ((const int64_t *)b->data)[i] : ((const int32_t *)b->data)[i];
}
/* Negative indices count from the end; -1 = outside. */
CYG_INLINE int64_t cyg_index_wrap(int64_t i, int64_t size)
{
    if (i < 0)
        i = i >= -size ? i + size : -1;
    return i < size ? i : -1;
}
/* True when the buffer is no constant, or all its entries lie in [lo, hi]. */
CYG_INLINE bool cyg_index_in_range(const cyg_kbuf *b, int64_t lo, int64_t hi)
{
    if (!b->is_const || b->data == NULL)
        return true;
    const int64_t n = cyg_count_of(b);
    for (int64_t i = 0; i < n; i++)
        if (cyg_index_at(b, i) < lo || cyg_index_at(b, i) > hi)
            return false;
    return true;
}

#endif
