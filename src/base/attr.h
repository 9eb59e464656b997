/* Compiler extensions, all of them: nothing outside this file spells __attribute__. */
#ifndef CYG_BASE_ATTR_H
#define CYG_BASE_ATTR_H

#if defined(__GNUC__) || defined(__clang__)
#define CYG_MUST_USE __attribute__((warn_unused_result))
#define CYG_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define CYG_NORETURN __attribute__((noreturn))
#define CYG_INLINE static inline __attribute__((always_inline))
#define CYG_NOINLINE __attribute__((noinline))
#define CYG_ALIGNED(n) __attribute__((aligned(n)))
#define CYG_UNUSED __attribute__((unused))
#define CYG_LIKELY(x) __builtin_expect(!!(x), 1)
#define CYG_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define CYG_API __attribute__((visibility("default")))
#else
#error "Cygnet is built with gcc or clang"
#endif

/* Drops a must-use result on purpose (on the way out of a failure, say); a plain cast to void does
 * not quieten gcc. */
#define CYG_IGNORE(expr)                                                                           \
    do {                                                                                           \
        if (expr) {                                                                                \
        }                                                                                          \
    } while (0)

#define CYG_COUNT(array) (sizeof(array) / sizeof((array)[0]))

#endif
