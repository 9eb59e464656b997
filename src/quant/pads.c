/* Paddings between float values and a quantised reader (behind a model's input, above all) become
 * paddings of codes.
 *
 * x -> pad -> requant -> y is x -> requant -> pad -> y with the constant as a code: requant works
 * element by element. The code is what i_requant makes of the constant, in its own binary32
 * arithmetic (docs/numerics.md), so that no bit changes. */
#include <math.h>
#include <string.h>

#include "quant/params.h"

/* The only reader of v, if that is all that uses it. */
static cyg_node_id only_reader(const cyg_graph *g, cyg_value_id v)
{
    cyg_node_id found = CYG_NO_NODE;
    if (cyg_graph_is_output(g, v))
        return CYG_NO_NODE;
    for (uint32_t i = 0; i < g->order_count; i++) {
        const cyg_node *n = cyg_nod(g, g->order[i]);
        for (uint32_t k = 0; k < n->in_count; k++) {
            if (n->in[k].i != v.i)
                continue;
            if (!cyg_node_is_none(found))
                return CYG_NO_NODE;
            found = g->order[i];
        }
    }
    return found;
}

static bool is_plain_float(const cyg_graph *g, cyg_value_id v)
{
    const cyg_value *x = cyg_val(g, v);
    return x->type == CYG_TYPE_F32 && x->quant.type == CYG_TYPE_NONE && !x->is_const;
}

/* The constant of a pad that has one and pads with it. */
static bool constant_of(const cyg_graph *g, const cyg_node *n, float *out)
{
    const cyg_value_id c = cyg_node_in(n, 2);
    *out = 0.0f;
    if (n->op != CYG_OP_pad || strcmp(cyg_node_string(n, CYG_ATTR_mode, "constant"), "constant"))
        return false;
    if (cyg_value_is_none(c))
        return true;
    const cyg_value *v = cyg_val(g, c);
    if (!v->is_const || v->type != CYG_TYPE_F32 || v->quant.type != CYG_TYPE_NONE ||
        cyg_value_elements(v) != 1)
        return false;
    *out = *(const float *)v->data;
    return isfinite(*out);
}

static int32_t clamp(float x, int32_t lo, int32_t hi)
{
    return x < (float)lo ? lo : x > (float)hi ? hi : (int32_t)x;
}

static cyg_value_id code_const(cyg_graph *g, float constant, const cyg_quant *q)
{
    const float k = (float)(1.0 / (double)q->scales[0]), t = nearbyintf(constant * k);
    uint8_t data[2] = {0};
    if (q->type == CYG_TYPE_U8) {
        data[0] = (uint8_t)(clamp(t, -q->zero_point, 255 - q->zero_point) + q->zero_point);
    } else if (q->type == CYG_TYPE_S8) {
        data[0] = (uint8_t)(int8_t)clamp(t, -127, 127);
    } else {
        const int16_t wide = (int16_t)clamp(t, -32767, 32767);
        memcpy(data, &wide, 2);
    }
    const cyg_value_id c =
        cyg_graph_add_const_copy(g, NULL, q->type, 0, NULL, data, q->type == CYG_TYPE_S16 ? 2 : 1);
    if (!cyg_value_is_none(c))
        cyg_val(g, c)->quant = *q;
    return c;
}

static cyg_status swap(cyg_ctx *ctx, cyg_graph *g, cyg_node_id pad, cyg_node_id requant,
                       float constant)
{
    const cyg_value_id x = cyg_nod(g, pad)->in[0], v = cyg_nod(g, pad)->out[0],
                       y = cyg_nod(g, requant)->out[0];
    const cyg_quant q = cyg_val(g, y)->quant;
    const cyg_value like = *cyg_val(g, x);
    const cyg_value_id c = code_const(g, constant, &q),
                       codes =
                           cyg_graph_add_value(g, like.name, CYG_TYPE_F32, like.rank, like.dims);
    if (cyg_value_is_none(c) || cyg_value_is_none(codes) || !cyg_quant_take_name(g, v, y))
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    cyg_val(g, codes)->quant = q;
    cyg_val(g, codes)->producer = requant;
    cyg_val(g, y)->producer = pad;
    cyg_val(g, v)->producer = CYG_NO_NODE;
    cyg_node_set_input(g, requant, 0, x);
    cyg_nod(g, requant)->out[0] = codes;
    cyg_node_set_input(g, pad, 0, codes);
    cyg_node_set_input(g, pad, 2, c);
    cyg_nod(g, pad)->out[0] = y;
    return CYG_OK;
}

cyg_status cyg_quant_integer_pads(cyg_ctx *ctx, cyg_graph *g, uint32_t *out_count)
{
    *out_count = 0;
    for (uint32_t i = 0; i < g->order_count; i++) {
        const cyg_node *n = cyg_nod(g, g->order[i]);
        float constant;
        if (!constant_of(g, n, &constant) || n->in_count < 3 || !is_plain_float(g, n->in[0]) ||
            !is_plain_float(g, n->out[0]))
            continue;
        const cyg_node_id reader = only_reader(g, n->out[0]);
        if (cyg_node_is_none(reader) || cyg_nod(g, reader)->op != CYG_OP_requant)
            continue;
        const cyg_quant *q = &cyg_val(g, cyg_nod(g, reader)->out[0])->quant;
        if (q->count != 1 ||
            (q->type != CYG_TYPE_U8 && q->type != CYG_TYPE_S8 && q->type != CYG_TYPE_S16))
            continue;
        CYG_DO(swap(ctx, g, g->order[i], reader, constant));
        ++*out_count;
    }
    return cyg_graph_sort(ctx, g);
}
