/* Rows of upgrade.def for one operator; internal to onnx/. */
#ifndef CYG_ONNX_UPGRADE_H
#define CYG_ONNX_UPGRADE_H

#include "ir/graph.h"

typedef struct cyg_onnx_move {
    cyg_op op;
    const char *attr;
    int last;
    uint32_t input;
    cyg_attr_kind kind;
} cyg_onnx_move;

typedef struct cyg_onnx_only {
    cyg_op op;
    const char *attr;
    bool any; /* SKIP */
    int64_t value;
    const char *why;
} cyg_onnx_only;

/* The operator of a standard node type, by today's or an older name; CYG_OP_COUNT when there is
 * none. */
cyg_op cyg_onnx_find_op(const char *type, int opset);
/* NULL when the attribute does not become an input at this opset. */
const cyg_onnx_move *cyg_onnx_find_move(cyg_op op, const char *attr, int opset);
const cyg_onnx_only *cyg_onnx_find_only(cyg_op op, const char *attr);
/* First opset in which import accepts the operator. */
int cyg_onnx_first_opset(cyg_op op);
/* Sets what the node left out; the key of a missing mandatory attribute or CYG_ATTR_COUNT. */
cyg_attr_key cyg_onnx_set_defaults(cyg_graph *g, cyg_node_id n);

#endif
