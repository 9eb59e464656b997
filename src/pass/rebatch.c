/* Another batch for a graph of one: dimension 0 of every input is multiplied and all shapes are
 * inferred again. Weights, tables and quantisation parameters stay, and with them the results of
 * each sample, since no operator of a finished graph looks across dimension 0 unless the model
 * does. Two forms hold the batch in a constant and are repaired:
 *
 *   Reshape to a constant [1, 196, 192]     the first entry gives way: [-1, 196, 192]. Where
 * another one is -1, that gets the size that it had Concat of a constant [1, 1, 192] and x  the
 * constant is repeated
 *
 * That the graph gives as many samples as it takes is checked here; that each is what it was, is
 * for a run to show. */
#include <string.h>

#include "base/bytes.h"
#include "base/checked.h"
#include "pass/sizes.h"

typedef struct rebatch {
    cyg_ctx *ctx;
    cyg_graph *g;
    int64_t times;
    cyg_arena scratch;
    bool *carries; /* [value_count as it was]: computed from an input */
    uint32_t value_count;
    cyg_value *outputs; /* as they were */
} rebatch;

static cyg_status nomem(const rebatch *r)
{
    return CYG_FAIL(r->ctx, CYG_E_NOMEM, "out of memory for another batch");
}

static cyg_status mark(rebatch *r)
{
    const cyg_graph *g = r->g;
    r->value_count = g->value_count;
    r->carries = CYG_NEW_ARRAY(&r->scratch, bool, (size_t)g->value_count + 1);
    r->outputs = CYG_NEW_ARRAY(&r->scratch, cyg_value, (size_t)g->output_count + 1);
    if (r->carries == NULL || r->outputs == NULL)
        return nomem(r);
    for (uint32_t i = 0; i < g->output_count; i++)
        r->outputs[i] = *cyg_val(g, g->outputs[i]);
    for (uint32_t i = 0; i < g->input_count; i++)
        r->carries[g->inputs[i].i] = true;
    for (uint32_t k = 0; k < g->order_count; k++) {
        const cyg_node *n = cyg_nod(g, g->order[k]);
        bool any = false;
        for (uint32_t i = 0; i < n->in_count && !any; i++)
            any = !cyg_value_is_none(n->in[i]) && r->carries[n->in[i].i];
        for (uint32_t i = 0; any && i < n->out_count; i++)
            r->carries[n->out[i].i] = true;
    }
    return CYG_OK;
}

static bool carries(const rebatch *r, cyg_value_id v)
{
    return !cyg_value_is_none(v) && v.i < r->value_count && r->carries[v.i];
}

/* ---- repairs ---- */

static bool repair_reshape(rebatch *r, cyg_node_id id)
{
    cyg_graph *g = r->g;
    const cyg_node *n = cyg_nod(g, id);
    const cyg_value *target = cyg_val(g, n->in[1]), *y = cyg_val(g, n->out[0]);
    int64_t dims[CYG_MAX_RANK];
    const int64_t rank = y->rank;
    if (!carries(r, n->in[0]) || !target->is_const || target->type != CYG_TYPE_S64 ||
        y->rank == 0 || target->bytes != 8 * (size_t)y->rank || cyg_load_i64(target->data) < 1)
        return true;
    memcpy(dims, y->dims, sizeof dims);
    for (int i = 0; i < rank; i++)
        if (dims[i] == 0)
            return true;
    dims[0] = -1;
    const cyg_value_id now = cyg_graph_add_const_copy(g, target->name, CYG_TYPE_S64, 1, &rank, dims,
                                                      (size_t)rank * sizeof *dims);
    if (cyg_value_is_none(now))
        return false;
    cyg_node_set_input(g, id, 1, now);
    return true;
}

/* c, [1, ...], one copy a sample. */
static cyg_value_id repeat(rebatch *r, cyg_value_id c)
{
    const cyg_value v = *cyg_val(r->g, c);
    int64_t dims[CYG_MAX_RANK];
    size_t bytes;
    if (!cyg_mul_size(v.bytes, (size_t)r->times, &bytes))
        return CYG_NO_VALUE;
    char *data = cyg_arena_alloc(&r->g->arena, bytes, 64);
    if (data == NULL)
        return CYG_NO_VALUE;
    for (int64_t i = 0; i < r->times; i++)
        memcpy(data + (size_t)i * v.bytes, v.data, v.bytes);
    memcpy(dims, v.dims, sizeof dims);
    dims[0] = r->times;
    const cyg_value_id now = cyg_graph_add_const(r->g, v.name, v.type, v.rank, dims, data, bytes);
    if (!cyg_value_is_none(now))
        cyg_val(r->g, now)->quant = v.quant;
    return now;
}

static bool repair_concat(rebatch *r, cyg_node_id id)
{
    cyg_graph *g = r->g;
    const cyg_node *n = cyg_nod(g, id);
    const int rank = cyg_val(g, n->out[0])->rank;
    const int64_t axis = cyg_node_int(n, CYG_ATTR_axis, 0);
    if (!carries(r, n->out[0]) || rank < 2 || axis == 0 || axis == -rank)
        return true;
    for (uint32_t i = 0; i < cyg_nod(g, id)->in_count; i++) {
        const cyg_value_id c = cyg_nod(g, id)->in[i];
        if (!cyg_val(g, c)->is_const || cyg_val(g, c)->dims[0] != 1)
            continue;
        const cyg_value_id now = repeat(r, c);
        if (cyg_value_is_none(now))
            return false;
        cyg_node_set_input(g, id, i, now);
    }
    return true;
}

static cyg_status repair_all(rebatch *r)
{
    for (uint32_t i = 0; i < r->g->order_count; i++) {
        const cyg_node_id id = r->g->order[i];
        const cyg_op op = cyg_nod(r->g, id)->op;
        if ((op == CYG_OP_reshape && !repair_reshape(r, id)) ||
            (op == CYG_OP_concat && !repair_concat(r, id)))
            return nomem(r);
    }
    return CYG_OK;
}

/* ---- shapes ---- */

static bool grow(cyg_value *v, int64_t times)
{
    return v->rank != CYG_RANK_UNKNOWN && v->rank > 0 && v->dims[0] > 0 &&
           cyg_mul_i64(v->dims[0], times, &v->dims[0]);
}

/* Output i against what it was. */
static cyg_status check_output(const rebatch *r, uint32_t i)
{
    cyg_value *before = &r->outputs[i];
    const cyg_value *now = cyg_val(r->g, r->g->outputs[i]);
    if (grow(before, r->times) && now->rank == before->rank &&
        memcmp(now->dims, before->dims, before->rank * sizeof *now->dims) == 0)
        return CYG_OK;
    return CYG_FAIL(r->ctx, CYG_E_UNSUPPORTED,
                    "output \"%s\" does not grow with the batch: a constant fixes its shape, or "
                    "the model mixes samples",
                    now->name);
}

static cyg_status infer(const rebatch *r)
{
    cyg_graph *g = r->g;
    for (uint32_t i = 0; i < g->input_count; i++)
        if (!grow(cyg_val(g, g->inputs[i]), r->times))
            return CYG_FAIL(r->ctx, CYG_E_UNSUPPORTED, "input \"%s\" has no dimension for a batch",
                            cyg_val(g, g->inputs[i])->name);
    CYG_DO(cyg_infer_again(r->ctx, g));
    for (uint32_t i = 0; i < g->output_count; i++)
        CYG_DO(check_output(r, i));
    return CYG_OK;
}

cyg_status cyg_multiply_batch(cyg_ctx *ctx, cyg_graph *g, int64_t times, bool repair)
{
    rebatch r = {.ctx = ctx, .g = g, .times = times};
    cyg_arena_init(&r.scratch);
    cyg_status st = mark(&r);
    if (st == CYG_OK && repair)
        st = repair_all(&r);
    if (st == CYG_OK)
        st = infer(&r);
    cyg_arena_deinit(&r.scratch);
    return st;
}
