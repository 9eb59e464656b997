/* An ONNX model as read: the messages of the file as plain structs. Strings and lists live in the
 * caller's arena, tensors stay ranges of the mapped file (tensor.h reads them). */
#ifndef CYG_ONNX_MODEL_H
#define CYG_ONNX_MODEL_H

#include "onnx/wire.h"

/* AttributeProto.AttributeType. */
typedef enum cyg_onnx_attr_type {
    CYG_ONNX_ATTR_UNDEFINED = 0,
    CYG_ONNX_ATTR_FLOAT = 1,
    CYG_ONNX_ATTR_INT = 2,
    CYG_ONNX_ATTR_STRING = 3,
    CYG_ONNX_ATTR_TENSOR = 4,
    CYG_ONNX_ATTR_GRAPH = 5,
    CYG_ONNX_ATTR_FLOATS = 6,
    CYG_ONNX_ATTR_INTS = 7,
    CYG_ONNX_ATTR_STRINGS = 8,
    CYG_ONNX_ATTR_TENSORS = 9,
    CYG_ONNX_ATTR_GRAPHS = 10,
    CYG_ONNX_ATTR_SPARSE_TENSOR = 11,
    CYG_ONNX_ATTR_SPARSE_TENSORS = 12,
    CYG_ONNX_ATTR_TYPE_PROTO = 13,
    CYG_ONNX_ATTR_TYPE_PROTOS = 14,
    CYG_ONNX_ATTR_TYPES
} cyg_onnx_attr_type;

typedef struct cyg_onnx_attr {
    const char *name;
    const char *ref; /* not NULL: stands for this attribute of the calling node */
    int64_t type;    /* cyg_onnx_attr_type, checked */
    int64_t i;
    float f;
    cyg_span s, t;         /* string (of several: joined by blanks), tensor message */
    cyg_wire_array ints;   /* int64_t */
    cyg_wire_array floats; /* float */
} cyg_onnx_attr;

typedef struct cyg_onnx_node {
    const char *name, *op_type, *domain, *overload; /* "" when absent; domain "ai.onnx" reads "" */
    const char **in, **out;
    uint32_t in_count, out_count;
    cyg_onnx_attr *attrs;
    uint32_t attr_count;
} cyg_onnx_node;

typedef struct cyg_onnx_dim {
    int64_t value;     /* >= 0, or -1 when symbolic */
    const char *param; /* NULL = "?" */
} cyg_onnx_dim;

typedef struct cyg_onnx_value_info {
    const char *name;
    const char *foreign; /* "sequence", "map", ...: not a tensor; else NULL */
    int64_t elem_type;   /* TensorProto.DataType, 0 = not stated */
    bool has_shape;
    cyg_onnx_dim *dims;
    uint32_t rank;
} cyg_onnx_value_info;

/* A tensor by its message; the name is read ahead. */
typedef struct cyg_onnx_tensor_ref {
    const char *name;
    cyg_span bytes;
} cyg_onnx_tensor_ref;

typedef struct cyg_onnx_opset {
    const char *domain;
    int64_t version;
} cyg_onnx_opset;

typedef struct cyg_onnx_text_pair {
    const char *key, *value;
} cyg_onnx_text_pair;

typedef struct cyg_onnx_graph {
    const char *name;
    cyg_onnx_node *nodes;
    uint32_t node_count;
    cyg_onnx_tensor_ref *initializers;
    uint32_t initializer_count;
    cyg_onnx_value_info *inputs, *outputs; /* value_info of inner tensors is not read: import.c */
    uint32_t input_count, output_count;
    uint32_t sparse_count;
} cyg_onnx_graph;

typedef struct cyg_onnx_function {
    const char *name, *domain, *overload;
    const char **in, **out;
    uint32_t in_count, out_count;
    cyg_onnx_node *nodes;
    uint32_t node_count;
    cyg_onnx_attr *defaults; /* attributes with a default value; the others are only names */
    uint32_t default_count;
    cyg_onnx_opset *opsets;
    uint32_t opset_count;
} cyg_onnx_function;

typedef struct cyg_onnx_model {
    cyg_wire_file file;
    int64_t ir_version;
    const char *producer; /* name and version, or "" */
    cyg_onnx_opset *opsets;
    uint32_t opset_count;
    cyg_onnx_text_pair *metas;
    uint32_t meta_count;
    cyg_onnx_function *functions;
    uint32_t function_count;
    cyg_onnx_graph graph;
} cyg_onnx_model;

/* Reads the messages of a whole file. The model lends its strings from arena and its tensors from
 * the file's bytes. */
cyg_status cyg_onnx_decode(cyg_ctx *ctx, const char *path, cyg_span bytes, bool mapped,
                           cyg_arena *arena, cyg_onnx_model *out_model) CYG_MUST_USE;
const char *cyg_onnx_attr_type_name(int64_t type);

#endif
