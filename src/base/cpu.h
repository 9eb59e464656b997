/* CPU features and the ISA levels of kernels.
 *
 * Levels are cumulative within an architecture. CYGNET_CPU=<name> caps the level (docs/kernels.md);
 * a cap that the machine does not reach, or an unknown name, is an error reported by
 * cyg_cpu_level(). */
#ifndef CYG_BASE_CPU_H
#define CYG_BASE_CPU_H

#include "base/status.h"

/* CYG_CPU(id, name): oldest first within an architecture. */
#define CYG_CPU_LEVELS(CYG_CPU)                                                                    \
    CYG_CPU(C, "c")                                                                                \
    CYG_CPU(AVX2, "avx2") /* with FMA and F16C */                                                  \
    CYG_CPU(AVXVNNI, "avxvnni")                                                                    \
    CYG_CPU(AVX512VNNI, "avx512vnni") /* F, BW, DQ, VL, VNNI */                                    \
    CYG_CPU(NEON, "neon")                                                                          \
    CYG_CPU(DOTPROD, "dotprod")                                                                    \
    CYG_CPU(I8MM, "i8mm")

typedef enum cyg_cpu_level_id {
#define CYG_CPU(id, name) CYG_CPU_##id,
    CYG_CPU_LEVELS(CYG_CPU)
#undef CYG_CPU
        CYG_CPU_COUNT
} cyg_cpu_level_id;

/* True when this machine can run the level's kernels. AVX512VNNI does not imply AVXVNNI; both imply
 * AVX2. */
int cyg_cpu_has(cyg_cpu_level_id level);
/* The level to use: the best one that the machine has, capped by CYGNET_CPU. */
cyg_status cyg_cpu_level(cyg_ctx *ctx, cyg_cpu_level_id *out_level) CYG_MUST_USE;
const char *cyg_cpu_name(cyg_cpu_level_id level);

#endif
