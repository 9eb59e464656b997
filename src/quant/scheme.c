/* The scheme: which nodes compute in integers, and how every value is stored.
 *
 * Values that movement operators connect (Reshape, Concat, gather_rows, ...) form a class: bytes
 * move, so all of them share one quantisation. A class is stored as its consumers want it: S16 when
 * a LayerNorm reads it or a residual is added to it (the residual stream keeps 16 bits: most of
 * what 8-bit schemes lose on deep transformers is lost there), S8 with a scale for each head when
 * attention reads it, U8 otherwise, float when only float nodes and graph outputs read it. A linear
 * that does next to nothing of the model's work (the classifier) is fed 16 bits too, since that
 * costs nothing.
 *
 * linear, conv2d, layer_normalization and attention are integer nodes whenever their constants are.
 * Element-wise nodes and means join them when an operand already is an integer, so that a float
 * network does not change back and forth. Everything else runs in binary32. */
#include "quant/groups.h"

/* A linear with less than this share of the model's MACs gets 16-bit inputs. */
static const double cheap_share = 0.005;

/* The axes that a node reduces are constant and adjacent. */
static bool reduces_run(const cyg_graph *g, const cyg_node *n)
{
    const cyg_value_id axes = cyg_node_in(n, 1);
    if (cyg_value_is_none(axes) || !cyg_val(g, axes)->is_const ||
        cyg_val(g, axes)->type != CYG_TYPE_S64)
        return false;
    const int rank = cyg_val(g, n->in[0])->rank;
    uint32_t mask = 0;
    for (int64_t i = 0; i < cyg_value_elements(cyg_val(g, axes)); i++) {
        const int64_t a = ((const int64_t *)cyg_val(g, axes)->data)[i];
        mask |= 1u << (a < 0 ? a + rank : a);
    }
    while (mask != 0 && (mask & 1) == 0)
        mask >>= 1;
    return mask != 0 && (mask & (mask + 1)) == 0;
}

/* Between elements of one picture, with weights that add up to 1. */
static bool resizes_inside(const cyg_node *n)
{
    const char *mode = cyg_node_string(n, CYG_ATTR_mode, "nearest");
    return (strcmp(mode, "nearest") == 0 || strcmp(mode, "linear") == 0) &&
           strcmp(cyg_node_string(n, CYG_ATTR_coordinate_transformation_mode, "half_pixel"),
                  "tf_crop_and_resize") != 0;
}

bool cyg_quant_keeps_store(const cyg_graph *g, const cyg_node *n)
{
    switch ((int)n->op) {
    case CYG_OP_reduce_max:
    case CYG_OP_reduce_min:
        return reduces_run(g, n);
    case CYG_OP_resize:
        return resizes_inside(n);
    default:
        return cyg_quant_moves_elements(n);
    }
}

/* ---- classes: union-find over values
 * ----------------------------------------------------------------------- */

static uint32_t find(uint32_t *class_of, uint32_t v)
{
    while (class_of[v] != v) {
        class_of[v] = class_of[class_of[v]];
        v = class_of[v];
    }
    return v;
}

static void unite(uint32_t *class_of, uint32_t a, uint32_t b)
{
    a = find(class_of, a);
    b = find(class_of, b);
    class_of[a > b ? a : b] = a > b ? b : a; /* the smaller id stands for the class */
}

static bool is_activation(const cyg_graph *g, cyg_value_id v)
{
    return !cyg_value_is_none(v) && cyg_val(g, v)->type == CYG_TYPE_F32;
}

/* Operands of a movement node that carry data: not indices or shapes. */
static bool carries_data(const cyg_node *n, uint32_t i)
{
    return n->op == CYG_OP_concat || i == 0;
}

static void build_classes(cyg_scheme *s)
{
    const cyg_graph *g = s->g;
    for (uint32_t v = 0; v < s->value_count; v++)
        s->class_of[v] = v;
    for (uint32_t i = 0; i < g->order_count; i++) {
        const cyg_node *n = cyg_nod(g, g->order[i]);
        if (!cyg_quant_keeps_store(g, n) || !is_activation(g, n->out[0]))
            continue;
        for (uint32_t k = 0; k < n->in_count; k++)
            if (carries_data(n, k) && is_activation(g, n->in[k]))
                unite(s->class_of, n->in[k].i, n->out[0].i);
        for (uint32_t k = 1; k < n->out_count; k++)
            unite(s->class_of, n->out[k].i, n->out[0].i);
    }
    for (uint32_t v = 0; v < s->value_count; v++)
        s->class_of[v] = find(s->class_of, v);
}

/* ---- integer nodes
 * ----------------------------------------------------------------------------------------- */

static bool const_f32(const cyg_graph *g, cyg_value_id v)
{
    return !cyg_value_is_none(v) && cyg_val(g, v)->is_const && cyg_val(g, v)->type == CYG_TYPE_F32;
}

static bool absent_or_const_f32(const cyg_graph *g, cyg_value_id v)
{
    return cyg_value_is_none(v) || const_f32(g, v);
}

static bool is_strong(const cyg_graph *g, const cyg_node *n)
{
    switch ((int)n->op) {
    case CYG_OP_linear:
    case CYG_OP_conv2d: {
        const int64_t post = cyg_node_int(n, CYG_ATTR_post_act, CYG_ACT_NONE);
        return const_f32(g, cyg_node_in(n, 1)) && absent_or_const_f32(g, cyg_node_in(n, 2)) &&
               (post == CYG_ACT_NONE || post == CYG_ACT_RELU || post == CYG_ACT_CLIP);
    }
    case CYG_OP_layer_normalization: {
        const cyg_value *x = cyg_val(g, n->in[0]);
        const int64_t axis = cyg_node_int(n, CYG_ATTR_axis, -1);
        return (axis == -1 || axis == x->rank - 1) && x->dims[x->rank - 1] <= 4096 &&
               const_f32(g, cyg_node_in(n, 1)) && absent_or_const_f32(g, cyg_node_in(n, 2));
    }
    case CYG_OP_attention: /* masks made at run time, other keys and wider values: in float */
        return absent_or_const_f32(g, cyg_node_in(n, 3)) &&
               absent_or_const_f32(g, cyg_node_in(n, 6)) && n->in_count <= 7 &&
               cyg_node_attr(n, CYG_ATTR_kv_tokens) == NULL &&
               cyg_node_attr(n, CYG_ATTR_value_dim) == NULL &&
               cyg_node_attr(n, CYG_ATTR_zero_nan) == NULL;
    default:
        return false;
    }
}

static bool absent_or_scalar(const cyg_graph *g, cyg_value_id v)
{
    return cyg_value_is_none(v) || (const_f32(g, v) && cyg_value_elements(cyg_val(g, v)) == 1);
}

/* Matrices of the size that i_matmul takes. */
static bool fits_product(const cyg_graph *g, const cyg_node *n)
{
    const cyg_value *a = cyg_val(g, n->in[0]), *b = cyg_val(g, n->in[1]);
    if (a->rank < 2 || b->rank < 2)
        return false;
    const int64_t k = b->dims[b->rank - 2], columns = b->dims[b->rank - 1];
    return k >= 1 && k <= 65000 && columns >= 1 && columns <= ((int64_t)1 << 26) / k;
}

static bool is_weak(const cyg_graph *g, const cyg_node *n)
{
    switch ((int)n->op) {
    case CYG_OP_add:
    case CYG_OP_sub:
    case CYG_OP_mul:
        return is_activation(g, n->in[0]) && is_activation(g, n->in[1]);
    case CYG_OP_pool2d:
        return is_activation(g, n->in[0]);
    case CYG_OP_clip:
        return is_activation(g, n->in[0]) && absent_or_scalar(g, cyg_node_in(n, 1)) &&
               absent_or_scalar(g, cyg_node_in(n, 2));
    case CYG_OP_reduce_sum:
    case CYG_OP_reduce_mean:
        return is_activation(g, n->in[0]) && reduces_run(g, n);
    case CYG_OP_reduce_max:
    case CYG_OP_reduce_min:
    case CYG_OP_resize:
        return is_activation(g, n->in[0]) && cyg_quant_keeps_store(g, n);
    case CYG_OP_matmul:
        return is_activation(g, n->in[0]) && is_activation(g, n->in[1]) && fits_product(g, n);
    case CYG_OP_softmax: {
        const cyg_value *x = cyg_val(g, n->in[0]);
        const int64_t axis = cyg_node_int(n, CYG_ATTR_axis, -1);
        return is_activation(g, n->in[0]) && x->rank > 0 && (axis == -1 || axis == x->rank - 1) &&
               x->dims[x->rank - 1] <= 65536;
    }
    case CYG_OP_cast:
    case CYG_OP_requant:
        return false;
    default: /* tables */
        return (cyg_op_schema_of(n->op)->flags & CYG_OPF_UNARY) != 0 && is_activation(g, n->in[0]);
    }
}

/* ---- what is asked for
 * -------------------------------------------------------------------------------------- */

cyg_asked cyg_quant_asked(const cyg_scheme *s, const cyg_node *n)
{
    const uint32_t id = (uint32_t)(n - s->g->nodes);
    cyg_asked p = {0};
    if (s->options->asked != NULL && id < s->node_count)
        p = s->options->asked[id];
    if (s->options->highest) {
        if (p.data == CYG_TYPE_NONE)
            p.data = CYG_TYPE_S16;
        if (p.weight == CYG_TYPE_NONE && p.data == CYG_TYPE_S16)
            p.weight = CYG_TYPE_S16;
        p.e_bits = p.e_bits != 0 ? p.e_bits : 16;
    }
    return p;
}

cyg_type cyg_quant_asked_operand(const cyg_scheme *s, const cyg_node *n, uint32_t i)
{
    const cyg_asked p = cyg_quant_asked(s, n);
    const bool weighted = n->op == CYG_OP_linear || n->op == CYG_OP_conv2d;
    if (n->op == CYG_OP_attention && i == 2 && p.value != CYG_TYPE_NONE)
        return p.value;
    return weighted && p.weight == CYG_TYPE_S16 ? CYG_TYPE_S16 : p.data;
}

/* A type that names this node and that it has no form for must not be passed over. */
static cyg_status check_form(const cyg_scheme *s, const cyg_node *n, bool integer)
{
    const cyg_asked p = cyg_quant_asked(s, n);
    if (p.insist && p.weight == CYG_TYPE_S16 && n->op != CYG_OP_linear && n->op != CYG_OP_conv2d)
        return CYG_FAIL(s->ctx, CYG_E_UNSUPPORTED,
                        "layer_configs: node \"%s\" (%s) has no form with S16 weights; linears and "
                        "convolutions have",
                        n->name, cyg_op_schema_of(n->op)->onnx);
    if (!p.insist || p.data == CYG_TYPE_NONE || p.data == CYG_TYPE_F32)
        return CYG_OK;
    if (!integer && !cyg_quant_is_move(n))
        return CYG_FAIL(s->ctx, CYG_E_UNSUPPORTED,
                        "layer_configs: node \"%s\" (%s) has no integer form: it runs in FP32",
                        n->name, cyg_op_schema_of(n->op)->onnx);
    return CYG_OK;
}

bool cyg_quant_has_form(const cyg_scheme *s, const cyg_node *n)
{
    return is_strong(s->g, n) || is_weak(s->g, n);
}

/* integer[n] in topological order; from_integer[class] = some member is the result of an integer
 * node. */
static cyg_status choose_nodes(cyg_scheme *s)
{
    const cyg_graph *g = s->g;
    bool *from_integer = CYG_NEW_ARRAY(s->arena, bool, s->value_count + 1);
    if (from_integer == NULL)
        return CYG_FAIL(s->ctx, CYG_E_NOMEM, "out of memory");
    for (uint32_t i = 0; i < g->order_count; i++) {
        const uint32_t id = g->order[i].i;
        const cyg_node *n = &g->nodes[id];
        const bool to_float = cyg_quant_asked(s, n).data == CYG_TYPE_F32;
        bool integer = !to_float && is_strong(g, n);
        if (!integer && !to_float && is_weak(g, n))
            for (uint32_t k = 0; k < n->in_count && !integer; k++)
                integer = is_activation(g, n->in[k]) && from_integer[s->class_of[n->in[k].i]];
        s->integer[id] = integer;
        CYG_DO(check_form(s, n, integer));
        for (uint32_t k = 0; integer && k < n->out_count; k++)
            from_integer[s->class_of[n->out[k].i]] = true;
    }
    return CYG_OK;
}

/* ---- storage
 * -----------------------------------------------------------------------------------------------
 */

int64_t cyg_quant_macs(const cyg_graph *g, const cyg_node *n)
{
    if (n->op != CYG_OP_linear && n->op != CYG_OP_conv2d)
        return 0;
    const cyg_value *w = cyg_val(g, n->in[1]), *y = cyg_val(g, n->out[0]);
    return w->dims[0] > 0 ? cyg_value_elements(y) * (cyg_value_elements(w) / w->dims[0]) : 0;
}

bool cyg_quant_is_table(const cyg_node *n)
{
    return (cyg_op_schema_of(n->op)->flags & CYG_OPF_UNARY) != 0 && n->op != CYG_OP_relu &&
           n->op != CYG_OP_clip;
}

/* A sum that a residual stream goes through: something else reads one of its operands too. Networks
 * that normalise behind the sum (post-norm) have no LayerNorm that would ask for its 16 bits. */
static bool adds_to_stream(const cyg_scheme *s, const cyg_node *n)
{
    if (n->op != CYG_OP_add || s->options->transformer_level > 1)
        return false;
    for (uint32_t i = 0; i < 2; i++)
        if (!cyg_val(s->g, n->in[i])->is_const && s->shared[s->class_of[n->in[i].i]])
            return true;
    return false;
}

/* What a node's data operands want when nothing is asked. */
static cyg_store default_demand(const cyg_scheme *s, const cyg_node *n)
{
    switch ((int)n->op) {
    case CYG_OP_layer_normalization:
        return s->options->transformer_level > 1 ? CYG_STORE_U8 : CYG_STORE_S16;
    case CYG_OP_reduce_mean: /* alone it is given 16 bits, which cost nothing then */
    case CYG_OP_reduce_sum:
        return s->options->transformer_level > 1 || s->shared[s->class_of[n->in[0].i]]
                   ? CYG_STORE_U8
                   : CYG_STORE_S16;
    case CYG_OP_linear:
        return (double)cyg_quant_macs(s->g, n) < cheap_share * (double)s->total_macs ? CYG_STORE_S16
                                                                                     : CYG_STORE_U8;
    case CYG_OP_conv2d:
    case CYG_OP_matmul:
        return CYG_STORE_U8;
    case CYG_OP_softmax: /* what differs by a few steps differs by a factor behind it */
        return CYG_STORE_S16;
    default: /* element-wise: as wide as its result */
        if (adds_to_stream(s, n))
            return CYG_STORE_S16;
        return s->store[s->class_of[n->out[0].i]] == CYG_STORE_S16 ? CYG_STORE_S16 : CYG_STORE_U8;
    }
}

/* Probabilities of long rows lose their tail in 8 bits, as in attention. */
static bool reads_long_rows(const cyg_graph *g, const cyg_node *n, uint32_t i)
{
    const cyg_value *x = cyg_val(g, n->in[i]);
    return !cyg_node_is_none(x->producer) && cyg_nod(g, x->producer)->op == CYG_OP_softmax &&
           x->dims[x->rank - 1] > CYG_QUANT_NARROW_ROW;
}

cyg_store cyg_quant_demand(const cyg_scheme *s, const cyg_node *n, uint32_t i)
{
    const cyg_type asked = cyg_quant_asked_operand(s, n, i);
    if (n->op == CYG_OP_attention)
        return asked == CYG_TYPE_S16 ? CYG_STORE_S16 : CYG_STORE_S8_HEADS;
    if ((n->op == CYG_OP_linear || n->op == CYG_OP_conv2d) && i == 3) /* the residual */
        return s->options->transformer_level > 1 && !s->options->highest ? CYG_STORE_U8
                                                                         : CYG_STORE_S16;
    if (cyg_quant_is_table(n)) /* what is asked of it, its result has: apply_outputs */
        return default_demand(s, n);
    if (n->op == CYG_OP_matmul && asked == CYG_TYPE_NONE && reads_long_rows(s->g, n, i))
        return CYG_STORE_S16;
    const cyg_store wanted = cyg_quant_store_of(asked);
    return wanted != CYG_STORE_FLOAT ? wanted : default_demand(s, n);
}

bool cyg_quant_accepts(const cyg_scheme *s, const cyg_node *n, uint32_t i, cyg_store store)
{
    if (store == CYG_STORE_FLOAT)
        return false;
    if (n->op == CYG_OP_attention) /* 16 bits cost it four times the work: only where asked for */
        return store == CYG_STORE_S8_HEADS || store == CYG_STORE_S8 ||
               (store == CYG_STORE_S16 && cyg_quant_demand(s, n, i) == CYG_STORE_S16);
    if (cyg_quant_keeps_store(s->g, n))
        return true;
    if (store == CYG_STORE_S8_HEADS)
        return false; /* several scales */
    const bool narrow = store == CYG_STORE_U8 || store == CYG_STORE_S8;
    if ((n->op == CYG_OP_linear || n->op == CYG_OP_conv2d) && i == 0 && narrow)
        return cyg_quant_asked(s, n).weight != CYG_TYPE_S16; /* those want 16 bits on both sides */
    if (n->op == CYG_OP_linear || n->op == CYG_OP_conv2d)
        return i != 0 || cyg_quant_demand(s, n, i) == CYG_STORE_S16;
    if (cyg_quant_is_table(n)) /* from 16 bits only to 16 bits */
        return narrow || cyg_quant_demand(s, n, i) == CYG_STORE_S16;
    return true;
}

bool cyg_quant_reads_data(const cyg_node *n, uint32_t i)
{
    if (n->op == CYG_OP_linear || n->op == CYG_OP_conv2d)
        return i == 0 || i == 3;
    if (n->op == CYG_OP_attention)
        return i < 3;
    if (n->op == CYG_OP_layer_normalization || n->op == CYG_OP_reduce_mean ||
        n->op == CYG_OP_reduce_sum || n->op == CYG_OP_reduce_max || n->op == CYG_OP_reduce_min ||
        n->op == CYG_OP_resize || n->op == CYG_OP_clip)
        return i == 0;
    return true;
}

static cyg_status count_readers(cyg_scheme *s)
{
    const cyg_graph *g = s->g;
    bool *read = CYG_NEW_ARRAY(s->arena, bool, s->value_count + 1);
    s->shared = CYG_NEW_ARRAY(s->arena, bool, s->value_count + 1);
    if (read == NULL || s->shared == NULL)
        return CYG_FAIL(s->ctx, CYG_E_NOMEM, "out of memory");
    for (uint32_t i = 0; i < g->order_count; i++) {
        const cyg_node *n = cyg_nod(g, g->order[i]);
        for (uint32_t k = 0; k < n->in_count && s->integer[g->order[i].i]; k++) {
            if (!is_activation(g, n->in[k]) || !cyg_quant_reads_data(n, k))
                continue;
            const uint32_t c = s->class_of[n->in[k].i];
            s->shared[c] = s->shared[c] || read[c];
            read[c] = true;
        }
    }
    return CYG_OK;
}

/* Raises classes to what integer consumers want; FLOAT < U8 < S8 < S8_HEADS < S16. Repeats, since
 * an element-wise node's demand follows its result. */
static void raise_by_consumers(cyg_scheme *s)
{
    const cyg_graph *g = s->g;
    for (bool changed = true; changed;) {
        changed = false;
        for (uint32_t i = 0; i < g->order_count; i++) {
            const cyg_node *n = cyg_nod(g, g->order[i]);
            if (!s->integer[g->order[i].i])
                continue;
            for (uint32_t k = 0; k < n->in_count; k++) {
                if (!is_activation(g, n->in[k]) || !cyg_quant_reads_data(n, k))
                    continue;
                const uint32_t c = s->class_of[n->in[k].i];
                const cyg_store want = cyg_quant_demand(s, n, k);
                if (want > s->store[c]) {
                    s->store[c] = want;
                    changed = true;
                }
            }
        }
    }
}

/* A class that a float node makes stays float: its integer readers convert on their own. So does
 * one that a node with several float results would have to split. */
static void lower_by_producers(cyg_scheme *s)
{
    const cyg_graph *g = s->g;
    for (uint32_t i = 0; i < g->order_count; i++) {
        const cyg_node *n = cyg_nod(g, g->order[i]);
        if (s->integer[g->order[i].i] || cyg_quant_is_move(n))
            continue;
        for (uint32_t k = 0; k < n->out_count; k++)
            if (is_activation(g, n->out[k]))
                s->store[s->class_of[n->out[k].i]] = CYG_STORE_FLOAT;
    }
    for (uint32_t i = 0; i < g->input_count; i++)
        s->store[s->class_of[g->inputs[i].i]] = CYG_STORE_FLOAT;
}

/* What keeps its operand's store is float where that became float. */
static void follow_stores(cyg_scheme *s)
{
    const cyg_graph *g = s->g;
    for (uint32_t i = 0; i < g->order_count; i++) {
        const cyg_node *n = cyg_nod(g, g->order[i]);
        if (s->integer[g->order[i].i] && cyg_quant_keeps_store(g, n) &&
            s->store[s->class_of[n->out[0].i]] == CYG_STORE_FLOAT)
            s->integer[g->order[i].i] = false;
    }
}

/* Integer nodes other than linear and conv2d can't write floats: their results get a type even when
 * only floats read them. */
static void raise_by_producers(cyg_scheme *s)
{
    const cyg_graph *g = s->g;
    for (uint32_t i = 0; i < g->order_count; i++) {
        const cyg_node *n = cyg_nod(g, g->order[i]);
        const bool writes_float = n->op == CYG_OP_linear || n->op == CYG_OP_conv2d;
        cyg_store *store = n->out_count > 0 ? &s->store[s->class_of[n->out[0].i]] : NULL;
        if (!s->integer[g->order[i].i] || *store != CYG_STORE_FLOAT || writes_float)
            continue;
        *store = CYG_STORE_S16;
    }
}

/* Types that are asked for results: of the whole class, since movement changes no types. Readers
 * that want another convert. */
static void apply_outputs(cyg_scheme *s)
{
    const cyg_graph *g = s->g;
    for (uint32_t i = 0; i < g->order_count; i++) {
        const cyg_node *n = cyg_nod(g, g->order[i]);
        const cyg_asked p = cyg_quant_asked(s, n);
        const bool table =
            p.output == CYG_TYPE_NONE && cyg_quant_is_table(n) && p.data != CYG_TYPE_F32;
        const cyg_type output = table ? p.data : p.output;
        if (!s->integer[g->order[i].i] || output == CYG_TYPE_NONE || n->out_count != 1)
            continue;
        s->store[s->class_of[n->out[0].i]] = cyg_quant_store_of(output);
    }
}

/* Results that a scale for each channel can be given: nothing but M or G carries it. */
static bool scales_channels(const cyg_scheme *s, cyg_node_id id)
{
    if (cyg_node_is_none(id) || !s->integer[id.i])
        return false;
    const cyg_node *n = cyg_nod(s->g, id);
    if (n->op == CYG_OP_layer_normalization)
        return true;
    return (n->op == CYG_OP_linear || n->op == CYG_OP_conv2d) &&
           cyg_node_int(n, CYG_ATTR_act, CYG_ACT_NONE) == CYG_ACT_NONE &&
           cyg_node_int(n, CYG_ATTR_post_act, CYG_ACT_NONE) == CYG_ACT_NONE &&
           cyg_value_is_none(cyg_node_in(n, 3));
}

/* A scale for each head: where a linear (convolution, normalisation) makes the value, without
 * activation and residual, and integer attention with heads on the same channel borders is all
 * that reads it. Everything else gets one scale: behind a movement the channels may be elsewhere,
 * and no other reader takes several scales. */
static void choose_heads(cyg_scheme *s)
{
    const cyg_graph *g = s->g;
    static const cyg_attr_key offsets[] = {CYG_ATTR_q_offset, CYG_ATTR_k_offset, CYG_ATTR_v_offset};
    for (uint32_t v = 0; v < s->value_count; v++)
        s->head_dim[v] = -1; /* no reader yet */
    for (uint32_t i = 0; i < g->order_count; i++) {
        const cyg_node *n = cyg_nod(g, g->order[i]);
        const bool attention = n->op == CYG_OP_attention && s->integer[g->order[i].i];
        const int64_t d = cyg_node_int(n, CYG_ATTR_head_dim, 0);
        for (uint32_t k = 0; k < n->in_count; k++) {
            if (!is_activation(g, n->in[k]))
                continue;
            int64_t *dim = &s->head_dim[s->class_of[n->in[k].i]];
            const bool fits = attention && k < 3 && d > 0 &&
                              cyg_node_int(n, offsets[k], 0) % d == 0 &&
                              scales_channels(s, cyg_val(g, n->in[k])->producer);
            *dim = fits && (*dim == -1 || *dim == d) ? d : 0;
        }
        for (uint32_t k = 0; cyg_quant_keeps_store(g, n) && k < n->out_count; k++)
            if (is_activation(g, n->out[k]))
                s->head_dim[s->class_of[n->out[k].i]] = 0;
    }
    for (uint32_t i = 0; i < g->output_count; i++)
        s->head_dim[s->class_of[g->outputs[i].i]] = 0;
}

cyg_status cyg_quant_choose(cyg_scheme *s)
{
    const cyg_graph *g = s->g;
    s->class_of = CYG_NEW_ARRAY(s->arena, uint32_t, s->value_count + 1);
    s->store = CYG_NEW_ARRAY(s->arena, cyg_store, s->value_count + 1);
    s->head_dim = CYG_NEW_ARRAY(s->arena, int64_t, s->value_count + 1);
    s->integer = CYG_NEW_ARRAY(s->arena, bool, g->node_count + 1);
    if (s->class_of == NULL || s->store == NULL || s->head_dim == NULL || s->integer == NULL)
        return CYG_FAIL(s->ctx, CYG_E_NOMEM, "out of memory");
    for (uint32_t i = 0; i < g->order_count; i++)
        s->total_macs += cyg_quant_macs(g, cyg_nod(g, g->order[i]));
    build_classes(s);
    CYG_DO(choose_nodes(s));
    CYG_DO(count_readers(s));
    raise_by_consumers(s);
    raise_by_producers(s);
    apply_outputs(s);
    raise_by_consumers(s); /* element-wise results that just got their type */
    apply_outputs(s);
    lower_by_producers(s);
    follow_stores(s);
    choose_heads(s);
    return cyg_quant_choose_s4(s);
}
