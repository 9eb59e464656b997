/* Which tests are ours, by rule:
 *
 *   - every operator, once model-local functions are opened, is a row of ops.def (under its name of
 *     the opset), of qlinear.def or on the AX650's list; so is Dropout, which import makes go away,
 *     unless it is told a training mode: then it draws random numbers;
 *   - everything that flows is a dense tensor;
 *   - its element type is one that Cygnet has (base/types.def): bool, integers of 8 to 64 bits,
 *     float16, bfloat16, float32, float64;
 *   - the opset is 7 to 22;
 *   - it is no AveragePool with both ceil_mode and count_include_pad: the reference that wrote the
 *     stored answers counted places beyond the padding too. ONNX 1.18 put that right, and ONNX
 *     Runtime gives the corrected answer;
 *   - it is no QLinearMatMul with an int8 result: the stored answers wrap round where the result
 * has to saturate (-236 is 20 there), as ONNX Runtime does.
 *
 * The rule looks at the file alone and knows nothing of what import or the kernels can do: what
 * they refuse of the above counts as failed. */
#include <stdio.h>
#include <string.h>

#include "node_test.h"
#include "onnx/upgrade.h"

typedef struct scope {
    node_file file;
    int opset;       /* 0 = none stated */
    bool gives_int8; /* the first result of the model */
    char *what;
} scope;

static node_outcome out(const scope *s, node_outcome outcome, const char *what)
{
    snprintf(s->what, NODE_TEXT, "%s", what);
    return outcome;
}

static bool is_ours(const cyg_onnx_node *node, int opset)
{
    if (node->domain[0] != '\0')
        return false;
    if (cyg_onnx_is_qlinear(node))
        return true;
    if (cyg_onnx_find_op(node->op_type, opset) != CYG_OP_COUNT)
        return true;
    if (strcmp(node->op_type, "Dropout") == 0)
        return node->in_count < 3 || node->in[2][0] == '\0';
    for (size_t i = 0; cyg_op_elsewhere_at(i) != NULL; i++)
        if (strcmp(cyg_op_elsewhere_at(i)->onnx, node->op_type) == 0)
            return true;
    return false;
}

static node_outcome look_at_tensor(scope *s, cyg_span bytes)
{
    cyg_onnx_tensor t;
    if (cyg_onnx_read_tensor(&s->file.imp, bytes, "tensor", &t) != CYG_OK)
        return NODE_PASSED; /* damaged: import's business */
    return t.refused != NULL ? out(s, NODE_OUT_TYPE, t.refused) : NODE_PASSED;
}

static bool is_set(const cyg_onnx_node *node, const char *attr)
{
    for (uint32_t i = 0; i < node->attr_count; i++)
        if (strcmp(node->attrs[i].name, attr) == 0)
            return node->attrs[i].i != 0;
    return false;
}

static node_outcome look_at_attr(scope *s, const cyg_onnx_node *node, const cyg_onnx_attr *attr)
{
    switch ((int)attr->type) {
    case CYG_ONNX_ATTR_TENSOR:
        return look_at_tensor(s, attr->t);
    case CYG_ONNX_ATTR_SPARSE_TENSOR:
        return out(s, NODE_OUT_FORM, "a sparse tensor");
    case CYG_ONNX_ATTR_STRINGS:
        return strcmp(node->op_type, "Constant") == 0 ? out(s, NODE_OUT_TYPE, "string")
                                                      : NODE_PASSED;
    case CYG_ONNX_ATTR_INT:
        if ((strcmp(attr->name, "to") == 0 || strcmp(attr->name, "output_dtype") == 0) &&
            attr->i != 0 && cyg_type_from_onnx(attr->i) == CYG_TYPE_NONE)
            return out(s, NODE_OUT_TYPE, "a target type");
        return NODE_PASSED;
    default:
        return NODE_PASSED;
    }
}

static const cyg_onnx_function *function_of(const cyg_onnx_model *m, const cyg_onnx_node *node)
{
    for (uint32_t i = 0; i < m->function_count; i++)
        if (strcmp(m->functions[i].name, node->op_type) == 0 &&
            strcmp(m->functions[i].domain, node->domain) == 0)
            return &m->functions[i];
    return NULL;
}

static node_outcome look_at_nodes(scope *s, const cyg_onnx_node *nodes, uint32_t count, int depth)
{
    for (uint32_t i = 0; i < count; i++) {
        const cyg_onnx_node *node = &nodes[i];
        const cyg_onnx_function *fn = function_of(&s->file.imp.model, node);
        if (fn != NULL && depth < CYG_ONNX_MAX_CALL_DEPTH) {
            const node_outcome inner = look_at_nodes(s, fn->nodes, fn->node_count, depth + 1);
            if (inner != NODE_PASSED)
                return inner;
        } else if (!is_ours(node, s->opset)) {
            return out(s, NODE_OUT_OPERATOR, node->op_type);
        }
        if (strcmp(node->op_type, "QLinearMatMul") == 0 && s->gives_int8)
            return out(s, NODE_OUT_ANSWER, node->op_type);
        if (strcmp(node->op_type, "AveragePool") == 0 && is_set(node, "ceil_mode") &&
            is_set(node, "count_include_pad"))
            return out(s, NODE_OUT_ANSWER, node->op_type);
        for (uint32_t k = 0; k < node->attr_count; k++) {
            const node_outcome o = look_at_attr(s, node, &node->attrs[k]);
            if (o != NODE_PASSED)
                return o;
        }
    }
    return NODE_PASSED;
}

static node_outcome look_at_infos(scope *s, const cyg_onnx_value_info *infos, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (infos[i].foreign != NULL)
            return out(s, NODE_OUT_FORM, infos[i].foreign);
        if (infos[i].elem_type != 0 && cyg_type_from_onnx(infos[i].elem_type) == CYG_TYPE_NONE)
            return out(s, NODE_OUT_TYPE, infos[i].name);
    }
    return NODE_PASSED;
}

static node_outcome look_at_opset(const scope *s)
{
    char text[32];
    snprintf(text, sizeof text, "opset %d", s->opset);
    return s->opset != 0 && (s->opset < CYG_ONNX_OPSET_MIN || s->opset > CYG_ONNX_OPSET_MAX)
               ? out(s, NODE_OUT_OPSET, text)
               : NODE_PASSED;
}

static node_outcome look_at_model(scope *s)
{
    const cyg_onnx_graph *g = &s->file.imp.model.graph;
    const cyg_onnx_scope top = {.prefix = ""};
    s->opset = cyg_onnx_opset_of(&s->file.imp, &top, "");
    s->gives_int8 =
        g->output_count > 0 && cyg_type_from_onnx(g->outputs[0].elem_type) == CYG_TYPE_S8;
    node_outcome o = look_at_nodes(s, g->nodes, g->node_count, 0);
    if (o == NODE_PASSED)
        o = look_at_infos(s, g->inputs, g->input_count);
    if (o == NODE_PASSED)
        o = look_at_infos(s, g->outputs, g->output_count);
    for (uint32_t i = 0; o == NODE_PASSED && i < g->initializer_count; i++)
        o = look_at_tensor(s, g->initializers[i].bytes);
    if (o == NODE_PASSED && g->sparse_count > 0)
        o = out(s, NODE_OUT_FORM, "a sparse initialiser");
    return o == NODE_PASSED ? look_at_opset(s) : o;
}

node_outcome node_scope(cyg_ctx *ctx, const char *model, char what[NODE_TEXT])
{
    scope s = {.what = what};
    node_outcome o = NODE_PASSED;
    if (node_file_open(ctx, model, &s.file) != CYG_OK)
        return o;
    cyg_onnx_importer *imp = &s.file.imp;
    if (cyg_onnx_decode(ctx, model, imp->file, false, &imp->scratch, &imp->model) == CYG_OK)
        o = look_at_model(&s);
    cyg_ctx_clear(ctx);
    node_file_close(&s.file);
    return o;
}
