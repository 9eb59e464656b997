/* The verifier: everything that the rest of the program takes for granted about a graph.
 *
 * It checks structure, not meaning (shapes that contradict operators are shape inference's matter):
 * ids in range; every name present and unique; one producer a value, and the value knows it; arity
 * and attributes as ops.def has them; every live node once in the order, after what it reads;
 * constants as large as their shapes say; quantisation parameters complete; provenance sorted.
 *
 * A failure is a bug of whoever built the graph: CYG_E_INTERNAL. Importers turn it into
 * CYG_E_GRAPH. */
#include "ir/graph.h"

#include "base/checked.h"
#include "ir/names.h"

typedef struct verifier {
    cyg_ctx *ctx;
    const cyg_graph *g;
    cyg_arena scratch;
    bool *ready; /* [value] an input, a constant, or made by a node seen already */
    bool *seen;  /* [node] */
} verifier;

#define BAD(v, ...) CYG_FAIL((v)->ctx, CYG_E_INTERNAL, __VA_ARGS__)
#define BAD_NODE(v, n, fmt, ...)                                                                   \
    CYG_FAIL((v)->ctx, CYG_E_INTERNAL, "node %s (%s): " fmt, (n)->name,                            \
             cyg_op_schema_of((n)->op)->id, __VA_ARGS__)

static cyg_status check_names(verifier *v)
{
    const cyg_graph *g = v->g;
    cyg_names values = {0}, nodes = {0};
    cyg_status st = CYG_OK;
    for (uint32_t i = 0; i < g->value_count && st == CYG_OK; i++) {
        const char *name = g->values[i].name;
        if (name == NULL)
            st = BAD(v, "value %u has no name", i);
        else if (cyg_names_find(&values, name) != CYG_NO_ID)
            st = BAD(v, "two values are named %s", name);
        else if (!cyg_names_add(&values, name, i))
            st = CYG_FAIL(v->ctx, CYG_E_NOMEM, "out of memory");
    }
    for (uint32_t i = 0; i < g->node_count && st == CYG_OK; i++) {
        const char *name = g->nodes[i].name;
        if (g->nodes[i].op == CYG_OP_removed)
            continue;
        if (name == NULL)
            st = BAD(v, "node %u has no name", i);
        else if (cyg_names_find(&nodes, name) != CYG_NO_ID)
            st = BAD(v, "two nodes are named %s", name);
        else if (!cyg_names_add(&nodes, name, i))
            st = CYG_FAIL(v->ctx, CYG_E_NOMEM, "out of memory");
    }
    cyg_names_deinit(&values);
    cyg_names_deinit(&nodes);
    return st;
}

static cyg_status check_const(verifier *v, const cyg_value *x)
{
    const int64_t count = cyg_value_elements(x);
    size_t bytes = 0;
    if (!cyg_node_is_none(x->producer))
        return BAD(v, "constant %s has a producer", x->name);
    if (x->type == CYG_TYPE_NONE || count < 0)
        return BAD(v, "constant %s lacks a type or a known shape", x->name);
    if (!cyg_mul_size((size_t)count, cyg_type_size(x->type), &bytes) || bytes != x->bytes)
        return BAD(v, "constant %s: expected %zu bytes for its %s shape, found %zu", x->name, bytes,
                   cyg_type_name(x->type), x->bytes);
    if (bytes > 0 && x->data == NULL)
        return BAD(v, "constant %s has no data", x->name);
    return CYG_OK;
}

static cyg_status check_quant(verifier *v, const cyg_value *x)
{
    const cyg_quant *q = &x->quant;
    if (q->type == CYG_TYPE_NONE)
        return CYG_OK;
    if (q->type != CYG_TYPE_U8 && q->type != CYG_TYPE_S8 && q->type != CYG_TYPE_U16 &&
        q->type != CYG_TYPE_S16 && q->type != CYG_TYPE_S32)
        return BAD(v, "value %s: %s is no quantisation type", x->name, cyg_type_name(q->type));
    if (q->count == 0 || q->scales == NULL)
        return BAD(v, "value %s is quantised without a scale", x->name);
    if (q->axis < 0)
        return q->count == 1 ? CYG_OK
                             : BAD(v, "value %s: expected 1 scale without an axis, found %u",
                                   x->name, q->count);
    if (x->rank == CYG_RANK_UNKNOWN || q->axis >= x->rank)
        return BAD(v, "value %s: quantisation axis %d, but rank %d", x->name, q->axis, x->rank);
    if (x->dims[q->axis] >= 0 && x->dims[q->axis] != q->count)
        return BAD(v, "value %s: expected %lld scales along axis %d, found %u", x->name,
                   (long long)x->dims[q->axis], q->axis, q->count);
    return CYG_OK;
}

static cyg_status check_values(verifier *v)
{
    const cyg_graph *g = v->g;
    for (uint32_t i = 0; i < g->value_count; i++) {
        const cyg_value *x = &g->values[i];
        if ((unsigned)x->type >= CYG_TYPE_COUNT)
            return BAD(v, "value %s has no valid type", x->name);
        if (x->rank != CYG_RANK_UNKNOWN && x->rank > CYG_MAX_RANK)
            return BAD(v, "value %s: expected a rank of at most %d, found %d", x->name,
                       CYG_MAX_RANK, x->rank);
        for (unsigned d = 0; x->rank != CYG_RANK_UNKNOWN && d < x->rank; d++)
            if (x->dims[d] < -(int64_t)g->symbol_count)
                return BAD(v, "value %s: dimension %u is no symbol of the graph", x->name, d);
        if (!cyg_node_is_none(x->producer) && x->producer.i >= g->node_count)
            return BAD(v, "value %s: its producer is no node of the graph", x->name);
        if (x->is_const)
            CYG_DO(check_const(v, x));
        else if (x->data != NULL)
            return BAD(v, "value %s has data but is no constant", x->name);
        CYG_DO(check_quant(v, x));
        v->ready[i] = x->is_const;
    }
    return CYG_OK;
}

static cyg_status check_inputs(verifier *v)
{
    const cyg_graph *g = v->g;
    for (uint32_t i = 0; i < g->input_count; i++) {
        const uint32_t id = g->inputs[i].i;
        if (id >= g->value_count)
            return BAD(v, "graph input %u is no value of the graph", i);
        const cyg_value *x = &g->values[id];
        if (x->is_const || !cyg_node_is_none(x->producer))
            return BAD(v, "graph input %s is also %s", x->name,
                       x->is_const ? "a constant" : "made by a node");
        if (v->ready[id])
            return BAD(v, "graph input %s is listed twice", x->name);
        v->ready[id] = true;
    }
    return CYG_OK;
}

static cyg_status check_attrs(verifier *v, const cyg_node *n)
{
    const cyg_op_schema *schema = cyg_op_schema_of(n->op);
    static const char *const kinds[] = {"an int", "a float", "a string",
                                        "ints",   "floats",  "a tensor"};
    for (uint32_t i = 0; i < n->attr_count; i++) {
        const cyg_attr *a = &n->attrs[i];
        size_t k = 0;
        while (k < schema->attr_count && schema->attrs[k].key != a->key)
            k++;
        if (k == schema->attr_count)
            return BAD_NODE(v, n, "the operator has no attribute %s", cyg_attr_key_name(a->key));
        if (a->kind != schema->attrs[k].kind)
            return BAD_NODE(v, n, "attribute %s: expected %s, found %s", cyg_attr_key_name(a->key),
                            kinds[schema->attrs[k].kind],
                            (unsigned)a->kind < CYG_COUNT(kinds) ? kinds[a->kind] : "nonsense");
        if (a->kind == CYG_KIND_TENSOR &&
            (a->u.tensor.i >= v->g->value_count || !cyg_val(v->g, a->u.tensor)->is_const))
            return BAD_NODE(v, n, "attribute %s is no constant", cyg_attr_key_name(a->key));
    }
    return CYG_OK;
}

static cyg_status check_node_inputs(verifier *v, const cyg_node *n)
{
    const cyg_op_schema *schema = cyg_op_schema_of(n->op);
    if (n->in_count < (uint32_t)schema->min_in ||
        (schema->max_in >= 0 && n->in_count > (uint32_t)schema->max_in))
        return BAD_NODE(v, n, "expected %d to %d inputs, found %u", schema->min_in, schema->max_in,
                        n->in_count);
    for (uint32_t i = 0; i < n->in_count; i++) {
        const cyg_value_id id = n->in[i];
        if (cyg_value_is_none(id)) {
            if (i < (uint32_t)schema->min_in || schema->max_in < 0)
                return BAD_NODE(v, n, "input %u is absent but required", i);
            continue;
        }
        if (id.i >= v->g->value_count)
            return BAD_NODE(v, n, "input %u is no value of the graph", i);
        if (!v->ready[id.i]) {
            const cyg_value *x = cyg_val(v->g, id);
            return BAD_NODE(v, n, "input %u, %s, %s", i, x->name,
                            cyg_node_is_none(x->producer)
                                ? "is neither a graph input nor a constant, and no node makes it"
                                : "is made later in the order");
        }
    }
    return CYG_OK;
}

static cyg_status check_node_outputs(verifier *v, const cyg_node *n, cyg_node_id id)
{
    const cyg_op_schema *schema = cyg_op_schema_of(n->op);
    if (n->out_count < (uint32_t)schema->min_out ||
        (schema->max_out >= 0 && n->out_count > (uint32_t)schema->max_out))
        return BAD_NODE(v, n, "expected %d to %d outputs, found %u", schema->min_out,
                        schema->max_out, n->out_count);
    for (uint32_t i = 0; i < n->out_count; i++) {
        if (n->out[i].i >= v->g->value_count)
            return BAD_NODE(v, n, "output %u is no value of the graph", i);
        const cyg_value *x = cyg_val(v->g, n->out[i]);
        if (v->ready[n->out[i].i])
            return BAD_NODE(v, n, "output %u, %s, is also %s", i, x->name,
                            x->is_const ? "a constant" : "an input or made by another node");
        if (x->producer.i != id.i)
            return BAD_NODE(v, n, "output %u, %s, names another node as its producer", i, x->name);
        v->ready[n->out[i].i] = true;
    }
    return CYG_OK;
}

static cyg_status check_nodes(verifier *v)
{
    const cyg_graph *g = v->g;
    uint32_t live = 0, met = 0;
    for (uint32_t i = 0; i < g->node_count; i++)
        live += g->nodes[i].op != CYG_OP_removed;
    for (uint32_t k = 0; k < g->order_count; k++) {
        const cyg_node_id id = g->order[k];
        if (id.i >= g->node_count)
            return BAD(v, "order entry %u is no node of the graph", k);
        const cyg_node *n = cyg_nod(g, id);
        if (n->op == CYG_OP_removed)
            continue;
        if ((unsigned)n->op >= CYG_OP_COUNT)
            return BAD(v, "node %s has no valid operator", n->name);
        if (v->seen[id.i])
            return BAD_NODE(v, n, "is twice in the order (entry %u)", k);
        v->seen[id.i] = true;
        met++;
        CYG_DO(check_node_inputs(v, n));
        CYG_DO(check_node_outputs(v, n, id));
        CYG_DO(check_attrs(v, n));
        for (uint32_t i = 0; i < n->source_count; i++)
            if (n->sources[i].i >= g->source_count ||
                (i > 0 && n->sources[i - 1].i >= n->sources[i].i))
                return BAD_NODE(v, n, "source %u is unknown or out of order", i);
    }
    if (met != live)
        return BAD(v, "the order has %u of %u live nodes", met, live);
    return CYG_OK;
}

static cyg_status check_outputs(verifier *v)
{
    const cyg_graph *g = v->g;
    for (uint32_t i = 0; i < g->output_count; i++) {
        if (g->outputs[i].i >= g->value_count)
            return BAD(v, "graph output %u is no value of the graph", i);
        if (!v->ready[g->outputs[i].i])
            return BAD(v, "graph output %s is made by no node", cyg_val(g, g->outputs[i])->name);
    }
    return CYG_OK;
}

static cyg_status check_all(verifier *v)
{
    v->ready = CYG_NEW_ARRAY(&v->scratch, bool, (size_t)v->g->value_count + 1);
    v->seen = CYG_NEW_ARRAY(&v->scratch, bool, (size_t)v->g->node_count + 1);
    if (v->ready == NULL || v->seen == NULL)
        return CYG_FAIL(v->ctx, CYG_E_NOMEM, "out of memory");
    CYG_DO(check_names(v));
    CYG_DO(check_values(v));
    CYG_DO(check_inputs(v));
    CYG_DO(check_nodes(v));
    return check_outputs(v);
}

cyg_status cyg_graph_verify(cyg_ctx *ctx, const cyg_graph *g)
{
    if (g->failed)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    verifier v = {.ctx = ctx, .g = g};
    cyg_arena_init(&v.scratch);
    const cyg_status st = check_all(&v);
    cyg_arena_deinit(&v.scratch);
    return st;
}
