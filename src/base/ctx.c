/* The context of one job: how it starts, and how its message chain is read.
 *
 * Frames lie innermost first; people want the outline first and the cause last, so the reading
 * order is reversed here and nowhere else. */
#include "base/ctx.h"

void cyg_ctx_init(cyg_ctx *ctx)
{
    ctx->log = (cyg_log){0};
    ctx->pool = NULL;
    ctx->cancelled = NULL;
    cyg_ctx_clear(ctx);
}

void cyg_ctx_clear(cyg_ctx *ctx)
{
    ctx->frame_count = 0;
    ctx->text_used = 0;
    ctx->text[0] = '\0';
}

cyg_status cyg_ctx_check_cancelled(cyg_ctx *ctx)
{
    if (ctx == NULL || ctx->cancelled == NULL || *ctx->cancelled == 0)
        return CYG_OK;
    return CYG_FAIL(ctx, CYG_E_CANCELLED, "cancelled");
}

size_t cyg_ctx_message_count(const cyg_ctx *ctx)
{
    return ctx->frame_count;
}

const char *cyg_ctx_message(const cyg_ctx *ctx, size_t i)
{
    return i < ctx->frame_count ? ctx->frames[ctx->frame_count - 1 - i].text : "";
}
