/* The instruction table, expanded from isa.def. Kernel operators are only numbers here: npu calls
 * none of them. */
#include "kernels/call.h"
#include "npu/program.h"

enum { CYG_KOP_NONE = 0 };

const cyg_npu_op_info *cyg_npu_op_info_of(uint32_t op)
{
    static const cyg_npu_op_info infos[CYG_NPU_OP_LIMIT] = {
#define CYG_NPU_OP(id, value, engine, kop, mnemonic, summary)                                      \
    [value] = {mnemonic, CYG_NPU_##engine, CYG_KOP_##kop},
#include "npu/isa.def"
#undef CYG_NPU_OP
    };
    return op < CYG_NPU_OP_LIMIT && infos[op].mnemonic != NULL ? &infos[op] : NULL;
}
