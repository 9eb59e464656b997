/* One ONNX node becomes one node of the graph, in canonical form.
 *
 * Most operators need nothing but the tables: arity and attribute kinds from ops.def, moves from
 * attribute to input and defaults from upgrade.def. What is left is written out below: Constant (in
 * constant.c), Dropout, Softmax before opset 13, the zero point of QuantizeLinear, Split's number
 * of outputs.
 *
 * An attribute that no table knows is refused, not dropped: dropping it might change the meaning.
 * Outputs beyond those that Cygnet can provide (Dropout's mask, MaxPool's indices) are refused only
 * if somebody reads them, because exporters like to name outputs that nobody uses. A refused node
 * still defines its outputs, so that its readers do not cause a second message. */
#include "onnx/import.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "onnx/upgrade.h"

enum { MOST_MOVES = 8 };

typedef struct ports {
    cyg_value_id *in, *out;
    uint32_t in_count, out_count;
} ports;

const cyg_onnx_attr *cyg_onnx_call_attr(const cyg_onnx_call *call, const char *name)
{
    for (uint32_t i = 0; i < call->attr_count; i++)
        if (strcmp(call->attrs[i]->name, name) == 0)
            return call->attrs[i];
    return NULL;
}

cyg_status cyg_onnx_call_fail(const cyg_onnx_call *call, const char *fmt, ...)
{
    char text[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return CYG_FAIL(call->imp->ctx, CYG_E_GRAPH, "%s: %s \"%s\": %s", call->imp->path,
                    call->node->op_type, call->label, text);
}

static cyg_status define_outputs(const cyg_onnx_call *call)
{
    for (uint32_t i = 0; i < call->node->out_count; i++) {
        cyg_value_id v;
        if (call->node->out[i][0] != '\0')
            CYG_DO(
                cyg_onnx_scope_define(call->imp, call->scope, call->node->out[i], call->label, &v));
    }
    return CYG_OK;
}

cyg_status cyg_onnx_call_refuse(const cyg_onnx_call *call, const char *why)
{
    CYG_DO(cyg_onnx_refuse(call->imp, call->node->op_type, call->node->domain, call->label,
                           call->opset, why));
    return define_outputs(call);
}

cyg_status cyg_onnx_add_late(cyg_onnx_importer *imp, cyg_onnx_late_kind kind, cyg_node_id n)
{
    if (imp->late_count == imp->late_cap) {
        const uint32_t cap = imp->late_cap > 0 ? imp->late_cap * 2 : 16;
        cyg_onnx_late *more = CYG_NEW_ARRAY(&imp->scratch, cyg_onnx_late, cap);
        if (more == NULL)
            return CYG_ONNX_NOMEM(imp);
        if (imp->late_count > 0)
            memcpy(more, imp->lates, imp->late_count * sizeof *more);
        imp->lates = more;
        imp->late_cap = cap;
    }
    imp->lates[imp->late_count++] = (cyg_onnx_late){kind, n};
    return CYG_OK;
}

/* ---- attributes ------------------------------------------------------------------------------ */

static cyg_status expect_type(const cyg_onnx_call *call, const cyg_onnx_attr *attr,
                              cyg_onnx_attr_type want)
{
    if (attr->type == (int64_t)want)
        return CYG_OK;
    /* An empty list may have been written without a type. */
    if (attr->type == CYG_ONNX_ATTR_UNDEFINED && want == CYG_ONNX_ATTR_INTS)
        return CYG_OK;
    return cyg_onnx_call_fail(call, "attribute \"%s\": expected %s, found %s", attr->name,
                              cyg_onnx_attr_type_name(want), cyg_onnx_attr_type_name(attr->type));
}

static cyg_status set_string(const cyg_onnx_call *call, cyg_node_id n, cyg_attr_key key,
                             const cyg_onnx_attr *attr)
{
    if (attr->s.size > 0 && memchr(attr->s.data, 0, attr->s.size) != NULL)
        return cyg_onnx_call_fail(call, "attribute \"%s\": a zero byte inside the text",
                                  attr->name);
    const char *text =
        cyg_arena_strndup(&call->imp->scratch, (const char *)attr->s.data, attr->s.size);
    if (text == NULL || !cyg_node_set_string(call->imp->graph, n, key, text))
        return CYG_ONNX_NOMEM(call->imp);
    return CYG_OK;
}

static cyg_status set_attr(const cyg_onnx_call *call, cyg_node_id n, cyg_attr_key key,
                           cyg_attr_kind kind, const cyg_onnx_attr *attr)
{
    static const cyg_onnx_attr_type types[] = {
        [CYG_KIND_INT] = CYG_ONNX_ATTR_INT,       [CYG_KIND_FLOAT] = CYG_ONNX_ATTR_FLOAT,
        [CYG_KIND_STRING] = CYG_ONNX_ATTR_STRING, [CYG_KIND_INTS] = CYG_ONNX_ATTR_INTS,
        [CYG_KIND_FLOATS] = CYG_ONNX_ATTR_FLOATS, [CYG_KIND_TENSOR] = CYG_ONNX_ATTR_TENSOR};
    cyg_graph *g = call->imp->graph;
    bool ok = true;
    const bool joined = key == CYG_ATTR_activations && attr->type == CYG_ONNX_ATTR_STRINGS;
    CYG_DO(joined ? CYG_OK : expect_type(call, attr, types[kind]));
    switch (kind) {
    case CYG_KIND_INT:
        ok = cyg_node_set_int(g, n, key, attr->i);
        break;
    case CYG_KIND_FLOAT:
        ok = cyg_node_set_float(g, n, key, attr->f);
        break;
    case CYG_KIND_STRING:
        return set_string(call, n, key, attr);
    case CYG_KIND_INTS:
        ok = cyg_node_set_ints(g, n, key, attr->ints.data, attr->ints.count);
        break;
    case CYG_KIND_FLOATS:
        ok = cyg_node_set_floats(g, n, key, attr->floats.data, attr->floats.count);
        break;
    case CYG_KIND_TENSOR: {
        cyg_value_id v;
        const char *name = cyg_arena_printf(&call->imp->scratch, "%s.%s", call->name, attr->name);
        if (name == NULL)
            return CYG_ONNX_NOMEM(call->imp);
        CYG_DO(cyg_onnx_add_tensor(call->imp, name, attr->t, &v));
        ok = cyg_node_set_tensor(g, n, key, v);
        break;
    }
    }
    return ok ? CYG_OK : CYG_ONNX_NOMEM(call->imp);
}

static const cyg_op_attr_schema *find_schema(cyg_op op, const char *name)
{
    const cyg_op_schema *schema = cyg_op_schema_of(op);
    const cyg_attr_key key = cyg_attr_key_find(name);
    for (size_t i = 0; i < schema->attr_count; i++)
        if (schema->attrs[i].key == key)
            return &schema->attrs[i];
    return NULL;
}

/* Why an attribute keeps the node from being imported, or NULL. */
static const char *refused_attr(const cyg_onnx_call *call, cyg_op op, const cyg_onnx_attr *attr)
{
    const cyg_onnx_only *only = cyg_onnx_find_only(op, attr->name);
    const bool is_type =
        (op == CYG_OP_cast && strcmp(attr->name, "to") == 0) ||
        (op == CYG_OP_quantize_linear && strcmp(attr->name, "output_dtype") == 0 && attr->i != 0);
    if (is_type && attr->type == CYG_ONNX_ATTR_INT && cyg_type_from_onnx(attr->i) == CYG_TYPE_NONE)
        return "an element type that cygnet does not have";
    if (only != NULL)
        return only->any || (attr->type == CYG_ONNX_ATTR_INT && attr->i == only->value) ? NULL
                                                                                        : only->why;
    if (cyg_onnx_find_move(op, attr->name, call->opset) != NULL ||
        find_schema(op, attr->name) != NULL)
        return NULL;
    const char *why = cyg_arena_printf(&call->imp->scratch, "unknown attribute \"%s\"", attr->name);
    return why != NULL ? why : "unknown attribute";
}

static cyg_status set_attrs(const cyg_onnx_call *call, cyg_node_id n, cyg_op op)
{
    for (uint32_t i = 0; i < call->attr_count; i++) {
        const cyg_onnx_attr *attr = call->attrs[i];
        const cyg_op_attr_schema *schema = find_schema(op, attr->name);
        if (schema != NULL && cyg_onnx_find_move(op, attr->name, call->opset) == NULL)
            CYG_DO(set_attr(call, n, schema->key, schema->kind, attr));
    }
    const cyg_attr_key missing = cyg_onnx_set_defaults(call->imp->graph, n);
    if (missing != CYG_ATTR_COUNT)
        return cyg_onnx_call_fail(call, "attribute \"%s\" is missing", cyg_attr_key_name(missing));
    return CYG_OK;
}

/* ---- inputs and outputs ------------------------------------------------------------------------
 */

static cyg_status add_moved(const cyg_onnx_call *call, const cyg_onnx_attr *attr,
                            const cyg_onnx_move *move, cyg_value_id *out_value)
{
    cyg_graph *g = call->imp->graph;
    const char *name = cyg_arena_printf(&call->imp->scratch, "%s.%s", call->name, attr->name);
    if (name == NULL)
        return CYG_ONNX_NOMEM(call->imp);
    if (move->kind == CYG_KIND_INT) {
        const int64_t one = 1;
        CYG_DO(expect_type(call, attr, CYG_ONNX_ATTR_INT));
        *out_value = cyg_graph_add_const_copy(g, name, CYG_TYPE_S64, 1, &one, &attr->i, 8);
    } else if (move->kind == CYG_KIND_FLOATS) {
        CYG_DO(expect_type(call, attr, CYG_ONNX_ATTR_FLOATS));
        const int64_t count = (int64_t)attr->floats.count;
        *out_value = cyg_graph_add_const_copy(g, name, CYG_TYPE_F32, 1, &count,
                                              count > 0 ? attr->floats.data : "",
                                              attr->floats.count * sizeof(float));
    } else if (move->kind == CYG_KIND_INTS) {
        CYG_DO(expect_type(call, attr, CYG_ONNX_ATTR_INTS));
        const int64_t count = (int64_t)attr->ints.count;
        *out_value = cyg_graph_add_const_copy(g, name, CYG_TYPE_S64, 1, &count,
                                              count > 0 ? attr->ints.data : "",
                                              attr->ints.count * sizeof(int64_t));
    } else {
        CYG_DO(expect_type(call, attr, CYG_ONNX_ATTR_FLOAT));
        *out_value =
            cyg_graph_add_const_copy(g, name, CYG_TYPE_F32, 0, NULL, &attr->f, sizeof attr->f);
    }
    return cyg_value_is_none(*out_value) ? CYG_ONNX_NOMEM(call->imp) : CYG_OK;
}

static cyg_status check_arity(const cyg_onnx_call *call, const cyg_op_schema *schema,
                              const ports *p)
{
    if (schema->max_in >= 0 && p->in_count > (uint32_t)schema->max_in)
        return cyg_onnx_call_fail(call, "expected at most %d inputs, found %u", schema->max_in,
                                  p->in_count);
    const uint32_t needed = schema->max_in < 0 && p->in_count > (uint32_t)schema->min_in
                                ? p->in_count
                                : (uint32_t)schema->min_in;
    for (uint32_t i = 0; i < needed; i++)
        if (i >= p->in_count || cyg_value_is_none(p->in[i]))
            return cyg_onnx_call_fail(call, "input %u is missing, expected at least %d", i,
                                      schema->min_in);
    return CYG_OK;
}

static cyg_status gather_inputs(const cyg_onnx_call *call, cyg_op op, ports *p)
{
    const cyg_onnx_node *node = call->node;
    p->in = CYG_NEW_ARRAY(&call->imp->scratch, cyg_value_id, (size_t)node->in_count + MOST_MOVES);
    if (p->in == NULL)
        return CYG_ONNX_NOMEM(call->imp);
    for (uint32_t i = 0; i < node->in_count; i++)
        CYG_DO(cyg_onnx_scope_use(call->imp, call->scope, node->in[i], call->label, &p->in[i]));
    p->in_count = node->in_count;
    for (uint32_t i = 0; i < call->attr_count; i++) {
        const cyg_onnx_move *move = cyg_onnx_find_move(op, call->attrs[i]->name, call->opset);
        if (move == NULL)
            continue;
        while (p->in_count <= move->input)
            p->in[p->in_count++] = CYG_NO_VALUE;
        if (!cyg_value_is_none(p->in[move->input]))
            return cyg_onnx_call_fail(call, "both attribute \"%s\" and input %u are given",
                                      move->attr, move->input);
        CYG_DO(add_moved(call, call->attrs[i], move, &p->in[move->input]));
    }
    /* Before opset 11 there was no region of interest: scales were input 1. */
    if (op == CYG_OP_resize && call->opset < 11 && p->in_count == 2) {
        p->in[2] = p->in[1];
        p->in[1] = CYG_NO_VALUE;
        p->in_count = 3;
    }
    while (p->in_count > 0 && cyg_value_is_none(p->in[p->in_count - 1]))
        p->in_count--;
    return check_arity(call, cyg_op_schema_of(op), p);
}

/* Outputs that the canonical operator does not have: made of other nodes, or an error, only for who
 * reads them. */
static cyg_status refuse_outputs(const cyg_onnx_call *call, cyg_node_id n, uint32_t from)
{
    for (uint32_t i = from; i < call->node->out_count; i++) {
        if (call->node->out[i][0] == '\0')
            continue;
        cyg_onnx_entry *e = cyg_onnx_scope_entry(call->imp, call->scope, call->node->out[i]);
        if (e == NULL)
            return CYG_ONNX_NOMEM(call->imp);
        if (e->defined)
            return cyg_onnx_call_fail(call, "output \"%s\" is defined already", e->name);
        e->defined = true; /* its value is made if somebody asks for it */
        const char *why = cyg_arena_printf(&call->imp->scratch, "its output %u, \"%s\", is used", i,
                                           call->node->out[i]);
        if (why == NULL)
            return CYG_ONNX_NOMEM(call->imp);
        e->refused_op = call->node->op_type;
        e->refused_node = call->label;
        e->refused_why = why;
        e->refused_opset = call->opset;
        if (cyg_onnx_makes_output(cyg_nod(call->imp->graph, n)->op, call->opset, i)) {
            e->maker = n;
            e->maker_output = i;
        }
    }
    return CYG_OK;
}

static cyg_status gather_outputs(const cyg_onnx_call *call, cyg_op op, ports *p)
{
    const cyg_op_schema *schema = cyg_op_schema_of(op);
    const cyg_onnx_node *node = call->node;
    if (node->out_count < (uint32_t)schema->min_out)
        return cyg_onnx_call_fail(call, "expected at least %d outputs, found %u", schema->min_out,
                                  node->out_count);
    p->out_count = node->out_count;
    if (schema->max_out >= 0 && p->out_count > (uint32_t)schema->max_out)
        p->out_count = (uint32_t)schema->max_out;
    p->out = CYG_NEW_ARRAY(&call->imp->scratch, cyg_value_id, p->out_count);
    if (p->out == NULL)
        return CYG_ONNX_NOMEM(call->imp);
    for (uint32_t i = 0; i < p->out_count; i++) {
        if (node->out[i][0] != '\0') {
            CYG_DO(cyg_onnx_scope_define(call->imp, call->scope, node->out[i], call->label,
                                         &p->out[i]));
            continue;
        }
        p->out[i] =
            cyg_graph_add_value(call->imp->graph, NULL, CYG_TYPE_NONE, CYG_RANK_UNKNOWN, NULL);
        if (cyg_value_is_none(p->out[i]))
            return CYG_ONNX_NOMEM(call->imp);
    }
    return CYG_OK;
}

static cyg_status add_node(cyg_onnx_call *call, cyg_op op, const ports *p, cyg_node_id *out_node)
{
    cyg_graph *g = call->imp->graph;
    *out_node = cyg_graph_add_node(g, CYG_NO_NODE, op, call->name, p->in, p->in_count, p->out,
                                   p->out_count);
    if (cyg_node_is_none(*out_node))
        return CYG_ONNX_NOMEM(call->imp);
    cyg_node_add_source(g, *out_node, cyg_graph_add_source(g, call->name, call->node->op_type));
    return CYG_OK;
}

/* ---- operators with a rule of their own --------------------------------------------------------
 */

/* Inference: the first output is the first input. */
static cyg_status emit_dropout(cyg_onnx_call *call)
{
    cyg_onnx_importer *imp = call->imp;
    const cyg_onnx_node *node = call->node;
    cyg_value_id in = CYG_NO_VALUE, mode = CYG_NO_VALUE, out;
    cyg_node_id n;
    if (node->in_count < 1 || node->in[0][0] == '\0' || node->out_count < 1)
        return cyg_onnx_call_fail(call, "expected an input and an output");
    CYG_DO(cyg_onnx_scope_use(imp, call->scope, node->in[0], call->label, &in));
    if (node->in_count > 2)
        CYG_DO(cyg_onnx_scope_use(imp, call->scope, node->in[2], call->label, &mode));
    if (!cyg_value_is_none(mode)) {
        const cyg_value *m = cyg_val(imp->graph, mode);
        if (m->data == NULL || m->bytes != 1 || *(const uint8_t *)m->data != 0)
            return cyg_onnx_call_refuse(call, "training mode");
    }
    CYG_DO(cyg_onnx_scope_define(imp, call->scope, node->out[0], call->label, &out));
    CYG_DO(add_node(call, CYG_OP_identity, &(ports){&in, &out, 1, 1}, &n));
    return refuse_outputs(call, n, 1);
}

/* QuantizeLinear of opset 21 may state its type by output_dtype instead of by a zero point: makes
 * the zero point. */
static cyg_status make_zero_point(const cyg_onnx_call *call, ports *p)
{
    const cyg_onnx_attr *attr = cyg_onnx_call_attr(call, "output_dtype");
    if (attr == NULL || attr->i == 0 || p->in_count > 2)
        return CYG_OK;
    cyg_graph *g = call->imp->graph;
    const cyg_value scale = *cyg_val(g, p->in[1]);
    const cyg_type type = cyg_type_from_onnx(attr->i);
    p->in_count = 3;
    if (!scale.is_const)
        return cyg_onnx_make_zeros(call, p->in[1], type, &p->in[2]);
    const size_t bytes = (size_t)cyg_value_elements(&scale) * cyg_type_size(type);
    void *zeros = cyg_arena_zalloc(&g->arena, bytes + 1, 64);
    if (zeros == NULL)
        return CYG_ONNX_NOMEM(call->imp);
    p->in[2] = cyg_graph_add_const(g, NULL, type, scale.rank, scale.dims, zeros, bytes);
    return cyg_value_is_none(p->in[2]) ? CYG_ONNX_NOMEM(call->imp) : CYG_OK;
}

/* What shows only once the inputs are known; NULL = fine. */
static const char *refused_inputs(const cyg_onnx_call *call, cyg_op op, const ports *p)
{
    if (op == CYG_OP_conv) {
        const cyg_value *w = cyg_val(call->imp->graph, p->in[1]);
        if (w->rank != CYG_RANK_UNKNOWN && w->rank > 5)
            return "more than three spatial dimensions";
    }
    if (op == CYG_OP_quantize_linear && p->in_count > 2 &&
        cyg_onnx_is_four_bits(call->imp, p->in[2]))
        return "activations of 4 bits; weights of 4 bits are read";
    return NULL;
}

/* GridSample's modes before opset 20, when there were two dimensions only. */
static cyg_status modern_mode(const cyg_onnx_call *call, cyg_node_id n)
{
    cyg_graph *g = call->imp->graph;
    const char *mode = cyg_node_string(cyg_nod(g, n), CYG_ATTR_mode, "linear");
    const char *now = strcmp(mode, "bilinear") == 0  ? "linear"
                      : strcmp(mode, "bicubic") == 0 ? "cubic"
                                                     : NULL;
    return now == NULL || cyg_node_set_string(g, n, CYG_ATTR_mode, now) ? CYG_OK
                                                                        : CYG_ONNX_NOMEM(call->imp);
}

/* What the tables cannot say; runs once the node stands. */
static cyg_status finish_node(const cyg_onnx_call *call, cyg_node_id n)
{
    cyg_onnx_importer *imp = call->imp;
    const cyg_node *node = cyg_nod(imp->graph, n);
    switch ((int)node->op) {
    case CYG_OP_softmax:
    case CYG_OP_log_softmax:
        if (call->opset < 13 && cyg_node_int(node, CYG_ATTR_axis, -1) != -1)
            return cyg_onnx_add_late(imp, CYG_ONNX_LATE_SOFTMAX, n);
        return CYG_OK;
    case CYG_OP_grid_sample:
        return modern_mode(call, n);
    case CYG_OP_clip:
    case CYG_OP_pad:
        return call->opset < 11 ? cyg_onnx_add_late(imp, CYG_ONNX_LATE_SAME_TYPE, n) : CYG_OK;
    case CYG_OP_split:
        if (node->in_count < 2) {
            const int64_t count = cyg_node_int(node, CYG_ATTR_num_outputs, node->out_count);
            if (count != node->out_count)
                return cyg_onnx_call_fail(call, "num_outputs is %lld, found %u outputs",
                                          (long long)count, node->out_count);
            if (!cyg_node_set_int(imp->graph, n, CYG_ATTR_num_outputs, count))
                return CYG_ONNX_NOMEM(imp);
        }
        return CYG_OK;
    case CYG_OP_constant_of_shape:
        if (cyg_node_attr(node, CYG_ATTR_value) == NULL) {
            static const float zero = 0.0f;
            static const int64_t one = 1;
            const cyg_value_id v = cyg_graph_add_const_copy(imp->graph, NULL, CYG_TYPE_F32, 1, &one,
                                                            &zero, sizeof zero);
            if (cyg_value_is_none(v) || !cyg_node_set_tensor(imp->graph, n, CYG_ATTR_value, v))
                return CYG_ONNX_NOMEM(imp);
        }
        return CYG_OK;
    case CYG_OP_conv:
    case CYG_OP_max_pool:
    case CYG_OP_average_pool:
        return cyg_onnx_fill_window(imp, n);
    default:
        return CYG_OK;
    }
}

static cyg_status emit_batch_training(cyg_onnx_call *call, const ports *p)
{
    const cyg_onnx_node *node = call->node;
    cyg_value_id out[3] = {CYG_NO_VALUE, CYG_NO_VALUE, CYG_NO_VALUE};
    if (node->out_count < 1 || node->out_count > 3 || node->out[0][0] == '\0')
        return cyg_onnx_call_fail(call, "expected 1 to 3 outputs, found %u", node->out_count);
    for (uint32_t i = 0; i < node->out_count; i++)
        if (node->out[i][0] != '\0')
            CYG_DO(
                cyg_onnx_scope_define(call->imp, call->scope, node->out[i], call->label, &out[i]));
    const cyg_onnx_attr *epsilon = cyg_onnx_call_attr(call, "epsilon"),
                        *momentum = cyg_onnx_call_attr(call, "momentum");
    if (epsilon != NULL)
        CYG_DO(expect_type(call, epsilon, CYG_ONNX_ATTR_FLOAT));
    if (momentum != NULL)
        CYG_DO(expect_type(call, momentum, CYG_ONNX_ATTR_FLOAT));
    return cyg_onnx_emit_batch_training(call, p->in, out);
}

static bool is_batch_training(const cyg_onnx_call *call, cyg_op op)
{
    const cyg_onnx_attr *mode = cyg_onnx_call_attr(call, "training_mode");
    return op == CYG_OP_batch_normalization && mode != NULL && mode->i != 0;
}

/* Defaults that were others once; set first, so that today's do not apply. */
static bool set_old_defaults(const cyg_onnx_call *call, cyg_node_id n, cyg_op op)
{
    cyg_graph *g = call->imp->graph;
    switch ((int)op) {
    case CYG_OP_softmax:
    case CYG_OP_log_softmax:
        return call->opset >= 13 || cyg_node_set_int(g, n, CYG_ATTR_axis, 1);
    case CYG_OP_resize: /* opset 10 and Upsample knew one way only */
        return call->opset >= 11 ||
               (cyg_node_set_string(g, n, CYG_ATTR_coordinate_transformation_mode, "asymmetric") &&
                cyg_node_set_string(g, n, CYG_ATTR_nearest_mode, "floor"));
    case CYG_OP_roi_align:
        return call->opset >= 16 ||
               cyg_node_set_string(g, n, CYG_ATTR_coordinate_transformation_mode,
                                   "output_half_pixel");
    default:
        return true;
    }
}

static cyg_status emit_by_tables(cyg_onnx_call *call, cyg_op op)
{
    ports p = {0};
    cyg_node_id n;
    for (uint32_t i = 0; i < call->attr_count; i++) {
        const char *why = refused_attr(call, op, call->attrs[i]);
        if (why != NULL)
            return cyg_onnx_call_refuse(call, why);
    }
    CYG_DO(gather_inputs(call, op, &p));
    const char *why = refused_inputs(call, op, &p);
    if (why != NULL)
        return cyg_onnx_call_refuse(call, why);
    if (is_batch_training(call, op))
        return emit_batch_training(call, &p);
    if (op == CYG_OP_quantize_linear)
        CYG_DO(make_zero_point(call, &p));
    CYG_DO(gather_outputs(call, op, &p));
    CYG_DO(add_node(call, op, &p, &n));
    CYG_DO(refuse_outputs(call, n, p.out_count));
    if (!set_old_defaults(call, n, op))
        return CYG_ONNX_NOMEM(call->imp);
    CYG_DO(set_attrs(call, n, op));
    return finish_node(call, n);
}

/* Why the operator as such is refused, or NULL. */
static const char *refused_op(const cyg_onnx_call *call, cyg_op op)
{
    static const char *const flow[] = {"If", "Loop", "Scan", "SequenceMap"};
    const char *type = call->node->op_type;
    const bool standard = call->node->domain[0] == '\0';
    for (size_t i = 0; standard && i < CYG_COUNT(flow); i++)
        if (strcmp(type, flow[i]) == 0)
            return "control flow";
    /* What ONNX Runtime fuses whole blocks of a model to when it quantises. */
    static const char *const blocks[] = {"QAttention", "QEmbedLayerNormalization",
                                         "DynamicQuantizeLSTM"};
    for (size_t i = 0; op == CYG_OP_COUNT && i < CYG_COUNT(blocks); i++)
        if (strcmp(type, blocks[i]) == 0)
            return "unknown to cygnet: quantise in QDQ format, or let cygnet quantise the float "
                   "model";
    if (op == CYG_OP_COUNT)
        return "unknown to cygnet: `cygnet ops` lists what is known";
    if (call->opset > CYG_ONNX_OPSET_MAX || call->opset < CYG_ONNX_OPSET_MIN)
        return "opset 7 to 22 is supported";
    if (call->opset < cyg_onnx_first_opset(op))
        return "not in this opset of ONNX";
    return NULL;
}

/* ONNX Runtime's own QuantizeLinear and DequantizeLinear mean the standard ones and had 16 bits
 * before these; export writes them too. */
static bool is_exchange(const cyg_onnx_node *node)
{
    const cyg_op op = cyg_op_find("", node->op_type);
    return strcmp(node->domain, "com.microsoft") == 0 && op != CYG_OP_COUNT &&
           (cyg_op_schema_of(op)->flags & CYG_OPF_QDQ) != 0;
}

cyg_status cyg_onnx_emit(cyg_onnx_call *call)
{
    const char *type = call->node->op_type;
    const bool standard = call->node->domain[0] == '\0' || is_exchange(call->node);
    const bool qlinear = cyg_onnx_is_qlinear(call->node);
    if (is_exchange(call->node) || qlinear)
        call->opset = cyg_onnx_opset_of(call->imp, call->scope, "");
    if ((standard || qlinear) && call->opset == 0)
        return cyg_onnx_call_fail(call, "the file states no version of the standard operators");
    if (qlinear)
        return cyg_onnx_emit_qlinear(call);
    if (standard && strcmp(type, "Constant") == 0)
        return cyg_onnx_emit_constant(call);
    if (standard && strcmp(type, "Dropout") == 0)
        return emit_dropout(call);
    const cyg_op op = standard ? cyg_onnx_find_op(type, call->opset) : CYG_OP_COUNT;
    const char *why = refused_op(call, op);
    return why != NULL ? cyg_onnx_call_refuse(call, why) : emit_by_tables(call, op);
}
