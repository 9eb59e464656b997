/* Integers of a quantised file that something other than DequantizeLinear reads.
 *
 * Files in the QOperator format move integers (Transpose of uint8) and multiply them
 * (MatMulInteger, a Cast and a Mul by both scales, as ONNX Runtime's dynamic quantisation writes
 * it). Behind these two rewritings a DequantizeLinear follows every QuantizeLinear, and qdq.c sees
 * one kind of file:
 *
 *   DQ(move(x), s, z)  ->  move(DQ(x, s, z))     moving and dequantising commute; a padding
 *                                                constant is dequantised too
 *   Cast(P(DQ(a, 1, za), DQ(b, 1, zb))) * (sa * sb)  ->  P(DQ(a, sa, za), DQ(b, sb, zb))
 *                                                P: MatMul or Conv; sb a number or one a column
 *
 * ArgMax and ArgMin of integers are those of the numbers, whose scale is positive. */
#include "quant/qdq_spread.h"

#include "quant/internal.h"

typedef struct spreading {
    cyg_ctx *ctx;
    cyg_graph *g;
} spreading;

static cyg_status nomem(const spreading *s)
{
    return CYG_FAIL(s->ctx, CYG_E_NOMEM, "out of memory");
}

static cyg_node_id producer_of(const cyg_graph *g, cyg_value_id v, cyg_op op)
{
    const cyg_node_id n = cyg_value_is_none(v) ? CYG_NO_NODE : cyg_val(g, v)->producer;
    return !cyg_node_is_none(n) && cyg_nod(g, n)->op == op ? n : CYG_NO_NODE;
}

static bool is_integer(cyg_type type)
{
    int32_t lo, hi;
    return cyg_type_limits(type, &lo, &hi);
}

static bool is_number(const cyg_graph *g, cyg_value_id v)
{
    return !cyg_value_is_none(v) && cyg_val(g, v)->is_const &&
           cyg_value_elements(cyg_val(g, v)) == 1;
}

/* Goes, with all that only it needed. */
static void drop(cyg_graph *g, cyg_node_id id)
{
    const cyg_node *n = cyg_nod(g, id);
    for (uint32_t k = 0; k < n->out_count; k++)
        if (cyg_graph_is_output(g, n->out[k]) || cyg_graph_use_count(g, n->out[k]) > 0)
            return;
    const uint32_t count = n->in_count;
    const cyg_value_id *in = n->in;
    cyg_graph_remove_node(g, id);
    for (uint32_t i = 0; i < count; i++)
        if (!cyg_value_is_none(in[i]) && !cyg_node_is_none(cyg_val(g, in[i])->producer))
            drop(g, cyg_val(g, in[i])->producer);
}

/* DequantizeLinear in front of `before`, shaped as x; axis -1: one scale. */
static cyg_status add_dequantize(spreading *s, cyg_node_id before, cyg_value_id x,
                                 cyg_value_id scale, cyg_value_id zero, int axis,
                                 cyg_value_id *out_y)
{
    cyg_graph *g = s->g;
    const cyg_value from = *cyg_val(g, x); /* adding values may move the array */
    const cyg_value_id in[] = {x, scale, zero};
    *out_y = cyg_graph_add_value(g, from.name, CYG_TYPE_F32, from.rank, from.dims);
    const cyg_node_id n = cyg_value_is_none(*out_y)
                              ? CYG_NO_NODE
                              : cyg_graph_add_node(g, before, CYG_OP_dequantize_linear, NULL, in,
                                                   cyg_value_is_none(zero) ? 2 : 3, out_y, 1);
    if (cyg_node_is_none(n) || !cyg_node_set_int(g, n, CYG_ATTR_axis, axis < 0 ? 1 : axis))
        return nomem(s);
    cyg_node_merge_sources(g, n, before);
    return CYG_OK;
}

/* ---- movement ---- */

/* Operand i is moved. */
static bool carries(const cyg_node *n, uint32_t i)
{
    return n->op == CYG_OP_concat || i == 0;
}

static bool moves(const cyg_node *n)
{
    if (n->op == CYG_OP_resize)
        return strcmp(cyg_node_string(n, CYG_ATTR_mode, "nearest"), "nearest") == 0;
    return n->op == CYG_OP_max_pool || n->op == CYG_OP_pad ||
           (cyg_quant_is_move(n) && n->op != CYG_OP_scatter_nd &&
            n->op != CYG_OP_scatter_elements && n->op != CYG_OP_constant_of_shape &&
            n->op != CYG_OP_trilu && n->op != CYG_OP_shape && n->op != CYG_OP_size);
}

/* The DequantizeLinear of one scale that stands for all readers of n's results, or none. */
static cyg_node_id only_dequantized(const cyg_graph *g, const cyg_node *n)
{
    cyg_node_id first = CYG_NO_NODE;
    for (uint32_t k = 0; k < n->out_count; k++) {
        if (cyg_graph_is_output(g, n->out[k]))
            return CYG_NO_NODE;
        for (uint32_t u = cyg_graph_first_use(g, n->out[k]); u != CYG_NO_ID;
             u = cyg_graph_next_use(g, u)) {
            const cyg_node_id id = cyg_graph_use_node(g, u);
            const cyg_node *d = cyg_nod(g, id);
            if (d->op != CYG_OP_dequantize_linear || d->in[0].i != n->out[k].i ||
                !is_number(g, d->in[1]) || cyg_node_int(d, CYG_ATTR_block_size, 0) != 0)
                return CYG_NO_NODE;
            const cyg_node *f = cyg_node_is_none(first) ? d : cyg_nod(g, first);
            if (d->in[1].i != f->in[1].i || cyg_node_in(d, 2).i != cyg_node_in(f, 2).i)
                return CYG_NO_NODE;
            first = cyg_node_is_none(first) ? id : first;
        }
    }
    return first;
}

/* The float of the integer that pads; without one it is the integer 0. */
static cyg_status pad_value(spreading *s, cyg_node_id id, cyg_node_id like)
{
    cyg_graph *g = s->g;
    const cyg_node *n = cyg_nod(g, id), *d = cyg_nod(g, like);
    const cyg_value_id c = cyg_node_in(n, 2), zero = cyg_node_in(d, 2), scale = d->in[1];
    const cyg_value_id x = n->in[0];
    cyg_value_id number = c, now;
    if (strcmp(cyg_node_string(n, CYG_ATTR_mode, "constant"), "constant") != 0)
        return CYG_OK;
    if (cyg_value_is_none(c)) {
        static const uint32_t nothing;
        const cyg_type type = cyg_val(g, x)->type;
        number = cyg_graph_add_const_copy(g, NULL, type, 0, NULL, &nothing, cyg_type_size(type));
        if (cyg_value_is_none(number))
            return nomem(s);
    }
    CYG_DO(add_dequantize(s, id, number, scale, zero, -1, &now));
    cyg_node_set_input(g, id, 2, now);
    return cyg_graph_failed(g) ? nomem(s) : CYG_OK;
}

static cyg_status lift_over_movement(spreading *s, cyg_node_id id)
{
    cyg_graph *g = s->g;
    const cyg_node *n = cyg_nod(g, id);
    if (n->in_count < 1 || cyg_value_is_none(n->in[0]) || !is_integer(cyg_val(g, n->in[0])->type) ||
        !moves(n))
        return CYG_OK;
    const cyg_node_id like = only_dequantized(g, n);
    if (cyg_node_is_none(like))
        return CYG_OK;
    const cyg_value_id scale = cyg_nod(g, like)->in[1], zero = cyg_node_in(cyg_nod(g, like), 2);
    if (n->op == CYG_OP_pad)
        CYG_DO(pad_value(s, id, like));
    for (uint32_t i = 0; i < cyg_nod(g, id)->in_count; i++) {
        cyg_value_id now;
        if (!carries(cyg_nod(g, id), i))
            continue;
        CYG_DO(add_dequantize(s, id, cyg_nod(g, id)->in[i], scale, zero, -1, &now));
        cyg_node_set_input(g, id, i, now);
    }
    for (uint32_t k = 0; k < cyg_nod(g, id)->out_count; k++) {
        const cyg_value_id y = cyg_nod(g, id)->out[k];
        /* The DequantizeLinears stand first; their readers come behind them. */
        for (uint32_t rest = cyg_graph_use_count(g, y); rest > 0; rest--) {
            const cyg_node_id d = cyg_graph_use_node(g, cyg_graph_first_use(g, y));
            const cyg_value_id was = cyg_nod(g, d)->out[0];
            cyg_graph_replace_uses(g, was, y);
            cyg_graph_remove_node(g, d);
        }
        cyg_val(g, y)->type = CYG_TYPE_F32;
    }
    return CYG_OK;
}

/* ArgMax and ArgMin read the numbers instead. */
static cyg_status lift_over_choice(spreading *s, cyg_node_id id)
{
    cyg_graph *g = s->g;
    const cyg_value_id x = cyg_nod(g, id)->in[0];
    const cyg_node_id q = producer_of(g, x, CYG_OP_quantize_linear);
    cyg_value_id now;
    if (!is_integer(cyg_val(g, x)->type) || cyg_node_is_none(q) ||
        !is_number(g, cyg_nod(g, q)->in[1]))
        return CYG_OK;
    CYG_DO(add_dequantize(s, id, x, cyg_nod(g, q)->in[1], cyg_node_in(cyg_nod(g, q), 2), -1, &now));
    cyg_node_set_input(g, id, 0, now);
    return CYG_OK;
}

/* ---- products of integers ---- */

typedef struct product {
    cyg_node_id work;      /* the MatMul or Conv */
    cyg_node_id dq[2];     /* its DequantizeLinears, at a scale of one */
    cyg_value_id scale[2]; /* what they are to have */
} product;

/* v seen through the Casts behind a product of integers. */
static cyg_node_id cast_product(const cyg_graph *g, cyg_value_id v)
{
    const cyg_node_id outer = producer_of(g, v, CYG_OP_cast);
    if (cyg_node_is_none(outer) || cyg_val(g, v)->type != CYG_TYPE_F32)
        return CYG_NO_NODE;
    const cyg_value_id whole = cyg_nod(g, outer)->in[0];
    const cyg_node_id inner = producer_of(g, whole, CYG_OP_cast);
    if (cyg_node_is_none(inner) || cyg_val(g, whole)->type != CYG_TYPE_S32)
        return CYG_NO_NODE;
    const cyg_value_id p = cyg_nod(g, inner)->in[0];
    const cyg_node_id work = cyg_val(g, p)->producer;
    return !cyg_node_is_none(work) &&
                   (cyg_nod(g, work)->op == CYG_OP_matmul || cyg_nod(g, work)->op == CYG_OP_conv)
               ? work
               : CYG_NO_NODE;
}

static bool is_one(const cyg_graph *g, cyg_value_id v)
{
    const cyg_value *c = cyg_val(g, v);
    if (!c->is_const || c->type != CYG_TYPE_F32)
        return false;
    for (int64_t i = 0; i < cyg_value_elements(c); i++)
        if (((const float *)c->data)[i] < 1.0f || ((const float *)c->data)[i] > 1.0f)
            return false;
    return true;
}

/* The scale that the left operand's QuantizeLinear has: then it is the left one of a product. */
static bool is_scale_of(const cyg_graph *g, const product *p, cyg_value_id scale)
{
    const cyg_node_id q = producer_of(g, cyg_nod(g, p->dq[0])->in[0], CYG_OP_quantize_linear);
    return !cyg_node_is_none(q) && cyg_nod(g, q)->in[1].i == scale.i;
}

/* One scale, or one for each column (MatMul) or kernel (Conv, where they stand at the channels). */
static bool scales_columns(const cyg_graph *g, const product *p, cyg_value_id scale)
{
    const cyg_value *c = cyg_val(g, scale), *w = cyg_val(g, cyg_nod(g, p->dq[1])->in[0]);
    const int64_t count = c->is_const && c->type == CYG_TYPE_F32 ? cyg_value_elements(c) : 0;
    if (count == 1)
        return true;
    if (count < 1 || !cyg_value_shape_known(w) || w->rank < 2)
        return false;
    if (cyg_nod(g, p->work)->op == CYG_OP_matmul)
        return w->dims[w->rank - 1] == count && c->rank > 0 && c->dims[c->rank - 1] == count;
    return w->dims[0] == count && c->rank >= w->rank - 1 &&
           c->dims[c->rank - (w->rank - 1)] == count;
}

static bool find_product(const cyg_graph *g, const cyg_node *mul, product *p)
{
    for (uint32_t i = 0; i < 2; i++) {
        const cyg_node_id work = cast_product(g, mul->in[i]),
                          scales = producer_of(g, mul->in[1 - i], CYG_OP_mul);
        if (cyg_node_is_none(work) || cyg_node_is_none(scales))
            continue;
        p->work = work;
        bool found = true;
        for (uint32_t k = 0; k < 2 && found; k++) {
            p->dq[k] = producer_of(g, cyg_nod(g, work)->in[k], CYG_OP_dequantize_linear);
            found = !cyg_node_is_none(p->dq[k]) && is_one(g, cyg_nod(g, p->dq[k])->in[1]);
        }
        for (uint32_t k = 0; k < 2 && found; k++) {
            p->scale[0] = cyg_nod(g, scales)->in[k];
            p->scale[1] = cyg_nod(g, scales)->in[1 - k];
            if (is_scale_of(g, p, p->scale[0]) && scales_columns(g, p, p->scale[1]))
                return true;
        }
    }
    return false;
}

/* As many zero points as scales, or one for all. */
static bool counts_match(const cyg_graph *g, cyg_value_id scale, cyg_value_id zero)
{
    const int64_t scales = cyg_value_elements(cyg_val(g, scale)),
                  zeros = cyg_value_is_none(zero) ? 1 : cyg_value_elements(cyg_val(g, zero));
    return scales == zeros || (scales == 1 && zeros > 1) || (zeros == 1 && scales > 1);
}

/* Scales and zero points of the right operand, as many of each. */
static cyg_status match_counts(spreading *s, cyg_value_id *io_scale, cyg_value_id *io_zero)
{
    cyg_graph *g = s->g;
    const cyg_value scale = *cyg_val(g, *io_scale);
    const int64_t scales = cyg_value_elements(&scale);
    const int64_t zeros =
        cyg_value_is_none(*io_zero) ? scales : cyg_value_elements(cyg_val(g, *io_zero));
    const int64_t count = scales > zeros ? scales : zeros;
    cyg_value_id *const lists[] = {io_scale, io_zero};
    for (int i = 0; i < 2; i++) {
        if (cyg_value_is_none(*lists[i]))
            continue;
        const cyg_value v = *cyg_val(g, *lists[i]);
        const size_t size = cyg_type_size(v.type);
        char *data = cyg_arena_alloc(&g->arena, (size_t)count * size + 1, 64);
        if (data == NULL)
            return nomem(s);
        for (int64_t k = 0; k < count; k++)
            memcpy(data + (size_t)k * size,
                   (const char *)v.data + (cyg_value_elements(&v) == 1 ? 0 : (size_t)k * size),
                   size);
        *lists[i] =
            cyg_graph_add_const(g, v.name, v.type, count > 1, &count, data, (size_t)count * size);
        if (cyg_value_is_none(*lists[i]))
            return nomem(s);
    }
    return CYG_OK;
}

static cyg_status join_scales(spreading *s, cyg_node_id mul)
{
    cyg_graph *g = s->g;
    product p;
    if (!find_product(g, cyg_nod(g, mul), &p))
        return CYG_OK;
    const cyg_value_id y = cyg_nod(g, mul)->out[0];
    const cyg_node work = *cyg_nod(g, p.work);
    const cyg_value_id w = cyg_nod(g, p.dq[1])->in[0];
    cyg_value_id zero = cyg_node_in(cyg_nod(g, p.dq[1]), 2), in[2];
    if (work.in_count != 2 || !cyg_val(g, w)->is_const ||
        (!cyg_value_is_none(zero) && !cyg_val(g, zero)->is_const) ||
        !counts_match(g, p.scale[1], zero))
        return CYG_OK;
    CYG_DO(match_counts(s, &p.scale[1], &zero));
    const int axis = work.op == CYG_OP_matmul ? cyg_val(g, w)->rank - 1 : 0;
    CYG_DO(add_dequantize(s, mul, cyg_nod(g, p.dq[0])->in[0], p.scale[0],
                          cyg_node_in(cyg_nod(g, p.dq[0]), 2), -1, &in[0]));
    CYG_DO(add_dequantize(s, mul, w, p.scale[1], zero,
                          cyg_value_elements(cyg_val(g, p.scale[1])) > 1 ? axis : -1, &in[1]));
    const cyg_value like = *cyg_val(g, y);
    const cyg_value_id now = cyg_graph_add_value(g, like.name, CYG_TYPE_F32, like.rank, like.dims);
    const cyg_node_id n = cyg_value_is_none(now)
                              ? CYG_NO_NODE
                              : cyg_graph_add_node(g, mul, work.op, work.name, in, 2, &now, 1);
    if (cyg_node_is_none(n) || !cyg_node_copy_attrs(g, n, cyg_nod(g, p.work)))
        return nomem(s);
    cyg_node_merge_sources(g, n, p.work);
    cyg_graph_replace_uses(g, y, now);
    drop(g, mul);
    return CYG_OK;
}

/* ---- all ---- */

static cyg_status spread(spreading *s, const cyg_node_id *order, uint32_t count)
{
    cyg_graph *g = s->g;
    for (uint32_t i = 0; i < count; i++)
        if (cyg_nod(g, order[i])->op == CYG_OP_mul)
            CYG_DO(join_scales(s, order[i]));
    for (uint32_t i = count; i-- > 0;) {
        const cyg_op op = cyg_nod(g, order[i])->op;
        if (op == CYG_OP_removed)
            continue;
        if (op == CYG_OP_arg_max || op == CYG_OP_arg_min)
            CYG_DO(lift_over_choice(s, order[i]));
        else
            CYG_DO(lift_over_movement(s, order[i]));
    }
    return CYG_OK;
}

cyg_status cyg_qdq_spread(cyg_ctx *ctx, cyg_graph *g)
{
    spreading s = {.ctx = ctx, .g = g};
    cyg_arena scratch;
    cyg_arena_init(&scratch);
    const uint32_t count = g->order_count;
    cyg_node_id *order =
        cyg_arena_memdup(&scratch, g->order, sizeof *order * (count + (count == 0)));
    cyg_status status = order == NULL ? nomem(&s) : cyg_graph_edit_begin(ctx, g);
    if (status == CYG_OK)
        status = spread(&s, order, count);
    cyg_graph_edit_end(g);
    cyg_arena_deinit(&scratch);
    return status == CYG_OK ? cyg_graph_sort(ctx, g) : status;
}
