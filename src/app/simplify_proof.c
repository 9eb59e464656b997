/* The proof: what was written computes what was read.
 *
 * Both files are imported from disk and run in the float interpreter on the same random inputs, so
 * that import, passes, expansion and writer are all under test. A symbolic batch is tried at two
 * sizes: one, where a squeeze too many hides nowhere else, and three, where a size that was frozen
 * by mistake shows. The files are in memory one after the other; of the original only its outputs
 * are kept.
 *
 * When they differ the passes run once more with a comparison after each. If none of them is to
 * blame, the writer is. */
#include "app/simplify.h"

/* Sizes of symbolic dimensions that are no batch, tried until the original runs: a sequence takes
 * any, a picture may want to be large. */
static const int64_t sizes[] = {16, 64, 224, 7, 1};
static const int64_t batches[CYG_PROOF_RUNS] = {1, 3};

static cyg_status import(cyg_app *app, const char *path, const char *shapes, cyg_graph **out_graph)
{
    const cyg_onnx_import_options options = {
        .keep_symbolic = true, .in_place = true, .input_shapes = shapes};
    return cyg_onnx_import(&app->ctx, path, &options, out_graph, NULL);
}

/* Symbolic dimensions of the inputs: at the front, and elsewhere. */
static void look_for_symbols(const cyg_graph *g, bool *out_batch, bool *out_others)
{
    *out_batch = *out_others = false;
    for (uint32_t i = 0; i < g->input_count; i++) {
        const cyg_value *v = cyg_val(g, g->inputs[i]);
        for (unsigned k = 0; v->rank != CYG_RANK_UNKNOWN && k < v->rank; k++)
            if (v->dims[k] < 0)
                *(k == 0 ? out_batch : out_others) = true;
    }
}

/* One check of the original at this batch; the first size that it runs with stays for the rest. */
static cyg_status run_original(cyg_app *app, cyg_graph *g, bool others, int64_t batch, cyg_proof *p,
                               cyg_check **out_check)
{
    cyg_status st = CYG_OK;
    const size_t tries = !others || p->size > 0 ? 1 : CYG_COUNT(sizes);
    for (size_t i = 0; i < tries; i++) {
        const cyg_check_options options = {
            .batch = batch, .size = tries == 1 ? p->size : sizes[i], .tolerance = p->tolerance};
        cyg_ctx_clear(&app->ctx);
        g->alone = tries == 1 && p->runs == 1;
        st = cyg_check_create(&app->ctx, g, &options, out_check);
        if (st == CYG_OK)
            p->size = options.size;
        if (st == CYG_OK || st == CYG_E_NOMEM || st == CYG_E_CANCELLED)
            return st;
    }
    return CYG_FAIL(&app->ctx, st,
                    "the original does not run on random inputs%s, so nothing can be proved; "
                    "--no-check writes the result nevertheless",
                    others ? " of the sizes tried (--check-size gives another)" : "");
}

/* Which pass was it? */
static cyg_status find_culprit(cyg_app *app, const char *original, const cyg_proof *p,
                               const cyg_check *check)
{
    cyg_graph *g = NULL;
    cyg_optimise_report report;
    const cyg_optimise_options options = {.fuse = true, .channels_first = true, .check = check};
    cyg_status st = import(app, original, p->shapes, &g);
    if (st == CYG_OK)
        st = cyg_optimise(&app->ctx, g, &options, &report);
    cyg_graph_destroy(g);
    return st;
}

static cyg_status compare(cyg_app *app, const char *original, const char *result,
                          cyg_check *const *checks, cyg_proof *p)
{
    cyg_ctx *ctx = &app->ctx;
    cyg_graph *g = NULL;
    CYG_DO(import(app, result, NULL, &g));
    cyg_memory_trim();
    cyg_status st = CYG_OK;
    uint32_t i = 0;
    for (; i < p->runs && st == CYG_OK; i++) {
        g->alone = i + 1 == p->runs;
        st = cyg_check_compare(ctx, checks[i], g, &p->difference);
    }
    cyg_graph_destroy(g);
    if (st != CYG_E_CHECK)
        return st;
    const cyg_status culprit = find_culprit(app, original, p, checks[i - 1]);
    if (culprit == CYG_OK)
        CYG_IGNORE(CYG_FAIL(ctx, st,
                            "all passes are exact: the file does not say what the "
                            "optimised graph says"));
    return CYG_FAIL(ctx, st, "%s: the result is not the same function (batch of %lld)", original,
                    (long long)p->batches[i - 1]);
}

cyg_status cyg_prove(cyg_app *app, const char *original, const char *result, cyg_proof *p)
{
    const double start = cyg_seconds();
    cyg_graph *g = NULL;
    cyg_check *checks[CYG_PROOF_RUNS] = {0};
    bool batch, others;
    cyg_status st = import(app, original, p->shapes, &g);
    cyg_memory_trim();
    if (st == CYG_OK) {
        look_for_symbols(g, &batch, &others);
        p->runs = batch ? CYG_PROOF_RUNS : 1;
    }
    for (uint32_t i = 0; st == CYG_OK && i < p->runs; i++) {
        p->batches[i] = batches[i];
        st = run_original(app, g, others, batches[i], p, &checks[i]);
    }
    cyg_graph_destroy(g);
    cyg_memory_trim();
    if (st == CYG_OK)
        st = compare(app, original, result, checks, p);
    for (size_t i = 0; i < CYG_COUNT(checks); i++)
        cyg_check_destroy(checks[i]);
    p->seconds = cyg_seconds() - start;
    return st;
}
