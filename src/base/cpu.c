/* CPU features.
 *
 * x86: cpuid says what the processor has, xgetbv what the operating system saves on a context
 * switch; a level needs both (AVX-512 state is switched off on some systems although the processor
 * has it). aarch64: the kernel reports in the auxiliary vector, which qemu-user fills too. What was
 * found is kept: constant folding asks for every node.
 *
 * CYGNET_CPU names the level to use. It can only lower: a level that the machine lacks is an error
 * and not a silent replacement, because whoever sets it wants exactly those kernels (a test that
 * each level gives the same bytes). */
#include "base/cpu.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const level_names[CYG_CPU_COUNT] = {
#define CYG_CPU(id, name) [CYG_CPU_##id] = name,
    CYG_CPU_LEVELS(CYG_CPU)
#undef CYG_CPU
};

#if defined(__x86_64__)
#include <cpuid.h>

static uint64_t enabled_state(void)
{
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

static unsigned find_levels(void)
{
    unsigned levels = 1u << CYG_CPU_C;
    unsigned a, b, c, d;
    const unsigned osxsave = 1u << 27, avx = 1u << 28, fma_f16c = 1u << 12 | 1u << 29;
    if (!__get_cpuid(1, &a, &b, &c, &d) || (c & osxsave) == 0 || (c & avx) == 0 ||
        (c & fma_f16c) != fma_f16c)
        return levels;
    const uint64_t state = enabled_state();
    const uint64_t ymm = 0x6, zmm = 0xe6;
    if ((state & ymm) != ymm || !__get_cpuid_count(7, 0, &a, &b, &c, &d) || (b & 1u << 5) == 0)
        return levels;
    levels |= 1u << CYG_CPU_AVX2;
    const unsigned f_dq_bw_vl = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31, vnni = 1u << 11;
    if ((state & zmm) == zmm && (b & f_dq_bw_vl) == f_dq_bw_vl && (c & vnni) != 0)
        levels |= 1u << CYG_CPU_AVX512VNNI;
    if (a >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & 1u << 4) != 0)
        levels |= 1u << CYG_CPU_AVXVNNI;
    return levels;
}

#elif defined(__aarch64__)
#include <sys/auxv.h>

static unsigned find_levels(void)
{
    const unsigned long asimd = 1ul << 1, asimddp = 1ul << 20; /* AT_HWCAP */
    const unsigned long i8mm = 1ul << 13;                      /* AT_HWCAP2 */
    const unsigned long caps = getauxval(AT_HWCAP), caps2 = getauxval(AT_HWCAP2);
    unsigned levels = 1u << CYG_CPU_C;
    if ((caps & asimd) == 0)
        return levels;
    levels |= 1u << CYG_CPU_NEON;
    if ((caps & asimddp) == 0)
        return levels;
    levels |= 1u << CYG_CPU_DOTPROD;
    if ((caps2 & i8mm) != 0)
        levels |= 1u << CYG_CPU_I8MM;
    return levels;
}

#else
static unsigned find_levels(void)
{
    return 1u << CYG_CPU_C;
}
#endif

/* Asked for often, and what cpuid costs in a virtual machine is far from nothing: found once. Every
 * thread finds the same, so a race does no harm. */
static unsigned machine_levels(void)
{
    static atomic_uint found;
    unsigned levels = atomic_load_explicit(&found, memory_order_relaxed);
    if (levels == 0) {
        levels = find_levels();
        atomic_store_explicit(&found, levels, memory_order_relaxed);
    }
    return levels;
}

int cyg_cpu_has(cyg_cpu_level_id level)
{
    return (unsigned)level < CYG_CPU_COUNT && (machine_levels() >> level & 1u) != 0;
}

const char *cyg_cpu_name(cyg_cpu_level_id level)
{
    return (unsigned)level < CYG_CPU_COUNT ? level_names[level] : "?";
}

/* "c, avx2, avx512vnni": what CYGNET_CPU may say on this machine. */
static void list_levels(unsigned levels, char *out, size_t size)
{
    size_t used = 0;
    out[0] = '\0';
    for (unsigned i = 0; i < CYG_CPU_COUNT; i++) {
        if ((levels >> i & 1u) == 0 || used >= size)
            continue;
        const int n =
            snprintf(out + used, size - used, "%s%s", used != 0 ? ", " : "", level_names[i]);
        used += n > 0 ? (size_t)n : 0;
    }
}

cyg_status cyg_cpu_level(cyg_ctx *ctx, cyg_cpu_level_id *out_level)
{
    const unsigned levels = machine_levels();
    char list[128];
    list_levels(levels, list, sizeof list);
    const char *wanted = getenv("CYGNET_CPU");
    if (wanted == NULL || wanted[0] == '\0') {
        unsigned best = CYG_CPU_C;
        for (unsigned i = 0; i < CYG_CPU_COUNT; i++)
            if ((levels >> i & 1u) != 0)
                best = i;
        *out_level = (cyg_cpu_level_id)best;
        return CYG_OK;
    }
    for (unsigned i = 0; i < CYG_CPU_COUNT; i++) {
        if (strcmp(wanted, level_names[i]) != 0)
            continue;
        if ((levels >> i & 1u) == 0)
            return CYG_FAIL(ctx, CYG_E_USAGE, "CYGNET_CPU=%s: this machine has only %s", wanted,
                            list);
        *out_level = (cyg_cpu_level_id)i;
        return CYG_OK;
    }
    return CYG_FAIL(ctx, CYG_E_USAGE, "CYGNET_CPU=%s: unknown level; this machine has %s", wanted,
                    list);
}
