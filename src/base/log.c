/* Log events: format, then hand to the sink.
 *
 * A message is formatted on the stack; a longer one (a list of skipped files) goes through the
 * heap, and when that fails the cut version is still delivered. Without a sink nothing is formatted
 * at all. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/ctx.h"

enum { STACK_TEXT = 1024 };

CYG_PRINTF(3, 0) static void emit(cyg_ctx *ctx, cyg_log_kind kind, const char *fmt, va_list args)
{
    if (ctx == NULL || ctx->log.sink == NULL)
        return;
    char small[STACK_TEXT];
    va_list again;
    va_copy(again, args);
    const int want = vsnprintf(small, sizeof small, fmt, args);
    char *large = NULL;
    if (want >= (int)sizeof small)
        large = malloc((size_t)want + 1);
    if (large != NULL)
        vsnprintf(large, (size_t)want + 1, fmt, again);
    va_end(again);
    const cyg_log_event event = {.kind = kind,
                                 .text = large != NULL ? large : (want < 0 ? "" : small)};
    ctx->log.sink(ctx->log.user, &event);
    free(large);
}

#define CYG_LOG_FUNCTION(name, kind)                                                               \
    void name(cyg_ctx *ctx, const char *fmt, ...)                                                  \
    {                                                                                              \
        va_list args;                                                                              \
        va_start(args, fmt);                                                                       \
        emit(ctx, kind, fmt, args);                                                                \
        va_end(args);                                                                              \
    }
CYG_LOG_FUNCTION(cyg_note, CYG_LOG_NOTE)
CYG_LOG_FUNCTION(cyg_warn, CYG_LOG_WARNING)
CYG_LOG_FUNCTION(cyg_info, CYG_LOG_INFO)

static void emit_progress(cyg_ctx *ctx, const cyg_log_event *event)
{
    if (ctx != NULL && ctx->log.sink != NULL)
        ctx->log.sink(ctx->log.user, event);
}

void cyg_progress(cyg_ctx *ctx, const char *stage, int64_t done, int64_t total)
{
    emit_progress(ctx, &(cyg_log_event){CYG_LOG_PROGRESS, stage, done, total, false});
}

void cyg_progress_bytes(cyg_ctx *ctx, const char *stage, int64_t done, int64_t total)
{
    emit_progress(ctx, &(cyg_log_event){CYG_LOG_PROGRESS, stage, done, total, true});
}
