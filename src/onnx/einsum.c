/* Einsum as Transpose, Reshape, Mul, MatMul and ReduceSum; EyeLike as a constant, or as a
 * comparison of two ranges.
 *
 * Operands are taken two by two, from the left. Before two meet, each gives up what it alone needs
 * no more: a letter twice in a term is its diagonal, a letter that nobody else has is summed. Then
 * letters of both that are needed later are the batch of a MatMul, those needed no more are what it
 * sums over, and each operand's others are rows or columns: the last of them in the place of the
 * MatMul's own, the others as a batch of which the other operand has one. Columns become one where
 * their sizes are known, since that makes a product with constant weights a linear layer. Where
 * nothing is summed it is a Mul.
 *
 * No rule but the last and the diagonal's needs a size: merged letters are a Reshape by 0 and -1.
 */
#include "onnx/import.h"

#include <string.h>

#include "base/bytes.h"
#include "base/checked.h"
#include "ir/einsum.h"

enum { NEW = 255 }; /* a dimension of one that no letter names */

typedef struct maker {
    cyg_onnx_importer *imp;
    cyg_node_id node;      /* new nodes go in front of it */
    bool failed, too_many; /* out of memory; more than 8 dimensions */
} maker;

/* A value and what its dimensions are called. */
typedef struct term {
    cyg_value_id v;
    uint8_t label[2 * CYG_MAX_RANK];
    int rank;
} term;

/* ---- nodes ---- */

static cyg_value_id add(maker *m, cyg_op op, const cyg_value_id *in, uint32_t in_count)
{
    cyg_graph *g = m->imp->graph;
    const cyg_value_id y = cyg_graph_add_value(g, NULL, CYG_TYPE_NONE, CYG_RANK_UNKNOWN, NULL);
    const cyg_node_id n = m->failed || cyg_value_is_none(y)
                              ? CYG_NO_NODE
                              : cyg_graph_add_node(g, m->node, op, NULL, in, in_count, &y, 1);
    m->failed = m->failed || cyg_node_is_none(n);
    if (m->failed)
        return in[0];
    cyg_node_merge_sources(g, n, m->node);
    return y;
}

static cyg_node_id made(const maker *m, cyg_value_id y)
{
    return cyg_val(m->imp->graph, y)->producer;
}

static cyg_value_id ints(maker *m, const int64_t *data, int64_t count)
{
    const cyg_value_id c = cyg_graph_add_const_copy(m->imp->graph, NULL, CYG_TYPE_S64, 1, &count,
                                                    data, (size_t)count * sizeof *data);
    m->failed = m->failed || cyg_value_is_none(c);
    return c;
}

static void reshape(maker *m, term *t, const int64_t *dims, int rank)
{
    const cyg_value_id y = add(m, CYG_OP_reshape, (cyg_value_id[]){t->v, ints(m, dims, rank)}, 2);
    if (!m->failed && !cyg_node_set_int(m->imp->graph, made(m, y), CYG_ATTR_allowzero, 0))
        m->failed = true;
    t->v = y;
    t->rank = rank;
}

/* The dimensions in this order; labels[i] NEW: one more dimension of one there. */
static void arrange(maker *m, term *t, const uint8_t *labels, int rank)
{
    int64_t perm[CYG_MAX_RANK], axes[2 * CYG_MAX_RANK];
    int own = 0, added = 0;
    bool moves = false;
    for (int i = 0; i < rank; i++) {
        if (labels[i] == NEW) {
            axes[added++] = i;
            continue;
        }
        for (int k = 0; k < t->rank; k++)
            if (t->label[k] == labels[i])
                perm[own] = k;
        moves = moves || perm[own] != own;
        own++;
    }
    if (moves) {
        t->v = add(m, CYG_OP_transpose, &t->v, 1);
        if (!m->failed &&
            !cyg_node_set_ints(m->imp->graph, made(m, t->v), CYG_ATTR_perm, perm, (size_t)own))
            m->failed = true;
    }
    if (added > 0)
        t->v = add(m, CYG_OP_unsqueeze, (cyg_value_id[]){t->v, ints(m, axes, added)}, 2);
    memcpy(t->label, labels, (size_t)rank);
    t->rank = rank;
}

static void sum_over(maker *m, term *t, int axis)
{
    const int64_t at = axis;
    t->v = add(m, CYG_OP_reduce_sum, (cyg_value_id[]){t->v, ints(m, &at, 1)}, 2);
    if (!m->failed && !cyg_node_set_int(m->imp->graph, made(m, t->v), CYG_ATTR_keepdims, 0))
        m->failed = true;
    memmove(t->label + axis, t->label + axis + 1, (size_t)(t->rank - axis - 1));
    t->rank--;
}

/* ---- one operand ---- */

static int find(const term *t, uint8_t label, int from)
{
    for (int k = from; k < t->rank; k++)
        if (t->label[k] == label)
            return k;
    return -1;
}

/* A letter twice: every (n + 1)th element of the two dimensions taken as one. */
static bool take_diagonal(maker *m, term *t, int a, int b, int64_t n)
{
    uint8_t order[CYG_MAX_RANK], own[CYG_MAX_RANK];
    int64_t dims[CYG_MAX_RANK] = {0};
    int rank = 0;
    if (n < 1 || n > INT32_MAX)
        return false;
    const uint8_t label = t->label[a];
    for (int k = 0; k < t->rank; k++)
        own[k] = t->label[k];
    for (int k = 0; k < t->rank; k++)
        if (k != a && k != b)
            order[rank++] = own[k];
    order[rank] = label;
    order[rank + 1] = NEW - 1;
    t->label[b] = NEW - 1; /* both need names to be moved */
    arrange(m, t, order, t->rank);
    dims[rank] = -1;
    reshape(m, t, dims, rank + 1);
    const int64_t from = 0, to = INT64_MAX, axis = rank, step = n + 1;
    t->v = add(m, CYG_OP_slice,
               (cyg_value_id[]){t->v, ints(m, &from, 1), ints(m, &to, 1), ints(m, &axis, 1),
                                ints(m, &step, 1)},
               5);
    return true;
}

static const char *tidy(maker *m, term *t, const bool *needed, const int64_t *size)
{
    for (int k = 0; k < t->rank; k++) {
        const int twin = find(t, t->label[k], k + 1);
        if (twin < 0)
            continue;
        if (!take_diagonal(m, t, k, twin, size[t->label[k]]))
            return "the diagonal of dimensions whose size is not known";
        k = -1;
    }
    for (int k = t->rank; k-- > 0;)
        if (!needed[t->label[k]])
            sum_over(m, t, k);
    return NULL;
}

/* ---- two operands ---- */

typedef struct letters {
    uint8_t label[CYG_MAX_RANK];
    int count;
} letters;

static void put(letters *to, uint8_t label)
{
    to->label[to->count++] = label;
}

static int append(uint8_t *to, int at, const letters *from, int count, bool as_new)
{
    for (int i = 0; i < count; i++)
        to[at++] = as_new ? NEW : from->label[i];
    return at;
}

/* Exchanges the last two dimensions. */
static void turn(maker *m, term *t)
{
    int64_t perm[CYG_MAX_RANK];
    for (int i = 0; i < t->rank; i++)
        perm[i] = i;
    perm[t->rank - 1] = t->rank - 2;
    perm[t->rank - 2] = t->rank - 1;
    t->v = add(m, CYG_OP_transpose, &t->v, 1);
    if (!m->failed &&
        !cyg_node_set_ints(m->imp->graph, made(m, t->v), CYG_ATTR_perm, perm, (size_t)t->rank))
        m->failed = true;
}

/* Element-wise, over the letters of both. */
static void multiply(maker *m, term *a, term *b, const letters *both, const letters *left,
                     const letters *right)
{
    uint8_t order[2 * CYG_MAX_RANK];
    int rank = append(order, 0, both, both->count, false);
    rank = append(order, rank, left, left->count, false);
    arrange(m, a, order, append(order, rank, right, right->count, true));
    rank = append(order, 0, both, both->count, false);
    rank = append(order, rank, left, both->count > 0 ? left->count : 0, true);
    arrange(m, b, order, append(order, rank, right, right->count, false));
    a->v = add(m, CYG_OP_mul, (cyg_value_id[]){a->v, b->v}, 2);
    rank = append(a->label, 0, both, both->count, false);
    rank = append(a->label, rank, left, left->count, false);
    a->rank = append(a->label, rank, right, right->count, false);
}

/* How the letters of two operands lie in a MatMul: a is [both, more, ones, row, over], b is
 * [both, ones, extra, column, over], then turned. Columns are all of right, merged, or its last. */
typedef struct plan {
    letters both, left, right, over;
    int more, extra; /* of left, of right: beside the MatMul's own dimension */
    int64_t columns; /* merged: how many; else 0, one letter or none */
} plan;

static void rows_of_a(maker *m, term *a, const plan *p)
{
    uint8_t order[3 * CYG_MAX_RANK];
    int64_t dims[3 * CYG_MAX_RANK] = {0};
    int rank = append(order, 0, &p->both, p->both.count, false);
    rank = append(order, rank, &p->left, p->more, false);
    rank = append(order, rank, &p->right, p->extra, true);
    order[rank++] = p->left.count > 0 ? p->left.label[p->more] : NEW;
    arrange(m, a, order, append(order, rank, &p->over, p->over.count, false));
    dims[rank] = -1;
    if (p->over.count > 1)
        reshape(m, a, dims, rank + 1);
}

static void columns_of_b(maker *m, term *b, const plan *p)
{
    uint8_t order[3 * CYG_MAX_RANK];
    int64_t dims[3 * CYG_MAX_RANK] = {0};
    const int own = p->columns > 0 ? p->right.count : 1; /* letters of the columns */
    int rank = append(order, 0, &p->both, p->both.count, false);
    rank = append(order, rank, &p->left, p->both.count > 0 ? p->more : 0, true);
    rank = append(order, rank, &p->right, p->extra, false);
    const int front = rank;
    if (p->over.count == 1 && p->columns == 0)
        order[rank++] = p->over.label[0];
    for (int i = 0; i < own; i++)
        order[rank++] = p->right.count == 0 ? NEW : p->right.label[p->extra + i];
    if (p->over.count == 1 && p->columns == 0) { /* in place already */
        arrange(m, b, order, rank);
        return;
    }
    arrange(m, b, order, append(order, rank, &p->over, p->over.count, false));
    dims[front] = p->columns;
    dims[front + 1] = -1;
    reshape(m, b, dims, front + 2);
    turn(m, b);
}

/* The product's dimensions get their names: merged columns come apart, dimensions of one go. */
static void name_product(maker *m, term *t, const plan *p, const int64_t *size)
{
    uint8_t *label = t->label;
    int64_t dims[3 * CYG_MAX_RANK] = {0}, ones[2];
    int rank = append(label, 0, &p->both, p->both.count, false), gone = 0;
    rank = append(label, rank, &p->left, p->more, false);
    rank = append(label, rank, &p->right, p->extra, false);
    if (p->left.count > 0)
        label[rank++] = p->left.label[p->more];
    else
        ones[gone++] = rank;
    const int64_t column = rank + gone;
    for (int i = p->extra; i < p->right.count; i++) {
        dims[rank + gone] = size[p->right.label[i]];
        label[rank++] = p->right.label[i];
    }
    if (p->columns > 0)
        reshape(m, t, dims, rank + gone);
    if (p->right.count == 0)
        ones[gone++] = column;
    if (gone > 0)
        t->v = add(m, CYG_OP_squeeze, (cyg_value_id[]){t->v, ints(m, ones, gone)}, 2);
    t->rank = rank;
}

/* Sums over the letters of `over`. */
static void contract(maker *m, term *a, term *b, plan *p, const int64_t *size)
{
    bool known = p->right.count > 1;
    int64_t columns = 1;
    for (int i = 0; i < p->right.count; i++)
        known = known && size[p->right.label[i]] > 0 &&
                cyg_mul_i64(columns, size[p->right.label[i]], &columns);
    p->columns = known ? columns : 0;
    p->more = p->left.count > 0 ? p->left.count - 1 : 0;
    p->extra = known || p->right.count == 0 ? 0 : p->right.count - 1;
    if (p->both.count + p->more + p->right.count + 2 + p->over.count > CYG_MAX_RANK) {
        m->too_many = true;
        return;
    }
    rows_of_a(m, a, p);
    columns_of_b(m, b, p);
    a->v = add(m, CYG_OP_matmul, (cyg_value_id[]){a->v, b->v}, 2);
    name_product(m, a, p, size);
}

static void meet(maker *m, term *a, term *b, const bool *needed, const int64_t *size)
{
    plan p = {0};
    for (int k = 0; k < a->rank; k++) {
        const bool shared = find(b, a->label[k], 0) >= 0;
        put(!shared ? &p.left : needed[a->label[k]] ? &p.both : &p.over, a->label[k]);
    }
    for (int k = 0; k < b->rank; k++)
        if (find(a, b->label[k], 0) < 0)
            put(&p.right, b->label[k]);
    if (p.over.count > 0)
        contract(m, a, b, &p, size);
    else if (a->rank + p.right.count > CYG_MAX_RANK)
        m->too_many = true;
    else
        multiply(m, a, b, &p.both, &p.left, &p.right);
}

/* ---- the operator ---- */

/* Letters that the result or an operand from `next` on has. */
static void look_ahead(const cyg_einsum *e, uint32_t next, bool *needed)
{
    memset(needed, 0, CYG_EINSUM_LABELS * sizeof *needed);
    for (int k = 0; k < e->out.rank; k++)
        needed[e->out.label[k]] = true;
    for (uint32_t i = next; i < e->count; i++)
        for (int k = 0; k < e->in[i].rank; k++)
            needed[e->in[i].label[k]] = true;
}

static term term_of(const cyg_einsum *e, const cyg_value_id *in, uint32_t i)
{
    term t = {.v = in[i], .rank = e->in[i].rank};
    memcpy(t.label, e->in[i].label, e->in[i].rank);
    return t;
}

static void read_sizes(const cyg_graph *g, const cyg_einsum *e, const cyg_value_id *in,
                       int64_t *size)
{
    for (int c = 0; c < CYG_EINSUM_LABELS; c++)
        size[c] = -1;
    for (uint32_t i = 0; i < e->count; i++) {
        const cyg_value *v = cyg_val(g, in[i]);
        for (int k = 0; v->rank == e->in[i].rank && k < v->rank; k++)
            if (v->dims[k] >= 0 && (size[e->in[i].label[k]] <= 1))
                size[e->in[i].label[k]] = v->dims[k];
    }
}

static const char *expand(maker *m, const cyg_einsum *e, const cyg_value_id *in, term *t)
{
    bool needed[CYG_EINSUM_LABELS];
    int64_t size[CYG_EINSUM_LABELS];
    read_sizes(m->imp->graph, e, in, size);
    *t = term_of(e, in, 0);
    look_ahead(e, 1, needed);
    const char *why = tidy(m, t, needed, size);
    for (uint32_t i = 1; why == NULL && i < e->count; i++) {
        term b = term_of(e, in, i);
        look_ahead(e, i + 1, needed);
        for (int k = 0; k < t->rank; k++)
            needed[t->label[k]] = true;
        why = tidy(m, &b, needed, size);
        look_ahead(e, i + 1, needed);
        if (why == NULL)
            meet(m, t, &b, needed, size);
        if (m->too_many)
            why = "a product of more than 8 dimensions";
    }
    if (why == NULL)
        arrange(m, t, e->out.label, e->out.rank);
    return why;
}

/* The node becomes an Identity of v, so that its result keeps its producer. */
static cyg_status become(maker *m, cyg_value_id v)
{
    cyg_node *n = cyg_nod(m->imp->graph, m->node);
    if (m->failed || m->imp->graph->failed)
        return CYG_ONNX_NOMEM(m->imp);
    cyg_node_set_input(m->imp->graph, m->node, 0, v);
    n->in_count = 1;
    n->op = CYG_OP_identity;
    n->attr_count = 0;
    return CYG_OK;
}

cyg_status cyg_onnx_settle_einsum(cyg_onnx_importer *imp, cyg_node_id id)
{
    maker m = {.imp = imp, .node = id};
    const cyg_node *n = cyg_nod(imp->graph, id);
    const char *equation = cyg_node_string(n, CYG_ATTR_equation, "");
    uint8_t ranks[CYG_EINSUM_OPERANDS] = {0};
    cyg_value_id in[CYG_EINSUM_OPERANDS];
    const uint32_t count = n->in_count;
    cyg_einsum e;
    term t;
    for (uint32_t i = 0; i < count && i < CYG_EINSUM_OPERANDS; i++) {
        in[i] = n->in[i];
        ranks[i] = cyg_val(imp->graph, in[i])->rank;
    }
    const char *why = cyg_einsum_parse(equation, ranks, count, &e);
    if (why == NULL && e.open)
        why = "\"...\" for an operand whose number of dimensions is not known";
    if (why == NULL)
        why = expand(&m, &e, in, &t);
    if (why != NULL)
        return CYG_FAIL(imp->ctx, CYG_E_UNSUPPORTED, "%s: Einsum \"%s\", equation \"%.100s\": %s",
                        imp->path, cyg_nod(imp->graph, id)->name, equation, why);
    return become(&m, t.v);
}

/* ---- EyeLike ---- */

/* Elements of a type as bytes that are zero and one. */
static bool one_of(cyg_type type, uint8_t bytes[8])
{
    const float f = 1.0f;
    const double d = 1.0;
    memset(bytes, 0, 8);
    if (type == CYG_TYPE_F32)
        memcpy(bytes, &f, sizeof f);
    else if (type == CYG_TYPE_F64)
        memcpy(bytes, &d, sizeof d);
    else if (type == CYG_TYPE_F16)
        cyg_store_u16(bytes, cyg_f32_to_f16(1.0f));
    else
        bytes[0] = 1; /* integers, bool */
    return type != CYG_TYPE_BF16;
}

static cyg_value_id constant_eye(maker *m, cyg_type type, const int64_t *dims, int64_t k)
{
    cyg_graph *g = m->imp->graph;
    const size_t size = cyg_type_size(type), bytes = (size_t)(dims[0] * dims[1]) * size;
    uint8_t one[8], *data = cyg_arena_zalloc(&g->arena, bytes + 1, 64);
    (void)one_of(type, one);
    if (data == NULL)
        return CYG_NO_VALUE;
    for (int64_t i = 0; i < dims[0]; i++)
        if (k >= -i && k < dims[1] - i)
            memcpy(data + (size_t)(i * dims[1] + i + k) * size, one, size);
    return cyg_graph_add_const(g, NULL, type, 2, dims, data, bytes);
}

/* 0, 1, .. up to dimension `axis` of x, as a column or a row. */
static cyg_value_id counted(maker *m, cyg_value_id shape, int64_t axis)
{
    const int64_t zero = 0, one = 1, at = 1 - axis;
    cyg_graph *g = m->imp->graph;
    const cyg_value_id index = cyg_graph_add_const_copy(g, NULL, CYG_TYPE_S64, 0, NULL, &axis, 8),
                       from = cyg_graph_add_const_copy(g, NULL, CYG_TYPE_S64, 0, NULL, &zero, 8),
                       step = cyg_graph_add_const_copy(g, NULL, CYG_TYPE_S64, 0, NULL, &one, 8);
    const cyg_value_id size = add(m, CYG_OP_gather, (cyg_value_id[]){shape, index}, 2);
    if (!m->failed && !cyg_node_set_int(g, made(m, size), CYG_ATTR_axis, 0))
        m->failed = true;
    const cyg_value_id all = add(m, CYG_OP_range, (cyg_value_id[]){from, size, step}, 3);
    return add(m, CYG_OP_unsqueeze, (cyg_value_id[]){all, ints(m, &at, 1)}, 2);
}

cyg_status cyg_onnx_settle_eye_like(cyg_onnx_importer *imp, cyg_node_id id)
{
    enum { MOST = 1 << 20 }; /* elements of a constant */
    maker m = {.imp = imp, .node = id};
    cyg_graph *g = imp->graph;
    const cyg_node *n = cyg_nod(g, id);
    const cyg_value y = *cyg_val(g, n->out[0]);
    const cyg_value_id x = n->in[0];
    const int64_t k = cyg_node_int(n, CYG_ATTR_k, 0);
    uint8_t one[8];
    int64_t count;
    if (y.type == CYG_TYPE_NONE || !one_of(y.type, one))
        return CYG_FAIL(imp->ctx, CYG_E_UNSUPPORTED, "%s: EyeLike \"%s\": of type %s", imp->path,
                        n->name, cyg_type_name(y.type));
    if (y.rank == 2 && y.dims[0] >= 0 && y.dims[1] >= 0 &&
        cyg_mul_i64(y.dims[0], y.dims[1], &count) && count <= MOST)
        return become(&m, constant_eye(&m, y.type, y.dims, k));
    const cyg_value_id shape = add(&m, CYG_OP_shape, &x, 1);
    if (!m.failed && !cyg_node_set_int(g, made(&m, shape), CYG_ATTR_start, 0))
        m.failed = true;
    const cyg_value_id rows = counted(&m, shape, 0), columns = counted(&m, shape, 1),
                       diagonal = add(&m, CYG_OP_add, (cyg_value_id[]){rows, ints(&m, &k, 1)}, 2);
    const cyg_value_id equal = add(&m, CYG_OP_equal, (cyg_value_id[]){diagonal, columns}, 2);
    const cyg_value_id eye = add(&m, CYG_OP_cast, &equal, 1);
    if (!m.failed && !cyg_node_set_int(g, made(&m, eye), CYG_ATTR_to, cyg_type_to_onnx(y.type)))
        m.failed = true;
    return become(&m, eye);
}
