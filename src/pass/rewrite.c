/* What passes are written with.
 *
 * A pass works between cyg_graph_edit_begin and cyg_graph_edit_end: uses are counted while they
 * change, so that no rewrite can act on a count of the past, and a rewrite costs what it touches.
 *
 * Building keeps three promises: the node that takes another's place takes its name, its position
 * and its provenance; a replaced value keeps its id and name (the new node produces it), so graph
 * outputs never change names; dead producers go at once (cyg_rw_drop), so that use counts stay
 * true. */
#include "pass/rewrite.h"

#include <string.h>

#include "base/bytes.h"
#include "base/file.h"

/* ---- life of a pass ---- */

cyg_status cyg_rw_begin(cyg_ctx *ctx, cyg_graph *g, cyg_rw *out_rw)
{
    *out_rw = (cyg_rw){.ctx = ctx, .g = g};
    cyg_arena_init(&out_rw->scratch);
    return cyg_graph_edit_begin(ctx, g);
}

cyg_status cyg_rw_end(cyg_rw *rw, cyg_status status, bool *out_changed)
{
    cyg_graph_edit_end(rw->g);
    if (status == CYG_OK && cyg_graph_failed(rw->g))
        status = CYG_RW_NOMEM(rw);
    if (status == CYG_OK && rw->changed)
        status = cyg_graph_sort(rw->ctx, rw->g);
    *out_changed = rw->changed;
    cyg_arena_deinit(&rw->scratch);
    return status;
}

cyg_status cyg_rw_each(cyg_ctx *ctx, cyg_graph *g, cyg_rw_visit visit, bool *out_changed)
{
    return cyg_rw_each_with(ctx, g, visit, NULL, out_changed);
}

cyg_status cyg_rw_each_with(cyg_ctx *ctx, cyg_graph *g, cyg_rw_visit visit, const void *data,
                            bool *out_changed)
{
    cyg_rw rw;
    cyg_status status = cyg_rw_begin(ctx, g, &rw);
    rw.data = data;
    for (uint32_t i = 0; status == CYG_OK && i < g->node_count; i++) {
        if (g->nodes[i].op == CYG_OP_removed)
            continue;
        cyg_arena_reset(&rw.scratch);
        status = visit(&rw, (cyg_node_id){i});
        if (status == CYG_OK && (i & 63) == 0)
            status = cyg_ctx_check_cancelled(ctx);
    }
    return cyg_rw_end(&rw, status, out_changed);
}

static void touch(cyg_rw *rw)
{
    rw->changed = true;
}

/* ---- matching ---- */

cyg_node_id cyg_rw_producer(const cyg_rw *rw, cyg_value_id v, cyg_op op)
{
    if (cyg_value_is_none(v))
        return CYG_NO_NODE;
    const cyg_node_id p = cyg_val(rw->g, v)->producer;
    return !cyg_node_is_none(p) && cyg_nod(rw->g, p)->op == op ? p : CYG_NO_NODE;
}

uint32_t cyg_rw_use_count(const cyg_rw *rw, cyg_value_id v)
{
    return cyg_graph_use_count(rw->g, v) + cyg_val(rw->g, v)->output_uses;
}

bool cyg_rw_single_use(const cyg_rw *rw, cyg_value_id v)
{
    return cyg_rw_use_count(rw, v) == 1;
}

cyg_node_id cyg_rw_only_user(const cyg_rw *rw, cyg_value_id v)
{
    if (cyg_rw_use_count(rw, v) != 1 || cyg_graph_is_output(rw->g, v))
        return CYG_NO_NODE;
    return cyg_graph_use_node(rw->g, cyg_graph_first_use(rw->g, v));
}

bool cyg_rw_is_const(const cyg_rw *rw, cyg_value_id v)
{
    return !cyg_value_is_none(v) && cyg_val(rw->g, v)->is_const;
}

bool cyg_rw_scalar(const cyg_rw *rw, cyg_value_id v, float *out_x)
{
    if (!cyg_rw_is_const(rw, v))
        return false;
    const cyg_value *c = cyg_val(rw->g, v);
    if (c->type != CYG_TYPE_F32 || cyg_value_elements(c) != 1 || c->data == NULL)
        return false;
    *out_x = cyg_load_f32(c->data);
    return true;
}

bool cyg_rw_ints(cyg_rw *rw, cyg_value_id v, const int64_t **out_data, size_t *out_count)
{
    if (!cyg_rw_is_const(rw, v))
        return false;
    const cyg_value *c = cyg_val(rw->g, v);
    const int64_t n = cyg_value_elements(c);
    if (n < 0 || (n > 0 && c->data == NULL) || (c->type != CYG_TYPE_S64 && c->type != CYG_TYPE_S32))
        return false;
    int64_t *copy = CYG_NEW_ARRAY(&rw->scratch, int64_t, n == 0 ? 1 : n);
    if (copy == NULL)
        return false;
    for (int64_t i = 0; i < n; i++)
        copy[i] = c->type == CYG_TYPE_S64 ? cyg_load_i64((const int64_t *)c->data + i)
                                          : cyg_load_i32((const int32_t *)c->data + i);
    *out_data = copy;
    *out_count = (size_t)n;
    return true;
}

bool cyg_rw_pads(cyg_rw *rw, const cyg_node *pad, int rank, int64_t *out_begin, int64_t *out_end)
{
    const cyg_value_id a = cyg_node_in(pad, 3);
    const int64_t *pads, *axes = NULL;
    size_t count, axis_count = (size_t)rank;
    if (!cyg_rw_ints(rw, cyg_node_in(pad, 1), &pads, &count) ||
        (!cyg_value_is_none(a) && !cyg_rw_ints(rw, a, &axes, &axis_count)) ||
        count != 2 * axis_count)
        return false;
    for (int k = 0; k < rank; k++)
        out_begin[k] = out_end[k] = 0;
    for (size_t i = 0; i < axis_count; i++) {
        const int k = cyg_rw_axis(axes == NULL ? (int64_t)i : axes[i], rank);
        if (k < 0)
            return false;
        out_begin[k] = pads[i];
        out_end[k] = pads[axis_count + i];
    }
    return true;
}

int cyg_rw_const_operand(const cyg_rw *rw, cyg_node_id n)
{
    const cyg_node *node = cyg_nod(rw->g, n);
    const bool a = cyg_rw_is_const(rw, cyg_node_in(node, 0)),
               b = cyg_rw_is_const(rw, cyg_node_in(node, 1));
    return a == b ? -1 : a ? 0 : 1;
}

bool cyg_rw_same_shape(const cyg_rw *rw, cyg_value_id a, cyg_value_id b)
{
    const cyg_value *x = cyg_val(rw->g, a), *y = cyg_val(rw->g, b);
    if (x->rank == CYG_RANK_UNKNOWN || x->rank != y->rank)
        return false;
    for (unsigned i = 0; i < x->rank; i++)
        if (x->dims[i] != y->dims[i] || x->dims[i] == -1)
            return false;
    return true;
}

bool cyg_rw_is_view(cyg_op op)
{
    return (cyg_op_schema_of(op)->flags & CYG_OPF_VIEW) != 0;
}

cyg_value_id cyg_rw_through_views(const cyg_rw *rw, cyg_value_id v)
{
    for (;;) {
        const cyg_node_id p = cyg_val(rw->g, v)->producer;
        if (cyg_node_is_none(p) || !cyg_rw_is_view(cyg_nod(rw->g, p)->op))
            return v;
        v = cyg_nod(rw->g, p)->in[0];
    }
}

cyg_node_id cyg_rw_down_views(const cyg_rw *rw, cyg_value_id v, cyg_value_id *out_last)
{
    for (;;) {
        *out_last = v;
        const cyg_node_id user = cyg_rw_only_user(rw, v);
        if (cyg_node_is_none(user) || !cyg_rw_is_view(cyg_nod(rw->g, user)->op))
            return user;
        v = cyg_nod(rw->g, user)->out[0];
    }
}

int64_t cyg_rw_last_dim(const cyg_rw *rw, cyg_value_id v)
{
    const cyg_value *x = cyg_val(rw->g, v);
    return x->rank == CYG_RANK_UNKNOWN || x->rank == 0 ? -1 : x->dims[x->rank - 1];
}

bool cyg_rw_channel_vector(const cyg_rw *rw, cyg_value_id v, int64_t n)
{
    if (!cyg_rw_is_const(rw, v))
        return false;
    const cyg_value *c = cyg_val(rw->g, v);
    if (c->type != CYG_TYPE_F32 || c->data == NULL || cyg_value_elements(c) != n)
        return false;
    return c->rank == 0 ? n == 1 : c->dims[c->rank - 1] == n;
}

bool cyg_rw_broadcast_const(const cyg_rw *rw, cyg_value_id c, cyg_value_id shape_of,
                            float *out_data, int64_t count)
{
    const cyg_value *v = cyg_val(rw->g, c), *s = cyg_val(rw->g, shape_of);
    if (!v->is_const || (v->type != CYG_TYPE_F32 && v->type != CYG_TYPE_BOOL) || v->data == NULL ||
        s->rank == CYG_RANK_UNKNOWN || v->rank > s->rank || cyg_value_elements(s) != count)
        return false;
    int64_t strides[CYG_MAX_RANK] = {0}, at[CYG_MAX_RANK] = {0}, stride = 1;
    for (int i = v->rank; i-- > 0;) {
        const int k = i + s->rank - v->rank;
        if (v->dims[i] != 1 && v->dims[i] != s->dims[k])
            return false;
        strides[k] = v->dims[i] == 1 ? 0 : stride;
        stride *= v->dims[i];
    }
    /* Row by row; rows of a constant with an element for each of theirs are copied whole. */
    const int last = s->rank - 1;
    const int64_t width = last < 0 ? 1 : s->dims[last], step = last < 0 ? 0 : strides[last];
    const bool whole = v->type == CYG_TYPE_F32 && step == 1;
    for (int64_t i = 0, offset = 0; i < count; i += width) {
        if (whole)
            memcpy(out_data + i, (const char *)v->data + offset * (int64_t)sizeof *out_data,
                   (size_t)width * sizeof *out_data);
        for (int64_t j = 0; !whole && j < width; j++)
            out_data[i + j] = v->type == CYG_TYPE_F32
                                  ? cyg_float_at(v->data, offset + j * step)
                                  : (float)(((const uint8_t *)v->data)[offset + j * step] != 0);
        for (int k = last; k-- > 0;) {
            offset += strides[k];
            if (++at[k] < s->dims[k])
                break;
            offset -= strides[k] * s->dims[k];
            at[k] = 0;
        }
    }
    return true;
}

int cyg_rw_axis(int64_t axis, int rank)
{
    if (axis < 0)
        axis += rank;
    return axis < 0 || axis >= rank ? -1 : (int)axis;
}

bool cyg_rw_reduces_last(cyg_rw *rw, cyg_node_id id)
{
    const cyg_node *n = cyg_nod(rw->g, id);
    const cyg_value *x = cyg_val(rw->g, n->in[0]);
    const int64_t *axes;
    size_t count;
    return x->rank != CYG_RANK_UNKNOWN && x->rank > 0 &&
           cyg_node_int(n, CYG_ATTR_keepdims, 1) != 0 &&
           cyg_rw_ints(rw, cyg_node_in(n, 1), &axes, &count) && count == 1 &&
           cyg_rw_axis(axes[0], x->rank) == x->rank - 1;
}

/* ---- building ---- */

cyg_node_id cyg_rw_replace(cyg_rw *rw, cyg_node_id main, cyg_op op, const cyg_value_id *in,
                           uint32_t in_count, cyg_value_id out)
{
    touch(rw);
    const char *name = cyg_nod(rw->g, main)->name;
    cyg_graph_remove_node(rw->g, main);
    const cyg_node_id n = cyg_graph_add_node(rw->g, main, op, name, in, in_count, &out, 1);
    if (!cyg_node_is_none(n))
        cyg_node_merge_sources(rw->g, n, main);
    return n;
}

cyg_value_id cyg_rw_value_for(cyg_rw *rw, cyg_value_id old, int rank, const int64_t *dims)
{
    const char *name = cyg_val(rw->g, old)->name;
    if (!cyg_graph_is_output(rw->g, old)) {
        char *view = cyg_arena_printf(&rw->scratch, "%s/view", name);
        if (view == NULL || !cyg_graph_rename_value(rw->g, old, view))
            return CYG_NO_VALUE;
    }
    return cyg_graph_add_value(rw->g, name, cyg_val(rw->g, old)->type, rank, dims);
}

cyg_value_id cyg_rw_const_for(cyg_rw *rw, cyg_value_id old, int rank, const int64_t *dims,
                              const void *data, size_t bytes)
{
    const char *name = cyg_val(rw->g, old)->name;
    char *source = cyg_arena_printf(&rw->scratch, "%s/source", name);
    if (source == NULL ||
        (!cyg_graph_is_output(rw->g, old) && !cyg_graph_rename_value(rw->g, old, source)))
        return CYG_NO_VALUE;
    return cyg_graph_add_const(rw->g, name, CYG_TYPE_F32, rank, dims, data, bytes);
}

cyg_node_id cyg_rw_swallow(cyg_rw *rw, cyg_node_id node, cyg_node_id consumer,
                           const cyg_value_id *in, uint32_t in_count)
{
    cyg_graph *g = rw->g;
    const cyg_attr *attrs = cyg_nod(g, node)->attrs;
    const uint32_t attr_count = cyg_nod(g, node)->attr_count;
    const cyg_op op = cyg_nod(g, node)->op;
    const cyg_value_id own = cyg_nod(g, node)->out[0], out = cyg_nod(g, consumer)->out[0];
    const cyg_value_id between[2] = {cyg_node_in(cyg_nod(g, consumer), 0),
                                     cyg_node_in(cyg_nod(g, consumer), 1)};
    const bool same = cyg_rw_same_shape(rw, own, out);
    cyg_graph_remove_node(g, consumer);
    cyg_value_id result = out;
    if (!same) {
        const cyg_value shape = *cyg_val(g, own);
        result = cyg_rw_value_for(rw, out, shape.rank, shape.dims);
        if (cyg_value_is_none(result))
            return CYG_NO_NODE;
    }
    const cyg_node_id now = cyg_rw_replace(rw, node, op, in, in_count, result);
    if (cyg_node_is_none(now) || cyg_rw_copy_attrs(rw, now, attrs, attr_count) != CYG_OK)
        return CYG_NO_NODE;
    cyg_node_merge_sources(g, now, consumer);
    if (!same)
        cyg_rw_reshape_into(rw, consumer, result, out);
    for (int i = 0; i < 2; i++)
        if (!cyg_value_is_none(between[i]))
            cyg_rw_drop(rw, between[i]);
    return now;
}

int64_t cyg_rw_linear_width(const cyg_rw *rw, cyg_node_id linear)
{
    const cyg_node *n = cyg_nod(rw->g, linear);
    return cyg_val(rw->g, n->in[1])->dims[cyg_node_int(n, CYG_ATTR_w_kn, 0) != 0 ? 1 : 0];
}

bool cyg_rw_is_row_wise(const cyg_rw *rw, cyg_node_id id)
{
    const cyg_node *n = cyg_nod(rw->g, id);
    if (n->op == CYG_OP_linear)
        return true;
    if (n->op == CYG_OP_layer_normalization || n->op == CYG_OP_rms_normalization)
        return cyg_node_int(n, CYG_ATTR_axis, -1) == -1;
    return n->op != CYG_OP_cast && (cyg_op_schema_of(n->op)->flags & CYG_OPF_UNARY) != 0 &&
           n->op != CYG_OP_requant;
}

cyg_value_id cyg_rw_insert(cyg_rw *rw, cyg_node_id before, cyg_op op, const cyg_value_id *in,
                           uint32_t in_count, cyg_value_id like_type, int rank, const int64_t *dims)
{
    touch(rw);
    const cyg_type type = cyg_val(rw->g, like_type)->type;
    /* After the node, or, when that is a view of no name of its own, after what the view makes. */
    const cyg_node *at = cyg_nod(rw->g, before);
    const bool view = at->op == CYG_OP_reshape && at->out_count > 0;
    const char *stem = view ? cyg_val(rw->g, at->out[0])->name : at->name;
    const char *name = cyg_arena_printf(&rw->scratch, "%s/%s", stem, cyg_op_schema_of(op)->id);
    if (name == NULL)
        return CYG_NO_VALUE;
    const cyg_value_id out = cyg_graph_add_value(rw->g, name, type, rank, dims);
    if (cyg_value_is_none(out))
        return out;
    const cyg_node_id n = cyg_graph_add_node(rw->g, before, op, name, in, in_count, &out, 1);
    if (cyg_node_is_none(n))
        return CYG_NO_VALUE;
    cyg_node_merge_sources(rw->g, n, before);
    return out;
}

static bool has_shape(const cyg_value *v, int rank, const int64_t *dims)
{
    if (v->rank != rank)
        return false;
    for (int i = 0; i < rank; i++)
        if (v->dims[i] != dims[i] || dims[i] == -1)
            return false;
    return true;
}

/* The shape operand of a reshape: at most one dimension may be unknown. */
static cyg_value_id shape_const(cyg_rw *rw, int rank, const int64_t *dims)
{
    int64_t shape[CYG_MAX_RANK];
    for (int i = 0; i < rank; i++)
        shape[i] = dims[i] < 0 ? -1 : dims[i];
    return cyg_rw_const_ints(rw, "shape", shape, (size_t)rank);
}

cyg_value_id cyg_rw_reshaped(cyg_rw *rw, cyg_node_id before, cyg_value_id v, int rank,
                             const int64_t *dims)
{
    if (has_shape(cyg_val(rw->g, v), rank, dims))
        return v;
    const cyg_value_id shape = shape_const(rw, rank, dims);
    if (cyg_value_is_none(shape))
        return shape;
    return cyg_rw_insert(rw, before, CYG_OP_reshape, (cyg_value_id[]){v, shape}, 2, v, rank, dims);
}

void cyg_rw_reshape_into(cyg_rw *rw, cyg_node_id before, cyg_value_id v, cyg_value_id out)
{
    touch(rw);
    const cyg_value *o = cyg_val(rw->g, out);
    const cyg_value_id shape = shape_const(rw, o->rank, o->dims);
    if (cyg_value_is_none(shape))
        return;
    const cyg_node_id n = cyg_graph_add_node(rw->g, before, CYG_OP_reshape, NULL,
                                             (cyg_value_id[]){v, shape}, 2, &out, 1);
    if (!cyg_node_is_none(n))
        cyg_node_merge_sources(rw->g, n, before);
}

cyg_value_id cyg_rw_const_ints(cyg_rw *rw, const char *name, const int64_t *data, size_t count)
{
    const int64_t dims[1] = {(int64_t)count};
    return cyg_graph_add_const_copy(rw->g, name, CYG_TYPE_S64, 1, dims, data, count * sizeof *data);
}

cyg_value_id cyg_rw_const_scalar(cyg_rw *rw, const char *name, float x)
{
    return cyg_graph_add_const_copy(rw->g, name, CYG_TYPE_F32, 0, NULL, &x, sizeof x);
}

bool cyg_rw_bypass(cyg_rw *rw, cyg_value_id out, cyg_value_id v)
{
    if (cyg_graph_is_output(rw->g, out) &&
        (cyg_graph_is_output(rw->g, v) || cyg_graph_is_input(rw->g, v) ||
         cyg_val(rw->g, v)->is_const))
        return false;
    touch(rw);
    cyg_graph_replace_uses(rw->g, out, v);
    return true;
}

static void merge_up(cyg_rw *rw, cyg_node_id n, cyg_value_id v, cyg_value_id until, int *steps)
{
    if (cyg_value_is_none(v) || v.i == until.i || (*steps)-- <= 0)
        return;
    const cyg_node_id p = cyg_val(rw->g, v)->producer;
    if (cyg_node_is_none(p) || p.i == n.i)
        return;
    cyg_node_merge_sources(rw->g, n, p);
    for (uint32_t i = 0; i < cyg_nod(rw->g, p)->in_count; i++)
        merge_up(rw, n, cyg_nod(rw->g, p)->in[i], until, steps);
}

void cyg_rw_merge_upwards(cyg_rw *rw, cyg_node_id n, cyg_value_id v, cyg_value_id until)
{
    int steps = 48; /* patterns are small; this also bounds the recursion */
    merge_up(rw, n, v, until, &steps);
}

cyg_status cyg_rw_copy_attrs(cyg_rw *rw, cyg_node_id n, const cyg_attr *attrs, uint32_t count)
{
    uint32_t room = 1; /* a power of two: setting further attributes counts on that */
    while (room < count)
        room *= 2;
    cyg_attr *copy = CYG_NEW_ARRAY(&rw->g->arena, cyg_attr, room);
    if (copy == NULL || cyg_node_is_none(n))
        return CYG_RW_NOMEM(rw);
    if (count > 0)
        memcpy(copy, attrs, count * sizeof *copy);
    cyg_nod(rw->g, n)->attrs = copy;
    cyg_nod(rw->g, n)->attr_count = count;
    return CYG_OK;
}

void cyg_rw_release(cyg_rw *rw, cyg_value_id id)
{
    enum { SMALL = 64 << 10 };
    cyg_graph *g = rw->g;
    cyg_value *v = cyg_val(g, id);
    if (!g->alone || !v->is_const || v->bytes < SMALL || cyg_rw_use_count(rw, id) > 0)
        return;
    for (uint32_t i = 0; i < g->value_count; i++) /* a folded view shares its operand's data */
        if (i != id.i && g->values[i].data == v->data)
            return;
    if (!cyg_graph_release_map(g, v->data))
        cyg_memory_release(v->data, v->bytes);
    v->is_const = false;
    v->data = NULL;
    v->bytes = 0;
}

/* A stack of its own: the depth of a dead chain comes from the file. */
typedef struct pending {
    cyg_value_id v;
    struct pending *below;
} pending;

static void push(cyg_rw *rw, pending **top, cyg_value_id v)
{
    if (cyg_value_is_none(v) || cyg_node_is_none(cyg_val(rw->g, v)->producer))
        return;
    pending *p = CYG_NEW(&rw->scratch, pending);
    if (p == NULL)
        return; /* dead code elimination takes it later */
    *p = (pending){v, *top};
    *top = p;
}

static bool is_used(const cyg_rw *rw, const cyg_node *n)
{
    for (uint32_t i = 0; i < n->out_count; i++)
        if (!cyg_value_is_none(n->out[i]) && cyg_rw_use_count(rw, n->out[i]) > 0)
            return true;
    return false;
}

void cyg_rw_drop(cyg_rw *rw, cyg_value_id v)
{
    pending *top = NULL;
    push(rw, &top, v);
    while (top != NULL) {
        const cyg_node_id p = cyg_val(rw->g, top->v)->producer;
        top = top->below;
        if (cyg_node_is_none(p) || is_used(rw, cyg_nod(rw->g, p)))
            continue;
        const cyg_node *n = cyg_nod(rw->g, p);
        const uint32_t in_count = n->in_count;
        const cyg_value_id *in = n->in;
        touch(rw);
        cyg_graph_remove_node(rw->g, p);
        for (uint32_t i = 0; i < in_count; i++)
            push(rw, &top, in[i]);
    }
}
