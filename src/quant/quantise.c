/* The quantiser's entrance: choose, calibrate, correct, assign. */
#include "quant/correct.h"

#include "base/arena.h"
#include "base/file.h"

static cyg_status check_shapes(const cyg_scheme *s)
{
    for (uint32_t i = 0; i < s->g->value_count; i++) {
        const cyg_value *v = &s->g->values[i];
        if (!cyg_value_shape_known(v) &&
            (!cyg_node_is_none(v->producer) || cyg_graph_is_input(s->g, (cyg_value_id){i})))
            return CYG_FAIL(s->ctx, CYG_E_UNSUPPORTED,
                            "value \"%s\" has no fixed shape: give --input_shapes", v->name);
    }
    return CYG_OK;
}

cyg_status cyg_quant_learn(cyg_scheme *s, const cyg_sample_source *samples,
                           cyg_quant_report *report)
{
    s->observed = CYG_NEW_ARRAY(s->arena, cyg_observed, s->value_count + 1);
    if (s->observed == NULL)
        return CYG_FAIL(s->ctx, CYG_E_NOMEM, "out of memory");
    CYG_DO(check_shapes(s));
    CYG_DO(cyg_quant_choose(s));
    CYG_DO(cyg_quant_outcomes(s, report));
    const double start = cyg_seconds();
    CYG_DO(cyg_quant_calibrate(s, samples, &report->samples));
    report->calibrate_seconds = cyg_seconds() - start;
    CYG_DO(cyg_quant_gains_prepare(s));
    if (s->options->smooth != CYG_SMOOTH_NEVER)
        CYG_DO(cyg_quant_equalise(s));
    if (s->options->center_weights)
        CYG_DO(cyg_quant_center_weights(s));
    CYG_DO(cyg_quant_methods_apply(s));
    return s->options->search_ranges ? cyg_quant_search_ranges(s) : CYG_OK;
}

static cyg_status quantise(cyg_scheme *s, const cyg_sample_source *samples,
                           cyg_quant_report *report)
{
    const double start = cyg_seconds();
    CYG_DO(cyg_quant_learn(s, samples, report));
    const double learned = cyg_seconds();
    report->search_seconds = learned - start - report->calibrate_seconds;
    cyg_graph_release_unused(s->g); /* what equalisation has replaced */
    if (s->options->keep_reference) {
        report->reference = cyg_graph_clone(s->g);
        if (report->reference == NULL)
            return CYG_FAIL(s->ctx, CYG_E_NOMEM, "out of memory");
    }
    CYG_DO(cyg_quant_normalize_input(s));
    CYG_DO(cyg_quant_assign(s, report));
    report->assign_seconds = cyg_seconds() - learned;
    return CYG_OK;
}

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
    const cyg_status status = quantise(&s, samples, out_report);
    out_report->gains = s.gains;
    out_report->gain_count = s.gain_count;
    if (status != CYG_OK) {
        cyg_graph_destroy(out_report->reference);
        out_report->reference = NULL;
    }
    cyg_arena_deinit(&arena);
    return status;
}
