/* const_processors and op_processors: constants of the source model replaced and attributes of its
 * operators overwritten before anything is made of it. The hook runs on the graph as imported,
 * before shapes are inferred, since a new shape may be the point. quant_op_processors do the latter
 * to the quantised graph, whose shapes stand. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "app/build.h"
#include "base/bytes.h"
#include "io/doc.h"
#include "io/npy.h"

typedef struct numbers {
    double *items; /* heap */
    size_t count, room;
    bool has_shape;
    size_t rank;
    int64_t dims[CYG_MAX_RANK];
} numbers;

static cyg_status add_number(cyg_build *b, numbers *n, double x)
{
    if (n->count == n->room) {
        const size_t room = 2 * n->room + 16;
        double *more = realloc(n->items, room * sizeof *more);
        if (more == NULL)
            return CYG_FAIL(&b->app->ctx, CYG_E_NOMEM, "out of memory");
        n->items = more;
        n->room = room;
    }
    n->items[n->count++] = x;
    return CYG_OK;
}

/* Numbers with blanks or commas between them. */
static cyg_status read_text(cyg_build *b, const char *path, const cyg_map *map, numbers *out)
{
    char *text = malloc(map->size + 1);
    if (text == NULL)
        return CYG_FAIL(&b->app->ctx, CYG_E_NOMEM, "out of memory");
    memcpy(text, map->data, map->size);
    text[map->size] = '\0';
    cyg_status st = CYG_OK;
    for (char *p = text; st == CYG_OK;) {
        p += strspn(p, " \t\r\n,;");
        if (*p == '\0')
            break;
        char *end;
        const double x = strtod(p, &end);
        if (end == p)
            st = CYG_FAIL(&b->app->ctx, CYG_E_FORMAT, "%s: expected a number at byte %zu", path,
                          (size_t)(p - text));
        else
            st = add_number(b, out, x);
        p = end;
    }
    free(text);
    return st;
}

static double element(const cyg_value *type, const uint8_t *p)
{
    switch ((int)type->type) {
    case CYG_TYPE_F32:
        return (double)cyg_load_f32(p);
    case CYG_TYPE_S64:
        return (double)cyg_load_i64(p);
    case CYG_TYPE_S32:
        return cyg_load_i32(p);
    case CYG_TYPE_U8:
    case CYG_TYPE_BOOL:
        return p[0];
    case CYG_TYPE_S8:
        return (int8_t)p[0];
    default:
        return 0;
    }
}

static bool is_settable(cyg_type type)
{
    return type == CYG_TYPE_F32 || type == CYG_TYPE_S64 || type == CYG_TYPE_S32 ||
           type == CYG_TYPE_U8 || type == CYG_TYPE_S8 || type == CYG_TYPE_BOOL;
}

static cyg_status read_npy(cyg_build *b, const char *path, const cyg_map *map, numbers *out)
{
    cyg_npy a;
    CYG_DO(cyg_npy_parse(&b->app->ctx, path, map->data, map->size, &a));
    out->has_shape = true;
    out->rank = a.rank;
    memcpy(out->dims, a.dims, sizeof out->dims);
    if (a.type == CYG_NPY_I64 && !a.fortran) { /* exact beyond 2^24 */
        for (size_t i = 0; i < a.count; i++)
            CYG_DO(add_number(b, out, (double)cyg_load_i64(a.data + 8 * i)));
        return CYG_OK;
    }
    float *x = malloc(a.count * sizeof *x + 1);
    if (x == NULL)
        return CYG_FAIL(&b->app->ctx, CYG_E_NOMEM, "out of memory");
    cyg_npy_to_f32(&a, x);
    cyg_status st = CYG_OK;
    for (size_t i = 0; st == CYG_OK && i < a.count; i++)
        st = add_number(b, out, (double)x[i]);
    free(x);
    return st;
}

/* Raw little-endian elements of the constant's own type. */
static cyg_status read_raw(cyg_build *b, const char *path, const cyg_map *map, const cyg_value *v,
                           numbers *out)
{
    const size_t size = cyg_type_size(v->type);
    if (map->size % size != 0)
        return CYG_FAIL(&b->app->ctx, CYG_E_FORMAT, "%s: %zu bytes are no elements of %s", path,
                        map->size, cyg_type_name(v->type));
    for (size_t i = 0; i < map->size / size; i++)
        CYG_DO(add_number(b, out, element(v, map->data + i * size)));
    return CYG_OK;
}

static bool ends_with(const char *path, const char *suffix)
{
    const size_t n = strlen(path), m = strlen(suffix);
    return n > m && strcmp(path + n - m, suffix) == 0;
}

static cyg_status read_file(cyg_build *b, const char *path, const cyg_value *v, numbers *out)
{
    cyg_map map;
    CYG_DO(cyg_build_hash_file(b, "constant", path));
    CYG_DO(cyg_map_open(&b->app->ctx, path, &map));
    const cyg_status st =
        ends_with(path, ".npy")   ? read_npy(b, path, &map, out)
        : ends_with(path, ".txt") ? read_text(b, path, &map, out)
        : ends_with(path, ".bin")
            ? read_raw(b, path, &map, v, out)
            : CYG_FAIL(&b->app->ctx, CYG_E_CONFIG,
                       "const_processors: data_path %s ends in none of .bin, .npy, .txt", path);
    cyg_map_close(&map);
    return st;
}

/* ---- putting it in ---- */

static bool store(const cyg_value *v, double x, uint8_t *out)
{
    if (v->type == CYG_TYPE_F32) {
        const float f = (float)x;
        memcpy(out, &f, sizeof f);
        return true;
    }
    const double low = v->type == CYG_TYPE_S64   ? -9007199254740992.0
                       : v->type == CYG_TYPE_S32 ? INT32_MIN
                       : v->type == CYG_TYPE_S8  ? INT8_MIN
                                                 : 0;
    const double high = v->type == CYG_TYPE_S64    ? 9007199254740992.0
                        : v->type == CYG_TYPE_S32  ? INT32_MAX
                        : v->type == CYG_TYPE_S8   ? INT8_MAX
                        : v->type == CYG_TYPE_BOOL ? 1
                                                   : UINT8_MAX;
    if (!(x >= low && x <= high) || x != (double)(int64_t)x)
        return false;
    const int64_t n = (int64_t)x;
    memcpy(out, &n, cyg_type_size(v->type)); /* little-endian: the low bytes come first */
    return true;
}

/* A vector of integers, as Reshape takes one, may get another length; all else keeps its size. */
static cyg_status check_count(cyg_build *b, const cyg_value *v, const numbers *n)
{
    const int64_t own = cyg_value_elements(v);
    const bool vector = v->rank == 1 && v->type == CYG_TYPE_S64;
    if (n->has_shape && !vector &&
        (n->rank != v->rank || memcmp(n->dims, v->dims, n->rank * sizeof *n->dims) != 0))
        return CYG_FAIL(&b->app->ctx, CYG_E_CONFIG,
                        "const_processors: the new \"%s\" has another shape than the old one",
                        v->name);
    if (own >= 0 &&
        ((size_t)own == n->count || (vector && n->count > 0 && n->count <= CYG_MAX_RANK)))
        return CYG_OK;
    return CYG_FAIL(&b->app->ctx, CYG_E_CONFIG,
                    "const_processors: constant \"%s\" has %lld elements, %zu are given", v->name,
                    (long long)own, n->count);
}

static cyg_status replace(cyg_build *b, cyg_graph *g, cyg_value_id id, const numbers *n)
{
    cyg_value *v = cyg_val(g, id);
    cyg_ctx *ctx = &b->app->ctx;
    const size_t size = cyg_type_size(v->type);
    CYG_DO(check_count(b, v, n));
    uint8_t *data = cyg_arena_alloc(&g->arena, n->count * size + 8, 64);
    if (data == NULL)
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    for (size_t i = 0; i < n->count; i++)
        if (!store(v, n->items[i], data + i * size))
            return CYG_FAIL(ctx, CYG_E_CONFIG,
                            "const_processors: %.9g is no value of constant \"%s\", which holds %s",
                            n->items[i], v->name, cyg_type_name(v->type));
    v->data = data;
    v->bytes = n->count * size;
    if (v->rank == 1)
        v->dims[0] = (int64_t)n->count;
    cyg_note(ctx, "constant \"%s\" is replaced: %zu elements of %s", v->name, n->count,
             cyg_type_name(v->type));
    return CYG_OK;
}

static cyg_status unknown_constant(cyg_build *b, const cyg_graph *g,
                                   const cyg_config_const_processor *p)
{
    const char **names = CYG_NEW_ARRAY(&b->app->arena, const char *, (size_t)g->value_count + 1);
    size_t count = 0;
    for (uint32_t i = 0; names != NULL && i < g->value_count; i++)
        if (g->values[i].is_const)
            names[count++] = g->values[i].name;
    const int near = names != NULL ? cyg_nearest_name(p->name, names, count) : -1;
    return cyg_config_fail(&b->app->ctx, CYG_E_CONFIG, &p->name_at, "const_processors name",
                           "\"%.200s\" is no constant of the model%s%.200s%s", p->name,
                           near >= 0 ? "; did you mean \"" : "", near >= 0 ? names[near] : "",
                           near >= 0 ? "\"?" : "");
}

/* ---- attributes ---- */

/* "ceil_mode, kernel_shape" */
static void list_attributes(const cyg_op_schema *op, cyg_strbuf *out)
{
    for (size_t i = 0; i < op->attr_count; i++)
        cyg_strbuf_printf(out, "%s%s", i > 0 ? ", " : "", cyg_attr_key_name(op->attrs[i].key));
    if (op->attr_count == 0)
        cyg_strbuf_puts(out, "none");
}

/* Where an entry stands: of op_processors or quant_op_processors. */
static const char *list_of(const cyg_build *b, const cyg_config_op_processor *p, const char *key,
                           char out[64])
{
    const cyg_config_op_processor *items = b->config.quant_op_processors.items;
    const bool quant = b->config.quant_op_processors.count > 0 && p >= items &&
                       p < items + b->config.quant_op_processors.count;
    snprintf(out, 64, "%sop_processors %s", quant ? "quant_" : "", key);
    return out;
}

static cyg_status no_attribute(cyg_build *b, const cyg_config_op_processor *p, const cyg_node *n,
                               const char *key)
{
    char path[64];
    cyg_strbuf known = {0};
    list_attributes(cyg_op_schema_of(n->op), &known);
    const cyg_status st =
        cyg_config_fail(&b->app->ctx, CYG_E_CONFIG, &p->attrs_at, list_of(b, p, "attrs", path),
                        "operator \"%.100s\" (%s) has no attribute \"%.100s\"; it has: %s", n->name,
                        cyg_op_schema_of(n->op)->onnx, key, known.data != NULL ? known.data : "");
    cyg_strbuf_deinit(&known);
    return st;
}

static cyg_status set_list(cyg_build *b, cyg_graph *g, cyg_node_id n, cyg_attr_key key, bool floats,
                           const cyg_doc_node *value)
{
    const size_t count = value->kind == CYG_DOC_LIST ? value->count : 1;
    int64_t *ints = CYG_NEW_ARRAY(&b->app->arena, int64_t, count + 1);
    float *reals = CYG_NEW_ARRAY(&b->app->arena, float, count + 1);
    if (ints == NULL || reals == NULL)
        return CYG_FAIL(&b->app->ctx, CYG_E_NOMEM, "out of memory");
    for (size_t i = 0; i < count; i++) {
        const cyg_doc_node *item = value->kind == CYG_DOC_LIST ? value->items[i] : value;
        double x = 0;
        CYG_DO(floats ? cyg_doc_as_float(&b->app->ctx, item, &x)
                      : cyg_doc_as_int(&b->app->ctx, item, &ints[i]));
        reals[i] = (float)x;
    }
    return (floats ? cyg_node_set_floats(g, n, key, reals, count)
                   : cyg_node_set_ints(g, n, key, ints, count))
               ? CYG_OK
               : CYG_FAIL(&b->app->ctx, CYG_E_NOMEM, "out of memory");
}

static cyg_status set_attribute(cyg_build *b, cyg_graph *g, cyg_node_id n, cyg_attr_key key,
                                cyg_attr_kind kind, const cyg_doc_node *value)
{
    cyg_ctx *ctx = &b->app->ctx;
    int64_t integer = 0;
    double real = 0;
    const char *text = NULL;
    bool ok = true;
    if (kind == CYG_KIND_INTS || kind == CYG_KIND_FLOATS)
        return set_list(b, g, n, key, kind == CYG_KIND_FLOATS, value);
    if (kind == CYG_KIND_INT && value->kind == CYG_DOC_BOOL) {
        ok = cyg_node_set_int(g, n, key, value->boolean);
    } else if (kind == CYG_KIND_INT) {
        CYG_DO(cyg_doc_as_int(ctx, value, &integer));
        ok = cyg_node_set_int(g, n, key, integer);
    } else if (kind == CYG_KIND_FLOAT) {
        CYG_DO(cyg_doc_as_float(ctx, value, &real));
        ok = cyg_node_set_float(g, n, key, (float)real);
    } else if (kind == CYG_KIND_STRING) {
        CYG_DO(cyg_doc_as_string(ctx, value, &text));
        ok = cyg_node_set_string(g, n, key, text);
    } else {
        return CYG_DOC_FAIL(ctx, value, CYG_E_UNSUPPORTED, "attributes that are tensors");
    }
    return ok ? CYG_OK : CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
}

/* Reshape's target, which is an operand now and was an attribute once. */
static cyg_status set_shape(cyg_build *b, cyg_graph *g, cyg_node_id n, const cyg_doc_node *value)
{
    cyg_ctx *ctx = &b->app->ctx;
    const cyg_value_id old = cyg_node_in(cyg_nod(g, n), 1);
    int64_t dims[CYG_MAX_RANK];
    CYG_DO(cyg_doc_as_list(ctx, value));
    const int64_t count = (int64_t)value->count;
    if (value->count > CYG_MAX_RANK)
        return CYG_DOC_FAIL(ctx, value, CYG_E_CONFIG, "shape: more than %d dimensions",
                            CYG_MAX_RANK);
    for (size_t i = 0; i < value->count; i++)
        CYG_DO(cyg_doc_as_int(ctx, value->items[i], &dims[i]));
    const cyg_value_id now =
        cyg_graph_add_const_copy(g, cyg_value_is_none(old) ? NULL : cyg_val(g, old)->name,
                                 CYG_TYPE_S64, 1, &count, dims, value->count * sizeof *dims);
    if (cyg_value_is_none(now))
        return CYG_FAIL(ctx, CYG_E_NOMEM, "out of memory");
    cyg_node_set_input(g, n, 1, now);
    cyg_note(ctx, "operator \"%s\" (Reshape): shape is overwritten", cyg_nod(g, n)->name);
    return CYG_OK;
}

static cyg_status apply_attributes(cyg_build *b, cyg_graph *g, const cyg_config_op_processor *p,
                                   cyg_node_id n, const cyg_doc_node *attrs)
{
    CYG_DO(cyg_doc_as_map(&b->app->ctx, attrs));
    for (size_t i = 0; i < attrs->count; i++) {
        const cyg_op_schema *op = cyg_op_schema_of(cyg_nod(g, n)->op);
        const char *name = attrs->items[i]->key;
        size_t k = 0;
        if (cyg_nod(g, n)->op == CYG_OP_reshape && strcmp(name, "shape") == 0) {
            CYG_DO(set_shape(b, g, n, attrs->items[i]));
            continue;
        }
        while (k < op->attr_count && strcmp(cyg_attr_key_name(op->attrs[k].key), name) != 0)
            k++;
        if (k == op->attr_count)
            return no_attribute(b, p, cyg_nod(g, n), name);
        CYG_DO(set_attribute(b, g, n, op->attrs[k].key, op->attrs[k].kind, attrs->items[i]));
        cyg_note(&b->app->ctx, "operator \"%s\" (%s): attribute %s is overwritten",
                 cyg_nod(g, n)->name, op->onnx, name);
    }
    return CYG_OK;
}

static cyg_status unknown_operator(cyg_build *b, const cyg_graph *g,
                                   const cyg_config_op_processor *p)
{
    const char **names = CYG_NEW_ARRAY(&b->app->arena, const char *, (size_t)g->node_count + 1);
    size_t count = 0;
    for (uint32_t i = 0; names != NULL && i < g->node_count; i++)
        if (g->nodes[i].op != CYG_OP_removed)
            names[count++] = g->nodes[i].name;
    const int near = names != NULL ? cyg_nearest_name(p->op_name, names, count) : -1;
    char path[64];
    return cyg_config_fail(
        &b->app->ctx, CYG_E_CONFIG, &p->op_name_at, list_of(b, p, "op_name", path),
        "\"%.200s\" is no operator of the model%s%.200s%s", p->op_name,
        near >= 0 ? "; did you mean \"" : "", near >= 0 ? names[near] : "", near >= 0 ? "\"?" : "");
}

static cyg_status edit_operators(cyg_build *b, cyg_graph *g, const cyg_config_op_processor *items,
                                 size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const cyg_config_op_processor *p = &items[i];
        const cyg_node_id n = cyg_graph_find_node(g, p->op_name);
        cyg_doc *doc = NULL;
        if (cyg_node_is_none(n))
            return unknown_operator(b, g, p);
        CYG_DO(cyg_doc_parse(&b->app->ctx, "op_processors attrs", p->attrs, strlen(p->attrs),
                             CYG_DOC_JSON, &doc));
        const cyg_status st = apply_attributes(b, g, p, n, cyg_doc_root(doc));
        cyg_doc_close(doc);
        CYG_DO(st);
    }
    return CYG_OK;
}

cyg_status cyg_build_edit_source(cyg_ctx *ctx, void *user, cyg_graph *g)
{
    cyg_build *b = user;
    for (size_t i = 0; i < b->config.const_processors.count; i++) {
        const cyg_config_const_processor *p = &b->config.const_processors.items[i];
        const cyg_value_id id = cyg_graph_find_value(g, p->name);
        numbers n = {0};
        if (cyg_value_is_none(id) || !cyg_val(g, id)->is_const)
            return unknown_constant(b, g, p);
        if (!is_settable(cyg_val(g, id)->type))
            return CYG_FAIL(ctx, CYG_E_UNSUPPORTED,
                            "const_processors: constant \"%s\" holds %s, which cannot be replaced",
                            p->name, cyg_type_name(cyg_val(g, id)->type));
        cyg_status st = CYG_OK;
        if (p->data_path != NULL)
            st = read_file(b, p->data_path, cyg_val(g, id), &n);
        for (size_t k = 0; st == CYG_OK && p->data_path == NULL && k < p->data.count; k++)
            st = add_number(b, &n, p->data.items[k]);
        if (st == CYG_OK)
            st = replace(b, g, id, &n);
        free(n.items);
        CYG_DO(st);
    }
    CYG_DO(edit_operators(b, g, b->config.op_processors.items, b->config.op_processors.count));
    return cyg_build_fit_inputs(b, g);
}

cyg_status cyg_build_edit_quantised(cyg_build *b)
{
    cyg_ctx *ctx = &b->app->ctx;
    if (b->config.quant_op_processors.count == 0)
        return CYG_OK;
    if (b->group_count > 0)
        return CYG_FAIL(ctx, CYG_E_UNSUPPORTED,
                        "quant_op_processors are not built yet beside src_extra_shapes");
    CYG_DO(edit_operators(b, b->graph, b->config.quant_op_processors.items,
                          b->config.quant_op_processors.count));
    CYG_TRY(ctx, cyg_graph_infer_shapes(ctx, b->graph),
            "quant_op_processors: shapes of the quantised model stand");
    return cyg_graph_verify(ctx, b->graph);
}
