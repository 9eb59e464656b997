/* The programs of the package: one for each input size and batch size that the configuration asks
 * for.
 *
 * Batches of one size all come from the one quantised graph, which has batch 1 and is calibrated,
 * analysed and checked so: for each size its shapes are inferred again and everything else stays.
 * The package stores the weights once.
 *
 * That samples of a batch do not touch each other is not assumed: calibration samples run side by
 * side have to give the bytes that they give alone. */
#include <stdlib.h>
#include <string.h>

#include "app/build_npu.h"

static int falling(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

/* static_batch_sizes as they are, each once; max_dynamic_batch_size 6 = 4, 2, 1. */
cyg_status cyg_build_choose_batches(cyg_build *b)
{
    const cyg_config_compiler *c = &b->config.compiler;
    const size_t given = c->static_batch_sizes.count;
    uint32_t *list = CYG_NEW_ARRAY(&b->app->arena, uint32_t, given + 32);
    size_t count = 0;
    if (list == NULL)
        return CYG_FAIL(&b->app->ctx, CYG_E_NOMEM, "out of memory");
    for (size_t i = 0; i < given; i++)
        list[count++] = (uint32_t)c->static_batch_sizes.items[i];
    for (int64_t size = 1; size <= c->max_dynamic_batch_size; size *= 2)
        list[count++] = (uint32_t)size;
    b->has_batches = count > 0;
    if (count == 0)
        list[count++] = 1;
    qsort(list, count, sizeof *list, falling);
    b->batch_count = 0;
    for (size_t i = 0; i < count; i++)
        if (i == 0 || list[i] != list[i - 1])
            list[b->batch_count++] = list[i];
    b->batches = list;
    if (!b->has_batches && c->disable_ir_fix)
        cyg_warn(&b->app->ctx, "compiler.disable_ir_fix has no effect: it is about several batch "
                               "sizes, and there is one");
    return CYG_OK;
}

/* Program of a quantised graph at another batch. */
static cyg_status compile_batch(cyg_build *b, const cyg_graph *of, uint32_t batch,
                                cyg_program *out_program)
{
    cyg_ctx *ctx = &b->app->ctx;
    cyg_cpu_report report;
    if (batch == 1 && of == b->graph) {
        *out_program = b->program;
        return CYG_OK;
    }
    b->graph->alone = false; /* constants are borrowed */
    cyg_graph *g = cyg_graph_clone(of);
    if (g == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    b->variants[b->variant_count++] = g; /* programs lend names and constants from it */
    if (batch > 1)
        CYG_DO(cyg_multiply_batch(ctx, g, batch, !b->config.compiler.disable_ir_fix));
    return cyg_target_cpu_compile(ctx, g, &b->app->arena, out_program, &report);
}

static cyg_status compile_group(cyg_build *b, uint32_t group)
{
    cyg_ctx *ctx = &b->app->ctx;
    const cyg_graph *g = group == 0 ? b->graph : b->groups[group - 1].graph;
    for (size_t i = 0; i < b->batch_count; i++) {
        cyg_program *p = &b->programs[b->program_count];
        CYG_TRY(ctx, compile_batch(b, g, b->batches[i], p),
                "while compiling size group %u for a batch of %u", group, b->batches[i]);
        p->group = group;
        p->batch = b->batches[i];
        b->program_count++;
    }
    return CYG_OK;
}

void cyg_build_tell_batches(cyg_build *b)
{
    cyg_strbuf text = {0};
    for (size_t i = b->batch_count; i-- > 0;)
        cyg_strbuf_printf(&text, "%u%s", b->batches[i], i > 0 ? ", " : "");
    cyg_app_print(b->app, "  graph [main] batchs [%s]\n", text.data != NULL ? text.data : "");
    cyg_strbuf_deinit(&text);
}

cyg_status cyg_build_compile_variants(cyg_build *b)
{
    const size_t count = (b->group_count + 1) * b->batch_count;
    b->programs = CYG_NEW_ARRAY(&b->app->arena, cyg_program, count);
    b->variants = CYG_NEW_ARRAY(&b->app->arena, cyg_graph *, count);
    if (b->programs == NULL || b->variants == NULL)
        return CYG_FAIL(&b->app->ctx, CYG_E_NOMEM, "out of memory");
    for (uint32_t group = 0; group <= b->group_count; group++)
        CYG_DO(compile_group(b, group));
    /* An NPU's compiler may leave some out, and tells then. */
    if (b->has_batches && !(cyg_build_is_npu(b) && b->config.compiler.max_dynamic_batch_size > 0))
        cyg_build_tell_batches(b);
    return CYG_OK;
}

void cyg_build_drop_variants(cyg_build *b)
{
    for (size_t i = 0; i < b->variant_count; i++)
        cyg_graph_destroy(b->variants[i]);
    b->variant_count = 0;
}

/* ---- the check ---- */

/* One sample's part of each end. */
typedef struct ends {
    size_t input_bytes[CYG_BUILD_ENDS], output_bytes[CYG_BUILD_ENDS];
    uint32_t inputs, outputs;
} ends;

static cyg_status measure_ends(cyg_build *b, const cyg_session *s, ends *e)
{
    cyg_tensor_info info = {.struct_size = sizeof info};
    for (uint32_t i = 0; i < e->inputs; i++) {
        CYG_DO(cyg_app_rt(b->app, cyg_session_input_info(s, i, &info)));
        e->input_bytes[i] = info.bytes / cyg_session_batch(s);
    }
    for (uint32_t i = 0; i < e->outputs; i++) {
        CYG_DO(cyg_app_rt(b->app, cyg_session_output_info(s, i, &info)));
        e->output_bytes[i] = info.bytes / cyg_session_batch(s);
    }
    return CYG_OK;
}

static cyg_status feed_at(cyg_build *b, cyg_build_feed *feed, cyg_session *s, const ends *e,
                          size_t sample, uint32_t place)
{
    void *inputs[CYG_BUILD_ENDS];
    for (uint32_t i = 0; i < e->inputs; i++)
        inputs[i] = (char *)cyg_session_input(s, i) + place * e->input_bytes[i];
    return cyg_build_feed_sample(feed, sample % b->golden.samples, inputs);
}

/* A batch of different samples against runs of one, byte by byte. */
static cyg_status compare_batch(cyg_build *b, cyg_build_feed *feed, cyg_session *alone,
                                cyg_session *together)
{
    cyg_ctx *ctx = &b->app->ctx;
    const uint32_t batch = cyg_session_batch(together);
    ends e = {.inputs = b->graph->input_count, .outputs = b->graph->output_count};
    if (e.inputs > CYG_BUILD_ENDS || e.outputs > CYG_BUILD_ENDS)
        return CYG_FAIL(ctx, CYG_E_UNSUPPORTED, "batches of more than %d inputs or outputs",
                        CYG_BUILD_ENDS);
    CYG_DO(measure_ends(b, together, &e));
    for (uint32_t i = 0; i < batch; i++)
        CYG_DO(feed_at(b, feed, together, &e, i, i));
    CYG_DO(cyg_app_rt(b->app, cyg_session_run(together)));
    for (uint32_t i = 0; i < batch && i < b->golden.samples; i++) {
        CYG_DO(cyg_ctx_check_cancelled(ctx));
        CYG_DO(feed_at(b, feed, alone, &e, i, 0));
        CYG_DO(cyg_app_rt(b->app, cyg_session_run(alone)));
        for (uint32_t o = 0; o < e.outputs; o++) {
            const char *one = cyg_session_output(alone, o), *many = cyg_session_output(together, o);
            if (memcmp(one, many + i * e.output_bytes[o], e.output_bytes[o]) != 0)
                return CYG_FAIL(ctx, CYG_E_CHECK,
                                "output \"%s\": sample %u of a batch of %u differs from a run of "
                                "that sample alone: the model mixes the samples of a batch, or one "
                                "of its constants holds the batch; replace that by "
                                "const_processors, or build without batches",
                                cyg_val(b->graph, b->graph->outputs[o])->name, i, batch);
        }
    }
    return CYG_OK;
}

static cyg_status check_batch(cyg_build *b, const cyg_model *model, cyg_session *alone,
                              uint32_t batch)
{
    cyg_session *together = NULL;
    cyg_session_options options;
    cyg_build_feed feed;
    cyg_session_options_init(&options);
    options.patient = 1;
    options.threads = cyg_pool_threads(b->app->ctx.pool);
    options.batch = batch;
    cyg_status status = cyg_app_rt(b->app, cyg_session_create(model, &options, &together));
    if (status == CYG_OK)
        status = cyg_build_feed_open(b, model, &feed);
    if (status == CYG_OK)
        status = compare_batch(b, &feed, alone, together);
    cyg_session_destroy(together);
    return status;
}

cyg_status cyg_build_check_variants(cyg_build *b, const cyg_model *model, cyg_session *alone)
{
    for (size_t i = 0; i < b->batch_count; i++)
        if (b->batches[i] > 1)
            CYG_DO(check_batch(b, model, alone, b->batches[i]));
    return CYG_OK;
}
