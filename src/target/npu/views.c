/* Views that generation makes over and over. */
#include <string.h>

#include "target/npu/gen.h"

int64_t cyg_npu_type_bytes(int32_t type)
{
    static const unsigned char bytes[] = {
#define CYG_TYPE(id, text, size, onnx) size,
#include "base/types.def"
#undef CYG_TYPE
    };
    return type > 0 && (size_t)type < sizeof bytes ? bytes[type] : 0;
}

cyg_npu_view cyg_npu_dense(int32_t type, int rank, const int64_t *dims, uint64_t offset)
{
    cyg_npu_view v = {.type = (uint8_t)type, .rank = (uint8_t)rank, .offset = offset};
    int64_t stride = cyg_npu_type_bytes(type);
    for (int i = rank - 1; i >= 0; i--) {
        v.dims[i] = dims[i];
        v.strides[i] = stride;
        stride *= dims[i];
    }
    return v;
}

cyg_npu_view cyg_npu_rows(int32_t type, int64_t rows, int64_t columns, int64_t pitch, int64_t first)
{
    const int64_t size = cyg_npu_type_bytes(type);
    cyg_npu_view v = {.type = (uint8_t)type, .rank = 2, .offset = (uint64_t)(first * size)};
    v.dims[0] = rows;
    v.dims[1] = columns;
    v.strides[0] = pitch * size;
    v.strides[1] = size;
    return v;
}

uint32_t cyg_npu_owner(const cyg_program *p, uint32_t t)
{
    while (p->tensors[t].kind == CYG_TENSOR_ALIAS)
        t = (uint32_t)p->tensors[t].offset;
    return t;
}
