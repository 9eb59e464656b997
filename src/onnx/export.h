/* Export, the inside: from an expanded graph to bytes. Private to onnx. */
#ifndef CYG_ONNX_EXPORT_H
#define CYG_ONNX_EXPORT_H

#include "base/file.h"
#include "base/str.h"
#include "ir/graph.h"

typedef struct cyg_exporter {
    cyg_ctx *ctx;
    const cyg_graph *g; /* expanded */
    int opset;
    bool *needed;        /* [value] some written node reads it */
    cyg_node_id *folded; /* [value] the Transpose of a constant that the value is; its perm is
                            applied   while the constant is written */
    void (*written)(void *user, const void *data, size_t bytes); /* of the options; or NULL */
    void *user;
    cyg_arena *arena;      /* of the export */
    const char *location;  /* of external data, as the tensors say it; NULL = all is in the file */
    cyg_strbuf scratch[2]; /* messages in the making: attribute, tensor inside */
} cyg_exporter;

/* NodeProto of n; marks what it reads. */
cyg_status cyg_export_node(cyg_exporter *x, const cyg_node *n, cyg_strbuf *out) CYG_MUST_USE;
/* TensorProto of constant v up to raw_data's head: v's bytes follow. */
void cyg_export_tensor_head(const cyg_value *v, const char *name, int rank, const int64_t *dims,
                            cyg_strbuf *out);
/* The GraphProto's initializers, and their size. */
cyg_status cyg_export_tensors(cyg_exporter *x, cyg_writer *w) CYG_MUST_USE;
size_t cyg_export_tensors_size(cyg_exporter *x);
/* Writes path.data and sets x->location: from now on the large tensors are said to be there. */
cyg_status cyg_export_external(cyg_exporter *x, const char *path) CYG_MUST_USE;

#endif
