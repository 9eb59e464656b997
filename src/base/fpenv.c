/* The floating-point mode of docs/numerics.md rule 2, in the control register of the machine.
 *
 * x86-64 computes in SSE registers under MXCSR: 0x1f80 is round to nearest even, no flush to zero,
 * no denormals-are-zero, every exception masked. aarch64 has FPCR: all zero means the same. The
 * saved word is put back whole, so a caller that had set FTZ for itself finds it again. The two
 * functions live in a file of their own so that the compiler cannot move arithmetic across the
 * call. */
#include "base/fpenv.h"

#if defined(__x86_64__)
#include <xmmintrin.h>

cyg_fpenv cyg_fpenv_enter(void)
{
    const cyg_fpenv saved = {.control = _mm_getcsr()};
    _mm_setcsr(0x1f80);
    return saved;
}

void cyg_fpenv_leave(cyg_fpenv saved)
{
    _mm_setcsr((unsigned)saved.control);
}

#elif defined(__aarch64__)

cyg_fpenv cyg_fpenv_enter(void)
{
    uint64_t control;
    __asm__ volatile("mrs %0, fpcr" : "=r"(control));
    __asm__ volatile("msr fpcr, %0" ::"r"((uint64_t)0));
    return (cyg_fpenv){.control = control};
}

void cyg_fpenv_leave(cyg_fpenv saved)
{
    __asm__ volatile("msr fpcr, %0" ::"r"(saved.control));
}

#else
#error "x86-64 and aarch64 only: another machine needs its floating-point control word here"
#endif
