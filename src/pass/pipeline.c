/* The pipeline: which passes run, in which order, which repeat.
 *
 * Stages run one after the other; a stage's passes run in order, again and again while one of them
 * changes something, when the stage says so (with a bound: passes only ever remove work, but a bug
 * must not hang a build). After each pass that changed something shapes are inferred again, which
 * checks what the pass claims about the shapes of its new values, and in debug builds the graph is
 * verified. The list is the documentation: docs/optimiser.md shows it.
 *
 * The numeric check runs the graph as it came and as it went out on one random input. When they
 * differ, the pipeline runs again on a copy with a comparison after each pass, and the message
 * names the first one whose result is off. */
#include "pass/pass.h"

#include <string.h>

#include "base/file.h"
#include "base/str.h"
#include "pass/batch.h"
#include "pass/check.h"
#include "pass/passes.h"

static const cyg_pass_info passes[] = {
#define CYG_PASS(id, summary) {#id, summary, cyg_pass_##id},
#include "pass/passes.def"
#undef CYG_PASS
};

enum pass_id {
#define CYG_PASS(id, summary) P_##id,
#include "pass/passes.def"
#undef CYG_PASS
    P_none
};

enum { STAGE_PASSES = 10, ROUNDS = 32 };

typedef struct stage {
    bool fuse;   /* part of fusion: skipped by the standard clean-up */
    bool repeat; /* until nothing changes */
    unsigned char pass[STAGE_PASSES];
} stage;

#define CLEAN P_fold, P_identity, P_algebra, P_cse, P_dce
static const stage stages[] = {
    {false, true, {CLEAN, P_none}},
    {true, true, {P_patterns, CLEAN, P_none}}, /* before a factor of theirs is folded away */
    {false, true, {P_conv_affine, P_branches, P_pad, CLEAN, P_none}},
    {true, true, {P_patterns, P_linear, CLEAN, P_none}},
    {true, false, {P_patch_embed, P_pool, P_channels_last, P_dce, P_none}},
    {true, true, {P_index_map, P_sink_rows, P_identity, P_algebra, P_cse, P_dce, P_none}},
    {true, false, {P_attention, P_none}},
    {true, true, {P_index_map, P_sink_rows, P_identity, P_algebra, P_cse, P_dce, P_none}},
    {true,
     false,
     {P_pool, P_merge_linear, P_turn_weights, P_activation, P_residual, P_activation, P_none}},
    {true, true, {P_views, P_index_map, P_identity, P_algebra, P_cse, P_dce, P_none}},
    {true, false, {P_respell, P_dce, P_none}},
};
#undef CLEAN

size_t cyg_pass_count(void)
{
    return CYG_COUNT(passes);
}

const cyg_pass_info *cyg_pass_at(size_t i)
{
    return i < CYG_COUNT(passes) ? &passes[i] : NULL;
}

static cyg_status dump(cyg_ctx *ctx, const cyg_graph *g, const char *path)
{
    cyg_strbuf text = {0};
    cyg_graph_print(g, false, &text);
    cyg_status status = CYG_OK;
    if (text.failed)
        status = CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    else
        status = cyg_write_file(ctx, path, text.data, text.len);
    cyg_strbuf_deinit(&text);
    return status;
}

/* What surrounds each pass. */
typedef struct driver {
    cyg_ctx *ctx;
    cyg_graph *g;
    const cyg_optimise_options *options;
} driver;

static cyg_status run_pass(driver *d, const cyg_pass_info *pass, bool *out_changed)
{
    CYG_TRY(d->ctx, pass->run(d->ctx, d->g, out_changed), "in pass %s", pass->name);
    if (*out_changed) {
        CYG_TRY(d->ctx, cyg_graph_infer_shapes(d->ctx, d->g), "after pass %s", pass->name);
#ifndef NDEBUG
        CYG_TRY(d->ctx, cyg_graph_verify(d->ctx, d->g), "after pass %s", pass->name);
#endif
        cyg_difference difference = {0};
        if (d->options->check != NULL)
            CYG_TRY(d->ctx, cyg_check_compare(d->ctx, d->options->check, d->g, &difference),
                    "pass %s changes the result", pass->name);
        if (d->options->after != NULL)
            d->options->after(d->options->user, pass->name, d->g);
    }
    if (d->options->dump_after != NULL && d->options->dump_path != NULL &&
        strcmp(d->options->dump_after, pass->name) == 0)
        CYG_TRY(d->ctx, dump(d->ctx, d->g, d->options->dump_path), "after pass %s", pass->name);
    return CYG_OK;
}

/* A graph that is written again keeps the layouts of ONNX. */
static bool is_skipped(const cyg_optimise_options *options, unsigned char pass)
{
    const bool ours = pass == P_channels_last || pass == P_turn_weights;
    /* One kernel of several branches, the value itself among them, has weights of very different
     * sizes: that is no good for whoever quantises. */
    return options->channels_first ? ours : pass == P_respell || pass == P_branches;
}

static cyg_status run_stage(driver *d, const stage *s)
{
    for (int round = 0; round < ROUNDS; round++) {
        bool any = false;
        for (int i = 0; i < STAGE_PASSES && s->pass[i] != P_none; i++) {
            bool changed = false;
            if (is_skipped(d->options, s->pass[i]))
                continue;
            CYG_DO(run_pass(d, &passes[s->pass[i]], &changed));
            any = any || changed;
        }
        if (!any || !s->repeat)
            break;
    }
    return CYG_OK;
}

static cyg_status run_all(driver *d)
{
    CYG_DO(cyg_graph_infer_shapes(d->ctx, d->g));
    for (size_t i = 0; i < CYG_COUNT(stages); i++)
        if (!stages[i].fuse || d->options->fuse)
            CYG_DO(run_stage(d, &stages[i]));
    return cyg_graph_verify(d->ctx, d->g);
}

cyg_status cyg_fold(cyg_ctx *ctx, cyg_graph *g)
{
    const cyg_optimise_options options = {0};
    const stage fold = {false, true, {P_fold, P_none}};
    driver d = {.ctx = ctx, .g = g, .options = &options};
    CYG_DO(cyg_graph_infer_shapes(ctx, g));
    return run_stage(&d, &fold);
}

/* Optimises a copy of g that is bound to a batch; *out_copy NULL when there is no batch to bind. */
static cyg_status run_bound(cyg_ctx *ctx, const cyg_graph *g, const cyg_optimise_options *options,
                            int64_t batch, cyg_graph **out_copy)
{
    *out_copy = NULL;
    cyg_graph *copy = cyg_graph_clone(g);
    if (copy == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    cyg_status status = CYG_OK;
    if (cyg_batch_bind(copy, batch)) {
        driver d = {.ctx = ctx, .g = copy, .options = options};
        status = run_all(&d);
        if (status == CYG_OK)
            *out_copy = copy;
    }
    if (*out_copy == NULL)
        cyg_graph_destroy(copy);
    return status;
}

/* The graph at two sizes of its batch, laid over each other (batch.c). */
static cyg_status run_pair(cyg_ctx *ctx, cyg_graph *g, const cyg_optimise_options *options,
                           const int64_t sizes[2], bool *out_done)
{
    const cyg_optimise_options first = {.fuse = options->fuse,
                                        .channels_first = options->channels_first};
    cyg_optimise_options second = *options;
    cyg_graph *copy = NULL;
    cyg_batch_form *form = NULL;
    *out_done = false;
    if (options->check != NULL && cyg_check_batch(options->check) != sizes[1])
        second.check = NULL; /* its input does not fit; the result is compared by the caller */
    cyg_status status = run_bound(ctx, g, &first, sizes[0], &copy);
    if (copy != NULL)
        status = cyg_batch_read(ctx, copy, g, sizes[0], &form);
    cyg_graph_destroy(copy);
    copy = NULL;
    if (form != NULL && status == CYG_OK)
        status = run_bound(ctx, g, &second, sizes[1], &copy);
    if (copy != NULL)
        status = cyg_batch_join(ctx, copy, sizes[1], form, g, out_done);
    if (status == CYG_OK && *out_done)
        cyg_graph_take_over(g, copy);
    else
        cyg_graph_destroy(copy);
    cyg_batch_free(form);
    return status;
}

/* With a symbolic batch at two sizes; small ones are quick, and odd ones seldom coincide with a
 * size of the model's own. */
static cyg_status run(cyg_ctx *ctx, cyg_graph *g, const cyg_optimise_options *options)
{
    static const int64_t sizes[][2] = {{2, 3}, {5, 7}};
    bool done = false;
    for (size_t i = 0; options->fuse && i < CYG_COUNT(sizes) && !done; i++) {
        const cyg_status status = run_pair(ctx, g, options, sizes[i], &done);
        if (status == CYG_E_NOMEM || status == CYG_E_CANCELLED || status == CYG_E_CHECK)
            return status;
        if (status != CYG_OK) /* some batches are impossible */
            cyg_ctx_clear(ctx);
    }
    driver d = {.ctx = ctx, .g = g, .options = options};
    return done ? cyg_graph_verify(ctx, g) : run_all(&d);
}

/* Which pass was it? Runs them on a copy of the original with a comparison after each. */
static cyg_status find_culprit(cyg_ctx *ctx, const cyg_graph *original,
                               const cyg_optimise_options *options, const cyg_check *check)
{
    cyg_graph *copy = cyg_graph_clone(original);
    if (copy == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    cyg_optimise_options quiet = *options;
    quiet.dump_after = NULL;
    quiet.after = NULL;
    quiet.check = check;
    const cyg_status status = run(ctx, copy, &quiet);
    cyg_graph_destroy(copy);
    return status;
}

static cyg_status check_dump_name(cyg_ctx *ctx, const cyg_optimise_options *options)
{
    const char *const name = options->dump_after, *names[CYG_COUNT(passes)];
    if (name == NULL)
        return CYG_OK;
    for (size_t i = 0; i < CYG_COUNT(passes); i++) {
        names[i] = passes[i].name;
        if (strcmp(name, names[i]) != 0)
            continue;
        if (is_skipped(options, (unsigned char)i))
            return CYG_FAIL(ctx, CYG_E_USAGE, "pass %s does not run %s: nothing to dump after it",
                            name,
                            options->channels_first ? "for a graph that keeps the layouts of ONNX"
                                                    : "for a graph that is quantised");
        return CYG_OK;
    }
    const int near = cyg_nearest_name(name, names, CYG_COUNT(passes));
    return CYG_FAIL(ctx, CYG_E_USAGE, "no pass is called %s%s%s%s", name,
                    near < 0 ? "" : "; did you mean ", near < 0 ? "" : names[near],
                    near < 0 ? "" : "?");
}

static int64_t live_nodes(const cyg_graph *g)
{
    int64_t count = 0;
    for (uint32_t i = 0; i < g->node_count; i++)
        count += g->nodes[i].op != CYG_OP_removed;
    return count;
}

static int64_t working_nodes(const cyg_graph *g)
{
    int64_t count = 0;
    for (uint32_t i = 0; i < g->node_count; i++)
        count += g->nodes[i].op != CYG_OP_removed &&
                 (cyg_op_schema_of(g->nodes[i].op)->flags & CYG_OPF_VIEW) == 0;
    return count;
}

cyg_status cyg_optimise(cyg_ctx *ctx, cyg_graph *g, const cyg_optimise_options *options,
                        cyg_optimise_report *out_report)
{
    cyg_graph *original = NULL;
    cyg_check *check = NULL;
    cyg_difference difference = {0};
    cyg_status status = CYG_OK;
    *out_report = (cyg_optimise_report){.nodes_before = live_nodes(g)};
    CYG_DO(check_dump_name(ctx, options));
    if (options->verify_numerics) {
        g->alone = false;
        original = cyg_graph_clone(g);
        if (original == NULL) {
            status = CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
            goto done;
        }
        status = cyg_check_create(ctx, original, NULL, &check);
        if (status != CYG_OK)
            goto done;
    }
    status = run(ctx, g, options);
    if (status != CYG_OK)
        goto done;
    out_report->nodes_after = live_nodes(g);
    out_report->fused_steps = working_nodes(g);
    if (options->verify_numerics) {
        status = cyg_check_compare(ctx, check, g, &difference);
        out_report->max_difference = difference.relative;
        if (status == CYG_E_CHECK) {
            const cyg_status named = find_culprit(ctx, original, options, check);
            status = named == CYG_OK ? status : named;
        }
    }
done:
    cyg_check_destroy(check);
    cyg_graph_destroy(original);
    return status;
}
