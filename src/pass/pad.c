/* A Pad in front of a convolution or pool becomes the pads of its attributes. Keras and TensorFlow
 * write the padding of strided convolutions apart, for theirs is one-sided.
 *
 * A convolution pads with zeros itself, and so does the mean of a pool that counts its padding. A
 * maximum leaves padding out, which equals padding with something that no element is below: -inf
 * (or the lowest finite number) always, zero behind a ReLU. Pads stay below the extent
 * of the window, so that each window sees an element: a maximum of nothing is not defined, runtimes
 * refuse such pools, and a convolution would mostly compute its bias. Under ceil_mode pads decide
 * the size of the result, so there a Pad stays. */
#include <float.h>
#include <string.h>

#include "pass/passes.h"
#include "pass/rewrite.h"

typedef struct window {
    int spatial;
    int64_t extent[CYG_MAX_RANK];   /* from the first element that a window sees to the last */
    int64_t pads[2 * CYG_MAX_RANK]; /* as the attribute has them */
    bool padded, dilated;
} window;

static bool read_window(const cyg_rw *rw, const cyg_node *n, int rank, window *w)
{
    int64_t dilations[CYG_MAX_RANK];
    *w = (window){.spatial = rank - 2};
    if (rank < 3 || strcmp(cyg_node_string(n, CYG_ATTR_auto_pad, "NOTSET"), "NOTSET") != 0 ||
        !cyg_node_list(n, CYG_ATTR_kernel_shape, w->spatial, -1, w->extent) ||
        !cyg_node_list(n, CYG_ATTR_dilations, w->spatial, 1, dilations) ||
        !cyg_node_list(n, CYG_ATTR_pads, 2 * w->spatial, 0, w->pads))
        return false;
    if (n->op == CYG_OP_conv && w->extent[0] < 0) {
        const cyg_value *weight = cyg_val(rw->g, n->in[1]);
        if (weight->rank != rank)
            return false;
        memcpy(w->extent, weight->dims + 2, (size_t)w->spatial * sizeof *w->extent);
    }
    for (int i = 0; i < w->spatial; i++) {
        if (w->extent[i] < 1 || w->extent[i] > INT32_MAX || dilations[i] < 1 ||
            dilations[i] > INT32_MAX)
            return false;
        w->extent[i] = (w->extent[i] - 1) * dilations[i] + 1;
        w->dilated = w->dilated || dilations[i] != 1;
        w->padded = w->padded || w->pads[i] != 0 || w->pads[w->spatial + i] != 0;
    }
    return true;
}

/* What the Pad puts in is what the window's own padding stands for. */
static bool same_filling(const cyg_rw *rw, const cyg_node *pad, const cyg_node *n, const window *w)
{
    const cyg_value_id constant = cyg_node_in(pad, 2);
    float value = 0.0f;
    if (!cyg_value_is_none(constant) && !cyg_rw_scalar(rw, constant, &value))
        return false;
    const bool after_relu = !cyg_node_is_none(cyg_rw_producer(rw, pad->in[0], CYG_OP_relu));
    if (n->op == CYG_OP_max_pool)
        return value <= -FLT_MAX || (value <= 0.0f && after_relu);
    const bool own = n->op == CYG_OP_average_pool && w->padded; /* padding that does not count? */
    return value == 0.0f && (!own || cyg_node_int(n, CYG_ATTR_count_include_pad, 0) != 0);
}

/* A pool's windows lie in the padded picture, each sees an element of it, and nobody asks where the
 * maximum was. */
static bool is_plain_pool(const cyg_value *x, const cyg_node *n, const window *w)
{
    bool plain = !w->dilated && n->out_count == 1 && cyg_node_int(n, CYG_ATTR_ceil_mode, 0) == 0;
    for (int i = 0; i < w->spatial; i++)
        plain = plain && x->dims[2 + i] != 0;
    return plain;
}

/* w->pads become the sum of both. False when they cannot, or axes other than spatial ones change.
 */
static bool add_pads(cyg_rw *rw, const cyg_node *pad, window *w)
{
    int64_t add[2][CYG_MAX_RANK];
    if (!cyg_rw_pads(rw, pad, w->spatial + 2, add[0], add[1]))
        return false;
    for (int end = 0; end < 2; end++) {
        if (add[end][0] != 0 || add[end][1] != 0)
            return false;
        for (int i = 0; i < w->spatial; i++) {
            int64_t *sum = &w->pads[end * w->spatial + i];
            const int64_t more = add[end][2 + i];
            if (more < 0 || more > INT32_MAX || *sum + more > INT32_MAX)
                return false;
            *sum += more;
            if (more > 0 && *sum >= w->extent[i])
                return false;
        }
    }
    return true;
}

static cyg_status visit(cyg_rw *rw, cyg_node_id id)
{
    cyg_graph *g = rw->g;
    const cyg_node *pad = cyg_nod(g, id);
    if (pad->op != CYG_OP_pad ||
        strcmp(cyg_node_string(pad, CYG_ATTR_mode, "constant"), "constant") != 0)
        return CYG_OK;
    const cyg_node_id user = cyg_rw_only_user(rw, pad->out[0]);
    if (cyg_node_is_none(user))
        return CYG_OK;
    const cyg_node *n = cyg_nod(g, user);
    const cyg_value *x = cyg_val(g, pad->in[0]);
    const bool pool = n->op == CYG_OP_max_pool || n->op == CYG_OP_average_pool;
    window w;
    if ((!pool && n->op != CYG_OP_conv) || n->in[0].i != pad->out[0].i ||
        x->rank == CYG_RANK_UNKNOWN || !read_window(rw, n, x->rank, &w) ||
        (pool && !is_plain_pool(x, n, &w)) || !same_filling(rw, pad, n, &w) ||
        !add_pads(rw, pad, &w))
        return CYG_OK;
    if (!cyg_node_set_ints(g, user, CYG_ATTR_pads, w.pads, 2 * (size_t)w.spatial) ||
        (n->op == CYG_OP_average_pool && !cyg_node_set_int(g, user, CYG_ATTR_count_include_pad, 1)))
        return CYG_RW_NOMEM(rw);
    cyg_node_set_input(g, user, 0, pad->in[0]);
    cyg_node_merge_sources(g, user, id);
    cyg_graph_remove_node(g, id);
    rw->changed = true;
    return CYG_OK;
}

cyg_status cyg_pass_pad(cyg_ctx *ctx, cyg_graph *g, bool *out_changed)
{
    return cyg_rw_each(ctx, g, visit, out_changed);
}
