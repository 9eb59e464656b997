/* The graph: values, nodes, constants, provenance. One IR for standard ONNX operators and for the
 * few fused ones.
 *
 * Index-based: nodes and values live in arrays and are named by 32-bit ids that never move; a
 * removed node keeps its slot (op == CYG_OP_removed). `order` is the topological execution order.
 * Everything is owned by the graph's arena but constant data, which may point into a mapped file
 * that the graph keeps open (cyg_graph_adopt_map). Confined to one thread while it is being
 * changed; compatible for reading.
 *
 * Pointers to values and nodes (cyg_val, cyg_nod) hold until the next adder: the arrays move when
 * they grow. Ids hold for ever.
 *
 * Symbolic dimensions: dims[i] >= 0 is known; dims[i] < 0 is symbol number -dims[i]-1 of
 * graph->symbols; symbol 0 is "?", unknown and equal to nothing. rank == CYG_RANK_UNKNOWN: nothing
 * known. */
#ifndef CYG_IR_GRAPH_H
#define CYG_IR_GRAPH_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/ctx.h"
#include "base/file.h"
#include "base/type.h"
#include "ir/ids.h"

enum { CYG_RANK_UNKNOWN = 255 };

const char *cyg_type_name(cyg_type type);
size_t cyg_type_size(cyg_type type);
/* All values of an integer type of 8 or 16 bits; false for others. */
bool cyg_type_limits(cyg_type type, int32_t *out_lo, int32_t *out_hi);
cyg_type cyg_type_from_onnx(int64_t data_type); /* CYG_TYPE_NONE when unknown */
int cyg_type_to_onnx(cyg_type type);

typedef enum cyg_op {
#define CYG_OP(id, ...) CYG_OP_##id,
#define CYG_OP_ATTR(op, key, kind)
#include "ir/ops.def"
#undef CYG_OP
#undef CYG_OP_ATTR
    CYG_OP_COUNT
} cyg_op;

typedef enum cyg_attr_key {
#define CYG_ATTR(key) CYG_ATTR_##key,
#include "ir/attrs.def"
#undef CYG_ATTR
    CYG_ATTR_COUNT
} cyg_attr_key;

typedef enum cyg_attr_kind {
    CYG_KIND_INT,
    CYG_KIND_FLOAT,
    CYG_KIND_STRING,
    CYG_KIND_INTS,
    CYG_KIND_FLOATS,
    CYG_KIND_TENSOR, /* a constant value's id */
} cyg_attr_kind;

typedef struct cyg_attr {
    cyg_attr_key key;
    cyg_attr_kind kind;
    union {
        int64_t i;
        float f;
        const char *s;
        struct {
            const int64_t *data;
            size_t count;
        } ints;
        struct {
            const float *data;
            size_t count;
        } floats;
        cyg_value_id tensor;
    } u;
} cyg_attr;

/* Operator facts, expanded from ops.def. */
enum {
    CYG_OPF_UNARY = 1,  /* element-wise, one tensor input */
    CYG_OPF_BINARY = 2, /* element-wise with numpy broadcasting */
    CYG_OPF_MOVE = 4,   /* moves elements, no arithmetic: keeps quantisation parameters */
    CYG_OPF_VIEW = 8,   /* same elements in the same order: free on row-major buffers */
    CYG_OPF_FUSED = 16, /* ours, defined in docs/fused-ops.md */
    CYG_OPF_SHAPE = 32, /* result depends on shapes only */
    CYG_OPF_COMMUTATIVE = 64,
    CYG_OPF_QDQ = 128,
    CYG_OPF_LISTED = 256, /* on the vendor's operator list of the AX650 */
    CYG_OPF_FLOAT = 512,  /* input 0 is of a floating type */
};
typedef struct cyg_op_attr_schema {
    cyg_attr_key key;
    cyg_attr_kind kind;
} cyg_op_attr_schema;
typedef struct cyg_op_schema {
    const char *id;     /* "softmax" */
    const char *onnx;   /* "Softmax" */
    const char *domain; /* "" = ai.onnx, "cygnet" = fused */
    int since;          /* first opset that has it */
    int min_in, max_in; /* max_in -1 = variadic */
    int min_out, max_out;
    unsigned flags;
    const char *note; /* for `cygnet ops` */
    const cyg_op_attr_schema *attrs;
    size_t attr_count;
} cyg_op_schema;
const cyg_op_schema *cyg_op_schema_of(cyg_op op);
/* CYG_OP_COUNT when there is none. */
cyg_op cyg_op_find(const char *domain, const char *onnx_name);
/* Operators of the AX650's list that are no operator here, and why; NULL behind the last. */
typedef struct cyg_op_elsewhere {
    const char *onnx, *note;
} cyg_op_elsewhere;
const cyg_op_elsewhere *cyg_op_elsewhere_at(size_t i);
const char *cyg_attr_key_name(cyg_attr_key key);
cyg_attr_key cyg_attr_key_find(const char *name); /* CYG_ATTR_COUNT when unknown */

/* Quantisation parameters of a value: real = scale * (q - zero_point). type NONE = float, not
 * quantised. */
typedef struct cyg_quant {
    cyg_type type; /* U8 S8 U16 S16 S32, or NONE */
    int32_t zero_point;
    int32_t axis;        /* channel axis of `scales`, -1 = one scale for the tensor */
    uint32_t count;      /* number of scales */
    const float *scales; /* [count], arena or blob */
} cyg_quant;

typedef struct cyg_value {
    const char *name; /* unique, never NULL */
    cyg_type type; /* of the data as it stands: F32 in a float graph; a quantised weight's blob has
                      type S8 */
    uint8_t rank;
    int64_t dims[CYG_MAX_RANK];
    cyg_node_id producer; /* none for inputs and constants */
    const void *data; /* constant data, dense row-major; NULL when not a constant (an empty constant
                         has is_const) */
    size_t bytes;
    bool is_const;
    uint32_t output_uses; /* how many graph outputs it is (cyg_graph_set_output) */
    cyg_quant quant;
} cyg_value;

typedef struct cyg_node {
    cyg_op op;
    const char *name; /* unique; from the source when it has one */
    uint32_t in_count, out_count;
    cyg_value_id *in, *out; /* an absent optional input is CYG_NO_VALUE */
    cyg_attr *attrs;
    uint32_t attr_count;
    cyg_source_id *sources; /* provenance: sorted, unique */
    uint32_t source_count;
} cyg_node;

/* A node of the source file, for provenance. */
typedef struct cyg_source {
    const char *name; /* "/layers.0/blocks.1/attn/Softmax" */
    const char *kind; /* "Softmax", or "tensor" for a checkpoint tensor */
} cyg_source;

typedef struct cyg_meta {
    const char *key, *text;
} cyg_meta;

/* Names to ids, a hash table inside the graph (ir/names.h). */
typedef struct cyg_names {
    struct cyg_name_slot *slots;
    uint32_t cap, used; /* used counts tombstones too */
} cyg_names;

typedef struct cyg_edit cyg_edit;

typedef struct cyg_graph {
    cyg_arena arena;
    const char *name;
    int opset; /* ai.onnx opset that the standard operators follow (after import: canonical, see
                  docs/ir.md) */
    cyg_value *values;
    uint32_t value_count, value_cap;
    cyg_node *nodes;
    uint32_t node_count, node_cap;
    cyg_node_id *order; /* topological */
    uint32_t order_count, order_cap;
    cyg_value_id *inputs, *outputs;
    uint32_t input_count, output_count;
    cyg_source *sources;
    uint32_t source_count, source_cap;
    const char **symbols; /* [0] = "?" */
    uint32_t symbol_count, symbol_cap;
    cyg_meta *metas;
    uint32_t meta_count, meta_cap;
    cyg_map *maps; /* files that constants point into */
    uint32_t map_count, map_cap;
    uint32_t next_name; /* counter for made-up names */
    bool alone; /* nobody else needs its constants: large ones give their memory back when passes
                   replace them and when a check has run. False unless the owner says so */
    struct cyg_graph
        *lender; /* NULL, or the graph that constants are borrowed from: dies with it */
    const struct cyg_graph *origin; /* NULL, or what it is a clone of: outlives it */
    /* private to ir */
    bool failed;    /* an adder ran out of memory */
    cyg_edit *edit; /* while it is being rewritten: edit.c */
    cyg_names value_names, node_names, symbol_names;
} cyg_graph;

/* ---- building
 * ---------------------------------------------------------------------------------------------- */
cyg_graph *cyg_graph_create(void); /* NULL = out of memory */
void cyg_graph_destroy(cyg_graph *g);
/* The graph closes the map when it is destroyed; *map is cleared. */
cyg_status cyg_graph_adopt_map(cyg_ctx *ctx, cyg_graph *g, cyg_map *map) CYG_MUST_USE;

/* The constant that begins at data is not needed for now: when it lies in a map of g, or of a graph
 * that g has its constants from, all of that map's pages go back (a page in use comes again from
 * the file; a kernel may map far more than was touched, which is why it is the whole map). False
 * when it lies elsewhere. */
bool cyg_graph_release_map(const cyg_graph *g, const void *data);

/* Adders return a none-id when out of memory; cyg_graph_failed() then holds and cyg_graph_verify
 * reports it, so that callers may check once at the end of a construction. Names are copied; NULL
 * makes one up; a taken name gets a suffix. */
cyg_value_id cyg_graph_add_value(cyg_graph *g, const char *name, cyg_type type, int rank,
                                 const int64_t *dims);
/* data is lent for the life of the graph (arena or adopted map); use cyg_graph_add_const_copy
 * otherwise. */
cyg_value_id cyg_graph_add_const(cyg_graph *g, const char *name, cyg_type type, int rank,
                                 const int64_t *dims, const void *data, size_t bytes);
cyg_value_id cyg_graph_add_const_copy(cyg_graph *g, const char *name, cyg_type type, int rank,
                                      const int64_t *dims, const void *data, size_t bytes);
/* Appends at the end of the order (before != none: right before that node). in/out ids are copied;
 * each out value's producer is set. */
cyg_node_id cyg_graph_add_node(cyg_graph *g, cyg_node_id before, cyg_op op, const char *name,
                               const cyg_value_id *in, uint32_t in_count, const cyg_value_id *out,
                               uint32_t out_count);
bool cyg_graph_failed(const cyg_graph *g);
/* By name; none when there is no such value or live node. */
cyg_value_id cyg_graph_find_value(const cyg_graph *g, const char *name);
cyg_node_id cyg_graph_find_node(const cyg_graph *g, const char *name);
/* Takes the name, with a suffix when it is taken. */
bool cyg_graph_rename_value(cyg_graph *g, cyg_value_id v, const char *name);
bool cyg_graph_rename_node(cyg_graph *g, cyg_node_id n, const char *name);
/* Large constants that no node reads and no output is give their memory back and are constants no
 * more; nothing happens unless the graph is `alone`. */
void cyg_graph_release_unused(cyg_graph *g);
/* An existing value becomes a constant (constant folding); its producer no longer makes it. data as
 * for cyg_graph_add_const; the value's type and shape must be known and fit. */
void cyg_graph_make_const(cyg_graph *g, cyg_value_id v, const void *data, size_t bytes);
cyg_status cyg_graph_set_io(cyg_ctx *ctx, cyg_graph *g, const cyg_value_id *in, uint32_t in_count,
                            const cyg_value_id *out, uint32_t out_count) CYG_MUST_USE;
/* Output i becomes v. */
void cyg_graph_set_output(cyg_graph *g, uint32_t i, cyg_value_id v);

bool cyg_node_set_int(cyg_graph *g, cyg_node_id n, cyg_attr_key key, int64_t v);
bool cyg_node_set_float(cyg_graph *g, cyg_node_id n, cyg_attr_key key, float v);
bool cyg_node_set_string(cyg_graph *g, cyg_node_id n, cyg_attr_key key, const char *v);
bool cyg_node_set_ints(cyg_graph *g, cyg_node_id n, cyg_attr_key key, const int64_t *v,
                       size_t count);
bool cyg_node_set_floats(cyg_graph *g, cyg_node_id n, cyg_attr_key key, const float *v,
                         size_t count);
bool cyg_node_set_tensor(cyg_graph *g, cyg_node_id n, cyg_attr_key key, cyg_value_id v);
void cyg_node_clear_attr(cyg_graph *g, cyg_node_id n, cyg_attr_key key);
/* All attributes of `from`, a node of this or another graph (tensor attributes keep their ids). */
bool cyg_node_copy_attrs(cyg_graph *g, cyg_node_id n, const cyg_node *from);

cyg_source_id cyg_graph_add_source(cyg_graph *g, const char *name, const char *kind);
void cyg_node_add_source(cyg_graph *g, cyg_node_id n, cyg_source_id s);
/* n inherits from's provenance: every rewrite calls this for each node that it replaces. */
void cyg_node_merge_sources(cyg_graph *g, cyg_node_id n, cyg_node_id from);
const char *cyg_graph_meta(const cyg_graph *g, const char *key); /* NULL when absent */
void cyg_graph_set_meta(cyg_graph *g, const char *key, const char *text);
int64_t cyg_graph_symbol(cyg_graph *g, const char *name); /* the negative dim that stands for it */

/* ---- reading
 * -----------------------------------------------------------------------------------------------
 */
CYG_INLINE cyg_value *cyg_val(const cyg_graph *g, cyg_value_id v)
{
    return &g->values[v.i];
}
CYG_INLINE cyg_node *cyg_nod(const cyg_graph *g, cyg_node_id n)
{
    return &g->nodes[n.i];
}
const cyg_attr *cyg_node_attr(const cyg_node *n, cyg_attr_key key); /* NULL when not set */
int64_t cyg_node_int(const cyg_node *n, cyg_attr_key key, int64_t otherwise);
float cyg_node_float(const cyg_node *n, cyg_attr_key key, float otherwise);
const char *cyg_node_string(const cyg_node *n, cyg_attr_key key, const char *otherwise);
/* Number of ints (0 when absent), *out_data lent. */
size_t cyg_node_ints(const cyg_node *n, cyg_attr_key key, const int64_t **out_data);
/* The same copied to out[count], `otherwise` for each when absent; false when there is another
 * number of them. */
bool cyg_node_list(const cyg_node *n, cyg_attr_key key, int count, int64_t otherwise, int64_t *out);
size_t cyg_node_floats(const cyg_node *n, cyg_attr_key key, const float **out_data); /* likewise */
/* Input i, or none when absent or beyond in_count. */
cyg_value_id cyg_node_in(const cyg_node *n, uint32_t i);
/* Product of known dims; -1 when any is unknown. rank 0 = 1. */
int64_t cyg_value_elements(const cyg_value *v);
bool cyg_value_shape_known(const cyg_value *v);
bool cyg_graph_is_input(const cyg_graph *g, cyg_value_id v);
bool cyg_graph_is_output(const cyg_graph *g, cyg_value_id v);

/* ---- uses: a side table, rebuilt by whoever needs it
 * ---------------------------------------------------------- */
typedef struct cyg_uses {
    const uint32_t *first;   /* [value_count + 1] */
    const cyg_node_id *user; /* users of value v: user[first[v] .. first[v + 1]), in order; a node
                                that uses v twice is there twice */
} cyg_uses;
/* Allocated in scratch. CYG_E_NOMEM on failure. */
cyg_status cyg_uses_build(cyg_ctx *ctx, const cyg_graph *g, cyg_arena *scratch,
                          cyg_uses *out_uses) CYG_MUST_USE;

/* ---- rewriting: uses and order at hand, kept up by every function that changes the graph ---- */
/* Until the end the array `order` stands still: new nodes are not in it, removed ones are. Operands
 * may only be changed by functions of this header. */
cyg_status cyg_graph_edit_begin(cyg_ctx *ctx, cyg_graph *g) CYG_MUST_USE;
void cyg_graph_edit_end(cyg_graph *g); /* fine when there was no beginning */
/* Uses of v by nodes; a node that uses it twice counts twice. Graph outputs are not counted
 * here but in cyg_value.output_uses. */
uint32_t cyg_graph_use_count(const cyg_graph *g, cyg_value_id v);
/* for (u = first; u != CYG_NO_ID; u = next), the oldest first. */
uint32_t cyg_graph_first_use(const cyg_graph *g, cyg_value_id v);
uint32_t cyg_graph_next_use(const cyg_graph *g, uint32_t use);
cyg_node_id cyg_graph_use_node(const cyg_graph *g, uint32_t use);
/* Where a node stands in the order: never more than that of a node behind it. */
uint32_t cyg_graph_rank(const cyg_graph *g, cyg_node_id n);

/* ---- changing
 * ---------------------------------------------------------------------------------------------- */
/* Every use of `old` (node inputs, graph outputs) becomes `now`. A graph output keeps its name: the
 * names are swapped. O(uses) while the graph is being rewritten, else O(nodes). */
void cyg_graph_replace_uses(cyg_graph *g, cyg_value_id old, cyg_value_id now);
void cyg_node_set_input(cyg_graph *g, cyg_node_id n, uint32_t i, cyg_value_id v);
/* Leaves the slot with op = removed and takes it out of the order at the next
 * cyg_graph_sort/compact. */
void cyg_graph_remove_node(cyg_graph *g, cyg_node_id n);
/* Stable topological order (Kahn, smallest former position first) of the live nodes; CYG_E_GRAPH
 * naming a node on a cycle. */
cyg_status cyg_graph_sort(cyg_ctx *ctx, cyg_graph *g) CYG_MUST_USE;
/* Drops removed nodes from the order, in place, without sorting. */
void cyg_graph_compact(cyg_graph *g);
cyg_graph *cyg_graph_clone(
    const cyg_graph *g); /* shares constant data (borrows: the original must outlive the clone) */

/* g becomes `now`, a clone of it that was changed; what g was lives on as its lender. */
void cyg_graph_take_over(cyg_graph *g, cyg_graph *now);

/* ---- checking, shapes, text
 * ----------------------------------------------------------------------------------- */
/* Structure: ids in range, one producer a value, arity and attribute kinds as in ops.def, order
 * topological, names unique, constants' sizes equal their shapes. CYG_E_INTERNAL for our own
 * graphs; importers map it to CYG_E_GRAPH. */
cyg_status cyg_graph_verify(cyg_ctx *ctx, const cyg_graph *g) CYG_MUST_USE;
/* Infers all types and shapes it can; small integer constants (shapes) are followed. Conflicts with
 * stated shapes are errors that name the node, the expected and the found. */
cyg_status cyg_graph_infer_shapes(cyg_ctx *ctx, cyg_graph *g) CYG_MUST_USE;
/* One node, given its inputs' shapes (and values where data != NULL): sets its outputs' type and
 * shape. Used by the interpreter at run time too. */
cyg_status cyg_node_infer(cyg_ctx *ctx, cyg_graph *g, cyg_node_id n) CYG_MUST_USE;
/* The same with operands' contents at hand: data_of lends the current bytes of a value (of the
 * value's type and dims), NULL when it has none. Asked for shape-steering operands only (shapes,
 * axes, pads, bounds, sizes, ranges). */
typedef const void *(*cyg_infer_data)(void *user, cyg_value_id v);
cyg_status cyg_node_infer_with(cyg_ctx *ctx, cyg_graph *g, cyg_node_id n, cyg_infer_data data_of,
                               void *user) CYG_MUST_USE;
/* Binds a symbol everywhere. */
void cyg_graph_bind_symbol(cyg_graph *g, int64_t symbol_dim, int64_t size);

#include "base/str.h"
/* print(parse(x)) == x for printed x. Large constants print as a hash and size unless with_data;
 * those parse as zeros. */
void cyg_graph_print(const cyg_graph *g, bool with_data, cyg_strbuf *out);
/* The same, constant by constant: left out (nobody may read it), as hash and size, with its data.
 * Small ones have their data in any case. */
typedef enum cyg_print_const { CYG_PRINT_NOT, CYG_PRINT_HASH, CYG_PRINT_DATA } cyg_print_const;
typedef cyg_print_const (*cyg_print_choice)(void *user, cyg_value_id v);
void cyg_graph_print_with(const cyg_graph *g, cyg_print_choice how, void *user, cyg_strbuf *out);
cyg_status cyg_graph_parse(cyg_ctx *ctx, const char *file_name, const char *text, size_t len,
                           cyg_graph **out_graph) CYG_MUST_USE;

#endif
