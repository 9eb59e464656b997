/* Integers with the scales that a file brings.
 *
 * What comes in is the optimised graph of a quantised file (qdq.c): fake_quant nodes where the file
 * rounds, constants that say how they were stored. It means what the file means when it is run in
 * floats, and nothing below changes that meaning:
 *
 *   0. what the file leaves open and somebody wants closed gets its fake_quant from calibration
 * data (given_open.c);
 *   1. every fake_quant becomes a requant, whose result is stored as the file says;
 *   2. a requant behind movement goes in front of it (rounding and moving commute), so that it
 *      meets the operator that computes;
 *   3. in execution order: movement of stored values stays movement; an operator whose operands are
 *      all stored, and whose result one requant reads, becomes an integer operator that writes what
 *      the requant wrote; linear and conv2d may write floats. A conversion to the very form that a
 *      value has already is none;
 *   4. everything else stays float and reads its operands through conversions, one for each value.
 *
 * Int8 with its zero point anywhere is stored as uint8 with the zero point 128 higher: the same
 * numbers, and all 256 of them. Weights stay the integers they were, -128 included; where a zero
 * point makes differences of nine bits of them, they are the sum of two sets of int8 weights that
 * read the same input twice (given_weights.c). */
#include "quant/given.h"

#include <math.h>

#include "interp/interp.h"
#include "quant/params.h"

/* ---- questions ---- */

static bool is_stored(const cyg_given *s, cyg_value_id v)
{
    return !cyg_value_is_none(v) && !cyg_val(s->g, v)->is_const &&
           cyg_val(s->g, v)->quant.type != CYG_TYPE_NONE;
}

static bool is_f32(const cyg_given *s, cyg_value_id v)
{
    return !cyg_value_is_none(v) && cyg_val(s->g, v)->type == CYG_TYPE_F32;
}

static bool same_quant(const cyg_quant *a, const cyg_quant *b)
{
    return a->type == b->type && a->zero_point == b->zero_point && a->count == 1 && b->count == 1 &&
           !(a->scales[0] < b->scales[0]) && !(a->scales[0] > b->scales[0]);
}

static cyg_status nomem(const cyg_given *s)
{
    return CYG_FAIL(s->ctx, CYG_E_NOMEM, "out of memory");
}

/* Operand i of movement is data. */
static bool carries(const cyg_node *n, uint32_t i)
{
    return n->op == CYG_OP_concat || i == 0;
}

/* Extremes and the nearest elements: chosen among what is there, whatever the scale. */
static bool selects(const cyg_graph *g, const cyg_node *n)
{
    if (n->op == CYG_OP_resize &&
        strcmp(cyg_node_string(n, CYG_ATTR_mode, "nearest"), "nearest") != 0)
        return false;
    return (n->op == CYG_OP_resize || n->op == CYG_OP_reduce_max || n->op == CYG_OP_reduce_min) &&
           cyg_quant_keeps_store(g, n);
}

/* Movement that a requant may pass. Pads and scatters bring elements of their own along. */
static bool commutes(const cyg_graph *g, const cyg_node *n)
{
    if (selects(g, n))
        return n->out_count == 1;
    return n->out_count == 1 && cyg_quant_moves_elements(n) && n->op != CYG_OP_pad &&
           n->op != CYG_OP_scatter_nd && n->op != CYG_OP_scatter_elements &&
           n->op != CYG_OP_constant_of_shape && n->op != CYG_OP_trilu && n->op != CYG_OP_shape &&
           n->op != CYG_OP_size;
}

/* ---- 1: pairs ---- */

/* q, k and v of a fused attention are signed. */
static bool feeds_attention(const cyg_given *s, cyg_value_id v)
{
    bool found = false;
    for (uint32_t u = s->uses.first[v.i]; u < s->uses.first[v.i + 1]; u++) {
        const cyg_node *n = cyg_nod(s->g, s->uses.user[u]);
        for (uint32_t i = 0; i < 3 && n->op == CYG_OP_attention; i++)
            found = found || n->in[i].i == v.i;
    }
    return found;
}

static cyg_status from_pair(cyg_given *s, cyg_node_id id)
{
    cyg_node *n = cyg_nod(s->g, id);
    float *scale = CYG_NEW(&s->g->arena, float);
    int32_t zero = (int32_t)cyg_node_int(n, CYG_ATTR_zero_point, 0);
    cyg_type type = cyg_type_from_onnx((int)cyg_node_int(n, CYG_ATTR_to, 0));
    if (scale == NULL)
        return nomem(s);
    *scale = cyg_node_float(n, CYG_ATTR_scale, 1.0f);
    if (type == CYG_TYPE_S8 && !(zero == 0 && feeds_attention(s, n->out[0]))) {
        type = CYG_TYPE_U8;
        zero += 128;
    } else if (type == CYG_TYPE_S16 && zero != 0) {
        type = CYG_TYPE_U16;
        zero += 32768;
    }
    cyg_val(s->g, n->out[0])->quant =
        (cyg_quant){.type = type, .zero_point = zero, .axis = -1, .count = 1, .scales = scale};
    n->op = CYG_OP_requant;
    n->attr_count = 0;
    return CYG_OK;
}

/* ---- 2: movement ---- */

/* All readers of v are requants to the form of `like`. */
static bool only_requants(const cyg_given *s, cyg_value_id v, const cyg_quant *like)
{
    if (cyg_graph_is_output(s->g, v))
        return false;
    for (uint32_t u = s->uses.first[v.i]; u < s->uses.first[v.i + 1]; u++) {
        const cyg_node *n = cyg_nod(s->g, s->uses.user[u]);
        if (n->op != CYG_OP_requant || cyg_graph_is_output(s->g, n->out[0]) ||
            !same_quant(&cyg_val(s->g, n->out[0])->quant, like))
            return false;
    }
    return true;
}

/* node writes y, the result of requant r, instead of its own result. */
static void take_result(cyg_given *s, cyg_node_id node, cyg_node_id r)
{
    cyg_graph *g = s->g;
    const cyg_value_id x = cyg_nod(g, node)->out[0], y = cyg_nod(g, r)->out[0];
    cyg_graph_remove_node(g, r);
    cyg_nod(g, node)->out[0] = y;
    cyg_val(g, x)->producer = CYG_NO_NODE;
    cyg_val(g, y)->producer = node;
    cyg_node_merge_sources(g, node, r);
}

/* The requants that read v, all of one form, become one. A result of the model keeps its name and a
 * conversion of its own, of what that one gives. */
static void join_requants(cyg_given *s, cyg_value_id v, cyg_node_id *io_r)
{
    for (uint32_t u = s->uses.first[v.i]; u < s->uses.first[v.i + 1]; u++) {
        const cyg_node_id id = s->uses.user[u];
        if (cyg_nod(s->g, id)->op != CYG_OP_requant || id.i == io_r->i)
            continue;
        const cyg_value_id twin = cyg_nod(s->g, id)->out[0], kept = cyg_nod(s->g, *io_r)->out[0];
        if (cyg_graph_is_output(s->g, twin)) {
            cyg_node_set_input(s->g, id, 0, kept);
            continue;
        }
        cyg_graph_replace_uses(s->g, twin, kept);
        cyg_graph_remove_node(s->g, id);
    }
}

static cyg_status pass_movement(cyg_given *s, cyg_node_id r, bool *out_moved)
{
    cyg_graph *g = s->g;
    const cyg_value_id x = cyg_nod(g, r)->in[0], y = cyg_nod(g, r)->out[0];
    const cyg_node_id move = cyg_val(g, x)->producer;
    *out_moved = false;
    if (is_stored(s, x) || cyg_node_is_none(move) || !commutes(g, cyg_nod(g, move)) ||
        !only_requants(s, x, &cyg_val(g, y)->quant))
        return CYG_OK;
    const cyg_quant q = cyg_val(g, y)->quant;
    join_requants(s, x, &r);
    take_result(s, move, r);
    for (uint32_t i = 0; i < cyg_nod(g, move)->in_count; i++) {
        const cyg_value_id in = cyg_nod(g, move)->in[i];
        if (!carries(cyg_nod(g, move), i) || !is_f32(s, in))
            continue;
        if (cyg_val(g, in)->is_const) { /* rounded, as the file rounds it behind the movement */
            cyg_scheme scheme = {.ctx = s->ctx, .g = g};
            cyg_value_id stored;
            CYG_DO(cyg_quant_constant(&scheme, in, &q, &stored));
            cyg_node_set_input(g, move, i, stored);
            continue;
        }
        const cyg_value from = *cyg_val(g, in); /* adding values may move the array */
        const cyg_value_id now =
            cyg_graph_add_value(g, from.name, CYG_TYPE_F32, from.rank, from.dims);
        const cyg_node_id n = cyg_value_is_none(now) ? CYG_NO_NODE
                                                     : cyg_graph_add_node(g, move, CYG_OP_requant,
                                                                          NULL, &in, 1, &now, 1);
        if (cyg_node_is_none(n))
            return nomem(s);
        cyg_val(g, now)->quant = q;
        cyg_node_set_input(g, move, i, now);
    }
    *out_moved = true;
    return CYG_OK;
}

/* Requants rise until something computes. Rounds: a requant passes one movement each. */
static cyg_status raise_requants(cyg_given *s)
{
    for (bool any = true; any;) {
        any = false;
        cyg_arena_reset(&s->scratch);
        CYG_DO(cyg_graph_sort(s->ctx, s->g));
        CYG_DO(cyg_uses_build(s->ctx, s->g, &s->scratch, &s->uses));
        const uint32_t count = s->g->order_count;
        cyg_node_id *order =
            cyg_arena_memdup(&s->scratch, s->g->order, sizeof *order * (count + (count == 0)));
        if (order == NULL)
            return nomem(s);
        s->known = s->g->value_count;
        for (uint32_t i = count; i-- > 0;) {
            bool moved = false;
            if (cyg_nod(s->g, order[i])->op == CYG_OP_requant &&
                cyg_nod(s->g, order[i])->in[0].i < s->known)
                CYG_DO(pass_movement(s, order[i], &moved));
            any = any || moved;
        }
    }
    return CYG_OK;
}

/* ---- 3 and 4: operators ---- */

static cyg_status to_float(cyg_given *s, cyg_value_id v, cyg_node_id before, cyg_value_id *out_v)
{
    cyg_graph *g = s->g;
    if (cyg_value_is_none(s->floats[v.i])) {
        const cyg_value from = *cyg_val(g, v);
        const cyg_value_id now =
            cyg_graph_add_value(g, from.name, CYG_TYPE_F32, from.rank, from.dims);
        const cyg_node_id n = cyg_value_is_none(now) ? CYG_NO_NODE
                                                     : cyg_graph_add_node(g, before, CYG_OP_requant,
                                                                          NULL, &v, 1, &now, 1);
        if (cyg_node_is_none(n))
            return nomem(s);
        if (!cyg_node_is_none(from.producer))
            cyg_node_merge_sources(g, n, from.producer);
        s->floats[v.i] = now;
    }
    *out_v = s->floats[v.i];
    return CYG_OK;
}

static cyg_status stay_float(cyg_given *s, cyg_node_id id)
{
    for (uint32_t i = 0; i < cyg_nod(s->g, id)->in_count; i++) {
        const cyg_value_id v = cyg_nod(s->g, id)->in[i];
        cyg_value_id now;
        if (!is_stored(s, v))
            continue;
        CYG_DO(to_float(s, v, id, &now));
        cyg_node_set_input(s->g, id, i, now);
    }
    return CYG_OK;
}

/* A constant beside stored values: its integers in q's form, when all of them are there, but for
 * what binary32 makes of a product of 16 bits and a scale. */
static cyg_status constant_as(cyg_given *s, cyg_value_id c, const cyg_quant *q, bool *out_exact,
                              cyg_value_id *out_v)
{
    const cyg_value *v = cyg_val(s->g, c);
    const float *x = v->data;
    *out_exact = v->type == CYG_TYPE_F32 && q->count == 1;
    for (int64_t i = 0; *out_exact && i < cyg_value_elements(v); i++) {
        const double off = fabs(cyg_quant_stored(q, x[i]) - (double)x[i]);
        *out_exact = off <= 1e-4 * (double)q->scales[0] + 0x1p-23 * fabs((double)x[i]);
    }
    if (!*out_exact || out_v == NULL)
        return CYG_OK;
    cyg_scheme scheme = {.ctx = s->ctx, .g = s->g};
    return cyg_quant_constant(&scheme, c, q, out_v);
}

/* Movement of values that are all stored alike, constants that are in the same form included. */
static cyg_status visit_movement(cyg_given *s, cyg_node_id id)
{
    cyg_graph *g = s->g;
    const cyg_node *n = cyg_nod(g, id);
    const cyg_quant *q = NULL;
    bool fits = commutes(g, n) || n->op == CYG_OP_split || n->op == CYG_OP_pad;
    for (uint32_t i = 0; i < n->in_count; i++)
        if (is_stored(s, n->in[i]) && q == NULL)
            q = &cyg_val(g, n->in[i])->quant;
    if (q == NULL)
        return CYG_OK;
    const bool pads = n->op == CYG_OP_pad;
    if (pads) /* other modes repeat what is there */
        fits = fits && (strcmp(cyg_node_string(n, CYG_ATTR_mode, "constant"), "constant") != 0 ||
                        (!cyg_value_is_none(cyg_node_in(n, 2)) && cyg_val(g, n->in[2])->is_const));
    for (uint32_t i = 0; i < n->in_count && fits; i++) {
        const cyg_value_id v = n->in[i];
        if (!is_f32(s, v) || !(carries(n, i) || (pads && i == 2)))
            continue;
        if (cyg_val(g, v)->is_const)
            CYG_DO(constant_as(s, v, q, &fits, NULL));
        else
            fits = is_stored(s, v) && same_quant(&cyg_val(g, v)->quant, q);
    }
    if (!fits)
        return stay_float(s, id);
    const cyg_quant form = *q;
    for (uint32_t i = 0; i < cyg_nod(g, id)->in_count; i++) {
        const cyg_value_id v = cyg_nod(g, id)->in[i];
        cyg_value_id now;
        if (!is_f32(s, v) || !cyg_val(g, v)->is_const ||
            !(carries(cyg_nod(g, id), i) || (pads && i == 2)))
            continue;
        CYG_DO(constant_as(s, v, &form, &fits, &now));
        cyg_node_set_input(g, id, i, now);
    }
    for (uint32_t k = 0; k < cyg_nod(g, id)->out_count; k++)
        cyg_val(g, cyg_nod(g, id)->out[k])->quant = form;
    return CYG_OK;
}

/* A requant to the form that its operand has already goes. */
static cyg_status visit_requant(cyg_given *s, cyg_node_id id)
{
    cyg_graph *g = s->g;
    const cyg_value_id x = cyg_nod(g, id)->in[0], y = cyg_nod(g, id)->out[0];
    if (!is_stored(s, x) || !is_stored(s, y) ||
        !same_quant(&cyg_val(g, x)->quant, &cyg_val(g, y)->quant) || cyg_graph_is_output(g, y))
        return CYG_OK;
    cyg_graph_replace_uses(g, y, x);
    cyg_graph_remove_node(g, id);
    return CYG_OK;
}

/* The requant that alone reads the result of id: then the result can be stored. */
static cyg_node_id result_form(const cyg_given *s, cyg_node_id id)
{
    const cyg_value_id y = cyg_nod(s->g, id)->out[0];
    cyg_node_id r = CYG_NO_NODE;
    if (y.i >= s->known || cyg_graph_is_output(s->g, y) || cyg_nod(s->g, id)->out_count != 1)
        return r;
    for (uint32_t u = s->uses.first[y.i]; u < s->uses.first[y.i + 1]; u++) {
        const cyg_node *n = cyg_nod(s->g, s->uses.user[u]);
        if (n->op != CYG_OP_requant || !is_stored(s, n->out[0]) ||
            (!cyg_node_is_none(r) && !same_quant(&cyg_val(s->g, cyg_nod(s->g, r)->out[0])->quant,
                                                 &cyg_val(s->g, n->out[0])->quant)))
            return CYG_NO_NODE;
        r = s->uses.user[u];
    }
    return r;
}

/* An operand of an element-wise operator: stored, or a constant that the file stored. */
static cyg_status operand(cyg_given *s, cyg_value_id v, bool *out_fits, cyg_value_id *out_v)
{
    const cyg_value *value = cyg_val(s->g, v);
    *out_v = v;
    *out_fits = is_stored(s, v) && value->quant.count == 1;
    if (!value->is_const || value->quant.count != 1 ||
        (value->quant.type != CYG_TYPE_S8 && value->quant.type != CYG_TYPE_S16))
        return CYG_OK;
    cyg_quant q = value->quant; /* differences from the zero point: signed */
    q.type = CYG_TYPE_S16;
    q.zero_point = 0;
    q.axis = -1;
    return constant_as(s, v, &q, out_fits, out_v);
}

static bool reads_stored(const cyg_given *s, const cyg_node *n)
{
    for (uint32_t i = 0; i < n->in_count; i++)
        if (is_stored(s, n->in[i]))
            return true;
    return false;
}

/* Tables read 8 bits, or take S16 to S16. */
static bool table_fits(const cyg_given *s, const cyg_node *n, const cyg_quant *x)
{
    const cyg_node_id r = result_form(s, (cyg_node_id){(uint32_t)(n - s->g->nodes)});
    if (x == NULL || cyg_type_size(x->type) == 1)
        return x != NULL;
    return x->type == CYG_TYPE_S16 && !cyg_node_is_none(r) &&
           cyg_val(s->g, cyg_nod(s->g, r)->out[0])->quant.type == CYG_TYPE_S16;
}

/* Does the operator have an integer form for such operands, its result stored? */
static bool has_form(const cyg_given *s, const cyg_node *n)
{
    cyg_scheme scheme = {.ctx = s->ctx, .g = s->g};
    const cyg_quant *x = is_stored(s, n->in[0]) ? &cyg_val(s->g, n->in[0])->quant : NULL;
    switch ((int)n->op) {
    case CYG_OP_softmax: {
        const int rank = cyg_val(s->g, n->in[0])->rank;
        const int64_t axis = cyg_node_int(n, CYG_ATTR_axis, -1);
        return axis == -1 || axis == rank - 1;
    }
    case CYG_OP_attention:
        return false; /* attention_fits */
    case CYG_OP_layer_normalization:
        return (x == NULL || x->type != CYG_TYPE_U16) && cyg_quant_has_form(&scheme, n);
    case CYG_OP_resize: { /* between elements: its result is stored as they are, or it is float */
        const cyg_node_id r = result_form(s, (cyg_node_id){(uint32_t)(n - s->g->nodes)});
        return x != NULL && !cyg_node_is_none(r) &&
               same_quant(x, &cyg_val(s->g, cyg_nod(s->g, r)->out[0])->quant) &&
               cyg_quant_has_form(&scheme, n);
    }
    default:
        if (cyg_quant_is_table(n) && !table_fits(s, n, x))
            return false;
        return cyg_quant_has_form(&scheme, n);
    }
}

/* q, k and v signed with their zero at zero, as the kernel takes them (from_pair stores S16 with
 * another zero as U16). */
static bool attention_fits(const cyg_given *s, const cyg_node *n)
{
    cyg_scheme scheme = {.ctx = s->ctx, .g = s->g};
    for (uint32_t i = 0; i < 3; i++)
        if (!is_stored(s, n->in[i]) || (cyg_val(s->g, n->in[i])->quant.type != CYG_TYPE_S8 &&
                                        cyg_val(s->g, n->in[i])->quant.type != CYG_TYPE_S16))
            return false;
    return cyg_quant_has_form(&scheme, n);
}

static cyg_status visit_operator(cyg_given *s, cyg_node_id id)
{
    cyg_graph *g = s->g;
    const cyg_op op = cyg_nod(g, id)->op;
    const cyg_node_id r = result_form(s, id);
    bool fits = reads_stored(s, cyg_nod(g, id));
    if (id.i < s->floating_count && s->floating[id.i])
        return cyg_given_stay_float(s, id);
    if (op == CYG_OP_linear || op == CYG_OP_conv2d)
        return cyg_given_weights(s, id, r);
    if (op == CYG_OP_attention)
        fits = fits && attention_fits(s, cyg_nod(g, id));
    else
        fits = fits && has_form(s, cyg_nod(g, id));
    fits = fits && (op == CYG_OP_matmul || !cyg_node_is_none(r)); /* products may write floats */
    for (uint32_t i = 0; i < cyg_nod(g, id)->in_count && fits; i++) {
        cyg_value_id now;
        if (!cyg_quant_reads_data(cyg_nod(g, id), i) || !is_f32(s, cyg_nod(g, id)->in[i]))
            continue;
        CYG_DO(operand(s, cyg_nod(g, id)->in[i], &fits, &now));
        if (fits)
            cyg_node_set_input(g, id, i, now);
    }
    if (!fits) {
        s->report->float_nodes++;
        return stay_float(s, id);
    }
    if (op == CYG_OP_attention) {
        const bool narrow =
            s->asked != NULL && id.i < s->floating_count && s->asked[id.i].e_bits == 8;
        cyg_node_set_int(g, id, CYG_ATTR_e_bits, narrow ? 8 : 16);
    }
    s->report->integer_nodes++;
    if (!cyg_node_is_none(r))
        cyg_given_take_result(s, id, r);
    return CYG_OK;
}

void cyg_given_take_result(cyg_given *s, cyg_node_id id, cyg_node_id r)
{
    join_requants(s, cyg_nod(s->g, id)->out[0], &r);
    take_result(s, id, r);
}

cyg_status cyg_given_stay_float(cyg_given *s, cyg_node_id id)
{
    s->report->float_nodes++;
    return stay_float(s, id);
}

static cyg_status visit(cyg_given *s, cyg_node_id id)
{
    const cyg_node *n = cyg_nod(s->g, id);
    if (n->op == CYG_OP_removed)
        return CYG_OK;
    if (n->op == CYG_OP_requant)
        return visit_requant(s, id);
    if (cyg_quant_moves_elements(n) || n->op == CYG_OP_pad || selects(s->g, n))
        return visit_movement(s, id);
    return visit_operator(s, id);
}

/* Results leave as floats, under their own names. */
static cyg_status visit_outputs(cyg_given *s)
{
    cyg_graph *g = s->g;
    for (uint32_t i = 0; i < g->output_count; i++) {
        const cyg_value_id v = g->outputs[i];
        cyg_value_id now;
        if (!is_stored(s, v))
            continue;
        CYG_DO(to_float(s, v, CYG_NO_NODE, &now));
        if (!cyg_graph_is_output(g, now) && !cyg_quant_take_name(g, v, now))
            return nomem(s);
        cyg_graph_set_output(g, i, now);
    }
    return CYG_OK;
}

static cyg_status convert(cyg_given *s)
{
    cyg_graph *g = s->g;
    CYG_DO(cyg_uses_build(s->ctx, g, &s->scratch, &s->uses));
    for (uint32_t i = 0; i < g->order_count; i++)
        if (cyg_nod(g, g->order[i])->op == CYG_OP_fake_quant)
            CYG_DO(from_pair(s, g->order[i]));
    CYG_DO(raise_requants(s));
    const uint32_t count = g->order_count;
    cyg_node_id *order =
        cyg_arena_memdup(&s->scratch, g->order, sizeof *order * (count + (count == 0)));
    /* Nodes and values may be added on the way: conversions, and what weights need. */
    const size_t room = (size_t)g->value_count * 4 + 16;
    s->floats = CYG_NEW_ARRAY(&s->scratch, cyg_value_id, room);
    if (order == NULL || s->floats == NULL)
        return nomem(s);
    for (size_t v = 0; v < room; v++)
        s->floats[v] = CYG_NO_VALUE;
    s->known = g->value_count;
    for (uint32_t i = 0; i < count; i++)
        CYG_DO(visit(s, order[i]));
    CYG_DO(visit_outputs(s));
    for (uint32_t v = 0; v < g->value_count; v++)
        if (g->values[v].is_const && g->values[v].type == CYG_TYPE_F32)
            g->values[v].quant = (cyg_quant){.axis = -1}; /* read in float after all */
    return cyg_graph_sort(s->ctx, g);
}

/* Behind it `observed` is gone: convert() resets the scratch. */
static cyg_status close_open(cyg_given *s, const cyg_quant_options *options)
{
    s->asked = options->asked;
    const cyg_status status = cyg_given_close(s, options);
    s->observed = NULL;
    return status;
}

cyg_status cyg_quant_given(cyg_ctx *ctx, cyg_graph *g, const cyg_sample_source *samples,
                           const cyg_quant_options *options, cyg_quant_report *out_report)
{
    cyg_given s = {.ctx = ctx, .g = g, .report = out_report};
    *out_report = (cyg_quant_report){0};
    cyg_arena_init(&s.scratch);
    cyg_status status = CYG_OK;
    for (uint32_t i = 0; status == CYG_OK && i < g->value_count; i++)
        if (!cyg_value_shape_known(&g->values[i]) && !cyg_node_is_none(g->values[i].producer))
            status =
                CYG_FAIL(ctx, CYG_E_UNSUPPORTED,
                         "value \"%s\" has no fixed shape: give --input_shapes", g->values[i].name);
    const bool measured = samples != NULL && cyg_given_needs_ranges(g, options);
    if (status == CYG_OK && measured) {
        s.observed = CYG_NEW_ARRAY(&s.scratch, cyg_observed, g->value_count + 1);
        status = s.observed == NULL ? nomem(&s) : CYG_OK;
    }
    if (status == CYG_OK && samples == NULL && cyg_given_needs_ranges(g, options))
        status = CYG_FAIL(ctx, CYG_E_CONFIG,
                          "quant.layer_configs name operators whose scales the file leaves open: "
                          "give calibration data (quant.input_configs) to find them");
    if (status == CYG_OK && samples != NULL)
        status = cyg_quant_run_samples(ctx, g, samples, options, s.observed, &out_report->samples);
    if (status == CYG_OK && options->keep_reference) {
        out_report->reference = cyg_graph_clone(g);
        if (out_report->reference == NULL)
            status = nomem(&s);
    }
    if (status == CYG_OK && (measured || options->asked != NULL))
        status = close_open(&s, options);
    if (status == CYG_OK && options->normalize.enabled) {
        cyg_scheme scheme = {.ctx = ctx, .g = g, .options = options};
        status = cyg_quant_spell_normalize(&scheme);
    }
    if (status == CYG_OK)
        status = convert(&s);
    if (status != CYG_OK) {
        cyg_graph_destroy(out_report->reference);
        out_report->reference = NULL;
    }
    cyg_arena_deinit(&s.scratch);
    return status;
}
