/* The Constant operator: no node, only a value.
 *
 * It may say what it is in seven ways; a number or a list of numbers is as good as a tensor. Its
 * output may have been mentioned by an earlier node in a file that is not sorted, so the value that
 * exists already is turned into a constant. Strings and sparse tensors are refused. */
#include "onnx/import.h"

#include <string.h>

/* The constant as a tensor; refused ones carry the reason. */
static cyg_status read_value(cyg_onnx_call *call, const cyg_onnx_attr *attr, cyg_onnx_tensor *t)
{
    static const struct {
        const char *name;
        cyg_onnx_attr_type type;
    } forms[] = {
        {"value", CYG_ONNX_ATTR_TENSOR},          {"value_int", CYG_ONNX_ATTR_INT},
        {"value_ints", CYG_ONNX_ATTR_INTS},       {"value_float", CYG_ONNX_ATTR_FLOAT},
        {"value_floats", CYG_ONNX_ATTR_FLOATS},   {"value_string", CYG_ONNX_ATTR_STRING},
        {"value_strings", CYG_ONNX_ATTR_STRINGS}, {"sparse_value", CYG_ONNX_ATTR_SPARSE_TENSOR}};
    size_t form = 0;
    while (form < CYG_COUNT(forms) && strcmp(forms[form].name, attr->name) != 0)
        form++;
    if (form == CYG_COUNT(forms))
        return cyg_onnx_call_fail(call, "attribute \"%s\" is unknown", attr->name);
    if (attr->type != (int64_t)forms[form].type)
        return cyg_onnx_call_fail(call, "attribute \"%s\": expected %s, found %s", attr->name,
                                  cyg_onnx_attr_type_name(forms[form].type),
                                  cyg_onnx_attr_type_name(attr->type));
    *t = (cyg_onnx_tensor){.name = call->label, .type = CYG_TYPE_S64, .rank = 0};
    switch ((int)attr->type) {
    case CYG_ONNX_ATTR_TENSOR:
        return cyg_onnx_read_tensor(call->imp, attr->t, call->label, t);
    case CYG_ONNX_ATTR_INT:
        t->data = &attr->i;
        t->bytes = sizeof attr->i;
        return CYG_OK;
    case CYG_ONNX_ATTR_FLOAT:
        t->type = CYG_TYPE_F32;
        t->data = &attr->f;
        t->bytes = sizeof attr->f;
        return CYG_OK;
    case CYG_ONNX_ATTR_INTS:
    case CYG_ONNX_ATTR_FLOATS: {
        const bool ints = attr->type == CYG_ONNX_ATTR_INTS;
        const cyg_wire_array *list = ints ? &attr->ints : &attr->floats;
        t->type = ints ? CYG_TYPE_S64 : CYG_TYPE_F32;
        t->rank = 1;
        t->dims[0] = (int64_t)list->count;
        t->data = list->count > 0 ? list->data : &cyg_onnx_nothing;
        t->bytes = list->count * (ints ? sizeof(int64_t) : sizeof(float));
        return CYG_OK;
    }
    case CYG_ONNX_ATTR_SPARSE_TENSOR:
        t->refused = "a sparse tensor";
        return CYG_OK;
    default:
        t->refused = "a string";
        return CYG_OK;
    }
}

cyg_status cyg_onnx_emit_constant(cyg_onnx_call *call)
{
    cyg_onnx_importer *imp = call->imp;
    if (call->attr_count != 1 || call->node->out_count != 1 || call->node->in_count != 0)
        return cyg_onnx_call_fail(call, "expected one attribute and one output, found %u and %u",
                                  call->attr_count, call->node->out_count);
    cyg_onnx_tensor t;
    CYG_DO(read_value(call, call->attrs[0], &t));
    if (t.refused != NULL)
        return cyg_onnx_call_refuse(call, t.refused);
    /* Numbers sit in the decoded file, which is forgotten; tensors are the graph's already. */
    if (call->attrs[0]->type != CYG_ONNX_ATTR_TENSOR && t.bytes > 0) {
        void *copy = cyg_arena_alloc(&imp->graph->arena, t.bytes, 64);
        if (copy == NULL)
            return CYG_ONNX_NOMEM(imp);
        memcpy(copy, t.data, t.bytes);
        t.data = copy;
    }
    if (call->node->out[0][0] == '\0')
        return CYG_OK;
    cyg_value_id id;
    CYG_DO(cyg_onnx_scope_define(imp, call->scope, call->node->out[0], call->label, &id));
    cyg_value *v = cyg_val(imp->graph, id);
    v->type = t.type;
    v->rank = (uint8_t)t.rank;
    memcpy(v->dims, t.dims, sizeof v->dims);
    cyg_graph_make_const(imp->graph, id, t.data, t.bytes);
    return CYG_OK;
}
