/* Log and progress.
 *
 * A sink is one function pointer; the library never prints by itself. The command line's sink
 * (app/terminal.c) draws a bar with ETA on a terminal and plain lines otherwise, and drops notes
 * under --quiet. */
#ifndef CYG_BASE_LOG_H
#define CYG_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"

typedef enum cyg_log_kind {
    CYG_LOG_NOTE,     /* something worth knowing */
    CYG_LOG_WARNING,  /* something to act upon; says what to do */
    CYG_LOG_INFO,     /* a line of normal output (stage results) */
    CYG_LOG_PROGRESS, /* done of total in the stage `text`; total 0 = unknown */
} cyg_log_kind;

typedef struct cyg_log_event {
    cyg_log_kind kind;
    const char *text; /* lent for the call */
    int64_t done, total;
    bool bytes; /* done and total count bytes */
} cyg_log_event;

typedef struct cyg_log {
    void (*sink)(void *user,
                 const cyg_log_event *event); /* called from the context's thread only */
    void *user;
} cyg_log;

struct cyg_ctx;
void cyg_note(struct cyg_ctx *ctx, const char *fmt, ...) CYG_PRINTF(2, 3);
void cyg_warn(struct cyg_ctx *ctx, const char *fmt, ...) CYG_PRINTF(2, 3);
void cyg_info(struct cyg_ctx *ctx, const char *fmt, ...) CYG_PRINTF(2, 3);
/* Reports progress; cheap enough to call for every unit. Call once with done == total at the end.
 */
void cyg_progress(struct cyg_ctx *ctx, const char *stage, int64_t done, int64_t total);
/* The same of bytes, which people read as MB. */
void cyg_progress_bytes(struct cyg_ctx *ctx, const char *stage, int64_t done, int64_t total);

#endif
