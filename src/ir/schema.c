/* Operator, attribute and type tables: the expansions of ops.def, attrs.def and types.def.
 *
 * ops.def lists each operator's attributes right after the operator, in one flat file. Two tricks
 * turn that into tables at compile time:
 *   - a struct per operator with one char per attribute: its size is the attribute count (plus one
 *     for the opening member);
 *   - an enumeration in which every operator has the number of the next attribute, and every
 *     attribute takes one number: the operator's number is its first index in the flat table. */
#include "ir/graph.h"

#include <string.h>

/* ---- types ---- */
static const struct {
    const char *name;
    size_t size;
    int onnx;
} types[CYG_TYPE_COUNT] = {
#define CYG_TYPE(id, text, bytes, onnx) [CYG_TYPE_##id] = {text, bytes, onnx},
#include "base/types.def"
#undef CYG_TYPE
};

const char *cyg_type_name(cyg_type type)
{
    return (unsigned)type < CYG_TYPE_COUNT ? types[type].name : "invalid";
}

bool cyg_type_limits(cyg_type type, int32_t *out_lo, int32_t *out_hi)
{
    const int bits = (int)(8 * cyg_type_size(type));
    const bool is_signed = type == CYG_TYPE_S8 || type == CYG_TYPE_S16;
    if (!is_signed && type != CYG_TYPE_U8 && type != CYG_TYPE_U16)
        return false;
    *out_lo = is_signed ? -(1 << (bits - 1)) : 0;
    *out_hi = *out_lo + (1 << bits) - 1;
    return true;
}

size_t cyg_type_size(cyg_type type)
{
    return (unsigned)type < CYG_TYPE_COUNT ? types[type].size : 0;
}

cyg_type cyg_type_from_onnx(int64_t data_type)
{
    for (int i = 1; i < CYG_TYPE_COUNT; i++)
        if (types[i].onnx == data_type)
            return (cyg_type)i;
    return CYG_TYPE_NONE;
}

int cyg_type_to_onnx(cyg_type type)
{
    return (unsigned)type < CYG_TYPE_COUNT ? types[type].onnx : 0;
}

/* ---- attributes ---- */
static const char *const key_names[CYG_ATTR_COUNT] = {
#define CYG_ATTR(key) [CYG_ATTR_##key] = #key,
#include "ir/attrs.def"
#undef CYG_ATTR
};

const char *cyg_attr_key_name(cyg_attr_key key)
{
    return (unsigned)key < CYG_ATTR_COUNT ? key_names[key] : "invalid";
}

cyg_attr_key cyg_attr_key_find(const char *name)
{
    for (int i = 0; i < CYG_ATTR_COUNT; i++)
        if (strcmp(key_names[i], name) == 0)
            return (cyg_attr_key)i;
    return CYG_ATTR_COUNT;
}

/* ---- operators ---- */
static const cyg_op_attr_schema op_attrs[] = {
#define CYG_OP(id, ...)
#define CYG_OP_ATTR(op, key, kind) {CYG_ATTR_##key, CYG_KIND_##kind},
#include "ir/ops.def"
#undef CYG_OP
#undef CYG_OP_ATTR
};

struct attrs_before_all {
    char open;
#define CYG_OP(id, ...)                                                                            \
    }                                                                                              \
    ;                                                                                              \
    struct attrs_of_##id {                                                                         \
        char open;
#define CYG_OP_ATTR(op, key, kind) char a_##key;
#include "ir/ops.def"
#undef CYG_OP
#undef CYG_OP_ATTR
};

enum {
#define CYG_OP(id, ...) FIRST_OF_##id, BACK_OF_##id = FIRST_OF_##id - 1,
#define CYG_OP_ATTR(op, key, kind) ATTR_OF_##op##_##key,
#include "ir/ops.def"
#undef CYG_OP
#undef CYG_OP_ATTR
};

static const cyg_op_schema schemas[CYG_OP_COUNT] = {
#define CYG_OP(id_, onnx_, domain_, since_, lo_in, hi_in, lo_out, hi_out, flags_, note_)           \
    [CYG_OP_##id_] = {.id = #id_,                                                                  \
                      .onnx = onnx_,                                                               \
                      .domain = domain_,                                                           \
                      .since = since_,                                                             \
                      .min_in = lo_in,                                                             \
                      .max_in = hi_in,                                                             \
                      .min_out = lo_out,                                                           \
                      .max_out = hi_out,                                                           \
                      .flags = flags_,                                                             \
                      .note = note_,                                                               \
                      .attrs = op_attrs + FIRST_OF_##id_,                                          \
                      .attr_count = sizeof(struct attrs_of_##id_) - 1},
#define CYG_OP_ATTR(op, key, kind)
#include "ir/ops.def"
#undef CYG_OP
#undef CYG_OP_ATTR
};

const cyg_op_schema *cyg_op_schema_of(cyg_op op)
{
    return (unsigned)op < CYG_OP_COUNT ? &schemas[op] : &schemas[CYG_OP_removed];
}

cyg_op cyg_op_find(const char *domain, const char *onnx_name)
{
    if (strcmp(domain, "ai.onnx") == 0)
        domain = "";
    for (int i = 0; i < CYG_OP_COUNT; i++)
        if (schemas[i].onnx[0] == onnx_name[0] && strcmp(schemas[i].onnx, onnx_name) == 0 &&
            strcmp(schemas[i].domain, domain) == 0 && i != CYG_OP_removed)
            return (cyg_op)i;
    return CYG_OP_COUNT;
}

static const cyg_op_elsewhere elsewhere[] = {
#define CYG_OP(id, ...)
#define CYG_OP_ATTR(op, key, kind)
#define CYG_OP_ELSEWHERE(name, why) {name, why},
#include "ir/ops.def"
#undef CYG_OP
#undef CYG_OP_ATTR
};

const cyg_op_elsewhere *cyg_op_elsewhere_at(size_t i)
{
    return i < CYG_COUNT(elsewhere) ? &elsewhere[i] : NULL;
}
