/* What each entry of layer_configs came to: which steps it sets, said before the work starts, and
 * what of that the quantiser could not do, said after it. An entry of a range passes over much
 * silently otherwise, since ranges reach everything between their ends. */
#include "app/build.h"

static bool is_set(const cyg_config_mark *at)
{
    return at->origin != CYG_CONFIG_DEFAULT;
}

static const char *type_text(cyg_config_data_type t)
{
    return t == CYG_CONFIG_DTYPE_U16 ? "U16, stored as S16" : cyg_config_enum_data_type.names[t];
}

/* "U16, stored as S16; weights S16". */
static void describe(const cyg_config_layer *l, cyg_strbuf *out)
{
    if (is_set(&l->data_type_at))
        cyg_strbuf_printf(out, "; %s", type_text(l->data_type));
    if (is_set(&l->output_data_type_at))
        cyg_strbuf_printf(out, "; output %s", type_text(l->output_data_type));
    if (is_set(&l->weight_data_type_at))
        cyg_strbuf_printf(out, "; weights %s", type_text(l->weight_data_type));
    if (out->len == 0)
        cyg_strbuf_puts(out, "; no type");
}

static const char *node_name(const cyg_build *b, const cyg_build_match *m)
{
    return cyg_nod(b->graph, m->node)->name;
}

void cyg_build_tell_matches(cyg_build *b)
{
    for (size_t i = 0; i < b->config.quant.layer_configs.count; i++) {
        const cyg_build_match *first = NULL;
        cyg_strbuf text = {0};
        unsigned steps = 0;
        for (size_t k = b->match_count; k-- > 0;)
            if (b->matches[k].entry == i) {
                first = &b->matches[k];
                steps++;
            }
        describe(&b->config.quant.layer_configs.items[i], &text);
        if (first == NULL)
            cyg_warn(&b->app->ctx,
                     "quant.layer_configs[%zu] sets nothing: other entries go before it", i);
        else if (!text.failed)
            cyg_note(&b->app->ctx,
                     "quant.layer_configs[%zu] (%s) sets %u steps, the first is \"%s\"", i,
                     text.data + 2, steps, node_name(b, first));
        cyg_strbuf_deinit(&text);
    }
}

/* ---- what could not be done ---- */

/* What a match set that did not come true: CYG_PART bits. */
static unsigned unmet_of(const cyg_build *b, const cyg_build_match *m)
{
    const unsigned outcome =
        m->node.i < b->quantised.outcome_count ? b->quantised.outcomes[m->node.i] : 0;
    if ((m->parts & CYG_FLOAT_AS_ASKED) !=
        0) /* float weights, mostly a float output; no movement */
        return (m->parts & (CYG_PART_WEIGHT | (outcome & CYG_PART_OUTPUT))) |
               (outcome & CYG_PART_DATA);
    const unsigned unmet = (outcome & CYG_FLOAT_AS_ASKED) != 0 ? m->parts : m->parts & outcome;
    return unmet | m->lost;
}

static const char *data_part(const cyg_build *b, const cyg_build_match *m)
{
    const cyg_op op = cyg_nod(b->graph, m->node)->op;
    return op == CYG_OP_attention ? ((m->parts & CYG_PART_VALUE) != 0 ? "q, k" : "q, k, v")
           : op == CYG_OP_linear || op == CYG_OP_conv2d ? "input"
                                                        : "step";
}

static const char *part(const cyg_build *b, const cyg_build_match *m, unsigned bit)
{
    return bit == CYG_PART_DATA            ? data_part(b, m)
           : bit == CYG_PART_OUTPUT        ? "output"
           : bit == CYG_PART_WEIGHT        ? "weights"
           : bit == CYG_PART_PROBABILITIES ? "probabilities"
           : bit == CYG_PART_VALUE         ? "v"
                                           : "whole step";
}

enum { MOST_TOLD = 8 }; /* build_context.json has all */

void cyg_build_tell_unmet(cyg_build *b)
{
    for (size_t i = 0; i < b->config.quant.layer_configs.count; i++) {
        const cyg_config_layer *l = &b->config.quant.layer_configs.items[i];
        cyg_strbuf text = {0};
        unsigned count = 0;
        for (size_t k = 0; k < b->match_count; k++) {
            const cyg_build_match *m = &b->matches[k];
            const unsigned unmet = m->entry == i ? unmet_of(b, m) : 0;
            for (unsigned bit = 1; bit < CYG_FLOAT_AS_ASKED; bit *= 2)
                if ((unmet & bit) != 0 && count++ < MOST_TOLD)
                    cyg_strbuf_printf(&text, "%s\"%s\" (%s)", count > 1 ? ", " : "",
                                      node_name(b, m), part(b, m, bit));
        }
        if (count > MOST_TOLD)
            cyg_strbuf_printf(&text, " and %u more (build_context.json)", count - MOST_TOLD);
        if (count > 0 && !text.failed) /* a range reaches what nobody named: no warning */
            (l->start_tensor_names.count > 0 ? cyg_note : cyg_warn)(
                &b->app->ctx,
                "quant.layer_configs[%zu] has no effect on %u parts, which have no such form or "
                "whose type others decide: %s",
                i, count, text.data);
        cyg_strbuf_deinit(&text);
    }
}

/* ---- build_context.json ---- */

static void write_parts(const cyg_build *b, const cyg_build_match *m, unsigned parts, cyg_json *j)
{
    cyg_json_begin_inline_array(j);
    for (unsigned bit = 1; bit <= CYG_FLOAT_AS_ASKED; bit *= 2)
        if ((parts & bit) != 0)
            cyg_json_string(j, part(b, m, bit));
    cyg_json_end_array(j);
}

static void write_match(const cyg_build *b, const cyg_build_match *m, cyg_json *j)
{
    cyg_json_begin_object(j);
    cyg_json_key_string(j, "name", node_name(b, m));
    cyg_json_key_string(j, "operator", cyg_op_schema_of(cyg_nod(b->graph, m->node)->op)->onnx);
    cyg_json_key(j, "roles");
    write_parts(b, m, m->parts, j);
    cyg_json_key(j, "no_effect_on");
    write_parts(b, m, unmet_of(b, m), j);
    cyg_json_end_object(j);
}

/* One array of steps an entry. */
void cyg_build_write_matches(const cyg_build *b, cyg_json *j)
{
    cyg_json_begin_array(j);
    for (size_t i = 0; i < b->config.quant.layer_configs.count; i++) {
        cyg_json_begin_object(j);
        cyg_json_key_int(j, "entry", (int64_t)i);
        cyg_json_key(j, "sets");
        cyg_json_begin_array(j);
        for (size_t k = 0; k < b->match_count; k++)
            if (b->matches[k].entry == i)
                write_match(b, &b->matches[k], j);
        cyg_json_end_array(j);
        cyg_json_end_object(j);
    }
    cyg_json_end_array(j);
}
