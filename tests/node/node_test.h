/* ONNX's own backend tests (onnx/backend/test/data of the onnx wheel): what the files of this
 * folder share.
 *
 * A test is a folder with model.onnx and test_data_set_N/{input_I,output_I}.pb, each .pb one
 * TensorProto. scope.c says by rule whether a test is ours, tensors.c reads and compares, run.c
 * runs one test in every form, hostile.c spoils its numbers, main.c goes through all and counts. */
#ifndef CYG_TESTS_NODE_TEST_H
#define CYG_TESTS_NODE_TEST_H

#include "kernels/call.h"
#include "onnx/import.h"

/* X(id, text): why a test is none of ours. */
#define NODE_OUT_REASONS(X)                                                                        \
    X(OPERATOR, "an operator that neither the AX650's list nor ops.def has")                       \
    X(FORM, "a sequence, map, optional or sparse tensor")                                          \
    X(TYPE, "strings, complex numbers, float8 or 4-bit numbers")                                   \
    X(OPSET, "an opset outside 7 to 22")                                                           \
    X(ANSWER, "a stored answer that is wrong: averages beyond the padding, int8 that wraps")
typedef enum node_outcome {
    NODE_PASSED,
    NODE_FAILED,
#define X(id, text) NODE_OUT_##id,
    NODE_OUT_REASONS(X)
#undef X
        NODE_OUTCOMES
} node_outcome;

enum { NODE_TEXT = 1024, NODE_PATH = 1024 };
typedef struct node_result {
    node_outcome outcome;
    char text[NODE_TEXT]; /* of a failure: where and why; of what is out of scope: what it is */
} node_result;

/* A file of tensors or a model, mapped, with the arenas that reading it needs. */
typedef struct node_file {
    cyg_onnx_importer imp;
    cyg_map map;
} node_file;
cyg_status node_file_open(cyg_ctx *ctx, const char *path, node_file *out_file) CYG_MUST_USE;
void node_file_close(node_file *file);

/* scope.c: NODE_PASSED when the test is ours, else why not; *what names the operator or type. */
node_outcome node_scope(cyg_ctx *ctx, const char *model, char what[NODE_TEXT]);

/* tensors.c: a buffer of the file's tensor, lent by the file. */
cyg_status node_read_tensor(node_file *file, cyg_kbuf *out_buf) CYG_MUST_USE;
/* Types and shapes alike, numbers within ONNX's own tolerances; else says where they differ. */
bool node_same(const cyg_kbuf *got, const cyg_kbuf *want, char *why, size_t size);

/* run.c */
typedef enum node_form {
    NODE_AS_IMPORTED,
    NODE_CLEANED,
    NODE_FUSED,
    NODE_EXPORTED,
    NODE_FORMS
} node_form;
#define NODE_MODEL "model.onnx"
/* Counts numbers and replaces one of them. */
typedef struct node_spoiler {
    int64_t met;    /* numbers so far */
    int64_t target; /* the one to replace, -1 = none */
    int64_t value;  /* by this */
} node_spoiler;
/* Imports a model, optimises it as the form says, runs it on the data sets of the working folder, a
 * test's, and compares; with a spoiler, of the inputs' integers, it only runs. */
cyg_status node_run_form(cyg_ctx *ctx, const char *model, node_form f,
                         node_spoiler *inputs) CYG_MUST_USE;
/* The working folder's test in every form. */
void node_run(node_result *out_result);

/* hostile.c: the working folder's test with each of its numbers replaced by wrong ones. */
void node_run_hostile(node_result *out_result);

#endif
