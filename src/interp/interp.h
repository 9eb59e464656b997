/* interp: runs a graph, node by node: in float (constant folding, calibration, golden check,
 * verification), or a lowered integer program with the unpacked plain C bodies (the witness for
 * packed kernels, precision analysis). */
#ifndef CYG_INTERP_INTERP_H
#define CYG_INTERP_INTERP_H

#include "format/program.h"
#include "ir/graph.h"
#include "kernels/call.h"

/* Called for each value right after its producer ran (and for graph inputs first). buf is lent for
 * the call. Runs on the caller's thread, in order. */
typedef cyg_status (*cyg_observer)(cyg_ctx *ctx, void *user, cyg_value_id value,
                                   const cyg_kbuf *buf);

typedef struct cyg_interp_options {
    cyg_observer observer; /* NULL = none */
    void *user;
    const cyg_value_id *keep; /* further values to keep alive besides the outputs */
    size_t keep_count;
    bool lean; /* packed weights live only while their node runs: less memory, for a few runs */
    bool once; /* the graph runs once and nobody needs its constants afterwards: their memory goes
                  back while it runs */
} cyg_interp_options;

/* A session keeps lowered steps, packed weights and buffers between runs (as long as shapes stay);
 * g is lent and must not change. Symbolic input dimensions are bound by the buffers of each run.
 * Buffers are freed as soon as their last reader ran. */
typedef struct cyg_interp cyg_interp;
cyg_status cyg_interp_create(cyg_ctx *ctx, cyg_graph *g, const cyg_interp_options *options,
                             cyg_interp **out_interp) CYG_MUST_USE;
void cyg_interp_destroy(cyg_interp *interp);
/* inputs in the order of g->inputs, types and ranks as declared (CYG_E_GRAPH with expected and
 * found otherwise). */
cyg_status cyg_interp_run(cyg_ctx *ctx, cyg_interp *interp, const cyg_kbuf *inputs,
                          uint32_t input_count) CYG_MUST_USE;
/* A graph output or kept value, lent until the next run; NULL when not available. */
const cyg_kbuf *cyg_interp_value(const cyg_interp *interp, cyg_value_id value);

/* Constant folding's helper: all inputs of n are constants; its outputs become constants of g (data
 * in g's arena). CYG_E_UNSUPPORTED when it cannot. */
cyg_status cyg_interp_fold_node(cyg_ctx *ctx, cyg_graph *g, cyg_node_id n) CYG_MUST_USE;

/* Integer interpreter: runs an unplaced program with ref bodies (use_ref) or the dispatched ones;
 * observer's value ids are tensor ids. out_buffers[output_count] are allocated from arena. */
cyg_status cyg_interp_run_program(cyg_ctx *ctx, const cyg_program *p, bool use_ref,
                                  const cyg_kbuf *inputs, uint32_t input_count,
                                  cyg_observer observer, void *user, cyg_arena *arena,
                                  cyg_kbuf *out_buffers) CYG_MUST_USE;

/* Single steps of a program, in any order, on operands that the caller holds; packed weights are
 * kept from run to run. p is lent. */
typedef struct cyg_stepper cyg_stepper;
cyg_status cyg_stepper_create(cyg_ctx *ctx, const cyg_program *p, bool use_ref,
                              cyg_stepper **out_stepper) CYG_MUST_USE;
void cyg_stepper_destroy(cyg_stepper *s);
/* in, out: of the step's tensors, in its order; constants with is_const set. */
cyg_status cyg_stepper_run(cyg_ctx *ctx, cyg_stepper *s, uint32_t step, const cyg_kbuf *in,
                           const cyg_kbuf *out) CYG_MUST_USE;

#endif
