/* What a quantised file leaves open and calibration data can close.
 *
 *   the range of an activation that the file quantises while it runs (DynamicQuantizeLinear): a
 *       fake_quant without a scale gets that of all samples
 *   operators that layer_configs name: their operands and results get fake_quant nodes of the type
 *       that is asked for, weights that are floats get integers; FP32 takes an operator out
 *
 * Every scale here comes from extremes, as U8 around zero's place, S8 and S16 symmetric. What the
 * file states stays, whatever is asked: the report says so, part by part. Behind this, a calibrated
 * scale is a scale like the file's, and given.c makes integers of both. */
#include <float.h>
#include <math.h>

#include "quant/given.h"
#include "quant/params.h"

static cyg_status nomem(const cyg_given *s)
{
    return CYG_FAIL(s->ctx, CYG_E_NOMEM, "out of memory");
}

bool cyg_given_is_open(const cyg_node *n)
{
    return n->op == CYG_OP_fake_quant && !(cyg_node_float(n, CYG_ATTR_scale, 1.0f) > 0.0f);
}

bool cyg_given_needs_ranges(const cyg_graph *g, const cyg_quant_options *options)
{
    for (uint32_t i = 0; i < g->order_count; i++) {
        const cyg_asked *a = options->asked == NULL ? NULL : &options->asked[g->order[i].i];
        if (cyg_given_is_open(cyg_nod(g, g->order[i])) ||
            (a != NULL && ((a->data != CYG_TYPE_NONE && a->data != CYG_TYPE_F32) ||
                           a->output != CYG_TYPE_NONE || a->value != CYG_TYPE_NONE)))
            return true;
    }
    return false;
}

/* ---- scales ---- */

static cyg_status set_pair(cyg_given *s, cyg_node_id id, const cyg_quant *q)
{
    return cyg_node_set_float(s->g, id, CYG_ATTR_scale, q->scales[0]) &&
                   cyg_node_set_int(s->g, id, CYG_ATTR_zero_point, q->zero_point) &&
                   cyg_node_set_int(s->g, id, CYG_ATTR_to, cyg_type_to_onnx(q->type))
               ? CYG_OK
               : nomem(s);
}

/* What v was seen to hold, as `store`; values added since carry their source's range. */
static cyg_quant range_of(const cyg_given *s, cyg_value_id v, cyg_store store, float *scale)
{
    const cyg_observed *o = &s->observed[v.i];
    return cyg_quant_range(store, o->seen ? (double)o->lo : 0.0, o->seen ? (double)o->hi : 0.0,
                           scale);
}

static cyg_status close_dynamic(cyg_given *s)
{
    cyg_graph *g = s->g;
    for (uint32_t i = 0; i < g->order_count; i++) {
        const cyg_node_id id = g->order[i];
        float scale;
        if (!cyg_given_is_open(cyg_nod(g, id)))
            continue;
        const cyg_quant q = range_of(s, cyg_nod(g, id)->in[0], CYG_STORE_U8, &scale);
        CYG_DO(set_pair(s, id, &q));
    }
    return CYG_OK;
}

/* ---- operators by name ---- */

/* The file says how v is stored: a pair makes it, or movement of what a pair made. */
static bool is_fixed(const cyg_graph *g, cyg_value_id v)
{
    for (;;) {
        const cyg_node_id id = cyg_val(g, v)->producer;
        if (cyg_node_is_none(id))
            return false;
        const cyg_node *n = cyg_nod(g, id);
        if (n->op == CYG_OP_fake_quant)
            return true;
        if (!cyg_quant_moves_elements(n) || n->in_count < 1 || cyg_value_is_none(n->in[0]))
            return false;
        v = n->in[0];
    }
}

/* Somebody stores what v holds. */
static bool is_stored_behind(const cyg_graph *g, cyg_value_id v)
{
    for (uint32_t u = cyg_graph_first_use(g, v); u != CYG_NO_ID; u = cyg_graph_next_use(g, u))
        if (cyg_nod(g, cyg_graph_use_node(g, u))->op == CYG_OP_fake_quant)
            return true;
    return false;
}

/* fake_quant(v) of `type` in front of `before` (none: at the end). */
static cyg_status add_pair(cyg_given *s, cyg_node_id before, cyg_value_id v, cyg_type type,
                           cyg_value_id *out_y)
{
    cyg_graph *g = s->g;
    float scale;
    const cyg_value from = *cyg_val(g, v); /* adding values may move the array */
    const cyg_quant q = range_of(s, v, cyg_quant_store_of(type), &scale);
    *out_y = cyg_graph_add_value(g, from.name, CYG_TYPE_F32, from.rank, from.dims);
    const cyg_node_id n =
        cyg_value_is_none(*out_y)
            ? CYG_NO_NODE
            : cyg_graph_add_node(g, before, CYG_OP_fake_quant, NULL, &v, 1, out_y, 1);
    if (cyg_node_is_none(n))
        return nomem(s);
    if (!cyg_node_is_none(from.producer))
        cyg_node_merge_sources(g, n, from.producer);
    return set_pair(s, n, &q);
}

/* Floats of a weight on the grid of one scale a channel (axis 0), which then says so. */
static cyg_status round_weights(cyg_given *s, cyg_node_id id, cyg_type type)
{
    cyg_graph *g = s->g;
    const cyg_value w = *cyg_val(g, cyg_nod(g, id)->in[1]);
    const int64_t channels = w.rank > 0 ? w.dims[0] : 0, count = cyg_value_elements(&w);
    const double most = type == CYG_TYPE_S16 ? 32639.0 : 127.0;
    if (!w.is_const || w.type != CYG_TYPE_F32 || w.quant.type != CYG_TYPE_NONE || channels < 1)
        return CYG_OK;
    float *data = cyg_arena_alloc(&g->arena, (size_t)count * sizeof *data + 1, 64),
          *scales = CYG_NEW_ARRAY(&g->arena, float, channels);
    if (data == NULL || scales == NULL)
        return nomem(s);
    for (int64_t n = 0, taps = count / channels; n < channels; n++) {
        const float *x = (const float *)w.data + n * taps;
        double reach = 0.0;
        for (int64_t k = 0; k < taps; k++)
            reach = fabs((double)x[k]) > reach ? fabs((double)x[k]) : reach;
        scales[n] = reach > 1e-30 ? (float)(reach / most) : 1.0f;
        for (int64_t k = 0; k < taps; k++)
            data[n * taps + k] = (float)rint((double)x[k] / (double)scales[n]) * scales[n];
    }
    const cyg_value_id now = cyg_graph_add_const(g, w.name, CYG_TYPE_F32, w.rank, w.dims, data,
                                                 (size_t)count * sizeof *data);
    if (cyg_value_is_none(now))
        return nomem(s);
    cyg_val(g, now)->quant =
        (cyg_quant){.type = type, .axis = 0, .count = (uint32_t)channels, .scales = scales};
    cyg_node_set_input(g, id, 1, now);
    return CYG_OK;
}

/* A constant beside integers (a factor, an addend): one scale of 16 bits; a number is its own. */
static cyg_status round_constant(cyg_given *s, cyg_node_id id, uint32_t i)
{
    cyg_graph *g = s->g;
    const cyg_value c = *cyg_val(g, cyg_nod(g, id)->in[i]);
    const int64_t count = cyg_value_elements(&c);
    const float *x = c.data;
    if (c.quant.type != CYG_TYPE_NONE || count < 1)
        return CYG_OK;
    double reach = 0.0;
    for (int64_t k = 0; k < count; k++)
        reach = fabs((double)x[k]) > reach ? fabs((double)x[k]) : reach;
    float *data = cyg_arena_alloc(&g->arena, (size_t)count * sizeof *data + 1, 64),
          *scale = CYG_NEW(&g->arena, float);
    if (data == NULL || scale == NULL)
        return nomem(s);
    *scale = !(reach > 1e-30 && reach < 1e30) ? 1.0f
             : count == 1                     ? (float)reach
                                              : (float)(reach / 32767.0);
    for (int64_t k = 0; k < count; k++)
        data[k] = (float)rint((double)x[k] / (double)*scale) * *scale;
    const cyg_value_id now = cyg_graph_add_const(g, c.name, CYG_TYPE_F32, c.rank, c.dims, data,
                                                 (size_t)count * sizeof *data);
    if (cyg_value_is_none(now))
        return nomem(s);
    cyg_val(g, now)->quant =
        (cyg_quant){.type = CYG_TYPE_S16, .axis = -1, .count = 1, .scales = scale};
    cyg_node_set_input(g, id, i, now);
    return CYG_OK;
}

static bool is_weighted(const cyg_node *n)
{
    return n->op == CYG_OP_linear || n->op == CYG_OP_conv2d;
}

/* Operands that the file leaves open get `data` (v of attention: `value`). *out_bits: what was
 * asked of operands that are all fixed by the file. */
static cyg_status close_operands(cyg_given *s, cyg_node_id id, const cyg_asked *asked,
                                 unsigned *out_bits)
{
    cyg_graph *g = s->g;
    uint32_t fixed = 0, open = 0;
    const bool attention = cyg_nod(g, id)->op == CYG_OP_attention;
    for (uint32_t i = 0; i < cyg_nod(g, id)->in_count; i++) {
        const cyg_value_id v = cyg_nod(g, id)->in[i];
        cyg_value_id now;
        cyg_type type =
            attention && i == 2 && asked->value != CYG_TYPE_NONE ? asked->value : asked->data;
        if (type == CYG_TYPE_NONE || cyg_value_is_none(v) || cyg_val(g, v)->type != CYG_TYPE_F32 ||
            !cyg_quant_reads_data(cyg_nod(g, id), i) || (is_weighted(cyg_nod(g, id)) && i > 0))
            continue;
        if (cyg_val(g, v)->is_const) {
            const bool binary = (cyg_op_schema_of(cyg_nod(g, id)->op)->flags & CYG_OPF_BINARY) != 0;
            CYG_DO(binary ? round_constant(s, id, i) : CYG_OK);
            continue;
        }
        if (is_fixed(g, v)) {
            fixed++;
            continue;
        }
        open++;
        type = attention && type == CYG_TYPE_U8 ? CYG_TYPE_S8 : type;
        CYG_DO(add_pair(s, id, v, type, &now));
        cyg_node_set_input(g, id, i, now);
    }
    if (fixed > 0 && open == 0)
        *out_bits |= CYG_PART_DATA;
    return CYG_OK;
}

static cyg_status close_result(cyg_given *s, cyg_node_id id, cyg_type type, unsigned *out_bits)
{
    cyg_graph *g = s->g;
    const cyg_value_id y = cyg_nod(g, id)->out[0];
    cyg_value_id now;
    if (cyg_val(g, y)->type != CYG_TYPE_F32 || cyg_nod(g, id)->out_count != 1)
        return CYG_OK;
    if (is_stored_behind(g, y)) {
        *out_bits |= CYG_PART_OUTPUT;
        return CYG_OK;
    }
    if (cyg_graph_use_count(g, y) == 0 && !cyg_graph_is_output(g, y))
        return CYG_OK;
    /* Replaced before the node reads y itself. */
    CYG_DO(add_pair(s, CYG_NO_NODE, y, type, &now));
    const cyg_node_id pair = cyg_val(g, now)->producer;
    cyg_graph_replace_uses(g, y, now);
    cyg_node_set_input(g, pair, 0, y);
    return CYG_OK;
}

/* What is asked of one node; CYG_PART bits of what the file decides. */
static cyg_status close_node(cyg_given *s, cyg_node_id id, const cyg_asked *asked,
                             unsigned *out_bits)
{
    /* No pointer to the node: adding pairs may move it. */
    const bool integer = asked->data != CYG_TYPE_NONE && asked->data != CYG_TYPE_F32,
               weighted = is_weighted(cyg_nod(s->g, id)),
               move = cyg_quant_is_move(cyg_nod(s->g, id));
    if (asked->data == CYG_TYPE_F32) {
        s->floating[id.i] = true;
        *out_bits |= CYG_FLOAT_AS_ASKED;
        if (move && is_fixed(s->g, cyg_nod(s->g, id)->in[0]))
            *out_bits |= CYG_PART_DATA;
    }
    CYG_DO(integer || asked->value != CYG_TYPE_NONE ? close_operands(s, id, asked, out_bits)
                                                    : CYG_OK);
    if (weighted) {
        const bool open = cyg_val(s->g, cyg_nod(s->g, id)->in[1])->quant.type == CYG_TYPE_NONE;
        const cyg_type type = asked->weight != CYG_TYPE_NONE ? asked->weight
                              : integer                      ? CYG_TYPE_S8
                                                             : CYG_TYPE_NONE;
        if ((asked->weight != CYG_TYPE_NONE && !open) || asked->s4)
            *out_bits |= CYG_PART_WEIGHT;
        else if (type != CYG_TYPE_NONE)
            CYG_DO(round_weights(s, id, type));
    }
    if (asked->output != CYG_TYPE_NONE && asked->output != CYG_TYPE_F32)
        return close_result(s, id, asked->output, out_bits);
    if (asked->output == CYG_TYPE_F32 && is_stored_behind(s->g, cyg_nod(s->g, id)->out[0]))
        *out_bits |= CYG_PART_OUTPUT;
    unsigned ignored = 0; /* an operator that cannot write floats needs a form for its result too */
    return integer && !weighted && !move ? close_result(s, id, asked->data, &ignored) : CYG_OK;
}

static cyg_status close_asked(cyg_given *s, const cyg_asked *asked)
{
    cyg_graph *g = s->g;
    const uint32_t count = g->order_count, nodes = g->node_count;
    cyg_node_id *order =
        cyg_arena_memdup(&s->scratch, g->order, sizeof *order * (count + (count == 0)));
    uint8_t *outcomes = CYG_NEW_ARRAY(&g->arena, uint8_t, nodes + 1);
    s->floating = CYG_NEW_ARRAY(&g->arena, bool, nodes + 1);
    if (order == NULL || outcomes == NULL || s->floating == NULL)
        return nomem(s);
    s->floating_count = nodes;
    for (uint32_t i = 0; i < count; i++) {
        unsigned bits = 0;
        CYG_DO(close_node(s, order[i], &asked[order[i].i], &bits));
        outcomes[order[i].i] = (uint8_t)bits;
    }
    s->report->outcomes = outcomes;
    s->report->outcome_count = nodes;
    return CYG_OK;
}

cyg_status cyg_given_close(cyg_given *s, const cyg_quant_options *options)
{
    cyg_graph *g = s->g;
    CYG_DO(close_dynamic(s));
    if (options->asked == NULL)
        return CYG_OK;
    CYG_DO(cyg_graph_edit_begin(s->ctx, g));
    const cyg_status status = close_asked(s, options->asked);
    cyg_graph_edit_end(g);
    return status == CYG_OK ? cyg_graph_sort(s->ctx, g) : status;
}
