/* What scatter_nd and scatter_elements share: how an update meets the element that is there. */
#ifndef CYG_KERNELS_MOVE_SCATTER_H
#define CYG_KERNELS_MOVE_SCATTER_H

#include <string.h>

#include "kernels/number.h"

enum { CYG_SCATTER_NONE, CYG_SCATTER_ADD, CYG_SCATTER_MUL, CYG_SCATTER_MAX, CYG_SCATTER_MIN };

/* Floats: one operation in binary64, rounded to the type, which for f32 is the operation in
 * binary32 (a double holds 2 p + 2 bits). */
CYG_INLINE double cyg_scatter_real(int64_t op, double a, double b)
{
    switch (op) {
    case CYG_SCATTER_ADD:
        return a + b;
    case CYG_SCATTER_MUL:
        return a * b;
    case CYG_SCATTER_MAX:
        return a > b ? a : b;
    default:
        return a < b ? a : b;
    }
}

/* Integers modulo 2^64, narrowed by the store; flip has bit 63 set for u64, which orders it as s64.
 */
CYG_INLINE int64_t cyg_scatter_int(int64_t op, int64_t flip, int64_t a, int64_t b)
{
    switch (op) {
    case CYG_SCATTER_ADD:
        return (int64_t)((uint64_t)a + (uint64_t)b);
    case CYG_SCATTER_MUL:
        return (int64_t)((uint64_t)a * (uint64_t)b);
    case CYG_SCATTER_MAX:
        return (a ^ flip) > (b ^ flip) ? a : b;
    default:
        return (a ^ flip) < (b ^ flip) ? a : b;
    }
}

/* y[at ..] op= updates[from ..], n elements. */
CYG_INLINE void cyg_scatter_apply(int64_t op, int32_t type, int64_t n, void *y, int64_t at,
                                  const void *updates, int64_t from)
{
    const int64_t size = cyg_type_bytes(type), flip = type == CYG_TYPE_U64 ? INT64_MIN : 0;
    if (op == CYG_SCATTER_NONE) {
        memcpy((char *)y + at * size, (const char *)updates + from * size, (size_t)(n * size));
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        if (cyg_is_float_type(type))
            cyg_store_real(y, type, at + i,
                           cyg_scatter_real(op, cyg_load_real(y, type, at + i),
                                            cyg_load_real(updates, type, from + i)));
        else
            cyg_store_int(y, type, at + i,
                          cyg_scatter_int(op, flip, cyg_load_int(y, type, at + i),
                                          cyg_load_int(updates, type, from + i)));
    }
}

#endif
