/* The registry of kernel operators: expands kops.def. Each operator's body lives in a file of its own and defines one cyg_kop_info named
 * cyg_kop_info_<id>; this file only finds it by the stored number. */
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
