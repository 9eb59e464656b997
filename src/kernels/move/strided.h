/* Walks over y's elements in order while a source offset follows with any strides: the one loop
 * behind transpose, slice, expand and tile. */
#ifndef CYG_KERNELS_MOVE_STRIDED_H
#define CYG_KERNELS_MOVE_STRIDED_H

#include <string.h>

#include "kernels/shape.h"

/* Copies n elements, source step in elements (any sign). */
CYG_INLINE void cyg_copy_strided(int64_t size, int64_t n, const char *from, int64_t step, char *to)
{
    if (step == 1) {
        memcpy(to, from, (size_t)(n * size));
        return;
    }
#define CYG_COPY(T)                                                                                \
    do {                                                                                           \
        const T *f_ = (const T *)from;                                                             \
        T *t_ = (T *)to;                                                                           \
        for (int64_t i_ = 0; i_ < n; i_++)                                                         \
            t_[i_] = f_[i_ * step];                                                                \
    } while (0)
    switch (size) {
    case 1:
        CYG_COPY(uint8_t);
        break;
    case 2:
        CYG_COPY(uint16_t);
        break;
    case 4:
        CYG_COPY(uint32_t);
        break;
    default:
        CYG_COPY(uint64_t);
        break;
    }
#undef CYG_COPY
}

/* Offset of row `row` (all axes but the last of y). */
CYG_INLINE int64_t cyg_row_offset(const cyg_kbuf *y, const int64_t *strides, int64_t row)
{
    int64_t at = 0;
    for (int32_t i = y->rank - 2; i >= 0; i--) {
        at += row % y->dims[i] * strides[i];
        row /= y->dims[i];
    }
    return at;
}
/* Rows of y: its last axis; one for a scalar. */
CYG_INLINE int64_t cyg_rows_of(const cyg_kbuf *y)
{
    return y->rank == 0 ? 1 : cyg_count_of(y) == 0 ? 0 : cyg_count_dims(y, 0, y->rank - 1);
}
CYG_INLINE int64_t cyg_row_length(const cyg_kbuf *y)
{
    return y->rank == 0 ? 1 : y->dims[y->rank - 1];
}

#endif
