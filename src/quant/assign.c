/* Writes the scheme into the graph: parameters for every class, quantised constants and weights,
 * and a requant node on each edge whose two ends are stored differently. Nodes are visited in
 * execution order, so a requant that serves several readers stands before the first of them. */
#include <stdlib.h>

#include "quant/correct.h"
#include "quant/groups.h"
#include "quant/params.h"
#include "quant/study.h"

typedef struct assignment {
    cyg_scheme *s;
    cyg_quant *params;                     /* by class; type NONE = float */
    float *lo, *hi;                        /* by class: the range to store */
    float *least, *most;                   /* by class: the extremes, for 16 bits */
    cyg_value_id (*converted)[CYG_STORES]; /* by value and cyg_store: the value as that type */
    cyg_quant_report *report;
} assignment;

static bool is_float(const cyg_graph *g, cyg_value_id v)
{
    return !cyg_value_is_none(v) && cyg_val(g, v)->type == CYG_TYPE_F32;
}

/* ---- parameters of classes
 * ------------------------------------------------------------------------------------ */

static void class_ranges(assignment *a)
{
    const cyg_scheme *s = a->s;
    for (uint32_t v = 0; v < s->value_count; v++) {
        const cyg_value *value = &s->g->values[v];
        const uint32_t c = s->class_of[v];
        float lo = 0.0f, hi = 0.0f, least = 0.0f, most = 0.0f;
        if (value->type != CYG_TYPE_F32)
            continue;
        if (value->is_const) {
            if (s->store[c] == CYG_STORE_FLOAT && c == v)
                continue; /* a weight: nobody asks */
            cyg_quant_const_range(value, &lo, &hi);
            least = lo;
            most = hi;
        } else if (s->observed[v].seen) {
            lo = s->observed[v].lo;
            hi = s->observed[v].hi;
            least = s->observed[v].least;
            most = s->observed[v].most;
        }
        a->lo[c] = lo < a->lo[c] ? lo : a->lo[c];
        a->hi[c] = hi > a->hi[c] ? hi : a->hi[c];
        a->least[c] = least < a->least[c] ? least : a->least[c];
        a->most[c] = most > a->most[c] ? most : a->most[c];
    }
}

/* 16 bits have room for the extremes. */
static cyg_status params_of(assignment *a, uint32_t c, cyg_store store, cyg_quant *out_q)
{
    const bool wide = store == CYG_STORE_S16;
    return cyg_quant_from_range(a->s, store, wide ? a->least[c] : a->lo[c],
                                wide ? a->most[c] : a->hi[c], out_q);
}

static cyg_status class_params(assignment *a)
{
    cyg_scheme *s = a->s;
    for (uint32_t v = 0; v < s->value_count; v++) {
        const uint32_t c = s->class_of[v];
        if (c != v || s->store[c] == CYG_STORE_FLOAT || s->g->values[c].type != CYG_TYPE_F32)
            continue;
        const cyg_observed *o = &s->observed[v];
        const int64_t d = s->head_dim[c];
        if (s->store[c] == CYG_STORE_S8_HEADS && d > 0 && o->seen && o->channels > 0 &&
            o->channels % d == 0)
            CYG_DO(cyg_quant_from_heads(s, o, d, s->g->values[v].rank - 1, &a->params[c]));
        else
            CYG_DO(params_of(a, c, s->store[c], &a->params[c]));
    }
    for (uint32_t v = 0; v < s->value_count; v++)
        if (s->g->values[v].type == CYG_TYPE_F32 && !s->g->values[v].is_const)
            s->g->values[v].quant = a->params[s->class_of[v]];
    return CYG_OK;
}

/* ---- edges
 * --------------------------------------------------------------------------------------------------
 */

/* v stored as `store`, converted by a requant node before `before` (none: at the end), or a
 * quantised copy of a constant. */
static cyg_status convert(assignment *a, cyg_value_id v, cyg_store store, cyg_node_id before,
                          cyg_value_id *out_v)
{
    cyg_scheme *s = a->s;
    cyg_graph *g = s->g;
    cyg_value_id *known = &a->converted[v.i][store];
    if (cyg_value_is_none(*known)) {
        const uint32_t c = s->class_of[v.i];
        cyg_quant q = {0};
        const cyg_quant *now = &cyg_val(g, v)->quant;
        const bool bytes = (now->type == CYG_TYPE_U8 || now->type == CYG_TYPE_S8) &&
                           now->count == 1 && !cyg_val(g, v)->is_const;
        if (store == CYG_STORE_S16 && bytes) /* in the same steps: nothing is rounded again */
            q = (cyg_quant){.type = CYG_TYPE_S16, .axis = -1, .count = 1, .scales = now->scales};
        else if (store != CYG_STORE_FLOAT)
            CYG_DO(params_of(a, c, store, &q));
        if (cyg_val(g, v)->is_const) {
            CYG_DO(cyg_quant_constant(s, v, &q, known));
        } else {
            const cyg_value from = *cyg_val(g, v); /* adding values may move the array */
            *known = cyg_graph_add_value(g, from.name, CYG_TYPE_F32, from.rank, from.dims);
            if (cyg_value_is_none(*known))
                return CYG_FAIL(s->ctx, CYG_E_NOMEM, "out of memory");
            cyg_val(g, *known)->quant = q;
            const cyg_node_id n =
                cyg_graph_add_node(g, before, CYG_OP_requant, NULL, &v, 1, known, 1);
            if (cyg_node_is_none(n))
                return CYG_FAIL(s->ctx, CYG_E_NOMEM, "out of memory");
            if (!cyg_node_is_none(from.producer))
                cyg_node_merge_sources(g, n, from.producer);
        }
    }
    *out_v = *known;
    return CYG_OK;
}

static cyg_status resolve_operand(assignment *a, cyg_node_id id, uint32_t i)
{
    cyg_scheme *s = a->s;
    const cyg_node *n = cyg_nod(s->g, id);
    const cyg_value_id v = n->in[i];
    if (!is_float(s->g, v) || v.i >= s->value_count)
        return CYG_OK;
    const bool is_const = cyg_val(s->g, v)->is_const;
    const cyg_store stored = is_const ? CYG_STORE_FLOAT : s->store[s->class_of[v.i]];
    cyg_store wanted = CYG_STORE_FLOAT;
    if (s->integer[id.i])
        wanted = cyg_quant_accepts(s, n, i, stored) ? stored : cyg_quant_demand(s, n, i);
    if (wanted == stored)
        return CYG_OK;
    cyg_value_id now;
    CYG_DO(convert(a, v, wanted, id, &now));
    cyg_node_set_input(s->g, id, i, now);
    return CYG_OK;
}

/* Movement keeps the class; only its constants must be brought to the class's own parameters. */
static cyg_status resolve_move(assignment *a, cyg_node_id id)
{
    cyg_scheme *s = a->s;
    const cyg_node *n = cyg_nod(s->g, id);
    if (!is_float(s->g, n->out[0]))
        return CYG_OK;
    const cyg_quant *q = &a->params[s->class_of[n->out[0].i]];
    for (uint32_t i = 0; q->type != CYG_TYPE_NONE && i < n->in_count; i++) {
        cyg_value_id now;
        if (!is_float(s->g, n->in[i]) || !cyg_val(s->g, n->in[i])->is_const)
            continue;
        if (q->count != 1)
            return CYG_FAIL(s->ctx, CYG_E_UNSUPPORTED,
                            "node \"%s\": a constant joins a value with a scale for each head",
                            n->name);
        CYG_DO(cyg_quant_constant(s, n->in[i], q, &now));
        cyg_node_set_input(s->g, id, i, now);
    }
    return CYG_OK;
}

/* An integer node whose result is stored as float but that cannot write floats: integer result,
 * then a conversion. */
static cyg_status resolve_result(assignment *a, cyg_node_id id)
{
    cyg_scheme *s = a->s;
    cyg_graph *g = s->g;
    const cyg_value_id v = cyg_nod(g, id)->out[0];
    const bool writes_float =
        (cyg_nod(g, id)->op == CYG_OP_linear || cyg_nod(g, id)->op == CYG_OP_conv2d) &&
        cyg_node_int(cyg_nod(g, id), CYG_ATTR_post_act, CYG_ACT_NONE) == CYG_ACT_NONE;
    if (s->store[s->class_of[v.i]] != CYG_STORE_FLOAT || writes_float)
        return CYG_OK;
    const cyg_value like = *cyg_val(g, v);
    cyg_quant q;
    CYG_DO(
        cyg_quant_from_range(s, CYG_STORE_S16, s->observed[v.i].least, s->observed[v.i].most, &q));
    const cyg_value_id raw = cyg_graph_add_value(g, like.name, CYG_TYPE_F32, like.rank, like.dims);
    if (cyg_value_is_none(raw))
        return CYG_FAIL(s->ctx, CYG_E_NOMEM, "out of memory");
    cyg_val(g, raw)->quant = q;
    cyg_val(g, raw)->producer = id;
    cyg_nod(g, id)->out[0] = raw;
    const cyg_node_id n = cyg_graph_add_node(g, CYG_NO_NODE, CYG_OP_requant, NULL, &raw, 1, &v, 1);
    if (cyg_node_is_none(n))
        return CYG_FAIL(s->ctx, CYG_E_NOMEM, "out of memory");
    cyg_node_merge_sources(g, n, id);
    return CYG_OK;
}

/* The accumulator's proof (cyg_quant_weights) for weights that were rounded otherwise. */
static bool sums_fit(const cyg_weight_grid *grid, const int8_t *w, const cyg_quant *x,
                     const cyg_value *bias)
{
    for (int64_t n = 0; n < grid->channels; n++) {
        const double scale = (double)grid->scales[n],
                     b = bias != NULL ? (double)((const float *)bias->data)[n] : 0.0;
        int64_t magnitude = 0, sum = 0;
        if (cyg_quant_sums_always_fit(x, grid->taps, 128.0, b, scale))
            continue;
        for (int64_t k = 0; k < grid->taps; k++) {
            const int32_t v = w[n * grid->taps + k];
            magnitude += v < 0 ? -v : v;
            sum += v;
        }
        if (!cyg_quant_sum_fits(x, (double)magnitude, (double)sum, b, scale))
            return false;
    }
    return true;
}

/* `now`, made of w tap by tap in 8 bits: on a grid of 4 bits where that is wanted, and by second
 * order. Stays as it is when the sums could overflow. */
static cyg_status refine_weights(assignment *a, cyg_node_id id, cyg_value_id w, cyg_value_id now)
{
    cyg_scheme *s = a->s;
    const cyg_value *q = cyg_val(s->g, now);
    const cyg_node *node = cyg_nod(s->g, id);
    const cyg_value_id b = cyg_node_in(node, 2);
    const float *weights = cyg_val(s->g, w)->data;
    const cyg_quant x = cyg_val(s->g, node->in[0])->quant;
    const bool s4 = s->s4[id.i];
    const size_t gains = s->gain_count;
    cyg_weight_grid grid = {.channels = q->dims[0],
                            .taps = cyg_value_elements(q) / q->dims[0],
                            .scales = q->quant.scales,
                            .least = -127,
                            .most = 127};
    if (!s4 && !s->options->round_weights)
        return CYG_OK;
    int8_t *data = malloc(q->bytes + 1), *into;
    if (data == NULL)
        return CYG_FAIL(s->ctx, CYG_E_NOMEM, "out of memory");
    memcpy(data, q->data, q->bytes);
    cyg_status status = CYG_OK;
    if (s4) {
        status = cyg_quant_groups(s, id, &x, weights, grid.channels, grid.taps, &grid);
        if (status == CYG_OK)
            cyg_quant_round_nearest(&grid, weights, data);
    }
    if (status == CYG_OK && s->options->round_weights)
        status = cyg_quant_round_weights(s, id, &grid, weights, data);
    const bool fits = status == CYG_OK &&
                      sums_fit(&grid, data, &x, cyg_value_is_none(b) ? NULL : cyg_val(s->g, b));
    if (fits) { /* in place: nobody has seen them yet */
        memcpy(&into, &q->data, sizeof into);
        memcpy(into, data, q->bytes);
        cyg_val(s->g, now)->quant.scales = grid.scales;
    } else {
        s->gain_count = gains;
    }
    free(data);
    if (fits && s4)
        a->report->weight_bytes_quantised -= /* half a byte less, half a byte for a group */
            grid.channels * (grid.taps - (grid.taps + grid.group - 1) / grid.group) / 2;
    return status;
}

static cyg_status resolve_weights(assignment *a, cyg_node_id id)
{
    cyg_scheme *s = a->s;
    cyg_graph *g = s->g;
    const cyg_node *n = cyg_nod(g, id);
    const cyg_value_id w = n->in[1], b = cyg_node_in(n, 2);
    const cyg_quant x = cyg_val(g, n->in[0])->quant;
    const bool wide = x.type == CYG_TYPE_S16 && cyg_quant_asked(s, n).weight == CYG_TYPE_S16;
    const cyg_type type = wide ? CYG_TYPE_S16 : CYG_TYPE_S8;
    cyg_value_id now;
    bool known;
    CYG_DO(cyg_quant_memo_recall(s, id, &x, type, &known));
    if (known)
        return CYG_OK;
    CYG_DO(cyg_quant_weights(s, w, cyg_value_is_none(b) ? NULL : cyg_val(g, b), &x, type, &now));
    a->report->weight_bytes_float += (int64_t)cyg_val(g, w)->bytes;
    a->report->weight_bytes_quantised +=
        (int64_t)cyg_val(g, now)->bytes + 4 * cyg_val(g, w)->dims[0];
    cyg_node_set_input(g, id, 1, now);
    if (!wide)
        CYG_DO(refine_weights(a, id, w, now));
    if (s->options->correct_bias && !wide)
        CYG_DO(cyg_quant_correct_bias(s, id, cyg_val(g, w)->data));
    return cyg_quant_memo_keep(s, id, &x, b);
}

/* Integer convolutions want channels last: the fused conv2d reads NCHW only at the model's
 * entrance. */
static cyg_status resolve_layout(assignment *a, cyg_node_id id)
{
    cyg_graph *g = a->s->g;
    if (cyg_nod(g, id)->op != CYG_OP_conv2d ||
        cyg_node_int(cyg_nod(g, id), CYG_ATTR_x_nchw, 0) == 0)
        return CYG_OK;
    const cyg_value_id x = cyg_nod(g, id)->in[0];
    const cyg_value from = *cyg_val(g, x);
    const int64_t perm[] = {0, 2, 3, 1},
                  dims[] = {from.dims[0], from.dims[2], from.dims[3], from.dims[1]};
    const cyg_value_id y = cyg_graph_add_value(g, from.name, CYG_TYPE_F32, 4, dims);
    const cyg_node_id n = cyg_value_is_none(y)
                              ? CYG_NO_NODE
                              : cyg_graph_add_node(g, id, CYG_OP_transpose, NULL, &x, 1, &y, 1);
    if (cyg_node_is_none(n) || !cyg_node_set_ints(g, n, CYG_ATTR_perm, perm, 4))
        return CYG_FAIL(a->s->ctx, CYG_E_NOMEM, "out of memory");
    cyg_val(g, y)->quant = from.quant;
    cyg_node_merge_sources(g, n, id);
    cyg_node_set_input(g, id, 0, y);
    cyg_node_clear_attr(g, id, CYG_ATTR_x_nchw);
    return CYG_OK;
}

static int64_t probability_bits(const cyg_scheme *s, const cyg_node *n)
{
    const int32_t asked = cyg_quant_asked(s, n).e_bits;
    const bool long_row = cyg_node_int(n, CYG_ATTR_tokens, 0) > CYG_QUANT_NARROW_ROW;
    return asked != 0 ? asked : long_row ? 16 : 8;
}

static cyg_status resolve_node(assignment *a, cyg_node_id id)
{
    cyg_scheme *s = a->s;
    const cyg_op op = cyg_nod(s->g, id)->op;
    if (id.i >= s->node_count) /* the spelled-out normalisation: float by construction */
        return CYG_OK;
    if (cyg_quant_is_move(cyg_nod(s->g, id)))
        return resolve_move(a, id);
    const uint32_t count = cyg_nod(s->g, id)->in_count;
    const bool integer = s->integer[id.i];
    for (uint32_t i = 0; i < count; i++) {
        if (!integer || cyg_quant_reads_data(cyg_nod(s->g, id), i))
            CYG_DO(resolve_operand(a, id, i));
    }
    if (!integer) {
        a->report->float_nodes++;
        return CYG_OK;
    }
    a->report->integer_nodes++;
    if (op == CYG_OP_linear || op == CYG_OP_conv2d)
        CYG_DO(resolve_weights(a, id));
    if (op == CYG_OP_attention)
        cyg_node_set_int(s->g, id, CYG_ATTR_e_bits, probability_bits(s, cyg_nod(s->g, id)));
    CYG_DO(resolve_layout(a, id));
    return resolve_result(a, id);
}

/* Results leave as floats, under their own names. */
static cyg_status resolve_outputs(assignment *a)
{
    cyg_graph *g = a->s->g;
    for (uint32_t i = 0; i < g->output_count; i++) {
        const cyg_value_id v = g->outputs[i];
        if (!is_float(g, v) || v.i >= a->s->value_count ||
            cyg_val(g, v)->quant.type == CYG_TYPE_NONE)
            continue;
        cyg_value_id now;
        CYG_DO(convert(a, v, CYG_STORE_FLOAT, CYG_NO_NODE, &now));
        if (!cyg_graph_is_output(g, now) &&
            !cyg_quant_take_name(g, v, now)) /* listed twice: once */
            return CYG_FAIL(a->s->ctx, CYG_E_NOMEM, "out of memory");
        cyg_graph_set_output(g, i, now);
    }
    return CYG_OK;
}

cyg_status cyg_quant_assign(cyg_scheme *s, cyg_quant_report *report)
{
    assignment a = {.s = s, .report = report};
    const uint32_t count = s->value_count, order_count = s->g->order_count;
    a.params = CYG_NEW_ARRAY(s->arena, cyg_quant, count + 1);
    a.lo = CYG_NEW_ARRAY(s->arena, float, count + 1);
    a.hi = CYG_NEW_ARRAY(s->arena, float, count + 1);
    a.least = CYG_NEW_ARRAY(s->arena, float, count + 1);
    a.most = CYG_NEW_ARRAY(s->arena, float, count + 1);
    a.converted = cyg_arena_calloc(s->arena, (size_t)count + 1, sizeof *a.converted);
    cyg_node_id *order = cyg_arena_memdup(s->arena, s->g->order, sizeof *order * order_count);
    if (a.params == NULL || a.lo == NULL || a.hi == NULL || a.least == NULL || a.most == NULL ||
        a.converted == NULL || order == NULL)
        return CYG_FAIL(s->ctx, CYG_E_NOMEM, "out of memory");
    for (uint32_t v = 0; v < count; v++)
        for (int k = 0; k < CYG_STORES; k++)
            a.converted[v][k] = CYG_NO_VALUE;
    class_ranges(&a);
    CYG_DO(class_params(&a));
    for (uint32_t i = 0; i < order_count; i++)
        CYG_DO(resolve_node(&a, order[i]));
    CYG_DO(resolve_outputs(&a));
    uint32_t pads;
    CYG_DO(cyg_graph_sort(s->ctx, s->g));
    CYG_DO(cyg_quant_integer_pads(s->ctx, s->g, &pads));
    report->float_nodes -= pads;
    report->integer_nodes += pads;
    return CYG_OK;
}
