/* The float interpreter: node by node over a private clone of the graph.
 *
 * Shapes are inferred as the run goes (a clone, since binding symbolic dimensions changes values),
 * so graphs whose shapes depend on data run too. A node whose lowering did not look at run-time
 * data is lowered and its constant operands are packed once, then reused while the input shapes
 * stay. Buffers come from a free list and go back as soon as their last reader ran; views share
 * their source's buffer. A run may have several lanes, samples side by side: then a buffer holds a
 * value of all of them, one after the other. What it does not do: parallelism between nodes, or
 * anything with integers (see program.c). */
#include "interp/interp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/file.h"
#include "interp/buffers.h"
#include "interp/execute.h"
#include "interp/node_call.h"
#include "kernels/shape.h"

enum { LARGE = 64 << 10 }; /* bytes of a constant that are worth giving back */

typedef struct cached_node {
    bool ready;
    bool by_data; /* its shape or parameters follow run-time data: looked at again in each run */
    cyg_node_call call;
} cached_node;

struct cyg_interp {
    cyg_graph *g; /* clone */
    cyg_interp_options options;
    cyg_arena arena;     /* lowered calls that stay */
    cyg_arena call;      /* the one at hand, when nodes run once */
    cached_node *nodes;  /* by position in order */
    cyg_kbuf *values;    /* by value id, of lane 0; data NULL = not available */
    size_t *apart;       /* by value id: bytes from lane to lane, 0 for constants */
    uint32_t *root;      /* value whose buffer this one shares */
    uint32_t *uses;      /* remaining readers of a root, filled before each run */
    uint32_t *base_uses; /* by value */
    bool *keep;
    cyg_value *declared; /* inputs as the graph declares them */
    bool *dynamic;       /* by value: the graph does not fix its shape */
    cyg_buffers buffers;
    cyg_scratch scratch;
    const struct cyg_kernels *isa;
    uint32_t lanes, lane; /* of this run; the one at hand */
    cyg_kbuf shown;       /* buf_of's, of a lane other than 0 */
    cyg_lanes calls;      /* the node at hand, lane by lane */
    bool saw_data;        /* data_of was asked during the present inference or lowering */
};

static const void *data_of(void *user, cyg_value_id v)
{
    cyg_interp *it = user;
    it->saw_data = true;
    return it->values[v.i].data;
}

static cyg_status allocate(cyg_ctx *ctx, cyg_interp *it, const cyg_graph *original)
{
    const size_t values = (size_t)it->g->value_count + 1;
    it->nodes = CYG_NEW_ARRAY(&it->arena, cached_node, it->g->order_count + 1);
    it->values = CYG_NEW_ARRAY(&it->arena, cyg_kbuf, values);
    it->apart = CYG_NEW_ARRAY(&it->arena, size_t, values);
    it->root = CYG_NEW_ARRAY(&it->arena, uint32_t, values);
    it->uses = CYG_NEW_ARRAY(&it->arena, uint32_t, values);
    it->base_uses = CYG_NEW_ARRAY(&it->arena, uint32_t, values);
    it->keep = CYG_NEW_ARRAY(&it->arena, bool, values);
    it->dynamic = CYG_NEW_ARRAY(&it->arena, bool, values);
    it->declared = CYG_NEW_ARRAY(&it->arena, cyg_value, it->g->input_count + 1);
    if (it->nodes == NULL || it->values == NULL || it->apart == NULL || it->root == NULL ||
        it->uses == NULL || it->base_uses == NULL || it->keep == NULL || it->dynamic == NULL ||
        it->declared == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory for an interpreter of %u nodes",
                        original->order_count);
    for (uint32_t i = 0; i < it->g->input_count; i++)
        it->declared[i] = *cyg_val(it->g, it->g->inputs[i]);
    for (uint32_t i = 0; i < it->g->value_count; i++)
        it->dynamic[i] = !it->g->values[i].is_const && !cyg_value_shape_known(&it->g->values[i]);
    for (uint32_t i = 0; i < it->g->output_count; i++)
        it->keep[it->g->outputs[i].i] = true;
    for (size_t i = 0; i < it->options.keep_count; i++)
        it->keep[it->options.keep[i].i] = true;
    for (uint32_t i = 0; i < it->g->order_count; i++) {
        const cyg_node *n = cyg_nod(it->g, it->g->order[i]);
        for (uint32_t k = 0; k < n->in_count; k++)
            if (!cyg_value_is_none(n->in[k]))
                it->base_uses[n->in[k].i]++;
    }
    return CYG_OK;
}

cyg_status cyg_interp_create(cyg_ctx *ctx, cyg_graph *g, const cyg_interp_options *options,
                             cyg_interp **out_interp)
{
    cyg_interp *it = calloc(1, sizeof *it);
    if (it == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory for an interpreter");
    cyg_arena_init(&it->arena);
    if (options != NULL)
        it->options = *options;
    it->buffers.lean = it->options.once;
    it->lanes = 1;
    it->g = cyg_graph_clone(g);
    cyg_status status = it->g == NULL
                            ? CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory for a copy of the graph")
                            : CYG_OK;
    if (status == CYG_OK)
        status = cyg_execute_isa(ctx, &it->isa);
    if (status == CYG_OK)
        status = allocate(ctx, it, g);
    if (status != CYG_OK) {
        cyg_interp_destroy(it);
        return status;
    }
    *out_interp = it;
    return CYG_OK;
}

static void forget_calls(cyg_interp *it)
{
    for (uint32_t i = 0; it->nodes != NULL && i < it->g->order_count; i++) {
        cyg_node_call_deinit(&it->nodes[i].call);
        it->nodes[i].ready = false;
        it->nodes[i].by_data = false;
    }
}

/* Value i holds a buffer of the free list's: it is neither lent (input, constant) nor a view. */
static bool owns_buffer(const cyg_interp *it, uint32_t i)
{
    const cyg_value *v = &it->g->values[i];
    return it->values[i].data != NULL && !v->is_const && it->root[i] == i &&
           !cyg_node_is_none(v->producer);
}

void cyg_interp_destroy(cyg_interp *it)
{
    if (it == NULL)
        return;
    if (it->g != NULL)
        forget_calls(it);
    for (uint32_t i = 0; it->root != NULL && i < it->g->value_count; i++)
        if (owns_buffer(it, i))
            cyg_buffers_put(&it->buffers, it->values[i].data);
    cyg_buffers_deinit(&it->buffers);
    cyg_scratch_deinit(&it->scratch);
    cyg_lanes_deinit(&it->calls);
    cyg_graph_destroy(it->g);
    cyg_arena_deinit(&it->arena);
    cyg_arena_deinit(&it->call);
    free(it);
}

/* ---- binding inputs
 * ---------------------------------------------------------------------------------------- */

static void shape_text(const int64_t *dims, int rank, char out[128])
{
    size_t used = 0;
    out[0] = '\0';
    for (int i = 0; i < rank && used < 100; i++)
        used += (size_t)snprintf(out + used, 128 - used, dims[i] < 0 ? "%s?" : "%s%lld",
                                 i > 0 ? "x" : "", (long long)dims[i]);
}

static cyg_status check_input(cyg_ctx *ctx, const cyg_interp *it, uint32_t i, const cyg_kbuf *buf)
{
    const cyg_value *v = cyg_val(it->g, it->g->inputs[i]);
    const int64_t *declared = it->declared[i].dims;
    const int rank = it->declared[i].rank;
    bool fits = buf->type == (int32_t)v->type && buf->rank >= 0 && buf->rank <= CYG_MAX_RANK &&
                (rank == CYG_RANK_UNKNOWN || buf->rank == rank);
    for (int k = 0; fits && k < buf->rank; k++)
        fits = buf->dims[k] >= 0 &&
               (rank == CYG_RANK_UNKNOWN || declared[k] < 0 || declared[k] == buf->dims[k]);
    if (!fits) {
        char expected[128], found[128];
        shape_text(declared, rank == CYG_RANK_UNKNOWN ? 0 : rank, expected);
        shape_text(buf->dims, buf->rank <= CYG_MAX_RANK ? buf->rank : 0, found);
        return CYG_FAIL(ctx, CYG_E_GRAPH, "input \"%s\": expected %s %s, found %s %s", v->name,
                        cyg_type_name(v->type), expected, cyg_type_name((cyg_type)buf->type),
                        found);
    }
    return CYG_OK;
}

/* true when the shape differs from that of the run before. */
static bool bind_input(cyg_interp *it, uint32_t i, const cyg_kbuf *buf)
{
    cyg_kbuf *mine = &it->values[it->g->inputs[i].i];
    const bool changed = mine->rank != buf->rank ||
                         memcmp(mine->dims, buf->dims, sizeof(int64_t) * (size_t)buf->rank) != 0;
    *mine = *buf;
    mine->is_const = 0;
    it->apart[it->g->inputs[i].i] =
        cyg_interp_apart((size_t)cyg_count_of(buf) * cyg_type_size((cyg_type)buf->type));
    return changed;
}

/* New input shapes: whatever was inferred from the old ones is void. */
static void adopt_shapes(cyg_interp *it)
{
    forget_calls(it);
    for (uint32_t i = 0; i < it->g->value_count; i++)
        if (it->dynamic[i])
            it->g->values[i].rank = CYG_RANK_UNKNOWN;
    for (uint32_t i = 0; i < it->g->input_count; i++) {
        cyg_value *v = cyg_val(it->g, it->g->inputs[i]);
        const cyg_kbuf *buf = &it->values[it->g->inputs[i].i];
        v->rank = (uint8_t)buf->rank;
        memcpy(v->dims, buf->dims, sizeof v->dims);
    }
}

static cyg_status bind_inputs(cyg_ctx *ctx, cyg_interp *it, const cyg_kbuf *inputs, uint32_t count)
{
    if (count != it->g->input_count)
        return CYG_FAIL(ctx, CYG_E_GRAPH, "expected %u inputs, found %u", it->g->input_count,
                        count);
    /* All are checked before any is bound: a refused run leaves no shapes behind. */
    for (uint32_t i = 0; i < count; i++)
        CYG_DO(check_input(ctx, it, i, &inputs[i]));
    bool changed = false;
    for (uint32_t i = 0; i < count; i++)
        changed |= bind_input(it, i, &inputs[i]);
    if (changed)
        adopt_shapes(it);
    return CYG_OK;
}

/* ---- running
 * ------------------------------------------------------------------------------------------------
 */

static void reset_values(cyg_interp *it)
{
    for (uint32_t i = 0; i < it->g->value_count; i++) {
        const cyg_value *v = &it->g->values[i];
        if (owns_buffer(it, i))
            cyg_buffers_put(&it->buffers, it->values[i].data);
        if (!v->is_const && !cyg_node_is_none(v->producer))
            it->values[i].data = NULL;
        it->root[i] = i;
        it->uses[i] = it->base_uses[i];
        if (v->is_const)
            cyg_node_call_const_buf(v, &it->values[i]);
    }
}

static void release(cyg_interp *it, cyg_value_id v)
{
    const uint32_t root = it->root[v.i];
    if (--it->uses[v.i] > 0 || it->keep[v.i])
        return;
    if (v.i != root) { /* a view died: its root loses one reader */
        release(it, (cyg_value_id){root});
        return;
    }
    const cyg_value *value = &it->g->values[root];
    if (value->is_const || cyg_node_is_none(value->producer))
        return;
    cyg_buffers_put(&it->buffers, it->values[root].data);
    it->values[root].data = NULL;
}

static cyg_status give_output(cyg_ctx *ctx, cyg_interp *it, cyg_value_id id)
{
    const cyg_value *v = cyg_val(it->g, id);
    cyg_kbuf *buf = &it->values[id.i];
    cyg_node_call_shape(v, v->type, buf);
    const size_t bytes = (size_t)cyg_value_elements(v) * cyg_type_size(v->type);
    size_t all;
    it->apart[id.i] = cyg_interp_apart(bytes);
    buf->data = cyg_mul_size(it->apart[id.i], it->lanes, &all)
                    ? cyg_buffers_get(&it->buffers, it->lanes == 1 ? bytes : all)
                    : NULL;
    if (buf->data == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory for value \"%s\"", v->name);
    return CYG_OK;
}

static cyg_status make_view(cyg_ctx *ctx, cyg_interp *it, cyg_value_id from, cyg_value_id to)
{
    const cyg_value *v = cyg_val(it->g, to);
    if (it->values[from.i].data == NULL)
        return CYG_FAIL(ctx, CYG_E_INTERNAL, "value \"%s\" was released too early",
                        cyg_val(it->g, from)->name);
    void *data = it->values[from.i].data;
    cyg_node_call_shape(v, (cyg_type)it->values[from.i].type, &it->values[to.i]);
    it->values[to.i].data = data;
    it->values[to.i].is_const = 0;
    it->apart[to.i] = it->apart[from.i];
    it->root[to.i] = it->root[from.i];
    it->uses[it->root[from.i]]++; /* the view is a reader of its root until it dies */
    return CYG_OK;
}

static const cyg_kbuf *buf_of(void *user, cyg_value_id v)
{
    cyg_interp *it = user;
    if (it->lane == 0)
        return &it->values[v.i];
    it->shown = it->values[v.i];
    it->shown.data = (char *)it->shown.data + it->lane * it->apart[v.i];
    return &it->shown;
}

static bool same_shape(const cyg_value *a, const cyg_value *b)
{
    return a->rank == b->rank &&
           (a->rank > CYG_MAX_RANK ||
            memcmp(a->dims, b->dims, sizeof a->dims[0] * (size_t)a->rank) == 0);
}

/* What was inferred and lowered from the shapes of the nodes before `position` is void. */
static void forget_from(cyg_interp *it, uint32_t position)
{
    for (uint32_t i = position; i < it->g->order_count; i++) {
        const cyg_node *n = cyg_nod(it->g, it->g->order[i]);
        cyg_node_call_deinit(&it->nodes[i].call);
        it->nodes[i].ready = false;
        for (uint32_t k = 0; k < n->out_count; k++)
            if (it->dynamic[n->out[k].i])
                cyg_val(it->g, n->out[k])->rank = CYG_RANK_UNKNOWN;
    }
}

/* Results whose shapes the graph states: now that operands' contents are at hand, they must be what
 * the operator makes. A file may state anything of what import could not infer. */
static cyg_status check_stated(cyg_ctx *ctx, cyg_interp *it, uint32_t position)
{
    const cyg_node_id id = it->g->order[position];
    const cyg_node *n = cyg_nod(it->g, id);
    const bool saw_data = it->saw_data;
    cyg_value *stated = CYG_NEW_ARRAY(&it->arena, cyg_value, n->out_count + 1);
    if (stated == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    for (uint32_t k = 0; k < n->out_count; k++)
        stated[k] = *cyg_val(it->g, n->out[k]);
    CYG_DO(cyg_node_infer_with(ctx, it->g, id, data_of, it));
    it->saw_data = saw_data;
    for (uint32_t k = 0; k < n->out_count; k++) {
        cyg_value *v = cyg_val(it->g, n->out[k]);
        if (cyg_value_shape_known(v) && !same_shape(v, &stated[k])) {
            char expected[128], found[128];
            shape_text(stated[k].dims, stated[k].rank, expected);
            shape_text(v->dims, v->rank, found);
            return CYG_FAIL(ctx, CYG_E_GRAPH, "output \"%s\": the graph states %s, found %s",
                            v->name, expected, found);
        }
        *v = stated[k];
    }
    return CYG_OK;
}

/* Shapes of the node's results: when not known yet, and again when they follow data. */
static cyg_status infer_node(cyg_ctx *ctx, cyg_interp *it, uint32_t position)
{
    const cyg_node_id id = it->g->order[position];
    const cyg_node *n = cyg_nod(it->g, id);
    bool known = true, changed = false;
    for (uint32_t k = 0; k < n->out_count; k++)
        known &= cyg_value_shape_known(cyg_val(it->g, n->out[k]));
    if (known && !it->nodes[position].by_data)
        return check_stated(ctx, it, position);
    for (uint32_t k = 0; k < n->out_count; k++) {
        cyg_value *v = cyg_val(it->g, n->out[k]);
        if (!it->dynamic[n->out[k].i])
            continue;
        const cyg_value before = *v;
        v->rank = CYG_RANK_UNKNOWN;
        CYG_DO(cyg_node_infer_with(ctx, it->g, id, data_of, it));
        changed |= !same_shape(&before, cyg_val(it->g, n->out[k]));
    }
    if (it->nodes[position].by_data && changed)
        forget_from(it, position + 1);
    return CYG_OK;
}

/* Binds the call to each lane and runs all of them together; one that converts its operands has
 * room for one lane's at a time. */
static cyg_status run_call(cyg_ctx *ctx, cyg_interp *it, cyg_node_call *c)
{
    for (it->lane = 0; it->lane < it->lanes; it->lane++) {
        CYG_DO(cyg_node_call_bind(ctx, c, buf_of, it, it->isa, &it->scratch));
        if (it->lanes == 1 || c->is_widened)
            CYG_DO(cyg_node_call_run(ctx, c, buf_of, it, &it->scratch));
        else
            CYG_DO(cyg_lanes_put(ctx, &it->calls, it->lane, it->lanes, &c->call));
    }
    it->lane = 0;
    return it->lanes == 1 || c->is_widened ? CYG_OK
                                           : cyg_lanes_execute(ctx, &it->calls, &it->scratch);
}

static cyg_status run_node(cyg_ctx *ctx, cyg_interp *it, uint32_t position)
{
    const cyg_node_id id = it->g->order[position];
    const cyg_node *n = cyg_nod(it->g, id);
    cached_node *cached = &it->nodes[position];
    if (!cached->ready) {
        cyg_node_call_deinit(&cached->call);
        it->saw_data = false;
        CYG_DO(infer_node(ctx, it, position));
        CYG_DO(cyg_node_call_init(ctx, it->g, id, it->options.once ? &it->call : &it->arena,
                                  data_of, it, &cached->call));
        cached->ready = true;
        cached->by_data = it->saw_data;
        if (it->saw_data && it->lanes > 1)
            return CYG_FAIL(ctx, CYG_E_INTERNAL, "its step follows data: lanes would differ");
    }
    if (cached->call.lowered.is_view) {
        CYG_DO(make_view(ctx, it, cached->call.lowered.in[0].value, n->out[0]));
    } else {
        for (uint32_t k = 0; k < n->out_count; k++)
            CYG_DO(give_output(ctx, it, n->out[k]));
        CYG_DO(run_call(ctx, it, &cached->call));
    }
    if (cached->by_data)
        cached->ready = false;
    return CYG_OK;
}

/* After the only run of a node: a constant that it alone reads has been read, or packed. One that
 * lies in a file comes back from there when it is read again. */
static void release_constants(cyg_interp *it, uint32_t position)
{
    const cyg_node *n = cyg_nod(it->g, it->g->order[position]);
    const bool is_view = it->nodes[position].call.lowered.is_view;
    for (uint32_t k = 0; k < n->in_count; k++) {
        const cyg_value *v = cyg_value_is_none(n->in[k]) ? NULL : cyg_val(it->g, n->in[k]);
        if (v == NULL || !v->is_const || v->bytes < LARGE || cyg_graph_release_map(it->g, v->data))
            continue;
        if (it->base_uses[n->in[k].i] == 1 && !is_view)
            cyg_memory_release(v->data, v->bytes);
    }
    cyg_node_call_deinit(&it->nodes[position].call);
    it->nodes[position].ready = false;
    cyg_arena_reset(&it->call);
}

static cyg_status observe(cyg_ctx *ctx, cyg_interp *it, cyg_value_id v)
{
    if (it->options.lane_observer != NULL)
        return it->options.lane_observer(ctx, it->options.user, v, &it->values[v.i], it->apart[v.i],
                                         it->lanes);
    if (it->options.observer == NULL)
        return CYG_OK;
    return it->options.observer(ctx, it->options.user, v, &it->values[v.i]);
}

static cyg_status run(cyg_ctx *ctx, cyg_interp *it, const cyg_kbuf *inputs, uint32_t input_count)
{
    it->lane = 0;
    CYG_DO(bind_inputs(ctx, it, inputs, input_count));
    for (uint32_t i = 0; i < it->g->input_count; i++)
        CYG_DO(observe(ctx, it, it->g->inputs[i]));
    for (uint32_t i = 0; i < it->g->order_count; i++) {
        const cyg_node *n = cyg_nod(it->g, it->g->order[i]);
        if (n->op == CYG_OP_removed)
            continue;
        CYG_DO(cyg_ctx_check_cancelled(ctx));
        CYG_TRY(ctx, run_node(ctx, it, i), "while running node \"%s\" (%s)", n->name,
                cyg_op_schema_of(n->op)->onnx);
        if (it->options.once)
            release_constants(it, i);
        else if (it->options.lean)
            cyg_node_call_unpack(&it->nodes[i].call);
        for (uint32_t k = 0; k < n->out_count; k++)
            CYG_DO(observe(ctx, it, n->out[k]));
        for (uint32_t k = 0; k < n->in_count; k++)
            if (!cyg_value_is_none(n->in[k]))
                release(it, n->in[k]);
        for (uint32_t k = 0; k < n->out_count; k++)
            if (it->base_uses[n->out[k].i] == 0 && !it->keep[n->out[k].i]) {
                it->uses[n->out[k].i] = 1;
                release(it, n->out[k]);
            }
    }
    return CYG_OK;
}

cyg_status cyg_interp_run(cyg_ctx *ctx, cyg_interp *it, const cyg_kbuf *inputs,
                          uint32_t input_count)
{
    return cyg_interp_run_lanes(ctx, it, inputs, input_count, 1);
}

cyg_status cyg_interp_run_lanes(cyg_ctx *ctx, cyg_interp *it, const cyg_kbuf *inputs,
                                uint32_t input_count, uint32_t lanes)
{
    reset_values(it);
    if (lanes > it->lanes) /* buffers of fewer lanes are of little use */
        cyg_buffers_deinit(&it->buffers);
    it->lanes = lanes > 0 ? lanes : 1;
    return run(ctx, it, inputs, input_count);
}

size_t cyg_interp_apart(size_t bytes)
{
    return cyg_align_up(bytes, 64);
}

bool cyg_interp_is_steady(const cyg_interp *it)
{
    for (uint32_t i = 0; i < it->g->order_count; i++)
        if (it->nodes[i].by_data)
            return false;
    return true;
}

const cyg_kbuf *cyg_interp_value(const cyg_interp *it, cyg_value_id value)
{
    if (value.i >= it->g->value_count || it->values[value.i].data == NULL)
        return NULL;
    return &it->values[value.i];
}

const void *cyg_interp_lane_data(const cyg_interp *it, cyg_value_id value, uint32_t lane)
{
    const cyg_kbuf *buf = cyg_interp_value(it, value);
    return buf == NULL || lane >= it->lanes ? NULL
                                            : (const char *)buf->data + lane * it->apart[value.i];
}
