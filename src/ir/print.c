/* The text form, written. The grammar is in docs/ir.md; parse.c reads it.
 *
 *     graph "tiny" opset 18
 *     symbol N
 *     source @0 "/fc/Gemm" "Gemm"
 *     input %x: f32[N,2]
 *     const %w: f32[1,2] = [1, -0.5]
 *     %y: f32[N,1] = linear(%x, %w) {act = 1} "fc" @0
 *     output %y
 *
 * One line a thing, in a fixed order: what was printed, parsed and printed again is the same text.
 * Floats are printed with the digits that bring back the same bits. Constants of more than 16
 * elements print as a hash and a size unless all data is wanted (then as hexadecimal bytes). */
#include "ir/graph.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "ir/text.h"

static void put_string(cyg_strbuf *out, const char *s)
{
    cyg_strbuf_puts(out, "\"");
    for (const char *p = s; *p != '\0'; p++) {
        const unsigned char c = (unsigned char)*p;
        if (c == '"' || c == '\\')
            cyg_strbuf_printf(out, "\\%c", c);
        else if (c == '\n')
            cyg_strbuf_puts(out, "\\n");
        else if (c < 0x20 || c == 0x7f)
            cyg_strbuf_printf(out, "\\x%02x", c);
        else
            cyg_strbuf_add(out, p, 1);
    }
    cyg_strbuf_puts(out, "\"");
}

/* Bare where the lexer would read the whole of it back. */
static void put_name(cyg_strbuf *out, const char *name)
{
    bool bare = name[0] != '\0';
    const char *p = name;
    for (; bare && *p != '\0'; p++)
        bare = cyg_text_is_bare(*p);
    if (bare && p[-1] != ':')
        cyg_strbuf_puts(out, name);
    else
        put_string(out, name);
}

static void put_value(cyg_strbuf *out, const cyg_graph *g, cyg_value_id v)
{
    if (v.i >= g->value_count) {
        cyg_strbuf_puts(out, "_");
        return;
    }
    cyg_strbuf_puts(out, "%");
    put_name(out, g->values[v.i].name);
}

static void put_float(cyg_strbuf *out, double v, int digits)
{
    if (isnan(v)) {
        cyg_strbuf_puts(out, "nan");
    } else if (isinf(v)) {
        cyg_strbuf_puts(out, v > 0 ? "inf" : "-inf");
    } else {
        /* The fewest digits that bring back the same bits: 0.1, not 0.100000001. */
        char text[40];
        if (digits == 9)
            cyg_text_float((float)v, text);
        for (int d = 15; digits > 9 && d <= digits; d++) {
            snprintf(text, sizeof text, "%.*g", d, v);
            if (strtod(text, NULL) == v)
                break;
        }
        cyg_strbuf_puts(out, text);
    }
}

static void put_shape(cyg_strbuf *out, const cyg_graph *g, const cyg_value *v)
{
    cyg_strbuf_printf(out, "%s[", cyg_type_name(v->type));
    if (v->rank == CYG_RANK_UNKNOWN)
        cyg_strbuf_puts(out, "*");
    for (unsigned i = 0; v->rank != CYG_RANK_UNKNOWN && i < v->rank; i++) {
        if (i > 0)
            cyg_strbuf_puts(out, ",");
        const int64_t d = v->dims[i];
        if (d >= 0) {
            cyg_strbuf_printf(out, "%lld", (long long)d);
        } else if (d == -1 || -d - 1 >= (int64_t)g->symbol_count) {
            cyg_strbuf_puts(out, "?");
        } else {
            const char *name = g->symbols[-d - 1];
            if (cyg_text_is_word(name))
                cyg_strbuf_puts(out, name);
            else
                put_string(out, name);
        }
    }
    cyg_strbuf_puts(out, "]");
    if (v->quant.type == CYG_TYPE_NONE)
        return;
    cyg_strbuf_printf(out, " q(%s zero %d axis %d scale", cyg_type_name(v->quant.type),
                      v->quant.zero_point, v->quant.axis);
    for (uint32_t i = 0; i < v->quant.count; i++) {
        cyg_strbuf_puts(out, " ");
        put_float(out, (double)v->quant.scales[i], 9);
    }
    cyg_strbuf_puts(out, ")");
}

static void put_element(cyg_strbuf *out, cyg_type type, const uint8_t *p)
{
    switch (type) {
    case CYG_TYPE_F32:
        put_float(out, (double)cyg_load_f32(p), 9);
        return;
    case CYG_TYPE_F64:
        put_float(out, cyg_load_f64(p), 17);
        return;
    case CYG_TYPE_U64:
        cyg_strbuf_printf(out, "%llu", (unsigned long long)cyg_load_u64(p));
        return;
    case CYG_TYPE_S64:
        cyg_strbuf_printf(out, "%lld", (long long)cyg_load_i64(p));
        return;
    case CYG_TYPE_U32:
        cyg_strbuf_printf(out, "%u", cyg_load_u32(p));
        return;
    case CYG_TYPE_S32:
        cyg_strbuf_printf(out, "%d", cyg_load_i32(p));
        return;
    case CYG_TYPE_S16:
        cyg_strbuf_printf(out, "%d", cyg_load_i16(p));
        return;
    case CYG_TYPE_S8:
        cyg_strbuf_printf(out, "%d", (int8_t)*p);
        return;
    case CYG_TYPE_U16:
    case CYG_TYPE_F16: /* the 16-bit floats as their bits */
    case CYG_TYPE_BF16:
        cyg_strbuf_printf(out, "%u", cyg_load_u16(p));
        return;
    case CYG_TYPE_U8:
    case CYG_TYPE_BOOL:
    case CYG_TYPE_NONE:
    case CYG_TYPE_COUNT:
        break;
    }
    cyg_strbuf_printf(out, "%u", *p);
}

static void put_const(cyg_strbuf *out, const cyg_graph *g, uint32_t i, cyg_print_const how)
{
    const cyg_value *v = &g->values[i];
    const uint8_t *data = v->data;
    const size_t size = cyg_type_size(v->type);
    cyg_strbuf_puts(out, "const ");
    put_value(out, g, (cyg_value_id){i});
    cyg_strbuf_puts(out, ": ");
    put_shape(out, g, v);
    cyg_strbuf_puts(out, " = ");
    if (size > 0 && v->bytes / size <= CYG_TEXT_INLINE) {
        cyg_strbuf_puts(out, "[");
        for (size_t k = 0; k < v->bytes / size; k++) {
            if (k > 0)
                cyg_strbuf_puts(out, ", ");
            put_element(out, v->type, data + k * size);
        }
        cyg_strbuf_puts(out, "]");
    } else if (how == CYG_PRINT_DATA) {
        static const char digits[] = "0123456789abcdef";
        cyg_strbuf_puts(out, "x\"");
        for (size_t k = 0; k < v->bytes; k++) {
            const char hex[2] = {digits[data[k] >> 4], digits[data[k] & 15]};
            cyg_strbuf_add(out, hex, 2);
        }
        cyg_strbuf_puts(out, "\"");
    } else {
        cyg_strbuf_printf(out, "#%016llx %zu", (unsigned long long)cyg_hash64(data, v->bytes, 0),
                          v->bytes);
    }
    cyg_strbuf_puts(out, "\n");
}

static void put_attr(cyg_strbuf *out, const cyg_graph *g, const cyg_attr *a)
{
    cyg_strbuf_printf(out, "%s = ", cyg_attr_key_name(a->key));
    switch (a->kind) {
    case CYG_KIND_INT:
        cyg_strbuf_printf(out, "%lld", (long long)a->u.i);
        break;
    case CYG_KIND_FLOAT:
        put_float(out, (double)a->u.f, 9);
        break;
    case CYG_KIND_STRING:
        put_string(out, a->u.s);
        break;
    case CYG_KIND_INTS:
    case CYG_KIND_FLOATS: {
        const bool ints = a->kind == CYG_KIND_INTS;
        const size_t count = ints ? a->u.ints.count : a->u.floats.count;
        cyg_strbuf_puts(out, "[");
        for (size_t i = 0; i < count; i++) {
            cyg_strbuf_puts(out, i > 0 ? ", " : "");
            if (ints)
                cyg_strbuf_printf(out, "%lld", (long long)a->u.ints.data[i]);
            else
                put_float(out, (double)a->u.floats.data[i], 9);
        }
        cyg_strbuf_puts(out, "]");
        break;
    }
    case CYG_KIND_TENSOR:
        put_value(out, g, a->u.tensor);
        break;
    }
}

static void put_attrs(cyg_strbuf *out, const cyg_graph *g, const cyg_node *n)
{
    const cyg_op_schema *schema = cyg_op_schema_of(n->op);
    const char *before = " {";
    for (size_t i = 0; i < schema->attr_count; i++) {
        const cyg_attr *a = cyg_node_attr(n, schema->attrs[i].key);
        if (a == NULL)
            continue;
        cyg_strbuf_puts(out, before);
        put_attr(out, g, a);
        before = ", ";
    }
    if (before[0] == ',')
        cyg_strbuf_puts(out, "}");
}

static void put_node(cyg_strbuf *out, const cyg_graph *g, const cyg_node *n)
{
    for (uint32_t i = 0; i < n->out_count; i++) {
        cyg_strbuf_puts(out, i > 0 ? ", " : "");
        put_value(out, g, n->out[i]);
        if (n->out[i].i < g->value_count) {
            cyg_strbuf_puts(out, ": ");
            put_shape(out, g, cyg_val(g, n->out[i]));
        }
    }
    cyg_strbuf_printf(out, " = %s(", cyg_op_schema_of(n->op)->id);
    for (uint32_t i = 0; i < n->in_count; i++) {
        cyg_strbuf_puts(out, i > 0 ? ", " : "");
        put_value(out, g, n->in[i]);
    }
    cyg_strbuf_puts(out, ")");
    put_attrs(out, g, n);
    cyg_strbuf_puts(out, " ");
    put_string(out, n->name);
    for (uint32_t i = 0; i < n->source_count; i++)
        cyg_strbuf_printf(out, "%s%u", i == 0 ? " @" : ",", n->sources[i].i);
    cyg_strbuf_puts(out, "\n");
}

static void put_header(cyg_strbuf *out, const cyg_graph *g)
{
    cyg_strbuf_puts(out, "graph ");
    put_string(out, g->name);
    cyg_strbuf_printf(out, " opset %d\n", g->opset);
    for (uint32_t i = 0; i < g->meta_count; i++) {
        cyg_strbuf_puts(out, "meta ");
        put_string(out, g->metas[i].key);
        cyg_strbuf_puts(out, " = ");
        put_string(out, g->metas[i].text);
        cyg_strbuf_puts(out, "\n");
    }
    for (uint32_t i = 1; i < g->symbol_count; i++) {
        cyg_strbuf_puts(out, "symbol ");
        if (cyg_text_is_word(g->symbols[i]))
            cyg_strbuf_puts(out, g->symbols[i]);
        else
            put_string(out, g->symbols[i]);
        cyg_strbuf_puts(out, "\n");
    }
    for (uint32_t i = 0; i < g->source_count; i++) {
        cyg_strbuf_printf(out, "source @%u ", i);
        put_string(out, g->sources[i].name);
        cyg_strbuf_puts(out, " ");
        put_string(out, g->sources[i].kind);
        cyg_strbuf_puts(out, "\n");
    }
    for (uint32_t i = 0; i < g->input_count; i++) {
        cyg_strbuf_puts(out, "input ");
        put_value(out, g, g->inputs[i]);
        cyg_strbuf_puts(out, ": ");
        put_shape(out, g, cyg_val(g, g->inputs[i]));
        cyg_strbuf_puts(out, "\n");
    }
}

static cyg_print_const in_full(void *user, cyg_value_id v)
{
    (void)user;
    (void)v;
    return CYG_PRINT_DATA;
}

static cyg_print_const by_hash(void *user, cyg_value_id v)
{
    (void)user;
    (void)v;
    return CYG_PRINT_HASH;
}

void cyg_graph_print(const cyg_graph *g, bool with_data, cyg_strbuf *out)
{
    cyg_graph_print_with(g, with_data ? in_full : by_hash, NULL, out);
}

void cyg_graph_print_with(const cyg_graph *g, cyg_print_choice how, void *user, cyg_strbuf *out)
{
    put_header(out, g);
    for (uint32_t i = 0; i < g->value_count; i++) {
        const cyg_print_const as =
            g->values[i].is_const ? how(user, (cyg_value_id){i}) : CYG_PRINT_NOT;
        if (as != CYG_PRINT_NOT)
            put_const(out, g, i, as);
    }
    for (uint32_t k = 0; k < g->order_count; k++)
        if (cyg_nod(g, g->order[k])->op != CYG_OP_removed)
            put_node(out, g, cyg_nod(g, g->order[k]));
    for (uint32_t i = 0; i < g->output_count; i++) {
        cyg_strbuf_puts(out, "output ");
        put_value(out, g, g->outputs[i]);
        cyg_strbuf_puts(out, "\n");
    }
}
