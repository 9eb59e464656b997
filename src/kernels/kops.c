/* The registry of kernel operators: expands kops.def. Each operator's body lives in a file of its
 * own and defines one cyg_kop_info named cyg_kop_info_<id>; this file only finds it by the stored
 * number. */
#include "kernels/call.h"

#define CYG_KOP(id, value, params, summary) extern const cyg_kop_info cyg_kop_info_##id;
#include "kernels/kops.def"
#undef CYG_KOP

const cyg_kop_info *cyg_kop_info_of(int32_t op)
{
    switch (op) {
#define CYG_KOP(id, value, params, summary)                                                        \
    case value:                                                                                    \
        return &cyg_kop_info_##id;
#include "kernels/kops.def"
#undef CYG_KOP
    default:
        return NULL;
    }
}

static int64_t buffer_bytes(const cyg_kbuf *b)
{
    static const unsigned char sizes[] = {
#define CYG_TYPE(id, text, size, onnx) size,
#include "base/types.def"
#undef CYG_TYPE
    };
    if (b->data == NULL || b->type <= 0 || (size_t)b->type >= sizeof sizes)
        return 0;
    int64_t n = sizes[b->type];
    for (int i = 0; i < b->rank; i++)
        n *= b->dims[i];
    return n;
}

int64_t cyg_kcall_bytes(const cyg_kcall *call)
{
    int64_t bytes = 0;
    for (uint32_t i = 0; i < call->in_count; i++)
        bytes += buffer_bytes(&call->in[i]);
    for (uint32_t i = 0; i < call->out_count; i++)
        bytes += buffer_bytes(&call->out[i]);
    return bytes;
}
