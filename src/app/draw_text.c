/* The words on a box: what a node does, with which attributes, which weights.
 *
 * Room is little. Attributes that say nothing about what a node does (an epsilon, an offset into a
 * fused operand) are left out by their key; constants of one element and short lists of integers
 * are written out; sizes that Reshape and Expand are given are on the arrow behind them anyway. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "app/draw.h"

enum { NAME_LENGTH = 36, INTS_SHOWN = 8 };

static const struct {
    cyg_op op;
    cyg_picture_role role;
} roles[] = {
    {CYG_OP_matmul, CYG_PICTURE_product},
    {CYG_OP_gemm, CYG_PICTURE_product},
    {CYG_OP_conv, CYG_PICTURE_product},
    {CYG_OP_linear, CYG_PICTURE_product},
    {CYG_OP_conv2d, CYG_PICTURE_product},
    {CYG_OP_attention, CYG_PICTURE_attention},
    {CYG_OP_softmax, CYG_PICTURE_attention},
    {CYG_OP_log_softmax, CYG_PICTURE_attention},
    {CYG_OP_layer_normalization, CYG_PICTURE_norm},
    {CYG_OP_rms_normalization, CYG_PICTURE_norm},
    {CYG_OP_channel_norm, CYG_PICTURE_norm},
    {CYG_OP_batch_normalization, CYG_PICTURE_norm},
    {CYG_OP_pad, CYG_PICTURE_move},
    {CYG_OP_scatter_nd, CYG_PICTURE_move},
};

cyg_picture_role cyg_draw_role(const cyg_node *n)
{
    for (size_t i = 0; i < CYG_COUNT(roles); i++)
        if (roles[i].op == n->op)
            return roles[i].role;
    return (cyg_op_schema_of(n->op)->flags & CYG_OPF_MOVE) != 0 ? CYG_PICTURE_move
                                                                : CYG_PICTURE_element;
}

const char *cyg_draw_keep(cyg_arena *arena, const char *text)
{
    const char *copy = cyg_arena_strdup(arena, text);
    return copy != NULL ? copy : "";
}

/* s as text of the arena's; "" when out of memory. */
static const char *keep(cyg_arena *arena, cyg_strbuf *s)
{
    const char *text = s->failed || s->data == NULL ? NULL : cyg_arena_strdup(arena, s->data);
    cyg_strbuf_deinit(s);
    return text != NULL ? text : "";
}

static void put_dims(const cyg_graph *g, const cyg_value *v, cyg_strbuf *out)
{
    if (v->rank == CYG_RANK_UNKNOWN)
        cyg_strbuf_puts(out, "any shape");
    else if (v->rank == 0)
        cyg_strbuf_puts(out, "scalar");
    for (int i = 0; v->rank != CYG_RANK_UNKNOWN && i < v->rank; i++) {
        cyg_strbuf_puts(out, i > 0 ? "×" : "");
        if (v->dims[i] >= 0)
            cyg_strbuf_printf(out, "%" PRId64, v->dims[i]);
        else
            cyg_strbuf_puts(out, g->symbols[-v->dims[i] - 1]);
    }
}

static void put_value(const cyg_graph *g, const cyg_value *v, cyg_strbuf *out)
{
    const cyg_type type = v->quant.type != CYG_TYPE_NONE ? v->quant.type : v->type;
    if (type != CYG_TYPE_F32)
        cyg_strbuf_printf(out, "%s ", cyg_type_name(type));
    put_dims(g, v, out);
}

const char *cyg_draw_value(cyg_arena *arena, const cyg_graph *g, const cyg_value *v)
{
    cyg_strbuf s = {0};
    put_value(g, v, &s);
    return keep(arena, &s);
}

const char *cyg_draw_short(cyg_arena *arena, const char *name)
{
    const size_t size = strlen(name);
    if (size <= NAME_LENGTH)
        return cyg_draw_keep(arena, name);
    const char *end = name + size - NAME_LENGTH;
    const char *slash = strchr(end, '/');
    if (slash != NULL && slash - end < NAME_LENGTH / 2)
        end = slash + 1;
    while (((unsigned char)*end & 0xc0) == 0x80) /* not in the middle of a character */
        end++;
    const char *text = cyg_arena_printf(arena, "…%s", end);
    return text != NULL ? text : "";
}

/* ---- attributes ---- */

/* What an attribute says about its node is little, or is said otherwise. */
static bool is_quiet(cyg_attr_key key)
{
    static const cyg_attr_key quiet[] = {CYG_ATTR_epsilon,       CYG_ATTR_momentum,
                                         CYG_ATTR_training_mode, CYG_ATTR_stash_type,
                                         CYG_ATTR_saturate,      CYG_ATTR_allowzero,
                                         CYG_ATTR_keepdims,      CYG_ATTR_noop_with_empty_axes,
                                         CYG_ATTR_act,           CYG_ATTR_act_lo,
                                         CYG_ATTR_act_hi,        CYG_ATTR_post_act,
                                         CYG_ATTR_e_bits,        CYG_ATTR_q_offset,
                                         CYG_ATTR_k_offset,      CYG_ATTR_v_offset,
                                         CYG_ATTR_rows_in,       CYG_ATTR_storage_order};
    for (size_t i = 0; i < CYG_COUNT(quiet); i++)
        if (quiet[i] == key)
            return true;
    return false;
}

static void put_attr(const cyg_attr *a, cyg_strbuf *out)
{
    cyg_strbuf_printf(out, "%s%s ", out->len > 0 ? ", " : "", cyg_attr_key_name(a->key));
    switch (a->kind) {
    case CYG_KIND_INT:
        cyg_strbuf_printf(out, "%" PRId64, a->u.i);
        break;
    case CYG_KIND_FLOAT:
        cyg_strbuf_printf(out, "%.4g", (double)a->u.f);
        break;
    case CYG_KIND_STRING:
        cyg_strbuf_printf(out, "%.40s", a->u.s);
        break;
    case CYG_KIND_INTS:
        for (size_t i = 0; i < a->u.ints.count && i < INTS_SHOWN; i++)
            cyg_strbuf_printf(out, "%s%" PRId64, i > 0 ? " " : "", a->u.ints.data[i]);
        break;
    case CYG_KIND_FLOATS:
        for (size_t i = 0; i < a->u.floats.count && i < INTS_SHOWN; i++)
            cyg_strbuf_printf(out, "%s%.4g", i > 0 ? " " : "", (double)a->u.floats.data[i]);
        break;
    case CYG_KIND_TENSOR:
        cyg_strbuf_puts(out, "a tensor");
        break;
    }
}

static void add_line(cyg_picture_box *box, const char *text)
{
    if (box->line_count < CYG_PICTURE_LINES && text[0] != '\0')
        box->lines[box->line_count++] = text;
}

static void add_attributes(cyg_arena *arena, const cyg_node *n, cyg_picture_box *box)
{
    cyg_strbuf s = {0};
    for (uint32_t i = 0; i < n->attr_count; i++)
        if (!is_quiet(n->attrs[i].key))
            put_attr(&n->attrs[i], &s);
    add_line(box, keep(arena, &s));
}

/* ---- constants ---- */

/* What the operands of operators with weights are called. */
static const struct {
    cyg_op op;
    const char *words[9];
} operand_words[] = {
    {CYG_OP_linear, {"input", "weight", "bias", "residual"}},
    {CYG_OP_conv2d, {"input", "weight", "bias", "residual"}},
    {CYG_OP_conv, {"input", "weight", "bias"}},
    {CYG_OP_gemm, {"input", "weight", "bias"}},
    {CYG_OP_matmul, {"weight", "weight"}},
    {CYG_OP_layer_normalization, {"input", "gamma", "beta"}},
    {CYG_OP_rms_normalization, {"input", "gamma"}},
    {CYG_OP_channel_norm, {"input", "gamma", "beta"}},
    {CYG_OP_batch_normalization, {"input", "gamma", "beta", "mean", "variance"}},
    {CYG_OP_attention,
     {"q", "k", "v", "bias tables", "table of each window", "rows of each window", "scale a head",
      "mask", "hidden where"}},
    {CYG_OP_gather_rows, {"input", "rows"}},
    {CYG_OP_slice, {"input", "starts", "ends", "axes", "steps"}},
    {CYG_OP_squeeze, {"input", "axes"}},
    {CYG_OP_unsqueeze, {"input", "axes"}},
    {CYG_OP_split, {"input", "sizes"}},
    {CYG_OP_reduce_mean, {"input", "axes"}},
};

static const char *operand_word(const cyg_node *n, uint32_t i)
{
    for (size_t k = 0; k < CYG_COUNT(operand_words); k++)
        if (operand_words[k].op == n->op && i < CYG_COUNT(operand_words[k].words) &&
            operand_words[k].words[i] != NULL)
            return operand_words[k].words[i];
    return "constant";
}

/* A number, or a few integers; false when it is neither. */
static bool put_small(const cyg_value *v, cyg_strbuf *out)
{
    const int64_t count = cyg_value_elements(v);
    if (v->data == NULL || v->quant.type != CYG_TYPE_NONE)
        return false;
    if (v->type == CYG_TYPE_F32 && count == 1) {
        float x;
        memcpy(&x, v->data, sizeof x);
        cyg_strbuf_printf(out, "%.4g", (double)x);
        return true;
    }
    if (v->type != CYG_TYPE_S64 || v->rank > 1 || count < 1 || count > INTS_SHOWN)
        return false;
    for (int64_t i = 0; i < count; i++) {
        int64_t x;
        memcpy(&x, (const char *)v->data + (size_t)i * sizeof x, sizeof x);
        if (x > INT32_MAX)
            cyg_strbuf_printf(out, "%send", i > 0 ? " " : "");
        else
            cyg_strbuf_printf(out, "%s%" PRId64, i > 0 ? " " : "", x);
    }
    return true;
}

static void add_constant(cyg_arena *arena, const cyg_graph *g, const cyg_node *n, uint32_t i,
                         cyg_picture_box *box)
{
    const cyg_value *v = cyg_val(g, n->in[i]);
    cyg_strbuf s = {0};
    const char *word = operand_word(n, i);
    if (i == 1 && (n->op == CYG_OP_reshape || n->op == CYG_OP_expand))
        return;
    cyg_strbuf_printf(&s, "%s ", word);
    if (!put_small(v, &s)) {
        put_value(g, v, &s);
        cyg_strbuf_printf(&s, "  %s", cyg_draw_short(arena, v->name));
    }
    add_line(box, keep(arena, &s));
}

/* ---- names ---- */

size_t cyg_draw_prefix(const cyg_drawing *d)
{
    const char *first = NULL;
    size_t common = 0;
    for (uint32_t i = 0; i < d->g->order_count; i++) {
        const cyg_node *n = cyg_nod(d->g, d->g->order[i]);
        if (!d->chosen[d->g->order[i].i] || (d->steps != NULL && d->steps[d->g->order[i].i] == 0))
            continue;
        if (first == NULL) {
            first = n->name;
            common = strlen(first);
        }
        size_t same = 0;
        while (same < common && n->name[same] == first[same])
            same++;
        common = same;
    }
    const char separator = first != NULL && strchr(first, '/') != NULL ? '/' : '.';
    while (common > 0 && first[common - 1] != separator)
        common--;
    return common;
}

static bool begins_with(const char *text, const char *with)
{
    return with[0] != '\0' && strncmp(text, with, strlen(with)) == 0;
}

/* Without the prefix, and without a last part that only repeats the operator, its own or that of a
 * node that it was. */
static const char *short_name(cyg_arena *arena, const cyg_graph *g, const cyg_node *n,
                              size_t prefix_size)
{
    const char *name = strlen(n->name) > prefix_size ? n->name + prefix_size : n->name;
    const char *slash = strrchr(name, '/'), *last = slash != NULL ? slash + 1 : name;
    bool repeats = begins_with(last, cyg_op_schema_of(n->op)->onnx);
    for (uint32_t i = 0; i < n->source_count; i++)
        repeats = repeats || begins_with(last, g->sources[n->sources[i].i].kind);
    if (repeats) {
        const char *text =
            cyg_arena_strndup(arena, name, slash != NULL ? (size_t)(slash - name) : 0);
        name = text != NULL ? text : "";
    }
    return cyg_draw_short(arena, name);
}

static const char *title(cyg_arena *arena, const cyg_node *n)
{
    static const char *const acts[] = {
#define CYG_ACT(id, text) text,
#include "base/acts.def"
#undef CYG_ACT
    };
    const int64_t act = cyg_node_int(n, CYG_ATTR_act, 0),
                  post = cyg_node_int(n, CYG_ATTR_post_act, 0);
    const bool weighs = n->op == CYG_OP_linear || n->op == CYG_OP_conv2d;
    cyg_strbuf s = {0};
    cyg_strbuf_puts(&s, cyg_op_schema_of(n->op)->onnx);
    if (act > 0 && act < (int64_t)CYG_COUNT(acts))
        cyg_strbuf_printf(&s, " + %s", acts[act]);
    if (weighs && !cyg_value_is_none(cyg_node_in(n, 3)))
        cyg_strbuf_puts(&s, " + addition");
    if (post > 0 && post < (int64_t)CYG_COUNT(acts))
        cyg_strbuf_printf(&s, " + %s", acts[post]);
    return keep(arena, &s);
}

void cyg_draw_describe(cyg_arena *arena, const cyg_graph *g, const cyg_node *n, size_t prefix_size,
                       cyg_picture_box *box)
{
    box->role = cyg_draw_role(n);
    box->title = title(arena, n);
    box->name = cyg_draw_keep(arena, n->name);
    add_line(box, short_name(arena, g, n, prefix_size));
    add_attributes(arena, n, box);
    for (uint32_t i = 0; i < n->in_count; i++)
        if (!cyg_value_is_none(n->in[i]) && cyg_val(g, n->in[i])->is_const)
            add_constant(arena, g, n, i, box);
}
