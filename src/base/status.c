/* Status texts and the message chain.
 *
 * The chain lives in two fixed arrays inside cyg_ctx, so that reporting "out of memory" needs no
 * memory. Frames are pushed innermost first: the first message is the cause, each later one says
 * what was being done. When the frames or the text run out, later (outer) messages are the ones
 * dropped or cut, because the cause is worth more than the way to it. A cut message ends in "..."
 * so that nobody takes it for whole. */
#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/ctx.h"

const char *cyg_status_text(cyg_status status)
{
    switch (status) {
#define CYG_STATUS(id, value, exit_code, text)                                                     \
    case CYG_E_##id:                                                                               \
        return text;
#include "base/status.def"
#undef CYG_STATUS
    }
    return "unknown status";
}

int cyg_status_exit_code(cyg_status status)
{
    switch (status) {
#define CYG_STATUS(id, value, exit_code, text)                                                     \
    case CYG_E_##id:                                                                               \
        return exit_code;
#include "base/status.def"
#undef CYG_STATUS
    }
    return 70;
}

cyg_status cyg_fail_at(cyg_ctx *ctx, const char *file, int line, cyg_status status, const char *fmt,
                       ...)
{
    if (ctx == NULL || ctx->frame_count >= CYG_CTX_FRAMES)
        return status;
    const size_t room = sizeof ctx->text - ctx->text_used;
    if (room < 8)
        return status;
    char *text = ctx->text + ctx->text_used;
    va_list args;
    va_start(args, fmt);
    const int want = vsnprintf(text, room, fmt, args);
    va_end(args);
    if (want < 0)
        text[0] = '\0';
    if (want >= 0 && (size_t)want >= room)
        memcpy(text + room - 4, "...", 4);
    ctx->frames[ctx->frame_count++] =
        (cyg_frame){.file = file, .line = line, .status = status, .text = text};
    ctx->text_used += strlen(text) + 1;
    return status;
}
