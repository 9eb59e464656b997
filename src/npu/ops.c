/* What each instruction is: isa.def, and the operands it takes (docs/npu-isa.md). */
#include "npu/program.h"

#include <string.h>

#include "base/bytes.h"
#include "base/type.h"
#include "kernels/call.h" /* header only: stored values of kernel operators */

#define CYG_KOP_NONE 0

/* Operand lists by what an operator's kernel takes (kernels/kops.def). */
#define ARITY(lowest, highest, out) .min_in = (lowest), .max_in = (highest), .outs = (out)
#define OUT0 CYG_NPU_OUT(0)
#define SHAPE_LD ARITY(1, 1, 1)
#define SHAPE_ST ARITY(1, 1, 1)
#define SHAPE_LDX ARITY(2, 2, 1), .index_mask = 1 << 1, .indexed_count = 1, .indexed = {{0, 1}}
#define SHAPE_STX ARITY(2, 2, 1), .index_mask = 1 << 1, .indexed_count = 1, .indexed = {{OUT0, 1}}
#define SHAPE_CONV_LINEAR ARITY(4, 6, 1)
#define SHAPE_CONV_2D ARITY(4, 6, 1)
#define SHAPE_CONV_QK                                                                              \
    ARITY(2, 4, 1), .index_mask = 3 << 2, .indexed_count = 2, .indexed = {{0, 2}, {1, 3}}
#define SHAPE_CONV_PV                                                                              \
    ARITY(3, 5, 1), .index_mask = 3 << 3, .indexed_count = 2, .indexed = {{1, 3}, {OUT0, 4}}
#define SHAPE_CONV_MM ARITY(2, 2, 1)
#define SHAPE_TENG_ACT ARITY(1, 2, 1)
#define SHAPE_TENG_LAYERNORM ARITY(3, 3, 1)
#define SHAPE_TENG_SOFTMAX ARITY(1, 1, 1)
#define SHAPE_TENG_WEIGH                                                                           \
    ARITY(3, 9, 2), .index_mask = 1 << 4 | 3 << 7, .indexed_count = 3,                             \
                    .indexed = {{3, 4}, {5, 7}, {6, 8}}
#define SHAPE_TENG_ELTWISE ARITY(2, 2, 1)
#define SHAPE_TENG_REQUANT ARITY(1, 1, 1)
#define SHAPE_TENG_LUT8 ARITY(2, 2, 1)
#define SHAPE_TENG_LUT16 ARITY(2, 2, 1)
#define SHAPE_TENG_REDUCE ARITY(1, 1, 1)
#define SHAPE_TENG_EXTREME ARITY(1, 1, 1)
#define SHAPE_TENG_POOL ARITY(1, 2, 1)
#define SHAPE_CV_COPY ARITY(1, 1, 1)
#define SHAPE_CV_GATHER SHAPE_LDX
#define SHAPE_CV_FILL ARITY(0, 0, 1)

const cyg_npu_op_info *cyg_npu_op_info_of(uint32_t op)
{
    static const cyg_npu_op_info infos[CYG_NPU_OP_LIMIT] = {
#define CYG_NPU_OP(id, value, engine_kind, kernel, name, text)                                     \
    [value] = {.mnemonic = name,                                                                   \
               .summary = text,                                                                    \
               .engine = CYG_NPU_##engine_kind,                                                    \
               .kop = CYG_KOP_##kernel,                                                            \
               SHAPE_##id},
#include "npu/isa.def"
#undef CYG_NPU_OP
    };
    return op < CYG_NPU_OP_LIMIT && infos[op].mnemonic != NULL ? &infos[op] : NULL;
}

uint32_t cyg_npu_op_named(const char *mnemonic, size_t length)
{
#define CYG_NPU_OP(id, value, engine, kop, name, text)                                             \
    if (length == sizeof name - 1 && memcmp(mnemonic, name, length) == 0)                          \
        return value;
#include "npu/isa.def"
#undef CYG_NPU_OP
    return 0;
}

int64_t cyg_npu_index_at(const cyg_npu_program *p, const cyg_npu_view *v, int64_t i)
{
    const uint8_t *table = p->code + v->offset;
    return v->type == CYG_TYPE_S64 ? cyg_load_i64(table + i * 8) : cyg_load_i32(table + i * 4);
}

const cyg_npu_view *cyg_npu_operand_of(const cyg_npu_instr *instr, int operand)
{
    const int at = operand < 0 ? instr->in_count - 1 - operand : operand;
    if (operand >= (int)instr->in_count || at >= instr->in_count + instr->out_count)
        return NULL;
    return instr->operands[at].type == CYG_TYPE_NONE ? NULL : &instr->operands[at];
}
