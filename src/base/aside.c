#include "base/aside.h"

static void *run(void *arg)
{
    cyg_aside *a = arg;
    a->status = a->job(&a->ctx, a->arg);
    return NULL;
}

void cyg_aside_begin(cyg_ctx *ctx, cyg_aside *a, cyg_aside_job job, void *arg)
{
    *a = (cyg_aside){.job = job, .arg = arg};
    cyg_ctx_init(&a->ctx);
    a->ctx.cancelled = ctx->cancelled;
    a->under_way = cyg_pool_threads(ctx->pool) > 1 && pthread_create(&a->thread, NULL, run, a) == 0;
    if (!a->under_way)
        run(a);
}

cyg_status cyg_aside_join(cyg_ctx *ctx, cyg_aside *a)
{
    if (a->under_way)
        pthread_join(a->thread, NULL);
    const cyg_status status = a->status;
    for (size_t i = 0; status != CYG_OK && i < a->ctx.frame_count; i++) {
        const cyg_frame *f = &a->ctx.frames[i];
        cyg_fail_at(ctx, f->file, f->line, f->status, "%s", f->text);
    }
    *a = (cyg_aside){0};
    return status;
}
