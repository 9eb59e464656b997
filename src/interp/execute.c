/* Runs one kernel call: items are split over the pool's threads, each worker has its own piece of
 * one scratch block. No split changes a byte, so neither the number of threads nor the grain
 * matters to results. */
#include "interp/execute.h"

#include <stdlib.h>

#include "base/checked.h"
#include "base/cpu.h"

void cyg_scratch_deinit(cyg_scratch *s)
{
    free(s->data);
    *s = (cyg_scratch){0};
}

cyg_status cyg_execute_isa(cyg_ctx *ctx, const struct cyg_kernels **out_isa)
{
    cyg_cpu_level_id level;
    CYG_DO(cyg_cpu_level(ctx, &level));
    *out_isa = cyg_kernels_for((int)level);
    return CYG_OK;
}

cyg_status cyg_execute_check(cyg_ctx *ctx, const cyg_kcall *call, const char *name)
{
    const cyg_kop_info *info = cyg_kop_info_of(call->op);
    if (info == NULL)
        return CYG_FAIL(ctx, CYG_E_INTERNAL, "step \"%s\": kernel operator %d does not exist", name,
                        (int)call->op);
    const char *why = info->check(call);
    if (why != NULL)
        return CYG_FAIL(ctx, CYG_E_INTERNAL, "step \"%s\": kernel %s refuses its operands: %s",
                        name, info->name, why);
    return CYG_OK;
}

typedef struct job {
    const cyg_kcall *call;
    void (*body)(const cyg_kcall *, int64_t, int64_t, void *);
    char *scratch;
    size_t stride;
} job;

static void run_part(void *arg, unsigned worker, int64_t begin, int64_t end)
{
    const job *j = arg;
    j->body(j->call, begin, end, j->scratch == NULL ? NULL : j->scratch + worker * j->stride);
}

cyg_status cyg_execute(cyg_ctx *ctx, const cyg_kcall *call, bool use_ref, cyg_scratch *scratch)
{
    const cyg_kop_info *info = cyg_kop_info_of(call->op);
    const bool ref = use_ref && info->ref != NULL;
    size_t (*need)(const cyg_kcall *) = ref ? info->ref_scratch : info->scratch;
    const unsigned threads = cyg_pool_threads(ctx->pool);
    job j = {.call = call, .body = ref ? info->ref : info->run};
    j.stride = cyg_align_up(need != NULL ? need(call) : 0, 64);
    size_t bytes;
    if (!cyg_mul_size(j.stride, threads, &bytes))
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory for scratch");
    if (bytes > scratch->bytes) {
        cyg_scratch_deinit(scratch);
        scratch->data = aligned_alloc(64, bytes);
        if (scratch->data == NULL)
            return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory for %zu bytes of scratch", bytes);
        scratch->bytes = bytes;
    }
    j.scratch = scratch->data;
    const int64_t items = info->items(call);
    const int64_t grain = info->grain != NULL ? info->grain(call, threads) : 0;
    const bool small = cyg_kcall_bytes(call) < CYG_CALL_SMALL;
    cyg_pool_for(small ? NULL : ctx->pool, items, small ? items : grain, run_part, &j);
    return CYG_OK;
}
