/* ONNX in and out.
 *
 * Import reads a mapped file with a wire reader of our own: tensors become views into the map,
 * names are copied. Everything is brought to the canonical form (docs/ir.md): opset differences
 * from 7 to 22 are resolved here, model-local functions are inlined, Constant nodes become constant
 * values, Dropout and the like vanish, initialisers that are also listed as inputs are constants.
 * All unsupported operators are collected and reported in one error. */
#ifndef CYG_ONNX_ONNX_H
#define CYG_ONNX_ONNX_H

#include "ir/graph.h"

typedef struct cyg_onnx_import_options {
    const char *input_shapes; /* "name:1x3x224x224;..." or NULL */
    bool keep_symbolic; /* false: symbolic batch (the first dimension) becomes 1 unless input_shapes
                           says otherwise */
    bool in_place; /* matrices of 64 KiB and more stay where they are in the mapped file, at any
                      address: for graphs that only pass and interp look at, and export */
    /* Called on the graph as decoded, before shapes are inferred, to change constants; NULL = not.
     */
    cyg_status (*edit)(cyg_ctx *ctx, void *user, cyg_graph *g);
    void *user;
} cyg_onnx_import_options;
typedef struct cyg_onnx_info {
    int opset;     /* of the file */
    int64_t nodes; /* of the file's main graph, with Constant nodes */
    int64_t nodes_without_constant;
} cyg_onnx_info;

/* On success the caller owns *out_graph; it has passed verification and shape inference. External
 * data is read from files beside path (never outside its folder). */
cyg_status cyg_onnx_import(cyg_ctx *ctx, const char *path, const cyg_onnx_import_options *options,
                           cyg_graph **out_graph, cyg_onnx_info *out_info) CYG_MUST_USE;
/* Nodes of a file's main graph by operator, sorted by name, without Constant nodes. Everything lies
 * in arena. */
typedef struct cyg_onnx_op_count {
    const char *type;
    int64_t count;
} cyg_onnx_op_count;
typedef struct cyg_onnx_census {
    cyg_onnx_op_count *ops;
    uint32_t op_count;
    int64_t nodes;
    uint64_t bytes; /* of the file */
} cyg_onnx_census;
cyg_status cyg_onnx_count(cyg_ctx *ctx, const char *path, cyg_arena *arena,
                          cyg_onnx_census *out_census) CYG_MUST_USE;
/* Opsets that export can write. */
enum { CYG_ONNX_EXPORT_MIN = 13, CYG_ONNX_EXPORT_MAX = 21 };
/* The first opset whose QuantizeLinear and DequantizeLinear have 16-bit types. */
enum { CYG_ONNX_16_BIT_PAIRS = 21 };
/* Streams the graph to path, atomically, expanded to standard operators at the opset (13 to 21). */
typedef struct cyg_onnx_export_options {
    int opset; /* 0 = 17 */
    const char *producer_note;
    bool external_data; /* tensors into PATH.data; a model above 2 GiB has them there anyway */
    /* Called once the bytes of a constant are in the file, so that a mapped source can give its
     * pages back; NULL = nobody cares. */
    void (*written)(void *user, const void *data, size_t bytes);
    void *user;
} cyg_onnx_export_options;
cyg_status cyg_onnx_export(cyg_ctx *ctx, const cyg_graph *g, const char *path,
                           const cyg_onnx_export_options *options) CYG_MUST_USE;
/* The graph that export writes: only standard operators that exist at the opset (13 to 21),
 * quantised values as QuantizeLinear / DequantizeLinear pairs, those of 16 bits from
 * CYG_ONNX_16_BIT_PAIRS on. Nothing in it has quantisation parameters. Borrows constant data: g
 * must outlive *out_graph, which the caller owns on success. */
cyg_status cyg_onnx_expand(cyg_ctx *ctx, const cyg_graph *g, int opset,
                           cyg_graph **out_graph) CYG_MUST_USE;

#endif
