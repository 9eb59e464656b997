/* input_processors' padding and slicing: the runtime feeds another shape than the model takes. And
 * tensor_layout NHWC: a model of pictures channels last gets a Transpose behind its input, and is
 * one of [batch, channels, height, width] from then on.
 *
 * Both become nodes of the model, right behind its input, before anything is made of it: from then
 * on the input is what the runtime feeds, and calibration data, golden check, further batches, the
 * stored preprocessing and every target follow without knowing. They come behind the normalisation,
 * in the model's layout, so the constant is in the units that the model takes. Numbers are pairs
 * (start, end), axis by axis. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "app/build.h"
#include "base/checked.h"

/* Element i of a list that may be empty: then nothing is padded or cut. */
static int64_t amount(const cyg_int_list *list, size_t i)
{
    return list->count == 0 ? 0 : list->items[i];
}

static void print_dims(const cyg_value *v, char out[160])
{
    size_t n = 0;
    out[0] = '\0';
    for (int i = 0; i < v->rank && n < 130; i++)
        n += v->dims[i] < 0 /* a symbol: the batch */
                 ? (size_t)snprintf(out + n, 160 - n, "%s?", i > 0 ? ", " : "")
                 : (size_t)snprintf(out + n, 160 - n, "%s%" PRId64, i > 0 ? ", " : "", v->dims[i]);
}

static cyg_status check_list(cyg_build *b, const cyg_value *v, const cyg_config_mark *at,
                             const char *key, const cyg_int_list *list)
{
    if (list->count == 0 || list->count == 2 * (size_t)v->rank)
        return CYG_OK;
    return cyg_config_fail(&b->app->ctx, CYG_E_CONFIG, at, key,
                           "has %zu numbers; input \"%.100s\" has %d axes, expected a start and an "
                           "end for each: %d",
                           list->count, v->name, v->rank, 2 * v->rank);
}

/* What the runtime feeds along one axis. */
static cyg_status source_dim(cyg_build *b, const cyg_value *v, int axis,
                             const cyg_config_input_processor *p, int64_t *out)
{
    cyg_ctx *ctx = &b->app->ctx;
    const size_t s = 2 * (size_t)axis, e = s + 1;
    const int64_t pad[] = {amount(&p->padding, s), amount(&p->padding, e)};
    const int64_t cut[] = {amount(&p->slicing, s), amount(&p->slicing, e)};
    const bool pads = pad[0] != 0 || pad[1] != 0, cuts = cut[0] != 0 || cut[1] != 0;
    *out = v->dims[axis];
    if (!pads && !cuts)
        return CYG_OK;
    if (v->dims[axis] < 1)
        return CYG_FAIL(ctx, CYG_E_CONFIG,
                        "input_processors: the size of axis %d of input \"%.100s\" is not known: "
                        "state it with input_shapes",
                        axis, v->name);
    if (pads && cuts)
        return CYG_FAIL(ctx, CYG_E_CONFIG,
                        "input_processors: axis %d of input \"%.100s\" is both padded and sliced: "
                        "give the difference as one of them",
                        axis, v->name);
    if (cuts) {
        if (!cyg_add_i64(*out, cut[0], out) || !cyg_add_i64(*out, cut[1], out) || *out > INT32_MAX)
            return CYG_FAIL(ctx, CYG_E_CONFIG,
                            "input_processors: slicing of axis %d of input \"%.100s\" is too large",
                            axis, v->name);
        return CYG_OK;
    }
    if (pad[0] >= *out || pad[1] >= *out - pad[0])
        return CYG_FAIL(ctx, CYG_E_CONFIG,
                        "input_processors: padding of %" PRId64 " and %" PRId64
                        " leaves nothing of axis %d of input \"%.100s\", which has %" PRId64,
                        pad[0], pad[1], axis, v->name, *out);
    *out -= pad[0] + pad[1];
    return CYG_OK;
}

static cyg_value_id int_const(cyg_graph *g, const int64_t *values, int64_t count)
{
    return cyg_graph_add_const_copy(g, NULL, CYG_TYPE_S64, 1, &count, values, (size_t)count * 8);
}

/* x -> slice -> y: from start on, as long as y is. */
static void add_slice(cyg_graph *g, cyg_node_id before, cyg_value_id x, cyg_value_id y,
                      const cyg_int_list *list)
{
    int64_t starts[CYG_MAX_RANK], ends[CYG_MAX_RANK], axes[CYG_MAX_RANK], count = 0;
    for (int i = 0; i < cyg_val(g, y)->rank; i++) {
        const size_t at = 2 * (size_t)i;
        if (list->items[at] == 0 && list->items[at + 1] == 0)
            continue;
        axes[count] = i;
        starts[count] = list->items[at];
        ends[count++] = list->items[at] + cyg_val(g, y)->dims[i];
    }
    const cyg_value_id in[] = {x, int_const(g, starts, count), int_const(g, ends, count),
                               int_const(g, axes, count)};
    (void)cyg_graph_add_node(g, before, CYG_OP_slice, "input_slicing", in, 4, &y, 1);
}

static void add_pad(cyg_graph *g, cyg_node_id before, cyg_value_id x, cyg_value_id y,
                    const cyg_config_input_processor *p)
{
    int64_t pads[2 * CYG_MAX_RANK];
    const int rank = cyg_val(g, y)->rank;
    const float constant = (float)p->padding_constant_value;
    for (int i = 0; i < rank; i++) {
        pads[i] = p->padding.items[(size_t)i * 2];
        pads[rank + i] = p->padding.items[(size_t)i * 2 + 1];
    }
    const cyg_value_id in[] = {
        x, int_const(g, pads, 2 * (int64_t)rank),
        cyg_graph_add_const_copy(g, NULL, CYG_TYPE_F32, 0, NULL, &constant, sizeof constant)};
    (void)cyg_graph_add_node(g, before, CYG_OP_pad, "input_padding", in, 3, &y, 1);
}

static bool is_any(const cyg_int_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i] != 0)
            return true;
    return false;
}

static cyg_status fit(cyg_build *b, cyg_graph *g, uint32_t index,
                      const cyg_config_input_processor *p)
{
    cyg_ctx *ctx = &b->app->ctx;
    const cyg_value_id old = g->inputs[index];
    const cyg_value v = *cyg_val(g, old);
    const cyg_node_id first = g->order_count > 0 ? g->order[0] : CYG_NO_NODE;
    int64_t dims[CYG_MAX_RANK], sliced[CYG_MAX_RANK];
    char from[160], to[160];
    if (v.rank == CYG_RANK_UNKNOWN || v.type != CYG_TYPE_F32)
        return CYG_FAIL(ctx, CYG_E_UNSUPPORTED,
                        "input_processors: padding and slicing are built for inputs of floats with "
                        "a known number of axes; \"%.100s\" is none",
                        v.name);
    CYG_DO(check_list(b, &v, &p->padding_at, "input_processors padding", &p->padding));
    CYG_DO(check_list(b, &v, &p->slicing_at, "input_processors slicing", &p->slicing));
    for (int i = 0; i < v.rank; i++) {
        CYG_DO(source_dim(b, &v, i, p, &dims[i]));
        sliced[i] = v.dims[i] < dims[i] ? v.dims[i] : dims[i];
    }
    const bool pads = is_any(&p->padding), cuts = is_any(&p->slicing);
    if (!pads && !cuts)
        return CYG_OK;
    const cyg_value_id now = cyg_graph_add_value(g, NULL, v.type, v.rank, dims);
    const cyg_value_id middle = !pads  ? old
                                : cuts ? cyg_graph_add_value(g, NULL, v.type, v.rank, sliced)
                                       : now;
    if (cyg_value_is_none(now) || cyg_value_is_none(middle))
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    if (cuts)
        add_slice(g, first, now, middle, &p->slicing);
    if (pads)
        add_pad(g, first, middle, old, p);
    g->inputs[index] = now;
    if (cyg_graph_failed(g) || !cyg_graph_rename_value(g, old, "fitted_input") ||
        !cyg_graph_rename_value(g, now, v.name))
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    print_dims(cyg_val(g, now), from);
    print_dims(&v, to);
    cyg_note(ctx, "input \"%s\": the runtime feeds [%s]; %s it to [%s], which the model takes",
             v.name, from,
             pads && cuts ? "slicing and padding bring"
             : pads       ? "padding brings"
                          : "slicing cuts",
             to);
    return CYG_OK;
}

/* Pictures channels last: x [B, C, H, W] -> transpose -> what the model takes. Arrays are fed as
 * they are, in the model's own layout. */
static cyg_status turn(cyg_build *b, cyg_graph *g, uint32_t index)
{
    static const int64_t to_last[] = {0, 2, 3, 1};
    cyg_ctx *ctx = &b->app->ctx;
    const cyg_value_id old = g->inputs[index];
    const cyg_value v = *cyg_val(g, old);
    const cyg_node_id first = g->order_count > 0 ? g->order[0] : CYG_NO_NODE;
    if (v.rank != 4 || v.type != CYG_TYPE_F32 || (v.dims[3] != 1 && v.dims[3] != 3))
        return CYG_FAIL(ctx, CYG_E_CONFIG,
                        "input \"%s\": tensor_layout NHWC, but it is no picture of floats [batch, "
                        "height, width, channels]",
                        v.name);
    const int64_t dims[] = {v.dims[0], v.dims[3], v.dims[1], v.dims[2]};
    const cyg_value_id now = cyg_graph_add_value(g, NULL, v.type, 4, dims);
    const cyg_node_id n =
        cyg_value_is_none(now)
            ? CYG_NO_NODE
            : cyg_graph_add_node(g, first, CYG_OP_transpose, "input_layout", &now, 1, &old, 1);
    if (cyg_node_is_none(n) || !cyg_node_set_ints(g, n, CYG_ATTR_perm, to_last, 4))
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    g->inputs[index] = now;
    return cyg_graph_rename_value(g, old, "input_channels_last") &&
                   cyg_graph_rename_value(g, now, v.name)
               ? CYG_OK
               : CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
}

/* Whole numbers (ids, bytes): x [..] floats -> cast -> what the model takes. Samples are floats
 * everywhere, and hold every whole number below 2^24; src_dtype says what the runtime feeds. */
static cyg_status cast(cyg_build *b, cyg_graph *g, uint32_t index)
{
    cyg_ctx *ctx = &b->app->ctx;
    const cyg_value_id old = g->inputs[index];
    const cyg_value v = *cyg_val(g, old);
    const cyg_node_id first = g->order_count > 0 ? g->order[0] : CYG_NO_NODE;
    const cyg_value_id now = cyg_graph_add_value(g, NULL, CYG_TYPE_F32, v.rank, v.dims);
    const cyg_node_id n =
        cyg_value_is_none(now)
            ? CYG_NO_NODE
            : cyg_graph_add_node(g, first, CYG_OP_cast, "input_type", &now, 1, &old, 1);
    if (cyg_node_is_none(n) || !cyg_node_set_int(g, n, CYG_ATTR_to, cyg_type_to_onnx(v.type)))
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    g->inputs[index] = now;
    if (!cyg_graph_rename_value(g, old, "input_numbers") || !cyg_graph_rename_value(g, now, v.name))
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    cyg_note(
        ctx,
        "input \"%s\" of the model is %s: the package takes what src_dtype says, FP32 unless it "
        "is given",
        v.name, cyg_type_name(v.type));
    return CYG_OK;
}

static bool holds_numbers(cyg_type type)
{
    return type == CYG_TYPE_S64 || type == CYG_TYPE_S32 || type == CYG_TYPE_S16 ||
           type == CYG_TYPE_S8 || type == CYG_TYPE_U16 || type == CYG_TYPE_U8 ||
           type == CYG_TYPE_U32 || type == CYG_TYPE_BOOL;
}

/* The input is calibrated on pictures: by the entry that names it, else by DEFAULT. */
static bool takes_pictures(const cyg_build *b, const char *name)
{
    const cyg_config_quant *q = &b->config.quant;
    bool pictures = true;
    for (size_t i = 0; i < q->input_configs.count; i++) {
        const cyg_config_input_quant *c = &q->input_configs.items[i];
        const bool image = c->calibration_format == CYG_CONFIG_FORMAT_Image;
        if (strcmp(c->tensor_name, name) == 0)
            return image;
        if (strcmp(c->tensor_name, "DEFAULT") == 0)
            pictures = image;
    }
    return pictures;
}

cyg_status cyg_build_fit_inputs(cyg_build *b, cyg_graph *g)
{
    cyg_type *types = CYG_NEW_ARRAY(&b->app->arena, cyg_type, g->input_count + 1);
    if (types == NULL)
        return CYG_FAIL(&b->app->ctx, CYG_E_NOMEM, "out of memory");
    b->input_types = types;
    for (uint32_t i = 0; i < g->input_count; i++) {
        types[i] = cyg_val(g, g->inputs[i])->type;
        if (holds_numbers(types[i]))
            CYG_DO(cast(b, g, i));
        const cyg_config_input_processor *p =
            cyg_config_find_processor(&b->config, cyg_val(g, g->inputs[i])->name);
        if (p != NULL && p->padding.count + p->slicing.count > 0)
            CYG_DO(fit(b, g, i, p));
        if (p != NULL && p->tensor_layout == CYG_CONFIG_LAYOUT_NHWC &&
            takes_pictures(b, cyg_val(g, g->inputs[i])->name))
            CYG_DO(turn(b, g, i));
    }
    return CYG_OK;
}
