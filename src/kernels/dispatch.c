/* Builds the dispatch tables, one a level, from kernels.def. Tables are constant after
 * cyg_kernels_for's first use of a level: filling one twice writes the same pointers, so no lock is
 * needed; callers nevertheless fetch it once per session. */
#include "kernels/dispatch.h"

#include "base/cpu.h" /* level numbers: header only */
#include "kernels/call.h"

/* AVX512VNNI machines need not have AVXVNNI: a level is raised over those that it implies only. */
static int implies(int level, int candidate)
{
    if (candidate == level || candidate == CYG_CPU_C)
        return 1;
    switch (level) {
    case CYG_CPU_AVXVNNI:
    case CYG_CPU_AVX512VNNI:
        return candidate == CYG_CPU_AVX2;
    case CYG_CPU_DOTPROD:
        return candidate == CYG_CPU_NEON;
    case CYG_CPU_I8MM:
        return candidate == CYG_CPU_NEON || candidate == CYG_CPU_DOTPROD;
    default:
        return 0;
    }
}

const struct cyg_kernels *cyg_kernels_for(int level)
{
    static cyg_kernels tables[CYG_CPU_COUNT];
    if (level < 0 || level >= CYG_CPU_COUNT)
        return NULL;
    cyg_kernels *k = &tables[level];
    k->level = level;
#define CYG_KERNEL(candidate, slot, function)                                                      \
    if (implies(level, CYG_CPU_##candidate))                                                       \
        k->slot = function;
#include "kernels/kernels.def"
    return k;
}
