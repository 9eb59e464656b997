/* Runs one kernel call: items are split over the pool's threads, each worker has its own piece of
 * one scratch block; calls of several lanes run as one loop. No split changes a byte, so neither
 * the number of threads nor the grain matters to results. */
#include "interp/execute.h"

#include <stdlib.h>
#include <string.h>

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
    const cyg_kcall *calls; /* of lanes */
    int64_t items;          /* of each */
    void (*body)(const cyg_kcall *, int64_t, int64_t, void *);
    char *scratch;
    size_t stride;
} job;

/* Items are counted through: lane by lane. */
static void run_part(void *arg, unsigned worker, int64_t begin, int64_t end)
{
    const job *j = arg;
    while (begin < end) {
        const int64_t lane = begin / j->items, first = begin % j->items,
                      stop = end - begin < j->items - first ? first + end - begin : j->items;
        j->body(&j->calls[lane], first, stop,
                j->scratch == NULL ? NULL : j->scratch + worker * j->stride);
        begin += stop - first;
    }
}

static cyg_status run_calls(cyg_ctx *ctx, const cyg_kcall *calls, uint32_t lanes, bool use_ref,
                            cyg_scratch *scratch)
{
    const cyg_kop_info *info = cyg_kop_info_of(calls->op);
    const bool ref = use_ref && info->ref != NULL;
    size_t (*need)(const cyg_kcall *) = ref ? info->ref_scratch : info->scratch;
    const unsigned threads = cyg_pool_threads(ctx->pool);
    job j = {.calls = calls, .items = info->items(calls), .body = ref ? info->ref : info->run};
    j.stride = cyg_align_up(need != NULL ? need(calls) : 0, 64);
    size_t bytes;
    int64_t items;
    if (!cyg_mul_size(j.stride, threads, &bytes) || !cyg_mul_i64(j.items, lanes, &items))
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory for scratch");
    if (bytes > scratch->bytes) {
        cyg_scratch_deinit(scratch);
        scratch->data = aligned_alloc(64, bytes);
        if (scratch->data == NULL)
            return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory for %zu bytes of scratch", bytes);
        scratch->bytes = bytes;
    }
    j.scratch = scratch->data;
    const unsigned share = threads / lanes; /* of a lane */
    const int64_t grain = info->grain != NULL ? info->grain(calls, share > 0 ? share : 1) : 0;
    const bool small = cyg_kcall_bytes(calls) < CYG_CALL_SMALL / (int64_t)lanes;
    cyg_pool_for(small ? NULL : ctx->pool, items, small ? items : grain, run_part, &j);
    return CYG_OK;
}

cyg_status cyg_execute(cyg_ctx *ctx, const cyg_kcall *call, bool use_ref, cyg_scratch *scratch)
{
    return run_calls(ctx, call, 1, use_ref, scratch);
}

/* ---- lanes ---- */

static bool make_room(void **list, size_t *room, size_t want, size_t size)
{
    if (want <= *room)
        return true;
    size_t bytes;
    void *now = cyg_mul_size(want, size, &bytes) ? realloc(*list, bytes) : NULL;
    if (now == NULL)
        return false;
    *list = now;
    *room = want;
    return true;
}

cyg_status cyg_lanes_put(cyg_ctx *ctx, cyg_lanes *l, uint32_t lane, uint32_t lanes,
                         const cyg_kcall *call)
{
    const size_t each = (size_t)call->in_count + call->out_count;
    void *calls = l->calls, *bufs = l->bufs;
    const bool ok = make_room(&calls, &l->room_calls, lanes, sizeof *l->calls) &&
                    make_room(&bufs, &l->room_bufs, each * lanes + 1, sizeof *l->bufs);
    l->calls = calls;
    l->bufs = bufs;
    if (!ok)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    cyg_kbuf *to = l->bufs + each * lane;
    memcpy(to, call->in, call->in_count * sizeof *to);
    memcpy(to + call->in_count, call->out, call->out_count * sizeof *to);
    l->calls[lane] = *call;
    l->calls[lane].in = to;
    l->calls[lane].out = to + call->in_count;
    l->count = lane + 1;
    return CYG_OK;
}

cyg_status cyg_lanes_execute(cyg_ctx *ctx, cyg_lanes *l, cyg_scratch *scratch)
{
    return run_calls(ctx, l->calls, l->count, false, scratch);
}

void cyg_lanes_deinit(cyg_lanes *l)
{
    free(l->calls);
    free(l->bufs);
    *l = (cyg_lanes){0};
}
