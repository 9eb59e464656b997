/* The mean over all positions of a token map. Exporters write it as ReduceMean over [1, 2] of [B,
 * H, W, C], as Transpose + GlobalAveragePool, as AveragePool over everything, as ReduceMean over
 * the last axis of a transposed map. All become ReduceMean over axis 1 of [B, S, C], the form in
 * which tokens stay rows. The test is on the table of elements: what is averaged, element by
 * element, must be the S rows of each image, channel by channel. Networks that are channels first
 * anyway keep GlobalAveragePool. */
#include <string.h>

#include "pass/elements.h"
#include "pass/passes.h"

typedef struct span {
    int64_t images, channels, positions; /* the operand is [images, channels, positions] or [images,
                                            positions, channels] */
    bool channels_first;
} span;

/* AveragePool without padding whose window is the whole map. */
static bool covers_all(const cyg_node *n, const cyg_value *x)
{
    const int64_t *kernel, *pads, *dilations;
    const size_t count = cyg_node_ints(n, CYG_ATTR_kernel_shape, &kernel);
    const size_t pad_count = cyg_node_ints(n, CYG_ATTR_pads, &pads);
    const size_t dilation_count = cyg_node_ints(n, CYG_ATTR_dilations, &dilations);
    const char *auto_pad = cyg_node_string(n, CYG_ATTR_auto_pad, "NOTSET");
    if (count + 2 != x->rank || (strcmp(auto_pad, "NOTSET") != 0 && strcmp(auto_pad, "VALID") != 0))
        return false;
    for (size_t i = 0; i < count; i++)
        if (kernel[i] != x->dims[i + 2])
            return false;
    for (size_t i = 0; i < pad_count; i++)
        if (pads[i] != 0)
            return false;
    for (size_t i = 0; i < dilation_count; i++)
        if (dilations[i] != 1)
            return false;
    return true;
}

/* What the node averages, when that is a contiguous range of axes after the first with one axis
 * left beside it. */
static bool averaged_span(cyg_rw *rw, const cyg_node *n, span *out)
{
    const cyg_value *x = cyg_val(rw->g, n->in[0]);
    if (!cyg_value_shape_known(x) || x->rank < 3)
        return false;
    const int64_t total = cyg_value_elements(x);
    *out = (span){.images = x->dims[0], .channels = x->dims[1], .channels_first = true};
    if (n->op == CYG_OP_reduce_mean) {
        const int64_t *axes;
        size_t count;
        unsigned mask = 0;
        if (!cyg_rw_ints(rw, cyg_node_in(n, 1), &axes, &count) || count == 0)
            return false;
        for (size_t i = 0; i < count; i++) {
            const int axis = cyg_rw_axis(axes[i], x->rank);
            if (axis < 0)
                return false;
            mask |= 1u << axis;
        }
        const unsigned all = (1u << x->rank) - 1;
        if (mask == (all & ~1u & ~(1u << (x->rank - 1)))) { /* all but the first and the last */
            out->channels = x->dims[x->rank - 1];
            out->channels_first = false;
        } else if (mask != (all & ~3u)) {
            return false;
        }
    } else if (n->op == CYG_OP_average_pool ? !covers_all(n, x)
                                            : n->op != CYG_OP_global_average_pool) {
        return false;
    }
    if (out->images < 1 || out->channels < 1 || total < 1)
        return false;
    out->positions = total / (out->images * out->channels);
    return true;
}

/* Element (b, c, s) of the operand is element (b, s, c) of the source. */
static bool reads_rows(const cyg_elements *map, const span *s)
{
    if (map->count != s->images * s->channels * s->positions)
        return false;
    const int32_t *at = map->at;
    for (int64_t b = 0; b < s->images; b++)
        for (int64_t c = 0; c < s->channels; c++)
            for (int64_t p = 0; p < s->positions; p++)
                if (*at++ != (b * s->positions + p) * s->channels + c)
                    return false;
    return true;
}

static cyg_status visit(cyg_rw *rw, cyg_node_id id)
{
    cyg_graph *g = rw->g;
    const cyg_node *n = cyg_nod(g, id);
    span s;
    if ((n->op != CYG_OP_reduce_mean && n->op != CYG_OP_global_average_pool &&
         n->op != CYG_OP_average_pool) ||
        !averaged_span(rw, n, &s))
        return CYG_OK;
    cyg_value_id x = n->in[0];
    if (s.channels_first) {
        cyg_elements map;
        if (cyg_elements_root(rw, x).i == x.i || !cyg_elements_of(rw, x, &map))
            return CYG_OK;
        const bool rows = reads_rows(&map, &s);
        cyg_elements_free(&map);
        if (!rows)
            return CYG_OK;
        x = map.source;
    } else if (cyg_val(g, x)->rank == 3 && cyg_node_int(n, CYG_ATTR_keepdims, 1) == 0) {
        return CYG_OK; /* canonical already */
    }
    const cyg_value_id out = n->out[0], former = n->in[0];
    const int64_t axis = 1, in_dims[3] = {s.images, s.positions, s.channels},
                  out_dims[2] = {s.images, s.channels};
    const cyg_value_id rows = cyg_rw_reshaped(rw, id, x, 3, in_dims);
    const cyg_value_id axes = cyg_rw_const_ints(rw, "axes", &axis, 1);
    const cyg_value_id mean = cyg_rw_value_for(rw, out, 2, out_dims);
    if (cyg_value_is_none(rows) || cyg_value_is_none(axes) || cyg_value_is_none(mean))
        return CYG_RW_NOMEM(rw);
    const cyg_node_id now =
        cyg_rw_replace(rw, id, CYG_OP_reduce_mean, (cyg_value_id[]){rows, axes}, 2, mean);
    if (cyg_node_is_none(now) || !cyg_node_set_int(g, now, CYG_ATTR_keepdims, 0))
        return CYG_RW_NOMEM(rw);
    cyg_rw_merge_upwards(rw, now, former, x);
    cyg_rw_reshape_into(rw, id, mean, out);
    cyg_rw_drop(rw, former);
    return CYG_OK;
}

cyg_status cyg_pass_pool(cyg_ctx *ctx, cyg_graph *g, bool *out_changed)
{
    return cyg_rw_each(ctx, g, visit, out_changed);
}
