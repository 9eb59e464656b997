/* Expansions of upgrade.def.
 *
 * The tables are small and searched in order; a node has few attributes, so this is not worth an
 * index. Defaults are set attribute by attribute rather than by a per-operator function, so that
 * the .def file stays the whole truth. */
#include "onnx/upgrade.h"

#include <string.h>

#define CYG_RENAMED(name, op, last)
#define CYG_MOVE(op, attr, last, input, kind)
#define CYG_SKIP(op, attr)
#define CYG_ONLY(op, attr, value, why)
#define CYG_MUST(op, key)
#define CYG_DEFAULT_INT(op, key, value)
#define CYG_DEFAULT_FLOAT(op, key, value)
#define CYG_DEFAULT_STRING(op, key, value)
#define CYG_OLDER(op, first)

typedef struct renamed_row {
    const char *name;
    cyg_op op;
    int last;
} renamed_row;
static const renamed_row renamed[] = {
#undef CYG_RENAMED
#define CYG_RENAMED(name, op, last) {name, CYG_OP_##op, last},
#include "onnx/upgrade.def"
#undef CYG_RENAMED
#define CYG_RENAMED(name, op, last)
};

static const cyg_onnx_move moves[] = {
#undef CYG_MOVE
#define CYG_MOVE(op, attr, last, input, kind) {CYG_OP_##op, attr, last, input, CYG_KIND_##kind},
#include "onnx/upgrade.def"
#undef CYG_MOVE
#define CYG_MOVE(op, attr, last, input, kind)
};

static const cyg_onnx_only onlys[] = {
#undef CYG_SKIP
#undef CYG_ONLY
#define CYG_SKIP(op, attr) {CYG_OP_##op, attr, true, 0, ""},
#define CYG_ONLY(op, attr, value, why) {CYG_OP_##op, attr, false, value, why},
#include "onnx/upgrade.def"
#undef CYG_SKIP
#undef CYG_ONLY
#define CYG_SKIP(op, attr)
#define CYG_ONLY(op, attr, value, why)
};

typedef struct older_row {
    cyg_op op;
    int first;
} older_row;
static const older_row older[] = {
#undef CYG_OLDER
#define CYG_OLDER(op, first) {CYG_OP_##op, first},
#include "onnx/upgrade.def"
#undef CYG_OLDER
#define CYG_OLDER(op, first)
};

typedef struct must_row {
    cyg_op op;
    cyg_attr_key key;
} must_row;
static const must_row musts[] = {
#undef CYG_MUST
#define CYG_MUST(op, key) {CYG_OP_##op, CYG_ATTR_##key},
#include "onnx/upgrade.def"
#undef CYG_MUST
#define CYG_MUST(op, key)
};

typedef struct default_row {
    cyg_op op;
    cyg_attr_key key;
    cyg_attr_kind kind;
    int64_t i;
    float f;
    const char *s;
} default_row;
static const default_row defaults[] = {
#undef CYG_DEFAULT_INT
#undef CYG_DEFAULT_FLOAT
#undef CYG_DEFAULT_STRING
#define CYG_DEFAULT_INT(op, key, v) {CYG_OP_##op, CYG_ATTR_##key, CYG_KIND_INT, v, 0.0f, NULL},
#define CYG_DEFAULT_FLOAT(op, key, v) {CYG_OP_##op, CYG_ATTR_##key, CYG_KIND_FLOAT, 0, v, NULL},
#define CYG_DEFAULT_STRING(op, key, v) {CYG_OP_##op, CYG_ATTR_##key, CYG_KIND_STRING, 0, 0.0f, v},
#include "onnx/upgrade.def"
};

cyg_op cyg_onnx_find_op(const char *type, int opset)
{
    for (size_t i = 0; i < CYG_COUNT(renamed); i++)
        if (opset <= renamed[i].last && strcmp(renamed[i].name, type) == 0)
            return renamed[i].op;
    return cyg_op_find("", type);
}

const cyg_onnx_move *cyg_onnx_find_move(cyg_op op, const char *attr, int opset)
{
    for (size_t i = 0; i < CYG_COUNT(moves); i++)
        if (moves[i].op == op && opset <= moves[i].last && strcmp(moves[i].attr, attr) == 0)
            return &moves[i];
    return NULL;
}

const cyg_onnx_only *cyg_onnx_find_only(cyg_op op, const char *attr)
{
    for (size_t i = 0; i < CYG_COUNT(onlys); i++)
        if (onlys[i].op == op && strcmp(onlys[i].attr, attr) == 0)
            return &onlys[i];
    return NULL;
}

int cyg_onnx_first_opset(cyg_op op)
{
    for (size_t i = 0; i < CYG_COUNT(older); i++)
        if (older[i].op == op)
            return older[i].first;
    return cyg_op_schema_of(op)->since;
}

cyg_attr_key cyg_onnx_set_defaults(cyg_graph *g, cyg_node_id n)
{
    const cyg_op op = cyg_nod(g, n)->op;
    for (size_t i = 0; i < CYG_COUNT(musts); i++)
        if (musts[i].op == op && cyg_node_attr(cyg_nod(g, n), musts[i].key) == NULL)
            return musts[i].key;
    for (size_t i = 0; i < CYG_COUNT(defaults); i++) {
        const default_row *row = &defaults[i];
        if (row->op != op || cyg_node_attr(cyg_nod(g, n), row->key) != NULL)
            continue;
        if (row->kind == CYG_KIND_INT)
            cyg_node_set_int(g, n, row->key, row->i);
        else if (row->kind == CYG_KIND_FLOAT)
            cyg_node_set_float(g, n, row->key, row->f);
        else
            cyg_node_set_string(g, n, row->key, row->s);
    }
    return CYG_ATTR_COUNT;
}
