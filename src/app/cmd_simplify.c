/* `cygnet simplify`: ONNX to the smallest exact ONNX.
 *
 * The passes of `build` fuse the graph, the ONNX writer expands it back to standard operators. The
 * result is written into a hidden folder beside its place, proved there (simplify_proof.c), and
 * only then moved: a result that is not the same function never appears, and no file is ever half
 * of one. `seconds` is the time from file to file, the proof is counted apart. */
#include "app/output_file.h"
#include "app/simplify.h"

#include <string.h>

#include "base/file.h"

typedef struct simplify_job {
    cyg_app *app;
    const char *input, *output;
    const char *shapes, *explain, *dump_after;
    int64_t opset; /* 0 = the input's */
    bool no_check, external;
    cyg_proof proof;
    cyg_explain story;
    cyg_onnx_info info;
    cyg_optimise_report report;
    cyg_onnx_census before, after;
    cyg_output_file file;
    double seconds;
} simplify_job;

/* ---- the job ---- */

/* The input's opset, as near as export comes to it. */
static void choose_opset(simplify_job *job)
{
    const int64_t own = job->info.opset;
    if (job->opset != 0)
        return;
    job->opset = own < CYG_ONNX_EXPORT_MIN   ? CYG_ONNX_EXPORT_MIN
                 : own > CYG_ONNX_EXPORT_MAX ? CYG_ONNX_EXPORT_MAX
                                             : own;
    if (job->opset != own)
        cyg_note(&job->app->ctx, "%s has opset %lld; the result gets %lld", job->input,
                 (long long)own, (long long)job->opset);
}

static void after_pass(void *user, const char *name, const cyg_graph *g)
{
    simplify_job *job = user;
    const char *reason = "";
    for (size_t i = 0; i < cyg_pass_count(); i++)
        if (strcmp(cyg_pass_at(i)->name, name) == 0)
            reason = cyg_pass_at(i)->summary;
    cyg_explain_step(&job->story, name, reason, g);
}

static cyg_status explain_result(simplify_job *job, const cyg_graph *g)
{
    cyg_graph *expanded;
    CYG_DO(cyg_onnx_expand(&job->app->ctx, g, (int)job->opset, &expanded));
    cyg_explain_step(&job->story, "written", "expansion needs no operator for it", expanded);
    cyg_graph_destroy(expanded);
    return CYG_OK;
}

static cyg_status optimise(simplify_job *job, cyg_graph *g)
{
    cyg_ctx *ctx = &job->app->ctx;
    cyg_optimise_options options = {
        .fuse = true, .channels_first = true, .dump_after = job->dump_after, .user = job};
    if (job->dump_after != NULL) {
        options.dump_path =
            cyg_arena_printf(&job->app->arena, "%s.%s.txt", job->output, job->dump_after);
        if (options.dump_path == NULL)
            return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    }
    if (job->explain != NULL) {
        CYG_DO(cyg_explain_begin(job->app, g, job->explain, &job->story));
        options.after = after_pass;
    }
    return cyg_optimise(ctx, g, &options, &job->report);
}

/* What is in the result need not stay in memory. */
static void release(void *user, const void *data, size_t bytes)
{
    if (bytes >= 1 << 16)
        (void)cyg_graph_release_map(user, data);
}

/* From file to file; nothing but the file is left of it. */
static cyg_status transform(simplify_job *job)
{
    cyg_ctx *ctx = &job->app->ctx;
    const cyg_onnx_import_options import = {
        .keep_symbolic = true, .in_place = true, .input_shapes = job->shapes};
    cyg_graph *g = NULL;
    CYG_DO(cyg_onnx_import(ctx, job->input, &import, &g, &job->info));
    choose_opset(job);
    g->alone = true;
    cyg_status st = optimise(job, g);
    if (st == CYG_OK) {
        const cyg_onnx_export_options options = {.opset = (int)job->opset,
                                                 .external_data = job->external,
                                                 .written = release,
                                                 .user = g};
        st = cyg_onnx_export(ctx, g, job->file.written, &options);
    }
    if (st == CYG_OK && job->explain != NULL)
        st = explain_result(job, g);
    cyg_graph_destroy(g);
    cyg_memory_trim();
    return st;
}

static cyg_status simplify(simplify_job *job)
{
    cyg_ctx *ctx = &job->app->ctx;
    const double start = cyg_seconds();
    CYG_DO(cyg_output_open(job->app, job->output, !job->no_check, "--no-check", &job->file));
    CYG_TRY(ctx, transform(job), "while simplifying %s", job->input);
    job->seconds = cyg_seconds() - start;
    if (!job->no_check)
        CYG_TRY(ctx, cyg_prove(job->app, job->input, job->file.written, &job->proof),
                "%s is not written", job->output);
    CYG_DO(cyg_onnx_count(ctx, job->input, &job->app->arena, &job->before));
    if (!cyg_output_is_regular(&job->file))
        return CYG_OK; /* a pipe cannot be counted */
    CYG_DO(cyg_onnx_count(ctx, job->file.written, &job->app->arena, &job->after));
    return cyg_output_commit(job->app, &job->file);
}

/* ---- saying it ---- */

static void print_row(cyg_app *app, const char *name, int64_t before, int64_t after)
{
    char a[32], b[32];
    cyg_app_print(app, "    %-24s %8s %8s\n", name, before > 0 ? cyg_text_count(before, a) : "-",
                  after > 0 ? cyg_text_count(after, b) : "-");
}

/* Both lists are sorted by name. */
static void print_table(const simplify_job *job)
{
    const cyg_onnx_census *x = &job->before, *y = &job->after;
    cyg_app_print(job->app, "    %-24s %8s %8s\n", "operator", "before", "after");
    for (uint32_t i = 0, k = 0; i < x->op_count || k < y->op_count;) {
        const int order = i == x->op_count   ? 1
                          : k == y->op_count ? -1
                                             : strcmp(x->ops[i].type, y->ops[k].type);
        print_row(job->app, order <= 0 ? x->ops[i].type : y->ops[k].type,
                  order <= 0 ? x->ops[i].count : 0, order >= 0 ? y->ops[k].count : 0);
        i += order <= 0;
        k += order >= 0;
    }
    print_row(job->app, "all", x->nodes, y->nodes);
}

static void print_text(const simplify_job *job)
{
    cyg_app *app = job->app;
    const cyg_proof *p = &job->proof;
    char size[32], rss[32];
    print_table(job);
    if (job->explain != NULL)
        cyg_app_print_result(app, "%s\n%s", job->explain,
                             job->story.lines.data != NULL ? job->story.lines.data : "");
    if (job->no_check)
        cyg_app_print(app, "  not checked\n");
    else if (p->runs > 1)
        cyg_app_print(app,
                      "  max difference %.1e, %.1e of the range, at batch %lld and %lld   %.2f s\n",
                      p->difference.absolute, p->difference.relative, (long long)p->batches[0],
                      (long long)p->batches[1], p->seconds);
    else
        cyg_app_print(app, "  max difference %.1e, %.1e of the range   %.2f s\n",
                      p->difference.absolute, p->difference.relative, p->seconds);
    cyg_app_print_result(app, "wrote %s (%s, opset %lld, %lld nodes)   %.2f s, %s\n", job->output,
                         cyg_text_bytes(job->after.bytes, size), (long long)job->opset,
                         (long long)job->after.nodes, job->seconds,
                         cyg_text_bytes(cyg_peak_rss_bytes(), rss));
}

static void write_census(cyg_json *j, const char *key, const cyg_onnx_census *c)
{
    cyg_json_key(j, key);
    cyg_json_begin_object(j);
    for (uint32_t i = 0; i < c->op_count; i++)
        cyg_json_key_int(j, c->ops[i].type, c->ops[i].count);
    cyg_json_end_object(j);
}

static void double_or_null(cyg_json *j, const char *key, bool known, double value)
{
    cyg_json_key(j, key);
    if (known)
        cyg_json_double(j, value);
    else
        cyg_json_null(j);
}

static cyg_status print_json(const simplify_job *job)
{
    cyg_strbuf text = {0};
    cyg_json j;
    const bool checked = !job->no_check;
    cyg_json_init(&j, &text, 2);
    cyg_json_begin_object(&j);
    cyg_json_key_string(&j, "input", job->input);
    cyg_json_key_string(&j, "output", job->output);
    cyg_json_key_int(&j, "nodes_before", job->before.nodes);
    cyg_json_key_int(&j, "nodes_after", job->after.nodes);
    cyg_json_key_int(&j, "fused_steps", job->report.fused_steps);
    cyg_json_key_int(&j, "opset", job->opset);
    cyg_json_key_double(&j, "seconds", job->seconds);
    cyg_json_key_int(&j, "peak_rss_bytes", (int64_t)cyg_peak_rss_bytes());
    double_or_null(&j, "max_abs_diff", checked, job->proof.difference.absolute);
    double_or_null(&j, "max_relative_diff", checked, job->proof.difference.relative);
    double_or_null(&j, "check_seconds", checked, job->proof.seconds);
    cyg_json_key(&j, "check_batches");
    cyg_json_begin_array(&j);
    for (uint32_t i = 0; i < job->proof.runs; i++)
        cyg_json_int(&j, job->proof.batches[i]);
    cyg_json_end_array(&j);
    if (job->explain != NULL)
        cyg_json_key_string(&j, "explain", job->story.lines.data);
    write_census(&j, "operators_before", &job->before);
    write_census(&j, "operators_after", &job->after);
    cyg_json_end_object(&j);
    const cyg_status st = cyg_app_print_json(job->app, &text);
    cyg_strbuf_deinit(&text);
    return st;
}

/* ---- the command ---- */

cyg_status cyg_cmd_simplify(cyg_app *app, int argc, const char *const *argv)
{
    simplify_job job = {.app = app};
    cyg_string_list words = {0};
    const cyg_value_type text = {.kind = CYG_VALUE_STRING}, yes_no = {.kind = CYG_VALUE_BOOL};
    const cyg_value_type opset = {.kind = CYG_VALUE_INT, .valid = "13..21"};
    const cyg_value_type size = {.kind = CYG_VALUE_INT, .valid = "1..65536"};
    const cyg_value_type share = {.kind = CYG_VALUE_FLOAT, .valid = "0..1"};
    const cyg_flag flags[] = {
        {"opset", 0, false, opset, &job.opset, NULL, NULL, NULL,
         "of the result, 13 to 21; unset: the input's", NULL},
        {"input_shapes", 0, false, text, &job.shapes, NULL, NULL, NULL,
         "fixes shapes in the result: name:1x3x224x224;name2:1x8", NULL},
        {"tolerance", 0, false, share, &job.proof.tolerance, NULL, "1e-4", NULL,
         "largest difference that the proof lets pass, over an output's range", NULL},
        {"check-size", 0, false, size, &job.proof.size, NULL, NULL, NULL,
         "size of symbolic dimensions in the proof, but of the batch; unset: several are tried",
         NULL},
        {"no-check", 0, false, yes_no, &job.no_check, NULL, NULL, NULL,
         "write the result without the proof", NULL},
        {"external-data", 0, false, yes_no, &job.external, NULL, NULL, NULL,
         "weights into OUT.onnx.data beside it, as a result above 2 GiB has them anyway", NULL},
        {"explain", 0, false, text, &job.explain, NULL, NULL, NULL,
         "what became of this node (or of the one that makes this tensor), pass by pass", NULL},
        {"dump-after", 0, false, text, &job.dump_after, NULL, NULL, NULL,
         "write the graph as text after this pass, to OUT.onnx.PASS.txt", NULL},
    };
    CYG_DO(cyg_app_parse(app, "simplify", flags, CYG_COUNT(flags), argc, argv, &words));
    if (app->help)
        return CYG_OK;
    if (words.count != 2)
        return CYG_FAIL(&app->ctx, CYG_E_USAGE,
                        "expected two files, as in: cygnet simplify in.onnx out.onnx");
    job.input = words.items[0];
    job.output = words.items[1];
    job.proof.shapes = job.shapes;
    CYG_DO(cyg_app_use_threads(app, 0));
    cyg_status st = simplify(&job);
    cyg_output_abort(&job.file);
    if (st == CYG_OK && app->json)
        st = print_json(&job);
    else if (st == CYG_OK)
        print_text(&job);
    cyg_explain_deinit(&job.story);
    return st;
}
