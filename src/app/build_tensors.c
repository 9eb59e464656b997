/* quant/quant_axmodel.json: how every tensor of the quantised graph is stored, twice.
 *
 * `tensors` is the plain table: name to type, scale, zero point, shape and the source's operators.
 * The rest has the layout that tools made for the vendor's file read: `tensor_configs` lists, for
 * each operator, each of its tensors with a state; what has a scale of its own is under `values`
 * by the tensor's hash, and a tensor that uses another's names it as `dominator`. A hash is FNV-1a
 * over the tensor's name, in decimal, so it is the same from build to build.
 *
 *   ACTIVATED     has a scale, which its operator wrote
 *   OVERLAPPED    read here or moved here, stored as the dominator is
 *   BAKED         a constant stored as integers; PASSIVE_BAKED: one that follows (a bias)
 *   SOI           a shape or an index
 *   FP32          not quantised */
#include <stdio.h>
#include <string.h>

#include "app/build.h"

typedef struct tensor_writer {
    const cyg_graph *g;
    cyg_json *j;
    uint32_t *dominator; /* by value: the value whose scale it has */
} tensor_writer;

static void hash_text(const tensor_writer *w, uint32_t v, char out[24])
{
    uint64_t h = 1469598103934665603u;
    for (const char *c = w->g->values[v].name; *c != '\0'; c++)
        h = (h ^ (uint8_t)*c) * 1099511628211u;
    snprintf(out, 24, "%llu", (unsigned long long)h);
}

static bool is_quantised(const cyg_value *v)
{
    return v->quant.type != CYG_TYPE_NONE && v->quant.count > 0;
}

static const char *state_of(const cyg_value *v, bool read, bool dominated, bool bias)
{
    if (v->type != CYG_TYPE_F32 && !is_quantised(v))
        return "SOI";
    if (v->is_const && is_quantised(v))
        return "BAKED";
    if (v->is_const && bias)
        return "PASSIVE_BAKED";
    if (!is_quantised(v))
        return "FP32";
    return read || dominated ? "OVERLAPPED" : "ACTIVATED";
}

static void write_policy(const tensor_writer *w, const cyg_value *v)
{
    const bool per_channel = v->quant.count > 1;
    const bool symmetric =
        v->quant.zero_point == 0 && v->quant.type != CYG_TYPE_U8 && v->quant.type != CYG_TYPE_U16;
    cyg_json_key(w->j, "policy");
    cyg_json_begin_object(w->j);
    cyg_json_key_bool(w->j, "PER_TENSOR", !per_channel);
    cyg_json_key_bool(w->j, "PER_CHANNEL", per_channel);
    cyg_json_key_bool(w->j, "LINEAR", true);
    cyg_json_key_bool(w->j, "EXPONENTIAL", false);
    cyg_json_key_bool(w->j, "SYMMETRICAL", symmetric);
    cyg_json_key_bool(w->j, "ASYMMETRICAL", !symmetric);
    cyg_json_key_bool(w->j, "POWER_OF_2", false);
    cyg_json_end_object(w->j);
}

static void write_config(const tensor_writer *w, uint32_t id, bool read, bool bias)
{
    const cyg_value *v = &w->g->values[id];
    char hash[24];
    int32_t lo = 0, hi = 0;
    cyg_json_key(w->j, v->name);
    cyg_json_begin_object(w->j);
    cyg_json_key_string(w->j, "state", state_of(v, read, w->dominator[id] != id, bias));
    if (is_quantised(v)) {
        /* What the compiler uses of signed activations leaves the lowest number out. */
        CYG_IGNORE(cyg_type_limits(v->quant.type, &lo, &hi));
        cyg_json_key_int(w->j, "bit_width", (int64_t)(8 * cyg_type_size(v->quant.type)));
        write_policy(w, v);
        cyg_json_key_int(w->j, "quant_min", lo < 0 && !v->is_const ? lo + 1 : lo);
        cyg_json_key_int(w->j, "quant_max", hi);
    } else {
        cyg_json_key_int(w->j, "bit_width", (int64_t)(8 * cyg_type_size(v->type)));
    }
    hash_text(w, id, hash);
    cyg_json_key_string(w->j, "hash", hash);
    hash_text(w, w->dominator[id], hash);
    cyg_json_key_string(w->j, "dominator", hash);
    cyg_json_end_object(w->j);
}

static void write_operators(const tensor_writer *w)
{
    const cyg_graph *g = w->g;
    cyg_json_key(w->j, "tensor_configs");
    cyg_json_begin_object(w->j);
    for (uint32_t i = 0; i < g->order_count; i++) {
        const cyg_node *n = cyg_nod(g, g->order[i]);
        const bool has_bias = n->op == CYG_OP_linear || n->op == CYG_OP_conv2d;
        cyg_json_key(w->j, n->name);
        cyg_json_begin_object(w->j);
        for (uint32_t k = 0; k < n->in_count; k++) {
            bool again = false; /* one tensor, read twice */
            for (uint32_t m = 0; m < k; m++)
                again = again || n->in[m].i == n->in[k].i;
            if (!again && !cyg_value_is_none(n->in[k]))
                write_config(w, n->in[k].i, true, has_bias && k == 2);
        }
        for (uint32_t k = 0; k < n->out_count; k++)
            write_config(w, n->out[k].i, false, false);
        cyg_json_end_object(w->j);
    }
    cyg_json_end_object(w->j);
}

static void write_scales(const tensor_writer *w, const cyg_quant *q, const char *one,
                         const char *many)
{
    if (q->count == 1) {
        cyg_json_key(w->j, one);
        cyg_json_float(w->j, q->scales[0]);
        return;
    }
    cyg_json_key(w->j, many);
    cyg_json_begin_inline_array(w->j);
    for (uint32_t i = 0; i < q->count; i++)
        cyg_json_float(w->j, q->scales[i]);
    cyg_json_end_array(w->j);
}

/* Values that the order reaches, in the order in which it does. */
static void each_value(const tensor_writer *w, bool *seen,
                       void (*visit)(const tensor_writer *w, uint32_t id))
{
    const cyg_graph *g = w->g;
    memset(seen, 0, sizeof *seen * g->value_count);
    for (uint32_t i = 0; i < g->order_count; i++) {
        const cyg_node *n = cyg_nod(g, g->order[i]);
        for (uint32_t k = 0; k < n->in_count + n->out_count; k++) {
            const cyg_value_id v = k < n->in_count ? n->in[k] : n->out[k - n->in_count];
            if (cyg_value_is_none(v) || seen[v.i] || !is_quantised(cyg_val(g, v)))
                continue;
            seen[v.i] = true;
            visit(w, v.i);
        }
    }
}

static void write_value(const tensor_writer *w, uint32_t id)
{
    const cyg_value *v = &w->g->values[id];
    char hash[24];
    if (w->dominator[id] != id)
        return;
    hash_text(w, id, hash);
    cyg_json_key(w->j, hash);
    cyg_json_begin_object(w->j);
    write_scales(w, &v->quant, "scale", "scale");
    cyg_json_key_int(w->j, "zero_point", v->quant.zero_point);
    cyg_json_end_object(w->j);
}

static void write_tensor(const tensor_writer *w, uint32_t id)
{
    const cyg_graph *g = w->g;
    const cyg_value *v = &g->values[id];
    cyg_json_key(w->j, v->name);
    cyg_json_begin_object(w->j);
    cyg_json_key_string(w->j, "dtype", cyg_type_name(v->quant.type));
    cyg_json_key_ints(w->j, "shape", v->dims, v->rank);
    cyg_json_key_int(w->j, "zero_point", v->quant.zero_point);
    write_scales(w, &v->quant, "scale", "scales");
    if (v->quant.count > 1)
        cyg_json_key_int(w->j, "axis", v->quant.axis);
    if (!cyg_node_is_none(v->producer)) {
        const cyg_node *n = cyg_nod(g, v->producer);
        cyg_json_key(w->j, "source");
        cyg_json_begin_inline_array(w->j);
        for (uint32_t i = 0; i < n->source_count; i++)
            cyg_json_string(w->j, g->sources[n->sources[i].i].name);
        cyg_json_end_array(w->j);
    }
    cyg_json_end_object(w->j);
}

/* Movement hands the scale of what it moves on. */
static void find_dominators(tensor_writer *w)
{
    const cyg_graph *g = w->g;
    for (uint32_t v = 0; v < g->value_count; v++)
        w->dominator[v] = v;
    for (uint32_t i = 0; i < g->order_count; i++) {
        const cyg_node *n = cyg_nod(g, g->order[i]);
        const cyg_value_id x = cyg_node_in(n, 0);
        const bool moves = (cyg_op_schema_of(n->op)->flags & CYG_OPF_MOVE) != 0;
        for (uint32_t k = 0; moves && k < n->out_count && !cyg_value_is_none(x); k++)
            if (is_quantised(cyg_val(g, x)) && is_quantised(cyg_val(g, n->out[k])))
                w->dominator[n->out[k].i] = w->dominator[x.i];
    }
}

static void write_quant_config(const cyg_build *b, cyg_json *j)
{
    const cyg_config_quant *q = &b->config.quant;
    cyg_json_key(j, "quant_config");
    cyg_json_begin_object(j);
    cyg_json_key_string(j, "calibration_method",
                        cyg_config_enum_method.names[q->calibration_method]);
    cyg_json_key(j, "input_configs");
    cyg_json_begin_array(j);
    for (size_t i = 0; i < q->input_configs.count; i++)
        cyg_config_write(j, &cyg_config_message_input_quant, &q->input_configs.items[i]);
    cyg_json_end_array(j);
    cyg_json_end_object(j);
}

void cyg_build_write_tensors(cyg_build *b, cyg_strbuf *out)
{
    const size_t count = (size_t)b->graph->value_count + 1;
    cyg_json j;
    tensor_writer w = {.g = b->graph, .j = &j};
    bool *seen = CYG_NEW_ARRAY(&b->app->arena, bool, count);
    w.dominator = CYG_NEW_ARRAY(&b->app->arena, uint32_t, count);
    if (seen == NULL || w.dominator == NULL) {
        out->failed = true;
        return;
    }
    find_dominators(&w);
    cyg_json_init(&j, out, 2);
    cyg_json_begin_object(&j);
    cyg_json_key(&j, "tensors");
    cyg_json_begin_object(&j);
    each_value(&w, seen, write_tensor);
    cyg_json_end_object(&j);
    write_operators(&w);
    cyg_json_key(&j, "values");
    cyg_json_begin_object(&j);
    each_value(&w, seen, write_value);
    cyg_json_end_object(&j);
    write_quant_config(b, &j);
    cyg_json_end_object(&j);
    cyg_strbuf_puts(out, "\n");
}
