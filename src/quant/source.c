/* Nodes between what the runtime feeds and a quantised graph's input.
 *
 *   codes     Cast to f32, minus the zero point, times the scale, then what the model takes: the
 *             vendor's Dequantize in front of everything else
 *   video     slices and gathers bring Y, U and V of each pixel side by side (bytes move), an
 *             integer product with 16-bit weights makes colour of them, one rounding (yuv.h), and
 *             what comes out are the pixels that the graph reads otherwise
 *
 * Both are ordinary nodes, so every target, batch size and executor follows without knowing. */
#include "quant/source.h"

#include "quant/params.h"

typedef struct binding {
    cyg_ctx *ctx;
    cyg_graph *g;
    cyg_node_id first; /* everything goes in front of it */
} binding;

static cyg_status nomem(const binding *b)
{
    return CYG_FAIL(b->ctx, CYG_E_NOMEM, "out of memory");
}

static cyg_value_id add(const binding *b, cyg_op op, const cyg_value_id *in, uint32_t count,
                        cyg_type type, int rank, const int64_t *dims)
{
    for (uint32_t i = 0; i < count; i++)
        if (cyg_value_is_none(in[i]))
            return CYG_NO_VALUE;
    const cyg_value_id y = cyg_graph_add_value(b->g, NULL, type, rank, dims);
    if (cyg_value_is_none(y) ||
        cyg_node_is_none(cyg_graph_add_node(b->g, b->first, op, NULL, in, count, &y, 1)))
        return CYG_NO_VALUE;
    return y;
}

/* The node of a value that add() made; a none-id is refused by the setters. */
static cyg_node_id node_of(const binding *b, cyg_value_id v)
{
    return cyg_value_is_none(v) ? CYG_NO_NODE : cyg_val(b->g, v)->producer;
}

/* `now` is what the runtime feeds: it takes the input's place and name. */
static cyg_status take_over(const binding *b, uint32_t index, cyg_value_id now)
{
    const cyg_value_id old = b->g->inputs[index];
    if (cyg_value_is_none(now) || !cyg_quant_take_name(b->g, old, now))
        return nomem(b);
    b->g->inputs[index] = now;
    return CYG_OK;
}

/* The input, so far made by nobody, is the result of node n, which gave `v` until now. */
static cyg_status make_input(const binding *b, uint32_t index, cyg_value_id v)
{
    cyg_graph *g = b->g;
    const cyg_node_id n = node_of(b, v);
    const cyg_value_id input = g->inputs[index];
    if (cyg_node_is_none(n))
        return nomem(b);
    cyg_nod(g, n)->out[0] = input;
    cyg_val(g, input)->producer = n;
    cyg_val(g, v)->producer = CYG_NO_NODE;
    return CYG_OK;
}

/* ---- codes ---- */

static cyg_value_id number(const binding *b, float x)
{
    return cyg_graph_add_const_copy(b->g, NULL, CYG_TYPE_F32, 0, NULL, &x, sizeof x);
}

static cyg_status bind_codes(const binding *b, uint32_t index, const cyg_quant_source *s)
{
    const cyg_value like = *cyg_val(b->g, b->g->inputs[index]);
    const cyg_value_id codes = cyg_graph_add_value(b->g, NULL, s->type, like.rank, like.dims);
    cyg_value_id x = add(b, CYG_OP_cast, &codes, 1, like.type, like.rank, like.dims);
    if (!cyg_node_set_int(b->g, node_of(b, x), CYG_ATTR_to, cyg_type_to_onnx(like.type)))
        return nomem(b);
    if (s->zero_point != 0) {
        const cyg_value_id in[] = {x, number(b, (float)s->zero_point)};
        x = add(b, CYG_OP_sub, in, 2, CYG_TYPE_F32, like.rank, like.dims);
    }
    if (s->scale < 1.0f || s->scale > 1.0f) {
        const cyg_value_id in[] = {x, number(b, s->scale)};
        x = add(b, CYG_OP_mul, in, 2, CYG_TYPE_F32, like.rank, like.dims);
    }
    CYG_DO(make_input(b, index, x));
    return take_over(b, index, codes);
}

/* ---- video ---- */

static cyg_value_id indices(const binding *b, int64_t count, int64_t from, int64_t step,
                            int64_t times)
{
    int64_t *list = CYG_NEW_ARRAY(&b->g->arena, int64_t, count + 1);
    for (int64_t i = 0; list != NULL && i < count; i++)
        list[i] = from + i / times * step;
    return list == NULL ? CYG_NO_VALUE
                        : cyg_graph_add_const(b->g, NULL, CYG_TYPE_S64, 1, &count, list,
                                              (size_t)count * sizeof *list);
}

/* Entry i of the result along axis is entry from + i / times * step of x. */
static cyg_value_id gather(const binding *b, cyg_value_id x, int axis, int64_t count, int64_t from,
                           int64_t step, int64_t times)
{
    if (cyg_value_is_none(x))
        return x;
    const cyg_value like = *cyg_val(b->g, x);
    int64_t dims[CYG_MAX_RANK];
    memcpy(dims, like.dims, sizeof dims);
    dims[axis] = count;
    const cyg_value_id in[] = {x, indices(b, count, from, step, times)};
    const cyg_value_id y = add(b, CYG_OP_gather, in, 2, CYG_TYPE_F32, like.rank, dims);
    if (cyg_value_is_none(y) || !cyg_node_set_int(b->g, node_of(b, y), CYG_ATTR_axis, axis))
        return CYG_NO_VALUE;
    cyg_val(b->g, y)->quant = like.quant;
    return y;
}

/* Y, U and V of every pixel, each [B, H, W, 1]. */
static void components(const binding *b, const cyg_quant_source *s, cyg_value_id x, int64_t h,
                       int64_t w, cyg_value_id out[3])
{
    if (s->yuv == CYG_YUV_420SP || s->yuv == CYG_YVU_420SP) {
        const int64_t u = s->yuv == CYG_YVU_420SP;
        const cyg_value_id chroma = gather(b, x, 1, h, h, 1, 2);
        out[0] = gather(b, x, 1, h, 0, 1, 1);
        out[1] = gather(b, chroma, 2, w, u, 2, 2);
        out[2] = gather(b, chroma, 2, w, 1 - u, 2, 2);
        return;
    }
    const int64_t first = s->yuv == CYG_UYVY_422;
    const cyg_value_id chroma = gather(b, x, 3, 1, 1 - first, 1, 1);
    out[0] = gather(b, x, 3, 1, first, 1, 1);
    out[1] = gather(b, chroma, 2, w, 0, 2, 2);
    out[2] = gather(b, chroma, 2, w, 1, 2, 2);
}

static bool store(const binding *b, cyg_value_id v, cyg_type type)
{
    float *one = CYG_NEW(&b->g->arena, float);
    if (cyg_value_is_none(v) || one == NULL)
        return false;
    *one = 1.0f;
    cyg_val(b->g, v)->quant = (cyg_quant){.type = type, .axis = -1, .count = 1, .scales = one};
    return true;
}

/* x [.., 3] in S16 times the matrix, to pixels. */
static cyg_value_id convert(const binding *b, cyg_value_id x, const cyg_yuv_integers *m,
                            const int64_t *dims)
{
    cyg_graph *g = b->g;
    const int64_t three = 3, square[] = {3, 3};
    int16_t *w = CYG_NEW_ARRAY(&g->arena, int16_t, 9);
    float *scales = CYG_NEW_ARRAY(&g->arena, float, 3), bias[3];
    if (w == NULL || scales == NULL)
        return CYG_NO_VALUE;
    for (int c = 0; c < 3; c++) {
        scales[c] = 1.0f / (float)(1 << m->shift[c]);
        bias[c] = (float)((double)m->b[c] * (double)scales[c]);
        for (int k = 0; k < 3; k++)
            w[3 * c + k] = (int16_t)m->w[c][k];
    }
    const cyg_value_id weights = cyg_graph_add_const(g, NULL, CYG_TYPE_S16, 2, square, w, 18);
    const cyg_value_id in[] = {
        x, weights, cyg_graph_add_const_copy(g, NULL, CYG_TYPE_F32, 1, &three, bias, sizeof bias)};
    const cyg_value_id y = add(b, CYG_OP_linear, in, 3, CYG_TYPE_F32, 4, dims);
    if (cyg_value_is_none(weights) || !store(b, y, CYG_TYPE_U8))
        return CYG_NO_VALUE;
    cyg_val(g, weights)->quant =
        (cyg_quant){.type = CYG_TYPE_S16, .axis = 0, .count = 3, .scales = scales};
    return y;
}

static cyg_status check_video(const binding *b, const cyg_value *x, const cyg_quant_source *s,
                              cyg_yuv_integers *out)
{
    if (x->rank != 4 || x->dims[3] != 3 || x->dims[1] < 2 || x->dims[2] < 2)
        return CYG_FAIL(b->ctx, CYG_E_CONFIG,
                        "input \"%s\": src_format %s is for pictures of three channels", x->name,
                        cyg_yuv_name(s->yuv));
    if (x->dims[1] % 2 != 0 || x->dims[2] % 2 != 0)
        return CYG_FAIL(b->ctx, CYG_E_CONFIG,
                        "input \"%s\": src_format %s needs an even height and width, found "
                        "%lld x %lld",
                        x->name, cyg_yuv_name(s->yuv), (long long)x->dims[1],
                        (long long)x->dims[2]);
    if (!cyg_yuv_round(s->csc, out))
        return CYG_FAIL(b->ctx, CYG_E_CONFIG,
                        "input \"%s\": csc_mat has a factor beyond 32639, or an addend beyond 9",
                        x->name);
    return CYG_OK;
}

static cyg_status bind_video(binding *b, uint32_t index, const cyg_quant_source *s)
{
    cyg_graph *g = b->g;
    const cyg_value x = *cyg_val(g, g->inputs[index]);
    cyg_yuv_integers m;
    CYG_DO(check_video(b, &x, s, &m));
    const int64_t h = x.dims[1], w = x.dims[2];
    int64_t fed[4] = {x.dims[0]};
    cyg_yuv_shape(s->yuv, h, w, fed + 1);
    const cyg_value_id source = cyg_graph_add_value(g, NULL, CYG_TYPE_F32, 4, fed);
    cyg_value_id part[3] = {CYG_NO_VALUE, CYG_NO_VALUE, CYG_NO_VALUE};
    if (!store(b, source, CYG_TYPE_U8))
        return nomem(b);
    components(b, s, source, h, w, part);
    cyg_value_id v = add(b, CYG_OP_concat, part, 3, CYG_TYPE_F32, 4, x.dims);
    if (!store(b, v, CYG_TYPE_U8) || !cyg_node_set_int(g, node_of(b, v), CYG_ATTR_axis, 3))
        return nomem(b);
    v = add(b, CYG_OP_requant, &v, 1, CYG_TYPE_F32, 4, x.dims);
    if (!store(b, v, CYG_TYPE_S16))
        return nomem(b);
    v = convert(b, v, &m, x.dims);
    if (x.quant.type == CYG_TYPE_NONE) /* what reads pixels as floats */
        v = cyg_value_is_none(v) ? v : add(b, CYG_OP_requant, &v, 1, CYG_TYPE_F32, 4, x.dims);
    CYG_DO(make_input(b, index, v));
    return take_over(b, index, source);
}

/* ---- all ---- */

cyg_status cyg_quant_bind_source(cyg_ctx *ctx, cyg_graph *g, uint32_t index,
                                 const cyg_quant_source *s)
{
    const bool plain = s->scale >= 1.0f && s->scale <= 1.0f && s->zero_point == 0 &&
                       (s->type == CYG_TYPE_F32 || s->type == CYG_TYPE_U8) &&
                       s->yuv == CYG_YUV_NONE;
    binding b = {.ctx = ctx, .g = g};
    if (cyg_val(g, g->inputs[index])->type == CYG_TYPE_F32) {
        const bool pixels = cyg_val(g, g->inputs[index])->quant.type == CYG_TYPE_U8;
        if (plain)
            return cyg_quant_bind_input(ctx, g, index, s->type, s->nhwc);
        CYG_DO(cyg_quant_bind_input(
            ctx, g, index, s->yuv != CYG_YUV_NONE && pixels ? CYG_TYPE_U8 : CYG_TYPE_F32, s->nhwc));
    } else if (s->type == CYG_TYPE_F32 || s->type == cyg_val(g, g->inputs[index])->type) {
        return CYG_OK; /* whole numbers go in as they are */
    }
    b.first = g->order_count > 0 ? g->order[0] : CYG_NO_NODE;
    CYG_DO(s->yuv != CYG_YUV_NONE ? bind_video(&b, index, s) : bind_codes(&b, index, s));
    return cyg_graph_sort(ctx, g);
}
