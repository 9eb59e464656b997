/* Small questions about buffers that every kernel operator asks. */
#ifndef CYG_KERNELS_SHAPE_H
#define CYG_KERNELS_SHAPE_H

#include <stdbool.h>

#include "base/attr.h"
#include "base/checked.h"
#include "kernels/call.h"
#include "kernels/params.h"

CYG_INLINE int64_t cyg_min64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}
CYG_INLINE int64_t cyg_max64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}
CYG_INLINE int64_t cyg_div_up(int64_t a, int64_t b)
{
    return a / b + (a % b != 0);
}
/* Bytes of an element; 0 for no type. */
CYG_INLINE int64_t cyg_type_bytes(int32_t type)
{
    switch (type) {
#define CYG_TYPE(id, text, bytes, onnx)                                                            \
    case CYG_TYPE_##id:                                                                            \
        return bytes;
#include "base/types.def"
#undef CYG_TYPE
    default:
        return 0;
    }
}
/* Elements of a checked buffer. */
CYG_INLINE int64_t cyg_count_of(const cyg_kbuf *b)
{
    int64_t n = 1;
    for (int32_t i = 0; i < b->rank; i++)
        n *= b->dims[i];
    return n;
}
/* Product of dims[from .. to). */
CYG_INLINE int64_t cyg_count_dims(const cyg_kbuf *b, int32_t from, int32_t to)
{
    int64_t n = 1;
    for (int32_t i = from; i < to; i++)
        n *= b->dims[i];
    return n;
}
/* Row-major strides in elements. */
CYG_INLINE void cyg_strides_of(const cyg_kbuf *b, int64_t strides[CYG_MAX_RANK])
{
    int64_t n = 1;
    for (int32_t i = b->rank - 1; i >= 0; i--) {
        strides[i] = n;
        n *= b->dims[i];
    }
}
/* True when dims are sane: rank 0..8, no negative dim, under 2^46 bytes (an empty tensor's other
 * dims count too, so that no partial product overflows), a known type. */
CYG_INLINE bool cyg_buf_ok(const cyg_kbuf *b)
{
    int64_t n = cyg_type_bytes(b->type);
    if (n == 0 || b->rank < 0 || b->rank > CYG_MAX_RANK)
        return false;
    for (int32_t i = 0; i < b->rank; i++)
        if (b->dims[i] < 0 || !cyg_mul_i64(n, cyg_max64(b->dims[i], 1), &n) || n > (int64_t)1 << 46)
            return false;
    return true;
}
CYG_INLINE bool cyg_has_in(const cyg_kcall *call, uint32_t i)
{
    return i < call->in_count && call->in[i].data != NULL;
}
CYG_INLINE bool cyg_same_dims(const cyg_kbuf *a, const cyg_kbuf *b)
{
    if (a->rank != b->rank)
        return false;
    for (int32_t i = 0; i < a->rank; i++)
        if (a->dims[i] != b->dims[i])
            return false;
    return true;
}
/* Buffer counts within bounds and every buffer sane; absent optional inputs are not looked at. */
CYG_INLINE const char *cyg_check_bufs(const cyg_kcall *call, uint32_t min_in, uint32_t max_in,
                                      uint32_t min_out, uint32_t max_out)
{
    if (call->in_count < min_in || call->in_count > max_in)
        return "wrong number of inputs";
    if (call->out_count < min_out || call->out_count > max_out)
        return "wrong number of outputs";
    if (call->params == NULL)
        return "no parameters";
    for (uint32_t i = 0; i < call->in_count; i++)
        if ((i < min_in || call->in[i].data != NULL) && !cyg_buf_ok(&call->in[i]))
            return "input with a bad type or shape";
    for (uint32_t i = 0; i < call->out_count; i++)
        if (!cyg_buf_ok(&call->out[i]))
            return "output with a bad type or shape";
    return NULL;
}
#define CYG_REQUIRE(cond, text)                                                                    \
    do {                                                                                           \
        if (!(cond))                                                                               \
            return (text);                                                                         \
    } while (0)
#define CYG_REQUIRE_BUFS(call, min_in, max_in, min_out, max_out)                                   \
    do {                                                                                           \
        const char *const wrong_ =                                                                 \
            cyg_check_bufs((call), (min_in), (max_in), (min_out), (max_out));                      \
        if (wrong_ != NULL)                                                                        \
            return wrong_;                                                                         \
    } while (0)

#endif
