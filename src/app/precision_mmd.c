/* quant/debug/precision_analysis.mmd: the program as a Mermaid flowchart. A box is a tensor with
 * its shape, types, cosine and squared error, coloured by the cosine; an arrow a step, labelled
 * with its operator and name. */
#include "app/build.h"
#include "kernels/call.h"

/* Names with what Mermaid would read. */
static void put_name(const char *name, cyg_strbuf *out)
{
    for (const char *c = name; *c != '\0'; c++)
        cyg_strbuf_printf(out, "%c", *c == '"' || *c == '|' || *c == '\n' ? '_' : *c);
}

static const char *class_of(double cosine)
{
    return cosine > 0.999 ? "best" : cosine > 0.99 ? "good" : cosine > 0.98 ? "fair" : "poor";
}

static void put_box(const cyg_build *b, uint32_t tensor, const cyg_precision_error *e,
                    cyg_strbuf *out)
{
    const cyg_tensor *t = &b->program.tensors[tensor];
    const cyg_type type = (cyg_type)t->type;
    cyg_strbuf_printf(out, "    t%u[\"", tensor);
    put_name(t->name, out);
    cyg_strbuf_puts(out, ", (");
    for (int i = 0; i < t->rank; i++)
        cyg_strbuf_printf(out, i > 0 ? " %lld" : "%lld", (long long)t->dims[i]);
    cyg_strbuf_printf(out, "), FP32->%s, ", type == CYG_TYPE_F32 ? "FP32" : cyg_type_name(type));
    if (e != NULL)
        cyg_strbuf_printf(out, "%.5f, %.5g\"]:::%s\n", e->cosine, e->mse, class_of(e->cosine));
    else
        cyg_strbuf_puts(out, "None, None\"]\n");
}

static const cyg_precision_error *error_of(const cyg_build *b, uint32_t tensor, bool end_to_end)
{
    for (size_t i = 0; i < b->precision.row_count; i++)
        if (b->precision.rows[i].tensor == tensor)
            return end_to_end ? &b->precision.rows[i].run : &b->precision.rows[i].alone;
    return NULL;
}

/* A view is drawn as what it shows. */
static uint32_t owner_of(const cyg_program *p, uint32_t tensor)
{
    return p->tensors[tensor].kind == CYG_TENSOR_ALIAS ? (uint32_t)p->tensors[tensor].offset
                                                       : tensor;
}

cyg_status cyg_build_precision_chart(const cyg_build *b, cyg_strbuf *out)
{
    const cyg_program *p = &b->program;
    const bool end_to_end =
        b->config.quant.precision_analysis_method == CYG_CONFIG_ANALYSIS_EndToEnd;
    cyg_strbuf_printf(out,
                      "flowchart TD\n"
                      "    classDef best fill:#7fe07f\n    classDef good fill:#b8e6a0\n"
                      "    classDef fair fill:#f3dd7a\n    classDef poor fill:#ef9a8d\n"
                      "    title[\"Precision analysis, %s %s\"]\n",
                      end_to_end ? "EndToEnd" : "PerLayer",
                      b->config.quant.precision_analysis_mode == CYG_CONFIG_ANALYSIS_MODE_NPUBackend
                          ? "NPUBackend"
                          : "Reference");
    for (uint32_t i = 0; i < p->input_count; i++)
        put_box(b, p->inputs[i], NULL, out);
    for (uint32_t i = 0; i < p->step_count; i++) {
        const cyg_step *s = &p->steps[i];
        for (uint32_t k = 0; k < s->out_count; k++)
            put_box(b, s->out[k], error_of(b, s->out[k], end_to_end), out);
        for (uint32_t k = 0; k < s->in_count; k++) {
            const uint32_t from = s->in[k] == CYG_NO_TENSOR ? s->in[k] : owner_of(p, s->in[k]);
            if (from == CYG_NO_TENSOR || p->tensors[from].kind == CYG_TENSOR_CONST)
                continue;
            cyg_strbuf_printf(out, "    t%u -->|\"%s, ", from, cyg_kop_info_of(s->op)->name);
            put_name(s->name, out);
            cyg_strbuf_printf(out, "\"| t%u\n", s->out[0]);
        }
    }
    return CYG_OK;
}
