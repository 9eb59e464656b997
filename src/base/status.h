/* Status and message chain.
 *
 * Three kinds of failure, never mixed. Bad input or environment returns a cyg_status and leaves a
 * chain of messages on the context, innermost first. A bug of ours is a CYG_ASSERT. No memory is
 * CYG_E_NOMEM, reported without allocating (the chain lives in a fixed buffer inside cyg_ctx). The
 * library never exits, aborts or prints. */
#ifndef CYG_BASE_STATUS_H
#define CYG_BASE_STATUS_H

#include "base/attr.h"

typedef enum cyg_status {
#define CYG_STATUS(id, value, exit_code, text) CYG_E_##id = value,
#include "base/status.def"
#undef CYG_STATUS
    CYG_OK = 0
} cyg_status;

typedef struct cyg_ctx cyg_ctx;

/* Short text for a status; never NULL. */
const char *cyg_status_text(cyg_status status);
/* Documented exit code of the command line for a status. */
int cyg_status_exit_code(cyg_status status);

/* Pushes one message onto ctx's chain and returns status. ctx may be NULL (then only the status
 * travels). file/line are of the source, kept for --verbose. */
cyg_status cyg_fail_at(cyg_ctx *ctx, const char *file, int line, cyg_status status, const char *fmt,
                       ...) CYG_PRINTF(5, 6);

/* return CYG_FAIL(ctx, CYG_E_FORMAT, "%s: offset %zu: ...", ...);
 * The value is the status itself and not the call's result, so that compilers and analysers see
 * that it is no CYG_OK; status is evaluated twice. */
#define CYG_FAIL(ctx, status, ...)                                                                 \
    (cyg_fail_at((ctx), __FILE__, __LINE__, (status), __VA_ARGS__), (cyg_status)(status))

/* Returns from the caller when expr fails, adding one frame of context. */
#define CYG_TRY(ctx, expr, ...)                                                                    \
    do {                                                                                           \
        const cyg_status cyg_st_ = (expr);                                                         \
        if (cyg_st_ != CYG_OK) {                                                                   \
            cyg_fail_at((ctx), __FILE__, __LINE__, cyg_st_, __VA_ARGS__);                          \
            return cyg_st_;                                                                        \
        }                                                                                          \
    } while (0)

/* The same without a frame of its own: the inner message says enough. */
#define CYG_DO(expr)                                                                               \
    do {                                                                                           \
        const cyg_status cyg_st_ = (expr);                                                         \
        if (cyg_st_ != CYG_OK)                                                                     \
            return cyg_st_;                                                                        \
    } while (0)

#include <assert.h>
#define CYG_ASSERT(cond) assert(cond)

#endif
