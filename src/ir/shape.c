/* Shape inference: the driver, the table of rules and what the rules share.
 *
 * One pass over the order. A rule computes an operator's output shapes from its operands' and hands
 * them to cyg_infer_set, which merges them with what the graph states: known beats symbolic beats
 * "?". Two known sizes that differ are an error when a whole graph is inferred (the file lies, or
 * we do); a single node inferred at run time takes the new ones.
 *
 * Operators that take shapes as tensors (Reshape, Slice, Expand, ...) need contents. Constants have
 * them, the interpreter lends them, and in between small integer tensors are followed through the
 * graph element by element (shape_follow.c), so that Shape -> Gather -> Concat -> Reshape chains
 * resolve without running anything, with symbolic dimensions as far as that is simple.
 *
 * What a rule does not know it leaves open; only what cannot be right is an error. */
#include "ir/shape.h"

#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/checked.h"

#define RULE(op, rule) [CYG_OP_##op] = cyg_shape_rule_##rule
static const cyg_shape_rule rules[CYG_OP_COUNT] = {
    RULE(abs, same),
    RULE(ceil, same),
    RULE(cos, same),
    RULE(erf, same),
    RULE(exp, same),
    RULE(floor, same),
    RULE(hardswish, same),
    RULE(log, same),
    RULE(mish, same),
    RULE(neg, same),
    RULE(not, same),
    RULE(is_nan, compare),
    RULE(reciprocal, same),
    RULE(relu, same),
    RULE(round, same),
    RULE(sigmoid, same),
    RULE(sign, same),
    RULE(sin, same),
    RULE(softplus, same),
    RULE(sqrt, same),
    RULE(tanh, same),
    RULE(elu, same),
    RULE(gelu, same),
    RULE(hardsigmoid, same),
    RULE(leaky_relu, same),
    RULE(clip, same),
    RULE(identity, same),
    RULE(requant, same),
    RULE(fake_quant, same),
    RULE(cast, cast),
    RULE(cast_like, cast_like),
    RULE(einsum, einsum),
    RULE(eye_like, eye_like),
    /* element-wise with broadcasting */
    RULE(add, broadcast),
    RULE(sub, broadcast),
    RULE(mul, broadcast),
    RULE(div, broadcast),
    RULE(pow, broadcast),
    RULE(mod, broadcast),
    RULE(and, compare),
    RULE(or, compare),
    RULE(xor, compare),
    RULE(prelu, broadcast),
    RULE(max, broadcast),
    RULE(min, broadcast),
    RULE(sum, broadcast),
    RULE(equal, compare),
    RULE(greater, compare),
    RULE(greater_or_equal, compare),
    RULE(less, compare),
    RULE(less_or_equal, compare),
    RULE(where, where),
    /* products, convolution, pooling */
    RULE(matmul, matmul),
    RULE(gemm, gemm),
    RULE(conv, conv),
    RULE(conv_transpose, conv_transpose),
    RULE(max_pool, pool),
    RULE(average_pool, pool),
    RULE(global_average_pool, global_pool),
    RULE(global_max_pool, global_pool),
    /* normalisation, softmax, reductions */
    RULE(batch_normalization, normalization),
    RULE(layer_normalization, layer_normalization),
    RULE(rms_normalization, layer_normalization),
    RULE(channel_norm, channel_norm),
    RULE(instance_normalization, group_normalization),
    RULE(group_normalization, group_normalization),
    RULE(lp_normalization, axis_same),
    RULE(softmax, axis_same),
    RULE(log_softmax, axis_same),
    RULE(reduce_mean, reduce),
    RULE(reduce_sum, reduce),
    RULE(reduce_max, reduce),
    RULE(reduce_min, reduce),
    RULE(reduce_prod, reduce),
    RULE(reduce_l2, reduce),
    RULE(arg_max, arg_max),
    RULE(arg_min, arg_max),
    RULE(cumsum, cumsum),
    /* shapes and movement */
    RULE(reshape, reshape),
    RULE(flatten, flatten),
    RULE(squeeze, squeeze),
    RULE(unsqueeze, unsqueeze),
    RULE(transpose, transpose),
    RULE(concat, concat),
    RULE(split, split),
    RULE(slice, slice),
    RULE(gather, gather),
    RULE(gather_elements, gather_elements),
    RULE(gather_nd, gather_nd),
    RULE(scatter_nd, scatter_nd),
    RULE(scatter_elements, scatter_elements),
    RULE(top_k, top_k),
    RULE(nonzero, nonzero),
    RULE(trilu, trilu),
    RULE(depth_to_space, depth_to_space),
    RULE(space_to_depth, space_to_depth),
    RULE(pad, pad),
    RULE(expand, expand),
    RULE(tile, tile),
    RULE(shape, shape),
    RULE(size, size),
    RULE(range, range),
    RULE(constant_of_shape, constant_of_shape),
    RULE(resize, resize),
    RULE(grid_sample, grid_sample),
    RULE(roi_align, roi_align),
    RULE(lstm, lstm),
    /* quantised exchange, fused operators */
    RULE(quantize_linear, quantize_linear),
    RULE(dequantize_linear, dequantize_linear),
    RULE(linear, linear),
    RULE(conv2d, conv2d),
    RULE(pool2d, pool2d),
    RULE(attention, attention),
    RULE(gather_rows, gather_rows),
};
#undef RULE

cyg_shape_rule cyg_shape_rule_of(cyg_op op)
{
    return (unsigned)op < CYG_OP_COUNT ? rules[op] : NULL;
}

/* ---- operands ---- */

const cyg_value *cyg_infer_in(const cyg_infer *s, uint32_t i)
{
    const cyg_value_id v = cyg_node_in(s->n, i);
    return v.i < s->g->value_count ? cyg_val(s->g, v) : NULL;
}

cyg_shape cyg_infer_shape_in(const cyg_infer *s, uint32_t i)
{
    const cyg_value *v = cyg_infer_in(s, i);
    cyg_shape x = {.type = CYG_TYPE_NONE, .rank = CYG_RANK_UNKNOWN};
    if (v != NULL) {
        x.type = v->type;
        x.rank = v->rank;
        memcpy(x.dims, v->dims, sizeof x.dims);
    }
    return x;
}

const void *cyg_infer_bytes(const cyg_infer *s, uint32_t i)
{
    const cyg_value *v = cyg_infer_in(s, i);
    if (v == NULL || !cyg_value_shape_known(v))
        return NULL;
    if (v->is_const)
        return v->data;
    return s->data_of == NULL ? NULL : s->data_of(s->user, cyg_node_in(s->n, i));
}

static bool read_ints(const cyg_value *v, const void *data, cyg_ints *out)
{
    const uint8_t *bytes = data;
    for (uint32_t k = 0; k < out->count; k++) {
        out->known[k] = true;
        if (v->type == CYG_TYPE_S64)
            out->v[k] = cyg_load_i64(bytes + 8 * (size_t)k);
        else if (v->type == CYG_TYPE_S32)
            out->v[k] = cyg_load_i32(bytes + 4 * (size_t)k);
        else
            out->v[k] = bytes[k] != 0;
    }
    return true;
}

bool cyg_infer_ints(const cyg_infer *s, uint32_t i, cyg_ints *out)
{
    const cyg_value *v = cyg_infer_in(s, i);
    if (v == NULL)
        return false;
    if (s->known != NULL && s->known[cyg_node_in(s->n, i).i] != NULL) {
        *out = *s->known[cyg_node_in(s->n, i).i];
        return true;
    }
    const int64_t count = cyg_value_elements(v);
    if ((v->type != CYG_TYPE_S64 && v->type != CYG_TYPE_S32 && v->type != CYG_TYPE_BOOL) ||
        v->rank > 1 || count < 0 || count > CYG_INTS_MAX)
        return false;
    *out = (cyg_ints){.rank = v->rank, .count = (uint32_t)count};
    const void *data = cyg_infer_bytes(s, i);
    if (data != NULL || (count == 0 && v->is_const))
        return read_ints(v, data, out);
    for (uint32_t k = 0; k < out->count; k++)
        out->v[k] = -1;
    return true;
}

bool cyg_ints_all_known(const cyg_ints *x)
{
    for (uint32_t i = 0; i < x->count; i++)
        if (!x->known[i])
            return false;
    return true;
}

/* ---- results ---- */

static cyg_status contradiction(cyg_infer *s, const cyg_value *v, const cyg_shape *found)
{
    cyg_shape stated = {.type = v->type, .rank = v->rank};
    memcpy(stated.dims, v->dims, sizeof stated.dims);
    return CYG_INFER_FAIL(s, "output %s: expected %s%s, found %s%s", v->name,
                          cyg_type_name(v->type), cyg_shape_str(s->g, &stated).s,
                          cyg_type_name(found->type), cyg_shape_str(s->g, found).s);
}

static bool merge_dim(bool check, int64_t *stated, int64_t found)
{
    if (found >= 0) {
        if (check && *stated >= 0 && *stated != found)
            return false;
        *stated = found;
    } else if (found != -1 && (*stated < 0 || !check)) {
        *stated = found; /* a symbol that comes from the inputs beats one that a file made up */
    }
    return true;
}

cyg_status cyg_infer_set(cyg_infer *s, uint32_t i, const cyg_shape *found)
{
    if (i >= s->n->out_count || s->n->out[i].i >= s->g->value_count)
        return CYG_OK;
    cyg_value *v = cyg_val(s->g, s->n->out[i]);
    if (found->type != CYG_TYPE_NONE) {
        if (s->check && v->type != CYG_TYPE_NONE && v->type != found->type)
            return contradiction(s, v, found);
        v->type = found->type;
    }
    if (found->rank == CYG_RANK_UNKNOWN)
        return CYG_OK;
    int64_t total = 1;
    for (unsigned d = 0; d < found->rank; d++)
        if (found->dims[d] > 0 && !cyg_mul_i64(total, found->dims[d], &total))
            return CYG_INFER_FAIL(s, "output %s: the shape %s is too large", v->name,
                                  cyg_shape_str(s->g, found).s);
    if (v->rank == CYG_RANK_UNKNOWN || (!s->check && v->rank != found->rank)) {
        v->rank = found->rank;
        memcpy(v->dims, found->dims, sizeof v->dims);
        return CYG_OK;
    }
    if (v->rank != found->rank)
        return contradiction(s, v, found);
    for (unsigned d = 0; d < v->rank; d++)
        if (!merge_dim(s->check, &v->dims[d], found->dims[d]))
            return contradiction(s, v, found);
    return CYG_OK;
}

cyg_status cyg_infer_set_unknown(cyg_infer *s, cyg_type type)
{
    const cyg_shape x = {.type = type, .rank = CYG_RANK_UNKNOWN};
    return cyg_infer_set(s, 0, &x);
}

/* ---- helpers ---- */

cyg_shape_text cyg_shape_str(const cyg_graph *g, const cyg_shape *x)
{
    cyg_shape_text t = {"[...]"};
    if (x->rank == CYG_RANK_UNKNOWN)
        return t;
    size_t at = 0;
    t.s[at++] = '[';
    for (unsigned i = 0; i < x->rank && at < sizeof t.s - 32; i++) {
        const char *comma = i == 0 ? "" : ",";
        if (x->dims[i] >= 0)
            at += (size_t)snprintf(t.s + at, 24, "%s%lld", comma, (long long)x->dims[i]);
        else if (-x->dims[i] - 1 < (int64_t)g->symbol_count)
            at += (size_t)snprintf(t.s + at, 24, "%s%.16s", comma, g->symbols[-x->dims[i] - 1]);
    }
    t.s[at++] = ']';
    t.s[at] = '\0';
    return t;
}

cyg_status cyg_infer_axis(cyg_infer *s, int64_t axis, int rank, int *out_axis)
{
    if (axis < -rank || axis >= rank)
        return CYG_INFER_FAIL(s, "expected an axis in [%d, %d), found %lld", -rank, rank,
                              (long long)axis);
    *out_axis = (int)(axis < 0 ? axis + rank : axis);
    return CYG_OK;
}

cyg_status cyg_infer_broadcast(cyg_infer *s, const cyg_shape *a, const cyg_shape *b, cyg_shape *out)
{
    cyg_shape r = {.type = a->type, .rank = CYG_RANK_UNKNOWN};
    if (a->rank == CYG_RANK_UNKNOWN || b->rank == CYG_RANK_UNKNOWN) {
        *out = r;
        return CYG_OK;
    }
    r.rank = a->rank > b->rank ? a->rank : b->rank;
    for (int i = 1; i <= r.rank; i++) {
        const int64_t da = i <= a->rank ? a->dims[a->rank - i] : 1;
        const int64_t db = i <= b->rank ? b->dims[b->rank - i] : 1;
        int64_t d;
        if (da == 1 || db == 1)
            d = da == 1 ? db : da;
        else if (da >= 0 && db >= 0 && da != db)
            return CYG_INFER_FAIL(s, "shapes %s and %s do not broadcast", cyg_shape_str(s->g, a).s,
                                  cyg_shape_str(s->g, b).s);
        else if (da >= 0 || db >= 0)
            d = da >= 0 ? da : db; /* the symbolic one is that, or one */
        else
            d = da == db ? da : -1;
        r.dims[r.rank - i] = d;
    }
    *out = r;
    return CYG_OK;
}

cyg_status cyg_infer_same_dim(cyg_infer *s, const char *what, int64_t a, int64_t b, int64_t *out)
{
    if (a >= 0 && b >= 0 && a != b)
        return CYG_INFER_FAIL(s, "%s: expected %lld, found %lld", what, (long long)a, (long long)b);
    *out = a >= 0 ? a : b >= 0 ? b : a != -1 ? a : b;
    return CYG_OK;
}

int64_t cyg_shape_product(const cyg_shape *x, int from, int to)
{
    int64_t product = 1, symbol = 0;
    for (int i = from; i < to; i++)
        if (x->dims[i] == 0)
            return 0;
    for (int i = from; i < to; i++) {
        if (x->dims[i] >= 0) {
            if (!cyg_mul_i64(product, x->dims[i], &product))
                return -1;
        } else {
            symbol = symbol == 0 ? x->dims[i] : -1;
        }
    }
    return symbol == 0 ? product : product == 1 ? symbol : -1;
}

cyg_status cyg_infer_same_type(cyg_infer *s, uint32_t i, uint32_t j)
{
    const cyg_value *a = cyg_infer_in(s, i), *b = cyg_infer_in(s, j);
    if (a == NULL || b == NULL || a->type == b->type || a->type == CYG_TYPE_NONE ||
        b->type == CYG_TYPE_NONE || a->quant.type != CYG_TYPE_NONE ||
        b->quant.type != CYG_TYPE_NONE)
        return CYG_OK;
    return CYG_INFER_FAIL(s, "inputs %s and %s: expected one type, found %s and %s", a->name,
                          b->name, cyg_type_name(a->type), cyg_type_name(b->type));
}

/* ---- drivers ---- */

static cyg_status check_arity(cyg_infer *s)
{
    const cyg_op_schema *schema = cyg_op_schema_of(s->n->op);
    if (s->n->in_count < (uint32_t)schema->min_in || s->n->out_count < (uint32_t)schema->min_out)
        return CYG_INFER_FAIL(s, "expected %d inputs and %d outputs at least, found %u and %u",
                              schema->min_in, schema->min_out, s->n->in_count, s->n->out_count);
    return CYG_OK;
}

static bool is_float(cyg_type type)
{
    return type == CYG_TYPE_F32 || type == CYG_TYPE_F16 || type == CYG_TYPE_BF16 ||
           type == CYG_TYPE_F64;
}

/* Operators that ONNX defines on floats only. */
static cyg_status check_float(cyg_infer *s)
{
    const cyg_value *x = cyg_infer_in(s, 0);
    if ((cyg_op_schema_of(s->n->op)->flags & CYG_OPF_FLOAT) == 0 || x == NULL ||
        x->type == CYG_TYPE_NONE || x->quant.type != CYG_TYPE_NONE || is_float(x->type))
        return CYG_OK;
    return CYG_INFER_FAIL(s, "input %s: expected a floating type, found %s", x->name,
                          cyg_type_name(x->type));
}

static cyg_status infer_one(cyg_infer *s)
{
    const cyg_shape_rule rule = cyg_shape_rule_of(s->n->op);
    if (rule == NULL)
        return CYG_OK;
    CYG_DO(check_arity(s));
    CYG_DO(check_float(s));
    return rule(s);
}

cyg_status cyg_node_infer_with(cyg_ctx *ctx, cyg_graph *g, cyg_node_id n, cyg_infer_data data_of,
                               void *user)
{
    cyg_infer s = {.ctx = ctx, .g = g, .id = n, .n = cyg_nod(g, n), .data_of = data_of};
    s.user = user;
    return infer_one(&s);
}

cyg_status cyg_node_infer(cyg_ctx *ctx, cyg_graph *g, cyg_node_id n)
{
    return cyg_node_infer_with(ctx, g, n, NULL, NULL);
}

/* What became known about output 0's contents goes into the side table. */
static cyg_status remember(cyg_infer *s)
{
    cyg_ints found;
    const uint32_t out = s->n->out_count > 0 ? s->n->out[0].i : CYG_NO_ID;
    if (out >= s->g->value_count || s->known[out] != NULL || !cyg_infer_follow(s, &found))
        return CYG_OK;
    s->known[out] = cyg_arena_memdup(s->scratch, &found, sizeof found);
    return s->known[out] == NULL ? CYG_FAIL(s->ctx, CYG_E_NOMEM, "out of memory") : CYG_OK;
}

cyg_status cyg_graph_infer_shapes(cyg_ctx *ctx, cyg_graph *g)
{
    cyg_arena scratch;
    cyg_arena_init(&scratch);
    cyg_infer s = {.ctx = ctx, .g = g, .check = true, .scratch = &scratch};
    s.known = CYG_NEW_ARRAY(&scratch, cyg_ints *, (size_t)g->value_count + 1);
    cyg_status st = s.known == NULL ? CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory") : CYG_OK;
    for (uint32_t k = 0; k < g->order_count && st == CYG_OK; k++) {
        s.id = g->order[k];
        s.n = cyg_nod(g, s.id);
        if (s.n->op == CYG_OP_removed)
            continue;
        st = infer_one(&s);
        if (st == CYG_OK)
            st = remember(&s);
    }
    cyg_arena_deinit(&scratch);
    return st;
}
