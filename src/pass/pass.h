/* pass: the optimiser. One pass one file; passes.def is the visible list, in order; each leaves a
 * verified graph. */
#ifndef CYG_PASS_PASS_H
#define CYG_PASS_PASS_H

#include "ir/graph.h"
#include "pass/check.h"

typedef struct cyg_pass_info {
    const char *name, *summary;
    cyg_status (*run)(cyg_ctx *ctx, cyg_graph *g, bool *out_changed);
} cyg_pass_info;
size_t cyg_pass_count(void);
const cyg_pass_info *cyg_pass_at(size_t i);

typedef struct cyg_optimise_options {
    bool fuse;           /* false: only the standard clean-up (fold, identity, cse, dead code) */
    bool channels_first; /* convolutions stay as ONNX has them: for graphs that are written again */
    bool verify_numerics;   /* run original and result on a random input and compare */
    const char *dump_after; /* pass name, or NULL: text IR to dump_path */
    const char *dump_path;
    const cyg_check *check; /* NULL, or: compare after each pass that changed something, and fail
                               with CYG_E_CHECK naming the first one that is off (slow) */
    /* NULL, or called after each pass that changed something. */
    void (*after)(void *user, const char *pass, const cyg_graph *g);
    void *user;
} cyg_optimise_options;
typedef struct cyg_optimise_report {
    int64_t nodes_before, nodes_after;
    int64_t fused_steps;   /* nodes that do work: views not counted */
    double max_difference; /* largest difference over the output range, when verified */
} cyg_optimise_report;
/* Optimises in place. On failure of the numeric check: CYG_E_CHECK naming the first pass whose
 * result differs. */
cyg_status cyg_optimise(cyg_ctx *ctx, cyg_graph *g, const cyg_optimise_options *options,
                        cyg_optimise_report *out_report) CYG_MUST_USE;
/* Folds constants and infers shapes, in turn, until nothing changes: no value gets another id,
 * type or shape than it had, but more shapes are known. */
cyg_status cyg_fold(cyg_ctx *ctx, cyg_graph *g) CYG_MUST_USE;
/* A static graph, optimised and perhaps quantised, takes `times` its batch: shapes follow,
 * constants and quantisation parameters stay. repair: constants that hold the batch give way
 * (rebatch.c). CYG_E_UNSUPPORTED when an output does not grow with it; g is of no use then. */
cyg_status cyg_multiply_batch(cyg_ctx *ctx, cyg_graph *g, int64_t times, bool repair) CYG_MUST_USE;
/* q, a clone of what was quantised from a clone of `from`, gets the sizes of `sized`: the same
 * model optimised at other input shapes. It lends constants of both, which must outlive it.
 * CYG_E_UNSUPPORTED when the two are not one graph; q is of no use then. */
cyg_status cyg_take_sizes(cyg_ctx *ctx, cyg_graph *q, const cyg_graph *from,
                          const cyg_graph *sized) CYG_MUST_USE;

#endif
