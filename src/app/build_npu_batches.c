/* Every program of an NPU's package: batches and sizes, compiled one after another.
 *
 * compiler.max_dynamic_batch_size asks for batches of 1, 2, 4, .. as long as they gain: the smaller
 * ones come first, and one whose estimated time for an image is no less than that of the one before
 * is left out, with all above it. */
#include "app/build_npu.h"

#include <string.h>

static cyg_status compile_program(cyg_build *b, uint32_t index, bool first)
{
    cyg_ctx *ctx = &b->app->ctx;
    cyg_arena *arena = &b->app->arena;
    const cyg_program *p = &b->programs[index];
    cyg_npu_options *options = CYG_NEW(arena, cyg_npu_options);
    if (first)
        b->npu->cut = CYG_NEW_ARRAY(arena, int64_t, p->step_count + 1);
    if (options == NULL || b->npu->cut == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    *options = b->npu->options;
    options->most_subgraphs = CYG_PACKAGE_MOST_SUBGRAPHS / b->program_count;
    options->cut = first ? b->npu->cut : NULL;
    options->cut_like = !first && p->step_count == b->programs[0].step_count ? b->npu->cut : NULL;
    CYG_DO(cyg_build_npu_parts(b, index, first, options));
    if (first) /* the others have the same steps */
        b->npu->options = *options;
    return cyg_target_npu_compile(ctx, p, options, arena, &b->npu->results[index]);
}

static double cycles_an_image(const cyg_build *b, uint32_t index)
{
    return (double)b->npu->results[index].cycles / (double)b->programs[index].batch;
}

/* Without the largest batches, `count` in each group. */
static void drop_batches(cyg_build *b, size_t count)
{
    const size_t each = b->batch_count, groups = b->program_count / each;
    size_t to = 0;
    for (size_t g = 0; g < groups; g++)
        for (size_t i = count; i < each; i++, to++) {
            b->programs[to] = b->programs[g * each + i];
            b->npu->results[to] = b->npu->results[g * each + i];
        }
    b->program_count = (uint32_t)to;
    b->batches += count;
    b->batch_count -= count;
}

/* Group 0 from the smallest batch on. */
static cyg_status compile_batches(cyg_build *b)
{
    const bool may_stop = b->config.compiler.max_dynamic_batch_size > 0;
    for (size_t i = b->batch_count; i-- > 0;) {
        const uint32_t at = (uint32_t)i;
        CYG_DO(cyg_ctx_check_cancelled(&b->app->ctx));
        CYG_DO(compile_program(b, at, i + 1 == b->batch_count));
        if (!may_stop || i + 1 == b->batch_count ||
            cycles_an_image(b, at) < cycles_an_image(b, at + 1))
            continue;
        cyg_note(&b->app->ctx,
                 "compiler.max_dynamic_batch_size: a batch of %u takes no less time an image than "
                 "one of %u (%.0f cycles, %.0f): it and larger ones are left out",
                 b->batches[i], b->batches[i + 1], cycles_an_image(b, at),
                 cycles_an_image(b, at + 1));
        drop_batches(b, i + 1);
        break;
    }
    if (may_stop)
        cyg_build_tell_batches(b);
    return CYG_OK;
}

cyg_status cyg_build_npu_compile_programs(cyg_build *b)
{
    CYG_DO(compile_batches(b));
    for (uint32_t i = (uint32_t)b->batch_count; i < b->program_count; i++) {
        CYG_DO(cyg_ctx_check_cancelled(&b->app->ctx));
        CYG_DO(compile_program(b, i, false));
    }
    for (uint32_t i = 0; i < b->program_count; i++)
        if (b->programs[i].group == 0 && b->programs[i].batch <= 1)
            b->npu->shown = i;
    return CYG_OK;
}
