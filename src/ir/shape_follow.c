/* Value following: the contents of small integer tensors, as far as the graph's structure tells.
 *
 * Exporters compute shapes with nodes: Shape, Gather of one dimension, arithmetic, Concat, Reshape.
 * Here every element is a number or the symbolic dimension that it stands for (-1: any). Symbols
 * survive movement, and addition of 0 or multiplication by 1; other arithmetic on them gives "any".
 * Nothing is folded into the graph: that is the optimiser's work; this only lets shapes resolve.
 *
 * Limits: rank 0 or 1, at most 64 elements, S64, S32 and BOOL. */
#include "ir/shape.h"

#include <string.h>

#include "base/bytes.h"
#include "base/checked.h"

typedef struct element {
    bool known;
    int64_t v;
} element;

static element element_at(const cyg_ints *x, uint32_t i)
{
    i = x->count == 1 ? 0 : i; /* broadcasting */
    return (element){x->known[i], x->v[i]};
}

static void put(cyg_ints *out, uint32_t i, element e)
{
    out->known[i] = e.known;
    out->v[i] = e.v;
}

static const element any = {false, -1};

static element number(int64_t v)
{
    return (element){true, v};
}

static element dimension(int64_t dim)
{
    return (element){dim >= 0, dim};
}

static element arithmetic(cyg_op op, element a, element b)
{
    int64_t r = 0;
    /* What leaves a symbol as it is. */
    if (!a.known || !b.known) {
        const int64_t neutral = op == CYG_OP_mul || op == CYG_OP_div ? 1 : 0;
        const bool either_way = op == CYG_OP_add || op == CYG_OP_mul;
        const bool moves = either_way || op == CYG_OP_sub || op == CYG_OP_div;
        if (moves && b.known && b.v == neutral)
            return a;
        return either_way && a.known && a.v == neutral ? b : any;
    }
    switch ((int)op) {
    case CYG_OP_add:
        return cyg_add_i64(a.v, b.v, &r) ? number(r) : any;
    case CYG_OP_sub:
        return __builtin_sub_overflow(a.v, b.v, &r) ? any : number(r);
    case CYG_OP_mul:
        return cyg_mul_i64(a.v, b.v, &r) ? number(r) : any;
    case CYG_OP_div: /* towards zero, as C and ONNX do */
        return b.v == 0 || (a.v == INT64_MIN && b.v == -1) ? any : number(a.v / b.v);
    case CYG_OP_mod: /* the sign of the divisor; fmod takes the dividend's and is rare here */
        if (b.v == 0 || b.v == -1)
            return b.v == 0 ? any : number(0);
        r = a.v % b.v;
        return number(r != 0 && (r < 0) != (b.v < 0) ? r + b.v : r);
    case CYG_OP_max:
        return number(a.v > b.v ? a.v : b.v);
    case CYG_OP_min:
        return number(a.v < b.v ? a.v : b.v);
    case CYG_OP_equal:
        return number(a.v == b.v);
    case CYG_OP_greater:
        return number(a.v > b.v);
    case CYG_OP_greater_or_equal:
        return number(a.v >= b.v);
    case CYG_OP_less:
        return number(a.v < b.v);
    case CYG_OP_less_or_equal:
        return number(a.v <= b.v);
    case CYG_OP_and:
        return number(a.v && b.v);
    case CYG_OP_or:
        return number(a.v || b.v);
    default:
        return any;
    }
}

/* The result's element count for operands of these; false when they do not broadcast. */
static bool joint(cyg_ints *out, const cyg_ints *a, const cyg_ints *b)
{
    if (a->count != b->count && a->count != 1 && b->count != 1)
        return false;
    *out = (cyg_ints){.rank = a->rank > b->rank ? a->rank : b->rank};
    out->count = a->count == 1 ? b->count : a->count;
    return true;
}

static bool follow_arithmetic(cyg_infer *s, cyg_ints *out)
{
    cyg_ints a, b;
    if (!cyg_infer_ints(s, 0, out))
        return false;
    for (uint32_t i = 1; i < s->n->in_count; i++) {
        a = *out;
        if (!cyg_infer_ints(s, i, &b) || !joint(out, &a, &b))
            return false;
        for (uint32_t k = 0; k < out->count; k++)
            put(out, k, arithmetic(s->n->op, element_at(&a, k), element_at(&b, k)));
    }
    return true;
}

static bool follow_where(cyg_infer *s, cyg_ints *out)
{
    cyg_ints c, a, b, ab;
    if (!cyg_infer_ints(s, 0, &c) || !cyg_infer_ints(s, 1, &a) || !cyg_infer_ints(s, 2, &b) ||
        !joint(&ab, &a, &b) || !joint(out, &ab, &c))
        return false;
    for (uint32_t k = 0; k < out->count; k++) {
        const element pick = element_at(&c, k);
        const element x = element_at(&a, k), y = element_at(&b, k);
        const bool same = x.known == y.known && x.v == y.v && (x.known || x.v != -1);
        put(out, k, pick.known ? (pick.v ? x : y) : same ? x : any);
    }
    return true;
}

static bool follow_unary(cyg_infer *s, cyg_ints *out)
{
    if (!cyg_infer_ints(s, 0, out))
        return false;
    for (uint32_t k = 0; k < out->count; k++) {
        const bool boolean = s->n->op == CYG_OP_not;
        if (s->n->op == CYG_OP_identity || s->n->op == CYG_OP_cast)
            continue;
        if (!out->known[k] || (!boolean && out->v[k] == INT64_MIN))
            put(out, k, any);
        else if (boolean)
            out->v[k] = !out->v[k];
        else if (s->n->op == CYG_OP_neg || out->v[k] < 0)
            out->v[k] = -out->v[k];
    }
    return true;
}

static bool follow_cast(cyg_infer *s, cyg_ints *out)
{
    const cyg_type to = cyg_type_from_onnx(cyg_node_int(s->n, CYG_ATTR_to, 0));
    if ((to != CYG_TYPE_S64 && to != CYG_TYPE_S32 && to != CYG_TYPE_BOOL) ||
        !cyg_infer_ints(s, 0, out))
        return false;
    for (uint32_t k = 0; k < out->count; k++)
        if (to == CYG_TYPE_BOOL)
            put(out, k, out->known[k] ? number(out->v[k] != 0) : any);
        else if (to == CYG_TYPE_S32 && out->known[k] && out->v[k] != (int32_t)out->v[k])
            put(out, k, any);
    return true;
}

static bool follow_shape(cyg_infer *s, cyg_ints *out)
{
    const cyg_shape x = cyg_infer_shape_in(s, 0);
    if (x.rank == CYG_RANK_UNKNOWN)
        return false;
    if (s->n->op == CYG_OP_size) {
        *out = (cyg_ints){.rank = 0, .count = 1};
        put(out, 0, dimension(cyg_shape_product(&x, 0, x.rank)));
        return true;
    }
    int64_t start = cyg_node_int(s->n, CYG_ATTR_start, 0);
    int64_t end = cyg_node_int(s->n, CYG_ATTR_end, x.rank);
    start = start < -x.rank ? 0 : start < 0 ? start + x.rank : start;
    end = end > x.rank ? x.rank : end < 0 ? end + x.rank : end;
    *out = (cyg_ints){.rank = 1};
    for (int64_t i = start; i < end; i++)
        put(out, out->count++, dimension(x.dims[i]));
    return true;
}

static bool follow_gather(cyg_infer *s, cyg_ints *out)
{
    cyg_ints x, index;
    if (!cyg_infer_ints(s, 0, &x) || !cyg_infer_ints(s, 1, &index) || x.rank != 1)
        return false;
    *out = (cyg_ints){.rank = index.rank, .count = index.count};
    for (uint32_t k = 0; k < out->count; k++) {
        const int64_t i = index.v[k] < 0 ? index.v[k] + x.count : index.v[k];
        const bool ok = index.known[k] && i >= 0 && i < x.count;
        put(out, k, ok ? (element){x.known[i], x.v[i]} : any);
    }
    return true;
}

static bool follow_slice(cyg_infer *s, cyg_ints *out)
{
    cyg_ints x, start, end, step = {.count = 1, .known = {true}, .v = {1}};
    if (!cyg_infer_ints(s, 0, &x) || !cyg_infer_ints(s, 1, &start) || !cyg_infer_ints(s, 2, &end) ||
        (cyg_infer_in(s, 4) != NULL && !cyg_infer_ints(s, 4, &step)) || x.rank != 1 ||
        start.count != 1 || end.count != 1 || step.count != 1 || !start.known[0] || !end.known[0] ||
        !step.known[0] || step.v[0] == 0 || step.v[0] == INT64_MIN)
        return false;
    const int64_t size = x.count, by = step.v[0];
    int64_t from = start.v[0] < 0 ? start.v[0] + size : start.v[0];
    int64_t to = end.v[0] < 0 ? end.v[0] + size : end.v[0];
    const int64_t low = by > 0 ? 0 : -1, high = by > 0 ? size : size - 1;
    from = from < 0 ? 0 : from > high ? high : from;
    to = to < low ? low : to > high ? high : to;
    *out = (cyg_ints){.rank = 1};
    /* A step beyond the size takes one element; clamping it keeps i from overflowing. */
    const int64_t stride = by > size + 1 ? size + 1 : by < -size - 1 ? -size - 1 : by;
    for (int64_t i = from; by > 0 ? i < to : i > to; i += stride)
        put(out, out->count++, (element){x.known[i], x.v[i]});
    return true;
}

static bool follow_concat(cyg_infer *s, cyg_ints *out)
{
    *out = (cyg_ints){.rank = 1};
    for (uint32_t i = 0; i < s->n->in_count; i++) {
        cyg_ints x;
        if (!cyg_infer_ints(s, i, &x) || x.rank != 1 || x.count > CYG_INTS_MAX - out->count)
            return false;
        for (uint32_t k = 0; k < x.count; k++)
            put(out, out->count++, (element){x.known[k], x.v[k]});
    }
    return true;
}

/* Reshape, Squeeze, Unsqueeze, Flatten: the same elements; the rank is what was inferred. */
static bool follow_view(cyg_infer *s, cyg_ints *out)
{
    const cyg_value *y = cyg_val(s->g, s->n->out[0]);
    if (!cyg_infer_ints(s, 0, out) || y->rank > 1)
        return false;
    out->rank = y->rank;
    return true;
}

/* Expand, Tile of one element, ConstantOfShape, Range: count from the inferred shape. */
static bool follow_fill(cyg_infer *s, cyg_ints *out)
{
    const cyg_value *y = cyg_val(s->g, s->n->out[0]);
    const int64_t count = cyg_value_elements(y);
    cyg_ints x = {.count = 1, .known = {true}, .v = {0}};
    if (count < 0 || count > CYG_INTS_MAX || y->rank > 1 ||
        (y->type != CYG_TYPE_S64 && y->type != CYG_TYPE_S32 && y->type != CYG_TYPE_BOOL))
        return false;
    int64_t delta = 0;
    if (s->n->op == CYG_OP_constant_of_shape) {
        const cyg_attr *a = cyg_node_attr(s->n, CYG_ATTR_value);
        const cyg_value *v = a == NULL ? NULL : cyg_val(s->g, a->u.tensor);
        if (v != NULL && v->data != NULL && v->bytes <= sizeof x.v[0])
            memcpy(&x.v[0], v->data, v->bytes);
        if (v != NULL && v->type == CYG_TYPE_S32)
            x.v[0] = (int32_t)x.v[0];
    } else if (!cyg_infer_ints(s, 0, &x) || x.count != 1) {
        return false;
    }
    if (s->n->op == CYG_OP_range) {
        cyg_ints by;
        if (!cyg_infer_ints(s, 2, &by) || by.count != 1 || !by.known[0] || !x.known[0])
            return false;
        delta = by.v[0];
    }
    *out = (cyg_ints){.rank = y->rank, .count = (uint32_t)count};
    element e = {x.known[0], x.v[0]};
    for (uint32_t k = 0; k < out->count; k++) {
        put(out, k, e);
        if (e.known && !cyg_add_i64(e.v, delta, &e.v))
            e = any;
    }
    return true;
}

static bool follow_reduce(cyg_infer *s, cyg_ints *out)
{
    cyg_ints x;
    const cyg_value *y = cyg_val(s->g, s->n->out[0]);
    if (!cyg_infer_ints(s, 0, &x) || x.rank != 1 || cyg_value_elements(y) != 1 || x.count == 0)
        return false;
    element e = {x.known[0], x.v[0]};
    for (uint32_t k = 1; k < x.count; k++)
        e = arithmetic(s->n->op == CYG_OP_reduce_prod  ? CYG_OP_mul
                       : s->n->op == CYG_OP_reduce_sum ? CYG_OP_add
                       : s->n->op == CYG_OP_reduce_max ? CYG_OP_max
                                                       : CYG_OP_min,
                       e, (element){x.known[k], x.v[k]});
    *out = (cyg_ints){.rank = y->rank, .count = 1};
    put(out, 0, e);
    return true;
}

/* shape[i] = v as exporters write it: ScatterND of a vector, indices [k, 1]; ScatterElements with
 * indices [k]. */
static bool follow_scatter(cyg_infer *s, cyg_ints *out)
{
    cyg_ints index, updates;
    const cyg_value *at = cyg_infer_in(s, 1);
    const bool tuples = s->n->op == CYG_OP_scatter_nd;
    if (strcmp(cyg_node_string(s->n, CYG_ATTR_reduction, "none"), "none") != 0 || at == NULL ||
        !cyg_infer_ints(s, 0, out) || out->rank != 1 || !cyg_infer_ints(s, 2, &updates))
        return false;
    if (tuples) {
        const void *bytes = cyg_infer_bytes(s, 1);
        if (bytes == NULL || at->type != CYG_TYPE_S64 || at->rank != 2 || at->dims[1] != 1 ||
            at->dims[0] > CYG_INTS_MAX)
            return false;
        index = (cyg_ints){.rank = 1, .count = (uint32_t)at->dims[0]};
        for (uint32_t k = 0; k < index.count; k++)
            put(&index, k, number(cyg_load_i64((const char *)bytes + 8 * (size_t)k)));
    } else if (!cyg_infer_ints(s, 1, &index)) {
        return false;
    }
    if (index.count != updates.count || !cyg_ints_all_known(&index))
        return false;
    for (uint32_t k = 0; k < index.count; k++) {
        const int64_t i = index.v[k] < 0 ? index.v[k] + out->count : index.v[k];
        if (i >= 0 && i < out->count)
            put(out, (uint32_t)i, element_at(&updates, k));
    }
    return true;
}

bool cyg_infer_follow(cyg_infer *s, cyg_ints *out)
{
    switch ((int)s->n->op) {
    case CYG_OP_shape:
    case CYG_OP_size:
        return follow_shape(s, out);
    case CYG_OP_gather:
        return follow_gather(s, out);
    case CYG_OP_slice:
        return follow_slice(s, out);
    case CYG_OP_concat:
        return follow_concat(s, out);
    case CYG_OP_reshape:
    case CYG_OP_flatten:
    case CYG_OP_squeeze:
    case CYG_OP_unsqueeze:
        return follow_view(s, out);
    case CYG_OP_cast:
        return follow_cast(s, out);
    case CYG_OP_identity:
    case CYG_OP_neg:
    case CYG_OP_abs:
    case CYG_OP_not:
        return follow_unary(s, out);
    case CYG_OP_where:
        return follow_where(s, out);
    case CYG_OP_scatter_nd:
    case CYG_OP_scatter_elements:
        return follow_scatter(s, out);
    case CYG_OP_expand:
    case CYG_OP_tile:
    case CYG_OP_constant_of_shape:
    case CYG_OP_range:
        return follow_fill(s, out);
    case CYG_OP_reduce_prod:
    case CYG_OP_reduce_sum:
    case CYG_OP_reduce_max:
    case CYG_OP_reduce_min:
        return follow_reduce(s, out);
    case CYG_OP_add:
    case CYG_OP_sub:
    case CYG_OP_mul:
    case CYG_OP_div:
    case CYG_OP_mod:
    case CYG_OP_max:
    case CYG_OP_min:
    case CYG_OP_equal:
    case CYG_OP_greater:
    case CYG_OP_greater_or_equal:
    case CYG_OP_less:
    case CYG_OP_less_or_equal:
    case CYG_OP_and:
    case CYG_OP_or:
        return follow_arithmetic(s, out);
    default:
        return false;
    }
}
