/* `cygnet build`: the whole flow, stage after stage. Everything is written to a staging folder that
 * takes the output folder's place only when all stages went well, so a failure or Ctrl-C leaves
 * nothing half-written. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/build_npu.h"

/* ---- configuration
 * ------------------------------------------------------------------------------------------ */

static const char *join_command(cyg_app *app, int argc, const char *const *argv)
{
    cyg_strbuf s = {0};
    cyg_strbuf_puts(&s, "cygnet build");
    for (int i = 0; i < argc; i++)
        cyg_strbuf_printf(&s, strpbrk(argv[i], " \t'\"") != NULL ? " '%s'" : " %s", argv[i]);
    const char *text = s.failed ? NULL : cyg_arena_strdup(&app->arena, s.data);
    cyg_strbuf_deinit(&s);
    return text;
}

static cyg_status configure(cyg_build *b, int argc, const char *const *argv)
{
    cyg_app *app = b->app;
    cyg_ctx *ctx = &app->ctx;
    enum { OWN = CYG_APP_FLAGS + 2 };
    cyg_flag own[OWN] = {[CYG_APP_FLAGS] = CYG_FLAG_MODEL_CONFIG(&b->settings),
                         CYG_FLAG_SET(&b->settings)};
    const cyg_config_message *m = &cyg_config_message_build;
    cyg_app_flags(app, own);
    b->command_line = join_command(app, argc, argv);
    if (b->command_line == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    CYG_DO(cyg_source_take_sets(app, &b->settings, &argc, &argv));
    CYG_DO(cyg_build_machine_flag(app, argc, &argv));
    b->settings.edit = cyg_build_edit_source;
    b->settings.user = b;
    CYG_DO(cyg_config_load(ctx, &app->arena, m, argc, argv, own, OWN, &b->config, &b->config_file));
    if (app->help) {
        cyg_strbuf text = {0};
        const cyg_status status = cyg_config_help(ctx, m, &text);
        if (status == CYG_OK && !text.failed)
            printf("usage: cygnet build --input M --output_dir D --target_hardware T [--config "
                   "C] [--quant.x V ...]\n\n%s",
                   text.data);
        cyg_flags_help(own, OWN, &text);
        cyg_strbuf_deinit(&text);
        return status;
    }
    CYG_DO(cyg_config_require(ctx, m, &b->config));
    CYG_DO(cyg_config_validate(ctx, &b->config));
    CYG_DO(cyg_config_check_supported(ctx, m, &b->config));
    cyg_config_warn_of_idle(ctx, &b->config);
    cyg_config_settle(&b->config);
    if (cyg_build_is_npu(b))
        CYG_DO(cyg_build_npu_open(b));
    else
        cyg_build_warn_without_npu(b);
    CYG_DO(cyg_build_choose_batches(b));
    b->package_name = strcmp(b->config.output_name, "compiled.axmodel") == 0
                          ? "compiled.cyg"
                          : b->config.output_name;
    if (strchr(b->package_name, '/') != NULL)
        return CYG_FAIL(
            ctx, CYG_E_CONFIG,
            "output_name \"%s\" is a path: give a file name, and the folder as output_dir",
            b->package_name);
    return CYG_OK;
}

/* ---- stages
 * ---------------------------------------------------------------------------------------------------
 */

static int64_t count_parameters(const cyg_graph *g)
{
    int64_t n = 0;
    for (uint32_t i = 0; i < g->value_count; i++)
        if (g->values[i].is_const && g->values[i].type == CYG_TYPE_F32)
            n += cyg_value_elements(&g->values[i]);
    return n;
}

static cyg_status check_names(cyg_build *b)
{
    const cyg_graph *g = b->graph;
    const char **names =
        CYG_NEW_ARRAY(&b->app->arena, const char *, g->input_count + g->output_count + 1);
    if (names == NULL)
        return CYG_FAIL(&b->app->ctx, CYG_E_NOMEM, "out of memory");
    for (uint32_t i = 0; i < g->input_count; i++)
        names[i] = cyg_val(g, g->inputs[i])->name;
    for (uint32_t i = 0; i < g->output_count; i++)
        names[g->input_count + i] = cyg_val(g, g->outputs[i])->name;
    return cyg_config_check_names(&b->app->ctx, &b->config, names, g->input_count,
                                  names + g->input_count, g->output_count);
}

/* A checkpoint brings its own preprocessing; what the configuration says goes before it. */
static void take_preprocessor(cyg_build *b)
{
    const char *beside = b->source.converted->preprocessor;
    if (beside == NULL ||
        (b->config.quant.preprocessor != NULL && b->config.quant.preprocessor[0] != '\0'))
        return;
    cyg_note(&b->app->ctx, "preprocessing and labels from %s", beside);
    b->config.quant.preprocessor = beside;
}

static cyg_status hash_models(cyg_ctx *ctx, void *arg)
{
    cyg_build_file *const *files = arg;
    for (; *files != NULL; files++)
        CYG_DO(cyg_sha256_file(ctx, (*files)->path, (*files)->sha256, &(*files)->bytes));
    return CYG_OK;
}

static cyg_status hash_sources(cyg_build *b)
{
    const cyg_converted *m = b->source.converted;
    const size_t count = m != NULL ? cyg_checkpoint_file_count(m->checkpoint) : 1;
    cyg_build_file **files = CYG_NEW_ARRAY(&b->app->arena, cyg_build_file *, count + 1);
    size_t added = 0;
    if (files == NULL)
        return CYG_FAIL(&b->app->ctx, CYG_E_NOMEM, "out of memory");
    for (size_t i = 0; i < count; i++) {
        CYG_DO(cyg_build_add_file(
            b, "model", m != NULL ? cyg_checkpoint_file(m->checkpoint, i) : b->source.path,
            &files[added]));
        added += files[added] != NULL;
    }
    if (b->settings.config_file != NULL)
        CYG_DO(cyg_build_hash_file(b, "config", b->settings.config_file));
    if (b->config_file != NULL)
        CYG_DO(cyg_build_hash_file(b, "config", b->config_file));
    cyg_aside_begin(&b->app->ctx, &b->hashing, hash_models, files);
    return CYG_OK;
}

cyg_status cyg_build_open_source(cyg_build *b, const char *input_shapes,
                                 cyg_float_model *out_source)
{
    return cyg_float_model_open(b->app, b->config.input, &b->settings, input_shapes, out_source);
}

/* A checkpoint becomes the same fused graph that import and optimiser make of an ONNX file. */
static cyg_status read_model(cyg_build *b)
{
    char nodes[32];
    cyg_build_begin(b);
    CYG_DO(cyg_build_open_source(b, b->config.input_shapes, &b->source));
    b->graph = b->source.graph;
    CYG_DO(hash_sources(b));
    b->parameters = count_parameters(b->graph);
    CYG_DO(check_names(b));
    const cyg_converted *m = b->source.converted;
    if (m != NULL) {
        take_preprocessor(b);
        cyg_build_end(b, "read", "%s as %s writes it · %.1f M parameters", m->title, m->library,
                      (double)m->parameters / 1e6);
    } else {
        cyg_build_end(b, "read", "%s nodes · opset %d · %.1f M parameters",
                      cyg_text_count(b->source.info.nodes, nodes), b->source.info.opset,
                      (double)b->parameters / 1e6);
    }
    return CYG_OK;
}

static cyg_status write_optimised(cyg_ctx *ctx, void *arg)
{
    const cyg_build *b = arg;
    /* Pairs that the file brought may have 16 bits. */
    const cyg_onnx_export_options export = {.opset =
                                                b->given.pairs > 0 ? CYG_ONNX_16_BIT_PAIRS : 17};
    CYG_TRY(ctx, cyg_onnx_export(ctx, b->graph, b->optimised_path, &export),
            "while writing frontend/optimized.onnx");
    return CYG_OK;
}

static cyg_status optimise(cyg_build *b)
{
    cyg_ctx *ctx = &b->app->ctx;
    const cyg_optimise_options options = {.fuse = !b->config.onnx_opt.disable_onnx_optimization,
                                          .verify_numerics = b->config.onnx_opt.model_check};
    char before[32], after[32];
    CYG_DO(cyg_build_read_given(b));
    CYG_DO(cyg_build_keep_before(b));
    CYG_TRY(ctx, cyg_optimise(ctx, b->graph, &options, &b->optimised), "while optimising %s",
            b->config.input);
    CYG_DO(cyg_build_draw(b));
    CYG_DO(cyg_build_split(b));
    b->graph->alone = true; /* from here on: the picture's copy is gone */
    cyg_graph_release_unused(b->graph);
    CYG_DO(cyg_build_path(b, "frontend/optimized.onnx", &b->optimised_path));
    cyg_aside_begin(ctx, &b->writing, write_optimised, b);
    CYG_DO(cyg_aside_join(ctx, &b->hashing));
    cyg_text_count(b->optimised.nodes_before, before);
    cyg_text_count(b->optimised.nodes_after, after);
    if (options.verify_numerics)
        cyg_build_end(b, "optimise", "%s → %s nodes · %lld steps · max difference %.0e", before,
                      after, (long long)b->optimised.fused_steps, b->optimised.max_difference);
    else
        cyg_build_end(b, "optimise", "%s → %s nodes · %lld steps", before, after,
                      (long long)b->optimised.fused_steps);
    return CYG_OK;
}

/* The quantised graph as QuantizeLinear and DequantizeLinear pairs, for other tools to read. */
static cyg_status write_qdq(cyg_build *b)
{
    const char *path;
    const cyg_graph *g = b->graph;
    const cyg_onnx_export_options export = {.opset = (int)b->config.quant.qdq_opset};
    size_t wide = 0;
    for (uint32_t i = 0; i < g->value_count; i++)
        wide += g->values[i].quant.type == CYG_TYPE_S16 || g->values[i].quant.type == CYG_TYPE_U16;
    CYG_DO(cyg_build_path(b, "quant/quant_axmodel.onnx", &path));
    /* What the back end can start from: one size, and all integers in the file. */
    const bool whole = b->group_count == 0 && export.opset >= CYG_ONNX_16_BIT_PAIRS;
    CYG_TRY(&b->app->ctx,
            whole ? cyg_build_write_back(b, path, &export)
                  : cyg_onnx_export(&b->app->ctx, g, path, &export),
            "while writing quant/quant_axmodel.onnx");
    if (b->config.debug.dump_frontend_graph) {
        CYG_DO(cyg_build_path(b, "frontend/optimized_quant_axmodel.onnx", &path));
        CYG_TRY(&b->app->ctx, cyg_onnx_export(&b->app->ctx, g, path, &export),
                "while writing frontend/optimized_quant_axmodel.onnx");
    }
    if (wide > 0 && export.opset < CYG_ONNX_16_BIT_PAIRS)
        cyg_note(&b->app->ctx,
                 "quant/quant_axmodel.onnx: %zu tensors of 16 bits stay in float at opset %d; "
                 "--quant.qdq_opset %d quantises them too",
                 wide, export.opset, CYG_ONNX_16_BIT_PAIRS);
    return CYG_OK;
}

static cyg_status quantise(cyg_build *b)
{
    char before[32], after[32];
    CYG_DO(cyg_build_open_data(b));
    if (b->samples.count > 0)
        cyg_build_print_table(b);
    CYG_DO(cyg_aside_join(&b->app->ctx, &b->writing)); /* from here on the graph changes */
    CYG_DO(cyg_build_open_groups(b));
    CYG_DO(cyg_build_quantise(b));
    CYG_DO(cyg_build_edit_quantised(b));
    cyg_build_tell_sources(b);
    CYG_DO(cyg_build_size_groups(b));
    CYG_DO(cyg_build_bind_ends(b, b->graph));
    CYG_DO(write_qdq(b));
    cyg_text_bytes((uint64_t)b->quantised.weight_bytes_float, before);
    cyg_text_bytes((uint64_t)b->quantised.weight_bytes_quantised, after);
    cyg_build_end(
        b, "quantise",
        "%zu samples · %u operators integer, %u float · %zu corrections · weights %s → %s",
        b->quantised.samples, b->quantised.integer_nodes, b->quantised.float_nodes,
        b->quantised.gain_count, before, after);
    const cyg_quant_report *q = &b->quantised;
    if (q->calibrate_seconds > 0)
        cyg_app_print(b->app,
                      "  %-11s calibration %.2f s · ranges and equalisation %.2f s · weights and "
                      "biases %.2f s\n",
                      "  of these", q->calibrate_seconds, q->search_seconds, q->assign_seconds);
    cyg_build_tell_corrections(b);
    return CYG_OK;
}

/* The program of the CPU: the package, or what an NPU's is compared with. */
static cyg_status compile(cyg_build *b, const char **out_path)
{
    cyg_ctx *ctx = &b->app->ctx;
    char arena[32], weights[32];
    CYG_DO(cyg_target_cpu_compile(ctx, b->graph, &b->app->arena, &b->program, &b->compiled));
    if (b->config.compiler.cpu_fallback_at.origin != CYG_CONFIG_DEFAULT &&
        !b->config.compiler.cpu_fallback && b->quantised.float_nodes > 0)
        return CYG_FAIL(ctx, CYG_E_UNSUPPORTED,
                        "%u operators have no integer form and cpu_fallback is off",
                        b->quantised.float_nodes);
    CYG_DO(cyg_build_compile_variants(b));
    CYG_DO(
        cyg_build_path(b, b->npu != NULL ? "compiler/reference.cyg" : b->package_name, out_path));
    CYG_DO(cyg_build_write_package(b, *out_path));
    cyg_build_end(b, b->npu != NULL ? "lower" : "compile",
                  "%u steps · %.2f GMAC · activations %s · weights %s", b->compiled.steps,
                  (double)b->compiled.macs / 1e9, cyg_text_bytes(b->compiled.arena_bytes, arena),
                  cyg_text_bytes(b->compiled.weight_bytes, weights));
    cyg_app_print(b->app, "  QuantAxModel macs: %s\n", cyg_text_count(b->compiled.macs, arena));
    return CYG_OK;
}

/* The NPU's package, once the integers have passed the golden check; the reference goes. */
static cyg_status compile_npu(cyg_build *b, const char *reference)
{
    const cyg_config_compiler *c = &b->config.compiler;
    const bool given =
        c->check > 0 && c->input_sample_dir != NULL && c->input_sample_dir[0] != '\0';
    const char *path;
    if (b->npu == NULL)
        return CYG_OK;
    cyg_graph_destroy(b->quantised.reference); /* its weights were for the analysis */
    b->quantised.reference = NULL;
    cyg_graph_release_unused(b->graph);
    CYG_DO(cyg_build_path(b, b->package_name, &path));
    CYG_DO(cyg_build_npu_compile(b, path));
    if (b->samples.count > 0 || given)
        CYG_DO(cyg_build_npu_check(b, reference, path));
    CYG_TRY(&b->app->ctx, cyg_aside_join(&b->app->ctx, &b->npu->comparing),
            "while compiling the plain schedule");
    if (unlink(reference) != 0)
        return CYG_FAIL(&b->app->ctx, CYG_E_IO, "%s: cannot be removed", reference);
    return CYG_OK;
}

static cyg_status check(cyg_build *b, const cyg_model *model)
{
    CYG_DO(cyg_build_compare(b, model));
    CYG_DO(cyg_build_golden_check(b, model));
    CYG_DO(cyg_build_dump(b));
    cyg_build_end(b, "check", "SQNR %.1f dB · cosine %.4f · same top-1 on %.0f/%zu",
                  b->check.sqnr_db, b->check.cosine, b->check.agreement * (double)b->check.samples,
                  b->check.samples);
    return CYG_OK;
}

/* What the package, as it lies on the disk, makes of the calibration samples. */
static cyg_status examine(cyg_build *b, const char *package)
{
    cyg_model *model = NULL;
    CYG_DO(cyg_app_rt(b->app, cyg_model_open(package, &model)));
    cyg_status status = CYG_OK;
    if (b->samples.count > 0) {
        status = cyg_build_analyse(b, model);
        if (status == CYG_OK)
            status = check(b, model);
    } else {
        status = cyg_build_compare(b, model);
    }
    cyg_model_close(model);
    return status;
}

/* A command line made for the vendor's tool looks for compiled.axmodel. */
static cyg_status link_vendor_name(cyg_build *b)
{
    const char *link;
    if (strcmp(b->package_name, "compiled.cyg") != 0)
        return CYG_OK;
    CYG_DO(cyg_build_path(b, "compiled.axmodel", &link));
    if (symlink("compiled.cyg", link) != 0)
        return CYG_FAIL(&b->app->ctx, CYG_E_IO, "%s: cannot make a link", link);
    return CYG_OK;
}

static cyg_status run_stages(cyg_build *b)
{
    const char *package = NULL;
    if (b->config.model_type == CYG_CONFIG_MODEL_QuantAxModel) {
        CYG_DO(cyg_build_read_back(b));
    } else {
        CYG_DO(read_model(b));
        CYG_DO(optimise(b));
        CYG_DO(quantise(b));
    }
    CYG_DO(compile(b, &package));
    CYG_DO(examine(b, package));
    CYG_DO(compile_npu(b, package));
    CYG_DO(link_vendor_name(b));
    return cyg_build_write_records(b);
}

static cyg_status finish(cyg_build *b)
{
    cyg_app *app = b->app;
    char size[32], rss[32];
    uint64_t bytes = 0;
    const char *path;
    cyg_map map;
    CYG_DO(cyg_build_path(b, b->package_name, &path));
    CYG_DO(cyg_map_open(&app->ctx, path, &map));
    bytes = map.size;
    cyg_map_close(&map);
    const char *out = b->config.output_dir;
    cyg_strbuf context = {0};
    cyg_build_write_context(b, &context);
    cyg_status status = CYG_OK;
    if (b->work.temp_path != NULL)
        status = cyg_staging_commit(&app->ctx, &b->work);
    if (status == CYG_OK)
        status = cyg_staging_commit(&app->ctx, &b->staging);
    cyg_text_bytes(bytes, size);
    cyg_text_bytes(cyg_peak_rss_bytes(), rss);
    if (status == CYG_OK && app->json)
        status = cyg_app_print_json(app, &context);
    else if (status == CYG_OK)
        printf("wrote %s/%s (%s), %s/report.html   %.1f s, %s\n", out, b->package_name, size, out,
               cyg_seconds() - b->start, rss);
    cyg_strbuf_deinit(&context);
    return status;
}

/* After a failure some job may still be at work: what went wrong is known, and it was not that. */
static void end_asides(cyg_build *b)
{
    cyg_ctx ignored;
    cyg_ctx_init(&ignored);
    CYG_IGNORE(cyg_aside_join(&ignored, &b->hashing));
    CYG_IGNORE(cyg_aside_join(&ignored, &b->writing));
    if (b->npu != NULL)
        CYG_IGNORE(cyg_aside_join(&ignored, &b->npu->comparing));
}

/* Opens what the build writes to, builds, and leaves nothing behind that is not whole. */
static cyg_status build_into_folders(cyg_build *b)
{
    const cyg_config_build *c = &b->config;
    const bool was_there = cyg_path_exists(c->output_dir);
    const bool apart =
        c->work_dir != NULL && c->work_dir[0] != '\0' && strcmp(c->work_dir, c->output_dir) != 0;
    cyg_status status = cyg_staging_open(&b->app->ctx, c->output_dir, &b->staging);
    if (status == CYG_OK && apart)
        status = cyg_staging_open(&b->app->ctx, c->work_dir, &b->work);
    if (status == CYG_OK)
        status = run_stages(b);
    if (status == CYG_OK)
        status = finish(b);
    end_asides(b);
    if (status != CYG_OK) {
        cyg_staging_abort(&b->work);
        cyg_staging_abort(&b->staging);
        if (apart && !was_there)
            rmdir(c->output_dir); /* made for a work_dir inside it; stays when it holds something */
    }
    return status;
}

/* ---- warnings are kept for the report
 * ------------------------------------------------------------------------------ */

typedef struct tee {
    cyg_log next;
    cyg_build *b;
} tee;

static void tee_sink(void *user, const cyg_log_event *event)
{
    const tee *t = user;
    cyg_build *b = t->b;
    if (event->kind == CYG_LOG_WARNING && b->warning_count < CYG_COUNT(b->warnings)) {
        const char *copy = cyg_arena_strdup(&b->app->arena, event->text);
        if (copy != NULL)
            b->warnings[b->warning_count++] = copy;
    }
    if (t->next.sink != NULL)
        t->next.sink(t->next.user, event);
}

cyg_status cyg_cmd_build(cyg_app *app, int argc, const char *const *argv)
{
    cyg_build *b = CYG_NEW(&app->arena, cyg_build);
    if (b == NULL)
        return CYG_FAIL(&app->ctx, CYG_E_NOMEM, "out of memory");
    tee t = {app->ctx.log, b};
    b->app = app;
    b->start = cyg_seconds();
    app->ctx.log = (cyg_log){tee_sink, &t};
    cyg_status status = configure(b, argc, argv);
    if (status == CYG_OK && !app->help) {
        if (app->ctx.pool == NULL)
            status = cyg_app_use_threads(app, 0);
        cyg_app_print(app, "cygnet %s   %s → %s%s%s   %s\n", CYG_VERSION, b->config.input,
                      cyg_build_target(b), b->npu != NULL ? " " : "",
                      b->npu != NULL ? b->npu->options.machine.mode : "",
                      b->config_file != NULL ? b->config_file : "");
        if (status == CYG_OK)
            status = build_into_folders(b);
    }
    cyg_build_close_data(b);
    cyg_build_drop_variants(b);
    cyg_build_drop_groups(b);
    cyg_graph_destroy(b->before);
    cyg_graph_destroy(b->quantised.reference);
    cyg_float_model_close(&b->source);
    free(b->golden.data);
    app->ctx.log = t.next;
    return status;
}
