/* simplify: what the files of the command share. */
#ifndef CYG_APP_SIMPLIFY_H
#define CYG_APP_SIMPLIFY_H

#include "app/app.h"
#include "onnx/onnx.h"
#include "pass/pass.h"

/* ---- simplify_proof.c ---- */

enum { CYG_PROOF_RUNS = 2 };

typedef struct cyg_proof {
    const char *shapes; /* --input_shapes, as the result was made with; or NULL */
    double tolerance;   /* of an output's range */
    int64_t size;       /* of symbolic dimensions that are no batch; 0: several are tried */
    /* results */
    cyg_difference difference; /* largest over the runs */
    int64_t batches[CYG_PROOF_RUNS];
    uint32_t runs; /* 1, or 2 batch sizes when the batch is symbolic */
    double seconds;
} cyg_proof;

/* Runs the file `original` and the file `result` on the same random inputs and compares all
 * outputs. CYG_E_CHECK naming the pass that changed the result, when they differ. Only one of the
 * two is in memory at a time. */
cyg_status cyg_prove(cyg_app *app, const char *original, const char *result,
                     cyg_proof *io_proof) CYG_MUST_USE;

/* ---- simplify_explain.c ---- */

/* The way of one source node through the passes, as lines of text. */
typedef struct cyg_explain {
    const char *node;
    bool *wanted; /* [source of the graph] */
    cyg_strbuf last, lines;
} cyg_explain;

/* Finds the node of the imported graph by its name, or by that of a tensor that it makes; the
 * nearest name is offered when there is none. */
cyg_status cyg_explain_begin(cyg_app *app, const cyg_graph *g, const char *node,
                             cyg_explain *out_explain) CYG_MUST_USE;
/* Adds a line when the nodes that came of it are others than at the last call. */
void cyg_explain_step(cyg_explain *e, const char *step, const char *reason, const cyg_graph *g);
void cyg_explain_deinit(cyg_explain *e);

#endif
