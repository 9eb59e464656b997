/* A symbolic batch, and everything optimised nevertheless.
 *
 * Tables of elements need sizes, so attention, windows and patch merging are only found when all
 * shapes are known. A graph with a symbolic batch is therefore optimised twice, at two sizes, and
 * the results are laid over each other. Passes are deterministic: both are the same nodes and
 * values in the same places, and whatever depends on the batch differs between them. What may
 * differ:
 *
 *   a dimension, in proportion to the batch       the batch again, or unknown (a multiple of it)
 *   one entry of a Reshape's target, likewise     -1
 *   a constant that repeats itself along its      one copy: to broadcast; or, in a Concat (a class
 *   first dimension as often as the batch says    token before patches), a Pad and an addition
 *
 * Anything else, and the two are no forms of one graph: the caller tries other sizes, which may not
 * coincide with some size of the model's own, and then leaves the batch alone. So no rule here says
 * what an operator does to a batch; that a sample does not depend on its neighbours is not assumed
 * either. Of the first result only its form is kept: hashes of nodes and constants, and the
 * contents of small integer ones. */
#include "pass/batch.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/checked.h"
#include "base/hash.h"
#include "pass/rewrite.h"

enum { INTS = 16 };

typedef struct value_form {
    cyg_type type;
    uint8_t rank;
    bool is_const, is_target; /* is_target: a small integer vector, its contents in ints */
    int64_t dims[CYG_MAX_RANK];
    bool borrowed;             /* the original's constant still: nothing to compare */
    uint64_t hash, first_hash; /* of all data, and of what stands at index 0 of the first axis when
                                  the rest repeats it (else 0) */
    int64_t ints[INTS];
} value_form;

struct cyg_batch_form {
    int64_t size;
    uint32_t value_count, node_count, order_count;
    value_form *values;
    uint64_t *nodes;
    cyg_node_id *order;
};

/* ---- the batch ---- */

/* The dimension that stands for the batch; 0 when none does. */
static int64_t find_batch(const cyg_graph *g)
{
    int64_t batch = 0;
    for (uint32_t i = 0; i < g->input_count; i++) {
        const cyg_value *v = cyg_val(g, g->inputs[i]);
        if (v->rank == CYG_RANK_UNKNOWN)
            return 0;
        if (v->rank > 0 && v->dims[0] < 0) {
            if (batch != 0 && (batch != v->dims[0] || batch == -1))
                return 0; /* two batches; and "?" equals nothing, not even itself */
            batch = v->dims[0];
        }
    }
    for (uint32_t i = 0; i < g->input_count; i++)
        for (unsigned k = 1; k < cyg_val(g, g->inputs[i])->rank; k++)
            if (cyg_val(g, g->inputs[i])->dims[k] == batch)
                return 0;
    return batch;
}

bool cyg_batch_bind(cyg_graph *g, int64_t size)
{
    const int64_t batch = find_batch(g);
    if (batch == 0)
        return false;
    cyg_graph_bind_symbol(g, batch, size);
    for (uint32_t i = 0; i < g->input_count; i++)
        if (cyg_val(g, g->inputs[i])->rank > 0 && cyg_val(g, g->inputs[i])->dims[0] == batch)
            cyg_val(g, g->inputs[i])->dims[0] = size; /* "?" */
    return true;
}

/* ---- forms ---- */

/* Hash of one repetition when the data is `times` of the same along the first axis. */
static uint64_t repeated_hash(const cyg_value *v, int64_t times)
{
    if (v->rank == 0 || v->dims[0] != times || v->bytes == 0)
        return 0;
    const size_t part = v->bytes / (size_t)times;
    for (int64_t i = 1; i < times; i++)
        if (memcmp(v->data, (const char *)v->data + (size_t)i * part, part) != 0)
            return 0;
    return cyg_hash64(v->data, part, 1);
}

static void read_value(const cyg_graph *g, const cyg_graph *like, uint32_t i, int64_t size,
                       value_form *f)
{
    const cyg_value *v = &g->values[i];
    *f = (value_form){.type = v->type, .rank = v->rank, .is_const = v->is_const};
    memcpy(f->dims, v->dims, sizeof f->dims);
    f->borrowed = i < like->value_count && like->values[i].is_const &&
                  like->values[i].data == v->data && like->values[i].bytes == v->bytes;
    if (!v->is_const || f->borrowed)
        return;
    f->hash = cyg_hash64(v->data, v->bytes, 0);
    f->first_hash = repeated_hash(v, size);
    f->is_target = v->type == CYG_TYPE_S64 && v->rank == 1 && v->dims[0] <= INTS;
    for (int64_t k = 0; f->is_target && k < v->dims[0]; k++)
        f->ints[k] = cyg_load_i64((const char *)v->data + 8 * k);
}

static uint64_t read_node(const cyg_node *n)
{
    return cyg_rw_node_hash(n) + cyg_hash64(n->out, n->out_count * sizeof *n->out, 2);
}

cyg_status cyg_batch_read(cyg_ctx *ctx, const cyg_graph *g, const cyg_graph *like, int64_t size,
                          cyg_batch_form **out_form)
{
    cyg_batch_form *f = calloc(1, sizeof *f);
    *out_form = f;
    if (f == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    *f = (cyg_batch_form){size, g->value_count, g->node_count, g->order_count, NULL, NULL, NULL};
    f->values = calloc((size_t)g->value_count + 1, sizeof *f->values);
    f->nodes = calloc((size_t)g->node_count + 1, sizeof *f->nodes);
    f->order = calloc((size_t)g->order_count + 1, sizeof *f->order);
    if (f->values == NULL || f->nodes == NULL || f->order == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    for (uint32_t i = 0; i < g->value_count; i++)
        read_value(g, like, i, size, &f->values[i]);
    for (uint32_t i = 0; i < g->node_count; i++)
        f->nodes[i] = read_node(&g->nodes[i]);
    if (g->order_count > 0)
        memcpy(f->order, g->order, g->order_count * sizeof *g->order);
    return CYG_OK;
}

void cyg_batch_free(cyg_batch_form *f)
{
    if (f == NULL)
        return;
    free(f->values);
    free(f->nodes);
    free(f->order);
    free(f);
}

/* ---- joining ---- */

typedef enum difference {
    SAME,
    SHAPE,    /* one dimension, in proportion to the batch */
    TARGET,   /* a constant: one entry, in proportion */
    REPEATED, /* a constant: as many copies as the batch is large */
    OTHER,
} difference;

typedef struct joiner {
    cyg_ctx *ctx;
    cyg_graph *g;
    const cyg_graph *like;
    const cyg_batch_form *form;
    int64_t size, batch; /* batch: the dimension that it becomes */
    uint8_t *differs;    /* [value of the result] */
    cyg_arena scratch;
    cyg_uses uses;
} joiner;

static bool in_proportion(const joiner *j, int64_t here, int64_t there)
{
    int64_t a, b;
    return here > 0 && there > 0 && cyg_mul_i64(here, j->form->size, &a) &&
           cyg_mul_i64(there, j->size, &b) && a == b && here % j->size == 0;
}

/* How many entries differ; -1 when one does out of proportion. */
static int count_differences(const joiner *j, const int64_t *here, const int64_t *there,
                             int64_t count)
{
    int found = 0;
    for (int64_t i = 0; i < count; i++)
        if (here[i] != there[i]) {
            if (!in_proportion(j, here[i], there[i]))
                return -1;
            found++;
        }
    return found;
}

static difference compare_value(const joiner *j, uint32_t i)
{
    const cyg_value *v = &j->g->values[i];
    const value_form *f = &j->form->values[i];
    value_form own;
    if (v->type != f->type || v->rank != f->rank || v->is_const != f->is_const)
        return OTHER;
    if (v->rank == CYG_RANK_UNKNOWN)
        return SAME;
    const int dims = count_differences(j, v->dims, f->dims, v->rank);
    if (dims != 0 && (dims != 1 || (v->is_const && v->dims[0] == f->dims[0])))
        return OTHER;
    if (!v->is_const)
        return dims == 0 ? SAME : SHAPE;
    read_value(j->g, j->like, i, j->size, &own);
    if (own.borrowed != f->borrowed)
        return OTHER;
    if (dims == 1)
        return own.first_hash != 0 && own.first_hash == f->first_hash && f->dims[0] == j->form->size
                   ? REPEATED
                   : OTHER;
    if (own.hash == f->hash)
        return SAME;
    return own.is_target && count_differences(j, own.ints, f->ints, v->dims[0]) == 1 ? TARGET
                                                                                     : OTHER;
}

static bool same_nodes(const joiner *j)
{
    const cyg_graph *g = j->g;
    const cyg_batch_form *f = j->form;
    if (g->value_count != f->value_count || g->node_count != f->node_count ||
        g->order_count != f->order_count)
        return false;
    for (uint32_t i = 0; i < g->order_count; i++)
        if (g->order[i].i != f->order[i].i)
            return false;
    for (uint32_t i = 0; i < g->node_count; i++)
        if (read_node(&g->nodes[i]) != f->nodes[i])
            return false;
    return true;
}

/* A Reshape's target is its result's shape, with -1 where the batch is. */
static bool open_target(joiner *j, cyg_value_id target)
{
    cyg_value *t = cyg_val(j->g, target);
    int64_t *open = CYG_NEW_ARRAY(&j->g->arena, int64_t, INTS);
    for (uint32_t u = j->uses.first[target.i]; u < j->uses.first[target.i + 1]; u++) {
        const cyg_node *n = cyg_nod(j->g, j->uses.user[u]);
        if (open == NULL || n->op != CYG_OP_reshape || n->in[0].i == target.i ||
            j->differs[n->out[0].i] != SHAPE)
            return false;
        const cyg_value *y = cyg_val(j->g, n->out[0]);
        const int64_t *former = j->form->values[n->out[0].i].dims;
        for (unsigned k = 0; k < y->rank; k++) {
            const int64_t entry = y->dims[k] != former[k] ? -1 : y->dims[k];
            if (entry == 0 || (u > j->uses.first[target.i] && open[k] != entry))
                return false;
            open[k] = entry;
        }
    }
    t->data = open;
    return true;
}

/* Tokens that every sample gets: constants and x side by side. With zeros in the constants' place
 * that is x, padded, plus the constants, padded. `sum`: the addition behind it, when it adds a
 * constant; then the tokens are added to that. */
typedef struct tokens {
    const cyg_node *concat;
    int axis;
    cyg_value_id x, out;
    int64_t dims[CYG_MAX_RANK], before, after; /* of the sum for one sample; rows around x */
} tokens;

static bool read_tokens(joiner *j, const cyg_node *n, tokens *t)
{
    const cyg_value *y = cyg_val(j->g, n->out[0]);
    *t = (tokens){.concat = n, .x = CYG_NO_VALUE, .out = n->out[0]};
    t->axis = cyg_rw_axis(cyg_node_int(n, CYG_ATTR_axis, 0), y->rank);
    if (t->axis < 1 || y->type != CYG_TYPE_F32 || !cyg_value_shape_known(y))
        return false;
    memcpy(t->dims, y->dims, sizeof t->dims);
    t->dims[0] = 1;
    for (uint32_t i = 0; i < n->in_count; i++) {
        const cyg_value *v = cyg_val(j->g, n->in[i]);
        const bool repeated = j->differs[n->in[i].i] == REPEATED;
        if (!repeated && (!cyg_value_is_none(t->x) || j->differs[n->in[i].i] != SHAPE))
            return false;
        if (!repeated)
            t->x = n->in[i];
        else
            *(cyg_value_is_none(t->x) ? &t->before : &t->after) += v->dims[t->axis];
    }
    return !cyg_value_is_none(t->x) && y->dims[0] == j->size;
}

/* The constants in their places, zeros elsewhere: [1, ..]. */
static float *lay_out(joiner *j, const tokens *t)
{
    int64_t outer = 1, inner = 1, count = 1;
    for (int k = 0; k < cyg_val(j->g, t->out)->rank; k++) {
        outer *= k < t->axis ? t->dims[k] : 1;
        inner *= k > t->axis ? t->dims[k] : 1;
        count *= t->dims[k];
    }
    float *sum = CYG_NEW_ARRAY(&j->g->arena, float, count);
    int64_t done = 0;
    for (uint32_t i = 0; sum != NULL && i < t->concat->in_count; i++) {
        const cyg_value *v = cyg_val(j->g, t->concat->in[i]);
        const int64_t part = v->dims[t->axis] * inner;
        for (int64_t o = 0; v->is_const && o < outer; o++)
            memcpy(sum + o * t->dims[t->axis] * inner + done, (const char *)v->data + o * part * 4,
                   (size_t)part * sizeof *sum);
        done += part;
    }
    return sum;
}

static bool pad_and_add(joiner *j, cyg_node_id id)
{
    cyg_graph *g = j->g;
    tokens t;
    if (!read_tokens(j, cyg_nod(g, id), &t))
        return false;
    const int rank = cyg_val(g, t.out)->rank;
    const float *sum = lay_out(j, &t);
    int64_t pads[2 * CYG_MAX_RANK] = {0}, dims[CYG_MAX_RANK], elements = 1;
    const int64_t pad_count = 2 * rank;
    pads[t.axis] = t.before;
    pads[t.axis + rank] = t.after;
    for (int k = 0; k < rank; k++)
        elements *= t.dims[k];
    memcpy(dims, cyg_val(g, t.out)->dims, sizeof dims);
    dims[0] = j->batch;
    char *name = cyg_arena_printf(&j->scratch, "%s/tokens", cyg_nod(g, id)->name);
    if (sum == NULL || name == NULL)
        return false;
    const cyg_value_id table = cyg_graph_add_const(g, name, CYG_TYPE_F32, rank, t.dims, sum,
                                                   (size_t)elements * sizeof *sum);
    const cyg_value_id widths = cyg_graph_add_const_copy(g, "pads", CYG_TYPE_S64, 1, &pad_count,
                                                         pads, (size_t)pad_count * sizeof *pads);
    char *padded_name = cyg_arena_printf(&j->scratch, "%s/padded", cyg_nod(g, id)->name);
    const cyg_value_id padded = cyg_graph_add_value(g, padded_name, CYG_TYPE_F32, rank, dims);
    if (cyg_value_is_none(table) || cyg_value_is_none(widths) || cyg_value_is_none(padded))
        return false;
    const char *own = cyg_nod(g, id)->name;
    const cyg_node_id pad = cyg_graph_add_node(g, id, CYG_OP_pad, padded_name,
                                               (cyg_value_id[]){t.x, widths}, 2, &padded, 1);
    if (cyg_node_is_none(pad) || !cyg_node_set_string(g, pad, CYG_ATTR_mode, "constant"))
        return false;
    cyg_node_merge_sources(g, pad, id);
    cyg_graph_remove_node(g, id);
    const cyg_node_id add =
        cyg_graph_add_node(g, id, CYG_OP_add, own, (cyg_value_id[]){padded, table}, 2, &t.out, 1);
    if (cyg_node_is_none(add))
        return false;
    cyg_node_merge_sources(g, add, id);
    return true;
}

/* One copy broadcasts: next to an operand that has the batch, where the result has it. */
static bool broadcasts(const joiner *j, const cyg_node *n, cyg_value_id v)
{
    const bool elementwise = (cyg_op_schema_of(n->op)->flags & CYG_OPF_BINARY) != 0;
    const cyg_value *c = cyg_val(j->g, v);
    if (!elementwise || n->out_count != 1 || j->differs[n->out[0].i] != SHAPE)
        return false;
    for (uint32_t i = 0; i < n->in_count; i++)
        if (!cyg_value_is_none(n->in[i]) && j->differs[n->in[i].i] == SHAPE &&
            cyg_val(j->g, n->in[i])->rank == c->rank && cyg_val(j->g, n->in[i])->dims[0] == j->size)
            return true;
    return false;
}

static bool use_one_copy(joiner *j, cyg_value_id v)
{
    if (cyg_graph_is_output(j->g, v))
        return false;
    for (uint32_t u = j->uses.first[v.i]; u < j->uses.first[v.i + 1]; u++) {
        const cyg_node_id id = j->uses.user[u];
        const cyg_op op = cyg_nod(j->g, id)->op;
        if (op == CYG_OP_removed) /* a Concat that another of its constants has replaced */
            continue;
        if (op == CYG_OP_concat ? !pad_and_add(j, id) : !broadcasts(j, cyg_nod(j->g, id), v))
            return false;
    }
    cyg_value *c = cyg_val(j->g, v);
    c->bytes /= (size_t)c->dims[0];
    c->dims[0] = 1;
    return true;
}

static bool join(joiner *j)
{
    cyg_graph *g = j->g;
    const uint32_t count = g->value_count;

    if (!same_nodes(j))
        return false;
    for (uint32_t i = 0; i < count; i++) {
        j->differs[i] = (uint8_t)compare_value(j, i);
        if (j->differs[i] == OTHER)
            return false;
    }
    /* Everything is judged by the shapes of this size; then these are opened. */
    for (uint32_t i = 0; i < count; i++)
        if (j->differs[i] == TARGET && !open_target(j, (cyg_value_id){i}))
            return false;
    for (uint32_t i = 0; i < count; i++)
        if (j->differs[i] == REPEATED && !use_one_copy(j, (cyg_value_id){i}))
            return false;
    for (uint32_t i = 0; i < count; i++) {
        cyg_value *v = &g->values[i];
        for (unsigned k = 0; j->differs[i] == SHAPE && k < v->rank; k++)
            if (v->dims[k] != j->form->values[i].dims[k])
                v->dims[k] = v->dims[k] == j->size ? j->batch : -1;
    }
    return !g->failed;
}

cyg_status cyg_batch_join(cyg_ctx *ctx, cyg_graph *g, int64_t size, const cyg_batch_form *form,
                          const cyg_graph *like, bool *out_joined)
{
    joiner j = {
        .ctx = ctx, .g = g, .like = like, .form = form, .size = size, .batch = find_batch(like)};
    *out_joined = false;
    cyg_arena_init(&j.scratch);
    j.differs = CYG_NEW_ARRAY(&j.scratch, uint8_t, (size_t)g->value_count + 1);
    cyg_status st = j.differs == NULL ? CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory")
                                      : cyg_uses_build(ctx, g, &j.scratch, &j.uses);
    if (st == CYG_OK) {
        *out_joined = join(&j);
        if (g->failed)
            st = CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    }
    cyg_arena_deinit(&j.scratch);
    if (st == CYG_OK && *out_joined)
        st = cyg_graph_sort(ctx, g);
    if (st == CYG_OK && *out_joined)
        st = cyg_graph_infer_shapes(ctx, g);
    return st;
}
