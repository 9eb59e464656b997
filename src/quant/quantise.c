/* The quantiser's entrance: choose, calibrate, correct, assign. */
#include "quant/correct.h"

#include "base/arena.h"

cyg_status cyg_quantise(cyg_ctx *ctx, cyg_graph *g, const cyg_sample_source *samples,
                        const cyg_quant_options *options, cyg_quant_report *out_report)
{
    cyg_arena arena;
    cyg_arena_init(&arena);
    *out_report = (cyg_quant_report){0};
    cyg_scheme s = {.ctx = ctx,
                    .g = g,
                    .arena = &arena,
                    .options = options,
                    .value_count = g->value_count,
                    .node_count = g->node_count};
    s.observed = CYG_NEW_ARRAY(&arena, cyg_observed, g->value_count + 1);
    cyg_status status = s.observed == NULL ? CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory") : CYG_OK;
    for (uint32_t i = 0; status == CYG_OK && i < g->value_count; i++)
        if (!cyg_value_shape_known(&g->values[i]) &&
            (!cyg_node_is_none(g->values[i].producer) || cyg_graph_is_input(g, (cyg_value_id){i})))
            status =
                CYG_FAIL(ctx, CYG_E_UNSUPPORTED,
                         "value \"%s\" has no fixed shape: give --input_shapes", g->values[i].name);
    if (status == CYG_OK)
        status = cyg_quant_choose(&s);
    if (status == CYG_OK)
        status = cyg_quant_outcomes(&s, out_report);
    if (status == CYG_OK)
        status = cyg_quant_calibrate(&s, samples, &out_report->samples);
    if (status == CYG_OK)
        status = cyg_quant_gains_prepare(&s);
    if (status == CYG_OK && options->smooth != CYG_SMOOTH_NEVER)
        status = cyg_quant_equalise(&s);
    if (status == CYG_OK)
        cyg_quant_methods_apply(&s);
    if (status == CYG_OK && options->search_ranges)
        status = cyg_quant_search_ranges(&s);
    if (status == CYG_OK && options->keep_reference) {
        out_report->reference = cyg_graph_clone(g);
        if (out_report->reference == NULL)
            status = CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    }
    if (status == CYG_OK)
        status = cyg_quant_normalize_input(&s);
    if (status == CYG_OK)
        status = cyg_quant_assign(&s, out_report);
    out_report->gains = s.gains;
    out_report->gain_count = s.gain_count;
    if (status != CYG_OK) {
        cyg_graph_destroy(out_report->reference);
        out_report->reference = NULL;
    }
    cyg_arena_deinit(&arena);
    return status;
}
