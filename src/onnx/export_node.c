/* One node as a NodeProto: operands by name, attributes, and the form that the opset demands
 * (export.def): axes back into attributes, attributes that came later left out. */
#include "onnx/export.h"

#include <string.h>

#include "base/bytes.h"
#include "onnx/proto.h"

enum { /* NodeProto, AttributeProto, AttributeProto.AttributeType */
       NODE_INPUT = 1,
       NODE_OUTPUT = 2,
       NODE_NAME = 3,
       NODE_OP_TYPE = 4,
       NODE_ATTRIBUTE = 5,
       ATTR_NAME = 1,
       ATTR_F = 2,
       ATTR_I = 3,
       ATTR_S = 4,
       ATTR_T = 5,
       ATTR_FLOATS = 7,
       ATTR_INTS = 8,
       ATTR_STRINGS = 9,
       ATTR_TYPE = 20,
       TYPE_FLOAT = 1,
       TYPE_INT = 2,
       TYPE_STRING = 3,
       TYPE_TENSOR = 4,
       TYPE_FLOATS = 6,
       TYPE_INTS = 7,
       TYPE_STRINGS = 8,
};

#define EXPORT_FAIL(x, n, fmt, ...)                                                                \
    CYG_FAIL((x)->ctx, CYG_E_UNSUPPORTED, "node %s (%s) at opset %d: " fmt, (n)->name,             \
             cyg_op_schema_of((n)->op)->onnx, (x)->opset, __VA_ARGS__)

static const struct {
    cyg_op op;
    cyg_attr_key key;
    int since;
    int64_t value;
    const char *text;
} later[] = {
#define CYG_LATER(op, key, since, value) {CYG_OP_##op, CYG_ATTR_##key, since, value, "none"},
#define CYG_LATER_TEXT(op, key, since, text) {CYG_OP_##op, CYG_ATTR_##key, since, 0, text},
#define CYG_AXES(op, since)
#include "onnx/export.def"
#undef CYG_LATER
#undef CYG_LATER_TEXT
#undef CYG_AXES
};

static bool axes_are_attribute(cyg_op op, int opset)
{
    switch ((int)op) {
#define CYG_LATER(op, key, since, value)
#define CYG_LATER_TEXT(op, key, since, text)
#define CYG_AXES(op, since)                                                                        \
    case CYG_OP_##op:                                                                              \
        return opset < (since);
#include "onnx/export.def"
#undef CYG_LATER
#undef CYG_LATER_TEXT
#undef CYG_AXES
    default:
        return false;
    }
}

static void put_ints(cyg_exporter *x, const char *name, const int64_t *data, size_t count,
                     cyg_strbuf *out)
{
    cyg_strbuf *a = &x->scratch[0];
    cyg_proto_string(a, ATTR_NAME, name);
    for (size_t i = 0; i < count; i++)
        cyg_proto_int(a, ATTR_INTS, data[i]);
    cyg_proto_int(a, ATTR_TYPE, TYPE_INTS);
    cyg_proto_message(out, NODE_ATTRIBUTE, a);
}

static void put_int(cyg_exporter *x, const char *name, int64_t v, cyg_strbuf *out)
{
    cyg_strbuf *a = &x->scratch[0];
    cyg_proto_string(a, ATTR_NAME, name);
    cyg_proto_int(a, ATTR_I, v);
    cyg_proto_int(a, ATTR_TYPE, TYPE_INT);
    cyg_proto_message(out, NODE_ATTRIBUTE, a);
}

/* LSTM's activations: one text with blanks in the graph, several strings in a file. */
static void put_words(const char *text, cyg_strbuf *a)
{
    while (*text != '\0') {
        char word[32];
        const size_t length = strcspn(text, " "), room = sizeof word - 1;
        const size_t kept = length < room ? length : room; /* the longest has 15 letters */
        memcpy(word, text, kept);
        word[kept] = '\0';
        cyg_proto_string(a, ATTR_STRINGS, word);
        text += length + (text[length] == ' ');
    }
    cyg_proto_int(a, ATTR_TYPE, TYPE_STRINGS);
}

static void put_tensor(cyg_exporter *x, cyg_strbuf *a, cyg_value_id id)
{
    const cyg_value *v = cyg_val(x->g, id);
    cyg_strbuf *t = &x->scratch[1];
    cyg_export_tensor_head(v, "", v->rank, v->dims, t);
    if (v->bytes > 0)
        cyg_strbuf_add(t, v->data, v->bytes);
    cyg_proto_message(a, ATTR_T, t);
}

static void put_attr(cyg_exporter *x, const cyg_attr *attr, cyg_strbuf *out)
{
    const char *name = cyg_attr_key_name(attr->key);
    cyg_strbuf *a = &x->scratch[0];
    switch (attr->kind) {
    case CYG_KIND_INT:
        put_int(x, name, attr->u.i, out);
        return;
    case CYG_KIND_INTS:
        put_ints(x, name, attr->u.ints.data, attr->u.ints.count, out);
        return;
    case CYG_KIND_FLOAT:
        cyg_proto_string(a, ATTR_NAME, name);
        cyg_proto_float(a, ATTR_F, attr->u.f);
        cyg_proto_int(a, ATTR_TYPE, TYPE_FLOAT);
        break;
    case CYG_KIND_STRING:
        cyg_proto_string(a, ATTR_NAME, name);
        if (attr->key == CYG_ATTR_activations) {
            put_words(attr->u.s, a);
            break;
        }
        cyg_proto_string(a, ATTR_S, attr->u.s);
        cyg_proto_int(a, ATTR_TYPE, TYPE_STRING);
        break;
    case CYG_KIND_FLOATS:
        cyg_proto_string(a, ATTR_NAME, name);
        for (size_t i = 0; i < attr->u.floats.count; i++)
            cyg_proto_float(a, ATTR_FLOATS, attr->u.floats.data[i]);
        cyg_proto_int(a, ATTR_TYPE, TYPE_FLOATS);
        break;
    case CYG_KIND_TENSOR:
        cyg_proto_string(a, ATTR_NAME, name);
        put_tensor(x, a, attr->u.tensor);
        cyg_proto_int(a, ATTR_TYPE, TYPE_TENSOR);
        break;
    }
    cyg_proto_message(out, NODE_ATTRIBUTE, a);
}

static bool has_value(const cyg_attr *a, int64_t value, const char *text)
{
    if (a->kind == CYG_KIND_INT)
        return a->u.i == value;
    if (a->kind == CYG_KIND_STRING)
        return strcmp(a->u.s, text) == 0;
    if (a->kind != CYG_KIND_INTS)
        return false;
    for (size_t i = 0; i < a->u.ints.count; i++)
        if (a->u.ints.data[i] != value)
            return false;
    return true;
}

/* Is the attribute left out at this opset, and may it be? */
static cyg_status left_out(cyg_exporter *x, const cyg_node *n, const cyg_attr *a, bool *out)
{
    *out = n->op == CYG_OP_split && a->key == CYG_ATTR_num_outputs; /* put_split's matter */
    for (size_t i = 0; i < CYG_COUNT(later); i++) {
        if (later[i].op != n->op || later[i].key != a->key || x->opset >= later[i].since)
            continue;
        if (!has_value(a, later[i].value, later[i].text))
            return EXPORT_FAIL(x, n, "attribute %s exists from opset %d on",
                               cyg_attr_key_name(a->key), later[i].since);
        *out = true;
    }
    return CYG_OK;
}

/* Sizes, or num_outputs, or neither: by opset. */
static cyg_status put_split(cyg_exporter *x, const cyg_node *n, cyg_strbuf *out)
{
    if (!cyg_value_is_none(cyg_node_in(n, 1)))
        return CYG_OK;
    if (x->opset >= 18) {
        put_int(x, "num_outputs", n->out_count, out);
        return CYG_OK;
    }
    const cyg_value *v = cyg_val(x->g, n->in[0]);
    int64_t axis = cyg_node_int(n, CYG_ATTR_axis, 0);
    axis = axis < 0 && v->rank != CYG_RANK_UNKNOWN ? axis + v->rank : axis;
    if (v->rank == CYG_RANK_UNKNOWN || axis < 0 || axis >= v->rank || v->dims[axis] < 0 ||
        v->dims[axis] % n->out_count != 0)
        return EXPORT_FAIL(x, n, "%u parts are not known to be equal", n->out_count);
    return CYG_OK;
}

static cyg_status put_axes(cyg_exporter *x, const cyg_node *n, cyg_strbuf *out)
{
    const cyg_value_id id = cyg_node_in(n, 1);
    if (cyg_value_is_none(id))
        return CYG_OK;
    const cyg_value *v = cyg_val(x->g, id);
    int64_t axes[CYG_MAX_RANK];
    const int64_t count = cyg_value_elements(v);
    if (!v->is_const || v->type != CYG_TYPE_S64 || count > CYG_MAX_RANK)
        return EXPORT_FAIL(x, n, "axes are an attribute, %s is no small constant", v->name);
    for (int64_t i = 0; i < count; i++)
        axes[i] = cyg_load_i64((const char *)v->data + 8 * i);
    if (count > 0)
        put_ints(x, "axes", axes, (size_t)count, out);
    return CYG_OK;
}

cyg_status cyg_export_node(cyg_exporter *x, const cyg_node *n, cyg_strbuf *out)
{
    const cyg_op_schema *schema = cyg_op_schema_of(n->op);
    const bool axes = axes_are_attribute(n->op, x->opset);
    uint32_t in_count = axes && n->in_count > 1 ? 1 : n->in_count;
    while (in_count > 0 && cyg_value_is_none(n->in[in_count - 1]))
        in_count--;
    if (schema->domain[0] != '\0' || schema->since > x->opset)
        return EXPORT_FAIL(x, n, "the operator exists from opset %d on", schema->since);
    for (uint32_t i = 0; i < in_count; i++) {
        const cyg_value_id v = n->in[i];
        cyg_proto_string(out, NODE_INPUT, cyg_value_is_none(v) ? "" : cyg_val(x->g, v)->name);
        if (!cyg_value_is_none(v))
            x->needed[v.i] = true;
    }
    for (uint32_t i = 0; i < n->out_count; i++)
        cyg_proto_string(out, NODE_OUTPUT, cyg_val(x->g, n->out[i])->name);
    cyg_proto_string(out, NODE_NAME, n->name);
    cyg_proto_string(out, NODE_OP_TYPE, schema->onnx);
    if (axes)
        CYG_DO(put_axes(x, n, out));
    if (n->op == CYG_OP_split)
        CYG_DO(put_split(x, n, out));
    for (uint32_t i = 0; i < n->attr_count; i++) {
        bool skip;
        CYG_DO(left_out(x, n, &n->attrs[i], &skip));
        if (!skip)
            put_attr(x, &n->attrs[i], out);
    }
    return CYG_OK;
}
