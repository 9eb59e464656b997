/* A quantised graph for inputs of another size, without calibrating again.
 *
 * The float model is imported and optimised at both sizes. Passes are deterministic, so the two
 * results are the same nodes and values in the same places, and differ in shapes, in attributes
 * such as the number of tokens, and in constants that hold sizes: targets of Reshape, tables of
 * windows. The quantised graph was made of the first; what it kept of it is exchanged for what the
 * second has, everything it added stays. A constant that differs and was quantised is the limit: it
 * would need a scale of its own. */
#include "pass/sizes.h"

#include <string.h>

cyg_status cyg_infer_again(cyg_ctx *ctx, cyg_graph *g)
{
    /* Quantised values say f32 and carry their storage beside it; quantised constants have the type
     * of their data, which inference would pass on. */
    cyg_arena scratch;
    cyg_arena_init(&scratch);
    cyg_type *types = CYG_NEW_ARRAY(&scratch, cyg_type, (size_t)g->value_count + 1);
    if (types == NULL) {
        cyg_arena_deinit(&scratch);
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory for shapes");
    }
    const uint32_t count = g->value_count;
    for (uint32_t i = 0; i < count; i++) {
        cyg_value *v = &g->values[i];
        types[i] = v->type;
        if (v->is_const && v->quant.type != CYG_TYPE_NONE)
            v->type = CYG_TYPE_F32;
        if (!cyg_node_is_none(v->producer))
            v->rank = CYG_RANK_UNKNOWN;
    }
    const cyg_status st = cyg_graph_infer_shapes(ctx, g);
    for (uint32_t i = 0; i < count; i++)
        if (g->values[i].is_const)
            g->values[i].type = types[i];
    cyg_arena_deinit(&scratch);
    return st;
}

typedef struct sizing {
    cyg_ctx *ctx;
    cyg_graph *q;
    const cyg_graph *from, *sized;
} sizing;

static bool same_ids(const cyg_value_id *a, const cyg_value_id *b, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (a[i].i != b[i].i)
            return false;
    return true;
}

static bool same_attr(const cyg_attr *a, const cyg_attr *b)
{
    if (a->key != b->key || a->kind != b->kind)
        return false;
    switch (a->kind) {
    case CYG_KIND_INT:
        return a->u.i == b->u.i;
    case CYG_KIND_FLOAT:
        return memcmp(&a->u.f, &b->u.f, sizeof a->u.f) == 0;
    case CYG_KIND_STRING:
        return strcmp(a->u.s, b->u.s) == 0;
    case CYG_KIND_INTS:
        return a->u.ints.count == b->u.ints.count &&
               (a->u.ints.count == 0 || memcmp(a->u.ints.data, b->u.ints.data,
                                               a->u.ints.count * sizeof *a->u.ints.data) == 0);
    case CYG_KIND_FLOATS:
        return a->u.floats.count == b->u.floats.count &&
               (a->u.floats.count == 0 ||
                memcmp(a->u.floats.data, b->u.floats.data,
                       a->u.floats.count * sizeof *a->u.floats.data) == 0);
    case CYG_KIND_TENSOR:
        return a->u.tensor.i == b->u.tensor.i;
    }
    return false;
}

static bool same_attrs(const cyg_node *a, const cyg_node *b)
{
    if (a->attr_count != b->attr_count)
        return false;
    for (uint32_t i = 0; i < a->attr_count; i++)
        if (!same_attr(&a->attrs[i], &b->attrs[i]))
            return false;
    return true;
}

static cyg_status other_graph(const sizing *s, const char *what, const char *name)
{
    return CYG_FAIL(s->ctx, CYG_E_UNSUPPORTED,
                    "at this size the model becomes another graph (%s \"%s\"): build it as a "
                    "package of its own",
                    what, name);
}

static cyg_status check_same(const sizing *s)
{
    const cyg_graph *a = s->from, *b = s->sized;
    for (uint32_t i = 0; i < a->order_count && i < b->order_count; i++) {
        const cyg_node *x = cyg_nod(a, a->order[i]), *y = cyg_nod(b, b->order[i]);
        if (a->order[i].i != b->order[i].i || x->op != y->op || x->in_count != y->in_count ||
            x->out_count != y->out_count || !same_ids(x->in, y->in, x->in_count) ||
            !same_ids(x->out, y->out, x->out_count))
            return other_graph(s, "node", x->name);
    }
    if (a->value_count != b->value_count || a->order_count != b->order_count ||
        a->input_count != b->input_count || a->output_count != b->output_count)
        return other_graph(s, "graph", a->name);
    for (uint32_t i = 0; i < a->value_count; i++)
        if (a->values[i].is_const != b->values[i].is_const ||
            a->values[i].type != b->values[i].type || a->values[i].rank != b->values[i].rank)
            return other_graph(s, "value", a->values[i].name);
    return CYG_OK;
}

static cyg_status take_node(const sizing *s, cyg_node_id id)
{
    const cyg_node *x = cyg_nod(s->from, id), *y = cyg_nod(s->sized, id);
    const cyg_node *q = cyg_nod(s->q, id);
    if (same_attrs(x, y) || q->op == CYG_OP_removed)
        return CYG_OK;
    if (q->op != x->op || !same_attrs(q, x))
        return other_graph(s, "node", x->name);
    return cyg_node_copy_attrs(s->q, id, y)
               ? CYG_OK
               : CYG_FAIL(s->ctx, CYG_E_NOMEM, "out of memory for another size");
}

static cyg_status take_const(const sizing *s, uint32_t i)
{
    const cyg_value *x = &s->from->values[i], *y = &s->sized->values[i];
    cyg_value *q = &s->q->values[i];
    const bool same_dims = memcmp(x->dims, y->dims, x->rank * sizeof *x->dims) == 0;
    if (same_dims && (x->data == y->data || x->bytes == 0 ||
                      (x->bytes == y->bytes && memcmp(x->data, y->data, x->bytes) == 0)))
        return CYG_OK;
    if (q->data != x->data || q->quant.type != CYG_TYPE_NONE)
        return CYG_FAIL(s->ctx, CYG_E_UNSUPPORTED,
                        "constant \"%s\" depends on the input's size and is quantised: build this "
                        "size as a package of its own",
                        x->name);
    q->data = y->data;
    q->bytes = y->bytes;
    memcpy(q->dims, y->dims, sizeof q->dims);
    return CYG_OK;
}

static cyg_status take_inputs(const sizing *s)
{
    for (uint32_t i = 0; i < s->from->input_count; i++) {
        cyg_value *q = cyg_val(s->q, s->q->inputs[i]);
        const cyg_value *y = cyg_val(s->sized, s->sized->inputs[i]);
        if (q->rank != y->rank)
            return other_graph(s, "input", y->name);
        memcpy(q->dims, y->dims, sizeof q->dims);
    }
    return CYG_OK;
}

cyg_status cyg_take_sizes(cyg_ctx *ctx, cyg_graph *q, const cyg_graph *from, const cyg_graph *sized)
{
    const sizing s = {ctx, q, from, sized};
    CYG_DO(check_same(&s));
    for (uint32_t i = 0; i < from->order_count; i++)
        CYG_DO(take_node(&s, from->order[i]));
    for (uint32_t i = 0; i < from->value_count; i++)
        if (from->values[i].is_const)
            CYG_DO(take_const(&s, i));
    CYG_DO(take_inputs(&s));
    return cyg_infer_again(ctx, q);
}
