/* The precision analysis of a build: always on, on a few samples; on all of them, and printed
 * whole, with quant.precision_analysis. */
#include <string.h>

#include "app/build.h"
#include "app/sample_dir.h"
#include "kernels/call.h"
#include "report/text_table.h"

enum {
    FEW_SAMPLES = 4, /* figures of a tensor's thousands of elements hardly move with more */
    PRINTED = 5,
};

typedef struct feeder {
    cyg_build *b;
    cyg_build_feed feed;
    size_t stride;      /* analysed are samples 0, stride, 2 stride, ... */
    cyg_sample_dir dir; /* quant.input_sample_dir; no folders = calibration samples */
} feeder;

/* A sample of the folder, as the float model takes it. */
static cyg_status read_folder(feeder *f, size_t sample, void *const *inputs)
{
    cyg_build *b = f->b;
    const cyg_graph *g = b->quantised.reference;
    for (uint32_t k = 0; k < b->input_count; k++) {
        const cyg_value *v = cyg_val(g, g->inputs[k]);
        const size_t count = (size_t)cyg_value_elements(v);
        float *data = cyg_arena_alloc(&b->app->arena, count * sizeof *data + 1, 64);
        if (data == NULL)
            return CYG_FAIL(&b->app->ctx, CYG_E_NOMEM, "out of memory");
        if (v->type != CYG_TYPE_F32)
            return CYG_FAIL(&b->app->ctx, CYG_E_UNSUPPORTED,
                            "quant.input_sample_dir: input \"%s\" is no array of floats", v->name);
        CYG_TRY(&b->app->ctx,
                cyg_sample_dir_read(b->app, &f->dir, sample, k, count * sizeof *data, data),
                "quant.input_sample_dir: input \"%s\", %zu floats", v->name, count);
        f->feed.tensors[k] = (cyg_sample_tensor){.data = data, .count = count};
    }
    return cyg_build_feed_values(&f->feed, f->feed.tensors, inputs);
}

static cyg_status get(cyg_ctx *ctx, void *self, size_t i, cyg_kbuf *float_inputs,
                      const cyg_kbuf *program_inputs)
{
    feeder *f = self;
    cyg_build *b = f->b;
    const size_t sample = i * f->stride;
    void **inputs = CYG_NEW_ARRAY(&b->app->arena, void *, (size_t)b->input_count + 1);
    if (inputs == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    for (uint32_t k = 0; k < b->input_count; k++)
        inputs[k] = program_inputs[k].data;
    if (f->dir.folders != NULL) {
        CYG_DO(read_folder(f, sample, inputs));
    } else {
        CYG_DO(cyg_build_feed_sample(&f->feed, sample, inputs));
        CYG_DO(b->samples.get(ctx, b->samples.self, sample, f->feed.tensors));
    }
    for (uint32_t k = 0; k < b->input_count; k++) {
        const cyg_graph *g = b->quantised.reference;
        const cyg_value *v = cyg_val(g, g->inputs[k]);
        const void *data = f->feed.tensors[k].data;
        float_inputs[k] = (cyg_kbuf){.type = (int32_t)v->type, .rank = v->rank};
        memcpy(float_inputs[k].dims, v->dims, sizeof v->dims);
        memcpy(&float_inputs[k].data, &data, sizeof data); /* inputs are only read */
    }
    return CYG_OK;
}

static cyg_status open_folder(feeder *f)
{
    cyg_build *b = f->b;
    const char *root = b->config.quant.input_sample_dir;
    if (root == NULL || root[0] == '\0')
        return CYG_OK;
    const char **names = CYG_NEW_ARRAY(&b->app->arena, const char *, (size_t)b->input_count + 1);
    if (names == NULL)
        return CYG_FAIL(&b->app->ctx, CYG_E_NOMEM, "out of memory");
    for (uint32_t i = 0; i < b->input_count; i++)
        names[i] = b->inputs[i].name;
    return cyg_sample_dir_open(b->app, "quant.input_sample_dir", root, names, b->input_count,
                               &f->dir);
}

static cyg_status analyse(cyg_build *b, const cyg_model *model)
{
    feeder f = {.b = b, .stride = 1};
    const bool whole = b->config.quant.precision_analysis;
    CYG_DO(open_folder(&f));
    cyg_precision_source source = {&f, f.dir.folders != NULL ? f.dir.count : b->quantised.samples,
                                   get};
    if (!whole && source.count > FEW_SAMPLES) {
        f.stride = source.count / FEW_SAMPLES;
        source.count = FEW_SAMPLES;
    }
    CYG_DO(cyg_build_feed_open(b, model, &f.feed));
    return cyg_precision_analyse(&b->app->ctx, b->quantised.reference, b->graph, &b->program,
                                 &source, false, &b->app->arena, &b->precision);
}

/* ---- what is printed and written ---- */

static const char *layer_of(const cyg_build *b, size_t row)
{
    return row == SIZE_MAX ? "nowhere" : b->program.steps[b->precision.rows[row].step].name;
}

static void worst_table(cyg_build *b, const size_t *ranked, cyg_strbuf *out)
{
    static const char *const heads[] = {"Worst layers", "Output",     "alone dB>",  "as run dB>",
                                        "own>",         "saturated>", "corrections"};
    const cyg_precision *p = &b->precision;
    cyg_text_table t;
    cyg_text_table_begin(&t, &b->app->arena, heads, CYG_COUNT(heads));
    for (size_t i = 0; i < PRINTED && i < p->row_count; i++) {
        const cyg_precision_row *r = &p->rows[ranked[i]];
        const cyg_step *s = &b->program.steps[r->step];
        char corrections[256];
        cyg_build_corrections(b, s->name, corrections, sizeof corrections);
        cyg_text_table_cell(&t, "%s", s->name);
        cyg_text_table_cell(&t, "%s", cyg_type_name((cyg_type)b->program.tensors[r->tensor].type));
        cyg_text_table_cell(&t, "%.1f", r->alone.sqnr_db);
        cyg_text_table_cell(&t, "%.1f", r->run.sqnr_db);
        cyg_text_table_cell(&t, "%.0f %%", 100.0 * r->own);
        cyg_text_table_cell(&t, "%.2f %%", 100.0 * r->saturation);
        cyg_text_table_cell(&t, "%s", corrections);
    }
    cyg_text_table_end(&t, "  ", "  ", out);
}

static void where(const cyg_build *b, cyg_strbuf *out)
{
    const cyg_precision *p = &b->precision;
    if (p->born != SIZE_MAX) {
        const cyg_precision_row *r = &p->rows[p->born];
        cyg_strbuf_printf(out, "  error is born in %s (%.1f dB alone, %.1f as run)\n",
                          layer_of(b, p->born), r->alone.sqnr_db, r->run.sqnr_db);
    }
    if (p->grows != SIZE_MAX) {
        const cyg_precision_row *r = &p->rows[p->grows];
        cyg_strbuf_printf(out, "  and grows most in %s (%.1f dB from operand to result)\n",
                          layer_of(b, p->grows), r->drop_db);
    }
}

static cyg_status write_chart(cyg_build *b)
{
    cyg_ctx *ctx = &b->app->ctx;
    cyg_strbuf text = {0};
    const char *path;
    cyg_status status = cyg_build_precision_chart(b, &text);
    if (status == CYG_OK && text.failed)
        status = CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    if (status == CYG_OK)
        status = cyg_build_path(b, "quant/debug/precision_analysis.mmd", &path);
    if (status == CYG_OK)
        status = cyg_write_file(ctx, path, text.data, text.len);
    cyg_strbuf_deinit(&text);
    return status;
}

/* The long table to its file; in out_shown what is printed. */
static cyg_status publish(cyg_build *b, cyg_strbuf *out_shown)
{
    cyg_ctx *ctx = &b->app->ctx;
    cyg_strbuf table = {0};
    const char *path = NULL;
    size_t *ranked = CYG_NEW_ARRAY(&b->app->arena, size_t, b->precision.row_count + 1);
    cyg_status status = ranked == NULL ? CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory")
                                       : cyg_precision_rank(ctx, &b->precision, ranked);
    if (status == CYG_OK)
        status = cyg_build_precision_table(b, &table);
    if (status == CYG_OK)
        status = cyg_build_path(b, "quant/debug/precision_analysis_table.txt", &path);
    if (status == CYG_OK)
        status = cyg_write_file(ctx, path, table.data, table.len);
    if (status == CYG_OK)
        status = write_chart(b);
    if (status == CYG_OK) {
        if (b->config.quant.precision_analysis)
            cyg_strbuf_add(out_shown, table.data, table.len);
        worst_table(b, ranked, out_shown);
        where(b, out_shown);
        if (out_shown->failed)
            status = CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    }
    cyg_strbuf_deinit(&table);
    return status;
}

cyg_status cyg_build_analyse(cyg_build *b, const cyg_model *model)
{
    cyg_strbuf shown = {0};
    cyg_status status = analyse(b, model);
    if (status != CYG_OK || b->precision.row_count == 0)
        return status;
    status = publish(b, &shown);
    if (status == CYG_OK) {
        cyg_build_end(b, "analyse", "%zu samples · %zu tensors against float", b->precision.samples,
                      b->precision.row_count);
        cyg_app_print(b->app, "%s", shown.data);
    }
    cyg_strbuf_deinit(&shown);
    return status;
}

/* ---- advice ---- */

/* What is off that could help, else what is known to help most. */
static void what_to_try(const cyg_build *b, const cyg_precision_row *r, cyg_strbuf *out)
{
    const cyg_config_quant *c = &b->config.quant;
    const bool smooth_off =
        c->enable_smooth_quant_at.origin != CYG_CONFIG_DEFAULT && !c->enable_smooth_quant;
    if (r->saturation > 0.01)
        cyg_strbuf_printf(out,
                          "%.0f %% of its values lie outside its range %.3g..%.3g: check mean, std "
                          "and colour order of the calibration data, and give more of it",
                          100.0 * r->saturation, r->low, r->high);
    else if (!c->search_ranges)
        cyg_strbuf_puts(out, "try --quant.search_ranges true");
    else if (!c->correct_bias)
        cyg_strbuf_puts(out, "try --quant.correct_bias true");
    else if (!c->round_weights)
        cyg_strbuf_puts(out, "try --quant.round_weights true");
    else if (smooth_off && r->level[0] > 0.1)
        cyg_strbuf_printf(out,
                          "%.0f %% of its channels lose 3 bits or more to wider ones: leave "
                          "--quant.enable_smooth_quant unset, so that it is searched",
                          100.0 * r->level[0]);
    else if (b->quantised.samples < 32)
        cyg_strbuf_printf(out, "try more calibration samples: 32 or more, here %zu",
                          b->quantised.samples);
    else
        cyg_strbuf_puts(out, "--quant.precision_analysis true prints every layer");
}

void cyg_build_advise(const cyg_build *b, cyg_strbuf *out)
{
    const cyg_precision *p = &b->precision;
    if (p->born == SIZE_MAX || p->row_count == 0)
        return;
    const cyg_precision_row *r = &p->rows[p->born];
    cyg_strbuf_printf(out, "the error is born in \"%s\" (%.1f dB alone, %.1f as run); ",
                      layer_of(b, p->born), r->alone.sqnr_db, r->run.sqnr_db);
    what_to_try(b, r, out);
}

/* ---- report.json ---- */

static void write_error(cyg_json *j, const char *key, const cyg_precision_error *e)
{
    cyg_json_key(j, key);
    cyg_json_begin_object(j);
    cyg_json_key_double(j, "sqnr_db", e->sqnr_db);
    cyg_json_key_double(j, "worst_channel_db", e->worst_channel_db);
    cyg_json_key_double(j, "cosine", e->cosine);
    cyg_json_key_double(j, "mse", e->mse);
    cyg_json_key_double(j, "max_error", e->max_error);
    cyg_json_end_object(j);
}

static void write_pair(cyg_json *j, const char *key, double low, double high)
{
    cyg_json_key(j, key);
    cyg_json_begin_inline_array(j);
    cyg_json_double(j, low);
    cyg_json_double(j, high);
    cyg_json_end_array(j);
}

static void write_row(const cyg_build *b, const cyg_precision_row *r, bool with_bins, cyg_json *j)
{
    const cyg_step *s = &b->program.steps[r->step];
    const cyg_tensor *y = &b->program.tensors[r->tensor];
    char corrections[256];
    cyg_build_corrections(b, s->name, corrections, sizeof corrections);
    cyg_json_begin_object(j);
    cyg_json_key_int(j, "step", r->step);
    cyg_json_key_string(j, "layer", s->name);
    cyg_json_key_string(j, "tensor", y->name);
    cyg_json_key_string(j, "kernel", cyg_kop_info_of(s->op)->name);
    cyg_json_key_string(j, "type", cyg_type_name((cyg_type)y->type));
    write_error(j, "alone", &r->alone);
    write_error(j, "run", &r->run);
    cyg_json_key_double(j, "own", r->own);
    cyg_json_key_double(j, "drop_db", r->drop_db);
    cyg_json_key_double(j, "saturation", r->saturation);
    write_pair(j, "range", r->low, r->high);
    write_pair(j, "seen", r->seen_low, r->seen_high);
    cyg_json_key_double(j, "silent", r->silent);
    cyg_json_key(j, "levels");
    cyg_json_begin_inline_array(j);
    for (int k = 0; k < CYG_PRECISION_LEVELS; k++)
        cyg_json_double(j, r->level[k]);
    cyg_json_end_array(j);
    cyg_json_key_string(j, "corrections", corrections);
    if (with_bins) {
        write_pair(j, "bins_range", r->bins_low, r->bins_high);
        cyg_json_key_ints(j, "bins", r->bins, CYG_PRECISION_BINS);
    }
    cyg_json_end_object(j);
}

/* Histograms are for the ten worst tensors of integers. */
static void choose_bins(const cyg_build *b, const size_t *ranked, bool *with_bins)
{
    size_t left = 10;
    for (size_t i = 0; i < b->precision.row_count && left > 0; i++) {
        const cyg_precision_row *r = &b->precision.rows[ranked[i]];
        with_bins[ranked[i]] = r->high > r->low;
        left -= with_bins[ranked[i]];
    }
}

cyg_status cyg_build_write_precision(const cyg_build *b, cyg_json *j)
{
    const cyg_precision *p = &b->precision;
    size_t *ranked = CYG_NEW_ARRAY(&b->app->arena, size_t, p->row_count + 1);
    bool *with_bins = CYG_NEW_ARRAY(&b->app->arena, bool, p->row_count + 1);
    if (ranked == NULL || with_bins == NULL)
        return CYG_FAIL(&b->app->ctx, CYG_E_NOMEM, "out of memory");
    CYG_DO(cyg_precision_rank(&b->app->ctx, p, ranked));
    choose_bins(b, ranked, with_bins);
    cyg_json_begin_object(j);
    cyg_json_key_int(j, "samples", (int64_t)p->samples);
    cyg_json_key_string(j, "born", p->born == SIZE_MAX ? NULL : layer_of(b, p->born));
    cyg_json_key_string(j, "grows", p->grows == SIZE_MAX ? NULL : layer_of(b, p->grows));
    cyg_json_key(j, "layers");
    cyg_json_begin_array(j);
    for (size_t i = 0; i < p->row_count; i++)
        write_row(b, &p->rows[i], with_bins[i], j);
    cyg_json_end_array(j);
    cyg_json_key(j, "weights");
    cyg_json_begin_array(j);
    for (size_t i = 0; i < p->weight_count; i++) {
        cyg_json_begin_object(j);
        cyg_json_key_string(j, "layer", b->program.steps[p->weights[i].step].name);
        cyg_json_key(j, "spread");
        cyg_json_begin_inline_array(j);
        for (size_t k = 0; k < CYG_COUNT(p->weights[i].spread); k++)
            cyg_json_double(j, p->weights[i].spread[k]);
        cyg_json_end_array(j);
        cyg_json_end_object(j);
    }
    cyg_json_end_array(j);
    cyg_json_end_object(j);
    return CYG_OK;
}
