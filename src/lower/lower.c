/* lower: one node to one kernel call, and a graph to a program.
 *
 * A rule per operator fills a cyg_lowered: kernel operator, parameter block, operands. Whether a
 * node is lowered in floats or in integers follows from the quantisation parameters of its values:
 * the quantiser has already put a requant node wherever a float and an integer neighbour meet, so a
 * node is never mixed. Views (Reshape and the like) become aliases: they cost nothing and are no
 * steps. */
#include "lower/lowering.h"

#include <string.h>

const cyg_value *cyg_lowering_in(const cyg_lowering *l, uint32_t i)
{
    const cyg_value_id v = cyg_node_in(l->node, i);
    return cyg_value_is_none(v) ? NULL : cyg_val(l->g, v);
}

const cyg_value *cyg_lowering_out(const cyg_lowering *l, uint32_t i)
{
    return cyg_val(l->g, l->node->out[i]);
}

cyg_status cyg_lowering_op(cyg_lowering *l, int32_t op, const void *params, size_t size)
{
    void *copy = cyg_arena_zalloc(l->arena, size, 16);
    if (copy == NULL)
        return CYG_FAIL(l->ctx, CYG_E_NOMEM, "out of memory");
    memcpy(copy, params, size);
    l->out->op = op;
    l->out->params = copy;
    l->out->params_size = (uint32_t)size;
    return CYG_OK;
}

cyg_status cyg_lowering_operands(cyg_lowering *l, const int *inputs, uint32_t count)
{
    l->out->in = CYG_NEW_ARRAY(l->arena, cyg_operand, count + 1);
    if (l->out->in == NULL)
        return CYG_FAIL(l->ctx, CYG_E_NOMEM, "out of memory");
    l->out->in_count = count;
    for (uint32_t i = 0; i < count; i++)
        l->out->in[i].value =
            inputs[i] < 0 ? CYG_NO_VALUE : cyg_node_in(l->node, (uint32_t)inputs[i]);
    l->out->out = l->node->out;
    l->out->out_count = l->node->out_count;
    return CYG_OK;
}

cyg_status cyg_lowering_first(cyg_lowering *l, uint32_t count)
{
    l->out->in = CYG_NEW_ARRAY(l->arena, cyg_operand, count + 1);
    if (l->out->in == NULL)
        return CYG_FAIL(l->ctx, CYG_E_NOMEM, "out of memory");
    l->out->in_count = count;
    for (uint32_t i = 0; i < count; i++)
        l->out->in[i].value = cyg_node_in(l->node, i);
    l->out->out = l->node->out;
    l->out->out_count = l->node->out_count;
    return CYG_OK;
}

void cyg_lowering_constant(cyg_lowering *l, uint32_t slot, cyg_type type, int64_t count,
                           const void *data)
{
    cyg_operand *o = &l->out->in[slot];
    o->value = CYG_NO_VALUE;
    o->constant = (cyg_kbuf){.type = (int32_t)type, .rank = 1, .is_const = 1};
    o->constant.dims[0] = count;
    /* kbuf.data is not const because outputs share the type; constants are never written through
     * it. */
    memcpy(&o->constant.data, &data, sizeof data);
}

cyg_status cyg_lowering_unsupported(cyg_lowering *l, const char *why)
{
    return CYG_FAIL(l->ctx, CYG_E_UNSUPPORTED, "node \"%s\" (%s): %s", l->node->name,
                    cyg_op_schema_of(l->node->op)->onnx, why);
}

cyg_status cyg_lowering_ints(cyg_lowering *l, uint32_t input, const int64_t **out_data,
                             size_t *out_count)
{
    *out_data = NULL;
    *out_count = 0;
    const cyg_value_id id = cyg_node_in(l->node, input);
    if (cyg_value_is_none(id))
        return CYG_OK;
    const cyg_value *v = cyg_val(l->g, id);
    const int64_t n = cyg_value_elements(v);
    const void *data = v->is_const ? v->data : NULL;
    if (data == NULL && l->data_of != NULL)
        data = l->data_of(l->user, id);
    if (n == 0) {
        *out_data = cyg_arena_zalloc(l->arena, 8, 8);
        return *out_data != NULL ? CYG_OK : CYG_FAIL(l->ctx, CYG_E_NOMEM, "out of memory");
    }
    if (data == NULL || n < 0)
        return cyg_lowering_unsupported(l,
                                        "an operand that fixes shapes is not known before the run");
    int64_t *copy = CYG_NEW_ARRAY(l->arena, int64_t, n);
    if (copy == NULL)
        return CYG_FAIL(l->ctx, CYG_E_NOMEM, "out of memory");
    for (int64_t i = 0; i < n; i++) {
        if (v->type == CYG_TYPE_S64) {
            memcpy(&copy[i], (const char *)data + 8 * i, 8);
        } else if (v->type == CYG_TYPE_S32) {
            int32_t x;
            memcpy(&x, (const char *)data + 4 * i, 4);
            copy[i] = x;
        } else {
            return cyg_lowering_unsupported(
                l, "an operand that fixes shapes is not of an integer type");
        }
    }
    *out_data = copy;
    *out_count = (size_t)n;
    return CYG_OK;
}

int cyg_lowering_choice(const char *text, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(text, names[i]) == 0)
            return (int)i;
    return -1;
}

int64_t cyg_lowering_axis(int64_t axis, int rank)
{
    if (axis < 0)
        axis += rank;
    return axis >= 0 && axis < rank ? axis : -1;
}

cyg_status cyg_lowering_view(cyg_lowering *l)
{
    const cyg_kp_none none = {0};
    l->out->is_view = true;
    CYG_DO(cyg_lowering_op(l, CYG_KOP_copy, &none, sizeof none));
    return cyg_lowering_first(l, 1);
}

static bool is_integer_node(const cyg_lowering *l)
{
    for (uint32_t i = 0; i < l->node->out_count; i++)
        if (cyg_is_quantised(cyg_lowering_out(l, i)))
            return true;
    for (uint32_t i = 0; i < l->node->in_count; i++) {
        const cyg_value *v = cyg_lowering_in(l, i);
        if (cyg_is_quantised(v) && !v->is_const)
            return true;
    }
    return false;
}

cyg_status cyg_lower_node(cyg_ctx *ctx, const cyg_graph *g, cyg_node_id n, cyg_arena *arena,
                          cyg_data_of data_of, void *user, cyg_lowered *out_lowered)
{
    memset(out_lowered, 0, sizeof *out_lowered);
    cyg_lowering l = {ctx, g, cyg_nod(g, n), arena, data_of, user, out_lowered};
    const cyg_op op = l.node->op;
    for (uint32_t i = 0; i < l.node->out_count; i++)
        if (!cyg_value_shape_known(cyg_lowering_out(&l, i)))
            return cyg_lowering_unsupported(&l, "its output's shape is not known");
    cyg_lower_rule rule = cyg_lower_move_rule(op);
    if (rule == NULL)
        rule = is_integer_node(&l) ? cyg_lower_int_rule(op) : cyg_lower_float_rule(op);
    if (rule == NULL)
        return cyg_lowering_unsupported(&l, is_integer_node(&l) ? "has no integer kernel"
                                                                : "has no kernel");
    return rule(&l);
}

cyg_lower_forms cyg_lower_forms_of(cyg_op op)
{
    const bool moves = cyg_lower_move_rule(op) != NULL;
    return (cyg_lower_forms){.in_float = moves || cyg_lower_float_rule(op) != NULL,
                             .in_integers = cyg_lower_int_rule(op) != NULL,
                             .moves = moves};
}

/* ---- whole graphs
 * ------------------------------------------------------------------------------------------ */

typedef struct graph_lowering {
    cyg_ctx *ctx;
    const cyg_graph *g;
    cyg_arena *arena;
    cyg_program *program;
    uint32_t *tensor_of; /* by value id; CYG_NO_TENSOR = none yet */
} graph_lowering;

static cyg_status nomem(cyg_ctx *ctx)
{
    return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory while lowering the graph");
}

static cyg_status tensor_for(graph_lowering *gl, cyg_value_id id, uint32_t *out_tensor)
{
    if (cyg_value_is_none(id)) {
        *out_tensor = CYG_NO_TENSOR;
        return CYG_OK;
    }
    if (gl->tensor_of[id.i] == CYG_NO_TENSOR) {
        const cyg_value *v = cyg_val(gl->g, id);
        cyg_tensor t = {
            .name = v->name, .type = (int32_t)cyg_program_type(v), .rank = v->rank, .value = id.i};
        memcpy(t.dims, v->dims, sizeof t.dims);
        t.kind = v->is_const ? CYG_TENSOR_CONST : CYG_TENSOR_ARENA;
        t.data = v->data;
        if (cyg_is_quantised(v) && v->quant.count == 1) {
            t.scale = v->quant.scales[0];
            t.zero_point = v->quant.zero_point;
        }
        gl->tensor_of[id.i] = cyg_program_add_tensor(gl->program, gl->arena, &t);
        if (gl->tensor_of[id.i] == CYG_NO_TENSOR)
            return nomem(gl->ctx);
    }
    *out_tensor = gl->tensor_of[id.i];
    return CYG_OK;
}

static cyg_status constant_tensor(graph_lowering *gl, const char *owner, uint32_t slot,
                                  const cyg_kbuf *buf, uint32_t *out_tensor)
{
    if (buf->data == NULL) {
        *out_tensor = CYG_NO_TENSOR;
        return CYG_OK;
    }
    cyg_tensor t = {.name = cyg_arena_printf(gl->arena, "%s.c%u", owner, slot),
                    .type = buf->type,
                    .rank = buf->rank};
    memcpy(t.dims, buf->dims, sizeof t.dims);
    t.kind = CYG_TENSOR_CONST;
    t.data = buf->data;
    t.value = CYG_NO_ID;
    *out_tensor =
        t.name == NULL ? CYG_NO_TENSOR : cyg_program_add_tensor(gl->program, gl->arena, &t);
    return *out_tensor == CYG_NO_TENSOR ? nomem(gl->ctx) : CYG_OK;
}

static const char *sources_text(const graph_lowering *gl, const cyg_node *node)
{
    cyg_strbuf s = {0};
    for (uint32_t i = 0; i < node->source_count; i++) {
        if (i > 0)
            cyg_strbuf_puts(&s, ",");
        cyg_strbuf_puts(&s, gl->g->sources[node->sources[i].i].name);
    }
    const char *text = s.failed ? NULL : cyg_arena_strdup(gl->arena, s.data != NULL ? s.data : "");
    cyg_strbuf_deinit(&s);
    return text;
}

static cyg_status alias(graph_lowering *gl, cyg_value_id from, cyg_value_id to)
{
    uint32_t source, view;
    CYG_DO(tensor_for(gl, from, &source));
    CYG_DO(tensor_for(gl, to, &view));
    if (gl->program->tensors[source].kind ==
        CYG_TENSOR_ALIAS) /* a view of a view: show the owner */
        source = (uint32_t)gl->program->tensors[source].offset;
    gl->program->tensors[view].kind = CYG_TENSOR_ALIAS;
    gl->program->tensors[view].offset = source;
    return CYG_OK;
}

static cyg_status add_step(graph_lowering *gl, const cyg_node *node, const cyg_lowered *low)
{
    cyg_step step = {.name = node->name,
                     .sources = sources_text(gl, node),
                     .op = low->op,
                     .params = low->params,
                     .params_size = low->params_size,
                     .macs = low->macs,
                     .in_count = low->in_count,
                     .out_count = low->out_count};
    uint32_t *in = CYG_NEW_ARRAY(gl->arena, uint32_t, low->in_count + 1);
    uint32_t *out = CYG_NEW_ARRAY(gl->arena, uint32_t, low->out_count + 1);
    if (in == NULL || out == NULL || step.sources == NULL)
        return nomem(gl->ctx);
    for (uint32_t i = 0; i < low->in_count; i++) {
        if (cyg_value_is_none(low->in[i].value))
            CYG_DO(constant_tensor(gl, node->name, i, &low->in[i].constant, &in[i]));
        else
            CYG_DO(tensor_for(gl, low->in[i].value, &in[i]));
    }
    for (uint32_t i = 0; i < low->out_count; i++)
        CYG_DO(tensor_for(gl, low->out[i], &out[i]));
    step.in = in;
    step.out = out;
    return cyg_program_add_step(gl->program, gl->arena, &step) ? CYG_OK : nomem(gl->ctx);
}

/* An output that is an input, a constant or a view of one needs bytes of its own, since the caller
 * owns it: copy. */
static cyg_status bind_outputs(graph_lowering *gl)
{
    cyg_program *p = gl->program;
    for (uint32_t i = 0; i < gl->g->output_count; i++) {
        uint32_t t;
        CYG_DO(tensor_for(gl, gl->g->outputs[i], &t));
        if (p->tensors[t].kind != CYG_TENSOR_ARENA) {
            cyg_tensor own = p->tensors[t];
            own.kind = CYG_TENSOR_ARENA;
            own.data = NULL;
            own.name = cyg_arena_strdup(gl->arena, own.name);
            const uint32_t copy = cyg_program_add_tensor(p, gl->arena, &own);
            const cyg_kp_none none = {0};
            const cyg_step step = {.name = own.name,
                                   .sources = "",
                                   .op = CYG_KOP_copy,
                                   .in_count = 1,
                                   .out_count = 1,
                                   .in = &t,
                                   .out = &copy,
                                   .params = &none,
                                   .params_size = sizeof none};
            if (own.name == NULL || copy == CYG_NO_TENSOR ||
                !cyg_program_add_step(p, gl->arena, &step))
                return nomem(gl->ctx);
            t = copy;
        }
        p->outputs[i] = t;
        p->tensors[t].kind = CYG_TENSOR_OUTPUT;
        p->tensors[t].offset = i;
    }
    return CYG_OK;
}

cyg_status cyg_lower_graph(cyg_ctx *ctx, const cyg_graph *g, cyg_arena *arena,
                           cyg_program *out_program)
{
    memset(out_program, 0, sizeof *out_program);
    graph_lowering gl = {ctx, g, arena, out_program, NULL};
    gl.tensor_of = CYG_NEW_ARRAY(arena, uint32_t, g->value_count + 1);
    out_program->inputs = CYG_NEW_ARRAY(arena, uint32_t, g->input_count + 1);
    out_program->outputs = CYG_NEW_ARRAY(arena, uint32_t, g->output_count + 1);
    if (gl.tensor_of == NULL || out_program->inputs == NULL || out_program->outputs == NULL)
        return nomem(ctx);
    memset(gl.tensor_of, 0xff, sizeof(uint32_t) * g->value_count);
    out_program->input_count = g->input_count;
    out_program->output_count = g->output_count;
    for (uint32_t i = 0; i < g->input_count; i++) {
        CYG_DO(tensor_for(&gl, g->inputs[i], &out_program->inputs[i]));
        out_program->tensors[out_program->inputs[i]].kind = CYG_TENSOR_INPUT;
        out_program->tensors[out_program->inputs[i]].offset = i;
    }
    for (uint32_t i = 0; i < g->order_count; i++) {
        const cyg_node *node = cyg_nod(g, g->order[i]);
        cyg_lowered low;
        if (node->op == CYG_OP_removed)
            continue;
        CYG_DO(cyg_lower_node(ctx, g, g->order[i], arena, NULL, NULL, &low));
        if (low.is_view)
            CYG_DO(alias(&gl, low.in[0].value, low.out[0]));
        else
            CYG_DO(add_step(&gl, node, &low));
    }
    return bind_outputs(&gl);
}
