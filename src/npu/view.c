/* Sizes of views, overflow-safe: they may come from a package. */
#include "base/checked.h"
#include "base/type.h"
#include "npu/program.h"

static uint64_t type_bytes(uint8_t type)
{
    static const uint8_t bytes[CYG_TYPE_COUNT] = {
#define CYG_TYPE(id, text, size, onnx) size,
#include "base/types.def"
#undef CYG_TYPE
    };
    return type < CYG_TYPE_COUNT ? bytes[type] : 0;
}

int64_t cyg_npu_view_elements(const cyg_npu_view *v)
{
    int64_t n = 1;
    for (unsigned i = 0; i < v->rank; i++)
        if (v->dims[i] == 0)
            return 0;
    for (unsigned i = 0; i < v->rank; i++)
        if (v->dims[i] < 0 || !cyg_mul_i64(n, v->dims[i], &n))
            return INT64_MAX;
    return n;
}

uint64_t cyg_npu_view_bytes(const cyg_npu_view *v)
{
    uint64_t bytes;
    if (__builtin_mul_overflow((uint64_t)cyg_npu_view_elements(v), type_bytes(v->type), &bytes))
        return UINT64_MAX;
    return bytes;
}

uint64_t cyg_npu_view_extent(const cyg_npu_view *v)
{
    uint64_t end = type_bytes(v->type);
    if (cyg_npu_view_elements(v) == 0)
        return 0;
    for (unsigned i = 0; i < v->rank; i++) {
        uint64_t part;
        if (v->dims[i] < 0 || v->strides[i] < 0 ||
            __builtin_mul_overflow((uint64_t)v->dims[i] - 1, (uint64_t)v->strides[i], &part) ||
            __builtin_add_overflow(end, part, &end))
            return UINT64_MAX;
    }
    return end;
}
