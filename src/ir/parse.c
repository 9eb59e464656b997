/* The text form, read: for golden tests, dumps that come back, and small graphs written by hand.
 *
 * The grammar (docs/ir.md) has no nesting. A value must be defined before it is used, so one pass
 * suffices and the order of the lines is the order of the graph. The text may come from anywhere:
 * counts are never believed, they follow from what is there; a constant given as hash and size
 * becomes zeros, of a bounded size. The result has passed the verifier. */
#include "ir/graph.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/checked.h"
#include "ir/text.h"

/* A list that grows in the scratch arena. */
typedef struct list {
    void *data;
    uint32_t count, cap;
} list;

typedef struct parser {
    cyg_lexer x;
    cyg_graph *g;
    cyg_arena scratch;
    list inputs, outputs; /* cyg_value_id */
} parser;

static void *list_add(parser *p, list *l, size_t size)
{
    if (l->count == l->cap) {
        const uint32_t cap = l->cap == 0 ? 8 : l->cap * 2;
        void *data = cap > UINT32_MAX / 2 ? NULL : cyg_arena_calloc(&p->scratch, cap, size);
        if (data == NULL)
            return NULL;
        if (l->count > 0)
            memcpy(data, l->data, l->count * size);
        l->data = data;
        l->cap = cap;
    }
    return (char *)l->data + size * l->count++;
}

static cyg_status no_memory(parser *p)
{
    return CYG_FAIL(p->x.ctx, CYG_E_NOMEM, "out of memory");
}

static bool at_mark(const parser *p, char c)
{
    return p->x.kind == CYG_TOKEN_MARK && p->x.token[0] == c;
}

static bool at_word(const parser *p, const char *word)
{
    return p->x.kind == CYG_TOKEN_WORD && strcmp(p->x.token, word) == 0;
}

static cyg_status expect_mark(parser *p, char c)
{
    const char what[] = {'\'', c, '\'', '\0'};
    if (!at_mark(p, c))
        return cyg_lexer_expected(&p->x, what);
    return cyg_lexer_next(&p->x);
}

static cyg_status expect_word(parser *p, const char *word)
{
    if (!at_word(p, word))
        return cyg_lexer_expected(&p->x, word);
    return cyg_lexer_next(&p->x);
}

/* A string's text, lent by the scratch arena. */
static cyg_status read_string(parser *p, const char **out)
{
    if (p->x.kind != CYG_TOKEN_STRING)
        return cyg_lexer_expected(&p->x, "a string");
    *out = p->x.token;
    return cyg_lexer_next(&p->x);
}

static cyg_status read_int(parser *p, int64_t low, int64_t high, int64_t *out)
{
    char *end = NULL;
    if (p->x.kind != CYG_TOKEN_NUMBER)
        return cyg_lexer_expected(&p->x, "a whole number");
    errno = 0;
    const long long v = strtoll(p->x.token, &end, 10);
    if (errno != 0 || *end != '\0' || v < low || v > high)
        return cyg_lexer_error(&p->x, "expected a whole number from %lld to %lld, found %.40s",
                               (long long)low, (long long)high, p->x.token);
    *out = v;
    return cyg_lexer_next(&p->x);
}

static cyg_status read_float(parser *p, double *out)
{
    char *end = NULL;
    if (p->x.kind != CYG_TOKEN_NUMBER && !at_word(p, "inf") && !at_word(p, "nan"))
        return cyg_lexer_expected(&p->x, "a number");
    *out = strtod(p->x.token, &end);
    if (*end != '\0')
        return cyg_lexer_expected(&p->x, "a number");
    return cyg_lexer_next(&p->x);
}

/* Straight to binary32: by way of binary64 it would be rounded twice. */
static cyg_status read_float32(parser *p, float *out)
{
    double check;
    const char *token = p->x.token;
    CYG_DO(read_float(p, &check));
    *out = strtof(token, NULL);
    return CYG_OK;
}

static cyg_status read_type(parser *p, cyg_type *out)
{
    for (int i = 0; i < CYG_TYPE_COUNT; i++)
        if (at_word(p, cyg_type_name((cyg_type)i))) {
            *out = (cyg_type)i;
            return cyg_lexer_next(&p->x);
        }
    return cyg_lexer_expected(&p->x, "an element type");
}

/* ---- shapes and quantisation parameters ---- */

typedef struct declared {
    const char *name;
    cyg_type type;
    int rank;
    int64_t dims[CYG_MAX_RANK];
    cyg_quant quant;
} declared;

static cyg_status read_dim(parser *p, int64_t *out)
{
    if (at_mark(p, '?')) {
        *out = -1;
        return cyg_lexer_next(&p->x);
    }
    if (p->x.kind == CYG_TOKEN_WORD || p->x.kind == CYG_TOKEN_STRING) {
        *out = cyg_graph_symbol(p->g, p->x.token);
        return cyg_lexer_next(&p->x);
    }
    return read_int(p, 0, INT64_MAX, out);
}

static cyg_status read_quant(parser *p, cyg_quant *out)
{
    int64_t zero, axis;
    list scales = {0};
    CYG_DO(expect_word(p, "q"));
    CYG_DO(expect_mark(p, '('));
    CYG_DO(read_type(p, &out->type));
    CYG_DO(expect_word(p, "zero"));
    CYG_DO(read_int(p, INT32_MIN, INT32_MAX, &zero));
    CYG_DO(expect_word(p, "axis"));
    CYG_DO(read_int(p, -1, CYG_MAX_RANK - 1, &axis));
    CYG_DO(expect_word(p, "scale"));
    while (!at_mark(p, ')')) {
        float *slot = list_add(p, &scales, sizeof *slot);
        if (slot == NULL)
            return no_memory(p);
        CYG_DO(read_float32(p, slot));
    }
    out->zero_point = (int32_t)zero;
    out->axis = (int32_t)axis;
    out->count = scales.count;
    if (scales.count > 0) {
        out->scales = cyg_arena_memdup(&p->g->arena, scales.data, scales.count * sizeof(float));
        if (out->scales == NULL)
            return no_memory(p);
    }
    return expect_mark(p, ')');
}

/* %name: type[dims] q(...)? */
static cyg_status read_declared(parser *p, declared *out)
{
    *out = (declared){.quant = {.axis = -1}};
    if (p->x.kind != CYG_TOKEN_VALUE)
        return cyg_lexer_expected(&p->x, "a value (%name)");
    if (cyg_graph_find_value(p->g, p->x.token).i != CYG_NO_ID)
        return cyg_lexer_error(&p->x, "value %.100s is defined twice", p->x.token);
    out->name = p->x.token;
    CYG_DO(cyg_lexer_next(&p->x));
    CYG_DO(expect_mark(p, ':'));
    CYG_DO(read_type(p, &out->type));
    CYG_DO(expect_mark(p, '['));
    if (at_mark(p, '*')) {
        out->rank = CYG_RANK_UNKNOWN;
        CYG_DO(cyg_lexer_next(&p->x));
    }
    while (out->rank != CYG_RANK_UNKNOWN && !at_mark(p, ']')) {
        if (out->rank == CYG_MAX_RANK)
            return cyg_lexer_error(&p->x, "more than %d dimensions", CYG_MAX_RANK);
        if (out->rank > 0)
            CYG_DO(expect_mark(p, ','));
        CYG_DO(read_dim(p, &out->dims[out->rank]));
        out->rank++;
    }
    CYG_DO(expect_mark(p, ']'));
    return at_word(p, "q") ? read_quant(p, &out->quant) : CYG_OK;
}

static cyg_value_id add_declared(parser *p, const declared *d)
{
    const cyg_value_id v = cyg_graph_add_value(p->g, d->name, d->type, d->rank, d->dims);
    if (!cyg_value_is_none(v))
        cyg_val(p->g, v)->quant = d->quant;
    return v;
}

/* ---- constants ---- */

static cyg_status read_element(parser *p, cyg_type type, uint8_t *out)
{
    int64_t v;
    if (type == CYG_TYPE_F32) {
        float f;
        CYG_DO(read_float32(p, &f));
        cyg_store_f32(out, f);
        return CYG_OK;
    }
    if (type == CYG_TYPE_F64) {
        double f;
        CYG_DO(read_float(p, &f));
        cyg_store_f64(out, f);
        return CYG_OK;
    }
    if (type == CYG_TYPE_U64) { /* its upper half does not fit the common way */
        char *end;
        errno = 0;
        const unsigned long long u = strtoull(p->x.token, &end, 10);
        if (p->x.kind != CYG_TOKEN_NUMBER || errno != 0 || *end != '\0' || p->x.token[0] == '-')
            return cyg_lexer_expected(&p->x, "a whole number");
        cyg_store_u64(out, u);
        return cyg_lexer_next(&p->x);
    }
    const unsigned bits = (unsigned)cyg_type_size(type) * 8;
    const bool is_signed =
        type == CYG_TYPE_S8 || type == CYG_TYPE_S16 || type == CYG_TYPE_S32 || type == CYG_TYPE_S64;
    const int64_t high = is_signed               ? (int64_t)((UINT64_C(1) << (bits - 1)) - 1)
                         : type == CYG_TYPE_BOOL ? 1
                                                 : (int64_t)((UINT64_C(1) << bits) - 1);
    CYG_DO(read_int(p, is_signed ? -high - 1 : 0, high, &v));
    memcpy(out, &v, cyg_type_size(type)); /* little endian: the low bytes come first */
    return CYG_OK;
}

static cyg_status read_elements(parser *p, cyg_type type, uint8_t *out, size_t count)
{
    CYG_DO(expect_mark(p, '['));
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            CYG_DO(expect_mark(p, ','));
        CYG_DO(read_element(p, type, out + i * cyg_type_size(type)));
    }
    return expect_mark(p, ']');
}

static cyg_status read_hex(parser *p, uint8_t *out, size_t bytes)
{
    if (p->x.token_len / 2 != bytes || p->x.token_len % 2 != 0)
        return cyg_lexer_error(&p->x, "expected %zu bytes, found %zu digits", bytes,
                               p->x.token_len);
    for (size_t i = 0; i < bytes; i++) {
        unsigned byte = 0;
        for (size_t k = 2 * i; k < 2 * i + 2; k++) {
            const char *digits = "0123456789abcdef";
            const char *at = strchr(digits, p->x.token[k]);
            if (at == NULL)
                return cyg_lexer_error(&p->x, "digit %zu is not hexadecimal", k);
            byte = byte * 16 + (unsigned)(at - digits);
        }
        out[i] = (uint8_t)byte;
    }
    return cyg_lexer_next(&p->x);
}

static cyg_status parse_const(parser *p)
{
    declared d;
    CYG_DO(cyg_lexer_next(&p->x));
    CYG_DO(read_declared(p, &d));
    CYG_DO(expect_mark(p, '='));
    cyg_value shape = {.rank = (uint8_t)d.rank};
    memcpy(shape.dims, d.dims, sizeof shape.dims);
    const int64_t count = cyg_value_elements(&shape);
    size_t bytes;
    if (count < 0 || d.type == CYG_TYPE_NONE ||
        !cyg_mul_size((size_t)count, cyg_type_size(d.type), &bytes))
        return cyg_lexer_error(&p->x, "constant %.100s needs a type and a known shape", d.name);
    /* What is written out needs a byte of text for every byte of data, and more. */
    const bool zeros = p->x.kind == CYG_TOKEN_HASH;
    if (bytes > (zeros ? (size_t)CYG_TEXT_MAX_ZEROS : 8 * (p->x.len - p->x.at)))
        return cyg_lexer_error(&p->x, "%zu bytes are too much for constant %.100s", bytes, d.name);
    uint8_t *data = cyg_arena_zalloc(&p->g->arena, bytes == 0 ? 1 : bytes, 64);
    if (data == NULL)
        return no_memory(p);
    if (zeros) {
        int64_t stated;
        CYG_DO(cyg_lexer_next(&p->x));
        CYG_DO(read_int(p, 0, INT64_MAX, &stated));
        if ((size_t)stated != bytes)
            return cyg_lexer_error(&p->x, "constant %.100s: expected %zu bytes, found %lld", d.name,
                                   bytes, (long long)stated);
    } else if (p->x.kind == CYG_TOKEN_HEX) {
        CYG_DO(read_hex(p, data, bytes));
    } else {
        CYG_DO(read_elements(p, d.type, data, (size_t)count));
    }
    const cyg_value_id v = add_declared(p, &d);
    if (cyg_value_is_none(v))
        return no_memory(p);
    cyg_graph_make_const(p->g, v, data, bytes);
    return CYG_OK;
}

/* ---- nodes ---- */

static cyg_status find_value(parser *p, cyg_value_id *out)
{
    if (p->x.kind != CYG_TOKEN_VALUE)
        return cyg_lexer_expected(&p->x, "a value (%name)");
    *out = cyg_graph_find_value(p->g, p->x.token);
    if (cyg_value_is_none(*out))
        return cyg_lexer_error(&p->x, "value %.100s is not defined before", p->x.token);
    return cyg_lexer_next(&p->x);
}

static cyg_status read_numbers(parser *p, bool ints, list *out)
{
    CYG_DO(expect_mark(p, '['));
    while (!at_mark(p, ']')) {
        if (out->count > 0)
            CYG_DO(expect_mark(p, ','));
        void *slot = list_add(p, out, ints ? sizeof(int64_t) : sizeof(float));
        if (slot == NULL)
            return no_memory(p);
        if (ints)
            CYG_DO(read_int(p, INT64_MIN, INT64_MAX, slot));
        else
            CYG_DO(read_float32(p, slot));
    }
    return cyg_lexer_next(&p->x);
}

static cyg_status read_attr_value(parser *p, cyg_node_id n, const cyg_op_attr_schema *a)
{
    int64_t i;
    float f;
    const char *s = "";
    list numbers = {0};
    cyg_value_id v;
    bool set = false;
    switch (a->kind) {
    case CYG_KIND_INT:
        CYG_DO(read_int(p, INT64_MIN, INT64_MAX, &i));
        set = cyg_node_set_int(p->g, n, a->key, i);
        break;
    case CYG_KIND_FLOAT:
        CYG_DO(read_float32(p, &f));
        set = cyg_node_set_float(p->g, n, a->key, f);
        break;
    case CYG_KIND_STRING:
        CYG_DO(read_string(p, &s));
        set = cyg_node_set_string(p->g, n, a->key, s);
        break;
    case CYG_KIND_INTS:
        CYG_DO(read_numbers(p, true, &numbers));
        set = cyg_node_set_ints(p->g, n, a->key, numbers.data, numbers.count);
        break;
    case CYG_KIND_FLOATS:
        CYG_DO(read_numbers(p, false, &numbers));
        set = cyg_node_set_floats(p->g, n, a->key, numbers.data, numbers.count);
        break;
    case CYG_KIND_TENSOR:
        CYG_DO(find_value(p, &v));
        set = cyg_node_set_tensor(p->g, n, a->key, v);
        break;
    }
    return set ? CYG_OK : no_memory(p);
}

/* { key = value, ... } */
static cyg_status read_attrs(parser *p, cyg_node_id n)
{
    const cyg_op_schema *schema = cyg_op_schema_of(cyg_nod(p->g, n)->op);
    CYG_DO(expect_mark(p, '{'));
    for (bool first = true; !at_mark(p, '}'); first = false) {
        if (!first)
            CYG_DO(expect_mark(p, ','));
        size_t i = 0;
        while (i < schema->attr_count && !at_word(p, cyg_attr_key_name(schema->attrs[i].key)))
            i++;
        if (i == schema->attr_count)
            return cyg_lexer_error(&p->x, "%s has no attribute %.40s", schema->id, p->x.token);
        CYG_DO(cyg_lexer_next(&p->x));
        CYG_DO(expect_mark(p, '='));
        CYG_DO(read_attr_value(p, n, &schema->attrs[i]));
    }
    return cyg_lexer_next(&p->x);
}

static cyg_status read_op(parser *p, cyg_op *out)
{
    for (int i = 0; i < CYG_OP_COUNT; i++)
        if (i != CYG_OP_removed && at_word(p, cyg_op_schema_of((cyg_op)i)->id)) {
            *out = (cyg_op)i;
            return cyg_lexer_next(&p->x);
        }
    return cyg_lexer_expected(&p->x, "an operator");
}

static cyg_status read_operands(parser *p, list *in)
{
    CYG_DO(expect_mark(p, '('));
    while (!at_mark(p, ')')) {
        if (in->count > 0)
            CYG_DO(expect_mark(p, ','));
        cyg_value_id *slot = list_add(p, in, sizeof *slot);
        if (slot == NULL)
            return no_memory(p);
        *slot = CYG_NO_VALUE;
        if (at_word(p, "_"))
            CYG_DO(cyg_lexer_next(&p->x));
        else
            CYG_DO(find_value(p, slot));
    }
    return cyg_lexer_next(&p->x);
}

/* %y: type[dims], ... = op(operands) {attributes}? "name"? @sources? */
static cyg_status parse_node(parser *p)
{
    list in = {0}, results = {0};
    cyg_op op = CYG_OP_removed;
    do {
        if (results.count > 0)
            CYG_DO(cyg_lexer_next(&p->x));
        declared *d = list_add(p, &results, sizeof *d);
        if (d == NULL)
            return no_memory(p);
        CYG_DO(read_declared(p, d));
        for (uint32_t i = 0; i + 1 < results.count; i++)
            if (strcmp(((declared *)results.data)[i].name, d->name) == 0)
                return cyg_lexer_error(&p->x, "value %.100s is defined twice", d->name);
        if (results.count > 4096)
            return cyg_lexer_error(&p->x, "more than %d results", 4096);
    } while (at_mark(p, ','));
    CYG_DO(expect_mark(p, '='));
    CYG_DO(read_op(p, &op));
    CYG_DO(read_operands(p, &in));
    /* Results exist only now: a node cannot read its own. */
    cyg_value_id *out = CYG_NEW_ARRAY(&p->scratch, cyg_value_id, results.count);
    if (out == NULL)
        return no_memory(p);
    for (uint32_t i = 0; i < results.count; i++)
        out[i] = add_declared(p, (declared *)results.data + i);
    const cyg_node_id n =
        cyg_graph_add_node(p->g, CYG_NO_NODE, op, NULL, in.data, in.count, out, results.count);
    if (cyg_node_is_none(n))
        return no_memory(p);
    if (at_mark(p, '{'))
        CYG_DO(read_attrs(p, n));
    if (p->x.kind == CYG_TOKEN_STRING) {
        /* The made-up name may be the very one. */
        const cyg_node_id holder = cyg_graph_find_node(p->g, p->x.token);
        if ((holder.i != n.i && !cyg_node_is_none(holder)) || p->x.token[0] == '\0')
            return cyg_lexer_error(&p->x, "node name \"%.100s\" is empty or taken", p->x.token);
        if (!cyg_graph_rename_node(p->g, n, p->x.token))
            return no_memory(p);
        CYG_DO(cyg_lexer_next(&p->x));
    }
    if (!at_mark(p, '@'))
        return CYG_OK;
    do {
        int64_t s;
        CYG_DO(cyg_lexer_next(&p->x));
        CYG_DO(read_int(p, 0, (int64_t)p->g->source_count - 1, &s));
        cyg_node_add_source(p->g, n, (cyg_source_id){(uint32_t)s});
    } while (at_mark(p, ','));
    return CYG_OK;
}

/* ---- the other lines ---- */

static cyg_status parse_source(parser *p)
{
    const char *name = "", *kind = "";
    int64_t i;
    CYG_DO(cyg_lexer_next(&p->x));
    CYG_DO(expect_mark(p, '@'));
    CYG_DO(read_int(p, p->g->source_count, p->g->source_count, &i));
    CYG_DO(read_string(p, &name));
    CYG_DO(read_string(p, &kind));
    return cyg_graph_add_source(p->g, name, kind).i == CYG_NO_ID ? no_memory(p) : CYG_OK;
}

static cyg_status parse_meta(parser *p)
{
    const char *key = "", *text = "";
    CYG_DO(cyg_lexer_next(&p->x));
    CYG_DO(read_string(p, &key));
    CYG_DO(expect_mark(p, '='));
    CYG_DO(read_string(p, &text));
    cyg_graph_set_meta(p->g, key, text);
    return CYG_OK;
}

static cyg_status parse_symbol(parser *p)
{
    CYG_DO(cyg_lexer_next(&p->x));
    if (p->x.kind != CYG_TOKEN_WORD && p->x.kind != CYG_TOKEN_STRING)
        return cyg_lexer_expected(&p->x, "a symbol's name");
    CYG_IGNORE(cyg_graph_symbol(p->g, p->x.token));
    return cyg_lexer_next(&p->x);
}

static cyg_status parse_io(parser *p, bool input)
{
    CYG_DO(cyg_lexer_next(&p->x));
    cyg_value_id *slot = list_add(p, input ? &p->inputs : &p->outputs, sizeof *slot);
    if (slot == NULL)
        return no_memory(p);
    if (!input)
        return find_value(p, slot);
    declared d;
    CYG_DO(read_declared(p, &d));
    *slot = add_declared(p, &d);
    return cyg_value_is_none(*slot) ? no_memory(p) : CYG_OK;
}

static cyg_status parse_line(parser *p)
{
    if (p->x.kind == CYG_TOKEN_VALUE)
        return parse_node(p);
    if (at_word(p, "const"))
        return parse_const(p);
    if (at_word(p, "input"))
        return parse_io(p, true);
    if (at_word(p, "output"))
        return parse_io(p, false);
    if (at_word(p, "source"))
        return parse_source(p);
    if (at_word(p, "meta"))
        return parse_meta(p);
    if (at_word(p, "symbol"))
        return parse_symbol(p);
    return cyg_lexer_expected(&p->x, "meta, symbol, source, input, const, output or a node");
}

static cyg_status parse_all(parser *p)
{
    const char *name = "";
    int64_t opset = 0;
    CYG_DO(cyg_lexer_next(&p->x));
    CYG_DO(expect_word(p, "graph"));
    CYG_DO(read_string(p, &name));
    CYG_DO(expect_word(p, "opset"));
    CYG_DO(read_int(p, 1, 1000, &opset));
    p->g->name = cyg_arena_strdup(&p->g->arena, name);
    p->g->opset = (int)opset;
    if (p->g->name == NULL)
        return no_memory(p);
    while (p->x.kind != CYG_TOKEN_END)
        CYG_DO(parse_line(p));
    CYG_DO(cyg_graph_set_io(p->x.ctx, p->g, p->inputs.data, p->inputs.count, p->outputs.data,
                            p->outputs.count));
    const cyg_status st = cyg_graph_verify(p->x.ctx, p->g);
    if (st != CYG_OK)
        return CYG_FAIL(p->x.ctx, st == CYG_E_NOMEM ? st : CYG_E_GRAPH, "%s: not a valid graph",
                        p->x.file);
    return CYG_OK;
}

cyg_status cyg_graph_parse(cyg_ctx *ctx, const char *file_name, const char *text, size_t len,
                           cyg_graph **out_graph)
{
    parser p = {.g = cyg_graph_create()};
    *out_graph = NULL;
    if (p.g == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    cyg_arena_init(&p.scratch);
    p.x =
        (cyg_lexer){.ctx = ctx, .file = file_name, .text = text, .len = len, .scratch = &p.scratch};
    const cyg_status st = parse_all(&p);
    if (st == CYG_OK)
        *out_graph = p.g;
    else
        cyg_graph_destroy(p.g);
    cyg_arena_deinit(&p.scratch);
    return st;
}
