/* Another batch for a graph whose shapes follow from its inputs: dimension 0 of every input is
 * multiplied and all shapes are inferred again. Weights, tables and quantisation parameters stay,
 * so results of one sample stay too, as long as the graph does not mix samples; that it gives
 * as many samples as it takes is checked here, that each is the same is for a run to show. */
#include <string.h>

#include "base/checked.h"
#include "pass/pass.h"

static bool grow(cyg_value *v, int64_t times)
{
    return v->rank != CYG_RANK_UNKNOWN && v->rank > 0 && v->dims[0] > 0 &&
           cyg_mul_i64(v->dims[0], times, &v->dims[0]);
}

/* Output i against what it was. */
static cyg_status check_output(cyg_ctx *ctx, const cyg_graph *g, uint32_t i, cyg_value before,
                               int64_t times)
{
    const cyg_value *now = cyg_val(g, g->outputs[i]);
    if (grow(&before, times) && now->rank == before.rank &&
        memcmp(now->dims, before.dims, before.rank * sizeof *now->dims) == 0)
        return CYG_OK;
    return CYG_FAIL(ctx, CYG_E_UNSUPPORTED,
                    "output \"%s\" does not grow with the batch: a constant fixes its shape "
                    "(const_processors replace constants), or samples are mixed",
                    now->name);
}

cyg_status cyg_multiply_batch(cyg_ctx *ctx, cyg_graph *g, int64_t times)
{
    cyg_arena scratch;
    cyg_status st = CYG_OK;
    cyg_arena_init(&scratch);
    cyg_value *before = CYG_NEW_ARRAY(&scratch, cyg_value, (size_t)g->output_count + 1);
    if (before == NULL)
        st = CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    for (uint32_t i = 0; st == CYG_OK && i < g->output_count; i++)
        before[i] = *cyg_val(g, g->outputs[i]);
    for (uint32_t i = 0; st == CYG_OK && i < g->input_count; i++)
        if (!grow(cyg_val(g, g->inputs[i]), times))
            st = CYG_FAIL(ctx, CYG_E_UNSUPPORTED, "input \"%s\" has no dimension for a batch",
                          cyg_val(g, g->inputs[i])->name);
    for (uint32_t i = 0; i < g->value_count; i++)
        if (!cyg_node_is_none(g->values[i].producer))
            g->values[i].rank = CYG_RANK_UNKNOWN;
    if (st == CYG_OK)
        st = cyg_graph_infer_shapes(ctx, g);
    for (uint32_t i = 0; st == CYG_OK && i < g->output_count; i++)
        st = check_output(ctx, g, i, before[i], times);
    cyg_arena_deinit(&scratch);
    return st;
}
