/* What every check() of the integer operators asks. Each helper answers NULL or a static text.
 *
 * Packages are hostile: a call passes only when counts, types, shapes and constant tables make it
 * impossible for run to leave its buffers. Optional inputs are absent when the list is shorter or
 * the type is NONE; at run time also when data is NULL. */
#ifndef CYG_KERNELS_INT_CHECK_H
#define CYG_KERNELS_INT_CHECK_H

#include "base/attr.h"
#include "kernels/call.h"
#include "kernels/params.h"

#define CYG_WANT(condition, text)                                                                  \
    do {                                                                                           \
        if (!(condition))                                                                          \
            return (text);                                                                         \
    } while (0)

/* Runs another check and hands its complaint on. */
#define CYG_WANT_OK(expr)                                                                          \
    do {                                                                                           \
        const char *const cyg_complaint_ = (expr);                                                 \
        if (cyg_complaint_ != NULL)                                                                \
            return cyg_complaint_;                                                                 \
    } while (0)

/* Elements of a buffer, or -1: a rank or dimension out of range, or more than 2^40. */
CYG_INLINE int64_t cyg_elements(const cyg_kbuf *b)
{
    int64_t n = 1;
    if (b->rank < 0 || b->rank > CYG_MAX_RANK)
        return -1;
    for (int32_t i = 0; i < b->rank; i++) {
        if (b->dims[i] < 0 || __builtin_mul_overflow(n, b->dims[i], &n) || n > (int64_t)1 << 40)
            return -1;
    }
    return n;
}

CYG_INLINE int64_t cyg_last_dim(const cyg_kbuf *b)
{
    return b->rank > 0 ? b->dims[b->rank - 1] : 1;
}

CYG_INLINE int cyg_is_8bit(int32_t type)
{
    return type == CYG_TYPE_U8 || type == CYG_TYPE_S8;
}

CYG_INLINE int cyg_is_16bit(int32_t type)
{
    return type == CYG_TYPE_U16 || type == CYG_TYPE_S16;
}

CYG_INLINE int cyg_is_activation(int32_t type)
{
    return cyg_is_8bit(type) || cyg_is_16bit(type);
}

CYG_INLINE int64_t cyg_int_bytes(int32_t type)
{
    return cyg_is_8bit(type) ? 1 : cyg_is_16bit(type) ? 2 : type == CYG_TYPE_S64 ? 8 : 4;
}

/* An optional input as check and run see it, or NULL. */
CYG_INLINE const cyg_kbuf *cyg_optional(const cyg_kcall *call, uint32_t i)
{
    return i < call->in_count && call->in[i].type != CYG_TYPE_NONE ? &call->in[i] : NULL;
}

CYG_INLINE const void *cyg_optional_data(const cyg_kcall *call, uint32_t i)
{
    const cyg_kbuf *b = cyg_optional(call, i);
    return b == NULL ? NULL : b->data;
}

const char *cyg_check_counts(const cyg_kcall *call, uint32_t min_in, uint32_t max_in);
/* A constant of this type and element count, data at hand. */
const char *cyg_check_constant(const cyg_kbuf *b, int32_t type, int64_t elements);
/* The limits of an output: whole numbers, lo <= hi, inside y's type with the zero point added. */
const char *cyg_check_sat(const cyg_isat *sat, int32_t y_type);
/* The bias of a product: s32, or for a 16-bit x s64 below 2^52 in size, which keeps every sum exact
 * in binary64. */
const char *cyg_check_bias(const cyg_kbuf *b, int32_t x_type, int64_t elements);
const char *cyg_check_ilinear(const cyg_kp_ilinear *p, int32_t y_type, const cyg_kbuf *residual,
                              int64_t rows, int64_t columns);

#endif
