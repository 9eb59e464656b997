/* What the files of the importer share; internal to onnx/.
 *
 *   decode.c    wire -> model.h          tensor.c, external.c   TensorProto -> constant data
 *   scope.c     tensor names -> values   inline.c               walks nodes, opens functions
 *   emit.c      one ONNX node -> nodes of the graph, by the tables of upgrade.def
 *   qlinear.c   operators on integers -> DequantizeLinear, float operator, QuantizeLinear
 *   statistics.c  outputs that inference seldom reads
 *   settle.c    what needs shapes        shapes.c               inputs, symbols, --input_shapes
 *   refuse.c    the list of what is unsupported                 import.c   the order of things
 */
#ifndef CYG_ONNX_IMPORT_H
#define CYG_ONNX_IMPORT_H

#include "base/ctx.h"
#include "ir/graph.h"
#include "onnx/model.h"
#include "onnx/onnx.h"

/* Versions of the default operator set that import understands, and the one it makes of them. */
enum { CYG_ONNX_OPSET_MIN = 7, CYG_ONNX_OPSET_MAX = 22, CYG_ONNX_OPSET_CANONICAL = 18 };
enum {
    CYG_ONNX_MAX_CALL_DEPTH = 64,
    CYG_ONNX_MAX_NODES = 500000,
    CYG_ONNX_MAX_NAME_BYTES = 1 << 28
};

typedef struct cyg_onnx_tensor {
    const char *name;
    const char *refused; /* not NULL: valid, but nothing we can hold; says why */
    cyg_type type;
    int rank;
    int64_t dims[CYG_MAX_RANK];
    const void *data; /* lives as long as the graph, aligned for its type */
    size_t bytes;
    bool four_bits; /* in the file; here a byte each */
} cyg_onnx_tensor;

/* ---- scope.c: names of one graph or of one function call ------------------------------------ */

typedef struct cyg_onnx_entry {
    const char *name;
    cyg_value_id value;                     /* none until the first mention */
    bool defined;                           /* an input, a constant or some node's output */
    const cyg_onnx_tensor_ref *initializer; /* read at first use */
    const cyg_onnx_value_info *info;
    const char *first_user; /* node that mentions it first, for messages */
    const char *refused_op, *refused_node, *refused_why; /* an output that nothing can provide */
    int refused_opset;
    cyg_node_id
        maker; /* node whose output `maker_output` this is, to be made of other nodes if read */
    uint32_t maker_output;
} cyg_onnx_entry;

typedef struct cyg_onnx_scope {
    const struct cyg_onnx_scope *caller;
    const cyg_onnx_function *function; /* NULL = the main graph */
    const char *prefix;                /* "" or "call/" */
    const cyg_onnx_attr *const *args;  /* attributes that references see, resolved */
    uint32_t arg_count;
    unsigned depth;
    cyg_onnx_entry *entries;
    uint32_t *slots; /* entry index + 1, open addressing; slot_count is a power of two */
    uint32_t entry_count, entry_cap, slot_count;
} cyg_onnx_scope;

/* ---- the importer -----------------------------------------------------------------------------
 */

typedef struct cyg_onnx_refusal {
    const char *op, *node, *why;
    const char *domain;
    int opset;
} cyg_onnx_refusal;

typedef enum cyg_onnx_late_kind {
    CYG_ONNX_LATE_SOFTMAX,   /* flattened semantics of opset < 13 */
    CYG_ONNX_LATE_SAME_TYPE, /* float constants made from attributes: input type must be x's */
} cyg_onnx_late_kind;
typedef struct cyg_onnx_late {
    cyg_onnx_late_kind kind;
    cyg_node_id node;
} cyg_onnx_late;

typedef struct cyg_onnx_external {
    const char *location;
    cyg_span bytes;
    struct cyg_onnx_external *next;
} cyg_onnx_external;

typedef struct cyg_onnx_importer {
    cyg_ctx *ctx;
    const char *path;
    const cyg_onnx_import_options *options;
    cyg_span file; /* the mapped model */
    cyg_onnx_model model;
    cyg_graph *graph;
    cyg_arena scratch;
    cyg_onnx_external *externals;
    cyg_onnx_refusal *refusals;
    uint32_t refusal_count, refusal_cap;
    cyg_onnx_late *lates;
    uint32_t late_count, late_cap;
    cyg_value_id *four_bits; /* constants of 4-bit types, which are bytes here */
    uint32_t four_bit_count, four_bit_cap;
    uint32_t nodes_walked;
    uint64_t name_bytes; /* of prefixed names: a small file can ask for very many */
    bool unsorted;       /* some tensor is used before its node */
} cyg_onnx_importer;

/* One node with its names resolved: what emit.c works on. */
typedef struct cyg_onnx_call {
    cyg_onnx_importer *imp;
    cyg_onnx_scope *scope;
    const cyg_onnx_node *node;
    const char *label; /* for messages: the node's name, or its output's */
    const char *name;  /* for the graph: prefixed */
    int opset;
    const cyg_onnx_attr **attrs; /* references resolved, absent ones left out */
    uint32_t attr_count;
    cyg_source_id source;
} cyg_onnx_call;

#define CYG_ONNX_NOMEM(imp) CYG_FAIL((imp)->ctx, CYG_E_NOMEM, "%s: out of memory", (imp)->path)

/* Where the data of an empty constant points: aligned for every type. */
extern const uint64_t cyg_onnx_nothing;

/* tensor.c. `what` names the tensor in messages when it has no name of its own. */
cyg_status cyg_onnx_read_tensor(cyg_onnx_importer *imp, cyg_span bytes, const char *what,
                                cyg_onnx_tensor *out_tensor) CYG_MUST_USE;
/* external.c: `size` bytes for a tensor, from the entries of external_data. */
cyg_status cyg_onnx_read_external(cyg_onnx_importer *imp, const char *tensor,
                                  const cyg_onnx_text_pair *entries, uint32_t count, size_t size,
                                  cyg_span *out_bytes) CYG_MUST_USE;

/* scope.c */
/* prefix + name, within the budget for names. */
cyg_status cyg_onnx_prefixed(cyg_onnx_importer *imp, const char *prefix, const char *name,
                             const char **out_name) CYG_MUST_USE;
cyg_onnx_entry *cyg_onnx_scope_find(const cyg_onnx_scope *s, const char *name); /* or NULL */
/* Finds or adds; NULL = out of memory. The pointer holds until the next add. */
cyg_onnx_entry *cyg_onnx_scope_entry(cyg_onnx_importer *imp, cyg_onnx_scope *s, const char *name);
/* Makes the value now, so that nothing made up on the way can take its name. */
cyg_status cyg_onnx_scope_reserve(cyg_onnx_importer *imp, cyg_onnx_scope *s,
                                  const char *name) CYG_MUST_USE;
/* The value behind a name that `user` reads; "" gives none. */
cyg_status cyg_onnx_scope_use(cyg_onnx_importer *imp, cyg_onnx_scope *s, const char *name,
                              const char *user, cyg_value_id *out_value) CYG_MUST_USE;
/* The value that `producer` defines under a name; a second definition is an error. */
cyg_status cyg_onnx_scope_define(cyg_onnx_importer *imp, cyg_onnx_scope *s, const char *name,
                                 const char *producer, cyg_value_id *out_value) CYG_MUST_USE;
/* Every name that was used is defined, or an error names it; refused ones are listed. */
cyg_status cyg_onnx_scope_close(cyg_onnx_importer *imp, const cyg_onnx_scope *s) CYG_MUST_USE;
/* A constant read from a tensor, as a new value. Refused types are listed, *out_value is none. */
cyg_status cyg_onnx_add_tensor(cyg_onnx_importer *imp, const char *name, cyg_span bytes,
                               cyg_value_id *out_value) CYG_MUST_USE;

/* A constant whose type in the file has 4 bits. */
bool cyg_onnx_is_four_bits(const cyg_onnx_importer *imp, cyg_value_id v);

/* refuse.c */
cyg_status cyg_onnx_refuse(cyg_onnx_importer *imp, const char *op, const char *domain,
                           const char *node, int opset, const char *why) CYG_MUST_USE;
cyg_status cyg_onnx_report_refusals(cyg_onnx_importer *imp) CYG_MUST_USE;

/* inline.c */
cyg_status cyg_onnx_walk(cyg_onnx_importer *imp, cyg_onnx_scope *s, const cyg_onnx_node *nodes,
                         uint32_t count) CYG_MUST_USE;
int cyg_onnx_opset_of(const cyg_onnx_importer *imp, const cyg_onnx_scope *s, const char *domain);

/* emit.c */
cyg_status cyg_onnx_emit(cyg_onnx_call *call) CYG_MUST_USE;
const cyg_onnx_attr *cyg_onnx_call_attr(const cyg_onnx_call *call, const char *name);
/* Fails naming the node. */
cyg_status cyg_onnx_call_fail(const cyg_onnx_call *call, const char *fmt, ...) CYG_PRINTF(2, 3);
cyg_status cyg_onnx_call_refuse(const cyg_onnx_call *call, const char *why) CYG_MUST_USE;
cyg_status cyg_onnx_add_late(cyg_onnx_importer *imp, cyg_onnx_late_kind kind,
                             cyg_node_id n) CYG_MUST_USE;
/* statistics.c: outputs of which the graph's operators have no more, made of other nodes */
bool cyg_onnx_makes_output(cyg_op op, int opset, uint32_t output);
cyg_status cyg_onnx_make_output(cyg_onnx_importer *imp, const cyg_onnx_entry *e) CYG_MUST_USE;
/* BatchNormalization of training_mode 1: y, running mean, running variance; out may be none. */
cyg_status cyg_onnx_emit_batch_training(cyg_onnx_call *call, const cyg_value_id in[5],
                                        const cyg_value_id out[3]) CYG_MUST_USE;
/* A value of `type`, zeros of like's shape. */
cyg_status cyg_onnx_make_zeros(const cyg_onnx_call *call, cyg_value_id like, cyg_type type,
                               cyg_value_id *out_zeros) CYG_MUST_USE;
/* qlinear.c: operators on integers, which become float operators between DequantizeLinear and
 * QuantizeLinear. */
bool cyg_onnx_is_qlinear(const cyg_onnx_node *n);
cyg_status cyg_onnx_emit_qlinear(cyg_onnx_call *call) CYG_MUST_USE;
/* constant.c: the Constant operator. */
cyg_status cyg_onnx_emit_constant(cyg_onnx_call *call) CYG_MUST_USE;

/* shapes.c */
cyg_status cyg_onnx_set_info(cyg_onnx_importer *imp, cyg_value_id v,
                             const cyg_onnx_value_info *info) CYG_MUST_USE;
cyg_status cyg_onnx_add_inputs(cyg_onnx_importer *imp, cyg_onnx_scope *s, cyg_value_id **out_inputs,
                               uint32_t *out_count) CYG_MUST_USE;
/* Applies --input_shapes and the default batch; call when all values exist and io is set. */
cyg_status cyg_onnx_bind_inputs(cyg_onnx_importer *imp) CYG_MUST_USE;

/* settle.c */
cyg_status cyg_onnx_settle(cyg_onnx_importer *imp) CYG_MUST_USE;
/* Spells out strides, dilations and pads of a conv or pool once its kernel is known. */
/* einsum.c; shapes known as far as inference knows them. */
cyg_status cyg_onnx_settle_einsum(cyg_onnx_importer *imp, cyg_node_id n) CYG_MUST_USE;
cyg_status cyg_onnx_settle_eye_like(cyg_onnx_importer *imp, cyg_node_id n) CYG_MUST_USE;
cyg_status cyg_onnx_fill_window(cyg_onnx_importer *imp, cyg_node_id n) CYG_MUST_USE;

#endif
