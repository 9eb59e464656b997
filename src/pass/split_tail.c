/* A linear or convolution with less behind its product: activation, residual and the activation
 * behind that become nodes of their own, from a place on. For those who want a part in another
 * precision than the step has (FP32 of a GELU, say); the product keeps its integers. Not a pass of
 * the pipeline: the caller names nodes.
 *
 * Provenance follows the parts. Which source operator is which shows by kind and order: products
 * first; the first Add is the bias, where there is one; the last Add is the residual's, and what
 * stands behind it the second activation; all between makes up the activation. */
#include <string.h>

#include "pass/rewrite.h"
#include "pass/split_tail.h"

static bool is_product(const char *kind)
{
    return strcmp(kind, "MatMul") == 0 || strcmp(kind, "Gemm") == 0 || strcmp(kind, "Conv") == 0 ||
           strcmp(kind, "tensor") == 0;
}

cyg_tail_part cyg_tail_part_of(const cyg_graph *g, const cyg_node *n, uint32_t k)
{
    const char *kind = g->sources[n->sources[k].i].kind;
    const bool biased = !cyg_value_is_none(cyg_node_in(n, 2)),
               residual = !cyg_value_is_none(cyg_node_in(n, 3)),
               acts = cyg_node_int(n, CYG_ATTR_act, CYG_ACT_NONE) != CYG_ACT_NONE,
               posts = cyg_node_int(n, CYG_ATTR_post_act, CYG_ACT_NONE) != CYG_ACT_NONE;
    uint32_t first = UINT32_MAX, last = 0; /* Adds: sources stand in the order of the file */
    bool gemm = false;
    for (uint32_t i = 0; i < n->source_count; i++) {
        const char *other = g->sources[n->sources[i].i].kind;
        gemm = gemm || strcmp(other, "Gemm") == 0 || strcmp(other, "Conv") == 0;
        if (strcmp(other, "Add") != 0)
            continue;
        first = first == UINT32_MAX ? i : first;
        last = i;
    }
    if (is_product(kind))
        return CYG_TAIL_PRODUCT;
    if (residual && first != UINT32_MAX && k >= last)
        return k == last || !posts ? CYG_TAIL_RESIDUAL : CYG_TAIL_POST;
    if (k == first && biased && !gemm)
        return CYG_TAIL_PRODUCT;
    return acts ? CYG_TAIL_ACT : CYG_TAIL_PRODUCT;
}

typedef struct splitting {
    cyg_rw *rw;
    cyg_node_id id;
    const cyg_node *n; /* a copy: adding nodes moves the array */
    cyg_value like;    /* the result */
    bool failed;
    cyg_node_id made[4]; /* by part */
} splitting;

static cyg_value_id insert(splitting *s, cyg_op op, const cyg_value_id *in, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        s->failed = s->failed || cyg_value_is_none(in[i]);
    if (s->failed)
        return CYG_NO_VALUE;
    const cyg_value_id v =
        cyg_rw_insert(s->rw, s->id, op, in, count, in[0], s->like.rank, s->like.dims);
    s->failed = cyg_value_is_none(v);
    if (!s->failed)
        cyg_nod(s->rw->g, cyg_val(s->rw->g, v)->producer)->source_count = 0;
    return v;
}

static void set_float(splitting *s, cyg_value_id v, cyg_attr_key key, float x)
{
    s->failed = s->failed || !cyg_node_set_float(s->rw->g, cyg_val(s->rw->g, v)->producer, key, x);
}

static cyg_value_id activation(splitting *s, int64_t act, cyg_value_id a)
{
    const float lo = cyg_node_float(s->n, CYG_ATTR_act_lo, 0.0f),
                hi = cyg_node_float(s->n, CYG_ATTR_act_hi, 0.0f);
    const bool plain = !(lo < 0.0f || lo > 0.0f || hi < 0.0f || hi > 0.0f);
    cyg_value_id y;
    switch (act) {
    case CYG_ACT_RELU:
        return insert(s, CYG_OP_relu, &a, 1);
    case CYG_ACT_GELU_ERF:
    case CYG_ACT_GELU_TANH:
        y = insert(s, CYG_OP_gelu, &a, 1);
        s->failed = s->failed || !cyg_node_set_string(s->rw->g, cyg_val(s->rw->g, y)->producer,
                                                      CYG_ATTR_approximate,
                                                      act == CYG_ACT_GELU_TANH ? "tanh" : "none");
        return y;
    case CYG_ACT_CLIP: {
        const cyg_value_id in[] = {a, cyg_rw_const_scalar(s->rw, "min", lo),
                                   cyg_rw_const_scalar(s->rw, "max", hi)};
        return insert(s, CYG_OP_clip, in, 3);
    }
    case CYG_ACT_SILU: {
        const cyg_value_id in[] = {a, insert(s, CYG_OP_sigmoid, &a, 1)};
        return insert(s, CYG_OP_mul, in, 2);
    }
    case CYG_ACT_SIGMOID:
        return insert(s, CYG_OP_sigmoid, &a, 1);
    case CYG_ACT_TANH:
        return insert(s, CYG_OP_tanh, &a, 1);
    case CYG_ACT_HARDSWISH:
        return insert(s, CYG_OP_hardswish, &a, 1);
    case CYG_ACT_HARDSIGMOID:
        y = insert(s, CYG_OP_hardsigmoid, &a, 1);
        if (!s->failed)
            set_float(s, y, CYG_ATTR_alpha, plain ? 1.0f / 6.0f : lo);
        if (!s->failed)
            set_float(s, y, CYG_ATTR_beta, plain ? 0.5f : hi);
        return y;
    case CYG_ACT_LEAKY_RELU:
        y = insert(s, CYG_OP_leaky_relu, &a, 1);
        if (!s->failed)
            set_float(s, y, CYG_ATTR_alpha, lo);
        return y;
    default:
        return a;
    }
}

static cyg_node_id maker(const splitting *s, cyg_value_id v)
{
    return s->failed ? CYG_NO_NODE : cyg_val(s->rw->g, v)->producer;
}

/* Each source to the node that its part became, or to the product that still holds it. */
static void give_sources(splitting *s)
{
    for (uint32_t k = 0; k < s->n->source_count && !s->failed; k++) {
        cyg_node_id to = s->made[cyg_tail_part_of(s->rw->g, s->n, k)];
        if (cyg_node_is_none(to))
            to = s->made[CYG_TAIL_PRODUCT];
        cyg_node_add_source(s->rw->g, to, s->n->sources[k]);
    }
}

static cyg_status split(cyg_rw *rw, cyg_node_id id, cyg_tail_part from)
{
    const cyg_node copy = *cyg_nod(rw->g, id);
    splitting s = {.rw = rw, .id = id, .n = &copy, .like = *cyg_val(rw->g, copy.out[0])};
    const int64_t act = cyg_node_int(&copy, CYG_ATTR_act, CYG_ACT_NONE),
                  post = cyg_node_int(&copy, CYG_ATTR_post_act, CYG_ACT_NONE);
    const cyg_value_id residual = cyg_node_in(&copy, 3);
    uint32_t count = copy.in_count < 3 ? copy.in_count : 3;
    while (count > 0 && cyg_value_is_none(copy.in[count - 1]))
        count--;
    for (int i = 0; i < 4; i++)
        s.made[i] = CYG_NO_NODE;
    cyg_value_id v = insert(&s, copy.op, copy.in, count);
    const cyg_node_id product = s.made[CYG_TAIL_PRODUCT] = maker(&s, v);
    if (s.failed || !cyg_node_copy_attrs(rw->g, product, &copy))
        return CYG_RW_NOMEM(rw);
    if (from == CYG_TAIL_ACT) {
        cyg_node_clear_attr(rw->g, product, CYG_ATTR_act);
        v = activation(&s, act, v);
        s.made[CYG_TAIL_ACT] = maker(&s, v);
    }
    cyg_node_clear_attr(rw->g, product, CYG_ATTR_post_act);
    if (!cyg_value_is_none(residual)) {
        v = insert(&s, CYG_OP_add, (cyg_value_id[]){v, residual}, 2);
        s.made[CYG_TAIL_RESIDUAL] = maker(&s, v);
    }
    if (post != CYG_ACT_NONE) {
        v = activation(&s, post, v);
        s.made[CYG_TAIL_POST] = maker(&s, v);
    }
    give_sources(&s);
    if (s.failed || cyg_node_is_none(cyg_rw_replace(rw, id, CYG_OP_identity, &v, 1, copy.out[0])))
        return CYG_RW_NOMEM(rw);
    const cyg_node_id end = cyg_val(rw->g, copy.out[0])->producer;
    cyg_nod(rw->g, end)->source_count = 0;
    return cyg_graph_rename_node(rw->g, end, "tail") &&
                   cyg_graph_rename_node(rw->g, product, copy.name)
               ? CYG_OK
               : CYG_RW_NOMEM(rw);
}

cyg_status cyg_split_tail(cyg_ctx *ctx, cyg_graph *g, const cyg_node_id *nodes,
                          const cyg_tail_part *from, size_t count)
{
    cyg_rw rw;
    bool changed;
    CYG_DO(cyg_rw_begin(ctx, g, &rw));
    cyg_status status = CYG_OK;
    for (size_t i = 0; i < count && status == CYG_OK; i++)
        status = split(&rw, nodes[i], from[i]);
    status = cyg_rw_end(&rw, status, &changed);
    return status == CYG_OK && changed ? cyg_graph_infer_shapes(ctx, g) : status;
}
