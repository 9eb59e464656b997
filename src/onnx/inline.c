/* Walks nodes in file order and opens calls of model-local functions where they stand.
 *
 * A call gets a scope of its own: formal inputs are the caller's values, formal outputs are the
 * values that the caller names, everything else gets the prefix "<call>/". Attributes of the call,
 * completed by the function's defaults, are what references (ref_attr_name) inside the body see;
 * a reference to an attribute that the call does not give is as if the attribute were not there.
 * A function brings its own operator set versions. Functions that nobody calls are never looked at,
 * so what they contain cannot make a model unsupported.
 *
 * ONNX forbids recursion; a file may hold it all the same. The chain of callers is searched, depth
 * is bounded, and so is the number of nodes after expansion: thirty functions that call each other
 * twice are a small file and 2^30 nodes. */
#include "onnx/import.h"

#include <string.h>

static const cyg_onnx_function *find_function(const cyg_onnx_importer *imp,
                                              const cyg_onnx_node *node)
{
    for (uint32_t i = 0; i < imp->model.function_count; i++) {
        const cyg_onnx_function *fn = &imp->model.functions[i];
        if (strcmp(fn->name, node->op_type) == 0 && strcmp(fn->domain, node->domain) == 0 &&
            strcmp(fn->overload, node->overload) == 0)
            return fn;
    }
    return NULL;
}

static int opset_in(const cyg_onnx_opset *opsets, uint32_t count, const char *domain)
{
    for (uint32_t i = 0; i < count; i++)
        if (strcmp(opsets[i].domain, domain) == 0)
            return opsets[i].version > 0 && opsets[i].version < 1000000 ? (int)opsets[i].version
                                                                        : 0;
    return 0;
}

int cyg_onnx_opset_of(const cyg_onnx_importer *imp, const cyg_onnx_scope *s, const char *domain)
{
    int version = 0;
    if (s->function != NULL)
        version = opset_in(s->function->opsets, s->function->opset_count, domain);
    return version > 0 ? version : opset_in(imp->model.opsets, imp->model.opset_count, domain);
}

static const cyg_onnx_attr *find_attr(const cyg_onnx_attr *const *attrs, uint32_t count,
                                      const char *name)
{
    for (uint32_t i = 0; i < count; i++)
        if (strcmp(attrs[i]->name, name) == 0)
            return attrs[i];
    return NULL;
}

/* The node's attributes as its scope sees them: own values, or the caller's for references. */
static cyg_status resolve_attrs(cyg_onnx_call *call)
{
    cyg_onnx_importer *imp = call->imp;
    const cyg_onnx_node *node = call->node;
    if (node->attr_count == 0)
        return CYG_OK;
    call->attrs = CYG_NEW_ARRAY(&imp->scratch, const cyg_onnx_attr *, node->attr_count);
    if (call->attrs == NULL)
        return CYG_ONNX_NOMEM(imp);
    for (uint32_t i = 0; i < node->attr_count; i++) {
        const cyg_onnx_attr *attr = &node->attrs[i];
        if (find_attr(call->attrs, call->attr_count, attr->name) != NULL)
            return cyg_onnx_call_fail(call, "attribute \"%s\" is given twice", attr->name);
        if (attr->ref != NULL) {
            const cyg_onnx_attr *arg =
                find_attr(call->scope->args, call->scope->arg_count, attr->ref);
            if (arg == NULL)
                continue;
            cyg_onnx_attr *copy = cyg_arena_memdup(&imp->scratch, arg, sizeof *arg);
            if (copy == NULL)
                return CYG_ONNX_NOMEM(imp);
            copy->name = attr->name;
            attr = copy;
        }
        call->attrs[call->attr_count++] = attr;
    }
    return CYG_OK;
}

/* The call's attributes and, after them, the defaults that it does not override. */
static cyg_status bind_args(cyg_onnx_call *call, cyg_onnx_scope *inner)
{
    cyg_onnx_importer *imp = call->imp;
    const cyg_onnx_function *fn = inner->function;
    const size_t most = (size_t)call->attr_count + fn->default_count;
    const cyg_onnx_attr **args = CYG_NEW_ARRAY(&imp->scratch, const cyg_onnx_attr *, most + 1);
    if (args == NULL)
        return CYG_ONNX_NOMEM(imp);
    uint32_t count = 0;
    for (; count < call->attr_count; count++)
        args[count] = call->attrs[count];
    for (uint32_t i = 0; i < fn->default_count; i++)
        if (fn->defaults[i].ref == NULL && find_attr(args, count, fn->defaults[i].name) == NULL)
            args[count++] = &fn->defaults[i];
    inner->args = args;
    inner->arg_count = count;
    return CYG_OK;
}

static cyg_status bind_inputs(cyg_onnx_call *call, cyg_onnx_scope *inner)
{
    const cyg_onnx_function *fn = inner->function;
    for (uint32_t i = 0; i < fn->in_count; i++) {
        cyg_value_id value = CYG_NO_VALUE;
        if (i < call->node->in_count)
            CYG_DO(
                cyg_onnx_scope_use(call->imp, call->scope, call->node->in[i], call->label, &value));
        cyg_onnx_entry *e = cyg_onnx_scope_entry(call->imp, inner, fn->in[i]);
        if (e == NULL)
            return CYG_ONNX_NOMEM(call->imp);
        if (e->defined)
            return cyg_onnx_call_fail(call, "function \"%s\" has two inputs \"%s\"", fn->name,
                                      fn->in[i]);
        e->defined = true;
        e->value = value;
    }
    return CYG_OK;
}

/* An output that is itself an input of the function needs a node to carry it over. */
static cyg_status pass_through(cyg_onnx_call *call, const cyg_onnx_entry *e, cyg_value_id out)
{
    if (cyg_value_is_none(e->value))
        return cyg_onnx_call_fail(call, "output \"%s\" is an input that the call leaves out",
                                  e->name);
    const cyg_value_id in = e->value;
    const cyg_node_id n = cyg_graph_add_node(call->imp->graph, CYG_NO_NODE, CYG_OP_identity,
                                             call->name, &in, 1, &out, 1);
    if (cyg_node_is_none(n))
        return CYG_ONNX_NOMEM(call->imp);
    cyg_node_add_source(call->imp->graph, n,
                        cyg_graph_add_source(call->imp->graph, call->name, call->node->op_type));
    return CYG_OK;
}

static cyg_status bind_outputs(cyg_onnx_call *call, cyg_onnx_scope *inner)
{
    const cyg_onnx_function *fn = inner->function;
    for (uint32_t i = 0; i < fn->out_count; i++) {
        const char *name = i < call->node->out_count ? call->node->out[i] : "";
        if (name[0] == '\0')
            continue;
        cyg_value_id value;
        CYG_DO(cyg_onnx_scope_define(call->imp, call->scope, name, call->label, &value));
        cyg_onnx_entry *e = cyg_onnx_scope_entry(call->imp, inner, fn->out[i]);
        if (e == NULL)
            return CYG_ONNX_NOMEM(call->imp);
        if (e->defined)
            CYG_DO(pass_through(call, e, value));
        else if (!cyg_value_is_none(e->value))
            return cyg_onnx_call_fail(call, "function \"%s\" has two outputs \"%s\"", fn->name,
                                      fn->out[i]);
        else
            e->value = value;
        e->first_user = call->label;
    }
    return CYG_OK;
}

static cyg_status open_call(cyg_onnx_call *call, const cyg_onnx_function *fn)
{
    const cyg_onnx_node *node = call->node;
    for (const cyg_onnx_scope *s = call->scope; s != NULL; s = s->caller)
        if (s->function == fn)
            return cyg_onnx_call_fail(call, "function \"%s\" calls itself", fn->name);
    if (call->scope->depth >= CYG_ONNX_MAX_CALL_DEPTH)
        return cyg_onnx_call_fail(call, "functions call each other more than %d deep",
                                  CYG_ONNX_MAX_CALL_DEPTH);
    if (node->in_count > fn->in_count || node->out_count > fn->out_count)
        return cyg_onnx_call_fail(call,
                                  "function \"%s\": expected at most %u inputs and %u outputs, "
                                  "found %u and %u",
                                  fn->name, fn->in_count, fn->out_count, node->in_count,
                                  node->out_count);
    cyg_onnx_scope inner = {
        .caller = call->scope,
        .function = fn,
        .prefix = cyg_arena_printf(&call->imp->scratch, "%s/", call->name),
        .depth = call->scope->depth + 1,
    };
    if (inner.prefix == NULL)
        return CYG_ONNX_NOMEM(call->imp);
    CYG_DO(bind_args(call, &inner));
    CYG_DO(bind_inputs(call, &inner));
    CYG_DO(bind_outputs(call, &inner));
    CYG_DO(cyg_onnx_walk(call->imp, &inner, fn->nodes, fn->node_count));
    CYG_TRY(call->imp->ctx, cyg_onnx_scope_close(call->imp, &inner), "%s: in function \"%s\"",
            call->imp->path, fn->name);
    return CYG_OK;
}

/* "<prefix><node name>", or "<prefix><op>_<first output>" for a node without a name. */
static cyg_status name_call(cyg_onnx_call *call)
{
    const cyg_onnx_node *node = call->node;
    const char *out = "";
    for (uint32_t i = 0; i < node->out_count && out[0] == '\0'; i++)
        out = node->out[i];
    const char *prefix = call->scope->prefix;
    if (node->name[0] != '\0') {
        CYG_DO(cyg_onnx_prefixed(call->imp, prefix, node->name, &call->name));
        call->label = call->name;
        return CYG_OK;
    }
    const char *made = cyg_arena_printf(&call->imp->scratch, "%s_%s", node->op_type, out);
    if (made == NULL)
        return CYG_ONNX_NOMEM(call->imp);
    CYG_DO(cyg_onnx_prefixed(call->imp, prefix, made, &call->name));
    return cyg_onnx_prefixed(call->imp, prefix, out[0] != '\0' ? out : node->op_type, &call->label);
}

cyg_status cyg_onnx_walk(cyg_onnx_importer *imp, cyg_onnx_scope *s, const cyg_onnx_node *nodes,
                         uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        cyg_onnx_call call = {.imp = imp, .scope = s, .node = &nodes[i]};
        if (++imp->nodes_walked > CYG_ONNX_MAX_NODES)
            return CYG_FAIL(imp->ctx, CYG_E_GRAPH,
                            "%s: more than %d nodes once its functions are expanded", imp->path,
                            CYG_ONNX_MAX_NODES);
        if (imp->nodes_walked % 4096 == 0)
            CYG_DO(cyg_ctx_check_cancelled(imp->ctx));
        CYG_DO(name_call(&call));
        CYG_DO(resolve_attrs(&call));
        const cyg_onnx_function *fn = find_function(imp, call.node);
        if (fn != NULL) {
            CYG_DO(open_call(&call, fn));
            continue;
        }
        call.opset = cyg_onnx_opset_of(imp, s, call.node->domain);
        CYG_DO(cyg_onnx_emit(&call));
    }
    return CYG_OK;
}
