/* Files in the QOperator format, and those that quantise activations while they run.
 *
 * Such a file has operators of its own for arithmetic on integers (QLinearConv, QGemm,
 * MatMulInteger, ..). Each is rewritten, as nodes of the file, to what it means: DequantizeLinear
 * of its operands, the float operator, QuantizeLinear of the result. That is the other spelling of
 * a quantised model, so everything behind import knows one. In exact arithmetic nothing changes:
 * the integers, scales and zero points stay, and integers meet again when the model is quantised
 * with them (src/quant/given.c).
 *
 *   y = QLinearConv(x, xs, xz, w, ws, wz, ys, yz, b)
 *       = Q(Conv(DQ(x, xs, xz), DQ(w, ws, wz), DQ(b, xs * ws)), ys, yz)
 *   y = MatMulInteger(a, b, az, bz) = Cast(MatMul(DQ(a, 1, az), DQ(b, 1, bz)), S32)
 *   DynamicQuantizeLinear is spelled out as its definition in ONNX does
 *
 * The rows of qlinear.def say which operand is what. Scales that are no constants are possible but
 * for their product with another, which then is a Mul. */
#include <stdlib.h>
#include <string.h>

#include "onnx/import.h"

enum { MOST_FIXED = 9 }; /* operands in a row of the table */

typedef struct row {
    const char *op, *domain, *plain, *operands;
} row;

static const row rows[] = {
#define CYG_QLINEAR(op, domain, plain, operands) {op, domain, plain, operands},
#include "onnx/qlinear.def"
#undef CYG_QLINEAR
};

typedef struct operand {
    char kind; /* x, d, b, p */
    const char *name, *scale, *zero;
    const char *codes; /* of an x: its name in the file, when `name` is that of the floats */
} operand;

typedef struct rewriting {
    cyg_onnx_call *call;
    const row *row;
    operand *operands;
    uint32_t count;
    const char *scale, *zero; /* of the result; NULL: it is float */
    bool to_integer;          /* the result is S32 */
    const char *refused;      /* why; NULL = not */
} rewriting;

static const row *find_row(const cyg_onnx_node *n)
{
    for (size_t i = 0; i < CYG_COUNT(rows); i++)
        if (strcmp(rows[i].op, n->op_type) == 0 && strcmp(rows[i].domain, n->domain) == 0)
            return &rows[i];
    return NULL;
}

static bool is_dynamic(const cyg_onnx_node *n)
{
    return n->domain[0] == '\0' && strcmp(n->op_type, "DynamicQuantizeLinear") == 0;
}

bool cyg_onnx_is_qlinear(const cyg_onnx_node *n)
{
    return find_row(n) != NULL || is_dynamic(n);
}

static bool is_given(const char *name)
{
    return name != NULL && name[0] != '\0';
}

/* ---- names, constants, nodes ---- */

/* A tensor of the file that this node makes up. */
static const char *made_up(const cyg_onnx_call *call, const char *what, uint32_t i)
{
    return cyg_arena_printf(&call->imp->scratch, "%s/%s%u", call->name, what, i);
}

static cyg_status emit_with(const cyg_onnx_call *call, const char *op, const char *name,
                            const char *const *in, uint32_t in_count, const char *out,
                            const cyg_onnx_attr **attrs, uint32_t attr_count)
{
    cyg_arena *arena = &call->imp->scratch;
    cyg_onnx_node *n = CYG_NEW(arena, cyg_onnx_node);
    const char **operands = CYG_NEW_ARRAY(arena, const char *, in_count + 1),
               **results = CYG_NEW(arena, const char *);
    if (n == NULL || operands == NULL || results == NULL || name == NULL || out == NULL)
        return CYG_ONNX_NOMEM(call->imp);
    for (uint32_t i = 0; i < in_count; i++)
        operands[i] = in[i] != NULL ? in[i] : "";
    results[0] = out;
    while (in_count > 0 && operands[in_count - 1][0] == '\0')
        in_count--;
    *n = (cyg_onnx_node){.name = name,
                         .op_type = op,
                         .domain = "",
                         .overload = "",
                         .in = operands,
                         .out = results,
                         .in_count = in_count,
                         .out_count = 1};
    cyg_onnx_call inner = *call;
    inner.node = n;
    inner.name = name;
    inner.attrs = attrs;
    inner.attr_count = attr_count;
    return cyg_onnx_emit(&inner);
}

static cyg_status emit(const cyg_onnx_call *call, const char *op, const char *const *in,
                       uint32_t in_count, const char *out)
{
    return emit_with(call, op, out, in, in_count, out, NULL, 0);
}

static cyg_status emit_int(const cyg_onnx_call *call, const char *op, const char *const *in,
                           uint32_t in_count, const char *out, const char *key, int64_t number)
{
    cyg_onnx_attr *attr = CYG_NEW(&call->imp->scratch, cyg_onnx_attr);
    const cyg_onnx_attr **list = CYG_NEW(&call->imp->scratch, const cyg_onnx_attr *);
    if (attr == NULL || list == NULL)
        return CYG_ONNX_NOMEM(call->imp);
    *attr = (cyg_onnx_attr){.name = key, .type = CYG_ONNX_ATTR_INT, .i = number};
    list[0] = attr;
    return emit_with(call, op, out, in, in_count, out, list, 1);
}

/* A constant under a name of the file. data is copied. */
static cyg_status define(const cyg_onnx_call *call, const char *name, cyg_type type, int rank,
                         const int64_t *dims, const void *data, size_t bytes)
{
    cyg_graph *g = call->imp->graph;
    cyg_value_id id;
    void *copy = cyg_arena_alloc(&g->arena, bytes + 1, 64);
    if (name == NULL || copy == NULL)
        return CYG_ONNX_NOMEM(call->imp);
    memcpy(copy, data, bytes);
    CYG_DO(cyg_onnx_scope_define(call->imp, call->scope, name, call->label, &id));
    cyg_value *v = cyg_val(g, id);
    v->type = type;
    v->rank = (uint8_t)rank;
    for (int i = 0; i < rank; i++)
        v->dims[i] = dims[i];
    cyg_graph_make_const(g, id, copy, bytes);
    return CYG_OK;
}

/* `of` repeated so that there are `count` of it: one zero point for scales of several channels. */
static cyg_status repeat(const cyg_onnx_call *call, const char *name, const cyg_value *of,
                         int64_t count)
{
    const size_t size = cyg_type_size(of->type);
    char *data = cyg_arena_alloc(&call->imp->scratch, (size_t)count * size + 1, 8);
    if (data == NULL)
        return CYG_ONNX_NOMEM(call->imp);
    for (int64_t i = 0; i < count; i++)
        memcpy(data + (size_t)i * size, of->data, size);
    return define(call, name, of->type, 1, &count, data, (size_t)count * size);
}

/* A copy, of no type where the name is absent: looking up another name may move the values. */
static cyg_status value_of(const cyg_onnx_call *call, const char *name, cyg_value *out_v)
{
    cyg_value_id v = CYG_NO_VALUE;
    *out_v = (cyg_value){.type = CYG_TYPE_NONE};
    if (is_given(name))
        CYG_DO(cyg_onnx_scope_use(call->imp, call->scope, name, call->label, &v));
    if (!cyg_value_is_none(v))
        *out_v = *cyg_val(call->imp->graph, v);
    return CYG_OK;
}

static int64_t count_of(const cyg_value *v)
{
    return v->is_const ? cyg_value_elements(v) : -1;
}

/* ---- DequantizeLinear ---- */

/* Scales for several channels lie along this axis of an operand. */
static int64_t axis_of(const rewriting *r, uint32_t i)
{
    const char *plain = r->row->plain;
    const cyg_onnx_attr *t = cyg_onnx_call_attr(r->call, "transB");
    if (strcmp(plain, "Conv") == 0)
        return i == 0 ? 1 : 0;
    if (strcmp(plain, "Gemm") == 0 && i == 1)
        return t != NULL && t->i != 0 ? 0 : 1;
    return i == 0 ? -2 : -1; /* rows of the left matrix, columns of the right one */
}

/* A scale of one for every zero point, where the file states none. */
static cyg_status scale_of_one(rewriting *r, uint32_t i)
{
    const float one = 1.0f;
    cyg_value zero;
    CYG_DO(value_of(r->call, r->operands[i].zero, &zero));
    const int64_t count = count_of(&zero) > 1 ? count_of(&zero) : 1;
    r->operands[i].scale = made_up(r->call, "scale", i);
    const cyg_value like = {.type = CYG_TYPE_F32, .data = &one};
    return count == 1 ? define(r->call, r->operands[i].scale, CYG_TYPE_F32, 0, NULL, &one, 4)
                      : repeat(r->call, r->operands[i].scale, &like, count);
}

/* As many zero points as scales, and the other way round. */
static cyg_status pair_up(rewriting *r, operand *o, uint32_t i)
{
    cyg_value scale, zero;
    CYG_DO(value_of(r->call, o->scale, &scale));
    CYG_DO(value_of(r->call, o->zero, &zero));
    const int64_t scales = count_of(&scale), zeros = count_of(&zero);
    if (scales > 1 && zeros == 1) {
        o->zero = made_up(r->call, "zero", i);
        return repeat(r->call, o->zero, &zero, scales);
    }
    if (zeros > 1 && scales == 1) {
        o->scale = made_up(r->call, "scale", i);
        return repeat(r->call, o->scale, &scale, zeros);
    }
    return CYG_OK;
}

static cyg_status dequantise(rewriting *r, uint32_t i)
{
    operand *o = &r->operands[i];
    if (!is_given(o->scale))
        CYG_DO(scale_of_one(r, i));
    CYG_DO(pair_up(r, o, i));
    const char *in[] = {o->name, o->scale, o->zero};
    cyg_value scale;
    o->codes = o->name;
    o->name = made_up(r->call, "x", i);
    CYG_DO(value_of(r->call, o->scale, &scale));
    return count_of(&scale) != 1 && scale.rank != 0
               ? emit_int(r->call, "DequantizeLinear", in, 3, o->name, "axis", axis_of(r, i))
               : emit(r->call, "DequantizeLinear", in, 3, o->name);
}

/* The product of the scales of operands 0 and 1 and alpha, under a name. */
static cyg_status scale_product(rewriting *r, const char **out_name, int64_t *out_count)
{
    cyg_value a, b;
    const cyg_onnx_attr *alpha = cyg_onnx_call_attr(r->call, "alpha");
    const double factor =
        alpha != NULL && strcmp(r->row->plain, "Gemm") == 0 ? (double)alpha->f : 1;
    CYG_DO(value_of(r->call, r->operands[0].scale, &a));
    CYG_DO(value_of(r->call, r->operands[1].scale, &b));
    *out_name = made_up(r->call, "bias_scale", 0);
    *out_count = 1;
    if (a.type != CYG_TYPE_F32 || b.type != CYG_TYPE_F32 || count_of(&a) != 1 || count_of(&b) < 1) {
        r->refused = "a bias whose scales are no constants";
        return CYG_OK;
    }
    const int64_t count = count_of(&b);
    float *product = CYG_NEW_ARRAY(&r->call->imp->scratch, float, count);
    if (product == NULL)
        return CYG_ONNX_NOMEM(r->call->imp);
    for (int64_t i = 0; i < count; i++)
        product[i] =
            (float)((double)*(const float *)a.data * (double)((const float *)b.data)[i] * factor);
    *out_count = count;
    return define(r->call, *out_name, CYG_TYPE_F32, count > 1, &count, product,
                  (size_t)count * sizeof *product);
}

static cyg_status dequantise_bias(rewriting *r, uint32_t i)
{
    operand *o = &r->operands[i];
    const char *in[2] = {o->name, NULL};
    int64_t count;
    CYG_DO(scale_product(r, &in[1], &count));
    if (r->refused != NULL)
        return CYG_OK;
    o->name = made_up(r->call, "bias", 0);
    return count > 1 ? emit_int(r->call, "DequantizeLinear", in, 2, o->name, "axis", -1)
                     : emit(r->call, "DequantizeLinear", in, 2, o->name);
}

/* ---- DynamicQuantizeLinear ---- */

/* scale = max((max(x, 0) - min(x, 0)) / 255, tiny), zero = sat(rne(-min(x, 0) / scale)) */
static cyg_status measure(const cyg_onnx_call *call, const char *x, const char *scale,
                          const char *zero)
{
    enum { LO, HI, LO0, HI0, RANGE, STEP, OFF, UP, BOUND, ROUND, NAMES };
    static const char *const stems[NAMES] = {"lo",   "hi",   "lo0", "hi0",   "range",
                                             "step", "down", "up",  "bound", "round"};
    const float numbers[] = {0.0f, 255.0f, 1e-37f};
    const char *n[NAMES], *c[3];
    for (int i = 0; i < NAMES; i++)
        n[i] = made_up(call, stems[i], 0);
    for (uint32_t i = 0; i < 3; i++) {
        c[i] = made_up(call, "number", i);
        CYG_DO(define(call, c[i], CYG_TYPE_F32, 0, NULL, &numbers[i], sizeof(float)));
    }
    const char *const reduced[] = {x};
    CYG_DO(emit_int(call, "ReduceMin", reduced, 1, n[LO], "keepdims", 0));
    CYG_DO(emit_int(call, "ReduceMax", reduced, 1, n[HI], "keepdims", 0));
    CYG_DO(emit(call, "Min", (const char *const[]){n[LO], c[0]}, 2, n[LO0]));
    CYG_DO(emit(call, "Max", (const char *const[]){n[HI], c[0]}, 2, n[HI0]));
    CYG_DO(emit(call, "Sub", (const char *const[]){n[HI0], n[LO0]}, 2, n[RANGE]));
    CYG_DO(emit(call, "Div", (const char *const[]){n[RANGE], c[1]}, 2, n[STEP]));
    CYG_DO(emit(call, "Max", (const char *const[]){n[STEP], c[2]}, 2, scale));
    CYG_DO(emit(call, "Div", (const char *const[]){n[LO0], scale}, 2, n[OFF]));
    CYG_DO(emit(call, "Sub", (const char *const[]){c[0], n[OFF]}, 2, n[UP]));
    CYG_DO(emit(call, "Clip", (const char *const[]){n[UP], c[0], c[1]}, 3, n[BOUND]));
    CYG_DO(emit(call, "Round", (const char *const[]){n[BOUND]}, 1, n[ROUND]));
    return emit_int(call, "Cast", (const char *const[]){n[ROUND]}, 1, zero, "to",
                    cyg_type_to_onnx(CYG_TYPE_U8));
}

static cyg_status emit_dynamic(cyg_onnx_call *call)
{
    const cyg_onnx_node *n = call->node;
    if (n->in_count != 1 || n->out_count != 3)
        return cyg_onnx_call_fail(call, "expected 1 input and 3 outputs, found %u and %u",
                                  n->in_count, n->out_count);
    const char *scale = is_given(n->out[1]) ? n->out[1] : made_up(call, "scale", 0),
               *zero = is_given(n->out[2]) ? n->out[2] : made_up(call, "zero", 0);
    CYG_DO(measure(call, n->in[0], scale, zero));
    return is_given(n->out[0]) ? emit(call, "QuantizeLinear",
                                      (const char *const[]){n->in[0], scale, zero}, 3, n->out[0])
                               : CYG_OK;
}

/* An operand that is quantised while the model runs: both nodes. */
static cyg_status quantise_dynamically(rewriting *r, uint32_t i)
{
    operand *o = &r->operands[i];
    const char *x = o->name, *q = made_up(r->call, "q", i), *y = made_up(r->call, "x", i);
    o->scale = made_up(r->call, "scale", i);
    o->zero = made_up(r->call, "zero", i);
    o->name = y;
    CYG_DO(measure(r->call, x, o->scale, o->zero));
    CYG_DO(emit(r->call, "QuantizeLinear", (const char *const[]){x, o->scale, o->zero}, 3, q));
    return emit(r->call, "DequantizeLinear", (const char *const[]){q, o->scale, o->zero}, 3, y);
}

/* ---- one node ---- */

/* The first operand that lacks what `get` shows. */
static operand *first_without(rewriting *r, bool scale)
{
    for (uint32_t i = 0; i < r->count; i++)
        if (r->operands[i].kind == 'x' &&
            (scale ? r->operands[i].scale : r->operands[i].zero) == NULL)
            return &r->operands[i];
    return NULL;
}

static cyg_status take(rewriting *r, char kind, const char *name)
{
    operand *o;
    switch (kind) {
    case 's':
    case 'z':
        o = first_without(r, kind == 's');
        if (o != NULL && kind == 's')
            o->scale = name;
        else if (o != NULL)
            o->zero = name;
        return CYG_OK;
    case 'S':
        r->scale = is_given(name) ? name : NULL;
        return CYG_OK;
    case 'Z':
        r->zero = is_given(name) ? name : NULL;
        return CYG_OK;
    default:
        if (!is_given(name) && (kind == 'x' || kind == 'd'))
            return cyg_onnx_call_fail(r->call, "an operand is missing");
        r->operands[r->count++] = (operand){.kind = kind, .name = name};
        return CYG_OK;
    }
}

static cyg_status sort_operands(rewriting *r)
{
    const cyg_onnx_node *n = r->call->node;
    const char *kinds = r->row->operands;
    r->to_integer = kinds[0] == 'I';
    kinds += r->to_integer;
    const size_t fixed = strcspn(kinds, "*");
    const bool repeats = kinds[fixed] == '*';
    r->operands = CYG_NEW_ARRAY(&r->call->imp->scratch, operand, n->in_count + MOST_FIXED);
    if (r->operands == NULL)
        return CYG_ONNX_NOMEM(r->call->imp);
    if (n->out_count != 1 || (!repeats && n->in_count > fixed) ||
        (repeats && (n->in_count < fixed || (n->in_count - fixed) % 3 != 0)))
        return cyg_onnx_call_fail(r->call, "expected %zu inputs and 1 output, found %u and %u",
                                  fixed, n->in_count, n->out_count);
    for (size_t i = 0; i < n->in_count || i < fixed; i++) {
        const char kind = i < fixed ? kinds[i] : kinds[fixed - 3 + (i - fixed) % 3];
        CYG_DO(take(r, kind, i < n->in_count ? n->in[i] : ""));
    }
    return CYG_OK;
}

/* The attributes that the float operator has too. *out_why: one that changes the meaning. */
static cyg_status keep_attrs(const rewriting *r, const cyg_onnx_attr ***out_attrs,
                             uint32_t *out_count, const char **out_why)
{
    const cyg_onnx_call *call = r->call;
    const cyg_onnx_attr **attrs =
        CYG_NEW_ARRAY(&call->imp->scratch, const cyg_onnx_attr *, call->attr_count + 1);
    if (attrs == NULL)
        return CYG_ONNX_NOMEM(call->imp);
    *out_attrs = attrs;
    *out_count = 0;
    *out_why = NULL;
    for (uint32_t i = 0; i < call->attr_count; i++) {
        const cyg_onnx_attr *a = call->attrs[i];
        if (strcmp(a->name, "channels_last") == 0)
            *out_why = a->i != 0 ? "channels_last = 1" : *out_why;
        else if (strcmp(a->name, "opset") != 0 || strcmp(r->row->plain, "Softmax") != 0)
            attrs[(*out_count)++] = a;
    }
    return CYG_OK;
}

/* y = plain(operands). MatMul and its bias, Gemm's C, .. are the float operator's own matter. */
static cyg_status emit_plain(const rewriting *r, const cyg_onnx_attr **attrs, uint32_t attr_count,
                             const char *out)
{
    const char **in = CYG_NEW_ARRAY(&r->call->imp->scratch, const char *, (size_t)r->count + 1);
    cyg_onnx_call call = *r->call;
    const cyg_onnx_attr *opset = cyg_onnx_call_attr(r->call, "opset");
    if (in == NULL)
        return CYG_ONNX_NOMEM(r->call->imp);
    for (uint32_t i = 0; i < r->count; i++)
        in[i] = r->operands[i].name;
    if (opset != NULL && strcmp(r->row->plain, "Softmax") == 0) /* Softmax changed at 13 */
        call.opset = opset->i >= CYG_ONNX_OPSET_MIN && opset->i <= CYG_ONNX_OPSET_MAX
                         ? (int)opset->i
                         : call.opset;
    if (strcmp(r->row->plain, "ReduceMean") == 0 && call.opset > 17) /* axes became an operand */
        call.opset = 17;
    const bool sum = strcmp(r->row->plain, "MatMul") == 0 && r->count == 3 && is_given(in[2]);
    const char *product = sum ? made_up(r->call, "product", 0) : out;
    CYG_DO(emit_with(&call, r->row->plain, call.name, in,
                     strcmp(r->row->plain, "MatMul") == 0 ? 2 : r->count, product, attrs,
                     attr_count));
    return sum ? emit(r->call, "Add", (const char *const[]){product, in[2]}, 2, out) : CYG_OK;
}

/* A zero point of 0 for a result that has none, in the type of the operands; QuantizeLinear without
 * one would write U8. */
static cyg_status zero_of_result(rewriting *r)
{
    static const uint8_t nothing;
    cyg_type type = CYG_TYPE_NONE;
    for (uint32_t i = 0; type == CYG_TYPE_NONE && i < r->count; i++) {
        cyg_value zero, x;
        if (r->operands[i].kind != 'x')
            continue;
        CYG_DO(value_of(r->call, r->operands[i].zero, &zero));
        CYG_DO(value_of(r->call, r->operands[i].codes, &x));
        type = zero.type != CYG_TYPE_NONE ? zero.type : x.type;
    }
    if (cyg_type_size(type) != 1) {
        r->refused = "a result without a zero point, of operands without";
        return CYG_OK;
    }
    r->zero = made_up(r->call, "zero_of_result", 0);
    return define(r->call, r->zero, type, 0, NULL, &nothing, 1);
}

static cyg_status emit_result(const rewriting *r, const char *from)
{
    const char *out = r->call->node->out[0];
    if (r->to_integer)
        return emit_int(r->call, "Cast", &from, 1, out, "to", cyg_type_to_onnx(CYG_TYPE_S32));
    return emit(r->call, "QuantizeLinear", (const char *const[]){from, r->scale, r->zero}, 3, out);
}

cyg_status cyg_onnx_emit_qlinear(cyg_onnx_call *call)
{
    rewriting r = {.call = call, .row = find_row(call->node)};
    const cyg_onnx_attr **attrs;
    uint32_t attr_count;
    const char *why;
    if (r.row == NULL)
        return emit_dynamic(call);
    CYG_DO(keep_attrs(&r, &attrs, &attr_count, &why));
    if (why != NULL)
        return cyg_onnx_call_refuse(call, why);
    CYG_DO(sort_operands(&r));
    for (uint32_t i = 0; i < r.count; i++)
        if (r.operands[i].kind == 'x')
            CYG_DO(dequantise(&r, i));
        else if (r.operands[i].kind == 'd')
            CYG_DO(quantise_dynamically(&r, i));
    for (uint32_t i = 0; i < r.count; i++)
        if (r.operands[i].kind == 'b' && is_given(r.operands[i].name))
            CYG_DO(dequantise_bias(&r, i));
    if (r.scale != NULL && r.zero == NULL)
        CYG_DO(zero_of_result(&r));
    if (r.refused != NULL)
        return cyg_onnx_call_refuse(call, r.refused);
    const bool rounds = r.scale != NULL || r.to_integer;
    const char *real = rounds ? made_up(call, "y", 0) : call->node->out[0];
    if (real == NULL)
        return CYG_ONNX_NOMEM(call->imp);
    CYG_DO(emit_plain(&r, attrs, attr_count, real));
    return rounds ? emit_result(&r, real) : CYG_OK;
}
