/* The context of one job: message chain, log sink, progress, thread pool, cancel flag.
 *
 * A cyg_ctx is confined: one thread at a time. It owns nothing but its buffers; pool and log sink
 * are lent. It is a plain struct so that a runtime can keep it on the stack. */
#ifndef CYG_BASE_CTX_H
#define CYG_BASE_CTX_H

#include <stdbool.h>
#include <stddef.h>

#include "base/log.h"
#include "base/pool.h"
#include "base/status.h"

enum { CYG_CTX_FRAMES = 24, CYG_CTX_TEXT = 16384 };

typedef struct cyg_frame {
    const char *file; /* source file, static */
    int line;
    cyg_status status;
    const char *text; /* inside cyg_ctx.text */
} cyg_frame;

struct cyg_ctx {
    cyg_log log;                   /* where notes, warnings and progress go; zero = nowhere */
    cyg_pool *pool;                /* lent; NULL = serial */
    const volatile int *cancelled; /* lent; NULL or pointing at non-zero after Ctrl-C */
    size_t frame_count;            /* innermost first */
    cyg_frame frames[CYG_CTX_FRAMES];
    size_t text_used;
    char text[CYG_CTX_TEXT];
};

void cyg_ctx_init(cyg_ctx *ctx);
/* Forgets the chain (an error was handled). */
void cyg_ctx_clear(cyg_ctx *ctx);
/* CYG_E_CANCELLED with a message once the cancel flag is set; call it between units of work. */
cyg_status cyg_ctx_check_cancelled(cyg_ctx *ctx) CYG_MUST_USE;
/* Number of messages and the i-th one, outermost first: what the command line prints, one a line.
 */
size_t cyg_ctx_message_count(const cyg_ctx *ctx);
const char *cyg_ctx_message(const cyg_ctx *ctx, size_t i);

#endif
