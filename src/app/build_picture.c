/* The picture of the report: the most telling attention block before and after optimisation. Models
 * without attention have none. */
#include "app/build.h"
#include "app/draw.h"

cyg_status cyg_build_keep_before(cyg_build *b)
{
    cyg_ctx *ctx = &b->app->ctx;
    if (b->source.converted != NULL)
        return CYG_OK;
    b->before = cyg_graph_clone(b->graph);
    return b->before != NULL ? CYG_OK : CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
}

cyg_status cyg_build_draw(cyg_build *b)
{
    cyg_ctx *ctx = &b->app->ctx;
    const uint32_t k = cyg_draw_best_block(b->graph);
    cyg_status status = CYG_OK;
    b->picture = (cyg_picture){.arena = &b->app->arena};
    if (k > 0) {
        b->picture.title = cyg_arena_printf(&b->app->arena, "attention block %u of %u", k,
                                            cyg_draw_block_count(b->graph));
        if (b->picture.title == NULL)
            status = CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
        if (status == CYG_OK && b->before != NULL)
            status = cyg_draw_settle_shapes(ctx, b->before);
        if (status == CYG_OK)
            status = cyg_draw_compare(ctx, b->before, b->graph, k, &b->picture);
    }
    cyg_graph_destroy(b->before);
    b->before = NULL;
    if (status != CYG_E_UNSUPPORTED) /* a block too large for a picture: the report goes without */
        return status;
    cyg_ctx_clear(ctx);
    b->picture.box_count = 0;
    return CYG_OK;
}
