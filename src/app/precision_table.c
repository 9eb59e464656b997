/* quant/debug/precision_analysis_table.txt: one row a tensor in order of execution, under the
 * column names of the vendor's table so that its parsers find them, with ours behind; then the
 * channels that one scale serves badly. */
#include <stdlib.h>
#include <string.h>

#include "app/build.h"
#include "kernels/call.h"
#include "report/text_table.h"

void cyg_build_corrections(const cyg_build *b, const char *layer, char *out, size_t size)
{
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < b->quantised.gain_count; i++) {
        const cyg_quant_gain *g = &b->quantised.gains[i];
        if (strcmp(g->node, layer) != 0)
            continue;
        const int n = snprintf(out + used, size - used, "%s%s %+.1f dB", used > 0 ? ", " : "",
                               g->kind, cyg_quant_gain_db(g));
        if (n < 0 || (size_t)n >= size - used)
            return;
        used += (size_t)n;
    }
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* "equalise 24, median +3.1 dB": those of one kind; sorted is room for all gains. */
static void tell_kind(const cyg_build *b, const char *kind, double *sorted, cyg_strbuf *out)
{
    size_t count = 0;
    for (size_t i = 0; i < b->quantised.gain_count; i++)
        if (strcmp(b->quantised.gains[i].kind, kind) == 0)
            sorted[count++] = cyg_quant_gain_db(&b->quantised.gains[i]);
    if (count == 0)
        return;
    qsort(sorted, count, sizeof *sorted, by_value);
    cyg_strbuf_printf(out, "%s%s %zu, median %+.1f dB", out->len > 0 ? " · " : "", kind, count,
                      sorted[count / 2]);
}

void cyg_build_tell_corrections(const cyg_build *b)
{
    static const char *const kinds[] = {"equalise", "center", "range", "rounding", "bias"};
    double *sorted = CYG_NEW_ARRAY(&b->app->arena, double, b->quantised.gain_count + 1);
    cyg_strbuf text = {0};
    for (size_t i = 0; sorted != NULL && i < CYG_COUNT(kinds); i++)
        tell_kind(b, kinds[i], sorted, &text);
    if (text.len > 0 && !text.failed)
        cyg_app_print(b->app, "  error of layers   %s\n", text.data);
    cyg_strbuf_deinit(&text);
}

static void shape_text(const cyg_tensor *t, char out[128])
{
    size_t used = (size_t)snprintf(out, 128, "(");
    for (int i = 0; i < t->rank && used < 100; i++)
        used += (size_t)snprintf(out + used, 128 - used, i > 0 ? ", %lld" : "%lld",
                                 (long long)t->dims[i]);
    snprintf(out + used, 128 - used, ")");
}

/* "U8": types as configurations spell them. */
static void type_text(int32_t type, char out[16])
{
    snprintf(out, 16, "%s", type == CYG_TYPE_F32 ? "FP32" : cyg_type_name((cyg_type)type));
    for (char *c = out; *c != '\0'; c++)
        *c = *c >= 'a' && *c <= 'z' ? (char)(*c - 'a' + 'A') : *c;
}

static void precision_row(const cyg_build *b, const cyg_precision_row *r, bool end_to_end,
                          cyg_text_table *t)
{
    const cyg_step *s = &b->program.steps[r->step];
    const cyg_tensor *y = &b->program.tensors[r->tensor];
    const cyg_precision_error *asked = end_to_end ? &r->run : &r->alone;
    const cyg_precision_error *other = end_to_end ? &r->alone : &r->run;
    char shape[128], type[16], corrections[256];
    shape_text(y, shape);
    type_text(y->type, type);
    cyg_build_corrections(b, s->name, corrections, sizeof corrections);
    cyg_text_table_cell(t, "%s", s->name);
    cyg_text_table_cell(t, "%s", cyg_kop_info_of(s->op)->name);
    cyg_text_table_cell(t, "%s", y->name);
    cyg_text_table_cell(t, "%s", shape);
    cyg_text_table_cell(t, "FP32");
    cyg_text_table_cell(t, "%s", type);
    cyg_text_table_cell(t, "%.5f", asked->cosine);
    cyg_text_table_cell(t, "%.5g", asked->mse);
    cyg_text_table_cell(t, "%.1f", asked->sqnr_db);
    cyg_text_table_cell(t, "%.1f", asked->worst_channel_db);
    cyg_text_table_cell(t, "%.4g", asked->max_error);
    cyg_text_table_cell(t, "%.5f", other->cosine);
    cyg_text_table_cell(t, "%.1f", other->sqnr_db);
    cyg_text_table_cell(t, "%.0f", 100.0 * r->own);
    cyg_text_table_cell(t, "%.1f", r->drop_db);
    cyg_text_table_cell(t, "%.3f", 100.0 * r->saturation);
    if (y->type == CYG_TYPE_F32)
        cyg_text_table_cell(t, "%s", "");
    else
        cyg_text_table_cell(t, "%.4g..%.4g", r->low, r->high);
    cyg_text_table_cell(t, "%.4g..%.4g", r->seen_low, r->seen_high);
    cyg_text_table_cell(t, "%s", corrections);
}

static void precision_rows(cyg_build *b, cyg_strbuf *out)
{
    const bool end_to_end =
        b->config.quant.precision_analysis_method == CYG_CONFIG_ANALYSIS_EndToEnd;
    const char *other = end_to_end ? "PerLayer" : "EndToEnd";
    const bool backend =
        b->config.quant.precision_analysis_mode == CYG_CONFIG_ANALYSIS_MODE_NPUBackend;
    const char *const heads[] = {"Operator",
                                 "Type",
                                 "Output Tensor",
                                 "Shape",
                                 "DType",
                                 "QDType",
                                 "Cosin>",
                                 "MSE>",
                                 "SQNR dB>",
                                 "Worst Channel dB>",
                                 "Max Error>",
                                 end_to_end ? "PerLayer Cosin>" : "EndToEnd Cosin>",
                                 end_to_end ? "PerLayer SQNR dB>" : "EndToEnd SQNR dB>",
                                 "Own %>",
                                 "Drop dB>",
                                 "Saturated %>",
                                 "Range>",
                                 "Seen>",
                                 "Corrections"};
    cyg_text_table t;
    cyg_strbuf_printf(out, "Quant Precision Table【%s %s】\n\n",
                      end_to_end ? "EndToEnd" : "PerLayer", backend ? "NPUBackend" : "Reference");
    cyg_text_table_begin(&t, &b->app->arena, heads, CYG_COUNT(heads));
    for (size_t i = 0; i < b->precision.row_count; i++)
        precision_row(b, &b->precision.rows[i], end_to_end, &t);
    cyg_text_table_end(&t, "", " | ", out);
    cyg_strbuf_printf(out,
                      "\n%zu samples. PerLayer: each step alone, fed float values; EndToEnd: as "
                      "the package runs; %s is in the columns that say so.\nOwn: share of the "
                      "EndToEnd noise that the step makes itself. Drop: from its noisiest operand "
                      "to its result.\n\n",
                      b->precision.samples, other);
}

static void outlier_rows(cyg_build *b, cyg_strbuf *out)
{
    static const char *const heads[] = {"Op outputs",      "Sparse channel ratio>",
                                        "level>=3 ratio>", "level>=4>",
                                        "level>=5>",       "level>=6>"};
    cyg_text_table t;
    cyg_strbuf_puts(out, "Outlier Table, level = Log2(Max_Pertensor / Max_Perchannel)\n\n");
    cyg_text_table_begin(&t, &b->app->arena, heads, CYG_COUNT(heads));
    for (size_t i = 0; i < b->precision.row_count; i++) {
        const cyg_precision_row *r = &b->precision.rows[i];
        cyg_text_table_cell(&t, "%s", b->program.tensors[r->tensor].name);
        cyg_text_table_cell(&t, "%.4f", r->silent);
        for (int k = 0; k < CYG_PRECISION_LEVELS; k++)
            cyg_text_table_cell(&t, "%.4f", r->level[k]);
    }
    cyg_text_table_end(&t, "", " | ", out);
}

cyg_status cyg_build_precision_table(cyg_build *b, cyg_strbuf *out)
{
    precision_rows(b, out);
    outlier_rows(b, out);
    return out->failed ? CYG_FAIL(&b->app->ctx, CYG_E_NOMEM, "out of memory") : CYG_OK;
}
